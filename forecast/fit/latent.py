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
from scipy.special import expit, gammainccinv, gammaincinv, gammaln, log_ndtr, logit, ndtr, ndtri

from forecast.equations import (
    FLOOR,
    acting_spend,
    beta_binomial_slope,
    carry_weights,
    common_sds,
    delay_pmf,
    due,
    effective_trials,
    log_beta_binomial,
    log_choices,
    log_marginal,
    log_negative_binomial,
    mean_shape,
    negative_binomial_size,
    response,
)
from forecast.fit.data import response_of, value_raw
from forecast.fit.gaussian import Columns, Rows
from forecast.fit.parts import Part
from forecast.fit.paths import logit_rates, reference_path, value_path
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
Told = tuple[Array, Array, Array]

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


@dataclass(frozen=True)
class _Entered:
    """What the cells of a transition are set against, at each setting: all (G, channel, period) or spread to it.

    trials: of each cell; lived: share of the delay that a cohort has lived through.
    """

    trials: Array
    lived: Array


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
        common = np.column_stack([np.full(len(theta), level), _common(theta[:, 1], theta[:, 4], self.data)])
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
        if self.delayed:
            inside, older = due(self.pmf(theta), self.periods)
            early = np.exp(theta[:, 7, None, None]) * d["early"][:, None] * older[:, None]
            expected = n @ inside.swapaxes(1, 2) + early + FLOOR
            trials = np.where(d["weight"].T > 0.0, effective_trials(y, expected), units)
        return _Entered(trials, np.ones((1, 1, 1)))

    def _noise(self, theta: Array, apart: Array) -> Array:
        """Noise of each cell, (G, channel, 1)."""
        return np.asarray(np.exp(theta[:, 3, None] + apart)[..., None])

    def seen(self, theta: Array, *, bent: bool) -> Rows:  # noqa: ARG002 - rates are straight enough
        """See `Latent`. Row t is d logit p_t / d coordinates; its score and curvature those of the exact likelihood."""
        d, entered = self.data, self._entered(theta)
        y, weight, trials = d["y"].T, d["weight"].T, entered.trials
        noise = self._noise(theta, self.apart)
        pi = expit(d["mu_prior"][0] + self.offset + self.path @ self.unit.T)
        p = np.clip(pi * entered.lived, FLOOR, 1.0 - FLOOR)
        inner = p * (1.0 - p)
        rows = ((1.0 - pi) / (1.0 - p))[..., None] * self.unit
        if self.events:
            rows = rows * self.touched[:, None]
        odds = p / (1.0 - p)
        low, high = (
            beta_binomial_slope(y, trials, x / (1.0 + x), noise)
            for x in (odds * math.exp(-STEP), odds * math.exp(STEP))
        )
        alike = noise**2 * inner
        alike = alike / (1.0 + alike)  # correlation of two units of one cell
        least = LEAST_CURVATURE * trials * inner / (1.0 + np.maximum(trials - 1.0, 0.0) * alike)
        curvature = weight * np.maximum((low - high) / (2.0 * STEP), least)
        return Rows(rows, curvature, weight * 0.5 * (low + high), *self.learnt)

    def _cells(self, theta: Array, counts: Columns, eta: Array, apart: Array) -> Array:
        """Log likelihood by cell at logit rates (D, channel, period), log noises over that of all (D or 1, channel)."""
        d, entered = self.data, self._entered(theta)
        p = np.clip(
            expit(eta) * np.repeat(entered.lived, counts if len(entered.lived) > 1 else [len(eta)], axis=0),
            FLOOR,
            1.0 - FLOOR,
        )
        y, weight = d["y"].T, d["weight"].T
        by_setting = theta, entered.trials, log_choices(y, entered.trials)
        theta, trials, choices = (np.repeat(x, counts, axis=0) for x in by_setting)
        found = log_beta_binomial(y, trials, p, self._noise(theta, apart)) + choices
        return np.asarray(weight * found)

    def log_likelihood(self, theta: Array, counts: Columns, u: Array) -> Array:
        """See `Latent`."""
        eta = self.data["mu_prior"][0] + self.offset + u @ self.unit.T
        return np.asarray(self._cells(theta, counts, eta, self.apart).sum(axis=2))

    def of_draws(self, draws: Mapping[str, Array]) -> tuple[Array, Array]:
        """See `Latent`."""
        theta, eta = self._scales_of(draws), logit_rates(draws, self.data).swapaxes(1, 2)
        apart = draws["noise_apart"]
        each = max(int(CHUNK // self.periods**2), 1)
        rows = [slice(i, i + each) for i in range(0, len(theta), each)]
        ones = np.ones(each, dtype=np.int64)
        cells = [self._cells(theta[i], ones[: len(theta[i])], eta[i], apart[i]) for i in rows]
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
        d, draws, w = self.data, len(theta), self.waves
        tau, own = np.exp(theta[:, 0]), np.exp(theta[:, 2])
        common = _common(theta[:, 1], theta[:, 4], d)
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


class Traffic(Latent):
    """Traffic: log mean = mu + level + response to spend + season + walks + days; today's budget; lift tests.

    Columns of a channel: events, season (`aside` of them), the middle of the log marginal returns, level, waves, scores
    of its response.
    """

    bent, learns, noisy = 3, True, True

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        d = self.data
        self.periods, self.channels = d["y"].shape
        self.apart = np.array(d["noise_apart"], dtype=float)
        self.waves, self.seasons = max(self.periods - 1, 1), d["season_basis"].shape[1]
        self.scales = (
            Scale("tau", "gamma", TRAFFIC_TAU),
            Scale("season_sd", "gamma", SEASON_SD),
            Scale("drift", "gamma", float(d["drift_prior"][0])),
            Scale("own_drift", "gamma", float(d["drift_prior"][1])),
            Scale("noise", "gamma", float(d["noise_prior"])),
            Scale("shock", "gamma", float(d["shock_prior"])),
            Scale("return_spread", "normal", float(d["spread_prior"][0]), float(d["spread_prior"][1])),
        )
        events = self._take_events(self.seasons + 2 + self.waves + 3)
        self.aside = self.events + self.seasons
        many = self.aside + 2 + self.waves
        self.common, self.own = slice(0, many), slice(self.aside + 1, many + 3)
        nothing, one = np.zeros((self.periods, 1)), np.ones((self.periods, 1))
        self.unit = np.concatenate([events, d["season_basis"], nothing, one, d["basis"].T], axis=1)
        self.today = self.unit[-1].copy()  # log level of today over the middle
        self.today[: self.aside], self.today[self.aside] = 0.0, -1.0
        self.path = np.zeros((self.channels, many + 3))
        total, cells = (d["y"] * d["weight"]).sum(axis=0), d["weight"].sum(axis=0)
        self.path[:, self.aside + 1] = np.log((total + 0.5) / (cells + 0.5)) - d["level_prior"]
        self.lifted = d["lift_channel"].astype(int)
        self.tests_of = (self.lifted[:, None] == np.arange(self.channels)).astype(float)  # test, channel
        self.learnt = np.zeros((self.channels, 3, 3)), np.zeros((self.channels, 3))
        self._look()

    def _noise(self, theta: Array, apart: Array) -> Array:
        """Noise of each cell, (G, channel, 1)."""
        return np.asarray(np.exp(theta[:, 4, None] + apart)[..., None])

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

    def _look(self, *, bends: bool = True) -> None:
        """What does not depend on the scales: means and rows around the path, with slopes and bends of responses."""
        d, z = self.data, self.path[:, -3:]
        steps = WIDTH * np.eye(3)
        here = self._responses(z)
        ahead, behind = ([self._responses(z + side * step) for step in steps] for side in (1.0, -1.0))
        slopes = [
            np.stack([(ahead[i][k] - behind[i][k]) / (2 * WIDTH) for i in range(3)], axis=-1)
            for k in range(3)
        ]
        straight = self.path[:, :-3]
        path = d["level_prior"] + straight @ self.unit.T + d["log_days"] + self.offset  # channel, period
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
        if self.events:
            rows *= self.touched[:, None]
        self.miss = (d["lift"] - (traffic * here[2]).sum(axis=1)) / d["lift_sd"] ** 2
        self.rows = rows
        if bends:
            self.bends = self._bends(here, ahead, behind)
            self.lift_bend = np.einsum("et,etij->eij", traffic, self.bends[2]) * self.miss[:, None, None]

    def _bends(self, here: Told, ahead: list[Told], behind: list[Told]) -> list[Array]:
        """Second derivatives in the scores of the responses at the path, from what they are there and a step aside."""
        z, steps = self.path[:, -3:], WIDTH * np.eye(3)
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
        return bends

    def sds(self, theta: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        tau, season, _, own = np.exp(theta[:, :4].T)[:, :, None]
        one, walk = np.ones((len(theta), 1)), np.ones(self.waves)
        alone = self.channels == 1
        level = math.sqrt(LEVEL_SD**2 + TRAFFIC_SPREAD) * one if alone else tau
        middle = 0.0 * one if alone else LEVEL_SD * one
        waves = _common(theta[:, 2], theta[:, 5], self.data)
        common = np.concatenate([season * np.ones(self.seasons), one, middle, waves], axis=1)
        common = self._with_events(common)
        return common, np.concatenate([level, own * walk, one, one, one], axis=1)

    def seen(self, theta: Array, *, bent: bool) -> Rows:
        """See `Latent`."""
        d, last, settings = self.data, self.periods, len(theta)
        noise = self._noise(theta, self.apart)
        size = negative_binomial_size(noise)
        nu, y, weight = np.exp(self.log_mean), d["y"].T, d["weight"].T
        curvature, score = (np.zeros((settings, *self.rows.shape[:2])) for _ in range(2))
        score[:, :, :last] = weight * (y - nu) * size / (size + nu)
        curvature[:, :, :last] = weight * (y + size) * size * nu / (size + nu) ** 2
        curvature[:, :, last] = d["tuned"] / (np.exp(2.0 * theta[:, 6, None]) + d["worth_sd"] ** 2)
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
        paths = d["level_prior"] + u[..., :-3] @ self.unit.T + d["log_days"] + self.offset
        found = self._cells(theta, paths, shares, self.apart).sum(axis=2)
        now, (beta, base, _) = d["level_prior"] + u[..., :-3] @ self.today, shares
        marginal = now + log_marginal(d["log_worth"], beta, base, d["log_current"], d["log_spend"])
        variance = np.exp(2.0 * theta[:, 6, None]) + d["worth_sd"] ** 2
        found -= 0.5 * d["tuned"] * (marginal**2 / variance + np.log(variance))
        return found + self._tests(paths, shares) @ self.tests_of

    def _cells(self, theta: Array, paths: Array, shares: Told, apart: Array) -> Array:
        """Log likelihood by cell, but for gamma functions of counts, at log traffic (D, C, T) at reference spend.

        apart: log noises over that of all, (D or 1, C).
        """
        d, (beta, base, carry) = self.data, shares
        acting = acting_spend(carry, d["spend_lags"])
        logs = np.log(response(acting, beta[:, None], base[:, None])).swapaxes(1, 2)
        size = negative_binomial_size(self._noise(theta, apart))
        cells = log_negative_binomial(d["y"].T, paths + d["responds"][:, None] * logs, size)
        return np.asarray(d["weight"].T * cells)

    def _tests(self, paths: Array, shares: tuple[Array, Array, Array]) -> Array:
        """Log likelihood of each lift test, (D, test)."""
        gain = (np.exp(paths[:, self.lifted]) * self._lifts(*shares)).sum(axis=2)
        return np.asarray(-0.5 * ((self.data["lift"] - gain) / self.data["lift_sd"]) ** 2)

    def of_draws(self, draws: Mapping[str, Array]) -> tuple[Array, Array]:
        """See `Latent`; a column for each lift test."""
        d, theta = self.data, self._scales_of(draws)
        paths, shares = reference_path(draws, d).swapaxes(1, 2), response_of(d, draws)
        cells = self._cells(theta, paths, shares, draws["noise_apart"])
        return cells + self._gammas(theta, draws["noise_apart"]), self._tests(paths, shares)

    def _gammas(self, theta: Array, apart: Array) -> Array:
        """Gamma functions of the counts, which the noise alone moves: (G, channel, period)."""
        y, size = self.data["y"].T, negative_binomial_size(self._noise(theta, apart))
        return np.asarray(self.data["weight"].T * (gammaln(y + size) - gammaln(size)))

    def noise_told(self, theta: Array) -> Array:
        """See `_gammas`."""
        return np.asarray(self._gammas(theta, self.apart).sum(axis=2))

    def moved(self, step: Array) -> None:
        """See `Latent`."""
        far = max(np.abs(step[:, :-3] @ self.unit.T).max() / FARTHEST, np.abs(step[:, -3:]).max())
        self.path = self.path + step * min(1.0, 1.0 / max(far, 1e-9))
        self.path[:, -3:] = np.clip(self.path[:, -3:], -WIDEST, WIDEST)
        self._look()

    def look(self, path: Array) -> None:
        """See `Latent`."""
        self.path = path
        self._look(bends=False)

    def points(self, theta: Array, a: Array, b: Array) -> Array:
        """See `Latent`."""
        d, draws = self.data, len(theta)
        logs = [theta[:, i, None] for i in range(7)]
        tau, season_sd, _, own = (np.exp(log) for log in logs[:4])
        common = _common(theta[:, 2], theta[:, 5], d)
        alone, w = self.channels == 1, self.waves
        events, season = a[:, : self.events], a[:, self.events : self.aside]
        (middle, centre), steps = a[:, self.aside :][:, :2].T, a[:, -w:]
        mu = d["level_prior"] + LEVEL_SD * centre[:, None]
        if alone:
            level = d["level_prior"] + math.sqrt(LEVEL_SD**2 + TRAFFIC_SPREAD) * b[:, :, 0]
        else:
            level = mu + tau * b[:, :, 0]
        beside = (season_sd * season) @ d["season_waves"].T
        v, s = d["walk_centred"], d["own_centred"]
        waves = common**v * steps + v * beside
        both = common * steps + beside
        own_waves = own[:, :, None] ** s * b[:, :, 1 : 1 + w].swapaxes(1, 2) + s * both[:, :, None]
        z = [b[:, :, 1 + w + i] for i in range(3)]
        x = [mu, logs[0], level, *z, logs[1], season_sd ** d["season_centred"] * season, *logs[2:6]]
        x += [waves, own_waves.reshape(draws, -1), events, middle[:, None], logs[6]]
        return np.concatenate(x, axis=1)


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


def _common(log_drift: Array, log_shock: Array, data: Mapping[str, Any]) -> Array:
    """Sds of the common waves at each setting, (G, wave)."""
    return common_sds(np.exp(log_drift), np.exp(log_shock), data["basis"])
