"""Rules that say which channel a row is: patterns over columns of a file, the first that fits.

A rule holds for files that have all its columns. Where none holds for a file, the file's own column of channels does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from forecast.checks import PASS, REVIEW, Check
from forecast.errors import StudyError
from forecast.read import folded, place_of_key
from forecast.study import KEYS, MapSpec, Study, nearest
from forecast.words import Text, clean, message, plural

RULES = "Channels by rules"
NONE_FITS = "{file}: no row fits a rule of history.map: {kinds:list.3}; correct the patterns, or set history.unmapped."
UNRULED = "no rule of history.map fits: {said}"
MUCH = 0.01  # of the money, or of what is counted, that no rule fits: more is asked about
LONGEST = 80  # signs of a cell that a message shows
NAMED = 20  # rows of one kind that are named, those with most money first


def pattern_of(text: str) -> re.Pattern[str]:
    """A pattern as a regular expression over folded cells: `*` any text, `?` one sign, all else itself.

    >>> bool(pattern_of("Brand [DE]*").fullmatch("brand [de] search")), bool(pattern_of("ppc?").fullmatch("ppc"))
    (True, False)
    """
    signs = {"*": ".*", "?": "."}
    return re.compile("".join(signs.get(sign) or re.escape(sign) for sign in folded(text)), re.DOTALL)


@dataclass(frozen=True)
class Fit:
    """What the rules make of a row: its channel (None: no rule fits, and there is no default), and which rules fit."""

    channel: str | None
    rules: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rules:
    """The rules that hold for one file.

    titles: of the columns that they look at, by position in the file. `fit` takes the cells of these columns.
    """

    titles: dict[int, str]
    rules: tuple[tuple[int, str, tuple[tuple[int, tuple[re.Pattern[str], ...]], ...]], ...]
    default: str | None
    _known: dict[tuple[str, ...], Fit] = field(default_factory=dict)

    def fit(self, cells: tuple[str, ...]) -> Fit:
        """Channel of a row by the cells of its columns, in the order of `titles`; "" is an empty cell."""
        if cells not in self._known:
            texts = dict(zip(self.titles, map(folded, cells), strict=True))
            fits = [
                (number, channel)
                for number, channel, asked in self.rules
                if all(any(one.fullmatch(texts[at]) for one in patterns) for at, patterns in asked)
            ]
            channel = fits[0][1] if fits else self.default
            self._known[cells] = Fit(channel, tuple(number for number, _ in fits))
        return self._known[cells]

    def said(self, cells: tuple[str, ...]) -> str:
        """A row's cells as a message names them: `Campaign "Brand"`."""
        told = [
            f'{title} "{clean(cell if len(cell) <= LONGEST else cell[:LONGEST] + "...")}"'
            for title, cell in zip(self.titles.values(), cells, strict=True)
        ]
        return ", ".join(told)


def mapping_of(study: Study, file: str, header: Sequence[str]) -> Rules | None:
    """The rules of a study that hold for a file, by its name and its header; None where none does."""
    found = []
    titles: dict[int, str] = {}
    for number, spec in enumerate(study.history.maps, start=1):
        places = {name: place_of_key(name, header) for name in spec.when}
        if None in places.values() or spec.file not in (None, file):
            continue
        titles |= {at: " ".join(header[at].split()) for at in places.values() if at is not None}
        asked = tuple(
            (at, tuple(map(pattern_of, spec.when[name]))) for name, at in places.items() if at is not None
        )
        found.append((number, spec.channel, asked))
    if not found:
        return None
    return Rules(dict(sorted(titles.items())), tuple(found), study.history.unmapped)


def check_columns(study: Study, headers: Mapping[str, Sequence[str]]) -> None:
    """Raise StudyError for names of columns in rules that no file has, and for rules that no file has all columns of.

    headers: titles by file.
    """
    problems: list[Text] = []
    every = [title for header in headers.values() for title in header if title.strip()]
    for number, spec in enumerate(study.history.maps, start=1):
        own = {file: header for file, header in headers.items() if spec.file in (None, file)}
        absent = {
            name: study.place(f"history.map.{number}.when.{name}")
            for name in spec.when
            if all(place_of_key(name, header) is None for header in own.values())
        }
        text = '{place}: no file has a column "{name}" (a title, or one of {keys}); {files:parts}{guess}'
        for name, place in absent.items():
            has = "{file} has {titles:list.12}"
            files = [
                message(has, file=file, titles=[" ".join(title.split()) for title in header if title.strip()])
                for file, header in own.items()
            ]
            told = {"keys": list(KEYS), "files": files}
            problems.append(
                message(text, place=place, name=name, guess=nearest(name, [*every, *KEYS]) or ".", **told)
            )
        whole = any(_holds(spec, header) for header in own.values())
        if not absent and not whole:
            text = "{place}: no file has all of these columns ({names}); a rule holds for files that have them all"
            place = study.place(f"history.map.{number}.when")
            problems.append(message(text, place=place, names=list(spec.when)))
    if problems:
        raise StudyError(problems)


def _holds(spec: MapSpec, header: Sequence[str]) -> bool:
    return all(place_of_key(name, header) is not None for name in spec.when)


# ------------------------------------------------------------------------------------------------------ what they made


@dataclass(frozen=True)
class Ruled:
    """What the rules made of one file.

    rows: how many by the rules that fit them, the first first; () where the default did. shadowed: an example of the
    cells that two rules fit, by their numbers. lost: of rows that no rule fits, what they hold by measure, and `whole`
    of all rows; others: how many rows came to the default.
    """

    file: str
    rows: Counter[tuple[int, ...]]
    examples: dict[tuple[int, ...], str]
    lost: dict[str, float]
    whole: dict[str, float]

    @cached_property
    def used(self) -> set[int]:
        """Numbers of the rules that gave a row its channel."""
        return {fits[0] for fits, n in self.rows.items() if fits and n}


def listed(
    found: Mapping[str, Mapping[str, float]], money: Sequence[str]
) -> Iterator[tuple[Sequence[str], Text]]:
    """Kinds of rows that no rule fits, each with its sums by measure, those with most money first; the rest in one."""
    measures = list(dict.fromkeys(name for sums in found.values() for name in sums))
    order = sorted(measures, key=lambda name: name not in money)
    ranked = sorted(found, key=lambda kind: ([-found[kind].get(name, 0.0) for name in order], kind))

    def sums(kinds: Sequence[str]) -> list[Text]:
        totals = {name: round(sum(found[kind].get(name, 0.0) for kind in kinds), 6) for name in order}
        return [message("{name:stage} {sum:given}", name=name, sum=total) for name, total in totals.items()]

    for kind in ranked[:NAMED]:
        yield [kind], message("{kind}: {sums:list}", kind=kind, sums=sums([kind]))
    if rest := ranked[NAMED:]:
        yield rest, message("{n:whole} other kinds of rows: {sums:list}", n=len(rest), sums=sums(rest))


def rule_checks(study: Study, found: Iterable[Ruled]) -> list[Check]:
    """Checks of the audit: what no rule fits, rules that fit nothing, and rows that several rules fit."""
    ruled = list(found)
    if not ruled:
        return []
    return [_unmapped(ruled), *_idle(study, ruled), *_shared(ruled)]


def _unmapped(ruled: Sequence[Ruled]) -> Check:
    told: list[Text] = []
    most = 0.0
    for each in ruled:
        counted = [name for name, lost in each.lost.items() if lost and name != "rows"]
        for name, lost in each.lost.items():
            if name in (counted or ["rows"]) and lost:
                share = lost / each.whole[name] if each.whole[name] else 0.0
                most = max(most, share)
                text = "{file}: {name:stage} {lost:given} of {all:given} ({share:percent})"
                sums = {"lost": round(lost, 6), "all": round(each.whole[name], 6), "share": share}
                told.append(message(text, file=each.file, name=name, **sums))
    default = sum(each.rows.get((), 0) for each in ruled) - sum(each.lost.get("rows", 0.0) for each in ruled)
    if not told:
        text = "every row of {files} fits a rule of history.map, or is of its default"
        if not default:
            text = "every row of {files} fits a rule of history.map"
        return Check(RULES, PASS, message(text, files=[each.file for each in ruled]))
    said = message("no rule of history.map fits, and left out: {told:parts}", told=told)
    advice = "Give them a rule, or all of them one channel: history.unmapped. What was read lists them with their sums."
    return Check(RULES, REVIEW if most > MUCH else PASS, said, advice if most > MUCH else "")


def _idle(study: Study, ruled: Sequence[Ruled]) -> list[Check]:
    used = {number for each in ruled for number in each.used}
    idle = [number for number in range(1, len(study.history.maps) + 1) if number not in used]
    if not idle:
        return []
    fitting = {number for each in ruled for fits in each.rows for number in fits}
    text = "{n:whole} of {all:whole} rules give no row its channel: {rules:list.8}"
    rules: list[Text] = []
    for number in idle:
        spec = study.history.maps[number - 1]
        when = [f'{name} = "{one}"' for name, patterns in spec.when.items() for one in patterns]
        why = "a rule before fits its rows" if number in fitting else "no row fits"
        rules.append(
            message("rule {number} ({when:list.3}): {why}", number=number, when=when, why=message(why))
        )
    said = message(text, n=len(idle), all=len(study.history.maps), rules=rules)
    advice = "Correct the pattern, move the rule up, or take it out: a name may have changed."
    return [Check("Rules that fit nothing", REVIEW, said, advice)]


def _shared(ruled: Sequence[Ruled]) -> list[Check]:
    several: dict[tuple[int, ...], tuple[int, str]] = {}
    for each in ruled:
        for fits, n in each.rows.items():
            if len(fits) > 1:
                before = several.get(fits, (0, ""))
                several[fits] = (before[0] + n, before[1] or each.examples.get(fits, ""))
    if not several:
        return []
    cases = [
        plural(
            "rules {rules} (1 row: {example})",
            "rules {rules} ({n:whole} rows, such as {example})",
            rules=list(fits), n=n, example=example,
        )
        for fits, (n, example) in sorted(several.items())
    ]  # fmt: skip
    said = plural(
        "1 row fits several rules, of which the first holds: {cases:list.6}",
        "{n:whole} rows fit several rules, of which the first holds: {cases:list.6}",
        n=sum(n for n, _ in several.values()), cases=cases,
    )  # fmt: skip
    return [Check("Rows that fit several rules", PASS, said)]
