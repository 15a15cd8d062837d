"""What has moved within a history is named; a company that stands still, with its season and its chance, is not."""

from __future__ import annotations

import numpy as np
import pytest
from posterior_fixture import history

from forecast.checks import Check
from forecast.history.audit_change import pace, spend_moved, traffic_trend, value_of_a_deal
from forecast.history.history import History
from forecast.words import text

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


def paid(factor: np.ndarray, mix: np.ndarray | None = None) -> History:
    """Gamma deals of two channels, one six times the other, 12 and 5 a month; their mean moves by a factor."""
    rng = np.random.default_rng(8)
    won = rng.poisson(np.broadcast_to([12.0, 5.0], (N, 2)) if mix is None else mix).astype(float)
    money = rng.gamma(np.maximum(won, 1e-9) / 0.7**2, 0.7**2 * factor * np.array([500.0, 3000.0]))
    return history({"visitors": 900.0, "won": won, "revenue": np.where(won > 0, money, 0.0)}, periods=N)


def test_a_price_that_steps_or_drifts_is_named():
    """40 % more from 2027-04 on is dated there; 2 % a month is said to go on."""
    said = checked(value_of_a_deal(paid(np.where(T < 27, 1.0, 1.4))), "REVIEW")
    assert "from 2027-0" in said
    assert "steadily" not in said
    assert "steadily" in checked(value_of_a_deal(paid(np.exp(0.02 * T))), "REVIEW")


def test_deals_by_chance_or_another_mix_of_channels_are_no_price():
    """Constant deals pass; so do they where the dear channel comes to bring most of them."""
    checked(value_of_a_deal(paid(np.ones((N, 1)))), "PASS")
    mix = np.where(T < 24, [15.0, 2.0], [2.0, 15.0])
    checked(value_of_a_deal(paid(np.ones((N, 1)), mix)), "PASS")
    assert value_of_a_deal(visited(0.0)) is None


def spent(path: np.ndarray) -> History:
    """Two channels: one spends along a path, the other the same; both scatter by a tenth."""
    wobble = np.exp(np.random.default_rng(2).normal(0.0, 0.1, (N, 2)))
    spend = np.concatenate([path, np.ones((N, 1))], axis=1) * wobble * 1000.0
    return history({"visitors": 900.0, "won": 9.0, "spend": spend}, periods=N)


def test_spend_far_from_its_usual_amount_is_named():
    """Spend that grew sixfold and spend that was cut to a third, each by its channel alone."""
    said = checked(spend_moved(spent(6.0 ** (T / (N - 1)))), "REVIEW")
    assert said.startswith("one 2.")
    assert "two" not in said
    assert checked(spend_moved(spent(np.where(T < 30, 1.0, 0.33))), "REVIEW").startswith("one 0.")


def test_spend_of_a_season_or_that_scatters_is_usual():
    """What the same months spent a year before is usual; so is a wild channel, and no spend is not asked."""
    checked(spend_moved(spent(np.ones((N, 1)))), "PASS")
    checked(spend_moved(spent(np.exp(0.8 * np.cos(2 * np.pi * (T - N + 2) / 12)))), "PASS")
    wild = np.exp(np.random.default_rng(3).normal(0.0, 0.8, (N, 1)))
    checked(spend_moved(spent(wild)), "PASS")
    assert spend_moved(visited(0.0)) is None


def dated(rate: np.ndarray, wait: np.ndarray) -> History:
    """Sixty leads a month, of which a share is won, at a geometric age with a mean wait of some months, by cohort."""
    rng = np.random.default_rng(4)
    cells = np.zeros((N, N, 1), dtype=np.int64)
    for cohort in range(N):
        won = rng.binomial(60, rate[cohort, 0])
        ages = rng.geometric(1.0 / (1.0 + wait[cohort, 0]), won) - 1
        cells[cohort, :, 0] = np.bincount(ages[ages < N - cohort], minlength=N)[:N]
    came = np.array([sum(cells[t - age, age, 0] for age in range(t + 1)) for t in range(N)])
    counts = {"leads": 60.0, "won": came[:, None]}
    return history(counts, channels=["one"], periods=N, counting="leads", triangles={"won": cells})


def test_young_cohorts_that_are_slow_are_named():
    """A delay four times as long, and a rate of a third, in the last half year; neither in a company that is still."""
    rate, wait = np.full((N, 1), 0.3), np.full((N, 1), 1.0)
    checked(pace(dated(rate, wait)), "PASS")
    late = T >= N - 6
    for changed in (dated(rate, np.where(late, 4.0, wait)), dated(np.where(late, 0.1, rate), wait)):
        said = checked(pace(changed), "REVIEW")
        assert " won of the leads since 2027-" in said
    assert pace(visited(0.0)) is None


def test_a_price_list_and_a_file_too_short_are_no_change():
    """Deals of one price have no scatter to compare with, and pass; a few leads do not tell their pace."""
    won = np.broadcast_to([3.0, 2.0], (N, 2))
    listed = history({"visitors": 900.0, "won": won, "revenue": won * [100.0, 250.0]}, periods=N)
    checked(value_of_a_deal(listed), "PASS")
    few = np.zeros((8, 8, 1), dtype=np.int64)
    few[:, 0] = 1
    short = history({"leads": 2.0, "won": 1.0}, channels=["one"], periods=8, triangles={"won": few})
    assert pace(short) is None
