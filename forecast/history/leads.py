"""Leads, one row each, read by DuckDB into groups of leads that took the same course.

The rows never come into Python: one pass groups them by channel and by the periods of their events, and tells
whether any row breaks a rule. Only then is the file read again, to say which rows and why.

Cells are read as text and cast explicitly, so that a value which is no date or number can be named with its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecast.errors import DataError, StudyError
from forecast.history.currencies import own_sign
from forecast.history.deals import join
from forecast.history.lead_rows import DEAL_ROW, ROW, Cell, LeadRows, literal
from forecast.history.lead_rules import Checked, Terms, checked_groups, groups_of, in_any_order, rules_of
from forecast.history.outcomes import FLAGS, SURVEYED, is_flag, survey
from forecast.read import (
    CSV_SUFFIXES,
    Ask,
    FileRead,
    LeftOut,
    Relation,
    Wanted,
    as_grid,
    find_columns,
    first_line_of,
    folded,
    holds_rows,
    in_lines,
    name_text,
    open_relation,
    title_currency,
    with_forms,
)
from forecast.stopping import scratch
from forecast.study import PRESETS, Preset, Study
from forecast.words import PASS, Check, Text, message

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "200MB"  # DuckDB's own buffers; what does not fit goes to a temporary folder
NO_PRESET = Preset(columns={}, closed=(), outcome=())
ENDING = (
    "won",
    "lost",
    "amount",
    "outcome",
    "closed",
    *FLAGS,
    "pipeline",
    "scheduled",
)  # of two files, these are the deals'
WORDS = frozenset({"currency", "outcome", "pipeline", *FLAGS})


@dataclass(frozen=True)
class Leads:
    """What the leads of a study hold.

    groups: channel, one period start (or NaT) per stage from "leads" on and for `lost` (and `scheduled`, where the
    file has it), `n` leads, `amounts`.
    last_day: the latest date in the file. files: how the leads, and the deals joined to them, were read. reading: what
    the audit asks about currencies and pipelines; found: what is to be known of the rows, for the audit. courses: by
    day, see `courses.courses_of`, their channels numbered as in `names`.
    """

    groups: pd.DataFrame
    last_day: np.datetime64
    files: tuple[FileRead, ...]
    reading: Mapping[str, str]
    found: tuple[Check, ...] = ()
    courses: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    names: tuple[str, ...] = ()


def read_leads(study: Study, *, today: date | None = None) -> Leads:
    """Read and check the leads that a study names, with their deals where those are in a file of their own.

    Where the study has nurturing, of a lead that was lost and came back (a date in `returned`) only what happened
    before that counts. No date may be later than `today`, unless the study says where its history ends.

    Raises DataError with every rule that is broken: how many rows, which, what came, and what to do; StudyError for a
    pipeline that the data do not have.
    """
    with _connection(study, today) as opened:
        found = _read_well(opened, _leads)
        told = any(
            out.rows and (out.bad or file.role == "deals") for file in found.files for out in file.left_out
        )
        if told and _numbered_else(opened):
            found = _read_well(replace(opened, lines=True), _leads)
        return found


def read_lead_rows(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every lead of a file that `read_leads` accepts: our columns, typed, and all others as the file has them."""
    with _connection(study) as opened:
        return _read_well(opened, _lead_rows)


@dataclass(frozen=True)
class _Opened:
    """A connection for the files of a study, and a folder for what DuckDB needs.

    grids: read them line by line. lines: number their rows by lines, as something is to be said of some.
    """

    connection: duckdb.DuckDBPyConnection
    study: Study
    folder: Path
    today: date | None = None
    grids: bool = False
    lines: bool = False


def _read_well[T](opened: _Opened, read: Callable[[_Opened], T]) -> T:
    """What is read: line by line where DuckDB stumbles, and with the rows numbered by lines where one is wrong."""
    import duckdb

    try:
        try:
            return read(opened)
        except DataError:
            if not _numbered_else(opened):
                raise
            return read(replace(opened, lines=True))
    except duckdb.Error as error:
        return read(_line_by_line(opened, error))


def _numbered_else(opened: _Opened) -> bool:
    """Whether a file has lines on which no row of their number stands."""
    if opened.lines or opened.grids:
        return False
    return any(in_lines(opened.connection, source.file) is not None for source in _sources(opened))


@contextmanager
def _connection(study: Study, today: date | None = None) -> Iterator[_Opened]:
    """DuckDB with bounded memory, nothing fetched from outside, and a folder for what does not fit."""
    import duckdb  # slow to load, and counts need none

    with scratch() as folder:
        config: dict[str, Any] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": folder,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        with duckdb.connect(config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            yield _Opened(connection, study, Path(folder), today)


def _line_by_line(opened: _Opened, error: duckdb.Error) -> _Opened:
    """The same, read line by line: DuckDB stumbles over line ends of several kinds and over notes below the table.

    Raises DataError where that is of no use.
    """
    spec = opened.study.history
    names = [name for name in (spec.leads, spec.deals) if name is not None]
    if opened.grids or not any(Path(name).suffix.lower() in CSV_SUFFIXES for name in names):
        raise DataError(
            f"{', '.join(names)}: cannot be read ({first_line_of(error)}); export it again."
        ) from None
    return replace(opened, grids=True)


def _leads(opened: _Opened) -> Leads:
    """The leads, asked in the form that programs write first, and in the form that they have where that fails."""
    spec = opened.study.history
    sources = _sources(opened)
    plain = _found(opened, sources)

    def grouped(asked: _Asked) -> pd.DataFrame:
        groups = checked_groups(asked.checked, spec.period)
        _no_rows_in_names(sources[0], plain[0]["channel"], groups)
        return groups

    def done(asked: _Asked, groups: pd.DataFrame) -> Leads:
        leave_out = spec.bad_rows == "leave out"
        return _told(
            asked,
            spec.period,
            *groups_of(asked.checked, groups, spec.period, asked.problems, leave_out=leave_out),
        )

    if (
        sources[0].file.grid is None
        and all(_as_programs_write(source) for source in sources)
        and not spec.exchange  # signs of currencies are seen in the form alone
        and not set(SURVEYED) & set(plain[0])
    ):
        asked = _asked(opened, sources, plain)
        groups = grouped(asked)
        unsure = groups["unsure"].any() and not groups["proven"].any()
        if not groups["bad"].any() and not unsure:
            return done(asked, groups)
    asked = _asked(
        opened, [_in_form(opened, source, at) for source, at in zip(sources, plain, strict=True)], plain
    )
    return done(asked, grouped(asked))


def _as_programs_write(source: _Source) -> bool:
    """Whether the study says nothing of how the file writes numbers and days that is not how programs do."""
    spec = source.ask.spec
    return spec.time_zone is None and spec.decimal != "," and spec.thousands != "."


def _no_rows_in_names(source: _Source, at: int, groups: pd.DataFrame) -> None:
    """Raise duckdb.Error where rows stand in the name of a channel, in stray quotes: read by lines, it is told."""
    if source.file.text_file is None:
        return
    delimiter, n = source.file.text_file[1], len(source.file.header)
    names = groups["channel"].unique()
    if any("\0" in name or ("\n" in name and holds_rows(name, at, n, delimiter)) for name in names):
        import duckdb

        raise duckdb.InvalidInputException("rows stand in one cell")


def _told(asked: _Asked, kind: str, found: pd.DataFrame, bad: Sequence[tuple[str, LeftOut]]) -> Leads:
    """The leads with what is said of their files."""
    checked, n_leads = asked.checked, int(found["n"].sum())
    raw = sorted(found["channel"].unique())
    courses = checked.courses(kind, raw)
    if "lost" not in found:
        found["lost"] = pd.Series(np.datetime64("NaT", "ns"), index=found.index, dtype="datetime64[ns]")
    planned = ["scheduled"] if "scheduled" in found else []
    groups = found[["channel", *checked.stages, "lost", *planned, "n", "amounts"]]
    groups = groups.assign(channel=_names(groups["channel"]))
    groups = groups.sort_values(["channel", *checked.stages, "lost", *planned], ignore_index=True)
    last_day = max(
        found[f"last_{name}"].max() for name in checked.dates if found[f"last_{name}"].notna().any()
    )
    files = tuple(_used(read, bad, n_leads) for read in asked.files)
    checks = checked.refunds() + checked.reordered()
    noted = (check.value for check in checks if check.status != PASS)
    files = (replace(files[0], notes=(*files[0].notes, *noted)), *files[1:])
    names = tuple(name_text(name) for name in raw)
    return Leads(groups, np.datetime64(last_day, "D"), files, asked.reading, checks, courses, names)


def _names(column: pd.Series[Any]) -> pd.Series[Any]:
    """Names as `name_text` has them, each worked out once; what is absent stays so."""
    return column.map({name: name_text(name) for name in column.dropna().unique()}).astype(object)


def _used(read: FileRead, bad: Sequence[tuple[str, LeftOut]], n_leads: int) -> FileRead:
    """A file as it was read, without the rows that were left out as bad."""
    out = tuple(left for name, left in bad if name == read.file)
    rows = n_leads if read.role == "leads" else read.rows - sum(left.n for left in out)
    return replace(read, left_out=(*read.left_out, *out), rows=rows)


def _lead_rows(opened: _Opened) -> tuple[pd.DataFrame, pd.DataFrame]:
    sources = _sources(opened)
    plain = _found(opened, sources, returns=False)
    formed = [_in_form(opened, source, at) for source, at in zip(sources, plain, strict=True)]
    asked = _asked(opened, formed, plain, others=True)
    if opened.study.history.bad_rows == "leave out":
        asked.checked.leave_out()
    rows = asked.checked.relation
    ours = [name for name in rows.cells if name in {"lead_id", "channel", "amount", *asked.checked.dates}]
    picked = ", ".join([*(f'"v_{name}" AS "{name}"' for name in ours), *asked.others])
    found = rows.ask(f"SELECT {picked} FROM {rows.rows} ORDER BY {ROW}").df()  # noqa: S608
    found["channel"] = _names(found["channel"])
    return found[ours], found.iloc[:, len(ours) :].set_axis(list(asked.others.values()), axis=1)


# ------------------------------------------------------------------------------------------------ our columns in files


@dataclass(frozen=True)
class _Source:
    """An open file: its name in the study, what is asked of it, and the SQL name of its row numbers."""

    name: str
    ask: Ask
    file: Relation
    row: str


def _sources(opened: _Opened) -> list[_Source]:
    """The file of leads, and the file of deals where there is one."""
    study, sources = opened.study, []
    spec = study.history
    preset = _preset(study)
    names = ["lead_id", "channel", "created", *_stages(study)[1:], *ENDING, "currency", "returned"]
    wanted = [_wanted(name, spec.columns, preset) for name in dict.fromkeys(names)]
    for role, name, row in (("leads", spec.leads, ROW), ("deals", spec.deals, DEAL_ROW)):
        if name is not None:
            ask, path = Ask(f"history.{role}", role, spec.read, wanted), study.folder / name
            if opened.grids and path.suffix.lower() in CSV_SUFFIXES:
                file = as_grid(opened.connection, path, name, ask, name=role)
            else:
                file = open_relation(opened.connection, path, name, ask, opened.folder, name=role)
            if opened.lines:
                file = in_lines(opened.connection, file, name=role) or file
            sources.append(_Source(name, ask, file, row))
    return sources


def _preset(study: Study) -> Preset:
    return NO_PRESET if study.history.preset is None else PRESETS[study.history.preset]


def _stages(study: Study) -> tuple[str, ...]:
    return study.funnel.stages[study.funnel.stages.index("leads") :]


def _wanted(name: str, columns: Mapping[str, str], preset: Preset, *, required: bool = False) -> Wanted:
    if name in columns:
        return Wanted(name, (columns[name],), required, mapped=True)
    return Wanted(name, preset.names(name) if name in FLAGS else (*preset.names(name), name), required)


def _of_leads(study: Study, sources: Sequence[_Source]) -> Mapping[str, str]:
    """The names that the study maps, without that of the channel where only the activity can have it."""
    columns = study.history.columns
    there = {folded(title) for source in sources for title in source.file.header}
    elsewhere = study.history.activity is not None and folded(columns.get("channel", "")) not in there
    return {name: title for name, title in columns.items() if name != "channel"} if elsewhere else columns


def _found(
    opened: _Opened, sources: Sequence[_Source], *, returns: bool | None = None
) -> list[dict[str, int]]:
    """Where each of our columns stands in each file, by our name; of two files, in the one that it belongs to.

    Raises DataError for each that must be there and is not, and for names that leave it open which is meant.
    """
    study = opened.study
    columns, preset, stages = _of_leads(study, sources), _preset(study), _stages(study)
    required = ["channel", "created", *stages[1:]]
    if returns is None:
        returns = study.nurturing is not None
    names = list(dict.fromkeys([*required, *ENDING, *(["returned"] * returns)]))
    found, problems = _look(sources, names, columns, preset)
    places = {name: (i, at) for i, places in enumerate(found) for name, at in places.items()}
    for flag, dated in (("is_won", "won"), ("is_closed", "closed"), ("is_lost", "lost")):
        if flag in places and places[flag] == places.get(dated) and dated not in columns:
            i, at = places[flag]
            del found[i][dated if _is_of_flags(opened, sources[i], at) else flag]
    ended = any("closed" in own for own in found) and any({"outcome", "is_won"} & set(own) for own in found)
    if not ended and "outcome" not in columns and study.history.preset is None:
        for own in found:  # a column called "status" or "phase", which tells nothing here
            own.pop("outcome", None)
    must = [name for name in required if not (name == "won" and ended)]
    must += [name for name in names if name in columns and name not in must]
    for name in must:
        if not any(name in own for own in found):
            i = len(sources) - 1 if name in ENDING else 0
            problems += _problems(sources[i], [_wanted(name, columns, preset, required=True)])
    if problems:
        raise DataError(problems)
    for source, own in zip(sources, found, strict=True):
        if "amount" in own and (place := _currency(source, own["amount"], columns, preset)) is not None:
            own["currency"] = place
    return found


def _look(
    sources: Sequence[_Source], names: Sequence[str], columns: Mapping[str, str], preset: Preset
) -> tuple[list[dict[str, int]], list[Text]]:
    """The columns that are there: first each in the file that it belongs to, then those that are not, in the other."""
    two = len(sources) > 1
    ids = _wanted("lead_id", columns, preset, required=True)
    ids = replace(ids, theirs=(*ids.theirs, *preset.names("lead_id"), "lead_id")) if two else ids
    first = [name for name in names if not (two and name in ENDING)]
    turns = [(0, ids, first), *([(1, ids, [name for name in names if name in ENDING])] * two)]
    found: list[dict[str, int]] = [{} for _ in sources]
    problems: list[Text] = []
    for i, own, asked in turns:
        wanted = [own, *(_wanted(name, columns, preset) for name in asked)]
        try:
            found[i] = find_columns(
                sources[i].file.header,
                wanted,
                sources[i].name,
                role=sources[i].ask.role,
                row=sources[i].file.line,
            )
        except DataError as error:
            problems += error.problems
    for i, _, asked in turns if two and not problems else ():
        left = [_wanted(name, columns, preset) for name in asked if name not in found[i]]
        other = sources[1 - i]
        more = find_columns(other.file.header, left, other.name, role=other.ask.role, row=other.file.line)
        found[1 - i] |= {name: at for name, at in more.items() if at not in found[1 - i].values()}
    return found, problems


def _problems(source: _Source, wanted: Sequence[Wanted]) -> list[Text]:
    try:
        find_columns(source.file.header, wanted, source.name, role=source.ask.role, row=source.file.line)
    except DataError as error:
        return list(error.problems)
    return []


def _is_of_flags(opened: _Opened, source: _Source, at: int) -> bool:
    """Whether a column says yes and no, as far as its first cells tell: "Won" may be that, or a date."""
    file = source.file
    sql = f"SELECT {file.text(at)} FROM {file.relation} LIMIT 1000"  # noqa: S608 - names made here
    cells = [
        cell for (cell,) in opened.connection.execute(sql, file.parameters).fetchall() if cell is not None
    ]
    return bool(cells) and all(is_flag(cell) is not None for cell in cells)


def _currency(source: _Source, amount: int, columns: Mapping[str, str], preset: Preset) -> int | None:
    """The column with the currency of each amount: "<amount> Currency", else as the CRM or we call it."""
    title = source.file.header[amount].strip()
    converted = folded(title) in {folded(name) for name in preset.converted}
    own = [i for i, name in enumerate(source.file.header) if folded(name) == folded(f"{title} Currency")]
    if converted and not ("currency" in columns and "amount" in columns):
        return own[0] if own else None
    if own and "currency" not in columns:
        return own[0]
    wanted = [_wanted("currency", columns, preset, required="currency" in columns)]
    return find_columns(
        source.file.header, wanted, source.name, role=source.ask.role, row=source.file.line
    ).get("currency")


def _in_form(opened: _Opened, source: _Source, places: Mapping[str, int]) -> _Source:
    """The file with its dates and amounts read in the form that they are written in."""
    days = [at for name, at in places.items() if name not in {"lead_id", "channel", "amount", *WORDS}]
    amounts = [places["amount"]] if "amount" in places else []
    file = with_forms(
        opened.connection, source.file, days, amounts, source.name, source.ask, name=source.ask.role
    )
    return replace(source, file=file)


# ------------------------------------------------------------------------------------------------- the rows to be read


@dataclass(frozen=True)
class _Asked:
    """The rows of leads as they are read, what is known to be wrong, and what is to be said of the files.

    others: titles of the further columns of the file of leads, by their name in the rows.
    """

    checked: Checked
    problems: Sequence[Text]
    files: tuple[FileRead, ...]
    reading: Mapping[str, str]
    others: Mapping[str, str]


def _asked(
    opened: _Opened, sources: Sequence[_Source], found: Sequence[Mapping[str, int]], *, others: bool = False
) -> _Asked:
    """Join the deals; settle outcomes, pipelines and currencies."""
    study, stages, preset = opened.study, _stages(opened.study), _preset(opened.study)
    first, spec = stages[0], study.history
    further = _further(sources[0], found[0]) if others else {}
    files = [_read(source, places) for source, places in zip(sources, found, strict=True)]
    if study.segments is not None and study.segments.column in files[0].unread:
        files[0] = files[0].taking("segment", study.segments.column)
    rows = _rows(opened, sources[0], found[0], first, further)
    problems: Sequence[Text] = ()
    if len(sources) > 1:
        deals = _rows(opened, sources[1], found[1], first, {})
        joined = join(rows, deals, leave_out=spec.bad_rows == "leave out")
        rows, problems = joined.relation, joined.problems
        files[1] = replace(
            files[1],
            left_out=(*files[1].left_out, *joined.left_out),
            notes=(*files[1].notes, *joined.notes),
            rows=joined.rows,
        )
    _check_exchange(study, rows, preset)
    header = [title for source in sources for title in source.file.header]
    surveyed = survey(rows, study, preset, first, header)
    rows = _first_course(surveyed.relation, stages) if "returned" in rows.cells else surveyed.relation
    files[0] = replace(
        files[0],
        left_out=(*files[0].left_out, *surveyed.left_out),
        notes=(*files[0].notes, *surveyed.notes, *_amount_note(rows, header, preset)),
        outcomes=surveyed.outcomes,
    )
    any_order = spec.order == "any"
    rows = in_any_order(rows, stages) if any_order else rows
    today = None if spec.through is not None else opened.today
    terms = Terms(today, spec.window(), spec.net_revenue, surveyed.converts, any_order)
    checked = Checked(rows, stages, rules_of(rows, stages, terms), terms)
    return _Asked(checked, problems, tuple(files), surveyed.reading, further)


def _check_exchange(study: Study, rows: LeadRows, preset: Preset) -> None:
    """Raise StudyError where the study has rates, and no file says which currency its amounts are in."""
    spec, amount = study.history, rows.cells.get("amount")
    converted = amount is not None and folded(amount.title) in {folded(name) for name in preset.converted}
    if spec.exchange and spec.activity is None and "currency" not in rows.cells and not converted:
        text = (
            '{place}: {file} has no column of currencies; name it: history.columns = {{ currency = "its name in the '
            'file" }}, or remove the key'
        )
        raise StudyError(message(text, place=study.place("history.exchange"), file=str(spec.leads)))


def _amount_note(rows: LeadRows, header: Sequence[str], preset: Preset) -> tuple[Text, ...]:
    """That a converted amount is read, where a plain one stands beside it."""
    there = {folded(title): title.strip() for title in header}
    title = "" if "amount" not in rows.cells else rows.cells["amount"].title
    plain = [there[folded(name)] for name in preset.columns.get("amount", ()) if folded(name) in there]
    if not plain or folded(title) not in {folded(name) for name in preset.converted}:
        return ()
    return (message("amounts are read from {title}, not from {plain}", title=title, plain=plain[0]),)


def _read(source: _Source, places: Mapping[str, int]) -> FileRead:
    """What is said of a file and its columns."""
    header = [" ".join(title.split()) for title in source.file.header]
    columns = {name: header[at] for name, at in places.items()}
    unread = tuple(title for at, title in enumerate(header) if title and at not in places.values())
    said, left_out = dict(source.file.said), source.file.left_out
    return FileRead(source.ask.role, source.name, said, columns, unread, 0, left_out)


def _further(source: _Source, places: Mapping[str, int]) -> dict[str, str]:
    """Titles of the columns that may be features or segments, by their name in the rows."""
    ours = {at for name, at in places.items() if name not in {"currency", "pipeline"}}
    return {f"x{at}": title.strip() for at, title in enumerate(source.file.header) if at not in ours}


def _rows(
    opened: _Opened, source: _Source, places: Mapping[str, int], first: str, further: Mapping[str, str]
) -> LeadRows:
    """The rows of a file, with t_<name>, v_<name> and g_<name> for each of our columns in it."""
    parts = [f"{source.file.row} AS {source.row}"]
    parts += [f"{source.file.columns[int(name[1:])]} AS {name}" for name in further]
    cells = {}
    for name, at in places.items():
        ours = first if name == "created" else name
        parts += _cell(source.file, name, ours, at)
        cells[ours] = Cell(" ".join(source.file.header[at].split()), source.name, source.row)
    if "amount" in places and "currency" not in places:
        named = _named(source.file, places["amount"], opened.study, _preset(opened.study))
        parts += [f'{named} AS "{kind}_currency"' for kind in ("t", "v")] if named else []
        cells |= {"currency": replace(cells["amount"], told=False)} if named else {}
    sql = f"SELECT {', '.join(parts)} FROM {source.file.relation}"  # noqa: S608 - names made here, path bound
    return LeadRows(opened.connection, sql, tuple(source.file.parameters), cells)


def _named(file: Relation, amount: int, study: Study, preset: Preset) -> str:
    """SQL of the currency of each amount by its sign or by the title; empty where neither names one."""
    title = file.header[amount]
    if folded(title) in {folded(name) for name in preset.converted}:
        return ""
    column, signs = file.currencies.get(amount, ("NULL", frozenset[str]()))
    whole = title_currency(title)
    if not signs and not whole:
        return ""
    codes = {name: own_sign(name, study.currency) for name in sorted(signs)}
    cases = " ".join(f"WHEN {literal(name)} THEN {literal(code)}" for name, code in codes.items())
    rest = literal(own_sign(whole, study.currency)) if whole else "NULL"
    text = file.text(amount)
    return f"CASE WHEN {text} IS NOT NULL THEN " + (
        f"CASE {column} {cases} ELSE {rest} END END" if cases else f"{rest} END"
    )


def _cell(file: Relation, name: str, ours: str, at: int) -> list[str]:
    """One of our columns as SQL: what came, what it means, and cheaply whether anything came."""
    if name in {"lead_id", "channel"}:
        value = file.name(at)
    elif name == "amount":
        value = file.amount(at)
    else:
        value = file.text(at) if name in WORDS else file.day(at)
    return [f'{file.text(at)} AS "t_{ours}"', f'{value} AS "v_{ours}"', f'{file.given(at)} AS "g_{ours}"']


def _first_course(rows: LeadRows, stages: Sequence[str]) -> LeadRows:
    """The rows without what came after a lead had come back, where it came back before it reached the second stage."""
    second = f'"v_{stages[1]}"'
    again = f'("v_returned" IS NOT NULL AND coalesce({second} >= "v_returned", true))'
    columns: dict[str, str] = {}
    for name in stages[1:]:
        columns |= {
            f"{kind}_{name}": f'CASE WHEN NOT {again} THEN "{kind}_{name}" END' for kind in ("t", "v")
        }
        columns[f"g_{name}"] = f'("g_{name}" AND NOT {again})'
    return rows.instead(columns)
