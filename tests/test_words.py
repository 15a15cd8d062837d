"""Numbers, names and messages as text: rounding, marks, templates, and the signs that a terminal keeps."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import words
from forecast.checks import Check, Verdict
from forecast.words import NBSP, THIN, message, text, together, typed


def plain(said: words.Text) -> str:
    """The text with ordinary spaces."""
    return text(said).replace(NBSP, " ").replace(THIN, " ")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (181_338.6, "181 000"),
        (8.4242, "8.42"),
        (0.0, "0"),
        (-1_900, "−1 900"),
        (999.6, "1 000"),
        (1_234_567, "1 230 000"),
        (0.00123, "0.00123"),
        (-0.0, "0"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_numbers_keep_three_digits(value, expected):
    """A number is written to three significant digits, thousands apart, a missing one as a dash."""
    assert expected == plain(words.number(value))


def test_amounts_that_someone_decides_keep_every_unit():
    """A budget is not rounded: its parts add up to its sum."""
    assert "12 867 EUR" == plain(words.money(12_867.36, "EUR", exact=True))
    assert "+1 200" == plain(words.signed(1200.2))
    assert "−800" == plain(words.signed(-800.0))
    assert "0" == words.signed(0.3)


def test_both_ends_of_a_band_are_rounded_alike():
    """The larger end decides the rounding, so that no end promises more than the other."""
    assert "−1 900 to 19 700 EUR" == plain(words.band(-1_912.0, 19_711.0, "EUR"))
    assert "2.6 to 3.7 %" == plain(words.percent_band(0.0263, 0.0371))
    assert "47–64 %" == plain(words.tight(words.percent_band(0.47, 0.64)))
    assert "−5 to 12" == plain(words.tight(words.count_band(-5.0, 12.0)))


@pytest.mark.parametrize(
    ("p", "expected"),
    [(0.0, "below 1 %"), (0.414, "41 %"), (0.9999, "above 99 %"), (0.01, "1 %"), (None, "–")],
)
def test_no_probability_is_certain(p, expected):
    """A simulated share of 0 or 1 is not said to be impossible or sure."""
    assert expected == plain(words.chance(p))


@settings(max_examples=60, deadline=None)
@given(st.floats(allow_nan=True, allow_infinity=True, width=64))
def test_every_float_can_be_written(value):
    """No number, however large or small, stops a report."""
    for write in (words.number, words.percent, words.chance, words.count, words.whole):
        assert write(value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=60), unique=True, max_size=12))
def test_short_names_fit_and_stay_apart(names):
    """Cut names are within the width and no two channels become one, unless cleaning made them equal letters."""
    short = words.short_names(names, 12)
    assert list(short) == names
    assert all(len(s) <= 12 for s in short.values())
    assert len(set(short.values())) == len(names)


def test_what_rounds_up_has_no_digit_more():
    """To two digits 0.998 and 1.01 read alike."""
    assert [plain(message("{x:number.2}", x=x)) for x in (0.994, 0.998, 1.01, 9.96)] == [
        "0.99",
        "1.0",
        "1.0",
        "10",
    ]


STEERING = "\x00\x07\x1b\x7f\x9b\u202e\u2066\ud800\ufffe"


def test_signs_that_steer_are_written_out():
    """Within a line a break is a space; control characters and turns of direction read as TOML and JSON write them."""
    assert words.clean("a\nb\0c\u202ed") == r"a b\u0000c\u202ed"
    assert words.clean("\ud800") == r"\ud800"
    assert words.visible("a\tb\nc\x9b[2J") == "a\tb\nc" + r"\u009b[2J"
    joined = (
        "\U0001f469\u200d\U0001f467 ❤\ufe0f \u05d0\u200f"  # joiners, selectors and marks are part of the text
    )
    assert words.clean(joined) == words.visible(joined) == joined


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=20), st.sampled_from(STEERING))
def test_no_field_of_a_message_steers(said, sign):
    """Whatever stands in a field, the message is one line without a sign that acts, and can be written as UTF-8."""
    for field in (said + sign, [said + sign], (sign, said)):
        read = typed(message("{x} {x:clean}", x=field)) + text(message("{x}", x=field))
        read += typed(message("{x:list}; {x:listed}", x=list(field)))
        assert words.visible(read) == read
        assert len(read.splitlines()) <= 1
        read.encode()


def test_a_message_keeps_its_numbers_until_it_is_read():
    """Writers by name, digits behind a point, pairs as bands, a space that does not break, messages in messages."""
    inner = message("{x:number.2}~{cur}", x=1234.5, cur="EUR")
    said = message("{inner} ({ends:band}), {p:brief} or {q:chance}: {names:listed}", inner=inner, ends=(950.0, 1500.0),
                   p=0.999, q=0.001, names=["a", message("b{n:whole}", n=2)])  # fmt: skip
    assert (
        text(said)
        == f"1{THIN}200{NBSP}EUR (950 to 1{THIN}500), >{NBSP}99{NBSP}% or below{NBSP}1{NBSP}%: a and b2"
    )
    assert said.values["ends"] == (950.0, 1500.0)
    assert text(message("{a:tight_percent}", a=(0.02, 0.05))) == f"2.0–5.0{NBSP}%"
    assert text(message("{a:sentence}", a=message("move {n:whole} now", n=2000))) == f"Move 2{THIN}000 now."
    assert text(together("", message("")).template or "nothing") == "nothing"


def test_a_writer_that_nobody_knows_is_an_error():
    """A typing mistake in a template is seen by its first reader."""
    with pytest.raises(ValueError, match="no writer 'numbre'"):
        text(message("{x:numbre}", x=1.0))


@pytest.mark.parametrize(
    ("writer", "value", "expected"),
    [
        ("change", 0.424, "+42 %"),
        ("change", -0.176, "−18 %"),
        ("change", 0.0, "0 %"),
        ("change", math.nan, "–"),
        ("exact_percent", 1 / 3, "33.3 %"),
        ("exact_percent", 0.03, "3 %"),
        ("whole_band", (3694.2, 4925.9), "3 694 to 4 926"),
        ("between", (217_456.0, 370_104.0), "217 000 and 370 000"),
        ("tight_count", (4.2, 11.0), "4–11"),
        ("tight.2", (0.4, 0.575), "0.40–0.57"),
    ],
)
def test_writers_of_templates(writer, value, expected):
    """Changes carry their sign, rates as they were given, pairs rounded alike."""
    assert plain(message(f"{{x:{writer}}}", x=value)) == expected


def test_what_is_typed_is_plain():
    """No sign that a terminal, a log or a paste may lose: spaces, hyphens, no soft hyphen."""
    said = message("{x:whole}~EUR, {y:tight}, Recom\N{SOFT HYPHEN}mended", x=-12_000.0, y=(1.0, 2.0))
    assert typed(said) == "-12 000 EUR, 1.00-2.00, Recommended"


def test_a_verdict_as_plain_text():
    """The keys of summary.json in their order; what failed comes before what wants a look."""
    checks = [
        Check("a", "REVIEW", message("{x:.0%}", x=0.5), "look", "PASS"),
        Check("b", "PASS", "1"),
        Check("c", "FAIL", message("{n:whole}", n=1234), "mend", message("above {n:whole}", n=2000)),
    ]
    made = Verdict("FAIL", message("no"), checks)
    assert [check.name for check in made.failing] == ["c", "a"]
    assert made.checks[0].expected == ""
    told = made.told()
    assert list(told) == ["status", "sentence", "checks"]
    assert told["checks"][2] == {
        "name": "c", "value": "1 234", "threshold": "above 2 000", "status": "FAIL", "advice": "mend",
    }  # fmt: skip
