"""The share that moves on and its delay, from dated units that are partly still open."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from forecast.equations import lognormal_cdf
from forecast.leads.timing import LOST, MOVED, OPEN, fit_timing


def _units(rng: np.random.Generator, size: int, *, rate: float, dated: float, window: float):
    """Units that entered over a window, as they stand at its end; gamma delays, which the model does not assume."""
    entered = rng.uniform(0, window, size)
    moves = rng.random(size) < rate
    out = ~moves & (rng.random(size) < dated)
    event = np.where(moves, entered + rng.gamma(2.0, 25.0, size), np.inf)
    event = np.where(out, entered + rng.gamma(1.5, 20.0, size), event)
    known = event < window
    kind = np.where(known, np.where(moves, MOVED, LOST), OPEN)
    days = np.floor(np.where(known, event, window - 1e-9)) - np.floor(entered)
    return kind, days


@pytest.mark.parametrize("dated", [0.0, 0.6])
def test_share_and_delay_are_recovered_though_many_are_open(dated):
    """A third of the movers have not moved yet; counting the open as lost would miss the share by far."""
    rng = np.random.default_rng(1)
    kind, days = _units(rng, 4000, rate=0.3, dated=dated, window=150.0)
    found = fit_timing(kind, days)
    rate, mean, _ = found.draws(rng, 4000)
    assert abs(found.rate - 0.3) < 4 * rate.std() + 0.01
    assert abs(np.log(found.mean_days / 50.0)) < 4 * np.log(mean).std() + 0.05
    assert (kind == MOVED).mean() < 0.3 - 4 * rate.std()


def test_nothing_seen_gives_the_prior_back():
    """No unit: the draws are those of the prior."""
    found = fit_timing(np.zeros(0, dtype=np.int64), np.zeros(0), rate=(-2.0, 0.5), delay=(90.0, 0.3))
    assert found.rate == pytest.approx(expit(-2.0), rel=1e-3)
    assert found.mean_days == pytest.approx(90.0, rel=1e-3)
    assert found.covariance[0, 0] == pytest.approx(0.25, rel=0.02)
    assert found.lost_by(100.0) == 0.0


def test_the_cdf_is_one_of_a_delay_with_this_mean_and_spread():
    """Mean and standard deviation come back from the function by numerical integration; nothing at zero."""
    grid = np.linspace(0.0, 4000.0, 400_001)
    left = 1 - lognormal_cdf(grid, 40.0, 0.7)
    step = grid[1]
    mean = left.sum() * step
    second = 2 * (grid * left).sum() * step
    assert mean == pytest.approx(40.0, rel=1e-3)
    assert np.sqrt(second - mean**2) == pytest.approx(28.0, rel=1e-2)
    assert lognormal_cdf(0.0, 40.0, 0.7) == 0.0
