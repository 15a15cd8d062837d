"""Segments of leads: what one of each is worth, and how the mix has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecast.errors import UsageError
from forecast.report.figures import BLUE, GREEN, GREY, ORANGE, SKY, legend, scale_of
from forecast.report.plots.asking import drawn
from forecast.words import message, period, short_names, text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from forecast.results import Results, Segments

COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", GREY)


def segments(made: Results, *, ax: Axes | None = None) -> Axes:
    """Draw what a lead of each segment is worth (its chance to win, where deals have no value), with its 80 % band.

    Raises UsageError where the study has no segments.
    """
    found = _segments(made)

    def draw(place: Axes) -> None:
        plot_segment_worth(found.worth, place, valued=found.valued, currency=made.study.currency)

    title = message("By {column}", column=found.column)
    return drawn(made, ax, 1.1 + 0.26 * len(found.worth), draw, title=title)


def mix(made: Results, *, ax: Axes | None = None) -> Axes:
    """Draw the share of each segment among the leads of a period, one above the other.

    Raises UsageError where the study has no segments.
    """
    found = _segments(made)
    title = message("Mix of leads by {column}", column=found.column)
    return drawn(made, ax, 2.9, lambda place: plot_segment_mix(found.mix, place), title=title)


def _segments(made: Results) -> Segments:
    if made.segments is None:
        raise UsageError("the study has no segments of leads: name their column in [segments]")
    return made.segments


# ------------------------------------------------------------------------------------------------- how they are drawn


def plot_segment_worth(table: pd.DataFrame, ax: Axes, *, valued: bool, currency: str = "") -> Axes:
    """Draw the worth of a lead of each segment (P(win) where deals have no value) with its 80 % band.

    `table`: segment, p_win_mean, p_win_q10, p_win_q90, worth_mean, worth_q10, worth_q90.
    """
    column = "worth" if valued else "p_win"
    scale, label = scale_of(table[f"{column}_q90"], currency) if valued else (0.01, "%")
    at = np.arange(len(table))[::-1].astype(float)
    short = short_names([str(name) for name in table["segment"]], 20)
    ax.hlines(at, table[f"{column}_q10"] / scale, table[f"{column}_q90"] / scale, color=SKY, linewidth=5)
    ax.plot(table[f"{column}_mean"] / scale, at, "o", color=BLUE, markersize=4.5)
    ax.set_yticks(at, [short[str(name)] for name in table["segment"]])
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlim(left=0.0)
    worth_of = message("worth of a lead, {unit}", unit=label)
    ax.set_xlabel(text(worth_of if valued else "P(win) of a lead, %"))
    return ax


def plot_segment_mix(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the share of each segment by period, one above the other. `table`: period, segment, share."""
    wide = table.pivot(index="period", columns="segment", values="share").fillna(0.0)
    names = [str(name) for name in wide.columns]
    short = short_names(names, 16)
    base = np.zeros(len(wide))
    for i, segment in enumerate(names):
        share = 100 * wide[segment].to_numpy(dtype=float)
        colour = COLOURS[i % len(COLOURS)]
        ax.bar(
            np.arange(len(wide)),
            share,
            bottom=base,
            width=1.0,
            color=colour,
            linewidth=0,
            label=short[segment],
        )
        base += share
    step = max(1, len(wide) // 4)
    ax.set_xticks(np.arange(len(wide))[::step], [period(label) for label in wide.index[::step]])
    ax.set_ylim(0, 100)
    ax.set_ylabel(text("share of leads, %"))
    legend(ax, *ax.get_legend_handles_labels(), columns=3, wide=1.0, handle=1.0)
    return ax
