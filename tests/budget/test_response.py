"""The grid of responses against the simulation: means, variances of chance, what lands inside, what waits for sales."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from posterior_fixture import DELAYS, PLAN, RATES, TWO, case, history, posterior, rich, study

from forecast.budget.response import Response, background, response_curves, response_of
from forecast.fit import Posterior
from forecast.history import History
from forecast.outlook import inside_share, simulate
from forecast.study import Study

MARGIN = {"gross_margin": 0.6}


def response(known: Posterior, past: History, asked: Study) -> Response:
    """What units of traffic bring, on one set of future paths."""
    return response_of(case(known, past, PLAN, asked))


def alike(draws: int = 4000) -> tuple[Posterior, History]:
    """A company of which every draw is the same: what differs between simulated draws is chance."""
    past = history(TWO)
    given = {"delays": DELAYS, "traffic": [1000.0, 400.0], "traffic_noise": 0.25, "noise": 0.3}
    return posterior(past, RATES, draws=draws, **given), past


def test_the_grid_is_the_simulation_in_expectation():
    """Value, revenue inside the horizon and their variances: at the current plan, as simulated draws have them."""
    known, past = alike()
    made = response(known, past, study(economics=MARGIN))
    curves = response_curves(made, 4 * PLAN.sum(axis=0))  # the current plan is then the grid's middle
    middle = (curves.spend.shape[1] - 1) // 2
    one = {name: curves.measure(name)[0, :, middle] for name in ("value", "inside", "wins")}
    chance = {name: curves.measure(f"{name}_variance")[0, :, middle] for name in ("value", "inside")}
    outlook = simulate(made.case, {"given": PLAN}, rng=np.random.default_rng(3), replicates=1).sel(
        plan="given"
    )
    simulated = {
        "value": 0.6 * outlook["revenue_eventual"].values,
        "inside": outlook["revenue_from_new"].values.sum(axis=1),
    }
    for name, draws in simulated.items():
        error = draws.std(axis=0) / np.sqrt(len(draws))
        assert one[name] == pytest.approx(draws.mean(axis=0), abs=4 * float(error.max()))
        # a variance of 4,000 skewed draws is known to about 5 %; cohorts are noisy stage by stage
        assert chance[name] == pytest.approx(draws.var(axis=0), rel=0.15)
    assert one["wins"] == pytest.approx(one["value"] / 0.6 / 5000.0, rel=1e-6)


def test_what_lands_inside_falls_with_the_delay_and_grows_with_the_horizon():
    """Without delay all of it lands, with delay the later cohorts less; by stage of arrival the shares add up."""
    known, past = rich()
    plan = np.repeat(PLAN, 2, axis=0)
    later = case(known, past, plan)
    future = later.future
    share = inside_share(later)
    whole = np.prod([future.rates[stage] for stage in known.stages], axis=0)
    landed = share.mean(axis=(0, 2)) / whole.mean(axis=(0, 2))  # rates drift on the way, without a direction
    assert (landed < 1).all()
    assert (np.diff(landed) < 0).all()
    at_once = posterior(past, RATES, draws=50)
    steady = case(at_once, past, plan)
    everything = np.prod([steady.future.rates[stage] for stage in at_once.stages], axis=0)
    assert inside_share(steady) == pytest.approx(everything)
    slots = inside_share(later, until="qualified")
    assert slots.sum(axis=3) == pytest.approx(future.rates["leads"] * future.rates["qualified"])
    assert (slots >= -1e-12).all()


def test_a_customer_that_stays_is_worth_more_and_later_money_less():
    """Two and a half years at 80 % retention, money at 10 %: the annuity by hand, the discount over the mean delay."""
    known, past = alike(50)
    plain = response(known, past, study(economics=MARGIN)).value(PLAN).sum(axis=1).mean()
    staying = {**MARGIN, "retention": 0.8, "lifetime": 2.5}
    stays = response(known, past, study(economics=staying)).value(PLAN).sum(axis=1).mean()
    assert stays == pytest.approx(plain * (1 + 0.8 + 0.5 * 0.64), rel=1e-9)
    dear = (
        response(known, past, study(economics={**MARGIN, "discount_rate": 0.1}))
        .value(PLAN)
        .sum(axis=1)
        .mean()
    )
    assert plain * 1.1 ** (-(0.5 + 1.5) / 12) == pytest.approx(
        dear, rel=2e-3
    )  # two periods of delay on average


def test_what_comes_anyway_is_the_pipeline_and_the_channels_without_spend():
    """It does not depend on spend, and with the paid channels' new revenue it is the whole forecast."""
    known, past = rich()
    asked = study(economics=MARGIN)
    made = response(known, past, asked)
    anyway = background(made.case, np.random.default_rng(5))
    bold = background(replace(made.case, plan=3 * PLAN), np.random.default_rng(5))
    assert (anyway.inside == bold.inside).all()
    outlook = simulate(made.case, {"given": PLAN}, rng=np.random.default_rng(6)).sel(plan="given")
    pipeline = outlook["revenue_from_pipeline"].sum(("period", "channel")).values
    error = np.hypot(
        pipeline.std() / np.sqrt(len(pipeline)), anyway.inside.std() / np.sqrt(len(anyway.inside))
    )
    assert anyway.inside.mean() == pytest.approx(pipeline.mean(), abs=4 * error)
    entering = outlook["qualified"].sum("channel").values
    new = (made.case.traffic(PLAN)[0][:, :, :, None] * made.reach(np.arange(known.draws))).sum(axis=(1, 2))[
        :, :3
    ]
    noise = entering.std(axis=0) / np.sqrt(len(entering)) + anyway.arriving.std(axis=0) / np.sqrt(known.draws)
    assert (np.abs(new.mean(axis=0) + anyway.arriving.mean(axis=0) - entering.mean(axis=0)) < 4 * noise).all()
