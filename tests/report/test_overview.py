"""The two pages to decide on: rows that add up as they are shown, the largest channels, checks in plain words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables_fixture import plausible_tables

from forecast.checks import Check, Verdict
from forecast.report.contents import report_of
from forecast.report.document import Listing, adding_up
from forecast.report.pages.horizon import horizon_page
from forecast.report.pages.overview import overview_page
from forecast.report.pdf import document
from forecast.results import Results
from forecast.words import text, typed

AMOUNTS = st.floats(-1e9, 1e9).map(lambda x: round(x, 2))


def shown(cell: object) -> float:
    """The number that a cell shows."""
    return float(typed(cell).replace(" ", "").replace("+", "").replace("-", "-") or 0.0)


def listing_of(made: Results, title: str) -> Listing:
    """The listing of a part of the front page."""
    part = next(part for part in overview_page(made).parts if text(part.title) == title)
    return part.listings[0]


@given(AMOUNTS, st.lists(AMOUNTS, min_size=1, max_size=8))
def test_rounded_reasons_still_add_up(came, changes):
    """Each is rounded to three digits of the larger end, off by at most one step more, and the sum holds."""
    column = {"came": came, **{f"c{i}": x for i, x in enumerate(changes)}, "forecast": came + sum(changes)}
    rounded = adding_up(column)
    step = 10.0 ** (len(str(int(max(abs(came), abs(column["forecast"]), 1.0)))) - 3)
    parts = sum(x for name, x in rounded.items() if name not in ("came", "forecast"))
    assert rounded["came"] + parts == pytest.approx(rounded["forecast"], abs=1e-6 * max(step, 1.0))
    assert all(abs(rounded[name] - x) <= 1.51 * max(step, 1e-9) for name, x in column.items())


def test_the_reasons_of_the_front_page_add_up():
    """As printed: what came then and every change are what is expected now, which is the headline."""
    made = plausible_tables()
    rows = listing_of(made, "The forecast beside the past").rows
    *parts, last = [shown(row.cells[1]) for row in rows]
    assert sum(parts) == pytest.approx(last)
    assert last == pytest.approx(made.headline["revenue_mean"], rel=0.005)


@pytest.mark.parametrize("channels", [7, 50])
def test_the_budget_of_the_front_page_adds_up(channels):
    """Of many channels those that move the most, the others in one row; the rows are the total."""
    made = plausible_tables(channels=[f"c{i}" for i in range(channels)])
    rows = listing_of(made, "What to do").rows
    assert len(rows) == (channels + 1 if channels < 10 else 10)
    for column in (1, 2):
        *parts, total = [shown(row.cells[column]) for row in rows]
        assert sum(parts) == pytest.approx(total, abs=0.6 * len(rows))
    assert total == pytest.approx(made.allocation["recommended"].sum(), abs=0.6)


def test_checks_are_told_in_plain_words():
    """Where a check has plain words they stand alone on page 1; name, value and threshold are evidence."""
    check = Check(
        "law of the deals", "REVIEW", "cv 1.4", "means hold", "cv of at most 1", "Your deals differ in size."
    )
    made = replace(plausible_tables(), verdict=Verdict("REVIEW", "Usable.", [check]))
    front, *_ = document(report_of(made))["pages"]
    told = front["parts"][0]["verdict"]["failing"][0]
    assert told["name"] == ""
    assert told["said"] == "Your deals differ in size."


def test_the_second_page_says_what_is_assumed():
    """Margin, delays, what answers to spend by assumption; every month with the measure and its bands."""
    made = plausible_tables(horizon=3)
    parts = {text(part.title): part for part in horizon_page(made).parts}
    heads = [text(row.cells[0]) for row in parts["What is assumed"].listings[0].rows]
    assert heads[:2] == ["Spend", "Gross margin"]
    assert {"Delays", "Response to spend"} <= set(heads)
    months = parts[""].listings[0]
    assert [text(row.cells[0]) for row in months.rows] == [*made.study.horizon, "whole horizon"]
    *parts_of, whole = [shown(row.cells[1]) for row in months.rows]
    assert sum(parts_of) == pytest.approx(whole, abs=2)
