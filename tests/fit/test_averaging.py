"""Scales averaged over points: against conjugate answers."""

from __future__ import annotations

import numpy as np
import pytest
from posterior_fixture import Array

from forecast.fit.averaging import average

PRIOR = np.array([[0.5, -1.0], [1.0, 0.5]])  # means, sds


def posterior_of(seen: Array, error: Array) -> tuple[Array, Array]:
    """Mean and sd of normal logs seen with a normal error."""
    precision = PRIOR[1] ** -2 + error**-2
    return (PRIOR[0] / PRIOR[1] ** 2 + seen / error**2) / precision, precision**-0.5


@pytest.mark.parametrize("error", [(0.3, 0.2), (3.0, 0.1)])
def test_weights_of_scales_are_a_posterior(error: tuple[float, float]):
    """A normal likelihood of the log of each scale: mean and sd of the average are the conjugate ones."""
    seen, errors = np.array([1.6, -0.4]), np.array(error)

    def log_evidence(points: Array) -> Array:
        return np.asarray(-0.5 * ((points - seen) / errors) ** 2).sum(axis=1)

    points, weights = average(PRIOR, log_evidence)
    mean, sd = posterior_of(seen, errors)
    assert weights.sum() == pytest.approx(1.0)
    found = weights @ points
    assert (np.abs(found - mean) < 0.12 * sd).all()
    np.testing.assert_allclose(np.sqrt(weights @ (points - found) ** 2), sd, rtol=0.15)


def test_what_tells_nothing_leaves_the_prior():
    """And the points are the same each time: there is no chance in them."""
    points, weights = average(PRIOR, lambda points: np.zeros(len(points)))
    found = weights @ points
    assert (np.abs(found - PRIOR[0]) < 0.12 * PRIOR[1]).all()
    np.testing.assert_allclose(np.sqrt(weights @ (points - found) ** 2), PRIOR[1], rtol=0.15)
    np.testing.assert_array_equal(points, average(PRIOR, lambda points: np.zeros(len(points)))[0])
