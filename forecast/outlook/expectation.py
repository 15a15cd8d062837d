"""The funnel run forward in expectation: what each draw brings on average over chance, without drawing any.

    arrivals_k(t) = sum_h entries_(k-1)(h) p_k(h) f_k(t - h) + open pipeline + what flows in from outside

for the cohorts of the horizon, and for units inside the funnel at the as-of date the chance that their age leaves them
(`outlook.simulation`), to second order in the noise of their rates. The slot after the horizon holds what lands later.
Per draw this is the mean of `simulate`, exactly but for two things: the noise of open cohorts (second order), and the
queue in front of sales, which runs here on expected units and so is never longer than the real one.

Differences of two worlds of the same draw hold no chance: what a lever brings is told from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecast.outlook.beside import Refunds, refunds_of
from forecast.outlook.case import Case, with_later
from forecast.outlook.open_pipeline import (
    case_law,
    expected_share,
    lags_of,
    moves_by_slot,
    open_moves,
    scheduled_before,
    waiting_before,
)
from forecast.outlook.queue import LATEST, fluid_queue, let_through

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

OLD, NEW = 0, 1  # kinds of units: of the open pipeline, of the horizon


@dataclass(frozen=True, eq=False)
class Recovery:
    """Units that do not move into a stage and come back into it: share (draw, period, channel), lags (draw, age)."""

    share: Array
    lags: Array


@dataclass(frozen=True, eq=False)
class World:
    """What the expected road runs on; arrays are (draw, period, channel) unless said.

    traffic, later (draw, channel): expected units entering the funnel, in the horizon and by carry-over after it.
    rates: by stage. lags: by stage with a delay, chance to move on after so many periods, by period of entry (draw,
    period, age, channel; one channel stands for all where they are alike). pipeline: by stage, expected moves of open
    units by slot (draw, period + 1, channel). value: of a deal by the period of its win, 1 where deals have none;
    later_value (draw, channel): after the horizon. at_once: by stage, channels that enter later. inflow, recovery: by
    stage. room (draw, period): units that sales takes, or None; limited: channels that sales handles. after: see
    `outlook.Future`. refunds: of what deals bring; recurring: what customers won before go on paying; None where there
    is none.
    """

    traffic: Array
    later: Array
    rates: Mapping[str, Array]
    lags: Mapping[str, Array]
    pipeline: Mapping[str, Array]
    value: Array
    later_value: Array
    at_once: Mapping[str, NDArray[np.bool_]]
    first: str
    after: Mapping[str, Array] = field(default_factory=dict)
    inflow: Mapping[str, Array] = field(default_factory=dict)
    recovery: Mapping[str, Recovery] = field(default_factory=dict)
    room: Array | None = None
    decay: float = 0.0
    limited: NDArray[np.bool_] | None = None
    refunds: Refunds | None = None
    recurring: Array | None = None

    @property
    def stages(self) -> list[str]:
        """Destination stages in funnel order."""
        return list(self.rates)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Expected units and money. units: by stage (draw, period, channel). won: wins by (kind, draw, slot, channel).

    inside (draw, period, channel): revenue in the horizon; after (draw, channel): of units in the funnel by its end;
    eventual (draw, channel): all revenue of the horizon's cohorts, carry-over included; carried: of carry-over alone.
    All net of refunds, those of past deals among them; what recurs is in `inside`.
    """

    units: Mapping[str, Array]
    won: Array
    inside: Array
    after: Array
    eventual: Array
    carried: Array

    @property
    def horizon(self) -> Array:
        """Revenue inside the horizon, (draw, channel)."""
        return self.inside.sum(axis=1)

    @property
    def whole(self) -> Array:
        """All revenue in the end, open pipeline included, (draw, channel)."""
        return self.horizon + self.after + self.carried


def world_of(case: Case, rows: Rows) -> World:
    """The world of some draws at the plan of a case."""
    traffic, later = case.traffic()
    shape = (len(rows), case.horizon)
    lags, pipeline = {}, {}
    for before, stage in case.steps:
        f = lags_of(case, stage, rows)
        if f is not None:
            lags[stage] = f
            pipeline[stage] = pipeline_moves(case, before, stage, rows)
    economics = case.study.economics
    return World(
        traffic=traffic[rows],
        later=later[rows],
        rates={stage: rate[rows] for stage, rate in case.future.rates.items()},
        lags=lags,
        pipeline=pipeline,
        value=case.future.value[rows],
        later_value=case.future.later_value[rows],
        at_once={stage: case.history.enters_later(stage) for stage in case.stages[1:]},
        first=case.stages[0],
        after={stage: factor[rows] for stage, factor in case.future.after.items()},
        inflow={stage: flow[rows] for stage, flow in case.future.inflow.items()},
        room=None if economics.capacity is None else np.full(shape, float(economics.capacity)),
        decay=economics.capacity_decay,
        limited=case.history.entry < len(case.stages) - 1,
        refunds=refunds_of(case.posterior, case.history, case.horizon, rows),
        recurring=None if case.future.recurring is None else case.future.recurring[rows],
    )


def pipeline_moves(case: Case, before: str, stage: str, rows: Rows) -> Array:
    """Expected moves into `stage` by units that entered `before` up to the as-of date: (draw, slot, channel)."""
    moves = np.zeros((len(rows), case.horizon + 1, len(case.channels)))
    if stage in case.future.paces:
        left: Array | float = 1.0
        for slot, (units, chance, stay) in enumerate(open_moves(case, stage, rows)):
            moves[:, slot] = np.einsum("sgc,gc->sc", left * chance, units)
            left = left * stay
    else:
        f = case_law(case, stage, rows)
        waiting = waiting_before(case, before, stage, f, rows)
        if waiting is not None:
            moves = moves_by_slot(expected_share(waiting) * waiting.units, waiting.waited, f, case.horizon)
    planned = scheduled_before(case.history, stage, case.horizon)
    return moves if planned is None else moves + planned.mean(case.horizon + 1)


def outcome(world: World) -> Outcome:
    """Run a world forward."""
    draws, horizon, channels = world.traffic.shape
    both = np.zeros((2, draws, horizon + 1, channels))
    both[NEW, :, :horizon] = world.traffic
    tail = world.later
    _flow_in(world, world.first, both)
    units = {world.first: both[:, :, :horizon].sum(axis=0)}
    for stage in world.stages:
        if stage == world.stages[-1]:
            both, tail = _through_sales(world, both, tail)
        both, tail = _move(world, stage, both, tail)
        _flow_in(world, stage, both)
        units[stage] = both[:, :, :horizon].sum(axis=0)
    entry = [world.first, *world.stages]
    for stage, following in pairwise(entry):
        units[stage] = units[stage] * ~world.at_once[following]
    money = both * np.concatenate([world.value, world.later_value[:, None]], axis=1)
    carried = tail * world.later_value
    if world.refunds is not None:
        money = money - world.refunds.due(money)
        money[OLD] -= world.refunds.owed
        carried = carried * (1.0 - world.refunds.share)
    inside = money[:, :, :horizon].sum(axis=0)
    return Outcome(
        units=units,
        won=both,
        inside=inside if world.recurring is None else inside + world.recurring,
        after=money[:, :, horizon].sum(axis=0),
        eventual=money[NEW].sum(axis=1) + carried,
        carried=carried,
    )


def _flow_in(world: World, stage: str, both: Array) -> None:
    if stage in world.inflow:
        both[NEW, :, :-1] += world.inflow[stage]


def _move(world: World, stage: str, both: Array, tail: Array) -> tuple[Array, Array]:
    """Units by slot of entry -> by slot of arrival in `stage`."""
    horizon = both.shape[2] - 1
    rate = with_later(world.rates[stage], world.after.get(stage))
    moving = both * rate
    if stage in world.lags:
        arrivals = _delayed(moving, world.lags[stage])
        if stage in world.pipeline:
            arrivals[OLD] += world.pipeline[stage]
        at_once = world.at_once[stage]
        arrivals[..., at_once] = both[..., at_once]
    else:
        arrivals = moving
    staying = tail * (1.0 - rate[:, -1])
    tail = tail * rate[:, -1]
    if stage in world.recovery:
        back = world.recovery[stage]
        share = np.concatenate([back.share, back.share[:, -1:]], axis=1) * ~world.at_once[stage]
        lost = both * (1.0 - rate) * share
        lags = np.broadcast_to(back.lags[:, None, :horizon, None], (len(tail), horizon, horizon, 1))
        arrivals = arrivals + _delayed(lost, lags)
        tail = tail + staying * share[:, -1]
    return arrivals, tail


def _delayed(moving: Array, lags: Array) -> Array:
    """Spread units (kind, draw, slot, channel) over later slots; lags (draw, period of entry, age, channel)."""
    horizon = moving.shape[2] - 1
    landed = np.zeros_like(moving)
    for h in range(horizon):
        inside = lags[:, h, : horizon - h]
        landed[:, :, h:horizon] += moving[:, :, h, None] * inside[None]
        gone = inside[:, 0]
        for age in range(1, horizon - h):  # a sum over a short axis takes longer
            gone = gone + inside[:, age]
        landed[:, :, horizon] += moving[:, :, h] * (1.0 - gone)[None]
    landed[:, :, horizon] += moving[:, :, horizon]
    return landed


def _through_sales(world: World, both: Array, tail: Array) -> tuple[Array, Array]:
    """What sales takes of units in front of the last stage, in expectation, where it has a limit: `outlook.queue`."""
    room, limited = world.room, world.limited
    if room is None or limited is None:
        return both, tail
    arriving = both[:, :, :-1] * limited
    handled = fluid_queue(arriving, room, world.decay)
    latest = arriving[:, :, -LATEST:].sum(axis=(0, 2, 3))
    share = let_through(latest, room[:, -1] * min(LATEST, room.shape[1]))[:, None]
    handled[:, :, -1] += both[:, :, -1] * limited * share
    return handled + both * ~limited, np.where(limited, tail * share, tail)


def mean_world(world: World) -> World:
    """The world at the mean of its draws, ingredient by ingredient, as often as there are draws."""

    def mean(values: Array) -> Array:
        return np.broadcast_to(values.mean(axis=0, keepdims=True), values.shape)

    def means(by_stage: Mapping[str, Array]) -> dict[str, Array]:
        return {stage: mean(values) for stage, values in by_stage.items()}

    return replace(
        world,
        traffic=mean(world.traffic),
        later=mean(world.later),
        rates=means(world.rates),
        lags=means(world.lags),
        pipeline=means(world.pipeline),
        value=mean(world.value),
        later_value=mean(world.later_value),
        after=means(world.after),
        inflow=means(world.inflow),
        refunds=None if (r := world.refunds) is None else Refunds(mean(r.share), mean(r.law), mean(r.owed)),
        recurring=None if world.recurring is None else mean(world.recurring),
    )


# ---------------------------------------------------------------------------------------------- a unit of traffic


def in_the_end(case: Case) -> Array:
    """Chance that a unit of a period's traffic is won in the end, (draw, period, channel).

    The product of the rates of its period; where the study knows of a rate that moves, those of the periods in which
    the unit gets there.
    """
    if case.future.after:
        one = np.ones((*case.future.log_traffic.shape, 1))
        return _reach(case, case.posterior.stages, slice(None), one, one[:, -1])[..., 0]
    chance = np.ones_like(case.future.log_traffic)
    for rate in case.future.rates.values():
        chance = chance * rate
    return chance


def inside_share(
    case: Case, *, until: str | None = None, rows: Rows | slice = slice(None), valued: bool = False
) -> Array:
    """Chance that a unit of a period's traffic is won inside the horizon, (draw, period, channel).

    u_k(t) = p_k(t) sum_d f_k(d) u_(k+1)(t + d), with u = 1 inside the horizon. `until`: reaches that stage instead,
    with one axis more for the slot in which it does, the last one being later. `rows`: for some of the draws. `valued`:
    what its deal then brings, less what is paid back of it inside the horizon.
    """
    future, stages = case.future, case.posterior.stages
    shape = future.log_traffic[rows].shape
    if until is None:
        inside = future.value[rows] if valued else np.ones(shape)
        refunds = refunds_of(case.posterior, case.history, shape[1], rows) if valued else None
        inside = inside if refunds is None else inside * refunds.kept_inside(shape[1])
        return _reach(case, stages, rows, inside[..., None])[..., 0]
    stages = stages[: stages.index(until) + 1]
    horizon = shape[1]  # one target per slot; what is beyond all of them is the last
    reach = _reach(
        case, stages, rows, np.broadcast_to(np.eye(horizon)[None, :, None, :], (*shape, horizon)).copy()
    )
    chance = np.ones(shape)
    for stage in stages:
        chance = chance * np.where(case.history.enters_later(stage), 1.0, future.rates[stage][rows])
    return np.concatenate([reach, (chance - reach.sum(axis=3))[..., None]], axis=3)


def earned(case: Case) -> Array:
    """Revenue that a unit of a period's traffic brings in the end, (draw, period + 1, channel).

    u_k(t) as of `inside_share`, with the value of a deal by the period of its win, and what moves on later at the last
    rates and values; the last slot: of a unit of carry-over after the horizon.
    """
    future = case.future
    later = future.later_value[..., None]
    each = _reach(case, case.posterior.stages, slice(None), future.value[..., None], later)
    last = future.later_value
    for stage in case.posterior.stages:
        last = last * np.where(case.history.enters_later(stage), 1.0, future.rates_on(stage)[:, -1])
    return np.concatenate([each[..., 0], last[:, None]], axis=1)


def deal_value(case: Case) -> Array:
    """Mean value of the deals that the horizon's traffic brings in the end, by draw and channel."""
    inside, _ = case.traffic()
    wins, money = ((inside * each).sum(axis=1) for each in (in_the_end(case), earned(case)[:, :-1]))
    return np.where(wins > 0, money / np.maximum(wins, 1e-300), case.future.later_value)


def _reach(
    case: Case, stages: list[str], rows: Rows | slice, inside: Array, later: Array | None = None
) -> Array:
    """The recursion of `inside_share` from what a unit is worth behind the last stage, by the slot in which it arrives.

    inside (draw, period, channel, target), later (draw, channel, target): nothing where it is None.
    """
    history, future, reach = case.history, case.future, inside
    horizon = inside.shape[1]
    for stage in reversed(stages):
        rate, at_once = future.rates_on(stage, rows), history.enters_later(stage)
        lags, before = lags_of(case, stage, rows), np.empty_like(reach)
        for t in range(horizon):
            landing = reach[:, t]
            if lags is not None:
                own = lags[:, t, : horizon - t].astype(float)
                landing = _landing(own, reach[:, t:])
                if later is not None:
                    landing = landing + (1.0 - own.sum(axis=1))[..., None] * later
            before[:, t] = rate[:, t, :, None] * landing
        before[:, :, at_once] = reach[:, :, at_once]
        if later is not None:
            later = np.where(at_once[:, None], later, rate[:, -1, :, None] * later)
        reach = before
    return reach


def _landing(lags: Array, reach: Array) -> Array:
    """sum_d f(d) u(d), (draw, channel, target), of lags (draw, age, channel) and reach (draw, age, channel, target)."""
    if lags.shape[2] == 1:
        return np.asarray(np.einsum("sd,sdck->sck", lags[:, :, 0], reach, optimize=True))
    return np.asarray(np.einsum("sdc,sdck->sck", lags, reach, optimize=True))
