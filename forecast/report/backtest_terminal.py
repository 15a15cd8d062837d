"""A backtest, and a run scored by what came, as text for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from forecast.console import amount, percent, table
from forecast.report.pages import past_words as words

_BANDS = ("inside50", "inside80", "inside90")


def backtest_text(summary: Mapping[str, Any]) -> str:
    """The content of backtest.json: every origin, the scores beside the baselines, the gate."""
    said = [words.worth(summary), words.against(summary), words.left_out(summary), words.sampling(summary)]
    title = f"Backtest of {summary['name']}: {words.span(summary)}"
    other = [m for m in dict.fromkeys(m["measure"] for m in summary["methods"]) if m != summary["measure"]]
    parts = [
        title,
        f"{_name(summary['measure'], summary)} over the horizon, as forecast then, and what came\n{_rows(summary)}",
        _methods(summary, str(summary["measure"])),
        f"The other measures, all channels, whole horizon\n{_measures(summary, other)}" if other else "",
        "\n".join(text for text in said if text),
        gate_text(summary["gate"]),
    ]
    return "\n\n".join(part for part in parts if part)


def _name(measure: str, summary: Mapping[str, Any]) -> str:
    name = measure.replace("_", " ").capitalize()
    return f"{name}, {summary['currency']}" if measure == "revenue" else name


def _rows(summary: Mapping[str, Any]) -> str:
    rows = [["known to", "forecast for", "expected", "80 % band", "came", "error", "inside"]]
    for row in summary["rows"]:
        spread = f"{_number(row['q10'])} to {_number(row['q90'])}"
        error = percent(row["mean"] / row["came"] - 1, sign=True) if row["came"] else ""
        inside = "yes" if row["inside80"] else "below" if row["came"] < row["q10"] else "above"
        when = row["first"] if row["first"] == row["last"] else f"{row['first']} to {row['last']}"
        rows.append([row["origin"], when, _number(row["mean"]), spread, _number(row["came"]), error, inside])
    return table(rows, left=(0, 1))


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return amount(float(f"{value:.4g}"))


def _share(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.0%}"


def _methods(summary: Mapping[str, Any], measure: str) -> str:
    """The forecast beside the baselines; skill is 1 - CRPS / CRPS of the baseline, with its standard error."""
    head = [
        "method",
        "origins",
        "CRPS",
        "CRPS/came",
        "WIS",
        "bias",
        "in 50 %",
        "80 %",
        "90 %",
        "skill over it",
    ]
    rows = [head]
    for found in (m for m in summary["methods"] if m["measure"] == measure):
        skill = ""
        if found["method"] != words.FORECAST and found["skill"] is not None:
            error = found["skill_se"]
            known = error is not None and math.isfinite(error)
            skill = f"{found['skill']:+.2f}" + (f" ± {error:.2f}" if known else "")
        rows.append([found["method"], str(found["outcomes"]), *_scores(found), skill])
    return table(rows)


def _scores(found: Mapping[str, Any]) -> list[str]:
    relative = "-" if found["relative"] is None else f"{found['relative']:.3f}"
    bias = (
        "-"
        if found["bias"] is None or not math.isfinite(found["bias"])
        else percent(found["bias"], sign=True)
    )
    return [
        _number(found["crps"]),
        relative,
        _number(found["wis"]),
        bias,
        *(_share(found[b]["share"]) for b in _BANDS),
    ]


def _measures(summary: Mapping[str, Any], measures: Sequence[str]) -> str:
    rows = [
        [
            "measure",
            "CRPS",
            "CRPS/came",
            "WIS",
            "bias",
            "in 50 %",
            "80 %",
            "90 %",
            "best baseline",
            "its CRPS/came",
        ]
    ]
    for measure in measures:
        mine = [m for m in summary["methods"] if m["measure"] == measure]
        own = next(m for m in mine if m["method"] == words.FORECAST)
        others = [m for m in mine if m["method"] != words.FORECAST and m["outcomes"] == own["outcomes"]]
        best = min(others, key=lambda m: m["crps"], default=None)
        beside = ["-", "-"] if best is None else [best["method"], f"{best['relative']:.3f}"]
        rows.append([measure.replace("_", " "), *_scores(own), *beside])
    return table(rows, left=(0, 8))


def gate_text(gate: Mapping[str, Any]) -> str:
    """The checks of the gate as lines."""
    lines = []
    for check in gate["checks"]:
        lines.append(
            f"{check['status']:<6}  {check['name']}: {check['value']} (expected {check['threshold']})"
        )
        if check["advice"]:
            lines.append(f"        -> {check['advice']}")
    return "\n".join(lines)


def score_text(summary: Mapping[str, Any]) -> str:
    """The content of score.json: each measure as forecast and as it came, and where the miss came from."""
    come, horizon = summary["come"], summary["horizon"]
    span = come[0] if len(come) == 1 else f"{come[0]} to {come[-1]}"
    left = (
        ""
        if len(come) == len(horizon)
        else f" ({len(come)} of {len(horizon)} {summary['period']}s have come)"
    )
    title = f"{summary['name']} as forecast as of {summary['as_of']}, {span}{left}"
    rows = [["measure", "expected", "80 % band", "came", "error", "inside", "CRPS"]]
    for row in summary["scores"]:
        if (row["period"], row["channel"]) != ("total", "total"):
            continue
        error = percent(row["mean"] / row["came"] - 1, sign=True) if row["came"] else ""
        inside = "yes" if row["inside80"] else "below" if row["came"] < row["q10"] else "above"
        spread = f"{_number(row['q10'])} to {_number(row['q90'])}"
        name = row["measure"].replace("_", " ")
        rows.append(
            [name, _number(row["mean"]), spread, _number(row["came"]), error, inside, _number(row["crps"])]
        )
    return "\n\n".join([title, table(rows), _attribution_text(summary)])


def _attribution_text(summary: Mapping[str, Any]) -> str:
    """Blocks in the order of the funnel: what each was expected to be, is now, and moved."""
    measures = list(dict.fromkeys(p["measure"] for p in summary["attribution"]))
    total = {
        (p["block"], p["measure"]): p["amount"] for p in summary["attribution"] if p["channel"] == "total"
    }
    known: dict[str, list[Mapping[str, Any]]] = {}
    for block in summary["blocks"]:
        known.setdefault(block["block"], []).append(block)
    units = {m: f"{m}, {summary['currency']}" if m == "revenue" else m for m in measures}
    rows = [["where the miss came from", "as forecast", "as it came", *units.values()]]
    for name in dict.fromkeys(block for block, _ in total):
        then, now = (", ".join(_valued(b, b[key]) for b in known.get(name, [])) for key in ("then", "now"))
        rows.append([name, then, now, *(f"{total.get((name, m), 0.0):+,.1f}" for m in measures)])
    sums = [sum(a for (_, m), a in total.items() if m == measure) for measure in measures]
    rows.append(["came less expected", "", "", *(f"{amount:+,.1f}" for amount in sums)])
    return table(rows)


def _valued(block: Mapping[str, Any], value: float) -> str:
    if block["unit"] == "share":
        return percent(value)
    if block["unit"] == "days":
        return f"{value:.0f} days into {block['stage']}"
    return _number(value)
