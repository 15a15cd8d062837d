"""Calibration companies conserve units and keep to their own truth; the test of uniformity finds what it should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import beta

from forecast.calibration import CHANNELS, KINDS, PERIODS, STAGES, make_company
from forecast.uniform import band, least_tail, simultaneous_level, table

BINS = 49


def made(kind: str, seed: int) -> Any:
    """A company from the prior."""
    return make_company(kind, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_companies_conserve_units(kind: str, seed: int) -> None:
    """No stage moves more units than entered it by then; what a triangle holds is what the counts hold."""
    history = made(kind, seed).history
    assert history.counting == kind
    counts = {stage: history.counts[stage].values for stage in STAGES}
    assert all((values >= 0).all() and (values == np.rint(values)).all() for values in counts.values())
    assert (counts["leads"] <= counts["visitors"]).all()
    if kind == "cohort":
        assert (counts["qualified"] <= counts["leads"]).all()
        assert (counts["won"] <= counts["qualified"]).all()
    for stage, triangle in history.triangles.items():
        before = counts[STAGES[STAGES.index(stage) - 1]]
        moved, lost = triangle.values, history.losses[stage].values
        assert (moved.sum(axis=1) + lost.sum(axis=1) <= before).all()
        for t in range(PERIODS):
            arrived = sum(moved[t - a, a] for a in range(t + 1))
            assert (arrived == counts[stage][t]).all()
            assert moved[t, PERIODS - t :].sum() == lost[t, PERIODS - t :].sum() == 0
    if kind == "leads":
        won = history.counts["won"].values.sum()
        assert len(history.deals) == won
        assert history.deals["amount"].sum() == pytest.approx(history.counts["revenue"].values.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_make_the_same_company(kind: str) -> None:
    """And others another one."""
    one, two = made(kind, 5), made(kind, 5)
    assert one.history.fingerprint() == two.history.fingerprint() != made(kind, 6).history.fingerprint()
    assert one.later == two.later


def test_units_move_at_the_true_rate() -> None:
    """Leads of the last period over many companies: visitors x rate of today, within the noise of the cells."""
    got, expected, variance = 0.0, 0.0, 0.0
    for seed in range(80):
        company = made("calendar", seed)
        visitors, leads = (company.history.counts[s].values[-1] for s in ("visitors", "leads"))
        p = expit(company.truth["logit_rate_leads"])
        weight = 1.0 / np.maximum(visitors, 1.0)  # companies count alike, whatever their size
        got += (weight * leads).sum()
        expected += (weight * visitors * p).sum()
        noise = (company.truth["noise_leads"] * p * (1 - p)) ** 2 + p * (1 - p) / np.maximum(visitors, 1.0)
        variance += noise.sum()
    assert abs(got - expected) < 4 * np.sqrt(variance)


def test_true_values_have_one_entry_for_each_channel_or_season() -> None:
    """So that a rank can be taken in the posterior's variable of that name."""
    truth = made("leads", 4).truth
    assert truth["logit_rate_won"].shape == truth["traffic"].shape == (len(CHANNELS),)
    assert truth["season"].shape == (12,)
    assert truth["season"].sum() == pytest.approx(0.0, abs=1e-9)
    assert {"loss_logit_won", "delay_mean_won", "deal_cv", "own_drift_traffic"} <= set(truth)


def test_bands_hold_a_uniform_sample_as_often_as_they_say() -> None:
    """95 % of samples of uniform ranks stay inside in all their length; Monte Carlo error of 600 samples."""
    limit = simultaneous_level(60, BINS)
    rng = np.random.default_rng(3)
    inside = np.mean([least_tail(rng.integers(0, BINS + 1, 60) / BINS, BINS) >= limit for _ in range(600)])
    assert inside == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 600) + 0.01)


def test_the_band_drawn_is_the_band_tested() -> None:
    """A sample is inside by its least tail just when its ECDF lies within the drawn edges."""
    limit = simultaneous_level(80, BINS)
    at, low, high = band(80, BINS, limit)
    rng = np.random.default_rng(4)
    agree = []
    for _ in range(300):
        ranks = rng.integers(0, BINS + 1, 80)
        difference = np.cumsum(np.bincount(ranks, minlength=BINS + 1))[:-1] / 80 - at
        drawn = bool(((difference >= low - 1e-12) & (difference <= high + 1e-12)).all())
        agree.append(drawn == (least_tail(ranks / BINS, BINS) >= limit))
    assert np.mean(agree) > 0.98


@pytest.mark.parametrize(("factor", "inside"), [(1.0, True), (8.0, False)])
def test_an_exact_posterior_passes_and_one_too_sure_fails(factor: float, inside: bool) -> None:
    """Beta prior, binomial data: the conjugate posterior, and the same from data counted eight times."""
    rng = np.random.default_rng(5)
    records = []
    for _ in range(200):
        p = rng.beta(2, 6)
        y = rng.binomial(20, p)
        draws = beta(2 + factor * y, 6 + factor * (20 - y)).rvs(BINS, random_state=rng)
        records.append({"p": float((draws < p).mean())})
    found = table(records, BINS).iloc[0]
    assert bool(found["inside"]) is inside
    assert (found["spread"] > 1.1) is not inside
    assert (found["p"] < 0.001) is not inside
