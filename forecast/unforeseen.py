"""What nobody foresaw: a reference, and a log that tells a programmer where, and nothing of what stands in the data.

    foreseen    what the machine refuses (memory, disk, permission, depth) as a message with its way out
    report_of   the log: type of the error, frames (file, line, function), rows, versions, the options that were given
    kept        the log in a file: of the user's state folder, else of the temporary folder, else nowhere

The text of an exception may quote a cell, so the log has its type alone; of our own messages it has the template.
A reference stands for the place in the program: the same fault gives the same one, and its file is written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType

from forecast import __version__
from forecast.errors import ForecastError, UsageError
from forecast.words import Message, message

PACKAGE = Path(__file__).parent
LIBRARIES = (
    "numpy",
    "pandas",
    "xarray",
    "duckdb",
    "pydantic",
    "h5py",
    "pymc",
    "nutpie",
    "matplotlib",
    "typst",
)
PLACES = frozenset(("row", "number", "line", "line_num"))  # numbers of rows, where a frame of ours has them
MOST_FRAMES = 60  # of one error: the first and the last half


def foreseen(error: BaseException) -> UsageError | None:
    """What the machine refused, as a message; None where the error says nothing of the machine."""
    if isinstance(error, MemoryError):
        text = "there is not enough memory for this; ask for fewer draws (--draws), fewer periods or less history"
        return UsageError(text)
    if isinstance(error, RecursionError):
        return UsageError("something here is nested too deeply to be read; write the study with fewer levels")
    if isinstance(error, OSError) and error.errno and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        text = "{where}the system refused ({reason}); make room, or give another place, and run the command again"
        return UsageError(message(text, where=where, reason=error.strerror))
    return None


def told(error: BaseException, given: Sequence[str]) -> Message:
    """What a person is told of an error that nobody foresaw; its log is kept. given: the words of the command."""
    log = report_of(error, given)
    reference = hashlib.sha256("\n".join(_frames(error)).encode()).hexdigest()[:8].upper()
    path = kept(log, reference)
    where = "no place for a log could be written" if path is None else message("details in {file}", file=path)
    text = "Unexpected error: a fault of this program, not of your files (reference {reference}; {where}). "
    text += "The log holds no data of yours; FORECAST_TRACEBACK=1 shows the error itself."
    return message(text, reference=reference, where=where)


def report_of(error: BaseException, given: Sequence[str]) -> str:
    """The log as text."""
    lines = [
        f"growth-forecast {__version__}, Python {platform.python_version()}",
        f"{platform.system()} {platform.machine()}",
        f"command: {' '.join(_without_values(given))}",
        *_frames(error, rows=True),
        *_versions(),
    ]
    return "\n".join(lines) + "\n"


def kept(log: str, reference: str) -> Path | None:
    """Write the log where it may be written, for its owner alone; None where there is no such place."""
    state = _state_folder()
    if state is not None:
        with contextlib.suppress(OSError):
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = state / f"unexpected-{reference}.log"
            path.unlink(missing_ok=True)  # a link in its place is not followed
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(log, encoding="utf-8")
            return path
    for folder in _temporary_folders():
        with contextlib.suppress(OSError):
            opened, name = tempfile.mkstemp(".log", f"forecast-{reference}-", folder)
            with os.fdopen(opened, "w", encoding="utf-8") as file:
                file.write(log)
            return Path(name)
    return None


def _state_folder() -> Path | None:
    """Where programs of this user keep what they remember."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Logs")  # noqa: PTH111 - a home that is not known stays "~"
    else:
        base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111
    return Path(base) / "growth-forecast" if base and Path(base).is_absolute() else None


def _temporary_folders() -> Iterator[str]:
    """The folders for temporary files, as Python looks for them; never the one that the command runs in."""
    named = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    yield from (folder for folder in (*named, "/tmp", "/var/tmp") if folder and Path(folder).is_dir())  # noqa: S108


def _without_values(given: Sequence[str]) -> Iterator[str]:
    """The words of a command that are ours: its name and its options; a point for each other."""
    for at, word in enumerate(given):
        option = word.split("=", 1)[0] if word.startswith("-") else ""
        ours = option.lstrip("-").replace("-", "").isalpha() and option.isascii() and len(option) < 20
        yield option if ours else word if at == 0 and word.isalpha() and word.isascii() else "."


def _frames(error: BaseException, *, rows: bool = False) -> list[str]:
    """The error and those that it came from, each with its type and its frames; `rows` tells rows they were at."""
    lines: list[str] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        lines.append(f"{type(one).__module__}.{type(one).__qualname__}{_template(one)}")
        told = [_frame(frame, line, rows) for frame, line in _walk(one.__traceback__)]
        if len(told) > MOST_FRAMES:
            half = MOST_FRAMES // 2
            told = [*told[:half], f"  ... {len(told) - MOST_FRAMES} more", *told[-half:]]
        lines += told
        one = one.__cause__ or one.__context__
    return lines


def _walk(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _template(error: BaseException) -> str:
    """The template of a message of ours, whose values stay out."""
    said = error.said if isinstance(error, ForecastError) else None
    return f": {said.template}" if isinstance(said, Message) else ""


def _frame(frame: FrameType, line: int, rows: bool) -> str:
    path = Path(frame.f_code.co_filename)
    said = f"  {_short(path)}:{line} in {frame.f_code.co_qualname}"
    if rows and path.is_relative_to(PACKAGE):
        places = {
            name: value for name, value in frame.f_locals.items() if name in PLACES and type(value) is int
        }
        said += "".join(f", {name} {value}" for name, value in sorted(places.items()))
    return said


def _short(path: Path) -> str:
    """A file of the program without the folders of this machine."""
    parts = path.parts
    for start in ("site-packages", "dist-packages"):
        if start in parts:
            return "/".join(parts[parts.index(start) + 1 :])
    return path.relative_to(PACKAGE.parent).as_posix() if path.is_relative_to(PACKAGE) else path.name


def _versions() -> Iterator[str]:
    from importlib.metadata import PackageNotFoundError, version

    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            yield f"{name} {version(name)}"
