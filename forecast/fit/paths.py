"""Paths of rates and of traffic of a part's draws, by their sampled coordinates (see `equations.walks`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from forecast.equations import acting_spend, response, walks
from forecast.fit.data import response_of, value_levels

Array = NDArray[np.float64]
Draws = Mapping[str, Array]


def logit_rates(draws: Draws, data: Draws) -> Array:
    """Logit rate of a transition, (..., period, channel)."""
    mu, tau, w = draws["mu"][..., None], draws["tau"][..., None], data["centred"]
    level = mu + tau ** (1.0 - w) * (draws["level_raw"] - w * mu) if len(w) > 1 else mu
    common, own = walks(draws, data)
    return np.asarray(level[..., None, :] + common[..., None] + own)


def noise_by_channel(draws: Draws) -> Array:
    """Noise of the cells of each channel, (..., channel)."""
    return np.asarray(np.asarray(draws["noise"])[..., None] * np.exp(draws["noise_apart"]))


def value_walk(draws: Draws, data: Draws) -> Array:
    """The walk of log deal value, (..., period)."""
    return np.asarray(draws["drift"][..., None] * draws["waves"] @ data["basis"])


def value_path(draws: Draws, data: Draws) -> Array:
    """log mean of a deal, (..., period, channel)."""
    season = (draws["season_sd"][..., None] * draws["season"]) @ data["season_basis"].T
    return np.asarray(value_levels(data, draws)[..., None, :] + (season + value_walk(draws, data))[..., None])


def season_weights(draws: Draws, data: Draws) -> Array:
    """Weights of the season's basis, (..., column)."""
    return np.asarray(draws["season_sd"][..., None] ** (1.0 - data["season_centred"]) * draws["season"])


def reference_path(draws: Draws, data: Draws) -> Array:
    """log nu of `model.traffic_model` at reference spend, (..., period, channel)."""
    common, own = walks(draws, data)
    shared = season_weights(draws, data) @ data["season_basis"].T + common + data["log_days"]
    return np.asarray(draws["level"][..., None, :] + shared[..., None] + own)


def traffic_path(draws: Draws, data: Draws) -> Array:
    """log nu of `model.traffic_model` over the history, (draw, period, channel)."""
    beta, base, carry = response_of(data, draws)
    acting = acting_spend(carry, data["spend_lags"])
    log_response = np.log(response(acting, beta[:, None], base[:, None]))
    return reference_path(draws, data) + data["responds"] * log_response
