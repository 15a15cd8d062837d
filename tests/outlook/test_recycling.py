"""Leads that flow back: learnt from returns, with those still out, or assumed; and what they bring to the funnel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import posterior_fixture as fixture
import pytest
from lead_fixture import write_study
from scipy.stats import gamma

from forecast.equations import lognormal_cdf
from forecast.errors import DataError, StudyError
from forecast.history import read_history
from forecast.lab import make_leads
from forecast.leads import dates_of, expected_moves, read_lead_table, with_returns
from forecast.outlook.recycling import nurtured, with_recycling
from forecast.outlook.simulation import simulate
from forecast.study import load_study

TRUTH = (0.2, 80.0, 0.35)  # share that comes back, mean days until then, share of them that qualifies


@pytest.fixture(scope="module")
def world():
    """A company whose unqualified leads come back."""
    return make_leads(np.random.default_rng(3), size=3000, returns=TRUTH)


@pytest.fixture
def company(world, tmp_path):
    """Its study and history."""
    study = load_study(write_study(tmp_path, world, "\n[nurturing]\n"))
    return study, read_history(study)


def _posterior(history, draws=200):
    rates = {"qualified": 0.4, "won": 0.3}
    delays = {"qualified": (0.6, 0.8), "won": (1.6, 0.8)}
    return fixture.posterior(
        history, rates, draws=draws, delays=delays, losses={"qualified": (0.7, 1.0, 0.8)}, traffic=40.0
    )


def test_rate_delay_and_second_qualification_are_recovered(company):
    """Within three posterior standard deviations, of delays that are not lognormal; a plain count is too few."""
    found = nurtured(*company)
    sd = np.sqrt(np.diag(found.first.covariance))
    assert abs(np.log(found.first.rate / TRUTH[0])) < 3 * sd[0]
    assert abs(np.log(found.first.mean_days / TRUTH[1])) < 3 * sd[1] + 0.1
    second = np.sqrt(np.diag(found.second.covariance))
    assert abs(np.log(found.second.rate / TRUTH[2])) < 3 * second[0]
    assert found.n_back / found.n_out < TRUTH[0]


def test_what_is_expected_back_is_what_the_true_delay_says(company):
    """Of the leads that are out, the number back within three months against the gamma delays of the generator."""
    found = nurtured(*company)
    edges = 30.4375 * np.arange(4)
    draws = found.first.draws(np.random.default_rng(1), 500)
    back = expected_moves(*found.out, draws[0], draws[1:], edges, known=True).sum(axis=(1, 2))
    units, days = found.out
    true_cdf = gamma(2.0, scale=TRUTH[1] / 2.0).cdf
    left = 1 - TRUTH[0] * true_cdf(days)
    truth = (units.sum(axis=1) * TRUTH[0] * (true_cdf(days + edges[-1]) - true_cdf(days)) / left).sum()
    assert abs(back.mean() - truth) < 3 * back.std() + 0.05 * truth


def test_expected_moves_add_up_to_all_that_ever_move():
    """Over an endless horizon every share that moves has moved; those that have not moved yet weigh by Bayes."""
    units, waited = np.array([[10.0, 4.0], [6.0, 0.0]]), np.array([20.0, 0.0])
    rate, delay = np.array([0.3]), (np.array([50.0]), np.array([0.8]))
    edges = np.array([0.0, 30.0, 1e6])
    plain = expected_moves(units, waited, rate, delay, edges, known=False)[0]
    done = 0.3 * lognormal_cdf(waited, 50.0, 0.8)
    assert plain.sum(axis=0) == pytest.approx((units * (0.3 - done)[:, None]).sum(axis=0))
    known = expected_moves(units, waited, rate, delay, edges, known=True)[0]
    assert known.sum(axis=0) == pytest.approx((units * ((0.3 - done) / (1 - done))[:, None]).sum(axis=0))
    by_channel = expected_moves(units, waited, np.array([[0.3, 0.6]]), delay, edges, known=False)[0]
    assert by_channel[:, 1] == pytest.approx(2 * plain[:, 1])


def test_the_history_holds_the_first_course_alone(world, company):
    """What leads did after they had come back is not counted with new leads; without nurturing such rows are errors."""
    _, history = company
    again = world.leads["returned"].notna() & (world.leads["qualified"] >= world.leads["returned"])
    first = world.leads["qualified"].notna() & ~again
    last = pd.Timestamp(str(history.last)) + pd.offsets.MonthEnd(1)
    inside = world.leads["created"] <= last
    assert again.sum() > 50
    counted = history.triangles["qualified"].values.sum()
    assert counted == (first & inside & (world.leads["qualified"] <= last)).sum()


def test_rows_that_come_back_need_nurturing(world, tmp_path):
    """Without [nurturing] a qualification after a loss is what it was before: an error in the dates."""
    study = load_study(write_study(tmp_path, world))
    with pytest.raises(DataError, match="comes before the last stage"):
        read_history(study)


def test_the_forecast_gains_what_flows_back(company):
    """Qualified units with nurturing less those without equal the expected flow, within Monte Carlo error."""
    study, history = company
    known = _posterior(history, 400)
    plan = np.zeros((3, len(history.channels)))
    without = fixture.case(known, history, plan, study)
    more, told = with_recycling(without, seed=1)
    runs = [simulate(one, {"given": plan}, rng=np.random.default_rng(2)) for one in (without, more)]
    sums = [run["qualified"].sum(("period", "channel")).values.ravel() for run in runs]
    gain, error = (
        sums[1].mean() - sums[0].mean(),
        np.sqrt(sums[0].var() + sums[1].var()) / np.sqrt(sums[0].size),
    )
    total = told["flow"].set_index("channel").loc["total", "moving_on_mean"]
    assert abs(gain - total) < 4 * error
    assert total > 5 * error
    leads = [run["leads"].sum().item() for run in runs]
    assert leads[0] == leads[1]


def test_without_nurturing_nothing_changes():
    """The case is the very same object, and there are no tables."""
    past = fixture.history({"leads": [50, 20], "qualified": [20, 8], "won": [5, 2]})
    known = fixture.posterior(past, {"qualified": 0.4, "won": 0.25}, draws=10, traffic=[50.0, 20.0])
    without = fixture.case(known, past, np.zeros((3, 2)), fixture.study())
    assert with_recycling(without, seed=1) == (without, {})


def test_counts_take_the_rate_that_the_study_names():
    """A steady company without data on returns: in the long run rate x unqualified leads come back each period."""
    past = fixture.history({"leads": [50, 20], "qualified": [20, 8], "won": [5, 2]}, periods=36)
    rates = {"qualified": 0.4, "won": 0.25}
    known = fixture.posterior(past, rates, draws=400, delays={"qualified": (0.5, 0.8)}, traffic=[50.0, 20.0])
    study = fixture.study(
        funnel={"stages": ("leads", "qualified", "won")},
        nurturing={"rate": (0.1, 0.1001), "delay": "60 days", "qualification": (0.5, 0.5001)},
    )
    _, told = with_recycling(fixture.case(known, past, np.zeros((3, 2)), study), seed=1)
    flow = told["flow"].set_index("channel")
    assert flow.loc["total", "coming_back_mean"] == pytest.approx(3 * 0.1 * 0.6 * 70, rel=0.03)
    assert flow.loc["total", "moving_on_mean"] == pytest.approx(3 * 0.05 * 0.6 * 70, rel=0.05)
    assert not told["told"]["learnt"]


def test_what_cannot_be_is_said(world, tmp_path):
    """A return that is no date, a return without a loss, a funnel without leads."""
    leads = world.leads.copy()
    leads["returned"] = leads["returned"].astype(object).where(leads["returned"].notna(), None)
    never = int(np.flatnonzero(leads["lost"].isna())[0])
    leads.loc[never, "returned"] = "2025-01-01"
    study = load_study(write_study(tmp_path, world, "\n[nurturing]\n"))
    leads.to_csv(tmp_path / "leads.csv", index=False, date_format="%Y-%m-%d")
    with pytest.raises(DataError, match="without having been lost before"):
        nurtured(study, read_history(study))
    past = fixture.history({"visitors": [50, 20], "won": [5, 2]})
    with pytest.raises(StudyError, match="expected the stage leads"):
        nurtured(fixture.study(nurturing={}), past)
    with pytest.raises(ValueError, match="low <= high"):
        fixture.study(nurturing={"rate": (0.2, 0.1)})


def test_a_lead_that_came_back_is_open_for_a_score_and_was_lost_before(company):
    """From the day of its return it is not lost; as known before that day it is. Without nurturing it stays lost."""
    study, _ = company
    plain = read_lead_table(study)
    table = with_returns(study, plain)
    back = dates_of(plain.features["returned"])
    row = int(np.flatnonzero(~np.isnat(back))[0])
    assert np.isnat(table.day("lost")[row])
    before = table.as_of(back[row] - np.timedelta64(1, "D"))
    at = int(np.flatnonzero(before.leads["lead_id"] == plain.leads["lead_id"][row])[0])
    assert before.day("lost")[at] == plain.day("lost")[row]
    assert "returned" not in table.features
    assert with_returns(study.model_copy(update={"nurturing": None}), plain) is plain
