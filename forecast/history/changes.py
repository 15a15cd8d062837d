"""A log of the statuses of leads, as a CRM keeps it: on which day each lead reached a stage, or was lost.

    Lead ID, Old Value, New Value, Edit Date          reached = { qualified = "Working", lost = "Unqualified" }

A stage is reached on the first day on which the lead came to one of its statuses. A lead is lost where it came to such
a status and did not leave it again, on the last day on which it came there.
"""

# ruff: noqa: S608 - SQL over names that are made here; texts are quoted
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from forecast.errors import DataError
from forecast.history.lead_rows import Cell, LeadRows, literal
from forecast.read import (
    DAY_REMEDY,
    Ask,
    FileRead,
    LeftOut,
    Relation,
    Wanted,
    cells_problem,
    find_columns,
    folded,
    with_forms,
)
from forecast.study import CHANGES, STATUS_FIELDS, Study, nearest
from forecast.words import Text, message

if TYPE_CHECKING:
    import duckdb

OURS = ("lead_id", "changed", "status", "status_before", "field")
NEEDED = ("lead_id", "changed", "status")


@dataclass(frozen=True)
class Changed:
    """Leads with the dates that the log tells, and how it was read."""

    rows: LeadRows
    read: FileRead


def wanted(study: Study) -> list[Wanted]:
    """What is looked for in the log."""
    found = []
    for name in OURS:
        own = study.history.columns.get(name)
        titles = (*CHANGES[name], name)
        if own is not None and name != "lead_id":  # the id may have one name in both files, or two
            found.append(Wanted(name, (own,), mapped=True))
        else:
            found.append(Wanted(name, titles if own is None else (own, *titles), name in NEEDED))
    return found


def with_changes(rows: LeadRows, file: Relation, name: str, study: Study, ask: Ask) -> Changed:
    """The leads with "t_", "v_" and "g_" columns of each stage of `history.reached`, from the log.

    Raises DataError where a column is missing, no status of the log is one of `reached`, or no lead of it is among the
    leads.
    """
    at = find_columns(file.header, wanted(study), name, role="changes", row=file.line)
    file = with_forms(rows.connection, file, [at["changed"]], [], name, ask, name="changes")
    log = _log(rows.connection, file, at, name, study)
    key = rows.cells["lead_id"]
    there = rows.ask(
        f'SELECT count(*) FROM (SELECT DISTINCT "v_lead_id" AS "key" FROM {rows.rows}) '
        'SEMI JOIN changes_made USING ("key")'
    ).fetchall()[0][0]
    header = [" ".join(cell.split()) for cell in file.header]
    if log.leads and not there:
        text = "{file}: no change finds its lead: no value of column {title} stands in column {theirs} of {leads}"
        told = {"file": name, "title": header[at["lead_id"]], "theirs": key.title, "leads": key.file}
        raise DataError(message(text, **told))
    text = "{n:whole} of {all:whole} leads of this file are among the leads of {leads}"
    notes: tuple[Text, ...] = (message(text, n=there, all=log.leads, leads=key.file),)
    for stage, values in study.history.reached.items():
        notes += (message("{stage}: {values:list}", stage=stage, values=list(values)),)
    columns = {ours: header[place] for ours, place in at.items()}
    unread = tuple(cell for place, cell in enumerate(header) if cell and place not in at.values())
    left_out = (*file.left_out, *log.left_out)
    read = FileRead("changes", name, dict(file.said), columns, unread, log.rows, left_out, notes)
    return Changed(_joined(rows, study.history.reached, f"{columns['changed']} ({name})"), read)


@dataclass(frozen=True)
class _Log:
    """The log in a table "changes_made", a row a lead: how many leads, rows that were used, and rows left out."""

    leads: int
    rows: int
    left_out: tuple[LeftOut, ...]


def _log(
    connection: duckdb.DuckDBPyConnection, file: Relation, at: Mapping[str, int], name: str, study: Study
) -> _Log:
    """The day of each stage of `history.reached`, by lead."""
    went = file.text(at["status_before"]) if "status_before" in at else "NULL"
    kind = f"lower({file.text(at['field'])})" if "field" in at else "NULL"
    parts = (
        f'{file.name(at["lead_id"])} AS "key", {file.text(at["status"])} AS came, {went} AS went, '
        f"{file.day(at['changed'])} AS day, {file.text(at['changed'])} AS said, {kind} AS kind, {file.row} AS place"
    )
    made = f"CREATE OR REPLACE TEMP TABLE changes_read AS SELECT {parts} FROM {file.relation}"
    connection.execute(made, file.parameters)

    def count(where: str, table: str = "changes_read") -> int:
        return int(connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchall()[0][0])

    of_status = f"kind IN ({', '.join(map(literal, STATUS_FIELDS))})"
    own = of_status if count(of_status) else "true"
    left_out = _unreadable(connection, own, file.header[at["changed"]], name, study)
    _check_statuses(connection, own, name, study)
    columns = [f'{_date(stage, values)} AS "{stage}"' for stage, values in study.history.reached.items()]
    connection.execute(
        f'CREATE OR REPLACE TEMP TABLE changes_made AS SELECT "key", {", ".join(columns)} FROM changes_read '
        f'WHERE {own} AND "key" IS NOT NULL AND day IS NOT NULL GROUP BY "key"'
    )
    if other := count(f"NOT coalesce({own}, false)"):
        left_out = (*left_out, LeftOut(message("no change of the status"), other))
    return _Log(
        count("true", "changes_made"), count(own) - sum(out.n for out in left_out if out.bad), left_out
    )


def _joined(rows: LeadRows, reached: Iterable[str], title: str) -> LeadRows:
    """The leads with the days of the log: of a stage that another file dates too, the log's goes before."""
    told: list[str] = []
    there = [stage for stage in reached if stage in rows.cells]
    for stage in reached:
        day, given = f'c."{stage}"', f'c."{stage}" IS NOT NULL'
        if stage in there:
            day, given = f'coalesce({day}, l."v_{stage}")', f'({given} OR l."g_{stage}")'
        told.append(f'{day} AS "v_{stage}", CAST({day} AS VARCHAR) AS "t_{stage}", {given} AS "g_{stage}"')
    before = ", ".join(f'"{kind}_{stage}"' for stage in there for kind in "tvg")
    kept = f"l.* EXCLUDE ({before})" if before else "l.*"
    made = f"SELECT {kept}, {', '.join(told)} FROM ({rows.sql}) l"
    sql = f'{made} LEFT JOIN changes_made c ON l."v_lead_id" = c."key"'
    cells = {stage: Cell(title, rows.cells["lead_id"].file) for stage in reached}
    names = (*rows.names, *(f"{kind}_{stage}" for stage in reached if stage not in there for kind in "tvg"))
    return replace(rows, sql=sql, cells={**rows.cells, **cells}, names=names)


def _date(stage: str, values: Sequence[str]) -> str:
    """SQL of the day on which a lead reached a stage; of a loss, where it was not taken back."""
    texts = ", ".join(literal(value.casefold()) for value in values)
    came, went = f"lower(came) IN ({texts})", f"coalesce(lower(went) IN ({texts}), false)"
    if stage != "lost":
        return f"min(day) FILTER (WHERE {came})"
    into, out = (
        f"count(*) FILTER (WHERE {came} AND NOT {went})",
        f"count(*) FILTER (WHERE {went} AND NOT {came})",
    )
    return f"CASE WHEN {into} > {out} THEN max(day) FILTER (WHERE {came} AND NOT {went}) END"


def _unreadable(
    connection: duckdb.DuckDBPyConnection, own: str, title: str, name: str, study: Study
) -> tuple[LeftOut, ...]:
    """Rows without a day or a lead: refused, or left out where the study says so."""
    sql = (
        f'SELECT place, said FROM changes_read WHERE {own} AND (day IS NULL OR "key" IS NULL) ORDER BY place'
    )
    found = connection.execute(sql).fetchall()
    if not found:
        return ()
    if study.history.bad_rows == "leave out":
        rows = tuple(int(row) for row, _ in found)
        return (LeftOut(message("{title}: cannot be read", title=title), len(rows), rows, bad=True),)
    rule = message("expected the day of a change, and the id of a lead; {remedy}", remedy=DAY_REMEDY)
    raise DataError(cells_problem(name, title, [(int(row), said) for row, said in found], rule))


def _check_statuses(connection: duckdb.DuckDBPyConnection, own: str, name: str, study: Study) -> None:
    """Raise DataError for statuses of the study that the log never has."""
    asked = f"SELECT came, count(*) FROM changes_read WHERE {own} AND came IS NOT NULL"
    found = connection.execute(f"{asked} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1000").fetchall()
    there = [str(value) for value, _ in found]
    seen = {folded(value) for value in there}
    problems: list[Text] = []
    text = '{place}: {file} has no change to "{value}"; it has changes to {there:list.12}{guess}'
    for stage, values in study.history.reached.items():
        for value in values:
            if folded(value) not in seen:
                told = {"file": name, "value": value, "there": there, "guess": nearest(value, there) or "."}
                problems.append(message(text, place=study.place(f"history.reached.{stage}"), **told))
    if problems:
        raise DataError(problems)
