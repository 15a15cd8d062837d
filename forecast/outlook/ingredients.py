"""What the expected road of some draws is made of, cell by cell, and what chance brought there: for a page to try on.

    expected flow   `outlook.expectation` at any spend, rates, delays, value: everything it needs, for a few draws
    chance          the simulated total of the same draws at the plan; what lies between the two is chance

The draws are chosen from the simulated ones (`chosen_draws`), so that a few hundred have the means and quantiles of
thousands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forecast.equations import carry_periods, with_past
from forecast.outlook.beside import refunds_of
from forecast.outlook.case import Case, saturates
from forecast.outlook.expectation import World, outcome, world_of
from forecast.outlook.lifetime import lifetime_of
from forecast.outlook.scenarios import Base, delay_about
from forecast.outlook.simulation import REPLICATES
from forecast.outlook.unit_economics import STREAM, Flow
from forecast.study import EconomicsSpec

Array = NDArray[np.float64]

DELAYS = (0.5, 0.75, 1.5, 2.0)  # times the mean delay, beside 1, at which its law is known
MOST, LEAST = 280, 100  # draws
SWEEPS = 4  # over the parts that draws are chosen from
SIMULATED = ("revenue", "won", "revenue_eventual", "revenue_from_pipeline", "won_from_pipeline")
CELLS = 390_000  # numbers of all draws together, as far as LEAST allows


@dataclass(frozen=True, eq=False)
class Ingredients:
    """Arrays by name, (draw, ...); what is constant over draws beside them.

    draws: log_traffic, rate_STAGE, after_STAGE, inflow_STAGE, pipeline_STAGE, log_value, log_later_value as of
    `expectation.World`; log_tail, elasticity, base, carry of the response; lags_STAGE (draw, age), or (draw, period of
    entry, age, channel) where these differ, and longer_STAGE (draw, step, age), what `DELAYS` add to it; refund_share
    (draw, channel), refund_law (draw, age), beside (draw, period): what recurs, less refunds of past deals; lifetime
    (draw,): worth of a customer over its first deal.
    chance: revenue, won (draw, period) and eventual (draw,) as simulated at the plan.
    saturates (draw,): the form of the response. past (lag, channel), the latest last; reference, now, current
    (channel,): spend as the response has it; responds, lasting (spend acts beyond its period), stopped, limited
    (channel,); at_once by stage (channel,). highest (channel,): spend of a period, as seen. plans: spend (period,
    channel) by name.
    """

    draws: Mapping[str, Array]
    chance: Mapping[str, Array]
    plans: Mapping[str, Array]
    channels: list[str]
    stages: list[str]
    saturates: NDArray[np.bool_]
    past: Array
    reference: Array
    now: Array
    current: Array
    highest: Array
    responds: NDArray[np.bool_]
    lasting: NDArray[np.bool_]
    stopped: NDArray[np.bool_]
    limited: NDArray[np.bool_]
    at_once: Mapping[str, NDArray[np.bool_]]
    economics: EconomicsSpec = field(default_factory=EconomicsSpec)

    @property
    def size(self) -> int:
        """Number of draws."""
        return len(self.saturates)

    @property
    def valued(self) -> bool:
        """Whether deals have a value."""
        return "log_value" in self.draws


def ingredients_of(
    case: Case, outlook: xr.Dataset, flow: Flow, plans: Mapping[str, Array], *, seed: int
) -> Ingredients:
    """The ingredients of a case, for some of the draws that were simulated at its plan.

    outlook: what was simulated, with a plan "given"; flow: what the horizon acquires at it; plans: spend by name.
    """
    given = outlook.sel(plan="given")
    size = MOST
    while True:
        chosen = chosen_draws(case, given, flow, size)
        draws = _of_draws(case, chosen // REPLICATES, seed)
        cells = sum(np.count_nonzero(values[0]) for values in draws.values())
        room = int(np.clip(CELLS // max(cells, 1), LEAST, MOST))
        if size <= room:
            break
        size = room
    rows = chosen // REPLICATES
    chance = {"won": given["won"].values[chosen].sum(axis=2)}
    if case.valued:
        chance["revenue"] = given["revenue"].values[chosen].sum(axis=2)
        chance["eventual"] = given["revenue_eventual"].values[chosen].sum(axis=1)
    future, history = case.future, case.history
    lags = carry_periods(history.period)
    return Ingredients(
        draws=draws,
        chance={name: np.asarray(values, dtype=float) for name, values in chance.items()},
        plans=dict(plans),
        channels=case.channels,
        stages=case.stages,
        saturates=saturates(case.posterior.draws)[rows, 0, 0],
        past=with_past(future.past_spend, lags)[-lags:],
        reference=future.reference,
        now=future.now,
        current=history.current_spend,
        highest=history.highest_spend,
        responds=future.responds,
        lasting=_lasting(case),
        stopped=future.stopped,
        limited=history.entry < len(case.stages) - 1,
        at_once={stage: history.enters_later(stage) for stage in case.stages[1:]},
        economics=case.study.economics,
    )


def chosen_draws(case: Case, given: xr.Dataset, flow: Flow, most: int) -> NDArray[np.int64]:
    """Simulated draws, at most so many: one of each equal part of what the horizon brings.

    Of each part the one that keeps the sum of all chosen nearest to what it would be of all draws: of what was
    simulated, and of what it rests on (units and worth in expectation, with no spend and twice as much, delays).
    Their means are then those of all.
    """
    told = [given[name].values.sum(axis=-1) for name in SIMULATED if name in given]
    told = [part for values in told for part in (values.T if values.ndim == 2 else [values])]
    won = flow.units[case.stages[-1]]
    worth = won if flow.deal_value is None else won * flow.deal_value
    expected = [*(values.sum(axis=1) for values in flow.units.values()), worth.sum(axis=1)]
    names = (f"delay_{name}_{stage}" for stage in case.stages[1:] for name in ("mean", "cv"))
    expected += [case.posterior.array(name) for name in names]
    first = np.maximum(flow.units[case.stages[0]], 1e-300)
    for times in (0.0, 2.0) if case.future.responds.any() else ():
        more, _ = case.traffic(times * case.plan)
        expected.append((more.sum(axis=1) * (worth / first)).sum(axis=1))
    seen = np.stack([*told, *(np.repeat(values, REPLICATES) for values in expected)], axis=1).astype(float)
    whole = given["revenue" if "revenue" in given else "won"].values.sum(axis=(1, 2))
    order = np.argsort(whole, kind="stable")
    apart = (seen - seen.mean(axis=0)) / np.maximum(seen.std(axis=0), 1e-12)
    size = min(most, len(whole))
    parts = np.split(order, np.arange(1, size) * len(whole) // size)
    chosen, off = np.full(size, -1), np.zeros(seen.shape[1])
    for _ in range(SWEEPS):
        for i, part in enumerate(parts):
            off -= apart[chosen[i]] if chosen[i] >= 0 else 0.0
            chosen[i] = part[((off + apart[part]) ** 2).sum(axis=1).argmin()]
            off += apart[chosen[i]]
    return chosen


def _lasting(case: Case) -> NDArray[np.bool_]:
    return np.asarray(case.future.responds & case.posterior.array("carry").any(axis=0))


def _of_draws(case: Case, rows: NDArray[np.int64], seed: int) -> dict[str, Array]:
    world, posterior, future = world_of(case, rows), case.posterior, case.future
    responds, lasting = future.responds, _lasting(case)
    made = {"log_traffic": future.log_traffic[rows]}
    made["log_tail"] = np.where(lasting, future.tail_traffic[rows], 0.0)
    for name in ("elasticity", "base", "carry"):
        made[name] = np.where(responds, posterior.array(name)[rows], 0.0)
    for stage in world.stages:
        made[f"rate_{stage}"] = world.rates[stage]
        for name, by_stage in (
            ("after", world.after),
            ("inflow", world.inflow),
            ("pipeline", world.pipeline),
        ):
            if stage in by_stage:
                made[f"{name}_{stage}"] = by_stage[stage]
        made |= _delay(case, world, stage, rows)
    if world.first in world.inflow:
        made[f"inflow_{world.first}"] = world.inflow[world.first]
    if case.valued:
        made |= {"log_value": np.log(world.value), "log_later_value": np.log(world.later_value)}
        paid = lifetime_of(case.study).draws(posterior.draws, np.random.default_rng([seed, STREAM]))
        made["lifetime"] = paid.sum(axis=1)[rows]
        made |= _beside(case, world, rows)
    return made


def _delay(case: Case, world: World, stage: str, rows: NDArray[np.int64]) -> dict[str, Array]:
    """The law of a delay, and what it becomes when the mean is `DELAYS` times as long; nothing without a delay."""
    if stage not in world.lags:
        return {}
    horizon, mean = case.horizon, case.posterior.array(f"delay_mean_{stage}")[rows]
    lags, base = world.lags[stage], Base(case, rows, world, outcome(world))
    alike = lags.shape[3] == 1 and (lags == lags[:, :1]).all()
    inside = np.add.outer(np.arange(horizon), np.arange(horizon)) < horizon  # by period of entry and age
    now, *longer = (
        delay_about(base, stage, mean * factor, 2 * horizon)[:, :horizon] for factor in (1.0, *DELAYS)
    )
    steps = {f"longer_{stage}": np.stack([law - now for law in longer], axis=1)} if mean.any() else {}
    return {f"lags_{stage}": lags[:, 0, :, 0] if alike else lags * inside[None, :, :, None], **steps}


def _beside(case: Case, world: World, rows: NDArray[np.int64]) -> dict[str, Array]:
    """Money beside the deals of the horizon: refunds, and what recurs."""
    made: dict[str, Array] = {}
    refunds = refunds_of(case.posterior, case.history, case.horizon, rows)
    beside = np.zeros((len(rows), case.horizon))
    if refunds is not None:
        made |= {"refund_share": refunds.share, "refund_law": refunds.law[:, : case.horizon]}
        beside = beside - refunds.owed[:, : case.horizon].sum(axis=2)
    if world.recurring is not None:
        beside = beside + world.recurring.sum(axis=2)
    return made | ({"beside": beside} if beside.any() else {})
