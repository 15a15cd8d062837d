"""A file of leads, one row each, read by DuckDB into groups of leads that took the same course.

The rows never come into Python: one pass groups them by channel and by the periods of their events, and tells
whether any row breaks a rule. Only then is the file read again, to say which rows and why.

Cells are read as text and cast explicitly, so that a value which is no date or number can be named with its row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import DataError
from forecast.history.files import (
    BLANK,
    CSV_SUFFIXES,
    DATE_REMEDY,
    FIRST_SERIAL,
    LAST_SERIAL,
    NUMBER_REMEDY,
    PARQUET_SUFFIXES,
    Wanted,
    cells_problem,
    check_file,
    csv_fault,
    csv_header,
    day_text,
    find_columns,
    first_line_of,
    folded,
    literal_path,
    read_excel_rows,
    unreadable_parquet,
)
from forecast.study import PRESETS, Preset
from forecast.words import Text, message

MEMORY_LIMIT = "200MB"  # DuckDB's own buffers; what does not fit goes to a temporary folder
FIRST_DAY, LAST_DAY = "1990-01-01", "2100-12-31"
UNREADABLE_AMOUNT = """ "v_amount" IS NULL OR NOT isfinite("v_amount") OR contains("t_amount", '_')"""


@dataclass(frozen=True)
class Leads:
    """What a file of leads holds.

    groups: channel, one period start (or NaT) per stage from "leads" on and for `lost`, `n` leads, `amounts`.
    last_day: the latest date in the file.
    """

    groups: pd.DataFrame
    last_day: np.datetime64


@dataclass(frozen=True)
class _Rule:
    """A condition (SQL over the typed rows) that no row may meet, and how to say so."""

    broken: str
    column: str
    value: str
    text: str


def read_leads(
    path: Path,
    file: str,
    *,
    kind: str,
    stages: Sequence[str],
    columns: Mapping[str, str],
    preset: str | None,
    first_course: bool = False,
) -> Leads:
    """Read and check a file of leads. `stages` are those from "leads" on; the first is dated by `created`.

    first_course: of a lead that was lost and came back (a date in `returned`), only what happened before that counts.

    Raises DataError with every rule that is broken: how many rows, which, what came, and what to do.
    """
    check_file(path, file, "history.leads")
    with (
        tempfile.TemporaryDirectory(prefix="forecast-") as folder,
        duckdb.connect(config=_config(folder)) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        source = _open(connection, path, file)
        cells = _cells(source, file, stages, columns, preset)
        if first_course:
            cells = _first_course(source, cells, tuple(stages), columns.get("returned", "returned"))
        query = _Query(connection, source, file, cells, tuple(stages))
        try:
            return query.grouped(kind)
        except duckdb.Error as error:
            raise DataError(_unreadable(path, file, error)) from None


def read_lead_rows(
    path: Path, file: str, *, stages: Sequence[str], columns: Mapping[str, str], preset: str | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every lead of a file that `read_leads` accepts: our columns, typed, and all others as the file has them."""
    with duckdb.connect(config=_config(tempfile.gettempdir())) as connection:
        source = _open(connection, path, file)
        cells = _cells(source, file, stages, columns, preset)
        ours = {cell.title for cell in cells.values()}
        others = {i: title.strip() for i, title in enumerate(source.header) if title.strip() not in ours}
        picked = [f'{cell.value} AS "{name}"' for name, cell in cells.items()]
        sql = ", ".join([*picked, *(f"{source.columns[i]} AS x{i}" for i in others)])
        found = connection.execute(f"SELECT {sql} FROM {source.relation}", source.parameters).df()  # noqa: S608
    return found[list(cells)], found.iloc[:, len(cells) :].set_axis(list(others.values()), axis=1)


# ------------------------------------------------------------------------------------- the file, every cell as it came


@dataclass(frozen=True)
class _File:
    """A relation in DuckDB: how to select from it, its header, its column names and types, and its row number."""

    relation: str
    parameters: list[str]
    header: tuple[str, ...]
    columns: tuple[str, ...]
    types: tuple[str, ...]
    row: str
    serials: bool = False  # whole numbers in date columns are Excel's day numbers


def _config(folder: str) -> dict[str, Any]:
    """Settings of a connection: bounded memory, nothing fetched from outside."""
    return {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": folder,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }


def _open(connection: duckdb.DuckDBPyConnection, path: Path, file: str) -> _File:
    """Open a file by its ending. Raises DataError where it cannot be read."""
    suffix = path.suffix.lower()
    if suffix in CSV_SUFFIXES:
        return _open_csv(path, file)
    if suffix in PARQUET_SUFFIXES:
        return _open_parquet(connection, path, file)
    return _open_excel(connection, path, file)


def _open_csv(path: Path, file: str) -> _File:
    delimiter, header = csv_header(path, file)
    names = tuple(f"c{i}" for i in range(len(header)))
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    mark = "\\t" if delimiter == "\t" else delimiter
    layout = f"header = true, auto_detect = false, columns = {{{types}}}"
    relation = f"read_csv(?, {layout}, delim = '{mark}', quote = '\"', escape = '\"')"
    return _File(
        relation, [literal_path(path)], header, names, ("VARCHAR",) * len(names), "row_number() OVER () + 1"
    )


def _open_parquet(connection: duckdb.DuckDBPyConnection, path: Path, file: str) -> _File:
    relation, parameters = "read_parquet(?)", [literal_path(path)]
    try:
        found = connection.execute(f"DESCRIBE SELECT * FROM {relation}", parameters).fetchall()  # noqa: S608 - no outside text
    except duckdb.Error as error:
        raise DataError(unreadable_parquet(file, error)) from None
    header = tuple(str(row[0]) for row in found)
    quoted = tuple('"' + name.replace('"', '""') + '"' for name in header)
    types = tuple(str(row[1]) for row in found)
    return _File(relation, parameters, header, quoted, types, "row_number() OVER ()")


def _open_excel(connection: duckdb.DuckDBPyConnection, path: Path, file: str) -> _File:
    header, rows, numbers = read_excel_rows(path, file)
    cells = {f"c{i}": [_text(row[i]) for row in rows] for i in range(len(header))}
    connection.register("sheet", pd.DataFrame({**cells, "row_in_sheet": numbers}))
    return _File("sheet", [], header, tuple(cells), ("VARCHAR",) * len(header), "row_in_sheet", serials=True)


def _text(cell: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return str(int(cell)) if isinstance(cell, float) and cell == int(cell) else day_text(cell)


# ------------------------------------------------------------------------------------------------ our columns in it


@dataclass(frozen=True)
class _Cell:
    """One of our columns as SQL.

    title: its name in the file. text: what came, without outer blanks, NULL when empty. value: what it means, NULL when
    empty or not readable. given: cheaply, whether anything came (a cell of blanks may count).
    """

    title: str
    text: str
    value: str
    given: str


def _cells(
    source: _File, file: str, stages: Sequence[str], columns: Mapping[str, str], crm: str | None
) -> dict[str, _Cell]:
    """SQL for lead_id, channel, each stage, lost and amount; keys absent when the file has no such column."""
    preset = None if crm is None else PRESETS[crm]
    own = {"lead_id": "lead_id", "channel": "channel", "created": stages[0], **{s: s for s in stages[1:]}}
    optional = {"lost": "lost", "amount": "amount"}
    wanted = [_wanted(name, columns, preset, name in own) for name in {**own, **optional}]
    closing = {} if preset is None else _closing(source, preset, columns)
    found = find_columns(source.header, [w for w in wanted if w.name not in closing], file)
    cells = {}
    for name, ours in {**own, **optional}.items():
        if name in found:
            title, raw = source.header[found[name]].strip(), source.columns[found[name]]
            text, is_text = _text_of(source, found[name]), source.types[found[name]] == "VARCHAR"
            given = f"{raw} <> ''" if is_text else f"{raw} IS NOT NULL"
        elif name in closing:
            title, text = closing[name]
            raw, given = text, f"{text} IS NOT NULL"
        else:
            continue
        if name in {"lead_id", "channel"}:
            value = text
        else:
            value = f"TRY_CAST({raw} AS DOUBLE)" if name == "amount" else _day(raw, source.serials)
        cells[ours] = _Cell(title, text, value, given)
    return cells


def _first_course(
    source: _File, cells: dict[str, _Cell], stages: tuple[str, ...], title: str
) -> dict[str, _Cell]:
    """The cells without what came after a lead had come back, where it came back before it reached the second stage."""
    names = [name.strip().casefold() for name in source.header]
    if title.strip().casefold() not in names:
        return cells
    back = _day(source.columns[names.index(title.strip().casefold())], source.serials)
    second = cells[stages[1]].value
    again = f"(({back}) IS NOT NULL AND coalesce(({second}) >= ({back}), true))"

    def first(cell: _Cell) -> _Cell:
        text, value = (f"CASE WHEN NOT {again} THEN {sql} END" for sql in (cell.text, cell.value))
        return _Cell(cell.title, text, value, f"({cell.given} AND NOT {again})")

    return {name: first(cell) if name in stages[1:] else cell for name, cell in cells.items()}


def _wanted(name: str, columns: Mapping[str, str], preset: Preset | None, required: bool) -> Wanted:
    if name in columns:
        return Wanted(name, (columns[name],), required=True, mapped=True)
    theirs = () if preset is None else preset.columns.get(name, ())
    return Wanted(name, (*theirs, name), required)


def _closing(source: _File, preset: Preset, columns: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Dates of winning and losing from a closing date and an outcome, where the export has no date of its own."""
    places = {folded(name): i for i, name in reversed(list(enumerate(source.header)))}
    closed = next((places[name.casefold()] for name in preset.closed if name.casefold() in places), None)
    outcome = next((places[name.casefold()] for name in preset.outcome if name.casefold() in places), None)
    if closed is None or outcome is None:
        return {}
    ended = f"regexp_replace(lower({_text_of(source, outcome)}), ' *[(].*[)]$', '')"  # "Closed won (Sales Pipeline)"
    made = {}
    for name, values in (("won", preset.won), ("lost", preset.lost)):
        dated = (*preset.columns.get(name, ()), name)
        if name not in columns and not any(theirs.casefold() in places for theirs in dated):
            listed = ", ".join(f"'{value}'" for value in values)
            when = f"coalesce({_text_of(source, closed)}, '(no closing date)')"
            made[name] = (source.header[closed].strip(), f"CASE WHEN {ended} IN ({listed}) THEN {when} END")
    return made


def _text_of(source: _File, position: int) -> str:
    column = source.columns[position]
    if source.types[position] != "VARCHAR":
        column = f"CAST({column} AS VARCHAR)"
    return f"nullif(trim({column}), '')"


def _day(text: str, serials: bool) -> str:
    day = f"TRY_CAST({text} AS DATE)"
    if serials:
        number = f"TRY_CAST(floor(TRY_CAST({text} AS DOUBLE)) AS INTEGER)"
        is_serial = f"{number} BETWEEN {FIRST_SERIAL} AND {LAST_SERIAL}"
        day = f"CASE WHEN {is_serial} THEN DATE '1899-12-30' + {number} ELSE {day} END"
    return f"CASE WHEN {day} BETWEEN DATE '{FIRST_DAY}' AND DATE '{LAST_DAY}' THEN {day} END"


# ---------------------------------------------------------------------------------------------- checking and grouping


@dataclass(frozen=True)
class _Query:
    """The questions that are asked of one file of leads."""

    connection: duckdb.DuckDBPyConnection
    source: _File
    file: str
    cells: Mapping[str, _Cell]
    stages: tuple[str, ...]

    def _rows(self, numbered: bool) -> str:
        """The rows with t_<name>, v_<name>, g_<name> (text, value, given) and, when asked for, their row number."""
        parts = [
            f'{cell.text} AS "t_{name}", {cell.value} AS "v_{name}"' for name, cell in self.cells.items()
        ]
        parts += [f'{cell.given} AS "g_{name}"' for name, cell in self.cells.items()]
        if numbered:
            parts.insert(0, f"{self.source.row} AS row")
        return f"(SELECT {', '.join(parts)} FROM {self.source.relation})"  # noqa: S608 - names made here, path bound

    def _ask(self, sql: str) -> duckdb.DuckDBPyConnection:
        return self.connection.execute(sql, self.source.parameters)

    def _rules(self) -> list[_Rule]:
        """What no row may do, in the order in which a person would mend it."""
        cells, first = self.cells, self.stages[0]
        rules = [
            _Rule(
                '"t_lead_id" IS NULL',
                cells["lead_id"].title,
                "NULL",
                "is empty; each lead needs an id of its own",
            ),
            _Rule(f'"t_{first}" IS NULL', cells[first].title, "NULL", f"is empty; {DATE_REMEDY}"),
        ]
        for name in [*self.stages, *(["lost"] if "lost" in cells else [])]:
            broken = f'"t_{name}" IS NOT NULL AND "v_{name}" IS NULL'
            rules.append(_Rule(broken, cells[name].title, f'"t_{name}"', f"expected a date; {DATE_REMEDY}"))
        for before, name in pairwise(self.stages):
            rules += self._order_rules(before, name)
        if "lost" in cells:
            rules += self._loss_rules()
        if "amount" in cells:
            title = cells["amount"].title
            broken = f'"t_amount" IS NOT NULL AND ({UNREADABLE_AMOUNT})'
            rules.append(_Rule(broken, title, '"t_amount"', f"expected a number; {NUMBER_REMEDY}"))
            negative = "expected 0 or more; correct it, or leave it empty where the amount is not known"
            rules.append(_Rule('"v_amount" < 0', title, '"t_amount"', negative))
        return rules

    def _suspicion(self) -> str:
        """True for every row that breaks a rule, and for few others: what the fast pass asks of each row."""
        dates = [*self.stages, *(["lost"] if "lost" in self.cells else [])]
        parts = [f'"v_{self.stages[0]}" IS NULL']
        parts += [f'("g_{name}" AND "v_{name}" IS NULL)' for name in dates[1:]]
        for before, name in pairwise(self.stages):
            parts += [f'"v_{name}" < "v_{before}"', f'("v_{name}" IS NOT NULL AND "v_{before}" IS NULL)']
        if "lost" in self.cells:
            parts += ['("v_won" IS NOT NULL AND "v_lost" IS NOT NULL)']
            parts += [f'"v_lost" < "v_{name}"' for name in self.stages]
        if "amount" in self.cells:
            parts.append(f'("g_amount" AND ({UNREADABLE_AMOUNT} OR "v_amount" < 0))')
        return " OR ".join(parts)

    def _order_rules(self, before: str, name: str) -> list[_Rule]:
        title, earlier = self.cells[name].title, self.cells[before].title
        value = f'"t_{name}" || {_literal(f", {earlier} ")} || "t_{before}"'
        order = f"comes before {earlier}; correct the dates (set both to the same day where it went straight through)"
        rules = [_Rule(f'"v_{name}" < "v_{before}"', title, value, order)]
        if before != self.stages[0]:
            skipped = (
                f"is set while {earlier} is empty; fill {earlier} in (the same day, where it went straight through), "
                f"or take {before} out of funnel.stages"
            )
            rules.append(
                _Rule(f'"t_{name}" IS NOT NULL AND "t_{before}" IS NULL', title, f'"t_{name}"', skipped)
            )
        return rules

    def _loss_rules(self) -> list[_Rule]:
        lost, won = self.cells["lost"].title, self.cells["won"].title
        both = f"a lead is won and lost both; empty {won} or {lost}, whichever did not happen"
        reached = "greatest(" + ", ".join(f'"v_{name}"' for name in self.stages) + ")"
        value = f"\"t_lost\" || ', last stage ' || CAST({reached} AS VARCHAR)"
        before = " OR ".join(f'"v_lost" < "v_{name}"' for name in self.stages)  # much faster than greatest()
        early = "comes before the last stage that the lead reached; correct the dates"
        return [
            _Rule('"t_won" IS NOT NULL AND "t_lost" IS NOT NULL', lost, '"t_lost"', both),
            _Rule(f'"t_won" IS NULL AND ({before})', lost, value, early),
        ]

    def grouped(self, kind: str) -> Leads:
        """The groups of leads, after every rule was checked. Raises DataError with all the rules that are broken."""
        names = [*self.stages, *(["lost"] if "lost" in self.cells else [])]
        unknown = "CAST('nan' AS DOUBLE)"  # a NULL in a list would reach numpy as 0
        amount = f'coalesce("v_amount", {unknown})' if "amount" in self.cells else unknown
        keys = [f"coalesce(\"v_channel\", '{BLANK}') AS channel"]
        keys += [f'date_trunc(\'{kind}\', "v_{name}") AS "{name}"' for name in names]
        measures = [
            "count(*) AS n",
            f'list({amount}) FILTER (WHERE "v_won" IS NOT NULL) AS amounts',
            *(f'max("v_{name}") AS "last_{name}"' for name in names),
            f"bool_or({self._suspicion()}) AS bad",
        ]
        sql = f"SELECT {', '.join([*keys, *measures])} FROM {self._rows(False)} GROUP BY ALL"  # noqa: S608
        found = self._ask(sql).df()
        if found.empty:
            raise DataError(f"{self.file}: has a header and no rows; export it again with its data.")
        problems = (
            [said for rule in self._rules() if (said := self._broken(rule))] if found["bad"].any() else []
        )
        problems += [said for said in self._repeated(int(found["n"].sum())) if said not in problems]
        if problems:
            raise DataError(problems)
        if "lost" not in found:
            found["lost"] = pd.Series(np.datetime64("NaT", "ns"), index=found.index, dtype="datetime64[ns]")
        groups = found[["channel", *self.stages, "lost", "n", "amounts"]]
        groups = groups.sort_values(["channel", *self.stages, "lost"], ignore_index=True)
        last_day = max(found[f"last_{name}"].max() for name in names if found[f"last_{name}"].notna().any())
        return Leads(groups, np.datetime64(last_day, "D"))

    def _broken(self, rule: _Rule) -> Text:
        """The message for one rule; empty when no row breaks it."""
        rows = self._rows(True)
        sql = (
            f"SELECT row, {rule.value}, count(*) OVER () FROM {rows} WHERE {rule.broken} ORDER BY row LIMIT 3"  # noqa: S608
        )
        found = self._ask(sql).fetchall()
        if not found:
            return ""
        shown = [(row, value) for row, value, _ in found]
        return cells_problem(self.file, rule.column, shown, rule.text, found[0][2])

    def _hashes(self, n_rows: int) -> NDArray[np.uint64]:
        """A hash of each lead's id, sorted; in pieces, so that no more than the hashes is held."""
        hashes, filled = np.empty(n_rows, dtype=np.uint64), 0
        found = self._ask(f'SELECT hash("v_lead_id") AS h FROM {self._rows(False)}')  # noqa: S608
        while filled < n_rows:
            piece = found.fetch_df_chunk(64)["h"].to_numpy()
            hashes[filled : filled + piece.size] = piece
            filled += piece.size
        hashes.sort()
        return hashes

    def _repeated(self, n_rows: int) -> list[Text]:
        """A problem when ids are absent or repeat. Hashes first: they fit in memory where the ids would not."""
        hashes = self._hashes(n_rows)
        blank = np.uint64(self.connection.execute("SELECT hash(CAST(NULL AS VARCHAR))").fetchall()[0][0])
        if hashes[np.searchsorted(hashes, blank) % n_rows] != blank and not (hashes[1:] == hashes[:-1]).any():
            return []
        absent = self._broken(self._rules()[0])
        return [said for said in (absent, self._repeated_ids()) if said]

    def _repeated_ids(self) -> Text:
        """The message about ids that stand in several rows; empty when there is none."""
        rows = (
            f'FROM {self._rows(True)} WHERE "v_lead_id" IS NOT NULL GROUP BY "v_lead_id" HAVING count(*) > 1'
        )
        sql = f'SELECT min(row), max(row), "v_lead_id", count(*) OVER () {rows} ORDER BY 1 LIMIT 3'
        repeated = self._ask(sql).fetchall()
        if not repeated:
            return ""
        text = '"{name}" (rows {first} and {last})'
        ids = [message(text, name=name, first=first, last=last) for first, last, name, _ in repeated]
        n, title = repeated[0][3], self.cells["lead_id"].title
        stand = "1 id stands" if n == 1 else message("{n:whole} ids stand", n=n)
        text = "{file}: column {title}: {stand} in more than one row: {ids}; keep one row per lead."
        return message(text, file=self.file, title=title, stand=stand, ids=ids)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unreadable(path: Path, file: str, error: duckdb.Error) -> Text:
    """Why a file of leads could not be read: looked for line by line where it is text."""
    if path.suffix.lower() in CSV_SUFFIXES and (fault := csv_fault(path, file)):
        return fault
    return f"{file}: cannot be read ({first_line_of(error)}); export it again."
