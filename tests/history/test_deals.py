"""Deals in a file of their own, joined to the leads: said how many met, refused where a lead has two."""

from __future__ import annotations

from pathlib import Path

import pytest
from crm_fixture import study_of

from forecast.errors import DataError
from forecast.history import History, audit_history, read_history, read_lead_rows

LEADS = "mql_id,first_contact_date,origin\n" + "".join(
    f"l{i},2018-0{1 + i % 3}-0{1 + i},web\n" for i in range(6)
)
DEALS = "mql_id,seller,won_date,amount\nl0,s,2018-02-26 19:58:54,10\nl4,s,2018-03-31 08:00:00,30\n"
COLUMNS = {"lead_id": "mql_id", "created": "first_contact_date", "channel": "origin", "won": "won_date"}


def joined(folder: Path, leads: str = LEADS, deals: str = DEALS, **keys: object) -> History:
    """The history of these two files."""
    (folder / "leads.csv").write_text(leads, encoding="utf-8")
    (folder / "deals.csv").write_text(deals, encoding="utf-8")
    return read_history(
        study_of(folder, **({"leads": "leads.csv", "deals": "deals.csv", "columns": COLUMNS} | keys))
    )


def refused(folder: Path, **files: object) -> str:
    """What a person is told."""
    with pytest.raises(DataError) as caught:
        joined(folder, **files)  # type: ignore[arg-type]
    return str(caught.value)


def test_two_files_are_read_as_one(tmp_path: Path) -> None:
    """The same history as from the file that a join would make; both files are told, and both are hashed."""
    history = joined(tmp_path)
    (tmp_path / "one.csv").write_text(
        LEADS.replace("origin\n", "origin,won_date,amount\n")
        .replace("web\n", "web,,\n")
        .replace("l0,2018-01-01,web,,", "l0,2018-01-01,web,2018-02-26,10")
        .replace("l4,2018-02-05,web,,", "l4,2018-02-05,web,2018-03-31,30"),
        encoding="utf-8",
    )
    single = read_history(study_of(tmp_path, leads="one.csv", columns=COLUMNS))

    assert history.fingerprint() == single.fingerprint()
    assert list(history.deals["amount"]) == [10, 30]
    assert set(history.sources) == {"leads.csv", "deals.csv"}
    leads, deals = history.files
    assert (leads.role, leads.rows, deals.role, deals.rows) == ("leads", 6, "deals", 2)
    assert deals.columns == {"lead_id": "mql_id", "won": "won_date", "amount": "amount"}
    assert [str(note) for note in deals.notes] == ["2 of 2 deals joined to leads of leads.csv on mql_id"]


def test_ids_may_be_called_otherwise_in_one_of_the_files(tmp_path: Path) -> None:
    """The mapped name is looked for in both; a file without it may use ours."""
    assert joined(tmp_path, deals=DEALS.replace("mql_id", "lead_id")).counts["won"].sum() == 2
    text = refused(tmp_path, deals=DEALS.replace("mql_id", "mql"))
    assert 'deals.csv: no column "mql_id", which history.columns.lead_id names' in text


def test_a_deal_without_a_lead_is_left_out_and_said(tmp_path: Path) -> None:
    """Its row is listed; the check asks for the leads; none at all is a wrong column."""
    history = joined(tmp_path, deals=DEALS + "gone,s,2018-03-01,5\n")
    (out,) = history.files[1].left_out
    assert (str(out.reason), out.rows, out.bad) == ("mql_id: no lead of leads.csv has this id", (4,), False)
    study = study_of(tmp_path, leads="leads.csv", deals="deals.csv")
    found = {str(check.name): (check.status, str(check.value)) for check in audit_history(history, study)}
    assert found["Deals joined"] == ("REVIEW", "deals.csv: 1 of 3 deals have no lead, and are left out")

    text = refused(tmp_path, deals=DEALS.replace("l0", "x0").replace("l4", "x4"))
    assert (
        "deals.csv: no deal finds its lead: no value of column mql_id stands in column mql_id of leads.csv"
        in text
    )


def test_a_lead_with_two_deals_is_refused_with_all_else(tmp_path: Path) -> None:
    """The id and its rows; a deal without an id; dates of the deal against those of the lead, each in its own file."""
    text = refused(tmp_path, deals=DEALS + "l0,s,2018-03-02,7\n,s,2018-03-02,7\nl5,s,2018-01-02,7\n")

    assert 'deals.csv: column mql_id: 1 lead has more than one deal: "l0" (rows 2 and 4)' in text
    assert "deals.csv: column mql_id: row 5 is empty" in text
    assert 'deals.csv: column won_date: row 6 ("2018-01-02, first_contact_date 2018-03-06")' in text


def test_bad_deals_are_left_out_where_asked(tmp_path: Path) -> None:
    """The first deal of a lead stays; a lead whose deal contradicts it goes, in the list of the deals."""
    deals = DEALS + "l0,s,2018-03-02,7\n,s,2018-03-02,7\nl5,s,2018-01-02,7\n"
    history = joined(tmp_path, deals=deals, bad_rows="leave out")

    assert history.counts["won"].sum() == 2
    assert history.counts["leads"].sum() == 5
    assert {str(out.reason): out.rows for out in history.files[1].left_out} == {
        "mql_id: is empty": (5,),
        "mql_id: another deal of the same lead": (4,),
        "won_date: comes before first_contact_date": (6,),
    }
    assert history.files[1].rows == 2


def test_missing_columns_are_told_of_the_file_they_belong_to(tmp_path: Path) -> None:
    """The date of winning belongs to the deals, that of creation to the leads; all in one message."""
    text = refused(tmp_path, leads=LEADS.replace("first", "last"), deals=DEALS.replace("won_date", "day"))

    assert 'leads.csv: no column "first_contact_date"' in text
    assert 'deals.csv: no column "won_date"' in text


def test_columns_of_deals_are_no_features(tmp_path: Path) -> None:
    """Only leads that were won have them: they would tell the outcome."""
    joined(tmp_path)
    leads, further = read_lead_rows(study_of(tmp_path, leads="leads.csv", deals="deals.csv", columns=COLUMNS))

    assert leads["won"].notna().sum() == 2
    assert list(further.columns) == []


def test_both_files_may_be_workbooks(tmp_path: Path) -> None:
    """Each is opened for itself."""
    xlsxwriter = pytest.importorskip("xlsxwriter")
    for name, text in (("leads", LEADS), ("deals", DEALS)):
        book = xlsxwriter.Workbook(str(tmp_path / f"{name}.xlsx"))
        sheet = book.add_worksheet()
        for i, line in enumerate(text.splitlines()):
            sheet.write_row(i, 0, line.split(","))
        book.close()
    both = joined(tmp_path, leads=LEADS)
    assert joined(tmp_path, leads=LEADS).fingerprint() == both.fingerprint()
    books = read_history(study_of(tmp_path, leads="leads.xlsx", deals="deals.xlsx", columns=COLUMNS))
    assert books.fingerprint() == both.fingerprint()
