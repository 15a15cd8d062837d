"""What the company knows and the data cannot: events that come back ([[event]]), changes from a period on ([[change]]).

Both are part of the forecast itself, in every plan; a [[scenario]] is compared with it. How large they are is a factor,
with doubt: `{ times = 1.08 }`, `{ times = [1.05, 1.11] }` (the central 80 % of what is believed, as in a scenario),
`{ times = 1.08, sd = 0.02 }`. Events may leave it to the data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from forecast.periods import SEASONS_IN_YEAR, Periods, parse_period, season_of
from forecast.study.file import (
    Label,
    Name,
    Positive,
    Problem,
    Table,
    is_number,
    nearest,
    not_one,
    refuse,
    repeated,
    several,
    window_problems,
)
from forecast.study.scenarios import Z80, Range
from forecast.words import message

WHEN = ("yearly", "periods")
FACTOR = "expected a factor, such as { times = 1.08 }, or { times = [1.05, 1.11] } with doubt"


class FactorSpec(Table):
    """A factor, as it is believed: `times` a number, or [low, high], its central 80 %; `sd` of a single number."""

    times: Range
    sd: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_table(cls, value: Any) -> Any:
        if is_number(value):
            raise ValueError(f"{FACTOR}; came {value}")
        if not isinstance(value, dict | FactorSpec):
            raise ValueError(FACTOR)
        return value

    @model_validator(mode="after")
    def _above_zero(self) -> Self:
        low, high = self.size
        if self.sd is not None and self.times[0] != self.times[1]:
            refuse([Problem("sd", "times has a range already: give one of them")])
        if low <= 0:
            said = "expected a factor above 0 (8~% more is 1.08); came {low:given} to {high:given}"
            text = said if high != low else "expected a factor above 0 (8~% more is 1.08); came {low:given}"
            refuse([Problem("times", message(text, low=low, high=high))])
        return self

    @property
    def size(self) -> tuple[float, float]:
        """Low and high end of the central 80 %; alike where it is taken as known."""
        spread = Z80 * (self.sd or 0.0)
        return self.times[0] - spread, self.times[1] + spread

    @property
    def log(self) -> tuple[float, float]:
        """Mean and sd of its log."""
        low, high = (math.log(end) for end in self.size)
        return (low + high) / 2.0, (high - low) / (2.0 * Z80)


class EventSpec(Table):
    """Something that comes back, and moves some periods alone: Black Friday, a fair, a summer closure.

    When: `yearly`, the months (1 to 12), weeks (ISO, 1 to 53) or quarters of every year, or `periods`, all of them,
    past and to come. `moves`: "traffic", "value" (of a deal), "rate.STAGE", or several. `channels` (None: all). `size`:
    None where the past occurrences tell it; each of the `yearly` numbers has then one of its own.
    """

    name: Name
    note: str = ""
    yearly: Annotated[tuple[int, ...] | None, Field(min_length=1)] = None
    periods: Annotated[tuple[Label, ...] | None, Field(min_length=1)] = None
    moves: Annotated[tuple[str, ...], BeforeValidator(several), Field(min_length=1)]
    channels: Annotated[tuple[str, ...] | None, Field(min_length=1)] = None
    size: FactorSpec | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        found = []
        if wrong := not_one(WHEN, self.given(WHEN)):
            found.append(Problem("", wrong))
        if self.size is not None and len(self.moves) > 1:
            text = "is the size of one thing that moves: give an [[event]] for each of them"
            found.append(Problem("size", text))
        refuse(found)
        return self

    def falls(self, starts: Periods, kind: str) -> dict[str, NDArray[np.bool_]]:
        """Where it falls among periods of a kind, (period,), by what its size is learnt for: see the class."""
        if self.yearly is None:
            days = [parse_period(label, kind) for label in self.periods or ()]
            return {"": np.isin(starts, np.array(days, dtype="datetime64[D]"))}
        places = season_of(starts, kind) + 1
        if self.size is not None or len(self.yearly) == 1:
            return {"": np.isin(places, self.yearly)}
        return {f"{kind} {place}": places == place for place in sorted(set(self.yearly))}


class ShiftSpec(Table):
    """A change known to hold from a period on, in the horizon or within the history.

    `price`: of the value of deals won from then on; `rate` by destination stage; `traffic`: each a factor.
    """

    name: str = ""
    note: str = ""
    from_: Annotated[Label, Field(alias="from")]
    price: FactorSpec | None = None
    rate: dict[str, FactorSpec] = Field(default_factory=dict)
    traffic: FactorSpec | None = None
    channels: Annotated[tuple[str, ...] | None, Field(min_length=1)] = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not list(self.parts()):
            raise ValueError("expected at least one of price, rate.STAGE, traffic; came none")
        return self

    def parts(self) -> Iterator[tuple[str, FactorSpec]]:
        """What it changes ("value", "traffic" or a destination stage), each with its factor."""
        for target, factor in (("traffic", self.traffic), ("value", self.price)):
            if factor is not None:
                yield target, factor
        yield from self.rate.items()


def known_problems(
    events: Sequence[EventSpec], changes: Sequence[ShiftSpec], stages: Sequence[str], kind: str
) -> Iterator[Problem]:
    """What is wrong with periods, stages and names of events and changes, by key; `kind`: of the periods."""
    for number, name in repeated([event.name for event in events]):
        yield Problem(f"event.{number}.name", f'another event is called "{name}" too')
    movable = ["traffic", "value", *(f"rate.{stage}" for stage in stages[1:])]
    for number, event in enumerate(events, start=1):
        place, most = f"event.{number}", SEASONS_IN_YEAR[kind]
        for what in event.moves:
            if what not in movable:
                guess = '; did you mean "value"?' if what == "price" else nearest(what, movable)
                text = (
                    f'expected traffic, value or the rate into a stage ({", ".join(movable)}); came "{what}"'
                )
                yield Problem(f"{place}.moves", text + guess)
        for _, what in repeated(event.moves):
            yield Problem(f"{place}.moves", f'"{what}" is there twice')
        for when in event.yearly or ():
            if not 1 <= when <= most:
                text = f"expected {kind}s of the year, 1 to {most}; came {when}"
                yield Problem(f"{place}.yearly", text)
        for label in event.periods or ():
            yield from window_problems(kind, (f"{place}.periods", label))
    for number, change in enumerate(changes, start=1):
        place = f"change.{number}"
        yield from window_problems(kind, (f"{place}.from", change.from_))
        for stage in change.rate:
            if stage not in stages[1:]:
                expected = f"expected a stage after the first ({', '.join(stages[1:])})"
                yield Problem(
                    f"{place}.rate.{stage}", f'{expected}; came "{stage}"{nearest(stage, stages[1:])}'
                )
