"""`forecast run` of several studies: each run as it is alone, side by side, then what they add up to.

    one_unit     a study's run, and what of it the group needs
    run_group    all of them, and the group's report

A unit that fails is named and does not stop the rest. What a finished unit told is kept beside its group as a line of
`LINES`; a group that is run again takes it as it is where the manifest of the unit's run says that nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from forecast import written
from forecast.checking import Done
from forecast.checks import FAIL
from forecast.columns import TOTAL
from forecast.errors import ForecastError, UsageError
from forecast.fit import DEFAULT_SEED, SCHEMA, package_versions
from forecast.grouping import SHAPE, common_periods, grouped, unit_record
from forecast.history import read_history, read_plan
from forecast.jobs import InPlace, Record, cluster, finished, pool, run_jobs, saved_lines
from forecast.making import BACKTEST, changed
from forecast.outputs import csv_form
from forecast.periods import period_label
from forecast.progress import Progress, Silent
from forecast.report import GROUP_FILES, group_files, write_group
from forecast.study import Study, load_study, on_server
from forecast.tables import plain
from forecast.unforeseen import foreseen
from forecast.words import message, typed
from forecast.workflow import run

LINES = "group-units.jsonl"
SETTINGS = {"units": 1}  # schema of the lines
EXECUTORS = ("inline", "processes", "dask")


@dataclass(frozen=True)
class Unit:
    """A run that is asked for: the study as it was named, the folder of its outputs, the options of `workflow.run`."""

    study: Path
    folder: Path
    options: Mapping[str, Any]


def one_unit(unit: Unit) -> Record:
    """Run a unit; what of it the group needs. Raises what `workflow.run` raises."""
    since = time.perf_counter()
    done = run(unit.study, out=unit.folder, **unit.options)
    made = done.made
    draws = made.draws.sel(plan="given")
    draws = (
        draws[[name for name in ("revenue", "won") if name in draws]]
        .sum("channel")
        .transpose("draw", "period")
    )
    seconds = round(time.perf_counter() - since, 3)
    return unit_record(done.summary, made, draws, made.case.history, seconds)


def run_group(
    studies: Sequence[Path],
    *,
    out: Path | None = None,
    executor: str = "inline",
    scheduler: str | None = None,
    workers: int | None = None,
    correlation: float | None = None,
    rates: Mapping[str, float] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Done:
    """Run every study, each into its own folder below `out` (reports/), and write the group's report there.

    executor: one of `EXECUTORS`; scheduler: the address of one of Dask; workers: processes (default: one a core).
    correlation: of the units' futures, in place of what their pasts teach. rates: by currency what one of it is worth
    in the group's. options: of `workflow.run`.

    Raises UsageError, StudyError or DataError before anything runs: studies of one name, currencies without rates,
    periods of two kinds, horizons that have no period in common; ForecastError with the worst exit code where every
    unit failed. `summary["exit_code"]` is the worst of the units' codes: the lowest above 0.
    """
    teller, place = progress or Silent(), out or Path("reports")
    today: date | None = options.get("today")
    asked = plain({**options, "today": None if today is None else today.isoformat()})
    names, failed, loaded = _named(studies, options)
    currency = _currency(loaded, rates or {})
    kinds = options.get("outputs")
    inputs = [path for study in loaded.values() for path in study.inputs]
    written.check(place, sorted(group_files(kinds)), inputs=inputs)
    away = Path.absolute if scheduler is not None else Path  # workers of elsewhere stand in other folders
    units = {name: Unit(away(names[name]), away(place / name), options) for name in loaded}
    good, more = _ran(units, loaded, asked, place / LINES, teller, executor, scheduler, workers)
    failed += more
    go_on = bool(options.get("go_on"))
    codes = [each["exit_code"] for each in failed]
    codes += [4 for record in good if record["status"] == FAIL and not go_on]
    code = min(codes, default=0)
    if not good:
        raise _all_failed(failed, code)
    teller.step("adding up")
    found = grouped(
        good,
        failed,
        currency=currency,
        rates=rates or {},
        correlation=correlation,
        seed=DEFAULT_SEED if options.get("seed") is None else options["seed"],
    )
    spoken = _spoken(loaded, good)
    form = csv_form(options.get("csv_locale"))
    write_group(place, found, inputs=inputs, kinds=kinds, form=form, spoken=spoken)
    return Done({**found, "exit_code": code}, place, found, spoken)


def _ran(
    units: Mapping[str, Unit],
    loaded: Mapping[str, Study],
    asked: Mapping[str, Any],
    lines: Path,
    teller: Progress,
    executor: str,
    scheduler: str | None,
    workers: int | None,
) -> tuple[list[Record], list[Record]]:
    """The records of the units, those that are finished as they are, and what failed; `lines` then holds the former."""
    known = finished(lines, SETTINGS, SHAPE)
    keys = {name: _key(unit, loaded[name], asked, known) for name, unit in units.items()}
    left = [name for name, key in keys.items() if key not in known]
    teller.step(f"{len(units)} studies, of which {len(units) - len(left)} are finished already")
    told = 0

    def done(key: str, record: Record) -> None:
        nonlocal told
        told += 1
        teller.update(told, len(left), _name(key))
        if "error" in record:
            teller.step(f"{_name(key)}: failed (exit code {record['exit_code']}); the others go on")

    with _executor(
        executor, scheduler, min(workers or os.cpu_count() or 1, max(len(left), 1)), any_left=bool(left)
    ) as own:
        jobs = {keys[name]: units[name] for name in units}
        there = [known[key] for key in keys.values() if key in known]
        _check_horizons(own, {name: units[name] for name in left}, loaded, there)
        records = run_jobs(
            one_unit,
            jobs,
            executor=own,
            results=lines,
            settings=SETTINGS,
            done=done,
            shape=SHAPE,
            failed=_failure,
        )
    good = {key: record for key, record in records.items() if "error" not in record}
    failed = [{"name": _name(k), **record} for k, record in records.items() if "error" in record]
    if good or known:
        saved_lines(lines, good, SETTINGS)
    return list(good.values()), failed


def _spoken(loaded: Mapping[str, Study], good: Sequence[Record]) -> tuple[str, str]:
    """Language and locale of the first unit that is in the group."""
    first = loaded[good[0]["name"]]
    return first.language, first.locale


# ------------------------------------------------------------------------------------------------- before anything runs


def _named(
    studies: Sequence[Path], options: Mapping[str, Any]
) -> tuple[dict[str, Path], list[Record], dict[str, Study]]:
    """Studies by name, those that cannot be read, and those that can.

    Raises UsageError where two would write into one folder.
    """
    names: dict[str, Path] = {}
    failed: list[Record] = []
    loaded: dict[str, Study] = {}
    folders: dict[str, Path] = {}
    for path in dict.fromkeys(studies):
        try:
            study = load_study(path, options.get("overrides", ()))
        except ForecastError as error:
            failed.append({"name": str(path), **_failure(error)})
            continue
        before = folders.get(study.name.casefold())
        if before is not None:
            said = (
                'the studies {first} and {second} are both named "{name}", and would write into one folder: give one '
                "of them another name"
            )
            raise UsageError(message(said, first=before, second=path, name=study.name))
        if study.name in (*GROUP_FILES, LINES, written.MANIFEST, written.STAGING):
            raise UsageError(
                message(
                    '{path}: "{name}" is a file of the group: give it another name',
                    path=path,
                    name=study.name,
                )
            )
        if study.name in TOTAL:
            raise UsageError(
                message(
                    '{path}: "{name}" stands for the sum of the units: give it another name',
                    path=path,
                    name=study.name,
                )
            )
        folders[study.name.casefold()] = names[study.name] = path
        loaded[study.name] = study
    if not loaded:
        raise _all_failed(failed, min(each["exit_code"] for each in failed))
    kinds = {study.history.period: name for name, study in loaded.items()}
    if len(kinds) > 1:
        told = [message("{name} by {kind:word}", name=name, kind=kind) for kind, name in kinds.items()]
        raise UsageError(
            message("the studies have periods of different kinds: {told:list}; a group has one", told=told)
        )
    return names, failed, loaded


def _currency(loaded: Mapping[str, Study], rates: Mapping[str, float]) -> str:
    """The currency of the group: the one that needs no rate. Raises UsageError where several, or none, have none."""
    used = {study.currency: name for name, study in loaded.items()}
    if unused := [code for code in rates if code not in used]:
        raise UsageError(
            message(
                "--rate {code}: no study has this currency; there are {used:list}",
                code=unused[0],
                used=list(used),
            )
        )
    own = [code for code in used if code not in rates]
    if len(own) == 1:
        return own[0]
    if not own:
        raise UsageError("--rate: every currency of the studies has a rate: the one of the group takes none")
    first, *others = own
    said = (
        "the studies are in different currencies ({units:list}): give a rate for all but the group's, what one unit of "
        "it is worth there: {options}"
    )
    units = [message("{name} in {code}", name=used[code], code=code) for code in own]
    options = " ".join(f"--rate {code}=..." for code in others)
    raise UsageError(message(said, units=units, options=options, first=first))


def horizon_of(unit: Unit) -> Record:
    """The periods that a unit's run is to forecast, from its data alone. Raises what `workflow.run` raises of them."""
    study = load_study(unit.study, unit.options.get("overrides", ()))
    horizon = read_plan(study, read_history(study, today=unit.options.get("today")))["period"].values
    kind = study.history.period
    return {"name": study.name, "period": kind, "horizon": [period_label(start, kind) for start in horizon]}


def _check_horizons(
    executor: Executor, left: Mapping[str, Unit], loaded: Mapping[str, Study], there: Sequence[Record]
) -> None:
    """Raises DataError where the horizons of those that are left and of the finished ones have no period in common.

    A history is read for it, which is little beside a run. Not from a server, which may have much to do for it: such a
    unit tells its horizon when it has run. One that cannot be read fails when it runs.
    """
    asked = {
        name: unit
        for name, unit in left.items()
        if not any(on_server(loaded[name], role) for role in ("counts", "leads"))
    }
    if len(asked) + len(there) > 1:
        found = run_jobs(horizon_of, asked, executor=executor).values()
        common_periods([*there, *(record for record in found if "error" not in record)], ran=False)


# ----------------------------------------------------------------------------------------------------- what is finished


def _key(unit: Unit, study: Study, asked: Mapping[str, Any], known: Mapping[str, Record]) -> str:
    """The key of a unit's line: that of a finished run that holds, else one that no line has."""
    inputs = {}
    for path in study.inputs:
        try:
            inputs[written.relative(path, unit.folder)] = written.digest(path)
        except OSError:
            inputs[written.relative(path, unit.folder)] = ""  # the run says what is wrong
    made_from = json.dumps([inputs, dict(asked), SCHEMA, package_versions()], sort_keys=True)
    digest = hashlib.sha256(made_from.encode()).hexdigest()[:12]
    own = [key for key in known if key.startswith(f"{digest} ") and _name(key) == study.name]
    there = next((key for key in own if _holds(unit.folder, known[key], inputs, asked)), None)
    free = (f"{digest} {n} {study.name}" for n in range(len(own) + 1))
    return there or next(key for key in free if key not in known)


def _name(key: str) -> str:
    """The unit of a key."""
    return key.split(" ", maxsplit=2)[2]


def _holds(folder: Path, record: Record, inputs: Mapping[str, str], asked: Mapping[str, Any]) -> bool:
    """Whether the run in a folder is the one of a line: same inputs, versions and options, and every output whole."""
    try:
        if written.unfinished(folder) is not None:
            return False
        manifest = written.manifest_of(folder)
        facts = (manifest or {"commands": {}})["commands"].get("run")
        if manifest is None or facts is None or facts["run_id"] != record["run_id"]:
            return False
        files = [each for each in (facts["study"], *facts["data"]) if each is not None]
        same = {each["path"]: each["sha256"] for each in files} == dict(inputs)
        same &= facts["versions"] == package_versions()
        same &= all(facts["asked"].get(key) == value for key, value in asked.items())
        same &= (facts["backtest"] is not None) == (folder / BACKTEST).is_file()
        return bool(same) and next(changed(folder, manifest), None) is None
    except (OSError, UsageError, KeyError):
        return False


# -------------------------------------------------------------------------------------------------------- where it runs


@contextmanager
def _executor(name: str, scheduler: str | None, workers: int, *, any_left: bool) -> Iterator[Executor]:
    """The executor of a name; nothing is started where nothing is left to run."""
    if name not in EXECUTORS:
        raise UsageError(
            message('--executor: expected one of {known:list}; got "{name}"', known=EXECUTORS, name=name)
        )
    if scheduler is not None and name != "dask":
        raise UsageError("--scheduler: is of Dask: add --executor dask")
    if not any_left or name == "inline":
        yield InPlace()
        return
    with cluster(scheduler, workers) if name == "dask" else pool(workers) as own:
        yield own


def _failure(error: BaseException) -> Record:
    """The record of a unit that failed: its message and the exit code that it has alone."""
    seen = error if isinstance(error, ForecastError) else foreseen(error) or error
    if isinstance(seen, ForecastError):
        return {"error": typed(seen.said), "exit_code": seen.exit_code}
    return {"error": f"{type(seen).__name__}: {seen}", "exit_code": 1}


def _all_failed(failed: Sequence[Record], code: int) -> ForecastError:
    """The error of a group of which nothing is left."""
    told = [f"{each['name']} (exit code {each['exit_code']}): {each['error']}" for each in failed]
    error = ForecastError("every unit failed:\n" + "\n".join(told))
    error.exit_code = code
    return error
