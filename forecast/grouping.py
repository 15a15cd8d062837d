"""Several runs as one group: a row a unit, the total with its band, and the correlation that the band rests on.

    unit_record    what of a run the group needs, ready for JSON: numbers, checks, its past, and its futures by period
    grouped        all that is told of a group (group.json)

A unit is a run: a country, a product. Money of another currency is turned by a rate: what one of the unit's is worth in
the group's. Of horizons that differ the total takes the periods that all of them have.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forecast.checks import FAIL, PASS, REVIEW, Check, Verdict, worst
from forecast.coupling import ASSUMED, Correlation, coupled, learnt, residuals
from forecast.errors import DataError
from forecast.history import History
from forecast.periods import parse_period, period_label, period_range, season_of
from forecast.results import LEVELS, Results, summarise
from forecast.saved import NUMBER, OR_NONE
from forecast.words import Message, Name, Text, horizon_words, kept, message, plural, recalled

Array = NDArray[np.float64]
Record = Mapping[str, Any]
MEASURES = ("revenue", "won")
HEADLINE = (
    *("revenue_mean", "revenue_q10", "revenue_q90", "won_mean", "won_q10", "won_q90", "p_target"),
    *("gain_mean", "gain_q10", "gain_q90", "material"),
)
SHAPE = {  # of a record that is read again
    "name": str,
    "run_id": str,
    "currency": str,
    "period": {"month", "week", "quarter"},
    "as_of": str,
    "horizon": [str],
    "target": (dict, type(None)),
    "status": {PASS, REVIEW, FAIL},
    "checks": [object],
    "headline": {str: (*OR_NONE, bool)},
    "moved": OR_NONE,
    "draws": {str: str},
    "past": {"periods": [str], "revenue?": [OR_NONE], "won?": [OR_NONE]},
    "seconds": NUMBER,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- one unit


def unit_record(
    summary: Mapping[str, Any], made: Results, draws: xr.Dataset, history: History, seconds: float
) -> dict[str, Any]:
    """What of a run the group needs. draws: of the given plan, summed over channels, as exact as draws.nc has them."""
    head = summary["headline"]
    table = made.allocation
    moved = None
    if len(table) and head.get("gain_mean") is not None:
        change = table["recommended"] - table["current"]
        moved = (
            float(max(change.clip(lower=0).sum(), -change.clip(upper=0).sum())) if head["material"] else 0.0
        )
    measures = [name for name in MEASURES if name in draws]
    past = {name: history.came(name) for name in measures if name in history.counts}
    return {
        "name": summary["name"],
        "run_id": summary["run_id"],
        "currency": summary["currency"],
        "period": history.period,
        "as_of": summary["as_of"],
        "horizon": list(summary["horizon"]),
        "target": summary["target"],
        "status": made.verdict.status,
        "checks": [kept(check.name) for check in made.verdict.failing],
        "headline": {key: _number(head.get(key)) for key in HEADLINE},
        "moved": moved,
        "draws": {name: _packed(draws[name].values) for name in measures},
        "past": {"periods": list(history.labels)}
        | {name: [_number(x) for x in values] for name, values in past.items()},
        "seconds": seconds,
    }


def _number(value: Any) -> Any:
    """A number as JSON has it; None where there is none."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return None if value is None or not np.isfinite(value) else float(value)


def _packed(draws: Array) -> str:
    """Draws (draw, period) as text: their shape, then single floats, packed."""
    small = np.ascontiguousarray(draws, dtype="<f4")
    return (
        f"{small.shape[0]}x{small.shape[1]}:" + base64.b64encode(zlib.compress(small.tobytes(), 1)).decode()
    )


def _unpacked(text: str) -> Array:
    shape, _, packed = text.partition(":")
    draws, periods = map(int, shape.split("x"))
    content = zlib.decompress(base64.b64decode(packed))
    return np.frombuffer(content, dtype="<f4").reshape(draws, periods).astype(float)


# --------------------------------------------------------------------------------------------------------- the group


def grouped(
    records: Sequence[Record],
    failed: Sequence[Record],
    *,
    currency: str,
    rates: Mapping[str, float],
    correlation: float | None,
    seed: int,
) -> dict[str, Any]:
    """All that is told of a group: see the module. correlation: in place of what the pasts teach.

    failed: name, exit_code and error of units that are left out. Raises DataError for units whose periods have nothing
    in common.
    """
    labels = common_periods(records)
    factors = [1.0 if r["currency"] == currency else rates[r["currency"]] for r in records]
    measures = [m for m in MEASURES if all(m in r["draws"] for r in records)]
    lead = measures[0]
    draws = {m: [_draws(r, m, labels, f) for r, f in zip(records, factors, strict=True)] for m in measures}
    found = _correlation(records, lead, factors, correlation)
    orders = _orders(draws[lead], found.value, seed)
    target, why = _target(records, factors, labels)
    totals = {m: _sum(draws[m], orders) for m in measures}
    units = [_unit(r, f, lead) for r, f in zip(records, factors, strict=True)]
    told = {
        "name": "group",
        "as_of": max(records, key=lambda r: parse_period(r["as_of"], r["period"]))["as_of"],
        "period": records[0]["period"],
        "horizon": labels,
        "currency": currency,
        "rates": {r["currency"]: rates[r["currency"]] for r in records if r["currency"] != currency},
        "measure": lead,
        "target": target,
        "no_target": why,
        "verdict": verdict_of(records, failed),
        "headline": _headline(totals, target, units, failed),
        "correlation": _told(found, records),
        "bands": _bands(draws[lead], lead, found.value, seed),
        "units": units,
        "failed": [dict(each) for each in failed],
        "totals": [row for m in measures for row in _rows(totals[m], m, labels)],
        "history": _history(records, lead, factors),
    }
    return {"run_id": _id(records, told), **told}


def _id(records: Sequence[Record], told: Mapping[str, Any]) -> str:
    """sha256 over the runs of the group and what was asked of their total."""
    made_from = [[r["run_id"] for r in records], told["correlation"]["value"], told["rates"], told["horizon"]]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def common_periods(records: Sequence[Record], *, ran: bool = True) -> list[str]:
    """The periods that all horizons have; of no records none. Raises DataError, naming the units, where there is none.

    records: name, period and horizon of each. ran: whether the units' own runs are written already.
    """
    if not records:
        return []
    kind = records[0]["period"]
    for other in records:
        if other["period"] != kind:
            raise DataError(
                message(
                    "{name} counts by {came:word}, and {first} by {kind:word}: a group has periods of one kind",
                    name=other["name"], came=other["period"], first=records[0]["name"], kind=kind,
                )
            )  # fmt: skip
    shared = [label for label in records[0]["horizon"] if all(label in r["horizon"] for r in records)]
    if not shared:
        spans = [
            message("{name} {when}", name=r["name"], when=horizon_words(r["horizon"], r["period"]))
            for r in (
                min(records, key=lambda r: r["horizon"][-1]),
                max(records, key=lambda r: r["horizon"][0]),
            )
        ]
        if ran:
            raise DataError(
                message(
                    "the horizons of the units have no period in common ({spans:list}): end their histories with the "
                    "same period (history.through), or leave some out; the units' own runs are written",
                    spans=spans,
                )
            )
        raise DataError(
            message(
                "the horizons of the units have no period in common ({spans:list}): end their histories with the same "
                "period (history.through), or leave some out; nothing has run",
                spans=spans,
            )
        )
    return shared


def _draws(record: Record, measure: str, labels: Sequence[str], factor: float) -> Array:
    """Draws of a unit (draw, common period), money in the group's currency."""
    place = [record["horizon"].index(label) for label in labels]
    return _unpacked(record["draws"][measure])[:, place] * (factor if measure == "revenue" else 1.0)


def _orders(draws: Sequence[Array], correlation: float, seed: int) -> list[NDArray[np.int64]]:
    return coupled([each.sum(axis=1) for each in draws], correlation, np.random.default_rng([seed, 18]))


def _sum(draws: Sequence[Array], orders: Sequence[NDArray[np.int64]]) -> Array:
    """The total (draw, period) of units whose futures stand in these orders."""
    return np.sum([each[order] for each, order in zip(draws, orders, strict=True)], axis=0)


def _correlation(
    records: Sequence[Record], measure: str, factors: Sequence[float], asked: float | None
) -> Correlation:
    if asked is not None:
        return Correlation(asked, "given")
    kind = records[0]["period"]
    starts, series = _pasts(records, measure, factors)
    seasons = season_of(starts, kind)
    halves = []
    for i, record in enumerate(records):
        won = np.array([np.nan if x is None else x for x in record["past"].get("won", [])])
        worth = np.nansum(series[i]) / max(np.nansum(won), 1.0) if measure == "revenue" else 1.0
        halves.append(0.5 * float(worth))
    return learnt([residuals(y, half, seasons, kind) for y, half in zip(series, halves, strict=True)], kind)


def _pasts(records: Sequence[Record], measure: str, factors: Sequence[float]) -> tuple[Any, Array]:
    """First days of all periods that any unit knows, and each unit's outcome over them, NaN where it is not known."""
    kind = records[0]["period"]
    known = [[parse_period(label, kind) for label in r["past"]["periods"]] for r in records]
    starts = period_range(min(each[0] for each in known), max(each[-1] for each in known), kind)
    place = {start: i for i, start in enumerate(starts)}
    series = np.full((len(records), len(starts)), np.nan)
    for i, (record, own, factor) in enumerate(zip(records, known, factors, strict=True)):
        for start, x in zip(own, record["past"].get(measure, []), strict=False):
            if x is not None:
                series[i, place[start]] = x * (factor if measure == "revenue" else 1.0)
    return starts, series


def _history(records: Sequence[Record], measure: str, factors: Sequence[float]) -> list[dict[str, Any]]:
    """The sum of the units' pasts, where all of them are known."""
    starts, series = _pasts(records, measure, factors)
    kind, whole = records[0]["period"], series.sum(axis=0)
    rows = [(period_label(start, kind), float(x)) for start, x in zip(starts, whole, strict=True)]
    return [{"period": label, "measure": measure, "value": x} for label, x in rows if np.isfinite(x)]


def _target(
    records: Sequence[Record], factors: Sequence[float], labels: Sequence[str]
) -> tuple[dict[str, Any] | None, Message | None]:
    """The sum of the units' targets, or why there is none."""
    without = [r["name"] for r in records if r["target"] is None]
    if without:
        said = "There is no target of the group: {names:list.5} set none."
        return None, message(said, names=without)
    if len({r["target"]["measure"] for r in records}) > 1:
        return None, message("There is no target of the group: some are of revenue, others of wins.")
    if any(list(r["horizon"]) != list(labels) for r in records):
        return None, message("There is no target of the group: the units' targets are of different periods.")
    measure = records[0]["target"]["measure"]
    amounts = [
        r["target"]["amount"] * (f if measure == "revenue" else 1.0)
        for r, f in zip(records, factors, strict=True)
    ]
    return {"measure": measure, "amount": float(sum(amounts))}, None


def verdict_of(records: Sequence[Record], failed: Sequence[Record]) -> Verdict:
    """A check a unit that is not as it should be."""
    checks = []
    for each in failed:
        value = message("exit code {code}: {error:clean}", code=each["exit_code"], error=each["error"])
        advice: Text = message("It is left out of every number: mend it and run the same command again.")
        checks.append(Check(Name(each["name"]), FAIL, value, advice, plain=_named(each["name"], value)))
    for r in records:
        names = _checks(r)
        value = message("{names:list.4}", names=names) if names else message("nothing to look at")
        where: Text = (
            message("Its own report is in {folder}/.", folder=r["name"]) if r["status"] != PASS else ""
        )
        checks.append(Check(Name(r["name"]), r["status"], value, where, plain=_named(r["name"], value)))
    n = len(records) + len(failed)
    status = worst([FAIL] * bool(failed) + [r["status"] for r in records])
    looked_at = sum(r["status"] != PASS for r in records)
    if failed:
        said = plural(
            "{n:whole} of {all:whole} units failed and is in no number of this group.",
            "{n:whole} of {all:whole} units failed and are in no number of this group.",
            n=len(failed),
            all=n,
        )
    elif looked_at:
        said = plural(
            "{n:whole} of {all:whole} units wants a look.", "{n:whole} of {all:whole} units want a look.",
            n=looked_at, all=n,
        )  # fmt: skip
    else:
        said = message("Nothing of the units has to be looked at.")
    return Verdict(status, said, checks)


def _checks(record: Record) -> list[Message]:
    """The checks that a unit did not pass, by their names, which are words of ours."""
    return [message("{name:word}", name=name) for name in recalled(record["checks"])]


def _named(name: str, value: Message) -> Message:
    return message("{name}: {value}", name=Name(name), value=value)


def _turned(x: float | None, measure: str, factor: float) -> float | None:
    """A number of a unit in the group's currency; wins are wins."""
    return None if x is None else x * (factor if measure == "revenue" else 1.0)


def _unit(record: Record, factor: float, lead: str) -> dict[str, Any]:
    """The row of a unit, money in the group's currency."""
    head = record["headline"]
    money = {key: head[key] for key in HEADLINE if key.startswith(("revenue", "gain"))} | {
        "moved": record["moved"]
    }
    target, own = record["target"], head["revenue_mean"]
    aim = None if target is None else target["amount"] * (factor if target["measure"] == "revenue" else 1.0)
    return {
        "unit": record["name"],
        "measure": lead,
        **{end: _turned(head[f"{lead}_{end}"], lead, factor) for end in ("mean", "q10", "q90")},
        "won_mean": head["won_mean"],
        "target": aim,
        "target_measure": None if target is None else target["measure"],
        "p_target": head["p_target"],
        "status": record["status"],
        **{key: None if x is None else x * factor for key, x in money.items() if key in ("moved", "gain_mean")},
        "look_at": message("{names:list.4}", names=_checks(record)) if record["checks"] else "",
        "as_of": record["as_of"],
        "first": record["horizon"][0],
        "last": record["horizon"][-1],
        "currency": record["currency"],
        "rate": factor,
        "own_mean": own,
        "run_id": record["run_id"],
        "folder": record["name"],
    }  # fmt: skip


def _headline(
    totals: Mapping[str, Array],
    target: Mapping[str, Any] | None,
    units: Sequence[Record],
    failed: Sequence[Record],
) -> dict[str, Any]:
    """Totals over the horizon, P(target), and how many units they are of."""
    found: dict[str, Any] = {"units": len(units), "failed": len(failed)}
    for measure, draws in totals.items():
        whole = summarise(draws.sum(axis=1))
        found |= {f"{measure}_{key}": float(whole[key]) for key in ("mean", "sd", "q10", "q50", "q90")}
    p = gap = None
    if target is not None and target["measure"] in totals:
        draws = totals[target["measure"]].sum(axis=1)
        p, gap = float((draws >= target["amount"]).mean()), float(target["amount"] - draws.mean())
    moved = [unit["moved"] for unit in units if unit["moved"] is not None]
    return found | {"p_target": p, "gap": gap, "moved": float(sum(moved)) if moved else None}


def _rows(total: Array, measure: str, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The total by period and over the horizon: mean, sd and quantiles."""
    found = summarise(np.concatenate([total, total.sum(axis=1, keepdims=True)], axis=1))
    return [
        {"period": label, "channel": "total", "measure": measure}
        | {key: float(found[key][i]) for key in ("mean", "sd", *LEVELS)}
        for i, label in enumerate([*labels, "total"])
    ]


def _bands(draws: Sequence[Array], measure: str, correlation: float, seed: int) -> list[dict[str, Any]]:
    """The total over the horizon at other correlations: how much the band rests on it."""
    rows = []
    for value in sorted({0.0, correlation, 0.5, 1.0}):
        whole = summarise(_sum(draws, _orders(draws, value, seed)).sum(axis=1))
        rows.append(
            {"correlation": value, "used": value == correlation, "measure": measure}
            | {k: float(whole[k]) for k in ("mean", "sd", "q10", "q90")}
        )
    return rows


def _told(found: Correlation, records: Sequence[Record]) -> dict[str, Any]:
    pairs = [
        {"unit": records[a]["name"], "other": records[b]["name"], "correlation": r, "periods": n}
        for a, b, r, n in found.pairs
    ]
    known = ("value", "how", "raw", "error", "weight", "periods", "units")
    return {key: getattr(found, key) for key in known} | {"assumed": ASSUMED, "pairs": pairs}
