"""Looking at a file of which nobody said what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast.errors import DataError
from forecast.read.looking import Look, as_activity, look_at, proposed
from forecast.words import text


def look(folder: Path, content: str, encoding: str = "utf-8") -> Look:
    """A file with this content, looked at."""
    (folder / "x.csv").write_text(content, encoding=encoding)
    return look_at(folder / "x.csv", "x.csv")


def months(row: str, n: int = 12) -> str:
    """A row for each month of 2025."""
    return "".join(row.format(m=month) for month in range(1, n + 1))


@pytest.mark.parametrize(
    ("header", "row", "role"),
    [
        ("Month,Channel,Cost,Leads,Customers\n", "{m}/2025,Ads,100,20,2\n", "counts"),
        ("Month,Channel,Cost,Clicks\n", "{m}/2025,Ads,100,20\n", "activity"),
        ("Kuukausi,Kanava,Budjetti\n", "{m}/2025,Ads,100\n", "plan"),
        ("lead_id,created,source,won\n", "L{m},2025-{m:02d}-05,Ads,2025-{m:02d}-09\n", "leads"),
        ("lead_id,won_date,size\n", "L{m},2025-{m:02d}-09,big\n", "deals"),
        ("tenure,churned\n", "{m},1\n", "retention"),
        ("name,town\n", "N{m},Turku\n", ""),
    ],
)
def test_roles(tmp_path: Path, header: str, row: str, role: str):
    """By the columns that are there, and what their cells hold."""
    assert look(tmp_path, header + months(row)).role == role


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("2025-{m:02d}", "month"),
        ("1.{m}.2025", "month"),
        ("2025-W{m:02d}", "week"),
        ("{m}/1/2025", "month"),
    ],
)
def test_kinds_of_periods(tmp_path: Path, label: str, kind: str):
    """By how they are written, and how far they are apart."""
    seen = look(tmp_path, "Date,Channel,Leads,Won\n" + months(label + ",Ads,20,2\n")).span
    assert seen is not None
    assert (seen.kind, seen.n, seen.daily) == (kind, 12, False)


def test_rows_of_days_are_said(tmp_path: Path):
    """Days of a month: counted by month, and known to be days."""
    seen = look(tmp_path, "Date,Channel,Leads,Won\n" + months("2025-03-{m:02d},Ads,20,2\n")).span
    assert seen is not None
    assert (seen.kind, seen.n, seen.daily) == ("month", 1, True)


@pytest.mark.parametrize(
    ("content", "code", "where"),
    [
        (
            "Month,Channel,Cost (SEK),Leads,Won\n2025-01,Ads,10,20,2\n2025-02,Ads,10,20,2\n",
            "SEK",
            "the title",
        ),
        ("Month,Channel,Cost,Leads,Won\n2025-01,Ads,£10,20,2\n2025-02,Ads,£10,20,2\n", "GBP", "the signs"),
        (
            "All in USD\n\nMonth,Channel,Cost,Leads,Won\n2025-01,A,10,20,2\n2025-02,A,1,20,2\n",
            "USD",
            "above the table",
        ),
    ],
)
def test_currencies(tmp_path: Path, content: str, code: str, where: str):
    """Of a title, of signs, of the lines above the table; with where it was seen."""
    found = look(tmp_path, content).currencies
    assert list(found) == [code]
    assert where in text(found[code][1])


def test_columns_of_which_several_may_be_meant(tmp_path: Path):
    """Named, and none of them is taken."""
    seen = look(tmp_path, "Month,Source,Traffic source,Leads,Won\n" + months("{m}/2025,Ads,Ads,20,2\n"))
    assert set(seen.unclear["channel"]) == {"Source", "Traffic source"}
    assert "channel" not in seen.columns


def test_a_budget_is_no_spend(tmp_path: Path):
    """Beside counts it is seen, and is no column of ours."""
    seen = look(tmp_path, "Month,Channel,Budget,Leads,Won\n" + months("{m}/2025,Ads,100,20,2\n"))
    assert (seen.role, seen.budget) == ("counts", "Budget")
    assert "spend" not in seen.columns


def test_of_a_large_file_the_head_is_looked_at(tmp_path: Path):
    """It is known for what it is, and said that not all of it was seen."""
    rows = "".join(f"L{i},2025-01-05,Organic Search,2025-02-06,{'x' * 200}\n" for i in range(22_000))
    seen = look(tmp_path, "lead_id,created,source,won,note\n" + rows)
    assert (seen.role, seen.whole) == ("leads", False)
    assert 0 < len(seen.grid.rows) < 22_000


def test_what_had_to_be_assumed_to_open_it(tmp_path: Path):
    """An encoding that is not clear is taken as proposed, to see what else there is, and told."""
    content = "channel;month;leads;won\n" + months("Реклама в сети;2025-{m:02d};20;2\n")
    seen = look(tmp_path, content, "cp1251")
    assert list(seen.settled) == ["history.read.encoding"]
    assert seen.role == "counts"


def test_beside_leads_conversions_are_no_stage(tmp_path: Path):
    """An ads account's conversions are not the leads of the CRM."""
    seen = look(tmp_path, "Month,Campaign,Cost,Clicks,Conversions\n" + months("{m}/2025,Ads,100,500,5.5\n"))
    assert seen.role == "counts"
    assert set(as_activity(seen).columns) == {"period", "channel", "spend", "visitors"}


def test_ways_out_that_a_refusal_names():
    """Keys with values as TOML; prose beside them is none."""
    said = (
        'x.csv: say history.read.thousands = "." or history.read.decimal = ".", or history.net_revenue = true'
    )
    assert proposed(DataError(said)) == [
        ("history.read.thousands", '"."'),
        ("history.read.decimal", '"."'),
        ("history.net_revenue", "true"),
    ]
