"""The front page: verdict, the numbers that count, what is forecast, what to do, the horizon by stage and channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forecast.columns import by_measure, unit_of
from forecast.report import sentences
from forecast.report.document import Listing, Page, Part, Shown, Tile, band, listing, named, said, value
from forecast.tables import COUNT, CURRENCY, Record, Unit, records
from forecast.words import Message, Text, known, message, together

if TYPE_CHECKING:
    import pandas as pd

    from forecast.results import Results

MOST_CHANNELS = 8  # channels in the table


def overview_page(made: Results) -> Page:
    """The front page."""
    return Page(
        parts=[
            Part(verdict=made.verdict, tiles=_tiles(made)),
            what_is_forecast(made),
            what_to_do(made),
            Part("The whole horizon, stage by stage", listings=[_totals(made)], note=sentences.HOW_TO_READ),
            _by_channel(made),
        ]
    )


def summary_page(made: Results) -> Page:
    """What a run says in a few lines: as much of the front page as was made."""
    parts = [Part(verdict=made.verdict)]
    if known(made.headline.get("won_mean")):
        parts.append(what_is_forecast(made))
    if made.headline:
        parts.append(what_to_do(made))
    return Page(parts=parts)


def what_is_forecast(made: Results) -> Part:
    """Totals with their bands, and the target."""
    study, head = made.study, made.headline
    text = together(sentences.outlook(study, head), sentences.target(study, head))
    return Part("What is forecast", text=text)


def what_to_do(made: Results) -> Part:
    """The recommendation."""
    return Part("What to do", lead=sentences.recommendation(made))


def total(frame: pd.DataFrame, measure: str) -> dict[str, Any]:
    """The row of a measure over all channels and the whole horizon, or nothing."""
    chosen = (frame["measure"] == measure) & (frame["channel"] == "total") & (frame["period"] == "total")
    return next(iter(records(frame[chosen])), {})


def _tiles(made: Results) -> list[Tile]:
    """The numbers of the page, at most four; those that a study cannot have are left out."""
    study, head = made.study, made.headline
    tiles = []

    def spread(key: str, unit: Unit) -> Message:
        return message("{ends} (80~%)", ends=unit.band(head.get(f"{key}_q10"), head.get(f"{key}_q90")))

    def money(key: str) -> Message:
        return message("{x:number}~{cur}", x=head[key], cur=study.currency)

    if known(head.get("revenue_mean")):
        tiles.append(Tile("Expected revenue", money("revenue_mean"), spread("revenue", CURRENCY)))
    tiles.append(Tile("Expected wins", COUNT.said(head.get("won_mean")), spread("won", COUNT)))
    if known(head.get("p_target")):
        aim = message(
            "target {aim:whole}~{unit}", aim=study.target, unit=sentences.unit_of(study, study.target_measure)
        )
        tiles.append(Tile("Probability of the target", message("{p:chance}", p=head["p_target"]), aim))
    if known(head.get("gain_mean")) and head.get("material", True):
        better = message("{p:chance} likely to be above 1~%", p=head["p_gain"])
        tiles.append(Tile("Gain of the new budget", money("gain_mean"), better))
    elif known(head.get("gain_mean")):
        tiles.append(Tile("Budget", "No material change", "keep the current split"))
    return tiles


def _totals(made: Results) -> Listing:
    """Each measure over all channels and the whole horizon, with its bands."""
    every = ("spend", *made.study.stages, "revenue", "revenue_gross", "refunds", "recurring", "contribution")
    rows = [row for measure in every if known((row := total(made.forecast, measure)).get("mean"))]

    def measured(row: Record) -> Text:
        said_by = "{stage:stage}, {cur}" if unit_of(row["measure"]) is CURRENCY else "{stage:stage}"
        return message(said_by, stage=row["measure"], cur=made.study.currency)

    def spread(low: str, high: str, head: str) -> Shown:
        def cell(row: Record) -> Text:
            planned = row["q05"] == row["q95"]  # not forecast
            return "as planned" if planned else unit_of(row["measure"]).band(row[low], row[high])

        return said(message(head), cell, width="2")

    columns = [
        said("Measure", measured, "l", "2"),
        value("mean", "Expected", by_measure),
        value("q50", "Median", by_measure),
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
    left = len(by) - MOST_CHANNELS
    note = "The {most} largest channels; {left} more in report.xlsx."
    return Part(
        "The whole horizon, channel by channel",
        listings=[listing(by[:MOST_CHANNELS], columns)],
        note=message(note, most=MOST_CHANNELS, left=left) if left > 0 else "",
    )


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
