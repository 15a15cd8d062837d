"""Partially pooled logistic regression on shares of a mixture, by Laplace on a grid of spreads: numpy, in milliseconds.

    eta = mu + X b,   b_k ~ Normal(0, s_group(k)),   mu ~ Normal(m0, 1.5),   s_g ~ LogNormal(log 0.3, 0.5)
    log lik = sum w log(S p + U (1 - p)),   p = logit^-1(eta)

S and U: chance of what was seen of a unit that moves on in the end, and of one that never does (moved: 1, 0; lost: 0,
1; open after a days: 1 - F, 1 - qG). For every set of spreads on a grid: the mode by Newton's method, the normal
approximation there, and its weight; draws come from that mixture. Source: Rue, Martino & Chopin 2009 (INLA), its
simplest form. The same model as `fit.scoring_model`, for the few groups of a segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import expit, logit

Array = NDArray[np.float64]

SPREADS = np.array([0.05, 0.15, 0.3, 0.5, 0.8, 1.3])
SPREAD_PRIOR = (-1.204, 0.5)  # mean and sd of the log: away from zero, where a funnel would be
LEVEL_SD = 1.5
STEPS = 40
MANY = 60  # columns, above which every other point of the grid does


@dataclass(frozen=True)
class Shares:
    """Units, alike ones together: design (row, column), S and U, and how many there are."""

    design: Array
    moved: Array
    stayed: Array
    weight: Array


def together(units: Shares) -> Shares:
    """The same units with equal rows put together."""
    keys = np.column_stack([units.design, units.moved, units.stayed])
    _, first, where = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    weight = np.bincount(where.ravel(), units.weight, minlength=first.size)
    return Shares(units.design[first], units.moved[first], units.stayed[first], weight)


def level_prior(units: Shares) -> float:
    """A prior middle for the level: logit of the share that has moved, as a first guess."""
    total = float(units.weight.sum())
    moved = float((units.weight * (units.stayed == 0)).sum())
    return float(logit((moved + 0.5) / (total + 1.0)))


def pooled_draws(
    units: Shares, groups: NDArray[np.int64], rng: np.random.Generator, draws: int, level: float | None = None
) -> Array:
    """Draws (draw, 1 + columns) of (mu, b); `groups` gives the group of each column, from 0 without gaps.

    level: the prior middle of mu; None: see `level_prior`.
    """
    middle = level_prior(units) if level is None else level
    n_groups = int(groups.max()) + 1 if groups.size else 0
    x = np.column_stack([np.ones(len(units.weight)), units.design])
    start = np.zeros(x.shape[1])
    start[0] = middle
    modes, factors, logs = [], [], []
    grid = SPREADS if x.shape[1] <= MANY else SPREADS[1::2]
    for chosen in product(grid, repeat=n_groups):
        spreads = np.array(chosen)
        precision = np.concatenate([[LEVEL_SD**-2], spreads[groups] ** -2.0])
        mode, factor, height = mode_of(x, units, middle, precision, start)
        prior = float(
            np.sum(
                np.log(_widths(spreads, grid) / spreads)
                - 0.5 * ((np.log(spreads) - SPREAD_PRIOR[0]) / SPREAD_PRIOR[1]) ** 2
            )
        )
        modes.append(mode)
        factors.append(factor)
        logs.append(height + 0.5 * np.log(precision).sum() - np.log(np.diag(factor)).sum() + prior)
        start = mode
    weights = np.exp(np.array(logs) - max(logs))
    picked = rng.choice(len(modes), size=draws, p=weights / weights.sum())
    noise = rng.standard_normal((draws, x.shape[1]))
    result = np.empty_like(noise)
    for i in np.unique(picked):
        rows = picked == i
        result[rows] = modes[i] + solve_triangular(factors[i], noise[rows].T, lower=True, trans="T").T
    return result


def _widths(spreads: Array, grid: Array) -> Array:
    """How much room each point of the grid stands for."""
    edges = np.concatenate([[0.0], (grid[1:] + grid[:-1]) / 2, [grid[-1] * 1.25]])
    return np.diff(edges)[np.searchsorted(grid, spreads)]


def mode_of(
    x: Array, units: Shares, middle: float, precision: Array, start: Array
) -> tuple[Array, Array, float]:
    """Mode, lower Cholesky factor of the curvature there, and log density (up to a constant)."""
    target = np.zeros(x.shape[1])
    target[0] = middle

    def height(at: Array) -> float:
        p = expit(x @ at)
        log_lik = units.weight @ np.log(units.moved * p + units.stayed * (1 - p) + 1e-300)
        return float(log_lik - 0.5 * (precision * (at - target) ** 2).sum())

    at, best = start, height(start)
    for _ in range(STEPS):
        slope, curve = _derivatives(x @ at, units)
        gradient = x.T @ slope - precision * (at - target)
        factor = _factor(x, curve, precision)
        step = cho_solve((factor, True), gradient)
        size = 1.0
        while size > 1e-6 and (now := height(at + size * step)) < best:
            size /= 2
        if size <= 1e-6:
            break
        at, gained, best = at + size * step, now - best, now
        if gained < 1e-9:
            break
    return at, _factor(x, _derivatives(x @ at, units)[1], precision), best


def _derivatives(eta: Array, units: Shares) -> tuple[Array, Array]:
    """Slope of the log likelihood in eta by row, and its curvature with the sign turned, at least zero."""
    p = expit(eta)
    there = units.moved * p / (units.moved * p + units.stayed * (1 - p) + 1e-300)
    slope = units.weight * (there - p)
    curve = units.weight * np.maximum(p * (1 - p) - there * (1 - there), 0.0)
    return slope, curve


def _factor(x: Array, curve: Array, precision: Array) -> Array:
    hessian = (x * curve[:, None]).T @ x + np.diag(precision)
    return np.asarray(np.tril(cho_factor(hessian, lower=True)[0]))


def rates(draws: Array, design: Array) -> Array:
    """Rates (draw, row) of rows of a design."""
    return np.asarray(expit(draws[:, :1] + draws[:, 1:] @ design.T))
