"""Single questions to an outlook: the chance of a number, and one measure as a table of periods and channels.

    chance      P(measure at or above, or below): of the total, or by period or channel
    cross       a measure by period and channel: its mean, sd or a quantile
    spend_of    a plan of spend from what was given

Everything is counted on draws of the very quantity: sums are taken draw by draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from forecast.errors import UsageError
from forecast.outlook import STOCKS, Paths
from forecast.results import LEVELS, first_paths, summarise, total_draws
from forecast.study import nearest
from forecast.words import Text, message

Array = NDArray[np.float64]
OF = ("mean", "sd", *LEVELS)
BY = ("period", "channel")


def chance(
    outlook: xr.Dataset | Paths,
    labels: Sequence[str],
    measure: str,
    *,
    above: float | None = None,
    below: float | None = None,
    plan: str = "given",
    by: str | None = None,
    channel: str | None = None,
    period: str | None = None,
) -> float | pd.Series[float]:
    """P(above <= x < below) of a measure x, one end or both: the share of draws. See `Forecast.p`.

    Raises UsageError for a measure, plan, period or channel that is not there, with those that are.
    """
    if above is None and below is None:
        raise UsageError("p: expected above=..., below=..., or both; came neither")
    if by is not None:
        _one_of("by", by, BY)
        if {"period": period, "channel": channel}[by] is not None:
            raise UsageError(f'p: by="{by}" asks for every {by}, and {by}=... for one: give one of them')
    draws = draws_of(outlook, labels, measure, plan=plan, channel=channel, period=period, by=by)
    hit = np.ones(draws.shape, dtype=bool)
    if above is not None:
        hit &= draws >= above
    if below is not None:
        hit &= draws < below
    share = hit.mean(axis=0)
    if by is None:
        return float(share)
    names = list(labels) if by == "period" else [str(name) for name in first_paths(outlook)["channel"].values]
    return pd.Series(share, index=pd.Index(names, name=by), name=measure)


def draws_of(
    outlook: xr.Dataset | Paths,
    labels: Sequence[str],
    measure: str,
    *,
    plan: str = "given",
    channel: str | None = None,
    period: str | None = None,
    by: str | None = None,
) -> Array:
    """Draws of a measure, (draw,), or (draw, period or channel): of one channel or period, or over all of them.

    Of many paths all that tell it: every one over the whole horizon and all channels, else the first.
    """
    first = first_paths(outlook)
    values = _values(first, measure, plan)
    whole = channel is None and period is None and by is None and measure not in STOCKS
    if isinstance(outlook, Paths) and whole:
        return total_draws(outlook, plan, measure)
    outlook = first
    if channel is not None:
        _one_of("channel", channel, [str(name) for name in outlook["channel"].values])
        values = values.sel(channel=[channel])
    if "period" in values.dims:
        if period is not None:
            _one_of("period", period, labels)
            values = values.isel(period=[list(labels).index(period)])
        elif by != "period" and measure in STOCKS:
            values = values.isel(period=[-1])
    elif period is not None or by == "period":
        raise UsageError(message("{measure} has no periods: it is of the whole horizon", measure=measure))
    rest = [dim for dim in values.dims if dim not in ("draw", by)]
    return np.asarray(values.sum(rest).transpose("draw", ...).values, dtype=float)


def cross(
    outlook: xr.Dataset | Paths, labels: Sequence[str], measure: str, *, of: str = "mean", plan: str = "given"
) -> pd.DataFrame:
    """A measure with its periods as rows and channels as columns: `of` each cell the mean, sd or a quantile (q05 ...).

    Raises UsageError for a measure, plan or `of` that is not there, with those that are.
    """
    _one_of("of", of, OF)
    values = _values(first_paths(outlook), measure, plan)
    if "period" not in values.dims:
        raise UsageError(message("{measure} has no periods: it is of the whole horizon", measure=measure))
    channels = pd.Index([str(name) for name in values["channel"].values], name="channel")
    if isinstance(outlook, Paths):
        found = outlook.summary(plan, measure, LEVELS)[of][:-1, :-1]
    else:
        draws = np.asarray(values.transpose("draw", "period", "channel").values, dtype=float)
        found = summarise(draws)[of]
    return pd.DataFrame(found, index=pd.Index(list(labels), name="period"), columns=channels)


def _values(outlook: xr.Dataset, measure: str, plan: str) -> xr.DataArray:
    _one_of("measure", measure, [str(name) for name in outlook.data_vars])
    _one_of("plan", plan, [str(name) for name in outlook["plan"].values])
    return outlook[measure].sel(plan=plan)


def _one_of(what: str, came: Any, known: Sequence[str]) -> None:
    if came not in known:
        guess: Text = nearest(came, known) if isinstance(came, str) else ""
        said = 'there is no {what} "{came}"; there are {known:list}{guess}'
        raise UsageError(message(said, what=what, came=str(came), known=list(known), guess=guess))


def spend_of(name: str, plan: ArrayLike, shape: tuple[int, ...]) -> Array:
    """A plan as an array (period, channel) of spend, 0 or more."""
    spend = np.asarray(plan, dtype=float)
    if spend.shape != shape:
        raise UsageError(
            f"{name}: expected spend of {shape[0]} periods and {shape[1]} channels, got {spend.shape}"
        )
    if not (np.isfinite(spend) & (spend >= 0)).all():
        raise UsageError(f"{name}: expected spend of 0 or more in every period and channel")
    return spend
