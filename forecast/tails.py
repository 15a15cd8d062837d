"""Are deals gamma or lognormal? The question is asked of single deals, where their amounts are known.

The model sums gamma deals (closed under summation), which is good up to a coefficient of variation of about one. Wider
lognormal deals have the same mean and a longer tail; then the low end of the revenue band is too low (docs/method.md).

    gamma:      amount ~ Gamma(a, a / m_c)                   lognormal:  log amount ~ Normal(mu_c, sigma)

Both have a mean per channel and one shape for all, so their maximal log likelihoods compare as they are: the difference
of AIC is twice their difference.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma, gammaln

from forecast.history import History

Array = NDArray[np.float64]

LEAST_DEALS = 20


def deal_law(history: History) -> dict[str, Any] | None:
    """Which law fits the single deals better; None with fewer than `LEAST_DEALS` of them.

    Single deals are the rows of a file of leads with an amount; in counts, cells with exactly one win.

    Returns: deals (number), cv (of amounts over their channel's mean), difference (AIC of gamma less AIC of lognormal:
    above zero the lognormal fits better), better ("gamma" or "lognormal").
    """
    amount, channel = _single(history)
    size = np.bincount(channel, minlength=len(history.channels))
    keep = size[channel] > 1  # a channel of one deal says nothing of the spread
    amount, channel = amount[keep], channel[keep]
    if len(amount) < LEAST_DEALS or np.ptp(amount) == 0.0:
        return None
    size = np.bincount(channel)
    mean = np.bincount(channel, amount) / np.maximum(size, 1)
    relative = amount / mean[channel]
    log_x = np.log(amount)
    centre = np.bincount(channel, log_x) / np.maximum(size, 1)
    variance = float(((log_x - centre[channel]) ** 2).mean())
    if variance < 1e-12:
        return None
    normal = -0.5 * len(amount) * (math.log(2 * math.pi * variance) + 1.0) - log_x.sum()
    shape = _gamma_shape(-float(np.log(relative).mean()))
    gamma = (
        len(amount) * (shape * math.log(shape) - gammaln(shape))
        + ((shape - 1.0) * log_x - shape * np.log(mean[channel]) - shape * relative).sum()
    )
    difference = 2.0 * float(normal - gamma)
    spread = math.sqrt(float(((relative - 1.0) ** 2).sum()) / max(len(amount) - len(np.unique(channel)), 1))
    return {"deals": len(amount), "cv": spread, "difference": difference} | {
        "better": "lognormal" if difference > 0 else "gamma"
    }


def _single(history: History) -> tuple[Array, NDArray[np.int64]]:
    """Amounts of single deals, and the index of their channel."""
    if history.counting == "leads":
        return history.priced.amount, history.priced.channel
    if not {"revenue", "won"} <= set(history.counts):
        return np.empty(0), np.empty(0, dtype=np.int64)
    revenue, won = (history.filled(name) for name in ("revenue", "won"))
    rows, columns = np.nonzero((won == 1) & (revenue > 0))
    return revenue[rows, columns], columns.astype(np.int64)


def _gamma_shape(gap: float) -> float:
    """Shape a of the maximum likelihood gamma: log a - digamma(a) = log of the mean less mean of the log."""
    found = brentq(lambda log_a: log_a - digamma(math.exp(log_a)) - gap, -7.0, 20.0, xtol=1e-10)
    return math.exp(float(found))
