"""Moves and losses of dated leads as hazards by age in days, shrunk to a lognormal cure, with noise of the period.

Of the units that wait before a stage, cells of age b, calendar period t and channel c hold E person-days at risk and y
events (moves, or losses: each is fitted by itself, as the likelihood of competing risks factorises):

    y ~ Poisson(E h),   log h(b, t, c) = g_b(theta) + 1[b = 0] d + delta_b + u_c + v_cb + l_t + e_t + o_tc

g: the mean hazard in the bin were the delay lognormal and a share r ever to move, [log S(lo) - log S(hi)] / days,
S = 1 - r F. delta, v: Ornstein-Uhlenbeck in log age; l: a walk that ends in zero at the as-of date; e, o: noise of the
period, common and of a channel. Where a year of observation and events enough are there, each month of the year has an
effect of its own too.

Given the scales the posterior is taken as the normal N(m, H^-1) nearest to it (Opper & Archambeau 2009): every cell is
looked at with half of the variance of its predictor added, as E exp(x) = exp(m + v / 2), so that the mean is not biased
where cells are small; the mode alone is. theta is taken as straight around m. Scales are at their mode given the
moments of their effects (EM), and drawn given the effects. Certificate: the normal's draws are weighed by the exact
density, and the weights' Pareto k-hat and effective size are told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import expit, logit, ndtr

from forecast.fit.gaussian import points_drawn
from forecast.fit.posterior import kept_draws

Array = NDArray[np.float64]

MEMORY = 2.0  # of delta and v in log age
KNOTS = 0.8  # log age between those of v
ATOM_SD = 1.5  # of d, the same day
# Of any scale: where nothing ever happens at some ages at which thousands wait, lifted effects would follow their own
# mean (-variance / 2) without an end.
WIDEST = 3.0
DELTA, CHANNEL, CHANNEL_AGE, WALK, SHOCK, OWN_SHOCK = 0.5, 0.4, 0.2, 0.03, 0.15, 0.15  # of half-t4 priors
YEAR, LEAST_MONTHS, LEAST_A_YEAR = (
    0.15,
    12.0,
    150.0,
)  # the same; months and events from which on a year has a season
FREEDOM, FREE = 4.0, 4  # of these; numbers of theta and d
LEAST_HAZARD = 1e-7  # a day: below it a bin is as good as empty, whatever the lognormal says
ITERATIONS, SETTLED = 200, 2e-3
FIRST, HALVINGS = 3, 12  # steps before scales move too; of a step that does not climb
FARTHEST, MOST_VARIANCE = 1.5, 4.0  # that a log hazard moves in one step; of it, that is looked at
ROUNDING, LEAST_EVENTS = 1e-12, 10.0  # of what is climbed; from which on theta begins at what they say
GRID = np.linspace(-4.0, 4.0, 161)  # log of a scale over its prior's, where it is drawn
STEP = 1e-4
CHUNK = 2e6  # numbers held at once
TRUSTED, LEAST_EFFECTIVE = 0.7, 0.1  # of weights that are used: k-hat; effective share of the draws


def cure_hazard(theta: Array, edges: NDArray[np.int64]) -> Array:
    """log g by bin, (..., bin), of theta (..., 3): logit share that ever moves, log median days, log sigma."""
    share, middle, spread = expit(theta[..., 0:1]), theta[..., 1:2], np.exp(theta[..., 2:3])
    at = np.maximum(edges - 0.5, 0.0)
    logs = np.log(np.where(at > 0.0, at, 1.0))
    inside = np.where(at > 0.0, ndtr((logs - middle) / spread), 0.0)
    log_left = np.log1p(-np.minimum(share * inside, 1.0 - 1e-9))
    return np.asarray(np.log((log_left[..., :-1] - log_left[..., 1:]) / np.diff(edges) + LEAST_HAZARD))


@dataclass(frozen=True, eq=False)
class Fitted:
    """Draws of one kind of event: log_hazard (draw, bin, channel), a day, at the as-of date and without noise.

    theta (draw, 3): logit share, log median days, log sigma of the cure. path (draw, period): the walk l, zero at the
    end; season (draw, 12): log effects of the months of the year; walk, shock, own_shock (draw,): its sd a period,
    those of the noise. log_likelihood (kept, channel): of the draws of which paths are kept; log_prior (draw,): of
    theta.
    k_hat, effective: of the weights of the normal's draws; weighed: they were used.
    """

    log_hazard: Array
    theta: Array
    path: Array
    season: Array
    walk: Array
    shock: Array
    own_shock: Array
    log_likelihood: Array
    log_prior: Array
    k_hat: float
    effective: float
    weighed: bool

    def of(self, rows: NDArray[np.int64]) -> Fitted:
        """These draws of it."""
        arrays: dict[str, Any] = {
            name: values[rows] for name, values in vars(self).items() if isinstance(values, np.ndarray)
        }
        return replace(self, **arrays)


class _Block:
    """Effects that share a scale: their place, the inverse of their correlations, the scale and its prior."""

    def __init__(
        self, name: str, first: int, inverse: Array, prior: float, copies: int, lifted: bool
    ) -> None:
        self.name, self.inverse, self.prior, self.copies, self.lifted = name, inverse, prior, copies, lifted
        self.each = len(inverse)
        self.at = slice(first, first + self.each * copies)
        self.variance = (0.7 * prior) ** 2

    @property
    def mean(self) -> float:
        """Prior mean of an effect: such that its exponential is one on average, where that is asked for."""
        return -0.5 * self.variance if self.lifted else 0.0

    def squares(self, mean: Array, cov: Array) -> float:
        """E x' R^-1 x of effects about their prior mean."""
        x = mean[self.at].reshape(self.copies, self.each) - self.mean
        total = float(((x @ self.inverse) * x).sum())
        for i in range(self.copies):
            own = slice(self.at.start + i * self.each, self.at.start + (i + 1) * self.each)
            total += float((self.inverse * cov[own, own]).sum())
        return total


def mode_of_variance(n: int, squares: float, prior: float) -> float:
    """Mode (in the log) of a variance q, of n effects with this sum of squares and a half-t4(prior) on the sd.

    The zero of d/d log q of -(n - 1) log(q) / 2 - S / 2q - 5/2 log(1 + q / 4 prior^2), a quadratic in q.
    """
    wide = FREEDOM * prior**2
    a, b, c = n - 1 + FREEDOM + 1.0, (n - 1) * wide - squares, -wide * squares
    return (-b + math.sqrt(b * b - 4.0 * a * c)) / (2.0 * a)


def scale_given(n: int, squares: Array, prior: float, rng: np.random.Generator) -> Array:
    """Draws of a scale given n effects with these sums of squares (draw,), on a grid of its log."""
    log_s = math.log(prior) + GRID
    s2 = np.exp(2.0 * log_s)
    log_p = -(n - 1.0) * log_s - 0.5 * squares[:, None] / s2
    log_p -= 0.5 * (FREEDOM + 1.0) * np.log1p(s2 / (FREEDOM * prior**2))
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    cdf = np.cumsum(p, axis=1)
    at = (cdf < rng.random(len(cdf))[:, None] * cdf[:, -1:]).sum(axis=1)
    return np.asarray(np.exp(log_s[at] + (rng.random(len(cdf)) - 0.5) * (GRID[1] - GRID[0])))


def _ou_inverse(where: Array) -> Array:
    """Inverse of the correlations exp(-|x - y| / MEMORY)."""
    return np.linalg.inv(np.exp(-np.abs(where[:, None] - where) / MEMORY) + 1e-9 * np.eye(len(where)))


def _steps_inverse(n: int) -> Array:
    """Inverse of the correlations of a walk of n periods and one more, which is zero: sum of its squared steps."""
    made = 2.0 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    made[:1, :1] = 1.0
    return made


def _knots(where: Array) -> Array:
    """Weights (bin, knot) by which an age lies between knots of log age."""
    chosen = [0]
    for i in range(1, len(where)):
        if where[i] - where[chosen[-1]] >= KNOTS:
            chosen.append(i)
    at = where[chosen]
    return np.stack([np.interp(where, at, row) for row in np.eye(len(at))], axis=1)


class Hazards:
    """One kind of event before one stage: its cells, and the normal nearest to its posterior."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.exposure, self.y = data["exposure"], data["y"]  # (bin, period, channel)
        self.edges, self.prior = (
            data["edges"],
            data["theta_prior"],
        )  # (mean, sd) x (share, log median, log sigma)
        self.bins, self.periods, self.channels = self.y.shape
        self.many = self.channels > 1
        self.own_variance = (0.7 * OWN_SHOCK) ** 2 if self.many else 0.0
        self.own = np.zeros((self.periods, self.channels))  # o, means
        self.far = math.inf  # that the last step moved a log hazard
        where = np.log(0.5 * (self.edges[:-1] + self.edges[1:]))
        self.knots = _knots(where)
        self.size, self.blocks = FREE, list[_Block]()
        self._lay_out(where, float(data["months"]), seasonal=bool(data["seasonal"]))
        self._make_rows(data["month_of_year"])
        self.m = np.zeros(self.size)
        self.m[:3] = self._first_theta(where)
        for each in self.blocks:
            self.m[each.at] = each.mean

    def _lay_out(self, where: Array, months: float, *, seasonal: bool) -> None:
        """The effects behind theta and d, block by block; where: log age of the bins; months: in a period."""

        def block(name: str, inverse: Array, prior: float, copies: int = 1, *, lifted: bool = False) -> slice:
            made = _Block(name, self.size, inverse, prior, copies, lifted)
            self.blocks.append(made)
            self.size += made.each * copies
            return made.at

        seen = self.exposure.sum(axis=(0, 2)) > 0
        enough = seen.sum() * months >= LEAST_MONTHS and self.y.sum() >= LEAST_A_YEAR
        self.delta = block("delta", _ou_inverse(where), DELTA, lifted=True)
        self.walk = block("walk", _steps_inverse(self.periods - 1), WALK * math.sqrt(months))
        self.shock = block("shock", np.eye(self.periods), SHOCK)
        self.season = block("season", np.eye(12), YEAR) if seasonal and enough else slice(0, 0)
        if self.many:
            at_knots = self.knots.T @ where / self.knots.sum(axis=0)
            self.channel = block("channel", np.eye(self.channels), CHANNEL)
            self.channel_age = block(
                "channel_age", _ou_inverse(at_knots), CHANNEL_AGE, self.channels, lifted=True
            )

    def _make_rows(self, months: NDArray[np.int64]) -> None:
        """How log hazards follow from the effects: of a bin and channel, and of a period."""
        bins, periods, walk = np.arange(self.bins), np.arange(self.periods), np.arange(self.periods - 1)
        self.rows_bc = np.zeros((self.bins, self.channels, self.size))
        self.rows_bc[0, :, 3] = 1.0
        self.rows_bc[bins, :, self.delta.start + bins] = 1.0
        self.rows_t = np.zeros((self.periods, self.size))
        self.rows_t[walk, self.walk.start + walk] = 1.0
        self.rows_t[periods, self.shock.start + periods] = 1.0
        if self.season.stop:
            self.rows_t[periods, self.season.start + months] = 1.0
        many, k = range(self.channels if self.many else 0), self.knots.shape[1]
        for c in many:
            self.rows_bc[:, c, self.channel.start + c] = 1.0
            first = self.channel_age.start + c * k
            self.rows_bc[:, c, first : first + k] = self.knots

    def _first_theta(self, where: Array) -> Array:
        """Where theta begins: the prior, or what events and days at risk say where there are some."""
        events = self.y.sum(axis=(1, 2))
        first = np.array(self.prior[0], dtype=float)
        if events.sum() < LEAST_EVENTS:
            return first
        risk = self.exposure.sum(axis=(1, 2))
        gone = (events / np.maximum(risk, 1.0) * np.diff(self.edges))[: int(np.flatnonzero(events).max()) + 1]
        first[0] = logit(np.clip(-np.expm1(-gone.sum()), 0.02, 0.95))
        first[1] = events @ where / events.sum()
        return first

    def _precision(self) -> tuple[Array, Array]:
        """Prior precision of the effects but o, and their prior mean."""
        q, mean = np.zeros((self.size, self.size)), np.zeros(self.size)
        q[np.arange(3), np.arange(3)] = self.prior[1] ** -2.0
        q[3, 3] = ATOM_SD**-2.0
        mean[:3] = self.prior[0]
        for each in self.blocks:
            for i in range(each.copies):
                own = slice(each.at.start + i * each.each, each.at.start + (i + 1) * each.each)
                q[own, own] = each.inverse / each.variance
            mean[each.at] = each.mean
        return q, mean

    def _predictor(self, m: Array, own: Array) -> Array:
        """log h at effects, (bin, period, channel)."""
        straight = self.rows_bc[:, :, 3:] @ m[3:]
        g = cure_hazard(m[:3], self.edges)
        return (straight + g[:, None])[:, None] + (self.rows_t @ m)[:, None] + own

    def _slopes(self, m: Array) -> None:
        """How g moves with theta, into the rows of the bins."""
        for i in range(3):
            up, down = m[:3].copy(), m[:3].copy()
            up[i] += STEP
            down[i] -= STEP
            slope = (cure_hazard(up, self.edges) - cure_hazard(down, self.edges)) / (2.0 * STEP)
            self.rows_bc[:, :, i] = slope[:, None]
        self.slope = self.rows_bc[:, 0, :3].copy()

    def settle(self) -> None:
        """Find the normal: means, H and its inverse, and the scales."""
        variance = np.zeros(self.y.shape)
        for i in range(ITERATIONS):
            self._slopes(self.m)
            self._solve(self._expected(self.m, self.own, variance))
            far = self._climb(variance)
            variance = np.minimum(self._variance(), MOST_VARIANCE)
            change = self._scales() if i >= FIRST else 1.0
            self.far = far
            if i >= 2 * FIRST and far < SETTLED and change < 5 * SETTLED:
                break
        self.iterations = i + 1
        self._slopes(self.m)
        self._solve(self._expected(self.m, self.own, variance))

    def _expected(self, m: Array, own: Array, variance: Array) -> Array:
        """Expected events by cell."""
        return self.exposure * np.exp(np.minimum(self._predictor(m, own) + 0.5 * variance, 30.0))

    def _fit_of(self, m: Array, own: Array, variance: Array) -> float:
        """What is climbed while variances and scales stay: the log density, cells at their mean over the normal."""
        x = m - self.q_mean
        found = float((self.y * self._predictor(m, own)).sum() - self._expected(m, own, variance).sum())
        found -= 0.5 * float(x @ self.q @ x)
        return found - (0.5 * float((own**2).sum()) / self.own_variance if self.many else 0.0)

    def _climb(self, variance: Array) -> float:
        """One Newton step, halved until it climbs; how far the log hazard of a cell moved at most."""
        w = self._expected(self.m, self.own, variance)
        step, own_step = self._step(w)
        here = self._fit_of(self.m, self.own, variance)
        eta = self._predictor(self.m, self.own)
        seen = self.exposure > 0
        straight = ((self.rows_bc @ step)[:, None] + (self.rows_t @ step)[:, None] + own_step)[seen]
        share = min(1.0, FARTHEST / max(float(np.abs(straight).max(initial=0.0)), 1e-9))
        for _ in range(HALVINGS):
            m, own = self.m + share * step, self.own + share * own_step
            far = float(np.abs(self._predictor(m, own) - eta)[seen].max(initial=0.0))
            if far < 2.0 * FARTHEST and self._fit_of(m, own, variance) >= here - ROUNDING * abs(here):
                self.m, self.own = m, own
                return far
            share *= 0.5
        return math.inf

    def _solve(self, w: Array) -> None:
        """H with o taken out, and its inverse; w: expected events by cell."""
        r, t = self.rows_bc, self.rows_t
        q, self.q_mean = self._precision()
        by_bc, by_tc = w.sum(axis=1), w.sum(axis=0)
        flat = r.reshape(-1, self.size)
        h = q + flat.T @ (by_bc.reshape(-1, 1) * flat) + t.T @ (by_tc.sum(axis=1)[:, None] * t)
        # rows of the bins, weighed, by period and channel: (period, channel, effect)
        mixed = np.einsum("btc,bcs->tcs", w, r, optimize=True)
        cross = mixed.sum(axis=1).T @ t
        h += cross + cross.T
        self.q = q
        if self.many:
            self.own_precision = by_tc + 1.0 / self.own_variance
            self.link = mixed + by_tc[:, :, None] * t[:, None, :]  # (period, channel, effect)
            link = self.link.reshape(-1, self.size)
            h -= link.T @ (link / self.own_precision.reshape(-1, 1))
        self.factor = cho_factor(h, lower=True)
        self.cov = cho_solve(self.factor, np.eye(self.size))

    def _step(self, w: Array) -> tuple[Array, Array]:
        """The Newton step of the effects and of o."""
        off = self.y - w
        slope = np.einsum("bc,bcs->s", off.sum(axis=1), self.rows_bc) + off.sum(axis=(0, 2)) @ self.rows_t
        slope -= self.q @ (self.m - self.q_mean)
        if not self.many:
            return self.cov @ slope, np.zeros_like(self.own)
        own_slope = off.sum(axis=0) - self.own / self.own_variance
        step = self.cov @ (slope - np.einsum("tcs,tc->s", self.link, own_slope / self.own_precision))
        return step, (own_slope - self.link @ step) / self.own_precision

    def _variance(self) -> Array:
        """Posterior variance of the predictor of each cell, (bin, period, channel)."""
        r, t = self.rows_bc, self.rows_t
        seen = r @ self.cov  # (bin, channel, effect)
        of_bc = (seen * r).sum(axis=2)
        of_t = ((t @ self.cov) * t).sum(axis=1)
        both = np.einsum("bcs,ts->btc", seen, t, optimize=True)
        found = of_bc[:, None] + of_t[:, None] + 2.0 * both
        if self.many:
            pulled = self.link / self.own_precision[:, :, None]  # (period, channel, effect)
            through = pulled @ self.cov
            of_own = 1.0 / self.own_precision + (through * pulled).sum(axis=2)
            with_bc = np.einsum("bcs,tcs->btc", r, through, optimize=True)
            with_t = (through * t[:, None]).sum(axis=2)
            found += of_own - 2.0 * with_bc - 2.0 * with_t
            self.own_spread = of_own
        return np.maximum(found, 0.0)

    def _scales(self) -> float:
        """One EM step of the scales; the largest change of a log."""
        most = 0.0
        for each in self.blocks:
            n = each.each * each.copies
            if not n:
                continue
            new = min(mode_of_variance(n, each.squares(self.m, self.cov), each.prior), WIDEST**2)
            most = max(most, abs(math.log(new / each.variance)))
            each.variance = new
        if self.many:
            squares = float((self.own**2 + self.own_spread).sum())
            new = mode_of_variance(self.own.size, squares, OWN_SHOCK)
            most = max(most, abs(math.log(new / self.own_variance)))
            self.own_variance = new
        return most

    def draw(self, draws: int, rng: np.random.Generator, *, near: bool = False) -> Fitted:
        """Draws of the posterior: of the normal, by the exact density's weights where these can be trusted.

        near: of the normal as they come, without weights.
        """
        white = rng.standard_normal((draws, self.size))
        moved = solve_triangular(self.factor[0], white.T, lower=True, trans="T").T
        x = self.m + moved
        g = cure_hazard(x[:, :3], self.edges)
        # The log hazard stays as straight in theta as the normal has it: delta takes up the bend of g.
        straight = cure_hazard(self.m[:3], self.edges) + moved[:, :3] @ self.slope.T
        x[:, self.delta] += straight - g
        base = np.einsum("bcs,ds->dbc", self.rows_bc[:, :, 3:], x[:, 3:], optimize=True) + g[:, :, None]
        own, log_own = self._own_drawn(moved, rng)
        asked = kept_draws(draws) if near else np.arange(draws)
        log_likelihood = self._log_likelihood(base, x @ self.rows_t.T, own, asked)
        smooth, k_hat, effective = None, math.nan, math.nan
        if not near:
            apart = x - self.q_mean
            log_weights = (
                0.5 * (white**2).sum(axis=1) - 0.5 * ((apart @ self.q) * apart).sum(axis=1) + log_own
            )
            smooth, k_hat, effective = certificate(log_weights + log_likelihood.sum(axis=1))
        scales = {}
        for each in self.blocks:
            if each.name in ("walk", "shock"):
                part = x[:, each.at]
                squares = ((part @ each.inverse) * part).sum(axis=1)
                scales[each.name] = scale_given(each.each, squares, each.prior, rng)
        own_shock = scale_given(own[0].size, (own**2).sum(axis=(1, 2)), OWN_SHOCK, rng) if self.many else None
        made = Fitted(
            log_hazard=base,
            theta=x[:, :3],
            path=np.concatenate([x[:, self.walk], np.zeros((draws, 1))], axis=1),
            season=x[:, self.season] if self.season.stop else np.zeros((draws, 12)),
            walk=scales["walk"],
            shock=scales["shock"],
            own_shock=np.zeros(draws) if own_shock is None else own_shock,
            log_likelihood=log_likelihood,
            log_prior=-0.5 * (((x[:, :3] - self.prior[0]) / self.prior[1]) ** 2).sum(axis=1),
            k_hat=k_hat,
            effective=effective,
            weighed=False,
        )
        if near:
            return made
        if smooth is not None and k_hat < TRUSTED and effective > LEAST_EFFECTIVE * draws:
            rows = rng.permutation(np.repeat(np.arange(draws), points_drawn(smooth, draws)))
            made = replace(made.of(rows), weighed=True)
        return replace(made, log_likelihood=made.log_likelihood[kept_draws(draws)])

    def _own_drawn(self, moved: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draws of o (draw, period, channel) given the others, and its prior over its density in the normal."""
        if not self.many:
            return np.zeros((len(moved), 1, 1)), np.zeros(len(moved))
        flat = self.link.reshape(-1, self.size)
        pulled = (moved @ flat.T).reshape(len(moved), *self.own.shape)
        z = rng.standard_normal(pulled.shape)
        own = self.own - pulled / self.own_precision + z / np.sqrt(self.own_precision)
        return own, 0.5 * (z**2).sum(axis=(1, 2)) - 0.5 * (own**2).sum(axis=(1, 2)) / self.own_variance

    def _log_likelihood(self, base: Array, by_t: Array, own: Array, rows: NDArray[np.int64]) -> Array:
        """Log likelihood of some draws by channel, (row, channel), of cells with days at risk."""
        found = np.zeros((len(rows), self.channels))
        by_bc, by_tc = self.y.sum(axis=1), self.y.sum(axis=0)
        some = self.exposure.any(axis=(1, 2))
        seen = self.exposure[some]
        chunk = max(int(CHUNK // max(seen.size, 1)), 1)
        for first in range(0, len(rows), chunk):
            at = rows[first : first + chunk]
            of_t = by_t[at, :, None] + own[at]  # (row, period, channel)
            expected = np.einsum(
                "btc,rbc,rtc->rc", seen, np.exp(base[at][:, some]), np.exp(of_t), optimize=True
            )
            told = (by_bc * base[at]).sum(axis=1) + (by_tc * of_t).sum(axis=1)
            found[first : first + chunk] = told - expected
        return found


def certificate(log_weights: Array) -> tuple[Array, float, float]:
    """Weights smoothed by Pareto, their k-hat, and their effective size."""
    from arviz_stats.base.array import array_stats

    smooth: Any
    smooth, k = array_stats.psislw(-log_weights)  # type: ignore[no-untyped-call]
    weights = np.exp(smooth - smooth.max())
    weights /= weights.sum()
    return np.asarray(weights), float(k), float(1.0 / (weights**2).sum())
