"""What knowing more is worth, never negative and never above knowing everything; and how firm a recommendation is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posterior_fixture import PLAN, RATES, TWO, Array, case, history, posterior, study

from forecast.budget import information
from forecast.budget import response as module
from forecast.budget.decision import Decision, decide
from forecast.budget.information import (
    advice,
    budget_frontier,
    firmness,
    ground,
    ledger,
    risk_frontier,
    where_it_stops_paying,
    worth_of_knowing,
)
from forecast.budget.limits import Limits, Rule
from forecast.budget.response import Curves
from forecast.words import message, typed


def curves(scale: Array, beta: Array, most: float = 10_000.0) -> Curves:
    """Curves k_sc (x / 1000)^beta_sc by draw and channel."""
    spend = np.tile(most * np.linspace(0.0, 1.0, module.POINTS) ** 2, (beta.shape[1], 1))
    value = scale[:, :, None] * (spend / 1000.0) ** beta[:, :, None]
    return module.tabulated(spend, value)


def free(channels: int, total: float) -> Limits:
    """No limit but the total."""
    return Limits(np.zeros(channels), np.full(channels, np.inf), total)


def perfect_information(made: Curves, limits: Limits) -> float:
    """EVPI."""
    return ground(made, limits).perfect.value


def knowing(made: Curves, limits: Limits, parameter: Array) -> float:
    """EVPPI of one parameter."""
    return worth_of_knowing(ground(made, limits), parameter).value


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
    perfect = perfect_information(made, limits)
    single = [knowing(made, limits, scale[:, c]) for c in range(3)]
    single += [knowing(made, limits, beta[:, c]) for c in range(3)]
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
    perfect = perfect_information(made, limits)
    assert perfect >= knowing(made, limits, scale[:, 0]) >= 0.0


def test_perfect_information_against_the_closed_form():
    """Equal elasticities b: the best split gives x_c ~ k_c^(1/(1-b)), worth B^b (sum k^(1/(1-b)))^(1-b), by draw."""
    rng = np.random.default_rng(7)
    b, total = 0.5, 6_000.0
    scale = rng.lognormal(np.log(8000.0), 0.4, (500, 3))
    made = curves(scale, np.full((500, 3), b))

    def best(k: Array) -> Array:
        return (total / 1000) ** b * (k ** (1 / (1 - b))).sum(axis=-1) ** (1 - b)

    exact = best(scale).mean() - best(scale.mean(axis=0))
    assert perfect_information(made, free(3, total)) == pytest.approx(exact, rel=0.02)


def test_one_unknown_is_all_there_is_to_know():
    """Where a single parameter holds all the uncertainty, knowing it is knowing everything (spline error: 5 %)."""
    z = np.random.default_rng(9).normal(0.0, 1.0, 900)
    scale = np.column_stack([6000 * np.exp(0.4 * z), np.full(900, 6000.0)])
    made, limits = curves(scale, np.full((900, 2), 0.55)), free(2, 5_000.0)
    perfect = perfect_information(made, limits)
    assert knowing(made, limits, z) == pytest.approx(perfect, rel=0.05)


def test_a_parameter_without_influence_is_worth_little():
    """Noise that nothing depends on comes out below a twentieth of perfect information (the spline fits some of it)."""
    made, _, _ = uncertain(draws=1000)
    limits = free(3, 9_000.0)
    noise = np.random.default_rng(1).normal(size=1000)
    assert knowing(made, limits, noise) < 0.05 * perfect_information(made, limits)


def test_where_nothing_can_change_knowing_is_worth_nothing():
    """Certain curves, or limits that leave no choice."""
    certain = curves(np.full((50, 2), 5000.0), np.full((50, 2), 0.5))
    assert perfect_information(certain, free(2, 4_000.0)) == pytest.approx(0.0, abs=1e-6)
    assert knowing(certain, free(2, 4_000.0), np.arange(50.0)) == pytest.approx(0.0, abs=1e-6)
    made, scale, _ = uncertain()
    fixed = Limits(np.full(3, 2_000.0), np.full(3, 2_000.0), 6_000.0)
    assert perfect_information(made, fixed) == 0.0
    assert knowing(made, fixed, scale[:, 0]) == 0.0


def test_a_constant_parameter_teaches_nothing():
    """A parameter that is the same in every draw divides nothing by nothing and is worth zero."""
    made, _, _ = uncertain()
    assert knowing(made, free(3, 9_000.0), np.ones(800)) == pytest.approx(0.0, abs=1e-6)


def test_ten_times_the_currency_is_ten_times_the_worth():
    """Worth is in currency."""
    made, scale, beta = uncertain()
    spend = np.tile(100_000.0 * np.linspace(0.0, 1.0, module.POINTS) ** 2, (3, 1))
    value = 10 * scale[:, :, None] * (spend / 10_000.0) ** beta[:, :, None]
    many = module.tabulated(spend, value)
    one = perfect_information(made, free(3, 9_000.0))
    assert perfect_information(many, free(3, 90_000.0)) == pytest.approx(10 * one, rel=1e-6)


# How firm a recommendation is

NAMES = ["one", "two"]


@pytest.fixture(scope="module")
def made() -> Decision:
    """Two channels; what the first responds to is hardly known: no move is material."""
    return divided(400.0)


@pytest.fixture(scope="module")
def moving() -> Decision:
    """The same, the second channel hardly worth its money: the move to the first is material."""
    found = divided(100.0)
    assert found.allocation.material
    return found


def divided(second: float) -> Decision:
    """The budget of two channels divided, of which the second has so much traffic."""
    past = history(TWO)
    rng = np.random.default_rng(5)
    elasticity = np.clip(
        np.stack([rng.normal(0.5, 0.15, 300), rng.normal(0.5, 0.02, 300)], axis=1), 0.05, 0.95
    )
    known = posterior(
        past, RATES, draws=300, traffic=[1000.0, second], elasticity=elasticity, traffic_noise=0.1
    )
    return decide(case(known, past))


def test_regret_is_the_worth_of_perfect_information(made: Decision):
    """For the best split; the current plan's is larger; knowing one thing is worth less than knowing all."""
    found = firmness(made, NAMES, "EUR")
    perfect = found.perfect_information
    assert found.regret["value"] == pytest.approx(perfect["value"], rel=0.02, abs=1.0)
    assert found.regret_current["value"] > found.regret["value"]
    assert perfect["error"] < 0.2 * perfect["value"]
    assert (found.tests["worth_of_knowing"] <= perfect["value"]).all()
    assert found.tests["worth_of_knowing"].iloc[0] > found.tests["worth_of_knowing"].iloc[1]
    spread = found.optimum["q90"] - found.optimum["q10"]
    assert (spread > 0).all()
    assert (found.optimum["q10"] <= found.optimum["q50"]).all()


def test_other_limits_go_into_the_single_draws_too(made: Decision):
    """A rule that never binds changes nothing but the number of draws; one that binds is kept in every draw."""
    free = ground(made.curves, made.limits)
    rows = np.unique(np.linspace(0, len(free.best) - 1, 60).round().astype(int))
    idle = replace(made.limits, rules=(Rule("idle", "", np.ones((3, 2)), 1e9),))
    also = ground(made.curves, idle)
    assert also.value == pytest.approx(free.value[rows], rel=1e-3)
    assert also.perfect.value == pytest.approx(free.perfect.value, rel=0.5)
    tight = replace(
        made.limits, rules=(Rule("share", "", np.tile([0.4, -0.6], (3, 1)), 0.0),)
    )  # one at most 60 %
    kept = ground(made.curves, tight).best
    assert (kept[:, 0] <= 0.6 * kept.sum(axis=1) * (1 + 1e-6)).all()
    assert also.best.shape == kept.shape


def test_a_test_is_advised_only_where_it_pays(made: Decision):
    """Worth at most what knowing is worth, learnt grows with doubt; the sentence names the channel and both amounts."""
    table = firmness(made, NAMES, "EUR").tests
    assert (table["worth"] <= table["worth_of_knowing"]).all()
    assert table["learnt"].between(0, 1).all()
    assert table["learnt"].iloc[0] > table["learnt"].iloc[1]  # the doubtful one, for as long a test or longer
    assert (table["cost"] >= 0).all()
    assert "No test" in advice(table.assign(advised=False), "EUR")
    said = typed(advice(table.assign(advised=[True, False]), "EUR"))
    assert said.startswith("Test one: 30 % more and 30 % less spend")
    assert typed(message("{x:number} EUR", x=table["worth"].iloc[0])) in said


def test_the_budget_frontier_rises_bends_and_stops_paying(made: Decision):
    """Contribution rises until the marginal return is one, and its slope is the marginal return less one."""
    table = budget_frontier(made, 13)
    stop = where_it_stops_paying(made)
    before = table[table["budget"] <= stop]
    assert (np.diff(before["contribution"]) > 0).all()
    assert (np.diff(table["marginal"]) <= 1e-6).all()
    assert ((table["contribution"] >= table["q10"]) & (table["contribution"] <= table["q90"])).all()
    middle = table.iloc[2:5]
    slope = np.diff(middle["contribution"]) / np.diff(middle["budget"])
    between = (middle["marginal"].to_numpy()[1:] + middle["marginal"].to_numpy()[:-1]) / 2 - 1.0
    assert slope == pytest.approx(between, rel=0.05, abs=0.02)
    here = table.iloc[(table["budget"] - made.allocation.current.sum()).abs().argmin()]
    best = made.curves.mean_value(made.allocation.best) - made.allocation.best.sum()
    assert here["contribution"] == pytest.approx(best, rel=1e-6)


def test_the_risk_frontier_trades_mean_for_the_worst(moving: Decision):
    """From the best mean to the best cvar: one falls, the other rises."""
    table = risk_frontier(moving)
    mixes = table[table["plan"] == "mix"]
    scale = abs(mixes["contribution"].iloc[0]) * 1e-4
    assert (np.diff(mixes["contribution"]) <= scale).all()
    assert (np.diff(mixes["cvar"]) >= -scale).all()
    assert mixes["contribution"].iloc[0] == pytest.approx(
        table.loc[table["plan"] == "recommended", "contribution"].item(), rel=1e-6
    )


def test_the_ledger_says_what_rests_on_spend_never_seen(moving: Decision):
    """Nothing beyond: nothing rests on it. Beyond: part of the gain does, and a saturating response takes some away."""
    found = moving.allocation
    table = ledger(moving, NAMES)
    inside = found.extrapolated == 0
    assert (table["gain_beyond"][inside] == 0).all()
    assert table["gain_if_saturating"][inside].to_numpy() == pytest.approx(table["gain"][inside].to_numpy())
    over = (~inside).nonzero()[0]
    assert len(over) == 1  # both were constant in the past, and one of them gets more
    row = table.iloc[over[0]]
    assert row["peak"] > row["highest_seen"]
    assert 0 < row["gain"] - row["gain_if_saturating"] < row["gain_beyond"]
    assert table["gain"].sum() == pytest.approx(found.gain.mean(), rel=1e-6)


def test_michaelis_menten_beyond_the_highest_seen():
    """At twice the spend and an elasticity of 0.6: 1.43 times the value, where a power law has 1.52 times."""
    past = history(TWO)
    known = posterior(past, RATES, draws=50, traffic=[1000.0, 400.0], elasticity=0.6)
    asked = study(
        economics={"gross_margin": 0.6},
        budget={"limits": {"one": {"min": 18_000.0, "max": 18_000.0}}, "total": 30_000.0},
    )
    at = decide(case(known, past, PLAN, asked))
    row = ledger(at, NAMES).iloc[0]
    left = at.allocation.value_recommended[0] - (row["gain"] - row["gain_if_saturating"])
    assert left / at.allocation.value_current[0] == pytest.approx((1.0 / 0.4) * 2.0 / (2.0 + 1.5), rel=0.005)


def test_curves_of_many_channels_are_cut_more_coarsely_and_say_nearly_the_same(monkeypatch):
    """Of 24 channels in 32 pieces each, which 200 would have: within a few per cent of what 128 pieces say."""
    rng = np.random.default_rng(4)
    scale = rng.lognormal(8.5, 0.4, (1, 24)) * rng.lognormal(0.0, 0.3, (400, 24))
    beta = rng.uniform(0.4, 0.7, (400, 24))
    made, limits = curves(scale, beta), free(24, 60_000.0)
    found = {}
    for cells in (32, 128):
        monkeypatch.setattr(information, "cells_of", lambda channels, cells=cells: cells)
        known = ground(made, limits)
        worths = [worth_of_knowing(known, beta[:, i]).value for i in range(0, 24, 6)]
        found[cells] = np.array([known.perfect.value, *worths]), known.best.mean(axis=0)
    assert found[32][0][0] == pytest.approx(found[128][0][0], rel=0.01)
    assert found[32][0] == pytest.approx(found[128][0], rel=0.1)
    assert found[32][1] == pytest.approx(found[128][1], rel=0.05)
