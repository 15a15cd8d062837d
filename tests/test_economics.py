"""Unit economics against the guide's example and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.economics import Flow, expected_flow, in_total, ratio, unit_economics

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
    return {name: values[0] for name, values in unit_economics(flow, margin).items()}


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
    assert not {"spend", "cpl", "cost_per_qualified", "cac"} & set(unit_economics(flow, 1.0))


def test_no_units_have_no_cost_and_no_worth():
    """A channel that brings nobody has neither a CPL nor a worth of a lead."""
    flow = Flow(
        {"leads": np.zeros((1, 1)), "won": np.zeros((1, 1))}, np.array([100.0]), np.array([[5_000.0]])
    )
    measures = unit_economics(flow, 1.0)
    for name in ("cpl", "cac", "worth_of_lead", "deal_value"):
        assert np.isnan(measures[name]).all()


def test_without_a_deal_value_nothing_has_a_worth():
    """Costs only."""
    flow = expected_flow(TRAFFIC, RATES, "visitors", SPEND, None)
    assert set(unit_economics(flow, 1.0)) == {"spend", "cpl", "cost_per_qualified", "cac"}


def test_a_funnel_of_other_stages_has_the_measures_that_exist():
    """Without leads and qualified there is a customer's cost and a deal value, no more."""
    flow = expected_flow(TRAFFIC, {"won": RATES["won"]}, "visitors", SPEND, DEAL)
    assert set(unit_economics(flow, 1.0)) == {"spend", "cac", "deal_value"}


def test_worth_is_the_mean_of_products_not_the_product_of_means():
    """Each draw has its own rates and value; they are multiplied draw by draw before anything is averaged."""
    rates = {"leads": np.full((2, 1, 1), 0.1), "won": np.array([[[0.1]], [[0.3]]])}
    flow = expected_flow(
        np.full((2, 1, 1), 100.0), rates, "visitors", np.ones((1, 1)), np.array([[1_000.0], [3_000.0]])
    )
    worth = unit_economics(flow, 1.0)["worth_of_lead"][:, 0]
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
    one = unit_economics(
        expected_flow(traffic, rates, "visitors", np.array([spend]), np.full((1, c), 10.0)), 0.5
    )
    many = unit_economics(
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
