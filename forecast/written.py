"""Files that a command wrote: whose they are, and how they change so that each is always old or new.

A folder of outputs holds a manifest. It names every file that a command wrote there, with its hash, so that no command
writes over anything else: a file that somebody put there or changed, an input of the study, a link.

    check(folder, names)    before time is spent: may these files be written there?
    write(folder, made)     all of them, or none
    finish(folder)          what a command that was killed has left: taken to its end where it was committed, else gone
    unfinished(folder)      the same in words, for whoever only reads
    place(folder, made)     files that are the user's from then on; never over one that is there
    save(path, content)     one file that carries its own marks (a posterior)
    append(path, lines)     whole lines at the end of a file of records

Files are made in `STAGING` inside the folder, on the same disk, and each is flushed to it. The commit, a list of what
is to change, is then written and renamed there: from this moment the change is made. Then the files move into their
places one by one, the manifest last, and the staging folder goes. Killed before the commit, nothing has changed;
killed after it, the next command that writes there moves the rest. A lock in the staging folder tells a command that is
at work from one that is dead: the system lets go of it when its process ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from forecast import stopping
from forecast.errors import UsageError
from forecast.saved import exact, exactly
from forecast.words import Message, message

MANIFEST = "manifest.json"
STAGING = ".forecast-writing"
SCHEMA, LAYOUT = 1, 1  # of a manifest: its form, and the blanks by which it is indented
WAIT = 120.0  # seconds for another command that writes into the same folder
_LOCK, _COMMIT, _FILES = "lock", "commit.json", "files"
_CHANGED = "{folder}: {what}; nothing was written: "
_ELSEWHERE = "give another folder with --out, or move {it} away"
Manifest = dict[str, Any]


# ---------------------------------------------------------------------------------------------------------- manifest


def manifest_of(folder: Path) -> Manifest | None:
    """The manifest of a folder; None where it has none. Raises UsageError where it is damaged or somebody else's."""
    try:
        content = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unwritable(folder, error) from error
    return sealed(content, folder / MANIFEST)


def sealed(content: bytes, path: Path) -> Manifest:
    """A manifest from its bytes, which must be just as they were written. Raises UsageError."""
    found = exactly(content.removesuffix(b"\n"), LAYOUT) if content.endswith(b"\n") else None
    if found is None or found.get("forecast") != SCHEMA:
        raise UsageError(
            message(
                "{path}: damaged, or written by something else, so that it cannot be told which files here are a "
                "command's; nothing was written: give another folder with --out, or move the folder away",
                path=path,
            )
        )
    return found


def seal(found: Manifest) -> bytes:
    """The bytes of a manifest, with a hash of all the rest in it."""
    return exact(found, LAYOUT) + b"\n"


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def relative(path: Path, base: Path) -> str:
    """A path as seen from a folder, with links resolved; whole where there is no way from one to the other."""
    try:
        return Path(os.path.relpath(path.resolve(), base.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def absolute(text: str, base: Path) -> Path:
    """The path that `relative` made a text of."""
    return base.resolve() / text


# ---------------------------------------------------------------------------------------------------- before the work


def check(folder: Path, names: Sequence[str], *, inputs: Iterable[Path] = ()) -> None:
    """Make sure that `names` may be written into `folder`, before time is spent on them.

    What a killed command has left there is taken to its end. Raises UsageError when the folder cannot be made or
    written, when a file there is not a command's own or was changed since, or is one of `inputs`.
    """
    _check_place(folder)
    try:
        if folder.is_dir():
            finish(folder)
            _refuse(folder, names, inputs)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _check_place(folder: Path) -> None:
    if reason := why_not(folder):
        said = "{folder}: the output folder cannot be written ({reason}); give another one with --out"
        raise UsageError(message(said, folder=folder, reason=reason))


def why_not(folder: Path) -> str:
    """Why `folder` cannot be written, or cannot be made; empty where it can."""
    place = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay in it: one without an end is to be named
    path = place
    while not os.path.lexists(path):
        try:
            path.stat()
        except OSError as error:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                return error.strerror or str(error)
        path = path.parent
    what = "it" if path == place else str(path)
    if path.is_symlink() and not path.exists():
        return f"{what} is a link to {path.readlink()}, which is not there"
    if not path.is_dir():
        return f"{what} is a file"
    return "" if os.access(path, os.W_OK | os.X_OK) else "Permission denied"


def _refuse(folder: Path, names: Iterable[str], inputs: Iterable[Path]) -> None:
    """Raises UsageError where one of `names` in `folder` is not ours to write over."""
    there = [name for name in names if os.path.lexists(folder / name)]
    asked = tuple(inputs)
    for name in there:
        for path in asked:
            if _same(folder / name, path):
                raise _not_ours(folder, message("{name} is an input of the study", name=name), "it")
    known = manifest_of(folder)
    ours = {} if known is None else known["files"]
    foreign = [name for name in there if name not in ours]
    changed = [name for name in there if name in ours and not _as_written(folder / name, ours[name])]
    if foreign and known is None:
        said = (
            "holds {names:list.3}, and no {manifest} that would show a command to have written {it} (folders of "
            "earlier versions have none)"
        )
    else:
        said = (
            "no command wrote {names:list.3}"
            if foreign
            else "{names:list.3} changed since a command wrote {it}"
        )
    if refused := foreign or changed:
        it = "it" if len(refused) == 1 else "them"
        raise _not_ours(folder, message(said, names=refused, manifest=MANIFEST, it=it), it)


def _not_ours(folder: Path, what: Message, it: str) -> UsageError:
    return UsageError(message(_CHANGED + _ELSEWHERE, folder=folder, what=what, it=it))


def _as_written(path: Path, entry: Mapping[str, Any]) -> bool:
    return path.is_file() and not path.is_symlink() and digest(path) == entry["sha256"]


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are one file: by name, through links, and as two names of the same content."""
    with suppress(OSError):
        return one.resolve() == other.resolve() or one.samefile(other)
    return False


# --------------------------------------------------------------------------------------------------------- the change


def write(
    folder: Path,
    made: Mapping[str, Callable[[Path], object]],
    *,
    command: str,
    stale: Iterable[str] = (),
    inputs: Iterable[Path] = (),
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Make every file by its function of a path, and change `folder` to hold them: all or none.

    stale: names of files that go where an earlier command wrote them, and they are as it left them. facts: what stands
    in the manifest of `command`. Raises UsageError where the disk says no, where a file is not ours (`check`), or where
    another command has been writing there for `WAIT` seconds.
    """
    _check_place(folder)
    asked = tuple(inputs)
    try:
        with _staged(folder, WAIT) as stage:
            _refuse(folder, made, asked)
            entries = {name: _made(stage, name, write) | {"command": command} for name, write in made.items()}
            known = manifest_of(folder) or {"forecast": SCHEMA, "files": {}, "commands": {}}
            files = known["files"]
            gone = {
                name: files[name]["sha256"]
                for name in stale
                if name in files and name not in made and _as_written(folder / name, files[name])
            }
            gone = {
                name: sha for name, sha in gone.items() if not any(_same(folder / name, i) for i in asked)
            }
            left = {name: entry for name, entry in files.items() if name not in stale}
            commands = known["commands"] | ({} if facts is None else {command: _plain(facts)})
            manifest = {"forecast": SCHEMA, "files": left | entries, "commands": commands}
            _made(stage, MANIFEST, lambda path: path.write_bytes(seal(manifest)))
            _commit(folder, stage, [*made, MANIFEST], gone)
    except OSError as error:
        raise _unwritable(folder, error) from error
    stopping.done(folder)


def _plain(facts: Mapping[str, Any]) -> Any:
    """Facts as JSON has them."""
    return json.loads(json.dumps(facts))


def place(folder: Path, made: Mapping[str, Callable[[Path], object]], *, empty: Sequence[str] = ()) -> None:
    """Make files that are the user's from then on, and empty folders: all or none, and nothing written over.

    Raises UsageError where one is there already, or the disk says no.
    """
    try:
        with _staged(folder, WAIT) as stage:
            _refuse_any(folder, made, empty)
            for name, write in made.items():
                _made(stage, name, write)
            for name in empty:
                (folder / name).mkdir(parents=True, exist_ok=True)
            _commit(folder, stage, list(made), {})
    except OSError as error:
        said = "{path}: cannot be written ({reason})"
        where = error.filename or folder
        raise UsageError(message(said, path=where, reason=error.strerror or str(error))) from error
    for name in made:
        stopping.done(folder / name)


def _refuse_any(folder: Path, names: Iterable[str], empty: Iterable[str]) -> None:
    for name in names:
        if os.path.lexists(folder / name):
            said = "{path} exists already; nothing was written: choose another folder, or move it away"
            raise UsageError(message(said, path=folder / name))
    for place in {*((folder / name).parent for name in names), *(folder / name for name in empty)}:
        if reason := why_not(place):
            raise UsageError(message("{path}: cannot be written ({reason})", path=place, reason=reason))


def _made(stage: Path, name: str, write: Callable[[Path], object]) -> dict[str, Any]:
    """Make a file in the staging folder, down to the disk: its hash and size."""
    path = stage / _FILES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())
        return {
            "sha256": hashlib.file_digest(stream, "sha256").hexdigest(),
            "bytes": os.fstat(stream.fileno()).st_size,
        }


def _commit(folder: Path, stage: Path, names: Sequence[str], gone: Mapping[str, str]) -> None:
    """From the rename of the commit on, the change is made; what cannot be moved now, the next command moves."""
    before = {name: digest(folder / name) for name in names if (folder / name).is_file()}
    commit = {"forecast": SCHEMA, "names": list(names), "before": before, "gone": dict(gone)}
    part = stage / f"{_COMMIT}.part"
    with part.open("wb") as stream:
        stream.write(seal(commit))
        stream.flush()
        os.fsync(stream.fileno())
    for place in {(stage / _FILES / name).parent for name in names}:
        _settle(place)
    with stopping.UNBROKEN:
        stopping.keep(str(stage))
        part.replace(stage / _COMMIT)
        _settle(stage)
        _move(folder, stage, commit)


def _move(folder: Path, stage: Path, commit: Mapping[str, Any]) -> None:
    """Move what is not yet in its place. Raises UsageError where the system says no; the commit then stands."""
    try:
        for name in commit["names"]:
            source, target = stage / _FILES / name, folder / name
            if os.path.lexists(source):
                target.parent.mkdir(parents=True, exist_ok=True)
                source.replace(target)
        for name, sha in commit["gone"].items():
            if (folder / name).is_file() and digest(folder / name) == sha:
                (folder / name).unlink()
        for place in {(folder / name).parent for name in commit["names"]}:
            _settle(place)
    except OSError as error:
        raise UsageError(
            message(
                "{folder}: the new files are made, and not all of them could be moved in ({reason}: {name}); close "
                "what has them open and run the command again: it moves the rest",
                folder=folder,
                reason=error.strerror or str(error),
                name=error.filename2 or error.filename or "",
            )
        ) from error
    (stage / _COMMIT).unlink()


def _settle(folder: Path) -> None:
    """Names of a folder down to the disk, where the system can do that."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _unwritable(folder: Path, error: OSError) -> UsageError:
    said = "{folder}: the outputs could not be written ({reason})"
    return UsageError(message(said, folder=folder, reason=error.strerror or str(error)))


# ------------------------------------------------------------------------------------------- what a dead command left


def unfinished(folder: Path) -> Message | None:
    """What a command that was killed has left in `folder`, in words; None where everything is whole."""
    stage = folder / STAGING
    if not stage.is_dir() or _alive(stage):
        return None
    if (stage / _COMMIT).exists():
        return message(
            "{folder}: a command was stopped while it moved its files in, so that some are older than others; the next "
            "command that writes there moves the rest",
            folder=folder,
        )
    return message(
        "{folder}: a command was stopped before it wrote anything; the next one that writes there removes {stage}",
        folder=folder,
        stage=STAGING,
    )


def finish(folder: Path) -> None:
    """Take to its end what a killed command has left in `folder`; one that is still at work is left alone.

    Raises UsageError where a file was changed by hand in between.
    """
    stage = folder / STAGING
    if stage.is_dir() and not _alive(stage):
        with suppress(_BusyError), _staged(folder, 0.0):
            pass


def _recover(folder: Path, stage: Path) -> None:
    """Move what a commit has left to move, and clear the staging folder."""
    path = stage / _COMMIT
    if path.exists():
        commit = sealed(path.read_bytes(), path)
        for name in commit["names"]:
            source, target = stage / _FILES / name, folder / name
            if not (source.exists() and os.path.lexists(target)):
                continue
            now = digest(target) if target.is_file() else ""
            if now not in (commit["before"].get(name), digest(source)):
                said = "a command was stopped while it moved its files in, and {name} was changed since"
                raise UsageError(
                    message(
                        _CHANGED + "move {name} away and run the command again",
                        folder=folder,
                        what=message(said, name=name),
                        name=name,
                    )
                )
        with stopping.UNBROKEN:
            _move(folder, stage, commit)
    _clear(stage)


class _BusyError(UsageError):
    """Another command writes into the folder."""


@contextmanager
def _staged(folder: Path, wait: float) -> Iterator[Path]:
    """The staging folder of `folder`, empty and this process's alone; both go where they are not needed any more.

    Raises UsageError where another process keeps it for `wait` seconds, OSError where the disk says no.
    """
    stage = folder / STAGING
    with contextlib.ExitStack() as stack:
        new = _new_folders(folder)
        stack.callback(_unmake, new)
        lock = _taken(folder, stage, time.monotonic() + wait)
        stack.callback(_let_go, stage, lock)
        _recover(folder, stage)
        with stopping.unfinished(str(stage), *map(str, new)):
            yield stage


def _new_folders(folder: Path) -> list[Path]:
    """The folder and those around it that are not there, the innermost first."""
    return [path for path in (folder, *folder.parents) if not os.path.lexists(path)]


def _unmake(new: Sequence[Path]) -> None:
    for path in new:
        with suppress(OSError):
            path.rmdir()


def _taken(folder: Path, stage: Path, until: float) -> int:
    """The lock of the staging folder, which is made where it is not there."""
    while True:
        with suppress(FileNotFoundError):  # another process has just removed it
            folder.mkdir(parents=True, exist_ok=True)
            if stage.is_symlink():
                raise OSError(0, f"{stage} is a link")
            stage.mkdir(exist_ok=True)
            lock = os.open(stage / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            if _lock(lock):
                with suppress(OSError):
                    if os.path.samestat(os.fstat(lock), (stage / _LOCK).stat()):
                        return lock
            os.close(lock)
        if time.monotonic() > until:
            raise _BusyError(
                message(
                    "{folder}: another forecast command is writing there; wait for it, or give another folder "
                    "with --out",
                    folder=folder,
                )
            )
        time.sleep(0.02)


def _let_go(stage: Path, lock: int) -> None:
    """Remove the staging folder, but where a commit in it is not yet at its end, and let go of the lock."""
    if (stage / _COMMIT).exists():
        os.close(lock)
        return
    _clear(stage)
    if os.name == "nt":  # there an open file cannot be removed
        os.close(lock)
    with suppress(OSError):
        (stage / _LOCK).unlink()
    with suppress(OSError):
        stage.rmdir()
    if os.name != "nt":
        os.close(lock)


def _clear(stage: Path) -> None:
    """Everything in the staging folder but its lock goes."""
    for path in stage.iterdir() if stage.is_dir() else ():
        if path.name != _LOCK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _alive(stage: Path) -> bool:
    """Whether the command that made a staging folder is still at work."""
    try:
        lock = os.open(stage / _LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _lock(lock)
    finally:
        os.close(lock)


def _lock(opened: int) -> bool:
    """Take the lock of an open file, unless another process has it; it goes with the process at the latest."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(opened, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks: two commands at once are then the user's to avoid
        return True
    return True


# -------------------------------------------------------------------------------------------------- files by themselves


def save(path: Path, content: bytes) -> None:
    """One file, old or new at any moment, down to the disk. Raises OSError, UsageError where another writes there."""
    with _staged(path.parent, WAIT) as stage:
        _made(stage, path.name, lambda part: part.write_bytes(content))
        with stopping.UNBROKEN:
            (stage / _FILES / path.name).replace(path)
            _settle(path.parent)
    stopping.done(path)


def cut_off(path: Path) -> bool:
    """Whether the last line of a file of records was cut off by an interruption."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"


def append(path: Path, lines: Callable[[bytes], Sequence[str]]) -> None:
    """Whole lines at the end of a file of records, down to the disk; a last line that was cut off goes.

    lines: what to append, of the last line that is there (empty without one). Processes that append at once take turns.
    Raises OSError, with the file as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with stopping.UNBROKEN, path.open("a+b", buffering=0) as stream:
        until = time.monotonic() + WAIT
        while not _lock(stream.fileno()):
            if time.monotonic() > until:
                raise OSError(0, "another process is writing to it")
            time.sleep(0.02)
        size, last = _end(stream)
        stream.truncate(size)
        left = memoryview("".join(f"{line}\n" for line in lines(last)).encode())
        try:
            while left:
                left = left[stream.write(left) :]
            os.fsync(stream.fileno())
        except OSError:
            with suppress(OSError):
                stream.truncate(size)
            raise


def _end(stream: io.FileIO) -> tuple[int, bytes]:
    """Where the last whole line of a file ends, and this line."""
    at, tail = stream.seek(0, os.SEEK_END), b""
    while at and tail.count(b"\n") < 2:
        step = min(at, 1 << 16)
        at = stream.seek(at - step)
        tail = stream.read(step) + tail
    whole = tail[: tail.rfind(b"\n") + 1]
    return at + len(whole), whole[:-1].rpartition(b"\n")[2]
