"""Figures of a budget decision: return against budget, return against risk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecast.report.figures import BLUE, GREY, ORANGE, WIDTH, house, scale_of


@house
def plot_budget_frontier(
    table: pd.DataFrame, ax: Axes, *, current: float, recommended: float, stops: float, currency: str = ""
) -> Axes:
    """Draw the best contribution against budget with its 80 % band; where the plans lie, and where money stops paying.

    `table`: spent, contribution, q10, q90. `current`, `recommended`, `stops`: amounts over the horizon.
    """
    (x, x_label), (y, y_label) = scale_of(table["spent"], currency), scale_of(table["contribution"], currency)
    spent = table["spent"].to_numpy(float)
    ax.fill_between(spent / x, table["q10"] / y, table["q90"] / y, color="#cfe3f1", linewidth=0)
    (line,) = ax.plot(spent / x, table["contribution"] / y, color=BLUE)
    edge = ax.axvline(stops / x, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    best = np.interp([current, recommended], spent, table["contribution"]) / y
    (now,) = ax.plot(
        current / x, best[0], "D", markerfacecolor="white", markeredgecolor=ORANGE, markersize=4.5
    )
    (then,) = ax.plot(recommended / x, best[1], "o", color=BLUE, markersize=4.5)
    ax.set_xlabel(f"budget over the horizon, {x_label}")
    ax.set_ylabel(f"contribution, {y_label}")
    ax.legend(
        [line, now, then, edge],
        ["best split", "today's total", "recommended", "pays up to here"],
        loc="lower left", bbox_to_anchor=(0, 1), ncols=2, columnspacing=1.0, handlelength=1.4,
    )  # fmt: skip
    return ax


@house
def plot_risk_frontier(table: pd.DataFrame, ax: Axes, *, currency: str = "") -> Axes:
    """Draw mean contribution against that of the worst draws: from the best mean to the safest, and where plans lie.

    `table`: plan (mix, current, recommended), contribution, cvar.
    """
    y, y_label = scale_of(table["contribution"], currency)
    mixes = table[table["plan"] == "mix"]
    (line,) = ax.plot(mixes["cvar"] / y, mixes["contribution"] / y, color=BLUE, marker=".", markersize=4)
    looks: dict[str, dict[str, Any]] = {
        "current": {"marker": "D", "markerfacecolor": "white", "markeredgecolor": ORANGE}
    }
    looks["recommended"] = {"marker": "o", "color": BLUE}
    handles = [line]
    for plan, look in looks.items():
        row = table[table["plan"] == plan]
        handles += ax.plot(row["cvar"] / y, row["contribution"] / y, linestyle="", markersize=4.5, **look)
    ax.set_xlabel(f"mean of the worst draws, {y_label}")
    ax.set_ylabel(f"contribution, {y_label}")
    ax.margins(0.15)
    ax.legend(
        handles, ["mean to safest", "current", "recommended"],
        loc="lower left", bbox_to_anchor=(0, 1), ncols=2, columnspacing=1.0, handlelength=1.4,
    )  # fmt: skip
    return ax


@house
def frontiers_figure(
    budget: pd.DataFrame,
    risk: pd.DataFrame,
    *,
    current: float,
    recommended: float,
    stops: float,
    currency: str = "",
) -> Figure:
    """Both frontiers side by side on the report's width."""
    figure = Figure(figsize=(WIDTH, 2.5))
    axes = np.asarray(figure.subplots(ncols=2, squeeze=False))
    plot_budget_frontier(
        budget, axes[0, 0], current=current, recommended=recommended, stops=stops, currency=currency
    )
    plot_risk_frontier(risk, axes[0, 1], currency=currency)
    return figure
