"""What is asked of a file: which of the study's files it is, how it is to be read, and which columns it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from forecast.read.titles import tiers, title_key
from forecast.study import ReadSpec, ReadsSpec


@dataclass(frozen=True)
class Wanted:
    """A column that we look for: our name, the names it may have in the file, and whether it must be there.

    mapped: the study says its name, under `place`. spare: it does, and means another file.
    """

    name: str
    theirs: tuple[str, ...]
    required: bool = True
    mapped: bool = False
    spare: bool = False
    place: str = "history.columns"


@dataclass(frozen=True, eq=False)
class Ask:
    """What is asked of one file.

    key: the study's key that names it. role: which of the study's files it is (forecast.study.ROLES). reads: how the
    study says that files are to be read. wanted: the columns that are looked for. kind: of the periods it has, if any.
    own: the table of the study with keys of reading for this file alone, where it has one.
    """

    key: str
    role: str
    reads: ReadsSpec = field(default_factory=ReadsSpec)
    wanted: Sequence[Wanted] = ()
    kind: str | None = None
    own: str = ""

    @cached_property
    def spec(self) -> ReadSpec:
        """The keys that hold for this file."""
        return self.reads.of(self.role)

    def place(self, key: str) -> str:
        """The dotted name of a key for this file."""
        return f"{self.own}.{key}" if self.own else self.reads.place(self.role, key)

    @cached_property
    def _titles(self) -> dict[str, str]:
        titles: dict[str, str] = {}
        for column in self.wanted:
            known = (
                ()
                if column.mapped
                else [n for tier in tiers(column.name, self.role, self.kind) for n in tier]
            )
            for name in (*(title_key(name) for name in column.theirs), *known):
                titles.setdefault(name, column.name)
        return titles

    def title(self, cell: object) -> str | None:
        """The name of ours that a cell of a header may stand for; None for any other."""
        return self._titles.get(title_key(str(cell))) if isinstance(cell, str) else None
