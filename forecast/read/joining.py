"""The keys that join several exports to one history, proposed from what is seen of them: sources, rules, a log.

A name that the tools share is one channel (`FAMILIES`); every other keeps its own. What ads are paid by the click is
taken for one channel until someone parts its campaigns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from forecast.read.cells import name_text
from forecast.read.looking import Look
from forecast.read.titles import folded, means_total, place_of_key
from forecast.study import ALSO_ADS, BY_CLICK, FAMILIES, KEYS, TOOLS, Key, named, quoted
from forecast.words import Text, message, plural

MOST_VALUES = 40  # of a column, for which rules are proposed
NONE = {"", "(not set)", "(none)"}
MOST_STATUSES = 12


def joined_keys(leads: Look, beside: Sequence[Look], changes: Look | None) -> tuple[list[Key], list[Text]]:
    """Keys of [[history.source]], [[history.map]] and of the log of changes, and what is to be said of them.

    leads: the file of leads; beside: the files of spend and visitors, of tools and others. Where none is of a tool
    there is nothing to join, and the log alone is told.
    """
    if not any(look.tool for look in beside):
        return _log(changes), []
    files = sorted(
        beside, key=lambda look: (look.tool is not None and TOOLS[look.tool].once, look.tool is None)
    )
    keys = [*_sources(files)]
    rules, notes = _rules(leads, files)
    return [*keys, *rules, *_log(changes)], notes


def _sources(files: Sequence[Look]) -> list[Key]:
    keys: list[Key] = []
    counting: list[str] = []
    for number, look in enumerate(files, start=1):
        table = f"history.source#{number}"
        keys.append(Key(table, "file", quoted(look.file), look.why))
        if look.tool is not None:
            keys.append(Key(table, "preset", quoted(look.tool), "the names of its columns are known"))
        else:
            keys.append(Key(table, "columns", _inline(look.known)))
        if look.tool is not None and TOOLS[look.tool].once and counting:
            why = message(
                "visits of a channel that {files} counts by the click are the same visits: taken from there",
                files=list(counting),
            )
            keys.append(Key(table, "overlap", quoted("leave out"), why))
        if "visitors" in look.known:
            counting.append(look.file)
    return keys


def _inline(columns: dict[str, str]) -> str:
    return "{ " + ", ".join(f"{name} = {quoted(title)}" for name, title in columns.items()) + " }"


def _rules(leads: Look, files: Sequence[Look]) -> tuple[list[Key], list[Text]]:
    """A rule for each channel and column that names it; the campaigns of ads are one channel."""
    keys: list[Key] = []
    notes: list[Text] = []
    number = 0
    for look in (leads, *files):
        key = _key_of(look)
        if key is None:
            continue
        if look.tool is not None and not TOOLS[look.tool].once:
            names = list(look.channels)
            why: Text = plural(
                "1 campaign of {file}, {names:list.4}: to part it from others, write such a rule above the next",
                "{n:whole} campaigns of {file}, such as {names:list.4}: to part them, write rules such as this above "
                "the next one",
                n=len(names), file=look.file, names=names,
            )  # fmt: skip
            number += 1
            part = names[0].split(" ")[0] if names else "Brand"
            example = (("channel", quoted(part), why), ("when", f"{{ {key} = {quoted(part + '*')} }}", ""))
            keys += [
                Key(f"history.map#{number}", name, value, told, active=False) for name, value, told in example
            ]
            number += 1
            why = message("every other campaign of {file}", file=look.file)
            keys += _rule(number, BY_CLICK, key, ["?*"], why)
            continue
        counted = _values(look, key)
        if len(counted) > MOST_VALUES:
            text = "{file}: {title} has {n:whole} different values: write rules for them (history.map)"
            notes.append(
                message(text, file=look.file, title=look.columns.get("channel", key), n=len(counted))
            )
        for channel, values in _families([name for name, _ in counted.most_common(MOST_VALUES)]).items():
            number += 1
            rows = sum(counted[value] for value in values)
            why = plural("1 row of {file}", "{n:whole} rows of {file}", n=rows, file=look.file)
            keys += _rule(number, channel, key, values, why)
        also = [name for name in counted if folded(name) in set(map(folded, ALSO_ADS))]
        ads = [each.file for each in files if each.tool is not None and not TOOLS[each.tool].once]
        if also and ads and look.tool is not None:
            text = (
                "{file} counts sessions of {also} apart, which ads bring: give their campaigns in {ads} the same "
                "channel, or these visits are counted twice"
            )
            notes.append(message(text, file=look.file, also=also, ads=ads))
    return keys, notes


def _key_of(look: Look) -> str | None:
    """What rules call the column that tells the channel: a name that is known, else its title."""
    header = look.grid.header
    wanted = TOOLS[look.tool].keys if look.tool is not None else ("original_source", "lead_source")
    known = next((key for key in wanted if place_of_key(key, header) is not None), None)
    title = look.columns.get("channel")
    if known is not None:
        return known
    if title is None:
        return None
    at = next((at for at in range(len(header)) if look.grid.title(at) == title), None)
    general = next((key for key in KEYS if place_of_key(key, header) == at), None)
    return general or named(title)


def _values(look: Look, key: str) -> Counter[str]:
    """The values of a column with their rows; without blanks, and words that mean none or a total."""
    at = place_of_key(key, look.grid.header)
    if at is None:
        title = look.columns.get("channel")
        at = next((i for i in range(len(look.grid.header)) if look.grid.title(i) == title), None)
    if at is None:
        return Counter()
    names = Counter(name_text(cell) for cell in look.grid.column(at) if cell is not None)
    return Counter(
        {name: n for name, n in names.items() if folded(name) not in NONE and not means_total(name)}
    )


def _families(values: Sequence[str]) -> dict[str, list[str]]:
    """Values by the channel that they name."""
    known = {folded(value): family for family, own in FAMILIES.items() for value in own}
    found: dict[str, list[str]] = {}
    for value in values:
        found.setdefault(known.get(folded(value), value), []).append(value)
    return found


def _rule(number: int, channel: str, key: str, values: Sequence[str], why: Text) -> list[Key]:
    table = f"history.map#{number}"
    told = quoted(values[0]) if len(values) == 1 else f"[{', '.join(map(quoted, values))}]"
    return [Key(table, "channel", quoted(channel), why), Key(table, "when", f"{{ {key} = {told} }}")]


def _log(changes: Look | None) -> list[Key]:
    """The log of statuses, as a comment: which status is which stage, only people know."""
    if changes is None:
        return []
    statuses = Counter(
        name_text(cell) for cell in changes.cells("status") if cell is not None and len(name_text(cell)) < 60
    )
    why = message(
        "{file}: {why}. Its values are {values}; say which of them mean a stage, or that a lead is lost",
        file=changes.file, why=changes.why, values=[name for name, _ in statuses.most_common(MOST_STATUSES)],
    )  # fmt: skip
    first = next(iter(statuses), "Working")
    return [
        Key("history", "changes", quoted(changes.file), why, active=False),
        Key("history", "reached", f"{{ qualified = {quoted(first)} }}", active=False),
    ]
