"""A linear Gaussian model of two levels, solved in closed form, and its scales averaged by their evidence.

For channels c with observations z_c (one row a period), common effects a and a channel's own b_c:

    z_c = L_c a + W_c b_c + e_c,    a ~ N(0, I),   b_c ~ N(0, I),   e_c ~ N(0, diag(1 / h_c))

h = 0 is a blank. Given a the channels are independent, so b_c is integrated out channel by channel:

    Lambda_c = I + W_c' h_c W_c,    b_c | a ~ N(Lambda_c^-1 W_c' h_c (z_c - L_c a), Lambda_c^-1)
    a ~ N(Q^-1 q, Q^-1),  Q = I + sum_c L_c' S_c^-1 L_c,  q = sum_c L_c' S_c^-1 z_c,  S_c = W_c W_c' + 1 / h_c

Every array has a leading axis of grid points: one setting of the scales each. Source: Rasmussen & Williams 2006,
chapter 2; the averaging over scales is that of INLA (Rue, Martino & Chopin 2009), with importance points for a grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtri

Array = NDArray[np.float64]

ROUNDS = (48, 48, 64)  # points by round: each proposes the next, the last one is kept
LEAST_POINTS = 12.0  # effective points of a round that proposes the next
ITERATIONS = 6
KNOTS = 24  # of a long walk, beside its beginning
SMALL_PRODUCT, SMALL_VECTOR = 200_000, 8_000  # multiplications that OpenBLAS leaves to one thread
CHUNK = 2e6  # numbers held at once: bounds memory where many channels meet many periods
WIDER, LEAST_SD = 1.2, 0.12  # of a proposal, so that it covers what it is fitted to


@dataclass(frozen=True)
class Solved:
    """The Gaussian posterior at each grid point. Shapes: G points, C channels, P common effects, Q own ones.

    log_evidence (G,); common_mean (G, P), common_root (G, P, P) with covariance root root';
    own_root (G, C, Q, Q) likewise, given the common effects; shift (G, C, Q), load (G, C, Q, P): the mean of the own
    effects given a is own_root (shift - load a).
    """

    log_evidence: Array
    common_mean: Array
    common_root: Array
    own_root: Array
    shift: Array
    load: Array

    def means(self, point: int) -> tuple[Array, Array]:
        """Posterior means of the common effects (P,) and of the own ones (C, Q) at one grid point."""
        a = self.common_mean[point]
        b = self.own_root[point] @ (self.shift[point] - self.load[point] @ a)[..., None]
        return a, b[..., 0]

    def draw(self, point: int, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draws of the common effects (draw, P) and of the own ones (draw, C, Q) at one grid point."""
        root, load = self.common_root[point], self.load[point]
        a = self.common_mean[point] + product(rng.standard_normal((draws, len(root))), root.T)
        white = self.shift[point] + rng.standard_normal((draws, *self.shift[point].shape))
        white -= product(a, load.reshape(-1, load.shape[-1]).T).reshape(white.shape)
        b = product(white.transpose(1, 0, 2), self.own_root[point].swapaxes(-1, -2)).transpose(1, 0, 2)
        return a, b


def solve(z: Array, precision: Array, common: Array, own: Array) -> Solved:
    """Solve the model at every grid point.

    Args:
        z: observations less what is fixed, (G, C, R).
        precision: h, (G, C, R); 0 for a blank.
        common: loadings L of the common effects, (G, C, R, P).
        own: loadings W of a channel's own effects, (G, C, R, Q).
    """
    weighted = (precision[..., None] * own).swapaxes(-1, -2)
    root = np.linalg.cholesky(np.eye(own.shape[-1]) + product(weighted, own))
    inverse = np.linalg.inv(root)
    load = inverse @ product(weighted, common)
    shift = (inverse @ (weighted @ z[..., None]))[..., 0]
    heavy = (precision[..., None] * common).swapaxes(-1, -2)
    q = ((heavy @ z[..., None])[..., 0] - (load.swapaxes(-1, -2) @ shift[..., None])[..., 0]).sum(axis=1)
    total = np.eye(common.shape[-1]) + (product(heavy, common) - load.swapaxes(-1, -2) @ load).sum(axis=1)
    total_root = np.linalg.cholesky(total)
    total_inverse = np.linalg.inv(total_root)
    white = (total_inverse @ q[..., None])[..., 0]
    evidence = (
        0.5 * np.log(np.where(precision > 0, precision, 1.0)).sum(axis=(1, 2))
        - _log_diagonal(root).sum(axis=1)
        - _log_diagonal(total_root)
        - 0.5 * (precision * z**2).sum(axis=(1, 2))
        + 0.5 * (shift**2).sum(axis=(1, 2))
        + 0.5 * (white**2).sum(axis=1)
    )
    common_root = total_inverse.swapaxes(-1, -2)
    mean = (common_root @ white[..., None])[..., 0]
    return Solved(evidence, mean, common_root, inverse.swapaxes(-1, -2), shift, load)


def product(a: Array, b: Array) -> Array:
    """Matrix product a @ b in pieces so small that one thread does each.

    BLAS shares larger ones among threads, and the last digit then depends on how many cores there are.
    """
    rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    most = SMALL_PRODUCT // max(inner * columns, 1) if columns > 1 else SMALL_VECTOR // max(inner, 1)
    step = max(most, 2)
    if rows <= step and (rows > 1 or inner * columns <= SMALL_VECTOR):
        return np.asarray(a @ b)
    if rows == 1:
        return np.asarray((np.concatenate([a, a], axis=-2) @ b)[..., :1, :])
    cuts = np.linspace(0, rows, -(-rows // step) + 1).astype(int)
    return np.concatenate([a[..., i:j, :] @ b for i, j in pairwise(cuts)], axis=-2)


def _log_diagonal(root: Array) -> Array:
    return np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)


def walk_basis(periods: int) -> Array:
    """Columns whose sum, weighted by independent N(0, 1), is a random walk of unit steps with mean zero.

    Shape (periods, columns). Exact up to `KNOTS` + 1 periods; longer walks bend only at evenly spaced knots, the last
    period one of them, and run straight in between.
    """
    every = max(math.ceil((periods - 1) / KNOTS), 1)
    knots = np.unique(np.append(np.arange(periods - 1, -1, -every), 0))
    steps = np.diff(knots)
    at = (
        np.tril(np.ones((len(knots), len(knots))))[:, 1:] * np.sqrt(steps) if len(steps) else np.zeros((1, 1))
    )
    grown = np.stack([np.interp(np.arange(periods), knots, column) for column in at.T], axis=1)
    centred: Array = grown - grown.mean(axis=0)
    return centred


@dataclass(frozen=True)
class Scales:
    """Priors of the scales, on which the average is taken in logs: Gamma(2, rate) first, then lognormal ones.

    rates: of the gammas, (g,). normal: mean and sd of the logs of the others, (2, n). start: the same where the first
    round looks, if data tell better.
    """

    rates: Array
    normal: Array
    start: Array

    def first(self, points: int) -> tuple[Array, Array]:
        """Points of the first round, (points, g + n) in logs, and log(prior / proposal) there."""
        u = _spread(points, len(self.rates) + self.normal.shape[1])
        gammas = np.log(gammaincinv(2.0, u[:, : len(self.rates)]) / self.rates)
        others = self.start[0] + self.start[1] * ndtri(u[:, len(self.rates) :])
        ratio = _log_normal(others, *self.normal) - _log_normal(others, *self.start)
        return np.concatenate([gammas, others], axis=1), ratio.sum(axis=1)

    def log_prior(self, points: Array) -> Array:
        """Log density of the logs of the scales, up to a constant, (points,)."""
        gammas, others = points[:, : len(self.rates)], points[:, len(self.rates) :]
        density = (2.0 * (gammas + np.log(self.rates)) - self.rates * np.exp(gammas)).sum(axis=1)
        return np.asarray(density + _log_normal(others, *self.normal).sum(axis=1), dtype=float)


def _log_normal(x: Array, mean: Array, sd: Array) -> Array:
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd)


def _spread(points: int, dims: int) -> Array:
    """Evenly spread points of the unit cube, (points, dims): the additive sequence of the generalised golden ratio."""
    ratio = 2.0
    for _ in range(40):
        ratio = (1.0 + ratio) ** (1.0 / (dims + 1))
    steps = ratio ** -np.arange(1.0, dims + 1.0)
    spread: Array = (0.5 + np.arange(1, points + 1)[:, None] * steps) % 1.0
    return np.clip(spread, 1e-4, 1 - 1e-4)


def average(scales: Scales, log_evidence: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Points over the posterior of the scales, (points, scales) in logs, and their weights, summing to one.

    Importance sampling in rounds: the first over the prior, each later one from the normal that fits the one before.
    """
    points, ratio = scales.first(ROUNDS[0])
    weights = tempered(log_evidence(points) + ratio, least=LEAST_POINTS)
    for i, size in enumerate(ROUNDS[1:], start=2):
        mean = weights @ points
        cov = WIDER * np.cov(points.T, aweights=weights, ddof=0).reshape(2 * (points.shape[1],))
        root = np.linalg.cholesky(cov + LEAST_SD**2 * np.eye(len(cov)))
        white = ndtri(_spread(size, points.shape[1]))
        points = mean + white @ root.T
        target = log_evidence(points) + scales.log_prior(points) + 0.5 * (white**2).sum(axis=1)
        weights = tempered(target, least=0.0 if i == len(ROUNDS) else LEAST_POINTS)
    return points, weights


def tempered(log_weights: Array, *, least: float) -> Array:
    """Normalised weights, none above sqrt(n) times the mean; flattened until `least` points count."""
    log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
    log_weights = log_weights - log_weights.max()
    for power in (*np.geomspace(1.0, 0.001, 25), 0.0):
        weights = np.exp(power * np.where(np.isfinite(log_weights), log_weights, -1e6))
        weights = np.minimum(weights, weights.mean() * math.sqrt(len(weights)))
        weights /= weights.sum()
        if 1.0 / (weights**2).sum() >= least:
            break
    return np.asarray(weights)


def points_drawn(weights: Array, draws: int) -> NDArray[np.int64]:
    """How many of `draws` each point gets: systematic rounding of the weights, summing to `draws`."""
    edges = np.floor(np.cumsum(weights) / weights.sum() * draws + 0.5).astype(np.int64)
    edges[-1] = draws
    return np.diff(edges, prepend=0)


class Averaged:
    """A Gaussian model at each point of its scales, around one path that is fitted first."""

    scales: Scales

    def solved(self, points: Array) -> tuple[Solved, Array]:
        """The model at these points (logs of the scales), and what the log evidence takes on top."""
        raise NotImplementedError

    def move(self, solved: Solved, point: Array) -> None:
        """Linearise anew around the posterior mean of a model solved at one point."""
        raise NotImplementedError

    def size(self) -> int:
        """Numbers held a point."""
        raise NotImplementedError

    def fitted(self) -> tuple[Array, Array]:
        """Points of the scales and their weights: around a first guess, then around what that gave."""
        guess, ratio = self.scales.first(ROUNDS[0] // 3)
        point = guess.mean(axis=0)
        for again in range(2):
            for _ in range(ITERATIONS):
                self.move(self.solved(point[None])[0], point)
            if not again:
                log_weights = self.log_evidence(guess) + ratio
                weights = np.exp(log_weights - log_weights.max())
                point = weights @ guess / weights.sum()
        return average(self.scales, self.log_evidence)

    def log_evidence(self, points: Array) -> Array:
        """Log evidence of the data at each point of the scales."""
        pieces = []
        for rows in self._rows(len(points)):
            solved, extra = self.solved(points[rows])
            pieces.append(solved.log_evidence + extra)
        return np.concatenate(pieces)

    def _rows(self, points: int) -> list[slice]:
        """So many points in groups that fit into memory."""
        each = max(int(CHUNK // self.size()), 1)
        return [slice(i, i + each) for i in range(0, points, each)]

    def joint(self, draws: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Draws of the logs of the scales (draw, scale), common effects (draw, P), own effects (draw, C, Q)."""
        points, weights = self.fitted()
        counts = points_drawn(weights, draws)
        kept = np.flatnonzero(counts)
        effects = []
        for rows in self._rows(len(kept)):
            solved, _ = self.solved(points[kept[rows]])
            effects += [solved.draw(i, int(n), rng) for i, n in enumerate(counts[kept[rows]])]
        order = rng.permutation(draws)
        common = np.concatenate([a for a, _ in effects])[order]
        own = np.concatenate([b for _, b in effects])[order]
        return np.repeat(points, counts, axis=0)[order], common, own


def median_spread(seen: Array, variance: Array, prior: Array) -> float:
    """Posterior median of s where seen_c ~ Normal(m, s^2 + variance_c), m ~ Normal(0, 1), log s ~ Normal(prior)."""
    steps = np.linspace(-3.0, 3.0, 121)
    spread = np.exp(prior[0] + prior[1] * steps)
    total = spread[:, None] ** 2 + variance
    share = 1.0 / total
    middle = (share * seen).sum(axis=1) / (share.sum(axis=1) + 1.0)
    squares = (share * seen**2).sum(axis=1) - middle**2 * (share.sum(axis=1) + 1.0)
    log_weight = -0.5 * (squares + np.log(total).sum(axis=1) + np.log1p(share.sum(axis=1)) + steps**2)
    weight = np.exp(log_weight - log_weight.max())
    return float(np.interp(0.5, np.cumsum(weight) / weight.sum(), spread))
