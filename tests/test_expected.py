"""The expected road: what the funnel brings on average, without chance, beside the simulation's mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from posterior_fixture import PLAN, RATES, mean_and_error, rich, study

from forecast.simulate import future_paths, simulate

HORIZON = len(PLAN)


def test_what_flows_in_moves_on_like_the_rest():
    """Units that enter a stage from outside add rates x units in the end, and nothing upstream."""
    known, past = rich()
    future = future_paths(known, past, HORIZON, np.random.default_rng(1))
    more = np.zeros_like(future.log_traffic)
    more[:, 1, 0] = 40.0
    asked = study(economics={"gross_margin": 0.6})

    def wins(flow):
        made = simulate(known, past, asked, {"a": PLAN}, flow, rng=np.random.default_rng(2))
        both = (
            made["won_from_new"].sum("period") + made["won_after_horizon"] - made["won_after_from_pipeline"]
        )
        return made["leads"].values, both.values[0].astype(float)

    leads, without = wins(future)
    leads_again, with_more = wins(replace(future, inflow={"qualified": more}))
    assert np.array_equal(leads, leads_again)
    mean, error = mean_and_error(with_more - without)
    expected = 40.0 * np.repeat(future.rates["won"][:, 1, 0], 2).mean()
    assert abs(mean[0] - expected) < 4 * error[0]
    assert expected > 0.8 * 40 * RATES["won"]
    assert abs(mean[1]) < 4 * error[1]


def test_no_inflow_draws_nothing():
    """Bytes stay as they are where nothing flows in."""
    known, past = rich()
    future = future_paths(known, past, HORIZON, np.random.default_rng(1))
    empty = replace(future, inflow={})
    made = [
        simulate(known, past, study(), {"a": PLAN}, flow, rng=np.random.default_rng(2))
        for flow in (future, empty)
    ]
    assert made[0].identical(made[1])
