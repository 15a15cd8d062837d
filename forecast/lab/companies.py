"""Synthetic B2B companies made lead by lead, with the truth beside them.

Every lead is drawn by itself: it is created at a random instant, qualifies or not after a delay in days, is
won or lost after another, and carries its own deal value. Nothing is shared with the model that forecasts,
so what the two agree on is evidence. For channel c in month t:

    visitors ~ NegBinomial(level_c f_c(s_ct) exp(season_month(t) + walk_t), 1 / noise^2)
    f_c(s) = b_c + (1 - b_c) g(s / reference_c),    g(1) = 1, elasticity of g at 1 = e_c
    s_ct = (1 - alpha_c) spend_ct + alpha_c s_c,t-1
    logit p_kct = logit p_kc + walk_kt,    k = leads, qualified, won
    rate in a cell ~ Beta with mean p_kct and sd noise_k on the logit scale

What moves besides (steady growth, breaks, common shocks, rivals, crowding, batches) is nought here; `worlds` has the
formula of each. What could still come of a company at the end of its history is drawn by `coming`.

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
    Ints,
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


@dataclass(frozen=True, eq=False)
class Company:
    """A made company: what its files would hold at the end of its last period, and what nobody knows yet.

    leads: lead_id, channel, created, qualified, won, lost (dates, blank where it has not happened yet),
    amount, for the leads created from the first to the last period. activity: period ("2026-10"), channel,
    spend, visitors over the same periods. truth: parameters and later outcomes, ready for JSON. all_leads,
    all_activity: the same columns from the burn-in to twelve months after the end, with every event that
    will ever happen: for scoring, never for a forecast. cell_rates: by stage, as they fell, crowding included,
    dims (month of entry before, from the burn-in on, channel). paths: what moved the company.
    """

    world: World
    leads: pd.DataFrame
    activity: pd.DataFrame
    truth: dict[str, Any]
    all_leads: pd.DataFrame
    all_activity: pd.DataFrame
    cell_rates: dict[str, Floats]
    paths: Paths


@dataclass(frozen=True, eq=False)
class Paths:
    """What moved a company, from its burn-in on: where its futures go on from.

    walk: "traffic" (log scale, one column) and each stage (logit scale, a column a channel), dims (month, series);
    pace: of a stage's clock, dims (month), where it is not even; usual: entries before a stage in a mean month of
    the history, dims (channel).
    """

    walk: dict[str, Floats]
    pace: dict[str, Floats]
    usual: dict[str, Floats]


def generate(world: World, rng: np.random.Generator) -> Company:
    """Make one company of `world`. Same world and generator state: the same company.

    After the last period spend stays at the current plan (the mean of the last three periods per channel)
    and the walks go on.
    """
    children = rng.spawn(4)  # one a purpose: a change of delays leaves spend, traffic and rates as they were
    clock = Clock(world)
    spend = _spend(world, clock, children[0])
    path, visitors = _traffic(world, clock, spend, children[1])
    walks, mean_rates, cell_rates = _rates(world, clock, children[2])
    paths = Paths(walks | {"traffic": path}, _paces(world, clock, children[2]), {})
    all_leads = _leads(world, clock, visitors, cell_rates, paths, children[3])

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
        paths=paths,
    )
    company.truth.update(
        _truth(world, clock, path[: clock.n_active, 0], mean_rates), later=_later(company, clock)
    )
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


class Clock:
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
        self.months: Ints = np.arange(self.n_rates) - BURN_IN  # after the first period


def _later_month(month: np.datetime64 | str, n: int) -> np.datetime64:
    return np.datetime64(month, "M") + np.timedelta64(n, "M")


def _months(dates: pd.Series[Any]) -> NDArray[np.datetime64]:
    return dates.to_numpy().astype("datetime64[M]")


def _spend(world: World, clock: Clock, rng: np.random.Generator) -> Floats:
    """Spend by month and channel in whole units of currency, dims (active month, channel)."""
    level = np.array([c.spend for c in world.channels])
    sd = np.array([c.spend_sd for c in world.channels])
    moved = world.moved("spend", clock.months[: clock.n_active])
    spend = np.round(level * np.exp(sd * rng.normal(size=(clock.n_active, level.size)) + moved))
    spend *= _running(world, clock)
    spend[clock.window.stop :] = np.round(spend[clock.window.stop - 3 : clock.window.stop].mean(axis=0))
    return spend


def _running(world: World, clock: Clock) -> NDArray[np.bool_]:
    """Which channels there are, dims (active month, channel)."""
    first = np.array([BURN_IN + c.starts if c.starts else 0 for c in world.channels])
    return np.arange(clock.n_active)[:, None] >= first


def _walk(world: World, clock: Clock, sd: float, rng: np.random.Generator, *, series: int = 1) -> Floats:
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


def _traffic(world: World, clock: Clock, spend: Floats, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """The common log-scale walk, dims (month, 1), and visitors, dims (active month, channel)."""
    walk = _walk(world, clock, world.traffic_drift, rng)
    shock = common_shocks(world.traffic_shock, (clock.n_active, 1), rng.spawn(1)[0])
    shock[BURN_IN : BURN_IN + len(world.shared), 0] += world.shared[: clock.n_active - BURN_IN]
    mean = mean_traffic(world, clock, spend, walk[: clock.n_active] + shock)
    mean *= _running(world, clock)
    return walk, rng.poisson(gamma(rng, mean, traffic_cv(world)))


def mean_traffic(world: World, clock: Clock, spend: Floats, moving: Floats) -> Floats:
    """Expected visitors, dims (active month, channel): level, response, rivals, season, changes and what is `moving`.

    moving: log scale, dims (active month, 1). Every channel is taken to have been at its reference spend before.
    """
    alpha = np.array([c.carry_over for c in world.channels])
    reference = before = np.array([c.spend for c in world.channels])
    stock = np.empty_like(spend)
    for t, row in enumerate(spend):
        before = stock[t] = (1 - alpha) * row + alpha * before
    lift = np.column_stack([response(world, c, stock[:, i]) for i, c in enumerate(world.channels)])
    log_season = season(world)[clock.calendar_month[: clock.n_active], None]
    moving = log_season + moving + world.moved("traffic", clock.months[: clock.n_active])
    mean = np.array([c.visitors for c in world.channels]) * lift * np.exp(moving)
    names = [c.name for c in world.channels]
    for i, c in enumerate(world.channels):
        if c.rival:
            rival = names.index(c.rival)
            mean[:, i] *= np.maximum(stock[:, rival] / reference[rival], 0.05) ** -c.rivalry
    return mean


def traffic_cv(world: World) -> Floats:
    """cv of a month's traffic, dims (channel)."""
    return np.array([world.traffic_noise if c.noise is None else c.noise for c in world.channels])


def common_shocks(sd: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Log-scale shocks whose exponentials have mean one; noughts at sd 0."""
    return sd * rng.normal(size=shape) - sd**2 / 2


def _rates(
    world: World, clock: Clock, rng: np.random.Generator
) -> tuple[dict[str, Floats], dict[str, Floats], dict[str, Floats]]:
    """Walks, and rates into each stage, expected and as they fell, dims (month of entry before, channel)."""
    walk: dict[str, Floats] = {}
    mean: dict[str, Floats] = {}
    cell: dict[str, Floats] = {}
    shocks = dict(zip(STAGES, rng.spawn(3), strict=True))
    for stage, p0 in usual_rates(world).items():
        spec: Stage = getattr(world, stage)
        common = _walk(world, clock, spec.drift, rng)
        own = _walk(world, clock, world.channel_drift, rng, series=p0.size)
        shock = spec.shock * shocks[stage].normal(size=(clock.n_rates, 1))
        walk[stage] = common + own
        moving = np.log(p0 / (1 - p0)) + common + own + (world.moved(stage, clock.months) + shock)
        mean[stage] = 1 / (1 + np.exp(-moving))
        cell[stage] = cell_rates(mean[stage], spec.noise, rng)
    return walk, mean, cell


def usual_rates(world: World) -> dict[str, Floats]:
    """The channels' own rates into each stage, dims (channel)."""
    keys = dict(zip(STAGES, ("conversion", "qualification", "close"), strict=True))
    return {stage: np.array([getattr(c, key) for c in world.channels]) for stage, key in keys.items()}


def cell_rates(p: Floats, noise: float, rng: np.random.Generator) -> Floats:
    """Rates as they fall in cells of mean p: Beta(p k, (1 - p) k) with k + 1 = 1 / (noise^2 p (1 - p))."""
    k = np.maximum(1 / (noise**2 * p * (1 - p) + 1e-9) - 1, 1e-3)
    return rng.beta(p * k, (1 - p) * k)


def crowded(spec: Stage, rates: Floats, entries: Ints, usual: Floats) -> Floats:
    """Rates after crowding (see `Stage`); rates and entries (..., channel), usual (channel): those of a mean month."""
    if not spec.crowding:
        return rates
    if spec.crowded_by == "all":
        entries, usual = entries.sum(axis=-1, keepdims=True), usual.sum(keepdims=True)
    return np.minimum(rates * (np.maximum(entries, usual / 5) / usual) ** -spec.crowding, 0.98)


def _paces(world: World, clock: Clock, rng: np.random.Generator) -> dict[str, Floats]:
    """Pace of the clocks that do not run evenly, by stage, dims (month)."""
    specs = {stage: getattr(world, stage).pace for stage in ("qualified", "won")}
    return {
        stage: np.exp(common_shocks(sd, (clock.n_rates,), child))
        for (stage, sd), child in zip(specs.items(), rng.spawn(2), strict=True)
        if sd
    }


def run_down(days: Floats, pace: Floats, entered: Floats, delay: Floats) -> Floats:
    """When a delay has run down on a clock of uneven pace: where the pace added up since `entered` is `delay`.

    days: starts of the months and the end of the last (day numbers); pace: dims (month); after the end it is one.
    """
    far = days[-1] + 1e5
    at = np.append(days, far)
    told = np.concatenate([[0.0], np.cumsum(np.append(pace, 1.0) * np.diff(at))])
    return np.interp(np.interp(entered, at, told) + delay, told, at)


def _leads(
    world: World,
    clock: Clock,
    visitors: Ints,
    rates: dict[str, Floats],
    paths: Paths,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One row per lead ever made, in order of creation, with every event that will happen to it.

    Crowding changes `rates`, and `paths.usual` is filled in, as the entries into each stage become known.
    """
    delay = DELAYS[world.delay]
    births, to_sales, closing, losing, money = rng.spawn(5)
    active, shape = slice(0, clock.n_active), (clock.n_rates, len(world.channels))

    def crowd(stage: str, entries: Ints) -> None:
        usual = paths.usual[stage] = np.maximum(entries[clock.window].mean(axis=0), 1e-9)
        rates[stage][active] = crowded(getattr(world, stage), rates[stage][active], entries[active], usual)

    crowd("leads", visitors)
    n = births.binomial(visitors, rates["leads"][active])
    crowd("qualified", n)
    cell = np.repeat(np.arange(n.size), n.ravel())
    month, channel = np.divmod(cell, len(world.channels))
    created = clock.days[month] + births.random(cell.size) * (clock.days[month + 1] - clock.days[month])
    order = np.argsort(created, kind="stable")
    created, month, channel = created[order], month[order], channel[order]

    def moved_on(child: np.random.Generator, stage: str, since: Floats, entry: Ints) -> Floats:
        spec: Stage = getattr(world, stage)
        longer = np.exp(world.moved(f"{stage} delay", clock.months))
        took = delay(child, spec.delay_days * longer[entry, channel], spec.delay_cv)
        pace = paths.pace.get(stage)
        return since + took if pace is None else run_down(clock.days, pace, since, took)

    def month_of(day: Floats) -> Ints:
        return np.clip(np.searchsorted(clock.days, day, side="right") - 1, 0, clock.n_rates - 1)

    is_qualified = to_sales.random(created.size) < rates["qualified"][month, channel]
    qualified = moved_on(to_sales, "qualified", created, month)
    entered = month_of(qualified)
    inside = is_qualified & (qualified < clock.days[-1])
    cell = entered[inside] * shape[1] + channel[inside]
    crowd("won", np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape))
    is_won = is_qualified & (closing.random(created.size) < rates["won"][entered, channel])
    won = moved_on(closing, "won", qualified, entered)
    since = np.where(is_qualified, qualified, created)
    lost = since + delay(losing, np.full(created.shape, world.loss_days), world.loss_cv)
    is_dated = ~is_won & (losing.random(created.size) < world.loss_dated)
    deal_mean = np.array([c.deal_mean for c in world.channels])[channel]
    deal_mean = deal_mean * np.exp(world.moved("deal", clock.months))[month_of(won), channel]
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


def _truth(world: World, clock: Clock, walk: Floats, rates: dict[str, Floats]) -> dict[str, Any]:
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
        "changes": [asdict(change) for change in world.changes],
        "rate_path": {k: {c: _rounded(p[:, i]) for i, c in enumerate(names)} for k, p in window.items()},
    }


def _later(company: Company, clock: Clock) -> dict[str, Any]:
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
