"""Plans, and forecasts, beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from forecast.asking import spend_of
from forecast.errors import UsageError
from forecast.planning import Forecast
from forecast.results import against_first, scalars


def compare(
    plans: Mapping[str, ArrayLike | Forecast] | Sequence[ArrayLike | Forecast], made: Forecast | None = None
) -> pd.DataFrame:
    """Plans beside each other on common random numbers, and each against the first of them.

    A row for each plan and measure, over the horizon and all channels: plan, measure, mean, q10, q50, q90, and of the
    difference to the first plan, draw by draw: difference, difference_q10, difference_q90, p_above (its share of draws
    above zero). For the draws themselves see `Forecast.simulate`.

    Forecasts that differ in their plan alone are compared in the same way. Two of them have chance each for itself, so
    that draws of one less draws of the other are mostly noise: here their plans are run side by side. Forecasts of
    another study, fit or history are two beliefs, whose draws do not belong together: `difference` is then that of the
    means, and its band and `p_above` are missing (NaN).

    Args:
        plans: spend (period, channel) in currency, or forecasts; by name, or in an order (then named plan 1, plan 2).
        made: the forecast whose case the plans are tried in; the first one given where it is left out.

    Raises UsageError where one is not such a table, or of another horizon.
    """
    named = (
        plans if isinstance(plans, Mapping) else {f"plan {i}": plan for i, plan in enumerate(plans, start=1)}
    )
    given = {name: plan for name, plan in named.items() if isinstance(plan, Forecast)}
    base = made or next(iter(given.values()), None)
    if base is None:
        raise UsageError("compare: expected a forecast to try the plans in: forecast.compare(plans, made)")
    for name, other in given.items():
        if other.case.labels != base.case.labels:
            raise UsageError(
                f"{name}: expected a forecast of {base.case.labels[0]} to {base.case.labels[-1]}"
            )
    shape = base.case.plan.shape
    if all(other.belief == base.belief for other in given.values()):
        spends = {
            name: plan.case.plan if isinstance(plan, Forecast) else spend_of(name, plan, shape)
            for name, plan in named.items()
        }
        return _beside(base.simulate(spends), base.case.stages)
    tried = {
        name: spend_of(name, plan, shape) for name, plan in named.items() if not isinstance(plan, Forecast)
    }
    simulated = base.simulate(tried) if tried else base.draws
    outlooks = {
        name: given[name].draws.sel(plan="given") if name in given else simulated.sel(plan=name)
        for name in named
    }
    return _apart(outlooks, base.case.stages)


def _beside(outlook: xr.Dataset, stages: Sequence[str]) -> pd.DataFrame:
    """The plans of one simulation, a row for each plan and measure: see `compare`."""
    plans = [str(name) for name in outlook["plan"].values]
    return pd.DataFrame(
        [row for name in _measures(stages) if name in outlook for row in against_first(outlook, name, plans)]
    )


def _apart(outlooks: Mapping[str, xr.Dataset], stages: Sequence[str]) -> pd.DataFrame:
    """The same for outlooks (draw, period, channel) whose draws do not belong together: the difference of means alone.

    A measure that one of them has not is left out.
    """
    rows = []
    for measure in (
        name for name in _measures(stages) if all(name in outlook for outlook in outlooks.values())
    ):
        first: float | None = None
        for plan, outlook in outlooks.items():
            draws = np.asarray(
                outlook[measure].sum([d for d in outlook[measure].dims if d != "draw"]).values, float
            )
            told = scalars(draws)
            first = told["mean"] if first is None else first
            unknown = dict.fromkeys(("difference_q10", "difference_q90", "p_above"), math.nan)
            rows.append(
                {"plan": plan, "measure": measure, **told, "difference": told["mean"] - first} | unknown
            )
    return pd.DataFrame(rows)


def _measures(stages: Sequence[str]) -> tuple[str, ...]:
    more = ("revenue_gross", "refunds", "recurring")
    return (*stages, "revenue", *more, "revenue_eventual", "contribution", "spend")
