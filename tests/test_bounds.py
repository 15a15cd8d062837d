"""Tables that hold more than is kept in memory, and years of no company: refused with the bound, row by row."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast.errors import DataError
from forecast.history import History, read_history
from forecast.study import Study

HEADER = "period,channel,spend,leads,won\n"


def read(folder: Path, text: str, **history: object) -> History:
    """A history of these counts."""
    (folder / "c.csv").write_text(text, encoding="utf-8")
    given = {"name": "x", "folder": folder, "history": {"counts": "c.csv", **history}}
    return read_history(Study.model_validate({**given, "funnel": {"stages": ("leads", "won")}}))


def told(folder: Path, text: str, **history: object) -> str:
    """What is said of them."""
    with pytest.raises(DataError) as caught:
        read(folder, text, **history)
    return str(caught.value)


def rows(*periods: str, channel: str = "ppc") -> str:
    """A row for each."""
    return HEADER + "".join(f"{period},{channel},5,{10 + n},{n % 3}\n" for n, period in enumerate(periods))


@pytest.mark.parametrize("year", ["0001", "1025", "1899", "2201", "9999"])
def test_years_of_no_company(tmp_path: Path, year: str):
    """By row, with the years that are read."""
    said = told(tmp_path, rows(*(f"{year}-{month:02d}" for month in range(1, 13))))
    assert f'column period: 12 rows, first: row 2 ("{year}-01")' in said
    assert "expected a year from 1900 to 2200" in said


def test_days_are_read_with_and_without_zeros(tmp_path: Path):
    """As leads read them: 2025-1-5 is the fifth of January."""
    found = read(tmp_path, rows(*(f"2025-{month}-5" for month in range(1, 13))))
    assert found.labels == [f"2025-{month:02d}" for month in range(1, 13)]


def test_names_and_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Very many channels, a very long name, a very long title, very many columns."""
    assert "a name has 501 characters, of at most 500" in told(tmp_path, rows("2025-01", channel="x" * 501))
    assert "the title of column 6 has 1\u202f001 characters" in told(
        tmp_path, f"{HEADER[:-1]},{'x' * 1001}\n2025-01,a,1,1,1,1\n"
    )
    many = HEADER[:-1] + "".join(f",x{n}" for n in range(16_400)) + "\n2025-01,a,1,1,1" + "," * 16_400 + "\n"
    assert "columns, and at most 16\u202f384 are read" in told(tmp_path, many)
    monkeypatch.setattr("forecast.history.counts.MOST_CHANNELS", 3)
    text = HEADER + "".join(f"2025-01,c{n},5,9,1\n" for n in range(4))
    assert "4 different names, of at most 3 channels" in told(tmp_path, text)


def test_what_would_not_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file that is larger than is read whole; cells of a table; periods times channels."""
    text = rows(*(f"2025-{month:02d}" for month in range(1, 13)))
    for place, said in (
        ("forecast.read.text.MOST_TEXT", "is larger than 40 bytes"),
        ("forecast.read.grids.MOST_CELLS", "holds 60 cells, and at most 40 are read here"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, 40)
            assert said in told(tmp_path, text)
    monkeypatch.setattr("forecast.history.counts.MOST_GRID", 10)
    assert "12 months of 1 channels are more than is held in memory (at most 10 cells)" in told(
        tmp_path, text
    )


def test_a_path_that_no_file_has(tmp_path: Path):
    """Said of the key that names it."""
    for name, why in (("x" * 300 + ".csv", "file name too long"), ("a\0b.csv", "sign of zero")):
        study = Study.model_validate({"name": "x", "folder": tmp_path, "history": {"counts": name}})
        with pytest.raises(DataError, match=f"is no name of a file .*{why}.*; history.counts must name"):
            read_history(study)
