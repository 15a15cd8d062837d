"""Sales that no channel is credited with, beside spend by channel: an ordinary media mix.

    S_t ~ NegBinomial(nu_t, 1 / noise^2),   log nu_t = a + season_t + walk_t + log(days_t / mean days) + log R_t
    R_t = (1 + sum_c e^(w_c) z_c(t)^beta_c) / (1 + sum_c e^(w_c))

z_c: spend of the channel that acts in t, carry-over included, over its reference x0, as in the model of traffic, and so
are the priors of beta_c and of carry-over by kind. R is 1 at reference spend; of the sales there the share

    s_c = e^(w_c) / (1 + sum e^w)

comes of channel c and the rest of none. w_c = m_c + MEDIA_SD v + SHARE_SD v_c: what all channels bring together is
open (MEDIA_SHARE of the sales, give or take), how it divides follows the money: returns alike, to a factor. Spend of
channels mostly moves together, so the data say little of single shares, and this prior is what keeps a budget still.
One walk, one season and one noise for all: with channels c = base too, s_c exp(log nu) z_c^beta_c is what the
forecast carries on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from forecast.equations import (
    acting_spend,
    carry_periods,
    lagged,
    power_law,
    steepness,
    trend_waves,
    with_past,
)
from forecast.fit.data import channel_priors, season_table
from forecast.fit.scales import (
    DRIFT_A_MONTH,
    LEVEL_SD,
    MEDIA_SD,
    MEDIA_SHARE,
    SHARE_SD,
    TRAFFIC_NOISE,
    TRAFFIC_SPREAD,
)
from forecast.history import History
from forecast.periods import log_days, periods_per_year, season_of
from forecast.study import Study

Array = NDArray[np.float64]
LEAST_MONEY = (
    1e-3  # share of the spend that a channel is held to have had, so that it is not left without sales
)
NAMES = ("z_elasticity", "z_carry", "z_share")
LEVEL = math.sqrt(LEVEL_SD**2 + TRAFFIC_SPREAD)


def mix_data(study: Study, history: History) -> dict[str, Array]:
    """Data of the part: sales (period, 1) of all channels, spend and priors by medium (every channel but the base)."""
    media = np.flatnonzero(history.media)
    sales = history.total(history.counted[0])
    known = np.isfinite(sales)
    y = np.nan_to_num(sales)[:, None]
    spend, reference = history.spend[:, media], history.spend_reference[media]
    lags = carry_periods(history.period)
    priors = channel_priors(study, history)
    base = expit(priors["base_prior"][0][media])
    money = np.maximum(spend.sum(axis=0) / max(spend.sum(), 1e-300), LEAST_MONEY) * (1.0 - base)
    waves = trend_waves(len(y), steepness(history.period))
    drift = math.hypot(*DRIFT_A_MONTH) * math.sqrt(12.0 / periods_per_year(history.period))
    return {
        "y": y,
        "weight": known[:, None].astype(float),
        "level_prior": np.array(math.log(max(y[known].mean() if known.any() else 1.0, 0.1))),
        "season_basis": season_table(study, history)[season_of(history.periods, history.period)],
        "log_days": log_days(history.periods, history.period),
        "basis": waves,
        "drift_prior": np.array([2.0 / drift]),
        "noise_prior": np.array(2.0 / TRAFFIC_NOISE),
        "spend_lags": lagged(with_past(spend / reference, lags), lags),
        "elasticity_prior": priors["elasticity_prior"][:, media],
        "carry_prior": priors["carry_prior"][:, media],
        "carries": priors["carries"][media],
        "share_prior": np.log(money / money.sum() * MEDIA_SHARE / (1.0 - MEDIA_SHARE)),
    }


def responses(data: Mapping[str, Array], z: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """Elasticity, carry-over and w (..., medium) of their scores; z_media (..., 1) is of all of them."""
    beta = expit(data["elasticity_prior"][0] + data["elasticity_prior"][1] * z["z_elasticity"])
    carry = data["carries"] * expit(data["carry_prior"][0] + data["carry_prior"][1] * z["z_carry"])
    return beta, carry, data["share_prior"] + MEDIA_SD * z["z_media"] + SHARE_SD * z["z_share"]


def shares(w: Array) -> Array:
    """Share of the sales at reference spend by medium, and of none as last column: (..., medium + 1)."""
    e = np.exp(np.concatenate([w, np.zeros_like(w[..., :1])], axis=-1))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def log_response(data: Mapping[str, Array], z: Mapping[str, Array]) -> Array:
    """log R, (..., period)."""
    beta, carry, w = responses(data, z)
    shape = power_law(acting_spend(carry, data["spend_lags"]), beta[..., None, :])
    part = shares(w)
    return np.asarray(np.log((part[..., None, :-1] * shape).sum(axis=-1) + part[..., None, -1]))


def mix_sizes(data: Mapping[str, Array]) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the parameters, in the order of the point."""
    media = data["share_prior"].shape
    return [
        ("season_sd", ()),
        ("drift", ()),
        ("noise", ()),
        ("level", (1,)),
        ("waves", (len(data["basis"]),)),
        *((name, media) for name in NAMES),
        ("z_media", (1,)),
        ("season", (data["season_basis"].shape[1],)),
    ]


def paths(data: Mapping[str, Array], draws: Mapping[str, Array]) -> tuple[Array, Array]:
    """Level with its walk, season aside, and walk alone: (..., period) each, of draws by name."""
    walk = (draws["drift"][..., None] * draws["waves"]) @ data["basis"]
    return np.asarray(data["level_prior"] + LEVEL * draws["level"] + walk), np.asarray(walk)
