"""The chapter of the report on levers: what moves the forecast, where its doubt comes from, scenarios and goals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from forecast.report.chapters import Cell, Row, part, table
from forecast.report.figures import figure_svg
from forecast.report.pages.scenario_figures import levers_figure, scenarios_figure
from forecast.report.sentences import (
    NBSP,
    band,
    chance,
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

RATES = {"leads": "conversion", "qualified": "qualification", "won": "close rate"}
LEVER_NOTE = (
    "One lever at a time, in all channels at once; rates and delays of units that enter the stage before within the "
    "horizon. In the end: all revenue of the horizon's cohorts. Left: +10 % each, delays -10 %, with 80 % bands. "
    "Right: chance in orange, lines are one Monte Carlo error. By channel: sensitivity.csv."
)
SCENARIO_NOTE = (
    "Compared with the plan as it is, draw by draw, so that a gain holds no chance. In the end: of who is in the "
    "funnel by the end of the horizon; what a change brings after it is not counted, nor its cost then. Pays back: in "
    "the end, and by the end of the horizon. A period later: what beginning one period later costs."
)
GOAL_NOTE = (
    "Budget: today's split times one factor; best budget: by the solver, money may move, left out where the limits "
    "allow none. Rates: in all channels, from now on. Out of reach: how likely the largest change makes it."
)


def scenario_chapter(tables: Tables) -> list[dict[str, Any]]:
    """The chapter, or nothing where the tables have no levers."""
    if not tables.levers:
        return []
    parts = [*_levers(tables), *_scenarios(tables), *_goals(tables)]
    return [{"title": "What would change the forecast", "parts": parts}]


def _unit(tables: Tables) -> str:
    return clean(tables.study["currency"]) if _valued(tables) else "wins"


def _valued(tables: Tables) -> bool:
    return bool((tables.levers["sensitivity"]["measure"] == "revenue").any())


def lever_name(lever: str, stage: str) -> str:
    """A lever in words."""
    names = {"traffic": "traffic", "value": "deal value", "capacity": "room of sales"}
    if lever in names:
        return names[lever]
    if lever == "rate":
        return RATES.get(stage, f"rate into {stage_word(stage)}")
    return f"delay into {stage_word(stage)}"


def source_name(source: str) -> str:
    """A source of variance in words."""
    kind, _, stage = source.partition(": ")
    return lever_name(kind, stage) if kind == "rate" else source


# ------------------------------------------------------------------------------------------------- sensitivity


def _levers(tables: Tables) -> list[dict[str, Any]]:
    made = tables.levers["sensitivity"]
    inside, eventual = ("revenue", "revenue_eventual") if _valued(tables) else ("won", "won_eventual")
    total = made[made["channel"] == "total"]
    now = total[(total["measure"] == inside) & (total["change"] != "+1 point")]
    now = now.sort_values("mean", ascending=False, kind="stable")
    parts = tables.levers["variance"]
    parts = parts[~parts["source"].isin(("total", "forecast"))].sort_values(
        "share", ascending=False, kind="stable"
    )
    lead = bottleneck_sentence(tables)
    text = variance_sentence(parts)
    drawn = levers_figure(
        now,
        [clean(lever_name(str(r["lever"]), str(r["stage"]))) for r in records(now)],
        parts,
        [clean(source_name(str(source))) for source in parts["source"]],
        currency=_unit(tables),
    )
    alt = f"Left: what each lever brings inside the horizon. Right: variance of the forecast by source. {lead} {text}"
    return [
        part(lead=lead, text=text, figure={"svg": figure_svg(drawn), "alt": alt}),
        part(tables=[_lever_table(tables, total, inside, eventual)], note=LEVER_NOTE),
        part(tables=[_variance_table(parts)]),
    ]


def bottleneck_sentence(tables: Tables) -> str:
    """Where 10 % more bring the most, and which rate is far from the market's range."""
    found, unit = tables.levers["bottleneck"], _unit(tables)
    said = ""
    if found:
        name = clean(lever_name(str(found["lever"]), str(found["stage"])))
        said = (
            f"Of traffic and rates, 10{NBSP}% more {name} brings the most inside the horizon: "
            f"{number(found['mean'])}{NBSP}{unit} "
            f"({band(found['q10'], found['q90'])}, 80{NBSP}% band)."
        )
    frame = tables.benchmarks
    if len(frame) and "position" in frame:
        rows = frame[
            (frame["channel"] == "total") & (frame["aim"] == "middle") & (frame["position"] == "below")
        ]
        if len(rows):
            low = rows.sort_values("won_eventual", ascending=False, kind="stable").iloc[0]
            name = clean(lever_name("rate", str(low["stage"])))
            said += f" Below the market's range: {name}, {percent(low['mean'])}."
    return said


def variance_sentence(parts: pd.DataFrame) -> str:
    """The largest doubts, and how much of it is luck."""
    luck = parts[parts["source"].str.startswith("chance")]["share"].sum()
    known_unknown = parts[~parts["source"].str.startswith("chance")]
    if known_unknown.empty or not math.isfinite(luck):
        return ""
    first = known_unknown.iloc[0]
    return (
        f"{percent(luck)} of the variance of the forecast is chance, which no data would take away; the largest doubt "
        f"is {clean(source_name(str(first['source'])))} with {percent(first['share'])}."
    )


def _lever_table(tables: Tables, total: pd.DataFrame, inside: str, eventual: str) -> dict[str, Any]:
    keyed = {(r["lever"], r["stage"], r["change"], r["measure"]): r for r in records(total)}
    say, say_band = (number, band) if _valued(tables) else (count, count_band)
    rows: list[Row] = []
    for lever, stage, change, measure in keyed:
        if measure != inside:
            continue
        now, then = keyed[lever, stage, change, inside], keyed[lever, stage, change, eventual]
        elasticity = f"{now['elasticity']:.2f}" if known(now["elasticity"]) else ""
        cells: list[Cell] = [
            clean(lever_name(str(lever), str(stage))),
            str(change).replace(" %", f"{NBSP}%"),
            say(now["mean"]),
            say_band(now["q10"], now["q90"]),
            elasticity,
            say(then["mean"]),
            say_band(then["q10"], then["q90"]),
        ]
        rows.append((cells, False))
    head = [f"Lever, {_unit(tables)}", "Change", "Inside", f"80{NBSP}% band", "Elasticity", "In the end"]
    return table([*head, f"80{NBSP}% band"], rows, "", "aa12112")


def _variance_table(parts: pd.DataFrame) -> dict[str, Any]:
    rows: list[Row] = [
        ([clean(source_name(str(r["source"]))), percent(r["share"]), f"±{percent(r['error'])}"], False)
        for r in records(parts)
    ]
    return table(["Source of doubt", "Share of the variance", "Monte Carlo error"], rows)


# --------------------------------------------------------------------------------------------------- scenarios


def _cells(frame: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in records(frame):
        found.setdefault(str(row["scenario"]), {})[str(row["measure"])] = row
    return found


def _scenarios(tables: Tables) -> list[dict[str, Any]]:
    if "scenarios" not in tables.levers:
        return []
    made, unit = _cells(tables.levers["scenarios"]), _unit(tables)
    if not _valued(tables):
        return [part("Scenarios", tables=[_plain_scenarios(made)], note=SCENARIO_NOTE)]
    ordered = dict(sorted(made.items(), key=lambda item: -item[1]["contribution"]["mean"]))
    short = short_names(list(ordered))
    frame = pd.DataFrame([cells["contribution"] for cells in ordered.values()])
    drawn = scenarios_figure(frame, [short[name] for name in ordered], currency=unit)
    lead = scenario_sentence(ordered, short, unit)
    alt = f"Contribution of each scenario more than without it, with 80 percent bands. {lead}"
    return [
        part(
            "Scenarios",
            lead=lead,
            figure={"svg": figure_svg(drawn), "alt": alt},
            tables=[_money_table(ordered, short, unit)],
            note=SCENARIO_NOTE,
        )
    ]


def scenario_sentence(ordered: Mapping[str, Any], short: Mapping[str, str], unit: str) -> str:
    """The scenario with the largest contribution, whether it pays, and what waiting costs."""
    name, best = next(iter(ordered.items()))
    money, late = best["contribution"], best["cost_of_delay"]["mean"]
    if money["mean"] <= 0:
        return "None of the scenarios is expected to pay within what the horizon's units bring."
    return (
        f"{short[name]} brings the most: {number(money['mean'])}{NBSP}{unit} of contribution in the end "
        f"({band(money['q10'], money['q90'])}); it pays back with {chance(best['p_payback']['mean'])}, and "
        f"every period later costs {number(late)}{NBSP}{unit}."
    )


def _money_table(made: Mapping[str, Any], short: Mapping[str, str], unit: str) -> dict[str, Any]:
    rows: list[Row] = []
    for name, cells in made.items():
        money, inside = cells["contribution"], cells["revenue"]
        pays = cells["payback_periods"]["q50"]
        row: list[Cell] = [
            short[name],
            {"t": signed(inside["mean"]), "s": band(inside["q10"], inside["q90"])},
            number(cells["cost"]["mean"]),
            {"t": signed(money["mean"]), "s": band(money["q10"], money["q90"])},
            {
                "t": chance(cells["p_payback"]["mean"], brief=True),
                "s": f"{chance(cells['p_payback_horizon']['mean'], brief=True)} by the end",
            },
            f"{pays:.0f} period{'s' if pays > 1 else ''}" if known(pays) else "later",
            number(cells["cost_of_delay"]["mean"]),
        ]
        rows.append((row, False))
    head = [
        f"Scenario, {unit}",
        "Revenue inside",
        "Cost",
        "Contribution",
        "Pays back",
        "Paid after",
        "A period later",
    ]
    return table(head, rows, "", "2212211")


def _plain_scenarios(made: Mapping[str, Any]) -> dict[str, Any]:
    short = short_names(list(made))
    rows: list[Row] = []
    for name, cells in made.items():
        won, then = cells["won"], cells["won_eventual"]
        row: list[Cell] = [
            short[name],
            count(won["mean"]),
            count_band(won["q10"], won["q90"]),
            count(then["mean"]),
            percent_band(cells["relative"]["q10"], cells["relative"]["q90"]),
        ]
        rows.append((row, False))
    return table(["Scenario", "Wins inside", f"80{NBSP}% band", "In the end", "More, share"], rows)


# ------------------------------------------------------------------------------------------------------- goals


def _goals(tables: Tables) -> list[dict[str, Any]]:
    if "goals" not in tables.levers:
        return []
    goals, ways = records(tables.levers["goals"]), records(tables.levers["ways"])
    cur, rows = clean(tables.study["currency"]), list[Row]()
    for goal in goals:
        cells: list[Cell] = [
            clean(goal["goal"]),
            f"{goal['from']} to {goal['by']}",
            f"{whole(goal['amount'])}{NBSP}{_goal_unit(goal, cur)}",
            {"t": number(goal["q50"]), "s": band(goal["q10"], goal["q90"])},
            chance(goal["p"], brief=True),
            signed(-goal["gap_50"]),
            signed(-goal["gap_chance"]),
        ]
        rows.append((cells, False))
    head = [
        "Goal",
        "Periods",
        "Amount",
        "Median, band",
        "Probability",
        f"Ahead, 50{NBSP}%",
        "Ahead, asked",
    ]
    points = [
        goal_sentence(goal, [way for way in ways if way["goal"] == goal["goal"]], cur) for goal in goals
    ]
    parts = [part("Goals", tables=[table(head, rows, "", "2223211")], points=points)]
    return [*parts, part(tables=[_ways_table(ways, cur)], note=GOAL_NOTE)] if ways else parts


def _goal_unit(goal: Mapping[str, Any], currency: str) -> str:
    return currency if goal["measure"] == "revenue" else clean(stage_word(str(goal["measure"])).lower())


def goal_sentence(goal: Mapping[str, Any], ways: list[dict[str, Any]], currency: str) -> str:
    """How likely, and the smallest relative change that would do."""
    text = f"{clean(goal['goal'])}: {chance(goal['p'])}"
    if goal["p"] >= goal["chance"]:
        return f"{text}; no change is needed."
    able = sorted((way for way in ways if way["reached"]), key=lambda way: way["change"])
    if not able:
        gap = f"{number(goal['gap_chance'])}{NBSP}{_goal_unit(goal, currency)}"
        return f"{text}; {gap} short of {percent(goal['chance'])}, and no single lever closes that."
    said = [f"{_way_name(way)} {_way_change(way)}" for way in able[:2]]
    return f"{text}; {percent(goal['chance'])} likely with {' or '.join(said)}."


def _way_name(way: Mapping[str, Any]) -> str:
    return clean(lever_name("rate", str(way["stage"]))) if way["lever"] == "rate" else f"{way['lever']}"


def _way_change(way: Mapping[str, Any]) -> str:
    sign = "+" if way["change"] >= 0 else "-"
    return f"{sign}{percent(abs(way['change']))}"


def _ways_table(ways: list[dict[str, Any]], currency: str) -> dict[str, Any]:
    rows: list[Row] = []
    for way in ways:
        rate = way["lever"] == "rate"
        now, then = (
            percent(value) if rate else f"{whole(value)}{NBSP}{currency}"
            for value in (way["value_now"], way["value"])
        )
        p = chance(way["p"], brief=True)
        cells: list[Cell] = [
            clean(way["goal"]),
            _way_name(way),
            now,
            then,
            _way_change(way),
            p if way["reached"] else f"out of reach: {p}",
        ]
        rows.append((cells, False))
    return table(["Goal", "What would do", "Now", "Then", "Change", "Probability"], rows, "llrrrr", "221112")
