"""Opening a file of moderate size as a table of cells, and finding the columns in it that are looked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from forecast.bounds import MOST_CELLS, MOST_COLUMNS, MOST_TITLE, no_path
from forecast.errors import DataError
from forecast.read.ask import Ask, Wanted
from forecast.read.cells import BLANK, Grid, cells_problem, day_text, first_line_of
from forecast.read.dates import is_no_date, periods_across
from forecast.read.numbers import ERROR_NAME, FORMULA_CELL, wrong_kind
from forecast.read.record import FileRead
from forecast.read.sheets import plain_cell, read_workbook
from forecast.read.text import SAMPLE, SUM_UP, binary, form_of, read_text, table_rows
from forecast.read.titles import folded, tiers, title_key
from forecast.study import nearest
from forecast.words import Message, Text, message, period_kind, periods

CSV_SUFFIXES = {".csv", ".tsv", ".txt"}
PARQUET_SUFFIXES = {".parquet", ".pq"}
EXCEL_SUFFIXES = {".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"}
ZONED = "TIMESTAMP WITH TIME ZONE"
# types of DuckDB that come as cells do: text, number, day, yes or no
_CELLS = re.compile(
    r"VARCHAR|ENUM\(.*\)|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|BOOLEAN|DATE|"
    r"TIMESTAMP(_S|_MS|_NS)?|\"NULL\"",
    re.DOTALL,
)
NAMES = {"channel", "lead_id"}  # columns whose cells are taken as they are
UNMAPPED = {"plan", "retention"}  # files whose columns `history.columns` need not name
OWN_NAME = "call the one that is meant {ours} in the file."
ROWS_OF_THEIR_OWN = {"leads", "deals"}  # roles with rules for each row, these among them
TABLE_FILE = "a CSV, Parquet or Excel file"
TABLES = CSV_SUFFIXES | PARQUET_SUFFIXES | EXCEL_SUFFIXES


def check_file(path: Path, file: str, key: str, *, what: str = TABLE_FILE) -> None:
    """Raise DataError unless `path` is a file with something in it; `file` is its name in the study, under `key`.

    what: kind of file that is asked for; one of a table must end as such files do.
    """
    if wrong := no_path(path):
        said = "{file}: is no name of a file ({why}); {key} must name {what}."
        raise DataError(message(said, file=_short(file), why=wrong, key=key, what=what))
    try:
        folder, there = path.is_dir(), path.is_file()
        beside = sorted(f.name for f in path.parent.iterdir()) if not there and path.parent.is_dir() else None
    except OSError as error:  # a folder that may not be looked into
        said = "{file}: cannot be read ({reason}); {key} names it"
        raise DataError(message(said, file=file, reason=error.strerror, key=key)) from None
    if folder:
        raise DataError(f"{file}: is a folder; {key} must name {what}.")
    if not there and re.search(r"[*?\[]", file):
        raise DataError(f"{file}: no file matches (looked in {path.parent.resolve()}); {key} names it.")
    if not there:
        looked = f"{'there is no folder' if beside is None else 'looked in'} {path.parent.resolve()}"
        close = nearest(path.name, [name for name in beside or () if Path(name).suffix.lower() in TABLES])
        raise DataError(f"{file}: no such file ({looked}); {key} names it{close}")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); check its permissions.") from None
    if size == 0:
        raise DataError(f"{file}: is empty (0 bytes); export it again.")
    if what == TABLE_FILE and path.suffix.lower() not in TABLES:
        raise DataError(f'{file}: expected a file ending in .csv, .parquet or .xlsx; came "{path.suffix}".')


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:57]}..."


def read_grid(path: Path, file: str, ask: Ask) -> Grid:
    """Read a file of moderate size into cells; periods that stand across as columns become rows.

    Raises DataError for anything that cannot be read as a table.
    """
    check_file(path, file, ask.key)
    suffix = path.suffix.lower()
    if suffix in CSV_SUFFIXES:
        grid = _read_csv(path, file, ask)
    elif suffix in PARQUET_SUFFIXES:
        grid = _read_parquet(path, file)
    else:
        grid = read_workbook(path, file, ask)
    if not grid.rows:
        where = message("sheet {sheet} ", sheet=grid.said["sheet"]) if "sheet" in grid.said else ""
        said = "{file}: {where}has a header and no rows; export it again with its data."
        raise DataError(message(said, file=file, where=where))
    if wrong := too_wide(grid.file, grid.header, len(grid.rows)) or _spoilt_names(grid, ask):
        raise DataError(wrong)
    return _unpivoted(grid, ask)


def too_wide(file: str, header: Sequence[str], n_rows: int = 0) -> list[Text]:
    """What is wrong with the size of a table: columns, titles, cells."""
    n, long = len(header), [at for at, title in enumerate(header) if len(title) > MOST_TITLE]
    if n > MOST_COLUMNS:
        said = "{file}: has {n:whole} columns, and at most {most:whole} are read; take out those that are not needed."
        return [message(said, file=file, n=n, most=MOST_COLUMNS)]
    if n * n_rows > MOST_CELLS:
        said = "{file}: holds {n:whole} cells, and at most {most:whole} are read here; {remedy}."
        return [message(said, file=file, n=n * n_rows, most=MOST_CELLS, remedy=SUM_UP)]
    if long:
        said = (
            "{file}: the title of column {at} has {n:whole} characters, of at most {most:whole}; shorten it."
        )
        return [message(said, file=file, at=long[0] + 1, n=len(header[long[0]]), most=MOST_TITLE)]
    return []


def _spoilt_names(grid: Grid, ask: Ask) -> list[Text]:
    """What is wrong with cells that should hold a name: an error of a spreadsheet is none, nor a blank."""
    problems: list[Text] = []
    if ask.role in ROWS_OF_THEIR_OWN:
        return problems
    for column in ask.wanted:
        if column.name not in NAMES:
            continue
        try:
            at = find_columns(grid.header, [column], grid.file, role=ask.role, kind=ask.kind).get(column.name)
        except DataError:  # told where all columns are looked for
            continue
        if at is None:
            continue
        cells = grid.column(at)
        kinds = {cell: wrong_kind(cell) for cell in set(cells) if isinstance(cell, str)}
        for kind, rule in (("error", ERROR_NAME), ("formula", FORMULA_CELL)):
            spoilt = {cell for cell, own in kinds.items() if own == kind}
            if spoilt:
                found = [(n, cell) for n, cell in zip(grid.numbers, cells, strict=True) if cell in spoilt]
                problems.append(cells_problem(grid.file, grid.title(at), found, rule))
    return problems


def _read_csv(path: Path, file: str, ask: Ask) -> Grid:
    text, encoding = read_text(path, file, ask)
    if "\0" in text:
        raise DataError(binary(file))
    form = form_of(text[:SAMPLE], encoding, file, ask)
    rows, numbers, end = table_rows(text, form, file)
    header = (*form.header, *[""] * (len(rows[0]) - len(form.header))) if rows else form.header
    return Grid(file, header, rows, numbers, form.said(), (*form.left_out, *end), line=form.line)


def _read_parquet(path: Path, file: str) -> Grid:
    import duckdb

    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        try:
            connection.execute("SET TimeZone = 'UTC'")
            file_in_sql, place = "read_parquet(?, hive_partitioning = false)", [literal_path(path)]
            columns = connection.execute(f"DESCRIBE SELECT * FROM {file_in_sql}", place).fetchall()  # noqa: S608
            n = connection.execute(f"SELECT count(*) FROM {file_in_sql}", place).fetchall()[0][0]  # noqa: S608
            if wrong := too_wide(file, [str(row[0]) for row in columns], n):
                raise DataError(wrong)
            asked = [as_cells(quoted(str(name)), kind) for name, kind, *_ in columns]
            texts = ", ".join(text for text in asked if text)
            replaced = f"REPLACE ({texts})" if texts else ""
            result = connection.execute(f"SELECT * {replaced} FROM {file_in_sql}", place)  # noqa: S608
            header = tuple(str(column[0]) for column in result.description or ())
            cells = result.fetchall()
        except duckdb.Error as error:
            raise DataError(unreadable_parquet(file, error)) from None
    rows = [tuple(plain_cell(cell) for cell in row) for row in cells]
    kept = [
        (row, number) for number, row in enumerate(rows, start=1) if any(cell is not None for cell in row)
    ]
    return Grid(file, header, [row for row, _ in kept], [number for _, number in kept], {"format": "Parquet"})


def as_cells(name: str, kind: str) -> str:
    """SQL that makes texts of a column of Parquet which holds neither texts, numbers, days nor yes or no; else ""."""
    if kind == ZONED:
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%SZ') AS {name}"
    return "" if _CELLS.fullmatch(kind) else f"CAST({name} AS VARCHAR) AS {name}"


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def literal_path(path: Path) -> str:
    """The path as DuckDB must be given it: its wildcard characters stand for themselves."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def unreadable_parquet(file: str, error: Exception) -> str:
    """The message for a Parquet file that DuckDB cannot read."""
    return f"{file}: is not a readable Parquet file ({first_line_of(error)}); export it again."


# ------------------------------------------------------------------------------------------------- periods as columns


def _unpivoted(grid: Grid, ask: Ask) -> Grid:
    """A table with a column for each period as one with a row for each; any other as it is.

    A column whose cells are names of measures says what the numbers are; without one they are what alone is wanted.
    Raises DataError where nothing says what they are.
    """
    titles = {ask.title(cell) for cell in grid.header} - {None}
    if ask.kind is None or "period" in titles:
        return grid
    across = periods_across(grid.header)
    if not across:
        return grid
    left = [at for at in range(len(grid.header)) if at not in across]
    measures = {column.name for column in ask.wanted} - {"period", "channel", "currency"}
    named = next((at for at in left if _names_measures(grid, at, ask, measures)), None)
    needed = [column.name for column in ask.wanted if column.required and column.name in measures]
    if named is None and len(needed) != 1:
        said = (
            "{file}: its {kind}s stand across as columns ({first} to {last}), and no column says what the numbers are; "
            "add one that names them in each row ({measures})."
        )
        ends = list(across.values())
        told = {"first": ends[0], "last": ends[-1], "measures": sorted(measures), "kind": ask.kind}
        raise DataError(message(said, file=grid.file, **told))
    kept = [at for at in left if at != named and grid.header[at].strip() and at < len(grid.header)]
    beside = [at for at in kept if _adds_up(grid, at, across)]
    if wrong := [grid.title(at) for at in beside if is_no_date(grid.header[at])]:
        said = "{file}: its {kind}s stand across as columns, and {titles:list} is none; correct the title."
        raise DataError(message(said, file=grid.file, kind=ask.kind, titles=wrong))
    turned = _turned(grid, ask, across, named, [at for at in kept if at not in beside], needed)
    if not beside:
        return turned
    said = "columns that are no {kind} are not read: {titles:list.8}"
    note = message(said, kind=period_kind(ask.kind), titles=[grid.title(at) for at in beside])
    return replace(turned, notes=(*turned.notes, note))


def _turned(
    grid: Grid, ask: Ask, across: dict[int, str], named: int | None, kept: list[int], needed: list[str]
) -> Grid:
    columns: list[str] = []
    cells: dict[tuple[object, ...], dict[str, object]] = {}
    numbers: dict[tuple[object, ...], int] = {}
    twice: list[int] = []
    unknown: set[str] = set()
    for row, number in zip(grid.rows, grid.numbers, strict=True):
        measure = (
            needed[0]
            if named is None
            else ask.title(day_text(row[named]))
            if row[named] is not None
            else None
        )
        if measure is None:
            unknown.add(BLANK if named is None or row[named] is None else str(row[named]))
            continue
        if measure not in columns:
            columns.append(measure)
        for at, label in across.items():
            key = (label, *(row[i] for i in kept))
            place = cells.setdefault(key, {})
            numbers.setdefault(key, number)
            if measure in place:
                twice.append(number)
            place[measure] = row[at]
    if twice:
        said = "{file}: row {row} repeats the measure of an earlier row of the same channel; keep one."
        raise DataError(message(said, file=grid.file, row=twice[0]))
    header = ("period", *(grid.header[at] for at in kept), *columns)
    rows = [(*key, *(place.get(name) for name in columns)) for key, place in cells.items()]
    notes: list[Text] = [message("{n} stood across as columns", n=periods(len(across), ask.kind or "month"))]
    if unknown:
        notes.append(message("rows of other measures are not read: {names:list.8}", names=sorted(unknown)))
    return Grid(
        grid.file,
        header,
        rows,
        [numbers[key] for key in cells],
        grid.said,
        grid.left_out,
        grid.shift,
        tuple(notes),
    )


def _names_measures(grid: Grid, at: int, ask: Ask, measures: set[str]) -> bool:
    """Whether the cells of a column are names of measures, most of them."""
    texts = {cell for cell in grid.column(at) if isinstance(cell, str)}
    hits = [text for text in texts if ask.title(text) in measures]
    return len(hits) >= 1 and len(hits) >= 0.5 * len(texts)


def _adds_up(grid: Grid, at: int, across: dict[int, str]) -> bool:
    """Whether a column beside the periods holds numbers: their sum, a share, a mean."""
    cells = [cell for cell in grid.column(at) if cell is not None]
    numeric = [
        cell for cell in cells if isinstance(cell, int | float) or any(sign.isdigit() for sign in str(cell))
    ]
    return bool(across) and bool(cells) and at > min(across) and len(numeric) == len(cells)


# ------------------------------------------------------------------------------------------------------------- columns


def find_columns(
    header: Sequence[str],
    wanted: Sequence[Wanted],
    file: str,
    *,
    role: str = "",
    kind: str | None = None,
    row: int = 1,
) -> dict[str, int]:
    """Position of each wanted column in the header, which is the given row of the file.

    A column has the name that the study maps, or ours, or one by which people know it (`forecast.read.titles`); case,
    blanks and units do not matter. Raises DataError for a required column that is missing, for a name that two columns
    share, and for columns of which each may be meant.
    """
    places: dict[str, list[int]] = {}
    for position, name in enumerate(header):
        places.setdefault(folded(name), []).append(position)
    there = [" ".join(name.split()) for name in header if name.strip()]
    found: dict[str, int] = {}
    problems: list[Text] = []
    later: list[Wanted] = []
    for column in wanted:
        hit = next((name for name in column.theirs if folded(name) in places), None)
        if hit is None:
            later.append(column)
        elif (n := len(places[folded(hit)])) > 1:
            problems.append(
                f'{file}: row {row}: {n} columns are called "{hit}"; keep one, or rename the others.'
            )
        else:
            found[column.name] = places[folded(hit)][0]
    free = {
        at: title_key(name) for at, name in enumerate(header) if at not in found.values() and name.strip()
    }
    for column in later:
        hits = [] if column.mapped else _known(column, free, role, kind)
        if len(hits) > 1:
            titles = [" ".join(header[at].split()) for at in hits]
            said = "{file}: each of the columns {names} may be {ours}; "
            said += OWN_NAME if role in UNMAPPED else 'say which: {place} = {{ {ours} = "{first}" }}.'
            told = {"ours": column.name, "first": titles[0], "place": column.place}
            problems.append(message(said, file=file, names=titles, **told))
        elif hits:
            found[column.name] = hits[0]
            del free[hits[0]]
        elif column.required:
            problems.append(_missing_column(column, there, file, role, row))
    if problems:
        raise DataError(problems)
    return {column.name: found[column.name] for column in wanted if column.name in found}


def _known(column: Wanted, free: dict[int, str], role: str, kind: str | None) -> list[int]:
    """Columns that are known by a name of ours: those of the best known name that any of them has."""
    own = tuple(title_key(name) for name in column.theirs)
    for names in (own, *tiers(column.name, role, kind)):
        if hits := [at for at, title in free.items() if title in names]:
            return hits
    return []


def _missing_column(column: Wanted, there: Sequence[str], file: str, role: str, row: int) -> Message:
    told = {
        "file": file,
        "ours": column.name,
        "there": list(there[:20]),
        "row": row,
        "place": column.place,
    }
    if column.mapped:
        name = column.theirs[0]
        text = (
            '{file}: row {row}: no column "{name}", which {place}.{ours} names; the file has {there}{guess}'
        )
        if not row:  # a table of a database has no row of titles
            text = '{file}: no column "{name}", which {place}.{ours} names; it has {there}{guess}'
        return message(text, name=name, guess=nearest(name, there) or ".", **told)
    remedy = 'add it, or name it in the study: {place} = {{ {ours} = "its name in the file" }}{guess}'
    if role in UNMAPPED:
        remedy = "add it, or call it so in the file{guess}"
    elif column.spare:
        remedy = "call the one that is meant {ours}, or correct {place}.{ours}{guess}"
    text = "{file}: row {row}: no column {names}; the file has {there}; "
    return message(
        (text if row else "{file}: no column {names}; it has {there}; ") + remedy,
        names=" or ".join(f'"{name}"' for name in column.theirs),
        guess=nearest(column.name, there) or ".",
        **told,
    )


def file_read(
    grid: Grid, ask: Ask, found: dict[str, int], said: dict[str, Text], notes: Sequence[Text] = ()
) -> FileRead:
    """How a grid was read: its dialect with what was `said` of numbers and dates, and the columns that were found."""
    used = set(found.values())
    unread = tuple(
        grid.title(at) for at in range(len(grid.header)) if at not in used and grid.header[at].strip()
    )
    columns = {name: grid.title(at) for name, at in found.items()}
    return FileRead(
        ask.role,
        grid.file,
        {**grid.said, **said},
        columns,
        unread,
        len(grid.rows),
        grid.left_out,
        (*grid.notes, *notes),
        files=grid.files,
    )
