"""How sure the decision is: regret, single draws' best splits, frontiers, tests and what lies beyond the spend seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from posterior_fixture import PLAN, RATES, TWO, case, history, posterior, study

from forecast.budget.decision import Decision, decide
from forecast.budget.information import ground
from forecast.budget.limits import Rule
from forecast.budget.sureness import (
    advice,
    budget_frontier,
    ledger,
    risk_frontier,
    sureness,
    where_it_stops_paying,
)

NAMES = ["one", "two"]


@pytest.fixture(scope="module")
def made() -> Decision:
    """Two channels; what the first responds to is hardly known."""
    past = history(TWO)
    rng = np.random.default_rng(5)
    elasticity = np.clip(
        np.stack([rng.normal(0.5, 0.15, 300), rng.normal(0.5, 0.02, 300)], axis=1), 0.05, 0.95
    )
    known = posterior(
        past, RATES, draws=300, traffic=[1000.0, 400.0], elasticity=elasticity, traffic_noise=0.1
    )
    return decide(case(known, past))


def test_regret_is_the_worth_of_perfect_information(made: Decision):
    """For the best split; the current plan's is larger; knowing one thing is worth less than knowing all."""
    found = sureness(made, NAMES)
    assert found.regret.value == pytest.approx(found.perfect.value, rel=0.02, abs=1.0)
    assert found.regret_current.value > found.regret.value
    assert found.perfect.error < 0.2 * found.perfect.value
    assert (found.tests["worth_of_knowing"] <= found.perfect.value).all()
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
    table = sureness(made, NAMES).tests
    assert (table["worth"] <= table["worth_of_knowing"]).all()
    assert table["learnt"].between(0, 1).all()
    assert table["learnt"].iloc[0] > table["learnt"].iloc[1]  # the doubtful one, for as long a test or longer
    assert (table["cost"] >= 0).all()
    assert "No test" in advice(table.assign(advised=False), "EUR")
    said = advice(table.assign(advised=[True, False]), "EUR")
    assert said.startswith("Test one: 30% more and 30% less spend")
    assert f"{table['worth'].iloc[0]:,.0f} EUR" in said


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
    best = made.curves.mean_value(made.allocation.recommended) - made.allocation.recommended.sum()
    assert here["contribution"] == pytest.approx(best, rel=1e-6)


def test_the_risk_frontier_trades_mean_for_the_worst(made: Decision):
    """From the best mean to the best cvar: one falls, the other rises."""
    table = risk_frontier(made)
    mixes = table[table["plan"] == "mix"]
    scale = abs(mixes["contribution"].iloc[0]) * 1e-4
    assert (np.diff(mixes["contribution"]) <= scale).all()
    assert (np.diff(mixes["cvar"]) >= -scale).all()
    assert mixes["contribution"].iloc[0] == pytest.approx(
        table.loc[table["plan"] == "recommended", "contribution"].item(), rel=1e-6
    )


def test_the_ledger_says_what_rests_on_spend_never_seen(made: Decision):
    """Nothing beyond: nothing rests on it. Beyond: part of the gain does, and a saturating response takes some away."""
    found = made.allocation
    table = ledger(made, NAMES)
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
