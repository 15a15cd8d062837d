"""Gamma functions for the kernels, many at once and in plain arithmetic, so that the compiler puts them side by side.

A library's logarithm is a call for each number, and half of a gradient was spent there. The same bits come out whatever
the width of the processor: each number is worked out by itself, and nothing is reordered (no fastmath).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

from forecast.equations import SOFT
from forecast.fit import scales

Array = NDArray[np.float64]

SOURCES = ("special", "transition", "traffic", "native")
CONSTANTS = (SOFT, *(value for name, value in sorted(vars(scales).items()) if name.isupper()))


@contextmanager
def cached_by_sources() -> Iterator[None]:
    """Keeps what is compiled inside by the content of all kernel files and by the constants that they take.

    numba's cache looks at the file of a function alone, and would go on running what it calls from another file as it
    was before that file changed.
    """
    here = Path(__file__).parent
    content = hashlib.sha256(b"".join((here / f"{name}.py").read_bytes() for name in SOURCES))
    content.update(repr(CONSTANTS).encode())
    config: Any = numba.config  # its names are set at run time
    before = config.CACHE_DIR
    config.CACHE_DIR = str(Path(before or here / "__pycache__") / f"kernels-{content.hexdigest()[:12]}")
    try:
        yield
    finally:
        config.CACHE_DIR = before


def jit(function: Callable[..., Any]) -> Any:
    """Compiles a function without Python's lock and without reordering arithmetic, and keeps it on disk."""
    with cached_by_sources():
        return njit(cache=True, nogil=True, error_model="numpy", fastmath=False)(function)


LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROOT_HALF = 0x3FE6A09E667F3BCD  # the bits of sqrt(1/2)
ROUND = 6755399441055744.0  # 1.5 x 2^52: added and taken away again, it leaves the nearest whole number
PAIRS = 8  # gamma functions of a beta-binomial cell


@jit
def log_gamma_and_digamma(x: float) -> Any:
    """log Gamma(x) and its derivative for x > 0, by recurrence up to 7 and Stirling's series (abs. error < 1e-11)."""
    shift, product = 0.0, 1.0
    while x < 7.0:
        shift += 1.0 / x
        product *= x
        x += 1.0
    r = 1.0 / x
    r2 = r * r
    log_x = math.log(x)
    tail = r * (
        1 / 12 - r2 * (1 / 360 - r2 * (1 / 1260 - r2 * (1 / 1680 - r2 * (1 / 1188 - r2 * 691 / 360360))))
    )
    value = (x - 0.5) * log_x - x + 0.9189385332046727 + tail
    if product != 1.0:
        value -= math.log(product)
    series = r2 * (
        1 / 12 - r2 * (1 / 120 - r2 * (1 / 252 - r2 * (1 / 240 - r2 * (1 / 132 - r2 * 691 / 32760))))
    )
    return value, log_x - 0.5 * r - series - shift


@jit
def _log(x: float) -> float:
    """log x of a normal positive number: x = 2^k m with m in [sqrt(1/2), sqrt(2)), log m = 2 artanh((m-1)/(m+1))."""
    bits = np.float64(x).view(np.int64)
    k = (bits - ROOT_HALF) >> 52
    m = np.int64(bits - (k << 52)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    series = 1 / 9 + q * (1 / 11 + q * (1 / 13 + q * (1 / 15 + q * (1 / 17))))
    log_m = 2.0 * s * (1.0 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * series))))
    whole = np.float64(k)
    return whole * LN2_HIGH + (log_m + whole * LN2_LOW)


@jit
def exps(x: Array, out: Array) -> None:
    """Fills e^x of every x, held to [-700, 700]: x = k log 2 + r with |r| <= log(2) / 2, e^r by its series."""
    for i in range(x.shape[0]):
        z = min(max(x[i], -700.0), 700.0) + 0.0 * x[i]  # what is not a number stays so
        k = (z * 1.4426950408889634 + ROUND) - ROUND
        r = (z - k * LN2_HIGH) - k * LN2_LOW
        high = 1 / 5040 + r * (
            1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800 + r / 479001600)))
        )
        series = 1.0 + r * (
            1.0 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * high)))))
        )
        out[i] = series * np.int64((np.int64(k) + 1023) << 52).view(np.float64)


@jit
def logs(x: Array, out: Array) -> None:
    """Fills the logarithm of every x > 0."""
    for i in range(x.shape[0]):
        out[i] = _log(x[i])


@jit
def log_gammas(x: Array, value: Array, slope: Array) -> None:
    """Fills log Gamma and its derivative at every x > 0; below 8 by recurrence through x (x + 1) .. (x + 7)."""
    for i in range(x.shape[0]):
        z = x[i]
        below = z < 8.0
        u = z * (z + 7.0)
        outer, inner = u * (u + 6.0), (u + 10.0) * (u + 12.0)
        product = outer * inner if below else 1.0
        steep = (2.0 * z + 7.0) * ((2.0 * u + 6.0) * inner + outer * (2.0 * u + 22.0)) if below else 0.0
        z = z + 8.0 if below else z
        r = 1.0 / z
        r2 = r * r
        log_z = _log(z)
        tail = r * (
            1 / 12 - r2 * (1 / 360 - r2 * (1 / 1260 - r2 * (1 / 1680 - r2 * (1 / 1188 - r2 * 691 / 360360))))
        )
        series = r2 * (
            1 / 12 - r2 * (1 / 120 - r2 * (1 / 252 - r2 * (1 / 240 - r2 * (1 / 132 - r2 * 691 / 32760))))
        )
        value[i] = (z - 0.5) * log_z - z + 0.9189385332046727 + tail - _log(product)
        slope[i] = log_z - 0.5 * r - series - steep / product


@jit
def beta_binomials(  # noqa: PLR0915 - one pass
    y: Array,
    n: Array,
    p: Array,
    weight: Array,
    noise: float,
    arguments: Array,
    values: Array,
    slopes: Array,
    d_n: Array,
    d_p: Array,
) -> Any:
    """log BetaBinomial of `model._log_beta_binomial`, weighted, summed over cells; its derivative in the noise.

    Fills the derivatives in n and p of each cell. `arguments`, `values`, `slopes`: room for `PAIRS` numbers a cell.
    """
    cells = y.shape[0]
    for t in range(cells):
        kappa = 1.0 / (noise * noise * p[t] * (1.0 - p[t]) + 1e-6)
        a, b = p[t] * kappa, (1.0 - p[t]) * kappa
        arguments[t] = n[t] + 1.0
        arguments[cells + t] = n[t] - y[t] + 1.0
        arguments[2 * cells + t] = b + n[t] - y[t]
        arguments[3 * cells + t] = b
        arguments[4 * cells + t] = kappa
        arguments[5 * cells + t] = kappa + n[t]
        arguments[6 * cells + t] = a + y[t]
        arguments[7 * cells + t] = a
    log_gammas(arguments, values, slopes)
    lp, g_noise = 0.0, 0.0
    for t in range(cells):
        d_n[t] = d_p[t] = 0.0
        if weight[t] == 0.0:
            continue
        at = t
        value, d_trials = values[at], slopes[at]
        at += cells
        value -= values[at]
        d_trials -= slopes[at]
        at += cells
        value += values[at] - values[at + cells]
        d_trials += slopes[at]
        d_b = slopes[at] - slopes[at + cells]
        at += 2 * cells
        value += values[at] - values[at + cells]
        d_trials -= slopes[at + cells]
        d_kappa = slopes[at] - slopes[at + cells]
        at += 2 * cells
        value += values[at] - values[at + cells]
        d_a = slopes[at] - slopes[at + cells]
        q = 1.0 - p[t]
        kappa = 1.0 / (noise * noise * p[t] * q + 1e-6)
        k2 = kappa * kappa
        d_kappa += p[t] * d_a + q * d_b
        lp += weight[t] * value
        d_n[t] = weight[t] * d_trials
        d_p[t] = weight[t] * (kappa * (d_a - d_b) - k2 * noise * noise * (q - p[t]) * d_kappa)
        g_noise -= weight[t] * k2 * 2.0 * noise * p[t] * q * d_kappa
    return lp, g_noise
