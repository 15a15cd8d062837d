"""Numbers as people type them: one reading is taken, two are refused with both."""

from __future__ import annotations

import doctest

import pytest

from forecast import amounts


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("120000", 120_000), ("120000.5", 120_000.5), ("120000,5", 120_000.5), ("1234.567", 1234.567), ("0.125", 0.125),
        ("0,125", 0.125), ("1 200,50", 1200.5), ("1\u202f200.50", 1200.5), ("1.200.000", 1_200_000),
        ("1,200,000", 1_200_000), ("1.200.000,25", 1_200_000.25), ("1,200,000.25", 1_200_000.25),
        ("1\u2019200", 1200), ("1_000,5", 1000.5), (" 7 ", 7), ("-0,5", -0.5), (".5", 0.5), ("5.", 5),
    ],
)  # fmt: skip
def test_what_can_only_be_one_number_is_read(text: str, number: float):
    """With a point or a comma, with any mark between thousands."""
    assert amounts.number_of(text) == number


@pytest.mark.parametrize(
    "text",
    ["120.000", "1,200", "12 00", "1.20.000", "1,200.50.1", "120k", "EUR 120", "nan", "inf", "", "1e999"],
)
def test_what_is_no_number_or_could_be_two_is_not(text: str):
    """Neither ambiguous, nor broken, nor with words."""
    assert amounts.number_of(text) is None


@pytest.mark.parametrize(
    ("text", "both"),
    [("120.000", ("120000", "120.0")), ("1,125", ("1125", "1.1250")), ("12.500", ("12500", "12.5"))],
)
def test_both_readings_are_written_without_doubt(text: str, both: tuple[str, str]):
    """Each way out is read as what it stands for."""
    assert amounts.two_ways(text) == both
    decimal = float(text.replace(",", "."))
    assert [amounts.number_of(way) for way in both] == [1000 * decimal, decimal]


def test_the_examples_hold():
    """Those of the docstrings."""
    assert doctest.testmod(amounts).failed == 0
