"""The budget: where it goes, how contribution follows it, and how far more of it would pay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.errors import UsageError
from forecast.report.drawing import Drawing
from forecast.report.figures import (
    BLUE,
    GREY,
    NOW,
    PALE,
    THEN,
    WIDTH,
    area,
    few_ticks,
    legend,
    legend_below,
    line,
    name_rows,
    scale_of,
)
from forecast.report.plots.asking import apart, budget_of, drawn, some_of, there
from forecast.words import Text, in_a_row, message, short_names, text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from forecast.budget import Firmness
    from forecast.results import Results

PLANS: tuple[Text, ...] = (message("current"), message("recommended"))
ALL_CHANNELS = message("How contribution follows spend")
UNSEEN: dict[str, Any] = {"facecolor": "none", "edgecolor": "#9a9a9a", "hatch": "///"}
ACROSS = 4  # panels of curves beside each other


def budget(made: Results, *, channel: str | Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw current and recommended spend over the horizon by channel, on the range that is nearly as good.

    `channel`: one or several; default: all that take part. Raises UsageError where no budget is divided.
    """
    frame = budget_of(made)
    rows = frame[frame["channel"].isin(some_of(channel, frame["channel"]))]

    def draw(place: Axes) -> None:
        plot_budget(rows, place, currency=made.study.currency)

    return drawn(made, ax, 1.1 + 0.19 * len(rows), draw, title=message("Budget"))


def response(made: Results, *, channel: str | Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw how contribution follows spend over the horizon, with its 80 % band; hatched beyond the spend ever seen.

    Args:
        channel: one, on `ax` or a figure of its own; several, or (default) all: a panel each on a figure of its own,
            one scale of contribution, whose first axes are returned (`ax.figure.axes` has them all).

    Raises UsageError where no budget is divided; also where `ax` is given and several channels are asked for.
    """
    budget_of(made)
    frame = there(made.response, "there are no response curves to draw")
    names = some_of(channel, frame["channel"])
    rows = frame[frame["channel"].isin(names)]
    if len(names) > 1:
        if ax is not None:
            raise UsageError(
                f"one axes shows one curve: name a channel ({in_a_row(names, 24)}), or leave out ax"
            )
        height = panels_height(names) + 0.7
        return apart(
            made,
            height,
            lambda figure: response_on(figure, rows, currency=made.study.currency, keyed=True),
            title=ALL_CHANNELS,
        )

    def draw(place: Axes) -> None:
        (x, x_label), (y, y_label) = scales(rows, made.study.currency)
        plot_response(rows, place, factors=(x, y))
        place.set_xlabel(text(message("spend over the horizon, {unit}", unit=x_label)))
        place.set_ylabel(before_spend(y_label))
        legend(place, *_legend(rows), columns=5, wide=1.2, handle=1.4)

    name = short_names(names, 32)[names[0]]
    title = message("How contribution follows spend: {channel:clean}", channel=name)
    return drawn(made, ax, 2.9, draw, title=title)


def frontier(made: Results, *, ax: Axes | None = None) -> Axes:
    """Draw the best contribution at every budget with its 80 % band; where today's total and the recommended one lie,
    and where money stops paying.

    Raises UsageError where no budget is divided.
    """
    frame, firm = budget_of(made), _firm(made)
    current, recommended = (float(frame[name].sum()) for name in ("current", "recommended"))

    def draw(place: Axes) -> None:
        plot_budget_frontier(
            firm.budget_frontier,
            place,
            current=current,
            recommended=recommended,
            stops=firm.stops_paying,
            currency=made.study.currency,
        )

    return drawn(made, ax, 3.2, draw, title=message("Budget frontier"))


def risk(made: Results, *, ax: Axes | None = None) -> Axes:
    """Draw mean contribution against that of the worst draws: from the split with the best mean to the safest.

    Raises UsageError where no budget is divided.
    """
    firm = _firm(made)

    def draw(place: Axes) -> None:
        plot_risk_frontier(firm.risk_frontier, place, currency=made.study.currency)

    return drawn(made, ax, 3.2, draw, title=message("Risk frontier"))


def _firm(made: Results) -> Firmness:
    """How firm the split is."""
    budget_of(made)
    if made.decision is None:
        raise UsageError("how firm the split is has not been asked")
    return made.decision


# ------------------------------------------------------------------------------------------------- how they are drawn


def plot_budget(table: pd.DataFrame, ax: Axes, *, currency: str = "") -> Axes:
    """Draw current and recommended spend by channel over the range that is nearly as good (low to high)."""
    factor, label = scale_of(table[["current", "recommended", "high"]], currency)
    at = name_rows(ax, [str(c) for c in table["channel"]])
    ax.barh(at, (table["high"] - table["low"]) / factor, left=table["low"] / factor, height=0.5, color=PALE)
    (now,) = ax.plot(table["current"] / factor, at, markersize=5, **NOW)
    (then,) = ax.plot(table["recommended"] / factor, at, markersize=5, **THEN)
    ax.set_xlim(left=0)
    ax.set_xlabel(text(message("{unit} over the horizon", unit=label)))
    legend(ax, [now, then, area(color=PALE)], [*PLANS, message("nearly as good")], columns=3)
    return ax


def plot_response(table: pd.DataFrame, ax: Axes, *, factors: tuple[float, float] = (1.0, 1.0)) -> Axes:
    """Draw one channel's response: contribution over spend with its 80 % band; hatched beyond the spend ever seen.

    `table`: spend, mean, q10, q90, observed_max, current, recommended of one channel. `factors`: divisors of both axes.
    """
    x, y = factors
    first = table.iloc[0]
    ax.fill_between(table["spend"] / x, table["q10"] / y, table["q90"] / y, color=PALE, linewidth=0)
    ax.plot(table["spend"] / x, table["mean"] / y, color=BLUE)
    last = float(table["spend"].max())
    if first["observed_max"] < last:
        ax.axvspan(first["observed_max"] / x, last / x, linewidth=0, **UNSEEN)
    curve = (table["spend"].to_numpy(float), table["mean"].to_numpy(float))
    for name, look in (("current", NOW), ("recommended", THEN)):
        # On the drawn line, between its points: where the marker goes is the curve's business, not a new number.
        ax.plot(first[name] / x, np.interp(first[name], *curve) / y, markersize=4, **look)
    ax.set_xlim(0, last / x or 1.0)
    ax.set_ylim(0, None)
    few_ticks(ax.xaxis, 4)
    few_ticks(ax.yaxis, 4)
    return ax


def _legend(table: pd.DataFrame) -> tuple[list[Any], list[Text]]:
    """Handles and labels; of what was never spent only where it is drawn."""
    handles = [line(color=BLUE), area(color=PALE), line(**NOW), line(**THEN), area(**UNSEEN)]
    labels: list[Text] = [message("expected"), "80 % band", *PLANS, message("more than ever spent")]
    beyond = bool((table["spend"] > table["observed_max"]).any())
    return handles[: 4 + beyond], labels[: 4 + beyond]


def scales(table: pd.DataFrame, currency: str) -> tuple[tuple[float, str], tuple[float, str]]:
    """Divisors and units of spend and of contribution, the same for every panel."""
    return scale_of(table["spend"], currency), scale_of(table["mean"], currency)


def panels_height(names: Sequence[str]) -> float:
    """Inches that panels of curves take."""
    rows = math.ceil(len(names) / ACROSS)
    return 0.5 + 0.95 * rows if rows > 1 else 2.0


def response_figure(table: pd.DataFrame, *, currency: str = "") -> Drawing:
    """A figure of the report: small multiples of the response curves."""
    figure = Drawing(WIDTH, panels_height(some_of(None, table["channel"])))
    return response_on(figure, table, currency=currency)


def response_on[F: Figure | Drawing](
    figure: F, table: pd.DataFrame, *, currency: str = "", keyed: bool = False
) -> F:
    """Small multiples of the response curves: one scale of contribution, and for each channel its own of spend.

    keyed: with a legend.
    """
    names = list(dict.fromkeys(str(c) for c in table["channel"]))
    columns = min(ACROSS, len(names))
    rows = math.ceil(len(names) / columns)
    (x, x_label), (y, y_label) = scales(table, currency)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    short = short_names(names, 18 if columns > 2 else 40)
    for ax, name in zip(axes.ravel(), names, strict=False):
        plot_response(table[table["channel"] == name], ax, factors=(x, y))
        ax.set_title(short[name])
    axes[0, 0].set_ylim(0, (1.05 * table["q90"].max() / y) or 1.0)
    for ax in axes.ravel()[len(names) :]:
        ax.set_visible(False)
    spend = text(message("spend over the horizon, {unit}", unit=x_label))
    figure.supylabel(before_spend(y_label), fontsize=7.5)
    if not keyed:
        figure.supxlabel(spend, fontsize=7.5)
    else:  # a legend below would lie on it
        axes[-1, 0].set_xlabel(spend, loc="left")
        handles, labels = _legend(table)
        legend_below(figure, handles, labels, ncols=5, handlelength=1.4)
    return figure


def contribution(unit: str) -> str:
    """What a budget brings, less the budget."""
    return text(message("contribution, {unit}", unit=unit))


def before_spend(unit: str) -> str:
    """What spend brings, before it is paid."""
    return text(message("contribution before spend, {unit}", unit=unit))


def plot_budget_frontier(
    table: pd.DataFrame, ax: Axes, *, current: float, recommended: float, stops: float, currency: str = ""
) -> Axes:
    """Draw the best contribution against budget with its 80 % band; where the plans lie, and where money stops paying.

    `table`: spent, contribution, q10, q90. `current`, `recommended`, `stops`: amounts over the horizon.
    """
    (x, x_label), (y, y_label) = scale_of(table["spent"], currency), scale_of(table["contribution"], currency)
    spent = table["spent"].to_numpy(float)
    ax.fill_between(spent / x, table["q10"] / y, table["q90"] / y, color=PALE, linewidth=0)
    (drawn_line,) = ax.plot(spent / x, table["contribution"] / y, color=BLUE)
    edge = ax.axvline(stops / x, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    best = np.interp([current, recommended], spent, table["contribution"]) / y
    (now,) = ax.plot(current / x, best[0], markersize=4.5, **NOW)
    (then,) = ax.plot(recommended / x, best[1], markersize=4.5, **THEN)
    ax.set_xlabel(text(message("budget over the horizon, {unit}", unit=x_label)))
    ax.set_ylabel(contribution(y_label))
    labels = ["best split", "today's total", "recommended", "pays up to here"]
    legend(ax, [drawn_line, now, then, edge], labels, columns=4, wide=1.0, handle=1.4)
    return ax


def plot_risk_frontier(table: pd.DataFrame, ax: Axes, *, currency: str = "") -> Axes:
    """Draw mean contribution against that of the worst draws: from the best mean to the safest, and where plans lie.

    `table`: plan (mix, current, recommended), contribution, cvar.
    """
    y, y_label = scale_of(table["contribution"], currency)
    mixes = table[table["plan"] == "mix"]
    (drawn_line,) = ax.plot(
        mixes["cvar"] / y, mixes["contribution"] / y, color=BLUE, marker=".", markersize=4
    )
    handles = [drawn_line]
    for plan, look in (("current", NOW), ("recommended", THEN)):
        row = table[table["plan"] == plan]
        handles += ax.plot(row["cvar"] / y, row["contribution"] / y, markersize=4.5, **look)
    ax.set_xlabel(text(message("mean of the worst draws, {unit}", unit=y_label)))
    ax.set_ylabel(contribution(y_label))
    ax.margins(0.15)
    legend(ax, handles, ["mean to safest", *PLANS], columns=3, wide=1.0, handle=1.4)
    return ax
