"""A made CRM that is edited after the fact, kept as dated exports, as one table of them, and as a log of changes."""

# ruff: noqa: S608 - SQL of tests
from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
from held_fixture import STAGES, study_in, write_csv

from forecast.study import Study

FIRST, DAYS, LEADS = date(2024, 1, 1), 366, 900
COLUMNS = ("lead_id", "channel", "created", "qualified", "won", "lost", "amount")
Row = tuple[object, ...]
Change = tuple[date, str, str, object]  # when, lead, field, value


def changes() -> list[Change]:
    """A made CRM: leads come, are won, and a third of the losses of a channel is written back as wins months later."""
    rng = np.random.default_rng(3)
    log: list[Change] = []
    for i in range(LEADS):
        lead, channel = f"L{i:04d}", ("ads", "fair")[i % 2]
        created = FIRST + timedelta(days=int(rng.integers(DAYS - 40)))
        log += [(created, lead, "channel", channel), (created, lead, "created", created)]
        if rng.random() < 0.5:
            continue
        qualified = created + timedelta(days=int(rng.integers(20)))
        log.append((qualified, lead, "qualified", qualified))
        if rng.random() < 0.5:
            won = qualified + timedelta(days=int(rng.integers(30)))
            log += [(won, lead, "won", won), (won, lead, "amount", 100 + i)]
        else:
            lost = qualified + timedelta(days=int(rng.integers(30)))
            log.append((lost, lead, "lost", lost))
            if i % 3 == 0:  # written back: won on the day of the loss, as if it had never been lost
                later = lost + timedelta(days=60)
                log += [
                    (later, lead, "lost", None),
                    (later, lead, "won", lost),
                    (later, lead, "amount", 100 + i),
                ]
    return sorted((c for c in log if c[0] < FIRST + timedelta(days=DAYS)), key=lambda c: (c[0], c[1]))


def export(day: date) -> list[Row]:
    """All leads as the CRM would show them at the end of a day."""
    state: dict[str, dict[str, object]] = {}
    for when, lead, field, value in changes():
        if when <= day:
            state.setdefault(lead, {})[field] = value
    return [(lead, *(own.get(name) for name in COLUMNS[1:])) for lead, own in state.items()]


def ends() -> list[date]:
    """Last days of the months of the year."""
    return [date(2024 + month // 12, month % 12 + 1, 1) - timedelta(days=1) for month in range(1, 13)]


def write_crm(place: Path) -> Path:
    """The same CRM kept in each way; returns the folder."""
    stacked: list[Row] = []
    for day in ends():
        rows = export(day)
        write_csv(place / f"crm-{day}.csv", rows, COLUMNS)
        stacked += [(*row, day) for row in rows]
    write_csv(place / "all.csv", stacked, (*COLUMNS, "exported"))
    log = [(lead, field, when, value) for when, lead, field, value in changes()]
    write_csv(place / "log.csv", log, ("lead_id", "field", "changed_at", "value"))
    duckdb.execute(f"ATTACH '{place}/held.db' AS held")
    duckdb.execute(f"CREATE TABLE held.crm AS SELECT * FROM read_csv('{place}/all.csv')")
    duckdb.execute("DETACH held")
    return place


WAYS: dict[str, dict[str, object]] = {
    "name": {"leads": "crm-*.csv", "snapshots": {"by": "name"}},
    "column": {"leads": "all.csv", "snapshots": {"by": "column"}},
    "log": {"leads": "log.csv", "snapshots": {"by": "log"}},
    "database": {
        "database": {"kind": "duckdb", "file": "held.db", "leads": "crm"},
        "snapshots": {"by": "column"},
    },
}


def study_of(folder: Path, way: str, **keys: object) -> Study:
    """A study of the CRM, its copies kept in one of the ways."""
    return study_in(folder, STAGES, **{"through": "2024-12", **WAYS[way], **keys})
