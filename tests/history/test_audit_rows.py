"""What rows show of how they were made: found where it is, and not where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.checks import Check
from forecast.history.audit_rows import audit_rows
from forecast.history.history import History, dataset
from forecast.history.read import read_history
from forecast.lab import Company, counts, demo_world, generate
from forecast.periods import period_range
from forecast.study import Study
from forecast.words import text

DELAYS = {"delay": {"qualified": 14.0, "won": 45.0}}
SEEDS = range(3)


@pytest.fixture(scope="module")
def companies() -> list[Company]:
    """Made companies of the usual delays."""
    return [generate(demo_world(), np.random.default_rng(seed)) for seed in SEEDS]


def found(history: History, study: Study) -> dict[str, Check]:
    """What is said, by name."""
    return {text(check.name): check for check in audit_rows(history, study)}


def of_counts(folder: Path, table: pd.DataFrame, **history: Any) -> dict[str, Check]:
    """What is said of a table of counts."""
    table.to_csv(folder / "c.csv", index=False)
    study = Study.model_validate(
        {"name": "x", "history": {"counts": "c.csv", **history}, "funnel": DELAYS, "folder": folder}
    )
    return found(read_history(study), study)


def of_cells(cells: dict[str, Any], channels: list[str], **study: Any) -> dict[str, Check]:
    """What is said of cells by stage, (period, channel), from 2024-01."""
    made = {name: np.asarray(values, dtype=float) for name, values in cells.items()}
    n = len(next(iter(made.values())))
    starts = period_range(np.datetime64("2024-01-01"), np.datetime64("2040-01-01"), "month")[:n]
    stages = tuple(name for name in ("visitors", "leads", "qualified", "won") if name in made)
    history = History(dataset(made, starts, channels), "calendar", "month", stages)
    return found(history, Study.model_validate({"name": "x", "history": {"counts": "c.csv"}, **study}))


def test_nothing_is_said_of_companies_as_they_are(tmp_path: Path, companies: list[Company]) -> None:
    """By calendar, by cohort, lead by lead: no alarm."""
    for company in companies:
        assert of_counts(tmp_path, counts(company)) == {}
        assert of_counts(tmp_path, counts(company, "cohort"), counting="cohort") == {}
        company.leads.to_csv(tmp_path / "l.csv", index=False, date_format="%Y-%m-%d")
        company.activity.to_csv(tmp_path / "a.csv", index=False)
        spec = {"leads": "l.csv", "activity": "a.csv"}
        study = Study.model_validate({"name": "x", "history": spec, "folder": tmp_path})
        assert found(read_history(study), study) == {}


def test_counts_by_cohort_read_as_calendar_and_the_reverse(tmp_path: Path, companies: list[Company]) -> None:
    """The key that settles it is named; wins that fall off while leads stand still are no history by calendar."""
    for company in companies:
        check = of_counts(tmp_path, counts(company, "cohort"))["Calendar or cohort"]
        assert check.status in ("FAIL", "REVIEW")
        assert 'history.counting = "cohort"' in text(check.advice)
        table = counts(company)  # more moved on than came in some cells: elsewhere that is refused at once
        for before, stage in (("leads", "qualified"), ("qualified", "won")):
            table[stage] = np.minimum(table[stage], table[before])
        check = of_counts(tmp_path, table, counting="cohort")["Calendar or cohort"]
        assert check.status == "REVIEW"
        assert 'history.counting = "calendar"' in text(check.advice)


def test_leads_that_fall_with_their_wins_are_not_counted_otherwise() -> None:
    """Where all stages fall together the counting is not in doubt; the last period may be."""
    rng = np.random.default_rng(2)
    leads = rng.poisson(np.r_[np.full(20, 200.0), 150, 100])[:, None]
    said = of_cells(
        {"leads": leads, "won": rng.poisson(leads * 0.1)}, ["ppc"], funnel={"stages": ("leads", "won")}
    )

    assert "Calendar or cohort" not in said


def test_a_last_month_cut_short_is_said() -> None:
    """All channels at a third of what they were; one channel alone is no sign of it, nor is a usual season."""
    rng = np.random.default_rng(1)
    visitors = rng.poisson(800, size=(18, 3)).astype(float)
    cells = {"visitors": visitors, "won": rng.poisson(8, size=(18, 3))}
    assert "Last period like the others" not in of_cells(cells, ["a", "b", "c"])

    short = visitors.copy()
    short[-1] *= 0.35
    check = of_cells(cells | {"visitors": short}, ["a", "b", "c"])["Last period like the others"]
    assert "2025-06 has" in text(check.value)
    assert 'history.through = "2025-05"' in text(check.advice)
    one = visitors.copy()
    one[-1, 0] = 0
    assert "Last period like the others" not in of_cells(cells | {"visitors": one}, ["a", "b", "c"])


def test_zeros_before_the_first_count_are_said() -> None:
    """Half a year without one qualified lead while leads came: not recorded. A wait as long as the delay: recorded."""
    leads = np.full((20, 1), 100.0)
    qualified, won = np.full((20, 1), 40.0), np.full((20, 1), 8.0)
    qualified[:6] = 0
    said = of_cells({"leads": leads, "qualified": qualified, "won": won}, ["a"])
    assert "no qualified in 2024-01 to 2024-06" in text(said["Zeros before the first count"].value)

    late = np.r_[np.zeros(3), np.full(17, 8.0)][:, None]
    said = of_cells(
        {"leads": leads, "qualified": np.full((20, 1), 40.0), "won": late},
        ["a"],
        funnel={"delay": {"won": 60.0}},
    )
    assert "Zeros before the first count" not in said


def test_leads_whose_wins_begin_late(tmp_path: Path) -> None:
    """Wins of the first months that are absent from the file are told apart from wins that take their time."""
    rng = np.random.default_rng(4)
    created = np.repeat(np.arange("2024-01", "2025-09", dtype="M8[M]").astype("M8[D]"), 40)
    for wait, lost, expected in ((20, True, True), (150, False, False)):
        won = created + rng.integers(wait, wait + 20, created.size)
        gone = (rng.random(created.size) < 0.5) | (won > np.datetime64("2025-08-31"))
        gone |= lost & (won < np.datetime64("2024-07-01"))
        rows = pd.DataFrame({"lead_id": np.arange(created.size), "channel": "ppc", "created": created})
        rows["qualified"] = created
        rows["won"] = pd.Series(won).where(~gone)
        rows.to_csv(tmp_path / "l.csv", index=False)
        spec = {
            "name": "x",
            "history": {"leads": "l.csv"},
            "funnel": {"stages": ("leads", "qualified", "won")},
        }
        study = Study.model_validate({**spec, "folder": tmp_path})
        assert ("Zeros before the first count" in found(read_history(study), study)) is expected


def test_names_that_never_meet_are_said_with_both_lists() -> None:
    """Spend and visits without one lead, beside leads with neither; either alone is no sign."""
    spend, visitors = np.tile([100.0, 100.0, 0.0], (12, 1)), np.tile([900.0, 900.0, 0.0], (12, 1))
    leads = np.tile([30.0, 0.0, 30.0], (12, 1))
    names = ["ppc", "Google Ads", "google_ads"]
    cells = {"spend": spend, "visitors": visitors, "leads": leads, "won": leads / 10}
    said = text(of_cells(cells, names)["Names that never meet"].value)
    assert said == "spend or visits and not one lead: Google Ads; leads and neither: google_ads"

    assert "Names that never meet" not in of_cells(cells, ["ppc", "tv", "(blank)"])
    fed = np.tile([30.0, 5.0, 30.0], (12, 1))
    assert "Names that never meet" not in of_cells(cells | {"leads": fed}, names)


def test_campaigns_in_the_column_of_channels_are_said() -> None:
    """Hundreds of channels, or numbers with few rows each; a dozen numbered branches are channels."""
    many = np.ones((2, 300))
    said = text(
        of_cells({"leads": many, "won": many}, [f"c{i}" for i in range(300)])["Number of channels"].value
    )
    assert said == "300 channels, 2\xa0months each, such as c0, c1, c2"

    ids = [str(1_200_000 + i) for i in range(40)]
    assert "Number of channels" in of_cells({"leads": many[:, :40], "won": many[:, :40]}, ids)
    assert "Number of channels" not in of_cells({"leads": many[:, :12], "won": many[:, :12]}, ids[:12])
