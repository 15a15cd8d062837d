"""Figures: each function draws one tidy table on one `ax` and returns the `ax`; none computes a statistic.

`plot_<what>` draws on the axes that it is given (a notebook's, or the report's); `<what>_figure` puts one or several
of them on a `Figure` of the report's width; `figure_svg` writes it, the same bytes each time. No pyplot, no state.

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
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context, rc_params_from_file
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from forecast.report.sentences import THIN, clean, percent, short_names, stage_word

STYLE = Path(__file__).with_name("house.mplstyle")
WIDTH = 6.7  # inches: the text width of the report
BLUE, ORANGE, GREEN, INK, GREY = "#0072B2", "#D55E00", "#009E73", "#222222", "#8a8a8a"
BANDS = (("q05", "q95", "#d3e5f1"), ("q10", "q90", "#a3c8e1"), ("q25", "q75", "#5fa0cb"))  # wide first
RANGE = "#e9e6dc"


@cache
def _settings() -> Any:
    """The house style, read once."""
    return rc_params_from_file(STYLE, use_default_template=False)


def house[**P, R](draw: Callable[P, R]) -> Callable[P, R]:
    """Run `draw` in the house style, whatever the caller's settings are, and leave those as they were."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with rc_context(_settings()):
            drawn = draw(*args, **kwargs)
        if isinstance(drawn, Axes):  # labels that the caller's axes brought along
            for axis in (drawn.xaxis, drawn.yaxis):
                for text in (axis.label, *axis.get_ticklabels()):
                    text.set_parse_math(False)
        return drawn

    return styled


def _blank(width: float, height: float, **grid: Any) -> tuple[Figure, np.ndarray]:
    """A figure and the array of its axes."""
    figure = Figure(figsize=(width, height))
    return figure, np.asarray(figure.subplots(squeeze=False, **grid))


@house
def figure_svg(figure: Figure) -> str:
    """The figure as SVG text: no date, no random ids, the same bytes for the same figure."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # A name may hold signs that the font lacks; they stay in the file as text (see the module's first lines).
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
        layout = figure.get_layout_engine()
        if layout is not None:
            for _ in range(2):  # the first pass decides which ticks are shown, the second makes room for them
                layout.execute(figure)
            figure.set_layout_engine("none")  # laid out once: a second writing finds the same places
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def scale_of(values: Any, unit: str) -> tuple[float, str]:
    """Divisor and axis label that keep tick labels short: (1000, "thousand EUR")."""
    finite = np.abs(np.asarray(values, dtype=float).ravel())
    largest = float(finite[np.isfinite(finite)].max(initial=0.0))
    for factor, word in ((1e9, "billion "), (1e6, "million "), (1e4, "thousand ")):
        if largest >= factor:
            return (1e3 if word == "thousand " else factor), f"{word}{clean(unit)}"
    return 1.0, clean(unit)


def _plain(factor: float = 1.0) -> FuncFormatter:
    """Tick labels with thin spaces, in units of `factor`."""
    return FuncFormatter(lambda x, _: f"{x / factor:,.6g}".replace(",", THIN).replace("-", "\N{MINUS SIGN}"))


def name_rows(ax: Axes, names: Sequence[str], width: int = 24) -> np.ndarray:
    """Put names on the y axis, the first on top, and return their heights."""
    at = np.arange(len(names))[::-1].astype(float)
    short = short_names(names, width)
    ax.set_yticks(at, [short[n] for n in names])
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")
    return at


def _legend(ax: Axes, handles: Sequence[Any], labels: Sequence[str], **where: Any) -> None:
    """A legend with its texts given outright: names that begin with "_" would vanish otherwise."""
    ax.legend(list(handles), list(labels), **where)


# --------------------------------------------------------------------------------------------------- forecast


@house
def plot_fan(
    history: pd.DataFrame, table: pd.DataFrame, ax: Axes, *, measure: str = "revenue", unit: str = "",
    target: float | None = None, recent: int = 36,
) -> Axes:  # fmt: skip
    """Draw the past of a measure as a line and its forecast as bands of 50, 80 and 90 %.

    `history`: period, measure, value. `table`: forecast.csv; the rows with channel "total" are drawn, the row of the
    whole horizon is not. `target`: of one period, a dashed line.
    """
    past = history[history["measure"] == measure].tail(recent)
    rows = table[(table["measure"] == measure) & (table["channel"] == "total") & (table["period"] != "total")]
    x = len(past) + np.arange(len(rows))
    everything = [past["value"].to_numpy(), rows["q95"].to_numpy(), np.array([target or 0.0])]
    factor, label = scale_of(np.concatenate(everything), unit or stage_word(measure))
    ax.plot(np.arange(len(past)), past["value"] / factor, color=INK, marker="o", markersize=2)
    # One period has no width: bands are drawn as steps around each period, which says "per period" as well.
    edges = np.repeat(x, 2) + np.tile([-0.5, 0.5], len(x))
    drawn = []
    for low, high, colour in BANDS:
        bottom, top = (np.repeat(rows[q].to_numpy() / factor, 2) for q in (low, high))
        drawn.append(ax.fill_between(edges, bottom, top, color=colour, linewidth=0))
    (middle,) = ax.plot(edges, np.repeat(rows["q50"].to_numpy() / factor, 2), color=BLUE)
    ax.axvline(len(past) - 0.5, color=GREY, linewidth=0.6)
    handles, labels = [middle, *drawn[::-1]], ["median", "50 %", "80 %", "90 %"]
    if target is not None:
        handles.append(ax.axhline(target / factor, color=ORANGE, linestyle=(0, (5, 3))))
        labels.append("target a period, on average")
    ticks = list(past["period"]) + list(rows["period"])
    _period_ticks(ax, ticks)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(label)
    ax.grid(axis="y")
    _legend(
        ax,
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(labels),
        columnspacing=1.2,
        handlelength=1.4,
    )
    return ax


def _period_ticks(ax: Axes, labels: Sequence[str], most: int = 12) -> None:
    """Label at most `most` periods, counted back from the last, so that the end of the horizon is always named."""
    step = max(1, math.ceil(len(labels) / most))
    at = np.arange(len(labels) - 1, -1, -step)[::-1]
    crowded = len(at) > 8
    ax.set_xticks(
        at, [labels[i] for i in at], rotation=40 if crowded else 0, ha="right" if crowded else "center"
    )
    ax.set_xlim(-0.7, len(labels) - 0.3)


@house
def plot_total(
    table: pd.DataFrame, ax: Axes, *, measure: str = "revenue", unit: str = "", target: float | None = None
) -> Axes:
    """Draw the bands of the whole horizon as one column, with the target across it."""
    row = table[
        (table["measure"] == measure) & (table["channel"] == "total") & (table["period"] == "total")
    ].iloc[0]
    factor, label = scale_of([row["q95"], target or 0.0], unit or stage_word(measure))
    for low, high, colour in BANDS:
        ax.bar(0, (row[high] - row[low]) / factor, bottom=row[low] / factor, width=0.6, color=colour)
    ax.plot([-0.3, 0.3], [row["q50"] / factor] * 2, color=BLUE)
    ends = [row["q05"], row["q95"]]
    if target is not None:
        ax.axhline(target / factor, color=ORANGE, linestyle=(0, (5, 3)))
        ends.append(target)
    room = 0.15 * (max(ends) - min(ends)) or 1.0
    ax.set_ylim(max(0.0, (min(ends) - room) / factor), (max(ends) + room) / factor)
    ax.set_xlim(-0.7, 0.7)
    ax.set_xticks([0], ["whole horizon"])
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.set_ylabel(label)
    ax.grid(axis="y")
    return ax


@house
def revenue_figure(
    history: pd.DataFrame,
    table: pd.DataFrame,
    *,
    measure: str = "revenue",
    unit: str = "",
    target: float | None = None,
) -> Figure:
    """The fan by period beside the whole horizon; `target` is that of the horizon."""
    figure, axes = _blank(WIDTH, 2.6, ncols=2, width_ratios=[5, 1])
    periods = table.loc[table["period"] != "total", "period"].nunique()
    each = None if target is None else target / max(periods, 1)
    plot_fan(history, table, axes[0, 0], measure=measure, unit=unit, target=each)
    plot_total(table, axes[0, 1], measure=measure, unit=unit, target=target)
    return figure


@house
def plot_bridge(table: pd.DataFrame, ax: Axes, *, unit: str = "", column: str = "mean") -> Axes:
    """Draw a waterfall of item and `column`: parts build up to "revenue inside the horizon", later ones are hatched.

    The 80 % band of each item (q10, q90) is a line at the end of its bar where it is given.
    """
    factor, label = scale_of(table[column], unit or "wins")
    at = name_rows(ax, [str(i) for i in table["item"]], 40)
    base, after_total = 0.0, False
    for y, row in zip(at, table.to_dict("records"), strict=True):
        total = row["item"] == "revenue inside the horizon"
        left = 0.0 if total else base
        look: dict[str, Any] = {"color": INK if total else BLUE}
        if after_total:
            look = {"facecolor": "white", "edgecolor": BLUE, "hatch": "////"}
        ax.barh(y, row[column] / factor, left=left / factor, height=0.55, **look)
        end = left + row[column]
        if column == "mean" and np.isfinite([row["q10"], row["q90"]]).all():
            ax.plot(
                [(left + row["q10"]) / factor, (left + row["q90"]) / factor],
                [y, y],
                color=ORANGE,
                linewidth=1.6,
                solid_capstyle="butt",
            )
        base, after_total = end, after_total or total
    ax.set_xlim(left=0)
    ax.set_xlabel(label)
    return ax


@house
def bridge_figure(table: pd.DataFrame, *, unit: str = "") -> Figure:
    """The bridge in money, or in wins where no revenue is known."""
    figure, axes = _blank(WIDTH, 0.6 + 0.26 * len(table))
    plot_bridge(table, axes[0, 0], unit=unit, column="mean" if table["mean"].notna().any() else "won_mean")
    return figure


# ------------------------------------------------------------------------------------------------- by channel


@house
def plot_rates(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the rates into one stage by channel: mean as a dot, 80 % band as a line, published range as a shade behind.

    `table`: channel, mean, q10, q90, history (the crude share, a hollow mark), benchmark_low, benchmark_high.
    """
    at = name_rows(ax, [str(c) for c in table["channel"]])
    low, high = table["benchmark_low"].to_numpy(float), table["benchmark_high"].to_numpy(float)
    shown = np.isfinite(low) & np.isfinite(high)
    ax.barh(at[shown], (high - low)[shown], left=low[shown], height=1.0, color=RANGE)
    ax.hlines(at, table["q10"], table["q90"], color=BLUE, linewidth=2.2)
    ax.plot(table["history"], at, "|", color=ORANGE, markersize=7, markeredgewidth=1.2)
    ax.plot(table["mean"], at, "o", color=BLUE, markersize=4.5)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: percent(x) if x else "0"))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set_xlim(left=0)
    return ax


@house
def rates_figure(table: pd.DataFrame, stages: Sequence[str]) -> Figure:
    """One panel for each stage of destination in `stages` (at most three fit well), channels down the side."""
    rows = max(int((table["stage"] == s).sum()) for s in stages)
    figure, axes = _blank(WIDTH, 0.8 + 0.165 * rows, ncols=len(stages), sharey=True)
    for ax, stage in zip(axes[0], stages, strict=True):
        plot_rates(table[table["stage"] == stage], ax)
        ax.set_title(f"into {stage_word(stage)}")
    looks: tuple[dict[str, Any], ...] = (
        {"color": BLUE, "marker": "o", "linestyle": "", "markersize": 4.5},
        {"color": BLUE, "linewidth": 2.2},
        {"color": ORANGE, "marker": "|", "linestyle": "", "markersize": 7},
    )
    handles = [Line2D([], [], **look) for look in looks]
    labels = ["mean", "80 % band", "seen in the data", "published range: a starting point, no target"]
    every = [*handles, Patch(color=RANGE)]
    figure.legend(every, labels, loc="outside lower left", ncols=4, columnspacing=1.4, handlelength=1.4)
    return figure


@house
def plot_break_even(wide: pd.DataFrame, ax: Axes, *, currency: str = "") -> Axes:
    """Draw what a lead costs against what may be paid for one, by channel, each with its 80 % band.

    `wide`: channel, cpl_mean, cpl_q10, cpl_q90, break_even_cpl_mean, break_even_cpl_q10, break_even_cpl_q90.
    """
    at = name_rows(ax, [str(c) for c in wide["channel"]])
    looks = (
        ("cpl", ORANGE, "s", 0.14, "cost of a lead"),
        ("break_even_cpl", BLUE, "o", -0.14, "break-even: worth x margin"),
    )
    handles = []
    for name, colour, marker, shift, _ in looks:
        ax.hlines(at + shift, wide[f"{name}_q10"], wide[f"{name}_q90"], color=colour, linewidth=2.2)
        handles += ax.plot(wide[f"{name}_mean"], at + shift, marker, color=colour, markersize=4)
    values = wide[[f"{name}_{q}" for name, *_ in looks for q in ("mean", "q10", "q90")]].to_numpy(float)
    positive = values[np.isfinite(values) & (values > 0)]
    if positive.size and positive.max() > 30 * positive.min():
        ax.set_xscale("log")
    else:
        ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(_plain())
    ax.set_xlabel(f"{clean(currency)} a lead".strip())
    _legend(ax, handles, [w[-1] for w in looks], loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return ax


@house
def break_even_figure(wide: pd.DataFrame, *, currency: str = "") -> Figure:
    """Cost per lead against break-even on the report's width."""
    figure, axes = _blank(WIDTH, 0.8 + 0.185 * len(wide))
    plot_break_even(wide, axes[0, 0], currency=currency)
    return figure


@house
def plot_budget(table: pd.DataFrame, ax: Axes, *, currency: str = "") -> Axes:
    """Draw current and recommended spend by channel over the range that is nearly as good (low to high)."""
    factor, label = scale_of(table[["current", "recommended", "high"]], currency)
    at = name_rows(ax, [str(c) for c in table["channel"]])
    ax.barh(
        at, (table["high"] - table["low"]) / factor, left=table["low"] / factor, height=0.5, color="#cfe3f1"
    )
    (now,) = ax.plot(
        table["current"] / factor, at, "D", markerfacecolor="white", markeredgecolor=ORANGE, markersize=5
    )
    (then,) = ax.plot(table["recommended"] / factor, at, "o", color=BLUE, markersize=5)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"{label} over the horizon")
    _legend(
        ax, [now, then, Patch(color="#cfe3f1")], ["current", "recommended", "nearly as good"],
        loc="lower left", bbox_to_anchor=(0, 1), ncols=3,
    )  # fmt: skip
    return ax


@house
def budget_figure(table: pd.DataFrame, *, currency: str = "") -> Figure:
    """Current against recommended budget on the report's width."""
    figure, axes = _blank(WIDTH, 0.85 + 0.17 * len(table))
    plot_budget(table, axes[0, 0], currency=currency)
    return figure


@house
def plot_response(table: pd.DataFrame, ax: Axes, *, factors: tuple[float, float] = (1.0, 1.0)) -> Axes:
    """Draw one channel's response: contribution over spend with its 80 % band; hatched beyond the spend ever seen.

    `table`: spend, mean, q10, q90, observed_max, current, recommended of one channel. `factors`: divisors of both axes.
    """
    x, y = factors
    first = table.iloc[0]
    ax.fill_between(table["spend"] / x, table["q10"] / y, table["q90"] / y, color="#cfe3f1", linewidth=0)
    ax.plot(table["spend"] / x, table["mean"] / y, color=BLUE)
    last = float(table["spend"].max())
    if first["observed_max"] < last:
        ax.axvspan(
            first["observed_max"] / x,
            last / x,
            facecolor="none",
            edgecolor="#9a9a9a",
            hatch="///",
            linewidth=0,
        )
    curve = (table["spend"].to_numpy(float), table["mean"].to_numpy(float))
    looks: dict[str, dict[str, Any]] = {
        "current": {"marker": "D", "markerfacecolor": "white", "markeredgecolor": ORANGE},
        "recommended": {"marker": "o", "color": BLUE},
    }
    for name, look in looks.items():
        # On the drawn line, between its points: where the marker goes is the curve's business, not a new number.
        ax.plot(first[name] / x, np.interp(first[name], *curve) / y, markersize=4, linestyle="", **look)
    ax.set_xlim(0, last / x or 1.0)
    ax.set_ylim(0, None)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    return ax


@house
def response_figure(table: pd.DataFrame, *, currency: str = "") -> Figure:
    """Small multiples of the response curves: one scale of contribution, and for each channel its own of spend."""
    names = list(dict.fromkeys(str(c) for c in table["channel"]))
    columns = min(4, len(names))
    rows = math.ceil(len(names) / columns)
    (x, x_label), (y, y_label) = scale_of(table["spend"], currency), scale_of(table["mean"], currency)
    figure, axes = _blank(
        WIDTH, 0.5 + 0.95 * rows if rows > 1 else 2.0, nrows=rows, ncols=columns, sharey=True
    )
    short = short_names(names, 18 if columns > 2 else 40)
    for ax, name in zip(axes.ravel(), names, strict=False):
        plot_response(table[table["channel"] == name], ax, factors=(x, y))
        ax.set_title(short[name])
    axes[0, 0].set_ylim(0, (1.05 * table["q90"].max() / y) or 1.0)
    for ax in axes.ravel()[len(names) :]:
        ax.set_visible(False)
    figure.supxlabel(f"spend over the horizon, {x_label}", fontsize=7.5)
    figure.supylabel(f"contribution, {y_label}", fontsize=7.5)
    return figure
