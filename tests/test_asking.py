"""Chances and tables asked of a forecast: the numbers of its tables, by another road."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import forecast
from forecast.errors import UsageError
from forecast.planning import Forecast


@pytest.fixture(scope="module")
def made(fit_by_hand: Path) -> Forecast:
    """The small company and its posterior of known constants."""
    study = forecast.load_study(fit_by_hand.with_suffix(".toml"))
    return forecast.forecast(study, forecast.read_history(study), forecast.load_posterior(fit_by_hand))


def test_the_chance_of_the_target_is_that_of_the_first_page(made: Forecast):
    """Of both plans; above and below share all draws."""
    assert made.p("revenue", above=40_000) == made.headline["p_target"]
    assert made.p("revenue", above=40_000, plan="recommended") == made.headline["p_target_recommended"]
    assert made.p("revenue", below=40_000) == pytest.approx(1.0 - made.headline["p_target"])


def test_a_chance_between_is_the_difference_of_two(made: Forecast):
    """P(a <= x < b) = P(x >= a) - P(x >= b), in total, of a channel and of a period."""
    some = {"channel": "ppc"}, {"period": "2026-08"}, {"channel": "seo", "period": "2026-07"}
    for where, low, high in (({}, 22, 28), (some[0], 8, 14), (some[1], 6, 10), (some[2], 1, 4)):
        both = made.p("won", above=low, below=high, **where)
        assert both == pytest.approx(made.p("won", above=low, **where) - made.p("won", above=high, **where))
        assert 0.0 < both < 1.0


def test_chances_by_period_and_channel_are_those_of_each(made: Forecast):
    """A Series with the names that tables have."""
    by_period, by_channel = made.p("revenue", above=15_000, by="period"), made.p("won", above=9, by="channel")
    assert not isinstance(by_period, float)
    assert not isinstance(by_channel, float)
    assert by_period.index.tolist() == made.case.labels
    assert by_channel.index.tolist() == made.case.channels
    for label, share in by_period.items():
        assert share == made.p("revenue", above=15_000, period=str(label))
    for name, share in by_channel.items():
        assert share == made.p("won", above=9, channel=str(name))
    own = made.p("won", above=3, by="period", channel="ppc")
    assert not isinstance(own, float)
    assert own["2026-08"] == made.p("won", above=3, channel="ppc", period="2026-08")


@pytest.mark.parametrize("of", ["mean", "sd", "q10", "q95"])
def test_a_frame_holds_the_cells_of_the_table(made: Forecast, of: str):
    """Periods as rows, channels as columns, no totals."""
    table = made.table("revenue").data.frame.pivot(index="period", columns="channel", values=of)
    found = made.frame("revenue", of=of)
    assert found.index.tolist() == made.case.labels
    assert found.columns.tolist() == made.case.channels
    np.testing.assert_allclose(found, table.loc[found.index, found.columns])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"measure": "revenu", "above": 1}, 'there is no measure "revenu".*did you mean "revenue"'),
        ({"measure": "won"}, "expected above=..., below=..., or both"),
        ({"measure": "won", "above": 1, "channel": "pcp"}, 'no channel "pcp"; there are ppc, seo'),
        ({"measure": "won", "above": 1, "period": "2030-01"}, 'no period "2030-01"; there are 2026-07'),
        ({"measure": "won", "above": 1, "plan": "best"}, 'no plan "best"; there are given, recommended'),
        ({"measure": "won", "above": 1, "by": "stage"}, 'no by "stage"; there are period, channel'),
        ({"measure": "won", "above": 1, "by": "channel", "channel": "ppc"}, "give one of them"),
        ({"measure": "revenue_after_horizon", "above": 1, "by": "period"}, "has no periods"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(made: Forecast, asked: dict[str, Any], said: str):
    """Never a KeyError."""
    with pytest.raises(UsageError, match=said):
        made.p(**asked)


def test_a_frame_of_what_is_not_there_is_refused(made: Forecast):
    """The same words."""
    with pytest.raises(UsageError, match='no measure "wons"'):
        made.frame("wons")
    with pytest.raises(UsageError, match='no of "median"; there are mean, sd, q05'):
        made.frame("won", of="median")
    with pytest.raises(UsageError, match="has no periods"):
        made.frame("won_after_horizon")


def test_forecasts_of_two_plans_are_compared_on_common_random_numbers(made: Forecast):
    """The same rows as of the plans; draws of one forecast less those of the other are mostly noise."""
    case, plan = made.case, made.case.plan
    more = forecast.forecast(case.study, case.history, case.posterior, plan=1.1 * plan)
    apart = forecast.compare({"as planned": made, "more": more})
    together = forecast.compare({"as planned": plan, "more": 1.1 * plan}, made)
    assert apart.equals(together)
    assert forecast.compare([made, 1.1 * plan]).drop(columns="plan").equals(apart.drop(columns="plan"))
    row = apart[(apart["measure"] == "revenue") & (apart["plan"] == "more")].iloc[0]
    one, two = (
        each.draws["revenue"].sel(plan="given").sum(["period", "channel"]).values for each in (made, more)
    )
    own = row["difference_q90"] - row["difference_q10"]
    assert own < 0.4 * np.diff(np.quantile(two - one, [0.1, 0.9]))[0]


def test_forecasts_of_two_beliefs_have_no_band_of_their_difference(made: Forecast):
    """Their draws do not belong together: what differs is the mean."""
    case = made.case
    other = forecast.forecast(case.study, case.history, case.posterior, seed=2)
    found = forecast.compare({"one": made, "other": other})
    rows = found[found["measure"] == "won"].set_index("plan")
    assert rows.loc["other", "difference"] == pytest.approx(
        rows.loc["other", "mean"] - rows.loc["one", "mean"]
    )
    assert found[["difference_q10", "difference_q90", "p_above"]].isna().all(axis=None)
    longer = case.study.replace({"plan.periods": 2})
    with pytest.raises(UsageError, match="longer: expected a forecast of 2026-07 to 2026-09"):
        forecast.compare({"one": made, "longer": forecast.forecast(longer, case.history, case.posterior)})
    with pytest.raises(UsageError, match="expected a forecast to try the plans in"):
        forecast.compare([case.plan])
