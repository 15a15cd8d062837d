"""What is still to come, as known now: the rest of a quarter that runs, of the year, up to a goal; and how sure it is.

    Ahead       futures of the periods after the history, by draw, from the posterior of now
    total       what came so far and each future of the rest, added draw by draw: mean, quantiles, P(amount)
    revision    how far the forecast of later periods is likely to move by the end of earlier ones

The forecast of later periods N will be E[N | what comes in the first r periods]. Its variance around today's forecast
is that of a regression of N on what the futures show in the first r periods (every stage and revenue, by channel): what
these tell of rates, traffic and values, and what they put into the funnel (Strong, Oakley & Brennan 2014, the same way
from draws to an expectation). Of n draws and k columns the explained share is taken as adjusted,
1 - (1 - R^2) (n - 1) / (n - k - 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forecast.backtest.scores import QUANTILES
from forecast.errors import DataError, StudyError
from forecast.fit import Posterior
from forecast.history import History, read_plan
from forecast.outlook import Case, case_of, simulate, with_recycling
from forecast.study import Study

Array = NDArray[np.float64]

REPLICATES = 4  # of chance, for each draw of a posterior of a thousand
MOST_COLUMNS = 100  # of a regression


@dataclass(frozen=True, eq=False)
class Ahead:
    """Futures of the periods after a history.

    spend: where the planned spend comes from, "plan" (the study's), or "current" where that reaches not so far.
    """

    case: Case
    draws: xr.Dataset
    spend: str

    @cached_property
    def labels(self) -> list[str]:
        """The periods, as people write them."""
        return self.case.labels

    def of(self, measure: str) -> Array:
        """A measure over all channels, (draw, period)."""
        return np.asarray(self.draws[measure].values, dtype=float).sum(axis=2)

    def total(self, measure: str, periods: slice, so_far: float = 0.0) -> Array:
        """What came so far and the sum of some periods, (draw,)."""
        return so_far + self.of(measure)[:, periods].sum(axis=1)


def look_ahead(
    study: Study, history: History, posterior: Posterior, kept: Array, periods: int, *, seed: int
) -> Ahead:
    """Futures of so many periods; `kept` (period, channel): spend of the first ones, as a plan that is followed has it.

    Beyond it the study's own plan holds, or the spend of now where that does not reach so far.
    """
    plan, spend = _planned(study, history, periods)
    plan[: len(kept)] = kept
    paths, chance = np.random.SeedSequence([seed, 1]).spawn(2)
    case, _ = with_recycling(
        case_of(study, history, posterior, plan, np.random.default_rng(paths)), seed=seed
    )
    made = simulate(case, {"now": plan}, rng=np.random.default_rng(chance), replicates=REPLICATES)
    return Ahead(case, made.sel(plan="now"), spend)


def _planned(study: Study, history: History, periods: int) -> tuple[Array, str]:
    plan = study.plan.model_copy(update={"periods": periods})
    try:
        read = read_plan(study.model_copy(update={"plan": plan}), history)
        return np.array(read.values, dtype=float), "plan"
    except (StudyError, DataError):  # a plan of fewer periods, or of a quarter that is over
        return np.tile(history.current_spend, (periods, 1)), "current"


def band(draws: Array) -> dict[str, float]:
    """Mean and quantiles of draws, by name."""
    found = np.quantile(draws, list(QUANTILES.values()))
    return {"mean": float(draws.mean())} | {k: float(q) for k, q in zip(QUANTILES, found, strict=True)}


def revision(made: Ahead, first: int, later: slice, measure: str) -> dict[str, float]:
    """How far the forecast of the `later` periods is likely to move once the `first` ones have come.

    mean: that forecast today; sd, q10, q90 of the change; share: of the variance of what comes, what will be known.
    """
    y = made.total(measure, later)
    x = _columns(made, first)
    n, k = x.shape
    centred = y - y.mean()
    moved = x @ np.linalg.lstsq(x, centred, rcond=None)[0] if k else np.zeros(n)
    variance, told = float(centred @ centred), float(moved @ moved)
    raw = told / variance if variance > 0 else 0.0
    share = max(1.0 - (1.0 - raw) * (n - 1) / (n - k - 1), 0.0)
    change = moved * np.sqrt(share / raw) if raw > 0 else moved
    q10, q90 = np.quantile(change, (0.1, 0.9))
    return {
        "mean": float(y.mean()),
        "sd": float(change.std()),
        "q10": float(q10),
        "q90": float(q90),
        "share": share,
    }


def _columns(made: Ahead, first: int) -> Array:
    """What futures show in the first periods, (draw, column), each of mean 0 and sd 1; the largest cells first."""
    stages = [name for name in (*made.case.stages, "revenue") if name in made.draws]
    each = [np.asarray(made.draws[name].values, dtype=float)[:, :first].sum(axis=1) for name in stages]
    size = np.concatenate([x.mean(axis=0) / max(float(x.mean(axis=0).sum()), 1e-300) for x in each])
    x = np.concatenate(each, axis=1)
    spread = x.std(axis=0)
    chosen = [i for i in np.argsort(-size, kind="stable") if spread[i] > 0][:MOST_COLUMNS]
    return np.asarray((x[:, chosen] - x[:, chosen].mean(axis=0)) / spread[chosen])
