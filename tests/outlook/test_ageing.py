"""Dated leads run forward: two roads to one answer, units that are conserved, days of entry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lead_fixture import write_study

from forecast.fit import preview
from forecast.history import read_history
from forecast.lab import make_leads
from forecast.outlook import Case, case_of, simulate
from forecast.outlook.ageing import entering, law_of, waiting_by_age
from forecast.outlook.expectation import inside_share, outcome, world_of
from forecast.outlook.open_pipeline import lags_of, open_moves
from forecast.periods import period_days
from forecast.study import load_study

HORIZON = 3


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A made company's leads, won and lost by date, by preview."""
    folder: Path = tmp_path_factory.mktemp("leads")
    world = make_leads(np.random.default_rng(5), size=1500, months=14)
    study = load_study(write_study(folder, world))
    history = read_history(study)
    posterior = preview(study, history, seed=1, draws=1000)
    plan = np.zeros((HORIZON, len(history.channels)))
    return case_of(study, history, posterior, plan, np.random.default_rng(2))


def test_simulation_and_expected_road_agree(case: Case):
    """The mean over chance of wins by slot, of the pipeline and of new leads, is what the expected road says."""
    rows = np.arange(case.posterior.draws)
    made = outcome(world_of(case, rows))
    drawn = simulate(case, {"a": case.plan}, rng=np.random.default_rng(3)).sel(plan="a")
    for kind, name in enumerate(("pipeline", "new")):
        expected = made.won[kind, :, :HORIZON].sum(axis=2)
        seen = drawn[f"won_from_{name}"].sum("channel").values.reshape(len(rows), -1, HORIZON)
        apart = seen.mean(axis=1) - expected
        error = apart.std(axis=0) / np.sqrt(len(rows))
        assert (np.abs(apart.mean(axis=0)) < 4 * error + 1e-9).all()
    later = drawn["won_after_horizon"].sum("channel").values.reshape(len(rows), -1).mean(axis=1)
    apart = later - made.won[:, :, HORIZON].sum(axis=(0, 2))
    assert abs(apart.mean()) < 4 * apart.std() / np.sqrt(len(rows))


def test_open_units_move_stay_or_are_lost(case: Case):
    """Chances are such, and no more units move than are open, in any draw."""
    ages, units = waiting_by_age(case.history, "won")
    assert units.sum() == case.history.courses["won"].open.n.sum()
    assert ages.min() >= 1
    rows = np.arange(50)
    for some, chance, stay in open_moves(case, "won", rows):
        assert some is units or np.array_equal(some, units)
        assert (chance >= 0).all()
        assert (chance + stay <= 1 + 1e-9).all()
    drawn = simulate(case, {"a": case.plan}, rng=np.random.default_rng(3)).sel(plan="a")
    moved = drawn["won_from_pipeline"].sum("period") + drawn["won_after_from_pipeline"]
    open_units = sum(own.open.n.sum() for own in case.history.courses.values())
    assert moved.sum("channel").max() <= open_units


def test_new_units_move_once_at_most(case: Case):
    """Shares by age add up to at most one, with the chance to move at all a chance."""
    for stage in ("qualified", "won"):
        lags = lags_of(case, stage, slice(None))
        assert lags is not None
        assert (lags >= 0).all()
        assert (lags.sum(axis=2) <= 1 + 1e-5).all()
        assert ((case.future.rates[stage] > 0) & (case.future.rates[stage] <= 1)).all()


def test_days_of_entry_stand_for_all_days(case: Case):
    """A few points of the days of a period give what all of its days give, to a hundredth."""
    stage, pace = "won", case.future.paces["won"]
    rows = np.arange(40)
    ever, lags = entering(case.posterior, stage, pace, case.future.starts, "month")
    days = period_days(case.future.starts, "month")
    law, following = (law_of(case.posterior, stage, pace, f, rows) for f in (0, 1))
    lived = np.arange(1, days[0] + 1)
    first, stay = law.between(np.zeros_like(lived), lived)
    second, _ = following.between(lived, lived + days[1])
    by_day = first.mean(axis=1), (stay * second).mean(axis=1)
    for age, exact in enumerate(by_day):
        ours = ever[rows, 0] * lags[rows, 0, age]
        assert ours.mean() == pytest.approx(exact.mean(), rel=0.01)


def test_what_a_lead_brings_inside_is_what_new_leads_bring(case: Case):
    """A unit of each period times its chance inside the horizon is what the expected road counts as new wins."""
    rows = np.arange(case.posterior.draws)
    traffic, _ = case.traffic()
    made = outcome(world_of(case, rows))
    brought = (traffic * inside_share(case)).sum(axis=(1, 2))
    assert brought == pytest.approx(made.won[1, :, :HORIZON].sum(axis=(1, 2)), rel=1e-4)


def test_a_better_month_moves_more(case: Case):
    """Twice the hazard of moves in a period, and more of its open units move in it."""
    stage, pace = "won", case.future.paces["won"]
    fast = type(pace)(pace.moves + np.log(2.0), pace.losses)
    ages = np.array([5, 30])
    one, two = (
        law_of(case.posterior, stage, p, 0, slice(None)).between(ages, ages + 30)[0] for p in (pace, fast)
    )
    assert (two > one).all()


def test_units_with_a_schedule_do_not_age(case: Case):
    """Of a period and channel, those that wait for a date known in advance are no part of the groups by age."""
    history, open_ = case.history, case.history.by_day["won"].open
    month = np.datetime64(open_.entered.astype("datetime64[M]").max(), "D")
    mine = (open_.entered >= month) & (open_.channel == 0)
    assert open_.n[mine].sum() > 1
    schedule = {
        "channel": [history.channels[0]],
        "entered": [month],
        "scheduled": [month + np.timedelta64(100, "D")],
        "ended": [np.datetime64("NaT", "D")],
        "won": [False],
        "n": [int(open_.n[mine].sum()) - 1],
    }
    told = replace(history, schedule=pd.DataFrame(schedule))
    every, fewer = (waiting_by_age(each, "won")[1].sum(axis=0) for each in (history, told))
    assert fewer[0] == every[0] - schedule["n"][0]
    assert (fewer[1:] == every[1:]).all()
    assert (waiting_by_age(told, "qualified")[1] == waiting_by_age(history, "qualified")[1]).all()


def test_what_the_study_knows_of_a_rate_moves_dated_leads(case: Case, tmp_path: Path):
    """Ahead it multiplies the chance to move at all; within the history its step is learnt by the period."""
    world = make_leads(np.random.default_rng(5), size=1500, months=14)
    label = str(case.history.periods[-4].astype("datetime64[M]"))
    first = str(case.future.starts[0].astype("datetime64[M]"))
    text = '[[change]]\nfrom = "{}"\nrate.won = {{ times = 0.5 }}\n'
    ahead, behind = (
        load_study(write_study(tmp_path, world, f"\n{text.format(period)}")) for period in (first, label)
    )
    moved = case_of(ahead, case.history, case.posterior, case.plan, np.random.default_rng(2))
    assert moved.future.rates["won"] == pytest.approx(0.5 * case.future.rates["won"])
    found = preview(behind, case.history, seed=1, draws=200)
    assert "hazard_qualified" in found.data
    assert "hazard_won" not in found.data
    again = case_of(behind, case.history, found, case.plan, np.random.default_rng(2))
    assert set(again.future.paces) == {"qualified"}
    drawn = simulate(again, {"a": again.plan}, rng=np.random.default_rng(3)).sel(plan="a")
    made = outcome(world_of(again, np.arange(200))).won[:, :, :HORIZON].sum(axis=(0, 2, 3)).mean()
    assert drawn["won"].sum(["period", "channel"]).mean() == pytest.approx(made, rel=0.05)
