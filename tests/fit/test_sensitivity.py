"""Power scaling finds what rests on the prior, surprise what lies far from it; against answers in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from posterior_fixture import history, study

from forecast.equations import surprise
from forecast.fit import data as inputs
from forecast.fit.parts import Part
from forecast.fit.paths import logit_rates
from forecast.fit.points import Draws
from forecast.fit.sensitivity import (
    Pull,
    company_rate,
    part_sensitivities,
    sensitivity_of,
)
from forecast.fit.weighed import weighed_draws

MONTHS = 36


def normal_normal(data_sd: float, seed: int = 1) -> tuple[np.ndarray, Pull]:
    """Draws of theta ~ Normal(0, 1) given one observation 1.0 of error `data_sd`, with its two pulls."""
    rng = np.random.default_rng(seed)
    precision = 1 + data_sd**-2
    theta = rng.normal(data_sd**-2 / precision, precision**-0.5, 1000)
    return theta, Pull(-0.5 * theta**2, -0.5 * ((1.0 - theta) / data_sd) ** 2)


def test_what_the_data_do_not_say_rests_on_the_prior():
    """One normal parameter: the prior's pull fades as the data sharpen, and blunt data pull at nothing."""
    blunt, even, sharp = (
        sensitivity_of(theta, [pull]) for theta, pull in map(normal_normal, (30.0, 1.0, 0.05))
    )
    assert blunt["prior"] > 0.05 > blunt["likelihood"]
    assert even["prior"] > 0.05
    assert even["likelihood"] > 0.05
    assert sharp["likelihood"] > 0.05 > sharp["prior"]


def test_pulls_that_have_nothing_to_do_with_a_number_count_for_nothing():
    """Chance is taken off: pulls as large as a channel's, independent of the number, show next to none."""
    theta, pull = normal_normal(1.0)
    rng = np.random.default_rng(2)
    found = sensitivity_of(theta, [Pull(3.0 * rng.normal(size=1000), 3.0 * rng.normal(size=1000))])
    assert max(found.values()) < 0.05
    both = sensitivity_of(theta, [pull, Pull(0.1 * rng.normal(size=1000), 0.1 * rng.normal(size=1000))])
    assert both["prior"] == pytest.approx(sensitivity_of(theta, [pull])["prior"], abs=0.03)


def test_surprise_is_standard_normal_where_the_prior_is_right():
    """m / sqrt(1 - v) over datasets drawn from the prior predictive: mean 0, sd 1; zero where nothing was learnt."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(400):
        y = rng.normal(0.0, 1.0) + rng.normal(0.0, 0.7)
        v = 1 / (1 + 0.7**-2)
        found.append(surprise(2.0 + 3.0 * rng.normal(v * y / 0.49, v**0.5, 2000), 2.0, 3.0))
    assert np.mean(found) == pytest.approx(0.0, abs=0.2)
    assert np.std(found) == pytest.approx(1.0, abs=0.15)
    assert surprise(rng.normal(2.0, 3.0, 2000), 2.0, 3.0) == 0.0


def responding(spread: float) -> tuple[Draws, Part]:
    """Traffic fitted to a channel whose spend varies by `spread` (log sd), and to one whose spend never does."""
    rng = np.random.default_rng(4)
    spend = np.stack([1000 * np.exp(spread * rng.normal(size=MONTHS)), np.full(MONTHS, 1000.0)], axis=1)
    visitors = rng.poisson(500 * (0.05 + 0.95 * (spend / 1000) ** 0.6))
    past = history({"spend": spend, "visitors": visitors, "won": 5}, periods=MONTHS)
    known = study(channels={"one": {"kind": "ppc"}, "two": {"kind": "ppc"}})
    part = Part("traffic", "visitors", "traffic", inputs.traffic_data(known, past, None, None))
    draws, _ = weighed_draws(part, seed=1, draws=2000, few=True)
    return draws, part


def test_an_elasticity_without_variation_of_spend_is_its_prior():
    """Spend that varies teaches the elasticity of its own channel, and not that of the other."""
    draws, part = responding(0.8)
    z = draws["z_elasticity"].reshape(-1, 2)
    found, pull = part_sensitivities(draws, part, {"elasticity": (z, ("z_elasticity",))}, ["one", "two"])
    learnt, blind = found
    assert (learnt["channel"], blind["channel"]) == ("one", "two")
    assert blind["prior"] > 0.05 > blind["likelihood"]
    assert learnt["prior"] < 0.05
    assert abs(surprise(z[:, 0], 0.0, 1.0)) < 3
    assert pull.prior.shape == pull.likelihood.shape == (1000,)


@pytest.mark.parametrize(("rate", "far"), [(0.032, False), (0.6, True)])
def test_a_rate_far_from_its_benchmark_is_a_surprise(rate: float, far: bool):
    """Six channels at the market's middle are none; at twenty times that (another meaning of a lead) they are."""
    rng = np.random.default_rng(5)
    leads = rng.binomial(400, rate, (24, 6))
    names = tuple("abcdef")
    past = history({"visitors": 400, "leads": leads, "won": 1}, channels=names, periods=24)
    data, calendar = inputs.transition_data(study(funnel={"market": "b2b"}), past, "visitors", "leads")
    part = Part("leads", "visitors to leads", "calendar" if calendar else "cohort", data)
    draws, _ = weighed_draws(part, seed=1, draws=2000, few=True)
    path = logit_rates(draws, data)[0]
    company = company_rate(path, data["mu_prior"])
    assert company[0].mean() == pytest.approx(np.log(rate / (1 - rate)), abs=0.05)
    assert (abs(surprise(*company)) > 3) == far
    records: list[dict[str, Any]] = part_sensitivities(
        draws, part, {"all": (company[0], ("mu",))}, list(names)
    )[0]
    assert [r["part"] for r in records] == ["visitors to leads"]
