"""Scales averaged by their evidence, with importance points for a grid.

Source: the averaging is that of INLA (Rue, Martino & Chopin 2009).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from forecast.fit.gaussian import tempered

Array = NDArray[np.float64]

ROUNDS = (48, 48, 64)  # points by round: each proposes the next, the last one is kept
LEAST_POINTS = 12.0  # effective points of a round that proposes the next
WIDER, LEAST_SD = 1.2, 0.12  # of a proposal, so that it covers what it is fitted to


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


def average(prior: Array, log_evidence: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Points over the posterior of scales, (points, scales) in logs, and their weights, summing to one.

    prior: mean and sd of the normal prior of each log, (2, scales). Importance sampling in rounds: the first over the
    prior, each later one from the normal that fits the one before.
    """
    points = prior[0] + prior[1] * ndtri(_spread(ROUNDS[0], prior.shape[1]))
    weights = tempered(log_evidence(points), least=LEAST_POINTS)
    for i, size in enumerate(ROUNDS[1:], start=2):
        mean = weights @ points
        cov = WIDER * np.cov(points.T, aweights=weights, ddof=0).reshape(2 * (points.shape[1],))
        root = np.linalg.cholesky(cov + LEAST_SD**2 * np.eye(len(cov)))
        white = ndtri(_spread(size, points.shape[1]))
        points = mean + white @ root.T
        log_prior = _log_normal(points, *prior).sum(axis=1)
        target = log_evidence(points) + log_prior + 0.5 * (white**2).sum(axis=1)
        weights = tempered(target, least=0.0 if i == len(ROUNDS) else LEAST_POINTS)
    return points, weights
