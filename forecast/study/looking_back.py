"""A study taken back to an earlier date: what it asks of periods that its horizon then does not reach.

A study file is written for one date. With `history.through` set beside the file (`--set`, `Study.replace`) the same
file is asked as of an earlier one, and scenarios and goals of later periods are none of that horizon: they are left
out, and said. In the file itself such a period is a mistake, and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from forecast.periods import Periods, parse_period
from forecast.study.scenarios import GoalSpec, ScenarioSpec
from forecast.study.study import Study


def taken_back(study: Study) -> bool:
    """Whether the end of the history was set beside the file."""
    return study.was_set("history.through")


def begins_outside(scenario: ScenarioSpec, horizon: Periods, kind: str) -> bool:
    """Whether a scenario, or a lever of it, starts in no period of the horizon."""
    starts = [scenario.start, *(lever.start for _, lever in scenario.levers())]
    return any(start is not None and parse_period(start, kind) not in horizon for start in starts)


def ends_beyond(goal: GoalSpec, horizon: Periods, kind: str) -> bool:
    """Whether a goal is for a period after the horizon."""
    return bool(parse_period(goal.by, kind) > horizon[-1])


def of_the_horizon(study: Study, horizon: Periods) -> tuple[Study, Sequence[str]]:
    """A study without the scenarios and goals that its horizon does not reach, and their names; itself where it was not
    taken back.
    """
    kind = study.history.period
    if not taken_back(study):
        return study, ()
    scenarios = [each for each in study.scenarios if begins_outside(each, horizon, kind)]
    goals = [each for each in study.goals if ends_beyond(each, horizon, kind)]
    if not scenarios and not goals:
        return study, ()
    kept = {
        "scenarios": tuple(each for each in study.scenarios if each not in scenarios),
        "goals": tuple(each for each in study.goals if each not in goals),
    }
    names = [*(each.name for each in scenarios), *(each.name or f"goal by {each.by}" for each in goals)]
    return study.model_copy(update=kept), names
