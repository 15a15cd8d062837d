"""How long customers stay: closed forms, recovery of a known law, real customers, tables with mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posterior_fixture import study
from scipy.special import betaln, expit, hyp2f1, logit

from forecast.checking import check
from forecast.errors import DataError, StudyError
from forecast.outlook import lifetime
from forecast.outlook.lifetime import (
    Tenures,
    lifetime_of,
    log_likelihood,
    posterior_grid,
    read_tenures,
    survival,
)
from forecast.study import load_study

TELCO = Path(__file__).parents[3] / "shared" / "data" / "telco" / "wa_churn.csv"


def asked(**economics: Any) -> Any:
    """A study with these economics."""
    return study(economics=economics)


def followed(tenure: np.ndarray, left: np.ndarray) -> Tenures:
    """Tenures of customers."""
    last = int(tenure.max()) + 1
    counted = [
        np.bincount(tenure[left == k].astype(int), minlength=last).astype(float) for k in (True, False)
    ]
    return Tenures(counted[0], counted[1])


def world(a: float, b: float, customers: int, until: int, rng: np.random.Generator) -> Tenures:
    """Customers of a shifted beta-geometric law, each followed for 1 to `until` renewals."""
    left_at = rng.geometric(np.clip(rng.beta(a, b, customers), 1e-12, 1.0))
    seen = rng.integers(1, until + 1, customers)
    return followed(np.minimum(left_at, seen), left_at <= seen)


# Assumed


def test_a_number_is_the_annuity():
    """85 % a year for five years: the geometric sum; with money at 10 % the discounted one; without, the first deal."""
    assert lifetime_of(asked()).expected == 1.0
    assert lifetime_of(asked(retention=0.85)).expected == pytest.approx((1 - 0.85**5) / 0.15)
    assert lifetime_of(asked(retention=0.85, discount_rate=0.1)).expected == pytest.approx(
        (1 - (0.85 / 1.1) ** 5) / (1 - 0.85 / 1.1)
    )


@given(
    st.floats(0.05, 0.98), st.floats(1, 12), st.floats(0, 0.5), st.sampled_from(["year", "quarter", "month"])
)
@settings(max_examples=40, deadline=None)
def test_both_roads_to_a_known_retention_agree(retention, years, discount, renewal):
    """The curve of payments sums to the formula by hand, whatever the renewal; a part of the last counts in part."""
    made = lifetime_of(asked(retention=retention, lifetime=years, discount_rate=discount, renewal=renewal))
    a_year = {"year": 1, "quarter": 4, "month": 12}[renewal]
    due, kept = years * a_year, retention * (1 + discount) ** (-1 / a_year)
    whole = int(due + 1e-9)
    by_hand = sum(kept**t for t in range(whole)) + max(due - whole, 0.0) * kept**whole
    assert made.expected == pytest.approx(by_hand, rel=1e-6)


def test_an_uncertain_retention_is_worth_its_moments():
    """E[r^t] of a Beta in closed form; draws average to it; more doubt about the same mean is worth more."""
    made = lifetime_of(asked(retention={"mean": 0.8, "sd": 0.1}))
    a, b = 12.0, 3.0
    moments = [np.prod([(a + i) / (a + b + i) for i in range(t)]) for t in range(5)]
    assert made.expected == pytest.approx(sum(moments), rel=1e-4)
    draws = made.draws(40_000, np.random.default_rng(1)).sum(axis=1)
    assert draws.mean() == pytest.approx(made.expected, abs=4 * draws.std() / 200)
    assert made.expected > lifetime_of(asked(retention=0.8)).expected


@given(st.floats(0.1, 0.9), st.floats(0.01, 0.3))
@settings(max_examples=20, deadline=None)
def test_a_band_is_the_central_80_percent(low, width):
    """A tenth lies below `low`, a tenth above `high`."""
    high = min(low + width, 0.97)
    made = lifetime_of(asked(retention={"low": low, "high": high}))
    rates = np.sort(made.survival[:, 1])
    assert np.quantile(rates, [0.1, 0.9]) == pytest.approx([low, high], abs=2e-3)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("retention = 1.0", "economics.retention: expected a share below 1"),
        ("retention = 85", "economics.retention: expected a share below 1"),
        ('retention = "high"', "economics.retention: expected a share below 1"),
        ("retention = { mean = 0.8 }", "came mean = 0.8"),
        ("retention = { low = 0.9, high = 0.8 }", "expected low < high"),
        ("retention = { mean = 0.5, sd = 0.6 }", "expected sd below 0.5"),
        ('retention = 0.8\nretention_table = "r.csv"', "economics.retention_table: expected one of"),
    ],
)
def test_what_cannot_be_a_retention_is_told(tmp_path, line, said):
    """Key and line, what was expected, what came."""
    (tmp_path / "s.toml").write_text(f'name = "s"\n[history]\ncounts = "c.csv"\n[economics]\n{line}\n')
    with pytest.raises(StudyError) as caught:
        load_study(tmp_path / "s.toml")
    assert said in str(caught.value)
    assert f"s.toml:{4 + len(line.splitlines())}: " in str(caught.value)


# The law


@given(st.floats(0.05, 20.0), st.floats(0.05, 20.0))
@settings(max_examples=50, deadline=None)
def test_survival_has_the_closed_form(a, b):
    """S(t) = B(A, B + t) / B(A, B), falls, and with P(T = t) makes a whole; its sum is the hypergeometric function."""
    curve = survival(np.array([a]), np.array([b]), 30)[0]
    t = np.arange(31)
    assert curve == pytest.approx(np.exp(betaln(a, b + t) - betaln(a, b)), rel=1e-9)
    dies = [float(np.exp(log_likelihood(a, b, Tenures(np.eye(31)[k], np.zeros(31))))) for k in range(1, 31)]
    assert 1 - np.cumsum(dies) == pytest.approx(curve[1:], abs=1e-9)
    forever = survival(np.array([a]), np.array([b]), 600)[0] @ (1 / 1.1) ** np.arange(601)
    assert forever == pytest.approx(hyp2f1(1.0, b, a + b, 1 / 1.1), rel=1e-8)


def test_the_published_example_is_found():
    """Fader & Hardie (2007), high-end customers, seven years seen: A = 0.668, B = 3.806; later years are foretold."""
    alive = np.array([1000, 869, 743, 653, 593, 551, 517, 491], dtype=float)
    lost, kept = np.append(0.0, -np.diff(alive)), np.zeros(8)
    kept[-1] = alive[-1]
    a, b, weight = posterior_grid(Tenures(lost, kept), 1)
    best = int(np.argmax(log_likelihood(a, b, Tenures(lost, kept))))
    assert a[best] == pytest.approx(0.668, abs=0.06)
    assert b[best] == pytest.approx(3.806, abs=0.35)
    at_12 = float(weight @ survival(a, b, 12)[:, 12])
    assert at_12 == pytest.approx(0.400, abs=0.03)  # held out in the paper: about 40 % are there then


def test_worlds_of_a_known_law_are_recovered():
    """Over worlds drawn from the prior, the 80 % band of the customer value holds the truth as often as it should."""
    rng, hits, off = np.random.default_rng(7), [], []
    for _ in range(60):
        mu, phi = expit(rng.normal(logit(0.15), 0.6)), rng.beta(2, 6)
        a, b = mu * (1 / phi - 1), (1 - mu) * (1 / phi - 1)
        seen = world(a, b, 300, 5, rng)
        points = posterior_grid(seen, 1)
        value = survival(points[0], points[1], 4).sum(axis=1)
        truth = float(survival(np.array([a]), np.array([b]), 4).sum())
        order = np.argsort(value)
        below = float(points[2][order][value[order] < truth].sum())
        hits.append(0.1 < below < 0.9)
        off.append(float(points[2] @ value) / truth - 1)
    assert np.mean(hits) == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / 60))
    assert np.mean(off) == pytest.approx(0.0, abs=4 * np.std(off) / np.sqrt(60))


def test_without_renewals_to_learn_from_the_prior_stays():
    """One customer who stayed once hardly moves it: the expected first retention is near the prior's 84 %."""
    a, b, weight = posterior_grid(Tenures(np.zeros(2), np.array([0.0, 1.0])), 1)
    assert float(weight @ (b / (a + b))) == pytest.approx(0.84, abs=0.02)


# Real customers


@pytest.mark.skipif(not TELCO.exists(), reason="the public data are not here")
def test_real_customers_are_foretold_better_than_by_a_constant_churn():
    """Telecom customers followed for 12 months: what came after is foretold better than by one churn for all.

    Kaplan-Meier on everything is the truth held out. The law errs on the high side in the far tail, and less than half
    as much as a constant churn errs on the low side.
    """
    table = pd.read_csv(TELCO)
    table = table[table["tenure"] > 0]
    tenure, left = table["tenure"].to_numpy(), (table["churn"] == "Yes").to_numpy()
    early = followed(np.minimum(tenure, 12), left & (tenure <= 12))
    a, b, weight = posterior_grid(early, 12)
    curve = weight @ survival(a, b, 72)
    churn = early.lost.sum() / (
        (early.lost + early.kept) @ np.arange(len(early.lost))
    )  # the best constant one
    constant = (1 - churn) ** np.arange(73)

    def score(stay: np.ndarray) -> float:
        """Log score of what came after month 12, of those who were there then."""
        late = tenure > 12
        gone = np.log((stay[tenure - 1] - stay[tenure]) / stay[12])
        there = np.log(stay[tenure] / stay[12])
        return float(np.where(left, gone, there)[late].sum())

    kaplan = np.cumprod([1 - (left & (tenure == t)).sum() / (tenure >= t).sum() for t in range(1, 61)])
    assert score(curve) > score(constant) + 100
    off, off_constant = np.abs(curve[1:61] - kaplan), np.abs(constant[1:61] - kaplan)
    assert off[:36].max() < 0.05
    assert off.max() < 0.12
    assert off.sum() < off_constant.sum() / 2


# Tables


def learnt(tmp_path: Path, text: str) -> Any:
    """The lifetime by a table."""
    (tmp_path / "r.csv").write_text(text, encoding="utf-8")
    made = asked(retention_table="r.csv").model_copy(update={"folder": tmp_path})
    return lifetime_of(made)


def test_customers_and_cohorts_say_the_same(tmp_path):
    """The same customers, one by one and as cohorts."""
    one = "tenure,churned\n" + "1,1\n" * 20 + "2,1\n" * 8 + "3,0\n" * 72
    cohorts = "cohort,age,customers\n2022,0,100\n2022,1,80\n2022,2,72\n2022,3,72\n"
    assert learnt(tmp_path, one).expected == learnt(tmp_path, cohorts).expected
    assert learnt(tmp_path, one).learnt_from == 100


def test_a_cohort_still_in_its_first_term_changes_nothing(tmp_path):
    """Customers of age 0 have met no renewal."""
    cohorts = "cohort,age,customers\n2022,0,100\n2022,1,80\n"
    assert learnt(tmp_path, cohorts).expected == pytest.approx(
        learnt(tmp_path, cohorts + "2023,0,400\n").expected, rel=1e-12
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tenure,churned\n0,1\n", 'column tenure: row 2 ("0"): left before its first renewal'),
        ("tenure,churned\n1,2\n2,0\n", 'column churned: row 2 ("2"): expected 1 (left) or 0'),
        ("tenure,churned\n1.5,1\n", "expected whole numbers"),
        ("tenure,churned\n1000000000,0\n", "not days or dates"),
        ("tenure,churned\n,1\n2,0\n", "column tenure: row 2: is empty"),
        ("tenure,left\n1,1\n", 'no column "churned"'),
        ("tenure,churned\n0,0\n", "no customer has come to a first renewal"),
        ("cohort,age,customers\n2022,1,80\n", "cohort 2022: no row for age 0"),
        ("cohort,age,customers\n2022,0,80\n2022,1,90\n", "row 3: cohort 2022 grows from 80 to 90"),
        ("cohort,age,customers\n2022,0,80\n2022,0,90\n", "row 3: cohort 2022 has age 0 twice"),
    ],
)
def test_mistakes_in_a_table_are_told_with_their_place(tmp_path, text, said):
    """File, column, row, what to do; nothing is repaired."""
    (tmp_path / "r.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_tenures(tmp_path / "r.csv", "r.csv")
    assert said in str(caught.value)
    assert str(caught.value).startswith("r.csv: ")


def test_an_absent_table_is_told(tmp_path):
    """The key that names it stands in the message."""
    with pytest.raises(DataError, match=r"r\.csv: no such file .*economics\.retention_table"):
        read_tenures(tmp_path / "r.csv", "r.csv")
    assert lifetime.table_hash(asked()) == {}


def test_a_study_reads_its_table_before_any_fit(small_study):
    """`check` refuses a mistake in it; the budget then takes the expected value; provenance names the file."""
    text = small_study.read_text(encoding="utf-8") + '\n[economics]\nretention_table = "renewals.csv"\n'
    small_study.write_text(text, encoding="utf-8")
    table = small_study.parent / "renewals.csv"
    table.write_text("tenure,churned\n0,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"renewals\.csv: column tenure"):
        check(small_study)
    table.write_text("tenure,churned\n" + "1,1\n" * 10 + "1,0\n" * 90, encoding="utf-8")
    assert check(small_study).summary["mistakes"][-1]["mistake"] == "Profitability not computed"
    asked = load_study(small_study)
    assert 3.0 < lifetime_of(asked).expected < 5.0  # five payments, about nine in ten renew
    assert list(lifetime.table_hash(asked)) == ["renewals.csv"]
    assert str(lifetime.told(asked)).startswith("retention learnt from 100 customers of renewals.csv")


def test_how_the_table_was_read_is_on_record(tmp_path: Path) -> None:
    """Its dialect, columns and rows, as of every other file."""
    text = "Export\n\ncohort;age;customers\n2022;0;1 200\n2022;1;1 000\n"
    (tmp_path / "r.csv").write_text(text, encoding="utf-16")
    read = read_tenures(tmp_path / "r.csv", "r.csv").read
    assert read is not None
    assert (read.role, read.rows, list(read.columns)) == ("retention", 2, ["cohort", "age", "customers"])
    assert (str(read.dialect["delimiter"]), read.left_out[0].rows) == ("semicolon", (1,))
