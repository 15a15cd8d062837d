"""Several files that a pattern matches, read as one: in order, each in its own form, all with the same columns.

Row 5 of the second is number 2 * FILE_STEP + 5, which messages take apart again (`cells.row_text`).
"""

# ruff: noqa: S608 - SQL over names that are made here; texts are quoted, paths bound
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from forecast.errors import DataError
from forecast.read.ask import Ask
from forecast.read.cells import FILE_STEP, Grid
from forecast.read.grids import CSV_SUFFIXES, read_grid
from forecast.read.lines import in_lines
from forecast.read.record import LeftOut
from forecast.read.relation import Relation, as_grid, open_relation
from forecast.read.titles import folded
from forecast.words import Text, message

if TYPE_CHECKING:
    import duckdb


def names_of(paths: Sequence[Path], folder: Path, file: str) -> tuple[str, ...]:
    """How the files of a study are called in messages: as the study does, or each by its place in its folder."""
    if len(paths) == 1 and not _matched(paths[0], folder, file):
        return (file,)
    return tuple(
        (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix() for path in paths
    )


def _matched(path: Path, folder: Path, file: str) -> bool:
    return path != folder / file


def read_grids(paths: Sequence[Path], file: str, folder: Path, ask: Ask) -> Grid:
    """The files that a name in a study means, as one table. Raises DataError where their columns differ."""
    names = names_of(paths, folder, file)
    grids = [read_grid(path, name, ask) for path, name in zip(paths, names, strict=True)]
    if len(grids) == 1:
        return replace(grids[0], files=names if _matched(paths[0], folder, file) else ())
    first = grids[0]
    header = [folded(title) for title in first.header]
    rows, numbers = [], []
    for n, (grid, name) in enumerate(zip(grids, names, strict=True), start=1):
        place = _order(header, first.header, grid.header, names[0], name)
        rows += [tuple(row[at] for at in place) for row in grid.rows]
        numbers += [n * FILE_STEP + number for number in grid.numbers]
    return Grid(
        file, first.header, rows, numbers, first.said | _said(names), _left_out([grid.left_out for grid in grids]),
        first.shift, tuple(dict.fromkeys(note for grid in grids for note in grid.notes)), first.line, names,
    )  # fmt: skip


def open_files(
    connection: duckdb.DuckDBPyConnection,
    paths: Sequence[Path],
    file: str,
    folder: Path,
    ask: Ask,
    scratch: Path,
    *,
    name: str,
    grids: bool = False,
    lines: bool = False,
) -> Relation:
    """The same as a relation: `folder` of the study, `scratch` for what must be transcoded, `name` in the connection.

    grids: read text files line by line. lines: number their rows by lines.
    """
    names = names_of(paths, folder, file)
    parts = []
    for n, (path, called) in enumerate(zip(paths, names, strict=True)):
        own = name if len(paths) == 1 else f"{name}_{n}"
        if grids and path.suffix.lower() in CSV_SUFFIXES:
            part = as_grid(connection, path, called, ask, name=own)
        else:
            part = open_relation(connection, path, called, ask, scratch, name=own)
        parts.append((in_lines(connection, part, name=own) or part) if lines else part)
    if len(parts) == 1:
        return replace(parts[0], files=names if _matched(paths[0], folder, file) else ())
    return _united(parts, names)


def _united(parts: Sequence[Relation], names: tuple[str, ...]) -> Relation:
    first, columns = parts[0], tuple(f"c{i}" for i in range(len(parts[0].header)))
    header = [folded(title) for title in first.header]
    orders = [
        _order(header, first.header, part.header, names[0], name)
        for part, name in zip(parts, names, strict=True)
    ]
    kinds = tuple(
        kind
        if all(part.types[order[at]] == kind for part, order in zip(parts, orders, strict=True))
        else "VARCHAR"
        for at, kind in enumerate(first.types)
    )
    selects = []
    for n, (part, order) in enumerate(zip(parts, orders, strict=True), start=1):
        cells = [
            (part.columns[at] if part.types[at] == kind else f"CAST({part.columns[at]} AS VARCHAR)")
            + f" AS {column}"
            for at, kind, column in zip(order, kinds, columns, strict=True)
        ]
        selects.append(
            f"SELECT {', '.join(cells)}, {n * FILE_STEP} + {part.row} AS row_of_file FROM {part.relation}"
        )
    return Relation(
        f"({' UNION ALL '.join(selects)}) AS united",
        [parameter for part in parts for parameter in part.parameters],
        first.header, columns, kinds, "row_of_file",
        said=first.said | _said(names), left_out=_left_out([part.left_out for part in parts]), grid=first.grid,
        line=first.line, parts=tuple(parts), files=names,
    )  # fmt: skip


def _order(
    header: Sequence[str], titles: Sequence[str], own: Sequence[str], first: str, name: str
) -> list[int]:
    """Where the columns of the first file stand in another. Raises DataError where they are not the same."""
    there = [folded(title) for title in own]
    if sorted(there) != sorted(header):
        absent = [title.strip() for title in titles if folded(title) not in there]
        more = [title.strip() for title in own if folded(title) not in header]
        said = "{file}: its columns are not those of {first}: {what}; files that are read as one need the same columns."
        what: list[Text] = [message('it has no "{title}"', title=title) for title in absent]
        what += [message('"{title}" is its alone', title=title) for title in more]
        raise DataError(message(said, file=name, first=first, what=what or ["a title stands twice"]))
    return (
        [there.index(title) for title in header] if len(set(there)) == len(there) else list(range(len(there)))
    )


def _said(names: Sequence[str]) -> dict[str, Text]:
    said = "{n:whole}, {first:clean} to {last:clean}"
    return {"files": message(said, n=len(names), first=names[0], last=names[-1])}


def _left_out(parts: Sequence[Sequence[LeftOut]]) -> tuple[LeftOut, ...]:
    """What was left out of each file, alike reasons together."""
    found: dict[str, LeftOut] = {}
    for n, outs in enumerate(parts, start=1):
        for out in outs:
            rows = tuple(n * FILE_STEP + row for row in out.rows)
            before = found.get(str(out.reason))
            new = replace(out, rows=rows)
            if before is not None:
                new = replace(before, n=before.n + out.n, rows=(*before.rows, *rows))
            found[str(out.reason)] = new
    return tuple(found.values())
