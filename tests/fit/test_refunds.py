"""Refunds: share, delay and size are learnt as they were made; odd files have a defined reading."""

from __future__ import annotations

import numpy as np
import posterior_fixture as fixture
import pytest

from forecast.fit import refund_law
from forecast.fit.refunds import refunds
from forecast.history import History

SHARE, DELAY, SIZE, PERIODS = np.array([0.12, 0.05]), 1.5, 3000.0, 36


def company(seed: int) -> History:
    """Two channels with deals of 5,000, of which a share is paid back some months later in lots of 3,000."""
    rng, before = np.random.default_rng(seed), 24
    money = rng.gamma(8 / 0.64, 5000 * 0.64, (PERIODS + before, 2))
    law = refund_law(np.array(DELAY), "month")
    due = np.array([law @ money[t - np.arange(len(law))] for t in range(before, PERIODS + before)])
    back = SIZE * rng.poisson(SHARE * due / SIZE)
    cells = {"leads": 100.0, "won": 8.0, "revenue": money[before:], "refunds": back}
    return fixture.history(cells, periods=PERIODS)


def test_share_delay_and_size_are_recovered():
    """Over 40 companies: means within their errors, and 80 % bands of the share hold it as often as they say."""
    found = [refunds(company(seed), 400, np.random.default_rng(seed)) for seed in range(40)]
    share = np.array([each["refund_share"].mean(axis=0) for each in found])
    assert (np.abs(share.mean(axis=0) - SHARE) < 4 * share.std(axis=0) / 40**0.5).all()
    assert np.mean([each["refund_delay"].mean() for each in found]) == pytest.approx(DELAY, rel=0.35)
    assert np.mean([each["refund_size"].mean() for each in found]) == pytest.approx(SIZE, rel=0.1)
    band = [np.quantile(each["refund_share"], (0.1, 0.9), axis=0) for each in found]
    inside = np.mean([(low <= SHARE) & (SHARE <= high) for low, high in band])
    assert 0.68 <= inside <= 0.92


def test_the_law_of_refunds_is_a_law():
    """Shares by age add up to one, with the mean that is asked for where a year holds it."""
    law = refund_law(np.array([0.5, 2.0]), "month")
    assert law.sum(axis=1) == pytest.approx(1.0)
    assert law @ np.arange(law.shape[1]) == pytest.approx([0.5, 2.0], rel=0.1)


def test_odd_refunds():
    """None: nothing. Beside a channel without deals: the company's share for all. By cohort: with the deal."""
    plain = {"leads": 100.0, "won": 8.0, "revenue": [900.0, 0.0]}
    rng = np.random.default_rng(1)
    assert refunds(fixture.history(plain), 10, rng) == {}
    assert refunds(fixture.history({**plain, "refunds": 0.0}), 10, rng) == {}
    beside = refunds(fixture.history({**plain, "refunds": [0.0, 90.0]}), 400, rng)
    assert beside["refund_share"][:, 0] == pytest.approx(beside["refund_share"][:, 1])
    assert beside["refund_share"].mean() == pytest.approx(0.1, rel=0.1)
    cohort = fixture.history({**plain, "refunds": [90.0, 0.0]}, counting="cohort")
    assert (refunds(cohort, 10, rng)["refund_delay"] == 0).all()
