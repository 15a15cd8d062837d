"""What the study knows of the response to spend beside the counts: lift tests, and how well tuned the budget is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from forecast.periods import parse_period
from forecast.study.file import Problem, Table

# Sd of the log of marginal returns between channels, as believed before the data.
TUNED = {"not tuned": 1.0, "somewhat tuned": 0.2, "carefully tuned": 0.1}


def _spread(value: object) -> object:
    """A word for how well today's budget is tuned, as the spread of marginal returns that it leaves."""
    if isinstance(value, str) and value not in TUNED:
        raise ValueError(f"expected a number above 0, or one of {', '.join(TUNED)}")
    return TUNED[value] if isinstance(value, str) else value


MarginalSpread = Annotated[float, BeforeValidator(_spread), Field(gt=0)]


def _as_text(value: object) -> object:
    """A TOML date stands for its ISO text."""
    return value.isoformat() if isinstance(value, date) else value


class LiftTestSpec(Table):
    """One experiment: the channel's spend a period with and without the change, and the traffic that made a difference.

    `from_` to `to` ("from", "to" in the file; `to` left out: one period) are the periods in which the spend was
    changed and the difference was measured. `lift`: units of the channel's first stage a period with the changed spend
    less those without it, of any sign; `se`: its standard error. Spend and lift are those of the whole channel.
    """

    channel: str
    from_: Annotated[str, BeforeValidator(_as_text)] = Field(alias="from")
    to: Annotated[str | None, BeforeValidator(_as_text)] = None
    without: Annotated[float, Field(ge=0)]
    with_: Annotated[float, Field(alias="with", ge=0)]
    lift: float
    se: Annotated[float, Field(gt=0)]
    note: str = ""

    @model_validator(mode="after")
    def _a_change(self) -> Self:
        if self.with_ == self.without:
            raise ValueError(f"expected two different amounts of spend; came with = without = {self.with_:g}")
        return self

    def window(self, kind: str) -> tuple[np.datetime64, np.datetime64]:
        """First days of the first and the last period of the test. Raises ValueError for a text that is no period."""
        return parse_period(self.from_, kind), parse_period(self.to or self.from_, kind)


def window_problems(tests: Sequence[LiftTestSpec], kind: str) -> Iterator[Problem]:
    """What is wrong with the periods of the tests, by key."""
    for number, test in enumerate(tests, start=1):
        starts = {}
        for name, text in (("from", test.from_), ("to", test.to or test.from_)):
            try:
                starts[name] = parse_period(text, kind)
            except ValueError as error:
                if name == "from" or test.to is not None:
                    yield Problem(f"lift_test.{number}.{name}", str(error))
        if len(starts) == 2 and starts["from"] > starts["to"]:
            yield Problem(
                f"lift_test.{number}.to",
                f'expected a period not before from = "{test.from_}"; came "{test.to}"',
            )
