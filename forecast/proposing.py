"""A study from files alone: what each file is taken for and why, as a commented TOML file, and what is left to ask.

The files are looked at (`forecast.read.look_at`), given their roles beside each other, and read as any study reads
them. What the reading refuses because the files do not say it, the study must say: each way out that the refusal names
becomes a question, asked where someone can answer and a commented key where not. Nothing is decided that `forecast
check` would ask for.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from forecast.amounts import parse_share
from forecast.checking import Done, check
from forecast.checks import FAIL, REVIEW
from forecast.errors import DataError, ForecastError, StudyError, UsageError
from forecast.history import History, audit_history, read_history, read_plan
from forecast.periods import parse_period, period_index, period_label, shift
from forecast.read import BLANK, Look, as_activity, as_deals, as_tool, folded, joined_keys, look_at, proposed
from forecast.stopping import unfinished
from forecast.study import KINDS, PRESETS, Draft, Key, Study, kind_named, named, place_of, quoted
from forecast.words import Message, Text, clean, message, typed
from forecast.written import place

MONEY = ("spend", "revenue")
BLANKS = ("...", "its name")  # what a message leaves for people to fill in
LINE = 110  # signs of a line of the study
ROUNDS = 8  # refusals that are looked into, one after the other
PERIODS = {"month": 3, "week": 13, "quarter": 2}
MOST_PLANNED = 24


@dataclass(frozen=True)
class Question:
    """Something that the files leave open. `key`: of the study; `choices`: values in TOML with what each says.

    Without choices a number or a text is asked for: `share` of 1, or a name.
    """

    key: str
    text: Text
    choices: tuple[tuple[str, Text], ...] = ()
    default: str = ""
    share: bool = False

    def read(self, written: str) -> str:
        """What a person typed where there is nothing to choose from, in TOML. Raises ValueError where it cannot be."""
        if self.share:
            value = parse_share(written)
            if not value:
                raise ValueError("expected a share above 0")
            return repr(value)
        if not re.fullmatch(r"\S{1,8}", written.strip()):
            raise ValueError(f'expected a short name such as EUR; came "{written}"')
        return quoted(written.strip())


Answer = Callable[[Question], str | None]  # gives the value in TOML; None: left open


@dataclass(frozen=True, eq=False)
class Proposed:
    """What was written, and what is to be said of it.

    doubts: questions that stay open in the study. done: what `check` makes of it; problem: what it says instead, where
    the data are refused. unused: files that are not understood, with the reason.
    """

    study: Path
    looks: Sequence[Look]
    doubts: Sequence[Question]
    notes: Sequence[Text]
    unused: Sequence[tuple[str, Text]]
    currency: str
    history: History | None
    done: Done | None
    problem: Text = ""
    command: str = "forecast run"

    def told(self) -> dict[str, Any]:
        """All of it as plain text."""
        files = [
            {"file": look.file, "role": look.role, "facts": _facts(look, self.history)} for look in self.looks
        ]
        looked = [typed(note) for note in self.notes]
        audit = self.done.summary["audit"] if self.done else []
        open_ = "\n".join(typed(each.text) for each in self.doubts)
        looked += [
            f"{row['status']} {row['check']}: {row['evidence']}"
            for row in audit
            if row["status"] in (REVIEW, FAIL)
        ]
        return {
            "study": str(self.study),
            "files": files,
            "unused": [{"file": file, "why": typed(why)} for file, why in self.unused],
            "found": _totals(self.history, self.currency) if self.history is not None else {},
            "open": [
                {
                    "key": each.key,
                    "text": typed(each.text).replace("\n", " "),
                    "ways": [way for way, _ in each.choices],
                }
                for each in self.doubts
            ],
            "problems": [line for line in typed(self.problem).split("\n") if line and line not in open_],
            "look": [typed(each) for each in looked],
            "status": self.done.summary["status"] if self.done else None,
            "next": self.command,
        }


def _facts(look: Look, history: History | None) -> dict[str, str]:
    """What was seen of a file: head and words."""
    rows = message("{n:whole}" if look.whole else "the first {n:whole} were looked at", n=len(look.grid.rows))
    read = next((each for each in history.files if each.file == look.file), None) if history else None
    facts: dict[str, Text] = {"because": look.why, "rows": rows}
    if look.span:
        told = {"n": look.span.n, "kind": look.span.kind, "first": look.span.first, "last": look.span.last}
        facts["periods"] = message("{n} {kind}s, {first} to {last} ({why})", why=look.span.why, **told)
    said = [
        message("{name} {value}", name=name, value=value)
        for name, value in (read.dialect if read else look.grid.said).items()
    ]
    if said:
        facts["written"] = message("{said:list}", said=said)
    found = read.columns if read else look.columns
    order = [name for name in look.columns if name in found]
    columns = [
        ours if ours == theirs else message("{ours} <- {theirs:clean}", ours=ours, theirs=theirs)
        for ours, theirs in ((name, found[name]) for name in dict.fromkeys((*order, *found)))
    ]
    facts["columns"] = message("{columns:list.40}", columns=columns)
    used = {folded(title) for title in found.values()}
    if read is None and look.preset:  # not read yet: what the preset knows may be needed
        used |= {folded(title) for title in PRESETS[look.preset].titles}
    titles = [look.grid.title(at) for at in range(len(look.grid.header))]
    unread = [title for title in titles if title and folded(title) not in used]
    if unread:
        facts["not read"] = message("{titles:list.12}", titles=unread)
    if look.channels:
        facts["channels"] = message("{names:list.8}", names=list(look.channels))
    return {head: clean(typed(said)) for head, said in facts.items()}


def _totals(history: History, currency: str) -> dict[str, str]:
    """The totals to lay beside the books."""
    ends = {
        "first": history.labels[0],
        "last": history.labels[-1],
        "n": len(history.labels),
        "kind": history.period,
    }
    said: dict[str, Text] = {"periods": message("{first} to {last} ({n} {kind}s)", **ends)}
    for name in (*history.stages, *MONEY):
        if name in history.counts:
            total = float(np.nansum(history.total(name)))
            said[name] = message("{x:whole}~{unit}" if name in MONEY else "{x:whole}", x=total, unit=currency)
    return {head: typed(text) for head, text in said.items()}


# ----------------------------------------------------------------------------------------------------------- the job


def propose(
    files: Sequence[Path], folder: Path = Path(), *, today: date | None = None, ask: Answer | None = None
) -> Proposed:
    """Look at files, write a study about them into a folder, and check it; `ask` answers what they leave open.

    Raises UsageError, with nothing written, where the study is there already or the folder cannot be written, and
    DataError where no file is one that a study can start from.
    """
    looks, unused = _looks(files, folder)
    main = next((look for look in looks if look.role in ("counts", "leads")), None)
    if main is None:
        raise DataError(_no_start(looks, unused))
    name = re.sub(r"[^\w .\-]+", "-", main.path.stem, flags=re.UNICODE).strip(" .-") or "study"
    path = folder / f"{name}.toml"
    if path.exists():
        raise UsageError(
            f"{path} exists already; nothing was written: choose another folder, or move it away"
        )
    draft = _Asking(folder, path, [Key("", "name", quoted(name))])
    with _made(folder, path):
        _money(draft, looks, ask)
        _history(draft, main, looks, ask)
        _rest(draft, main, looks, ask)
        history = _settle(draft, looks, today, ask)
        history = _plan(draft, looks, history, today, ask)
        _channels(draft, main, history)
        _write(draft, looks)
    return _checked(draft, looks, unused, history, today)


def _looks(files: Sequence[Path], folder: Path) -> tuple[list[Look], list[tuple[str, Text]]]:
    """What each file is, with its role beside the others, the main one first."""
    looks: list[Look] = []
    unused: list[tuple[str, Text]] = []
    problems: list[Text] = []
    for path in dict.fromkeys(files):
        try:
            look = look_at(path, _relative(path, folder))
        except DataError as error:
            problems += error.problems
            continue
        if look.role:
            looks.append(look)
        else:
            unused.append((look.file, _not_understood(look)))
    if problems:
        raise DataError(problems)
    return _beside(looks, unused), unused


def _relative(path: Path, folder: Path) -> str:
    """The name of a file as a study in the folder has it."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def _beside(looks: list[Look], unused: list[tuple[str, Text]]) -> list[Look]:
    """Roles that depend on the other files: spend beside leads is activity, of two tables of leads one holds deals."""
    leads = next((look for look in looks if look.role == "leads"), None)
    counts = next((look for look in looks if look.role == "counts"), None) if leads is None else None
    main = leads or counts
    taken: dict[str, Look] = {}
    several = leads is not None and _to_join(leads, looks)
    sources: list[Look] = []
    for seen in looks:
        look, role, why = seen, seen.role, seen.why
        if look is main:
            taken[role] = look
            continue
        if several and role in ("counts", "activity"):
            sources.append((as_tool(look) if look.tool else None) or as_activity(look))
            continue
        look = replace(look, tool=None)
        if role in ("counts", "activity") and leads is not None:
            role, look = "activity", as_activity(look)
            why = look.why
        elif role == "activity" and counts is not None:
            role, why = "plan", message("spend by period beside counts that have their own: what is planned")
        elif role == "leads" and leads is not None:
            role, look = "deals", as_deals(look)
            why = look.why
        alone = (role == "activity" and main is None) or (role in ("deals", "changes") and leads is None)
        if role in taken or alone:
            text = message(
                "looks like {role} ({why}), and there is no place for it beside the others",
                role=role,
                why=why,
            )
            unused.append((look.file, text))
        else:
            taken[role] = replace(look, role=role, why=why)
    if leads is not None and "deals" in taken:
        _joined(taken)
    order = ("leads", "counts", "deals", "changes", "activity", "plan", "retention")
    listed = [taken[role] for role in order if role in taken]
    return [*listed[:1], *sources, *listed[1:]]


def _to_join(leads: Look, looks: Sequence[Look]) -> bool:
    """Whether rules must join files to the leads: exports of tools, several, or with names that no lead has."""
    tools = [look for look in looks if look.tool]
    several = sum(look.role in ("counts", "activity") for look in looks) > 1
    known = set(map(folded, leads.channels))
    return bool(tools) and (several or any(set(map(folded, look.channels)) - known for look in tools))


def _joined(taken: dict[str, Look]) -> None:
    """The id that leads and deals share, where several columns could be one."""
    leads, deals = taken["leads"], taken["deals"]
    theirs = {deals.grid.title(at) for at in range(len(deals.grid.header))}
    guess = leads.guesses.get("lead_id")
    if guess is not None and guess.title not in theirs:
        shared = next((title for title in guess.others if title in theirs), None)
        if shared is not None:
            why = message(
                '"{title}" differs in every row, and {file} has it too', title=shared, file=deals.file
            )
            taken["leads"] = replace(
                leads, guesses={**leads.guesses, "lead_id": replace(guess, title=shared, why=why)}
            )
    elif guess is not None:
        why = message(
            '"{title}" differs in every row, and {file} has it too', title=guess.title, file=deals.file
        )
        taken["leads"] = replace(leads, guesses={**leads.guesses, "lead_id": replace(guess, why=why)})


def _not_understood(look: Look) -> Text:
    titles = [look.grid.title(at) for at in range(len(look.grid.header)) if look.grid.title(at)]
    said = (
        "is neither counts (a period, a channel, stages down to won) nor leads (an id, the day of creation), nor "
        "spend, a plan or customers; its columns are {titles:list.12}"
    )
    return message(said, titles=titles)


def _no_start(looks: Sequence[Look], unused: Sequence[tuple[str, Text]]) -> list[Text]:
    said = (
        "a study starts from counts (period, channel, stages down to won) or from leads (a row each, with an id and "
        "the day of creation): name such a file too."
    )
    told = [
        *unused,
        *((look.file, message("is {role}: {why}", role=look.role, why=look.why)) for look in looks),
    ]
    return [*(message("{file}: {why}.", file=file, why=why) for file, why in told), said]


# ---------------------------------------------------------------------------------------------------- what is written


@dataclass
class _Asking(Draft):
    """The study as it grows, with what stays open and what is to be said."""

    doubts: list[Question] = field(default_factory=list)
    notes: list[Text] = field(default_factory=list)

    def sources(self) -> list[str]:
        """The files of [[history.source]], in their order."""
        named = [
            key.value for key in self.keys if key.table.startswith("history.source#") and key.name == "file"
        ]
        return [str(tomllib.loads(f"x = {value}")["x"]) for value in named]


def _money(draft: _Asking, looks: Sequence[Look], ask: Answer | None) -> None:
    """The currency: of signs, titles or a column of it; else it is asked for."""
    found: dict[str, tuple[int, Text]] = {}
    for look in looks:
        for code, told in look.currencies.items():
            found.setdefault(code, told)
    if found:
        code = max(found, key=lambda code: found[code][0])
        draft.keys.append(Key("", "currency", quoted(code), message("by {why}", why=found[code][1])))
        return
    question = Question(
        "currency", "In which currency are the amounts? No title and no sign tells.", default="EUR"
    )
    _asked(draft, question, ask, Key("", "currency", '"EUR"'))


def _asked(draft: _Asking, question: Question, ask: Answer | None, key: Key) -> str | None:
    """Ask, where someone answers; what stays open is a commented key and a doubt."""
    value = ask(question) if ask is not None else None
    if value is None:
        draft.doubts.append(question)
    why = question.text if value is None else "as you said"
    draft.keys.append(replace(key, value=value or key.value, why=why, active=value is not None))
    return value


def _history(draft: _Asking, main: Look, looks: Sequence[Look], ask: Answer | None) -> None:
    by_role = {look.role: look for look in looks}
    joined = any(look.tool for look in looks)
    for role in ("counts", "leads", "deals", *(() if joined else ("activity",))):
        if role in by_role:
            draft.keys.append(Key("history", role, quoted(by_role[role].file), by_role[role].why))
    if main.preset:
        draft.keys.append(Key("history", "preset", quoted(main.preset), "the names of its columns are known"))
    span = main.span or next((look.span for look in looks if look.role == "activity"), None)
    kind = span.kind if span else "month"
    if span and kind != "month":
        draft.keys.append(Key("history", "period", quoted(kind), span.why))
    if main.span and main.span.daily:
        draft.notes.append(message("{file}: rows of single days are to be added up by month", file=main.file))
    for look in [look for look in looks if look.role in ("leads", "counts")]:
        _columns(draft, look, ask)
    if main.role == "leads":
        beside = [look for look in looks if look.role == "activity"]
        keys, notes = joined_keys(main, beside, by_role.get("changes"))
        draft.keys += keys
        draft.notes += notes
    if "activity" in by_role and not joined:
        # the names of its own columns; that of the channel is the leads' where they need one
        look = by_role["activity"]
        taken = {*main.guesses, *main.unclear}
        guesses = {name: guess for name, guess in look.guesses.items() if name not in taken}
        unclear = {name: titles for name, titles in look.unclear.items() if name not in taken}
        _columns(draft, replace(look, guesses=guesses, unclear=unclear), ask)
    if main.budget and "spend" not in main.known and main.role == "counts":
        text = message(
            'Column "{title}" of {file} is a budget, and a budget is a plan: was it spent as it stands there?',
            title=main.budget, file=main.file,
        )  # fmt: skip
        choices = ((quoted(main.budget), "yes, it is what was spent"),)
        key = Key("history.columns", "spend", quoted(main.budget))
        _asked(draft, Question("history.columns.spend", text, choices), ask, key)


def _columns(draft: _Asking, look: Look, ask: Answer | None) -> None:
    """Columns that no title tells of: those that the cells tell, and those of which several may be meant."""
    for name, guess in look.guesses.items():
        if not guess.others or name == "lead_id":
            draft.keys.append(Key("history.columns", name, quoted(guess.title), guess.why))
            continue
        titles = (guess.title, *guess.others)
        _which(draft, look, name, titles, ask)
    for name, titles in look.unclear.items():
        _which(draft, look, name, titles, ask)


def _which(draft: _Asking, look: Look, name: str, titles: Sequence[str], ask: Answer | None) -> None:
    said = message(
        "Which column of {file} is {ours}: {titles}?", file=look.file, ours=name, titles=list(titles)
    )
    choices = tuple((quoted(title), "") for title in titles)
    key = Key("history.columns", name, quoted(titles[0]))
    if _asked(draft, Question(f"history.columns.{name}", said, choices), ask, key) is None:
        draft.assumed[f"history.columns.{name}"] = quoted(titles[0])


def _rest(draft: _Asking, main: Look, looks: Sequence[Look], ask: Answer | None) -> None:
    """Stages, market, margin, target: what the columns tell, and what only people know."""
    by_role = {look.role: look for look in looks}
    stages = _stages(by_role, looks)
    draft.keys.append(
        Key("funnel", "stages", f"[{', '.join(map(quoted, stages))}]", "the columns that are there")
    )
    text = "Who buys? Published rates come in for what the data do not tell yet."
    choices = (('"b2b"', "companies"), ('"b2c"', "people"), ('"none"', "no published rates"))
    value = ask(Question("funnel.market", text, choices)) if ask is not None else None
    why = '"b2b" or "b2c": published rates come in where the data tell little'
    draft.keys.append(Key("funnel", "market", value or '"b2b"', why, active=value not in (None, '"none"')))
    if main.role == "counts":
        usual = {"qualified": "14 days", "won": "45 days"}
        for stage in [stage for stage in stages[1:] if stage in usual]:
            why = "typical time from the stage before, as it is assumed; counts tell little of it"
            draft.keys.append(Key("funnel", f"delay.{stage}", quoted(usual[stage]), why, active=False))
    priced = "revenue" in main.columns or any("amount" in look.columns for look in looks)
    if not priced:
        text = "No column of money from deals: give what a deal is worth, for revenue to be forecast."
        draft.keys.append(Key("funnel", "value", "5000", text, active=False))
        draft.notes.append("no revenue and no amounts: wins are forecast, money is not (funnel.value)")
    margin = (
        ask(Question("economics.gross_margin", "Gross margin on revenue, such as 60%?", share=True))
        if ask
        else None
    )
    why = "of revenue, after what a sale itself costs; 1 is assumed where it is not given"
    draft.keys.append(Key("economics", "gross_margin", margin or "0.6", why, active=margin is not None))
    if "retention" in by_role:
        look = by_role["retention"]
        draft.keys.append(Key("economics", "retention_table", quoted(look.file), look.why))


def _stages(by_role: dict[str, Look], looks: Sequence[Look]) -> list[str]:
    """The stages that are recorded: leads and won always, the others where a column holds them."""
    order = ("visitors", "leads", "qualified", "won")
    if "counts" in by_role:
        return [stage for stage in order if stage in by_role["counts"].columns or stage == "won"]
    files = [by_role[role] for role in ("leads", "deals") if role in by_role]
    there = {"leads", "won"}
    if any(any(cell is not None for cell in look.cells("qualified")) for look in files):
        there.add("qualified")
    activity = [look for look in looks if look.role == "activity"]
    if any("visitors" in {*look.columns, *look.unclear} for look in activity):
        there.add("visitors")
    return [stage for stage in order if stage in there]


def _plan(
    draft: _Asking, looks: Sequence[Look], history: History | None, today: date | None, ask: Answer | None
) -> History | None:
    """The horizon, and a file of planned spend; gives the history, which may end where the plan begins."""
    look = next((look for look in looks if look.role == "plan" and look.span), None)
    main = next((look.span for look in looks if look.span and look.role in ("counts", "activity")), None)
    kind = history.period if history else main.kind if main else "month"
    keys = [Key("plan", "periods", str(PERIODS[kind]), message("{kind}s ahead", kind=kind))]
    if look is not None and look.span is not None and look.span.kind == kind:
        history, fits = _ends_before(draft, history, look, today, ask)
        last = history.last if history else parse_period(main.last, kind) if main else None
        ahead = 0 if last is None else int(period_index(parse_period(look.span.last, kind), last, kind))
        why: Text = message("{why}, to {last}", why=look.why, last=look.span.last)
        if ahead < 1:
            why = message(
                "{file} ends with {last}, before the horizon begins", file=look.file, last=look.span.last
            )
            draft.notes.append(why)
        else:
            keys[0].value = str(min(ahead, MOST_PLANNED))
        keys.append(Key("plan", "spend", quoted(look.file), why, active=fits and ahead >= 1))
    keys.append(Key("plan", "target", "{ revenue = 100_000 }", "what the horizon should reach", active=False))
    draft.keys += keys
    if history is not None and not any(key.name == "through" for key in draft.keys):
        why = "the last period that is read: say so to read the same data tomorrow"
        draft.keys.append(Key("history", "through", quoted(history.labels[-1]), why, active=False))
    return history


def _ends_before(
    draft: _Asking, history: History | None, plan: Look, today: date | None, ask: Answer | None
) -> tuple[History | None, bool]:
    """The history, and whether the plan goes on from its end; a last period that may be over by now is asked for."""
    if history is None or plan.span is None or today is None:
        return history, True
    kind, first = history.period, parse_period(plan.span.first, history.period)
    if first != shift(history.last, 2, kind) or first > parse_period(today.isoformat(), kind):
        return history, first <= shift(history.last, 1, kind)
    last = period_label(shift(first, -1, kind), kind)
    text = message(
        "{file} begins with {first}, and the last date of the history lies in {last}: was the history exported after "
        "{last} had ended?",
        file=plan.file, first=plan.span.first, last=last,
    )  # fmt: skip
    question = Question("history.through", text, ((quoted(last), "yes, it is complete"),))
    if _asked(draft, question, ask, Key("history", "through", quoted(last))) is None:
        return history, False
    return read_history(draft.study(), today=today), True


def _channels(draft: _Asking, main: Look, history: History | None) -> None:
    """Kinds of channels by their names; what no name tells is a comment."""
    names = history.channels if history is not None else list(main.channels)
    unknown: list[str] = []
    for name in names:
        if name == BLANK:
            continue
        kind = kind_named(name)
        if kind is None:
            unknown.append(name)
        else:
            draft.keys.append(Key("channels", named(name), f"{{ kind = {quoted(kind)} }}"))
    for name in unknown[:12]:
        why = (
            message("no kind is told by the name: one of {kinds}", kinds=list(KINDS))
            if name == unknown[0]
            else ""
        )
        draft.keys.append(Key("channels", named(name), '{ kind = "other" }', why, active=False))
    if unknown:
        draft.notes.append(message("channels whose kind no name tells: {names:list.6}", names=unknown))


# --------------------------------------------------------------------------------------------------- what is left open


def _settle(draft: _Asking, looks: Sequence[Look], today: date | None, ask: Answer | None) -> History | None:
    """Read the files; what a refusal says that the study must say, becomes a question. None: they stay unreadable."""
    for _ in range(ROUNDS):
        try:
            study = draft.study()
            history = read_history(study, today=today)
            read_plan(study, history)
        except (DataError, StudyError) as error:
            if not _ways_out(draft, error, looks, ask):
                return None
        else:
            _counting(draft, history, study, ask)
            return history
    return None


def _ways_out(
    draft: _Asking, error: DataError | StudyError, looks: Sequence[Look], ask: Answer | None
) -> bool:
    """Keys that a refusal names, as questions; whether there is a new one that can be tried."""
    found = [(said, _ways(draft, said, looks)) for said in error.problems]
    asking = [(said, ways) for said, ways in found if ways]
    new = False
    for said, ways in asking:
        text = error.said if len(asking) == 1 else said  # what is wrong may stand in the lines before
        usable = [way for way in ways if _is_toml(way[1])]
        shown = usable or ways
        question = Question(shown[0][0], text, tuple((f"{key} = {value}", "") for key, value in shown))
        answer = ask(question) if ask is not None and usable else None
        chosen = next((way for way in usable if f"{way[0]} = {way[1]}" == answer), None)
        for i, (key, value) in enumerate([chosen] if chosen else shown):
            table, name = place_of(key)
            draft.keys.append(
                Key(
                    table,
                    name,
                    value,
                    "as you said" if chosen else "or" if i else text,
                    active=chosen is not None,
                )
            )
        if chosen is None:
            draft.doubts.append(question)
            draft.assumed.update(dict(usable[:1]))
        new |= bool(usable)
    return new


def _ways(draft: _Asking, said: Text, looks: Sequence[Look]) -> list[tuple[str, str]]:
    """Keys with their values in TOML that one message names, those that were not tried before."""
    ways = [(_own(draft, key, typed(said), looks), value) for key, value in proposed(DataError(said))]
    ways = [(key, value) for found in ways for key, value in _inner(*found)]
    ways = [
        (key, value) for key, value in ways if not key.startswith("history.source.")
    ]  # of one table of several
    ways += [(key, quoted(name)) for key, _ in ways if key.endswith(".sheet") for name in _names(said)]
    ways += [(key, '"mdy"') for key, value in ways if key.endswith(".dates") and value == '"dmy"']
    ways += [(key, '"unknown"') for key, value in ways if key == "history.blank"]
    known = {*draft.assumed, *(doubt.key for doubt in draft.doubts)}
    known |= {f"{key.table}.{key.name}" for key in draft.keys if key.active}
    return [(key, value) for key, value in dict.fromkeys(ways) if key not in known]


def _inner(key: str, value: str) -> list[tuple[str, str]]:
    """A column that is named in a table of one line, as a key of its own: there may be others."""
    inner = re.fullmatch(r'\{ (\w+) = ("[^"]*") \}', value)
    return [(f"{key}.{inner[1]}", inner[2])] if inner and key == "history.columns" else [(key, value)]


def _names(said: Text) -> list[str]:
    """The names that a message lists."""
    return list(said.values.get("names", ())) if isinstance(said, Message) else []


def _own(draft: _Asking, key: str, text: str, looks: Sequence[Look]) -> str:
    """A key of reading as that of the file that it is about, where there are several files."""
    names = [look for look in looks if look.role != "retention" or len(looks) > 1]
    start, _, name = key.rpartition(".")
    if start != "history.read" or len(names) < 2:
        return key
    sources = draft.sources()
    if number := next((n for n, file in enumerate(sources, start=1) if text.startswith(f"{file}:")), 0):
        return f"history.source#{number}.read.{name}"
    role = next((look.role for look in names if text.startswith(f"{look.file}:")), None)
    return f"history.read.{role}.{name}" if role else key


def _is_toml(value: str) -> bool:
    try:
        tomllib.loads(f"x = {value}")
    except tomllib.TOMLDecodeError:
        return False
    return not any(blank in value for blank in BLANKS)


def _counting(draft: _Asking, history: History, study: Study, ask: Answer | None) -> None:
    """Counts that look as if they were counted by cohort: the audit says so, and with what picture."""
    asks = 'history.counting = "cohort"'
    found = next((c for c in audit_history(history, study) if asks in typed(c.advice)), None)
    if found is None:
        return
    question = Question(
        "history.counting", found.value, (('"cohort"', "a row counts what became of its own leads"),)
    )
    _asked(draft, question, ask, Key("history", "counting", '"cohort"'))


# ------------------------------------------------------------------------------------------------------------ the file


@contextmanager
def _made(folder: Path, study: Path) -> Iterator[None]:
    """The folder of the study, made where it is not there; nothing is left behind where the study is not written."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with unfinished(None, *map(str, new)):
            folder.mkdir(parents=True, exist_ok=True)
            yield
    except BaseException as error:
        with suppress(OSError):
            for path in new:
                path.rmdir()
        if isinstance(error, OSError):
            raise UsageError(f"{error.filename or study}: cannot be written ({error.strerror})") from error
        raise


def _write(draft: _Asking, looks: Sequence[Look]) -> None:
    """The study file: what was looked at, and the keys with their evidence."""
    head = [
        f"# Proposed by `forecast init --from {' '.join(look.file for look in looks)}`.",
        "# What stands without # is read from the files, with the evidence beside it. What they leave open is a",
        "# comment: take the # away and set it right. Then: forecast check, forecast run.",
    ]
    for look in looks:
        head += [f"#   {line}" for line in wrap(clean(typed(_evidence(look))), LINE - 4)]
    content = "\n".join([*head, *draft.lines(), ""]).encode()
    place(draft.path.parent, {draft.path.name: lambda path: path.write_bytes(content)})


def _evidence(look: Look) -> Text:
    """What a file was taken for, in a line."""
    rows = message("{n:whole} rows" if look.whole else "its first {n:whole} rows", n=len(look.grid.rows))
    parts: list[Text] = [message("{file}: {role}, {why}", file=look.file, role=look.role, why=look.why), rows]
    if look.span:
        told = {"n": look.span.n, "kind": look.span.kind, "first": look.span.first, "last": look.span.last}
        parts.append(message("{n} {kind}s, {first} to {last} ({why})", why=look.span.why, **told))
    if look.channels:
        several = "{n:whole} channels" if len(look.channels) > 1 else "1 channel"
        parts.append(message(several, n=len(look.channels)))
    return message("{parts:parts}", parts=parts)


def _checked(
    draft: _Asking,
    looks: Sequence[Look],
    unused: Sequence[tuple[str, Text]],
    history: History | None,
    today: date | None,
) -> Proposed:
    """What `check` makes of the study, and what to do next."""
    done = None
    problem: Text = ""
    try:
        done = check(draft.path, today=today)
    except ForecastError as error:
        problem = error.said
    here = draft.folder.resolve() == Path.cwd().resolve() and len(list(draft.folder.glob("*.toml"))) == 1
    sound = done is not None and done.summary["status"] != FAIL
    place = "" if here else f" {shlex.quote(str(draft.path))}"
    command = (
        f"forecast run{place}" if sound else f"settle it in {draft.path.name}, then forecast check{place}"
    )
    currency = draft.study().currency
    return Proposed(
        draft.path,
        looks,
        draft.doubts,
        draft.notes,
        unused,
        currency,
        history if done else None,
        done,
        problem,
        command,
    )
