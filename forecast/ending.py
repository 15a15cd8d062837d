"""How a command ends: its error as a message for a person; where `--json-line` asks, all of it as one line of JSON.

    message_of, told_plainly    what is said of an error of ours, and of one of click's
    known, unheard              what the machine refused, and an answer that stdout did not take, as errors with a text
    Line                        what a command found, and how it ended, for a webhook or a log

The line comes at every end that Python sees, a refused option among them. A process that is killed writes none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from forecast import __version__
from forecast.errors import ForecastError, UsageError

ASKED = "--json-line"
SCHEMA = 1


def message_of(error: BaseException) -> str:
    """What stderr says of an error."""
    from forecast.words import typed

    if isinstance(
        error, KeyboardInterrupt
    ):  # of whoever calls the commands from Python; else `stopping` says it
        return "interrupted; no outputs were written"  # a fit that was done by then is kept
    if isinstance(error, ForecastError):
        text = typed(error.said)
        if isinstance(error, UsageError) and error.argument:
            option = "total" if error.argument == "at_most" else error.argument
            text = f"--{option}{text.removeprefix(error.argument)}"
        return f"Error:\n{text}" if "\n" in text else f"Error: {text}"
    import sys

    from forecast import unforeseen

    return typed(unforeseen.told(error, sys.argv[1:]))


def told_plainly(error: click.ClickException) -> click.ClickException:
    """click's own error, which quotes what was typed, without a sign that would steer the terminal."""
    from forecast.words import visible

    said = visible(error.format_message())
    error.format_message = lambda: said  # type: ignore[method-assign]
    return error


def known(error: BaseException) -> BaseException:
    """What the machine refused (memory, disk, depth) as an error with a message; any other as it is."""
    if isinstance(error, ForecastError | KeyboardInterrupt):
        return error
    from forecast import unforeseen

    return unforeseen.foreseen(error) or error


def unheard(error: BaseException) -> UsageError | None:
    """What is said where stdout took no more, as on a full disk; None for any other error."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if not isinstance(error, OSError) or last is None or last.tb_frame.f_code is not click.echo.__code__:
        return None
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # where the rest of its buffer goes
    reason = error.strerror or error
    return UsageError(
        f"the answer cannot be written to stdout ({reason}); files that the command wrote are whole"
    )


class Line:
    """What one command found and how it ended; `text` is the line.

    found: the result that `--json` would show, once there is one. said: the last thing that was said on stderr.
    """

    def __init__(self) -> None:
        self.found: Mapping[str, Any] = {}
        self.said = ""

    def text(self, command: str | None, code: int) -> str:
        """One line of JSON in plain ASCII, which no shell, mail or webhook changes, with its line break.

        What a command has not found is null, or empty. headline: single numbers and words by name; of a command whose
        result has no headline, its single numbers.
        """
        import json

        from forecast.checks import FAIL, REVIEW
        from forecast.tables import plain

        found: Mapping[str, Any] = plain(self.found)
        verdict = found.get("verdict") or {}
        checks = verdict.get("checks", found.get("audit", []))
        named = {at: [c["name"] for c in checks if c["status"] == at] for at in (FAIL, REVIEW)}
        told = {
            "schema": SCHEMA,
            "command": command,
            "version": __version__,
            "exit_code": code,
            "error": self._error(found) if code else None,
            "name": found.get("name"),
            "run_id": found.get("run_id"),
            "verdict": verdict.get("status", found.get("status")),
            "sentence": verdict.get("sentence"),
            "failed": named[FAIL],
            "review": named[REVIEW],
            "as_of": found.get("as_of"),
            "horizon": found.get("horizon"),
            "currency": found.get("currency"),
            "target": found.get("target"),
            "headline": _single(found.get("headline") or {k: v for k, v in found.items() if _number(v)}),
            "place": _place(found),
        }
        return json.dumps(told, allow_nan=False) + "\n"

    def _error(self, found: Mapping[str, Any]) -> str | None:
        """Why the command did not end with 0."""
        return self.said.removeprefix("Error:").strip() or "; ".join(found.get("differences", [])) or None


def _single(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is one number, one word or one yes; rows and tables stand in the files."""
    return {name: value for name, value in found.items() if not isinstance(value, list | dict)}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _place(found: Mapping[str, Any]) -> str | None:
    """The folder or the file that was written, or looked at, whole: whoever reads the line stands elsewhere."""
    from pathlib import Path

    place = next((found[key] for key in ("folder", "path", "run") if found.get(key)), None)
    return None if place is None else str(Path(place).absolute())
