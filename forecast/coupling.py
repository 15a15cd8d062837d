"""Totals of several units whose fortunes are shared: how strongly, learnt from their pasts, and futures that share it.

    residuals   what of a unit's past outcome neither its trend nor its season explains
    learnt      the correlation that such residuals of all units have in common, drawn towards an assumed one
    coupled     which future of each unit goes with which of the others

The futures of a unit are drawn from its own history alone. What hits all units in the same month (a season that is bad
for everyone, a platform that changes its prices) is in each unit's band, and would cancel out in a sum of futures that
are drawn apart. So whole futures are put side by side by a Gaussian copula of one correlation rho:

    z_id = sqrt(rho) c_d + sqrt(1 - rho) e_id,    c, e ~ Normal(0, 1)

and the draw d of unit i is the one of its futures whose total over the horizon has the rank of z_id among z_i. Every
unit keeps each of its futures, with all its periods, exactly once (Iman and Conover 1982); sums have

    sd^2 = sum_i sd_i^2 + rho sum_{i != j} sd_i sd_j

up to how far the totals are from normal ones, and up to chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.equations import season_basis
from forecast.periods import periods_per_year

Array = NDArray[np.float64]
ASSUMED, SPREAD = 0.2, 0.2  # what is held of the correlation before the pasts are seen: mean, sd
MOST = 0.95
YEARS = 2  # of a past that teaches: less does not tell a season from a shock
TAKEN = {"month": 13, "quarter": 5, "week": 6}  # numbers that trend and season take of a past
BLOCK = {
    "month": 3,
    "quarter": 1,
    "week": 13,
}  # periods that are left out together: delays smear a shock over some


@dataclass(frozen=True)
class Correlation:
    """The correlation of the units' futures, and what it rests on.

    how: "given", "assumed" (the pasts teach nothing) or "learnt". raw, error: of the pasts alone, with its standard
    error; weight: that of the pasts in `value`, the rest being the assumed one. periods: that at least two units share.
    pairs: by two places, the correlation of their residuals and over how many periods; nothing is made of a single one.
    """

    value: float
    how: str
    raw: float | None = None
    error: float | None = None
    weight: float = 0.0
    periods: int = 0
    units: int = 0
    pairs: tuple[tuple[int, int, float, int], ...] = ()


def residuals(outcome: Array, half: float, seasons: NDArray[np.int64], kind: str) -> Array | None:
    """What trend and season leave of an outcome by period, (period,), of mean square one; None where a past is short.

        log(y_t + half) = a + b t + season_t + r_t,    least squares over the periods that are known

    outcome: NaN where it is not known. half: half a win, or half of what one is worth, so that a period without any has
    a logarithm. seasons: place of each period in its year.
    """
    known = np.isfinite(outcome)
    n = int(known.sum())
    if n < YEARS * periods_per_year(kind) or half <= 0:
        return None
    t = np.arange(len(outcome)) / len(outcome)
    basis = np.column_stack([np.ones(len(t)), t, season_basis(seasons, kind)])
    y = np.log(np.clip(outcome, 0.0, None) + half)
    found, *_ = np.linalg.lstsq(basis[known], y[known], rcond=None)
    left = np.where(known, y - basis @ found, np.nan)
    size = math.sqrt(float(np.nanmean(left**2)))
    return left / size if size > 1e-9 else None


def learnt(series: Sequence[Array | None], kind: str) -> Correlation:
    """The common correlation of the residuals of units, (period,) each over the same periods, None for a short past.

    Raw is the mean product of two residuals of a period, over all pairs and periods that are known; its error that of a
    jackknife over blocks of periods, widened for what trend and season took. Against what is assumed,
    Normal(ASSUMED, SPREAD^2), the pasts have the weight SPREAD^2 / (SPREAD^2 + error^2).
    """
    there = [i for i, each in enumerate(series) if each is not None]
    if len(there) < 2:
        return Correlation(ASSUMED, "assumed")
    z = np.array([series[i] for i in there], dtype=float)
    known = np.isfinite(z)
    shared, least = np.flatnonzero(known.sum(axis=0) > 1), YEARS * periods_per_year(kind)
    if len(shared) < least:
        return Correlation(ASSUMED, "assumed", periods=len(shared), units=len(there))
    z, known = z[:, shared], known[:, shared]
    raw = _common(z, known)
    error = _error(z, known, kind)
    weight = SPREAD**2 / (SPREAD**2 + error**2)
    value = float(np.clip(weight * raw + (1 - weight) * ASSUMED, 0.0, MOST))
    return Correlation(
        value, "learnt", raw, error, weight, len(shared), len(there), _pairs(z, known, there, least)
    )


def _common(z: Array, known: NDArray[np.bool_]) -> float:
    """The mean product of two units in a period, over all pairs and periods, of residuals of mean square one."""
    filled = np.where(known, z, 0.0)
    size = np.sqrt((filled**2).sum(axis=1) / np.maximum(known.sum(axis=1), 1))
    filled = filled / np.where(size > 0, size, 1.0)[:, None]
    many = known.sum(axis=0)
    products = filled.sum(axis=0) ** 2 - (filled**2).sum(axis=0)
    return float(products.sum()) / max(float((many * (many - 1)).sum()), 1.0)


def _error(z: Array, known: NDArray[np.bool_], kind: str) -> float:
    """The standard error of the same, by leaving out a block of periods at a time."""
    n = known.shape[1]
    blocks = np.arange(n) // BLOCK[kind]
    without = np.array([_common(z[:, blocks != b], known[:, blocks != b]) for b in range(blocks[-1] + 1)])
    g = len(without)
    spread = (g - 1) / g * float(((without - without.mean()) ** 2).sum())
    return math.sqrt(spread * n / max(n - TAKEN[kind], 1))


def _pairs(
    z: Array, known: NDArray[np.bool_], there: Sequence[int], least: int
) -> tuple[tuple[int, int, float, int], ...]:
    """The correlation of each two units over the periods that both know."""
    found = []
    for a in range(len(there)):
        for b in range(a + 1, len(there)):
            both = known[a] & known[b]
            if both.sum() >= least:
                one, other = z[a, both], z[b, both]
                size = math.sqrt(float((one**2).sum() * (other**2).sum()))
                found.append((there[a], there[b], float(one @ other) / size, int(both.sum())))
    return tuple(found)


def coupled(totals: Sequence[Array], correlation: float, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """For each unit the order of its futures, (draw,): the d-th of every order belong together.

    totals: of each unit over the horizon, (draw of the unit,). Orders are as long as the longest of them; where a unit
    has fewer futures each stands in its order as often as the next, to one. At 0 the units are independent, whatever
    seeds their draws had; at 1 the best of each go together.
    """
    n = max(len(each) for each in totals)
    common = rng.normal(size=n)
    orders = []
    for each in totals:
        z = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * rng.normal(size=n)
        ranks = np.empty(n, dtype=np.int64)
        ranks[np.argsort(z, kind="stable")] = np.arange(n)
        orders.append(np.argsort(each, kind="stable")[ranks * len(each) // n])
    return orders
