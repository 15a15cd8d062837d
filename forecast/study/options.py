"""What a study may ask beside funnel, money and plan: lift tests, a backtest, scores, segments, nurturing of leads."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from forecast.outputs import csv_form
from forecast.periods import parse_period
from forecast.study.file import (
    Delay,
    Label,
    Name,
    NonNegative,
    Positive,
    Problem,
    Rate,
    Share,
    Table,
    check_order,
    one_of,
    refuse,
)
from forecast.words import message

# ------------------------------------------------------------------------------------------------ response to spend

# Sd of the log of marginal returns between channels, as believed before the data.
# The forecast with a spend that could be planned then, beside one that is given what came: name -> plan.
GUESSES = {"forecast, spend planned then": "planned", "forecast, spend as last year": "last year"}
MOST_WEEKS = 60  # of a horizon
TUNED = {"not tuned": 1.0, "somewhat tuned": 0.2, "carefully tuned": 0.1}


def _spread(value: object) -> object:
    """A word for how well today's budget is tuned, as the spread of marginal returns that it leaves."""
    if isinstance(value, str) and value not in TUNED:
        raise ValueError(f"expected a number above 0, or one of {', '.join(TUNED)}")
    return TUNED[value] if isinstance(value, str) else value


MarginalSpread = Annotated[Positive, BeforeValidator(_spread)]


class LiftTestSpec(Table):
    """One experiment: the channel's spend a period with and without the change, and the traffic that made a difference.

    `from_` to `to` ("from", "to" in the file; `to` left out: one period) are the periods in which the spend was
    changed and the difference was measured. `lift`: units of the channel's first stage a period with the changed spend
    less those without it, of any sign; `se`: its standard error. Spend and lift are those of the whole channel.
    """

    channel: str
    from_: Label = Field(alias="from")
    to: Label | None = None
    without: NonNegative
    with_: Annotated[NonNegative, Field(alias="with")]
    lift: float
    se: Positive
    note: str = ""

    @model_validator(mode="after")
    def _a_change(self) -> Self:
        if self.with_ == self.without:
            said = "expected two different amounts of spend; came with = without = {x:given}"
            raise ValueError(message(said, x=self.with_))
        return self

    def window(self, kind: str) -> tuple[np.datetime64, np.datetime64]:
        """First days of the first and the last period of the test. Raises ValueError for a text that is no period."""
        return parse_period(self.from_, kind), parse_period(self.to or self.from_, kind)


# --------------------------------------------------------------------------------------------------------- backtest

BASELINE_NAMES = ("spreadsheet", "seasonal naive", "drift", "AutoETS", "AutoARIMA")


class GateSpec(Table):
    """What a backtest must reach, on the total of the horizon.

    `least` and `most`: share of outcomes inside the 80 % band (left out: the exact binomial region of as many
    independent outcomes). `skill`: least skill against the baseline `against`. `bias`: largest share by which forecasts
    may lie above or below what came, all origins together; left out: not asked.
    """

    least: Share | None = None
    most: Share | None = None
    skill: Annotated[float, Field(lt=1)] = 0.0
    against: Annotated[str, one_of(BASELINE_NAMES)] = "spreadsheet"
    bias: Positive | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        check_order(self, "least", "most")
        return self


class BacktestSpec(Table):
    """Origins of a backtest: how many, how far apart, how far ahead each looks.

    `origins`: at most so many, the latest ones; `horizon`: periods ahead (left out: `plan.periods`); `every`: periods
    between origins (left out: the horizon, so that outcomes do not overlap); `least`: periods of history that an origin
    needs; `spend`: "actual" tests the model, given the spend that came; "planned" tests the whole procedure, given the
    current plan of that time; "last year" the same with the plan of that name (`plan.spend`).
    """

    origins: Annotated[int, Field(ge=1)] = 8
    horizon: Annotated[int | None, Field(ge=1, le=MOST_WEEKS)] = None
    every: Annotated[int | None, Field(ge=1)] = None
    least: Annotated[int, Field(ge=2)] = 12
    spend: Literal["actual", "planned", "last year"] = "actual"
    gate: GateSpec = GateSpec()


# ------------------------------------------------------------------------------------------------------------ files


def _locale(written: str) -> str:
    csv_form(written)
    return written


class OutputsSpec(Table):
    """How files are written, which no number depends on. `csv_locale`: whose decimal mark and delimiter CSV files have
    ("fi", "de-CH"); None: those of programs.
    """

    csv_locale: Annotated[str, AfterValidator(_locale)] | None = None


# ----------------------------------------------------------------------------------------------------- single leads


def _pair(value: object) -> object:
    """A rate alone stands for itself; two of them for the central 80 % of what is believed."""
    return (value, value) if isinstance(value, float) else value


RateRange = Annotated[tuple[Rate, Rate], BeforeValidator(_pair)]


class ScoringSpec(Table):
    """How leads are scored: which columns of the leads file are features, and what working a lead costs.

    `features`: columns by their titles in the file (None: all that are not ours). `ignore`: columns left out. `keep`:
    features used although they look as if they were known only after the outcome. `cost_per_lead`: of sales, to work
    one lead, in currency. `capacity`: leads a period that sales can work (None: `economics.capacity`). `holdout`: share
    of the leads, the newest, that the test is made on.
    """

    features: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    cost_per_lead: NonNegative = 0.0
    capacity: Positive | None = None
    holdout: Annotated[float, Field(ge=0.05, le=0.5)] = 0.25

    @model_validator(mode="after")
    def _once(self) -> Self:
        if self.features is not None:
            named = ", ".join(self.features)
            twice = (
                Problem("ignore", f'"{name}" is among features too: name it in one of them')
                for name in self.ignore
                if name in self.features
            )
            strange = (
                Problem("keep", f'expected one of features ({named}); came "{name}"')
                for name in self.keep
                if name not in self.features
            )
            refuse([*twice, *strange])
        return self


class SegmentsSpec(Table):
    """The column that holds the segment of a lead (temperature, country, product), by its title in the file."""

    column: Name


class NurturingSpec(Table):
    """Leads that did not qualify and flow back: prior knowledge; the data are asked first where they show it.

    `rate`: share of them that come back, or [low, high], the central 80 % of what is believed; a rate alone is read as
    known to within a factor of two. `delay`: mean time from not qualifying to coming back, in days. `qualification`:
    rate of those that came back into the next stage, alike; None: as leads that are new.
    """

    rate: RateRange = Field(default=0.05, validate_default=True)
    delay: Delay = 90.0
    qualification: RateRange | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        said = "expected [low, high] with low <= high; came [{low:given}, {high:given}]"
        refuse(
            Problem(key, message(said, low=pair[0], high=pair[1]))
            for key in self.given(("rate", "qualification"))
            if (pair := getattr(self, key))[0] > pair[1]
        )
        return self
