"""How a run stands: sums by two roads, one sign, and what is not known is said to be not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from posterior_fixture import RATES, TWO, history, posterior, run, study

from forecast.backtest import account_of, earlier
from forecast.backtest.actuals import score_outlook
from forecast.backtest.standing import headline_measure, spend_rows, target_of
from forecast.history import History
from forecast.study import Study

COUNTS = TWO | {"revenue": [25000, 8000]}
TRAFFIC = [1000.0, 400.0]


@pytest.fixture(autouse=True)
def no_attribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference is taken apart elsewhere."""
    monkeypatch.setattr("forecast.backtest.actuals.attribution.attribute", lambda *_, **__: ({}, []))


def stands(
    now: History, known: int, horizon: int, asked: Study, target: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A run made when so many periods were known, of constants, as it stands now."""
    past = now.as_of(now.periods[known - 1])
    constants: dict[str, Any] = {"draws": 300, "traffic": TRAFFIC, "traffic_noise": 0.1} | more
    rates = constants.pop("rates", RATES)
    spend = np.array(now.spend[known - horizon : known])
    outlook, made = run(posterior(past, rates, **constants), past, spend)
    followed = outlook.sel(plan="given")
    found = score_outlook(asked, now, followed, past.labels[-1])
    summary = {"name": asked.name, "as_of": past.labels[-1], "horizon": made.labels, "target": target}
    return found | account_of(asked, now, posterior(now, rates, **constants), summary, followed, found)


def rows_of(told: dict[str, Any]) -> dict[str, Any]:
    """Rows by measure."""
    return {row["measure"]: row for row in told["rows"]}


def test_a_running_quarter_is_what_came_and_what_comes():
    """One month of three: sums by both roads, the chance of the target now, the year, a dated goal."""
    goal = {"by": "2026-12", "from": "2026-01", "revenue": 400_000.0}
    asked = study(goal=(goal,), economics={"gross_margin": 0.6})
    now = history(COUNTS, periods=16)  # to 2026-04
    told = stands(now, 15, 3, asked, {"measure": "revenue", "amount": 100_000.0})
    assert (told["come"], told["running"]["left"]) == (["2026-04"], ["2026-05", "2026-06"])
    for measure, so_far in (("won", 7.0), ("revenue", 33_000.0)):
        row = rows_of(told["running"])[measure]
        assert row["so_far"] == so_far
        assert row["now_mean"] == pytest.approx(so_far + row["rest_mean"])
        assert row["now_q10"] == pytest.approx(so_far + row["rest_q10"])
        assert row["from_pipeline"] + row["from_new"] == pytest.approx(row["rest_mean"])
    year = rows_of(told["year"])["revenue"]
    assert (told["year"]["come"], len(told["year"]["rest"]), told["year"]["whole"]) == (
        ["2026-01", "2026-02", "2026-03", "2026-04"], 8, True,
    )  # fmt: skip
    assert year["mean"] == pytest.approx(4 * 33_000 + year["rest_mean"])
    (row,) = told["goals"]
    assert (row["so_far"], row["mean"]) == pytest.approx((4 * 33_000, year["mean"]))
    assert 0 <= row["p"] <= 1
    assert told["revision"]["periods"] == ["2026-07", "2026-08", "2026-09"]
    assert told["target"]["met"] is None
    assert 0 <= told["running"]["p_now"] <= 1


def test_a_forecast_too_high_is_a_negative_difference():
    """All has come, half of what was planned: one sign in headline, rows and target."""
    after = np.arange(15)[:, None] >= 12
    now = history({k: np.where(after, 0.5, 1.0) * v for k, v in COUNTS.items()}, periods=15)
    told = stands(now, 12, 3, study(), {"measure": "revenue", "amount": 90_000.0})
    head = told["headline"]
    assert head["difference"] == pytest.approx(head["actual"] - head["plan"])
    assert head["difference"] < 0 > head["share"]
    assert head["actual"] == 3 * 16_500
    assert told["running"] is told["revision"] is None
    assert told["target"]["met"] is False
    assert told["target"]["difference"] == 3 * 16_500 - 90_000
    whole = [r for r in told["scores"] if r["period"] == r["channel"] == "total"]
    assert all(r["difference"] == pytest.approx(r["came"] - r["mean"]) for r in told["scores"])
    assert all(r["difference"] < 0 for r in whole)
    spend = next(r for r in told["spend"] if r["period"] == r["channel"] == "total")
    assert spend["difference"] == pytest.approx(spend["actual"] - spend["plan"]) == pytest.approx(-6000)
    parts = sum(r["actual"] for r in told["spend"] if "total" not in (r["period"], r["channel"]))
    assert parts == spend["actual"]


def test_wins_alone_and_no_spend():
    """No revenue, no spend: wins are what it is judged by."""
    now = history({k: v for k, v in TWO.items() if k != "spend"}, periods=15)
    told = stands(now, 12, 3, study(), deal_mean=None)
    assert told["headline"]["measure"] == "won"
    assert told["spend"] == []
    assert told["target"] is None
    assert list(rows_of(told["year"])) == ["won"]


def test_weeks():
    """A run of 13 weeks, four of which have come; the year is that of the last week."""
    now = history(COUNTS, periods=60, period="week", first="2025-01-06")
    told = stands(now, 56, 13, study(), draws=60)
    assert len(told["come"]) == 4
    assert len(told["running"]["left"]) == 9
    assert told["year"]["come"][0] == "2026-W01"
    assert told["year"]["rest"][-1] == "2026-W53"
    row = rows_of(told["year"])["won"]
    assert row["mean"] == pytest.approx(row["so_far"] + row["rest_mean"])


def test_a_part_is_never_taken_for_the_whole():
    """An empty cell of wins in a month that has come: so far is not known, and the chance of the target neither."""
    counts = {k: np.broadcast_to(np.asarray(v, dtype=float), (14, 2)).copy() for k, v in COUNTS.items()}
    counts["won"][13, 1] = counts["revenue"][13, 1] = np.nan
    told = stands(history(counts, periods=14), 12, 3, study(), {"measure": "won", "amount": 20.0})
    assert rows_of(told["running"])["won"]["so_far"] is None
    assert "now_mean" not in rows_of(told["running"])["won"]
    assert told["running"]["p_now"] is None
    assert rows_of(told["year"])["won"]["so_far"] is None
    assert told["headline"]["measure"] == "qualified"


def test_who_is_open_is_counted_where_leads_are_dated():
    """Of twelve cohorts, those that have not moved."""
    triangle = np.zeros((12, 12, 2), dtype=np.int64)
    triangle[:, 0] = (5, 2)
    now = history(TWO, counting="leads", triangles={"won": triangle})
    told = stands(now, 11, 2, study())
    assert told["running"]["open"] == [{"stage": "qualified", "next": "won", "units": 12 * (15 + 6)}]


def test_a_target_is_that_of_the_run():
    """Its summary has it; a run of before is asked of the study, where it is the same one."""
    asked = study(name="a", plan={"periods": 3, "target": {"won": 9}})
    told = {"measure": "revenue", "amount": 5.0}
    assert target_of({"name": "b", "target": told}, asked, ["1", "2", "3"]) == told
    assert target_of({"name": "a"}, asked, ["1", "2", "3"]) == {"measure": "won", "amount": 9}
    assert target_of({"name": "a"}, asked, ["1", "2"]) is None
    assert target_of({"name": "b"}, asked, ["1", "2", "3"]) is None


def test_spend_of_channels_that_began_later():
    """Nothing was planned for them, and they count."""
    spend = np.array([[10.0, np.nan]] * 12 + [[10.0, 5.0]])
    now = history(TWO | {"spend": spend}, periods=13)
    past = replace(now.as_of(now.periods[11]))
    outlook, _ = run(posterior(past, RATES, draws=20), past, np.full((1, len(past.channels)), 10.0))
    rows = spend_rows(outlook.sel(plan="given"), now, ["2026-01"])
    assert next(r for r in rows if r["period"] == r["channel"] == "total")["actual"] == 15.0


def test_what_is_judged():
    """The target's measure where it is known whole, else revenue, wins, the last stage."""
    rows = [{"measure": m, "period": "total", "channel": "total"} for m in ("leads", "won", "revenue")]
    assert headline_measure(rows, {"measure": "won"}) == "won"
    assert headline_measure(rows, None) == "revenue"
    assert headline_measure(rows[:1], {"measure": "won"}) == "leads"
    assert headline_measure([], None) is None


def block(first: str, last: str) -> dict[str, Any]:
    """A row of a backtest."""
    quantiles = {f"q{n:02d}": float(n) for n in (5, 10, 25, 50, 75, 90, 95)}
    inside = {f"inside{n}": True for n in (50, 80, 90)}
    return {"origin": "-", "first": first, "last": last, "mean": 50.0, "came": 40.0} | quantiles | inside


def test_earlier_horizons_of_a_saved_backtest():
    """Those that overlap each other or the run are left out; the run itself comes last once it is over."""
    ends = [("2025-06", "2025-08"), ("2025-08", "2025-10"), ("2025-09", "2025-11"), ("2025-12", "2026-02")]
    saved = {"measure": "won", "horizon": 3, "spend": "actual", "rows": [block(*each) for each in ends]}
    head = block("", "") | {"measure": "won", "plan": 50.0, "actual": 40.0}
    told = {"headline": head, "as_of": "2025-11", "come": ["a", "b", "c"],
            "horizon": ["2025-12", "2026-01", "2026-02"]}  # fmt: skip
    now = history(TWO)
    found = earlier(study(), now, told, saved)
    assert [(r["first"], r["own"]) for r in found["rows"]] == [
        ("2025-06", False), ("2025-09", False), ("2025-12", True),
    ]  # fmt: skip
    assert found["by"] == "backtest"
    running = earlier(study(), now, told | {"come": ["a"]}, saved, blocks=1)
    assert [r["first"] for r in running["rows"]] == ["2025-09"]
    short = earlier(study(), history(TWO, periods=12), told | {"as_of": "2025-11"}, None)
    assert [r["own"] for r in short["rows"]] == [True]  # twelve months are too few for an origin before them
    assert short["by"] == ""
    assert earlier(study(), now, told | {"headline": None}, saved)["rows"] == []


def test_earlier_horizons_without_a_backtest():
    """Forecast anew from what was known then: nothing of the run's horizon is in it."""
    rng = np.random.default_rng(5)
    now = history({"won": rng.poisson(30, (30, 2)), "revenue": 1.0}, periods=30)
    head = block("", "") | {"measure": "won", "plan": 50.0, "actual": 40.0}
    told = {
        "headline": head,
        "as_of": now.labels[26],
        "come": now.labels[27:30],
        "horizon": now.labels[27:30],
    }
    found = earlier(study(), now, told, None, blocks=2)
    then = now.came("won")[24:27].sum()
    assert [(r["first"], r["came"]) for r in found["rows"]] == [
        (now.labels[24], then), (now.labels[27], 40.0),
    ]  # fmt: skip
    assert found["by"] == "preview"
    assert pd.notna(found["rows"][0]["q10"])
