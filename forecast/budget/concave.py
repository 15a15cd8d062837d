"""A split of money over tabulated curves within linear limits: the program, its best, and what no split can exceed.

    max  sum_j f_j(y_j) - cost . x      y = x, or y = mix x + shift where what is spent once acts for longer
    s.t. low <= x <= high,  weights_r . x + sum_j g_rj(y_j) + extra_r . e <= most_r,  0 <= e <= ceiling

At prices lambda of the rows the Lagrangian of the whole tables is never below the best (`bound`):

    D(lambda) = sum_j max_y [f_j(y) - cost_j y - sum_r lambda_r (weights_rj y + g_rj(y))] + lambda . most

`solve` takes the cheapest of three roads that fits:

    equal marginal returns   concave curves, no limit but the total and bounds: one price, by bisection (`fill`)
    prices                   concave curves and linear limits: the prices that minimise D, by Newton steps
    pieces                   all else: one linear program over pieces of the curves. A piece is a column of its width,
                             worth its slope; where slopes fall the program fills them in order by itself. Binaries
                             keep the order of curves that are not concave, or whose flat end a limit would rather
                             have; integers count lots. Pieces around the answer are made finer until they are next to
                             nothing

Sources: Boyd & Vandenberghe 2004, sections 5.1-5.5; Bertsekas 1982, SIAM J. Control Optim. (projected Newton);
Markowitz & Manne 1957, Econometrica (incremental pieces).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult
    from scipy.sparse import csr_array

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

ROUNDING = 1e-6  # of a curve's range: what slopes made to fall may take off one that counts as concave
NO_SLOPE = 1e300  # of a piece without width, steeper than any
KEPT = 1e-9  # by how much prices may pass a limit, as a share of it
CLOSE_PRICES = 1e-6  # gap, as a share of the objective, up to which the split of the prices is the answer
MOST_STEPS, MOST_HALVES = 60, 30  # of Newton on prices
PIECES, FINER = 24, 8  # pieces of a curve at first; of each of the three around the answer afterwards
ROUGH = 8  # pieces for a first idea of the prices
COARSE = 4  # every so many of the other knots stay
COARSER = 4  # every so many knots, where single draws are solved by pieces
MOST_ROUNDS = 7
# Gap, as a share of the objective, at which it is done; with few curves it costs nothing to go on, and prices gain.
CLOSE, CLOSE_FEW, FEW = 2e-7, 1e-10, 60
RESOLVED = 3e-5  # width of the pieces around the answer, as a share of the range, at which it is done
LOTS_MOST = 400  # multiples of a lot that become knots
IN_ORDER = 1e-5  # what pieces may claim too much, as a share of the largest value
INTEGER_GAP = 1e-9  # relative, of the best to what is proven


class InfeasibleError(ValueError):
    """No split keeps all limits."""


# ------------------------------------------------------------------------------------------------------------ curves


def evaluate(knots: Array, value: Array, y: Array) -> Array:
    """Each curve at its argument (curve,), or at several (curve, argument)."""
    most = np.maximum(knots[:, -1:], 1e-300)
    lane = 2.0 * np.arange(len(knots))[:, None]  # all curves in one table, each in a lane of its own
    at = np.clip((y if y.ndim == 2 else y[:, None]) / most, knots[:, :1] / most, 1.0)
    found = np.interp((at + lane).ravel(), (knots / most + lane).ravel(), value.ravel()).reshape(at.shape)
    return found if y.ndim == 2 else found[:, 0]


def piece_at(knots: Array, at: Array) -> NDArray[np.int64]:
    """The piece of each curve that holds a point (curve,): the number of the knot at its right end."""
    return np.clip((knots < at[:, None]).sum(axis=1), 1, knots.shape[1] - 1)


def slopes(knots: Array, value: Array) -> Array:
    """Slope of curves at every knot, the mean of those of the pieces beside it, (curve, point)."""
    slope = np.diff(value, axis=1) / np.maximum(np.diff(knots, axis=1), 1e-300)
    middle = (slope[:, 1:] + slope[:, :-1]) / 2
    return np.concatenate([slope[:, :1], middle, slope[:, -1:]], axis=1)


def falling_slopes(knots: Array, value: Array) -> Array:
    """The same, made to fall."""
    return np.minimum.accumulate(slopes(knots, value), axis=1)


def is_concave(knots: Array, value: Array) -> Flags:
    """Whether each curve is concave, to rounding: its slopes made to fall bring as much."""
    missing = np.diff(value, axis=1) - falling_rise(knots, value) * np.diff(knots, axis=1)
    return np.asarray(np.cumsum(missing, axis=1)[:, -1] <= ROUNDING * np.ptp(value, axis=1) + 1e-300)


def falling_rise(knots: Array, value: Array) -> Array:
    """Slopes of the pieces of each curve made to fall, (curve, piece); two knots at one place say nothing of them."""
    width = np.diff(knots, axis=1)
    slope = np.where(width > 0, np.diff(value, axis=1) / np.maximum(width, 1e-300), NO_SLOPE)
    return np.asarray(np.minimum.accumulate(slope, axis=1))


def hull(knots: Array, value: Array) -> Array:
    """The least concave curves that are nowhere below, (curve, point)."""
    result = value.copy()
    for j in np.flatnonzero(~is_concave(knots, value)):
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


# ----------------------------------------------------------------------------------------------------------- program


class Kind(Enum):
    """What a row stands for: who reads prices asks for the kind, never for the name."""

    TOTAL = "the total"
    RULE = "a limit of the study on groups or periods"
    BOUND = "least or most of one channel"
    CEILING = "what money must bring on average"
    CAPACITY = "what sales can take"


@dataclass(frozen=True, eq=False)
class Row:
    """A limit: weights . x + sum_j table_j(y_j) + extra . e <= most; `table` (curve, point) at the curves' knots."""

    name: str
    weights: Array
    most: float
    table: Array | None = None
    extra: Array | None = None
    kind: Kind = Kind.RULE


@dataclass(frozen=True)
class Program:
    """Curves `value` at `knots`, both (curve, point); limits of the variables and rows; see the module for the rest.

    lots, fees (variable,): whole multiples, and what is due once above zero; zero is none. mix (curve, variable) and
    shift (curve,): None where every variable is the argument of its own curve. reward, ceiling: of the extra variables.
    """

    knots: Array
    value: Array
    low: Array
    high: Array
    cost: Array
    rows: tuple[Row, ...] = ()
    lots: Array | None = None
    fees: Array | None = None
    mix: csr_array | None = None
    shift: Array | None = None
    reward: Array = field(default_factory=lambda: np.zeros(0))
    ceiling: Array = field(default_factory=lambda: np.zeros(0))

    @property
    def whole(self) -> bool:
        """Whether lots or fees ask for integers."""
        return any(values is not None and (values > 0).any() for values in (self.lots, self.fees))

    @property
    def offset(self) -> Array:
        """Arguments of the curves where nothing is spent, (curve,)."""
        return _or_zero(self.shift, len(self.knots))

    def arguments(self, x: Array) -> Array:
        """Arguments of the curves at a split."""
        return x if self.mix is None else np.asarray(self.mix @ x) + self.offset

    def priced(self, prices: Array) -> dict[Row, float]:
        """The rows with a price each."""
        return {row: float(price) for row, price in zip(self.rows, prices, strict=True)}

    def objective(self, x: Array, extra: Array | None = None) -> float:
        """The objective at a split, from the whole tables."""
        total = evaluate(self.knots, self.value, self.arguments(x)).sum() - self.cost @ x
        if self.fees is not None:
            total -= self.fees @ (x > 1e-9 * np.maximum(self.high, 1e-300))
        return float(total + (0.0 if extra is None else self.reward @ extra))

    def span(self) -> tuple[Array, Array]:
        """Least and most argument of each curve."""
        if self.mix is None:
            return self.low, np.minimum(self.high, np.maximum(self.knots[:, -1], self.low))
        return self.arguments(self.low), self.arguments(_finite(self.high))


@dataclass(frozen=True)
class Solution:
    """A split (variable,), its objective, prices of the rows, and by how much the true best may be above it.

    gap: NaN where nothing is proven; extra: the variables beside the split; whole: whether lots or fees were asked for.
    """

    x: Array
    value: float
    prices: dict[Row, float] = field(default_factory=dict)
    gap: float = float("nan")
    extra: Array = field(default_factory=lambda: np.zeros(0))
    whole: bool = False

    def price(self, kind: Kind) -> float:
        """What one unit more of all limits of a kind would bring."""
        return sum((price for row, price in self.prices.items() if row.kind is kind), 0.0)


def _or_zero(values: Array | None, size: int) -> Array:
    return np.zeros(size) if values is None else values


def _finite(values: Array) -> Array:
    """The values, zero in place of infinity."""
    return np.where(np.isfinite(values), values, 0.0)


def bound(program: Program, prices: Array, links: Array | None = None) -> float:
    """The Lagrangian's maximum at given prices of rows (and of the links from x to arguments): never below the best."""
    low, high = program.span()
    total = float(sum(price * row.most for price, row in zip(prices, program.rows, strict=True)))
    penalty = np.zeros_like(program.value)
    charge = program.cost.astype(float).copy()
    idle = program.reward.astype(float).copy()
    for price, row in zip(prices, program.rows, strict=True):
        if price > 0:
            charge = charge + price * row.weights
            penalty = penalty + (0.0 if row.table is None else price * row.table)
            idle = idle - price * _or_zero(row.extra, len(idle))
    if program.mix is None:
        slope = charge
    else:
        slope = _or_zero(links, len(program.knots))
        rest = np.asarray(program.mix.T @ slope) - charge
        total += float(np.maximum(rest * program.low, rest * _finite(program.high)).sum())
        total += float(slope @ program.offset)
    gain = program.value - penalty - slope[:, None] * program.knots
    ends = np.stack([low, high], axis=1)
    at_ends = evaluate(program.knots, program.value - penalty, ends) - slope[:, None] * ends
    inner = (program.knots > low[:, None]) & (program.knots < high[:, None])
    total += float(np.maximum(np.where(inner, gain, -np.inf).max(axis=1), at_ends.max(axis=1)).sum())
    return total + float((_finite(program.ceiling) * np.maximum(idle, 0.0)).sum())


# ------------------------------------------------------------------------------------------------------------- solve


def solve(program: Program) -> Solution:
    """The best split. Raises InfeasibleError where no split keeps all limits."""
    ordered = np.zeros(len(program.knots), dtype=bool)
    if _linear(program):
        if len(program.rows) <= 1 and all(np.all(row.weights == 1.0) for row in program.rows):
            return _filled(program)
        rough, _ = solve_pieces(program, _first_knots(program, ROUGH), ordered)
        priced = _by_prices(program, np.array(list(rough.prices.values())))
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


def _linear(program: Program) -> bool:
    """Whether prices alone can solve it: concave curves of their own variables, linear rows, no integers, no extras."""
    plain = program.mix is None and not program.whole and not program.reward.size
    rows = all(row.table is None and row.extra is None for row in program.rows)
    return bool(plain and rows and is_concave(program.knots, program.value).all())


def _in_order(program: Program, knots: Array, ordered: Flags) -> Solution:
    """The best over pieces filled in order; `ordered` is told of the curves that need binaries for it."""
    while True:
        found, wrong = solve_pieces(program, knots, ordered)
        if not (wrong & ~ordered).any():
            return found
        ordered |= wrong


def _first_knots(program: Program, pieces: int = PIECES) -> Array:
    """Knots denser at low spend (curve, knot); of a channel in lots, its multiples."""
    low, high = program.span()
    if (low > high * (1 + 1e-12) + 1e-12).any():
        raise InfeasibleError
    high = np.maximum(low, high)
    pieces = pieces if is_concave(program.knots, program.value).all() else 4 * pieces
    root = np.sqrt(np.maximum(low, 0.0)), np.sqrt(np.maximum(high, 0.0))
    knots = np.linspace(*root, pieces + 1, axis=1) ** 2
    knots[:, 0], knots[:, -1] = low, high
    lots = _or_zero(None if program.mix is not None else program.lots, len(low))
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
    piece, lanes, last = piece_at(knots, at), np.arange(len(knots)), knots.shape[1] - 1
    return knots[lanes, np.maximum(piece - before, 0)], knots[lanes, np.minimum(piece + after, last)]


def _width(knots: Array, at: Array) -> float:
    below, above = _around(knots, at, 1, 0)
    return float(((above - below) / np.maximum(knots[:, -1] - knots[:, 0], 1e-300)).max(initial=0.0))


def _finer(knots: Array, at: Array, far: Array) -> Array:
    """Finer knots around a point, those of `far` elsewhere."""
    near = np.linspace(*_around(knots, at, 2, 1), 3 * FINER + 1, axis=1)
    clipped = np.clip(np.concatenate([near, at[:, None]], axis=1), knots[:, :1], knots[:, -1:])
    return np.sort(np.concatenate([knots[:, [0, -1]], far, clipped], axis=1), axis=1)


# ---------------------------------------------------------------------------------- equal marginal returns, and prices


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
        return np.clip(np.interp(self._wanted(price), self.table, self.money), self.low, self.high)

    def _wanted(self, price: Array) -> Array:
        return np.clip(self.lane - price * self.scale, *self.ends)

    def slope(self, price: Array, x: Array) -> Array:
        """How much less is taken for a price higher by one; zero at a bound."""
        wanted = self._wanted(price)
        right = np.clip(np.searchsorted(self.table, wanted, side="right"), 1, len(self.table) - 1)
        rise, step = (values[right] - values[right - 1] for values in (self.money, self.table))
        wide = rise / np.maximum(step, 1e-300)
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


def _filled(program: Program) -> Solution:
    marginal = falling_slopes(program.knots, program.value)
    total = program.rows[0].most if program.rows else np.inf
    if program.low.sum() > total + 1e-9 * abs(total) or (program.low > program.high).any():
        raise InfeasibleError
    x, price = fill(program.knots, marginal, program.low, program.high, total, program.cost)
    value, prices = program.objective(x), dict.fromkeys(program.rows, price)
    return Solution(x, value, prices, bound(program, np.array(list(prices.values()))) - value)


def _by_prices(program: Program, start: Array) -> Solution | None:
    """The best split from the prices of its rows, from rough ones; None where Newton steps do not find them.

    At prices lambda curve j takes the spend where its marginal return is cost_j + sum_r lambda_r weights_rj. The slope
    of D(lambda) is what the limits leave, most - weights x, its curvature the sum of weights weights' / |f''| over the
    curves between their bounds; steps are projected, and shortened where they go beyond the lowest point.
    """
    weights = np.array([row.weights for row in program.rows]).reshape(len(program.rows), len(program.low))
    most = np.array([row.most for row in program.rows])
    _, high = program.span()
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
        for _ in range(MOST_HALVES):  # D is convex: no step beyond its lowest point
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
    if gap > CLOSE_PRICES * abs(value):
        return None
    return Solution(x, value, program.priced(prices), gap)


# ------------------------------------------------------------------------------------------------------------- pieces


def steepest_first(slope: Array, width: Array, room: float) -> Array:
    """Spend on each piece (row, piece) of many programs at once, where pieces are all there is.

    slope (row, piece), falling along every curve, width (piece,): the steepest first, none that returns less than one,
    at most `room` in all.
    """
    order = np.argsort(-slope, axis=1, kind="stable")
    wide = width[order]
    taken = np.clip(room - (np.cumsum(wide, axis=1) - wide), 0.0, wide)
    result = np.empty_like(slope)
    np.put_along_axis(result, order, taken, axis=1)
    return np.where(slope >= 1.0, result, 0.0)


def best_of_pieces(slope: Array, width: Array, low: Array, high: Array, rows: tuple[Row, ...]) -> Array:
    """The best split (curve,) of one such program (piece,) within rows too, on every COARSER-th knot."""
    wide = width.reshape(len(low), -1)
    knots = low[:, None] + _from_zero(wide)
    value = _from_zero(slope.reshape(wide.shape) * wide)
    asked = Program(knots, value, low, np.minimum(high, knots[:, -1]), np.ones(len(low)), rows)
    return solve_pieces(asked, knots[:, ::COARSER], np.zeros(len(low), dtype=bool))[0].x


def _from_zero(steps: Array) -> Array:
    return np.concatenate([np.zeros((len(steps), 1)), np.cumsum(steps, axis=1)], axis=1)


def solve_pieces(program: Program, knots: Array, ordered: Flags) -> tuple[Solution, Flags]:
    """The best over the pieces between knots, and which curves were not filled in order.

    Raises InfeasibleError where no split keeps all limits.
    """
    made = _Pieces(program, knots)
    integers = _Integers(made, ordered)
    found = made.run(integers)
    if found.x is None:
        raise InfeasibleError(str(found.message))
    return made.read(found, whole=bool(integers.costs))


def spent_on_pieces(program: Program, knots: Array) -> Array | None:
    """The split of `solve_pieces`, filled in any order, without what is certain of it; None where there is none."""
    made = _Pieces(program, knots)
    found = made.run(_Integers(made, np.zeros(len(knots), dtype=bool)))
    return None if found.x is None else made.split(found)[0]


@dataclass
class _Pieces:
    """Columns: pieces; then x where curves mix; then the extra variables; then integers."""

    program: Program
    knots: Array

    def __post_init__(self) -> None:
        program, knots = self.program, self.knots
        self.owner = np.repeat(np.arange(len(knots)), knots.shape[1] - 1)
        self.width = np.diff(knots, axis=1).ravel()
        self.start = knots[:, 0]
        self.mixed = program.mix is not None
        self.count = len(self.width)
        self.columns = self.count + len(program.low) * self.mixed + len(program.reward)
        self.slope = self.slopes(program.value)
        self.tables = [None if row.table is None else self.slopes(row.table) for row in program.rows]

    def slopes(self, table: Array) -> Array:
        """Slope of every piece of the curves of a table."""
        rise = np.diff(evaluate(self.program.knots, table, self.knots), axis=1).ravel()
        return np.asarray(rise / np.maximum(self.width, 1e-300))

    def run(self, integers: _Integers) -> OptimizeResult:
        """Let HiGHS solve it."""
        from scipy.optimize import linprog  # loaded where something is solved
        from scipy.sparse import csr_array, hstack, vstack

        program, mixed, extras = self.program, self.mixed, len(self.program.reward)
        more = len(integers.costs)
        cost = -self.slope if mixed else program.cost[self.owner] - self.slope
        low = [np.zeros(self.count), *([program.low] if mixed else []), np.zeros(extras + more)]
        high = [self.width, *([program.high] if mixed else []), program.ceiling, np.array(integers.most)]
        matrix, most = self._rows()
        rows = csr_array(matrix) if len(most) else csr_array((0, self.columns))
        equal = self._links()
        if more:
            rows = vstack([hstack([rows, csr_array((len(most), more))]), integers.rows()]).tocsr()
            equal = None if equal is None else hstack([equal, csr_array((equal.shape[0], more))]).tocsr()
        return linprog(
            np.concatenate(
                [cost, *([program.cost] if mixed else []), -program.reward, np.array(integers.costs)]
            ),
            A_ub=rows,
            b_ub=np.concatenate([most, np.array(integers.limits)]),
            A_eq=equal,
            b_eq=None if equal is None else program.offset - self.start,
            bounds=np.column_stack([np.concatenate(low), np.concatenate(high)]),
            integrality=np.repeat([0, 1], [self.columns, more]) if more else None,
            method="highs",
            options={"mip_rel_gap": INTEGER_GAP} if more else {},
        )

    def _rows(self) -> tuple[Array, Array]:
        program = self.program
        matrix, most = np.zeros((len(program.rows), self.columns)), np.zeros(len(program.rows))
        for r, (row, table) in enumerate(zip(program.rows, self.tables, strict=True)):
            most[r] = row.most
            if self.mixed:
                matrix[r, self.count : self.count + len(row.weights)] = row.weights
            else:
                matrix[r, : self.count] = row.weights[self.owner]
                most[r] -= row.weights @ self.start
            if table is not None and row.table is not None:
                matrix[r, : self.count] += table
                most[r] -= evaluate(program.knots, row.table, self.start).sum()
            if row.extra is not None:
                matrix[r, self.columns - len(row.extra) :] = row.extra
        return matrix, most

    def _links(self) -> csr_array | None:
        """The pieces of a curve add up to its argument."""
        if self.program.mix is None:
            return None
        from scipy.sparse import coo_array, csr_array, hstack

        n, extras = len(self.knots), len(self.program.reward)
        gather = coo_array((np.ones(self.count), (self.owner, np.arange(self.count))), shape=(n, self.count))
        return hstack([gather, -self.program.mix, csr_array((n, extras))]).tocsr()

    def split(self, found: OptimizeResult) -> tuple[Array, Array, Array]:
        """The split, the arguments of the curves, and what is taken of each piece."""
        program = self.program
        taken = np.asarray(found.x[: self.count])
        y = self.start + np.bincount(self.owner, taken, minlength=len(self.knots))
        x = np.asarray(found.x[self.count : self.count + len(program.low)]) if self.mixed else y
        return np.clip(x, program.low, program.high), y, taken

    def read(self, found: OptimizeResult, *, whole: bool) -> tuple[Solution, Flags]:
        """The split and its prices; and which curves were not filled in order."""
        program, n = self.program, len(self.knots)
        x, y, taken = self.split(found)
        extra = np.asarray(found.x[self.columns - len(program.reward) : self.columns])
        value = program.objective(x, extra)
        if whole:
            left = float(found.mip_gap or 0.0) * abs(float(found.fun))
            return Solution(x, value, {}, left, extra, whole=True), np.zeros(n, dtype=bool)
        prices = np.maximum(-np.asarray(found.ineqlin.marginals), 0.0)
        links = -np.asarray(found.eqlin.marginals) if self.mixed else None
        gap = max(bound(program, prices, links) - value, 0.0)
        return Solution(x, value, program.priced(prices), gap, extra), self._out_of_order(taken, y)

    def _out_of_order(self, taken: Array, y: Array) -> Flags:
        """Curves of which the pieces claim another value than the curve has there."""
        wrong = np.zeros(len(self.knots), dtype=bool)
        rows = [(t, row.table) for t, row in zip(self.tables, self.program.rows, strict=True)]
        for slope, table in [(self.slope, self.program.value), *rows]:
            if slope is None or table is None:
                continue
            claimed = np.bincount(self.owner, taken * slope, minlength=len(self.knots))
            shown = evaluate(self.program.knots, table, self.knots)
            true = evaluate(self.knots - self.start[:, None], shown, y - self.start) - shown[:, 0]
            wrong |= np.abs(claimed - true) > IN_ORDER * float(np.abs(table).max())
        return wrong


class _Integers:
    """Integer columns behind the others (cost, most of each), and the rows that tie them to the pieces."""

    def __init__(self, made: _Pieces, ordered: Flags) -> None:
        self.columns = made.columns
        self.entries: list[tuple[int, int, float]] = []
        self.limits: list[float] = []
        self.costs: list[float] = []
        self.most: list[float] = []
        program = made.program
        for j, knots in enumerate(made.knots):
            if not (program.whole or ordered.any()):
                break
            own = [int(i) for i in np.flatnonzero(made.owner == j)]
            if ordered[j]:
                self._in_order(own, made.width)
            if program.lots is not None and program.lots[j] > 0:
                self._in_lots(own, float(knots[0]), float(knots[-1]), float(program.lots[j]))
            if program.fees is not None and program.fees[j] > 0 and knots[-1] > 0:
                used = self._variable(float(program.fees[j]), 1.0)
                self._row([*((i, 1.0) for i in own), (used, -float(knots[-1]))], -float(knots[0]))

    def rows(self) -> csr_array:
        """The rows over all columns."""
        from scipy.sparse import csr_array

        shape = (len(self.limits), self.columns + len(self.costs))
        rows, columns, weights = (np.array(part) for part in zip(*self.entries, strict=True))
        return csr_array((weights, (rows, columns)), shape=shape)

    def _variable(self, cost: float, most: float) -> int:
        self.costs.append(cost)
        self.most.append(most)
        return self.columns + len(self.costs) - 1

    def _row(self, terms: list[tuple[int, float]], most: float) -> None:
        self.entries += [(len(self.limits), column, weight) for column, weight in terms]
        self.limits.append(most)

    def _in_order(self, own: list[int], width: Array) -> None:
        for before, after in itertools.pairwise(own):
            full = self._variable(0.0, 1.0)
            self._row([(before, -1.0), (full, float(width[before]))], 0.0)
            self._row([(after, 1.0), (full, -float(width[after]))], 0.0)

    def _in_lots(self, own: list[int], low: float, high: float, lot: float) -> None:
        count = self._variable(0.0, float(np.floor(high / lot + 1e-9)))
        self._row([*((i, 1.0) for i in own), (count, -lot)], -low)
        self._row([*((i, -1.0) for i in own), (count, lot)], low)
