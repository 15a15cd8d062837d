"""Sensitivity and the split of the variance: elasticities that are known, parts that add up, truths recovered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from posterior_fixture import DELAYS, PLAN, RATES, TWO, case, history, posterior, rich, study

from forecast.outlook.drivers import bottleneck, sensitivity, shapley, variance_parts
from forecast.outlook.scenarios import Base, base_of
from forecast.outlook.simulation import simulate


def _base(known, past, **economics) -> Base:
    return base_of(case(known, past, PLAN, study(economics={"gross_margin": 0.6, **economics})))


def _total(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    return table[(table["channel"] == "total") & (table["measure"] == measure)]


def test_every_rate_traffic_and_value_has_an_elasticity_of_one_in_the_end():
    """The funnel is a product: 10 % of any factor is 10 % of what the horizon's cohorts bring."""
    table = sensitivity(_base(*rich()))
    chosen = _total(table, "revenue_eventual")
    ups = chosen[(chosen["change"] == "+10 %")]
    assert len(ups) == 5
    assert ups["elasticity"].to_numpy() == pytest.approx(np.ones(5))
    faster = chosen[chosen["lever"] == "delay"]
    assert (
        faster["elasticity"].abs().max() < 5e-3
    )  # rates and values walk on, so when one enters matters a little


def test_inside_the_horizon_late_stages_and_faster_sales_count_most():
    """Traffic of the last periods is not through yet; the close rate reaches whoever qualifies, old leads included."""
    table = _total(sensitivity(_base(*rich())), "revenue").set_index(["lever", "stage"])
    ups = table[table["change"] == "+10 %"]["mean"]
    assert ups["traffic", "visitors"] < ups["rate", "won"] < ups["value", ""]
    assert ups["value", ""] == pytest.approx(0.1 * _base(*rich()).made.horizon.sum(axis=1).mean())
    assert (table[table["change"] == "-10 %"]["mean"] > 0).all()


def test_one_point_is_a_point():
    """5 % to 6 % of the leads: a fifth more in the end."""
    past = history(TWO)
    known = posterior(past, RATES, draws=50)
    table = _total(sensitivity(_base(known, past)), "revenue_eventual")
    row = table[(table["change"] == "+1 point") & (table["stage"] == "leads")].iloc[0]
    tenth = table[(table["change"] == "+10 %") & (table["stage"] == "leads")].iloc[0]
    assert row["mean"] == pytest.approx(2 * tenth["mean"])


def test_channels_add_up_to_the_total():
    """Without a limit of sales each channel's lever is its own."""
    table = sensitivity(_base(*rich()))
    for _, rows in table[table["lever"] == "rate"].groupby(["stage", "change", "measure"]):
        by = rows.set_index("channel")["mean"]
        assert by["one"] + by["two"] == pytest.approx(by["total"])


def test_sales_at_their_limit_are_the_bottleneck():
    """Where far more qualify than sales can take, more traffic brings next to nothing, more room its tenth."""
    past = history(TWO)
    known = posterior(past, RATES, draws=50, traffic=[1000.0, 400.0])
    table = sensitivity(_base(known, past, capacity=9.0, capacity_decay=0.5))
    assert bottleneck(table)["lever"] == "capacity"
    inside = _total(table, "revenue").set_index(["lever", "stage"])
    assert inside.loc[("capacity", ""), "elasticity"].item() == pytest.approx(1.0)
    assert inside.loc[("traffic", "visitors"), "elasticity"].item() == pytest.approx(0.0, abs=1e-6)


def _parts(known, past, *, replicates: int = 2) -> pd.DataFrame:
    base = _base(known, past)
    outlook = simulate(base.case, {"given": PLAN}, rng=np.random.default_rng(2), replicates=replicates)
    return variance_parts(base, outlook, "given", seed=1).set_index("source")


def test_the_parts_of_the_variance_add_up_to_that_of_the_forecast():
    """Shares sum to one, and the sum is the variance of the simulated revenue within its Monte Carlo error."""
    known, past = rich()
    table = _parts(known, past, replicates=4)
    sources = table.drop(index=["total", "forecast"])
    assert sources["share"].sum() == pytest.approx(1.0)
    assert sources["variance"].sum() == pytest.approx(table.loc["total", "variance"])
    error = np.sqrt(2 / known.draws) * 1.5
    assert table.loc["forecast", "variance"] == pytest.approx(table.loc["total", "variance"], rel=3 * error)


def test_what_alone_is_in_doubt_has_the_whole_variance_but_chance():
    """With one uncertain ingredient and many units all of the variance is its own."""
    past = history(TWO)
    spread = np.random.default_rng(3).normal(0.0, 0.3, (300, 1))
    cases = {
        "traffic": {"traffic": 1e5 * np.exp(spread)},
        "deal value": {"traffic": 1e5, "deal_mean": 5000 * np.exp(spread)},
    }
    for source, given in cases.items():
        table = _parts(past=past, known=posterior(past, RATES, draws=300, delays=DELAYS, **given))
        assert table.loc[source, "share"] > 0.9
        others = table.drop(index=[source, "total", "forecast"])
        assert (others["share"].abs() < 0.1).all()
    rate = {**RATES, "won": 0.25 * np.exp(spread[:, :, None])}
    table = _parts(past=past, known=posterior(past, rate, draws=300, delays=DELAYS, traffic=1e5))
    both = table.loc["rate: won", "share"] + table.loc["open pipeline", "share"]
    assert both > 0.9


def test_where_all_is_known_chance_is_all():
    """Constants in every draw: only luck is left, and its parts are told by kind."""
    past = history(TWO)
    table = _parts(posterior(past, RATES, draws=200, delays=DELAYS, traffic=1000.0), past)
    luck = table.loc[["chance: open pipeline", "chance: new units"], "share"]
    assert luck.sum() == pytest.approx(1.0)
    assert (luck > 0.1).all()


def test_shapley_values_add_up_and_are_fair():
    """Additive blocks get their own, two that only work together share, one that does nothing gets nothing."""

    def value(swapped: frozenset[str]) -> np.ndarray:
        both = 6.0 * ({"a", "b"} <= swapped)
        return np.array([both + 2.0 * ("c" in swapped), 1.0 * ("a" in swapped)])

    found = shapley(value, ["a", "b", "c", "d"])
    assert found["a"] == pytest.approx([3.0, 1.0])
    assert found["b"] == pytest.approx([3.0, 0.0])
    assert found["c"] == pytest.approx([2.0, 0.0])
    assert found["d"] == pytest.approx([0.0, 0.0])
    pair = shapley(value, list(found), ["abcd", "dcba"])
    assert [list(share) for share in pair.values()] == [list(share) for share in found.values()]
