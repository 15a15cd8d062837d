"""The lines of a large text file on which its rows stand, for messages: DuckDB counts rows, and people see lines.

A row is not the line of the same number below an empty line, which DuckDB leaves out, and below a cell with a line
break. Rows of blanks are no rows, as in a file of moderate size. All this costs a look at each line, so it is asked for
only once something is to be said of a row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from forecast.bounds import MOST_CELL
from forecast.read.relation import Relation
from forecast.read.text import CHUNK, DELIMITERS

if TYPE_CHECKING:
    import duckdb

FEW = 100  # places where rows and lines part, for which a CASE is faster than a join
_ODD = re.compile(
    rb'"|[\r\n][\r \t%s]*\n' % re.escape("".join(DELIMITERS)).encode()
)  # a quote, a line of blanks


def in_lines(
    connection: duckdb.DuckDBPyConnection, source: Relation, *, name: str = "file"
) -> Relation | None:
    """A large text file with its rows numbered by the lines on which they start, and without rows of blanks.

    None where there is nothing to change; `name` names the file in the connection.
    """
    if source.text_file is None or not _is_odd(source.text_file[0]):
        return None
    try:
        steps = list(_steps(*source.text_file))
    except (csv.Error, UnicodeDecodeError):
        return None  # DuckDB reads it another way
    number = "forecast_number"
    if len(steps) <= FEW:
        cases = " ".join(f"WHEN {number} >= {row} THEN {more}" for row, more in reversed(steps))
        line, beside = f"{number} + CASE {cases} ELSE 0 END", ""
    else:
        table = f"{name}_lines"
        connection.register(table, pd.DataFrame(steps, columns=["from_row", "more"]))
        line, beside = f"{number} + more", f" ASOF JOIN {table} ON {number} >= from_row"
    numbered = f"SELECT *, row_number() OVER () AS {number} FROM {source.relation}"  # noqa: S608 - names made here
    filled = " OR ".join(f"trim({column}) <> ''" for column in source.columns)
    columns = ", ".join(source.columns)
    sql = f"(SELECT {columns}, {line} AS forecast_line FROM ({numbered}){beside} WHERE {filled})"  # noqa: S608
    return replace(source, relation=sql, row="forecast_line", text_file=None)


def _is_odd(path: Path) -> bool:
    """Whether rows may stand on other lines than those of their number, or be rows of blanks: quickly found out."""
    rest = b""
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            if _ODD.search(rest + piece):
                return True
            rest = piece[-1000:]
    return False


def _steps(path: Path, delimiter: str, skipped: int) -> Iterator[tuple[int, int]]:
    """From which row on (from 1) how much is to be added to a row's number for its line; the first step is row 1's."""
    added, row, last = None, 0, skipped
    before = csv.field_size_limit(MOST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for _ in range(skipped):
                stream.readline()
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            for cells in reader:
                first, last = last + 1, skipped + reader.line_num
                if not cells:
                    continue
                row += 1
                if first - row != added:
                    added = first - row
                    yield row, added
    finally:
        csv.field_size_limit(before)
