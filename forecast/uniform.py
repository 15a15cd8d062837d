"""Are ranks uniform? ECDFs against simultaneous bands (Saeilynoja, Buerkner & Vehtari 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

Array = NDArray[np.float64]

SIMULATIONS = 3000


@cache
def null_tails(size: int, bins: int) -> Array:
    """Least tails (see `least_tail`) of samples of `size` uniform ranks, sorted."""
    rng = np.random.default_rng(20)
    return np.sort([least_tail(rng.integers(0, bins + 1, size) / bins, bins) for _ in range(SIMULATIONS)])


def simultaneous_level(size: int, bins: int, *, level: float = 0.95) -> float:
    """Pointwise tail probability whose bands hold the whole ECDF of `size` uniform ranks with probability `level`.

    The (1 - level)-quantile, over simulated samples, of the least two-sided binomial tail along the ECDF.
    """
    return float(np.quantile(null_tails(size, bins), 1.0 - level))


def least_tail(ranks: Array, bins: int) -> float:
    """Least two-sided binomial tail probability of an ECDF of ranks in {0 .. bins} / bins, over all its points."""
    counts = np.cumsum(np.bincount(np.rint(ranks * bins).astype(int), minlength=bins + 1))[:-1]
    expected = np.arange(1, bins + 1) / (bins + 1)
    low = binom.cdf(counts, len(ranks), expected)
    high = binom.sf(counts - 1, len(ranks), expected)
    return float(2.0 * np.minimum(low, high).min())


def band(size: int, bins: int, tail: float) -> tuple[Array, Array, Array]:
    """Points in (0, 1), and the band of ECDF minus uniform there at a pointwise tail probability."""
    at = np.arange(1, bins + 1) / (bins + 1)
    low, high = (binom.ppf(p, size, at) / size for p in (tail / 2, 1 - tail / 2))
    return at, low - at, high - at


def table(records: Sequence[Mapping[str, float]], bins: int) -> pd.DataFrame:
    """By quantity: ranks, their mean, their spread (1: as the uniform's), p-value, whether inside the 95 % band.

    records: rank by quantity in {0 .. bins} / bins, one mapping a fit; all with the same quantities.
    """
    null = null_tails(len(records), bins)
    rows = []
    for name in records[0]:
        ranks = np.array([record[name] for record in records])
        tail = least_tail(ranks, bins)
        rows.append(
            {
                "quantity": name,
                "fits": len(ranks),
                "mean rank": ranks.mean(),
                "spread": ranks.std() * math.sqrt(12.0),
                "p": float(np.searchsorted(null, tail, side="right") / null.size),
                "inside": bool(tail >= np.quantile(null, 0.05)),
            }
        )
    return pd.DataFrame(rows)
