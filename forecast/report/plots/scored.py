"""A run beside what came: by period, the difference taken apart, and the last horizons as forecast then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from forecast.columns import unit_of
from forecast.errors import UsageError
from forecast.report.plots.asking import TOTAL, drawn, of, one_of
from forecast.report.plots.past import plot_backtest
from forecast.report.plots.steps import plot_steps
from forecast.words import Message, message, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Told = Mapping[str, Any]
ENDS = {"plan": message("Plan"), "actual": message("Actual")}  # of the waterfall


def scored(
    score: Any, *, measure: str | None = None, channel: str = TOTAL, ax: Axes | None = None
) -> Axes:  # fmt: skip
    """Draw the plan of each period as bands of 50, 80 and 90 % with what came as a dot, orange outside the 80 %.

    Args:
        score: what `forecast.score` gives.
        measure: default: the one that the run is judged by. channel: default: all together.

    Raises UsageError.
    """
    told = score.told
    name = one_of("measure", measure or lead_measure(told), {str(r["measure"]): None for r in told["scores"]})
    channels = {str(r["channel"]): None for r in told["scores"] if r["measure"] == name}
    one_of("channel", channel, channels)
    rows = [
        {**row, "first": row["period"], "last": row["period"]}
        for row in told["scores"]
        if (row["measure"], row["channel"]) == (name, channel) and row["period"] != TOTAL
    ]
    unit = unit_word(name, told["currency"])
    title = of(message("{measure:stage}, as planned, and what came", measure=name), channel)
    return drawn(score, ax, 2.8, lambda place: plot_backtest(rows, place, unit=unit), title=title)


def shares(score: Any, *, measure: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the way from plan to actual, by blocks that add up to the difference.

    Args:
        score: what `forecast.score` gives.
        measure: default: the one that the difference was taken apart for.

    Raises UsageError, also where the difference was not taken apart.
    """
    told = score.told
    if not told["attribution"]:
        raise UsageError("the difference was not taken apart: what came is known in total alone")
    name = one_of(
        "measure", measure or str(told["measure"]), {p["measure"]: None for p in told["attribution"]}
    )
    rows = waterfall(told, name)
    unit = unit_word(name, told["currency"])

    def draw(place: Axes) -> None:
        plot_steps(rows, place, names=[text(ENDS.get(row["item"], row["item"])) for row in rows], unit=unit)

    title = message("{measure:stage}: from plan to actual", measure=name)
    return drawn(score, ax, 0.7 + 0.22 * len(rows), draw, title=title)


def earlier(score: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the last horizons as they were (or would have been) forecast then, with what came as dots.

    score: what `forecast.score` gives. Raises UsageError where no earlier horizon was looked at.
    """
    told = score.told
    rows = (told.get("earlier") or {}).get("rows", [])
    if not rows:
        raise UsageError(
            "no earlier horizon was looked at: ask for some with blocks, and have history for them"
        )
    name = lead_measure(told)
    unit = unit_word(name, told["currency"])
    title = message("{measure:stage} of the last horizons, as forecast then, and what came", measure=name)
    return drawn(score, ax, 2.8, lambda place: plot_backtest(rows, place, unit=unit), title=title)


# ----------------------------------------------------------------------------------------------- of what a score tells


def lead_measure(told: Told) -> str:
    """What the whole is judged by."""
    head = told.get("headline")
    return str(told["measure"]) if head is None else str(head["measure"])


def unit_word(measure: str, currency: str) -> Message:
    """What a measure is counted in: the currency, or what is counted."""
    if unit_of(measure).money:
        return message("{cur}", cur=currency)
    return message("wins") if measure == "won" else message("{measure:stage}", measure=measure)


def waterfall(told: Told, measure: str) -> list[dict[str, Any]]:
    """Plan, the blocks, actual: item, amount, and where its bar begins."""
    parts = [p for p in told["attribution"] if p["channel"] == "total" and p["measure"] == measure]
    row = next(
        r for r in told["scores"] if (r["measure"], r["period"], r["channel"]) == (measure, "total", "total")
    )
    rows: list[dict[str, Any]] = [{"item": "plan", "amount": row["mean"], "start": 0.0, "whole": True}]
    at = float(row["mean"])
    for part in parts:
        rows.append({"item": part["block"], "amount": part["amount"], "start": at, "whole": False})
        at += float(part["amount"])
    return [*rows, {"item": "actual", "amount": at, "start": 0.0, "whole": True}]
