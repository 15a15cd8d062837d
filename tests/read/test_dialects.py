"""Single questions about how files are written: what is clear is read, what is not is asked for, and nothing else."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st
from made_files import DATES, NUMBERS, study_of

from forecast.errors import DataError
from forecast.history import History, read_history, read_plan

HEADER = "period,channel,spend,visitors,leads,qualified,won,revenue"
COUNTS = [HEADER.split(",")] + [
    [f"2026-0{m}", channel, f"{900 + 130 * m}.50", str(1100 + 7 * m), "30", "12", str(m), f"{m}500.25"]
    for m in (1, 2, 3)
    for channel in ("ppc", "seo")
]
LEADS = [
    ["lead_id", "channel", "created", "qualified", "won", "lost", "amount"],
    ["a", "ppc", "2026-01-05", "2026-01-09", "2026-02-20", "", "1000.50"],
    ["b", "ppc", "2026-01-15", "", "", "2026-03-31", ""],
    ["c", "seo", "2026-02-15", "2026-02-25", "", "", ""],
]
Table = list[list[str]]


def text_of(table: Table, delimiter: str = ",", ends: str = "\n") -> str:
    """The table as a CSV without quotes."""
    return "".join(delimiter.join(row) + ends for row in table)


def column(table: Table, name: str, cells: Callable[[str], str] | Sequence[str], title: str = "") -> Table:
    """The table with another column: each cell changed, or others instead; and with another title."""
    at = table[0].index(name)
    changed = [cells(row[at]) for row in table[1:]] if callable(cells) else list(cells)
    return [
        [*row[:at], cell, *row[at + 1 :]] for row, cell in zip(table, [title or name, *changed], strict=True)
    ]


def counts_of(folder: Path, content: str | bytes | Table, **history: Any) -> History:
    """The history of these counts."""
    content = text_of(content) if isinstance(content, list) else content
    (folder / "c.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return read_history(study_of(folder, {"counts": "c.csv", **history}))


def leads_of(folder: Path, content: str | bytes | Table, **history: Any) -> History:
    """The history of these leads."""
    content = text_of(content) if isinstance(content, list) else content
    (folder / "l.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return read_history(study_of(folder, {"leads": "l.csv", **history}))


def refusal(reader: Callable[..., History], /, *args: Any, **history: Any) -> str:
    """What a person is told."""
    with pytest.raises(DataError) as caught:
        reader(*args, **history)
    return str(caught.value)


def read_or_refused(reader: Callable[..., History], /, *args: Any, **history: Any) -> History | None:
    """The history; None where the file was refused."""
    try:
        return reader(*args, **history)
    except DataError:
        return None


def book_of(path: Path, sheets: dict[str, Sequence[Sequence[Any]]], hidden: Sequence[str] = ()) -> None:
    """A workbook: numbers as numbers; a text that begins with "=" is a formula, "#..." what its error shows."""
    book = xlsxwriter.Workbook(str(path))
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                if isinstance(cell, str) and cell.startswith("#"):
                    sheet.write_formula(i, j, "=1/0", None, cell)
                elif isinstance(cell, str) and i and re.fullmatch(r"\d+(\.\d+)?", cell):
                    sheet.write_number(i, j, float(cell))
                elif cell != "":
                    sheet.write_string(i, j, cell)
        if name in hidden:
            sheet.hide()
        else:
            sheet.activate()
            sheet.set_first_sheet()
    book.close()


def excel_of(folder: Path, rows: Sequence[Sequence[Any]], role: str = "counts", **history: Any) -> History:
    """The history of a workbook of one sheet."""
    book_of(folder / "b.xlsx", {"Data": rows})
    return read_history(study_of(folder, {role: "b.xlsx", **history}))


# Bytes


def test_bytes_of_no_encoding_ask_for_it(tmp_path: Path) -> None:
    """Cyrillic letters in a Windows page are no western words: asked for, and right with the key."""
    table = column(COUNTS, "channel", ["поиск", "почта"] * 3)
    content = text_of(table).encode("cp1251")

    assert "history.read.encoding" in refusal(counts_of, tmp_path, content)
    asked = counts_of(tmp_path, content, read={"encoding": "cp1251"})
    assert asked.fingerprint() == counts_of(tmp_path, table).fingerprint()
    assert asked.channels == ["поиск", "почта"]


def test_two_encodings_in_one_file_are_told_with_the_line(tmp_path: Path) -> None:
    """One row of another program among UTF-8: neither reading of the bytes is right for all rows."""
    table = column(COUNTS, "channel", ["mäki", "jää"] * 3)
    lines = text_of(table).splitlines(keepends=True)
    content = b"".join(line.encode("cp1252" if i == 4 else "utf-8") for i, line in enumerate(lines))

    said = refusal(counts_of, tmp_path, content)

    assert "line 5" in said
    assert "encoding" in said or "UTF-8" in said


@pytest.mark.parametrize("content", [b"\x81\x8d\x8f\x90\x9d,\x81\n\x8d,\x81\n" * 9, bytes(range(256)) * 4])
@pytest.mark.parametrize("read", [counts_of, leads_of])
def test_bytes_that_are_no_text(tmp_path: Path, content: bytes, read: Callable[..., History]) -> None:
    """Bytes that no encoding makes a table of are refused in one sentence that names the file."""
    said = refusal(read, tmp_path, content)

    assert said.startswith(("c.csv: ", "l.csv: "))


@pytest.mark.parametrize("encoding", ["mac_roman", "cp850", "cp437", "cp1250", "iso8859_15"])
def test_older_encodings_are_read_rightly_or_asked_for(tmp_path: Path, encoding: str) -> None:
    """Excel on a Mac, exports of a terminal: letters that are others in Windows do not become other names."""
    content = text_of(column(COUNTS, "channel", ["mäki", "työ"] * 3)).encode(encoding)

    found = read_or_refused(counts_of, tmp_path, content)

    assert found is None or found.channels == ["mäki", "työ"]
    assert counts_of(tmp_path, content, read={"encoding": encoding}).channels == ["mäki", "työ"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(tmp_path: Path, encoding: str) -> None:
    """Every other byte is zero: read as it is, or asked for; with the key it is right."""
    expected = counts_of(tmp_path, COUNTS).fingerprint()
    found = read_or_refused(counts_of, tmp_path, text_of(COUNTS).encode(encoding))

    assert found is None or found.fingerprint() == expected
    asked = counts_of(tmp_path, text_of(COUNTS).encode(encoding), read={"encoding": encoding})
    assert asked.fingerprint() == expected


# Numbers


@pytest.mark.parametrize("mark", [".", ","])
@pytest.mark.parametrize("name", ["spend", "revenue"])
def test_three_digits_after_the_only_mark_ask_for_it(tmp_path: Path, mark: str, name: str) -> None:
    """ "1.200" and nothing else is 1200 or 1.2: each key settles it, the one way and the other."""
    table = column(COUNTS, name, lambda cell: f"{float(cell):,.0f}".replace(",", mark))
    table = column(table, "revenue" if name == "spend" else "spend", lambda cell: cell.split(".")[0])
    table = [row if mark == "." else [f'"{cell}"' if "," in cell else cell for cell in row] for row in table]
    truth = counts_of(tmp_path, column(COUNTS, name, lambda cell: f"{float(cell):.0f}")).counts[name].sum()

    said = refusal(counts_of, tmp_path, table)
    assert "history.read.decimal" in said or "history.read.thousands" in said
    assert "row 2" in said
    other = "." if mark == "," else ","
    for keys, factor in (
        ({"thousands": mark}, 1), ({"decimal": other}, 1), ({"decimal": mark}, 1000),
    ):  # fmt: skip
        found = counts_of(tmp_path, table, read=keys).counts[name].sum()
        assert float(found) * factor == pytest.approx(float(truth))


def test_amounts_of_leads_with_three_digits_after_the_mark_ask_too(tmp_path: Path) -> None:
    """The same of a file of leads."""
    table = column(LEADS, "amount", ["5.012", "", ""])

    said = refusal(leads_of, tmp_path, table)
    assert "history.read.decimal" in said or "history.read.thousands" in said
    assert leads_of(tmp_path, table, read={"thousands": "."}).deals["amount"].tolist() == [5012.0]
    assert leads_of(tmp_path, table, read={"decimal": "."}).deals["amount"].tolist() == [5.012]


@pytest.mark.parametrize("mark", [".", ","])
def test_one_cell_can_settle_the_column(tmp_path: Path, mark: str) -> None:
    """ "2.5" has no thousands, so "1.234" beside it has none."""
    cells = [cell.replace(".", mark) for cell in ("1.234", "2.5", "1.5", "1.125", "4", "0.25")]

    found = counts_of(tmp_path, text_of(column(COUNTS, "spend", cells), ";").replace(".25\n", "\n"))

    assert float(found.counts["spend"].sum()) == pytest.approx(10.609)


@pytest.mark.parametrize("name", ["spend", "revenue"])
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_numbers_that_contradict_each_other_are_told_with_rows(
    tmp_path: Path, name: str, delimiter: str
) -> None:
    """1.200,50 and 1,200.50 in one column: two programs wrote it, and neither can be believed for the other."""
    cells = ["1.200,50", "1.300,50", "1,200.50", "1.400,50", "1.500,50", "1.600,50"]
    table = column(COUNTS, "spend" if name == "revenue" else "revenue", lambda cell: cell.split(".")[0])

    said = refusal(counts_of, tmp_path, text_of(column(table, name, cells), delimiter))

    assert f"column {name}" in said
    assert "row 4" in said
    assert '"1,200.50"' in said


def test_a_key_against_what_the_file_shows_is_refused(tmp_path: Path) -> None:
    """decimal = "," over 1200.50: the cells are named, not read as 120050."""
    said = refusal(counts_of, tmp_path, COUNTS, read={"decimal": ","})

    assert "column spend" in said
    assert "row 2" in said


@pytest.mark.parametrize(
    "odd",
    [
        "n/a",
        "1200,5O",
        "-",
        "12 3",
        "1.2.3",
        "1,20,0",
        "1e",
        "see notes",
        "§",
        "0x10",
        "½",
        "1200¹",
        "1 200,5²",
    ],
)
def test_one_odd_cell_is_told_with_its_row(tmp_path: Path, odd: str) -> None:
    """A cell that is no number in a column of them: row and what stands there."""
    table = column(COUNTS, "spend", ["1200,50", "1300,50", odd, "1400,50", "1500,50", "1600,50"])
    table = column(table, "revenue", lambda cell: cell.replace(".", ","))

    said = refusal(counts_of, tmp_path, text_of(table, ";"))

    assert "column spend" in said
    assert "row 4" in said
    assert odd in said


@pytest.mark.parametrize("cell", ["37 %", "37%", "37\u00a0%"])
@pytest.mark.parametrize("name", ["leads", "spend", "visitors"])
def test_a_percentage_is_no_count_and_no_money(tmp_path: Path, cell: str, name: str) -> None:
    """37 % leads are not 37 and not 0.37 of one."""
    said = refusal(counts_of, tmp_path, column(COUNTS, name, [cell] * 6))

    assert f"column {name}" in said
    assert "row 2" in said


def test_percentages_in_a_column_that_is_not_read_do_no_harm(tmp_path: Path) -> None:
    """Rates that a dashboard adds do not change how the other columns are read."""
    table = [[*row, "Konversio" if i == 0 else "3,7 %"] for i, row in enumerate(COUNTS)]
    table = [[cell.replace(".", ",") for cell in row] for row in table]

    assert counts_of(tmp_path, text_of(table, ";")).fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


NEGATIVES = [
    "(1,200.50)",
    "-1,200.50",
    "\u22121,200.50",
    "1,200.50-",
    "(£1,200.50)",
    "-£1,200.50",
    "£-1,200.50",
]


@pytest.mark.parametrize("cell", NEGATIVES)
def test_negative_money_is_refused_however_it_is_written(tmp_path: Path, cell: str) -> None:
    """Brackets of accountants, true minus signs, minus signs behind: never a positive amount."""
    table = column(COUNTS, "revenue", lambda cell: f"£{float(cell):,.2f}")
    table[3][-1] = cell
    said = refusal(counts_of, tmp_path, text_of(table, "\t"))

    assert "column revenue" in said
    assert "row 4" in said


@pytest.mark.parametrize("cell", NEGATIVES)
def test_negative_money_is_read_where_it_is_meant(tmp_path: Path, cell: str) -> None:
    """With net_revenue it is what it says, or refused; never positive, never another amount."""
    table = column(COUNTS, "revenue", lambda cell: f"£{float(cell):,.2f}")
    before = counts_of(tmp_path, column(COUNTS, "revenue", lambda cell: cell)).counts["revenue"]
    table[3][-1] = cell

    found = read_or_refused(counts_of, tmp_path, text_of(table, "\t"), net_revenue=True)

    if found is not None:  # money paid back stands apart from what deals brought
        deals, back = (float(found.counts[name].sel(channel="ppc")[1]) for name in ("revenue", "refunds"))
        assert (deals, back) == (0.0, 1200.50)
    assert float(before.sel(channel="ppc")[1]) == 2500.25


@pytest.mark.parametrize("title", ["Cost (micros)", "cost_micros", "Cost micros"])
def test_cost_in_micros(tmp_path: Path, title: str) -> None:
    """Millionths of the currency are read as such or refused, never as the currency."""
    table = column(COUNTS, "spend", lambda cell: str(int(float(cell) * 1_000_000)), title)

    found = read_or_refused(counts_of, tmp_path, table)

    expected = counts_of(tmp_path, COUNTS).counts["spend"].sum()
    assert found is None or float(found.counts["spend"].sum()) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("title", "money"),
    [("spend", "1200.50 USD"), ("spend", "$1200.50"), ("spend", "US$ 1200.50"), ("Spend (USD)", "1200.50")],
)
def test_money_of_another_currency_is_not_taken_for_ours_without_a_word(
    tmp_path: Path, title: str, money: str
) -> None:
    """A currency in cells or title that is not the study's is refused, or said; the study's own is read."""
    own = column(
        COUNTS, "spend", [money.replace("USD", "EUR").replace("US$", "").replace("$", "€")] * 6, title
    )
    assert float(counts_of(tmp_path, own).counts["spend"].sum()) == 6 * 1200.5

    found = read_or_refused(counts_of, tmp_path, column(COUNTS, "spend", [money] * 6, title))

    assert found is None or "USD" in f"{found.files[0].notes} {found.files[0].dialect}"


# Dates


@pytest.mark.parametrize(("order", "month"), [("dmy", 4), ("mdy", 3)])
def test_days_that_may_be_months_ask_for_the_order(tmp_path: Path, order: str, month: int) -> None:
    """3/4/2026 throughout is in March or in April: asked for, and read as the key says."""
    table = column(LEADS, "created", ["3/4/2026", "3/5/2026", "3/6/2026"])
    table = column(
        column(column(table, "qualified", [""] * 3), "won", [""] * 3), "lost", ["", "", "8/8/2026"]
    )
    table = column(table, "amount", [""] * 3)

    assert "history.read.dates" in refusal(leads_of, tmp_path, table)
    found = leads_of(tmp_path, table, read={"dates": order})
    assert found.labels[0] == f"2026-0{month}"


def test_another_column_settles_the_order(tmp_path: Path) -> None:
    """One file has one order: 25/2/2026 in one column settles 5/1/2026 in another, or it is asked for."""

    def slashes(cell: str) -> str:
        return f"{int(cell[8:])}/{int(cell[5:7])}/{cell[:4]}" if cell else ""

    table = LEADS
    for name in ("created", "qualified", "won", "lost"):
        table = column(table, name, slashes)
    table = column(table, "created", ["5/1/2026", "5/1/2026", "5/2/2026"])
    plain = column(LEADS, "created", ["2026-01-05", "2026-01-05", "2026-02-05"])

    found = read_or_refused(leads_of, tmp_path, table)
    asked = leads_of(tmp_path, table, read={"dates": "dmy"})

    expected = leads_of(tmp_path, plain).fingerprint()
    assert found is None or found.fingerprint() == expected
    assert asked.fingerprint() == expected


def test_dates_that_contradict_each_other_are_told_with_rows(tmp_path: Path) -> None:
    """25/1/2026 and 1/25/2026 in one column."""
    said = refusal(leads_of, tmp_path, column(LEADS, "created", ["25/1/2026", "1/26/2026", "27/1/2026"]))

    assert "column created" in said
    assert "row 3" in said
    assert '"1/26/2026"' in said


ODD_PERIODS = {
    "month": [
        "1.{m}.26", "26-{mm}-01", "{mm}-2026", "{mm}/26", "2026.{mm}", "2026 {mm}", "2026{mm}", "2026/{mm}/01",
        "2026-{mm}-01T00:00:00", "2026-{mm}-01 00:00", "1.{m}.2026 0:00", "2026-{mm}-01T00:00:00+02:00",
    ],
    "quarter": ["Q{q}/2026", "2026 Q{q}", "2026-Q{q}", "{q}/2026", "Q{q} 2026"],
    "week": ["{m}/2026", "vko {m}/2026", "KW {m} 2026", "2026-{mm}", "2026W{mm}", "v{m} 2026"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "form"), [(kind, form) for kind in ODD_PERIODS for form in ODD_PERIODS[kind]]
)
def test_other_writings_of_periods_are_read_rightly_or_refused(tmp_path: Path, kind: str, form: str) -> None:
    """Two-digit years, months without a day, times of midnight, quarters, weeks: never another period."""
    plain = {"month": "2026-{mm}", "quarter": "2026Q{q}", "week": "2026-W{mm}"}[kind]
    numbers = [1, 1, 2, 2, 3, 3]

    def table(shape: str) -> Table:
        return column(COUNTS, "period", [shape.format(m=n, mm=f"{n:02d}", q=n) for n in numbers])

    found = read_or_refused(counts_of, tmp_path, table(form), period=kind)

    expected = counts_of(tmp_path, table(plain), period=kind).fingerprint()
    assert found is None or found.fingerprint() == expected


def test_forms_of_one_column_may_differ_where_each_is_clear(tmp_path: Path) -> None:
    """A column in which someone changed habits is read rightly or refused."""
    cells = ["2026-01", "tammikuu 2026", "1.2.2026", "helmi 2026", "March 2026", "3/2026"]
    found = read_or_refused(counts_of, tmp_path, column(COUNTS, "period", cells))

    assert found is None or found.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


STARTS = ["2025-12-31T22:00:00Z", "2026-01-31T22:00:00Z", "2026-02-28T22:00:00Z"]  # of months, in Helsinki


@pytest.mark.parametrize("mark", ["Z", "+00:00", ".000Z"])
def test_starts_of_months_in_utc_ask_for_the_zone(tmp_path: Path, mark: str) -> None:
    """Midnight of Helsinki is two hours earlier in UTC: read by its date each month would be the one before."""
    table = column(COUNTS, "period", [start.replace("Z", mark) for start in STARTS for _ in range(2)])

    assert "history.read.time_zone" in refusal(counts_of, tmp_path, table)
    found = counts_of(tmp_path, table, read={"time_zone": "Europe/Helsinki"})
    assert found.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


def test_times_of_leads_fall_on_the_days_of_the_zone(tmp_path: Path) -> None:
    """A lead of 23:30 UTC on 31 January is one of February in Helsinki, in CSV as in Parquet."""
    table = column(LEADS, "created", ["2026-01-05T10:00:00Z", "2026-01-31T23:30:00Z", "2026-02-15T10:00:00Z"])

    found = leads_of(tmp_path, table, read={"time_zone": "Europe/Helsinki"})

    assert found.counts["leads"].sel(channel="ppc").values[:2].tolist() == [1, 1]


# Layout of text files


def framed(text: str) -> str:
    """What an analytics tool writes around its table."""
    return f"# ----------\n# Traffic\n# 20260101-20260331\n# ----------\n\n{text}"


@pytest.mark.parametrize("before", ["sep=;\n", "sep=;\r\n", '"sep=;"\n'])
def test_the_line_that_tells_excel_the_delimiter(tmp_path: Path, before: str) -> None:
    """ "sep=;" is no header."""
    content = before + text_of(COUNTS, ";", "\r\n" if "\r" in before else "\n")

    assert counts_of(tmp_path, content).fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


@pytest.mark.parametrize("after", ["", "\n# end of report\n", "\nGrand total is not shown\n"])
def test_comment_lines_before_the_header(tmp_path: Path, after: str) -> None:
    """Lines that an analytics tool writes around its table are left out, and said with their numbers."""
    found = counts_of(tmp_path, framed(text_of(COUNTS)) + after)

    assert found.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()
    rows = {row for left in found.files[0].left_out for row in left.rows}
    assert {1, 2, 3, 4} <= rows
    assert (len(COUNTS) + 7 in rows) == bool(after)


def test_comment_lines_before_the_header_of_leads(tmp_path: Path) -> None:
    """The same of leads, and rows are still named as the file has them."""
    expected = leads_of(tmp_path, LEADS).fingerprint()
    assert leads_of(tmp_path, framed(text_of(LEADS))).fingerprint() == expected

    broken = column(LEADS, "created", ["2026-01-05", "no date", "2026-02-15"])
    assert "row 8" in refusal(leads_of, tmp_path, framed(text_of(broken)))


def test_keys_of_the_layout(tmp_path: Path) -> None:
    """header_row, skip_rows and delimiter do what they say where a file could be taken otherwise."""
    expected = counts_of(tmp_path, COUNTS).fingerprint()
    twice = text_of([COUNTS[0], *[["2020-01", "old", *["1"] * 6]], *COUNTS])

    assert counts_of(tmp_path, twice, read={"header_row": 3}).fingerprint() == expected
    assert counts_of(tmp_path, twice, read={"skip_rows": 2}).fingerprint() == expected
    mixed = text_of(column(COUNTS, "channel", lambda name: f"{name};x"), "|")
    assert counts_of(tmp_path, mixed, read={"delimiter": "|"}).channels == ["ppc;x", "seo;x"]


@pytest.mark.parametrize("ends", [("\r\n", "\n"), ("\n", "\r"), ("\r\n", "\n", "\r")])
@pytest.mark.parametrize("late", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_mixed_line_ends(tmp_path: Path, ends: tuple[str, ...], late: bool) -> None:
    """Files glued from several programs, with the change at once or far down: the same leads."""
    n = 3000
    rows = [[f"x{i}", "seo", f"2026-0{1 + i % 3}-10", "", "", "", ""] for i in range(n)]
    lines = [",".join(row) for row in [*LEADS, *rows]]

    def end(i: int) -> str:
        return (ends[0] if i < n - 100 else ends[1]) if late else ends[i % len(ends)]

    mixed = "".join(line + end(i) for i, line in enumerate(lines))

    expected = leads_of(tmp_path, "".join(line + "\n" for line in lines)).fingerprint()
    assert leads_of(tmp_path, mixed).fingerprint() == expected


def test_a_pivot_with_blanks(tmp_path: Path) -> None:
    """Months across: an empty cell is as unknown as it is in a long table, a zero is a zero."""
    long = column(COUNTS, "won", ["1", "0", "", "2", "3", ""])
    long = column(long, "spend", ["900.50", "", "950.50", "800.50", "", "870.50"])

    found = counts_of(tmp_path, text_of(pivot_of(long), ";"))

    assert found.fingerprint() == counts_of(tmp_path, long).fingerprint()


def test_a_pivot_with_its_sums(tmp_path: Path) -> None:
    """A column and a row of sums beside months across are no month and no channel: left out, or refused."""
    table = [
        [*row, f"{sum(map(float, row[2:])):g}" if i else "Total"] for i, row in enumerate(pivot_of(COUNTS))
    ]

    found = read_or_refused(counts_of, tmp_path, text_of(table, ";"))

    assert found is None or found.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


# Far down in a file, where a reader that looks at the first rows has long made up its mind

MANY = 22_000
WIDTHS = [
    1,
    200,
]  # of a column that is not read: a file of a megabyte, and one that is too large to be held as cells


def many_leads(width: int = 1, **odd: str) -> Table:
    """Leads of a quarter, the last of them written in another way."""
    table = [[*LEADS[0], "note"]]
    for i in range(MANY):
        day = f"2026-0{1 + i % 3}-{1 + i % 12:02d}"
        table.append([f"x{i}", "seo", day, day, day, "", "1200", width * "n"])
    for key, cell in odd.items():
        table[-1][LEADS[0].index(key)] = cell
    return table


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "amount", ["1200,50", "1.200,50", "1 200", "1,200.50", "1.200", "1,200", "(1200)", "#N/A"]
)
def test_a_number_far_down_is_read_rightly_or_refused(tmp_path: Path, amount: str, width: int) -> None:
    """The only amount with marks stands in the last row."""
    content = text_of(many_leads(width, amount=amount), ";")
    found = read_or_refused(leads_of, tmp_path, content, through="2026-03")

    truth = 1200.0 * (MANY - 1) + (1200.5 if amount.endswith("50") else 1200.0)
    assert found is None or float(found.deals["amount"].sum()) == pytest.approx(truth, rel=1e-12)
    assert found is None or amount not in {"1.200", "1,200", "(1200)", "#N/A"}


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_a_letter_far_down_is_read_rightly_or_refused(tmp_path: Path, encoding: str, width: int) -> None:
    """The only letters beyond ASCII stand in the last row."""
    content = text_of(many_leads(width, channel="jää€")).encode(encoding)
    found = read_or_refused(leads_of, tmp_path, content)

    assert found is None or found.channels == ["jää€", "seo"]
    assert leads_of(tmp_path, content, read={"encoding": encoding}).channels == ["jää€", "seo"]


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("day", "order"), [("25/3/2026", "dmy"), ("3/25/2026", "mdy")])
def test_a_day_far_down_settles_the_order(tmp_path: Path, day: str, order: str, width: int) -> None:
    """All days may be months but for the last: it settles the order, or the order is asked for."""
    table = many_leads(width)
    for name in ("qualified", "won", "amount"):
        table = column(table, name, [""] * MANY)

    def slashes(cell: str) -> str:
        one, two = int(cell[8:]), int(cell[5:7])
        return f"{one}/{two}/2026" if order == "dmy" else f"{two}/{one}/2026"

    expected = leads_of(tmp_path, [*table[:-1], [*table[-1][:2], "2026-03-25", *table[-1][3:]]])
    assert expected.reading["last_day"] == "2026-03-25"
    table = column(table, "created", slashes)
    table[-1][2] = day

    found = read_or_refused(leads_of, tmp_path, table)

    assert found is None or found.fingerprint() == expected.fingerprint()
    assert leads_of(tmp_path, table, read={"dates": order}).fingerprint() == expected.fingerprint()
    other = "mdy" if order == "dmy" else "dmy"
    assert f"row {MANY + 1}" in refusal(leads_of, tmp_path, table, read={"dates": other})


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "form", ["framed", "footer", "sep", "ends", "late ends", "quoted line break", "blank lines"]
)
def test_layouts_of_files_of_many_rows(tmp_path: Path, form: str, width: int) -> None:
    """What holds for a small file holds for a large one: the same leads, and a wrong cell is named with its row."""
    table = many_leads(width)
    plain = text_of(table, ";")
    lines = plain.splitlines(keepends=True)
    half = len(lines) // 2
    changed, before = {
        "framed": (framed(plain), 5),
        "footer": (plain + "\nExported by sales\n", 0),
        "sep": ("sep=;\n" + plain, 1),
        "ends": ("".join(line.replace("\n", "\r\n") if i % 2 else line for i, line in enumerate(lines)), 0),
        "late ends": ("".join(lines[:half]) + "".join(lines[half:]).replace("\n", "\r\n"), 0),
        "quoted line break": (plain.replace(";lost;", ';"lost";', 1).replace("x1;seo", '"x\n1";seo'), 0),
        "blank lines": ("".join(lines[:half]) + "\n\n" + "".join(lines[half:]), 2),
    }[form]

    assert leads_of(tmp_path, changed).fingerprint() == leads_of(tmp_path, plain).fingerprint()

    wrong = changed.replace(f"x{MANY - 1};seo;2026", f"x{MANY - 1};seo;never")
    said = refusal(leads_of, tmp_path, wrong)
    assert "column created" in said
    rows = {MANY + 1 + before, MANY + 1 + before + (form == "quoted line break")}
    assert any(f"row {row}" in said for row in rows)


# Columns


def finnish(spend: str) -> str:
    """Finnish counts with this title over the money."""
    titles = ["Kuukausi", "Kanava", spend, "Kävijät", "Liidit", "Kvalifioidut", "Kaupat", "Liikevaihto"]
    return text_of([titles, *COUNTS[1:]], ";").replace(".", ",")


@pytest.mark.parametrize(
    "title", ["Budjetti", "budget", "Kustannus (budjetti)", "Kustannus (suunniteltu)", "Planned spend"]
)
def test_a_budget_is_not_taken_for_spend(tmp_path: Path, title: str) -> None:
    """In a history a budget is a plan: it is spend where the study says so, and not else."""
    found = read_or_refused(counts_of, tmp_path, finnish(title))

    assert found is None or "spend" not in found.counts
    mapped = counts_of(tmp_path, finnish(title), columns={"spend": title})
    assert mapped.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Kaupat", "Kaupat (hävityt)"), ("Liikevaihto", "Liikevaihto (tavoite)"), ("Liidit", "Liidit (tavoite)"),
        ("Liikevaihto", "Revenue (forecast)"), ("Kaupat", "Deals (lost)"), ("Kävijät", "Sessions (previous year)"),
    ],
)  # fmt: skip
def test_what_stands_in_brackets_may_change_the_meaning(tmp_path: Path, name: str, title: str) -> None:
    """Lost deals are no deals won, a target no revenue: unread beside the column itself, asked for alone."""
    ours = {"Kaupat": "won", "Liikevaihto": "revenue", "Liidit": "leads", "Kävijät": "visitors"}[name]
    alone = read_or_refused(counts_of, tmp_path, finnish("Kustannus").replace(name, title))
    assert alone is None or ours not in alone.counts

    lines = finnish("Kustannus").splitlines()
    beside = "\n".join(f"{line};{title if i == 0 else 77}" for i, line in enumerate(lines))
    found = counts_of(tmp_path, beside)
    assert found.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()
    assert title in found.files[0].unread


def test_two_columns_that_may_both_be_meant_are_asked_for(tmp_path: Path) -> None:
    """Costs twice under two names: which one is not guessed."""
    lines = finnish("Kulut").splitlines()
    text = "\n".join(f"{line};{'Kustannus' if i == 0 else '7,5'}" for i, line in enumerate(lines))

    said = refusal(counts_of, tmp_path, text)
    assert "Kulut" in said
    assert "Kustannus" in said
    mapped = counts_of(tmp_path, text, columns={"spend": "Kulut"})
    assert mapped.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


def test_what_was_read_is_on_record(tmp_path: Path) -> None:
    """File, titles by our names, titles that are not read, rows, and how the file is written."""
    lines = finnish("Kustannus").splitlines()
    text = "\n".join(f"{line};{'Huomio' if i == 0 else ''}" for i, line in enumerate(lines))

    found = counts_of(tmp_path, text.encode("cp1252"))

    (read,) = found.files
    assert (read.role, read.file, read.rows) == ("counts", "c.csv", 6)
    assert read.columns["period"] == "Kuukausi"
    assert read.columns["visitors"] == "Kävijät"
    assert "Huomio" in read.unread
    assert {"encoding", "delimiter", "numbers"} <= set(read.dialect)
    assert "1252" in str(read.dialect["encoding"])
    assert found.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


# Two files, two ways


def test_an_english_workbook_beside_a_finnish_file(tmp_path: Path) -> None:
    """The keys of one file hold for it alone, and those for all hold for the others."""
    crm = column(LEADS, "amount", ["5.012", "", ""])
    for name in ("created", "qualified", "won", "lost"):
        crm = column(crm, name, lambda cell: f"{int(cell[8:])}.{int(cell[5:7])}.{cell[:4]}" if cell else "")
    ads = [["Month", "Channel", "Cost", "Sessions"]]
    ads += [[f"{m}/1/2026", name, f"{m},200", "1,100"] for m in (1, 2, 3) for name in ("ppc", "seo")]
    book = openpyxl.Workbook()
    for row in ads:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    plain = [["period", "channel", "spend", "visitors"]]
    plain += [[f"2026-0{m}", name, f"{m}200", "1100"] for m in (1, 2, 3) for name in ("ppc", "seo")]
    (tmp_path / "a.csv").write_text(text_of(plain), encoding="utf-8")

    reads = {"thousands": ".", "activity": {"thousands": ",", "decimal": ".", "dates": "mdy"}}
    found = leads_of(tmp_path, text_of(crm, ";"), activity="a.xlsx", read=reads)

    expected = leads_of(tmp_path, column(LEADS, "amount", ["5012", "", ""]), activity="a.csv")
    assert found.fingerprint() == expected.fingerprint()
    said = refusal(
        leads_of, tmp_path, text_of(crm, ";"), activity="a.xlsx", read=reads | {"activity": {"dates": "mdy"}}
    )
    assert said.startswith("a.xlsx: ")


# Workbooks


def test_two_sheets_that_fit_ask_for_one(tmp_path: Path) -> None:
    """Last year and this year beside each other: which is meant is not guessed."""
    other = column(COUNTS, "spend", lambda cell: "5000")
    book_of(tmp_path / "b.xlsx", {"Data 2026": COUNTS, "Data 2025": other})
    files = {"counts": "b.xlsx"}

    said = refusal(read_history, study_of(tmp_path, files))
    assert "history.read.counts.sheet" in said
    assert "Data 2026" in said
    assert "Data 2025" in said
    for name, table in (("Data 2026", COUNTS), ("Data 2025", other)):
        asked = read_history(study_of(tmp_path, {**files, "read": {"sheet": name}}))
        assert asked.fingerprint() == counts_of(tmp_path, table).fingerprint()
    assert "Data 2026" in refusal(read_history, study_of(tmp_path, {**files, "read": {"sheet": "2026"}}))


def pivot_of(table: Table) -> list[list[str]]:
    """The counts with months across: a row for each channel and measure."""
    rows = [["Channel", "Metric", "2026-01", "2026-02", "2026-03"]]
    for channel in ("ppc", "seo"):
        for j, name in enumerate(table[0][2:], start=2):
            rows.append([channel, name, *(row[j] for row in table[1:] if row[1] == channel)])
    return rows


def test_two_sheets_with_months_across_ask_for_one_too(tmp_path: Path) -> None:
    """The same of pivots, which have no column of periods to be known by."""
    other = pivot_of(column(COUNTS, "spend", lambda cell: "5000"))
    book_of(tmp_path / "b.xlsx", {"Plan": other, "Actual": pivot_of(COUNTS)})
    files = {"counts": "b.xlsx"}

    assert "history.read.counts.sheet" in refusal(read_history, study_of(tmp_path, files))
    asked = read_history(study_of(tmp_path, {**files, "read": {"sheet": "Actual"}}))
    assert asked.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


@pytest.mark.parametrize("first", ["Cover", "Old"])
def test_hidden_sheets_are_not_read_by_default(tmp_path: Path, first: str) -> None:
    """A hidden table is read where it is asked for by name, and never else, though no other fits."""
    sheets = {"Cover": [["A report", "of sales"]], "Old": COUNTS}
    book_of(tmp_path / "b.xlsx", {first: sheets[first], **sheets}, hidden=["Old"])
    files = {"counts": "b.xlsx"}

    assert "hidden" in refusal(read_history, study_of(tmp_path, files))
    asked = read_history(study_of(tmp_path, {**files, "read": {"sheet": "Old"}}))
    assert asked.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


@pytest.mark.parametrize("error", ["#REF!", "#N/A", "#DIV/0!", "#VALUE!"])
@pytest.mark.parametrize("name", ["period", "channel", "spend", "visitors", "won", "revenue"])
def test_errors_in_cells_of_counts_are_told(tmp_path: Path, error: str, name: str) -> None:
    """A cell that holds an error is neither blank nor a name."""
    table = [list(row) for row in COUNTS]
    for i in (3, 5):
        table[i][COUNTS[0].index(name)] = error

    said = refusal(excel_of, tmp_path, table)

    assert f"column {name}" in said
    assert "row 4" in said
    assert error in said
    assert said.count(": column ") == 1  # it is not blank as well


@pytest.mark.parametrize("error", ["#REF!", pytest.param("#N/A", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["lead_id", "channel", "created", "qualified", "won", "lost", "amount"])
def test_errors_in_cells_of_leads_are_told(tmp_path: Path, error: str, name: str) -> None:
    """Eight wins that show #REF! are not eight open leads."""
    table = [list(row) for row in LEADS]
    table[1][LEADS[0].index(name)] = error

    said = refusal(excel_of, tmp_path, table, role="leads")

    assert f"column {name}" in said
    assert "row 2" in said
    assert error in said
    assert said.count(": column ") == 1


def test_errors_in_columns_that_are_not_read_do_no_harm(tmp_path: Path) -> None:
    """A broken rate beside the table is nobody's business."""
    table = [[*row, "Rate" if i == 0 else "#DIV/0!"] for i, row in enumerate(COUNTS)]

    assert excel_of(tmp_path, table).fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


@pytest.mark.parametrize(("role", "name"), [("counts", "revenue"), ("counts", "period"), ("leads", "won")])
def test_formulas_without_a_value_are_told(tmp_path: Path, role: str, name: str) -> None:
    """A workbook that no program has calculated holds formulas and no values: to be opened and saved, not "add it"."""
    table = COUNTS if role == "counts" else LEADS
    book = openpyxl.Workbook()
    for i, row in enumerate(table):
        cells: list[Any] = [
            float(cell) if i and re.fullmatch(r"\d+(\.\d+)?", cell) else cell or None for cell in row
        ]
        if i:
            cells[table[0].index(name)] = "=1+1"
        book.active.append(cells)
    book.save(tmp_path / "b.xlsx")

    said = refusal(read_history, study_of(tmp_path, {role: "b.xlsx"}))

    assert f"column {name}" in said
    assert "formula" in said
    assert "sav" in said  # open it and save it
    assert "add " not in said


STRAY = """\
import resource, sys
from pathlib import Path
from forecast.errors import DataError
from forecast.history import read_history
from forecast.study import Study
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
study = Study.model_validate({"name": "x", "history": {sys.argv[2]: "b.xlsx"}, "folder": Path(sys.argv[1])})
try:
    print(read_history(study).fingerprint())
except DataError as error:
    print(error)
status = Path("/proc/self/status")  # of this process alone: ru_maxrss counts what its parent held
held = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")] if status.exists() else []
print(int(held[0].split()[1]) // 1024 if held else 0)
"""


@pytest.mark.parametrize(
    ("role", "cell"), [("counts", "XFD1048576"), pytest.param("leads", "WQK5001", marks=pytest.mark.slow)]
)
def test_a_stray_cell_far_away_is_named(tmp_path: Path, role: str, cell: str) -> None:
    """One cell in the last corner makes a sheet of 17 thousand million: refused by its name, in little memory."""
    book = openpyxl.Workbook()
    for row in COUNTS if role == "counts" else LEADS:
        book.active.append(row)
    book.active[cell] = "x"
    book.save(tmp_path / "b.xlsx")

    done = subprocess.run(
        [sys.executable, "-c", STRAY, str(tmp_path), role],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-300:]
    *said, megabytes = done.stdout.splitlines()
    assert cell in " ".join(said)
    assert int(megabytes) < 700


def test_day_numbers_of_a_1904_workbook(tmp_path: Path) -> None:
    """A number that is no date cell counts from 1904 there: read so, or refused; never four years early."""
    book = xlsxwriter.Workbook(str(tmp_path / "b.xlsx"), {"date_1904": True})
    sheet = book.add_worksheet("Data")
    for i, row in enumerate(COUNTS):
        for j, cell in enumerate(row):
            if i and j == 0:
                sheet.write_number(i, j, (dt.date(2026, int(cell[-2:]), 1) - dt.date(1904, 1, 1)).days)
            elif i and j > 1:
                sheet.write_number(i, j, float(cell))
            else:
                sheet.write_string(i, j, cell)
    book.close()

    found = read_or_refused(read_history, study_of(tmp_path, {"counts": "b.xlsx"}))

    assert found is None or found.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


@pytest.mark.parametrize("form", ["csv", "xlsx", "parquet"])
def test_numbers_are_names_in_a_column_of_names(tmp_path: Path, form: str) -> None:
    """Campaign 45000 is no day of 2023, and 101 is not 101.0, whatever the file."""
    table = column(COUNTS, "channel", ["45000", "101"] * 3)
    if form == "csv":
        found = counts_of(tmp_path, table)
    elif form == "xlsx":
        found = excel_of(tmp_path, table)
    else:
        counts_of(tmp_path, table)
        with duckdb.connect() as connection:
            connection.read_csv(str(tmp_path / "c.csv")).write_parquet(str(tmp_path / "c.parquet"))
        found = read_history(study_of(tmp_path, {"counts": "c.parquet"}))

    assert found.channels == ["101", "45000"]


# Names of folders


@pytest.mark.parametrize("name", ["channel=evil", "c1=evil", "spend=5", "created=2020-01-01"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_names_of_folders_change_nothing(tmp_path: Path, name: str, form: str) -> None:
    """key=value in a path is a name of a folder, not a column."""
    folder = tmp_path / name
    folder.mkdir()
    for role, table in (("leads", LEADS), ("counts", COUNTS)):
        (folder / f"{role}.csv").write_text(text_of(table), encoding="utf-8")
        if form == "parquet":
            with duckdb.connect() as connection:
                cells = connection.read_csv(
                    str(folder / f"{role}.csv"), all_varchar=True, hive_partitioning=False
                )
                cells.write_parquet(str(folder / f"{role}.parquet"))

        found = read_history(study_of(folder, {role: f"{role}.{form}"}))

        assert found.channels == ["ppc", "seo"]
        assert found.labels == ["2026-01", "2026-02", "2026-03"]
        measure, total = ("spend", 6963.0) if role == "counts" else ("leads", 3.0)
        assert float(np.nansum(found.counts[measure])) == total


# Any amount, any day

AMOUNTS = st.lists(st.integers(0, 10**9).map(lambda cents: Decimal(cents) / 100), min_size=1, max_size=5)
DAYS = st.lists(st.dates(dt.date(2024, 1, 1), dt.date(2026, 6, 30)), min_size=1, max_size=5)


def found_or_asked(
    read: Callable[..., History], *args: Any, **history: Any
) -> tuple[History | None, set[str]]:
    """The history, or the keys that the refusal names."""
    try:
        return read(*args, **history), set()
    except DataError as error:
        return None, set(re.findall(r"history\.read\.(\w+)", str(error)))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(AMOUNTS, st.sampled_from(list(NUMBERS)), st.sampled_from([";", "\t", "|"]))
def test_any_amount_in_any_writing_is_itself_or_asked_for(
    amounts: list[Decimal], dialect: str, delimiter: str
) -> None:
    """Written and read again an amount is what it was; where it is not clear, a key of the study is asked for."""
    marks = NUMBERS[dialect]
    table = [["period", "channel", "spend", "leads", "qualified", "won"]]
    for i, amount in enumerate(amounts):
        said = f"{amount:,.{0 if marks.whole else 2}f}"
        said = said.translate({ord(","): marks.thousands, ord("."): marks.decimal})
        said = (marks.before + said + marks.after).replace("{sign}", "€").replace("{code}", "EUR")
        table.append([f"2026-{i + 1:02d}", "ppc", said, "30", "12", "3"])
    truth = [float(round(amount)) if marks.whole else float(amount) for amount in amounts]

    with TemporaryDirectory() as folder:
        found, asked = found_or_asked(counts_of, Path(folder), text_of(table, delimiter))
    if found is None:
        assert marks.ambiguous
        assert asked & {"decimal", "thousands"}
    else:
        np.testing.assert_allclose(found.counts["spend"].values[:, 0], truth, rtol=1e-12)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(DAYS, st.sampled_from(sorted(name for name in DATES if "leads" in DATES[name].tables)))
def test_any_day_in_any_writing_is_itself_or_asked_for(days: list[dt.date], form: str) -> None:
    """The months in which leads were created, as they were written, or the order of the dates is asked for."""
    leads = [[f"x{i}", "seo", DATES[form].write(day), "", "", "", ""] for i, day in enumerate(days)]
    plain = [[*row[:2], day.isoformat(), *row[3:]] for row, day in zip(leads, days, strict=True)]
    window = {"from": f"{min(days):%Y-%m}", "through": f"{max(days):%Y-%m}"}

    with TemporaryDirectory() as folder:
        found, asked = found_or_asked(leads_of, Path(folder), [LEADS[0], *leads], **window)
        expected = leads_of(Path(folder), [LEADS[0], *plain], **window)
    if found is None:
        assert "dates" in asked
        assert all(day.day <= 12 for day in days)
    else:
        assert found.fingerprint() == expected.fingerprint()


def test_counts_plan_and_customers_are_sheets_of_one_workbook(tmp_path: Path) -> None:
    """The sheet with a title for each column is that of the counts; which one the plan is, must be said."""
    plan = [["Channel", "2026-04", "2026-05", "2026-06"], ["ppc", "10", "20", "30"], ["seo", "1", "2", "3"]]
    book_of(tmp_path / "b.xlsx", {"Actuals": COUNTS, "Plan": plan})
    study = study_of(tmp_path, {"counts": "b.xlsx"})
    planned = {"plan": study.plan.model_copy(update={"spend": "b.xlsx", "periods": 3})}
    history = read_history(study)
    assert history.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()
    with pytest.raises(DataError, match=r"history\.read\.plan\.sheet"):
        read_plan(study.model_copy(update=planned), history)

    named = study_of(tmp_path, {"counts": "b.xlsx", "read": {"plan": {"sheet": "Plan"}}})
    spend = read_plan(named.model_copy(update=planned), read_history(named))
    assert spend.sel(channel="ppc").values.tolist() == [10, 20, 30]


@pytest.mark.parametrize("whole", [4 << 20, 0])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_title_over_two_lines_hides_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int, ends: str
) -> None:
    """The first lead below it is read, in files that are read whole and in those that DuckDB reads."""
    monkeypatch.setattr("forecast.read.relation.MODERATE", whole)
    broken = text_of(LEADS, ends=ends).replace("amount", f'"amount{ends}(EUR)"')
    for before in ("", f"Leads of 2026{ends}{ends}"):
        found = leads_of(tmp_path, before + broken)
        assert found.fingerprint() == leads_of(tmp_path, LEADS).fingerprint()
