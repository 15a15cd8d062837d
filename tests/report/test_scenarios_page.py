"""Levers in the outputs: the command from a saved fit, files, chapter and sheets, with and without revenue."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from conftest import command
from posterior_fixture import DELAYS, PLAN, RATES, TWO, case, history, posterior, study
from tables_fixture import plausible_tables as made_tables

from forecast import workflow
from forecast.errors import StudyError, UsageError
from forecast.planning import Forecast
from forecast.report.contents import report_of
from forecast.report.document import Report
from forecast.report.pages.scenarios import _called, scenarios_page
from forecast.report.pdf import document
from forecast.results import Levers
from forecast.words import speaking, text

LEVERS = """
[[scenario]]
name = "New landing page"
rate.leads = { times = [1.1, 1.4] }
channels = ["ppc"]
cost = 1_000

[[scenario]]
name = "Outbound caller"
traffic = { by = 300 }
channels = ["seo"]
ramp = 1
cost_per_period = 2_000

[[goal]]
by = "2026-08"
won = 40
"""

WITHOUT_THE_SAMPLER = """
import sys
from forecast.cli import app
try:
    app(sys.argv[1:])
except SystemExit as error:
    loaded = {"pymc", "nutpie", "arviz", "pytensor"} & set(sys.modules)
    sys.exit(f"loaded {loaded}" if loaded else error.code)
"""


@pytest.fixture
def with_levers(fitted_study: Path) -> Path:
    """The small company with its fit, two scenarios and a goal added after the fit."""
    fitted_study.write_text(fitted_study.read_text(encoding="utf-8") + LEVERS, encoding="utf-8")
    return fitted_study


def test_scenarios_are_compared_from_the_saved_fit_without_the_sampler(with_levers: Path):
    """A fit made before the scenarios were written still holds; the same seed gives the same numbers."""
    folder, name = with_levers.parent, with_levers.name
    told = command("scenarios", name, "--json", "-q", cwd=folder, code=WITHOUT_THE_SAMPLER)
    assert told.returncode == 0, told.stderr
    rows = json.loads(told.stdout)["scenarios"]
    again = workflow.scenarios(with_levers).made.levers.scenarios
    assert [row["scenario"] for row in rows] == list(again["scenario"])
    assert [row["q10"] or 0.0 for row in rows] == list(again["q10"].fillna(0.0))
    measures = {row["measure"] for row in rows}
    assert {
        "revenue",
        "contribution",
        "p_payback",
        "p_payback_horizon",
        "cost_of_delay",
        "p_best",
    } <= measures


def test_a_run_writes_what_the_command_says(with_levers: Path, no_paper: None, tmp_path: Path):
    """scenarios.csv, sensitivity.csv, variance.csv, goals.csv, the summary: the same numbers as the command."""
    out = tmp_path / "out"
    summary = workflow.run(with_levers, out=out, go_on=True).summary
    asked = workflow.scenarios(with_levers, go_on=True).made.levers.scenarios
    assert [row["mean"] for row in summary["scenarios"]] == pytest.approx(list(asked["mean"]), nan_ok=True)
    written = pd.read_csv(out / "scenarios.csv")
    assert written["mean"].to_numpy() == pytest.approx(asked["mean"].to_numpy(), nan_ok=True)
    assert pd.read_csv(out / "variance_totals.csv").set_index("source").loc["total", "share"] == 1.0
    assert pd.read_csv(out / "variance.csv")["share"].sum() == pytest.approx(1.0)
    assert pd.read_csv(out / "goals.csv")["amount"].tolist() == [40.0]
    assert set(pd.read_csv(out / "sensitivity.csv")["channel"]) == {"ppc", "seo"}
    assert set(pd.read_csv(out / "sensitivity_totals.csv")["channel"]) == {"total"}


def test_a_study_without_scenarios_is_told_how_to_write_one(fitted_study: Path):
    """A usage error with an example, not an empty table."""
    with pytest.raises(UsageError, match=r"has no scenario to compare: add one"):
        workflow.scenarios(fitted_study)


def test_a_wrong_channel_is_told_before_a_fit(with_levers: Path):
    """File, line and the nearest name."""
    text = with_levers.read_text(encoding="utf-8").replace('["seo"]', '["sea"]')
    with_levers.write_text(text, encoding="utf-8")
    line = text.splitlines().index('channels = ["sea"]') + 1
    with pytest.raises(StudyError, match=rf'small.toml:{line}: scenario.2.channels: .*did you mean "seo"'):
        workflow.run(with_levers)


def _levers(deal_mean: float | None) -> Levers:
    past = history(TWO)
    known = posterior(past, RATES, draws=100, delays=DELAYS, traffic=[1000.0, 400.0], deal_mean=deal_mean)
    asked = study(
        scenario=(
            {"name": "page", "rate": {"leads": {"times": (1.1, 1.4)}}, "cost": 900},
            {"name": "training", "rate": {"won": {"by": 0.05}}},
        ),
        goal=({"by": "2026-03", "won": 60.0}, {"by": "2026-01", "leads": 1.0}),
    )
    made = case(known, past, PLAN, asked)
    return Forecast(made, seed=1).levers


@pytest.mark.parametrize("deal_mean", [pytest.param(5000.0, marks=pytest.mark.slow), None])
def test_the_page_says_what_the_tables_hold(deal_mean: float | None):
    """Bottleneck, variance, scenarios and goals, in money or in wins; every figure has words."""
    tables = replace(made_tables(), levers=_levers(deal_mean))
    page = scenarios_page(tables)
    (written,) = document(Report("", "", "", "REVIEW", [page]))["pages"]
    text = json.dumps(written)
    for word in ("page", "training", "close rate", "conversion", "chance: open pipeline"):
        assert word in text
    figures = [part["figure"] for part in written["parts"] if part["figure"]]
    assert figures
    assert all(figure["alt"] for figure in figures)
    if deal_mean is not None:
        assert page.title in [each.title for each in report_of(tables).pages]
    assert ("revenue" in set(tables.levers.sensitivity["measure"])) == (deal_mean is not None)


def test_without_levers_there_is_no_page():
    """Tables made by hand have none."""
    assert scenarios_page(made_tables()) is None


def test_goals_are_called_by_their_names_or_by_what_they_say() -> None:
    """What a goal without a name says is said in the language of the page; a name is nobody's to translate."""
    row = {"amount": 1200.0, "measure": "won", "by": "2027-03"}
    default, named = row | {"goal": "1 200 won by 2027-03"}, row | {"goal": "season"}
    assert text(_called(default)) == "1\u202f200 won by 2027-03"
    with speaking("fi"):
        assert text(_called(default)) == "1\u00a0200 voitetut kaupat viimeistään 3/2027"
        assert text(_called(named)) == "season"
