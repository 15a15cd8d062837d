"""Calendar periods: months, ISO weeks (Monday to Sunday) and quarters, each known by its first day.

A period is a `numpy.datetime64[D]` of its first day; a label is what people write for it.

    kind       first day      label       also read
    month      2026-03-01     2026-03     2026-03-17
    week       2026-02-23     2026-W09    2026-02-26
    quarter    2026-01-01     2026Q1      2026-02, 2026-02-11, 2026-Q1

A text finer than the kind stands for the period that holds it. A coarser one (a quarter for months) is refused: nobody
can say which of its parts was meant. A week belongs to no one month (2026-W09 is in February and in March), so weeks
and months are never read for one another.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.bounds import FIRST_YEAR, LAST_YEAR

Periods = NDArray[np.datetime64]

KINDS: tuple[str, ...] = ("month", "week", "quarter")
DAYS_PER_PERIOD: dict[str, float] = {"month": 30.4375, "week": 7.0, "quarter": 91.3125}
PERIODS_PER_YEAR: dict[str, int] = {"month": 12, "week": 52, "quarter": 4}
SEASONS_IN_YEAR: dict[str, int] = {
    "month": 12,
    "week": 53,
    "quarter": 4,
}  # numbers that a period of a year may have
EXAMPLES: dict[str, str] = {
    "month": "2026-03 or a date such as 2026-03-01",
    "week": "2026-W09 or a date such as 2026-02-23",
    "quarter": "2026Q1 or a date such as 2026-01-01",
}

_MONDAY = np.datetime64("1970-01-05", "D")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_WEEK = re.compile(r"(\d{4})-?W(\d{2})", re.IGNORECASE)
_QUARTER = re.compile(r"(\d{4})-?Q([1-4])", re.IGNORECASE)


def start_of(days: Any, kind: str) -> Periods:
    """First day of the period that holds each day; `days` is anything that numpy reads as days. NaT stays NaT."""
    days = np.asarray(days).astype("datetime64[D]")
    if kind == "month":
        return np.asarray(days.astype("datetime64[M]").astype("datetime64[D]"))
    if kind == "quarter":
        quarters = np.floor_divide(days.astype("datetime64[M]").astype(np.int64), 3)
        starts = (3 * quarters).astype("datetime64[M]").astype("datetime64[D]")
        return np.where(np.isnat(days), np.datetime64("NaT", "D"), starts)
    if kind == "week":
        weeks = np.floor_divide((days - _MONDAY).astype(np.int64), 7)
        starts = _MONDAY + (7 * weeks).astype("timedelta64[D]")
        return np.where(np.isnat(days), np.datetime64("NaT", "D"), starts)
    raise ValueError(f'period must be one of {", ".join(KINDS)}, not "{kind}".')


class YearError(ValueError):
    """A period of a year that no company has: a slip of a key."""


def parse_period(text: str, kind: str) -> np.datetime64:
    """First day of the period that `text` names, as `datetime64[D]`.

    Raises ValueError, with a plain message, when the text is no period, names something coarser than `kind`, or a year
    that no company has (YearError).

    >>> parse_period("2026-W09", "week"), parse_period("2026-02-11", "quarter")
    (np.datetime64('2026-02-23'), np.datetime64('2026-01-01'))
    """
    text = str(text).strip()
    day, came = _read(text, kind)
    if day is None:
        raise ValueError(f'"{text}" is not a {kind}: write it as {EXAMPLES[kind]}.')
    if came not in {"month": ("date", "month"), "week": ("date", "week")}.get(
        kind, ("date", "month", "quarter")
    ):
        raise ValueError(f'"{text}" is a {came}, and one {kind} is needed: write it as {EXAMPLES[kind]}.')
    if not FIRST_YEAR <= int(day.astype("datetime64[Y]").astype(np.int64)) + 1970 <= LAST_YEAR:
        raise YearError(f'"{text}" lies outside the years {FIRST_YEAR} to {LAST_YEAR}; correct it.')
    return np.datetime64(start_of(day, kind).item(), "D")


def _read(text: str, kind: str) -> tuple[np.datetime64 | None, str]:
    """The first day that the text names and what it is (date, month, week or quarter); None if it is nothing."""
    if kind not in KINDS:
        raise ValueError(f'period must be one of {", ".join(KINDS)}, not "{kind}".')
    try:
        if match := _DATE.fullmatch(text):
            return np.datetime64("-".join(match.groups()), "D"), "date"
        if match := _MONTH.fullmatch(text):
            return np.datetime64(text, "M").astype("datetime64[D]"), "month"
        if match := _QUARTER.fullmatch(text):
            month = 3 * int(match[2]) - 2
            return np.datetime64(f"{match[1]}-{month:02d}-01", "D"), "quarter"
        if match := _WEEK.fullmatch(text):
            return _iso_week(int(match[1]), int(match[2])), "week"
    except ValueError:  # the 31st of February, month 13, week 60
        pass
    return None, ""


def _iso_week(year: int, week: int) -> np.datetime64:
    """Monday of an ISO week: week 1 is the one that holds 4 January."""
    first = start_of(f"{year:04d}-01-04", "week")
    monday = np.datetime64((first + np.timedelta64(7 * (week - 1), "D")).item(), "D")
    if week < 1 or _iso_year(np.asarray(monday))[()] != year:
        raise ValueError(f"{year} has no week {week}.")
    return monday


def _iso_year(mondays: Periods) -> NDArray[np.int64]:
    """The year that an ISO week counts to: that of its Thursday."""
    thursdays = mondays + np.timedelta64(3, "D")
    return np.asarray(thursdays.astype("datetime64[Y]").astype(np.int64) + 1970)


def _iso_week_of_year(mondays: Periods) -> NDArray[np.int64]:
    """ISO week number, 1..53."""
    thursdays = mondays + np.timedelta64(3, "D")
    days = (thursdays - thursdays.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
    return np.asarray(days // 7 + 1)


def period_label(start: Any, kind: str) -> str:
    """How people write the period that holds `start`: 2026-03, 2026-W09 or 2026Q1.

    >>> period_label("2026-02-23", "week"), period_label("2026-02-23", "quarter")
    ('2026-W09', '2026Q1')
    """
    day = start_of(start, kind)
    if kind == "month":
        return str(day.astype("datetime64[M]"))
    if kind == "week":
        return f"{_iso_year(day)[()]:04d}-W{_iso_week_of_year(day)[()]:02d}"
    months = int(day.astype("datetime64[M]").astype(np.int64))
    return f"{1970 + months // 12:04d}Q{months % 12 // 3 + 1}"


def shift(start: Any, n: Any, kind: str) -> Any:
    """The period `n` periods later (earlier when n < 0), as `datetime64[D]`; both may be arrays.

    >>> shift(np.datetime64("2026-11-01"), 3, "month")
    np.datetime64('2027-02-01')
    """
    day, steps = start_of(start, kind), np.asarray(n, dtype=np.int64)
    if kind == "week":
        moved = day + (7 * steps).astype("timedelta64[D]")
    else:
        months = steps * (3 if kind == "quarter" else 1)
        moved = (day.astype("datetime64[M]") + months.astype("timedelta64[M]")).astype("datetime64[D]")
    return moved[()]


def period_index(starts: Any, origin: Any, kind: str) -> NDArray[np.int64]:
    """How many periods each start lies after `origin` (negative: before).

    >>> period_index(np.array(["2026-01-01", "2025-11-01"], dtype="datetime64[D]"), "2026-01-01", "month").tolist()
    [0, -2]
    """
    days, first = start_of(starts, kind), start_of(origin, kind)
    if kind == "week":
        return np.asarray((days - first).astype(np.int64) // 7)
    months = (days.astype("datetime64[M]") - first.astype("datetime64[M]")).astype(np.int64)
    return np.asarray(months // (3 if kind == "quarter" else 1))


def period_range(first: Any, last: Any, kind: str) -> Periods:
    """All periods from `first` to `last`, both included; empty when `last` lies before `first`."""
    n = int(period_index(last, first, kind)[()]) + 1
    return np.asarray(shift(first, np.arange(max(n, 0)), kind))


def period_days(starts: Any, kind: str) -> NDArray[np.int64]:
    """Number of days in each period."""
    return np.asarray((np.asarray(shift(starts, 1, kind)) - start_of(starts, kind)).astype(np.int64))


def log_days(starts: Any, kind: str) -> NDArray[np.float64]:
    """log of each period's days over the mean days of such periods."""
    return np.asarray(np.log(period_days(starts, kind) / DAYS_PER_PERIOD[kind]))


def season_of(starts: Any, kind: str) -> NDArray[np.int64]:
    """Place in the year: month 0..11, quarter 0..3, week 0..52 (ISO week less one)."""
    days = start_of(starts, kind)
    if kind == "week":
        return np.asarray(_iso_week_of_year(days) - 1)
    months = days.astype("datetime64[M]").astype(np.int64) % 12
    return np.asarray(months // 3 if kind == "quarter" else months)


def periods_per_year(kind: str) -> int:
    """12 months, 52 weeks or 4 quarters."""
    return PERIODS_PER_YEAR[kind]
