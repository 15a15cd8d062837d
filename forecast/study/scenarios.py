"""What the study asks beside the plan: levers with their costs ([[scenario]]) and dated targets ([[goal]])."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from forecast.study.file import (
    Delay,
    Label,
    Name,
    NonNegative,
    Positive,
    Problem,
    Rate,
    Table,
    as_days,
    is_number,
    nearest,
    not_one,
    refuse,
    repeated,
    window_problems,
)
from forecast.words import Message, filed, message

Z80 = 1.2815515655446004  # of a normal: a central range of 80 % reaches so many sd to both sides
LEVERS = ("rate", "delay", "traffic", "spend", "value", "capacity", "recover")
GOAL_STAGES = ("revenue", "won", "qualified", "leads", "visitors")


def _range(value: object) -> object:
    """A number stands for itself, two for the central 80 % of what is believed."""
    if is_number(value):
        return (float(value), float(value))  # type: ignore[arg-type]
    pair = value if isinstance(value, tuple | list) else ()
    if len(pair) != 2 or not all(is_number(part) for part in pair) or pair[0] > pair[1]:
        raise ValueError("expected a number, or [low, high], the central 80 % of what is believed")
    return (float(pair[0]), float(pair[1]))


def _days(value: object) -> object:
    """A time in days, or two."""
    if isinstance(value, tuple | list):
        return _range(tuple(as_days(part) for part in value))
    return _range(as_days(value))


Range = Annotated[tuple[float, float], BeforeValidator(_range)]
Days = Annotated[tuple[float, float], BeforeValidator(_days)]
Ramp = Annotated[int, Field(ge=0)]
HOW = ("to", "times", "by")


class ChangeSpec(Table):
    """One lever: exactly one of `to` (the new value), `times` (a factor), `by` (so much more; less where negative).

    Each is a number, or [low, high], the central 80 % of what is believed; `sd` says the same of a single number.
    `from_` ("from" in the file, with `to`): the level that `to` was said beside, so that the change is the factor to /
    from. `channels`, `start`, `ramp` as in the scenario, for this lever alone.
    """

    to: Range | None = None
    times: Range | None = None
    by: Range | None = None
    from_: Annotated[Positive | None, Field(alias="from")] = None
    sd: Positive | None = None
    channels: tuple[str, ...] | None = None
    start: Label | None = None
    ramp: Ramp | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_table(cls, value: Any) -> Any:
        if not isinstance(value, dict | ChangeSpec):
            raise ValueError("expected a change: { to = 0.04 }, { times = 1.3 } or { by = 0.01 }")
        return value

    @model_validator(mode="after")
    def _one_change(self) -> Self:
        given = self.given(HOW)
        if wrong := not_one(HOW, given):
            raise ValueError(wrong)
        low, high = self.size
        found = []
        if self.from_ is not None and given != ["to"]:
            found.append(Problem("from", "belongs to `to`: remove it, or say to which value"))
        if self.sd is not None and getattr(self, given[0])[0] != getattr(self, given[0])[1]:
            found.append(Problem("sd", f"{given[0]} has a range already: give one of them"))
        elif given[0] != "by" and low <= 0 and high != low:
            said = message("expected a range above 0; came {low:given} to {high:given}", low=low, high=high)
            found.append(Problem(given[0], said))
        elif given[0] != "by" and low < 0:
            found.append(Problem(given[0], message("expected 0 or more; came {low:given}", low=low)))
        refuse(found)
        return self

    @property
    def kind(self) -> str:
        """ "to", "times" or "by"."""
        return self.given(HOW)[0]

    @property
    def size(self) -> tuple[float, float]:
        """Low and high end of the central 80 %; alike where it is taken as known."""
        low, high = getattr(self, self.kind)
        spread = Z80 * (self.sd or 0.0)
        return low - spread, high + spread


class DelayChangeSpec(ChangeSpec):
    """A change of the mean delay into a stage; `to` and `by` in days, or as "10 days"."""

    to: Days | None = None
    by: Days | None = None


class RecoverSpec(Table):
    """Units that do not move into a stage and come back into it: nurturing.

    `share` of them (a number, or [low, high]), `delay` from entering the stage before to coming back, in days.
    """

    share: Range
    delay: Delay = 60.0
    channels: tuple[str, ...] | None = None
    start: Label | None = None
    ramp: Ramp | None = None

    @field_validator("share")
    @classmethod
    def _a_share(cls, share: tuple[float, float]) -> tuple[float, float]:
        if not 0 < share[0] <= share[1] < 1:
            said = "expected a share above 0 and below 1 (10~% is 0.1); came {low:given} to {high:given}"
            raise ValueError(message(said, low=share[0], high=share[1]))
        return share


class ScenarioSpec(Table):
    """Named changes to the plan, made together: what they would bring, and cost.

    rate, delay, recover by destination stage; traffic and spend a period in total over the channels concerned; value of
    a deal; capacity of sales a period. `channels` (None: all), `start` (None: at once) and `ramp` (periods until the
    effect is full: 2 gives a third, two thirds, all of it) hold for every lever that has none of its own. `cost` once,
    at the start; `cost_per_period` from then on, to the end of the horizon.
    """

    name: Name
    note: str = ""
    rate: dict[str, ChangeSpec] = Field(default_factory=dict)
    delay: dict[str, DelayChangeSpec] = Field(default_factory=dict)
    recover: dict[str, RecoverSpec] = Field(default_factory=dict)
    traffic: ChangeSpec | None = None
    spend: ChangeSpec | None = None
    value: ChangeSpec | None = None
    capacity: ChangeSpec | None = None
    channels: tuple[str, ...] | None = None
    start: Label | None = None
    ramp: Ramp = 0
    cost: Range = (0.0, 0.0)
    cost_per_period: Range = (0.0, 0.0)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        found = []
        if not any(getattr(self, lever) for lever in LEVERS):
            found.append(Problem("", f"expected at least one of {', '.join(LEVERS)}; came none"))
        said = "expected a rate below 1 (4~% is 0.04); came {x:given}"
        found += [
            Problem(f"rate.{stage}", message(said, x=change.size[1]))
            for stage, change in self.rate.items()
            if change.to is not None and change.size[1] >= 1
        ]
        refuse(found)
        return self

    def levers(self) -> Iterator[tuple[str, ChangeSpec | RecoverSpec]]:
        """Each lever with its key below the scenario."""
        for lever in LEVERS:
            made = getattr(self, lever)
            if isinstance(made, Mapping):
                yield from ((f"{lever}.{stage}", change) for stage, change in made.items())
            elif made is not None:
                yield lever, made


class GoalSpec(Table):
    """A dated target: `by` a period or a date, from `from_` ("from" in the file; None: what is still to come) on.

    Exactly one of revenue, won, qualified, leads, visitors; a stage of another name as units = { stage = 30 }. Periods
    that are over count with what came. `chance`: how likely it should be made.
    """

    by: Label
    from_: Annotated[Label | None, Field(alias="from")] = None
    name: str = ""
    revenue: Positive | None = None
    won: Positive | None = None
    qualified: Positive | None = None
    leads: Positive | None = None
    visitors: Positive | None = None
    units: dict[str, NonNegative] = Field(default_factory=dict)
    chance: Rate = 0.8

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if wrong := not_one((*GOAL_STAGES, "units"), list(self._asked())):
            raise ValueError(wrong)
        return self

    def _asked(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self.given(GOAL_STAGES)} | self.units

    @property
    def measure(self) -> str:
        """ "revenue" or a stage."""
        return next(iter(self._asked()))

    @property
    def amount(self) -> float:
        """The number to reach."""
        return next(iter(self._asked().values()))

    @property
    def title(self) -> str:
        """How it is called: its name, or what it says."""
        return self.name or filed(said_goal(self.amount, self.measure, self.by))


def said_goal(amount: float, measure: str, by: str) -> Message:
    """What a goal says, which one without a name is called by.

    >>> str(said_goal(1200, "won", "2027-03"))
    '1\u202f200 won by 2027-03'
    """
    return message("{amount:exact} {measure:stage} by {by:period}", amount=amount, measure=measure, by=by)


def scenario_problems(
    scenarios: Sequence[ScenarioSpec], goals: Sequence[GoalSpec], stages: Sequence[str], kind: str
) -> Iterator[Problem]:
    """What is wrong with the stages and periods of scenarios and goals, by key; `kind`: of the periods."""
    for number, name in repeated([scenario.name for scenario in scenarios]):
        yield Problem(f"scenario.{number}.name", f'another scenario is called "{name}" too')
    for number, scenario in enumerate(scenarios, start=1):
        place = f"scenario.{number}"
        for key, change in scenario.levers():
            lever, _, stage = key.partition(".")
            if stage and stage not in stages[1:]:
                expected = f"expected a stage after the first ({', '.join(stages[1:])})"
                yield Problem(f"{place}.{key}", f'{expected}; came "{stage}"{nearest(stage, stages[1:])}')
            if lever == "capacity" and change.channels is not None:
                yield Problem(f"{place}.{key}.channels", "sales has one capacity for all channels: remove it")
            if lever == "delay" and (change.channels or scenario.channels) is not None:
                yield Problem(f"{place}.{key}", "a delay is that of all channels: remove channels")
            if lever == "spend" and isinstance(change, ChangeSpec) and change.size[0] < change.size[1]:
                yield Problem(
                    f"{place}.{key}", "spend is decided, not uncertain: give a single number, no sd"
                )
            yield from window_problems(kind, (f"{place}.{key}.start", change.start))
        yield from window_problems(kind, (f"{place}.start", scenario.start))
    for number, goal in enumerate(goals, start=1):
        place = f"goal.{number}"
        for key, label in (("by", goal.by), ("from", goal.from_)):
            yield from window_problems(kind, (f"{place}.{key}", label))
        if goal.measure != "revenue" and goal.measure not in stages:
            expected = f"expected revenue or a stage of the funnel ({', '.join(stages)})"
            yield Problem(f"{place}.{goal.measure}", f'{expected}; came "{goal.measure}"')
