"""Tables with a row per period and channel, as counts, activity and spend plans are: read, checked, with their places.

What is wrong is reported with file, row, column and remedy, all rows of a kind together. Nothing is repaired.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from forecast.bounds import MOST_CHANNELS, MOST_GRID, MOST_NAME, MOST_TRIANGLE
from forecast.checks import PASS, REVIEW, Check
from forecast.errors import DataError, StudyError
from forecast.history.currencies import in_one_currency
from forecast.history.grand_totals import apart, without_sums
from forecast.history.history import BESIDE, MONEY
from forecast.history.snapshots import chosen_files, copied, days_kept, known_grid
from forecast.history.unattributed import across, in_rows, own_cells, title_of
from forecast.periods import Periods, start_of
from forecast.read import (
    BLANK,
    Ask,
    FileRead,
    Grid,
    LeftOut,
    NumberForm,
    PeriodColumn,
    Wanted,
    cells_problem,
    date_form,
    file_read,
    find_columns,
    folded,
    held_grid,
    means_total,
    name_text,
    number_form,
    read_grids,
    rows_text,
    to_numbers,
    to_periods,
)
from forecast.study import SPEND_WORDS, HistorySpec, ReadsSpec, Study, files_of, nearest
from forecast.words import Message, Text, blank, clean, message

LEAVE_OUT = 'history.bad_rows = "leave out"'
ROWS_NAMED = 10_000  # row numbers of a reason that are kept; the others are counted
SUGGESTED = 0.5  # of the rows: where more are bad, it is the file that is not understood
REFUNDED = (
    "They count as refunds of earlier deals: the forecast is net of such a share, the value of a deal is before it. "
    "Better a column refunds: what was taken off a row that is still above 0 lowers the value of a deal instead."
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Rows:
    """The rows of a table of (period, channel): row number, period start, channel, and the measures it has.

    read: how the file was read, and what was done to its rows; found: the same for the audit. segments: of each row,
    where the table has a column of them. totals: names whose rows were the sum of others, and are left out.
    in_currency: column, cells or titles tell the currency of its money. days: of which there are copies of the table.
    """

    file: str
    numbers: NDArray[np.int64]
    starts: Periods
    channels: NDArray[np.object_]
    measures: dict[str, NDArray[np.float64]]
    read: FileRead | None = None
    segments: NDArray[np.object_] | None = None
    found: tuple[Check, ...] = ()
    totals: tuple[str, ...] = ()
    in_currency: bool = False
    days: tuple[date, ...] = ()

    def where(self, keep: NDArray[np.bool_]) -> Rows:
        """The rows that `keep` marks."""
        measures = {name: values[keep] for name, values in self.measures.items()}
        segments = None if self.segments is None else self.segments[keep]
        kept = (self.numbers[keep], self.starts[keep], self.channels[keep])
        return replace(
            self, numbers=kept[0], starts=kept[1], channels=kept[2], measures=measures, segments=segments
        )

    def told(self, name: str, status: str, said: Text, advice: Text = "") -> Rows:
        """The same rows with a check of the audit, whose words are a note of the file too."""
        read = None if self.read is None else replace(self.read, notes=(*self.read.notes, said))
        return replace(self, read=read, found=(*self.found, Check(name, status, said, advice)))


@dataclass(frozen=True)
class Layout:
    """What a table should hold.

    `key` is the study's key that names the file, `role` which of its files it is; `needed` are measures that must be
    there; `columns` maps our names to those in the file; `spare`: the table stands beside leads, and no stage need be
    in it. `spec`: what the study says of how files are read, of blanks, shares, refunds, exchange and bad rows;
    `currency`: the study's, where money may be in several; `deal`: the value of a deal that the study assumes;
    `media`: columns of spend by channel, where sales are counted in total alone. Of one file of several: `theirs` are
    further titles by our name, `place` the table of the study that maps its columns, `own` that of its keys of reading,
    `reads` these keys with those of all files.
    """

    key: str
    role: str
    kind: str
    money: tuple[str, ...]
    stages: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    spare: bool = False
    spec: HistorySpec = field(default_factory=HistorySpec.model_construct)
    currency: str = ""
    deal: float | None = None
    media: Mapping[str, str] = field(default_factory=dict)
    theirs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    place: str = "history.columns"
    own: str = ""
    reads: ReadsSpec | None = None

    @property
    def leave_out(self) -> bool:
        """Whether rows with a cell that cannot be read are left out; never of a table in which none may be absent."""
        return self.spec.bad_rows == "leave out" and not self.needed

    @property
    def ask(self) -> Ask:
        """What is asked of the file."""
        required = {"period", "channel", *self.needed}
        names = ("period", "channel", *self.money, *self.stages, *(["currency"] if self.currency else []))
        wanted = [_wanted(name, self, name in required) for name in names]
        if self.media:
            at = names.index("spend")
            wanted[at] = Wanted("spend", (title_of(self.media),), mapped=True)
        return Ask(self.key, self.role, self.reads or self.spec.read, wanted, self.kind, self.own)


def _laid_out(grid: Grid, ask: Ask, layout: Layout) -> Grid:
    """A table with a row for each period and channel, as it came or of columns of spend by channel."""
    if layout.media:
        return in_rows(grid, layout.media, "history.spend_columns")
    if layout.role == "counts" and (problem := across(grid, ask)) is not None:
        raise DataError([problem])
    return grid


def table_of(study: Study, role: str, ask: Ask, known: date | None = None) -> tuple[Grid, tuple[date, ...]]:
    """The cells of a table of the history: of a file, of several as one, or of the database.

    Where it has copies of earlier days, of the one of the day `known` (None: the newest), and all their days.
    """
    spec, name = study.history, str(getattr(study.history, role))
    if spec.stored(role):
        grid, days = held_grid(study, role), tuple[date, ...]()
    else:
        paths = files_of(study.folder, name)
        grid = read_grids(chosen_files(study, role, paths, known), name, study.folder, ask)
        days = days_kept(paths) if copied(study, role, "name") else ()
        grid = replace(grid, said={**grid.said, "snapshot": str(known or days[-1])}) if days else grid
    return known_grid(grid, study, ask, known) if copied(study, role, "column") else (grid, days)


def read_rows(grid: Grid, layout: Layout, days: tuple[date, ...] = ()) -> Rows:
    """The rows of a table with a row per period and channel; `days`: of its copies.

    Raises DataError with every column that is missing, or else every cell that is not what its column holds.
    """
    ask, file = layout.ask, grid.file
    grid = _laid_out(grid, ask, layout)
    found = find_columns(grid.header, ask.wanted, file, role=layout.role, kind=layout.kind, row=grid.line)
    sums = apart(grid, found)
    form = number_form(
        grid, [at for name, at in found.items() if name in (*layout.money, *layout.stages)], ask
    )
    added, grid = _measured(sums.grid, found, layout, form), sums.rest
    dates = date_form(grid, [found["period"]], ask, kind=layout.kind)
    measured = _measured(grid, found, layout, form)
    values, problems, bad = measured.values, measured.problems, measured.bad
    periods = to_periods(grid, found["period"], layout.kind, dates, ask)
    starts, bad["period"] = periods.starts, periods.bad
    problems += ([] if layout.leave_out else periods.problems) + _weeks(
        grid, found["period"], periods, layout
    )
    channels, bad["channel"], wrong = _read_channels(grid, found["channel"], layout)
    problems += wrong + added.problems
    leave_out = None if layout.leave_out else "" if layout.needed else LEAVE_OUT
    titles = {name: grid.title(at) for name, at in found.items()}
    grid, wrong = without_sums(sums, measured.values, added.values, titles, layout.money, leave_out)
    problems += wrong
    notes, other, wrong = in_one_currency(
        grid, found, values, measured.named, layout.currency, layout.spec.exchange, mapped=not layout.needed
    )
    problems += wrong
    filled = _filled(values, channels, layout)
    other += _as_deals(values, measured.broken, layout)
    problems += _missing_stages(grid, found, values, measured.broken, layout)
    if problems:
        raise DataError(problems + _way_out(grid, bad, layout))
    places = [found[name] for name in values if name in found]
    said = _said(grid, places, measured.form, dates.said() if dates.order else "")
    read = file_read(grid, ask, found, said, notes)
    told = "currency" in found or any(names.astype(bool).any() for names in measured.named.values())
    rows = Rows(file, np.array(grid.numbers), starts, channels, values, read, in_currency=told, days=days)
    if any(bad.values()):
        rows = _without_bad(rows, bad, titles)
    for check in other:
        rows = rows.told(str(check.name), check.status, check.value, check.advice)
    if filled:
        text = 'blank cells are read as 0, as history.blank = "zero" says: {filled:list}'
        rows = rows.told("Blanks read as zero", PASS, message(text, filled=filled))
    below = rows.measures.get("revenue", np.zeros(0)) < 0
    if below.any():
        rows = rows.told("Negative money", REVIEW, *_negative(rows, below))
    return rows


@dataclass
class _Measured:
    """Columns of numbers as they were read, by measure.

    values: NaN where nothing is. named: the currency of each cell of money, where it is told. bad: rows with a
    cell that cannot be read. broken: measures with something wrong. form: how the numbers are written.
    """

    form: NumberForm
    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    named: dict[str, NDArray[np.object_]] = field(default_factory=dict)
    bad: dict[str, frozenset[int]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    problems: list[Text] = field(default_factory=list)


def _measured(grid: Grid, found: Mapping[str, int], layout: Layout, form: NumberForm) -> _Measured:
    read = _Measured(form)
    for name in (name for name in (*layout.money, *layout.stages) if name in found):
        at = found[name]
        numbers = to_numbers(grid, at, grid.title(at), whole=False, form=read.form, signed=True)
        read.values[name], read.bad[name] = numbers.values, numbers.bad
        wrong = [] if layout.leave_out and numbers.bad else numbers.problems
        wrong = wrong + _cell_rules(grid, at, numbers.values, name, layout)
        read.problems += wrong
        if name in layout.money:
            read.named[name] = numbers.currencies
        if wrong:
            read.broken.add(name)
    return read


def _way_out(grid: Grid, bad: Mapping[str, frozenset[int]], layout: Layout) -> list[Text]:
    """That rows with unreadable cells may be left out, where they are some of many."""
    n = len(frozenset().union(*bad.values()))
    offered = not layout.needed and 0 < n <= SUGGESTED * len(grid.rows)
    return [f"{grid.file}: or leave such rows out, counted and listed: {LEAVE_OUT}."] if offered else []


def _without_bad(rows: Rows, bad: Mapping[str, frozenset[int]], titles: Mapping[str, str]) -> Rows:
    """The rows without what stands in rows with an unreadable cell; without the row where it is the period or channel.

    Another row stays as one of which nothing is known, so that it leaves no gap.
    """
    left_out: list[LeftOut] = []
    told: set[int] = set()
    for name, numbers in bad.items():
        if new := tuple(sorted(numbers - told)):
            reason = message("{title}: cannot be read", title=titles[name])
            left_out.append(LeftOut(reason, len(new), new, bad=True))
            told |= numbers
    out = np.isin(rows.numbers, sorted(told))
    measures = {name: np.where(out, np.nan, values) for name, values in rows.measures.items()}
    read = rows.read and replace(rows.read, rows=int((~out).sum()), left_out=(*rows.read.left_out, *left_out))
    return replace(rows, measures=measures, read=read).where(~np.isnat(rows.starts) & (rows.channels != ""))


def _said(grid: Grid, positions: Iterable[int], form: NumberForm, dates: Text) -> dict[str, Text]:
    """What is said of numbers and dates, where they are not as programs write them."""
    texts = any(isinstance(cell, str) for at in positions for cell in grid.column(at))
    return ({"numbers": form.said()} if texts and not form.plain else {}) | (
        {"dates": dates} if dates else {}
    )


def _cell_rules(
    grid: Grid, position: int, values: NDArray[np.float64], name: str, layout: Layout
) -> list[Text]:
    """What is wrong with numbers that are such: shares of things that are counted, and numbers below 0."""
    title, cells = grid.title(position), grid.column(position)
    problems: list[Text] = []

    def told(where: NDArray[np.bool_], rule: Text) -> None:
        found = [(grid.numbers[i], cells[i]) for i in np.flatnonzero(where)]
        problems.append(cells_problem(grid.file, title, found, rule))

    below = values < 0
    if below.any() and not (name == "revenue" and layout.spec.net_revenue):
        rules: dict[str, Text] = {
            "spend": "expected 0 or more; book a refund of spend into the period it belongs to",
            "refunds": "expected 0 or more; write what was paid back as an amount above 0",
            "recurring": "expected 0 or more; what was paid back belongs in the column refunds",
            "revenue": message(
                "expected 0 or more; came {sum:given} in all; where refunds and credit notes are meant to be in it, "
                "set history.net_revenue = true",
                sum=float(values[below].sum()),
            ),
        }
        rule = "expected 0 or more; correct it, or leave the cell empty where the value is not known"
        told(below, rules.get(name, rule))
    shared = np.isfinite(values) & (values != np.round(values)) & ~below
    if name in layout.stages and shared.any() and layout.spec.fractions == "refuse":
        rule = f"expected whole numbers, because {title} are counted; correct them, or set "
        told(shared, rule + 'history.fractions = "round" where conversions were shared out')
    return problems


def _filled(
    values: dict[str, NDArray[np.float64]], channels: NDArray[np.object_], layout: Layout
) -> list[Text]:
    """Write 0 for blanks where the study says that they mean it; how many, by column.

    Of media beside sales in total, what a table does not tell is blank in any case: see `own_cells`.
    """
    said: list[Text] = []
    zero = layout.spec.blank == "zero" and not layout.needed
    for name, cells in values.items():
        own = own_cells(channels, name) if layout.media else np.ones(cells.size, dtype=bool)
        values[name] = np.where(own, np.nan_to_num(cells) if zero else cells, np.nan)
        if zero and (n := int((np.isnan(cells) & own).sum())):
            said.append(message("{name}: {n} of {all} cells", name=name, n=n, all=int(own.sum())))
    return said


def _only_money(values: Mapping[str, NDArray[np.float64]], broken: set[str], layout: Layout) -> bool:
    """Whether revenue is recorded and no stage is."""
    there = {name for name, cells in values.items() if name in broken or np.isfinite(cells).any()}
    return bool(layout.stages) and not layout.spare and "revenue" in there and not there & set(layout.stages)


def _as_deals(values: dict[str, NDArray[np.float64]], broken: set[str], layout: Layout) -> list[Check]:
    """Count revenue as deals of the value that the study assumes, where nothing else is counted, and say so.

    A law of counts needs a size of its unit: with a deal of v, revenue of mean m scatters by sqrt(m v) at least. Taken
    one by one, units of currency would have next to no chance of their own, and a small channel's scatter, all of which
    is chance, would pass for that of every channel.
    """
    if layout.deal is None or not _only_money(values, broken, layout):
        return []
    last = layout.stages[-1]
    values[last] = np.maximum(np.round(values["revenue"] / layout.deal), 0.0)
    text = "no stage is counted, so revenue is taken for deals of {deal:exact} each (funnel.value): {n:whole} {stage}"
    said = message(text, deal=layout.deal, n=float(np.nansum(values[last])), stage=last)
    advice = (
        "How many are sold is not known, so read revenue and not the wins; the value sets how far chance scatters a "
        "small channel. Count the wins beside the revenue to have both."
    )
    return [Check("Wins from revenue", REVIEW, said, advice)]


def _negative(rows: Rows, below: NDArray[np.bool_]) -> tuple[Text, Text]:
    """What is said of revenue below 0, and what to know of it."""
    values = rows.measures["revenue"]
    text = "revenue: {rows}; {sum:whole} in all, of {all:whole} (history.net_revenue = true)"
    where = rows_text((int(n), None) for n in rows.numbers[below])
    told = {"rows": where, "sum": float(values[below].sum()), "all": float(np.nansum(values))}
    return message(text, **told), REFUNDED


def _wanted(name: str, layout: Layout, required: bool) -> Wanted:
    if name not in layout.columns:
        return Wanted(name, (*layout.theirs.get(name, ()), name), required, place=layout.place)
    theirs = layout.columns[name]
    if (
        layout.spare and layout.place == "history.columns"
    ):  # the study's mapping is for the leads; the activity beside them may use our names too
        return Wanted(name, (theirs, name), required, spare=True)
    return Wanted(name, (theirs,), required=True, mapped=True, place=layout.place)


def _weeks(grid: Grid, position: int, read: PeriodColumn, layout: Layout) -> list[Text]:
    """Count weeks that start on another day than Monday as the ISO week with most of their days: that of the fourth.

    Starts are changed where the study names that day; without it, dates that are all of one such day are refused.
    """
    if layout.kind != "week":
        return []
    starts, days = read.starts, read.days
    dated = ~np.isnat(days)
    weekday = (days.astype(np.int64) + 3) % 7  # 0: Monday
    given, found = layout.ask.spec.week_starts, np.unique(weekday[dated])
    if not found.size or given == "monday":
        return []
    place, title = layout.ask.place("week_starts"), grid.title(position)
    if given is None:
        if found.size > 1 or found[0] == 0 or np.unique(days[dated]).size < 2:
            return []
        text = (
            "{file}: column {title}: every date is a {day}, and weeks are counted from Monday; set {place} = "
        )
        text += '"{key}" where that is the first day of each week, or {place} = "monday" where each lies in its week.'
        day = WEEKDAYS[found[0]]
        told = {"file": grid.file, "title": title, "day": day.capitalize(), "place": place, "key": day}
        return [message(text, **told)]
    other = np.flatnonzero(dated & (weekday != WEEKDAYS.index(given)))
    if other.size:
        wrong = [(grid.numbers[i], str(days[i])) for i in other]
        rule = f'expected a {given.capitalize()}, as {place} = "{given}" says'
        return [cells_problem(grid.file, title, wrong, rule)]
    starts[dated] = start_of(days[dated] + np.timedelta64(3, "D"), "week")
    return []


def _read_channels(
    grid: Grid, position: int, layout: Layout
) -> tuple[NDArray[np.object_], frozenset[int], list[Text]]:
    """Names of channels ("": none), the rows without one, and what is wrong with them."""
    title = grid.title(position)
    cells = ["" if cell is None else name_text(cell) for cell in grid.column(position)]
    empty = [(n, None) for n, cell in zip(grid.numbers, cells, strict=True) if not cell]
    problems: list[Text] = []
    if empty and not layout.leave_out:
        rule = 'is empty; name the channel of each row ("unknown" where it is not known)'
        problems.append(cells_problem(grid.file, title, empty, rule))
    problems += channel_names(grid.file, title, [cell for cell in cells if cell])
    return np.array(cells, dtype=object), frozenset(number for number, _ in empty), problems


def channel_names(file: str, title: str, channels: Iterable[str]) -> list[Text]:
    """Problems with the names themselves: too many, too long, one of which nothing is seen, two spellings of one."""
    different = set(channels)
    if len(different) > MOST_CHANNELS:
        said = (
            "{file}: column {title}: {n:whole} different names, of at most {most:whole} channels; name the column that "
            "holds the channels (history.columns.channel), or join small ones into one"
        )
        return [message(said, file=file, title=title, n=len(different), most=MOST_CHANNELS)]
    if long := [name for name in different if len(name) > MOST_NAME]:
        said = "{file}: column {title}: a name has {n:whole} characters, of at most {most:whole}; shorten it"
        return [message(said, file=file, title=title, n=max(map(len, long)), most=MOST_NAME)]
    spellings: dict[str, set[str]] = {}
    unseen = set()
    for name in different:
        if blank(name):
            unseen.add(name)
        else:
            spellings.setdefault(folded(clean(name)), set()).add(name)
    nothing = (
        "{file}: column {title}: nothing is seen of a channel's name ({name}); give it one that can be read."
    )
    text = "{file}: column {title}: one channel has several spellings ({names}); use one."
    return [
        *(message(nothing, file=file, title=title, name=_escaped(name)) for name in sorted(unseen)),
        *(
            message(text, file=file, title=title, names=told_apart(names))
            for _, names in sorted(spellings.items())
            if len(names) > 1
        ),
    ]


def check_span(file: str, n_periods: int, n_channels: int, kind: str, *, ages: bool = False) -> None:
    """Raise DataError where periods times channels (times ages, of dated leads) are more than a history may hold."""
    cells, most = n_periods * n_channels * (n_periods if ages else 1), MOST_TRIANGLE if ages else MOST_GRID
    if cells > most:
        said = (
            "{file}: {periods:whole} {kind}s of {channels:whole} channels are more than is held in memory "
            "(at most {most:whole} cells); begin later (history.from), or join small channels into one."
        )
        told = {"periods": n_periods, "channels": n_channels, "kind": kind, "most": most}
        raise DataError(message(said, file=file, **told))


def told_apart(names: Iterable[str]) -> list[str]:
    r"""Names as they are where they look different, else with the signs that differ written out.

    >>> told_apart(["seo", "seo\u200b"])
    ['seo', 'seo\\u200b']
    """
    listed = sorted(names)
    return (
        listed
        if len({_looks(name) for name in listed}) == len(listed)
        else [_escaped(name) for name in listed]
    )


def _looks(name: str) -> str:
    """A name as it is seen."""
    return "".join(
        " " if unicodedata.category(sign) == "Zs" else sign
        for sign in unicodedata.normalize("NFC", name)
        if unicodedata.category(sign) != "Cf"
    )


def _escaped(name: str) -> str:
    """A name with signs that nobody sees, and marks that join a letter, as their code points."""
    hidden = ("Cc", "Cf", "Me", "Mn", "Zs")
    return "".join(
        ascii(sign)[1:-1] if sign != " " and (unicodedata.category(sign) in hidden or blank(sign)) else sign
        for sign in name
    )


def no_totals(file: str, title: str, names: Iterable[str]) -> list[Text]:
    """Problems with names of channels that mean a total, where rows cannot be sums."""
    text = '{file}: column {title}: a channel is called "{name}"; take out what adds up others, or rename the channel.'
    return [
        message(text, file=file, title=title, name=name) for name in sorted(set(names)) if means_total(name)
    ]


def _missing_stages(
    grid: Grid,
    found: Mapping[str, int],
    values: Mapping[str, NDArray[np.float64]],
    broken: set[str],
    layout: Layout,
) -> list[Text]:
    """The first stages may be missing (the funnel starts later); one after a recorded stage may not.

    broken: columns of which something else is said.
    """
    stages, spare = layout.stages, layout.spare
    if spare and not (values or broken):
        return [_nothing_in(grid, layout)]
    if not stages:
        return []
    recorded = [
        name in broken or (name in values and bool(np.isfinite(values[name]).any())) for name in stages
    ]
    if spare and not any(recorded):
        return []
    start = recorded.index(True) if any(recorded) else len(stages) - 1
    titles = [cell.strip() for cell in grid.header]
    problems: list[Text] = []
    if _only_money(values, broken, layout):
        text = (
            "{file}: revenue is there and no stage of the funnel; add the column {stage} (how many were sold, 0 where "
            "none was), map it by history.columns.{stage}, or give what one sale usually brings (funnel.value), and "
            "revenue is forecast as sales of that size; the file has {titles}."
        )
        return [message(text, file=grid.file, stage=stages[-1], titles=titles)]
    for name, there in zip(stages[start:], recorded[start:], strict=True):
        if not there:
            text = (
                "column {stage}: is empty in all rows" if name in found else 'row {row}: no column "{stage}"'
            )
            guess = "" if name in found else nearest(name, titles)
            remedy = "add it, map it by history.columns.{stage}, or take {stage} out of funnel.stages"
            if name == stages[-1]:  # the chain must end with it
                remedy = "add it or map it by history.columns.{stage}: how many were won, 0 where none was"
            told = {"file": grid.file, "stage": name, "titles": titles, "guess": guess or "."} | {
                "row": grid.line
            }
            problems.append(message(f"{{file}}: {text}; the file has {{titles}}; {remedy}{{guess}}", **told))
    return problems


def _nothing_in(grid: Grid, layout: Layout) -> Message:
    """The message for a table beside leads that holds none of what it may be read for."""
    text = (
        "{file}: row {row}: no column of {names}; the file has {there}; name one in the study: {place} = "
        '{{ {first} = "its name in the file" }}, or take the file out.'
    )
    names = (*(name for name in layout.money if name not in BESIDE), *layout.stages)
    told = {"file": grid.file, "row": grid.line, "names": names, "first": names[0], "place": layout.place}
    return message(text, there=[title for at in range(len(grid.header)) if (title := grid.title(at))], **told)


# --------------------------------------------------------------------------------------------- the counts of a study


def counts_layout(study: Study) -> Layout:
    """What the table of counts of a study should hold."""
    spec, stages = study.history, study.funnel.stages
    return Layout(
        "history.counts", "counts", spec.period, (*MONEY, *beside(spec)), stages, columns=spec.columns, spec=spec,
        currency=study.currency, deal=study.funnel.value, media=spec.spend_columns,
    )  # fmt: skip


def beside(spec: HistorySpec) -> tuple[str, ...]:
    """The columns of money beside deals that are read: refunds only where revenue is to be net of them."""
    return BESIDE if spec.net_revenue else BESIDE[1:]


def net_of_refunds(rows: Rows) -> Rows:
    """The rows with revenue below 0 among the refunds, and no revenue of its own."""
    revenue = rows.measures.get("revenue", np.zeros(0))
    if not (revenue < 0).any():
        return rows
    back = rows.measures.get("refunds", np.full(revenue.shape, np.nan))
    back = np.where(revenue < 0, np.nan_to_num(back) - revenue, back)
    back = np.where(np.isnan(back) & np.isfinite(revenue), 0.0, back)
    return replace(rows, measures={**rows.measures, "revenue": np.maximum(revenue, 0.0), "refunds": back})


def read_counts(study: Study, known: date | None = None) -> Rows:
    """The table of counts that a study names, as it is: with a column of segments a row for each.

    `known`: the copy of that day, where there are such.
    """
    file, layout = str(study.history.counts), counts_layout(study)
    grid, days = table_of(study, "counts", layout.ask, known)
    rows = read_rows(grid, layout, days)
    planned = (
        isinstance(study.plan.spend, str) and study.plan.spend not in SPEND_WORDS
    )  # whose money it may be
    if study.history.exchange and not rows.in_currency and not planned:
        text = (
            '{place}: {file} has no column of currencies; name it: history.columns = {{ currency = "its name in the '
            'file" }}, or remove the key'
        )
        raise StudyError(message(text, place=study.place("history.exchange"), file=file))
    if study.segments is None:
        return rows
    read = rows.read and rows.read.taking("segment", study.segments.column)
    return replace(rows, segments=segment_names(study, rows.numbers, known), read=read)


def segment_names(study: Study, numbers: NDArray[np.int64], known: date | None = None) -> NDArray[np.object_]:
    """The segment of each of these rows of the counts, a blank as such.

    Raises StudyError where there is no such column.
    """
    wanted = "" if study.segments is None else study.segments.column
    file = str(study.history.counts)
    grid, _ = table_of(study, "counts", counts_layout(study).ask, known)
    titles = [str(title).strip() for title in grid.header]
    if wanted not in titles:
        raise StudyError(
            f'{study.place("segments.column")}: {file} has no column "{wanted}"; it has {", ".join(titles)}'
            f"{nearest(wanted, titles)}"
        )
    cells = grid.column(titles.index(wanted))
    names = np.array([BLANK if cell is None else name_text(cell) for cell in cells], dtype=object)
    return names[np.isin(grid.numbers, numbers)]
