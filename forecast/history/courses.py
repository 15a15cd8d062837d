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
        return ordered(Courses(place[known], self.entered[known], left, moved, self.n[known]))

    def tells_days(self, kind: str) -> bool:
        """Whether the days are more than first days of periods or months: a file of months tells no day."""
        days = np.concatenate([self.entered, self.left[~np.isnat(self.left)]])
        return bool(days.size) and not any((start_of(days, each) == days).all() for each in (kind, "month"))

    @property
    def open(self) -> Courses:
        """Those that are still there."""
        return Courses._make(values[np.isnat(self.left)] for values in self)


def ordered(courses: Courses) -> Courses:
    """The same in one order, alike rows together; read-only."""
    keys = (courses.moved, courses.left.astype(np.int64), courses.entered.astype(np.int64), courses.channel)
    order = np.lexsort(keys)
    last = [key[order] for key in keys]
    first = np.ones(order.size, dtype=bool)
    if order.size:
        first[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in last])
    n = np.add.reduceat(courses.n[order], np.flatnonzero(first)) if order.size else courses.n
    made = Courses._make([*(values[order][first] for values in courses[:4]), n])
    for values in made:
        values.flags.writeable = False
    return made


def courses_of(
    rows: pd.DataFrame, names: Sequence[str], channels: Sequence[str], end: np.datetime64
) -> Courses:
    """The courses of leads as known on the day `end`.

    rows: columns channel (index in `names`), entered, left, moved, n.
    """
    place = {name: i for i, name in enumerate(channels)}
    of_names = np.array([place.get(name, -1) for name in names], dtype=np.int64)
    channel = of_names[rows["channel"].to_numpy(dtype=np.int64)]
    kept = channel >= 0
    entered, left = (rows[name].to_numpy().astype("datetime64[D]")[kept] for name in ("entered", "left"))
    moved, n = rows["moved"].to_numpy(dtype=bool)[kept], rows["n"].to_numpy(dtype=np.int64)[kept]
    return Courses(channel[kept], entered, left, moved, n).until(end)
