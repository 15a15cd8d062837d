"""Families of synthetic companies: those that stand still but break an assumption, and those that change.

FAMILIES: companies whose laws are not those of the model that forecasts them. CHANGING: what can happen to a company
that stands still, one thing each, with the checks of the verdict that would name it. All are made of the levers of
`forecast.lab`, where their formulas stand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from forecast.lab import Change, Channel, Stage, World, demo_world

MONTHS = 36
WEEKS_A_MONTH = 365.25 / 12 / 7


def _moved(p: float, by: float) -> float:
    return float(1 / (1 + (1 - p) / p * np.exp(-by)))


def _channel(base: Channel, rng: np.random.Generator) -> Channel:
    """A channel like `base`, with its own size, rates, deal value and elasticity."""
    size, conversion, qualification, close, deal, money = rng.normal(size=6)
    return replace(
        base,
        visitors=base.visitors * float(np.exp(0.4 * size)),
        spend=base.spend * float(np.exp(0.3 * money)),
        conversion=_moved(base.conversion, 0.35 * conversion),
        qualification=_moved(base.qualification, 0.35 * qualification),
        close=_moved(base.close, 0.35 * close),
        deal_mean=base.deal_mean * float(np.exp(0.3 * deal)),
        elasticity=float(rng.uniform(0.3, 0.8)),
        spend_sd=float(rng.uniform(0.1, 0.4)),
    )


def random_world(rng: np.random.Generator, *, wins_a_month: float | None = None) -> World:
    """A company of four to seven channels whose families are those of the model; about `wins_a_month` on average."""
    rows = demo_world().channels
    chosen = sorted(rng.choice(len(rows), size=rng.integers(4, 8), replace=False))
    channels = [_channel(rows[i], rng) for i in chosen]
    expected = sum(c.visitors * c.conversion * c.qualification * c.close for c in channels)
    target = wins_a_month or float(np.exp(rng.normal(np.log(15.0), 0.5)))
    return World(
        channels=tuple(replace(c, visitors=c.visitors * target / expected) for c in channels),
        months=MONTHS,
        leads=Stage(drift=rng.uniform(0.02, 0.06), noise=rng.uniform(0.05, 0.15)),
        qualified=Stage(
            drift=rng.uniform(0.02, 0.06), noise=rng.uniform(0.05, 0.15), delay_days=rng.uniform(8, 30)
        ),
        won=Stage(
            drift=rng.uniform(0.02, 0.06), noise=rng.uniform(0.03, 0.1), delay_days=rng.uniform(25, 90)
        ),
        traffic_noise=rng.uniform(0.08, 0.2),
        traffic_drift=rng.uniform(0.02, 0.06),
        channel_drift=rng.uniform(0.01, 0.05),
        season_amplitude=rng.uniform(0.1, 0.3),
        deal_cv=rng.uniform(0.6, 1.0),
    )


def _hill(rng: np.random.Generator) -> World:
    return replace(random_world(rng), response="hill", rates="ar1", delay="weibull", deals="lognormal")


def _exponential(rng: np.random.Generator) -> World:
    return replace(random_world(rng), response="exponential", delay="weibull", deals="lognormal")


def _new_channel(rng: np.random.Generator) -> World:
    world = random_world(rng)
    new = int(rng.integers(len(world.channels)))
    channels = [replace(c, starts=MONTHS - 5) if i == new else c for i, c in enumerate(world.channels)]
    return replace(world, channels=tuple(channels), delay="weibull")


def _shift(rng: np.random.Generator) -> World:
    stage = str(rng.choice(["leads", "qualified", "won"]))
    size = float(rng.choice([-1, 1]) * rng.uniform(0.3, 0.6))
    month = MONTHS - int(rng.integers(4, 13))
    return replace(random_world(rng), changes=(Change(stage, size, month),), delay="weibull")


def _sparse(rng: np.random.Generator) -> World:
    return replace(random_world(rng, wins_a_month=3.0), rates="ar1", deals="lognormal")


def _dense(rng: np.random.Generator) -> World:
    return replace(random_world(rng, wins_a_month=50 * WEEKS_A_MONTH), response="hill", delay="weibull")


def _heavy(rng: np.random.Generator) -> World:
    world = random_world(rng)
    return replace(world, deals="lognormal", deal_cv=float(rng.uniform(1.3, 2.0)), rates="ar1")


FAMILIES: dict[str, Callable[[np.random.Generator], World]] = {
    "as the model": random_world,
    "hill, AR(1)": _hill,
    "exponential": _exponential,
    "new channel": _new_channel,
    "regime shift": _shift,
    "3 deals a month": _sparse,
    "50 deals a week": _dense,
    "heavy tails": _heavy,
}


# ------------------------------------------------------------------------------------------- companies that change

START = -18  # the first month of a company's burn-in
END = MONTHS + 12  # after the last month that is made
MONTHLY = 0.05  # growth or shrinking a month, log scale
Naming = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Changing:
    """A thing that can happen: how it changes a company, and the checks that name it.

    names: the name of a check, and a pattern that its value must show; {changed} stands for the channels in which
    something changed. counting: how the company tells its history.
    """

    change: Callable[[World, np.random.Generator], World]
    names: Naming = ()
    counting: str = "calendar"


def _with(world: World, *changes: Change) -> World:
    return replace(world, changes=(*world.changes, *changes))


def _steadily(of: str, a_month: float, *, start: int = START, channels: tuple[str, ...] = ()) -> list[Change]:
    """Steady growth from `start` on, which goes on after the end; in the middle of the history all is as usual."""
    middle = (MONTHS // 2 - start) * a_month
    return [
        Change(of, -middle, START, channels=channels),
        Change(of, a_month * (END - start), start, END, channels),
    ]


def _arriving(of: str, by: float, start: int, channels: tuple[str, ...] = ()) -> list[Change]:
    """A move by `by` from `start` to the end of the history, where all is as usual."""
    return [Change(of, -by, START, channels=channels), Change(of, by, start, MONTHS - 1, channels)]


def _with_channel(world: World, number: int, **changes: object) -> World:
    channels = list(world.channels)
    channels[number] = replace(channels[number], **changes)
    return replace(world, channels=tuple(channels))


def _still(world: World, _: np.random.Generator) -> World:
    """Nothing happens."""
    return world


def _growing(world: World, _: np.random.Generator) -> World:
    """Traffic grows by 5 % a month, and goes on."""
    return _with(world, *_steadily("traffic", MONTHLY))


def _shrinking(world: World, _: np.random.Generator) -> World:
    """Traffic shrinks by 5 % a month, and goes on."""
    return _with(world, *_steadily("traffic", -MONTHLY))


def _price_step(world: World, _: np.random.Generator) -> World:
    """Deals won in the last seven months are worth 20 % more."""
    return _with(world, Change("deal", float(np.log(1.2)), MONTHS - 7))


def _price_drift(world: World, _: np.random.Generator) -> World:
    """Deals gain 2 % a month, and go on."""
    return _with(world, *_steadily("deal", 0.02))


def _spend_moved(world: World, _: np.random.Generator) -> World:
    """Over the history spend grows sixfold in every third channel, shrinks sixfold in the next, stays in the rest."""
    names = [c.name for c in world.channels]
    six = float(np.log(6.0))
    up = _arriving("spend", six, 0, tuple(names[::3]))
    return _with(world, *up, *_arriving("spend", -six, 0, tuple(names[1::3])))


def _spend_growing(world: World, rng: np.random.Generator) -> World:
    """Spend of every channel grows by 4 to 6 % a month up to the end."""
    return _with(world, *_arriving("spend", float(rng.uniform(0.04, 0.06)) * (MONTHS - 1), 0))


def _month_shocks(world: World, _: np.random.Generator) -> World:
    """Months are good or bad for all channels at once: traffic by 25 %."""
    return replace(world, traffic_shock=0.25)


def _lumpy(world: World, _: np.random.Generator) -> World:
    """One channel has 4 % of the visitors and scatters by its own size from month to month."""
    visitors = np.array([c.visitors for c in world.channels])
    least = int(np.argmin(visitors))
    few = 0.04 / 0.96 * float(np.delete(visitors, least).sum())
    return _with_channel(world, least, visitors=few, noise=1.2)


def _long(world: World, days: float) -> World:
    return replace(world, won=replace(world.won, delay_days=days))


def _late_drop(world: World, _: np.random.Generator) -> World:
    """Behind a delay of 120 days, the close rate of what qualifies in the last three months is about half."""
    return _with(_long(world, 120.0), Change("won", -0.8, MONTHS - 3))


def _slower(world: World, _: np.random.Generator) -> World:
    """What qualifies in the last nine months takes twice the days until it is won."""
    return _with(world, Change("won delay", float(np.log(2.0)), MONTHS - 9))


def _capacity(world: World, _: np.random.Generator) -> World:
    """Sales takes up the same number of leads each month, however many come; all come in good and bad months."""
    spec = replace(world.qualified, crowding=1.0, crowded_by="all", noise=0.02, drift=0.0)
    return replace(world, qualified=spec, channel_drift=0.0, traffic_shock=0.25)


def _cannibals(world: World, _: np.random.Generator) -> World:
    """The spend of the dearest channel takes visitors from the one with most others; it varies, and has doubled."""
    dear = max(range(len(world.channels)), key=lambda i: world.channels[i].spend)
    others = [i for i in range(len(world.channels)) if i != dear]
    eaten = max(others, key=lambda i: world.channels[i].visitors)
    name = world.channels[dear].name
    world = _with_channel(_with_channel(world, dear, spend_sd=0.5), eaten, rival=name, rivalry=0.5)
    return _with(world, *_arriving("spend", float(np.log(2.0)), MONTHS - 12, (name,)))


def _diluted(world: World, _: np.random.Generator) -> World:
    """The more visitors a channel has in a month, the fewer of them become leads: rate x volume^-0.5."""
    channels = tuple(replace(c, spend_sd=0.5) for c in world.channels)
    return replace(world, channels=channels, leads=replace(world.leads, crowding=0.5))


def _batches(world: World, _: np.random.Generator) -> World:
    """Closings come in batches: the pace of the close varies by a factor of two from month to month."""
    return replace(world, won=replace(world.won, pace=0.7))


def _two_humps(world: World, _: np.random.Generator) -> World:
    """Half the leads move on at once and half much later; 40 % of the losses are dated."""
    won = replace(world.won, delay_days=90.0, delay_cv=0.95)
    return replace(world, delay="two humps", won=won, loss_dated=0.4, loss_days=60.0)


_SPENDING = (("Spend as it was", "{changed}"),)
LAST, LATEST, STEP = "last periods", "latest periods", "steps from one period to the next"
SCATTER, LARGEST, INSIDE = "scatter", "largest period", "periods inside their band"
TRAFFIC, REVENUE, CLOSE, QUALIFYING = "^visitors[,:]", "^revenue", "^qualified to won", "^leads to qualified"
GROWS = "Traffic that grows or shrinks"
_OFF_TRAFFIC = ((LAST, TRAFFIC), (LATEST, TRAFFIC), ("Jumps in volume", "visitors"))
_OFF_PRICE = (
    (LAST, REVENUE),
    (LATEST, REVENUE),
    (SCATTER, REVENUE),
    (INSIDE, REVENUE),
    ("Value of a deal over time", ""),
)
SLOW = ("Pace of the newest cohorts", " won of ")
_OFF_CLOSE = ((LAST, CLOSE), (LATEST, CLOSE), (STEP, CLOSE), ("Rates that jump", "into won"))
_OFF_TIMING = ((LAST, CLOSE), (LATEST, CLOSE), ("shape of the delay", CLOSE), ("delay into won", ""))

CONTROLS = {"calendar": "stands still", "leads": "stands still, leads"}
CHANGING: dict[str, Changing] = {
    CONTROLS["calendar"]: Changing(_still),
    "growing": Changing(_growing, (*_OFF_TRAFFIC, (GROWS, r"^\+"))),
    "shrinking": Changing(_shrinking, (*_OFF_TRAFFIC, (GROWS, r"^[^+]"))),
    "price step": Changing(_price_step, _OFF_PRICE),
    "price drift": Changing(_price_drift, _OFF_PRICE),
    "spend moved": Changing(_spend_moved, _SPENDING),
    "spend growing": Changing(_spend_growing, _SPENDING),
    "month shocks": Changing(_month_shocks, ((SCATTER, TRAFFIC), (INSIDE, TRAFFIC), (LARGEST, TRAFFIC))),
    "lumpy channel": Changing(
        _lumpy,
        (
            (SCATTER, TRAFFIC),
            (LARGEST, "^visitors, {changed}"),
            ("Numbers that fit their neighbours", "{changed} in [^;]*visitors"),
        ),
    ),
    "late close-rate drop": Changing(_late_drop, _OFF_CLOSE),
    "slower delay": Changing(_slower, _OFF_TIMING),
    "capacity": Changing(
        _capacity, ((SCATTER, QUALIFYING), ("A stage that takes what it can", "^qualified"))
    ),
    "cannibalisation": Changing(_cannibals, (("Channels that take from each other", "{changed}"),)),
    "conversion falling with volume": Changing(
        _diluted,
        (
            ("stages that move together", "^visitors and visitors to leads"),
            ("Rates that fall with volume", "into leads"),
        ),
    ),
    "batch closing": Changing(
        _batches,
        ((SCATTER, CLOSE), (LARGEST, CLOSE), (INSIDE, CLOSE), ("shape of the delay", CLOSE)),
    ),
    CONTROLS["leads"]: Changing(_still, counting="leads"),
    "late close-rate drop, leads": Changing(_late_drop, (*_OFF_CLOSE, SLOW), "leads"),
    "slower delay, leads": Changing(_slower, (*_OFF_TIMING, SLOW), "leads"),
    "batch closing, leads": Changing(
        _batches,
        ((SCATTER, CLOSE), (LARGEST, CLOSE), (INSIDE, CLOSE), ("shape of the delay", CLOSE)),
        "leads",
    ),
    "two-humped delay, leads": Changing(_two_humps, (("shape of the delay", ""),), "leads"),
}
