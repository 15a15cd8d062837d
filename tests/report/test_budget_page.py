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

from forecast.budget import Budget, Firmness, Fixed, Hold, Target, decide, firmness
from forecast.columns import TABLES
from forecast.report import recommendation, terminal_text
from forecast.report.pages.budget import (
    binding,
    certainty,
    firmness_page,
    frontier,
    split_page,
)
from forecast.report.pdf import report_pdf
from forecast.report.plots.money import plot_budget_frontier, plot_risk_frontier
from forecast.report.workbook import write_workbook
from forecast.results import Results, allocation_table, gain_of
from forecast.tables import json_text
from forecast.words import text
from tests.tables_fixture import plausible_tables

NAMES = ["one", "two"]


def made(budget: Budget = Fixed()) -> Results:
    """A bundle with the decision of a small company."""
    past = history(TWO)
    known = posterior(past, RATES, draws=100, traffic=[1000.0, 400.0], elasticity=[0.4, 0.6])
    asked = study(economics={"gross_margin": 0.6}, plan={"periods": 3, "target": {"revenue": 70_000}})
    decision = decide(case(known, past, PLAN, asked), budget)
    firm = firmness(decision, NAMES, "EUR")
    table = allocation_table(asked, NAMES, decision.allocation, firm)
    return replace(
        plausible_tables(),
        decision=firm,
        allocation=table,
        headline=gain_of(decision.allocation),
    )


@pytest.fixture(scope="module")
def standard() -> Results:
    """The current total, the default limits."""
    return made()


def test_the_chapter_holds_the_numbers_of_the_decision(standard):
    """Both frontiers with words, a row for each channel, the channel beyond its past, the price of the total."""
    page = firmness_page(standard)
    assert [part.title for part in page.parts] == [
        *("", "", "What is worth knowing"),
        *("Beyond the spend ever seen", "What limits cost"),
    ]
    assert len(page.parts[0].figure.draw().axes) == 2
    assert [row.cells[0] for row in page.parts[2].listings[0].rows] == NAMES
    beyond = standard.decision.ledger.query("beyond > 0.05")["channel"].tolist()
    assert [row.cells[0] for row in page.parts[3].listings[0].rows] == beyond
    assert text(page.parts[4].points[0]).startswith("budget.total: 1\xa0EUR more would add")


def test_the_workbook_holds_the_tables_of_the_decision(standard, tmp_path):
    """Each table of the decision has its rows on a sheet; what is told by channel stands side by side."""
    write_workbook(standard, tmp_path / "book.xlsx", created=datetime(2026, 1, 1, tzinfo=UTC))
    book = load_workbook(tmp_path / "book.xlsx", data_only=True)
    for key, name in (("tests", "How firm"), ("ledger", "How firm"), ("budget_frontier", "Budget frontier")):
        head, *rows = book[name].iter_rows(values_only=True)
        table = getattr(standard.decision, key)
        assert list(head[:1]) == [str(table.columns[0]).replace("_", " ")]
        assert set(table.iloc[:, 0]) <= {row[0] for row in rows}
        shown = {str(column.title) for column in TABLES[key][1] if column.name in table}
        assert shown <= set(head)


def test_there_is_no_chapter_without_a_decision():
    """Where no budget is recommended nothing is said about how firm it is."""
    assert firmness_page(plausible_tables()) is None


def test_the_sentences_follow_status_and_frontier(standard):
    """Optimal, searched and kept are told apart; more money pays or does not; no limit, no price."""
    firm = standard.decision

    def certified(**told: Any) -> Firmness:
        return replace(firm, certificate={**firm.certificate, **told})

    assert text(certainty(firm, "EUR")).startswith(
        "Under the model no split within the limits has a higher expected contribution"
    )
    searched = text(certainty(certified(status="best found", objective="target"), "EUR"))
    assert "Of several searches this split has the highest the probability" in searched
    kept = text(certainty(certified(status="current plan kept"), "EUR"))
    assert "is better than the current plan" in kept
    assert "more money would pay, up to" in text(frontier(replace(firm, stops_paying=2e4), 12_000.0, "EUR"))
    assert "no more than" in text(frontier(replace(firm, stops_paying=12_000.0), 12_000.0, "EUR"))
    lines = binding(certified(prices={"economics.capacity in 2026-01": 65.0, "budget.total": 0.4}), "EUR")
    assert text(lines[0]).startswith("economics.capacity in 2026-01: one unit more would add 65")
    assert binding(certified(prices={}), "EUR") == []


def test_the_figures_draw_the_tables(standard):
    """The line is the frontier, the dots lie on it, the dashed line is where money stops paying."""
    ax = Figure().subplots()
    table = standard.decision.budget_frontier
    plot_budget_frontier(table, ax, current=12_000.0, recommended=12_000.0, stops=15_000.0)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), table["spent"] / 1000)
    assert ax.lines[1].get_xdata()[0] == pytest.approx(15.0)
    at = np.interp(12_000.0, table["spent"], table["contribution"]) / 1000
    assert ax.lines[2].get_ydata()[0] == pytest.approx(at)
    ax = Figure().subplots()
    plot_risk_frontier(standard.decision.risk_frontier, ax)
    mixes = standard.decision.risk_frontier.query("plan == 'mix'")
    np.testing.assert_allclose(ax.lines[0].get_xdata(), mixes["cvar"] / 1000)


def test_the_report_prints_it(standard):
    """The PDF is made, whatever stands in it."""
    head = plausible_tables().headline | standard.headline
    assert report_pdf(replace(standard, headline=head), timestamp=1_700_000_000)[:5] == b"%PDF-"


def test_modes_are_said_in_words_and_on_the_terminal():
    """A question other than a fixed budget is repeated with its answer; the terminal has certainty and advice."""
    asked = made(Target(chance=0.6))
    assert asked.headline["material"]
    words = text(recommendation(asked))
    assert words.startswith("The smallest budget that makes the target 60\xa0% likely: ")
    said = terminal_text(split_page(asked))
    assert said.startswith("Channel, EUR")
    assert (
        "Of several searches this split has the highest the probability of the target. The target is 6"
        in said
    )
    assert "Not knowing the response better costs" in said
    assert "No test of a channel" in said
    assert "80 % band" in terminal_text(split_page(replace(asked, decision=None)))
    json.loads(json_text(asked.decision.told()))  # plain values only


def test_allocation_csv_says_what_single_draws_would_do(standard):
    """The columns at the end: range of single draws, highest spend seen, gain if the response saturates there."""
    table = standard.allocation
    assert (table["optimum_low"] <= table["optimum_high"]).all()
    assert table["highest_seen"].tolist() == [3000.0, 1000.0]
    assert (table["gain_if_saturating"] == standard.decision.ledger["gain_if_saturating"]).all()


def test_a_plan_that_is_held_is_called_so():
    """Nothing is recommended; what is said is that of the current plan."""
    said = terminal_text(split_page(made(Hold())))
    assert "This is the current plan as it is" in said
    assert "No material change" in said
