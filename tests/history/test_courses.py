"""Courses of dated leads by day: read from files, cut to a past, and left out where a file tells no days."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from forecast.history import Courses, History, read_history
from forecast.history.courses import ordered
from forecast.study import load_study

STUDY = """name = "days"
[history]
leads = "leads.csv"
[funnel]
stages = ["leads", "qualified", "won"]
"""


def written(folder: Path, rows: list[tuple[str, ...]]) -> History:
    """The history of leads: channel, created, qualified, won, lost."""
    names = ["channel", "created", "qualified", "won", "lost"]
    table = pd.DataFrame(rows, columns=names)
    table.insert(0, "lead_id", [f"L{i}" for i in range(len(table))])
    table.to_csv(folder / "leads.csv", index=False)
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return read_history(load_study(folder / "study.toml"))


ROWS = [
    ("a", "2026-01-05", "2026-01-07", "2026-02-11", ""),
    ("a", "2026-01-05", "2026-01-07", "", "2026-03-02"),
    ("b", "2026-01-20", "", "", "2026-02-03"),
    ("b", "2026-02-10", "2026-02-10", "", ""),
    ("b", "2026-02-10", "2026-02-10", "", ""),
    ("a", "2026-03-31", "", "", ""),
]


def told(courses: Courses) -> list[tuple[int, str, str, bool, int]]:
    """Rows as Python has them."""
    return [(int(c), str(e), str(left), bool(m), int(n)) for c, e, left, m, n in zip(*courses, strict=True)]


def test_courses_are_those_of_the_file(tmp_path: Path):
    """Days of entry and of leaving, by stage; a loss counts before the stage that the lead waited for."""
    history = written(tmp_path, ROWS)
    assert told(history.courses["qualified"]) == [
        (0, "2026-01-05", "2026-01-07", True, 2),
        (0, "2026-03-31", "NaT", False, 1),
        (1, "2026-01-20", "2026-02-03", False, 1),
        (1, "2026-02-10", "2026-02-10", True, 2),
    ]
    assert told(history.courses["won"]) == [
        (0, "2026-01-07", "2026-02-11", True, 1),
        (0, "2026-01-07", "2026-03-02", False, 1),
        (1, "2026-02-10", "NaT", False, 2),
    ]
    assert told(history.courses["won"].open) == [(1, "2026-02-10", "NaT", False, 2)]


def test_a_past_knows_no_day_that_came_later(tmp_path: Path):
    """What left later is still there; who entered later is not."""
    past = written(tmp_path, ROWS).as_of("2026-01")
    assert told(past.courses["qualified"]) == [
        (0, "2026-01-05", "2026-01-07", True, 2),
        (1, "2026-01-20", "NaT", False, 1),
    ]
    assert told(past.courses["won"]) == [(0, "2026-01-07", "NaT", False, 2)]


def test_a_file_of_months_tells_no_day(tmp_path: Path):
    """First days of months are labels; ages in days would be made of them."""
    months = [(c, *(day and day[:8] + "01" for day in days)) for c, *days in ROWS]
    months[2] = ("b", "2026-01-01", "", "", "2026-02-01")
    months[-1] = ("a", "2026-03-01", "", "", "")
    months.append(("a", "2026-04-01", "", "", ""))
    assert not written(tmp_path, months).by_day


def test_days_are_content(tmp_path: Path):
    """A day moved within its period is another history, though all counts stay."""
    one = written(tmp_path, ROWS)
    other = written(tmp_path, [("a", "2026-01-06", *ROWS[0][2:]), *ROWS[1:]])
    assert np.array_equal(one.triangles["won"].values, other.triangles["won"].values)
    assert one.fingerprint() != other.fingerprint()


def test_alike_rows_stand_together():
    """In one order, whatever order they came in."""
    day = np.datetime64("2026-01-01", "D")
    courses = Courses(
        np.array([1, 0, 1]), np.array([day, day, day]), np.array([day, np.datetime64("NaT", "D"), day]),
        np.array([True, False, True]), np.array([2, 1, 3]),
    )  # fmt: skip
    assert told(ordered(courses)) == [
        (0, "2026-01-01", "NaT", False, 1),
        (1, "2026-01-01", "2026-01-01", True, 5),
    ]
