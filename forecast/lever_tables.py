"""What every run tells of its levers: sensitivity, the split of the variance, scenarios and goals where asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forecast.goals import check_goals, goal_tables
from forecast.history import History
from forecast.periods import period_range, shift
from forecast.posterior import Posterior
from forecast.scenarios import base_of, check_scenarios, compare
from forecast.simulate import Future
from forecast.study import Study
from forecast.tornado import bottleneck, sensitivity, variance_parts

Array = NDArray[np.float64]


def check_levers(study: Study, history: History, periods: int) -> None:
    """Scenarios and goals against the history, before a fit. Raises StudyError."""
    first, last = (shift(history.last, n, history.period) for n in (1, periods))
    horizon = period_range(first, last, history.period)
    check_scenarios(study, history, horizon)
    check_goals(study, history, horizon)


def lever_tables(
    study: Study,
    history: History,
    posterior: Posterior,
    future: Future,
    plan: Array,
    outlook: xr.Dataset,
    *,
    seed: int,
) -> dict[str, Any]:
    """Tables sensitivity, variance, bottleneck (a row), and scenarios, goals, ways where the study has them.

    `outlook`: of the given plan, named "given", with its replicates.
    """
    base = base_of(posterior, history, study, future, plan)
    found = sensitivity(base)
    told: dict[str, Any] = {
        "sensitivity": found,
        "bottleneck": bottleneck(found),
        "variance": variance_parts(base, outlook, "given", seed=seed),
    }
    if study.scenarios:
        told["scenarios"] = compare(base, seed=seed).table
        told["scenario_notes"] = {scenario.name: scenario.note for scenario in study.scenarios}
    if study.goals:
        told |= goal_tables(base, outlook, "given", seed=seed)
    return told
