"""Steps that add up: where revenue comes from, and why it differs from what came before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.report.figures import BLUE, GREEN, INK, ORANGE, legend, line, name_rows, scale_of
from forecast.report.plots.asking import drawn, one_of, row_of, there, unit
from forecast.tables import Record, records
from forecast.words import Text, message, text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from forecast.results import Results

INSIDE = "revenue inside the horizon"
ITEMS: dict[str, Text] = {
    "came": "What came then",
    "season": "Season",
    "traffic": "Traffic, season aside",
    "rates": "Conversion and close rates",
    "value": "Value of a deal",
    "open pipeline": "Open pipeline at the start",
    "refunds": "Refunds",
    "recurring": "Recurring revenue",
    "chance": "Chance, and the rest",
    "forecast": "Expected now",
}


def bridge(made: Results, *, ax: Axes | None = None) -> Axes:
    """Draw where revenue comes from (wins, where none is known): open pipeline and new leads, which add up to what
    falls inside the horizon, and what lands after it, with 80 % bands.

    Raises UsageError.
    """
    frame = there(made.bridge, "there is no forecast to draw")
    in_money = bool(frame["mean"].notna().any())

    def draw(place: Axes) -> None:
        plot_bridge(frame, place, unit=made.study.currency if in_money else "")

    return drawn(made, ax, 0.85 + 0.3 * len(frame), draw, title=message("Where it comes from"))


def comparison(made: Results, *, against: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the way from what came in an earlier window to what is expected now, by reasons that add up.

    Args:
        against: "before" for the window just before the horizon, "year before" for the one a year before; default: the
            first that is known.

    Raises UsageError.
    """
    frame = there(made.comparison, "no earlier window is known with its reasons")
    name = one_of("window to compare with", against or str(frame["against"].iloc[0]), frame["against"])
    mine = frame[frame["against"] == name]
    first = row_of(mine)

    def draw(place: Axes) -> None:
        names = [text(ITEMS.get(str(item), str(item))) for item in mine["item"]]
        plot_steps(steps(records(mine)), place, names=names, unit=unit(made, str(first["measure"])))

    title = message(
        "{measure:stage}: from {first:period} to {last:period} to the forecast",
        measure=first["measure"], first=first["first"], last=first["last"],
    )  # fmt: skip
    return drawn(made, ax, 0.7 + 0.2 * len(mine), draw, title=title)


def steps(rows: Sequence[Record]) -> list[dict[str, Any]]:
    """What came, the changes and the forecast as bars: item, start, amount, whole."""
    made, at = list[dict[str, Any]](), 0.0
    for row in rows:
        ends = row["item"] in ("came", "forecast")
        start = 0.0 if ends else at
        made.append({"item": row["item"], "start": start, "amount": float(row["amount"]), "whole": ends})
        at = start + float(row["amount"])
    return made


# ------------------------------------------------------------------------------------------------- how they are drawn


def plot_bridge(table: pd.DataFrame, ax: Axes, *, unit: Text = "") -> Axes:
    """Draw a waterfall: parts build up to "revenue inside the horizon", later ones are hatched.

    `table`: item, mean, q10, q90 (a line at the end of the bar), won_mean (drawn where no revenue is known).
    """
    column = "mean" if table["mean"].notna().any() else "won_mean"
    factor, label = scale_of(table[column], unit or message("wins"))
    inside = text(message("wins inside the horizon")) if column == "won_mean" else text(INSIDE)
    at = name_rows(ax, [inside if i == INSIDE else text(str(i)) for i in table["item"]], 40)
    base, after_total, banded = 0.0, False, False
    for y, row in zip(at, table.to_dict("records"), strict=True):
        whole = row["item"] == INSIDE
        left = 0.0 if whole else base
        look: dict[str, Any] = {"color": INK if whole else BLUE}
        if after_total:
            look = {"facecolor": "white", "edgecolor": BLUE, "hatch": "////"}
        ax.barh(y, row[column] / factor, left=left / factor, height=0.55, **look)
        if np.isfinite([row["q10"], row["q90"]]).all():
            ends = [(left + row["q10"]) / factor, (left + row["q90"]) / factor]
            ax.plot(ends, [y, y], color=ORANGE, linewidth=1.6, solid_capstyle="butt")
            banded = True
        base, after_total = left + row[column], after_total or whole
    ax.set_xlim(left=0)
    ax.set_xlabel(label)
    if banded:
        legend(ax, [line(color=ORANGE, linewidth=1.6)], ["80 % band"], columns=1)
    return ax


def plot_steps(rows: Sequence[Record], ax: Axes, *, names: Sequence[str], unit: Text = "") -> Axes:
    """Draw steps between two wholes: bars from where the one before ended, up in green, down in orange.

    `rows`: start, amount, whole. The axis begins near the lowest bar where all changes are small beside the whole.
    """
    factor, label = scale_of([r["start"] + r["amount"] for r in rows], unit)
    at = name_rows(ax, names, 40)
    ends = np.array([[r["start"], r["start"] + r["amount"]] for r in rows if not r["whole"]]).ravel()
    ends = np.append(ends, [r["amount"] for r in rows if r["whole"]]) / factor
    low, high = float(ends.min()), float(ends.max())
    left = max(low - 0.6 * (high - low), 0.0) if high - low < 0.4 * high else min(low, 0.0)
    for y, row in zip(at, rows, strict=True):
        start, size = row["start"] / factor, row["amount"] / factor
        colour = INK if row["whole"] else GREEN if size >= 0 else ORANGE
        ax.barh(y, size, left=start, height=0.55, color=colour)
        end = start + size
        if row is not rows[-1]:
            ax.plot([end, end], [y + 0.28, y - 1 - 0.28], color=INK, linewidth=0.5)
    ax.set_xlim(left, high + 0.06 * max(high - left, 1e-9))
    ax.set_xlabel(label)
    return ax
