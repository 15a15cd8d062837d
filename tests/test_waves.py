"""Walks in waves: the law of a random walk less its mean, in coordinates that change no draw's distribution."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.equations import coordinates, onto_waves, walk_waves, walks, waves_centred


@pytest.mark.parametrize("periods", [2, 3, 7, 36])
def test_waves_have_the_covariance_of_a_walk_less_its_mean(periods: int):
    """sum_k b_k b_k' = M S S' M, S the cumulative sum and M the taking of the mean."""
    less_mean = np.eye(periods) - 1.0 / periods
    walk = less_mean @ np.tril(np.ones((periods, periods)))[:, 1:]
    basis = walk_waves(periods)
    assert basis.T @ basis == pytest.approx(walk @ walk.T, abs=1e-12)
    assert basis.sum(axis=1) == pytest.approx(0.0, abs=1e-12)


def test_a_single_period_stands_still():
    """One wave of zeros, not centred."""
    assert walk_waves(1).tolist() == [[0.0]]
    common, own = waves_centred(np.array([0.1, 0.1]), np.full((1, 2), 50.0), np.ones(1))
    assert common.tolist() == [0.0]
    assert own.tolist() == [[0.0, 0.0]]


def test_the_same_walk_in_other_coordinates():
    """r = sigma^v a / sigma and s = tau^w o / tau + w a give a and o back, whatever the weights; so do steps."""
    rng = np.random.default_rng(4)
    drift, own_drift = rng.uniform(0.01, 0.2, (2, 3)), rng.uniform(0.01, 0.2, (2, 3))
    a, o = rng.normal(0.0, 0.1, (2, 3, 7)), rng.normal(0.0, 0.1, (2, 3, 7, 4))
    v, w = rng.uniform(0.0, 1.0, 7), rng.uniform(0.0, 1.0, (7, 4))
    draws = {
        "drift": drift,
        "own_drift": own_drift,
        "waves": a * drift[..., None] ** (v - 1.0),
        "own_waves": o * own_drift[..., None, None] ** (w - 1.0) + w * a[..., None],
    }
    common, own = walks(draws, {"walk_centred": v, "own_centred": w, "y": np.zeros((8, 4))})
    basis = walk_waves(8)
    assert common == pytest.approx(a @ basis)
    assert own == pytest.approx(np.einsum("xykc,kt->xytc", o, basis))
    steps, apart = rng.normal(size=8), rng.normal(size=(8, 4))
    data = {"walk_centred": v, "own_centred": w, "y": np.zeros((8, 4))}
    sampled = coordinates(steps, apart, (0.1, 0.2), data)
    common, own = walks(sampled | {"drift": np.array(0.1), "own_drift": np.array(0.2)}, data)
    assert np.diff(common) == pytest.approx(steps[1:])
    assert np.diff(own, axis=0) == pytest.approx(apart[1:])
    assert common.mean() == pytest.approx(0.0, abs=1e-12)


def test_the_season_moves_the_centres_and_not_the_walks():
    """Walks come back from coordinates taken beside a season; centred all the way, they are the sum with its waves."""
    rng = np.random.default_rng(5)
    steps, apart, basis = rng.normal(size=8), rng.normal(size=(8, 4)), rng.normal(size=(8, 2))
    season = {"season_sd": np.array(0.3), "season": rng.normal(size=2)}
    data = {
        "walk_centred": rng.uniform(0.0, 1.0, 7),
        "own_centred": rng.uniform(0.0, 1.0, (7, 4)),
        "season_centred": np.array(0.5),
        "season_waves": onto_waves(basis),
        "y": np.zeros((8, 4)),
    }
    for given in (data, data | {"walk_centred": np.ones(7), "own_centred": np.ones((7, 4))}):
        sampled = coordinates(steps, apart, (0.1, 0.2), given, season)
        scales = {"drift": np.array(0.1), "own_drift": np.array(0.2)}
        common, own = walks(sampled | scales | season, given)
        assert np.diff(common) == pytest.approx(steps[1:])
        assert np.diff(own, axis=0) == pytest.approx(apart[1:])
    path = common + 0.3**0.5 * basis @ season["season"]
    assert sampled["waves"] @ walk_waves(8) == pytest.approx(path - path.mean())


def test_waves_are_centred_by_what_the_data_say():
    """Nothing known: not at all. Much known: nearly all the way, slow waves before fast ones, blurred ones less."""
    drift, once = np.array([0.05, 0.02]), np.ones(1)
    common, own = waves_centred(drift, np.zeros((24, 2)), once)
    assert not common.any()
    assert not own.any()
    precision = np.tile([1.0, 1e6], (24, 1))
    common, own = waves_centred(drift, precision, once)
    assert (np.diff(own, axis=0) < 0).all()
    assert (own[:, 1] > 0.98).all()
    assert own[-1, 0] < 0.01
    assert ((common > 0) & (common < 1)).all()
    blurred_common, blurred = waves_centred(drift, precision, np.array([0.5, 0.3, 0.2]))
    assert (blurred < own).all()
    assert (blurred_common < common).all()
