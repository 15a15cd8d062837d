"""Dated goals: chance and gap as simulated, changes that do what they promise, errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from posterior_fixture import PLAN, case, rich, study

from forecast.budget.goals import goal_tables, window_of
from forecast.checking import check_levers
from forecast.errors import StudyError
from forecast.outlook import base_of, simulate


def _told(*goals: dict, **tables):
    known, past = rich()
    asked = study(goal=goals, economics={"gross_margin": 0.6}, **tables)
    base = base_of(case(known, past, PLAN, asked))
    outlook = simulate(base.case, {"given": PLAN}, rng=np.random.default_rng(2), replicates=8)
    return base, outlook, goal_tables(base, outlook, "given", seed=1)


def test_chance_and_gap_are_those_of_the_simulated_sum():
    """Two months of leads: share of draws, and amount less the median and less what 80 % exceed."""
    _, outlook, told = _told({"by": "2026-02-28", "leads": 150.0})
    row = told["goals"].iloc[0]
    draws = outlook["leads"].sel(plan="given").values[:, :2].sum(axis=(1, 2))
    assert row["p"] == (draws >= 150).mean()
    assert row["gap_50"] == 150 - np.median(draws)
    assert row["gap_chance"] == pytest.approx(150 - np.quantile(draws, 0.2))
    assert (row["from"], row["by"]) == ("2026-01", "2026-02")


def test_what_came_before_counts():
    """From October on: three months of 7 wins are there already."""
    _, outlook, told = _told({"from": "2025-10", "by": "2026-03", "won": 40.0})
    row = told["goals"].iloc[0]
    assert row["so_far"] == 21
    draws = outlook["won"].sel(plan="given").values.sum(axis=(1, 2))
    assert row["p"] == (draws >= 19).mean()


def test_a_raised_rate_makes_the_goal_as_likely_as_it_says():
    """Two roads: the factor found on the expected road, and a simulation with the rate that it asks for."""
    goal = {"by": "2026-03", "won": 28.0}
    base, _, told = _told(goal)
    ways = told["ways"].set_index(["lever", "stage"])
    way = ways.loc[("rate", "won")]
    assert way["reached"]
    rates = dict(base.case.future.rates)
    rates["won"] = np.minimum(rates["won"] * (1 + way["change"]), 1.0)
    raised = replace(base.case, future=replace(base.case.future, rates=rates))
    made = simulate(raised, {"given": PLAN}, rng=np.random.default_rng(3), replicates=8)
    draws = made["won"].sel(plan="given").values.sum(axis=(1, 2)).reshape(base.case.posterior.draws, -1)
    share = (draws >= 28).mean(axis=1)
    error = np.sqrt(share.var() / len(share)) + np.sqrt(0.16 / draws.size)
    assert share.mean() == pytest.approx(0.8, abs=4 * error)
    assert set(ways.index.get_level_values("lever")) >= {"budget", "rate"}
    later = ways.loc[("rate", "leads"), "change"] if ways.loc[("rate", "leads"), "reached"] else np.inf
    assert later > way["change"]  # who becomes a lead now is seldom won in time


def test_a_goal_that_is_likely_enough_needs_no_change_and_one_out_of_reach_says_so():
    """No ways for the first; for the second the largest change and how far it gets."""
    _, _, told = _told({"by": "2026-03", "won": 1.0, "name": "easy"}, {"by": "2026-01", "won": 5000.0})
    assert told["goals"]["p"].tolist() == [1.0, 0.0]
    ways = told["ways"]
    assert len(ways)
    assert set(ways["goal"]) == {"5 000 won by 2026-01"}
    assert not ways["reached"].any()
    assert (ways["p"] < 0.8).all()


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ({"by": "2027-03-31", "won": 3.0}, r'ends with 2026-03; came "2027-03-31" .*set plan.periods = 15'),
        ({"by": "2025-12", "won": 3.0}, "expected a period not before 2026-01"),
        ({"by": "2026-02", "from": "2020-01", "won": 3.0}, "begins with 2025-01"),
        ({"by": "2026-02", "from": "2025-10", "revenue": 3.0}, "no revenue to count"),
    ],
)
def test_a_goal_that_cannot_be_judged_is_refused(goal: dict, said: str):
    """Beyond the horizon, before it, before the history, or without data of what came."""
    _, past = rich()
    asked = study(goal=(goal,), funnel={"value": 100.0})
    with pytest.raises(StudyError, match=said):
        check_levers(asked, past, 3)
    horizon = np.array(["2026-01-01", "2026-02-01", "2026-03-01"], dtype="datetime64[D]")
    with pytest.raises(StudyError, match=said):
        window_of(asked, past, horizon, 0)
