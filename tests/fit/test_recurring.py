"""Recurring revenue: level and growth are learnt as they were made; the study's retention speaks of short series."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import posterior_fixture as fixture
import pytest

from forecast.fit.recurring import growth_prior, recurring
from forecast.history import History

LEVEL, GROWTH, WALK, NOISE, AHEAD = 50_000.0, -0.01, 0.015, 0.03, 6


def company(series: np.ndarray) -> History:
    """One channel of new customers, and what older ones pay."""
    cells = {"leads": 100.0, "won": 8.0, "revenue": 1000.0, "recurring": series[:, None]}
    return fixture.history(cells, channels=("one",), periods=len(series))


def test_what_comes_is_met():
    """Over 60 companies half a year ahead: no bias, and the 80 % band holds what came as often as it says."""
    inside, apart = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        walk = np.cumsum(rng.normal(0, WALK, 30 + AHEAD))
        series = LEVEL * np.exp(GROWTH * np.arange(30 + AHEAD) + walk + rng.normal(0, NOISE, 30 + AHEAD))
        past = company(series[:30])
        found = recurring(fixture.study(), past, 500, rng)
        known = fixture.posterior(past, {"won": 0.1}, draws=500)
        cells = {name: (("draw", "channel"), values) for name, values in found.items()}
        known = replace(known, data=known.data.assign(cells))
        path = fixture.case(known, past, np.zeros((AHEAD, 1)), seed=seed).future.recurring
        assert path is not None
        low, high = np.quantile(path[:, -1, 0], (0.1, 0.9))
        inside.append(low <= series[-1] <= high)
        apart.append(math.log(path[:, -1, 0].mean() / series[-1]))
    assert abs(np.mean(apart)) < 4 * np.std(apart) / 60**0.5
    assert 0.64 <= np.mean(inside) <= 0.94


def test_retention_speaks_where_the_series_is_short():
    """Two periods teach no growth: it is the study's retention. Three years of another growth say otherwise."""
    kept = fixture.study(economics={"retention": 0.5, "renewal": "year"})
    assert growth_prior(kept, 1.0)[0] == pytest.approx(math.log(0.5) / 12)
    rng = np.random.default_rng(1)
    short = recurring(kept, company(np.full(2, LEVEL)), 400, rng)
    long = recurring(kept, company(np.full(36, LEVEL)), 400, rng)
    assert short["recurring_growth"].mean() == pytest.approx(math.log(0.5) / 12, abs=0.01)
    assert abs(long["recurring_growth"].mean()) < 0.01


def test_odd_series():
    """None; one that has ended; one that began late; one with amounts every third month."""
    rng = np.random.default_rng(2)
    assert recurring(fixture.study(), company(np.zeros(12)), 10, rng) == {}
    ended = recurring(fixture.study(), company(np.r_[np.full(11, LEVEL), 0.0]), 10, rng)
    assert (ended["recurring_level"] == 0).all()
    late = recurring(fixture.study(), company(np.r_[np.zeros(6), np.full(6, LEVEL)]), 400, rng)
    assert late["recurring_level"].mean() == pytest.approx(LEVEL, rel=0.05)
    thin = np.where(np.arange(24) % 3 == 2, LEVEL, 0.0)
    assert recurring(fixture.study(), company(thin), 400, rng)["recurring_level"].mean() == pytest.approx(
        LEVEL / 3, rel=0.05
    )
