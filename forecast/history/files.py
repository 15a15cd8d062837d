"""Opening data files: CSV, Parquet and Excel workbooks, with messages that say what is wrong, where, and what to do.

A small file becomes a `Grid`: the header and the cells as they came, each row with the number that a spreadsheet shows
for it (the header is row 1). Nothing is repaired on the way: a cell that is not what its column holds is reported.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import DataError
from forecast.study import nearest
from forecast.words import Message, Text, message

CSV_SUFFIXES = {".csv", ".tsv", ".txt"}
PARQUET_SUFFIXES = {".parquet", ".pq"}
EXCEL_SUFFIXES = {".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"}
TABLES = CSV_SUFFIXES | PARQUET_SUFFIXES | EXCEL_SUFFIXES
DELIMITERS = (",", ";", "\t")
BLANK = "(blank)"  # stands for an empty cell where a name is needed
SHOWN = 3  # rows named in a message; the count says how many there are

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
NUMBER_REMEDY = (
    "write plain numbers such as 1200.50 (no thousands separators, decimal commas, currency or percent signs) "
    "and leave a cell empty where the value is not known"
)
DATE_REMEDY = "write dates as 2026-03-17"
FIRST_SERIAL, LAST_SERIAL = 20_000, 80_000  # Excel's day numbers of 1954 and 2119: others are no dates


@dataclass(frozen=True)
class Grid:
    """A table of cells as they came: text, number, date, or None for an empty cell.

    `numbers[i]` is the row number of `rows[i]` in the file, the header being row 1 (Parquet has no header: from 1).
    """

    file: str
    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    numbers: list[int]

    def column(self, position: int) -> list[Any]:
        """The cells of one column."""
        return [row[position] for row in self.rows]


def rows_text(found: Iterable[tuple[int, object]], total: int | None = None) -> Message:
    """`12 rows, first: row 5 ("abc"), row 9 ("n/a"), row 14` for a message; `total` if more were counted than given."""
    listed = list(found)
    n = len(listed) if total is None else total
    rows = [
        message("row {row}" if value is None else "row {row} ({value})", row=row, value=_shown(value))
        for row, value in listed[:SHOWN]
    ]
    return rows[0] if n == 1 else message("{n:whole} rows, first: {rows}", n=n, rows=rows)


def cells_problem(
    file: str, column: str, found: Iterable[tuple[int, object]], rule: str, total: int | None = None
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


def check_file(path: Path, file: str, key: str) -> None:
    """Raise DataError unless `path` is a file with something in it; `file` is its name in the study, under `key`."""
    if path.is_dir():
        raise DataError(f"{file}: is a folder; {key} must name a CSV, Parquet or Excel file.")
    if not path.is_file():
        folder, known = path.parent, path.parent.is_dir()
        there = sorted(f.name for f in folder.iterdir() if f.suffix.lower() in TABLES) if known else []
        looked = f"{'looked in' if known else 'there is no folder'} {folder.resolve()}"
        raise DataError(f"{file}: no such file ({looked}); {key} names it{nearest(path.name, there)}")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); check its permissions.") from None
    if size == 0:
        raise DataError(f"{file}: is empty (0 bytes); export it again.")
    if path.suffix.lower() not in TABLES:
        raise DataError(f'{file}: expected a file ending in .csv, .parquet or .xlsx; came "{path.suffix}".')


def read_grid(path: Path, file: str, key: str) -> Grid:
    """Read a file of moderate size into cells. Raises DataError for anything that cannot be read as a table."""
    check_file(path, file, key)
    suffix = path.suffix.lower()
    if suffix in CSV_SUFFIXES:
        grid = _read_csv(path, file)
    elif suffix in PARQUET_SUFFIXES:
        grid = _read_parquet(path, file)
    else:
        grid = Grid(file, *read_excel_rows(path, file))
    if not grid.rows:
        raise DataError(f"{file}: has a header and no rows; export it again with its data.")
    return grid


# CSV


def check_text(content: bytes, file: str, first_line: int = 1) -> str:
    """The text of a UTF-8 file (a byte-order mark is dropped). Raises DataError naming line and byte if it is not."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{file}: is UTF-16, not UTF-8; save it as CSV UTF-8.")
    if content.startswith(b"PK\x03\x04"):
        raise DataError(f"{file}: is an Excel workbook, not a CSV; name it .xlsx, or save it as CSV UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + first_line
        text = f"line {line} holds byte {content[error.start]:#04x}, which is not UTF-8; save the file as CSV UTF-8"
        raise DataError(f"{file}: {text} (in Excel: Save As, CSV UTF-8).") from None
    if "\0" in text:
        raise DataError(f"{file}: holds binary data, not text; export it as CSV UTF-8.")
    return text


def csv_delimiter(first_line: str) -> str:
    """The separator of a CSV, from its header line: the one of comma, semicolon and tab that splits it most."""
    counts = [len(next(csv.reader([first_line], delimiter=mark), [])) for mark in DELIMITERS]
    return DELIMITERS[counts.index(max(counts))]


def csv_header(path: Path, file: str) -> tuple[str, tuple[str, ...]]:
    """Delimiter and header of a CSV, read from its first line only."""
    with path.open("rb") as stream:
        line = check_text(stream.readline(1 << 20), file).rstrip("\r\n")
    delimiter = csv_delimiter(line)
    header = tuple(next(csv.reader([line], delimiter=delimiter), []))
    if not any(name.strip() for name in header):
        raise DataError(f"{file}: its first line is empty; expected the names of the columns there.")
    return delimiter, header


def _csv_rows(text: Iterable[str], delimiter: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Each row of a CSV below its header, with the line on which it starts. Raises DataError where it is not valid."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        next(reader)
        before = reader.line_num
        for cells in reader:
            yield before + 1, cells
            before = reader.line_num
    except csv.Error as error:
        raise DataError(
            f"{file}: line {reader.line_num} is not valid CSV ({error}); check its quotes."
        ) from None


def _read_csv(path: Path, file: str) -> Grid:
    delimiter, header = csv_header(path, file)
    text = check_text(path.read_bytes(), file)
    rows: list[tuple[Any, ...]] = []
    numbers: list[int] = []
    uneven: list[tuple[int, object]] = []
    for number, cells in _csv_rows(io.StringIO(text, newline=""), delimiter, file):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            uneven.append((number, len(cells)))
            continue
        rows.append(tuple(cell.strip() or None for cell in cells))
        numbers.append(number)
    if uneven:
        raise DataError(uneven_problem(file, len(header), delimiter, uneven))
    return Grid(file, header, rows, numbers)


def uneven_problem(file: str, n_columns: int, delimiter: str, found: Sequence[tuple[int, object]]) -> Message:
    """The message for rows that have more or fewer cells than the header."""
    text = (
        "{file}: the header has {n} columns, and there is another number of cells in {rows}; put quotes around cells "
        "that hold a {mark}, and fill every row to the same width."
    )
    mark = {",": "comma", ";": "semicolon", "\t": "tab"}[delimiter]
    return message(text, file=file, n=n_columns, rows=rows_text(found), mark=mark)


def csv_fault(path: Path, file: str) -> Text:
    """What is wrong with a CSV too large to be read at once, looked for line by line; empty when nothing is found.

    Raises DataError for a line that is not UTF-8 or not valid CSV.
    """
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            check_text(line, file, first_line=number)
    delimiter, header = csv_header(path, file)
    with path.open(encoding="utf-8-sig", newline="") as text:
        rows = _csv_rows(text, delimiter, file)
        uneven = [(number, len(cells)) for number, cells in rows if cells and len(cells) != len(header)]
    return uneven_problem(file, len(header), delimiter, uneven) if uneven else ""


# Parquet and Excel


def _read_parquet(path: Path, file: str) -> Grid:
    import duckdb

    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        try:
            result = connection.execute("SELECT * FROM read_parquet(?)", [literal_path(path)])
            header = tuple(str(column[0]) for column in result.description or ())
            cells = result.fetchall()
        except duckdb.Error as error:
            raise DataError(unreadable_parquet(file, error)) from None
    rows = [tuple(_plain(cell) for cell in row) for row in cells]
    kept = [
        (row, number) for number, row in enumerate(rows, start=1) if any(cell is not None for cell in row)
    ]
    return Grid(file, header, [row for row, _ in kept], [number for _, number in kept])


def literal_path(path: Path) -> str:
    """The path as DuckDB must be given it: its wildcard characters stand for themselves."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def unreadable_parquet(file: str, error: Exception) -> str:
    """The message for a Parquet file that DuckDB cannot read."""
    return f"{file}: is not a readable Parquet file ({first_line_of(error)}); export it again."


def first_line_of(error: Exception) -> str:
    """The first line of an error of a library, for the middle of a message."""
    return str(error).strip().splitlines()[0].rstrip(".")


def read_excel_rows(path: Path, file: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]], list[int]]:
    """Header, rows and row numbers of the first sheet of a workbook. Empty rows are left out."""
    import python_calamine

    try:
        workbook = python_calamine.CalamineWorkbook.from_path(str(path))
        names = workbook.sheet_names
        cells = workbook.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, OSError, IndexError, ValueError) as error:
        reason = first_line_of(error)
        raise DataError(
            f"{file}: is not a readable Excel workbook ({reason}); save it again as .xlsx."
        ) from None
    rows = [(number, tuple(_plain(cell) for cell in row)) for number, row in enumerate(cells, start=1)]
    filled = [(number, row) for number, row in rows if any(cell is not None for cell in row)]
    if not filled:
        text = '{file}: its first sheet "{name}" is empty.'
        text += " Its other sheets ({others}) are not read: put the data first." if names[1:] else ""
        raise DataError(message(text, file=file, name=names[0], others=names[1:]))
    header = tuple("" if cell is None else str(cell) for cell in filled[0][1])
    return header, [row for _, row in filled[1:]], [number for number, _ in filled[1:]]


def _plain(cell: object) -> object:
    """A cell of a typed file: blanks become None, decimals floats, dates and text stay."""
    if isinstance(cell, str):
        return cell.strip() or None
    return float(cell) if isinstance(cell, Decimal) else cell


# Columns


@dataclass(frozen=True)
class Wanted:
    """A column that we look for: our name, the names it may have in the file, and whether it must be there."""

    name: str
    theirs: tuple[str, ...]
    required: bool = True
    mapped: bool = False


def find_columns(header: Sequence[str], wanted: Sequence[Wanted], file: str) -> dict[str, int]:
    """Position of each wanted column in the header; names are compared without case and outer blanks.

    Raises DataError for a required column that is missing and for a name that two columns share.
    """
    places: dict[str, list[int]] = {}
    for position, name in enumerate(header):
        places.setdefault(folded(name), []).append(position)
    there = [name.strip() for name in header if name.strip()]
    found: dict[str, int] = {}
    problems: list[Text] = []
    for column in wanted:
        hit = next((name for name in column.theirs if folded(name) in places), None)
        if hit is None:
            if column.required:
                problems.append(_missing_column(column, there, file))
        elif (n := len(places[folded(hit)])) > 1:
            problems.append(f'{file}: row 1: {n} columns are called "{hit}"; keep one, or rename the others.')
        else:
            found[column.name] = places[folded(hit)][0]
    if problems:
        raise DataError(problems)
    return found


def _missing_column(column: Wanted, there: Sequence[str], file: str) -> Message:
    told = {"file": file, "ours": column.name, "there": list(there[:20])}
    if column.mapped:
        name = column.theirs[0]
        text = '{file}: row 1: no column "{name}", which history.columns.{ours} names; the file has {there}{guess}'
        return message(text, name=name, guess=nearest(name, there) or ".", **told)
    return message(
        "{file}: row 1: no column {names}; the file has {there}; add it, or name it in the study: history.columns = "
        '{{ {ours} = "its name in the file" }}{guess}',
        names=" or ".join(f'"{name}"' for name in column.theirs),
        guess=nearest(column.name, there) or ".",
        **told,
    )


def folded(name: str) -> str:
    """A name without case and needless blanks: what two spellings of one name share."""
    return " ".join(name.split()).casefold()


# Cells


def to_numbers(
    grid: Grid, position: int, column: str, *, whole: bool
) -> tuple[NDArray[np.float64], list[Text]]:
    """A column as floats (NaN = empty cell) and what is wrong with it: text, NaN, negative, or a broken count."""
    values = np.full(len(grid.rows), np.nan)
    bad: dict[str, list[tuple[int, object]]] = {"text": [], "nan": [], "negative": [], "broken": []}
    for i, cell in enumerate(grid.column(position)):
        if cell is None:
            continue
        value = _number(cell)
        if value is None:
            bad["text"].append((grid.numbers[i], cell if isinstance(cell, str) else str(cell)))
        elif not math.isfinite(value):
            bad["nan"].append((grid.numbers[i], str(cell)))
        elif value < 0:
            bad["negative"].append((grid.numbers[i], cell))
        elif whole and value != round(value):
            bad["broken"].append((grid.numbers[i], cell))
        else:
            values[i] = value
    rules = {
        "text": f"expected a number; {NUMBER_REMEDY}",
        "nan": "expected a number; leave a cell empty where the value is not known",
        "negative": "expected 0 or more; correct it, or leave the cell empty where the value is not known",
        "broken": f"expected whole numbers, because {column} are counted; round them where they were shared out",
    }
    return values, [cells_problem(grid.file, column, bad[key], rules[key]) for key in bad if bad[key]]


def _number(cell: object) -> float | None:
    """The number in a cell; NaN for one that says so in a word; None for anything else."""
    if isinstance(cell, bool | date):
        return None
    if isinstance(cell, int | float):
        return float(cell)
    text = str(cell)
    if NUMBER.fullmatch(text):
        return float(text)
    return math.nan if text.lower().lstrip("+-") in {"nan", "inf", "infinity"} else None


def to_dates(
    grid: Grid, position: int, column: str, read: Callable[[str], np.datetime64], what: str, remedy: str
) -> tuple[NDArray[np.datetime64], list[Text]]:
    """A column as days: texts by `read`, date cells and Excel's day numbers as they are. Empty cells are wrong."""
    days = np.full(len(grid.rows), np.datetime64("NaT", "D"), dtype="datetime64[D]")
    bad: list[tuple[int, object]] = []
    empty: list[tuple[int, object]] = []
    for i, cell in enumerate(grid.column(position)):
        if cell is None:
            empty.append((grid.numbers[i], None))
            continue
        try:
            days[i] = read(day_text(cell))
        except ValueError:
            bad.append((grid.numbers[i], str(cell)))
    rules = ((bad, f"expected a {what}; {remedy}"), (empty, f"is empty; {remedy}"))
    return days, [cells_problem(grid.file, column, found, rule) for found, rule in rules if found]


def day_text(cell: object) -> str:
    """A date cell or one of Excel's day numbers as an ISO date; text as it is.

    >>> day_text(46082.0)
    '2026-03-01'
    """
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    if isinstance(cell, int | float) and not isinstance(cell, bool) and FIRST_SERIAL <= cell <= LAST_SERIAL:
        return (date(1899, 12, 30) + timedelta(days=int(cell))).isoformat()
    return cell.isoformat() if isinstance(cell, date) else str(cell)
