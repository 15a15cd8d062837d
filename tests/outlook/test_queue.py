"""What sales can take: units are conserved, served in turn and fairly; without a limit nothing changes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from posterior_fixture import DELAYS, PLAN, RATES, TWO, Array, case, history, posterior, rich, study

from forecast.fit import Posterior
from forecast.history import History
from forecast.outlook.queue import LATEST, capacities, coupled_binomial, let_through, queue
from forecast.outlook.simulation import simulate
from forecast.results import forecast_table

counts = arrays(np.int64, (2, 3, 2, 4, 3), elements=st.integers(0, 9))


def one_line(arrivals: list[int], capacity: float, decay: float, *, draws: int = 1) -> tuple[Array, Array]:
    """Handled (draw, period + 1) and waiting (draw, period) of one plan, kind and channel."""
    made = np.tile(np.array(arrivals), (1, 1, draws, 1))[..., None]
    handled, waiting = queue(made, capacity, decay, np.random.default_rng(1))
    return handled[0, 0, :, :, 0], waiting[0, 0, :, :, 0]


def outlook(
    known: Posterior, past: History, plans: dict[str, Array], replicates: int = 2, **economics: float
) -> xr.Dataset:
    """Outlook of plans with these economics, of one seed."""
    made = case(known, past, next(iter(plans.values())), study(economics={"gross_margin": 0.6, **economics}))
    return simulate(made, plans, rng=np.random.default_rng(7), replicates=replicates)


# The queue


@settings(max_examples=60, deadline=None)
@given(arrivals=counts, capacity=st.floats(0.3, 40.0), decay=st.floats(0.0, 1.0), seed=st.integers(0, 99))
def test_units_are_conserved(arrivals: np.ndarray, capacity: float, decay: float, seed: int):
    """Whole units; no more handled than there is room; of what came nothing is made, and without decay nothing lost."""
    handled, waiting = queue(arrivals, capacity, decay, np.random.default_rng(seed))
    room = capacities(capacity, 4)
    assert (handled >= 0).all()
    assert (handled[:, :, :, :4].sum(axis=(1, 4)) <= room).all()
    left = np.cumsum(arrivals, axis=3) - np.cumsum(handled[:, :, :, :4], axis=3)
    assert (waiting <= left).all()
    assert (handled.sum(axis=3) <= arrivals.sum(axis=3)).all()
    idle = handled[:, :, :, :4].sum(axis=(1, 4)) < room
    assert not waiting.sum(axis=(1, 4))[idle].any()  # nobody waits while there is room
    if decay == 0.0:
        assert (waiting == left).all()
        if capacity >= 3.0:  # 108 units at most a draw, and patience for 120 periods
            assert (handled.sum(axis=3) == arrivals.sum(axis=3)).all()
    if decay == 1.0:
        assert not handled[:, :, :, 4].any()


def test_first_in_first_out():
    """Of cohorts that can be told apart the older one is through before the next begins."""
    arrivals = np.zeros((1, 1, 50, 5, 3), dtype=np.int64)
    for t, n in enumerate((9, 7, 5)):
        arrivals[0, 0, :, t, t] = n
    handled, _ = queue(arrivals, 3.0, 0.0, np.random.default_rng(1))
    seen = np.cumsum(handled[0, 0], axis=1)
    for older, total in ((0, 9), (1, 7)):
        begun = seen[:, :, older + 1] > 0
        assert (seen[:, :, older][begun] == total).all()
    assert seen[:, -1].tolist() == [[9, 7, 5]] * 50


def test_channels_are_served_in_proportion():
    """Of a cohort taken in part every kind and channel has its share, to one unit; on average exactly."""
    line = np.array([[10, 50, 40], [5, 0, 20]])
    arrivals = np.broadcast_to(line[None, :, None, None, :], (1, 2, 4000, 1, 3)).copy()
    handled, _ = queue(arrivals, 60.0, 1.0, np.random.default_rng(2))
    taken = handled[0, :, :, 0].swapaxes(0, 1)
    assert (np.abs(taken - line * 60 / 125) < 1.0).all()
    assert taken.mean(axis=0) == pytest.approx(line * 60 / 125, abs=0.03)
    assert (taken.sum(axis=(1, 2)) == 60).all()


def test_the_queue_settles_where_the_formula_says():
    """Inflow L above capacity C: waiting tends to (L - C) / decay, handled to C, and what is lost is L - C a period."""
    handled, waiting = one_line([40] * 60, 25.0, 0.2, draws=400)
    assert (handled[:, :60] == 25).all()
    late = waiting[:, 40:]
    assert late.mean() == pytest.approx(15 / 0.2, rel=0.01)
    lost = 40 - 25 - np.diff(late, axis=1)
    assert lost.mean() == pytest.approx(15.0, rel=0.02)


def test_what_waits_at_the_end_is_handled_later_or_gives_up():
    """Thirty wait, ten a period are taken, a fifth of the rest leaves each time."""
    handled, waiting = one_line([40], 10.0, 0.2, draws=4000)
    assert (waiting == 30).all()
    expected, left = 0.0, 30.0
    while left > 0.5:
        left *= 0.8
        taken = min(left, 10.0)
        expected, left = expected + taken, left - taken
    assert handled[:, 1].mean() == pytest.approx(expected, rel=0.03)


def test_fractions_of_capacity_add_up():
    """Two and a half a period: two, then three."""
    assert capacities(2.5, 4).tolist() == [2, 3, 2, 3]
    assert capacities(0.1, 30).sum() == 3
    assert capacities(100.0, 3).tolist() == [100] * 3


def test_plans_are_thinned_alike_as_far_as_they_are_alike():
    """Each plan has its own binomial law; equal plans have equal numbers, near ones near."""
    n = np.stack([np.full(20_000, 40), np.full(20_000, 44)])
    for chance in (np.array([[0.3], [0.3]]), np.array([[0.3], [0.5]])):
        drawn = coupled_binomial(n, chance, np.random.default_rng(3))
        mean, variance = n * chance, n * chance * (1 - chance)
        assert drawn.mean(axis=1) == pytest.approx(mean[:, 0], rel=0.01)
        assert drawn.var(axis=1) == pytest.approx(variance[:, 0], rel=0.05)
        assert (drawn[1] >= drawn[0]).all()
    same = coupled_binomial(np.stack([n[0], n[0]]), np.array([[0.3], [0.3]]), np.random.default_rng(3))
    assert (same[0] == same[1]).all()


def test_later_arrivals_find_the_crowd_of_the_last_periods():
    """C of L are handled in a queue that has settled; all where there is room."""
    latest = np.array([LATEST * 40])
    assert let_through(latest, LATEST * 25.0)[0] == pytest.approx(25 / 40)
    assert let_through(latest, LATEST * 50.0)[0] == 1.0


# In the forecast


@pytest.mark.parametrize("plans", [{"one": PLAN}, {"one": PLAN, "two": 1.4 * PLAN}])
def test_room_enough_changes_no_byte(plans: dict[str, Array]):
    """A capacity that never binds: every measure is that of a study without one."""
    known, past = rich()
    free, wide = outlook(known, past, plans), outlook(known, past, plans, capacity=1e6)
    assert set(wide) - set(free) == {"handled", "waiting"}
    for name in free:
        np.testing.assert_array_equal(free[name].values, wide[name].values, err_msg=str(name))
    np.testing.assert_array_equal(wide["handled"].values, free["qualified"].values)
    assert not wide["waiting"].any()


def test_wins_are_bounded_by_what_sales_can_take():
    """Without delays: handled is at most the capacity, and wins are that times the close rate."""
    past = history(TWO)
    known = posterior(past, RATES, draws=1500, traffic=[1000.0, 400.0], traffic_noise=0.2)
    made = outlook(known, past, {"given": np.repeat(PLAN, 2, axis=0)}, capacity=15)
    assert (made["handled"].sum("channel") <= 15).all()
    assert (made["won"] <= made["handled"]).all()
    assert (made["qualified"].sum("channel").mean() > 20).all()
    wins = made["won"].sum("channel").values.ravel()
    assert wins.mean() == pytest.approx(15 * 0.25, abs=4 * wins.std() / np.sqrt(wins.size))
    share = made["handled"].mean(["plan", "draw", "period"]) / made["qualified"].mean(
        ["plan", "draw", "period"]
    )
    assert share.values[0] == pytest.approx(share.values[1], rel=0.03)


def test_the_bridge_and_units_still_add_up():
    """Wins are those of the pipeline and new ones; no stage sees more than came; contribution is margin less spend."""
    known, past = rich()
    made = outlook(known, past, {"one": PLAN, "two": 1.3 * PLAN}, capacity=12, capacity_decay=0.4)
    assert (made["won"] == made["won_from_pipeline"] + made["won_from_new"]).all()
    assert (made["won_from_pipeline"] >= 0).all()
    parts = made["revenue_from_pipeline"] + made["revenue_from_new"]
    np.testing.assert_allclose(made["revenue"], parts, rtol=1e-9, atol=1e-6)
    margin = 0.6 * made["revenue_eventual"].sum("channel") - made["spend"].sum(("period", "channel"))
    np.testing.assert_allclose(made["contribution"].sum(("period", "channel")), margin, rtol=1e-9)
    assert (made["handled"].sum("channel") <= 12).all()
    left = made["qualified"].cumsum("period") - made["handled"].cumsum("period")
    assert (made["waiting"] <= left).all()


def test_the_table_adds_up_what_flows_and_not_what_stands():
    """Handled units of the horizon are the sum of its periods; who waits at its end waits in its last period."""
    known, past = rich()
    made = outlook(known, past, {"given": PLAN}, capacity=12)
    table = forecast_table(made, "given", ["a", "b", "c"], ["visitors", "leads", "qualified", "won"])
    means = table.pivot_table(index=["measure", "channel"], columns="period", values="mean").loc[
        ["handled", "waiting"]
    ]
    handled, waiting = means.loc["handled"], means.loc["waiting"]
    assert waiting["total"].to_numpy() == pytest.approx(waiting["c"].to_numpy())
    assert handled["total"].to_numpy() == pytest.approx(handled[["a", "b", "c"]].sum(axis=1).to_numpy())


def test_where_sales_are_full_more_leads_bring_nothing():
    """Room for half of what comes, and nobody waits: half as much again spent brings nothing; unlimited it does."""
    past = history(TWO)
    known = posterior(past, RATES, draws=800, traffic=[1000.0, 400.0], traffic_noise=0.1, elasticity=0.8)
    plans = {"one": np.repeat(PLAN, 2, axis=0), "two": np.repeat(1.5 * PLAN, 2, axis=0)}
    gains = []
    for economics in ({}, {"capacity": 11.0, "capacity_decay": 1.0}):
        made = outlook(known, past, plans, **economics)
        wins = made["revenue_eventual"].sum("channel")
        gains.append(
            float((wins.sel(plan="two") - wins.sel(plan="one")).mean() / wins.sel(plan="one").mean())
        )
    assert gains[0] > 0.3
    assert abs(gains[1]) < 0.03


def test_plans_stay_comparable():
    """A plan beside itself is itself; the difference to a near plan has a fraction of the noise of either."""
    known, past = rich()
    twin = outlook(known, past, {"one": PLAN, "two": PLAN.copy()}, capacity=18)
    for name in twin:
        np.testing.assert_array_equal(*twin[name].values, err_msg=str(name))
    made = outlook(known, past, {"one": PLAN, "two": 1.05 * PLAN}, capacity=24)
    eventual = made["revenue_eventual"].sum("channel").values
    assert eventual[1].mean() > eventual[0].mean()
    assert (eventual[1] - eventual[0]).var() < 0.25 * eventual[0].var()


def test_the_open_pipeline_is_in_the_hands_of_sales():
    """Who had qualified by the as-of date does not wait: without new leads the limit changes nothing of their wins."""
    triangle = np.zeros((6, 6, 1), dtype=np.int64)
    past = history(
        {"qualified": 40.0, "won": 0.0},
        channels=["one"],
        periods=6,
        counting="leads",
        triangles={"won": triangle},
    )
    known = posterior(past, {"won": 0.5}, draws=200, delays={"won": DELAYS["won"]}, traffic=1e-9)
    plan = {"given": np.zeros((3, 1))}
    free, tight = outlook(known, past, plan), outlook(known, past, plan, capacity=1)
    np.testing.assert_array_equal(free["won"].values, tight["won"].values)
    assert free["won"].sum() > 0
