"""Backtests: forecasts of the past from what was known then, beside what came (`backtest.origin`).

Finished origins are kept as JSON lines in a file named by the settings. A line's key holds a hash of what its origin
was made from, so a backtest that was stopped goes on where it was, and one with new data runs the new origins only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from forecast.backtest import baselines, scores
from forecast.backtest.jobs import pool, run_jobs
from forecast.backtest.origin import WARM_UP, Origin, Setup, one_origin, origin_at, origins_of
from forecast.backtest.summary import calibration_of, summary_of, summary_tables, tidy
from forecast.errors import DataError, FitError, UsageError
from forecast.fit import DEFAULT_SEED, SCHEMA, VERSION
from forecast.history import History
from forecast.periods import period_label
from forecast.progress import Progress, Silent
from forecast.saved import NUMBER, Unknown, amiss
from forecast.showing import Card, html_of, lines_of
from forecast.study import Study
from forecast.tables import Table
from forecast.words import Message, message, typed
from forecast.written import cut_off

NAMES = ("period", "channel", "measure")
VALUES = ("mean", *scores.QUANTILES, "crps", "wis", "pit")
COLUMNS = (*NAMES, "came", *VALUES)


def _columns(value: Any, place: str) -> Iterator[Message]:
    """What is amiss in the names of the columns of a record."""
    if value != list(COLUMNS):
        yield message("{place} are not those of this version", place=place)


def _cells(value: Any, place: str) -> Iterator[Message]:
    """What is amiss in the cells of a record: three names a row, and then numbers."""
    if not isinstance(value, list) or not value:
        yield message("{place} is not what it should be", place=place)
        return
    n = len(NAMES)
    for number, row in enumerate(value, start=1):
        here = f"{place}.{number}"
        if not isinstance(row, list) or len(row) != len(COLUMNS):
            yield message("{place} is no row of a table", place=here)
        elif wrong := amiss(row[:n], [str], here) or amiss(row[n:], [(*NUMBER, Unknown)], here):
            yield message("{wrong}", wrong=wrong)


RECORD = {  # of an origin, read again: `backtest.origin.scored`
    "origin": str,
    "known": int,
    "columns": _columns,
    "cells": _cells,
    "baselines": {str: {str: {str: dict.fromkeys(VALUES, (*NUMBER, Unknown))}}},
    "sampling": dict,
}
DRAWS = 1000  # posterior draws an origin: the edges of an 80 % band to about a fortieth of its width


class Backtest(NamedTuple):
    """Forecasts of the past beside what came: records by origin, and what they add up to (backtest.json)."""

    records: list[dict[str, Any]]
    summary: dict[str, Any]

    @property
    def origins(self) -> Table:
        """The headline by origin: as it was forecast then, and what came."""
        return summary_tables(self.summary["measure"], self.summary["rows"], self.summary["methods"])[0]

    @property
    def methods(self) -> Table:
        """Scores by measure of the forecast and of each baseline, on the total of the horizon."""
        return summary_tables(self.summary["measure"], self.summary["rows"], self.summary["methods"])[1]

    @property
    def frame(self) -> pd.DataFrame:
        """Every number that was forecast, beside what came: see `summary.tidy`."""
        return tidy(self.records)

    def _card(self, *, whole: bool) -> Card:
        told = self.summary
        checks = [check for check in told["gate"]["checks"] if check["missed"]]
        inside = calibration_of(told) or {}
        return Card(
            f"Backtest of {told['name']}: {len(self.records)} origins, {told['horizon']} {told['period']}s ahead",
            {
                "origins": list(told["origins"]),
                "measure": told["measure"],
                "spend": told["spend"],
                "method": told["method"],
                "inside": f"{inside.get('inside')} of {inside.get('outcomes')} in the 80 % band",
                "gate": [f"{check['name']}: {check['value']}" for check in checks] or "held",
            },
            [self.origins, self.methods] if whole else [],
        )

    def __repr__(self) -> str:
        return lines_of(self._card(whole=False))

    def _repr_html_(self) -> str:
        return html_of(self._card(whole=True))


def _settings(study: Study, setup: Setup) -> dict[str, Any]:
    """All that records depend on besides the data: the first line of their file."""
    return {
        "study": study_hash(study),
        **{name: list(v) if isinstance(v, tuple) else v for name, v in asdict(setup).items()},
        "model": [VERSION, SCHEMA],
        "warm_up": WARM_UP,
    }


def study_hash(study: Study) -> str:
    """sha256 over what a fit depends on in the study, but for the last period read: a backtest outlives new data."""
    key = study.fit_key()
    key["history"] = {name: value for name, value in key["history"].items() if name != "through"}
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def run_backtest(
    study: Study,
    history: History,
    *,
    origins: int | None = None,
    horizon: int | None = None,
    every: int | None = None,
    spend: str | None = None,
    draws: int = DRAWS,
    seed: int = DEFAULT_SEED,
    preview: bool = False,
    names: Sequence[str] | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    results: Path | str | None = None,
    progress: Progress | None = None,
    job: Callable[[Origin], dict[str, Any]] = one_origin,
) -> Backtest:
    """Records by origin and their summary, in which a `Backtest` unpacks. What is not given follows the study's
    [backtest].

    names: of baselines (default: all that are installed). executor: any `concurrent.futures.Executor`; else `workers`
    processes (default: one a core). results: a folder in which finished origins are kept, and looked for. job: what
    makes the record of an origin.

    Raises DataError where no origin fits into the history, FitError where an origin could not be fitted.
    """
    spec = study.backtest
    ahead = horizon or spec.horizon or study.plan.periods
    step = every or spec.every or ahead
    asked = origins or spec.origins
    chosen = tuple(_checked(names))
    setup = Setup(ahead, spend or spec.spend, draws, seed, preview, chosen)
    places = origins_of(history, origins=asked, horizon=ahead, every=step, least=spec.least)
    many = min(workers or os.cpu_count() or 1, len(places))
    alone = executor is None and many == 1
    made = [replace(origin_at(study, history, n, setup), cores=None if alone else 1) for n in places]
    settings = _settings(study, setup)
    lines = None
    if results is not None:
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        lines = Path(results) / f"origins-{digest[:12]}.jsonl"
    teller = progress or Silent()
    teller.step(f"{len(made)} origins, {ahead} {history.period}s ahead")
    if lines is not None and cut_off(lines):
        said = "the last line of {name} was cut off: what it held is made again"
        teller.step(typed(message(said, name=lines.name)))
    told = 0

    def done(key: str, _: Mapping[str, Any]) -> None:
        nonlocal told
        told += 1
        teller.update(told, len(made), key.split(" ", maxsplit=1)[0])

    jobs = {origin.key: origin for origin in made}
    with pool(1 if executor is not None or preview else many) as own:
        found = run_jobs(
            job, jobs, executor=executor or own, results=lines, settings=settings, done=done, shape=RECORD
        )
    failed = [f"{key.split(' ', maxsplit=1)[0]}: {r['error']}" for key, r in found.items() if "error" in r]
    if failed:
        raise FitError("these origins could not be forecast; the others are kept:\n  " + "\n  ".join(failed))
    records = list(found.values())
    context = {
        "name": study.name,
        "currency": study.currency,
        "period": history.period,
        "as_of": period_label(history.last, history.period),
        "horizon": ahead,
        "every": step,
        "asked": asked,
        "spend": setup.spend,
        "paid": bool(history.paid.any()),
        "method": setup.method,
        "draws": draws,
        "seed": seed,
        "measure": headline_measure(study, history),
        "baselines": list(chosen),
        "left_out": [n for n in baselines.BASELINES if names is None and n not in chosen],
        "data": history.fingerprint(),
        "study": study_hash(study),
        "model": [VERSION, SCHEMA],
    }
    return Backtest(records, summary_of(records, context, spec.gate))


def _checked(names: Sequence[str] | None) -> list[str]:
    """The baselines to be made. Raises UsageError for one that is unknown or not installed."""
    there = baselines.installed()
    if names is None:
        return there
    for name in names:
        if name not in baselines.BASELINES:
            raise UsageError(f'--baseline: expected one of {", ".join(baselines.BASELINES)}; got "{name}"')
        if name not in there:
            raise UsageError(f"--baseline: {name} needs statsforecast: pip install 'growth-forecast[bench]'")
    return list(dict.fromkeys(names))


def headline_measure(study: Study, history: History) -> str:
    """What the backtest is judged by: the target's measure, or revenue, or wins where no revenue was recorded."""
    if not history.valued:
        return history.stages[-1]
    return study.plan.target.measure if study.plan.target is not None else "revenue"


def belongs(summary: Mapping[str, Any], study: Study, history: History) -> bool:
    """Whether a backtest (its summary) is of this study and model, and of these data or an earlier part of them."""
    if summary.get("study") != study_hash(study) or summary.get("model") != [VERSION, SCHEMA]:
        return False
    try:
        then = history.as_of(str(summary["as_of"]))
    except (DataError, ValueError):
        return False
    return then.fingerprint() == summary.get("data")
