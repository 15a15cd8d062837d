"""How a command ends when it is told to: Ctrl-C, SIGTERM, a terminal that closes.

    listen()      from then on a signal ends this process within a second with 128 + its number (SIGINT 130, SIGTERM
                  143), one line on stderr, no traceback
    scratch()     a folder for the time being, which such an end removes too
    UNBROKEN      held while files change places: an end waits for it, at most `PATIENCE`

A thread of its own waits for the signal, as Python runs a handler only between two steps of the main thread, and a long
call of a compiled library is one step; and as an exception that is raised just anywhere is swallowed now and then. The
thread removes what is unfinished and leaves the process, whatever the main thread is at. Whoever uses the package as a
library never calls `listen`: there Ctrl-C is Python's KeyboardInterrupt, as ever.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATIENCE = 0.6  # seconds
UNBROKEN = threading.RLock()
_unfinished: set[str] = set()
_empty: list[str] = []  # folders that were made for what is unfinished, the innermost first
_done: dict[str, None] = {}
_asked = threading.Event()
_listens: list[bool] = []


def listen() -> None:
    """End this process when a signal asks for it; a signal that whoever started it ignores stays ignored."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heard = [s for s in (getattr(signal, name) for name in names) if signal.getsignal(s) != signal.SIG_IGN]
    read = _told()
    for number in heard:
        signal.signal(number, lambda *_: None)
    _listens.append(True)
    threading.Thread(target=_wait, args=(read, frozenset(map(int, heard))), daemon=True).start()


@contextmanager
def shelter() -> Iterator[None]:
    """Keep Ctrl-C from the processes that are started meanwhile: they end with their parent, without a traceback.

    For a process that listens: its thread hears the signal all the same.
    """
    if not _listens or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it would take the mask off
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:  # what is started afterwards hears it again
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _told() -> object:
    """What reads the numbers of the signals that come, a byte each."""
    if os.name == "nt":
        import socket

        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.detach(), warn_on_full_buffer=False)
        return lambda: ours.recv(1)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return lambda: os.read(reader, 1)


def _wait(read: object, heard: frozenset[int]) -> None:
    while callable(read) and (told := read()):
        if told[0] in heard:
            _asked.set()
            _leave(told[0])


def _leave(number: int) -> None:
    """Say what was written by then, remove what is unfinished, and end the process."""
    free = UNBROKEN.acquire(timeout=PATIENCE)
    with suppress(OSError, ValueError):
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[?25h\r\x1b[K")  # the cursor that a bar of progress has hidden
        sys.stderr.write(f"{_said()}\n")
        sys.stderr.flush()
    with suppress(
        OSError
    ):  # what the main thread says of files that vanish under its hands is nobody's to read
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.dup2(nowhere, 1)
    if free:
        import shutil

        for folder in tuple(_unfinished):
            away = f"{folder}-gone"  # the main thread may be making files in there: it finds their folder no more
            with suppress(OSError):
                os.rename(folder, away)  # noqa: PTH104 - no more modules than needed on the way out
            for place in (away, folder):
                shutil.rmtree(place, ignore_errors=True)
        for folder in tuple(_empty):
            with suppress(OSError):
                os.rmdir(folder)  # noqa: PTH106 - no more modules than needed on the way out
    os._exit(128 + number)


def _said() -> str:
    """What is said of an interruption: which files are there all the same."""
    if not _done:
        return "interrupted; no outputs were written"
    return f"interrupted; written before, and whole: {', '.join(_done)}"


def end() -> None:
    """Come back only where nothing asked for an end; else wait for it: it ends the process."""
    while _asked.is_set():
        time.sleep(0.01)


def done(place: object) -> None:
    """Note that something was written, for the line that tells of an interruption."""
    _done[str(place)] = None


@contextmanager
def unfinished(folder: str | None, *empty: str) -> Iterator[None]:
    """Inside, an end that is asked for removes `folder`, and `empty` where nothing else is in them."""
    _unfinished.update(() if folder is None else [folder])
    _empty.extend(empty)
    try:
        yield
    finally:
        if not _asked.is_set():  # else the thread is just removing them
            keep(folder or "")
            for place in empty:
                _empty.remove(place)


def keep(folder: str) -> None:
    """No end removes `folder` any more."""
    _unfinished.discard(folder)


@contextmanager
def scratch(prefix: str = "forecast-") -> Iterator[str]:
    """A folder among the temporary ones of the system, gone at the end of the block, and where a signal ends it."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix=prefix) as folder, unfinished(folder):
        yield folder
