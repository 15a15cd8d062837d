"""Rows: totals left out, shares rounded, refunds, blanks and odd dates asked about, names that are one."""

from __future__ import annotations

import datetime as dt
from io import StringIO
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import xlsxwriter

from forecast.errors import DataError, StudyError
from forecast.history.audit import audit_history
from forecast.history.history import History
from forecast.history.read import read_history, read_plan
from forecast.history.rows import blanks_for_zeros, find_totals, lone_days, rounded
from forecast.history.segment_counts import read_segment_counts
from forecast.read import folded, name_text
from forecast.study import Study
from forecast.words import text

HEADER = "period,channel,spend,visitors,leads,qualified,won,revenue"
MEASURES = HEADER.split(",")[2:]


def table(months: int = 12, *channels: str, seed: int = 1) -> pd.DataFrame:
    """Calendar counts of a company, from 2025-01."""
    rng, names = np.random.default_rng(seed), channels or ("ppc", "seo", "email")
    made = []
    for m in range(months):
        for name in names:
            visitors, leads = rng.poisson(900), rng.poisson(40)
            qualified = rng.binomial(leads, 0.4)
            won = rng.binomial(qualified, 0.25)
            cells = [rng.integers(100, 900), visitors, leads, qualified, won, won * 1000]
            made.append([f"{2025 + m // 12}-{m % 12 + 1:02d}", name, *cells])
    return pd.DataFrame(made, columns=HEADER.split(","))


def with_total(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """The table with a row of totals below each month."""
    sums = rows.groupby("period", as_index=False)[MEASURES].sum().assign(channel=name)
    return pd.concat([rows, sums[HEADER.split(",")]], ignore_index=True)


def study_of(folder: Path, rows: pd.DataFrame | str, *, key: str = "counts", **history: Any) -> Study:
    """A study over a table in the folder."""
    file = folder / f"{key}.csv"
    file.write_text(rows if isinstance(rows, str) else rows.to_csv(index=False), encoding="utf-8")
    more = {name: history.pop(name) for name in ("funnel", "plan", "segments", "channels") if name in history}
    return Study.model_validate(
        {"name": "x", "history": {key: file.name, **history}, "folder": folder, **more}
    )


def read(folder: Path, rows: pd.DataFrame | str, *, today: dt.date | None = None, **history: Any) -> History:
    """The history of a table."""
    return read_history(study_of(folder, rows, **history), today=today)


def refused(folder: Path, rows: pd.DataFrame | str, *, today: dt.date | None = None, **history: Any) -> str:
    """What a person is told."""
    with pytest.raises(DataError) as caught:
        read(folder, rows, today=today, **history)
    return str(caught.value)


def said(history: History, name: str) -> str:
    """What the reading says under this name."""
    return next(text(check.value) for check in history.found if check.name == name)


# Rows of totals


@pytest.mark.parametrize(
    "name", ["Grand Total", "Total: Account", "total", "All channels", "Yhteensä", "Summe", "Kaikki yhdessä"]
)
def test_a_channel_that_is_the_sum_of_the_others_is_left_out_and_said(tmp_path: Path, name: str) -> None:
    """Whatever it is called: the same history as without its rows, the rows in the record, a REVIEW in the audit."""
    plain = table()
    history = read(tmp_path, with_total(plain, name))

    assert history.fingerprint() == read(tmp_path, plain).fingerprint()
    left = history.files[0].left_out[0]
    assert (left.n, left.rows[:2]) == (12, (38, 39))
    assert name in text(left.reason)
    assert f"12 rows of channel {name} are the sum of the others" in said(history, "Rows of totals")


def test_a_total_of_money_may_be_rounded(tmp_path: Path) -> None:
    """Cents of the channels, whole units in the total: still the sum."""
    rows = table().astype({"spend": float})
    rows["spend"] += 0.4
    totals = with_total(rows, "All")
    totals["spend"] = totals["spend"].where(totals["channel"] != "All", totals["spend"].round(2))

    assert read(tmp_path, totals).channels == ["email", "ppc", "seo"]


def test_a_total_that_is_not_quite_the_sum_is_refused_with_its_rows(tmp_path: Path) -> None:
    """One cell off in twelve months, or visitors that are counted once: it says which and what to do."""
    rows = with_total(table(), "Everything")
    rows.loc[37, "won"] += 2
    told = refused(tmp_path, rows)
    assert 'channel "Everything": is the sum of all others in 11 of 12 rows, but not in row 39 ("won ' in told
    assert "take its rows out if they are totals" in told

    rows = with_total(table(), "Everything")
    rows.loc[36:, "visitors"] -= 150
    assert "is the sum of all others in 0 of 12 rows" in refused(tmp_path, rows)


def test_a_name_that_means_a_total_is_refused_where_it_is_none(tmp_path: Path) -> None:
    """A subtotal, or a channel of that name: the way out is named; a channel "Total TV" is one."""
    rows = table(12, "ppc", "seo", "Paid Total")
    told = refused(tmp_path, rows)
    assert 'channel "Paid Total": the name means a total, and it is not the sum of the others' in told
    assert "or rename it if it is a channel of its own" in told

    assert "Total TV" in read(tmp_path, table(12, "ppc", "seo", "Total TV")).channels


def test_twins_are_no_totals() -> None:
    """Two channels alike beside one that is empty: neither is the sum of two others."""
    keys, names = np.repeat(np.arange(12), 3), np.array(["a", "b", "c"] * 12, dtype=object)
    values = np.tile([40.0, 40.0, 0.0], 12)

    assert find_totals(keys, names, {"leads": values, "won": values}, ()) == []


def test_totals_among_segments_and_beside_leads(tmp_path: Path) -> None:
    """A segment "All" and a channel "Grand Total" are left out of counts by segment; a total of activity likewise."""
    small, big = table(seed=1).assign(size="small"), table(seed=2).assign(size="large")
    both = pd.concat([small, big])
    sums = both.groupby(["period", "channel"], as_index=False)[MEASURES].sum().assign(size="All")
    channels = (
        pd.concat([both, sums])
        .groupby(["period", "size"], as_index=False)[MEASURES]
        .sum()
        .assign(channel="Grand Total")
    )
    study = study_of(tmp_path, pd.concat([both, sums, channels]), segments={"column": "size"})
    history = read_history(study)

    assert history.channels == ["email", "ppc", "seo"]
    assert history.counts["leads"].sum() == both["leads"].sum()
    found = read_segment_counts(study, history)
    assert found.names == ("large", "small")
    assert np.nansum(found.counts["leads"]) == both["leads"].sum()

    activity = with_total(table(), "Total: Account")[["period", "channel", "spend", "visitors"]]
    (tmp_path / "a.csv").write_text(activity.to_csv(index=False), encoding="utf-8")
    leads = "lead_id,channel,created,qualified,won\na,ppc,2025-01-05,,\nb,seo,2025-12-31,,\n"
    history = read(tmp_path, leads, key="leads", activity="a.csv")
    assert "Total: Account" not in history.channels
    assert history.files[-1].left_out[0].n == 12
    told = refused(tmp_path, leads + "c,Grand Total,2025-02-01,,\n", key="leads")
    assert 'a channel is called "Grand Total"; take out what adds up others' in told


@pytest.mark.parametrize(
    ("total", "told"), [(300, ""), (290, "the name means a total, and it is not the sum")]
)
def test_the_same_budget_each_month_may_have_a_total(tmp_path: Path, total: int, told: str) -> None:
    """What is called a total is left out where it is the sum, however few months there are, and refused where not."""
    cells = [("ppc", 100), ("seo", 100), ("email", 100), ("Grand Total", total)]
    rows = [f"2026-0{m},{name},{spend}\n" for m in (1, 2, 3) for name, spend in cells]
    (tmp_path / "plan.csv").write_text("period,channel,spend\n" + "".join(rows), encoding="utf-8")
    study = study_of(tmp_path, table(), plan={"spend": "plan.csv"})
    history = read_history(study)
    if told:
        with pytest.raises(DataError, match=told):
            read_plan(study, history)
    else:
        assert read_plan(study, history).values.sum() == 900


def test_a_total_in_a_plan_is_left_out(tmp_path: Path) -> None:
    """By its name, as in other files; a channel of the data that is half of the plan is none."""
    months = [(f"2026-0{m}", m) for m in range(1, 7)]
    rows = [
        f"{p},{n},{s * m}"
        for p, m in months
        for n, s in (("ppc", 2), ("seo", 1), ("email", 1), ("Grand Total", 4))
    ]
    (tmp_path / "plan.csv").write_text("\n".join(["period,channel,spend", *rows]), encoding="utf-8")
    study = study_of(tmp_path, with_total(table(), "Grand Total"), plan={"spend": "plan.csv", "periods": 6})
    plan = read_plan(study, read_history(study))
    assert plan.sel(channel="ppc").values.tolist() == [2, 4, 6, 8, 10, 12]
    assert plan.values.sum() == 4 * 21
    assert [(out.n, "Grand Total" in str(out.reason)) for out in plan.attrs["read"].left_out] == [(6, True)]


def test_a_budget_that_repeats_proves_no_total(tmp_path: Path) -> None:
    """The same three amounts for a year: that one is the sum of the others, was seen once."""
    names = np.array(["ppc", "seo", "email"] * 12, dtype=object)
    spend = np.array([2000.0, 1000.0, 1000.0] * 12)
    assert find_totals(np.repeat(np.arange(12), 3), names, {"spend": spend}, ("spend",)) == []


# Shares, refunds, blanks


def test_shared_counts_are_refused_once_or_rounded_so_that_sums_hold(tmp_path: Path) -> None:
    """The key is named and nothing else is said of the column; with it a cell moves by less than 1, sums by a half."""
    rows = table().astype({"leads": float})
    rows["leads"] += 1 / 3
    told = refused(tmp_path, rows)
    assert len(told.splitlines()) == 1
    assert 'set history.fractions = "round" where conversions were shared out' in told

    history = read(tmp_path, rows, fractions="round")
    by_channel = rows.pivot_table(index="period", columns="channel", values="leads", sort=True)
    cells = history.counts["leads"].values
    assert (cells == np.round(cells)).all()
    assert np.abs(cells - by_channel.to_numpy()).max() < 1
    np.testing.assert_allclose(cells.sum(axis=0), np.floor(by_channel.sum().to_numpy() + 0.5 + 1e-6))
    assert "leads: 36 cells" in said(history, "Fractions rounded")
    assert any("leads: 36 cells" in text(note) for note in history.files[0].notes)


def test_rounded_sums_hold_whatever_the_order_and_the_blanks() -> None:
    """Sums to the half, blanks stay, and by cohort no stage exceeds the one before."""
    rng = np.random.default_rng(3)
    values, groups = rng.gamma(1.0, 2.0, 200), rng.integers(0, 4, 200)
    values[::17] = np.nan
    starts = np.datetime64("2025-01-01") + rng.permutation(200).astype("timedelta64[D]")
    whole = rounded(values, groups, starts)

    assert (np.isnan(whole) == np.isnan(values)).all()
    assert np.nanmax(np.abs(whole - values)) < 1
    for g in range(4):
        assert abs(np.nansum(whole[groups == g]) - np.nansum(values[groups == g])) <= 0.5 + 1e-6
    above = rounded(values, groups, starts)
    below = rounded(values * 0.9, groups, starts, above)
    assert (below[~np.isnan(below)] <= above[~np.isnan(above)]).all()
    assert (below[~np.isnan(below)] >= 0).all()


def test_a_bad_column_is_not_also_empty(tmp_path: Path) -> None:
    """One message a cause."""
    told = refused(tmp_path, table().assign(qualified="many"))

    assert len(told.splitlines()) == 1
    assert "column qualified: 36 rows" in told


def test_refunds_are_asked_about(tmp_path: Path) -> None:
    """Revenue below 0 is refused with its sum and rows; with the key it is read and said; spend below 0 is refused."""
    rows = table()
    rows.loc[[4, 9], "revenue"] = [-500, -700]
    told = refused(tmp_path, rows)
    assert 'column revenue: 2 rows, first: row 6 ("-500"), row 11 ("-700")' in told
    assert "history.net_revenue = true" in told

    history = read(tmp_path, rows, net_revenue=True)
    assert np.nansum(history.counts["refunds"]) == 1200
    assert np.nansum(history.counts["revenue"]) == rows["revenue"].sum() + 1200
    assert history.came("revenue").sum() == rows["revenue"].sum()
    assert said(history, "Negative money").startswith("revenue: 2 rows, first: row 6, row 11")
    spend = rows.assign(spend=-1)
    assert "book a refund of spend into the period it belongs to" in refused(
        tmp_path, spend, net_revenue=True
    )


def test_refunds_among_leads(tmp_path: Path) -> None:
    """The same key; a negative amount is a refund, and a deal that brought nothing."""
    leads = "lead_id,channel,created,qualified,won,amount\n"
    leads += "".join(
        f"a{i},ppc,2025-0{i}-05,2025-0{i}-06,2025-0{i}-07,{a}\n" for i, a in ((1, 900), (2, -200), (3, 500))
    )
    assert "history.net_revenue = true" in refused(tmp_path, leads, key="leads")

    history = read(tmp_path, leads + "b,ppc,2025-03-31,,,\n", key="leads", net_revenue=True)
    assert history.came("revenue").sum() == 1200
    assert float(history.counts["refunds"].sum()) == 200
    assert history.priced.amount.tolist() == [900, 500]
    assert 'amount: row 3 ("-200")' in said(history, "Negative money")


def test_blanks_of_a_pivot_are_asked_about(tmp_path: Path) -> None:
    """Not one zero among small counts: neither reading is right without being asked for."""
    rows = table(20)
    rows["won"] = np.random.default_rng(5).poisson(1.0, len(rows))
    blank = rows.assign(won=rows["won"].where(rows["won"] > 0).astype("Int64"))
    blank["revenue"] = blank["won"] * 1000
    told = refused(tmp_path, blank)
    n = int((rows["won"] == 0).sum())
    assert f"column won: {n} of 60 cells are empty and not one is 0" in told
    assert 'set history.blank = "zero"' in told

    zero = read(tmp_path, blank, blank="zero")
    assert zero.fingerprint() == read(tmp_path, rows.assign(revenue=rows["won"] * 1000)).fingerprint()
    assert f"won: {n} of 60 cells" in said(zero, "Blanks read as zero")
    assert np.isnan(read(tmp_path, blank, blank="unknown").counts["won"].values).sum() == n


def test_other_blanks_are_not_asked_about() -> None:
    """A zero among the counts, large counts, one or two blanks, a channel that has none at all: blanks are blanks."""
    groups = np.repeat([0, 1], 20)
    small = np.tile([1.0, np.nan], 20)
    assert blanks_for_zeros(small, groups) == 20
    assert blanks_for_zeros(np.r_[0.0, small[1:]], groups) == 0
    assert blanks_for_zeros(small * 40, groups) == 0
    assert blanks_for_zeros(np.r_[np.ones(38), np.nan, np.nan], groups) == 0
    assert blanks_for_zeros(np.where(groups == 1, np.nan, 1.0), groups) == 0


# Names


@pytest.mark.parametrize(
    "other",
    ["Ma\u0308ki", "M\u00e4ki\u00a0", "m\u00e4ki", "M\u00e4\u00adki", "M\u00e4ki\u200b", "\ufeffM\u00e4ki"],
)
def test_spellings_that_look_alike_are_one_name(tmp_path: Path, other: str) -> None:
    """Unicode form, case, spaces, signs that nobody sees; the message shows where they differ."""
    assert folded(other) == folded("M\u00e4ki")
    rows = table(6, "M\u00e4ki", "seo")
    rows.loc[10, "channel"] = other
    if other.strip() != "M\u00e4ki":
        told = refused(tmp_path, rows)
        assert "one channel has several spellings" in told
    if "\u200b" in other:
        assert "\\u200b" in told


def test_a_channel_of_the_study_spelt_otherwise_is_told(tmp_path: Path) -> None:
    """The name that looks the same is shown with the sign that differs."""
    with pytest.raises(StudyError, match=r'write the channel "Ma\\u0308ki" as "Mäki"'):
        read(tmp_path, table(6, "M\u00e4ki", "seo"), channels={"Ma\u0308ki": {"kind": "ppc"}})


@pytest.mark.parametrize("form", ["csv", "xlsx", "parquet"])
@pytest.mark.parametrize("role", ["counts", "leads", "activity"])
def test_numbers_are_names(tmp_path: Path, form: str, role: str) -> None:
    """101 and 101.0 are one name, 46082 is no date: in every format, as number or text."""
    names = ["101", "102", "46082"]
    leads = (
        "lead_id,channel,created,qualified,won\n"
        + "".join(f"{i},{names[i % 3]},2025-{i % 12 + 1:02d}-28,,\n" for i in range(36))
        + "last,101,2025-12-31,,\n"
    )
    rows = table(12, *names)
    activity = rows[["period", "channel", "spend", "visitors"]]
    source = {"counts": rows, "leads": pd.read_csv(StringIO(leads), dtype=str), "activity": activity}[role]
    path = tmp_path / f"data.{form}"
    numbers = source.assign(channel=source["channel"].astype(float))
    if form == "csv":
        numbers.to_csv(path, index=False)
    elif form == "parquet":
        with duckdb.connect() as connection:
            connection.register("numbers", numbers)
            connection.execute(f"COPY numbers TO '{path}' (FORMAT parquet)")
    else:
        _write(path, numbers)
    (tmp_path / "leads.csv").write_text(leads, encoding="utf-8")
    spec = {
        "counts": {"counts": path.name},
        "leads": {"leads": path.name},
        "activity": {"leads": "leads.csv", "activity": path.name},
    }[role]
    history = read_history(Study.model_validate({"name": "x", "history": spec, "folder": tmp_path}))

    assert sorted(history.channels) == names


def _write(path: Path, rows: pd.DataFrame) -> None:
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, list(rows.columns))
    for i, row in enumerate(rows.astype(object).where(rows.notna(), None).itertuples(index=False), start=1):
        for j, cell in enumerate(row):
            if cell is not None:
                sheet.write(i, j, cell)
    book.close()


def test_cells_as_names() -> None:
    """Dates stay dates where the cell is one; a version is no number."""
    cells = (dt.date(2026, 3, 1), "1.0.0", "007")
    assert [name_text(cell) for cell in cells] == ["2026-03-01", "1.0.0", "007"]


# Dates


def test_counts_after_today_are_left_out_and_said(tmp_path: Path) -> None:
    """Planned rows are usual; they move no end. Where history.through asks for them, that is said."""
    rows = table(12)
    history = read(tmp_path, rows, today=dt.date(2025, 9, 20))
    assert history.labels[-1] == "2025-08"
    assert "9 rows of 2025-10 to 2025-12 lie after today" in said(history, "Dates in the future")
    assert "and are left out" in said(history, "Dates in the future")

    asked = read(tmp_path, rows, today=dt.date(2025, 9, 20), through="2025-12")
    assert "and history.through asks for them" in said(asked, "Dates in the future")
    assert not read(tmp_path, rows, today=dt.date(2026, 2, 1)).found


def leads_table(**odd: str) -> str:
    """Forty leads of a year, won in February or later; `odd` changes the first one."""
    lines = ["lead_id,channel,created,qualified,won"]
    lines += [
        f"a{i},ppc,2025-{i % 12 + 1:02d}-10,2025-{i % 12 + 1:02d}-11,2025-{i % 12 + 1:02d}-20"
        for i in range(40)
    ]
    first = {"created": "2025-01-10", "qualified": "2025-01-11", "won": "2025-01-20"} | odd
    lines[1] = "a0,ppc," + ",".join(first.values())
    return "\n".join(lines) + "\n"


def test_leads_after_today_move_no_end(tmp_path: Path) -> None:
    """Refused with the row; with history.through they are not read, which the audit says."""
    rows = leads_table(won="2027-01-20")
    told = refused(tmp_path, rows, key="leads", today=dt.date(2026, 1, 3))
    assert 'column won: row 2 ("2027-01-20"): is later than today, 2026-01-03' in told

    history = read(tmp_path, rows, key="leads", today=dt.date(2026, 1, 3), through="2025-11")
    assert history.labels[-1] == "2025-11"
    assert history.reading["after_today"] == "2027-01-20"


def test_a_date_alone_years_away_is_refused(tmp_path: Path) -> None:
    """Long before or after all others, of a few rows; history.from leaves it out."""
    rows = leads_table(created="2005-01-10")
    told = refused(tmp_path, rows, key="leads")
    assert 'column created: row 2 ("2005-01-10"): lies more than 5 years from all other dates' in told
    assert read(tmp_path, rows, key="leads", **{"from": "2025-01"}).labels[0] == "2025-01"
    assert "row 2" in refused(tmp_path, leads_table(won="2035-01-20"), key="leads")

    days = np.array(["2005-01-01", "2025-01-01", "2025-02-01"], dtype="M8[D]")
    assert lone_days(days, np.array([1, 50, 50])) == (np.datetime64("2025-01-01"), None)
    assert lone_days(days, np.array([50, 50, 50])) == (None, None)

    counts = table(12)
    counts.loc[0, "period"] = "2005-01"
    told = refused(tmp_path, counts)
    assert (
        told
        == 'counts.csv: column period: row 2 ("2005-01"): lies more than 5 years from all other rows; correct the year.'
    )


@pytest.mark.parametrize("year", ["1025", "1678", "2500"])
def test_years_that_are_none(tmp_path: Path, year: str) -> None:
    """No year of a company: the rows are named."""
    rows = table(3)
    rows["period"] = rows["period"].str.replace("2025", year)

    assert f'column period: 9 rows, first: row 2 ("{year}-01")' in refused(tmp_path, rows)


def weekly(first: str, step: int = 7) -> pd.DataFrame:
    """The table by weeks of dates from `first`."""
    rows = table(12)
    week = rows["period"].str[-2:].astype(int) - 1
    days = np.datetime64(first) + (step * week.to_numpy()).astype("timedelta64[D]")
    return rows.assign(period=[str(day) for day in days])


def test_weeks_that_start_on_sunday(tmp_path: Path) -> None:
    """Refused, naming the key; with it each counts as the ISO week with most of its days."""
    told = refused(tmp_path, weekly("2025-01-05"), period="week")
    assert (
        'every date is a Sunday, and weeks are counted from Monday; set history.read.week_starts = "sunday"'
        in told
    )

    sunday = read(tmp_path, weekly("2025-01-05"), period="week", read={"week_starts": "sunday"})
    assert sunday.labels[0] == "2025-W02"  # 5 January to 11 January: six days of ISO week 2
    monday = read(tmp_path, weekly("2025-01-06"), period="week")
    assert sunday.fingerprint() == monday.fingerprint()
    ends = read(tmp_path, weekly("2025-01-05"), period="week", read={"counts": {"week_starts": "monday"}})
    assert ends.labels[0] == "2025-W01"
    told = refused(tmp_path, weekly("2025-01-04"), period="week", read={"week_starts": "sunday"})
    assert 'row 2 ("2025-01-04")' in told
    assert 'expected a Sunday, as history.read.week_starts = "sunday" says' in told
    friday = read(tmp_path, weekly("2025-01-03"), period="week", read={"week_starts": "friday"})
    assert (
        friday.labels[0] == "2025-W02"
    )  # Friday to Sunday are three days of week 1, Monday to Thursday four of week 2


# Money beside deals


def test_refunds_have_a_column(tmp_path: Path) -> None:
    """With the key it is read, and revenue is net of it; without, it is said that it is not; below 0 it is refused."""
    rows = table().assign(refunds=100)
    plain = read(tmp_path, rows)
    assert "refunds" not in plain.counts
    check = next(c for c in audit_history(plain, study_of(tmp_path, rows)) if c.name == "Refunds")
    assert (check.status, "history.net_revenue = true" in str(check.advice)) == ("REVIEW", True)

    net = read(tmp_path, rows, net_revenue=True)
    assert net.came("revenue").sum() == rows["revenue"].sum() - 3600
    assert net.outcome("revenue").sum() == net.came("revenue").sum()
    assert net.sales.money.sum() == rows["revenue"].sum()
    assert "write what was paid back as an amount above 0" in refused(
        tmp_path, rows.assign(refunds=-1), net_revenue=True
    )


def test_what_recurs_has_a_column(tmp_path: Path) -> None:
    """By channel, or of the company in rows of its own; it is part of what came, and of no deal's value."""
    rows = table().assign(recurring=np.nan)
    own = rows.drop_duplicates("period").assign(channel="customers", recurring=5000.0)
    own[["visitors", "leads", "qualified", "won", "revenue", "spend"]] = np.nan
    history = read(tmp_path, pd.concat([rows, own]))
    assert history.came("revenue").sum() == rows["revenue"].sum() + 12 * 5000
    assert np.nansum(history.outcome("revenue")) == history.came("revenue").sum()
    assert history.sales.money.sum() == rows["revenue"].sum()
    assert history.stopped.tolist() == [name == "customers" for name in history.channels]
    gap = own.copy()
    gap.loc[gap.index[5], "recurring"] = np.nan
    assert np.isnan(read(tmp_path, pd.concat([rows, gap])).came("revenue")).sum() == 1
    assert "belongs in the column refunds" in refused(tmp_path, rows.assign(recurring=-1))
