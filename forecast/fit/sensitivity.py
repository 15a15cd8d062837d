"""How far single numbers rest on their priors: power-scaling sensitivity, at fit time.

The prior (or the likelihood) is raised to a power near one and the draws are reweighted; how fast a quantity's
distribution moves, as a cumulative Jensen-Shannon distance per doubling, is its sensitivity. Above 0.05 for the prior
and below it for the likelihood, a number is mostly its prior; above it for both, prior and data pull apart or share the
work. Only priors that a person sets are scaled (company rates, scales, delays, elasticities, deal values), not the
walks and levels that they govern. Source: Kallioinen, Paananen, Buerkner & Vehtari 2024; arviz_stats makes the weights.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.equations import jensen_shannon
from forecast.fit.hazards import Fitted
from forecast.fit.kinds import latent_of
from forecast.fit.parts import Part
from forecast.fit.points import Draws
from forecast.fit.posterior import CERTAIN, kept_draws, kept_of
from forecast.fit.scales import (
    DEAL_CV,
    DEAL_CV_SD,
    LEVEL_SD,
    RATE_SPREAD,
    RATE_TAU,
    TRAFFIC_TAU,
    VALUE_SPREAD,
    VALUE_TAU,
)
from forecast.fit.traffic_latent import Traffic

Array = NDArray[np.float64]

ALPHAS = (0.99, 1.01)
TOP = {
    "mu",
    "tau",
    "drift",
    "own_drift",
    "noise",
    "delay_mean",
    "delay_cv",
    "cv",
}  # and the z_ of the response
SHUFFLES = 4
Quantities = Mapping[str, tuple[Array, Sequence[str]]]


@dataclass(frozen=True)
class Pull:
    """log prior and log likelihood of one part by kept draw: what pulls its posterior.

    by_parameter: the log prior of each parameter whose prior a person sets, (kept,) or (kept, channel).
    """

    prior: Array
    likelihood: Array
    by_parameter: Mapping[str, Array] = field(default_factory=dict)


def part_sensitivities(
    sampled: Draws, part: Part, quantities: Quantities, channels: Sequence[str]
) -> tuple[list[dict[str, Any]], Pull]:
    """Sensitivity of quantities of one part, one record each, and the pull on the whole part.

    quantities: name -> (values of shape (draw,) or (draw, channel), parameters whose priors are scaled). A quantity by
    channel is set against the data of that channel, and against its own prior where the parameter is by channel.

    Records: quantity, part, channel ("" where there is none), prior, likelihood (sensitivities).
    """
    few = kept_of(sampled)
    by_channel = _log_likelihood(few, part)
    together, single = _weights(by_channel.sum(axis=1)), cache(lambda c: _weights(by_channel[:, c]))
    found = []
    for quantity, (values, parameters) in quantities.items():
        flat, priors = (
            values[kept_draws(len(values))],
            [_log_prior(few, part.data, name) for name in parameters],
        )
        wide = flat.ndim > 1
        summed = _summed(priors, by_channel=wide)
        own = cache(lambda c, of=summed: _weights(of[:, min(c, of.shape[1] - 1)]))
        for c, name in enumerate(channels if wide else [""]):
            g = flat[:, c] if wide else flat
            if np.ptp(g) == 0.0:
                continue
            likelihood = single(c) if wide and part.kind not in ("value", "mix") else together
            found.append(
                {"quantity": quantity, "part": part.label, "channel": name}
                | {
                    "prior": _sensitivity(g, own(c)),
                    "likelihood": _sensitivity(g, likelihood),
                }
            )
    top = [name for name in few if name in TOP or name.startswith("z_")]
    apart = {name: _log_prior(few, part.data, name) for name in top}
    pull = sum(values.reshape(len(by_channel), -1).sum(axis=1) for values in apart.values())
    return found, Pull(np.asarray(pull), by_channel.sum(axis=1), apart)


def hazard_sensitivities(
    made: Fitted, part: str, quantities: Mapping[str, Array], channels: Sequence[str]
) -> tuple[list[dict[str, Any]], Pull]:
    """The same of the hazards of dated leads: quantities (draw,) or (draw, channel) against the prior of the cure."""
    kept = kept_draws(len(made.log_prior))
    by_channel, log_prior = made.log_likelihood, made.log_prior[kept]
    prior, together = _weights(log_prior), _weights(by_channel.sum(axis=1))
    found = []
    for quantity, values in quantities.items():
        flat = values[kept]
        for c, name in enumerate(channels if flat.ndim > 1 else [""]):
            g = flat[:, c] if flat.ndim > 1 else flat
            if np.ptp(g) == 0.0:
                continue
            data = _weights(by_channel[:, c]) if flat.ndim > 1 else together
            told = {"prior": _sensitivity(g, prior), "likelihood": _sensitivity(g, data)}
            found.append({"quantity": quantity, "part": part, "channel": name} | told)
    return found, Pull(log_prior, by_channel.sum(axis=1), {"cure": log_prior})


def sensitivity_of(values: Array, pulls: Sequence[Pull]) -> dict[str, float]:
    """Sensitivity of a quantity (draw,) that several parts make together."""
    g = values[kept_draws(len(values))]
    prior, likelihood = (
        np.sum([getattr(p, kind) for p in pulls], axis=0) for kind in ("prior", "likelihood")
    )
    return {"prior": _sensitivity(g, _weights(prior)), "likelihood": _sensitivity(g, _weights(likelihood))}


def company_rate(path: Array, prior: Array) -> tuple[Array, float, float]:
    """Mean logit rate over periods and channels, by draw, and the mean and sd that the prior gave it.

    The sd holds the company's own and the spread of channels around it, tau ~ Gamma(2, 4). The prior's centre itself
    is no measure: where all channels lie far away, a large tau explains them without moving it.
    """
    there = (path[0] < CERTAIN).any(axis=0)
    channels = max(int(there.sum()), 1)
    sd = math.sqrt(float(prior[1]) ** 2 + RATE_SPREAD / channels)
    return path[:, :, there].mean(axis=(1, 2)) if there.any() else path[:, 0, 0], float(prior[0]), sd


def _summed(priors: Sequence[Array], *, by_channel: bool) -> Array:
    """Sum of log priors, (draw, channel); (draw, 1) where none is by channel, or that is not asked for."""
    apart = [p if by_channel and p.ndim > 1 else p.reshape(len(p), -1).sum(axis=1)[:, None] for p in priors]
    return np.sum(np.broadcast_arrays(*apart), axis=0)


def _log_likelihood(few: Draws, part: Part) -> Array:
    """log p(y | theta) by draw and channel; more columns hold what is of no channel, deal values in the last."""
    latent = latent_of(part)
    cells, other = latent.of_draws(few)
    by_channel = cells.sum(axis=2)
    if isinstance(latent, Traffic):  # lift tests are a channel's own
        return np.asarray(by_channel + other @ latent.tests_of)
    return np.concatenate([by_channel, other], axis=1)


def _log_prior(few: Draws, data: Mapping[str, Array], name: str) -> Array:
    """log prior of a parameter by draw, and by channel where it has one; up to a constant."""
    x = few[name]
    if name == "mu":
        given = np.atleast_1d(data["mu_prior"] if "mu_prior" in data else data["level_prior"])
        variance = given[1] ** 2 if len(given) > 1 else LEVEL_SD**2
        if data["deals" if "deals" in data else "y"].shape[-1] == 1 and len(given) > 1:
            variance += VALUE_SPREAD if "deals" in data else RATE_SPREAD
        return _normal(x, given[0], math.sqrt(variance))
    by_name: dict[str, Callable[[], Array]] = {
        "tau": lambda: np.log(x) - (RATE_TAU if "mu_prior" in data else TRAFFIC_TAU) * x,
        "drift": lambda: np.log(x) - np.ravel(data["drift_prior"])[0] * x,
        "own_drift": lambda: np.log(x) - data["drift_prior"][1] * x,
        "noise": lambda: np.log(x) - data["noise_prior"] * x,
        "delay_mean": lambda: _normal(np.log(x), *data["delay_prior"][:2]) - np.log(x),
        "delay_cv": lambda: _normal(np.log(x), *data["delay_prior"][2:]) - np.log(x),
        "cv": lambda: _normal(np.log(x), DEAL_CV, DEAL_CV_SD) - np.log(x),
    }
    if "deals" in data and name == "tau":
        return _normal(x, 0.0, VALUE_TAU)
    if name.startswith("z_"):
        return _normal(x, 0.0, 1.0)
    return np.asarray(by_name[name]())


def _normal(x: Array, mean: float, sd: float) -> Array:
    return np.asarray(-0.5 * ((x - mean) / sd) ** 2)


def _weights(component: Array) -> tuple[Array, Array]:
    """Importance weights that scale a component of the log posterior by each power, tails Pareto-smoothed."""
    from arviz_stats.base.array import array_stats

    made = []
    for alpha in ALPHAS:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):  # a short tail: five are smoothed
                warnings.filterwarnings("ignore", "Number of tail draws", UserWarning)
                log_w = np.asarray(array_stats.power_scale_lw(component, alpha=alpha))  # type: ignore[no-untyped-call]
        except ValueError:  # all draws of the tail alike: nothing there to smooth
            log_w = (alpha - 1.0) * component
        if not np.isfinite(log_w).all():  # draws of few settings: a tail in steps
            log_w = (alpha - 1.0) * component
        w = np.exp(log_w - log_w.max())
        made.append(w / w.sum())
    return made[0], made[1]


def _sensitivity(values: Array, weights: tuple[Array, Array]) -> float:
    """Power-scaling sensitivity, less what weights that have nothing to do with the values would show.

    A distance is never negative: with a thousand draws chance alone makes about 0.03 of it, in quadrature.
    """
    rng = np.random.default_rng(0)
    both = np.stack(weights)
    shuffled = [both[:, rng.permutation(len(values))] for _ in range(SHUFFLES)]
    apart = jensen_shannon(values, np.concatenate([both, *shuffled])).reshape(1 + SHUFFLES, len(ALPHAS))
    own, *chance = (apart / np.abs(np.log2(ALPHAS))).mean(axis=1)
    return math.sqrt(max(own**2 - float(np.mean(np.square(chance))), 0.0))
