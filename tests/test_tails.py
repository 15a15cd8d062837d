"""Gamma or lognormal: the law that made the deals is the one that fits, and the numbers are those of scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from posterior_fixture import history
from scipy import optimize, stats

from forecast.history import History
from forecast.tails import LEAST_DEALS, deal_law


def of_leads(amounts: np.ndarray, channels: list[str]) -> History:
    """A history of leads whose deals have these amounts."""
    period = np.datetime64("2025-03-01", "ns")
    deals = pd.DataFrame({"period": period, "channel": channels, "amount": amounts})
    return history({"leads": 100, "won": 10, "revenue": 1000}, counting="leads", deals=deals)


@pytest.mark.parametrize("law", ["gamma", "lognormal"])
def test_the_law_that_made_the_deals_fits_better(law: str):
    """400 deals of cv 1.3 in two channels of different means: the right law, and a cv near the true one."""
    rng = np.random.default_rng(5)
    names = ["one", "two"] * 200
    mean = np.array([3000.0, 12_000.0] * 200)
    sigma = np.sqrt(np.log1p(1.3**2))
    made = {
        "gamma": rng.standard_gamma(1 / 1.3**2, 400) * 1.3**2,
        "lognormal": np.exp(rng.normal(-(sigma**2) / 2, sigma, 400)),
    }
    found = deal_law(of_leads(mean * made[law], names))
    assert found is not None
    assert found["better"] == law
    assert abs(found["difference"]) > 10
    assert found["deals"] == 400
    assert 0.9 < found["cv"] < 1.8


def test_the_difference_of_aic_is_that_of_maximal_likelihoods():
    """Against scipy's densities at its own optimum, two channels with one shape."""
    rng = np.random.default_rng(6)
    x = [rng.gamma(2.0, 500.0, 30), rng.gamma(2.0, 3000.0, 25)]
    found = deal_law(of_leads(np.concatenate(x), ["one"] * 30 + ["two"] * 25))
    assert found is not None

    def gamma(shape: float) -> float:
        return -sum(stats.gamma.logpdf(v, shape, scale=v.mean() / shape).sum() for v in x)

    best = optimize.minimize_scalar(gamma, bounds=(0.1, 20.0), method="bounded", options={"xatol": 1e-8})
    logs = [np.log(v) for v in x]
    sigma = np.sqrt(np.concatenate([(v - v.mean()) ** 2 for v in logs]).mean())
    normal = sum(
        stats.lognorm.logpdf(v, sigma, scale=np.exp(log.mean())).sum() for v, log in zip(x, logs, strict=True)
    )
    assert found["difference"] == pytest.approx(2 * (normal + best.fun), abs=1e-5)


def test_counts_tell_single_deals_where_one_was_won():
    """Cells of one win are single deals; cells of several are not, and too few say nothing."""
    won = np.ones((30, 2))
    won[:, 1] = 2
    revenue = np.random.default_rng(7).gamma(2.0, 100.0, (30, 2))
    found = deal_law(history({"leads": 100, "won": won, "revenue": revenue}, periods=30))
    assert found is not None
    assert found["deals"] == 30
    short = LEAST_DEALS - 1
    few = {"leads": 100, "won": won[:short], "revenue": revenue[:short]}
    assert deal_law(history(few, periods=short)) is None
    assert deal_law(history({"leads": 100, "won": won}, periods=30)) is None
