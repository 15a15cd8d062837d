"""The funnel run forward from posterior draws: every stage and its revenue, in integers, by channel and period.

Each draw gives future rates, traffic and deal values (walks go on, periods have shocks), then chance: a beta-binomial
share of every cohort moves on (of calendar counts: of what falls due in a period), by sequential binomials, so that the
counts of a draw conserve units exactly. Units already inside the funnel at the as-of date move on with the chance that
their age leaves them (`outlook.open_pipeline`).

Any number of plans are compared on common random numbers by layers (`outlook.layers`): what all of them bring, what
only some bring, thinned side by side with the same rates. A difference of plans then holds no noise of its own. Where
sales can take only so many (`outlook.queue`), each plan has a queue of its own, and what they all handle stays shared.

numpy only; `slot` H after the H periods of the horizon collects what lands later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forecast.equations import cohort_beta, negative_binomial_size
from forecast.outlook.beside import refunds_of
from forecast.outlook.case import Case
from forecast.outlook.expectation import in_the_end
from forecast.outlook.layers import Kind, Layers, own_part, sets_of
from forecast.outlook.open_pipeline import (
    case_law,
    chance_by_slot,
    lags_of,
    open_moves,
    scheduled_before,
    waiting_before,
)
from forecast.outlook.queue import through_sales

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

REPLICATES = 2  # of chance, for each posterior draw: tells luck from ignorance, and steadies the quantiles
CHUNK, CELLS = 1000, 4e6  # posterior draws simulated at once, and cells of their cohorts: bounds memory


def simulate(
    case: Case,
    plans: Mapping[str, Array],
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
    expected one; carry-over counts in the last). Where refunds are known, all of these are net of them: `revenue_gross`
    is before, `refunds` what is paid back inside the horizon (of past deals too, which go with the pipeline). Where
    customers go on paying, `recurring` is what they pay, and `revenue` = from pipeline + from new + recurring. Draws:
    posterior draw i gives draws i x replicates onwards. Where the study gives a capacity of sales also `handled`, units
    that sales took in front of the last stage, and `waiting`, those that wait at the end of a period. Nobody waits at
    the as-of date: who is inside then is in the hands of sales.
    """
    runs = Runs(case, plans)
    every = np.repeat(np.arange(case.posterior.draws), replicates)
    joined: dict[str, NDArray[Any]] = {}
    done = 0
    for rows, child in runs.jobs(rng, replicates):
        for name, values in runs.counted(rows, child).items():
            if name not in joined:
                joined[name] = np.empty((len(values), len(every), *values.shape[2:]), dtype=values.dtype)
            joined[name][:, done : done + len(rows)] = values
        done += len(rows)
    return runs.outlook(every, joined)


class Runs:
    """Plans (name -> spend by period and channel) ready to be run forward, some draws at a time."""

    def __init__(self, case: Case, plans: Mapping[str, Array]) -> None:
        if not plans:
            raise ValueError("a simulation needs a plan")
        self.case, self.plans = case, plans
        self.traffic = [case.traffic(spend) for spend in plans.values()]
        self.shares = [_acquired_share(case, inside, later) for inside, later in self.traffic]

    def jobs(
        self, rng: np.random.Generator, replicates: int
    ) -> Iterator[tuple[NDArray[np.int64], np.random.Generator]]:
        """Posterior draws, each as often as there are replicates, chunk by chunk, with random numbers of its own."""
        draws, cells = self.case.posterior.draws, len(self.case.history.periods) * len(self.case.channels)
        each = max(min(CHUNK, int(CELLS // (replicates * cells))), 1)
        for start in range(0, draws, each):
            yield np.repeat(np.arange(start, min(start + each, draws)), replicates), rng.spawn(1)[0]

    def counted(self, rows: NDArray[np.int64], rng: np.random.Generator) -> dict[str, Array | Counts]:
        """Counts by stage and money, by plan."""
        return _Chunk(self.case, rows, rng).run(
            [(inside[rows], later[rows]) for inside, later in self.traffic]
        )

    def made(self, rows: NDArray[np.int64], rng: np.random.Generator) -> xr.Dataset:
        """The outlook of some draws: see `simulate`."""
        return self.outlook(rows, self.counted(rows, rng))

    def outlook(self, rows: NDArray[np.int64], joined: Mapping[str, NDArray[Any]]) -> xr.Dataset:
        """The outlook of some draws from what was counted."""
        return _outlook(self.case, rows, joined, np.stack([share[rows] for share in self.shares]), self.plans)


class _Chunk:
    """Some draws of the funnel run forward; the numbers of layers are (layer, draw, slot, channel)."""

    def __init__(self, case: Case, rows: Counts, rng: np.random.Generator) -> None:
        self.case, self.future, self.rows, self.rng = case, case.future, rows, rng
        self.horizon = case.horizon

    def draw(self, name: str) -> Array:
        return np.asarray(self.case.posterior.data[name].values[self.rows], dtype=float)

    def run(self, traffic: list[tuple[Array, Array]]) -> dict[str, Array | Counts]:
        """Counts by stage and money, by plan: see `simulate`."""
        first, *rest = self.case.stages
        enters, sales = self.case.history.entry, self.case.study.economics
        units, tail = self._traffic(traffic)
        units = self._flow_in(first, units)
        result: dict[str, Array | Counts] = {first: self._inside(units, enters <= 0)}
        for position, (before, stage) in enumerate(self.case.steps, start=1):
            if sales.capacity is not None and stage == rest[-1]:
                limited = enters < position  # others are counted as wins alone
                asked = sales.capacity, sales.capacity_decay
                queued = through_sales(units, tail, limited, *asked, self.rng.spawn(1)[0])
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
        if not self.case.valued:
            return {}
        value, after = self.future.value[self.rows], self.future.later_value[self.rows, None]
        money = won.with_values(self._revenue(won.values, np.concatenate([value, after], axis=1)))
        later = self._revenue(tail.values[:, :, None], after)[:, :, 0]
        refunds = refunds_of(self.case.posterior, self.case.history, self.horizon, self.rows)
        told: dict[str, Array | Counts] = {}
        if refunds is not None:
            due = refunds.due(money.values)
            due[0] += refunds.owed  # the first layer is the pipeline, which past deals go with
            back = won.with_values(self._paid_back(due))
            told = {"revenue_gross": self._inside(money), "refunds": self._inside(back)}
            money = money.with_values(money.values - back.values)
            later = later - self._paid_back((later * refunds.share)[:, :, None])[:, :, 0]
        eventual = money.with_values(money.new.values.sum(axis=2) + later)
        return told | {
            "revenue": self._inside(money),
            "revenue_from_new": self._inside(money.new),
            "revenue_after_horizon": self._after(money),
            "revenue_eventual": eventual.by_plan(),
        }

    def _paid_back(self, due: Array) -> Array:
        """Refunds where so much is due in expectation, (layer, draw, slot, channel): whole ones of the usual size."""
        size = self.draw("refund_size")[:, None, None]
        return np.asarray(size * self.rng.poisson(np.minimum(due / size, 1e15)))

    def _flow_in(self, stage: str, units: Layers) -> Layers:
        """Add what enters a stage from outside the funnel; no random number is drawn where nothing does."""
        if stage in self.future.inflow:
            every = units.kinds.index(Kind(new=True, plans=frozenset(range(units.plans))))
            units.values[every, :, : self.horizon] += self.rng.poisson(self.future.inflow[stage][self.rows])
        return units

    def _traffic(self, traffic: list[tuple[Array, Array]]) -> tuple[Layers, Layers]:
        """Negative binomial traffic as Poisson of a shared gamma, by layer: in the horizon and by carry-over later."""
        size = negative_binomial_size(self.draw("noise_traffic")[:, None, :])
        inside, later = np.stack([t[0] for t in traffic]), np.stack([t[1] for t in traffic])
        plans, draws, horizon, channels = inside.shape
        gamma = self.rng.standard_gamma(np.broadcast_to(size, inside.shape[1:])) / size
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
        rate = self.future.rates_on(stage, self.rows)
        f, by_day = lags_of(self.case, stage, self.rows), stage in self.future.paces
        closing = f is not None and self.case.history.counting == "calendar"
        p = rate if closing or by_day else self._noisy(rate, stage)
        tail = tail.with_values(self.rng.binomial(tail.values, p[:, -1]))
        if f is None:
            return units.with_values(self.rng.binomial(entries, p)), tail
        scatter = self._scatter(rate, stage) if closing else np.ones_like(rate)
        arrivals = np.zeros_like(entries)
        for h in range(self.horizon):
            left, seen, gone = entries[:, :, h].copy(), np.zeros_like(f[:, h, 0]), np.zeros_like(p[:, h])
            for slot in range(h, self.horizon):
                moving = p[:, h] * scatter[:, slot] * f[:, h, slot - h]
                moved = self.rng.binomial(left, _of_left(moving, gone))
                arrivals[:, :, slot] += moved
                left -= moved
                seen, gone = seen + f[:, h, slot - h], gone + moving
            later = _of_left(p[:, h] * (1.0 - seen), gone)
            arrivals[:, :, self.horizon] += self.rng.binomial(left, later)
        arrivals[:, :, self.horizon] += self.rng.binomial(entries[:, :, self.horizon], p[:, -1])
        old = self._ageing(stage) if by_day else self._pipeline(before, stage, scatter if closing else None)
        arrivals[0] += old  # the first layer is the pipeline
        if (planned := scheduled_before(self.case.history, stage, self.horizon)) is not None:
            arrivals[0] += planned.draw(len(f), self.horizon + 1, self.rng)
        at_once = self.case.history.enters_later(stage)
        arrivals[..., at_once] = entries[..., at_once]
        return units.with_values(arrivals), tail

    def _noisy(self, rate: Array, stage: str) -> Array:
        """Rates of single cohorts: Beta around the expected one, with the noise that the history showed."""
        return self._drawn(*cohort_beta(rate, self.draw(f"noise_{stage}")[:, None, :]))

    def _scatter(self, rate: Array, stage: str) -> Array:
        """Of calendar counts: what a period's closings are over those expected, mean one, (draw, slot, channel).

        Noise of a cell and the shock of its period are of what leaves a stage, as the history's were; after the horizon
        there is none.
        """
        shock = self.draw(f"shock_{stage}")[:, None, None]
        moved = np.exp(shock * self.rng.standard_normal((*rate.shape[:2], 1)) - 0.5 * shock**2)
        at = np.clip(rate * moved, 1e-12, 1.0 - 1e-9)
        scatter = self._noisy(at, stage) / np.maximum(rate, 1e-12)
        scatter[:, self.horizon :] = 1.0
        return np.asarray(scatter)

    def _drawn(self, a: Array, b: Array) -> Array:
        return np.clip(self.rng.beta(a, b), 0.0, 1.0 - 1e-12)

    def _ageing(self, stage: str) -> Counts:
        """The same as `_pipeline` of dated leads: those of one age and channel move, are lost, or stay."""
        rows, again = np.unique(self.rows, return_inverse=True)
        result = np.zeros((len(again), self.horizon + 1, len(self.case.channels)), dtype=np.int64)
        left: Counts | None = None
        for slot, (units, chance, stay) in enumerate(open_moves(self.case, stage, rows)):
            left = np.repeat(units[None], len(again), axis=0) if left is None else left
            moved = self.rng.binomial(left, chance[again])
            result[:, slot] = moved.sum(axis=1)
            if slot == self.horizon:
                break
            kept = stay / np.maximum(1.0 - chance, 1e-12)
            left = self.rng.binomial(left - moved, np.clip(kept, 0.0, 1.0)[again])
        return result

    def _pipeline(self, before: str, stage: str, scatter: Array | None) -> Counts:
        """Moves into `stage` by units that entered `before` up to the as-of date: (draw, slot, channel).

        scatter: `_scatter` of the periods in which they move, where that is whose noise it is, and not the cohorts'.
        """
        f = case_law(self.case, stage, self.rows)
        result = np.zeros((len(f), self.horizon + 1, len(self.case.channels)), dtype=np.int64)
        waiting = waiting_before(self.case, before, stage, f, self.rows)
        if waiting is None:
            return result
        p = self._drawn(*waiting.beta()) if scatter is None else waiting.rate
        still = waiting.still_open(p)
        left = np.broadcast_to(waiting.units, p.shape).copy()
        gone = np.zeros_like(p)
        inside, beyond = chance_by_slot(f, waiting.waited, self.horizon)
        for h, share in enumerate(inside):
            moving = p * share[:, :, None]
            if waiting.known:
                moving /= still
            if scatter is not None:
                moving *= scatter[:, h, None]
            moved = self.rng.binomial(left, _of_left(moving, gone))
            result[:, h] = moved.sum(axis=1)
            left -= moved
            gone += moving
        later = _of_left(p * beyond[:, :, None] / still, gone)
        result[:, self.horizon] = self.rng.binomial(left, later).sum(axis=1)
        return result

    def _revenue(self, won: Counts, mean: Array) -> Array:
        """Revenue of `won` deals: Gamma(paid / cv^2, mean cv^2), the sum of that many gamma deals of those not free."""
        cv = self.draw("deal_cv")[:, None, None]
        if "free_share" in self.case.posterior.data:
            won, mean = self._paid(won), mean / (1.0 - self.draw("free_share")[:, None, :])
        if not cv.any():
            return won * mean
        return self.rng.standard_gamma(won / cv**2) * (mean * cv**2)

    def _paid(self, won: Counts) -> Counts:
        """Deals that bring something, of `won` by layer, draw, slot and channel: see `fit.free_deals`."""
        k = 1.0 / self.draw("free_spread")[:, None, None] - 1.0
        share = np.broadcast_to(self.draw("free_share")[:, None, :], won.shape[1:])
        return self.rng.binomial(won, 1.0 - self.rng.beta(share * k, (1.0 - share) * k))


def _of_left(moving: Array, gone: Array) -> Array:
    """Chance to move now of units that are left, where `moving` and `gone` are of all."""
    chance = 1.0 - gone
    np.maximum(chance, 1e-12, out=chance)
    np.divide(moving, chance, out=chance)
    return np.clip(chance, 0.0, 1.0, out=chance)


def _acquired_share(case: Case, inside: Array, later: Array) -> Array:
    """Expected share of the eventual wins of the horizon's cohorts by period of acquisition; sums to one."""
    chance = in_the_end(case)
    worth = inside * chance
    worth[:, -1] += later * chance[:, -1]
    return worth / np.maximum(worth.sum(axis=1, keepdims=True), 1e-300)


def _outlook(
    case: Case,
    rows: NDArray[np.int64],
    joined: Mapping[str, NDArray[Any]],
    shares: Array,
    plans: Mapping[str, Array],
) -> xr.Dataset:
    inside, spends = ("plan", "draw", "period", "channel"), np.stack(list(plans.values()))
    variables = {
        name: (inside if values.ndim == 4 else ("plan", "draw", "channel"), values)
        for name, values in joined.items()
    }
    variables["spend"] = (inside, np.broadcast_to(spends[:, None], shares.shape).copy())
    if case.valued:
        variables["revenue_from_pipeline"] = (inside, joined["revenue"] - joined["revenue_from_new"])
        eventual = joined["revenue_eventual"][:, :, None, :] * shares
        if case.future.recurring is not None:
            again = case.future.recurring[rows]
            variables["recurring"] = (inside, np.broadcast_to(again, shares.shape).copy())
            variables["revenue"] = (inside, joined["revenue"] + again)
        margin = case.study.economics.gross_margin
        variables["contribution"] = (inside, margin * eventual - variables["spend"][1])
    coords = {"plan": list(plans), "period": case.future.starts.astype("datetime64[ns]")}
    return xr.Dataset(variables, coords=coords | {"channel": case.channels})
