"""The instant mode: a posterior in closed form, within a second and without a sampler, for a preview.

The model is that of `fit.model`, with three approximations. The likelihood of every cell is replaced by the
normal one that has its mean and variance at the fitted rate (iterated weighted least squares on the logit and log
scales); spend response is straight in its parameters around the fitted ones, and marginal returns lie apart as average
returns say; scales and delays are averaged over some sixty points, weighted by their evidence. Levels, walks and season
are then linear and Gaussian, and solved exactly.

The draws have the same names as a sampled posterior's, so simulation, budget and report take them unchanged. Source:
Breslow & Clayton 1993 (penalised quasi-likelihood); Rue, Martino & Chopin 2009 (averaging over scales).

numpy and scipy only: pymc, nutpie and numba are not loaded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln, logit

from forecast.equations import (
    acting_spend,
    delay_pmf,
    due,
    effective_trials,
    log_marginal,
    mean_shape,
    response,
)
from forecast.fit.gaussian import (
    Averaged,
    Scales,
    Solved,
    median_spread,
    points_drawn,
    product,
    solve,
    walk_basis,
)
from forecast.fit.parts import Part, assemble
from forecast.fit.posterior import CERTAIN, Posterior, coordinates, kept_draws, seen_by, to_dataset
from forecast.fit.scales import DEAL_CV, DEAL_CV_SD, VALUE_TAU
from forecast.history import History
from forecast.study import Study

Array = NDArray[np.float64]

PREVIEW = "preview"
LEAST_RATE = 1e-6
STEP = 2.0  # furthest a logit or log mean moves in one iteration


def preview(study: Study, history: History, *, seed: int, draws: int = 4000) -> Posterior:
    """The closed-form posterior of a study and its history: same variables as `fit.fitting.fit`, `draws` draws.

    Same study, history, seed and draws: the same bytes. `provenance["method"]` is "preview", and there are no
    diagnostics, because nothing was sampled. Raises FitError where there is nothing to fit.
    """
    started = time.perf_counter()
    variables, ages = assemble(study, history, _ClosedForm(seed, draws))
    provenance = {
        "ages": ages,
        "stages": list(history.counted),
        "seed": seed,
        "draws": draws,
        "method": PREVIEW,
        "fit_hash": "",
        "failures": [],
        "data_sha256": history.sources,
        "seconds": round(time.perf_counter() - started, 3),
    }
    return Posterior(
        to_dataset(variables, coordinates(history, draws)), (), provenance, beside=seen_by(history)
    )


@dataclass(frozen=True)
class _ClosedForm:
    """Every part in closed form: see `parts.Fitter`."""

    seed: int
    draws: int

    def rates(self, part: Part, later: NDArray[np.bool_]) -> dict[str, Array]:
        found = _Rates(part.data, calendar=part.kind == "calendar").draws(self.draws, self._rng(part))
        found["logit_rate"][:, :, later] = CERTAIN
        return found

    def losses(self, part: Part) -> dict[str, Array]:
        found = _Rates(part.data, calendar=False).draws(self.draws, self._rng(part))
        delay = {f"loss_{name}": found[name] for name in ("delay_mean", "delay_cv")}
        return {"loss_logit": found["logit_rate"]} | delay

    def values(self, part: Part) -> dict[str, Array]:
        return _values(part.data, self.draws, self._rng(part))

    def traffic(self, part: Part, seasons: Array) -> dict[str, Array]:
        return _Traffic(part.data).draws(seasons, self.draws, self._rng(part))

    def _rng(self, part: Part) -> np.random.Generator:
        return np.random.default_rng([self.seed, *f"instant {part.name}".encode()])


class _Rates(Averaged):
    """One transition: logit rate = mu + level of the channel + common walk + own walk, observed through delays."""

    def __init__(self, data: Mapping[str, Any], *, calendar: bool) -> None:
        self.data, self.calendar = data, calendar
        self.delayed = bool(data["delayed"] > 0)
        self.periods, self.channels = data["n"].shape
        self.basis = walk_basis(self.periods)
        rates = np.array([4.0, *data["drift_prior"], data["noise_prior"]])
        prior = np.asarray(data["delay_prior"], dtype=float)
        normal = np.array([prior[::2], prior[1::2]]) if self.delayed else np.zeros((2, 0))
        self.split = _Split(data, normal) if self.delayed and data["by_cohort"].any() else None
        self.scales = Scales(rates, normal, normal if self.split is None else self.split.start)
        entered, moved = ((data[k] * data["weight"]).sum(axis=0) for k in ("n", "y"))
        share = (moved + 1.0) / (entered + 1.0 / expit(data["mu_prior"][0]))
        self.eta = np.repeat(logit(np.clip(share, 1e-4, 0.95))[None, :], self.periods, axis=0)

    def size(self) -> int:
        """Numbers held a point."""
        return self.channels * self.periods * (self.periods + 4 * self.basis.shape[1])

    def _pmf(self, points: Array) -> Array:
        ages = self.data["age_weights"].shape[1]
        if not self.delayed:
            return np.repeat(np.eye(1, ages), len(points), axis=0)
        return delay_pmf(np.exp(points[:, 4]), np.exp(points[:, 5]), ages)

    def _observed(self, points: Array) -> tuple[Array, Array, Array]:
        """Trials and share seen so far (G, C, T), and the periods whose rates each row mixes (G, C, T, T)."""
        n, f, alone = self.data["n"].T, self._pmf(points), np.eye(self.periods)[None, None]
        shape = (len(points), self.channels, self.periods)
        if not self.calendar:
            seen = np.minimum(product(np.cumsum(f, axis=1), self.data["age_weights"].T), 1.0)
            return np.broadcast_to(n, shape), np.broadcast_to(seen[:, None, :], shape), alone
        if not self.delayed:
            return np.broadcast_to(n, shape), np.ones(shape), alone
        falls, before = due(f, self.periods)
        flow = falls[:, None] * n[None, :, None, :]
        flow[..., 0] += before[:, None, :] * self.data["early"][None, :, None]
        expected = flow.sum(axis=-1)
        mix = flow / np.maximum(expected, 1e-12)[..., None]
        y = self.data["y"].T
        trials = effective_trials(y, expected)
        return trials, np.ones(shape), mix

    def solved(self, points: Array) -> tuple[Solved, Array]:
        """Working observations on the logit scale at these points, and the model they make."""
        tau, drift, own, noise = np.exp(points[:, :4]).T
        trials, seen, mix = self._observed(points)
        eta, y, weight = self.eta.T, self.data["y"].T, self.data["weight"].T
        rate = np.clip(product(mix, expit(eta)[None, :, :, None])[..., 0], LEAST_RATE, 1 - LEAST_RATE)
        p = np.clip(rate * seen, 1e-9, 1 - 1e-9)
        slope = trials * seen * rate * (1 - rate)
        alike = noise[:, None, None] ** 2 * p * (1 - p)
        alike = alike / (1 + alike)  # correlation of two units of one cell
        variance = trials * p * (1 - p) * (1 + np.maximum(trials - 1, 0.0) * alike)
        use = (weight > 0) & (trials * seen > 1e-6)
        precision = np.where(use, slope**2 / np.where(use, variance, 1.0), 0.0)
        miss = np.where(use, (y - trials * p) / np.where(use, slope, 1.0), 0.0)
        z = product(mix, eta[None, :, :, None])[..., 0] + miss - self.data["mu_prior"][0]
        mixed = product(mix, self.basis)
        ones = np.broadcast_to(np.ones((self.periods, 1)), (*mixed.shape[:-1], 1))
        tall = (len(points), self.channels, self.periods)

        def loadings(level: Array | float, walk: Array) -> Array:
            columns = (np.asarray(level).reshape(-1, 1, 1, 1) * ones, walk[:, None, None, None] * mixed)
            widths = (1, mixed.shape[-1])
            return np.concatenate(
                [np.broadcast_to(c, (*tall, w)) for c, w in zip(columns, widths, strict=True)], axis=-1
            )

        solved = solve(z, precision, loadings(self.data["mu_prior"][1], drift), loadings(tau, own))
        extra = -np.where(use, np.log(np.where(use, slope, 1.0)), 0.0).sum(axis=(1, 2))
        if self.split is not None:
            extra = extra + self.split.log_likelihood(self._pmf(points))
        return solved, extra

    def _path(self, points: Array, a: Array, b: Array) -> Array:
        """Logit rates (draw, period, channel) from the effects."""
        tau, drift, own = np.exp(points[:, :3]).T
        mu = self.data["mu_prior"][0] + self.data["mu_prior"][1] * a[:, :1]
        common = mu + drift[:, None] * product(a[:, 1:], self.basis.T)
        single = tau[:, None, None] * b[:, :, :1] + own[:, None, None] * product(b[:, :, 1:], self.basis.T)
        return np.ascontiguousarray((common[:, None, :] + single).swapaxes(1, 2))

    def move(self, solved: Solved, point: Array) -> None:
        """Linearise around the posterior mean, in bounded steps."""
        a, b = solved.means(0)
        eta = self._path(point[None], a[None], b[None])[0]
        self.eta = self.eta + np.clip(eta - self.eta, -STEP, STEP)

    def draws(self, draws: int, rng: np.random.Generator) -> dict[str, Array]:
        """Path of the logit rate, scales and delay, draw first."""
        points, a, b = self.joint(draws, rng)
        delay = np.exp(points[:, 4:]).T if self.delayed else (np.zeros(draws), np.full(draws, 0.8))
        return {
            "logit_rate": self._path(points, a, b),
            **dict(zip(("delay_mean", "delay_cv"), delay, strict=True)),
            **dict(zip(("drift", "own_drift", "noise"), np.exp(points[:, 1:4]).T, strict=True)),
        }


class _Split:
    """What dated moves say of the delay: sum_a n_a log f_a - sum_t n_t log F_(T-t), as in `fit.model`."""

    def __init__(self, data: Mapping[str, Any], normal: Array) -> None:
        self.by_age, self.by_cohort = data["by_age"], data["by_cohort"]
        grid = np.linspace(-3.0, 3.0, 41)
        mean, cv = (normal[0] + normal[1] * x[..., None] for x in np.meshgrid(grid, grid, indexing="ij"))
        log_mean, log_cv = mean[..., 0].ravel(), cv[..., 1].ravel()
        pmf = delay_pmf(np.exp(log_mean), np.exp(log_cv), len(self.by_age))
        z = np.stack([log_mean, log_cv], axis=1)
        log_weights = self.log_likelihood(pmf) - 0.5 * (((z - normal[0]) / normal[1]) ** 2).sum(axis=1)
        weights = np.exp(log_weights - log_weights.max())
        middle = weights @ z / weights.sum()
        sd = np.sqrt(weights @ (z - middle) ** 2 / weights.sum() + (6.0 / 40 * normal[1] / 4) ** 2)
        self.start = np.array([middle, 1.3 * sd])

    def log_likelihood(self, pmf: Array) -> Array:
        """Of the split by age, for each row of delays."""
        seen = np.cumsum(pmf, axis=1)
        return np.asarray(
            (np.log(pmf + 1e-12) * self.by_age - np.log(seen + 1e-12) * self.by_cohort).sum(axis=1)
        )


RESPONSE = ("elasticity", "base", "carry")


class _Traffic(Averaged):
    """Traffic: log mean = mu + level + response to spend + season + walks + days; and today's budget as evidence."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.periods, self.channels = data["y"].shape
        self.basis = walk_basis(self.periods)
        self.rates = np.array([2.0, *data["drift_prior"], data["noise_prior"], 20.0])
        self.scales = Scales(self.rates, np.zeros((2, 0)), np.zeros((2, 0)))
        self.z = np.zeros((3, self.channels))
        y, weight = data["y"], data["weight"]
        level = np.log((y * weight).sum(axis=0) + 0.5) - np.log(weight.sum(axis=0) + 0.5)
        self.log_mean = np.where(y * weight > 0, np.log(y + 0.5), level)
        self.spread = self.spread_of_returns()

    def lifts(self, z: Array) -> Array:
        """What a lift test would measure of each period's traffic at reference spend, as a multiple of it (E, T)."""
        d, c, age = self.data, *(self.data[f"lift_{name}"].astype(int) for name in ("channel", "age"))
        beta, base, carry = (x[c, None] for x in self.shares(z))
        weights = (carry + 1e-12) ** np.arange(len(d["spend_lags"]))
        until = np.cumsum(np.pad(weights / weights.sum(axis=1, keepdims=True), ((0, 0), (1, 0))), axis=1)
        before, change = d["lift_spend"][:, :1] + 1e-9, d["lift_spend"][:, 1:]
        acting = np.maximum(before + change * np.take_along_axis(until, age, axis=1), 1e-9)
        gain = mean_shape(acting, beta) - mean_shape(before, beta)
        return np.asarray(d["lift_share"] * (1.0 - base) * gain)

    def size(self) -> int:
        """Numbers held a point."""
        return self.channels * self.periods * 5 * (self.basis.shape[1] + 12)

    def shares(self, z: Array) -> Array:
        """Elasticity, base and carry-over (3, ..., C) from standard normal z of that shape."""
        priors = np.stack([self.data[f"{name}_prior"] for name in RESPONSE])
        wide = (slice(None), *(None,) * (z.ndim - 2), slice(None))
        value = expit(priors[:, 0][wide] + priors[:, 1][wide] * z)
        value[2] *= self.data["carries"]
        return value

    def response(self, z: Array) -> Array:
        """Log response to the spend of the past (T, C), without what shifts by a constant."""
        beta, base, carry = self.shares(z)
        acting = acting_spend(carry, self.data["spend_lags"])
        return np.asarray(self.data["responds"] * np.log(response(acting, beta, base)))

    def path(self, points: Array, a: Array, b: Array) -> Array:
        """Log mean of every period of the history (draw, period, channel), all told."""
        q = self.basis.shape[1]
        beta, base, carry = self.shares(b[:, :, 1 + q :].transpose(2, 0, 1))
        acting = acting_spend(carry, self.data["spend_lags"])
        log_response = np.log(response(acting, beta[:, None], base[:, None]))
        season = product(np.exp(points[:, 4:]) * a[:, 1 + q : -1], self.data["season_basis"].T)
        season = season + self.data["log_days"]
        level = self._level(points, a, b, slice(None)).swapaxes(1, 2)
        return np.asarray(level + self.data["responds"] * log_response + season[..., None])

    def spread_of_returns(self) -> float:
        """How far log marginal returns lie apart, from average returns of the last year and prior elasticities."""
        d, on = self.data, self.data["tuned"] > 0
        z, step = np.zeros((3, len(on))), np.array([[1e-3], [0.0], [0.0]])
        slope = (self.marginal(z + step) - self.marginal(z)) / 1e-3
        y, weight = d["y"][-12:], d["weight"][-12:]
        level = np.log(np.maximum((weight * y).sum(axis=0) / np.maximum(weight.sum(axis=0), 1.0), 0.1))
        seen, variance = level + self.marginal(z), d["worth_sd"] ** 2 + slope**2
        return median_spread(seen[on], variance[on], d["spread_prior"])

    def marginal(self, z: Array) -> Array:
        """Log marginal return at today's spend less the log of traffic now (C,)."""
        beta, base, _ = self.shares(z)
        d = self.data
        return log_marginal(d["log_worth"], beta, base, d["log_current"], d["log_spend"])

    def solved(self, points: Array) -> tuple[Solved, Array]:
        """Working observations on the log scale at these points; rows after the periods: marginal returns, lift tests.

        A lift test is a straight line in log traffic and response around the fitted ones.
        """
        d = self.data
        tau, drift, own, noise, season = np.exp(points).T
        groups, last, tests = len(points), self.periods, len(d["lift"])
        rows = last + 1 + tests
        mean = np.exp(self.log_mean)
        use = d["weight"] > 0
        variance = 1.0 / mean + noise[:, None, None] ** 2 + 1e-4
        h = np.zeros((groups, self.channels, rows))
        h[:, :, :last] = np.where(use, 1.0 / variance, 0.0).swapaxes(1, 2)
        h[:, :, last] = d["tuned"] / (self.spread**2 + d["worth_sd"] ** 2)
        of = d["lift_channel"].astype(int)
        h[:, of, last + 1 + np.arange(tests)] = d["lift_sd"] ** -2.0
        width, j = 1e-3, np.zeros((self.channels, rows, 3))
        response, marginal, lifts = self.response(self.z), self.marginal(self.z), self.lifts(self.z)
        log_traffic = (self.log_mean - response)[:, of].T
        traffic = np.exp(log_traffic)
        for i in range(3):
            step = self.z + width * np.eye(3)[i][:, None]
            j[:, :last, i] = ((self.response(step) - response) / width).T
            j[:, last, i] = (self.marginal(step) - marginal) / width
            slope = (traffic * (self.lifts(step) - lifts)).sum(axis=1) / width
            j[of, last + 1 + np.arange(tests), i] = slope
        z = np.zeros((self.channels, rows))
        miss = np.where(use, d["y"] / mean - 1.0, 0.0)
        z[:, :last] = (self.log_mean + miss - response - d["log_days"][:, None]).T
        z[:, last] = -marginal
        slopes = traffic * lifts  # of what a test measures, by log traffic
        apart = (slopes * (log_traffic - d["log_days"] - 1.0)).sum(axis=1)
        z[of, last + 1 + np.arange(tests)] = d["lift"] + apart
        z += (j @ self.z.T[:, :, None])[..., 0]
        ones = np.concatenate([np.ones(last + 1), slopes.sum(axis=1)])[:, None]
        z -= d["level_prior"] * ones[:, 0]
        walk = np.vstack([self.basis, self.basis[-1:], slopes @ self.basis])
        season_basis = np.vstack([d["season_basis"], 0.0 * d["season_basis"][:1], slopes @ d["season_basis"]])
        middle = -np.eye(rows)[:, last : last + 1]
        common = np.concatenate(
            [
                np.broadcast_to(1.5 * ones, (groups, rows, 1)),
                drift[:, None, None] * walk,
                season[:, None, None] * season_basis,
                np.broadcast_to(middle, (groups, rows, 1)),
            ],
            axis=-1,
        )
        common = np.broadcast_to(common[:, None], (groups, self.channels, *common.shape[1:]))
        single = np.concatenate([tau[:, None, None] * ones, own[:, None, None] * walk], axis=-1)
        wide = (groups, self.channels, rows)
        single = np.concatenate(
            [np.broadcast_to(single[:, None], (*wide, single.shape[-1])), np.broadcast_to(j, (*wide, 3))],
            axis=-1,
        )
        return solve(np.broadcast_to(z, wide), h, common, single), np.zeros(groups)

    def _level(self, points: Array, a: Array, b: Array, row: slice) -> Array:
        """Level with walks but without season and response (draw, C, periods of `row`)."""
        tau, drift, own = np.exp(points[:, :3]).T
        q, walk = self.basis.shape[1], self.basis[row]
        common = self.data["level_prior"] + 1.5 * a[:, :1] + drift[:, None] * product(a[:, 1 : 1 + q], walk.T)
        single = tau[:, None, None] * b[:, :, :1] + own[:, None, None] * product(b[:, :, 1 : 1 + q], walk.T)
        return np.asarray(common[:, None] + single)

    def move(self, solved: Solved, point: Array) -> None:
        """Linearise around the posterior mean, in bounded steps."""
        a, b = solved.means(0)
        q = self.basis.shape[1]
        level = self._level(point[None], a[None], b[None], slice(None))[0].T
        season = np.exp(point[4]) * self.data["season_basis"] @ a[1 + q : -1]
        self.z = self.z + np.clip(b[:, 1 + q :].T - self.z, -1.0, 1.0)
        self.z = np.clip(self.z, -3.0, 3.0)
        wanted = level + self.response(self.z) + (season + self.data["log_days"])[:, None]
        self.log_mean = self.log_mean + np.clip(wanted - self.log_mean, -STEP, STEP)

    def draws(self, seasons: Array, draws: int, rng: np.random.Generator) -> dict[str, Array]:
        """The variables of traffic, as `fit.fitting` has them."""
        points, a, b = self.joint(draws, rng)
        q = self.basis.shape[1]
        shares = self.shares(b[:, :, 1 + q :].transpose(2, 0, 1))
        scales = ("drift_traffic", "own_drift_traffic", "noise_traffic")
        kept = kept_draws(draws)
        return {
            "log_traffic_path": self.path(points[kept], a[kept], b[kept]),
            "traffic": self._level(points, a, b, slice(-1, None))[..., 0],
            "season": product(np.exp(points[:, 4:]) * a[:, 1 + q : -1], seasons.T),
            **dict(zip(RESPONSE, shares, strict=True)),
            **dict(zip(scales, np.exp(points[:, 1:4]).T, strict=True)),
        }


def _values(data: Mapping[str, Array], draws: int, rng: np.random.Generator) -> dict[str, Array]:
    """Deal values: cv and spread between channels on a grid, means by channel in closed form given both."""
    deals, revenue = data["deals"], data["revenue"]
    log_cv = DEAL_CV + DEAL_CV_SD * np.linspace(-4.5, 4.5, 181)
    tau = VALUE_TAU * np.linspace(0.05, 2.5, 25)
    have = deals > 0
    seen = np.where(have, np.log(np.where(have, revenue, 1.0) / np.where(have, deals, 1.0)), 0.0)
    a = np.exp(-2.0 * log_cv)
    log_lik = (
        a * (deals.sum() * np.log(a) - deals @ seen + data["deals_log_revenue"].sum() - deals.sum())
        - (gammaln(np.multiply.outer(a, data["sizes"])) * data["size_cells"]).sum(axis=1)
        - 0.5 * ((log_cv - DEAL_CV) / DEAL_CV_SD) ** 2
    )
    error = np.where(
        have, np.exp(2.0 * log_cv)[:, None] / np.where(have, deals, 1.0), np.inf
    )  # (cv, channel)
    spread = 1.0 / (tau[:, None] ** 2 + error[:, None, :])  # (cv, tau, channel)
    prior_mean, prior_sd = data["level_prior"]
    total = spread.sum(axis=-1) + 1.0 / prior_sd**2
    middle = ((spread * seen).sum(axis=-1) + prior_mean / prior_sd**2) / total
    miss = (spread * seen**2).sum(axis=-1) + prior_mean**2 / prior_sd**2 - total * middle**2
    log_weights = log_lik[:, None] - 0.5 * (tau / VALUE_TAU) ** 2 - 0.5 * miss - 0.5 * np.log(total)
    kept = np.where(np.isfinite(error), 2.0 * np.pi * error, 1.0)
    log_weights += 0.5 * np.log(kept).sum(axis=-1)[:, None]
    log_weights += 0.5 * np.log(np.where(spread > 0, spread, 1.0)).sum(axis=-1)
    weights = np.exp(log_weights - log_weights.max()).ravel()
    chosen = rng.permutation(np.repeat(np.arange(weights.size), points_drawn(weights, draws)))
    i, j = np.divmod(chosen, len(tau))
    mu = middle[i, j] + rng.standard_normal(draws) / np.sqrt(total[i, j])
    own = tau[j][:, None] ** 2 * spread[i, j]  # weight of a channel's own deals
    mean = mu[:, None] + own * (seen - mu[:, None])
    sd = tau[j][:, None] * np.sqrt(1.0 - own)
    value = np.exp(mean + sd * rng.standard_normal((draws, len(deals))))
    return {"deal_mean": value, "deal_cv": np.exp(log_cv[i])}
