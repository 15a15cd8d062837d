"""Revenue over the horizon: the fan with its target, where it comes from, luck against ignorance."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast import words
from forecast.columns import unit_of
from forecast.report import sentences
from forecast.report.document import Page, Part, Picture, band, listing, named, period, text, value
from forecast.report.figures import (
    BLUE,
    INK,
    ORANGE,
    house,
    name_rows,
    panels,
    plot_fan,
    plot_total,
    scale_of,
)
from forecast.report.pages.overview import total
from forecast.tables import COUNT, RATIO, records
from forecast.words import Text, known, message, together

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from forecast.results import Results


def forecast_page(made: Results) -> Page:
    """The fan with its target and table, the bridge with its own, and luck against ignorance."""
    measure = main_measure(made)
    parts = [*_fan(made, measure), _bridge(made)]
    points = [p for p in (sentences.luck(made.headline), sentences.eventual(made.study, made.headline)) if p]
    if points:
        parts.append(Part("Luck, ignorance, and what comes later", points=points))
    names = ["forecast", "forecast_recommended", "bridge", "history"]
    if len(made.known):
        parts.append(_known(made.known))
        names.append("known")
    sheets = [made.table(name) for name in names]
    title = "Revenue over the horizon" if measure == "revenue" else "Wins over the horizon"
    return Page(title, parts, sheets)


def _known(table: pd.DataFrame) -> Part:
    """Events and changes that the study states, and the forecast holds."""
    columns = [
        named("name", "Event or change", "1"),
        text("moves", "Moves", "a"),
        text("channels", "Channels", "1"),
        text("when", "In the horizon", "1"),
        value("q50", "Times", RATIO, "a"),
        band(message("80~% band"), RATIO, "a"),
        text("source", "Size", "1"),
    ]
    return Part("Taken as known", lead=sentences.KNOWN_LEAD, listings=[listing(records(table), columns)])


def main_measure(made: Results) -> str:
    """What the fan shows: the target's measure, or revenue, or wins where no revenue is known."""
    if made.study.target_measure:
        return made.study.target_measure
    return "revenue" if known(total(made.forecast, "revenue").get("mean")) else "won"


def _fan(made: Results, measure: str) -> list[Part]:
    """The fan, its sentence and its table."""
    study, whole, unit = made.study, total(made.forecast, measure), unit_of(measure)
    cur = study.currency if measure == "revenue" else ""
    aim = study.target if known(study.target) else None
    alt = message(
        "{stage:stage} by period: the past as a line, the forecast as bands of 50, 80 and 90 percent, and the "
        "80 percent band of the whole horizon, {ends:band}{unit}.",
        stage=measure, ends=(whole["q10"], whole["q90"]), unit=message("~{cur}", cur=cur) if cur else "",
    )  # fmt: skip
    if aim is not None:
        line = "A dashed line marks the target of {aim:whole}~{unit}."
        alt = together(alt, message(line, aim=aim, unit=sentences.unit_of(study, measure)))

    each = None if aim is None else aim / len(study.horizon)
    drawn = partial(
        panels,
        2.6,
        lambda ax: plot_fan(made.history, made.forecast, ax, measure=measure, unit=cur, target=each),
        lambda ax: plot_total(made.forecast, ax, measure=measure, unit=cur, target=aim),
        ratios=(5, 1),
    )

    chosen = (made.forecast["measure"] == measure) & (made.forecast["channel"] == "total")
    columns = [
        period("period", message("Period, {cur}", cur=cur) if cur else "Period", total="whole horizon"),
        value("mean", "Expected", unit),
        value("q50", "Median", unit),
        *(
            band(message("{p}~% band", p=p), unit, "2", low=low, high=high)
            for p, low, high in ((50, "q25", "q75"), (80, "q10", "q90"), (90, "q05", "q95"))
        ),
    ]
    rows = listing(records(made.forecast[chosen]), columns, strong=lambda row: row["period"] == "total")
    lead = together(sentences.target(study, made.headline), sentences.fan(study, whole, measure))
    return [Part(lead=lead, figure=Picture(drawn, alt)), Part(listings=[rows])]


def _bridge(made: Results) -> Part:
    """The waterfall and its table: in money, or in wins where no revenue is known."""
    cur, frame = made.study.currency, made.bridge
    in_money = bool(frame["mean"].notna().any())
    lead = sentences.bridge(made.study, frame)
    columns = [text("item", "Where it comes from"), value("won_mean", "Wins", COUNT)]
    if in_money:
        columns += [value("mean", message("Expected, {cur}", cur=cur)), value("q50", "Median")]
        columns += [band(message("80~% band"))]
    alt = message(
        "Waterfall of what falls inside the horizon, by origin, and of what lands after it. {lead}", lead=lead
    )
    drawn = partial(
        panels, 0.6 + 0.26 * len(frame), lambda ax: plot_bridge(frame, ax, unit=cur if in_money else "")
    )
    rows = listing(records(frame), columns, strong=lambda row: row["item"] == "revenue inside the horizon")
    return Part("Where it comes from", lead=lead, figure=Picture(drawn, alt), listings=[rows])


@house
def plot_bridge(table: pd.DataFrame, ax: Axes, *, unit: Text = "") -> Axes:
    """Draw a waterfall: parts build up to "revenue inside the horizon", later ones are hatched.

    `table`: item, mean, q10, q90 (a line at the end of the bar), won_mean (drawn where no revenue is known).
    """
    column = "mean" if table["mean"].notna().any() else "won_mean"
    factor, label = scale_of(table[column], unit or message("wins"))
    at = name_rows(ax, [words.text(str(i)) for i in table["item"]], 40)
    base, after_total = 0.0, False
    for y, row in zip(at, table.to_dict("records"), strict=True):
        whole = row["item"] == "revenue inside the horizon"
        left = 0.0 if whole else base
        look: dict[str, Any] = {"color": INK if whole else BLUE}
        if after_total:
            look = {"facecolor": "white", "edgecolor": BLUE, "hatch": "////"}
        ax.barh(y, row[column] / factor, left=left / factor, height=0.55, **look)
        if np.isfinite([row["q10"], row["q90"]]).all():
            ends = [(left + row["q10"]) / factor, (left + row["q90"]) / factor]
            ax.plot(ends, [y, y], color=ORANGE, linewidth=1.6, solid_capstyle="butt")
        base, after_total = left + row[column], after_total or whole
    ax.set_xlim(left=0)
    ax.set_xlabel(label)
    return ax
