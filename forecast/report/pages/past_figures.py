"""Figures of a backtest: outcomes beside their bands, and where they fell in their distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from forecast.report.figures import BANDS, BLUE, GREY, INK, ORANGE, WIDTH, house, scale_of


@house
def plot_backtest(rows: Sequence[Mapping[str, Any]], ax: Axes, *, unit: str = "") -> Axes:
    """Draw what was forecast at each origin (bands of 50, 80, 90 % and the median) and what came, as dots.

    `rows`: of backtest.json: origin, q05 to q95, came, first, last. A dot outside its 80 % band is orange.
    """
    at = np.arange(len(rows), dtype=float)
    factor, label = scale_of([[r["q95"], r["came"]] for r in rows], unit)
    handles = []
    for low, high, colour in BANDS:
        bottom = np.array([r[low] for r in rows]) / factor
        height = np.array([r[high] for r in rows]) / factor - bottom
        handles.append(ax.bar(at, height, bottom=bottom, width=0.62, color=colour, linewidth=0))
    middle = np.array([r["q50"] for r in rows]) / factor
    lines = ax.hlines(middle, at - 0.31, at + 0.31, color=BLUE, linewidth=1.4)
    came = np.array([r["came"] for r in rows]) / factor
    inside = np.array([bool(r["inside80"]) for r in rows])
    dots = [
        ax.plot(at[m], came[m], "o", color=c, markersize=4.5)[0]
        for m, c in ((inside, INK), (~inside, ORANGE))
    ]
    names = [r["first"] if r["first"] == r["last"] else f"{r['first']}\nto {r['last']}" for r in rows]
    step = max(1, -(-len(rows) // 8))
    shown = at[::-1][::step][::-1]
    ax.set_xticks(shown, [names[int(i)] for i in shown], fontsize=6.5)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(label)
    ax.grid(axis="y")
    labels = ["median", "50 %", "80 %", "90 %", "what came", "outside 80 %"]
    ax.legend(
        [lines, *handles[::-1], *dots],
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=6,
        columnspacing=1.0,
        handlelength=1.2,
    )
    return ax


@house
def plot_pit(counts: Sequence[int], ax: Axes) -> Axes:
    """Draw how many outcomes fell into each equal part of their forecasts; even bars where bands are right."""
    edges = np.linspace(0, 1, len(counts) + 1)
    ax.bar(edges[:-1], counts, width=1 / len(counts), align="edge", color=BLUE, edgecolor="white")
    ax.axhline(sum(counts) / len(counts), color=GREY, linestyle=(0, (5, 3)), linewidth=0.8)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.set_xlabel("forecast below what came")
    ax.set_ylabel("outcomes")
    return ax


@house
def backtest_figure(summary: Mapping[str, Any], *, unit: str = "") -> Figure:
    """Outcomes beside their bands, and the histogram of their places, from the content of backtest.json."""
    figure = Figure(figsize=(WIDTH, 2.7))
    axes = np.asarray(figure.subplots(ncols=2, width_ratios=[5, 1.1]))
    plot_backtest(summary["rows"], axes[0], unit=unit)
    own = next(
        m for m in summary["methods"] if m["method"] == "forecast" and m["measure"] == summary["measure"]
    )
    plot_pit(own["pit"], axes[1])
    return figure
