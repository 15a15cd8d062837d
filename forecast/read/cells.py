"""Cells of a table as they came, and messages that say which of them are wrong.

Grid                      header and cells, each row with the number that a spreadsheet shows for it
rows_text, cells_problem  "12 rows, first: row 5 ("abc"), row 9": which rows, in a message
name_text, day_text       a cell as a name, and as a date
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from forecast.read.record import LeftOut
from forecast.words import Message, Text, message

BLANK = "(blank)"  # stands for an empty cell where a name is needed
SHOWN = 3  # rows named in a message; the count says how many there are
FIRST_SERIAL, LAST_SERIAL = 20_000, 80_000  # Excel's day numbers of 1954 and 2119: others are no dates


@dataclass(frozen=True)
class Grid:
    """A table of cells as they came: text, number, date, or None for an empty cell.

    `numbers[i]` is the row number of `rows[i]` in the file, the header being row 1 (Parquet has no header: from 1).
    `said`: how the file is written, by what. `left_out`: rows that are no part of the table. `shift`: days to be added
    to the day numbers of the workbook (some count from 1904). `line`: row of the header (0: a database
    has none). `files`: those that a pattern matched, which are read as one.
    """

    file: str
    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    numbers: list[int]
    said: dict[str, Text] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    shift: int = 0
    notes: tuple[Text, ...] = ()
    line: int = 1
    files: tuple[str, ...] = ()

    def column(self, position: int) -> list[Any]:
        """The cells of one column."""
        return [row[position] for row in self.rows]

    def texts(self, positions: Iterable[int]) -> dict[str, list[tuple[int, str]]]:
        """The cells of columns that are text, with their rows, by title."""
        return {
            self.title(at): [
                (number, cell)
                for number, cell in zip(self.numbers, self.column(at), strict=True)
                if isinstance(cell, str)
            ]
            for at in positions
        }

    def title(self, position: int) -> str:
        """The title of a column, as a message names it."""
        return " ".join(self.header[position].split())


FILE_STEP = 10**12  # row 5 of the second of several files is number 2 * FILE_STEP + 5


def row_place(row: int) -> Text:
    """The number of a row; of several files that are read as one `5 of file 2`."""
    if row < FILE_STEP:
        return str(row)
    return message("{row} of file {n}", row=row % FILE_STEP, n=row // FILE_STEP)


def row_text(row: object) -> Message:
    """`row 5`, `row 5 of file 2` of several that are read as one, or `lead L5` of a database, where it is called so."""
    if isinstance(row, str):
        return message("lead {row}", row=row) if row else message("a row without an id")
    return message("row {row}", row=row_place(int(str(row))))


def rows_text(found: Iterable[tuple[object, object]], total: int | None = None) -> Message:
    """`12 rows, first: row 5 ("abc"), row 9 ("n/a"), row 14` for a message; `total` if more were counted than given."""
    told = {
        (row, str(value)): (row, value) for row, value in found
    }  # of periods across, one row has several cells
    listed = list(told.values())
    n = len(listed) if total is None else total
    rows = [
        row_text(row) if value is None else message("{row} ({value})", row=row_text(row), value=_shown(value))
        for row, value in listed[:SHOWN]
    ]
    return rows[0] if n == 1 else message("{n:whole} rows, first: {rows}", n=n, rows=rows)


def cells_problem(
    file: str, column: str, found: Iterable[tuple[object, object]], rule: Text, total: int | None = None
) -> Message:
    """The message for cells of a column that break a rule; `found` and `total` as in `rows_text`."""
    told = {"file": file, "column": column, "rows": rows_text(found, total), "rule": rule}
    return message("{file}: column {column}: {rows}: {rule}.", **told)


def _shown(value: object) -> Text:
    """A cell, or what is said of it: texts in quotes, numbers without."""
    if isinstance(value, Message):
        return message('"{said}"', said=value)
    if isinstance(value, str):
        return f'"{value if len(value) <= 90 else value[:87] + "..."}"'
    return message("{x:given}", x=value) if isinstance(value, float) else str(value)


def first_line_of(error: Exception) -> str:
    """The first line of an error of a library, for the middle of a message."""
    return (str(error).strip().splitlines() or ["no reason is told"])[0].rstrip(".")


def name_text(cell: object) -> str:
    """A cell as a name: a number is the name that it is written as, never a date and never with ".0".

    >>> name_text(101.0), name_text("101.0"), name_text(45000)
    ('101', '101', '45000')
    """
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return day_text(cell)
    text = str(cell).strip()
    return text.partition(".")[0] if re.fullmatch(r"\d+\.0+", text) else text


def day_text(cell: object, shift: int = 0) -> str:
    """A date cell or one of Excel's day numbers (and `shift` days) as an ISO date; text as it is.

    >>> day_text(46082.0), day_text(20260301.0)
    ('2026-03-01', '20260301')
    """
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(sep=" ")
    if isinstance(cell, int | float) and not isinstance(cell, bool) and FIRST_SERIAL <= cell <= LAST_SERIAL:
        return (date(1899, 12, 30) + timedelta(days=int(cell) + shift)).isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, date) else str(cell)
