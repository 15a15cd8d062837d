"""Paths read back from sampled coordinates are those that were put into them."""

from __future__ import annotations

import numpy as np
import pytest
from part_fixture import PERIODS, part_of
from posterior_fixture import Array
from scipy.special import expit

from forecast.equations import acting_spend, coordinates, response
from forecast.fit.paths import logit_rates, reference_path, season_weights, traffic_path


def steps(channels: int) -> tuple[Array, Array]:
    """Steps of the common walk and of the channels' own, the first of which move nothing."""
    rng = np.random.default_rng(5)
    common, own = rng.normal(0.0, 0.1, PERIODS), rng.normal(0.0, 0.2, (PERIODS, channels))
    common[0], own[0] = 0.0, 0.0
    return common, own


def about_zero(moved: Array) -> Array:
    """Walks of these steps, less their mean over the periods."""
    path = np.cumsum(moved, axis=0)
    return np.asarray(path - path.mean(axis=0))


@pytest.mark.parametrize(("kind", "channels"), [("calendar", 2), ("cohort", 2), ("calendar", 1)])
def test_logit_rates_are_level_and_walks(kind: str, channels: int):
    """However far levels and walks are centred; of one channel the company's level is its own."""
    data = part_of(kind, channels).data
    w, (common, own) = data["centred"], steps(channels)
    mu, tau, level = -1.2, 0.5, np.array([-0.9, -2.0])[:channels]
    walks = coordinates(common, own, (0.1, 0.2, 0.15), data)
    raw = (level - mu) / tau ** (1.0 - w) + w * mu
    scales = {"mu": mu, "tau": tau, "drift": 0.1, "own_drift": 0.2, "shock": 0.15}
    draws = {name: np.full((2, 3), value) for name, value in scales.items()}
    draws |= {k: np.broadcast_to(v, (2, 3, *v.shape)) for k, v in {**walks, "level_raw": raw}.items()}
    expected = (level if channels > 1 else mu) + about_zero(common)[:, None] + about_zero(own)
    np.testing.assert_allclose(logit_rates(draws, data), np.broadcast_to(expected, (2, 3, *expected.shape)))


def test_paths_of_traffic_are_level_season_walks_days_and_response():
    """At reference spend, and with the response to what acts in each period."""
    data, (common, own) = part_of("traffic").data, steps(2)
    w = data["season_centred"]
    weights = np.array([0.2, -0.1, 0.05, 0.02])[: data["season_basis"].shape[1]]
    draws = {"season_sd": np.array([0.3]), "season": weights[None] / 0.3 ** (1.0 - w)}
    np.testing.assert_allclose(season_weights(draws, data), weights[None])
    given = {"season_sd": 0.3, "season": draws["season"][0]}
    walks = coordinates(common, own, (0.1, 0.2, 0.15), data, given)
    level = np.array([6.5, 6.0])
    draws |= {
        "level": level[None],
        "drift": np.array([0.1]),
        "own_drift": np.array([0.2]),
        "shock": np.array([0.15]),
    }
    draws |= {name: value[None] for name, value in walks.items()}
    shared = data["season_basis"] @ weights + about_zero(common) + data["log_days"]
    plain = level + shared[:, None] + about_zero(own)
    np.testing.assert_allclose(reference_path(draws, data)[0], plain)
    z = {f"z_{name}": np.array([[0.5, -0.8]]) for name in ("elasticity", "base", "carry")}
    beta, base, carry = (
        expit(data[f"{name}_prior"][0] + data[f"{name}_prior"][1] * z[f"z_{name}"][0])
        for name in ("elasticity", "base", "carry")
    )
    acting = acting_spend(carry * data["carries"], data["spend_lags"])
    found = traffic_path(draws | z, data)[0]
    np.testing.assert_allclose(found, plain + data["responds"] * np.log(response(acting, beta, base)))
    assert np.abs(found - plain).max() > 0.1
