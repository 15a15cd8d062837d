"""Weeks ahead that were far off in every year before: a season of two waves a year cannot make a peak of a week."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forecast.checks import PASS, REVIEW, Check
from forecast.history.history import History
from forecast.history.moves import TRAFFIC
from forecast.periods import period_label, period_range, season_of, shift
from forecast.study import Study
from forecast.words import message

Array = NDArray[np.float64]

AROUND = 6  # weeks to both sides, whose median is what is usual
YEARS = 2  # in which a week was seen
PEAK, SURE = 0.25, 3.5  # on the log scale; times the scatter of single weeks
NORMAL = 0.6745  # the median of |z|
PEAKS = "Weeks ahead that were far off"


def peaks_ahead(history: History, study: Study) -> Check | None:
    """Whether a week of the horizon was far off in every past year, and no event of the study says so.

    A week is set against the median of those around it, on the log scale, less what its spend lay above theirs. It is
    far off beyond `PEAK` and `SURE` times the scatter of single weeks; in each year it or a week beside it (feasts
    move), and itself in most years. Asked of weeks that were seen in two years or more.
    """
    if history.period != "week":
        return None
    entries = np.nansum(history.entries, axis=1)
    if len(entries) <= 2 * AROUND or not (entries > 0).all():
        return None
    spend, apart = history.spend.sum(axis=1), _apart(entries)
    if (spend > 0).all():
        more = _apart(spend)
        apart = np.where(
            apart * more > 0, np.sign(apart) * np.maximum(np.abs(apart) - np.abs(more), 0.0), apart
        )
    bar = max(PEAK, SURE * float(np.median(np.abs(apart))) / NORMAL)
    first, last = (shift(history.last, ahead, "week") for ahead in (1, study.plan.periods))
    horizon = period_range(first, last, "week")
    places, stated, found, asked = season_of(history.periods, "week"), _stated(study, horizon), [], 0
    for start, place, known in zip(horizon, season_of(horizon, "week"), stated, strict=True):
        at = np.flatnonzero(places == place)
        if len(at) < YEARS:
            continue
        asked += 1
        for side in (1.0, -1.0):
            off = side * apart
            near = [off[max(t - 1, 0) : t + 2].max() for t in at]
            if not known and min(near) > bar and (off[at] > bar).mean() > 0.5:
                times = math.exp(side * float(off[at][off[at] > bar].mean()))
                told = {"week": period_label(start, "week"), "times": times, "n": len(at)}
                text = "{week} ({times:number.2} times the weeks around it, seen in {n} years)"
                found.append((int(place) + 1, message(text, **told)))
    if not asked:
        return None
    if not found:
        return Check(PEAKS, PASS, "no week of the horizon was far off in every year before, but those stated")
    numbers = sorted({place for place, _ in found})
    advice = message(
        "The season of weeks is too smooth for a peak of a week: the forecast leaves it out. Name it, and its size is "
        'learnt: [[event]] with name, yearly = [{numbers}] and moves = "traffic"; or all its dates, those ahead too '
        "(periods), where it falls into another week from year to year.",
        numbers=", ".join(map(str, numbers)),
    )
    return Check(PEAKS, REVIEW, message("{found:list.4}", found=[said for _, said in found]), advice)


def _apart(path: Array) -> Array:
    """Log of each week over the median of those around it, itself left out, (period,)."""
    log, n = np.log(path), len(path)
    around = [
        np.delete(np.arange(max(t - AROUND, 0), min(t + AROUND + 1, n)), min(t, AROUND)) for t in range(n)
    ]
    return np.array([log[t] - np.median(log[near]) for t, near in enumerate(around)])


def _stated(study: Study, horizon: NDArray[np.datetime64]) -> Sequence[bool]:
    """Weeks in which an event of the study moves traffic."""
    falls = [
        falling
        for event in study.events
        if TRAFFIC in event.moves
        for falling in event.falls(horizon, "week").values()
    ]
    return [any(each[i] for each in falls) for i in range(len(horizon))]
