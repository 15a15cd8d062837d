"""What may still come of a made company: what comes is one of its draws, whatever moves the company."""

import math
from dataclasses import replace

import numpy as np
import pytest

from forecast.lab import Change, Channel, Company, Stage, World, coming, futures, generate

SLOW = Channel("slow", "other", 1_500.0, 1_000.0, 0.1, 0.5, 0.4, 1_000.0, base=0.1, carry_over=0.5)
FAST = replace(SLOW, name="fast", elasticity=0.4, rival="slow", rivalry=0.3, noise=0.2)
STAND = World(
    channels=(SLOW, FAST),
    months=18,
    leads=Stage(drift=0.02, noise=0.05),
    qualified=Stage(drift=0.02, noise=0.05, delay_days=20.0),
    won=Stage(drift=0.02, noise=0.05, delay_days=60.0),
    channel_drift=0.01,
)
MOVING = replace(
    STAND,
    leads=replace(STAND.leads, crowding=0.5, shock=0.05),
    qualified=replace(STAND.qualified, crowding=0.3, crowded_by="all"),
    won=replace(STAND.won, pace=0.4, crowding=0.2),
    delay="two humps",
    traffic_shock=0.05,
    changes=(
        Change("traffic", 0.06 * 24, 0, 24),
        Change("spend", 0.8, 12, channels=("slow",)),
        Change("won", -0.7, 14),
        Change("deal", 0.3, 10),
        Change("won delay", 0.6, 12, 16),
    ),
)
WORLDS = {
    "still": STAND,
    "returning": replace(STAND, rates="ar1", delay="weibull", deals="lognormal"),
    "moving": MOVING,
}
COMPANIES = 12


@pytest.fixture(autouse=True)
def _small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Laws of 20,000 draws are exact enough here."""
    monkeypatch.setattr(coming, "TABLE", 20_000)


def came(company: Company, months: int) -> np.ndarray:
    """Wins and revenue of the months after the end."""
    total = company.truth["later"]["by_period"]
    return np.array([sum(total[measure][:months]) for measure in ("won", "revenue")], dtype=float)


def apart(world: World, believed: World | None = None, months: int = 3) -> np.ndarray:
    """Standard deviations of wins and revenue that came from their expected truth, dims (company, measure)."""
    rows = []
    for seed in range(COMPANIES):
        company = generate(world, np.random.default_rng([9, seed]))
        known = replace(company, world=believed or world)
        made = futures(known, np.random.default_rng(seed), months=months, draws=150)
        draws = np.stack([made.won.sum(axis=1), made.revenue.sum(axis=1)], axis=1)
        rows.append((came(company, months) - draws.mean(axis=0)) / draws.std(axis=0))
    return np.array(rows)


@pytest.mark.parametrize(
    "kind", ["moving", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("still", "returning"))]
)
def test_what_comes_is_one_of_what_may_come(kind):
    """On average nought and one sd away: within 4 standard errors over twelve companies."""
    z = apart(WORLDS[kind])
    assert np.abs(z.mean(axis=0)).max() < 4 / math.sqrt(COMPANIES)
    assert np.abs(z.std(axis=0) - 1).max() < 4 / math.sqrt(2 * COMPANIES)


@pytest.mark.slow
@pytest.mark.parametrize("of", ["traffic", "won", "deal", "won delay"])
def test_who_does_not_know_a_change_is_off(of):
    """The expected truth depends on each of the changes: without one of them what comes is far from it."""
    believed = replace(MOVING, changes=tuple(change for change in MOVING.changes if change.of != of))
    assert np.abs(apart(MOVING, believed, 9).mean(axis=0)).max() > 4 / math.sqrt(COMPANIES)


def test_months_add_up_and_are_bounded():
    """A row a draw, a column a month; wins are whole; the first of six months is that of one by its mean."""
    company = generate(STAND, np.random.default_rng(1))
    six, one = (futures(company, np.random.default_rng(2), months=n, draws=300) for n in (6, 1))
    assert six.won.shape == six.revenue.shape == (300, 6)
    assert (six.won == np.round(six.won)).all()
    error = six.won[:, 0].std() * math.sqrt(2 / 300)
    assert abs(six.won[:, 0].mean() - one.won[:, 0].mean()) < 4 * error
    with pytest.raises(ValueError, match="months must be from 1 to 12; got 13"):
        futures(company, np.random.default_rng(2), months=13)
