"""The density that chains walk on: that of the part in white coordinates, with its gradient."""

from __future__ import annotations

import numpy as np
import pytest
from part_fixture import KINDS, part_of
from posterior_fixture import Array

from forecast.fit.weighed import middle_of
from forecast.fit.whitened import Whitened

every_kind = pytest.mark.parametrize(("kind", "channels"), [*((kind, 2) for kind in KINDS), ("traffic", 1)])


def made(kind: str, channels: int) -> Whitened:
    """The density of a small part."""
    return Whitened(*middle_of(part_of(kind, channels), seed=1))


def at_random(density: Whitened, points: int, sd: float) -> Array:
    """Points about the middle."""
    return np.random.default_rng(2).normal(0.0, sd, (points, density.size))


@every_kind
def test_the_gradient_is_that_of_the_density(kind: str, channels: int):
    """By differences, in every coordinate, and the value itself."""
    density = made(kind, channels)
    for z in at_random(density, 2, 0.5):
        value, gradient = density(z)
        assert value == pytest.approx(density.log_densities(z[None])[0])
        step = 1e-5 * np.eye(density.size)
        expected = (density.log_densities(z + step) - density.log_densities(z - step)) / 2e-5
        np.testing.assert_allclose(gradient, expected, atol=2e-4 * max(np.abs(expected).max(), 1.0))


@every_kind
def test_the_density_is_that_of_scores_and_effects(kind: str, channels: int):
    """N(0, I) in both times the likelihood, times the determinant of what leads there from white coordinates."""
    density = made(kind, channels)
    latent, points = density.latent, at_random(density, 4, 1.0)
    scores, theta, x, _ = density.effects(points)
    a, b = density.split(x)
    ones = np.ones(len(points), dtype=np.int64)
    u = latent.coordinates(latent.sds(theta), ones, a, b)
    told = latent.log_likelihood(theta, ones, u).sum(axis=1) + latent.told(theta)
    plain = told - 0.5 * (scores**2).sum(axis=1) - 0.5 * (x**2).sum(axis=1)
    volume = []
    for z in points:
        moved = []
        for side in (1e-5, -1e-5):
            v, _, effects, _ = density.effects(z + side * np.eye(density.size))
            moved.append(np.concatenate([v, effects], axis=1))
        volume.append(np.linalg.slogdet((moved[0] - moved[1]) / 2e-5)[1])
    gap = density.log_densities(points) - plain - np.array(volume)
    np.testing.assert_allclose(gap, gap[0], atol=1e-4)


@every_kind
def test_white_coordinates_are_near_white(kind: str, channels: int):
    """Near the middle the density falls as that of N(0, I): along most directions within a factor of two."""
    density = made(kind, channels)
    middle = np.zeros((1, density.size))
    step = 0.5 * np.eye(density.size)
    here = density.log_densities(middle)
    bend = -(density.log_densities(step) - 2.0 * here + density.log_densities(-step)) / 0.25
    assert np.median(bend) == pytest.approx(1.0, abs=0.3)
    assert (np.abs(np.log2(np.maximum(bend, 1e-3))) < 1.0).mean() > 0.75


def test_where_there_is_no_density_a_chain_turns_back():
    """Far out nothing raises: minus infinity, or a finite number."""
    density = made("calendar", 2)
    value, gradient = density(np.full(density.size, 1e3))
    assert not value > 0
    assert np.isfinite(gradient).all()


def test_a_copy_looks_for_itself():
    """Chains side by side: where one looks moves nothing of another's."""
    density = made("traffic", 2)
    one, two = density.copy(), density.copy()
    z = at_random(density, 2, 0.5)
    alone = one(z[0])
    two(z[1])
    again = one(z[0])
    assert alone[0] == again[0]
    assert (alone[1] == again[1]).all()
