"""Questions of `forecast init --from` on a terminal, and which of the places that were named are files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def files_and_folder(first: tuple[Path, ...], places: tuple[Path, ...]) -> tuple[list[Path], Path]:
    """The files to start from, and the folder of the study: the last place, where it is no file."""
    files = [*first, *places]
    last = files[-1]
    if places and not last.is_file() and (last.is_dir() or not last.suffix):
        return files[:-1], last
    return files, Path()


def answer(question: Any, *, say: Callable[[str], None]) -> str | None:
    """What a person answers to a question about the files; None where it is left open."""
    from forecast.words import typed

    say(f"\n{typed(question.text)}")
    choices = [value for value, _ in question.choices]
    if len(choices) == 1:
        said = typed(question.choices[0][1]) or choices[0]
        return choices[0] if click.confirm(f"  {said}?", default=False) else None
    for number, (value, said) in enumerate(question.choices, start=1):
        say(f"  {number}  {value}{f'   {typed(said)}' if said else ''}")
    if choices:
        number = click.prompt("  Number (0: leave it open)", type=click.IntRange(0, len(choices)), default=0)
        return choices[number - 1] if number else None

    def read(written: str) -> str:
        try:
            return str(question.read(written)) if written.strip() else ""
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    default, shown = question.default, bool(question.default)
    return (
        click.prompt("  (empty: leave it open)", default=default, show_default=shown, value_proc=read) or None
    )
