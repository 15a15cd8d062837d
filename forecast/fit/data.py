"""The arrays that the models take, made from a history and a study: data with a blank at weight zero, and priors.

One dictionary per part of the funnel (each transition, losses, traffic, deal value), with the names of `fit.model`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from forecast.equations import (
    EARLY_PERIODS,
    SEASONS,
    ages_needed,
    carry_periods,
    delay_pmf,
    lagged,
    onto_waves,
    season_basis,
    steepness,
    trend_waves,
    walk_waves,
    waves_centred,
    with_past,
)
from forecast.fit.exposure import known_whole
from forecast.fit.scales import DRIFT_A_MONTH, RATE_NOISE, SHOCK, TRAFFIC_NOISE, VALUE_DRIFT
from forecast.history import TRAFFIC, VALUE, History, move_data
from forecast.periods import DAYS_PER_PERIOD, log_days, periods_per_year, season_of
from forecast.study import (
    CHANNEL_PRIORS,
    DEFAULT_DELAY_DAYS,
    OTHER_DELAY_DAYS,
    ChannelPrior,
    LogitNormal,
    Study,
    market_prior,
    rate_prior,
)

Array = NDArray[np.float64]

OWN_RANGE_SD = 0.05  # least sd (logit) of a rate that the study gives itself
LOSS_PRIOR = LogitNormal(1.0, 1.5)  # of the units that never move, the share whose loss is dated
LOSS_DAYS = 30.0
DATED_CV = 1.2, 0.9  # median and log sd of a delay's cv where dates teach it: real ones reach 3.8
YEARS_OF_VALUE = 2  # from which on deal value has a season
ONE_PRICE, LEAST_CELLS = 0.02, 5  # cv of deals below which they have one price, told by so many cells
TYPICAL_SPREAD = 0.2  # sd (logit) of the channels' levels, for the choice of parameterisation only
# Share of the prior mean of a walk's sd at which its waves are centred: fits end low, and too much centring there makes
# a funnel of the walk and its sd (measured: 1 stalls, 0 mixes at half the speed).
TYPICAL_DRIFT = 0.25
VARIANCE_OF_DEALS = (1e-4, 4.0)  # relative, as told by the cells; for the choice of coordinates only
TYPICAL_NOISE = 0.15  # of a cell, for the choice of parameterisation only
RETURN_SPREAD = 1.0  # log sd of what is believed of the spread of marginal returns
TRANSPORT = 0.1  # sd, as a share of the lift, with which a test speaks for the company's everyday


@dataclass(frozen=True)
class DelayPrior:
    """Median delay in periods with the sd of its log; cv with the sd of its log. `mean` 0 means no delay."""

    mean: float
    mean_sd: float
    cv: float = 0.8
    cv_sd: float = 0.2

    @property
    def array(self) -> Array:
        """(log mean, sd, log cv, sd), harmless where there is no delay."""
        return np.array([math.log(self.mean or 1.0), self.mean_sd, math.log(self.cv), self.cv_sd])


def delay_prior(study: Study, history: History, stage: str) -> DelayPrior:
    """Prior of the delay into `stage`, in periods: wide where dates teach it, close to the study's word elsewhere."""
    known = study.funnel.delay.get(stage)
    days = DEFAULT_DELAY_DAYS.get(stage, OTHER_DELAY_DAYS) if known is None else known
    mean = days / DAYS_PER_PERIOD[history.period]
    if stage in history.triangles:
        return DelayPrior(mean or 0.1, 0.7, *DATED_CV)
    return DelayPrior(mean, 0.3)


def response_of(data: Mapping[str, Any], z: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """Elasticity, base and carry-over (..., channel), of their standard normal `z_elasticity`, `z_base`, `z_carry`."""
    beta, base, carry = (
        expit(data[f"{name}_prior"][0] + data[f"{name}_prior"][1] * z[f"z_{name}"])
        for name in ("elasticity", "base", "carry")
    )
    return beta, base, carry * data["carries"]


def value_levels(data: Mapping[str, Any], z: Mapping[str, Array]) -> Array:
    """log mean of a deal (..., channel) of `mu`, `tau` (...), `level_raw` (..., channel): see `model.value_model`."""
    mu, tau, h = z["mu"][..., None], z["tau"][..., None], data["known_precision"]
    if len(h) == 1:
        return np.asarray(mu)
    root = np.sqrt(1.0 + tau**2 * h)
    return np.asarray(mu + tau * (tau * h * (data["known_level"] - mu) / root**2 + z["level_raw"] / root))


def value_raw(data: Mapping[str, Any], level: Array, mu: Array, tau: Array) -> Array:
    """`level_raw` of these log means: `value_levels` backwards."""
    h = data["known_precision"]
    root = np.sqrt(1.0 + tau**2 * h)
    return np.asarray(root * (level - mu) / tau - tau * h * (data["known_level"] - mu) / root)


def drift_prior(history: History) -> Array:
    """Rates of the Gamma(2, rate) priors of the two walks' sds per period."""
    return 2.0 / _typical_drift(history)


def _typical_drift(history: History) -> Array:
    """Prior means of the two walks' sds per period.

    One channel has one walk, with the variance of both: how it divides into common and own no data could tell.
    """
    both = np.array(DRIFT_A_MONTH) * math.sqrt(12.0 / periods_per_year(history.period))
    return both if len(history.channels) > 1 else np.array([math.hypot(*both), 1e-4 * both[1]])


def walk_geometry(history: History, precision: Array, basis: Array) -> dict[str, Array]:
    """Coordinates of the walks (`equations.waves_centred`); a cell tells nothing more where its own noise begins."""
    common, own = waves_centred(TYPICAL_DRIFT * _typical_drift(history), precision, basis)
    return {"walk_centred": common, "own_centred": own, "basis": basis}


def _level_centred(share: Array, precision: Array) -> Array:
    """How far to centre the channels' levels, as `equations.waves_centred` does walks; geometry, not model.

    The spread of the levels is estimated by moments and lowered by a standard error of its log: where few channels
    leave it open, too much centring makes a funnel of levels and spread.
    """
    some = precision > 0
    c = int(some.sum())
    if c < 2:
        return np.zeros(len(share))
    error = (1.0 / precision[some]).mean()
    seen = np.log(share[some] / (1.0 - share[some])).var(ddof=1)
    spread = (max(seen - error, 0.0) * (c - 1) + TYPICAL_SPREAD**2) / c * math.exp(-2.0 / math.sqrt(2.0 * c))
    return np.asarray(precision * spread / (1.0 + precision * spread))


def rate_prior_of(study: Study, stage: str) -> LogitNormal:
    """Prior of the company-level rate into `stage`: the study's own range, else the market's benchmark."""
    own = study.funnel.rate.get(stage)
    if own is not None:
        return _own_range(study, own)
    return market_prior(study.funnel.market, stage, study.priors.range_reads_as)


def transition_data(study: Study, history: History, before: str, stage: str) -> tuple[dict[str, Any], bool]:
    """Data of one transition and whether it counts by calendar period; see `model.transition_model`."""
    data, calendar = _counts_data(study, history, before, stage)
    return data | known_rates(study, history, stage) | move_data(study, history, stage), calendar


def known_rates(study: Study, history: History, stage: str) -> dict[str, Array]:
    """What the study knows of the rates of single channels, beside what the channels tell of each other.

    known_rates (2, channel): mean of the logit rate over the history, and precision, 0 where nothing is known. No key
    where that holds of all channels.
    """
    own, later = study.rates_of(stage), history.enters_later(stage)
    named = [own.get(name) if not later[i] else None for i, name in enumerate(history.channels)]
    if not any(named):
        return {}
    priors = [None if pair is None else _own_range(study, pair) for pair in named]
    told = [(0.0, 0.0) if prior is None else (prior.mean, prior.sd**-2) for prior in priors]
    return {"known_rates": np.array(told).T}


def _own_range(study: Study, pair: tuple[float, float]) -> LogitNormal:
    """A range that the study gives itself, as a prior."""
    return rate_prior(*pair, study.priors.range_reads_as, floor=OWN_RANGE_SD)


def _counts_data(study: Study, history: History, before: str, stage: str) -> tuple[dict[str, Any], bool]:
    n, y = history.filled(before), history.filled(stage)
    weight = (history.present(before, stage) & ~history.enters_later(stage)).astype(float)
    prior = delay_prior(study, history, stage)
    rate = rate_prior_of(study, stage)
    if stage in history.triangles:
        return _triangle_data(history, n, history.triangles[stage].values, weight, prior, rate), False
    ages = ages_needed(prior.mean, prior.cv, history.period)
    data = _common_data(history, n, y, weight, prior, rate, ages)
    if history.counting == "cohort":
        data["age_weights"] = _cohort_ages(study, history, before, ages)
        data["weight"] = weight * (n >= y)
        return data, False
    early = np.where(np.isfinite(history.counts[before].values[0]), n[:EARLY_PERIODS].mean(axis=0), 0.0)
    data["early"] = early
    if prior.mean > 0:
        expected = np.cumsum(n, axis=0) + early
        data["weight"] = weight * (expected > 0)
    else:  # more moved on than entered: some entered a period before, and without a delay that means nearly all do
        data["weight"] = weight * (n > 0)
        data["n"] = np.maximum(n, y * data["weight"])
    return data, True


def loss_data(
    history: History,
    before: str,
    stage: str,
    variables: Mapping[str, tuple[tuple[str, ...], Array]],
    ages: int,
) -> dict[str, Any]:
    """Data of the units lost, with a date, while waiting for `stage`: of those that never move, the share s so lost.

    Taken of the units that never move, the share stays in [0, 1] whatever share p moves: with both taken of all units
    and drawn apart, p + q may pass 1, and nothing would be left for those that stay open for good. A cohort of n, of
    which y have moved by now, holds (n - y) (1 - p) / (1 - p F) units that never will, F the share of the delay, of
    `ages` ages, that it has lived through; p and F are posterior means. `variables` of the posterior hold the logit
    rate into `stage` and its delay, by draw.
    """
    path, mean, cv = (variables[f"{name}_{stage}"][1] for name in ("logit_rate", "delay_mean", "delay_cv"))
    n = history.filled(before)
    moved = history.triangles[stage].values.sum(axis=1).astype(float)
    lost = history.losses[stage].values
    some = slice(None, None, max(len(mean) // 200, 1))
    rate = expit(path[some].astype(float)).mean(axis=0)
    seen = np.minimum(np.cumsum(delay_pmf(mean[some], cv[some], ages), axis=1).mean(axis=0), 1.0)
    lived = seen[np.minimum(len(n) - 1 - np.arange(len(n)), ages - 1), None]
    never = np.maximum(n - moved, 0.0) * (1.0 - rate) / np.maximum(1.0 - rate * lived, 1e-12)
    known = history.present(before) & (n >= moved + lost.sum(axis=1))
    prior = DelayPrior(LOSS_DAYS / DAYS_PER_PERIOD[history.period], 0.7, *DATED_CV)
    trials = np.maximum(never, lost.sum(axis=1))
    return _triangle_data(history, trials, lost, known.astype(float), prior, LOSS_PRIOR)


def _common_data(
    history: History, n: Array, y: Array, weight: Array, prior: DelayPrior, rate: LogitNormal, ages: int
) -> dict[str, Any]:
    entered, moved = (n * weight).sum(axis=0), (y * weight).sum(axis=0)
    share = (moved + 1.0) / (np.maximum(entered, moved) + 2.0)
    units = n * weight * share * (1.0 - share)
    precision = units / (1.0 + units * TYPICAL_NOISE**2)
    return {
        "n": n,
        "y": y,
        "weight": weight,
        "mu_prior": np.array([rate.mean, rate.sd]),
        "centred": _level_centred(share, precision.sum(axis=0)),
        "drift_prior": drift_prior(history),
        **walk_geometry(history, precision, walk_waves(len(precision))),
        "noise_prior": np.array(2.0 / RATE_NOISE),
        "shock_prior": np.array(2.0 / SHOCK),
        "noise_apart": np.zeros(len(history.channels)),
        "delay_prior": prior.array,
        "delayed": np.array(1.0 if prior.mean > 0 else 0.0),
        "age_weights": np.zeros((len(n), ages)),
        "by_age": np.zeros(ages),
        "by_cohort": np.zeros(ages),
        "early": np.zeros(n.shape[1]),
    }


def _triangle_data(
    history: History, n: Array, cells: NDArray[np.int64], weight: Array, prior: DelayPrior, rate: LogitNormal
) -> dict[str, Any]:
    periods = len(n)
    ages = max(ages_needed(prior.mean, prior.cv, history.period, spread=3.0), periods)
    y = cells.sum(axis=1).astype(float)
    data = _common_data(history, n, y, weight * (n >= y), prior, rate, ages)
    lived = periods - 1 - np.arange(periods)
    data["age_weights"] = np.eye(ages)[np.minimum(lived, ages - 1)]
    data["by_age"][: cells.shape[1]] = cells.sum(axis=(0, 2))
    np.add.at(data["by_cohort"], np.minimum(lived, ages - 1), y.sum(axis=1))
    return data


def _cohort_ages(study: Study, history: History, before: str, ages: int) -> Array:
    """How long the units of each lead cohort that reached `before` have waited there, as weights over ages.

    A cohort of age a holds units that entered `before` at age e with probability f_e / F_a, f the delay up to there at
    its prior median: they have waited a - e periods.
    """
    periods = len(history.periods)
    arrival = np.eye(1, periods)[0]
    for stage in history.counted[1 : history.counted.index(before) + 1]:
        prior = delay_prior(study, history, stage)
        arrival = np.convolve(arrival, delay_pmf(prior.mean, prior.cv, periods))[:periods]
    weights = np.zeros((periods, ages))
    for t in range(periods):
        age = periods - 1 - t
        entered = arrival[: age + 1] / arrival[: age + 1].sum()
        np.add.at(weights[t], np.minimum(age - np.arange(age + 1), ages - 1), entered)
    return weights


def season_table(study: Study, history: History) -> Array:
    """The basis of every season of the year; one column of zeros where there is none, or the history is too short."""
    kind = history.period
    if study.priors.season == "none" or not history.has_season:
        return np.zeros((SEASONS[kind], 1))
    return season_basis(np.arange(SEASONS[kind]), kind)


def channel_priors(study: Study, history: History) -> dict[str, Array]:
    """Priors (mean, sd), logit scale, by channel: elasticity, base, carry; `carries` is 1 where carry-over acts.

    What the study says of a channel itself stands in place of what its kind says.
    """
    priors = [_channel_prior(study, name) for name in history.channels]
    months = 12.0 / periods_per_year(history.period)
    carry = []
    for prior in priors:
        own = prior.carry_over or LogitNormal(0.0, 1.0)
        share = own.quantile(0.5) ** months
        carry.append((math.log(share / (1.0 - share)), own.sd))
    return {
        "elasticity_prior": np.array([(p.elasticity.mean, p.elasticity.sd) for p in priors]).T,
        "base_prior": np.array([(p.base.mean, p.base.sd) for p in priors]).T,
        "carries": np.array([0.0 if p.carry_over is None else 1.0 for p in priors]),
        "carry_prior": np.array(carry).T,
    }


def _channel_prior(study: Study, channel: str) -> ChannelPrior:
    prior, spec = CHANNEL_PRIORS[study.kind_of(channel)], study.channels.get(channel)
    if spec is None:
        return prior
    own = {name: _own_range(study, pair) for name, pair in spec.response().items()}
    told = {name: own.get(name, getattr(prior, name)) for name in ("elasticity", "base", "carry_over")}
    return ChannelPrior(told["elasticity"], told["base"], told["carry_over"], prior.source)


def traffic_data(
    study: Study, history: History, log_worth: Array | None, worth_sd: Array | None
) -> dict[str, Any]:
    """Data of the traffic model; `log_worth`: mean log margin that a unit of traffic brings, by channel, and its sd."""
    entries, spend = history.entries, history.spend
    y = np.nan_to_num(entries)
    responds = history.paid
    weight = np.isfinite(entries) & ~((y == 0) & (spend == 0) & responds) & known_whole(history)[:, None]
    reference, current = history.spend_reference, history.current_spend
    tuned = responds & (current > 0)
    if log_worth is None or worth_sd is None:
        tuned, log_worth, worth_sd = np.zeros_like(tuned), np.zeros(len(tuned)), np.zeros(len(tuned))
    lags = carry_periods(history.period)
    basis = season_table(study, history)[season_of(history.periods, history.period)]
    filled = np.where(current > 0, current, 1.0)
    precision = weight / (TYPICAL_NOISE**2 + 1.0 / np.maximum(y, 1.0))
    waves = trend_waves(len(precision), steepness(history.period))
    geometry = walk_geometry(history, precision, waves)
    if len(history.channels) == 1:  # its one walk is all that its counts follow
        geometry["walk_centred"] = np.ones_like(geometry["walk_centred"])
    years = len(history.periods) / periods_per_year(history.period)
    return {
        "y": y,
        "weight": weight.astype(float),
        "level_prior": np.array(math.log(max(y[weight].mean() if weight.any() else 1.0, 0.1))),
        "responds": responds.astype(float),
        "spend_lags": lagged(with_past(spend / reference, lags), lags),
        **channel_priors(study, history),
        "season_basis": basis,
        "log_days": log_days(history.periods, history.period),
        "drift_prior": drift_prior(history),
        **geometry,
        "noise_prior": np.array(2.0 / TRAFFIC_NOISE),
        "shock_prior": np.array(2.0 / SHOCK),
        "noise_apart": np.zeros(len(history.channels)),
        "season_centred": np.array(0.8 * min(1.0, years)),  # less than a year tells little: the prior rules
        "season_waves": onto_waves(basis, waves),
        "spread_prior": np.array([math.log(study.priors.marginal_return_sd), RETURN_SPREAD]),
        "log_worth": log_worth,
        "log_current": np.log(history.spend_now),
        "log_spend": np.log(filled),
        "worth_sd": worth_sd,
        "tuned": tuned.astype(float),
        **lift_data(study, history),
        **move_data(study, history, TRAFFIC),
    }


def lift_data(study: Study, history: History) -> dict[str, Array]:
    """Lift tests as arrays, tests (E) first; no rows where there are none.

    lift_channel (E,): index of the channel. lift_share (E, T): 1 / m in the m periods of the test, else 0. lift_age
    (E, T): periods since its start, that one included, as far back as spend acts; else 0. lift_spend (E, 2): spend
    without the change, and the change, over the channel's reference. lift, lift_sd (E,): units a period, and
    sqrt(se^2 + (0.1 lift)^2). A test that had not ended by the history's last period is not known yet and left out.
    """
    starts, paid = history.periods, history.spenders
    windows = [test.window(history.period) for test in study.lift_tests]
    known = [
        (test, (starts >= first) & (starts <= last))
        for test, (first, last) in zip(study.lift_tests, windows, strict=True)
        if test.channel in paid and starts[0] <= first and last <= starts[-1]
    ]
    channel = np.array([history.channels.index(test.channel) for test, _ in known], dtype=np.int64)
    inside = np.array([during for _, during in known], dtype=float).reshape(-1, len(starts))
    amounts = np.array([(test.without, test.with_ - test.without) for test, _ in known]).reshape(-1, 2)
    lift = np.array([test.lift for test, _ in known], dtype=float)
    error = np.array([test.se for test, _ in known], dtype=float)
    age = np.minimum(np.cumsum(inside, axis=1), carry_periods(history.period) + 1)
    return {
        "lift_channel": channel.astype(float),
        "lift_share": inside / inside.sum(axis=1, keepdims=True),
        "lift_age": age * inside,
        "lift_spend": amounts / history.spend_reference[channel][:, None],
        "lift": lift,
        "lift_sd": np.hypot(error, TRANSPORT * lift),
    }


def known_value(study: Study, history: History) -> Array | None:
    """Deal value by channel that needs no fit, (channel,); None where deals vary or nothing is known.

    A price: deals of a channel whose money per win has next to no spread, sum (R - m W)^2 / (m^2 W) over the cells
    below ONE_PRICE^2 a degree of freedom. A law of deals fitted to that would have no width, and no sampler follows it.
    Else, without revenue, the value that the study assumes.
    """
    channels = len(history.channels)
    if not history.valued:
        return None if study.funnel.value is None else np.full(channels, study.funnel.value)
    index, _, wins, money = history.sales
    deals, total = np.bincount(index, wins, channels), np.bincount(index, money, channels)
    mean = np.where(deals > 0, total / np.maximum(deals, 1e-300), total.sum() / deals.sum())
    freedom = len(money) - int((deals > 0).sum())
    spread = ((money / mean[index] - wins) ** 2 / wins).sum()
    return mean if freedom >= LEAST_CELLS and spread < ONE_PRICE**2 * freedom else None


def value_data(study: Study, history: History) -> dict[str, Any] | None:
    """Data of the deal value model, of `history.sales`; None where there are none.

    The season of deal value is learnt from two years on.
    """
    if not history.valued:
        return None
    channels, (index, period, wins, money) = len(history.channels), history.sales
    periods, shape = len(history.periods), (len(history.periods), channels)
    sizes, cells = np.unique(wins, return_counts=True)
    deals, revenue = np.bincount(index, wins, channels), np.bincount(index, money, channels)
    some = deals > 0
    mean = np.where(some, revenue, money.sum()) / np.where(some, deals, wins.sum())
    table, year = season_table(study, history), periods_per_year(history.period)
    if periods < YEARS_OF_VALUE * year:
        table = np.zeros((len(table), 1))
    by_cell = [np.bincount(period * channels + index, of, periods * channels) for of in (wins, money)]
    scatter = ((money / mean[index] - wins) ** 2 / wins).sum() / max(len(money) - int(some.sum()), 1)
    return {
        "deals": by_cell[0].reshape(shape),
        "revenue": by_cell[1].reshape(shape),
        "deals_log_revenue": np.bincount(index, wins * np.log(money), channels),
        "drift_prior": np.array(2.0 / (VALUE_DRIFT * math.sqrt(12.0 / year))),
        "basis": walk_waves(periods),
        "seasons": table,
        "season_basis": table[season_of(history.periods, history.period)],
        "sizes": sizes,
        "size_cells": cells.astype(float),
        "level_prior": np.array([math.log(money.sum() / wins.sum()), 0.7]),
        "known_level": np.log(mean),
        "known_precision": (channels > 1) * deals / np.clip(scatter, *VARIANCE_OF_DEALS),
        **move_data(study, history, VALUE),
    }
