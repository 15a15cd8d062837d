"""Which leads sales should work: the threshold that maximises expected contribution under what sales can take.

    contribution of working a lead = margin x P(win) x deal value - cost of working it

A lead that is not worked is taken to bring nothing. Leads are worked from the best down, until the next one costs more
than it brings or sales are full; so the best threshold is a number, and no other set of as many leads brings more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

POINTS = 41  # of the curve of contribution against leads worked


@dataclass(frozen=True, eq=False)
class Threshold:
    """The threshold on expected value (or on P(win) where deals have no value), and what it does a period.

    curve: worked, contribution, q10, q90, wins by how many leads are worked a period. told: numbers for a summary.
    """

    level: float
    curve: pd.DataFrame
    told: dict[str, Any]


def best_threshold(
    chance: Array, value: Array | None, *, margin: float, cost: float, capacity: float | None, periods: int
) -> Threshold:
    """The threshold for leads such as these, which came in so many periods.

    Args:
        chance: (draw, lead), P(win) when new. value: (draw, lead), deal value; None: wins are what counts.
        margin: gross margin; cost: of working one lead; capacity: leads a period; periods: that the leads came in.
    """
    brings = chance if value is None else margin * chance * value - cost
    expected = brings.mean(axis=0)
    order = np.argsort(-expected, kind="stable")
    room = expected.size if capacity is None else min(round(capacity * periods), expected.size)
    worth = int((expected > 0).sum()) if value is not None else expected.size
    worked = min(room, worth)
    ranked = expected[order] if value is None else (expected[order] + cost) / margin
    level = _between(ranked, worked)
    sums = np.cumsum(brings[:, order], axis=1) / periods
    wins = np.cumsum(chance[:, order], axis=1) / periods
    marks = np.unique(np.linspace(0, expected.size, POINTS).astype(int))
    rows = [_row(n, sums, wins, periods) for n in marks]
    best = _row(worked, sums, wins, periods)
    arrived = _row(expected.size, sums, wins, periods)
    share = worked / max(expected.size, 1)
    told = {
        "level": level,
        "unit": "P(win)" if value is None else "expected value",
        "leads_a_period": expected.size / periods,
        "capacity": capacity,
        "limited_by": "capacity" if capacity is not None and room < worth else "cost" if cost else "nothing",
        "worked_a_period": worked / periods,
        "share_of_wins": best["wins"] / arrived["wins"] if arrived["wins"] > 0 else None,
        "contribution_a_period": None if value is None else best["contribution"],
        "contribution_q10": None if value is None else best["q10"],
        "contribution_q90": None if value is None else best["q90"],
        "contribution_as_they_come": None if value is None else arrived["contribution"] * share,
        "wins_a_period": best["wins"],
        "wins_as_they_come": arrived["wins"] * share,
    }
    return Threshold(level, pd.DataFrame(rows), told)


def _between(ranked: Array, worked: int) -> float:
    """Half-way between the last that is worked and the first that is not; 0 where all are."""
    if worked >= ranked.size:
        return 0.0
    if worked == 0:
        return float(ranked[0]) * 1.0001
    return float((ranked[worked - 1] + ranked[worked]) / 2)


def _row(n: int, sums: Array, wins: Array, periods: int) -> dict[str, float]:
    total = sums[:, n - 1] if n else np.zeros(len(sums))
    return {
        "worked": n / periods,
        "contribution": float(total.mean()),
        "q10": float(np.quantile(total, 0.1)),
        "q90": float(np.quantile(total, 0.9)),
        "wins": float(wins[:, n - 1].mean()) if n else 0.0,
    }
