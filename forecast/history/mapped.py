"""Spend and visitors beside leads from several exports, each row brought to its channel, added up to one table.

An export of a tool has a row a day and campaign, or channel group; rules say which channel that is (`history.rules`).
Nothing is counted twice: where two files give the same measure of a channel, the study says whether they are the same
(`overlap = "leave out"`) or to be added. A file that tells of a channel has a row only where something happened, so
that a period without a row, between the channel's first and the end of the file, is 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from forecast.checks import PASS, REVIEW, Check
from forecast.errors import DataError, StudyError
from forecast.history.counts import ROWS_NAMED, Layout, Rows, beside, read_rows
from forecast.history.history import MONEY
from forecast.history.rows import sum_tolerance
from forecast.history.rules import NONE_FITS, UNRULED, Ruled, Rules, listed, mapping_of
from forecast.periods import Periods, parse_period, period_index, period_label, period_range, shift
from forecast.read import (
    Grid,
    LeftOut,
    date_form,
    find_columns,
    means_total,
    name_text,
    number_form,
    read_grids,
    to_numbers,
    to_periods,
)
from forecast.study import KEYS, TOOLS, ReadSpec, ReadsSpec, SourceSpec, Study, files_of
from forecast.words import Text, message

BY_RULES = "history.map"  # title of the column that holds what the rules make of a row
NO_RULE = f"{BY_RULES}?"
ONCE = "Counted once"
TOTALS = "Totals of exports"
_DASHES = re.compile(r"[\s\-\N{EN DASH}\N{EM DASH}]+")  # what stands where a tool has nothing to tell


@dataclass(frozen=True)
class Sources:
    """The files beside leads as one table.

    rows: of (period, channel). parts: the rows of each file that are used, as they came. ruled: what the rules made of
    each; headers: titles by file.
    """

    rows: Rows
    parts: tuple[Rows, ...]
    ruled: tuple[Ruled, ...]
    headers: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _Part:
    """One file: its rows, the last day that it tells of (of a period: its last), and what the rules made of it."""

    spec: SourceSpec
    place: str
    rows: Rows
    last: np.datetime64
    ruled: Ruled | None
    header: tuple[str, ...]


def read_sources(study: Study, stages: tuple[str, ...], *, today: date | None = None) -> Sources:
    """Read the files of `history.source`; `stages` are those before leads.

    The period of `today` is not over: it is left out, unless `history.through` asks for it.

    Raises DataError for what is wrong in a file, and StudyError where two files give the same and the study does not
    say what that means, or where they end in different periods.
    """
    parts, problems = [], list[Text]()
    for number, spec in enumerate(study.history.sources, start=1):
        try:
            parts.append(_read_one(study, number, spec, stages))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    parts, checks = _once(study, parts)
    ends = _ends(study, parts, today)
    kind = study.history.period
    parts = [_until(part, end, kind) for part, end in zip(parts, ends, strict=True)]
    rows = _joined(parts, ends, kind)
    found = tuple(check for part in parts for check in part.rows.found)
    return Sources(
        replace(rows, found=(*found, *checks)),
        tuple(part.rows for part in parts),
        tuple(part.ruled for part in parts if part.ruled is not None),
        {part.spec.file: part.header for part in parts},
    )


# ---------------------------------------------------------------------------------------------------------- one file


def _layout(study: Study, number: int, spec: SourceSpec, stages: tuple[str, ...]) -> Layout:
    tool = None if spec.preset is None else TOOLS[spec.preset]
    theirs = dict(tool.columns) if tool else {}
    theirs["channel"] = tuple(title for key in (tool.keys if tool else KEYS) for title in KEYS[key])
    history, place = study.history, f"history.source.{number}"
    return Layout(
        f"{place}.file", "activity", history.period, ("spend", *beside(history)), stages, columns=spec.columns,
        spare=True, spec=history, currency=study.currency, theirs=theirs, place=f"{place}.columns",
        own=f"{place}.read" if spec.read is not None else "", reads=_reads(history.read, spec.read),
    )  # fmt: skip


def _reads(of_all: ReadsSpec, own: ReadSpec | None) -> ReadsSpec:
    """The keys of reading with those of one file before those of all files beside leads."""
    if own is None:
        return of_all
    given = {key: getattr(own, key) for key in ReadSpec.model_fields if getattr(own, key) is not None}
    return of_all.model_copy(update={"activity": of_all.activity.model_copy(update=given)})


def _read_one(study: Study, number: int, spec: SourceSpec, stages: tuple[str, ...]) -> _Part:
    layout = _layout(study, number, spec, stages)
    grid = read_grids(files_of(study.folder, spec.file), spec.file, study.folder, layout.ask)
    header = grid.header
    rules = mapping_of(study, spec.file, header)
    if rules is not None:
        layout = replace(layout, columns={**layout.columns, "channel": BY_RULES})
    wanted = [column for column in layout.ask.wanted if rules is None or column.name != "channel"]
    found = find_columns(header, wanted, spec.file, role=layout.role, kind=layout.kind, row=grid.line)
    measures = {name: at for name, at in found.items() if name in (*layout.money, *stages)}
    grid, totals = _without_totals(_bare(grid, measures.values()), found["period"])
    checks = _agreeing(grid, totals, measures, layout)
    last = _last_day(grid, found["period"], layout)
    rows = _given(
        read_rows(_by_rules(grid, rules), layout), spec, study.place(f"history.source.{number}.gives")
    )
    ruled = None
    if rules is not None:
        rows, ruled = _ruled(rows, grid, rules)
    rows = _of_channels(study, rows, spec, f"history.source.{number}.channels")
    for check in checks:
        rows = rows.told(str(check.name), check.status, check.value, check.advice)
    return _Part(spec, f"history.source.{number}", rows, last, ruled, header)


def _bare(grid: Grid, measures: Iterable[int]) -> Grid:
    """The table with nothing where a tool writes dashes for it."""
    at = set(measures)
    rows = [
        tuple(
            None if i in at and isinstance(cell, str) and _DASHES.fullmatch(cell) else cell
            for i, cell in enumerate(row)
        )
        for row in grid.rows
    ]
    return replace(grid, rows=rows)


def _without_totals(grid: Grid, period: int) -> tuple[Grid, Grid]:
    """The table without rows that add up others, and these: no period stands in them, and a word says what they are."""

    def adds_up(row: tuple[object, ...]) -> bool:
        when = row[period]
        text = "" if when is None else str(when)
        lone = not text.strip(" -\N{EN DASH}\N{EM DASH}") or means_total(text)
        return lone and any(isinstance(cell, str) and means_total(cell) for cell in row)

    marks = [adds_up(row) for row in grid.rows]

    def of(kept: bool) -> Grid:
        places = [i for i, mark in enumerate(marks) if mark != kept]
        return replace(grid, rows=[grid.rows[i] for i in places], numbers=[grid.numbers[i] for i in places])

    rest, totals = of(True), of(False)
    if not totals.rows:
        return rest, totals
    said = LeftOut(message("a total of the export"), len(totals.rows), tuple(totals.numbers))
    return replace(rest, left_out=(*rest.left_out, said)), totals


def _agreeing(grid: Grid, totals: Grid, measures: Mapping[str, int], layout: Layout) -> list[Check]:
    """Whether a row of totals says what the rows add up to: of several, some add up a part of them."""
    if not totals.rows or not grid.rows:
        return []
    both = replace(grid, rows=[*grid.rows, *totals.rows], numbers=[*grid.numbers, *totals.numbers])
    form = number_form(both, list(measures.values()), layout.ask)
    said: list[Text] = []
    wrong: list[Text] = []
    for name, at in measures.items():
        title = grid.title(at)
        own = to_numbers(grid, at, title, whole=False, form=form, signed=True).values
        theirs = to_numbers(totals, at, title, whole=False, form=form, signed=True).values
        if not np.isfinite(theirs).any():
            continue
        total = float(np.nansum(own))
        near = float(sum_tolerance(own, np.full(own.shape, float(own.size)), name in MONEY).max())
        text = "{title} {sum:given}"
        if (np.abs(theirs[np.isfinite(theirs)] - total) <= near).any():
            said.append(message(text, title=title, sum=round(total, 6)))
        else:
            text = "{title}: {theirs:given} in row {row}, and {sum:given} in the others"
            most = int(np.nanargmax(theirs))
            told = {"row": totals.numbers[most], "theirs": float(theirs[most]), "sum": round(total, 6)}
            wrong.append(message(text, title=title, **told))
    if wrong:
        text = "what the rows of {file} add up to stands in no row of totals: {wrong:parts}"
        advice = "Rows are missing, or were taken out: export it again, with all campaigns, removed ones too."
        return [Check(TOTALS, REVIEW, message(text, file=grid.file, wrong=wrong), advice)]
    text = "the row of totals of {file} says what its rows add up to: {said:list}"
    return [Check(TOTALS, PASS, message(text, file=grid.file, said=said))] if said else []


def _last_day(grid: Grid, period: int, layout: Layout) -> np.datetime64:
    """The last day that a file tells of: of rows of whole periods, the last of the period.

    Rows are of single days where a period has two of them or more.
    """
    form = date_form(grid, [period], layout.ask, kind=layout.kind)
    column = to_periods(grid, period, layout.kind, form, layout.ask)
    told = ~np.isnat(column.starts)
    if not told.any():
        return np.datetime64("NaT", "D")
    days = np.unique(column.days[told & ~np.isnat(column.days)])
    starts = np.unique(column.starts[told])
    if days.size > starts.size:
        return np.datetime64(days.max(), "D")
    return np.datetime64(shift(starts.max(), 1, layout.kind), "D") - np.timedelta64(1, "D")


def _by_rules(grid: Grid, rules: Rules | None) -> Grid:
    """The table with a column of the channels that rules make of its rows."""
    if rules is None:
        return grid
    rows = [(*row, rules.fit(_cells(row, rules)).channel or NO_RULE) for row in grid.rows]
    return replace(grid, header=(*grid.header, BY_RULES), rows=rows)


def _cells(row: Sequence[object], rules: Rules) -> tuple[str, ...]:
    return tuple("" if row[at] is None else name_text(row[at]) for at in rules.titles)


def _given(rows: Rows, spec: SourceSpec, place: str) -> Rows:
    """The rows with the measures that are taken from this file."""
    if spec.gives is None:
        return rows
    if absent := [name for name in spec.gives if name not in rows.measures]:
        text = "{place}: {file} has no column of {absent}; of what may be read it has {there:list}"
        told = {"file": rows.file, "absent": absent, "there": list(rows.measures)}
        raise StudyError(message(text, place=place, **told))
    other = [name for name in rows.measures if name not in spec.gives]
    rows = replace(rows, measures={name: rows.measures[name] for name in spec.gives})
    if not other or rows.read is None:
        return rows
    titles = {name: title for name, title in rows.read.columns.items() if name not in other}
    unread = (*rows.read.unread, *(rows.read.columns[name] for name in other))
    return replace(rows, read=replace(rows.read, columns=titles, unread=unread))


def _ruled(rows: Rows, grid: Grid, rules: Rules) -> tuple[Rows, Ruled]:
    """The rows that a rule fits, with what no rule fits listed; and what the rules made of the file."""
    cells = {number: _cells(row, rules) for row, number in zip(grid.rows, grid.numbers, strict=True)}
    counted: Counter[tuple[int, ...]] = Counter()
    examples: dict[tuple[int, ...], str] = {}
    for number in rows.numbers.tolist():
        fits = rules.fit(cells[number]).rules
        counted[fits] += 1
        examples.setdefault(fits, rules.said(cells[number]))
    out = rows.channels == NO_RULE
    whole = {"rows": float(rows.numbers.size)} | {
        name: float(np.nansum(v)) for name, v in rows.measures.items()
    }
    lost = {"rows": float(out.sum())} | {name: float(np.nansum(v[out])) for name, v in rows.measures.items()}
    kinds: dict[str, dict[str, float]] = {}
    numbers: dict[str, list[int]] = {}
    for i in np.flatnonzero(out):
        number = int(rows.numbers[i])
        said = rules.said(cells[number])
        sums = kinds.setdefault(said, dict.fromkeys(rows.measures, 0.0))
        for name, values in rows.measures.items():
            sums[name] += float(np.nan_to_num(values[i]))
        numbers.setdefault(said, []).append(number)
    kept = rows.where(~out)
    if kept.read is not None:
        read = kept.read
        columns = {name: title for name, title in read.columns.items() if name != "channel"}
        titles = list(rules.titles.values())
        columns = {"period": columns["period"], "channel": ", ".join(titles), **columns}
        unread = tuple(title for title in read.unread if title not in titles)
        left = _without_rule(kinds, numbers)
        read = replace(read, columns=columns, unread=unread, left_out=(*read.left_out, *left))
        kept = replace(kept, read=read)
    if not kept.numbers.size:
        raise DataError(message(NONE_FITS, file=rows.file, kinds=list(kinds)))
    return kept, Ruled(rows.file, counted, examples, lost, whole)


def _without_rule(
    kinds: Mapping[str, Mapping[str, float]], numbers: Mapping[str, list[int]]
) -> list[LeftOut]:
    """Rows that no rule fits, a record for each kind of them: those with most money first, the rest together."""
    told: list[LeftOut] = []
    for kinds_of_it, text in listed(kinds, MONEY):
        own = sorted(number for kind in kinds_of_it for number in numbers[kind])
        told.append(LeftOut(message(UNRULED, said=text), len(own), tuple(own[:ROWS_NAMED])))
    return told


def _of_channels(study: Study, rows: Rows, spec: SourceSpec, key: str) -> Rows:
    """The rows of the channels that this file is to give."""
    if spec.channels is None:
        return rows
    there = set(map(str, rows.channels))
    if absent := [name for name in spec.channels if name not in there]:
        text = "{place}: {file} has no row of {absent}; it has {there:list.12}"
        told = {"file": rows.file, "absent": absent, "there": sorted(there)}
        raise StudyError(message(text, place=study.place(key), **told))
    out = ~np.isin(rows.channels.astype(str), spec.channels)
    why = "channel {name} ({sums:list}): not among {key}"
    return _dropped(rows, out, why, key=key) if out.any() else rows


def _dropped(rows: Rows, out: NDArray[np.bool_], why: str, **told: object) -> Rows:
    """The rows without some, a record for each channel with its sums."""
    kept = rows.where(~out)
    left: list[LeftOut] = []
    for name in sorted(set(map(str, rows.channels[out]))):
        mine = out & (rows.channels == name)
        sums = [
            message("{name:stage} {sum:given}", name=each, sum=round(float(np.nansum(values[mine])), 6))
            for each, values in rows.measures.items()
        ]
        numbers = tuple(np.unique(rows.numbers[mine]).tolist())
        reason = message(why, name=name, sums=sums, **told)
        left.append(LeftOut(reason, len(numbers), numbers[:ROWS_NAMED]))
    read = kept.read and replace(kept.read, left_out=(*kept.read.left_out, *left))
    return replace(kept, read=read)


# ------------------------------------------------------------------------------------------------------- several files


def _once(study: Study, parts: Sequence[_Part]) -> tuple[list[_Part], list[Check]]:
    """The files without what one before gives too; and the check that says which file gives what.

    Raises StudyError where the study does not say what it means that two give the same.
    """
    givers: dict[tuple[str, str], str] = {}
    said: list[Text] = []
    problems: list[Text] = []
    kept: list[_Part] = []
    for part in parts:
        rows, twice = part.rows, dict[str, list[str]]()
        own = {
            (measure, name)
            for measure, values in rows.measures.items()
            for name in set(map(str, rows.channels[np.isfinite(values)]))
        }
        for measure, name in sorted(own & set(givers)):
            twice.setdefault(measure, []).append(name)
        for measure, names in twice.items():
            others = sorted({givers[measure, name] for name in names})
            told = {"measure": measure, "names": names, "others": others, "file": rows.file}
            if part.spec.overlap == "refuse":
                text = (
                    "{place}: {file} gives {measure} of {names:list.6}, and {others} does too: where they are the "
                    'same, set overlap = "leave out" for this file, so that they are taken from {others} alone; where '
                    'they are others, set overlap = "add"'
                )
                problems.append(message(text, place=study.place(f"{part.place}.overlap"), **told))
            elif part.spec.overlap == "add":
                said.append(
                    message("{measure:stage} of {names:list.6}: {others} and {file}, added up", **told)
                )
            else:
                mine = np.isin(rows.channels.astype(str), names)
                total = float(np.nansum(rows.measures[measure][mine]))
                text = "{measure:stage} of {names:list.6}: {others}, and not the {sum:given} of {file}, the same ones"
                said.append(message(text, sum=round(total, 6), **told))
                rows = _without(rows, measure, mine)
        for key in own:
            givers.setdefault(key, rows.file)
        kept.append(replace(part, rows=rows))
    if problems:
        raise StudyError(problems)
    if len(parts) < 2:
        return kept, []
    if not said:
        said.append("no two files give the same measure of a channel")
    return kept, [Check(ONCE, PASS, message("{said:parts}", said=said))]


def _without(rows: Rows, measure: str, mine: NDArray[np.bool_]) -> Rows:
    """The rows without one measure of some of them; without rows that then tell nothing."""
    alone = {measure: np.where(mine, rows.measures[measure], np.nan)}
    others = [values for name, values in rows.measures.items() if name != measure]
    empty = mine & ~np.logical_or.reduce(
        [np.isfinite(values) for values in others] or [np.zeros(mine.size, bool)]
    )
    why = "channel {name} ({sums:list}): another file gives it"
    told = _dropped(replace(rows, measures=alone), empty, why)
    measures = {**rows.measures, measure: np.where(mine, np.nan, rows.measures[measure])}
    return replace(replace(rows, measures=measures).where(~empty), read=told.read)


def _ends(study: Study, parts: Sequence[_Part], today: date | None) -> list[np.datetime64]:
    """The last period of each file that is used.

    Raises StudyError where they differ, and nothing says what a file that ends before the others means.
    """
    kind, spec = study.history.period, study.history
    _, asked = spec.window()
    days = max(part.last for part in parts)
    if today is not None:
        days = min(days, np.datetime64(today, "D") - np.timedelta64(1, "D"))
    last = parse_period(str(days), kind)
    over = days >= np.datetime64(shift(last, 1, kind), "D") - np.timedelta64(1, "D")
    most = last if over or asked == last else np.datetime64(shift(last, -1, kind), "D")
    ends, problems = [], list[Text]()
    for part in parts:
        end = np.datetime64(part.rows.starts.max(), "D")
        if part.spec.through is not None:
            own = parse_period(part.spec.through, kind)
            if own < end:
                text = '{place}: expected a period not before the last row of {file}, {end}; came "{came}"'
                told = {"file": part.rows.file, "end": period_label(end, kind), "came": part.spec.through}
                problems.append(message(text, place=study.place(f"{part.place}.through"), **told))
            end = max(own, end)
        ends.append(min(end, most))
    least = min(ends)
    wanted = max(ends) if asked is None else min(asked, max(ends))
    text = (
        "{place}: the rows of {file} end with {end}, and others go on to {wanted}: where it was exported after that "
        'and nothing came any more, set through = "{wanted}" for this file; else history.through = "{end}" in the study'
    )
    for part, end in zip(parts, ends, strict=True):
        if end < wanted and not problems and least < wanted:
            told = {"end": period_label(end, kind), "wanted": period_label(wanted, kind)}
            problems.append(
                message(text, place=study.place(f"{part.place}.through"), file=part.rows.file, **told)
            )
    if problems:
        raise StudyError(problems)
    return ends


def _until(part: _Part, end: np.datetime64, kind: str) -> _Part:
    """A file without rows after a period that was not over."""
    late = part.rows.starts > end
    if not late.any():
        return part
    kept = part.rows.where(~late)
    numbers = tuple(np.unique(part.rows.numbers[late]).tolist())
    why = message("after {edge}: the next period was not over", edge=period_label(end, kind))
    read = kept.read and replace(
        kept.read, left_out=(*kept.read.left_out, LeftOut(why, len(numbers), numbers[:ROWS_NAMED]))
    )
    return replace(part, rows=replace(kept, read=read))


def _joined(parts: Sequence[_Part], ends: Sequence[np.datetime64], kind: str) -> Rows:
    """One row a period and channel: what the files give, added up; 0 between a channel's first row and the end."""
    first = min(part.rows.starts.min() for part in parts)
    starts = period_range(first, max(ends), kind)
    names = sorted({str(name) for part in parts for name in part.rows.channels})
    place = {name: i for i, name in enumerate(names)}
    measures = list(dict.fromkeys(name for part in parts for name in part.rows.measures))
    cells = {name: np.full((starts.size, len(names)), np.nan) for name in measures}
    for part, end in zip(parts, ends, strict=True):
        rows = part.rows
        at = period_index(rows.starts, starts[0], kind)
        column = np.array([place[str(name)] for name in rows.channels], dtype=np.int64)
        stop = int(period_index(end, starts[0], kind)) + 1
        for name, values in rows.measures.items():
            seen = np.isfinite(values)
            for c in np.unique(column[seen]):
                mine = seen & (column == c)
                own = np.bincount(at[mine], values[mine], stop)
                begin = int(at[mine].min())
                into = cells[name][begin:stop, c]
                cells[name][begin:stop, c] = np.nan_to_num(into) + own[begin:stop]
    return _long(parts, starts, names, cells)


def _long(
    parts: Sequence[_Part], starts: Periods, names: Sequence[str], cells: Mapping[str, NDArray[np.float64]]
) -> Rows:
    """The cells as rows, of each channel from the first period that tells of it."""
    known = np.logical_or.reduce([np.isfinite(values) for values in cells.values()])
    there = np.logical_or.accumulate(known, axis=0)
    i, j = np.nonzero(there)
    return Rows(
        " and ".join(part.rows.file for part in parts),
        np.arange(1, i.size + 1),
        np.asarray(starts)[i],
        np.array(names, dtype=np.object_)[j],
        {name: np.round(values[i, j], 6) for name, values in cells.items()},
        in_currency=any(part.rows.in_currency for part in parts),
    )


def sums_of(rows: Rows, kind: str) -> tuple[tuple[str, str, str, float, int], ...]:
    """The totals of what a file gives: of all, by year and by channel, as `FileRead.sums` has them."""
    years = np.array([period_label(start, kind)[:4] for start in rows.starts])
    channels = rows.channels.astype(str)
    order = [name for name in ("spend", *rows.measures) if name in rows.measures]
    found: list[tuple[str, str, str, float, int]] = []
    for name in dict.fromkeys(order):
        values = rows.measures[name]
        seen = np.isfinite(values)
        if not seen.any():
            continue
        found.append(("all", "", name, round(float(values[seen].sum()), 6), 0))
        for by, keys in (("year", years), ("channel", channels)):
            found += [
                (by, str(key), name, round(float(values[seen & (keys == key)].sum()), 6), 0)
                for key in np.unique(keys[seen])
            ]
    return tuple(found)
