"""Made leads in a CSV and, the same rows, in a database; and studies of both."""

# ruff: noqa: S608 - SQL of tests
from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import duckdb

from forecast.history import History, read_history
from forecast.read import FileRead
from forecast.study import Study

COLUMNS = ("lead_id", "channel", "created", "qualified", "won", "lost", "amount")
STAGES = ("leads", "qualified", "won")
MADE = """
    SELECT 'L' || lpad(CAST(i AS VARCHAR), 4, '0') AS lead_id, 'channel ' || (i * 7 % 3) AS channel, created,
        CASE WHEN i % 3 = 0 THEN created + CAST(i % 17 AS INTEGER) END AS qualified,
        CASE WHEN i % 12 = 0 THEN created + CAST(i % 17 + i % 41 AS INTEGER) END AS won,
        CASE WHEN i % 3 = 1 THEN created + CAST(i % 90 AS INTEGER) END AS lost,
        CASE WHEN i % 12 = 0 THEN 100 + i % 900 END AS amount
    FROM (SELECT i, DATE '2024-01-01' + CAST(i * 31 % 400 AS INTEGER) AS created FROM range({n}) t(i))
    ORDER BY created, i
"""
# each breaks one rule; the last repeats an id
BAD = (
    ("B1", "a", None, None, None, None, None),
    ("B2", "a", "2024-03-05", "2024-03-01", None, None, None),
    ("B3", "a", "2024-03-05", "n/a", None, None, None),
    ("B4", "a", "2024-03-05", None, "2024-04-01", None, None),
    ("B5", "a", "2024-03-05", "2024-03-06", "2024-03-08", "2024-03-09", None),
    ("B6", "a", "2024-03-05", "2024-03-06", "2024-03-08", None, "-12"),
    ("B7", "a", "2024-03-05", "2024-03-06", "2024-03-08", None, "many"),
    (None, "a", "2024-03-05", None, None, None, None),
    ("L0000", "a", "2025-03-05", None, None, None, None),
)
Row = tuple[Any, ...]


def rows(n: int = 600) -> list[Row]:
    """Leads that keep every rule: days as such, amounts as numbers."""
    return duckdb.execute(MADE.format(n=n)).fetchall()


def texts(given: list[Row]) -> list[Row]:
    """The same as texts."""
    return [tuple(None if cell is None else str(cell) for cell in row) for row in given]


def write_csv(path: Path, given: list[Row], columns: tuple[str, ...] = COLUMNS) -> None:
    """The rows as a CSV."""
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in given]
    path.write_text("\n".join([",".join(columns), *lines, ""]), encoding="utf-8")


def write_sqlite(path: Path, given: list[Row], table: str = "leads") -> None:
    """The rows in a table of a SQLite file, days as texts, as it has no others."""
    with sqlite3.connect(path) as held:
        held.execute(f"CREATE TABLE {table} ({', '.join(COLUMNS)})")
        plain = [
            tuple(cell if isinstance(cell, int) else cell and str(cell) for cell in row) for row in given
        ]
        held.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)", plain)
    held.close()


def write_duckdb(path: Path, given: list[Row], *, typed: bool = True, table: str = "leads") -> None:
    """The rows in a table of a DuckDB file."""
    kinds = (
        "VARCHAR",
        "VARCHAR",
        *["DATE" if typed else "VARCHAR"] * 4,
        "DECIMAL(12,2)" if typed else "VARCHAR",
    )
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(COLUMNS, kinds, strict=True))
    with duckdb.connect(path) as held:
        held.execute(f"CREATE TABLE {table} ({columns})")
        held.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)", given)


def study_in(folder: Path, stages: tuple[str, ...] = STAGES, **history: Any) -> Study:
    """A study of a history, in a folder."""
    return Study.model_validate(
        {"name": "held", "history": history, "funnel": {"stages": stages}, "folder": folder}
    )


def history_in(folder: Path, **history: Any) -> History:
    """The history of such a study."""
    return read_history(study_in(folder, **history))


def left_out(read: FileRead) -> dict[str, int]:
    """How many rows were left out, by reason."""
    return {str(out.reason): out.n for out in read.left_out}
