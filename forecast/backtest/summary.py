"""What the records of a backtest add up to: tables of scores, and the gate.

    methods   by measure: the forecast and each baseline on the total of the horizon, all channels together
    detail    by measure: each step ahead, and each channel; pooled over what is not named
    rows      by origin: the headline as it was forecast then, and what came
    gate      named checks, PASS / REVIEW / FAIL, and whether a threshold was missed

A threshold that is missed is a REVIEW where chance alone may explain it, a FAIL where it hardly can.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc, ndtr

from forecast.backtest import scores
from forecast.checks import FAIL, PASS, REVIEW, Check, worst
from forecast.columns import TABLES, origins
from forecast.errors import DataError
from forecast.saved import BACKTEST, NUMBER, OR_NONE, SpoiltError, read_saved, spoilt
from forecast.study import BASELINE_NAMES, GUESSES, GateSpec
from forecast.tables import Table
from forecast.words import Text, filed, kept, message

Array = NDArray[np.float64]
Judged = tuple[Check, bool]  # and whether a threshold was missed

FORECAST = "forecast"
FEW = 4  # independent outcomes below which nothing can be said
HARDLY = 0.001  # probability below which chance does not explain a missed coverage
CLEARLY = 2.0  # standard errors by which a missed skill or bias is more than chance

_SCORES = {"outcomes": int, "crps": NUMBER, "relative": OR_NONE, "wis": NUMBER, "bias": OR_NONE}
_BAND = dict.fromkeys(("share", "inside", "outcomes", "independent", "least", "most"), OR_NONE)
SUMMARY = {  # what a summary that is read again must be: `saved.amiss`
    **dict.fromkeys(
        ("name", "currency", "period", "as_of", "spend", "method", "measure", "data", "study"), str
    ),
    **dict.fromkeys(("horizon", "every", "draws", "seed"), int),
    "paid": bool,
    "baselines": [str],
    "left_out": [str],
    "model": [int],
    "origins": [str],
    "independent": NUMBER,
    "methods": [
        {
            "measure": str,
            "method": str,
            "skill?": OR_NONE,
            "skill_se?": OR_NONE,
            "bias_se": OR_NONE,
            "pit": [NUMBER],
        }
        | _SCORES
        | dict.fromkeys(scores.BANDS, _BAND)
    ],
    "detail": [{"measure": str, "part": str, **_SCORES, **dict.fromkeys(scores.BANDS, OR_NONE)}],
    "rows": [
        {
            "origin": str,
            "first": str,
            "last": str,
            "mean": NUMBER,
            "came": NUMBER,
            "crps": NUMBER,
            "pit": NUMBER,
        }
        | dict.fromkeys(scores.QUANTILES, NUMBER)
        | dict.fromkeys(scores.BANDS, (bool, *OR_NONE))
    ],
    "gate": {
        "status": {PASS, REVIEW, FAIL},
        "missed": [str],
        "checks": [
            dict.fromkeys(("name", "value", "threshold", "advice"), str)
            | {"status": {PASS, REVIEW, FAIL, "UNKNOWN"}, "missed": bool}
        ],
    },
    "sampling": dict,
}


def summary_of(
    records: Sequence[Mapping[str, Any]], context: Mapping[str, Any], gate: GateSpec
) -> dict[str, Any]:
    """backtest.json: see the module. `context`: how the backtest was made (`backtest.running.run_backtest`)."""
    frame = tidy(records)
    asked, horizon, every = str(context["measure"]), int(context["horizon"]), int(context["every"])
    company = frame[(frame["period"] == "total") & (frame["channel"] == "total")]
    if company.empty:
        raise DataError(
            "a backtest needs one origin at least whose horizon is known whole, and there is none: "
            "fill the empty cells of the last periods in, or end the history before them (history.through)"
        )
    known = set(company["measure"])
    measure = next((m for m in (asked, "won") if m in known), str(company["measure"].iloc[0]))
    judged = company[company["measure"] == measure]
    worth = scores.independent(len(judged), every, horizon)
    methods = _methods(company, records, worth)
    own = next(m for m in methods if m["method"] == FORECAST and m["measure"] == measure)
    against = [m for m in methods if m["measure"] == measure]
    checks = _gate(own, against, gate)
    if (fair := _fair(against, gate)) is not None:
        checks.append(fair)
    whole = int((company["measure"] == asked).sum())
    if whole < len(records):
        checks.insert(0, _unknown(asked, measure, whole, len(records)))
    return {
        "schema": BACKTEST,
        **context,
        "measure": measure,
        "origins": [str(r["origin"]) for r in records],
        "independent": worth,
        "methods": methods,
        "detail": _detail(frame, horizon),
        "rows": _rows(frame, judged),
        "gate": {
            "status": worst(check.status for check, _ in checks),
            "missed": [filed(check.name) for check, missed in checks if missed],
            "checks": [
                check.told() | {"missed": missed, "texts": kept_check(check)} for check, missed in checks
            ],
        },
        "sampling": _sampling(records),
    }


def kept_check(check: Check) -> dict[str, Any]:
    """The texts of a check as data, for a reader of another language."""
    return {name: kept(getattr(check, name)) for name in ("name", "value", "threshold", "advice")}


def summary_tables(
    measure: str, rows: Sequence[Mapping[str, Any]], methods: Sequence[Mapping[str, Any]]
) -> list[Table]:
    """The headline by origin, and every method's scores, of the `rows` and `methods` of a summary."""
    flat = [
        {key: found["share"] if isinstance(found, Mapping) else found for key, found in row.items()}
        for row in methods
    ]
    return [
        Table("origins", "Backtest", origins(measure), pd.DataFrame(list(rows))),
        Table("methods", *TABLES["methods"], pd.DataFrame(flat)),
    ]


def tidy(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """backtest.csv and, of totals, backtest_totals.csv: a row per origin, period (or "total"), channel (or "total") and
    measure.

    horizon: periods ahead, of the total all of them. crps_<baseline>: of the total of the horizon, where it was made.
    Rows of which nothing came are left out.
    """
    frames = []
    for record in records:
        frame = pd.DataFrame(record["cells"], columns=record["columns"])
        periods = [p for p in dict.fromkeys(frame["period"]) if p != "total"]
        ahead = {p: i for i, p in enumerate(periods, start=1)} | {"total": len(periods)}
        frame.insert(0, "horizon", frame["period"].map(ahead))
        frame.insert(0, "origin", record["origin"])
        for name, (low, high) in scores.BANDS.items():
            held = (frame[low] <= frame["came"]) & (frame["came"] <= frame[high])
            frame[name] = held.astype(float).where(frame["came"].notna())
        keys = list(zip(frame["channel"], frame["measure"], strict=True))
        made = [record["baselines"].get(channel, {}).get(measure, {}) for channel, measure in keys]
        for name in _names(records):
            values = pd.Series([found.get(name, {}).get("crps", math.nan) for found in made], dtype=float)
            frame[f"crps_{name.replace(' ', '_')}"] = values.where(frame["period"] == "total")
        frames.append(frame)
    everything = pd.concat(frames, ignore_index=True)
    return everything[everything["came"].notna()].reset_index(drop=True)


def _names(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of all baselines that any origin has."""
    found = {n for r in records for ms in r["baselines"].values() for made in ms.values() for n in made}
    return [name for name in (*BASELINE_NAMES, *GUESSES) if name in found]


def _methods(whole: pd.DataFrame, records: Sequence[Mapping[str, Any]], worth: float) -> list[dict[str, Any]]:
    """Rows by measure and method, totals over horizon and channels; skill: of the forecast against that baseline."""
    rows = []
    for measure in dict.fromkeys(whole["measure"]):
        mine = whole[whole["measure"] == measure].set_index("origin")
        rows.append({"measure": measure, "method": FORECAST, **_scored(mine, worth)})
        for name in _names(records):
            made = {
                r["origin"]: r["baselines"]["total"][measure][name]
                for r in records
                if name in r["baselines"]["total"].get(measure, {}) and r["origin"] in mine.index
            }
            if not made:
                continue
            theirs = pd.DataFrame(made).T
            theirs["came"] = mine["came"].reindex(theirs.index)
            ours = mine.reindex(theirs.index)
            against = scores.skill(ours["crps"].to_numpy(), theirs["crps"].to_numpy(), worth)
            share = worth * len(theirs) / len(mine)
            rows.append(
                {"measure": measure, "method": name, **_scored(theirs, share)}
                | {"skill": against["skill"], "skill_se": against["se"]}
            )
    return rows


def _scored(frame: pd.DataFrame, worth: float | None) -> dict[str, Any]:
    """CRPS, WIS, bias, coverage of forecasts beside what came; `relative` is CRPS over the mean of what came."""
    came, mean = frame["came"].to_numpy(float), frame["mean"].to_numpy(float)
    crps = frame["crps"].to_numpy(float)
    usual = float(np.abs(came).mean())
    found: dict[str, Any] = {
        "outcomes": int(came.size),
        "crps": float(crps.mean()),
        "relative": float(crps.mean()) / usual if usual else math.nan,
        "wis": float(frame["wis"].mean()),
        "bias": scores.bias(mean, came),
        "bias_se": _bias_error(mean, came, worth),
        "pit": scores.histogram(frame["pit"].to_numpy(float)),
    }
    for name, (low, high) in scores.BANDS.items():
        inside = ((came >= frame[low].to_numpy(float)) & (came <= frame[high].to_numpy(float))).astype(float)
        found[name] = scores.coverage(inside, scores.LEVELS[name], worth)
    return found


def _bias_error(mean: Array, came: Array, worth: float | None) -> float:
    """Standard error of the bias, from the scatter of the errors over origins."""
    if came.size < 2 or not came.sum() > 0:
        return math.nan
    size = min(worth or came.size, came.size)
    return float((mean - came).std(ddof=1) / math.sqrt(size) / came.mean())


def _detail(frame: pd.DataFrame, horizon: int) -> list[dict[str, Any]]:
    """Rows by measure: the company by step ahead, and each channel over the whole horizon."""
    company = frame[frame["channel"] == "total"]
    groups: list[tuple[str, pd.DataFrame]] = [
        (f"step {step}", company[(company["horizon"] == step) & (company["period"] != "total")])
        for step in range(1, horizon + 1)
    ]
    totals = frame[(frame["period"] == "total") & (frame["channel"] != "total")]
    groups += [
        (f"channel {name}", totals[totals["channel"] == name]) for name in dict.fromkeys(totals["channel"])
    ]
    groups.append(("each channel", totals))
    rows = []
    for name, group in groups:
        for measure in dict.fromkeys(group["measure"]):
            mine = group[group["measure"] == measure]
            row = _scored(mine, None)
            rows.append(
                {"measure": measure, "part": name}
                | {k: row[k] for k in ("outcomes", "crps", "relative", "wis", "bias")}
                | {band: row[band]["share"] for band in scores.BANDS}
            )
    return rows


def _rows(frame: pd.DataFrame, chosen: pd.DataFrame) -> list[dict[str, Any]]:
    """The headline by origin: what was forecast then, and what came."""
    last = frame[frame["period"] != "total"].groupby("origin", sort=False)["period"].agg(["first", "last"])
    columns = ["origin", "mean", *scores.QUANTILES, "came", "crps", "pit", *scores.BANDS]
    return [
        {str(k): v for k, v in row.items()}
        | {"first": last.loc[row["origin"], "first"], "last": last.loc[row["origin"], "last"]}
        for row in chosen[columns].to_dict("records")
    ]


def _sampling(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How the fits went, worst of all origins; empty where nothing was sampled."""
    found = [(r["origin"], r["sampling"]) for r in records if r["sampling"]]
    if not found:
        return {}
    return {
        "max_rhat": max(s["max_rhat"] for _, s in found),
        "divergences": sum(s["divergences"] for _, s in found),
        "again": [o for o, s in found if s["again"]],
        "failures": [f"{o}: {text}" for o, s in found for text in s["failures"]],
    }


# --------------------------------------------------------------------------------------------------------- gate


def _gate(own: Mapping[str, Any], methods: Sequence[Mapping[str, Any]], gate: GateSpec) -> list[Judged]:
    """The checks of the gate on the totals of the headline measure."""
    band = own["inside80"]
    checks = [_enough(band), _coverage(band, gate), _skill(methods, gate)]
    if gate.bias is not None:
        checks.append(_bias(own, gate.bias))
    return checks


def _check(
    name: Text, value: Text, threshold: Text, status: str, advice: Text, *, missed: bool = False
) -> Judged:
    """A check, which has no advice where it passed, and whether a threshold was missed."""
    return Check(name, status, value, "" if status == PASS else advice, threshold), missed


def _unknown(asked: str, judged: str, known: int, origins: int) -> Judged:
    """What came is not known whole at some origins: a sum with a part of it missing is none."""
    text = "{asked:stage} of {known} of {n} origins is known whole"
    if judged != asked:
        text = "{asked:stage} of {known} of {n} origins is known whole; judged by {judged:stage}"
    advice = "fill in the amounts of the deals, and the cells, that are empty: a part is not what came"
    value = message(text, asked=asked, known=known, n=origins, judged=judged)
    return _check("what came is known", value, "all", REVIEW, advice)


def _enough(band: Mapping[str, Any]) -> Judged:
    size = int(band["independent"])
    advice = "so few outcomes can show that bands are far off, not that they are right"
    least = message("at least {least:whole}", least=FEW)
    return _check(
        "independent outcomes", message("{n:whole}", n=size), least, PASS if size >= FEW else REVIEW, advice
    )


def _coverage(band: Mapping[str, Any], gate: GateSpec) -> Judged:
    """The share inside the 80 % band against the study's limits, or the exact binomial region."""
    least = band["least"] if gate.least is None else gate.least
    most = band["most"] if gate.most is None else gate.most
    share, size = band["share"], int(band["independent"])
    hits = share * size
    missed = bool(share < least - 1e-12 or share > most + 1e-12)
    low = share < least
    bar = (gate.least if low else gate.most) if missed else None
    level = band["level"] if bar is None else bar
    p = bdtr(math.floor(hits + 1e-9), size, level) if low else bdtrc(math.ceil(hits - 1e-9) - 1, size, level)
    status = PASS if not missed else FAIL if p < HARDLY else REVIEW
    narrow = "in the past the bands were too narrow: what was called four cases in five was not"
    return _check(
        message("coverage of the 80~% band"),
        message("{inside:whole} of {outcomes:whole} inside", **band),
        message("{least:.0%} to {most:.0%}", least=least, most=most),
        status,
        narrow if low else "in the past the bands were too wide",
        missed=missed,
    )


def _skill(methods: Sequence[Mapping[str, Any]], gate: GateSpec) -> Judged:
    """Skill against the study's baseline, with its standard error."""
    found = next((m for m in methods if m["method"] == gate.against), None)
    name = message("skill against {against:word}", against=gate.against)
    bar = message("at least {least:.2f}", least=gate.skill)
    if found is None or not math.isfinite(found["skill"]):
        return _check(name, "not known", bar, REVIEW, "the baseline could not be made at these origins")
    value, error = found["skill"], found["skill_se"]
    missed = bool(value < gate.skill)
    clear = math.isfinite(error) and value + CLEARLY * error < gate.skill
    status = PASS if not missed else FAIL if clear else REVIEW
    said = "{value:.2f} ± {error:.2f}" if math.isfinite(error) else "{value:.2f}"
    worse = "totals were forecast no better than by {against:word}: use the forecast for what it takes apart"
    advice = message(worse, against=gate.against)
    return _check(name, message(said, value=value, error=error), bar, status, advice, missed=missed)


def _fair(methods: Sequence[Mapping[str, Any]], gate: GateSpec) -> Judged | None:
    """Skill with the spend that could be planned then, the better of the plans; nothing where it is what was tested."""
    made = {str(m["method"]): m for m in methods}
    guesses, simple = [made[name] for name in GUESSES if name in made], made.get(gate.against)
    alike = [m for m in guesses if simple is not None and m["outcomes"] == simple["outcomes"]]
    if simple is None or not alike or not simple["crps"] > 0:
        return None
    best = min(alike, key=lambda m: float(m["crps"]))
    value = 1.0 - best["crps"] / simple["crps"]
    advice = (
        "the forecast was given the spend that came, which no method knew then: what it can do without is this; plan "
        'the spend (a CSV, or plan.spend = "last year") and look again with --spend planned'
    )
    plan, bar = str(best["method"]).split(", ")[1], gate.skill
    named = message("skill against {name}, with {plan}", name=gate.against, plan=plan)
    status = PASS if value >= bar else REVIEW
    return _check(named, message("{x:.2f}", x=value), message("at least {x:.2f}", x=bar), status, advice)


def _bias(own: Mapping[str, Any], bar: float) -> Judged:
    """Bias of the mean over all origins."""
    value, error = own["bias"], own["bias_se"]
    missed = bool(not abs(value) <= bar)
    p = 2 * ndtr((bar - abs(value)) / error) if math.isfinite(error) and error > 0 else 1.0
    status = PASS if not missed else FAIL if p < 2 * ndtr(-CLEARLY) else REVIEW
    way = "below" if value > 0 else "above"
    advice = f"forecasts lay {way} what came: take that off, and find out which stage it is (forecast score)"
    said, within = message("{x:+.1%}", x=value), message("within {x:exact_percent}", x=bar)
    return _check("bias", said, within, status, advice, missed=missed)


def read_summary(path: Path) -> dict[str, Any]:
    """backtest.json as it was written. Raises DataError for a file that is damaged, changed or of another version."""
    remedy = "delete it, or run `forecast backtest` again"
    found = read_saved(path, BACKTEST, SUMMARY, remedy)
    own = [m for m in found["methods"] if m["method"] == FORECAST and m["measure"] == found["measure"]]
    if not own:
        raise spoilt(path, SpoiltError("it has no score of the forecast"), remedy)
    return found


def calibration_of(summary: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the verdict of a run takes from a backtest: outcomes of the headline inside their 80 % band."""
    if not summary:
        return None
    own = next(
        m for m in summary["methods"] if m["method"] == FORECAST and m["measure"] == summary["measure"]
    )
    band = own["inside80"]
    return {
        "inside": band["inside"],
        "outcomes": band["outcomes"],
        "independent": band["independent"],
        "method": summary["method"],
    }
