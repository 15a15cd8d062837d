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

How well n periods tell the correlation that m units have in common is the standard error of an intraclass correlation
(Fisher 1925), but that months which remember each other are fewer than they look. With n_c of them in what the units
share, their mean, and n_o in what is each unit's own,

    se = sqrt(2) (1 - rho) (1 + (m - 1) rho) / m  sqrt(1 / n_c + 1 / ((m - 1) n_o))
    1 / n_e = tr(K^2) / tr(K)^2,    K = M R M,    R_st = phi^|s - t|,    M: what trend and season leave

which is sqrt(2 / (n m (m - 1))) where nothing is shared or remembered. phi is as likely as the residuals say (by the
likelihood of what trend and season leave, REML), and 1 / n_e is averaged over it. Such months are normal; of a few that
weigh more than all others the jackknife tells, and the larger of the two errors is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from forecast.equations import season_basis
from forecast.periods import periods_per_year

Array = NDArray[np.float64]
ASSUMED, SPREAD = 0.2, 0.2  # what is held of the correlation before the pasts are seen: mean, sd
MOST = 0.95
YEARS = 2  # of a past that teaches: less does not tell a season from a shock
MEMORY = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # from one period to the next: phi
LEAST_LEFT = 4  # numbers that trend and season must leave of a past that tells its memory
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
    basis = _trend_and_season(seasons, kind)
    y = np.log(np.clip(outcome, 0.0, None) + half)
    found, *_ = np.linalg.lstsq(basis[known], y[known], rcond=None)
    left = np.where(known, y - basis @ found, np.nan)
    size = math.sqrt(float(np.nanmean(left**2)))
    return left / size if size > 1e-9 else None


def _trend_and_season(seasons: NDArray[np.int64], kind: str) -> Array:
    """What is taken of a logarithm, (period, number)."""
    t = np.arange(len(seasons)) / len(seasons)
    return np.column_stack([np.ones(len(t)), t, season_basis(seasons, kind)])


def learnt(series: Sequence[Array | None], kind: str) -> Correlation:
    """The common correlation of the residuals of units, (period,) each over the same periods, None for a short past.

    Raw is the mean product of two residuals of a period, over all pairs and periods that are known; its error the
    larger of the module's and that of a jackknife over blocks of periods. Against what is assumed, Normal(ASSUMED,
    SPREAD^2), the pasts have the weight SPREAD^2 / (SPREAD^2 + error^2).
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
    error = max(_error(z, known, kind, raw), _jackknifed(z, known, kind))
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


def _error(z: Array, known: NDArray[np.bool_], kind: str, raw: float) -> float:
    """The standard error of the same where residuals are normal and have a memory: see the module."""
    many = known.sum(axis=0)
    m = 1.0 + float((many * (many - 1)).sum()) / float(many.sum())
    rho = min(max(raw, 0.0), MOST)
    whole = np.where(known, z, 0.0).sum(axis=0)
    fewer, basis = _inverse_sizes(len(many), kind), _any_season(len(many), kind)
    common = _likely([whole / np.sqrt(many)], basis) @ fewer
    own = _likely(np.where(known, z - whole / many, np.nan), basis) @ fewer
    return math.sqrt(2.0 * (common + own / (m - 1.0))) * (1.0 - rho) * (1.0 + (m - 1.0) * rho) / m


def _any_season(n: int, kind: str) -> Array:
    """Trend and season of so many periods: in which season they begin makes no other space of it."""
    return _trend_and_season(np.arange(n) % periods_per_year(kind), kind)


@cache
def _inverse_sizes(n: int, kind: str) -> Array:
    """1 / n_e of the module for each memory."""
    at, q = np.arange(n), np.linalg.qr(_any_season(n, kind))[0]
    found = []
    for phi in MEMORY:
        k = phi ** np.abs(at[:, None] - at)
        for _ in range(2):  # M R, and (M R)' M
            k = (k - q @ (q.T @ k)).T
        found.append(float((k**2).sum() / np.trace(k) ** 2))
    return np.array(found)


def _likely(series: Sequence[Array] | Array, basis: Array) -> Array:
    """How likely each memory of `MEMORY` is by series (period,) of one law, NaN where not known, which are independent.

    By REML: a period is, given the one before it, normal around phi^d of it, d how long before that was.
    """
    log, phi = np.zeros(len(MEMORY)), np.array(MEMORY)[:, None, None]
    for each in series:
        at = np.flatnonzero(np.isfinite(each))
        both = np.column_stack([basis[at], each[at]])
        left = len(at) - basis.shape[1]
        if left < LEAST_LEFT or np.linalg.matrix_rank(both[:, :-1]) < basis.shape[1]:
            continue
        kept = phi ** np.diff(at)[:, None]
        new = np.sqrt(1.0 - kept**2)
        white = np.concatenate(
            [np.tile(both[:1], (len(log), 1, 1)), (both[1:] - kept * both[:-1]) / new], axis=1
        )
        sides = np.diagonal(np.linalg.qr(white, mode="r"), axis1=1, axis2=2)
        sizes = np.log(np.abs(sides) + 1e-300)
        log -= np.log(new).sum(axis=(1, 2)) + sizes[:, :-1].sum(axis=1) + left * sizes[:, -1]
    return np.asarray(softmax(log))


def _jackknifed(z: Array, known: NDArray[np.bool_], kind: str) -> float:
    """The same by leaving out a block of periods at a time, widened for what trend and season took."""
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
