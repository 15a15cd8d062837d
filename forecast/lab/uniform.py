"""Are ranks uniform? ECDFs against simultaneous bands (Saeilynoja, Buerkner & Vehtari 2022).

Of N independent ranks in {0 .. B} / B the number below the k-th point of B is Binomial(N, k / (B + 1)) when they are
uniform. The band is the widest set of two-sided binomial intervals, of the same tail probability at every point, that
holds the whole ECDF with probability 0.95. That probability is computed, not simulated: the counts below successive
points are a Markov chain,

    count_(k+1) - count_k | count_k ~ Binomial(N - count_k, 1 / (B + 1 - k))
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

Array = NDArray[np.float64]


@cache
def _moves(size: int, bins: int) -> Array:
    """Chance of going from a count to another between successive points: (point, from, to)."""
    counts = np.arange(size + 1)
    chance = 1.0 / (bins + 1 - np.arange(bins))
    gain = counts[None, :] - counts[:, None]
    return np.asarray(binom.pmf(gain, size - counts[:, None], chance[:, None, None]))


@cache
def _tails(size: int, bins: int) -> Array:
    """Two-sided binomial tail probability of each count at each point: (point, count)."""
    counts, at = np.arange(size + 1), np.arange(1, bins + 1)[:, None] / (bins + 1)
    return np.asarray(2.0 * np.minimum(binom.cdf(counts, size, at), binom.sf(counts - 1, size, at)))


def chance_of_less(tail: float, size: int, bins: int) -> float:
    """Probability that the least tail (see `least_tail`) of `size` uniform ranks is at most `tail`."""
    reached = np.zeros(size + 1)
    reached[0] = 1.0
    for move, tails in zip(_moves(size, bins), _tails(size, bins), strict=True):
        reached = (reached @ move) * (tails > tail * (1.0 + 1e-9))
    return float(min(max(1.0 - reached.sum(), 0.0), 1.0))


@cache
def simultaneous_level(size: int, bins: int, *, level: float = 0.95) -> float:
    """Pointwise tail probability whose bands hold the whole ECDF of `size` uniform ranks with probability `level`.

    Counts are whole, so that it is at least `level`: the greatest tail of which no more than 1 - level lies below.
    """
    candidates = np.unique(_tails(size, bins))
    low, high = 0, len(candidates) - 1
    while low < high:  # the least tail that is too common
        middle = (low + high) // 2
        if chance_of_less(candidates[middle], size, bins) > 1.0 - level:
            high = middle
        else:
            low = middle + 1
    return float(candidates[low])


def least_tail(ranks: Array, bins: int) -> float:
    """Least two-sided binomial tail probability of an ECDF of ranks in {0 .. bins} / bins, over all its points."""
    counts = np.cumsum(np.bincount(np.rint(ranks * bins).astype(int), minlength=bins + 1))[:-1]
    return float(_tails(len(ranks), bins)[np.arange(bins), counts].min())


def band(size: int, bins: int, tail: float) -> tuple[Array, Array, Array]:
    """Points in (0, 1), and the least and greatest ECDF minus uniform there whose tail is at least `tail`."""
    at = np.arange(1, bins + 1) / (bins + 1)
    allowed = _tails(size, bins) >= tail
    low, high = allowed.argmax(axis=1), size - allowed[:, ::-1].argmax(axis=1)
    return at, low / size - at, high / size - at


def table(records: Sequence[Mapping[str, float]], bins: int) -> pd.DataFrame:
    """By quantity: ranks, their mean, their spread (1: as the uniform's), p-value, whether inside the 95 % band.

    `excess`: the greatest ECDF difference, in widths of the band at its point (1: at the edge). `p`: how often uniform
    ranks stray as far. records: rank by quantity in {0 .. bins} / bins, one mapping a fit; a quantity may be missing.
    """
    rows = []
    for name in dict.fromkeys(key for record in records for key in record):
        ranks = np.array([record[name] for record in records if name in record])
        tail, limit = least_tail(ranks, bins), simultaneous_level(len(ranks), bins)
        at, low, high = band(len(ranks), bins, limit)
        counts = np.cumsum(np.bincount(np.rint(ranks * bins).astype(int), minlength=bins + 1))[:-1]
        difference = counts / len(ranks) - at
        rows.append(
            {
                "quantity": name,
                "fits": len(ranks),
                "mean rank": ranks.mean(),
                "spread": ranks.std() * math.sqrt(12.0),
                "excess": _excess(difference, at, low, high),
                "p": chance_of_less(tail, len(ranks), bins),
                "inside": bool(tail >= limit),
            }
        )
    return pd.DataFrame(rows)


def _excess(difference: Array, at: Array, low: Array, high: Array) -> float:
    """Greatest share of the band's width, but for edges that no ECDF can pass: all ranks above a point, or below it."""
    edge = np.where(difference > 0, high, low)
    passable = (edge + at > 1e-9) & (edge + at < 1.0 - 1e-9)
    return float((difference[passable] / edge[passable]).max(initial=0.0))


def surely_outside(found: pd.DataFrame, *, level: float = 0.05) -> NDArray[np.bool_]:
    """Rows outside also when the number of quantities looked at is counted in (Holm 1979)."""
    p = found["p"].to_numpy()
    order = np.argsort(p)
    passed = p[order] > level / (len(p) - np.arange(len(p)))
    first = int(passed.argmax()) if passed.any() else len(p)
    outside = np.zeros(len(p), dtype=np.bool_)
    outside[order[:first]] = True
    return outside
