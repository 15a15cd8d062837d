"""Days at risk and events of dated leads, against counting day by day."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.fit.exposure import edges_of, exposures
from forecast.history import Courses

STARTS = np.arange("2026-01", "2026-07", dtype="datetime64[M]").astype("datetime64[D]")
END = np.datetime64("2026-06-30", "D")


def some_courses(rng: np.random.Generator, size: int = 300) -> Courses:
    """Leads that leave on a day with chance 1 / 20."""
    entered = STARTS[0] + rng.integers(0, 181, size).astype("timedelta64[D]")
    left = entered + rng.geometric(0.05, size).astype("timedelta64[D]") - np.timedelta64(1, "D")
    gone = left <= END
    moved = gone & (rng.random(size) < 0.6)
    left = np.where(gone, left, np.datetime64("NaT", "D"))
    return Courses(rng.integers(0, 2, size), entered, left, moved, rng.integers(1, 4, size))


def test_cells_are_those_of_counting_day_by_day():
    """A unit is at risk on each day from its first to the one on which it leaves, which counts by half."""
    courses = some_courses(np.random.default_rng(1))
    cells = exposures(courses, STARTS, END, 2)
    risk, moved, lost = (np.zeros_like(cells.moves[0]) for _ in range(3))
    for channel, entered, left, moves, n in zip(*courses, strict=True):
        last = END if np.isnat(left) else left
        for day in np.arange(entered, last + np.timedelta64(1, "D")):
            at = (
                int(np.searchsorted(cells.edges, int((day - entered).astype(int)), side="right")) - 1,
                int(np.searchsorted(STARTS, day, side="right")) - 1,
                channel,
            )
            gone = day == left
            risk[at] += n * (0.5 if gone else 1.0)
            moved[at] += n * (gone and moves)
            lost[at] += n * (gone and not moves)
    assert cells.begins is None
    assert cells.moves[0] == pytest.approx(risk)
    assert cells.losses[0] == pytest.approx(risk)
    assert np.array_equal(cells.moves[1], moved)
    assert np.array_equal(cells.losses[1], lost)


def test_observation_begins_where_events_are_first_recorded():
    """Of a file that records no event before a day, the days before it are no days at risk."""
    courses = some_courses(np.random.default_rng(2), 2000)
    first = np.datetime64("2026-03-15", "D")
    kept = np.isnat(courses.left) | (courses.left >= first)
    cut = Courses(*(values[kept] for values in courses))
    cells = exposures(cut, STARTS, END, 2)
    assert cells.begins == first
    assert cells.partly  # of what entered before, only those are in the file that were open then
    assert not cells.moves[0][:, :2].any()
    whole = exposures(courses, STARTS, END, 2)
    late = slice(3, None)
    assert cells.moves[1][:, late] == pytest.approx(whole.moves[1][:, late])
    assert cells.moves[0][:, late] == pytest.approx(whole.moves[0][:, late])


def test_settled_units_that_stand_as_open_are_no_left_edge():
    """A file in which early moves were not written down: what entered is known whole, and few of it move later."""
    courses = some_courses(np.random.default_rng(2), 2000)
    early = courses.left < np.datetime64("2026-04-15", "D")
    unwritten = np.where(early, np.datetime64("NaT", "D"), courses.left)
    cells = exposures(courses._replace(left=unwritten, moved=courses.moved & ~early), STARTS, END, 2)
    assert cells.begins is not None
    assert not cells.partly


def test_few_leads_without_an_event_are_no_gap():
    """Where few events are expected before the first one, nothing is cut."""
    courses = some_courses(np.random.default_rng(3), 30)
    assert exposures(courses, STARTS, END, 2).begins is None


def test_edges_grow():
    """Days first, then wider; they reach as far as asked."""
    edges = edges_of(400)
    assert edges[:6].tolist() == [0, 1, 2, 3, 4, 5]
    assert edges[-2] <= 400 < edges[-1]
    assert (np.diff(edges) >= 1).all()
