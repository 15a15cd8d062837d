"""A history made of leads one by one: counts by period of what happened, triangles of what became of each cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forecast.checks import Check
from forecast.history.courses import courses_of
from forecast.history.history import (
    BESIDE,
    History,
    any_recorded,
    channels_seen,
    dataset,
    first_of,
    last_day_of,
    no_deals,
    order_of,
    places_of_deals,
    recorded_stages,
    triangle,
)
from forecast.history.schedules import no_schedule, schedule_summed
from forecast.periods import (
    Periods,
    period_index,
)
from forecast.read import FileRead


def leads_history(
    groups: pd.DataFrame,
    activity: xr.Dataset | None,
    *,
    kind: str,
    stages: Sequence[str],
    starts: Periods,
    sources: dict[str, str],
    reading: dict[str, str],
    files: tuple[FileRead, ...] = (),
    found: tuple[Check, ...] = (),
    courses: tuple[Mapping[str, pd.DataFrame], Sequence[str]] = ({}, ()),
) -> History:
    """A history from leads that were created in the periods `starts`; what happened to them later is not known.

    groups: one row per kind of course a lead took: channel, a period start (or NaT) per stage from "leads" on and for
    `lost`, `n` leads, and `amounts` (list of the amounts of its deals; None or NaN where not recorded); or, where these
    stayed in a database, `money`, `back` (sums above and below 0), `priced` and `won_n` (deals with an amount, all).
    activity: dims (period, channel) with the stages before leads, and spend; blank where it has no row.
    courses: by day, none of a lead created before the periods, and the names of their channels (`courses.courses_of`).
    """
    own = list(stages[stages.index("leads") :])
    where = {name: _places(groups[name], starts, kind) for name in [*own, "lost"]}
    kept = where["leads"] >= 0
    where = {name: places[kept] for name, places in where.items()}
    groups = groups[kept]
    shown, own_names = (
        ([] if activity is None else _rows_of(activity)),
        groups["channel"].to_numpy(dtype=object),
    )
    times = np.concatenate([starts[where["leads"]], np.array([start for start, _ in shown], dtype="M8[D]")])
    names = np.concatenate([own_names, np.array([name for _, name in shown], dtype=object)])
    channels = order_of(times, names)
    place = {name: i for i, name in enumerate(channels)}
    column: NDArray[np.int64] = np.array([place[str(name)] for name in own_names], dtype=np.int64)
    n = groups["n"].to_numpy(dtype=np.int64)
    cells = {
        name: _tally((starts.size, len(channels)), (where[name], column), n).astype(float) for name in own
    }
    deals = _deals(groups, starts, where["won"]) if "amounts" in groups else no_deals()
    if "money" in groups:
        cells |= _sums(groups, where["won"], column, (starts.size, len(channels)))
    back = deals.assign(amount=-deals["amount"].clip(upper=0.0).fillna(0.0))
    deals["amount"] = deals["amount"].clip(lower=0.0)  # such a deal brought nothing, and was paid back
    if deals["amount"].notna().any():
        cells["revenue"] = _revenue(deals, starts, channels, kind)
    if back["amount"].any():
        cells["refunds"] = _revenue(back, starts, channels, kind)
    _blank_before_start(cells, first_of(times, names), starts, channels, kind)
    counts = dataset(cells, starts, channels)
    if activity is not None:
        laid = activity.reindex(period=counts["period"], channel=counts["channel"])
        if "refunds" in laid and "refunds" in counts:
            laid["refunds"] = laid["refunds"].fillna(0.0) + counts["refunds"]
        counts = counts.assign({str(name): values for name, values in laid.data_vars.items()})
    triangles, losses = _triangles(own, where, column, n, starts, channels)
    schedule = _schedule(groups, own[-2], where, starts) if "scheduled" in groups else no_schedule()
    order = [name for name in ("spend", *stages, "revenue", *BESIDE) if any_recorded(counts, name)]
    known = recorded_stages(counts, stages)
    rows, of_rows = courses
    end = last_day_of(starts[-1], kind)
    by_day = {stage: courses_of(own, of_rows, channels, end) for stage, own in rows.items()}
    made = (counts[order], "leads", kind, known, triangles, losses, deals, sources, reading, files, found)
    since = _laid_out(where["leads"], where["won"], column, n, starts, channels)
    return History(*made, schedule=schedule, courses=by_day, won_since=since)


def _schedule(
    groups: pd.DataFrame, before: str, where: Mapping[str, NDArray[np.int64]], starts: Periods
) -> pd.DataFrame:
    """The units that entered the stage `before` the last and have a schedule: see `History`."""
    won, lost, entered = where["won"], where["lost"], where[before]
    rows = np.flatnonzero((entered >= 0) & groups["scheduled"].notna().to_numpy())
    days, end = starts.astype("datetime64[ns]"), np.where(won >= 0, won, lost)[rows]
    table = {
        "channel": groups["channel"].to_numpy(dtype=object)[rows],
        "entered": days[entered[rows]],
        "scheduled": groups["scheduled"].to_numpy().astype("datetime64[ns]")[rows],
        "ended": np.where(end >= 0, days[end], np.datetime64("NaT", "ns")),
        "won": won[rows] >= 0,
        "n": groups["n"].to_numpy(dtype=np.int64)[rows],
    }
    return schedule_summed(pd.DataFrame(table))


def _places(times: pd.Series[Any], starts: Periods, kind: str) -> NDArray[np.int64]:
    """Index of each period in `starts`; -1 for none and for those outside."""
    days = times.to_numpy().astype("datetime64[D]")
    absent = np.isnat(days)
    places = period_index(np.where(absent, starts[0], days), starts[0], kind)
    return np.where(absent | (places < 0) | (places >= starts.size), -1, places)


def _rows_of(activity: xr.Dataset) -> list[tuple[np.datetime64, str]]:
    """The (period, channel) pairs of which anything is recorded."""
    times = activity["period"].values.astype("datetime64[D]")
    return [(times[i], str(activity["channel"].values[j])) for i, j in np.argwhere(channels_seen(activity))]


def _tally(
    shape: tuple[int, ...], index: tuple[NDArray[np.int64], ...], n: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Sums of n over cells; an index of -1 anywhere means that it did not happen."""
    cells = np.zeros(shape, dtype=np.int64)
    happened = np.logical_and.reduce([part >= 0 for part in index])
    np.add.at(cells, tuple(part[happened] for part in index), n[happened])
    return cells


def _blank_before_start(
    cells: dict[str, NDArray[np.float64]],
    first: Mapping[str, np.datetime64],
    starts: Periods,
    channels: Sequence[str],
    kind: str,
) -> None:
    """Before its first lead or activity a channel was not there: blank, not zero."""
    begins = period_index(np.array([first[name] for name in channels]), starts[0], kind)
    before = np.arange(starts.size)[:, None] < begins[None, :]
    for values in cells.values():
        values[before] = np.nan


def _deals(groups: pd.DataFrame, starts: Periods, won: NDArray[np.int64]) -> pd.DataFrame:
    """One row per deal won, sorted by period, channel and amount."""
    rows = np.flatnonzero(won >= 0)
    if rows.size == 0:
        return no_deals()
    lists = groups["amounts"].to_numpy(dtype=object)
    amounts = [np.array(lists[i], dtype=np.float64) for i in rows]
    sizes = [amount.size for amount in amounts]
    deals = pd.DataFrame(
        {
            "period": np.repeat(starts[won[rows]].astype("datetime64[ns]"), sizes),
            "channel": np.repeat(groups["channel"].to_numpy(dtype=object)[rows], sizes),
            "amount": np.concatenate(amounts),
        }
    )
    deals["channel"] = deals["channel"].astype(object)
    return deals.sort_values(["period", "channel", "amount"], ignore_index=True)


def _revenue(deals: pd.DataFrame, starts: Periods, channels: Sequence[str], kind: str) -> NDArray[np.float64]:
    """Revenue by period won; blank where a deal of the cell has no amount, because the sum is then not known."""
    placed = places_of_deals(deals, starts, channels, kind)
    cells = np.zeros((starts.size, len(channels)))
    np.add.at(cells, (placed.period, placed.channel), placed.amount)
    return cells


def _sums(
    groups: pd.DataFrame, won: NDArray[np.int64], column: NDArray[np.int64], shape: tuple[int, int]
) -> dict[str, NDArray[np.float64]]:
    """Revenue and refunds from sums by group, as `_revenue` has them from single deals: blank where one is missing."""
    there = won >= 0
    place = won[there], column[there]
    found = {}
    for name in ("money", "back", "priced", "won_n"):
        cells = np.zeros(shape)
        np.add.at(cells, place, groups[name].fillna(0).to_numpy(dtype=float)[there])
        found[name] = cells
    if not found["priced"].any():
        return {}
    money = np.where(found["priced"] == found["won_n"], found["money"], np.nan)
    return {"revenue": money} | ({"refunds": found["back"]} if found["back"].any() else {})


def _triangles(
    own: Sequence[str],
    where: Mapping[str, NDArray[np.int64]],
    column: NDArray[np.int64],
    n: NDArray[np.int64],
    starts: Periods,
    channels: Sequence[str],
) -> tuple[dict[str, xr.DataArray], dict[str, xr.DataArray]]:
    """Reached and lost by destination stage, cohort of the stage before, and age."""
    at = column, n, starts, channels
    reached, lost = {}, {}
    for before, stage in pairwise(own):
        reached[stage] = _laid_out(where[before], where[stage], *at)
        gone = _laid_out(where[before], np.where(where[stage] < 0, where["lost"], -1), *at)
        if gone.values.any():
            lost[stage] = gone
    return reached, lost


def _laid_out(
    cohort: NDArray[np.int64],
    event: NDArray[np.int64],
    column: NDArray[np.int64],
    n: NDArray[np.int64],
    starts: Periods,
    channels: Sequence[str],
) -> xr.DataArray:
    """A triangle of units by cohort and by the age at which something happened to them."""
    age = np.where((cohort >= 0) & (event >= 0), event - cohort, -1)
    cells = _tally((starts.size, starts.size, len(channels)), (cohort, age, column), n)
    return triangle(cells, starts, channels)
