"""Synthetic B2B companies made lead by lead, with the truth beside them.

Every lead is drawn by itself: it is created at a random instant, qualifies or not after a delay in days, is
won or lost after another, and carries its own deal value. Nothing is shared with the model that forecasts,
so what the two agree on is evidence. For channel c in month t:

    visitors ~ NegBinomial(level_c f_c(s_ct) exp(season_month(t) + walk_t), 1 / noise^2)
    f_c(s) = b_c + (1 - b_c) g(s / reference_c),    g(1) = 1, elasticity of g at 1 = e_c
    s_ct = (1 - alpha_c) spend_ct + alpha_c s_c,t-1
    logit p_kct = logit p_kc + walk_kt,    k = leads, qualified, won
    rate in a cell ~ Beta with mean p_kct and sd noise_k on the logit scale

A rate belongs to the month in which the lead entered the stage before. The company runs for 18 months
before its first period, so that its pipeline is full when the history begins, and for twelve after its
last, so that a forecast can be scored. The demo company is made by `python -m forecast.lab.companies --out
forecast/bundled --seed 2026`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.lab.worlds import (
    DEALS,
    DELAYS,
    Floats,
    Stage,
    World,
    demo_world,
    gamma,
    response,
    season,
)

BURN_IN = 18  # months before the first period
FUTURE = 12  # months after the last one, kept for scoring
TAIL = 24  # months more of close rates, for leads that qualify after the future
DAYS_PER_MONTH = 30.4375
DEFAULT_SEED = 2026
AR1_PHI = 0.8
EVENTS = ("qualified", "won", "lost")
STAGES = ("leads", "qualified", "won")

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Company:
    """A made company: what its files would hold at the end of its last period, and what nobody knows yet.

    leads: lead_id, channel, created, qualified, won, lost (dates, blank where it has not happened yet),
    amount, for the leads created from the first to the last period. activity: period ("2026-10"), channel,
    spend, visitors over the same periods. truth: parameters and later outcomes, ready for JSON. all_leads,
    all_activity: the same columns from the burn-in to twelve months after the end, with every event that
    will ever happen: for scoring, never for a forecast.
    """

    world: World
    leads: pd.DataFrame
    activity: pd.DataFrame
    truth: dict[str, Any]
    all_leads: pd.DataFrame
    all_activity: pd.DataFrame
    cell_rates: dict[str, Floats]


def generate(world: World, rng: np.random.Generator) -> Company:
    """Make one company of `world`. Same world and generator state: the same company.

    After the last period spend stays at the current plan (the mean of the last three periods per channel)
    and the walks go on.
    """
    children = rng.spawn(4)  # one a purpose: a change of delays leaves spend, traffic and rates as they were
    clock = _Clock(world)
    spend = _spend(world, clock, children[0])
    path, visitors = _traffic(world, clock, spend, children[1])
    mean_rates, cell_rates = _rates(world, clock, children[2])
    all_leads = _leads(world, clock, visitors, cell_rates, children[3])

    labels = clock.labels[: clock.n_active]
    names = [c.name for c in world.channels]
    all_activity = pd.DataFrame(
        {
            "period": np.repeat(labels, len(names)),
            "channel": np.tile(np.array(names, dtype=object), len(labels)),
            "spend": spend.ravel().astype(np.int64),
            "visitors": visitors.ravel(),
        }
    )
    inside = slice(clock.window.start * len(names), clock.window.stop * len(names))
    company = Company(
        world=world,
        leads=_seen(all_leads, clock.first, clock.stop),
        activity=all_activity.iloc[inside].reset_index(drop=True),
        truth={},
        all_leads=all_leads,
        all_activity=all_activity,
        cell_rates=cell_rates,
    )
    company.truth.update(_truth(world, clock, path, mean_rates), later=_later(company, clock))
    return company


def counts(
    company: Company,
    counting: Literal["calendar", "cohort"] = "calendar",
    first: str | None = None,
    last: str | None = None,
) -> pd.DataFrame:
    """Counts by period and channel as they were known at the end of `last`.

    Columns period, channel, spend, visitors, leads, qualified, won, revenue. "calendar" counts events by
    their own date, those of leads from before `first` included; "cohort" counts what has become, by the end
    of `last`, of the leads created in the period. Default: the company's own first and last period; a later
    `last` looks into the future. Raises ValueError for another `counting` or a period that was not made.
    """
    if counting not in ("calendar", "cohort"):
        raise ValueError(f"counting must be one of calendar, cohort; got {counting!r}")
    activity, leads = company.all_activity, company.all_leads
    start = np.datetime64(first or company.world.first, "M")
    end = np.datetime64(last, "M") if last else _later_month(company.world.first, company.world.months - 1)
    stop = _later_month(end, 1)
    made = np.array(activity["period"].to_numpy(), dtype="datetime64[M]")
    if not made[0] <= start <= end <= made[-1]:
        raise ValueError(f"first and last must lie within {made[0]} .. {made[-1]}; got {start} .. {end}")

    table = activity[(made >= start) & (made < stop)].reset_index(drop=True)
    names = [c.name for c in company.world.channels]
    channel = pd.Categorical(leads["channel"], categories=names).codes.astype(np.int64)
    dates = {k: _months(leads[k]) for k in ("created", "qualified", "won")}
    amount = leads["amount"].fillna(0.0).to_numpy(dtype=np.float64)

    def tally(event: str, weights: Floats) -> Ints:
        by = dates["created"] if counting == "cohort" else dates[event]
        # NaT compares false, so what has not happened drops out here.
        inside = (by >= start) & (by < stop) & (dates[event] < stop)
        cell = (by[inside] - start).astype(np.int64) * len(names) + channel[inside]
        return np.bincount(cell, weights[inside], minlength=len(table)).astype(np.int64)

    for column, event in (("leads", "created"), ("qualified", "qualified"), ("won", "won")):
        table[column] = tally(event, np.ones_like(amount))
    table["revenue"] = tally("won", amount)
    return table


def write(company: Company, folder: Path, *, seed: int) -> list[Path]:
    """Write demo.csv (calendar), demo_leads.csv, demo_activity.csv and demo_truth.json; returns the paths.

    The leads are those created in the company's own periods, so their file holds fewer wins in the first
    months than the counts do. Same company: the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    leads = company.leads.assign(amount=company.leads["amount"].astype("Int64"))
    tables = {"demo.csv": counts(company), "demo_leads.csv": leads, "demo_activity.csv": company.activity}
    paths = []
    for name, table in tables.items():
        paths.append(folder / name)
        paths[-1].write_bytes(table.to_csv(index=False, date_format="%Y-%m-%d", lineterminator="\n").encode())
    command = f"python -m forecast.lab.companies --seed {seed}"
    text = json.dumps({"made_by": command} | company.truth, indent=1, ensure_ascii=False) + "\n"
    paths.append(folder / "demo_truth.json")
    paths[-1].write_bytes(text.encode())
    return paths


class _Clock:
    """The months of a company: burn-in, its history (`window`), the future, the tail of rates."""

    def __init__(self, world: World) -> None:
        self.window = slice(BURN_IN, BURN_IN + world.months)
        self.n_active = self.window.stop + FUTURE
        self.n_rates = self.n_active + TAIL
        self.first = np.datetime64(world.first, "M")  # the first period of the history
        self.stop = _later_month(self.first, world.months)  # the first month after it
        self.starts = _later_month(self.first, -BURN_IN) + np.arange(self.n_rates + 1).astype(
            "timedelta64[M]"
        )
        self.labels = np.array([str(m) for m in self.starts], dtype=object)
        self.days: Floats = self.starts.astype("datetime64[D]").astype(np.int64).astype(np.float64)
        self.calendar_month = self.starts[: self.n_rates].astype(np.int64) % 12


def _later_month(month: np.datetime64 | str, n: int) -> np.datetime64:
    return np.datetime64(month, "M") + np.timedelta64(n, "M")


def _months(dates: pd.Series[Any]) -> NDArray[np.datetime64]:
    return dates.to_numpy().astype("datetime64[M]")


def _spend(world: World, clock: _Clock, rng: np.random.Generator) -> Floats:
    """Spend by month and channel in whole units of currency, dims (active month, channel)."""
    level = np.array([c.spend for c in world.channels])
    sd = np.array([c.spend_sd for c in world.channels])
    spend = np.round(level * np.exp(sd * rng.normal(size=(clock.n_active, level.size))))
    spend *= _running(world, clock)
    spend[clock.window.stop :] = np.round(spend[clock.window.stop - 3 : clock.window.stop].mean(axis=0))
    return spend


def _running(world: World, clock: _Clock) -> NDArray[np.bool_]:
    """Which channels there are, dims (active month, channel)."""
    first = np.array([BURN_IN + c.starts if c.starts else 0 for c in world.channels])
    return np.arange(clock.n_active)[:, None] >= first


def _walk(world: World, clock: _Clock, sd: float, rng: np.random.Generator, *, series: int = 1) -> Floats:
    """A path of rates or traffic around the channels' own levels, dims (month, series).

    A random walk is centred on the window, so that a channel's parameter is its average over the history;
    an AR(1) starts in its steady state and needs no centring.
    """
    steps = sd * rng.normal(size=(clock.n_rates, series))
    if world.rates == "walk":
        path = np.cumsum(steps, axis=0)
        return path - path[clock.window].mean(axis=0)
    path = np.empty_like(steps)
    path[0] = steps[0] / math.sqrt(1 - AR1_PHI**2)
    for t in range(1, len(steps)):
        path[t] = AR1_PHI * path[t - 1] + steps[t]
    return path


def _traffic(world: World, clock: _Clock, spend: Floats, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """The common log-scale walk, dims (active month), and visitors, dims (active month, channel)."""
    alpha = np.array([c.carry_over for c in world.channels])
    stock = np.empty_like(spend)
    before = np.array([c.spend for c in world.channels])
    for t, row in enumerate(spend):
        before = stock[t] = (1 - alpha) * row + alpha * before
    lift = np.column_stack([response(world, c, stock[:, i]) for i, c in enumerate(world.channels)])

    walk = _walk(world, clock, world.traffic_drift, rng)[: clock.n_active]
    log_season = season(world)[clock.calendar_month[: clock.n_active], None]
    mean = np.array([c.visitors for c in world.channels]) * lift * np.exp(log_season + walk)
    mean *= _running(world, clock)
    return walk[:, 0], rng.poisson(gamma(rng, mean, world.traffic_noise))


def _rates(
    world: World, clock: _Clock, rng: np.random.Generator
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Rates into each stage, expected and as they fell in each cell, dims (month of entry before, channel).

    In a cell: Beta(p k, (1 - p) k) with k + 1 = 1 / (noise^2 p (1 - p)).
    """
    mean: dict[str, Floats] = {}
    cell: dict[str, Floats] = {}
    for stage, key in zip(STAGES, ("conversion", "qualification", "close"), strict=True):
        spec: Stage = getattr(world, stage)
        p0 = np.array([getattr(c, key) for c in world.channels])
        common = _walk(world, clock, spec.drift, rng)
        own = _walk(world, clock, world.channel_drift, rng, series=p0.size)
        shifted = np.zeros((clock.n_rates, 1))
        if world.shift is not None:
            shifted[BURN_IN + world.shift.month :] = getattr(world.shift, stage)
        p = 1 / (1 + np.exp(-(np.log(p0 / (1 - p0)) + common + own + shifted)))
        k = np.maximum(1 / (spec.noise**2 * p * (1 - p) + 1e-9) - 1, 1e-3)
        mean[stage], cell[stage] = p, rng.beta(p * k, (1 - p) * k)
    return mean, cell


def _leads(
    world: World, clock: _Clock, visitors: Ints, rates: dict[str, Floats], rng: np.random.Generator
) -> pd.DataFrame:
    """One row per lead ever made, in order of creation, with every event that will happen to it."""
    delay = DELAYS[world.delay]
    births, to_sales, closing, losing, money = rng.spawn(5)
    n = births.binomial(visitors, rates["leads"][: clock.n_active])
    cell = np.repeat(np.arange(n.size), n.ravel())
    month, channel = np.divmod(cell, len(world.channels))
    created = clock.days[month] + births.random(cell.size) * (clock.days[month + 1] - clock.days[month])
    order = np.argsort(created, kind="stable")
    created, month, channel = created[order], month[order], channel[order]

    def wait(child: np.random.Generator, days: float, cv: float) -> Floats:
        return delay(child, np.full(created.shape, days), cv)

    is_qualified = to_sales.random(created.size) < rates["qualified"][month, channel]
    qualified = created + wait(to_sales, world.qualified.delay_days, world.qualified.delay_cv)
    entered = np.clip(np.searchsorted(clock.days, qualified, side="right") - 1, 0, clock.n_rates - 1)
    is_won = is_qualified & (closing.random(created.size) < rates["won"][entered, channel])
    won = qualified + wait(closing, world.won.delay_days, world.won.delay_cv)
    lost = np.where(is_qualified, qualified, created) + wait(losing, world.loss_days, world.loss_cv)
    is_dated = ~is_won & (losing.random(created.size) < world.loss_dated)
    deal_mean = np.array([c.deal_mean for c in world.channels])[channel]
    amount = np.maximum(np.round(DEALS[world.deals](money, deal_mean, world.deal_cv)), 1.0)
    names = np.array([c.name for c in world.channels], dtype=object)
    return pd.DataFrame(
        {
            "lead_id": [f"L{i:06d}" for i in range(1, created.size + 1)],
            "channel": names[channel],
            "created": _dates(created),
            "qualified": _dates(qualified, is_qualified),
            "won": _dates(won, is_won),
            "lost": _dates(lost, is_dated),
            "amount": np.where(is_won, amount, np.nan),
        }
    )


def _dates(days: Floats, happens: NDArray[np.bool_] | None = None) -> NDArray[np.datetime64]:
    """The dates that instants (days since 1970) fall on, not-a-time where nothing happens."""
    dates = np.floor(days).astype(np.int64).astype("datetime64[D]").astype("datetime64[s]")
    return dates if happens is None else np.where(happens, dates, np.datetime64("NaT", "s"))


def _seen(leads: pd.DataFrame, start: np.datetime64, stop: np.datetime64) -> pd.DataFrame:
    """Leads created from month `start` up to month `stop`, with what has happened before `stop`."""
    created = _months(leads["created"])
    seen = leads[(created >= start) & (created < stop)].reset_index(drop=True)
    for event in EVENTS:
        seen[event] = seen[event].where(_months(seen[event]) < stop)
    return seen.assign(amount=seen["amount"].where(seen["won"].notna()))


def _rounded(values: Floats) -> list[float]:
    return [round(float(v), 6) for v in values]


def _truth(world: World, clock: _Clock, walk: Floats, rates: dict[str, Floats]) -> dict[str, Any]:
    """Parameters as a forecast should find them, ready for JSON."""
    names = [c.name for c in world.channels]
    window = {k: p[clock.window] for k, p in rates.items()}
    average = {k: dict(zip(names, _rounded(p.mean(axis=0)), strict=True)) for k, p in window.items()}
    end = {k: dict(zip(names, _rounded(p[-1]), strict=True)) for k, p in window.items()}
    waits = {"qualified": world.qualified, "won": world.won}
    return {
        "currency": world.currency,
        "first": str(clock.first),
        "last": str(_later_month(clock.stop, -1)),
        "families": {k: getattr(world, k) for k in ("response", "rates", "delay", "deals")},
        "channels": {c.name: asdict(c) for c in world.channels},
        "rate": {k: {c: {"average": average[k][c], "end": end[k][c]} for c in names} for k in STAGES},
        "delay": {
            k: {"mean_days": s.delay_days, "mean_months": s.delay_days / DAYS_PER_MONTH, "cv": s.delay_cv}
            for k, s in waits.items()
        },
        "loss": {"mean_days": world.loss_days, "cv": world.loss_cv, "dated": world.loss_dated},
        "deal": {"mean": {c.name: c.deal_mean for c in world.channels}, "cv": world.deal_cv},
        "noise": {"traffic": world.traffic_noise} | {k: getattr(world, k).noise for k in STAGES},
        "drift": {"traffic": world.traffic_drift, "channel": world.channel_drift}
        | {k: getattr(world, k).drift for k in STAGES},
        "season": _rounded(season(world)),
        "traffic_walk": _rounded(walk[clock.window]),
        "rate_path": {k: {c: _rounded(p[:, i]) for i, c in enumerate(names)} for k, p in window.items()},
    }


def _later(company: Company, clock: _Clock) -> dict[str, Any]:
    """What came after the last period, with spend at the current plan.

    Calendar counts by month and by channel; over 3 and 12 months the totals, split into what was in the
    pipeline at the end and what is new; and `eventual`: all that the leads created in those months ever
    win, whenever it lands.
    """
    stop, labels = clock.stop, clock.labels[clock.window.stop : clock.n_active]
    table = counts(company, "calendar", first=labels[0], last=labels[-1])
    leads = company.all_leads
    created, won, amount = _months(leads["created"]), _months(leads["won"]), leads["amount"].to_numpy()
    totals = {}
    for n in (3, FUTURE):
        until = _later_month(stop, n)
        inside = (won >= stop) & (won < until)
        parts = {
            "total": inside,
            "from_pipeline": inside & (created < stop),
            "from_new": inside & (created >= stop),
            "eventual": (created >= stop) & (created < until) & ~np.isnat(won),
        }
        totals[str(n)] = {k: {"won": int(m.sum()), "revenue": int(amount[m].sum())} for k, m in parts.items()}
    measures = ("spend", "visitors", *STAGES, "revenue")
    by_channel = {
        c: {m: [int(v) for v in rows[m]] for m in measures}
        for c, rows in table.groupby("channel", sort=False)
    }
    monthly = table.groupby("period", sort=False)[list(measures)].sum()
    return {
        "periods": list(labels),
        "totals": totals,
        "by_period": {m: [int(v) for v in monthly[m]] for m in measures},
        "by_channel": by_channel,
    }


def _main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m forecast.lab.companies", description="Write the bundled demo company and its truth."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    options = parser.parse_args(arguments)
    company = generate(demo_world(), np.random.default_rng(options.seed))
    try:
        paths = write(company, options.out, seed=options.seed)
    except OSError as error:
        parser.error(f"cannot write into {options.out}: {error.strerror}")
    for path in paths:
        sys.stderr.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
