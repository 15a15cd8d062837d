"""What may still come of a made company: the best that anybody could say, who knows it as its maker does.

Known: every parameter and change, every rate, pace and walk up to the end of the history, and of each lead how far it
has come and since when. Not known: the fate of open leads, the drift, shocks and paces to come, chance. Draws of the
next months follow by making the rest of each lead's life again, from the laws that made the company:

    P(qualifies later | open at age a) = q S_q(a) / (q S_q(a) + (1 - q) [d S_l(a) + 1 - d])

with q the rate of its cell, S_q and S_l the survival of the delay and of the time to a dated loss, d the share of
losses that are dated; S_q is asked at the age by the stage's own clock, where its pace is uneven. Open deals likewise.
The mean of the draws is the expected truth, which no chance blurs; their spread is the reachable limit of a forecast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.lab.companies import (
    AR1_PHI,
    FUTURE,
    STAGES,
    Clock,
    Company,
    cell_rates,
    common_shocks,
    crowded,
    mean_traffic,
    traffic_cv,
    usual_rates,
)
from forecast.lab.worlds import DEALS, DELAYS, Floats, Ints, Stage, gamma

TABLE = 200_000  # draws behind a delay's survival and its conditional draws


@dataclass(frozen=True, eq=False)
class Futures:
    """What may come, by month of the win: `won` (number) and `revenue` (currency), dims (draw, month)."""

    won: Floats
    revenue: Floats


def futures(company: Company, rng: np.random.Generator, *, months: int = 3, draws: int = 1000) -> Futures:
    """Draws of the `months` after the history (1 to 12), with spend as it came: at the current plan.

    Raises ValueError for months beyond those that were made.
    """
    if not 1 <= months <= FUTURE:
        raise ValueError(f"months must be from 1 to {FUTURE}; got {months}")
    maker = _Maker(company, months, draws, rng)
    leads = maker.new_leads()
    deals = maker.moving_on("qualified", leads).and_also(maker.still_moving("qualified", "created"))
    wins = maker.moving_on("won", deals).and_also(maker.still_moving("won", "qualified"))
    return maker.told(wins)


@dataclass(frozen=True, eq=False)
class _Units:
    """Leads, deals or wins to come: the draw they are of, their channel, and the instant at which they came (days)."""

    draw: Ints
    channel: Ints
    came: Floats

    def and_also(self, other: _Units) -> _Units:
        """Both together."""
        mine, others = (self.draw, self.channel, self.came), (other.draw, other.channel, other.came)
        draw, channel, came = (np.concatenate(pair) for pair in zip(mine, others, strict=True))
        return _Units(draw, channel, came)

    def where(self, kept: NDArray[np.bool_]) -> _Units:
        """Some of them."""
        return _Units(self.draw[kept], self.channel[kept], self.came[kept])


@dataclass(frozen=True, eq=False)
class _Law:
    """A law of waiting as a sorted sample of mean one: survival, and draws beyond an age."""

    sample: Floats

    @classmethod
    def of(cls, delay: str, cv: float, rng: np.random.Generator) -> _Law:
        """By its name among the delays."""
        return cls(np.sort(DELAYS[delay](rng, np.ones(TABLE), cv)))

    def survival(self, age: Floats) -> Floats:
        """Share that waits longer than `age`."""
        return 1.0 - np.searchsorted(self.sample, age, side="right") / self.sample.size

    def beyond(self, age: Floats, rng: np.random.Generator) -> Floats:
        """Draws given that they are above `age`, by the quantiles left."""
        first = np.searchsorted(self.sample, age, side="right")
        at = first + rng.random(age.shape) * (self.sample.size - first)
        return np.maximum(self.sample[np.minimum(at.astype(np.int64), self.sample.size - 1)], age + 1e-9)


class _Maker:
    """The months to come of one company, in every draw at once; arrays have dims (draw, month, channel)."""

    def __init__(self, company: Company, months: int, draws: int, rng: np.random.Generator) -> None:
        self.company, self.world, self.rng = company, company.world, rng
        self.clock = Clock(self.world)
        self.months, self.draws, self.channels = months, draws, len(self.world.channels)
        self.ahead = slice(self.clock.window.stop, self.clock.window.stop + months)
        self.edges = self.clock.days[self.ahead.start : self.ahead.stop + 1]
        self.laws = {
            stage: _Law.of(self.world.delay, self._stage(stage).delay_cv, rng)
            for stage in ("qualified", "won")
        }
        self.losing = _Law.of(self.world.delay, self.world.loss_cv, rng)
        self.rates = {stage: self._rates(stage) for stage in STAGES}
        self.told_by_edge, self.pace = {}, {}
        for stage in self.laws:
            pace = np.exp(common_shocks(self._stage(stage).pace, (draws, months), rng))
            run = np.cumsum(pace * np.diff(self.edges), axis=1)
            self.pace[stage] = pace
            self.told_by_edge[stage] = np.concatenate([np.zeros((draws, 1)), run], axis=1)

    def new_leads(self) -> _Units:
        """Leads of the visitors to come."""
        activity, clock, world = self.company.all_activity, self.clock, self.world
        spend = activity["spend"].to_numpy(dtype=float).reshape(-1, self.channels)
        level = mean_traffic(world, clock, spend, np.zeros((clock.n_active, 1)))[self.ahead]
        walk = self._walk("traffic", world.traffic_drift, 0.0)
        shock = common_shocks(world.traffic_shock, (self.draws, self.months, 1), self.rng)
        visitors = self.rng.poisson(gamma(self.rng, level * np.exp(walk + shock), traffic_cv(world)))
        n = self.rng.binomial(visitors, self._crowded("leads", visitors))
        draw, month, channel = np.unravel_index(np.repeat(np.arange(n.size), n.ravel()), n.shape)
        length = np.diff(self.edges)[month]
        return _Units(draw, channel, self.edges[month] + self.rng.random(draw.size) * length)

    def moving_on(self, stage: str, units: _Units) -> _Units:
        """Those that entered in the months to come and move on in the end; entries after them are left out."""
        units = units.where(units.came < self.edges[-1])
        month = self._month(units.came)
        shape = (self.draws, self.months, self.channels)
        cell = np.ravel_multi_index((units.draw, month, units.channel), shape)
        entries = np.bincount(cell, minlength=self.rates[stage].size).reshape(shape)
        moves = self.rng.random(cell.size) < self._crowded(stage, entries).ravel()[cell]
        units, month = units.where(moves), month[moves]
        mean = self._mean_days(stage)[self.ahead][month, units.channel]
        took = mean * self.laws[stage].beyond(np.zeros(mean.shape), self.rng)
        since = self.told_by_edge[stage][units.draw, month]
        since = since + self.pace[stage][units.draw, month] * (units.came - self.edges[month])
        return self._run_down(stage, units.draw, units.channel, since + took)

    def still_moving(self, stage: str, before: str) -> _Units:
        """Those that are open at the end of the history, and move on in the end."""
        entered, channel = self._open(stage, before)
        month = np.searchsorted(self.clock.days, entered, side="right") - 1
        q = self.company.cell_rates[stage][month, channel]
        mean = np.maximum(self._mean_days(stage)[month, channel], 1e-9)
        age, aged = self.edges[0] - entered, self._aged(stage, entered)
        later = q * self.laws[stage].survival(aged / mean)
        dated = self.world.loss_dated
        stays = (1 - q) * (dated * self.losing.survival(age / self.world.loss_days) + 1 - dated)
        draw, which = np.nonzero(self.rng.random((self.draws, q.size)) * (later + stays) < later)
        mean, aged = mean[which], aged[which]
        left = mean * self.laws[stage].beyond(aged / mean, self.rng) - aged
        return self._run_down(stage, draw, channel[which], left)

    def told(self, wins: _Units) -> Futures:
        """Wins and their deals by month."""
        wins = wins.where(wins.came < self.edges[-1])
        month = self._month(wins.came)
        deal = np.array([c.deal_mean for c in self.world.channels])
        mean = deal * np.exp(self.world.moved("deal", self.clock.months[self.ahead]))
        amount = DEALS[self.world.deals](self.rng, mean[month, wins.channel], self.world.deal_cv)
        cell, shape = wins.draw * self.months + month, (self.draws, self.months)
        won, revenue = (
            np.bincount(cell, weights, minlength=self.draws * self.months).astype(float).reshape(shape)
            for weights in (None, amount)
        )
        return Futures(won, revenue)

    def _stage(self, stage: str) -> Stage:
        found: Stage = getattr(self.world, stage)
        return found

    def _month(self, instant: Floats) -> Ints:
        """Month to come of an instant."""
        return np.searchsorted(self.edges, instant, side="right") - 1

    def _walk(self, name: str, common: float, own: float) -> Floats:
        """A walk from where it stands; a walk of rates or traffic that returns is one around nought."""
        phi = AR1_PHI if self.world.rates == "ar1" else 1.0
        at = np.tile(self.company.paths.walk[name][self.ahead.start - 1], (self.draws, 1))
        rows = []
        for _ in range(self.months):
            at = (
                phi * at
                + common * self.rng.normal(size=(self.draws, 1))
                + own * self.rng.normal(size=at.shape)
            )
            rows.append(at)
        return np.stack(rows, axis=1)

    def _rates(self, stage: str) -> Floats:
        """Rates into a stage as they fall in the cells to come, before crowding."""
        spec, p0 = self._stage(stage), usual_rates(self.world)[stage]
        walk = self._walk(stage, spec.drift, self.world.channel_drift)
        shock = spec.shock * self.rng.normal(size=(self.draws, self.months, 1))
        moved = self.world.moved(stage, self.clock.months[self.ahead])
        p = 1 / (1 + np.exp(-(np.log(p0 / (1 - p0)) + walk + shock + moved)))
        return cell_rates(p, spec.noise, self.rng)

    def _crowded(self, stage: str, entries: Ints) -> Floats:
        return crowded(self._stage(stage), self.rates[stage], entries, self.company.paths.usual[stage])

    def _mean_days(self, stage: str) -> Floats:
        """Mean delay of what enters in a month, dims (month from the burn-in on, channel)."""
        return self._stage(stage).delay_days * np.exp(self.world.moved(f"{stage} delay", self.clock.months))

    def _open(self, stage: str, before: str) -> tuple[Floats, Ints]:
        """When the units before a stage entered that are open at the end of the history, and their channels."""
        leads, today = self.company.all_leads, self.edges[0]

        def days(column: str) -> Floats:
            values = leads[column].to_numpy().astype("datetime64[D]")
            return np.where(np.isnat(values), np.inf, values.astype(np.int64) + 0.5)

        entered = days(before)
        is_open = (entered < today) & (days(stage) >= today) & (days("lost") >= today)
        names = [c.name for c in self.world.channels]
        channel = pd.Categorical(leads["channel"], categories=names).codes.astype(np.int64)
        return entered[is_open], channel[is_open]

    def _aged(self, stage: str, entered: Floats) -> Floats:
        """Age at the end of the history by the stage's own clock."""
        pace = self.company.paths.pace.get(stage)
        if pace is None:
            return self.edges[0] - entered
        days = self.clock.days
        run = np.concatenate([[0.0], np.cumsum(pace * np.diff(days))])
        return np.interp(self.edges[0], days, run) - np.interp(entered, days, run)

    def _run_down(self, stage: str, draw: Ints, channel: Ints, due: Floats) -> _Units:
        """Units whose delay is run down when the stage's clock, nought at the end of the history, shows `due`."""
        run, pace = self.told_by_edge[stage], self.pace[stage]
        month = np.zeros(due.shape, dtype=np.int64)
        for m in range(1, self.months):
            month += due >= run[draw, m]
        came = self.edges[month] + (due - run[draw, month]) / pace[draw, month]
        return _Units(draw, channel, came)
