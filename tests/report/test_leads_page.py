"""The chapter on leads: sentences, tables and figures of segments and of leads that flow back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import posterior_fixture as fixture
import pytest
from lead_fixture import write_study

import forecast
from forecast.history import read_history
from forecast.lab import make_leads
from forecast.leads import segment_tables
from forecast.outlook import with_recycling
from forecast.report.contents import report_of
from forecast.report.pages.leads import flow_sentence, leads_page, segment_sentence
from forecast.report.workbook import write_workbook
from forecast.results import FlowBack, Segments
from forecast.study import load_study
from forecast.words import text
from tests.tables_fixture import plausible_tables


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of a report with the segments and the flow back of a made company."""
    world = make_leads(np.random.default_rng(41), size=1500, returns=(0.15, 70.0, 0.3))
    more = '\n[segments]\ncolumn = "temperature"\n\n[nurturing]\n'
    study = load_study(write_study(tmp_path_factory.mktemp("r"), world, more))
    history = read_history(study)
    rates, delays = {"qualified": 0.4, "won": 0.3}, {"qualified": (0.6, 0.8), "won": (1.6, 0.8)}
    known = fixture.posterior(history, rates, draws=100, delays=delays, traffic=40.0)
    plan = np.zeros((3, len(history.channels)))
    _, flow = with_recycling(fixture.case(known, history, plan, study), seed=1)
    return replace(
        plausible_tables(),
        segments=Segments.of(segment_tables(study, history, np.random.default_rng(1))),
        recycling=FlowBack.of(flow),
    )


def test_the_page_stands_where_it_is_asked_for_and_nowhere_else(tables):
    """Four parts with both; none of it in a report without."""
    assert [text(part.title) for part in leads_page(tables).parts] == [
        "By temperature",
        "Rates by segment",
        "If the mix shifts",
        "Leads that flow back",
    ]
    assert leads_page(plausible_tables()) is None
    titles = [page.title for page in report_of(tables).pages]
    assert titles[:4] == ["", "The forecast period by period", "Contents", "Where it comes from"]
    assert titles[-3:] == ["Leads: segments and nurturing", "Evidence", "Words"]


def test_sentences_say_what_the_tables_hold(tables):
    """Best and worst segment by worth; whether the flow back is learnt or assumed."""
    said = text(segment_sentence(tables.segments, "EUR"))
    worth = tables.segments.worth.set_index("segment")["worth_mean"]
    assert f"most in {worth.idxmax()}" in said
    assert f"least in {worth.idxmin()}" in said
    assert "learnt from" in text(flow_sentence(tables.recycling))
    told = replace(tables.recycling, facts={**tables.recycling.facts, "learnt": False})
    assert "assumed by the study" in text(flow_sentence(told))


def test_without_deal_values_chances_are_told(tables):
    """No money in the sentence, no column of money."""
    shift = tables.segments.shift
    shift = shift.drop(columns=[c for c in shift if c.startswith("revenue")])
    bare = replace(tables.segments, valued=False, shift=shift)
    assert "EUR" not in text(segment_sentence(bare, "EUR"))
    page = leads_page(replace(tables, segments=bare))
    assert len(page.parts[0].listings[0].heads) == 4


def test_the_workbook_has_a_sheet_for_each_table(tables, tmp_path):
    """Segments, rates, mix, shifts and the flow back."""
    write_workbook(tables, tmp_path / "r.xlsx", created=pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime())
    sheets = pd.read_excel(tmp_path / "r.xlsx", sheet_name=None, engine="calamine")
    assert {"Segment rates", "Segments", "Segment mix", "Segment shifts", "Flowing back"} <= set(sheets)
    assert len(sheets["Segment mix"]) == len(tables.segments.mix)


@pytest.mark.slow
def test_a_forecast_has_both_where_the_study_asks_and_the_same_numbers_twice(tmp_path):
    """More is qualified and won with nurturing; both tables are there, and the same each time."""
    world = make_leads(np.random.default_rng(42), size=800, returns=(0.3, 60.0, 0.5))
    more = '\n[segments]\ncolumn = "temperature"\n\n[nurturing]\n'
    study = load_study(write_study(tmp_path, world, more))
    history = read_history(study)
    known = fixture.posterior(
        history,
        {"qualified": 0.4, "won": 0.3},
        draws=200,
        delays={"qualified": (0.3, 0.8), "won": (0.6, 0.8)},
        traffic=8.0,
    )
    one, two = (forecast.forecast(study, history, known) for _ in range(2))
    pd.testing.assert_frame_equal(one.segments.rates, two.segments.rates)
    pd.testing.assert_frame_equal(one.recycling.flow, two.recycling.flow)
    bare = study.model_copy(update={"nurturing": None, "segments": None})
    without = forecast.forecast(bare, history, known)
    assert without.segments is without.recycling is None
    for stage in ("qualified", "won"):
        assert one.draws[stage].sum() > 1.1 * without.draws[stage].sum()
