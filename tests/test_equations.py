"""Delay against simulation, limits and closed forms; shapes of the response against each other; laws of counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, gammaln, logit
from scipy.stats import betabinom, nbinom

from forecast import equations
from forecast.equations import (
    ages_needed,
    beta_binomial_slope,
    concentration,
    delay_pmf,
    due,
    jensen_shannon,
    log_beta_binomial,
    log_choices,
    log_marginal,
    log_negative_binomial,
    mean_shape,
    noise_of_share,
    response,
    thinned,
)


@pytest.mark.parametrize(("mean", "cv"), [(0.5, 0.8), (1.5, 0.4), (3.0, 0.8), (6.0, 1.5)])
def test_the_pmf_is_that_of_uniform_entry_and_lognormal_waiting(mean, cv):
    """f_d is the share of moves d periods later when entry is uniform in its period; 400,000 units tell it to 0.001."""
    rng = np.random.default_rng(20260105)
    n, ages = 400_000, 400
    s2 = math.log1p(cv**2)
    wait = np.exp(rng.normal(math.log(mean) - s2 / 2, math.sqrt(s2), n))
    later = np.floor(rng.random(n) + wait).astype(int)
    share = np.bincount(np.minimum(later, ages), minlength=ages + 1)[:ages] / n
    error = 4 * np.sqrt(0.25 / n)  # four standard errors of a share, at its widest: 0.003
    assert np.abs(delay_pmf(mean, cv, ages) - share).max() < error
    assert np.abs(delay_pmf(mean, cv, ages) - share).mean() < 1e-3


@settings(max_examples=40, deadline=None)
@given(mean=st.floats(0.0, 24.0), cv=st.floats(0.05, 3.0), ages=st.integers(1, 80))
def test_the_pmf_is_a_distribution(mean, cv, ages):
    """Non-negative and summing to one, at any mean, spread and cut."""
    pmf = delay_pmf(mean, cv, ages)
    assert pmf.shape == (ages,)
    assert (pmf >= 0).all()
    assert pmf.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_delay_beyond_all_ages_is_still_a_distribution():
    """Where hardly any mass lies within the ages kept, the rest is spread evenly, not divided by nothing."""
    assert delay_pmf(40.0, 0.05, 4) == pytest.approx([0.25] * 4)


def test_no_delay_puts_all_mass_on_the_period_of_entry():
    """Mean 0 is delta at age 0, also beside delays above 0."""
    pmf = delay_pmf([0.0, 2.0], 0.8, 12)
    assert pmf[0].tolist() == [1.0] + [0.0] * 11
    assert pmf[1, 0] < 0.5


def test_a_short_delay_crosses_one_border_with_the_chance_of_its_mean():
    """A mean of 0.1 period with uniform entry crosses the next border with probability 0.1, hardly ever two."""
    pmf = delay_pmf(0.1, 0.5, 6)
    assert pmf[:2] == pytest.approx([0.9, 0.1], abs=1e-6)
    assert pmf[2:].sum() < 1e-6


def test_the_mean_of_the_pmf_is_the_mean_delay():
    """Uniform entry adds half a period and the floor takes half away: sum d f_d = mean."""
    pmf = delay_pmf(2.5, 0.8, 400)
    assert np.arange(400) @ pmf == pytest.approx(2.5, abs=1e-3)


def test_arrays_of_means_are_the_same_as_one_by_one():
    """Broadcasting over draws changes nothing."""
    means, cvs = np.array([0.3, 1.0, 4.0]), np.array([0.5, 0.8, 1.1])
    together = delay_pmf(means, cvs, 24)
    for i in range(3):
        assert together[i] == pytest.approx(delay_pmf(means[i], cvs[i], 24), abs=1e-15)


@pytest.mark.parametrize("mean", [0.2, 1.0, 3.0])
def test_ages_needed_hold_nearly_all_of_a_longer_delay(mean):
    """The ages kept hold 99 % of the delay even if it is 1.6 times longer than thought."""
    ages = ages_needed(mean, 0.8, "month")
    assert np.cumsum(delay_pmf(1.6 * mean, 0.8, 400))[ages - 1] > 0.99
    assert ages_needed(0.0, 0.8, "month") == 1


@pytest.mark.parametrize(("period", "year"), [("month", 12.0), ("week", 365.25 / 7), ("quarter", 4.0)])
def test_ages_reach_five_years_whatever_the_period(period, year):
    """No more than five years, and no fewer where they are needed: the longest delay that may be stated is kept."""
    assert ages_needed(1000.0, 0.8, period) == pytest.approx(5 * year, abs=1)
    ages = ages_needed(2 * year, 0.8, period)
    assert delay_pmf(2 * year, 0.8, 40 * ages)[:ages].sum() > 0.945


@pytest.mark.parametrize("days", [120, 180, 270])
def test_weekly_delays_are_not_cut(days):
    """The delay that is stated in days acts, within a fiftieth, in weeks too."""
    weeks = days / 7
    ages = ages_needed(weeks, 0.8, "week")
    assert 7 * np.arange(ages) @ delay_pmf(weeks, 0.8, ages) == pytest.approx(days, rel=0.02)


def in_flight_share(mean, cv, horizon):
    """Of the moves of the next periods at stable inflow, the share by units that are inside already."""
    return due(delay_pmf(mean, cv, 240), horizon)[1].mean()


@pytest.mark.parametrize(
    ("mean", "quarter", "year"),
    [(0.5, 0.17, 0.04), (1, 0.32, 0.08), (2, 0.57, 0.17), (3, 0.73, 0.25), (6, 0.92, 0.46), (9, 0.97, 0.62)],
)
def test_share_in_flight_is_the_known_table(mean, quarter, year):
    """At stable inflow (1/H) times the integral of survival over the horizon comes from units already inside."""
    assert in_flight_share(mean, 0.8, 3) == pytest.approx(quarter, abs=0.006)
    assert in_flight_share(mean, 0.8, 12) == pytest.approx(year, abs=0.006)


def test_three_months_of_delay_leave_three_quarters_in_flight():
    """The figure of the text: 72.5 % of next quarter's wins come from open deals."""
    assert in_flight_share(3, 0.8, 3) == pytest.approx(0.725, abs=5e-4)
    assert in_flight_share(0, 0.8, 3) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("z", [0.3, 1.0, 4.0])
def test_the_marginal_return_is_the_slope_of_the_response(z):
    """Of worth x response (x / reference), by x, at spend x = z reference."""
    worth, reference, step = 2.5, 700.0, 1e-5
    beta, base = np.array([0.3, 0.7]), np.array([0.1, 0.4])
    slope = (response(z + step, beta, base) - response(z - step, beta, base)) / (2 * step)
    made = log_marginal(np.log(worth), beta, base, np.log(z), np.log(z * reference))
    np.testing.assert_allclose(np.exp(made), worth * slope / reference, rtol=1e-6)


def test_a_lift_is_held_to_the_mean_of_both_shapes():
    """Of the two that forecasts give half of the draws each."""
    z, beta = np.array([[0.2, 1.0, 5.0]]), np.array([[0.4]])
    both = [response(z, beta, np.array(0.0), np.array([[saturates]]), 2.0) for saturates in (False, True)]
    np.testing.assert_allclose(mean_shape(z, beta, 2.0), np.mean(both, axis=0), rtol=1e-7)


@pytest.mark.parametrize("now", [0.2, 1.0, 6.0])
def test_both_shapes_agree_in_level_and_slope_at_todays_spend(now):
    """Whatever today's spend is; away from it the saturating one lies below the power law, and has an end."""
    beta, base, step = np.array([[0.3, 0.7]]), np.array([0.1, 0.4]), 1e-5 * now
    yes, no = np.array([[True]]), np.array([[False]])

    def at(z):
        return [response(np.full((1, 2), z), beta, base, saturates, now) for saturates in (yes, no)]

    levels, slopes = (
        at(now),
        [(a - b) / (2 * step) for a, b in zip(at(now + step), at(now - step), strict=True)],
    )
    np.testing.assert_allclose(*levels, rtol=1e-7)
    np.testing.assert_allclose(*slopes, rtol=1e-6)
    for z in (0.1 * now, 10 * now):
        assert (np.subtract(*at(z)) < 0).all()
    np.testing.assert_allclose(at(1e9 * now)[0], base + (1 - base) * now**beta / (1 - beta), rtol=1e-6)


def cells() -> tuple[np.ndarray, ...]:
    """Counts, trials and rates of all sizes, with a zero and a whole cell; noise of each."""
    rng = np.random.default_rng(6)
    n = rng.integers(1, 500, 60).astype(float)
    y = np.floor(rng.uniform(0.0, 1.0, 60) * (n + 1))
    y[:2] = 0.0, n[1]
    return y, n, rng.uniform(1e-3, 0.95, 60), rng.uniform(0.02, 0.7, 60)


def test_the_beta_binomial_is_that_of_scipy():
    """With the choices, up to log y!; kappa = 1 / (noise^2 p (1 - p) + 1e-6); trials need not be whole."""
    y, n, p, noise = cells()
    kappa = concentration(p, noise)
    np.testing.assert_allclose(kappa, 1.0 / (noise**2 * p * (1 - p) + 1e-6))
    expected = betabinom.logpmf(y, n, kappa * p, kappa * (1 - p))

    def found(trials: np.ndarray) -> np.ndarray:
        return log_beta_binomial(y, trials, p, noise) + log_choices(y, trials) - gammaln(y + 1.0)

    np.testing.assert_allclose(found(n), expected, atol=1e-7)
    between = found(n + np.array([[0.0], [0.5], [1.0]]))
    assert (np.abs(between[1] - between[[0, 2]].mean(axis=0)) < 0.2).all()


def test_the_slope_of_the_beta_binomial_is_its_slope():
    """In logit p, kappa moving with p: central differences."""
    y, n, p, noise = cells()
    x, step = logit(p), 1e-5
    high, low = (log_beta_binomial(y, n, expit(x + side * step), noise) for side in (1, -1))
    found = beta_binomial_slope(y, n, p, noise)
    np.testing.assert_allclose(found, (high - low) / (2 * step), rtol=1e-5, atol=1e-5)


def test_the_slope_of_a_share_follows_its_noise():
    """Where the noise is that of p = pi x share and moves with p too: central differences in logit p."""
    y, n, pi, noise = cells()
    share = np.linspace(0.05, 1.0, 60)
    x, step = logit(pi * share), 1e-4

    def told(at: np.ndarray) -> np.ndarray:
        return log_beta_binomial(y, n, at, noise_of_share(noise, at, share))

    at = expit(x)
    found = beta_binomial_slope(y, n, at, noise_of_share(noise, at, share), share)
    np.testing.assert_allclose(
        found, (told(expit(x + step)) - told(expit(x - step))) / (2 * step), rtol=1e-5, atol=1e-5
    )


def test_the_noise_of_a_share_is_that_of_the_whole_seen_through_it():
    """sd of p = share x sd of pi, each by the delta method: sd of the logit times p (1 - p)."""
    pi, share, noise = np.linspace(0.01, 0.9, 30), np.linspace(1.0, 0.1, 30), 0.3
    p = pi * share
    found = noise_of_share(noise, p, share)
    np.testing.assert_allclose(found * p * (1 - p), share * noise * pi * (1 - pi))
    np.testing.assert_allclose(noise_of_share(noise, pi, 1.0), noise)


def test_calendar_counts_have_the_moments_of_units_that_move_one_by_one():
    """Sums of multinomials over cohorts: mean and variance of what moves in each period, early entries included."""
    rng, rate, periods = np.random.default_rng(4), 0.6, 12
    f, entries, early = delay_pmf(2.0, 0.8, 30), rng.integers(5, 60, periods).astype(float), 20.0
    cohorts = np.concatenate([np.full(29, early), entries])
    chance = np.zeros((len(cohorts), periods))  # that a unit of the cohort moves in the period
    for s in range(len(cohorts)):
        for t in range(periods):
            age = t - (s - 29)
            chance[s, t] = rate * f[age] if 0 <= age < 30 else 0.0
    mean, variance = cohorts @ chance, cohorts @ (chance * (1 - chance))
    trials, phi = thinned(f, entries[None], np.array([early]))
    np.testing.assert_allclose((trials * rate * phi)[0], mean, rtol=1e-6)
    np.testing.assert_allclose((trials * rate * phi * (1 - rate * phi))[0], variance, rtol=1e-6)


def test_the_negative_binomial_is_that_of_scipy():
    """By mean and size, but for gamma functions of counts and size alone; it falls away from its mode at y."""
    y, mean, size = cells()[0], np.geomspace(0.1, 2000.0, 60), np.geomspace(0.5, 900.0, 60)
    found = log_negative_binomial(y, np.log(mean), size)
    constant = gammaln(y + size) - gammaln(size) - gammaln(y + 1.0)
    np.testing.assert_allclose(found + constant, nbinom.logpmf(y, size, size / (size + mean)), rtol=1e-9)
    high, low = (log_negative_binomial(y, np.log(mean) + side * 1e-5, size) for side in (1, -1))
    np.testing.assert_allclose((high - low) / 2e-5, (y - mean) * size / (size + mean), rtol=1e-5, atol=1e-4)


def test_quantiles_are_those_of_numpy():
    """To the bit, of one draw too; NaN where a draw is."""
    rng = np.random.default_rng(3)
    levels = (0.0, 0.05, 0.1, 0.25, 0.5, 0.9, 0.95, 1.0)
    for draws in (rng.gamma(2.0, size=(997, 3, 2)), rng.poisson(2.0, (500, 4)), rng.normal(size=1)):
        np.testing.assert_array_equal(equations.quantiles(draws, levels), np.quantile(draws, levels, axis=0))
    unknown = np.array([[1.0, np.nan], [2.0, 3.0]])
    np.testing.assert_array_equal(equations.quantiles(unknown, (0.5,)), [[1.5, np.nan]])


@pytest.mark.parametrize("pull", [lambda x: -0.5 * x**2, lambda x: 2.0 * np.abs(x), lambda x: x])
def test_the_distance_of_weighted_draws_is_that_of_arviz(pull):
    """Power-scaling sensitivity by finite differences of the distance, as arviz_stats makes it of one pair."""
    from arviz_stats.base.array import array_stats

    alphas, rng = (0.99, 1.01), np.random.default_rng(2)
    values = rng.normal(size=400)
    weights = np.exp(np.stack([(alpha - 1.0) * pull(values) for alpha in alphas]))
    weights /= weights.sum(axis=1, keepdims=True)
    found = (jensen_shannon(values, weights) / np.abs(np.log2(alphas))).mean()
    low, high = weights[:, None]
    theirs = array_stats.power_scale_sense(values[None], low, high, *alphas, chain_axis=0, draw_axis=1)
    assert found == pytest.approx(float(theirs), abs=1e-7)


def test_the_distance_of_two_values_by_hand():
    """One gap of length one, F = 1/2 and G = 1/4: D = F log2(F / M) + G log2(G / M) over F + G, M = 3/8; or of -x."""
    f, g = np.array([0.5, 0.5]), np.array([0.25, 0.75])
    m = (f + g) / 2
    ends = (f * np.log2(f / m) + g * np.log2(g / m)) / (f + g)
    found = jensen_shannon(np.array([3.0, 2.0]), np.array([[0.75, 0.25], [1.0, 1.0]]))
    assert found == pytest.approx([math.sqrt(ends.max()), 0.0], abs=1e-9)
