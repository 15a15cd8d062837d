"""Events and changes that the study states, in the forecast: what they move, where, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from posterior_fixture import PLAN, case, history, mean_and_error, posterior, rich, study

from forecast.budget import response_of
from forecast.outlook.case import Case
from forecast.outlook.expectation import deal_value, earned, in_the_end, inside_share, outcome, world_of
from forecast.outlook.moving import known_table
from forecast.outlook.simulation import simulate

ALL = np.arange(300)


def asked(**tables: Any) -> Any:
    """A study with a margin, and what it states."""
    return study(economics={"gross_margin": 0.6}, **tables)


def made(**tables: Any) -> Case:
    """The rich company, 2025-01 to 2025-12, under a study that states something."""
    known, past = rich()
    return case(known, past, PLAN, asked(**tables))


def change(**what: Any) -> dict[str, Any]:
    """A change from the first period of the horizon on."""
    return {"change": ({"from": "2026-01"} | what,)}


def test_a_price_known_exactly_multiplies_revenue():
    """Price +8 % from the first period of the horizon: every draw's revenue is 1.08 times that without."""
    plain, dearer = made(), made(**change(price={"times": 1.08}))
    before, after = (outcome(world_of(one, ALL)) for one in (plain, dearer))
    for name in ("inside", "after", "eventual", "carried"):
        assert np.allclose(getattr(after, name), 1.08 * getattr(before, name), rtol=1e-12)
    draws = [
        simulate(one, {"a": PLAN}, rng=np.random.default_rng(2), replicates=1) for one in (plain, dearer)
    ]
    for name in ("revenue", "revenue_after_horizon", "revenue_eventual"):
        assert np.allclose(draws[1][name], 1.08 * draws[0][name], rtol=1e-9)
    assert np.array_equal(draws[1]["won"], draws[0]["won"])


def test_a_price_from_the_second_period_on_leaves_the_first_alone():
    """The factor holds from its period on, and after the horizon."""
    parts = ({"from": "2026-02", "price": {"times": 2.0}},)
    before, after = (outcome(world_of(one, ALL)) for one in (made(), made(change=parts)))
    assert np.array_equal(after.inside[:, 0], before.inside[:, 0])
    assert np.allclose(after.inside[:, 1:], 2.0 * before.inside[:, 1:], rtol=1e-12)
    assert np.allclose(after.after, 2.0 * before.after, rtol=1e-12)


def test_traffic_and_rates_of_a_channel_alone():
    """A change of one channel leaves the other as it was, to the bit."""
    plain = made()
    more = made(**change(traffic={"times": 1.5}, rate={"won": {"times": 0.5}}, channels=("one",)))
    first, then = plain.future, more.future
    assert np.allclose(np.exp(then.log_traffic - first.log_traffic)[..., 0], 1.5)
    assert np.allclose(then.rates["won"][..., 0], 0.5 * first.rates["won"][..., 0])
    assert np.allclose(np.exp(then.tail_traffic - first.tail_traffic)[..., 0], 1.5)
    assert np.array_equal(then.log_traffic[..., 1], first.log_traffic[..., 1])
    assert np.array_equal(then.rates["won"][..., 1], first.rates["won"][..., 1])
    assert np.array_equal(then.rates["qualified"], first.rates["qualified"])


@pytest.mark.parametrize("moves", ["traffic", "value", "rate.won"])
def test_an_event_of_size_one_known_exactly_changes_nothing(moves):
    """Not a byte of what is simulated."""
    event = {"name": "fair", "periods": ("2026-02",), "moves": moves, "size": {"times": 1.0}}
    both = [
        simulate(one, {"a": PLAN}, rng=np.random.default_rng(2)) for one in (made(), made(event=(event,)))
    ]
    assert both[0].identical(both[1])


def test_an_event_in_the_last_period_does_not_go_on():
    """What enters a stage after the horizon has the rates and the value of an ordinary period."""
    event = {"name": "fair", "periods": ("2026-03",), "moves": ("value",), "size": {"times": 3.0}}
    rate = {"name": "sale", "periods": ("2026-03",), "moves": ("rate.won",), "size": {"times": 2.0}}
    before, after = (outcome(world_of(one, ALL)) for one in (made(), made(event=(event,))))
    assert np.allclose(after.inside[:, 2], 3.0 * before.inside[:, 2])
    assert np.array_equal(after.inside[:, :2], before.inside[:, :2])
    assert np.allclose(after.after, before.after)
    sold = made(event=(rate,))
    assert np.allclose(sold.future.rates["won"][:, 2], 2.0 * made().future.rates["won"][:, 2])
    assert np.allclose(
        sold.future.rates["won"][:, 2] * sold.future.after["won"], made().future.rates["won"][:, 2]
    )


def test_both_roads_agree_on_what_is_stated():
    """The mean of the simulation is the expectation, with doubt about a size, by event and change together."""
    event = {"name": "fair", "periods": ("2026-02",), "moves": "traffic", "size": {"times": (2.0, 4.0)}}
    sale = {"name": "sale", "periods": ("2026-03",), "moves": "rate.won", "size": {"times": (1.2, 1.6)}}
    one = made(
        event=(event, sale),
        change=(
            {"from": "2026-02", "price": {"times": (1.05, 1.11)}, "rate": {"qualified": {"times": 1.2}}},
        ),
    )
    expected = outcome(world_of(one, ALL))
    draws = simulate(one, {"a": PLAN}, rng=np.random.default_rng(2), replicates=8)
    shape = (300, 8, 3, 2)
    for measure, values in (("revenue", expected.inside), ("won", expected.units["won"])):
        came = draws[measure].values[0].reshape(shape).mean(axis=1)
        mean, error = mean_and_error(came - values)
        assert (np.abs(mean) < 4.5 * error + 0.01 * values.mean(axis=0)).all()


def test_what_a_visitor_is_worth_follows_the_price_of_its_win():
    """With delays, a price to come reaches visitors from before it; by the expected road of the whole plan."""
    one = made(change=({"from": "2026-02", "price": {"times": 2.0}, "rate": {"won": {"times": 1.5}}},))
    whole = outcome(world_of(one, ALL))
    inside, later = one.traffic()
    worth = earned(one)
    brought = (inside * worth[:, :-1]).sum(axis=1) + later * worth[:, -1]
    assert np.allclose(brought, whole.eventual, rtol=1e-9)
    assert (deal_value(one) > 1.2 * deal_value(made())).all()
    assert (in_the_end(one)[:, 0] > in_the_end(made())[:, 0]).all()
    new = whole.won[1, :, :-1] * one.future.value
    assert np.allclose((inside * inside_share(one, valued=True)).sum(axis=1), new.sum(axis=1), rtol=1e-9)


def test_the_budget_sees_a_price_that_is_known():
    """What spend brings is worth 1.08 times as much."""
    plain, dearer = (response_of(one) for one in (made(), made(**change(price={"times": 1.08}))))
    for measure in ("value", "revenue", "inside"):
        assert np.allclose(dearer.value(PLAN, measure), 1.08 * plain.value(PLAN, measure), rtol=1e-9)
    assert np.allclose(dearer.value(PLAN, "wins"), plain.value(PLAN, "wins"))


def test_a_rate_never_passes_one():
    """Ten times a rate of 40 % is all of them."""
    assert made(**change(rate={"qualified": {"times": 10.0}})).future.rates["qualified"].max() == 1.0


def test_what_is_told_is_what_is_held():
    """A row for each thing that moves, with its factor and where it comes from."""
    event = {
        "name": "fair",
        "yearly": (2, 11),
        "moves": "traffic",
        "channels": ("two",),
        "size": {"times": (2, 3)},
    }
    one = made(event=(event,), change=({"from": "2026-03", "price": {"times": 1.08}},))
    rows = known_table(one).to_dict("records")
    assert [row["name"] for row in rows] == ["fair", "change from 2026-03"]
    assert rows[1]["moves"] == "deal value"
    assert (rows[1]["q10"], rows[1]["q50"], rows[1]["when"]) == (
        pytest.approx(1.08),
        pytest.approx(1.08),
        "from 2026-03 on",
    )
    assert known_table(made()).empty


def test_an_event_before_its_first_time_is_not_known():
    """A past that has not seen an event yet, and whose study leaves its size to the data, forecasts without it."""
    past = history({"visitors": 1000, "won": 50}, periods=6, first="2025-01-01")
    known = posterior(past, {"won": 0.05}, draws=50)
    event = {"name": "fair", "yearly": (8,), "moves": "traffic"}
    plan = np.zeros((3, 2))
    plain, other = (case(known, past, plan, asked(**more)) for more in ({}, {"event": (event,)}))
    assert np.array_equal(plain.future.log_traffic, other.future.log_traffic)
