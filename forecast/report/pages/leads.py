"""Leads: segments and what a shift of the mix brings, leads that flow back, and the ranking of the open ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast import words
from forecast.report.document import (
    Listing,
    Over,
    Page,
    Part,
    Picture,
    Shown,
    band,
    banded,
    listing,
    name,
    named,
    nested,
    over,
    said,
    value,
)
from forecast.report.drawing import Drawing
from forecast.report.figures import BLUE, GREY, ORANGE, PALE, SKY, panels, scale_of
from forecast.report.plots import plot
from forecast.tables import COUNT, SHARE, WHOLE, Record, records
from forecast.words import Message, known, message, short_names, together

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from forecast.results import FlowBack, Results, Segments

BEST = 8  # open leads that the terminal shows
SEGMENT_NOTE = message(
    "Rates are averages over the window; open leads count by how much of the delay they have lived through, and few "
    "leads are drawn towards the others. The forecast itself has channels and no segments: this is a view beside it, "
    "and says what goes with a segment, not what causes it."
)
SHIFT_NOTE = message(
    "A tenth of all leads of a period moves into the segment, taken from the others in proportion, and behaves as "
    "leads of that segment do today."
)
FLOW_NOTE = message(
    "Those who come back are not counted as leads again; who moves on is in the forecast of every plan."
)


def leads_page(made: Results) -> Page | None:
    """Segments and nurturing; nothing where the study asks for neither."""
    parts = [*_segments(made), *_flow(made)]
    if not parts:
        return None
    names = [
        *(("rates", "worth", "mix", "shift") if made.segments else ()),
        *(("flow",) if made.recycling else ()),
    ]
    return Page("Leads: segments and nurturing", parts, [made.table(name) for name in names])


# ------------------------------------------------------------------------------------------------------ segments


def _segments(made: Results) -> list[Part]:
    found, cur = made.segments, made.study.currency
    if found is None:
        return []
    lead = segment_sentence(found, cur)
    alt = "Left: what a lead of each segment is worth, with its 80 percent band. Right: the mix by period. {lead}"
    drawn = partial(
        panels,
        2.6,
        lambda ax: plot.segments(made, ax=ax),
        lambda ax: plot.mix(made, ax=ax),
    )
    worth = Part(
        message("By {column}", column=found.column),
        lead=lead,
        figure=Picture(drawn, message(alt, lead=lead)),
        listings=[_worth(found, cur)],
        note=SEGMENT_NOTE,
    )
    rates = Part("Rates by segment", listings=[_rates(found.rates)])
    return [worth, rates, Part("If the mix shifts", listings=[_shift(found, cur)], note=SHIFT_NOTE)]


def segment_sentence(found: Segments, currency: str) -> Message:
    """Which segment is worth most and least, and how sure that is."""
    column = "worth" if found.valued else "p_win"
    rows = sorted(records(found.worth), key=lambda row: -row[f"{column}_mean"])
    best, worst = rows[0], rows[-1]
    names = short_names(str(row["segment"]) for row in rows)

    def of(row: Record) -> Message:
        said_as = "{x:number}~{cur} ({ends:band})" if found.valued else "{x:percent} ({ends:percent_band})"
        ends = (row[f"{column}_q10"], row[f"{column}_q90"])
        return message(said_as, x=row[f"{column}_mean"], ends=ends, cur=currency)

    told = {"a": names[str(best["segment"])], "best": of(best)}
    if len(rows) == 1:
        return message("All leads are {a}: {best} each.", **told)
    most = "A lead is worth most in {a}, {best}, and least in {b}, {worst}."
    if not found.valued:
        most = "A lead wins most often in {a}, {best}, and least in {b}, {worst}."
    if best[f"{column}_q10"] <= worst[f"{column}_q90"]:
        most = "A lead is worth most in {a}, {best}, and least in {b}, {worst}; the bands overlap."
        if not found.valued:
            most = "A lead wins most often in {a}, {best}, and least in {b}, {worst}; the bands overlap."
    return message(most, b=names[str(worst["segment"])], worst=of(worst), **told)


def _worth(found: Segments, currency: str) -> Listing:
    columns = [
        named("segment", "Segment"),
        value("leads", "Leads", WHOLE),
        value("share", "Share", SHARE),
        over("p_win", message("P(win), 80~%"), SHARE),
    ]
    if found.valued:
        columns.append(value("deal_value", message("Deal value, {cur}", cur=currency)))
        columns.append(over("worth", message("Worth of a lead, 80~%")))
    return listing(records(found.worth), columns)


def _rates(frame: pd.DataFrame) -> Listing:
    """Rates into each stage, a row a segment: the total over channels."""
    whole = records(frame[frame["channel"] == "total"])

    def seen(stage: str) -> Shown:
        head = message("{stage:stage}, seen", stage=stage)
        return said(head, lambda row: message("{moved:whole} of {entered:whole}", **row[stage]))

    def rate(stage: str) -> Shown:
        return said(message("rate, 80~%"), lambda row: banded(row[stage], "mean", SHARE))

    stages = dict.fromkeys(row["stage"] for row in whole)
    # "Segment" cannot be the name of a stage: those have no capitals.
    columns = [named("Segment", "Segment"), *(made(stage) for stage in stages for made in (seen, rate))]
    rows = [{"Segment": name} | cells for name, cells in nested(whole, "segment", "stage").items()]
    return listing(rows, columns)


def _shift(found: Segments, currency: str) -> Listing:
    gained_wins = "{won_mean:+.2f} ({won_q10:+.2f} to {won_q90:+.2f})"

    def gained(row: Record) -> Over:
        spread = message("{revenue_q10:signed} to {revenue_q90:signed}", **row)
        return Over(message("{revenue_mean:signed}", **row), spread)

    columns = [
        named("segment", "More of"),
        value("leads_moved", "Leads moved a period", COUNT),
        said(message("Wins a period, 80~%"), lambda row: message(gained_wins, **row), width="2"),
    ]
    if found.valued:
        columns.append(said(message("Revenue a period, {cur}", cur=currency), gained))
    return listing(records(found.shift), columns)


# -------------------------------------------------------------------------------------------------- leads that return


def _flow(made: Results) -> list[Part]:
    if made.recycling is None:
        return []
    *channels, total = records(made.recycling.flow)
    stage = str(made.recycling.facts["stage"])
    head = message("of them {stage:stage}", stage=stage.lower())
    columns = [
        named("channel", "Channel", total="All channels"),
        value("coming_back_mean", "Coming back", COUNT),
        band(message("80~% band"), COUNT, low="coming_back_q10", high="coming_back_q90"),
        value("moving_on_mean", head, COUNT),
        band(message("80~% band"), COUNT, low="moving_on_q10", high="moving_on_q90"),
    ]
    whole = total | {"channel": "total"}
    rows = listing([*channels, whole], columns, strong=lambda row: row is whole)
    return [Part("Leads that flow back", lead=flow_sentence(made.recycling), listings=[rows], note=FLOW_NOTE)]


def flow_sentence(made: FlowBack) -> Message:
    """Rate and delay of the flow back, where they come from, and what it brings over the horizon."""
    told, total = made.facts, records(made.flow)[-1]
    assumed = message("assumed by the study; the data do not show it")
    learnt = message("learnt from {back:whole} that have, of {out:whole}", back=told["back"], out=told["out"])
    parts = [
        message(
            "Of the leads that do not qualify {rate:percent} ({rates:percent_band}) come back, after {days:number.2} "
            "days ({ends:band.2}) on average: {source}.",
            rate=told["rate"], rates=(told["rate_q10"], told["rate_q90"]), days=told["delay_days"],
            ends=(told["delay_days_q10"], told["delay_days_q90"]), source=learnt if told["learnt"] else assumed,
        )
    ]  # fmt: skip
    if known(total["moving_on_mean"]):
        parts.append(
            message(
                "Over the horizon that is {back:count} leads, and {on:count} that are {stage:stage}.",
                back=total["coming_back_mean"], on=total["moving_on_mean"], stage=str(told["stage"]).lower(),
            )
        )  # fmt: skip
    return together(*parts)


# -------------------------------------------------------------------------------------------------------- ranking


def ranking_page(told: Mapping[str, Any], ranking: pd.DataFrame) -> Page:
    """The score: what it was made of, how it did on newer leads, the threshold, the best leads.

    told: the content of scoring.json; ranking: of ranking.csv.
    """
    made = message(
        "{leads:whole} leads, {open:whole} open on {as_of}; features: {features}",
        leads=told["leads"], open=told["open"], as_of=told["as_of"],
        features=[f["feature"] for f in told["features"]] or message("none"),
    )  # fmt: skip
    parts = [
        Part(lead=made, points=[_sign(sign) for sign in told["signs_of_leakage"]]),
        _test(told["holdout"]),
        Part(lead=threshold_sentence(told["threshold"], told["currency"])),
    ]
    if ranking.empty:
        return Page(parts=[*parts, Part(text="No lead is open.")])
    columns = [
        name("lead_id", "Lead"),
        name("channel", "Channel"),
        name("created", "Created"),
        value("p_win", "P(win)", SHARE),
        band(message("80~% band"), SHARE, low="p_low", high="p_high"),
        said(
            "Expected value",
            lambda r: message("{expected_value:whole}", **r) if known(r["expected_value"]) else "",
        ),
    ]
    return Page(parts=[*parts, Part(listings=[listing(records(ranking.head(BEST)), columns, filled=True)])])


def _sign(sign: Mapping[str, Any]) -> Message:
    out = "{feature}: left out: {sign} ({evidence})"
    kept = "{feature}: kept, but look: {sign} ({evidence})"
    return message(out if sign["left_out"] else kept, **{**sign, "sign": message(sign["sign"])})


def _test(test: Mapping[str, Any] | None) -> Part:
    """How the score did on leads that it had not seen."""
    if not test or not test["leads"]:
        return Part(lead="No test on newer leads: the older ones have too few outcomes.")
    first = "Test: fitted on {trained_on:whole} leads up to {split}, tested on {leads:whole} newer ones"
    better = "better by {gain:.4f} ({skill:percent})"
    if test["gain_error"] is not None:
        better = "better by {gain:.4f} ± {gain_error:.4f} ({skill:percent})"
    return Part(
        lead=message(first, **test),
        points=[
            message("won {won}, expected {won_expected:count}", **test),
            message(
                "log score {log_score:.4f} a lead; channel rate alone {log_score_channel_rate:.4f}", **test
            ),
            message(better, **test),
        ],
    )


def threshold_sentence(told: Mapping[str, Any], currency: str) -> Message:
    """Where sales should stop, and what that does."""
    per = message("{worked_a_period:count} of {leads_a_period:count} leads a period", **told)
    if told["limited_by"] == "nothing" or told["level"] == 0:
        none = "Threshold: none; every lead brings more than it costs, and sales can take {per}."
        return message(none, per=per)
    level = "{level:percent}" if told["unit"] == "P(win)" else "{level:whole}~{cur}"
    words = {**told, "unit": message(told["unit"]), "limited_by": message(told["limited_by"])}
    text = "Threshold: {unit} of {at} ({limited_by} sets it): work {per}"
    if told["share_of_wins"] is not None:
        text = (
            "Threshold: {unit} of {at} ({limited_by} sets it): work {per}, which hold {share_of_wins:percent} of the "
            "wins"
        )
    what = message(text, **(words | {"at": message(level, cur=currency, **told), "per": per}))
    if told["contribution_a_period"] is None:
        wins = "{what}; {wins_a_period:count} wins, {wins_as_they_come:count} if worked as they come."
        return message(wins, what=what, **told)
    return message(
        "{what}; contribution {contribution_a_period:number}~{cur} a period ({ends:band}), "
        "{contribution_as_they_come:number} if as many were worked as they come.",
        what=what, cur=currency, ends=(told["contribution_q10"], told["contribution_q90"]), **told,
    )  # fmt: skip


# -------------------------------------------------------------------------------------------------------- figures


def plot_reliability(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the share won against the chance that was given, with the range that chance alone would leave.

    `table`: chance, won, low, high, leads by group of leads with like chances.
    """
    most = 100 * float(max(table[["chance", "won", "high"]].max())) * 1.05
    ax.plot([0, most], [0, most], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.vlines(100 * table["chance"], 100 * table["low"], 100 * table["high"], color=SKY, linewidth=3)
    ax.plot(100 * table["chance"], 100 * table["won"], "o", color=BLUE, markersize=4.5)
    ax.set_xlim(0, most)
    ax.set_ylim(0, most)
    ax.set_xlabel(words.text("chance given, %"))
    ax.set_ylabel(words.text("won, %"))
    return ax


def plot_threshold(curve: pd.DataFrame, ax: Axes, *, worked: float, money: bool, currency: str = "") -> Axes:
    """Draw contribution (or wins) a period against leads worked a period, best first, and where the threshold lies.

    `curve`: worked, contribution, q10, q90, wins.
    """
    column = "contribution" if money else "wins"
    scale, label = scale_of(curve[column], currency) if money else (1.0, "")
    if money:
        ax.fill_between(curve["worked"], curve["q10"] / scale, curve["q90"] / scale, color=PALE, linewidth=0)
    ax.plot(curve["worked"], curve[column] / scale, color=BLUE)
    at = float(np.interp(worked, curve["worked"], curve[column])) / scale
    ax.plot(worked, at, "o", color=ORANGE, markersize=4.5)
    ax.set_xlabel(words.text("leads worked a period, the best first"))
    earned = message("contribution a period, {unit}", unit=label)
    ax.set_ylabel(words.text(earned if money else "wins a period"))
    return ax


def scoring_figure(
    reliability: pd.DataFrame | None, curve: pd.DataFrame, *, worked: float, money: bool, currency: str = ""
) -> Drawing:
    """Reliability, where a test could be made, beside the curve of the threshold, on the report's width."""
    threshold = partial(plot_threshold, curve, worked=worked, money=money, currency=currency)
    tested = [] if reliability is None else [partial(plot_reliability, reliability)]
    return panels(2.8, *tested, threshold)
