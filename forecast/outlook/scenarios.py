"""Scenarios: named levers compared with the plan as it is, draw by draw, on the expected road.

Both worlds of a draw share everything but the levers, so a gain holds no chance; its band is what is not known of the
company and of the levers. Money of a draw:

    revenue        revenue inside the horizon, more than without
    eventual       all revenue in the end of who is in the funnel by the end of the horizon, more than without
    cost           once, a period, and spend more than planned
    contribution inside the horizon = gross margin x revenue - cost
    contribution in the end         = gross margin x customer value x discount x eventual - cost
    payback        periods from the start until margin on what has landed has paid what has been spent by then
    cost of delay  contribution in the end less that of the same levers begun one period later

What a lever brings to units that enter after the horizon is not counted, nor its cost then.

Levers change a world of the expected road, by the size drawn for each draw, with a start and a ramp. A lever on a rate
or a delay concerns units that enter the stage before from its start on: who is on the way already keeps the rate and
the delay of then. Weights (period,) say how much of a change holds: 0 before the start, then even steps, 1 after the
ramp. What comes after the horizon has the weight of its last period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from forecast.columns import TABLES
from forecast.equations import delay_pmf
from forecast.errors import StudyError
from forecast.fit import kept_draws
from forecast.history import History
from forecast.outlook.case import Case
from forecast.outlook.expectation import Outcome, Recovery, World, outcome, world_of
from forecast.outlook.open_pipeline import ages_of
from forecast.outlook.unit_economics import money_factor
from forecast.periods import DAYS_PER_PERIOD, parse_period, period_label
from forecast.study import (
    Z80,
    ChangeSpec,
    RecoverSpec,
    ScenarioSpec,
    Study,
    begins_outside,
    nearest,
    taken_back,
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STREAM = 71  # of the seed: sizes of levers
COLUMNS = [column.name for column in TABLES["scenarios"][1]]

CV = 0.8  # of the delay of recovered units
AGES = 60


@dataclass(frozen=True, eq=False)
class Base:
    """The plan as it is, run forward in expectation for some draws (`rows`)."""

    case: Case
    rows: NDArray[np.int64]
    world: World
    made: Outcome


def base_of(case: Case) -> Base:
    """Run the plan in expectation, for at most a thousand draws."""
    rows = kept_draws(case.posterior.draws)
    world = world_of(case, rows)
    return Base(case, rows, world, outcome(world))


@dataclass(frozen=True, eq=False)
class Gain:
    """What a scenario brings over the plan as it is, by draw. path, spent: margin and cost so far, (draw, period)."""

    start: int
    won: Array
    revenue: Array
    eventual: Array
    relative: Array
    cost: Array
    inside: Array
    contribution: Array
    path: Array
    spent: Array

    def payback(self) -> Array:
        """Periods from the start until the margin has paid the cost, (draw,); infinite beyond the horizon."""
        paid = (self.path >= self.spent - 1e-9)[:, self.start :]
        first = paid.argmax(axis=1) + 1.0
        return np.where(paid.any(axis=1), first, np.inf)


def check_scenarios(study: Study, history: History, horizon: NDArray[np.datetime64]) -> None:
    """Names of channels and periods that only the data can judge. Raises StudyError with every problem."""
    found = []
    for number, scenario in enumerate(study.scenarios, start=1):
        if taken_back(study) and begins_outside(scenario, horizon, history.period):
            continue  # left out: `study.looking_back`
        place = f"scenario.{number}"
        parts: list[tuple[str, ScenarioSpec | ChangeSpec | RecoverSpec]] = [("", scenario)]
        parts += [(f".{key}", lever) for key, lever in scenario.levers()]
        for key, part in parts:
            for name in part.channels or ():
                if name not in history.channels:
                    known = ", ".join(history.channels)
                    text = f'expected channels of the history ({known}); came "{name}"'
                    found.append(
                        f"{study.place(f'{place}{key}.channels')}: {text}{nearest(name, history.channels)}"
                    )
            if part.start is not None and parse_period(part.start, history.period) not in horizon:
                first, last = (period_label(horizon[i], history.period) for i in (0, -1))
                text = f'expected a period of the horizon ({first} to {last}); came "{part.start}"'
                found.append(f"{study.place(f'{place}{key}.start')}: {text}: set it, or raise plan.periods")
            stage = key.partition(".")[2].partition(".")[2]  # of ".rate.won"
            if stage and stage not in history.counted[1:]:
                text = f"the data count no stage before {stage}, so nothing leads into it: take the lever out"
                found.append(f"{study.place(f'{place}{key}')}: {text}")
        if scenario.capacity is not None and study.economics.capacity is None:
            text = "expected economics.capacity beside it: sales has no limit that could be raised"
            found.append(f"{study.place(f'{place}.capacity')}: {text}")
        if scenario.value is not None and not history.valued and study.funnel.value is None:
            text = "the data have no revenue: give an assumed deal value (funnel.value)"
            found.append(f"{study.place(f'{place}.value')}: {text}")
    if found:
        raise StudyError(found)


def gain_of(base: Base, scenario: ScenarioSpec, *, seed: Sequence[int], later: int = 0) -> Gain:
    """What a scenario brings when it begins `later` periods later than it says; same seed, same sizes of levers."""
    horizon, kind = len(base.case.plan), base.case.history.period
    first = base.case.future.starts

    def start_of(text: str | None, default: int) -> int:
        found = [] if text is None else np.flatnonzero(first == parse_period(text, kind)).tolist()
        return found[0] + later if found else default

    start = start_of(scenario.start, later)
    world, plan = base.world, base.case.plan
    levers = sorted(scenario.levers(), key=lambda lever: lever[0] != "spend")  # traffic follows from spend
    for number, (key, change) in enumerate(levers):
        z = np.random.default_rng([*seed, number]).standard_normal(len(base.rows))
        ramp = scenario.ramp if change.ramp is None else change.ramp
        weight = weights(horizon, start_of(change.start, start), ramp)
        chosen = change.channels if change.channels is not None else scenario.channels
        channels = mask(base.case.channels, chosen)
        if isinstance(change, RecoverSpec):
            share = drawn(*change.share, "logit", z)
            delay = change.delay / DAYS_PER_PERIOD[kind]
            world = recovered(world, key.partition(".")[2], share, delay, weight, channels)
        elif key == "spend":
            plan = _spend(plan, change, weight, channels)
            traffic, carried = base.case.traffic(plan)
            world = replace(world, traffic=traffic[base.rows], later=carried[base.rows])
        else:
            size = drawn(*change.size, family_of(change, rate=key.startswith("rate")), z)
            world = _changed(base, world, key, change, size, weight, channels)
    made = outcome(world)
    z = np.random.default_rng([*seed, 1000]).standard_normal((2, len(base.rows)))
    once, each = (_cost(*cost, z[i]) for i, cost in enumerate((scenario.cost, scenario.cost_per_period)))
    periods = np.arange(horizon)
    spent = once[:, None] * (periods == start) + each[:, None] * (periods >= start)
    spent = spent + (plan - base.case.plan).sum(axis=1)
    inside, whole = (made.inside - base.made.inside).sum(axis=2), made.whole - base.made.whole
    per_unit = money_factor(base.case)[base.rows] * float(base.case.valued)
    landed = base.case.study.economics.gross_margin * float(base.case.valued) * inside
    new = base.made.eventual.sum(axis=1)
    return Gain(
        start=start,
        won=(made.units["won"] - base.made.units["won"]).sum(axis=(1, 2)),
        revenue=inside.sum(axis=1),
        eventual=whole.sum(axis=1),
        relative=(made.eventual.sum(axis=1) - new) / np.maximum(new, 1e-300),
        cost=spent.sum(axis=1),
        inside=landed.sum(axis=1) - spent.sum(axis=1),
        contribution=(whole * per_unit).sum(axis=1) - spent.sum(axis=1),
        path=np.cumsum(landed, axis=1),
        spent=np.cumsum(spent, axis=1),
    )


def _cost(low: float, high: float, z: Array) -> Array:
    return drawn(low, high, "log" if low > 0 else "normal", z)


def _changed(
    base: Base, world: World, key: str, change: ChangeSpec, size: Array, weight: Array, channels: Any
) -> World:
    """The world with one lever moved, its size (draw,) drawn already."""
    lever, _, stage = key.partition(".")
    if lever == "rate":
        factor = factor_of(change, size, world.rates[stage], most=1.0)
        return raise_rate(world, stage, factor, weight, channels)
    if lever == "traffic":  # the channels concerned have in total what the change says
        factor = factor_of(change, size, (world.traffic * channels).sum(axis=2, keepdims=True))
        return raise_traffic(world, factor, weight, channels)
    if lever == "value":
        return raise_value(world, factor_of(change, size, world.value), weight, channels)
    if lever == "delay":
        return new_delay(world, stage, *_delays(base, stage, change, size, len(weight)), weight)
    if world.room is None:
        raise ValueError("a capacity that is not there cannot be changed")
    return more_room(world, factor_of(change, size, world.room), weight)


def _delays(base: Base, stage: str, change: ChangeSpec, size: Array, horizon: int) -> tuple[Array, Array]:
    """Chance to move on by age, (draw, age), as it is and with the mean delay changed; sizes are in days."""
    posterior, days = base.case.posterior, DAYS_PER_PERIOD[base.case.history.period]
    mean = posterior.array(f"delay_mean_{stage}")[base.rows]
    if mean.any():
        changed = mean * factor_of(change, size, mean * days)
    else:
        changed = np.maximum(size, 0.0) / days if change.kind != "times" else mean
    return delay_about(base, stage, mean, 2 * horizon), delay_about(base, stage, changed, 2 * horizon)


def delay_about(base: Base, stage: str, mean: Array, ages: int) -> Array:
    """Law of the delay into a stage with another mean (draw,), of at least so many ages, (draw, age)."""
    posterior = base.case.posterior
    cv = posterior.array(f"delay_cv_{stage}")[base.rows]
    return delay_pmf(mean, cv, max(ages_of(posterior, stage), ages))


def _spend(plan: Array, change: ChangeSpec, weight: Array, channels: Any) -> Array:
    """The plan with the spend of the channels concerned changed, in total a period, spread over them as it is."""
    total = (plan * channels).sum(axis=1)
    more = changed_by(change, change.size[0], total) - total
    own = np.where(total[:, None] > 0, plan * channels, channels)
    share = own / np.where(total > 0, total, channels.sum())[:, None]
    return np.asarray(plan + weight[:, None] * share * more[:, None])


@dataclass(frozen=True, eq=False)
class Compared:
    """All scenarios of a study: the table of scenarios.csv, and each gain by name."""

    table: pd.DataFrame
    gains: dict[str, Gain]


def compare_scenarios(base: Base, *, seed: int) -> Compared:
    """Compare the scenarios of the study with the plan as it is. Raises StudyError for what the data refuse."""
    check_scenarios(base.case.study, base.case.history, base.case.future.starts)
    gains = {
        scenario.name: gain_of(base, scenario, seed=[seed, STREAM, number])
        for number, scenario in enumerate(base.case.study.scenarios)
    }
    ahead = np.array([gain.contribution for gain in gains.values()])
    rows: list[dict[str, Any]] = []
    for number, (scenario, gain) in enumerate(zip(base.case.study.scenarios, gains.values(), strict=True)):
        late = gain_of(base, scenario, seed=[seed, STREAM, number], later=1)
        rows += _rows(base, scenario, gain, gain.contribution - late.contribution)
        if base.case.valued and len(gains) > 1:
            best = float((ahead.argmax(axis=0) == number).mean())
            rows.append(_one(scenario.name, "p_best", "probability", best))
    return Compared(pd.DataFrame(rows, columns=COLUMNS), gains)


def _rows(base: Base, scenario: ScenarioSpec, gain: Gain, late: Array) -> list[dict[str, Any]]:
    cur = base.case.study.currency
    draws: dict[str, tuple[str, Array]] = {"won": ("wins", gain.won)}
    if not base.case.valued:
        draws |= {"won_eventual": ("wins", gain.eventual), "relative": ("share", gain.relative)}
        draws |= {"cost": (cur, gain.cost)}
    else:
        draws |= {"revenue": (cur, gain.revenue), "revenue_eventual": (cur, gain.eventual)}
        draws |= {"relative": ("share", gain.relative), "cost": (cur, gain.cost)}
        draws |= {"contribution_horizon": (cur, gain.inside), "contribution": (cur, gain.contribution)}
        draws |= {"payback_periods": ("periods", gain.payback()), "cost_of_delay": (cur, late)}
    rows = [_band(scenario.name, name, unit, values) for name, (unit, values) in draws.items()]
    if base.case.valued:
        rows.append(_one(scenario.name, "p_payback_horizon", "probability", (gain.inside >= 0).mean()))
        rows.append(_one(scenario.name, "p_payback", "probability", (gain.contribution >= 0).mean()))
    return rows


def _band(scenario: str, measure: str, unit: str, draws: Array) -> dict[str, Any]:
    """Mean and 80 % band; of a time that may never come the quantiles that are finite, and no mean."""
    ordered = np.quantile(draws, (0.1, 0.5, 0.9), method="linear" if np.isfinite(draws).all() else "higher")
    q10, q50, q90 = (float(q) if np.isfinite(q) else np.nan for q in ordered)
    mean = float(draws.mean()) if np.isfinite(draws).all() else np.nan
    return dict(zip(COLUMNS, (scenario, measure, unit, mean, q10, q50, q90), strict=True))


def _one(scenario: str, measure: str, unit: str, value: float) -> dict[str, Any]:
    """A number without a band."""
    return dict(zip(COLUMNS, (scenario, measure, unit, float(value), *3 * [np.nan]), strict=True))


# -------------------------------------------------------------------------------------------------------- levers


def weights(horizon: int, start: int, ramp: int) -> Array:
    """How much of a change holds in each period, (period,).

    >>> weights(5, 1, 2).round(2).tolist()
    [0.0, 0.33, 0.67, 1.0, 1.0]
    """
    return np.clip((np.arange(horizon) - start + 1.0) / (ramp + 1.0), 0.0, 1.0)


def drawn(low: float, high: float, family: str, z: Array) -> Array:
    """Draws with `low` to `high` as the central 80 %, from standard normals z; family log, logit or normal."""
    if low == high:
        return np.full_like(z, low)
    to, back = {"log": (np.log, np.exp), "logit": (logit, expit)}.get(family, (np.asarray, np.asarray))
    a, b = float(to(low)), float(to(high))
    return np.asarray(back((a + b) / 2 + z * (b - a) / (2 * Z80)))


def factor_of(change: ChangeSpec, size: Array, current: Array, *, most: float = np.inf) -> Array:
    """What a change makes of `current` (draw, ...), as a factor (draw, ...); `most`: the highest value allowed."""
    size = size.reshape(-1, *([1] * (current.ndim - 1)))
    changed = np.minimum(changed_by(change, size, current), most)
    return np.asarray(np.where(current > 0, changed / np.where(current > 0, current, 1.0), 1.0))


def changed_by(change: ChangeSpec, size: Array | float, current: Array) -> Array:
    """What a change makes of `current`, never below zero; broadcast."""
    if change.kind == "times":
        changed = current * size
    elif change.kind == "by":
        changed = current + size
    elif change.from_ is not None:
        changed = current * size / change.from_
    else:
        changed = np.broadcast_to(size, current.shape)
    return np.maximum(changed, 0.0)


def family_of(change: ChangeSpec, *, rate: bool = False) -> str:
    """The family that the size of a change is drawn from."""
    if change.kind == "by" or change.size[0] <= 0:
        return "normal"
    return "logit" if rate and change.kind == "to" and change.from_ is None else "log"


def raise_rate(world: World, stage: str, factor: Array, weight: Array, channels: Mask) -> World:
    """Multiply a rate by a factor (draw, period, channel) as far as the weights say; never above 1."""
    moved = channels & ~world.at_once[stage]
    rate = world.rates[stage]
    changed = np.minimum(rate * factor, 1.0)
    raised = np.where(moved, rate + weight[:, None] * (changed - rate), rate)
    return replace(world, rates={**world.rates, stage: raised})


def raise_traffic(world: World, factor: Array, weight: Array, channels: Mask) -> World:
    """Multiply traffic by a factor (draw, period, channel); carry-over by that of the last period."""
    change = np.where(channels, 1.0 + weight[:, None] * (factor - 1.0), 1.0)
    return replace(world, traffic=world.traffic * change, later=world.later * change[:, -1])


def raise_value(world: World, factor: Array, weight: Array, channels: Mask) -> World:
    """Multiply the value of deals that are won from then on."""
    change = np.where(channels, 1.0 + weight[:, None] * (factor - 1.0), 1.0)
    return replace(
        world,
        value=world.value * change,
        later_value=world.later_value * np.broadcast_to(change, world.value.shape)[:, -1],
    )


def new_delay(world: World, stage: str, now: Array, pmf: Array, weight: Array) -> World:
    """Give units the delay `pmf` in place of `now`, (draw, age) both, as far as the weights say.

    Where units move by hazards, `now` is only like their delay: what lies between the two is added to it.
    """
    horizon = len(weight)
    at_once = np.zeros((1, 1, horizon, 1))
    at_once[:, :, 0] = 1.0
    lags = world.lags.get(stage, at_once)
    apart = (pmf - now)[:, None, :horizon, None]
    mixed = np.maximum(lags + weight[None, :, None, None] * apart, 0.0)
    mixed = mixed / np.maximum(mixed.sum(axis=2, keepdims=True), 1.0)
    return replace(world, lags={**world.lags, stage: mixed})


def more_room(world: World, factor: Array, weight: Array) -> World:
    """Multiply what sales can take, factor (draw, period)."""
    if world.room is None:
        raise ValueError("sales without a limit cannot take more")
    return replace(world, room=world.room * (1.0 + weight * (factor - 1.0)))


def recovered(world: World, stage: str, share: Array, delay: float, weight: Array, channels: Mask) -> World:
    """Let a share (draw,) of the units that do not move into `stage` come back into it, `delay` periods later."""
    lags = np.repeat(delay_pmf(delay, CV, AGES)[None, :], len(share), axis=0)
    back = share[:, None, None] * weight[:, None] * channels
    return replace(world, recovery={**world.recovery, stage: Recovery(back, lags)})


def mask(channels: Sequence[str], chosen: Sequence[str] | None) -> Mask:
    """Which channels a lever concerns."""
    return np.array([chosen is None or name in chosen for name in channels])
