"""The history as it was known on earlier days, of data that change after the fact: dated exports, or a log of changes.

What a CRM holds today says of last March what is believed of it now: stages were corrected, deals moved, leads merged.
`History.as_of` cuts what came later, and cannot undo what was edited. A copy of that day can:

    by name     each file is the whole export of the day in its name
    by column   one table holds all exports, with the day of each in a column `exported`
    by log      one row a change: lead_id, field, changed_at, value; a day's state is what held last before it ended

The end of a period is told by the first export made on its last day or after it, at most `within` days later; what
happened after the period is cut from it. A log tells every day.
"""

# ruff: noqa: S608 - SQL over names that are made here; texts are quoted, paths bound
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from forecast.errors import DataError, StudyError
from forecast.history.lead_rows import literal
from forecast.read import Ask, Grid, LeftOut, Relation, Wanted, days_in, find_columns, folded, with_forms
from forecast.study import PRESETS, Study
from forecast.words import message

FIELDS = ("channel", "lost", "returned", "scheduled", "amount", "currency", "outcome", "closed", "pipeline")
STAGE, LOST = "stage", "lost"
_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_.]?(\d\d)[-_.]?(\d\d)(?!\d)")
SHOWN = 6  # days named in a message


@dataclass(frozen=True, eq=False)
class Snapshots:
    """How the pasts of a history are read: `read(study, day)` from the copy of a day.

    days: those of the copies; empty of a log, which tells every day. within: as in the study. made: pasts by period,
    each read once.
    """

    study: Study
    read: Callable[[Study, date], Any]
    days: tuple[date, ...]
    made: dict[str, Any] = field(default_factory=dict)

    def of_period(self, end: date) -> date | None:
        """The day of the copy that tells the end of a period whose last day is `end`; None where none was made."""
        spec = self.study.history.snapshots
        if not self.days:
            return end
        within = 1 if spec is None else spec.within
        return next((day for day in self.days if end <= day <= end + timedelta(days=within)), None)

    def past(self, first: str, label: str, end: date) -> Any:
        """The history as it was known at the end of the period `label`. Raises DataError where no copy tells it."""
        day = self.of_period(end)
        if day is None:
            shown = [str(each) for each in self.days[:SHOWN]]
            more = f" and {len(self.days) - SHOWN} more" if len(self.days) > SHOWN else ""
            raise DataError(
                f"as of {label}: no export was made from {end} on within history.snapshots.within days; there are "
                f"exports of {', '.join(shown)}{more}."
            )
        if label not in self.made:
            window = {"from_": first, "through": label}
            history = self.study.history.model_copy(update=window)
            made = self.read(self.study.model_copy(update={"history": history}), day)
            self.made[label] = replace(made, copies=self)
        return self.made[label]


# ----------------------------------------------------------------------------------------------------- dated exports


def day_in(path: Path) -> date | None:
    """The day in the name of a file.

    >>> day_in(Path("crm-2026-03-31.csv")), day_in(Path("20260401 leads.csv")), day_in(Path("leads.csv"))
    (datetime.date(2026, 3, 31), datetime.date(2026, 4, 1), None)
    """
    for found in _DAY.finditer(path.stem):
        try:
            return date(*map(int, found.groups()))
        except ValueError:
            continue
    return None


def copies_of(paths: Sequence[Path]) -> dict[date, Path]:
    """The files by the day in their names, in order. Raises DataError for one without a day, or two of one day."""
    found: dict[date, Path] = {}
    for path in paths:
        day = day_in(path)
        if day is None:
            said = 'its name tells no day, such as leads-2026-03-31.csv, and history.snapshots.by = "name" asks for it'
            raise DataError(f"{path.name}: {said}.")
        if day in found:
            raise DataError(f"{path.name}: {found[day].name} is an export of the same day; keep one.")
        found[day] = path
    return dict(sorted(found.items()))


def kept_role(study: Study) -> str:
    """Which file of a study has copies of earlier days."""
    return "counts" if study.history.leads is None else "leads"


def chosen_files(study: Study, role: str, paths: Sequence[Path], known: date | None) -> list[Path]:
    """The files to be read of a role: of dated exports the one of the day `known`, or the newest."""
    if not copied(study, role, "name") or not all(path.exists() for path in paths):
        return list(paths)
    copies = copies_of(paths)
    return [copies[known or max(copies)]]


def copied(study: Study, role: str, by: str) -> bool:
    """Whether a role of the study has copies of earlier days that are kept in this way."""
    spec = study.history.snapshots
    return spec is not None and spec.by == by and role == kept_role(study)


def days_kept(paths: Sequence[Path]) -> tuple[date, ...]:
    """The days of dated exports."""
    return tuple(copies_of(paths))


def known_grid(grid: Grid, study: Study, ask: Ask, known: date | None) -> tuple[Grid, tuple[date, ...]]:
    """The rows of a table that holds all exports which are of one day (None: the newest), and all its days."""
    at = _place(grid.header, grid.file, ask, study, grid.line)
    cells = days_in(grid, at, ask)
    days = sorted({day for day in cells if day is not None})
    if not days:
        raise DataError(
            f"{grid.file}: column {grid.title(at)}: no cell is a date; it should hold the day of the export."
        )
    day = known or days[-1]
    keep = [i for i, cell in enumerate(cells) if cell == day]
    header = (*grid.header[:at], *grid.header[at + 1 :])
    rows = [(*grid.rows[i][:at], *grid.rows[i][at + 1 :]) for i in keep]
    said = {**grid.said, "snapshot": str(day)}
    return replace(grid, header=header, rows=rows, numbers=[grid.numbers[i] for i in keep], said=said), tuple(
        days
    )


def _place(header: Sequence[str], file: str, ask: Ask, study: Study, row: int, name: str = "exported") -> int:
    mapped = study.history.columns.get(name)
    wanted = Wanted(name, (mapped or name,), mapped=mapped is not None)
    return find_columns(header, [wanted], file, role=ask.role, row=row)[name]


def known_rows(
    connection: Any, file: Relation, study: Study, name: str, ask: Ask, known: date | None
) -> Relation:
    """The leads of one day (None: the newest): of a table of all exports, or of a log of changes; else as they are."""
    spec = study.history.snapshots
    if spec is None or spec.by == "name":
        return replace(file, said={**file.said, "snapshot": str(day)}) if (day := _of(file)) else file
    if spec.by == "log":
        return _of_log(connection, file, study, name, ask, known)
    at = _place(file.header, name, ask, study, file.line)
    formed = with_forms(connection, file, [at], [], name, ask, name="exported")
    day_sql = formed.day(at)
    listed = f"SELECT {day_sql} AS d FROM {formed.relation}"
    sql = f"SELECT DISTINCT d FROM ({listed}) AS exported WHERE d IS NOT NULL ORDER BY 1"
    days = tuple(_plain(day) for (day,) in connection.execute(sql, formed.parameters).fetchall())
    if not days:
        raise DataError(
            f"{name}: column {file.header[at]}: no cell is a date; it should hold the day of the export."
        )
    day = known or days[-1]
    left = [i for i in range(len(file.header)) if i != at]
    cells = ", ".join(f"{formed.columns[i]} AS k{i}" for i in left)
    inner = f"SELECT {cells}, {formed.row} AS row_of_copy, {day_sql} AS day_of_copy FROM {formed.relation}"
    return replace(
        file,
        relation=f"(SELECT * FROM ({inner}) AS copies WHERE day_of_copy = DATE '{day}') AS copy",
        parameters=formed.parameters,
        header=tuple(file.header[i] for i in left),
        columns=tuple(f"k{i}" for i in left),
        types=tuple(file.types[i] for i in left),
        row="row_of_copy",
        days=_again(file.days, file, left),
        amounts=_again(file.amounts, file, left),
        said={**formed.said, "snapshot": str(day)},
        grid=None,
        text_file=None,
        parts=(),
        copies=days,
    )


def _again(known: Mapping[int, str], file: Relation, left: Sequence[int]) -> dict[int, str]:
    """SQL of what columns mean, under their new places and names."""
    return {
        place: re.sub(rf"\b{re.escape(file.columns[i])}\b", f"k{i}", known[i])
        for place, i in enumerate(left)
        if i in known
    }


def _of(file: Relation) -> date | None:
    return day_in(Path(file.files[0])) if len(file.files) == 1 else None


def _plain(day: Any) -> date:
    return day.date() if hasattr(day, "date") else day


# --------------------------------------------------------------------------------------------------- a log of changes


def _of_log(
    connection: Any, file: Relation, study: Study, name: str, ask: Ask, known: date | None
) -> Relation:
    """The leads as a log of changes tells them at the end of a day: for each field what held last.

    A field `stage` tells the stages itself: a lead reached one on the day on which it entered it or a later one, after
    it last stood before it; it is lost where that is its last stage. A field that gives the day itself goes before.
    """
    at = {
        each: _place(file.header, name, ask, study, file.line, each)
        for each in ("lead_id", "field", "changed_at", "value")
    }
    formed = with_forms(connection, file, [at["changed_at"]], [], name, ask, name="changed")
    _all_dated(connection, formed, at, name)
    stages = study.funnel.stages[study.funnel.stages.index("leads") :]
    parts = {
        "id": formed.name(at["lead_id"]),
        "field": formed.text(at["field"]),
        "stamp": formed.text(at["changed_at"]),
        "value": formed.text(at["value"]),
        "day": formed.day(at["changed_at"]),
        "place": formed.row,
    }
    rows = ", ".join(f"{sql} AS {part}" for part, sql in parts.items())
    until = "" if known is None else f" AND day <= DATE '{known}'"
    changes = f"SELECT * FROM (SELECT {rows} FROM {formed.relation}) AS log WHERE day IS NOT NULL{until}"
    fields, left_out = _fields(connection, changes, formed, study, stages)
    cases = " ".join(f"WHEN {literal(raw)} THEN {literal(ours)}" for raw, ours in fields.items())
    numbers = " ".join(f"WHEN {literal(stage)} THEN {i}" for i, stage in enumerate(stages))
    ours = f"CASE field {cases} END"
    of_field = "PARTITION BY id, ours ORDER BY"
    ranked = (
        f"SELECT id, ours, value, day, place, row_number() OVER ({of_field} day DESC, stamp DESC, place DESC) AS age, "
        f"row_number() OVER ({of_field} day, stamp, place) AS seq, "
        f"CASE WHEN ours = '{STAGE}' THEN CASE lower(value) {numbers} END END AS k, "
        f"(ours = '{STAGE}' AND lower(value) = '{LOST}') AS gone "
        f"FROM (SELECT *, {ours} AS ours FROM ({changes}) AS changes) AS named WHERE ours IS NOT NULL"
    )
    below = ", ".join(
        f"max(CASE WHEN k < {i} THEN seq END) OVER (PARTITION BY id) AS below_{i}"
        for i in range(1, len(stages))
    )
    marked = f"SELECT *, {below} FROM ({ranked}) AS ranked" if below else ranked
    last_gone = "coalesce(bool_or(gone AND age = 1), false)"
    staged = {"created": f"min(CASE WHEN ours = '{STAGE}' THEN day END)"}
    for i, stage in enumerate(stages[1:], start=1):
        reached = f"min(CASE WHEN k >= {i} AND seq > coalesce(below_{i}, 0) THEN day END)"
        staged[stage] = (
            f"CASE WHEN {last_gone} THEN NULL ELSE {reached} END" if i == len(stages) - 1 else reached
        )
    staged[LOST] = "max(CASE WHEN gone AND age = 1 THEN day END)"
    columns, seen = {"lead_id": "id"}, set(fields.values())
    for each in ("created", *stages[1:], *FIELDS):
        own = f"max(CASE WHEN ours = {literal(each)} AND age = 1 THEN value END)" if each in seen else ""
        told = f"CAST({staged[each]} AS VARCHAR)" if each in staged and STAGE in seen else ""
        if own or told:
            columns[each] = f"coalesce({own}, {told})" if own and told else own or told
    cells = ", ".join(f"{sql} AS f{i}" for i, sql in enumerate(columns.values()))
    mapped = study.history.columns
    return Relation(
        f"(SELECT {cells}, min(place) AS row_of_lead FROM ({marked}) AS marked GROUP BY id) AS leads_known",
        formed.parameters,
        tuple(mapped.get(each, each) for each in columns),
        tuple(f"f{i}" for i in range(len(columns))),
        ("VARCHAR",) * len(columns),
        "row_of_lead",
        said={**formed.said, **({} if known is None else {"snapshot": str(known)})},
        left_out=(*file.left_out, *left_out),
        line=file.line,
        named=True,
        server=file.server,
    )


def _all_dated(connection: Any, formed: Relation, at: Mapping[str, int], name: str) -> None:
    """Raise DataError where a change has no day that can be read."""
    day, text = formed.day(at["changed_at"]), formed.text(at["changed_at"])
    inner = f"SELECT {day} AS day, {text} AS t FROM {formed.relation}"
    sql = f"SELECT count(*), min(t) FROM ({inner}) AS log WHERE day IS NULL"
    ((n, first),) = connection.execute(sql, formed.parameters).fetchall()
    if n:
        shown = f', such as "{first}"' if first else ""
        title = formed.header[at["changed_at"]]
        raise DataError(
            f"{name}: column {title}: {n} changes have no date that can be read{shown}; correct them."
        )


def _fields(
    connection: Any, changes: str, formed: Relation, study: Study, stages: Sequence[str]
) -> tuple[dict[str, str], list[LeftOut]]:
    """Which of our columns the fields of a log are, by their names in it; and what is not read.

    Raises DataError for a stage of another name, StudyError where the log tells no stage at all.
    """
    preset = None if study.history.preset is None else PRESETS[study.history.preset]
    known: dict[str, str] = {}
    for ours in (STAGE, "created", *stages[1:], *FIELDS):
        theirs = [study.history.columns[ours]] if ours in study.history.columns else []
        theirs += [] if preset is None else list(preset.names(ours))
        known |= {folded(each): ours for each in (*theirs, ours) if folded(each) not in known}
    sql = f"SELECT field, count(*) FROM ({changes}) AS changes WHERE field IS NOT NULL GROUP BY 1 ORDER BY 1"
    counted = [(str(raw), int(n)) for raw, n in connection.execute(sql, formed.parameters).fetchall()]
    fields = {raw: known[folded(raw)] for raw, _ in counted if folded(raw) in known}
    left_out = [
        LeftOut(message("changes of {field}, which is not read", field=raw), n)
        for raw, n in counted
        if raw not in fields
    ]
    if not {STAGE, "created"} & set(fields.values()):
        listed = ", ".join(raw for raw, _ in counted[:SHOWN]) or "none"
        text = f'a log of changes needs a field "{STAGE}", or one "created"; its fields are {listed}'
        raise StudyError(f"{study.place('history.snapshots')}: {text}")
    named = ", ".join(literal(raw) for raw, ours in fields.items() if ours == STAGE)
    if named:
        allowed = [*stages, LOST]
        sql = f"SELECT DISTINCT lower(value) FROM ({changes}) AS changes WHERE field IN ({named}) ORDER BY 1"
        values = [value for (value,) in connection.execute(sql, formed.parameters).fetchall()]
        if wrong := [str(value) for value in values if value not in allowed]:
            raise DataError(
                f"{study.history.leads}: {STAGE} has the values {', '.join(wrong[:SHOWN])}; expected names of "
                f"funnel.stages or lost: {', '.join(allowed)}."
            )
    return fields, left_out
