"""Rows of leads that contradict themselves: refused with their rows, or left out, counted and listed."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest
from crm_fixture import leads_of, refused, study_of

from forecast.errors import DataError
from forecast.history import History, audit_history, read_history

THREE = {"stages": ("leads", "qualified", "won")}
HEAD = "lead_id,channel,created,qualified,won,lost,amount\n"
GOOD = HEAD + "".join(f"g{i},x,2026-01-05,2026-01-09,2026-02-28,,100\n" for i in range(60))
BAD = {
    "created: expected a date": ",x,yesterday,,,,",
    "created: is empty": "b,x,,,,,",
    "qualified: comes before created": "c,x,2026-01-05,2026-01-04,,,",
    "won: is set while qualified is empty": "d,x,2026-01-05,,2026-02-01,,",
    "lost: a lead is won and lost both": "e,x,2026-01-05,2026-01-06,2026-02-01,2026-02-02,",
    "lost: comes before the last stage that the lead reached": "f,x,2026-01-05,2026-01-09,,2026-01-06,",
    "amount: expected a number": "g,x,2026-01-05,2026-01-06,2026-02-01,,5 of them",
    "amount: expected 0 or more": "h,x,2026-01-05,2026-01-06,2026-02-01,,-5",
    "lead_id: is empty": ",x,2026-01-05,,,,",
    "lead_id: stands in an earlier row already": "g0,x,2026-01-05,,,,",
}
BAD["created: expected a date"] = "a,x,yesterday,,,,"


def rows_check(folder: Path, history: History) -> tuple[str, str]:
    """Status and value of the check on rows left out."""
    asked = audit_history(history, study_of(folder, leads="leads.csv", funnel=THREE))
    return next((check.status, str(check.value)) for check in asked if check.name == "Rows left out")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint of the rows that are as they should be."""
    return leads_of(tmp_path_factory.mktemp("good"), GOOD, funnel=THREE).fingerprint()


@pytest.mark.parametrize("reason", BAD)
def test_each_kind_of_bad_row_is_left_out(tmp_path: Path, good: str, reason: str) -> None:
    """With the key the rest is read, the same as without the row; refused without it, once naming the key."""
    text = GOOD + BAD[reason] + "\n"
    history = leads_of(tmp_path, text, funnel=THREE, bad_rows="leave out")

    (out,) = history.files[0].left_out
    assert (str(out.reason), out.n, out.rows, out.bad) == (reason, 1, (62,), True)
    assert history.files[0].rows == 60
    assert rows_check(tmp_path, history)[0] == "REVIEW"
    assert history.fingerprint() == good
    told = refused(DataError, tmp_path, text, funnel=THREE)
    assert (
        told.splitlines()[-1]
        == 'leads.csv: or leave such rows out, counted and listed: history.bad_rows = "leave out".'
    )
    assert told.count("bad_rows") == 1


def typed(folder: Path, text: str, kind: str) -> str:
    """A file of Parquet with the rows of a CSV, its dates of a type that holds nothing else, its amounts numbers."""
    (folder / "rows.csv").write_text(text, encoding="utf-8")
    dates = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name in ("created", "qualified", "won", "lost"))
    rows = f"read_csv('{folder / 'rows.csv'}', all_varchar = true)"
    sql = f"SELECT * REPLACE ({dates}, CAST(amount AS DOUBLE) AS amount) FROM {rows}"  # noqa: S608 - made here
    duckdb.sql(sql).write_parquet(str(folder / "leads.parquet"))
    return "leads.parquet"


OUTSIDE = {  # days that a type can hold and no event can have
    "created: expected a date": "a,x,1889-01-05,,,,",
    "qualified: expected a date": "a,x,2026-01-05,1889-12-31,,,",
    "won: expected a date": "a,x,2026-01-05,2026-01-06,2101-01-01,,",
    "lost: expected a date": "a,x,2026-01-05,,,1989-12-31,",
}
TYPED = {
    **{why: row for why, row in BAD.items() if "expected a" not in why},
    "amount: expected a number": "a,x,2026-01-05,2026-01-06,2026-02-01,,nan",
    "amount: expected a number below 1e15": "a,x,2026-01-05,,,,1e15",
    "lead_id: stands in an earlier row already": "\N{EM SPACE}g0 ,x,2026-01-05,,,,",
}


@pytest.mark.parametrize(
    ("kind", "reason", "row"),
    [
        *(("DATE", *each) for each in (TYPED | OUTSIDE).items()),
        *(("TIMESTAMP_NS", *each) for each in OUTSIDE.items()),
    ],
)
def test_typed_columns_are_checked_as_texts_are(
    tmp_path: Path, good: str, kind: str, reason: str, row: str
) -> None:
    """A type says that a cell is a day or a number, not that it is one of an event: its row is told all the same."""
    name = typed(tmp_path, GOOD + row + "\n", kind)
    with pytest.raises(DataError, match=r"leads\.parquet: column .*row(s 1 and)? 61"):
        read_history(study_of(tmp_path, leads=name, funnel=THREE))
    history = read_history(study_of(tmp_path, leads=name, funnel=THREE, bad_rows="leave out"))

    (out,) = history.files[0].left_out
    assert (str(out.reason), out.n, out.rows) == (reason, 1, (61,))
    assert history.fingerprint() == good


def test_all_kinds_at_once_fail_above_a_share(tmp_path: Path) -> None:
    """Ten of seventy rows: read, and FAIL; each row has one reason, and all rows are listed."""
    history = leads_of(tmp_path, GOOD + "\n".join(BAD.values()) + "\n", funnel=THREE, bad_rows="leave out")

    assert history.counts["leads"].sum() == 60
    assert {str(out.reason) for out in history.files[0].left_out} == set(BAD)
    assert sorted(row for out in history.files[0].left_out for row in out.rows) == list(range(62, 72))
    status, value = rows_check(tmp_path, history)
    assert status == "FAIL"
    assert "leads.csv: 10 of 70 rows" in value


def test_nothing_left_is_refused(tmp_path: Path) -> None:
    """A file that is not understood is no file of bad rows: the key is not offered, and does not help."""
    text = HEAD + "a,x,5.1.2026 klo 10,,,,\nb,x,6.1.2026 klo 10,,,,\n"

    assert "bad_rows" not in refused(DataError, tmp_path, text, funnel=THREE)
    told = refused(DataError, tmp_path, text, funnel=THREE, bad_rows="leave out")
    assert "each of its 2 rows contradicts itself: created: expected a date" in told


def test_a_clean_file_is_read_as_without_the_key(tmp_path: Path) -> None:
    """Nothing is left out, and no check speaks of it."""
    history = leads_of(tmp_path, GOOD, funnel=THREE, bad_rows="leave out")

    assert history.files[0].left_out == ()
    assert "Rows left out" not in {
        str(c.name) for c in audit_history(history, study_of(tmp_path, leads="leads.csv"))
    }


def test_negative_amounts_where_they_are_meant(tmp_path: Path) -> None:
    """Refunds: refused unless the study says that revenue is net."""
    text = GOOD + BAD["amount: expected 0 or more"] + "\n"
    history = leads_of(tmp_path, text, funnel=THREE, net_revenue=True)

    assert history.came("revenue").sum() == 60 * 100 - 5


PAID_FIRST = (
    "lead_id,channel,created,qualified,won,lost,amount\n"
    "1,a,2026-01-05,2026-01-20,2026-02-10,,100\n"
    "2,a,2026-01-06,2026-03-20,2026-02-10,,100\n"
    "3,a,2026-01-07,,2026-02-11,,100\n"
    "4,a,2026-01-08,2026-02-20,,,\n"
    "5,a,2026-02-07,2026-04-30,,,\n"
)


def test_a_win_before_the_stage_before_it_counts_in_both_where_asked(tmp_path: Path) -> None:
    """At the earlier date, and with no date of its own at that of the win; said with how many; refused by default."""
    told = refused(DataError, tmp_path, PAID_FIRST, funnel=THREE)
    assert told.count('history.order = "any"') == 2

    history = leads_of(tmp_path, PAID_FIRST, funnel=THREE, order="any", through="2026-04")
    assert history.counts["qualified"].values[:, 0].tolist() == [1, 3, 0, 1]
    assert history.counts["won"].values[:, 0].tolist() == [0, 3, 0, 0]
    assert np.argwhere(history.triangles["qualified"].values[:, :, 0]).tolist() == [[0, 0], [0, 1], [1, 2]]
    assert history.triangles["won"].values[:, :, 0].tolist() == [[0, 1, 0, 0], [2, 0, 0, 0], [0] * 4, [0] * 4]
    (check,) = history.found
    assert (check.name, check.status) == ("Order of the stages", "REVIEW")
    assert str(check.value) == "qualified: 2 leads reached won before it, of 1 its date is empty"
    assert check.value in history.files[0].notes


def test_leads_in_their_order_are_the_same_in_any(tmp_path: Path) -> None:
    """The key changes nothing where nothing is out of order, and a date that cannot be read is still told."""
    text = "\n".join(PAID_FIRST.splitlines()[i] for i in (0, 1, 4, 5)) + "\n"
    strict, free = (leads_of(tmp_path, text, funnel=THREE, order=order) for order in ("strict", "any"))
    assert strict.fingerprint() == free.fingerprint()
    assert [check.status for check in free.found] == ["PASS"]
    told = refused(DataError, tmp_path, text.replace("2026-01-20", "soon"), funnel=THREE, order="any")
    assert 'column qualified: row 2 ("soon")' in told
    early = text.replace("2026-01-20", "2026-01-01")
    assert "comes before created" in refused(DataError, tmp_path, early, funnel=THREE, order="any")
