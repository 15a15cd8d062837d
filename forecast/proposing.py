"""A study from files alone: what each file is taken for and why, as a commented TOML file, and what is left to ask.

The files are looked at (`forecast.read.look_at`), given their roles beside each other, read as any study reads them,
and drafted as a study (`forecast.drafting`).
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from forecast.checking import Done, check
from forecast.checks import FAIL, REVIEW
from forecast.drafting import (
    Answer,
    Asking,
    Question,
    add_channels,
    add_currency,
    add_history,
    add_plan,
    add_rest,
    settle,
)
from forecast.errors import DataError, ForecastError, UsageError
from forecast.history import History
from forecast.read import Look, as_activity, as_deals, as_tool, folded, look_at
from forecast.stopping import unfinished
from forecast.study import PRESETS, Key, quoted
from forecast.words import Text, clean, message, typed
from forecast.written import place

MONEY = ("spend", "revenue")
LINE = 110  # signs of a line of the study


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
    draft = Asking(folder, path, [Key("", "name", quoted(name))])
    with _made(folder, path):
        add_currency(draft, looks, ask)
        add_history(draft, main, looks, ask)
        add_rest(draft, main, looks, ask)
        history = settle(draft, looks, today, ask)
        history = add_plan(draft, looks, history, today, ask)
        add_channels(draft, main, history)
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


def _write(draft: Asking, looks: Sequence[Look]) -> None:
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
    draft: Asking,
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
