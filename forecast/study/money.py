"""What the study asks of the budget and knows of money: total, limits, objective; margin, customer value, capacity."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from forecast.study.file import (
    NonNegative,
    Positive,
    Problem,
    Problems,
    Rate,
    Share,
    SomeShare,
    Table,
    check_order,
    is_amount,
    one_of,
    refuse,
    repeated,
)
from forecast.words import message

OBJECTIVES = ("profit", "revenue", "target", "cvar")
SUMMED = (
    "profit",
    "revenue",
)  # sums over channels and periods: these alone are solved with spend free by period


def _total(value: object) -> object:
    if value == "current":
        return value
    if not is_amount(value):
        raise ValueError('expected "current" or an amount over the horizon, 0 or more')
    return float(value)  # type: ignore[arg-type]


def _change(value: object) -> object:
    if value is None or value == "none":
        return None
    if not is_amount(value):
        raise ValueError('expected a share such as 0.5, or "none"')
    if float(value) > 10:  # type: ignore[arg-type]
        raise ValueError("expected a share (50 % is 0.5)")
    return float(value)  # type: ignore[arg-type]


class RetentionSpec(Table):
    """What is assumed of retention: a Beta of this `mean` and `sd`, or one with `low` to `high` as its central 80 %."""

    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None


_RETENTION = (
    "expected a share below 1 (85 % is 0.85), { mean = 0.85, sd = 0.05 } or { low = 0.75, high = 0.92 }"
)


def _retention(value: object) -> object:
    """A share below 1, or what is assumed of it; whatever else comes is told in one message."""
    if value is None or isinstance(value, RetentionSpec):
        return value
    if not isinstance(value, dict):
        if not is_amount(value) or float(value) >= 1:  # type: ignore[arg-type]
            raise ValueError(_RETENTION)
        return float(value)  # type: ignore[arg-type]
    came = ", ".join(f"{key} = {given}" for key, given in value.items()) or "an empty table"
    shares = all(is_amount(given) and 0 < float(given) < 1 for given in value.values())
    if set(value) not in ({"mean", "sd"}, {"low", "high"}) or not shares:
        raise ValueError(f"{_RETENTION}; came {came}")
    if "low" in value and value["low"] >= value["high"]:
        raise ValueError(f"expected low < high; came {came}")
    if "mean" in value and value["sd"] ** 2 >= value["mean"] * (1 - value["mean"]):
        most = (value["mean"] * (1 - value["mean"])) ** 0.5
        said = "expected sd below {most:exact}, the most that a share of this mean can have; came {came}"
        raise ValueError(message(said, most=most, came=came))
    return RetentionSpec(**{key: float(given) for key, given in value.items()})


class EconomicsSpec(Table):
    """Gross margin on revenue, in (0, 1], what a customer is worth beyond the first deal, and what sales can take.

    `retention`: share of customers that buy again one `renewal` later (None: the first deal is all), for at most
    `lifetime` years; a number, or a distribution where it is not known; or `retention_table`: a CSV of customers with
    how long they stayed. `discount_rate`: a year, from the spend to when its money comes. The worth of a customer is
    made of them by `outlook.lifetime`. `sales_cost`: of the sales team, a period; `sales_cost_per_won`: a customer.
    `capacity`: units a period that sales can take into the stage before won (None: all that come); what exceeds it
    waits, and `capacity_decay` of those that wait are lost each period.
    """

    gross_margin: SomeShare = 1.0
    retention: Annotated[float | RetentionSpec | None, BeforeValidator(_retention)] = None
    retention_table: str | None = None
    renewal: Literal["year", "quarter", "month"] = "year"
    lifetime: Annotated[float, Field(ge=1, le=50)] = 5.0
    discount_rate: Share = 0.0
    sales_cost: Positive | None = None
    sales_cost_per_won: Positive | None = None
    capacity: Positive | None = None
    capacity_decay: Share = 0.2

    @model_validator(mode="after")
    def _one_retention(self) -> Self:
        if self.retention is not None and self.retention_table is not None:
            text = "expected one of retention and retention_table; came both"
            raise Problems([Problem("retention_table", text)])
        return self


class LimitSpec(Table):
    """Least and most spend of a channel over the horizon, in currency; a side left out follows `budget.change`."""

    min: NonNegative | None = None
    max: NonNegative | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("expected min, max or both, over the horizon")
        check_order(self, "min", "max")
        return self


class GroupSpec(Table):
    """Channels that share a limit over the horizon: `min`, `max` in currency, `max_share` of all that is spent."""

    name: str
    channels: Annotated[tuple[str, ...], Field(min_length=1)]
    min: NonNegative | None = None
    max: NonNegative | None = None
    max_share: SomeShare | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is None and self.max is None and self.max_share is None:
            raise ValueError("expected min, max or max_share")
        check_order(self, "min", "max")
        if repeated(self.channels):
            raise ValueError("expected every channel once")
        return self


class FloorSpec(Table):
    """A limit on risk: `cvar`, the mean contribution of the worst draws, at least; or `loss`, P(loss), at most."""

    cvar: float | None = None
    loss: Rate | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.cvar is None) == (self.loss is None):
            raise ValueError("expected exactly one of cvar and loss: { cvar = 10_000 } or { loss = 0.1 }")
        return self


class BudgetSpec(Table):
    """The budget over the horizon: its total, limits, and what it should bring.

    `change`: how far each channel may move from the current plan, as a share of it. `lots`: spend of a channel comes in
    whole multiples of this. `fees`: paid once as soon as a channel has any spend, beside the budget. `per_period`: most
    spend in every period; `period_caps`: in single ones, by label. `flighting`: "current" spreads a channel's spend as
    the current plan does, "free" lets each period have its own. `risk`: share of the worst draws that cvar is the mean
    of. `floor`: a limit on risk beside the objective.
    """

    total: Annotated[Literal["current"] | float, BeforeValidator(_total)] = "current"
    change: Annotated[float | None, BeforeValidator(_change)] = 0.5
    limits: dict[str, LimitSpec] = Field(default_factory=dict)
    groups: tuple[GroupSpec, ...] = Field(default=(), alias="group")
    lots: dict[str, Positive] = Field(default_factory=dict)
    fees: dict[str, Positive] = Field(default_factory=dict)
    per_period: NonNegative | None = None
    period_caps: dict[str, NonNegative] = Field(default_factory=dict)
    flighting: Literal["current", "free"] = "current"
    objective: Annotated[str, one_of(OBJECTIVES)] = "profit"
    risk: Rate = 0.1
    floor: FloorSpec | None = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        found = [
            Problem(f"group.{number}.name", f'expected every group once; came "{name}" again')
            for number, name in repeated([group.name for group in self.groups])
        ]
        if self.floor is not None and self.objective != "profit":
            text = f'a limit on risk belongs to objective = "profit"; came "{self.objective}"'
            found.append(Problem("floor", text))
        if self.flighting == "free":
            text = 'is spend over the horizon: expected flighting = "current" with it'
            found += [Problem(key, text) for key in ("lots", "fees") if getattr(self, key)]
            if self.objective not in SUMMED or self.floor is not None:
                text = 'expected "current" with an objective or a limit on risk; came "free"'
                found.append(Problem("flighting", text))
        refuse(found)
        return self
