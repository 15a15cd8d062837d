from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

from forecast import words
from forecast.report import sentences
from forecast.words import text
from tests.tables_fixture import FOREIGN, HOSTILE, plausible_tables


def plain(said: words.Text) -> str:
    """The text with ordinary spaces."""
    return text(said).replace(words.NBSP, " ").replace(words.THIN, " ")


def test_the_recommendation_is_two_sentences_with_its_band():
    """What to do, then what it is worth: amount, channels, gain, band and probability."""
    tables = plausible_tables()
    said = plain(sentences.recommendation(tables))
    change = (tables.allocation["recommended"] - tables.allocation["current"]).set_axis(
        tables.allocation["channel"]
    )
    assert said.startswith(f"Move {plain(words.money(change.clip(lower=0).sum(), 'EUR'))} from ")
    assert change.idxmax() in said.split(" to ")[1]
    assert change.idxmin() in said.split(" to ")[0]
    assert "8 420 EUR of expected eventual contribution (80 % band −1 900 to 19 700 EUR; 81 % likely" in said
    assert 2 == said.count(". ") + said.endswith(".")


def test_no_material_change_is_said_first():
    """Where moving money is not worth it, the recommendation begins with that."""
    tables = plausible_tables(material=False)
    said = plain(sentences.recommendation(tables))
    assert said.startswith("No material change: keep the current split.")
    assert "likely to be above 1 % of what the current plan brings" in said
    assert "better than the current plan" not in said
    target = SimpleNamespace(certificate={"objective": "target"})
    aimed = plain(sentences.recommendation(replace(tables, decision=target)))
    assert aimed.startswith("No material change of the ")
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
    assert "short of it" in plain(sentences.target(tables.study, tables.headline | {"gap": 5.0}))
    assert "above it" in plain(sentences.target(tables.study, tables.headline | {"gap": -5.0}))
    none = plausible_tables(target=None)
    assert "The study sets no target." == plain(sentences.target(none.study, none.headline))


def test_rates_name_what_is_below_the_published_range():
    """Channel, stage and probability of the rates that are likely too low, the worst first."""
    table = plausible_tables().funnel
    table.loc[:, "p_below"] = 0.5
    table.loc[(table["channel"] == "ppc") & (table["stage"] == "won"), "p_below"] = 0.97
    assert plain(sentences.rates(table)).endswith("ppc into won (97 %).")
    assert (
        plain(sentences.rates(table.assign(p_below=0.1))) == "No rate is clearly below its published range."
    )
    assert "compare the channels" in plain(sentences.rates(table.assign(benchmark_low=math.nan)))


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
    evidence = tables.evidence.assign(assumed=[True, False])
    said = [plain(each) for each in sentences.caveats(tables.study, evidence)]
    assert said[0].startswith("Attributed is not incremental")
    assert any("mostly assumed" in s and "seo" in s and "ppc" not in s for s in said)


def test_hostile_names_pass_through_sentences_as_text():
    """Names are neither evaluated nor lost on the way into a sentence."""
    tables = plausible_tables(channels=HOSTILE + FOREIGN)
    beyond = tables.response.assign(observed_max=0.0)
    assert '#import "x"' in plain(sentences.response(beyond))
    assert "=cmd|' /C calc'!A0" in plain(sentences.response(beyond))


def test_another_question_than_a_fixed_budget_is_repeated_with_its_answer():
    """The mode comes first with the total; what it brings is said against the current plan."""
    tables = plausible_tables()
    asked = SimpleNamespace(certificate={"mode": "smallest budget that makes the target 60% likely"})
    said = plain(sentences.recommendation(replace(tables, decision=asked)))
    total = plain(words.whole(tables.allocation["recommended"].sum()))
    assert said.startswith(
        f"The smallest budget that makes the target 60% likely: {total} EUR over the horizon. Move"
    )
    assert "Against the current plan that is 8 420 EUR" in said
