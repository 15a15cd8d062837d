"""The weighed closed form: the posterior of long chains, an alarm where it is not, the same bytes by the same seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arviz_stats.base.array import array_stats
from posterior_fixture import Array, history, study
from scipy.stats import gamma, halfnorm, norm

from forecast.equations import delay_pmf
from forecast.fit import data as inputs
from forecast.fit import latent as latents
from forecast.fit import weighed as module
from forecast.fit.gate import GATE
from forecast.fit.latent import Scale, latent_of
from forecast.fit.parts import Part
from forecast.fit.sampling import Draws, constrained, log_density, sample_kernel, sizes_of
from forecast.fit.weighed import weighed_draws

PERIODS = 10
LONG = {"seed": 5, "draws": 2500, "tune": 600, "target_accept": 0.98, "cores": 2}


def counts(channels: int = 2) -> Any:
    """One or two channels with counts that vary by chance, and spend that varies."""
    rng = np.random.default_rng(3)
    means = {"visitors": [900.0, 500.0], "leads": [60.0, 20.0], "won": [12.0, 6.0]}
    cells = {name: rng.poisson(mean, (PERIODS, 2)).astype(float) for name, mean in means.items()}
    cells["spend"] = np.rint([2000.0, 1500.0] * rng.lognormal(0.0, 0.4, (PERIODS, 2)))
    few = {name: values[:, :channels] for name, values in cells.items()}
    return history(few, channels=["ads", "search"][:channels], periods=PERIODS)


def asked_of(channels: int = 2, **delay: Any) -> Any:
    """A study of paid channels, with these delays."""
    kinds = dict(list({"ads": {"kind": "ppc"}, "search": {"kind": "seo"}}.items())[:channels])
    return study(funnel={"delay": delay}, channels=kinds)


def part_of(kind: str, channels: int = 2) -> Part:
    """A small part of each kind, its data made by its own law, delays and responses in it."""
    past = counts(channels)
    asked = asked_of(channels, leads=0, won="25 days")
    if kind == "traffic":
        worth = np.full(channels, np.log(9.0))
        return Part(
            "traffic", "visitors", kind, inputs.traffic_data(asked, past, worth, np.full(channels, 0.3))
        )
    if kind == "value":
        deals = np.array([14.0, 5.0])
        data = {
            "deals": deals[:channels],
            "revenue": (deals * np.array([900.0, 1600.0]))[:channels],
            "deals_log_revenue": (deals * np.log([840.0, 1500.0]))[:channels],
            "sizes": np.array([1.0, 2.0]),
            "size_cells": np.array([9.0, 5.0]),
            "level_prior": np.array([np.log(1000.0), 0.7]),
            "known_level": np.log([900.0, 1600.0])[:channels],
            "known_precision": (channels > 1) * np.array([20.0, 7.0])[:channels],
        }
        return Part("value", "deal value", kind, data)
    data, _ = inputs.transition_data(asked, past, "leads", "won")
    if kind == "cohort":  # dated moves, whose ages teach the delay
        data["age_weights"] = np.eye(data["age_weights"].shape[1])[
            np.minimum(PERIODS - 1 - np.arange(PERIODS), data["age_weights"].shape[1] - 1)
        ]
        data["weight"] = data["weight"] * (data["n"] >= data["y"])
        data["by_cohort"][:PERIODS] = 8.0
        data["by_age"] = np.rint(80.0 * delay_pmf(0.8, 0.8, data["age_weights"].shape[1]))
    return Part("won", "leads to won", kind, data)


KINDS = ("calendar", "cohort", "traffic", "value")


def numbers(draws: Draws) -> dict[str, Array]:
    """Every single number of the draws but own waves, (chain, draw)."""
    found = {}
    for name, values in draws.items():
        series = values.reshape(*values.shape[:2], -1)
        found |= {f"{name}[{i}]": series[:, :, i] for i in range(series.shape[2]) if name != "own_waves"}
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_weighed_draws_are_those_of_long_chains(kind: str):
    """Means and ends of every number agree with NUTS within the Monte Carlo error of both."""
    part = part_of(kind)
    made, certificate = weighed_draws(part, seed=1, draws=4000)
    assert certificate.worst < GATE.max_k
    chains, moved = sample_kernel(part, **LONG)
    assert moved.divergences <= 10  # of 10,000
    of_weights, far = numbers(made), {}
    for name, long in numbers(chains).items():
        sd = long.std()
        size = float(array_stats.ess(long, chain_axis=0, draw_axis=1, method="mean"))
        error = np.sqrt(1.0 / size + 1.0 / min(certificate.ess_scales, certificate.ess_effects))
        far[name] = (of_weights[name].mean() - long.mean()) / sd / error
        for share in (0.1, 0.9):
            gap = np.quantile(of_weights[name], share) - np.quantile(long, share)
            far[f"{name} {share}"] = gap / sd / (error * 1.71)  # an end of a normal: sqrt(.09) / density
    worst = max(far, key=lambda name: abs(far[name]))
    assert abs(far[worst]) < 4.5, (worst, far[worst])
    assert np.sqrt(np.mean(np.square(list(far.values())))) < 1.3


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_coordinates_and_kernel_are_one_density(kind: str, channels: int):
    """Without data the density of (theta, a, b) is N(0, I) times the prior of the scales, wherever one looks."""
    part = part_of(kind, channels)
    silent = {name: np.zeros_like(part.data[name]) for name in module_silenced() if name in part.data}
    silent |= {"tuned": np.zeros(channels)} if kind == "traffic" else {}
    part = Part(part.name, part.label, kind, {**part.data, **silent})
    latent, density, rng = latent_of(part), log_density(part), np.random.default_rng(2)
    theta = latent.theta(rng.standard_normal((40, len(latent.scales))))
    a = rng.standard_normal((40, len(latent.common)))
    b = rng.standard_normal((40, len(latent.around), len(latent.own)))
    x, jacobian = latent.points(theta, a, b)
    kernel = np.array([density(row)[0] for row in x]) + jacobian
    plain = latent.log_prior(theta) - 0.5 * (a**2).sum(axis=1) - 0.5 * (b**2).sum(axis=(1, 2))
    np.testing.assert_allclose(np.ptp(kernel - plain), 0.0, atol=1e-7)


def module_silenced() -> tuple[str, ...]:
    """Names of data that say nothing where they are zero."""
    from forecast.fit.sampling import SILENCED

    return SILENCED


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_slopes_of_the_density(kind: str, channels: int):
    """At the path the Gaussian's slope in every effect is that of the exact density, but for the prior's own."""
    part = part_of(kind, channels)
    work = module._Weighing(part, np.random.default_rng(1))
    latent = work.latent
    theta = module.latent_theta(latent)
    work.settle(theta)
    found = work.solve(theta, bent=False)

    def density(a: Array, b: Array) -> float:
        return float(work._log_joint(theta[None], a[None], b[None])[0])

    width = 1e-4
    for where in (found.a, found.b):
        for i in range(where.size):
            step = np.zeros(where.size)
            step[i] = width
            moved = [
                density(
                    found.a + side * step if where is found.a else found.a,
                    found.b + side * step.reshape(where.shape) if where is found.b else found.b,
                )
                for side in (1.0, -1.0)
            ]
            assert abs((moved[0] - moved[1]) / (2 * width)) < 0.02, (kind, i)


def test_an_exact_gaussian_has_a_low_k_hat(monkeypatch):
    """Where the density is the Gaussian itself the effects' weights are all alike."""
    part = part_of("value")
    work = module._Weighing(part, np.random.default_rng(1))
    normal = np.random.default_rng(5).standard_normal(4000)
    smooth, k = module._smoothed(-0.5 * (normal / 1.05) ** 2 + 0.5 * normal**2)
    assert k < 0.4
    assert module._effective(smooth) > 3900
    _, certificate = weighed_draws(part, seed=1, draws=4000)
    assert certificate.worst < 0.6
    assert certificate.ess_effects > 3000
    assert work.channels == 2


@pytest.mark.parametrize(("factor", "kind"), [(6.0, "calendar"), (6.0, "traffic")])
def test_a_broken_approximation_is_refused(monkeypatch, factor: float, kind: str):
    """Too narrow a Gaussian is told by its weights: the gate is missed, also after one more round."""
    of = {"calendar": latents.Rates, "traffic": latents.Traffic}[kind]
    right = of.seen

    def narrow(self, theta: Array, *, bent: bool) -> latents.Rows:
        seen = right(self, theta, bent=bent)
        return replace(seen, curvature=factor * seen.curvature)

    asked: list[float] = []

    def good(certificate: module.Certificate) -> bool:
        asked.append(certificate.worst)
        return certificate.worst < GATE.max_k and certificate.ess_effects > GATE.min_ess

    monkeypatch.setattr(of, "seen", narrow)
    _, certificate = weighed_draws(part_of(kind), seed=1, draws=4000, good=good)
    assert len(asked) == 1
    assert certificate.worst > GATE.max_k or certificate.ess_effects < GATE.min_ess


def test_the_same_seed_gives_the_same_bytes():
    """And another seed others."""
    part = part_of("calendar")
    one, two, other = (weighed_draws(part, seed=seed, draws=400)[0] for seed in (1, 1, 2))
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)
    assert one["mu"].tobytes() != other["mu"].tobytes()


@pytest.mark.parametrize(
    ("scale", "law"),
    [
        (Scale("x", "gamma", 4.0), gamma(2.0, scale=0.25)),
        (Scale("x", "half", 0.4), halfnorm(scale=0.4)),
        (Scale("x", "normal", -1.0, 0.3), None),
    ],
)
def test_scores_are_normal_under_the_prior(scale: Scale, law: Any):
    """The cdf of a scale is the normal cdf of its score, far out on both sides too; its density is the prior's."""
    score = np.array([-12.0, -7.0, -3.0, -0.4, 0.0, 1.3, 4.0, 7.5])
    log_value = scale.at(score)
    assert (np.diff(log_value) > 0).all()
    if law is not None:
        np.testing.assert_allclose(law.logcdf(np.exp(log_value)), norm.logcdf(score), rtol=1e-6)
        np.testing.assert_allclose(law.logsf(np.exp(log_value)), norm.logsf(score), rtol=1e-6)
        density = law.logpdf(np.exp(log_value)) + log_value
        np.testing.assert_allclose(np.diff(scale.log_prior(log_value)), np.diff(density), rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_channel_has_weights_too(kind: str):
    """Where levels have no spread to learn, the weights pass as well."""
    _, certificate = weighed_draws(part_of(kind, 1), seed=1, draws=2000)
    assert certificate.worst < GATE.max_k
    assert certificate.ess_effects > GATE.min_ess


def test_scales_that_no_data_touch_follow_their_prior():
    """Without a delay its mean and spread are drawn from the prior."""
    asked = asked_of(leads=0, won=0)
    data, _ = inputs.transition_data(asked, counts(), "visitors", "leads")
    part = Part("leads", "visitors to leads", "calendar", data)
    made, _ = weighed_draws(part, seed=1, draws=4000)
    z = (np.log(made["delay_cv"][0]) - data["delay_prior"][2]) / data["delay_prior"][3]
    assert abs(z.mean()) < 0.07
    assert abs(z.std() - 1.0) < 0.05
    assert set(made) == set(dict(sizes_of(part)))
    assert made["own_waves"].shape == (1, 4000, PERIODS - 1, 2)
    assert constrained(np.zeros((1, 1, 0)), []) == {}
