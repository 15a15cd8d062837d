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
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.budget import money_factor
from forecast.equations import delay_pmf
from forecast.errors import StudyError
from forecast.fit import Posterior, kept_draws
from forecast.history import History
from forecast.outlook.expectation import Outcome, World, outcome, world_of
from forecast.outlook.levers import (
    drawn,
    factor_of,
    family_of,
    mask,
    more_room,
    new_delay,
    raise_rate,
    raise_traffic,
    raise_value,
    recovered,
    weights,
)
from forecast.outlook.open_pipeline import ages_of
from forecast.outlook.simulation import Future, expected_traffic
from forecast.periods import DAYS_PER_PERIOD, parse_period, period_label
from forecast.study import ChangeSpec, RecoverSpec, ScenarioSpec, Study, nearest

Array = NDArray[np.float64]

STREAM = 71  # of the seed: sizes of levers
COLUMNS = ["scenario", "measure", "unit", "mean", "q10", "q50", "q90"]


@dataclass(frozen=True, eq=False)
class Base:
    """The plan as it is, run forward in expectation for some draws, and what it is made of."""

    posterior: Posterior
    history: History
    study: Study
    future: Future
    plan: Array
    rows: NDArray[np.int64]
    world: World
    made: Outcome

    @property
    def channels(self) -> list[str]:
        """Channels by name."""
        return list(self.history.channels)

    @property
    def labels(self) -> list[str]:
        """Periods of the horizon."""
        return [period_label(start, self.history.period) for start in self.future.starts]

    @property
    def valued(self) -> bool:
        """Whether deals have a value; otherwise what stands for revenue are wins."""
        return "deal_mean" in self.posterior.data


def base_of(posterior: Posterior, history: History, study: Study, future: Future, plan: Array) -> Base:
    """Run the plan in expectation, for at most a thousand draws."""
    rows = kept_draws(posterior.draws)
    world = world_of(posterior, history, study, future, plan, rows)
    return Base(posterior, history, study, future, plan, rows, world, outcome(world))


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
        if scenario.capacity is not None and study.economics.capacity is None:
            text = "expected economics.capacity beside it: sales has no limit that could be raised"
            found.append(f"{study.place(f'{place}.capacity')}: {text}")
        if scenario.value is not None and "revenue" not in history.counts and study.funnel.value is None:
            text = "the data have no revenue: give an assumed deal value (funnel.value)"
            found.append(f"{study.place(f'{place}.value')}: {text}")
    if found:
        raise StudyError(found)


def gain_of(base: Base, scenario: ScenarioSpec, *, seed: Sequence[int], later: int = 0) -> Gain:
    """What a scenario brings when it begins `later` periods later than it says; same seed, same sizes of levers."""
    horizon, kind = len(base.plan), base.history.period
    first = base.future.starts

    def start_of(text: str | None, default: int) -> int:
        found = [] if text is None else np.flatnonzero(first == parse_period(text, kind)).tolist()
        return found[0] + later if found else default

    start = start_of(scenario.start, later)
    world, plan = base.world, base.plan
    levers = sorted(scenario.levers(), key=lambda lever: lever[0] != "spend")  # traffic follows from spend
    for number, (key, change) in enumerate(levers):
        z = np.random.default_rng([*seed, number]).standard_normal(len(base.rows))
        ramp = scenario.ramp if change.ramp is None else change.ramp
        weight = weights(horizon, start_of(change.start, start), ramp)
        chosen = change.channels if change.channels is not None else scenario.channels
        channels = mask(base.channels, chosen)
        if isinstance(change, RecoverSpec):
            share = drawn(*change.share, "logit", z)
            delay = change.delay / DAYS_PER_PERIOD[kind]
            world = recovered(world, key.partition(".")[2], share, delay, weight, channels)
        elif key == "spend":
            plan = _spend(plan, change, weight, channels)
            after = base.history.current_spend
            traffic, carried = expected_traffic(base.posterior, base.future, plan, after, kind)
            world = replace(world, traffic=traffic[base.rows], later=carried[base.rows])
        else:
            size = drawn(*change.size, family_of(change, rate=key.startswith("rate")), z)
            world = _changed(base, world, key, change, size, weight, channels)
    made = outcome(world)
    z = np.random.default_rng([*seed, 1000]).standard_normal((2, len(base.rows)))
    once, each = (_cost(*cost, z[i]) for i, cost in enumerate((scenario.cost, scenario.cost_per_period)))
    periods = np.arange(horizon)
    spent = once[:, None] * (periods == start) + each[:, None] * (periods >= start)
    spent = spent + (plan - base.plan).sum(axis=1)
    inside, whole = (made.inside - base.made.inside).sum(axis=2), made.whole - base.made.whole
    per_unit = money_factor(base.posterior, base.history, base.study)[base.rows] * float(base.valued)
    landed = base.study.economics.gross_margin * float(base.valued) * inside
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
        return new_delay(world, stage, _delay(base, stage, change, size, len(weight)), weight)
    if world.room is None:
        raise ValueError("a capacity that is not there cannot be changed")
    return more_room(world, factor_of(change, size, world.room), weight)


def _delay(base: Base, stage: str, change: ChangeSpec, size: Array, horizon: int) -> Array:
    """Chance to move on by age, (draw, age), with the mean delay changed; sizes are in days."""
    posterior, days = base.posterior, DAYS_PER_PERIOD[base.history.period]
    mean = posterior.array(f"delay_mean_{stage}")[base.rows]
    if mean.any():
        changed = mean * factor_of(change, size, mean * days)
    else:
        changed = np.maximum(size, 0.0) / days if change.kind != "times" else mean
    ages = max(ages_of(posterior, stage), 2 * horizon)
    return delay_pmf(changed, posterior.array(f"delay_cv_{stage}")[base.rows], ages)


def _spend(plan: Array, change: ChangeSpec, weight: Array, channels: Any) -> Array:
    """The plan with the spend of the channels concerned changed, in total a period, spread over them as it is."""
    total = (plan * channels).sum(axis=1)
    size = change.size[0]
    if change.kind == "times":
        wanted = total * size
    elif change.kind == "by":
        wanted = np.maximum(total + size, 0.0)
    else:
        wanted = total * size / change.from_ if change.from_ is not None else np.full_like(total, size)
    share = (
        np.where(total[:, None] > 0, plan * channels, channels)
        / np.where(total > 0, total, channels.sum())[:, None]
    )
    return np.asarray(plan + weight[:, None] * share * (wanted - total)[:, None])


@dataclass(frozen=True, eq=False)
class Compared:
    """All scenarios of a study: the table of scenarios.csv, and each gain by name."""

    table: pd.DataFrame
    gains: dict[str, Gain]


def compare(base: Base, *, seed: int) -> Compared:
    """Compare the scenarios of the study with the plan as it is. Raises StudyError for what the data refuse."""
    check_scenarios(base.study, base.history, base.future.starts)
    gains: dict[str, Gain] = {}
    rows: list[dict[str, Any]] = []
    for number, scenario in enumerate(base.study.scenarios):
        gains[scenario.name] = gain_of(base, scenario, seed=[seed, STREAM, number])
    ahead = np.stack([gain.contribution for gain in gains.values()]) if gains else np.zeros((0, 0))
    for number, scenario in enumerate(base.study.scenarios):
        gain = gains[scenario.name]
        late = gain_of(base, scenario, seed=[seed, STREAM, number], later=1)
        rows += _rows(base, scenario, gain, gain.contribution - late.contribution)
        if base.valued and len(gains) > 1:
            best = float((ahead.argmax(axis=0) == number).mean())
            rows.append(_one(scenario.name, "p_best", "probability", best))
    return Compared(pd.DataFrame(rows, columns=COLUMNS), gains)


def _rows(base: Base, scenario: ScenarioSpec, gain: Gain, late: Array) -> list[dict[str, Any]]:
    cur = base.study.currency
    draws: dict[str, tuple[str, Array]] = {"won": ("wins", gain.won)}
    if not base.valued:
        draws |= {"won_eventual": ("wins", gain.eventual), "relative": ("share", gain.relative)}
        draws |= {"cost": (cur, gain.cost)}
    else:
        draws |= {"revenue": (cur, gain.revenue), "revenue_eventual": (cur, gain.eventual)}
        draws |= {"relative": ("share", gain.relative), "cost": (cur, gain.cost)}
        draws |= {"contribution_horizon": (cur, gain.inside), "contribution": (cur, gain.contribution)}
        draws |= {"payback_periods": ("periods", gain.payback()), "cost_of_delay": (cur, late)}
    rows = [_band(scenario.name, name, unit, values) for name, (unit, values) in draws.items()]
    if base.valued:
        rows.append(_one(scenario.name, "p_payback_horizon", "probability", (gain.inside >= 0).mean()))
        rows.append(_one(scenario.name, "p_payback", "probability", (gain.contribution >= 0).mean()))
    return rows


def _band(scenario: str, measure: str, unit: str, draws: Array) -> dict[str, Any]:
    """Mean and 80 % band; of a time that may never come the quantiles that are finite, and no mean."""
    ordered = np.quantile(draws, (0.1, 0.5, 0.9), method="linear" if np.isfinite(draws).all() else "higher")
    q10, q50, q90 = (float(q) if np.isfinite(q) else np.nan for q in ordered)
    mean = float(draws.mean()) if np.isfinite(draws).all() else np.nan
    return {
        "scenario": scenario,
        "measure": measure,
        "unit": unit,
        "mean": mean,
        "q10": q10,
        "q50": q50,
        "q90": q90,
    }


def _one(scenario: str, measure: str, unit: str, value: float) -> dict[str, Any]:
    nothing = dict.fromkeys(("q10", "q50", "q90"), np.nan)
    return {"scenario": scenario, "measure": measure, "unit": unit, "mean": float(value)} | nothing
