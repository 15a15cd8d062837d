"""Where the leads of a study lie: files, several as one, copies of earlier days, or a database; each as a relation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.errors import DataError
from forecast.history.lead_rows import DEAL_ROW, ROW
from forecast.history.snapshots import chosen_files, copied, days_kept, known_rows
from forecast.read import (
    CSV_SUFFIXES,
    Ask,
    Relation,
    Wanted,
    first_line_of,
    held_relation,
    in_lines,
    open_files,
    server_of,
    server_relation,
)
from forecast.stopping import scratch
from forecast.study import Study, files_of, on_server

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "200MB"  # DuckDB's own buffers; what does not fit goes to a temporary folder
MORE_MEMORY = "2GB"  # where that is not enough


@dataclass(frozen=True)
class Opened:
    """A connection for the leads of a study, and a folder for what DuckDB needs.

    connection: of DuckDB, or the session of a server. grids: read files line by line. lines: number their rows by
    lines, as something is to be said of some. known: the day as of which they are read, where copies of earlier days
    are kept (None: the newest).
    """

    connection: Any
    study: Study
    folder: Path
    today: date | None = None
    grids: bool = False
    lines: bool = False
    known: date | None = None

    @property
    def server(self) -> bool:
        """Whether the leads lie on a server, where the questions go."""
        return on_server(self.study, "leads")


@dataclass(frozen=True)
class Source:
    """An open file or table: its name in the study, what is asked of it, and the SQL name of its row numbers."""

    name: str
    ask: Ask
    file: Relation
    row: str


@contextmanager
def opened_leads(study: Study, today: date | None = None, known: date | None = None) -> Iterator[Opened]:
    """DuckDB with bounded memory, nothing fetched from outside, and a folder for what does not fit; or the server."""
    if on_server(study, "leads"):
        with server_of(study, str(study.history.leads)) as server:
            yield Opened(server, study, Path(), today, known=known)
        return
    with scratch() as folder:
        config: dict[str, Any] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": folder,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        import duckdb  # slow to load, and counts need none

        with duckdb.connect(config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            yield Opened(connection, study, Path(folder), today, known=known)


def line_by_line(opened: Opened, error: duckdb.Error) -> Opened:
    """The same, read line by line: DuckDB stumbles over line ends of several kinds and over notes below the table.

    Raises DataError where that is of no use.
    """
    spec = opened.study.history
    names = [name for name in (spec.leads, spec.deals, spec.changes) if name is not None]
    if opened.grids or not any(Path(name).suffix.lower() in CSV_SUFFIXES for name in names):
        raise DataError(
            f"{', '.join(names)}: cannot be read ({first_line_of(error)}); export it again."
        ) from None
    return replace(opened, grids=True)


def numbered_else(opened: Opened) -> bool:
    """Whether a file has lines on which no row of their number stands."""
    spec = opened.study.history
    if opened.lines or opened.grids or spec.stored("leads"):
        return False
    return any(
        in_lines(opened.connection, part) is not None
        for source in sources_of(opened, ())
        for part in (source.file.parts or (source.file,))
    )


def sources_of(opened: Opened, wanted: Sequence[Wanted]) -> list[Source]:
    """The leads, and the file of deals where there is one; `wanted`: the columns that are looked for."""
    study, sources = opened.study, []
    spec = study.history
    for role, name, row in (("leads", spec.leads, ROW), ("deals", spec.deals, DEAL_ROW)):
        if name is None:
            continue
        ask = Ask(f"history.{role}", role, spec.read, wanted)
        if opened.server:
            file = server_relation(opened.connection, str(spec.database and spec.database.leads))
        elif spec.stored(role):
            file = held_relation(opened.connection, study, role, opened.folder, name=role)
        else:
            all_of_it = files_of(study.folder, name)
            paths = chosen_files(study, role, all_of_it, opened.known)
            file = open_files(
                opened.connection, paths, name, study.folder, ask, opened.folder,
                name=role, grids=opened.grids, lines=opened.lines,
            )  # fmt: skip
            if copied(study, role, "name"):
                file = replace(file, copies=days_kept(all_of_it))
        if role == "leads" and spec.snapshots is not None:
            file = known_rows(opened.connection, file, study, name, ask, opened.known)
        sources.append(Source(name, ask, file, row))
    return sources
