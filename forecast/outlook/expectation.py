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
from scipy.special import expit

from forecast.equations import delay_pmf
from forecast.fit import Posterior
from forecast.history import History
from forecast.outlook.open_pipeline import ages_of, moves_by_slot, open_units
from forecast.outlook.queue import LATEST, fluid_queue
from forecast.outlook.simulation import Future, expected_traffic
from forecast.study import Study

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
    period, age). pipeline: by stage, expected moves of open units by slot (draw, period + 1, channel). value: of a deal
    by the period of its win; 1 where deals have none. at_once: by stage, channels that enter later. inflow, recovery:
    by stage. room (draw, period): units that sales takes, or None; limited: channels that sales handles.
    """

    traffic: Array
    later: Array
    rates: Mapping[str, Array]
    lags: Mapping[str, Array]
    pipeline: Mapping[str, Array]
    value: Array
    at_once: Mapping[str, NDArray[np.bool_]]
    first: str
    inflow: Mapping[str, Array] = field(default_factory=dict)
    recovery: Mapping[str, Recovery] = field(default_factory=dict)
    room: Array | None = None
    decay: float = 0.0
    limited: NDArray[np.bool_] | None = None

    @property
    def stages(self) -> list[str]:
        """Destination stages in funnel order."""
        return list(self.rates)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Expected units and money. units: by stage (draw, period, channel). won: wins by (kind, draw, slot, channel).

    inside (draw, period, channel): revenue in the horizon; after (draw, channel): of units in the funnel by its end;
    eventual (draw, channel): all revenue of the horizon's cohorts, carry-over included; carried: of carry-over alone.
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
        return self.inside.sum(axis=1) + self.after + self.carried


def world_of(
    posterior: Posterior, history: History, study: Study, future: Future, plan: Array, rows: Rows
) -> World:
    """The world of some draws at a plan (period, channel)."""
    traffic, later = expected_traffic(posterior, future, plan, history.current_spend, history.period)
    horizon = len(plan)
    stages = list(posterior.provenance["stages"])
    lags, pipeline = {}, {}
    for before, stage in pairwise(stages):
        mean = posterior.array(f"delay_mean_{stage}")[rows]
        if mean.any():
            pmf = _pmf(posterior, stage, mean, rows, horizon)
            lags[stage] = np.broadcast_to(pmf[:, None, :horizon], (len(rows), horizon, horizon))
            pipeline[stage] = pipeline_moves(posterior, history, before, stage, pmf, rows, horizon)
    capacity = study.economics.capacity
    value = posterior.array("deal_mean")[rows] if "deal_mean" in posterior.data else np.ones_like(later[rows])
    value = np.broadcast_to(value[:, None, :], traffic[rows].shape)
    return World(
        traffic=traffic[rows],
        later=later[rows],
        rates={stage: rate[rows] for stage, rate in future.rates.items()},
        lags=lags,
        pipeline=pipeline,
        value=value,
        at_once={stage: history.enters_later(stage) for stage in stages[1:]},
        first=stages[0],
        inflow={stage: flow[rows] for stage, flow in future.inflow.items()},
        room=None if capacity is None else np.full((len(rows), horizon), float(capacity)),
        decay=study.economics.capacity_decay,
        limited=history.entry < len(stages) - 1,
    )


def _pmf(posterior: Posterior, stage: str, mean: Array, rows: Rows, horizon: int) -> Array:
    pmf = delay_pmf(mean, posterior.array(f"delay_cv_{stage}")[rows], ages_of(posterior, stage))
    return np.concatenate([pmf, np.zeros((len(pmf), horizon + 1))], axis=1)


def pipeline_moves(
    posterior: Posterior, history: History, before: str, stage: str, f: Array, rows: Rows, horizon: int
) -> Array:
    """Expected moves into `stage` by units that entered `before` up to the as-of date: (draw, slot, channel)."""
    units, waited, known_open = open_units(history, posterior, before, stage)
    ages = waited.shape[1]
    filled = np.flatnonzero(units.sum(axis=1) > 0)
    if not filled.size:
        return np.zeros((len(rows), horizon + 1, units.shape[1]))
    cohort = np.maximum(filled - (len(units) - len(history.periods)), 0)
    rate = expit(posterior.data[f"logit_rate_{stage}"].values[rows][:, cohort].astype(float))
    if known_open:
        weights = waited[filled].T
        lived = np.minimum(np.cumsum(f, axis=1)[:, :ages] @ weights, 1.0)[:, :, None]
        lost = np.zeros_like(rate)
        if f"loss_logit_{stage}" in posterior.data:
            q = expit(posterior.data[f"loss_logit_{stage}"].values[rows][:, cohort].astype(float))
            mean = posterior.array(f"loss_delay_mean_{stage}")[rows]
            g = delay_pmf(mean, posterior.array(f"loss_delay_cv_{stage}")[rows], ages)
            lost = q * np.minimum(np.cumsum(g, axis=1) @ weights, 1.0)[:, :, None]
        share = _open_share(posterior, history, before, stage, rows, filled, rate, lived, lost)
    else:
        share = rate
    return moves_by_slot(share * units[filled], waited[filled], f, horizon)


def _open_share(
    posterior: Posterior,
    history: History,
    before: str,
    stage: str,
    rows: Rows,
    filled: Rows,
    rate: Array,
    lived: Array,
    lost: Array,
) -> Array:
    """E[p / (1 - p F - (1 - p) L)] of units that are still open, p ~ Beta about the rate and what its cohort has shown.

    With A = 1 - L, B = L - F: g(p) = p / (A + B p), g'' = -2 A B / (A + B p)^3, and E g = g(m) + g''(m) v / 2.
    """
    noise = posterior.array(f"noise_{stage}")[rows][:, None, None]
    inner = np.clip(rate, 1e-9, 1 - 1e-9)
    kappa = 1.0 / (noise**2 * inner * (1 - inner) + 1e-6)
    entered = history.filled(before)[filled]
    if stage in history.triangles:
        moved = history.triangles[stage].values.sum(axis=1)[filled].astype(float)
    else:
        moved = history.filled(stage)[filled]
    a = inner * kappa + moved
    b = (1 - inner) * kappa + np.maximum(entered * lived - moved, 0.0)
    mean = a / (a + b)
    variance = mean * (1.0 - mean) / (a + b + 1.0)
    left, slope = 1.0 - lost, lost - lived
    still = np.maximum(left + slope * mean, 1e-9)
    first = mean / still
    return np.asarray(np.clip(first - variance * left * slope / still**3, 0.5 * first, 2.0 * first))


def outcome(world: World) -> Outcome:
    """Run a world forward."""
    draws, horizon, channels = world.traffic.shape
    both = np.zeros((2, draws, horizon + 1, channels))
    both[NEW, :, :horizon] = world.traffic
    tail = world.later
    _flow_in(world, world.first, both)
    units = {world.first: both[:, :, :horizon].sum(axis=0)}
    for stage in world.stages:
        if world.room is not None and stage == world.stages[-1]:
            both, tail = _through_sales(world, both, tail)
        both, tail = _move(world, stage, both, tail)
        _flow_in(world, stage, both)
        units[stage] = both[:, :, :horizon].sum(axis=0)
    entry = [world.first, *world.stages]
    for position, stage in enumerate(entry[:-1]):
        units[stage] = units[stage] * ~world.at_once[entry[position + 1]]
    money = both * np.concatenate([world.value, world.value[:, -1:]], axis=1)
    carried = tail * world.value[:, -1]
    return Outcome(
        units=units,
        won=both,
        inside=money[:, :, :horizon].sum(axis=0),
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
    rate = world.rates[stage]
    rate = np.concatenate([rate, rate[:, -1:]], axis=1)
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
        lags = np.broadcast_to(back.lags[:, None, :horizon], (len(tail), horizon, horizon))
        arrivals = arrivals + _delayed(lost, lags)
        tail = tail + staying * share[:, -1]
    return arrivals, tail


def _delayed(moving: Array, lags: Array) -> Array:
    """Spread units (kind, draw, slot, channel) over later slots; lags (draw, period of entry, age)."""
    horizon = moving.shape[2] - 1
    landed = np.zeros_like(moving)
    for h in range(horizon):
        inside = lags[:, h, : horizon - h]
        landed[:, :, h:horizon] += moving[:, :, h, None] * inside[None, :, :, None]
        landed[:, :, horizon] += moving[:, :, h] * (1.0 - inside.sum(axis=1))[None, :, None]
    landed[:, :, horizon] += moving[:, :, horizon]
    return landed


def _through_sales(world: World, both: Array, tail: Array) -> tuple[Array, Array]:
    """What sales takes of units in front of the last stage, in expectation; see `outlook.queue`."""
    room, limited = world.room, world.limited
    if room is None or limited is None:
        return both, tail
    arriving = both[:, :, :-1] * limited
    handled, _ = fluid_queue(arriving, room, world.decay)
    latest = arriving[:, :, -LATEST:].sum(axis=(0, 2, 3))
    span = min(LATEST, room.shape[1])
    share = np.minimum(1.0, room[:, -1] * span / np.maximum(latest, 1e-12))[:, None]
    handled[:, :, -1] += both[:, :, -1] * limited * share
    return handled + both * ~limited, np.where(limited, tail * share, tail)


def mean_world(world: World) -> World:
    """The world at the mean of its draws, ingredient by ingredient, as often as there are draws."""

    def mean(values: Array) -> Array:
        return np.broadcast_to(values.mean(axis=0, keepdims=True), values.shape)

    return replace(
        world,
        traffic=mean(world.traffic),
        later=mean(world.later),
        rates={stage: mean(rate) for stage, rate in world.rates.items()},
        lags={stage: mean(lags) for stage, lags in world.lags.items()},
        pipeline={stage: mean(moves) for stage, moves in world.pipeline.items()},
        value=mean(world.value),
        inflow={stage: mean(flow) for stage, flow in world.inflow.items()},
    )
