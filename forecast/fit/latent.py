"""The parts of a fit as linear Gaussian models around a path, given their scales: what `fit.weighed` weighs.

The scales theta of a part are the logs of its sds, its delay and the like. Each has a score v = Phi^-1(prior cdf of
theta), which is N(0, 1) before data are seen. All else is counted in effects that are N(0, 1) too: common ones a, and
those of each channel b. So the density is that of N(0, 1) in all of (v, a, b), times the likelihood; the point of
`fit.points` is the same in other coordinates. Channel c sees the effects through its unit coordinates u_c = (level,
waves of a walk, ...), of which they are multiples,

    u_c = sum over common columns of sd x a + sum over own columns of sd x b_c,

and each of its rows (a count, a marginal return, a lift test) is taken to be straight in u_c around a path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainccinv, gammaincinv, log_ndtr, ndtr, ndtri

from forecast.equations import (
    common_sds,
)
from forecast.fit.gaussian import Columns, Rows
from forecast.fit.parts import Part

Array = NDArray[np.float64]
Told = tuple[Array, Array, Array]

FARTHEST = 2.0  # that a logit or a log mean moves in one step of the path
WIDEST = 6.0  # score at which the path of a channel's response is held
WIDTH = 1e-3  # of a score: over which slopes of the response are taken
HOLLOW = -0.4  # least curvature of the likelihood that a response is given, where the prior's is 1
CHUNK = 1e6  # numbers held at once


@dataclass(frozen=True)
class Scale:
    """Prior of the log of one scale: "gamma" (2, rate), "half" (of a normal, sd), "normal" (mean, sd of the log)."""

    name: str
    kind: str
    first: float
    second: float = 1.0

    def at(self, score: Array) -> Array:
        """The log of the scale whose prior cdf is that of a standard normal at `score`."""
        if self.kind == "normal":
            return np.asarray(self.first + self.second * score)
        low, high = ndtr(score), ndtr(-score)
        if self.kind == "gamma":
            value = np.where(score < 0.0, gammaincinv(2.0, low), gammainccinv(2.0, high))
            return np.asarray(np.log(value) - math.log(self.first))
        far = log_ndtr(score) + 0.5 * math.log(0.5 * math.pi)  # a normal is flat there
        log_value = np.log(np.maximum(-ndtri(0.5 * high), 1e-300))
        return np.asarray(math.log(self.first) + np.where(score < -5.0, far, log_value))


class Latent:
    """One part given its scales. Settings of them (G, S) lead, or draws (D); `counts` says how many draws each has.

    path: unit coordinates (channel, column) around which the data are looked at.
    """

    scales: tuple[Scale, ...]
    common: slice  # of the columns
    own: slice
    path: Array
    learnt: tuple[Array, Array]
    periods: int
    channels: int
    idle: tuple[Scale, ...] = ()  # scales at the end of the point that the data do not touch
    wide = False  # whether the common effects are few and their tails heavier than a normal's
    bent = 0  # how many of the last effects of a channel are far from Gaussian
    noisy = False  # whether cells have noise, which may differ by channel
    events = 0  # how many common columns are events and past changes, each of some channels
    touched: Array  # whom, (channel, column); 1 of all other columns
    learns = False  # whether these are a channel's last columns as they stand, and `learn` may correct them

    def __init__(self, part: Part) -> None:
        self.data: Mapping[str, Any] = part.data
        self.apart = np.zeros(0)  # log noise of each channel over that of all

    def sds(self, theta: Array) -> tuple[Array, Array]:
        """What a common effect and a channel's own move their columns by, (G, P) and (G, Q)."""
        raise NotImplementedError

    def seen(self, theta: Array, *, bent: bool) -> Rows:
        """What the data say around the path at each setting; `bent`: with what is not straight in the coordinates."""
        raise NotImplementedError

    def log_likelihood(self, theta: Array, counts: Columns, u: Array) -> Array:
        """Log likelihood of each channel at unit coordinates u (D, channel, column): (D, channel)."""
        raise NotImplementedError

    def told(self, theta: Array) -> Array:
        """Log likelihood of what the data say of the scales alone, (G,)."""
        return self.noise_told(theta).sum(axis=1)

    def noise_told(self, theta: Array) -> Array:
        """What a channel's data say of its noise alone, (G, channel)."""
        return np.zeros((len(theta), len(self.path)))

    def of_draws(self, draws: Mapping[str, Array]) -> tuple[Array, Array]:
        """Log likelihood of draws as samplers give them, (draw, ...) by parameter.

        By cell, (draw, channel, period), and of what is of no period, (draw, column). Without the current budget.
        """
        raise NotImplementedError

    def _scales_of(self, draws: Mapping[str, Array]) -> Array:
        return np.stack([np.log(draws[scale.name]) for scale in self.scales], axis=1)

    def points(self, theta: Array, a: Array, b: Array) -> Array:
        """The points (D, dimension), see `fit.points`, of draws of scales (D, S) and effects."""
        raise NotImplementedError

    def points_of(self, theta: Array, a: Array, b: Array, rng: np.random.Generator) -> Array:
        """The same, with scales that the data do not touch drawn from their prior."""
        x = self.points(theta, a, b)
        if self.idle:
            spread = [scale.first + scale.second * rng.standard_normal(len(x)) for scale in self.idle]
            x[:, -len(self.idle) :] = np.stack(spread, axis=1)
        return x

    def coordinates(self, sds: tuple[Array, Array], counts: Columns, a: Array, b: Array) -> Array:
        """Unit coordinates (D, channel, column) of draws of effects, (D, P) and (D, channel, Q)."""
        common_sd, own_sd = (np.repeat(sd, counts, axis=0) for sd in sds)
        u = np.zeros((*b.shape[:2], self.path.shape[1]))
        u[:, :, self.own] = own_sd[:, None] * b
        u[:, :, self.common] += (common_sd * a)[:, None]
        if self.events:
            u *= self.touched
        return u

    def _take_events(self, columns: int) -> Array:
        """Take up events of the data: their unit columns (period, event), which stand before `columns` others."""
        d, shape = self.data, (self.periods, self.channels)
        self.offset = d.get("event_offset", np.zeros(shape)).T
        found: Array = d.get("event_columns", np.zeros((0, shape[0])))
        self.events = len(found)
        self.touched = np.ones((shape[1], columns + self.events))
        if self.events:
            self.touched[:, : self.events] = d["event_channels"].T
        return found.T

    def _with_events(self, common: Array) -> Array:
        """Sds of common columns, (G, P), with those of the events before them."""
        if not self.events:
            return common
        own = np.broadcast_to(self.data["event_sds"], (len(common), self.events))
        return np.concatenate([own, common], axis=1)

    def moved(self, step: Array) -> None:
        """Move the path by so much, or by less where that is far."""
        raise NotImplementedError

    def look(self, path: Array) -> None:
        """Look at the data around another path."""
        self.path = path

    def slopes(self, theta: Array, u: Array) -> Array:
        """Gradient of the log likelihood at one setting (1, S) and unit coordinates (channel, column), which it keeps.

        The path is there afterwards.
        """
        self.look(u)
        seen = self.seen(theta, bent=False)
        return np.asarray((seen.rows[0] * seen.score[0, :, :, None]).sum(axis=1))

    def learn(self, bend: Array, pull: Array) -> None:
        """Take up further curvature and slope in the last effects of each channel, (channel, m, m), (channel, m)."""
        self.learnt = bend, pull

    def first_scores(self) -> tuple[Array, Array]:
        """Means and sds of the scores where the first round looks."""
        return np.zeros(len(self.scales)), np.ones(len(self.scales))

    def theta(self, scores: Array) -> Array:
        """Settings (G, S) of scores."""
        return np.stack([scale.at(scores[:, i]) for i, scale in enumerate(self.scales)], axis=1)


def common_waves(log_drift: Array, log_shock: Array, data: Mapping[str, Any]) -> Array:
    """Sds of the common waves at each setting, (G, wave)."""
    return common_sds(np.exp(log_drift), np.exp(log_shock), data["basis"])
