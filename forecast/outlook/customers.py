"""What customers cost and are worth at a plan, and what the next unit of money brings: draws for the economics table.

Draws of the posterior meet draws of how long customers stay, which the funnel says nothing of. The next unit of money
is `economics.STEP` more of every channel's planned spend, by the same response that the forecast has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.fit import Posterior
from forecast.history import History
from forecast.outlook.lifetime import lifetime_of
from forecast.outlook.simulation import Future, expected_traffic
from forecast.outlook.unit_economics import STEP, Flow, customer_economics, marginal_flow
from forecast.study import Study

Array = NDArray[np.float64]
STREAM = 61  # of the seed: how long customers stay


def customer_measures(
    study: Study,
    history: History,
    posterior: Posterior,
    future: Future,
    plan: Array,
    flow: Flow,
    *,
    seed: int,
) -> dict[str, Array]:
    """Measures of `economics.customer_economics` by name, (draw, channel + 1); flow: of the plan (period, channel)."""

    def traffic(spend: Array) -> tuple[Array, Array]:
        return expected_traffic(posterior, future, spend, history.current_spend, history.period)

    first = next(iter(flow.units))
    margin = marginal_flow(
        traffic(plan), traffic((1.0 + STEP) * plan), future.rates, first, STEP * plan, flow.deal_value
    )
    lifetime = lifetime_of(study)
    payments = lifetime.draws(posterior.draws, np.random.default_rng([seed, STREAM]))
    return customer_economics(flow, margin, payments, lifetime.step, study.economics, len(plan))
