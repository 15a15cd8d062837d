"""Plan and actual on a page: one sign, sums that add up, lines that fit, whatever the run was of."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from forecast.checks import Check
from forecast.report import score_page, terminal_text, write_score
from forecast.report.pages.standing import score_report
from forecast.report.pages.standing_tables import ahead_rows, score_tables
from forecast.report.pdf import document
from forecast.report.plots.scored import waterfall
from forecast.report.plots.steps import plot_steps
from forecast.report.terminal import terminal_text as typed_page

LEVELS = ("q05", "q10", "q25", "q50", "q75", "q90", "q95")


def scored(measure: str, period: str, channel: str, mean: float, came: float) -> dict[str, Any]:
    """A row of scores."""
    row: dict[str, Any] = {
        "measure": measure,
        "period": period,
        "channel": channel,
        "came": came,
        "mean": mean,
    }
    row |= {q: mean * (0.7 + 0.1 * i) for i, q in enumerate(LEVELS)}
    row |= {"pit": 0.23, "difference": came - mean}
    return row | {
        b: bool(row[low] <= came <= row[high])
        for b, low, high in (
            ("inside50", "q25", "q75"),
            ("inside80", "q10", "q90"),
            ("inside90", "q05", "q95"),
        )
    }


def content(
    *, channels: tuple[str, ...] = ("ppc", "seo"), left: bool = False, money: bool = True
) -> dict[str, Any]:
    """What score.json of a small company holds: half a plan of 100 000 came, by month and channel."""
    months, sums = ["2026-04", "2026-05", "2026-06"], ("revenue", "won") if money else ("won",)
    come = months[:1] if left else months
    rows = []
    for measure in sums[::-1]:
        plan, actual = (100_000.0, 50_000.0) if measure == "revenue" else (20.0, 10.0)
        for channel in (*channels, "total"):
            part = 1.0 if channel == "total" else 1 / len(channels)
            for period in (*come, "total"):
                each = part * (1.0 if period == "total" else 1 / len(come))
                rows.append(scored(measure, period, channel, plan * each, actual * each))
    blocks = {"traffic": -30_000.0, "close rate": 10_000.0, "chance": -30_000.0}
    scale = {"revenue": 1.0, "won": 10 / 50_000}
    parts = [
        {
            "measure": m,
            "channel": c,
            "block": b,
            "amount": x * scale[m] * (1.0 if c == "total" else 1 / len(channels)),
        }
        for m in sums
        for b, x in blocks.items()
        for c in (*channels, "total")
    ]
    lead = sums[0]
    head = next(r for r in rows if r["measure"] == lead and r["period"] == r["channel"] == "total")
    whole = {"plan": head["mean"], "actual": head["came"], "difference": head["difference"], "share": -0.5}
    band = {q: head[q] for q in LEVELS} | {"mean": head["mean"]}
    target = {
        "measure": lead,
        "amount": 1.2 * head["mean"],
        "p_planned": 0.2,
        "met": None if left else False,
        "difference": None if left else head["came"] - 1.2 * head["mean"],
    }
    spend = [
        {
            "period": p,
            "channel": c,
            "measure": "spend",
            "plan": 900.0,
            "actual": 1000.0,
            "difference": 100.0,
            "share": 1 / 9,
        }
        for p in (*come, "total")
        for c in (*channels, "total")
    ]
    running = {
        "left": months[1:],
        "partial": "2026-05",
        "p_now": 0.01,
        "open": [{"stage": "qualified", "next": "won", "units": 31}],
        "rows": [
            {"measure": lead, "so_far": head["came"], "from_pipeline": 3.0, "from_new": 4.0}
            | {f"{start}_{k}": x for start in ("rest", "plan", "now") for k, x in band.items()}
        ],
    }
    year = {
        "year": "2026",
        "come": ["2026-01", *come],
        "rest": ["2026-12"],
        "whole": True,
        "rows": [{"measure": lead, "so_far": 300_000.0, "rest_mean": 90_000.0} | band],
    }
    goal = {
        "goal": "Year",
        "measure": lead,
        "from": "2026-01",
        "by": "2026-12",
        "amount": 9.0,
        "so_far": 1.0,
        "over": False,
        "p": 0.4,
    } | band
    quarter = {"origin": "2025-12", "first": "2026-01", "last": "2026-03", "own": False} | head
    return {
        "run": "run",
        "run_id": "0" * 64,
        "plan": "given",
        "name": "small",
        "currency": "EUR",
        "period": "month",
        "as_of": "2026-03",
        "horizon": months,
        "come": come,
        "measure": lead,
        "scores": rows,
        "attribution": parts,
        "blocks": [
            {"block": "traffic", "unit": "count", "then": 900.0, "now": 800.0},
            {"block": "close rate", "unit": "share", "then": 0.2, "now": 0.25},
        ],
        "status": "FAIL",
        "headline": {"measure": lead}
        | whole
        | {k: head[k] for k in (*LEVELS, "pit", "inside50", "inside80", "inside90")},
        "target": target,
        "spend": spend,
        "rest_by": "preview",
        "rest_spend": "plan",
        "running": running if left else None,
        "revision": {
            "periods": ["2026-07", "2026-09"],
            "measure": lead,
            "mean": 9e4,
            "sd": 9e3,
            "q10": -1e4,
            "q90": 1e4,
            "share": 0.2,
        }
        if left
        else None,
        "following": {
            "periods": ["2026-07", "2026-09"],
            "measure": lead,
            "target": 1e5,
            "p": 0.3,
            "rows": [{"measure": lead} | band],
        },
        "year": year,
        "goals": [goal],
        "earlier": {"by": "preview", "spend": "planned", "rows": [quarter]},
        "checks": [Check("Traffic that grows", "REVIEW", "it grew", "look at it")],
    }


VARIANTS = [{}, {"left": True}, {"money": False}, {"channels": ("a" * 60, '=1+"x"', "漢字")}]


@pytest.mark.parametrize("made", VARIANTS)
def test_lines_fit_and_no_word_is_broken(made: dict[str, Any]) -> None:
    """At 80 columns no line is longer, and joined again the words are those of the page without a width."""
    page = score_page(content(**{k: v for k, v in made.items() if k != "channels"}))
    narrow = terminal_text(page, 80)
    assert max(map(len, narrow.split("\n"))) <= 80
    assert set(narrow.split()) <= set(typed_page(page).split())


@pytest.mark.parametrize("left", [False, True])
def test_one_sign(left: bool) -> None:
    """Actual less plan in words, tiles, tables and the way from plan to actual."""
    told = content(left=left)
    said = terminal_text(score_page(told))
    assert "50 000 EUR (50.0 %) less than the plan of 100 000 EUR" in said
    assert "-50 000" in said
    assert "+50 000" not in said
    assert "The verdict of the run was FAIL" in said
    rows = waterfall(told, "revenue")
    assert [rows[0]["amount"], rows[-1]["amount"]] == [100_000.0, 50_000.0]
    for before, row in pairwise(rows[:-1]):
        assert row["start"] == before["start"] + before["amount"]
    assert sum(row["amount"] for row in rows[1:-1]) == rows[-1]["amount"] - rows[0]["amount"]
    for table in score_tables(told)[:1]:
        frame = table.frame
        assert (frame["difference"] - (frame["actual"] - frame["plan"])).abs().max() < 1e-9


def test_what_is_left_out_where_there_is_none() -> None:
    """No revenue, no spend, no target, one horizon: said plainly, and no empty part."""
    told = content(money=False) | {"spend": [], "target": None, "goals": [], "checks": []}
    told["earlier"] = {"by": "", "spend": "", "rows": []}
    said = terminal_text(score_page(told))
    assert "No spend was planned or recorded." in said
    assert "wins" in said
    assert "EUR" not in said
    assert "No check of the data as they are now asks for a look." in said
    unknown = told | {"headline": None, "attribution": []}
    assert "not known whole" in terminal_text(score_page(unknown))
    assert document(score_report(unknown))["pages"]


def test_outcomes_in_total_alone() -> None:
    """Sales that no channel is credited with: by channel there is spend."""
    told = content()
    told["scores"] = [r for r in told["scores"] if r["channel"] == "total"]
    told["attribution"] = [r for r in told["attribution"] if r["channel"] == "total"]
    made = str(document(score_report(told)))
    assert "known in total alone" in made
    assert len(score_tables(told)[0].data) == len(
        [r for r in told["spend"] if "total" not in (r["period"], r["channel"])]
    )


def test_a_running_quarter_says_what_is_open() -> None:
    """What came, what comes from the funnel, the chance of the target now and as planned, how far it may move."""
    said = terminal_text(score_page(content(left=True)))
    assert "small as planned as of 2026-03, 2026-04 (1 of 3 months have come)" in said
    assert "2026-05 to 2026-06 is still to come" in said
    assert "2026-05 is not over and counts as still to come." in said
    assert "Open before won: 31 qualified." in said
    assert "is now 1 %; as planned it was 20 %" in said
    assert "in four cases of five by -10 000 to +10 000" in said
    parts = [row["part"] for row in ahead_rows(content(left=True))]
    assert parts == ["this horizon, now", "this horizon, as planned", "the year", "the next horizon", "Year"]


def test_the_way_from_plan_to_actual_is_drawn() -> None:
    """A bar for each block where the one before ended."""
    from matplotlib.figure import Figure

    rows = waterfall(content(), "revenue")
    ax = plot_steps(rows, Figure().add_subplot(), names=[r["item"] for r in rows], unit="EUR")
    assert [bar.get_x() for bar in ax.patches] == pytest.approx([r["start"] / 1000 for r in rows])
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([r["amount"] / 1000 for r in rows])


@pytest.mark.parametrize("made", [VARIANTS[1], pytest.param(VARIANTS[3], marks=pytest.mark.slow)])
def test_files_are_the_same_each_time(made: dict[str, Any], tmp_path: Path) -> None:
    """Report, workbook, CSV and JSON, byte for byte."""
    for name in ("a", "b"):
        write_score(tmp_path / name, content(**made))
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    assert (tmp_path / "a" / "score.pdf").read_bytes().startswith(b"%PDF-")
