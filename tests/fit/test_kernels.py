"""The hand-written kernels say the same as the PyMC models: log density up to one constant, and gradient."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pymc as pm
import pytensor
import pytest
from pytensor.compile.mode import Mode
from scipy.special import digamma, gammaln
from scipy.stats import betabinom

from forecast.equations import trend_waves, walk_waves
from forecast.fit.kernels import native
from forecast.fit.kernels import special as gamma_kernels
from forecast.fit.kernels.traffic import traffic_kernel, value_kernel
from forecast.fit.kernels.transition import transition_kernel
from forecast.fit.model import traffic_model, transition_model, value_model
from forecast.fit.parts import Part
from forecast.fit.points import sizes_of
from forecast.fit.sampling import log_density

PERIODS, CHANNELS, AGES = 8, 3, 10
Data = dict[str, np.ndarray]
AS_WRITTEN = Mode(linker="py", optimizer=None)


def coordinates() -> Data:
    """Walks of every centring."""
    rng = np.random.default_rng(13)
    return {
        "walk_centred": rng.uniform(0.0, 1.0, PERIODS - 1),
        "own_centred": rng.uniform(0.0, 1.0, (PERIODS - 1, CHANNELS)),
        "basis": walk_waves(PERIODS),
    }


def transition(*, delayed: bool, calendar: bool) -> Data:
    """Random counts with a blank cell, a zero and channels of every centring; a triangle's sums where not calendar."""
    rng = np.random.default_rng(11)
    n = rng.poisson(60, (PERIODS, CHANNELS)).astype(float)
    y = rng.binomial(n.astype(int), 0.25).astype(float)
    y[2, 1] = 0.0
    weight = np.ones((PERIODS, CHANNELS))
    weight[4, 0] = 0.0
    age_weights = np.zeros((PERIODS, AGES))
    by_age, by_cohort = np.zeros(AGES), np.zeros(AGES)
    if not calendar:
        age_weights = 0.7 * np.eye(PERIODS, AGES) + 0.3 * np.eye(PERIODS, AGES, k=1)
        by_age, by_cohort = rng.poisson(9, AGES).astype(float), rng.poisson(9, AGES).astype(float)
    return {
        "n": n,
        "y": y,
        "weight": weight,
        "mu_prior": np.array([-1.1, 0.5]),
        "centred": np.array([0.0, 0.6, 1.0]),
        "drift_prior": np.array([25.0, 40.0]),
        **coordinates(),
        "noise_prior": np.array(10.0),
        "delay_prior": np.array([np.log(1.5), 0.3, np.log(0.8), 0.2]),
        "delayed": np.array(float(delayed)),
        "age_weights": age_weights,
        "by_age": by_age,
        "by_cohort": by_cohort,
        "early": n[:6].mean(axis=0),
    }


def lifts(tests: int) -> Data:
    """More spend and less, with carry-over under way and done with, and all spend gone."""
    share, age = np.zeros((3, PERIODS)), np.zeros((3, PERIODS))
    for row, (start, length) in enumerate(((2, 3), (0, 1), (PERIODS - 2, 2))):
        share[row, start : start + length] = 1.0 / length
        age[row, start : start + length] = np.arange(1, length + 1)
    age[2, -1] = 4.0
    return {
        "lift_channel": np.array([0.0, 2.0, 0.0])[:tests],
        "lift_share": share[:tests],
        "lift_age": age[:tests],
        "lift_spend": np.array([[1.0, 0.7], [0.9, -0.9], [1.3, -0.4]])[:tests],
        "lift": np.array([60.0, -80.0, 5.0])[:tests],
        "lift_sd": np.array([15.0, 30.0, 8.0])[:tests],
    }


def traffic(*, carry: bool, tuned: bool, tests: int = 0) -> Data:
    """Three channels, one without spend and one with blank cells; carry-over, tuned budget, lift tests on demand."""
    rng = np.random.default_rng(12)
    lags = 4
    spend = rng.lognormal(0.0, 0.3, (lags, PERIODS, CHANNELS))
    spend[:, :, 1] = 0.0
    spend[0, 3, 2] = 0.0
    weight = np.ones((PERIODS, CHANNELS))
    weight[3, 1] = weight[PERIODS - 1, 2] = 0.0
    pays = np.array([1.0, 0.0, 1.0])
    return {
        "y": rng.poisson(300, (PERIODS, CHANNELS)).astype(float),
        "weight": weight,
        "level_prior": np.array(5.5),
        "responds": pays,
        "spend_lags": spend,
        "elasticity_prior": np.array([[0.4] * 3, [0.7] * 3]),
        "base_prior": np.array([[-1.0] * 3, [0.7] * 3]),
        "carries": np.array([1.0, 0.0, 1.0]) * carry,
        "carry_prior": np.array([[0.2] * 3, [0.5] * 3]),
        "season_basis": rng.normal(0.0, 1.0, (PERIODS, 2)),
        "log_days": rng.normal(0.0, 0.05, PERIODS),
        "drift_prior": np.array([25.0, 40.0]),
        **coordinates(),
        "basis": trend_waves(PERIODS, 0.5),
        "noise_prior": np.array(8.0),
        "season_centred": np.array(0.5),
        "season_waves": rng.normal(0.0, 1.0, (PERIODS - 1, 2)),
        "spread_prior": np.array([np.log(0.4), 0.8]),
        "log_worth": np.array([1.0, 1.0, 1.5]),
        "log_current": np.array([0.7, 0.0, -0.9]),
        "log_spend": np.array([7.0, 0.0, 8.0]),
        "worth_sd": np.array([0.2, 0.0, 0.4]),
        "tuned": pays * tuned,
        **lifts(tests),
    }


def value() -> Data:
    """Deals of three channels, one of which has none; cells of one, two and three deals."""
    return {
        "deals": np.array([20.0, 5.0, 0.0]),
        "revenue": np.array([1e5, 3e4, 0.0]),
        "deals_log_revenue": np.array([170.0, 45.0, 0.0]),
        "sizes": np.array([1.0, 2.0, 3.0]),
        "size_cells": np.array([10.0, 3.0, 3.0]),
        "level_prior": np.array([8.5, 0.7]),
        "known_level": np.array([8.4, 8.6, 8.5]),
        "known_precision": np.array([60.0, 9.0, 0.0]),
    }


class Definition:
    """A PyMC model compiled once, with data to be swapped: log density and gradient at an unconstrained point."""

    def __init__(self, model: pm.Model, part: Part) -> None:
        self.model, self.sizes = model, sizes_of(part)
        self.names = [v.name for v in model.value_vars]
        self.density = model.compile_logp(mode=AS_WRITTEN)
        self.gradient = model.compile_dlogp(mode=AS_WRITTEN)

    def at(self, data: Mapping[str, np.ndarray], x: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and gradient, in the order of the kernel's point."""
        with self.model:
            pm.set_data(dict(data))
        point, at = {}, 0
        for name, shape in self.sizes:
            size = int(np.prod(shape))
            key = name if name in self.names else f"{name}_log__"
            point[key] = x[at : at + size].reshape(shape)
            at += size
        flat = self.gradient(point)
        pieces, at = {}, 0
        for name in self.names:
            pieces[name] = flat[at : at + point[name].size]
            at += point[name].size
        return float(self.density(point)), np.concatenate([pieces[key] for key in point])


@pytest.fixture(scope="module", autouse=True)
def cheap_compilation() -> Iterator[None]:
    """The graphs are evaluated a few times only: no C compiler, no numba, no rewriting."""
    with pytensor.config.change_flags(cxx="", mode=AS_WRITTEN):
        yield


def agree(definition: Definition, cases: list[Part], *, points: int = 3) -> None:
    """Same log density up to one constant for all cases and points, same gradient."""
    offsets = []
    for k, part in enumerate(cases):
        density = log_density(part)
        rng = np.random.default_rng(100 + k)
        for _ in range(points):
            x = rng.normal(0.0, 0.3, sum(int(np.prod(shape)) for _, shape in definition.sizes))
            ours, gradient = density(x)
            theirs, reference = definition.at(part.data, x)
            offsets.append(ours - theirs)
            assert gradient == pytest.approx(reference, rel=1e-7, abs=1e-6 * np.abs(reference).max())
    assert np.ptp(offsets) < 1e-6


def test_calendar_transition_is_the_model():
    """Counts by calendar period, with a delay and without."""
    cases = [
        Part("x", "x", "calendar", transition(delayed=delayed, calendar=True)) for delayed in (True, False)
    ]
    agree(Definition(transition_model(cases[0].data, calendar=True), cases[0]), cases)


def test_cohort_transition_is_the_model():
    """Cohorts with a triangle of ages, with a delay and without."""
    cases = [
        Part("x", "x", "cohort", transition(delayed=delayed, calendar=False)) for delayed in (True, False)
    ]
    agree(Definition(transition_model(cases[0].data, calendar=False), cases[0]), cases)


def single(data: Data) -> Data:
    """The first channel of a part alone."""
    per_channel = {
        "n",
        "y",
        "weight",
        "centred",
        "own_centred",
        "early",
        "deals",
        "revenue",
        "deals_log_revenue",
        "known_level",
        "known_precision",
    }
    per_channel |= {"responds", "spend_lags", "elasticity_prior", "base_prior", "carries", "carry_prior"}
    per_channel |= {"log_worth", "log_current", "log_spend", "worth_sd", "tuned"}
    return {k: np.ascontiguousarray(v[..., :1]) if k in per_channel else v for k, v in data.items()}


@pytest.mark.slow
def test_a_single_channel_has_no_pool():
    """One channel: its level stands for itself, in rates, traffic and deal value."""
    calendar = Part("x", "x", "calendar", single(transition(delayed=True, calendar=True)))
    agree(Definition(transition_model(calendar.data, calendar=True), calendar), [calendar])
    visits = Part("x", "x", "traffic", single(traffic(carry=True, tuned=True)))
    agree(Definition(traffic_model(visits.data), visits), [visits])
    deals = Part("x", "x", "value", single(value()))
    agree(Definition(value_model(deals.data), deals), [deals])


def test_traffic_is_the_model():
    """With and without carry-over, tuned budget and lift tests; blank cells and a channel without spend."""
    cases = [
        Part("x", "x", "traffic", traffic(carry=carry, tuned=tuned, tests=tests))
        for carry, tuned, tests in ((True, True, 0), (True, False, 3), (False, True, 1), (True, True, 3))
    ]
    agree(Definition(traffic_model(cases[0].data), cases[0]), cases)


def test_deal_value_is_the_model():
    """Sums of deals by cell, a channel without any."""
    part = Part("x", "x", "value", value())
    agree(Definition(value_model(part.data), part), [part], points=5)


PARTS = [
    Part("x", "x", "calendar", transition(delayed=True, calendar=True)),
    Part("x", "x", "cohort", transition(delayed=True, calendar=False)),
    Part("x", "x", "traffic", traffic(carry=True, tuned=True)),
    Part("lift tests", "x", "traffic", traffic(carry=True, tuned=True, tests=3)),
    Part("x", "x", "value", value()),
]
every_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.kind} {part.name}")


@every_part
def test_the_gradient_is_the_slope_of_the_density(part: Part):
    """Along random directions (f(x + h u) - f(x - h u)) / 2h = g . u, also far from the prior's middle."""
    density = log_density(part)
    rng = np.random.default_rng(5)
    size = sum(int(np.prod(shape)) for _, shape in sizes_of(part))
    for scale in (0.1, 0.5, 1.0):
        x, u = rng.normal(0.0, scale, size), rng.normal(0.0, 1.0, size)
        u /= np.linalg.norm(u)
        h = 1e-5
        slope = (density(x + h * u)[0] - density(x - h * u)[0]) / (2 * h)
        gradient = density(x)[1]
        assert gradient @ u == pytest.approx(slope, rel=1e-5, abs=1e-6 * np.abs(gradient).max())


@every_part
def test_the_c_function_is_the_kernel(part: Part):
    """What nutpie calls gives the same bits, and tells where density or gradient are not finite."""
    size = sum(int(np.prod(shape)) for _, shape in sizes_of(part))
    block, logp = native.pack(part.kind, part.data), np.empty(1)
    x, gradient = np.random.default_rng(6).normal(0.0, 0.3, size), np.empty(size)

    def call() -> int:
        addresses = [a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for a in (x, gradient, logp, block)]
        return int(native.LOGP[part.kind].ctypes(size, *addresses))

    assert call() == 0
    value, reference = log_density(part)(x)
    assert logp[0] == value
    assert (gradient == reference).all()
    x[0] = np.nan
    assert call() in (3, 4)


def test_no_kernel_is_compiled_twice():
    """The C functions call what Python calls, also where data may not be written or lie in another order."""
    for part in PARTS:
        given = {k: np.array(v, order="F") for k, v in part.data.items()}
        for v in given.values():
            v.flags.writeable = False
        x = np.zeros(2 * sum(int(np.prod(shape)) for _, shape in sizes_of(part)))
        log_density(replace(part, data=given))(x[::2])
    for kernel in (transition_kernel, traffic_kernel, value_kernel):
        assert len(kernel.overloads) == 1


def test_log_gamma_and_digamma_are_those_of_scipy():
    """Absolute error below 1e-10 of the larger of value and one, from 1e-6 to 1e7, one by one and all at once."""
    x = np.geomspace(1e-6, 1e7, 401)
    single = np.array([gamma_kernels.log_gamma_and_digamma(each) for each in x]).T
    value, slope = np.empty_like(x), np.empty_like(x)
    gamma_kernels.log_gammas(x, value, slope)
    for ours in (single, np.stack([value, slope])):
        assert ours[0] == pytest.approx(gammaln(x), rel=1e-11, abs=1e-10)
        assert ours[1] == pytest.approx(digamma(x), rel=1e-11, abs=1e-10)


def test_exponentials_and_logarithms_are_those_of_numpy():
    """To one part in 1e14; what is not a number stays so."""
    x, y, out = np.linspace(-699.0, 699.0, 1001), np.geomspace(1e-300, 1e300, 1001), np.empty(1001)
    gamma_kernels.exps(x, out)
    assert out == pytest.approx(np.exp(x), rel=1e-14)
    gamma_kernels.logs(y, out)
    assert out == pytest.approx(np.log(y), rel=1e-14, abs=1e-15)
    gamma_kernels.exps(np.array([np.nan]), out[:1])
    assert np.isnan(out[0])


def test_gamma_functions_do_not_know_their_neighbours():
    """The same bits whatever stands beside a number and however many there are."""
    x = np.geomspace(1e-3, 1e4, 37)
    value, slope = np.empty_like(x), np.empty_like(x)
    gamma_kernels.log_gammas(x, value, slope)
    for i in range(len(x)):
        one, two = np.empty(1), np.empty(1)
        gamma_kernels.log_gammas(x[i : i + 1], one, two)
        assert one[0] == value[i]
        assert two[0] == slope[i]


def test_beta_binomial_is_that_of_scipy():
    """With a = p kappa, b = (1 - p) kappa, up to log(n + 1) terms that scipy counts the same way; weights count."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        noise, weight = rng.uniform(0.05, 0.6), np.array([1.0, 0.0, 0.5])
        n, p = rng.integers(1, 400, 3).astype(float), rng.uniform(0.02, 0.9, 3)
        y = np.floor(rng.uniform(0.0, 1.0, 3) * (n + 1))
        room = np.empty((3, 3 * gamma_kernels.PAIRS))
        got, _ = gamma_kernels.beta_binomials(y, n, p, weight, noise, *room, np.empty(3), np.empty(3))
        got -= (weight * gammaln(y + 1.0)).sum()  # the constant in y is left out of the kernel
        kappa = 1.0 / (noise**2 * p * (1 - p) + 1e-6)
        expected = betabinom.logpmf(y, n, p * kappa, (1 - p) * kappa)
        assert got == pytest.approx((weight * expected).sum(), abs=1e-6)


def test_compiled_kernels_are_kept_by_the_content_of_their_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A change of any kernel file moves the cache of all: numba would go on running what a function calls elsewhere."""

    def where() -> str:
        with gamma_kernels.cached_by_sources():
            return str(numba.config.CACHE_DIR)

    before = numba.config.CACHE_DIR
    for name in gamma_kernels.SOURCES:
        shutil.copy(Path(gamma_kernels.__file__).parent / f"{name}.py", tmp_path)
    monkeypatch.setattr(gamma_kernels, "__file__", str(tmp_path / "gamma_kernels.py"))
    found = {where(), where()}
    assert len(found) == 1
    for name in gamma_kernels.SOURCES:
        changed = tmp_path / f"{name}.py"
        changed.write_text(changed.read_text(encoding="utf-8") + "# changed", encoding="utf-8")
        found.add(where())
    assert len(found) == 1 + len(gamma_kernels.SOURCES)
    assert before == numba.config.CACHE_DIR


def test_a_blank_cell_says_nothing():
    """Whatever stands in a cell of weight zero, log density and gradient are the same."""
    data: dict[str, Any] = transition(delayed=True, calendar=True)
    other = {**data, "y": data["y"].copy()}
    other["y"][4, 0] = 999.0
    x = np.random.default_rng(1).normal(0.0, 0.3, sum(int(np.prod(s)) for _, s in sizes_of(_part(data))))
    one, two = log_density(_part(data))(x), log_density(_part(other))(x)
    assert one[0] == two[0]
    assert (one[1] == two[1]).all()


def _part(data: Data) -> Part:
    return Part("x", "x", "calendar", data)
