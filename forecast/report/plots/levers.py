"""Levers and choices: what each brings, where the doubt comes from, scenarios and plans beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecast.columns import unit_of
from forecast.errors import UsageError
from forecast.report.figures import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SKY,
    area,
    few_ticks,
    fit_rows,
    legend,
    line,
    scale_of,
    width_of,
    written,
)
from forecast.report.plots.asking import TOTAL, drawn, of, one_of, there
from forecast.report.sentences import lever_name, source_name
from forecast.tables import records
from forecast.words import Text, clean, message, short_names, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from forecast.results import Levers, Results

POINT = "+1 point"  # of a rate: another size than the 10 % of every other lever


def tornado(
    made: Results,
    *,
    measure: str | None = None,
    channel: str = TOTAL,
    most: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what 10 % more of each lever (10 % less of a delay) brings, with its 80 % band, the largest on top.

    Args:
        measure: revenue or won inside the horizon, or in the end: revenue_eventual, won_eventual. Default: revenue
            inside, or won where no revenue is known.
        channel: the lever in one channel alone; default: in all at once.
        most: how many levers are drawn; default: all.

    Raises UsageError.
    """
    frame = _levers(made).sensitivity
    there(frame, "there are no levers to draw")
    inside = "revenue" if _levers(made).valued else "won"
    name = one_of("measure of a lever", measure or inside, frame["measure"])
    rows = levers_of(frame, name, one_of("channel", channel, frame["channel"]))[:most]

    def draw(place: Axes) -> None:
        plot_tornado(rows, place, names=lever_names(rows), currency=_counted(made, name), measure=name)

    title = of(message("What each lever brings"), channel)
    return drawn(made, ax, 1.2 + 0.22 * len(rows), draw, title=title)


def variance(made: Results, *, ax: Axes | None = None) -> Axes:
    """Draw the share of the forecast's variance by source, in percent, each with one Monte Carlo error to both sides.

    Raises UsageError.
    """
    rows = doubts_of(there(_levers(made).variance, "there are no sources of doubt to draw"))

    def draw(place: Axes) -> None:
        plot_parts(rows, place, names=source_names(rows))

    return drawn(made, ax, 1.2 + 0.22 * len(rows), draw, title=message("Where the doubt comes from"))


def scenarios(made: Results, *, measure: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw what each scenario of the study brings more than the plan as it is, with its 80 % band, the most on top.

    `measure`: contribution in the end (default), or revenue or won inside the horizon; won, where deals have no value.

    Raises UsageError, also where the study has no scenario.
    """
    frame = there(_levers(made).scenarios, "the study has no scenario to compare: add a [[scenario]]")
    counted = frame[
        frame["measure"].isin(("contribution", "revenue", "revenue_eventual", "won", "won_eventual"))
    ]
    usual = "contribution" if "contribution" in set(frame["measure"]) else "won"
    name = one_of("measure of a scenario", measure or usual, counted["measure"])
    rows = counted[counted["measure"] == name].sort_values("mean", ascending=False, kind="stable")

    def draw(place: Axes) -> None:
        short = short_names((str(each) for each in rows["scenario"]), 36)
        names = [short[str(each)] for each in rows["scenario"]]
        plot_scenarios(rows, place, names=names, currency=_counted(made, name), measure=name)

    return drawn(made, ax, 1.1 + 0.26 * len(rows), draw, title=message("Scenarios"))


def plans(
    compared: pd.DataFrame, *, measure: str | None = None, currency: str = "", ax: Axes | None = None
) -> Axes:  # fmt: skip
    """Draw plans beside each other: the difference of each to the first, draw by draw, with its 80 % band.

    Args:
        compared: what `forecast.compare(plans, made)` gives.
        measure: of that table; default: contribution, or won where deals have no value.
        currency: of amounts, for the label.

    Raises UsageError.
    """
    needed = {"plan", "measure", "difference", "difference_q10", "difference_q90"}
    if not isinstance(compared, pd.DataFrame) or not needed <= set(compared):
        raise UsageError("expected the table that forecast.compare(plans, made) gives")
    usual = "contribution" if "contribution" in set(compared["measure"]) else "won"
    name = one_of("measure", measure or usual, compared["measure"])
    rows = compared[compared["measure"] == name]
    first, rows = str(rows["plan"].iloc[0]), rows.iloc[1:]
    there(rows, "one plan has nothing to be compared with: give forecast.compare two or more")
    table = pd.DataFrame(
        {"mean": rows["difference"], "q10": rows["difference_q10"], "q90": rows["difference_q90"]}
    )
    counted = currency if unit_of(name).money else message("{measure:stage}", measure=name)

    def draw(place: Axes) -> None:
        short = short_names((str(each) for each in rows["plan"]), 36)
        names = [short[str(each)] for each in rows["plan"]]
        factor, label = scale_of(table.abs().to_numpy(float), counted)
        _dots(table, place, factor, names)
        said = message('more than with "{plan:clean}", {unit}', unit=label, plan=short_names([first])[first])
        place.set_xlabel(text(said).removesuffix(", "))

    title = message(
        "{measure:stage}: difference to {plan:clean}", measure=name, plan=short_names([first])[first]
    )
    return drawn(None, ax, 1.1 + 0.26 * len(rows), draw, title=title)


def _levers(made: Results) -> Levers:
    """What would change the forecast."""
    if made.levers is None:
        raise UsageError("no levers were tried")
    return made.levers


def _counted(made: Results, measure: str) -> Text:
    """What a gain is counted in: the currency, or wins."""
    return made.study.currency if unit_of(measure).money else message("wins")


def levers_of(frame: pd.DataFrame, measure: str, channel: str = TOTAL) -> pd.DataFrame:
    """The 10 % of each lever, what brings the most first."""
    mine = (frame["channel"] == channel) & (frame["measure"] == measure) & (frame["change"] != POINT)
    return frame[mine].sort_values("mean", ascending=False, kind="stable")


def doubts_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Sources of variance without their sum, the largest first."""
    return frame[~frame["source"].isin(("total", "forecast"))].sort_values(
        "share", ascending=False, kind="stable"
    )


def lever_names(rows: pd.DataFrame) -> list[str]:
    """Levers in words."""
    return [clean(text(lever_name(str(row["lever"]), str(row["stage"])))) for row in records(rows)]


def source_names(rows: pd.DataFrame) -> list[str]:
    """Sources of variance in words."""
    return [clean(text(source_name(str(source)))) for source in rows["source"]]


# ------------------------------------------------------------------------------------------------- how they are drawn


def plot_tornado(
    table: pd.DataFrame, ax: Axes, *, names: Sequence[str], currency: Text = "", measure: str = ""
) -> Axes:  # fmt: skip
    """Draw what each lever brings inside the horizon (or in the end) as bars with 80 % bands, the largest on top.

    `table`: mean, q10, q90, a row per name, in the order of `names`. `measure`: which it is.
    """
    factor, label = scale_of(table[["mean", "q90"]].to_numpy(float), currency)
    mean, low, high = (table[column].to_numpy(float) / factor for column in ("mean", "q10", "q90"))
    when = message("more inside the horizon, {unit}", unit=label)
    if measure.endswith("_eventual"):
        when = message("more in the end, {unit}", unit=label)
    (bars, lines) = _bars(ax, mean, low, high, names, BLUE, text(when))
    legend(ax, [bars, lines], [message("expected"), "80 %"], columns=2, wide=1.0, handle=1.4)
    return ax


def plot_parts(table: pd.DataFrame, ax: Axes, *, names: Sequence[str]) -> Axes:
    """Draw the share of the variance by source, in percent, with one Monte Carlo error to both sides."""
    by_chance = table["source"].astype(str).str.startswith("chance").to_numpy()
    share, error = 100 * table["share"].to_numpy(float), 100 * table["error"].to_numpy(float)
    colours = [ORANGE if chance else BLUE for chance in by_chance]
    _, lines = _bars(
        ax, share, share - error, share + error, names, colours, text("share of the variance, %")
    )
    handles = [area(color=BLUE), area(color=ORANGE), lines]
    labels: list[Text] = [message("not known"), message("chance"), message("Monte Carlo error")]
    legend(ax, handles, labels, columns=3, wide=1.0, handle=1.2)
    return ax


def _bars(
    ax: Axes, values: Any, low: Any, high: Any, names: Sequence[str], colour: str | list[str], label: str
) -> tuple[Any, Any]:
    """Bars from zero with a line from low to high, the first on top; what a legend shows of them."""
    at = _rows(ax, names)
    ax.barh(at, values, height=0.6, color=colour)
    ax.hlines(at, low, high, color=INK, linewidth=1.2)
    ax.axvline(0.0, color=GREY, linewidth=0.6)
    few_ticks(ax.xaxis, 6)
    ax.set_xlabel(label)
    return area(color=BLUE), line(color=INK, linewidth=1.2)


def _rows(ax: Axes, names: Sequence[str]) -> np.ndarray:
    """Names down the side, the first on top, as small as there is room for."""
    at = np.arange(len(names))[::-1]
    most = min(max(int(width_of(ax) / 0.086), 16), 40)  # letters, on two thirds of the width
    short = short_names(names, most)
    ax.set_yticks(at, [short[name] for name in names])
    fit_rows(ax, len(names))
    return at


def plot_scenarios(
    table: pd.DataFrame, ax: Axes, *, names: Sequence[str], currency: Text = "", measure: str = "contribution"
) -> Axes:  # fmt: skip
    """Draw what each scenario brings with its 80 % band; `table`: mean, q10, q90 of the measure, a row per name."""
    factor, label = scale_of(table[["q10", "mean", "q90"]].abs().to_numpy(float), currency)
    what = {
        "contribution": message("contribution more than without, in the end, {unit}", unit=label),
        "revenue": message("more inside the horizon, {unit}", unit=label),
        "won": message("more inside the horizon, {unit}", unit=label),
    }
    _dots(table, ax, factor, names)
    ax.set_xlabel(text(what.get(measure) or message("more in the end, {unit}", unit=label)))
    return ax


def _dots(table: pd.DataFrame, ax: Axes, factor: float, names: Sequence[str]) -> None:
    """Dots on their 80 % bands around zero, the first on top."""
    at = _rows(ax, names)
    ax.hlines(at, table["q10"] / factor, table["q90"] / factor, color=SKY, linewidth=6)
    ax.plot(table["mean"] / factor, at, "o", color=BLUE, markersize=5)
    ax.axvline(0.0, color=GREY, linewidth=0.8)
    ax.set_ylim(-0.6, len(table) - 0.4)
    few_ticks(ax.xaxis, 7)
    written(ax.xaxis)
    handles = [line(color=BLUE, marker="o", linestyle="", markersize=5), line(color=SKY, linewidth=6)]
    legend(ax, handles, [message("expected"), "80 %"], columns=2, wide=1.0, handle=1.4)
