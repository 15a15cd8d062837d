"""The densities of `fit.model` with their gradients, written out by hand and compiled by numba.

`model` says what the models are, in PyMC; this module says it again in loops, because compiling the PyMC graphs costs
minutes on a new machine and seconds on a warm one, and their gradients take three times as long (benchmarks/README.md).
`tests/fit/test_kernels.py` holds the two against each other: same log density, same gradient, at random points.

Every kernel takes the unconstrained point `x` in the order of its `*_SIZES` function, fills `grad` and returns the log
density (with the Jacobians of the log transforms, up to a constant).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from forecast.equations import SOFT
from forecast.fit.kernels.special import PAIRS, Array, beta_binomials, exps, jit
from forecast.fit.scales import BEFORE_SD, RATE_SPREAD, RATE_TAU


@jit
def scale_prior(log_value: float, rate: float) -> Any:
    """log density of Gamma(2, rate) at exp(log_value) with the Jacobian, and its derivative in log_value."""
    scaled = rate * math.exp(log_value)
    return 2.0 * (log_value + math.log(rate)) - scaled, 2.0 - scaled


@jit
def walks_forward(
    r: Array,
    s: Array,
    log_drift: float,
    log_own: float,
    walk_centred: Array,
    own_centred: Array,
    basis: Array,
    beside: Array,
    common: Array,
    scale: Array,
    path: Array,
) -> None:
    """Fills `path` (channel, period) with the sum of the common walk and the channel's own; see `equations`.

    `r` (wave,) and `s` (wave * channel,) are the sampled coordinates, `beside` (wave,) what else moves all channels.
    `common` (wave,) takes the common coefficients and `scale` (wave, channel) the own walks' factors tau^(1 - w), both
    for the way back.
    """
    waves, channels = own_centred.shape
    for k in range(waves):
        common[k] = math.exp((1.0 - walk_centred[k]) * log_drift) * (r[k] - walk_centred[k] * beside[k])
        for c in range(channels):
            scale[k, c] = (1.0 - own_centred[k, c]) * log_own
        exps(scale[k], scale[k])
    path[:] = 0.0
    for c in range(channels):
        out = path[c]
        for k in range(waves):
            apart = s[k * channels + c] - own_centred[k, c] * (common[k] + beside[k])
            high = common[k] + scale[k, c] * apart
            wave = basis[k]
            for t in range(wave.shape[0]):
                out[t] += high * wave[t]


@jit
def walks_backward(
    g_path: Array,
    r: Array,
    s: Array,
    log_drift: float,
    log_own: float,
    walk_centred: Array,
    own_centred: Array,
    basis: Array,
    beside: Array,
    common: Array,
    scale: Array,
    g_r: Array,
    g_s: Array,
    g_beside: Array,
) -> Any:
    """Fills the gradients of `r`, `s` and `beside`: (log prior of r and s, d / d log drift, d / d log own drift)."""
    waves, channels = own_centred.shape
    across = np.ascontiguousarray(basis.T)
    drift, own_drift = math.exp(log_drift), math.exp(log_own)
    g_common, g = np.zeros(waves), np.empty(waves)
    lp, g_log_drift, g_log_own = 0.0, 0.0, 0.0
    g_beside[:] = 0.0
    for c in range(channels):
        g[:] = 0.0
        for t in range(across.shape[0]):
            pull, row = g_path[c, t], across[t]
            for k in range(waves):
                g[k] += pull * row[k]
        for k in range(waves):
            w, spread = own_centred[k, c], scale[k, c]
            width = own_drift / spread
            off = s[k * channels + c] - w * (common[k] + beside[k])
            z = off / width
            lp -= 0.5 * z * z + w * log_own
            g_s[k * channels + c] = g[k] * spread - z / width
            g_common[k] += g[k] * (1.0 - w * spread) + w * z / width
            g_beside[k] += w * (z / width - g[k] * spread)
            g_log_own += g[k] * (1.0 - w) * spread * off + w * (z * z - 1.0)
    for k in range(waves):
        w = walk_centred[k]
        spread = math.exp((1.0 - w) * log_drift)
        width = drift / spread
        z = (r[k] - w * beside[k]) / width
        lp -= 0.5 * z * z + w * log_drift
        g_r[k] = g_common[k] * spread - z / width
        g_beside[k] -= w * g_r[k]
        g_log_drift += g_common[k] * (1.0 - w) * common[k] + w * (z * z - 1.0)
    return lp, g_log_drift, g_log_own


@jit
def _pmf(mean: float, cv: float, f: Array, d_mean: Array, d_sigma: Array) -> Any:
    """Fills the delay pmf and dH/dmean, dH/dsigma differences; returns (sum before renormalising, dsigma/dlog cv)."""
    ages = f.shape[0]
    sigma = math.sqrt(math.log1p(cv * cv))
    h0 = h1 = m0 = m1 = s0 = s1 = total = 0.0
    for a in range(ages):
        x = a + 1.0
        z = (math.log(x / mean) + 0.5 * sigma * sigma) / sigma
        lower = 0.5 * math.erfc(-(z - sigma) / math.sqrt(2.0))
        h2 = x * 0.5 * math.erfc(-z / math.sqrt(2.0)) - mean * lower
        m2 = -lower
        s2 = mean * math.exp(-0.5 * (z - sigma) ** 2) / math.sqrt(2.0 * math.pi)
        value = h2 - 2.0 * h1 + h0
        if value > 0.0:
            f[a], d_mean[a], d_sigma[a] = value + 1e-9, m2 - 2.0 * m1 + m0, s2 - 2.0 * s1 + s0
        else:
            f[a], d_mean[a], d_sigma[a] = 1e-9, 0.0, 0.0
        total += f[a]
        h0, h1, m0, m1, s0, s1 = h1, h2, m1, m2, s1, s2
    for a in range(ages):
        f[a] /= total
    return total, cv * cv / (sigma * (1.0 + cv * cv))


@jit
def transition_kernel(  # noqa: C901, PLR0912, PLR0915 - numba wants one function, and the gradient one pass
    x: Array,
    grad: Array,
    n: Array,
    y: Array,
    weight: Array,
    mu_prior: Array,
    centred: Array,
    drift_prior: Array,
    walk_centred: Array,
    own_centred: Array,
    basis: Array,
    noise_prior: float,
    delay_prior: Array,
    delayed: float,
    age_weights: Array,
    by_age: Array,
    by_cohort: Array,
    early: Array,
    calendar: bool,
) -> float:
    """Log density and gradient of `model.transition_model`; data as there."""
    periods, channels = n.shape
    waves, ages = basis.shape[0], age_weights.shape[1]
    o_level, o_drift = 2, 2 + channels
    o_waves = o_drift + 3
    o_own = o_waves + waves
    o_delay = o_own + waves * channels
    mu, log_tau = x[0], x[1]
    tau, noise = math.exp(log_tau), math.exp(x[o_drift + 2])
    mean, cv = math.exp(x[o_delay]), math.exp(x[o_delay + 1])
    before = math.exp(x[o_delay + 2]) if calendar else 1.0

    # Rates, by channel and period from here on.
    common, scale, path = np.empty(waves), np.empty((waves, channels)), np.empty((channels, periods))
    beside, g_beside = np.zeros(waves), np.empty(waves)
    walks_forward(
        x[o_waves:o_own], x[o_own:o_delay], x[o_drift], x[o_drift + 1],
        walk_centred, own_centred, basis, beside, common, scale, path,
    )  # fmt: skip
    pi, g_pi, odds = np.empty((channels, periods)), np.zeros((channels, periods)), np.empty(periods)
    for c in range(channels):
        w = centred[c]
        level = mu if channels == 1 else mu + tau ** (1.0 - w) * (x[o_level + c] - w * mu)
        for t in range(periods):
            odds[t] = -(level + path[c, t])
        exps(odds, odds)
        for t in range(periods):
            pi[c, t] = 1.0 / (1.0 + odds[t])

    # Delay.
    f, d_mean, d_sigma = np.empty(ages), np.empty(ages), np.empty(ages)
    mass, d_sigma_log_cv = _pmf(mean, cv, f, d_mean, d_sigma)
    if delayed == 0.0:
        f[:] = 0.0
        f[0] = 1.0
    g_f = np.zeros(ages)
    lp, g_noise, g_before = 0.0, 0.0, 0.0
    successes_seen, weights = np.ascontiguousarray(y.T), np.ascontiguousarray(weight.T)
    p, trials, d_trials, d_n, d_p = (
        np.empty(periods),
        np.empty(periods),
        np.empty(periods),
        np.empty(periods),
        np.empty(periods),
    )
    arguments, values, slopes = (
        np.empty(PAIRS * periods),
        np.empty(PAIRS * periods),
        np.empty(PAIRS * periods),
    )

    if calendar:
        tail, through = (
            np.zeros(periods),
            np.zeros(periods),
        )  # tail: share of a delay that began before the window
        for t in range(periods):
            for a in range(t + 1, ages):
                tail[t] += f[a]
        units, moving = np.empty(periods), np.empty(periods)
        back_units, back_moving = (
            np.empty(periods),
            np.empty(periods),
        )  # last period first: ages run forward in them
        expected, successes = np.empty(periods), np.empty(periods)
        g_expected, g_successes = np.empty(periods), np.empty(periods)
        g_moving = np.empty(periods)
        last = periods - 1
        for c in range(channels):
            rate, seed = pi[c], before * early[c]
            for t in range(periods):
                units[t] = n[t, c]
                moving[t] = n[t, c] * rate[t]
                back_units[last - t], back_moving[last - t] = units[t], moving[t]
                expected[t] = seed * tail[t]
                successes[t] = seed * tail[t] * rate[0]
            for a in range(min(ages, periods)):
                share, due, moved = f[a], expected[a:], successes[a:]
                for t in range(periods - a):
                    due[t] += share * units[t]
                    moved[t] += share * moving[t]
            for t in range(periods):
                p[t] = min(max(successes[t] / (expected[t] + 1e-9), 1e-9), 1.0 - 1e-9)
                trials[t], d_trials[t] = units[t], 0.0
                if weight[t, c] == 0.0:
                    trials[t] = max(units[t], y[t, c])
                elif delayed > 0.0:  # y + a smooth maximum of what is due beyond it and nothing
                    u = (expected[t] - y[t, c]) / SOFT
                    low = math.exp(-abs(u))
                    trials[t] = y[t, c] + SOFT * (max(u, 0.0) + math.log1p(low))
                    d_trials[t] = (1.0 if u > 0.0 else low) / (1.0 + low)
            value, slope = beta_binomials(
                successes_seen[c], trials, p, weights[c], noise, arguments, values, slopes, d_n, d_p
            )
            lp += value
            g_noise += slope
            for t in range(periods):
                raw = successes[t] / (expected[t] + 1e-9)
                g_successes[t] = d_p[t] / (expected[t] + 1e-9) if raw == p[t] else 0.0
                g_expected[t] = d_n[t] * d_trials[t] - g_successes[t] * raw
            g_moving[:] = 0.0
            for a in range(min(ages, periods)):
                share, ahead = f[a], g_successes[a:]
                for t in range(periods - a):
                    g_moving[t] += share * ahead[t]
            for t in range(periods):
                g_pi[c, t] += g_moving[t] * units[t]
                g_e, g_s = g_expected[t], g_successes[t]
                ago, moved_ago = back_units[last - t :], back_moving[last - t :]
                for a in range(min(ages, t + 1)):
                    g_f[a] += g_e * ago[a] + g_s * moved_ago[a]
                pull = seed * (g_e + g_s * rate[0])
                through[t] += pull
                g_before += pull * tail[t]
                g_pi[c, 0] += g_s * seed * tail[t]
        running = 0.0
        for a in range(1, ages):
            if a <= periods:
                running += through[a - 1]
            g_f[a] += running
    else:
        seen = np.cumsum(f)
        g_seen = np.zeros(ages)
        for a in range(ages):
            lp += by_age[a] * math.log(f[a] + 1e-12) - by_cohort[a] * math.log(seen[a] + 1e-12)
            g_f[a] += by_age[a] / (f[a] + 1e-12)
            g_seen[a] -= by_cohort[a] / (seen[a] + 1e-12)
        lived, g_lived = np.zeros(periods), np.zeros(periods)
        for t in range(periods):
            for a in range(ages):
                lived[t] += age_weights[t, a] * seen[a]
        for c in range(channels):
            for t in range(periods):
                trials[t] = n[t, c] if weight[t, c] > 0.0 else max(n[t, c], y[t, c])
                p[t] = min(max(pi[c, t] * min(lived[t], 1.0), 1e-9), 1.0 - 1e-9)
            value, slope = beta_binomials(
                successes_seen[c], trials, p, weights[c], noise, arguments, values, slopes, d_n, d_p
            )
            lp += value
            g_noise += slope
            for t in range(periods):
                capped = min(lived[t], 1.0)
                if p[t] == pi[c, t] * capped:
                    g_pi[c, t] += d_p[t] * capped
                    g_lived[t] += d_p[t] * pi[c, t]
        for t in range(periods):
            if lived[t] < 1.0:
                for a in range(ages):
                    g_seen[a] += g_lived[t] * age_weights[t, a]
        running = 0.0
        for a in range(ages - 1, -1, -1):
            running += g_seen[a]
            g_f[a] += running

    # Back through the delay.
    g_mean, g_sigma = 0.0, 0.0
    if delayed > 0.0:
        inner = 0.0
        for a in range(ages):
            inner += g_f[a] * f[a]
        for a in range(ages):
            g = (g_f[a] - inner) / mass
            g_mean += g * d_mean[a]
            g_sigma += g * d_sigma[a]
    z_mean = (x[o_delay] - delay_prior[0]) / delay_prior[1]
    z_cv = (x[o_delay + 1] - delay_prior[2]) / delay_prior[3]
    lp -= 0.5 * (z_mean * z_mean + z_cv * z_cv) + math.log(delay_prior[1]) + math.log(delay_prior[3])
    grad[o_delay] = g_mean * mean - z_mean / delay_prior[1]
    grad[o_delay + 1] = g_sigma * d_sigma_log_cv - z_cv / delay_prior[3]
    if calendar:
        lp -= 0.5 * (x[o_delay + 2] / BEFORE_SD) ** 2
        grad[o_delay + 2] = g_before - x[o_delay + 2] / BEFORE_SD**2

    # Back through the rates.
    g_mu, g_log_tau = 0.0, 0.0
    for c in range(channels):
        w = centred[c]
        g_level = 0.0
        for t in range(periods):
            g_pi[c, t] *= pi[c, t] * (1.0 - pi[c, t])
            g_level += g_pi[c, t]
        if channels == 1:
            lp -= 0.5 * x[o_level] ** 2
            grad[o_level] = -x[o_level]
            g_mu += g_level
            continue
        spread, offset = tau ** (1.0 - w), x[o_level + c] - w * mu
        width = tau**w
        z = offset / width
        lp -= 0.5 * z * z + w * log_tau
        grad[o_level + c] = g_level * spread - z / width
        g_mu += g_level * (1.0 - w * spread) + w * z / width
        g_log_tau += g_level * (1.0 - w) * spread * offset + w * (z * z - 1.0)
    prior, g_log_drift, g_log_own = walks_backward(
        g_pi, x[o_waves:o_own], x[o_own:o_delay], x[o_drift], x[o_drift + 1], walk_centred, own_centred, basis,
        beside, common, scale, grad[o_waves:o_own], grad[o_own:o_delay], g_beside,
    )  # fmt: skip
    lp += prior
    width = math.sqrt(mu_prior[1] ** 2 + RATE_SPREAD) if channels == 1 else mu_prior[1]
    z = (mu - mu_prior[0]) / width
    lp -= 0.5 * z * z + math.log(width)
    grad[0] = g_mu - z / width
    lp += 2.0 * log_tau - RATE_TAU * tau  # Gamma(2, rate) and the Jacobian
    grad[1] = g_log_tau + 2.0 - RATE_TAU * tau
    v, g = scale_prior(x[o_drift], drift_prior[0])
    lp += v
    grad[o_drift] = g_log_drift + g
    v, g = scale_prior(x[o_drift + 1], drift_prior[1])
    lp += v
    grad[o_drift + 1] = g_log_own + g
    v, g = scale_prior(x[o_drift + 2], noise_prior)
    lp += v
    grad[o_drift + 2] = g_noise * noise + g
    return lp
