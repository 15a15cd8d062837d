"""Leads, one row each, read by DuckDB into groups of leads that took the same course.

The rows never come into Python: one pass groups them by channel and by the periods of their events, and tells
whether any row breaks a rule. Only then is the file read again, to say which rows and why.

Cells are read as text and cast explicitly, so that a value which is no date or number can be named with its row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.checks import PASS, Check
from forecast.errors import DataError, StudyError
from forecast.history.changes import wanted as wanted_changes
from forecast.history.changes import with_changes
from forecast.history.currencies import own_sign
from forecast.history.deals import join
from forecast.history.lead_days import Terms, own_courses
from forecast.history.lead_rows import ROW, Cell, LeadRows, literal
from forecast.history.lead_rules import Checked, checked_groups, groups_of, in_any_order, rules_of
from forecast.history.lead_sources import (
    MORE_MEMORY,
    Opened,
    Source,
    line_by_line,
    numbered_else,
    opened_leads,
    sources_of,
)
from forecast.history.mapped_leads import by_rules, key_column
from forecast.history.outcomes import FLAGS, SURVEYED, is_flag, survey
from forecast.history.rules import Ruled, Rules, mapping_of
from forecast.read import (
    Ask,
    FileRead,
    LeftOut,
    Relation,
    Wanted,
    find_columns,
    folded,
    holds_rows,
    name_text,
    open_files,
    title_currency,
    travelled,
    with_forms,
    with_sure_days,
)
from forecast.study import PRESETS, Preset, Study, files_of, on_server
from forecast.words import Text, message

TRAVELS = 1_000_000  # bytes of days and amounts that leave a server where the study does not ask for more
FEW = 500_000  # leads; of more, first rows tell whether it is worth two more looks at all of them
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
    day, see `courses.courses_of`, their channels numbered as in `names`. ruled: what the rules of `history.map` made of
    them; header: the titles of the file. days: of which there are copies of the leads.
    """

    groups: pd.DataFrame
    last_day: np.datetime64
    files: tuple[FileRead, ...]
    reading: Mapping[str, str]
    found: tuple[Check, ...] = ()
    courses: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    ruled: Ruled | None = None
    header: tuple[str, ...] = ()
    days: tuple[date, ...] = ()


def read_leads(study: Study, *, today: date | None = None, known: date | None = None) -> Leads:
    """Read and check the leads that a study names, with their deals where those are in a file of their own.

    Where the study has nurturing, of a lead that was lost and came back (a date in `returned`) only what happened
    before that counts. No date may be later than `today`, unless the study says where its history ends. `known`: read
    the copy that tells what was known on that day, where the study has snapshots.

    Raises DataError with every rule that is broken: how many rows, which, what came, and what to do; StudyError for a
    pipeline that the data do not have.
    """
    with opened_leads(study, today, known) as opened:
        found = _read_well(opened, _leads)
        told = any(
            out.rows and (out.bad or file.role == "deals") for file in found.files for out in file.left_out
        )
        if told and numbered_else(opened):
            found = _read_well(replace(opened, lines=True), _leads)
        return found


def read_lead_rows(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every lead of a file that `read_leads` accepts: our columns, typed, and all others as the file has them.

    Raises StudyError for leads on a server: only sums leave it.
    """
    if on_server(study, "leads"):
        text = (
            "{place}: what looks at single leads (scoring, segments, nurturing, rank) needs them here, and only sums "
            "leave a PostgreSQL database; export the leads to a file for that (history.leads)"
        )
        raise StudyError(message(text, place=study.place("history.database.leads")))
    with opened_leads(study) as opened:
        return _read_well(opened, _lead_rows)


def _read_well[T](opened: Opened, read: Callable[[Opened], T]) -> T:
    """What is read: line by line where DuckDB stumbles, and with the rows numbered by lines where one is wrong.

    With more memory where groups and their amounts do not fit into what is given first, as lists cannot leave it.
    """
    import duckdb

    try:
        try:
            return read(opened)
        except DataError:
            if not numbered_else(opened):
                raise
            return read(replace(opened, lines=True))
    except duckdb.OutOfMemoryException:
        opened.connection.execute(f"SET memory_limit = '{MORE_MEMORY}'")
        return read(opened)
    except duckdb.Error as error:
        return read(line_by_line(opened, error))


def _leads(opened: Opened) -> Leads:
    """The leads, asked in the form that programs write first, and in the form that they have where that fails."""
    spec = opened.study.history
    sources = _sources(opened)
    plain = _found(opened, sources)
    sources = [_sure(opened, source, at) for source, at in zip(sources, plain, strict=True)]

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
        and not opened.server
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


def _as_programs_write(source: Source) -> bool:
    """Whether the study says nothing of how the file writes numbers and days that is not how programs do."""
    spec = source.ask.spec
    return spec.time_zone is None and spec.decimal != "," and spec.thousands != "."


def _no_rows_in_names(source: Source, at: int, groups: pd.DataFrame) -> None:
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
    if checked.relation.server:
        found, courses, notes = _in_detail(checked, kind, found, raw, asked.detail)
    else:
        courses, notes = checked.by_day.courses(raw) or {}, ()
    if "lost" not in found:
        found["lost"] = pd.Series(np.datetime64("NaT", "ns"), index=found.index, dtype="datetime64[ns]")
    planned = ["scheduled"] if "scheduled" in found else []
    paid = [name for name in ("amounts", "money", "back", "priced", "won_n") if name in found]
    groups = found[["channel", *checked.stages, "lost", *planned, "n", *paid]]
    groups = groups.assign(channel=_names(groups["channel"]))
    groups = groups.sort_values(["channel", *checked.stages, "lost", *planned], ignore_index=True)
    last_day = max(
        found[f"last_{name}"].max() for name in checked.dates if found[f"last_{name}"].notna().any()
    )
    files = tuple(_used(read, bad, n_leads) for read in asked.files)
    checks = checked.refunds() + checked.reordered()
    noted = (check.value for check in checks if check.status != PASS)
    files = (replace(files[0], notes=(*files[0].notes, *noted, *notes)), *files[1:])
    names = tuple(name_text(name) for name in raw)
    made = Leads(groups, np.datetime64(last_day, "D"), files, asked.reading, checks, courses, names)
    return replace(made, days=asked.days, ruled=asked.ruled, header=asked.header)


def _in_detail(
    checked: Checked, kind: str, found: pd.DataFrame, raw: Sequence[str], detail: str | None
) -> tuple[pd.DataFrame, Mapping[str, pd.DataFrame], tuple[Text, ...]]:
    """The groups of leads on a server with their single amounts, the courses by day, and what is said of the bytes.

    detail: "days", "periods", or None: days where they take little. Of periods alone, the groups keep the sums of their
    amounts, and there are no courses.
    """
    server = checked.relation.connection
    courses: Mapping[str, pd.DataFrame] | None = None
    left = None if detail == "days" else max(TRAVELS - server.received, 0)
    unasked = detail == "periods"
    if detail is None and int(found["n"].sum()) > FEW:
        unasked = own_courses(checked.relation, checked.dates)
    amounts = None if unasked else checked.by_day.amounts(kind, most=left)
    if amounts is not None:
        left = None if detail == "days" else max(TRAVELS - server.received, 0)
        courses = checked.by_day.courses(raw, most=left)
    if amounts is None or courses is None:
        said = "days and single amounts stayed in the database; {n:whole} bytes of answers left it"
        if detail is None:
            said = (
                "days and single amounts stayed in the database; {n:whole} bytes of answers left it (unasked they come "
                'where all takes at most {most:whole} bytes: history.database.detail = "days" asks for them)'
            )
        return found, {}, (message(said, n=server.received, most=TRAVELS),)
    found = found.drop(columns=[name for name in ("money", "back", "priced", "won_n") if name in found])
    return _with_amounts(found, amounts, checked.stages[0]), courses, (travelled(server.received),)


def _with_amounts(found: pd.DataFrame, amounts: pd.DataFrame, first: str) -> pd.DataFrame:
    """The groups, each with as many amounts of its channel and periods of creation and winning as it has deals.

    Which group of the same periods has which amount is not known, and nothing asks.
    """
    keys = ["channel", first, "won"]
    repeated = amounts.loc[amounts.index.repeat(amounts["n"])].sort_values([*keys, "amount"])
    pool = {key: part.to_numpy(dtype=float) for key, part in repeated.groupby(keys, dropna=False)["amount"]}
    taken: dict[Any, int] = {}
    lists: list[NDArray[np.float64] | None] = []
    for *key, n in found[[*keys, "n"]].itertuples(index=False, name=None):
        place = tuple(key)
        if place[2] is pd.NaT:
            lists.append(None)
            continue
        begun = taken.get(place, 0)
        lists.append(pool[place][begun : begun + n])
        taken[place] = begun + n
    return found.assign(amounts=pd.Series(lists, index=found.index, dtype=object))


def _names(column: pd.Series[Any]) -> pd.Series[Any]:
    """Names as `name_text` has them, each worked out once; what is absent stays so."""
    return column.map({name: name_text(name) for name in column.dropna().unique()}).astype(object)


def _used(read: FileRead, bad: Sequence[tuple[str, LeftOut]], n_leads: int) -> FileRead:
    """A file as it was read, without the rows that were left out as bad."""
    out = tuple(left for name, left in bad if name == read.file)
    rows = n_leads if read.role == "leads" else read.rows - sum(left.n for left in out)
    return replace(read, left_out=(*read.left_out, *out), rows=rows)


def _lead_rows(opened: Opened) -> tuple[pd.DataFrame, pd.DataFrame]:
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


def _sources(opened: Opened) -> list[Source]:
    """The leads, and the deals where they are in a file of their own, with the columns that are looked for."""
    study, preset = opened.study, _preset(opened.study)
    names = ["lead_id", "channel", "created", *_stages(study)[1:], *ENDING, "currency", "returned"]
    wanted = [_wanted(name, study.history.columns, preset) for name in dict.fromkeys(names)]
    return sources_of(opened, wanted)


def _preset(study: Study) -> Preset:
    return NO_PRESET if study.history.preset is None else PRESETS[study.history.preset]


def _stages(study: Study) -> tuple[str, ...]:
    return study.funnel.stages[study.funnel.stages.index("leads") :]


def _wanted(name: str, columns: Mapping[str, str], preset: Preset, *, required: bool = False) -> Wanted:
    if name in columns:
        return Wanted(name, (columns[name],), required, mapped=True)
    return Wanted(name, preset.names(name) if name in FLAGS else (*preset.names(name), name), required)


def _of_leads(study: Study, sources: Sequence[Source]) -> Mapping[str, str]:
    """The names that the study maps, without that of the channel where only the activity can have it."""
    columns = study.history.columns
    there = {folded(title) for source in sources for title in source.file.header}
    beside = study.history.activity is not None or bool(study.history.sources)
    elsewhere = beside and folded(columns.get("channel", "")) not in there
    rules = _rules(study, sources)
    if rules is not None:  # what they look at first stands for the channel
        return {**columns, "channel": next(iter(rules.titles.values()))}
    return {name: title for name, title in columns.items() if name != "channel"} if elsewhere else columns


def _rules(study: Study, sources: Sequence[Source]) -> Rules | None:
    """The rules that say which channel a lead is of, where any holds for the file of leads."""
    if not study.history.maps:
        return None
    return mapping_of(study, sources[0].name, sources[0].file.header)


def _found(opened: Opened, sources: Sequence[Source], *, returns: bool | None = None) -> list[dict[str, int]]:
    """Where each of our columns stands in each file, by our name; of two files, in the one that it belongs to.

    Raises DataError for each that must be there and is not, and for names that leave it open which is meant.
    """
    study = opened.study
    columns, preset, stages = _of_leads(study, sources), _preset(study), _stages(study)
    reached = study.history.reached  # told by the log of changes
    required = ["channel", "created", *(name for name in stages[1:] if name not in reached)]
    if returns is None:
        returns = study.nurturing is not None
    asked = [*required, *ENDING, *(["returned"] * returns)]
    names = [name for name in dict.fromkeys(asked) if name not in reached]
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
    sources: Sequence[Source], names: Sequence[str], columns: Mapping[str, str], preset: Preset
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


def _problems(source: Source, wanted: Sequence[Wanted]) -> list[Text]:
    try:
        find_columns(source.file.header, wanted, source.name, role=source.ask.role, row=source.file.line)
    except DataError as error:
        return list(error.problems)
    return []


def _is_of_flags(opened: Opened, source: Source, at: int) -> bool:
    """Whether a column says yes and no, as far as its first cells tell: "Won" may be that, or a date."""
    file = source.file
    sql = f"SELECT {file.text(at)} FROM {file.relation} LIMIT 1000"  # noqa: S608 - names made here
    cells = [
        cell for (cell,) in opened.connection.execute(sql, file.parameters).fetchall() if cell is not None
    ]
    return bool(cells) and all(is_flag(cell) is not None for cell in cells)


def _currency(source: Source, amount: int, columns: Mapping[str, str], preset: Preset) -> int | None:
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


def _days(places: Mapping[str, int]) -> list[int]:
    """The columns that hold dates."""
    return [at for name, at in places.items() if name not in {"lead_id", "channel", "amount", *WORDS}]


def _sure(opened: Opened, source: Source, places: Mapping[str, int]) -> Source:
    """The file with those of its columns of dates marked that hold nothing else."""
    return replace(source, file=with_sure_days(opened.connection, source.file, _days(places)))


def _in_form(opened: Opened, source: Source, places: Mapping[str, int]) -> Source:
    """The file with its dates and amounts read in the form that they are written in."""
    days = _days(places)
    amounts = [places["amount"]] if "amount" in places else []
    file = with_forms(
        opened.connection, source.file, days, amounts, source.name, source.ask, name=source.ask.role
    )
    return replace(source, file=file)


# ------------------------------------------------------------------------------------------------- the rows to be read


@dataclass(frozen=True)
class _Asked:
    """The rows of leads as they are read, what is known to be wrong, and what is to be said of the files.

    others: titles of the further columns of the file of leads, by their name in the rows. detail: what may leave a
    server. days: of which there are copies of the leads. ruled, header: see `Leads`.
    """

    checked: Checked
    problems: Sequence[Text]
    files: tuple[FileRead, ...]
    reading: Mapping[str, str]
    others: Mapping[str, str]
    ruled: Ruled | None = None
    header: tuple[str, ...] = ()
    detail: str | None = None
    days: tuple[date, ...] = ()


def _asked(
    opened: Opened, sources: Sequence[Source], found: Sequence[Mapping[str, int]], *, others: bool = False
) -> _Asked:
    """Join the deals; settle outcomes, pipelines and currencies."""
    study, stages, preset = opened.study, _stages(opened.study), _preset(opened.study)
    first, spec = stages[0], study.history
    further = _further(sources[0], found[0]) if others else {}
    files = [_read(source, places) for source, places in zip(sources, found, strict=True)]
    if study.segments is not None and study.segments.column in files[0].unread:
        files[0] = files[0].taking("segment", study.segments.column)
    rules = _rules(study, sources)
    rows = _rows(opened, sources[0], found[0], first, further, () if rules is None else tuple(rules.titles))
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
    ruled: Ruled | None = None
    if rules is not None:
        made = by_rules(rows, rules, sources[0].name)
        rows, ruled = made.rows, made.ruled
        files[0] = _by_rules(files[0], rules, made.left_out)
    _check_exchange(study, rows, preset)
    header = [title for source in sources for title in source.file.header]
    surveyed = survey(rows, study, preset, first, header)
    rows = surveyed.relation
    if spec.changes is not None:
        changed = with_changes(rows, *_changes(opened))
        rows, files = changed.rows, [*files, changed.read]
    rows = _first_course(rows, stages) if "returned" in rows.cells else rows
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
    detail = None if spec.database is None else spec.database.detail
    days, there = sources[0].file.copies, tuple(sources[0].file.header)
    told = (surveyed.reading, further, ruled, there, detail, days)
    return _Asked(checked, problems, tuple(files), *told)


def _changes(opened: Opened) -> tuple[Relation, str, Study, Ask]:
    """The log of changes, open, and what is asked of it."""
    study, name = opened.study, str(opened.study.history.changes)
    ask = Ask("history.changes", "changes", study.history.read, wanted_changes(study))
    paths = files_of(study.folder, name)
    file = open_files(
        opened.connection, paths, name, study.folder, ask, opened.folder,
        name="changes", grids=opened.grids, lines=opened.lines,
    )  # fmt: skip
    return file, name, study, ask


def _by_rules(read: FileRead, rules: Rules, left_out: Sequence[LeftOut]) -> FileRead:
    """A file whose channels come from rules over some columns."""
    titles = list(rules.titles.values())
    columns = {
        name: ", ".join(titles) if name == "channel" else title for name, title in read.columns.items()
    }
    unread = tuple(title for title in read.unread if title not in titles)
    return replace(read, columns=columns, unread=unread, left_out=(*read.left_out, *left_out))


def _check_exchange(study: Study, rows: LeadRows, preset: Preset) -> None:
    """Raise StudyError where the study has rates, and no file says which currency its amounts are in."""
    spec, amount = study.history, rows.cells.get("amount")
    converted = amount is not None and folded(amount.title) in {folded(name) for name in preset.converted}
    beside = spec.activity is not None or bool(spec.sources)
    if spec.exchange and not beside and "currency" not in rows.cells and not converted:
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


def _read(source: Source, places: Mapping[str, int]) -> FileRead:
    """What is said of a file and its columns."""
    header = [" ".join(title.split()) for title in source.file.header]
    columns = {name: header[at] for name, at in places.items()}
    unread = tuple(title for at, title in enumerate(header) if title and at not in places.values())
    said, left_out = dict(source.file.said), source.file.left_out
    return FileRead(source.ask.role, source.name, said, columns, unread, 0, left_out, files=source.file.files)


def _further(source: Source, places: Mapping[str, int]) -> dict[str, str]:
    """Titles of the columns that may be features or segments, by their name in the rows."""
    ours = {at for name, at in places.items() if name not in {"currency", "pipeline"}}
    return {f"x{at}": title.strip() for at, title in enumerate(source.file.header) if at not in ours}


def _rows(
    opened: Opened,
    source: Source,
    places: Mapping[str, int],
    first: str,
    further: Mapping[str, str],
    keys: Sequence[int] = (),
) -> LeadRows:
    """The rows of a file, with t_<name>, v_<name> and g_<name> for each of our columns in it, and columns for rules."""
    parts = [f"{source.file.row} AS {source.row}"]
    parts += [f"{source.file.columns[int(name[1:])]} AS {name}" for name in further]
    parts += [f"{source.file.name(at)} AS {key_column(at)}" for at in keys]
    cells = {}
    for name, at in places.items():
        ours = first if name == "created" else name
        parts += _cell(source.file, name, ours, at)
        title, typed = " ".join(source.file.header[at].split()), source.file.types[at] != "VARCHAR"
        cells[ours] = Cell(title, source.name, source.row, typed=typed)
    if "amount" in places and "currency" not in places:
        named = _named(source.file, places["amount"], opened.study, _preset(opened.study))
        parts += [f'{named} AS "{kind}_currency"' for kind in ("t", "v")] if named else []
        cells |= {"currency": replace(cells["amount"], told=False)} if named else {}
    sql = f"SELECT {', '.join(parts)} FROM {source.file.relation}"  # noqa: S608 - names made here, path bound
    names = tuple(part.rpartition(" AS ")[2].strip('"') for part in parts)
    held = source.file
    sure = frozenset(first if name == "created" else name for name, at in places.items() if at in held.sure)
    return LeadRows(
        opened.connection, sql, tuple(held.parameters), cells, names,
        named=held.named, server=held.server, sure=sure,
    )  # fmt: skip


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
