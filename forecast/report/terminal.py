"""Pages as plain text for a terminal: the same parts that the PDF shows, without the figures.

Columns are aligned, checks stand as lines with what to do beneath, and every sign survives any encoding and paste
(plain spaces, a hyphen for minus).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from forecast.report.document import Bar, Cell, Listing, Over, Page, Part, Tile
from forecast.words import PASS, Check, Text, Verdict, clean, message, typed

MOST_CHECKS = 8  # of a verdict; the report has all of them
GAP = "   "


def terminal_text(page: Page) -> str:
    """A page as text: its parts with a blank line between them."""
    parts = [_said(page.title), *("\n".join(_part(part)) for part in page.parts)]
    return "\n\n".join(part for part in parts if part)


def _said(words: Text) -> str:
    return clean(typed(words))


def _part(part: Part) -> Iterator[str]:
    """The pieces of a part, a line or a block each; what is not there is not said."""
    if part.title:
        yield _said(part.title)
    if part.verdict is not None:
        yield from _verdict(part.verdict)
    yield from map(_tile, part.tiles)
    yield from (_said(words) for words in (part.lead, part.text) if words)
    for listing in part.listings:
        yield "\n".join(_lines(listing.checks)) if listing.checks else _table(listing)
    if part.note:
        yield _said(part.note)
    yield from (f"- {_said(point)}" for point in part.points)


def _verdict(verdict: Verdict) -> Iterator[str]:
    """The sentence of a verdict, and each check that it did not pass with what to do; the worst first."""
    yield _said(message("{status}. {sentence}", status=verdict.status, sentence=verdict.sentence))
    yield from (f"  {line}" for line in _lines(verdict.failing[:MOST_CHECKS]))
    left = len(verdict.failing) - MOST_CHECKS
    if left > 0:
        yield _said(message("  ... and {left} more in the report", left=left))


def _lines(checks: Sequence[Check]) -> Iterator[str]:
    """A line for each check, and below it the advice where something is to be done."""
    for check in checks:
        bar = message(" (expected {threshold})", threshold=check.threshold) if check.expected else ""
        said = message("{name}: {value}{bar}", name=check.name, value=check.value, bar=bar)
        yield f"{check.status:<7} {_said(said)}"
        if check.advice and check.status not in (PASS, "UNKNOWN"):
            yield f"        -> {_said(check.advice)}"


def _tile(tile: Tile) -> str:
    return _said(message("{name}: {value}, {below}", name=tile.name, value=tile.value, below=tile.below))


def _table(listing: Listing) -> str:
    """Cells in columns, the heads first where there are any."""
    heads = [_said(head) for head in listing.heads]
    rows = [heads] if any(heads) else []
    rows += [[_cell(cell) for cell in row.cells] for row in listing.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        GAP.join(
            cell.ljust(width) if align == "l" else cell.rjust(width)
            for cell, width, align in zip(row, widths, listing.align, strict=True)
        ).rstrip()
        for row in rows
    )


def _cell(cell: Cell) -> str:
    """A text; a number with its band in brackets behind it; a share without its bar."""
    if isinstance(cell, Over):
        return _said(message("{said} ({below})", said=cell.said, below=cell.below))
    return _said(cell.said if isinstance(cell, Bar) else cell)
