"""Of dated units: the share that ever moves on, and when, while some are still open (a cure model).

A unit moves on with probability p, after a lognormal time of mean m and coefficient of variation c (F), or else is
lost with a date with probability q, after another such time (G). After a days, with a date known to the day:

    moved at d:  p [F(d + 1) - F(d - 1)] / 2      lost at d:  (1 - p) q [G(d + 1) - G(d - 1)] / 2
    still open:  p (1 - F(a)) + (1 - p) (1 - q G(a)),   at a + 1/2

The mode of the posterior and the curvature there; priors normal on logit and log scales. Source: Boag 1949, Farewell
1982; with two outcomes Gray 1990's cumulative incidence. numpy and scipy only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from forecast.equations import lognormal_cdf

Array = NDArray[np.float64]

OPEN, MOVED, LOST = 0, 1, 2
TINY = 1e-300
CV_PRIOR = (np.log(0.8), 0.4)
LOSS_PRIOR = (0.0, 1.5)  # logit of the share lost with a date
DRAWS_AT_ONCE = 500  # bounds memory
DELAY_SD = 1.0  # of the log of a mean delay, where nothing better is known


@dataclass(frozen=True)
class Timing:
    """What is known of a move: mode and covariance of logit p, log m, log c; with losses the same of q, G."""

    mode: Array
    covariance: Array

    @property
    def rate(self) -> float:
        """Share that ever moves on."""
        return float(expit(self.mode[0]))

    @property
    def mean_days(self) -> float:
        """Mean delay of those that move on."""
        return float(np.exp(self.mode[1]))

    @property
    def cv(self) -> float:
        """Coefficient of variation of that delay."""
        return float(np.exp(self.mode[2]))

    def moved_by(self, days: Array | float) -> Array:
        """F: of those that ever move on, the share that has by this age."""
        return lognormal_cdf(days, self.mean_days, self.cv)

    def lost_by(self, days: Array | float) -> Array:
        """Q G: of those that never move on, the share that is lost with a date by this age."""
        if self.mode.size == 3:
            return np.zeros_like(np.asarray(days, dtype=float))
        q, mean, cv = expit(self.mode[3]), np.exp(self.mode[4]), np.exp(self.mode[5])
        return np.asarray(q * lognormal_cdf(days, mean, cv))

    def draws(self, rng: np.random.Generator, size: int) -> tuple[Array, Array, Array]:
        """Draws of (rate, mean delay in days, coefficient of variation)."""
        vary = rng.multivariate_normal(self.mode, self.covariance, size=size, method="eigh")
        return expit(vary[:, 0]), np.exp(vary[:, 1]), np.exp(vary[:, 2])


def fit_timing(
    kind: NDArray[np.int64],
    days: Array,
    *,
    rate: tuple[float, float] = (0.0, 1.5),
    delay: tuple[float, float] = (60.0, DELAY_SD),
) -> Timing:
    """Mode and curvature for units of one kind each (OPEN, MOVED, LOST) after so many days.

    rate: prior mean and sd of logit p; delay: prior mean delay in days, and sd of its log. Losses are modelled where
    any unit is LOST. With no unit at all the prior comes back.
    """
    bins = {k: np.unique(days[kind == k], return_counts=True) for k in (OPEN, MOVED, LOST)}
    losses = bins[LOST][0].size > 0
    middle = np.array([rate[0], np.log(delay[0]), CV_PRIOR[0], LOSS_PRIOR[0], np.log(delay[0]), CV_PRIOR[0]])
    spread = np.array([rate[1], delay[1], CV_PRIOR[1], LOSS_PRIOR[1], DELAY_SD, CV_PRIOR[1]])
    size = 6 if losses else 3
    middle, spread = middle[:size], spread[:size]

    def cost(x: Array) -> float:
        x = np.clip(x, -15, 15)
        p, m, c = expit(x[0]), np.exp(x[1]), np.exp(x[2])
        total = -0.5 * float((((x - middle) / spread) ** 2).sum())
        at, n = bins[MOVED]
        total += float(n @ np.log(p * _on_day(at, m, c) + TINY))
        still, n_open = bins[OPEN]
        away = np.zeros(still.size)
        if losses:
            q, lm, lc = expit(x[3]), np.exp(x[4]), np.exp(x[5])
            gone, n_lost = bins[LOST]
            total += float(n_lost @ np.log((1 - p) * q * _on_day(gone, lm, lc) + TINY))
            away = q * lognormal_cdf(still + 0.5, lm, lc)
        left = p * (1 - lognormal_cdf(still + 0.5, m, c)) + (1 - p) * (1 - away)
        return -total - float(n_open @ np.log(left + TINY))

    start = middle.copy()
    known, n_known = (float(kind.size), float((kind == MOVED).sum()))
    if known:
        start[0] = logit((n_known + 0.5) / (known + 1.0))
    if n_known:
        start[1] = np.log(max(float(days[kind == MOVED].mean()), 0.5))
    if losses:
        start[4] = np.log(max(float(days[kind == LOST].mean()), 0.5))
    from scipy.optimize import minimize  # loaded where leads are fitted

    found = minimize(cost, start, method="BFGS", options={"gtol": 1e-4}).x
    return Timing(found, np.linalg.inv(_curvature(cost, found)))


def _on_day(days: Array, mean: float, cv: float) -> Array:
    """Probability of each day: both dates are whole days, so the delay lies within a day on either side."""
    return 0.5 * (lognormal_cdf(days + 1.0, mean, cv) - lognormal_cdf(days - 1.0, mean, cv))


def _curvature(cost: Callable[[Array], float], x: Array, step: float = 1e-3) -> Array:
    """Second derivatives by central differences, made positive definite."""
    moves = np.eye(x.size) * step
    hessian = np.empty((x.size, x.size))
    for i, a in enumerate(moves):
        for j, b in enumerate(moves[: i + 1]):
            four = cost(x + a + b) - cost(x + a - b) - cost(x - a + b) + cost(x - a - b)
            hessian[i, j] = hessian[j, i] = four / (4 * step**2)
    values, vectors = np.linalg.eigh(hessian)
    return np.asarray((vectors * np.maximum(values, 1e-3)) @ vectors.T)


def expected_moves(
    units: Array, waited: Array, rate: Array, delay: tuple[Array, Array], edges: Array, *, known: bool
) -> Array:
    """Expected units that move in each period, (draw, period, channel), of units that have waited so many days.

        n r [F(a + e) - F(a + s)] / (1 - r F(a))    with known, where `units` leaves out those that have moved by now
        n r [F(a + e) - F(a + s)]                   else

    Args:
        units: (cohort, channel) or (draw, cohort, channel).
        waited: days since they began to wait, (cohort,); negative for those that begin later.
        rate: share that ever moves, (draw,) or (draw, channel).
        delay: mean in days and coefficient of variation, (draw,) each.
        edges: days from now at which periods begin and end, (period + 1,).
        known: see above.
    """
    laid = units[None] if units.ndim == 2 else units
    share = (rate[:, None] if rate.ndim == 1 else rate)[:, None, None, :]
    result = np.zeros((len(rate), edges.size - 1, laid.shape[2]))
    for first in range(0, len(rate), DRAWS_AT_ONCE):
        rows = slice(first, first + DRAWS_AT_ONCE)
        mean, cv = (value[rows, None, None] for value in delay)
        done = lognormal_cdf(waited[None, :, None] + edges[None, None, :], mean, cv)
        steps = np.diff(done, axis=2)[..., None] * share[rows]  # (draw, cohort, period, channel)
        if known:
            steps = steps / (1.0 - share[rows] * done[:, :, :1, None])
        own = laid[rows] if len(laid) > 1 else laid
        result[rows] = (steps * own[:, :, None, :]).sum(axis=1)
    return result
