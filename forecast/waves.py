"""Random walks as sums of cosine waves, the coordinates in which they are sampled.

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

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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
