"""The backtest in the study: origins, horizon, and the gate that it must pass."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from forecast.study.file import Table, nearest

BASELINE_NAMES = ("spreadsheet", "seasonal naive", "drift", "AutoETS", "AutoARIMA")

Share = Annotated[float, Field(ge=0, le=1)]


class GateSpec(Table):
    """What a backtest must reach, on the total of the horizon.

    `least` and `most`: share of outcomes inside the 80 % band (left out: the exact binomial region of as many
    independent outcomes). `skill`: least skill against the baseline `against`. `bias`: largest share by which forecasts
    may lie above or below what came, all origins together; left out: not asked.
    """

    least: Share | None = None
    most: Share | None = None
    skill: Annotated[float, Field(lt=1)] = 0.0
    against: str = "spreadsheet"
    bias: Annotated[float, Field(gt=0)] | None = None

    @field_validator("against")
    @classmethod
    def _known(cls, against: str) -> str:
        if against not in BASELINE_NAMES:
            known = ", ".join(BASELINE_NAMES)
            raise ValueError(f'expected one of {known}; came "{against}"' + nearest(against, BASELINE_NAMES))
        return against

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"expected least <= most; came least = {self.least:g}, most = {self.most:g}")
        return self


class BacktestSpec(Table):
    """Origins of a backtest: how many, how far apart, how far ahead each looks.

    `origins`: at most so many, the latest ones; `horizon`: periods ahead (left out: `plan.periods`); `every`: periods
    between origins (left out: the horizon, so that outcomes do not overlap); `least`: periods of history that an origin
    needs; `spend`: "actual" tests the model, given the spend that came; "planned" tests the whole procedure, given the
    current plan of that time.
    """

    origins: Annotated[int, Field(ge=1)] = 8
    horizon: Annotated[int | None, Field(ge=1, le=24)] = None
    every: Annotated[int | None, Field(ge=1)] = None
    least: Annotated[int, Field(ge=2)] = 12
    spend: Literal["actual", "planned"] = "actual"
    gate: GateSpec = GateSpec()
