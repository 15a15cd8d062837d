"""Stages whose leads are dated one by one: their hazards' data, and what tables tell of their rates and delays.

The forecast moves units by the hazards. What a rate, a delay and a share of losses mean beside them follows from the
same draws: the chance to move at all of a unit that enters now, and when it does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from forecast.fit import data as inputs
from forecast.fit.exposure import Exposure, exposures
from forecast.fit.hazards import Fitted
from forecast.fit.law import Law
from forecast.history import History
from forecast.periods import DAYS_PER_PERIOD, Periods, periods_per_year
from forecast.study import Study

Array = NDArray[np.float64]

SHARE_LOST = 1.0, 1.5  # logit share of the units that are lost with a date: mean and sd
MEDIAN_DAYS, SIGMA = (
    (math.log(30.0), 1.2),
    (0.0, 0.5),
)  # logs: of the delay where nothing is stated, of its spread
STATED = 0.5, 0.7  # log mean over median of a delay whose mean the study states, and the sd of its log
LEAST_DAYS = 0.5
CHUNK = 400  # draws at a time
NEVER = 1e-6


def hazard_data(study: Study, history: History, stage: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Data of moves into a stage and, where any is dated, of losses before it; see `hazards.Hazards`."""
    courses = history.by_day[stage]
    cells = exposures(courses, history.periods, history.end, len(history.channels))
    rate, seasonal = inputs.rate_prior_of(study, stage), study.priors.season != "none"
    stated = study.funnel.delay.get(stage)
    middle = MEDIAN_DAYS if stated is None else (math.log(max(stated, LEAST_DAYS)) - STATED[0], STATED[1])
    told = _data(history, cells, cells.moves, (rate.mean, rate.sd), middle, seasonal)
    return told, _data(history, cells, cells.losses, SHARE_LOST, MEDIAN_DAYS, seasonal) if cells.losses[
        1
    ].any() else None


def _data(
    history: History,
    cells: Exposure,
    events: tuple[Array, Array],
    share: tuple[float, float],
    middle: tuple[float, float],
    seasonal: bool,
) -> dict[str, Any]:
    return {
        "exposure": events[0],
        "y": events[1],
        "edges": cells.edges,
        "theta_prior": np.array([share, middle, SIGMA]).T,
        "months": np.array(12.0 / periods_per_year(history.period)),
        "month_of_year": months_of(history.periods),
        "seasonal": seasonal,
        "begins": cells.begins,
    }


def told_by(
    moves: Fitted, losses: Fitted | None, edges: NDArray[np.int64], units: Array, period: str
) -> Mapping[str, Array]:
    """Rates, delays and scales by the names that a posterior has them under, of the hazards of one stage.

    logit_rate: chance to move at all of a unit that enters in a period, at the walk's level of then, logit_now: that of
    the last one; noise (draw, channel): of hazards, that of the period which is common to the channels included, so
    that `shock` is none; loss_logit: of those that do not move, the share that is lost with a date; delays in periods,
    of the channels together by their `units` (channel,).
    """
    draws, _, channels = moves.log_hazard.shape
    ever, lost = np.zeros((draws, channels)), np.zeros((draws, channels))
    found = {name: np.zeros(draws) for name in ("delay_mean", "delay_cv", "loss_delay_mean", "loss_delay_cv")}
    weights = units / max(units.sum(), 1.0) if units.any() else np.full(channels, 1.0 / channels)
    middles = 0.5 * (edges[:-1] + edges[1:]) / DAYS_PER_PERIOD[period]
    for first in range(0, draws, CHUNK):
        rows = slice(first, first + CHUNK)
        law = Law.of(moves.log_hazard[rows], None if losses is None else losses.log_hazard[rows], edges)
        ever[rows] = law.moved[:, -1]
        left = np.exp(-law.gone)
        moved = np.diff(law.moved, axis=1)
        gone = left[:, :-1] - left[:, 1:] - moved
        lost[rows] = gone.sum(axis=1)
        for kind, mass in (("", moved), ("loss_", gone)):
            found[f"{kind}delay_mean"][rows], found[f"{kind}delay_cv"][rows] = _moments(
                mass @ weights, middles
            )
    log_stay = np.log1p(-np.clip(ever, NEVER, 1.0 - NEVER))[:, None] * np.exp(moves.path)[:, :, None]
    rates = np.clip(-np.expm1(log_stay), NEVER, 1.0 - NEVER)
    told = {
        "logit_rate": logit(rates),
        "logit_now": logit(rates[:, -1]),
        "drift": moves.walk,
        "own_drift": np.zeros(draws),
        "shock": np.zeros(draws),
        "noise": np.repeat(np.sqrt(moves.shock**2 + moves.own_shock**2)[:, None], channels, axis=1),
        "delay_mean": found["delay_mean"],
        "delay_cv": found["delay_cv"],
    }
    if losses is None:
        return told
    share = np.clip(lost / np.maximum(1.0 - ever, NEVER), NEVER, 1.0 - NEVER)
    told["loss_logit"] = np.broadcast_to(logit(share)[:, None], rates.shape)
    return told | {name: values for name, values in found.items() if name.startswith("loss_")}


def months_of(starts: Periods) -> NDArray[np.int64]:
    """Month of the year in which each period begins, January is 0."""
    return np.asarray(starts.astype("datetime64[M]").astype(np.int64) % 12)


def _moments(mass: NDArray[Any], at: NDArray[Any]) -> tuple[Array, Array]:
    """Mean and coefficient of variation of masses (draw, bin)."""
    mass = mass + 1e-12
    whole = mass.sum(axis=1)
    mean = mass @ at / whole
    variance = np.maximum(mass @ at**2 / whole - mean**2, 0.0)
    return np.maximum(mean, 1e-3), np.maximum(np.sqrt(variance) / np.maximum(mean, 1e-3), 1e-2)


def kept_by(fitted: Fitted, kind: str) -> dict[str, Array]:
    """What the forecast needs of the hazards, by the names that a posterior has them under; `kind`: "" or "loss_"."""
    return {
        f"{kind}hazard": fitted.log_hazard,
        f"{kind}hazard_path": fitted.path,
        f"{kind}hazard_season": fitted.season,
        f"{kind}hazard_walk": fitted.walk,
        f"{kind}hazard_shock": fitted.shock,
        f"{kind}hazard_own_shock": fitted.own_shock,
    }
