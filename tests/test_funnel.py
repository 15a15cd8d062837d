"""The funnel equation by hand: the guide's numbers, and what must hold for any funnel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast import funnel
from forecast.errors import UsageError
from forecast.funnel import Funnel, clean, funnel_value
from forecast.study import market_prior

GUIDE = Funnel(visitors=1000, conversion=0.03, qualification=0.40, close=0.25, value=5000)

rates = st.floats(0, 1)
amounts = st.floats(0, 1e6)
FACTORS = ("visitors", "conversion", "qualification", "close", "value")


def test_the_example_of_the_guide():
    """1,000 visitors at 3 %, 40 %, 25 % and 5,000 are 30 leads, 12 qualified, 3 customers, 15,000."""
    result = funnel.summary(GUIDE)
    assert [result[stage] for stage in ("leads", "qualified", "won", "revenue")] == [30, 12, 3, 15_000]


def test_better_conversion_multiplies_through():
    """3 % -> 4 % conversion: 40 leads, 16 conversations, 4 customers, 20,000 (+33 %)."""
    result = funnel.summary(Funnel(1000, 0.04, 0.40, 0.25, 5000))
    assert [result[stage] for stage in ("leads", "qualified", "won", "revenue")] == [40, 16, 4, 20_000]
    raised = funnel.summary(GUIDE)["plus_one_point"]["conversion"]
    assert raised == {"rate": 0.04, "revenue": 20_000, "gain": 5_000, "relative": pytest.approx(1 / 3)}


def test_close_rate_from_20_to_30_percent_is_half_as_many_deals_again():
    """Close rate 20 % -> 30 %: +50 % deals from the same leads."""
    before, after = Funnel(1000, 0.03, 0.4, 0.20, 5000), Funnel(1000, 0.03, 0.4, 0.30, 5000)
    assert after.won / before.won == pytest.approx(1.5)
    assert after.leads == before.leads


def test_a_lead_and_a_qualified_lead_are_worth_different_money():
    """Worth of a raw lead 500, of a qualified lead 1,250 (2.5 times), of a visitor 15."""
    assert funnel.summary(GUIDE)["worth"] == {"visitor": 15, "lead": 500, "qualified": 1250}


def test_break_even_is_the_margin_on_the_worth():
    """At 60 % margin a lead may cost 300; buying at the break-even leaves contribution zero."""
    limit = GUIDE.break_even(0.6)
    assert limit["lead"] == pytest.approx(300)
    assert 0.6 * GUIDE.revenue - limit["lead"] * GUIDE.leads == pytest.approx(0, abs=1e-9)
    with pytest.raises(UsageError, match="margin"):
        GUIDE.break_even(0.0)


@given(st.sampled_from(FACTORS), amounts, rates, rates, rates, amounts)
def test_any_factor_at_zero_gives_zero(zero, visitors, conversion, qualification, close, value):
    """Any factor at zero makes growth zero, and the summary still has all its parts."""
    factors = dict(zip(FACTORS, (visitors, conversion, qualification, close, value), strict=True)) | {
        zero: 0.0
    }
    result = funnel.summary(Funnel(**factors))
    assert result["revenue"] == 0
    assert result["plus_one_point"]["close"]["relative"] is None


@given(st.sampled_from(FACTORS), st.floats(0.1, 0.5), amounts, rates, rates, rates, amounts)
def test_revenue_is_linear_in_each_factor(name, share, visitors, conversion, qualification, close, value):
    """A factor times c gives revenue times c, but for a few roundings of 2^-53 (and underflow)."""
    factors = dict(zip(FACTORS, (visitors, conversion, qualification, close, value), strict=True))
    scaled = factors | {name: share * factors[name]}
    assert math.isclose(
        funnel_value(**scaled), share * funnel_value(**factors), rel_tol=1e-14, abs_tol=1e-300
    )


@given(amounts, rates, rates, rates, amounts)
def test_worth_of_all_units_of_a_stage_is_the_revenue(visitors, conversion, qualification, close, value):
    """Visitors, leads or qualified leads, each times its worth, are the same revenue."""
    chain = Funnel(visitors, conversion, qualification, close, value)
    worth = chain.worth()
    counts = {"visitor": chain.visitors, "lead": chain.leads, "qualified": chain.qualified}
    for unit, count in counts.items():
        assert math.isclose(count * worth[unit], chain.revenue, rel_tol=1e-12, abs_tol=1e-300)


def test_takes_arrays():
    """The equation broadcasts, so a whole table of what-ifs is one call."""
    revenue = funnel_value(1000, np.array([0.03, 0.04]), 0.40, 0.25, 5000)
    np.testing.assert_allclose(revenue, [15_000, 20_000], rtol=1e-12)


def test_a_point_more_never_passes_100_percent():
    """A rate of 99.5 % can only rise to 100 %, and one of 100 % gains nothing."""
    raised = Funnel(100, 0.995, 1.0, 0.5, 10).plus_one_point()
    assert raised["conversion"]["rate"] == 1.0
    assert raised["qualification"]["gain"] == 0.0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"visitors": -1}, "visitors"),
        ({"conversion": 1.01}, "conversion"),
        ({"close": float("nan")}, "close"),
        ({"value": float("inf")}, "value"),
    ],
)
def test_impossible_numbers_are_refused_by_name(change, word):
    """Negative, above 100 %, NaN and infinite numbers end in a message that names them."""
    with pytest.raises(UsageError, match=word):
        Funnel(**({name: getattr(GUIDE, name) for name in FACTORS} | change))


def test_where_a_rate_stands():
    """Below, inside and above the published B2B ranges (2-5 %, 30-50 %, 20-30 %); the bounds are inside."""
    places = funnel.against_benchmarks(Funnel(1000, 0.01, 0.30, 0.31, 5000), "b2b")
    assert {name: place["stands"] for name, place in places.items()} == {
        "conversion": "below",
        "qualification": "inside",
        "close": "above",
    }
    assert funnel.against_benchmarks(GUIDE, "none") == {}


def test_benchmark_band_agrees_with_random_draws():
    """The grid's quantiles agree with draws from the same priors.

    400,000 draws; the log of the product has sd about 0.86, so the Monte Carlo error of a quantile at 10 % is
    about 0.86 x 1.7 / sqrt(400,000) = 0.23 %; four of them and the grid's own 0.5 % make 1.5 %.
    """
    band = funnel.benchmark_band(1000, 5000, "b2b")
    rng = np.random.default_rng(7)
    product = np.full(400_000, 1000 * 5000.0)
    for stage in ("leads", "qualified", "won"):
        prior = market_prior("b2b", stage, 0.5)
        product /= 1 + np.exp(-rng.normal(prior.mean, prior.sd, size=product.size))
    expected = np.quantile(product, [0.10, 0.25, 0.50, 0.75, 0.90])
    assert band is not None
    np.testing.assert_allclose(list(band.values()), expected, rtol=0.015)


def test_no_band_without_benchmarks():
    """A market without published ranges has no band, and no visitors have a band of zero."""
    assert funnel.benchmark_band(1000, 5000, "none") is None
    nothing = funnel.benchmark_band(0, 5000, "b2b")
    assert nothing is not None
    assert set(nothing.values()) == {0.0}


def test_numbers_come_out_clean():
    """1,000 x 0.03 x 0.4 shows as 12, not as 12.000000000000002; whole numbers are int in JSON."""
    assert clean(1100 * 0.1 * 1.1) == 121
    assert isinstance(clean(30.000000000000004), int)
    assert clean(0.30000000000000004) == 0.3
