"""The reachable limit: the best that anybody could say, who knows the company as its maker does.

Known: every parameter, every rate up to today, and of each lead how far it has come and since when. Not known: the fate
of open leads, the drift of rates and traffic to come, chance. Draws of the revenue of the next months follow by making
the rest of each lead's life again, from the laws that made the company:

    P(qualifies later | open at age a) = q S_q(a) / (q S_q(a) + (1 - q) [d S_l(a) + 1 - d])

with q the rate of its cell, S_q and S_l the survival of the delay and of the time to a dated loss, d the share of
losses that are dated. Open deals likewise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.lab import (
    AR1_PHI,
    BURN_IN,
    DEALS,
    DELAYS,
    Company,
    Floats,
    Stage,
    World,
    gamma,
    response,
    season,
)

Ints = NDArray[np.int64]
TABLE = 200_000  # draws behind a delay's survival and its conditional draws


@dataclass(frozen=True)
class _Delay:
    """A delay law as a sorted sample: survival and draws beyond an age."""

    sample: Floats

    def survival(self, age: Floats) -> Floats:
        return 1.0 - np.searchsorted(self.sample, age, side="right") / self.sample.size

    def beyond(self, age: Floats, rng: np.random.Generator) -> Floats:
        """Draws of the delay given that it is above `age`, by the quantiles left."""
        first = np.searchsorted(self.sample, age, side="right")
        at = first + rng.random(age.shape) * (self.sample.size - first)
        return np.maximum(self.sample[np.minimum(at.astype(np.int64), self.sample.size - 1)], age + 1e-6)


def _delay(world: World, days: float, cv: float, rng: np.random.Generator) -> _Delay:
    return _Delay(np.sort(DELAYS[world.delay](rng, np.full(TABLE, days), cv)))


def _paths(
    company: Company, spec: Stage, last: Floats, level: Floats, months: int, rng: np.random.Generator
) -> Floats:
    """Rates of the months to come, dims (month, channel), from today's and from the laws of drift."""
    world = company.world
    logit, middle = np.log(last / (1 - last)), np.log(level / (1 - level))
    phi = AR1_PHI if world.rates == "ar1" else 1.0
    rows = []
    for _ in range(months):
        shock = spec.drift * rng.normal() + world.channel_drift * rng.normal(size=last.size)
        logit = middle + phi * (logit - middle) + shock
        rows.append(logit)
    p = 1 / (1 + np.exp(-np.array(rows)))
    k = np.maximum(1 / (spec.noise**2 * p * (1 - p) + 1e-9) - 1, 1e-3)
    return rng.beta(p * k, (1 - p) * k)


def reachable(company: Company, months: int, rng: np.random.Generator, draws: int) -> Floats:
    """Draws of the revenue of the next `months`, shape (draws,)."""
    world, truth = company.world, company.truth
    stop = np.datetime64(truth["last"], "M") + 1
    edges = (stop + np.arange(months + 1)).astype("datetime64[D]").astype(float)
    names = [c.name for c in world.channels]
    state = _open_leads(company, stop, names)
    laws = {
        "qualified": _delay(world, world.qualified.delay_days, world.qualified.delay_cv, rng),
        "won": _delay(world, world.won.delay_days, world.won.delay_cv, rng),
        "lost": _delay(world, world.loss_days, world.loss_cv, rng),
    }
    visitors = _expected_visitors(company, months, names)
    deal = np.array([c.deal_mean for c in world.channels])
    total = np.empty(draws)
    for i in range(draws):
        total[i] = _once(company, state, laws, visitors, deal, edges, rng)
    return total


def _open_leads(company: Company, stop: np.datetime64, names: list[str]) -> dict[str, Floats | Ints]:
    """What is known at the end of the last period of the leads that are still open."""
    leads = company.all_leads
    today = float(stop.astype("datetime64[D]").astype(np.int64))

    def days(column: str) -> Floats:
        values = leads[column].to_numpy().astype("datetime64[D]")
        return np.where(np.isnat(values), np.inf, values.astype(np.int64).astype(float) + 0.5)

    created, qualified, won, lost = (days(c) for c in ("created", "qualified", "won", "lost"))
    channel = pd.Categorical(leads["channel"], categories=names).codes.astype(np.int64)
    is_open = (created < today) & (won >= today) & (lost >= today)
    in_leads = is_open & (qualified >= today)
    in_sales = is_open & (qualified < today)
    first = np.datetime64(company.truth["first"], "M") - BURN_IN

    def rate(stage: str, entered: Floats, which: NDArray[np.bool_]) -> Floats:
        month = entered[which].astype("datetime64[D]").astype("datetime64[M]")
        return company.cell_rates[stage][(month - first).astype(np.int64), channel[which]]

    return {
        "lead_age": today - created[in_leads],
        "lead_rate": rate("qualified", created, in_leads),
        "lead_channel": channel[in_leads],
        "deal_age": today - qualified[in_sales],
        "deal_rate": rate("won", qualified, in_sales),
        "deal_channel": channel[in_sales],
    }


def _expected_visitors(company: Company, months: int, names: list[str]) -> Floats:
    """Expected visitors without the drift to come, dims (month, channel), at the spend that came."""
    world, activity = company.world, company.all_activity
    spend = activity["spend"].to_numpy(dtype=float).reshape(-1, len(names))
    stop = BURN_IN + world.months
    alpha = np.array([c.carry_over for c in world.channels])
    stock = np.array([c.spend for c in world.channels])
    rows = []
    for t in range(stop + months):
        stock = (1 - alpha) * spend[t] + alpha * stock
        rows.append(stock)
    lift = np.column_stack(
        [response(world, c, np.array(rows)[stop:, i]) for i, c in enumerate(world.channels)]
    )
    first = int(np.datetime64(company.truth["last"], "M").astype(np.int64)) + 1
    log_season = season(world)[(first + np.arange(months)) % 12]
    level = np.array([c.visitors for c in world.channels])
    return level * lift * np.exp(log_season)[:, None]


def _moving_on(
    state: dict[str, Floats | Ints],
    kind: str,
    law: _Delay,
    lost: _Delay,
    dated: float,
    today: float,
    rng: np.random.Generator,
) -> tuple[Floats, Ints]:
    """Days on which open leads or deals move on in the end, those that do, and their channels."""
    age, rate = state[f"{kind}_age"], state[f"{kind}_rate"]
    stays = (1 - rate) * (dated * lost.survival(age) + 1 - dated)
    later = rate * law.survival(age)
    moves = rng.random(age.size) * (later + stays) < later
    channel = np.asarray(state[f"{kind}_channel"])[moves]
    return today + law.beyond(age[moves], rng) - age[moves], channel


def _once(
    company: Company,
    state: dict[str, Floats | Ints],
    laws: dict[str, _Delay],
    visitors: Floats,
    deal: Floats,
    edges: Floats,
    rng: np.random.Generator,
) -> float:
    world, months = company.world, len(visitors)
    end = np.array([c.conversion for c in world.channels])
    last = {
        stage: np.array([company.truth["rate_path"][stage][c.name][-1] for c in world.channels])
        for stage in ("leads", "qualified", "won")
    }
    level = {
        "leads": end,
        "qualified": np.array([c.qualification for c in world.channels]),
        "won": np.array([c.close for c in world.channels]),
    }
    if world.shift is not None:
        for stage, p in level.items():
            level[stage] = 1 / (1 + (1 - p) / p * np.exp(-getattr(world.shift, stage)))
    rates = {k: _paths(company, getattr(world, k), last[k], level[k], months, rng) for k in last}
    walk = company.truth["traffic_walk"][-1]
    phi = AR1_PHI if world.rates == "ar1" else 1.0
    walks = np.empty(months)
    for t in range(months):
        walk = phi * walk + world.traffic_drift * rng.normal()
        walks[t] = walk
    today, until = edges[0], edges[-1]
    dated = world.loss_dated

    # New leads.
    n = rng.binomial(
        rng.poisson(gamma(rng, visitors * np.exp(walks)[:, None], world.traffic_noise)), rates["leads"]
    )
    cell = np.repeat(np.arange(n.size), n.ravel())
    month, channel = np.divmod(cell, n.shape[1])
    created = edges[month] + rng.random(cell.size) * (edges[month + 1] - edges[month])
    moves = rng.random(cell.size) < rates["qualified"][month, channel]
    qualified = created[moves] + laws["qualified"].beyond(np.zeros(int(moves.sum())), rng)
    qualified_channel = channel[moves]

    # Open leads.
    later, who = _moving_on(state, "lead", laws["qualified"], laws["lost"], dated, today, rng)
    qualified = np.concatenate([qualified, later])
    qualified_channel = np.concatenate([qualified_channel, who])

    # Their deals.
    month = np.searchsorted(edges, qualified, side="right") - 1
    inside = (month >= 0) & (month < months)
    month, entered, who = month[inside], qualified[inside], qualified_channel[inside]
    wins = rng.random(month.size) < rates["won"][month, who]
    won = entered[wins] + laws["won"].beyond(np.zeros(int(wins.sum())), rng)
    winner = who[wins]

    # Open deals.
    later, who = _moving_on(state, "deal", laws["won"], laws["lost"], dated, today, rng)
    won = np.concatenate([won, later])
    winner = np.concatenate([winner, who]).astype(np.int64)

    seen = winner[won < until]
    return float(DEALS[world.deals](rng, deal[seen], world.deal_cv).sum())
