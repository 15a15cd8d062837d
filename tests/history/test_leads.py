"""Files of leads: exports of CRMs as they come, columns of two files, further columns; real files where they are."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest
from crm_fixture import EXPORTS, leads_of, refused, study_of
from held_fixture import BAD, history_in, rows, texts, write_csv

from forecast.errors import DataError
from forecast.history import audit_history, read_history, read_lead_rows

SHARED = Path(os.environ.get("FORECAST_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.parametrize("crm", EXPORTS)
def test_an_export_with_its_real_header_is_read(tmp_path: Path, crm: str) -> None:
    """Two won, one lost, one open; amounts in the study's currency; every outcome is taken for what it is."""
    history = leads_of(tmp_path, EXPORTS[crm], preset=crm)

    assert history.counts["leads"].sum() == 4
    assert history.counts["won"].sel(period="2026-02-01").sum() == 2
    assert int(history.losses["won"].sum()) == 1
    assert sorted(history.deals["amount"]) == [880, 1000]
    (read,) = history.files
    assert {outcome.meaning: outcome.n for outcome in read.outcomes} == {"won": 2, "lost": 1, "open": 1}
    assert read.rows == 4


@pytest.mark.parametrize(
    ("crm", "converted"), [("hubspot", "Amount in company currency"), ("salesforce", "Amount (converted)")]
)
def test_a_converted_amount_is_preferred_and_said(tmp_path: Path, crm: str, converted: str) -> None:
    """The file holds both; the one in one currency is read, and the note names both."""
    (read,) = leads_of(tmp_path, EXPORTS[crm], preset=crm).files

    assert read.columns["amount"] == converted
    assert f"amounts are read from {converted}, not from Amount" in [str(note) for note in read.notes]
    plain = refused(DataError, tmp_path, EXPORTS[crm], preset=crm, columns={"amount": "Amount"})
    assert f'history.columns.amount = "{converted}"' in plain


def test_won_may_be_a_date_or_a_yes(tmp_path: Path) -> None:
    """Under the salesforce preset a column "Won" of dates is the date of winning, as it is under our own name."""
    text = "Opportunity ID,Lead Source,Created Date,Won\n1,web,2026-01-05,2026-02-28\n2,web,2026-01-06,\n"
    history = leads_of(tmp_path, text, preset="salesforce")

    assert history.counts["won"].sum() == 1


def test_further_columns_are_those_that_tell_no_outcome(tmp_path: Path) -> None:
    """Outcome, flags and closing date are used up; pipeline and currency stay, as segments."""
    (tmp_path / "leads.csv").write_text(EXPORTS["hubspot"], encoding="utf-8")
    leads, further = read_lead_rows(study_of(tmp_path, leads="leads.csv", preset="hubspot"))

    assert list(leads["lead_id"]) == ["1", "2", "3", "4"]
    assert list(leads["amount"].dropna()) == [1000, 80, 440, 880]
    assert list(further.columns) == ["Deal Name", "Pipeline", "Currency", "Amount"]


def test_leads_one_by_one_are_those_of_the_history(tmp_path: Path) -> None:
    """Rows left out, pipelines not chosen and converted amounts hold there as well."""
    text = "lead_id,channel,created,won,amount,currency,pipeline,team\n"
    text += "a,x,2026-01-05,2026-01-31,10,SEK,new,one\nb,x,2026-01-05,2026-01-02,10,EUR,new,one\n"
    text += "c,x,2026-01-05,,,,old,two\n"
    (tmp_path / "leads.csv").write_text(text, encoding="utf-8")
    keys = {"bad_rows": "leave out", "exchange": {"SEK": 0.1}, "pipelines": ("new",)}
    leads, further = read_lead_rows(study_of(tmp_path, leads="leads.csv", **keys))

    assert list(leads["lead_id"]) == ["a"]
    assert list(leads["amount"]) == [1.0]
    assert list(further["team"]) == ["one"]


# Real files

real = pytest.mark.skipif(
    not SHARED.is_dir(), reason="real data are not here (FORECAST_REAL_DATA names their folder)"
)


@real
def test_olist_runs_as_published() -> None:
    """Leads in one file, deals in another; the lead won two days before it was created is left out, and said."""
    folder = SHARED / "olist"
    columns = {"lead_id": "mql_id", "created": "first_contact_date", "channel": "origin", "won": "won_date"}
    names = {
        "leads": "olist_marketing_qualified_leads_dataset.csv",
        "deals": "olist_closed_deals_dataset.csv",
    }
    asked = {**names, "columns": columns, "through": "2018-05", "from": "2018-01"}
    study = study_of(folder, **asked, bad_rows="leave out")
    history = read_history(study)

    assert (history.counts["leads"].sum(), history.counts["won"].sum()) == (5997, 631)
    leads, deals = history.files
    assert (leads.rows, deals.rows) == (5997, 841)
    assert leads.rows + sum(out.n for out in leads.left_out) == 7999
    (out,) = deals.left_out
    assert (out.n, out.rows, str(out.reason)) == (1, (669,), "won_date: comes before first_contact_date")
    found = {str(check.name): check.status for check in audit_history(history, study)}
    assert (found["Rows left out"], found["Deals joined"]) == ("REVIEW", "PASS")
    with pytest.raises(
        DataError, match=r"column won_date: row 669 .*comes before first_contact_date"
    ) as caught:
        read_history(study_of(folder, **asked))
    assert str(caught.value).count('history.bad_rows = "leave out"') == 1


@real
@pytest.mark.parametrize(
    ("name", "stages"), [("hotel", ("leads", "won")), ("bpi20", ("leads", "qualified", "won"))]
)
def test_parquet_files_run_as_they_are(name: str, stages: tuple[str, ...]) -> None:
    """Hotel bookings and travel permits: every row is used, none refused, and the wins are those of a plain count."""
    history = read_history(study_of(SHARED / name, leads="leads.parquet", funnel={"stages": stages}))
    path = str(SHARED / name / "leads.parquet")
    with duckdb.connect() as connection:
        sql = "SELECT count(*), count(won) FILTER (won <= ?) FROM read_parquet(?)"
        rows, won = connection.execute(sql, [str(history.end), path]).fetchall()[0]

    assert history.files[0].rows == rows
    assert int(history.triangles["won"].sum()) == history.counts["won"].sum() == won


def test_more_memory_is_taken_where_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same history, and without the more there is none."""
    write_csv(tmp_path / "leads.csv", rows(3000))
    history = history_in(tmp_path, leads="leads.csv")
    monkeypatch.setattr("forecast.history.lead_sources.MEMORY_LIMIT", "1MB")
    assert history_in(tmp_path, leads="leads.csv").fingerprint() == history.fingerprint()
    monkeypatch.setattr("forecast.history.leads.MORE_MEMORY", "1MB")
    with pytest.raises(duckdb.OutOfMemoryException):
        history_in(tmp_path, leads="leads.csv")


def test_leads_that_each_take_a_course_of_their_own_are_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept one by one or in groups, as their first rows tell: the same history, and the same rows are wrong."""
    write_csv(tmp_path / "leads.csv", texts(rows()) + list(BAD))
    keys = {"leads": "leads.csv", "bad_rows": "leave out", "from": "2024-03"}
    text = (tmp_path / "leads.csv").read_text(encoding="utf-8")
    grouped, said = history_in(tmp_path, **keys), refused(DataError, tmp_path, text)
    monkeypatch.setattr("forecast.history.lead_days.PROBED", 100)
    single = history_in(tmp_path, **keys)
    assert single.fingerprint() == grouped.fingerprint()
    assert single.files == grouped.files
    assert refused(DataError, tmp_path, text) == said
