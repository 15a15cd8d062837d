"""The deal value of a fit as a Gaussian model given its scales: see `fit.latent`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from forecast.fit.data import value_raw
from forecast.fit.gaussian import Columns, Rows
from forecast.fit.latent import FARTHEST, Latent, Scale
from forecast.fit.parts import Part
from forecast.fit.paths import value_path
from forecast.fit.scales import (
    DEAL_CV,
    DEAL_CV_SD,
    SEASON_SD,
    VALUE_SPREAD,
    VALUE_TAU,
)

Array = NDArray[np.float64]


class Values(Latent):
    """Deal value: log mean of a deal = mu + level of the channel + season + walk; revenue of W deals is Gamma.

    Columns of a channel: events, season, waves of the walk that all channels share, level. See `model.value_model`.
    """

    wide, bent = True, 1

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        d = self.data
        self.periods, self.channels = d["deals"].shape
        self.seasons, self.waves = d["season_basis"].shape[1], max(self.periods - 1, 1)
        self.seasonal = bool(d["season_basis"].any())
        self.scales = (
            Scale("tau", "half", VALUE_TAU),
            Scale("cv", "normal", DEAL_CV, DEAL_CV_SD),
            Scale("drift", "gamma", float(d["drift_prior"])),
            Scale("season_sd", "gamma", SEASON_SD),
        )
        events = self._take_events(self.seasons + self.waves + 1)
        many = self.events + self.seasons + self.waves
        self.common, self.own = slice(0, many + 1), slice(many, many + 1)
        self.unit = np.concatenate(
            [events, d["season_basis"], d["basis"].T, np.ones((self.periods, 1))], axis=1
        )
        deals, revenue = d["deals"].sum(axis=0), d["revenue"].sum(axis=0)
        mean = (revenue.sum() + 1e-300) / max(deals.sum(), 1e-300)
        self.path = np.zeros((self.channels, many + 1))
        self.path[:, -1] = np.log((revenue + mean) / (deals + 1.0)) - d["level_prior"][0]
        self.learnt = np.zeros((self.channels, 0, 0)), np.zeros((self.channels, 0))

    def sds(self, theta: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        alone = self.channels == 1
        level = math.sqrt(self.data["level_prior"][1] ** 2 + alone * VALUE_SPREAD)
        tau, _, drift, season = np.exp(theta.T)[:, :, None]
        walk, seasons = drift * np.ones(self.waves), season * np.ones(self.seasons)
        common = np.concatenate([seasons, walk, np.full((len(theta), 1), level)], axis=1)
        return self._with_events(common), 0.0 * tau if alone else tau

    def seen(self, theta: Array, *, bent: bool) -> Rows:  # noqa: ARG002 - straight
        """See `Latent`."""
        d, precision = self.data, np.exp(-2.0 * theta[:, 1, None, None])
        scaled = d["revenue"].T * np.exp(-d["level_prior"][0] - self.offset - self.path @ self.unit.T)
        curvature, score = precision * scaled, precision * (scaled - d["deals"].T)
        rows = np.broadcast_to(self.unit, (1, self.channels, *self.unit.shape))
        if self.events:
            rows = rows * self.touched[:, None]
        return Rows(rows, curvature, score, *self.learnt)

    def _cells(self, theta: Array, log_mean: Array) -> Array:
        """Log likelihood by cell at log means (D, channel, period), but for what does not depend on them."""
        d, precision = self.data, np.exp(-2.0 * theta[:, 1, None, None])
        return np.asarray(-precision * (d["deals"].T * log_mean + d["revenue"].T * np.exp(-log_mean)))

    def log_likelihood(self, theta: Array, counts: Columns, u: Array) -> Array:
        """See `Latent`."""
        log_mean = self.data["level_prior"][0] + self.offset + u @ self.unit.T
        return np.asarray(self._cells(np.repeat(theta, counts, axis=0), log_mean).sum(axis=2))

    def told(self, theta: Array) -> Array:
        """What does not depend on the means."""
        d, shape = self.data, np.exp(-2.0 * theta[:, 1])
        of_deals = shape * (d["deals"].sum() * np.log(shape) + d["deals_log_revenue"].sum())
        return np.asarray(of_deals - gammaln(shape[:, None] * d["sizes"]) @ d["size_cells"])

    def of_draws(self, draws: Mapping[str, Array]) -> tuple[Array, Array]:
        """See `Latent`; what is told of deals one by one is of no period."""
        theta, log_mean = self._scales_of(draws), value_path(draws, self.data).swapaxes(1, 2)
        told = self._cells(theta, log_mean).sum(axis=(1, 2)) + self.told(theta)
        return np.zeros((len(theta), self.channels, 0)), told[:, None]

    def moved(self, step: Array) -> None:
        """See `Latent`."""
        far = np.abs(step @ self.unit.T).max()
        self.path = self.path + step * min(1.0, FARTHEST / max(far, 1e-9))

    def points(self, theta: Array, a: Array, b: Array) -> Array:
        """See `Latent`."""
        mean, sd = self.data["level_prior"]
        mu = mean + math.sqrt(sd**2 + (self.channels == 1) * VALUE_SPREAD) * a[:, -1:]
        tau = np.exp(theta[:, :1])
        raw = value_raw(self.data, mu + tau * b[:, :, 0], mu, tau)
        events, season, waves = np.split(a[:, :-1], [self.events, self.events + self.seasons], axis=1)
        return np.concatenate([mu, theta[:, :1], raw, theta[:, 1:], waves, season, events], axis=1)
