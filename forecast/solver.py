"""The best of a program: equal marginal returns where they are the answer, else pieces made finer around the answer.

Every curve is cut into pieces (`forecast.pieces`). A curve that a linear program does not fill in order, an S-shape
or one whose flat end a limit would rather have, is filled in order by binaries from then on. The pieces around the
answer are made finer until they are next to nothing; the Lagrangian says what is left.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.pieces import solve_pieces
from forecast.program import (
    InfeasibleError,
    Program,
    Solution,
    bound,
    concave,
    falling_slopes,
    fill,
    span,
)

Array = NDArray[np.float64]

PIECES, FINER = 24, 8  # pieces of a curve at first; of each of the three around the answer afterwards
COARSE = 4  # every so many of the other knots stay
MOST_ROUNDS = 7
RESOLVED = 3e-5  # width of the pieces around the answer, as a share of the range, at which it is done
LOTS_MOST = 400  # multiples of a lot that become knots


def _only_total(program: Program) -> bool:
    plain = program.mix is None and not program.whole and not program.reward.size and len(program.rows) <= 1
    rows = all(row.table is None and row.extra is None and np.all(row.weights == 1.0) for row in program.rows)
    return bool(plain and rows and concave(program.knots, program.value).all())


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
    if _only_total(program):
        return _filled(program)
    ordered = np.zeros(len(program.knots), dtype=bool)
    first = _first_knots(program)
    knots, best = first, _in_order(program, first, ordered)
    for _ in range(MOST_ROUNDS - 1):
        y = program.arguments(best.x)
        if max((_width(k, at) for k, at in zip(knots, y, strict=True)), default=0.0) <= RESOLVED:
            break
        knots = [
            k if _in_lots(program, j) else _finer(k, y[j], first[j] if ordered[j] else k[::COARSE])
            for j, k in enumerate(knots)
        ]
        found = _in_order(program, knots, ordered)
        best = found if found.value >= best.value else replace(best, gap=min(best.gap, found.gap))
    return best


def _in_order(program: Program, knots: list[Array], ordered: NDArray[np.bool_]) -> Solution:
    """The best over pieces filled in order; `ordered` is told of the curves that need binaries for it."""
    while True:
        found, wrong = solve_pieces(program, knots, ordered)
        if not (wrong & ~ordered).any():
            return found
        ordered |= wrong


def _in_lots(program: Program, curve: int) -> bool:
    return program.mix is None and program.lots is not None and program.lots[curve] > 0


def _first_knots(program: Program) -> list[Array]:
    low, high = span(program)
    if (low > high * (1 + 1e-12) + 1e-12).any():
        raise InfeasibleError
    high = np.maximum(low, high)
    result = []
    for j, (a, b) in enumerate(zip(low, high, strict=True)):
        if _in_lots(program, j) and program.lots is not None and (b - a) / program.lots[j] <= LOTS_MOST:
            lot = program.lots[j]
            inner = lot * np.arange(np.ceil(a / lot - 1e-9), np.floor(b / lot + 1e-9) + 1)
            result.append(np.unique(np.concatenate([[a], inner, [b]])))
        else:
            pieces = PIECES if concave(program.knots[j : j + 1], program.value[j : j + 1])[0] else 4 * PIECES
            result.append(np.linspace(np.sqrt(max(a, 0.0)), np.sqrt(max(b, 0.0)), pieces + 1) ** 2)
            result[-1][[0, -1]] = a, b
    return result


def _width(knots: Array, at: float) -> float:
    span = knots[-1] - knots[0]
    if span <= 0:
        return 0.0
    i = int(np.clip(np.searchsorted(knots, at), 1, len(knots) - 1))
    return float((knots[i] - knots[i - 1]) / span)


def _finer(knots: Array, at: float, far: Array) -> Array:
    """Finer knots around a point, those of `far` elsewhere."""
    if knots[-1] <= knots[0]:
        return knots
    i = int(np.clip(np.searchsorted(knots, at), 1, len(knots) - 1))
    near = np.linspace(knots[max(i - 2, 0)], knots[min(i + 1, len(knots) - 1)], 3 * FINER + 1)
    return np.unique(np.concatenate([knots[[0, -1]], far, near, [at]]).clip(knots[0], knots[-1]))
