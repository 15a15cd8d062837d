"""Cells that look like numbers and are none that a company has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from made_files import study_of

from forecast.errors import DataError
from forecast.history import read_history

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
