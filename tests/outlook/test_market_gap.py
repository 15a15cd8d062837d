"""Rates against the market: who lies below, and what closing the gap brings, by hand and on made companies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from posterior_fixture import DELAYS, PLAN, RATES, TWO, case, history, posterior, run, study

from forecast.outlook.drivers import GAP_COLUMNS, gap_table, largest, position
from forecast.outlook.unit_economics import flow_of


def gaps(
    rates: dict[str, Any], market: str = "b2b", channels: dict[str, Any] | None = None, **given: Any
) -> tuple[pd.DataFrame, Any]:
    """The table of a company with these rates, and its expected flow."""
    past = history(TWO)
    known = posterior(past, rates, draws=200, traffic=[1000.0, 400.0], elasticity=0.5, **given)
    made = case(known, past, PLAN, study(funnel={"market": market}, channels=channels or {}))
    flow = flow_of(made)
    return gap_table(made, flow).set_index(["channel", "stage", "aim"]), flow


def test_from_3_to_3_and_a_half_percent_is_a_sixth_more():
    """A conversion of 3 % lifted to the middle of 2 to 5 % brings a sixth more wins; it lies inside the range."""
    table, flow = gaps({"leads": 0.03, "qualified": 0.4, "won": 0.25})
    row = table.loc[("total", "leads", "middle")]
    assert row["won_eventual"] == pytest.approx(flow.units["won"].sum(axis=1).mean() * 0.5 / 3)
    assert row["revenue_eventual"] == pytest.approx(5_000.0 * row["won_eventual"])
    assert table.loc[("total", "leads", "low end"), "won_eventual"] == pytest.approx(0.0, abs=1e-9)
    assert (row["position"], row["p_below"], row["p_above"]) == ("inside", 0.0, 0.0)


def test_twice_the_rate_is_twice_the_wins():
    """Qualification of 15 %: the low end of 30 to 50 % doubles everything, now and in the end."""
    table, flow = gaps({"leads": 0.03, "qualified": 0.15, "won": 0.25}, delays=DELAYS)
    row = table.loc[("total", "qualified", "low end")]
    assert row["position"] == "below"
    assert row["p_below"] == 1.0
    assert row["won_eventual"] == pytest.approx(flow.units["won"].sum(axis=1).mean())
    assert 0 < row["won"] < row["won_eventual"]


def test_the_gain_inside_the_horizon_is_what_a_simulation_of_both_gives():
    """Two roads: the closed form, and simulated new wins with the rate lifted less those without."""
    past, low = history(TWO), RATES | {"qualified": 0.15}
    known = {
        q: posterior(past, low | {"qualified": q}, draws=2000, delays=DELAYS, traffic=[1000.0, 400.0])
        for q in (0.15, 0.3)
    }
    new = {
        q: run(one, past, PLAN)[0]["won_from_new"].sum(["period", "channel"]).values
        for q, one in known.items()
    }
    gain = new[0.3] - new[0.15]
    table, _ = gaps(low, delays=DELAYS)
    # elasticity 0.5 at spend as in the past: the same traffic in both
    assert table.loc[("total", "qualified", "low end"), "won"] == pytest.approx(
        gain.mean(), abs=4 * gain.std() / np.sqrt(gain.size)
    )


def test_a_rate_that_is_not_known_has_a_chance_and_a_gain():
    """Half of the draws below: P(below) one half; the gain is of those draws, and the band starts at nothing."""
    rate = np.where(np.arange(200) < 100, 0.01, 0.04)[:, None, None]
    table, _ = gaps({"leads": rate, "qualified": 0.4, "won": 0.25})
    row = table.loc[("one", "leads", "low end")]
    assert row["p_below"] == 0.5
    assert row["position"] == "unclear"
    assert row["won_eventual_q10"] == 0.0
    assert row["won_eventual"] > 0


def test_channels_add_up_and_the_largest_gap_is_named():
    """The total lifts every channel; of the stages the one with the largest gain is found."""
    table, _ = gaps({"leads": 0.03, "qualified": 0.2, "won": 0.24})
    frame = table.reset_index()
    for stage in ("leads", "qualified", "won"):
        rows = frame[(frame["stage"] == stage) & (frame["aim"] == "middle")].set_index("channel")
        assert rows.loc["total", "revenue"] == pytest.approx(rows.loc[["one", "two"], "revenue"].sum())
    assert largest(frame)["stage"] == "qualified"


def test_e_mail_is_compared_with_e_mail():
    """2.4 % of e-mail visitors in b2b, 2.8 % in b2c: 2 % lies below both and would gain a fifth, or two fifths."""
    for market, published in (("b2b", 0.024), ("b2c", 0.028)):
        table, flow = gaps(
            {"leads": 0.02, "qualified": 0.4, "won": 0.25}, market=market, channels={"two": {"kind": "email"}}
        )
        row = table.loc[("two", "leads", "middle")]
        assert (row["benchmark_low"], row["aim_rate"], row["position"]) == (published, published, "below")
        assert row["won_eventual"] == pytest.approx(flow.units["won"][:, 1].mean() * (published / 0.02 - 1))
        assert table.loc[("one", "leads", "middle"), "benchmark_low"] < 0.024


def test_without_a_market_there_is_nothing_to_compare():
    """Market "none" publishes nothing; without deal values gains are wins alone."""
    past = history(TWO)
    known = posterior(past, RATES, draws=20, traffic=[1000.0, 400.0], deal_mean=None)
    now, asked = (case(known, past, PLAN, one) for one in (study(), study(funnel={"market": "b2b"})))
    none = gap_table(now, flow_of(now))
    assert none.empty
    assert list(none.columns) == GAP_COLUMNS
    b2b = gap_table(asked, flow_of(asked))
    assert b2b["revenue"].isna().all()
    assert largest(b2b)["stage"] in ("leads", "qualified", "won")


@pytest.mark.parametrize(
    ("below", "above", "place"),
    [(0.9, 0.0, "below"), (0.0, 0.85, "above"), (0.05, 0.1, "inside"), (0.5, 0.0, "unclear")],
)
def test_positions(below, above, place):
    """Four in five decides."""
    assert position(below, above) == place
