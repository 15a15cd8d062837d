"""From the files that a study names to a validated history and a spend plan.

Parse at the door: what comes out of here keeps every rule, and what breaks one is reported with file, row, column and
remedy, all problems of a kind together. Nothing is repaired; a blank stays a blank.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forecast.checks import REVIEW
from forecast.errors import DataError, StudyError
from forecast.history.counts import (
    ROWS_NAMED,
    Layout,
    Rows,
    beside,
    channel_names,
    check_span,
    net_of_refunds,
    no_totals,
    read_counts,
    read_rows,
    table_of,
    told_apart,
)
from forecast.history.history import BASE, BESIDE, MONEY, History, count_table, recorded_stages
from forecast.history.row_checks import (
    check_blanks,
    check_lone,
    check_pairs,
    summed,
    whole_counts,
    without_leading_zeros,
    without_totals,
)
from forecast.history.snapshots import Snapshots
from forecast.periods import (
    PERIODS_PER_YEAR,
    Periods,
    parse_period,
    period_index,
    period_label,
    period_range,
    shift,
)
from forecast.read import BLANK, FileRead, LeftOut, cells_problem, folded, names_of, read_grid, rows_text
from forecast.study import LAST_YEAR, Study, files_of, nearest, on_server
from forecast.words import Text, message, plural

if TYPE_CHECKING:
    from forecast.history.leads import Leads

FUTURE = "Dates in the future"
NAMED = 20  # channels named in a message


def read_history(study: Study, *, today: date | None = None, known: date | None = None) -> History:
    """Read and validate the history that a study names.

    `today`, if given, keeps periods that have not ended out of counts, unless `history.through` asks for them. `known`:
    the copy of that day, where the study has snapshots (else `History.as_of` reads them).
    Raises DataError for what is wrong in the files and StudyError for channels that the data do not have and for lift
    tests that they cannot place.
    """
    made = _from_counts if study.history.leads is None else _from_leads
    history, days = made(study, today, known)
    history = replace(history, sources=_hashes(study, history))
    if study.history.snapshots is not None and known is None:
        history = replace(history, copies=Snapshots(study, _of_day, days))
    _check_lift_tests(study, history)
    _check_known_rates(study, history)
    if study.economics.capacity is not None and not history.steps:
        text = (
            "{place}: sales works on what stands before won, and these data count {counted} alone; record the stage "
            "before it, or take the key out"
        )
        told = {"place": study.place("economics.capacity"), "counted": history.counted}
        raise StudyError(message(text, **told))
    return history


def _of_day(study: Study, day: date) -> History:
    """The history that the copy of a day tells, as a past is: with nothing of how it was read."""
    return replace(read_history(study, known=day), reading={}, files=(), found=())


# Counts


def _from_counts(study: Study, today: date | None, known: date | None) -> tuple[History, tuple[date, ...]]:
    spec = study.history
    rows = read_counts(study, known)
    first, last = spec.window()
    reading: dict[str, str] = {}
    running = None if today is None else parse_period(today.isoformat(), spec.period)
    if last is None and running is not None:
        last = rows.starts.max()
        last = last if last < running else _period_before(running, spec.period, reading)
    _check_window(study, rows.starts.min(), rows.starts.max())
    attributed = not spec.spend_columns
    kept = _inside(rows, first, last, spec.period, reading)
    kept = without_totals(kept) if attributed else kept
    if running is not None:
        kept = _told_of_the_future(kept, rows, running, last, spec.period)
    _check_channels(study, set(rows.channels) - set(kept.totals))
    used = kept
    if study.segments is not None:
        kept = summed(kept)
    check_lone(kept, spec.period)
    check_pairs(kept, spec.period)
    if spec.blank is None:
        check_blanks(kept if attributed else kept.where(kept.channels == BASE), study.funnel.stages)
    if spec.counting == "cohort":
        _check_cohorts(kept, study.funnel.stages)
    kept = whole_counts(kept, study.funnel.stages, cohort=spec.counting == "cohort")
    kept = net_of_refunds(without_leading_zeros(kept, spec.period))
    span = int(period_index(kept.starts.max(), kept.starts.min(), spec.period)) + 1
    check_span(kept.file, span, len(set(kept.channels)), spec.period)
    counts = count_table(kept.starts, list(kept.channels), kept.measures, spec.period)
    stages = recorded_stages(counts, study.funnel.stages)
    if not attributed and len(stages) > 1:
        text = (
            "{file}: spend by channel beside totals of {stages}: only sales can be forecast so; set "
            'funnel.stages = ["won"], or give a row for each period and channel'
        )
        raise DataError(message(text, file=kept.file, stages=stages))
    blank = [s for s in study.funnel.stages if s in counts and s not in stages]
    empty = [m for m in (*MONEY, *BESIDE) if m in counts and not np.isfinite(counts[m].values).any()]
    kept_counts = counts.drop_vars([*blank, *empty])
    read = _file_read("counts", rows, replace(used, read=kept.read), first, last, spec.period)
    made = History(
        kept_counts,
        spec.counting,
        spec.period,
        stages,
        reading=reading,
        files=(read,),
        found=kept.found,
        attributed=attributed,
    )
    return made, rows.days


def _told_of_the_future(
    kept: Rows, rows: Rows, running: np.datetime64, last: np.datetime64 | None, kind: str
) -> Rows:
    """Say which rows lie after today: they are left out, unless history.through asks for them."""
    later = rows.starts > running
    if not later.any():
        return kept
    starts = rows.starts[later]
    told: dict[str, object] = {
        "first": period_label(starts.min(), kind),
        "last": period_label(starts.max(), kind),
    }
    numbers = np.unique(rows.numbers[later])
    told |= {"n": numbers.size, "rows": rows_text((int(n), None) for n in numbers)}
    if last is not None and last > running:
        said = plural(
            "1 row of {first:period} lies after today ({rows}), and history.through asks for it",
            "{n:whole} rows of {first:period} to {last:period} lie after today ({rows}), and history.through asks for "
            "them",
            **told,
        )
        advice = (
            "What lies after today is no history: end it with the last period that is over (history.through)."
        )
    else:
        said = plural(
            "1 row of {first:period} lies after today ({rows}) and is left out",
            "{n:whole} rows of {first:period} to {last:period} lie after today ({rows}) and are left out",
            **told,
        )
        advice = (
            "Fine where they are plans; where a year is mistyped, correct it: its row is missing elsewhere."
        )
    return kept.told(FUTURE, REVIEW, said, advice)


def _period_before(partial: np.datetime64, kind: str, reading: dict[str, str]) -> np.datetime64:
    """The last period that had ended: the one before a period that is `partial`, which is noted."""
    reading["partial"] = period_label(partial, kind)
    return np.datetime64(shift(partial, -1, kind), "D")


def _check_window(study: Study, first_seen: np.datetime64, last_seen: np.datetime64) -> None:
    spec = study.history
    first, last = spec.window()
    seen = f"the data cover {period_label(first_seen, spec.period)} to {period_label(last_seen, spec.period)}"
    problems = []
    if first is not None and first > last_seen:
        problems.append(
            f'{study.place("history.from")}: expected a period that the data hold; came "{spec.from_}"; {seen}'
        )
    if last is not None and not first_seen <= last <= last_seen:
        text = f'expected a period that the data hold; came "{spec.through}"; {seen}'
        problems.append(f"{study.place('history.through')}: {text}")
    if problems:
        raise StudyError(problems)


def _inside(
    rows: Rows, first: np.datetime64 | None, last: np.datetime64 | None, kind: str, reading: dict[str, str]
) -> Rows:
    """The rows of the window; how many were left out is noted."""
    before = np.zeros(rows.starts.size, dtype=bool) if first is None else rows.starts < first
    after = np.zeros(rows.starts.size, dtype=bool) if last is None else rows.starts > last
    for name, out in (("before", before), ("after", after)):
        if out.any():
            reading[name] = str(int(out.sum()))
    if (before | after).all():
        label = period_label(rows.starts.min(), kind)
        raise DataError(
            f"{rows.file}: no row is left: the first period, {label}, is not complete or not asked for."
        )
    return rows.where(~(before | after))


def _file_read(
    role: str, rows: Rows, kept: Rows, first: np.datetime64 | None, last: np.datetime64 | None, kind: str
) -> FileRead:
    """The record of a file of rows: those `kept` of the window are used, the others are left out."""
    none = np.zeros(rows.starts.size, dtype=bool)
    before = none if first is None else rows.starts < first
    after = none if last is None else rows.starts > last
    read = kept.read or FileRead(role, rows.file, {}, {})
    bad = [
        row for out in read.left_out if out.bad for row in out.rows
    ]  # they may stand as rows without a number
    good = ~np.isin(rows.numbers, bad)
    left_out = _outside(rows.numbers, before & good, after & good, first, last, kind)
    n_known = len(rows.read.left_out) if rows.read else 0  # before it was known which rows lie in the window
    left_out = (*read.left_out[:n_known], *left_out, *read.left_out[n_known:])
    return replace(read, rows=np.unique(kept.numbers[~np.isin(kept.numbers, bad)]).size, left_out=left_out)


def _outside(
    numbers: NDArray[np.int64] | None,
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    first: np.datetime64 | None,
    last: np.datetime64 | None,
    kind: str,
    n: NDArray[np.int64] | None = None,
) -> Iterable[LeftOut]:
    """What lies outside the window: the numbers of its rows, or `n` rows each where these are not known."""
    ends = (
        (before, first, "before {edge}, the first period"),
        (after, last, "after {edge}, the last period"),
    )
    for out, edge, text in ends:
        if edge is not None and out.any():
            reason = message(text, edge=period_label(edge, kind))
            if numbers is None:
                yield LeftOut(reason, int((out if n is None else n[out]).sum()))
            else:
                rows = np.unique(numbers[out])
                yield LeftOut(reason, rows.size, tuple(rows[:ROWS_NAMED].tolist()))


def _check_cohorts(kept: Rows, stages: Sequence[str]) -> None:
    """Raise DataError for counts by cohort that cannot be such."""
    _check_falling(kept, stages)
    if not set(kept.measures) & set(stages[:-1]):
        text = (
            "{file}: counts by cohort say what became of the units of a stage, and {last} alone is counted; add "
            'the stage that a row begins with, or set history.counting = "calendar" if a row counts what happened '
            "in its period"
        )
        raise DataError(message(text, file=kept.file, last=stages[-1]))


def _check_falling(rows: Rows, stages: Sequence[str]) -> None:
    """In counts by cohort a later stage cannot hold more than an earlier one: they are the same leads."""
    problems: list[Text] = []
    there = [name for name in stages if name in rows.measures]
    for before, name in pairwise(there):
        whole, part = rows.measures[before], rows.measures[name]
        found = [
            (rows.numbers[i], message("{part:given} of {whole:given}", part=part[i], whole=whole[i]))
            for i in np.flatnonzero(part > whole)
        ]
        if found:
            rule = (
                f"more {name} than {before}, which cannot be in counts by cohort; correct them, or set "
                'history.counting = "calendar" if a row counts what happened in its period'
            )
            problems.append(cells_problem(rows.file, name, found, rule))
    if problems:
        raise DataError(problems)


# Leads


def _from_leads(study: Study, today: date | None, known: date | None) -> tuple[History, tuple[date, ...]]:
    spec, stages = study.history, study.funnel.stages
    file, own = str(spec.leads), stages[stages.index("leads") :]
    from forecast.history.lead_history import leads_history
    from forecast.history.leads import read_leads  # DuckDB, where there are leads
    from forecast.history.mapped import read_sources, sums_of
    from forecast.history.rules import check_columns, rule_checks

    before = stages[: len(stages) - len(own)]
    sources = read_sources(study, before, today=today) if spec.sources else None
    leads = read_leads(study, today=today, known=known)
    rows = sources.rows if sources else _read_activity(study, before, set(leads.groups["channel"]))
    if sources is not None:
        check_lone(sources.rows, spec.period)
    if spec.maps:
        check_columns(study, {file: leads.header, **(sources.headers if sources else {})})
    _check_lead_channels(study, file, leads, rows)
    reading = {"last_day": str(leads.last_day), **leads.reading}
    if today is not None and leads.last_day > np.datetime64(today, "D"):
        reading["after_today"] = str(leads.last_day)
    first, last = _lead_window(study, leads, rows, reading)
    _note_left_out(study, file, leads, first, last, reading)
    n_periods = len(period_range(first, last, spec.period))
    check_span(file, n_periods, int(leads.groups["channel"].nunique()), spec.period, ages=True)
    files = [_leads_read(leads, first, last, spec.period), *leads.files[1:]]
    for part in () if rows is None else sources.parts if sources else (rows,):
        inside = part.where((part.starts >= first) & (part.starts <= last))
        read = _file_read("activity", part, inside, first, last, spec.period)
        files.append(replace(read, sums=sums_of(inside, spec.period)) if sources else read)
    ruled = [each for each in (leads.ruled, *(sources.ruled if sources else ())) if each is not None]
    made = leads_history(
        leads.groups,
        None if rows is None else _activity(rows, first, last, spec.period),
        kind=spec.period,
        stages=stages,
        starts=period_range(first, last, spec.period),
        sources={},
        reading=reading,
        files=tuple(files),
        found=(*leads.found, *(() if rows is None else rows.found), *rule_checks(study, ruled)),
        courses=(leads.courses, leads.names),
    )
    return made, leads.days


def _leads_read(leads: Leads, first: np.datetime64, last: np.datetime64, kind: str) -> FileRead:
    """The record of a file of leads: those created in the window are used."""
    created, n = leads.groups["leads"].to_numpy().astype("datetime64[D]"), leads.groups["n"].to_numpy()
    before, after = created < first, created > last
    left_out = _outside(None, before, after, first, last, kind, n)
    used = int(n[~before & ~after].sum())
    return replace(leads.files[0], rows=used, left_out=(*leads.files[0].left_out, *left_out))


def _read_activity(study: Study, stages: tuple[str, ...], known: set[str]) -> Rows | None:
    """The activity beside leads of channels that are `known`."""
    spec = study.history
    if spec.activity is None:
        return None
    layout = Layout(
        "history.activity",
        "activity",
        spec.period,
        ("spend", *beside(spec)),
        stages,
        columns=spec.columns,
        spare=True,
        spec=spec,
        currency=study.currency,
    )
    rows = without_totals(read_rows(table_of(study, "activity", layout.ask)[0], layout), known=known)
    check_lone(rows, spec.period)
    if spec.blank is None:
        check_blanks(rows, stages)
    return whole_counts(rows, stages)


def _check_lead_channels(study: Study, file: str, leads: Leads, rows: Rows | None) -> None:
    """The names of channels agree between leads, activity and study; and one of the files has the column mapped."""
    mapped = study.history.columns.get("channel")
    read = [*leads.files, *([rows.read] if rows is not None and rows.read is not None else [])]
    if mapped is not None and folded(mapped) not in {folded(f.columns.get("channel", mapped)) for f in read}:
        text = '{files}: no column "{name}", which history.columns.channel names; the files have {there}.'
        there = list(dict.fromkeys(title for f in read for title in (*f.columns.values(), *f.unread)))
        raise DataError(message(text, files=" and ".join(f.file for f in read), name=mapped, there=there))
    names = set(leads.groups["channel"].unique())
    problems = channel_names(file, "channel", names) + no_totals(file, "channel", names)
    if rows is not None and not problems:
        names |= set(rows.channels)
        problems = channel_names(f"{file} and {rows.file}", "channel", names)
    if problems:
        raise DataError(problems)
    _check_channels(study, names)


def _lead_window(
    study: Study, leads: Leads, rows: Rows | None, reading: dict[str, str]
) -> tuple[np.datetime64, np.datetime64]:
    """First and last period of the history: as asked for, else all that is complete in leads and activity."""
    kind = study.history.period
    created = leads.groups["leads"].to_numpy().astype("datetime64[D]")
    first_seen = created.min() if rows is None else min(created.min(), rows.starts.min())
    last_seen = parse_period(str(leads.last_day), kind)
    _check_window(study, first_seen, last_seen)
    first, last = study.history.window()
    if last is None:
        ended = leads.last_day >= shift(last_seen, 1, kind) - np.timedelta64(1, "D")
        last = last_seen if ended else _period_before(last_seen, kind, reading)
        last = last if rows is None else min(last, rows.starts.max())
    return first_seen if first is None else max(first, first_seen), last


def _note_left_out(
    study: Study, file: str, leads: Leads, first: np.datetime64, last: np.datetime64, reading: dict[str, str]
) -> None:
    """How many leads lie outside the window and how many have no channel. Raises DataError if none is inside."""
    created, n = leads.groups["leads"].to_numpy().astype("datetime64[D]"), leads.groups["n"].to_numpy()
    inside = (created >= first) & (created <= last)
    if not inside.any():
        kind = study.history.period
        label = f"{period_label(first, kind)} to {period_label(last, kind)}"
        raise DataError(
            f"{file}: no lead was created in {label}; choose history.from and history.through anew."
        )
    for name, out in (("before", created < first), ("after", created > last)):
        if out.any():
            reading[name] = str(int(n[out].sum()))
    blank = (leads.groups["channel"] == BLANK).to_numpy()
    reading["blank_channel"] = f"{int(n[inside & blank].sum())} of {int(n[inside].sum())}"


def _activity(rows: Rows, first: np.datetime64, last: np.datetime64, kind: str) -> xr.Dataset:
    """The activity of the window as a table; it must reach the last period."""
    if rows.starts.max() < last:
        ends, asked = period_label(rows.starts.max(), kind), period_label(last, kind)
        raise DataError(
            f"{rows.file}: its rows end in {ends}, but the history goes to {asked}; add the rows after {ends}, "
            f'or set history.through = "{ends}".'
        )
    kept = _inside(rows, first, last, kind, {})
    check_pairs(kept, kind)
    return count_table(kept.starts, list(kept.channels), kept.measures, kind)


# Channels, plan, files


def _check_channels(study: Study, known: Iterable[str]) -> None:
    """Every channel that the study names must be in the data."""
    there = sorted(known)
    named = {f"channels.{name}": name for name in study.channels}
    for key in ("limits", "lots", "fees"):
        named |= {f"budget.{key}.{name}": name for name in getattr(study.budget, key)}
    for number, group in enumerate(study.budget.groups, start=1):
        named |= {f"budget.group.{number}.channels: {name}": name for name in group.channels}
    problems = [
        f"{study.place(key)}: {_no_channel(name, there)}" for key, name in named.items() if name not in there
    ]
    if problems:
        raise StudyError(problems)


def _no_channel(name: str, known: Sequence[str]) -> str:
    alike = next((theirs for theirs in known if folded(theirs) == folded(name)), None)
    if alike is not None:
        ours, theirs = told_apart([name, alike]) if name < alike else reversed(told_apart([name, alike]))
        return f'the data write the channel "{ours}" as "{theirs}"; write it so here too'
    there = [*known[:NAMED], f"and {len(known) - NAMED} more"] if len(known) > NAMED else known
    return f'the data have no channel "{name}"; they have {", ".join(there)}{nearest(name, known)}'


def _check_lift_tests(study: Study, history: History) -> None:
    """A lift test needs a channel with recorded spend, and its periods must lie in the history."""
    problems, paid, kind = [], history.spenders, history.period
    if study.lift_tests and not history.attributed:
        text = "a lift test is of a channel whose own counts are known; here sales are in total alone: take it out"
        raise StudyError(f"{study.place('lift_test.1.channel')}: {text}")
    known = f"{period_label(history.periods[0], kind)} to {period_label(history.last, kind)}"
    for number, test in enumerate(study.lift_tests, start=1):
        place, name = study.place(f"lift_test.{number}.channel"), test.channel
        if name not in history.channels:
            problems.append(f"{place}: {_no_channel(name, history.channels)}")
        elif name not in paid:
            remedy = (
                "so there is no response to calibrate; take the test out, or record the channel's past spend"
            )
            problems.append(f'{place}: "{name}" has no recorded spend, {remedy}')
        for key, start in zip(("from", "to"), test.window(kind), strict=True):
            if not history.periods[0] <= start <= history.last and (key == "from" or test.to is not None):
                text = f"expected a period of the history, {known}; came {period_label(start, kind)}"
                remedy = "take the test out, or let the history reach so far"
                problems.append(f"{study.place(f'lift_test.{number}.{key}')}: {text}; {remedy}")
    if problems:
        raise StudyError(problems)


def _check_known_rates(study: Study, history: History) -> None:
    """Rates of single channels need a stage that is fitted with a rate by channel. Raises StudyError."""
    problems = []
    for name, spec in study.channels.items():
        for stage in spec.rate:
            why = ""
            if not history.attributed:
                why = "is of sales in total alone, where no channel has a rate of its own"
            elif stage in history.by_day:
                why = (
                    "is of leads with days, which are fitted by how fast they move and not by one rate a channel; the "
                    "company's own range (funnel.rate) holds for them"
                )
            elif stage not in history.counted or history.enters_later(stage)[history.channels.index(name)]:
                why = "is of a channel of which the data count nothing that leads into it"
            if why:
                problems.append(f"{study.place(f'channels.{name}.rate.{stage}')}: {why}: take it out")
    if problems:
        raise StudyError(problems)


def read_plan(study: Study, history: History) -> xr.DataArray:
    """Planned spend over the horizon, dims (period, channel), currency a period.

    "current" repeats the mean spend of the last three periods (a blank counts as 0); "last year" is
    `History.spend_last_year`. Amounts in the study hold for
    every period; a CSV (period, channel, spend) gives each. Both must name every channel with recorded spend; a channel
    without any is planned with 0. attrs["read"]: how the file was read, None without one. Raises StudyError or
    DataError for channels unknown or missing.
    """
    first = shift(history.last, 1, history.period)
    starts = np.asarray(shift(first, np.arange(study.plan.periods), history.period))
    spend = study.plan.spend
    read: FileRead | None = None
    if spend == "current":
        cells = np.tile(history.current_spend, (starts.size, 1))
    elif spend == LAST_YEAR:
        if not history.tells_last_year:
            need = math.ceil(1.25 * PERIODS_PER_YEAR[history.period])
            text = (
                '{place}: "last year" needs {need} {kind}s of history, a year and the quarter before it; it has {n}; '
                'use "current", a CSV, or amounts'
            )
            told = {"need": need, "kind": history.period, "n": history.periods.size}
            raise StudyError([message(text, place=study.place("plan.spend"), **told)])
        cells = history.spend_last_year(starts.size)
    elif isinstance(spend, str):
        cells, read = _plan_from_file(study, history, spend, starts)
    else:
        cells = np.tile(_plan_from_study(study, history, spend), (starts.size, 1))
    coords = {"period": starts.astype("datetime64[ns]"), "channel": history.counts["channel"].values}
    attrs = {"units": "currency", "read": read}
    return xr.DataArray(cells, coords=coords, dims=("period", "channel"), name="spend", attrs=attrs)


def _plan_from_study(study: Study, history: History, spend: Mapping[str, float]) -> NDArray[np.float64]:
    paid, place = history.spenders, study.place("plan.spend")
    problems = [f"{place}: {text}" for text in _unplannable(spend, history.channels, paid).values()]
    if absent := [name for name in paid if name not in spend]:
        problems.append(
            f"{place}: no amount for {', '.join(absent)}; give each channel with spend an amount, 0 to stop it"
        )
    if problems:
        raise StudyError(problems)
    return np.array([spend.get(name, 0.0) for name in history.channels])


def _unplannable(spend: Mapping[str, float], known: Sequence[str], paid: Sequence[str]) -> dict[str, str]:
    """What is wrong with a plan for a channel, by channel: it is unknown, or its spend never was recorded."""
    unknown = [name for name in spend if name not in set(known)]
    payers = set(paid)
    unpaid = [name for name in known if spend.get(name, 0.0) > 0 and name not in payers]
    texts = {name: _no_channel(name, known) for name in unknown}
    remedy = "so what spend brings cannot be learnt; take it out, or record its past spend"
    return texts | {name: f'"{name}" has no recorded spend, {remedy}' for name in unpaid}


def _plan_from_file(
    study: Study, history: History, file: str, starts: Periods
) -> tuple[NDArray[np.float64], FileRead]:
    layout = Layout(
        "plan.spend",
        "plan",
        history.period,
        ("spend",),
        needed=("spend",),
        columns=study.history.columns,
        spare=True,
        spec=study.history,
        currency=study.currency,
    )
    rows = read_rows(read_grid(study.folder / file, file, layout.ask), layout)
    kind, known, paid = history.period, history.channels, history.spenders
    place = period_index(rows.starts, starts[0], kind)
    kept = without_totals(rows.where((place >= 0) & (place < starts.size)), known=known)
    horizon = f"{period_label(starts[0], kind)} to {period_label(starts[-1], kind)}"
    if kept.starts.size == 0:
        raise DataError(
            f"{file}: no row lies in the horizon, {horizon}; add its rows (period, channel, spend)."
        )
    if empty := [(n, None) for n in kept.numbers[np.isnan(kept.measures["spend"])]]:
        raise DataError(cells_problem(file, "spend", empty, "is empty; write the planned amount, 0 for none"))
    sums = {str(name): float(kept.measures["spend"][kept.channels == name].sum()) for name in kept.channels}
    problems: list[Text] = []
    for name, rule in _unplannable(sums, known, paid).items():
        where = rows_text((n, None) for n in kept.numbers[kept.channels == name])
        problems.append(message("{file}: column channel: {rows}: {rule}", file=file, rows=where, rule=rule))
    if problems:
        raise DataError(problems)
    check_pairs(kept, kind)
    cells = np.full((starts.size, len(known)), np.nan)
    at = {name: i for i, name in enumerate(known)}
    columns = np.array([at[str(name)] for name in kept.channels])
    cells[period_index(kept.starts, starts[0], kind), columns] = kept.measures["spend"]
    for name in paid:
        absent = [period_label(starts[i], kind) for i in np.flatnonzero(np.isnan(cells[:, at[name]]))]
        if absent:
            text = '{file}: channel "{channel}" has no row for {periods}; add them, 0 to stop it.'
            problems.append(message(text, file=file, channel=name, periods=absent))
    if problems:
        raise DataError(problems)
    return np.nan_to_num(cells), _file_read("plan", rows, kept, starts[0], starts[-1], kind)


def _hashes(study: Study, history: History) -> dict[str, str]:
    """The sha256 of each file by its name in the study; of a table on a server, that of the history it was read to."""
    spec, found = study.history, dict[str, str]()
    named = [(role, getattr(spec, role)) for role in ("counts", "leads", "deals", "changes", "activity")]
    named += [("source", source.file) for source in spec.sources]
    for role, name in named:
        if name is None:
            continue
        if on_server(study, role):
            found[name] = history.fingerprint()
            continue
        if spec.stored(role) and spec.database is not None:
            name = str(spec.database.file)  # noqa: PLW2901 - what stands for it
        paths = files_of(study.folder, name)
        for path, own in zip(paths, names_of(paths, study.folder, name), strict=True):
            with path.open("rb") as stream:
                found[own] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found
