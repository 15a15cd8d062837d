"""The workbook as Excel takes it: tables, names, dates, links of its own alone, totals apart."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import openpyxl
import pytest

from forecast.columns import TABLES
from forecast.report import write_workbook
from forecast.report.sheets import (
    ABOUT,
    CHECKED,
    GROUPS,
    JOINED,
    SAID_ELSEWHERE,
    decimals_of,
    in_coins,
    sheets_of,
)
from forecast.report.workbook import first_day, heads_of
from forecast.tables import Column
from forecast.words import clean, message, visible
from tests.tables_fixture import CHANNELS, FOREIGN, HOSTILE, STEERING, plausible_tables

CREATED = datetime(2026, 11, 1, tzinfo=UTC)
ODD = (*HOSTILE, *STEERING, *FOREIGN, "PPC", "ppc", "  ", "[x]", "Total")


@pytest.fixture(scope="module")
def made():
    """A company as any other."""
    return plausible_tables(past=12)


@pytest.fixture(scope="module")
def place(made, tmp_path_factory):
    """Its workbook."""
    path = tmp_path_factory.mktemp("book") / "report.xlsx"
    write_workbook(made, path, created=CREATED)
    return path


@pytest.fixture(scope="module")
def book(place):
    """The same, read by another hand."""
    return openpyxl.load_workbook(place)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """The workbook of a company whose channels have every name that could break one."""
    path = tmp_path_factory.mktemp("odd") / "report.xlsx"
    write_workbook(plausible_tables(channels=ODD, stages=("leads", "won"), past=12), path, created=CREATED)
    return path


def named(book, name: str):
    """The value of a named cell."""
    ((sheet, cell),) = book.defined_names[name].destinations
    return book[sheet][cell.replace("$", "")].value


def test_every_table_has_its_place():
    """Each table of the outputs stands on a sheet of its own, or with others on one, or is said elsewhere."""
    placed = {*ABOUT, *JOINED, *CHECKED, *SAID_ELSEWHERE}
    assert set(TABLES) <= placed
    assert {group for group, _ in ABOUT.values()} <= set(GROUPS)
    order = [GROUPS.index(group) for group, _ in ABOUT.values()]
    assert order == sorted(order)


def test_contents_first_with_a_link_to_each_sheet(book):
    """What each sheet is, how many rows it has, and a link that works: to a sheet that is there."""
    assert book.sheetnames[:2] == ["Contents", "Headline"]
    sheet = book["Contents"]
    links = {c.value: c.hyperlink.location for row in sheet.iter_rows() for c in row if c.hyperlink}
    assert list(links) == book.sheetnames[1:]
    assert all(location == f"'{name}'!A1" for name, location in links.items())
    for row in sheet.iter_rows(min_row=5):
        if row[0].hyperlink:
            assert row[1].value, row[0].value


@pytest.mark.parametrize("which", ["place", "odd"])
def test_tables_are_tables(which, request):
    """Excel's own: named, with a filter, headings that are text, not empty, and no two alike."""
    book = openpyxl.load_workbook(request.getfixturevalue(which))
    names: list[str] = []
    for sheet in book.worksheets[2:]:
        assert sheet.tables, sheet.title
        for table in sheet.tables.values():
            names.append(table.name.casefold())
            cells = sheet[table.ref][0]
            heads = [cell.value for cell in cells]
            assert heads == [column.name for column in table.tableColumns]
            assert all(isinstance(head, str) and head.strip() == head != "" for head in heads)
            assert len({head.casefold() for head in heads}) == len(heads)
            assert table.autoFilter.ref == table.ref
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+_table", name) for name in names)
    assert not {*names} & {name.casefold() for name in book.defined_names}


def test_headings_are_what_excel_takes():
    """Marks of its files are taken apart, doubles numbered, empty ones filled, long ones cut."""
    titles = ["ppc", "PPC", "", "_x0041_", "<r>rich</r>", "name " * 80, "two\nlines", "ﬁ", "fi"]
    heads = heads_of([Column(str(i), heading=message("{x}", x=title)) for i, title in enumerate(titles)])
    assert heads[:5] == ["ppc", "PPC (2)", "3", "x0041_", "< r>rich</r>"]
    assert max(map(len, heads)) <= 204
    assert heads[6:] == ["two lines", "ﬁ", "fi (2)"]


def test_totals_stand_outside_the_tables(book, made):
    """No row of a table sums up others; below it they stand; those of the forecast have a sheet of their own."""
    for sheet in book.worksheets[2:]:
        for table in sheet.tables.values():
            if table.name == "totals_table":
                continue
            for row in sheet[table.ref][1:]:
                assert not {"total", "revenue inside the horizon"} & {cell.value for cell in row}, sheet.title
    budget = book["Budget"]
    last = next(iter(budget.tables.values())).ref.split(":")[1]
    below = budget.cell(row=int(re.sub("[A-Z]", "", last)) + 2, column=1)
    assert below.value == "total"
    assert below.offset(column=2).value == pytest.approx(made.allocation["recommended"].sum())
    forecast = next(iter(book["Forecast"].tables.values())).ref
    assert len(book["Forecast"][forecast]) - 1 == len(made.table("forecast").data)
    assert len(book["Totals"][book["Totals"].tables["totals_table"].ref]) - 1 == 2 * len(
        made.table("forecast").sums
    )


@pytest.mark.parametrize(
    ("label", "day"),
    [("2026-11", (2026, 11, 1)), ("2026-W01", (2025, 12, 29)), ("2026Q4", (2026, 10, 1)), ("total", None)],
)
def test_a_period_is_the_day_on_which_it_begins(label, day):
    """A month, a week, a quarter; what is no period stays what it is."""
    assert first_day(label) == (None if day is None else datetime(*day, tzinfo=UTC).replace(tzinfo=None))


@pytest.mark.parametrize("kind", ["month", "week", "quarter"])
def test_periods_are_dates(kind, tmp_path):
    """Real dates that sort, in a format of dates, in every table with periods; the ends of the horizon too."""
    made = plausible_tables(kind=kind, channels=("ppc",), stages=("leads", "won"), past=12)
    write_workbook(made, tmp_path / "t.xlsx", created=CREATED)
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    for name in ("Forecast", "History", "By period", "Plan by period"):
        cells = [row[0] for row in book[name][next(iter(book[name].tables.values())).ref][1:]]
        assert all(isinstance(cell.value, datetime) and cell.is_date for cell in cells), name
        assert all("yyyy" in cell.number_format for cell in cells)
    past = [row[0].value for row in book["By period"][next(iter(book["By period"].tables.values())).ref][1:]]
    assert past == sorted(past)
    assert named(book, "Horizon_first") == first_day(made.study.horizon[0])
    assert named(book, "As_of") == first_day(made.study.as_of)


def test_headline_numbers_have_names(book, made):
    """Each name leads to the number, unrounded."""
    head = made.headline
    for name, key in (
        ("Revenue_expected", "revenue_mean"),
        ("Revenue_q10", "revenue_q10"),
        ("Revenue_median", "revenue_q50"),
        ("Revenue_q90", "revenue_q90"),
        ("Won_expected", "won_mean"),
        ("P_target", "p_target"),
        ("Target_gap", "gap"),
        ("Gain_expected", "gain_mean"),
        ("Gain_q90", "gain_q90"),
    ):
        assert named(book, name) == pytest.approx(head[key], rel=1e-12), name
    assert named(book, "Target") == made.study.target
    assert named(book, "Recommended_total") == pytest.approx(made.allocation["recommended"].sum())
    assert (named(book, "Verdict"), named(book, "Currency")) == ("REVIEW", "EUR")
    assert not [name for name in book.defined_names if re.fullmatch(r"[A-Za-z]{1,3}\d+|[RCrc]", name)]


@pytest.mark.parametrize("decimals", [0, 2])
def test_coins_add_up(decimals):
    """Whole coins, as near as can be to the amounts, that add up to each channel's total rounded to the coin."""
    rng = np.random.default_rng(3)
    spend = rng.uniform(0, 5000, (13, 6)) * [1, 1, 0, 1e-4, 100, 1]
    spend[:, 5] = 100 / 3
    coins = in_coins(spend, decimals)
    scaled = coins * 10**decimals
    np.testing.assert_allclose(scaled, np.round(scaled), atol=1e-6)
    np.testing.assert_allclose(coins.sum(axis=0), np.round(spend.sum(axis=0), decimals), atol=1e-6)
    assert np.abs(coins - spend).max() < 10.0**-decimals + 1e-9
    assert (coins >= 0).all()


def test_the_plan_adds_up_to_the_budget(book, made):
    """Spend by period and channel, recommended and current: of the forecast, and in total what the budget says."""
    sheet = book["Plan by period"]
    assert (decimals_of("EUR"), decimals_of("JPY")) == (2, 0)
    for table, frame in (("plan_table", made.forecast_recommended), ("plan_current_table", made.forecast)):
        head, *rows = ([cell.value for cell in row] for row in sheet[sheet.tables[table].ref])
        spend = frame[(frame["measure"] == "spend") & (frame["channel"] != "total")]
        by = spend.set_index(["period", "channel"])["mean"]
        for k, channel in enumerate(head[1:], start=1):
            for label, row in zip(made.study.horizon, rows, strict=True):
                assert row[k] == pytest.approx(by[label, channel], abs=0.01)
        last = sheet[sheet.tables[table].ref][-1][0].row
        said = [cell.value for cell in sheet[last + 2]][1 : len(head)]
        assert said == pytest.approx([sum(row[k] for row in rows) for k in range(1, len(head))], abs=1e-6)


def test_money_says_its_currency(book):
    """Numbers are numbers, in a format with the study's currency; chances never read as certain."""
    budget, headline = book["Budget"], book["Headline"]
    assert list(CHANNELS) == [row[0].value for row in budget[next(iter(budget.tables.values())).ref][1:]]
    assert budget["C2"].number_format == "#,##0 [$EUR]"
    assert book["Funnel"]["C2"].number_format == "0.0%"
    ((_, cell),) = book.defined_names["P_target"].destinations
    assert headline[cell.replace("$", "")].number_format == '[>0.99]">99%";[<0.01]"<1%";0%'


@pytest.mark.parametrize(
    "currency",
    ["EUR", 'a"b', "]x[", "", *(pytest.param(each, marks=pytest.mark.slow) for each in ("€", "kr.", "\\"))],
)
def test_any_currency_makes_a_format(currency, tmp_path):
    """A sign, a word, quotes: written as text in the format, never as a part of it."""
    made = plausible_tables(channels=("ppc",), stages=("leads", "won"), past=12)
    made = replace(made, study=replace(made.study, currency=currency))
    write_workbook(made, tmp_path / "t.xlsx", created=CREATED)
    shown = openpyxl.load_workbook(tmp_path / "t.xlsx")["Budget"]["C2"].number_format
    said = currency.replace('"', "").replace("\\", "")
    assert re.fullmatch(r'#,##0( \[\$[A-Za-z]+\]|\\ "[^"\\]+")?', shown)
    assert said in shown


def test_three_charts_of_the_workbooks_own(place, tmp_path):
    """The fan, budget and bridge, on the sheet of their numbers; none of a budget where there is none."""
    with zipfile.ZipFile(place) as parts:
        charts = [
            parts.read(name).decode() for name in parts.namelist() if name.startswith("xl/charts/chart")
        ]
    assert len(charts) == 3
    for chart in charts:
        assert re.findall(r"<c:f>[^<]*</c:f>", chart)
        assert "#REF!" not in chart
    write_workbook(
        plausible_tables(channels=("ppc",), spend=False, past=12), tmp_path / "t.xlsx", created=CREATED
    )
    with zipfile.ZipFile(tmp_path / "t.xlsx") as parts:
        assert sum(name.startswith("xl/charts/chart") for name in parts.namelist()) == 2


def test_no_cell_is_a_formula_and_no_link_leaves_the_file(odd):
    """Hostile names are strings in every sheet; links lead to sheets of ours alone."""
    book = openpyxl.load_workbook(odd)
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert not [c for c in cells if c.data_type == "f"]
    assert {c.parent.title for c in cells if c.hyperlink} == {"Contents"}
    assert not [c for c in cells if c.hyperlink and c.hyperlink.target]
    assert {*HOSTILE, *FOREIGN, *map(clean, STEERING)} <= {c.value for c in cells}
    assert all(visible(c.value) == c.value for c in cells if isinstance(c.value, str))
    with zipfile.ZipFile(odd) as parts:
        sheets = [name for name in parts.namelist() if name.startswith("xl/worksheets/sheet")]
        assert not any(b"<f>" in parts.read(name) for name in sheets)
        assert not any(b"calculatedColumnFormula" in parts.read(name) for name in parts.namelist())


def test_print_setup(book):
    """A4, landscape, one page wide, headings on every page, the number of the page; headings stay in sight."""
    for sheet in book:
        assert sheet.page_setup.orientation == "landscape"
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert "&P" in sheet.oddFooter.right.text or "Page" in sheet.oddFooter.right.text
    for sheet in book.worksheets[2:]:
        assert sheet.print_title_rows == "$1:$1"
        assert sheet.freeze_panes == "B2"
    colours = [sheet.sheet_properties.tabColor.rgb for sheet in book]
    assert len(set(colours)) == 4


def test_a_fail_is_stamped_on_every_sheet(tmp_path):
    """In the header of each, in the colour of its tab, and on the first two."""
    write_workbook(
        plausible_tables(channels=("ppc",), status="FAIL", past=12), tmp_path / "t.xlsx", created=CREATED
    )
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    assert all("FAIL: not for decisions" in sheet.oddHeader.center.text for sheet in book)
    assert len({sheet.sheet_properties.tabColor.rgb for sheet in book}) == 1
    for name in ("Contents", "Headline"):
        words = " ".join(str(cell.value) for row in book[name].iter_rows() for cell in row)
        assert "FAIL: The fit did not converge" in words


def test_sheets_that_say_the_same_are_one(made):
    """Checks of verdict, data and mistakes are one list; elasticities and tests stand side by side by channel."""
    sheets = {sheet.table.name: sheet for sheet in sheets_of(made)}
    assert not {*CHECKED, *JOINED, *SAID_ELSEWHERE} & set(sheets)
    assert {str(part) for part in sheets["checks"].table.frame["part"]} == {"verdict", "data"}
    assert len(sheets["checks"].table) == len(made.audit) + len(made.verdict.checks)
    assert len(sheets["firmness"].table) == len(made.evidence)


def test_the_same_results_give_the_same_bytes(made, place, tmp_path):
    """Whenever it is written."""
    write_workbook(made, tmp_path / "again.xlsx", created=CREATED)
    assert (tmp_path / "again.xlsx").read_bytes() == place.read_bytes()
