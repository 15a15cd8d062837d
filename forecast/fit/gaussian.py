"""A linear Gaussian model of two levels, solved block by block for many settings of its scales, and weights of draws.

Channel c has unit coordinates u_c = S a + W b_c, a common effects and b_c its own, all N(0, 1) before data are seen;
S and W put each effect on its column, times the effect's sd at this setting. Each row r of a channel tells of u_c by
the slope s and curvature h of its log likelihood in l_r' u_c, taken at one path; the last columns may have further
curvature and slope of their own. With M_c = sum h l l' and m_c = sum (s + h l'u) l over the rows, at the path u,

    Lambda_c = I + W' M_c W = L L',    b_c | a ~ N(L'^-1 (L^-1 W' m_c - X_c a), Lambda_c^-1),   X_c = L^-1 W' M_c S
    a ~ N(Q^-1 q, Q^-1),   Q = I + sum_c (S' M_c S - X_c' X_c),   q = sum_c (S' m_c - X_c' L^-1 W' m_c)

Arrays lead with the settings (G), then channels (C). Source: Rasmussen & Williams 2006, chapter 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf

Array = NDArray[np.float64]
Columns = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """What the data say of the unit coordinates around a path, of R rows in K columns.

    rows: l, (G or 1, C, R, K); curvature, score: h and s, (G, C, R); bend, pull: further curvature, and slope at zero,
    of the last m columns, (G, C, m, m) and (G, C, m).
    """

    rows: Array
    curvature: Array
    score: Array
    bend: Array
    pull: Array


@dataclass(frozen=True)
class Solved:
    """The Gaussian at each setting, its P common and Q own effects; nan in log_root where there is none.

    root: L', (G, C, Q, Q), and top: the same of Q, (G, P, P); load: X_c and, as last column, L^-1 W' m_c, (G, C, Q,
    P + 1); a (G, P) and b (G, C, Q): the means; log_root (G,): log of the root of the precision of all effects.
    """

    root: Array
    top: Array
    load: Array
    a: Array
    b: Array
    log_root: Array

    @property
    def size(self) -> int:
        """Numbers held."""
        return sum(getattr(self, field.name).size for field in fields(self))

    @classmethod
    def picked(cls, settings: Sequence[tuple[Solved, int]]) -> Solved:
        """Single settings of some solutions as one."""
        return cls(*(np.stack([getattr(s, f.name)[i] for s, i in settings]) for f in fields(cls)))

    def common(self, setting: int, white: Array) -> Array:
        """Draws of the common effects at one setting from standard numbers, both (draw, P)."""
        return np.asarray(self.a[setting] + _against(self.top[setting], white.copy()))

    def own(self, setting: int, channel: int, a: Array, white: Array) -> Array:
        """Draws of a channel's own effects given the common ones (draw, P), from standard numbers: (draw, Q).

        The last effects come first: each depends on its own standard number and on those after it alone.
        """
        load = self.load[setting, channel]
        return _against(self.root[setting, channel], white + load[:, -1] - a @ load[:, :-1].T)


def solve(seen: Rows, path: Array, sides: tuple[slice, slice], sds: tuple[Array, Array]) -> Solved:
    """Solve the model at every setting.

    Args:
        seen: see `Rows`.
        path: unit coordinates at which its slopes were taken, (C, K).
        sides: columns of the common effects and of a channel's own, P and Q of them.
        sds: what an effect moves its column by, (G, P) and (G, Q).
    """
    (common, own), (common_sd, own_sd) = sides, sds
    across = seen.rows.swapaxes(-1, -2)
    m = across @ (seen.curvature[..., None] * seen.rows)
    at = seen.score + seen.curvature * (seen.rows @ path[..., None])[..., 0]
    line = (across @ at[..., None])[..., 0]
    if bends := seen.pull.shape[-1]:
        m[..., -bends:, -bends:] += seen.bend
        line[..., -bends:] += seen.pull
    settings, channels, _ = line.shape
    wide, deep = common_sd.shape[1], own_sd.shape[1]
    side = own_sd[:, None, :, None]
    # Filled in place, so that each block lies in one piece.
    root = np.empty((settings, channels, deep, deep))
    np.multiply(m[..., own, own], side * own_sd[:, None, None], out=root)
    root[..., np.arange(deep), np.arange(deep)] += 1.0
    load = np.empty((settings, channels, deep, wide + 1))
    np.multiply(m[..., own, common], side * common_sd[:, None, None], out=load[..., :-1])
    load[..., -1] = line[..., own] * own_sd[:, None]
    fine = np.array(
        [[_halved(*both) for both in zip(*pair, strict=True)] for pair in zip(root, load, strict=True)]
    )
    stacked = load.reshape(settings, channels * deep, wide + 1)
    lost = stacked.swapaxes(-1, -2) @ stacked
    top = np.empty((settings, wide, wide))
    shared = m[..., common, common].sum(axis=1)
    np.multiply(shared, common_sd[:, :, None] * common_sd[:, None], out=top)
    top[..., np.arange(wide), np.arange(wide)] += 1.0
    top -= lost[:, :-1, :-1]
    right = np.empty((settings, wide, 1))
    right[..., 0] = line[..., common].sum(axis=1) * common_sd - lost[:, :-1, -1]
    solid = fine.all(axis=1) & np.array([_halved(*both) for both in zip(top, right, strict=True)])
    with np.errstate(invalid="ignore", divide="ignore"):  # where there is no Gaussian
        log_root = _log_diagonal(root).sum(axis=1) + _log_diagonal(top)
    a = np.concatenate([_against(u, x.T.copy()) for u, x in zip(top, right, strict=True)])
    b = np.empty((settings, channels, deep))
    white = load[..., -1] - (load[..., :-1] @ a[:, None, :, None])[..., 0]
    for g in range(settings):
        for c in range(channels):
            b[g, c] = _against(root[g, c], white[g, c][None])[0]
    return Solved(root, top, load, a, b, np.where(solid, log_root, np.nan))


def _halved(m: Array, right: Array) -> bool:
    """Turns m into L' and right into L^-1 right in place, m = L L'; whether m is positive definite."""
    # In Fortran's order m is its own transpose, and L there is L' here.
    _, info = dpotrf(m.T, lower=1, clean=1, overwrite_a=1)
    if info != 0:
        return False
    dtrsm(1.0, m.T, right.T, side=1, lower=1, trans_a=1, overwrite_b=1)
    return True


def _against(upper: Array, white: Array) -> Array:
    """L'^-1 white of rows (draw, size), L' upper triangular; `white` is spent."""
    return np.asarray(dtrsm(1.0, upper.T, white.T, side=0, lower=1, trans_a=1, overwrite_b=1).T)


def _log_diagonal(root: Array) -> Array:
    return np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)


def tempered(log_weights: Array, *, least: float) -> Array:
    """Normalised weights, none above sqrt(n) times the mean; flattened until `least` points count."""
    log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
    log_weights = log_weights - log_weights.max()
    for power in (*np.geomspace(1.0, 0.001, 25), 0.0):
        weights = np.exp(power * np.where(np.isfinite(log_weights), log_weights, -1e6))
        weights = np.minimum(weights, weights.mean() * math.sqrt(len(weights)))
        weights /= weights.sum()
        if 1.0 / (weights**2).sum() >= least:
            break
    return np.asarray(weights)


def points_drawn(weights: Array, draws: int) -> NDArray[np.int64]:
    """How many of `draws` each point gets: systematic rounding of the weights, summing to `draws`."""
    edges = np.floor(np.cumsum(weights) / weights.sum() * draws + 0.5).astype(np.int64)
    edges[-1] = draws
    return np.diff(edges, prepend=0)
