"""A split of money over tabulated curves within linear limits, as a program, and what its best cannot exceed.

    max  sum_j f_j(y_j) - cost . x      y = x, or y = mix x + shift where what is spent once acts for longer
    s.t. low <= x <= high,  weights_r . x + sum_j g_rj(y_j) + extra_r . e <= most_r,  0 <= e <= ceiling

At prices lambda of the rows the Lagrangian of the whole tables is never below the best:

    D(lambda) = sum_j max_y [f_j(y) - cost_j y - sum_r lambda_r (weights_rj y + g_rj(y))] + lambda . most

Where the total is the only limit and all curves are concave, equal marginal returns are the best (`fill`).
Source: Boyd & Vandenberghe 2004, sections 5.1-5.5. `budget.solver` solves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Array = NDArray[np.float64]


class InfeasibleError(ValueError):
    """No split keeps all limits."""


@dataclass(frozen=True)
class Row:
    """A limit: weights . x + sum_j table_j(y_j) + extra . e <= most; `table` (curve, point) at the curves' knots."""

    name: str
    weights: Array
    most: float
    table: Array | None = None
    extra: Array | None = None


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

    def arguments(self, x: Array) -> Array:
        """Arguments of the curves at a split."""
        return x if self.mix is None else np.asarray(self.mix @ x) + or_zero(self.shift, len(self.knots))

    def objective(self, x: Array, extra: Array | None = None) -> float:
        """The objective at a split, from the whole tables."""
        total = evaluate(self.knots, self.value, self.arguments(x)).sum() - self.cost @ x
        if self.fees is not None:
            total -= self.fees @ (x > 1e-9 * np.maximum(self.high, 1e-300))
        return float(total + (0.0 if extra is None else self.reward @ extra))


@dataclass(frozen=True)
class Solution:
    """A split (variable,), its objective, prices of the rows, and by how much the true best may be above it."""

    x: Array
    value: float
    prices: dict[str, float]
    gap: float
    extra: Array
    whole: bool = False


def evaluate(knots: Array, value: Array, y: Array) -> Array:
    """Each curve at its argument (curve,), or at several (curve, argument)."""
    most = np.maximum(knots[:, -1:], 1e-300)
    lane = 2.0 * np.arange(len(knots))[:, None]  # all curves in one table, each in a lane of its own
    at = np.clip((y if y.ndim == 2 else y[:, None]) / most, knots[:, :1] / most, 1.0)
    found = np.interp((at + lane).ravel(), (knots / most + lane).ravel(), value.ravel()).reshape(at.shape)
    return found if y.ndim == 2 else found[:, 0]


def or_zero(values: Array | None, size: int) -> Array:
    """The values, or as many zeros."""
    return np.zeros(size) if values is None else values


def span(program: Program) -> tuple[Array, Array]:
    """Least and most argument of each curve."""
    if program.mix is None:
        return program.low, np.minimum(program.high, np.maximum(program.knots[:, -1], program.low))
    shift, high = (
        or_zero(program.shift, len(program.knots)),
        np.where(np.isfinite(program.high), program.high, 0),
    )
    return np.asarray(program.mix @ program.low) + shift, np.asarray(program.mix @ high) + shift


def bound(program: Program, prices: Array, links: Array | None = None) -> float:
    """The Lagrangian's maximum at given prices of rows (and of the links from x to arguments): never below the best."""
    low, high = span(program)
    total = float(sum(price * row.most for price, row in zip(prices, program.rows, strict=True)))
    penalty = np.zeros_like(program.value)
    charge = program.cost.astype(float).copy()
    idle = program.reward.astype(float).copy()
    for price, row in zip(prices, program.rows, strict=True):
        if price > 0:
            charge = charge + price * row.weights
            penalty = penalty + (0.0 if row.table is None else price * row.table)
            idle = idle - price * or_zero(row.extra, len(idle))
    if program.mix is None:
        slope = charge
    else:
        slope = np.zeros(len(program.knots)) if links is None else links
        rest = np.asarray(program.mix.T @ slope) - charge
        high_x = np.where(np.isfinite(program.high), program.high, 0.0)
        total += float(np.maximum(rest * program.low, rest * high_x).sum())
        total += float(slope @ or_zero(program.shift, len(slope)))
    gain = program.value - penalty - slope[:, None] * program.knots
    ends = np.stack([low, high], axis=1)
    at_ends = evaluate(program.knots, program.value - penalty, ends) - slope[:, None] * ends
    inner = (program.knots > low[:, None]) & (program.knots < high[:, None])
    total += float(np.maximum(np.where(inner, gain, -np.inf).max(axis=1), at_ends.max(axis=1)).sum())
    useful = np.where(np.isfinite(program.ceiling), program.ceiling, 0.0) * np.maximum(idle, 0.0)
    return total + float(useful.sum())
