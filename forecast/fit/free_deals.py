"""Deals that bring nothing: their share, by channel, and how it differs between cells of period and channel.

    of n deals of a cell, f are free    f ~ BetaBinomial(n, q_c k, (1 - q_c) k),    k = 1 / r - 1
    q_c ~ Beta(m s, (1 - m) s)          m: share of the company, s: how alike its channels are

r near 0 is chance deal by deal; near 1 a cell is free as a whole, or not at all (a month of pilots, a campaign). Beta
prior (1/2, 1/2) of m, s and r spread over decades. Everything stands on a grid, so that the draws are exact but for its
steps, and take no sampler. Nothing is drawn where no deal was free: then every deal is paid, as the model has it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammaln

from forecast.history import History

Array = NDArray[np.float64]

SHARES, COMPANY, SPREADS = 60, 30, 16  # steps of q, m and r
ALIKE = np.array([1.0, 3.0, 10.0, 30.0, 100.0, 300.0])  # s
EDGES = np.sin(np.pi / 2 * np.arange(SHARES + 1) / SHARES) ** 2  # finer towards 0 and 1


def free_deals(history: History, draws: int, rng: np.random.Generator) -> dict[str, Array]:
    """free_share (draw, channel) and free_spread (draw): q and r of the module; nothing where no deal was free.

    Nor where none brought anything: such a column tells nothing of money.
    """
    free, known = history.free
    if not (free.any() and history.valued):
        return {}
    share = (EDGES[1:] + EDGES[:-1]) / 2
    spread = np.sin(np.pi / 2 * (np.arange(SPREADS) + 0.5) / SPREADS) ** 4
    told = np.stack([_log_likelihood(free[:, c], known[:, c], share, spread) for c in range(free.shape[1])])
    told -= told.max(axis=(1, 2), keepdims=True)
    prior = _prior()  # hyper, share
    joint = np.log(np.maximum(np.einsum("hq,cqr->chr", prior, np.exp(told)), 1e-300)).sum(axis=0)
    weight = np.exp(joint - joint.max()).ravel()
    at = rng.choice(weight.size, size=draws, p=weight / weight.sum())
    hyper, r = np.unravel_index(at, joint.shape)
    found = np.empty((draws, free.shape[1]))
    for c in range(free.shape[1]):
        mass = np.cumsum(prior[:, :, None] * np.exp(told[c]), axis=1)  # hyper, share, spread
        level = rng.random(draws) * mass[hyper, -1, r]
        step = np.minimum((mass[hyper, :, r] < level[:, None]).sum(axis=1), SHARES - 1)
        found[:, c] = EDGES[step] + rng.random(draws) * (EDGES[step + 1] - EDGES[step])
    return {"free_share": np.clip(found, 1e-9, 1.0 - 1e-6), "free_spread": spread[r]}


def _prior() -> Array:
    """Mass of each step of q given m and s, (m and s, q)."""
    middle = np.sin(np.pi / 2 * (np.arange(COMPANY) + 0.5) / COMPANY) ** 2
    m, s = (each.ravel()[:, None] for each in np.meshgrid(middle, ALIKE, indexing="ij"))
    return np.maximum(np.diff(betainc(m * s, (1.0 - m) * s, EDGES), axis=1), 0.0)


def _log_likelihood(free: Array, known: Array, share: Array, spread: Array) -> Array:
    """Log likelihood of the cells of a channel, (share, spread)."""
    cells, n = np.unique(np.stack([free, known])[:, known > 0], axis=1, return_counts=True)
    k = 1.0 / spread - 1.0
    a, b = share[:, None, None] * k[:, None], (1.0 - share)[:, None, None] * k[:, None]
    f, of = cells
    each = gammaln(f + a) + gammaln(of - f + b) - gammaln(of + a + b)
    each += gammaln(a + b) - gammaln(a) - gammaln(b)
    return np.asarray(each @ n.astype(float))
