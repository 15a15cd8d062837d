"""Where the forecast comes from: pipeline and new leads, stages, channels, luck against ignorance."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from forecast.columns import by_measure, unit_of
from forecast.report import sentences
from forecast.report.document import (
    Listing,
    Page,
    Part,
    Picture,
    Shown,
    band,
    listing,
    named,
    said,
    text,
    value,
)
from forecast.report.figures import panels
from forecast.report.pages.largest import MOST_CHANNELS, left_out
from forecast.report.plots import plot
from forecast.report.plots.asking import whole as total
from forecast.tables import COUNT, RATIO, Record, records
from forecast.words import Text, known, message

if TYPE_CHECKING:
    import pandas as pd

    from forecast.results import Results


def forecast_page(made: Results) -> Page:
    """The bridge, totals by stage and channel, luck against ignorance."""
    parts = [
        _bridge(made),
        Part("Stage by stage", listings=[_totals(made)], note=sentences.HOW_TO_READ),
        _by_channel(made),
    ]
    points = [p for p in (sentences.luck(made.headline), sentences.eventual(made.study, made.headline)) if p]
    if points:
        parts.append(Part("Luck, ignorance, and what comes later", points=points))
    names = ["forecast", "forecast_recommended", "bridge", "history", "windows", "comparison"]
    if len(made.known):
        parts.append(_known(made.known))
        names.append("known")
    return Page("Where it comes from", parts, [made.table(name) for name in names])


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


def _bridge(made: Results) -> Part:
    """The waterfall and its table: in money, or in wins where no revenue is known."""
    cur, frame = made.study.currency, made.bridge
    in_money = bool(frame["mean"].notna().any())
    lead = sentences.bridge(made.study, frame)
    columns = [text("item", "Where it comes from"), value("won_mean", "Wins", COUNT)]
    if in_money:
        columns += [value("mean", message("Expected, {cur}", cur=cur))]
        columns += [band(message("80~% band"))]
    alt = message(
        "Waterfall of what falls inside the horizon, by origin, and of what lands after it. {lead}", lead=lead
    )
    drawn = partial(panels, 0.75 + 0.26 * len(frame), lambda ax: plot.bridge(made, ax=ax))
    rows = listing(records(frame), columns, strong=lambda row: row["item"] == "revenue inside the horizon")
    return Part(lead=lead, figure=Picture(drawn, alt), listings=[rows])


def _totals(made: Results) -> Listing:
    """Each measure over all channels and the whole horizon, with its bands."""
    every = ("spend", *made.study.stages, "revenue", "revenue_gross", "refunds", "recurring", "contribution")
    rows = [row for measure in every if known((row := total(made.forecast, measure)).get("mean"))]

    def measured(row: Record) -> Text:
        said_by = "{stage:stage}, {cur}" if unit_of(row["measure"]).money else "{stage:stage}"
        return message(said_by, stage=row["measure"], cur=made.study.currency)

    def spread(low: str, high: str, head: str) -> Shown:
        def cell(row: Record) -> Text:
            planned = row["q05"] == row["q95"]  # not forecast
            return "as planned" if planned else unit_of(row["measure"]).band(row[low], row[high])

        return said(message(head), cell, width="2")

    columns = [
        said("Measure", measured, "l", "2"),
        value("mean", "Expected", by_measure),
        spread("q25", "q75", "50~% band"),
        spread("q10", "q90", "80~% band"),
        spread("q05", "q95", "90~% band"),
    ]
    return listing(rows, columns, strong=lambda row: row["measure"] in ("won", "revenue"))


def _by_channel(made: Results) -> Part:
    """The largest channels: spend, the stage after the first, wins and revenue with their bands."""
    by, stages = _totals_by_channel(made), made.study.stages
    asked = dict.fromkeys(("spend", stages[min(1, len(stages) - 1)], "won", "revenue"))
    columns = [named("channel", message("Channel, {cur}", cur=made.study.currency), "2")]
    for measure in (m for m in asked if any(m in row for row in by)):
        unit = unit_of(measure)
        columns.append(value(measure, message("{measure:stage}", measure=measure), unit))
        if measure in ("won", "revenue"):
            ends = {"low": f"{measure}_q10", "high": f"{measure}_q90"}
            columns.append(band(message("80~% band"), unit, "2", **ends))
    shown = by[:MOST_CHANNELS]
    note = left_out((row["channel"] for row in by), [str(row["channel"]) for row in shown])
    return Part("Channel by channel", listings=[listing(shown, columns)], note=note)


def _totals_by_channel(made: Results) -> list[dict[str, Any]]:
    """A row a channel with the total of each measure and its band, the largest (by revenue, or wins) first."""
    frame = made.forecast
    frame = frame[(frame["period"] == "total") & (frame["channel"] != "total")]
    by: dict[str, dict[str, Any]] = {}
    for row in records(frame):
        measure = str(row["measure"])
        mine = by.setdefault(str(row["channel"]), {"channel": row["channel"]})
        mine |= {measure: row["mean"], f"{measure}_q10": row["q10"], f"{measure}_q90": row["q90"]}
    measure = "revenue" if known(total(made.forecast, "revenue").get("mean")) else "won"
    return sorted(by.values(), key=lambda row: -row.get(measure, 0.0))
