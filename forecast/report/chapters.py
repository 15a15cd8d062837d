"""The chapters of the report after page 1, as data for its template: sentences, figures, tables of written numbers.

A chapter is a title and parts; a part is any of heading, leading sentence, figure, text, tables, note, points. Every
figure has its table beside it and words (`alt`) that stand for it where it cannot be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from forecast.report import figures, sentences
from forecast.report.sentences import (
    MISSING,
    NBSP,
    band,
    chance,
    clean,
    known,
    number,
    percent,
    percent_band,
    short_names,
    signed,
    stage_word,
    tight,
    whole,
)
from forecast.tables import Tables, records

Cell = str | dict[str, Any]
Row = tuple[list[Cell], bool]  # the cells, and whether the row stands out


def chapters(tables: Tables) -> list[dict[str, Any]]:
    """Revenue and bridge, funnel and unit economics, budget, evidence."""
    return [_forecast(tables), _funnel(tables), _budget(tables), _evidence(tables)]


def part(title: str = "", **given: Any) -> dict[str, Any]:
    """A piece of a page; what is not given is left out."""
    empty: dict[str, Any] = {"lead": "", "figure": None, "text": "", "tables": [], "note": "", "points": []}
    return {"title": title} | empty | given


def table(head: Sequence[str], rows: Iterable[Row], align: str = "", widths: str = "") -> dict[str, Any]:
    """A table for the template: first column left, the others right, unless `align` (l, r) says otherwise.

    `widths` has a sign per column: "a" fits the content, a digit takes that share of the room which is left.
    """
    n = len(head)
    return {
        "head": list(head),
        "align": list(align or "l" + "r" * (n - 1)),
        "columns": ["auto" if w == "a" else int(w) for w in (widths or "a" + "1" * (n - 1))],
        "rows": [{"cells": cells, "strong": strong} for cells, strong in rows],
    }


def total(frame: pd.DataFrame, measure: str) -> dict[str, Any]:
    """The row of a measure over all channels and the whole horizon, or nothing."""
    chosen = (frame["measure"] == measure) & (frame["channel"] == "total") & (frame["period"] == "total")
    return next(iter(records(frame[chosen])), {})


def main_measure(tables: Tables) -> str:
    """What the fan shows: the target's measure, or revenue, or wins where no revenue is known."""
    if tables.study.get("target_measure"):
        return str(tables.study["target_measure"])
    return "revenue" if known(total(tables.forecast, "revenue").get("mean")) else "won"


def _figure(figure: Any, alt: str) -> dict[str, Any]:
    """A figure for the template with its words."""
    return {"svg": figures.figure_svg(figure), "alt": alt}


def _over(mean: str, below: str) -> Cell:
    """A number over its band; a dash alone where there is no number."""
    return {"t": mean, "s": below} if mean != MISSING else mean


def _share(value: Any) -> Cell:
    """A share in [0, 1] as a bar with its number."""
    return {"share": min(max(float(value), 0.0), 1.0), "t": percent(value)} if known(value) else MISSING


# ---------------------------------------------------------------------------------------- revenue and the bridge


def _forecast(tables: Tables) -> dict[str, Any]:
    """The fan with its target and table, the bridge with its own, and luck against ignorance."""
    measure = main_measure(tables)
    said = (sentences.luck(tables.headline), sentences.eventual(tables.study, tables.headline))
    points = [p for p in said if p]
    parts = [*_fan(tables, measure), _bridge(tables)]
    if points:
        parts.append(part("Luck, ignorance, and what comes later", points=points))
    return {"title": f"{'Revenue' if measure == 'revenue' else 'Wins'} over the horizon", "parts": parts}


def _fan(tables: Tables, measure: str) -> list[dict[str, Any]]:
    """The fan, its sentence and its table."""
    study, whole_horizon = tables.study, total(tables.forecast, measure)
    unit = clean(study["currency"]) if measure == "revenue" else ""
    goal = float(study["target"]) if known(study.get("target")) else None
    drawn = figures.revenue_figure(tables.history, tables.forecast, measure=measure, unit=unit, target=goal)
    alt = (
        f"{stage_word(measure)} by period: the past as a line, the forecast as bands of 50, 80 and 90 percent, and the "
        f"80 percent band of the whole horizon, {band(whole_horizon['q10'], whole_horizon['q90'], unit)}."
    )
    if goal is not None:
        alt += f" A dashed line marks the target of {whole(goal)}{NBSP}{unit or 'wins'}."
    say, say_band = (number, band) if measure == "revenue" else (sentences.count, sentences.count_band)
    rows: list[Row] = []
    chosen = (tables.forecast["measure"] == measure) & (tables.forecast["channel"] == "total")
    for row in records(tables.forecast[chosen]):
        bands = [say_band(row[a], row[b]) for a, b in (("q25", "q75"), ("q10", "q90"), ("q05", "q95"))]
        last = row["period"] == "total"
        name = "whole horizon" if last else clean(row["period"])
        rows.append(([name, say(row["mean"]), say(row["q50"]), *bands], last))
    head = [
        f"Period{', ' + unit if unit else ''}",
        "Expected",
        "Median",
        *(f"{p}{NBSP}% band" for p in (50, 80, 90)),
    ]
    said = (
        f"{sentences.target(study, tables.headline)} {sentences.fan(study, whole_horizon, measure)}".strip()
    )
    return [part(lead=said, figure=_figure(drawn, alt)), part(tables=[table(head, rows, widths="a11222")])]


def _bridge(tables: Tables) -> dict[str, Any]:
    """The waterfall and its table: in money, or in wins where no revenue is known."""
    cur, frame = clean(tables.study["currency"]), tables.bridge
    in_money = bool(frame["mean"].notna().any())
    said = sentences.bridge(tables.study, frame)
    rows: list[Row] = []
    for row in records(frame):
        cells: list[Cell] = [clean(row["item"]), sentences.count(row["won_mean"])]
        cells += [number(row["mean"]), number(row["q50"]), band(row["q10"], row["q90"])] if in_money else []
        rows.append((cells, row["item"] == "revenue inside the horizon"))
    head = [
        "Where it comes from",
        "Wins",
        *((f"Expected, {cur}", "Median", f"80{NBSP}% band") if in_money else ()),
    ]
    alt = f"Waterfall of what falls inside the horizon, by origin, and of what lands after it. {said}"
    drawn = _figure(figures.bridge_figure(frame, unit=cur if in_money else "wins"), alt)
    return part("Where it comes from", lead=said, figure=drawn, tables=[table(head, rows)])


# -------------------------------------------------------------------------------------- funnel and unit economics


def _funnel(tables: Tables) -> dict[str, Any]:
    """Rates against published ranges, three stages at a time, then what a lead costs and is worth."""
    stages = list(dict.fromkeys(str(s) for s in tables.funnel["stage"]))
    parts = []
    for first in range(0, len(stages), 3):
        group = stages[first : first + 3]
        frame = tables.funnel[tables.funnel["stage"].isin(group)]
        said = sentences.rates(frame)
        alt = f"Rates into {sentences.listed([stage_word(s) for s in group])} by channel, with bands. {said}"
        drawn = _figure(figures.rates_figure(frame, group), alt)
        title = "Rates by channel, continued" if first else "Rates by channel"
        parts.append(part(title, lead=said, figure=drawn))
        parts.append(part(tables=[_rates_table(frame, group)], note=sentences.RATES_NOTE))
    return {"title": "Funnel and unit economics", "parts": [*parts, *_economics(tables)]}


def _rates_table(frame: pd.DataFrame, stages: list[str]) -> dict[str, Any]:
    """A row for each channel, two columns for each stage of destination: the rate with its band, and P(below)."""
    names = list(dict.fromkeys(str(c) for c in frame["channel"]))
    short = short_names(names)
    by = {(str(r["channel"]), str(r["stage"])): r for r in records(frame)}
    rows: list[Row] = []
    for name in names:
        cells: list[Cell] = [short[name]]
        for stage in stages:
            row = by.get((name, stage), {})
            rate = percent(row.get("mean"))
            spread = tight(percent_band(row.get("q10"), row.get("q90")))
            cells += [
                f"{rate}{NBSP}({spread})" if rate != MISSING else rate,
                chance(row.get("p_below"), brief=True),
            ]
        rows.append((cells, name == "total"))
    ranges: list[Cell] = ["published range"]
    for stage in stages:
        published = frame.loc[(frame["stage"] == stage) & frame["benchmark_low"].notna()]
        lows, highs = published["benchmark_low"], published["benchmark_high"]
        same = lows.nunique() == 1 and highs.nunique() == 1
        ranges += [
            percent_band(lows.iloc[0], highs.iloc[0]) if same else "by channel" if len(lows) else MISSING,
            "",
        ]
    rows.append((ranges, False))
    head = ["Channel", *(h for s in stages for h in (f"into {stage_word(s)}", "P(below)"))]
    return table(head, rows, widths="a" + "1a" * len(stages))


_ECONOMICS = {
    "cpl": "Cost per lead",
    "break_even_cpl": "Break-even cost per lead",
    "worth_of_lead": "Worth of a lead",
    "worth_of_qualified": "Worth of a qualified lead",
    "cost_per_qualified": "Cost per qualified lead",
    "cac": "Cost per customer",
    "deal_value": "Deal value",
}


def economics_wide(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each channel, a column for each measure and statistic (cpl_mean, cpl_q10, ...); channels keep order."""
    names = list(dict.fromkeys(str(c) for c in frame["channel"]))
    names.sort(key=lambda name: name == "total")  # stable: the total last, the channels as they come
    columns: dict[str, dict[str, float]] = {}
    for row in records(frame):
        for statistic in ("mean", "q10", "q90"):
            columns.setdefault(f"{row['measure']}_{statistic}", {})[str(row["channel"])] = row[statistic]
    values = {key: [column.get(name, float("nan")) for name in names] for key, column in columns.items()}
    return pd.DataFrame({"channel": names} | values)


def _economics(tables: Tables) -> list[dict[str, Any]]:
    """What a lead costs against what may be paid for one, and every other value per unit."""
    cur, wide = clean(tables.study["currency"]), economics_wide(tables.economics)
    shown = [m for m in _ECONOMICS if f"{m}_mean" in wide and wide[f"{m}_mean"].notna().any()]
    if not shown:
        why = "The data hold neither spend nor deal values, so nothing can be said about the cost or worth of a lead."
        return [part("Unit economics", text=why)]
    parts = []
    if "cpl" in shown and "break_even_cpl" in shown:
        said = sentences.break_even(wide)
        drawn = wide[["channel", *(c for c in wide if str(c).startswith(("cpl_", "break_even_cpl_")))]]
        drawn = drawn.dropna(how="all", subset=list(drawn.columns[1:]))
        figure = _figure(
            figures.break_even_figure(drawn, currency=cur), f"Cost per lead and break-even. {said}"
        )
        parts.append(part("What a lead costs, and what it is worth", lead=said, figure=figure))
    short = short_names(list(wide["channel"]))
    rows: list[Row] = []
    for row in records(wide):
        values = [
            _over(number(row[f"{m}_mean"]), tight(band(row[f"{m}_q10"], row[f"{m}_q90"]))) for m in shown
        ]
        rows.append(([short[row["channel"]], *values], row["channel"] == "total"))
    head = [f"Channel, {cur}", *(_ECONOMICS[m] for m in shown)]
    note = sentences.WORTH_NOTE if "worth_of_lead" in shown else ""
    return [*parts, part("" if parts else "Unit economics", tables=[table(head, rows)], note=note)]


# ----------------------------------------------------------------------------------------------------- budget


def _budget(tables: Tables) -> dict[str, Any]:
    """The recommended split, the curves behind it, and what they do not say; or why there is none."""
    study, head, frame = tables.study, tables.headline, tables.allocation
    if frame.empty:
        why = sentences.recommendation(study, head, frame)
        ask = "Record the spend of each channel and period, and what deals are worth; the split will stand here."
        return {"title": "Budget", "parts": [part(lead=why, text=ask)]}
    cur, said = clean(study["currency"]), sentences.budget(study, frame)
    drawn = figures.budget_figure(frame, currency=cur)
    alt = f"Spend by channel, current and recommended, with the range that is nearly as good. {said}"
    parts = [
        part(lead=f"{sentences.recommendation(study, head, frame)} {said}", figure=_figure(drawn, alt)),
        part(tables=[_allocation_table(frame, cur)], note=sentences.BUDGET_NOTE),
    ]
    if not tables.response.empty:
        said = sentences.response(tables.response)
        alt = f"Contribution over spend for each channel, with bands; hatched beyond the spend ever seen. {said}"
        curves = _figure(figures.response_figure(tables.response, currency=cur), alt)
        parts.append(
            part("How contribution follows spend", lead=said, figure=curves, note=sentences.RESPONSE_NOTE)
        )
    parts.append(part("Before you move money", points=sentences.caveats(study, tables.evidence)))
    return {"title": sentences.budget_title(head), "parts": parts}


def _allocation_table(frame: pd.DataFrame, currency: str) -> dict[str, Any]:
    """The recommended split beside the current one, and the sum of both."""
    short = short_names([str(c) for c in frame["channel"]])
    rows: list[Row] = []
    for row in records(frame):
        spend = [
            whole(row["current"]),
            whole(row["recommended"]),
            signed(row["recommended"] - row["current"]),
        ]
        brings = [
            number(row["expected_contribution_current"]),
            number(row["expected_contribution_recommended"]),
        ]
        last = [number(row["marginal"], 2), sentences.extrapolated(row["extrapolated"])]
        name = short[str(row["channel"])] + (" (locked)" if row.get("locked") else "")
        rows.append(([name, *spend, band(row["low"], row["high"]), *brings, *last], False))
    sums = frame[
        ["current", "recommended", "expected_contribution_current", "expected_contribution_recommended"]
    ].sum()
    now, then, brought, brings_then = (float(v) for v in sums)
    spend = [whole(now), whole(then), signed(then - now)]
    rows.append((["total", *spend, "", number(brought), number(brings_then), "", ""], True))
    head = [f"Channel, {currency}", "Current spend", "Recom\N{SOFT HYPHEN}mended", "Change", "Nearly as good"]
    head += ["Brings now", "Would bring", "Next unit brings", "Beyond seen"]
    return table(head, rows, widths="a111a1111")


# --------------------------------------------------------------------------------------------------- evidence


def _evidence(tables: Tables) -> dict[str, Any]:
    """What the numbers rest on: delays, elasticities, checks, sampling, audit, provenance."""
    made = [
        _listing("Delays", tables.delays, _DELAYS),
        _listing(
            "Response to spend", tables.evidence, _ELASTICITY, "lrrll", "aaaa1", sentences.ELASTICITY_NOTE
        ),
        _listing(
            "Checks behind the verdict", pd.DataFrame(tables.verdict["checks"]), _CHECKS, "lllll", "2a223"
        ),
        _listing("Sampling", tables.sampling, _SAMPLING, note=sentences.SAMPLING_NOTE),
        _listing("Audit of the data", tables.audit, _AUDIT, "llll", "2a33"),
        _provenance(tables),
    ]
    return {"title": "Evidence", "parts": [p for p in made if p]}


Columns = dict[str, tuple[str, Callable[[dict[str, Any]], Cell]]]


def _texts(**heads: str) -> Columns:
    """Columns that are shown as the text they are, advice as a sentence."""

    def shown(key: str) -> Callable[[dict[str, Any]], Cell]:
        write = sentences.sentence if key == "advice" else clean
        return lambda row: write(row[key])

    return {head: (key, shown(key)) for key, head in heads.items()}


def _band_of(row: dict[str, Any]) -> Cell:
    """The 80 % band of a row with q10 and q90."""
    return band(row["q10"], row["q90"], "", 2)


_DELAYS: Columns = {
    "Days in the step": ("stage", lambda r: f"into {stage_word(r['stage'])}"),
    "Mean": ("mean_days", lambda r: number(r["mean_days"], 2)),
    f"80{NBSP}% band": ("q10", _band_of),
    "Assumed before": ("prior_days", lambda r: number(r["prior_days"], 2)),
    "Learnt from the data": ("learnt", lambda r: _share(r["learnt"])),
}
_ELASTICITY: Columns = {
    "Channel": ("channel", lambda r: short_names([str(r["channel"])])[str(r["channel"])]),
    "Elasticity": ("elasticity_mean", lambda r: number(r["elasticity_mean"], 2)),
    f"80{NBSP}% band": ("q10", _band_of),
    "Evidence": ("evidence", lambda r: _share(r["evidence"])),
    "What that means": ("sentence", lambda r: clean(r["sentence"])),
}
_CHECKS = _texts(name="Check", status="Status", value="Value", threshold="Expected", advice="Advice")
_AUDIT = _texts(check="Check", status="Status", evidence="Evidence", advice="Advice")
# Seconds are left out: they differ from run to run, and the report must not.
_SAMPLING: Columns = {
    "Part of the model": ("part", lambda r: clean(r["part"])),
    "Largest R-hat": ("max_rhat", lambda r: f"{r['max_rhat']:.3f}" if known(r["max_rhat"]) else MISSING),
    "Smallest bulk ESS": ("min_ess_bulk", lambda r: whole(r["min_ess_bulk"])),
    "Smallest tail ESS": ("min_ess_tail", lambda r: whole(r["min_ess_tail"])),
    "Divergences": ("divergences", lambda r: whole(r["divergences"])),
    "Smallest E-BFMI": ("min_bfmi", lambda r: number(r["min_bfmi"], 2) if known(r.get("min_bfmi")) else ""),
    "Draws": ("draws", lambda r: whole(r["draws"])),
}


def _listing(
    title: str, frame: pd.DataFrame, columns: Columns, align: str = "", widths: str = "", note: str = ""
) -> dict[str, Any]:
    """A table as a part of its own, a row that failed in bold; empty columns are left out, and so is an empty table."""
    if frame.empty:
        return {}
    made = table(
        list(columns),
        [([show(r) for _, show in columns.values()], r.get("status") == "FAIL") for r in records(frame)],
        align,
        widths,
    )
    used = [k for k in range(len(columns)) if any(row["cells"][k] for row in made["rows"])]
    for key in ("head", "align", "columns"):
        made[key] = [made[key][k] for k in used]
    for row in made["rows"]:
        row["cells"] = [row["cells"][k] for k in used]
    return part(title, tables=[made], note=note)


def _provenance(tables: Tables) -> dict[str, Any]:
    """What it takes to make this report again."""
    made, study = tables.provenance, tables.study
    pairs = [
        ("Command", made.get("command")),
        ("Seed", made.get("seed")),
        ("Simulated futures", whole(study.get("draws"))),
        ("Counting", study.get("counting")),
        ("Gross margin", percent(study.get("gross_margin"), 3)),
        ("Study", made.get("study_sha256")),
        *((f"Data: {clean(name)}", digest) for name, digest in made.get("data_sha256", {}).items()),
        ("Versions", ", ".join(f"{k}{NBSP}{v}" for k, v in sorted(made.get("versions", {}).items()))),
    ]
    short = short_names([k for k, _ in pairs], 32)
    rows: list[Row] = [([short[k], clean(v)], False) for k, v in pairs if v not in (None, "", MISSING)]
    return part(
        "Provenance", tables=[table(["What", "Value"], rows, "ll", "a1")], note=sentences.PROVENANCE_NOTE
    )
