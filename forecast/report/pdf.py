"""The report as PDF: pages in, bytes out.

    Report --(words, figures as SVG)--> data.json --> typst --> PDF/A-2a, PDF/UA-1

The template reads everything as data, so a channel named `#import "x"` prints as itself. The same results and the same
timestamp give the same bytes.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typst

from forecast.checks import Check, Verdict
from forecast.report import sentences
from forecast.report.contents import report_of
from forecast.report.document import Bar, Cell, Listing, Over, Page, Part, Report, Tile
from forecast.report.figures import BLUE, INK, ORANGE, figure_svg
from forecast.report.letters import fonts
from forecast.report.paper import BOX, boxed, in_figure, on_paper
from forecast.stopping import scratch
from forecast.words import Message, Text, clean, message, spoken, text, together

if TYPE_CHECKING:
    from forecast.results import Results

TEMPLATE = Path(__file__).parent / "templates" / "report.typ"
FACES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")  # the same face in text and figures
STANDARDS: list[typst.PDFStandard] = ["a-2a", "ua-1"]
MOST_FAILING = 4  # checks on page 1; all of them stand among the evidence
SIZES = ((12, 14.0), (16, 11.0), (10_000, 8.6))  # fewer letters than that in a tile: their size in points
_log = logging.getLogger(__name__)


def report_pdf(made: Results, *, timestamp: int) -> bytes:
    """The report of a run as bytes: see `pdf_of`."""
    return pdf_of(spoken_document(made), timestamp=timestamp)


def pdf_of(content: dict[str, Any], *, timestamp: int) -> bytes:
    """A `document` as bytes of a PDF/A-2a, PDF/UA-1; `timestamp` (seconds since 1970) is the only date in the file.

    A sign that the bundled font lacks (Chinese, some emoji) is looked for in the fonts of the machine. Where they lack
    it too, a box stands in its place (see `paper`) and a warning is logged: the standards allow no sign without a
    shape.
    """
    for bundled_only in (True, False):
        try:
            return _compile(content, bundled_only, timestamp)
        except typst.TypstError as error:
            if not _about_signs(error):
                raise
    _log.warning(
        "The report shows boxes for signs that no font here has; report.xlsx holds every name in full."
    )
    shapes = _shapes()
    try:
        return _compile(boxed(content, shapes), True, timestamp)
    except typst.TypstError as error:  # a cluster that the fonts hold piece by piece and cannot put together
        if not _about_signs(error):
            raise
    return _compile(boxed(content, {code for code in shapes if _plain_sign(code)}), True, timestamp)


def _about_signs(error: typst.TypstError) -> bool:
    """Whether typst refuses because of a sign in a text, not because of the template."""
    said = f"{error.message} {error.diagnostic}"
    return any(words in said for words in ("could not be displayed", "codepoint"))


def _plain_sign(code: int) -> bool:
    """A sign that stands alone: letters of Latin, Greek and Cyrillic, and the marks of numbers and sentences."""
    return code < 0x0300 or 0x0370 <= code < 0x0530 or 0x2010 <= code < 0x2300 or code == ord(BOX)


def _compile(content: dict[str, Any], bundled_only: bool, timestamp: int) -> bytes:
    """One run of typst over files in memory.

    Only the two faces go into the font folder: matplotlib's own holds a last-resort font too, in which every sign has a
    shape, a box with a question mark.
    """
    data = json.dumps(content, allow_nan=False).encode()
    with scratch() as folder:
        for face in FACES:
            shutil.copyfile(fonts() / face, Path(folder) / face)
        pdf = typst.compile(  # type: ignore[call-overload]  # its stubs forget that a dict of files is allowed
            {"main.typ": TEMPLATE.read_bytes(), "data.json": data},
            format="pdf",
            font_paths=[folder],
            ignore_system_fonts=bundled_only,
            pdf_standards=STANDARDS,
            timestamp=timestamp,
        )
    if not isinstance(pdf, bytes):
        raise TypeError(f"typst returned {type(pdf).__name__} where the bytes of one PDF were expected.")
    return pdf


def _shapes() -> set[int]:
    """The code points that the bundled face can show, regular and bold."""
    from matplotlib.ft2font import FT2Font

    regular, bold = (set(FT2Font(fonts() / face).get_charmap()) for face in FACES)
    return regular & bold | {ord("\n")}  # the SVG of a figure has lines


def spoken_document(made: Results) -> dict[str, Any]:
    """All that the template shows, in the language of the study."""
    with made.study.speaking():
        return document(report_of(made))


def document(report: Report) -> dict[str, Any]:
    """All that the template shows: text and figures, ready for JSON."""
    return {
        "title": _said(report.title),
        "language": spoken(),
        "status": report.status,
        "colours": [BLUE, ORANGE, INK],
        "words": {
            "as_of": _said(report.as_of),
            "kicker": _said(report.about),
            "footer": _said(together(sentences.BANDS, sentences.run_of(report.run))),
            "page": _said("Page {} of {}"),
            "fail_mark": _said("FAIL: not for decisions"),
            "fail_line": _said("Do not use these numbers for a decision."),
        },
        "pages": [_page(page) for page in report.pages],
    }


def _said(words: Text) -> str:
    """A text as it stands on paper."""
    return on_paper(clean(text(words)))


def _page(page: Page) -> dict[str, Any]:
    return {"title": _said(page.title), "parts": [_part(part) for part in page.parts], "alone": page.alone}


def _part(part: Part) -> dict[str, Any]:
    figure = part.figure
    return {
        "title": _said(part.title),
        "verdict": None if part.verdict is None else _verdict(part.verdict, part.others),
        "tiles": [_tile(tile) for tile in part.tiles],
        "lead": _said(part.lead),
        "figure": None
        if figure is None
        else {"svg": in_figure(figure_svg(figure.draw())), "alt": _said(figure.alt)},
        "text": _said(part.text),
        "tables": [_table(listing) for listing in part.listings],
        "note": _said(part.note),
        "points": [_said(point) for point in part.points],
        "beside": part.beside,
        "signing": [_said(label) for label in part.signing],
        "contents": part.contents,
    }


def _table(listing: Listing) -> dict[str, Any]:
    return {
        "head": [_said(head) for head in listing.heads],
        "align": list(listing.align),
        "columns": ["auto" if width == "a" else int(width) for width in listing.widths],
        "rows": [
            {"cells": [_cell(cell) for cell in row.cells], "strong": row.strong} for row in listing.rows
        ],
    }


def _cell(cell: Cell) -> str | dict[str, Any]:
    """A text, or a text with another beneath it, or a share drawn as a bar."""
    if isinstance(cell, Over):
        return {"t": _said(cell.said), "s": _said(cell.below)}
    return {"share": cell.share, "t": _said(cell.said)} if isinstance(cell, Bar) else _said(cell)


def _tile(tile: Tile) -> dict[str, Any]:
    value = _said(tile.value)
    size = next(size for letters, size in SIZES if len(value) < letters)
    return {"name": _said(tile.name), "value": value, "below": _said(tile.below), "size": size}


def _verdict(verdict: Verdict, others: Message) -> dict[str, Any]:
    """The verdict with the checks that did not pass, FAIL before REVIEW."""
    failing = verdict.failing
    left = len(failing) - MOST_FAILING
    more = Message(others.template, {"left": left})
    return {
        "status": _status(verdict.status),
        "sentence": _said(verdict.sentence),
        "failing": [_failing(check) for check in failing[:MOST_FAILING]],
        "more": _said(more) if left > 0 else "",
    }


def _status(status: str) -> str:
    """PASS, REVIEW, FAIL and UNKNOWN as readers of the language have them."""
    return text(status)


def _failing(check: Check) -> dict[str, str]:
    """A check that did not pass, in plain words where it has any: what was found and asked stands under Evidence."""
    told = {"status": _status(check.status), "tone": check.status, "name": ""}
    if check.plain:
        return told | {"said": _said(message("{plain:sentence}", plain=check.plain))}
    said = message(
        "{advice:sentence}" if check.advice else "{value:word}.", value=check.value, advice=check.advice
    )
    name = message("{name:word}:", name=check.name)
    return told | {"name": _said(name), "said": _said(said).strip()}
