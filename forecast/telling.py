"""How a command says what it found: pages, messages, progress and JSON, on stdout or stderr.

Nothing is imported before it is said, so that `forecast --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from forecast.ending import Line
from forecast.errors import FitError

if TYPE_CHECKING:
    from forecast.checks import Verdict
    from forecast.report import Page
    from forecast.words import Text


def say(said: str, *, err: bool = False, nl: bool = True) -> None:
    """Print, without a sign that would steer the terminal: the only way in which a command says anything."""
    from forecast.words import visible

    if err and (line := line_of_run()):
        line.said = said
    click.echo(visible(said), err=err, nl=nl)


def line_of_run() -> Line | None:
    """The line in which the command that runs tells how it ended; None where it is not asked for one."""
    context = click.get_current_context(silent=True)
    return context.obj if context and isinstance(context.obj, Line) else None


def show(result: Any, said: Callable[[], str], *, as_json: bool) -> None:
    """A result as JSON, or what is said of it; nothing yet where it goes into a line."""
    from forecast.tables import json_text

    if line := line_of_run():
        line.found = result
        return
    say(json_text(result) if as_json else said() + "\n", nl=False)


def page(
    make: Callable[..., Page], *made: Any, spoken: tuple[str, str] = ("en", ""), after: Text = ""
) -> Callable[[], str]:
    """What a page says, and a last line; made when it is asked for. spoken: language and locale."""
    import shutil
    import sys

    from forecast.report import terminal_text
    from forecast.words import speaking, text

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def said() -> str:
        with speaking(*spoken):
            parts = terminal_text(make(*made), width), text(after)
            return "\n\n".join(part for part in parts if part)

    return said


def spoken(language: str | None) -> tuple[str, str]:
    """How a command speaks that has no study."""
    return language or "en", ""


def spoken_in(language: str | None, write: Callable[..., str], *given: Any) -> Callable[[], str]:
    """What is said without a page, in a language; made when it is asked for."""

    def said() -> str:
        from forecast.words import speaking

        with speaking(*spoken(language)):
            return write(*given)

    return said


def in_language(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a job, in which the language that was asked for stands above the study's."""
    language = options.pop("language", None)
    return (
        options | {"overrides": [*options.get("overrides", []), f"language={language}"]}
        if language
        else options
    )


def stop_at_fail(verdict: Verdict, where: str, *, go_on: bool) -> None:
    """Leave with exit code 4 where the verdict is FAIL: what was written is there, stamped, and stderr says why."""
    from forecast.checks import FAIL

    if verdict.status != FAIL or go_on:
        return
    told = [check.told() for check in verdict.checks if check.status == FAIL]
    reasons = "\n  ".join(f"{c['name']}: {c['value']} (expected {c['threshold']})" for c in told)
    say(f"FAIL:\n  {reasons}\n{where} --go-on ends with exit code 0.", err=True)
    raise Exit(FitError.exit_code)


def show_run(
    result: Any, *, as_json: bool, go_on: bool = False, outputs: tuple[str, ...] | None = None
) -> None:
    """What a run found and where its outputs are; exit code 4 where the verdict is FAIL."""
    from forecast.outputs import files_of
    from forecast.report import summary_page
    from forecast.words import message

    paper = "report.pdf" in files_of(outputs)
    places = (
        message(
            "Report: {report}\nTables: {folder}/", report=result.place / "report.pdf", folder=result.place
        )
        if paper
        else message("Outputs: {folder}/", folder=result.place)
    )
    said = page(summary_page, result.made, spoken=result.spoken, after=places)
    show({**result.summary, "folder": result.place}, said, as_json=as_json)
    where = f"The outputs are in {result.place}/, stamped FAIL."
    stop_at_fail(result.made.verdict, where, go_on=go_on)


def with_progress(job: Callable[..., Any], *given: Any, quiet: bool, **options: Any) -> Any:
    """What a job of the workflow gives; how far it is, is told on stderr."""
    from forecast.progress import progress

    with progress(quiet=quiet) as teller:
        return job(*given, **in_language(options), progress=teller)
