"""Whether revenue follows the wins beside it, or is paid by all customers: money that the funnel does not explain.

With r and w revenue and wins of a cell over the means of its channel, and D their change from one period to the next,

    D r = (1 - q) D w + noise,    q: share of the revenue that does not move with wins

0 where each win brings its money in its own period, whatever prices do slowly; 1 where the same is paid whoever is won.
"""

from __future__ import annotations

import math

import numpy as np

from forecast.history.history import History

LEAST_WINS, LEAST_CELLS = 30, 8
STEADY, SURE = 0.5, 4.0  # share, and its standard errors above 0, from which on revenue does not follow wins
TIMES_VALUE = 2.0  # revenue over wins x the value that the study gives


def steady_share(history: History) -> float | None:
    """The share q where it surely is large; None where revenue follows wins, or too few tell."""
    won, money = (np.asarray(history.counts[name].values, dtype=float) for name in ("won", "revenue"))
    known = np.isfinite(won) & np.isfinite(money)
    n = np.maximum(known.sum(axis=0), 1)
    wins, paid = (np.where(known, each, 0.0).sum(axis=0) / n for each in (won, money))
    some = (wins > 0) & (paid > 0)
    if float(np.where(known, won, 0.0)[:, some].sum()) < LEAST_WINS:
        return None
    moved = np.diff(won[:, some] / wins[some], axis=0), np.diff(money[:, some] / paid[some], axis=0)
    x, y = (np.nan_to_num(each) for each in moved)
    both = np.isfinite(moved[0]) & np.isfinite(moved[1])
    weight = np.where(both, wins[some], 0.0)
    size = float((weight * x**2).sum())
    if int(both.sum()) < LEAST_CELLS or size <= 0:
        return None
    slope = float((weight * x * y).sum()) / size
    error = math.sqrt(float(((weight * x * (y - slope * x)) ** 2).sum())) / size
    share = 1.0 - slope
    return min(share, 1.0) if share > STEADY and share > SURE * error else None


def beyond_value(history: History, value: float | None) -> float | None:
    """How many times the wins' money, at the value of a deal that the study gives, revenue is; None where it fits."""
    if value is None:
        return None
    wins, money = (float(each.sum()) for each in history.paid_wins)
    return money / (wins * value) if wins >= LEAST_WINS and money > TIMES_VALUE * wins * value else None
