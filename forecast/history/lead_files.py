"""Opening a file of leads in DuckDB: CSV, Parquet or Excel, every cell as it came."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from forecast.errors import DataError
from forecast.history.files import (
    CSV_SUFFIXES,
    PARQUET_SUFFIXES,
    csv_header,
    day_text,
    first_line_of,
    literal_path,
    read_excel_rows,
)

MEMORY_LIMIT = "200MB"  # DuckDB's own buffers; what does not fit goes to a temporary folder


@dataclass(frozen=True)
class LeadFile:
    """A relation in DuckDB: how to select from it, its header, its column names and types, and its row number."""

    relation: str
    parameters: list[str]
    header: tuple[str, ...]
    columns: tuple[str, ...]
    types: tuple[str, ...]
    row: str
    serials: bool = False  # whole numbers in date columns are Excel's day numbers


def config(folder: str) -> dict[str, Any]:
    """Settings of a connection: bounded memory, nothing fetched from outside."""
    return {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": folder,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }


def open_leads(connection: duckdb.DuckDBPyConnection, path: Path, file: str) -> LeadFile:
    """Open a file by its ending. Raises DataError where it cannot be read."""
    suffix = path.suffix.lower()
    if suffix in CSV_SUFFIXES:
        return _open_csv(path, file)
    if suffix in PARQUET_SUFFIXES:
        return _open_parquet(connection, path, file)
    return _open_excel(connection, path, file)


def _open_csv(path: Path, file: str) -> LeadFile:
    delimiter, header = csv_header(path, file)
    names = tuple(f"c{i}" for i in range(len(header)))
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    mark = "\\t" if delimiter == "\t" else delimiter
    layout = f"header = true, auto_detect = false, columns = {{{types}}}"
    relation = f"read_csv(?, {layout}, delim = '{mark}', quote = '\"', escape = '\"')"
    return LeadFile(
        relation, [literal_path(path)], header, names, ("VARCHAR",) * len(names), "row_number() OVER () + 1"
    )


def _open_parquet(connection: duckdb.DuckDBPyConnection, path: Path, file: str) -> LeadFile:
    relation, parameters = "read_parquet(?)", [literal_path(path)]
    try:
        found = connection.execute(f"DESCRIBE SELECT * FROM {relation}", parameters).fetchall()  # noqa: S608 - no outside text
    except duckdb.Error as error:
        raise DataError(
            f"{file}: is not a readable Parquet file ({first_line_of(error)}); export it again."
        ) from None
    header = tuple(str(row[0]) for row in found)
    quoted = tuple('"' + name.replace('"', '""') + '"' for name in header)
    types = tuple(str(row[1]) for row in found)
    return LeadFile(relation, parameters, header, quoted, types, "row_number() OVER ()")


def _open_excel(connection: duckdb.DuckDBPyConnection, path: Path, file: str) -> LeadFile:
    header, rows, numbers = read_excel_rows(path, file)
    cells = {f"c{i}": [_text(row[i]) for row in rows] for i in range(len(header))}
    connection.register("sheet", pd.DataFrame({**cells, "row_in_sheet": numbers}))
    return LeadFile(
        "sheet", [], header, tuple(cells), ("VARCHAR",) * len(header), "row_in_sheet", serials=True
    )


def _text(cell: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return str(int(cell)) if isinstance(cell, float) and cell == int(cell) else day_text(cell)
