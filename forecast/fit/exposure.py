"""Days at risk and events of dated leads by age, calendar period and channel: the cells of `fit.hazards`.

A unit that entered on day s and left on day x was at risk on the days s .. x, at the ages 0 .. x - s; one that is still
there until the last day known. Left truncation: where many events are expected of the days before the first one that
was recorded, observation begins with that, and days before it are no days at risk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.history import Courses, History
from forecast.periods import Periods

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

GROWTH = 1.25  # of the edges of the ages
BEYOND, LEAST_DAYS = 3, 1500  # how far ages reach, over the days of the history and at least
WHOLE = 0.7  # of the moves expected of what entered before the first one: below, settled units stand there as open
MISSED = 10.0  # events expected before the first one: exp(-10) is the chance to see none


@dataclass(frozen=True, eq=False)
class Exposure:
    """Cells (bin, period, channel) of units before one stage.

    edges (bin + 1,): ages in days; moves, losses: days at risk, less half of all that left, and events; begins: the day
    on which observation of moves begins where it is cut, else None. partly: units that were settled before that day
    are not in the file, so what entered before it is not known whole.
    """

    edges: Ints
    moves: tuple[Array, Array]
    losses: tuple[Array, Array]
    begins: np.datetime64 | None
    partly: bool


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

    day, left = entry + age, entered + waited
    every = np.ones(gone.size, dtype=bool)
    first_move, first_loss = (
        _begins(at_risk(every), day, bins[age], left, bins[waited], courses.n, k) for k in kinds
    )
    cells = []
    for kind, begins in zip(kinds, (first_move, max(first_move, first_loss)), strict=True):
        late, at_all = day >= begins, gone & (left >= begins)
        place = bins[age[late]] * shape[1] + period[day[late]]
        risk, events = np.zeros((*shape, channels)), np.zeros((*shape, channels))
        for c in range(channels):
            own = courses.channel == c
            risk[:, :, c] = laid_out(place, at_risk(own)[late])
            for found, rows, share in ((risk, own & at_all, -0.5), (events, own & at_all & kind, 1.0)):
                out = laid_out(bins[waited[rows]] * shape[1] + period[left[rows]], share * courses.n[rows])
                found[:, :, c] += out
        cells.append((np.maximum(risk, 0.0), events))
    partly = False
    if first_move:
        old = entered < first_move
        late = day >= first_move
        hazard = _pooled(at_risk(~old)[late], bins[age[late]], courses.n * (kinds[0] & ~old), bins[waited])
        expected = at_risk(old)[late] @ hazard[bins[age[late]]]
        partly = bool((courses.n * (kinds[0] & old)).sum() > WHOLE * expected)
    known = first + np.timedelta64(first_move, "D") if first_move else None
    return Exposure(edges, cells[0], cells[1], known, partly)


def _pooled(risk: Array, at: Ints, events: Ints, bins: Ints) -> Array:
    """Events a day at risk by bin, all channels and periods together; risk and events with the bins they lie in."""
    size = int(max(at.max(initial=0), bins.max(initial=0))) + 1
    seen, left = (np.bincount(b, weights=w, minlength=size) for b, w in ((bins, events), (at, risk)))
    return np.asarray(seen / np.maximum(left, 1.0))


def _begins(
    risk: Array, day: Ints, at: Ints, left: Ints, bins: Ints, n: Ints, kind: NDArray[np.bool_]
) -> int:
    """Day of the first event of a kind where many are expected before it, else 0.

    risk: units by `day` and bin `at`; left, bins, n: days and bins at which courses end, and their units.
    """
    if not kind.any():
        return 0
    begins = int(left[kind].min())
    late = day >= begins
    hazard = _pooled(risk[late], at[late], n * kind, bins)
    early = ~late
    return begins if float(risk[early] @ np.append(hazard, np.zeros(at.max() + 1))[at[early]]) > MISSED else 0


def known_whole(history: History) -> NDArray[np.bool_]:
    """Periods in which what entered the first dated stage is known whole, (period,): see `Exposure.partly`."""
    whole = np.ones(len(history.periods), dtype=bool)
    for stage, courses in history.by_day.items():
        if stage in history.counted[1:2]:
            cells = exposures(courses, history.periods, history.end, len(history.channels))
            if cells.partly and cells.begins is not None:
                whole &= history.periods >= cells.begins
    return whole
