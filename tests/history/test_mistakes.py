"""The seven common mistakes: each finds its own trace, before and after a fit, and says when it cannot know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from posterior_fixture import history, study

from forecast.history.audit import audit_history
from forecast.history.history import History
from forecast.history.mistakes import ADVICE, common_mistakes
from forecast.outlook import lifetime_of
from forecast.tables import check_table
from forecast.words import NBSP, THIN, text

GOOD = {"visitors": 2000, "leads": 100, "qualified": 40, "won": 10, "spend": 10_000, "revenue": 50_000}
RICH = {"gross_margin": 0.8, "retention": 0.8}
STRATEGY, LOOSE, NUMBER, CRITERIA, NURTURING, STAGES, PROFIT = ADVICE


def asked(past: History, tables: dict[str, Any] | None = None, **given: Any) -> pd.DataFrame:
    """The mistakes of a history, by name."""
    made = study(**({"economics": RICH, "funnel": {"market": "b2b"}} | given))
    more = {"lifetime": lifetime_of(made).expected} | (tables or {})
    found = check_table(common_mistakes(past, made, audit_history(past, made), **more), "mistake")
    return found.map(text).set_index("mistake")


def company(periods: int = 14, **counts: Any) -> History:
    """A healthy company of two channels with some counts changed."""
    return history(GOOD | counts, periods=periods)


def test_a_healthy_company_makes_none():
    """Seven questions, none of them a REVIEW; what counts cannot tell is UNKNOWN; PASS has no advice."""
    found = asked(company())
    assert list(found.index) == list(ADVICE)
    assert found["status"].tolist() == ["UNKNOWN", "PASS", "PASS", "PASS", "UNKNOWN", "PASS", "PASS"]
    assert (found.loc[found["status"] == "PASS", "advice"] == "").all()
    assert (found["evidence"] != "").all()


def test_ten_of_a_hundred_leads_or_fewer_is_too_loose():
    """The guide's own mark: 9 of 100 leads qualify in one channel; that channel is named, the other is not."""
    row = asked(company(qualified=[9, 40], won=[2, 10])).loc[LOOSE]
    assert row["status"] == "REVIEW"
    assert row["evidence"].startswith(
        f"one: 9.0{NBSP}% of the leads qualify; the market's range is 30{NBSP}% to 50{NBSP}%"
    )


def test_after_a_fit_the_posterior_decides_who_is_too_loose():
    """Where even the upper end of the band lies below half of the market's low end."""
    funnel = pd.DataFrame(
        {
            "channel": ["one", "two", "total"],
            "stage": "qualified",
            "mean": [0.11, 0.2, 0.15],
            "q90": [0.13, 0.25, 0.18],
        }
    )
    row = asked(company(), {"funnel": funnel}).loc[LOOSE]
    assert row["status"] == "REVIEW"
    assert f"one: 13.0{NBSP}%" in row["evidence"]
    assert "two" not in row["evidence"]


def test_cheap_leads_and_dear_customers():
    """A channel with leads at half the price and customers at four times it; with too few wins it may be chance."""
    many = company(leads=[200, 100], won=[2, 18], qualified=[40, 40])
    row = asked(many).loc[NUMBER]
    assert row["status"] == "REVIEW"
    assert row["evidence"] == f"one: 50 a lead and 5{THIN}000 a customer, all paid channels 67 and 1{THIN}000"
    few = company(periods=14, leads=[200, 100], won=[9, 11])
    assert asked(few).loc[NUMBER, "status"] == "PASS"


def economics(**totals: float) -> pd.DataFrame:
    """A table of unit economics with these rows in total, and a channel of cheap leads and dear customers."""
    rows = [("total", name, value) for name, value in totals.items()]
    rows += [
        ("one", "p_cheap_but_dear", 0.93),
        ("one", "cpl", 50.0),
        ("one", "cac", 4_000.0),
        ("two", "p_cheap_but_dear", 0.3),
    ]
    table = pd.DataFrame(rows, columns=["channel", "measure", "mean"])
    return table.assign(unit="currency", q10=table["mean"] * 0.8, q50=table["mean"], q90=table["mean"] * 1.2)


def test_after_a_fit_costs_have_their_probability():
    """Only the channel that is likely so is named, with how likely."""
    row = asked(company(), {"economics": economics(cpl=67.0, cac=1_000.0)}).loc[NUMBER]
    assert row["status"] == "REVIEW"
    assert row["evidence"].startswith(
        f"one: 50 a lead and 4{THIN}000 a customer, the company 67 and 1{THIN}000 (probability 93{NBSP}%)"
    )
    assert "two" not in row["evidence"]


@pytest.mark.parametrize(("p", "status"), [(0.9, "PASS"), (0.2, "REVIEW")])
def test_a_healthy_ltv_to_cac_is_likely_3(p, status):
    """At least an even chance of 3; the band and the chance are told."""
    row = asked(company(), {"economics": economics(ltv_cac=3.1, p_ltv_cac_3=p)}).loc[PROFIT]
    assert row["status"] == status
    assert (
        f"LTV/CAC 3.1 (80{NBSP}% band 2.5 to 3.7), at least 3 with a probability of {100 * p:.0f}{NBSP}%"
        in row["evidence"]
    )


def test_9000_over_3000_is_healthy_and_what_is_not_known_is_told():
    """The guide's example passes; without margin, spend or value the mistake is not to have computed it."""
    guide = company(spend=29_990, won=10, revenue=50_000)
    known = {"gross_margin": 0.6, "retention": 0.999999, "lifetime": 3.0}
    row = asked(guide, economics=known).loc[PROFIT]
    assert row["status"] == "PASS"
    assert "LTV/CAC about 3.0" in row["evidence"]
    assert asked(guide, economics={**known, "sales_cost": 20_000}).loc[PROFIT, "status"] == "REVIEW"
    assert "gross_margin is not given" in asked(guide, economics={}).loc[PROFIT, "evidence"]
    bare = history({"visitors": 2000, "leads": 100, "qualified": 40, "won": 10}, periods=14)
    assert "no spend is recorded; no deal value is known" in asked(bare).loc[PROFIT, "evidence"]


def test_money_above_the_best_use_of_nine_draws_in_ten():
    """A channel whose spend is above the upper end of the draws' best splits; a slight excess is not named."""
    allocation = pd.DataFrame(
        {"channel": ["one", "two"], "current": [9_000.0, 3_000.0], "optimum_high": [6_000.0, 2_950.0]}
    )
    row = asked(company(), {"allocation": allocation}).loc[STRATEGY]
    assert row["status"] == "REVIEW"
    assert f"one: 9{THIN}000 EUR" in row["evidence"]
    assert f"less than 6{THIN}000" in row["evidence"]
    assert "two" not in row["evidence"]
    assert asked(company(), {"allocation": allocation.iloc[:0]}).loc[STRATEGY, "status"] == "UNKNOWN"


def test_criteria_that_change_are_seen_in_the_rate():
    """Half of the leads qualify where a fifth did, and fewer of them buy: the evidence is the audit's."""
    late = (np.arange(36) >= 24)[:, None]
    past = company(periods=36, leads=300, qualified=np.where(late, 150, 60), won=np.where(late, 15, 18))
    row = asked(past).loc[CRITERIA]
    assert row["status"] == "REVIEW"
    assert f"into qualified 20.0{NBSP}% before 2027-01, 50.0{NBSP}% from then on" in row["evidence"]
    short = asked(company(periods=6)).loc[CRITERIA]
    assert short["status"] == "UNKNOWN"


@pytest.mark.parametrize(("late", "status"), [(0, "REVIEW"), (6, "PASS")])
def test_nothing_that_qualifies_late_is_no_nurturing(late, status):
    """Thirty at once in each cohort, and none or six after half a year; a young history cannot tell."""
    ages = np.zeros((14, 14, 1), dtype=int)
    for cohort in range(14):
        ages[cohort, 0] = 30
        if cohort + 5 < 14:
            ages[cohort, 5] = late
    counts = {"leads": 100, "qualified": 30, "won": 5}
    past = history(counts, channels=("one",), periods=14, counting="leads", triangles={"qualified": ages})
    row = asked(past).loc[NURTURING]
    assert row["status"] == status
    n, after = 9 * 30 + 9 * late, 9 * late
    assert row["evidence"].startswith(f"of {n} leads that qualified, {after} (")
    young = history(
        counts, channels=("one",), periods=4, counting="leads", triangles={"qualified": ages[:4, :4]}
    )
    assert asked(young).loc[NURTURING, "status"] == "UNKNOWN"


def test_stages_that_are_missing_or_do_not_add_up():
    """No visitors; more qualified than leads."""
    bare = history({k: v for k, v in GOOD.items() if k != "visitors"}, periods=14)
    assert "not recorded: visitors" in asked(bare).loc[STAGES, "evidence"]
    assert (
        f"one: 2{THIN}800 qualified of 1{THIN}400 leads"
        in asked(company(qualified=[200, 40])).loc[STAGES, "evidence"]
    )


def test_dated_leads_are_not_told_to_bring_dates() -> None:
    """Leads whose qualification has no date: that date is asked for, not leads with dates."""
    past = history({"leads": 100, "won": 10}, counting="leads")
    found = {c.name: c for c in common_mistakes(past, study(), audit_history(past, study()))}
    check = found["No systematic nurturing"]
    assert (check.status, check.value) == (
        "UNKNOWN",
        "when a lead qualified is not recorded: give that date too",
    )
