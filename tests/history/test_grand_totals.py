"""Rows that add up a table: left out where they are its sums, refused where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast.errors import DataError
from forecast.history.history import History
from forecast.history.read import read_history
from forecast.study import Study
from forecast.words import text

HEADER = "period,channel,region,spend,leads,won,revenue\n"
ROWS = [
    (f"2025-{m:02d}", c, "north", 100.25 * m, 10 + m, m % 3, 500 * (m % 3))
    for m in range(1, 13)
    for c in "ab"
]
LINES = [",".join(map(str, row)) + "\n" for row in ROWS]
SUMS = [sum(row[i] for row in ROWS) for i in range(3, 7)]  # type: ignore[misc] # numbers from the fourth cell on


def read(folder: Path, content: str, **history: object) -> History:
    """The history of these counts."""
    (folder / "c.csv").write_text(content, encoding="utf-8")
    given = {"name": "x", "folder": folder, "funnel": {"stages": ("leads", "won")}}
    return read_history(Study.model_validate(given | {"history": {"counts": "c.csv", **history}}))


def sums(*names: str, slip: float = 0) -> str:
    """A row with the sums of all, the first of them off by `slip`."""
    return ",".join([*names, *map(str, [SUMS[0] + slip, *SUMS[1:]])]) + "\n"


@pytest.mark.parametrize(
    "names",
    [
        ("Total", "", ""), ("", "Total", ""), ("", "", "Yhteensä"), ("Grand Total", "Total", ""), ("", "", ""),
        ("Total: Account", " --", " --"),
    ],
)  # fmt: skip
def test_the_sum_below_a_table_is_left_out(tmp_path: Path, names: tuple[str, str, str]) -> None:
    """Wherever the word stands, and without one in the last row; the totals are those of the rows."""
    history = read(tmp_path, HEADER + "".join(LINES) + sums(*names))
    assert history.channels == ["a", "b"]
    assert float(history.counts["spend"].sum()) == pytest.approx(SUMS[0])
    assert [(out.n, text(out.reason), out.rows) for out in history.files[0].left_out] == [
        (1, "the sum of other rows", (26,))
    ]


def test_sums_of_parts_and_of_all(tmp_path: Path) -> None:
    """A sum of each half and one of all; and one that stands above all rows."""
    halves = [LINES[:12], LINES[12:]]
    parts = []
    for i, half in enumerate(halves):
        own = [sum(row[k] for row in ROWS[12 * i : 12 * i + 12]) for k in range(3, 7)]  # type: ignore[misc]
        parts += [*half, ",".join([f"H{i + 1} Total", "", "", *map(str, own)]) + "\n"]
    for content in (
        HEADER + "".join(parts) + sums("Total", "", ""),
        HEADER + sums("Total", "", "") + "".join(LINES),
    ):
        history = read(tmp_path, content)
        assert float(history.counts["leads"].sum()) == SUMS[1]


def test_a_row_of_totals_that_is_none_is_refused(tmp_path: Path) -> None:
    """With its row and what differs; the way out works, and deletes nothing else."""
    content = HEADER + "".join(LINES) + sums("Total", "", "", slip=10)
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    told = str(caught.value)
    assert told.count("\n") == 0
    for part in (
        "c.csv: column period: row 26",
        "spend 15 649",
        "the others 15 639",
        'history.bad_rows = "leave out"',
    ):
        assert part in told.replace("\N{NARROW NO-BREAK SPACE}", " ")
    history = read(tmp_path, content, bad_rows="leave out")
    assert float(history.counts["spend"].sum()) == pytest.approx(SUMS[0])
    (out,) = history.files[0].left_out
    assert out.bad
    assert out.rows == (26,)


def test_a_row_without_period_is_no_total_by_itself(tmp_path: Path) -> None:
    """A row that names a channel, or stands in the middle without a word, is a row with a cell missing."""
    for row in ("2025-01,,north,1,1,0,0\n", ",a,north,1,1,0,0\n"):
        with pytest.raises(DataError, match="is empty"):
            read(tmp_path, HEADER + row + "".join(LINES))
    history = read(tmp_path, HEADER + "2025-01,,north,1,1,0,0\n" + "".join(LINES), bad_rows="leave out")
    assert float(history.counts["leads"].sum()) == SUMS[1]
