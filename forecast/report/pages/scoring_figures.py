"""Figures of a score: whether its chances came true, and what a threshold brings."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecast.report.figures import BLUE, GREY, ORANGE, WIDTH, house, scale_of


@house
def plot_reliability(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the share won against the chance that was given, with the range that chance alone would leave.

    `table`: chance, won, low, high, leads by group of leads with like chances.
    """
    most = 100 * float(max(table[["chance", "won", "high"]].max())) * 1.05
    ax.plot([0, most], [0, most], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.vlines(100 * table["chance"], 100 * table["low"], 100 * table["high"], color="#a3c8e1", linewidth=3)
    ax.plot(100 * table["chance"], 100 * table["won"], "o", color=BLUE, markersize=4.5)
    ax.set_xlim(0, most)
    ax.set_ylim(0, most)
    ax.set_xlabel("chance given, %")
    ax.set_ylabel("won, %")
    return ax


@house
def plot_threshold(curve: pd.DataFrame, ax: Axes, *, worked: float, money: bool, currency: str = "") -> Axes:
    """Draw contribution (or wins) a period against leads worked a period, best first, and where the threshold lies.

    `curve`: worked, contribution, q10, q90, wins.
    """
    column = "contribution" if money else "wins"
    scale, label = scale_of(curve[column], currency) if money else (1.0, "a period")
    if money:
        ax.fill_between(
            curve["worked"], curve["q10"] / scale, curve["q90"] / scale, color="#cfe3f1", linewidth=0
        )
    ax.plot(curve["worked"], curve[column] / scale, color=BLUE)
    at = float(np.interp(worked, curve["worked"], curve[column])) / scale
    ax.plot(worked, at, "o", color=ORANGE, markersize=4.5)
    ax.set_xlabel("leads worked a period, the best first")
    ax.set_ylabel(f"contribution a period, {label}" if money else "wins a period")
    return ax


@house
def scoring_figure(
    reliability: pd.DataFrame | None, curve: pd.DataFrame, *, worked: float, money: bool, currency: str = ""
) -> Figure:
    """Reliability, where a test could be made, beside the curve of the threshold, on the report's width."""
    figure = Figure(figsize=(WIDTH, 2.8))
    if reliability is None:
        axes = np.asarray(figure.subplots(ncols=1, squeeze=False))
    else:
        axes = np.asarray(figure.subplots(ncols=2, squeeze=False))
        plot_reliability(reliability, axes[0, 0])
    plot_threshold(curve, axes[0, -1], worked=worked, money=money, currency=currency)
    return figure
