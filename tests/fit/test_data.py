"""The arrays that the models take: blanks weigh nothing, priors are those of study and benchmarks, units are kept."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from posterior_fixture import history, study

from forecast.equations import delay_pmf, lagged, season_basis, with_past
from forecast.fit import data as inputs
from forecast.periods import log_days
from forecast.study import CHANNEL_PRIORS, WIDE

COUNTS = {
    "visitors": [1000, 400],
    "leads": [50, 20],
    "qualified": [20, 8],
    "won": [5, 2],
    "spend": [3000, 1000],
}
B2B = study(funnel={"market": "b2b", "delay": {"won": "2 weeks", "qualified": 0}})


def test_blanks_weigh_nothing_and_zeros_count():
    """A blank on either side has weight zero and no units; a zero has weight one."""
    leads, won = np.full((12, 2), 20.0), np.full((12, 2), 2.0)
    leads[3, 0] = won[5, 1] = np.nan
    won[7, 0] = 0.0
    data, calendar = inputs.transition_data(B2B, history({"leads": leads, "won": won}), "leads", "won")
    assert calendar
    expected = np.ones((12, 2))
    expected[3, 0] = expected[5, 1] = 0.0
    assert (data["weight"] == expected).all()
    assert data["n"][3, 0] == data["y"][5, 1] == 0.0
    assert np.isfinite(np.concatenate([np.ravel(v) for v in data.values()])).all()


def test_nothing_can_come_from_nothing():
    """Moves without an entry weigh nothing; without a delay more moves than entries read as all of them."""
    leads = np.array([[0.0], [5.0], [3.0], [9.0]])
    won = np.array([[1.0], [7.0], [1.0], [1.0]])
    past = history({"leads": leads, "won": won}, channels=["one"], periods=4)
    at_once, _ = inputs.transition_data(study(funnel={"delay": {"won": 0}}), past, "leads", "won")
    assert at_once["weight"][:, 0].tolist() == [0, 1, 1, 1]
    assert at_once["n"][:, 0].tolist() == [0, 7, 3, 9]
    assert at_once["delayed"] == 0.0
    later, _ = inputs.transition_data(B2B, past, "leads", "won")
    assert later["weight"][:, 0].tolist() == [1, 1, 1, 1]
    assert later["early"].tolist() == [17 / 4]


def test_entries_before_a_channel_was_there_are_not_made_up():
    """A channel that starts inside the window had no entries before it."""
    leads = np.full((12, 2), 30.0)
    leads[:4, 1] = np.nan
    data, _ = inputs.transition_data(B2B, history({"leads": leads, "won": 3.0}), "leads", "won")
    assert data["early"].tolist() == [30.0, 0.0]


def test_rates_have_the_prior_of_the_study_or_of_its_market():
    """Own range first, then the market's benchmark, else a wide one."""
    own = study(funnel={"market": "b2b", "rate": {"won": (0.2, 0.3)}})
    assert inputs.rate_prior_of(own, "won").sd == pytest.approx(0.40, abs=0.01)
    assert inputs.rate_prior_of(B2B, "leads").quantile(0.25) == pytest.approx(0.02, rel=1e-9)
    assert inputs.rate_prior_of(B2B, "leads").quantile(0.75) == pytest.approx(0.05, rel=1e-9)
    assert inputs.rate_prior_of(study(), "won") == WIDE
    data, _ = inputs.transition_data(own, history(COUNTS), "qualified", "won")
    assert data["mu_prior"].tolist() == [pytest.approx(-1.117, abs=1e-3), pytest.approx(0.40, abs=0.01)]


@pytest.mark.parametrize(
    ("kind", "mean"), [("month", 14 / 30.4375), ("week", 2.0), ("quarter", 14 / 91.3125)]
)
def test_delays_are_in_periods(kind: str, mean: float):
    """Two weeks are half a month, two weeks, or a sixth of a quarter."""
    prior = inputs.delay_prior(B2B, history(COUNTS, period=kind), "won")
    assert prior.mean == pytest.approx(mean)
    assert prior.mean_sd == 0.3
    assert prior.array[0] == pytest.approx(math.log(mean))


def test_dates_widen_the_prior_of_a_delay():
    """Where a triangle teaches the delay its prior is wide, and zero in the study is not taken for certain."""
    triangle = np.zeros((12, 12, 2), dtype=np.int64)
    past = history({"leads": 9.0, "won": 1.0}, counting="leads", triangles={"won": triangle})
    prior = inputs.delay_prior(B2B, past, "won")
    assert prior.mean_sd == 0.7
    low, high = np.exp(prior.array[2] + np.array([-1.645, 1.645]) * prior.array[3])
    assert low < 0.5  # both a regular delay and one as wide as a real marketplace's are in it
    assert high > 3.8
    assert inputs.delay_prior(study(funnel={"delay": {"won": 0}}), past, "won").mean > 0


def test_a_triangle_keeps_its_units():
    """Successes by cohort, by age and by time lived through add up to the triangle; each cohort lived to the last."""
    rng = np.random.default_rng(3)
    triangle = np.zeros((6, 6, 2), dtype=np.int64)
    for cohort in range(6):
        triangle[cohort, : 6 - cohort] = rng.poisson(3, (6 - cohort, 2))
    past = history(
        {"leads": 90.0, "won": 9.0},
        periods=6,
        counting="leads",
        triangles={"won": triangle},
        losses={"won": triangle},
    )
    data, calendar = inputs.transition_data(B2B, past, "leads", "won")
    assert not calendar
    fitted = {
        "logit_rate_won": (("draw", "period", "channel"), np.full((3, 6, 2), -1.0)),
        "delay_mean_won": (("draw",), np.ones(3)),
        "delay_cv_won": (("draw",), np.ones(3)),
    }
    losses = inputs.loss_data(past, "leads", "won", fitted, 20)
    moved, rate = triangle.sum(axis=1), 1 / (1 + np.e)
    assert losses["n"][0] == pytest.approx(90 - moved[0], rel=0.02)  # nearly all that will move have moved
    fresh = (1 - rate) / (1 - rate * delay_pmf(1.0, 1.0, 20)[0])
    assert losses["n"][-1] == pytest.approx((90 - moved[-1]) * fresh)
    for made in (data, losses):
        assert (made["y"] == triangle.sum(axis=1)).all()
        assert made["by_age"][:6].tolist() == triangle.sum(axis=(0, 2)).tolist()
        assert made["by_age"].sum() == made["by_cohort"].sum() == triangle.sum()
        assert (made["age_weights"] @ np.arange(made["age_weights"].shape[1])).tolist() == [5, 4, 3, 2, 1, 0]
        assert made["delayed"] == 1.0


def test_cohorts_wait_for_as_long_as_they_have_been_in_their_stage():
    """The first stage after leads: since the lead's period. A later one: less the time it took to get there."""
    asked = study(funnel={"delay": {"qualified": "2 months", "won": "1 month"}})
    past = history({"leads": 90.0, "qualified": 40.0, "won": 9.0}, periods=8, counting="cohort")
    first, calendar = inputs.transition_data(asked, past, "leads", "qualified")
    second, _ = inputs.transition_data(asked, past, "qualified", "won")
    assert not calendar
    ages = np.arange(first["age_weights"].shape[1])
    assert (first["age_weights"] @ ages).tolist() == np.minimum(np.arange(7, -1, -1), ages[-1]).tolist()
    assert second["age_weights"].sum(axis=1) == pytest.approx(1.0)
    arrival = delay_pmf(2 * 30.4375 / 30.4375, 0.8, 8)
    waited = (7 - np.arange(8)) @ arrival / arrival.sum()
    ages = np.arange(second["age_weights"].shape[1])
    assert second["age_weights"][0] @ ages == pytest.approx(waited, rel=1e-6)


def test_walks_are_slower_in_weeks_than_in_months():
    """A year of steps has the same spread: sd per week = sd per month / sqrt(52 / 12)."""
    month, week = (inputs.drift_prior(history(COUNTS, period=kind)) for kind in ("month", "week"))
    assert week / month == pytest.approx(math.sqrt(52 / 12))


def test_levels_are_centred_by_what_the_data_say():
    """More units, or levels farther apart: farther. Alike or alone: next to nothing to centre on."""
    leads = np.tile([10.0, 80.0, 400.0], (12, 1))
    names = ["few", "some", "many"]

    def centred(leads: np.ndarray, rate: np.ndarray) -> np.ndarray:
        past = history({"leads": leads, "won": leads * rate}, channels=names[: leads.shape[1]])
        return np.asarray(inputs.transition_data(B2B, past, "leads", "won")[0]["centred"])

    apart, close = centred(leads, np.array([0.2, 0.4, 0.6])), centred(leads, np.array([0.4, 0.4, 0.4]))
    assert (np.diff(apart) > 0).all()
    assert ((apart > 0) & (apart < 1)).all()
    assert (close < apart).all()
    assert centred(leads[:, :1], np.array([0.4])).tolist() == [0.0]


# Traffic


def test_spend_has_lags():
    """Spend `k` periods ago, with the early mean before."""
    spend = np.array([[100.0, 0.0], [400.0, 0.0], [0.0, 0.0], [100.0, 0.0]])
    lags = lagged(with_past(spend, 2), 2)
    assert (lags[0] == spend).all()
    assert lags[1, 1:, 0].tolist() == [100.0, 400.0, 0.0]
    assert lags[2, :2, 0].tolist() == [150.0, 150.0]


@pytest.mark.parametrize(("kind", "size"), [("month", 12), ("quarter", 4)])
def test_seasons_are_contrasts_of_unit_variance(kind: str, size: int):
    """Columns are orthogonal and sum to zero; with coefficients of sd one every season's effect has sd one."""
    basis = season_basis(np.arange(size), kind)
    assert basis.sum(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert (basis**2).sum(axis=1) == pytest.approx(1.0)
    gram = basis.T @ basis
    assert gram - np.diag(np.diag(gram)) == pytest.approx(0.0, abs=1e-12)


def test_weeks_have_a_smooth_season():
    """Two Fourier pairs: the last week of a year is close to the first of the next."""
    basis = season_basis(np.arange(54), "week")
    assert basis.shape == (54, 4)
    assert np.abs(basis[52] - basis[0]).max() < 0.25


def test_a_short_history_has_no_season():
    """Below 13 months there is none to be told; from 13 on there is."""
    assert not inputs.season_table(B2B, history(COUNTS, periods=12)).any()
    assert inputs.season_table(B2B, history(COUNTS, periods=13)).shape == (12, 11)


def test_adjusted_data_have_no_season():
    """priors.season = "none" leaves none to be learnt, however long the history is."""
    adjusted = study(priors={"season": "none"})
    past = history(COUNTS, periods=36)
    assert not inputs.season_table(adjusted, past).any()
    assert not inputs.traffic_data(adjusted, past, None, None)["season_basis"].any()
    assert inputs.traffic_data(B2B, past, None, None)["season_basis"].any()


def test_months_differ_in_days():
    """February has less than a mean month, a year is one."""
    starts = history(COUNTS).periods
    days = log_days(starts, "month")
    assert days[1] == pytest.approx(math.log(28 / 30.4375))
    assert np.exp(days).sum() == pytest.approx(365 / 30.4375)


def test_kinds_of_channels_set_their_priors():
    """Elasticity, base and carry-over of the kind; a channel that the study does not name is `other`."""
    asked = study(channels={"one": {"kind": "seo"}})
    month = inputs.channel_priors(asked, history(COUNTS))
    for i, kind in enumerate(("seo", "other")):
        assert month["elasticity_prior"][:, i].tolist() == [
            CHANNEL_PRIORS[kind].elasticity.mean,
            CHANNEL_PRIORS[kind].elasticity.sd,
        ]
    assert month["carries"].tolist() == [1.0, 0.0]
    week = inputs.channel_priors(asked, history(COUNTS, period="week"))

    def share(priors) -> float:
        return 1 / (1 + math.exp(-priors["carry_prior"][0, 0]))

    assert share(week) ** (52 / 12) == pytest.approx(share(month), rel=1e-9)


def test_structural_zeros_of_a_paid_channel_weigh_nothing():
    """No spend and no traffic in a channel that responds to spend says nothing of its level; without spend it does."""
    visitors, spend = np.full((12, 2), 100.0), np.zeros((12, 2))
    spend[6:, 0] = 500.0
    visitors[:6] = 0.0
    data = inputs.traffic_data(B2B, history({"visitors": visitors, "won": 1.0, "spend": spend}), None, None)
    assert data["responds"].tolist() == [1.0, 0.0]
    assert data["weight"][:, 0].tolist() == [0.0] * 6 + [1.0] * 6
    assert data["weight"][:, 1].tolist() == [1.0] * 12


def test_todays_budget_is_evidence_only_where_traffic_has_a_worth():
    """Without a deal value nothing is tuned; with one, the channels with spend in the last three periods."""
    past = history({**COUNTS, "spend": np.column_stack([np.full(12, 3000.0), [1000.0] * 9 + [0.0] * 3])})
    assert not inputs.traffic_data(B2B, past, None, None)["tuned"].any()
    worth = np.array([1.5, 2.5])
    data = inputs.traffic_data(B2B, past, worth, np.array([0.0, 0.4]))
    assert data["tuned"].tolist() == [1.0, 0.0]
    assert data["log_worth"].tolist() == worth.tolist()
    assert data["worth_sd"] == pytest.approx([0.0, 0.4])
    assert data["log_spend"][0] == pytest.approx(math.log(3000.0))
    assert data["log_current"][0] == pytest.approx(0.0, abs=1e-12)


# Deal value


def test_deals_are_summed_by_cell():
    """Counts: cells with wins and revenue; with the wins of free deals the sums are those of the history."""
    won, revenue = (
        np.array([[2.0, 0.0], [1.0, 3.0], [0.0, 1.0]]),
        np.array([[9000.0, 0.0], [4000.0, 0.0], [0.0, 5000.0]]),
    )
    past = history({"visitors": 9.0, "won": won, "revenue": revenue}, periods=3)
    data = inputs.value_data(B2B, past)
    assert data is not None
    assert data["deals"].tolist() == [[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    assert (data["deals"] + past.free[0]).tolist() == won.tolist()
    assert data["revenue"].tolist() == [[9000.0, 0.0], [4000.0, 0.0], [0.0, 5000.0]]
    assert data["deals_log_revenue"] == pytest.approx([2 * math.log(9000) + math.log(4000), math.log(5000)])
    assert dict(zip(data["sizes"], data["size_cells"], strict=True)) == {1.0: 2.0, 2.0: 1.0}
    assert data["level_prior"][0] == pytest.approx(math.log(18_000 / 4))


def test_dated_deals_count_one_by_one():
    """Leads: each deal with an amount; one without is left out, and a channel that was never paid."""
    deals = pd.DataFrame(
        {
            "period": pd.to_datetime(["2025-01-01"] * 4),
            "channel": ["one", "one", "two", "two"],
            "amount": [1000.0, 2000.0, np.nan, 0.0],
        }
    )
    data = inputs.value_data(B2B, history({"leads": 9.0, "won": 1.0}, counting="leads", deals=deals))
    assert data is not None
    assert data["deals"].sum(axis=0).tolist() == [2.0, 0.0]
    assert data["revenue"].sum(axis=0).tolist() == [3000.0, 0.0]


def test_deal_value_has_a_season_from_two_years_on():
    """Of shorter histories it has none, whatever traffic has."""
    for periods, known in ((23, False), (24, True)):
        data = inputs.value_data(B2B, history({**COUNTS, "revenue": 9000.0}, periods=periods))
        assert data is not None
        assert data["season_basis"].any() == known


def test_no_revenue_is_no_model():
    """Neither deals nor revenue, or revenue that is zero throughout."""
    assert inputs.value_data(B2B, history(COUNTS)) is None
    assert inputs.value_data(B2B, history({**COUNTS, "revenue": 0.0})) is None


def test_one_price_is_known_without_a_fit():
    """Deals of one price by channel need no law; with a spread of 5 %, or told by too few cells, they do."""
    rng = np.random.default_rng(1)
    won = rng.integers(1, 9, (12, 2)).astype(float)
    won[:, 1] = 0.0
    won[3, 1] = 4.0
    price = np.array([4000.0, 900.0])
    past = history({"leads": 90.0, "won": won, "revenue": won * price})
    np.testing.assert_allclose(inputs.known_value(B2B, past), price)
    varied = history({"leads": 90.0, "won": won, "revenue": won * price * rng.lognormal(0, 0.05, won.shape)})
    assert inputs.known_value(B2B, varied) is None
    assert inputs.known_value(B2B, past.as_of("2025-05")) is None
    assert inputs.known_value(B2B, history(COUNTS)) is None
    assert inputs.known_value(study(funnel={"value": 70.0}), history(COUNTS)).tolist() == [70.0, 70.0]
