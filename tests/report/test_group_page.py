"""The page and the workbook of a group: what a reader could take for something else is said beside it."""

from __future__ import annotations

import pytest
from group_fixture import group, record

from forecast.checks import REVIEW, Check
from forecast.report.pages.group import front_lines, group_report, group_tables, units
from forecast.tables import CURRENCY
from forecast.words import Name, kept, message, speaking


def test_a_unit_that_failed_has_a_row_without_numbers() -> None:
    """Before the total, which it is not in; the first sheet of the workbook begins with it."""
    told = group(record("fi", 1), failed=[{"name": "dk", "exit_code": 3, "error": "dk.csv: no column won"}])
    rows = units(told).rows
    assert [str(row.cells[0]) for row in rows] == ["fi", "dk", "total"]
    assert [str(cell) for cell in rows[1].cells[1:3]] == ["", ""]
    assert str(front_lines(told)[0]).startswith("FAIL: 1 of 2 units failed")


def test_money_of_another_currency_is_shown_in_both() -> None:
    """So that nobody takes one for the other, on the page and in the workbook; the rate stands on the first sheet."""
    told = group(record("fi", 1), record("se", 2, currency="SEK"), rates={"SEK": 0.1})
    fi, se, whole = units(told).rows
    own = [str(cell) for cell in se.cells if "SEK" in str(cell)]
    assert own == [f"{CURRENCY.said(told['units'][1]['own_mean'])}\u00a0SEK"]
    assert not any("SEK" in str(cell) for row in (fi, whole) for cell in row.cells)
    row = told["units"][1]
    assert row["own_mean"] * row["rate"] == pytest.approx(row["mean"])
    assert "1\u00a0SEK is 0.1\u00a0EUR" in [str(line) for line in front_lines(told)]
    table = group_tables(told)[0]
    assert [r["unit"] for r in table.data] == ["fi", "se"]
    assert [r["mean"] for r in table.sums] == [told["headline"]["revenue_mean"]]


def test_of_many_units_the_largest_are_shown_and_the_others_add_up() -> None:
    """Every row of the page that has a mean adds up to the total."""
    told = group(*(record(f"unit-{n}", n, many=200) for n in range(1, 36)))
    rows = units(told).rows
    assert len(rows) == 31
    assert str(rows[29].cells[0]) == "6 others"
    means = sorted(u["mean"] for u in told["units"])
    assert str(rows[29].cells[1]) == str(CURRENCY.said(sum(means[:6])))
    assert str(rows[0].cells[1]) == str(CURRENCY.said(means[-1]))


def test_the_front_holds_the_units_where_they_are_few() -> None:
    """The table of many would not fit beside the figure; either way every part stands once."""
    for n, first in ((6, "By unit"), (7, "By period")):
        pages = group_report(group(*(record(f"unit-{i}", i, many=200) for i in range(n)))).pages
        heads = [str(part.title) for page in pages[:2] for part in page.parts if part.title]
        assert heads[1] == first
        assert len(set(heads)) == len(heads)
        assert {"By unit", "By period"} <= set(heads)


def test_units_are_called_as_they_are_named() -> None:
    """A sentence that begins with a name has no capital that nobody wrote."""
    plain = Check("fi", REVIEW, "x", "y", plain=message("{name}: {value}", name=Name("fi"), value="preview"))
    assert str(message("{plain:sentence}", plain=plain.plain)) == "fi: preview."


def test_what_to_look_at_is_said_in_the_language_of_the_page() -> None:
    """The names of checks are words of ours, also where a run kept them as plain text."""
    told = group(record("se", 2, status=REVIEW, checks=["extrapolation", kept(message("preview"))]))
    (row, _), (check,) = units(told).rows, told["verdict"].failing
    assert "extrapolation, preview" in [str(cell) for cell in row.cells]
    with speaking("fi"):
        assert "yli nähdyn, ennakkokatsaus" in [str(cell) for cell in row.cells]
        assert str(check.plain) == "se: yli nähdyn, ennakkokatsaus"
