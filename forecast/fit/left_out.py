"""How well each period is foreseen by a fit that has not seen it: left out by weights, without fitting anew.

For draws s of a part and a period t, with log likelihood l_st summed over the channels of the period,

    log p(y_t | y_-t) = -log mean_s exp(-l_st)

with the weights 1 / p(y_t | s) smoothed by Pareto. Above a k-hat of 0.7 the period itself rules what is learnt of
it, and the number is only a bound. Source: Vehtari, Gelman & Gabry 2017; arviz_stats computes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from forecast.fit.kinds import latent_of
from forecast.fit.parts import Part
from forecast.fit.points import Draws
from forecast.fit.posterior import kept_of

Array = NDArray[np.float64]


def left_out(sampled: Draws, part: Part, periods: Sequence[str]) -> list[dict[str, Any]]:
    """A record for each period with counts: part, period, elpd (log density of its counts, left out), k_hat.

    No record for parts whose data are kept as sums (deal value).
    """
    from arviz_stats.base.array import array_stats

    cells, _ = latent_of(part).of_draws(kept_of(sampled))
    if cells.shape[2]:
        cells = cells - (part.data["weight"] * gammaln(part.data["y"] + 1.0)).T  # log y! is no draw's
    found = []
    for t, period in enumerate(periods[: cells.shape[2]]):
        log = cells[:, :, t].sum(axis=1)
        if np.ptp(log) == 0.0:
            continue
        with np.errstate(all="ignore"):  # draws of few settings: a tail in steps, that is not smoothed
            weights, k_hat = array_stats.psislw(log)  # type: ignore[no-untyped-call]
        if not np.isfinite(weights).all():
            weights, k_hat = -log - logsumexp(-log), np.inf
        elpd = float(logsumexp(weights + log) - logsumexp(weights))
        found.append({"part": part.label, "period": period, "elpd": elpd, "k_hat": float(k_hat)})
    return found
