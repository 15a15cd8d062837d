"""What figures share: the house style, colours, scales, legends, the fan; the figures of a page stand with the page.

`plot_<what>` draws one tidy table on the axes that it is given (a notebook's, or the report's), returns them, and
computes no statistic; `panels` puts one or several of them on a `Figure` of the report's width; `figure_svg` writes
it, the same bytes each time. No pyplot, no state; matplotlib is loaded when something is drawn.

Names of channels and stages are text: no mathematics, no hidden legends. A sign that the font lacks stays in the SVG as
text, so that whoever shows the file may find another font for it.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.words import (
    Message,
    Text,
    currency,
    decimals,
    formatted,
    message,
    period,
    short_names,
    spoken_marks,
    text,
    visible,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("house.mplstyle")
WIDTH = 6.7  # inches: the text width of the report
BLUE, ORANGE, GREEN, INK, GREY = "#0072B2", "#D55E00", "#009E73", "#222222", "#8a8a8a"
PALE, SKY = "#cfe3f1", "#a3c8e1"  # bands: areas, lines
# The current plan, and the recommended one.
NOW: dict[str, Any] = {"marker": "D", "linestyle": "", "markerfacecolor": "white", "markeredgecolor": ORANGE}
THEN: dict[str, Any] = {"marker": "o", "linestyle": "", "color": BLUE}
BANDS = (("q05", "q95", "#d3e5f1"), ("q10", "q90", "#a3c8e1"), ("q25", "q75", "#5fa0cb"))  # wide first


@cache
def _settings() -> Any:
    """The house style, read once."""
    from matplotlib import rc_params_from_file

    return rc_params_from_file(STYLE, use_default_template=False)


def house[**P, R](draw: Callable[P, R]) -> Callable[P, R]:
    """Run `draw` in the house style, whatever the caller's settings are, and leave those as they were."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context
        from matplotlib.axes import Axes

        with rc_context(_settings()):
            drawn = draw(*args, **kwargs)
        if isinstance(drawn, Axes):  # labels that the caller's axes brought along
            for axis in (drawn.xaxis, drawn.yaxis):
                for text in (axis.label, *axis.get_ticklabels()):
                    text.set_parse_math(False)
        return drawn

    return styled


def blank(height: float, *, share: float = 1.0, **grid: Any) -> tuple[Figure, np.ndarray]:
    """A figure of the report's width, or a share of it, and the array of its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH * share, height))
    return figure, np.asarray(figure.subplots(squeeze=False, **grid))


@house
def panels(
    height: float,
    *plots: Callable[[Axes], object],
    ratios: Sequence[float] | None = None,
    share: float = 1.0,
) -> Figure:
    """A figure of the report's width, or a share of it, with a plot on each of its axes, side by side."""
    figure, axes = blank(height, share=share, ncols=len(plots), width_ratios=ratios)
    for plot, ax in zip(plots, axes[0], strict=True):
        plot(ax)
    return figure


@house
def figure_svg(figure: Figure) -> str:
    """The figure as SVG text: no date, no random ids, the same bytes for the same figure."""
    buffer = io.StringIO()
    _localised(figure)
    with warnings.catch_warnings():
        # A name may hold signs that the font lacks; they stay in the file as text (see the module's first lines).
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
        layout = figure.get_layout_engine()
        if layout is not None:
            for _ in range(2):  # the first pass decides which ticks are shown, the second makes room for them
                layout.execute(figure)
            figure.set_layout_engine("none")  # laid out once: a second writing finds the same places
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return visible(buffer.getvalue())  # what is no character of XML is written out


def _localised(figure: Figure) -> None:
    """Tick labels that matplotlib writes by itself, with the marks that are spoken."""
    if not spoken_marks():
        return
    from matplotlib.ticker import ScalarFormatter

    class Localised(ScalarFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return decimals(super().__call__(x, pos))

    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            if type(axis.get_major_formatter()) is ScalarFormatter:
                axis.set_major_formatter(Localised())


def scale_of(values: Any, unit: Text) -> tuple[float, str]:
    """Divisor and axis label that keep tick labels short: (1000, "thousand EUR"). unit: a currency, or a message."""
    finite = np.abs(np.asarray(values, dtype=float).ravel())
    largest = float(finite[np.isfinite(finite)].max(initial=0.0))
    label = text(unit) if isinstance(unit, Message) else currency(unit)
    for least, factor, scaled in (
        (1e9, 1e9, message("billion {unit}", unit=label)),
        (1e6, 1e6, message("million {unit}", unit=label)),
        (1e4, 1e3, message("thousand {unit}", unit=label)),
    ):
        if largest >= least:
            return factor, text(scaled)
    return 1.0, label


def written(axis: Axis, write: Callable[[float], str] = lambda x: formatted(x, ",.6g")) -> None:
    """Tick labels as words write numbers."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda x, _: write(x)))


def few_ticks(axis: Axis, most: int, **told: Any) -> None:
    """At most so many intervals between ticks."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, **told))


def area(**look: Any) -> Any:
    """A patch, as the handle of a legend."""
    from matplotlib.patches import Patch

    return Patch(**look)


def line(**look: Any) -> Any:
    """A line, as the handle of a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **look)


def name_rows(ax: Axes, names: Sequence[str], width: int = 24) -> np.ndarray:
    """Put names on the y axis, the first on top, and return their heights."""
    at = np.arange(len(names))[::-1].astype(float)
    short = short_names(names, width)
    ax.set_yticks(at, [text("total") if n == "total" else short[n] for n in names])
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")
    return at


def legend(
    ax: Axes,
    handles: Sequence[Any],
    labels: Sequence[Text],
    *,
    columns: int,
    wide: float | None = None,
    handle: float | None = None,
) -> None:
    """A legend above the axes, its texts given outright: names that begin with "_" would vanish otherwise."""
    room: dict[str, Any] = {"columnspacing": wide, "handlelength": handle}
    ax.legend(
        list(handles),
        [text(label) for label in labels],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        **room,
    )


# ---------------------------------------------------------------------------------------------------------- the fan


@house
def plot_fan(
    history: pd.DataFrame, table: pd.DataFrame, ax: Axes, *, measure: str = "revenue", unit: Text = "",
    target: float | None = None, recent: int = 36,
) -> Axes:  # fmt: skip
    """Draw the past of a measure as a line and its forecast as bands of 50, 80 and 90 %.

    `history`: period, measure, value. `table`: of the forecast; its rows with channel "total" are drawn, the row of
    the whole horizon is not. `target`: of one period, a dashed line.
    """
    past = history[history["measure"] == measure].tail(recent)
    rows = table[(table["measure"] == measure) & (table["channel"] == "total") & (table["period"] != "total")]
    x = len(past) + np.arange(len(rows))
    everything = [past["value"].to_numpy(), rows["q95"].to_numpy(), np.array([target or 0.0])]
    factor, label = scale_of(np.concatenate(everything), unit or message("{measure:stage}", measure=measure))
    ax.plot(np.arange(len(past)), past["value"] / factor, color=INK, marker="o", markersize=2)
    # One period has no width: bands are drawn as steps around each period, which says "per period" as well.
    edges = np.repeat(x, 2) + np.tile([-0.5, 0.5], len(x))
    drawn = []
    for low, high, colour in BANDS:
        bottom, top = (np.repeat(rows[q].to_numpy() / factor, 2) for q in (low, high))
        drawn.append(ax.fill_between(edges, bottom, top, color=colour, linewidth=0))
    (middle,) = ax.plot(edges, np.repeat(rows["mean"].to_numpy() / factor, 2), color=BLUE)
    ax.axvline(len(past) - 0.5, color=GREY, linewidth=0.6)
    handles = [middle, *drawn[::-1]]
    labels: list[Text] = [message("expected"), "50 %", "80 %", "90 %"]
    if target is not None:
        handles.append(ax.axhline(target / factor, color=ORANGE, linestyle=(0, (5, 3))))
        labels.append("target a period, on average")
    ticks = list(past["period"]) + list(rows["period"])
    _period_ticks(ax, ticks)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(label)
    ax.grid(axis="y")
    legend(ax, handles, labels, columns=len(labels), wide=1.2, handle=1.4)
    return ax


def _period_ticks(ax: Axes, labels: Sequence[str], most: int = 12) -> None:
    """Label at most `most` periods, counted back from the last, so that the end of the horizon is always named."""
    step = max(1, math.ceil(len(labels) / most))
    at = np.arange(len(labels) - 1, -1, -step)[::-1]
    crowded = len(at) > 8
    ax.set_xticks(
        at,
        [period(labels[i]) for i in at],
        rotation=40 if crowded else 0,
        ha="right" if crowded else "center",
    )
    ax.set_xlim(-0.7, len(labels) - 0.3)


@house
def plot_total(
    table: pd.DataFrame, ax: Axes, *, measure: str = "revenue", unit: Text = "", target: float | None = None
) -> Axes:
    """Draw the bands of the whole horizon as one column, with the target across it."""
    row = table[
        (table["measure"] == measure) & (table["channel"] == "total") & (table["period"] == "total")
    ].iloc[0]
    factor, label = scale_of([row["q95"], target or 0.0], unit or message("{measure:stage}", measure=measure))
    for low, high, colour in BANDS:
        ax.bar(0, (row[high] - row[low]) / factor, bottom=row[low] / factor, width=0.6, color=colour)
    ax.plot([-0.3, 0.3], [row["mean"] / factor] * 2, color=BLUE)
    ends = [row["q05"], row["q95"]]
    if target is not None:
        ax.axhline(target / factor, color=ORANGE, linestyle=(0, (5, 3)))
        ends.append(target)
    room = 0.15 * (max(ends) - min(ends)) or 1.0
    ax.set_ylim(max(0.0, (min(ends) - room) / factor), (max(ends) + room) / factor)
    ax.set_xlim(-0.7, 0.7)
    ax.set_xticks([0], [text("whole horizon")])
    few_ticks(ax.yaxis, 6)
    ax.set_ylabel(label)
    ax.grid(axis="y")
    return ax
