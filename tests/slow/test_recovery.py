"""Made companies, whose truth is known, fitted from their files: what is said with 90 % holds about nine times in ten.

Run by `make test-slow`. The companies are drawn lead by lead and share nothing with the model (lab/companies.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from forecast.fit import (
    Part,
    Posterior,
    failures,
    fit,
    sample_pymc,
    sample_whitened,
    transition_data,
    value_data,
)
from forecast.history import read_history
from forecast.lab import Channel, World, counts, generate
from forecast.progress import Silent
from forecast.study import load_study

pytestmark = pytest.mark.slow

SEEDS = {"calendar": (11, 12, 13, 14), "leads": (21, 22, 23)}
STAGES = ("leads", "qualified", "won")
HEAD = 'name = "made"\n[funnel]\nmarket = "b2b"\ndelay.qualified = "14 days"\ndelay.won = "45 days"\n'
KINDS = '[channels]\nppc = { kind = "ppc" }\nseo = { kind = "seo" }\nevents = { kind = "events" }\n'


def world() -> World:
    """Three channels over two years: 60 to 90 leads a month each, some ten wins."""
    return World(
        channels=(
            Channel("ppc", "ppc", 2400.0, 5000.0, 0.035, 0.36, 0.22, 4600.0, 0.60, 0.05, 0.0, 0.3),
            Channel("seo", "seo", 2800.0, 4500.0, 0.025, 0.40, 0.27, 5200.0, 0.50, 0.40, 0.6, 0.3),
            Channel("events", "events", 400.0, 4200.0, 0.150, 0.42, 0.24, 6000.0, 0.65, 0.05, 0.0, 0.35),
        ),
        months=24,
    )


def made(folder: Path, kind: str, seed: int) -> tuple[Posterior, dict[str, Any], list[str]]:
    """Posterior and truth of one company, read from the files that it would have."""
    company = generate(world(), np.random.default_rng(seed))
    window = 'period = "month"\nfrom = "2023-11"\nthrough = "2025-10"\n'
    if kind == "calendar":
        counts(company).to_csv(folder / "counts.csv", index=False)
        table = f'[history]\ncounts = "counts.csv"\n{window}'
    else:
        company.leads.to_csv(folder / "leads.csv", index=False, date_format="%Y-%m-%d")
        company.activity.to_csv(folder / "activity.csv", index=False)
        table = f'[history]\nleads = "leads.csv"\nactivity = "activity.csv"\n{window}'
    (folder / "study.toml").write_text(HEAD + table + KINDS, encoding="utf-8")
    study = load_study(folder / "study.toml")
    past = read_history(study)
    return fit(study, past, seed=seed, progress=Silent()), company.truth, past.channels


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Posterior, dict[str, Any], list[str]]]:
    """All companies, fitted once."""
    return [
        (kind, *made(tmp_path_factory.mktemp(f"{kind}{seed}"), kind, seed))
        for kind, seeds in SEEDS.items()
        for seed in seeds
    ]


def inside(draws: np.ndarray, truth: float) -> bool:
    """Whether the central 90 % hold the truth."""
    low, high = np.quantile(draws, [0.05, 0.95])
    return bool(low <= truth <= high)


def enough(hits: list[bool]) -> None:
    """Not fewer than one study in a thousand would hit if each of the claims held with probability 0.9."""
    assert sum(hits) >= binom.ppf(0.001, len(hits), 0.9), f"{sum(hits)} of {len(hits)}"


def test_every_fit_passes_its_checks(fits):
    """No divergence, R-hat and effective sample sizes within their bars, in every part of every company."""
    for kind, known, _, _ in fits:
        assert failures(known) == [], kind
        assert all(part["divergences"] == 0 for part in known.diagnostics)


@pytest.mark.parametrize("when", ["average", "end"])
def test_rates_are_covered(fits, when: str):
    """Rates into each stage by channel, over the window and at its end."""
    hits = []
    for _, known, truth, channels in fits:
        for stage in STAGES:
            path = expit(known.array(f"logit_rate_{stage}"))
            rate = path.mean(axis=1) if when == "average" else path[:, -1]
            hits += [inside(rate[:, i], truth["rate"][stage][c][when]) for i, c in enumerate(channels)]
    enough(hits)


def test_delays_are_covered_and_dates_teach_them(fits):
    """Mean delays in months; with dated leads the posterior is below a third of the prior's width."""
    hits = []
    for kind, known, truth, _ in fits:
        for stage in ("qualified", "won"):
            draws = known.array(f"delay_mean_{stage}")
            hits.append(inside(draws, truth["delay"][stage]["mean_months"]))
            if kind == "leads":
                assert np.log(draws).std() < 0.7 / 3
    enough(hits)


def test_deal_values_are_covered(fits):
    """Mean deals by channel."""
    hits = []
    for _, known, truth, channels in fits:
        mean = known.array("deal_mean")
        hits += [inside(mean[:, i], truth["deal"]["mean"][c]) for i, c in enumerate(channels)]
    enough(hits)


def test_elasticities_are_covered(fits):
    """Elasticity at the reference spend, (1 - b) beta, against (1 - b) e of the world."""
    hits = []
    for _, known, truth, channels in fits:
        slope = (1 - known.array("base")) * known.array("elasticity")
        for i, c in enumerate(channels):
            spec = truth["channels"][c]
            hits.append(inside(slope[:, i], (1 - spec["base"]) * spec["elasticity"]))
    enough(hits)


def test_pymc_has_the_same_posterior(tmp_path: Path):
    """PyMC's own sampler on the PyMC definition, nutpie on the kernel: same means and widths within Monte Carlo error.

    Widths by the central 80 %: in the tails of `mu` a single excursion of a chain moves the sd by a fifth.
    """
    company = generate(world(), np.random.default_rng(5))
    counts(company).to_csv(tmp_path / "counts.csv", index=False)
    text = HEAD + '[history]\ncounts = "counts.csv"\nperiod = "month"\nfrom = "2024-11"\n' + KINDS
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    study = load_study(tmp_path / "study.toml")
    past = read_history(study)
    data, _ = transition_data(study, past, "leads", "qualified")
    value = value_data(past)
    assert value is not None
    for part in (Part("value", "value", "value", value), Part("qualified", "qualified", "calendar", data)):
        given: dict[str, Any] = {"draws": 2000, "tune": 800, "target_accept": 0.95, "cores": 2}
        ours, _ = sample_whitened(part, seed=1, **given)
        theirs, _ = sample_pymc(part, seed=2, **given)
        assert set(ours) == set(theirs)
        for name in ("mu", "tau", "cv", "noise", "delay_mean", "drift"):
            if name in ours:
                one, two = np.log(np.abs(ours[name])), np.log(np.abs(theirs[name]))
                spread = np.hypot(one.std(), two.std())
                assert abs(one.mean() - two.mean()) < 0.15 * spread, name
                width = [np.ptp(np.quantile(draws, [0.1, 0.9])) for draws in (one, two)]
                assert width[0] / width[1] == pytest.approx(1.0, abs=0.15), name
