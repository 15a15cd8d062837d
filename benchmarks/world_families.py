"""Families of synthetic companies, most of which break an assumption of the model that forecasts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from forecast.lab import Channel, Shift, Stage, World, demo_world

MONTHS = 36
WEEKS_A_MONTH = 365.25 / 12 / 7


def _moved(p: float, by: float) -> float:
    return float(1 / (1 + (1 - p) / p * np.exp(-by)))


def _channel(base: Channel, rng: np.random.Generator) -> Channel:
    """A channel like `base`, with its own size, rates, deal value and elasticity."""
    size, conversion, qualification, close, deal, money = rng.normal(size=6)
    return replace(
        base,
        visitors=base.visitors * float(np.exp(0.4 * size)),
        spend=base.spend * float(np.exp(0.3 * money)),
        conversion=_moved(base.conversion, 0.35 * conversion),
        qualification=_moved(base.qualification, 0.35 * qualification),
        close=_moved(base.close, 0.35 * close),
        deal_mean=base.deal_mean * float(np.exp(0.3 * deal)),
        elasticity=float(rng.uniform(0.3, 0.8)),
        spend_sd=float(rng.uniform(0.1, 0.4)),
    )


def random_world(rng: np.random.Generator, *, wins_a_month: float | None = None) -> World:
    """A company of four to seven channels whose families are those of the model; about `wins_a_month` on average."""
    rows = demo_world().channels
    chosen = sorted(rng.choice(len(rows), size=rng.integers(4, 8), replace=False))
    channels = [_channel(rows[i], rng) for i in chosen]
    expected = sum(c.visitors * c.conversion * c.qualification * c.close for c in channels)
    target = wins_a_month or float(np.exp(rng.normal(np.log(15.0), 0.5)))
    return World(
        channels=tuple(replace(c, visitors=c.visitors * target / expected) for c in channels),
        months=MONTHS,
        leads=Stage(drift=rng.uniform(0.02, 0.06), noise=rng.uniform(0.05, 0.15)),
        qualified=Stage(
            drift=rng.uniform(0.02, 0.06), noise=rng.uniform(0.05, 0.15), delay_days=rng.uniform(8, 30)
        ),
        won=Stage(
            drift=rng.uniform(0.02, 0.06), noise=rng.uniform(0.03, 0.1), delay_days=rng.uniform(25, 90)
        ),
        traffic_noise=rng.uniform(0.08, 0.2),
        traffic_drift=rng.uniform(0.02, 0.06),
        channel_drift=rng.uniform(0.01, 0.05),
        season_amplitude=rng.uniform(0.1, 0.3),
        deal_cv=rng.uniform(0.6, 1.0),
    )


def _hill(rng: np.random.Generator) -> World:
    return replace(random_world(rng), response="hill", rates="ar1", delay="weibull", deals="lognormal")


def _exponential(rng: np.random.Generator) -> World:
    return replace(random_world(rng), response="exponential", delay="weibull", deals="lognormal")


def _new_channel(rng: np.random.Generator) -> World:
    world = random_world(rng)
    new = int(rng.integers(len(world.channels)))
    channels = [replace(c, starts=MONTHS - 5) if i == new else c for i, c in enumerate(world.channels)]
    return replace(world, channels=tuple(channels), delay="weibull")


def _shift(rng: np.random.Generator) -> World:
    stage = str(rng.choice(["leads", "qualified", "won"]))
    size = float(rng.choice([-1, 1]) * rng.uniform(0.3, 0.6))
    month = MONTHS - int(rng.integers(4, 13))
    return replace(random_world(rng), shift=Shift(month, **{stage: size}), delay="weibull")


def _sparse(rng: np.random.Generator) -> World:
    return replace(random_world(rng, wins_a_month=3.0), rates="ar1", deals="lognormal")


def _dense(rng: np.random.Generator) -> World:
    return replace(random_world(rng, wins_a_month=50 * WEEKS_A_MONTH), response="hill", delay="weibull")


def _heavy(rng: np.random.Generator) -> World:
    world = random_world(rng)
    return replace(world, deals="lognormal", deal_cv=float(rng.uniform(1.3, 2.0)), rates="ar1")


FAMILIES: dict[str, Callable[[np.random.Generator], World]] = {
    "as the model": random_world,
    "hill, AR(1)": _hill,
    "exponential": _exponential,
    "new channel": _new_channel,
    "regime shift": _shift,
    "3 deals a month": _sparse,
    "50 deals a week": _dense,
    "heavy tails": _heavy,
}
