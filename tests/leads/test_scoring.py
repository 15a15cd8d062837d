"""Scores of single leads: features, signs of leakage, chances against the truth, hold-out, threshold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lead_fixture import lead_table
from scipy.special import expit, log_expit

from forecast.lab import make_leads
from forecast.leads.features import LeadTable, encoder, kind_of
from forecast.leads.leakage import area_under_curve, signs
from forecast.leads.pooling import LEVEL_SD, SPREAD_PRIOR, Shares, pooled_draws, rates, together
from forecast.leads.ranking import best_threshold, reliability
from forecast.leads.scoring import fit_scorer, hold_out, is_open

HONEST = ["employees", "country", "industry", "pages_viewed", "mails_opened", "temperature", "asked_for_demo"]


@pytest.fixture(scope="module")
def world():
    """A company of 3,000 leads."""
    return make_leads(np.random.default_rng(11), size=3000)


@pytest.fixture(scope="module")
def table(world):
    """Its leads as read from a CSV."""
    return lead_table(world)


@pytest.fixture(scope="module")
def newest(table):
    """The test on the newest quarter of its leads."""
    return hold_out(table, HONEST, share=0.25, seed=1, code=encoder(table, HONEST))


def _settled(table):
    plain = fit_scorer(table, [], seed=1)
    age = (table.last_day - table.day("leads")).astype(float)
    return ~is_open(table) | (plain.won_by(age) >= 0.95)


# Features


def test_columns_are_told_apart():
    """Numbers, dates, categories, identifiers; a number of two values is a category; an empty column tells nothing."""
    n = 100
    columns = {
        "number": [str(i / 7) for i in range(n)],
        "date": ["2026-01-05"] * n,
        "flag": ["0", "1"] * (n // 2),
        "word": ["a", "b", None, "a"] * (n // 4),
        "text": [f"note {i}" for i in range(n)],
        "empty": [None] * n,
    }
    found = {name: kind_of(pd.Series(cells, dtype=object)) for name, cells in columns.items()}
    assert found == {
        "number": "number",
        "date": "date",
        "flag": "category",
        "word": "category",
        "text": "identifier",
        "empty": "category",
    }


def test_blanks_are_kept_and_new_levels_do_no_harm(table):
    """A blank number stands at the mean with an indicator; a level or channel never seen has a row of zeros."""
    code = encoder(table, ["employees", "country"])
    design = code.design(table)
    at = code.columns.index("employees: blank")
    blank = table.features["employees"].isna().to_numpy()
    assert (design[:, at] == blank).all()
    assert (design[blank, at - 1] == 0).all()
    assert abs(design[~blank, at - 1].mean()) < 0.01
    strange = LeadTable(
        table.leads.head(3).assign(channel="billboards"),
        table.features.head(3).assign(country="Atlantis"),
        table.stages,
        table.last_day,
    )
    new = code.design(strange)
    assert new[:, [i for i, name in enumerate(code.columns) if not name.startswith("employees")]].sum() == 0
    assert np.isfinite(new).all()


# Leakage


def test_what_was_known_afterwards_is_flagged_and_what_was_known_before_is_not(table):
    """The contract number and the reason are found with evidence; none of the ten honest columns is left out."""
    found = signs(table, list(table.features.columns), _settled(table))
    out = {sign.feature: sign for sign in found if sign.left_out}
    assert set(out) == {"contract", "reason"}
    assert "100\xa0%" in str(out["contract"].evidence)
    kept = signs(table, ["contract"], _settled(table), keep=["contract"])
    assert [sign.left_out for sign in kept] == [False]


def test_dates_after_creation_perfect_values_and_identifiers_are_flagged(table):
    """A date that follows the outcome, a value that is the outcome with noise, a text of its own for every lead."""
    won = table.leads["won"].notna().to_numpy()
    rng = np.random.default_rng(2)
    later = table.leads["leads"] + pd.to_timedelta(rng.integers(1, 30, len(won)), unit="D")
    earlier = table.leads["leads"] - pd.to_timedelta(rng.integers(1, 30, len(won)), unit="D")
    made = pd.DataFrame(
        {
            "signed": later.dt.strftime("%Y-%m-%d"),
            "first_visit": earlier.dt.strftime("%Y-%m-%d"),
            "final_score": (won + rng.normal(0, 0.2, len(won))).astype(str),
            "note": [f"call {i}" for i in range(len(won))],
        }
    )
    given = LeadTable(table.leads, made, table.stages, table.last_day)
    found = {sign.feature: sign.sign for sign in signs(given, list(made), _settled(table))}
    assert found == {
        "signed": "dated after the lead was created",
        "final_score": "tells won from not won almost perfectly",
        "note": "an identifier",
    }


def test_a_column_that_few_leads_have_but_only_won_ones_is_flagged(table):
    """Filled in for a tenth of the won leads and for none else: too few to tell won from not won, and yet a leak."""
    won = table.leads["won"].notna().to_numpy()
    some = won & (np.random.default_rng(7).random(won.size) < 0.1)
    made = pd.DataFrame({"warehouse": np.where(some, "yes", None)}, dtype=object)
    given = LeadTable(table.leads, made, table.stages, table.last_day)
    assert some.sum() >= 20
    assert [sign.sign for sign in signs(given, ["warehouse"], _settled(table))] == ["filled in for won leads"]


def test_a_count_that_goes_on_is_told_and_kept(table):
    """Pages counted up to the export are more for older leads: said, not left out."""
    age = (table.last_day - table.day("leads")).astype(int)
    pages = pd.DataFrame({"pages": np.random.default_rng(3).poisson(age / 30).astype(str)})
    found = signs(LeadTable(table.leads, pages, table.stages, table.last_day), ["pages"], _settled(table))
    assert [(sign.sign, sign.left_out) for sign in found] == [("higher for older leads", False)]


def test_area_under_the_curve_by_pairs():
    """The share of pairs in which the positive one is higher, ties half."""
    rng = np.random.default_rng(4)
    values, positive = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in values[positive] for b in values[~positive]]
    assert area_under_curve(values, positive) == pytest.approx(np.mean(pairs))


# The regression


def test_many_units_give_their_own_rates_and_few_are_pulled_to_the_others():
    """With thousands of units a group's rate is its share; with five it lies between its share and the whole."""
    shares, sizes = np.array([0.1, 0.3, 0.8]), np.array([5000.0, 5000.0, 5.0])
    design = np.repeat(np.eye(3), 2, axis=0)
    moved = np.tile([1.0, 0.0], 3)
    weight = np.ravel(np.column_stack([shares * sizes, (1 - shares) * sizes]))
    units = Shares(design, moved, 1 - moved, weight)
    found = rates(pooled_draws(units, np.zeros(3, dtype=np.int64), np.random.default_rng(1), 2000), np.eye(3))
    assert found[:, :2].mean(axis=0) == pytest.approx(shares[:2], abs=0.01)
    assert 0.2 < found[:, 2].mean() < 0.8
    assert found[:, 2].std() > 5 * found[:, 1].std()


def test_units_put_together_tell_the_same():
    """Equal rows with a weight give the very same draws as the rows one by one."""
    rng = np.random.default_rng(5)
    design = np.eye(3)[rng.integers(0, 3, 300)]
    moved = (rng.random(300) < 0.3).astype(float)
    units = Shares(design, moved, 1 - moved, np.ones(300))
    groups = np.zeros(3, dtype=np.int64)
    one = pooled_draws(units, groups, np.random.default_rng(1), 50, level=-1.0)
    two = pooled_draws(together(units), groups, np.random.default_rng(1), 50, level=-1.0)
    assert two == pytest.approx(one, abs=1e-6)


@pytest.mark.parametrize(("moved", "stayed"), [((6.0, 1.0), (34.0, 19.0)), ((2.0, 9.0), (1.0, 11.0))])
def test_the_closed_form_is_the_posterior(moved, stayed):
    """Rates of two small groups against the integral over level, both effects and their spread, on a grid."""
    seen = np.array([*moved, *stayed])
    units = Shares(np.tile(np.eye(2), (2, 1)), np.repeat([1.0, 0.0], 2), np.repeat([0.0, 1.0], 2), seen)
    drawn = pooled_draws(units, np.zeros(2, dtype=np.int64), np.random.default_rng(1), 4000, level=-1.0)
    found = rates(drawn, np.eye(2))
    level, one, two = np.linspace(-7, 5, 61), np.linspace(-4, 4, 61), np.linspace(-4, 4, 61)
    mu, a, b = np.meshgrid(level, one, two, indexing="ij", sparse=True)
    log_s = np.linspace(SPREAD_PRIOR[0] - 4 * SPREAD_PRIOR[1], SPREAD_PRIOR[0] + 4 * SPREAD_PRIOR[1], 41)
    s = np.exp(log_s)
    weight = np.exp(-0.5 * ((log_s - SPREAD_PRIOR[0]) / SPREAD_PRIOR[1]) ** 2)
    effects = sum(w * np.exp(-0.5 * (a**2 + b**2) / v**2) / v**2 for w, v in zip(weight, s, strict=True))
    log_lik = sum(
        m * log_expit(mu + x) + n * log_expit(-mu - x) for m, n, x in zip(moved, stayed, (a, b), strict=True)
    )
    density = np.exp(log_lik - 0.5 * ((mu + 1.0) / LEVEL_SD) ** 2) * effects
    density /= density.sum()
    for i, effect in enumerate((a, b)):
        rate = expit(mu + effect)
        mean = float((density * rate).sum())
        sd = float(np.sqrt((density * (rate - mean) ** 2).sum()))
        assert found[:, i].mean() == pytest.approx(mean, abs=0.1 * sd)
        assert found[:, i].std() == pytest.approx(sd, rel=0.1)


def test_chances_come_close_to_the_true_ones(world, table):
    """The expected log score of new leads is within 3 % of that of the true chances, where channels miss 10 %."""
    scorer = fit_scorer(table, HONEST, seed=1)
    fresh = make_leads(np.random.default_rng(12), size=2000, leaks=False)
    q = fresh.truth["chance"].to_numpy()

    def score(p):
        return -(q * np.log(p) + (1 - q) * np.log(1 - p)).mean()

    given = score(scorer.at_creation(lead_table(fresh)).mean(axis=0))
    plain = score(fit_scorer(table, [], seed=1).at_creation(lead_table(fresh)).mean(axis=0))
    assert given < 1.03 * score(q)
    assert plain > 1.07 * score(q)


def test_open_leads_win_as_often_as_their_chances_say(world, table):
    """Expected wins of the open leads against the wins that come: within what chance leaves."""
    opened = is_open(table)
    part = LeadTable(
        table.leads[opened].reset_index(drop=True),
        table.features[opened].reset_index(drop=True),
        table.stages,
        table.last_day,
    )
    chance = fit_scorer(table, HONEST, seed=1).now(part).mean(axis=0)
    wins = int(world.truth["wins"][opened].sum())
    assert abs(wins - chance.sum()) < 3.5 * np.sqrt((chance * (1 - chance)).sum())


def test_a_qualified_lead_is_worth_more_and_waiting_takes_its_chance_away(table):
    """The same lead: qualified beats new; open for two years beats nothing."""
    scorer = fit_scorer(table, HONEST, seed=1)
    one = table.leads.iloc[[0, 0, 0]].reset_index(drop=True)
    day = pd.Timestamp(str(table.last_day))
    one["leads"] = [day, day - pd.Timedelta(days=10), day - pd.Timedelta(days=700)]
    one["qualified"], one["won"], one["lost"] = [pd.NaT, day, pd.NaT], pd.NaT, pd.NaT
    features = table.features.iloc[[0, 0, 0]].reset_index(drop=True)
    chance = scorer.now(LeadTable(one, features, table.stages, table.last_day)).mean(axis=0)
    assert chance[1] > 1.5 * chance[0]
    assert chance[2] < 0.1 * chance[0]


# Hold-out


def test_the_test_looks_at_nothing_that_came_later(table, newest):
    """Changing every event after the split does not change a single chance that the test gives."""
    options = {"share": 0.25, "seed": 1, "code": encoder(table, HONEST)}
    first = newest
    leads = table.leads.copy()
    after = leads["won"] > pd.Timestamp(str(first.split))
    leads.loc[after, ["won", "amount"]] = [pd.NaT, np.nan]
    leads.loc[leads["lost"] > pd.Timestamp(str(first.split)), "lost"] = pd.NaT
    second = hold_out(LeadTable(leads, table.features, table.stages, table.last_day), HONEST, **options)
    assert (first.table["chance"] == second.table["chance"]).all()
    assert (first.table["base"] == second.table["base"]).all()
    assert first.table["won"].sum() > second.table["won"].sum()


def test_features_beat_the_channel_rate_and_chances_come_true(newest):
    """The hold-out finds the features better than channels alone, and wins as expected within chance."""
    told = newest.summary()
    assert told["gain"] > told["gain_error"] > 0
    assert abs(told["won"] - told["won_expected"]) < 3.5 * np.sqrt(told["won_expected"])


def test_reliability_adds_up(newest):
    """The groups hold all leads of the test, and all its wins."""
    found, test = reliability(newest), newest.table
    assert found["leads"].sum() == len(test)
    assert (found["won"] * found["leads"]).sum() == pytest.approx(test["won"].sum())
    assert found["chance"].is_monotonic_increasing


# Threshold


@pytest.mark.parametrize(("capacity", "cost"), [(None, 300.0), (4.0, 300.0), (4.0, 0.0), (0.5, 100.0)])
def test_no_other_choice_of_leads_brings_more(capacity, cost):
    """Against all subsets of ten leads that sales could work."""
    rng = np.random.default_rng(6)
    chance, value = rng.uniform(0.01, 0.5, (30, 10)), rng.uniform(500, 3000, (30, 10))
    made = best_threshold(chance, value, margin=0.5, cost=cost, capacity=capacity, periods=2)
    brings = (0.5 * chance * value - cost).mean(axis=0)
    room = 10 if capacity is None else round(capacity * 2)
    subsets = [s for s in range(1024) if s.bit_count() <= room]
    best = max(sum(brings[i] for i in range(10) if s >> i & 1) for s in subsets)
    assert made.told["contribution_a_period"] * 2 == pytest.approx(best)
    worked = (chance * value).mean(axis=0) >= made.level
    assert worked.sum() == round(made.told["worked_a_period"] * 2)


@pytest.mark.slow
def test_chances_reach_the_truth_from_many_leads():
    """With 6,000 leads the log score lies within 2 % of that of the true chances."""
    table = lead_table(make_leads(np.random.default_rng(21), size=6000))
    scorer = fit_scorer(table, [*HONEST, "weekday", "form", "score_old"], seed=1)
    fresh = make_leads(np.random.default_rng(22), size=5000, leaks=False)
    q, p = fresh.truth["chance"].to_numpy(), scorer.at_creation(lead_table(fresh)).mean(axis=0)
    truth = -(q * np.log(q) + (1 - q) * np.log(1 - q)).mean()
    assert -(q * np.log(p) + (1 - q) * np.log(1 - p)).mean() < 1.02 * truth
