"""Data that change after the fact: a past is the copy of its day, however that is kept, and does not know what came."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from edited_fixture import COLUMNS, WAYS, ends, export, study_of, write_crm
from held_fixture import STAGES, study_in, write_csv

from forecast.errors import DataError, StudyError
from forecast.history import History, read_history


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same CRM as dated exports, as one table of them, and as a log of changes."""
    return write_crm(tmp_path_factory.mktemp("crm"))


def of_day(folder: Path, day: date) -> History:
    """The export of a day, read by itself."""
    keys = {"leads": f"crm-{day}.csv", "through": f"{day:%Y-%m}", "from": "2024-01"}
    return read_history(study_in(folder, STAGES, **keys))


@pytest.mark.parametrize("way", WAYS)
def test_a_past_is_the_export_of_its_day(folder: Path, way: str) -> None:
    """For every month: counts, triangles, courses, deals, to the bit; and today is the newest."""
    history = read_history(study_of(folder, way))

    assert history.fingerprint() == of_day(folder, ends()[-1]).fingerprint()
    for day in ends()[3::4]:
        past = history.as_of(f"{day:%Y-%m}")
        assert past.fingerprint() == of_day(folder, day).fingerprint()


def test_todays_state_leaks_and_a_copy_does_not(folder: Path) -> None:
    """What was written back later is among the wins that today's state claims were known then."""
    history = read_history(study_of(folder, "name"))
    for day in ends()[5:9]:
        label = f"{day:%Y-%m}"
        known, believed = history.as_of(label), history.believed.as_of(label)
        truth = sum(row[4] is not None and row[4] <= day for row in export(day))
        assert known.counts["won"].sum() == truth
        assert believed.counts["won"].sum() > truth + 5
        assert known.losses["won"].sum() > believed.losses["won"].sum()


def test_a_past_does_not_change_with_what_is_edited_later(folder: Path, tmp_path: Path) -> None:
    """Exports of later days may say anything."""
    for path in folder.glob("crm-*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = read_history(study_of(tmp_path, "name")).as_of("2024-06").fingerprint()
    write_csv(
        tmp_path / "crm-2024-12-31.csv", [(row[0], "other", *row[2:]) for row in export(ends()[-1])], COLUMNS
    )
    after = read_history(study_of(tmp_path, "name"))

    assert after.channels == ["other"]
    assert after.as_of("2024-06").fingerprint() == before


def test_a_month_without_a_copy_cannot_be_told(folder: Path, tmp_path: Path) -> None:
    """It is refused with the exports that are there, and more days may be allowed."""
    for day in ends():
        late = day + timedelta(days=4) if day.month == 6 else day
        write_csv(tmp_path / f"crm-{late}.csv", export(late), COLUMNS)
    history = read_history(study_of(tmp_path, "name"))

    with pytest.raises(DataError, match=r"as of 2024-06: no export was made from 2024-06-30 on within"):
        history.as_of("2024-06")
    assert not history.tells(np.datetime64("2024-06-01"))
    later = read_history(study_of(tmp_path, "name", snapshots={"by": "name", "within": 5}))
    assert later.as_of("2024-06").last == np.datetime64("2024-06-01")


def test_counts_by_cohort_can_be_taken_back_where_copies_are_kept(tmp_path: Path) -> None:
    """What had become of a cohort by then is in the table of that day."""
    lines = {"2025-01-31": ["2025-01,ads,10,1"], "2025-02-28": ["2025-01,ads,10,4", "2025-02,ads,12,1"]}
    lines["2025-03-31"] = ["2025-01,ads,10,5", "2025-02,ads,12,3", "2025-03,ads,9,0"]
    for day, rows in lines.items():
        (tmp_path / f"{day}.csv").write_text(
            "\n".join(["period,channel,leads,won", *rows, ""]), encoding="utf-8"
        )
    keys = {"counts": "2025-*.csv", "counting": "cohort", "snapshots": {"by": "name"}}
    history = read_history(study_in(tmp_path, ("leads", "won"), **keys))

    assert history.counts["won"].values.ravel().tolist() == [5.0, 3.0, 0.0]
    assert history.as_of("2025-02").counts["won"].values.ravel().tolist() == [4.0, 1.0]
    with pytest.raises(DataError, match="cannot be taken back"):
        history.believed.as_of("2025-02")


STAGED = """lead_id,field,changed_at,value
a,channel,2025-01-02,ads
a,stage,2025-01-02,leads
a,stage,2025-01-10,qualified
a,stage,2025-02-01 09:00,Won
a,stage,2025-02-20,qualified
b,channel,2025-01-05,ads
b,stage,2025-01-05,leads
b,stage,2025-01-25,lost
b,stage,2025-02-25,won
b,owner,2025-02-25,me
c,channel,2025-02-26,fair
c,stage,2025-02-26,qualified
"""


def test_a_log_of_stages_tells_days_and_ways_back(tmp_path: Path) -> None:
    """Won in February, moved back in it; lost in January, and written back as won; straight into a later stage."""
    (tmp_path / "log.csv").write_text(STAGED, encoding="utf-8")
    study = study_in(tmp_path, STAGES, leads="log.csv", snapshots={"by": "log"}, through="2025-02")
    history = read_history(study)
    january = history.as_of("2025-01")

    totals = {name: history.total(name).tolist() for name in STAGES}
    assert totals == {"leads": [2.0, 1.0], "qualified": [1.0, 2.0], "won": [0.0, 1.0]}
    assert january.total("qualified").tolist() == [1.0]
    assert int(january.losses["qualified"].sum()) == 1
    assert not history.losses
    assert [(str(out.reason), out.n) for out in history.files[0].left_out] == [
        ("changes of owner, which is not read", 1)
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a,stage,2025-01-02,Demo booked\n",
            "stage has the values demo booked; expected names of funnel.stages or lost",
        ),
        ("a,owner,2025-01-02,me\n", 'needs a field "stage", or one "created"; its fields are owner'),
        ("a,stage,yesterday,leads\n", r'1 changes have no date that can be read, such as "yesterday"'),
    ],
)
def test_a_log_that_cannot_be_understood(tmp_path: Path, text: str, said: str) -> None:
    """Its fields, its stages, its days."""
    (tmp_path / "log.csv").write_text("lead_id,field,changed_at,value\n" + text, encoding="utf-8")
    with pytest.raises((DataError, StudyError), match=said):
        read_history(study_in(tmp_path, STAGES, leads="log.csv", snapshots={"by": "log"}))


def test_copies_need_their_days(tmp_path: Path) -> None:
    """In the name, once; in the column, at all."""
    write_csv(tmp_path / "crm-march.csv", export(ends()[0]), COLUMNS)
    key = {"leads": "crm-*.csv", "snapshots": {"by": "name"}}
    with pytest.raises(DataError, match=r"crm-march\.csv: its name tells no day"):
        read_history(study_in(tmp_path, STAGES, **key))
    (tmp_path / "crm-march.csv").unlink()
    for name in ("crm-2024-01-31.csv", "crm-20240131.csv"):
        write_csv(tmp_path / name, export(ends()[0]), COLUMNS)
    with pytest.raises(DataError, match="is an export of the same day"):
        read_history(study_in(tmp_path, STAGES, **key))
    with pytest.raises(DataError, match='no column "exported"'):
        read_history(study_in(tmp_path, STAGES, leads="crm-2024-01-31.csv", snapshots={"by": "column"}))
