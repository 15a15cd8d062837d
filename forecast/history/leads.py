"""A file of leads, one row each, read by DuckDB into groups of leads that took the same course.

The rows never come into Python: one pass groups them by channel and by the periods of their events, and tells
whether any row breaks a rule. Only then is the file read again, to say which rows and why.

Cells are read as text and cast explicitly, so that a value which is no date or number can be named with its row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import DataError
from forecast.history.rows import LONE_YEARS, lone_days
from forecast.read import (
    BLANK,
    CSV_SUFFIXES,
    DAY_REMEDY,
    NOT_A_NUMBER,
    Ask,
    FileRead,
    Relation,
    Wanted,
    as_grid,
    cells_problem,
    find_columns,
    first_line_of,
    folded,
    name_text,
    open_relation,
    rows_text,
    with_forms,
)
from forecast.study import PRESETS, Preset, ReadsSpec
from forecast.words import REVIEW, Check, Text, message

MEMORY_LIMIT = "200MB"  # DuckDB's own buffers; what does not fit goes to a temporary folder
UNREADABLE_AMOUNT = """ "v_amount" IS NULL OR NOT isfinite("v_amount") OR contains("t_amount", '_')"""


@dataclass(frozen=True)
class Leads:
    """What a file of leads holds.

    groups: channel, one period start (or NaT) per stage from "leads" on and for `lost`, `n` leads, `amounts`.
    last_day: the latest date in the file. read: how it was read; found: what is to be known of it, for the audit.
    """

    groups: pd.DataFrame
    last_day: np.datetime64
    read: FileRead
    found: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Terms:
    """What is asked of the rows of a file of leads.

    today: no date may be later. window: first days of the first and last period asked for; dates far from all others
    are asked about inside it alone. net_revenue: amounts below 0 are meant.
    """

    today: date | None = None
    window: tuple[np.datetime64 | None, np.datetime64 | None] = (None, None)
    net_revenue: bool = False


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
    reads: ReadsSpec,
    first_course: bool = False,
    terms: Terms = Terms(),
) -> Leads:
    """Read and check a file of leads. `stages` are those from "leads" on; the first is dated by `created`.

    first_course: of a lead that was lost and came back (a date in `returned`), only what happened before that counts.

    Raises DataError with every rule that is broken: how many rows, which, what came, and what to do.
    """
    ask = _ask(reads, _wanted_columns(stages, columns, preset))
    with (
        tempfile.TemporaryDirectory(prefix="forecast-") as folder,
        duckdb.connect(config=_config(folder)) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        source = open_relation(connection, path, file, ask, Path(folder))
        back = columns.get("returned", "returned") if first_course else None
        opened = _Opened(connection, path, file, ask, tuple(stages), columns, preset, back, terms)
        try:
            return opened.leads(source, kind)
        except duckdb.Error as error:
            if path.suffix.lower() not in CSV_SUFFIXES or source.grid is not None:
                raise DataError(
                    f"{file}: cannot be read ({first_line_of(error)}); export it again."
                ) from None
            # DuckDB stumbles over line ends of several kinds and over notes below the table
            return opened.leads(as_grid(connection, path, file, ask), kind)


def read_lead_rows(
    path: Path,
    file: str,
    *,
    stages: Sequence[str],
    columns: Mapping[str, str],
    preset: str | None,
    reads: ReadsSpec,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every lead of a file that `read_leads` accepts: our columns, typed, and all others as the file has them."""
    ask = _ask(reads, _wanted_columns(stages, columns, preset))
    with (
        tempfile.TemporaryDirectory(prefix="forecast-") as folder,
        duckdb.connect(config=_config(folder)) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        source = open_relation(connection, path, file, ask, Path(folder))
        source = _in_form(connection, source, file, ask, stages, columns, preset, None)
        cells = _cells(source, file, stages, columns, preset)
        ours = {cell.title for cell in cells.values()}
        others = {i: title.strip() for i, title in enumerate(source.header) if title.strip() not in ours}
        picked = [f'{cell.value} AS "{name}"' for name, cell in cells.items()]
        sql = ", ".join([*picked, *(f"{source.columns[i]} AS x{i}" for i in others)])
        ordered = f"SELECT {sql} FROM {source.relation} ORDER BY {source.row}"  # noqa: S608
        found = connection.execute(ordered, source.parameters).df()
    found["channel"] = _names(found["channel"])
    return found[list(cells)], found.iloc[:, len(cells) :].set_axis(list(others.values()), axis=1)


def _ask(reads: ReadsSpec, wanted: Sequence[Wanted]) -> Ask:
    return Ask("history.leads", "leads", reads, wanted)


@dataclass(frozen=True)
class _Opened:
    """One file of leads, asked in the form that programs write first, and in the form that it has where that fails."""

    connection: duckdb.DuckDBPyConnection
    path: Path
    file: str
    ask: Ask
    stages: tuple[str, ...]
    columns: Mapping[str, str]
    preset: str | None
    back: str | None
    terms: Terms

    def leads(self, source: Relation, kind: str) -> Leads:
        """The leads. Raises DataError where they cannot be read, and duckdb.Error where DuckDB cannot read the file."""
        if source.grid is None and self.ask.spec.time_zone is None:
            found = self._query(source).found(kind)
            if not found["bad"].any() and not (found["unsure"].any() and not found["proven"].any()):
                return self._query(source).leads(found)
        source = _in_form(
            self.connection, source, self.file, self.ask, self.stages, self.columns, self.preset, self.back
        )
        query = self._query(source)
        return query.leads(query.found(kind))

    def _query(self, source: Relation) -> _Query:
        cells = _cells(source, self.file, self.stages, self.columns, self.preset)
        if self.back is not None:
            cells = _first_course(source, cells, self.stages, self.back)
        return _Query(self.connection, source, self.file, cells, self.stages, self.terms)


def _in_form(
    connection: duckdb.DuckDBPyConnection,
    source: Relation,
    file: str,
    ask: Ask,
    stages: Sequence[str],
    columns: Mapping[str, str],
    crm: str | None,
    back: str | None,
) -> Relation:
    """The relation with its dates and amounts read in the form that they are written in."""
    found, closed, _ = _found(source, file, stages, columns, crm)
    days = [at for name, at in found.items() if name not in {"lead_id", "channel", "amount"}]
    days += [closed] if closed is not None else []
    if back is not None:
        days += [at for at, title in enumerate(source.header) if folded(title) == folded(back)]
    amounts = [found["amount"]] if "amount" in found else []
    return with_forms(connection, source, days, amounts, file, ask)


# ------------------------------------------------------------------------------------- the file, every cell as it came


def _config(folder: str) -> dict[str, Any]:
    """Settings of a connection: bounded memory, nothing fetched from outside."""
    return {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": folder,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }


def _names(column: pd.Series[Any]) -> pd.Series[Any]:
    """Names as `name_text` has them, each worked out once; what is absent stays so."""
    return column.map({name: name_text(name) for name in column.dropna().unique()}).astype(object)


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


OWN, OPTIONAL = ("lead_id", "channel", "created"), ("lost", "amount")


def _wanted_columns(stages: Sequence[str], columns: Mapping[str, str], crm: str | None) -> list[Wanted]:
    preset = None if crm is None else PRESETS[crm]
    own = (*OWN, *stages[1:])
    return [_wanted(name, columns, preset, name in own) for name in (*own, *OPTIONAL)]


def _found(
    source: Relation, file: str, stages: Sequence[str], columns: Mapping[str, str], crm: str | None
) -> tuple[dict[str, int], int | None, dict[str, str]]:
    """Positions of our columns, that of the closing date, and by what condition it is that of winning or losing."""
    closed, ended = (None, {}) if crm is None else _closing(source, PRESETS[crm], columns)
    wanted = [column for column in _wanted_columns(stages, columns, crm) if column.name not in ended]
    return find_columns(source.header, wanted, file, role="leads"), closed, ended


def _cells(
    source: Relation, file: str, stages: Sequence[str], columns: Mapping[str, str], crm: str | None
) -> dict[str, _Cell]:
    """SQL for lead_id, channel, each stage, lost and amount; keys absent when the file has no such column."""
    found, closed, ended = _found(source, file, stages, columns, crm)
    cells = {}
    for name in (*OWN, *stages[1:], *OPTIONAL):
        ours = stages[0] if name == "created" else name
        if name in found:
            at = found[name]
            value = {"lead_id": source.name, "channel": source.name, "amount": source.amount}.get(
                name, source.day
            )(at)
            cells[ours] = _Cell(source.header[at].strip(), source.text(at), value, source.given(at))
        elif name in ended and closed is not None:
            text = f"CASE WHEN {ended[name]} THEN coalesce({source.text(closed)}, '(no closing date)') END"
            value = f"CASE WHEN {ended[name]} THEN {source.day(closed)} END"
            cells[ours] = _Cell(source.header[closed].strip(), text, value, f"{text} IS NOT NULL")
    return cells


def _first_course(
    source: Relation, cells: dict[str, _Cell], stages: tuple[str, ...], title: str
) -> dict[str, _Cell]:
    """The cells without what came after a lead had come back, where it came back before it reached the second stage."""
    names = [name.strip().casefold() for name in source.header]
    if title.strip().casefold() not in names:
        return cells
    back = source.day(names.index(title.strip().casefold()))
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


def _closing(
    source: Relation, preset: Preset, columns: Mapping[str, str]
) -> tuple[int | None, dict[str, str]]:
    """Where the export has no date of winning or losing: position of the closing date, and SQL of when it is that."""
    places = {folded(name): i for i, name in reversed(list(enumerate(source.header)))}
    closed = next((places[name.casefold()] for name in preset.closed if name.casefold() in places), None)
    outcome = next((places[name.casefold()] for name in preset.outcome if name.casefold() in places), None)
    if closed is None or outcome is None:
        return None, {}
    ended = (
        f"regexp_replace(lower({source.text(outcome)}), ' *[(].*[)]$', '')"  # "Closed won (Sales Pipeline)"
    )
    made = {}
    for name, values in (("won", preset.won), ("lost", preset.lost)):
        dated = (*preset.columns.get(name, ()), name)
        if name not in columns and not any(theirs.casefold() in places for theirs in dated):
            listed = ", ".join(f"'{value}'" for value in values)
            made[name] = f"{ended} IN ({listed})"
    return closed, made


# ---------------------------------------------------------------------------------------------- checking and grouping


@dataclass(frozen=True)
class _Query:
    """The questions that are asked of one file of leads."""

    connection: duckdb.DuckDBPyConnection
    source: Relation
    file: str
    cells: Mapping[str, _Cell]
    stages: tuple[str, ...]
    terms: Terms = Terms()

    @property
    def _dates(self) -> list[str]:
        """The columns that hold dates."""
        return [*self.stages, *(["lost"] if "lost" in self.cells else [])]

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
            _Rule(f'"t_{first}" IS NULL', cells[first].title, "NULL", f"is empty; {DAY_REMEDY}"),
        ]
        for name in self._dates:
            broken = f'"t_{name}" IS NOT NULL AND "v_{name}" IS NULL'
            rules.append(_Rule(broken, cells[name].title, f'"t_{name}"', f"expected a date; {DAY_REMEDY}"))
        if self.terms.today is not None:
            text = (
                f"is later than today, {self.terms.today}; correct it, or end the history (history.through): "
            )
            text += "then what lies after it is not read"
            rules += [
                _Rule(self._later(name), cells[name].title, f'"t_{name}"', text) for name in self._dates
            ]
        for before, name in pairwise(self.stages):
            rules += self._order_rules(before, name)
        if "lost" in cells:
            rules += self._loss_rules()
        if "amount" in cells:
            title = cells["amount"].title
            broken = f'"t_amount" IS NOT NULL AND ({UNREADABLE_AMOUNT})'
            rules.append(_Rule(broken, title, '"t_amount"', f"expected a number; {NOT_A_NUMBER}"))
            negative = "expected 0 or more; correct it, or leave it empty where the amount is not known; where refunds "
            negative += "are meant, set history.net_revenue = true"
            if not self.terms.net_revenue:
                rules.append(_Rule('"v_amount" < 0', title, '"t_amount"', negative))
        return rules

    def _later(self, name: str) -> str:
        return f"\"v_{name}\" > DATE '{self.terms.today}'"

    def _suspicion(self) -> str:
        """True for every row that breaks a rule, and for few others: what the fast pass asks of each row."""
        parts = [f'"v_{self.stages[0]}" IS NULL']
        parts += [f'("g_{name}" AND "v_{name}" IS NULL)' for name in self._dates[1:]]
        parts += [] if self.terms.today is None else [self._later(name) for name in self._dates]
        for before, name in pairwise(self.stages):
            parts += [f'"v_{name}" < "v_{before}"', f'("v_{name}" IS NOT NULL AND "v_{before}" IS NULL)']
        if "lost" in self.cells:
            parts += ['("v_won" IS NOT NULL AND "v_lost" IS NOT NULL)']
            parts += [f'"v_lost" < "v_{name}"' for name in self.stages]
        if "amount" in self.cells:
            below = "" if self.terms.net_revenue else ' OR "v_amount" < 0'
            parts.append(f'("g_amount" AND ({UNREADABLE_AMOUNT}{below}))')
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

    def found(self, kind: str) -> pd.DataFrame:
        """The groups of leads, and of each whether a row of it looks wrong, or has an amount that tells of its mark."""
        names = self._dates
        unknown = "CAST('nan' AS DOUBLE)"  # a NULL in a list would reach numpy as 0
        amount = f'coalesce("v_amount", {unknown})' if "amount" in self.cells else unknown
        keys = [f"coalesce(\"v_channel\", '{BLANK}') AS channel"]
        keys += [f'date_trunc(\'{kind}\', "v_{name}") AS "{name}"' for name in names]
        measures = [
            "count(*) AS n",
            f'list({amount}) FILTER (WHERE "v_won" IS NOT NULL) AS amounts',
            *(f'max("v_{name}") AS "last_{name}"' for name in names),
            f"bool_or({self._suspicion()}) AS bad",
            *self._marks(),
        ]
        sql = f"SELECT {', '.join([*keys, *measures])} FROM {self._rows(False)} GROUP BY ALL"  # noqa: S608
        found = self._ask(sql).df()
        if found.empty:
            raise DataError(f"{self.file}: has a header and no rows; export it again with its data.")
        return found

    def _marks(self) -> list[str]:
        """SQL of whether amounts are unsure (1.200 may be either number), and whether one proves the decimal point."""
        if "amount" not in self.cells:
            return ["false AS unsure", "false AS proven"]
        either = """regexp_full_match("t_amount", '[-+]?[0-9]{1,3}[.][0-9]{3}')"""
        point = """contains("t_amount", '.')"""
        return [f"bool_or({point} AND {either}) AS unsure", f"bool_or({point} AND NOT {either}) AS proven"]

    def leads(self, found: pd.DataFrame) -> Leads:
        """The leads, after every rule was checked. Raises DataError with all the rules that are broken."""
        names = [*self.stages, *(["lost"] if "lost" in self.cells else [])]
        problems = (
            [said for rule in self._rules() if (said := self._broken(rule))] if found["bad"].any() else []
        )
        problems += [said for rule in self._lone(found) if (said := self._broken(rule)) and not problems]
        problems += [said for said in self._repeated(int(found["n"].sum())) if said not in problems]
        if problems:
            raise DataError(problems)
        if "lost" not in found:
            found["lost"] = pd.Series(np.datetime64("NaT", "ns"), index=found.index, dtype="datetime64[ns]")
        groups = found[["channel", *self.stages, "lost", "n", "amounts"]]
        groups = groups.assign(channel=_names(groups["channel"]))
        groups = groups.sort_values(["channel", *self.stages, "lost"], ignore_index=True)
        last_day = max(found[f"last_{name}"].max() for name in names if found[f"last_{name}"].notna().any())
        refunds = self._refunds()
        read = self._read(int(found["n"].sum()), tuple(check.value for check in refunds))
        return Leads(groups, np.datetime64(last_day, "D"), read, refunds)

    def _read(self, rows: int, notes: tuple[Text, ...]) -> FileRead:
        """How the file was read."""
        columns = {name: cell.title for name, cell in self.cells.items()}
        unread = tuple(
            t.strip() for t in self.source.header if t.strip() and t.strip() not in columns.values()
        )
        return FileRead(
            "leads", self.file, dict(self.source.said), columns, unread, rows, self.source.left_out, notes
        )

    def _lone(self, found: pd.DataFrame) -> list[_Rule]:
        """Rules for dates that lie years away from all others, of few leads: they would stretch the history."""
        days, n = [], []
        for name in self._dates:
            starts = found[name].to_numpy().astype("datetime64[D]")
            inside = ~np.isnat(starts)
            inside &= True if self.terms.window[0] is None else starts >= self.terms.window[0]
            inside &= True if self.terms.window[1] is None else starts <= self.terms.window[1]
            days.append(starts[inside])
            n.append(found["n"].to_numpy()[inside])
        first, last = lone_days(np.concatenate(days), np.concatenate(n))
        rules = []
        for end, mark, key in ((first, "<", "from"), (last, ">=", "through")):
            if end is None:
                continue
            day = (
                end if mark == "<" else end + np.timedelta64(366, "D")
            )  # `end` is the first day of its period
            text = f"lies more than {LONE_YEARS} years from all other dates; correct the year, or leave it out of the "
            text += f"history (history.{key})"
            for name in self._dates:
                broken = f"\"v_{name}\" {mark} DATE '{day}'"
                rules.append(_Rule(broken, self.cells[name].title, f'"t_{name}"', text))
        return rules

    def _refunds(self) -> tuple[Check, ...]:
        """What is said of amounts below 0, where they are meant."""
        if not self.terms.net_revenue or "amount" not in self.cells:
            return ()
        rows = f'{self._rows(True)} WHERE "v_amount" < 0 AND "v_won" IS NOT NULL'
        sql = f'SELECT row, "t_amount", count(*) OVER (), sum("v_amount") OVER () FROM {rows} ORDER BY row LIMIT 3'  # noqa: S608
        found = self._ask(sql).fetchall()
        if not found:
            return ()
        told = {"title": self.cells["amount"].title, "sum": float(found[0][3])}
        told["rows"] = rows_text([(row, value) for row, value, _, _ in found], found[0][2])
        text = "{title}: {rows}: {sum:whole} in all (history.net_revenue = true)"
        advice = "A deal of a negative amount says nothing of deal value, so the forecast is of revenue before refunds."
        return (Check("Negative money", REVIEW, message(text, **told), advice),)

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
