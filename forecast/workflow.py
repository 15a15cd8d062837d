"""The jobs of the command line, end to end: check, fit, run, allocate, scenarios, backtest, score, rank, demo, init.

Each composes the floors below and returns what it made. A run whose saved fit still holds never loads the sampler.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast import results
from forecast.backtest import belongs, read_run, read_summary, run_backtest, score_outlook, tidy
from forecast.budget import decide, decision_tables, limits_of
from forecast.errors import GateError, StudyError, UsageError
from forecast.fit import (
    DEFAULT_DRAWS,
    DEFAULT_SEED,
    Posterior,
    check_place,
    checked,
    fit_hash,
    fit_posterior,
    load_posterior,
    preview,
    save_posterior,
)
from forecast.history import History, audit_history, common_mistakes, read_history, read_plan
from forecast.leads import Sampler, rank_leads, read_lead_table, with_returns
from forecast.outlook import Case, base_of, compare, lifetime_of
from forecast.periods import period_label
from forecast.planning import (
    Forecast,
    check_levers,
    forecast_plan,
    judge,
    pose,
)
from forecast.progress import Clock, Progress, Silent
from forecast.report import (
    check_folder,
    figure_svg,
    recommendation,
    scoring_figure,
    write_csv,
    write_files,
    write_outputs,
)
from forecast.results import Firmness, Levers, Past, Results, StudyFacts
from forecast.study import Study, load_study
from forecast.tables import json_text

BACKTEST = "backtest.json"  # read again by the next run


@dataclass(frozen=True)
class RunResult:
    """Where a run wrote its files, summary.json, and what its pages are made from."""

    folder: Path
    summary: dict[str, Any]
    results: Results


@dataclass(frozen=True)
class FitResult:
    """Where the posterior lies, and how it sampled."""

    path: Path
    summary: dict[str, Any]
    results: Results


@dataclass(frozen=True)
class CheckResult:
    """The audit of the data, the common mistakes that show without a fit, and what was read."""

    audit: pd.DataFrame
    mistakes: pd.DataFrame
    summary: dict[str, Any]


@dataclass(frozen=True)
class AllocateResult:
    """The recommended split, its gain, and what its page is made from."""

    allocation: pd.DataFrame
    summary: dict[str, Any]
    results: Results


@dataclass(frozen=True)
class ScenarioResult:
    """The scenarios compared with the plan as it is, and what their page is made from."""

    table: pd.DataFrame
    summary: dict[str, Any]
    results: Results


@dataclass(frozen=True)
class BacktestResult:
    """Where a backtest wrote its files, and backtest.json."""

    folder: Path
    summary: dict[str, Any]

    @property
    def past(self) -> Past:
        """What its page is made from."""
        return Past.of(self.summary)


@dataclass(frozen=True)
class ScoreResult:
    """Where the score of a run was written, and its content."""

    path: Path
    summary: dict[str, Any]


@dataclass(frozen=True)
class RankResult:
    """Where the ranking lies, the ranking, and scoring.json."""

    folder: Path
    ranking: pd.DataFrame
    summary: dict[str, Any]


def posterior_path(study: Study) -> Path:
    """Where the fitted posterior of a study lies: NAME.nc beside the study file."""
    return study.folder / f"{study.name}.nc"


def _read(
    study: Path, overrides: Sequence[str], today: date | None, *, budget_too: bool = False
) -> tuple[Study, History, NDArray[np.float64]]:
    """Study, history and plan, with what would only come out after a fit asked at once: target, and budget's limits.

    Raises StudyError, DataError or UsageError.
    """
    loaded = load_study(study, overrides)
    history = read_history(loaded, today=today)
    plan = np.asarray(read_plan(loaded, history).values, dtype=float)
    target = loaded.plan.target
    valued = "revenue" in history.counts or loaded.funnel.value is not None
    if target is not None and target.measure == "revenue" and not valued:
        raise StudyError(
            f"{loaded.place('plan.target')}: asks for revenue, and the data have none: add the column revenue, give an "
            "assumed deal value (funnel.value), or set the target in customers: { won = 45 }"
        )
    if budget_too and valued:
        limits_of(loaded, history, plan)
    lifetime_of(loaded)
    check_levers(loaded, history, len(plan))
    return loaded, history, plan


def check(study: Path, *, overrides: Sequence[str] = (), today: date | None = None) -> CheckResult:
    """Read and validate study and data; audit them."""
    loaded, history, _ = _read(study, overrides, today, budget_too=True)
    audit = audit_history(history, loaded)
    found = common_mistakes(history, loaded, audit, lifetime=lifetime_of(loaded).expected)
    summary = {
        "name": loaded.name,
        "periods": [
            period_label(history.periods[0], history.period),
            period_label(history.last, history.period),
        ],
        "channels": history.channels,
        "stages": list(history.stages),
        "counting": history.counting,
        "status": next((s for s in ("FAIL", "REVIEW") if (audit["status"] == s).any()), "PASS"),
        "audit": audit.to_dict("records"),
        "mistakes": found.to_dict("records"),
    }
    return CheckResult(audit, found, summary)


def fit(
    study: Path,
    *,
    seed: int | None = None,
    draws: int | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    today: date | None = None,
) -> FitResult:
    """Fit a study, judge the fit, and save the posterior beside the study, with what it failed where it did."""
    loaded, history, _ = _read(study, overrides, today)
    path = posterior_path(loaded)
    check_place(path)
    posterior = fit_posterior(
        loaded, history, seed=_seed(seed), draws=draws or DEFAULT_DRAWS, progress=progress
    )
    save_posterior(posterior, path)
    made = Results(_facts(loaded), judge(loaded, history, posterior))
    summary = {
        "verdict": made.verdict.told(),
        "diagnostics": list(posterior.diagnostics),
        "provenance": posterior.provenance,
    }
    return FitResult(path, summary, made)


def run(
    study: Path,
    *,
    out: Path | None = None,
    seed: int | None = None,
    draws: int | None = None,
    overrides: Sequence[str] = (),
    go_on: bool = False,
    progress: Progress | None = None,
    today: date | None = None,
    saved: Path | None = None,
    preview: bool = False,
) -> RunResult:
    """The whole job: read, fit unless a saved fit still holds, forecast, recommend, write all outputs to a folder.

    `saved`: where the posterior is kept (default: NAME.nc beside the study). `preview`: the instant posterior in closed
    form in place of a fit, whether or not one is saved; none is written, and the outputs say so. `go_on`: with a fit
    that failed its diagnostics the numbers are the fit's all the same, not the preview's.
    """
    clock = Clock(progress or Silent())
    clock.step("read", "reading the study and its data")
    loaded, history, _ = _read(study, overrides, today, budget_too=True)
    folder = _folder(out, loaded)
    check_folder(folder)
    past = saved_backtest(folder, loaded, history)
    asked = _seed(seed), draws or DEFAULT_DRAWS
    if preview:
        clock.step("fit", "approximating the fit in closed form")
        posterior, fitted = _preview(loaded, history, *asked), False
    else:
        clock.step("fit", "looking for a saved fit")
        place = saved or posterior_path(loaded)
        posterior, fitted = _posterior(loaded, history, place, *asked, clock.progress)
        posterior = _usable(loaded, history, posterior, go_on=go_on)
    command = "forecast run --preview" if preview else "forecast run"
    told: dict[str, Any] = {"seed": _seed(seed), "command": command, "backtest": past}
    result = forecast_plan(loaded, history, posterior, clock=clock, **told)
    clock.step("write", "writing the report")
    summary = _summary(result, posterior, clock.seconds, fitted=fitted)
    write_outputs(folder, result.tables, result.outlook, summary)
    clock.stop()
    return RunResult(folder, summary | {"seconds": dict(clock.seconds)}, result.tables)


def _posterior(
    study: Study, history: History, path: Path, seed: int, draws: int, progress: Progress
) -> tuple[Posterior, bool]:
    """The saved posterior if it was fitted on just this, else a new one (saved); and whether it is new.

    One that failed its diagnostics is kept with what failed: the same data would fail again.
    """
    if path.is_file():
        saved = load_posterior(path)
        if saved.provenance.get("fit_hash") == fit_hash(study, history, seed, draws):
            return saved, False
    check_place(path)
    posterior = fit_posterior(study, history, seed=seed, draws=draws, progress=progress)
    save_posterior(posterior, path)
    return posterior, True


def _preview(study: Study, history: History, seed: int, draws: int) -> Posterior:
    """The closed form, checked against the history like a fit."""
    return checked(study, history, preview(study, history, seed=seed, draws=draws), seed)


def _usable(study: Study, history: History, fitted: Posterior, *, go_on: bool) -> Posterior:
    """The fit; where it failed its diagnostics the preview in its place, with what the fit failed."""
    failed = list(fitted.provenance.get("failures", []))
    if go_on or not failed:
        return fitted
    made = _preview(study, history, int(fitted.provenance["seed"]), int(fitted.provenance["draws"]))
    return replace(made, diagnostics=fitted.diagnostics, provenance=made.provenance | {"failures": failed})


def allocate(
    study: Path,
    *,
    total: float | None = None,
    change: float | None = None,
    marginal: float | None = None,
    cac: float | None = None,
    chance: float | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    go_on: bool = False,
    progress: Progress | None = None,
    today: date | None = None,
) -> AllocateResult:
    """Divide another budget from the saved posterior, without fitting; `go_on` as in `run`.

    In place of a total: `marginal` (spend until the next unit returns this), `cac` (customers cost at most this much),
    `chance` (the smallest budget that makes the target so likely).
    Raises DataError where there is no fit.
    """
    changed = [*overrides, *([] if change is None else [f"budget.change={change}"])]
    loaded, history, plan = _read(study, changed, today)
    (progress or Silent()).step("dividing the budget")
    case = _saved(loaded, history, plan, seed=_seed(seed), go_on=go_on)
    asked = {"total": total, "marginal": marginal, "cac": cac, "chance": chance}
    made = decide(case, seed=_seed(seed), **asked)
    names = case.paid_names
    told = decision_tables(made, names, loaded.currency)
    table = results.allocation_table(loaded, names, made.allocation, told)
    found = Results(
        study=_facts(loaded),
        verdict=judge(loaded, history, case.posterior, table),
        headline=results.gain_of(made.allocation),
        allocation=table,
        decision=Firmness.of(told),
    )
    summary = {
        "name": loaded.name,
        "currency": loaded.currency,
        "verdict": found.verdict.told(),
        "headline": {**found.headline, "recommendation": recommendation(found)},
        "allocation": table.to_dict("records"),
        "decision": Firmness.of(told).told(),
    }
    return AllocateResult(table, summary, found)


def _facts(study: Study) -> StudyFacts:
    return StudyFacts(study.name, study.currency)


def _saved(study: Study, history: History, plan: NDArray[np.float64], *, seed: int, go_on: bool) -> Case:
    """The question at a plan, with the saved posterior of the study as it is now. Raises DataError, UsageError."""
    posterior = load_posterior(posterior_path(study))
    fitted_seed, fitted_draws = int(posterior.provenance["seed"]), int(posterior.provenance["draws"])
    if posterior.provenance.get("fit_hash") != fit_hash(study, history, fitted_seed, fitted_draws):
        raise UsageError(
            f"{posterior_path(study)}: fitted on other data, funnel or priors than the study has now; "
            "run `forecast fit` first"
        )
    posterior = _usable(study, history, posterior, go_on=go_on)
    return pose(study, history, posterior, plan, seed=seed)[0]


def scenarios(
    study: Path,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    go_on: bool = False,
    progress: Progress | None = None,
    today: date | None = None,
) -> ScenarioResult:
    """Compare the study's scenarios from the saved posterior, without fitting; `go_on` as in `run`."""
    loaded, history, plan = _read(study, overrides, today)
    if not loaded.scenarios:
        raise UsageError(
            f"{study}: has no scenario to compare: add one, such as\n  [[scenario]]\n"
            '  name = "New landing page"\n  rate.leads = { times = 1.3 }\n  cost = 8000'
        )
    (progress or Silent()).step("comparing the scenarios")
    case = _saved(loaded, history, plan, seed=_seed(seed), go_on=go_on)
    table = compare(base_of(case), seed=_seed(seed)).table
    made = Results(_facts(loaded), judge(loaded, history, case.posterior), levers=Levers(scenarios=table))
    summary = {
        "name": loaded.name,
        "currency": loaded.currency,
        "verdict": made.verdict.told(),
        "scenarios": table.to_dict("records"),
    }
    return ScenarioResult(table, summary, made)


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
    """`run_backtest` on a study file, with its `options`; writes backtest.json and backtest.csv.

    Origins that are finished lie there too, so that a backtest that was stopped goes on where it was.
    """
    loaded = load_study(study, overrides)
    history = read_history(loaded, today=today)
    folder = _folder(out, loaded)
    options |= {"draws": draws} if draws else {}
    records, summary = run_backtest(loaded, history, seed=_seed(seed), results=folder, **options)
    write_files(
        folder,
        {
            "backtest.csv": lambda path: write_csv(tidy(records), path),
            BACKTEST: lambda path: path.write_bytes(json_text(summary).encode()),
        },
    )
    return BacktestResult(folder, summary)


def saved_backtest(folder: Path, study: Study, history: History) -> dict[str, Any] | None:
    """The summary of the backtest in `folder`, if it belongs to this study and these data, or an earlier part of them.

    Raises DataError for a file that is damaged.
    """
    path = folder / BACKTEST
    if not path.is_file():
        return None
    summary = read_summary(path)
    return summary if belongs(summary, study, history) else None


def check_gate(summary: Mapping[str, Any]) -> None:
    """Raises GateError where a backtest misses a threshold."""
    missed = [c for c in summary["gate"]["checks"] if c["missed"]]
    if missed:
        lines = [f"{c['name']}: {c['value']} (expected {c['threshold']})" for c in missed]
        raise GateError("the backtest misses its gate:\n  " + "\n  ".join(lines))


def score(
    folder: Path,
    study: Path,
    *,
    plan: str = "given",
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    today: date | None = None,
) -> ScoreResult:
    """Score the run in `folder` by the history of `study` as it is now; writes score.json beside the run.

    plan: which of its two plans was followed. Raises DataError where `folder` holds no run, or nothing of its horizon
    has come yet.
    """
    teller = progress or Silent()
    teller.step("reading the run and the history")
    outlook, made = read_run(folder)
    if plan not in outlook["plan"].values:
        raise UsageError(f'--plan: the run has {", ".join(map(str, outlook["plan"].values))}; got "{plan}"')
    loaded = load_study(study, overrides)
    history = read_history(loaded, today=today)
    teller.step("comparing with what came")
    found = score_outlook(loaded, history, outlook.sel(plan=plan), str(made["as_of"]))
    summary = {"run": folder.as_posix(), "plan": plan} | found
    write_files(folder, {"score.json": lambda path: path.write_bytes(json_text(summary).encode())})
    return ScoreResult(folder / "score.json", summary)


def rank(
    study: Path,
    *,
    out: Path | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    today: date | None = None,
    sampler: Sampler | None = None,
) -> RankResult:
    """Rank the open leads of a study; writes ranking.csv, scoring.json and reliability.svg.

    Raises StudyError, DataError or UsageError; FitError where the sampler cannot run.
    """
    teller = progress or Silent()
    teller.step("reading the study and its leads")
    loaded = load_study(study, overrides)
    history = read_history(loaded, today=today)
    table = with_returns(loaded, read_lead_table(loaded))
    made = rank_leads(loaded, history, table, seed=_seed(seed), sampler=sampler, progress=teller)
    folder = _folder(out, loaded)
    worked = made.summary["threshold"]["worked_a_period"]
    drawn = scoring_figure(
        made.reliability, made.curve, worked=worked, money=made.valued, currency=loaded.currency
    )
    told = json_text(made.summary, indent=1)
    write_files(
        folder,
        {
            "ranking.csv": lambda path: write_csv(made.table, path),
            "reliability.svg": lambda path: path.write_bytes(figure_svg(drawn).encode()),
            "scoring.json": lambda path: path.write_bytes(told.encode()),
        },
    )
    return RankResult(folder, made.table, made.summary)


def demo(
    *,
    out: Path | None = None,
    seed: int | None = None,
    draws: int | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """`run` on the bundled company, from any folder; the posterior is kept in the report's folder."""
    folder = out or Path("reports") / "demo"
    return run(
        bundled("demo.toml"),
        out=folder,
        seed=seed,
        draws=draws,
        progress=progress,
        saved=folder / "posterior.nc",
    )


def bundled(name: str) -> Path:
    """A file that comes with the package; the notebook lies at the top of a checkout."""
    inside = Path(__file__).parent / "bundled" / name
    return inside if inside.exists() else Path(__file__).parents[1] / "notebooks" / name


def init(folder: Path) -> list[Path]:
    """Make a planning folder: models/ (study and sample data), notebooks/, reports/. Overwrites nothing.

    Raises UsageError, with nothing left behind, where a file is there already or the disk says no.
    """
    wanted = {
        folder / "models" / "demo.toml": "demo.toml",
        folder / "models" / "demo.csv": "demo.csv",
        folder / "notebooks" / "quarterly.py": "quarterly.py",
    }
    there = [path for path in wanted if path.exists()]
    if there:
        raise UsageError(
            f"{there[0]} exists already; nothing was written: choose another folder, or move it away"
        )
    folders = [folder, *(path.parent for path in wanted), folder / "reports"]
    new = [path for inner in folders for path in (inner, *inner.parents) if not path.exists()]
    try:
        for inner in folders:
            inner.mkdir(parents=True, exist_ok=True)
        for path, name in wanted.items():
            shutil.copyfile(bundled(name), path)
    except OSError as error:
        for path in wanted:
            with suppress(OSError):
                path.unlink()
        for path in sorted(set(new), key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                path.rmdir()
        raise UsageError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error
    return list(wanted)


def _folder(out: Path | None, study: Study) -> Path:
    return out or Path("reports") / study.name


def _seed(seed: int | None) -> int:
    return DEFAULT_SEED if seed is None else seed


def _summary(
    result: Forecast, posterior: Posterior, seconds: dict[str, float], *, fitted: bool
) -> dict[str, Any]:
    made = result.tables
    totals = made.forecast[(made.forecast["period"] == "total") & (made.forecast["channel"] == "total")]
    levers = {} if made.levers is None else made.levers.told()
    scenarios = {key: levers.pop(key) for key in ("scenarios",) if key in levers}
    return {
        "name": made.study.name,
        "as_of": made.study.as_of,
        "horizon": made.study.horizon,
        "currency": made.study.currency,
        "verdict": made.verdict.told(),
        "headline": made.headline,
        "totals": totals.drop(columns=["period", "channel"]).to_dict("records"),
        "allocation": made.allocation.to_dict("records"),
        "decision": {} if made.decision is None else made.decision.told(),
        "economics": results.economics_totals(made.economics),
        **({"levers": levers} if levers else {}),
        **scenarios,
        **({} if made.segments is None else {"segments": made.segments.told()}),
        **({} if made.recycling is None else {"recycling": made.recycling.told()}),
        "diagnostics": list(posterior.diagnostics),
        "provenance": {**made.provenance, "fitted_now": fitted, "draws": made.study.draws},
        "seconds": dict(seconds),
    }
