"""Paths of rates and of traffic of a part's draws, by their sampled coordinates (see `equations.walks`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from forecast.equations import acting_spend, response, walks
from forecast.fit.data import response_of, value_levels

Array = NDArray[np.float64]
Draws = Mapping[str, Array]


def move_sizes(draws: Draws, data: Draws) -> Array:
    """Sizes of events and past changes, (..., move), of a part that has some: logs, or logits of a rate."""
    mean, sd = data["event_prior"]
    free = sd > 0
    sizes = np.broadcast_to(mean, (*draws["mu"].shape, len(mean))).copy()
    if free.any():
        sizes[..., free] += sd[free] * draws["z_event"][..., : free.sum()]
    return sizes


def event_path(draws: Draws, data: Draws) -> Array | float:
    """What events, past changes and a term of one's own move a log or logit by, (..., period, channel); 0 for none."""
    term = draws.get("term", 0.0)
    if "event_offset" not in data:
        return term
    if not len(data["event_sds"]):
        return np.asarray(data["event_offset"] + term)
    own = (data["event_sds"] * draws["z_event"]) @ _outer(data)
    return np.asarray(data["event_offset"] + own.reshape(*own.shape[:-1], *data["event_offset"].shape) + term)


def _outer(data: Draws) -> Array:
    """Columns of free sizes over all cells, (free, period x channel)."""
    columns, channels = data["event_columns"], data["event_channels"]
    return (columns[:, :, None] * channels[:, None]).reshape(len(columns), -1)


def logit_rates(draws: Draws, data: Draws) -> Array:
    """Logit rate of a transition, (..., period, channel)."""
    common, own = walks(draws, data)
    return np.asarray(level_of(draws, data)[..., None, :] + common[..., None] + own + event_path(draws, data))


def level_of(draws: Draws, data: Draws) -> Array:
    """Mean logit rate of each channel over the history, its walks and events aside, (..., channel)."""
    mu, tau, w = draws["mu"][..., None], draws["tau"][..., None], data["centred"]
    return np.asarray(mu + tau ** (1.0 - w) * (draws["level_raw"] - w * mu) if len(w) > 1 else mu)


def noise_by_channel(draws: Draws) -> Array:
    """Noise of the cells of each channel, (..., channel)."""
    return np.asarray(np.asarray(draws["noise"])[..., None] * np.exp(draws["noise_apart"]))


def value_walk(draws: Draws, data: Draws) -> Array:
    """The walk of log deal value, (..., period)."""
    return np.asarray(draws["drift"][..., None] * draws["waves"] @ data["basis"])


def value_path(draws: Draws, data: Draws) -> Array:
    """log mean of a deal, (..., period, channel)."""
    season = (draws["season_sd"][..., None] * draws["season"]) @ data["season_basis"].T
    shared = (season + value_walk(draws, data))[..., None] + event_path(draws, data)
    return np.asarray(value_levels(data, draws)[..., None, :] + shared)


def season_weights(draws: Draws, data: Draws) -> Array:
    """Weights of the season's basis, (..., column)."""
    return np.asarray(draws["season_sd"][..., None] ** (1.0 - data["season_centred"]) * draws["season"])


def reference_path(draws: Draws, data: Draws) -> Array:
    """log nu of `model.traffic_model` at reference spend, (..., period, channel)."""
    common, own = walks(draws, data)
    shared = season_weights(draws, data) @ data["season_basis"].T + common + data["log_days"]
    return np.asarray(draws["level"][..., None, :] + shared[..., None] + own + event_path(draws, data))


def traffic_path(draws: Draws, data: Draws) -> Array:
    """log nu of `model.traffic_model` over the history, (draw, period, channel)."""
    beta, base, carry = response_of(data, draws)
    acting = acting_spend(carry, data["spend_lags"])
    log_response = np.log(response(acting, beta[:, None], base[:, None]))
    return reference_path(draws, data) + data["responds"] * log_response
