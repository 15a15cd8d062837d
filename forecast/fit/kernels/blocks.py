"""A linear Gaussian model of two levels solved block by block, and the cells of a transition as its observations.

The model is that of `fit.gaussian`, in loops: one setting of the scales at a time, with a score and a curvature in
place of an observation, so that a likelihood of any shape may stand behind a row. Every inner loop adds a multiple of
one contiguous row to another, which the compiler puts side by side without reordering a sum: the same bytes on any
number of cores.
"""

from __future__ import annotations

import math

import numpy as np

from forecast.equations import SOFT
from forecast.fit.kernels.special import PAIRS, Array, beta_binomials, jit

STEP = 1e-3  # of a logit: half the distance at which a curvature is taken as the difference of two scores
LEAST_CURVATURE = (
    0.05  # of what the cell is expected to tell: keeps the Gaussian one where a cell lies far out
)


@jit
def transition_rows(  # noqa: C901, PLR0912, PLR0915 - one pass over the cells
    eta: Array,
    unit: Array,
    n: Array,
    y: Array,
    weight: Array,
    noise: float,
    f: Array,
    before: float,
    early: Array,
    delayed: float,
    lived: Array,
    calendar: bool,
    rows: Array,
    curvature: Array,
    score: Array,
) -> None:
    """Fills what each cell says of the unit coordinates of its channel, around the logit rates `eta` (channel, period).

    A cell counts y of n units whose share p mixes the rates of several periods; row t is d logit p_t / d coordinates,
    score and curvature those of the exact log likelihood in logit p_t. unit (period, column): the coordinates' effects
    on the logit rate. lived (period,): share of the delay that a cohort has lived through. rows (channel, period,
    column), curvature and score (channel, period) are filled.
    """
    periods, channels = n.shape
    ages, columns = f.shape[0], unit.shape[1]
    tail = np.zeros(periods)
    for t in range(periods):
        for a in range(t + 1, ages):
            tail[t] += f[a]
    p, trials, shifted, expected = np.empty(periods), np.empty(periods), np.empty(periods), np.empty(periods)
    successes, cells, pi = np.empty(periods), np.empty(periods), np.empty(periods)
    wanted = np.empty(periods)
    d_n, low, high = np.empty(periods), np.empty(periods), np.empty(periods)
    room = PAIRS * periods
    arguments, values, slopes = np.empty(room), np.empty(room), np.empty(room)
    for c in range(channels):
        rows[c] = 0.0
        for t in range(periods):
            pi[t] = 1.0 / (1.0 + math.exp(-eta[c, t]))
            wanted[t], cells[t] = y[t, c], weight[t, c]
        if calendar:
            for t in range(periods):
                expected[t] = before * early[c] * tail[t] + 1e-9
                successes[t] = before * early[c] * tail[t] * pi[0]
                for a in range(min(ages, t + 1)):
                    expected[t] += f[a] * n[t - a, c]
                    successes[t] += f[a] * n[t - a, c] * pi[t - a]
                p[t] = min(max(successes[t] / expected[t], 1e-9), 1.0 - 1e-9)
                trials[t] = n[t, c]
                if delayed > 0.0:
                    u = (expected[t] - y[t, c]) / SOFT
                    trials[t] = y[t, c] + SOFT * (max(u, 0.0) + math.log1p(math.exp(-abs(u))))
        else:
            for t in range(periods):
                p[t] = min(max(pi[t] * min(lived[t], 1.0), 1e-9), 1.0 - 1e-9)
                trials[t] = n[t, c]
        for t in range(periods):
            if cells[t] == 0.0:
                trials[t] = max(trials[t], wanted[t])
        for side in range(2):
            factor = math.exp(STEP if side else -STEP)
            for t in range(periods):
                odds = p[t] / (1.0 - p[t]) * factor
                shifted[t] = odds / (1.0 + odds)
            slope = high if side else low
            beta_binomials(wanted, trials, shifted, cells, noise, arguments, values, slopes, d_n, slope)
            for t in range(periods):
                slope[t] *= shifted[t] * (1.0 - shifted[t])
        for t in range(periods):
            if cells[t] == 0.0:
                curvature[c, t] = score[c, t] = 0.0
                continue
            inner = p[t] * (1.0 - p[t])
            alike = noise * noise * inner
            alike = alike / (1.0 + alike)  # correlation of two units of one cell
            told = cells[t] * trials[t] * inner / (1.0 + max(trials[t] - 1.0, 0.0) * alike)
            score[c, t] = 0.5 * (low[t] + high[t])
            curvature[c, t] = max((low[t] - high[t]) / (2.0 * STEP), LEAST_CURVATURE * told)
            row = rows[c, t]
            if calendar:
                for a in range(min(ages, t + 1)):
                    s = t - a
                    moving = f[a] * n[s, c] * pi[s] * (1.0 - pi[s]) / (expected[t] * inner)
                    if moving != 0.0:
                        for k in range(columns):
                            row[k] += moving * unit[s, k]
                moving = before * early[c] * tail[t] * pi[0] * (1.0 - pi[0]) / (expected[t] * inner)
                for k in range(columns):
                    row[k] += moving * unit[0, k]
            else:
                moving = (1.0 - pi[t]) / (1.0 - p[t])
                for k in range(columns):
                    row[k] = moving * unit[t, k]


@jit
def _eliminated(m: Array) -> bool:
    """Turns m = (s | x) into (u | u'^-1 x), s = u'u with u upper triangular; false where s is not positive definite.

    Below the diagonal u is filled with zeros.
    """
    size, columns = m.shape
    row = np.empty(columns)
    for k in range(size):
        if not m[k, k] > 0.0:
            return False
        over = 1.0 / math.sqrt(m[k, k])
        for j in range(columns):
            row[j] = m[k, j] * over
        for j in range(k):
            row[j] = 0.0
        m[k] = row
        for i in range(k + 1, size):
            times = row[i]
            for j in range(columns):
                m[i, j] -= times * row[j]
    return True


@jit
def _backward(u: Array, x: Array) -> None:
    """Solves u x = x in place, u upper triangular in the first columns."""
    size = u.shape[0]
    for i in range(size - 1, -1, -1):
        total = x[i]
        for j in range(i + 1, size):
            total -= u[i, j] * x[j]
        x[i] = total / u[i, i]


@jit
def solve_blocks(  # noqa: C901, PLR0912 - one pass over the channels
    rows: Array,
    curvature: Array,
    score: Array,
    around: Array,
    bend: Array,
    pull: Array,
    common: Array,
    own: Array,
    common_sd: Array,
    own_sd: Array,
    blocks: Array,
    top: Array,
    a: Array,
    b: Array,
) -> float:
    """Solves the model at one setting of its scales; returns log |root of the precision|, nan where it has none.

    Args:
        rows: what each row says of the unit coordinates of its channel, (channel, row, column).
        curvature, score: of the rows' log likelihoods at `around`, (channel, row).
        around: unit coordinates at which they were taken, (channel, column).
        bend, pull: further curvature and slope, at zero, in the last columns of each channel, (channel, m, m) and
            (channel, m).
        common, own: columns of the common effects (P,) and of a channel's own (Q,).
        common_sd, own_sd: what an effect of N(0, 1) moves its column by, (P,), (Q,).
        blocks: filled for `draw_blocks`, (channel, Q, Q + P + 1): the root u of the precision of b given a, what a
            pulls on u b by, and the mean of u b at a = 0.
        top: filled likewise, (P, P + 1): the root of the precision of a, and the mean of root a.
        a, b: filled with the means, (P,), (channel, Q).
    """
    channels, many, columns = rows.shape
    wide, deep, bends = common.shape[0], own.shape[0], bend.shape[1]
    m, line = np.empty((columns, columns)), np.empty(columns)
    top[:] = 0.0
    for p in range(wide):
        top[p, p] = 1.0
    log_root = 0.0
    for c in range(channels):
        m[:] = 0.0
        line[:] = 0.0
        for r in range(many):
            h, at = curvature[c, r], 0.0
            if h == 0.0 and score[c, r] == 0.0:
                continue
            for i in range(columns):
                at += rows[c, r, i] * around[c, i]
            times = score[c, r] + h * at
            for i in range(columns):
                line[i] += times * rows[c, r, i]
            for i in range(columns):
                times = h * rows[c, r, i]
                for j in range(columns):
                    m[i, j] += times * rows[c, r, j]
        first = columns - bends
        for i in range(bends):
            line[first + i] += pull[c, i]
            for j in range(bends):
                m[first + i, first + j] += bend[c, i, j]
        block = blocks[c]
        for i in range(deep):
            side, sd = m[own[i]], own_sd[i]
            for j in range(deep):
                block[i, j] = sd * side[own[j]] * own_sd[j]
            block[i, i] += 1.0
            for j in range(wide):
                block[i, deep + j] = sd * side[common[j]] * common_sd[j]
            block[i, deep + wide] = sd * line[own[i]]
        for i in range(wide):
            side, sd = m[common[i]], common_sd[i]
            for j in range(wide):
                top[i, j] += sd * side[common[j]] * common_sd[j]
            top[i, wide] += sd * line[common[i]]
        if not _eliminated(block):
            return math.nan
        for k in range(deep):
            log_root += math.log(block[k, k])
            right = block[k, deep:]
            for i in range(wide):
                times = right[i]
                for j in range(wide + 1):
                    top[i, j] -= times * right[j]
    if not _eliminated(top):
        return math.nan
    for k in range(wide):
        log_root += math.log(top[k, k])
        a[k] = top[k, wide]
    _backward(top, a)
    b[:] = 0.0
    for c in range(channels):
        _own_of(blocks[c], a, b[c])
    return log_root


@jit
def _own_of(block: Array, a: Array, b: Array) -> None:
    """Solves u b = b + mean at a = 0 - pull of a, in place: `b` holds standard numbers, or zeros for the mean."""
    deep, wide = block.shape[0], a.shape[0]
    for i in range(deep):
        total = block[i, deep + wide]
        for j in range(wide):
            total -= block[i, deep + j] * a[j]
        b[i] += total
    _backward(block, b)


@jit
def draw_blocks(blocks: Array, top: Array, normal: Array, a: Array, b: Array) -> None:
    """Draws of a model that `solve_blocks` solved, from standard normal numbers (draw, P + channel x Q).

    Fills a (draw, P) and b (draw, channel, Q).
    """
    channels, deep, _ = blocks.shape
    wide = top.shape[0]
    for d in range(normal.shape[0]):
        for i in range(wide):
            a[d, i] = normal[d, i] + top[i, wide]
        _backward(top, a[d])
        for c in range(channels):
            for i in range(deep):
                b[d, c, i] = normal[d, wide + c * deep + i]
            _own_of(blocks[c], a[d], b[d, c])
