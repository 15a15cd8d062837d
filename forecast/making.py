"""What a run was made from, as the manifest of its folder says it: for `sign` and `verify`, which hold the run to it.

facts_of      study, data, posterior and backtest by path and hash, versions, and how it was asked
changed       what of it, and of the run's outputs, is not as the manifest says
by_hand       what of a forecast made in Python is in no file, so that nobody can make it again
saved_as      the posterior of a forecast made in Python: where it lies, or its bytes to be written beside the run
fit_or_load   the saved posterior of a study where it still holds, else a new one
saved_backtest   the summary of the backtest in a folder, where it belongs to the study
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from forecast import written
from forecast.backtest import read_summary
from forecast.errors import DataError, ForecastError, UsageError
from forecast.fit import (
    DEFAULT_DRAWS,
    DEFAULT_SEED,
    SAMPLER,
    Posterior,
    check_place,
    content_hash,
    fit_hash,
    fit_posterior,
    load_posterior,
    package_versions,
    posterior_bytes,
    save_posterior,
    timeless,
)
from forecast.history import History
from forecast.outputs import POSTERIOR_FILE
from forecast.progress import Progress, Silent
from forecast.study import Study, load_study, on_server, taken_back
from forecast.tables import plain

BACKTEST = "backtest.json"  # read again by the next run


def posterior_path(study: Study) -> Path:
    """Where the fitted posterior of a study lies: NAME.nc beside the study file."""
    return study.folder / f"{study.name}.nc"


def facts_of(
    folder: Path,
    study: Study,
    history: History,
    read: Mapping[Path, str],
    *,
    run_id: str,
    made: str,
    posterior: tuple[Path, str] | None,
    past: Mapping[str, Any] | None,
    asked: Mapping[str, Any],
    by_hand: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The facts of a run in `folder`: paths as seen from there.

    read: the study file and its data, with the hash that each had when it was read. posterior: its file and hash; None
    for a preview. past: the backtest beside the run. by_hand: of `by_hand`. `server` of the facts: tables that lie on
    one, with the hash of what they were read to, as no file stands for them.
    """
    held = _on_server(study, history)
    named = {path: _named(path, folder, sha) for path, sha in read.items()}
    own = named.pop(study.path, None) if study.path is not None else None
    beside = None if past is None or "backtest" in by_hand else folder / BACKTEST
    return {
        "run_id": run_id,
        "made": made,
        "versions": package_versions(),
        "posterior": None if posterior is None else _named(posterior[0], folder, posterior[1]),
        "backtest": None if beside is None else _named(beside, folder, written.digest(beside)),
        "asked": dict(asked),
        "study": own,
        "data": list(named.values()),
        **({"server": held} if held else {}),
        **({"by_hand": list(by_hand)} if by_hand else {}),
    }


def changed(folder: Path, manifest: written.Manifest) -> Iterator[str]:
    """What is not as the manifest of a run in `folder` says: of its outputs, and of the files that it was made from.

    Raises UsageError where the manifest names no run.
    """
    facts = manifest["commands"].get("run")
    if facts is None:
        raise UsageError(f"{folder}: its manifest names no run; give a folder that `forecast run` wrote")
    made_from = filter(None, [facts["study"], *facts["data"], facts["posterior"], facts["backtest"]])
    said = [(folder / name, entry["sha256"]) for name, entry in manifest["files"].items()]
    for path, sha in said + [(written.absolute(each["path"], folder), each["sha256"]) for each in made_from]:
        try:
            if written.digest(path) != sha:
                yield f"{path}: changed"
        except FileNotFoundError:
            yield f"{path}: missing"
        except OSError as error:
            yield f"{path}: cannot be read ({error.strerror or error})"


def _on_server(study: Study, history: History) -> dict[str, str]:
    return {file.file: history.sources[file.file] for file in history.files if on_server(study, file.role)}


def _named(path: Path, folder: Path, sha: str) -> dict[str, str]:
    return {"path": written.relative(path, folder), "sha256": sha}


def in_python(
    folder: Path,
    study: Study,
    history: History,
    posterior: Posterior,
    run_id: str,
    made: str,
    past: Mapping[str, Any] | None,
    asked: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The facts of a run that `Forecast.write` writes, and what else `write_outputs` is to write and to leave alone.

    Files are hashed as they are now; where that is not how they were read, `by_hand` says so.
    """
    place, sha, content = saved_as(folder, study, posterior)
    facts = facts_of(
        folder,
        study,
        history,
        {path: written.digest(path) for path in study.inputs if path.is_file()},
        run_id=run_id,
        made=made,
        posterior=(place, sha),
        past=past,
        asked=asked,
        by_hand=by_hand(folder, study, history, past),
    )
    inputs = study.inputs if content is not None else [*study.inputs, place]
    return facts, {"inputs": inputs, "beside": {} if content is None else {POSTERIOR_FILE: content}}


def by_hand(folder: Path, study: Study, history: History, past: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What of a forecast is in no file as it is now: study, history, backtest.

    A study is its file with what was replaced (`Study.overrides`); a history is what was read of the files; a backtest
    that of the run's own folder.
    """
    found = []
    if not _is_of_its_file(study):
        found.append("study")
    held = _on_server(study, history)
    files = {name: sha for name, sha in history.sources.items() if name not in held}
    now = {_digest(study.folder / name) for name in files}
    if not history.files or now != set(files.values()):
        found.append("history")
    if past is not None and not _is_beside(folder, past):
        found.append("backtest")
    return tuple(found)


def _is_of_its_file(study: Study) -> bool:
    if study.path is None:
        return False
    try:
        again = load_study(study.path, study.overrides)
    except ForecastError:
        return False
    apart = (
        {"scenarios", "goals"} if taken_back(study) else None
    )  # `forecast` leaves out what the horizon has not
    return again.model_dump(exclude=apart) == study.model_dump(exclude=apart)


def _digest(path: Path) -> str:
    try:
        return written.digest(path)
    except OSError:
        return ""


def _is_beside(folder: Path, past: Mapping[str, Any]) -> bool:
    try:
        return bool(plain(read_summary(folder / BACKTEST)) == plain(past))
    except (DataError, OSError):
        return False


def saved_as(folder: Path, study: Study, posterior: Posterior) -> tuple[Path, str, bytes | None]:
    """Where a posterior lies, the hash of that file, and its bytes where it is still to be written: beside the run.

    It lies beside the study where `fit` or `save_posterior` has put it (`posterior_path`), if that is just this one.
    """
    place = posterior_path(study)
    if place.is_file() and _holds(place, posterior):
        return place, written.digest(place), None
    content = posterior_bytes(posterior)
    return folder / POSTERIOR_FILE, hashlib.sha256(content).hexdigest(), content


def _holds(path: Path, posterior: Posterior) -> bool:
    try:
        saved = load_posterior(path)
    except DataError:
        return False
    same = timeless(saved.provenance) == timeless(posterior.provenance)  # how long it took is in no file
    return same and content_hash(saved.data) == content_hash(posterior.data)


def fit_or_load(
    study: Study,
    history: History,
    path: Path | str | None = None,
    *,
    seed: int = DEFAULT_SEED,
    draws: int = DEFAULT_DRAWS,
    progress: Progress | None = None,
) -> Posterior:
    """The saved posterior where it was fitted on just this, else a new one, which is saved; as `forecast run` does it.

    path: where it is kept; default: NAME.nc beside the study. See `fit.fit_posterior`.
    """
    place = posterior_path(study) if path is None else Path(path)
    return kept_or_fitted(study, history, place, seed, draws, None, progress or Silent())[0]


def kept_or_fitted(
    study: Study,
    history: History,
    path: Path,
    seed: int,
    draws: int,
    sampler: str | None,
    progress: Progress,
) -> tuple[Posterior, bool]:
    """The saved posterior if it was fitted on just this, else a new one (saved); and whether it is new.

    One that failed its diagnostics is kept with what failed: the same data would fail again.
    """
    if path.is_file():
        saved = load_posterior(path)
        by = sampler or str(saved.provenance.get("method", SAMPLER))
        made_as = {"seed": seed, "draws": draws, "fit_hash": fit_hash(study, history, seed, draws, by)}
        if made_as.items() <= saved.provenance.items():
            return saved, False
    check_place(path)
    posterior = fit_posterior(
        study, history, seed=seed, draws=draws, progress=progress, sampler=sampler or SAMPLER
    )
    save_posterior(posterior, path)
    return load_posterior(path), True


def saved_backtest(folder: Path, study: Study, history: History) -> dict[str, Any] | None:
    """The summary of the backtest in `folder`, if it belongs to this study and these data, or an earlier part of them.

    Raises DataError for a file that is damaged.
    """
    path = folder / BACKTEST
    if not path.is_file():
        return None
    from forecast.backtest import belongs

    summary = read_summary(path)
    return summary if belongs(summary, study, history) else None
