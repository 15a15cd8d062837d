"""What knowing more is worth: zero where nothing can change, never negative, never above knowing everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posterior_fixture import Array

from forecast.budget import response as module
from forecast.budget.information import expected_value_of_knowing, expected_value_of_perfect_information
from forecast.budget.limits import Limits
from forecast.budget.response import Curves


def curves(scale: Array, beta: Array, most: float = 10_000.0) -> Curves:
    """Curves k_sc (x / 1000)^beta_sc by draw and channel."""
    spend = np.tile(most * np.linspace(0.0, 1.0, module.POINTS) ** 2, (beta.shape[1], 1))
    value = scale[:, :, None] * (spend / 1000.0) ** beta[:, :, None]
    return module.tabulated(spend, value, np.ones((1, beta.shape[1])))


def free(channels: int, total: float) -> Limits:
    """No limit but the total."""
    return Limits(np.zeros(channels), np.full(channels, np.inf), total)


def uncertain(draws: int = 800, seed: int = 2) -> tuple[Curves, Array, Array]:
    """Three channels: scale and elasticity differ by draw."""
    rng = np.random.default_rng(seed)
    scale = rng.lognormal(np.log([6000.0, 5000.0, 4000.0]), [0.5, 0.3, 0.1], (draws, 3))
    beta = rng.uniform(0.4, 0.7, (draws, 3))
    return curves(scale, beta), scale, beta


def test_perfect_information_is_worth_at_least_any_single_parameter():
    """EVPI >= EVPPI >= 0 for every parameter, and the more uncertain channel is worth more to know."""
    made, scale, beta = uncertain()
    limits = free(3, 9_000.0)
    perfect = expected_value_of_perfect_information(made, limits)
    single = [expected_value_of_knowing(made, limits, scale[:, c]) for c in range(3)]
    single += [expected_value_of_knowing(made, limits, beta[:, c]) for c in range(3)]
    assert perfect > 0
    for worth in single:
        assert 0.0 <= worth <= perfect
    assert single[0] > single[1] > single[2]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), total=st.floats(500, 25_000), low=st.floats(0, 900))
def test_the_order_holds_in_any_market(seed, total, low):
    """EVPI >= EVPPI >= 0 whatever the draws, the total and the limits."""
    made, scale, _ = uncertain(draws=120, seed=seed)
    limits = Limits(np.full(3, min(low, total / 4)), np.full(3, 8_000.0), total)
    perfect = expected_value_of_perfect_information(made, limits)
    assert perfect >= expected_value_of_knowing(made, limits, scale[:, 0]) >= 0.0


def test_perfect_information_against_the_closed_form():
    """Equal elasticities b: the best split gives x_c ~ k_c^(1/(1-b)), worth B^b (sum k^(1/(1-b)))^(1-b), by draw."""
    rng = np.random.default_rng(7)
    b, total = 0.5, 6_000.0
    scale = rng.lognormal(np.log(8000.0), 0.4, (500, 3))
    made = curves(scale, np.full((500, 3), b))

    def best(k: Array) -> Array:
        return (total / 1000) ** b * (k ** (1 / (1 - b))).sum(axis=-1) ** (1 - b)

    exact = best(scale).mean() - best(scale.mean(axis=0))
    assert expected_value_of_perfect_information(made, free(3, total)) == pytest.approx(exact, rel=0.02)


def test_one_unknown_is_all_there_is_to_know():
    """Where a single parameter holds all the uncertainty, knowing it is knowing everything (spline error: 5 %)."""
    z = np.random.default_rng(9).normal(0.0, 1.0, 900)
    scale = np.column_stack([6000 * np.exp(0.4 * z), np.full(900, 6000.0)])
    made, limits = curves(scale, np.full((900, 2), 0.55)), free(2, 5_000.0)
    perfect = expected_value_of_perfect_information(made, limits)
    assert expected_value_of_knowing(made, limits, z) == pytest.approx(perfect, rel=0.05)


def test_a_parameter_without_influence_is_worth_little():
    """Noise that nothing depends on comes out below a twentieth of perfect information (the spline fits some of it)."""
    made, _, _ = uncertain(draws=1000)
    limits = free(3, 9_000.0)
    noise = np.random.default_rng(1).normal(size=1000)
    assert expected_value_of_knowing(made, limits, noise) < 0.05 * expected_value_of_perfect_information(
        made, limits
    )


def test_where_nothing_can_change_knowing_is_worth_nothing():
    """Certain curves, or limits that leave no choice."""
    certain = curves(np.full((50, 2), 5000.0), np.full((50, 2), 0.5))
    assert expected_value_of_perfect_information(certain, free(2, 4_000.0)) == pytest.approx(0.0, abs=1e-6)
    assert expected_value_of_knowing(certain, free(2, 4_000.0), np.arange(50.0)) == pytest.approx(
        0.0, abs=1e-6
    )
    made, scale, _ = uncertain()
    fixed = Limits(np.full(3, 2_000.0), np.full(3, 2_000.0), 6_000.0)
    assert expected_value_of_perfect_information(made, fixed) == 0.0
    assert expected_value_of_knowing(made, fixed, scale[:, 0]) == 0.0


def test_a_constant_parameter_teaches_nothing():
    """A parameter that is the same in every draw divides nothing by nothing and is worth zero."""
    made, _, _ = uncertain()
    assert expected_value_of_knowing(made, free(3, 9_000.0), np.ones(800)) == pytest.approx(0.0, abs=1e-6)


def test_ten_times_the_currency_is_ten_times_the_worth():
    """Worth is in currency."""
    made, scale, beta = uncertain()
    spend = np.tile(100_000.0 * np.linspace(0.0, 1.0, module.POINTS) ** 2, (3, 1))
    value = 10 * scale[:, :, None] * (spend / 10_000.0) ** beta[:, :, None]
    many = module.tabulated(spend, value, np.ones((1, 3)))
    one = expected_value_of_perfect_information(made, free(3, 9_000.0))
    assert expected_value_of_perfect_information(many, free(3, 90_000.0)) == pytest.approx(10 * one, rel=1e-6)
