"""Unit economics against the guide's example and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posterior_fixture import study

from forecast.outlook.lifetime import lifetime_of
from forecast.outlook.unit_economics import (
    STEP,
    Flow,
    chances,
    customer_economics,
    expected_flow,
    in_total,
    marginal_flow,
    payback,
    ratio,
    unit_measures,
)

# Two channels over two periods: 10,000 visitors a period at 1 %, 4,000 at 2.5 %; 40 % qualify, 25 % of those are won.
TRAFFIC = np.array([[[10_000.0, 4_000.0]] * 2])
RATES = {
    "leads": np.array([[[0.01, 0.025]] * 2]),
    "qualified": np.full((1, 2, 2), 0.4),
    "won": np.full((1, 2, 2), 0.25),
}
SPEND = np.array([[5_000.0, 0.0]] * 2)
DEAL = np.full((1, 2), 5_000.0)


def guide(margin: float = 1.0) -> dict[str, np.ndarray]:
    """The measures of the example, draw 0: channels, then total."""
    flow = expected_flow(TRAFFIC, RATES, "visitors", SPEND, DEAL)
    return {name: values[0] for name, values in unit_measures(flow, margin).items()}


def test_a_lead_is_worth_500_and_a_qualified_lead_1250():
    """5,000 x 0.25 = 1,250 is the worth of a qualified lead; a lead that may not qualify is worth 0.4 of that, 500."""
    measures = guide()
    assert measures["worth_of_lead"] == pytest.approx([500.0] * 3)
    assert measures["worth_of_qualified"] == pytest.approx([1_250.0] * 3)
    assert measures["deal_value"] == pytest.approx([5_000.0] * 3)


def test_10000_for_200_leads_is_50_a_lead():
    """CPL 50, 125 a qualified lead, 500 a customer; the total spreads the spend over the leads of all channels."""
    measures = guide()
    assert measures["cpl"][0] == pytest.approx(50.0)
    assert measures["cost_per_qualified"][0] == pytest.approx(125.0)
    assert measures["cac"][0] == pytest.approx(500.0)
    assert measures["cpl"][2] == pytest.approx(25.0)
    assert measures["spend"].tolist()[0::2] == [10_000.0, 10_000.0]


def test_the_break_even_cost_of_a_lead_is_its_margin():
    """At 70 % gross margin a lead may cost 350."""
    assert guide(margin=0.7)["break_even_cpl"] == pytest.approx([350.0] * 3)


def test_no_spend_is_an_undefined_cost_not_zero():
    """A channel without spend has no CPL, and a history without any spend no cost measures at all."""
    measures = guide()
    for name in ("spend", "cpl", "cost_per_qualified", "cac"):
        assert np.isnan(measures[name][1])
    flow = expected_flow(TRAFFIC, RATES, "visitors", np.zeros((2, 2)), DEAL)
    assert not {"spend", "cpl", "cost_per_qualified", "cac"} & set(unit_measures(flow, 1.0))


def test_no_units_have_no_cost_and_no_worth():
    """A channel that brings nobody has neither a CPL nor a worth of a lead."""
    flow = Flow(
        {"leads": np.zeros((1, 1)), "won": np.zeros((1, 1))}, np.array([100.0]), np.array([[5_000.0]])
    )
    measures = unit_measures(flow, 1.0)
    for name in ("cpl", "cac", "worth_of_lead", "deal_value"):
        assert np.isnan(measures[name]).all()


def test_without_a_deal_value_nothing_has_a_worth():
    """Costs only."""
    flow = expected_flow(TRAFFIC, RATES, "visitors", SPEND, None)
    assert set(unit_measures(flow, 1.0)) == {"spend", "cpl", "cost_per_qualified", "cac"}


def test_a_funnel_of_other_stages_has_the_measures_that_exist():
    """Without leads and qualified there is a customer's cost and a deal value, no more."""
    flow = expected_flow(TRAFFIC, {"won": RATES["won"]}, "visitors", SPEND, DEAL)
    assert set(unit_measures(flow, 1.0)) == {"spend", "cac", "deal_value"}


def test_worth_is_the_mean_of_products_not_the_product_of_means():
    """Each draw has its own rates and value; they are multiplied draw by draw before anything is averaged."""
    rates = {"leads": np.full((2, 1, 1), 0.1), "won": np.array([[[0.1]], [[0.3]]])}
    flow = expected_flow(
        np.full((2, 1, 1), 100.0), rates, "visitors", np.ones((1, 1)), np.array([[1_000.0], [3_000.0]])
    )
    worth = unit_measures(flow, 1.0)["worth_of_lead"][:, 0]
    assert worth == pytest.approx([100.0, 900.0])
    assert worth.mean() > 0.2 * 2_000.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 1e6), min_size=2, max_size=5), st.floats(0.1, 100.0))
def test_ten_times_the_currency_is_ten_times_the_cost(spend, factor):
    """Costs and worth scale with the currency; units do not."""
    c = len(spend)
    traffic, rates = (
        np.full((1, 1, c), 1_000.0),
        {"leads": np.full((1, 1, c), 0.1), "won": np.full((1, 1, c), 0.2)},
    )
    one = unit_measures(
        expected_flow(traffic, rates, "visitors", np.array([spend]), np.full((1, c), 10.0)), 0.5
    )
    many = unit_measures(
        expected_flow(traffic, rates, "visitors", factor * np.array([spend]), np.full((1, c), factor * 10.0)),
        0.5,
    )
    for name, values in one.items():
        assert many[name] == pytest.approx(factor * values, rel=1e-9)


def test_total_and_ratio_helpers():
    """The total is appended last; a ratio to nothing is NaN, also 0 / 0."""
    assert in_total(np.array([[1.0, 2.0]])).tolist() == [[1.0, 2.0, 3.0]]
    assert ratio(np.array([1.0, 0.0, 4.0]), np.array([0.0, 0.0, 2.0])) == pytest.approx(
        [np.nan, np.nan, 2.0], nan_ok=True
    )


# Customers, and the next unit of money


def customers(
    spend: float = 9_000.0, won: float = 3.0, beta: float = 0.5, **economics: object
) -> dict[str, np.ndarray]:
    """One channel and draw: 60 leads, 24 qualified, `won` customers of 5,000; leads follow spend to the power beta."""
    spec = study(economics=economics)
    flow = expected_flow(
        np.array([[[60.0]]]),
        {"qualified": np.array([[[0.4]]]), "won": np.array([[[won / 24.0]]])},
        "leads", np.array([[spend]]), np.array([[5_000.0]]),
    )  # fmt: skip
    more = np.array([[[60.0]]]) * (1 + STEP) ** beta
    margin = marginal_flow(
        (np.array([[[60.0]]]), np.zeros((1, 1))), (more, np.zeros((1, 1))),
        {"qualified": np.array([[[0.4]]]), "won": np.array([[[won / 24.0]]])},
        "leads", np.array([[STEP * spend]]), np.array([[5_000.0]]),
    )  # fmt: skip
    made = lifetime_of(spec)
    payments = made.draws(1, np.random.default_rng(1))
    measures = unit_measures(flow, spec.economics.gross_margin)
    return measures | customer_economics(flow, margin, payments, made.step, spec.economics, 1)


def test_an_ltv_of_9000_over_a_cac_of_3000_is_3():
    """The guide's healthy company: margin 60 % of 5,000, bought three times, and 9,000 of spend for 3 customers."""
    made = customers(gross_margin=0.6, retention=0.999999, lifetime=3.0)
    assert made["cac"][0] == pytest.approx([3_000.0] * 2)
    assert made["ltv"][0] == pytest.approx([9_000.0] * 2, rel=1e-5)
    assert made["ltv_cac"][0] == pytest.approx([3.0] * 2, rel=1e-5)
    assert customers(spend=3_000.0)["cpl"][0, 0] == pytest.approx(50.0)


def test_the_cost_of_sales_is_part_of_what_a_customer_costs():
    """6,000 a period and 500 a customer on top of 9,000 for 3 customers: 5,500 each, in LTV/CAC and break-even too."""
    made = customers(gross_margin=0.6, sales_cost=6_000.0, sales_cost_per_won=500.0)
    assert made["cac"][0, 0] == pytest.approx(3_000.0)
    assert made["cac_with_sales"][0] == pytest.approx([5_500.0] * 2)
    assert made["ltv_cac"][0] == pytest.approx([3_000.0 / 5_500.0] * 2)
    assert made["break_even_cpl_lifetime"][0] == pytest.approx([(3 * 3_000.0 - 6_000.0 - 1_500.0) / 60.0] * 2)


def test_the_sales_team_is_shared_by_what_comes_to_it():
    """Who has two thirds of the qualified leads bears two thirds of the team, with or without spend."""
    rates = {"qualified": np.full((1, 1, 2), 0.5), "won": np.array([[[0.5, 0.25]]])}
    flow = expected_flow(
        np.array([[[20.0, 40.0]]]), rates, "leads", np.array([[1_000.0, 0.0]]), np.full((1, 2), 1.0)
    )
    spec = study(economics={"sales_cost": 300.0}).economics
    none = Flow({stage: 0.0 * u for stage, u in flow.units.items()}, np.zeros(2), flow.deal_value)
    made = customer_economics(flow, none, np.ones((1, 1)), 1.0, spec, 1)
    assert made["cac_with_sales"][0] == pytest.approx([1_100.0 / 5, 200.0 / 5, 1_300.0 / 10])


@given(st.floats(0.1, 0.95), st.floats(0.1, 6.0), st.sampled_from(["year", "quarter", "month"]))
@settings(max_examples=50, deadline=None)
def test_the_cost_comes_back_just_where_the_lifetime_pays_it(retention, cost, renewal):
    """Payback is finite if and only if LTV / CAC is at least 1, and within the lifetime; both roads to one answer."""
    made = customers(
        spend=cost * 15_000.0, retention=retention, renewal=renewal, lifetime=3.0, discount_rate=0.1
    )
    months, worth = made["payback_months"][0, 0], made["ltv_cac"][0, 0]
    assert np.isfinite(months) == (worth >= 1)
    assert np.isinf(months) or 0 < months <= 36 + 1e-9
    later = made["marginal_payback_months"][0, 0]
    assert later >= months
    assert np.isfinite(later) == (made["marginal_ltv_cac"][0, 0] >= 1)


def test_payback_by_hand():
    """A cost of 1.5 first margins at 50 % retention a year: the whole first year and the whole second, 24 months."""
    made = customers(spend=1.5 * 15_000.0, retention=0.5)
    assert made["payback_months"][0] == pytest.approx([24.0] * 2)
    once = payback(np.array([[0.9, 1.1, np.nan]]), np.ones((1, 1)))
    assert once[0].tolist() == pytest.approx([0.0, np.inf, np.nan], nan_ok=True)


@pytest.mark.parametrize("beta", [0.3, 0.7, 1.0])
def test_the_next_lead_costs_the_average_over_the_elasticity(beta):
    """With traffic like spend to the power beta, marginal CPL = CPL / beta, and so for customers."""
    made = customers(beta=beta)
    assert made["marginal_cpl"][0] == pytest.approx(made["cpl"][0] / beta, rel=0.01)
    assert made["marginal_cac"][0] == pytest.approx(made["cac"][0] / beta, rel=0.01)
    assert made["marginal_ltv_cac"][0] == pytest.approx(beta * made["ltv_cac"][0], rel=0.01)


def test_chances_are_shares_of_draws():
    """Three of four draws of at least 3; a channel with cheap leads and dear customers in one draw of two."""
    found = chances(
        {"ltv_cac": np.array([[2.0], [3.0], [4.0], [9.0]]), "payback_months": np.array([[1.0], [np.inf]] * 2)}
    )
    assert found["p_ltv_cac_3"][0] == 0.75
    assert found["p_payback"][0] == 0.5
    cpl, cac = np.array([[40.0, 60.0, 50.0]] * 2), np.array([[900.0, 400.0, 500.0], [450.0, 600.0, 500.0]])
    assert chances({"cpl": cpl, "cac": cac})["p_cheap_but_dear"] == pytest.approx(
        [0.5, 0.0, np.nan], nan_ok=True
    )
