"""The best split under each objective, from the curves alone.

    profit    max mean_s sum_c V_sc(x_c) - hurdle sum x         spend goes on while the next unit returns the hurdle
    revenue   max mean_s sum_c R_sc(x_c)                        inside the horizon; the budget is there to be spent
    target    max mean_s P(b_s + A_s(x) >= target)              b_s: what comes anyway, simulated; A_s: gamma of the
                                                                draw's mean and variance of chance
    cvar      max mean of the worst share of P_s(x) + z_s sd_s(x), P_s the contribution, z_s one normal score a draw
    floor     max profit with cvar, or P(loss), not worse than asked: the multiplier between mean and cvar is bisected

The last three are climbed: at a split the objective is a weighted mean of the draws' curves, a program that is solved
exactly within a box around the split; the box grows where that helped and shrinks where it did not. cvar is concave, up
to the chance in it, and its weighted mean without the box is never below the best: that is its gap. P(target) is not:
it is climbed from several splits, and the best is taken.
Source: Rockafellar & Uryasev 2000, J. Risk (cvar).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.budget.limits import Limits
from forecast.budget.outcomes import Chance, Risk
from forecast.budget.prices import hull
from forecast.budget.program import InfeasibleError, Program, Row, Solution
from forecast.budget.response import Background, Curves
from forecast.budget.solver import solve
from forecast.errors import UsageError
from forecast.study import FloorSpec

Array = NDArray[np.float64]

STARTS = 4  # random ones, beside profit, revenue and the current plan
STEPS, SHRINK, GROW, SMALLEST = 40, 0.35, 1.6, 1e-4
MIXES = 12  # halvings between mean and cvar
TOTALS = 14  # halvings for the smallest budget
NEARLY = 5e-3  # of the range of a curve: how far it may be below a concave one
WORTH = 1e-9  # rise of the objective, relative, that is a rise


@dataclass(frozen=True, eq=False)
class Aim:
    """What a budget should bring. hurdle: least return of the last unit of money; cac: most a customer may cost."""

    objective: str = "profit"
    risk: float = 0.1
    floor: FloorSpec | None = None
    target: float | None = None
    hurdle: float = 1.0
    cac: float | None = None


@dataclass(frozen=True, eq=False)
class Queue:
    """The queue of sales as part of a program: rows, and the variables they add."""

    rows: tuple[Row, ...]
    reward: Array
    ceiling: Array


def program_of(
    curves: Curves,
    limits: Limits,
    knots: Array,
    value: Array,
    *,
    cost: float,
    queue: Queue | None = None,
    extra: tuple[Row, ...] = (),
) -> Program:
    """The program of a split by channel: tables of what it brings, limits as rows, the queue of sales."""
    n = len(curves.spend)
    rows, reward, ceiling = limits.rows() + extra, np.zeros(0), np.zeros(0)
    if queue is not None:
        rows, reward, ceiling = rows + queue.rows, queue.reward, queue.ceiling
    high = np.minimum(limits.high, knots[:, -1])
    return Program(
        knots,
        value,
        limits.low,
        high,
        np.full(n, cost),
        rows,
        limits.lots,
        limits.fees,
        None,
        None,
        reward,
        ceiling,
    )


def best(
    curves: Curves,
    limits: Limits,
    aim: Aim,
    *,
    current: Array,
    background: Background | None = None,
    queue: Queue | None = None,
) -> Solution:
    """The best split under an aim. Raises UsageError where the aim cannot be reached within the limits."""
    if aim.floor is not None:
        return _with_floor(curves, limits, aim, aim.floor, current)
    if aim.objective == "revenue":
        table = curves.mean_table("inside")
        program = program_of(
            curves, limits, curves.table_spend, table, cost=0.0, queue=queue, extra=_ceiling(curves, aim)
        )
        return _solved(program, curves, aim, current)
    if aim.objective == "cvar":
        return _climbed_risk(curves, limits, aim, 1.0, [current])
    if aim.objective == "target":
        return _most_likely(curves, limits, aim, background, current)
    return profit(curves, limits, aim, current, queue)


def profit(curves: Curves, limits: Limits, aim: Aim, current: Array, queue: Queue | None = None) -> Solution:
    """The split of the highest expected contribution; beyond the hurdle no money is spent."""
    program = program_of(
        curves,
        limits,
        curves.table_spend,
        curves.table_value,
        cost=aim.hurdle,
        queue=queue,
        extra=_ceiling(curves, aim),
    )
    return _solved(program, curves, aim, current)


def _solved(program: Program, curves: Curves, aim: Aim, current: Array) -> Solution:
    try:
        return solve(program)
    except InfeasibleError:
        if aim.cac is None:
            raise
        wins = curves.mean_table("wins")
        now = sum(np.interp(x, k, w) for x, k, w in zip(current, curves.table_spend, wins, strict=True))
        cost = float(current.sum() / max(float(now), 1e-12))
        raise UsageError(
            f"--cac {aim.cac:,.0f}: no split within the limits wins customers at so low a cost; the current plan's is "
            f"{cost:,.0f}; raise the ceiling, or lower the minimum of a channel"
        ) from None


def _ceiling(curves: Curves, aim: Aim) -> tuple[Row, ...]:
    if aim.cac is None:
        return ()
    return (
        Row(f"--cac {aim.cac:,.0f}", np.ones(len(curves.spend)), 0.0, -aim.cac * curves.mean_table("wins")),
    )


# ------------------------------------------------------------------------------------------------------------ climbing


def _climb(
    look: Risk | Chance, curves: Curves, limits: Limits, start: Array, cost: float
) -> tuple[Array, float]:
    """Climb from a split; its objective never falls."""
    lots = np.zeros(len(start)) if limits.lots is None else limits.lots
    high = np.minimum(limits.high, curves.spend[:, -1])
    span = np.maximum(high - limits.low, 1e-12)
    x, share = start, 0.25
    reached, tables = look.look(x)
    for _ in range(STEPS):
        radius = np.maximum(share * span, lots * 1.001)
        near = replace(limits, low=np.maximum(limits.low, x - radius), high=np.minimum(high, x + radius))
        program = program_of(curves, near, look.spend, _tamed(look.spend, tables, x), cost=cost)
        try:
            tried = solve(program).x
        except InfeasibleError:  # rounding at the edge of the box
            tried = x
        here, there = look.look(tried)
        if here > reached + WORTH * abs(reached):
            x, reached, tables, share = tried, here, there, min(share * GROW, 1.0)
        else:
            share *= SHRINK
            if share < SMALLEST:
                break
    return x, reached


def climbed_mix(curves: Curves, limits: Limits, aim: Aim, mix: float, start: Array) -> Array:
    """The split that is best for (1 - mix) mean + mix cvar, climbed from another."""
    if mix == 0.0:
        return profit(curves, limits, replace(aim, objective="profit", floor=None), start).x
    return _climb(Risk(curves, aim.risk, mix), curves, limits, _inside(curves, limits, start), 1.0)[0]


def _tamed(knots: Array, tables: Array, x: Array) -> Array:
    """The tables made concave where they nearly are, else straight lines with their slope at the split."""
    bridged = hull(knots, tables)
    bent = (bridged - tables).max(axis=1) > NEARLY * np.ptp(tables, axis=1)
    if not bent.any():
        return bridged
    right = np.clip((knots < x[:, None]).sum(axis=1), 1, knots.shape[1] - 1)
    lanes = np.arange(len(knots))
    slope = (tables[lanes, right] - tables[lanes, right - 1]) / (
        knots[lanes, right] - knots[lanes, right - 1]
    )
    return np.where(bent[:, None], slope[:, None] * knots, bridged)


def _inside(curves: Curves, limits: Limits, x: Array) -> Array:
    """The split within the limits that is nearest to one, in the sum of absolute changes."""
    if limits.keeps(x):
        return x
    knots = np.stack(
        [np.zeros(len(x)), np.maximum(x, 1e-9), np.maximum(curves.spend[:, -1], 2 * x + 1e-9)], axis=1
    )
    value = np.stack([-x, np.zeros(len(x)), x - knots[:, 2]], axis=1)
    return solve(program_of(curves, limits, knots, value, cost=0.0)).x


def _climbed_risk(curves: Curves, limits: Limits, aim: Aim, mix: float, starts: Sequence[Array]) -> Solution:
    look = Risk(curves, aim.risk, mix)
    plain = profit(curves, limits, replace(aim, floor=None), starts[0])
    found = [_climb(look, curves, limits, _inside(curves, limits, x), 1.0) for x in (plain.x, *starts)]
    x, reached = max(found, key=lambda pair: pair[1])
    _, tables = look.look(x)
    free = solve(program_of(curves, limits, look.spend, hull(look.spend, tables), cost=1.0))
    at_x = sum(np.interp(a, k, t) for a, k, t in zip(x, look.spend, tables, strict=True)) - x.sum()
    gap = max(free.value + free.gap - float(at_x), 0.0)
    return Solution(x, reached, free.prices, gap, np.zeros(0), whole=plain.whole)


def _most_likely(
    curves: Curves, limits: Limits, aim: Aim, background: Background | None, current: Array
) -> Solution:
    if aim.target is None or background is None:
        raise UsageError('objective = "target" needs a target: [plan] target = { revenue = 240_000 }')
    look = Chance(curves, aim.target, background)
    x, reached = _best_climb(look, curves, limits, aim, current)
    return Solution(x, reached, {}, float("nan"), np.zeros(0), whole=limits.lots is not None)


def _best_climb(
    look: Chance, curves: Curves, limits: Limits, aim: Aim, current: Array, starts: int = STARTS
) -> tuple[Array, float]:
    rng = np.random.default_rng(0)
    table = curves.mean_table("inside")
    weights = [np.ones(len(current)), *rng.lognormal(0.0, 1.0, (starts, len(current)))]
    tries = [profit(curves, limits, aim, current).x, _inside(curves, limits, current)]
    tries += [
        solve(program_of(curves, limits, curves.table_spend, weight[:, None] * table, cost=0.0)).x
        for weight in weights
    ]
    return max((_climb(look, curves, limits, x, 0.0) for x in tries), key=lambda pair: pair[1])


def _with_floor(curves: Curves, limits: Limits, aim: Aim, floor: FloorSpec, current: Array) -> Solution:
    """The highest mean whose risk is not worse than asked: the least weight of cvar that gets there."""
    risk = Risk(curves, aim.risk, 1.0)

    def short(x: Array) -> float:
        return floor.cvar - risk.cvar(x) if floor.cvar is not None else risk.p_loss(x) - (floor.loss or 0.0)

    plain = profit(curves, limits, replace(aim, floor=None), current)
    if short(plain.x) <= 0:
        return plain
    safest = _climbed_risk(curves, limits, aim, 1.0, [plain.x])
    if short(safest.x) > 0:
        asked = f"cvar = {floor.cvar:,.0f}" if floor.cvar is not None else f"loss = {floor.loss}"
        most = (
            f"a cvar of {risk.cvar(safest.x):,.0f}"
            if floor.cvar is not None
            else f"P(loss) {risk.p_loss(safest.x):.1%}"
        )
        raise UsageError(
            f"budget.floor: no split within the limits keeps {asked}; the safest has {most}; ease the floor, or allow "
            "a smaller budget"
        )
    below, above, x = 0.0, 1.0, safest.x
    for _ in range(MIXES):
        middle = (below + above) / 2
        tried, _ = _climb(Risk(curves, aim.risk, middle), curves, limits, x, 1.0)
        if short(tried) <= 0:
            above, x = middle, tried
        else:
            below = middle
    return Solution(
        x, curves.mean_value(x) - float(x.sum()), {}, float("nan"), np.zeros(0), whole=plain.whole
    )


def smallest_budget(
    curves: Curves, limits: Limits, aim: Aim, background: Background, current: Array, chance: float
) -> tuple[float, float, Solution]:
    """The least total whose best P(target) is `chance`: (total, P(target) there, split).

    Raises UsageError where no budget within the limits reaches it, with what the largest does reach.
    """
    if aim.target is None:
        raise UsageError("--chance needs a target: [plan] target = { revenue = 240_000 }")
    look = Chance(curves, aim.target, background)
    low, high = float(limits.low.sum()), float(np.minimum(limits.high, curves.spend[:, -1]).sum())

    def at(total: float) -> tuple[Array, float]:
        return _best_climb(look, curves, replace(limits, total=total), aim, current, 0)

    x, reached = at(high)
    if reached < chance:
        raise UsageError(
            f"--chance {chance:.0%}: no budget within the limits reaches it; {high:,.0f}, the most they allow, "
            f"makes the target {reached:.0%} likely; allow a larger change, or lower the target"
        )
    total, best_x = float(x.sum()), x
    try:
        x, at_least = at(low * (1 + 1e-9))
        if at_least >= chance:
            return low, at_least, Solution(x, at_least, {}, float("nan"), np.zeros(0))
    except InfeasibleError:
        pass
    below, above = low, total
    for _ in range(TOTALS):
        middle = (below + above) / 2
        try:
            x, found = at(middle)
        except InfeasibleError:
            found = 0.0
        if found >= chance:
            above, best_x, reached = middle, x, found
        else:
            below = middle
    return float(best_x.sum()), reached, Solution(best_x, reached, {}, float("nan"), np.zeros(0))
