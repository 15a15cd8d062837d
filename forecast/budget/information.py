"""How sure the decision is, from the curves alone: regret, what it would be worth to know more, frontiers, the unseen.

With P_s(x) = sum_c V_sc(x_c) - sum_c x_c the contribution of a split x under posterior draw s:

    regret        mean_s [max_x P_s(x) - P_s(x_chosen)]: what not knowing costs; of the best split it is the worth of
                  perfect information, EVPI = mean_s max_x P_s(x) - max_x mean_s P_s(x)
    one thing     EVPPI(phi) = mean_s max_j g_j(phi_s) - max_j mean_s g_j(phi_s): one parameter phi known. g_j(phi) =
                  E[P(x_j) - P(x_best) | phi] is a cubic spline through the draws, for candidate splits x_j: the best
                  one, those that are best for single draws, and those that are best for draws of like phi
    a test        n periods with spend a share d above and below, log sd ln((1 + d) / (1 - d)) / 2, tell an elasticity
                  of sd s to s_n^2 = 1 / (1 / s^2 + n (log sd)^2 / noise^2): worth EVPPI (1 - s_n^2 / s^2), and
                  costs what the swings lose on a curve that bends
    beyond seen   above the highest spend seen, the curve goes on as Michaelis-Menten of the same level and elasticity
                  there: y(u) = y_1 / (1 - e) u / (u + e / (1 - e)), u = spend over the highest seen

All in currency over the horizon. No test of a channel is worth more than its EVPPI.
Sources: Strong, Oakley & Brennan 2014, Medical Decision Making (EVPPI); extrapolation and power of a test as in
docs/allocation.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.budget.concave import InfeasibleError, Kind, best_of_pieces, evaluate, steepest_first
from forecast.budget.decision import Decision
from forecast.budget.limits import Limits
from forecast.budget.objectives import Draws, Profit, Search, WorstDraws, climb
from forecast.budget.response import Curves, between
from forecast.columns import TABLES
from forecast.fit import kept_draws
from forecast.showing import Card, Shows
from forecast.tables import Table, records
from forecast.words import Text, message, plural

Array = NDArray[np.float64]

CELLS, ALL_CELLS, FEWEST_CELLS = (
    128,
    2560,
    32,
)  # pieces of each channel's curve; about so many of all, where many
MOST_DRAWS = 1000
OPTIMA, BINS = 60, 6  # candidate splits: best for single draws, best for draws of like phi
SWING = 0.3  # of a test: spend this share above and below
LONGEST = 12  # periods of a test
WORTH_IT = 2.0  # times its cost that a test must be worth
BUDGETS, MIXES = 25, (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Worth:
    """An amount of money over the horizon, and its Monte Carlo error."""

    value: float
    error: float


@dataclass(frozen=True, eq=False)
class Ground:
    """What every question of worth starts from: the curves cut in pieces, and the best split of single draws.

    slope (draw, piece), width (piece,): of every channel's curve between its limits; split (channel,): the best of the
    mean; best (draw, channel), value (draw,): the best of single draws and its contribution, of up to a thousand draws
    where the total is the only limit beside the bounds, else of OPTIMA evenly spread ones; perfect: EVPI.
    """

    limits: Limits
    slope: Array
    width: Array
    split: Array
    best: Array
    value: Array
    perfect: Worth

    @cached_property
    def singles(self) -> Array:
        """What the best splits of OPTIMA single draws bring over the best of the mean, (draw, split)."""
        chosen = self.best[:: max(len(self.best) // OPTIMA, 1)][:OPTIMA]
        return self.gained(chosen)

    def gained(self, splits: Array) -> Array:
        """What splits (row, channel) bring over the best of the mean in every draw, (draw, row)."""
        taken, now = (_filled(each, self.width, self.limits) for each in (splits, self.split[None]))
        moved = taken - now
        return np.asarray(self.slope @ moved.T - moved.sum(axis=1))


def ground(curves: Curves, limits: Limits) -> Ground:
    """Cut the curves in pieces, divide the budget for single draws and for their mean, and compare."""
    slope, width, lowest = _pieces(curves, limits)
    split = _mean_best(slope, width, limits)
    if not limits.rules:
        rows = np.arange(len(slope))
        taken = steepest_first(slope, width, limits.total - limits.low.sum())
        added = taken.reshape(len(slope), len(limits.low), -1).sum(axis=2)
    else:
        rows = np.unique(np.linspace(0, len(slope) - 1, min(OPTIMA, len(slope))).round().astype(np.int64))
        added = np.array([_within_rules(row, width, limits) for row in slope[rows]]) - limits.low
        taken = _filled(added + limits.low, width, limits)
    value = ((slope[rows] - 1.0) * taken).sum(axis=1) + lowest[rows]
    gain = value - (slope[rows] - 1.0) @ _filled(split[None], width, limits)[0] - lowest[rows]
    perfect = Worth(max(float(gain.mean()), 0.0), float(gain.std() / np.sqrt(len(gain))))
    return Ground(limits, slope, width, split, limits.low + added, value, perfect)


def worth_of_knowing(known: Ground, parameter: Array) -> Worth:
    """The worth of knowing one parameter (draw,), with its error."""
    slope, width, limits = known.slope, known.width, known.limits
    phi = _thinned(np.asarray(parameter, dtype=float))
    bins = [rows for rows in np.array_split(np.argsort(phi), BINS) if rows.size]
    share = np.zeros((len(bins), len(phi)))
    for k, rows in enumerate(bins):
        share[k, rows] = 1.0 / len(rows)
    groups = np.array([_mean_best(row[None], width, limits) for row in share @ slope])
    fitted = _spline(phi, np.concatenate([known.singles, known.gained(groups)], axis=1))
    gain = np.maximum(fitted.max(axis=1), 0.0) - max(float(fitted.mean(axis=0).max()), 0.0)
    worth = float(np.clip(gain.mean(), 0.0, known.perfect.value))
    return Worth(worth, float(gain.std() / np.sqrt(len(gain))))


def _mean_best(slope: Array, width: Array, limits: Limits) -> Array:
    """The best split (channel,) of the mean of some draws' pieces (row, piece)."""
    mean = slope.mean(axis=0)
    if limits.rules:
        return _within_rules(mean, width, limits)
    taken = steepest_first(mean[None], width, limits.total - limits.low.sum())
    return np.asarray(limits.low + taken.reshape(len(limits.low), -1).sum(axis=1))


def _within_rules(slope: Array, width: Array, limits: Limits) -> Array:
    return best_of_pieces(slope, width, limits.low, limits.high, limits.rows())


def _filled(splits: Array, width: Array, limits: Limits) -> Array:
    """Spend on each piece of splits (row, channel), in order: (row, piece)."""
    wide = width.reshape(len(limits.low), -1)
    before = np.cumsum(wide, axis=1) - wide
    return np.clip((splits - limits.low)[:, :, None] - before, 0.0, wide).reshape(len(splits), -1)


def _thinned(values: Array) -> Array:
    return values[:: max(len(values) // MOST_DRAWS, 1)][:MOST_DRAWS]


def cells_of(channels: int) -> int:
    """Pieces of each curve: CELLS, but fewer where many channels would make more than ALL_CELLS of them.

    >>> [cells_of(channels) for channels in (7, 20, 60, 200)]
    [128, 128, 42, 32]
    """
    return min(CELLS, max(ALL_CELLS // channels, FEWEST_CELLS))


def _pieces(curves: Curves, limits: Limits) -> tuple[Array, Array, Array]:
    """Slopes (draw, piece), falling along a channel, and widths (piece,) of every channel's curve between its limits.

    Last, contribution of every draw at the least spend, (draw,).
    """
    knots, value = np.linspace(0.0, 1.0, curves.spend.shape[1]), _thinned(curves.value)
    cells = cells_of(len(curves.spend))
    slopes, widths, lowest = [], [], np.full(len(value), -limits.low.sum())
    for c, most in enumerate(curves.spend[:, -1]):
        low, high = np.sqrt(np.minimum([limits.low[c], limits.high[c]], most) / most)
        root = np.linspace(low, high, cells + 1)
        width = np.diff(most * root**2)
        at = between(knots, value[:, c], root)
        slopes.append(np.minimum.accumulate(np.diff(at, axis=1) / np.maximum(width, 1e-12), axis=1))
        widths.append(width)
        lowest = lowest + at[:, 0]
    return np.concatenate(slopes, axis=1), np.concatenate(widths), lowest


def _spline(x: Array, y: Array) -> Array:
    """Values of the cubic regression spline of y (row, column) on x, knots at the quartiles."""
    z = (x - x.mean()) / max(float(x.std()), 1e-300)
    knots = np.quantile(z, [0.25, 0.5, 0.75])
    basis = np.column_stack([z**k for k in range(4)] + [np.maximum(z - knot, 0.0) ** 3 for knot in knots])
    return np.asarray(basis @ np.linalg.lstsq(basis, y, rcond=None)[0])


# ----------------------------------------------------------------------------------------------- how sure, in tables


@dataclass(frozen=True, eq=False, repr=False)
class Firmness(Shows):
    """How firm a recommended budget is; amounts in currency over the horizon, tables as `columns.TABLES` declares them.

    certificate: status, gap, prices and evidence of the split; regret, regret_current: what not knowing costs with the
    recommendation and with the current plan, perfect_information: the EVPI, value and error each; stops_paying: the
    budget from which on money would be lost; advice: the one test that pays most; optimum: quantiles of each channel's
    spend in the best split of single draws.
    """

    certificate: Mapping[str, Any]
    regret: Mapping[str, float]
    regret_current: Mapping[str, float]
    perfect_information: Mapping[str, float]
    stops_paying: float
    advice: Text
    optimum: pd.DataFrame
    tests: pd.DataFrame
    ledger: pd.DataFrame
    budget_frontier: pd.DataFrame
    risk_frontier: pd.DataFrame

    def _card(self, *, whole: bool) -> Card:
        facts = {
            "certificate": str(self.certificate.get("status", "")),
            "regret": message("{x:number}", x=self.regret["value"]),
            "unchanged": message("{x:number}", x=self.regret_current["value"]),
            "information": message("{x:number}", x=self.perfect_information["value"]),
            "advice": self.advice,
        }
        tests = Table("tests", *TABLES["tests"], self.tests)
        return Card("Firmness of a budget", facts, [tests] if whole else [])

    def told(self) -> dict[str, Any]:
        """For summary.json: tables as lists of rows, `summary` what is no table."""
        tables = {
            name: each.to_dict("records")
            for name, each in vars(self).items()
            if isinstance(each, pd.DataFrame)
        }
        return {"summary": {name: each for name, each in vars(self).items() if name not in tables}} | tables


def firmness(made: Decision, names: Sequence[str], currency: str) -> Firmness:
    """Everything about how sure a decision is; `names` of the paid channels."""
    found, known = made.allocation, ground(made.curves, made.limits)
    rows = np.linspace(0, len(made.curves.value) - 1, len(known.best)).round().astype(int)
    spread = np.quantile(known.best, [0.1, 0.5, 0.9], axis=0)
    draws, learnt = Draws(made.curves, "value"), tests(made, names, known)

    def regret(split: Array) -> dict[str, float]:
        lost = known.value - (draws.at(split)[0][rows] - split.sum())
        return asdict(Worth(max(float(lost.mean()), 0.0), float(lost.std() / math.sqrt(len(lost)))))

    return Firmness(
        certificate=vars(found.certificate),
        regret=regret(found.best),
        regret_current=regret(found.current),
        perfect_information=asdict(known.perfect),
        stops_paying=where_it_stops_paying(made),
        advice=advice(learnt, currency),
        optimum=pd.DataFrame({"channel": list(names), "q10": spread[0], "q50": spread[1], "q90": spread[2]}),
        tests=learnt,
        ledger=ledger(made, names),
        budget_frontier=budget_frontier(made),
        risk_frontier=risk_frontier(made),
    )


# ---------------------------------------------------------------------------------------------------- what to learn


def tests(made: Decision, names: Sequence[str], start: Ground) -> pd.DataFrame:
    """What a test of each channel's elasticity is worth over the horizon, and what it should be.

    Columns: channel, worth_of_knowing and its Monte Carlo error, periods and swing of the best test, learnt (share of
    the variance of the elasticity that it takes away), worth (most that it may cost), cost (expected margin lost by the
    swings), advised (worth at least twice its cost).
    """
    case = made.response.case
    posterior = case.posterior
    keep = kept_draws(posterior.draws)
    elasticity = posterior.array("elasticity")[:, case.paid]
    traffic, _ = case.traffic(case.plan)
    units = traffic[:, :, case.paid].mean(axis=(0, 1))
    noise = float(posterior.array("noise_traffic").mean())
    spread = math.log((1 + SWING) / (1 - SWING)) / 2
    rows = []
    for i, name in enumerate(names):
        known = worth_of_knowing(start, elasticity[keep, i])
        sd = float(elasticity[:, i].std())
        sigma = math.sqrt(noise**2 + 1.0 / max(float(units[i]), 1.0))
        swing = _cost_of_swing(made, i)
        periods = np.arange(2, LONGEST + 1)
        learnt = 1.0 - 1.0 / (1.0 + periods * (spread * sd / sigma) ** 2)
        at = int(np.argmax(known.value * learnt - swing * periods))
        worth, cost = known.value * learnt[at], swing * periods[at]
        advised = bool(worth > WORTH_IT * cost and worth > 2 * known.error)
        found = (known.value, known.error, periods[at], SWING, learnt[at], worth, cost, advised)
        rows.append((name, *found))
    return _table("tests", rows)


def _table(name: str, rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[column.name for column in TABLES[name][1]])


def _cost_of_swing(made: Decision, channel: int) -> float:
    """Expected margin lost in a period by spending a share more in one half of the time and less in the other."""
    x = made.allocation.recommended[channel]
    knots, value = made.curves.table_spend[channel], made.curves.table_value[channel]
    up, middle, down = np.interp([x * (1 + SWING), x, x * (1 - SWING)], knots, value)
    return max(float(middle - (up + down) / 2), 0.0) / len(made.response.case.plan)


def advice(tests_table: pd.DataFrame, currency: str) -> Text:
    """The one test that pays most, as a sentence; or that none does."""
    advised = tests_table.loc[tests_table["advised"].to_numpy(dtype=bool)]
    if advised.empty:
        return "No test of a channel is worth twice its cost: decide with what is known."
    row = max(records(advised), key=lambda test: float(test["worth"] - test["cost"]))
    return message(
        "Test {channel}: {swing:exact_percent} more and {swing:exact_percent} less spend, {long} in all. It would take "
        "away {learnt:percent} of the doubt about its response, is worth {worth:number}~{currency} over the horizon "
        "(the most it may cost), and loses about {cost:number}~{currency} of margin.",
        long=plural("{n:whole} period", "{n:whole} periods", n=row["periods"]),
        currency=currency,
        **row,
    )


# -------------------------------------------------------------------------------------------------------- frontiers


def budget_frontier(made: Decision, points: int = BUDGETS) -> pd.DataFrame:
    """Best contribution against budget, within the other limits.

    Columns: budget, spent, contribution with q10 and q90 over draws, marginal (return of the next unit of money), pays
    (whether the last unit brought back more than itself).
    """
    search, profit, hurdle = _unasked(made), Profit(made.curves, hurdle=0.0), made.budget.terms().hurdle
    ceiling = float(search.most.sum())
    budgets = np.linspace(max(float(search.limits.low.sum()), 0.02 * ceiling), ceiling, points)
    draws = Draws(made.curves, "value")
    rows = []
    for budget in np.unique(np.append(budgets, search.current.sum())):
        try:
            found = profit.best(search.within(float(budget)))
        except InfeasibleError:
            continue
        outcome = draws.at(found.x)[0] - found.x.sum()
        low, high = np.quantile(outcome, [0.1, 0.9])
        price = found.price(Kind.TOTAL)
        spent, mean = float(found.x.sum()), made.curves.contribution(found.x)
        rows.append((float(budget), spent, mean, low, high, price, price >= hurdle))
    return _table("budget_frontier", rows)


def where_it_stops_paying(made: Decision) -> float:
    """The budget beyond which the next unit of money returns less than the hurdle (itself), within the other limits."""
    profit = Profit(made.curves, made.budget.terms().hurdle)
    return float(profit.best(_unasked(made).within(math.inf)).x.sum())


def _unasked(made: Decision) -> Search:
    """Where the decision was looked for, without what money had to bring on average."""
    return replace(made.search, ceiling=None)


def risk_frontier(made: Decision) -> pd.DataFrame:
    """Mean contribution against that of its worst draws: splits between the two aims, within all limits.

    Columns: plan (mix, current, recommended), mix (weight of cvar), contribution, cvar, p_loss.
    """
    search = Search(made.curves, made.limits, made.search.current)
    risk = WorstDraws(made.curves, made.response.case.study.budget.risk)

    splits = [("mix", 0.0, risk.profit.best(search).x)]
    for mix in MIXES[1:]:
        x, _ = climb(risk.mixed(mix), search, search.inside(splits[-1][2]))
        splits.append(("mix", mix, x))
    splits += [("current", math.nan, search.current), ("recommended", math.nan, made.allocation.recommended)]
    rows = [(plan, mix, made.curves.contribution(x), risk.cvar(x), risk.p_loss(x)) for plan, mix, x in splits]
    return _table("risk_frontier", rows)


# ----------------------------------------------------------------------------------------------------- beyond seen


def ledger(made: Decision, names: Sequence[str]) -> pd.DataFrame:
    """How much of the recommendation, and of its gain, lies beyond the highest spend that a period has seen.

    Columns: channel, highest_seen (a period), peak (highest recommended in a period), beyond (share of the recommended
    spend), gain (expected contribution over the current plan's), gain_beyond (of it, what the spend above the highest
    seen brings), gain_if_saturating (the gain if the response saturates from there on).
    """
    curves, found, paid = made.curves, made.allocation, made.response.case.paid
    seen = made.response.case.history.highest_spend[paid]
    plan = found.plan
    # the spend over the horizon at which the highest period is as high as any seen
    shape = plan.max(axis=0) / np.maximum(plan.sum(axis=0), 1e-12)
    edge = np.where(shape > 0, seen / np.maximum(shape, 1e-12), 0.0)
    value = evaluate(curves.table_spend, curves.table_value, found.recommended)
    inside = np.minimum(found.recommended, edge)
    at_edge = evaluate(curves.table_spend, curves.table_value, inside)
    base = curves.table_value[:, 0]
    slope = evaluate(curves.table_spend, curves.table_marginal, inside)
    level = np.maximum(at_edge - base, 1e-12)
    e = np.clip(slope * inside / level, 1e-6, 1 - 1e-6)
    u = found.recommended / np.maximum(inside, 1e-12)
    saturating = base + level / (1 - e) * u / (u + e / (1 - e))
    over = found.recommended > inside * (1 + 1e-9)
    gain = found.value_recommended - found.value_current - (found.recommended - found.current)
    return pd.DataFrame(
        {
            "channel": list(names),
            "highest_seen": seen,
            "peak": plan.max(axis=0),
            "beyond": found.extrapolated,
            "gain": gain,
            "gain_beyond": np.where(over, value - at_edge - (found.recommended - inside), 0.0),
            "gain_if_saturating": gain - np.where(over, value - saturating, 0.0),
        }
    )
