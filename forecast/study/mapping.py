"""Several exports joined to one history: which file gives what (`[[history.source]]`), which row is which channel.

A rule of `[[history.map]]` names columns and patterns of their cells; the first rule that a row fits gives its channel.
Rules hold for every file that has all their columns, so that a campaign of the ads, a channel group of the analytics
and a source of the CRM come to one name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from forecast.study.file import (
    Label,
    Name,
    Problem,
    Table,
    nearest,
    one_of,
    repeated,
    several,
    window_problems,
)
from forecast.study.reading import ReadSpec
from forecast.study.tools import TOOLS

BESIDE_LEADS = ("spend", "refunds", "recurring")
PLACES = ("period", "channel", "currency")


Patterns = Annotated[tuple[str, ...], BeforeValidator(several), Field(min_length=1)]


class MapSpec(Table):
    """A rule: the `channel` of rows that fit all of `when`.

    `when`: patterns by name of column, one or several of which each must fit the whole cell, in any case. `*` stands
    for any text, `?` for one sign; "" is an empty cell. A name is that of the file, or one of `forecast.study.KEYS`.
    `file`: the only one that it holds for (None: all that have its columns).
    """

    channel: Name
    file: str | None = None
    when: Annotated[dict[str, Patterns], Field(min_length=1)]


class SourceSpec(Table):
    """A file of spend or visitors beside leads.

    `preset`: the tool whose export it is. `gives`: measures that are taken from it (None: all that it has). `channels`:
    those that it gives them for (None: all). `overlap`: what becomes of a measure of a channel that a source before
    gives too. `through`: the last period that the export holds, where rows end sooner. `columns`: titles by our name.
    `read`: how this file is to be read.
    """

    file: str
    preset: Annotated[str, one_of(tuple(TOOLS))] | None = None
    gives: Annotated[tuple[str, ...] | None, Field(min_length=1)] = None
    channels: Annotated[tuple[Name, ...] | None, Field(min_length=1)] = None
    overlap: Literal["refuse", "leave out", "add"] = "refuse"
    through: Label | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    read: ReadSpec | None = None


def rule_problems(maps: Sequence[MapSpec], files: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with the files that rules name; `files`: of the study."""
    for number, spec in enumerate(maps, start=1):
        if spec.file is not None and spec.file not in files:
            text = f'expected a file of the history ({", ".join(files)}); came "{spec.file}"'
            yield Problem(f"history.map.{number}.file", text + nearest(spec.file, files))


def mapping_problems(
    sources: Sequence[SourceSpec], reached: dict[str, tuple[str, ...]], stages: Sequence[str], kind: str
) -> Iterator[Problem]:
    """What is wrong with measures, columns, periods and stages of sources and changes, by key below `history`."""
    before = stages[: stages.index("leads")] if "leads" in stages else stages
    measures = [*BESIDE_LEADS, *before]
    for number, name in repeated([source.file for source in sources]):
        yield Problem(f"history.source.{number}.file", f'"{name}" is there twice')
    for number, source in enumerate(sources, start=1):
        place = f"history.source.{number}"
        for name in source.gives or ():
            if name not in measures:
                text = f'expected measures of a file beside leads ({", ".join(measures)}); came "{name}"'
                yield Problem(f"{place}.gives", text + nearest(name, measures))
        known = [*PLACES, *measures]
        for name in source.columns:
            if name not in known:
                text = f"expected one of our columns ({', '.join(known)})" + nearest(name, known)
                yield Problem(f"{place}.columns.{name}", text)
        yield from window_problems(kind, (f"{place}.through", source.through))
    own = [*(stages[stages.index("leads") + 1 :] if "leads" in stages else ()), "lost"]
    for name in reached:
        if name not in own:
            text = f"expected a stage after leads, or lost ({', '.join(own)})" + nearest(name, own)
            yield Problem(f"history.reached.{name}", text)
    said: dict[str, str] = {}
    for name, values in reached.items():
        for value in values:
            if (other := said.setdefault(value.casefold(), name)) != name:
                text = f'"{value}" is there for {other} too: a status can mean one of them'
                yield Problem(f"history.reached.{name}", text)
