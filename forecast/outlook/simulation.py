"""The funnel run forward from posterior draws: every stage and its revenue, in integers, by channel and period.

Each draw gives future rates and traffic (walks go on without drift), then chance: a beta-binomial share of every cohort
moves on, split over delays by sequential binomials, so that the counts of a draw conserve units exactly. Units already
inside the funnel at the as-of date move on with the chance that their age leaves them:

    P(move at age a + h | still open at age a) = p f_(a+h) / (1 - p F_a - (1 - p) q G_a)

(q and G: of the units that never move on, the share lost with a date, and the delay of the loss). Under calendar counts
who is still open is unknown, and the entries of each past period are thinned by p f_(a+h) instead.

Any number of plans are compared on common random numbers by layers (`outlook.layers`): what all of them bring, what
only some bring, thinned side by side with the same rates. A difference of plans then holds no noise of its own. Where
sales can take only so many (`outlook.queue`), each plan has a queue of its own, and what they all handle stays shared.

numpy only; `slot` H after the H periods of the horizon collects what lands later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit

from forecast.equations import delay_pmf
from forecast.fit import EARLY_PERIODS, Posterior, carry_periods, log_days
from forecast.history import History
from forecast.outlook.layers import Kind, Layers, own_part, sets_of
from forecast.outlook.open_pipeline import ages_of, open_units
from forecast.outlook.queue import through_sales
from forecast.periods import period_range, season_of, shift
from forecast.study import Study

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

REPLICATES = (
    2  # chance replicates of each posterior draw: tells luck from ignorance, and steadies the quantiles
)
CHUNK = 1000  # posterior draws simulated at once: bounds memory


@dataclass(frozen=True)
class Future:
    """Paths of the horizon's parameters, one per posterior draw, shared by every plan and by the allocation.

    log_traffic (draw, period, channel): log expected units at reference spend. rates: by destination stage, expected
    rate (draw, period, channel). past_spend, reference: of the history, by (period,) channel. starts: the periods.
    inflow: by stage, further units expected to enter it in each period (draw, period, channel), beside those that come
    from the stage before (recycled leads, say): Poisson on top, counted as new, in every plan, moving on as others do.
    """

    log_traffic: Array
    tail_traffic: Array  # (draw, channel): the same for the periods after the horizon, season aside
    rates: dict[str, Array]
    past_spend: Array
    reference: Array
    responds: NDArray[np.bool_]
    stopped: NDArray[np.bool_]  # over, unless money is planned
    starts: NDArray[np.datetime64]
    inflow: Mapping[str, Array] = field(default_factory=dict)


def future_paths(posterior: Posterior, history: History, horizon: int, rng: np.random.Generator) -> Future:
    """Draw the walks of traffic and rates over `horizon` periods after the history's last."""
    draws, channels = posterior.draws, len(history.channels)

    def walk(name: str) -> Array:
        common = rng.standard_normal((draws, horizon, 1)) * posterior.array(f"drift_{name}")[:, None, None]
        own = (
            rng.standard_normal((draws, horizon, channels))
            * posterior.array(f"own_drift_{name}")[:, None, None]
        )
        return np.cumsum(common + own, axis=1)

    starts = period_range(
        shift(history.last, 1, history.period), shift(history.last, horizon, history.period), history.period
    )
    moves = walk("traffic")
    season = posterior.array("season")[:, season_of(starts, history.period)]
    days = log_days(starts, history.period)
    level = posterior.array("traffic")[:, None, :] + moves
    rates = {
        stage: expit(posterior.data[f"logit_rate_{stage}"].values[:, -1:].astype(float) + walk(stage))
        for stage in posterior.stages
    }
    return Future(
        level + season[:, :, None] + days[:, None],
        level[:, -1],
        rates,
        history.spend,
        history.spend_reference,
        history.paid,
        history.stopped,
        starts,
    )


def response(
    posterior: Posterior,
    future: Future,
    spend: Array,
    period: str,
    *,
    channels: NDArray[np.int64] | slice = slice(None),
    skip: int = 0,
) -> Array:
    """Traffic as a multiple of its reference level, (draw, period, channel), for spend (period, channel) from now on.

    b + (1 - b) g(z), z = x~ / x0, where x~ carries in what was spent before; 1 for a channel without spend. Histories
    tell level and elasticity at x0, hardly ever the shape away from it: in half of the draws g is the power law z^beta,
    in the other half Michaelis-Menten with the same level and elasticity at x0, z / ((1 - beta) z + beta). Only for
    `channels`, and without the first `skip` periods of `spend`.
    """
    lags = carry_periods(period)
    early = future.past_spend[:EARLY_PERIODS].mean(axis=0, keepdims=True)
    past = np.concatenate([np.repeat(early, lags, axis=0), future.past_spend])[-lags:]
    path = (np.concatenate([past, spend]) / future.reference)[:, channels]
    carry = posterior.array("carry")[:, None, channels] + 1e-12
    weights = carry ** np.arange(lags + 1)[:, None]
    weights /= weights.sum(axis=1, keepdims=True)
    windows = np.stack([path[lags - k + skip : len(path) - k] for k in range(lags + 1)])
    acting = np.einsum("skc,kpc->spc", weights, windows)
    beta, base = posterior.array("elasticity")[:, None, channels], posterior.array("base")[:, None, channels]
    power = np.exp(beta * np.log(acting + 1e-9))
    shape = np.where(_saturates(posterior.draws), acting / ((1.0 - beta) * acting + beta), power)
    return np.where(future.responds[channels], base + (1.0 - base) * shape, 1.0)


def _saturates(draws: int) -> NDArray[np.bool_]:
    """Which draws take the saturating form, (draw, 1, 1): every other one, however the draws are thinned."""
    return (np.arange(draws) * 0.6180339887498949 % 1.0 < 0.5)[:, None, None]


def expected_traffic(
    posterior: Posterior, future: Future, spend: Array, after: Array, period: str
) -> tuple[Array, Array]:
    """Expected units entering the funnel: in the horizon (draw, period, channel), and what this spend brings later.

    The second, (draw, channel), is carry-over: traffic after the horizon with this plan less traffic with no spend in
    it, both with `after` (channel) spent per period from then on.
    """
    inside = np.exp(future.log_traffic) * response(posterior, future, spend, period)
    inside = np.where(future.stopped & (spend == 0), 0.0, inside)
    later = np.zeros_like(future.tail_traffic)
    lasting = np.flatnonzero(posterior.array("carry").any(axis=0) & future.responds)
    if lasting.size:
        path = np.concatenate([spend, np.repeat(after[None, :], carry_periods(period), axis=0)])
        idle = path.copy()
        idle[: len(spend)] = 0.0
        more = response(posterior, future, path, period, channels=lasting, skip=len(spend))
        more = more - response(posterior, future, idle, period, channels=lasting, skip=len(spend))
        later[:, lasting] = np.exp(future.tail_traffic[:, lasting]) * np.maximum(more, 0.0).sum(axis=1)
    return inside, later


def simulate(
    posterior: Posterior,
    history: History,
    study: Study,
    plans: Mapping[str, Array],
    future: Future,
    *,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> xr.Dataset:
    """Outlook of plans (name -> spend by period and channel), dims plan, draw, period, channel.

    Variables: every stage, `spend`, and where deals have a value `revenue`, `contribution`; the bridge
    `won_from_pipeline`, `won_from_new`, `revenue_from_pipeline`, `revenue_from_new`, and without a period
    `won_after_horizon` (`won_after_from_pipeline` of them), `revenue_after_horizon` (of units in the funnel by the end
    of the horizon) and `revenue_eventual` (all revenue of cohorts that the horizon acquires, carry-over included).
    `contribution` = gross margin x that eventual revenue - spend, dated by acquisition (the split over periods is the
    expected one; carry-over counts in the last). Draws: posterior draw i gives draws i x replicates onwards. Where the
    study gives a capacity of sales also `handled`, units that sales took in front of the last stage, and `waiting`,
    those that wait at the end of a period. Nobody waits at the as-of date: who is inside then is in the hands of sales.
    """
    spends = list(plans.values())
    if not spends:
        raise ValueError("a simulation needs a plan")
    after = history.current_spend
    traffic = [expected_traffic(posterior, future, spend, after, history.period) for spend in spends]
    pieces = []
    for start in range(0, posterior.draws, CHUNK):
        rows = np.repeat(np.arange(start, min(start + CHUNK, posterior.draws)), replicates)
        part = _Chunk(posterior, history, future, rows, rng.spawn(1)[0], study)
        pieces.append(part.run([(inside[rows], later[rows]) for inside, later in traffic]))
    joined = {name: np.concatenate([piece[name] for piece in pieces], axis=1) for name in pieces[0]}
    rows = np.repeat(np.arange(posterior.draws), replicates)
    shares = np.stack([_acquired_share(future, inside, later)[rows] for inside, later in traffic])
    return _outlook(
        joined, shares, np.stack(spends), history, future, list(plans), study.economics.gross_margin
    )


class _Chunk:
    """Some draws of the funnel run forward; the numbers of layers are (layer, draw, slot, channel)."""

    def __init__(
        self,
        posterior: Posterior,
        history: History,
        future: Future,
        rows: Counts,
        rng: np.random.Generator,
        study: Study,
    ) -> None:
        self.posterior, self.history, self.future, self.rows, self.rng = posterior, history, future, rows, rng
        self.room, self.decay = study.economics.capacity, study.economics.capacity_decay
        self.horizon = future.log_traffic.shape[1]

    def draw(self, name: str) -> Array:
        return np.asarray(self.posterior.data[name].values[self.rows], dtype=float)

    def run(self, traffic: list[tuple[Array, Array]]) -> dict[str, Array | Counts]:
        """Counts by stage and money, by plan: see `simulate`."""
        first, *rest = self.posterior.provenance["stages"]
        enters = self.history.entry
        units, tail = self._traffic(traffic)
        units = self._flow_in(first, units)
        result: dict[str, Array | Counts] = {first: self._inside(units, enters <= 0)}
        for position, (before, stage) in enumerate(pairwise([first, *rest]), start=1):
            if self.room is not None and stage == rest[-1]:
                limited = enters < position  # others are counted as wins alone
                queued = through_sales(units, tail, limited, self.room, self.decay, self.rng.spawn(1)[0])
                units, tail = queued.entries, queued.tail
                result |= {"handled": queued.handled, "waiting": queued.waiting}
            units, tail = self._transition(before, stage, units, tail)
            units = self._flow_in(stage, units)
            result[stage] = self._inside(units, enters <= position)
        return result | self._won(units) | self._money(units, tail)

    def _inside(self, layers: Layers, counted: NDArray[np.bool_] | bool = True) -> Array | Counts:
        """What falls inside the horizon, by plan."""
        return layers.with_values(layers.values[:, :, : self.horizon] * counted).by_plan()

    def _after(self, layers: Layers) -> Array | Counts:
        """What falls after the horizon, by plan."""
        return layers.with_values(layers.values[:, :, self.horizon]).by_plan()

    def _won(self, won: Layers) -> dict[str, Array | Counts]:
        return {
            "won_from_pipeline": self._inside(won.pipeline),
            "won_from_new": self._inside(won.new),
            "won_after_horizon": self._after(won),
            "won_after_from_pipeline": self._after(won.pipeline),
        }

    def _money(self, won: Layers, tail: Layers) -> dict[str, Array | Counts]:
        if "deal_mean" not in self.posterior.data:
            return {}
        money = won.with_values(self._revenue(won.values))
        later = self._revenue(tail.values[:, :, None])[:, :, 0]
        eventual = money.with_values(money.new.values.sum(axis=2) + later)
        return {
            "revenue": self._inside(money),
            "revenue_from_new": self._inside(money.new),
            "revenue_after_horizon": self._after(money),
            "revenue_eventual": eventual.by_plan(),
        }

    def _flow_in(self, stage: str, units: Layers) -> Layers:
        """Add what enters a stage from outside the funnel; no random number is drawn where nothing does."""
        if stage in self.future.inflow:
            every = units.kinds.index(Kind(new=True, plans=frozenset(range(units.plans))))
            units.values[every, :, : self.horizon] += self.rng.poisson(self.future.inflow[stage][self.rows])
        return units

    def _traffic(self, traffic: list[tuple[Array, Array]]) -> tuple[Layers, Layers]:
        """Negative binomial traffic as Poisson of a shared gamma, by layer: in the horizon and by carry-over later."""
        size = 1.0 / (self.draw("noise_traffic") ** 2 + 1e-4)
        inside, later = np.stack([t[0] for t in traffic]), np.stack([t[1] for t in traffic])
        plans, draws, horizon, channels = inside.shape
        gamma = (
            self.rng.standard_gamma(np.broadcast_to(size[:, None, None], inside.shape[1:]))
            / size[:, None, None]
        )
        sets = sets_of(np.concatenate([inside, later[:, :, None]], axis=2))
        kinds = (Kind(new=False, plans=sets[0]), *(Kind(new=True, plans=plans) for plans in sets))
        entries = np.zeros((len(kinds), draws, horizon + 1, channels), dtype=np.int64)
        tail = np.zeros((len(kinds), draws, channels), dtype=np.int64)
        for k, chosen in enumerate(sets, start=1):
            entries[k, :, :horizon] = self.rng.poisson(gamma * own_part(inside, chosen))
            tail[k] = self.rng.poisson(own_part(later, chosen))
        return Layers(kinds, entries, plans), Layers(kinds, tail, plans)

    def _transition(self, before: str, stage: str, units: Layers, tail: Layers) -> tuple[Layers, Layers]:
        """Units of `before` by slot of entry -> of `stage` by slot of arrival, old cohorts and carry-over included."""
        entries = units.values
        rate = self.future.rates[stage][self.rows]
        rate = np.concatenate([rate, rate[:, -1:]], axis=1)
        p = self._noisy(rate, stage)
        tail = tail.with_values(self.rng.binomial(tail.values, p[:, -1]))
        mean = self.draw(f"delay_mean_{stage}")
        if not mean.any():
            return units.with_values(self.rng.binomial(entries, p)), tail
        f = self._pmf(stage, mean, self.draw(f"delay_cv_{stage}"))
        arrivals = np.zeros_like(entries)
        cdf = np.cumsum(f, axis=1)
        for h in range(self.horizon):
            left, seen = entries[:, :, h].copy(), np.zeros(len(f))
            for slot in range(h, self.horizon):
                chance = p[:, h] * f[:, slot - h, None] / (1.0 - p[:, h] * seen[:, None])
                moved = self.rng.binomial(left, np.clip(chance, 0.0, 1.0))
                arrivals[:, :, slot] += moved
                left -= moved
                seen = cdf[:, slot - h]
            later = p[:, h] * (1.0 - seen[:, None]) / (1.0 - p[:, h] * seen[:, None])
            arrivals[:, :, self.horizon] += self.rng.binomial(left, np.clip(later, 0.0, 1.0))
        arrivals[:, :, self.horizon] += self.rng.binomial(entries[:, :, self.horizon], p[:, -1])
        arrivals[0] += self._pipeline(before, stage, f)  # the first layer is the pipeline
        at_once = self.history.enters_later(stage)
        arrivals[..., at_once] = entries[..., at_once]
        return units.with_values(arrivals), tail

    def _noisy(
        self, rate: Array, stage: str, seen: tuple[Array, Array] | None = None, lived: Array | float = 1.0
    ) -> Array:
        """Rates of single cohorts: Beta around the expected one, with the noise that the history showed.

        What a cohort has shown so far (`seen`: entries, moves) tells of its own rate: Beta(k p + y, k (1 - p) + n F -
        y), F the share of the delay that it has lived through.
        """
        noise = self.draw(f"noise_{stage}").reshape(-1, *([1] * (rate.ndim - 1)))
        inner = np.clip(rate, 1e-9, 1 - 1e-9)
        kappa = 1.0 / (noise**2 * inner * (1 - inner) + 1e-6)
        a, b = inner * kappa, (1 - inner) * kappa
        if seen is not None:
            entered, moved = seen
            a, b = a + moved, b + np.maximum(entered * lived - moved, 0.0)
        return np.clip(self.rng.beta(a, b), 0.0, 1.0 - 1e-12)

    def _pmf(self, stage: str, mean: Array, cv: Array) -> Array:
        ages = ages_of(self.posterior, stage)
        pmf = delay_pmf(mean, cv, ages)
        return np.concatenate([pmf, np.zeros((len(pmf), self.horizon + 1))], axis=1)

    def _pipeline(self, before: str, stage: str, f: Array) -> Counts:
        """Moves into `stage` by units that entered `before` up to the as-of date: (draw, slot, channel)."""
        units, waited, known_open = open_units(self.history, self.posterior, before, stage)
        ages = waited.shape[1]
        rows = np.flatnonzero(units.sum(axis=1) > 0)
        result = np.zeros((len(f), self.horizon + 1, units.shape[1]), dtype=np.int64)
        if not rows.size:
            return result
        cohort = np.maximum(rows - (len(units) - len(self.history.periods)), 0)
        path = self.posterior.data[f"logit_rate_{stage}"].values
        rate = expit(path[self.rows][:, cohort].astype(float))
        weights = waited[rows].T
        cdf = np.cumsum(f, axis=1)
        still = np.ones_like(rate)
        if not known_open:
            p = self._noisy(rate, stage)
        else:
            lived = np.minimum(cdf[:, :ages] @ weights, 1.0)[:, :, None]
            p = self._noisy(rate, stage, self._outcome(before, stage, rows), lived)
            still -= p * lived
            if f"loss_logit_{stage}" in self.posterior.data:
                still -= (1.0 - p) * self._lost(stage, cohort, weights, ages)
            still = np.maximum(still, 1e-12)
        left = np.broadcast_to(units[rows], p.shape).copy()
        gone = np.zeros_like(p)
        for h in range(self.horizon):
            moving = p * (f[:, 1 + h : 1 + h + ages] @ weights)[:, :, None] / still
            moved = self.rng.binomial(left, np.clip(moving / np.maximum(1.0 - gone, 1e-12), 0.0, 1.0))
            result[:, h] = moved.sum(axis=1)
            left -= moved
            gone += moving
        beyond = (1.0 - np.minimum(cdf[:, self.horizon : self.horizon + ages], 1.0)) @ weights
        later = p * beyond[:, :, None] / still / np.maximum(1.0 - gone, 1e-12)
        result[:, self.horizon] = self.rng.binomial(left, np.clip(later, 0.0, 1.0)).sum(axis=1)
        return result

    def _outcome(self, before: str, stage: str, rows: Counts) -> tuple[Array, Array]:
        """Entries and moves so far of the past cohorts in `rows`, dims (cohort, channel)."""
        entered = self.history.filled(before)
        if stage in self.history.triangles:
            moved = self.history.triangles[stage].values.sum(axis=1)
        else:
            moved = self.history.filled(stage)
        return entered[rows].astype(float), moved[rows].astype(float)

    def _lost(self, stage: str, cohort: Counts, weights: Array, ages: int) -> Array:
        """Of the units of each past cohort that never move on, the share lost with a date by now: q G_a."""
        q = expit(self.posterior.data[f"loss_logit_{stage}"].values[self.rows][:, cohort].astype(float))
        g = delay_pmf(self.draw(f"loss_delay_mean_{stage}"), self.draw(f"loss_delay_cv_{stage}"), ages)
        return q * np.minimum(np.cumsum(g, axis=1) @ weights, 1.0)[:, :, None]

    def _revenue(self, won: Counts) -> Array:
        """Revenue of `won` deals: Gamma(won / cv^2, mean cv^2), the sum of that many gamma deals."""
        mean, cv = self.draw("deal_mean")[:, None, :], self.draw("deal_cv")[:, None, None]
        if not cv.any():
            return won * mean
        return self.rng.standard_gamma(won / cv**2) * (mean * cv**2)


def _acquired_share(future: Future, inside: Array, later: Array) -> Array:
    """Expected share of the eventual wins of the horizon's cohorts by period of acquisition; sums to one."""
    chance = np.ones_like(inside)
    for rate in future.rates.values():
        chance = chance * rate
    worth = inside * chance
    worth[:, -1] += later * chance[:, -1]
    return worth / np.maximum(worth.sum(axis=1, keepdims=True), 1e-300)


def _outlook(
    joined: dict[str, NDArray],  # type: ignore[type-arg]
    shares: Array,
    spends: Array,
    history: History,
    future: Future,
    plans: list[str],
    margin: float,
) -> xr.Dataset:
    inside = ("plan", "draw", "period", "channel")
    variables = {
        name: (inside if values.ndim == 4 else ("plan", "draw", "channel"), values)
        for name, values in joined.items()
    }
    variables["spend"] = (inside, np.broadcast_to(spends[:, None], shares.shape).copy())
    if "revenue" in joined:
        variables["revenue_from_pipeline"] = (inside, joined["revenue"] - joined["revenue_from_new"])
        eventual = joined["revenue_eventual"][:, :, None, :] * shares
        variables["contribution"] = (inside, margin * eventual - variables["spend"][1])
    coords = {"plan": plans, "period": future.starts.astype("datetime64[ns]"), "channel": history.channels}
    return xr.Dataset(variables, coords=coords)
