"""Money beside deals: net is gross less refunds in every draw, both roads agree, budgets see what is kept, and without
any of it not a byte moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import posterior_fixture as fixture
import pytest
from posterior_fixture import PLAN, Array, mean_and_error

from forecast.budget import response_of
from forecast.fit import Posterior, preview, refund_law
from forecast.history import BASE, History
from forecast.outlook import case_of, flow_of, simulate, unit_measures
from forecast.outlook.beside import refunds_of
from forecast.outlook.expectation import outcome, world_of

SHARE, LATE = np.array([0.15, 0.05]), 1.5


def company(*, refunds: bool = True, recurring: bool = True, free: bool = True) -> tuple[Posterior, History]:
    """The company of two channels, with money beside its deals."""
    known, _ = fixture.rich()
    past = fixture.history({**fixture.TWO, "revenue": [25_000.0, 9_000.0], "refunds": [2_000.0, 500.0]})
    rng = np.random.default_rng(8)
    cells = ("draw", "channel")
    n = known.draws
    more = {}
    if refunds:
        more["refund_share"] = cells, SHARE * rng.uniform(0.8, 1.2, (n, 2))
        more["refund_delay"] = ("draw",), np.full(n, LATE)
        more["refund_size"] = ("draw",), np.full(n, 700.0)
    if recurring:
        more["recurring_level"] = cells, np.array([40_000.0, 0.0]) * rng.uniform(0.95, 1.05, (n, 2))
        more["recurring_growth"] = cells, np.full((n, 2), -0.02)
        more |= {f"recurring_{name}": (cells, np.full((n, 2), 0.01)) for name in ("drift", "noise")}
    if free:
        more["free_share"] = cells, np.broadcast_to([0.4, 0.1], (n, 2)).copy()
        more["free_spread"] = ("draw",), np.full(n, 0.2)
    return replace(known, data=known.data.assign(more)), past


@pytest.mark.parametrize(
    "only",
    ["all", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("refunds", "recurring", "free"))],
)
def test_both_roads_agree(only):
    """The expected road is the mean of the simulation, whatever money stands beside deals."""
    kinds = ("refunds", "recurring", "free")
    known, past = company(**{kind: only in (kind, "all") for kind in kinds})
    made = fixture.case(known, past)
    drawn = simulate(made, {"a": PLAN}, rng=np.random.default_rng(5), replicates=20).sel(plan="a")
    road = outcome(world_of(made, np.arange(known.draws)))
    for name, expected in (
        ("revenue", road.inside.sum(axis=1)),
        ("revenue_after_horizon", road.after),
        ("revenue_eventual", road.eventual),
    ):
        values = drawn[name].values
        values = values.sum(axis=1) if values.ndim == 3 else values
        gap, error = mean_and_error(values.reshape(known.draws, 20, 2).mean(axis=1) - expected)
        # 0.5 %: the noise of open cohorts, which the road has to second order
        assert (np.abs(gap) <= 4.5 * error + 0.005 * expected.mean(axis=0)).all(), (name, gap / error)


def test_net_is_gross_less_refunds_in_every_draw():
    """And all revenue is what comes from the pipeline, from new leads, and from earlier customers."""
    known, past = company()
    drawn, made = fixture.run(known, past, {"a": PLAN, "b": PLAN * 1.5})
    assert made.future.recurring is not None
    whole = drawn["revenue_gross"] - drawn["refunds"] + drawn["recurring"]
    assert np.allclose(drawn["revenue"], whole)
    parts = drawn["revenue_from_pipeline"] + drawn["revenue_from_new"] + drawn["recurring"]
    assert np.allclose(drawn["revenue"], parts)
    assert (drawn["recurring"].sel(plan="a") == drawn["recurring"].sel(plan="b")).all()
    assert (drawn["refunds"] >= 0).all()


def test_refunds_lie_where_their_delay_puts_them():
    """All that was and is sold is paid back at its share, once: inside the horizon, after it, or before today."""
    known, past = company(recurring=False, free=False)
    found = refunds_of(known, past, 3, slice(0, 5))
    assert found is not None
    law = refund_law(np.array(LATE), "month")
    ages = np.arange(len(law))
    left = (
        np.array([25_000.0, 9_000.0]) * (law * ages).sum()
    )  # of a steady past: due at age a for each a' < a
    assert np.allclose(found.owed.sum(axis=1), found.share * left)
    money = np.ones((2, 5, 4, 2))
    assert np.allclose(found.due(money).sum(axis=2), 4 * found.share)
    inside = found.due(money)[0, :, :3].sum(axis=1)
    assert np.allclose(inside, (1 - found.kept_inside(3)).sum(axis=1))


def test_a_budget_sees_what_is_kept():
    """Worth and revenue of traffic are net of refunds; inside the horizon of those that are due by then."""
    with_refunds, past = company(recurring=False, free=False)
    without, _ = company(refunds=False, recurring=False, free=False)
    net, gross = (response_of(fixture.case(known, past)) for known in (with_refunds, without))
    kept = 1 - with_refunds.array("refund_share")
    for measure in ("value", "revenue"):
        assert np.allclose(net.value(PLAN, measure), gross.value(PLAN, measure) * kept)
    inside: Array = net.value(PLAN, "inside") / gross.value(PLAN, "inside")
    assert ((kept < inside) & (inside < 1)).all()
    made = fixture.case(with_refunds, past)
    road = replace(world_of(made, np.arange(with_refunds.draws)), pipeline={})
    refunds = road.refunds
    assert refunds is not None
    road = replace(road, refunds=replace(refunds, owed=refunds.owed * 0.0))
    assert np.allclose(outcome(road).horizon, net.value(PLAN, "inside"), rtol=1e-6)


def test_deal_value_is_gross_and_what_it_leaves_is_named_net():
    """Unit economics: the value of a deal before refunds, and after them; the worth of a lead after them."""
    known, past = company(recurring=False, free=False)
    told = unit_measures(flow_of(fixture.case(known, past)), 0.6)
    kept = 1 - known.array("refund_share")
    assert np.allclose(told["deal_value"][:, :2].mean(axis=0), 5000.0, rtol=0.02)
    assert np.allclose(told["deal_value_net"][:, :2], told["deal_value"][:, :2] * kept)
    assert (told["worth_of_lead"][:, 0] < 0.4 * 0.25 * 5000.0 * 1.2).all()


def test_without_them_not_a_byte_moves():
    """A company without refunds, recurring revenue and free deals draws the same numbers as before there were any."""
    known, past = fixture.rich()
    plain, _ = fixture.run(known, past, PLAN)
    beside = past.counts.assign(recurring=past.counts["spend"] * 0.0)
    again, _ = fixture.run(known, replace(past, counts=beside), PLAN)
    assert plain.identical(again)
    assert not {"refunds", "recurring", "revenue_gross"} & set(plain)
    more, _ = company(refunds=False, free=False)
    there, _ = fixture.run(more, past, PLAN)
    assert np.array_equal(there["won"], plain["won"])


def test_value_and_refunds_of_sales_in_total_are_those_of_the_sum() -> None:
    """Every channel has the value and the share of all, period by period; what came is net and what is owed counts."""
    rng = np.random.default_rng(7)
    blank = np.full((24, 1), np.nan)
    won = rng.poisson(200.0, (24, 1)).astype(float)
    revenue = rng.gamma(won / 0.25) * 0.25 * 80.0
    back = 0.1 * np.concatenate([revenue[:1], revenue[:-1]]) * rng.gamma(50.0, 1.0 / 50.0, (24, 1))
    cells = {
        "won": np.concatenate([blank, won], axis=1),
        "revenue": np.concatenate([blank, revenue], axis=1),
        "refunds": np.concatenate([blank, back], axis=1),
        "spend": np.concatenate([rng.gamma(20.0, 250.0, (24, 1)), blank], axis=1),
    }
    past = replace(fixture.history(cells, channels=["search", BASE], periods=24), attributed=False)
    asked = fixture.study(funnel={"stages": ("won",)})
    known = preview(asked, past, seed=1, draws=500)
    assert known.data["deal_path"].shape[2] == 2
    for name, came, within in (("deal_mean", 80.0, 0.1), ("refund_share", 0.1, 0.2)):
        found = known.array(name)
        assert (found[:, 0] == found[:, 1]).all()
        assert found.mean() == pytest.approx(came, rel=within)
    plan = np.tile([5000.0, 0.0], (3, 1))
    case = case_of(asked, past, known, plan, np.random.default_rng(1))
    drawn = simulate(case, {"current": plan}, rng=np.random.default_rng(2))
    revenue_net = float(drawn["revenue"].sum(("period", "channel")).mean())
    assert revenue_net == pytest.approx(3 * 200 * 80 * 0.9, rel=0.1)
    expected = outcome(world_of(case, np.arange(known.draws))).horizon.sum(axis=1).mean()
    assert revenue_net == pytest.approx(expected, rel=0.02)
