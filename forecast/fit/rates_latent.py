"""A transition of a fit as a Gaussian model given its scales: see `fit.latent`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from forecast.equations import (
    FLOOR,
    beta_binomial_slope,
    delay_pmf,
    effective_trials,
    log_beta_binomial,
    log_choices,
    noise_of_share,
    thinned,
)
from forecast.fit.gaussian import Columns, Rows
from forecast.fit.latent import CHUNK, FARTHEST, Latent, Scale, common_waves
from forecast.fit.parts import Part
from forecast.fit.paths import level_of, logit_rates
from forecast.fit.scales import (
    BEFORE_SD,
    RATE_SPREAD,
    RATE_TAU,
)

Array = NDArray[np.float64]

STEP = 1e-3  # of a logit: half the distance at which a curvature is taken as the difference of two scores
LEAST_CURVATURE = 0.05  # of what the cell is expected to tell: keeps the Gaussian where a cell lies far out


@dataclass(frozen=True)
class _Entered:
    """What the cells of a transition are set against, at each setting: all (G, channel, period) or spread to it.

    trials: of each cell; share: of the rate at which they move, the part of the delay that a cohort has lived through,
    or of calendar counts `equations.thinned`.
    """

    trials: Array
    share: Array


class Rates(Latent):
    """A transition: logit rate = mu + level of the channel + common walk and shocks + own walk; noise by channel.

    Columns of a channel: level, waves.
    """

    noisy = True

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        d = self.data
        self.calendar, self.delayed = part.kind == "calendar", bool(d["delayed"] > 0)
        self.periods, self.channels = d["n"].shape
        self.apart = np.array(d["noise_apart"], dtype=float)
        prior = d["delay_prior"]
        self.scales = (
            Scale("tau", "gamma", RATE_TAU),
            Scale("drift", "gamma", float(d["drift_prior"][0])),
            Scale("own_drift", "gamma", float(d["drift_prior"][1])),
            Scale("noise", "gamma", float(d["noise_prior"])),
            Scale("shock", "gamma", float(d["shock_prior"])),
        )
        rest = (
            Scale("delay_mean", "normal", float(prior[0]), float(prior[1])),
            Scale("delay_cv", "normal", float(prior[2]), float(prior[3])),
            *((Scale("before", "normal", 0.0, BEFORE_SD),) if self.calendar else ()),
        )
        self.idle = () if self.delayed else rest
        self.scales = self.scales + (rest if self.delayed else ())
        self.waves = max(self.periods - 1, 1)
        events, level = self._take_events(1 + self.waves), np.ones((self.periods, 1))
        self.unit = np.ascontiguousarray(np.concatenate([events, level, d["basis"].T], axis=1))
        many = self.events + 1 + self.waves
        self.common, self.own = slice(0, many), slice(self.events, many)
        entered, moved = ((d[k] * d["weight"]).sum(axis=0) for k in ("n", "y"))
        share = (moved + 1.0) / (entered + 1.0 / expit(d["mu_prior"][0]))
        self.path = np.zeros((self.channels, many))
        self.path[:, self.events] = logit(np.clip(share, 1e-4, 0.95)) - d["mu_prior"][0]
        self.learnt = np.zeros((self.channels, 0, 0)), np.zeros((self.channels, 0))
        known = d.get("known_rates", np.zeros((2, self.channels)))
        self.known, self.precision = known[0] - d["mu_prior"][0], known[1]

    def pmf(self, theta: Array) -> Array:
        """Delay by age, (G, age)."""
        ages = self.data["age_weights"].shape[1]
        if not self.delayed:
            return np.broadcast_to(np.eye(1, ages), (len(theta), ages))
        return delay_pmf(np.exp(theta[:, 5]), np.exp(theta[:, 6]), ages)

    def first_scores(self) -> tuple[Array, Array]:
        """With dated moves: where those put the delay."""
        mean, sd = super().first_scores()
        d = self.data
        if not self.delayed or not d["by_cohort"].any():
            return mean, sd
        grid = np.linspace(-3.0, 3.0, 61)
        v = np.stack([x.ravel() for x in np.meshgrid(grid, grid, indexing="ij")], axis=1)
        for _ in range(2):
            theta = np.zeros((len(v), len(self.scales)))
            theta[:, 5:7] = d["delay_prior"][::2] + d["delay_prior"][1::2] * v
            told = self.told(theta) - 0.5 * (v**2).sum(axis=1)
            weights = np.exp(told - told.max())
            weights /= weights.sum()
            middle = weights @ v
            cell = 0.5 * np.array([np.diff(np.unique(v[:, i])).min() for i in (0, 1)])
            wide = np.sqrt(weights @ (v - middle) ** 2 + cell**2)
            v = middle + 5.0 * wide * np.stack([x.ravel() for x in np.meshgrid(grid / 3, grid / 3)], axis=1)
        mean[5:7], sd[5:7] = middle, 1.3 * wide
        return mean, sd

    def sds(self, theta: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        tau, own = np.exp(theta[:, 0]), np.exp(theta[:, 2])
        alone, walk = self.channels == 1, np.ones(self.waves)
        level = math.sqrt(self.data["mu_prior"][1] ** 2 + alone * RATE_SPREAD)
        common = np.column_stack(
            [np.full(len(theta), level), common_waves(theta[:, 1], theta[:, 4], self.data)]
        )
        common = self._with_events(common)
        return common, np.column_stack([0.0 * tau if alone else tau, own[:, None] * walk])

    def _entered(self, theta: Array) -> _Entered:
        d = self.data
        n, y = d["n"].T, d["y"].T
        units = np.where(d["weight"].T > 0.0, n, np.maximum(n, y))
        trials = np.broadcast_to(units, (len(theta), *units.shape))
        if not self.calendar:
            lived = np.minimum(np.cumsum(self.pmf(theta), axis=1) @ d["age_weights"].T, 1.0)
            return _Entered(trials, lived[:, None])
        if not self.delayed:
            return _Entered(trials, np.ones((1, 1, 1)))
        expected, share = thinned(self.pmf(theta), n, np.exp(theta[:, 7, None]) * d["early"])
        return _Entered(np.where(d["weight"].T > 0.0, effective_trials(y, expected), units), share)

    def _noise(self, theta: Array, apart: Array, p: Array, share: Array) -> Array:
        """Noise of cells of rates p (..., channel, period), `share` of the rates whose noise is a parameter."""
        return noise_of_share(np.exp(theta[:, 3, None] + apart)[..., None], p, share)

    def seen(self, theta: Array, *, bent: bool) -> Rows:  # noqa: ARG002 - rates are straight enough
        """See `Latent`. Row t is d logit p_t / d coordinates; its score and curvature those of the exact likelihood."""
        d, entered = self.data, self._entered(theta)
        y, weight, trials = d["y"].T, d["weight"].T, entered.trials
        share = entered.share
        pi = expit(d["mu_prior"][0] + self.offset + self.path @ self.unit.T)
        p = np.clip(pi, FLOOR, 1.0 - FLOOR) * share
        inner = p * (1.0 - p)
        rows = ((1.0 - pi) / (1.0 - p))[..., None] * self.unit
        if self.events:
            rows = rows * self.touched[:, None]
        beside = (expit(logit(p) + x) for x in (-STEP, STEP))
        low, high = (
            beta_binomial_slope(y, trials, x, self._noise(theta, self.apart, x, share), share) for x in beside
        )
        alike = self._noise(theta, self.apart, p, share) ** 2 * inner
        alike = alike / (1.0 + alike)  # correlation of two units of one cell
        least = LEAST_CURVATURE * trials * inner / (1.0 + np.maximum(trials - 1.0, 0.0) * alike)
        curvature = weight * np.maximum((low - high) / (2.0 * STEP), least)
        score = weight * 0.5 * (low + high)
        if not self.precision.any():
            return Rows(rows, curvature, score, *self.learnt)
        row = np.zeros((len(rows), self.channels, 1, rows.shape[-1]))
        row[..., self.events] = 1.0
        off = self.precision * (self.known - self.path[:, self.events])
        more = [np.broadcast_to(x[:, None], (len(theta), self.channels, 1)) for x in (self.precision, off)]
        cells = np.broadcast_arrays(curvature, score)
        curvature, score = (np.concatenate(pair, axis=2) for pair in zip(cells, more, strict=True))
        return Rows(np.concatenate([rows, row], axis=2), curvature, score, *self.learnt)

    def _off_known(self, level: Array) -> Array:
        """Log density of what the study knows of single rates, at levels over the company's prior (..., channel)."""
        return np.asarray(-0.5 * self.precision * (level - self.known) ** 2)

    def _cells(self, theta: Array, counts: Columns, eta: Array, apart: Array) -> Array:
        """Log likelihood by cell at logit rates (D, channel, period), log noises over that of all (D or 1, channel)."""
        d, entered = self.data, self._entered(theta)
        share = np.repeat(entered.share, counts if len(entered.share) > 1 else [len(eta)], axis=0)
        p = np.clip(expit(eta), FLOOR, 1.0 - FLOOR) * share
        y, weight = d["y"].T, d["weight"].T
        by_setting = theta, entered.trials, log_choices(y, entered.trials)
        theta, trials, choices = (np.repeat(x, counts, axis=0) for x in by_setting)
        found = log_beta_binomial(y, trials, p, self._noise(theta, apart, p, share)) + choices
        return np.asarray(weight * found)

    def log_likelihood(self, theta: Array, counts: Columns, u: Array) -> Array:
        """See `Latent`."""
        eta = self.data["mu_prior"][0] + self.offset + u @ self.unit.T
        found = self._cells(theta, counts, eta, self.apart).sum(axis=2)
        return np.asarray(found + self._off_known(u[:, :, self.events]) if self.precision.any() else found)

    def of_draws(self, draws: Mapping[str, Array]) -> tuple[Array, Array]:
        """See `Latent`."""
        theta, eta = self._scales_of(draws), logit_rates(draws, self.data).swapaxes(1, 2)
        other = self.told(theta)[:, None]
        if self.precision.any():
            level = level_of(draws, self.data) - self.data["mu_prior"][0]
            other = np.concatenate([other, self._off_known(level)], axis=1)
        return self._at(theta, eta, draws["noise_apart"]), other

    def of_paths(self, logit_rate: Array, noise: Array, delay: Mapping[str, Array]) -> tuple[Array, Array]:
        """The same at logit rates (draw, period, channel), noises (draw, channel), and delay_mean, delay_cv, before
        (draw,) where there is a delay.
        """
        theta = np.zeros((len(noise), len(self.scales)))
        for i, scale in enumerate(self.scales[5:], start=5):
            theta[:, i] = np.log(delay[scale.name])
        return self._at(theta, logit_rate.swapaxes(1, 2), np.log(noise)), self.told(theta)[:, None]

    def _at(self, theta: Array, eta: Array, apart: Array) -> Array:
        """Log likelihood by cell, piece by piece; `apart` (D, channel): log noises over that of `theta`."""
        each = max(int(CHUNK // (self.periods * max(self.periods, self.channels))), 1)
        rows = [slice(i, i + each) for i in range(0, len(theta), each)]
        ones = np.ones(each, dtype=np.int64)
        return np.concatenate([self._cells(theta[i], ones[: len(theta[i])], eta[i], apart[i]) for i in rows])

    def told(self, theta: Array) -> Array:
        """Ages of dated moves."""
        d = self.data
        if self.calendar or not d["by_cohort"].any():
            return np.zeros(len(theta))
        f = self.pmf(theta)
        return np.asarray(
            np.log(f + 1e-12) @ d["by_age"] - np.log(np.cumsum(f, axis=1) + 1e-12) @ d["by_cohort"]
        )

    def moved(self, step: Array) -> None:
        """See `Latent`."""
        far = np.abs(step @ self.unit.T).max()
        self.path = self.path + step * min(1.0, FARTHEST / max(far, 1e-9))

    def points(self, theta: Array, a: Array, b: Array) -> Array:
        """See `Latent`."""
        d, draws, w = self.data, len(theta), self.waves
        tau, own = np.exp(theta[:, 0]), np.exp(theta[:, 2])
        common = common_waves(theta[:, 1], theta[:, 4], d)
        alone = self.channels == 1
        mu = d["mu_prior"][0] + math.sqrt(d["mu_prior"][1] ** 2 + alone * RATE_SPREAD) * a[:, self.events]
        centred, v, s = d["centred"], d["walk_centred"], d["own_centred"]
        level = b[:, :, 0]
        if not alone:
            level = tau[:, None] ** centred * level + mu[:, None] * centred
        events, steps = a[:, : self.events], a[:, self.events + 1 :]
        waves = common**v * steps
        own_waves = own[:, None, None] ** s * b[:, :, 1 : 1 + w].swapaxes(1, 2)
        own_waves += s * (common * steps)[:, :, None]
        idle = np.broadcast_to([scale.first for scale in self.idle], (draws, len(self.idle)))
        logs = [theta[:, i, None] for i in range(len(self.scales))]
        x = [mu[:, None], logs[0], level, *logs[1:5], waves, own_waves.reshape(draws, -1)]
        return np.concatenate([*x, events, *logs[5:], idle], axis=1)
