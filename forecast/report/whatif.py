"""whatif.html: one page without a server on which spend, rates, delays and values can be tried.

    draws      `outlook.Ingredients`, each number in 8 bits between the least and the most of its cell
    run        the run's own statistics at its plans, which the page's numbers equal there
    texts      sentences and labels in the language that is spoken, and the marks of its numbers

The page is a template with style and script, and a block of JSON; nothing of what people typed is markup or code, and
its policy allows no request. The script is the third writing of the equations (`templates/whatif.js`).
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from forecast.checks import PASS
from forecast.outlook import DELAYS, LATEST, PATIENCE, Ingredients
from forecast.report.figures import BANDS, BLUE, INK, ORANGE
from forecast.report.filling import filled, template
from forecast.results import LEVELS, Results
from forecast.tables import plain
from forecast.words import (
    Text,
    clean,
    formatted,
    horizon_words,
    known,
    message,
    percent,
    period,
    spoken,
    text,
)

Array = NDArray[np.float64]

PAST = {"month": 12, "quarter": 8, "week": 26}  # periods of the history in the figure
TONES = {"PASS", "REVIEW", "FAIL"}
STATISTICS = ("mean", *LEVELS)


def whatif_page(made: Results) -> bytes:
    """The page, UTF-8, the same bytes each time; of a bundle with `ingredients`."""
    if made.ingredients is None:
        raise ValueError("the page needs the ingredients of a forecast")
    data = _data(made, made.ingredients)
    shown = {name: html.escape(text(said)) for name, said in _frame(made, made.ingredients).items()}
    style, script = _style(), _script()
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; "
    parts = shown | {
        "language": html.escape(spoken()),
        "tone": made.verdict.status if made.verdict.status in TONES else "REVIEW",
        "policy": policy + "form-action 'none'",
        "style": style,
        "script": script,
        "data": _block(data),
        "notes": "".join(
            f"<li>{html.escape(text(note))}</li>" for note in _notes(made, made.ingredients) if note
        ),
        "aim": _aim(made),
    }
    return filled(template("whatif.html"), parts).encode()


def _style() -> str:
    wide, middle, narrow = (colour for *_, colour in BANDS)
    colours = {"ink": INK, "blue": BLUE, "orange": ORANGE, "wide": wide, "middle": middle, "narrow": narrow}
    return _short(filled(template("whatif.css"), colours))


def _script() -> str:
    return _short(template("whatif.js"))


def _short(source: str) -> str:
    """Without what a reader of the source has the lines indented for."""
    return "\n".join(line.strip() for line in source.splitlines() if line.strip()[:3] not in ("", "// "))


def _hash(inside: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"


def _block(data: Mapping[str, Any]) -> str:
    """JSON in ASCII in which no sign begins markup or ends the block."""
    told = json.dumps(plain(data), separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        told = told.replace(sign, f"\\u{ord(sign):04x}")
    return told


# --------------------------------------------------------------------------------------------------------- the numbers


def _data(made: Results, found: Ingredients) -> dict[str, Any]:
    study, economics = made.study, found.economics
    plans = {
        name: plan
        for name, plan in found.plans.items()
        if name == "given" or not np.allclose(plan, found.plans["given"], atol=0.5)
    }
    return {
        "texts": {name: _told(said) for name, said in _texts(made, found).items()},
        "marks": marks(),
        "scales": _scales(study.currency),
        "periods": [period(label) for label in study.horizon],
        "channels": [clean(name) for name in found.channels],
        "raw_names": found.channels,
        "stages": found.stages,
        "draws": found.size,
        "valued": found.valued,
        **_encoded(found),
        "saturates": found.saturates.astype(int).tolist(),
        "past": _rows(found.past),
        "reference": found.reference.tolist(),
        "now": found.now.tolist(),
        "current": found.current.tolist(),
        "highest": found.highest.tolist(),
        "responds": found.responds.tolist(),
        "lasting": found.lasting.tolist(),
        "stopped": found.stopped.tolist(),
        "limited": found.limited.tolist(),
        "at_once": [found.at_once[stage].tolist() for stage in found.stages[1:]],
        "delays": sorted((1.0, *DELAYS)),
        "capacity": economics.capacity,
        "decay": economics.capacity_decay,
        "latest": LATEST,
        "patience": PATIENCE,
        "margin": economics.gross_margin,
        "sales_cost": economics.sales_cost or 0.0,
        "sales_cost_per_won": economics.sales_cost_per_won or 0.0,
        "target": None if study.target is None else {"measure": study.target_measure, "amount": study.target},
        "plans": {name: _rows(plan) for name, plan in plans.items()},
        "run": {name: _of_run(made, found, name) for name in plans},
        "rates": [_funnel(made, stage) for stage in found.stages[1:]],
        "days": [_days(made, found, stage) for stage in found.stages[1:]],
        "value": _economics(made, "deal_value").get("mean", 1.0),
        "history": _history(made, found),
    }


def _rows(values: Array) -> list[list[float]]:
    return [[float(x) for x in row] for row in values]


def _encoded(found: Ingredients) -> dict[str, Any]:
    """Draws as codes between the ends of their cell: fields (name, cells, bits, how it is taken back), base64 blocks.

    A cell holds a number of every draw, low + (high - low) code / most; one that is the same in all draws has no codes.
    """
    fields: list[list[Any]] = []
    ends: list[NDArray[Any]] = []
    codes: dict[int, list[NDArray[Any]]] = {8: [], 16: []}

    def add(name: str, values: Array, bits: int, how: str) -> None:
        cells = values.reshape(len(values), -1).T
        low, high = (end.astype(np.float32) for end in (cells.min(axis=1), cells.max(axis=1)))
        fields.append([name, len(cells), bits, how])
        ends.append(np.stack([low, high], axis=1).ravel())
        width = (high - low).astype(float)
        varies = width > 0
        share = (cells[varies] - low[varies, None]) / width[varies, None]
        codes[bits].append(np.rint(np.clip(share, 0.0, 1.0) * (2**bits - 1)).ravel())

    for name, values in found.draws.items():
        if name.startswith("rate_"):
            add(name, logit(np.clip(values, 1e-9, 1.0 - 1e-9)), 8, "logit")
        elif name.startswith("after_"):
            add(name, np.log(values), 8, "exp")
        else:
            add(name, values, 8, "exp" if name.startswith("log_") else "as_is")
    for name, values in found.chance.items():
        add(f"chance_{name}", values, 16, "as_is")
    return {
        "fields": fields,
        "ends": _base64(np.concatenate(ends), "<f4"),
        "codes8": _base64(np.concatenate(codes[8]), "u1"),
        "codes16": _base64(np.concatenate(codes[16]), "<u2"),
    }


def _base64(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _of_run(made: Results, found: Ingredients, plan: str) -> dict[str, Any]:
    """Statistics of the run at one of its plans: by measure, those of each period and of the whole horizon."""
    table = made.forecast if plan == "given" else made.forecast_recommended
    whole = table[table["channel"] == "total"]
    run: dict[str, Any] = {}
    for measure in ("won", "revenue"):
        rows = whole[whole["measure"] == measure].set_index("period")
        if len(rows):
            run[measure] = [_statistics(rows.loc[period]) for period in (*made.study.horizon, "total")]
    contribution = whole[(whole["measure"] == "contribution") & (whole["period"] == "total")]
    margin = found.economics.gross_margin
    if len(contribution) and margin > 0:
        spend = float(found.plans[plan].sum())
        run["eventual"] = [
            {name: (x + spend) / margin for name, x in _statistics(contribution.iloc[0]).items()}
        ]
    if plan == "given":
        for measure in ("cac", "ltv_cac"):
            if _economics(made, measure):
                run[measure] = [_economics(made, measure)]
    run["target"] = made.headline.get("p_target" if plan == "given" else "p_target_recommended")
    return run


def _statistics(row: Any) -> dict[str, float]:
    return {name: float(row[name]) for name in STATISTICS}


def _economics(made: Results, measure: str) -> dict[str, float]:
    """A measure of the whole company with its band, or nothing."""
    table = made.economics
    if not len(table):
        return {}
    rows = table[(table["channel"] == "total") & (table["measure"] == measure)]
    if not len(rows) or not known(rows["mean"].iloc[0]):
        return {}
    return {name: float(rows[name].iloc[0]) for name in ("mean", "q10", "q50", "q90")}


def _funnel(made: Results, stage: str) -> float:
    """The rate of a stage over all channels; 1 where the report has none."""
    rows = made.funnel[(made.funnel["channel"] == "total") & (made.funnel["stage"] == stage)]
    mean = float(rows["mean"].iloc[0]) if len(rows) else 1.0
    return mean if known(mean) and mean > 0 else 1.0


def _days(made: Results, found: Ingredients, stage: str) -> float | None:
    """The mean delay into a stage, in days; None where it is no lever."""
    rows = made.delays[made.delays["stage"] == stage] if len(made.delays) else made.delays
    return float(rows["mean_days"].iloc[0]) if len(rows) and f"longer_{stage}" in found.draws else None


def _history(made: Results, found: Ingredients) -> list[dict[str, Any]]:
    measure = "revenue" if found.valued else "won"
    rows = made.history[made.history["measure"] == measure] if len(made.history) else pd.DataFrame()
    last = rows.tail(PAST[made.study.period])
    return [
        {"label": period(label), "value": float(value)}
        for label, value in zip(last.get("period", ()), last.get("value", ()), strict=True)
    ]


# ----------------------------------------------------------------------------------------------------------- the words


def marks() -> dict[str, str]:
    """The marks of numbers in the language that is spoken, read off numbers that `words` writes."""

    def between(low: float, high: float) -> str:
        said, ends = (
            text(message("{ends:band.1}", ends=(low, high))),
            [formatted(x, ".0f") for x in (low, high)],
        )
        return said[len(ends[0]) : len(said) - len(ends[1])]

    group, decimal = re.fullmatch(r"1(\D*)234(\D)5", formatted(1234.5, ",.1f")).groups()  # type: ignore[union-attr]
    return {
        "group": group,
        "decimal": decimal,
        "minus": formatted(-1, ".0f").removesuffix("1"),
        "percent": percent(0.12).removeprefix("12"),
        "missing": text(message("{x:number}", x=None)),
        "to": between(1, 2),
        "to_minus": between(-2, 1),
        "below": text(message("{p:chance}", p=0.0)),
        "above": text(message("{p:chance}", p=1.0)),
    }


def _scales(currency: str) -> list[list[Any]]:
    """From which amount on an axis is told in what: least, divisor, label."""
    return [
        [1e9, 1e9, text(message("billion {cur}", cur=currency))],
        [1e6, 1e6, text(message("million {cur}", cur=currency))],
        [1e4, 1e3, text(message("thousand {cur}", cur=currency))],
        [0, 1, text(message("{cur}", cur=currency))],
    ]


def _told(said: Any) -> Any:
    if isinstance(said, dict):
        return {key: text(each) for key, each in said.items()}
    return [text(each) for each in said] if isinstance(said, list) else text(said)


def _steps(found: Ingredients, template: str) -> list[Text]:
    pairs = zip(found.stages, found.stages[1:], strict=False)
    return [message(template, before=before, stage=stage) for before, stage in pairs]


def _texts(made: Results, found: Ingredients) -> dict[str, Any]:
    """What the script says; {x} and {name} are filled in by it."""
    x, cur = "{x}", made.study.currency
    return {
        "currency": message("{cur}", cur=cur),
        "money": message("{x}~{cur}", x=x, cur=cur),
        "days": message("days"),
        "rates": _steps(found, "{before:stage} to {stage:stage}"),
        "delays": _steps(found, "from {before:stage} to {stage:stage}"),
        "traffic": message("{stage:stage} at the same spend, of those forecast", stage=found.stages[0]),
        "value": "value of a deal",
        "plan_is": message("plan {x}", x=x),
        "slider_value": message("{x}~{unit}", x=x, unit="{unit}"),
        "beyond": "more than was ever spent",
        "together": message("together {x}, {plan} in the plan", x=x, plan="{plan}"),
        "spend_total": "Spend",
        "won": "Expected wins",
        "wins": message("wins"),
        "revenue": "Expected revenue",
        "target": "Probability of the target",
        "target_is": "" if made.study.target is None else _target(made),
        "cac": "CAC",
        "ltv_cac": "LTV / CAC",
        "contribution": "Eventual contribution",
        "band": message("{x} (80~%)", x=x),
        "points": message("{x} points", x=x),
        "none": message("none"),
        "live": message("{name}: {x}.", name="{name}", x=x),
        "columns": {
            "current": "Current plan",
            "recommended": "Recommended plan",
            "yours": "As set here",
            "apart": "Difference",
        },
        "copied": message("Copied."),
        "copy_by_hand": "Marked: copy it with the keyboard.",
        "toml_plan": "In place of [plan] in the study: the spend of each channel a period.",
        "toml_even": "The periods of this plan differ; these are their means.",
        "toml_scenario": "To be added to the study.",
        "toml_name": "What if",
        "toml_none": "This is the current plan.",
    }


def _target(made: Results) -> Text:
    if made.study.target_measure == "revenue":
        return message("target {aim:whole}~{cur}", aim=made.study.target, cur=made.study.currency)
    return message("target {aim:whole} wins", aim=made.study.target)


def _frame(made: Results, found: Ingredients) -> dict[str, Text]:
    """What stands on the page before the script runs."""
    study, verdict = made.study, made.verdict
    measure = message("Revenue by period" if found.valued else "Wins by period")
    return {
        "title": message("What if: {name}", name=study.name),
        "when": message(
            "Data through {as_of:through}. Horizon: {horizon}. Set the levers, and every number follows.",
            as_of=study.as_of,
            horizon=horizon_words(study.horizon, study.period),
        ),
        "status": verdict.status,
        "verdict": verdict.sentence,
        "checks": "" if verdict.status == PASS else "The checks behind it stand in report.pdf.",
        "noscript": "This page computes with JavaScript, which is switched off here.",
        "results": "What it brings",
        "figure": measure,
        "figure_alt": message("{measure}, past and forecast; its numbers stand below.", measure=measure),
        "past": message("past"),
        "mean": message("expected"),
        "half": message("50~% band"),
        "eighty": message("80~% band"),
        "ninety": message("90~% band"),
        "band_head": message("80~% band"),
        "at_plan": "expected at the current plan",
        "numbers": "Numbers of the figure",
        "compared": "Compared",
        "apart_note": message(APART),
        "levers": "Levers",
        "reset": "Back to the current plan",
        "recommend": "Spend as recommended",
        "spend_legend": message("Spend over {horizon}", horizon=horizon_words(study.horizon, study.period)),
        "rates_legend": "Rates, all channels together",
        "delays_legend": "Mean time between two stages",
        "other_legend": "Traffic and value",
        "toml_head": "For the study file",
        "toml_text": "What is set here, as the study file has it. The forecast itself is made by a run.",
        "copy": "Copy as TOML",
        "print": "Print",
        "about": "What this page holds",
        "foot": message(
            "Run {run}. Nothing on this page leaves it.", run=str(made.provenance.get("run_id", ""))[:12]
        ),
    }


def _aim(made: Results) -> str:
    """The target's key of the legend, where the figure has one."""
    measure = "revenue" if made.ingredients is not None and made.ingredients.valued else "won"
    if made.study.target_measure != measure:
        return ""
    return f' <span class="k aim">{html.escape(text(message("target a period, on average")))}</span>'


APART = (
    "Expected values, and beneath them their 80~% band: in four cases out of five the number lies in it. The "
    "difference is to the current plan. It holds no chance: its band is what is not known of the company."
)
FROM_DRAWS = (
    "Bands and probabilities come from {n:whole} of the {all:whole} simulated futures of the run, chosen so that they "
    "stand for all. At the current plan, and at the recommended one, they are those of the run; elsewhere an end of a "
    "band may be a few percent off."
)
EXPECTED = (
    "Expected values are computed as the forecast does, draw by draw; on the bundled company revenue and wins stay "
    "within 0.5~% of it. Amounts are shown to three digits."
)
CHANCE = "Chance is that of the run; it grows with the square root of what is expected."
FROM_NOW = (
    "A rate or a time concerns units that enter the stage before from now on. The open pipeline keeps the rates and "
    "times that it has."
)
DIVIDED = (
    "Spend of a channel is divided over the periods as the plan divides it. Beyond what was ever spent, the response "
    "is assumed, not seen."
)
SILENT = "What spend would bring in {names:listed} is not known: there is no lever."
ROOM = (
    "Sales takes {room:exact} a period at most. Who waits is counted here in expected units, without chance."
)
COMING_BACK = "Leads that come back are in every number as the run has them; no lever moves how many."
RECURRING = "What earlier customers go on paying is in revenue as the run has it; no lever moves it."
REFUNDS = "Revenue is net of refunds; their share and delay stay as they are."
MIX = "Rates are those of all leads: a change of their mix by segment is no lever here."
CAC = "CAC is spend over the customers of the horizon's traffic, in the end. How long customers stay is not moved."
CONTRIBUTION = (
    "Eventual contribution is gross margin on all that the horizon's traffic brings in the end, less spend."
)


def _notes(made: Results, found: Ingredients) -> list[Text]:
    """What the page holds, and what it does not; empty where a sentence does not apply."""
    silent = [name for name, yes in zip(found.channels, found.responds, strict=True) if not yes]
    some, room = bool(found.responds.any()), found.economics.capacity
    measures = set(made.forecast["measure"]) if len(made.forecast) else set()

    def only(holds: bool, said: Text) -> Text:
        return said if holds else ""

    return [
        message(FROM_DRAWS, n=found.size, all=made.study.draws or found.size),
        message(EXPECTED),
        CHANCE,
        FROM_NOW,
        only(some, DIVIDED),
        only(some and bool(silent), message(SILENT, names=silent)),
        only(not some, "No spend was recorded: there is nothing to divide."),
        only(room is not None, message(ROOM, room=room)),
        only(any(name.startswith("inflow_") for name in found.draws), COMING_BACK),
        only("recurring" in measures, RECURRING),
        only("refund_share" in found.draws, REFUNDS),
        only(made.segments is not None, MIX),
        only(some, CAC),
        only(found.valued, CONTRIBUTION),
    ]
