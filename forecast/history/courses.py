"""Courses of dated leads by day: when units entered a stage, and when they moved on or were lost.

Triangles tell periods; a hazard by age needs days. Leads of the same course are one row with their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.periods import start_of

Days = NDArray[np.datetime64]


class Courses(NamedTuple):
    """Units that wait, or waited, before one stage, (row,) each.

    channel: index in the history; entered, left: days, NaT where the unit is still there; moved: it left to the stage,
    and was not lost; n: units of this course.
    """

    channel: NDArray[np.int64]
    entered: Days
    left: Days
    moved: NDArray[np.bool_]
    n: NDArray[np.int64]

    def until(self, end: np.datetime64, channels: NDArray[np.int64] | None = None) -> Courses:
        """What was known at the end of a day; `channels`: those that are kept, which are then counted anew."""
        known = self.entered <= end
        place = self.channel
        if channels is not None:
            anew = np.full(max(int(place.max(initial=-1)), int(channels.max(initial=-1))) + 1, -1)
            anew[channels] = np.arange(channels.size)
            place = anew[place]
            known &= place >= 0
        left = np.where(self.left <= end, self.left, np.datetime64("NaT", "D"))[known]
        moved = self.moved[known] & ~np.isnat(left)
        return fixed(Courses(place[known], self.entered[known], left, moved, self.n[known]))

    @property
    def open(self) -> Courses:
        """Those that are still there."""
        return Courses(*(values[np.isnat(self.left)] for values in self))

    @property
    def lost(self) -> bool:
        """Whether any loss has a date."""
        return bool((~np.isnat(self.left) & ~self.moved).any())


def fixed(courses: Courses) -> Courses:
    """The same with arrays that are read-only."""
    for values in courses:
        values.flags.writeable = False
    return courses


def courses_of(
    rows: pd.DataFrame, names: Sequence[str], channels: Sequence[str], starts: Days, kind: str, end: np.datetime64
) -> Courses | None:
    """The courses of leads created in the periods `starts`, as known on the day `end`.

    rows: columns channel (index in `names`), created (period), entered, left, moved, n. None where the days are all
    first days of periods: a file of months tells no day.
    """
    created = rows["created"].to_numpy().astype("datetime64[D]")
    place = {name: i for i, name in enumerate(channels)}
    of_names = np.array([place.get(name, -1) for name in names], dtype=np.int64)
    channel = of_names[rows["channel"].to_numpy(dtype=np.int64)]
    kept = (created >= starts[0]) & (created <= starts[-1]) & (channel >= 0)
    entered, left = (rows[name].to_numpy().astype("datetime64[D]")[kept] for name in ("entered", "left"))
    days = np.concatenate([entered, left[~np.isnat(left)]])
    if not days.size or any((start_of(days, each) == days).all() for each in (kind, "month")):
        return None
    moved = rows["moved"].to_numpy(dtype=bool)[kept]
    n = rows["n"].to_numpy(dtype=np.int64)[kept]
    order = np.lexsort((moved, left, entered, channel[kept]))
    found = Courses(channel[kept], entered, left, moved, n)
    return Courses(*(values[order] for values in found)).until(end)
