"""report.xlsx: the tables of the report as a workbook for finance, numbers as numbers, text as text.

A sheet for each table that a page stands on, in the order of the pages; headings and formats are those of its columns.
Nothing is rounded or hidden: a cell holds the full number, its format shows what is worth reading. No cell is a formula
or a link, whatever a channel is called.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from forecast.report.contents import report_of
from forecast.report.figures import ORANGE
from forecast.report.pages.overview import what_to_do
from forecast.tables import CHANCE, COUNT, CURRENCY, Table, Unit, unit_in
from forecast.words import FAIL, Text, clean, message, typed, whole

if TYPE_CHECKING:
    from forecast.results import Results

HEADS = ("Over the whole horizon", "mean", "10 %", "median", "90 %")
TOTALS = (
    ("Revenue inside the horizon", "revenue", CURRENCY),
    ("Won deals inside the horizon", "won", COUNT),
    ("Eventual revenue of the leads acquired", "eventual", CURRENCY),
)
BANDS = (
    "Bands are central: from 10 % to 90 % holds the outcome in four cases out of five. Totals are summed future by "
    "future: the quantiles of rows do not add up to the quantile of the total; means do."
)
MONEYS = (
    "Two moneys that are never added: revenue inside the horizon, and the eventual revenue of the leads that the "
    "horizon acquires. Contribution is gross margin times eventual revenue, less spend."
)
CAUSE = "What is attributed to a channel is not always caused by it: see the caveats in report.pdf."
FAILED = "FAIL: not for decisions"
WIDEST = 60
MOST_SIGNS = 16_000  # of a cell; Excel takes 32,767 halves of a sign


def write_workbook(made: Results, path: Path, *, created: datetime) -> None:
    """Write the workbook; `created` is the only date in it, so that the same results give the same bytes."""
    with made.study.speaking():
        path.write_bytes(_book(made, created))


def _book(made: Results, created: datetime) -> bytes:
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    file = io.BytesIO()  # so that a full disk is an OSError of ours, not one of the writer's own kind
    sheets = [table for page in report_of(made).pages for table in page.sheets]
    with xlsxwriter.Workbook(file, options | {"in_memory": True}) as book:
        title = f"Growth forecast: {made.study.name}"
        book.set_properties({"title": title, "created": created.replace(tzinfo=None)})
        style = _Styles(book)
        _headline(book, style, made, title, [table.sheet for table in sheets])
        for table in sheets:
            _sheet(book, style, table)
        if made.verdict.status == FAIL:
            for sheet in book.worksheets():
                sheet.set_header(f"&C&B{FAILED}")
                sheet.set_tab_color(ORANGE)
    return file.getvalue()


def write_tables(
    title: Text, lines: Sequence[Text], tables: Sequence[Table], path: Path, *, created: datetime
) -> None:
    """A workbook of a first sheet with what is said in `lines`, and of tables; `created` is the only date in it."""
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, options | {"in_memory": True}) as book:
        book.set_properties({"title": _words(title), "created": created.replace(tzinfo=None)})
        style = _Styles(book)
        sheet = book.add_worksheet("Summary")
        sheet.set_column(0, 0, 100)
        sheet.write_string(0, 0, _words(title), style.title)
        for row, line in enumerate(lines, start=2):
            sheet.write_string(row, 0, _words(line), style.text)
        _for_print(sheet)
        for table in tables:
            _sheet(book, style, table)
    path.write_bytes(file.getvalue())


class _Styles:
    """Number formats and the kinds of text."""

    def __init__(self, book: Workbook) -> None:
        self._book = book
        self._numbers: dict[str, Format] = {}
        self.head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "bottom"})
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.bold = book.add_format({"bold": True})
        self.fail = book.add_format({"bold": True, "font_size": 14, "font_color": ORANGE})
        self.text = book.add_format({"text_wrap": True, "valign": "top"})

    def number(self, unit: Unit) -> Format:
        """How numbers of a unit are shown."""
        shown = unit.cell or "General"
        if shown not in self._numbers:
            self._numbers[shown] = self._book.add_format({"num_format": shown})
        return self._numbers[shown]


def _headline(book: Workbook, style: _Styles, made: Results, title: str, sheets: list[str]) -> None:
    """The first sheet: verdict, headline, and how to read the rest."""
    sheet = book.add_worksheet("Headline")
    sheet.set_column(0, 0, 48)
    sheet.set_column(1, 4, 15)
    study, head = made.study, made.headline
    sheet.write_string(0, 0, title, style.title)
    verdict = style.fail if made.verdict.status == FAIL else style.bold
    sheet.write_string(1, 0, f"{made.verdict.status}: {typed(made.verdict.sentence)}", verdict)
    when = "Horizon {first} to {last}, as of the end of {as_of}; amounts in {currency}"
    first, last = study.horizon[0], study.horizon[-1]
    about = message(when, first=first, last=last, as_of=study.as_of, currency=study.currency)
    sheet.write_string(2, 0, typed(about))
    for column, name in enumerate(HEADS):
        sheet.write_string(4, column, name, style.head)
    row = 5
    for label, key, unit in TOTALS:
        sheet.write_string(row, 0, label)
        for column, level in enumerate(("mean", "q10", "q50", "q90"), start=1):
            _cell(sheet, row, column, head.get(f"{key}_{level}"), style.number(unit))
        row += 1
    row = _single_numbers(sheet, style, made, row + 1)
    for said in (what_to_do(made).lead, BANDS, MONEYS, CAUSE, f"Sheets: {', '.join(sheets)}."):
        row += 1
        words = typed(said)
        sheet.merge_range(row, 0, row, 4, "", style.text)
        sheet.write_string(row, 0, words, style.text)
        sheet.set_row(row, 15 * math.ceil(len(words) / 95) + 3)
    _for_print(sheet)


def _single_numbers(sheet: Worksheet, style: _Styles, made: Results, row: int) -> int:
    """Numbers of the headline that have no band of their own, those that there are; returns the next free row."""
    aimed = COUNT if made.study.target_measure == "won" else CURRENCY
    head = {**made.headline, "target": made.study.target}
    for label, key, unit in (
        ("Target", "target", aimed),
        ("P(target)", "p_target", CHANCE),
        ("P(target) with the recommended budget", "p_target_recommended", CHANCE),
        ("Gap: target less median", "gap", aimed),
        ("Gain of the best split (eventual contribution), mean", "gain_mean", CURRENCY),
        ("    80 % band, from", "gain_q10", CURRENCY),
        ("    80 % band, to", "gain_q90", CURRENCY),
        ("P(gain above 1 % of what the current plan brings)", "p_gain", CHANCE),
        ("P(recommendation better than the current plan)", "p_better", CHANCE),
    ):
        value = head.get(key)
        if value is not None and math.isfinite(value):
            sheet.write_string(row, 0, label)
            _cell(sheet, row, 1, value, style.number(unit))
            row += 1
    return row


def _sheet(book: Workbook, style: _Styles, table: Table) -> None:
    """One table with frozen headings, a filter, and widths that fit."""
    sheet = book.add_worksheet(table.sheet)
    columns, rows = table.shown, list(table)
    for at, column in enumerate(columns):
        title = typed(column.title)
        sheet.write_string(0, at, title, style.head)
        texts = [*(_shown(row[column.name]) for row in rows[:200]), *title.split()]
        sheet.set_column(at, at, min(max(map(len, texts)) + 3, WIDEST))
    for number, row in enumerate(rows, start=1):
        for at, column in enumerate(columns):
            _cell(sheet, number, at, row[column.name], style.number(unit_in(column.unit, row)))
    sheet.freeze_panes(1, 1)
    if rows:
        sheet.autofilter(0, 0, len(rows), max(len(columns) - 1, 0))
    sheet.repeat_rows(0)
    _for_print(sheet)


def _for_print(sheet: Worksheet) -> None:
    """A4, landscape, one page wide."""
    sheet.set_paper(9)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)


def _cell(sheet: Worksheet, row: int, column: int, value: Any, number: Format) -> None:
    """Write a value as what it is; no number, no cell."""
    if isinstance(value, bool | np.bool_):
        sheet.write_boolean(row, column, bool(value))
    elif isinstance(value, int | float | np.number):
        if math.isfinite(float(value)):
            sheet.write_number(row, column, float(value), number)
    elif value is not None:
        _write_text(sheet, row, column, _words(value))


def _write_text(sheet: Worksheet, row: int, column: int, words: str) -> None:
    """A text as it is, cut where Excel would refuse it.

    One that looks like rich text of the writer's own ("<r>...</r>") is written in two pieces: whole, it would go into
    the file as markup.
    """
    if len(words) > MOST_SIGNS:
        words = f"{words[: MOST_SIGNS - 1]}…"
    if words.startswith("<r>") and words.endswith("</r>"):
        sheet.write_rich_string(row, column, words[:1], Format(), words[1:])
    else:
        sheet.write_string(row, column, words)


def _words(value: Text) -> str:
    """A name as it is, on one line; a message in signs that survive a paste."""
    return clean(value if isinstance(value, str) else typed(value))


def _shown(value: Any) -> str:
    """About the text that a cell shows, for the width of its column."""
    return whole(value) if isinstance(value, float) and math.isfinite(value) else _words(value)
