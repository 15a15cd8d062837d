"""Of very many channels paper shows the largest and says how many more there are; of few it shows all."""

from __future__ import annotations

from typing import Any

import pytest

from forecast.report.document import Listing, Part
from forecast.report.pages.budget import budget_page
from forecast.report.pages.economics import customers_page, funnel_page
from forecast.report.pages.evidence import evidence_page
from forecast.report.pages.largest import MOST_CHANNELS, largest, left_out, on_paper, only
from forecast.results import Results
from forecast.words import some_of_many, text
from tests.tables_fixture import plausible_tables

MANY = [f"channel {i}" for i in range(23)]
NOTE = "The 20 largest channels; 3 more in report.xlsx."


@pytest.fixture(scope="module")
def many() -> Results:
    """A bundle of more channels than a table has."""
    return plausible_tables(channels=MANY)


def parts_of(made: Any) -> list[Part]:
    """All that stands under channels in the chapters that show them one by one."""
    pages = (funnel_page(made), budget_page(made), customers_page(made), evidence_page(made))
    return [part for page in pages if page is not None for part in page.parts]


def named(table: Listing) -> list[str]:
    """The channels in the first column."""
    return [str(row.cells[0]) for row in table.rows if str(row.cells[0]).startswith("channel ")]


def test_many_channels_are_few_on_paper(many: Results):
    """No table or figure has a row for each of 23, and what is left out is said beside it."""
    parts = parts_of(many)
    tables = [(part, names) for part in parts for table in part.listings if (names := named(table))]
    assert len(tables) >= 4
    for part, names in tables:
        assert len(names) == MOST_CHANNELS
        assert NOTE in text(part.note) or any(
            "3 others" in text(row.cells[0]) for row in part.listings[0].rows
        )  # type: ignore[arg-type]
    figures = [part.figure.draw().svg() for part in parts if part.figure is not None]
    assert len(figures) >= 3
    assert all(sum(f">{name}<" in svg for name in MANY) <= MOST_CHANNELS for svg in figures)


def test_few_channels_are_all_there():
    """Twenty have a row each, and nothing is said of others."""
    parts = parts_of(plausible_tables(channels=MANY[:MOST_CHANNELS]))
    for part in parts:
        assert "more in report.xlsx" not in text(part.note)
        for table in part.listings:
            assert len(named(table)) in (0, MOST_CHANNELS)


def test_the_largest_are_shown_in_their_order(many: Results):
    """By what they bring; the total is none of them, and stays in the rows."""
    frame = many.forecast
    whole = frame[
        (frame["period"] == "total") & (frame["measure"] == "revenue") & (frame["channel"] != "total")
    ]
    most = set(whole.nlargest(MOST_CHANNELS, "mean")["channel"])
    shown = on_paper(many, ["total", *MANY])
    assert shown == [name for name in MANY if name in most]
    assert set(only(frame, shown)["channel"]) == {*most, "total"}
    assert largest(["a", "b", "total", "c"], [1.0, 3.0, 9.0, 2.0], 2) == ["b", "c"]
    assert text(left_out(MANY, shown)) == NOTE
    assert left_out(MANY, MANY) == ""


def test_the_others_make_the_split_whole(many: Results):
    """The rows of the recommended split, the others among them, add up to its total."""
    [table] = [part.listings[0] for part in budget_page(many).parts if part.listings]

    def amount(cell: Any) -> float:
        return float(text(cell).replace("\u202f", "").replace("\xa0", "").replace("\N{MINUS SIGN}", "-"))

    *rows, total = [amount(row.cells[1]) for row in table.rows]
    assert sum(rows) == pytest.approx(total, abs=len(rows))


@pytest.mark.parametrize("most", [3, 12])
def test_a_sentence_names_some(most: int):
    """The first ones, and how many more."""
    said = some_of_many(MANY, most)
    assert said[:most] == MANY[:most]
    assert text(said[most]) == f"{23 - most}\xa0more"
    assert some_of_many(MANY[:most], most) == MANY[:most]
