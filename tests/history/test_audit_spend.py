"""Spend that follows the time of year is told from two years on, by what each rule of the plan would have missed."""

from __future__ import annotations

import numpy as np
import pytest
from posterior_fixture import history, study

from forecast.history.audit_spend import seasonal_spend
from forecast.history.history import History
from forecast.words import text

YEAR = {"month": 12, "week": 52, "quarter": 4}


def spender(swing: float, years: float = 3, period: str = "month", growth: float = 0.0) -> History:
    """Two channels whose spend swings over the year by a factor e^swing up and down, and grows by a share a period."""
    n = round(years * YEAR[period])
    t = np.arange(n)
    wobble = np.random.default_rng(3).normal(0.0, 0.08, (n, 2))
    path = np.sin(2 * np.pi * t / YEAR[period]) * swing + growth * t
    spend = np.exp(path[:, None] + wobble) * [1000.0, 300.0]
    return history({"visitors": 900.0, "won": 9.0, "spend": spend}, periods=n, period=period)


@pytest.mark.parametrize("period", ["month", "week"])
def test_a_seasonal_spender_is_told_what_to_set(period: str):
    """It hears what to set; with the key set it passes, as a steady spender does; less than two years tell nothing."""
    found = seasonal_spend(spender(0.8, period=period), study())
    assert found is not None
    assert found.status == "REVIEW"
    assert 'plan.spend = "last year"' in text(found.advice)
    asked = study(plan={"spend": "last year"})
    for past, how in ((spender(0.8, period=period), asked), (spender(0.0, period=period), study())):
        fine = seasonal_spend(past, how)
        assert fine is not None
        assert fine.status == "PASS"
    assert seasonal_spend(spender(0.8, 1.9, period), study()) is None
    assert (
        seasonal_spend(spender(0.8, period=period), study(plan={"spend": {"one": 900.0, "two": 1.0}})) is None
    )


def test_a_little_growth_is_no_season():
    """Spend that grows by a tenth a year is planned well enough by the last three months."""
    found = seasonal_spend(spender(0.0, growth=np.log(1.1) / 12), study())
    assert found is not None
    assert found.status == "PASS"
