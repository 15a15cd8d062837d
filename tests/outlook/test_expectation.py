"""The expected road: what the funnel brings on average, without chance, beside the simulation's mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from posterior_fixture import (
    AGED_AGES,
    AGED_LOST,
    AGED_RATE,
    PLAN,
    RATES,
    aged_leads,
    case,
    mean_and_error,
    posterior,
    rich,
    study,
)

from forecast.fit import Posterior
from forecast.history import History
from forecast.outlook.expectation import outcome, world_of
from forecast.outlook.queue import fluid_queue, queue
from forecast.outlook.simulation import simulate


def test_what_flows_in_moves_on_like_the_rest():
    """Units that enter a stage from outside add rates x units in the end, and nothing upstream."""
    known, past = rich()
    plain = case(known, past)
    future = plain.future
    more = np.zeros_like(future.log_traffic)
    more[:, 1, 0] = 40.0

    def wins(flow):
        made = simulate(replace(plain, future=flow), {"a": PLAN}, rng=np.random.default_rng(2))
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
    plain = case(known, past, PLAN, study())
    empty = replace(plain, future=replace(plain.future, inflow={}))
    made = [simulate(one, {"a": PLAN}, rng=np.random.default_rng(2)) for one in (plain, empty)]
    assert made[0].identical(made[1])


def _leads(lost: bool) -> tuple[Posterior, History]:
    """Dated leads, a third of them still open, with losses that have a date where asked."""
    past, _, _ = aged_leads(lost)
    p, q, ages = AGED_RATE, AGED_LOST, AGED_AGES
    spread = p * np.random.default_rng(3).uniform(0.8, 1.2, (600, 1, 1))
    known = posterior(
        past,
        {"won": spread},
        draws=600,
        delays={"won": (1.5, 0.8)},
        losses={"won": (q, 1.0, 0.6)} if lost else None,
        ages=ages,
        noise=0.3,
        traffic=900.0,
    )
    return known, past


@pytest.mark.parametrize("company", ["calendar", "leads", "leads with losses", "recycled"])
def test_the_expected_road_is_the_mean_of_the_simulation(company):
    """Stage by stage, period by period: simulation less expectation is zero within its Monte Carlo error."""
    known, past = rich() if company in ("calendar", "recycled") else _leads(company.endswith("losses"))
    plan = np.repeat(np.array([[3000.0, 1000.0]]), 4, axis=0)[:, : len(past.channels)]
    now = case(known, past, plan)
    if company == "recycled":
        inflow = {"qualified": np.full_like(now.future.log_traffic, 7.0)}
        now = replace(now, future=replace(now.future, inflow=inflow))
    made = simulate(now, {"a": plan}, rng=np.random.default_rng(5), replicates=4)
    road = outcome(world_of(now, np.arange(known.draws)))
    for stage, units in road.units.items():
        _agree(made[stage].values[0], units)
    _agree(made["revenue"].values[0], road.inside)
    _agree(made["revenue_after_horizon"].values[0], road.after)
    _agree(made["revenue_eventual"].values[0], road.eventual)
    _agree(made["won_from_pipeline"].values[0].sum(axis=1), road.won[0, :, :-1].sum(axis=1))


def _agree(simulated: np.ndarray, expected: np.ndarray) -> None:
    """Draw by draw the difference is chance alone: means within 4.5 errors, and in sum over all cells."""
    replicates = len(simulated) // len(expected)
    difference = simulated - np.repeat(expected, replicates, axis=0)
    mean, error = mean_and_error(difference)
    assert (np.abs(mean) < 4.5 * error).all()


def test_a_queue_in_expectation_is_the_queue_of_many_units():
    """Where units are many, the queue of expected units and the simulated one agree; nothing is lost but by decay."""
    rng = np.random.default_rng(4)
    arrivals = rng.poisson(3000, (1, 2, 3, 5, 2))
    handled, _ = queue(arrivals, 8000.0, 0.1, rng)
    fluid = fluid_queue(arrivals[0].astype(float), np.full((3, 5), 8000.0), 0.1)
    assert np.allclose(fluid.sum(axis=(0, 3)), handled[0].sum(axis=(0, 3)), rtol=0.01, atol=100)
    kept = fluid_queue(arrivals[0].astype(float), np.full((3, 5), 8000.0), 0.0)
    assert np.allclose(kept.sum(axis=(0, 2, 3)), arrivals[0].sum(axis=(0, 2, 3)))
