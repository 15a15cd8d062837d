"""Cells that look like numbers and are none that a company has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from made_files import study_of

from forecast.errors import DataError
from forecast.history import read_history
from forecast.read import relation

COUNTS = [
    {"period": f"2026-0{m}", "channel": channel, "spend": 900.5 + m, "visitors": 1100, "leads": 30, "qualified": 9,
     "won": m}
    for m in (1, 2, 3)
    for channel in ("ppc", "seo")
]  # fmt: skip
LEADS = [
    {"lead_id": f"a{i}", "channel": "seo", "created": "2026-01-31", "qualified": "2026-01-31", "won": "2026-01-31",
     "amount": 900.5 + i}
    for i in range(6)
]  # fmt: skip


def refusal(folder: Path, role: str, rows: list[dict[str, Any]]) -> str:
    """What a person is told."""
    titles = list(rows[0])
    lines = [titles, *([str(row[title]) for title in titles] for row in rows)]
    (folder / "f.csv").write_text("\n".join(";".join(line) for line in lines))
    with pytest.raises(DataError) as caught:
        read_history(study_of(folder, {role: "f.csv"}))
    return str(caught.value)


HUGE = ("1e15", "9007199254740993", "123456789012345678901234567890", "1e300", "-1e16")


@pytest.mark.parametrize(
    ("role", "title", "cell"),
    [*(("counts", title, cell) for title in ("spend", "won") for cell in HUGE), ("leads", "amount", HUGE[1])],
)
def test_numbers_that_no_company_has(tmp_path: Path, role: str, title: str, cell: str) -> None:
    """An id in the column of money, or two cells run together."""
    rows = [dict(row) for row in (COUNTS if role == "counts" else LEADS)]
    rows[3][title] = cell

    said = refusal(tmp_path, role, rows)

    assert f"column {title}: row 5" in said
    assert "below 1e15" in said


@pytest.mark.parametrize("cell", ['"1\n200"', '"12\n200"', "1\t200"])
@pytest.mark.parametrize(("role", "title"), [("counts", "spend"), ("leads", "amount")])
def test_two_numbers_in_a_cell_are_not_one(tmp_path: Path, role: str, title: str, cell: str) -> None:
    """A space may part thousands; a line break or a tab parts two numbers."""
    rows = [dict(row) for row in (COUNTS if role == "counts" else LEADS)]
    rows[3][title] = cell

    assert f"column {title}: row 5" in refusal(tmp_path, role, rows)


def test_yes_and_no_are_no_amounts(tmp_path: Path) -> None:
    """A column of true and false is not money of 1 and 0."""
    path = tmp_path / "f.parquet"
    columns = ", ".join(f"'{row['lead_id']}'" for row in LEADS)
    duckdb.sql(
        f"SELECT unnest([{columns}]) AS lead_id, 'seo' AS channel, DATE '2026-01-31' AS created, "
        "created AS qualified, created AS won, true AS amount"
    ).write_parquet(str(path))

    with pytest.raises(DataError, match="column amount: 6 rows"):
        read_history(study_of(tmp_path, {"leads": "f.parquet"}))


@pytest.mark.parametrize("cell", ["1200 SEK", "$1200", "1 200 kr"])
def test_an_amount_of_another_currency_among_others(tmp_path: Path, cell: str) -> None:
    """One deal in dollars among deals without a sign is not added up with them."""
    rows = [dict(row) for row in LEADS]
    rows[3]["amount"] = cell

    said = refusal(tmp_path, "leads", rows)

    assert "more than one currency" in said
    assert "history.exchange" in said


@pytest.mark.parametrize("write", ["{} SEK", "kr {}"])
def test_amounts_all_of_one_other_currency_are_said(tmp_path: Path, write: str) -> None:
    """They are read as the study's, as a column of currencies would be, and that is told; the study's own is not."""
    lines = ["lead_id;channel;created;qualified;won;amount"]
    day = "2026-01-31"
    lines += [f"{row['lead_id']};seo;{day};{day};{day};{write.format(row['amount'])}" for row in LEADS]
    (tmp_path / "f.csv").write_text("\n".join(lines))

    notes = read_history(study_of(tmp_path, {"leads": "f.csv"}, "EUR")).files[0].notes
    own = read_history(study_of(tmp_path, {"leads": "f.csv"}, "SEK")).files[0].notes

    assert any("read as EUR" in str(note) for note in notes)
    assert not own


@pytest.mark.parametrize("read", [{"decimal": ","}, {"thousands": "."}])
@pytest.mark.parametrize("threshold", [0, 1 << 30])
def test_keys_that_do_not_fit_the_amounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: dict[str, str], threshold: int
) -> None:
    """A decimal comma in the study and points in the file: refused, however large the file is."""
    monkeypatch.setattr(relation, "MODERATE", threshold)
    lines = ["lead_id;channel;created;qualified;won;amount"]
    lines += [";".join(str(row[name]) for name in lines[0].split(";")) for row in LEADS]
    (tmp_path / "f.csv").write_text("\n".join(lines))

    with pytest.raises(DataError, match=r"column amount: .*history\.read"):
        read_history(study_of(tmp_path, {"leads": "f.csv", "read": read}))
