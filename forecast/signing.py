"""The plan of record: what was signed, by whom and on what grounds, and whether anything has changed since.

The record is one file of lines beside the run folders, `plan-of-record.jsonl`, to which `sign` only appends. An entry
holds the hashes of study, data, posterior and outputs of a run, versions, verdict, who and when, the plan that is to be
followed and, where that is not the recommended one, why; and the hash of the entry before, so that none can be changed
or taken out without breaking those after it. `verify` compares a run with what its manifest and the record say, to the
bit; `remake` makes the run again and compares that.

What is not found: a record that is written anew as a whole, or whose last entries are cut off. The hash of the last
entry, which `sign` and `log` print, tells of both where it is kept elsewhere (in the minutes of a meeting, say).
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from forecast import written
from forecast.amounts import parse_number
from forecast.backtest import read_summary
from forecast.checks import FAIL
from forecast.errors import DataError, GateError, UsageError
from forecast.fit import load_posterior, package_versions
from forecast.history import read_history
from forecast.making import BACKTEST, changed
from forecast.outputs import BESIDE
from forecast.planning import forecast
from forecast.progress import Progress, Silent
from forecast.saved import SEAL, exact, exactly
from forecast.stopping import scratch
from forecast.study import load_study
from forecast.words import Message, message, text, typed
from forecast.workflow import run

RECORD = "plan-of-record.jsonl"
START = "0" * 64  # before the first entry
ENTRY = 1
SHORT = 12  # letters of a hash that people read
APART = ("seconds", "made", SEAL)  # of summary.json: when, how long it took, and the checksum over both
CURRENT, RECOMMENDED = "current", "recommended"
Entry = dict[str, Any]


# --------------------------------------------------------------------------------------------------------------- sign


def sign(
    folder: Path | str,
    *,
    by: str | None = None,
    chosen: str | None = None,
    override: str = "",
    record: Path | str | None = None,
    now: datetime | None = None,
) -> Entry:
    """Append a run to the plan of record, and return the entry.

    chosen: the plan that is to be followed: "recommended" (the default), "current", or a CSV of channel and spend over
    the horizon. override: why, where that is not the recommended one or the verdict is FAIL; such a reason is needed.
    by: who signs (default: the name under which the system knows the user). Raises GateError where anything in the
    folder has changed, or the record is broken; UsageError, DataError.
    """
    folder = Path(folder)
    place = record_of(folder) if record is None else Path(record)
    if differences := [*_folder(folder), *_chain(place)]:
        raise GateError("not signed, as something has changed:\n  " + "\n  ".join(differences))
    facts, manifest = _facts(folder)
    if facts.get("by_hand"):
        raise GateError(text(message("not signed: {why}", why=_by_hand(facts))))
    summary = _summary(folder)
    plan = _plan(summary, chosen or RECOMMENDED)
    fails = summary["verdict"]["status"] == FAIL
    reason = override.strip()
    if not reason and (fails or plan["chosen"] != RECOMMENDED):
        why = "the verdict is FAIL" if fails else "the plan is not the recommended one"
        raise UsageError(f"--override: {why}; say why it is signed all the same: --override REASON")
    entry = {
        "forecast": ENTRY,
        "signed": (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "by": by or _user(),
        "run": written.relative(folder, place.parent),
        "run_id": facts["run_id"],
        "name": summary["name"],
        "as_of": summary["as_of"],
        "horizon": summary["horizon"],
        "currency": summary["currency"],
        "verdict": {key: summary["verdict"][key] for key in ("status", "sentence")},
        "made": facts["made"],
        "study": facts["study"],
        "data": facts["data"],
        "posterior": facts["posterior"],
        "versions": facts["versions"],
        "outputs": _outputs(manifest),
        "plan": plan,
        "override": reason or None,
    }
    made: list[Entry] = []

    def lines(last: bytes) -> Sequence[str]:
        number = json.loads(last)["n"] + 1 if last else 1
        made[:] = [{**entry, "n": number, "before": _hash(last) if last else START}]
        return [exact(made[0]).decode()]

    try:
        written.append(place, lines)
    except OSError as error:
        said = "{path}: the record cannot be written ({reason}); give another one with --record"
        raise UsageError(message(said, path=place, reason=error.strerror or str(error))) from error
    return made[0]


def _by_hand(facts: Mapping[str, Any]) -> Message:
    """What of a run that was made in Python is in no file."""
    said = (
        "made in Python from what is in no file as it is now: {what:list} (a study is its file with what was replaced, "
        "a history what is read of its files)"
    )
    return message(said, what=list(facts["by_hand"]))


def record_of(folder: Path) -> Path:
    """The record of a run: beside its folder, one for all runs there."""
    return folder.absolute().parent / RECORD


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise UsageError("--by: the system knows no name of yours; say who signs: --by NAME") from None


def _plan(summary: Mapping[str, Any], chosen: str) -> dict[str, Any]:
    """The plan that is to be followed, by channel over the horizon, and the recommended one beside it."""
    rows = summary["allocation"]
    recommended = {row["channel"]: row["recommended"] for row in rows}
    if chosen == RECOMMENDED:
        spend = recommended
    elif chosen == CURRENT:
        spend = {row["channel"]: row["current"] for row in rows}
    else:
        spend = _spend_of(Path(chosen), list(recommended))
    same = all(abs(spend[name] - recommended[name]) < 0.005 for name in recommended)
    return {
        "chosen": RECOMMENDED if same else chosen,
        "spend": spend,
        "total": sum(spend.values()),
        "recommended": recommended,
    }


def _spend_of(path: Path, channels: Sequence[str]) -> dict[str, float]:
    """Spend by channel from a CSV of channel and spend; rows of a channel add up. Raises DataError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"--chosen: {path}: cannot be read as a CSV of channel and spend ({error})") from None
    spend = dict.fromkeys(channels, 0.0)
    seen = set()
    for number, row in enumerate(rows, start=2):
        if row.get("channel") not in spend:
            known = ", ".join(channels)
            raise DataError(
                f'{path}: row {number}: column channel: expected one of {known}; came "{row.get("channel")}"'
            )
        try:
            spend[str(row["channel"])] += parse_number(str(row.get("spend")), option="spend")
        except ValueError as error:
            raise DataError(f"{path}: row {number}: column spend: {error}") from None
        seen.add(row["channel"])
    if absent := [name for name in channels if name not in seen]:
        raise DataError(f"{path}: no row for {', '.join(absent)}; add it, 0 to spend nothing")
    return spend


# ------------------------------------------------------------------------------------------------------------- verify


def verify(
    folder: Path | str,
    *,
    record: Path | str | None = None,
    remake: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What differs of a run, of what it was made from, and of the record: one text each; notes beside.

    remake: also make the run again, into a folder of its own, and compare byte for byte. Raises UsageError where the
    folder holds no run that can be verified.
    """
    folder = Path(folder)
    place = record_of(folder) if record is None else Path(record)
    differences, notes = list(dict.fromkeys(_folder(folder))), list[str]()
    if not differences:
        facts, manifest = _facts(folder)
        if facts.get("by_hand"):
            notes.append(text(_by_hand(facts)))
        if facts["posterior"] is None:
            notes.append("a preview: it has no posterior of its own, all else was compared")
        if held := sorted(facts.get("server", {})):
            how = "--remake reads it again" if not remake else "it is read again as the run is made again"
            notes.append(f"{', '.join(held)}: in a database, which no hash of a file stands for: {how}")
        signed = _entries_of(folder, place)
        if not signed:
            notes.append(f"not signed: {place.name} has no entry of this run")
        differences += _since(signed, facts, manifest)
    differences += _chain(place)
    if remake and differences:
        notes.append("not made again, as something has changed")
    elif remake:
        (progress or Silent()).step("making the run again")
        differences += _remade(folder, progress)
    return {
        "run": folder,
        "run_id": _facts(folder)[0]["run_id"] if not differences else None,
        "differences": differences,
        "notes": notes,
    }


def _folder(folder: Path) -> Iterator[str]:
    """What differs from the manifest: of the outputs, and of what they were made from."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; give one that `forecast run` wrote")
    if said := written.unfinished(folder):
        yield str(said)
        return
    path = folder / written.MANIFEST
    if not path.exists():
        raise UsageError(
            f"{folder}: no {written.MANIFEST} here, so that there is nothing to verify it by: make the run again"
        )
    try:
        manifest = written.manifest_of(folder) or {}
    except UsageError:
        yield f"{path}: damaged, or changed"
        return
    yield from changed(folder, manifest)


def _facts(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    manifest = written.manifest_of(folder) or {}
    return manifest["commands"]["run"], manifest


def _summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def _outputs(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {name: e["sha256"] for name, e in manifest["files"].items() if e["command"] == "run"}


def _since(signed: Sequence[Entry], facts: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[str]:
    """What differs from the last entry of a run: one that was made again after it was signed."""
    if not signed:
        return
    last = signed[-1]
    for key in ("run_id", "study", "data", "posterior"):
        if last[key] != facts[key]:
            yield f"{key}: not that of entry {last['n']} of the record, which is of an earlier run"
    outputs = _outputs(manifest)
    for name in sorted(last["outputs"].keys() | outputs.keys()):
        if last["outputs"].get(name) != outputs.get(name):
            yield f"{name}: not that of entry {last['n']} of the record"


def _remade(folder: Path, progress: Progress | None) -> Iterator[str]:
    """What differs where the run is made again from the same study, data and posterior."""
    facts, manifest = _facts(folder)
    asked, now = facts["asked"], package_versions()
    for name, version in facts["versions"].items():
        if now.get(name) != version:
            yield f"{name}: version {version} then, {now.get(name)} now: other bytes may come of that"
    if facts.get("by_hand"):
        yield text(message("not made again: {why}", why=_by_hand(facts)))
        return
    with scratch() as place:
        again = Path(place) / "run"
        again.mkdir()
        if facts["backtest"]:
            shutil.copyfile(folder / BACKTEST, again / BACKTEST)
        (_again_in_python if asked.get("python") else _again)(folder, facts, again, progress)
        then, made = _outputs(manifest), _outputs(written.manifest_of(again) or {"files": {}})
        for name in sorted((then.keys() | made.keys()) - set(BESIDE)):
            if name == "summary.json":
                if _timeless(folder) != _timeless(again):
                    yield f"{name}: made again, it is another"
            elif then.get(name) != made.get(name):
                yield f"{name}: made again, it is another"


def _again(folder: Path, facts: Mapping[str, Any], again: Path, progress: Progress | None) -> None:
    """A run of the command, made again with the options it was asked with."""
    asked, saved = facts["asked"], again.parent / "posterior.nc"
    if facts["posterior"] is not None:
        shutil.copyfile(written.absolute(facts["posterior"]["path"], folder), saved)
    run(
        written.absolute(facts["study"]["path"], folder),
        out=again,
        saved=saved,
        today=None if asked["today"] is None else date.fromisoformat(asked["today"]),
        progress=progress,
        **{key: asked[key] for key in ("seed", "draws", "sampler", "overrides", "go_on", "preview")},
        **{key: asked.get(key) for key in ("outputs", "csv_locale", "paths")},
    )


def _again_in_python(folder: Path, facts: Mapping[str, Any], again: Path, _: Progress | None) -> None:
    """What `Forecast.write` wrote, made again from the study with what was replaced, its files and the posterior."""
    asked = facts["asked"]
    study = load_study(written.absolute(facts["study"]["path"], folder), asked["overrides"])
    made = forecast(
        study,
        read_history(study),
        load_posterior(written.absolute(facts["posterior"]["path"], folder)),
        plan=asked["plan"],
        seed=asked["seed"],
        backtest=read_summary(again / BACKTEST) if facts["backtest"] else None,
        command=asked["command"],
        paths=asked.get("paths"),
    )
    made.write(again, outputs=asked["outputs"], csv_locale=asked["csv_locale"])


def _timeless(folder: Path) -> str:
    """summary.json without what two runs of the same need not share."""
    found = {key: value for key, value in _summary(folder).items() if key not in APART}
    found["provenance"] = {k: v for k, v in found["provenance"].items() if k != "fitted_now"}
    return json.dumps(found)


# ------------------------------------------------------------------------------------------------------------- record


def log(place: Path) -> tuple[list[Entry], list[str]]:
    """The entries of a record, and what is wrong with it. Raises UsageError where there is none."""
    if not place.is_file():
        raise UsageError(
            f"{place}: no record here; `forecast sign RUN_DIR` begins one, --record names another"
        )
    return list(_entries(place)), list(_chain(place))


def _entries(place: Path) -> Iterator[Entry]:
    """The entries that can be read."""
    for line in place.read_bytes().split(b"\n") if place.is_file() else []:
        if (found := exactly(line)) is not None:
            yield found


def _entries_of(folder: Path, place: Path) -> list[Entry]:
    here = written.relative(folder, place.parent)
    return [entry for entry in _entries(place) if entry["run"] == here]


def _chain(place: Path) -> Iterator[str]:
    """Where the record is not as it was written: a line that was changed, taken out, moved or cut off."""
    content = place.read_bytes() if place.is_file() else b""
    *lines, rest = content.split(b"\n")
    if rest:
        yield f"{place}: its last line is cut off"
    before = START
    for number, line in enumerate(lines, start=1):
        found = exactly(line)
        if found is None:
            yield f"{place}:{number}: changed"
        elif found["before"] != before or found["n"] != number:
            yield f"{place}:{number}: does not follow the entry before it"
        before = _hash(line)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# -------------------------------------------------------------------------------------------------------------- words


def signed_text(entry: Entry, place: Path) -> str:
    """What `sign` says."""
    record = text(message("Record: {place}", place=place))
    return "\n".join(
        (_told(entry), record, text(message("Hash of the entry: {sha}", sha=_hash(exact(entry)))))
    )


def log_text(entries: Sequence[Entry], wrong: Sequence[str]) -> str:
    """The record, an entry in some lines, and what is wrong with it."""
    told = [_told(entry) for entry in entries]
    last = [text(message("Hash of the last entry: {sha}", sha=_hash(exact(entries[-1]))))] if entries else []
    return "\n\n".join([*told, "\n".join([*last, *(wrong or [text("The chain is whole.")])])])


def _told(entry: Entry) -> str:
    head = "{n}  {signed}  {by}: {name}, as of {as_of}, run {run} ({run_id}), {status}"
    lines = [
        message(
            head,
            n=entry["n"],
            status=entry["verdict"]["status"],
            run_id=entry["run_id"][:SHORT],
            **{key: entry[key] for key in ("signed", "by", "name", "as_of", "run")},
        ),
        message(
            "   plan: {chosen}, {total:exact}~{currency}: {spend:list}",
            chosen=entry["plan"]["chosen"],
            total=round(entry["plan"]["total"], 2),
            currency=entry["currency"],
            spend=[
                message("{name} {x:exact}", name=name, x=round(x, 2))
                for name, x in entry["plan"]["spend"].items()
            ],
        ),
    ]
    if entry["override"]:
        lines.append(message("   override: {reason}", reason=entry["override"]))
    return "\n".join(map(typed, lines))


def verified_text(found: Mapping[str, Any]) -> str:
    """What `verify` says: each difference on a line, then the notes."""
    whole = message("{run}: as it was written ({id})", run=found["run"], id=str(found["run_id"])[:SHORT])
    return "\n".join([*(found["differences"] or [text(whole)]), *map(text, found["notes"])])
