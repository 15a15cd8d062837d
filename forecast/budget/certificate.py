"""What is certain about a recommended split: status, gap, prices, residual; and which other splits are nearly as good.

A channel's near-optimal range holds its spend in every plan within an allowance of the best. Its ends are the least and
the most of that spend subject to  objective >= best - allowance  and all limits: two linear programs a channel, over
pieces, so that the ranges are a little too narrow rather than too wide.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from forecast.budget.limits import Limits
from forecast.budget.objectives import Aim, Queue, program_of
from forecast.budget.outcomes import Chance, Risk
from forecast.budget.pieces import solve_pieces
from forecast.budget.program import InfeasibleError, Program, Row, Solution, evaluate
from forecast.budget.response import Background, Curves

Array = NDArray[np.float64]

NEAR = 0.01  # near-optimal: within 1 % of the eventual margin of the best plan
NEAR_PIECES, NEAR_MANY, MANY = 48, 20, 20  # pieces of a curve for that, and with so many channels or more
AT_LIMIT = 1e-6


@dataclass(frozen=True)
class Certificate:
    """What is certain about a recommendation, under the model.

    status: "optimal" (gap proven), "best found" (several starts, no proof), "current plan kept". value, value_current:
    of the objective; gap: by how much the true best may be above `value`, NaN where not proven; residual: largest
    relative gap of a free channel's marginal return to what the prices ask for, NaN where that says nothing (lots,
    other objectives); prices: what one unit more of a limit would bring, where it binds; evidence: P(target) or cvar;
    mode: what was asked in place of a fixed budget, in words.
    """

    objective: str
    status: str
    value: float
    value_current: float
    gap: float
    residual: float
    prices: dict[str, float] = field(default_factory=dict)
    evidence: dict[str, float] = field(default_factory=dict)
    kept: bool = True  # all limits
    mode: str = ""


@dataclass(frozen=True, eq=False)
class Landscape:
    """The objective around a split: curves by channel, cost of money, and how much less is still near the best."""

    knots: Array
    value: Array
    cost: float
    allowance: float

    def at(self, x: Array) -> float:
        """The objective, up to a constant."""
        return float(evaluate(self.knots, self.value, x).sum()) - self.cost * float(x.sum())


def landscape(curves: Curves, aim: Aim, split: Array, anyway: Background | None) -> Landscape:
    """The objective as curves by channel: exact for profit and revenue, with its slope at the split for the others."""
    margin = NEAR * abs(curves.mean_value(split))
    if aim.objective == "revenue":
        table = curves.mean_table("inside")
        return Landscape(
            curves.table_spend, table, 0.0, NEAR * float(evaluate(curves.table_spend, table, split).sum())
        )
    if aim.objective == "cvar":
        look = Risk(curves, aim.risk, 1.0)
        return Landscape(look.spend, look.look(split)[1], 1.0, margin)
    if aim.objective == "target" and anyway is not None and aim.target is not None:
        chance = Chance(curves, aim.target, anyway)
        return Landscape(chance.spend, chance.look(split)[1], 0.0, NEAR)
    return Landscape(curves.table_spend, curves.table_value, aim.hurdle, margin)


def near_optimal(
    curves: Curves,
    limits: Limits,
    scape: Landscape,
    best_split: Array,
    queue: Queue | None,
    idle: float = 0.0,
) -> tuple[Array, Array]:
    """Least and most spend of each channel among plans within the allowance of the best, others re-optimised.

    `idle`: what the variables of the queue take off the objective at the best split.
    """
    n = len(best_split)
    pieces = NEAR_PIECES if n < MANY else NEAR_MANY
    ceiling = np.minimum(limits.high, curves.spend[:, -1])
    root = np.linspace(np.sqrt(np.minimum(limits.low, ceiling)), np.sqrt(ceiling), pieces + 1, axis=1) ** 2
    root[:, 0], root[:, -1] = np.minimum(limits.low, ceiling), ceiling
    at = np.clip(best_split, root[:, 0], root[:, -1])[:, None]
    knots = np.sort(np.concatenate([root, at], axis=1), axis=1)
    bar = Row("near", np.full(n, scape.cost), scape.allowance - scape.at(best_split) - idle, -scape.value)
    asked = program_of(
        curves, replace(limits, lots=None, fees=None), scape.knots, scape.value, cost=0.0, queue=queue
    )
    if queue is not None:
        bar = replace(bar, extra=-queue.reward)
    low, high = best_split.copy(), best_split.copy()
    for c in range(n):
        if limits.high[c] <= limits.low[c]:
            continue
        for sign, found in ((1.0, low), (-1.0, high)):
            reach = _end(asked, bar, c, sign, knots)
            if reach is not None:
                found[c] = min(found[c], reach) if sign > 0 else max(found[c], reach)
    return low, high


def _end(asked: Program, bar: Row, channel: int, sign: float, knots: Array) -> float | None:
    """Least (sign 1) or most (-1) of a channel among plans above the bar."""
    cost = np.zeros(len(knots))
    cost[channel] = sign
    flat = replace(
        asked,
        value=np.zeros_like(asked.value),
        cost=cost,
        rows=(*asked.rows, bar),
        reward=np.zeros_like(asked.reward),
    )
    try:
        found, _ = solve_pieces(flat, knots, np.zeros(len(knots), dtype=bool))
    except InfeasibleError:
        return None
    return float(found.x[channel])


def residual(curves: Curves, limits: Limits, aim: Aim, found: Solution, queue: Queue | None) -> float:
    """Largest relative gap of a free channel's marginal return to its cost at the prices of the limits."""
    told = aim.objective == "profit" and aim.floor is None and aim.cac is None and not found.whole
    if not told or queue is not None or limits.pattern is None:
        return float("nan")
    charge = np.full(len(found.x), aim.hurdle)
    for row in limits.rows():
        charge = charge + found.prices.get(row.name, 0.0) * row.weights
    ceiling = np.minimum(limits.high, curves.spend[:, -1])
    free = (found.x > limits.low + AT_LIMIT * ceiling) & (found.x < ceiling * (1 - AT_LIMIT))
    gap = np.abs(curves.marginal(found.x)[free] / charge[free] - 1.0)
    return float(gap.max()) if free.any() else 0.0


def objective_values(
    curves: Curves, aim: Aim, split: Array, current: Array, anyway: Background | None
) -> tuple[float, float]:
    """The objective at a split and at the current one."""

    def value(x: Array) -> float:
        if aim.objective == "revenue":
            return float(evaluate(curves.table_spend, curves.mean_table("inside"), x).sum())
        if aim.objective == "cvar":
            return Risk(curves, aim.risk, 1.0).look(x)[0]
        if aim.objective == "target" and anyway is not None and aim.target is not None:
            return Chance(curves, aim.target, anyway).look(x)[0]
        return curves.mean_value(x) - float(x.sum())

    return value(split), value(current)


def evidence(
    curves: Curves, aim: Aim, split: Array, current: Array, anyway: Background | None
) -> dict[str, float]:
    """What the study asked about a split and the current one: cvar, P(loss), P(target), cost of a customer."""
    found: dict[str, float] = {}
    if aim.floor is not None or aim.objective == "cvar":
        risk = Risk(curves, aim.risk, 1.0)
        found |= {"cvar": risk.cvar(split), "cvar_current": risk.cvar(current)}
        found |= {"p_loss": risk.p_loss(split), "p_loss_current": risk.p_loss(current)}
    if anyway is not None and aim.target is not None:
        chance = Chance(curves, aim.target, anyway)
        found |= {"p_target": chance.look(split)[0], "p_target_current": chance.look(current)[0]}
    if aim.cac is not None:
        wins = float(evaluate(curves.table_spend, curves.mean_table("wins"), split).sum())
        found["cac"] = float(split.sum()) / max(wins, 1e-12)
    return found
