"""Splits by prices: where curves are concave and limits linear, prices of the limits say what every curve takes.

At prices lambda curve j takes the spend where its marginal return is cost_j + sum_r lambda_r weights_rj. The prices of
the best split minimise the Lagrangian D(lambda) over lambda >= 0; its slope is what the limits leave, most - weights x,
and its curvature the sum of weights weights' / |f''| over the curves between their bounds. One price, of the total, is
found by bisection; several by Newton steps, projected, and shortened where they go beyond the lowest point.
Source: Boyd & Vandenberghe 2004, section 5.5; Bertsekas 1982, SIAM J. Control Optim. (projected Newton).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.budget.program import Program, Solution, bound

Array = NDArray[np.float64]

MOST_STEPS, MOST_HALVES = 60, 30
ROUNDING = (
    1e-6  # of the range of a curve: what its slopes made to fall may take off one that counts as concave
)
KEPT = 1e-9  # by how much a limit may be passed, as a share of it
CLOSE = 1e-6  # gap, as a share of the objective, up to which the split of the prices is the answer


def falling_slopes(knots: Array, value: Array) -> Array:
    """Slope at every knot, the mean of those beside it, made to fall."""
    slope = np.diff(value, axis=1) / np.maximum(np.diff(knots, axis=1), 1e-300)
    middle = (slope[:, 1:] + slope[:, :-1]) / 2
    return np.minimum.accumulate(np.concatenate([slope[:, :1], middle, slope[:, -1:]], axis=1), axis=1)


def concave(knots: Array, value: Array) -> NDArray[np.bool_]:
    """Whether each curve is concave, to rounding: its slopes made to fall bring as much."""
    slope, width = np.diff(value, axis=1), np.maximum(np.diff(knots, axis=1), 1e-300)
    falling = np.minimum.accumulate(slope / width, axis=1) * width
    missing = np.cumsum(slope - falling, axis=1)[:, -1]
    return np.asarray(missing <= ROUNDING * np.ptp(value, axis=1) + 1e-300)


def hull(knots: Array, value: Array) -> Array:
    """The least concave curves that are nowhere below, (curve, point)."""
    result = value.copy()
    for j in np.flatnonzero(~concave(knots, value)):
        k, v = knots[j].tolist(), value[j].tolist()
        kept: list[int] = []
        for i in range(len(k)):
            while len(kept) > 1:
                p, q = kept[-2], kept[-1]
                if (v[q] - v[p]) * (k[i] - k[p]) > (v[i] - v[p]) * (k[q] - k[p]):
                    break
                kept.pop()
            kept.append(i)
        result[j] = np.interp(knots[j], knots[j, kept], value[j, kept])
    return result


class Inverse:
    """What every curve takes at a price: the inverse of its marginal return, within bounds."""

    def __init__(self, knots: Array, marginal: Array, low: Array, high: Array) -> None:
        """Tables of the inverse; `marginal` (curve, point) falls along the knots."""
        self.lane = 2.0 * np.arange(len(knots))  # all curves in one table, each in a lane of its own
        self.dearest = float(np.abs(marginal).max())
        self.scale = 0.5 / max(self.dearest, 1e-300)
        table = self.lane[:, None] - marginal * self.scale
        self.ends = table[:, 0], table[:, -1]
        self.table, self.money, self.low, self.high = table.ravel(), knots.ravel(), low, high

    def __call__(self, price: Array) -> Array:
        """Spend at a price by curve, (curve,)."""
        wanted = np.clip(self.lane - price * self.scale, *self.ends)
        return np.clip(np.interp(wanted, self.table, self.money), self.low, self.high)

    def slope(self, price: Array, x: Array) -> Array:
        """How much less is taken for a price higher by one; zero at a bound."""
        wanted = np.clip(self.lane - price * self.scale, *self.ends)
        right = np.clip(np.searchsorted(self.table, wanted, side="right"), 1, len(self.table) - 1)
        wide = (self.money[right] - self.money[right - 1]) / np.maximum(
            self.table[right] - self.table[right - 1], 1e-300
        )
        inside = (x > self.low) & (x < self.high) & (wanted > self.ends[0]) & (wanted < self.ends[1])
        return np.where(inside, wide * self.scale, 0.0)


def fill(
    knots: Array, marginal: Array, low: Array, high: Array, total: float, cost: Array
) -> tuple[Array, float]:
    """The split of at most `total` whose marginal returns over cost are equal, and that excess; bisection.

    Monotone in the total. What a flat piece of a curve leaves open is shared in proportion to the room.
    """
    take = Inverse(knots, marginal, low, high)
    best = take(cost)
    if best.sum() <= total:
        return best, 0.0
    below, above = 0.0, float(marginal.max()) + 1.0
    for _ in range(100):
        middle = (below + above) / 2
        below, above = (middle, above) if take(cost + middle).sum() > total else (below, middle)
        if above - below <= 1e-15 * above:
            break
    best = take(cost + above)
    room = np.minimum(take(cost + below) - best, high - best)
    short = total - best.sum()
    if short > 0 and room.sum() > 0:
        best = best + room * min(1.0, short / room.sum())
    return best, above


def linear(program: Program) -> bool:
    """Whether prices alone can solve it: concave curves of their own variables, linear rows, no integers, no extras."""
    plain = program.mix is None and not program.whole and not program.reward.size
    rows = all(row.table is None and row.extra is None for row in program.rows)
    return bool(plain and rows and concave(program.knots, program.value).all())


def by_prices(program: Program, start: Array) -> Solution | None:
    """The best split from the prices of its rows, from rough ones; None where Newton steps do not find them."""
    weights = np.array([row.weights for row in program.rows]).reshape(len(program.rows), len(program.low))
    most = np.array([row.most for row in program.rows])
    high = np.minimum(program.high, np.maximum(program.knots[:, -1], program.low))
    take = Inverse(program.knots, falling_slopes(program.knots, program.value), program.low, high)
    dearest = float(take.dearest + program.cost.max()) + 1e-300
    room = KEPT * np.maximum(np.abs(weights) @ np.maximum(high, 0.0), 1e-300)

    prices = start.copy()
    x = take(program.cost + prices @ weights)
    for _ in range(MOST_STEPS):
        left = most - weights @ x
        free = (prices > 0) | (left < 0)
        if (np.abs(left[free]) <= room[free]).all():
            break
        curvature = (weights[free] * take.slope(program.cost + prices @ weights, x)) @ weights[free].T
        ridge = 1e-12 * max(float(np.trace(curvature)), 1e-300) * np.eye(int(free.sum()))
        step = np.zeros_like(prices)
        step[free] = -np.linalg.lstsq(curvature + ridge, left[free], rcond=None)[0]
        if not np.isfinite(step).all():
            return None
        size = 1.0 / max(float(np.abs(step).max()) / dearest, 1.0)
        for _ in range(MOST_HALVES):  # the Lagrangian is convex: no step beyond its lowest point
            tried = np.maximum(prices + size * step, 0.0)
            x = take(program.cost + tried @ weights)
            if (most - weights @ x) @ (tried - prices) <= 0.5 * abs(left @ (tried - prices)):
                break
            size /= 2
        prices = tried
    if (weights @ x - most > room).any():
        return None
    value = program.objective(x)
    gap = max(bound(program, prices) - value, 0.0)
    if gap > CLOSE * abs(value):
        return None
    named = {row.name: float(price) for row, price in zip(program.rows, prices, strict=True)}
    return Solution(x, value, named, gap, np.zeros(0))
