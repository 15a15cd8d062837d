"""Channels beside each other: rates, and what a lead or a customer costs and is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.errors import UsageError
from forecast.report.drawing import Drawing
from forecast.report.figures import (
    BLUE,
    GREY,
    ORANGE,
    WIDTH,
    area,
    few_ticks,
    legend,
    legend_below,
    line,
    name_rows,
    written,
)
from forecast.report.plots.asking import apart, drawn, one_of, some_of, there
from forecast.words import Text, exact_percent, formatted, in_a_row, message, text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from forecast.results import Results

RANGE = "#e9e6dc"
MARKS = (1.0, 3.0)  # LTV / CAC: what just comes back, and what is healthy
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "marker": "o", "linestyle": "", "markersize": 4.5},
    {"color": BLUE, "linewidth": 2.2},
    {"color": ORANGE, "marker": "|", "linestyle": "", "markersize": 7},
)
LABELS: tuple[Text, ...] = (
    message("mean"),
    "80 % band",
    "seen in the data",
    "published range: a starting point, no target",
)
ACROSS = 3  # panels of rates beside each other


def rates(
    made: Results, *, stage: str | None = None, channel: str | Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:  # fmt: skip
    """Draw rates by channel: the mean as a dot, its 80 % band as a line, the share seen in the data as a mark, and the
    published range as a shade behind.

    Args:
        stage: into which; default: all, a panel each on a figure of its own, whose first axes are returned
            (`ax.figure.axes` has them all).
        channel: one or several, "total" among them; default: all.

    Raises UsageError; also where `ax` is given and several stages are asked for.
    """
    frame = there(made.funnel, "there are no rates to draw")
    stages = list(dict.fromkeys(str(name) for name in frame["stage"]))
    frame = frame[frame["channel"].isin(some_of(channel, frame["channel"]))]
    if stage is None and len(stages) > 1:
        if ax is not None:
            raise UsageError(
                f"one axes shows one stage: name one with stage= ({in_a_row(stages)}), or leave out ax"
            )
        height = panels_height(frame, stages)
        return apart(
            made,
            height + 0.25,
            lambda figure: rates_on(figure, frame, stages, made.study.stages),
            title=TITLE,
        )
    name = one_of("stage with a rate", stage or stages[0], stages)
    rows = frame[frame["stage"] == name]

    def draw(place: Axes) -> None:
        plot_rates(rows, place, of=before(name, made.study.stages))
        legend(place, *_legend(rows), columns=4)

    title = message("rate into {stage:stage}", stage=name)
    return drawn(made, ax, 1.2 + 0.185 * len(rows), draw, title=title)


TITLE = message("Rates by channel")


def break_even(made: Results, *, channel: str | Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw what a lead costs against what may be paid for one, by channel, each with its 80 % band.

    `channel`: one or several, "total" among them; default: all. Raises UsageError.
    """
    wide = _side_by_side(
        made,
        ("cpl", "break_even_cpl"),
        "what a lead costs and is worth is not known: that takes spend, and a value of deals",
        channel,
    )

    def draw(place: Axes) -> None:
        plot_break_even(wide, place, currency=made.study.currency)

    title = message("What a lead costs, and what it is worth")
    return drawn(made, ax, 1.0 + 0.185 * len(wide), draw, title=title)


def ltv_cac(made: Results, *, channel: str | Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw LTV / CAC by channel with its 80 % band: of the average customer, and of the next one; marks at 1 and 3.

    `channel`: one or several, "total" among them; default: all. Raises UsageError.
    """
    wide = _side_by_side(
        made,
        ("ltv_cac",),
        "LTV / CAC is not known: that takes spend, and a value of deals",
        channel,
        also=("marginal_ltv_cac",),
    )

    def draw(place: Axes) -> None:
        plot_ltv_cac(wide, place)

    title = message("LTV / CAC: worth of a customer over its cost")
    return drawn(made, ax, 1.0 + 0.2 * len(wide), draw, title=title)


def _side_by_side(
    made: Results,
    measures: Sequence[str],
    missing: str,
    channel: str | Sequence[str] | None = None,
    also: Sequence[str] = (),
) -> pd.DataFrame:
    """A row a channel with these measures side by side; UsageError where one of them is nowhere."""
    wide = economics_wide(there(made.economics, missing))
    if not all(f"{name}_mean" in wide and wide[f"{name}_mean"].notna().any() for name in measures):
        raise UsageError(missing)
    asked = [name for name in (*measures, *also) if f"{name}_mean" in wide]
    shown = [f"{name}_{q}" for name in asked for q in ("q10", "mean", "q90")]
    wide = wide[["channel", *shown]].dropna(how="all", subset=shown)
    return wide[wide["channel"].isin(some_of(channel, wide["channel"]))]


def economics_wide(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each channel, a column for each measure and statistic (cpl_mean, cpl_q10, ...); channels keep order."""
    names = sorted(frame["channel"].unique(), key=lambda name: name == "total")  # stable: the total last
    wide = frame.pivot(index="channel", columns="measure", values=["mean", "q10", "q50", "q90"])
    wide = wide.swaplevel(axis=1).loc[names]
    wide.columns = wide.columns.map("_".join)
    return wide.reset_index()


def before(stage: str, stages: Sequence[str]) -> str:
    """The stage that a rate is a share of; nothing where the funnel does not name it."""
    at = list(stages).index(stage) if stage in stages else 0
    return stages[at - 1] if at else ""


# ------------------------------------------------------------------------------------------------- how they are drawn


def _legend(table: pd.DataFrame) -> tuple[list[Any], list[Text]]:
    """Handles and labels; of the published range only where one is drawn."""
    published = bool((table["benchmark_low"].notna() & table["benchmark_high"].notna()).any())
    handles = [line(**look) for look in LOOKS] + [area(color=RANGE)] * published
    return handles, list(LABELS[: len(handles)])


def plot_rates(table: pd.DataFrame, ax: Axes, *, of: str = "") -> Axes:
    """Draw the rates into one stage by channel: mean as a dot, 80 % band as a line, published range as a shade behind.

    `table`: channel, mean, q10, q90, history (the crude share, a hollow mark), benchmark_low, benchmark_high. `of`: the
    stage that it is a share of.
    """
    at = name_rows(ax, [str(c) for c in table["channel"]])
    low, high = table["benchmark_low"].to_numpy(float), table["benchmark_high"].to_numpy(float)
    shown = np.isfinite(low) & np.isfinite(high)
    ax.barh(at[shown], (high - low)[shown], left=low[shown], height=1.0, color=RANGE)
    ax.hlines(at, table["q10"], table["q90"], color=BLUE, linewidth=2.2)
    ax.plot(table["history"], at, "|", color=ORANGE, markersize=7, markeredgewidth=1.2)
    ax.plot(table["mean"], at, "o", color=BLUE, markersize=4.5)
    written(ax.xaxis, lambda x: exact_percent(x) if x else "0")
    few_ticks(ax.xaxis, 4)
    ax.set_xlim(left=0)
    ax.set_xlabel(text(message("share of {stage:stage}", stage=of)) if of else text("share that moves on"))
    return ax


def panels_height(table: pd.DataFrame, stages: Sequence[str]) -> float:
    """Inches that panels of rates take."""
    rows = max(int((table["stage"] == stage).sum()) for stage in stages)
    return (0.95 + 0.165 * rows) * -(-len(stages) // ACROSS)


def rates_figure(table: pd.DataFrame, stages: Sequence[str], every: Sequence[str] = ()) -> Drawing:
    """A figure of the report, a panel for each stage of destination in `stages`; every: all stages of the funnel."""
    return rates_on(Drawing(WIDTH, panels_height(table, stages)), table, stages, every)


def rates_on[F: Figure | Drawing](
    figure: F, table: pd.DataFrame, stages: Sequence[str], every: Sequence[str]
) -> F:
    """Panels of rates, three beside each other, channels down the side."""
    down = -(-len(stages) // ACROSS)
    axes = figure.subplots(down, min(ACROSS, len(stages)), sharey=True, squeeze=False).ravel()
    for ax, stage in zip(axes, stages, strict=False):
        plot_rates(table[table["stage"] == stage], ax, of=before(stage, every))
        ax.set_title(text(message("into {stage:stage}", stage=stage)))
    for ax in axes[len(stages) :]:
        ax.set_visible(False)
    handles, labels = _legend(table)
    legend_below(figure, handles, labels, ncols=4, columnspacing=1.4, handlelength=1.4)
    return figure


def plot_break_even(wide: pd.DataFrame, ax: Axes, *, currency: str = "") -> Axes:
    """Draw what a lead costs against what may be paid for one, by channel, each with its 80 % band.

    `wide`: channel, cpl_mean, cpl_q10, cpl_q90, break_even_cpl_mean, break_even_cpl_q10, break_even_cpl_q90.
    """
    looks = {
        "cpl": (ORANGE, "s", 0.14, "cost of a lead"),
        "break_even_cpl": (BLUE, "o", -0.14, "break-even: worth x margin"),
    }
    _dots(wide, ax, "mean", looks)
    values = wide[[f"{name}_{q}" for name in looks for q in ("mean", "q10", "q90")]].to_numpy(float)
    positive = values[np.isfinite(values) & (values > 0)]
    if positive.size and positive.max() > 30 * positive.min():
        ax.set_xscale("log")
    else:
        ax.set_xlim(left=0)
    written(ax.xaxis)
    ax.set_xlabel(text(message("{cur} a lead", cur=currency)).strip())
    return ax


def _dots(
    wide: pd.DataFrame, ax: Axes, middle: str, looks: Mapping[str, tuple[str, str, float, str]]
) -> None:
    """Dots over their 80 % bands by channel; looks: by measure its colour, marker, shift, and name in the legend."""
    at = name_rows(ax, [str(channel) for channel in wide["channel"]])
    handles = []
    for name, (colour, marker, shift, _) in looks.items():
        ax.hlines(at + shift, wide[f"{name}_q10"], wide[f"{name}_q90"], color=colour, linewidth=2.2)
        handles += ax.plot(wide[f"{name}_{middle}"], at + shift, marker, color=colour, markersize=4)
    legend(ax, handles, [look[-1] for look in looks.values()], columns=2)


def plot_ltv_cac(wide: pd.DataFrame, ax: Axes) -> Axes:
    """Draw LTV / CAC with its 80 % band, on average and of the next customer; on a log scale, with marks at 1 and 3.

    `wide`: channel, ltv_cac_q10, ltv_cac_mean, ltv_cac_q90 and, where there are any, the same of marginal_ltv_cac.
    """
    looks = {
        "ltv_cac": (BLUE, "o", 0.14, "average customer"),
        "marginal_ltv_cac": (ORANGE, "s", -0.14, "next customer"),
    }
    _dots(wide, ax, "mean", {name: look for name, look in looks.items() if f"{name}_mean" in wide})
    for mark in MARKS:
        ax.axvline(mark, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, 0.8), max(high, 4.0))
    ticks = [tick for tick in (0.1, 0.3, 1, 3, 10, 30, 100) if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    ax.set_xticks(ticks, [formatted(tick, "g") for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("LTV / CAC")
    return ax
