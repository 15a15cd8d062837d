"""What it would be worth to know more before the budget is divided, in currency over the horizon.

With P_s(x) = sum_c V_sc(x_c) - sum_c x_c the contribution of a split x under posterior draw s:

    EVPI = mean_s max_x P_s(x) - max_x mean_s P_s(x)                      everything known
    EVPPI(phi) = mean_s max_j g_j(phi_s) - max_j mean_s g_j(phi_s)        one parameter phi known

where g_j(phi) = E[P(x_j) - P(x_best) | phi] is a cubic spline through the draws, for candidate splits x_j: the best
one, those that are best for single draws, and those that are best for draws of like phi. No test of a channel is worth
more than its EVPPI. Source: Strong, Oakley & Brennan 2014, Medical Decision Making.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from forecast.budget.limits import Limits
from forecast.budget.pieces import solve_pieces
from forecast.budget.program import Program
from forecast.budget.response import Curves

Array = NDArray[np.float64]

CELLS, COARSER = 128, 4  # pieces of each channel's curve; where other limits need a program, one of so many
MOST_DRAWS = 1000
OPTIMA, BINS = 60, 6  # candidate splits: best for single draws, best for draws of like phi


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


def expected_value_of_perfect_information(curves: Curves, limits: Limits) -> float:
    """What knowing every parameter before the split would add to the expected contribution; never negative."""
    return ground(curves, limits).perfect.value


def expected_value_of_knowing(curves: Curves, limits: Limits, parameter: Array) -> float:
    """What knowing one parameter (draw,) would add; between zero and the value of perfect information.

    Such as the elasticity of one channel. With 1,000 draws the estimate for a useless parameter is not quite zero.
    """
    return worth_of_knowing(ground(curves, limits), parameter).value


def ground(curves: Curves, limits: Limits) -> Ground:
    """Cut the curves in pieces, divide the budget for single draws and for their mean, and compare."""
    slope, width, lowest = _pieces(curves, limits)
    split = _mean_best(slope, width, limits)
    if not limits.rules:
        rows = np.arange(len(slope))
        taken = _fill(slope, width, limits.total - limits.low.sum())
        added = taken.reshape(len(slope), len(limits.low), -1).sum(axis=2)
    else:
        rows = _singles(len(slope))
        added = np.array([_best_of(row, width, limits) for row in slope[rows]]) - limits.low
        taken = _filled(added + limits.low, width, limits)
    value = ((slope[rows] - 1.0) * taken).sum(axis=1) + lowest[rows]
    gain = value - (slope[rows] - 1.0) @ _filled(split[None], width, limits)[0] - lowest[rows]
    perfect = Worth(max(float(gain.mean()), 0.0), float(gain.std() / np.sqrt(len(gain))))
    return Ground(limits, slope, width, split, limits.low + added, value, perfect)


def worth_of_knowing(known: Ground, parameter: Array) -> Worth:
    """The worth of knowing one parameter (draw,), with its error."""
    slope, width, limits = known.slope, known.width, known.limits
    phi = _thinned(np.asarray(parameter, dtype=float))
    bins = np.array_split(np.argsort(phi), BINS)
    alike = np.stack([slope[rows].mean(axis=0) for rows in bins if rows.size])
    singles = known.best[:: max(len(known.best) // OPTIMA, 1)][:OPTIMA]
    groups = np.array([_mean_best(row[None], width, limits) for row in alike])
    splits = _filled(np.concatenate([singles, groups]), width, limits)
    splits = splits - _filled(known.split[None], width, limits)
    fitted = _spline(phi, (slope - 1.0) @ splits.T)
    gain = np.maximum(fitted.max(axis=1), 0.0) - max(float(fitted.mean(axis=0).max()), 0.0)
    worth = float(np.clip(gain.mean(), 0.0, known.perfect.value))
    return Worth(worth, float(gain.std() / np.sqrt(len(gain))))


def _mean_best(slope: Array, width: Array, limits: Limits) -> Array:
    """The best split (channel,) of the mean of some draws' pieces (row, piece)."""
    mean = slope.mean(axis=0)
    if limits.rules:
        return _best_of(mean, width, limits)
    taken = _fill(mean[None], width, limits.total - limits.low.sum())
    return np.asarray(limits.low + taken.reshape(len(limits.low), -1).sum(axis=1))


def _singles(draws: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, draws - 1, min(OPTIMA, draws)).round().astype(np.int64))


def _best_of(slope: Array, width: Array, limits: Limits) -> Array:
    """The best split (channel,) of one draw's pieces (piece,) within limits of all kinds."""
    n = len(limits.low)
    knots = limits.low[:, None] + np.concatenate(
        [np.zeros((n, 1)), np.cumsum(width.reshape(n, -1), axis=1)], axis=1
    )
    rise = (slope * width).reshape(n, -1)
    value = np.concatenate([np.zeros((n, 1)), np.cumsum(rise, axis=1)], axis=1)
    high = np.minimum(limits.high, knots[:, -1])
    asked = Program(knots, value, limits.low, high, np.ones(n), limits.rows())
    return solve_pieces(asked, knots[:, ::COARSER], np.zeros(n, dtype=bool))[0].x


def _filled(splits: Array, width: Array, limits: Limits) -> Array:
    """Spend on each piece of splits (row, channel), in order: (row, piece)."""
    wide = width.reshape(len(limits.low), -1)
    before = np.cumsum(wide, axis=1) - wide
    return np.clip((splits - limits.low)[:, :, None] - before, 0.0, wide).reshape(len(splits), -1)


def _thinned(values: Array) -> Array:
    return values[:: max(len(values) // MOST_DRAWS, 1)][:MOST_DRAWS]


def _pieces(curves: Curves, limits: Limits) -> tuple[Array, Array, Array]:
    """Slopes (draw, piece), falling along a channel, and widths (piece,) of every channel's curve between its limits.

    Last, contribution of every draw at the least spend, (draw,).
    """
    knots, value = np.linspace(0.0, 1.0, curves.spend.shape[1]), _thinned(curves.value)
    slopes, widths, lowest = [], [], np.full(len(value), -limits.low.sum())
    for c, most in enumerate(curves.spend[:, -1]):
        low, high = np.sqrt(np.minimum([limits.low[c], limits.high[c]], most) / most)
        root = np.linspace(low, high, CELLS + 1)
        width = np.diff(most * root**2)
        at = PchipInterpolator(knots, value[:, c], axis=1)(root)
        slopes.append(np.minimum.accumulate(np.diff(at, axis=1) / np.maximum(width, 1e-12), axis=1))
        widths.append(width)
        lowest = lowest + at[:, 0]
    return np.concatenate(slopes, axis=1), np.concatenate(widths), lowest


def _fill(slope: Array, width: Array, room: float) -> Array:
    """Spend on each piece (row, piece): the steepest first, none below a return of one, at most `room` in all."""
    order = np.argsort(-slope, axis=1, kind="stable")
    wide = width[order]
    taken = np.clip(room - (np.cumsum(wide, axis=1) - wide), 0.0, wide)
    result = np.empty_like(slope)
    np.put_along_axis(result, order, taken, axis=1)
    return np.where(slope >= 1.0, result, 0.0)


def _spline(x: Array, y: Array) -> Array:
    """Values of the cubic regression spline of y (row, column) on x, knots at the quartiles."""
    z = (x - x.mean()) / max(float(x.std()), 1e-300)
    knots = np.quantile(z, [0.25, 0.5, 0.75])
    basis = np.column_stack([z**k for k in range(4)] + [np.maximum(z - knot, 0.0) ** 3 for knot in knots])
    return np.asarray(basis @ np.linalg.lstsq(basis, y, rcond=None)[0])
