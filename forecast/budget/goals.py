"""Dated goals: how likely, how far, and the smallest change of budget or of a rate that makes each likely enough.

A goal sums a measure over its periods, draw by draw; periods that are over count with what came. What a change brings
is the expected road's; the chance about it is that of the simulation, grown with the root of what is expected:

    Y_new = E_new + (Y - E) sqrt(E_new / E)

Budget: today's split of every channel with spend that is not locked, times one factor, in the periods of the goal; no
channel above the limit on spend never seen (`limits.held_back`). A rate: times one factor in all channels from now
on, up to 1. For a goal over the whole horizon `smallest` asks the budget's own solver, which may move money between
channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forecast.budget.decision import Decision, Target, decide
from forecast.budget.limits import held_back
from forecast.columns import TABLES
from forecast.errors import StudyError, UsageError
from forecast.history import History
from forecast.outlook import Base, Outcome, Paths, outcome, raise_rate, within
from forecast.periods import parse_period, period_index, period_label
from forecast.study import GoalSpec, Study, ends_beyond, taken_back

Array = NDArray[np.float64]

MOST = 10.0  # factor of a budget
STEPS = 24  # of the search for the smallest factor


def window_of(
    study: Study, history: History, horizon: NDArray[np.datetime64], number: int
) -> tuple[int, int]:
    """First and last period of a goal, counted from the first of the horizon (negative: over). Raises StudyError."""
    goal, kind = study.goals[number], history.period

    def at(text: str) -> int:
        return int(period_index(parse_period(text, kind), horizon[0], kind))

    def refused(key: str, why: str) -> StudyError:
        return StudyError(f"{study.place(f'goal.{number + 1}.{key}')}: {why}")

    last, first = at(goal.by), 0 if goal.from_ is None else at(goal.from_)
    if last >= len(horizon):
        label = period_label(parse_period(goal.by, kind), kind)
        raise refused(
            "by",
            f"expected a period of the horizon, which ends with {period_label(horizon[-1], kind)}; "
            f'came "{goal.by}" ({label}): set plan.periods = {last + 1}',
        )
    if first > last:
        start = goal.from_ or period_label(horizon[0], kind)
        raise refused("by", f'expected a period not before {start}; came "{goal.by}"')
    if first < -len(history.periods):
        begins = period_label(history.periods[0], kind)
        text = f'expected a period of the history, which begins with {begins}; came "{goal.from_}"'
        raise refused("from", text)
    without = "leave `from` out, and set the amount that is still to come"
    if first < 0 and history.counting == "cohort":
        raise refused("from", f"cohort counts do not say when a unit moved on: {without}")
    if first < 0 and goal.measure not in history.counts:
        raise refused("from", f"the history has no {goal.measure} to count: {without}")
    return first, last


def check_goals(study: Study, history: History, horizon: NDArray[np.datetime64]) -> None:
    """Whether every goal lies where it can be judged, before anything is computed. Raises StudyError."""
    for number, goal in enumerate(study.goals):
        if taken_back(study) and ends_beyond(goal, horizon, history.period):
            continue  # left out: `study.looking_back`
        window_of(study, history, horizon, number)
        if goal.measure == "revenue" and not history.valued and study.funnel.value is None:
            raise StudyError(
                f"{study.place(f'goal.{number + 1}.revenue')}: asks for revenue, and the data have none: add the "
                "column revenue, give an assumed deal value (funnel.value), or set the goal in customers: won = 45"
            )


def goal_tables(
    base: Base, outlook: xr.Dataset | Paths, plan: str, *, seed: int, known: Decision | None = None
) -> dict[str, pd.DataFrame]:
    """`goals`: one row each; `ways`: what would make it likely enough, by lever. known: as of `decide`."""
    rows: list[dict[str, Any]] = []
    ways: list[dict[str, Any]] = []
    for number, goal in enumerate(base.case.study.goals):
        first, last = window_of(base.case.study, base.case.history, base.case.future.starts, number)
        look = _Look(base, outlook, plan, goal, first, last)
        rows.append(look.row())
        if look.p() < goal.chance and last >= 0:
            ways += look.ways()
            if first <= 0 and last == len(base.case.plan) - 1 and goal.measure in ("revenue", "won"):
                ways += smallest(base, goal, look.needed, seed=seed, known=known)
    made = {"goals": rows, "ways": ways}
    return {
        name: pd.DataFrame(each, columns=[c.name for c in TABLES[name][1]]) for name, each in made.items()
    }


class _Look:
    """One goal: its draws as simulated, and what they become under another expectation."""

    def __init__(
        self, base: Base, outlook: xr.Dataset | Paths, plan: str, goal: GoalSpec, first: int, last: int
    ) -> None:
        self.base, self.goal, self.first, self.last = base, goal, first, last
        self.inside = slice(max(first, 0), last + 1)
        values = within(outlook, plan, goal.measure, self.inside)
        self.draws = values
        self.so_far = 0.0
        if first < 0:
            past = base.case.history.filled(goal.measure)
            periods = len(past)
            self.so_far = float(past[periods + first : periods + min(last + 1, 0)].sum())
        self.needed = goal.amount - self.so_far
        replicates = len(values) // base.case.posterior.draws
        kept = values.reshape(base.case.posterior.draws, replicates)[base.rows]
        self.expected = self.total(base.made)[:, None]
        self.noise = kept - self.expected

    def total(self, made: Outcome) -> Array:
        """Expected amount in the goal's periods, (draw,)."""
        paths = made.inside if self.goal.measure == "revenue" else made.units[self.goal.measure]
        return np.asarray(paths[:, self.inside].sum(axis=(1, 2)))

    def p(self) -> float:
        """P(goal) with the plan as it is, as simulated."""
        return float((self.draws >= self.needed).mean())

    def p_with(self, made: Outcome) -> float:
        """P(goal) under another expectation."""
        new = self.total(made)[:, None]
        scale = np.sqrt(new / np.maximum(self.expected, 1e-300))
        return float((new + self.noise * scale >= self.needed).mean())

    def row(self) -> dict[str, Any]:
        """What the table of goals says."""
        goal, base = self.goal, self.base
        all_in = self.draws + self.so_far
        q10, q50, q90, likely = (float(q) for q in np.quantile(all_in, (0.1, 0.5, 0.9, 1.0 - goal.chance)))
        kind = base.case.history.period
        label = period_label(parse_period(goal.from_, kind), kind) if goal.from_ else base.case.labels[0]
        return {
            "goal": goal.title,
            "measure": goal.measure,
            "from": label,
            "by": period_label(parse_period(goal.by, kind), kind),
            "amount": goal.amount,
            "so_far": self.so_far,
            "mean": float(all_in.mean()),
            "q10": q10,
            "q50": q50,
            "q90": q90,
            "chance": goal.chance,
            "p": self.p(),
            "gap_50": goal.amount - q50,
            "gap_chance": goal.amount - likely,
        }

    def ways(self) -> list[dict[str, Any]]:
        """The smallest factor of the budget, and of each rate that moves the measure."""
        base, found = self.base, []
        names = [base.world.first, *base.world.stages]
        until = len(names) if self.goal.measure == "revenue" else names.index(self.goal.measure) + 1
        if (base.case.plan[self.inside] > 0).any():
            found.append(self._way("budget", "", MOST, self._spend, lambda f: float(self._plan(f).sum())))
        full = np.ones(len(base.case.plan))
        channels = np.ones(len(base.case.channels), dtype=bool)
        for stage in names[1:until]:
            rates = base.world.rates[stage]
            if base.world.at_once[stage].all():
                continue
            before = names[names.index(stage) - 1]
            now = _rate(base, before, stage)

            def raised(factor: float, stage: str = stage, rates: Array = rates) -> Outcome:
                return outcome(raise_rate(base.world, stage, np.full_like(rates, factor), full, channels))

            found.append(self._way("rate", stage, 1.0 / max(now, 1e-9), raised, partial(_times, now)))
        return found

    def _way(
        self,
        lever: str,
        stage: str,
        most: float,
        make: Callable[[float], Outcome],
        value: Callable[[float], float],
    ) -> dict[str, Any]:
        """The smallest factor up to `most` that makes the goal likely enough, or how likely the largest makes it."""
        low, high = 1.0, most
        p = self.p_with(make(high))
        reached = p >= self.goal.chance
        for _ in range(STEPS if reached else 0):
            middle = np.sqrt(low * high)
            there = self.p_with(make(float(middle)))
            if there >= self.goal.chance:
                high, p = float(middle), there
            else:
                low = float(middle)
            if high / low < 1.001:
                break
        return {
            "goal": self.goal.title,
            "lever": lever,
            "stage": stage,
            "reached": reached,
            "change": value(high) / value(1.0) - 1.0,
            "value_now": value(1.0),
            "value": value(high),
            "p": p,
        }

    def _plan(self, factor: float) -> Array:
        case = self.base.case
        plan = case.plan.copy()
        plan[self.inside] = held_back(case, case.plan * factor)[self.inside]
        return plan

    def _spend(self, factor: float) -> Outcome:
        base = self.base
        inside, later = base.case.traffic(self._plan(factor))
        return outcome(replace(base.world, traffic=inside[base.rows], later=later[base.rows]))


def _times(rate: float, factor: float) -> float:
    return min(factor * rate, 1.0)


def _rate(base: Base, before: str, stage: str) -> float:
    """The mean rate over the horizon's cohorts, channels weighted by what enters."""
    entering = base.made.units[before]
    return float((entering * base.world.rates[stage]).sum() / max(float(entering.sum()), 1e-300))


def smallest(
    base: Base, goal: GoalSpec, needed: float, *, seed: int, known: Decision | None = None
) -> list[dict[str, Any]]:
    """The smallest budget that the solver finds for a goal over the whole horizon, free to move money; or how far."""
    now = float(base.case.plan.sum())
    told = {"goal": goal.title, "lever": "best budget", "stage": "", "value_now": now}
    try:
        aim = Target(chance=goal.chance, **{goal.measure: needed})
        made = decide(base.case, aim, seed=seed, known=known).allocation
    except UsageError:
        return []
    total = now + float(made.recommended.sum() - made.current.sum())
    p = made.certificate.evidence["p_target"]
    return [told | {"reached": True, "change": total / now - 1.0, "value": total, "p": p}]
