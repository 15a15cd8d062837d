"""The arrays of the traffic model: counts, spend, season, priors, today's budget as evidence, and lift tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.equations import onto_waves
from forecast.fit.data import (
    TRAFFIC_NOISE,
    TYPICAL_NOISE,
    carry_periods,
    channel_priors,
    drift_prior,
    lagged,
    log_days,
    season_table,
    walk_geometry,
)
from forecast.history import History
from forecast.periods import periods_per_year, season_of
from forecast.study import Study

Array = NDArray[np.float64]

RETURN_SPREAD = 1.0  # log sd of what is believed of the spread of marginal returns
TRANSPORT = 0.1  # sd, as a share of the lift, with which a test speaks for the company's everyday


def _season_centred(history: History) -> Array:
    """How far to centre the season: less than a year tells little of it, and the prior rules; geometry, not model."""
    return np.array(0.8 * min(1.0, len(history.periods) / periods_per_year(history.period)))


def _geometry(history: History, precision: Array) -> dict[str, Array]:
    """Coordinates of the walks. A single channel's one walk is all that its counts follow: centred throughout."""
    made = walk_geometry(history, precision, np.ones(1))
    if len(history.channels) == 1:
        made["walk_centred"] = np.ones_like(made["walk_centred"])
    return made


def traffic_data(
    study: Study, history: History, log_worth: Array | None, worth_sd: Array | None
) -> dict[str, Any]:
    """Data of the traffic model; `log_worth`: mean log margin that a unit of traffic brings, by channel, and its sd."""
    entries, spend = history.entries, history.spend
    y = np.nan_to_num(entries)
    responds = history.paid
    weight = np.isfinite(entries) & ~((y == 0) & (spend == 0) & responds)
    reference, current = history.spend_reference, history.current_spend
    tuned = responds & (current > 0)
    unknown = np.zeros(len(history.channels))
    if log_worth is None or worth_sd is None:
        tuned, log_worth, worth_sd = np.zeros_like(tuned), unknown, unknown
    basis = season_table(history)[season_of(history.periods, history.period)]
    filled = np.where(current > 0, current, 1.0)
    precision = weight / (TYPICAL_NOISE**2 + 1.0 / np.maximum(y, 1.0))
    return {
        "y": y,
        "weight": weight.astype(float),
        "level_prior": np.array(math.log(max(y[weight].mean() if weight.any() else 1.0, 0.1))),
        "responds": responds.astype(float),
        "spend_lags": lagged(spend / reference, carry_periods(history.period)),
        **channel_priors(study, history),
        "season_basis": basis,
        "log_days": log_days(history.periods, history.period),
        "drift_prior": drift_prior(history),
        **_geometry(history, precision),
        "noise_prior": np.array(2.0 / TRAFFIC_NOISE),
        "season_centred": _season_centred(history),
        "season_waves": onto_waves(basis),
        "spread_prior": np.array([math.log(study.priors.marginal_return_sd), RETURN_SPREAD]),
        "log_worth": log_worth,
        "log_current": np.log(filled / reference),
        "log_spend": np.log(filled),
        "worth_sd": worth_sd,
        "tuned": tuned.astype(float),
        **lift_data(study, history),
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
