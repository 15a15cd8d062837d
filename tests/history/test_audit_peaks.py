"""Weeks of the horizon that were far off in every past year are named, and nothing else is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from posterior_fixture import history, study

from forecast.history.audit_peaks import peaks_ahead
from forecast.history.history import History
from forecast.study import Study
from forecast.words import text

WEEKS = 160  # from 2023-W43 to 2026-W46


def weeks(
    times: dict[str, float] | float = 1.0, *, spend: bool = False, seed: int = 1, periods: int = WEEKS
) -> History:
    """Visitors with a season and a scatter of a tenth; `times` by label, of spend instead where it is said."""
    blank = history({"visitors": 1.0}, channels=("one",), periods=periods, period="week", first="2023-10-23")
    t = np.arange(periods)
    usual = 2000.0 * np.exp(
        0.4 * np.sin(2 * np.pi * t / 52.18) + np.random.default_rng(seed).normal(0.0, 0.1, periods)
    )
    peak = np.array([times.get(label, 1.0) if isinstance(times, dict) else times for label in blank.labels])
    cells = {"visitors": np.round(usual * peak)[:, None], "won": 9.0}
    if spend:
        cells["spend"] = 500.0 * peak[:, None]
    return history(cells, channels=("one",), periods=periods, period="week", first="2023-10-23")


def asked(**more: Any) -> Study:
    """Four weeks ahead: 2026-W47 to 2026-W50."""
    return study(history={"counts": "none.csv", "period": "week"}, plan={"periods": 4}, **more)


FRIDAY = {f"{year}-W{week}": times for year in (2023, 2024, 2025) for week, times in ((47, 2.0), (48, 4.0))}


def test_a_peak_of_every_year_is_named_with_its_size():
    """About twice in W47, about four times in W48, and what to write into the study."""
    check = peaks_ahead(weeks(FRIDAY), asked())
    assert check is not None
    assert check.status == "REVIEW"
    said = text(check.value)
    assert "2026-W47 (2" in said
    assert "2026-W48 (3.8" in said
    assert "W49" not in said
    assert "yearly = [47, 48]" in text(check.advice)


def test_a_hole_of_every_year_is_named():
    """A summer closure, by its own sign."""
    check = peaks_ahead(weeks({f"{year}-W50": 0.3 for year in (2023, 2024, 2025)}), asked())
    assert check is not None
    assert "2026-W50 (0.3" in text(check.value)


def test_a_feast_that_moves_a_week_is_named():
    """In W47 once and in W48 twice: W48 is."""
    check = peaks_ahead(weeks({"2023-W47": 4.0, "2024-W48": 4.0, "2025-W48": 4.0}), asked())
    assert check is not None
    assert "2026-W48" in text(check.value)
    assert "2026-W47" not in text(check.value)


@pytest.mark.parametrize("seed", range(6))
def test_chance_a_season_and_a_peak_of_one_year_are_not_named(seed):
    """Nor is a peak that its spend explains, nor one that an event of the study moves."""
    for past in (weeks(seed=seed), weeks({"2024-W48": 4.0}, seed=seed), weeks(FRIDAY, spend=True, seed=seed)):
        check = peaks_ahead(past, asked())
        assert check is not None
        assert check.status == "PASS"
    event = {"name": "Black Friday", "yearly": (47, 48), "moves": "traffic"}
    check = peaks_ahead(weeks(FRIDAY, seed=seed), asked(event=(event,)))
    assert check is not None
    assert check.status == "PASS"


def test_it_is_asked_of_two_years_of_weeks():
    """A year says nothing of every year; months have a season by month."""
    assert peaks_ahead(weeks(periods=54), asked()) is None
    assert peaks_ahead(history({"visitors": 100.0, "won": 9.0}, periods=40), study()) is None
