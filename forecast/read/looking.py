"""Looking at a file of which nobody said what it is: its columns, what its rows stand for, and in which money.

What is known by its title is taken by the same names as everywhere (`forecast.read.titles`, and those of CRMs); what no
title tells is looked for in the cells: a column in which every row differs may be an id, one of dates that begins each
row's course the day of creation, one of few words the channel. Such a finding carries its evidence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from forecast.errors import DataError
from forecast.periods import parse_period, period_index, period_label
from forecast.read.ask import Ask, Wanted
from forecast.read.cells import Grid, day_text, name_text
from forecast.read.dates import DateForm, periods_across, read_when
from forecast.read.dates import form_of as date_form_of
from forecast.read.grids import CSV_SUFFIXES, check_file, find_columns, read_grid
from forecast.read.numbers import SIGNS, taken_apart
from forecast.read.titles import BUDGET, CODES, DATES, PERIODS, folded, means_total, place_of_key, title_key
from forecast.stopping import scratch
from forecast.study import CHANGES, PRESETS, TOOLS, ReadsSpec
from forecast.words import Message, Text, message

STAGES = ("visitors", "leads", "qualified", "won")
MEASURES = ("spend", *STAGES, "revenue")
COUNTED = ("period", "channel", *MEASURES)
# of leads and deals
DATED = (
    "lead_id",
    "channel",
    "created",
    "qualified",
    "won",
    "lost",
    "amount",
    "outcome",
    "closed",
    "currency",
)
TENURES, COHORTS = ("tenure", "churned"), ("cohort", "age", "customers")
SPOKEN = {"hubspot": "HubSpot"}
WHOLE, HEAD = 1 << 22, 1 << 21  # bytes up to which a text file is looked at whole; of a larger one, its first
LOOKED = 400  # cells of a column that are looked at for their kind
MOST_NAMES = 60  # of a column of channels
NAMED = (
    *("kanava", "channel", "source", "origin", "lähde", "medium", "media"),
    *("kanal", "quelle", "källa", "campaign", "kampanja", "segment"),
)
BEGUN = (
    *("created", "create", "luotu", "first", "contact", "skapad"),
    *("erstellt", "opened", "start", "received", "added", "booked"),
)
TAKEN = re.compile(r"\b(history(?:\.\w+)+) = (\"[^\"]*\"|true|\{[^{}]*\}|\[[^\[\]]*\])")
MONEY = ("spend", "revenue", "amount")


@dataclass(frozen=True)
class Guess:
    """A column that the cells tell of and not its title; `others`: titles of which each may be meant as well."""

    title: str
    why: Text
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Span:
    """The periods of a table: their kind and how it is seen, how many there are, the first, the last, gaps in days."""

    kind: str
    why: Text
    n: int
    first: str
    last: str
    daily: bool = False


@dataclass(frozen=True)
class Look:
    """What a file holds.

    role: "counts", "activity", "plan", "leads", "deals", "changes", "retention", or "" where nothing tells; a table
    that may be counts or spend alone is settled beside the other files. known: title by our name, of columns known by
    their title; guesses: of those that the cells tell of; unclear: our name, and the titles of which each may be meant.
    preset: the CRM whose export it is, tool: the advertising or analytics tool. channels: names with their rows.
    currencies: how often each is told, and where. budget: the title of a column of planned spend. above: texts above
    the table.
    settled: what had to be assumed to open it, by key of the study.
    """

    path: Path
    file: str
    grid: Grid
    whole: bool
    role: str
    why: Text
    known: dict[str, str]
    guesses: dict[str, Guess] = field(default_factory=dict)
    unclear: dict[str, tuple[str, ...]] = field(default_factory=dict)
    preset: str | None = None
    tool: str | None = None
    span: Span | None = None
    channels: dict[str, int] = field(default_factory=dict)
    currencies: dict[str, tuple[int, Text]] = field(default_factory=dict)
    budget: str | None = None
    above: tuple[str, ...] = ()
    settled: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """Title by our name, known or guessed."""
        found = {**{name: guess.title for name, guess in self.guesses.items()}, **self.known}
        return {name: found[name] for name in dict.fromkeys((*COUNTED, *DATED, *found)) if name in found}

    def cells(self, ours: str) -> list[Any]:
        """The cells of one of our columns; none where the file has no such column."""
        title = self.columns.get(ours)
        return [] if title is None else self.grid.column(place(self.grid, title))


def place(grid: Grid, title: str) -> int:
    """Where a column stands."""
    return next(at for at in range(len(grid.header)) if grid.title(at) == title)


def look_at(path: Path, file: str) -> Look:
    """Look at a file. Raises DataError where it cannot be opened as a table."""
    check_file(path, file, "--from")
    settled: dict[str, str] = {}
    while True:
        try:
            grid, whole = _opened(path, file, _reads(settled))
            break
        except DataError as error:  # what the refusal proposes is assumed, to see what else there is
            found = {key: value for key, value in proposed(error) if key.startswith("history.read.")}
            if not found or set(found) <= set(settled):
                raise
            settled |= found
    look = Look(path, file, grid, whole, "", "", {}, above=_above(path, grid), settled=settled)
    names = {title_key(title) for title in grid.header}
    for needed in (TENURES, COHORTS):
        if set(needed) <= names:
            why = message("columns {names}: customers and how long they stay", names=list(needed))
            return replace(look, role="retention", why=why, known={name: name for name in needed})
    if (log := _changes(look)) is not None:
        return log
    made, tool = _plain(look), as_tool(look)
    if tool is None:
        return made
    return replace(made, tool=tool.tool) if made.role else tool


def _plain(look: Look) -> Look:
    """What a table is by its columns, whoever wrote it."""
    grid = look.grid
    counted, unclear = _known(grid, COUNTED, "counts", "")
    guess = None if "period" in counted else _dates_of_rows(grid, counted)
    kind = _span(grid, counted if guess is None else {**counted, "period": guess.title}, look.file)
    numeric = [name for name in MEASURES if name in counted and _numeric(grid, counted[name])]
    budget = _budget(grid)
    if kind is not None and (numeric or budget):
        made = replace(look, guesses={"period": guess} if guess else {})
        return _table(made, counted, unclear, kind, numeric, budget)
    return _leads(look)


def _above(path: Path, grid: Grid) -> tuple[str, ...]:
    """Texts of the rows above the header: titles, units, who exported the table."""
    rows = [row for left in grid.left_out for row in left.rows if row < min(grid.numbers)]
    if not rows:
        return ()
    if path.suffix.lower() in CSV_SUFFIXES:
        with path.open("rb") as stream:
            lines = stream.read(HEAD).decode("utf-8", errors="replace").splitlines()
        return tuple(lines[row - 1].strip(' ;,\t"') for row in rows if row <= len(lines))
    import python_calamine

    workbook = python_calamine.CalamineWorkbook.from_path(str(path))
    sheets = [name for name in workbook.sheet_names if f'"{name}"' in str(grid.said.get("sheet", ""))]
    if not sheets:
        return ()
    cells = workbook.get_sheet_by_name(sheets[0]).to_python(skip_empty_area=False, nrows=max(rows))
    return tuple(
        str(cell).strip() for row in rows for cell in cells[row - 1] if isinstance(cell, str) and cell.strip()
    )


def _reads(settled: dict[str, str]) -> ReadsSpec:
    """The keys of reading that are assumed."""
    return ReadsSpec.model_validate(
        {key.rpartition(".")[2]: value.strip('"') for key, value in settled.items()}
    )


def proposed(error: DataError) -> list[tuple[str, str]]:
    """Keys of the study, each with a value in TOML, that the messages of a refusal name as the way out.

    >>> proposed(DataError('x.csv: ...; say it in the study: history.read.dates = "dmy" or "mdy"'))
    [('history.read.dates', '"dmy"')]
    """
    return [(key, value) for said in error.problems for key, value in TAKEN.findall(str(said))]


def _opened(path: Path, file: str, reads: ReadsSpec) -> tuple[Grid, bool]:
    """The cells, and whether they are all that the file has: of a large text file the head is looked at."""
    ask = _widest(reads)
    if path.suffix.lower() in CSV_SUFFIXES and path.stat().st_size > WHOLE:
        with scratch() as folder, path.open("rb") as stream:
            head, target = stream.read(HEAD), Path(folder) / path.name
            target.write_bytes(head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1] or head)
            return read_grid(target, file, ask), False
    grid = read_grid(path, file, ask)
    across = list(periods_across(grid.header).values())
    if not across:
        return grid, True
    kind = next(kind for kind in ("week", "quarter", "month") if kind == "month" or _labels(across, kind))
    for needed in ((), ("spend",)):
        names = COUNTED if not needed else ("period", "channel", "spend")
        wanted = [Wanted(name, (name,), name in ("period", "channel", *needed)) for name in names]
        try:
            return read_grid(
                path, file, Ask("--from", "plan" if needed else "counts", reads, wanted, kind)
            ), True
        except DataError as error:
            problem = error
    raise problem


def _widest(reads: ReadsSpec) -> Ask:
    """All names by which any column of ours is known, in any file and any CRM: so that the header is found."""
    crm = {
        name: tuple(title for preset in PRESETS.values() for title in preset.names(name)) for name in DATED
    }
    periods = tuple(
        " ".join(name.split()) for names in (*PERIODS.values(), DATES) for name in names.split(",")
    )
    wanted = [Wanted("period", ("period", *periods), required=False)]
    names = dict.fromkeys((*COUNTED[1:], *DATED, *TENURES, *COHORTS))
    wanted += [Wanted(name, (name, *crm.get(name, ())), required=False) for name in names]
    return Ask("--from", "plan", reads, wanted)


def _labels(titles: Sequence[str], kind: str) -> bool:
    mark = {"week": "W", "quarter": "Q"}[kind]
    return any(mark in when.label for title in titles if (when := read_when(title, DateForm("dmy"))))


def _known(
    grid: Grid, names: Sequence[str], role: str, kind: str, theirs: dict[str, tuple[str, ...]] | None = None
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Columns that are known by their titles, and those of which each of several may be meant."""
    unclear: dict[str, tuple[str, ...]] = {}
    kinds = (kind,) if kind else ("month", "week", "quarter")
    found: dict[str, int] = {}
    for each in kinds:
        again = True
        while again:
            wanted = [
                Wanted(name, (*(theirs or {}).get(name, ()), name), required=False)
                for name in names
                if name not in unclear
            ]
            again = False
            try:
                more = find_columns(grid.header, wanted, grid.file, role=role, kind=each)
            except DataError as error:
                for said in error.problems:
                    if isinstance(said, Message) and "ours" in said.values and "names" in said.values:
                        unclear[str(said.values["ours"])] = tuple(said.values["names"])
                        again = True
                if not again:
                    raise
                continue
            if len(more) > len(found):
                found = more
    return {name: grid.title(at) for name, at in found.items()}, unclear


# ---------------------------------------------------------------------------------------------------- rows by period


def _table(
    look: Look,
    known: dict[str, str],
    unclear: dict[str, tuple[str, ...]],
    span: Span,
    numeric: list[str],
    budget: str | None,
) -> Look:
    """A table with a row per period and channel: which of the study's files it may be."""
    grid = look.grid
    known = {name: title for name, title in known.items() if name in ("period", "channel") or name in numeric}
    guesses = dict(look.guesses)
    if "channel" not in known and "channel" not in unclear:
        guess = _named_channel(grid, {*known.values(), *(each.title for each in guesses.values())})
        if guess is not None:
            guesses["channel"] = guess
    stages = [name for name in STAGES if name in known]
    if not stages and budget is not None and "spend" not in known:
        known["spend"] = budget
        role, why = (
            "plan",
            message('a budget by period ("{title}") and nothing that was counted', title=budget),
        )
    elif not stages or stages == ["visitors"]:
        role, why = (
            "activity",
            message("a row a {kind} with {names}, and no wins", kind=span.kind, names=numeric),
        )
    else:
        role, why = "counts", message("a row a {kind} with counts of {names}", kind=span.kind, names=stages)
    title = known.get("channel") or (guesses["channel"].title if guesses else None)
    channels = (
        Counter(name_text(cell) for cell in grid.column(place(grid, title)) if cell is not None)
        if title
        else {}
    )
    made = replace(
        look, role=role, why=why, known=known, guesses=guesses, unclear=unclear, span=span, budget=budget
    )
    made = replace(made, channels=dict(channels))
    return replace(made, currencies=_currencies(made))


def as_tool(look: Look) -> Look | None:
    """A table that has the columns of an export of a tool, and a period in its rows; None for any other."""
    grid = look.grid
    header = {title_key(title): " ".join(title.split()) for title in grid.header if title.strip()}
    for name, tool in TOOLS.items():
        found = {ours: _first(header, titles) for ours, titles in tool.columns.items()}
        at = next((at for key in tool.keys if (at := place_of_key(key, grid.header)) is not None), None)
        counted, _ = _known(grid, ("period",), "counts", "")
        if at is None or "period" not in counted or "" in (found.get("spend"), found["visitors"]):
            continue
        known = {"period": counted["period"], "channel": grid.title(at)}
        known |= {ours: title for ours, title in found.items() if title}
        rest = replace(grid, rows=[row for row in grid.rows if not any(map(_is_total, row))])
        span = _span(rest, known, look.file)
        if span is None:
            continue
        titles = [known[ours] for ours in ("channel", "spend", "visitors") if ours in known]
        why = message("an export of {tool}, with {titles}", tool=tool.spoken, titles=titles)
        names = Counter(name_text(cell) for cell in rest.column(at) if cell is not None)
        made = replace(
            look, role="activity", why=why, known=known, tool=name, span=span, channels=dict(names)
        )
        return replace(made, currencies=_currencies(made))
    return None


def _first(header: Mapping[str, str], titles: Sequence[str]) -> str:
    return next((header[key] for title in titles if (key := title_key(title)) in header), "")


def _is_total(cell: object) -> bool:
    return isinstance(cell, str) and means_total(cell) and len(cell) < 60


def _changes(look: Look) -> Look | None:
    """A log of the statuses of leads: the id of a lead, what it came to, and when; None for any other."""
    header = {title_key(title): " ".join(title.split()) for title in look.grid.header if title.strip()}
    known = {ours: title for ours, titles in CHANGES.items() if (title := _first(header, titles))}
    if not {"lead_id", "changed", "status", "status_before"} <= set(known):
        return None
    why = message(
        "a row a change, with {titles}",
        titles=[known[name] for name in ("status_before", "status", "changed")],
    )
    return replace(look, role="changes", why=why, known=known)


def _dates_of_rows(grid: Grid, known: dict[str, str]) -> Guess | None:
    """The one column of dates beside a channel and counts, where no title says that it is the period."""
    if "channel" not in known or not any(name in known for name in STAGES):
        return None
    dates = []
    for at in range(len(grid.header)):
        cells = [day_text(cell, grid.shift) for cell in grid.column(at)[:LOOKED] if cell is not None]
        if (
            grid.title(at)
            and cells
            and all(not cell.isdigit() and _label(cell, DateForm("dmy")) for cell in cells)
        ):
            dates.append(grid.title(at))
    if len(dates) != 1:
        return None
    return Guess(dates[0], message('"{title}" names a period in every row', title=dates[0]))


def _named_channel(grid: Grid, taken: set[str]) -> Guess | None:
    """The column of words that may name channels, by a word in its title, or because there is no other."""
    texts: dict[str, Counter[str]] = {}
    for at in range(len(grid.header)):
        title, cells = grid.title(at), [cell for cell in grid.column(at) if cell is not None]
        if title and title not in taken and cells and all(isinstance(cell, str) for cell in cells[:LOOKED]):
            names = Counter(str(cell) for cell in cells)
            words = not any(_is_number(name) or read_when(name, DateForm("dmy")) for name in list(names)[:20])
            if words and len(names) <= min(MOST_NAMES, max(2, len(cells) // 2)):
                texts[title] = names
    told = [title for word in NAMED for title in texts if word in title_key(title)]
    order = list(dict.fromkeys([*told, *texts]))
    if not order:
        return None
    names = texts[order[0]]
    shown = [name for name, _ in names.most_common(3)]
    why = message(
        '"{title}" holds {n:whole} names, such as {shown}', title=order[0], n=len(names), shown=shown
    )
    return Guess(order[0], why, () if told else tuple(order[1:4]))


def _budget(grid: Grid) -> str | None:
    names = {title_key(name) for name in BUDGET.split(",")}
    titles = [grid.title(at) for at in range(len(grid.header))]
    return next((title for title in titles if title_key(title) in names and _numeric(grid, title)), None)


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) or (isinstance(cell, str) and taken_apart(cell) is not None)


def _numeric(grid: Grid, title: str) -> bool:
    """Whether the cells of a column are numbers, most of them."""
    cells = [cell for cell in grid.column(place(grid, title)) if cell is not None][:LOOKED]
    return bool(cells) and sum(map(_is_number, cells)) > 0.5 * len(cells)


def _span(grid: Grid, known: dict[str, str], file: str) -> Span | None:
    """The kind of the periods in a table, by how they are written or how far apart they are."""
    title = known.get("period")
    if title is None:
        return None
    cells = grid.column(place(grid, title))
    texts = list(dict.fromkeys(day_text(cell, grid.shift) for cell in cells if cell is not None))
    form, sure = _order(texts, file)
    labels = [label for text in texts if (label := _label(text, form))]
    if not labels or len(labels) < 0.5 * len(texts):
        return None
    kind, why, daily = _kind(labels)
    starts = sorted(parse_period(label, kind) for label in labels if _fits(label, kind))
    if not starts:
        return None
    n = int(period_index(starts[-1], starts[0], kind)) + 1
    return Span(kind, why, n, period_label(starts[0], kind), period_label(starts[-1], kind), daily and sure)


def _order(texts: Sequence[str], file: str) -> tuple[DateForm, bool]:
    """How day, month and year follow each other, and whether it is sure; day first where nothing tells."""
    for kind in ("month", "week", "quarter"):
        try:
            form = date_form_of({"": enumerate(texts)}, Ask("--from", "counts"), file, kind=kind)
        except DataError:
            continue
        return form, True
    return DateForm("dmy"), False


def _label(text: str, form: DateForm) -> str:
    when = read_when(text, form) or read_when(text, DateForm("dmy"))
    return "" if when is None else when.label


def _fits(label: str, kind: str) -> bool:
    try:
        parse_period(label, kind)
    except ValueError:
        return False
    return True


def _kind(labels: Sequence[str]) -> tuple[str, Text, bool]:
    """The kind of the periods, how it is seen, and whether each day has rows of its own."""
    for mark, kind in (("W", "week"), ("Q", "quarter")):
        if sum(mark in label for label in labels) > 0.5 * len(labels):
            return kind, message('written as {kind}s, such as "{label}"', kind=kind, label=labels[0]), False
    days = sorted(
        {date.fromisoformat(label) for label in labels if re.fullmatch(r"\d{4}-\d{2}-\d{2}", label)}
    )
    if len(days) < 2 or len(days) < 0.5 * len(labels):
        return "month", message('written as months, such as "{label}"', label=labels[0]), False
    gaps = [(after - before).days for before, after in pairwise(days)]
    if all(gap % 7 == 0 for gap in gaps) and min(gaps) == 7:
        return "week", "dates seven days apart", False
    if min(gaps) >= 85:
        return "quarter", "dates a quarter apart", False
    return "month", "dates a month apart" if min(gaps) >= 28 else "rows of single days", min(gaps) < 28


# -------------------------------------------------------------------------------------------------- rows of one lead


def _leads(look: Look) -> Look:
    """A table with a row for each lead or deal; without a role where it is neither."""
    grid = look.grid
    preset, theirs = _preset(grid)
    known, unclear = _known(grid, DATED, "leads", "month", theirs)
    dates = ("won", "lost", "qualified", "closed")  # "Won" may hold yes and no
    known = {name: title for name, title in known.items() if name not in dates or _dated(grid, title)}
    guesses = {} if preset else _guesses(grid, known, unclear)
    columns = {**{name: guess.title for name, guess in guesses.items()}, **known}
    ended = "won" in columns or ("closed" in columns and "outcome" in columns)
    made = replace(look, known=known, guesses=guesses, unclear=unclear, preset=preset)
    made = replace(made, currencies=_currencies(made))
    if "created" in columns and "lead_id" in columns:
        why: Text = "a row a lead, with an id and the dates of what became of it"
        if preset:
            n = len([title for title in columns.values() if title in theirs_all(theirs)])
            why = message(
                "{n} columns have the names of an export of {crm}",
                n=n,
                crm=SPOKEN.get(preset, preset.capitalize()),
            )
        cells = made.cells("channel")
        channels = Counter(name_text(cell) for cell in cells if cell is not None)
        return replace(made, role="leads", why=why, channels=dict(channels))
    if ended and "lead_id" in columns:
        return as_deals(made)
    return made


def as_deals(look: Look) -> Look:
    """A table of leads as the file of deals beside another: how they ended and what they brought, by the id."""
    ours = ("lead_id", "qualified", "won", "lost", "amount", "outcome", "closed", "currency")
    known = {name: title for name, title in look.known.items() if name in ours}
    guesses = {name: guess for name, guess in look.guesses.items() if name in ours}
    unclear = {name: titles for name, titles in look.unclear.items() if name in ours}
    why = "the days on which deals were won, by the id of their lead"
    return replace(look, role="deals", why=why, known=known, guesses=guesses, unclear=unclear, channels={})


def as_activity(look: Look) -> Look:
    """A table by period and channel as the activity beside leads: spend and visitors."""
    known = {
        name: title
        for name, title in look.known.items()
        if name in ("period", "channel", "spend", "visitors")
    }
    own = ("channel", "spend", "visitors")
    unclear = {name: titles for name, titles in look.unclear.items() if name in own}
    names = [name for name in own[1:] if name in known or name in unclear]
    why = message("a row a {kind} with {names}", kind=look.span.kind if look.span else "month", names=names)
    return replace(look, role="activity", why=why, known=known, unclear=unclear)


def theirs_all(theirs: dict[str, tuple[str, ...]]) -> set[str]:
    """All titles that a CRM is known by, as they stand in the file."""
    return {title for titles in theirs.values() for title in titles}


def _preset(grid: Grid) -> tuple[str | None, dict[str, tuple[str, ...]]]:
    """The CRM whose names the header has, four or more and a way to tell how deals ended; and these names."""
    header = {folded(title): " ".join(title.split()) for title in grid.header}
    best: tuple[int, str | None, dict[str, tuple[str, ...]]] = (3, None, {})
    for crm, preset in PRESETS.items():
        theirs = {
            name: tuple(header[folded(t)] for t in preset.names(name) if folded(t) in header)
            for name in DATED
        }
        theirs = {name: titles for name, titles in theirs.items() if titles}
        ends = "won" in theirs or {"closed", "outcome"} <= set(theirs)
        if "created" in theirs and ends and len(theirs) > best[0]:
            best = (len(theirs), crm, theirs)
    return best[1], best[2]


def _dated(grid: Grid, title: str) -> bool:
    """Whether a column holds days, as far as it is filled."""
    cells = [cell for cell in grid.column(place(grid, title)) if cell is not None][:LOOKED]
    found = [cell for cell in cells if isinstance(cell, date) or (isinstance(cell, str) and _is_day(cell))]
    return bool(cells) and len(found) > 0.8 * len(cells)


def _is_day(text: str) -> bool:
    when = read_when(text, DateForm("dmy"), months=False) or read_when(text, DateForm("mdy"), months=False)
    return (
        when is not None and re.fullmatch(r"\d{4}-\d{2}-\d{2}", when.label) is not None and not text.isdigit()
    )


def _guesses(grid: Grid, known: dict[str, str], unclear: Iterable[str]) -> dict[str, Guess]:
    """What the cells tell of an id, the day of creation and the channel, where no title does."""
    guesses: dict[str, Guess] = {}
    taken = set(known.values())
    titles = [
        grid.title(at) for at in range(len(grid.header)) if grid.title(at) and grid.title(at) not in taken
    ]
    asked = [name for name in ("lead_id", "created", "channel") if name not in known and name not in unclear]
    if "lead_id" in asked:
        own = [title for title in titles if _differs(grid, title)]
        ids = [
            title
            for title in own
            if re.search(r"(\b|_)(id|nro|no|number|tunnus|key|uuid)$", title.casefold())
        ]
        if ids:
            why = message('"{title}" differs in every row', title=ids[0])
            guesses["lead_id"] = Guess(ids[0], why, tuple(ids[1:4]))
    dates = [title for title in titles if _dated(grid, title) and None not in grid.column(place(grid, title))]
    if "created" in asked and dates:
        told = [title for word in BEGUN for title in dates if word in title_key(title).split()]
        if told or (len(dates) == 1 and "won" not in known):
            title = (told or dates)[0]
            guesses["created"] = Guess(title, message('"{title}" is a date in every row', title=title))
    if "channel" in asked:
        guess = _named_channel(grid, taken | {guess.title for guess in guesses.values()})
        if guess is not None and (not guess.others):
            guesses["channel"] = guess
    return guesses


def _differs(grid: Grid, title: str) -> bool:
    cells = grid.column(place(grid, title))
    return None not in cells and len(set(cells)) == len(cells)


# -------------------------------------------------------------------------------------------------------------- money

_CODE = re.compile(rf"(?<![A-Za-z])({'|'.join(CODES)})(?![A-Za-z])|([€$£¥₹])")


def _currencies(look: Look) -> dict[str, tuple[int, Text]]:
    """Currencies that titles, signs beside amounts or a column of them tell: how often, and where."""
    found: dict[str, tuple[int, Text]] = {}
    for name in MONEY:
        title = look.columns.get(name)
        if title is None:
            continue
        for code, sign in _CODE.findall(title):
            found.setdefault(code or SIGNS[sign], (1, message('the title "{title}"', title=title)))
        cells = [cell for cell in look.cells(name) if isinstance(cell, str)]
        told = Counter(
            parts.currency for cell in cells if (parts := taken_apart(cell)) is not None and parts.currency
        )
        for code, n in told.most_common():
            if code in CODES:
                found.setdefault(code, (n, message('the signs in column "{title}"', title=title)))
    for text in look.above:
        for code, sign in _CODE.findall(text):
            found.setdefault(
                code or SIGNS[sign], (1, message('the line "{text}" above the table', text=text))
            )
    column = look.columns.get("currency")
    if column is not None:
        codes = Counter(str(cell).strip().upper() for cell in look.cells("currency") if cell is not None)
        for code, n in codes.most_common():
            found.setdefault(code, (n, message('column "{title}"', title=column)))
    return found
