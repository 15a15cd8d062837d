"""Rows of leads that contradict themselves: refused with their rows, or left out, counted and listed."""

from __future__ import annotations

from pathlib import Path

import pytest
from crm_fixture import leads_of, refused, study_of

from forecast.errors import DataError
from forecast.history import History, audit_history

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


@pytest.mark.parametrize("reason", BAD)
def test_each_kind_of_bad_row_is_left_out(tmp_path: Path, reason: str) -> None:
    """With the key the rest is read, the same as without the row; refused without it, once naming the key."""
    text = GOOD + BAD[reason] + "\n"
    history = leads_of(tmp_path, text, funnel=THREE, bad_rows="leave out")

    (out,) = history.files[0].left_out
    assert (str(out.reason), out.n, out.rows, out.bad) == (reason, 1, (62,), True)
    assert history.files[0].rows == 60
    assert rows_check(tmp_path, history)[0] == "REVIEW"
    assert history.fingerprint() == leads_of(tmp_path, GOOD, funnel=THREE).fingerprint()
    told = refused(DataError, tmp_path, text, funnel=THREE)
    assert (
        told.splitlines()[-1]
        == 'leads.csv: or leave such rows out, counted and listed: history.bad_rows = "leave out".'
    )
    assert told.count("bad_rows") == 1


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
