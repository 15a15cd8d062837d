"""report.xlsx: the tables of the report as a workbook for finance, numbers as numbers, text as text.

Nothing is rounded or hidden: a cell holds the full number, its format shows what is worth reading. No cell is a formula
or a link, whatever a channel is called.
"""

from __future__ import annotations

import io
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from forecast.report.sentences import recommendation
from forecast.tables import Tables

MONEY, CENTS, COUNT, SHARE, RATIO, DAYS, RHAT = "#,##0", "#,##0.00", "#,##0.0", "0.0%", "0.00", "0.0", "0.000"
IN_MONEY = ("spend", "revenue", "contribution")
PER_UNIT = (
    "cpl",
    "cost_per_qualified",
    "worth_of_lead",
    "worth_of_qualified",
    "break_even_cpl",
    "marginal_cpl",
)
STATISTICS = ("mean", "q10", "q50", "q90")
# What a column holds, where its name says so; every other number is an amount or a count.
BY_COLUMN = {
    **dict.fromkeys(("change", "extrapolated", "learnt", "evidence", "p_below", "p_above"), SHARE),
    **dict.fromkeys(("marginal", "elasticity_mean"), RATIO),
    **dict.fromkeys(("mean_days", "prior_days"), DAYS),
    "won_mean": COUNT,
    "max_rhat": RHAT,
    "min_bfmi": RATIO,
    "at_depth": SHARE,
}
BY_SHEET = {
    "Funnel": dict.fromkeys((*STATISTICS, "history", "benchmark_low", "benchmark_high"), SHARE),
    "Against the market": dict.fromkeys((*STATISTICS, "benchmark_low", "benchmark_high", "aim_rate"), SHARE)
    | {f"won{end}{q}": COUNT for end in ("", "_eventual") for q in ("", "_q10", "_q90")},
    "Segment rates": dict.fromkeys(STATISTICS, SHARE),
    "Segments": dict.fromkeys(("share", "p_win_mean", "p_win_q10", "p_win_q90"), SHARE),
    "Segment mix": dict.fromkeys(("share", "q10", "q90"), SHARE),
    "Segment shifts": dict.fromkeys(("won_mean", "won_q10", "won_q90"), RATIO),
    "Flowing back": dict.fromkeys(
        [f"{kind}_{q}" for kind in ("coming_back", "moving_on") for q in ("mean", "q10", "q90")], COUNT
    ),
    "Delays": dict.fromkeys(("q10", "q90"), DAYS),
    "Elasticities": dict.fromkeys(("q10", "q90"), RATIO),
    "Worth of tests": dict.fromkeys(("swing", "learnt"), SHARE),
    "Beyond spend seen": {"beyond": SHARE},
    "Sensitivity": {"elasticity": RATIO},
    "Variance": dict.fromkeys(("share", "error"), SHARE),
    "Goals": dict.fromkeys(("p", "chance"), SHARE),
    "Ways to the goals": dict.fromkeys(("p", "change"), SHARE),
    "Risk frontier": {"p_loss": SHARE, "mix": RATIO},
    "Backtest": {"pit": RATIO},
    "Backtest methods": dict.fromkeys(
        ("relative", "bias", "bias_se", "inside50", "inside80", "inside90", "skill", "skill_se"), SHARE
    ),
}
BY_UNIT = {"ratio": RATIO, "probability": SHARE, "months": DAYS}
HEADINGS = {
    **{f"q{p:02d}": f"{p} %" for p in (5, 10, 25, 75, 90, 95)},
    "q50": "median",
    "low": "nearly as good, from",
    "high": "nearly as good, to",
    "change": "change (share)",
    "extrapolated": "beyond spend seen (share)",
    "p_below": "P(below benchmark)",
    "p_above": "P(above benchmark)",
    "history": "seen in the data",
    "learnt": "learnt from the data (share)",
    "marginal": "next unit of money brings",
}
BANDS = (
    "Bands are central: from 10 % to 90 % holds the outcome in four cases out of five. Totals are summed future by "
    "future: the quantiles of rows do not add up to the quantile of the total; means do."
)
MONEYS = (
    "Two moneys that are never added: revenue inside the horizon, and the eventual revenue of the leads that the "
    "horizon acquires. Contribution is gross margin times eventual revenue, less spend."
)
CAUSE = "What is attributed to a channel is not always caused by it: see the caveats in report.pdf."
FAILED = "FAIL: not for decisions"
WIDEST = 60


def write_workbook(tables: Tables, path: Path, *, created: datetime) -> None:
    """Write the workbook; `created` is the only date in it, so that the same tables give the same bytes."""
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    file = io.BytesIO()  # so that a full disk is an OSError of ours, not one of the writer's own kind
    with xlsxwriter.Workbook(file, options | {"in_memory": True}) as book:
        title = f"Growth forecast: {tables.study['name']}"
        book.set_properties({"title": title, "created": created.replace(tzinfo=None)})
        style = _Styles(book)
        sheets = {
            "Forecast": tables.forecast,
            "Forecast recommended": tables.forecast_recommended,
            "Budget": tables.allocation,
            "Response curves": tables.response,
            "Funnel": tables.funnel,
            "Unit economics": tables.economics.replace([np.inf], np.nan),
            **({} if tables.benchmarks.empty else {"Against the market": tables.benchmarks}),
            **({} if tables.mistakes.empty else {"Common mistakes": tables.mistakes}),
            "Bridge": tables.bridge,
            "Delays": tables.delays,
            "Elasticities": tables.evidence,
            **_decision(tables.decision),
            **_levers(tables.levers),
            **_leads(tables),
            **_past(tables.backtest),
            "Checks": pd.DataFrame(tables.verdict["checks"]),
            # Seconds differ from run to run, and the file must not.
            "Diagnostics": tables.sampling.drop(columns=["seconds"], errors="ignore"),
            "Audit": tables.audit,
            "History": tables.history,
            "Provenance": _pairs(tables.provenance),
        }
        _headline(book, style, tables, title, list(sheets))
        for name, table in sheets.items():
            _sheet(book, style, name, table)
        if tables.verdict["status"] == "FAIL":
            for sheet in book.worksheets():
                sheet.set_header(f"&C&B{FAILED}")
                sheet.set_tab_color("#D55E00")
    path.write_bytes(file.getvalue())


def _decision(told: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """How firm the budget is: the best split by single draws, tests, what lies beyond the spend seen, frontiers."""
    names = {
        "optimum": "Best budget by draw",
        "tests": "Worth of tests",
        "ledger": "Beyond spend seen",
        "budget_frontier": "Budget frontier",
        "risk_frontier": "Risk frontier",
    }
    return {name: told[key] for key, name in names.items() if len(told.get(key, ()))}


def _levers(told: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Sensitivity and variance; scenarios and goals where the study has them."""
    names = {"sensitivity": "Sensitivity", "variance": "Variance", "scenarios": "Scenarios", "goals": "Goals"}
    names["ways"] = "Ways to the goals"
    return {name: told[key] for key, name in names.items() if len(told.get(key, ()))}


def _leads(tables: Tables) -> dict[str, pd.DataFrame]:
    """Segments of leads, and leads that flow back, where the study asks for them."""
    names = {"rates": "Segment rates", "worth": "Segments", "mix": "Segment mix", "shift": "Segment shifts"}
    sheets = {name: tables.segments[key] for key, name in names.items() if key in tables.segments}
    return sheets | ({"Flowing back": tables.recycling["flow"]} if tables.recycling else {})


def _past(backtest: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """The backtest: its headline by origin, and every method's scores."""
    if not backtest:
        return {}
    methods = [
        {k: v["share"] if isinstance(v, dict) else v for k, v in row.items() if not isinstance(v, list)}
        for row in backtest["methods"]
    ]
    return {"Backtest": pd.DataFrame(backtest["rows"]), "Backtest methods": pd.DataFrame(methods)}


class _Styles:
    """Number formats and the kinds of text."""

    def __init__(self, book: Workbook) -> None:
        self.head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "bottom"})
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.bold = book.add_format({"bold": True})
        self.fail = book.add_format({"bold": True, "font_size": 14, "font_color": "#D55E00"})
        self.text = book.add_format({"text_wrap": True, "valign": "top"})
        kinds = (MONEY, CENTS, COUNT, SHARE, RATIO, DAYS, RHAT)
        self.number = {kind: book.add_format({"num_format": kind}) for kind in kinds}


def _headline(book: Workbook, style: _Styles, tables: Tables, title: str, sheets: list[str]) -> None:
    """The first sheet: verdict, headline, and how to read the rest."""
    sheet = book.add_worksheet("Headline")
    sheet.set_column(0, 0, 48)
    sheet.set_column(1, 4, 15)
    study, head = tables.study, tables.headline
    when = f"{study['horizon'][0]} to {study['horizon'][-1]}"
    sheet.write_string(0, 0, title, style.title)
    verdict = style.fail if tables.verdict["status"] == "FAIL" else style.bold
    sheet.write_string(1, 0, f"{tables.verdict['status']}: {tables.verdict['sentence']}", verdict)
    sheet.write_string(
        2, 0, f"Horizon {when}, as of the end of {study['as_of']}; amounts in {study['currency']}"
    )
    for column, name in enumerate(("Over the whole horizon", "mean", "10 %", "median", "90 %")):
        sheet.write_string(4, column, name, style.head)
    row = 5
    for label, key, kind in (
        ("Revenue inside the horizon", "revenue", MONEY),
        ("Won deals inside the horizon", "won", COUNT),
        ("Eventual revenue of the leads acquired", "eventual", MONEY),
    ):
        sheet.write_string(row, 0, label)
        for column, level in enumerate(STATISTICS, start=1):
            _cell(sheet, row, column, head.get(f"{key}_{level}"), style.number[kind])
        row += 1
    row = _single_numbers(sheet, style, tables, row + 1)
    said = recommendation(study, head, tables.allocation)
    for text in (said, BANDS, MONEYS, CAUSE, f"Sheets: {', '.join(sheets)}."):
        row += 1
        sheet.merge_range(row, 0, row, 4, "", style.text)
        sheet.write_string(row, 0, text, style.text)
        sheet.set_row(row, 15 * math.ceil(len(text) / 95) + 3)
    _for_print(sheet)


def _single_numbers(sheet: Worksheet, style: _Styles, tables: Tables, row: int) -> int:
    """Numbers of the headline that have no band of their own, those that there are; returns the next free row."""
    gap_kind = COUNT if tables.study.get("target_measure") == "won" else MONEY
    head = tables.headline | {"target": tables.study.get("target")}
    for label, key, kind in (
        ("Target", "target", gap_kind),
        ("P(target)", "p_target", SHARE),
        ("P(target) with the recommended budget", "p_target_recommended", SHARE),
        ("Gap: target less median", "gap", gap_kind),
        ("Gain of the recommendation (eventual contribution), mean", "gain_mean", MONEY),
        ("    80 % band, from", "gain_q10", MONEY),
        ("    80 % band, to", "gain_q90", MONEY),
        ("P(recommendation better than the current plan)", "p_better", SHARE),
    ):
        value = head.get(key)
        if value is not None and math.isfinite(value):
            sheet.write_string(row, 0, label)
            _cell(sheet, row, 1, value, style.number[kind])
            row += 1
    return row


def _sheet(book: Workbook, style: _Styles, name: str, table: pd.DataFrame) -> None:
    """One table with frozen headings, a filter, and widths that fit."""
    sheet = book.add_worksheet(name)
    for column, heading in enumerate(map(str, table.columns)):
        shown = HEADINGS.get(heading, heading.replace("_", " "))
        sheet.write_string(0, column, shown, style.head)
        texts = [*(_shown(value) for value in table.iloc[:, column].head(200)), *shown.split()]
        sheet.set_column(column, column, min(max(map(len, texts)) + 3, WIDEST))
    columns = [str(c) for c in table.columns]
    for row, values in enumerate(table.itertuples(index=False, name=None), start=1):
        record = dict(zip(columns, values, strict=True))
        for column, heading in enumerate(columns):
            _cell(sheet, row, column, record[heading], style.number[_kind(name, heading, record)])
    sheet.freeze_panes(1, 1)
    if len(table):
        sheet.autofilter(0, 0, len(table), max(len(columns) - 1, 0))
    sheet.repeat_rows(0)
    _for_print(sheet)


def _for_print(sheet: Worksheet) -> None:
    """A4, landscape, one page wide."""
    sheet.set_paper(9)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)


def _kind(sheet: str, heading: str, record: dict[str, Any]) -> str:
    """The number format of a cell: by its sheet, by its column, else by the measure of its row."""
    kind = BY_SHEET.get(sheet, {}).get(heading) or BY_COLUMN.get(heading)
    if kind:
        return kind
    measure = str(record.get("measure", ""))
    if record.get("unit") in BY_UNIT:
        return BY_UNIT[record["unit"]]
    if measure in PER_UNIT:
        return CENTS
    return MONEY if not measure or sheet == "Unit economics" or measure.startswith(IN_MONEY) else COUNT


def _cell(sheet: Worksheet, row: int, column: int, value: Any, number: Format) -> None:
    """Write a value as what it is; no number, no cell."""
    if isinstance(value, bool | np.bool_):
        sheet.write_boolean(row, column, bool(value))
    elif isinstance(value, int | float | np.number):
        if math.isfinite(float(value)):
            sheet.write_number(row, column, float(value), number)
    elif value is not None:
        sheet.write_string(row, column, str(value))


def _shown(value: Any) -> str:
    """About the text that a cell shows, for the width of its column."""
    return f"{value:,.0f}" if isinstance(value, float) and math.isfinite(value) else str(value)


def _pairs(values: dict[str, Any], prefix: str = "") -> pd.DataFrame:
    """Nested provenance as two columns of text; what is empty is left out."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            inner = _pairs(value, f"{prefix}{key} ")
            rows += list(zip(inner["what"], inner["value"], strict=True))
        elif value not in (None, ""):
            rows.append((f"{prefix}{key}", str(value)))
    return pd.DataFrame(rows, columns=["what", "value"])
