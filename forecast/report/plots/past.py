"""The past as it was forecast then: what came on the bands, and where in them it fell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.backtest import tidy
from forecast.columns import unit_of
from forecast.errors import UsageError
from forecast.report.figures import (
    BANDS,
    BLUE,
    GREY,
    INK,
    NARROW,
    ORANGE,
    few_ticks,
    grid,
    legend,
    scale_of,
    width_of,
)
from forecast.report.plots.asking import TOTAL, drawn, of, one_of, there
from forecast.results import Past, Results
from forecast.tables import records
from forecast.words import Message, Text, message, period, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def backtest(
    past: Any, *, measure: str | None = None, channel: str = TOTAL, ax: Axes | None = None
) -> Axes:  # fmt: skip
    """Draw each forecast of the past as bands of 50, 80 and 90 % with what came as a dot, orange outside the 80 %.

    Args:
        past: what `forecast.run_backtest` gives, its summary, or a `Forecast` that has a backtest beside it.
        measure: default: the headline of the backtest. channel: default: all together. Others than these take the
            records, which a summary alone does not hold.

    Raises UsageError.
    """
    found, made = _past_of(past)
    name = measure or found.measure
    rows: Sequence[Mapping[str, Any]] = found.rows
    if (name, channel) != (found.measure, TOTAL):
        rows = _rows(past, name, channel)

    def draw(place: Axes) -> None:
        plot_backtest(rows, place, unit=counted_in(name, found.currency))

    title = of(message("{measure:stage}, as forecast then, and what came", measure=name), channel)
    return drawn(made, ax, 3.0, draw, title=title)


def calibration(past: Any, *, measure: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw how many outcomes fell into each equal part of their forecasts; even bars where bands are right.

    `past` as in `backtest`; measure: default: the headline. Raises UsageError.
    """
    found, made = _past_of(past)
    own = {str(row["measure"]): row for row in found.scores if row["method"] == "forecast"}
    name = one_of("measure", measure or found.measure, own)
    counts: Sequence[int] = own[name]["pit"]
    title = message("{measure:stage}: where in its forecast what came fell", measure=name)
    return drawn(made, ax, 2.9, lambda place: plot_pit(counts, place), title=title)


def counted_in(measure: str, currency: str) -> Message:
    """What a measure is counted in: the currency, or what is counted."""
    if unit_of(measure).money:
        return message("{cur}", cur=currency)
    return message("wins") if measure == "won" else message("{measure}", measure=measure)


def _past_of(past: Any) -> tuple[Past, Results | None]:
    """The backtest in what is given, and the forecast that it stands beside."""
    if isinstance(past, Results):
        if past.backtest is None:
            raise UsageError("no backtest stands beside this forecast: draw what forecast.run_backtest gives")
        return past.backtest, past
    if isinstance(past, Past):
        return past, None
    summary = past[1] if isinstance(past, tuple) and len(past) == 2 else getattr(past, "summary", past)
    if not isinstance(summary, Mapping) or not {"rows", "methods", "gate"} <= set(summary):
        raise UsageError(
            "expected what forecast.run_backtest gives, its summary, or a forecast with a backtest"
        )
    return Past.of(summary), None


def _rows(past: Any, measure: str, channel: str) -> list[dict[str, Any]]:
    """Of every origin the forecast of one measure and channel over the horizon, and what came."""
    kept = past[0] if isinstance(past, tuple) else getattr(past, "records", None)
    if not kept:
        raise UsageError(
            "other measures and channels are in the records: draw what forecast.run_backtest gives"
        )
    frame = tidy(kept)
    one_of("channel", channel, frame["channel"])
    frame = frame[frame["channel"] == channel]
    one_of("measure", measure, frame["measure"])
    frame = frame[frame["measure"] == measure]
    whole = frame[frame["period"] == TOTAL]
    there(whole, f"what came of {measure} is not known whole at any origin")
    ahead = {str(r["origin"]): _ends(r) for r in kept}
    return [row | ahead[str(row["origin"])] for row in records(whole)]


def _ends(record: Mapping[str, Any]) -> dict[str, str]:
    """The first and the last period ahead of an origin."""
    at = list(record["columns"]).index("period")
    labels = [str(cells[at]) for cells in record["cells"] if cells[at] != TOTAL]
    return {"first": labels[0], "last": labels[-1]}


# ------------------------------------------------------------------------------------------------- how they are drawn


def plot_backtest(
    rows: Sequence[Mapping[str, Any]], ax: Axes, *, unit: Text = "", keyed: bool = True
) -> Axes:
    """Draw what was forecast at each origin (bands of 50, 80, 90 % and the expected value) and what came, as dots.

    `rows`: of backtest.json: mean, q05 to q95, came, first, last, inside80. A dot outside its 80 % band is orange.
    keyed: with a legend.
    """
    at = np.arange(len(rows), dtype=float)
    factor, label = scale_of([[r["q95"], r["came"]] for r in rows], unit)
    handles = []
    for low, high, colour in BANDS:
        bottom = np.array([r[low] for r in rows]) / factor
        height = np.array([r[high] for r in rows]) / factor - bottom
        handles.append(ax.bar(at, height, bottom=bottom, width=0.62, color=colour, linewidth=0))
    middle = np.array([r["mean"] for r in rows]) / factor
    lines = ax.hlines(middle, at - 0.31, at + 0.31, color=BLUE, linewidth=1.4)
    came = np.array([r["came"] for r in rows]) / factor
    inside = np.array([bool(r["inside80"]) for r in rows])
    dots = [
        ax.plot(at[m], came[m], "o", color=c, markersize=4.5)[0]
        for m, c in ((inside, INK), (~inside, ORANGE))
    ]
    names = [
        period(r["first"])
        if r["first"] == r["last"]
        else text(message("{first:period} to {last:period}", **r)).replace(" ", "\n", 1)
        for r in rows
    ]
    step = max(1, -(-len(rows) // 8))
    shown = at[::-1][::step][::-1]
    ax.set_xticks(shown, [names[int(i)] for i in shown], fontsize=6.5)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(label)
    grid(ax, "y")
    labels: list[Text] = [message("expected"), "50 %", "80 %", "90 %", "what came", "outside 80 %"]
    if keyed:
        legend(ax, [lines, *handles[::-1], *dots], labels, columns=6, wide=1.0, handle=1.2)
    return ax


def plot_pit(counts: Sequence[int], ax: Axes) -> Axes:
    """Draw how many outcomes fell into each equal part of their forecasts; even bars where bands are right."""
    edges = np.linspace(0, 1, len(counts) + 1)
    ax.bar(edges[:-1], counts, width=1 / len(counts), align="edge", color=BLUE, edgecolor="white")
    even = ax.axhline(sum(counts) / len(counts), color=GREY, linestyle=(0, (5, 3)), linewidth=0.8)
    if width_of(ax) > NARROW:
        legend(ax, [even], [message("where bands are right")], columns=1)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    few_ticks(ax.yaxis, 4, integer=True)
    ax.set_xlabel(text("forecast below what came"))
    ax.set_ylabel(text(message("outcomes")))
    return ax
