"""Backtests: nothing of what came later, records that add up, the same on any number of workers."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, STUDY, counts
from hypothesis import given, settings
from hypothesis import strategies as st
from posterior_fixture import changed_after, history, study

from forecast import jobs
from forecast.backtest import running
from forecast.backtest.origin import Origin, Setup, one_origin, origin_at, origins_of
from forecast.backtest.running import run_backtest
from forecast.backtest.summary import FORECAST, calibration_of, tidy
from forecast.errors import DataError, FitError, UsageError
from forecast.history import History, read_history
from forecast.report import backtest_page, terminal_text
from forecast.results import Past
from forecast.saved import amiss
from forecast.study import GUESSES, Study, load_study
from forecast.words import text

SIMPLE = ("spreadsheet", "seasonal naive", "drift")
OPTIONS: dict[str, Any] = {"preview": True, "draws": 100, "names": ("spreadsheet",)}
SETUP = Setup(horizon=2, spend="planned", draws=100, seed=1, preview=True, baselines=SIMPLE)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, History]:
    """Eighteen months of two channels, with two rates."""
    folder = tmp_path_factory.mktemp("small")
    text = STUDY.replace("[funnel]", '[funnel]\nstages = ["visitors", "leads", "won"]')
    (folder / "small.toml").write_text(text, encoding="utf-8")
    (folder / "small.csv").write_text(counts(), encoding="utf-8")
    loaded = load_study(folder / "small.toml")
    return loaded, read_history(loaded)


@pytest.fixture(scope="module")
def made(small: tuple[Study, History]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A backtest of four origins, two months ahead."""
    return run_backtest(*small, origins=4, horizon=2, every=1, **OPTIONS | {"names": SIMPLE})


def forecast_of(record: dict[str, Any]) -> list[Any]:
    """What a record forecasts, without what came and the scores of that."""
    columns = record["columns"]
    keep = [i for i, name in enumerate(columns) if name not in ("came", "crps", "wis", "pit")]
    cells = [[cell[i] for i in keep] for cell in record["cells"]]
    made = {
        (channel, measure, name): {k: v for k, v in found.items() if k not in ("crps", "wis", "pit")}
        for channel, measures in record["baselines"].items()
        for measure, methods in measures.items()
        for name, found in methods.items()
    }
    return [cells, made]


@pytest.fixture(scope="module")
def then(small: tuple[Study, History]) -> dict[str, Any]:
    """The record of one origin."""
    loaded, now = small
    return one_origin(origin_at(loaded, now, 14, SETUP))


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_of_what_came_later_is_used(
    small: tuple[Study, History], then: dict[str, Any], seed: int
) -> None:
    """Whatever comes after the origin, forecast and baselines are the same to the last bit."""
    loaded, now = small
    other = changed_after(now, 14, np.random.default_rng(seed))
    record = one_origin(origin_at(loaded, other, 14, SETUP))
    assert forecast_of(record) == forecast_of(then)
    assert record["cells"] != then["cells"]


def test_given_the_spend_that_came_nothing_else_is_used(small: tuple[Study, History]) -> None:
    """With `actual` spend, the forecast moves with spend, and with nothing else that came later."""
    loaded, now = small
    setup = replace(SETUP, spend="actual")
    rng = np.random.default_rng(1)
    same = one_origin(origin_at(loaded, changed_after(now, 14, rng, keep=("spend",)), 14, setup))
    base = one_origin(origin_at(loaded, now, 14, setup))
    other = one_origin(origin_at(loaded, changed_after(now, 14, rng), 14, setup))
    assert forecast_of(base) == forecast_of(same)
    assert forecast_of(base) != forecast_of(other)


def test_a_forecast_that_is_given_the_spend_says_what_it_does_without() -> None:
    """Beside it stand the same forecast with the spend that could be planned then; the page and the gate say so."""
    rng = np.random.default_rng(5)
    swing = np.exp(0.9 * np.sin(2 * np.pi * np.arange(36) / 12))[:, None]
    spend = swing * np.exp(0.05 * rng.normal(size=(36, 2))) * 1000.0
    visitors = rng.poisson(2000 * (spend / 1000) ** 0.8)
    won = rng.binomial(visitors, 0.02)
    past = history(
        {"visitors": visitors, "won": won, "revenue": won * 500.0, "spend": spend},
        periods=36,
        first="2023-01-01",
    )
    asked = study(funnel={"stages": ("visitors", "won"), "delay": {"won": 0.0}}, backtest={"least": 24})
    options = {"origins": 2, "horizon": 3, "every": 6, **OPTIONS}
    _, told = run_backtest(asked, past, spend="actual", **options)
    error = {m["method"]: m["crps"] for m in told["methods"] if m["measure"] == "revenue"}

    assert list(error) == [FORECAST, "spreadsheet", *GUESSES]
    planned, last_year = (error[f"forecast, spend {rule}"] for rule in ("planned then", "as last year"))
    assert max(error[FORECAST], last_year) < 0.7 * planned
    said = text(backtest_page(Past.of(told)).parts[0].lead)
    assert "not a fair comparison" in said
    assert "with spend planned then" in said
    assert "skill against spreadsheet, with spend as last year" in [c["name"] for c in told["gate"]["checks"]]

    _, planned = run_backtest(asked, past, spend="last year", **options | {"origins": 1})
    assert [m["method"] for m in planned["methods"] if m["measure"] == "revenue"] == [FORECAST, "spreadsheet"]
    assert "fair" not in text(backtest_page(Past.of(planned)).parts[0].lead)
    with pytest.raises(DataError, match="needs a year and a quarter"):
        run_backtest(study(), past.as_of("2024-05"), spend="last year", **options | {"origins": 1})


@given(
    periods=st.integers(4, 60),
    horizon=st.integers(1, 6),
    every=st.integers(1, 6),
    asked=st.integers(1, 20),
    least=st.integers(2, 24),
)
def test_origins_lie_where_they_may(periods: int, horizon: int, every: int, asked: int, least: int) -> None:
    """The last horizon ends with the history, no origin knows less than asked, and no other would fit in."""
    past = history({"visitors": 10.0, "won": 1.0}, periods=periods)
    if periods < least + horizon:
        with pytest.raises(DataError, match="needs at least"):
            origins_of(past, origins=asked, horizon=horizon, every=every, least=least)
        return
    found = origins_of(past, origins=asked, horizon=horizon, every=every, least=least)
    assert found[-1] == periods - horizon
    assert found[0] >= least
    assert set(np.diff(found)) <= {every}
    assert len(found) == asked or found[0] - every < least


def test_totals_are_those_of_the_draws_and_what_came_is_the_history(
    small: tuple[Study, History], made: tuple[list[dict[str, Any]], dict[str, Any]]
) -> None:
    """Means of channels and periods add up to means of totals; what came is read off the counts."""
    _, now = small
    frame = tidy(made[0]).set_index(["origin", "period", "channel", "measure"])
    for origin in dict.fromkeys(frame.index.get_level_values("origin")):
        for measure in ("visitors", "leads", "won", "revenue"):
            part = frame.xs(origin).xs(measure, level="measure")
            whole = part.loc[("total", "total")]
            cells = part.drop(index="total", level="period").drop(index="total", level="channel")
            assert cells["mean"].sum() == pytest.approx(whole["mean"])
            assert cells["came"].sum() == pytest.approx(whole["came"])
        known = now.labels.index(origin) + 1
        came = now.counts["won"].values[known : known + 2].sum()
        assert frame.loc[(origin, "total", "total", "won"), "came"] == came


def test_the_summary_is_what_the_table_says(made: tuple[list[dict[str, Any]], dict[str, Any]]) -> None:
    """Scores of the headline by hand from the rows of its totals; overlapping origins are worth fewer."""
    records, summary = made
    frame = tidy(records)
    mine = frame[
        (frame["period"] == "total") & (frame["channel"] == "total") & (frame["measure"] == "revenue")
    ]
    own = next(m for m in summary["methods"] if (m["method"], m["measure"]) == (FORECAST, "revenue"))
    assert own["crps"] == pytest.approx(mine["crps"].mean())
    assert own["bias"] == pytest.approx(1 - mine["mean"].sum() / mine["came"].sum())
    assert own["inside80"]["inside"] == int(mine["inside80"].sum())
    assert summary["independent"] == pytest.approx(2.5)
    row = next(m for m in summary["methods"] if (m["method"], m["measure"]) == ("spreadsheet", "revenue"))
    assert row["crps"] == pytest.approx(mine["crps_spreadsheet"].mean())
    assert row["skill"] == pytest.approx(1 - own["crps"] / row["crps"])
    assert [r["origin"] for r in summary["rows"]] == summary["origins"]
    assert calibration_of(summary) == {
        "inside": own["inside80"]["inside"],
        "outcomes": 4,
        "independent": 2,
        "method": "preview",
    }
    assert "overlap" in said_of(summary) or "too few" in said_of(summary)


def test_a_channel_that_came_later_counts_in_what_came() -> None:
    """The forecast could not know it, the company's total has it."""
    cells = {"visitors": np.full((20, 2), 500.0), "won": np.full((20, 2), 10.0)}
    for values in cells.values():
        values[:16, 1] = np.nan
    now = history(cells, periods=20)
    loaded = study(funnel={"stages": ("visitors", "won"), "delay": {"won": 0}})
    origin = origin_at(loaded, now, 16, SETUP)
    assert origin.past.channels == ["one"]
    assert origin.came["won"].tolist() == [[10.0, 20.0]] * 2
    record = one_origin(origin)
    assert next(c for c in record["cells"] if c[:3] == ["total", "total", "won"])[3] == 40.0


@given(seed=st.integers(0, 1000), known=st.integers(3, 9))
@settings(max_examples=20, deadline=None)
def test_wins_from_the_pipeline_are_those_of_old_cohorts(seed: int, known: int) -> None:
    """Of dated leads: what the old cohorts had won by the end of the horizon, less what they had won at the origin."""
    triangle = np.random.default_rng(seed).integers(0, 5, (12, 12, 2))
    triangle[np.add.outer(np.arange(12), np.arange(12)) >= 12] = 0
    now = history({"leads": 40.0, "won": 3.0}, counting="leads", triangles={"won": triangle})
    loaded = study(funnel={"stages": ("leads", "won")}, history={"leads": "none.csv"})
    came = origin_at(loaded, now, known, SETUP).came["won_from_pipeline"]
    then, later = (
        now.as_of(now.periods[n - 1]).triangles["won"].values[:known] for n in (known, known + SETUP.horizon)
    )
    assert came[:, :2].sum(axis=0).tolist() == (later.sum(axis=(0, 1)) - then.sum(axis=(0, 1))).tolist()
    assert came[:, 2].tolist() == came[:, :2].sum(axis=1).tolist()


def test_wins_from_the_pipeline_are_told_of_three_stages(tmp_path: Path) -> None:
    """Of leads by stage: those created before the origin and won within the horizon, counted row by row."""
    rng = np.random.default_rng(3)
    created = np.datetime64("2025-01-01") + rng.integers(0, 360, 400)
    qualified = created + rng.integers(0, 60, 400)
    won = qualified + rng.integers(0, 90, 400)
    rows = pd.DataFrame({"lead_id": np.arange(400), "channel": np.where(rng.random(400) < 0.5, "a", "b")})
    rows = rows.assign(created=created, qualified=qualified, won=won, amount=100.0)
    rows.loc[rng.random(400) < 0.3, ["won", "amount"]] = None
    rows.to_csv(tmp_path / "leads.csv", index=False)
    loaded = study(
        funnel={"stages": ("leads", "qualified", "won")},
        history={"leads": "leads.csv", "through": "2026-03"},
        folder=tmp_path,
    )
    seen = read_history(loaded)
    known = seen.labels.index("2025-07")
    came = origin_at(loaded, seen, known, SETUP).came["won_from_pipeline"]
    ends = seen.periods[known], seen.periods[known + SETUP.horizon]
    inside = (rows["created"] < ends[0]) & (rows["won"] >= ends[0]) & (rows["won"] < ends[1])
    assert came[:, -1].sum() == inside.sum() > 20
    past = origin_at(loaded, seen, known, SETUP).past
    assert came[:, past.channels.index("b")].sum() == (inside & (rows["channel"] == "b")).sum()


def test_other_data_or_settings_never_share_records(small: tuple[Study, History], tmp_path: Path) -> None:
    """Another seed has a file of its own; changed counts have lines of their own."""
    options: dict[str, Any] = {"origins": 1, "horizon": 2, "every": 1, "results": tmp_path, **OPTIONS}
    first, _ = run_backtest(*small, **options)
    run_backtest(*small, **options, seed=2)
    assert len(list(tmp_path.glob("origins-*.jsonl"))) == 2
    other = changed_after(small[1], 16, np.random.default_rng(1))
    again, _ = run_backtest(small[0], other, **options)
    assert again[0]["origin"] == first[0]["origin"]
    assert again[0] != first[0]
    assert run_backtest(*small, **options)[0] == first


def test_an_origin_that_fails_is_named(small: tuple[Study, History]) -> None:
    """The others are kept; the error names the origin."""

    def fails(origin: Origin) -> dict[str, Any]:
        raise ValueError(f"no luck at {origin.label}")

    with pytest.raises(FitError, match=r"2026-04: ValueError: no luck at 2026-04"):
        run_backtest(*small, origins=1, horizon=2, job=fails, **OPTIONS)


def test_baselines_that_are_not_there(small: tuple[Study, History], monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for by name: an error with what to do. Left to itself: left out, and told."""
    monkeypatch.setattr("forecast.backtest.baselines.importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="AutoETS needs statsforecast: pip install"):
        run_backtest(*small, **OPTIONS | {"names": ["AutoETS"]})
    with pytest.raises(UsageError, match=r'expected one of .*; got "prophet"'):
        run_backtest(*small, **OPTIONS | {"names": ["prophet"]})
    _, summary = run_backtest(*small, origins=1, horizon=2, **OPTIONS | {"names": None})
    assert summary["left_out"] == ["AutoETS", "AutoARIMA"]
    assert "AutoETS and AutoARIMA are left out: they need statsforecast" in said_of(summary)


# In a report


def said_of(summary: dict[str, Any]) -> str:
    """What the command prints."""
    return terminal_text(backtest_page(Past.of(summary)))


def test_the_page_of_the_report(made: tuple[list[dict[str, Any]], dict[str, Any]]) -> None:
    """Every origin has its row, every method too, and a figure with words."""
    from tables_fixture import plausible_tables

    from forecast.report import figure_svg, past_page

    tables = plausible_tables()
    assert past_page(tables) is None
    page = past_page(replace(tables, backtest=Past.of(json.loads(json.dumps(made[1])))))
    assert page is not None
    figure, origins, methods, *_ = page.parts
    assert figure.figure is not None
    assert "<svg" in figure_svg(figure.figure.draw())
    assert str(figure.figure.alt)
    assert [text(row.cells[0]) for row in origins.listings[0].rows] == made[1]["origins"]
    assert [text(row.cells[0]) for row in methods.listings[0].rows] == [FORECAST, *SIMPLE, *GUESSES]


def test_the_workbook_has_the_past(made: tuple[list[dict[str, Any]], dict[str, Any]], tmp_path: Path) -> None:
    """A sheet of origins with what came, and one of methods with coverage as shares; none without a backtest."""
    from datetime import UTC, datetime

    from openpyxl import load_workbook
    from tables_fixture import plausible_tables

    from forecast.report import write_workbook

    tables, when = plausible_tables(), datetime(2026, 1, 1, tzinfo=UTC)
    write_workbook(tables, tmp_path / "without.xlsx", created=when)
    assert not [n for n in load_workbook(tmp_path / "without.xlsx").sheetnames if "Backtest" in n]
    write_workbook(replace(tables, backtest=Past.of(made[1])), tmp_path / "with.xlsx", created=when)
    book = load_workbook(tmp_path / "with.xlsx", data_only=True)
    head, *rows = book["Backtest"].iter_rows(values_only=True)
    assert [row[head.index("origin")].strftime("%Y-%m") for row in rows] == made[1]["origins"]
    assert [row[head.index("came")] for row in rows] == pytest.approx([r["came"] for r in made[1]["rows"]])
    head, *rows = book["Backtest methods"].iter_rows(values_only=True)
    own = next(row for row in rows if row[head.index("method")] == FORECAST)
    known = next(m for m in made[1]["methods"] if m["method"] == FORECAST)
    assert own[head.index("inside80")] == pytest.approx(known["inside80"]["share"])


def test_the_study_says_what_is_wrong(small: tuple[Study, History]) -> None:
    """Unknown baselines and limits in the wrong order, with the place."""
    from forecast.errors import StudyError

    assert small[0].path is not None
    with pytest.raises(StudyError, match='did you mean "spreadsheet"'):
        load_study(small[0].path, ["backtest.gate.against='spredsheet'"])
    with pytest.raises(StudyError, match="expected least <= most"):
        load_study(small[0].path, ["backtest.gate={least=0.9, most=0.5}"])


# Slow: fits, workers, a real kill

KILL = [
    "--origins",
    "4",
    "--horizon",
    "2",
    "--every",
    "1",
    "--draws",
    "400",
    "--baseline",
    "spreadsheet",
    "-q",
]


def start(study_file: Path, out: Path) -> subprocess.Popen[bytes]:
    """`forecast backtest` in a process group of its own."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "forecast",
            "backtest",
            str(study_file),
            *KILL,
            "--workers",
            "2",
            "--out",
            str(out),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def finished(out: Path) -> int:
    """Origins on file."""
    return sum(len(p.read_bytes().splitlines()) - 1 for p in out.glob("origins-*.jsonl"))


def children(process: int) -> list[int]:
    """Processes that were started by this one."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        found += [int(child) for child in task.read_text(encoding="utf-8").split()]
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the process tree of Linux")
def test_killed_while_it_fits_and_taken_up_again(small: tuple[Study, History], tmp_path: Path) -> None:
    """SIGKILL after the first origin: workers leave too, and the second call ends with the bytes of one in one go."""
    assert small[0].path is not None
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(small[0].path, killed)
    until = time.monotonic() + 180
    while finished(killed) < 1 and time.monotonic() < until:
        time.sleep(0.05)
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 1 <= finished(killed) < 4
    assert not (killed / "backtest.json").exists()
    until = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
        time.sleep(0.1)
    assert workers
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    for out in (killed, whole):
        assert start(small[0].path, out).wait() == 0
    for name in ("backtest.json", "backtest.csv", "backtest_totals.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_workers_change_nothing(small: tuple[Study, History]) -> None:
    """Fits in place on all cores, or side by side on one each: the same records."""
    options: dict[str, Any] = {
        "origins": 2,
        "horizon": 2,
        "every": 1,
        "draws": 400,
        "names": ("spreadsheet",),
    }
    alone, _ = run_backtest(*small, workers=1, **options)
    with jobs.pool(2) as executor:
        assert run_backtest(*small, executor=executor, **options)[0] == alone


def test_a_deal_without_an_amount_is_no_partial_sum(small: tuple[Study, History]) -> None:
    """One blank cell of revenue in a period to come: what came is unknown there, in channel and in total, and said."""
    loaded, now = small
    counts = now.counts.copy(deep=True)
    counts["revenue"].values[15, 0] = np.nan
    holed = replace(now, counts=counts)
    came = origin_at(loaded, holed, 14, SETUP).came
    assert np.isnan(came["revenue"][1, [0, -1]]).all()
    assert came["revenue"][0] == pytest.approx(origin_at(loaded, now, 14, SETUP).came["revenue"][0])
    records, summary = run_backtest(loaded, holed, origins=2, horizon=2, every=1, **OPTIONS)
    assert summary["measure"] == "revenue"
    assert [c["value"] for c in summary["gate"]["checks"] if c["name"] == "what came is known"] == [
        "revenue of 1 of 2 origins is known whole"
    ]
    assert len(records) == 2


def test_a_past_without_money_is_forecast_in_units(small: tuple[Study, History]) -> None:
    """Revenue began after the origin: its wins are scored, and nothing is asked of a value that nobody knew."""
    loaded, now = small
    counts = now.counts.copy(deep=True)
    counts["revenue"].values[:15] = 0.0
    origin = origin_at(loaded, replace(now, counts=counts), 14, SETUP)
    assert "revenue" not in origin.came
    assert "won" in {cell[2] for cell in one_origin(origin)["cells"]}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("columns", ["period"]),
        ("cells", []),
        ("cells", [["2026-01"]]),
        ("cells", [["2026-01", "ppc", "won", *["a"] * 12]]),
        ("baselines", {"total": {"won": {"drift": {"crps": 1.0}}}}),
    ],
)
def test_a_record_of_another_shape_is_told(place, value):
    """A line whose checksum fits may still hold what no backtest wrote: it is refused before it is used."""
    row = ["2026-01", "ppc", "won", math.nan, *range(11)]
    sound = {
        "origin": "2025-12",
        "known": 12,
        "columns": list(running.COLUMNS),
        "cells": [row],
        "baselines": {},
    }
    sound["sampling"] = {}
    assert not amiss(sound, running.RECORD)
    assert amiss(sound | {place: value}, running.RECORD)
