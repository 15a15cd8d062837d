"""The PyMC models: one transition, traffic, deal value.

Given the observed counts the likelihood of a funnel factorises over its transitions, so each is fitted by itself and
draws are paired by index: the product of the posteriors *is* the joint posterior. Every transition (visitors -> leads,
leads -> qualified, ...) is the same model with other data, compiled once and re-run with the data swapped.

Nothing derived is kept inside the graphs: rate paths and levels are rebuilt from the draws in `posterior`, which
leaves less to compile. Scales have Gamma(2, rate) priors, which avoid zero: there a walk and its scale make a funnel
that no sampler likes, and a rate that never moves is not believed anyway.

Every model names its dimensions (period, channel, wave, lag, age, ...) and may hold a term of one's own: `term`, a
function that is called inside the model and returns what is added to the predictor (log traffic, logit rate, log deal
value), by (period,) or (period, channel). It stands in the draws as `term`. See docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from forecast.equations import FLOOR, SOFT
from forecast.errors import UsageError
from forecast.fit.mix import LEVEL, NAMES
from forecast.fit.parts import Part
from forecast.fit.scales import (
    BEFORE_SD,
    DEAL_CV,
    DEAL_CV_SD,
    LEVEL_SD,
    MEDIA_SD,
    RATE_SPREAD,
    RATE_TAU,
    SEASON_SD,
    SHARE_SD,
    TRAFFIC_SPREAD,
    TRAFFIC_TAU,
    VALUE_SPREAD,
    VALUE_TAU,
)

Array = NDArray[np.float64]
Tensor = Any  # pytensor's own types say less than the names here, and mypy does not follow them
Coords = Mapping[str, Sequence[Any] | NDArray[Any]]
Term = Callable[[], Tensor]

CELLS, BY_CHANNEL = ("period", "channel"), ("channel",)
DATA_DIMS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("n", "y", "weight", "deals", "revenue", "event_offset"), CELLS),
    **dict.fromkeys(
        (
            "centred", "noise_apart", "early", "responds", "carries", "log_worth", "log_current", "log_spend",
            "worth_sd", "tuned", "deals_log_revenue", "known_level", "known_precision", "share_prior",
        ),
        BY_CHANNEL,
    ),
    **dict.fromkeys(("elasticity_prior", "base_prior", "carry_prior"), ("prior", "channel")),
    "log_days": ("period",),
    "spend_lags": ("lag", *CELLS),
    "age_weights": ("period", "age"),
    "season_basis": ("period", "season_wave"),
    "basis": ("wave", "period"),
    "event_columns": ("event", "period"),
    "event_channels": ("event", "channel"),
}  # fmt: skip


def _model(data: Mapping[str, Array], coords: Coords | None, periods: int, channels: int) -> pm.Model:
    """An empty model with the dimensions of a part; those without names are counted."""
    named: dict[str, Any] = {"period": range(periods), "channel": range(channels), **(coords or {})}
    named["prior"] = ["mean", "sd"]
    named["wave"] = range(max(periods - 1, 1))
    shapes = {name: np.shape(value) for name, value in data.items()}
    if "spend_lags" in shapes:
        named["lag"] = range(shapes["spend_lags"][0])
    if "age_weights" in shapes:
        named["age"] = range(shapes["age_weights"][1])
    if "season_basis" in shapes:
        named["season_wave"] = range(shapes["season_basis"][1])
    if "event_columns" in shapes:
        named["event"] = range(shapes["event_columns"][0])
    return pm.Model(coords=named)


def _data(data: Mapping[str, Array]) -> dict[str, Tensor]:
    """The data of a part in its model, by name, with dimensions where they have a name."""
    lengths = {
        name: len(values) for name, values in pm.modelcontext(None).coords.items() if values is not None
    }
    found = {}
    for name, value in data.items():
        dims = DATA_DIMS.get(name)
        fits = dims is not None and np.shape(value) == tuple(lengths.get(dim) for dim in dims)
        found[name] = pm.Data(name, value, dims=dims if fits else None)
    return found


def _own(term: Term | None, periods: int, channels: int) -> Tensor:
    """A term of one's own by period and channel, kept as `term`; 0 where there is none."""
    if term is None:
        return 0.0
    effect = pt.as_tensor_variable(term())
    if effect.ndim > 2:
        raise UsageError(
            f"a term: expected something by period, or by period and channel; got {effect.ndim} dimensions"
        )
    cells = effect[:, None] if effect.ndim == 1 else effect
    return pm.Deterministic("term", cells + np.zeros((periods, channels)), dims=CELLS)


def _log_beta_binomial(y: Tensor, n: Tensor, p: Tensor, noise: Tensor) -> Tensor:
    """log BetaBinomial(y; n, p, kappa) for real n; kappa = 1 / (noise^2 p (1 - p)), noise a sd on the logit scale."""
    kappa = 1.0 / (noise**2 * p * (1.0 - p) + 1e-6)
    a, b = p * kappa, (1.0 - p) * kappa
    return (
        pt.gammaln(n + 1.0)
        - pt.gammaln(n - y + 1.0)
        + pt.gammaln(a + y)
        + pt.gammaln(b + n - y)
        - pt.gammaln(kappa + n)
        - pt.gammaln(a)
        - pt.gammaln(b)
        + pt.gammaln(kappa)
    )


def _pmf(mean: Tensor, cv: Tensor, ages: int) -> Tensor:
    """The delay of `equations.delay_pmf` as a graph: shape (ages,), renormalised."""
    sigma = pt.sqrt(pt.log1p(cv**2))
    x = np.arange(1.0, ages + 1.0)
    z = (np.log(x) - pt.log(mean) + sigma**2 / 2) / sigma
    integral = x * _phi(z) - mean * _phi(z - sigma)
    h = pt.concatenate([np.zeros(2), integral])
    pmf = pt.maximum(h[2:] - 2 * h[1:-1] + h[:-2], 0.0) + 1e-9
    return pmf / pmf.sum()


def _phi(z: Tensor) -> Tensor:
    return 0.5 * pt.erfc(-z / np.sqrt(2.0))


def _walks(
    d: Mapping[str, Tensor],
    sds: tuple[Tensor, Tensor, Tensor],
    beside: Tensor = 0.0,
) -> Tensor:
    """The common random walk with its shocks plus each channel's own, (period, channel), in the waves of `equations`.

    sds: of the common steps, of each channel's own, of the shocks.

    Both have mean zero: anchored at an end they would correlate with the level. `beside`: waves (wave,) of what else
    moves all channels alike.
    """
    v, w = d["walk_centred"], d["own_centred"]
    drift, own_drift, shock = sds
    drift = pt.sqrt(drift**2 + shock**2 / pt.maximum(pt.sum(d["basis"] ** 2, axis=1), 1e-300))
    common = drift ** (1.0 - v) * (pm.Normal("waves", v * beside, drift**v, dims="wave") - v * beside)
    shared = w * (common + beside)[:, None]
    raw = pm.Normal("own_waves", shared, own_drift**w, dims=("wave", "channel"))
    own = own_drift ** (1.0 - w) * (raw - shared)
    return pt.dot(d["basis"].T, common[:, None] + own)


def _moved(d: Mapping[str, Tensor], data: Mapping[str, Array]) -> Tensor:
    """What events and past changes move a log or logit by, dims period and channel; see `history.move_data`."""
    if "event_offset" not in data:
        return 0.0
    free = len(data["event_sds"])
    if not free:
        return d["event_offset"]
    size = d["event_sds"] * pm.Normal("z_event", dims="event")
    return d["event_offset"] + pt.dot((d["event_columns"] * size[:, None]).T, d["event_channels"])


def transition_model(
    data: Mapping[str, Array], *, calendar: bool, coords: Coords | None = None, term: Term | None = None
) -> pm.Model:
    """One transition: entries `n` of a stage, successes `y` into the next, by period and channel.

    logit pi_tc = b_c + l_t + e_t + w_tc;   b_c ~ Normal(mu, tau);   l, w random walks (common, per channel)
    e_t ~ Normal(0, shock), of all channels in period t;   noise_c = noise exp(z_c), z_c as `fit.weighed` finds it
    with one channel b = mu ~ Normal(m, sqrt(s^2 + E tau^2)), and mu, tau no longer chase each other
    where the study knows the rate of a channel, also b_c ~ Normal(m_c, s_c): two sources, whose densities multiply

    calendar:  y_tc ~ BetaBinomial(N*_tc / phi_tc, pi_tc phi_tc),  N* = F n,  F_ts = f_(t-s),  phi = F^2 n / F n (F^2 by
               elements): pi is the rate of those due in period t, phi what of it a unit may bring at once
    otherwise: y_tc ~ BetaBinomial(n_tc, pi_tc G_t), G_t the share of the delay that cohort t has lived through; where
               delays are seen, also  sum_ta S_ta log f_a - sum_t Y_t log F_(T-t)  (the triangle, split by delay).
    noise of a rate pi x share: noise (1 - pi) / (1 - pi share), which is the noise of pi, seen through it

    Args:
        data: the arrays of `fit.data.transition_data`; dims period (T) first, channel (C) second.
        calendar: successes dated by their own period (True) or by the cohort of entry (False).
        coords: names of periods and channels. term: added to logit pi; see the module.
    """
    periods, channels = data["n"].shape
    ages = data["age_weights"].shape[1]
    with _model(data, coords, periods, channels) as model:
        d = _data(data)
        alone = channels == 1
        mu = pm.Normal("mu", d["mu_prior"][0], _wider(d["mu_prior"][1], alone * RATE_SPREAD))
        tau = pm.Gamma("tau", 2.0, RATE_TAU)
        # Partly centred: weight 1 where the channel's own data rule, 0 where the pool does.
        w = d["centred"]
        if alone:
            pm.Normal("level_raw", dims="channel")
            level = pt.atleast_1d(mu)
        else:
            level_raw = pm.Normal("level_raw", w * mu, tau**w, dims="channel")
            level = mu + tau ** (1.0 - w) * (level_raw - w * mu)
        if "known_rates" in data:
            known, precision = d["known_rates"][0], d["known_rates"][1]
            pm.Potential("rates_known", -0.5 * pt.sum(precision * (level - known) ** 2))
        drift = pm.Gamma("drift", 2.0, d["drift_prior"][0])
        own_drift = pm.Gamma("own_drift", 2.0, d["drift_prior"][1])
        noise = pm.Gamma("noise", 2.0, d["noise_prior"]) * pt.exp(d["noise_apart"])
        shock = pm.Gamma("shock", 2.0, d["shock_prior"])
        eta = level + _walks(d, (drift, own_drift, shock))
        pi = pm.math.sigmoid(eta + _moved(d, data) + _own(term, periods, channels))
        delay_mean = pm.LogNormal("delay_mean", d["delay_prior"][0], d["delay_prior"][1])
        delay_cv = pm.LogNormal("delay_cv", d["delay_prior"][2], d["delay_prior"][3])
        f = d["delayed"] * _pmf(delay_mean, delay_cv, ages) + (1.0 - d["delayed"]) * np.eye(1, ages)[0]
        if calendar:
            before = pm.LogNormal("before", 0.0, BEFORE_SD)
            trials, share = _effective_trials(d, f, before, periods, ages)
        else:
            seen = pt.cumsum(f)
            trials = d["n"]
            share = pt.minimum(pt.dot(d["age_weights"], seen), 1.0)[:, None]
            split = pt.sum(d["by_age"] * pt.log(f + 1e-12)) - pt.sum(d["by_cohort"] * pt.log(seen + 1e-12))
            pm.Potential("delays", split)
        pi = pt.clip(pi, FLOOR, 1.0 - FLOOR)
        p = pi * share
        noise = noise * (1.0 - pi) / (1.0 - p)
        pm.Potential("counts", pt.sum(d["weight"] * _log_beta_binomial(d["y"], trials, p, noise)))
    return model


def _effective_trials(
    d: Mapping[str, Tensor], f: Tensor, before: Tensor, periods: int, ages: int
) -> tuple[Tensor, Tensor]:
    """Trials and phi of `equations.thinned` as graphs; entries before the window: `before` x the early mean."""
    lag = np.arange(periods)[:, None] - np.arange(-ages + 1, periods)[None, :]
    inside = (lag >= 0) & (lag < ages)
    conv = pt.switch(inside, f[np.clip(lag, 0, ages - 1)], 0.0)
    entries = pt.concatenate([pt.repeat((before * d["early"])[None, :], ages - 1, axis=0), d["n"]], axis=0)
    expected = pt.dot(conv, entries) + FLOOR
    phi = pt.minimum((pt.dot(conv**2, entries) + FLOOR) / expected, 1.0)
    above = d["y"] + SOFT * pt.softplus((expected / phi - d["y"]) / SOFT)
    late = d["delayed"]
    return late * above + (1.0 - late) * d["n"], late * phi + (1.0 - late)


def _wider(sd: Tensor, variance: float) -> Tensor:
    """The sd of a normal prior, so much more variance in it."""
    return pt.sqrt(sd**2 + variance) if variance else sd


def traffic_model(  # noqa: PLR0915 - one model
    data: Mapping[str, Array], *, coords: Coords | None = None, term: Term | None = None
) -> pm.Model:
    """Units that enter the funnel (visitors; leads where the funnel starts there), by period and channel.

    V_tc ~ NegBinomial(nu_tc, 1 / noise_c^2),  noises and shocks e_t as of `transition_model`
    log nu_tc = a_c + log[b_c + (1 - b_c) (x~_tc / x0_c)^beta_c] + season + l_t + e_t + w_tc + log(days_t / mean days)

    x~ is spend with geometric carry-over (share alpha_c lasts into the next period, weights normalised to one).
    Channels with `responds` = 0 have no spend term. Where a unit of traffic has a known worth, the marginal returns at
    current spend are shrunk together (today's budget is itself evidence): log mROI_c ~ Normal(mu_m, sd_c), sd_c^2 =
    s^2 + var(log worth_c), s ~ LogNormal: how well tuned the budget is, learnt from how far average returns lie apart.

    A lift test measured the traffic of its m periods with spend x + dx less that with spend x, a period:
    lift ~ Normal(1/m sum_t nu_t(x + S_t dx) - nu_t(x), lift_sd), S_t the share of the carry-over's weights that
    periods since the test began have; a null or negative lift counts like any other. A test reaches away from the spend
    of the history, so nu is the mean of the two shapes that `equations.response` gives half of the draws each, which
    agree at current spend.

    Args:
        data: the arrays of `data.traffic_data`; dims period (T), channel (C), lag first where there are lags.
        coords: names of periods and channels. term: added to log nu; see the module.
    """
    periods, channels = data["y"].shape
    lags = data["spend_lags"].shape[0]
    with _model(data, coords, periods, channels) as model:
        d = _data(data)
        mu = pm.Normal("mu", d["level_prior"], LEVEL_SD)
        tau = pm.Gamma("tau", 2.0, TRAFFIC_TAU)
        own = (d["level_prior"], _wider(LEVEL_SD, TRAFFIC_SPREAD)) if channels == 1 else (mu, tau)
        level = pm.Normal("level", *own, dims="channel")
        z_beta = pm.Normal("z_elasticity", dims="channel")
        z_base = pm.Normal("z_base", dims="channel")
        z_carry = pm.Normal("z_carry", dims="channel")
        beta = pm.math.sigmoid(d["elasticity_prior"][0] + d["elasticity_prior"][1] * z_beta)
        base = pm.math.sigmoid(d["base_prior"][0] + d["base_prior"][1] * z_base)
        carry = d["carries"] * pm.math.sigmoid(d["carry_prior"][0] + d["carry_prior"][1] * z_carry)
        weights = (carry + 1e-12)[None, :] ** np.arange(lags)[:, None]
        weights = weights / weights.sum(axis=0)
        relative = pt.sum(weights[:, None, :] * d["spend_lags"], axis=0)
        response = pt.log(base + (1.0 - base) * pt.exp(beta * pt.log(relative + 1e-9)))
        season_sd = pm.Gamma("season_sd", 2.0, SEASON_SD)
        season = pm.Normal("season", 0.0, season_sd ** d["season_centred"], dims="season_wave")
        drift = pm.Gamma("drift", 2.0, d["drift_prior"][0])
        own_drift = pm.Gamma("own_drift", 2.0, d["drift_prior"][1])
        noise = pm.Gamma("noise", 2.0, d["noise_prior"]) * pt.exp(d["noise_apart"])
        shock = pm.Gamma("shock", 2.0, d["shock_prior"])
        season = season_sd ** (1.0 - d["season_centred"]) * season
        beside = pt.dot(d["season_waves"], season)
        walk = _walks(d, (drift, own_drift, shock), beside)
        shared = (pt.dot(d["season_basis"], season) + d["log_days"])[:, None] + _moved(d, data)
        shared = shared + _own(term, periods, channels)
        log_nu = level + d["responds"] * response + shared + walk
        size = 1.0 / (noise**2 + 1e-4)
        y, nu = d["y"], pt.exp(log_nu)
        log_lik = (
            pt.gammaln(y + size)
            - pt.gammaln(size)
            + size * pt.log(size / (size + nu))
            + y * (log_nu - pt.log(size + nu))
        )
        pm.Potential("counts", pt.sum(d["weight"] * log_lik))
        marginal = (
            d["log_worth"]
            + level
            + walk[-1]
            + pt.log(beta)
            + pt.log1p(-base)
            + beta * d["log_current"]
            - d["log_spend"]
        )
        middle = pm.Normal("marginal_return", 0.0, 1.0)
        spread = pm.LogNormal("return_spread", d["spread_prior"][0], d["spread_prior"][1])
        apart = pt.sqrt(spread**2 + d["worth_sd"] ** 2)
        miss = (marginal - middle) / apart
        pm.Potential("current_budget", -0.5 * pt.sum(d["tuned"] * (miss**2 + 2.0 * pt.log(apart))))
        if len(data["lift"]):  # else they are much to compile, for nothing
            expected = _lift(d, level + shared + walk, beta, base, weights)
            pm.Potential("lift_tests", -0.5 * pt.sum(((d["lift"] - expected) / d["lift_sd"]) ** 2))
    return model


def _lift(d: Mapping[str, Tensor], log_level: Tensor, beta: Tensor, base: Tensor, weights: Tensor) -> Tensor:
    """What each lift test should have measured, (test,). `log_level`: of traffic at reference spend, as (T, C)."""
    c, age = d["lift_channel"].astype("int64"), d["lift_age"].astype("int64")
    until = pt.concatenate([pt.zeros((1, weights.shape[1])), pt.cumsum(weights, axis=0)])
    before, change = (d["lift_spend"][:, i][:, None] for i in (0, 1))
    before = before + 1e-9
    acting = pt.maximum(before + change * until[age, c[:, None]], 1e-9)
    beta, base = beta[c][:, None], base[c][:, None]
    power = pt.exp(beta * pt.log(acting)) - pt.exp(beta * pt.log(before))
    now = pt.exp(d["log_current"])[c][:, None]
    saturating = now**beta * (
        acting / ((1.0 - beta) * acting + beta * now) - before / ((1.0 - beta) * before + beta * now)
    )
    gain = (1.0 - base) * 0.5 * (power + saturating)
    return pt.sum(d["lift_share"] * pt.exp(log_level.T[c]) * gain, axis=1)


def value_model(
    data: Mapping[str, Array], *, coords: Coords | None = None, term: Term | None = None
) -> pm.Model:
    """Deal value: the revenue R of W deals is Gamma(W a, a / m_tc), a = 1 / cv^2, because Gamma is closed under sums.

    log m_tc = b_c + season + g_t;  b_c ~ Normal(mu, tau), mu alone for a single channel;  g a random walk that all
    channels share, sd `drift`, in the waves of `equations`. Sampled is what data and prior together leave open: with
    y_c and h_c the log mean of what was seen and about its precision (`known_level`, `known_precision`),

        b_c = mu + tau^2 h_c / (1 + tau^2 h_c) (y_c - mu) + tau / sqrt(1 + tau^2 h_c) level_raw_c,

    near N(0, 1) for every tau, small or large. The likelihood needs only sums: over cells i of channel c in period t,
    a log(a / m_tc) sum W_i - sum lgamma(a W_i) + a sum W_i log R_i - (a / m_tc) sum R_i.

    Args:
        data: the arrays of `fit.data.value_data`; dims period (T), channel (C); `sizes` are the distinct W with their
            number of cells.
        coords: names of periods and channels. term: added to log m; see the module.
    """
    periods, channels = data["deals"].shape
    with _model(data, coords, periods, channels) as model:
        d = _data(data)
        alone = channels == 1
        mu = pm.Normal("mu", d["level_prior"][0], _wider(d["level_prior"][1], alone * VALUE_SPREAD))
        tau = pm.HalfNormal("tau", VALUE_TAU)
        h, off = d["known_precision"], d["known_level"] - mu
        root = pt.sqrt(1.0 + tau**2 * h)
        raw = pm.Normal("level_raw", -tau * h * off / root, root, dims="channel")
        cv = pm.LogNormal("cv", DEAL_CV, DEAL_CV_SD)
        drift = pm.Gamma("drift", 2.0, d["drift_prior"])
        season_sd = pm.Gamma("season_sd", 2.0, SEASON_SD)
        waves = pm.Normal("waves", dims="wave")
        season = pm.Normal("season", dims="season_wave")
        a = 1.0 / cv**2
        level = mu + (0.0 if alone else tau) * (tau * h * off / root**2 + raw / root)
        shared = season_sd * pt.dot(d["season_basis"], season) + drift * pt.dot(waves, d["basis"])
        log_m = shared[:, None] + level + _moved(d, data) + _own(term, periods, channels)
        log_lik = (
            a * pt.sum(d["deals"] * (pt.log(a) - log_m))
            - pt.sum(d["size_cells"] * pt.gammaln(a * d["sizes"]))
            + a * pt.sum(d["deals_log_revenue"])
            - a * pt.sum(d["revenue"] * pt.exp(-log_m))
        )
        pm.Potential("deal_values", log_lik)
    return model


def mix_model(data: Mapping[str, Array], *, coords: Coords | None = None) -> pm.Model:
    """Sales that no channel is credited with, beside spend by channel: the model of `fit.mix`, all effects N(0, 1).

    Args:
        data: the arrays of `mix.mix_data`. coords: names of periods, and of the channels that spend.
    """
    lags, periods, media = data["spend_lags"].shape
    with _model(data, coords, periods, media) as model:
        d = _data(data)
        season_sd = pm.Gamma("season_sd", 2.0, SEASON_SD)
        drift = pm.Gamma("drift", 2.0, d["drift_prior"][0])
        noise = pm.Gamma("noise", 2.0, d["noise_prior"])
        level, waves = pm.Normal("level", shape=1), pm.Normal("waves", dims="wave")
        z_beta, z_carry, z_share = (pm.Normal(name, dims="channel") for name in NAMES)
        z_media = pm.Normal("z_media", shape=1)
        season = pm.Normal("season", dims="season_wave")
        beta = pm.math.sigmoid(d["elasticity_prior"][0] + d["elasticity_prior"][1] * z_beta)
        carry = d["carries"] * pm.math.sigmoid(d["carry_prior"][0] + d["carry_prior"][1] * z_carry)
        weights = (carry + 1e-12)[None, :] ** np.arange(lags)[:, None]
        relative = pt.sum((weights / weights.sum(axis=0))[:, None, :] * d["spend_lags"], axis=0)
        odds = pt.exp(d["share_prior"] + MEDIA_SD * z_media + SHARE_SD * z_share)
        brings = pt.sum(odds * pt.exp(beta * pt.log(relative + 1e-9)), axis=1)
        log_nu = d["level_prior"] + LEVEL * level + d["log_days"] + drift * pt.dot(waves, d["basis"])
        log_nu = log_nu + season_sd * pt.dot(d["season_basis"], season)
        log_nu = log_nu + pt.log1p(brings) - pt.log1p(odds.sum())
        size, y = 1.0 / (noise**2 + 1e-4), d["y"][:, 0]
        log_lik = pt.gammaln(y + size) - pt.gammaln(size) + size * pt.log(size) + y * log_nu
        log_lik = log_lik - (y + size) * pt.log(size + pt.exp(log_nu))
        pm.Potential("sales", pt.sum(d["weight"][:, 0] * log_lik))
    return model


def model_of(part: Part, term: Term | None = None) -> pm.Model:
    """The PyMC model of a part, with a term of one's own; see the module.

    Raises UsageError for a term of a part that has no place for it.
    """
    if term is not None and (part.kind == "mix" or part.name.startswith("lost ")):
        raise UsageError(
            f"{part.name}: takes no term; traffic, rates and deal value of attributed channels do"
        )
    own: dict[str, Any] = {"coords": part.coords, "term": term}
    if part.kind == "traffic":
        return traffic_model(part.data, **own)
    if part.kind == "value":
        return value_model(part.data, **own)
    if part.kind == "mix":
        return mix_model(part.data, coords=part.coords)
    return transition_model(part.data, calendar=part.kind == "calendar", **own)
