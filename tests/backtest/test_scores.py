"""Scores: cases with a known answer, and what must hold for any forecast."""

from __future__ import annotations

import importlib
import math
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from forecast.backtest.scores import (
    BANDS,
    LEVELS,
    bias,
    coverage,
    crps,
    histogram,
    independent,
    interval_score,
    region,
    score,
    skill,
)


def test_a_certain_forecast_scores_its_distance() -> None:
    """All draws alike: CRPS is the absolute error, and so is WIS (no width, and each penalty weighs alike)."""
    found = score(np.full((50, 2), 10.0), np.array([13.0, 10.0]))
    assert found["crps"] == pytest.approx([3.0, 0.0])
    assert found["wis"] == pytest.approx([3.0, 0.0])
    assert found["pit"] == pytest.approx([1.0, 0.5])
    assert found["q05"] == pytest.approx([10.0, 10.0])


def test_crps_is_the_mean_distance_less_half_the_mean_distance_of_draws() -> None:
    """By hand, over all pairs."""
    rng = np.random.default_rng(1)
    x, y = rng.gamma(2.0, 3.0, 300), 4.5
    by_hand = np.abs(x - y).mean() - 0.5 * np.abs(x[:, None] - x).mean()
    assert float(score(x, y)["crps"]) == pytest.approx(by_hand)


@cache
def oracle_of_scores() -> Any:
    """scoringrules with numpy alone: with numba it would compile for seconds what is not asked here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "numba", None)
        return importlib.import_module("scoringrules")


@given(
    seed=st.integers(0, 10_000),
    draws=st.sampled_from([1, 2, 50, 1001, 4000]),
    forecasts=st.integers(1, 9),
    whole=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_scores_are_those_of_scoringrules(seed: int, draws: int, forecasts: int, whole: bool) -> None:
    """CRPS and interval scores to the last bit, of whole numbers with ties and of others, inside bands and outside."""
    scoringrules = oracle_of_scores()
    rng = np.random.default_rng(seed)
    x, y = rng.gamma(2.0, 300.0, (draws, forecasts)), rng.gamma(2.0, 300.0, forecasts)
    if whole:
        x, y = np.rint(x / 100), np.rint(y / 100)
    found = score(x, y)
    oracle = scoringrules.crps_ensemble(y, x, m_axis=0, estimator="qd", backend="numpy")
    assert (found["crps"] == oracle).all()
    assert (crps(x[:, 0], y[0]) == oracle[0]).all()
    weighted = np.abs(y - found["q50"]) / 2
    for name, (low, high) in BANDS.items():
        alpha = 1.0 - LEVELS[name]
        oracle = scoringrules.interval_score(y, found[low], found[high], alpha, backend="numpy")
        oracle = oracle.reshape(y.shape)
        assert (interval_score(found[low], found[high], y, alpha) == oracle).all()
        weighted = weighted + alpha / 2 * oracle
    assert found["wis"] == pytest.approx(weighted / 3.5, rel=1e-12)


def test_the_truth_scores_best() -> None:
    """Proper scores: over many outcomes, the forecast that knows their law beats one too narrow, too wide, or off."""
    rng = np.random.default_rng(2)
    outcomes = rng.normal(size=400)
    for name in ("crps", "wis"):
        mean = {
            (s, m): float(score(m + s * rng.normal(size=(400, 400)), outcomes)[name].mean())
            for s, m in ((1.0, 0.0), (0.3, 0.0), (3.0, 0.0), (1.0, 1.5))
        }
        assert min(mean, key=mean.__getitem__) == (1.0, 0.0)


def test_what_is_not_known_is_not_scored() -> None:
    """A blank outcome has quantiles, and no score."""
    found = score(np.arange(20.0)[:, None] + np.array([0.0, 1.0]), np.array([np.nan, 9.0]))
    assert np.isnan([found[name][0] for name in ("crps", "wis", "pit")]).all()
    assert np.isfinite([found[name][1] for name in ("crps", "wis", "pit")]).all()
    assert np.isfinite(found["mean"]).all()


@pytest.mark.parametrize("n", [1, 5, 20, 100])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_the_region_holds_what_it_says(n: int, level: float) -> None:
    """At least 95 % of the cases of a right band, and no side could be cut without losing more than 2.5 %."""
    low, high = region(n, level)
    assert binom.cdf(high, n, level) - binom.cdf(low - 1, n, level) >= 0.95
    assert binom.cdf(low, n, level) >= 0.025
    assert binom.sf(high - 1, n, level) >= 0.025


def test_overlapping_outcomes_count_for_less() -> None:
    """Counts are of all outcomes; standard error, interval and region of what they are worth."""
    inside = np.array([1.0] * 9 + [0.0] * 3 + [np.nan])
    all_of_them, some = coverage(inside, 0.8), coverage(inside, 0.8, independent(12, 1, 3))
    assert (all_of_them["inside"], all_of_them["outcomes"], all_of_them["independent"]) == (9, 12, 12)
    assert (some["inside"], some["outcomes"], some["independent"]) == (9, 12, 4)
    assert some["se"] == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert some["low"] < all_of_them["low"] < 0.75 < all_of_them["high"] < some["high"]
    assert some["least"] < all_of_them["least"]
    assert independent(12, 3, 3) == independent(12, 6, 3) == 12.0
    assert independent(1, 1, 3) == 1.0


def test_no_outcome_at_all() -> None:
    """Nothing known gives no number, and no error."""
    found = coverage(np.array([np.nan]), 0.8)
    assert found["outcomes"] == 0
    assert math.isnan(found["share"])
    assert math.isnan(bias(np.array([1.0]), np.array([np.nan])))
    assert math.isnan(skill(np.array([1.0]), np.array([np.nan]))["skill"])


def test_skill_and_bias_by_hand() -> None:
    """Half the error is a skill of one half; a forecast a tenth too high has that bias, below 0."""
    ours, theirs = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])
    found = skill(ours, theirs)
    assert found["skill"] == pytest.approx(0.5)
    assert found["se"] == pytest.approx(np.std([1, 2, 3], ddof=1) / math.sqrt(3) / 4)
    assert skill(theirs, ours)["skill"] == pytest.approx(-1.0)
    came = np.array([100.0, 300.0, np.nan])
    assert bias(came * 1.1, came) == pytest.approx(-0.1)
    assert histogram(np.array([0.0, 0.1, 0.5, 1.0, np.nan])) == [2, 0, 1, 0, 1]
