"""Lift tests on made companies whose spend hardly varies: the truth is found where it was a guess before.

Run by `make test-slow`. The companies are drawn lead by lead and share nothing with the model (lab/companies.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from forecast.fit import Part, sample_whitened, traffic_data
from forecast.history import read_history
from forecast.lab import Channel, Company, World, counts, generate, response, season
from forecast.study import load_study

pytestmark = pytest.mark.slow

SEEDS = range(41, 49)
HEAD = 'name = "made"\n[funnel]\nmarket = "b2b"\n[history]\ncounts = "counts.csv"\n'
KINDS = '[channels]\nppc = { kind = "ppc" }\nseo = { kind = "seo" }\nsocial = { kind = "social" }\n'


def world(rng: np.random.Generator) -> World:
    """Three channels of elasticities anywhere between 0.2 and 0.9, whose spend varies by 5 %."""
    e = rng.uniform(0.2, 0.9, 3)
    return World(
        channels=(
            Channel("ppc", "ppc", 2400.0, 5000.0, 0.035, 0.36, 0.22, 4600.0, e[0], 0.05, 0.0, 0.05),
            Channel("seo", "seo", 2800.0, 4500.0, 0.025, 0.40, 0.27, 5200.0, e[1], 0.35, 0.6, 0.05),
            Channel("social", "social", 1500.0, 4200.0, 0.02, 0.42, 0.24, 6000.0, e[2], 0.10, 0.1, 0.05),
        ),
        months=24,
    )


def lift_table(company: Company, channel: Channel, rng: np.random.Generator) -> str:
    """A test of the months 13 to 16: twice the spend, measured to 6 % of the traffic, carry-over under way."""
    months, start = np.arange(12, 16), np.datetime64(company.world.first, "M").astype(int)
    walk = np.array(company.truth["traffic_walk"])[months]
    level = channel.visitors * np.exp(season(company.world)[(start + months) % 12] + walk)
    stock = channel.spend * (2.0 - channel.carry_over ** np.arange(1, 5))
    lift = float((level * (response(company.world, channel, stock) - 1.0)).mean())
    se = 0.06 * channel.visitors
    first, last = (
        str(np.datetime64(company.world.first, "M") + np.timedelta64(int(m), "M")) for m in months[[0, -1]]
    )
    return f"""
[[lift_test]]
channel = "{channel.name}"
from = "{first}"
to = "{last}"
without = {channel.spend}
with = {2 * channel.spend}
lift = {lift + se * rng.normal():.1f}
se = {se:.1f}
"""


def slopes(folder: Path, company: Company, text: str, seed: int) -> np.ndarray:
    """Draws of what twice the usual spend brings over the usual traffic (draw, channel), from the traffic part.

    As in the forecast: half of the draws by the power law, half by Michaelis-Menten.
    """
    counts(company).to_csv(folder / "counts.csv", index=False)
    (folder / "study.toml").write_text(HEAD + KINDS + text, encoding="utf-8")
    study = load_study(folder / "study.toml")
    past = read_history(study)
    data: dict[str, Any] = traffic_data(study, past, None, None)
    part = Part("traffic", "visitors", "traffic", data)
    draws, _ = sample_whitened(part, seed=seed, draws=500, tune=400, target_accept=0.99, cores=2)
    beta, base = (
        expit(data[f"{name}_prior"][0] + data[f"{name}_prior"][1] * draws[f"z_{name}"]).reshape(2000, -1)
        for name in ("elasticity", "base")
    )
    order = [past.channels.index(c.name) for c in company.world.channels]
    shape = np.where(np.arange(2000)[:, None] % 2 == 0, 2.0**beta, 2.0 / (2.0 - beta))
    return (base + (1.0 - base) * shape)[:, order]


def test_a_test_finds_the_truth(tmp_path: Path):
    """What twice the spend brings: error and width at most 0.6 of those without a test, and still covered."""
    miss: dict[str, list[float]] = {"without": [], "with": []}
    width: dict[str, list[float]] = {"without": [], "with": []}
    hits = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        company = generate(world(rng), rng)
        channels = company.world.channels
        truth = [float(response(company.world, c, np.array([2.0 * c.spend]))[0]) for c in channels]
        tests = "".join(lift_table(company, c, rng) for c in channels)
        for name, text in (("without", ""), ("with", tests)):
            found = slopes(tmp_path, company, text, seed)
            miss[name] += (found.mean(axis=0) - truth).tolist()
            width[name] += found.std(axis=0).tolist()
            if name == "with":
                low, high = np.quantile(found, [0.05, 0.95], axis=0)
                hits += ((low <= truth) & (truth <= high)).tolist()
    error = {name: float(np.sqrt(np.mean(np.square(values)))) for name, values in miss.items()}
    assert error["with"] < 0.6 * error["without"], error
    assert np.mean(width["with"]) < 0.6 * np.mean(width["without"]), width
    assert sum(hits) >= binom.ppf(0.001, len(hits), 0.9), f"{sum(hits)} of {len(hits)}"
