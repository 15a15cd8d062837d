"""The delay between two stages, in whole periods.

A unit enters a stage at an instant uniform within its period and moves on after a lognormal time with the given mean
and coefficient of variation. The probability that the move falls `d` periods later (double interval censoring) is

    f_d = H(d + 1) - 2 H(d) + H(d - 1),      H(x) = integral of F over [0, x],  H(x <= 0) = 0
    H(x) = x Phi(z) - mean Phi(z - s),       z = (log x - mu) / s,  s^2 = log(1 + cv^2),  mu = log mean - s^2 / 2

Source: Park et al. 2024 and Charniga et al. 2024 on delay distributions with double censoring.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
FLOOR = 1e-9


def delay_pmf(mean: ArrayLike, cv: ArrayLike, ages: int) -> Array:
    """Probability of moving on at age 0 .. ages - 1, of those who ever move on.

    Args:
        mean: mean delay in periods, any shape `s`; 0 puts all mass on age 0.
        cv: coefficient of variation, broadcast against `mean`.
        ages: number of ages kept; the mass beyond is cut and the rest renormalised to sum to one.

    Returns:
        Array of shape `s + (ages,)`, non-negative, summing to one over the last axis.
    """
    mean = np.asarray(mean, dtype=float)[..., None]
    cv = np.asarray(cv, dtype=float)[..., None]
    safe = np.where(mean > 0, mean, 1.0)
    sigma = np.sqrt(np.log1p(cv**2))
    mu = np.log(safe) - sigma**2 / 2
    x = np.arange(1.0, ages + 1.0)
    z = (np.log(x) - mu) / sigma
    integral = x * ndtr(z) - safe * ndtr(z - sigma)
    zero = np.zeros_like(integral[..., :1])
    h = np.concatenate([zero, zero, integral], axis=-1)  # H(-1), H(0), H(1) .. H(ages)
    # The floor, as the fitted model has it, keeps a delay that lies beyond all ages a distribution.
    pmf = np.clip(h[..., 2:] - 2 * h[..., 1:-1] + h[..., :-2], 0.0, None) + FLOOR
    pmf /= pmf.sum(axis=-1, keepdims=True)
    at_once = np.zeros(ages)
    at_once[0] = 1.0
    return np.where(mean > 0, pmf, at_once)


def ages_needed(mean: float, cv: float, *, tail: float = 0.005, spread: float = 1.6, most: int = 60) -> int:
    """How many ages hold all but `tail` of the delay, were its mean `spread` times longer than expected."""
    if mean <= 0:
        return 1
    sigma = math.sqrt(math.log1p(cv**2))
    mu = math.log(mean * spread) - sigma**2 / 2
    z = NormalDist().inv_cdf(1 - tail)
    return int(min(max(math.ceil(math.exp(mu + sigma * z)) + 1, 3), most))


def in_flight_share(mean: float, cv: float, horizon: int, ages: int = 240) -> float:
    """Share of the moves of the next `horizon` periods that come from units already inside, at stable inflow.

    With survival S(a) = 1 - F_a the share is sum over past ages of [F_{a+h} - F_a] divided by `horizon`.
    """
    cdf = np.cumsum(delay_pmf(mean, cv, ages))
    padded = np.concatenate([cdf, np.ones(horizon)])
    past = np.arange(ages)
    return float((padded[past + horizon] - padded[past]).sum() / horizon)
