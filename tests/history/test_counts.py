"""Tables of counts with rows that cannot be read, and with money in several currencies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from crm_fixture import THREE_STAGES, study_of

from forecast.errors import DataError, StudyError
from forecast.history import History, audit_history, read_history

HEAD = "period,channel,spend,leads,qualified,won,revenue\n"
COUNTS = HEAD + "".join(
    f"2026-0{m},{name},100,30,12,3,1500\n" for m in range(1, 7) for name in ("ppc", "seo")
)
MONEY = "period,channel,spend,leads,qualified,won,revenue,currency\n" + "".join(
    f"2026-0{m},{name},100,30,12,3,1500,{money}\n"
    for m in (1, 2)
    for name, money in (("ppc", "EUR"), ("seo", "SEK"))
)


def counts_of(folder: Path, text: str, **keys: object) -> History:
    """The history of these counts."""
    (folder / "c.csv").write_text(text, encoding="utf-8")
    return read_history(study_of(folder, counts="c.csv", funnel=THREE_STAGES, **keys))


def refused(folder: Path, text: str, **keys: object) -> str:
    """What a person is told of them."""
    with pytest.raises(DataError) as caught:
        counts_of(folder, text, **keys)
    return str(caught.value)


def test_a_row_with_an_unreadable_cell_is_left_out_where_asked(tmp_path: Path) -> None:
    """Nothing in it is used, and nothing else changes; refused by default, once naming the key."""
    text = COUNTS.replace("2026-03,ppc,100", "2026-03,ppc,#N/A")
    history = counts_of(tmp_path, text, bad_rows="leave out")

    here = {"period": "2026-03-01", "channel": "ppc"}
    assert all(np.isnan(history.counts[name].sel(here)) for name in ("spend", "leads", "won", "revenue"))
    assert history.counts["leads"].sum() == 11 * 30
    (out,) = history.files[0].left_out
    assert (str(out.reason), out.rows, out.bad) == ("spend: cannot be read", (6,), True)
    asked = audit_history(history, study_of(tmp_path, counts="c.csv", funnel=THREE_STAGES))
    assert [check.status for check in asked if check.name == "Rows left out"] == ["FAIL"]
    told = refused(tmp_path, text)
    assert 'column spend: row 6 ("#N/A")' in told
    assert told.count("bad_rows") == 1


def test_a_row_without_a_period_goes_altogether(tmp_path: Path) -> None:
    """A line of notes below the table, say."""
    history = counts_of(tmp_path, COUNTS + "see appendix,ppc,1,1,1,1,1\n", bad_rows="leave out")

    assert history.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()
    assert [out.rows for out in history.files[0].left_out if out.bad] == [(14,)]


def test_money_in_two_currencies(tmp_path: Path) -> None:
    """Refused with counts and sums; converted by the study's rates, revenue and spend alike; counts stay."""
    told = refused(tmp_path, MONEY).replace("\u00a0", " ").replace("\u202f", " ")
    assert (
        "c.csv: column spend: its rows are in more than one currency: EUR (2 rows, sum 200), SEK (2 rows"
        in told
    )
    assert "c.csv: column revenue: its rows are in more than one currency" in told
    assert "history.exchange" in told

    history = counts_of(tmp_path, MONEY, exchange={"SEK": 0.1})
    assert history.counts["revenue"].sum() == 2 * 1500 + 2 * 150
    assert history.counts["spend"].sum() == 220
    assert history.counts["leads"].sum() == 120
    assert any("converted" in str(note) for note in history.files[0].notes)


# One stage

WON = "period,channel,spend,won,revenue\n" + "".join(
    f"2026-0{m},{name},100,3,1500\n" for m in range(1, 7) for name in ("ppc", "seo")
)
MONEY_ALONE = "period,channel,spend,revenue\n" + "".join(
    f"2026-0{m},{name},100,{200 * m}\n" for m in range(1, 7) for name in ("ppc", "seo")
)


@pytest.mark.parametrize("stages", [("visitors", "leads", "won"), ("won",)])
def test_wins_alone_are_a_history(tmp_path: Path, stages: tuple[str, ...]) -> None:
    """A funnel of one stage has no step; the audit names what is not recorded and asks nothing of rates."""
    (tmp_path / "c.csv").write_text(WON, encoding="utf-8")
    study = study_of(tmp_path, counts="c.csv", funnel={"stages": stages})
    history = read_history(study)

    assert (history.counted, history.steps) == (("won",), ())
    told = {str(check.name): str(check.value) for check in audit_history(history, study)}
    assert ("not recorded: visitors, leads" in told["Stages measured"]) == (len(stages) > 1)
    assert told["Counts fall along the funnel"] == "there is one stage alone, so no rate to learn"


def test_revenue_alone_is_counted_in_sales_of_the_value_given(tmp_path: Path) -> None:
    """Refused without a value, naming both ways out; with one, wins are revenue over it and the audit says so."""
    told = refused(tmp_path, MONEY_ALONE)
    assert "add the column won" in told
    assert "history.columns.won" in told
    assert "funnel.value" in told

    study = study_of(tmp_path, counts="c.csv", funnel={"stages": ("leads", "won"), "value": 400})
    history = read_history(study)
    assert history.counts["won"].values[:, 0].tolist() == [
        0,
        1,
        2,
        2,
        2,
        3,
    ]  # 0.5, 1, 1.5, ... to the nearest
    assert history.counts["revenue"].sum() == 2 * 200 * 21
    (check,) = (check for check in audit_history(history, study) if check.name == "Wins from revenue")
    assert (check.status, str(check.value)) == (
        "REVIEW",
        "no stage is counted, so revenue is taken for deals of 400 each (funnel.value): 20 won",
    )


def test_wins_that_are_missing_beside_leads_are_still_asked_for(tmp_path: Path) -> None:
    """An assumed value makes no wins where other stages are counted."""
    text = COUNTS.replace("won", "sold")
    (tmp_path / "c.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match='no column "won"'):
        read_history(study_of(tmp_path, counts="c.csv", funnel={**THREE_STAGES, "value": 500}))


def test_one_stage_by_cohort_is_refused(tmp_path: Path) -> None:
    """Of which units, nobody could say."""
    told = refused(tmp_path, WON, counting="cohort")
    assert "won alone is counted" in told
    assert 'history.counting = "calendar"' in told


def test_one_stage_has_no_sales_to_limit(tmp_path: Path) -> None:
    """A capacity needs a stage in front of the last one."""
    (tmp_path / "c.csv").write_text(WON, encoding="utf-8")
    study = study_of(tmp_path, counts="c.csv")
    limited = study.model_copy(update={"economics": study.economics.model_copy(update={"capacity": 5.0})})
    with pytest.raises(StudyError, match="record the stage before it"):
        read_history(limited)
