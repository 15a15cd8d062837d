"""A study file in the making: keys in their order, each with its reason, those that are left open as comments."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import wrap
from typing import Any

from pydantic import ValidationError

from forecast.errors import StudyError
from forecast.study.study import Study
from forecast.words import Text, clean, typed

LINE = 110  # signs of a line of the file
ORDER = (
    *("", "history", "history.columns", "history.read", "history.source", "history.map"),
    *("funnel", "channels", "economics", "plan", "budget"),
)


@dataclass
class Key:
    """A line of the study; one that is not `active` stands as a comment.

    table: "history.map#2" is the second of several tables of one name, [[history.map]].
    """

    table: str
    name: str
    value: str  # in TOML
    why: Text = ""
    active: bool = True


@dataclass
class Draft:
    """A study as it grows; `assumed`: by key, values that are only tried, to see what else there is."""

    folder: Path
    path: Path
    keys: list[Key]
    assumed: dict[str, str] = field(default_factory=dict)

    def study(self) -> Study:
        """The study as it would be read, with what is assumed."""
        values = tomllib.loads("\n".join(self.lines(comments=False)))
        for key, value in self.assumed.items():
            _put(values, key, tomllib.loads(f"x = {value}")["x"])
        try:
            return Study.model_validate(_frozen({**values, "folder": self.folder, "path": self.path}))
        except ValidationError as error:
            raise StudyError("; ".join(each["msg"] for each in error.errors())) from None

    def lines(self, *, comments: bool = True) -> Iterator[str]:
        """The file, line by line."""
        tables = list(dict.fromkeys(["", *(key.table for key in self.keys)]))
        for table in sorted(tables, key=lambda table: ORDER.index(table.partition("#")[0])):
            keys = [key for key in self.keys if key.table == table and (comments or key.active)]
            if table and keys:
                yield ""
                yield from _head(table, keys)
                keys = [replace(keys[0], why=""), *keys[1:]] if "#" in table else keys
            for key in keys:
                yield from _line(key) if comments else (f"{key.name} = {key.value}",)


def _head(table: str, keys: Sequence[Key]) -> Iterator[str]:
    """The line that begins a table; one of several has the reason of its first key above it."""
    name, several, _ = table.partition("#")
    if not several:
        yield f"[{name}]"
        return
    said = clean(typed(keys[0].why)).replace("\n", " ")
    yield from (f"# {part}" for part in wrap(said, LINE - 2, break_long_words=False, break_on_hyphens=False))
    yield f"{'' if any(key.active for key in keys) else '# '}[[{name}]]"


def _line(key: Key) -> Iterator[str]:
    """A key with its reason behind it, or above it where it is long."""
    said = clean(typed(key.why)).replace("\n", " ")
    line = f"{'' if key.active else '# '}{key.name} = {key.value}"
    if not said:
        yield line
    elif len(line) + len(said) + 10 <= LINE and key.active:
        yield f"{line:<36}  # {said}"
    else:
        yield from (
            f"# {part}" for part in wrap(said, LINE - 2, break_long_words=False, break_on_hyphens=False)
        )
        yield line


def place_of(key: str) -> tuple[str, str]:
    """The table of the file that a dotted key stands in, and its name there.

    >>> place_of("history.read.activity.dates"), place_of("history.source#2.read.dates")
    (('history.read', 'activity.dates'), ('history.source#2', 'read.dates'))
    """
    if several := re.match(r"([\w.]+#\d+)\.(.+)", key):
        return several[1], several[2]
    table = next(
        (
            t
            for t in sorted(set(ORDER[1:]) - {"history.source", "history.map"}, key=len, reverse=True)
            if key.startswith(f"{t}.")
        ),
        "",
    )
    return table, key.removeprefix(f"{table}.")


def _frozen(value: Any) -> Any:
    """Values of TOML as the study takes them: tuples for lists."""
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *tables, name = key.split(".")
    for table in tables:
        whole, several, number = table.partition("#")
        values = values[whole][int(number) - 1] if several else values.setdefault(table, {})
    if isinstance(value, dict) and isinstance(values.get(name), dict):
        values[name] = {**values[name], **value}
    else:
        values[name] = value
