"""One linear program over the pieces of a program's curves; with binaries where order, lots or fees ask for them.

A piece of curve j is a column of its width, worth its slope. Where slopes fall the program fills the pieces in order by
itself. Curves that are to be filled in order whatever their slopes get a binary between neighbours: it is one once the
piece before is full, and nothing goes into the piece after until then.
Source: Markowitz & Manne 1957, Econometrica (incremental pieces).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, linprog
from scipy.sparse import coo_array, csr_array, hstack, vstack

from forecast.budget.program import InfeasibleError, Program, Solution, bound, evaluate, or_zero

Array = NDArray[np.float64]

IN_ORDER = 1e-5  # what pieces may claim too much, as a share of the largest value
INTEGER_GAP = 1e-9  # relative, of the best to what is proven


def solve_pieces(
    program: Program, knots: Array, ordered: NDArray[np.bool_]
) -> tuple[Solution, NDArray[np.bool_]]:
    """The best over the pieces between knots, and which curves were not filled in order.

    Raises InfeasibleError where no split keeps all limits.
    """
    made = _Pieces(program, knots)
    integers = _Integers(made, ordered)
    found = made.run(integers)
    if found.x is None:
        raise InfeasibleError(str(found.message))
    return made.read(found, whole=bool(integers.costs))


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
            b_eq=None if equal is None else or_zero(program.shift, len(self.knots)) - self.start,
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
        n, extras = len(self.knots), len(self.program.reward)
        gather = coo_array((np.ones(self.count), (self.owner, np.arange(self.count))), shape=(n, self.count))
        return hstack([gather, -self.program.mix, csr_array((n, extras))]).tocsr()

    def read(self, found: OptimizeResult, *, whole: bool) -> tuple[Solution, NDArray[np.bool_]]:
        """The split and its prices; and which curves were not filled in order."""
        program, n = self.program, len(self.knots)
        taken = np.asarray(found.x[: self.count])
        y = self.start + np.bincount(self.owner, taken, minlength=n)
        x = np.asarray(found.x[self.count : self.count + len(program.low)]) if self.mixed else y
        x = np.clip(x, program.low, program.high)
        extra = np.asarray(found.x[self.columns - len(program.reward) : self.columns])
        value = program.objective(x, extra)
        if whole:
            left = float(found.mip_gap or 0.0) * abs(float(found.fun))
            return Solution(x, value, {}, left, extra, whole=True), np.zeros(n, dtype=bool)
        prices = np.maximum(-np.asarray(found.ineqlin.marginals), 0.0)
        links = -np.asarray(found.eqlin.marginals) if self.mixed else None
        gap = max(bound(program, prices, links) - value, 0.0)
        named = {row.name: float(price) for row, price in zip(program.rows, prices, strict=True)}
        return Solution(x, value, named, gap, extra), self._out_of_order(taken, y)

    def _out_of_order(self, taken: Array, y: Array) -> NDArray[np.bool_]:
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

    def __init__(self, made: _Pieces, ordered: NDArray[np.bool_]) -> None:
        self.columns = made.columns
        self.entries: list[tuple[int, int, float]] = []
        self.bounds: list[float] = []
        self.variables: list[tuple[float, float]] = []
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

    @property
    def costs(self) -> list[float]:
        return [cost for cost, _ in self.variables]

    @property
    def most(self) -> list[float]:
        return [most for _, most in self.variables]

    @property
    def limits(self) -> list[float]:
        return self.bounds

    def rows(self) -> csr_array:
        shape = (len(self.bounds), self.columns + len(self.variables))
        rows, columns, weights = (np.array(part) for part in zip(*self.entries, strict=True))
        return csr_array((weights, (rows, columns)), shape=shape)

    def _variable(self, cost: float, most: float) -> int:
        self.variables.append((cost, most))
        return self.columns + len(self.variables) - 1

    def _row(self, terms: list[tuple[int, float]], most: float) -> None:
        self.entries += [(len(self.bounds), column, weight) for column, weight in terms]
        self.bounds.append(most)

    def _in_order(self, own: list[int], width: Array) -> None:
        for before, after in itertools.pairwise(own):
            full = self._variable(0.0, 1.0)
            self._row([(before, -1.0), (full, float(width[before]))], 0.0)
            self._row([(after, 1.0), (full, -float(width[after]))], 0.0)

    def _in_lots(self, own: list[int], low: float, high: float, lot: float) -> None:
        count = self._variable(0.0, float(np.floor(high / lot + 1e-9)))
        self._row([*((i, 1.0) for i in own), (count, -lot)], -low)
        self._row([*((i, -1.0) for i in own), (count, lot)], low)
