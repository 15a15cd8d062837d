"""The best of a program: prices of the limits where they are the answer, else pieces made finer around the answer.

Every curve is cut into pieces (`budget.pieces`). A curve that a linear program does not fill in order, an S-shape
or one whose flat end a limit would rather have, is filled in order by binaries from then on. The pieces around the
answer are made finer until they are next to nothing; the Lagrangian says what is left.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.budget.pieces import solve_pieces
from forecast.budget.prices import by_prices, concave, falling_slopes, fill, linear
from forecast.budget.program import InfeasibleError, Program, Solution, bound, span

Array = NDArray[np.float64]

PIECES, FINER = 24, 8  # pieces of a curve at first; of each of the three around the answer afterwards
ROUGH = 8  # for a first idea of the prices
COARSE = 4  # every so many of the other knots stay
MOST_ROUNDS = 7
# Gap, as a share of the objective, at which it is done; with few curves it costs nothing to go on, and prices gain.
CLOSE, CLOSE_FEW, FEW = 2e-7, 1e-10, 60
RESOLVED = 3e-5  # width of the pieces around the answer, as a share of the range, at which it is done
LOTS_MOST = 400  # multiples of a lot that become knots


def _only_total(program: Program) -> bool:
    return len(program.rows) <= 1 and all(np.all(row.weights == 1.0) for row in program.rows)


def _filled(program: Program) -> Solution:
    marginal = falling_slopes(program.knots, program.value)
    total = program.rows[0].most if program.rows else np.inf
    if program.low.sum() > total + 1e-9 * abs(total) or (program.low > program.high).any():
        raise InfeasibleError
    x, price = fill(program.knots, marginal, program.low, program.high, total, program.cost)
    prices = {program.rows[0].name: price} if program.rows else {}
    found = Solution(x, program.objective(x), prices, 0.0, np.zeros(0))
    return replace(found, gap=bound(program, np.array(list(prices.values()))) - found.value)


def solve(program: Program) -> Solution:
    """The best split. Raises InfeasibleError where no split keeps all limits."""
    ordered = np.zeros(len(program.knots), dtype=bool)
    if linear(program):
        if _only_total(program):
            return _filled(program)
        rough, _ = solve_pieces(program, _first_knots(program, ROUGH), ordered)
        priced = by_prices(program, np.array(list(rough.prices.values())))
        if priced is not None:
            return priced
    first = _first_knots(program)
    close = CLOSE if len(program.knots) > FEW else CLOSE_FEW
    knots, best = first, _in_order(program, first, ordered)
    for _ in range(MOST_ROUNDS - 1):
        y = program.arguments(best.x)
        if _width(knots, y) <= RESOLVED or (not best.whole and best.gap <= close * abs(best.value)):
            break
        knots = _finer(knots, y, first if ordered.any() or program.whole else knots[:, ::COARSE])
        found = _in_order(program, knots, ordered)
        best = found if found.value >= best.value else replace(best, gap=min(best.gap, found.gap))
    return best


def _in_order(program: Program, knots: Array, ordered: NDArray[np.bool_]) -> Solution:
    """The best over pieces filled in order; `ordered` is told of the curves that need binaries for it."""
    while True:
        found, wrong = solve_pieces(program, knots, ordered)
        if not (wrong & ~ordered).any():
            return found
        ordered |= wrong


def _first_knots(program: Program, pieces: int = PIECES) -> Array:
    """Knots denser at low spend (curve, knot); of a channel in lots, its multiples."""
    low, high = span(program)
    if (low > high * (1 + 1e-12) + 1e-12).any():
        raise InfeasibleError
    high = np.maximum(low, high)
    pieces = pieces if concave(program.knots, program.value).all() else 4 * pieces
    root = np.sqrt(np.maximum(low, 0.0)), np.sqrt(np.maximum(high, 0.0))
    knots = np.linspace(*root, pieces + 1, axis=1) ** 2
    knots[:, 0], knots[:, -1] = low, high
    lots = np.zeros(len(low)) if program.mix is not None or program.lots is None else program.lots
    found = [knots]
    for j in np.flatnonzero(lots > 0):
        if (high[j] - low[j]) / lots[j] <= LOTS_MOST:
            inner = lots[j] * np.arange(np.ceil(low[j] / lots[j]), np.floor(high[j] / lots[j]) + 1)
            own = np.repeat(high[:, None], len(inner), axis=1)
            own[j] = np.clip(inner, low[j], high[j])
            found.append(own)
    return np.sort(np.concatenate(found, axis=1), axis=1)


def _around(knots: Array, at: Array, before: int, after: int) -> tuple[Array, Array]:
    """The knots so many before and after the piece that holds a point."""
    piece = np.clip((knots < at[:, None]).sum(axis=1), 1, knots.shape[1] - 1)
    lanes = np.arange(len(knots))
    return knots[lanes, np.maximum(piece - before, 0)], knots[
        lanes, np.minimum(piece + after, knots.shape[1] - 1)
    ]


def _width(knots: Array, at: Array) -> float:
    below, above = _around(knots, at, 1, 0)
    return float(((above - below) / np.maximum(knots[:, -1] - knots[:, 0], 1e-300)).max(initial=0.0))


def _finer(knots: Array, at: Array, far: Array) -> Array:
    """Finer knots around a point, those of `far` elsewhere."""
    near = np.linspace(*_around(knots, at, 2, 1), 3 * FINER + 1, axis=1)
    clipped = np.clip(np.concatenate([near, at[:, None]], axis=1), knots[:, :1], knots[:, -1:])
    return np.sort(np.concatenate([knots[:, [0, -1]], far, clipped], axis=1), axis=1)
