"""The chapter of the report on how firm the budget is: certainty, price of limits, frontiers, tests, the unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from forecast.report.chapters import Cell, Row, part, table
from forecast.report.figures import figure_svg
from forecast.report.pages.budget_figures import frontiers_figure
from forecast.report.sentences import NBSP, clean, known, number, percent, short_names, signed, whole
from forecast.tables import Tables, records

SHOWN = 7  # rows of the frontier's table
FRONTIER_NOTE = (
    "Best contribution within the other limits of the study, for every budget; marginal: what the next unit of money "
    "brings back. Worst draws: mean of the share that budget.risk names, chance included."
)
TEST_NOTE = (
    "Single draws: the best split of each draw by itself, 10 to 90 %; where the range is wide, decimals of the "
    "recommendation mean nothing. Worth: what knowing the channel's response would add over the horizon, with its "
    "Monte Carlo error; the test takes away only part of the doubt."
)
LEDGER_NOTE = (
    "If it saturates: the gain if the response flattens from the highest spend seen on, with the level and the slope "
    "that it has there."
)
OBJECTIVES = {
    "profit": "expected contribution",
    "revenue": "expected revenue inside the horizon",
    "target": "the probability of the target",
    "cvar": "the mean of the worst draws",
}


def budget_chapter(tables: Tables) -> list[dict[str, Any]]:
    """The chapter, or nothing where no budget is recommended."""
    made = tables.decision
    if not made:
        return []
    cur = clean(tables.study["currency"])
    told, frame = made["summary"], tables.allocation
    current, recommended = float(frame["current"].sum()), float(frame["recommended"].sum())
    drawn = frontiers_figure(
        made["budget_frontier"],
        made["risk_frontier"],
        current=current,
        recommended=recommended,
        stops=told["stops_paying"],
        currency=cur,
    )
    lead = clean(certainty(told, cur))
    alt = f"Contribution against budget, and against the mean of the worst draws. {frontier(told, recommended, cur)}"
    parts = [
        part(
            lead=lead,
            text=clean(frontier(told, recommended, cur)),
            figure={"svg": figure_svg(drawn), "alt": clean(alt)},
        ),
        part(tables=[_frontier_table(made["budget_frontier"], cur)], note=FRONTIER_NOTE),
        part(
            "What is worth knowing",
            lead=clean(told["advice"]),
            tables=[_tests_table(made, cur)],
            note=TEST_NOTE,
        ),
    ]
    beyond = made["ledger"][made["ledger"]["beyond"] > 0]
    if not beyond.empty:
        parts.append(
            part("Beyond the spend ever seen", tables=[_ledger_table(beyond, cur)], note=LEDGER_NOTE)
        )
    prices = binding(told["certificate"], cur)
    if prices:
        parts.append(part("What limits cost", points=[clean(line) for line in prices]))
    return [{"title": "How firm the budget is", "parts": parts}]


def certainty(told: Mapping[str, Any], currency: str) -> str:
    """Whether it is the best split under the model, and what not knowing costs."""
    made = told["certificate"]
    aim = OBJECTIVES[made["objective"]]
    said = {
        "optimal": f"Under the model no split within the limits has a higher {aim}",
        "best found": f"Of several searches this split has the highest {aim}",
        "current plan kept": "Under the model no split within the limits is better than the current plan",
    }[made["status"]]
    if made["status"] == "optimal" and known(made["gap"]):
        said += f", to {number(made['gap'], 1)}{NBSP}{currency}" if made["gap"] >= 1 else ""
    regret, now = told["regret"]["value"], told["regret_current"]["value"]
    text = f"{said}. Not knowing the response better costs {number(regret, 2)}{NBSP}{currency} with it over the horizon"
    return text + f", and {number(now, 2)}{NBSP}{currency} with the current plan."


def frontier(told: Mapping[str, Any], recommended: float, currency: str) -> str:
    """How far more money would pay."""
    stops = float(told["stops_paying"])
    if stops > recommended * 1.005:
        return f"Within the other limits more money would pay, up to {number(stops)}{NBSP}{currency} over the horizon."
    return f"Within the other limits no more than {number(recommended)}{NBSP}{currency} over the horizon would pay."


def binding(certificate: Mapping[str, Any], currency: str) -> list[str]:
    """Each limit that holds the plan back, and what one unit more of it would add."""
    unit = {"profit": f" {currency} of contribution", "revenue": f" {currency} of revenue"}
    what = unit.get(str(certificate["objective"]), " of the objective")
    lines = []
    for name, price in sorted(certificate["prices"].items(), key=lambda item: -float(item[1])):
        one = "one unit" if str(name).startswith("economics.capacity") else f"1 {currency}"
        lines.append(f"{name}: {one} more would add {number(price)}{what}.")
    return lines


def _frontier_table(frame: pd.DataFrame, currency: str) -> dict[str, Any]:
    step = max(1, -(-len(frame) // SHOWN))
    rows: list[Row] = []
    for row in records(frame.iloc[::step]):
        band = f"{number(row['q10'])} to {number(row['q90'])}"
        cells: list[Cell] = [whole(row["spent"]), number(row["contribution"]), band, f"{row['marginal']:.2f}"]
        rows.append((cells, False))
    head = [f"Budget, {currency}", "Contribution", f"80{NBSP}% band", "Marginal return"]
    return table(head, rows, "rrrr", "1121")


def _tests_table(made: Mapping[str, Any], currency: str) -> dict[str, Any]:
    tests, optimum = records(made["tests"]), records(made["optimum"])
    short = short_names([str(row["channel"]) for row in tests])
    rows: list[Row] = []
    for test, best in zip(tests, optimum, strict=True):
        worth = f"{number(test['worth_of_knowing'], 2)} ± {number(test['error'], 1)}"
        cells: list[Cell] = [
            short[test["channel"]],
            f"{whole(best['q10'])} to {whole(best['q90'])}",
            worth,
            f"{test['periods']} at ±{percent(test['swing'])}",
            percent(test["learnt"]),
            number(test["worth"], 2),
            number(test["cost"], 2),
        ]
        rows.append((cells, bool(test["advised"])))
    head = [
        f"Channel, {currency}",
        "Single draws",
        "Worth of knowing",
        "Test, periods",
        "Learnt",
        "Worth",
        "Cost",
    ]
    return table(head, rows, "", "a222111")


def _ledger_table(frame: pd.DataFrame, currency: str) -> dict[str, Any]:
    short = short_names([str(channel) for channel in frame["channel"]])
    rows: list[Row] = []
    for row in records(frame):
        cells: list[Cell] = [
            short[row["channel"]],
            whole(row["highest_seen"]),
            whole(row["peak"]),
            percent(row["beyond"]),
            signed(row["gain"]),
            signed(row["gain_beyond"]),
            signed(row["gain_if_saturating"]),
        ]
        rows.append((cells, False))
    head = [
        f"Channel, {currency}",
        "Highest seen",
        "Highest planned",
        "Beyond",
        "Gain",
        "of it beyond",
        "If it saturates",
    ]
    return table(head, rows)
