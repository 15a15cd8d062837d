"""Pages as plain text for a terminal: the same parts that the PDF shows, without the figures.

Columns are aligned, checks stand as lines with what to do beneath, and every sign survives any encoding and paste
(plain spaces, a hyphen for minus).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from forecast.checks import FAIL, PASS, REVIEW, Check, Verdict
from forecast.report.document import Bar, Cell, Listing, Over, Page, Part, Tile
from forecast.words import Name, Text, clean, message, text, typed

MOST_CHECKS = 8  # of a verdict; the report has all of them
GAP = "   "
LINES = 3  # of a part to be signed: who, when, signature
STATUSES = (PASS, REVIEW, FAIL, "UNKNOWN")
LINE = 80  # signs of a line, where a listing may fold


def terminal_text(page: Page, width: int | None = None) -> str:
    """A page as text: its parts with a blank line between them.

    Where a `width` is given, prose wraps at words and tables fit into it: heads go onto several lines, then texts, and
    columns that still find no room go on below, the first one repeated.
    """
    parts = [_said(page.title), *("\n".join(_part(part, width)) for part in page.parts)]
    said = "\n\n".join(part for part in parts if part)
    return said if width is None else "\n".join(_fitted(line, width) for line in said.split("\n"))


def _fitted(line: str, width: int) -> str:
    """A line of prose on as many lines as it needs, each below its first word; a row of a table as it is."""
    start = _start(line)
    if len(line) <= width or GAP in line[len(start) :] or len(start) > width // 2:
        return line
    below = " " * len(start)
    return textwrap.fill(
        line[len(start) :], width, initial_indent=start, subsequent_indent=below,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _start(line: str) -> str:
    """What a line begins with before its first word: a status, an arrow, a dash."""
    statuses = "|".join(_said(status) for status in STATUSES)
    head = re.match(rf"\s*((?:{statuses}) +|-> |- )?", line)
    return head[0] if head else ""


def _said(words: Text) -> str:
    return clean(typed(words))


def _part(part: Part, width: int | None = None) -> Iterator[str]:
    """The pieces of a part, a line or a block each; what is not there is not said."""
    if part.title:
        yield _said(part.title)
    if part.verdict is not None:
        yield from _verdict(part.verdict)
    yield from map(_tile, part.tiles)
    yield from (_said(words) for words in (part.lead, part.text) if words)
    for listing in part.listings:
        yield "\n".join(_lines(listing.checks)) if listing.checks else "\n\n".join(_tables(listing, width))
    if part.note:
        yield _said(part.note)
    yield from (f"- {_said(point)}" for point in part.points)
    if part.signing:
        yield "   ".join(f"{_said(label)}: ____" for label in part.signing[-LINES:])


def _verdict(verdict: Verdict) -> Iterator[str]:
    """The sentence of a verdict, and each check that it did not pass with what to do; the worst first."""
    yield _said(message("{status:word}. {sentence:word}", status=verdict.status, sentence=verdict.sentence))
    yield from (f"  {line}" for line in _lines(verdict.failing[:MOST_CHECKS]))
    left = len(verdict.failing) - MOST_CHECKS
    if left > 0:
        yield _said(message("  ... and {left} more in the report", left=left))


def _lines(checks: Sequence[Check]) -> Iterator[str]:
    """A line for each check, and below it the advice where something is to be done."""
    wide = max(len(_said(status)) for status in STATUSES)
    for check in checks:
        said = "{name:word}: {value:word}"
        if check.expected:
            said = "{name:word}: {value:word} (expected {threshold:word})"
        yield f"{_said(check.status):<{wide}} {_said(message(said, **vars(check)))}"
        if check.advice and check.status not in (PASS, "UNKNOWN"):
            yield f"{' ' * wide} -> {_said(check.advice)}"


def _tile(tile: Tile) -> str:
    return _said(
        message("{name:word}: {value:word}, {below:word}", name=tile.name, value=tile.value, below=tile.below)
    )


def _tables(listing: Listing, width: int | None = None) -> Iterator[str]:
    """Cells in columns, the heads first where there are any; one that folds goes on below where a line is full."""
    heads = [_said(head) for head in listing.heads]
    rows = [heads] if any(heads) else []
    rows += [[_cell(cell) for cell in row.cells] for row in listing.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = LINE if listing.folds else width
    if listing.folds and len(widths) == 2 and listing.align[1] == "l":
        rows = _wrapped(listing, widths[0])
        widths[1] = 0  # the last column needs no padding
    elif not listing.folds and room is not None and _across(widths) > room:
        widths = _narrowed(rows, widths, listing.align, room)
        rows = [line for row in rows for line in _lines_of(row, widths, bottom=row is rows[0] and any(heads))]
    for columns in [range(len(widths))] if room is None else _folded(widths, room):
        yield "\n".join(
            GAP.join(
                row[i].ljust(widths[i]) if listing.align[i] == "l" else row[i].rjust(widths[i])
                for i in columns
            ).rstrip()
            for row in rows
        )


def _across(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _narrowed(rows: Sequence[Sequence[str]], widths: Sequence[int], align: str, room: int) -> list[int]:
    """Widths at which heads wrap, and where that is not enough texts too; never below a word, or a number."""
    columns = list(zip(*rows, strict=True))
    words = [max((len(word) for cell in column for word in cell.split(" ")), default=0) for column in columns]
    least = [
        max([words[i], *(len(cell) for cell in column[1:])]) for i, column in enumerate(columns)
    ]  # a head on several lines, every cell on one
    made = [min(own, w) for own, w in zip(widths, least, strict=True)]
    texts = [i for i, a in enumerate(align) if a == "l"]
    if _across(made) - sum(made[i] - words[i] for i in texts) > room:
        texts = []  # no use: columns go on below anyway
    for i in sorted(texts, key=lambda i: -made[i]):
        over = _across(made) - room
        if over > 0:
            made[i] = max(words[i], made[i] - over)
    for _ in range(
        room - _across(made)
    ):  # what is left goes where most is missing, so that heads need fewer lines
        i = max(range(len(made)), key=lambda i: widths[i] - made[i])
        made[i] = min(made[i] + 1, widths[i])
    return made


def _lines_of(row: Sequence[str], widths: Sequence[int], *, bottom: bool) -> list[list[str]]:
    """A row on as many lines as its longest cell needs; `bottom`: heads stand above their column's first cell."""
    cells = [
        textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False) or [""]
        for cell, width in zip(row, widths, strict=True)
    ]
    high = max(map(len, cells))
    padded = [[""] * (high - len(c)) + c if bottom else c + [""] * (high - len(c)) for c in cells]
    return [list(line) for line in zip(*padded, strict=True)]


def _wrapped(listing: Listing, width: int) -> list[list[str]]:
    """Rows of a name and a text, the text on as many lines as it needs; a name that repeats is said once."""
    made: list[list[str]] = []
    last = ""
    for row in listing.rows:
        head, said = (
            _said(str(row.cells[0])),
            clean(text(row.cells[1])),
        )  # its spaces that do not break are kept
        lines = textwrap.wrap(said, LINE - width - len(GAP), break_on_hyphens=False) or [""]
        made += [[head if head != last and i == 0 else "", typed(Name(line))] for i, line in enumerate(lines)]
        last = head
    return made


def _folded(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Which columns stand beside each other on a line: always the first, and as many of the others as find room."""
    beside, width = [0], widths[0]
    for i, own in enumerate(widths[1:], start=1):
        if width + len(GAP) + own > room and len(beside) > 1:
            yield beside
            beside, width = [0], widths[0]
        beside.append(i)
        width += len(GAP) + own
    yield beside


def _cell(cell: Cell) -> str:
    """A text; a number with its band in brackets behind it; a share without its bar."""
    if isinstance(cell, Over):
        return _said(message("{said} ({below})", said=cell.said, below=cell.below))
    return _said(cell.said if isinstance(cell, Bar) else cell)
