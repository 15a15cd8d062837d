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
    """Cells (bin, period, channel) of one kind of event: days at risk, less half of all that left; events.

    edges (bin + 1,): ages in days; begins: the day on which observation begins where it is cut, else None.
    """

    edges: Ints
    at_risk: Array
    events: Array
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


def exposures(courses: Courses, starts: Periods, end: np.datetime64, channels: int) -> tuple[Exposure, Exposure]:
    """Cells of moves and of losses over the periods `starts`, as known on the day `end`.

    Ages reach far beyond those that were seen: what becomes of units at them is the prior's.
    """
    first = np.datetime64(starts[0], "D")
    days = int((end - first).astype(int)) + 1
    edges = edges_of(max(BEYOND * days, LEAST_DAYS))
    gone = ~np.isnat(courses.left)
    kinds = [gone & courses.moved, gone & ~courses.moved]
    risk, events = _by_day(courses, first, days, kinds, np.zeros(len(courses.n), dtype=np.int64), 1)
    begins = 2 * [max(_begins(risk[0], each[0], edges) for each in events)]
    at_risk, made = _cells(courses, first, days, kinds, channels, edges, starts, begins)
    known = [first + np.timedelta64(day, "D") if day else None for day in begins]
    left = [
        np.maximum(at_risk[i] - 0.5 * (made[i][0] + made[i][1]), 0.0) for i in range(2)
    ]
    return Exposure(edges, left[0], made[0][0], known[0]), Exposure(edges, left[1], made[1][1], known[1])


def _by_day(
    courses: Courses, first: np.datetime64, days: int, kinds: list[NDArray[np.bool_]], channel: Ints, channels: int
) -> tuple[list[Array], list[list[Array]]]:
    """Units at risk (channel)(day of entry, age), and those that left, by kind."""
    entered = (courses.entered - first).astype(np.int64)
    age = np.where(np.isnat(courses.left), 0, (courses.left - courses.entered).astype(np.int64))
    risk, events = [], [[] for _ in kinds]
    for c in range(channels):
        own = channel == c
        came = np.bincount(entered[own], weights=courses.n[own], minlength=days)[:days]
        gone = np.zeros((days, days))
        for kind, found in zip(kinds, events, strict=True):
            rows = own & kind
            at = entered[rows] * days + age[rows]
            found.append(np.bincount(at, weights=courses.n[rows], minlength=days * days).reshape(days, days))
            gone += found[-1]
        risk.append(came[:, None] - np.cumsum(gone, axis=1) + gone)
    return risk, events


def _begins(risk: Array, events: Array, edges: Ints) -> int:
    """Day of the first event where many are expected before it, else 0."""
    days = len(risk)
    entry, age = np.nonzero(np.add.outer(np.arange(days), np.arange(days)) < days)
    day, n, y = entry + age, risk[entry, age], events[entry, age]
    if not y.any():
        return 0
    begins = int(day[y > 0].min())
    place = np.searchsorted(edges, age, side="right") - 1
    late = day >= begins
    seen, left, before = (
        np.bincount(place, weights=values, minlength=len(edges)) for values in (y * late, n * late, n * ~late)
    )
    expected = float((before * seen / np.maximum(left, 1.0)).sum())
    return begins if expected > MISSED else 0


def _cells(
    courses: Courses,
    first: np.datetime64,
    days: int,
    kinds: list[NDArray[np.bool_]],
    channels: int,
    edges: Ints,
    starts: Periods,
    begins: list[int],
) -> tuple[list[Array], list[list[Array]]]:
    """By kind of event whose observation so begins: days at risk, and moves and losses, (bin, period, channel)."""
    entry, age = np.nonzero(np.add.outer(np.arange(days), np.arange(days)) < days)
    day = entry + age
    period = np.searchsorted((starts - first).astype(np.int64), np.arange(days), side="right") - 1
    bins, periods = len(edges) - 1, len(starts)
    place = (np.searchsorted(edges, age, side="right") - 1) * periods + period[day]
    size = bins * periods
    at_risk = [np.zeros((bins, periods, channels)) for _ in begins]
    made = [[np.zeros((bins, periods, channels)) for _ in kinds] for _ in begins]
    for c in range(channels):
        rows = courses.channel == c
        own = Courses(*(values[rows] for values in courses))
        risk, events = _by_day(own, first, days, [kind[rows] for kind in kinds], np.zeros(len(own.n), dtype=np.int64), 1)
        for i, begin in enumerate(begins):
            late = day >= begin

            def summed(values: Array, late: NDArray[np.bool_] = late) -> Array:
                found = np.bincount(place[late], weights=values[entry, age][late], minlength=size)
                return found.reshape(bins, periods)

            at_risk[i][:, :, c] = summed(risk[0])
            for k, each in enumerate(events):
                made[i][k][:, :, c] = summed(each[0])
    return at_risk, made
