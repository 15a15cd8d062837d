"""The traffic of a fit as a Gaussian model given its scales: see `fit.latent`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from forecast.equations import (
    acting_spend,
    carry_weights,
    log_marginal,
    log_negative_binomial,
    mean_shape,
    negative_binomial_size,
    response,
)
from forecast.fit.data import response_of
from forecast.fit.gaussian import Columns, Rows
from forecast.fit.latent import CHUNK, FARTHEST, HOLLOW, WIDEST, WIDTH, Latent, Scale, Told, common_waves
from forecast.fit.parts import Part
from forecast.fit.paths import reference_path
from forecast.fit.scales import (
    LEVEL_SD,
    SEASON_SD,
    TRAFFIC_SPREAD,
    TRAFFIC_TAU,
)

Array = NDArray[np.float64]


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
        waves = common_waves(theta[:, 2], theta[:, 5], self.data)
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
        d, theta, apart = self.data, self._scales_of(draws), draws["noise_apart"]
        paths, shares = reference_path(draws, d).swapaxes(1, 2), response_of(d, draws)
        each = max(int(CHUNK // paths[0].size), 1)
        cells = np.empty(paths.shape)
        for i in (slice(start, start + each) for start in range(0, len(paths), each)):
            found = self._cells(theta[i], paths[i], (shares[0][i], shares[1][i], shares[2][i]), apart[i])
            cells[i] = found + self._gammas(theta[i], apart[i])
        return cells, self._tests(paths, shares)

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
        common = common_waves(theta[:, 2], theta[:, 5], d)
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
