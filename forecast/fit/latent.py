"""The parts of a fit as linear Gaussian models around a path, given their scales: what `fit.weighed` weighs.

The scales theta of a part are the logs of its sds, its delay and the like. Each has a score v = Phi^-1(prior cdf of
theta), which is N(0, 1) before data are seen. All else is counted in effects that are N(0, 1) too: common ones a, and
those of each channel b. So the density is that of N(0, 1) in all of (v, a, b), times the likelihood; the kernels' point
is the same in other coordinates. Channel c sees the effects through its unit coordinates u_c = (level, waves of a walk,
...), of which they are multiples,

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
from scipy.special import expit, gammainccinv, gammaincinv, gammaln, log_ndtr, logit, ndtr, ndtri

from forecast.equations import (
    FLOOR,
    acting_spend,
    beta_binomial_slope,
    carry_weights,
    delay_pmf,
    due,
    effective_trials,
    log_beta_binomial,
    log_choices,
    log_marginal,
    log_negative_binomial,
    mean_shape,
    response,
)
from forecast.fit.data import response_of, value_levels, value_raw
from forecast.fit.gaussian import Columns, Rows
from forecast.fit.parts import Part
from forecast.fit.paths import logit_rates, reference_path
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
WIDEST = 6.0  # score at which the path of a channel's response is held
WIDTH = 1e-3  # of a score: over which slopes of the response are taken
STEP = 1e-3  # of a logit: half the distance at which a curvature is taken as the difference of two scores
LEAST_CURVATURE = 0.05  # of what the cell is expected to tell: keeps the Gaussian where a cell lies far out
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
    idle: tuple[Scale, ...] = ()  # scales at the end of the point that the data do not touch
    wide = False  # whether the common effects are few and their tails heavier than a normal's
    bent = 0  # how many of the last effects of a channel are far from Gaussian
    learns = False  # whether these are a channel's last columns as they stand, and `learn` may correct them

    def __init__(self, part: Part) -> None:
        self.data: Mapping[str, Any] = part.data

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
        return np.zeros(len(theta))

    def of_draws(self, draws: Mapping[str, Array]) -> tuple[Array, Array]:
        """Log likelihood of draws as samplers give them, (draw, ...) by parameter.

        By cell, (draw, channel, period), and of what is of no period, (draw, column). Without the current budget.
        """
        raise NotImplementedError

    def _scales_of(self, draws: Mapping[str, Array]) -> Array:
        return np.stack([np.log(draws[scale.name]) for scale in self.scales], axis=1)

    def points(self, theta: Array, a: Array, b: Array) -> Array:
        """The kernels' points (D, dimension) of draws of scales (D, S) and effects."""
        raise NotImplementedError

    def coordinates(self, sds: tuple[Array, Array], counts: Columns, a: Array, b: Array) -> Array:
        """Unit coordinates (D, channel, column) of draws of effects, (D, P) and (D, channel, Q)."""
        common_sd, own_sd = (np.repeat(sd, counts, axis=0) for sd in sds)
        u = np.zeros((*b.shape[:2], self.path.shape[1]))
        u[:, :, self.own] = own_sd[:, None] * b
        u[:, :, self.common] += (common_sd * a)[:, None]
        return u

    def moved(self, step: Array) -> None:
        """Move the path by so much, or by less where that is far."""
        raise NotImplementedError

    def learn(self, bend: Array, pull: Array) -> None:
        """Take up further curvature and slope in the last effects of each channel, (channel, m, m), (channel, m)."""
        self.learnt = bend, pull

    def first_scores(self) -> tuple[Array, Array]:
        """Means and sds of the scores where the first round looks."""
        return np.zeros(len(self.scales)), np.ones(len(self.scales))

    def theta(self, scores: Array) -> Array:
        """Settings (G, S) of scores."""
        return np.stack([scale.at(scores[:, i]) for i, scale in enumerate(self.scales)], axis=1)


@dataclass(frozen=True)
class _Entered:
    """What the cells of a transition are set against, at each setting: all (G, channel, period) or spread to it.

    trials: of each cell; inside (G, period, period of entry), early: who is due of those that entered, in the window
    and before it; expected: all that are due; lived: share of the delay that a cohort has lived through.
    """

    noise: Array
    trials: Array
    inside: Array
    early: Array
    expected: Array
    lived: Array


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
        self.common = self.own = slice(0, 1 + self.waves)
        entered, moved = ((d[k] * d["weight"]).sum(axis=0) for k in ("n", "y"))
        share = (moved + 1.0) / (entered + 1.0 / expit(d["mu_prior"][0]))
        self.path = np.zeros((self.channels, 1 + self.waves))
        self.path[:, 0] = logit(np.clip(share, 1e-4, 0.95)) - d["mu_prior"][0]
        self.learnt = np.zeros((self.channels, 0, 0)), np.zeros((self.channels, 0))

    def pmf(self, theta: Array) -> Array:
        """Delay by age, (G, age)."""
        ages = self.data["age_weights"].shape[1]
        if not self.delayed:
            return np.broadcast_to(np.eye(1, ages), (len(theta), ages))
        return delay_pmf(np.exp(theta[:, 4]), np.exp(theta[:, 5]), ages)

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
            theta[:, 4:6] = d["delay_prior"][::2] + d["delay_prior"][1::2] * v
            told = self.told(theta) - 0.5 * (v**2).sum(axis=1)
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
        tau, drift, own = np.exp(theta[:, :3].T)
        alone, walk = self.channels == 1, np.ones(self.waves)
        level = math.sqrt(self.data["mu_prior"][1] ** 2 + alone * RATE_SPREAD)
        common = np.column_stack([np.full(len(theta), level), drift[:, None] * walk])
        return common, np.column_stack([0.0 * tau if alone else tau, own[:, None] * walk])

    def _entered(self, theta: Array) -> _Entered:
        d, f = self.data, self.pmf(theta)
        n, y = d["n"].T, d["y"].T
        units = np.where(d["weight"].T > 0.0, n, np.maximum(n, y))
        noise = np.exp(theta[:, 3, None, None])
        if not self.calendar:
            lived = np.minimum(np.cumsum(f, axis=1) @ d["age_weights"].T, 1.0)
            trials = np.broadcast_to(units, (len(theta), *units.shape))
            return _Entered(noise, trials, np.zeros((0, 0, 0)), np.zeros((0, 0, 0)), trials, lived[:, None])
        inside, older = due(f, self.periods)
        before = np.exp(theta[:, 6, None, None]) if self.delayed else 1.0
        early = before * d["early"][:, None] * older[:, None]
        expected = n @ inside.swapaxes(1, 2) + early
        trials = np.broadcast_to(units, expected.shape)
        if self.delayed:
            trials = np.where(d["weight"].T > 0.0, effective_trials(y, expected), units)
        return _Entered(noise, trials, inside, early, expected + FLOOR, np.ones((1, 1, 1)))

    def seen(self, theta: Array, *, bent: bool) -> Rows:  # noqa: ARG002 - rates are straight enough
        """See `Latent`. Row t is d logit p_t / d coordinates; its score and curvature those of the exact likelihood."""
        d, entered = self.data, self._entered(theta)
        y, weight, noise = d["y"].T, d["weight"].T, entered.noise
        pi = expit(d["mu_prior"][0] + self.path @ self.unit.T)
        p = self._shares(
            entered, np.ones(len(theta), dtype=np.int64), np.broadcast_to(pi, (len(theta), *pi.shape))
        )
        inner, moving = p * (1.0 - p), pi * (1.0 - pi)
        if self.calendar:
            step = (
                entered.inside[:, None] * (d["n"].T * moving)[:, None] / (entered.expected * inner)[..., None]
            )
            step[..., 0] += entered.early * moving[:, :1] / (entered.expected * inner)
            rows = step @ self.unit
        else:
            rows = ((1.0 - pi) / (1.0 - p))[..., None] * self.unit
        odds = p / (1.0 - p)
        low, high = (
            beta_binomial_slope(y, entered.trials, x / (1.0 + x), noise)
            for x in (odds * math.exp(-STEP), odds * math.exp(STEP))
        )
        alike = noise**2 * inner
        alike = alike / (1.0 + alike)  # correlation of two units of one cell
        least = (
            LEAST_CURVATURE * entered.trials * inner / (1.0 + np.maximum(entered.trials - 1.0, 0.0) * alike)
        )
        curvature = weight * np.maximum((low - high) / (2.0 * STEP), least)
        return Rows(rows, curvature, weight * 0.5 * (low + high), *self.learnt)

    def _shares(self, entered: _Entered, counts: Columns, pi: Array) -> Array:
        """Share p of each cell's trials that moves, at rates pi (D, channel, period) of settings so often drawn."""
        if not self.calendar:
            return np.clip(pi * np.repeat(entered.lived, counts, axis=0), FLOOR, 1.0 - FLOOR)
        moving, moved = self.data["n"].T * pi, np.empty_like(pi)
        ends = np.cumsum(counts)
        for inside, first, last in zip(entered.inside, ends - counts, ends, strict=True):
            rows = moving[first:last].reshape(-1, self.periods)
            moved[first:last] = (rows @ inside.T).reshape(-1, *pi.shape[1:])
        early, expected = (np.repeat(x, counts, axis=0) for x in (entered.early, entered.expected))
        return np.clip((moved + early * pi[..., :1]) / expected, FLOOR, 1.0 - FLOOR)

    def _cells(self, theta: Array, counts: Columns, eta: Array) -> Array:
        """Log likelihood by cell at logit rates (D, channel, period)."""
        d, entered = self.data, self._entered(theta)
        p = self._shares(entered, counts, expit(eta))
        y, weight = d["y"].T, d["weight"].T
        by_setting = entered.trials, entered.noise, log_choices(y, entered.trials)
        trials, noise, choices = (np.repeat(x, counts, axis=0) for x in by_setting)
        return np.asarray(weight * (log_beta_binomial(y, trials, p, noise) + choices))

    def log_likelihood(self, theta: Array, counts: Columns, u: Array) -> Array:
        """See `Latent`."""
        eta = self.data["mu_prior"][0] + u @ self.unit.T
        return np.asarray(self._cells(theta, counts, eta).sum(axis=2))

    def of_draws(self, draws: Mapping[str, Array]) -> tuple[Array, Array]:
        """See `Latent`."""
        theta, eta = self._scales_of(draws), logit_rates(draws, self.data).swapaxes(1, 2)
        each = max(int(CHUNK // self.periods**2), 1)
        rows = [slice(i, i + each) for i in range(0, len(theta), each)]
        ones = np.ones(each, dtype=np.int64)
        cells = [self._cells(theta[i], ones[: len(theta[i])], eta[i]) for i in rows]
        return np.concatenate(cells), self.told(theta)[:, None]

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
        return np.concatenate(x, axis=1)


class Traffic(Latent):
    """Traffic: log mean = mu + level + response to spend + season + walks + days; today's budget; lift tests.

    Columns of a channel: season, the middle of the log marginal returns, level, waves, scores of its response.
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
        many = self.seasons + 2 + self.waves
        self.common, self.own = slice(0, many), slice(self.seasons + 1, many + 3)
        nothing, one = np.zeros((self.periods, 1)), np.ones((self.periods, 1))
        self.unit = np.concatenate([d["season_basis"], nothing, one, d["basis"].T], axis=1)
        self.today = self.unit[-1].copy()  # log level of today over the middle
        self.today[: self.seasons], self.today[self.seasons] = 0.0, -1.0
        self.path = np.zeros((self.channels, many + 3))
        total, cells = (d["y"] * d["weight"]).sum(axis=0), d["weight"].sum(axis=0)
        self.path[:, self.seasons + 1] = np.log((total + 0.5) / (cells + 0.5)) - d["level_prior"]
        self.lifted = d["lift_channel"].astype(int)
        self.tests_of = (self.lifted[:, None] == np.arange(self.channels)).astype(float)  # test, channel
        self.learnt = np.zeros((self.channels, 3, 3)), np.zeros((self.channels, 3))
        self._look()

    def shares(self, z: Array) -> tuple[Array, Array, Array]:
        """Elasticity, base and carry-over (..., channel) at scores z (..., channel, 3)."""
        names = ("z_elasticity", "z_base", "z_carry")
        return response_of(self.data, {name: z[..., i] for i, name in enumerate(names)})

    def _responses(self, z: Array) -> tuple[Array, Array, Array]:
        """At scores z: log response (period, channel), log marginal return less log traffic, what tests measure."""
        d = self.data
        beta, base, carry = self.shares(z)
        acting = acting_spend(carry, d["spend_lags"])
        logs = d["responds"] * np.log(response(acting, beta, base))
        marginal = d["tuned"] * log_marginal(d["log_worth"], beta, base, d["log_current"], d["log_spend"])
        return logs, marginal, self._lifts(beta, base, carry)

    def _lifts(self, beta: Array, base: Array, carry: Array) -> Array:
        """What tests measure, as a multiple of each period's traffic at reference spend: (..., test, period)."""
        d, c, age = self.data, self.lifted, self.data["lift_age"].astype(int)
        beta, base = beta[..., c, None], base[..., c, None]
        until = np.cumsum(carry_weights(carry[..., c], len(d["spend_lags"]) - 1), axis=0)
        until = np.moveaxis(np.concatenate([0.0 * until[:1], until]), 0, -1)
        before, change = d["lift_spend"][:, :1] + 1e-9, d["lift_spend"][:, 1:]
        share = np.take_along_axis(until, np.broadcast_to(age, (*until.shape[:-2], *age.shape)), axis=-1)
        acting = np.maximum(before + change * share, 1e-9)
        now = np.exp(d["log_current"])[c, None]
        gain = mean_shape(acting, beta, now) - mean_shape(before, beta, now)
        return np.asarray(d["lift_share"] * (1.0 - base) * gain)

    def _look(self) -> None:
        """What does not depend on the scales: means and rows around the path, with slopes and bends of responses."""
        d, z = self.data, self.path[:, -3:]
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
        straight = self.path[:, :-3]
        path = d["level_prior"] + straight @ self.unit.T + d["log_days"]  # channel, period
        self.log_mean = path + here[0].T
        last, tests = self.periods, len(self.lifted)
        rows = np.zeros((self.channels, last + 1 + tests, self.path.shape[1]))
        rows[:, :last, :-3] = self.unit
        rows[:, :last, -3:] = slopes[0].swapaxes(0, 1)
        rows[:, last, :-3] = self.today
        rows[:, last, -3:] = slopes[1]
        self.marginal = here[1] + d["tuned"] * (d["level_prior"] + straight @ self.today)
        traffic = np.exp(path)[self.lifted]
        at = last + 1 + np.arange(tests)
        rows[self.lifted, at, :-3] = (traffic * here[2]) @ self.unit
        rows[self.lifted, at, -3:] = np.einsum("et,eti->ei", traffic, slopes[2])
        self.miss = (d["lift"] - (traffic * here[2]).sum(axis=1)) / d["lift_sd"] ** 2
        self.rows, self.bends = rows, bends
        self.lift_bend = np.einsum("et,etij->eij", traffic, bends[2]) * self.miss[:, None, None]

    def sds(self, theta: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        tau, season, drift, own = np.exp(theta[:, :4].T)[:, :, None]
        one, walk = np.ones((len(theta), 1)), np.ones(self.waves)
        alone = self.channels == 1
        level = math.sqrt(LEVEL_SD**2 + TRAFFIC_SPREAD) * one if alone else tau
        middle = 0.0 * one if alone else LEVEL_SD * one
        common = np.concatenate([season * np.ones(self.seasons), one, middle, drift * walk], axis=1)
        return common, np.concatenate([level, own * walk, one, one, one], axis=1)

    def seen(self, theta: Array, *, bent: bool) -> Rows:
        """See `Latent`."""
        d, last, settings = self.data, self.periods, len(theta)
        size = _size(theta)
        nu, y, weight = np.exp(self.log_mean), d["y"].T, d["weight"].T
        curvature, score = (np.zeros((settings, *self.rows.shape[:2])) for _ in range(2))
        score[:, :, :last] = weight * (y - nu) * size / (size + nu)
        curvature[:, :, :last] = weight * (y + size) * size * nu / (size + nu) ** 2
        curvature[:, :, last] = d["tuned"] / (np.exp(2.0 * theta[:, 5, None]) + d["worth_sd"] ** 2)
        score[:, :, last] = -curvature[:, :, last] * self.marginal
        at = last + 1 + np.arange(len(self.lifted))
        curvature[:, self.lifted, at] = d["lift_sd"] ** -2.0
        score[:, self.lifted, at] = self.miss
        bend, pull = np.zeros((settings, self.channels, 3, 3)), np.zeros((settings, self.channels, 3))
        if bent:
            bend -= np.einsum("gct,tcij->gcij", score[:, :, :last], self.bends[0])
            bend -= score[:, :, last, None, None] * self.bends[1]
            bend -= np.einsum("ec,eij->cij", self.tests_of, self.lift_bend)
            # Where the likelihood is hollow, a normal wider than the prior would lead far away.
            values, axes = np.linalg.eigh(bend)
            bend = (axes * np.maximum(values, HOLLOW)[..., None, :]) @ axes.swapaxes(-1, -2)
            pull = np.einsum("gcij,cj->gci", bend, self.path[:, -3:]) + self.learnt[1]
            bend += self.learnt[0]
        return Rows(self.rows[None], curvature, score, bend, pull)

    def log_likelihood(self, theta: Array, counts: Columns, u: Array) -> Array:
        """See `Latent`."""
        each = max(int(CHUNK // (u.shape[1] * self.periods * len(self.data["spend_lags"]))), 1)
        rows = np.repeat(np.arange(len(theta)), counts)
        cuts = np.arange(0, len(rows), each)
        return np.concatenate([self._of_draws(theta[rows[i : i + each]], u[i : i + each]) for i in cuts])

    def _of_draws(self, theta: Array, u: Array) -> Array:
        d, z = self.data, u[..., -3:]
        shares = self.shares(z)
        paths = d["level_prior"] + u[..., :-3] @ self.unit.T + d["log_days"]
        found = self._cells(theta, paths, shares).sum(axis=2)
        now, (beta, base, _) = d["level_prior"] + u[..., :-3] @ self.today, shares
        marginal = now + log_marginal(d["log_worth"], beta, base, d["log_current"], d["log_spend"])
        variance = np.exp(2.0 * theta[:, 5, None]) + d["worth_sd"] ** 2
        found -= 0.5 * d["tuned"] * (marginal**2 / variance + np.log(variance))
        return found + self._tests(paths, shares) @ self.tests_of

    def _cells(self, theta: Array, paths: Array, shares: tuple[Array, Array, Array]) -> Array:
        """Log likelihood by cell, but for gamma functions of counts, at log traffic (D, C, T) at reference spend."""
        d, (beta, base, carry) = self.data, shares
        acting = acting_spend(carry, d["spend_lags"])
        logs = np.log(response(acting, beta[:, None], base[:, None])).swapaxes(1, 2)
        cells = log_negative_binomial(d["y"].T, paths + d["responds"][:, None] * logs, _size(theta))
        return np.asarray(d["weight"].T * cells)

    def _tests(self, paths: Array, shares: tuple[Array, Array, Array]) -> Array:
        """Log likelihood of each lift test, (D, test)."""
        gain = (np.exp(paths[:, self.lifted]) * self._lifts(*shares)).sum(axis=2)
        return np.asarray(-0.5 * ((self.data["lift"] - gain) / self.data["lift_sd"]) ** 2)

    def of_draws(self, draws: Mapping[str, Array]) -> tuple[Array, Array]:
        """See `Latent`; a column for each lift test."""
        d, theta = self.data, self._scales_of(draws)
        paths, size = reference_path(draws, d).swapaxes(1, 2), _size(theta)
        shares = response_of(d, draws)
        told = d["weight"].T * (gammaln(d["y"].T + size) - gammaln(size))
        return self._cells(theta, paths, shares) + told, self._tests(paths, shares)

    def told(self, theta: Array) -> Array:
        """Gamma functions of the counts, which the noise alone moves."""
        cells, inverse = np.unique(self.data["y"][self.data["weight"] > 0], return_inverse=True)
        weights = np.bincount(inverse, self.data["weight"][self.data["weight"] > 0])
        size = _size(theta)[:, :, 0]
        return np.asarray((gammaln(size + cells) - gammaln(size)) @ weights)

    def moved(self, step: Array) -> None:
        """See `Latent`."""
        far = max(np.abs(step[:, :-3] @ self.unit.T).max() / FARTHEST, np.abs(step[:, -3:]).max())
        self.path = self.path + step * min(1.0, 1.0 / max(far, 1e-9))
        self.path[:, -3:] = np.clip(self.path[:, -3:], -WIDEST, WIDEST)
        self._look()

    def points(self, theta: Array, a: Array, b: Array) -> Array:
        """See `Latent`."""
        d, draws = self.data, len(theta)
        logs = [theta[:, i, None] for i in range(6)]
        tau, season_sd, drift, own = (np.exp(log) for log in logs[:4])
        alone, w = self.channels == 1, self.waves
        season, (middle, centre), steps = a[:, : self.seasons], a[:, self.seasons :][:, :2].T, a[:, -w:]
        mu = d["level_prior"] + LEVEL_SD * centre[:, None]
        if alone:
            level = d["level_prior"] + math.sqrt(LEVEL_SD**2 + TRAFFIC_SPREAD) * b[:, :, 0]
        else:
            level = mu + tau * b[:, :, 0]
        beside = (season_sd * season) @ d["season_waves"].T
        v, s = d["walk_centred"], d["own_centred"]
        waves = drift**v * steps + v * beside
        both = drift * steps + beside
        own_waves = own[:, :, None] ** s * b[:, :, 1 : 1 + w].swapaxes(1, 2) + s * both[:, :, None]
        z = [b[:, :, 1 + w + i] for i in range(3)]
        x = [mu, logs[0], level, *z, logs[1], season_sd ** d["season_centred"] * season, *logs[2:5], waves]
        x += [own_waves.reshape(draws, -1), middle[:, None], logs[5]]
        return np.concatenate(x, axis=1)


class Values(Latent):
    """Deal value: log mean of a deal = mu + level of the channel; revenue of W deals is Gamma(W / cv^2, ...)."""

    wide, bent = True, 1

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        d = self.data
        self.channels = len(d["deals"])
        self.scales = (Scale("tau", "half", VALUE_TAU), Scale("cv", "normal", DEAL_CV, DEAL_CV_SD))
        self.common = self.own = slice(0, 1)
        mean = (d["revenue"].sum() + 1e-300) / max(d["deals"].sum(), 1e-300)
        pooled = (d["revenue"] + mean) / (d["deals"] + 1.0)
        self.path = (np.log(pooled) - d["level_prior"][0])[:, None]
        self.learnt = np.zeros((self.channels, 0, 0)), np.zeros((self.channels, 0))

    def sds(self, theta: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        alone = self.channels == 1
        level = math.sqrt(self.data["level_prior"][1] ** 2 + alone * VALUE_SPREAD)
        tau = 0.0 * theta[:, :1] if alone else np.exp(theta[:, :1])
        return np.full((len(theta), 1), level), tau

    def seen(self, theta: Array, *, bent: bool) -> Rows:  # noqa: ARG002 - one column, straight
        """See `Latent`."""
        d, precision = self.data, np.exp(-2.0 * theta[:, 1, None])
        scaled = d["revenue"] * np.exp(-d["level_prior"][0] - self.path[:, 0])
        curvature, score = precision * scaled, precision * (scaled - d["deals"])
        return Rows(np.ones((1, self.channels, 1, 1)), curvature[..., None], score[..., None], *self.learnt)

    def log_likelihood(self, theta: Array, counts: Columns, u: Array) -> Array:
        """See `Latent`."""
        d, precision = self.data, np.repeat(np.exp(-2.0 * theta[:, 1, None]), counts, axis=0)
        log_mean = d["level_prior"][0] + u[..., 0]
        return np.asarray(-precision * (d["deals"] * log_mean + d["revenue"] * np.exp(-log_mean)))

    def told(self, theta: Array) -> Array:
        """What does not depend on the means."""
        d, shape = self.data, np.exp(-2.0 * theta[:, 1])
        of_deals = shape * (d["deals"].sum() * np.log(shape) + d["deals_log_revenue"].sum())
        return np.asarray(of_deals - gammaln(shape[:, None] * d["sizes"]) @ d["size_cells"])

    def of_draws(self, draws: Mapping[str, Array]) -> tuple[Array, Array]:
        """See `Latent`; sums alone were kept, so all is of no period."""
        theta = self._scales_of(draws)
        u = (value_levels(self.data, draws) - self.data["level_prior"][0])[..., None]
        each = self.log_likelihood(theta, np.ones(len(theta), dtype=np.int64), u)
        return np.zeros((len(theta), self.channels, 0)), (each.sum(axis=1) + self.told(theta))[:, None]

    def moved(self, step: Array) -> None:
        """See `Latent`."""
        self.path = self.path + np.clip(step, -FARTHEST, FARTHEST)

    def points(self, theta: Array, a: Array, b: Array) -> Array:
        """See `Latent`."""
        mean, sd = self.data["level_prior"]
        mu = mean + math.sqrt(sd**2 + (self.channels == 1) * VALUE_SPREAD) * a[:, :1]
        tau = np.exp(theta[:, :1])
        raw = value_raw(self.data, mu + tau * b[:, :, 0], mu, tau)
        return np.concatenate([mu, theta[:, :1], raw, theta[:, 1:]], axis=1)


def _size(theta: Array) -> Array:
    """Size of the negative binomial of each cell, (G, 1, 1): 1 / noise^2, bounded."""
    return np.asarray(1.0 / (np.exp(2.0 * theta[:, 4, None, None]) + 1e-4))
