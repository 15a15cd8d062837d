"""Backtests: what would have been forecast then, from what was known then, beside what came.

    origin    History.as_of: counts and leads known at its end, the study's own priors, nothing else
    forecast  the model fitted anew to that history, simulated over the horizon
    came      the same measures, counted in the history as it is known now, channels that began later included

With `spend = "actual"` the spend of the tested periods is given to the forecast: the model is tested, not the guess at
a budget. With "planned" it is the current plan of that time, and nothing at all of what came after the origin is used.

Finished origins are kept as JSON lines in a file named by the settings. A line's key holds a hash of what its origin
was made from, so a backtest that was stopped goes on where it was, and one with new data runs the new origins only.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast import baselines, inputs, scores
from forecast import simulate as simulation
from forecast.backtest_summary import FILE, read_summary, result_files, summarise_backtest
from forecast.economics import in_total
from forecast.errors import DataError, FitError, GateError, UsageError
from forecast.export import write_files
from forecast.history import History
from forecast.jobs import pool, run_jobs
from forecast.periods import period_label
from forecast.planning import DEFAULT_DRAWS, DEFAULT_SEED, VERSION, Progress, Silent
from forecast.posterior import SCHEMA, Posterior
from forecast.sources import read_history
from forecast.study import Study, load_study

__all__ = [
    "BacktestResult",
    "Origin",
    "Setup",
    "backtest",
    "one_origin",
    "origins_of",
    "posterior_at",
    "run_backtest",
    "saved",
]

Array = NDArray[np.float64]

DRAWS = (
    1000  # posterior draws an origin: a quantile of a total is known to a fifth of a band's width or better
)
WARM_UP = 200  # draws of each chain's warm-up: half a study's, and quantiles of totals within three parts in a hundred
SIMULATED = 4000  # draws of each outlook, chance replicates included
LINES = "origins-{}.jsonl"


@dataclass(frozen=True)
class Setup:
    """How origins are forecast: all that their records depend on besides study and data."""

    horizon: int
    spend: str
    draws: int
    seed: int
    preview: bool
    baselines: tuple[str, ...]

    @property
    def method(self) -> str:
        """ "nuts" or "preview", as a posterior's provenance has it."""
        return "preview" if self.preview else "nuts"


@dataclass(frozen=True, eq=False)
class Origin:
    """One forecast to be made: what was known, the spend that it is given, and what came.

    spend: (period, channel) over the horizon, channels of `past`. came: by measure (period, channel), the channels of
    `past` and then all channels together; NaN where nothing was recorded.
    """

    study: Study
    past: History
    labels: list[str]
    spend: Array
    came: dict[str, Array]
    setup: Setup
    cores: int | None = 1

    @property
    def label(self) -> str:
        """The last period that was known."""
        return period_label(self.past.last, self.past.period)

    @property
    def key(self) -> str:
        """The label, and a hash of everything particular to this origin."""
        digest = hashlib.sha256(self.past.fingerprint().encode())
        for name in sorted(self.came):
            digest.update(name.encode() + np.ascontiguousarray(self.came[name] + 0.0).tobytes())
        digest.update(np.ascontiguousarray(self.spend + 0.0).tobytes())
        return f"{self.label} {digest.hexdigest()[:16]}"


@dataclass(frozen=True)
class BacktestResult:
    """Where a backtest wrote its files, and backtest.json."""

    folder: Path
    summary: dict[str, Any]


def origins_of(history: History, *, origins: int, horizon: int, every: int, least: int) -> list[int]:
    """Numbers of periods known at each origin, the earliest first: the last origin's horizon ends with the history.

    Raises DataError where not one fits in.
    """
    periods = len(history.periods)
    last = periods - horizon
    found = list(range(last, least - 1, -every))[:origins][::-1]
    if not found:
        raise DataError(
            f"a backtest {horizon} {history.period}s ahead needs at least {least + horizon} periods "
            f"({least} known at the first origin: backtest.least), and the history has {periods}."
        )
    return found


def origin_at(study: Study, history: History, known: int, setup: Setup) -> Origin:
    """The origin at which `known` periods of `history` were known."""
    past = history.as_of(history.periods[known - 1])
    later = slice(known, known + setup.horizon)
    place = [history.channels.index(name) for name in past.channels]
    if setup.spend == "planned":
        spend = np.tile(inputs.current_spend(past), (setup.horizon, 1))
    else:
        spend = inputs.spend_of(history)[later][:, place]
    came = {}
    for measure in (*past.stages, "revenue"):
        if measure in history.counts and measure in past.counts:
            cells = history.counts[measure].values[later].astype(float)
            whole = np.where(np.isfinite(cells).any(axis=1), np.nansum(cells, axis=1), np.nan)
            came[measure] = np.column_stack([cells[:, place], whole])
    if (opened := _from_pipeline(history, known, setup.horizon)) is not None:
        came["won_from_pipeline"] = in_total(opened[:, place])
    return Origin(study, past, history.labels[later], spend, came, setup)


def _from_pipeline(history: History, known: int, horizon: int) -> Array | None:
    """Wins over the horizon of leads that were there at the origin, (period, channel); for dated leads -> won alone."""
    if history.counting != "leads" or history.stages[-2:] != ("leads", "won"):
        return None
    triangle = history.triangles["won"].values
    found = np.zeros((horizon, triangle.shape[2]))
    for cohort in range(known):
        ages = np.arange(known, known + horizon) - cohort
        inside = ages < triangle.shape[1]
        found[inside] += triangle[cohort, ages[inside]]
    return found


def one_origin(origin: Origin) -> dict[str, Any]:
    """Fit, forecast and score one origin: a record ready for JSON (see `scored`)."""
    posterior, sampling = posterior_at(origin)
    return scored(origin, _outlook(origin, posterior), sampling)


def scored(origin: Origin, outlook: Mapping[str, Array], sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Draws (draw, period, channel) of each measure that came, beside what came: the record of an origin.

    cells: one list per period (and "total"), channel (and "total") and measure, in the order of `columns`. baselines:
    by channel, measure and name, of the whole horizon. sampling: how the fit went.
    """
    channels = [*origin.past.channels, "total"]
    came, draws, keys = [], [], []
    for measure, cells in origin.came.items():
        x = in_total(outlook[measure])
        draws.append(np.concatenate([x, x.sum(axis=1, keepdims=True)], axis=1))
        came.append(np.concatenate([cells, cells.sum(axis=0, keepdims=True)]))
        keys += [[period, channel, measure] for period in [*origin.labels, "total"] for channel in channels]
    stacked = np.stack(came)
    values = {"came": stacked} | scores.score(np.stack(draws, axis=1), stacked)
    rows = np.stack([values[name].ravel() for name in values], axis=1).tolist()
    return {
        "origin": origin.label,
        "known": len(origin.past.periods),
        "columns": ["period", "channel", "measure", *values],
        "cells": [[*key, *row] for key, row in zip(keys, rows, strict=True)],
        "baselines": _baselines(origin, origin.setup, channels),
        "sampling": dict(sampling),
    }


def posterior_at(origin: Origin) -> tuple[Posterior, dict[str, Any]]:
    """The posterior at the origin; a fit that goes badly is made again as a study's fit is."""
    setup = origin.setup
    if setup.preview:
        from forecast.instant import instant_posterior

        return instant_posterior(origin.study, origin.past, seed=setup.seed, draws=setup.draws), {}
    from forecast.calibration import rough
    from forecast.fit import TUNE, failures, fit

    def made(draws: int, attempts: int) -> tuple[Posterior, dict[str, Any]]:
        options: dict[str, Any] = {
            "seed": setup.seed,
            "progress": Silent(),
            "cores": origin.cores,
            "weigh": False,
        }
        tune = WARM_UP if attempts == 1 else TUNE
        posterior = fit(origin.study, origin.past, draws=draws, attempts=attempts, tune=tune, **options)
        return posterior, {
            "max_rhat": max(part["max_rhat"] for part in posterior.diagnostics),
            "divergences": sum(part["divergences"] for part in posterior.diagnostics),
            "again": attempts > 1,
            "failures": failures(posterior) if attempts > 1 else [],
        }

    posterior, found = made(setup.draws, 1)
    return made(DEFAULT_DRAWS, 3) if rough(found["divergences"], found["max_rhat"]) else (posterior, found)


def _outlook(origin: Origin, posterior: Posterior) -> dict[str, Array]:
    """Draws of each measure that came, (draw, period, channel)."""
    setup = origin.setup
    paths, chance = np.random.SeedSequence([setup.seed, 1]).spawn(2)
    future = simulation.future_paths(posterior, origin.past, setup.horizon, np.random.default_rng(paths))
    outlook = simulation.simulate(
        posterior,
        origin.past,
        origin.study,
        {"given": origin.spend},
        future,
        rng=np.random.default_rng(chance),
        replicates=max(simulation.REPLICATES, math.ceil(SIMULATED / posterior.draws)),
    ).sel(plan="given")
    return {name: np.asarray(outlook[name].values, dtype=float) for name in origin.came}


def _baselines(origin: Origin, setup: Setup, channels: Sequence[str]) -> dict[str, Any]:
    """Scores of the baselines over the whole horizon, by channel, measure and name.

    Each looks at the history of the origin alone. The slow ones are made for wins and revenue of the company only; one
    that the history is too short for is left out.
    """
    found: dict[str, Any] = {}
    for place, channel in enumerate(channels):
        whole = channel == "total"
        part = origin.past if whole else _of_channel(origin.past, place)
        for measure in (name for name in origin.came if name in part.counts):
            came = float(origin.came[measure][:, place].sum())
            slow_too = whole and measure in (origin.past.stages[-1], "revenue")
            made = {}
            for name in setup.baselines:
                if name in baselines.SLOW and not slow_too:
                    continue
                rng = np.random.default_rng([setup.seed, 3, *f"{name} {channel} {measure}".encode()])
                try:
                    with warnings.catch_warnings():  # statsforecast's own, about series that are short
                        warnings.simplefilter("ignore")
                        draws = baselines.BASELINES[name](part, setup.horizon, rng, SIMULATED, measure)
                except UsageError:
                    continue
                made[name] = {k: float(v) for k, v in scores.score(draws, came).items()}
            found.setdefault(channel, {})[measure] = made
    return found


def _of_channel(history: History, place: int) -> History:
    return replace(history, counts=history.counts.isel(channel=[place]))


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
    results: Path | None = None,
    progress: Progress | None = None,
    job: Callable[[Origin], dict[str, Any]] = one_origin,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Records by origin, and their summary. What is not given follows the study's [backtest].

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
        lines = results / LINES.format(digest[:12])
    teller = progress or Silent()
    teller.step(f"{len(made)} origins, {ahead} {history.period}s ahead")
    told = 0

    def done(key: str, _: Mapping[str, Any]) -> None:
        nonlocal told
        told += 1
        teller.update(told, len(made), key.split(" ", maxsplit=1)[0])

    jobs = {origin.key: origin for origin in made}
    with pool(1 if executor is not None or preview else many) as own:
        found = run_jobs(job, jobs, executor=executor or own, results=lines, settings=settings, done=done)
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
        "paid": bool((inputs.spend_of(history) > 0).any()),
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
    return records, summarise_backtest(records, context, spec.gate)


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
    if "revenue" not in history.counts:
        return history.stages[-1]
    return study.plan.target.measure if study.plan.target is not None else "revenue"


def backtest(
    study: Path,
    *,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    draws: int | None = None,
    today: date | None = None,
    **options: Any,
) -> BacktestResult:
    """`run_backtest` on a study file; writes backtest.json and backtest.csv into reports/NAME/ or `out`."""
    loaded = load_study(study, overrides)
    history = read_history(loaded, today=today)
    folder = out or Path("reports") / loaded.name
    records, summary = run_backtest(
        loaded,
        history,
        seed=DEFAULT_SEED if seed is None else seed,
        draws=draws or DRAWS,
        results=folder,
        **options,
    )
    write_files(folder, result_files(records, summary))
    return BacktestResult(folder, summary)


def check_gate(summary: Mapping[str, Any]) -> None:
    """Raises GateError where a backtest misses a threshold."""
    missed = [c for c in summary["gate"]["checks"] if c["missed"]]
    if missed:
        lines = [f"{c['name']}: {c['value']} (expected {c['threshold']})" for c in missed]
        raise GateError("the backtest misses its gate:\n  " + "\n  ".join(lines))


def saved(folder: Path, study: Study, history: History) -> dict[str, Any] | None:
    """The summary of the backtest in `folder`, if it belongs to this study and these data, or an earlier part of them.

    Raises DataError for a file that is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    summary = read_summary(path)
    if summary.get("study") != study_hash(study) or summary.get("model") != [VERSION, SCHEMA]:
        return None
    try:
        then = history.as_of(str(summary["as_of"]))
    except (DataError, ValueError):
        return None
    return summary if then.fingerprint() == summary.get("data") else None
