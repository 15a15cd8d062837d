"""What it would be worth to know more before the budget is divided, in currency over the horizon.

With P_s(x) = sum_c V_sc(x_c) - sum_c x_c the contribution of a split x under posterior draw s:

    EVPI = mean_s max_x P_s(x) - max_x mean_s P_s(x)                      everything known
    EVPPI(phi) = mean_s max_j g_j(phi_s) - max_j mean_s g_j(phi_s)        one parameter phi known

where g_j(phi) = E[P(x_j) - P(x_best) | phi] is a cubic spline through the draws, for candidate splits x_j: the best
one, those that are best for single draws, and those that are best for draws of like phi. No test of a channel is worth
more than its EVPPI. Source: Strong, Oakley & Brennan 2014, Medical Decision Making.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from forecast.limits import Limits
from forecast.response import Curves

Array = NDArray[np.float64]

CELLS = 128  # pieces of each channel's curve
MOST_DRAWS = 1000
OPTIMA, BINS = 60, 6  # candidate splits: best for single draws, best for draws of like phi


def expected_value_of_perfect_information(curves: Curves, limits: Limits) -> float:
    """What knowing every parameter before the split would add to the expected contribution; never negative."""
    slope, width = _pieces(curves, limits)
    room = limits.total - limits.low.sum()
    known = ((slope - 1.0) * _fill(slope, width, room)).sum(axis=1).mean()
    mean = slope.mean(axis=0, keepdims=True)
    return max(float(known - ((mean - 1.0) * _fill(mean, width, room)).sum()), 0.0)


def expected_value_of_knowing(curves: Curves, limits: Limits, parameter: Array) -> float:
    """What knowing one parameter (draw,) would add; between zero and the value of perfect information.

    Such as the elasticity of one channel. With 1,000 draws the estimate for a useless parameter is not quite zero.
    """
    slope, width = _pieces(curves, limits)
    room = limits.total - limits.low.sum()
    phi = _thinned(np.asarray(parameter, dtype=float))
    bins = np.array_split(np.argsort(phi), BINS)
    alike = np.stack([slope[rows].mean(axis=0) for rows in bins if rows.size])
    singles = slope[:: max(len(slope) // OPTIMA, 1)][:OPTIMA]
    best = _fill(slope.mean(axis=0, keepdims=True), width, room)
    splits = _fill(np.concatenate([singles, alike]), width, room) - best
    fitted = _spline(phi, (slope - 1.0) @ splits.T)
    estimate = np.maximum(fitted.max(axis=1), 0.0).mean() - max(float(fitted.mean(axis=0).max()), 0.0)
    return float(np.clip(estimate, 0.0, expected_value_of_perfect_information(curves, limits)))


def _thinned(values: Array) -> Array:
    return values[:: max(len(values) // MOST_DRAWS, 1)][:MOST_DRAWS]


def _pieces(curves: Curves, limits: Limits) -> tuple[Array, Array]:
    """Slopes (draw, piece) and widths (piece,) of every channel's curve between its limits, falling along a channel."""
    knots, value = np.linspace(0.0, 1.0, curves.spend.shape[1]), _thinned(curves.value)
    slopes, widths = [], []
    for c, most in enumerate(curves.spend[:, -1]):
        low, high = np.sqrt(np.minimum([limits.low[c], limits.high[c]], most) / most)
        root = np.linspace(low, high, CELLS + 1)
        width = np.diff(most * root**2)
        rise = np.diff(PchipInterpolator(knots, value[:, c], axis=1)(root), axis=1)
        slopes.append(np.minimum.accumulate(rise / np.maximum(width, 1e-12), axis=1))
        widths.append(width)
    return np.concatenate(slopes, axis=1), np.concatenate(widths)


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
