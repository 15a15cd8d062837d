"""A file of any size as a relation in DuckDB, every cell as it came; and its dates and numbers, read.

A file of moderate size is read as a grid and handed over. A large one is read by DuckDB itself, which is much faster:
its encoding, delimiter and header are found as for a grid, and bytes that DuckDB cannot read are transcoded in pieces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from forecast.errors import DataError
from forecast.read import dates, numbers
from forecast.read.ask import Ask
from forecast.read.cells import Grid, day_text
from forecast.read.grids import (
    CSV_SUFFIXES,
    PARQUET_SUFFIXES,
    ZONED,
    check_file,
    literal_path,
    quoted,
    read_grid,
    too_wide,
    unreadable_parquet,
)
from forecast.read.record import LeftOut
from forecast.read.text import SAMPLE, TextForm, as_utf8, binary, csv_rows, encoding_of, form_of
from forecast.words import Text

if TYPE_CHECKING:
    import duckdb

Asked = Any  # a connection of DuckDB, or a session of PostgreSQL that is asked in the same way
MODERATE = 1 << 20  # bytes of a text file that is read as a grid
UTF8 = {"utf-8", "utf-8-sig"}
DAYS = {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}  # whose days no zone moves
FIRST_DAY, LAST_DAY = "1990-01-01", "2100-12-31"  # of single events
# what a day is followed by in a cell with a time of day
_CLOCK = (
    r"([Tt ,]+)(klo |kl\.? |um )?[0-9]{1,2}[:.][0-9]{2}([:.][0-9]{2}([.,][0-9]+)?)?( ?[AaPp]\.?[Mm]\.?)?"
    r"( ?(Z|z|UTC|GMT|[+-][0-9]{2}:?([0-9]{2})?))?$"
)
_ZONED = r"[0-9]{1,2}[:.][0-9]{2}([:.][0-9]{2}([.,][0-9]+)?)? ?(Z|z|[+-][0-9]{2}:?([0-9]{2})?)$"


@dataclass(frozen=True)
class Relation:
    """A file in DuckDB: how to select from it, and its columns.

    relation, parameters: SQL that stands after FROM, and what is bound in it. header: titles. columns, types: name and
    type in SQL by position. row: SQL of the row number in the file. days, amounts: SQL of what a column of dates or of
    numbers means, by position, where it is known better than by a cast. currencies: SQL of the currency that each cell
    of a column of numbers names, and those that are named. said, left_out, line: as of a grid. text_file: of a large
    text file, the file that DuckDB reads, its delimiter, and the lines above its first row. named: rows have no number
    of their own, and are called by the id of their lead. server: it lies in PostgreSQL, and SQL goes there. parts,
    files: of several files that are read as one, each, and their names. copies: days of which there are exports. sure:
    columns of days, by position, that hold no day that could not be that of an event.
    """

    relation: str
    parameters: list[str]
    header: tuple[str, ...]
    columns: tuple[str, ...]
    types: tuple[str, ...]
    row: str
    days: dict[int, str] = field(default_factory=dict)
    amounts: dict[int, str] = field(default_factory=dict)
    currencies: dict[int, tuple[str, frozenset[str]]] = field(default_factory=dict)
    said: dict[str, Text] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    grid: Grid | None = None
    line: int = 1
    text_file: tuple[Path, str, int] | None = None
    named: bool = False
    server: bool = False
    parts: tuple[Relation, ...] = ()
    files: tuple[str, ...] = ()
    copies: tuple[date, ...] = ()
    sure: frozenset[int] = frozenset()

    def text(self, at: int) -> str:
        """SQL of a cell as text without outer blanks; NULL where it is empty."""
        column, kind = self.columns[at], self.types[at]
        if kind == "VARCHAR":
            return trimmed(column, server=self.server)
        told = f"CAST({column} AS VARCHAR)"
        return told if _has_no_blanks(kind) else f"nullif(trim({told}), '')"

    def name(self, at: int) -> str:
        """SQL of a cell as a name: a whole number without its ".0"."""
        kind = self.types[at]
        if kind in {"DOUBLE", "FLOAT"} or kind.startswith("DECIMAL"):
            return f"regexp_replace({self.text(at)}, '^([0-9]+)[.]0+$', '\\1')"
        return self.text(at)

    def given(self, at: int) -> str:
        """SQL that tells, cheaply, whether anything came (a cell of blanks may count)."""
        column = self.columns[at]
        return f"{column} <> ''" if self.types[at] == "VARCHAR" else f"{column} IS NOT NULL"

    def day(self, at: int) -> str:
        """SQL of a cell as a day; NULL where it is none."""
        if at in self.sure:
            return f"CAST({self.columns[at]} AS DATE)"
        return self.days.get(at) or plausible(f"TRY_CAST({self.columns[at]} AS DATE)")

    def amount(self, at: int) -> str:
        """SQL of a cell as a number; NULL where it is none."""
        yes_or_no = self.types[at] == "BOOLEAN"  # which DuckDB would cast to 1 and 0
        cast = "CAST(NULL AS DOUBLE)" if yes_or_no else f"TRY_CAST({self.columns[at]} AS DOUBLE)"
        return self.amounts.get(at) or cast


def trimmed(column: str, *, server: bool = False) -> str:
    """SQL of a text without outer blanks; NULL where it is empty.

    DuckDB's trim asks of every character what kind it is, which took half the time of reading ids. ASCII that neither
    begins nor ends with a blank stays as it is; the comparison sees most of it by the first bytes.
    """
    bare = f"nullif(trim({column}), '')"
    if server:
        return bare
    doubtful = f"{column} < '!' OR ends_with({column}, ' ') OR strlen({column}) <> length({column})"
    return f"CASE WHEN {doubtful} THEN {bare} ELSE {column} END"


def _has_no_blanks(kind: str) -> bool:
    """Whether a cell of this type, as text, is never empty and has no outer blanks."""
    return kind in {"DATE", "BOOLEAN"} or kind.startswith("TIMESTAMP") or _numeric(kind)


def plausible(day: str) -> str:
    """SQL of a day that may be that of an event; NULL for others."""
    return f"CASE WHEN {day} BETWEEN DATE '{FIRST_DAY}' AND DATE '{LAST_DAY}' THEN {day} END"


def open_relation(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    file: str,
    ask: Ask,
    folder: Path,
    *,
    name: str = "file",
) -> Relation:
    """Open a file for DuckDB; `folder` takes what must be transcoded, `name` names it in the connection.

    Raises DataError where it cannot be read.
    """
    check_file(path, file, ask.key)
    suffix = path.suffix.lower()
    if suffix in PARQUET_SUFFIXES:
        return _parquet(connection, path, file)
    if suffix in CSV_SUFFIXES and path.stat().st_size > MODERATE:
        large = _large_csv(connection, path, file, ask, folder, name)
        if large is not None:
            return large
    return _of_grid(connection, read_grid(path, file, ask), name)


def as_grid(
    connection: duckdb.DuckDBPyConnection, path: Path, file: str, ask: Ask, *, name: str = "file"
) -> Relation:
    """A text file that DuckDB stumbled over, read line by line: slower, and with a message where it is wrong."""
    return _of_grid(connection, read_grid(path, file, ask), name)


def _of_grid(connection: duckdb.DuckDBPyConnection, grid: Grid, name: str) -> Relation:
    width = len(grid.header)
    cells: dict[str, Any] = {
        f"c{i}": pd.Series([_text(row[i]) if i < len(row) else None for row in grid.rows], dtype=object)
        for i in range(width)
    }
    connection.register(name, pd.DataFrame({**cells, "row_in_file": grid.numbers}))
    columns = tuple(f"c{i}" for i in range(width))
    return Relation(
        name, [], grid.header, columns, ("VARCHAR",) * width, "row_in_file",
        said=dict(grid.said), left_out=grid.left_out, grid=grid, line=grid.line,
    )  # fmt: skip


def _text(cell: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else _typed(cell)


def _typed(cell: object) -> str:
    return repr(cell) if isinstance(cell, int | float) else day_text(cell)


def _large_csv(
    connection: duckdb.DuckDBPyConnection, path: Path, file: str, ask: Ask, folder: Path, name: str
) -> Relation | None:
    """The file as DuckDB reads it; None where it would not begin with the first row below the header."""
    with path.open("rb") as stream:
        sample = stream.read(SAMPLE)
    encoding = encoding_of(sample, file, ask, whole=False)
    text = sample.decode(encoding, errors="ignore").removeprefix("\ufeff")
    if "\0" in text:
        raise DataError(binary(file))
    form = form_of(text, encoding, file, ask)
    if wrong := too_wide(file, form.header):
        raise DataError(wrong)
    ends = {found for found in ("\r\n", "\n", "\r") if re.search(_END[found], text)}
    source = path
    if encoding not in UTF8 or len(ends) > 1 or ends == {"\r"}:
        source = folder / f"{name}.csv"
        as_utf8(path, encoding, source, file, ask)
    columns = tuple(f"c{i}" for i in range(len(form.header)))
    types = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)
    mark = "\\t" if form.delimiter == "\t" else form.delimiter
    records, first = _start(text, form, file)
    for skip in dict.fromkeys((form.last_line, records)):  # a title may be broken over lines
        layout = f"header = false, skip = {skip}, auto_detect = false, hive_partitioning = false"
        relation = (
            f"read_csv(?, {layout}, columns = {{{types}}}, delim = '{mark}', quote = '\"', escape = '\"')"
        )
        if first is None or _begins(connection, relation, source, first):
            break
    else:
        return None
    row = f"row_number() OVER () + {form.last_line}"
    return Relation(
        relation, [literal_path(source)], form.header, columns, ("VARCHAR",) * len(columns), row,
        said=form.said(), left_out=form.left_out, line=form.line,
        text_file=(source, form.delimiter, form.last_line),
    )  # fmt: skip


def _start(text: str, form: TextForm, file: str) -> tuple[int, list[str] | None]:
    """How many records a text has up to its header, and the cells of the first row below it (None: none is seen)."""
    records = 0
    for _, last, cells in csv_rows(text, form.delimiter, file, strict=False):
        if last <= form.last_line:
            records += 1
        elif any(cell.strip() for cell in cells):
            return records, [cell.strip() for cell in cells]
    return records, None


def _begins(connection: duckdb.DuckDBPyConnection, relation: str, source: Path, first: Sequence[str]) -> bool:
    """Whether the first row that DuckDB gives is this one."""
    import duckdb

    try:
        sql = f"SELECT * FROM {relation} LIMIT 1"  # noqa: S608 - names made here, path bound
        rows = connection.execute(sql, [literal_path(source)]).fetchall()
    except duckdb.Error:
        return False
    return bool(rows) and [(cell or "").strip() for cell in rows[0]] == list(first)[: len(rows[0])]


_END = {"\r\n": "\r\n", "\n": "(?<!\r)\n", "\r": "\r(?!\n)"}


def _parquet(connection: duckdb.DuckDBPyConnection, path: Path, file: str) -> Relation:
    import duckdb

    relation, parameters = "read_parquet(?, hive_partitioning = false)", [literal_path(path)]
    try:
        found = connection.execute(f"DESCRIBE SELECT * FROM {relation}", parameters).fetchall()  # noqa: S608 - no outside text
    except duckdb.Error as error:
        raise DataError(unreadable_parquet(file, error)) from None
    header = tuple(str(row[0]) for row in found)
    if wrong := too_wide(file, header):
        raise DataError(wrong)
    types = tuple(str(row[1]) for row in found)
    return Relation(
        relation,
        parameters,
        header,
        tuple(map(quoted, header)),
        types,
        "row_number() OVER ()",
        said={"format": "Parquet"},
    )


# -------------------------------------------------------------------------------------- dates and numbers as they are


def with_sure_days(connection: Asked, source: Relation, days: Sequence[int]) -> Relation:
    """The relation with those of its columns of days marked (`sure`) of which each day may be that of an event.

    Of types that hold days and nothing else, first and last tell it, which a file of Parquet mostly has beside them.
    """
    typed = [at for at in days if source.types[at] in DAYS and at not in source.days]
    if source.server or not typed:
        return source
    asked = ", ".join(
        f"coalesce(min({source.columns[at]}) >= DATE '{FIRST_DAY}' AND "
        f"max({source.columns[at]}) < DATE '{LAST_DAY}' + 1, true)"
        for at in typed
    )
    sql = f"SELECT {asked} FROM {source.relation}"  # noqa: S608 - names made here
    (told,) = connection.execute(sql, source.parameters).fetchall()
    return replace(source, sure=frozenset(at for at, fine in zip(typed, told, strict=True) if fine))


def with_forms(
    connection: Asked,
    source: Relation,
    days: Sequence[int],
    amounts: Sequence[int],
    file: str,
    ask: Ask,
    *,
    name: str = "file",
) -> Relation:
    """The relation with what its columns of dates (`days`) and of numbers (`amounts`) mean, in the form they have.

    Raises DataError where a form is not clear and the study does not say.
    """
    texts = [at for at in dict.fromkeys(days) if source.types[at] == "VARCHAR" or _numeric(source.types[at])]
    money = [at for at in dict.fromkeys(amounts) if source.types[at] == "VARCHAR"]
    keys = {at: _day_key(source, at, ask) for at in texts} | {at: source.text(at) for at in money}
    distinct = {at: _distinct(connection, source, keys[at]) for at in texts}
    shapes = {source.header[at].strip(): _shapes(connection, source, at) for at in money}
    written = numbers.form_of(shapes, ask, file)
    dated = dates.form_of({source.header[at].strip(): distinct[at] for at in texts}, ask, file)
    values: dict[int, dict[str, Any]] = {
        at: dates.days_of((t for _, t in distinct[at]), dated) for at in texts
    }
    named: dict[int, dict[str, str]] = {}
    for at in money:
        scale = numbers.micros(source.header[at])
        found = {text: numbers.value_of(text, written) for _, text in _distinct(connection, source, keys[at])}
        values[at] = {text: None if value is None else value * scale for text, value in found.items()}
        told = {text: numbers.currency_in(text) for text, value in found.items() if value is not None}
        named[at] = {text: currency for text, currency in told.items() if currency}
    zoned = {
        at: plausible(f"CAST(timezone('{ask.spec.time_zone}', {source.columns[at]}) AS DATE)")
        for at in days
        if source.types[at] == ZONED and ask.spec.time_zone is not None
    }
    joins, picked, parameters = "", "", list(source.parameters)
    for at, means in values.items():
        table = f"{name}_means_{at}"
        meant = _means(means, named.get(at), days=at in texts)
        if source.server:
            joined = f"{_bound(meant, parameters, days=at in texts)} AS {table}"
        else:
            connection.register(table, meant)
            joined = table
        joins += f" LEFT JOIN {joined} ON {keys[at]} = {table}.forecast_key"
        picked += f", {table}.forecast_value AS forecast_{at}"
        picked += f", {table}.forecast_currency AS forecast_currency_{at}" if named.get(at) else ""
    inner = f"(SELECT *, {source.row} AS forecast_row FROM {source.relation})"  # noqa: S608 - names made here
    said = {"numbers": written.said()} if not written.plain else {}
    return replace(
        source,
        relation=f"(SELECT s.*{picked} FROM {inner} s{joins}) AS meant" if joins else source.relation,  # noqa: S608
        parameters=parameters,
        row="forecast_row" if joins else source.row,
        days=source.days | zoned | {at: plausible(f"CAST(forecast_{at} AS DATE)") for at in texts},
        amounts=source.amounts | {at: f"forecast_{at}" for at in money},
        currencies={
            at: (f"forecast_currency_{at}", frozenset(own.values())) for at, own in named.items() if own
        },
        said=source.said | said | ({"dates": dated.said()} if dated.order else {}),
    )


def _numeric(kind: str) -> bool:
    """Whether a column of dates holds numbers: 20260301, or days as Excel counts them."""
    return (
        kind.endswith("INT")
        or kind in {"INTEGER", "UINTEGER", "DOUBLE", "FLOAT"}
        or kind.startswith("DECIMAL")
    )


def _means(values: dict[str, Any], named: dict[str, str] | None, *, days: bool) -> pd.DataFrame:
    """What texts mean, as a table to join; `named`: the currency of those that name one."""
    frame = pd.DataFrame({"forecast_key": pd.Series(list(values), dtype=object)})
    found = list(values.values())
    frame["forecast_value"] = (
        pd.to_datetime(pd.Series(found, dtype=object)).astype("datetime64[s]")
        if days
        else pd.Series(found, dtype=float)
    )
    if named:
        frame["forecast_currency"] = pd.Series([named.get(text) for text in values], dtype=object)
    return frame


def _bound(means: pd.DataFrame, parameters: list[Any], *, days: bool) -> str:
    """The same table as SQL of PostgreSQL, its columns bound among the parameters."""
    kinds = {
        "forecast_key": "text",
        "forecast_value": "date" if days else "float8",
        "forecast_currency": "text",
    }
    columns = []
    for name in means:
        cells = means[name].to_numpy()
        if name == "forecast_value" and days:
            found = [None if pd.isna(day) else pd.Timestamp(day).date() for day in cells]
        else:
            found = [None if pd.isna(cell) else cell for cell in cells.tolist()]
        parameters.append(found)
        columns.append(f"unnest(${len(parameters)}::{kinds[str(name)]}[]) AS {name}")
    return f"(SELECT {', '.join(columns)})"


def _distinct(connection: Asked, source: Relation, key: str) -> list[tuple[int, str]]:
    keys = f'SELECT {source.row} AS "row", {key} AS k FROM {source.relation}'  # noqa: S608 - names made here
    sql = f'SELECT min("row"), k FROM ({keys}) AS keyed WHERE k IS NOT NULL GROUP BY k'  # noqa: S608
    return sorted(
        (int(row), str(text)) for row, text in connection.execute(sql, source.parameters).fetchall()
    )


def _shapes(connection: Asked, source: Relation, at: int) -> list[tuple[int, str]]:
    """One cell of each shape that the numbers of a column have: all of a shape tell the same of the form."""
    text = source.text(at)
    first = "min(t)" if source.server else 'arg_min(t, "row")'
    rows = f'SELECT {source.row} AS "row", {text} AS t FROM {source.relation}'  # noqa: S608 - names made here
    sql = (
        f'SELECT min("row"), {first} FROM ({rows}) AS told '  # noqa: S608
        "WHERE t IS NOT NULL GROUP BY regexp_replace(t, '[1-9]', '9', 'g')"
    )
    return sorted(
        (int(row), str(text)) for row, text in connection.execute(sql, source.parameters).fetchall()
    )


def _day_key(source: Relation, at: int, ask: Ask) -> str:
    """SQL of the part of a cell that says the day: without its time, which is first moved into the study's zone."""
    text = source.name(at)
    bare = f"nullif(regexp_replace({text}, '{_CLOCK}', ''), '')"
    if ask.spec.time_zone is None:
        return bare
    zone = ask.spec.time_zone
    if source.server:
        local = f"to_char(timezone('{zone}', CAST({text} AS timestamptz)), 'YYYY-MM-DD')"
        return f"CASE WHEN {text} ~ '{_ZONED}' THEN {local} ELSE {bare} END"
    local = f"strftime(timezone('{zone}', TRY_CAST({text} AS TIMESTAMPTZ)), '%Y-%m-%d')"
    return f"CASE WHEN regexp_matches({text}, '{_ZONED}') THEN coalesce({local}, {bare}) ELSE {bare} END"
