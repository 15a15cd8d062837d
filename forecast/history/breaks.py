"""Levels that change at once: where a walk would need periods to follow, the fit takes a step there.

A rate: as the audit finds it (`audit_rates.found_jumps`). Traffic: of the log of all units that enter in a period, less
its days, l_t, at period s with w periods on each side,

    D = mean l_s .. l_(s+w-1) - mean l_(s-w) .. l_(s-1),    Var D = noise (1/w1 + 1/w2) + walk (w1 + w2) / 3

noise and walk as of the other steps of l; D beyond SURE standard errors and a factor of LARGE, most of it in the two
periods on each side, and not what the same season did a year before.
"""

from __future__ import annotations

import math
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from forecast.history.audit_rates import LEAST, STEP, found_jumps
from forecast.history.history import History
from forecast.periods import PERIODS_PER_YEAR, log_days

Array = NDArray[np.float64]

SURE, LARGE = 4.0, math.log(1.6)
AT_ONCE, SEASONAL = 0.7, 0.5  # shares of a step: seen in the two periods on each side; seen a year before
NEAR = 2  # periods


class Break(NamedTuple):
    """A step of a level: of a destination stage's rate or of "traffic", at the period of this index."""

    target: str
    at: int


_FOUND: WeakKeyDictionary[History, tuple[Break, ...]] = WeakKeyDictionary()  # every part of a fit asks


def breaks_of(history: History) -> list[Break]:
    """Steps that a fit takes as such: of rates that are learnt of counts, and of all traffic."""
    if history not in _FOUND:
        jumps = [jump for jump in found_jumps(history) if jump.stage not in history.triangles]
        at = traffic_break(history)
        traffic = () if at is None else (Break("traffic", at),)
        _FOUND[history] = (*(Break(jump.stage, jump.at) for jump in jumps), *traffic)
    return list(_FOUND[history])


def traffic_break(history: History) -> int | None:
    """The period at which all traffic takes its sharpest step, None where there is none."""
    entries = history.entries
    whole = np.isfinite(entries).all(axis=0)
    total = entries[:, whole].sum(axis=1)
    if len(total) < 2 * LEAST + 1 or not (total > 0).all():
        return None
    level = np.log(total) - log_days(history.periods, history.period)
    year = PERIODS_PER_YEAR[history.period]
    width = max(year // 2, LEAST)
    found = []
    for at in range(LEAST, len(level) - LEAST + 1):
        size, error = _step(level, at, width, STEP**2 * 12 / year)
        near = level[at : at + NEAR].mean() - level[at - NEAR : at].mean()
        before = _step(level, at - year, width, 0.0)[0] if at - year >= LEAST else 0.0
        if abs(size) > max(SURE * error, LARGE) and near / size > AT_ONCE and before / size < SEASONAL:
            found.append((abs(size) / error, at))
    return max(found)[1] if found else None


def _step(level: Array, at: int, width: int, least: float) -> tuple[float, float]:
    """Change of the level at a period, and its standard error by the steps of all other periods (Muth 1960)."""
    early, late = level[max(at - width, 0) : at], level[at : at + width]
    step = np.diff(level)
    step[at - 1] = np.nan
    together = float(np.nanmean(step[1:] * step[:-1]))
    noise, walk = max(-together, 0.0), max(float(np.nanmean(step**2)) + 2.0 * together, least)
    variance = noise * (1 / len(early) + 1 / len(late)) + walk * (len(early) + len(late)) / 3
    return float(late.mean() - early.mean()), math.sqrt(variance) + 1e-9
