"""The audit: each question finds its own trace, says the numbers, and is silent on a clean history."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecast.history.audit import audit_history
from forecast.history.history import History
from forecast.history.read import read_history
from forecast.study import Study
from forecast.tables import check_table
from forecast.words import NBSP, THIN, text

Table = dict[tuple[int, str], list[Any]]
HEADER = "period,channel,spend,visitors,leads,qualified,won,revenue\n"


def rows(months: int = 14, **change: Any) -> Table:
    """A clean history: (month, channel) -> spend, visitors, leads, qualified, won, revenue."""
    return {(m, c): [100, 1000, 50, 20, 4, 20000] for m in range(months) for c in ("ppc", "seo")}


def label(month: int) -> str:
    """Months counted from 2025-01."""
    return f"{2025 + month // 12}-{month % 12 + 1:02d}"


def audited(folder: Path, table: Table, today: dt.date | None = None, **study: Any) -> pd.DataFrame:
    """The audit of these counts, by check."""
    lines = [",".join(map(str, [label(m), c, *cells])) for (m, c), cells in table.items()]
    (folder / "c.csv").write_text(HEADER + "\n".join(lines), encoding="utf-8")
    made = Study.model_validate({"name": "x", "history": {"counts": "c.csv"}, "folder": folder, **study})
    return by_check(read_history(made, today=today), made)


def by_check(past: History, made: Study) -> pd.DataFrame:
    """The audit of a history as text, by check."""
    return check_table(audit_history(past, made)).map(text).set_index("check")


def test_a_clean_history_passes_every_check(tmp_path: Path) -> None:
    """No advice where nothing was found; every check gives its evidence all the same."""
    found = audited(tmp_path, rows())

    assert set(found["status"]) == {"PASS"}
    assert (found["advice"] == "").all()
    assert (found["evidence"] != "").all()


def changed(table: Table, cells: dict[tuple[int, str], dict[int, Any]]) -> Table:
    """The table with some cells changed, by row and column."""
    for key, change in cells.items():
        for column, value in change.items():
            table[key][column] = value
    return table


EVERY = [(m, c) for m in range(14) for c in ("ppc", "seo")]
TRACES: dict[str, tuple[dict[tuple[int, str], dict[int, Any]], str, str]] = {
    "Stages measured": ({key: {1: ""} for key in EVERY}, "REVIEW", "not recorded: visitors; the funnel starts at"),
    "Counts fall along the funnel": ({(m, "seo"): {3: 60} for m in range(14)}, "REVIEW", "seo: 840 qualified of 700"),
    "Enough wins": ({key: {4: 1, 5: 5000} for key in EVERY}, "REVIEW", "28 won in 14\xa0months"),
    "Spend recorded": ({key: {0: ""} for key in EVERY}, "REVIEW", "no spend is recorded"),
    "Deal value known": ({key: {5: ""} for key in EVERY}, "REVIEW", "no revenue is recorded and none is assumed"),
    "Periods with zero spend": ({(3, "ppc"): {0: 0}}, "REVIEW", "ppc in 2025-04"),
    "Spend without traffic": ({(3, "ppc"): {1: 0}}, "REVIEW", "ppc in 2025-04"),
    "Traffic without spend": ({(m, "seo"): {0: 0} for m in range(14)}, "REVIEW", "no spend in any period: seo"),
    "Blank cells": ({(3, "ppc"): {0: "", 2: ""}}, "REVIEW", "spend: 1 of 28 cells, leads: 1 of 28 cells"),
    "Leads that qualify (MQL to SQL)": ({(m, "seo"): {3: 4} for m in range(14)}, "REVIEW",
                                        f"seo: 56 of 700 (8.0{NBSP}%)"),
    "Jumps in volume": ({(9, "ppc"): {1: 9000}}, "REVIEW", f"visitors 2{THIN}000 to 10{THIN}000 in 2025-10"),
    "Periods without any count": ({(5, "ppc"): {2: 0}, (5, "seo"): {2: 0}}, "REVIEW", "no leads in 2025-06"),
    "Revenue and wins agree": ({(5, "ppc"): {4: 0}}, "REVIEW",
                               f"revenue without a win: 20{THIN}000 EUR (3.6{NBSP}% of all), 1 cell: ppc in 2025-06"),
    "No single deal dominates": ({(13, "ppc"): {4: 1, 5: 300000}}, "REVIEW",
                                 f"300{THIN}000 EUR, is 39{NBSP}% of the revenue"),
}  # fmt: skip


@pytest.mark.parametrize("check", TRACES)
def test_each_trace_is_found_with_its_numbers(tmp_path: Path, check: str) -> None:
    """The check that belongs to the trace speaks, with evidence and advice."""
    cells, status, evidence = TRACES[check]
    found = audited(tmp_path, changed(rows(), cells))

    assert found.loc[check, "status"] == status
    assert evidence in found.loc[check, "evidence"]
    assert found.loc[check, "advice"]


def test_channels_that_come_and_go(tmp_path: Path) -> None:
    """A channel that appears late or stops is named with the period."""
    table = {key: cells for key, cells in rows().items() if key[1] == "ppc" or 3 <= key[0] <= 10}
    found = audited(tmp_path, table)

    assert found.loc["Channels that appear late", "evidence"] == "seo from 2025-04"
    assert found.loc["Channels that stop", "evidence"] == "seo after 2025-11"


def test_a_blank_end_is_no_end(tmp_path: Path) -> None:
    """One absent row is told as not known, with the way out; a blank cell beside filled ones is no end at all."""
    table = rows()
    del table[13, "seo"]
    found = audited(tmp_path, table).loc["Channels that stop"]
    assert found["evidence"] == "seo: nothing recorded after 2026-01"
    assert "it is forecast to go on" in found["advice"]
    assert "forecast as stopped" not in found["advice"]

    found = audited(tmp_path, changed(rows(), {(13, "seo"): {1: ""}}))
    assert found.loc["Channels that stop", "status"] == "PASS"
    assert found.loc["Blank cells", "evidence"] == "visitors: 1 of 28 cells"


def test_zeros_before_a_channel_begins_are_not_there_yet(tmp_path: Path) -> None:
    """They are blank from then on, and said; zeros of the channel that the company begins with are counts."""
    zeros = {(m, "seo"): dict.fromkeys(range(6), 0) for m in range(5)}
    found = audited(tmp_path, changed(rows(), zeros))
    told = "Zeros before a channel begins"
    assert found.loc[told, "evidence"].endswith("are read as not there yet: seo: 5 before 2025-06")
    assert found.loc["Channels that appear late", "evidence"] == "seo from 2025-06"

    both = changed(rows(), zeros | {(m, "ppc"): dict.fromkeys(range(6), 0) for m in range(5)})
    assert told not in audited(tmp_path, both).index


def test_short_and_partial_histories(tmp_path: Path) -> None:
    """Less than a year is told; so is a last month that had not ended, with the way to keep it."""
    found = audited(tmp_path, rows(6), today=dt.date(2025, 6, 12))

    assert found.loc["Length of the history", "evidence"] == "5\xa0months, 2025-01 to 2025-05"
    assert found.loc["Last period complete", "evidence"].startswith(
        "2025-06 was not complete and is left out"
    )
    assert 'history.through = "2025-06"' in found.loc["Last period complete", "advice"]


def test_a_short_history_of_adjusted_data_lacks_no_season(tmp_path: Path) -> None:
    """Where there is no season to learn, less than a year is no fault."""
    found = audited(tmp_path, rows(6), priors={"season": "none"})
    assert found.loc["Length of the history", "status"] == "PASS"


def test_an_assumed_deal_value_is_for_review(tmp_path: Path) -> None:
    """Without revenue an assumed value is allowed, and known to be one."""
    table = changed(rows(), {key: {5: ""} for key in EVERY})
    found = audited(tmp_path, table, funnel={"value": 5000.0})

    assert found.loc["Deal value known", "status"] == "REVIEW"
    assert f"5{THIN}000 EUR a deal is assumed" in found.loc["Deal value known", "evidence"]


def test_no_wins_at_all_fail(tmp_path: Path) -> None:
    """A history without a customer cannot be forecast."""
    table = changed(rows(), {key: {4: 0, 5: 0} for key in EVERY})

    assert audited(tmp_path, table).loc["Enough wins", "status"] == "FAIL"


def test_leads_have_questions_of_their_own(tmp_path: Path) -> None:
    """Blank channels, undated losses, deals without amounts, one deal that dominates."""
    lines = ["lead_id,channel,created,qualified,won,lost,amount"]
    lines += [f"a{i},ppc,2026-01-{i:02d},2026-01-{i:02d},2026-02-{i:02d},,100" for i in range(1, 11)]
    lines += [
        "b,,2026-01-15,,,,",
        "c,seo,2026-01-15,2026-01-15,2026-02-28,,9000",
        "d,seo,2026-01-16,2026-01-16,2026-02-28,,",
    ]
    (tmp_path / "l.csv").write_text("\n".join(lines), encoding="utf-8")
    study = Study.model_validate({"name": "x", "history": {"leads": "l.csv"}, "folder": tmp_path})
    found = by_check(read_history(study, today=dt.date(2026, 2, 28)), study)

    assert found.loc["Leads without a channel", "evidence"].startswith("1 of 13 leads have no channel")
    assert found.loc["Losses dated", "evidence"] == "no loss is dated"
    assert found.loc["Deal value known", "evidence"] == "of 12 deals won, 1 without an amount"
    assert f"9{THIN}000 EUR, is 90{NBSP}% of the revenue" in found.loc["No single deal dominates", "evidence"]
    kept = study.model_copy(update={"history": study.history.model_copy(update={"through": "2026-01"})})
    found = by_check(read_history(kept, today=dt.date(2026, 2, 20)), kept)
    assert found.loc["Dates in the future", "evidence"] == "the latest date is 2026-02-28, later than today"
