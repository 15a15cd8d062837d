"""Units whose date is known in advance: counted by hand, moved at their date, and in no other way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from crm_fixture import refused, study_of

from forecast.errors import DataError
from forecast.fit import Posterior, preview
from forecast.history import History, audit_history, read_history
from forecast.outlook import case_of, open_units, simulate
from forecast.outlook.expectation import outcome, world_of
from forecast.outlook.scheduled import open_by_entry, scheduled_of
from forecast.study import Study

STAY = {"web": 0.9, "agent": 0.7}  # chance to be still there a month later
START = np.datetime64("2023-01")
MONTHS, LAST = 36, "2025-12"


def bookings(seed: int, *, scheduled: bool = True) -> pd.DataFrame:
    """Three years of bookings for one to six months ahead; a share of those still open is cancelled in every month."""
    rng, rows = np.random.default_rng(seed), []
    for month in range(MONTHS):
        for channel, stay in STAY.items():
            for _ in range(rng.poisson(40)):
                ahead = int(rng.integers(1, 7))
                lived = int(rng.geometric(1.0 - stay))
                lost = month + lived if lived <= ahead else None
                won = month + ahead if lost is None else None
                rows.append((channel, month, won, lost, month + ahead))
    table = pd.DataFrame(rows, columns=["channel", "created", "won", "lost", "scheduled"])
    for name in ("created", "won", "lost", "scheduled"):
        known = table[name].notna() & ((table[name] < MONTHS) | (name == "scheduled"))
        days = (START + table[name].fillna(0).astype(int).to_numpy()).astype("datetime64[D]")
        table[name] = np.where(known, days.astype(str), "")
    table.insert(0, "lead_id", [f"b{i}" for i in range(len(table))])
    return table if scheduled else table.drop(columns="scheduled")


def read(folder: Path, table: pd.DataFrame) -> tuple[Study, History]:
    """Study and history of bookings."""
    table.to_csv(folder / "leads.csv", index=False)
    study = study_of(folder, leads="leads.csv", through=LAST)
    return study, read_history(study)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, History, pd.DataFrame, Posterior]:
    """A company, its history, its rows, and its preview."""
    table = bookings(1)
    study, history = read(tmp_path_factory.mktemp("booked"), table)
    return study, history, table, preview(study, history, seed=1, draws=500)


def test_what_is_scheduled_is_counted(company: tuple[Study, History, pd.DataFrame, Posterior]) -> None:
    """Open units by month ahead and channel, and shares near 0.9^k and 0.7^k of those that are there k months ahead."""
    _, history, table, _ = company
    still = table[(table["won"] == "") & (table["lost"] == "")]
    found = scheduled_of(history, 3)
    assert found is not None
    for i, month in enumerate(sorted(still["scheduled"].unique())):
        for c, channel in enumerate(history.channels):
            mine = (still["scheduled"] == month) & (still["channel"] == channel)
            assert found.units[i, c] == mine.sum()
    assert open_by_entry(history).sum() == found.units.sum() + found.gone.sum() == len(still)
    assert found.slot.tolist() == [0, 1, 2, 3, 3, 3]
    share = found.a / (found.a + found.b)
    for c, channel in enumerate(history.channels):
        assert share[:3, c] == pytest.approx([STAY[channel] ** k for k in (1, 2, 3)], abs=0.05)
    draws = found.draw(4000, 4, np.random.default_rng(0))
    assert draws.mean(axis=0) == pytest.approx(found.mean(4), rel=0.03, abs=0.2)


def test_they_move_at_their_date_and_wait_for_nothing_else(
    company: tuple[Study, History, pd.DataFrame, Posterior],
) -> None:
    """No open unit is left to the delay; simulated and expected roads agree; each month brings what it should."""
    study, history, table, posterior = company
    assert open_units(history, posterior, "leads", "won")[0].sum() == 0
    plan = np.zeros((3, 2))
    case = case_of(study, history, posterior, plan, np.random.default_rng(1))
    won = simulate(case, {"a": plan}, rng=np.random.default_rng(2), replicates=4)["won_from_pipeline"].sel(
        plan="a"
    )
    expected = outcome(world_of(case, np.arange(500))).won[0].mean(axis=0)
    assert won.mean("draw").values == pytest.approx(expected[:3], rel=0.05, abs=0.5)
    still = table[(table["won"] == "") & (table["lost"] == "")]
    for h, month in enumerate(("2026-01", "2026-02", "2026-03")):
        booked = still[still["scheduled"].str.startswith(month)].groupby("channel").size()
        truth = sum(booked[name] * STAY[name] ** (h + 1) for name in STAY)
        draws = won.isel(period=h).sum("channel").values
        assert abs(draws.mean() - truth) < 0.1 * truth
        assert np.quantile(draws, 0.05) < truth < np.quantile(draws, 0.95)


def test_the_past_knows_nothing_of_what_came(tmp_path: Path) -> None:
    """As of a month, the schedules are those that were known then; what came later changes no byte."""
    table = bookings(2)
    _, history = read(tmp_path, table)
    past = history.as_of("2025-06")
    other = table.copy()
    later = (other["won"] > "2025-06-31") | (other["lost"] > "2025-06-31")
    other.loc[later, ["won", "lost"]] = ""
    other = other[other["created"] <= "2025-06-31"]
    study = study_of(tmp_path, leads="leads.csv", through="2025-06")
    other.to_csv(tmp_path / "leads.csv", index=False)
    assert past.fingerprint() == read_history(study).fingerprint()
    pd.testing.assert_frame_equal(past.schedule, read_history(study).schedule)
    assert (past.schedule["n"] > 0).all()
    assert past.schedule["ended"].max() <= np.datetime64("2025-06-01")


def test_without_the_column_nothing_changes(tmp_path: Path) -> None:
    """The same leads without it: the same history, but for its schedules."""
    table = bookings(3)
    _, history = read(tmp_path, table)
    _, plain = read(tmp_path, table.drop(columns="scheduled"))
    assert plain.schedule.empty
    assert scheduled_of(plain, 3) is None
    assert replace(history, schedule=plain.schedule).fingerprint() == plain.fingerprint()


def test_a_date_that_is_over_is_said_and_brings_nothing(tmp_path: Path) -> None:
    """Neither won nor lost by its date: taken for lost, with how many."""
    table = bookings(4)
    forgotten = table.index[(table["won"] > "2025-09") & (table["won"] < "2025-12")][:7]
    table.loc[forgotten, "won"] = ""
    study, history = read(tmp_path, table)
    found = scheduled_of(history, 3)
    assert found is not None
    assert found.gone.sum() == 7
    (check,) = (c for c in audit_history(history, study) if c.name == "Dates known in advance")
    assert check.status == "REVIEW"
    assert "7 open leads were scheduled for 2025-12 or before" in str(check.value)


def test_a_date_may_lie_ahead_and_must_be_one(tmp_path: Path) -> None:
    """It ends no history; what cannot be read is told with its row."""
    text = "lead_id,channel,created,won,scheduled\n1,a,2026-01-05,2026-02-10,2026-02-10\n2,a,2026-02-25,,2027-08-01\n"
    (tmp_path / "leads.csv").write_text(text, encoding="utf-8")
    history = read_history(study_of(tmp_path, leads="leads.csv"))
    assert str(history.known_day) == "2026-02-25"
    assert history.schedule["n"].tolist() == [1]
    told = refused(DataError, tmp_path, text.replace("2027-08-01", "soon"))
    assert 'column scheduled: row 3 ("soon"): expected a date' in told
