"""report.xlsx: the tables of the report as a workbook for finance, numbers as numbers, periods as dates, text as text.

The first sheet says what each other is, with a link to it; the second has the headline, whose numbers have names of
the workbook (`=Revenue_expected` works in any cell). Then a sheet a table, in groups: a table of Excel's own with rows
of data alone, sums in a block below it, a chart beside it where one helps.

Nothing is rounded (but the plan to be paid, which is in coins): a cell holds the full number, its format shows what is
worth reading. No cell is a formula, and no link goes out of the file, whatever a channel is called.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from forecast.checks import FAIL
from forecast.periods import parse_period
from forecast.report.charts import CHARTS
from forecast.report.figures import BLUE, GREEN, GREY, ORANGE
from forecast.report.pages.overview import what_to_do
from forecast.report.sheets import BUDGET, EVIDENCE, FORECAST, GROUPS, SUMMARY, Sheet, sheets_of
from forecast.tables import (
    CHANCE,
    COUNT,
    CURRENCY,
    LABEL,
    PERIOD,
    TEXT,
    YES_NO,
    Column,
    Record,
    Table,
    Unit,
    unit_in,
)
from forecast.words import Message, Text, clean, formatted, known, message, typed

if TYPE_CHECKING:
    from forecast.results import Results

HEADS = ("Over the whole horizon", "expected", "10 %", "median", "90 %", "names of the cells")
TOTALS = (
    ("Revenue inside the horizon", "revenue", CURRENCY),
    ("Won deals inside the horizon", "won", COUNT),
    ("Eventual revenue of the leads acquired", "eventual", CURRENCY),
)
LEVELS = (("expected", "mean"), ("q10", "q10"), ("median", "q50"), ("q90", "q90"))
BANDS = (
    "Bands are central: from 10 % to 90 % holds the outcome in four cases out of five. Totals are summed future by "
    "future: the quantiles of rows do not add up to the quantile of the total; means do."
)
MONEYS = (
    "Two moneys that are never added: revenue inside the horizon, and the eventual revenue of the leads that the "
    "horizon acquires. Contribution is gross margin times eventual revenue, less spend."
)
CAUSE = "What is attributed to a channel is not always caused by it: see the caveats in report.pdf."
NAMED = "Headline numbers have names: type =Revenue_expected into any cell of this workbook, or of one linked to it."
FAILED = "FAIL: not for decisions"
TABS = {SUMMARY: GREY, FORECAST: BLUE, BUDGET: GREEN, EVIDENCE: "#b8b8b8"}
LOOK = "Table Style Light 1"
WIDEST, NARROWEST, ROOM = 45, 9, 6  # signs of a column; ROOM for the button of a filter
LINE, MOST_LINES = 15, 20  # points of a line; lines of a row
WIDE = 260  # signs of a sheet that takes two pages across
DATE = "mmm 2026  "  # about as wide as any
WORDED = (TEXT, LABEL, PERIOD, YES_NO)
MOST_LOOKED_AT = 200  # rows, for the width of a column
MOST_SIGNS = 16_000  # of a cell; Excel takes 32,767 halves of a sign
MOST_HEAD, MOST_TAB = 200, 31  # signs of a heading (Excel: 255), and of the name of a sheet


def write_workbook(made: Results, path: Path, *, created: datetime) -> None:
    """Write the workbook; `created` is the only date in it, so that the same results give the same bytes."""
    title = message("Growth forecast: {name}", name=made.study.name)
    sheets = sheets_of(made)

    def headline(book: _Book) -> None:
        _headline(book, made)

    failed = made.verdict.status == FAIL
    with made.study.speaking():
        path.write_bytes(
            _bytes(title, _about(made), sheets, created, made.study.currency, first=headline, failed=failed)
        )


def write_tables(
    title: Text,
    lines: Sequence[Text],
    tables: Sequence[Table],
    path: Path,
    *,
    created: datetime,
    currency: str = "",
    about: Mapping[str, Text] | None = None,
    failed: bool = False,
) -> None:
    """A workbook of any tables, with `lines` on its first sheet; `created` is the only date in it.

    about: what a table is, by its name. failed: each sheet says that its numbers are not for decisions.
    """
    told = about or {}
    sheets = [Sheet(table, about=told.get(table.name, "")) for table in tables if len(table)]
    path.write_bytes(_bytes(title, lines, sheets, created, currency, failed=failed))


def _about(made: Results) -> list[Text]:
    """What stands below the title of the first sheet."""
    study = made.study
    when = "Horizon {first} to {last}, as of the end of {as_of}; amounts in {currency}"
    first, last = study.horizon[0], study.horizon[-1]
    about = message(when, first=first, last=last, as_of=study.as_of, currency=study.currency)
    return [
        message("{status:word}: {sentence}", status=made.verdict.status, sentence=made.verdict.sentence),
        about,
    ]


def _bytes(
    title: Text,
    lines: Sequence[Text],
    sheets: Sequence[Sheet],
    created: datetime,
    currency: str,
    *,
    first: Callable[[_Book], None] | None = None,
    failed: bool = False,
) -> bytes:
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    file = io.BytesIO()  # so that a full disk is an OSError of ours, not one of the writer's own kind
    with xlsxwriter.Workbook(file, options | {"in_memory": True}) as made:
        made.set_properties({"title": _words(title), "created": created.replace(tzinfo=None)})
        book = _Book(made, _Styles(made, currency), failed=failed)
        contents = book.add("Contents", SUMMARY)
        if first is not None:
            first(book)
        places = [(sheet, _write(book, sheet)) for sheet in sheets]
        _contents(book, contents, title, lines, places, headline=first is not None)
    return file.getvalue()


# ------------------------------------------------------------------------------------------------------- the workbook


class _Styles:
    """Number formats and the kinds of text."""

    def __init__(self, book: Workbook, currency: str) -> None:
        self._book = book
        self._numbers: dict[tuple[str, bool], Format] = {}
        self._samples: dict[Unit, tuple[int, str, str]] = {}
        coin = clean(typed(message("{cur}", cur=currency))).replace('"', "").replace("\\", "")
        self._coin = f" [${coin}]" if coin.isalpha() and coin.isascii() else f'\\ "{coin}"' if coin else ""
        self.head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        over = {"bold": True, "bottom": 1, "text_wrap": True, "valign": "top", "align": "right", "indent": 2}
        self.over = book.add_format(over)  # numbers; the button of a filter stands at its right
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.bold = book.add_format({"bold": True, "valign": "top"})
        self.bold_text = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
        self.fail = book.add_format({"bold": True, "font_size": 14, "font_color": ORANGE})
        self.text = book.add_format({"text_wrap": True, "valign": "top"})
        self.top = book.add_format({"valign": "top"})
        self.link = book.add_format({"font_color": BLUE, "underline": 1, "valign": "top"})
        self.small = book.add_format({"font_color": GREY, "valign": "top", "indent": 1})

    def number(self, unit: Unit, *, bold: bool = False) -> Format:
        """How numbers of a unit are shown."""
        return self._format(self.shown(unit), bold=bold)

    def shown(self, unit: Unit) -> str:
        """The format of a unit, with the currency where it is money."""
        return f"{unit.cell}{self._coin}" if unit.money and unit.cell else unit.cell or "General"

    def sample(self, value: float, unit: Unit) -> str:
        """About how a number is shown."""
        if not math.isfinite(value):
            return ""
        if unit == CHANCE:
            return ">99%"
        times, form, after = self._samples.get(unit) or self._sampled(unit)
        return formatted(value * times, form) + after

    def _sampled(self, unit: Unit) -> tuple[int, str, str]:
        """By what a number of a unit is multiplied for that, how it is written, and what stands behind it."""
        shown = self.shown(unit)
        number, _, coin = shown.partition(" [$")
        digits = len(found[1]) if (found := re.search(r"\.(0+)", shown)) else 0
        made = 100 if "%" in number else 1, f",.{digits}f", re.sub(r"[#,0.]", "", number) + coin
        self._samples[unit] = (1, ".10g", "") if shown == "General" else made
        return self._samples[unit]

    def day(self, label: str, *, bold: bool = False) -> Format:
        """How the first day of a period is shown: a month by its name, all else as a day."""
        return self._format(
            "mmm yyyy" if re.fullmatch(r"\d{4}-\d{2}|\d{4}Q\d", label) else "yyyy-mm-dd", bold=bold
        )

    def _format(self, shown: str, *, bold: bool) -> Format:
        if (shown, bold) not in self._numbers:
            look = {"num_format": shown, "valign": "top", "align": "left" if "yyyy" in shown else "right"}
            self._numbers[shown, bold] = self._book.add_format(look | ({"bold": True} if bold else {}))
        return self._numbers[shown, bold]


class _Book:
    """A workbook that is being made: its sheets by name, what its cells are called."""

    def __init__(self, book: Workbook, style: _Styles, *, failed: bool) -> None:
        self.book, self.style, self._failed = book, style, failed
        self._taken: set[str] = set()
        self._tables: dict[str, int] = {}

    def add(self, name: Text, group: str) -> Worksheet:
        """A sheet, set for print: A4, landscape, one page wide, its name above and the number of the page below."""
        sheet = self.book.add_worksheet(self._free(_tab(typed(name))))
        sheet.set_paper(9)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.set_margins(left=0.5, right=0.5, top=0.7, bottom=0.6)
        stamp = f"&C&B{typed(FAILED)}" if self._failed else ""
        sheet.set_header(f"&L&A{stamp}")
        sheet.set_footer(f"&R{typed(message('Page {at} of {all}', at='&P', all='&N'))}")
        sheet.set_tab_color(ORANGE if self._failed else TABS[group])
        return sheet

    def table_name(self, table: str) -> str:
        """A name for a table of Excel's, no two alike."""
        self._tables[table] = self._tables.get(table, 0) + 1
        again = f"_{self._tables[table]}" if self._tables[table] > 1 else ""
        return f"{table}_table{again}"

    def _free(self, name: str) -> str:
        tried, k = name, 2
        while tried.casefold() in self._taken:
            tried, k = f"{name[: MOST_TAB - 3]} {k}", k + 1
        self._taken.add(tried.casefold())
        return tried

    def name(self, name: str, sheet: Worksheet, row: int, column: int) -> None:
        """Give a cell a name that works in the whole workbook."""
        place = xlsxwriter.utility.xl_rowcol_to_cell(row, column, row_abs=True, col_abs=True)
        self.book.define_name(name, f"='{_quoted(sheet)}'!{place}")


def _quoted(sheet: Worksheet) -> str:
    return str(sheet.get_name()).replace("'", "''")


def _tab(name: str) -> str:
    """The name of a sheet, without the signs that Excel refuses there, as long as it takes."""
    return re.sub(r"[\[\]:*?/\\]", " ", clean(name)).strip("'")[:MOST_TAB]


# --------------------------------------------------------------------------------------------------------- front sheets


def _contents(
    book: _Book, sheet: Worksheet, title: Text, lines: Sequence[Text], places: Sequence[tuple[Sheet, Worksheet]],
    *, headline: bool,
) -> None:  # fmt: skip
    """The first sheet: what each other is, with a link to it."""
    style = book.style
    sheet.set_column(0, 0, 28)
    sheet.set_column(1, 1, 92)
    sheet.set_column(2, 2, 9)
    sheet.hide_gridlines(2)
    _write_text(sheet, 0, 0, _words(title), style.title)
    row = 1
    for line in lines:
        _paragraph(sheet, row, line, style.text)
        row += 1
    groups: dict[str, list[tuple[str, Text, int | None]]] = {group: [] for group in GROUPS}
    if headline:
        said = "The numbers that count, with their bands and the names of their cells."
        groups[SUMMARY].append((book.book.worksheets()[1].get_name(), said, None))
    for made, place in places:
        groups[made.group].append((place.get_name(), made.about, len(made.table.data)))
    for group in (group for group in GROUPS if groups[group]):
        row += 1
        sheet.write_string(row, 0, typed(group), style.head)
        sheet.write_string(row, 1, typed("What it is"), style.head)
        sheet.write_string(row, 2, typed("Rows"), style.head)
        for name, about, rows in groups[group]:
            row += 1
            place = name.replace("'", "''")
            sheet.write_url(row, 0, f"internal:'{place}'!A1", style.link, string=name)
            sheet.write_string(row, 1, typed(about), style.text)
            if rows is not None:
                sheet.write_number(row, 2, rows, style.number(Unit("rows", "#,##0")))
        row += 1


def _paragraph(sheet: Worksheet, row: int, said: Text, look: Format) -> None:
    """A text over the width of the first three columns."""
    words = clean(typed(said))
    sheet.merge_range(row, 0, row, 2, "", look)
    _write_text(sheet, row, 0, words, look)
    sheet.set_row(row, 15 * math.ceil(len(words) / 120) + 3)


@dataclass(frozen=True)
class _Single:
    """A number of the headline that has no band of its own."""

    label: Text
    key: str
    unit: Unit
    name: str


def _headline(book: _Book, made: Results) -> None:
    """The second sheet: the numbers that count, each with the name of its cell, and how to read the rest."""
    style, sheet = book.style, book.add("Headline", SUMMARY)
    sheet.set_column(0, 0, 52)
    sheet.set_column(1, 4, 18)
    sheet.set_column(5, 5, 34)
    failed = made.verdict.status == FAIL
    for row, line in enumerate(_about(made)):
        _write_text(sheet, row, 0, _words(line), style.fail if failed and not row else style.bold)
    for column, name in enumerate(HEADS):
        sheet.write_string(3, column, typed(name), style.over if 0 < column < 5 else style.head)
    row = 4
    for label, key, unit in TOTALS:
        if not known(made.headline.get(f"{key}_mean")):
            continue
        sheet.write_string(row, 0, typed(label))
        for column, (end, level) in enumerate(LEVELS, start=1):
            _cell(sheet, row, column, made.headline.get(f"{key}_{level}"), style.number(unit))
            book.name(f"{key.capitalize()}_{end}", sheet, row, column)
        start = key.capitalize()
        sheet.write_string(row, 5, f"{start}_expected, {start}_q10, ...", style.small)
        row += 1
    row = _single_numbers(book, sheet, made, row + 1)
    for said in (what_to_do(made).lead, NAMED, BANDS, MONEYS, CAUSE):
        row += 1
        words = clean(typed(said))
        sheet.merge_range(row, 0, row, 5, "", style.text)
        _write_text(sheet, row, 0, words, style.text)
        sheet.set_row(row, 15 * math.ceil(len(words) / 150) + 3)
    sheet.freeze_panes(4, 1)


def _single_numbers(book: _Book, sheet: Worksheet, made: Results, row: int) -> int:
    """Numbers of the headline that have no band of their own, those that there are; returns the next free row."""
    aimed = COUNT if made.study.target_measure == "won" else CURRENCY
    spent = made.table("allocation").totals() if len(made.allocation) else {}
    head = {
        **made.headline,
        "target": made.study.target,
        "current": spent.get("current"),
        "recommended": spent.get("recommended"),
    }
    singles = (
        _Single("Target", "target", aimed, "Target"),
        _Single("P(target)", "p_target", CHANCE, "P_target"),
        _Single(
            "P(target) with the recommended budget", "p_target_recommended", CHANCE, "P_target_recommended"
        ),
        _Single("Gap to the target", "gap", aimed, "Target_gap"),
        _Single("Budget, current", "current", CURRENCY, "Current_total"),
        _Single("Budget, recommended", "recommended", CURRENCY, "Recommended_total"),
        _Single(
            "Gain of the best split (eventual contribution), expected", "gain_mean", CURRENCY, "Gain_expected"
        ),
        _Single("    80 % band, from", "gain_q10", CURRENCY, "Gain_q10"),
        _Single("    80 % band, to", "gain_q90", CURRENCY, "Gain_q90"),
        _Single("P(gain above 1 % of what the current plan brings)", "p_gain", CHANCE, "P_gain"),
        _Single("P(recommendation better than the current plan)", "p_better", CHANCE, "P_better"),
    )
    for single in singles:
        value = head.get(single.key)
        if known(value):
            sheet.write_string(row, 0, typed(single.label))
            _cell(sheet, row, 1, value, book.style.number(single.unit))
            book.name(single.name, sheet, row, 1)
            sheet.write_string(row, 5, single.name, book.style.small)
            row += 1
    study = made.study
    told: list[tuple[Text, str, str]] = [
        ("As of the end of", study.as_of, "As_of"),
        ("First period of the horizon", study.horizon[0], "Horizon_first"),
        ("Last period of the horizon", study.horizon[-1], "Horizon_last"),
    ]
    for label, period, name in told:
        sheet.write_string(row, 0, typed(label))
        _period(book, sheet, row, 1, period)
        book.name(name, sheet, row, 1)
        sheet.write_string(row, 5, name, book.style.small)
        row += 1
    for label, words, name in (
        ("Verdict", made.verdict.status, "Verdict"),
        ("Currency", study.currency, "Currency"),
        ("Run", str(made.provenance.get("run_id", "")), "Run_id"),
    ):
        if words:
            sheet.write_string(row, 0, typed(label))
            _write_text(sheet, row, 1, clean(words), book.style.top)
            book.name(name, sheet, row, 1)
            sheet.write_string(row, 5, name, book.style.small)
            row += 1
    return row


# --------------------------------------------------------------------------------------------------------- one sheet


def _write(book: _Book, made: Sheet) -> Worksheet:
    """One sheet: its table with frozen headings and a filter, sums below it, further tables below these, a chart."""
    sheet = book.add(made.table.sheet, made.group)
    blocks = [_Block(book, table, across=made.across) for table in (made.table, *made.blocks)]
    widths: dict[int, int] = {}
    for block in blocks:
        for at, width in enumerate(block.widths):
            widths[at] = max(width, widths.get(at, 0))
    for at, width in widths.items():
        sheet.set_column(at, at, width)
    if sum(widths.values()) > WIDE:
        sheet.fit_to_pages(2, 0)
        sheet.repeat_columns(0)
    row = 0
    for block in blocks:
        row = block.write(sheet, row, widths) + 1
    sheet.freeze_panes(1, 1)
    sheet.repeat_rows(0)
    if made.chart:
        CHARTS[made.chart](book.book, sheet, made.table, row)
    return sheet


class _Block:
    """A table of Excel's own, and what sums it up below and beside it, apart."""

    def __init__(self, book: _Book, table: Table, *, across: bool) -> None:
        self.book, self.table, self.columns, self._across = book, table, table.shown, across
        self.heads = heads_of(self.columns)
        self.rows, self.sums = table.parted()
        if not self.rows:  # nothing but sums: they are the table
            self.rows, self.sums = self.sums, []
        if added := table.totals():
            self.sums = [{self.columns[0].name: message("total")} | added]

    @property
    def widths(self) -> list[int]:
        """As wide as what stands in each column, texts up to `WIDEST`; headings may take several lines."""
        told = []
        looked_at = [*self.rows[:MOST_LOOKED_AT], *self.sums]
        for column, head in zip(self.columns, self.heads, strict=True):
            signs = [len(self._shown(column, row)) + 1 for row in looked_at if column.name in row]
            word = max(map(len, head.split()), default=0) + ROOM
            told.append(max(NARROWEST, min(max(signs, default=0), WIDEST), min(word, WIDEST)))
        return [*told, 3, max(told)] if self._across else told

    def _words(self, column: Column, row: Record) -> str:
        """A text of a cell: words of ours as they are spoken, a name as it is."""
        value = row[column.name]
        ours = isinstance(value, Message) or unit_in(column.unit, row) == LABEL or value in column.sums
        return clean(typed(value) if ours else value)

    def _shown(self, column: Column, row: Record) -> str:
        """About the text that a cell shows."""
        value = row[column.name]
        if isinstance(value, bool | np.bool_) or value is None:
            return "FALSE"
        if isinstance(value, int | float | np.number):
            return self.book.style.sample(float(value), unit_in(column.unit, row))
        return DATE if unit_in(column.unit, row) == PERIOD else self._words(column, row)

    def write(self, sheet: Worksheet, start: int, widths: Mapping[int, int]) -> int:
        """Write it from a row on; returns the row after it."""
        style = self.book.style
        looks = [style.head if column.unit in WORDED else style.over for column in self.columns]
        told = [{"header": h, "header_format": look} for h, look in zip(self.heads, looks, strict=True)]
        last = start + len(self.rows)
        named = {"name": self.book.table_name(self.table.name), "style": LOOK, "columns": told}
        sheet.add_table(start, 0, last, len(self.columns) - 1, named)
        lines = [len(textwrap.wrap(head, max(widths[at] - 4, 4))) for at, head in enumerate(self.heads)]
        sheet.set_row(start, LINE * max(lines))
        if self._across:
            sheet.write_string(start, len(self.columns) + 1, typed(message("total")), style.over)
        for row, values in enumerate(self.rows, start=start + 1):
            self._row(sheet, row, values, widths)
        row = last + 2
        for values in self.sums:
            self._row(sheet, row, values, widths, bold=True)
            row += 1
        return row

    def _row(
        self, sheet: Worksheet, row: int, values: Record, widths: Mapping[int, int], *, bold: bool = False
    ) -> None:
        style, lines = self.book.style, 1
        for at, column in enumerate(self.columns):
            value = values.get(column.name)
            if value is None or (isinstance(value, float) and math.isnan(value)):
                continue
            unit = unit_in(column.unit, values)
            if unit == YES_NO:
                sheet.write_boolean(row, at, bool(value))  # in no format: in one, some programs show 1 and 0
            elif not isinstance(value, str | Message):
                _cell(sheet, row, at, value, style.number(unit, bold=bold))
            elif unit == PERIOD and isinstance(value, str) and value not in column.sums:
                _period(self.book, sheet, row, at, value, bold=bold)
            else:
                words = self._words(column, values)
                if len(words) > widths[at]:
                    lines = max(lines, len(textwrap.wrap(words, widths[at])))
                wraps = len(words) > widths[at]
                look = (
                    (style.bold_text if wraps else style.bold) if bold else style.text if wraps else style.top
                )
                _write_text(sheet, row, at, words, look)
        added = [column for column in self.columns if column.total] if self._across else []
        if added:
            total, unit = sum(values[column.name] for column in added), unit_in(added[0].unit, values)
            _cell(sheet, row, len(self.columns) + 1, total, style.number(unit, bold=True))
        if lines > 1:
            sheet.set_row(row, LINE * min(lines, MOST_LINES))


# ------------------------------------------------------------------------------------------------------------ cells


def heads_of(columns: Iterable[Column]) -> list[str]:
    """Headings that a table of Excel's takes: not empty, no two alike, without marks that its files give a meaning."""
    heads: list[str] = []
    taken: set[str] = set()
    for at, column in enumerate(columns, start=1):
        said = (
            re.sub(r"_(x[0-9A-Fa-f]{4}_)", r"\1", clean(typed(column.title))).replace("<r>", "< r>").strip()
        )
        head = said = said[:MOST_HEAD] or str(at)
        k = 2
        while (alike := unicodedata.normalize("NFKC", head).casefold()) in taken:
            head, k = f"{said} ({k})", k + 1
        taken.add(alike)
        heads.append(head)
    return heads


def _period(book: _Book, sheet: Worksheet, row: int, column: int, label: str, *, bold: bool = False) -> None:
    """The first day of a period as a date; what is no period as the text that it is."""
    day = first_day(label)
    if day is None:
        _write_text(sheet, row, column, clean(label), book.style.bold if bold else book.style.top)
    else:
        sheet.write_datetime(row, column, day, book.style.day(label, bold=bold))


@cache
def first_day(label: str) -> datetime | None:
    """The first day of a period as `periods.period_label` writes it; None where it is none.

    >>> first_day("2026-11"), first_day("total")
    (datetime.datetime(2026, 11, 1, 0, 0), None)
    """
    forms = {"month": r"\d{4}-\d{2}", "week": r"\d{4}-W\d{2}", "quarter": r"\d{4}Q\d"}
    for kind, form in forms.items():
        if re.fullmatch(form, label):
            start = parse_period(label, kind)
            return datetime.fromtimestamp(int(start.astype("datetime64[s]").astype(np.int64)), UTC).replace(
                tzinfo=None
            )
    return None


def _cell(sheet: Worksheet, row: int, column: int, value: Any, number: Format) -> None:
    """Write a value as what it is; no number, no cell."""
    if isinstance(value, bool | np.bool_):
        sheet.write_boolean(row, column, bool(value))
    elif isinstance(value, int | float | np.number):
        if math.isfinite(float(value)):
            sheet.write_number(row, column, float(value), number)
    elif value is not None:
        _write_text(sheet, row, column, _words(value))


def _write_text(sheet: Worksheet, row: int, column: int, words: str, look: Format | None = None) -> None:
    """A text as it is, cut where Excel would refuse it.

    One that looks like rich text of the writer's own ("<r>...</r>") is written in two pieces: whole, it would go into
    the file as markup.
    """
    if len(words) > MOST_SIGNS:
        words = f"{words[: MOST_SIGNS - 1]}…"
    if words.startswith("<r>") and words.endswith("</r>"):
        sheet.write_rich_string(row, column, words[:1], Format(), words[1:])
    else:
        sheet.write_string(row, column, words, look)


def _words(value: Text) -> str:
    """A name as it is, on one line; a message in signs that survive a paste."""
    return clean(value if isinstance(value, str) else typed(value))
