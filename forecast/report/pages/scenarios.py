"""What would change the forecast: levers and doubts, the study's scenarios, and goals with what would reach them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

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
    named,
    nested,
    said,
    value,
)
from forecast.report.figures import panels
from forecast.report.plots import plot
from forecast.report.plots.levers import doubts_of, levers_of
from forecast.report.sentences import LEVERS, lever_name, source_name
from forecast.study import said_goal
from forecast.tables import CHANCE, COUNT, CURRENCY, GAIN, RATIO, SHARE, Record, Unit, records
from forecast.words import Message, Name, Text, filed, known, message, plural, short_names, together

if TYPE_CHECKING:
    import pandas as pd

    from forecast.results import Levers, Results

Cells = Mapping[str, Record]  # by measure

CHANGES = {
    "+10 %": message("+10~%"),
    "-10 %": message("-10~%"),
    "+1 point": message("+1 point"),
}
LEVER_NOTE = message(
    "One lever at a time, in all channels at once; rates and delays of units that enter the stage before within the "
    "horizon. In the end: all revenue of the horizon's cohorts. Left: +10 % each, delays -10 %, with 80 % bands. "
    "Right: chance in orange, lines are one Monte Carlo error. By channel: sensitivity.csv."
)
SCENARIO_NOTE = message(
    "Compared with the plan as it is, draw by draw, so that a gain holds no chance. In the end: of who is in the "
    "funnel by the end of the horizon; what a change brings after it is not counted, nor its cost then. Pays back: in "
    "the end, and by the end of the horizon. A period later: what beginning one period later costs."
)
GOAL_NOTE = message(
    "Budget: today's split times one factor; best budget: by the solver, money may move, left out where the limits "
    "allow none. Rates: in all channels, from now on. Out of reach: how likely the largest change makes it."
)


def scenarios_page(made: Results) -> Page | None:
    """Levers, scenarios and goals; nothing where no levers were tried."""
    if made.levers is None:
        return None
    parts = [*_levers(made, made.levers), *_scenarios(made), *_goals(made, made.levers)]
    names = ("sensitivity", "variance", "scenarios", "goals", "ways")
    sheets = [table for name in names if len(table := made.table(name))]
    return Page("What would change the forecast", parts, sheets)


def compared_page(made: Results) -> Page:
    """The scenarios alone, and the verdict on the fit that they rest on."""
    return Page(parts=[*_scenarios(made), Part(verdict=made.verdict)])


# ------------------------------------------------------------------------------------------------- sensitivity


def _levers(made: Results, levers: Levers) -> list[Part]:
    inside, eventual = ("revenue", "revenue_eventual") if levers.valued else ("won", "won_eventual")
    unit = unit_word(made.study.currency if levers.valued else None)
    total = levers.sensitivity[levers.sensitivity["channel"] == "total"]
    now, doubts = levers_of(levers.sensitivity, inside), doubts_of(levers.variance)
    lead, told = bottleneck_sentence(made, levers), variance_sentence(doubts)

    drawn = partial(
        panels,
        1.05 + 0.22 * max(len(now), len(doubts)),
        lambda ax: plot.tornado(made, ax=ax),
        lambda ax: plot.variance(made, ax=ax),
    )
    alt = message(
        "Left: what each lever brings inside the horizon. Right: variance of the forecast by source. {lead} {told}",
        lead=lead, told=told,
    )  # fmt: skip
    return [
        Part(lead=lead, text=told, figure=Picture(drawn, alt)),
        Part(listings=[_lever_listing(total, inside, eventual, unit)], note=LEVER_NOTE),
        Part(listings=[_doubts(doubts)]),
    ]


def bottleneck_sentence(made: Results, levers: Levers) -> Message:
    """Where 10 % more bring the most, and which rate is far from the market's range."""
    found, frame = levers.bottleneck, made.benchmarks
    parts = []
    if found:
        parts.append(
            message(
                "Of traffic and rates, 10~% more {name} brings the most inside the horizon: {x:number}~{unit} "
                "({ends:band}, 80~% band).",
                name=lever_name(str(found["lever"]), str(found["stage"])), x=found["mean"],
                ends=(found["q10"], found["q90"]), unit=unit_word(made.study.currency if levers.valued else None),
            )
        )  # fmt: skip
    if len(frame) and "position" in frame:
        low = frame[
            (frame["channel"] == "total") & (frame["aim"] == "middle") & (frame["position"] == "below")
        ]
        for row in records(low.sort_values("won_eventual", ascending=False, kind="stable").head(1)):
            rate = lever_name("rate", str(row["stage"]))
            parts.append(message("Below the market's range: {rate}, {x:percent}.", rate=rate, x=row["mean"]))
    return together(*parts)


def variance_sentence(doubts: pd.DataFrame) -> Text:
    """The largest doubts, and how much of it is luck."""
    luck = doubts[doubts["source"].str.startswith("chance")]["share"].sum()
    known_unknown = doubts[~doubts["source"].str.startswith("chance")]
    if known_unknown.empty or not math.isfinite(luck):
        return ""
    first = known_unknown.iloc[0]
    return message(
        "{luck:percent} of the variance of the forecast is chance, which no data would take away; the largest doubt is "
        "{source} with {share:percent}.",
        luck=luck, source=source_name(str(first["source"])), share=first["share"],
    )  # fmt: skip


def unit_word(currency: str | None) -> Message:
    """The unit of a gain: the currency, or wins where there is none."""
    return message("wins") if currency is None else message("{cur}", cur=currency)


def lever_columns(unit: Text, counted: Unit, brings: Text) -> list[Shown]:
    """A lever, by how much it moves, and what that brings with its band."""
    return [
        said(
            message("Lever, {unit}", unit=unit), lambda row: lever_name(row["lever"], row["stage"]), "l", "a"
        ),
        said("Change", lambda row: CHANGES.get(str(row["change"]), str(row["change"])), width="a"),
        value("mean", brings, counted),
        band(message("80~% band"), counted, "2"),
    ]


def _lever_listing(total: pd.DataFrame, inside: str, eventual: str, unit: Text) -> Listing:
    keyed = {(r["lever"], r["stage"], r["change"], r["measure"]): r for r in records(total)}
    rows = [row for (*_, measure), row in keyed.items() if measure == inside]
    counted = CURRENCY if inside == "revenue" else COUNT

    def then(row: Record) -> Record:
        return keyed[row["lever"], row["stage"], row["change"], eventual]

    columns = [
        *lever_columns(unit, counted, message("Inside")),
        said("Elasticity", lambda row: RATIO.said(row["elasticity"]) if known(row["elasticity"]) else ""),
        said("In the end", lambda row: counted.said(then(row)["mean"])),
        said(message("80~% band"), lambda row: counted.band(then(row)["q10"], then(row)["q90"]), width="2"),
    ]
    return listing(rows, columns)


def _doubts(doubts: pd.DataFrame) -> Listing:
    columns = [
        said("Source of doubt", lambda row: source_name(str(row["source"])), "l", "a"),
        said("Share of the variance", lambda row: message("{share:.1%}", **row)),
        said("Monte Carlo error", lambda row: message("±{error:.1%}", **row)),
    ]
    return listing(records(doubts), columns)


# --------------------------------------------------------------------------------------------------- scenarios


def _scenarios(made: Results) -> list[Part]:
    """The scenarios of the study, the best contribution first."""
    if made.levers is None or made.levers.scenarios is None:
        return []
    by = nested(records(made.levers.scenarios), "scenario", "measure")
    if not all("contribution" in cells for cells in by.values()):
        return [Part("Scenarios", listings=[_in_wins(by)], note=SCENARIO_NOTE)]
    ordered = dict(sorted(by.items(), key=lambda item: -item[1]["contribution"]["mean"]))
    short, unit = short_names(ordered), unit_word(made.study.currency)
    lead = scenario_sentence(ordered, short, unit)

    drawn = partial(panels, 0.95 + 0.26 * len(ordered), lambda ax: plot.scenarios(made, ax=ax))
    alt = "Contribution of each scenario more than without it, with 80 percent bands. {lead}"
    return [
        Part(
            "Scenarios",
            lead=lead,
            figure=Picture(drawn, message(alt, lead=lead)),
            listings=[_in_money(ordered, unit)],
            note=SCENARIO_NOTE,
        )
    ]


def scenario_sentence(ordered: Mapping[str, Cells], short: Mapping[str, str], unit: Text) -> Message:
    """The scenario with the largest contribution, whether it pays, and what waiting costs."""
    best, cells = next(iter(ordered.items()))
    money = cells["contribution"]
    if money["mean"] <= 0:
        return message("None of the scenarios is expected to pay within what the horizon's units bring.")
    return message(
        "{name} brings the most: {x:number}~{unit} of contribution in the end ({ends:band}); it pays back with "
        "{p:chance}, and every period later costs {late:number}~{unit}.",
        name=short[best], x=money["mean"], unit=unit, ends=(money["q10"], money["q90"]),
        p=cells["p_payback"]["mean"], late=cells["cost_of_delay"]["mean"],
    )  # fmt: skip


def _rows(by: Mapping[str, Cells]) -> list[Record]:
    return [{"scenario": scenario, **cells} for scenario, cells in by.items()]


def _in_money(by: Mapping[str, Cells], unit: Text) -> Listing:
    def gained(measure: str, head: Text) -> Shown:
        return said(head, lambda row: banded(row[measure], "mean", GAIN), width="2")

    def pays(row: Record) -> Over:
        by_end = message("{p:brief} by the end", p=row["p_payback_horizon"]["mean"])
        return Over(CHANCE.said(row["p_payback"]["mean"]), by_end)

    def after(row: Record) -> Text:
        n = row["payback_periods"]["q50"]
        return plural("{n:whole} period", "{n:whole} periods", n=n) if known(n) else message("later")

    columns = [
        named("scenario", message("Scenario, {unit}", unit=unit), "2"),
        gained("revenue", "Revenue inside"),
        said("Cost", lambda row: CURRENCY.said(row["cost"]["mean"])),
        gained("contribution", "Contribution"),
        said("Pays back", pays, width="2"),
        said("Paid after", after),
        said("A period later", lambda row: CURRENCY.said(row["cost_of_delay"]["mean"])),
    ]
    return listing(_rows(by), columns)


def _in_wins(by: Mapping[str, Cells]) -> Listing:
    columns = [
        named("scenario", "Scenario"),
        said("Wins inside", lambda row: COUNT.said(row["won"]["mean"])),
        said(message("80~% band"), lambda row: COUNT.band(row["won"]["q10"], row["won"]["q90"])),
        said("In the end", lambda row: COUNT.said(row["won_eventual"]["mean"])),
        said("More, share", lambda row: SHARE.band(row["relative"]["q10"], row["relative"]["q90"])),
    ]
    return listing(_rows(by), columns)


# ------------------------------------------------------------------------------------------------------- goals


def _goals(made: Results, levers: Levers) -> list[Part]:
    if levers.goals is None or levers.ways is None:
        return []
    cur, goals, ways = made.study.currency, records(levers.goals), records(levers.ways)
    called = {row["goal"]: _called(row) for row in goals}

    def ahead(key: str, head: Text) -> Shown:
        return said(head, lambda row: GAIN.said(-row[key]))

    columns = [
        said("Goal", lambda row: called[row["goal"]], "l", "2"),
        said("Periods", lambda row: message("{from:period} to {by:period}", **row), width="2"),
        said(
            "Amount",
            lambda row: message("{amount:whole}~{unit}", unit=_goal_unit(row, cur), **row),
            width="2",
        ),
        said(
            message("Expected, 80~% band"),
            lambda row: Over(message("{mean:number}", **row), CURRENCY.band(row["q10"], row["q90"])),
            width="3",
        ),
        value("p", "Probability", CHANCE, "2"),
        ahead("gap_chance", "Ahead, asked"),
    ]
    points = [
        goal_sentence(goal, called[goal["goal"]], [w for w in ways if w["goal"] == goal["goal"]], cur)
        for goal in goals
    ]
    parts = [Part("Goals", listings=[listing(goals, columns)], points=points)]
    return [*parts, Part(listings=[_ways(ways, called, cur)], note=GOAL_NOTE)] if ways else parts


def _goal_unit(goal: Record, currency: str) -> Message:
    if goal["measure"] == "revenue":
        return message("{cur}", cur=currency)
    return message("{measure:stage}", measure=str(goal["measure"]).lower())


def _called(goal: Record) -> Text:
    """The name of a goal, or what it says."""
    what = said_goal(goal["amount"], goal["measure"], goal["by"])
    return what if filed(what) == goal["goal"] else Name(goal["goal"])


def goal_sentence(goal: Record, called: Text, ways: Sequence[Record], currency: str) -> Message:
    """How likely, and the smallest relative change that would do."""
    told = {"goal": called, "p": goal["p"], "chance": goal["chance"]}
    if goal["p"] >= goal["chance"]:
        return message("{goal}: {p:chance}; no change is needed.", **told)
    able = sorted((way for way in ways if way["reached"]), key=lambda way: way["change"])
    if not able:
        gap = message("{x:number}~{unit}", x=goal["gap_chance"], unit=_goal_unit(goal, currency))
        short = "{goal}: {p:chance}; {gap} short of {chance:percent}, and no single lever closes that."
        return message(short, gap=gap, **told)
    one, *other = [
        message("{name} {change:change}", name=_way_name(way), change=way["change"]) for way in able[:2]
    ]
    if not other:
        return message("{goal}: {p:chance}; {chance:percent} likely with {one}.", one=one, **told)
    either = "{goal}: {p:chance}; {chance:percent} likely with {one} or {other}."
    return message(either, one=one, other=other[0], **told)


def _way_name(way: Record) -> Text:
    lever = str(way["lever"])
    return lever_name("rate", str(way["stage"])) if lever == "rate" else LEVERS.get(lever, lever)


def _ways(ways: Sequence[Record], called: Mapping[str, Text], currency: str) -> Listing:
    def amount(key: str, head: Text) -> Shown:
        def cell(way: Record) -> Text:
            said_as = "{x:percent}" if way["lever"] == "rate" else "{x:whole}~{cur}"
            return message(said_as, x=way[key], cur=currency)

        return said(head, cell)

    def likely(way: Record) -> Text:
        return message("{p:brief}" if way["reached"] else "out of reach: {p:brief}", **way)

    columns = [
        said("Goal", lambda way: called[way["goal"]], "l", "2"),
        said("What would do", _way_name, "l", "2"),
        amount("value_now", "Now"),
        amount("value", "Then"),
        said("Change", lambda way: message("{change:change}", **way)),
        said("Probability", likely, width="2"),
    ]
    return listing(ways, columns)
