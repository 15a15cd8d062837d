"""Parts as Gaussian models given their scales: the density of the PyMC models in other coordinates, and its slopes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from model_fixture import log_density
from part_fixture import KINDS, PERIODS, part_of, silenced
from posterior_fixture import Array
from scipy.stats import gamma, halfnorm, norm

from forecast.fit import traffic_latent as module
from forecast.fit.kinds import latent_of, log_likelihood
from forecast.fit.latent import Latent, Scale
from forecast.fit.parts import Part
from forecast.fit.points import Draws, constrained, sizes_of

every_part = pytest.mark.parametrize(
    ("kind", "channels"), [(kind, channels) for channels in (2, 1) for kind in KINDS]
)


def effects(latent: Latent, draws: int, seed: int = 2) -> tuple[Array, Array, Array]:
    """Scores (draw, scale) and effects (draw, P), (draw, channel, Q) of the prior."""
    rng, (common, own) = np.random.default_rng(seed), (latent.common, latent.own)
    shapes = (len(latent.scales),), (common.stop - common.start,), (len(latent.path), own.stop - own.start)
    return tuple(rng.standard_normal((draws, *shape)) for shape in shapes)  # type: ignore[return-value]


def of_points(part: Part, x: Array) -> Draws:
    """Draws by parameter (draw, ...) of unconstrained points."""
    draws = {name: values[0] for name, values in constrained(x[None], sizes_of(part)).items()}
    return draws | ({"noise_apart": part.data["noise_apart"][None]} if "noise_apart" in part.data else {})


def densities(part: Part, x: Array) -> Array:
    """The model's density at each point."""
    density = log_density(part)
    return np.array([density(row) for row in x])


@every_part
def test_scores_and_effects_are_normal_before_data(kind: str, channels: int):
    """N(0, I) in (v, a, b) is the model's prior times the determinant of its point's derivatives, everywhere."""
    part = part_of(kind, channels)
    nothing = {"tuned": np.zeros(channels)} if "tuned" in part.data else {}
    prior, latent = silenced(part, **nothing), latent_of(part)
    v, a, b = effects(latent, 6)
    inside = len(latent.idle)

    def points(flat: Array) -> Array:
        scores, common, own = np.split(flat, [v.shape[1], v.shape[1] + a.shape[1]], axis=1)
        x = latent.points(latent.theta(scores), common, own.reshape(-1, *b.shape[1:]))
        return x[:, : x.shape[1] - inside]

    flat = np.concatenate([v, a, b.reshape(len(b), -1)], axis=1)
    model = densities(prior, latent.points(latent.theta(v), a, b))
    step, size = 1e-5, flat.shape[1]
    for i, row in enumerate(flat):
        moved = [points(row + side * step * np.eye(size)) for side in (1.0, -1.0)]
        model[i] += np.linalg.slogdet((moved[0] - moved[1]) / (2 * step))[1]
    np.testing.assert_allclose(np.ptp(model + 0.5 * (flat**2).sum(axis=1)), 0.0, atol=1e-5)


@every_part
def test_likelihoods_are_what_the_model_knows_of_the_data(kind: str, channels: int):
    """Of draws, cells and the rest together: the model less the model without data, up to a constant."""
    part = part_of(kind, channels)
    v, a, b = effects(latent := latent_of(part), 12)
    x = latent.points(latent.theta(v), a, b)
    model = densities(part, x) - densities(silenced(part), x)
    draws = of_points(part, x)
    cells, other = latent.of_draws(draws)
    assert cells.shape == (12, channels, 0 if kind == "value" else PERIODS)
    found = cells.sum(axis=(1, 2)) + other.sum(axis=1)
    np.testing.assert_array_equal(log_likelihood(part, draws), found)
    np.testing.assert_allclose(np.ptp(found - model), 0.0, atol=1e-6 * max(np.ptp(model), 1.0))


@every_part
def test_likelihoods_by_channel_are_those_of_the_coordinates(kind: str, channels: int):
    """What is weighed (the current budget in it) at unit coordinates of effects: the same by the model."""
    part = part_of(kind, channels)
    nothing = {"tuned": np.zeros(channels)} if "tuned" in part.data else {}
    v, a, b = effects(latent := latent_of(part), 12)
    theta, ones = latent.theta(v), np.ones(12, dtype=np.int64)
    u = latent.coordinates(latent.sds(theta), ones, a, b)
    assert u.shape == (12, *latent.path.shape)
    found = latent.log_likelihood(theta, ones, u).sum(axis=1) + latent.told(theta)
    x = latent.points(theta, a, b)
    model = densities(part, x) - densities(silenced(part, **nothing), x)
    np.testing.assert_allclose(np.ptp(found - model), 0.0, atol=1e-6 * max(np.ptp(model), 1.0))


@pytest.mark.parametrize("kind", ["calendar", "cohort", "losses", "traffic"])
def test_each_cell_is_its_own(kind: str):
    """With the weight of one cell alone, the model knows what that cell's likelihood says."""
    part = part_of(kind)
    v, a, b = effects(latent := latent_of(part), 3)
    x = latent.points(latent.theta(v), a, b)
    cells, _ = latent.of_draws(of_points(part, x))
    for t, c in ((0, 0), (4, 1), (PERIODS - 1, 0)):
        one = np.zeros((PERIODS, 2))
        one[t, c] = part.data["weight"][t, c]
        assert one[t, c] > 0
        model = densities(silenced(part, weight=one), x) - densities(silenced(part), x)
        np.testing.assert_allclose(np.ptp(cells[:, c, t] - model), 0.0, atol=1e-6 * max(np.ptp(model), 1.0))


def test_a_blank_cell_says_nothing():
    """Of counts and of traffic, whatever stands there."""
    for kind in ("calendar", "traffic"):
        part = part_of(kind)
        v, a, b = effects(latent := latent_of(part), 3)
        draws = of_points(part, latent.points(latent.theta(v), a, b))
        weight, y = part.data["weight"].copy(), part.data["y"].copy()
        weight[3, 1], y[3, 1] = 0.0, 999.0
        cells, _ = latent_of(replace(part, data={**part.data, "weight": weight, "y": y})).of_draws(draws)
        assert (cells[:, 1, 3] == 0).all()
        assert (np.delete(cells[:, 1], 3, axis=1) != 0).all()


@pytest.mark.parametrize("now", [0.3, 1.0, 4.0])
def test_each_lift_test_is_its_own(now: float):
    """A column for each: the model with that test alone less the model without any, wherever spend is today."""
    part = part_of("lifted")
    part = replace(part, data=part.data | {"log_current": np.full(2, np.log(now))})
    v, a, b = effects(latent := latent_of(part), 4)
    x = latent.points(latent.theta(v), a, b)
    _, other = latent.of_draws(of_points(part, x))
    assert other.shape == (4, 2)
    for i in range(2):
        share = np.zeros_like(part.data["lift_share"])
        share[i] = part.data["lift_share"][i]
        model = densities(silenced(part, lift_share=share), x) - densities(silenced(part), x)
        np.testing.assert_allclose(np.ptp(other[:, i] - model), 0.0, atol=1e-6 * max(np.ptp(model), 1.0))


@every_part
def test_settings_stand_side_by_side(kind: str, channels: int):
    """Several draws of each setting are what single ones are, in their order."""
    latent = latent_of(part_of(kind, channels))
    v, a, b = effects(latent, 6)
    theta, counts = latent.theta(v[:3]), np.array([3, 1, 2])
    rows = np.repeat(np.arange(3), counts)
    together = latent.log_likelihood(theta, counts, latent.coordinates(latent.sds(theta), counts, a, b))
    ones = np.ones(6, dtype=np.int64)
    sds = latent.sds(theta[rows])
    single = latent.log_likelihood(theta[rows], ones, latent.coordinates(sds, ones, a, b))
    np.testing.assert_allclose(together, single, rtol=1e-9)
    seen = latent.seen(theta, bent=False)
    alone = latent.seen(theta[1:2], bent=False)
    np.testing.assert_allclose(seen.score[1], alone.score[0], rtol=1e-11)


def off_the_path(latent: Latent, theta: Array, u: Array) -> Array:
    """Log likelihood by channel of unit coordinates of one setting, (D, channel)."""
    return latent.log_likelihood(theta, np.array([len(u)]), u)


@every_part
def test_rows_are_slopes_of_the_likelihood(kind: str, channels: int):
    """At the path, in every column of every channel, whatever the scales."""
    latent = latent_of(part_of(kind, channels))
    rng = np.random.default_rng(3)
    latent.moved(0.2 * rng.standard_normal(latent.path.shape))
    columns = latent.path.shape[1]
    for theta in latent.theta(effects(latent, 3)[0]):
        seen = latent.seen(theta[None], bent=False)
        slopes = (seen.rows[0] * seen.score[0, :, :, None]).sum(axis=1)
        step = 1e-5 * np.eye(columns)[:, None]
        high, low = (off_the_path(latent, theta[None], latent.path + side * step) for side in (1, -1))
        expected = ((high - low) / 2e-5).T
        np.testing.assert_allclose(slopes, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["traffic", "lifted"])
def test_bends_are_the_curvature_of_responses(kind: str, monkeypatch: pytest.MonkeyPatch):
    """Rows and bends together are minus the likelihood's second derivative in the scores of a channel's response."""
    monkeypatch.setattr(module, "HOLLOW", -np.inf)
    latent = latent_of(part_of(kind))
    latent.moved(0.3 * np.random.default_rng(3).standard_normal(latent.path.shape))
    theta = latent.theta(np.zeros((1, len(latent.scales))))
    seen = latent.seen(theta, bent=True)
    rows = seen.rows[0][:, :, -3:]
    found = seen.bend[0] + rows.swapaxes(1, 2) @ (seen.curvature[0, :, :, None] * rows)
    axes, step = np.zeros((3, latent.path.shape[1])), 1e-3
    axes[:, -3:] = step * np.eye(3)
    for i in range(3):
        for j in range(3):
            corners = np.stack(
                [latent.path + p * axes[i] + q * axes[j] for p, q in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
            )
            values = off_the_path(latent, theta, corners)
            expected = -np.array([1.0, -1.0, -1.0, 1.0]) @ values / (4 * step**2)
            np.testing.assert_allclose(found[:, i, j], expected, rtol=1e-3, atol=1e-3 * np.abs(found).max())
    pull = np.einsum("cij,cj->ci", seen.bend[0], latent.path[:, -3:])
    np.testing.assert_allclose(seen.pull[0], pull)  # about the path, not about zero


def test_a_hollow_likelihood_is_not_taken_at_its_word():
    """Bends stay above what would lead far away; what was learnt is added to them."""
    latent = latent_of(part_of("traffic"))
    latent.moved(0.5 * np.random.default_rng(4).standard_normal(latent.path.shape))
    theta = latent.theta(effects(latent, 8)[0])
    before = latent.seen(theta, bent=True)
    assert np.linalg.eigvalsh(before.bend).min() > module.HOLLOW - 1e-9
    bend, pull = np.tile(0.3 * np.eye(3), (2, 1, 1)), np.ones((2, 3))
    latent.learn(bend, pull)
    after = latent.seen(theta, bent=True)
    np.testing.assert_allclose(after.bend - before.bend, np.broadcast_to(bend, before.bend.shape))
    np.testing.assert_allclose(after.pull - before.pull, 1.0)


@pytest.mark.parametrize(
    ("scale", "law"),
    [
        (Scale("x", "gamma", 4.0), gamma(2.0, scale=0.25)),
        (Scale("x", "half", 0.4), halfnorm(scale=0.4)),
        (Scale("x", "normal", -1.0, 0.3), None),
    ],
)
def test_scores_are_normal_under_the_prior(scale: Scale, law: Any):
    """The cdf of a scale is the normal cdf of its score, far out on both sides too."""
    score = np.array([-12.0, -7.0, -3.0, -0.4, 0.0, 1.3, 4.0, 7.5])
    log_value = scale.at(score)
    assert (np.diff(log_value) > 0).all()
    if law is None:
        np.testing.assert_allclose(log_value, -1.0 + 0.3 * score)
        return
    np.testing.assert_allclose(law.logcdf(np.exp(log_value)), norm.logcdf(score), rtol=1e-6)
    np.testing.assert_allclose(law.logsf(np.exp(log_value)), norm.logsf(score), rtol=1e-6)


def test_dates_tell_where_the_delay_is():
    """The first round looks there: at the mean and sd of the delay by the ages of dated moves alone."""
    latent = latent_of(part_of("cohort"))
    mean, sd = latent.first_scores()
    assert (mean[:5] == 0).all()
    assert (sd[:5] == 1).all()
    grid = np.stack(np.meshgrid(np.linspace(-6, 6, 241), np.linspace(-6, 6, 241)), axis=-1).reshape(-1, 2)
    theta = np.zeros((len(grid), len(latent.scales)))
    prior = latent.data["delay_prior"]
    theta[:, 5:7] = prior[::2] + prior[1::2] * grid
    log_weights = latent.told(theta) - 0.5 * (grid**2).sum(axis=1)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    middle = weights @ grid
    np.testing.assert_allclose(mean[5:7], middle, atol=0.05)
    spread = np.sqrt(weights @ (grid - middle) ** 2)
    assert (sd[5:7] > spread).all()
    assert (sd[5:7] < 2.0 * spread).all()
