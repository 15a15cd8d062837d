"""How a run stands against its plan, by what has come: what a controller asks of it, as numbers.

    headline   plan, actual, difference = actual - plan (so everywhere), the band, and where the actual fell in it
    spend      planned and recorded, by period and channel
    running    where only a part of the horizon has come: what has come, what is open, the whole then and now
    to_come    what was planned for the periods that have not come
    revision   how far the forecast of the horizon after it is likely to move until this one is over
    year       what came of the calendar year, and the rest of it as known now
    following  the next horizon, as known now
    goals      the study's dated goals, as known now
    earlier    the last horizons: as forecast then, and what came

What is still to come is forecast from the history as it is now, by the preview (`fit.preview`): every number that rests
on it stands under `rest_by`. A sum of which a part is not known is null, never the part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forecast.backtest.ahead import Ahead, band, look_ahead, revision
from forecast.backtest.running import run_backtest
from forecast.backtest.scores import BANDS, QUANTILES
from forecast.backtest.summary import tidy
from forecast.errors import DataError, StudyError
from forecast.fit import DEFAULT_SEED, Posterior
from forecast.history import History
from forecast.outlook import in_total, open_units
from forecast.periods import parse_period, period_index, period_label, period_range, shift
from forecast.study import GoalSpec, Study

Array = NDArray[np.float64]
Row = dict[str, Any]

MOST_AHEAD = 60  # periods after the history that are looked at
BLOCKS = 8  # horizons as forecast then, the scored one among them


def account_of(
    study: Study,
    history: History,
    posterior: Posterior,
    run: Mapping[str, Any],
    outlook: xr.Dataset,
    found: Mapping[str, Any],
    *,
    seed: int = DEFAULT_SEED,
) -> dict[str, Any]:
    """What `found` (of `score_outlook`) means, and what is still to come; see the module.

    posterior: of the history as it is now. run: its summary. outlook: of the plan that was followed, (draw, period,
    channel).
    """
    come, horizon = list(found["come"]), list(found["horizon"])
    target = target_of(run, study, horizon)
    measure = headline_measure(found["scores"], target)
    left, year = len(horizon) - len(come), _of_year(history)
    after = len(horizon) if left else study.plan.periods
    goals = [(goal, *_window(goal, history, run, study)) for goal in study.goals]
    furthest = max([left + after, len(year["rest"]), *(last + 1 for *_, last in goals if last < MOST_AHEAD)])
    kept = _kept(history, outlook, len(come))
    coming = look_ahead(study, history, posterior, kept, min(furthest, MOST_AHEAD), seed=seed)
    measures = [m for m in ("won", "revenue") if m in coming.draws and m in outlook and m in history.counts]
    lead = measure if measure in measures else (measures or [""])[-1]
    own = study.plan.target
    told: dict[str, Any] = {
        "status": str(run.get("verdict", {}).get("status", "")),
        "headline": None if measure is None else headline(found["scores"], measure),
        "target": None if target is None else _against(target, outlook, found["scores"], left),
        "spend": spend_rows(outlook, history, come),
        "to_come": [] if measure is None else to_come(outlook, measure, horizon, len(come)),
        "rest_by": "preview",
        "rest_spend": coming.spend,
        "running": None,
        "revision": None,
    }
    if left and lead:
        told["running"] = running(coming, outlook, history, found, measures, target)
        later = slice(left, left + after)
        told["revision"] = {"periods": coming.labels[later], "measure": lead} | revision(
            coming, left, later, lead
        )
    following = slice(left, left + after)
    amount = own.amount if own is not None and not left and own.measure == lead else None
    told["following"] = {"periods": coming.labels[following], "target": amount, "measure": lead} | {
        "p": None if amount is None else float((coming.total(lead, following) >= amount).mean()),
        "rows": [{"measure": m} | band(coming.total(m, following)) for m in measures],
    }
    told["year"] = year | {"rows": [_year_row(coming, history, year, m) for m in measures]}
    told["goals"] = [row for each in goals if (row := goal_row(coming, history, *each)) is not None]
    return told


def to_come(outlook: xr.Dataset, measure: str, horizon: Sequence[str], come: int) -> list[Row]:
    """What was planned of a measure for the periods that are still to come, all channels."""
    draws = np.asarray(outlook[measure].values, dtype=float).sum(axis=2)
    named = {"measure": measure, "channel": "total"}
    return [named | {"period": horizon[i]} | band(draws[:, i]) for i in range(come, len(horizon))]


def target_of(run: Mapping[str, Any], study: Study, horizon: Sequence[str]) -> Row | None:
    """The target of the run's horizon: as its summary has it, else the study's where it is the study of the run."""
    told = run.get("target")
    if isinstance(told, Mapping):
        return dict(told)
    own = study.plan.target
    alike = study.name == run["name"] and study.plan.periods == len(horizon)
    return {"measure": own.measure, "amount": own.amount} if own is not None and alike else None


def headline_measure(rows: Sequence[Mapping[str, Any]], target: Mapping[str, Any] | None) -> str | None:
    """What it is judged by: the target's measure, or revenue, or wins, or the last stage that is known whole."""
    known = [row["measure"] for row in rows if row["period"] == row["channel"] == "total"]
    asked = [*([] if target is None else [str(target["measure"])]), "revenue", "won", *known[::-1]]
    return next((measure for measure in asked if measure in known), None)


def headline(rows: Sequence[Mapping[str, Any]], measure: str) -> Row:
    """Plan and actual of a measure over all that has come."""
    row = next(r for r in rows if r["measure"] == measure and r["period"] == r["channel"] == "total")
    return compared(measure, row["mean"], row["came"]) | {k: row[k] for k in (*QUANTILES, "pit", *BANDS)}


def compared(measure: str, plan: float, actual: float) -> Row:
    """Plan, actual and their difference, with its share of the plan (null of nothing)."""
    share = (actual - plan) / plan if plan else None
    return {"measure": measure, "plan": plan, "actual": actual, "difference": actual - plan, "share": share}


def spend_rows(outlook: xr.Dataset, history: History, come: Sequence[str]) -> list[Row]:
    """Spend planned and recorded by period and channel and in total; nothing where there never was any."""
    names = list(dict.fromkeys([*map(str, outlook["channel"].values), *history.channels]))
    start, shape = history.labels.index(come[0]), (len(come), len(names))
    plan, spent = np.zeros(shape), np.zeros(shape)
    planned = np.asarray(outlook["spend"].values, dtype=float)[:, : len(come)].mean(axis=0)
    plan[:, [names.index(str(name)) for name in outlook["channel"].values]] = planned
    spent[:, [names.index(name) for name in history.channels]] = history.spend[start : start + len(come)]
    used = np.flatnonzero((plan + spent).any(axis=0))
    if not used.size:
        return []
    plan, spent = (in_total(np.vstack([each[:, used], each[:, used].sum(axis=0)])) for each in (plan, spent))
    return [
        {"period": period, "channel": channel} | compared("spend", float(plan[i, j]), float(spent[i, j]))
        for i, period in enumerate([*come, "total"])
        for j, channel in enumerate([*(names[k] for k in used), "total"])
    ]


def _against(target: Row, outlook: xr.Dataset, rows: Sequence[Mapping[str, Any]], left: int) -> Row:
    """The target: how likely it was as planned; where the horizon is over, whether it was met, and by how much."""
    measure, amount = str(target["measure"]), float(target["amount"])
    told: Row = {"measure": measure, "amount": amount, "p_planned": None, "met": None, "difference": None}
    if measure in outlook:
        told["p_planned"] = float((_all(outlook, measure) >= amount).mean())
    whole = [r["came"] for r in rows if r["measure"] == measure and r["period"] == r["channel"] == "total"]
    if whole and not left:
        told |= {"met": bool(whole[0] >= amount), "difference": whole[0] - amount}
    return told


def _all(outlook: xr.Dataset, measure: str) -> Array:
    """A measure over the whole horizon and all channels, (draw,)."""
    return np.asarray(outlook[measure].values, dtype=float).sum(axis=(1, 2))


def _kept(history: History, outlook: xr.Dataset, come: int) -> Array:
    """Spend of the run's plan in the periods that are still to come, by channel of the history of now."""
    planned = np.asarray(outlook["spend"].values, dtype=float).mean(axis=0)[come:]
    made = np.zeros((len(planned), len(history.channels)))
    for name, column in zip(outlook["channel"].values, planned.T, strict=True):
        made[:, history.channels.index(str(name))] = column
    return made


# ------------------------------------------------------------------------------------------------- a running quarter


def running(
    coming: Ahead,
    outlook: xr.Dataset,
    history: History,
    found: Mapping[str, Any],
    measures: Sequence[str],
    target: Row | None,
) -> Row:
    """What has come of the horizon, what is still open, and the whole as planned and as known now."""
    come, horizon = len(found["come"]), len(found["horizon"])
    left, start = horizon - come, history.labels.index(found["horizon"][0])
    rows = []
    for measure in measures:
        so_far = float(history.came(measure)[start : start + come].sum())
        rest = coming.total(measure, slice(0, left))
        row: Row = {"measure": measure, "so_far": so_far if math.isfinite(so_far) else None}
        row |= {f"rest_{key}": x for key, x in band(rest).items()}
        row |= {f"plan_{key}": x for key, x in band(_all(outlook, measure)).items()}
        if row["so_far"] is not None:
            row |= {f"now_{key}": x for key, x in band(so_far + rest).items()}
        for part in ("from_pipeline", "from_new"):
            if f"{measure}_{part}" in coming.draws:
                row[part] = float(coming.total(f"{measure}_{part}", slice(0, left)).mean())
        rows.append(row)
    p: float | None = None
    if target is not None and str(target["measure"]) in measures:
        measure = str(target["measure"])
        so_far = next(row["so_far"] for row in rows if row["measure"] == measure)
        if so_far is not None:
            p = float((coming.total(measure, slice(0, left), so_far) >= float(target["amount"])).mean())
    return {
        "left": list(found["horizon"][come:]),
        "partial": history.reading.get("partial"),
        "rows": rows,
        "p_now": p,
        "open": _open(history, coming),
    }


def _open(history: History, coming: Ahead) -> list[Row]:
    """Units known to be open before each stage; nothing where counts cannot tell who is."""
    rows = []
    for before, stage in history.steps:
        if stage in history.triangles:
            units, _, _ = open_units(history, coming.case.posterior, before, stage)
            rows.append({"stage": before, "next": stage, "units": int(units.sum())})
    return rows


# ------------------------------------------------------------------------------------------------------- year, goals


def _of_year(history: History) -> Row:
    """The calendar year of the last period: its periods that have come, and those of the rest."""
    kind, last = history.period, history.labels[-1]
    year = last[:4]
    ahead_of = [period_label(p, kind) for p in shift(history.last, np.arange(1, MOST_AHEAD + 1), kind)]
    rest = [label for label in ahead_of if label[:4] == year]
    come = [label for label in history.labels if label[:4] == year]
    first = period_range(np.datetime64(f"{year}-01-04", "D"), history.last, kind).size
    return {"year": year, "come": come, "rest": rest, "whole": len(come) >= first}


def _year_row(coming: Ahead, history: History, year: Row, measure: str) -> Row:
    so_far = float(history.came(measure)[-len(year["come"]) :].sum())
    row: Row = {"measure": measure, "so_far": so_far if math.isfinite(so_far) else None}
    rest = coming.total(measure, slice(0, len(year["rest"])))
    row |= {f"rest_{key}": x for key, x in band(rest).items()}
    return row | (band(so_far + rest) if row["so_far"] is not None else {})


def _window(goal: GoalSpec, history: History, run: Mapping[str, Any], study: Study) -> tuple[int, int]:
    """First and last period of a goal, counted from the first after the history (negative: over).

    One without a beginning is of what was still to come: from the run's horizon on, where it is a goal of that time.
    """
    kind, start = history.period, shift(history.last, 1, history.period)

    def at(text: str) -> int:
        return int(period_index(parse_period(text, kind), start, kind))

    last = at(goal.by)
    if goal.from_ is not None:
        return at(goal.from_), last
    of_run = study.name == run["name"] or last <= at(run["horizon"][-1])
    return (at(run["horizon"][0]) if of_run else 0), last


def goal_row(coming: Ahead, history: History, goal: GoalSpec, first: int, last: int) -> Row | None:
    """A goal as it stands now; nothing where it cannot be counted, or was over before."""
    n = len(history.periods)
    if goal.measure not in coming.draws or last >= len(coming.labels) or first < -n or first > last:
        return None
    if first < 0 and goal.measure not in history.counts:
        return None
    so_far = float(history.came(goal.measure)[n + first : n + min(last + 1, 0)].sum()) if first < 0 else 0.0
    if not math.isfinite(so_far):
        return None
    draws = coming.total(goal.measure, slice(max(first, 0), max(last + 1, 0)), so_far)
    kind, start = history.period, shift(history.last, 1, history.period)
    ends = [period_label(shift(start, place, kind), kind) for place in (first, last)]
    told = {
        "goal": goal.title,
        "measure": goal.measure,
        "from": ends[0],
        "by": ends[1],
        "amount": goal.amount,
    }
    return (
        told
        | {"so_far": so_far, "over": last < 0}
        | band(draws)
        | {"p": float((draws >= goal.amount).mean())}
    )


# --------------------------------------------------------------------------------------------------- earlier horizons


def earlier(
    study: Study,
    history: History,
    told: Mapping[str, Any],
    saved: Mapping[str, Any] | None,
    *,
    blocks: int = BLOCKS,
    seed: int = DEFAULT_SEED,
) -> Row:
    """The last `blocks` horizons as forecast then and as they came, the scored one last where it is over.

    told: score.json so far. saved: backtest.json, where there is one that belongs to the data. Without one, or where it
    is of another horizon or measure, each is forecast anew in closed form from what was known then, with the spend that
    was usual then. `by`: "backtest" or "preview"; "" where there is no earlier one.
    """
    head, horizon = told["headline"], list(told["horizon"])
    if head is None:
        return {"by": "", "spend": "", "rows": []}
    measure, over = str(head["measure"]), len(told["come"]) == len(horizon)
    many, by, spend, rows = blocks - over, "", "", list[Row]()
    if saved is not None and saved["measure"] == measure and saved["horizon"] == len(horizon):
        by, spend = "backtest", str(saved["spend"])
        rows = _apart([dict(row) for row in saved["rows"]], horizon, history.period)
    if not rows and many > 0:
        by, spend = "preview", "planned"
        rows = _previewed(study, history.as_of(str(told["as_of"])), measure, len(horizon), many, seed)
    rows = [row | {"own": False} for row in rows[len(rows) - min(many, len(rows)) :]]
    if over:
        own = {"origin": told["as_of"], "first": horizon[0], "last": horizon[-1], "own": True}
        rows.append(
            own | {"mean": head["plan"], "came": head["actual"]} | {k: head[k] for k in (*QUANTILES, *BANDS)}
        )
    return {"by": by if len(rows) > over else "", "spend": spend, "rows": rows}


def _apart(rows: Sequence[Row], horizon: Sequence[str], kind: str) -> list[Row]:
    """Rows before the horizon that do not overlap, counted back from it."""
    kept: list[Row] = []
    before = parse_period(horizon[0], kind)
    for row in reversed(rows):
        if parse_period(row["last"], kind) < before:
            kept.append(row)
            before = parse_period(row["first"], kind)
    return kept[::-1]


def _previewed(study: Study, past: History, measure: str, horizon: int, many: int, seed: int) -> list[Row]:
    try:
        records, _ = run_backtest(
            study,
            past,
            preview=True,
            names=(),
            workers=1,
            seed=seed,
            origins=many,
            horizon=horizon,
            every=horizon,
            spend="planned",
        )
    except (DataError, StudyError):  # too short, or counts that cannot be taken back
        return []
    return of_measure(tidy(records), measure)


def of_measure(frame: pd.DataFrame, measure: str) -> list[Row]:
    """Rows by origin of a measure over all channels and the whole horizon."""
    periods = frame[frame["period"] != "total"].groupby("origin", sort=False)["period"].agg(["first", "last"])
    whole = (frame["period"] == "total") & (frame["channel"] == "total") & (frame["measure"] == measure)
    keys = ["origin", "mean", *QUANTILES, "came", *BANDS]
    return [
        {str(k): v for k, v in row.items()}
        | {b: bool(row[b]) for b in BANDS}
        | {end: str(periods.loc[row["origin"], end]) for end in ("first", "last")}
        for row in frame.loc[whole, keys].to_dict("records")
    ]
