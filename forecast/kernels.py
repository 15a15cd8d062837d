"""The densities of `forecast.model` with their gradients, written out by hand and compiled by numba.

`model` says what the models are, in PyMC; this module says it again in loops, because compiling the PyMC graphs costs
minutes on a new machine and seconds on a warm one, and their gradients take three times as long (benchmarks/README.md).
`tests/test_kernels.py` holds the two against each other: same log density, same gradient, at random points.

Every kernel takes the unconstrained point `x` in the order of its `*_SIZES` function, fills `grad` and returns the log
density (with the Jacobians of the log transforms, up to a constant).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

SOFT = 0.25
jit = njit(cache=True, nogil=True, error_model="numpy", fastmath=False)


def transition_sizes(periods: int, channels: int, calendar: bool) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the parameters of a transition, in the order of the point."""
    shapes: list[tuple[str, tuple[int, ...]]] = [
        ("mu", ()),
        ("tau", ()),
        ("level_raw", (channels,)),
        ("drift", ()),
        ("own_drift", ()),
        ("noise", ()),
        ("steps", (periods,)),
        ("own_steps", (periods, channels)),
        ("delay_mean", ()),
        ("delay_cv", ()),
    ]
    return [*shapes, ("before", ())] if calendar else shapes


POSITIVE = frozenset(
    {"tau", "drift", "own_drift", "noise", "delay_mean", "delay_cv", "before", "season_sd", "cv"}
)


@jit
def log_gamma_and_digamma(x: float) -> Any:
    """log Gamma(x) and its derivative for x > 0, by recurrence up to 7 and Stirling's series (abs. error < 1e-11)."""
    shift, product = 0.0, 1.0
    while x < 7.0:
        shift += 1.0 / x
        product *= x
        x += 1.0
    r = 1.0 / x
    r2 = r * r
    log_x = math.log(x)
    tail = r * (
        1 / 12 - r2 * (1 / 360 - r2 * (1 / 1260 - r2 * (1 / 1680 - r2 * (1 / 1188 - r2 * 691 / 360360))))
    )
    value = (x - 0.5) * log_x - x + 0.9189385332046727 + tail
    if product != 1.0:
        value -= math.log(product)
    series = r2 * (
        1 / 12 - r2 * (1 / 120 - r2 * (1 / 252 - r2 * (1 / 240 - r2 * (1 / 132 - r2 * 691 / 32760))))
    )
    return value, log_x - 0.5 * r - series - shift


@jit
def scale_prior(log_value: float, rate: float) -> Any:
    """log density of Gamma(2, rate) at exp(log_value) with the Jacobian, and its derivative in log_value."""
    scaled = rate * math.exp(log_value)
    return 2.0 * (log_value + math.log(rate)) - scaled, 2.0 - scaled


@jit
def walk_forward(steps: Array, sigma: float, centred: float, out: Array) -> None:
    """Fills `out` with the mean-zero walk sigma^(1 - centred) (cumsum(steps) - mean)."""
    total, mean = 0.0, 0.0
    for t in range(steps.shape[0]):
        total += steps[t]
        out[t] = total
        mean += total
    mean /= steps.shape[0]
    scale = sigma ** (1.0 - centred)
    for t in range(steps.shape[0]):
        out[t] = scale * (out[t] - mean)


@jit
def walk_backward(
    path: Array, g_path: Array, sigma: float, centred: float, steps: Array, g_steps: Array
) -> Any:
    """Fills the gradient of the steps, their prior Normal(0, sigma^centred) included; (log prior, d / d log sigma)."""
    mean, g_log_sigma, lp = 0.0, 0.0, 0.0
    for t in range(path.shape[0]):
        mean += g_path[t]
        g_log_sigma += (1.0 - centred) * g_path[t] * path[t]
    mean /= path.shape[0]
    scale, precision = sigma ** (1.0 - centred), sigma ** (-2.0 * centred)
    log_width = centred * math.log(sigma)
    running = 0.0
    for t in range(path.shape[0] - 1, -1, -1):
        running += scale * (g_path[t] - mean)
        pull = precision * steps[t]
        g_steps[t] = running - pull
        lp -= 0.5 * steps[t] * pull + log_width
        g_log_sigma += centred * (steps[t] * pull - 1.0)
    return lp, g_log_sigma


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
def _beta_binomial(y: float, n: float, p: float, noise: float) -> Any:
    """log BetaBinomial of `model._log_beta_binomial` and its derivatives in n, p and noise."""
    q = 1.0 - p
    kappa = 1.0 / (noise * noise * p * q + 1e-6)
    a, b = p * kappa, q * kappa
    g_n1, p_n1 = log_gamma_and_digamma(n + 1.0)
    g_fail1, p_fail1 = log_gamma_and_digamma(n - y + 1.0)
    g_kn, p_kn = log_gamma_and_digamma(kappa + n)
    g_k, p_k = log_gamma_and_digamma(kappa)
    g_bn, p_bn = log_gamma_and_digamma(b + n - y)
    g_b, p_b = log_gamma_and_digamma(b)
    value = g_n1 - g_fail1 + g_bn - g_b - g_kn + g_k
    d_a = 0.0
    if y > 0.0:
        g_ay, p_ay = log_gamma_and_digamma(a + y)
        g_a, p_a = log_gamma_and_digamma(a)
        value += g_ay - g_a
        d_a = p_ay - p_a
    d_b = p_bn - p_b
    d_kappa = p * d_a + q * d_b + p_k - p_kn
    k2 = kappa * kappa
    d_p = kappa * (d_a - d_b) - k2 * noise * noise * (q - p) * d_kappa
    d_noise = -k2 * 2.0 * noise * p * q * d_kappa
    return value, p_n1 - p_fail1 + p_bn - p_kn, d_p, d_noise


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
    ages = age_weights.shape[1]
    o_level, o_drift = 2, 2 + channels
    o_steps = o_drift + 3
    o_own = o_steps + periods
    o_delay = o_own + periods * channels
    mu, log_tau = x[0], x[1]
    tau = math.exp(log_tau)
    drift, own_drift, noise = math.exp(x[o_drift]), math.exp(x[o_drift + 1]), math.exp(x[o_drift + 2])
    mean, cv = math.exp(x[o_delay]), math.exp(x[o_delay + 1])
    before = math.exp(x[o_delay + 2]) if calendar else 1.0

    # Rates.
    common = np.empty(periods)
    walk_forward(x[o_steps:o_own], drift, walk_centred[0], common)
    own = np.empty((channels, periods))
    own_steps = np.ascontiguousarray(x[o_own:o_delay].reshape(periods, channels).T)
    pi = np.empty((periods, channels))
    for c in range(channels):
        w = centred[c]
        level = mu + tau ** (1.0 - w) * (x[o_level + c] - w * mu)
        walk_forward(own_steps[c], own_drift, walk_centred[1], own[c])
        for t in range(periods):
            pi[t, c] = 1.0 / (1.0 + math.exp(-(level + common[t] + own[c, t])))

    # Delay.
    f, d_mean, d_sigma = np.empty(ages), np.empty(ages), np.empty(ages)
    mass, d_sigma_log_cv = _pmf(mean, cv, f, d_mean, d_sigma)
    if delayed == 0.0:
        f[:] = 0.0
        f[0] = 1.0
    g_f = np.zeros(ages)
    g_pi = np.zeros((periods, channels))
    lp, g_noise, g_before = 0.0, 0.0, 0.0

    if calendar:
        tail = np.zeros(periods)  # share of the delay that reaches back before the window
        for t in range(periods):
            for a in range(t + 1, ages):
                tail[t] += f[a]
        for t in range(periods):
            for c in range(channels):
                if weight[t, c] == 0.0:
                    continue
                seed = before * early[c]
                expected, successes = seed * tail[t], seed * tail[t] * pi[0, c]
                for a in range(min(ages, t + 1)):
                    units = f[a] * n[t - a, c]
                    expected += units
                    successes += units * pi[t - a, c]
                p = successes / (expected + 1e-9)
                trials, d_trials = n[t, c], 0.0
                if delayed > 0.0:
                    u = (expected - y[t, c]) / SOFT
                    if u > 0.0:
                        trials = y[t, c] + SOFT * (u + math.log1p(math.exp(-u)))
                    else:
                        trials = y[t, c] + SOFT * math.log1p(math.exp(u))
                    d_trials = 1.0 / (1.0 + math.exp(-u))
                clipped = min(max(p, 1e-9), 1.0 - 1e-9)
                value, d_n, d_p, d_noise = _beta_binomial(y[t, c], trials, clipped, noise)
                lp += weight[t, c] * value
                g_noise += weight[t, c] * d_noise
                if clipped != p:
                    d_p = 0.0
                g_s = weight[t, c] * d_p / (expected + 1e-9)
                g_e = weight[t, c] * d_n * d_trials - g_s * p
                for a in range(min(ages, t + 1)):
                    g_f[a] += n[t - a, c] * (g_e + g_s * pi[t - a, c])
                    g_pi[t - a, c] += g_s * f[a] * n[t - a, c]
                through = seed * (g_e + g_s * pi[0, c])
                for a in range(t + 1, ages):
                    g_f[a] += through
                g_before += through * tail[t]
                g_pi[0, c] += g_s * seed * tail[t]
    else:
        seen = np.cumsum(f)
        g_seen = np.zeros(ages)
        for a in range(ages):
            lp += by_age[a] * math.log(f[a] + 1e-12) - by_cohort[a] * math.log(seen[a] + 1e-12)
            g_f[a] += by_age[a] / (f[a] + 1e-12)
            g_seen[a] -= by_cohort[a] / (seen[a] + 1e-12)
        for t in range(periods):
            lived = 0.0
            for a in range(ages):
                lived += age_weights[t, a] * seen[a]
            capped = min(lived, 1.0)
            g_lived = 0.0
            for c in range(channels):
                if weight[t, c] == 0.0:
                    continue
                p = pi[t, c] * capped
                clipped = min(max(p, 1e-9), 1.0 - 1e-9)
                value, _, d_p, d_noise = _beta_binomial(y[t, c], n[t, c], clipped, noise)
                lp += weight[t, c] * value
                g_noise += weight[t, c] * d_noise
                if clipped == p:
                    g_pi[t, c] += weight[t, c] * d_p * capped
                    g_lived += weight[t, c] * d_p * pi[t, c]
            if lived < 1.0:
                for a in range(ages):
                    g_seen[a] += g_lived * age_weights[t, a]
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
        lp -= 0.5 * (x[o_delay + 2] / 0.25) ** 2
        grad[o_delay + 2] = g_before - x[o_delay + 2] / 0.0625

    # Back through the rates.
    g_common = np.zeros(periods)
    g_own, g_own_steps = np.empty(periods), np.empty(periods)
    g_mu, g_log_tau, g_log_own = 0.0, 0.0, 0.0
    for c in range(channels):
        w = centred[c]
        g_level = 0.0
        for t in range(periods):
            g_own[t] = g_pi[t, c] * pi[t, c] * (1.0 - pi[t, c])
            g_common[t] += g_own[t]
            g_level += g_own[t]
        prior, g_scale = walk_backward(own[c], g_own, own_drift, walk_centred[1], own_steps[c], g_own_steps)
        lp += prior
        g_log_own += g_scale
        for t in range(periods):
            grad[o_own + t * channels + c] = g_own_steps[t]
        spread, offset = tau ** (1.0 - w), x[o_level + c] - w * mu
        width = tau**w
        z = offset / width
        lp -= 0.5 * z * z + w * log_tau
        grad[o_level + c] = g_level * spread - z / width
        g_mu += g_level * (1.0 - w * spread) + w * z / width
        g_log_tau += g_level * (1.0 - w) * spread * offset + w * (z * z - 1.0)
    prior, g_log_drift = walk_backward(
        common, g_common, drift, walk_centred[0], x[o_steps:o_own], grad[o_steps:o_own]
    )
    lp += prior
    z = (mu - mu_prior[0]) / mu_prior[1]
    lp -= 0.5 * z * z + math.log(mu_prior[1])
    grad[0] = g_mu - z / mu_prior[1]
    lp += 2.0 * log_tau - 4.0 * tau  # Gamma(2, 4) and the Jacobian
    grad[1] = g_log_tau + 2.0 - 4.0 * tau
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
