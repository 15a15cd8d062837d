"""The kernels as C functions for nutpie, so that chains run side by side without Python's lock between them.

Through a Python callable two chains on two cores take as long as one after the other (benchmarks/README.md). nutpie's
own compiled PyMC models are pairs of C functions and a block of data; these are made here in the same form:

    int64 logp(dim, x*, gradient*, logp*, data*)     0 ok, 3 and 4 for a gradient or density that is not finite
    int64 expand(dim, dim, x*, out*, data*)          the unconstrained point itself

Each calls the kernel that Python calls, of the same types, so that no kernel is compiled twice; what is compiled here
beside them is kept small, because a new machine waits for it.

The data block is one float64 vector: sizes and scalars first, then every array in the order of the kernel's arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numba import carray, cfunc, types  # type: ignore[attr-defined]
from numpy.typing import NDArray

from forecast.fit.kernels.special import cached_by_sources, jit
from forecast.fit.kernels.traffic import traffic_kernel, value_kernel
from forecast.fit.kernels.transition import transition_kernel

Array = NDArray[np.float64]

_POINTER = types.CPointer(types.double)  # type: ignore[no-untyped-call]
_LOGP = types.int64(types.uint64, _POINTER, _POINTER, _POINTER, _POINTER)
_EXPAND = types.int64(types.uint64, types.uint64, _POINTER, _POINTER, _POINTER)


def _kept(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """A C function of this signature, kept on disk by the content of all kernels."""

    def compiled(function: Callable[..., Any]) -> Any:
        with cached_by_sources():
            return cfunc(signature, cache=True)(function)

    return compiled


@jit
def _status(value: float, gradient: Array) -> int:
    if not math.isfinite(value):
        return 4
    for slope in gradient:
        if not math.isfinite(slope):
            return 3
    return 0


def pack(kind: str, data: Mapping[str, Array]) -> Array:
    """The data of a part as one vector: [length, sizes ..., scalars and arrays in the kernel's order]."""
    if kind == "value":
        sizes = [float(len(data["deals"])), float(len(data["sizes"]))]
    elif kind == "traffic":
        periods, channels = data["y"].shape
        lags, seasons = data["spend_lags"].shape[0], data["season_basis"].shape[1]
        sizes = [periods, channels, lags, seasons, len(data["lift"])]
    else:
        periods, channels = data["n"].shape
        sizes = [periods, channels, data["age_weights"].shape[1], float(kind == "calendar")]
    values = [np.asarray(v, dtype=float).ravel() for v in data.values()]
    body = np.concatenate([np.asarray(sizes, dtype=float), *values])
    return np.concatenate([[float(len(body) + 1)], body])


@_kept(_LOGP)
def _transition(dim: Any, x: Any, gradient: Any, logp: Any, block: Any) -> Any:
    n_all = int(carray(block, (1,))[0])
    d = carray(block, (n_all,))
    t, c, a = int(d[1]), int(d[2]), int(d[3])
    tc = t * c
    o = 5
    n = d[o : o + tc].reshape((t, c))
    y = d[o + tc : o + 2 * tc].reshape((t, c))
    weight = d[o + 2 * tc : o + 3 * tc].reshape((t, c))
    o += 3 * tc
    mu_prior, centred = d[o : o + 2], d[o + 2 : o + 2 + c]
    o += 2 + c
    w = max(t - 1, 1)
    drift_prior, walk_centred = d[o : o + 2], d[o + 2 : o + 2 + w]
    o += 2 + w
    own_centred, basis = d[o : o + w * c].reshape((w, c)), d[o + w * c : o + w * c + w * t].reshape((w, t))
    o += w * c + w * t
    noise_prior, delay_prior, delayed = d[o], d[o + 1 : o + 5], d[o + 5]
    o += 6
    age_weights = d[o : o + t * a].reshape((t, a))
    o += t * a
    by_age, by_cohort, early = d[o : o + a], d[o + a : o + 2 * a], d[o + 2 * a : o + 2 * a + c]
    out = carray(gradient, (dim,))
    value = transition_kernel(
        carray(x, (dim,)), out, n, y, weight, mu_prior, centred, drift_prior, walk_centred, own_centred, basis,
        noise_prior, delay_prior, delayed, age_weights, by_age, by_cohort, early, d[4] > 0.0,
    )  # fmt: skip
    carray(logp, (1,))[0] = value
    return _status(value, out)


@_kept(_LOGP)
def _traffic(dim: Any, x: Any, gradient: Any, logp: Any, block: Any) -> Any:
    n_all = int(carray(block, (1,))[0])
    d = carray(block, (n_all,))
    t, c, k, s, e = int(d[1]), int(d[2]), int(d[3]), int(d[4]), int(d[5])
    tc = t * c
    o = 6
    y, weight = d[o : o + tc].reshape((t, c)), d[o + tc : o + 2 * tc].reshape((t, c))
    o += 2 * tc
    level_prior, responds = d[o], d[o + 1 : o + 1 + c]
    o += 1 + c
    spend_lags = d[o : o + k * tc].reshape((k, t, c))
    o += k * tc
    elasticity, base = d[o : o + 2 * c].reshape((2, c)), d[o + 2 * c : o + 4 * c].reshape((2, c))
    carries, carry = d[o + 4 * c : o + 5 * c], d[o + 5 * c : o + 7 * c].reshape((2, c))
    o += 7 * c
    basis = d[o : o + t * s].reshape((t, s))
    o += t * s
    log_days = d[o : o + t]
    o += t
    w = max(t - 1, 1)
    drift_prior, walk_centred = d[o : o + 2], d[o + 2 : o + 2 + w]
    o += 2 + w
    own_centred, waves = d[o : o + w * c].reshape((w, c)), d[o + w * c : o + w * c + w * t].reshape((w, t))
    o += w * c + w * t
    noise_prior, season_centred = d[o], d[o + 1]
    o += 2
    season_waves = d[o : o + w * s].reshape((w, s))
    spread_prior = d[o + w * s : o + w * s + 2]
    o += w * s + 2
    b = o + 5 * c  # today's budget before, lift tests from here on
    share, age = (
        d[b + e : b + e + e * t].reshape((e, t)),
        d[b + e + e * t : b + e + 2 * e * t].reshape((e, t)),
    )
    b += e + 2 * e * t
    out = carray(gradient, (dim,))
    value = traffic_kernel(
        carray(x, (dim,)), out, y, weight, level_prior, responds, spend_lags, elasticity, base, carries, carry, basis,
        log_days, drift_prior, walk_centred, own_centred, waves, noise_prior, season_centred,
        season_waves, spread_prior, d[o : o + c], d[o + c : o + 2 * c], d[o + 2 * c : o + 3 * c],
        d[o + 3 * c : o + 4 * c], d[o + 4 * c : o + 5 * c], d[o + 5 * c : o + 5 * c + e], share, age,
        d[b : b + 2 * e].reshape((e, 2)), d[b + 2 * e : b + 3 * e], d[b + 3 * e : b + 4 * e],
    )  # fmt: skip
    carray(logp, (1,))[0] = value
    return _status(value, out)


@_kept(_LOGP)
def _value(dim: Any, x: Any, gradient: Any, logp: Any, block: Any) -> Any:
    n_all = int(carray(block, (1,))[0])
    d = carray(block, (n_all,))
    c, m = int(d[1]), int(d[2])
    o = 3 + 3 * c
    e = o + 2 * m + 2
    out = carray(gradient, (dim,))
    value = value_kernel(
        carray(x, (dim,)), out, d[3 : 3 + c], d[3 + c : 3 + 2 * c], d[3 + 2 * c : o], d[o : o + m],
        d[o + m : o + 2 * m], d[e - 2 : e], d[e : e + c], d[e + c : e + 2 * c],
    )  # fmt: skip
    carray(logp, (1,))[0] = value
    return _status(value, out)


LOGP = {"calendar": _transition, "cohort": _transition, "traffic": _traffic, "value": _value}


@_kept(_EXPAND)
def point(dim: Any, expanded: Any, x: Any, out: Any, block: Any) -> Any:  # noqa: ARG001 - nutpie's signature
    """The unconstrained point itself, as nutpie's expanded draw."""
    given, copied = carray(x, (dim,)), carray(out, (dim,))
    for i in range(dim):  # assigned whole, numba would compile what words a mismatch of shapes: two seconds
        copied[i] = given[i]
    return 0
