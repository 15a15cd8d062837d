"""Walks in waves: the law of a random walk less its mean, in coordinates that change no draw's distribution."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.equations import (
    TREND,
    common_sds,
    coordinates,
    fading,
    onto_waves,
    slopes,
    steepness,
    trend_waves,
    walk_waves,
    walks,
    waves_centred,
    without_shocks,
)


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
    common, own = waves_centred(np.array([0.1, 0.1]), np.full((1, 2), 50.0), walk_waves(1))
    assert common.tolist() == [0.0]
    assert own.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("periods", [2, 3, 7, 36])
def test_a_trend_costs_no_wave(periods: int):
    """A walk and a steady rise together: covariances add up, in as many orthogonal waves as the walk alone has."""
    time, steep = np.arange(periods) - (periods - 1) / 2, 0.25
    walk, basis = walk_waves(periods), trend_waves(periods, steep)
    assert basis.shape == walk.shape
    assert basis.T @ basis == pytest.approx(walk.T @ walk + steep**2 * np.outer(time, time), abs=1e-10)
    across = basis @ basis.T
    assert across == pytest.approx(np.diag(np.diag(across)), abs=1e-10)
    assert (np.diff(np.diag(across)) < 0).all()
    assert basis.sum(axis=1) == pytest.approx(0.0, abs=1e-10)
    assert trend_waves(periods, 0.0) == pytest.approx(walk, abs=1e-10)


def test_a_single_period_has_no_trend():
    """One wave of zeros; its slope is what the prior says."""
    basis = trend_waves(1, 0.25)
    assert basis.tolist() == [[0.0]]
    z = np.array([-1.0, 2.0])
    assert slopes(np.zeros((2, 1)), np.full(2, 0.1), z, basis, 0.25) == pytest.approx(0.025 * z)


@pytest.mark.parametrize("periods", [2, 5, 24])
def test_slopes_are_drawn_given_the_path(periods: int):
    """Mean and sd of b | l from the joint covariance of slope and path, written out whole."""
    rng, steep, drift = np.random.default_rng(6), 0.3, np.array([0.05, 0.2])
    time, basis = np.arange(periods) - (periods - 1) / 2, trend_waves(periods, 0.3)
    paths = rng.normal(size=(2, len(basis))) @ basis
    pull = (
        steep**2
        * time
        @ np.linalg.pinv(walk_waves(periods).T @ walk_waves(periods) + steep**2 * np.outer(time, time))
    )
    middle = slopes(paths, drift, np.zeros(2), basis, steep)
    assert middle == pytest.approx(paths @ pull)
    left = drift * np.sqrt(steep**2 - steep**2 * pull @ time)
    assert slopes(paths, drift, np.ones(2), basis, steep) - middle == pytest.approx(left)


def test_a_straight_line_has_nearly_its_slope_and_a_short_one_little_of_it():
    """What a walk alone could have made is taken off: of three years a tenth, of half a year nearly half."""

    def share(periods: int) -> float:
        line = 0.05 * (np.arange(periods) - (periods - 1) / 2)
        return float(slopes(line, np.array(0.05), np.array(0.0), trend_waves(periods, 0.5), 0.5)) / 0.05

    assert 0.85 < share(36) < 0.95
    assert 0.5 < share(6) < 0.6
    assert (np.diff([share(t) for t in (2, 6, 12, 24, 36, 60)]) > 0).all()


def test_a_trend_is_the_same_by_months_and_by_quarters():
    """Over a year: the slope before data are seen, and what is left of it later."""
    of_year = {"month": 12, "quarter": 4, "week": 52}
    step = {
        kind: (12 / n) ** 0.5 for kind, n in of_year.items()
    }  # sd of a period's step over that of a month's
    yearly = [steepness(kind) * step[kind] * n for kind, n in of_year.items()]
    assert yearly == pytest.approx([12 * TREND] * 3)
    assert fading(3, "month") == pytest.approx([0.9, 1.71, 2.439])
    left = [np.diff(fading(n + 1, kind))[-1] / fading(1, kind)[0] for kind, n in of_year.items()]
    assert left == pytest.approx([0.9**12] * 3)


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
    common, own = walks(draws, {"walk_centred": v, "own_centred": w, "basis": walk_waves(8)})
    basis = walk_waves(8)
    assert common == pytest.approx(a @ basis)
    assert own == pytest.approx(np.einsum("xykc,kt->xytc", o, basis))
    steps, apart = rng.normal(size=8), rng.normal(size=(8, 4))
    for waves in (basis, trend_waves(8, 0.25)):
        data = {"walk_centred": v, "own_centred": w, "basis": waves}
        sampled = coordinates(steps, apart, (0.1, 0.2, 0.15), data)
        common, own = walks(
            sampled | {"drift": np.array(0.1), "own_drift": np.array(0.2), "shock": np.array(0.15)}, data
        )
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
        "season_waves": onto_waves(basis, walk_waves(8)),
        "basis": walk_waves(8),
    }
    for given in (data, data | {"walk_centred": np.ones(7), "own_centred": np.ones((7, 4))}):
        sampled = coordinates(steps, apart, (0.1, 0.2, 0.15), given, season)
        scales = {"drift": np.array(0.1), "own_drift": np.array(0.2), "shock": np.array(0.15)}
        common, own = walks(sampled | scales | season, given)
        assert np.diff(common) == pytest.approx(steps[1:])
        assert np.diff(own, axis=0) == pytest.approx(apart[1:])
    path = common + 0.3**0.5 * basis @ season["season"]
    assert sampled["waves"] @ walk_waves(8) == pytest.approx(path - path.mean())


def test_waves_are_centred_by_what_the_data_say():
    """Nothing known: not at all. Much known: nearly all the way, slow waves before fast ones."""
    drift, waves = np.array([0.05, 0.02]), walk_waves(24)
    common, own = waves_centred(drift, np.zeros((24, 2)), waves)
    assert not common.any()
    assert not own.any()
    precision = np.tile([1.0, 1e6], (24, 1))
    common, own = waves_centred(drift, precision, waves)
    assert (np.diff(own, axis=0) < 0).all()
    assert (own[:, 1] > 0.98).all()
    assert own[-1, 0] < 0.01
    assert ((common > 0) & (common < 1)).all()


@pytest.mark.parametrize("periods", [2, 7, 36])
def test_shocks_cost_no_wave(periods: int):
    """A walk and shocks less their mean together: covariances add up, in the waves of the walk, with a trend or not."""
    less_mean = np.eye(periods) - 1.0 / periods
    for basis in (walk_waves(periods), trend_waves(periods, 0.25)):
        sds = common_sds(0.1, 0.3, basis)
        together = 0.01 * basis.T @ basis + 0.09 * less_mean
        assert (basis.T * sds**2) @ basis == pytest.approx(together, abs=1e-10)
    assert common_sds(np.array([0.1, 0.2]), np.zeros(2), basis) == pytest.approx(
        np.outer([0.1, 0.2], np.ones(periods - 1))
    )


def test_walks_are_drawn_of_what_they_make_with_shocks():
    """The law of a walk given its sum with shocks: mean C (C + S)^-1 y and covariance C - C (C + S)^-1 C."""
    periods, drift, shock = 6, 0.2, 0.3
    basis, rng = walk_waves(periods), np.random.default_rng(7)
    less_mean = np.eye(periods) - 1.0 / periods
    walk = drift**2 * basis.T @ basis
    gain = walk @ np.linalg.pinv(walk + shock**2 * less_mean)
    seen = less_mean @ rng.normal(size=periods)
    draws = 40_000
    given = np.tile(seen, (draws, 1)), np.full(draws, drift), np.full(draws, shock)
    found = without_shocks(*given, rng.normal(size=(draws, periods - 1)), basis)
    spread = walk - gain @ walk
    error = np.sqrt(np.diag(spread) / draws)
    assert (np.abs(found.mean(axis=0) - gain @ seen) < 4.5 * error).all()
    assert np.cov(found.T) == pytest.approx(spread, abs=5.0 * np.diag(spread).max() / np.sqrt(draws))
    still = without_shocks(seen[None], np.ones(1), np.zeros(1), rng.normal(size=(1, periods - 1)), basis)
    assert still[0] == pytest.approx(seen)
