"""Periods: what people write for months, weeks and quarters, and the arithmetic on them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.periods import (
    KINDS,
    parse_period,
    period_days,
    period_index,
    period_label,
    period_range,
    season_of,
    shift,
    start_of,
)

DAYS = st.dates(dt.date(1971, 1, 1), dt.date(2100, 12, 31))
KIND = st.sampled_from(KINDS)


@pytest.mark.parametrize(
    ("text", "kind", "start"),
    [
        ("2026-03", "month", "2026-03-01"),
        (" 2026-03 ", "month", "2026-03-01"),
        ("2026-03-17", "month", "2026-03-01"),
        ("2026-03-17T10:11:12", "month", "2026-03-01"),
        ("2026-03-17 10:11", "month", "2026-03-01"),
        ("2026-W09", "week", "2026-02-23"),
        ("2026w09", "week", "2026-02-23"),
        ("2026-03-01", "week", "2026-02-23"),
        ("2020-W53", "week", "2020-12-28"),
        ("2021-01-03", "week", "2020-12-28"),
        ("2026Q1", "quarter", "2026-01-01"),
        ("2026-q4", "quarter", "2026-10-01"),
        ("2026-05", "quarter", "2026-04-01"),
        ("2026-06-30", "quarter", "2026-04-01"),
    ],
)
def test_every_spelling_is_read(text: str, kind: str, start: str) -> None:
    """Each spelling of the contract gives the first day of its period."""
    assert parse_period(text, kind) == np.datetime64(start, "D")
    assert parse_period(text, kind).dtype == np.dtype("datetime64[D]")


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("2026", "month", "is not a month"),
        ("March 2026", "month", "2026-03"),
        ("03/2026", "month", "is not a month"),
        ("2026-13", "month", "is not a month"),
        ("2026-02-30", "month", "is not a month"),
        ("2026Q1", "month", "is a quarter, and one month is needed"),
        ("2026-W09", "month", "is a week, and one month is needed"),
        ("2026-03", "week", "is a month, and one week is needed"),
        ("2026-W54", "week", "is not a week"),
        ("2021-W53", "week", "is not a week"),
        ("2026-W00", "week", "is not a week"),
        ("2026Q5", "quarter", "is not a quarter"),
        ("2026-W09", "quarter", "is a week, and one quarter is needed"),
        ("", "month", "is not a month"),
    ],
)
def test_what_is_no_period_is_refused_with_the_remedy(text: str, kind: str, words: str) -> None:
    """A text that names no period, or a coarser one, is refused and the message shows how to write it."""
    with pytest.raises(ValueError, match=words) as caught:
        parse_period(text, kind)
    assert "write it as" in str(caught.value)


@given(DAYS, KIND)
def test_label_and_parse_are_inverse(day: dt.date, kind: str) -> None:
    """Reading a period's label gives its first day again."""
    start = start_of(day, kind)[()]
    assert parse_period(period_label(start, kind), kind) == start


@given(DAYS)
def test_weeks_agree_with_the_standard_library(day: dt.date) -> None:
    """ISO weeks are those of `datetime.date.isocalendar`."""
    year, week, weekday = day.isocalendar()
    assert period_label(day, "week") == f"{year:04d}-W{week:02d}"
    assert start_of(day, "week")[()] == np.datetime64(day - dt.timedelta(weekday - 1), "D")
    assert season_of(day, "week")[()] == week - 1


@given(DAYS, st.integers(-60, 60), KIND)
def test_shift_and_index_are_inverse(day: dt.date, n: int, kind: str) -> None:
    """Going n periods on and counting back gives n; a range holds exactly those between."""
    start = start_of(day, kind)[()]
    moved = shift(start, n, kind)
    assert period_index(moved, start, kind)[()] == n
    assert shift(moved, -n, kind) == start
    assert period_range(start, moved, kind).size == max(n + 1, 0)


@given(DAYS, KIND)
def test_periods_tile_the_calendar(day: dt.date, kind: str) -> None:
    """Each day is in one period: the next starts where the one before ends."""
    start = start_of(day, kind)[()]
    inside = (np.datetime64(day, "D") - start).astype(int)
    assert 0 <= inside < period_days(start, kind)[()]
    assert start_of(start, kind)[()] == start


def test_lengths_and_seasons_of_a_year() -> None:
    """A leap year by months and quarters: lengths, season numbers."""
    months = period_range("2024-01-01", "2024-12-01", "month")
    assert period_days(months, "month").tolist() == [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert season_of(months, "month").tolist() == list(range(12))
    quarters = period_range("2024-01-01", "2024-10-01", "quarter")
    assert period_days(quarters, "quarter").tolist() == [91, 91, 92, 92]
    assert season_of(quarters, "quarter").tolist() == [0, 1, 2, 3]


def test_blank_dates_stay_blank() -> None:
    """NaT is not turned into a period."""
    for kind in KINDS:
        assert np.isnat(start_of(np.array(["NaT", "2026-01-05"], dtype="datetime64[D]"), kind)).tolist() == [
            True,
            False,
        ]
