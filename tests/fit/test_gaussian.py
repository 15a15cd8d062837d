"""The two-level Gaussian against the same model in one matrix; weights of draws."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from posterior_fixture import Array

from forecast.fit.gaussian import Rows, Solved, points_drawn, solve, tempered

SETTINGS, CHANNELS, ROWS, COLUMNS = 2, 3, 5, 4
SIDES = slice(0, 3), slice(1, 4)  # the second and third column have common effects and own ones
BENDS = 2


class Model(NamedTuple):
    """What `solve` takes."""

    seen: Rows
    path: Array
    sds: tuple[Array, Array]

    def solved(self) -> Solved:
        """Its answer."""
        return solve(self.seen, self.path, SIDES, self.sds)


@pytest.fixture(scope="module")
def model() -> Model:
    """Two settings, three channels, five rows, one of which is blank; bends and pulls of the last two columns."""
    rng = np.random.default_rng(3)
    curvature = rng.uniform(0.5, 3.0, (SETTINGS, CHANNELS, ROWS))
    score = rng.normal(size=curvature.shape)
    curvature[:, 1, 2] = score[:, 1, 2] = 0.0
    bend = rng.normal(size=(SETTINGS, CHANNELS, BENDS, BENDS))
    bend = 0.3 * bend @ bend.swapaxes(-1, -2) - 0.2 * np.eye(BENDS)
    rows = rng.normal(size=(SETTINGS, CHANNELS, ROWS, COLUMNS))
    seen = Rows(rows, curvature, score, bend, rng.normal(size=(SETTINGS, CHANNELS, BENDS)))
    sds = rng.uniform(0.3, 1.5, (SETTINGS, 3)), rng.uniform(0.3, 1.5, (SETTINGS, 3))
    return Model(seen, rng.normal(size=(CHANNELS, COLUMNS)), sds)


def dense(model: Model, g: int) -> tuple[Array, Array]:
    """Mean and precision of all effects (a, b_1, b_2, ...) of one setting, by adding up what each row says."""
    seen, path, (common, own) = model
    size = 3 * (1 + CHANNELS)
    precision, line = np.eye(size), np.zeros(size)
    for c in range(CHANNELS):
        put = np.zeros((COLUMNS, size))  # u_c = put @ effects
        put[SIDES[0], :3] = np.diag(common[g])
        put[SIDES[1], 3 * (1 + c) : 3 * (2 + c)] = np.diag(own[g])
        for row, h, s in zip(
            seen.rows[g % len(seen.rows), c], seen.curvature[g, c], seen.score[g, c], strict=True
        ):
            moves = row @ put
            precision += h * np.outer(moves, moves)
            line += (s + h * row @ path[c]) * moves
        if bends := seen.pull.shape[-1]:
            precision += put[-bends:].T @ seen.bend[g, c] @ put[-bends:]
            line += seen.pull[g, c] @ put[-bends:]
    return np.linalg.solve(precision, line), precision


def straight(model: Model) -> Model:
    """The same without bends, and with rows that all settings share."""
    none = np.zeros((SETTINGS, CHANNELS, 0, 0)), np.zeros((SETTINGS, CHANNELS, 0))
    return model._replace(seen=replace(model.seen, rows=model.seen.rows[:1], bend=none[0], pull=none[1]))


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("setting", range(SETTINGS))
def test_means_and_determinant_are_those_of_the_dense_model(model: Model, setting: int, *, bent: bool):
    """Channel by channel or all in one matrix: the same means, and root of the precision's determinant."""
    given = model if bent else straight(model)
    solved, (mean, precision) = given.solved(), dense(given, setting)
    found = np.concatenate([solved.a[setting], solved.b[setting].ravel()])
    np.testing.assert_allclose(found, mean, rtol=1e-9, atol=1e-12)
    assert solved.log_root[setting] == pytest.approx(0.5 * np.linalg.slogdet(precision)[1], rel=1e-12)


def test_draws_have_mean_and_covariance_of_the_dense_model(model: Model):
    """Common effects, then those of each channel given them: to Monte Carlo error, all pairs together."""
    solved, (mean, precision) = model.solved(), dense(model, 1)
    rng, draws = np.random.default_rng(1), 40_000
    a = solved.common(1, rng.standard_normal((draws, 3)))
    own = [solved.own(1, c, a, rng.standard_normal((draws, 3))) for c in range(CHANNELS)]
    joined, cov = np.concatenate([a, *own], axis=1), np.linalg.inv(precision)
    sd = np.sqrt(np.diag(cov))
    assert (np.abs(joined.mean(axis=0) - mean) < 5 * sd / np.sqrt(draws)).all()
    assert (np.abs(np.cov(joined.T) - cov) < 5 * np.sqrt(2.0 / draws) * np.outer(sd, sd)).all()


def test_standard_numbers_of_zero_are_the_means(model: Model):
    """And each own effect depends on its number and on those after it alone."""
    solved = model.solved()
    a = solved.common(0, np.zeros((1, 3)))
    np.testing.assert_allclose(a[0], solved.a[0], rtol=1e-12)
    np.testing.assert_allclose(solved.own(0, 2, a, np.zeros((1, 3)))[0], solved.b[0, 2], rtol=1e-9)
    one, two = (solved.own(0, 2, a, np.array([[first, 0.4, -1.0]]))[0] for first in (0.0, 2.0))
    np.testing.assert_array_equal(one[1:], two[1:])
    assert one[0] != two[0]


@pytest.mark.parametrize("where", ["own", "common"])
def test_a_setting_without_a_gaussian_is_told(model: Model, where: str):
    """A bend that outweighs prior and rows leaves none, of a channel alone or of what all share; others stand."""
    bend, (common, own) = model.seen.bend.copy(), model.sds
    bend[0, 1] -= 400.0 * np.eye(BENDS)
    if where == "common":
        own = own.copy()
        own[0, 1:] = 1e-6
    given = model._replace(seen=replace(model.seen, bend=bend), sds=(common, own))
    found = given.solved()
    assert np.isnan(found.log_root).tolist() == [True, False]
    assert found.log_root[1] == model.solved().log_root[1]


def test_single_settings_of_solutions_are_one(model: Model):
    """In the order asked for."""
    solved = model.solved()
    picked = Solved.picked([(solved, 1), (solved, 0), (solved, 1)])
    np.testing.assert_array_equal(picked.b, solved.b[[1, 0, 1]])
    np.testing.assert_array_equal(picked.log_root, solved.log_root[[1, 0, 1]])
    assert picked.size * SETTINGS == solved.size * 3


def test_shares_sum_to_the_draws():
    """No draw is lost by rounding, and no share is off by more than one."""
    weights = np.random.default_rng(1).dirichlet(np.full(64, 0.3))
    for draws in (1, 7, 400, 4000):
        counts = points_drawn(weights, draws)
        assert counts.sum() == draws
        assert (np.abs(counts - draws * weights) <= 1).all()


def test_weights_are_flattened_until_enough_points_count():
    """As they come where that is enough; order kept; what is impossible counts for nothing."""
    log_weights = np.array([-np.inf, np.nan, *np.linspace(-60.0, 0.0, 62)])
    for least in (1.0, 20.0, 40.0):
        weights = tempered(log_weights, least=least)
        assert weights.sum() == pytest.approx(1.0)
        assert 1.0 / (weights**2).sum() >= least
        assert (np.diff(weights[2:]) >= 0).all()
        assert weights[:2].max() < 1e-9
    alike = tempered(np.zeros(64), least=60.0)
    np.testing.assert_allclose(alike, 1 / 64)
    mild = np.random.default_rng(2).normal(0.0, 0.3, 64)
    np.testing.assert_allclose(tempered(mild, least=10.0), np.exp(mild) / np.exp(mild).sum())
