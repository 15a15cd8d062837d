"""The jobs of the command line, end to end: check, fit, run, allocate, scenarios, backtest, score, rank, demo, init.

Each composes the floors below and returns what it made. A run whose saved fit still holds never loads the sampler; what
one job alone uses is loaded where it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from forecast import results, written
from forecast.budget import Budget, Fixed, firmness
from forecast.checking import Done, bundled, read_asked, spoken_by
from forecast.columns import TOTAL
from forecast.errors import GateError, UsageError
from forecast.fit import (
    DEFAULT_DRAWS,
    DEFAULT_SEED,
    SAMPLER,
    Posterior,
    check_place,
    checked,
    fit_hash,
    fit_posterior,
    load_posterior,
    save_posterior,
)
from forecast.history import History, read_history
from forecast.judging import gain_check, judge
from forecast.making import BACKTEST, facts_of, kept_or_fitted, posterior_path, saved_backtest
from forecast.outputs import LEFT_OUT_FILE, CsvForm, csv_form, files_of
from forecast.planning import Forecast, check_compared, forecast
from forecast.progress import Clock, Progress, Silent
from forecast.report import recommendation, write_csv, write_outputs
from forecast.results import Levers, Past, Results, StudyFacts
from forecast.saved import BACKTEST as SCHEMA
from forecast.saved import sealed
from forecast.study import Study, load_study
from forecast.tables import json_text, plain, summed
from forecast.threads import alone
from forecast.words import speaking

TIDY, TIDY_TOTALS = "backtest.csv", "backtest_totals.csv"
RANKING = ("ranking.csv", "reliability.svg", "scoring.json")


@alone
def fit(
    study: Path,
    *,
    seed: int | None = None,
    draws: int | None = None,
    sampler: str | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    today: date | None = None,
) -> Done:
    """Fit a study, judge the fit, and save the posterior beside the study, with what it failed where it did.

    `sampler`: how draws are made, one of `fit.SAMPLERS`; see `fit.fit`.
    """
    loaded, history, _ = read_asked(study, overrides, today)
    path = posterior_path(loaded)
    _sweep(loaded.folder)
    check_place(path)
    posterior = fit_posterior(
        loaded,
        history,
        seed=_seed(seed),
        draws=draws or DEFAULT_DRAWS,
        progress=progress,
        sampler=sampler or SAMPLER,
    )
    save_posterior(posterior, path)
    made = Results(_facts(loaded), judge(loaded, history, posterior))
    summary = {
        "verdict": made.verdict.told(),
        "diagnostics": list(posterior.diagnostics),
        "provenance": posterior.provenance,
    }
    return Done(summary, path, made, spoken_by(loaded))


@alone
def run(
    study: Path,
    *,
    out: Path | None = None,
    seed: int | None = None,
    draws: int | None = None,
    sampler: str | None = None,
    overrides: Sequence[str] = (),
    go_on: bool = False,
    progress: Progress | None = None,
    today: date | None = None,
    saved: Path | None = None,
    preview: bool = False,
    outputs: Sequence[str] | None = None,
    csv_locale: str | None = None,
    paths: int | None = None,
) -> Done:
    """The whole job: read, fit unless a saved fit still holds, forecast, recommend, write all outputs to a folder.

    `saved`: where the posterior is kept (default: NAME.nc beside the study). `preview`: the instant posterior in closed
    form in place of a fit, whether or not one is saved; none is written, and the outputs say so. `go_on`: with a fit
    that failed its diagnostics the numbers are the fit's all the same, not the preview's. `sampler`: as of `fit`; where
    none is asked for, a saved fit holds whichever made it. `outputs`: kinds of `outputs.KINDS` (None: all).
    `csv_locale`: whose marks CSV files have, in place of the study's. `paths`: as of `planning.forecast`.
    """
    clock = Clock(progress or Silent())
    clock.step("read", "reading the study and its data")
    loaded, history, _ = read_asked(study, overrides, today, budget_too=True)
    folder = _folder(out, loaded)
    place = saved or posterior_path(loaded)
    inputs = [*loaded.inputs, place]
    read = {path: written.digest(path) for path in loaded.inputs}
    _sweep(loaded.folder)
    form = _form(loaded, csv_locale)
    written.check(folder, _files_of(loaded, history, outputs), inputs=inputs)
    past = saved_backtest(folder, loaded, history)
    asked = _seed(seed), draws or DEFAULT_DRAWS
    if preview:
        clock.step("fit", "approximating the fit in closed form")
        posterior, fitted = _preview(loaded, history, *asked), False
    else:
        clock.step("fit", "looking for a saved fit")
        posterior, fitted = kept_or_fitted(loaded, history, place, *asked, sampler, clock.progress)
        posterior = _usable(loaded, history, posterior, go_on=go_on)
    clock.step("allocate", "dividing the budget")
    made = forecast(
        loaded,
        history,
        posterior,
        seed=_seed(seed),
        backtest=past,
        command="forecast run --preview" if preview else "forecast run",
        paths=paths,
    )
    if made.left_out:
        clock.progress.step(
            f"left out, as their periods are none of this horizon: {', '.join(made.left_out)}"
        )
    _ = made.plans
    clock.step("simulate", "simulating the funnel")
    _ = made.draws
    clock.step("tables", "making the tables")
    summary = made.told(fitted=fitted)
    clock.step("write", "writing the report")
    summary |= {"made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    asked_for = {
        "seed": seed,
        "draws": draws,
        "sampler": sampler,
        "overrides": list(overrides),
        "go_on": go_on,
        "preview": preview,
        "outputs": None if outputs is None else list(outputs),
        "csv_locale": csv_locale,
        "today": None if today is None else today.isoformat(),
        **({} if paths is None else {"paths": paths}),
    }
    facts = facts_of(
        folder,
        loaded,
        history,
        read,
        run_id=made.run_id,
        made=summary["made"],
        posterior=None if preview else (place, written.digest(place)),
        past=past,
        asked=asked_for,
    )
    seconds = {"seconds": dict(clock.seconds)}
    write_outputs(
        folder, made, made.draws, summary | seconds, inputs=inputs, facts=facts, kinds=outputs, form=form
    )
    clock.stop()
    return Done(summary | {"seconds": dict(clock.seconds)}, folder, made, spoken_by(loaded))


def _preview(study: Study, history: History, seed: int, draws: int) -> Posterior:
    """The closed form, checked against the history like a fit."""
    from forecast.fit import preview  # with all that fits

    return checked(study, history, preview(study, history, seed=seed, draws=draws, weigh=True), seed)


def _usable(study: Study, history: History, fitted: Posterior, *, go_on: bool) -> Posterior:
    """The fit; where it failed its diagnostics the preview in its place, with what the fit failed."""
    failed = list(fitted.provenance.get("failures", []))
    if go_on or not failed:
        return fitted
    made = _preview(study, history, int(fitted.provenance["seed"]), int(fitted.provenance["draws"]))
    return replace(made, diagnostics=fitted.diagnostics, provenance=made.provenance | {"failures": failed})


@alone
def allocate(
    study: Path,
    budget: Budget = Fixed(),
    *,
    change: float | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    go_on: bool = False,
    progress: Progress | None = None,
    today: date | None = None,
) -> Done:
    """Divide another budget from the saved posterior, without fitting; `change` in place of the study's, `go_on` as in
    `run`.

    Raises DataError where there is no fit.
    """
    changed = [*overrides, *([] if change is None else [f"budget.change={change}"])]
    loaded, history, _ = read_asked(study, changed, today)
    (progress or Silent()).step("dividing the budget")
    base = _saved(loaded, history, seed=_seed(seed), go_on=go_on)
    decision, names = base.allocate(budget), base.case.paid_names
    firm = firmness(decision, names, loaded.currency)
    table = results.allocation_table(loaded, names, decision.allocation, firm)
    made = Results(
        study=_facts(loaded),
        verdict=judge(loaded, history, base.case.posterior, table, plausible=gain_check(base.case, decision)),
        headline=results.gain_of(decision.allocation),
        allocation=table,
        decision=firm,
    )
    summary = {
        "name": loaded.name,
        "currency": loaded.currency,
        "verdict": made.verdict.told(),
        "headline": {**made.headline, "recommendation": recommendation(made)},
        "allocation": table.to_dict("records"),
        "decision": firm.told(),
    }
    return Done(summary, None, made, spoken_by(loaded))


def _facts(study: Study) -> StudyFacts:
    return StudyFacts(study.name, study.currency, language=study.language, locale=study.locale)


def _saved(study: Study, history: History, *, seed: int, go_on: bool) -> Forecast:
    """The forecast of a study with its saved posterior, if that is of what it says. Raises DataError, UsageError."""
    posterior = load_posterior(posterior_path(study))
    known = posterior.provenance
    made_as = int(known.get("seed", 0)), int(known.get("draws", 0)), str(known.get("method", SAMPLER))
    if not known.keys() >= {"seed", "draws"} or known.get("fit_hash") != fit_hash(study, history, *made_as):
        raise UsageError(
            f"{posterior_path(study)}: fitted on other data, funnel or priors than the study has now; "
            "run `forecast fit` first"
        )
    posterior = _usable(study, history, posterior, go_on=go_on)
    return forecast(study, history, posterior, seed=seed)


@alone
def scenarios(
    study: Path,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    go_on: bool = False,
    progress: Progress | None = None,
    today: date | None = None,
) -> Done:
    """Compare the study's scenarios from the saved posterior, without fitting; `go_on` as in `run`."""
    loaded, history, _ = read_asked(study, overrides, today)
    check_compared(loaded)
    (progress or Silent()).step("comparing the scenarios")
    base = _saved(loaded, history, seed=_seed(seed), go_on=go_on)
    table = base.scenarios().frame
    found = judge(loaded, history, base.case.posterior)
    made = Results(_facts(loaded), found, levers=Levers(scenarios=table))
    summary = {
        "name": loaded.name,
        "currency": loaded.currency,
        "verdict": made.verdict.told(),
        "scenarios": table.to_dict("records"),
    }
    return Done(summary, None, made, spoken_by(loaded))


@alone
def backtest(
    study: Path,
    *,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    draws: int | None = None,
    today: date | None = None,
    csv_locale: str | None = None,
    **options: Any,
) -> Done:
    """`run_backtest` on a study file, with its `options`; writes backtest.json, backtest.csv and backtest_totals.csv.

    Origins that are finished lie there too, so that a backtest that was stopped goes on where it was.
    """
    from forecast.backtest import run_backtest, tidy

    loaded = load_study(study, overrides)
    history = read_history(loaded, today=today)
    folder = _folder(out, loaded)
    _sweep(loaded.folder)
    form = _form(loaded, csv_locale)
    written.check(folder, (BACKTEST, TIDY, TIDY_TOTALS), inputs=loaded.inputs)
    options |= {"draws": draws} if draws else {}
    records, summary = run_backtest(loaded, history, seed=_seed(seed), results=folder, **options)
    table = tidy(records)
    sums = summed(table, {"period": TOTAL, "channel": TOTAL})
    written.write(
        folder,
        {
            TIDY: lambda path: write_csv(table[~sums], path, form),
            TIDY_TOTALS: lambda path: write_csv(table[sums], path, form),
            BACKTEST: lambda path: path.write_bytes(json_text(sealed(plain(summary), SCHEMA)).encode()),
        },
        command="backtest",
        inputs=loaded.inputs,
    )
    return Done(summary, folder, Past.of(summary), spoken_by(loaded))


def check_gate(summary: Mapping[str, Any]) -> None:
    """Raises GateError where a backtest misses a threshold."""
    missed = [c for c in summary["gate"]["checks"] if c["missed"]]
    if missed:
        lines = [f"{c['name']}: {c['value']} (expected {c['threshold']})" for c in missed]
        raise GateError("the backtest misses its gate:\n  " + "\n  ".join(lines))


@alone
def score(
    folder: Path,
    study: Path,
    *,
    plan: str = "given",
    blocks: int | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    today: date | None = None,
    csv_locale: str | None = None,
) -> Done:
    """Score the run in `folder` by the history of `study` as it is now; writes `SCORE_FILES` beside the run.

    plan: which of its two plans was followed. blocks: so many horizons are shown as forecast then, the run's own among
    them (None: `backtest.BLOCKS`). Raises DataError where `folder` holds no run, or nothing of its horizon has come
    yet.
    """
    from forecast.backtest import BLOCKS
    from forecast.report import SCORE_FILES
    from forecast.reviewing import score as score_run

    teller = progress or Silent()
    teller.step("reading the run and the history")
    if folder.is_dir():
        written.check(folder, SCORE_FILES)
    loaded = load_study(study, overrides)
    history = read_history(loaded, today=today)
    _form(loaded, csv_locale)
    found = score_run(folder, loaded, history, plan=plan, blocks=blocks or BLOCKS, progress=teller)
    teller.step("writing the report")
    found.write(csv_locale=csv_locale)
    return Done(plain(found.told), folder, dict(found.told), spoken_by(loaded))


@alone
def rank(
    study: Path,
    *,
    out: Path | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    today: date | None = None,
    csv_locale: str | None = None,
) -> Done:
    """Rank the open leads of a study; writes ranking.csv, scoring.json and reliability.svg.

    Raises StudyError, DataError or UsageError.
    """
    from forecast.leads import rank_leads, read_lead_table, with_returns
    from forecast.report import figure_svg, scoring_figure

    teller = progress or Silent()
    teller.step("reading the study and its leads")
    loaded = load_study(study, overrides)
    history = read_history(loaded, today=today)
    folder = _folder(out, loaded)
    _sweep(loaded.folder)
    form = _form(loaded, csv_locale)
    written.check(folder, RANKING, inputs=loaded.inputs)
    table = with_returns(loaded, read_lead_table(loaded))
    made = rank_leads(loaded, history, table, seed=_seed(seed), progress=teller)
    worked = made.summary["threshold"]["worked_a_period"]
    with speaking(*spoken_by(loaded)):
        drawn = figure_svg(
            scoring_figure(
                made.reliability, made.curve, worked=worked, money=made.valued, currency=loaded.currency
            )
        )
    told = json_text(made.summary, indent=1)
    makers = (
        lambda path: write_csv(made.table, path, form),
        lambda path: path.write_bytes(drawn.encode()),
        lambda path: path.write_bytes(told.encode()),
    )
    files = dict(zip(RANKING, makers, strict=True))
    written.write(folder, files, command="rank", inputs=loaded.inputs)
    return Done(made.summary, folder, made, spoken_by(loaded))


@alone
def demo(
    *,
    out: Path | None = None,
    seed: int | None = None,
    draws: int | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    **options: Any,
) -> Done:
    """`run` on the bundled company, with its `options`, from any folder; the posterior is kept in the report's."""
    folder = out or Path("reports") / "demo"
    return run(
        bundled("demo.toml"),
        out=folder,
        seed=seed,
        draws=draws,
        overrides=overrides,
        progress=progress,
        saved=folder / "posterior.nc",
        **options,
    )


def _folder(out: Path | None, study: Study) -> Path:
    return out or Path("reports") / study.name


def _form(study: Study, asked: str | None) -> CsvForm:
    """The form of CSV files that was asked for, else the study's."""
    return csv_form(study.outputs.csv_locale if asked is None else asked)


def _files_of(study: Study, history: History, kinds: Sequence[str] | None) -> list[str]:
    """The files that a run of a study will write, as far as they are known before it."""
    never = {f"{name}.csv" for name in ("scenarios", "goals") if not getattr(study, name)}
    if not any(out.n for file in history.files for out in file.left_out):
        never.add(LEFT_OUT_FILE)
    return sorted(files_of(kinds) - never)


def _sweep(folder: Path) -> None:
    """What a command that was killed has left beside the study goes, where that can be written."""
    with suppress(OSError):
        written.finish(folder)


def _seed(seed: int | None) -> int:
    return DEFAULT_SEED if seed is None else seed
