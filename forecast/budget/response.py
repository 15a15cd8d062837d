"""What spend brings, evaluated once on a grid; budgets, limits and objectives are solved from it without the posterior.

Per draw s and channel c, with spend x over the horizon spread over its periods as the current plan is:

    value     margin x customer value x discount x traffic x rates x deal value, all delays run out, carry-over included
    inside    the same as revenue that lands inside the horizon (or wins), undiscounted
    wins      customers in the end
    revenue   what they pay in the end, undiscounted
    variance  of chance in value and inside: sum_t m^2 (1 + cv^2) w_t + v_t^2 [(1 + noise^2) prod_k (1 + r_k) - 1]

with w_t, v_t the expected wins and value of period t's cohort, m the value of a deal, noise that of traffic, r_k the
relative variance of a rate between cohorts. What a cohort has landed inside the horizon comes from the draw's delays:
u_k(t) = p_k(t) sum_d f_k(d) u_(k+1)(t + d), with u = 1 for money inside the horizon.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from forecast.budget.concave import evaluate, falling_slopes, hull, is_concave
from forecast.equations import concentration, negative_binomial_spread
from forecast.fit import kept_draws
from forecast.outlook import Case, earned, in_the_end, inside_share, kept_share, money_factor, simulate
from forecast.study import Study

Array = NDArray[np.float64]

POINTS = 25  # spend levels at which the posterior is evaluated
TABLE = 2001  # points of the mean curve between them
FINE = 161  # points of every draw's curve between them
NO_TRAFFIC = -60.0  # log


@dataclass(frozen=True, eq=False)
class Curves:
    """What each channel's spend over the horizon brings: the one expensive evaluation.

    spend (channel, point); value (draw, channel, point), currency, at most a thousand draws. table_spend, table_value,
    table_marginal (channel, TABLE): the mean of all draws, its slope made to fall. `more`: other measures by name, dims
    of `value` (see the module); `arriving` (channel, point, period): expected units that enter sales inside the
    horizon, the last being those after it.
    """

    spend: Array
    value: Array
    table_spend: Array
    table_value: Array
    table_marginal: Array
    more: dict[str, Array] | None = None
    arriving: Array | None = None
    _fine: dict[str, tuple[Array, Array]] = field(default_factory=dict, init=False, repr=False)

    def mean_value(self, spend: Array) -> float:
        """Expected eventual margin of a split (channel,), before spend."""
        return float(evaluate(self.table_spend, self.table_value, spend).sum())

    def contribution(self, spend: Array) -> float:
        """The same, after spend."""
        return self.mean_value(spend) - float(spend.sum())

    def marginal(self, spend: Array) -> Array:
        """Expected margin of one more unit of money, by channel."""
        return evaluate(self.table_spend, self.table_marginal, spend)

    def measure(self, name: str) -> Array:
        """A measure by name, (draw, channel, point)."""
        return self.value if name == "value" else (self.more or {})[name]

    def fine(self, name: str) -> tuple[Array, Array]:
        """Every draw's curve on more points: spend (channel, FINE), measure (draw, channel, FINE)."""
        if name not in self._fine:
            root, knots = np.linspace(0.0, 1.0, FINE), np.linspace(0.0, 1.0, self.spend.shape[1])
            self._fine[name] = self.spend[:, -1:] * root**2, between(knots, self.measure(name), root)
        return self._fine[name]

    def mean_table(self, name: str) -> Array:
        """The mean over draws of a measure at `table_spend`, (channel, TABLE)."""
        return table_of(self.measure(name).mean(axis=0), self.spend)


def between(knots: Array, values: Array, at: Array) -> Array:
    """Values (..., knot) read at other points within the knots, by cubics that make no extremes of their own (PCHIP).

    Slopes at the knots are harmonic means of those of the pieces beside them, weighted by their widths, and nought
    where these differ in sign (Fritsch & Butland 1984); at the ends of three points (Moler 2004, section 3.6). As
    SciPy's PchipInterpolator, whose import takes longer than all the curves of a plan.
    """
    width = np.diff(knots)
    rise = np.diff(values, axis=-1) / width
    slopes = np.zeros_like(values)
    if len(knots) == 2:
        slopes[...] = rise
    else:
        before, after = rise[..., :-1], rise[..., 1:]
        w1, w2 = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
        turns = before * after <= 0
        steep = np.where(turns, 1.0, before), np.where(turns, 1.0, after)
        slopes[..., 1:-1] = np.where(turns, 0.0, (w1 + w2) / (w1 / steep[0] + w2 / steep[1]))
        slopes[..., 0] = _end_slope(width[0], width[1], rise[..., 0], rise[..., 1])
        slopes[..., -1] = _end_slope(width[-1], width[-2], rise[..., -1], rise[..., -2])
    piece = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(width) - 1)
    t = (at - knots[piece]) / width[piece]
    level, slant = np.zeros((2, len(knots), len(at)))  # what values and slopes at the knots weigh
    each = np.arange(len(at))
    level[piece, each], level[piece + 1, each] = (1 + 2 * t) * (1 - t) ** 2, t * t * (3 - 2 * t)
    slant[piece, each], slant[piece + 1, each] = (
        t * (1 - t) ** 2 * width[piece],
        t * t * (t - 1) * width[piece],
    )
    made = values @ level + slopes @ slant
    return np.asarray(made)


def _end_slope(near: float, far: float, rise: Array, beyond: Array) -> Array:
    """The slope at an end, from the pieces beside it (near) and behind that (far); of the sign of the first."""
    slope = ((2 * near + far) * rise - near * beyond) / (near + far)
    slope = np.where((np.sign(rise) != np.sign(beyond)) & (np.abs(slope) > 3 * np.abs(rise)), 3 * rise, slope)
    return np.where(np.sign(slope) != np.sign(rise), 0.0, slope)


def tabulated(spend: Array, value: Array, mean: Array | None = None) -> Curves:
    """Curves from values on a grid even in the root of spend; `mean` (channel, point) where draws are only a part."""
    table_spend = spend[:, -1:] * np.linspace(0.0, 1.0, TABLE) ** 2
    table_value = table_of(value.mean(axis=0) if mean is None else mean, spend)
    return Curves(spend, value, table_spend, table_value, falling_slopes(table_spend, table_value))


def table_of(mean: Array, spend: Array) -> Array:
    """A mean known at points even in the root of spend, at TABLE such points (channel, TABLE).

    What is concave at the points stays so between them: what the interpolation adds near zero is bridged.
    """
    root = np.linspace(0.0, 1.0, TABLE)
    table = between(np.linspace(0.0, 1.0, mean.shape[1]), mean, root)
    falls = is_concave(spend, mean)
    table[falls] = hull(spend[falls, -1:] * root**2, table[falls])
    return table


def brought(inside: Array, later: Array, each: Array) -> Array:
    """What traffic inside the horizon (draw, period, channel) and later (draw, channel) brings.

    each (draw, period + 1, channel): by unit, the last slot of one that comes after the horizon.
    """
    return np.asarray((inside * each[:, :-1]).sum(axis=1) + later * each[:, -1])


def pattern_of(plan: Array) -> Array:
    """How a plan spreads each channel's spend over its periods (period, channel); evenly where it has none."""
    totals = plan.sum(axis=0)
    flat = np.full(plan.shape, 1.0 / len(plan))
    return np.where(totals > 0, plan / np.where(totals > 0, totals, 1.0), flat)


# -------------------------------------------------------------------------------------------------------- the grid


@dataclass(frozen=True, eq=False)
class Response:
    """A posterior's expected yield of plans, with what does not depend on them worked out once.

    factor (draw, channel): see `outlook.money_factor`; worth, inside, wins, earned: of a unit of traffic by (draw,
    period + 1, channel), see the module; the last slot: of one that comes after the horizon.
    """

    case: Case
    factor: Array
    worth: Array
    inside: Array
    wins: Array
    earned: Array

    def value(self, spend: Array, measure: str = "value") -> Array:
        """Expected eventual margin of a plan (period, channel) before spend, or another measure; (draw, channel)."""
        return brought(*self.case.traffic(spend), self.per_unit(measure)[0])

    def per_unit(self, measure: str) -> tuple[Array, bool]:
        """What a unit of traffic brings (draw, period + 1, channel), and whether what comes later counts."""
        each = {"value": self.worth, "inside": self.inside, "wins": self.wins, "revenue": self.earned}
        return each[measure], measure != "inside"

    def reach(self, rows: NDArray[np.int64]) -> Array:
        """Chance to enter sales by slot, (draw, period, channel, slot), for some draws; see `outlook.inside_share`."""
        return inside_share(self.case, until=sales_entry(self.case), rows=rows)


def response_of(case: Case) -> Response:
    """Work out what a unit of traffic brings. The measure inside the horizon is wins where the target is in wins."""
    factor, wins = money_factor(case), in_the_end(case)
    wins = np.concatenate([wins, wins[:, -1:]], axis=1)
    inside = inside_share(case, valued=not _in_wins(case.study))
    inside = np.concatenate([inside, np.zeros_like(inside[:, :1])], axis=1)
    money = earned(case) * kept_share(case.posterior)[:, None, :]
    return Response(case, factor, money * factor[:, None, :], inside, wins, money)


def _in_wins(study: Study) -> bool:
    return study.plan.target is not None and study.plan.target.measure == "won"


def response_curves(made: Response, most: Array, *, arriving: bool = False) -> Curves:
    """Evaluate the posterior once on a grid of spend for the paid channels; `most` (channel,) bounds the grid."""
    paid, posterior = made.case.paid, made.case.posterior
    pattern = pattern_of(made.case.plan)
    spend = most[:, None] * np.linspace(0.0, 1.0, POINTS) ** 2
    keep = kept_draws(posterior.draws)
    chance = _Chance(made)
    reach = made.reach(keep) if arriving else None
    means, units = [], []
    parts: defaultdict[str, list[Array]] = defaultdict(list)
    for g in range(POINTS):
        traffic, later = made.case.traffic(pattern * spend[:, g])
        value = brought(traffic, later, made.worth)
        means.append(value.mean(axis=0)[paid])
        traffic, later = traffic[keep], later[keep]
        if reach is not None:
            entering = np.einsum("stc,stck->ck", traffic, reach, optimize=True) / len(keep)
            entering[:, -1] += (later * reach[:, -1].sum(axis=2)).mean(axis=0)
            units.append(entering[paid])
        found = chance.measures(traffic, later, keep) | {"value": value[keep]}
        for name, values in found.items():
            parts[name].append(values[:, paid].astype(np.float32))
    measures = {name: np.stack(values, axis=2).astype(float) for name, values in parts.items()}
    made_curves = tabulated(spend[paid], measures.pop("value"), np.stack(means, axis=1))
    return replace(made_curves, more=measures, arriving=np.stack(units, axis=1) if units else None)


class _Chance:
    """Means and variances of chance that go with expected traffic, for some of the draws."""

    def __init__(self, made: Response) -> None:
        self.made = made
        posterior, future = made.case.posterior, made.case.future
        spread = 1.0 + negative_binomial_spread(posterior.array("noise_traffic")[:, None, :])
        for stage, rate in future.rates.items():
            noise = posterior.array(f"noise_{stage}")[:, None, :]
            inner = np.clip(rate, 1e-9, 1 - 1e-9)
            spread = spread * (1.0 + (1.0 - inner) / inner / (concentration(inner, noise) + 1.0))
        self.noise = spread - 1.0
        self.deal = future.value.mean(axis=1) * kept_share(posterior)
        self.deals = 1.0 + posterior.array("deal_cv")[:, None] ** 2
        self.value_noise = self.noise
        if "free_share" in posterior.data:
            free = posterior.array("free_share")
            self.deals = self.deals / (1.0 - free)
            odds = (free / (1.0 - free)) * posterior.array("free_spread")[:, None]
            self.value_noise = spread * (1.0 + odds[:, None, :]) - 1.0

    def measures(self, traffic: Array, later: Array, keep: NDArray[np.int64]) -> dict[str, Array]:
        made, deal, deals = self.made, self.deal[keep], self.deals[keep]
        noise, factor = self.value_noise[keep], made.factor[keep]
        wins = brought(traffic, later, made.wins[keep])
        inside = traffic * made.inside[keep, :-1]
        value = traffic * made.worth[keep, :-1]
        in_wins = _in_wins(made.case.study)
        each = deal * 0 + 1.0 if in_wins else deal
        several = np.ones_like(deals) if in_wins else deals
        return {
            "inside": inside.sum(axis=1),
            "wins": wins,
            "revenue": brought(traffic, later, made.earned[keep]),
            "inside_variance": inside.sum(axis=1) * each * several
            + (inside**2 * (self.noise[keep] if in_wins else noise)).sum(axis=1),
            "value_variance": (deal * factor) ** 2 * deals * wins + (value**2 * noise).sum(axis=1),
        }


def sales_entry(case: Case) -> str:
    """The stage before won; with a single transition, won itself."""
    return case.stages[-2] if len(case.stages) > 2 else case.stages[-1]


# ------------------------------------------------------------------------------------------- what spend does not move


@dataclass(frozen=True, eq=False)
class Background:
    """What comes whatever is spent, simulated once: open pipeline and channels without spend.

    inside (draw,): revenue (or wins) inside the horizon, chance included. arriving (draw, period): units that enter
    sales.
    """

    inside: Array
    arriving: Array


def background(case: Case, rng: np.random.Generator) -> Background:
    """Run the funnel without the traffic of paid channels; sales without a limit."""
    future = case.future
    log_traffic, tail = future.log_traffic.copy(), future.tail_traffic.copy()
    log_traffic[:, :, case.paid] = tail[:, case.paid] = NO_TRAFFIC
    unlimited = case.study.economics.model_copy(update={"capacity": None})
    quiet = replace(
        case,
        future=replace(future, log_traffic=log_traffic, tail_traffic=tail),
        study=case.study.model_copy(update={"economics": unlimited}),
    )
    outlook = simulate(quiet, {"none": case.plan}, rng=rng, replicates=1)
    measure = "won" if _in_wins(case.study) else "revenue"
    inside = outlook[measure].sel(plan="none").sum(("period", "channel"))
    limited = case.history.entry < len(case.posterior.stages)
    arrived = np.asarray(outlook[sales_entry(case)].sel(plan="none").values, dtype=float)
    return Background(np.asarray(inside.values, dtype=float), arrived[:, :, limited].sum(axis=2))
