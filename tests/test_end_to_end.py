"""The main job as a user runs it: the bundled demo in a process of its own, and what its folder then holds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from conftest import DEMO_DRAWS, DemoRun, command

from forecast import workflow
from forecast.cli import app
from forecast.outputs import FILES, LEVER_FILES, LEVER_TOTALS

STAGES = ["visitors", "leads", "qualified", "won"]
BRIDGE = ["won_from_pipeline", "won_from_new", "revenue_from_pipeline", "revenue_from_new"]
MEASURES = [*STAGES, "spend", "revenue", "contribution", *BRIDGE, "revenue_after_horizon"]
QUANTILES = ["q05", "q10", "q25", "q50", "q75", "q90", "q95"]
ALLOCATION = [
    "channel",
    "current",
    "recommended",
    "low",
    "high",
    "change",
    "expected_contribution_current",
    "expected_contribution_recommended",
    "marginal",
    "extrapolated",
]
SUMMARY = [
    "schema",
    "run_id",
    "name",
    "as_of",
    "horizon",
    "currency",
    "target",
    "verdict",
    "headline",
    "totals",
    "allocation",
    "decision",
    "economics",
    "levers",
    "scenarios",
    "read",
    "diagnostics",
    "provenance",
    "seconds",
    "made",
    "sha256",
]
RUN = """\
import sys
from pathlib import Path
from forecast import workflow
result = workflow.run(Path(sys.argv[1]), out=Path(sys.argv[2]), draws=int(sys.argv[3]))
loaded = sorted({"pymc", "nutpie", "pytensor", "arviz"} & set(sys.modules))
print(result.summary["provenance"]["fitted_now"], *loaded)
"""
needs_poppler = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed"
)


def rows_of(run: DemoRun, name: str) -> pd.DataFrame:
    """A table of the demo, with its periods as text."""
    return pd.read_csv(run.folder / name, dtype={"period": str})


@pytest.fixture
def forecast_csv(demo_run: DemoRun) -> pd.DataFrame:
    """forecast.csv and totals.csv of the demo, one below the other."""
    return pd.concat([rows_of(demo_run, name) for name in ("forecast.csv", "totals.csv")], ignore_index=True)


@pytest.fixture
def summary(demo_run: DemoRun) -> dict[str, Any]:
    """summary.json of the demo."""
    return json.loads((demo_run.folder / "summary.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def draws(demo_run: DemoRun) -> xr.Dataset:
    """draws.nc of the demo."""
    with xr.open_dataset(demo_run.folder / "draws.nc", engine="h5netcdf") as opened:
        return opened.load()


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Means by (period, channel) and measure."""
    return table.pivot_table(index=["period", "channel"], columns="measure", values="mean")


# The run


def test_the_demo_runs_and_says_where_its_report_lies(demo_run: DemoRun):
    """Exit code 0, the result as JSON on stdout, the steps on stderr."""
    assert demo_run.process.returncode == 0, demo_run.process.stderr
    said = json.loads(demo_run.process.stdout)
    assert said["folder"] == "run"
    assert said["verdict"]["status"] in ("PASS", "REVIEW")
    steps = demo_run.process.stderr.splitlines()
    for step in ("reading the study and its data", "fitting visitors to leads", "simulating the funnel"):
        assert step in steps
    assert "Warning" not in demo_run.process.stderr


def test_all_files_are_there_and_nothing_else(demo_run: DemoRun):
    """The files of the contract and the demo's posterior; no temporary file, nothing beside the folder."""
    assert {path.name for path in demo_run.folder.iterdir()} == {
        *FILES,
        *LEVER_FILES,
        *LEVER_TOTALS,
        "posterior.nc",
        "manifest.json",
    }
    assert [path.name for path in demo_run.folder.parent.iterdir()] == ["run"]


# forecast.csv


def test_forecast_csv_has_the_columns_and_rows_of_the_contract(forecast_csv: pd.DataFrame):
    """Twelve columns; each measure for each period and channel and their totals; money after the horizon in total."""
    assert list(forecast_csv) == ["period", "channel", "measure", "mean", "sd", *QUANTILES]
    assert list(dict.fromkeys(forecast_csv["measure"])) == MEASURES
    periods, channels = set(forecast_csv["period"]), set(forecast_csv["channel"])
    assert periods == {"2026-11", "2026-12", "2027-01", "total"}
    assert len(channels) == 8
    assert "total" in channels
    assert len(forecast_csv) == (len(MEASURES) - 1) * 4 * 8 + 8
    assert set(forecast_csv.loc[forecast_csv["measure"] == "revenue_after_horizon", "period"]) == {"total"}
    assert forecast_csv.notna().all(axis=None)


def test_no_total_stands_among_the_data(demo_run: DemoRun):
    """Added up, forecast.csv gives what totals.csv says; no CSV but those of totals has a row that sums up others."""
    tidy, totals = rows_of(demo_run, "forecast.csv"), rows_of(demo_run, "totals.csv")
    assert list(tidy) == list(totals)
    whole = totals[(totals["period"] == "total") & (totals["channel"] == "total")].set_index("measure")[
        "mean"
    ]
    added = tidy.groupby("measure")["mean"].sum()
    assert set(whole.index) - set(added.index) == {"revenue_after_horizon"}  # of no period
    for measure, mean in added.items():
        assert mean == pytest.approx(whole[measure], rel=1e-8), measure
    for path in demo_run.folder.glob("*.csv"):
        summed = pd.read_csv(path, dtype=str).isin(["total", "forecast"]).any(axis=1)
        assert summed.all() if "totals" in path.name else not summed.any(), path.name


def test_identities_of_forecast_csv(forecast_csv: pd.DataFrame):
    """The bridge adds up to wins and money; periods and channels add up to their totals, in means."""
    table = means(forecast_csv)
    inside = table.drop(columns="revenue_after_horizon")
    for total, parts in (("won", BRIDGE[:2]), ("revenue", BRIDGE[2:])):
        np.testing.assert_allclose(inside[total], inside[parts].sum(axis=1), rtol=1e-8)
    for level, other in (("period", "channel"), ("channel", "period")):
        added = inside.drop("total", level=level).groupby(other).sum()
        pd.testing.assert_frame_equal(added, inside.xs("total", level=level), rtol=1e-8)
    after = forecast_csv[forecast_csv["measure"] == "revenue_after_horizon"].set_index("channel")["mean"]
    assert after.drop("total").sum() == pytest.approx(after["total"], rel=1e-8)


def test_bands_are_in_order_and_counts_are_not_negative(forecast_csv: pd.DataFrame):
    """Quantiles rise; only contribution may be below zero; planned spend has no spread."""
    quantiles = forecast_csv[QUANTILES].to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert (forecast_csv.loc[forecast_csv["measure"] != "contribution", "q05"] >= 0).all()
    assert (forecast_csv["sd"] >= 0).all()
    assert (forecast_csv.loc[forecast_csv["measure"] == "spend", "sd"] == 0).all()


def test_the_funnel_falls(forecast_csv: pd.DataFrame):
    """In the whole horizon each stage is below the one before, in every channel."""
    total = means(forecast_csv).loc["total"][STAGES].to_numpy()
    assert (np.diff(total, axis=1) < 0).all()


def test_contribution_is_margin_times_eventual_revenue_less_spend(
    forecast_csv: pd.DataFrame, summary: dict[str, Any]
):
    """0.6 x the eventual revenue of the horizon's cohorts, less what they cost."""
    total = means(forecast_csv).loc[("total", "total")]
    expected = 0.6 * summary["headline"]["eventual_mean"] - total["spend"]
    assert total["contribution"] == pytest.approx(expected, rel=1e-6)


# allocation.csv


def test_the_recommended_budget_keeps_its_limits(demo_run: DemoRun, forecast_csv: pd.DataFrame):
    """The columns of the contract; the plan's spend; at most the total; each channel within 50 %; near range around."""
    table = pd.read_csv(demo_run.folder / "allocation.csv")
    assert list(table)[: len(ALLOCATION)] == ALLOCATION  # what is added stands at the end
    spend = means(forecast_csv).loc["total"]["spend"].drop("total")
    np.testing.assert_allclose(table.set_index("channel")["current"].sort_index(), spend, rtol=1e-8)
    assert table["recommended"].sum() <= table["current"].sum() * (1 + 1e-9)
    assert (table["recommended"] / table["current"]).between(0.5 - 1e-9, 1.5 + 1e-9).all()
    np.testing.assert_allclose(table["change"], table["recommended"] / table["current"] - 1, atol=1e-9)
    assert (table["low"] <= table["recommended"] * (1 + 1e-9)).all()
    assert (table["high"] >= table["recommended"] * (1 - 1e-9)).all()
    assert table["extrapolated"].between(0, 1).all()
    assert table["expected_contribution_recommended"].sum() >= table["expected_contribution_current"].sum()


# draws.nc


def test_draws_hold_the_outlook(draws: xr.Dataset, demo_run: DemoRun):
    """Dims, plans, two paths of each draw; every measure; the spend of both plans."""
    assert draws["plan"].values.tolist() == ["given", "recommended"]
    assert draws.sizes["draw"] == 2 * DEMO_DRAWS
    assert set(MEASURES) <= set(draws.data_vars)
    for name in MEASURES[:-1]:
        assert draws[name].dims == ("plan", "draw", "period", "channel"), name
    table = pd.read_csv(demo_run.folder / "allocation.csv").set_index("channel")
    spend = draws["spend"].isel(draw=0).sum("period").to_pandas().T
    np.testing.assert_allclose(spend["given"][table.index], table["current"], rtol=1e-6)
    np.testing.assert_allclose(spend["recommended"][table.index], table["recommended"], rtol=1e-6)


def test_draws_add_up_one_by_one(draws: xr.Dataset, forecast_csv: pd.DataFrame):
    """Wins are integers and the bridge adds up in every single draw; means are those of forecast.csv."""
    assert all(np.issubdtype(draws[name].dtype, np.integer) for name in STAGES)
    assert (draws["won"] == draws["won_from_pipeline"] + draws["won_from_new"]).all()
    parts = draws["revenue_from_pipeline"] + draws["revenue_from_new"]
    np.testing.assert_allclose(draws["revenue"], parts, rtol=1e-5, atol=0.1)
    assert (draws["revenue"].values[draws["won"].values == 0] == 0).all()
    table = forecast_csv.set_index(["period", "channel", "measure"])["mean"]
    for name in ("won", "revenue"):
        total = draws[name].sel(plan="given").astype(float).sum(["period", "channel"])
        assert float(total.mean()) == pytest.approx(table["total", "total", name], rel=1e-5)
        band = forecast_csv.set_index(["period", "channel", "measure"]).loc[("total", "total", name)]
        assert float(np.quantile(total, 0.9)) == pytest.approx(band["q90"], rel=1e-4)


def test_both_plans_share_their_luck(draws: xr.Dataset):
    """The open pipeline is the same in both plans, draw by draw: no plan changes what is already under way."""
    given, moved = (draws["won_from_pipeline"].sel(plan=name) for name in ("given", "recommended"))
    assert (given == moved).all()


# summary.json


def test_summary_has_its_keys_and_its_numbers(summary: dict[str, Any], forecast_csv: pd.DataFrame):
    """What a dashboard takes: the totals of forecast.csv, P(target), the gain with its band, hashes, seconds."""
    assert list(summary) == SUMMARY
    totals = {row["measure"]: row for row in summary["totals"]}
    assert list(totals) == MEASURES
    total = means(forecast_csv).loc[("total", "total")]
    assert all(totals[name]["mean"] == pytest.approx(total[name], rel=1e-8) for name in MEASURES[:-1])
    head = summary["headline"]
    assert 0 < head["p_target"] < 1
    assert head["gain_q10"] <= head["gain_mean"] <= head["gain_q90"]
    assert 0 <= head["p_gain"] <= 1
    assert (head["p_better"] is not None) == head["material"]
    assert head["revenue_q10"] < head["revenue_q50"] < head["revenue_q90"]
    assert {"read", "fit", "allocate", "simulate", "tables"} <= set(summary["seconds"])
    known = summary["provenance"]
    assert known["fitted_now"] is True
    told = summary["economics"]
    assert (
        told["cpl"]["mean"] < told["marginal_cpl"]["mean"]
    )  # the average counts those who come without more spend
    assert told["ltv"]["mean"] == pytest.approx(
        0.6 * told["deal_value"]["mean"], rel=1e-6
    )  # no retention is given
    assert 0 < told["p_ltv_cac_3"] < 1
    assert all(re.fullmatch(r"[0-9a-f]{64}", known[key]) for key in ("fit_hash", "study_sha256"))
    assert list(known["data_sha256"]) == ["demo.csv"]


def test_the_demo_passes_every_gate_of_sampling(summary: dict[str, Any]):
    """Pareto k-hat below 0.7 and effective sizes above 400 in every part of the funnel, without chains; not FAIL."""
    assert summary["verdict"]["status"] in ("PASS", "REVIEW")
    parts = {part["part"] for part in summary["diagnostics"]}
    assert parts == {
        "visitors to leads",
        "leads to qualified",
        "qualified to won",
        "deal value",
        "visitors",
    }
    for part in summary["diagnostics"]:
        assert part["k_hat"] < 0.7, part
        assert min(part["ess_scales"], part["ess_effects"]) > 400, part
        assert "max_rhat" not in part


# report.pdf and report.xlsx


@pytest.mark.outside
@needs_poppler
def test_the_report_says_the_headline_on_at_least_four_pages(demo_run: DemoRun, summary: dict[str, Any]):
    """Page 1 holds the verdict, expected revenue with its band, the target, the gain; every page has text."""
    made = subprocess.run(
        ["pdftotext", "-layout", demo_run.folder / "report.pdf", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    pages = [" ".join(page.split()) for page in made.split("\f")[:-1]]
    assert len(pages) >= 4
    assert all(len(page) > 200 for page in pages)
    head = summary["headline"]
    assert summary["verdict"]["status"] in pages[0]
    assert summary["verdict"]["sentence"] in pages[0]
    for number in (head["revenue_mean"], head["gain_mean"]):
        shown = f"{float(f'{number:.3g}'):,.0f}".replace(",", " ")
        assert f"{shown} EUR" in pages[0].replace("\u202f", " ").replace("\xa0", " "), shown
    assert f"{round(100 * head['p_target'])} %" in pages[0].replace("\u202f", " ").replace("\xa0", " ")
    assert "300 000 EUR" in pages[0].replace("\u202f", " ").replace("\xa0", " ")


def test_the_workbook_opens_with_the_same_numbers(demo_run: DemoRun):
    """Its table of the forecast holds forecast.csv, cell by cell; periods are dates."""
    forecast_csv = rows_of(demo_run, "forecast.csv")
    book = openpyxl.load_workbook(demo_run.folder / "report.xlsx", read_only=True)
    rows = list(book["Forecast"].iter_rows(min_row=2, values_only=True))
    named = forecast_csv[["channel", "measure"]].itertuples(index=False, name=None)
    assert [row[1:3] for row in rows] == list(named)
    assert [f"{row[0]:%Y-%m}" for row in rows] == list(forecast_csv["period"])
    np.testing.assert_allclose([row[3] for row in rows], forecast_csv["mean"], rtol=1e-8)
    book.close()


# As it stands


@pytest.mark.slow
def test_the_demo_has_four_thousand_draws_where_none_are_asked_for(tmp_path: Path):
    """Every part passes the gate with them."""
    made = command("demo", "--out", "run", "--json", "--outputs", "draws", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    assert {part["draws"] for part in said["diagnostics"]} == {4000}
    for part in said["diagnostics"]:
        assert part["k_hat"] < 0.7, part
        assert min(part["ess_scales"], part["ess_effects"]) > 400, part
    with xr.open_dataset(tmp_path / "run" / "draws.nc", engine="h5netcdf") as opened:
        assert opened.sizes["draw"] == 8000


# Another plan on the same fit


@pytest.mark.slow
def test_another_plan_takes_the_saved_fit(demo_study: Path):
    """With only the plan changed nothing is fitted; the horizon is the new one."""
    out = demo_study.parent / "out"
    made = workflow.run(demo_study, out=out, draws=DEMO_DRAWS, overrides=["plan.periods=4"])
    assert made.summary["provenance"]["fitted_now"] is False
    table = pd.read_csv(made.place / "forecast.csv")
    assert set(table["period"]) == {"2026-11", "2026-12", "2027-01", "2027-02"}


def test_the_same_study_gives_the_same_bytes(demo_run: DemoRun, demo_study: Path, tmp_path: Path):
    """From the saved fit, without a sampler, in another folder, time zone and hash order: byte for byte as first."""
    home = tmp_path / "elsewhere"
    home.mkdir()
    asked = str(demo_study), "out", str(DEMO_DRAWS)
    made = command(*asked, cwd=home, code=RUN, TZ="Asia/Tokyo", PYTHONHASHSEED="7")
    assert (made.returncode, made.stdout) == (0, "False\n"), made.stderr
    for name in FILES[:-1]:
        assert (home / "out" / name).read_bytes() == (demo_run.folder / name).read_bytes(), name
    first, again = (
        json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        for folder in (demo_run.folder, home / "out")
    )
    for one in (first, again):
        del one["seconds"], one["made"], one["sha256"], one["provenance"]["fitted_now"]
    assert first == again


def test_allocate_divides_another_total(demo_study: Path):
    """A smaller total is kept to, and every channel gets at most what it had of the larger one."""
    tables = {}
    for total in ("60000", "90000"):
        made = CliRunner().invoke(app, ["allocate", str(demo_study), "--total", total, "--json"])
        assert made.exit_code == 0, made.stderr
        tables[total] = pd.DataFrame(json.loads(made.stdout)["allocation"]).set_index("channel")
    small, large = tables["60000"]["recommended"], tables["90000"]["recommended"]
    assert small.sum() == pytest.approx(60_000, rel=1e-6)
    assert large.sum() <= 90_000 * (1 + 1e-9)
    assert (small <= large * (1 + 1e-6)).all()


# From nothing, twice

FRESH = """\
import os, sys
from pathlib import Path
os.cpu_count = lambda: int(sys.argv[2])
from forecast import workflow
workflow.demo(out=Path(sys.argv[1]), draws=int(sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("cores", ["1", "2"])
def test_a_new_fit_gives_the_same_bytes(demo_run: DemoRun, tmp_path: Path, cores: str):
    """Fitted anew, on one core or two: forecast and report byte for byte. Nothing of the demo's fit is compiled."""
    made = command("again", cores, str(DEMO_DRAWS), cwd=tmp_path, code=FRESH)
    assert made.returncode == 0, made.stderr
    for name in FILES[:-1]:
        assert (tmp_path / "again" / name).read_bytes() == (demo_run.folder / name).read_bytes(), name
