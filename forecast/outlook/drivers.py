"""What a little more of each lever brings, and which doubt the forecast is made of.

Sensitivity: traffic, each rate and deal value 10 % higher, each rate one point higher, each delay 10 % shorter, sales
with 10 % more room; one at a time, for every channel and in total, on the expected road. Rates and delays concern units
that enter the stage before within the horizon. Elasticity: relative change of the sum over that of the lever.

Variance of the revenue (wins) of the horizon, by source: with Y(x) the expected road at the ingredients x of a draw,

    Y - Y(mean) = sum_g C_g      C_g: mean over orders in which the ingredients move from their mean to the draw
    Var Y = sum_g Cov(C_g, Y)    Var forecast = Var Y + E[Var | draw]

Parts add up whatever the ingredients have to do with one another; one that runs against the rest has a negative part.
Chance is told apart by replicates of a draw. Source: Shapley values (Song, Nelson, Staum 2016), covariance shares.

Every rate against the market's published range: how likely it lies below, and what closing the gap would bring.

For a rate r of a draw, and an aim a (the low end of the range, or its middle):

    factor = max(a / r, 1)            a rate above the aim stays as it is
    gain   = (factor - 1) x wins      of the channel's cohorts of the horizon: those that land inside it, and in the end

because wins are proportional to each rate. Cohorts of the horizon alone: what is in the pipeline already stays as it
is. The gain in total lifts every channel that lies below the aim. A benchmark is a comparison, never a target:
published ranges are averages over companies of other kinds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forecast.columns import TABLES
from forecast.equations import quantiles
from forecast.outlook.case import Case
from forecast.outlook.expectation import World, inside_share, mean_world, outcome
from forecast.outlook.paths import Paths, totals_of
from forecast.outlook.scenarios import (
    Base,
    delay_about,
    more_room,
    new_delay,
    raise_rate,
    raise_traffic,
    raise_value,
)
from forecast.outlook.unit_economics import Flow, in_total, ratio
from forecast.study import Range, channel_range, rate_range

Array = NDArray[np.float64]
Move = Callable[[World, NDArray[np.bool_]], World]

STEP = 0.1  # of a lever
POINT = 0.01
AT_LIMIT = 0.5  # elasticity of sales' room from which on it is the bottleneck
PAIRS = 2  # of orders, each with its reverse: exact where at most two ingredients multiply with one another
BOOTSTRAPS = 200
STREAM = 73  # of the seed
COLUMNS, GAP_COLUMNS = ([c.name for c in TABLES[name][1]] for name in ("sensitivity", "benchmarks"))
CLEARLY = 0.8
ENDS = {"_q10": 0.1, "_q90": 0.9}  # of a band


def levers_of(base: Base) -> list[tuple[str, str, str, float, Move]]:
    """(lever, stage, change, relative size or NaN, what it does) of each lever that the company has."""
    world, full = base.world, np.ones(len(base.case.plan))

    def rate(stage: str, add: float, times: float) -> Move:
        def move(w: World, channels: NDArray[np.bool_]) -> World:
            factor = times + add / np.maximum(w.rates[stage], 1e-12)
            return raise_rate(w, stage, factor, full, channels)

        return move

    up = np.full_like(world.traffic, 1.0 + STEP)
    found: list[tuple[str, str, str, float, Move]] = [
        ("traffic", world.first, "+10 %", STEP, lambda w, c: raise_traffic(w, up, full, c))
    ]
    for stage in world.stages:
        if not world.at_once[stage].all():
            found.append(("rate", stage, "+10 %", STEP, rate(stage, 0.0, 1.0 + STEP)))
            found.append(("rate", stage, "+1 point", np.nan, rate(stage, POINT, 1.0)))
    if base.case.valued:
        found.append(("value", "", "+10 %", STEP, lambda w, c: raise_value(w, up, full, c)))
    found += [("delay", stage, "-10 %", -STEP, _faster(base, stage)) for stage in world.lags]
    if world.room is not None:
        room = np.full_like(world.room, 1.0 + STEP)
        found.append(("capacity", "", "+10 %", STEP, lambda w, _: more_room(w, room, full)))
    return found


def _faster(base: Base, stage: str) -> Move:
    mean, horizon = base.case.posterior.array(f"delay_mean_{stage}")[base.rows], len(base.case.plan)
    now, faster = (delay_about(base, stage, share * mean, horizon) for share in (1.0, 1.0 - STEP))
    return lambda w, _: new_delay(w, stage, now, faster, np.ones(horizon))


def sensitivity(base: Base) -> pd.DataFrame:
    """One row per lever, change, channel (and total) and measure: revenue (won) inside the horizon, and eventually.

    Where sales has a limit the channels share it, and what a channel's lever brings is what it brings to all.
    """
    names = ("revenue", "revenue_eventual") if base.case.valued else ("won", "won_eventual")
    now, every = base.made, np.ones(len(base.case.channels), dtype=bool)
    before = (now.horizon, now.eventual)
    rows = []
    for lever, stage, change, size, move in levers_of(base):
        whole = lever in ("delay", "capacity")  # told in total alone
        made = outcome(move(base.world, every))
        gains = [in_total(gain) for gain in (made.horizon - now.horizon, made.eventual - now.eventual)]
        if base.world.room is not None and not whole:
            for i in range(len(every)):
                one = outcome(move(base.world, np.arange(len(every)) == i))
                gains[0][:, i] = (one.horizon - now.horizon).sum(axis=1)
                gains[1][:, i] = (one.eventual - now.eventual).sum(axis=1)
        told = ~base.world.at_once.get(stage, ~every) if lever == "rate" else every & (not whole)
        for measure, was, gain in zip(names, before, gains, strict=True):
            mean = in_total(was).mean(axis=0)
            for c in np.flatnonzero([*told, True]):
                draws, base_mean = gain[:, c], mean[c] if mean[c] > 0 else np.nan
                named = (lever, stage, change, [*base.case.channels, "total"][c], measure)
                band = (draws.mean(), *quantiles(draws, (0.1, 0.5, 0.9)))
                rows.append((*named, *band, draws.mean() / base_mean / size))
    return pd.DataFrame(rows, columns=COLUMNS)


def bottleneck(table: pd.DataFrame) -> dict[str, Any]:
    """The lever in total of which 10 % more brings the most inside the horizon, deal value aside; empty without any.

    Sales at their limit are named first: what comes in front of them only waits.
    """
    chosen = (table["channel"] == "total") & (table["change"] == "+10 %") & (table["lever"] != "value")
    inside = table["measure"].isin(("revenue", "won"))
    ups = table[chosen & inside]
    full = ups[(ups["lever"] == "capacity") & (ups["elasticity"] > AT_LIMIT)]
    rows = (full if len(full) else ups.sort_values("mean", ascending=False, kind="stable")).to_dict("records")
    return {str(k): v for k, v in rows[0].items()} if rows else {}


def shapley(
    value: Callable[[frozenset[str]], Array],
    names: Sequence[str],
    orders: Sequence[Sequence[str]] | None = None,
) -> dict[str, Array]:
    """What each of `names` adds to `value` when it moves, mean over orders: over all, or over those that are given.

    value: of the set of those that have moved, asked once for each set; over all orders there are 2^n. The shares add
    up to value(all) - value(none). Source: Shapley 1953.
    """
    known, shares = cache(value), dict.fromkeys(names, np.zeros(()))
    for before, name, weight in _steps(names) if orders is None else _steps_of(orders):
        shares[name] = shares[name] + weight * (known(before | {name}) - known(before))
    return shares


def _steps(names: Sequence[str]) -> Iterator[tuple[frozenset[str], str, float]]:
    """Who has moved before, who moves, and the share of all orders in which that happens."""
    n = len(names)
    for name in names:
        others = [other for other in names if other != name]
        for k in range(n):
            weight = math.factorial(k) * math.factorial(n - k - 1) / math.factorial(n)
            yield from ((frozenset(before), name, weight) for before in combinations(others, k))


def _steps_of(orders: Sequence[Sequence[str]]) -> Iterator[tuple[frozenset[str], str, float]]:
    """The same of some orders."""
    for order in orders:
        yield from ((frozenset(order[:i]), name, 1.0 / len(orders)) for i, name in enumerate(order))


def variance_parts(base: Base, outlook: xr.Dataset | Paths, plan: str, *, seed: int) -> pd.DataFrame:
    """Variance of the horizon's revenue (wins) by source: variance, share, and the Monte Carlo error of the share.

    `outlook`: simulated with replicates of every draw; its sd is that of the forecast, told in the last row.
    """
    groups = _groups(base.world)
    parts = _from_mean_to_draw(base.world, groups, np.random.default_rng([seed, STREAM]))
    luck, simulated = _chance(outlook, plan, base)
    rng = np.random.default_rng([seed, STREAM, 1])
    names = [*groups, *luck]

    def split(rows: NDArray[np.int64], at: NDArray[np.int64]) -> Array:
        chosen = parts[:, rows] - parts[:, rows].mean(axis=1, keepdims=True)
        total = chosen.sum(axis=0)
        return np.concatenate([(chosen @ total) / len(rows), [values[at].mean() for values in luck.values()]])

    draws, lucky = int(parts.shape[1]), len(next(iter(luck.values())))
    found = split(np.arange(draws), np.arange(lucky))
    again = []
    for _ in range(BOOTSTRAPS):
        made = split(rng.integers(0, draws, size=(draws,)), rng.integers(0, lucky, size=(lucky,)))
        again.append(made / made.sum())
    shares, errors = found / found.sum(), np.std(again, axis=0)
    rows = list(zip(names, found, shares, errors, strict=True))
    rows += [
        ("total", found.sum(), 1.0, 0.0),
        ("forecast", simulated, simulated / found.sum(), np.nan),
    ]
    return pd.DataFrame(rows, columns=["source", "variance", "share", "error"])


Swap = Callable[[World, World], World]


def _groups(world: World) -> dict[str, Swap]:
    """Sources by name, and how a world takes that ingredient from another one."""

    def rate(stage: str) -> Swap:
        return lambda w, o: replace(w, rates={**w.rates, stage: o.rates[stage]})

    found: dict[str, Swap] = {
        "traffic": lambda w, o: replace(w, traffic=o.traffic, later=o.later, inflow=o.inflow)
    }
    found |= {f"rate: {stage}": rate(stage) for stage in world.stages if not world.at_once[stage].all()}
    if np.ptp(world.value) > 0:
        found["deal value"] = lambda w, o: replace(w, value=o.value, later_value=o.later_value)
    if world.refunds is not None:
        found["refunds"] = lambda w, o: replace(w, refunds=o.refunds)
    if world.recurring is not None:
        found["recurring revenue"] = lambda w, o: replace(w, recurring=o.recurring)
    if world.lags:
        found["delay"] = lambda w, o: replace(w, lags=o.lags)
        found["open pipeline"] = lambda w, o: replace(w, pipeline=o.pipeline)
    return found


def _from_mean_to_draw(world: World, groups: dict[str, Swap], rng: np.random.Generator) -> Array:
    """What each ingredient adds on the way from its mean to the draw, (group, draw), mean over some orders."""
    names, mean = list(groups), mean_world(world)
    orders = []
    for _ in range(PAIRS):
        order = [names[index] for index in rng.permutation(len(names))]
        orders += [order, order[::-1]]

    def value(moved: frozenset[str]) -> Array:
        at = mean
        for name, swap in groups.items():
            at = swap(at, world) if name in moved else at
        return outcome(at).horizon.sum(axis=1)

    return np.stack(list(shapley(value, names, orders).values()))


def _chance(outlook: xr.Dataset | Paths, plan: str, base: Base) -> tuple[dict[str, Array], float]:
    """Chance variance of each draw by kind, from replicates; and the variance of the forecast as simulated."""
    name = "revenue" if base.case.valued else "won"
    kinds = {"open pipeline": f"{name}_from_pipeline", "new units": f"{name}_from_new"}
    draws = base.case.posterior.draws

    def totals(measure: str) -> Array:
        return totals_of(outlook, plan, measure).reshape(draws, -1)

    whole = totals(name)
    replicates = whole.shape[1]
    luck = {}
    for kind, measure in kinds.items():
        part = totals(measure)
        both = (part - part.mean(axis=1, keepdims=True)) * (whole - whole.mean(axis=1, keepdims=True))
        luck[f"chance: {kind}"] = both.sum(axis=1) / max(replicates - 1, 1)
    return luck, float(whole.var())


# ------------------------------------------------------------------------------------------------ against the market


def aims(published: Range) -> dict[str, float]:
    """What a rate is lifted to, by name: the low end of the range, and its middle.

    >>> aims(Range(0.2, 0.3, "somewhere"))
    {'low end': 0.2, 'middle': 0.25}
    """
    return {"low end": published.low, "middle": (published.low + published.high) / 2}


def position(p_below: float, p_above: float) -> str:
    """Where a rate stands: "below" or "above" where that is at least 80 % likely, "inside" likewise, else "unclear"."""
    if p_below >= CLEARLY:
        return "below"
    if p_above >= CLEARLY:
        return "above"
    return "inside" if 1.0 - p_below - p_above >= CLEARLY else "unclear"


def gap_table(case: Case, flow: Flow) -> pd.DataFrame:
    """One row per channel (and in total), stage with a published range, and aim; empty where nothing is published.

    flow: of the plan (`unit_economics.flow_of`). Wins and revenue are gains over the horizon, `_eventual` with all
    delays run out; bands are 80 %.
    """
    study, history = case.study, case.history
    market, steps = study.funnel.market, history.steps
    whole = {stage: found for _, stage in steps if (found := rate_range(market, stage)) is not None}
    if not whole:
        return pd.DataFrame(columns=GAP_COLUMNS)
    inside, _ = case.traffic()
    wins = {"won": (inside * inside_share(case)).sum(axis=1)}
    wins["won_eventual"] = flow.units["won"]
    channels, rows = [*history.channels, "total"], []
    for before, stage in steps:
        if stage not in whole:
            continue
        has = ~history.enters_later(stage)
        rates = ratio(in_total(flow.units[stage] * has), in_total(flow.units[before] * has))
        own = [channel_range(market, stage, study.kind_of(name)) or whole[stage] for name in history.channels]
        own.append(whole[stage])
        gains = {
            aim: _gains(rates[:, :-1], has, np.array([aims(r)[aim] for r in own[:-1]]), wins, flow.net_value)
            for aim in aims(whole[stage])
        }
        for i, channel in enumerate(channels):
            if (channel != "total" and not has[i]) or not np.isfinite(rates[:, i]).all():
                continue
            told = {"channel": channel, "stage": stage, **_rate(rates[:, i], own[i])}
            for aim, rate in aims(own[i]).items():
                bands = {
                    name: value for m, g in gains[aim].items() for name, value in _band(m, g[:, i]).items()
                }
                rows.append(told | {"aim": aim, "aim_rate": rate} | bands | {"source": own[i].source})
    table = pd.DataFrame(rows, columns=GAP_COLUMNS)
    return table.sort_values("channel", key=lambda c: c.map(channels.index), kind="stable", ignore_index=True)


def _gains(
    rates: Array, has: NDArray[np.bool_], aim: Array, wins: dict[str, Array], value: Array | None
) -> dict[str, Array]:
    """Gain of lifting rates (draw, channel) to each channel's aim, by measure, (draw, channel + 1)."""
    lift = np.where(has & (rates > 0), np.maximum(ratio(aim * np.ones_like(rates), rates), 1.0) - 1.0, 0.0)
    found = {name: in_total(lift * won) for name, won in wins.items()}
    if value is not None:
        found |= {name.replace("won", "revenue"): in_total(lift * won * value) for name, won in wins.items()}
    return found


def _rate(draws: Array, published: Range) -> dict[str, Any]:
    """A rate with its band beside its range."""
    below, above = float((draws < published.low).mean()), float((draws > published.high).mean())
    q10, q50, q90 = (float(q) for q in quantiles(draws, (0.1, 0.5, 0.9)))
    told: dict[str, Any] = {"mean": float(draws.mean()), "q10": q10, "q50": q50, "q90": q90}
    told |= {"benchmark_low": published.low, "benchmark_high": published.high}
    return told | {"p_below": below, "p_above": above, "position": position(below, above)}


def _band(measure: str, draws: Array) -> dict[str, float]:
    """Mean and the ends of the 80 % band of a gain."""
    told = (draws.mean(), *quantiles(draws, ENDS.values()))
    return {f"{measure}{end}": float(value) for end, value in zip(("", *ENDS), told, strict=True)}


def largest(table: pd.DataFrame, aim: str = "middle") -> dict[str, Any]:
    """The row in total with the largest eventual gain to an aim; empty where there is none."""
    rows = table[(table["channel"] == "total") & (table["aim"] == aim)]
    measure = "revenue_eventual" if rows["revenue_eventual"].notna().any() else "won_eventual"
    best = rows.sort_values(measure, ascending=False, kind="stable").head(1).to_dict("records")
    return {str(k): v for k, v in best[0].items()} if best and not math.isnan(best[0][measure]) else {}
