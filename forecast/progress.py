"""How far a long job is: told on stderr as lines or live bars, or not at all; and the seconds of its steps."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO

from forecast.words import clean

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """What a long job tells: which step it is at, and how far that step has come."""

    def step(self, text: str) -> None:
        """A new step begins."""

    def update(self, done: int, total: int, note: str = "") -> None:
        """The present step has done `done` of `total`. May be called from another thread."""


class Silent:
    """Progress that says nothing."""

    def step(self, text: str) -> None:
        """A new step begins; nothing is said."""

    def update(self, done: int, total: int, note: str = "") -> None:
        """A step has moved on; nothing is said."""


class Lines:
    """Progress as plain lines: each step, and within a step a line every `SECONDS_BETWEEN_LINES` at most."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = time.monotonic()

    def step(self, text: str) -> None:
        """A new step begins: one line."""
        self._last = time.monotonic()
        print(clean(text), file=self._stream, flush=True)

    def update(self, done: int, total: int, note: str = "") -> None:
        """A step has moved on: a line if the last one is old enough."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            print(clean(f"  {done} of {total}{f', {note}' if note else ''}"), file=self._stream, flush=True)


class Bar:
    """Progress as a live bar of rich; a finished step stays as one line with its time."""

    def __init__(self, live: RichProgress) -> None:
        self._live = live
        self._task: TaskID | None = None

    def step(self, text: str) -> None:
        """A new step begins: the one before is ticked off."""
        self.finish()
        self._task = self._live.add_task(clean(text), total=None, note="")

    def update(self, done: int, total: int, note: str = "") -> None:
        """A step has moved on: the bar moves."""
        if self._task is not None:
            self._live.update(self._task, completed=done, total=total, note=clean(note))

    def finish(self) -> None:
        """The last step is done."""
        if self._task is not None:
            self._live.update(self._task, completed=1, total=1, note="")
            self._live.stop_task(self._task)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """The progress that suits: silent when quiet, on stderr a bar (terminal) or plain lines."""
    if quiet:
        yield Silent()
    elif not sys.stderr.isatty():
        yield Lines(sys.stderr)
    else:
        from rich.console import Console

        with bars(Console(stderr=True)) as bar:
            yield bar


@contextmanager
def bars(terminal: Console) -> Iterator[Bar]:
    """Progress as live bars on a terminal of rich, one a step."""
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Live

    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Live(*columns, console=terminal) as live:
        bar = Bar(live)
        yield bar
        bar.finish()


@dataclass
class Clock:
    """Seconds by step, and progress told on the way."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    _name: str = ""
    _since: float = field(default_factory=time.perf_counter)

    def step(self, name: str, text: str) -> None:
        """Begin the step `name`, told as `text`."""
        self.stop()
        self._name = name
        self.progress.step(text)

    def stop(self) -> None:
        """End the present step."""
        now = time.perf_counter()
        if self._name:
            self.seconds[self._name] = round(self.seconds.get(self._name, 0.0) + now - self._since, 3)
        self._name, self._since = "", now
