"""What was read, as a page: every fact of a file, exact totals, within 80 signs, however much there is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from forecast.history import DataRead, History, dataset, what_was_read
from forecast.outputs import LEFT_OUT_FILE
from forecast.periods import period_range
from forecast.read import FileRead, LeftOut, Outcome
from forecast.report import audit_page, terminal_text, write_outputs, write_workbook
from forecast.report.contents import report_of
from forecast.study import load_study
from forecast.words import message
from tests.tables_fixture import plausible_tables

FILE = FileRead(
    role="counts",
    file="myynti.csv",
    dialect={"encoding": "cp1252", "delimiter": ";", "dates": "d.m.yyyy", "header": "row 3"},
    columns={"period": "Kuukausi", "channel": "Kanava", "leads": "leads"},
    unread=("Budjetti", "Huom\nautus"),
    rows=4,
    left_out=(
        LeftOut(message("a sum of {n:whole} other rows", n=2), 12, tuple(range(5, 17))),
        LeftOut("blank", 30_000, tuple(range(100, 130))),
        LeftOut("before 2024-01, the first period", 1, (2,)),
    ),
    notes=("Converted from SEK at the rates of the study.",),
    outcomes=(
        Outcome("Voitettu", "won", 1200),
        Outcome("Odottaa", "not understood", 3),
        Outcome("", "open", 7),
    ),
)


def _read(folder: Path, cells: dict[str, np.ndarray], names: list[str], file: FileRead = FILE) -> DataRead:
    (folder / "s.toml").write_text('name = "s"\n[history]\ncounts = "myynti.csv"\n', encoding="utf-8")
    starts = period_range(np.datetime64("2023-12-01"), np.datetime64("2024-01-01"), "month")
    own = tuple(name for name in cells if name not in ("spend", "revenue"))
    history = History(dataset(cells, starts, names), "calendar", "month", own, files=(file,))
    return what_was_read(history, load_study(folder / "s.toml"))


@pytest.fixture
def read(tmp_path: Path) -> DataRead:
    """Two channels over the turn of a year, with cents and a blank."""
    cells = {
        "spend": np.array([[1000.25, np.nan], [234.5, np.nan]]),
        "leads": np.array([[5.0, 7.0], [1_000_000.0, 2.0]]),
        "won": np.array([[1.0, np.nan], [2.0, 3.0]]),
    }
    return _read(tmp_path, cells, ["haku", "suora"])


def _said(read: DataRead) -> str:
    empty = pd.DataFrame(columns=["check", "mistake", "status", "evidence", "advice"])
    return terminal_text(audit_page(empty, empty, read))


def test_check_begins_with_what_was_read(read: DataRead):
    """File, how it is written, columns, rows, reasons, periods, currency, outcomes, notes; then the audit."""
    said = _said(read)
    assert said.splitlines()[0] == "Read: myynti.csv (counts)"
    assert said.index("Read: ") < said.index("Audit of the data:")
    for words in (
        "written     encoding cp1252, delimiter ;, dates d.m.yyyy, header row 3",
        "columns     period <- Kuukausi, channel <- Kanava, leads",
        "not read    Budjetti, Huom autus",
        "rows used   4",
        "left out    12: a sum of 2 other rows (rows 5, 6, 7, 8, 9, 10, 11, 12 and 4 more)",
        "30 000: blank (rows 100, 101, 102, 103, 104, 105, 106, 107 and 29 992 more)",
        "1: before 2024-01, the first period (row 2)",
        "periods     2023-12 to 2024-01 (2 months)",
        "currency    EUR",
        "outcome     Voitettu: 1 200, won",
        "(blank): 7, open",
        "Odottaa: 3, not understood",
        "- Converted from SEK at the rates of the study.",
    ):
        assert words in said.replace("\n            ", " ") or words in said, words


def test_totals_stand_by_year_and_channel(read: DataRead):
    """Measures as columns; cents where a column has some, else whole numbers; a dash where nothing was recorded."""
    lines = [" ".join(line.split()) for line in _said(read).splitlines()]
    at = lines.index("Total spend leads won")
    assert lines[at + 1 : at + 7] == [
        "in 2023 1 000.25 12 1",
        "in 2024 234.50 1 000 002 5",
        "haku 1 234.75 1 000 005 3",
        "suora - 9 3",
        "total 1 234.75 1 000 014 6",
        "In no total: blank cells: 2 of spend, 1 of won.",
    ]


def test_no_line_of_it_is_wider_than_a_terminal(tmp_path: Path):
    """Long names, many columns, large numbers, a hundred titles: wrapped at words, measures folded below each other."""
    cells = {name: np.full((2, 3), 123_456_789.5) for name in ("spend", "revenue")}
    cells |= {f"a_long_stage_{i}": np.full((2, 3), 1e9) for i in range(5)}
    cells |= {"leads": np.ones((2, 3)), "won": np.ones((2, 3))}
    wide = replace(FILE, unread=tuple(f"Sarake {i}" for i in range(100)))
    names = ["Maksettu haku, brändi, pääkaupunkiseutu ja Uusimaa", "b", "c"]
    read = _read(tmp_path, cells, names, wide)
    page = _said(read).partition("Audit of the data:")[0]
    assert max(map(len, page.splitlines())) <= 80
    assert page.count("in 2024") > 1
    for stage in cells:
        assert stage.replace("_", " ") in page
    assert "Sarake 39 and 60 more" in " ".join(page.split())


def test_ten_thousand_channels_do_not_flood(tmp_path: Path):
    """The twenty largest, and the others as one row with their sum."""
    rng = np.random.default_rng(5)
    leads = rng.integers(1, 9, (2, 10_000)).astype(float)
    leads[:, 7_000:7_020] += 500
    read = _read(tmp_path, {"leads": leads, "won": leads // 4}, [f"c{i}" for i in range(10_000)])
    lines = [" ".join(line.split()) for line in _said(read).splitlines()]
    assert len(lines) < 60
    rest = np.delete(leads, np.s_[7_000:7_020], axis=1)
    assert f"and 9980 more {rest.sum():,.0f} {(rest // 4).sum():,.0f}".replace(",", " ") in lines
    assert [line.split()[0] for line in lines if line.startswith("c7")] == [f"c{7000 + i}" for i in range(20)]


def test_the_workbook_has_every_fact_and_total(read: DataRead, tmp_path: Path):
    """Two sheets: what was understood, and all totals as numbers, cents kept."""
    write_workbook(
        replace(plausible_tables(), read=read), tmp_path / "r.xlsx", created=datetime(2026, 1, 1, tzinfo=UTC)
    )
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    facts = [[cell.value for cell in row] for row in book["Data read"].iter_rows(min_row=2)]
    assert ["myynti.csv", "counts", "written", "encoding", "cp1252", None] in facts
    assert ["myynti.csv", "counts", "column", "period", "Kuukausi", None] in facts
    assert ["myynti.csv", "counts", "outcome", "Odottaa", "not understood", 3] in facts
    left_out = [row for row in facts if row[2] == "rows left out"]
    assert [row[4:] for row in left_out][:2] == [["a sum of 2 other rows", 12], ["blank", 30_000]]
    totals = {
        tuple(c.value or "" for c in row[2:5]): row[5] for row in book["Data totals"].iter_rows(min_row=2)
    }
    cents, whole = totals["channel", "haku", "spend"], totals["all", "", "leads"]
    assert (cents.value, cents.number_format) == (1234.75, "#,##0.00")
    assert (whole.value, whole.number_format) == (1_000_014, "#,##0")
    assert "Data read" not in [t.sheet for page in report_of(plausible_tables()).pages for t in page.sheets]


def test_the_evidence_of_a_report_has_it_in_short(read: DataRead):
    """Files and totals by year; channels are for the workbook."""
    pages = report_of(replace(plausible_tables(), read=read)).pages
    page = next(page for page in pages if page.title == "Evidence")
    titles = [str(part.title) for part in page.parts]
    at = titles.index("What was read")
    assert titles[at + 1] == "Totals of myynti.csv"
    said = terminal_text(replace(page, parts=page.parts[at : at + 2]))
    assert "myynti.csv" in said
    assert "in 2024" in said
    assert "haku" not in said
    assert "Data read and Data totals of report.xlsx" in said


def test_rows_left_out_are_a_file_beside_the_outputs(read: DataRead, tmp_path: Path, no_paper: None):
    """File, row and reason, a line each; what is known by count alone is counted; gone when nothing is left out."""
    folder = tmp_path / "out"
    write_outputs(folder, replace(plausible_tables(), read=read), None, {})
    rows = pd.read_csv(folder / LEFT_OUT_FILE, keep_default_na=False, dtype=str)
    assert list(rows) == ["file", "row", "reason"]
    assert len(rows) == 12 + 30 + 1 + 1
    assert rows.iloc[0].tolist() == ["myynti.csv", "5", "a sum of 2 other rows"]
    assert rows.iloc[42].tolist() == ["myynti.csv", "", "29 970 more: blank"]
    assert rows.iloc[43].tolist() == ["myynti.csv", "2", "before 2024-01, the first period"]
    whole = replace(read, files=(replace(FILE, left_out=()),))
    write_outputs(folder, replace(plausible_tables(), read=whole), None, {})
    assert not (folder / LEFT_OUT_FILE).exists()
