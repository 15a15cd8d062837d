"""Free deals: their share is learnt as it was made, by channel, deal by deal or cell by cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import posterior_fixture as fixture
import pytest

from forecast.fit import preview
from forecast.fit.free_deals import free_deals
from forecast.history import History

SHARES = np.array([0.5, 0.1])


def company(seed: int, *, spread: float = 0.0, periods: int = 36, wins: float = 8.0) -> History:
    """Deals of 1,000 each, a share of them free; spread 1: whole cells."""
    rng = np.random.default_rng(seed)
    won = rng.poisson(wins, (periods, 2))
    free = rng.binomial(won, SHARES) if spread == 0 else won * (rng.random(won.shape) < SHARES)
    channels = np.array(["one", "two"], dtype=object)
    t, c = (np.repeat(index, won.ravel()) for index in np.indices(won.shape).reshape(2, -1))
    order = np.concatenate([np.arange(n) for n in won.ravel()])
    past = fixture.history({"leads": 100, "won": won}, counting="leads", periods=periods)
    deals = pd.DataFrame(
        {
            "period": past.counts["period"].values[t],
            "channel": channels[c],
            "amount": np.where(order < free[t, c], 0.0, 1000.0),
        }
    )
    return fixture.history({"leads": 100, "won": won}, counting="leads", periods=periods, deals=deals)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_share_is_recovered(spread):
    """Over 30 companies the mean is the share within its error, and 80 % bands hold it about as often as they say."""
    found = [
        free_deals(company(seed, spread=spread), 400, np.random.default_rng(seed))["free_share"]
        for seed in range(30)
    ]
    means = np.array([share.mean(axis=0) for share in found])
    error = means.std(axis=0) / np.sqrt(len(means))
    assert (
        np.abs(means.mean(axis=0) - SHARES) < 4 * error + 0.01
    ).all()  # 0.01: what priors and grid may move
    inside = [
        (np.quantile(share, 0.1, axis=0) <= SHARES) & (SHARES <= np.quantile(share, 0.9, axis=0))
        for share in found
    ]
    assert 0.68 <= np.mean(inside) <= 0.92


def test_free_cells_are_told_from_free_deals():
    """Where whole cells are free the spread is near 1, where deals are free one by one near 0."""
    by_deal, by_cell = (
        free_deals(company(1, spread=spread), 500, np.random.default_rng(1))["free_spread"].mean()
        for spread in (0.0, 1.0)
    )
    assert by_deal < 0.1
    assert by_cell > 0.6


def test_assembled_values_are_of_all_deals():
    """The value of a deal counts the free ones: money over wins is that of the books, in a preview of the company."""
    rng = np.random.default_rng(4)
    won = rng.poisson(8.0, (24, 1)) + 1
    money = np.where(rng.random(won.shape) < 0.5, 0.0, rng.gamma(won / 0.64, 5000 * 0.64))
    past = fixture.history({"leads": 100.0, "won": won, "revenue": money}, channels=("one",), periods=24)
    known = preview(fixture.study(), past, seed=1, draws=500)
    assert known.array("deal_mean").mean() == pytest.approx(money.sum() / won.sum(), rel=0.1)
    assert known.array("free_share").mean() == pytest.approx((won * (money == 0)).sum() / won.sum(), abs=0.1)


def test_without_free_deals_nothing_is_drawn():
    """Every deal is paid where none was free, and a column of zeros is no share."""
    past = fixture.history({"leads": 100.0, "won": 5.0, "revenue": 900.0})
    assert free_deals(past, 10, np.random.default_rng(1)) == {}
    none = fixture.history({"leads": 100.0, "won": 5.0, "revenue": 0.0})
    assert free_deals(none, 10, np.random.default_rng(1)) == {}
