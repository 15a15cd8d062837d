"""Scenarios on the terminal: one row each, and what the first sentence should say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forecast.console import amount, percent, table

Cells = dict[str, dict[str, float]]


def by_scenario(rows: list[Mapping[str, Any]]) -> dict[str, Cells]:
    """Rows of scenarios.csv by scenario and measure."""
    found: dict[str, Cells] = {}
    for row in rows:
        found.setdefault(str(row["scenario"]), {})[str(row["measure"])] = dict(row)
    return found


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{amount(value)}"


def scenarios_text(summary: Mapping[str, Any]) -> str:
    """The table of scenarios, the best contribution first."""
    made, cur = by_scenario(summary["scenarios"]), str(summary["currency"])
    valued = all("contribution" in cells for cells in made.values())
    if not valued:
        rows = [["scenario", "wins inside the horizon", "80 % band", "in the end"]]
        for name, cells in made.items():
            won = cells["won"]
            band = f"{_signed(won['q10'])} to {_signed(won['q90'])}"
            rows.append([name, _signed(won["mean"]), band, _signed(cells["won_eventual"]["mean"])])
        return table(rows)
    head = [
        "scenario",
        "revenue inside",
        "cost",
        "contribution",
        "80 % band",
        "pays back",
        "by the horizon's end",
    ]
    rows = [[*head, "a period later costs"]]
    for name, cells in sorted(made.items(), key=lambda item: -item[1]["contribution"]["mean"]):
        money = cells["contribution"]
        rows.append(
            [
                name,
                _signed(cells["revenue"]["mean"]),
                amount(cells["cost"]["mean"]),
                _signed(money["mean"]),
                f"{_signed(money['q10'])} to {_signed(money['q90'])}",
                percent(round(cells["p_payback"]["mean"], 2)),
                percent(round(cells["p_payback_horizon"]["mean"], 2)),
                amount(cells["cost_of_delay"]["mean"]),
            ]
        )
    note = (
        f"Compared with the plan as it is, in {cur}. Revenue inside the horizon; contribution in the end of who is in "
        "the funnel by its end, less the cost within it."
    )
    return f"{table(rows)}\n\n{note}"
