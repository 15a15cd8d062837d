"""A study as it is drafted from files: what these say, as keys with their evidence, and what they leave open, asked.

What the reading refuses because the files do not say it, the study must say: each way out that the refusal names
becomes a question, asked where someone can answer and a commented key where not. Nothing is decided that `forecast
check` would ask for.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from forecast.amounts import parse_share
from forecast.errors import DataError, StudyError
from forecast.history import History, audit_history, read_history, read_plan
from forecast.periods import parse_period, period_index, period_label, shift
from forecast.read import BLANK, Look, joined_keys, proposed
from forecast.study import KINDS, Draft, Key, Study, kind_named, named, place_of, quoted
from forecast.words import Message, Text, message, typed

BLANKS = ("...", "its name")  # what a message leaves for people to fill in
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


# ---------------------------------------------------------------------------------------------------- what is written


@dataclass
class Asking(Draft):
    """The study as it grows, with what stays open and what is to be said."""

    doubts: list[Question] = field(default_factory=list)
    notes: list[Text] = field(default_factory=list)

    def sources(self) -> list[str]:
        """The files of [[history.source]], in their order."""
        named = [
            key.value for key in self.keys if key.table.startswith("history.source#") and key.name == "file"
        ]
        return [str(tomllib.loads(f"x = {value}")["x"]) for value in named]


def add_currency(draft: Asking, looks: Sequence[Look], ask: Answer | None) -> None:
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


def _asked(draft: Asking, question: Question, ask: Answer | None, key: Key) -> str | None:
    """Ask, where someone answers; what stays open is a commented key and a doubt."""
    value = ask(question) if ask is not None else None
    if value is None:
        draft.doubts.append(question)
    why = question.text if value is None else "as you said"
    draft.keys.append(replace(key, value=value or key.value, why=why, active=value is not None))
    return value


def add_history(draft: Asking, main: Look, looks: Sequence[Look], ask: Answer | None) -> None:
    """Files by their roles, the period, and columns that no title tells of."""
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


def _columns(draft: Asking, look: Look, ask: Answer | None) -> None:
    """Columns that no title tells of: those that the cells tell, and those of which several may be meant."""
    for name, guess in look.guesses.items():
        if not guess.others or name == "lead_id":
            draft.keys.append(Key("history.columns", name, quoted(guess.title), guess.why))
            continue
        titles = (guess.title, *guess.others)
        _which(draft, look, name, titles, ask)
    for name, titles in look.unclear.items():
        _which(draft, look, name, titles, ask)


def _which(draft: Asking, look: Look, name: str, titles: Sequence[str], ask: Answer | None) -> None:
    said = message(
        "Which column of {file} is {ours}: {titles}?", file=look.file, ours=name, titles=list(titles)
    )
    choices = tuple((quoted(title), "") for title in titles)
    key = Key("history.columns", name, quoted(titles[0]))
    if _asked(draft, Question(f"history.columns.{name}", said, choices), ask, key) is None:
        draft.assumed[f"history.columns.{name}"] = quoted(titles[0])


def add_rest(draft: Asking, main: Look, looks: Sequence[Look], ask: Answer | None) -> None:
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


def add_plan(
    draft: Asking, looks: Sequence[Look], history: History | None, today: date | None, ask: Answer | None
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
    draft: Asking, history: History | None, plan: Look, today: date | None, ask: Answer | None
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


def add_channels(draft: Asking, main: Look, history: History | None) -> None:
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


def settle(draft: Asking, looks: Sequence[Look], today: date | None, ask: Answer | None) -> History | None:
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
    draft: Asking, error: DataError | StudyError, looks: Sequence[Look], ask: Answer | None
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


def _ways(draft: Asking, said: Text, looks: Sequence[Look]) -> list[tuple[str, str]]:
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


def _own(draft: Asking, key: str, text: str, looks: Sequence[Look]) -> str:
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


def _counting(draft: Asking, history: History, study: Study, ask: Answer | None) -> None:
    """Counts that look as if they were counted by cohort: the audit says so, and with what picture."""
    asks = 'history.counting = "cohort"'
    found = next((c for c in audit_history(history, study) if asks in typed(c.advice)), None)
    if found is None:
        return
    question = Question(
        "history.counting", found.value, (('"cohort"', "a row counts what became of its own leads"),)
    )
    _asked(draft, question, ask, Key("history", "counting", '"cohort"'))
