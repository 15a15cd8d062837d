"""Rows of a database: a session that can only read, and a table or a SELECT of the study's own as cells or a relation.

A DuckDB file is attached and read as any relation. SQLite is streamed into DuckDB in pieces, as both are here. To
PostgreSQL the questions themselves travel, and sums come back: `Server` asks them in one transaction, so that all see
the same rows, and counts the bytes that it received.

A connection stands in the environment or in a service file; neither it nor its password is ever part of a message.
"""

# ruff: noqa: S608 - SQL over names that are quoted here, and the study's own SELECT
from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd

from forecast.bounds import MOST_CELLS
from forecast.errors import DataError, StudyError, UsageError
from forecast.read.cells import Grid, first_line_of
from forecast.read.grids import ZONED, check_file, quoted, too_wide
from forecast.read.relation import Relation, plausible
from forecast.read.sheets import plain_cell
from forecast.study import DUCKDB, POSTGRES, DatabaseSpec, Study, is_query, name_parts, nearest
from forecast.words import Message, Text, message

if TYPE_CHECKING:
    import duckdb
    import psycopg

PIECE = 20_000  # rows of SQLite that are held at a time
PATIENCE = 10  # seconds until a connection is given up, where it does not say
CALLED = {"postgres": "PostgreSQL", "sqlite": "SQLite", "duckdb": "DuckDB"}
DAY_ZERO = "2000-01-01"
CELL, ROW_END, NONE = "\x1f", "\x1e", "\x1d"  # between cells, between rows, for no text at all
INSTALL = "install the extra: pip install growth-forecast[postgres]"
# PostgreSQL's types as DuckDB calls them; of others the text is read
TYPES = {
    "bool": "BOOLEAN", "int2": "SMALLINT", "int4": "INTEGER", "int8": "BIGINT", "float4": "FLOAT", "float8": "DOUBLE",
    "numeric": "DECIMAL(38,9)", "date": "DATE", "timestamp": "TIMESTAMP", "timestamptz": ZONED,
}  # fmt: skip
DAYS = {"DATE", "TIMESTAMP", ZONED}


def selected(text: str) -> str:
    """SQL of a table or a SELECT where a table is expected."""
    return f"({text}\n)" if is_query(text) else ".".join(quoted(part) for part in name_parts(text))


def of_study(study: Study) -> DatabaseSpec:
    """The database of a study that has one."""
    if study.history.database is None:
        raise ValueError("the study has no database")
    return study.history.database


# ---------------------------------------------------------------------------------------------------------- PostgreSQL


@dataclass(eq=False)
class Answer:
    """What a server said: rows, and the names of their columns."""

    rows: list[tuple[Any, ...]]
    names: tuple[str, ...]
    kinds: tuple[str, ...]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows."""
        return self.rows


class Server:
    """A session of PostgreSQL that can only read: one transaction, one view of the rows.

    received: bytes of the answers so far, as the protocol carries them.
    """

    def __init__(self, connection: psycopg.Connection[Any], called: str) -> None:
        self.connection, self.called, self.received = connection, called, 0

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        """Ask; `parameters` are bound ($1, $2, ...). Raises DataError."""
        import psycopg

        try:
            with psycopg.RawCursor(self.connection) as cursor:
                cursor.execute(sql.encode(), list(parameters) or None)  # bytes: a text that is made here
                rows = cursor.fetchall()
                self._count(cursor.pgresult)
                described = cursor.description or ()
                types = self.connection.adapters.types
                kinds = [types.get(column.type_code) for column in described]
        except (psycopg.Error, UnicodeDecodeError) as error:
            raise DataError(self._told(error)) from None
        names = tuple(column.name for column in described)
        return Answer(rows, names, tuple("text" if kind is None else kind.name for kind in kinds))

    def table(
        self, sql: str, parameters: Sequence[Any] = (), *, most: int | None = None
    ) -> pd.DataFrame | None:
        """The answer as a table, sent as one text: several times smaller than rows; None where it has more bytes.

        Days travel as days since 2000; texts lose the signs that part cells.
        """
        described = self.execute(f"SELECT * FROM ({sql}) AS q LIMIT 0", parameters)
        cells = [_packed(quoted(n), kind) for n, kind in zip(described.names, described.kinds, strict=True)]
        line = " || E'\\x1f' || ".join(cells)
        whole = "p" if most is None else f"CASE WHEN octet_length(p) <= {int(most)} THEN p END"
        packed = f"SELECT string_agg({line}, E'\\x1e') AS p FROM ({sql}) AS q"
        ((text, size),) = self.execute(
            f"SELECT {whole}, coalesce(octet_length(p), 0) FROM ({packed}) AS packed", parameters
        ).fetchall()
        if text is None and size:
            return None
        rows = [row.split(CELL) for row in text.split(ROW_END)] if text else []
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(described.names)
        return pd.DataFrame(
            {
                name: _unpacked(column, kind)
                for name, kind, column in zip(described.names, described.kinds, columns, strict=True)
            }
        )

    def _count(self, result: psycopg.pq.abc.PGresult | None) -> None:
        if result is None:
            return
        for row in range(result.ntuples):
            cells = [result.get_value(row, column) for column in range(result.nfields)]
            self.received += 7 + sum(4 + len(cell or b"") for cell in cells)

    def _told(self, error: Exception) -> str:
        """What went wrong, for a person: of an error of the server its own line, which holds no connection."""
        import psycopg

        errors = psycopg.errors
        said = first_line_of(error)
        if isinstance(error, errors.UndefinedTable):
            return f"{self.called}: {said}{self._alike(said)}"
        if isinstance(error, errors.QueryCanceled):
            return (
                f"{self.called}: the server was asked for longer than history.database.timeout allows; give it more "
                "seconds, or an index, or a SELECT of fewer rows."
            )
        if isinstance(error, errors.ReadOnlySqlTransaction):
            return f"{self.called}: the SELECT would change data, and the session only reads ({said})."
        if isinstance(error, UnicodeDecodeError):
            return f"{self.called}: holds texts that are no UTF-8; convert the database, or cast them in a SELECT."
        hint = getattr(getattr(error, "diag", None), "message_hint", None)
        return f"{self.called}: the database says: {said}{f' ({hint})' if hint else '.'}"

    def _alike(self, said: str) -> str:
        import psycopg

        try:
            self.connection.rollback()
            with psycopg.RawCursor(self.connection) as cursor:
                cursor.execute(
                    b"SELECT schemaname || '.' || relname FROM pg_stat_user_tables UNION "
                    b"SELECT table_schema || '.' || table_name FROM information_schema.views "
                    b"WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
                )
                known = [str(name) for (name,) in cursor.fetchall()]
        except psycopg.Error:
            return "."
        name = said.partition('"')[2].partition('"')[0]
        bare = [each.removeprefix("public.") for each in known]
        return nearest(name, bare) or "."


def _packed(name: str, kind: str) -> str:
    """SQL of a cell as a text."""
    cell = f"q.{name}"
    if kind == "date":
        return f"coalesce(CAST({cell} - DATE '{DAY_ZERO}' AS text), '')"
    if kind == "bool":
        return f"coalesce(CAST(CAST({cell} AS integer) AS text), '')"
    if kind in TYPES:
        return f"coalesce(CAST({cell} AS text), '')"
    return f"coalesce(translate(CAST({cell} AS text), E'\\x1d\\x1e\\x1f', '   '), E'\\x1d')"


def _unpacked(cells: Sequence[str], kind: str) -> pd.Series[Any]:
    if kind == "date":
        days = pd.to_numeric(pd.Series(cells, dtype=object).replace("", None))
        return (pd.Timestamp(DAY_ZERO) + pd.to_timedelta(days, unit="D")).astype("datetime64[s]")
    if kind == "bool":
        return pd.Series([None if cell == "" else cell == "1" for cell in cells], dtype=object)
    if kind in TYPES:
        values = pd.to_numeric(pd.Series(cells, dtype=object).replace("", None))
        return values.astype(float) if not len(cells) else values
    return pd.Series([None if cell == NONE else cell for cell in cells], dtype=object)


@contextmanager
def server_of(study: Study, called: str) -> Iterator[Server]:
    """A session with the PostgreSQL server of a study; `called`: what messages name. Raises StudyError, DataError."""
    spec = of_study(study)
    try:
        import psycopg
    except ImportError:
        place = study.place("history.database.kind")
        raise UsageError(
            f'{place}: kind = "{POSTGRES}" needs psycopg, which is not here; {INSTALL}'
        ) from None
    with closing(_connected(study, spec, called)) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        server = Server(connection, called)
        for key, value in (("statement_timeout", str(max(int(spec.timeout * 1000), 1))), ("timezone", "UTC")):
            server.execute("SELECT set_config($1, $2, true)", [key, value])
        server.received = 0
        yield server


def _connected(study: Study, spec: DatabaseSpec, called: str) -> psycopg.Connection[Any]:
    import psycopg

    asked = spec.connection
    place = study.place("history.database.connection")
    if asked is None:
        raise StudyError(f"{place}: this key is needed")
    text, where = "", f'service "{asked.service}"'
    if asked.env is not None:
        text, where = os.environ.get(asked.env, ""), f"environment variable {asked.env}"
        if not text.strip():
            raise StudyError(
                f"{place}: the {where} is not set; let it hold a connection string of PostgreSQL"
            )
    try:
        given = psycopg.conninfo.conninfo_to_dict(
            text, **({"service": asked.service} if asked.service else {})
        )
    except psycopg.Error:
        said = (
            "holds no connection string of PostgreSQL (postgresql://... or key=value pairs); it is not shown"
        )
        raise StudyError(f"{place}: the {where} {said}") from None
    options: dict[str, Any] = {"connect_timeout": PATIENCE, "application_name": "forecast"} | given
    options |= {"client_encoding": "UTF8", **spec.tls.options(study.folder)}
    try:
        return psycopg.connect(psycopg.conninfo.make_conninfo("", **options))
    except psycopg.Error as error:
        said = _without(first_line_of(error), str(given.get("password") or ""), text)
        raise DataError(
            f"{called}: cannot connect to the database that the {where} names ({said}); check that it runs and that "
            "host, port, user, password and TLS options are right."
        ) from None


def _without(said: str, *secrets: str) -> str:
    for secret in secrets:
        for form in (secret, quote(secret, safe="")):
            said = said.replace(form, "...") if form else said
    return said


def server_relation(server: Server, selection: str) -> Relation:
    """A table or SELECT of PostgreSQL as a relation: texts as texts, all else as it is typed."""
    table = f"{selected(selection)} AS t"
    described = server.execute(f"SELECT * FROM {table} LIMIT 0")
    header, kinds = described.names, [TYPES.get(kind, "VARCHAR") for kind in described.kinds]
    if wrong := too_wide(server.called, header):
        raise DataError(wrong)
    columns = tuple(f"c{i}" for i in range(len(header)))
    cells = [
        f"{f'CAST(t.{quoted(name)} AS text)' if kind == 'VARCHAR' else f't.{quoted(name)}'} AS {column}"
        for name, kind, column in zip(header, kinds, columns, strict=True)
    ]
    days = {
        at: plausible(f"CAST({columns[at]} AS DATE)") if kind in DAYS else "CAST(NULL AS DATE)"
        for at, kind in enumerate(kinds)
    }
    amounts = {
        at: f"CAST({'NULL' if kind == 'BOOLEAN' or kind in DAYS else columns[at]} AS DOUBLE PRECISION)"
        for at, kind in enumerate(kinds)
        if kind != "VARCHAR"
    }
    return Relation(
        f"(SELECT {', '.join(cells)} FROM {table}) AS held",
        [],
        header,
        columns,
        tuple(kinds),
        "row_number() OVER ()",
        days=days,
        amounts=amounts,
        said={"database": "PostgreSQL"},
        line=0,
        named=True,
        server=True,
    )


# ---------------------------------------------------------------------------------------------- SQLite and DuckDB files


def held_relation(
    connection: duckdb.DuckDBPyConnection, study: Study, role: str, folder: Path, *, name: str
) -> Relation:
    """What a SQLite or DuckDB file holds for a role, as a relation of `connection`. Raises DataError."""
    spec, called = of_study(study), of_study(study).name_of(role)
    path, selection = _file(study, spec), str(getattr(spec, role))
    if spec.kind == DUCKDB:
        return _attached(connection, path, str(spec.file), selection, called)
    return _streamed(connection, path, str(spec.file), selection, called, folder / f"{name}.duckdb")


def _file(study: Study, spec: DatabaseSpec) -> Path:
    path = study.folder / str(spec.file)
    what = f"a database of {CALLED[spec.kind]}"
    check_file(path, str(spec.file), "history.database.file", what=what)
    return path


def _attached(
    connection: duckdb.DuckDBPyConnection, path: Path, file: str, selection: str, called: str
) -> Relation:
    import duckdb

    try:
        known = connection.execute("SELECT 1 FROM duckdb_databases() WHERE database_name = 'held'").fetchall()
        if not known:
            connection.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS held (READ_ONLY)")
            connection.execute("USE held")
        table = f"(SELECT * FROM {selected(selection)})"
        found = connection.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()
    except duckdb.Error as error:
        said = first_line_of(error)
        if isinstance(error, duckdb.IOException) or "not a valid DuckDB" in said:
            raise DataError(f"{file}: cannot be opened as a database of DuckDB ({said}).") from None
        more = str(error).partition("Did you mean ")[2].partition("?")[0].strip()
        raise DataError(
            f"{called}: the database says: {said}{f'; did you mean {more}?' if more else '.'}"
        ) from None
    header = tuple(str(row[0]) for row in found)
    if wrong := too_wide(called, header):
        raise DataError(wrong)
    types = tuple(str(row[1]) for row in found)
    written: dict[str, Text] = {"database": "DuckDB"}
    columns = tuple(map(quoted, header))
    return Relation(
        table, [], header, columns, types, "row_number() OVER ()", said=written, line=0, named=True
    )


@contextmanager
def _sqlite(path: Path, file: str, called: str) -> Iterator[sqlite3.Connection]:
    """A session of SQLite that can only read. Raises DataError for what goes wrong inside."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)) as held:
            held.text_factory = lambda cell: cell.decode("utf-8", errors="replace")
            held.execute("PRAGMA query_only = on")
            held.set_authorizer(_reading)
            yield held
    except sqlite3.Error as error:
        said = first_line_of(error)
        if "not a database" in said or "unable to open" in said:
            raise DataError(f"{file}: cannot be opened as a database of SQLite ({said}).") from None
        raise DataError(f"{called}: the database says: {said}{_tables_like(path, said)}") from None


def _reading(action: int, *_: object) -> int:
    reads = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
    return sqlite3.SQLITE_OK if action in reads else sqlite3.SQLITE_DENY


def _tables_like(path: Path, said: str) -> str:
    _, absent, name = said.partition("no such table: ")
    if not absent:
        return "."
    with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)) as held:
        known = [
            str(each)
            for (each,) in held.execute("SELECT name FROM sqlite_master WHERE type IN ('table','view')")
        ]
    return nearest(name, known) or f"; it has {', '.join(known[:20]) or 'no table'}."


def _streamed(
    connection: duckdb.DuckDBPyConnection, path: Path, file: str, selection: str, called: str, to: Path
) -> Relation:
    """The rows of SQLite in a DuckDB file of the scratch folder, as texts: SQLite's columns may hold anything."""
    with _sqlite(path, file, called) as held:
        cursor = held.execute(f"SELECT * FROM {selected(selection)} AS t")
        header = tuple(str(column[0]) for column in cursor.description)
        if wrong := too_wide(called, header):
            raise DataError(wrong)
        columns = [f"c{i}" for i in range(len(header))]
        place = to.stem
        table = f"{place}.main.streamed"
        if not connection.execute(
            f"SELECT 1 FROM duckdb_databases() WHERE database_name = '{place}'"
        ).fetchall():
            connection.execute(f"ATTACH '{str(to).replace(chr(39), chr(39) * 2)}' AS {place}")
        listed = ", ".join(f"{column} VARCHAR" for column in columns)
        connection.execute(f"CREATE OR REPLACE TABLE {table} ({listed})")
        while rows := cursor.fetchmany(PIECE):
            cells = zip(*rows, strict=True)
            frame = pd.DataFrame(
                {
                    column: pd.Series([_text(cell) for cell in values], dtype=object)
                    for column, values in zip(columns, cells, strict=True)
                }
            )
            connection.register("streamed_piece", frame)
            connection.execute(f"INSERT INTO {table} SELECT * FROM streamed_piece")
            connection.unregister("streamed_piece")
    types = ("VARCHAR",) * len(columns)
    said: dict[str, Text] = {"database": "SQLite"}
    return Relation(
        table, [], header, tuple(columns), types, "row_number() OVER ()", said=said, line=0, named=True
    )


def _text(cell: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bytes):
        return cell.hex()
    return (
        str(int(cell)) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    )


# ------------------------------------------------------------------------------------------------------ tables of cells


def held_grid(study: Study, role: str) -> Grid:
    """A table of moderate size of the database as cells: counts, or activity beside leads. Raises DataError."""
    spec, called = of_study(study), of_study(study).name_of(role)
    selection = str(getattr(spec, role))
    if spec.kind == POSTGRES:
        with server_of(study, called) as server:
            answer = server.execute(f"SELECT * FROM {selected(selection)} AS t LIMIT {MOST_CELLS}")
            header, rows = answer.names, answer.rows
        bytes_read = server.received
    elif spec.kind == DUCKDB:
        header, rows, bytes_read = *_duckdb_rows(study, spec, selection, called), 0
    else:
        with _sqlite(_file(study, spec), str(spec.file), called) as held:
            cursor = held.execute(f"SELECT * FROM {selected(selection)} AS t LIMIT {MOST_CELLS}")
            header, rows = tuple(str(column[0]) for column in cursor.description), cursor.fetchall()
        bytes_read = 0
    if wrong := too_wide(called, header, len(rows)):
        raise DataError(wrong)
    cells = [tuple(_cell(cell) for cell in row) for row in rows]
    kept = [(row, n) for n, row in enumerate(cells, start=1) if any(cell is not None for cell in row)]
    if not kept:
        raise DataError(f"{called}: has no rows; check the table, or the SELECT.")
    notes = [travelled(bytes_read)] if spec.kind == POSTGRES else []
    said: dict[str, Text] = {"database": CALLED[spec.kind]}
    return Grid(
        called,
        tuple(header),
        [row for row, _ in kept],
        [n for _, n in kept],
        said,
        notes=tuple(notes),
        line=0,
    )


def travelled(n: int) -> Message:
    """The note of how much left the database."""
    return message("{n:whole} bytes of answers left the database", n=n)


def _duckdb_rows(
    study: Study, spec: DatabaseSpec, selection: str, called: str
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    import duckdb

    from forecast.read.grids import as_cells

    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        held = _attached(connection, _file(study, spec), str(spec.file), selection, called)
        try:
            asked = [
                as_cells(column, kind) or column
                for column, kind in zip(held.columns, held.types, strict=True)
            ]
            rows = connection.execute(
                f"SELECT {', '.join(asked)} FROM {held.relation} LIMIT {MOST_CELLS}"
            ).fetchall()
        except duckdb.Error as error:
            raise DataError(f"{called}: the database says: {first_line_of(error)}.") from None
    return held.header, rows


def _cell(cell: object) -> object:
    """A cell as those of files are: a day with a zone in UTC, bytes and others as texts."""
    plain = plain_cell(cell)
    if isinstance(plain, datetime) and plain.tzinfo is not None:
        return plain.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    known = plain is None or isinstance(plain, str | bool | int | float | date)
    return plain if known else _text(plain) if isinstance(plain, bytes) else str(plain)
