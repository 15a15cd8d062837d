"""Chapters of the report on customers: unit economics, rates against the market, the seven common mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from forecast.outlook import largest
from forecast.report.chapters import Cell, Row, part, table
from forecast.report.figures import figure_svg
from forecast.report.pages.economics_figures import ltv_cac_figure
from forecast.report.sentences import (
    MISSING,
    NBSP,
    band,
    chance,
    clean,
    count,
    count_band,
    known,
    listed,
    money,
    number,
    percent,
    percent_band,
    sentence,
    short_names,
    stage_word,
    tight,
)
from forecast.tables import Tables, records

# Heading, and the share of the width.
HEADS = {
    "cac": ("Cost of a customer", 4),
    "cac_with_sales": ("with sales", 4),
    "ltv": ("Worth of a customer", 5),
    "ltv_cac": ("LTV / CAC", 3),
    "p_ltv_cac_3": (f"P(3{NBSP}or{NBSP}more)", 5),
    "payback_months": ("Payback, months", 4),
    "break_even_cpl_lifetime": ("A lead may cost", 4),
    "marginal_cpl": ("Next lead costs", 4),
    "marginal_cac": ("Next customer costs", 5),
}
COSTS_NOTE = (
    f"Medians, with the 80{NBSP}% band beneath. Cost of a customer (CAC): spend over those who are won in the end. "
    "Worth (LTV): margin over the whole relationship. Payback: months from the win until the margin, earned evenly "
    "over each renewal period, has paid the cost; never: not within the lifetime. A lead may cost: break-even over the "
    "lifetime, sales paid. Next: what the next lead or customer costs at today's spend, without the sales team; the "
    "average hides that the first ones came cheap or for nothing."
)
MARKET_NOTE = (
    f"In brackets: 80{NBSP}% band. Lifted: every channel that lies below it has this rate, from now on and for new "
    "cohorts alone; others stay as they are. Published ranges are averages over other companies: a comparison, never a "
    "target, and gains of several stages multiply."
)
MISTAKES_NOTE = "UNKNOWN: the data cannot tell. Advice, not part of the verdict."


def economics_chapters(tables: Tables) -> list[dict[str, Any]]:
    """The chapters that the tables can fill."""
    made = [_economics(tables), _market(tables), _mistakes(tables)]
    return [chapter for chapter in made if chapter]


# ------------------------------------------------------------------------------------------------ unit economics


def _economics(tables: Tables) -> dict[str, Any]:
    frame, cur = tables.economics, clean(tables.study["currency"])
    by: dict[str, dict[str, dict[str, Any]]] = {}
    for row in records(frame):
        by.setdefault(str(row["channel"]), {})[str(row["measure"])] = row
    total = by.get("total", {})
    if "marginal_cac" not in total and "ltv_cac" not in total:
        return {}
    names = [name for name in by if name != "total"] + ["total"]
    parts = [part(lead=unit_sentence(total, cur), points=next_points(by, cur))]
    if "ltv_cac" in total:
        parts[0]["figure"] = _figure(by, names)
    rests = str(tables.study.get("lifetime", ""))
    note = COSTS_NOTE + (f" LTV rests on {clean(rests)}." if rests and "ltv" in total else "")
    parts.append(part(tables=[_costs_table(by, names, cur)], note=note))
    return {"title": "Unit economics of a customer", "parts": parts}


def unit_sentence(total: Mapping[str, Mapping[str, Any]], currency: str) -> str:
    """What a customer costs and is worth, LTV / CAC with its chance, and when the cost is back."""
    name = "cac_with_sales" if "cac_with_sales" in total else "cac"
    said = []
    if name in total:
        cac = total[name]
        what = "with the cost of sales" if name == "cac_with_sales" else "in marketing"
        spread = band(cac["q10"], cac["q90"], currency)
        said.append(f"A customer costs {money(cac['q50'], currency)} {what} (80{NBSP}% band {spread}).")
    if "ltv_cac" in total:
        at = total["ltv_cac"]
        p = chance(total["p_ltv_cac_3"]["mean"])
        said.append(
            f"It is worth {money(total['ltv']['q50'], currency)}: LTV / CAC is {number(at['q50'], 2)} "
            f"({band(at['q10'], at['q90'], '', 2)}), at least 3 with a probability of {p}."
        )
        back = total["payback_months"]["q50"]
        said.append(
            "The cost does not come back within the lifetime in at least half of the draws."
            if math.isinf(back)
            else f"The cost is back after {months(back)}."
        )
    return clean(" ".join(said))


def months(value: float) -> str:
    """A payback time in words.

    >>> months(0.0), months(math.inf)
    ('the first payment', 'never')
    """
    if math.isinf(value):
        return "never"
    return "the first payment" if value == 0 else f"{number(value, 2)}{NBSP}months"


def next_points(by: Mapping[str, Mapping[str, Mapping[str, Any]]], currency: str) -> list[str]:
    """In words: what the next customer costs, where the next unit of money is lost, cheap leads and dear customers."""
    total = by.get("total", {})
    points = []
    if "marginal_cac" in total and "cac" in total:
        times = total["marginal_cac"]["q50"] / total["cac"]["q50"]
        points.append(
            f"The next customer costs {money(total['marginal_cac']['q50'], currency)} of marketing, {number(times, 2)} "
            "times the average: the average counts those who come without more spend."
        )
    channels = {name: rows for name, rows in by.items() if name != "total"}
    lost = [
        n
        for n, rows in channels.items()
        if "marginal_ltv_cac" in rows and rows["marginal_ltv_cac"]["q90"] < 1
    ]
    if lost:
        points.append(f"The next unit of money does not come back (90{NBSP}% sure) in {listed(lost)}.")
    dear = {
        name: rows["p_cheap_but_dear"]["mean"]
        for name, rows in channels.items()
        if "p_cheap_but_dear" in rows and rows["p_cheap_but_dear"]["mean"] > 0.8
    }
    if dear:
        pairs = [f"{name} ({chance(p)})" for name, p in dear.items()]
        points.append(f"Cheap leads that become dear customers: {listed(pairs)}.")
    return [clean(point) for point in points]


def _figure(by: Mapping[str, Mapping[str, Mapping[str, Any]]], names: list[str]) -> dict[str, Any]:
    rows = []
    for name in names:
        row: dict[str, Any] = {"channel": name}
        for measure in ("ltv_cac", "marginal_ltv_cac"):
            if measure in by["total"]:
                found = by[name].get(measure, {})
                row |= {f"{measure}_{q}": found.get(q, math.nan) for q in ("q10", "q50", "q90")}
        rows.append(row)
    wide = pd.DataFrame(rows).dropna(how="all", subset=[c for c in rows[0] if c != "channel"])
    said = [f"{r['channel']} {number(r['ltv_cac_q50'], 2)}" for r in records(wide) if known(r["ltv_cac_q50"])]
    alt = f"LTV / CAC by channel with bands, average and next customer; marks at 1 and 3. {listed(said, 24)}."
    return {"svg": figure_svg(ltv_cac_figure(wide)), "alt": clean(alt)}


def _costs_table(
    by: Mapping[str, Mapping[str, Mapping[str, Any]]], names: list[str], currency: str
) -> dict[str, Any]:
    shown = [measure for measure in HEADS if any(measure in by[name] for name in names)]
    short = short_names(names)
    rows: list[Row] = []
    for name in names:
        cells: list[Cell] = [short[name]]
        cells += [_cell(by[name][m]) if m in by[name] else MISSING for m in shown]
        rows.append((cells, name == "total"))
    head = [f"Channel, {currency}", *(HEADS[m][0] for m in shown)]
    return table(head, rows, widths="a" + "".join(str(HEADS[m][1]) for m in shown))


def _cell(row: Mapping[str, Any]) -> Cell:
    """A median over its band, a chance alone."""
    if row["unit"] == "probability":
        return chance(row["mean"], brief=True)
    ends = [row["q10"], row["q90"]]
    if any(math.isinf(v) for v in (row["q50"], *ends)):
        said = ["never" if math.isinf(v) else number(v, 2) for v in (row["q50"], *ends)]
        return {"t": said[0], "s": f"{said[1]} to {said[2]}"}
    digits = 3 if row["unit"] == "currency" else 2
    return {"t": number(row["q50"], digits), "s": tight(band(row["q10"], row["q90"], "", digits))}


# ---------------------------------------------------------------------------------------------- against the market


def _market(tables: Tables) -> dict[str, Any]:
    frame, cur = tables.benchmarks, clean(tables.study["currency"])
    if frame.empty:
        return {}
    in_money = bool(frame["revenue"].notna().any())
    total = frame[frame["channel"] == "total"]
    rows = [(_market_cells(row, in_money, stage_word(row["stage"])), False) for row in records(total)]
    head = ["Rate into", "Today", "Range", "P(below)", "Lifted to", "Wins in the horizon", "in the end"]
    head += [f"{cur} in the horizon", "in the end"] if in_money else []
    widths = "a44554" + ("455" if in_money else "4")
    parts = [
        part(lead=market_sentence(frame, cur), tables=[table(head, rows, widths=widths)], note=MARKET_NOTE)
    ]
    low = frame[(frame["channel"] != "total") & (frame["position"] == "below") & (frame["aim"] == "low end")]
    if not low.empty:
        by_size = low.sort_values(
            "revenue_eventual" if in_money else "won_eventual", ascending=False, kind="stable"
        )
        short = short_names([str(c) for c in low["channel"]])
        cells = [
            (_market_cells(r, in_money, f"{short[str(r['channel'])]}, {stage_word(r['stage'])}"), False)
            for r in records(by_size.head(10))
        ]
        parts.append(
            part(
                "Clearly below the range",
                tables=[table(["Channel, rate into", *head[1:]], cells, widths=widths)],
            )
        )
    return {"title": "Against the market", "parts": parts}


def _market_cells(row: Mapping[str, Any], in_money: bool, name: str) -> list[Cell]:
    cells: list[Cell] = [
        name,
        {"t": percent(row["mean"]), "s": tight(percent_band(row["q10"], row["q90"]))},
        tight(percent_band(row["benchmark_low"], row["benchmark_high"])),
        chance(row["p_below"], brief=True),
        f"{percent(row['aim_rate'])} ({row['aim']})",
    ]
    for measure in ("won", "won_eventual"):
        spread = tight(count_band(row[f"{measure}_q10"], row[f"{measure}_q90"]))
        cells.append({"t": count(row[measure]), "s": spread})
    for measure in ("revenue", "revenue_eventual") if in_money else ():
        spread = tight(band(row[f"{measure}_q10"], row[f"{measure}_q90"]))
        cells.append({"t": number(row[measure]), "s": spread})
    return cells


def market_sentence(frame: pd.DataFrame, currency: str) -> str:
    """Where the company stands, and which gap is worth most."""
    total = frame[(frame["channel"] == "total") & (frame["aim"] == "low end")]
    low = [stage_word(s) for s in total.loc[total["position"] == "below", "stage"]]
    high = [stage_word(s) for s in total.loc[total["position"] == "above", "stage"]]
    said = [
        f"Clearly below the published range: the rate into {listed(low)}."
        if low
        else "No rate of the whole company is clearly below its published range."
    ]
    if high:
        said.append(f"Clearly above it: into {listed(high)}.")
    best = largest(frame)
    if best and best["won_eventual"] > 0:
        worth = f"{count(best['won_eventual'])} wins in the end"
        if known(best["revenue_eventual"]):
            spread = band(best["revenue_eventual_q10"], best["revenue_eventual_q90"], currency)
            worth = (
                f"{money(best['revenue_eventual'], currency)} of revenue in the end (80{NBSP}% band {spread})"
            )
        said.append(
            f"The largest gain lies in the rate into {stage_word(best['stage'])}: with every channel at the middle of "
            f"the range, {percent(best['aim_rate'])}, or above, the horizon's cohorts would bring {worth} more."
        )
    return clean(" ".join(said))


# ------------------------------------------------------------------------------------------------------- mistakes


def _mistakes(tables: Tables) -> dict[str, Any]:
    frame = tables.mistakes
    if frame.empty:
        return {}
    found = [str(m).lower() for m in frame.loc[frame["status"] == "REVIEW", "mistake"]]
    lead = (
        f"Traces of {listed(found, 7)}."
        if found
        else "No trace of the seven common mistakes shows in the data."
    )
    rows: list[Row] = []
    for row in records(frame):
        cells: list[Cell] = [clean(row["mistake"]), clean(row["status"]), clean(sentence(row["evidence"]))]
        cells.append(clean(row["advice"]) if row["status"] == "REVIEW" else "")
        rows.append((cells, row["status"] == "REVIEW"))
    made = table(["Mistake", "Status", "Evidence", "Advice"], rows, "llll", "2a43")
    return {"title": "Seven common mistakes", "parts": [part(lead=lead, tables=[made], note=MISTAKES_NOTE)]}
