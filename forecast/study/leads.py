"""What the study asks of single leads: scoring, segments, nurturing of those that did not qualify."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from forecast.study.file import Problem, Problems, Table
from forecast.study.money import NonNegative, Positive

Rate = Annotated[float, Field(gt=0, lt=1)]
DAYS_PER_UNIT = {"day": 1.0, "week": 7.0, "month": 30.4375, "quarter": 91.3125, "year": 365.25}


def as_days(value: object) -> object:
    """A delay in days from "14 days", "2 weeks", "1.5 months" or a number of days."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(day|week|month|quarter|year)s?\s*", value)
    if match is None:
        raise ValueError('expected a time such as "14 days", "2 weeks" or "1.5 months"')
    return float(match[1]) * DAYS_PER_UNIT[match[2]]


def _range(value: object) -> object:
    """A rate alone stands for itself; two of them for the central 80 % of what is believed."""
    if isinstance(value, float):
        return (value, value)
    return value


RateRange = Annotated[tuple[Rate, Rate], BeforeValidator(_range)]


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
        named = self.features or ()
        found = [
            Problem(key, f'"{name}" is among features too: name it in one of them')
            for key in ("ignore",)
            for name in getattr(self, key)
            if name in named
        ]
        if self.features is not None:
            found += [
                Problem("keep", f'expected one of features ({", ".join(named)}); came "{name}"')
                for name in self.keep
                if name not in named
            ]
        if found:
            raise Problems(found)
        return self


class SegmentsSpec(Table):
    """The column that holds the segment of a lead (temperature, country, product), by its title in the file."""

    column: Annotated[str, Field(min_length=1)]


class NurturingSpec(Table):
    """Leads that did not qualify and flow back: prior knowledge; the data are asked first where they show it.

    `rate`: share of them that come back, or [low, high], the central 80 % of what is believed; a rate alone is read as
    known to within a factor of two. `delay`: mean time from not qualifying to coming back, in days. `qualification`:
    rate of those that came back into the next stage, alike; None: as leads that are new.
    """

    rate: RateRange = Field(default=0.05, validate_default=True)
    delay: Annotated[float, Field(gt=0), BeforeValidator(as_days)] = 90.0
    qualification: RateRange | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        found = [
            Problem(key, f"expected [low, high] with low <= high; came [{pair[0]:g}, {pair[1]:g}]")
            for key in ("rate", "qualification")
            if (pair := getattr(self, key)) is not None and pair[0] > pair[1]
        ]
        if found:
            raise Problems(found)
        return self
