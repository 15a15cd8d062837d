"""Calibration companies conserve units and keep to their own truth; the test of uniformity finds what it should."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_fixture import log_density
from scipy.special import expit
from scipy.stats import beta

from forecast.equations import coordinates, fading, slopes, steepness, walks
from forecast.fit import POSITIVE, Part, log_likelihood, sizes_of
from forecast.fit import data as inputs
from forecast.fit.paths import logit_rates, reference_path, season_weights
from forecast.fit.prior import (
    CHANNELS,
    HORIZON,
    KINDS,
    LEVEL,
    PERIODS,
    SPEND,
    STAGES,
    _Maker,
    fixed_arrays,
    make_company,
    study_of,
)
from forecast.lab.calibration import (
    band,
    chance_of_less,
    least_tail,
    simultaneous_level,
    surely_outside,
    true_draws,
    uniformity,
)

BINS = 49
COMPANIES = 60  # of the prior, made once for all that look at many


@cache
def made(kind: str, seed: int) -> Any:
    """A company from the prior; no test changes it."""
    return make_company(kind, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_companies_conserve_units(kind: str, seed: int) -> None:
    """No stage moves more units than entered it by then; what a triangle holds is what the counts hold."""
    history = made(kind, seed).history
    assert history.counting == kind
    counts = {stage: history.counts[stage].values for stage in STAGES}
    assert all((values >= 0).all() and (values == np.rint(values)).all() for values in counts.values())
    assert (counts["leads"] <= counts["visitors"]).all()
    if kind == "cohort":
        assert (counts["qualified"] <= counts["leads"]).all()
        assert (counts["won"] <= counts["qualified"]).all()
    for stage, triangle in history.triangles.items():
        before = counts[STAGES[STAGES.index(stage) - 1]]
        moved, lost = triangle.values, history.losses[stage].values
        assert (moved.sum(axis=1) + lost.sum(axis=1) <= before).all()
        for t in range(PERIODS):
            arrived = sum(moved[t - a, a] for a in range(t + 1))
            assert (arrived == counts[stage][t]).all()
            assert moved[t, PERIODS - t :].sum() == lost[t, PERIODS - t :].sum() == 0
    if kind == "leads":
        won = history.counts["won"].values.sum()
        assert len(history.deals) == won
        assert history.deals["amount"].sum() == pytest.approx(history.counts["revenue"].values.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_make_the_same_company(kind: str) -> None:
    """And others another one."""
    one, two = made(kind, 5), made(kind, 5)
    assert one.history.fingerprint() == two.history.fingerprint() != made(kind, 6).history.fingerprint()
    assert one.later == two.later


def test_units_move_at_the_true_rate() -> None:
    """Leads of the last period over many companies: visitors x rate of today, within the noise of the cells."""
    got, expected, variance = 0.0, 0.0, 0.0
    for seed in range(COMPANIES):
        company = made("calendar", seed)
        visitors, leads = (company.history.counts[s].values[-1] for s in ("visitors", "leads"))
        point = company.points["leads"]
        p = expit(point["now"] + point["shaken"])
        weight = 1.0 / np.maximum(visitors, 1.0)  # companies count alike, whatever their size
        got += (weight * leads).sum()
        expected += (weight * visitors * p).sum()
        noise = (company.truth["noise_leads"] * p * (1 - p)) ** 2 + p * (1 - p) / np.maximum(visitors, 1.0)
        variance += noise.sum()
    assert abs(got - expected) < 4 * np.sqrt(variance)


def test_the_working_law_expects_what_units_one_by_one_bring() -> None:
    """Arrivals by period: the same mean, once with every unit drawn and once as a share of effective trials."""
    rng = np.random.default_rng(12)
    maker, other = _Maker("calendar", rng), _Maker("working", rng)
    step = maker._step("leads", "qualified")
    entries = np.tile([300, 200, 100], (PERIODS + HORIZON, 1))
    exact, working = [], []
    for _ in range(200):
        exact.append(maker._closed(entries, step))
        working.append(other._closed(entries, step))
    one, two = np.array(exact, dtype=float), np.array(working, dtype=float)
    error = np.sqrt((one.var(axis=0) + two.var(axis=0)) / 200)
    z = (one.mean(axis=0) - two.mean(axis=0)) / error
    assert np.abs(z).max() < 4.5
    assert np.abs(z).mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.35)


def test_true_values_have_one_entry_for_each_channel_or_season() -> None:
    """So that a rank can be taken in the posterior's variable of that name."""
    truth = made("leads", 4).truth
    assert truth["logit_now_won"].shape == truth["traffic"].shape == truth["slope"].shape == (len(CHANNELS),)
    assert truth["season"].shape == (12,)
    assert truth["season"].sum() == pytest.approx(0.0, abs=1e-9)
    assert {"loss_logit_won", "delay_mean_won", "deal_cv", "own_drift_traffic"} <= set(truth)


def part_of(company: Any, stage: str) -> Part:
    """A transition of a company as the fit has it."""
    study = study_of(company.history.counting)
    before = STAGES[STAGES.index(stage) - 1]
    data, calendar = inputs.transition_data(study, company.history, before, stage)
    return Part(stage, stage, "calendar" if calendar else "cohort", data)


@pytest.mark.parametrize(
    ("kind", "stage"), [("calendar", "won"), ("cohort", "qualified"), ("leads", "leads")]
)
def test_the_true_point_gives_the_true_rates(kind: str, stage: str) -> None:
    """Level and walks read back from one draw at the truth, as the fit reads its draws, end in today's rate."""
    company = made(kind, 8)
    part = part_of(company, stage)
    draws = true_draws(part, company.points[stage])
    sizes = dict(sizes_of(part)) | {"noise_apart": (len(CHANNELS),)}
    assert {name: values.shape for name, values in draws.items()} == {
        name: (1, *shape) for name, shape in sizes.items()
    }
    seen = logit_rates(draws, part.data)[0, -1] - company.points[stage]["shaken"]
    np.testing.assert_allclose(seen, company.truth[f"logit_now_{stage}"])


def test_the_true_draw_of_traffic_gives_the_true_traffic() -> None:
    """Level and walks of today, without season, days and the shock of the period."""
    company = made("calendar", 8)
    data = inputs.traffic_data(study_of("calendar"), company.history, None, None) | fixed_arrays()["traffic"]
    draws = true_draws(Part("traffic", "visitors", "traffic", data), company.points["traffic"])
    plain = reference_path(draws, data)[0, -1]
    shared = (season_weights(draws, data) @ data["season_basis"].T + data["log_days"])[0, -1]
    shaken = company.points["traffic"]["shaken"]
    np.testing.assert_allclose(plain - shared - shaken, company.truth["traffic"])


def test_true_slopes_are_draws_given_the_true_walks() -> None:
    """Companies from the prior: slopes less their mean given the walks, over the sd left, are standard normal.

    After the window they fade: less what is left of them, paths rise there as a walk does.
    """
    maker, none = _Maker("calendar", np.random.default_rng(4)), np.zeros(len(SPEND))
    data = inputs.traffic_data(maker.study, maker.empty, None, None) | fixed_arrays()["traffic"]
    still = {"season_sd": np.array(1.0), "season": np.zeros(data["season_basis"].shape[1])}
    law = data["basis"], steepness("month")
    misses, rises = [], []
    for _ in range(1500):
        path, point = maker._path(data | {"shock_prior": np.array(1e12)}, none, trend=True)
        drift, own_drift = scales = point["drift"], point["own_drift"]
        sampled = coordinates(point["steps"], point["own_steps"], (*scales, 0.0), data, still)
        given = {"drift": np.array(drift), "own_drift": np.array(own_drift)} | still
        common, own = walks(sampled | given, data)
        mean = slopes(common, drift, 0.0, *law) + slopes(own.T, own_drift, none, *law)
        left = slopes(0.0 * common, np.hypot(*scales), 1.0, *law)
        misses.append((point["slope"] - mean) / left)
        later = path[-1] - path[PERIODS - 1] - fading(HORIZON, "month")[-1] * point["slope"]
        rises.append(later / np.hypot(*scales))
    assert np.mean(misses) == pytest.approx(0.0, abs=0.08)
    assert np.std(misses) == pytest.approx(1.0, abs=0.06)
    assert np.std(rises) == pytest.approx(np.sqrt(HORIZON), abs=0.12)


def test_the_log_likelihood_is_the_part_of_the_density_that_knows_the_data() -> None:
    """Between two draws that differ in the noise alone: density less prior."""
    company = made("cohort", 9)
    part = part_of(company, "won")
    draws = true_draws(part, company.points["won"])
    part = replace(part, data={**part.data, "noise_apart": draws["noise_apart"][0]})
    other = draws | {"noise": draws["noise"] * np.exp(0.5)}
    [one], [two] = (log_likelihood(part, each) for each in (draws, other))
    noise, more = (each["noise"][0] for each in (draws, other))
    prior = 2 * 0.5 - float(part.data["noise_prior"]) * (more - noise)
    density = log_density(part)
    assert density(point(other)) - density(point(draws)) == pytest.approx(two - one + prior)


def point(draws: Any) -> Any:
    """The kernel's point of one draw."""
    return np.concatenate(
        [(np.log(x) if name in POSITIVE else x).ravel() for name, x in draws.items() if name != "noise_apart"]
    )


def test_marginal_returns_are_shrunk_as_the_fit_shrinks_them() -> None:
    """Rejection and weighting are two roads to one prior: the same mean squared miss, within four standard errors."""
    company, rng, n = made("calendar", 1), np.random.default_rng(6), 50_000
    study = study_of("calendar")
    data = inputs.traffic_data(study, company.history, None, None) | fixed_arrays()["traffic"]
    level = rng.normal(rng.normal(LEVEL[0], LEVEL[1], n), rng.gamma(2.0, 0.5, n), (len(SPEND), n)).T
    free = {f"z_{name}": rng.normal(size=level.shape) for name in ("elasticity", "base")}
    free["marginal_return"] = rng.normal(size=(n, 1))
    free["return_spread"] = np.exp(rng.normal(*data["spread_prior"], size=(n, 1)))
    miss = _miss(free, level, data)[:, SPEND > 0]
    sd = np.hypot(free["return_spread"], data["worth_sd"])[:, SPEND > 0]
    weights, squares = np.exp(-0.5 * (miss**2).sum(axis=1)) / sd.prod(axis=1), (miss**2).mean(axis=1)
    expected = np.average(squares, weights=weights)
    kept = []
    for seed in range(COMPANIES):
        other = made("calendar", seed)
        miss = _miss(other.points["traffic"], other.truth["traffic"], data)
        kept.append((miss[SPEND > 0] ** 2).mean())
    spread = np.sqrt(np.average((squares - expected) ** 2, weights=weights) / len(kept))
    assert np.mean(kept) == pytest.approx(expected, abs=4 * spread)
    assert squares.mean() > expected + 8 * spread  # which a prior without the shrinkage does not meet


def _miss(point: Any, now: Any, data: Any) -> Any:
    """How far log marginal returns lie from their middle, in sds; see `model.traffic_model`."""
    beta, base = (
        expit(data[f"{k}_prior"][0] + data[f"{k}_prior"][1] * point[f"z_{k}"]) for k in ("elasticity", "base")
    )
    gain = np.log(beta) + np.log1p(-base) + beta * data["log_current"] - data["log_spend"]
    sd = np.hypot(point["return_spread"], data["worth_sd"])
    return (data["log_worth"] + now + gain - point["marginal_return"]) / sd


def test_bands_hold_a_uniform_sample_as_often_as_they_say() -> None:
    """95 % of samples of uniform ranks stay inside in all their length; Monte Carlo error of 600 samples."""
    limit = simultaneous_level(60, BINS)
    rng = np.random.default_rng(3)
    inside = np.mean([least_tail(rng.integers(0, BINS + 1, 60) / BINS, BINS) >= limit for _ in range(600)])
    assert inside == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 600) + 0.01)


def test_counting_in_the_number_of_quantities_leaves_what_is_far_outside() -> None:
    """Holm: the least p against level / m, the next against level / (m - 1); nothing after the first that passes."""
    p = np.array([0.04, 0.0001, 0.012, 0.9, 0.02])
    found = surely_outside(pd.DataFrame({"p": p}))
    assert found.tolist() == [False, True, True, False, False]
    assert surely_outside(pd.DataFrame({"p": [0.001, 0.002]})).all()


def test_a_quantity_may_be_missing_from_some_fits() -> None:
    """Its row counts the fits that have it."""
    records = [{"a": round(i * BINS / 39) / BINS} | ({"b": 0.5} if i % 2 else {}) for i in range(40)]
    found = uniformity(records, BINS).set_index("quantity")
    assert found["fits"].to_dict() == {"a": 40, "b": 20}
    assert found.loc["a", "inside"]
    assert not found.loc["b", "inside"]
    assert found.loc["b", "excess"] > 1


def test_the_chance_of_a_band_is_exact() -> None:
    """Two ranks in three classes, by hand: of nine pairs, both in the first and both in the last have tail 2 / 9."""
    assert chance_of_less(2 / 9, 2, 2) == pytest.approx(2 / 9)
    assert least_tail(np.array([0.0, 0.0]), 2) == pytest.approx(2 / 9)


def test_the_band_drawn_is_the_band_tested() -> None:
    """A sample is inside by its least tail just when its ECDF lies within the drawn edges."""
    limit = simultaneous_level(80, BINS)
    at, low, high = band(80, BINS, limit)
    rng = np.random.default_rng(4)
    agree = []
    for _ in range(300):
        ranks = rng.integers(0, BINS + 1, 80)
        difference = np.cumsum(np.bincount(ranks, minlength=BINS + 1))[:-1] / 80 - at
        drawn = bool(((difference >= low - 1e-12) & (difference <= high + 1e-12)).all())
        agree.append(drawn == (least_tail(ranks / BINS, BINS) >= limit))
    assert np.mean(agree) > 0.98


@pytest.mark.parametrize(("factor", "inside"), [(1.0, True), (8.0, False)])
def test_an_exact_posterior_passes_and_one_too_sure_fails(factor: float, inside: bool) -> None:
    """Beta prior, binomial data: the conjugate posterior, and the same from data counted eight times."""
    rng = np.random.default_rng(5)
    records = []
    for _ in range(200):
        p = rng.beta(2, 6)
        y = rng.binomial(20, p)
        draws = beta(2 + factor * y, 6 + factor * (20 - y)).rvs(BINS, random_state=rng)
        records.append({"p": float((draws < p).mean())})
    found = uniformity(records, BINS).iloc[0]
    assert bool(found["inside"]) is inside
    assert (found["spread"] > 1.1) is not inside
    assert (found["p"] < 0.001) is not inside
