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

from forecast.fit import average, points_drawn

Array = NDArray[np.float64]

SPREAD_PRIOR = (-1.204, 0.5)  # mean and sd of the log: away from zero, where a funnel would be
LEVEL_SD = 1.5
STEPS, CLOSE = 60, 1e-8  # of Newton; what a last step gains in the log of the density
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
    density = _Density(units, level_prior(units) if level is None else level)
    solved: dict[bytes, _Normal] = {}

    def evidence(point: Array) -> float:
        precision = np.concatenate([[LEVEL_SD**-2], np.exp(-2.0 * point)[groups]])
        found = solved[point.tobytes()] = density.at_spreads(precision)
        return found.height + float(0.5 * np.log(precision).sum() - np.log(np.diag(found.factor)).sum())

    def round_of(points: Array) -> Array:
        solved.clear()  # the points of the last round are those that are drawn from
        return np.array([evidence(point) for point in points])

    prior = np.repeat(np.array(SPREAD_PRIOR)[:, None], int(groups.max()) + 1, axis=1)
    points, weights = average(prior, round_of)
    made = []
    for point, n in zip(points, points_drawn(weights, draws), strict=True):
        if n:
            normal = solved[point.tobytes()]
            root = solve_triangular(normal.factor, np.eye(len(normal.mode)), lower=True)
            made.append(density.mean(normal, root) + rng.standard_normal((n, len(root))) @ root)
    return np.concatenate(made)[rng.permutation(draws)]


@dataclass(frozen=True, eq=False)
class _Normal:
    """The density at given spreads: its mode, the lower Cholesky factor of the curvature there, and its log height."""

    mode: Array
    factor: Array
    height: float


class _Density:
    """The posterior density of (mu, b), spreads given. Remembers its last mode and the curvature of the data there."""

    def __init__(self, units: Shares, middle: float) -> None:
        self.units = units
        self.x = np.column_stack([np.ones(len(units.weight)), units.design])
        self.target = np.zeros(self.x.shape[1])
        self.target[0] = middle
        self.mode = self.target
        self.curved = self._curvature(self.mode)

    def at_spreads(self, precision: Array) -> _Normal:
        """Mode by Newton's method from the last one, with the curvature of the data there as long as that will do."""
        at, best, fresh = self.mode, self._height(self.mode, precision), False
        for _ in range(STEPS):
            slope, _ = _derivatives(self.x @ at, self.units)
            gradient = self.x.T @ slope - precision * (at - self.target)
            step = cho_solve((_factor(self.curved, precision), True), gradient)
            now = self._height(at + step, precision)
            while now < best - CLOSE and fresh:
                step = step / 2
                now = self._height(at + step, precision)
            if now < best - CLOSE:
                self.curved, fresh = self._curvature(at), True
                continue
            at, gained, best, fresh = at + step, now - best, now, False
            if gained < CLOSE:
                break
        self.mode, self.curved = at, self._curvature(at)
        return _Normal(at, _factor(self.curved, precision), best)

    def mean(self, normal: _Normal, root: Array) -> Array:
        """The mean, to first order: off the mode by `delta` above. root: the inverse of the Cholesky factor."""
        eta = self.x @ normal.mode
        third = _derivatives(eta + NEAR, self.units)[1] - _derivatives(eta - NEAR, self.units)[1]
        variance = ((self.x @ root.T) ** 2).sum(axis=1)
        off = self.x.T @ (third / (2 * NEAR) * variance)
        return np.asarray(normal.mode - 0.5 * root.T @ (root @ off))

    def _height(self, at: Array, precision: Array) -> float:
        p = expit(self.x @ at)
        log_lik = self.units.weight @ np.log(self.units.moved * p + self.units.stayed * (1 - p) + 1e-300)
        return float(log_lik - 0.5 * (precision * (at - self.target) ** 2).sum())

    def _curvature(self, at: Array) -> Array:
        root = self.x * np.sqrt(_derivatives(self.x @ at, self.units)[1])[:, None]
        return np.asarray(root.T @ root)


def _derivatives(eta: Array, units: Shares) -> tuple[Array, Array]:
    """Slope of the log likelihood in eta by row, and its curvature with the sign turned, at least zero."""
    p = expit(eta)
    there = units.moved * p / (units.moved * p + units.stayed * (1 - p) + 1e-300)
    slope = units.weight * (there - p)
    curve = units.weight * np.maximum(p * (1 - p) - there * (1 - there), 0.0)
    return slope, curve


def _factor(curved: Array, precision: Array) -> Array:
    return np.asarray(np.tril(cho_factor(curved + np.diag(precision), lower=True)[0]))


def rates(draws: Array, design: Array) -> Array:
    """Rates (draw, row) of rows of a design."""
    return np.asarray(expit(draws[:, :1] + draws[:, 1:] @ design.T))
