"""What a synthetic company is made of: channels, stages, laws to choose from, and ways in which companies change.

Written for stress as much as for the demo: every law but the default one breaks an assumption of the model that
forecasts, and so does every lever that is nought by default (`Change`, and the fields of `Channel`, `Stage` and
`World` that say so). Nothing here is shared with that model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# A northern B2B year, log scale, January first: quiet in July and at Christmas.
_SEASON = np.array([0.4, 0.4, 0.5, 0.1, 0.2, -0.3, -1.0, -0.4, 0.5, 0.5, 0.3, -0.8])

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CHANGING = ("spend", "traffic", "leads", "qualified", "won", "deal", "qualified delay", "won delay")
WITHIN = 0.3  # cv of each hump of a delay of two


@dataclass(frozen=True)
class Channel:
    """One channel: its traffic, how traffic answers spend, its rates and its deals.

    visitors: a month at the reference spend (contacts of an outbound channel, attendees of events); spend:
    the reference, currency a month; spend_sd: log sd of the spend around it; elasticity, base, carry_over:
    e, b and alpha of the module's formula; conversion, qualification, close: average rates into leads,
    qualified, won, in (0, 1); deal_mean: currency; starts: months after the company's first period in which
    the channel begins (0: it has always been there). noise: cv of a month's traffic, None for that of the
    world. rival, rivalry: another channel whose spend takes traffic from this one, and how much:

        visitors x (s_rival / reference_rival)^-rivalry,    s with its carry-over, at least a twentieth
    """

    name: str
    kind: str
    visitors: float
    spend: float
    conversion: float
    qualification: float
    close: float
    deal_mean: float
    elasticity: float = 0.6
    base: float = 0.05
    carry_over: float = 0.0
    spend_sd: float = 0.25
    starts: int = 0
    noise: float | None = None
    rival: str = ""
    rivalry: float = 0.0


@dataclass(frozen=True)
class Change:
    """Something that moves away from where it was: at once in month `start`, or evenly from `start` to `stop`.

    The effect in month t (months after the first period, from -BURN_IN on) is

        by x clip((t - start) / (stop - start), 0, 1),    or by x [t >= start] where stop is start

    of: "leads", "qualified", "won" (logit of the rate of what enters the stage before in month t); "spend",
    "traffic", "deal" (log; deals by the month they are won in); "qualified delay", "won delay" (log of the mean
    days of what enters the stage before in month t). Spend after the last period stays at the current plan
    whatever is said here. channels: names, none for all. Effects of several changes add up.
    """

    of: str
    by: float
    start: int
    stop: int | None = None
    channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """What the channels share on the way into a stage.

    drift: sd of a month's step of the common walk, logit scale; noise: sd of a cell's own rate, logit
    scale; delay_days, delay_cv: mean and coefficient of variation of the time from the stage before (0
    days: at once). Nought by default:

    shock: sd of a month's shock common to the channels, logit scale. crowding: g, by which the rate falls as more
    enter the stage before in a month (n) than in a mean month of the history (N), at 1 to a fixed number that
    moves on, whatever comes in; n of the channel itself, or of all (crowded_by):

        rate x (max(n, N / 5) / N)^-g,    at most 0.98

    pace: sd of log h_t, the pace of the stage's clock in calendar month t, of mean one: what would have moved on
    after a delay D does so when h, added up over the days since it entered, has come to D. The hazard of every unit
    is so h_t times its own, and closings come in batches.
    """

    drift: float = 0.03
    noise: float = 0.08
    delay_days: float = 0.0
    delay_cv: float = 0.8
    shock: float = 0.0
    crowding: float = 0.0
    crowded_by: Literal["channel", "all"] = "channel"
    pace: float = 0.0


@dataclass(frozen=True)
class World:
    """All parameters of a synthetic company; the default families are those that the model assumes.

    channel_drift: sd of a month's step of each channel's own walk, logit scale, at every stage; loss_days,
    loss_cv, loss_dated: time until a lead is given up, and the share of losses that somebody dates;
    traffic_shock: sd of a month's shock to traffic common to the channels, log scale, of mean one; changes: what
    moves, see `Change`; shared: log shocks to traffic that other companies have too, a month each from the first period
    on into the future (none after them; `coming` knows nothing of them). Raises ValueError for an unknown family,
    channels that share a name, or a parameter out of its range.
    """

    channels: tuple[Channel, ...]
    first: str = "2023-11"
    months: int = 36
    currency: str = "EUR"
    leads: Stage = Stage()
    qualified: Stage = Stage(delay_days=14.0)
    won: Stage = Stage(noise=0.05, delay_days=45.0)
    deal_cv: float = 0.8
    traffic_noise: float = 0.12
    traffic_drift: float = 0.03
    season_amplitude: float = 0.2
    channel_drift: float = 0.0
    loss_days: float = 30.0
    loss_cv: float = 0.8
    loss_dated: float = 0.85
    response: Literal["power", "hill", "exponential"] = "power"
    rates: Literal["walk", "ar1"] = "walk"
    delay: Literal["lognormal", "weibull", "two humps"] = "lognormal"
    deals: Literal["gamma", "lognormal"] = "gamma"
    traffic_shock: float = 0.0
    changes: tuple[Change, ...] = ()
    shared: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check families, names and ranges."""
        for key, names in _FAMILIES.items():
            if getattr(self, key) not in names:
                raise ValueError(f"{key} must be one of {', '.join(names)}; got {getattr(self, key)!r}")
        if len({c.name for c in self.channels}) != len(self.channels) or not self.channels:
            raise ValueError("channels must be at least one, each with a name of its own")
        if self.leads.delay_days:
            raise ValueError("leads.delay_days must be 0: a lead is created in the month of its visit")
        if self.months < 3:  # the current plan is the mean of the last three
            raise ValueError(f"months must be at least 3; got {self.months}")
        for c in self.channels:
            self._check_channel(c)
        for change in self.changes:
            self._check_change(change)
        stages = (self.leads, self.qualified, self.won)
        if min(self.traffic_shock, *(min(s.shock, s.crowding, s.pace) for s in stages)) < 0:
            raise ValueError("shocks, crowding and pace must be at least 0")

    def _check_channel(self, c: Channel) -> None:
        """The ranges of a channel, and its rival."""
        if not 0 <= c.starts < self.months:
            raise ValueError(f"starts must lie in the {self.months} months; got {c.starts}")
        shares = (c.elasticity, c.conversion, c.qualification, c.close)
        if not (min(shares) > 0 and max(shares) < 1 and 0 <= c.base <= 1 and 0 <= c.carry_over < 1):
            raise ValueError(f"{c.name}: rates, elasticity, base and carry_over must lie between 0 and 1")
        if min(c.visitors, c.spend, c.deal_mean) <= 0 or min(c.spend_sd, c.noise or 0.0) < 0:
            raise ValueError(
                f"{c.name}: visitors, spend and deal_mean must be above 0, spend_sd and noise at least 0"
            )
        if c.rival and c.rival not in {other.name for other in self.channels if other is not c}:
            raise ValueError(f"{c.name}: rival must be another channel; got {c.rival!r}")

    def _check_change(self, change: Change) -> None:
        """What a change is of, its months and channels."""
        if change.of not in CHANGING:
            raise ValueError(f"a change must be of one of {', '.join(CHANGING)}; got {change.of!r}")
        if change.start >= self.months or (change.stop is not None and change.stop < change.start):
            raise ValueError(
                f"a change must start before month {self.months} and stop no earlier; "
                f"got {change.start} and {change.stop}"
            )
        if unknown := set(change.channels) - {c.name for c in self.channels}:
            raise ValueError(f"a change names channels that are not there: {', '.join(sorted(unknown))}")

    def moved(self, of: str, months: Ints) -> Floats:
        """Sum of the effects of all changes of `of`, dims (month, channel), at `months` after the first period."""
        total = np.zeros((months.size, len(self.channels)))
        for change in self.changes:
            if change.of == of:
                length = (change.start if change.stop is None else change.stop) - change.start
                share = (
                    np.clip((months - change.start) / length, 0.0, 1.0) if length else months >= change.start
                )
                mine = [not change.channels or c.name in change.channels for c in self.channels]
                total += change.by * np.outer(share, mine)
        return total


def demo_world() -> World:
    """The bundled demo company: seven channels, about twenty deals a month, a split nobody has tuned."""
    rows = (
        # name, kind, visitors, spend; rate into leads, qualified, won; deal; elasticity, base, carry-over, sd
        ("seo", "seo", 2300.0, 4500.0, 0.028, 0.38, 0.25, 5000.0, 0.50, 0.40, 0.60, 0.25),
        ("outbound", "outbound", 240.0, 6000.0, 0.120, 0.50, 0.26, 6500.0, 0.75, 0.05, 0.00, 0.25),
        ("content", "content", 1400.0, 4000.0, 0.022, 0.33, 0.22, 4800.0, 0.45, 0.30, 0.50, 0.25),
        ("email", "email", 1000.0, 1200.0, 0.024, 0.42, 0.27, 4500.0, 0.40, 0.25, 0.00, 0.25),
        ("social", "social", 1700.0, 5000.0, 0.016, 0.28, 0.18, 3800.0, 0.50, 0.10, 0.10, 0.25),
        ("events", "events", 140.0, 4200.0, 0.180, 0.40, 0.24, 6000.0, 0.65, 0.05, 0.00, 0.35),
        ("ppc", "ppc", 1200.0, 5000.0, 0.035, 0.36, 0.22, 4600.0, 0.60, 0.05, 0.00, 0.25),
    )
    return World(channels=tuple(Channel(*row) for row in rows))


def _bisect(function: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Where the decreasing `function` takes the value `target`."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > target else (low, middle)
    return (low + high) / 2


def _power(z: Floats, elasticity: float) -> Floats:
    """z^e."""
    return z**elasticity


def _hill(z: Floats, elasticity: float) -> Floats:
    """z (1 + h) / (z + h): its elasticity at 1 is h / (1 + h)."""
    h = elasticity / (1 - elasticity)
    return z * (1 + h) / (z + h)


def _exponential(z: Floats, elasticity: float) -> Floats:
    """(1 - exp(-k z)) / (1 - exp(-k)): its elasticity at 1 is k / (exp(k) - 1), which fixes k."""
    k = _bisect(lambda x: x / math.expm1(x), elasticity, 1e-9, 50.0)
    return np.expm1(-k * z) / math.expm1(-k)


def lognormal(rng: np.random.Generator, mean: Floats, cv: float) -> Floats:
    """Lognormal draws of the given means and coefficient of variation."""
    s2 = math.log1p(cv**2)
    return mean * np.exp(rng.normal(-s2 / 2, math.sqrt(s2), mean.shape))


def gamma(rng: np.random.Generator, mean: Floats, cv: float | Floats) -> Floats:
    """Gamma draws of the given means and coefficients of variation; where all are 0 the means themselves."""
    if not np.any(cv):
        return mean.copy()
    square = np.maximum(cv, 1e-6) ** 2
    return mean * rng.gamma(1 / square, square, mean.shape)


def weibull(rng: np.random.Generator, mean: Floats, cv: float) -> Floats:
    """Weibull draws; the shape k solves Gamma(1 + 2/k) / Gamma(1 + 1/k)^2 = 1 + cv^2."""
    k = _bisect(lambda x: math.lgamma(1 + 2 / x) - 2 * math.lgamma(1 + 1 / x), math.log1p(cv**2), 0.1, 100.0)
    return mean * rng.weibull(k, mean.shape) / math.gamma(1 + 1 / k)


def two_humps(rng: np.random.Generator, mean: Floats, cv: float) -> Floats:
    """Half the draws around mean x (1 - d), half around mean x (1 + d), each lognormal with cv c = WITHIN.

    d^2 = (cv^2 - c^2) / (1 + c^2) gives the whole its cv, which must lie between c and sqrt(1 + 2 c^2), that is 0.3
    and 1.08.
    """
    d = math.sqrt((cv**2 - WITHIN**2) / (1 + WITHIN**2))
    if d >= 1:
        raise ValueError(f"two humps have a cv of at most {math.sqrt(1 + 2 * WITHIN**2):.2f}; got {cv}")
    late = rng.random(mean.shape) < 0.5
    return lognormal(rng, mean * np.where(late, 1 + d, 1 - d), WITHIN)


Draw = Callable[[np.random.Generator, Floats, float], Floats]
RESPONSES = {"power": _power, "hill": _hill, "exponential": _exponential}
DELAYS: dict[str, Draw] = {"lognormal": lognormal, "weibull": weibull, "two humps": two_humps}
DEALS: dict[str, Draw] = {"gamma": gamma, "lognormal": lognormal}
_FAMILIES = {"response": RESPONSES, "rates": ("walk", "ar1"), "delay": DELAYS, "deals": DEALS}


def response(world: World, channel: Channel, spend: Floats) -> Floats:
    """Traffic at a steady `spend` a month over the channel's level: b + (1 - b) g(spend / reference).

    One at the reference spend, `base` at none, in every family.
    """
    shape = RESPONSES[world.response]
    return channel.base + (1 - channel.base) * shape(spend / channel.spend, channel.elasticity)


def season(world: World) -> Floats:
    """Log-scale season by calendar month, zero on average, -amplitude at its lowest."""
    centred = _SEASON - _SEASON.mean()
    return world.season_amplitude * centred / -centred.min()
