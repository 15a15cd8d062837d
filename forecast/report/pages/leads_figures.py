"""Figures of the segments of leads: what a lead of each is worth, and the mix over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecast.report.figures import BLUE, GREEN, GREY, ORANGE, WIDTH, house, scale_of
from forecast.report.sentences import short_names

COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", GREY)


@house
def plot_segment_worth(table: pd.DataFrame, ax: Axes, *, valued: bool, currency: str = "") -> Axes:
    """Draw the worth of a lead of each segment (P(win) where deals have no value) with its 80 % band.

    `table`: segment, p_win_mean, p_win_q10, p_win_q90, worth_mean, worth_q10, worth_q90.
    """
    column = "worth" if valued else "p_win"
    scale, label = scale_of(table[f"{column}_q90"], currency) if valued else (0.01, "%")
    at = np.arange(len(table))[::-1].astype(float)
    short = short_names([str(name) for name in table["segment"]], 20)
    ax.hlines(
        at, table[f"{column}_q10"] / scale, table[f"{column}_q90"] / scale, color="#a3c8e1", linewidth=5
    )
    ax.plot(table[f"{column}_mean"] / scale, at, "o", color=BLUE, markersize=4.5)
    ax.set_yticks(at, [short[str(name)] for name in table["segment"]])
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlim(left=0.0)
    ax.set_xlabel(f"worth of a lead, {label}" if valued else "P(win) of a lead, %")
    return ax


@house
def plot_segment_mix(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the share of each segment by period, one above the other. `table`: period, segment, share."""
    wide = table.pivot(index="period", columns="segment", values="share").fillna(0.0)
    names = [str(name) for name in wide.columns]
    short = short_names(names, 16)
    base = np.zeros(len(wide))
    for i, name in enumerate(names):
        share = 100 * wide[name].to_numpy(dtype=float)
        colour = COLOURS[i % len(COLOURS)]
        ax.bar(
            np.arange(len(wide)), share, bottom=base, width=1.0, color=colour, linewidth=0, label=short[name]
        )
        base += share
    step = max(1, len(wide) // 4)
    ax.set_xticks(np.arange(len(wide))[::step], [str(period) for period in wide.index[::step]])
    ax.set_ylim(0, 100)
    ax.set_ylabel("share of leads, %")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, columnspacing=1.0, handlelength=1.0)
    return ax


@house
def segments_figure(worth: pd.DataFrame, mix: pd.DataFrame, *, valued: bool, currency: str = "") -> Figure:
    """Worth beside the mix, on the report's width."""
    figure = Figure(figsize=(WIDTH, 2.6))
    axes = np.asarray(figure.subplots(ncols=2, squeeze=False))
    plot_segment_worth(worth, axes[0, 0], valued=valued, currency=currency)
    plot_segment_mix(mix, axes[0, 1])
    return figure
