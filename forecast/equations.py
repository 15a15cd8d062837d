"""The delay between two stages, in whole periods.

A unit enters a stage at an instant uniform within its period and moves on after a lognormal time with the given mean
and coefficient of variation. The probability that the move falls `d` periods later (double interval censoring) is

    f_d = H(d + 1) - 2 H(d) + H(d - 1),      H(x) = integral of F over [0, x],  H(x <= 0) = 0
    H(x) = x Phi(z) - mean Phi(z - s),       z = (log x - mu) / s,  s^2 = log(1 + cv^2),  mu = log mean - s^2 / 2

Source: Park et al. 2024 and Charniga et al. 2024 on delay distributions with double censoring.


Random walks as sums of cosine waves, the coordinates in which they are sampled.

A random walk of T periods with steps of sd sigma, less its own mean, has the covariance sigma^2 L+, L the Laplacian of
a path of T points. Its eigenvectors are cosines, so exactly

    l_t = sum_k a_k b_k(t),   a_k ~ Normal(0, sigma),   k = 1 .. T - 1
    b_k(t) = sqrt(2 / T) cos(pi k (t + 1/2) / T) / (2 sin(pi k / 2T))

Data of about the same weight in every period pin each a_k by itself, slow waves first. In steps every period's data
would pull on all steps before it, which a sampler with a diagonal mass matrix cannot follow.

The common walk a_k and a channel's own o_kc are sampled partly centred, by weights in [0, 1] (geometry, not model):

    a_k = sigma^(1 - v_k) r_k,                       r_k ~ Normal(0, sigma^v_k)
    o_kc = tau^(1 - w_kc) (s_kc - w_kc a_k),         s_kc ~ Normal(w_kc a_k, tau^w_kc)

At weight 1 a channel's own data speak of the sum a_k + o_kc directly; at weight 0 the prior rules. What else moves all
channels alike, the season with its own waves e_k, is in that sum too: both centres move with it,

    a_k = sigma^(1 - v_k) (r_k - v_k e_k),   o_kc = tau^(1 - w_kc) (s_kc - w_kc (a_k + e_k)).

Source: Papaspiliopoulos, Roberts & Skold 2007.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
FLOOR = 1e-9


def delay_pmf(mean: ArrayLike, cv: ArrayLike, ages: int) -> Array:
    """Probability of moving on at age 0 .. ages - 1, of those who ever move on.

    Args:
        mean: mean delay in periods, any shape `s`; 0 puts all mass on age 0.
        cv: coefficient of variation, broadcast against `mean`.
        ages: number of ages kept; the mass beyond is cut and the rest renormalised to sum to one.

    Returns:
        Array of shape `s + (ages,)`, non-negative, summing to one over the last axis.
    """
    mean = np.asarray(mean, dtype=float)[..., None]
    cv = np.asarray(cv, dtype=float)[..., None]
    safe = np.where(mean > 0, mean, 1.0)
    sigma = np.sqrt(np.log1p(cv**2))
    mu = np.log(safe) - sigma**2 / 2
    x = np.arange(1.0, ages + 1.0)
    z = (np.log(x) - mu) / sigma
    integral = x * ndtr(z) - safe * ndtr(z - sigma)
    zero = np.zeros_like(integral[..., :1])
    h = np.concatenate([zero, zero, integral], axis=-1)  # H(-1), H(0), H(1) .. H(ages)
    # The floor, as the fitted model has it, keeps a delay that lies beyond all ages a distribution.
    pmf = np.clip(h[..., 2:] - 2 * h[..., 1:-1] + h[..., :-2], 0.0, None) + FLOOR
    pmf /= pmf.sum(axis=-1, keepdims=True)
    at_once = np.zeros(ages)
    at_once[0] = 1.0
    return np.where(mean > 0, pmf, at_once)


def ages_needed(mean: float, cv: float, *, tail: float = 0.005, spread: float = 1.6, most: int = 60) -> int:
    """How many ages hold all but `tail` of the delay, were its mean `spread` times longer than expected."""
    if mean <= 0:
        return 1
    sigma = math.sqrt(math.log1p(cv**2))
    mu = math.log(mean * spread) - sigma**2 / 2
    z = NormalDist().inv_cdf(1 - tail)
    return int(min(max(math.ceil(math.exp(mu + sigma * z)) + 1, 3), most))


def in_flight_share(mean: float, cv: float, horizon: int, ages: int = 240) -> float:
    """Share of the moves of the next `horizon` periods that come from units already inside, at stable inflow.

    With survival S(a) = 1 - F_a the share is sum over past ages of [F_{a+h} - F_a] divided by `horizon`.
    """
    cdf = np.cumsum(delay_pmf(mean, cv, ages))
    padded = np.concatenate([cdf, np.ones(horizon)])
    past = np.arange(ages)
    return float((padded[past + horizon] - padded[past]).sum() / horizon)


def walk_waves(periods: int) -> Array:
    """The waves b_k, shape (wave, period); one wave of zeros where there is a single period."""
    if periods == 1:
        return np.zeros((1, 1))
    k, t = np.arange(1.0, periods)[:, None], np.arange(periods)
    return (
        np.sqrt(2.0 / periods)
        * np.cos(np.pi * k * (t + 0.5) / periods)
        / (2.0 * _half_chord(periods))[:, None]
    )


def _half_chord(periods: int) -> Array:
    return np.asarray(np.sin(np.pi * np.arange(1.0, periods) / (2.0 * periods)))


def onto_waves(paths: Array) -> Array:
    """The waves of paths (period, column), their means left out: (wave, column)."""
    basis = walk_waves(len(paths))
    return np.asarray((basis @ paths) / np.maximum((basis**2).sum(axis=1), 1e-300)[:, None])


def waves_centred(drift: Array, precision: Array, delay: Array) -> tuple[Array, Array]:
    """How far to centre the common waves, shape (wave,), and the channels' own, (wave, channel).

    A wave of prior variance s^2 about which the data have the information I is centred by s^2 I / (1 + s^2 I), where
    the sampled number and its centre are uncorrelated.

    Args:
        drift: typical sds of the steps of the common walk and of a channel's own.
        precision: information on a log level or logit in one cell, dims (period, channel).
        delay: probability by age of what blurs a wave on its way into the counts; (1,) of ones where nothing does.
    """
    periods = len(precision)
    if periods == 1:
        return np.zeros(1), np.zeros((1, precision.shape[1]))
    angle = np.pi * np.arange(1.0, periods)[:, None] / periods
    passed = np.abs((delay * np.exp(-1j * angle * np.arange(len(delay)))).sum(axis=1)) ** 2
    variance = 1.0 / (2.0 * _half_chord(periods)) ** 2
    known = passed[:, None] * precision.mean(axis=0)
    own = drift[1] ** 2 * variance[:, None] * known
    common = drift[0] ** 2 * variance * (known / (1.0 + own)).sum(axis=1)
    return common / (1.0 + common), own / (1.0 + own)


def walks(draws: Mapping[str, Array], data: Mapping[str, Array]) -> tuple[Array, Array]:
    """The common walk (..., period) and the channels' own (..., period, channel) of draws in sampled coordinates.

    `draws` hold drift, own_drift (...), waves (..., wave) and own_waves (..., wave, channel); of traffic also season_sd
    (...) and season (..., column).
    """
    v, w, basis = data["walk_centred"], data["own_centred"], walk_waves(len(data["y"]))
    beside = _season_waves(draws, data)
    common = draws["drift"][..., None] ** (1.0 - v) * (draws["waves"] - v * beside)
    own = draws["own_waves"] - w * (common + beside)[..., None]
    own *= draws["own_drift"][..., None, None] ** (1.0 - w)
    return common @ basis, np.swapaxes(np.swapaxes(own, -1, -2) @ basis, -1, -2)


def coordinates(
    steps: Array,
    own_steps: Array,
    scales: tuple[float, float],
    data: Mapping[str, Array],
    season: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Sampled coordinates (`waves`, `own_waves`) of walks given by their steps: the other way round of `walks`.

    Args:
        steps: of the common walk, shape (period,); own_steps: (period, channel). The first one moves nothing.
        scales: sds of the two, at which the coordinates are taken.
        data: arrays of a part, as `walks` takes them.
        season: sampled coordinates of the season (season_sd, season), of traffic.
    """
    v, w = data["walk_centred"], data["own_centred"]
    beside = _season_waves(season or {}, data)
    common, own = (onto_waves(np.cumsum(path, axis=0)) for path in (steps[:, None], own_steps))
    own_waves = own * scales[1] ** (w - 1.0) + w * (common[:, 0] + beside)[:, None]
    return {"waves": common[:, 0] * scales[0] ** (v - 1.0) + v * beside, "own_waves": own_waves}


def _season_waves(draws: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
    """The waves e_k of the season, (..., wave); zeros where there is none."""
    if "season_waves" not in data:
        return np.zeros(len(data["walk_centred"]))
    scale = np.asarray(draws["season_sd"])[..., None] ** (1.0 - data["season_centred"])
    return np.asarray(scale * draws["season"] @ data["season_waves"].T)
