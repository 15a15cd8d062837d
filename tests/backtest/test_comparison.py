"""The forecast beside earlier windows: shares that add up, and of blocks that moved alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from posterior_fixture import DELAYS, PLAN, RATES, TWO, case, history, posterior

from forecast.backtest.comparison import compared_with, windows
from forecast.history import History
from forecast.outlook import Case, simulate

STEADY = TWO | {"revenue": [25_000, 10_000]}
RESERVED = ("came", "forecast", "chance")


def asked(past: History, **more: object) -> Case:
    """The question at constant rates, delays and values."""
    known = posterior(past, RATES, draws=200, delays=DELAYS, traffic=[1000.0, 400.0], **more)  # type: ignore[arg-type]
    return case(known, past)


def told(made: Case, measure: str = "revenue", mean: float = 100_000.0) -> dict[str, dict[str, float]]:
    """Amounts by window and item."""
    found: dict[str, dict[str, float]] = {}
    for row in compared_with(made, {measure: mean}):
        found.setdefault(row["against"], {})[row["item"]] = row["amount"]
    return found


def changed(past: History, name: str, times: float, periods: int = 3) -> History:
    """The history with a count of its last periods times a factor."""
    counts = past.counts.copy(deep=True)
    counts[name].values[-periods:] *= times
    return replace(past, counts=counts)


@pytest.mark.parametrize(("measure", "counts"), [("revenue", STEADY), ("won", TWO)])
def test_the_rows_add_up(measure, counts):
    """What came, the shares, and the forecast as their sum, for the window before and the year before."""
    past = history(counts, periods=24)
    made = asked(past) if measure == "revenue" else asked(past, deal_mean=None)
    found = told(made, measure, 77.0)
    assert list(found) == ["before", "year before"]
    for amounts in found.values():
        assert amounts["forecast"] == 77.0
        assert ("value" in amounts) == (measure == "revenue")
        assert sum(x for item, x in amounts.items() if item != "forecast") == pytest.approx(77.0)


def blanked(past: History, names: tuple[str, ...], channel: int, until: int) -> History:
    """The history with counts of a channel blank before a period."""
    counts = past.counts.copy(deep=True)
    for name in names:
        counts[name].values[:until, channel] = np.nan
    return replace(past, counts=counts)


def test_a_channel_that_began_since_is_more_traffic():
    """Nothing of it was there a year before: the rows add up, and what it brings is traffic."""
    whole = history(STEADY, periods=24)
    late = blanked(whole, tuple(map(str, whole.counts)), channel=1, until=20)
    steady, began = (told(asked(past), mean=105_000.0)["year before"] for past in (whole, late))
    assert began["came"] == pytest.approx(75_000)
    assert sum(x for item, x in began.items() if item != "forecast") == pytest.approx(105_000.0)
    assert began["traffic"] - steady["traffic"] > 10_000
    assert abs(began["rates"]) < 1_000


def test_windows_before_visits_were_counted_are_left_out():
    """What entered the funnel then is not known: nothing is said to be traffic that only was not counted."""
    past = blanked(history(STEADY, periods=24), ("visitors",), channel=0, until=18)
    assert list(told(asked(past))) == ["before"]


def test_a_company_that_stands_still_has_no_reasons():
    """Same traffic, rates and values: what is left is the length of months, and the start of the history."""
    past = history(STEADY, periods=36)
    amounts = told(asked(past))["year before"]
    assert amounts["came"] == pytest.approx(105_000)
    for item, amount in amounts.items():
        if item not in RESERVED:
            assert abs(amount) < 0.04 * amounts["came"], item


def test_the_same_months_have_the_same_season():
    """Against the year before the season has no share, whatever it is; against the months before it has."""
    past = history(STEADY, periods=24)
    made = asked(past)
    season = np.broadcast_to(np.linspace(-0.3, 0.3, 12), (200, 12))
    data = made.posterior.data.assign(season=(("draw", "season_of_year"), season))
    seasonal = case(replace(made.posterior, data=data), past)
    found = told(seasonal)
    assert found["year before"]["season"] == pytest.approx(0.0, abs=1e-6)
    assert abs(found["before"]["season"]) > 5_000


@pytest.mark.parametrize(("count", "item"), [("visitors", "traffic"), ("revenue", "value")])
def test_what_moved_alone_has_the_share(count, item):
    """Half the traffic, or deals of half the size, in the last three months: the way back up is that block's."""
    past = changed(history(STEADY, periods=36), count, 0.5)
    amounts = {k: x for k, x in told(asked(past))["before"].items() if k not in RESERVED}
    assert max(amounts, key=lambda name: abs(amounts[name])) == item
    assert amounts[item] > 10_000


def test_the_expected_road_is_that_of_the_simulation():
    """What came, the shares but chance, and what the window missed: the mean of simulated futures, within 3 %."""
    past = history(STEADY, periods=36)
    made = asked(past)
    outlook = simulate(made, {"given": PLAN}, rng=np.random.default_rng(1))
    mean = float(outlook["revenue"].sum(["period", "channel"]).mean())
    amounts = told(made, mean=mean)["year before"]
    assert abs(amounts["chance"]) < 0.03 * mean


def test_windows_are_those_that_are_known_whole():
    """The last one and the year before; one of a year is both; none where too little was known at its start."""
    assert windows(history(TWO, periods=36), 3) == {"before": 33, "year before": 24}
    assert windows(history(TWO, periods=36), 12) == {"year before": 24}
    assert windows(history(TWO, periods=12), 3) == {"before": 9}
    assert windows(history(TWO, periods=5), 3) == {}
    assert windows(history(TWO, periods=70, period="week"), 13) == {"before": 57, "year before": 18}
