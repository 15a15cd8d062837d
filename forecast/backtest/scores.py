"""Scores of forecasts whose outcome is known: error of a whole distribution, coverage of its bands, bias, skill.

    CRPS        mean |X - came| - mean |X - X'| / 2 over draws X: zero at best, in the unit of the measure
    WIS         weighted interval score of the 50, 80 and 90 % bands and the median; the CRPS seen through quantiles
    coverage    share of outcomes inside a central band, beside the exact binomial region of a share that is right
    PIT         share of draws below what came (half of those equal): uniform over many outcomes where bands are right
    bias        sum of (came - mean) over sum of came: below 0 where forecasts were too high
    skill       1 - CRPS / CRPS of a baseline on the same origins: above 0 is better than the baseline

Outcomes of overlapping horizons are not independent. n origins, `every` periods apart, of a horizon of H periods tell
about as much as (n - 1) every / H + 1 of them that do not overlap.

Sources: Gneiting & Raftery 2007 (scores); Bracher et al. 2021 (WIS). Tests hold both against scoringrules.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, betaincinv

Array = NDArray[np.float64]

BANDS = {"inside50": ("q25", "q75"), "inside80": ("q10", "q90"), "inside90": ("q05", "q95")}
LEVELS = {"inside50": 0.5, "inside80": 0.8, "inside90": 0.9}
QUANTILES = {"q05": 0.05, "q10": 0.10, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q90": 0.90, "q95": 0.95}
FALSE_ALARM = 0.05  # of the binomial region


def score(draws: ArrayLike, came: ArrayLike) -> dict[str, Array]:
    """Mean, quantiles, CRPS, WIS and PIT of each forecast; draws (draw, ...), came (...), NaN where it is not known.

    What follows from `came` is NaN where that is NaN.
    """
    x, y = np.asarray(draws, dtype=float), np.asarray(came, dtype=float)
    flat, outcomes = x.reshape(len(x), -1), y.reshape(-1)
    q = dict(zip(QUANTILES, np.quantile(flat, list(QUANTILES.values()), axis=0), strict=True))
    each = [
        (1.0 - LEVELS[name]) / 2 * interval_score(q[low], q[high], outcomes, 1.0 - LEVELS[name])
        for name, (low, high) in BANDS.items()
    ]
    wis = (np.abs(outcomes - q["q50"]) / 2 + sum(each)) / (len(each) + 0.5)
    pit = (flat < outcomes).mean(axis=0) + 0.5 * (flat == outcomes).mean(axis=0)
    pit[~np.isfinite(outcomes)] = np.nan
    found = {"mean": flat.mean(axis=0), **q, "crps": crps(flat, outcomes), "wis": wis, "pit": pit}
    return {name: np.asarray(values, dtype=float).reshape(y.shape) for name, values in found.items()}


def with_totals(draws: Array, came: Array) -> tuple[Array, Array]:
    """Draws (draw, period, ...) and what came (period, ...), each with the total of the periods as one period more."""
    return (
        np.concatenate([draws, draws.sum(axis=1, keepdims=True)], axis=1),
        np.concatenate([came, came.sum(axis=0, keepdims=True)]),
    )


def crps(draws: Array, came: ArrayLike) -> Array:
    """CRPS of each forecast, draws (draw, ...), came (...); of sorted draws x_1 .. x_M that are as likely each:

    2 / M^2 sum_i (x_i - came) ([came < x_i] M - i + 1/2)    (quantile decomposition, Jordan, Krueger & Lerch 2019)
    """
    x = np.sort(np.ascontiguousarray(np.moveaxis(draws, 0, -1)), axis=-1)
    place, off = np.arange(1, len(draws) + 1) - 0.5, np.asarray(came, dtype=float)[..., None] - x
    weight = np.where(off >= 0.0, place, place - len(draws))
    return np.asarray(2.0 * ((weight * off).sum(axis=-1) / len(draws) ** 2))


def interval_score(low: Array, high: Array, came: Array, alpha: float) -> Array:
    """Width of the central band of level 1 - alpha, and 2 / alpha times the distance of what came outside it."""
    beyond = np.maximum(low - came, 0.0) + np.maximum(came - high, 0.0)
    return np.asarray(high - low + 2.0 / alpha * beyond)


def independent(origins: int, every: int, horizon: int) -> float:
    """How many outcomes that do not overlap `origins` outcomes are worth: see the module.

    >>> independent(8, 3, 3), round(independent(12, 1, 3), 2)
    (8.0, 4.67)
    """
    return float(origins) if every >= horizon or origins < 1 else (origins - 1) * every / horizon + 1.0


def region(n: int, level: float) -> tuple[int, int]:
    """Fewest and most of n outcomes inside a band of `level` that is right, but for a share `FALSE_ALARM` of the cases.

    >>> region(20, 0.8), region(100, 0.8)
    ((12, 19), (72, 88))
    """
    below = bdtr(np.arange(n + 1), n, level)
    low, high = np.searchsorted(below, [FALSE_ALARM / 2, 1.0 - FALSE_ALARM / 2])
    return int(low), int(high)


def coverage(inside: Array, level: float, worth: float | None = None) -> dict[str, Any]:
    """How many outcomes lay inside a band: share, standard error, Beta(1 + hits, 1 + misses) interval, binomial region.

    `worth`: how many independent outcomes they are worth (default: all of them); standard error, interval and region
    are of so many, rounded down. Those that are NaN are left out.
    """
    known = inside[np.isfinite(inside)]
    n, hits = known.size, int(known.sum())
    share = hits / n if n else math.nan
    size = max(1, math.floor(min(worth if worth is not None else n, n) + 1e-9)) if n else 0
    low, high = region(size, level)
    edges = betaincinv(1 + share * size, 1 + (1 - share) * size, np.array([0.05, 0.95]))  # NaN of none
    return {
        "level": level,
        "outcomes": n,
        "inside": hits,
        "share": share,
        "se": math.sqrt(share * (1 - share) / size) if size else math.nan,
        "low": float(edges[0]),
        "high": float(edges[1]),
        "independent": size,
        "least": low / size if size else math.nan,
        "most": high / size if size else math.nan,
    }


def bias(mean: Array, came: Array) -> float:
    """What came less what was forecast, over what came, all together; NaN where nothing came."""
    known = np.isfinite(came)
    total = float(came[known].sum())
    return float((came - mean)[known].sum()) / total if total else math.nan


def skill(crps: Array, baseline: Array, worth: float | None = None) -> dict[str, float]:
    """1 - mean CRPS / mean CRPS of a baseline over the same outcomes, with the standard error of paired differences.

    `worth`: how many independent outcomes they are worth.
    """
    known = np.isfinite(crps) & np.isfinite(baseline)
    ours, theirs = crps[known], baseline[known]
    if not theirs.size or not theirs.mean() > 0:
        return {"outcomes": int(theirs.size), "skill": math.nan, "se": math.nan}
    size = min(worth if worth is not None else theirs.size, theirs.size)
    spread = float((theirs - ours).std(ddof=1)) if theirs.size > 1 else math.nan
    return {
        "outcomes": int(theirs.size),
        "skill": float(1.0 - ours.mean() / theirs.mean()),
        "se": spread / math.sqrt(size) / float(theirs.mean()),
    }


def histogram(pit: Array, bins: int = 5) -> list[int]:
    """Counts of PIT values in `bins` equal parts of [0, 1]."""
    return [int(n) for n in np.histogram(pit[np.isfinite(pit)], bins=bins, range=(0.0, 1.0))[0]]
