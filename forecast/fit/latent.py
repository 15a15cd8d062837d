"""The parts of a fit as linear Gaussian models around a path, given their scales: what `fit.weighed` weighs.

The scales theta of a part are the logs of its sds, its delay and the like. Each has a score v = Phi^-1(prior cdf of
theta), which is N(0, 1) before data are seen. All else is counted in effects that are N(0, 1) too: common ones a, and
those of each channel b. Together (theta, a, b) are the kernels' point x in other coordinates,

    log p(theta, a, b) = kernel(x(theta, a, b)) + log |dx / d(a, b)|.

Channel c sees them through its unit coordinates u_c = (level, waves of a walk, ...), of which effects are multiples,

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
from scipy.special import expit, gammainccinv, gammaincinv, log_ndtr, logit, ndtr, ndtri

from forecast.equations import acting_spend, delay_pmf, log_marginal, mean_shape, response
from forecast.fit.gaussian import product
from forecast.fit.parts import Part
from forecast.fit.scales import (
    BEFORE_SD,
    DEAL_CV,
    DEAL_CV_SD,
    LEVEL_SD,
    RATE_SPREAD,
    RATE_TAU,
    SEASON_SD,
    TRAFFIC_SPREAD,
    TRAFFIC_TAU,
    VALUE_SPREAD,
    VALUE_TAU,
)

Array = NDArray[np.float64]

FARTHEST = 2.0  # that a logit or a log mean moves in one step of the path
WIDEST = 3.0  # score at which the path of a channel's response is held
WIDTH = 1e-3  # of a score: over which slopes of the response are taken


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

    def log_prior(self, log_value: Array) -> Array:
        """Log density of the log, up to a constant."""
        if self.kind == "normal":
            return np.asarray(-0.5 * ((log_value - self.first) / self.second) ** 2)
        value = np.exp(log_value)
        if self.kind == "half":
            return np.asarray(log_value - 0.5 * (value / self.first) ** 2)
        return np.asarray(2.0 * log_value - self.first * value)


@dataclass(frozen=True)
class Rows:
    """What the data say around the path: see `kernels.blocks.solve_blocks`."""

    rows: Array
    curvature: Array
    score: Array
    bend: Array
    pull: Array


class Latent:
    """One part given its scales. `around`: the path, as unit coordinates (channel, column)."""

    scales: tuple[Scale, ...]
    common: NDArray[np.int64]
    own: NDArray[np.int64]
    around: Array
    learnt: tuple[Array, Array]
    idle: tuple[Scale, ...] = ()  # scales at the end of the point that the data do not touch
    wide = False  # whether the common effects are few and their tails heavier than a normal's
    bent = 0  # how many of the last effects of a channel are far from Gaussian
    learns = False  # whether these are a channel's last columns as they stand, and `learn` may correct them

    def __init__(self, part: Part) -> None:
        self.data: Mapping[str, Any] = part.data

    def index(self, name: str) -> int:
        """Place of a scale."""
        return [scale.name for scale in self.scales].index(name)

    def sds(self, theta: Array) -> tuple[Array, Array]:
        """What a common effect and a channel's own move their columns by at one setting, (P,), (Q,)."""
        raise NotImplementedError

    def seen(self, theta: Array, *, bent: bool) -> Rows:
        """What the data say around the path at one setting; `bent`: with what is not straight in the coordinates."""
        raise NotImplementedError

    def points(self, theta: Array, a: Array, b: Array) -> tuple[Array, Array]:
        """The kernels' points (draw, dimension) of draws of scales and effects, and log |dx / d(a, b)| (draw,)."""
        raise NotImplementedError

    def moved(self, step: Array) -> None:
        """Move the path by so much, or by less where that is far."""
        self.around = self.around + step

    def learn(self, bend: Array, pull: Array) -> None:
        """Take up further curvature and slope in the last effects of each channel, (channel, m, m), (channel, m)."""
        self.learnt = bend, pull

    def first_scores(self) -> tuple[Array, Array]:
        """Means and sds of the scores where the first round looks."""
        return np.zeros(len(self.scales)), np.ones(len(self.scales))

    def theta(self, scores: Array) -> Array:
        """Settings (point, scale) of scores."""
        return np.stack([scale.at(scores[:, i]) for i, scale in enumerate(self.scales)], axis=1)

    def log_prior(self, theta: Array) -> Array:
        """Log prior density of settings, up to a constant."""
        columns = [scale.log_prior(theta[:, i]) for i, scale in enumerate(self.scales)]
        return np.asarray(np.sum(columns, axis=0))


class Rates(Latent):
    """A transition: logit rate = mu + level of the channel + common walk + own walk, observed through delays."""

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        d = self.data
        self.calendar, self.delayed = part.kind == "calendar", bool(d["delayed"] > 0)
        self.periods, self.channels = d["n"].shape
        prior = d["delay_prior"]
        self.scales = (
            Scale("tau", "gamma", RATE_TAU),
            Scale("drift", "gamma", float(d["drift_prior"][0])),
            Scale("own_drift", "gamma", float(d["drift_prior"][1])),
            Scale("noise", "gamma", float(d["noise_prior"])),
        )
        rest = (
            Scale("delay_mean", "normal", float(prior[0]), float(prior[1])),
            Scale("delay_cv", "normal", float(prior[2]), float(prior[3])),
            *((Scale("before", "normal", 0.0, BEFORE_SD),) if self.calendar else ()),
        )
        self.idle = () if self.delayed else rest
        self.scales = self.scales + (rest if self.delayed else ())
        self.waves = max(self.periods - 1, 1)
        self.unit = np.ascontiguousarray(np.vstack([np.ones(self.periods), d["basis"]]).T)
        self.common = self.own = np.arange(1 + self.waves)
        entered, moved = ((d[k] * d["weight"]).sum(axis=0) for k in ("n", "y"))
        share = (moved + 1.0) / (entered + 1.0 / expit(d["mu_prior"][0]))
        self.around = np.zeros((self.channels, 1 + self.waves))
        self.around[:, 0] = logit(np.clip(share, 1e-4, 0.95)) - d["mu_prior"][0]
        self.learnt = np.zeros((self.channels, 0, 0)), np.zeros((self.channels, 0))

    def pmf(self, theta: Array) -> Array:
        """Delay by age at one setting."""
        ages = self.data["age_weights"].shape[1]
        if not self.delayed:
            return np.eye(1, ages)[0]
        return delay_pmf(math.exp(theta[4]), math.exp(theta[5]), ages)

    def first_scores(self) -> tuple[Array, Array]:
        """With dated moves: where those put the delay."""
        mean, sd = super().first_scores()
        d = self.data
        if not self.delayed or not d["by_cohort"].any():
            return mean, sd
        grid = np.linspace(-3.0, 3.0, 61)
        v = np.stack([x.ravel() for x in np.meshgrid(grid, grid, indexing="ij")], axis=1)
        for _ in range(2):
            log_delay = d["delay_prior"][::2] + d["delay_prior"][1::2] * v
            pmf = delay_pmf(np.exp(log_delay[:, 0]), np.exp(log_delay[:, 1]), len(d["by_age"]))
            told = np.log(pmf + 1e-12) @ d["by_age"] - np.log(np.cumsum(pmf, axis=1) + 1e-12) @ d["by_cohort"]
            told -= 0.5 * (v**2).sum(axis=1)
            weights = np.exp(told - told.max())
            weights /= weights.sum()
            middle = weights @ v
            cell = 0.5 * np.array([np.diff(np.unique(v[:, i])).min() for i in (0, 1)])
            wide = np.sqrt(weights @ (v - middle) ** 2 + cell**2)
            v = middle + 5.0 * wide * np.stack([x.ravel() for x in np.meshgrid(grid / 3, grid / 3)], axis=1)
        mean[4:6], sd[4:6] = middle, 1.3 * wide
        return mean, sd

    def sds(self, theta: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        tau, drift, own = np.exp(theta[:3])
        alone = self.channels == 1
        level = math.sqrt(self.data["mu_prior"][1] ** 2 + alone * RATE_SPREAD)
        return np.append(level, np.full(self.waves, drift)), np.append(
            0.0 if alone else tau, np.full(self.waves, own)
        )

    def seen(self, theta: Array, *, bent: bool) -> Rows:  # noqa: ARG002 - rates are straight enough
        """See `Latent`."""
        from forecast.fit.kernels.blocks import transition_rows

        d, f = self.data, self.pmf(theta)
        shape = (self.channels, self.periods)
        rows, curvature, score = np.empty((*shape, self.unit.shape[1])), np.empty(shape), np.empty(shape)
        eta = d["mu_prior"][0] + self.around @ self.unit.T
        transition_rows(
            eta, self.unit, d["n"], d["y"], d["weight"], math.exp(theta[3]), f,
            math.exp(theta[6]) if self.calendar and self.delayed else 1.0, d["early"], float(d["delayed"]),
            d["age_weights"] @ np.cumsum(f), self.calendar, rows, curvature, score,
        )  # fmt: skip
        return Rows(rows, curvature, score, *self.learnt)

    def moved(self, step: Array) -> None:
        """See `Latent`."""
        far = np.abs(step @ self.unit.T).max()
        self.around = self.around + step * min(1.0, FARTHEST / max(far, 1e-9))

    def points(self, theta: Array, a: Array, b: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        d, draws = self.data, len(theta)
        tau, drift, own = np.exp(theta[:, :3]).T
        alone = self.channels == 1
        mu = d["mu_prior"][0] + math.sqrt(d["mu_prior"][1] ** 2 + alone * RATE_SPREAD) * a[:, 0]
        w, v, s = d["centred"], d["walk_centred"], d["own_centred"]
        level = b[:, :, 0]
        if not alone:
            level = tau[:, None] ** w * level + mu[:, None] * w
        waves = drift[:, None] ** v * a[:, 1:]
        own_waves = own[:, None, None] ** s * b[:, :, 1:].swapaxes(1, 2)
        own_waves += s * (drift[:, None] * a[:, 1:])[:, :, None]
        idle = np.broadcast_to([scale.first for scale in self.idle], (draws, len(self.idle)))
        logs = [theta[:, i, None] for i in range(len(self.scales))]
        x = [mu[:, None], logs[0], level, *logs[1:4], waves, own_waves.reshape(draws, -1), *logs[4:], idle]
        jacobian = (0.0 if alone else w.sum()) * theta[:, 0] + v.sum() * theta[:, 1] + s.sum() * theta[:, 2]
        return np.concatenate(x, axis=1), jacobian


class Traffic(Latent):
    """Traffic: log mean = mu + level + response to spend + season + walks + days; today's budget; lift tests.

    Columns of a channel: level, waves, season, the middle of the log marginal returns, scores of its response.
    """

    bent, learns = 3, True

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        d = self.data
        self.periods, self.channels = d["y"].shape
        self.waves, self.seasons = max(self.periods - 1, 1), d["season_basis"].shape[1]
        self.scales = (
            Scale("tau", "gamma", TRAFFIC_TAU),
            Scale("season_sd", "gamma", SEASON_SD),
            Scale("drift", "gamma", float(d["drift_prior"][0])),
            Scale("own_drift", "gamma", float(d["drift_prior"][1])),
            Scale("noise", "gamma", float(d["noise_prior"])),
            Scale("return_spread", "normal", float(d["spread_prior"][0]), float(d["spread_prior"][1])),
        )
        many = 1 + self.waves + self.seasons
        self.common = np.arange(many + 1)
        self.own = np.concatenate([np.arange(1 + self.waves), np.arange(many + 1, many + 4)])
        self.unit = np.vstack([np.ones(self.periods), d["basis"], d["season_basis"].T]).T
        self.around = np.zeros((self.channels, many + 4))
        total, cells = (d["y"] * d["weight"]).sum(axis=0), d["weight"].sum(axis=0)
        self.around[:, 0] = np.log((total + 0.5) / (cells + 0.5)) - d["level_prior"]
        self.lifted = d["lift_channel"].astype(int)
        self.learnt = np.zeros((self.channels, 3, 3)), np.zeros((self.channels, 3))
        self._look()

    def shares(self, z: Array) -> tuple[Array, Array, Array]:
        """Elasticity, base and carry-over (channel,) at scores z (channel, 3)."""
        d = self.data
        beta, base, carry = (
            expit(d[f"{name}_prior"][0] + d[f"{name}_prior"][1] * z[:, i])
            for i, name in enumerate(("elasticity", "base", "carry"))
        )
        return beta, base, carry * d["carries"]

    def _responses(self, z: Array) -> tuple[Array, Array, Array]:
        """At scores z: log response (period, channel), log marginal return less log traffic, what tests measure.

        The last as a multiple of each period's traffic at reference spend, (test, period).
        """
        d = self.data
        beta, base, carry = self.shares(z)
        acting = acting_spend(carry, d["spend_lags"])
        logs = d["responds"] * np.log(response(acting, beta, base))
        marginal = d["tuned"] * log_marginal(d["log_worth"], beta, base, d["log_current"], d["log_spend"])
        c, age = self.lifted, d["lift_age"].astype(int)
        weights = (carry[c, None] + 1e-12) ** np.arange(len(d["spend_lags"]))
        until = np.cumsum(np.pad(weights / weights.sum(axis=1, keepdims=True), ((0, 0), (1, 0))), axis=1)
        before, change = d["lift_spend"][:, :1] + 1e-9, d["lift_spend"][:, 1:]
        acting = np.maximum(before + change * np.take_along_axis(until, age, axis=1), 1e-9)
        gain = mean_shape(acting, beta[c, None]) - mean_shape(before, beta[c, None])
        return logs, marginal, d["lift_share"] * (1.0 - base[c, None]) * gain

    def _look(self) -> None:
        """What does not depend on the scales: means and rows around the path, with slopes and bends of responses."""
        d, z = self.data, self.around[:, -3:]
        steps = WIDTH * np.eye(3)
        here = self._responses(z)
        ahead, behind = ([self._responses(z + side * step) for step in steps] for side in (1.0, -1.0))
        slopes = [
            np.stack([(ahead[i][k] - behind[i][k]) / (2 * WIDTH) for i in range(3)], axis=-1)
            for k in range(3)
        ]
        bends = [np.empty((*here[k].shape, 3, 3)) for k in range(3)]
        for i in range(3):
            for j in range(i + 1):
                if i == j:
                    found = [ahead[i][k] - 2.0 * here[k] + behind[i][k] for k in range(3)]
                else:
                    crossed = [
                        self._responses(z + p * steps[i] + q * steps[j]) for p in (1, -1) for q in (1, -1)
                    ]
                    found = [0.25 * (x[0] - x[1] - x[2] + x[3]) for x in zip(*crossed, strict=True)]
                for k in range(3):
                    bends[k][..., i, j] = bends[k][..., j, i] = found[k] / WIDTH**2
        path = (
            d["level_prior"] + self.around[:, : self.unit.shape[1]] @ self.unit.T + d["log_days"]
        )  # channel, period
        self.log_mean = path + here[0].T
        last, tests, many = self.periods, len(self.lifted), self.unit.shape[1]
        rows = np.zeros((self.channels, last + 1 + tests, many + 4))
        rows[:, :last, :many] = self.unit
        rows[:, :last, -3:] = slopes[0].swapaxes(0, 1)
        rows[:, last, : 1 + self.waves] = self.unit[-1, : 1 + self.waves]
        rows[:, last, many] = -1.0
        rows[:, last, -3:] = slopes[1]
        level = self.around[:, : 1 + self.waves] @ self.unit[-1, : 1 + self.waves]
        self.marginal = here[1] + d["tuned"] * (d["level_prior"] + level - self.around[:, many])
        traffic = np.exp(path)[self.lifted]
        at = last + 1 + np.arange(tests)
        rows[self.lifted, at, :many] = (traffic * here[2]) @ self.unit
        rows[self.lifted, at, -3:] = np.einsum("et,eti->ei", traffic, slopes[2])
        self.miss = (d["lift"] - (traffic * here[2]).sum(axis=1)) / d["lift_sd"] ** 2
        self.rows, self.bends = rows, bends
        self.lift_bend = np.einsum("et,etij->eij", traffic, bends[2]) * self.miss[:, None, None]

    def sds(self, theta: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        tau, season, drift, own = np.exp(theta[:4])
        alone = self.channels == 1
        common = [0.0 if alone else LEVEL_SD, *(drift,) * self.waves, *(season,) * self.seasons, 1.0]
        level = math.sqrt(LEVEL_SD**2 + TRAFFIC_SPREAD) if alone else tau
        return np.array(common), np.array([level, *(own,) * self.waves, 1.0, 1.0, 1.0])

    def seen(self, theta: Array, *, bent: bool) -> Rows:
        """See `Latent`."""
        d, last = self.data, self.periods
        size = 1.0 / (math.exp(2.0 * theta[4]) + 1e-4)
        nu, y, weight = np.exp(self.log_mean), d["y"].T, d["weight"].T
        curvature, score = np.zeros(self.rows.shape[:2]), np.zeros(self.rows.shape[:2])
        score[:, :last] = weight * (y - nu) * size / (size + nu)
        curvature[:, :last] = weight * (y + size) * size * nu / (size + nu) ** 2
        curvature[:, last] = d["tuned"] / (math.exp(2.0 * theta[5]) + d["worth_sd"] ** 2)
        score[:, last] = -curvature[:, last] * self.marginal
        at = last + 1 + np.arange(len(self.lifted))
        curvature[self.lifted, at] = d["lift_sd"] ** -2.0
        score[self.lifted, at] = self.miss
        bend, pull = np.zeros((self.channels, 3, 3)), np.zeros((self.channels, 3))
        if bent:
            bend -= np.einsum("ct,tcij->cij", score[:, :last], self.bends[0])
            bend -= score[:, last, None, None] * self.bends[1]
            np.subtract.at(bend, self.lifted, self.lift_bend)
            pull = np.einsum("cij,cj->ci", bend, self.around[:, -3:]) + self.learnt[1]
            bend += self.learnt[0]
        return Rows(self.rows, curvature, score, bend, pull)

    def moved(self, step: Array) -> None:
        """See `Latent`."""
        far = max(
            np.abs(step[:, : self.unit.shape[1]] @ self.unit.T).max() / FARTHEST, np.abs(step[:, -3:]).max()
        )
        self.around = self.around + step * min(1.0, 1.0 / max(far, 1e-9))
        self.around[:, -3:] = np.clip(self.around[:, -3:], -WIDEST, WIDEST)
        self._look()

    def points(self, theta: Array, a: Array, b: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        d, draws = self.data, len(theta)
        logs = [theta[:, i, None] for i in range(6)]
        tau, season_sd, drift, own = (np.exp(log) for log in logs[:4])
        alone, w = self.channels == 1, self.waves
        mu = d["level_prior"] + LEVEL_SD * a[:, :1]
        if alone:
            level = d["level_prior"] + math.sqrt(LEVEL_SD**2 + TRAFFIC_SPREAD) * b[:, :, 0]
        else:
            level = mu + tau * b[:, :, 0]
        season = a[:, 1 + w : -1]
        beside = product(season_sd * season, d["season_waves"].T)
        v, s = d["walk_centred"], d["own_centred"]
        waves = drift**v * a[:, 1 : 1 + w] + v * beside
        both = drift * a[:, 1 : 1 + w] + beside
        own_waves = own[:, :, None] ** s * b[:, :, 1 : 1 + w].swapaxes(1, 2) + s * both[:, :, None]
        z = [b[:, :, 1 + w + i] for i in range(3)]
        x = [mu, logs[0], level, *z, logs[1], season_sd ** d["season_centred"] * season, *logs[2:5], waves]
        x += [own_waves.reshape(draws, -1), a[:, -1:], logs[5]]
        jacobian = (0.0 if alone else self.channels) * theta[:, 0] + self.seasons * d[
            "season_centred"
        ] * theta[:, 1]
        jacobian = jacobian + v.sum() * theta[:, 2] + s.sum() * theta[:, 3]
        return np.concatenate(x, axis=1), jacobian


class Values(Latent):
    """Deal value: log mean of a deal = mu + level of the channel; revenue of W deals is Gamma(W / cv^2, ...)."""

    wide, bent = True, 1

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        d = self.data
        self.channels = len(d["deals"])
        self.scales = (Scale("tau", "half", VALUE_TAU), Scale("cv", "normal", DEAL_CV, DEAL_CV_SD))
        self.common = self.own = np.zeros(1, dtype=np.int64)
        mean = (d["revenue"].sum() + 1e-300) / max(d["deals"].sum(), 1e-300)
        pooled = (d["revenue"] + mean) / (d["deals"] + 1.0)
        self.around = (np.log(pooled) - d["level_prior"][0])[:, None]
        self.learnt = np.zeros((self.channels, 0, 0)), np.zeros((self.channels, 0))

    def sds(self, theta: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        alone = self.channels == 1
        level = math.sqrt(self.data["level_prior"][1] ** 2 + alone * VALUE_SPREAD)
        return np.array([level]), np.array([0.0 if alone else math.exp(theta[0])])

    def seen(self, theta: Array, *, bent: bool) -> Rows:  # noqa: ARG002 - one column, straight
        """See `Latent`."""
        d, precision = self.data, math.exp(-2.0 * theta[1])
        scaled = d["revenue"] * np.exp(-d["level_prior"][0] - self.around[:, 0])
        rows = np.ones((self.channels, 1, 1))
        curvature, score = precision * scaled, precision * (scaled - d["deals"])
        return Rows(rows, curvature[:, None], score[:, None], *self.learnt)

    def moved(self, step: Array) -> None:
        """See `Latent`."""
        self.around = self.around + np.clip(step, -FARTHEST, FARTHEST)

    def points(self, theta: Array, a: Array, b: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        mean, sd = self.data["level_prior"]
        mu = mean + math.sqrt(sd**2 + (self.channels == 1) * VALUE_SPREAD) * a[:, :1]
        return np.concatenate([mu, theta[:, :1], b[:, :, 0], theta[:, 1:]], axis=1), np.zeros(len(theta))


def latent_of(part: Part) -> Latent:
    """A part as a Gaussian model given its scales."""
    kinds: dict[str, type[Latent]] = {"traffic": Traffic, "value": Values}
    return kinds.get(part.kind, Rates)(part)
