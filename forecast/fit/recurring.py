"""What customers won before go on paying: today's level and its growth a period, learnt from the series of a channel.

    log R_t = L - g k - W_k + e_t,   k = T - t periods before the last;   W a walk with sd w a period, e ~ Normal(0, u)

exp(g) is what is retained a period: of those that leave, come back and grow, and of new customers whose first deal was
won long ago. L is free, g ~ Normal(log retention of the study, .01 a month), without one Normal(0, .03); w and u
(Gamma(2) about .02 a month and .04) stand on a grid, given them everything is Gaussian: exact, and no sampler. Before
its first amount a channel's series has not begun; amounts of 0 later thin it out, and the level is that of a mean
period. A series is over when there has been no amount for as long as ever passed between two.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from forecast.history import History
from forecast.periods import PERIODS_PER_YEAR
from forecast.study import Study

Array = NDArray[np.float64]

WIDE = 10.0  # sd of L about the mean of the series
GROWTH_SD, RETAINED_SD = 0.03, 0.01  # of g, a month
WALK, NOISE = 0.02, 0.04  # means of w, a month, and u
STEPS = 12
RENEWALS = {"year": 12, "quarter": 3, "month": 1}  # months between them


def recurring(study: Study, history: History, draws: int, rng: np.random.Generator) -> dict[str, Array]:
    """By (draw, channel): recurring_level (currency a period), recurring_growth (g), recurring_drift (w), and
    recurring_noise (u); nothing where no channel has such revenue."""
    if "recurring" not in history.counts or not history.filled("recurring").any():
        return {}
    months = 12.0 / PERIODS_PER_YEAR[history.period]
    mean, sd = growth_prior(study, months)
    names = ("recurring_level", "recurring_growth", "recurring_drift", "recurring_noise")
    found = {name: np.zeros((draws, len(history.channels))) for name in names}
    for c, series in enumerate(history.counts["recurring"].values.T):
        if _over(series):
            continue
        for name, values in zip(names, _learnt(series, mean, sd, months, draws, rng), strict=True):
            found[name][:, c] = values
    return found


def _over(series: Array) -> bool:
    """Whether nothing recurs any more: see the module."""
    seen, none = np.flatnonzero(np.nan_to_num(series) > 0), series == 0
    if not seen.size:
        return True
    return int(none[seen[-1] :].sum()) >= max(np.diff(seen).max(initial=1), 1)


def growth_prior(study: Study, months: float) -> tuple[float, float]:
    """Mean and sd of g a period of so many months."""
    kept = study.economics.retention
    if kept is None:
        return 0.0, GROWTH_SD * months
    share = kept if isinstance(kept, float) else kept.mean
    if share is None and not isinstance(kept, float):
        share = ((kept.low or 0.0) + (kept.high or 0.0)) / 2
    return math.log(float(share or 1.0)) * months / RENEWALS[study.economics.renewal], RETAINED_SD * months


def _learnt(
    series: Array, mean: float, sd: float, months: float, draws: int, rng: np.random.Generator
) -> tuple[Array, Array, Array, Array]:
    """Draws of level (currency), g, w and u of one series."""
    seen = np.flatnonzero(np.nan_to_num(series) > 0)
    between = np.isfinite(series[seen[0] : seen[-1]]).sum()
    k = (len(series) - 1 - seen).astype(float)
    y = np.log(series[seen])
    walks = np.geomspace(0.1, 8.0, STEPS) * WALK * math.sqrt(months)
    noises = np.geomspace(0.05, 8.0, STEPS) * NOISE
    w, u = (each.ravel() for each in np.meshgrid(walks, noises, indexing="ij"))
    centre = y.mean()
    miss = y - (centre - mean * k)
    shared = WIDE**2 + sd**2 * np.outer(k, k)
    cover = shared + w[:, None, None] ** 2 * np.minimum.outer(k, k) + u[:, None, None] ** 2 * np.eye(len(y))
    root = np.linalg.cholesky(cover)
    half = np.linalg.solve(root, np.broadcast_to(miss[:, None], (len(w), len(y), 1)))[:, :, 0]
    told = -0.5 * (half**2).sum(axis=1) - np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    told += 2.0 * np.log(w) - 2.0 * w / (WALK * math.sqrt(months)) + 2.0 * np.log(u) - 2.0 * u / NOISE
    weight = np.exp(told - told.max())
    at = rng.choice(len(w), size=draws, p=weight / weight.sum())
    along = np.stack([np.full(len(k), WIDE**2), -(sd**2) * k])  # of L and g with the series
    gain = np.linalg.solve(cover, np.broadcast_to(along.T, (len(w), len(y), 2)))  # cell, period, 2
    middle = np.einsum("gtp,t->gp", gain, miss)
    spread = np.diag([WIDE**2, sd**2]) - np.einsum("pt,gtq->gpq", along, gain)
    draw = np.linalg.cholesky((spread + spread.swapaxes(1, 2)) / 2 + 1e-14 * np.eye(2))
    made = middle[at] + np.einsum("dpq,dq->dp", draw[at], rng.standard_normal((draws, 2)))
    thinned = (len(seen) - 1) / between if between else 1.0
    return np.exp(centre + made[:, 0]) * thinned, mean + made[:, 1], w[at], u[at]
