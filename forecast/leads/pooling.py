"""Partially pooled logistic regression on shares of a mixture, in closed form: numpy, within a second or two.

    eta = mu + X b,   b_k ~ Normal(0, s_group(k)),   mu ~ Normal(m0, 1.5),   s_g ~ LogNormal(log 0.3, 0.5)
    log lik = sum w log(S p + U (1 - p)),   p = logit^-1(eta)

S and U: chance of what was seen of a unit that moves on in the end, and of one that never does (moved: 1, 0; lost: 0,
1; open after a days: 1 - F, 1 - qG). For every set of spreads: the mode by Newton's method, the normal approximation
there, and its weight; draws come from the average over the spreads (`fit.average`). The mean is not the mode where the
likelihood leans: it lies off it by

    delta = -1/2 Sigma sum_i x_i l3_i h_i,   h_i = x_i' Sigma x_i

with l3 the third derivative of the log likelihood in eta, its sign turned. Sources: Rue, Martino & Chopin 2009 (INLA),
its simplest form; Tierney & Kadane 1986 for the mean. Against NUTS on the same density: benchmarks/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import expit, logit

from forecast.fit import Scales, average, points_drawn

Array = NDArray[np.float64]

SPREAD_PRIOR = (-1.204, 0.5)  # mean and sd of the log: away from zero, where a funnel would be
LEVEL_SD = 1.5
STEPS = 40
NEAR = 1e-3  # of eta, over which its curvature is differenced


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
    x = np.column_stack([np.ones(len(units.weight)), units.design])
    near = np.zeros(x.shape[1])
    near[0] = middle

    def solved(logs: Array) -> tuple[Array, Array, float]:
        nonlocal near  # the mode of the last spreads is a good start for the next
        precision = np.concatenate([[LEVEL_SD**-2], np.exp(-2.0 * logs)[groups]])
        near, factor, height = mode_of(x, units, middle, precision, near)
        return near, factor, height + 0.5 * np.log(precision).sum() - np.log(np.diag(factor)).sum()

    prior = np.repeat(np.array(SPREAD_PRIOR)[:, None], int(groups.max()) + 1, axis=1)
    points, weights = average(
        Scales(np.zeros(0), prior, prior), lambda points: np.array([solved(point)[2] for point in points])
    )
    made = []
    for point, n in zip(points, points_drawn(weights, draws), strict=True):
        if n:
            mode, factor, _ = solved(point)
            noise = rng.standard_normal((x.shape[1], n))
            spread = solve_triangular(factor, noise, lower=True, trans="T").T
            made.append(mode + _lean(x, units, mode, factor) + spread)
    return np.concatenate(made)[rng.permutation(draws)]


def _lean(x: Array, units: Shares, mode: Array, factor: Array) -> Array:
    """How far the mean lies from the mode, to first order (`delta` above)."""
    eta = x @ mode
    third = (_derivatives(eta + NEAR, units)[1] - _derivatives(eta - NEAR, units)[1]) / (2 * NEAR)
    variance = (solve_triangular(factor, x.T, lower=True) ** 2).sum(axis=0)
    return np.asarray(-0.5 * cho_solve((factor, True), x.T @ (third * variance)))


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
