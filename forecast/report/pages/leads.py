"""The chapter of the report on leads: segments, what a shift of the mix brings, and leads that flow back."""

from __future__ import annotations

from typing import Any

import pandas as pd

from forecast.report.chapters import Cell, Row, part, table
from forecast.report.figures import figure_svg
from forecast.report.pages.leads_figures import segments_figure
from forecast.report.sentences import (
    NBSP,
    band,
    clean,
    count,
    count_band,
    known,
    number,
    percent,
    percent_band,
    short_names,
    signed,
    stage_word,
    whole,
)
from forecast.tables import Tables, records

SEGMENT_NOTE = (
    "Rates are averages over the window; open leads count by how much of the delay they have lived through, and few "
    "leads are drawn towards the others. The forecast itself has channels and no segments: this is a view beside it, "
    "and says what goes with a segment, not what causes it."
)
SHIFT_NOTE = (
    "A tenth of all leads of a period moves into the segment, taken from the others in proportion, and behaves as "
    "leads of that segment do today."
)
FLOW_NOTE = (
    "Those who come back are not counted as leads again; who moves on is in the forecast of every plan."
)


def leads_chapter(tables: Tables) -> list[dict[str, Any]]:
    """The chapter, or nothing where the study asks for neither segments nor nurturing."""
    parts = [*_segments(tables), *_recycling(tables)]
    return [{"title": "Leads: segments and nurturing", "parts": parts}] if parts else []


def _segments(tables: Tables) -> list[dict[str, Any]]:
    made = tables.segments
    if not made:
        return []
    cur, valued = clean(tables.study["currency"]), bool(made["told"]["valued"])
    lead = segment_sentence(made, cur)
    drawn = segments_figure(made["worth"], made["mix"], valued=valued, currency=cur)
    alt = f"Left: what a lead of each segment is worth, with its 80 percent band. Right: the mix by period. {lead}"
    worth = part(
        f"By {clean(made['told']['column'])}",
        lead=lead,
        figure={"svg": figure_svg(drawn), "alt": clean(alt)},
        tables=[_worth_table(made["worth"], cur, valued)],
        note=SEGMENT_NOTE,
    )
    rates = part("Rates by segment", tables=[_rates_table(made["rates"])])
    shift = part("If the mix shifts", tables=[_shift_table(made["shift"], cur, valued)], note=SHIFT_NOTE)
    return [worth, rates, shift]


def segment_sentence(made: dict[str, Any], currency: str) -> str:
    """Which segment is worth most and least, and how sure that is."""
    column = "worth" if made["told"]["valued"] else "p_win"
    rows = sorted(records(made["worth"]), key=lambda row: -row[f"{column}_mean"])
    best, worst = rows[0], rows[-1]
    names = short_names([str(row["segment"]) for row in rows])

    def said(row: dict[str, Any]) -> str:
        low, high = row[f"{column}_q10"], row[f"{column}_q90"]
        if column == "worth":
            return f"{number(row['worth_mean'])}{NBSP}{currency} ({band(low, high)})"
        return f"{percent(row['p_win_mean'])} ({percent_band(low, high)})"

    what = "A lead is worth most" if column == "worth" else "A lead wins most often"
    if len(rows) == 1:
        return f"All leads are {names[str(best['segment'])]}: {said(best)} each."
    text = (
        f"{what} in {names[str(best['segment'])]}, {said(best)}, and least in {names[str(worst['segment'])]}"
    )
    apart = best[f"{column}_q10"] > worst[f"{column}_q90"]
    return f"{text}, {said(worst)}" + ("." if apart else "; the bands overlap.")


def _worth_table(frame: pd.DataFrame, currency: str, valued: bool) -> dict[str, Any]:
    short = short_names([str(name) for name in frame["segment"]])
    rows: list[Row] = []
    for row in records(frame):
        cells: list[Cell] = [short[str(row["segment"])], whole(row["leads"]), percent(row["share"])]
        cells.append({"t": percent(row["p_win_mean"]), "s": percent_band(row["p_win_q10"], row["p_win_q90"])})
        if valued:
            cells.append(number(row["deal_value"]))
            cells.append({"t": number(row["worth_mean"]), "s": band(row["worth_q10"], row["worth_q90"])})
        rows.append((cells, False))
    head = ["Segment", "Leads", "Share", f"P(win), 80{NBSP}%"]
    head += [f"Deal value, {currency}", f"Worth of a lead, 80{NBSP}%"] if valued else []
    return table(head, rows)


def _rates_table(frame: pd.DataFrame) -> dict[str, Any]:
    """Rates into each stage, a row a segment: the total over channels."""
    whole_frame = frame[frame["channel"] == "total"]
    stages = list(dict.fromkeys(whole_frame["stage"]))
    short = short_names([str(name) for name in whole_frame["segment"]])
    rows: list[Row] = []
    for segment, own in whole_frame.groupby("segment", sort=False):
        by = {str(row["stage"]): row for row in records(own)}
        cells: list[Cell] = [short[str(segment)]]
        for stage in stages:
            row = by[str(stage)]
            cells.append(f"{whole(row['moved'])} of {whole(row['entered'])}")
            cells.append({"t": percent(row["mean"]), "s": percent_band(row["q10"], row["q90"])})
        rows.append((cells, False))
    head = ["Segment"]
    for stage in stages:
        head += [f"{stage_word(str(stage))}, seen", f"rate, 80{NBSP}%"]
    return table(head, rows)


def _shift_table(frame: pd.DataFrame, currency: str, valued: bool) -> dict[str, Any]:
    short = short_names([str(name) for name in frame["segment"]])
    rows: list[Row] = []
    for row in records(frame):
        cells: list[Cell] = [short[str(row["segment"])], count(row["leads_moved"])]
        wins = f"{row['won_mean']:+.2f} ({row['won_q10']:+.2f} to {row['won_q90']:+.2f})"
        cells.append(wins.replace("-", "\N{MINUS SIGN}"))
        if valued:
            spread = f"{signed(row['revenue_q10'])} to {signed(row['revenue_q90'])}"
            cells.append({"t": signed(row["revenue_mean"]), "s": spread})
        rows.append((cells, False))
    head = ["More of", "Leads moved a period", f"Wins a period, 80{NBSP}%"]
    return table(
        head + ([f"Revenue a period, {currency}"] if valued else []), rows, widths="a121" if valued else "a12"
    )


def _recycling(tables: Tables) -> list[dict[str, Any]]:
    made = tables.recycling
    if not made:
        return []
    frame = made["flow"]
    short = short_names([str(name) for name in frame["channel"]])
    rows: list[Row] = []
    for i, row in enumerate(records(frame)):
        back = count_band(row["coming_back_q10"], row["coming_back_q90"])
        on = count_band(row["moving_on_q10"], row["moving_on_q90"])
        name = "All channels" if i == len(frame) - 1 else short[str(row["channel"])]
        cells: list[Cell] = [name, count(row["coming_back_mean"]), back, count(row["moving_on_mean"]), on]
        rows.append((cells, i == len(frame) - 1))
    stage = stage_word(str(made["told"]["stage"]))
    head = ["Channel", "Coming back", f"80{NBSP}% band", f"of them {stage.lower()}", f"80{NBSP}% band"]
    return [
        part("Leads that flow back", lead=flow_sentence(made), tables=[table(head, rows)], note=FLOW_NOTE)
    ]


def flow_sentence(made: dict[str, Any]) -> str:
    """Rate and delay of the flow back, where they come from, and what it brings over the horizon."""
    told, total = made["told"], records(made["flow"])[-1]
    rate = f"{percent(told['rate'])} ({percent_band(told['rate_q10'], told['rate_q90'])})"
    days = f"{number(told['delay_days'], 2)} days ({band(told['delay_days_q10'], told['delay_days_q90'], digits=2)})"
    source = (
        f"learnt from {whole(told['back'])} that have, of {whole(told['out'])}"
        if told["learnt"]
        else "assumed by the study; the data do not show it"
    )
    text = f"Of the leads that do not qualify {rate} come back, after {days} on average: {source}."
    if known(total["moving_on_mean"]):
        stage = stage_word(str(told["stage"])).lower()
        back, on = count(total["coming_back_mean"]), count(total["moving_on_mean"])
        text += f" Over the horizon that is {back} leads, and {on} that are {stage}."
    return text
