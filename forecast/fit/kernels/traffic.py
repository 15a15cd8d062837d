"""The densities of traffic and of the deal value with their gradients; see `fit.kernels.transition` for why and how."""

from __future__ import annotations

import math

import numpy as np

from forecast.fit.kernels.special import Array, exps, jit, log_gamma_and_digamma, log_gammas, logs
from forecast.fit.kernels.transition import scale_prior, walks_backward, walks_forward
from forecast.fit.scales import (
    DEAL_CV,
    DEAL_CV_SD,
    LEVEL_SD,
    SEASON_SD,
    TRAFFIC_SPREAD,
    TRAFFIC_TAU,
    VALUE_SPREAD,
    VALUE_TAU,
)


@jit
def both_shapes(spend: float, beta: float, log_now: float) -> tuple[float, float, float]:
    """Mean of `equations.power_law` and `michaelis_menten` at z = spend, and its slopes by beta and by z."""
    log_spend = math.log(spend)
    power, level, u = math.exp(beta * log_spend), math.exp(beta * log_now), math.exp(log_spend - log_now)
    under = (1.0 - beta) * u + beta
    saturating = level * u / under
    by_beta = power * log_spend + saturating * (log_now + (u - 1.0) / under)
    by_spend = beta * (power + saturating / under) / spend
    return 0.5 * (power + saturating), 0.5 * by_beta, 0.5 * by_spend


@jit
def lift_test(
    lift: float,
    sd: float,
    share: Array,
    age: Array,
    spend: Array,
    beta: float,
    base: float,
    log_now: float,
    traffic: Array,
    weights: Array,
    d_weights: Array,
    g_path: Array,
    g_season: Array,
) -> tuple[float, float, float, float, float]:
    """Log density of one lift test and its slopes by level, elasticity, base and carry-over.

    Those by the path are added to `g_path` and `g_season`. traffic: at reference spend, by period; weights, d_weights:
    of carry-over by lag, and their slopes; log_now: log of today's spend over the reference. Only periods of the test
    are looked at.
    """
    before = spend[0] + 1e-9
    shape_before, slope_before, _ = both_shapes(before, beta, log_now)
    d_beta, d_base, d_carry = 0.0, 0.0, 0.0
    gain = np.zeros(share.shape[0])
    for t in range(share.shape[0]):
        if share[t] == 0.0:
            continue
        acting, d_acting = 0.0, 0.0
        for k in range(int(age[t])):
            acting += weights[k]
            d_acting += d_weights[k]
        acting = max(before + spend[1] * acting, 1e-9)
        shape, by_beta, by_spend = both_shapes(acting, beta, log_now)
        units = share[t] * traffic[t]
        gain[t] = units * (1.0 - base) * (shape - shape_before)
        d_beta += units * (1.0 - base) * (by_beta - slope_before)
        d_base -= units * (shape - shape_before)
        d_carry += units * (1.0 - base) * by_spend * spend[1] * d_acting
    expected = gain.sum()
    miss = (lift - expected) / sd
    pull = miss / sd
    for t in range(share.shape[0]):
        g_path[t] += pull * gain[t]
        g_season[t] += pull * gain[t]
    return -0.5 * miss * miss, pull * expected, pull * d_beta, pull * d_base, pull * d_carry


@jit
def traffic_kernel(  # noqa: C901, PLR0912, PLR0915 - numba wants one function, and the gradient one pass
    x: Array,
    grad: Array,
    y: Array,
    weight: Array,
    level_prior: float,
    responds: Array,
    spend_lags: Array,
    elasticity_prior: Array,
    base_prior: Array,
    carries: Array,
    carry_prior: Array,
    season_basis: Array,
    log_days: Array,
    drift_prior: Array,
    walk_centred: Array,
    own_centred: Array,
    basis: Array,
    noise_prior: float,
    season_centred: float,
    season_waves: Array,
    spread_prior: Array,
    log_worth: Array,
    log_current: Array,
    log_spend: Array,
    worth_sd: Array,
    tuned: Array,
    lift_channel: Array,
    lift_share: Array,
    lift_age: Array,
    lift_spend: Array,
    lift: Array,
    lift_sd: Array,
) -> float:
    """Log density and gradient of `model.traffic_model`; data as there."""
    periods, channels = y.shape
    lags, seasons = spend_lags.shape[0], season_basis.shape[1]
    o_level, o_beta = 2, 2 + channels
    o_base, o_carry = o_beta + channels, o_beta + 2 * channels
    o_sd = o_carry + channels
    o_season = o_sd + 1
    o_drift = o_season + seasons
    waves = basis.shape[0]
    o_waves = o_drift + 3
    o_own = o_waves + waves
    o_middle = o_own + waves * channels
    mu, log_tau, middle = x[0], x[1], x[o_middle]
    spread, g_log_spread = math.exp(x[o_middle + 1]), 0.0
    tau, season_sd = math.exp(log_tau), math.exp(x[o_sd])
    noise = math.exp(x[o_drift + 2])
    common, scale = np.empty(waves), np.empty((waves, channels))
    path, g_path = np.empty((channels, periods)), np.zeros((channels, periods))
    season_scale, season_width = season_sd ** (1.0 - season_centred), season_sd**season_centred
    seasonal = season_scale * (season_basis @ x[o_season:o_drift])
    beside, g_beside = season_scale * (season_waves @ x[o_season:o_drift]), np.empty(waves)
    walks_forward(
        x[o_waves:o_own], x[o_own:o_middle], x[o_drift], x[o_drift + 1],
        walk_centred, own_centred, basis, beside, common, scale, path,
    )  # fmt: skip
    size = 1.0 / (noise * noise + 1e-4)
    log_size = math.log(size)
    g_size0, p_size0 = log_gamma_and_digamma(size)
    lp, d_size, g_mu, g_log_tau, g_middle = 0.0, 0.0, 0.0, 0.0, 0.0
    g_season = np.zeros(periods)
    acting, d_acting = np.empty(periods), np.empty(periods)
    log_acting, power, mix, log_mix = (
        np.empty(periods),
        np.empty(periods),
        np.empty(periods),
        np.empty(periods),
    )
    log_nu, nu, total, log_total = np.empty(periods), np.empty(periods), np.empty(periods), np.empty(periods)
    log_counts, slopes = np.empty(periods), np.empty(periods)
    carry_weights, d_carry_weights = np.empty(lags), np.empty(lags)
    for c in range(channels):
        level = x[o_level + c]
        beta = 1.0 / (1.0 + math.exp(-(elasticity_prior[0, c] + elasticity_prior[1, c] * x[o_beta + c])))
        base = 1.0 / (1.0 + math.exp(-(base_prior[0, c] + base_prior[1, c] * x[o_base + c])))
        lasts = 1.0 / (1.0 + math.exp(-(carry_prior[0, c] + carry_prior[1, c] * x[o_carry + c])))
        carry = carries[c] * lasts + 1e-12
        whole, d_whole, lasting, before = 0.0, 0.0, 1.0, 0.0  # carry^k and carry^(k - 1)
        for k in range(lags):
            carry_weights[k] = lasting
            d_carry_weights[k] = k * before
            whole += carry_weights[k]
            d_whole += d_carry_weights[k]
            lasting, before = lasting * carry, lasting
        for k in range(lags):
            carry_weights[k] /= whole
            d_carry_weights[k] = (d_carry_weights[k] - carry_weights[k] * d_whole) / whole
        g_level, g_beta, g_base, g_carry = 0.0, 0.0, 0.0, 0.0
        for t in range(periods):
            total[t] = y[t, c] + size
        log_gammas(total, log_counts, slopes)
        log_mix[:] = 0.0
        if responds[c] > 0.0:
            acting[:] = 1e-9
            d_acting[:] = 0.0
            for k in range(lags):
                if k > 1 and abs(d_carry_weights[k]) < 1e-17:  # nothing is left of spend so long ago
                    break
                for t in range(periods):
                    acting[t] += carry_weights[k] * spend_lags[k, t, c]
                    d_acting[t] += d_carry_weights[k] * spend_lags[k, t, c]
            logs(acting, log_acting)
            for t in range(periods):
                power[t] = beta * log_acting[t]
            exps(power, power)
            for t in range(periods):
                mix[t] = base + (1.0 - base) * power[t]
            logs(mix, log_mix)
        for t in range(periods):
            log_nu[t] = level + log_mix[t] + seasonal[t] + log_days[t] + path[c, t]
        exps(log_nu, nu)
        for t in range(periods):
            total[t] = size + nu[t]
        logs(total, log_total)
        for t in range(periods):
            if weight[t, c] == 0.0:
                continue
            lp += weight[t, c] * (
                log_counts[t]
                - g_size0
                + size * (log_size - log_total[t])
                + y[t, c] * (log_nu[t] - log_total[t])
            )
            share = (y[t, c] + size) / total[t]
            g = weight[t, c] * (y[t, c] - share * nu[t])
            d_size += weight[t, c] * (slopes[t] - p_size0 + log_size - log_total[t] + 1.0 - share)
            g_path[c, t] = g
            g_season[t] += g
            g_level += g
            if responds[c] > 0.0:
                g_beta += g * (1.0 - base) * power[t] * log_acting[t] / mix[t]
                g_base += g * (1.0 - power[t]) / mix[t]
                g_carry += g * (1.0 - base) * beta * power[t] / acting[t] / mix[t] * d_acting[t]
        if tuned[c] > 0.0:
            now = level + path[c, periods - 1]
            marginal = (
                log_worth[c] + now + math.log(beta) + math.log1p(-base) + beta * log_current[c] - log_spend[c]
            )
            sd = math.sqrt(spread * spread + worth_sd[c] * worth_sd[c])
            miss = (marginal - middle) / sd
            lp -= 0.5 * tuned[c] * (miss * miss + 2.0 * math.log(sd))
            pull = -tuned[c] * miss / sd
            g_log_spread += tuned[c] * (miss * miss - 1.0) * (spread / sd) ** 2
            g_middle -= pull
            g_level += pull
            g_path[c, periods - 1] += pull
            g_beta += pull * (1.0 / beta + log_current[c])
            g_base -= pull / (1.0 - base)
        for e in range(lift.shape[0]):
            if lift_channel[e] != c:
                continue
            for t in range(periods):  # traffic at reference spend
                total[t] = nu[t] / mix[t] if responds[c] > 0.0 else nu[t]
            value, d_level, d_beta, d_base, d_carry = lift_test(
                lift[e], lift_sd[e], lift_share[e], lift_age[e], lift_spend[e], beta, base, log_current[c],
                total, carry_weights, d_carry_weights, g_path[c], g_season,
            )  # fmt: skip
            lp += value
            g_level += d_level
            g_beta += d_beta
            g_base += d_base
            g_carry += d_carry
        grad[o_beta + c] = g_beta * beta * (1.0 - beta) * elasticity_prior[1, c] - x[o_beta + c]
        grad[o_base + c] = g_base * base * (1.0 - base) * base_prior[1, c] - x[o_base + c]
        grad[o_carry + c] = g_carry * carries[c] * lasts * (1.0 - lasts) * carry_prior[1, c] - x[o_carry + c]
        lp -= 0.5 * (x[o_beta + c] ** 2 + x[o_base + c] ** 2 + x[o_carry + c] ** 2)
        if channels == 1:
            lp -= 0.5 * (level - level_prior) ** 2 / (LEVEL_SD**2 + TRAFFIC_SPREAD)
            grad[o_level] = g_level - (level - level_prior) / (LEVEL_SD**2 + TRAFFIC_SPREAD)
            continue
        z = (level - mu) / tau
        lp -= 0.5 * z * z + log_tau
        grad[o_level + c] = g_level - z / tau
        g_mu += z / tau
        g_log_tau += z * z - 1.0
    prior, g_log_drift, g_log_own = walks_backward(
        g_path, x[o_waves:o_own], x[o_own:o_middle], x[o_drift], x[o_drift + 1], walk_centred, own_centred, basis,
        beside, common, scale, grad[o_waves:o_own], grad[o_own:o_middle], g_beside,
    )  # fmt: skip
    lp += prior
    g_log_season = 0.0
    for j in range(seasons):
        g, z = 0.0, x[o_season + j] / season_width
        for t in range(periods):
            g += g_season[t] * season_scale * season_basis[t, j]
        for k in range(waves):
            g += g_beside[k] * season_scale * season_waves[k, j]
        g_log_season += (1.0 - season_centred) * g * x[o_season + j] + season_centred * (z * z - 1.0)
        grad[o_season + j] = g - z / season_width
        lp -= 0.5 * z * z + math.log(season_width)
    lp += 2.0 * x[o_sd] - SEASON_SD * season_sd
    grad[o_sd] = g_log_season + 2.0 - SEASON_SD * season_sd
    z = (mu - level_prior) / LEVEL_SD
    lp -= 0.5 * z * z
    grad[0] = g_mu - z / LEVEL_SD
    lp += 2.0 * log_tau - TRAFFIC_TAU * tau
    grad[1] = g_log_tau + 2.0 - TRAFFIC_TAU * tau
    v, g = scale_prior(x[o_drift], drift_prior[0])
    lp += v
    grad[o_drift] = g_log_drift + g
    v, g = scale_prior(x[o_drift + 1], drift_prior[1])
    lp += v
    grad[o_drift + 1] = g_log_own + g
    v, g = scale_prior(x[o_drift + 2], noise_prior)
    lp += v
    grad[o_drift + 2] = -2.0 * noise * noise * size * size * d_size + g
    lp -= 0.5 * middle * middle
    grad[o_middle] = g_middle - middle
    z = (x[o_middle + 1] - spread_prior[0]) / spread_prior[1]
    lp -= 0.5 * z * z
    grad[o_middle + 1] = g_log_spread - z / spread_prior[1]
    return lp


@jit
def value_kernel(
    x: Array,
    grad: Array,
    deals: Array,
    revenue: Array,
    deals_log_revenue: Array,
    sizes: Array,
    size_cells: Array,
    level_prior: Array,
    known_level: Array,
    known_precision: Array,
) -> float:
    """Log density and gradient of `model.value_model`; data as there."""
    channels = deals.shape[0]
    mu, log_tau, cv = x[0], x[1], math.exp(x[2 + channels])
    tau = math.exp(log_tau)
    a = 1.0 / (cv * cv)
    log_a = math.log(a)
    lp, g_a, g_mu, g_log_tau = 0.0, 0.0, 0.0, 0.0
    reach = 0.0 if channels == 1 else tau
    for c in range(channels):
        odds = tau * tau * known_precision[c]
        root, share = math.sqrt(1.0 + odds), odds / (1.0 + odds)
        slope = -tau * known_precision[c] / (1.0 + odds)
        shift, apart = slope * (mu - known_level[c]), x[2 + c] / root
        z = shift + apart
        z_tau = shift * (1.0 - 2.0 * share) - share * apart
        log_m = mu + reach * z
        scaled = revenue[c] * math.exp(-log_m)
        lp += a * (deals[c] * (log_a - log_m) + deals_log_revenue[c] - scaled)
        g_a += deals[c] * (log_a - log_m + 1.0) + deals_log_revenue[c] - scaled
        g = a * (scaled - deals[c])
        pull = g * reach - z  # on z
        g_mu += g + pull * slope
        g_log_tau += g * reach * z + pull * z_tau - share
        grad[2 + c] = pull / root
        lp -= 0.5 * (z * z + math.log1p(odds))
    for i in range(sizes.shape[0]):
        value, digamma = log_gamma_and_digamma(a * sizes[i])
        lp -= size_cells[i] * value
        g_a -= size_cells[i] * sizes[i] * digamma
    width = math.sqrt(level_prior[1] ** 2 + VALUE_SPREAD) if channels == 1 else level_prior[1]
    z = (mu - level_prior[0]) / width
    lp -= 0.5 * z * z + math.log(width)
    grad[0] = g_mu - z / width
    lp += log_tau - 0.5 * (tau / VALUE_TAU) ** 2  # HalfNormal and the Jacobian
    grad[1] = g_log_tau + 1.0 - (tau / VALUE_TAU) ** 2
    z = (x[2 + channels] - DEAL_CV) / DEAL_CV_SD
    lp -= 0.5 * z * z
    grad[2 + channels] = -2.0 * a * g_a - z / DEAL_CV_SD
    return lp
