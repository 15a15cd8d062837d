"""What has moved within a history is named; a company that stands still, with its season and its chance, is not."""

from __future__ import annotations

import numpy as np
import pytest
from posterior_fixture import history

from forecast.history.audit_change import traffic_trend
from forecast.history.history import History
from forecast.words import Check, text

N = 36
T = np.arange(N)[:, None]


def checked(check: Check | None, status: str) -> str:
    """The value of a check that must be there with this status, and with advice where it is no PASS."""
    assert check is not None
    assert check.status == status, text(check.value)
    assert bool(check.advice) == (status != "PASS")
    return text(check.value)


def visited(a_month: float, periods: int = N) -> History:
    """Visitors of two channels that scatter by a tenth, with a season, and grow by a share a month."""
    t = np.arange(periods)[:, None]
    wobble = np.random.default_rng(5).normal(0.0, 0.1, (periods, 2))
    path = np.exp(a_month * t + 0.3 * np.sin(2 * np.pi * t / 12) + wobble)
    return history({"visitors": np.round(path * [2000.0, 700.0]), "won": 9.0}, periods=periods)


@pytest.mark.parametrize("a_month", [0.05, -0.05])
def test_steady_growth_and_decline_are_named(a_month: float):
    """Five percent a month is near 80 % (or -45 %) a year, and said so; a season alone is none."""
    said = checked(traffic_trend(visited(a_month)), "REVIEW")
    assert said.startswith("+" if a_month > 0 else "\N{MINUS SIGN}")
    assert "2027-01 to 2027-12" in said
    checked(traffic_trend(visited(0.0)), "PASS")


def test_growth_is_asked_of_two_years():
    """Less than two years cannot tell growth from a season."""
    checked(traffic_trend(visited(0.05, 24)), "REVIEW")
    assert traffic_trend(visited(0.05, 23)) is None
