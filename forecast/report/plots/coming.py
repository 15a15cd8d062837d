"""What is coming: the fan by period, the whole horizon, and both beside the past."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.report.figures import (
    BANDS,
    BLUE,
    GREY,
    INK,
    NARROW,
    ORANGE,
    SKY,
    WIDTH,
    area,
    few_ticks,
    grid,
    legend,
    line,
    scale_of,
    width_of,
)
from forecast.report.plots.asking import (
    PER,
    TOTAL,
    aim,
    drawn,
    forecast_of,
    measured,
    of,
    one_of,
    there,
    unit,
    whole,
)
from forecast.tables import Record
from forecast.words import Text, message, period, text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from forecast.results import Results

TARGET = (0, (5, 3))


def fan(
    made: Results,
    *,
    measure: str | None = None,
    channel: str = TOTAL,
    plan: str = "given",
    target: float | None = None,
    recent: int = 36,
    ax: Axes | None = None,
) -> Axes:
    """Draw the past of a measure as a line and its forecast as bands of 50, 80 and 90 %, by period.

    Args:
        measure: of the table `forecast` (revenue, won, leads, spend, ...); default: the target's, else revenue, else
            won.
        channel: one channel; default: all together.
        plan: "given", or "recommended" where a budget is divided.
        target: of the whole horizon; its share of a period is a dashed line. Default: the study's, where it is of this
            measure.
        recent: how many past periods are drawn.

    Raises UsageError.
    """
    frame = forecast_of(made, plan)
    name = measured(made, frame, measure, channel)
    rows = frame[(frame["measure"] == name) & (frame["channel"] == channel) & (frame["period"] != TOTAL)]
    there(rows, f"{name} is forecast for the whole horizon alone: forecast.plot.total draws it")
    past, asked = made.past(name, channel).tail(recent), aim(made, name, channel, target)
    each = None if asked is None else asked / len(rows)

    def draw(place: Axes) -> None:
        plot_fan(past, rows, place, unit=unit(made, name), kind=made.study.period, target=each)

    title = of(message("{measure:stage}, past and forecast", measure=name), channel)
    return drawn(made, ax, 2.9, draw, title=title)


def total(
    made: Results,
    *,
    measure: str | None = None,
    channel: str = TOTAL,
    plan: str = "given",
    target: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the bands of the whole horizon (50, 80 and 90 %) as one column, with the target across it.

    Arguments as those of `fan`. Raises UsageError.
    """
    frame = forecast_of(made, plan)
    name = measured(made, frame, measure, channel)
    row, asked = whole(frame, name, channel), aim(made, name, channel, target)

    def draw(place: Axes) -> None:
        plot_total(row, place, unit=unit(made, name), target=asked)

    title = of(message("{measure:stage}, whole horizon", measure=name), channel)
    return drawn(made, ax, 2.9, draw, title=title, width=0.55 * WIDTH)


def windows(
    made: Results, *, measure: str | None = None, target: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw totals of earlier windows as long as the horizon as bars, and the forecast with its 80 % band beside them.

    Args:
        measure: revenue or won; default as in `fan`.
        target: of the horizon, a dashed line; default: the study's, where it is of this measure.

    Raises UsageError.
    """
    frame = there(made.windows, "no earlier window as long as the horizon is known whole")
    name = (
        one_of("measure", measure, frame["measure"])
        if measure
        else measured(made, made.forecast, None, TOTAL)
    )
    past = there(frame[frame["measure"] == name], f"no earlier window of {name} is known whole")
    row, asked = whole(made.forecast, name), aim(made, name, TOTAL, target)

    def draw(place: Axes) -> None:
        plot_windows(past, row, place, unit=unit(made, name), target=asked, ahead=made.study.horizon)

    return drawn(made, ax, 2.9, draw, title=message("{measure:stage} beside earlier windows", measure=name))


# ------------------------------------------------------------------------------------------------- how they are drawn


def plot_fan(
    past: pd.DataFrame,
    rows: pd.DataFrame,
    ax: Axes,
    *,
    unit: Text = "",
    kind: str = "month",
    target: float | None = None,
) -> Axes:
    """Draw the past (period, value) as a line and the forecast (period, mean and quantiles) as bands.

    `kind`: of the periods. `target`: of one period, a dashed line.
    """
    x = len(past) + np.arange(len(rows))
    everything = [past["value"].to_numpy(float), rows["q95"].to_numpy(float), np.array([target or 0.0])]
    factor, label = scale_of(np.concatenate(everything), unit)
    ax.plot(np.arange(len(past)), past["value"] / factor, color=INK, marker="o", markersize=2)
    # One period has no width: bands are drawn as steps around each period, which says "per period" as well.
    edges = np.repeat(x, 2) + np.tile([-0.5, 0.5], len(x))
    bands = []
    for low, high, colour in BANDS:
        bottom, top = (np.repeat(rows[q].to_numpy() / factor, 2) for q in (low, high))
        bands.append(ax.fill_between(edges, bottom, top, color=colour, linewidth=0))
    (middle,) = ax.plot(edges, np.repeat(rows["mean"].to_numpy() / factor, 2), color=BLUE)
    ax.axvline(len(past) - 0.5, color=GREY, linewidth=0.6)
    handles = [middle, *bands[::-1]]
    labels: list[Text] = [message("expected"), "50 %", "80 %", "90 %"]
    if target is not None:
        handles.append(ax.axhline(target / factor, color=ORANGE, linestyle=TARGET))
        labels.append("target a period, on average")
    _period_ticks(ax, [*past["period"], *rows["period"]])
    ax.set_ylim(*_from_zero([rows["q05"].min(), past["value"].min()], factor))
    ax.set_ylabel(text(PER[kind](label)))
    grid(ax, "y")
    legend(ax, handles, labels, columns=len(labels), wide=1.2, handle=1.4)
    return ax


def _from_zero(lowest: Sequence[float], factor: float) -> tuple[float | None, None]:
    """Limits that begin at zero, unless something lies below it."""
    least = float(np.nanmin([0.0, *lowest])) / factor
    return (None if least < 0 else 0.0), None


def _period_ticks(ax: Axes, labels: Sequence[str], most: int = 12) -> None:
    """Label at most `most` periods, counted back from the last, so that the end of the horizon is always named."""
    step = max(1, math.ceil(len(labels) / min(most, max(2, int(width_of(ax) / 0.3)))))
    at = np.arange(len(labels) - 1, -1, -step)[::-1]
    crowded = len(at) > 8 or width_of(ax) / len(at) < 0.6
    ax.set_xticks(
        at,
        [period(labels[i]) for i in at],
        rotation=40 if crowded else 0,
        ha="right" if crowded else "center",
    )
    ax.set_xlim(-0.7, len(labels) - 0.3)


def plot_total(row: Record, ax: Axes, *, unit: Text = "", target: float | None = None) -> Axes:
    """Draw the bands of one row (mean and quantiles) as a column, with the target across it."""
    factor, label = scale_of([row["q95"], target or 0.0], unit)
    bars = [
        ax.bar(0, (row[high] - row[low]) / factor, bottom=row[low] / factor, width=0.6, color=colour)
        for low, high, colour in BANDS
    ]
    handles: list[Any] = [*ax.plot([-0.3, 0.3], [row["mean"] / factor] * 2, color=BLUE), *bars[::-1]]
    labels: list[Text] = [message("expected"), "50 %", "80 %", "90 %"]
    ends = [row["q05"], row["q95"]]
    if target is not None:
        handles.append(ax.axhline(target / factor, color=ORANGE, linestyle=TARGET))
        labels.append(message("target"))
        ends.append(target)
    room = 0.15 * (max(ends) - min(ends)) or 1.0
    low = min(ends) - room
    ax.set_ylim((max(0.0, low) if min(ends) >= 0 else low) / factor, (max(ends) + room) / factor)
    ax.set_xlim(-0.7, 0.7)
    ax.set_xticks([0], [text("whole horizon")])
    few_ticks(ax.yaxis, 6)
    ax.set_ylabel(label)
    grid(ax, "y")
    if width_of(ax) > NARROW:
        legend(ax, handles, labels, columns=3, wide=1.2, handle=1.4)
    return ax


def plot_windows(
    past: pd.DataFrame,
    whole: Record,
    ax: Axes,
    *,
    unit: Text = "",
    target: float | None = None,
    ahead: Sequence[str] = (),
) -> Axes:
    """Draw totals of past windows as bars and the forecast beside them, with its 80 % band and the target.

    `past`: first, last, value. `whole`: mean, q10, q90 of the forecast. `ahead`: periods of the horizon.
    """
    values = past["value"].to_numpy(float)
    factor, label = scale_of([*values, whole["q90"], target or 0.0], unit)
    at = np.arange(len(values))
    ax.bar(at, values / factor, width=0.7, color=SKY)
    ax.bar(len(values), whole["mean"] / factor, width=0.7, color=BLUE)
    ends = [whole["q10"] / factor, whole["q90"] / factor]
    ax.plot([len(values)] * 2, ends, color=INK, linewidth=1.6, solid_capstyle="butt")
    labels = [*past["first"], *list(ahead[:1])]
    step = 1 if len(labels) <= 6 else 2
    places = list(range(len(labels) - 1, -1, -step))[::-1]
    ax.set_xticks(places, [period(labels[i]) for i in places])
    handles: list[Any] = [area(color=SKY), area(color=BLUE), line(color=INK, linewidth=1.6)]
    names: list[Text] = [message("came"), message("expected"), "80 %"]
    if target is not None:
        handles.append(ax.axhline(target / factor, color=ORANGE, linestyle=TARGET))
        names.append(message("target"))
    ax.set_ylim(*_from_zero([*values, whole["q10"]], factor))
    ax.set_ylabel(label)
    grid(ax, "y")
    legend(ax, handles, names, columns=len(names), wide=1.0, handle=1.2)
    return ax
