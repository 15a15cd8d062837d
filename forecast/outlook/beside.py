"""Money beside deals, over the horizon: refunds of what was sold, and what customers won before go on paying.

    refunds(t) = s sum over a of g_a gross(t - a),   gross: revenue of deals, of the horizon and of the history
    recurring(T + h) = exp(L + g h + W_h + e_h)      L, g, W, e: see `fit.recurring`

What is due after the horizon, of deals that landed inside it or before, stands in the slot after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.equations import with_past
from forecast.fit import Posterior, refund_law
from forecast.history import History

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Refunds:
    """share (draw, channel) of revenue, ever; law (draw, age) of when; owed (draw, slot, channel): of past deals."""

    share: Array
    law: Array
    owed: Array

    def due(self, money: Array) -> Array:
        """Expected refunds by slot, of money by slot of its win, (..., draw, slot, channel); what was owed aside."""
        horizon = money.shape[-2] - 1
        late = np.zeros_like(money)
        for h in range(horizon):
            inside = self.law[:, : horizon - h]
            late[..., h:horizon, :] += money[..., h, None, :] * inside[:, :, None]
            late[..., horizon, :] += money[..., h, :] * (1.0 - inside.sum(axis=1))[:, None]
        late[..., horizon, :] += money[..., horizon, :]
        return late * self.share[:, None, :]

    def kept_inside(self, horizon: int) -> Array:
        """Share of the revenue of each period that is not paid back inside the horizon, (draw, period, channel)."""
        paid = np.cumsum(self.law, axis=1)[:, np.minimum(np.arange(horizon), self.law.shape[1] - 1)][:, ::-1]
        return 1.0 - self.share[:, None, :] * paid[:, :, None]


def refunds_of(posterior: Posterior, history: History, horizon: int, rows: Rows | slice) -> Refunds | None:
    """The refunds of some draws; None where there are none."""
    if "refund_share" not in posterior.data:
        return None
    share = posterior.array("refund_share")[rows]
    law = refund_law(posterior.array("refund_delay")[rows], history.period)
    owed = np.zeros((len(share), horizon + 1, share.shape[1]))
    if history.counting != "cohort":  # whose refunds come with the deal
        past, ages = history.filled("revenue"), law.shape[1]
        past = with_past(past, max(ages - len(past), 0))[-ages:][::-1]  # by age at the as-of date
        for h in range(horizon):
            owed[:, h] = law[:, h + 1 :] @ past[: max(ages - h - 1, 0)]
        after = np.cumsum(law[:, ::-1], axis=1)[:, ::-1]  # due at this age or later
        owed[:, horizon] = after[:, horizon + 1 :] @ past[: max(ages - horizon - 1, 0)]
    return Refunds(share, law, owed * share[:, None, :])


def kept_share(posterior: Posterior) -> Array:
    """Share of revenue that is not paid back, (draw, channel); 1 where there are no refunds."""
    if "refund_share" in posterior.data:
        return np.asarray(1.0 - posterior.array("refund_share"))
    return np.ones(posterior.data["traffic"].shape)


def recurring_path(posterior: Posterior, horizon: int, rng: np.random.Generator) -> Array | None:
    """What recurs over the horizon, (draw, period, channel), currency; None where nothing does."""
    if "recurring_level" not in posterior.data:
        return None
    level, growth, drift, noise = (
        posterior.array(f"recurring_{name}")[:, None] for name in ("level", "growth", "drift", "noise")
    )
    shape = (posterior.draws, horizon, level.shape[2])
    moves = np.cumsum(drift * rng.standard_normal(shape), axis=1) + noise * rng.standard_normal(shape)
    return np.asarray(level * np.exp(growth * np.arange(1, horizon + 1)[:, None] + moves))
