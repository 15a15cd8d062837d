"""What somebody writes who has the package installed, checked by `mypy --strict` in tests/test_surface.py; never run.

`assert_type` fails where a name has another type than this, `Any` above all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

import forecast
from forecast import (
    DataError,
    Decision,
    Efficiency,
    FitError,
    Fixed,
    ForecastError,
    GateError,
    History,
    Hold,
    Posterior,
    Study,
    StudyError,
    Target,
    UsageError,
)
from forecast.budget import Firmness, decide, firmness, recommended_plan
from forecast.checks import Check, Verdict
from forecast.equations import delay_pmf, due
from forecast.fit import fit_hash
from forecast.outlook import case_of, simulate
from forecast.tables import Table
from forecast.words import Text

Array = NDArray[np.float64]


def read(path: Path) -> tuple[Study, History]:
    """Study and history; each kind of error has what its description says."""
    try:
        study = forecast.load_study(path, ["plan.periods=3"])
        history = forecast.read_history(study)
    except (StudyError, DataError) as error:
        assert_type(error.problems, list[Text])
        raise
    except UsageError as error:
        raise SystemExit(f"{error.argument}: {error}") from error
    except (FitError, GateError, ForecastError) as error:
        raise SystemExit(error.exit_code) from error
    assert_type(study.plan.periods, int)
    assert_type(study.funnel.stages, tuple[str, ...])
    assert_type(history.labels, list[str])
    assert_type(history.counts, xr.Dataset)
    assert_type(history.as_of("2026-06"), History)
    assert_type(forecast.audit_history(history, study), list[Check])
    assert_type(forecast.read_plan(study, history), xr.DataArray)
    return study, history


def fitted(study: Study, history: History, path: Path) -> Posterior:
    """A posterior, saved and loaded."""
    posterior = forecast.fit_posterior(study, history, seed=1, draws=4000)
    forecast.save_posterior(posterior, path)
    assert_type(forecast.load_posterior(path), Posterior)
    assert_type(forecast.preview(study, history, seed=1, draws=500), Posterior)
    assert_type(posterior.data, xr.Dataset)
    assert_type(posterior.tree, xr.DataTree)
    assert_type(fit_hash(study, history, 1, 4000), str)
    return posterior


def told(made: forecast.Forecast, folder: Path) -> pd.DataFrame:
    """What a forecast is asked for."""
    assert_type(made.verdict, Verdict)
    assert_type(made.verdict.status, str)
    assert_type(made.verdict.sentence, Text)
    assert_type(made.run_id, str)
    assert_type(made.forecast, pd.DataFrame)
    assert_type(made.table("economics"), Table)
    assert_type(made.table("forecast").data.frame, pd.DataFrame)
    assert_type(made.draws, xr.Dataset)
    assert_type(made.plans, dict[str, Array])
    assert_type(made.case, forecast.Case)
    assert_type(made.decision, Firmness | None)
    assert_type(made.write(folder, outputs=("pdf", "csv"), csv_locale="fi"), Path)
    more = 1.1 * made.case.plan
    return assert_type(forecast.compare({"as planned": made.case.plan, "more": more}, made), pd.DataFrame)


def divided(made: forecast.Forecast) -> Array:
    """The budget, asked in each way."""
    decision = assert_type(made.allocate(Fixed(120_000)), Decision)
    for budget in (Efficiency(cac=300), Target(chance=0.8), Hold()):
        assert_type(made.allocate(budget), Decision)
    assert_type(decide(made.case, Fixed(), seed=0), Decision)
    assert_type(firmness(decision, made.case.paid_names, made.study.currency), Firmness)
    assert_type(decision.allocation.recommended, Array)
    return assert_type(recommended_plan(decision), Array)


def deeper(study: Study, history: History, posterior: Posterior, plan: Array) -> xr.Dataset:
    """Under the forecast: the question, simulated; the past; the equations."""
    records, summary = forecast.run_backtest(study, history, origins=2, horizon=3, every=3, preview=True)
    assert_type(records, list[dict[str, Any]])
    assert_type(summary, dict[str, Any])
    assert_type(delay_pmf(2, 0.8, 240), Array)
    assert_type(due(delay_pmf(2, 0.8, 240), 3)[1], Array)
    assert_type(forecast.funnel_value(1000, 0.03, 0.4, 0.25, 5000), float)
    assert_type(forecast.funnel_value(1000, np.array([0.03, 0.04]), 0.4, 0.25, 5000), Array)
    hand = forecast.Funnel(visitors=1000, conversion=0.03, qualification=0.4, close=0.25, value=5000)
    assert_type(hand.worth(), dict[str, float])
    rng = np.random.default_rng(1)
    case = assert_type(case_of(study, history, posterior, plan, rng), forecast.Case)
    return assert_type(simulate(case, {"given": plan}, rng=rng), xr.Dataset)


def look(made: forecast.Forecast, folder: Path) -> None:
    """Figures: on one of their own, and on axes that are given."""
    ax = forecast.plot.fan(made, measure="won", channel="ppc")
    assert_type(ax, Axes)
    assert_type(forecast.plot.response(made, channel=["ppc", "seo"]), Axes)
    assert_type(forecast.plot.backtest(made, ax=ax), Axes)
    if (figure := ax.get_figure(root=True)) is not None:  # as matplotlib types it
        figure.savefig(folder / "fan.png")
