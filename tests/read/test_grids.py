"""Typed files: moments of a time zone in Parquet, and what is damaged inside of a workbook."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pytest
import xlsxwriter
from made_files import study_of

from forecast.errors import DataError
from forecast.history import History, read_history

ZONE = {"read": {"time_zone": "Europe/Helsinki"}}


def parquet(folder: Path, hours: int, kind: str, role: str) -> str:
    """Months, or leads created on the first of months, as moments so many hours before midnight in UTC."""
    start = f"(DATE '2026-01-01' + to_months(m::INT) - INTERVAL {hours} HOUR)::{kind}"
    columns = {
        "counts": f"{start} AS period, c AS channel, 900.5 + m AS spend, 1100 AS visitors, 30 AS leads, "
        "9 AS qualified, m + 1 AS won",
        "leads": f"c || m AS lead_id, c AS channel, {start} AS created, "
        "DATE '2026-04-30' AS qualified, DATE '2026-04-30' AS won",
    }[role]
    rows = f"SELECT {columns} FROM range(3) r(m), (VALUES ('ppc'), ('seo')) AS names(c) ORDER BY m, c"  # noqa: S608
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.sql(rows).write_parquet(str(folder / f"{role}.parquet"))
    return f"{role}.parquet"


def read(folder: Path, hours: int, kind: str, role: str, **history: object) -> History:
    """The history of such a file."""
    return read_history(study_of(folder, {role: parquet(folder, hours, kind, role), **history}))


@pytest.mark.parametrize("role", ["counts", "leads"])
def test_moments_are_days_of_the_zone_that_the_study_names(tmp_path: Path, role: str) -> None:
    """Midnight in Helsinki is 22:00 in UTC the day before: the months are those of Helsinki."""
    plain = read(tmp_path, 0, "DATE", role).fingerprint()

    assert read(tmp_path, 0, "TIMESTAMPTZ", role).fingerprint() == plain
    assert read(tmp_path, 2, "TIMESTAMPTZ", role, **ZONE).fingerprint() == plain


def test_months_told_from_utc_ask_for_the_zone(tmp_path: Path) -> None:
    """Without the zone they would be the months before."""
    with pytest.raises(DataError, match=r"history\.read\.time_zone"):
        read(tmp_path, 2, "TIMESTAMPTZ", "counts")


@pytest.mark.parametrize("odd", ["'nan'", "'inf'"])
def test_a_period_that_is_no_number(tmp_path: Path, odd: str) -> None:
    """Not a number at all, among days as Excel counts them."""
    sql = f"SELECT unnest([46023, {odd}::DOUBLE]) AS period, 'seo' AS channel, 1 AS spend, 3 AS visitors, "
    sql += "2 AS leads, 2 AS qualified, 2 AS won"
    duckdb.sql(sql).write_parquet(str(tmp_path / "f.parquet"))

    with pytest.raises(DataError, match="column period: row 2"):
        read_history(study_of(tmp_path, {"counts": "f.parquet"}))


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_workbook_is_refused_or_read_as_it_was(tmp_path: Path, seed: int) -> None:
    """Whichever bytes are wrong, in the archive or in what it holds."""
    path, rng = tmp_path / "b.xlsx", random.Random(seed)  # noqa: S311
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["period", "channel", "spend", "visitors", "leads", "qualified", "won"])
    for m in range(1, 40):
        sheet.write_row(m, 0, [f"{2024 + m // 12}-{m % 12 + 1:02d}", "seo", 900.5 + m, 1100 + m, 30, 9, 3])
    book.close()
    study = study_of(tmp_path, {"counts": path.name})
    whole = read_history(study).fingerprint()
    content = bytearray(path.read_bytes())
    for _ in range(3):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(bytes(content))

    try:
        found = read_history(study).fingerprint()
    except DataError as error:
        assert str(error).startswith("b.xlsx: ")  # noqa: PT017 - most are refused, some are read
    else:
        assert found == whole


def across(folder: Path, last: str) -> History:
    """Months across as columns, the last of them under this title."""
    titles = ["2026-01", "2026-02", "2026-03", last]
    names = ["spend", "visitors", "leads", "qualified", "won"]
    lines = [["channel", "measure", *titles], *(["seo", name, "9", "8", "7", "6"] for name in names)]
    (folder / "f.csv").write_text("\n".join(";".join(line) for line in lines))
    return read_history(study_of(folder, {"counts": "f.csv"}))


@pytest.mark.parametrize("title", ["2026-13", "13/2026", "31.4.2026"])
def test_a_month_that_is_none_among_months_across(tmp_path: Path, title: str) -> None:
    """A mistyped month is not taken for a column beside the months."""
    with pytest.raises(DataError, match=title):
        across(tmp_path, title)


@pytest.mark.parametrize("title", ["Total", "2026", "Apr"])
def test_columns_beside_months_across_are_said(tmp_path: Path, title: str) -> None:
    """A sum is no month, and which columns were not read is told."""
    assert any(title in str(note) for note in across(tmp_path, title).files[0].notes)
    assert len(across(tmp_path, "2026-04").periods) == 4


def replaced(folder: Path, odd: str, column: str) -> History:
    """The history of a file in which one column is another."""
    name = parquet(folder, 0, "DATE", "counts")
    with duckdb.connect() as connection:
        sql = f"SELECT * REPLACE ({odd} AS {column}) FROM read_parquet('{folder / name}')"  # noqa: S608
        connection.sql(sql).write_parquet(str(folder / "odd.parquet"))
    return read_history(study_of(folder, {"counts": "odd.parquet"}))


@pytest.mark.parametrize(
    "odd", ["MAP {'a': 1}", "[1, 2]", "{'a': [1]}", r"'\xFF'::BLOB", "uuid()", "INTERVAL 1 DAY"]
)
@pytest.mark.parametrize("column", ["period", "spend"])
def test_a_column_of_parquet_that_holds_no_cells(tmp_path: Path, odd: str, column: str) -> None:
    """A list, a table in a cell, a span of time where a day or a number is needed: told with column and row."""
    with pytest.raises(DataError, match=rf"odd\.parquet: column {column}: 6 rows, first: row 1 "):
        replaced(tmp_path, odd, column)


def test_names_that_are_no_texts(tmp_path: Path) -> None:
    """Bytes, as programs write them that mark no texts, are the same names; a list is the text that it is."""
    assert replaced(tmp_path, "channel::BLOB", "channel").channels == ["ppc", "seo"]
    assert replaced(tmp_path, "[channel]", "channel").channels == ["[ppc]", "[seo]"]
