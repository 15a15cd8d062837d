"""The chapter of the report on the past: as it was forecast then, and what came."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from forecast.report import sentences
from forecast.report.chapters import Cell, Row, part, table
from forecast.report.figures import figure_svg
from forecast.report.pages import past_words as words
from forecast.report.pages.past_figures import backtest_figure
from forecast.report.sentences import (
    MISSING,
    NBSP,
    band,
    clean,
    count,
    count_band,
    known,
    number,
    percent,
    stage_word,
)
from forecast.tables import Tables

NOTE = (
    "CRPS: error of the whole distribution, in the unit of the measure, lower is better. Skill: 1 less the forecast's "
    "CRPS over that of the method, above 0 where the forecast was better, with its standard error."
)


def backtest_chapter(tables: Tables) -> list[dict[str, Any]]:
    """The chapter, or nothing where no backtest belongs to these data."""
    summary = tables.backtest
    if not summary:
        return []
    unit = clean(words.unit(summary))
    drawn = backtest_figure(summary, unit=unit)
    lead = f"{words.held(summary)} {words.against(summary)}"
    alt = f"Bands of each forecast of the past with what came as dots. {words.held(summary)}"
    said = [words.span(summary), words.worth(summary), words.left_out(summary), words.sampling(summary)]
    many = len(summary["rows"])
    parts = [
        part(_title(many), lead=clean(lead), figure={"svg": figure_svg(drawn), "alt": clean(alt)}),
        part(tables=[_origins(summary)], note=clean(" ".join(t for t in said if t))),
        part(
            f"Beside simple methods: {stage_word(str(summary['measure']))} over the horizon",
            tables=[_methods(summary)],
            note=NOTE,
        ),
        part("Stage by stage, all channels, whole horizon", tables=[_stages(summary)]),
        part("The gate", tables=[_gate(summary)]),
    ]
    return [{"title": "The past, as it was forecast then", "parts": parts}]


def _title(many: int) -> str:
    return (
        "The last forecast that can be checked" if many == 1 else f"The last {many} horizons, and what came"
    )


def _say(measure: str) -> tuple[Any, Any]:
    return (number, band) if measure == "revenue" else (count, count_band)


def _origins(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A row per origin; those outside their 80 % band stand out."""
    say, say_band = _say(str(summary["measure"]))
    rows: list[Row] = []
    for row in summary["rows"]:
        when = row["first"] if row["first"] == row["last"] else f"{row['first']} to {row['last']}"
        error = percent(row["mean"] / row["came"] - 1) if row["came"] else MISSING
        cells: list[Cell] = [
            clean(row["origin"]),
            clean(when),
            say(row["mean"]),
            say_band(row["q10"], row["q90"]),
        ]
        cells += [say(row["came"]), error, "yes" if row["inside80"] else "no"]
        rows.append((cells, not row["inside80"]))
    unit = clean(words.unit(summary))
    head = ["Known to", "Forecast for", f"Expected, {unit}", f"80{NBSP}% band", "Came", "Error", "Inside"]
    return table(head, rows, "llrrrrr", "aa12111")


def _methods(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The forecast and each baseline."""
    rows: list[Row] = []
    for found in summary["methods"]:
        if found["measure"] != summary["measure"]:
            continue
        own = found["method"] == words.FORECAST
        skill = "" if own else _skill(found)
        rows.append(([clean(found["method"]), str(found["outcomes"]), *_scores(found), skill], own))
    shares = [f"In {p}{NBSP}%" for p in (50, 80, 90)]
    return table(["Method", "Origins", "CRPS", "Bias", *shares, "Skill over it"], rows, widths="a1111111")


def _scores(found: Mapping[str, Any]) -> list[Cell]:
    bias = percent(found["bias"]) if known(found["bias"]) else MISSING
    shares = [percent(found[name]["share"]) for name in ("inside50", "inside80", "inside90")]
    return [number(found["crps"]), bias, *shares]


def _skill(found: Mapping[str, Any]) -> str:
    if not known(found["skill"]):
        return MISSING
    error = found["skill_se"]
    more = f" ± {error:.2f}" if error is not None and math.isfinite(error) else ""
    return f"{found['skill']:+.2f}{more}".replace("-", sentences.MINUS)


def _stages(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The forecast of every measure."""
    rows: list[Row] = []
    for found in (m for m in summary["methods"] if m["method"] == words.FORECAST):
        relative = percent(found["relative"]) if known(found["relative"]) else MISSING
        name = stage_word(str(found["measure"]).replace("_", " "))
        crps, *rest = _scores(found)
        rows.append(([name, crps, relative, *rest], found["measure"] == summary["measure"]))
    shares = [f"In {p}{NBSP}%" for p in (50, 80, 90)]
    return table(["Measure", "CRPS", "of what came", "Bias", *shares], rows)


def _gate(summary: Mapping[str, Any]) -> dict[str, Any]:
    rows: list[Row] = []
    for check in summary["gate"]["checks"]:
        cells: list[Cell] = [
            clean(check["name"]),
            check["status"],
            clean(check["value"]),
            clean(check["threshold"]),
        ]
        rows.append(([*cells, sentences.sentence(check["advice"])], check["status"] == "FAIL"))
    return table(["Check", "Status", "Value", "Expected", "Advice"], rows, "lllll", "2a223")
