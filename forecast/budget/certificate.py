"""What is certain about a recommended split: status, gap, prices, residual; and which other splits are nearly as good.

A channel's near-optimal range holds its spend in every plan within an allowance of the best. Its ends are the least and
the most of that spend subject to  objective >= best - allowance  and all limits, over pieces, so that the ranges are a
little too narrow rather than too wide. Where the total is the only limit beside the bounds and curves are concave, with
W_c(m) the most that the other channels bring, after cost, with at most m of money (their steepest pieces first):

    h_c(t) = v_c(t) - cost t + W_c(total - t)        the ends of channel c are where h_c crosses best - allowance

exactly, as h_c is concave and straight between knots. Where curves are not, the steepest pieces of each come first, as
linear programs over pieces would have them. With other limits the ends are two linear programs a channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from forecast.budget.concave import (
    Kind,
    Program,
    Row,
    Solution,
    evaluate,
    falling_rise,
    is_concave,
    spent_on_pieces,
)
from forecast.budget.objectives import Objective, Search
from forecast.words import Text

Array = NDArray[np.float64]

NEAR_PIECES, NEAR_MANY, MANY = 48, 20, 20  # pieces of a curve for ranges, and with so many channels or more
AT_LIMIT = 1e-6
LEAST_PRICE = 1e-6  # of a limit, below which it does not bind
TOLD = (Kind.TOTAL, Kind.RULE, Kind.CAPACITY)  # limits whose price is worth telling


@dataclass(frozen=True)
class Certificate:
    """What is certain about a recommendation, under the model.

    status: "optimal" (gap proven), "best found" (several starts, no proof), "current plan kept", "current plan held".
    value, value_current: of the objective; gap: by how much the true best may be above `value`, NaN where not proven;
    residual: largest relative gap of a free channel's marginal return to what the prices ask for, NaN where that says
    nothing (lots, other objectives); prices: what one unit more of a limit would bring, where it binds; evidence:
    P(target), cvar, what was asked of the average; mode: what was asked in place of a fixed budget, in words.
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
    mode: Text = ""


def binding(found: Solution) -> dict[Row, float]:
    """The limits that hold a split back and what one unit more of each would bring; bounds of channels aside."""
    return {row: price for row, price in found.prices.items() if price > LEAST_PRICE and row.kind in TOLD}


def near_optimal(
    objective: Objective, search: Search, best_split: Array, idle: float = 0.0
) -> tuple[Array, Array]:
    """Least and most spend of each channel among plans within the allowance of the best, others re-optimised.

    `idle`: what the variables of the queue take off the objective at the best split.
    """
    limits, n = search.limits, len(best_split)
    pieces = NEAR_PIECES if n < MANY else NEAR_MANY
    ceiling = search.most
    root = np.linspace(np.sqrt(np.minimum(limits.low, ceiling)), np.sqrt(ceiling), pieces + 1, axis=1) ** 2
    root[:, 0], root[:, -1] = np.minimum(limits.low, ceiling), ceiling
    at = np.clip(best_split, root[:, 0], root[:, -1])[:, None]
    knots = np.sort(np.concatenate([root, at], axis=1), axis=1)
    value = objective.look(best_split)[1]
    least = objective.allowance(best_split) - objective.summed(value, best_split) - idle
    extra = None if search.queue is None else -search.queue.reward
    bar = Row("near", np.full(n, objective.cost), least, -value, extra)
    easy = replace(search, limits=replace(limits, lots=None, fees=None))
    asked = easy.program(objective.knots, value, cost=0.0)
    free = limits.high > limits.low
    if search.queue is None and search.ceiling is None and not limits.rules:
        shown = _steepest_first(knots, evaluate(objective.knots, value, knots))
        ends = _ends(*shown, objective.cost, limits.total, -least)
    else:
        ends = np.full((2, n), np.nan)
        for c in np.flatnonzero(free):
            ends[:, c] = [_end(asked, bar, int(c), sign, knots) for sign in (1.0, -1.0)]
    low, high = (np.where(free & np.isfinite(end), end, best_split) for end in ends)
    return np.minimum(low, best_split), np.maximum(high, best_split)


def _steepest_first(knots: Array, value: Array) -> tuple[Array, Array]:
    """Curves (curve, knot) whose pieces come in the order of their slopes, where they do not already."""
    bent = ~is_concave(knots, value)
    wide, gain = (np.diff(each[bent], axis=1) for each in (knots, value))
    order = np.argsort(-gain / np.maximum(wide, 1e-300), axis=1, kind="stable")
    knots, value = knots.copy(), value.copy()
    for each, steps in ((knots, wide), (value, gain)):
        each[bent, 1:] = each[bent, :1] + np.cumsum(np.take_along_axis(steps, order, axis=1), axis=1)
    return knots, value


def _ends(knots: Array, value: Array, cost: float, total: float, least: float) -> Array:
    """Least and most of each channel where all together bring `least` after cost: (2, curve), NaN where they cannot.

    Concave curves (curve, knot), at most `total` in all: see the module.
    """
    wide, start = np.diff(knots, axis=1), knots[:, 0]
    rise = falling_rise(knots, value) - cost
    base = value[:, 0] - cost * start
    owner = np.repeat(np.arange(len(knots)), wide.shape[1])
    order = np.argsort(-rise.ravel(), kind="stable")
    order = order[(rise.ravel()[order] > 0) & (wide.ravel()[order] > 0)]
    owner, width, gain = owner[order], wide.ravel()[order], (rise * wide).ravel()[order]
    found = np.full((2, len(knots)), np.nan)
    for c in range(len(knots)):
        others = owner != c
        taken = start.sum() - start[c] + np.append(0.0, np.cumsum(width[others]))
        brought = base.sum() - base[c] + np.append(0.0, np.cumsum(gain[others]))
        most = min(knots[c, -1], total - taken[0])
        if most < start[c]:
            continue
        t = np.concatenate([knots[c], total - taken, [most]])
        t = np.unique(t[(t >= start[c]) & (t <= most)])
        h = np.interp(t, knots[c], value[c]) - cost * t + np.interp(total - t, taken, brought)
        if (inside := np.flatnonzero(h >= least)).size:
            found[:, c] = _crossing(t, h, least, inside[0], -1), _crossing(t, h, least, inside[-1], 1)
    return found


def _crossing(t: Array, h: Array, least: float, at: int, step: int) -> float:
    """Where h falls to `least` on the way from a point to the next one, or the point where there is none."""
    if not 0 <= at + step < len(t):
        return float(t[at])
    share = (h[at] - least) / max(h[at] - h[at + step], 1e-300)
    return float(t[at] + share * (t[at + step] - t[at]))


def _end(asked: Program, bar: Row, channel: int, sign: float, knots: Array) -> float:
    """Least (sign 1) or most (-1) of a channel among plans above the bar, NaN where there is none."""
    cost = np.zeros(len(knots))
    cost[channel] = sign
    flat = replace(
        asked,
        value=np.zeros_like(asked.value),
        cost=cost,
        rows=(*asked.rows, bar),
        reward=np.zeros_like(asked.reward),
    )
    found = spent_on_pieces(flat, knots)
    return float("nan") if found is None else float(found[channel])


def residual(objective: Objective, search: Search, found: Solution) -> float:
    """Largest relative gap of a free channel's marginal return to its cost at the prices of the limits."""
    limits = search.limits
    blurred = found.whole or search.queue is not None or search.ceiling is not None or limits.pattern is None
    if blurred or not objective.exact:
        return float("nan")
    charge = np.full(len(found.x), objective.cost)
    for row, price in found.prices.items():
        charge = charge + price * row.weights
    ceiling = search.most
    free = (found.x > limits.low + AT_LIMIT * ceiling) & (found.x < ceiling * (1 - AT_LIMIT))
    marginal = objective.gradient(found.x) + objective.cost
    gap = np.abs(marginal[free] / charge[free] - 1.0)
    return float(gap.max()) if free.any() else 0.0


def evidence(witnesses: Sequence[Objective], search: Search, split: Array) -> dict[str, float]:
    """What was asked about a split, and the same of the current one: cvar, P(loss), P(target); the ceiling."""
    found: dict[str, float] = {}
    for witness in witnesses:
        now = witness.evidence(search.current)
        for name, value in witness.evidence(split).items():
            found |= {name: value, f"{name}_current": now[name]}
    if search.ceiling is not None:
        found[search.ceiling.field] = search.ceiling.reached(search.curves, split)
    return found
