"""The chapter on how firm the budget is: its sentences, tables and figures say what the decision says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from openpyxl import load_workbook
from posterior_fixture import PLAN, RATES, TWO, case, history, posterior, study

from forecast.budget import decide, decision_tables, plain
from forecast.console import decision_text
from forecast.report.pages import budget_figures
from forecast.report.pages.budget import binding, budget_chapter, certainty, frontier
from forecast.report.pdf import report_pdf
from forecast.report.workbook import write_workbook
from forecast.results import allocation_table, gain_of
from forecast.tables import Tables
from tests.tables_fixture import plausible_tables

NAMES = ["one", "two"]


def made(**options: Any) -> tuple[dict[str, Any], Tables, dict[str, Any]]:
    """Decision tables of a small company, a bundle that holds them, and the headline."""
    past = history(TWO)
    known = posterior(past, RATES, draws=100, traffic=[1000.0, 400.0], elasticity=[0.4, 0.6])
    asked = study(economics={"gross_margin": 0.6}, plan={"periods": 3, "target": {"revenue": 70_000}})
    decision = decide(case(known, past, PLAN, asked), **options)
    told = decision_tables(decision, NAMES, "EUR")
    table = allocation_table(asked, NAMES, decision.allocation, told)
    return (
        told,
        replace(plausible_tables(), decision=told, allocation=table),
        gain_of(decision.allocation, NAMES),
    )


@pytest.fixture(scope="module")
def standard() -> tuple[dict[str, Any], Tables, dict[str, Any]]:
    """The current total, the default limits."""
    return made()


def test_the_chapter_holds_the_numbers_of_the_decision(standard):
    """Both frontiers with words, a row for each channel, the channel beyond its past, the price of the total."""
    told, tables, _ = standard
    (chapter,) = budget_chapter(tables)
    titles = [part["title"] for part in chapter["parts"]]
    assert titles == ["", "", "What is worth knowing", "Beyond the spend ever seen", "What limits cost"]
    assert chapter["parts"][0]["figure"]["svg"].startswith("<?xml")
    tests = chapter["parts"][2]["tables"][0]["rows"]
    assert [row["cells"][0] for row in tests] == NAMES
    beyond = told["ledger"].query("beyond > 0")["channel"].tolist()
    assert [row["cells"][0] for row in chapter["parts"][3]["tables"][0]["rows"]] == beyond
    assert chapter["parts"][4]["points"][0].startswith("budget.total: 1 EUR more would add")


def test_the_workbook_holds_the_tables_of_the_decision(standard, tmp_path):
    """Each table of the decision has its sheet, with its rows."""
    told, tables, _ = standard
    write_workbook(tables, tmp_path / "book.xlsx", created=datetime(2026, 1, 1, tzinfo=UTC))
    book = load_workbook(tmp_path / "book.xlsx", data_only=True)
    for key, name in (
        ("tests", "Worth of tests"),
        ("ledger", "Beyond spend seen"),
        ("budget_frontier", "Budget frontier"),
    ):
        head, *rows = book[name].iter_rows(values_only=True)
        assert list(head[:1]) == [str(told[key].columns[0]).replace("_", " ")]
        assert len(rows) == len(told[key])


def test_there_is_no_chapter_without_a_decision():
    """Where no budget is recommended nothing is said about how firm it is."""
    assert budget_chapter(plausible_tables()) == []


def test_the_sentences_follow_status_and_frontier(standard):
    """Optimal, searched and kept are told apart; more money pays or does not; no limit, no price."""
    told = standard[0]["summary"]
    assert certainty(told, "EUR").startswith(
        "Under the model no split within the limits has a higher expected contribution"
    )
    searched = {**told, "certificate": {**told["certificate"], "status": "best found", "objective": "target"}}
    assert "Of several searches this split has the highest the probability" in certainty(searched, "EUR")
    kept = {**told, "certificate": {**told["certificate"], "status": "current plan kept"}}
    assert "is better than the current plan" in certainty(kept, "EUR")
    assert "more money would pay, up to" in frontier({**told, "stops_paying": 20_000.0}, 12_000.0, "EUR")
    assert "no more than" in frontier({**told, "stops_paying": 12_000.0}, 12_000.0, "EUR")
    capped = {**told["certificate"], "prices": {"economics.capacity in 2026-01": 65.0, "budget.total": 0.4}}
    lines = binding(capped, "EUR")
    assert lines[0].startswith("economics.capacity in 2026-01: one unit more would add 65")
    assert binding({**told["certificate"], "prices": {}}, "EUR") == []


def test_the_figures_draw_the_tables(standard):
    """The line is the frontier, the dots lie on it, the dashed line is where money stops paying."""
    told, _, _ = standard
    ax = Figure().subplots()
    table = told["budget_frontier"]
    budget_figures.plot_budget_frontier(table, ax, current=12_000.0, recommended=12_000.0, stops=15_000.0)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), table["spent"] / 1000)
    assert ax.lines[1].get_xdata()[0] == pytest.approx(15.0)
    at = np.interp(12_000.0, table["spent"], table["contribution"]) / 1000
    assert ax.lines[2].get_ydata()[0] == pytest.approx(at)
    ax = Figure().subplots()
    budget_figures.plot_risk_frontier(told["risk_frontier"], ax)
    mixes = told["risk_frontier"].query("plan == 'mix'")
    np.testing.assert_allclose(ax.lines[0].get_xdata(), mixes["cvar"] / 1000)


def test_the_report_prints_it(standard):
    """The PDF is made, whatever stands in it."""
    _, tables, _ = standard
    assert report_pdf(tables, timestamp=1_700_000_000)[:5] == b"%PDF-"


def test_modes_are_said_in_words_and_on_the_console():
    """A question other than a fixed budget is repeated with its answer; the console has prices and advice."""
    told, _, head = made(chance=0.6)
    assert head["material"]
    assert head["recommendation"].startswith("The smallest budget that makes the target 60% likely: ")
    said = decision_text({"decision": plain(told), "currency": "EUR"})
    assert said.startswith("Best found (target); target 6")
    assert "Not knowing costs" in said
    assert "No test of a channel" in said
    assert decision_text({}) == ""
    json.dumps(plain(told))  # plain values only


def test_allocation_csv_says_what_single_draws_would_do(standard):
    """The columns at the end: range of single draws, highest spend seen, gain if the response saturates there."""
    told, tables, _ = standard
    assert (tables.allocation["optimum_low"] <= tables.allocation["optimum_high"]).all()
    assert tables.allocation["highest_seen"].tolist() == [3000.0, 1000.0]
    assert (tables.allocation["gain_if_saturating"] == told["ledger"]["gain_if_saturating"]).all()
