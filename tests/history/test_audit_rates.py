"""Traces in the rates: a jump is found and a walk is not, opposite moves, blanks that convert otherwise."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from posterior_fixture import history, study
from scipy.special import expit

from forecast.history.audit_rates import Steps, blanks, change, jumps, opposite
from forecast.history.history import History
from forecast.history.read import read_history
from forecast.words import text

OLIST = Path(__file__).parents[3] / "shared" / "data" / "olist"
N = 36


def company(
    seed: int,
    qualified: np.ndarray | float = 0.4,
    won: np.ndarray | float = 0.25,
    volume: np.ndarray | float = 10_000.0,
) -> History:
    """Three years of two channels, binomial counts; rates and volume by period."""
    rng, shape = np.random.default_rng(seed), (N, 2)
    visitors = np.broadcast_to(np.asarray(volume, dtype=float).reshape(-1, 1), shape).astype(int)
    leads = rng.binomial(visitors, 0.05)
    sql = rng.binomial(leads, np.broadcast_to(np.asarray(qualified).reshape(-1, 1), shape))
    deals = rng.binomial(sql, np.broadcast_to(np.asarray(won).reshape(-1, 1), shape))
    return history({"visitors": visitors, "leads": leads, "qualified": sql, "won": deals}, periods=N)


def stepped(before: float, after: float, at: int = 24) -> np.ndarray:
    """A rate that is another from period `at` on."""
    return np.where(np.arange(N) < at, before, after)


def test_a_rate_that_jumps_is_found_with_its_month():
    """Qualification falls from 40 to 25 % in January 2027: the transition, the month near it, both levels."""
    row = jumps(company(1, qualified=stepped(0.4, 0.25)))
    assert row is not None
    assert row.status == "REVIEW"
    said = r"into qualified (39|40|41)\.\d\xa0% before 2027-01, 2[456]\.\d\xa0% from then on"
    assert re.fullmatch(said, text(row.value))
    assert row.advice


def test_volume_that_jumps_is_no_rate_that_jumps():
    """Three times the visitors at the same rates: nothing."""
    assert jumps(company(2, volume=stepped(5_000.0, 15_000.0))).status == "PASS"


def test_another_mix_of_channels_is_no_rate_that_jumps():
    """A channel that converts badly grows fivefold: the rate of all falls, that of no channel does."""
    rng = np.random.default_rng(3)
    visitors = np.column_stack([np.full(N, 8_000), stepped(2_000, 10_000)]).astype(int)
    leads = rng.binomial(visitors, [0.06, 0.02])
    row = jumps(history({"visitors": visitors, "leads": leads, "won": rng.binomial(leads, 0.1)}, periods=N))
    assert leads[:24].sum() / visitors[:24].sum() > 1.2 * leads[24:].sum() / visitors[24:].sum()
    assert row.status == "PASS"


@pytest.mark.parametrize(("many", "most"), [(25, 2), pytest.param(100, 4, marks=pytest.mark.slow)])
def test_walks_and_chance_seldom_look_like_a_jump(many: int, most: int):
    """Of companies whose rate walks by 0.05 a month, at most a few are told of a jump."""
    rng, said = np.random.default_rng(4), 0
    for seed in range(many):
        walk = expit(-0.4 + np.cumsum(rng.normal(0, 0.05, N)))
        said += jumps(company(seed, qualified=walk)).status == "REVIEW"
    assert (
        said <= most
    )  # 1 % in longer runs: more than 4 of 100 would then be one in 250, more than 2 of 25 one in 500


def test_a_change_by_hand():
    """One channel, 40 of 100 before and 20 of 100 after: the difference of logits and its standard error."""
    steps = Steps("won", np.full((2, 1), 100.0), np.array([[40.0], [20.0]]), ["a", "b"])
    made = change(steps, 1, 1)
    assert made.size == pytest.approx(np.log(20.5 / 80.5) - np.log(40.5 / 60.5))
    assert made.error == pytest.approx(np.sqrt(1 / 20.5 + 1 / 80.5 + 1 / 40.5 + 1 / 60.5))
    assert (made.before, made.after) == (0.4, 0.2)


def test_a_short_history_is_not_asked():
    """Half a year shows no level."""
    short = history({"visitors": 1000.0, "leads": 50.0, "won": 5.0}, periods=6)
    assert jumps(short) is None
    assert opposite(short) is None


def test_qualification_against_the_close_rate():
    """More leads pass and fewer of them buy: told; both falling: another matter; steady: nothing."""
    against = opposite(company(5, qualified=stepped(0.3, 0.5), won=stepped(0.3, 0.18)))
    assert against.status == "REVIEW"
    assert "into qualified 30" in text(against.value) or "into qualified 29" in text(against.value)
    assert opposite(company(6, qualified=stepped(0.5, 0.3), won=stepped(0.3, 0.18))).status == "PASS"
    assert opposite(company(7)).status == "PASS"


def test_blanks_that_convert_like_the_others_are_fine():
    """A channel "unknown" of the same rates is no finding; of twice the close rate it is, with its chance."""
    rng = np.random.default_rng(8)
    leads = np.full((N, 2), 100)
    for rate, status in ((0.1, "PASS"), (0.2, "REVIEW")):
        won = rng.binomial(leads, [0.1, rate])
        row = blanks(history({"leads": leads, "won": won}, channels=("ppc", "Unknown"), periods=N))
        assert row.status == status
        assert "Unknown:" in text(row.value)
        assert "by chance" in text(row.value)
    assert blanks(company(9)) is None


@pytest.mark.skipif(not OLIST.exists(), reason="the public data are not here")
def test_blanks_of_a_real_company_win_more(tmp_path):
    """Of the leads of 2018, those without a known origin were won more often than the others; it is no chance."""
    leads = pd.read_csv(OLIST / "olist_marketing_qualified_leads_dataset.csv")
    deals = pd.read_csv(OLIST / "olist_closed_deals_dataset.csv")[["mql_id", "won_date"]]
    table = leads.merge(deals, on="mql_id", how="left")
    table["won_date"] = table["won_date"].str[:10].where(lambda d: d >= table["first_contact_date"])
    columns = {"mql_id": "lead_id", "origin": "channel", "first_contact_date": "created", "won_date": "won"}
    table = table.rename(columns=columns)[[*columns.values()]].assign(lost="")
    table.to_csv(tmp_path / "leads.csv", index=False)
    asked = study(history={"leads": "leads.csv", "from": "2018-01"}, funnel={"stages": ("leads", "won")})
    row = blanks(read_history(asked.model_copy(update={"folder": tmp_path})))
    assert row.status == "REVIEW"
    assert "(blank): 2" in text(row.value) or "unknown: 1" in text(row.value)
    assert "below 0.1\xa0%" in text(row.value)
