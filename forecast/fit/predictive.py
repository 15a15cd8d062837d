"""Posterior predictive checks: could the fitted model have made this history?

For draws s of the posterior, counts and money are drawn again by the law that was fitted, period by period and channel
by channel, and compared with what was seen. Most statistics D(y, theta_s) are measured around the expectation under the
same draw, for the history and for its replica, and

    p = P( D(y_rep, theta_s) at least as far out as D(y, theta_s) )      over draws s

so that the uncertainty of the parameters is in both. Were the model true, a single draw would give a uniform p; the
mean over draws is closer to one half, so alarms are rarer than the threshold says, never more than twice as frequent.
Source: Gelman, Meng & Stern 1996; Meng 1994; Johnson 2007.

Calendar counts are replicated by the law of effective trials (docs/method.md), the one that the fit used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, stdtr

from forecast.equations import (
    FLOOR,
    acting_spend,
    concentration,
    delay_pmf,
    negative_binomial_spread,
    noise_of_share,
    response,
    thinned,
)
from forecast.fit import data as inputs
from forecast.fit.dated import hazard_data
from forecast.fit.posterior import Posterior, kept_draws
from forecast.history import History
from forecast.periods import season_of
from forecast.study import Study

Array = NDArray[np.float64]

RECENT, LATEST = 6, 2  # periods
LEAST_STEPS = 8
OUTER = 0.1  # a cell beyond these quantiles of its own replicas, on either side, lies outside its 80 % band


@dataclass(frozen=True)
class Cells:
    """One part of the funnel: what was seen, (period, channel), and by draw its mean, variance and a replica."""

    name: str
    seen: Array
    used: NDArray[np.bool_]
    mean: Array  # (draw, period, channel), as are the next two
    variance: Array
    replica: Array
    exposure: Array  # (period, channel): what the mean is proportional to while rates and levels stay
    unpriced: NDArray[np.bool_] | None = (
        None  # cells that only sums ask of: money without wins, or the reverse
    )


def predictive_checks(
    study: Study, history: History, posterior: Posterior, *, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """One record per family of statistics and part: family, part, channel, p, seen, expected.

    Families: `totals` of channels, of the `recent` and the `latest` periods, the `largest` cell, number of `zeros`,
    `dispersion` of the cells, share of cells outside their 80 % `band` (PIT), `memory` (residuals that follow each
    other), `jumps` of traffic and rates, `ages` of moves where dates are known, stages that move `together`. `channel`
    is where the statistic is farthest out; seen and expected are in its units; `overall` (sums only): all channels,
    relative to the expected.
    p is of one part: who reads several takes that into account.
    """
    found: list[dict[str, Any]] = []
    moves: dict[str, Array] = {}
    for cells in replicas(study, history, posterior, rng):
        if cells.used.any():
            found += _judge(cells, history.whole.channels, history.labels)
            if cells.name != "revenue" and len(cells.seen) > LEAST_STEPS:
                moves[cells.name] = _changes(cells)[2][:, -1]
    found += _together(moves)
    for before, stage in history.steps:
        if f"hazard_{stage}" in posterior.data:
            found.append(_ages_by_day(study, posterior, history, f"{before} to {stage}", stage, rng))
        elif stage in history.triangles:
            found.append(_ages(posterior, history, f"{before} to {stage}", stage, rng))
    return found


def _kept(posterior: Posterior) -> NDArray[np.int64]:
    """The draws that are replicated: those for which the path of traffic was kept, else a thousand."""
    if "kept" in posterior.data.coords:
        return np.asarray(posterior.data["kept"].values, dtype=np.int64)
    return kept_draws(posterior.draws)


def replicas(
    study: Study, history: History, posterior: Posterior, rng: np.random.Generator
) -> Iterator[Cells]:
    """Every part with what was seen and, of the draws kept, what the model would have made in its place."""
    rows = _kept(posterior)
    if "log_traffic_path" in posterior.data:
        yield _traffic(study, history, posterior, rows, rng)
    if not history.attributed:  # deals are of one channel, as all that is counted
        base = posterior.data.isel(channel=np.flatnonzero(~history.media))
        history, posterior = history.whole, replace(posterior, data=base)
    for before, stage in history.steps:
        yield _transition(study, history, posterior, before, stage, rows, rng)
    revenue = _revenue(history, posterior, rows, rng)
    if revenue is not None:
        yield revenue


def _traffic(
    study: Study, history: History, posterior: Posterior, rows: NDArray[np.int64], rng: np.random.Generator
) -> Cells:
    data = inputs.traffic_data(study, history, None, None)
    mean = np.exp(posterior.array("log_traffic_path"))
    noise2 = negative_binomial_spread(posterior.array("noise_traffic")[rows, None, :])
    gamma = rng.standard_gamma(np.broadcast_to(1.0 / noise2, mean.shape)) * noise2
    replica = rng.poisson(np.minimum(gamma * mean, 1e15)).astype(float)
    beta, base, carry = (posterior.array(name)[rows].mean(axis=0) for name in ("elasticity", "base", "carry"))
    acting = acting_spend(carry, data["spend_lags"])
    answer = np.where(data["responds"] > 0, response(acting, beta, base), 1.0)
    season = posterior.array("season")[rows].mean(axis=0)[season_of(history.periods, history.period)]
    exposure = answer * np.exp(season + data["log_days"])[:, None]
    used, name = data["weight"] > 0, posterior.provenance["stages"][0]
    variance = mean + mean**2 * noise2
    if not history.attributed:  # only the sum over channels was seen
        mean, variance, replica = (each.sum(axis=2, keepdims=True) for each in (mean, variance, replica))
        used, exposure = used[:, ~history.media], mean.mean(axis=0)
        data = {"y": data["y"][:, ~history.media]}
    return Cells(name, data["y"], used, mean, variance, replica, exposure)


def _transition(
    study: Study,
    history: History,
    posterior: Posterior,
    before: str,
    stage: str,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
) -> Cells:
    if f"hazard_{stage}" in posterior.data:
        return _moves_by_day(study, history, posterior, before, stage, rows, rng)
    data, calendar = inputs.transition_data(study, history, before, stage)
    rate = expit(posterior.data[f"logit_rate_{stage}"].values[rows].astype(float))
    f = _delay(posterior, stage, rows, data["age_weights"].shape[1])
    trials, share = np.broadcast_to(data["n"], rate.shape), np.ones((1, 1, 1))
    if not calendar:
        share = np.minimum(np.cumsum(f, axis=1) @ data["age_weights"].T, 1.0)[:, :, None]
    elif data["delayed"]:
        name = f"before_{stage}"
        early = posterior.array(name)[rows] if name in posterior.data else np.ones(len(rows))
        due = thinned(f, data["n"].T, early[:, None] * data["early"])
        trials, share = (each.swapaxes(1, 2) for each in due)
    p = np.clip(rate, FLOOR, 1.0 - FLOOR) * share
    kappa = concentration(p, noise_of_share(posterior.array(f"noise_{stage}")[rows, None, :], p, share))
    drawn = rng.beta(p * kappa, (1.0 - p) * kappa)
    whole = np.floor(trials + rng.random(trials.shape)).astype(np.int64)
    more = 1.0 + np.maximum(trials - 1.0, 0.0) / (kappa + 1.0)
    return Cells(
        f"{before} to {stage}",
        data["y"],
        data["weight"] > 0,
        trials * p,
        trials * p * (1.0 - p) * more,
        rng.binomial(whole, drawn).astype(float),
        (trials * share).mean(axis=0),
    )


def _moves_by_day(
    study: Study,
    history: History,
    posterior: Posterior,
    before: str,
    stage: str,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
) -> Cells:
    """Moves of dated leads by the period in which they fell, given the days at risk; the noise of the period anew."""
    data, hazard, by_period = _hazards_of(study, history, posterior, stage, rows)
    base = np.stack([np.einsum("btc,bc->tc", data["exposure"], each) for each in hazard])
    shock, own = (
        posterior.array(f"hazard_{name}_{stage}")[rows, None, None] for name in ("shock", "own_shock")
    )
    noise2 = shock**2 + own**2
    noise = shock * rng.standard_normal((len(rows), base.shape[1], 1)) + own * rng.standard_normal(base.shape)
    middle = base * np.exp(by_period)[:, :, None]
    mean = middle * np.exp(0.5 * noise2)
    seen = data["y"].sum(axis=0)
    return Cells(
        f"{before} to {stage}",
        seen,
        data["exposure"].sum(axis=0) > 0,
        mean,
        mean + mean**2 * np.expm1(noise2),
        rng.poisson(np.minimum(middle * np.exp(noise), 1e15)).astype(float),
        base.mean(axis=0),
    )


def _hazards_of(
    study: Study, history: History, posterior: Posterior, stage: str, rows: NDArray[np.int64]
) -> tuple[dict[str, Any], Array, Array]:
    """Data of the hazards of moves into a stage; hazards (draw, bin, channel); log level of periods (draw, period)."""
    data, _ = hazard_data(study, history, stage)
    hazard = np.exp(posterior.data[f"hazard_{stage}"].values[rows].astype(float))
    season = posterior.array(f"hazard_season_{stage}")[rows][:, data["month_of_year"]]
    return data, hazard, posterior.array(f"hazard_path_{stage}")[rows] + season


def _delay(posterior: Posterior, stage: str, rows: NDArray[np.int64], ages: int) -> Array:
    """Law of the delay into a stage, (draw, age)."""
    mean, cv = (posterior.array(f"delay_{name}_{stage}")[rows] for name in ("mean", "cv"))
    return delay_pmf(mean, cv, ages)


def _revenue(
    history: History, posterior: Posterior, rows: NDArray[np.int64], rng: np.random.Generator
) -> Cells | None:
    """Revenue given the number of deals, wherever both are known: of leads, of the deals whose amount is.

    Money without a win, and wins without money, are in the sums: what was booked in a quarter is to be met, however it
    lies in its cells. A law of deals has no such cells, so what asks of single ones leaves them out.
    """
    if "deal_mean" not in posterior.data or not history.valued:
        return None
    cv = posterior.array("deal_cv")[rows, None, None]
    if not cv.any():  # an assumed value has no law of its own
        return None
    deals, seen = history.paid_wins
    free = history.free[0]
    used = (deals > 0) & ((seen > 0) | (free > 0))
    mean = posterior.array("deal_mean")[rows, None, :]
    if "deal_path" in posterior.data:
        mean = mean * np.exp(posterior.array("deal_path"))
    unpriced = ((deals > 0) != (seen != 0)) & ~used
    if "free_share" not in posterior.data:
        replica = rng.standard_gamma(np.broadcast_to(deals / cv**2, (len(rows), *deals.shape))) * mean * cv**2
        return Cells("revenue", seen, used, deals * mean, deals * (mean * cv) ** 2, replica, deals, unpriced)
    share, spread = (
        posterior.array("free_share")[rows, None, :],
        posterior.array("free_spread")[rows, None, None],
    )
    k, full = 1.0 / spread - 1.0, np.broadcast_to(share, (len(rows), *deals.shape))
    paid = rng.binomial(deals.astype(np.int64), 1.0 - rng.beta(full * k, (1.0 - full) * k))
    each = mean / (1.0 - share)
    replica = rng.standard_gamma(paid / cv**2) * each * cv**2
    chance = deals * (1.0 - share) * (cv**2 + share * (1.0 + np.maximum(deals - 1.0, 0.0) * spread))
    return Cells("revenue", seen, used, deals * mean, chance * each**2, replica, deals, unpriced)


# ------------------------------------------------------------------------------------------------------ statistics


def _judge(cells: Cells, channels: list[str], labels: list[str]) -> list[dict[str, Any]]:
    """The families of one part that need only its cells."""
    every = cells.used if cells.unpriced is None else cells.used | cells.unpriced
    names, _, (y, mean, variance, replica) = _shown(cells, channels, every)
    found = [
        _sums(family, names, y[-last:], mean[:, -last:], variance[:, -last:], replica[:, -last:])
        for family, last in (("totals", len(y)), ("recent", RECENT), ("latest", LATEST))
    ]
    names, used, (y, mean, variance, replica) = _shown(cells, channels, cells.used)
    scale = np.sqrt(variance + 0.25)  # 0.25: a cell that expects next to nothing does not rule
    z, z_rep = np.where(used, (y - mean) / scale, 0.0), np.where(used, (replica - mean) / scale, 0.0)
    t, c = np.unravel_index(z.mean(axis=0).argmax(), y.shape)
    p = _p_value(z.max(axis=(1, 2)), z_rep.max(axis=(1, 2)))
    found.append(_record("largest", p, y[t, c], mean[:, t, c].mean(), names[c]))
    if cells.name != "revenue":
        found.append(_zeros(names, (y == 0) & used, (replica == 0) & used))
    size = used.sum()
    chi, chi_rep = ((each**2).sum(axis=(1, 2)) / size for each in (z, z_rep))
    found.append(_record("dispersion", _two_sided(chi, chi_rep), chi.mean(), chi_rep.mean()))
    pit = (replica < y).mean(axis=0) + 0.5 * (replica == y).mean(axis=0)
    from scipy.stats import rankdata  # most of a second to import; a saved fit has its checks on record

    pit_rep = (rankdata(replica, axis=0) - 0.5) / len(replica)
    outside, outside_rep = (
        ((abs(each - 0.5) > 0.5 - OUTER) & used).sum(axis=(-2, -1)) / size for each in (pit, pit_rep)
    )
    p = _p_value(outside, outside_rep)
    found.append(_record("band", p, outside, outside_rep.mean()))
    if len(y) > RECENT:
        r, r_rep = _memory(z), _memory(z_rep)
        found.append(_record("memory", _p_value(r, r_rep), r.mean(), r_rep.mean()))
    if cells.name != "revenue":
        found += _jumps(cells, names, labels)
    return [{"part": cells.name} | record for record in found]


def _shown(
    cells: Cells, channels: list[str], where: NDArray[np.bool_]
) -> tuple[list[str], NDArray[np.bool_], list[Array]]:
    """Channels that have a cell of `where`, those cells, and seen, mean, variance and replica there, else 0."""
    there = where.any(axis=0)
    names = [name for name, yes in zip(channels, there, strict=True) if yes]
    kept = where[:, there]
    arrays = (cells.seen, cells.mean, cells.variance, cells.replica)
    return names, kept, [np.where(kept, a[..., there], 0.0) for a in arrays]


def _record(family: str, p: float, seen: float, expected: float, channel: str = "") -> dict[str, Any]:
    return {"family": family, "channel": channel, "p": p, "seen": float(seen), "expected": float(expected)}


def _sums(
    family: str, names: list[str], y: Array, mean: Array, variance: Array, replica: Array
) -> dict[str, Any]:
    """Sums over periods: the channel that lies farthest from its expectation, or all channels together."""
    seen, rep, m, v = (_with_total(a.sum(axis=-2)) for a in (y, replica, mean, variance))
    scale = np.sqrt(v) + 1e-9
    far, far_rep = np.abs(seen - m) / scale, np.abs(rep - m) / scale
    worst = int(far.mean(axis=0).argmax())
    named = [*names, "all channels"] if len(names) > 1 else names
    p = _p_value(far.max(axis=1), far_rep.max(axis=1))
    overall = float(seen[-1] / max(m[:, -1].mean(), 1e-9) - 1.0)
    return _record(family, p, seen[worst], m[:, worst].mean(), named[worst]) | {"overall": overall}


def _zeros(names: list[str], zero: NDArray[np.bool_], replica: NDArray[np.bool_]) -> dict[str, Any]:
    """Number of periods in which a channel counts nothing."""
    seen, rep = zero.sum(axis=0), replica.sum(axis=1)
    usual, spread = rep.mean(axis=0), rep.std(axis=0) + 0.5
    far = np.abs(seen - usual) / spread
    worst = int(far.argmax())
    p = _p_value(far.max(), (np.abs(rep - usual) / spread).max(axis=1))
    return _record("zeros", p, seen[worst], usual[worst], names[worst])


def _with_total(sums: Array) -> Array:
    """By channel (last axis), and all channels together where there is more than one."""
    return np.concatenate([sums, sums.sum(axis=-1, keepdims=True)], axis=-1) if sums.shape[-1] > 1 else sums


def _memory(z: Array) -> Array:
    """Correlation of residuals with those of the period before, over all channels; by draw.

    Only a positive one makes totals less sure than they look. A slightly negative one is usual under calendar counts: a
    unit that moved on early is missing later, which the law of effective trials leaves out.
    """
    ahead, behind = z[:, 1:], z[:, :-1]
    size = np.sqrt((ahead**2).sum(axis=(1, 2)) * (behind**2).sum(axis=(1, 2)))
    return np.asarray((ahead * behind).sum(axis=(1, 2)) / np.maximum(size, 1e-12))


def _p_value(seen: Array | float, replicas: Array) -> float:
    """Share of draws in which the replica lies at least as far out, never zero."""
    return float((1 + (replicas >= seen).sum()) / (1 + len(replicas)))


def _two_sided(seen: Array, replicas: Array) -> float:
    return min(1.0, 2.0 * min(_p_value(seen, replicas), _p_value(-seen, -replicas)))


def _jumps(cells: Cells, names: list[str], labels: list[str]) -> list[dict[str, Any]]:
    """The change from one period to the next that stands out among all such changes: one test a series.

    A walk follows a sudden change of market, or of counting, and learns its size from it, so that residuals show
    nothing. Here the counts are set against what a rate that never moves would make (square roots, for an even
    spread), and their changes are judged by each other (Grubbs 1950): all channels together, and each by itself.
    """
    if len(cells.seen) <= LEAST_STEPS:
        return []
    y, usual, changes = _changes(cells)
    n = len(changes)
    spread = changes.std(axis=0, ddof=1)
    far = np.abs(changes - changes.mean(axis=0)) / np.where(spread > 1e-9, spread, np.inf)
    g2 = np.minimum(far.max(axis=0) ** 2, (n - 1) ** 2 / n * (1 - 1e-12))
    p = np.minimum(1.0, 2.0 * n * stdtr(n - 2, -np.sqrt(n * (n - 2) * g2 / ((n - 1) ** 2 - n * g2))))
    worst = int(p.argmin())
    at = int(far[:, worst].argmax()) + 1
    place = f"{[*names, 'all channels'][worst] if len(names) > 1 else names[0]} in {labels[at]}"
    least = min(1.0, float(p[worst]) * len(p))
    return [_record("jumps", least, y[at, worst], usual[at, worst], place)]


def _changes(cells: Cells) -> tuple[Array, Array, Array]:
    """Counts, what a rate that never moves would make, and how their difference changes from period to period.

    Columns: the channels that are there, and all together where they are several; changes on the scale of square roots.
    """
    there = cells.used.any(axis=0)
    y, exposure = (_with_total(np.where(cells.used, a, 0.0)[:, there]) for a in (cells.seen, cells.exposure))
    usual = exposure * y.sum(axis=0) / np.maximum(exposure.sum(axis=0), 1e-9)
    return y, usual, np.diff(2.0 * (np.sqrt(y + 0.375) - np.sqrt(usual + 0.375)), axis=0)


def _together(moves: dict[str, Array]) -> list[dict[str, Any]]:
    """Whether stages change together: a month that hits them all is in no stage's own law.

    Correlation of the changes (period,) of all channels, for each pair of parts. Given the stage before, the model
    has none; where there is one, totals are less sure (or surer) than they look. n changes that each follow their own
    past by r1 are worth n / (1 + 2 r1 r1') independent ones (Bartlett 1935).
    """
    found = []
    names = list(moves)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            a, b = (moves[name] - moves[name].mean() for name in (one, other))
            if not (a.any() and b.any()):
                continue
            r = float(a @ b / np.sqrt((a @ a) * (b @ b)))
            own = [float(x[1:] @ x[:-1] / (x @ x)) for x in (a, b)]
            worth = max(len(a) / max(1.0 + 2.0 * own[0] * own[1], 0.5), 4.0)
            t = abs(r) * np.sqrt((worth - 2.0) / max(1.0 - r * r, 1e-9))
            record = _record("together", float(2.0 * stdtr(worth - 2.0, -t)), r, 0.0)
            found.append({"part": f"{one} and {other}"} | record)
    return found


def _ages(
    posterior: Posterior, history: History, part: str, stage: str, rng: np.random.Generator
) -> dict[str, Any]:
    """Moves by age, given how many of each cohort have moved: chi-square around the fitted delay."""
    rows = _kept(posterior)
    cells = history.triangles[stage].values
    periods = len(cells)
    moved = cells.sum(axis=(1, 2))
    seen = cells.sum(axis=(0, 2)).astype(float)
    f = _delay(posterior, stage, rows, periods)
    expected, replica = np.zeros((len(rows), periods)), np.zeros((len(rows), periods))
    for t in range(periods):
        share = f[:, : periods - t] / f[:, : periods - t].sum(axis=1, keepdims=True)
        expected[:, : periods - t] += moved[t] * share
        replica[:, : periods - t] += rng.multinomial(moved[t], share)
    scale = expected + 0.5
    chi = ((seen - expected) ** 2 / scale).sum(axis=1)
    chi_rep = ((replica - expected) ** 2 / scale).sum(axis=1)
    worst = int((np.abs(seen - expected) / np.sqrt(scale)).mean(axis=0).argmax())
    p = _p_value(chi, chi_rep)
    return {"part": part} | _record("ages", p, seen[worst], expected[:, worst].mean(), f"age {worst}")


def _ages_by_day(
    study: Study, posterior: Posterior, history: History, part: str, stage: str, rng: np.random.Generator
) -> dict[str, Any]:
    """The same of dated leads: moves by age, given how many moved in each period and channel."""
    rows = _kept(posterior)
    data, hazard, _ = _hazards_of(study, history, posterior, stage, rows)
    y, edges = data["y"], data["edges"]
    some = y.any(axis=(1, 2)) | (data["exposure"].sum(axis=(1, 2)) > 0)
    seen, moved = y[some].sum(axis=(1, 2)), y.sum(axis=0)
    expected, replica = np.zeros((len(rows), len(seen))), np.zeros((len(rows), len(seen)))
    for t, c in np.argwhere(moved > 0):
        share = data["exposure"][some, t, c] * hazard[:, some, c] + 1e-12
        share /= share.sum(axis=1, keepdims=True)
        expected += moved[t, c] * share
        replica += rng.multinomial(int(moved[t, c]), share)
    scale = expected + 0.5
    chi = ((seen - expected) ** 2 / scale).sum(axis=1)
    chi_rep = ((replica - expected) ** 2 / scale).sum(axis=1)
    worst = int((np.abs(seen - expected) / np.sqrt(scale)).mean(axis=0).argmax())
    age = edges[:-1][some][worst]
    p = _p_value(chi, chi_rep)
    return {"part": part} | _record("ages", p, seen[worst], expected[:, worst].mean(), f"age {age} days")
