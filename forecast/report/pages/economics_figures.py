"""Figure of the unit economics of customers: what they are worth over what they cost, by channel."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecast.report.figures import BLUE, GREY, ORANGE, WIDTH, house, name_rows

MARKS = (1.0, 3.0)  # what just comes back, and what is healthy


@house
def plot_ltv_cac(wide: pd.DataFrame, ax: Axes) -> Axes:
    """Draw LTV / CAC with its 80 % band, on average and of the next customer; on a log scale, with marks at 1 and 3.

    `wide`: channel, ltv_cac_q10, ltv_cac_q50, ltv_cac_q90 and, where there are any, the same of marginal_ltv_cac.
    """
    at = name_rows(ax, [str(channel) for channel in wide["channel"]])
    looks = (
        ("ltv_cac", BLUE, "o", 0.14, "average customer"),
        ("marginal_ltv_cac", ORANGE, "s", -0.14, "next customer"),
    )
    shown = [look for look in looks if f"{look[0]}_q50" in wide]
    handles = []
    for name, colour, marker, shift, _ in shown:
        ax.hlines(at + shift, wide[f"{name}_q10"], wide[f"{name}_q90"], color=colour, linewidth=2.2)
        handles += ax.plot(wide[f"{name}_q50"], at + shift, marker, color=colour, markersize=4)
    for mark in MARKS:
        ax.axvline(mark, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, 0.8), max(high, 4.0))
    ticks = [tick for tick in (0.1, 0.3, 1, 3, 10, 30, 100) if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("LTV / CAC")
    ax.legend(handles, [look[-1] for look in shown], loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return ax


@house
def ltv_cac_figure(wide: pd.DataFrame) -> Figure:
    """LTV / CAC on the report's width."""
    figure = Figure(figsize=(WIDTH, 0.8 + 0.2 * len(wide)))
    plot_ltv_cac(wide, figure.subplots())
    return figure
