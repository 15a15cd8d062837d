"""Days at risk and events of dated leads by age, calendar period and channel: the cells of `fit.hazards`.

A unit that entered on day s and left on day x was at risk on the days s .. x, at the ages 0 .. x - s; one that is still
there until the last day known. Left truncation: where many events are expected of the days before the first one that
was recorded, observation begins with that, and days before it are no days at risk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.history import Courses
from forecast.periods import Periods

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

GROWTH = 1.25  # of the edges of the ages
BEYOND, LEAST_DAYS = 3, 1500  # how far ages reach, over the days of the history and at least
MISSED = 10.0  # events expected before the first one: exp(-10) is the chance to see none


@dataclass(frozen=True, eq=False)
class Exposure:
    """Cells (bin, period, channel) of units before one stage.

    edges (bin + 1,): ages in days; at_risk: days at risk, less half of all that left; moved, lost: events. begins: the
    day on which observation begins where it is cut, else None.
    """

    edges: Ints
    at_risk: Array
    moved: Array
    lost: Array
    begins: np.datetime64 | None


def edges_of(days: int) -> Ints:
    """Edges of the ages in days, 0, 1, 2, 3, ..., growing by `GROWTH`, the last one above `days`.

    >>> edges_of(12).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15]
    """
    edges = [0, 1]
    while edges[-1] <= days:
        edges.append(max(edges[-1] + 1, int(edges[-1] * GROWTH)))
    return np.array(edges, dtype=np.int64)


def exposures(courses: Courses, starts: Periods, end: np.datetime64, channels: int) -> Exposure:
    """Cells over the periods `starts`, as known on the day `end`.

    Ages reach far beyond those that were seen: what becomes of units at them is the prior's.
    """
    first = np.datetime64(starts[0], "D")
    days = int((end - first).astype(int)) + 1
    edges = edges_of(max(BEYOND * days, LEAST_DAYS))
    period = np.searchsorted((starts - first).astype(np.int64), np.arange(days), side="right") - 1
    shape = len(edges) - 1, len(starts)
    entry, age = np.nonzero(np.add.outer(np.arange(days), np.arange(days)) < days)
    bins = np.searchsorted(edges, np.arange(days), side="right") - 1
    entered = (courses.entered - first).astype(np.int64)
    gone = ~np.isnat(courses.left)
    waited = np.where(gone, (courses.left - courses.entered).astype(np.int64), 0)
    kinds = [gone & courses.moved, gone & ~courses.moved]

    def at_risk(rows: NDArray[np.bool_]) -> Array:
        """Units at risk, in the order of `entry` and `age`."""
        came = np.bincount(entered[rows], weights=courses.n[rows], minlength=days)[:days]
        left = rows & gone
        at = entered[left] * days + waited[left]
        out = np.bincount(at, weights=courses.n[left], minlength=days * days).reshape(days, days)
        return np.asarray((came[:, None] - np.cumsum(out, axis=1) + out)[entry, age])

    def laid_out(place: Ints, weights: Array) -> Array:
        return np.bincount(place, weights=weights, minlength=shape[0] * shape[1]).reshape(shape)

    day = entry + age
    begins = max(
        _begins(at_risk(gone | True), day, age, entered, waited, courses.n, kind, edges) for kind in kinds
    )
    late = day >= begins
    place = bins[age[late]] * shape[1] + period[day[late]]
    risk, moved, lost = (np.zeros((*shape, channels)) for _ in range(3))
    for c in range(channels):
        own = courses.channel == c
        risk[:, :, c] = laid_out(place, at_risk(own)[late])
        for kind, found in zip(kinds, (moved, lost), strict=True):
            rows = own & kind & (entered + waited >= begins)
            left = entered[rows] + waited[rows]
            found[:, :, c] = laid_out(bins[waited[rows]] * shape[1] + period[left], courses.n[rows])
    known = first + np.timedelta64(begins, "D") if begins else None
    return Exposure(edges, np.maximum(risk - 0.5 * (moved + lost), 0.0), moved, lost, known)


def _begins(
    risk: Array,
    day: Ints,
    age: Ints,
    entered: Ints,
    waited: Ints,
    n: Ints,
    kind: NDArray[np.bool_],
    edges: Ints,
) -> int:
    """Day of the first event of a kind where many are expected before it, else 0.

    risk: units by day and age; entered, waited, n: courses.
    """
    if not kind.any():
        return 0
    begins = int((entered + waited)[kind].min())
    size, late = len(edges), day >= begins
    place = np.searchsorted(edges, age, side="right") - 1
    seen = np.bincount(
        np.searchsorted(edges, waited[kind], side="right") - 1, weights=n[kind], minlength=size
    )
    left, before = (np.bincount(place, weights=risk * part, minlength=size) for part in (late, ~late))
    expected = float((before * seen / np.maximum(left, 1.0)).sum())
    return begins if expected > MISSED else 0
