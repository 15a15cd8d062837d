"""Simulation-based calibration: does the posterior hold the truth as often as it says, when the model is right?

A whole company is drawn from the model's own prior (`fit.prior`) and fitted by `fit.fitting.fit`. Then the rank of
each true value among its posterior draws is uniform (Talts et al. 2018), also of quantities that depend on the data
(Modrak et al. 2023): the log likelihood of each part at the truth, and what the simulation says of the next three
months, wins and revenue among them.

Whether ranks are uniform is told by their ECDF against simultaneous bands (Saeilynoja, Buerkner & Vehtari 2022). Of N
independent ranks in {0 .. B} / B the number below the k-th point of B is Binomial(N, k / (B + 1)) when they are
uniform. The band is the widest set of two-sided binomial intervals, of the same tail probability at every point, that
holds the whole ECDF with probability 0.95. That probability is computed, not simulated: the counts below successive
points are a Markov chain,

    count_(k+1) - count_k | count_k ~ Binomial(N - count_k, 1 / (B + 1 - k))

The tests of arviz_stats (pot_c and others) take ranks for continuous: of 225 uniform ranks among 99 draws they call 8 %
or none not uniform at a level of 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from forecast.equations import coordinates, onto_waves
from forecast.fit import (
    HORIZON,
    KINDS,
    SAMPLER,
    WORKING,
    Draws,
    Made,
    Part,
    Posterior,
    fit,
    fixed_arrays,
    log_likelihood,
    make_company,
    sizes_of,
    study_of,
    value_raw,
)
from forecast.outlook import case_of, simulate
from forecast.progress import Silent

Array = NDArray[np.float64]
Seen = dict[str, tuple[Part, Draws]]

DRAWS, RANKS = 1200, 99  # posterior draws of a fit, and how many of them a rank is taken among
TUNE, ACCEPT = 600, 0.97  # small steps at once, because there is no second attempt
MOST_DIVERGENCES, MOST_RHAT = 10, 1.05


def one_fit(job: tuple[str, int] | tuple[str, int, str]) -> dict[str, Any]:
    """Make company `number` of a kind, fit it, rank. A third member of the job is the sampler (see `fit`).

    One attempt of the fit, with fewer draws than a study's. One that goes badly is marked `rough`, to be left out, as a
    study's fit that misses its checks is not used: ranks are uniform given the data, so that what is decided by looking
    at the data or the sampler leaves them uniform.

    Returns {"ranks": {...}, "divergences": of all parts, "max_rhat": of the worst, "rough": whether to be left out}.
    """
    kind, number, *rest = job
    making, ranking = np.random.default_rng([(*KINDS, WORKING).index(kind), number]).spawn(2)
    made = make_company(kind, making)
    study = study_of(made.history.counting)
    seen: Seen = {}
    posterior = fit(
        study,
        made.history,
        seed=number,
        draws=DRAWS,
        progress=Silent(),
        cores=1,
        fixed=fixed_arrays(),
        attempts=1,
        tune=TUNE,
        accept=ACCEPT,
        sampler=rest[0] if rest else SAMPLER,
        weigh=False,
        watch=lambda part, draws: seen.update({part.name: (part, draws)}),
    )
    divergences = sum(part.get("divergences", 0) for part in posterior.diagnostics)
    rhat = max(part.get("max_rhat", 1.0) for part in posterior.diagnostics)
    ranks = (
        ranks_of(posterior, made, ranking)
        | part_ranks(seen, made, ranking)
        | later_ranks(posterior, made, ranking)
    )
    return {
        "ranks": {name: round(rank, 6) for name, rank in ranks.items()},
        "divergences": divergences,
        "max_rhat": round(rhat, 4),
        "rough": rough(divergences, rhat),
    }


def rough(divergences: int, rhat: float) -> bool:
    """Whether a first attempt, of fewer draws than a fit has, is too bad to be ranked."""
    return divergences > MOST_DIVERGENCES or rhat > MOST_RHAT


def ranks_of(posterior: Posterior, made: Made, rng: np.random.Generator) -> dict[str, float]:
    """Rank of each true value among `RANKS` posterior draws, in [0, 1]; where channels have one each, of one by lot."""
    rows = _spread(posterior.draws)
    ranks = {}
    for name, value in made.truth.items():
        if name not in posterior.data:  # no deal was won, so there is no deal value
            continue
        draws = posterior.array(name)[rows]
        true = np.atleast_1d(np.asarray(value, dtype=float))
        if draws.ndim == 3:
            draws = draws[:, -1]
        if draws.ndim == 2:
            pick = int(rng.integers(true.size))
            at = 1 if name == "carry" else pick
            draws, true = draws[:, at], true[pick : pick + 1]
        ranks[name] = _rank(draws, float(true[0]), rng)
    return ranks


def part_ranks(seen: Seen, made: Made, rng: np.random.Generator) -> dict[str, float]:
    """Ranks of what the posterior does not keep: company level and spread of each part, and its log likelihood."""
    ranks = {}
    for name, (part, draws) in seen.items():
        point = made.points[name]
        flat = {key: values.reshape(-1, *values.shape[2:]) for key, values in draws.items()}
        rows = _spread(len(flat["mu"]))
        for key in ("mu", "tau", "season_sd"):
            if key not in flat:
                continue
            ranks[f"{key} {name}"] = _rank(flat[key][rows], point[key], rng)
        likelihood = log_likelihood(part, {key: values[rows] for key, values in flat.items()})
        true = log_likelihood(part, true_draws(part, point))
        ranks[f"log likelihood {name}"] = _rank(likelihood, float(true[0]), rng)
    return ranks


def later_ranks(posterior: Posterior, made: Made, rng: np.random.Generator) -> dict[str, float]:
    """Ranks of what came in the horizon, all channels and periods together, among draws of the simulation."""
    if not made.later:
        return {}
    plan = np.repeat(made.history.current_spend[None], HORIZON, axis=0)
    case = case_of(study_of(made.history.counting), made.history, posterior, plan, rng)
    outlook = simulate(case, {"given": plan}, rng=rng, replicates=1)
    rows = _spread(posterior.draws)
    ranks: dict[str, float] = {}
    for name, came in made.later.items():
        if name in outlook:
            total = outlook[name].sel(plan="given").sum(["period", "channel"]).values[rows]
            ranks[f"later {name}"] = _rank(total.astype(float), came, rng)
    return ranks


def true_draws(part: Part, point: Mapping[str, Any]) -> Draws:
    """The true parameters of a part as one draw of it, walks and levels divided as the part's data say."""
    data, given = part.data, dict(point)
    if part.kind != "value":
        scales = given["drift"], given["own_drift"], given["shock"]
        if part.kind == "traffic":
            given["season"] = given["season"] / given["season_sd"] ** (1.0 - float(data["season_centred"]))
        given |= coordinates(given["steps"], given["own_steps"], scales, data, given)
    if part.kind == "value":
        given["level_raw"] = value_raw(data, given["level"], given["mu"], given["tau"])
        walk = np.cumsum(given["steps"])[:, None]
        given["waves"] = onto_waves(walk, data["basis"])[:, 0] / given["drift"]
    elif part.kind != "traffic":
        w = data["centred"]
        given["level_raw"] = (given["level"] - given["mu"]) / given["tau"] ** (1.0 - w) + w * given["mu"]
    shapes = dict(sizes_of(part)) | (
        {"noise_apart": data["noise_apart"].shape} if "noise_apart" in data else {}
    )
    return {name: np.asarray(given[name], dtype=float).reshape(1, *shape) for name, shape in shapes.items()}


def _spread(draws: int) -> NDArray[np.int64]:
    """`RANKS` draws, evenly spread over all."""
    return np.linspace(0, draws - 1, RANKS).astype(np.int64)


def _rank(draws: Array, true: float, rng: np.random.Generator) -> float:
    below, ties = int((draws < true).sum()), int((draws == true).sum())
    return (below + int(rng.integers(ties + 1))) / len(draws)


# ------------------------------------------------------------------------------------------------ are ranks uniform?


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


def uniformity(records: Sequence[Mapping[str, float]], bins: int) -> pd.DataFrame:
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
