"""The chapters on customers: their sentences and tables say what the tables hold, and are not there without them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from posterior_fixture import DELAYS, PLAN, RATES, TWO, case, history, posterior, study

from forecast.history import audit_history, common_mistakes
from forecast.outlook import customer_measures, flow_of, gap_table, told
from forecast.report.document import Page, Report
from forecast.report.pages.economics import (
    customers_page,
    market_page,
    market_sentence,
    mistakes_page,
    months,
    next_points,
    unit_sentence,
)
from forecast.report.pdf import document
from forecast.results import Results, economics_table, economics_totals
from forecast.tables import check_table
from forecast.words import chance, text
from tests.tables_fixture import plausible_tables

PAGES = (customers_page, market_page, mistakes_page)


def made(rates: dict[str, Any] | None = None, **economics: Any) -> Results:
    """A bundle with the tables of a small company, whose leads cost less in the channel with the dearer customers."""
    past = history({**TWO, "revenue": [25_000, 10_000]})
    known = posterior(
        past, rates or RATES, draws=200, delays=DELAYS, traffic=[1000.0, 400.0], elasticity=[0.3, 0.6]
    )
    asked = study(economics={"gross_margin": 0.6, **economics}, funnel={"market": "b2b"})
    now = case(known, past, PLAN, asked)
    flow = flow_of(now)
    unit = economics_table(past, flow, 0.6, {}, customer_measures(now, flow, seed=1))
    base = plausible_tables()
    return replace(
        base,
        study=replace(base.study, lifetime=told(asked)),
        economics=unit,
        benchmarks=gap_table(now, flow),
        mistakes=check_table(
            common_mistakes(past, asked, audit_history(past, asked), economics=unit), "mistake"
        ),
    )


def written(*pages: Page) -> list[dict[str, Any]]:
    """Pages as the PDF has them, in nothing but what JSON knows."""
    made = document(Report("", "", "", "REVIEW", pages))["pages"]
    json.dumps(made, allow_nan=False)
    return made


def test_three_pages_with_the_numbers_of_the_tables():
    """Cost, worth, chance and payback of a customer; each rate twice; seven mistakes; words for the figure."""
    tables = made(retention={"mean": 0.8, "sd": 0.05}, sales_cost=1_000.0)
    customers, market, mistakes = written(*(page(tables) for page in PAGES))
    assert [page["title"] for page in (customers, market, mistakes)] == [
        "Unit economics of a customer",
        "Against the market",
        "Seven common mistakes",
    ]
    first, second = customers["parts"]
    assert first["figure"]["svg"].startswith("<?xml")
    assert len(first["figure"]["alt"]) > 40
    assert [row["cells"][0] for row in second["tables"][0]["rows"]] == ["one", "two", "total"]
    assert "retention of 73 to 86\xa0% a year (80\xa0%)" in second["note"]
    totals = economics_totals(tables.economics)
    assert f"with a probability of {chance(totals['p_ltv_cac_3'])}" in first["lead"]
    assert len(market["parts"][0]["tables"][0]["rows"]) == 6
    assert len(mistakes["parts"][0]["tables"][0]["rows"]) == 7


def test_a_cost_that_never_comes_back_says_so():
    """An infinite payback is a word, and no number reaches the page that JSON cannot hold."""
    tables = made({"leads": 0.05, "qualified": 0.4, "won": 0.01})
    (customers,) = written(customers_page(tables))
    cells = customers["parts"][1]["tables"][0]["rows"][0]["cells"]
    assert "never" in [cell if isinstance(cell, str) else cell.get("t") for cell in cells]
    assert "never to never" not in str(cells)
    assert "does not come back within the lifetime" in customers["parts"][0]["lead"]


def test_there_are_no_pages_without_their_tables():
    """A bundle from before has none of them."""
    assert [page(plausible_tables()) for page in PAGES] == [None, None, None]


def test_the_sentence_names_cost_worth_chance_and_payback():
    """The guide's healthy company in words; without sales cost it says that it is marketing alone."""
    band = {"q10": 2_400.0, "mean": 3_000.0, "q90": 3_600.0}
    rows = {
        "cac": band, "ltv": {"mean": 9_000.0}, "ltv_cac": {"q10": 2.5, "mean": 3.0, "q90": 3.75},
        "p_ltv_cac_3": {"mean": 0.5}, "payback_months": {"q50": 10.0},
    }  # fmt: skip
    said = text(unit_sentence(rows, "EUR")).replace("\u202f", "").replace("\xa0", " ")
    assert said == (
        "A customer costs 3000 EUR in marketing (80 % band 2400 to 3600 EUR). It is worth 9000 EUR: LTV / CAC is 3.0 "
        "(2.5 to 3.8), at least 3 with a probability of 50 %. The cost is back after 10 months."
    )
    assert str(months(0.0)) == "the first payment"


def test_points_name_money_that_is_lost_and_cheap_leads():
    """Marginal LTV/CAC surely below 1; a channel likely cheap and dear; the next customer against the average."""
    by = {
        "one": {"marginal_ltv_cac": {"q90": 0.9}, "p_cheap_but_dear": {"mean": 0.95}},
        "two": {"marginal_ltv_cac": {"q90": 1.4}, "p_cheap_but_dear": {"mean": 0.1}},
        "total": {"marginal_cac": {"mean": 4_000.0}, "cac": {"mean": 2_000.0}},
    }
    points = [text(point) for point in next_points(by, "EUR")]
    assert len(points) == 3
    assert "2.0 times the average" in points[0].replace("\xa0", " ")
    assert points[1].endswith("in one.")
    assert points[2].startswith("Cheap leads that become dear customers: one (95")


def test_the_market_is_told_by_its_largest_gap():
    """Qualification of 15 % is clearly below; it is where the largest gain lies."""
    tables = made({"leads": 0.03, "qualified": 0.15, "won": 0.25})
    said = text(market_sentence(tables))
    assert said.startswith("Clearly below the published range: the rate into qualified.")
    assert "The largest gain lies in the rate into qualified" in said
    assert [part.title for part in market_page(tables).parts] == ["", "Clearly below the range"]


@pytest.mark.parametrize("value", [1.0, np.inf])
def test_totals_for_the_summary(value):
    """Bands by measure; probabilities alone; infinity stays what it is until JSON makes it null."""
    rows = [
        ("total", "payback_months", "months", value),
        ("total", "p_ltv_cac_3", "probability", 0.4),
        ("one", "cac", "currency", 1.0),
    ]
    table = pd.DataFrame(rows, columns=["channel", "measure", "unit", "mean"])
    table = table.assign(q10=table["mean"], q50=table["mean"], q90=table["mean"])
    found = economics_totals(table)
    assert found == {
        "payback_months": dict.fromkeys(("mean", "q10", "q50", "q90"), value),
        "p_ltv_cac_3": 0.4,
    }
