"""Refunds: what is paid back of earlier revenue, as a share with a delay of its own; conjugate but for a grid.

    R_ct / v ~ Poisson(s_c E_ct / v),    E_ct = sum over a of g_a G_c(t - a),    g: delay with the mean d, cv 1
    s_c ~ Gamma(k, k / s)                s: share of the company; k = 4, its channels differ by half of it

R, G: refunds and revenue of deals by period; v: money of a usual refund, in whose units refunds are counted. Before the
history revenue is taken for what it was in its first periods. d (log-normal about a month) and s stand on grids, the
shares of channels are integrated out and drawn given both; v is the dispersion found, with the uncertainty of its
degrees of freedom. Where refunds stand beside channels without deals, all channels have the company's share. Counts by
cohort do not tell when: there refunds come with the deal.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from forecast.equations import EARLY_PERIODS, delay_pmf, due
from forecast.history import History
from forecast.periods import PERIODS_PER_YEAR

Array = NDArray[np.float64]

CV = 1.0
ALIKE = 4.0  # k
DELAY_MONTHS, DELAY_SD = 1.0, 1.0
DELAYS, SHARES = 20, 60  # steps of the grids
MOST = 0.99  # of revenue, ever paid back
TINY = 1e-9


def refund_law(mean: Array, kind: str) -> Array:
    """Share of refunds paid after so many periods, (..., age), up to a year; `mean` delay in periods."""
    return delay_pmf(mean, CV, PERIODS_PER_YEAR[kind] + 1)


def refunds(history: History, draws: int, rng: np.random.Generator) -> dict[str, Array]:
    """refund_share (draw, channel), refund_delay (periods), refund_size (currency) (draw); nothing without refunds."""
    if not {"refunds", "revenue"} <= set(history.counts) or not history.filled("refunds").any():
        return {}
    back, money = history.filled("refunds"), history.filled("revenue")
    channels = money.shape[1]
    if ((money.sum(axis=0) == 0) & (back.sum(axis=0) > 0)).any():
        back, money = back.sum(axis=1, keepdims=True), money.sum(axis=1, keepdims=True)
    if not money.any():
        return {}
    delays = _delays(history)
    exposed = np.stack(
        [_exposure(money, refund_law(mean, history.period)) for mean in delays]
    )  # delay, period, c
    total = exposed.sum(axis=(1, 2))
    usual = back.sum() / total
    freedom = max(back.size - 2, 1)
    size = max(float(_dispersion(back, exposed, usual).min()) / freedom, TINY * back.max())
    company = np.linspace(-2.0, 2.0, SHARES) * min(1.0, math.sqrt(size / back.sum()) + 0.75)
    log_share = np.log(usual)[:, None] + company  # delay, share
    rate, n = ALIKE / np.exp(log_share)[:, :, None], back.sum(axis=0) / size
    paid = np.where(back > 0, np.log(np.maximum(exposed, TINY * total.mean())), 0.0)
    told = np.einsum("tc,dtc->d", back / size, paid)[:, None] + (
        ALIKE * np.log(rate) - gammaln(ALIKE) + gammaln(ALIKE + n)
        - (ALIKE + n) * np.log(rate + exposed.sum(axis=1)[:, None] / size)
    ).sum(axis=2)  # fmt: skip
    months = delays * 12.0 / PERIODS_PER_YEAR[history.period]
    if len(delays) > 1:
        told = told - 0.5 * (np.log(months / DELAY_MONTHS) / DELAY_SD)[:, None] ** 2
    weight = np.exp(told - told.max()).ravel()
    d, s = np.unravel_index(rng.choice(weight.size, size=draws, p=weight / weight.sum()), told.shape)
    gamma = rng.standard_gamma(np.broadcast_to(ALIKE + n, (draws, len(n))))
    share = gamma / (rate[d, s] + exposed.sum(axis=1)[d] / size)
    sizes = size * freedom / rng.chisquare(freedom, draws)
    return {
        "refund_share": np.minimum(np.broadcast_to(share, (draws, channels)), MOST).copy(),
        "refund_delay": delays[d],
        "refund_size": sizes,
    }


def _delays(history: History) -> Array:
    """Mean delays of the grid, in periods."""
    if history.counting == "cohort":
        return np.zeros(1)
    a_month = PERIODS_PER_YEAR[history.period] / 12.0
    return np.geomspace(0.05, 8.0, DELAYS) * a_month


def _exposure(money: Array, law: Array) -> Array:
    """Revenue whose refunds are due in each period, (period, channel)."""
    early = money[:EARLY_PERIODS].mean(axis=0)
    inside, _ = due(law, len(money))
    return np.asarray(inside @ money + (1.0 - inside.sum(axis=1))[:, None] * early)


def _dispersion(back: Array, exposed: Array, usual: Array) -> Array:
    """Sum of (R - s E)^2 / (s E) over cells, by delay, at each channel's own share."""
    own = back.sum(axis=0) / np.maximum(exposed.sum(axis=1), TINY)  # delay, channel
    mean = np.maximum(own[:, None] * exposed, TINY * usual.mean() * exposed.mean())
    return np.asarray(((back - mean) ** 2 / mean).sum(axis=(1, 2)))
