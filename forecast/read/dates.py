"""Dates and periods as people write them: read into the labels of `forecast.periods`.

    2026-03-01  2026/3/1  20260301  1.3.2026  3/1/2026  1 March 2026  5. maaliskuuta 2026    a day, also with a time
    2026-03  3/2026  1.2026  Mar 2026  Mar-26  maaliskuu 2026                                   a month
    2026-W09  vk 9/2026  KW 9 2026          2026Q1  Q1/2026                                     a week, a quarter

Which of two numbers with a slash is the day is told by a cell in which one is above 12, or, for periods, by the one
that never changes; where nothing tells, the file is refused with the key that settles it. Names of months come from
Unicode's tables (CLDR), in English, Finnish, Swedish and German.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from forecast.bounds import FIRST_YEAR, LAST_YEAR
from forecast.errors import DataError
from forecast.periods import EXAMPLES, YearError, parse_period
from forecast.read.ask import Ask
from forecast.read.cells import FIRST_SERIAL, LAST_SERIAL, Grid, cells_problem, day_text
from forecast.read.numbers import ERROR_CELL, FORMULA_CELL, wrong_kind
from forecast.words import Message, Text, message

LOCALES = ("en", "fi", "sv", "de")
DAY_REMEDY = "write dates as 2026-03-17"
ORDERS = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day"}
FEWEST_ACROSS = 3  # periods as columns, for a table to be a pivot

_TIME = re.compile(
    r"(?:[t ,]+|\s*\bklo\s+|\s*\bkl\.?\s+)(?:klo |kl\.? |um )?"
    r"(?P<h>\d{1,2})[:.](?P<m>\d{2})(?:[:.](?P<s>\d{2})(?:[.,]\d+)?)?"
    r"\s*(?P<half>[ap]\.?m\.?)?\s*(?P<zone>z|utc|gmt|(?:utc|gmt)?[+-]\d{2}:?(?:\d{2})?)?(?:\s*uhr)?$"
)
_YMD = re.compile(r"(\d{4})([-/.])\s?(\d{1,2})\2\s?(\d{1,2})\.?")
_COMPACT = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})")
_COMPACT_MONTH = re.compile(r"((?:19|20)\d{2})(\d{2})")
_THREE = re.compile(r"(\d{1,2})([-/.])\s?(\d{1,2})\2\s?(\d{4}|\d{2})\.?")
_YEAR_MONTH = re.compile(r"(\d{4})\s?[-/.]\s?(\d{1,2})")
_MONTH_YEAR = re.compile(r"(\d{1,2})\s?[-/.]\s?(\d{4})")
_WEEK_WORD = r"(?:w|wk|week|vk|vko|viikko|v|vecka|kw|kalenderwoche|woche)"
_WEEKS = (
    re.compile(rf"(?P<y>\d{{4}})\s?[-/ ]?\s?{_WEEK_WORD}\.?\s?(?P<n>\d{{1,2}})"),
    re.compile(rf"{_WEEK_WORD}\.?\s?(?P<n>\d{{1,2}})\s?[-/ ,]\s?(?P<y>\d{{4}})"),
)
_QUARTER_WORD = r"(?:q|quarter|kvartaali|neljännes|kvartal|quartal)"
_QUARTERS = (
    re.compile(rf"(?P<y>\d{{4}})\s?[-/ ]?\s?{_QUARTER_WORD}\s?(?P<n>[1-4])"),
    re.compile(rf"{_QUARTER_WORD}\s?(?P<n>[1-4])\s?[-/ ,']?\s?(?P<y>\d{{4}})"),
    re.compile(rf"(?P<n>[1-4])\.?\s?{_QUARTER_WORD}\s?[-/ ,]?\s?(?P<y>\d{{4}})"),
)
_NAME = r"(?P<name>[^\W\d_]+)\.?"
_NAMED_MONTHS = (
    re.compile(rf"{_NAME}\s?[-/ ,']?\s?(?P<y>\d{{4}}|(?<=[-/'])\d{{2}})"),
    re.compile(rf"(?P<y>\d{{4}})\s?[-/ ,]?\s?{_NAME}"),
)
_NAMED_DAYS = (
    re.compile(rf"(?P<d>\d{{1,2}})(?:\.|st|nd|rd|th)?[-/ ]?\s?(?:of )?{_NAME}[-/ ,]\s?(?P<y>\d{{4}})"),
    re.compile(rf"{_NAME}\s(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s(?P<y>\d{{4}})"),
    re.compile(rf"(?P<y>\d{{4}})[-/ ]{_NAME}[-/ ](?P<d>\d{{1,2}})"),
)
_WEEKDAY = re.compile(
    r"^(?:mon|tue|wed|thu|fri|sat|sun|ma|ti|ke|to|pe|la|su|mo|di|mi|do|fr|sa|so)[a-zäö]*[.,]?\s+(?=\d)"
)


@dataclass(frozen=True)
class DateForm:
    """How the dates of a file are written: the order of day, month and year where it is needed, and the time zone."""

    order: str | None = None
    zone: str | None = None

    def said(self) -> Text:
        """The form in words."""
        return ORDERS[self.order] if self.order else "as they are"


ISO = DateForm()


@dataclass(frozen=True)
class When:
    """What a cell names: the label of a period (an ISO date, 2026-03, 2026-W09, 2026Q1), and its time of day.

    clock: None where there is none, or midnight. utc: the time says how far it is from UTC. pair: the two numbers of a
    date of which either may be the day, in the order of the file, where nothing was known of the order.
    """

    label: str
    clock: str | None = None
    utc: bool = False
    pair: tuple[int, int] | None = None


def plain_text(text: str) -> str:
    """A text without case, odd blanks and invisible signs."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(plain.translate(_GONE).split())


_GONE = str.maketrans("‐‑–—−", "-----", "\u200b\u200c\u200d\ufeff\u00ad")


@cache
def month_names() -> dict[str, int]:
    """Number of a month by its names, folded, in the languages that are known; no name stands for two months."""
    from babel.dates import get_month_names  # only where months have names

    found: dict[str, set[int]] = {}
    for locale in LOCALES:
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in get_month_names(width, context, locale).items():
                    found.setdefault(plain_text(str(name)).rstrip("."), set()).add(number)
    for number, name in get_month_names(
        "wide", "stand-alone", "fi"
    ).items():  # tammikuu: tammikuussa, tammikuun
        stem = plain_text(str(name))
        for ending in ("ssa", "n", "ta"):
            found.setdefault(stem + ending, set()).add(number)
    for number, names in {3: ("mrz", "mär", "marec"), 9: ("sept",)}.items():
        for name in names:
            found.setdefault(name, set()).add(number)
    return {name: next(iter(numbers)) for name, numbers in found.items() if len(numbers) == 1}


def read_when(text: str, form: DateForm = ISO, *, months: bool = True) -> When | None:
    """What a text names; None where it is no date or period. `months`: six digits may be a month (202603).

    >>> read_when("1.3.2026 klo 14.30"), read_when("maaliskuu 2026").label
    (When(label='2026-03-01', clock='14:30', utc=False, pair=None), '2026-03')
    """
    plain = plain_text(text)
    day, found = plain, None
    if (time := _TIME.search(plain)) is not None and time.start() > 0:
        day, found = plain[: time.start()].rstrip(" ,"), time
    when = _day_or_period(day, form, months=months)
    if when is None and (weekday := _WEEKDAY.match(day)):
        when = _day_or_period(day[weekday.end() :], form, months=months)
    if (
        when is None
        and found is not None
        and (whole := _day_or_period(plain, form, months=months)) is not None
    ):
        return whole  # "5.03.2026": no time after all
    if when is None or found is None:
        return when
    return _at(when, found, form)


def _at(when: When, found: re.Match[str], form: DateForm) -> When | None:
    hour = int(found["h"])
    if found["half"]:
        hour = hour % 12 + (12 if found["half"].startswith("p") else 0)
    try:
        clock = time(hour, int(found["m"]), int(found["s"] or 0))
        if found["zone"] is not None and form.zone is not None and when.pair is None:
            start = datetime.fromisoformat(f"{when.label}T{clock.isoformat()}{_offset(found['zone'])}")
            local = start.astimezone(ZoneInfo(form.zone))
            return When(local.date().isoformat(), _clock(local.time()))
    except ValueError:
        return None
    return When(when.label, _clock(clock), found["zone"] is not None, when.pair)


def _clock(clock: time) -> str | None:
    return None if clock == time() else clock.isoformat("minutes")


def _offset(zone: str) -> str:
    digits = zone.removeprefix("utc").removeprefix("gmt").removeprefix("z")
    if not digits:
        return "+00:00"
    sign, numbers = digits[0], digits[1:].replace(":", "").ljust(4, "0")
    return f"{sign}{numbers[:2]}:{numbers[2:]}"


def _day_or_period(text: str, form: DateForm, *, months: bool) -> When | None:
    if found := _YMD.fullmatch(text) or _COMPACT.fullmatch(text):
        return _date(int(found[1]), int(found.groups()[-2]), int(found.groups()[-1]))
    if found := _THREE.fullmatch(text):
        return _three(found, form)
    if found := _YEAR_MONTH.fullmatch(text) or (_COMPACT_MONTH.fullmatch(text) if months else None):
        return _month(int(found[1]), int(found[2]))
    if found := _MONTH_YEAR.fullmatch(text):
        return _month(int(found[2]), int(found[1]))
    if text.isdecimal() and len(text) < 9 and FIRST_SERIAL <= int(text) <= LAST_SERIAL:
        return When(day_text(int(text)))
    return _part_of_year(text) or _named(text)


def _part_of_year(text: str) -> When | None:
    """A week or a quarter."""
    for pattern in _WEEKS:
        if found := pattern.fullmatch(text):
            return When("-W".join((found["y"], found["n"].zfill(2))))
    for pattern in _QUARTERS:
        if found := pattern.fullmatch(text):
            return When(f"{found['y']}Q{found['n']}")
    return None


def _named(text: str) -> When | None:
    """A date or month with the name of a month."""
    if not any(sign.isalpha() for sign in text):
        return None
    for pattern in (*_NAMED_DAYS, *_NAMED_MONTHS):
        if (found := pattern.fullmatch(text)) and (number := month_names().get(found["name"].rstrip("."))):
            year = int(found["y"]) + (2000 if len(found["y"]) == 2 else 0)
            return _date(year, number, int(found["d"])) if "d" in pattern.groupindex else _month(year, number)
    return None


def _three(found: re.Match[str], form: DateForm) -> When | None:
    """Day, month and year in some order; with points the day stands first, as nobody writes it otherwise."""
    a, b, year = int(found[1]), int(found[3]), found[4]
    order = form.order or ("dmy" if found[2] == "." and len(year) == 4 else None)
    if order is None:
        return When("", pair=(a, b)) if len(year) == 4 else When("", pair=(0, 0))
    if order == "ymd":
        return _date(2000 + a, b, int(year)) if len(year) == 2 else None
    day, month = (a, b) if order == "dmy" else (b, a)
    return _date(int(year) + (2000 if len(year) == 2 else 0), month, day)


def _date(year: int, month: int, day: int) -> When | None:
    try:
        return When(date(year, month, day).isoformat())
    except ValueError:
        return None


def _month(year: int, month: int) -> When | None:
    first = _date(year, month, 1)
    return None if first is None else When(first.label[:7])


def periods_across(header: Sequence[str]) -> dict[int, str]:
    """Titles of a header that are periods, by position; none where they are too few for a table with periods across."""
    found = {at: title.strip() for at, title in enumerate(header) if _is_period(title)}
    return found if len(found) >= FEWEST_ACROSS else {}


def is_no_date(title: str) -> bool:
    """Whether a title is written as a day, month or week is, and there is none such: 2026-13, 31.4.2026.

    >>> is_no_date("2026-13"), is_no_date("2026-12"), is_no_date("Total 2026")
    (True, False, False)
    """
    text = plain_text(title)
    written = (_YMD, _THREE, _YEAR_MONTH, _MONTH_YEAR, *_WEEKS)
    return any(pattern.fullmatch(text) for pattern in written) and not _is_period(title)


def _is_period(title: str) -> bool:
    if not any(sign.isdigit() for sign in title):
        return False
    when = read_when(title, ISO) or read_when(title, DateForm("dmy"))
    return when is not None and bool(when.label or when.pair)


# ----------------------------------------------------------------------------------------------------------- the form


def form_of(
    columns: Mapping[str, Iterable[tuple[int, str]]], ask: Ask, file: str, *, kind: str | None = None
) -> DateForm:
    """The form of the dates of a file, from its text cells by column (row, text); `kind` of periods, where they are.

    Raises DataError where day and month cannot be told apart, or are told in two ways, and the study does not say.
    """
    zone, given = ask.spec.time_zone, ask.spec.dates
    if given is not None:
        return DateForm(given, zone)
    pairs: dict[tuple[int, int], tuple[str, int, str]] = {}
    texts: list[str] = []
    clear: set[str] = set()
    for column, cells in columns.items():
        for row, text in cells:
            when = read_when(text)
            if when is not None and when.pair is None:
                clear.add(text)
            elif when is not None and when.pair is not None:
                pairs.setdefault(when.pair, (column, row, text))
                texts.append(text)
    if not pairs:
        return DateForm(None, zone)
    short = pairs.get((0, 0))
    day_first = next((where for (a, _), where in pairs.items() if a > 12), None)
    month_first = next((where for (_, b), where in pairs.items() if b > 12), None)
    if short is None and (day_first is None) != (month_first is None):
        return DateForm("dmy" if day_first else "mdy", zone)
    if day_first and month_first:
        raise DataError(_both(day_first, month_first, ask, file))
    if short is None and kind is not None and (order := _by_period(set(texts), pairs, kind)):
        return DateForm(order, zone)
    if len(set(texts)) < len(clear):  # odd ones out: said with their rows, as what they are
        return DateForm(None, zone)
    raise DataError(_unsettled(short or next(iter(pairs.values())), ask, file))


def _by_period(texts: set[str], pairs: Mapping[tuple[int, int], object], kind: str) -> str | None:
    """The order under which the dates are starts of periods: one number that never changes, or one weekday."""
    first, second = {a for a, _ in pairs}, {b for _, b in pairs}
    if kind != "week":
        if all(a == b for a, b in pairs) and len(pairs) == 1:
            return "dmy"  # 1/1/2026 is the same either way
        if first == {1} and len(second) > 1:
            return "dmy"
        return "mdy" if second == {1} and len(first) > 1 else None
    weekdays = {}
    for order in ("dmy", "mdy"):
        days = [when.label for text in texts if (when := read_when(text, DateForm(order))) is not None]
        weekdays[order] = {date.fromisoformat(day).weekday() for day in days}
    single = [order for order, found in weekdays.items() if len(found) == 1]
    return single[0] if len(single) == 1 and len(texts) >= 4 else None


def _both(first: tuple[str, int, str], second: tuple[str, int, str], ask: Ask, file: str) -> Message:
    cells = [
        message('column {c}, row {r} ("{t}")', c=column, r=row, t=text)
        for column, row, text in (first, second)
    ]
    said = "{file}: the day stands first in {one} and second in {two}; write dates in one way, or say {key}."
    return message(said, file=file, one=cells[0], two=cells[1], key=ask.place("dates"))


def _unsettled(where: tuple[str, int, str], ask: Ask, file: str) -> Message:
    column, row, text = where
    said = (
        '{file}: column {column}: row {row} ("{text}"): day and month cannot be told apart, and no date tells '
        'which is which; say it in the study: {key} = "dmy" (day, month, year) or "mdy" (month, day, year).'
    )
    return message(said, file=file, column=column, row=row, text=text, key=ask.place("dates"))


# --------------------------------------------------------------------------------------------------------- columns


def date_form(grid: Grid, positions: Sequence[int], ask: Ask, *, kind: str | None = None) -> DateForm:
    """The form of the dates in some columns of a grid. Raises DataError where it is not clear."""
    return form_of(grid.texts(positions), ask, grid.file, kind=kind)


def days_in(grid: Grid, position: int, ask: Ask) -> list[date | None]:
    """The day of each cell of a column; None where it is none."""
    form = date_form(grid, [position], ask)
    texts = [None if cell is None else day_text(cell, grid.shift) for cell in grid.column(position)]
    known = days_of({text for text in texts if text is not None}, form)
    return [None if text is None else known[text] for text in texts]


@dataclass(frozen=True)
class PeriodColumn:
    """A column as first days of periods, what is wrong with it, the rows that are wrong, and the dates themselves."""

    starts: NDArray[np.datetime64]
    problems: list[Text]
    bad: frozenset[int]
    days: NDArray[np.datetime64]  # where the cell named a day; else NaT


def to_periods(grid: Grid, position: int, kind: str, form: DateForm, ask: Ask) -> PeriodColumn:
    """A column as starts of periods. Empty cells, times of day, and labels coarser than the period are wrong."""
    starts = np.full(len(grid.rows), np.datetime64("NaT", "D"), dtype="datetime64[D]")
    days = starts.copy()
    bad, empty, errors, formulas, clocks, far = (list[tuple[int, object]]() for _ in range(6))
    zoned = False
    known: dict[str, When | None] = {}
    for i, cell in enumerate(grid.column(position)):
        if cell is None:
            empty.append((grid.numbers[i], None))
            continue
        text = day_text(cell, grid.shift)
        if text not in known:
            known[text] = read_when(text, form)
        when = known[text]
        if when is None:
            wrong = {"error": errors, "formula": formulas}.get(wrong_kind(cell), bad)
            wrong.append((grid.numbers[i], str(cell)))
            continue
        if when.clock is not None:
            zoned |= when.utc
            clocks.append((grid.numbers[i], str(cell)))
            continue
        try:
            starts[i] = parse_period(when.label, kind)
        except YearError:
            far.append((grid.numbers[i], str(cell)))
            continue
        except ValueError:
            bad.append((grid.numbers[i], str(cell)))
            continue
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", when.label):
            days[i] = np.datetime64(when.label, "D")
    title, remedy = grid.title(position), message("write it as {example}", example=EXAMPLES[kind])
    rules: tuple[tuple[list[tuple[int, object]], Text], ...] = (
        (errors, ERROR_CELL),
        (formulas, FORMULA_CELL),
        (bad, message("expected a {kind}; {remedy}", kind=kind, remedy=remedy)),
        (empty, message("is empty; {remedy}", remedy=remedy)),
        (clocks, _clock_rule(ask, kind, zoned=zoned)),
        (far, f"expected a year from {FIRST_YEAR} to {LAST_YEAR}; correct it"),
    )
    problems: list[Text] = [cells_problem(grid.file, title, found, rule) for found, rule in rules if found]
    rows = frozenset(row for found, _ in rules for row, _ in found)
    return PeriodColumn(starts, problems, rows, days)


def _clock_rule(ask: Ask, kind: str, *, zoned: bool) -> Message:
    if zoned:
        said = (
            "the {kind} begins at a time of day that is told from UTC, so it may be the {kind} before; say where days "
            'begin: {key} = "Europe/Helsinki", or write the {kind} alone'
        )
        return message(said, kind=kind, key=ask.place("time_zone"))
    return message("a {kind} carries a time of day; write the {kind} or its first day alone", kind=kind)


def days_of(texts: Iterable[str], form: DateForm) -> dict[str, date | None]:
    """The day that each text names; None where it is none, or names something coarser than a day."""
    found: dict[str, date | None] = {}
    for text in texts:
        when = read_when(text, form, months=False)
        whole = when is not None and re.fullmatch(r"\d{4}-\d{2}-\d{2}", when.label)
        found[text] = date.fromisoformat(when.label) if when is not None and whole else None
    return found
