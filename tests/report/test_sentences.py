from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.report import sentences
from forecast.report.sentences import NBSP, THIN
from tests.tables_fixture import FOREIGN, HOSTILE, plausible_tables


def plain(text: str) -> str:
    """The text with ordinary spaces."""
    return text.replace(NBSP, " ").replace(THIN, " ")


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
    assert expected == plain(sentences.number(value))


def test_amounts_that_someone_decides_keep_every_unit():
    """A budget is not rounded: its parts add up to its sum."""
    assert "12 867 EUR" == plain(sentences.money(12_867.36, "EUR", exact=True))
    assert "+1 200" == plain(sentences.signed(1200.2))
    assert "−800" == plain(sentences.signed(-800.0))
    assert "0" == sentences.signed(0.3)


def test_both_ends_of_a_band_are_rounded_alike():
    """The larger end decides the rounding, so that no end promises more than the other."""
    assert "−1 900 to 19 700 EUR" == plain(sentences.band(-1_912.0, 19_711.0, "EUR"))
    assert "2.6 to 3.7 %" == plain(sentences.percent_band(0.0263, 0.0371))
    assert "47–64 %" == plain(sentences.tight(sentences.percent_band(0.47, 0.64)))
    assert "−5 to 12" == plain(sentences.tight(sentences.count_band(-5.0, 12.0)))


@pytest.mark.parametrize(
    ("p", "expected"),
    [(0.0, "below 1 %"), (0.414, "41 %"), (0.9999, "above 99 %"), (0.01, "1 %"), (None, "–")],
)
def test_no_probability_is_certain(p, expected):
    """A simulated share of 0 or 1 is not said to be impossible or sure."""
    assert expected == plain(sentences.chance(p))


@settings(max_examples=60, deadline=None)
@given(st.floats(allow_nan=True, allow_infinity=True, width=64))
def test_every_float_can_be_written(value):
    """No number, however large or small, stops a report."""
    for write in (sentences.number, sentences.percent, sentences.chance, sentences.count, sentences.whole):
        assert write(value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=60), unique=True, max_size=12))
def test_short_names_fit_and_stay_apart(names):
    """Cut names are within the width and no two channels become one, unless cleaning made them equal letters."""
    short = sentences.short_names(names, 12)
    assert list(short) == names
    assert all(len(s) <= 12 for s in short.values())
    assert len(set(short.values())) == len(names)


def test_control_signs_and_writing_direction_are_taken_out():
    """A line break is a space, a NUL is shown, a mark that turns the line round is dropped."""
    assert "a b\N{REPLACEMENT CHARACTER}cd" == sentences.clean("a\nb\0c\u202ed")
    assert "\N{REPLACEMENT CHARACTER}" == sentences.clean("\ud800")


def test_the_recommendation_is_two_sentences_with_its_band():
    """What to do, then what it is worth: amount, channels, gain, band and probability."""
    tables = plausible_tables()
    said = plain(sentences.recommendation(tables.study, tables.headline, tables.allocation))
    change = (tables.allocation["recommended"] - tables.allocation["current"]).set_axis(
        tables.allocation["channel"]
    )
    assert said.startswith(f"Move {plain(sentences.money(change.clip(lower=0).sum(), 'EUR'))} from ")
    assert change.idxmax() in said.split(" to ")[1]
    assert change.idxmin() in said.split(" to ")[0]
    assert "8 420 EUR of expected eventual contribution (80 % band −1 900 to 19 700 EUR; 83 % likely" in said
    assert 2 == said.count(". ") + said.endswith(".")


def test_no_material_change_is_said_first():
    """Where moving money is not worth it, the recommendation begins with that."""
    tables = plausible_tables(material=False)
    assert sentences.recommendation(tables.study, tables.headline, tables.allocation).startswith(
        "No material change"
    )
    assert "Budget: no material change" == sentences.budget_title(tables.headline)


def test_money_that_stays_unspent_is_said_with_its_reason():
    """A recommendation that spends less than the total says how much is left and why."""
    tables = plausible_tables()
    cut = tables.allocation.assign(recommended=tables.allocation["current"] * 0.9)
    head = tables.headline | {
        "unspent": 5000.0,
        "unspent_reason": "the next unit brings back less than it costs",
    }
    said = plain(sentences.move(tables.study, head, cut))
    assert said.startswith("Spend ")
    assert "5 000 EUR stays unspent: the next unit brings back less than it costs." in said


def test_target_says_probability_and_gap():
    """P(target) and the distance of the middle forecast, on its right side; nothing without a target."""
    tables = plausible_tables()
    assert "met with a probability of 41 %" in plain(sentences.target(tables.study, tables.headline))
    assert "short of it" in sentences.target(tables.study, tables.headline | {"gap": 5.0})
    assert "above it" in sentences.target(tables.study, tables.headline | {"gap": -5.0})
    none = plausible_tables(target=None)
    assert "The study sets no target." == sentences.target(none.study, none.headline)


def test_rates_name_what_is_below_the_published_range():
    """Channel, stage and probability of the rates that are likely too low, the worst first."""
    table = plausible_tables().funnel
    table.loc[:, "p_below"] = 0.5
    table.loc[(table["channel"] == "ppc") & (table["stage"] == "won"), "p_below"] = 0.97
    assert sentences.rates(table).endswith(f"ppc into won (97{NBSP}%).")
    assert sentences.rates(table.assign(p_below=0.1)) == "No rate is clearly below its published range."
    assert "compare the channels" in sentences.rates(table.assign(benchmark_low=math.nan))


def test_the_bridge_says_the_share_of_the_open_pipeline():
    """73 % of the fixture's revenue comes from the pipeline, and its sentence says so."""
    tables = plausible_tables()
    assert plain(sentences.bridge(tables.study, tables.bridge)).startswith(
        "73 % of the revenue inside the horizon"
    )
    wins = plausible_tables(revenue=False)
    assert "73 % of the wins" in plain(sentences.bridge(wins.study, wins.bridge))


def test_caveats_name_the_channels_whose_elasticity_is_prior():
    """Weak evidence is named by channel; attribution is always said."""
    tables = plausible_tables(channels=("seo", "ppc"))
    evidence = tables.evidence.assign(evidence=[0.1, 0.9])
    said = sentences.caveats(tables.study, evidence)
    assert said[0].startswith("Attributed is not incremental")
    assert any("mostly assumed" in s and "seo" in s and "ppc" not in s for s in said)


def test_hostile_names_pass_through_sentences_as_text():
    """Names are neither evaluated nor lost on the way into a sentence."""
    tables = plausible_tables(channels=HOSTILE + FOREIGN)
    beyond = tables.response.assign(observed_max=0.0)
    assert '#import "x"' in sentences.response(beyond)
    assert "=cmd|' /C calc'!A0" in sentences.response(beyond)
