"""Files of a run: CSV, XLSX, netCDF, JSON and the PDF, put into place all at once (`written`).

Text cells that a spreadsheet would take for a formula are guarded: in CSV by a leading quote (OWASP ASVS 5.0, 1.2.10),
in XLSX by writing them as strings. Same tables, same bytes: the only date in any file is the end of the as-of period.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forecast.fit import netcdf
from forecast.outputs import (
    BESIDE,
    LEFT_OUT_FILE,
    LEVER_FILES,
    LEVER_TOTALS,
    PROGRAMS,
    RUN_FILES,
    SUMMARY_FILE,
    CsvForm,
    files_of,
)
from forecast.periods import parse_period, shift
from forecast.read import FILE_STEP, FileRead
from forecast.results import Results
from forecast.saved import OUTLOOK, SUMMARY, sealed
from forecast.tables import LABEL, Table, json_text, plain
from forecast.words import Message, clean, filed, message
from forecast.written import write

PIECE = 2**20  # bytes of an array that are compressed together
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_outputs(
    folder: Path,
    made: Results,
    outlook: xr.Dataset | None,
    summary: dict[str, Any],
    *,
    inputs: Iterable[Path] = (),
    facts: Mapping[str, Any] | None = None,
    kinds: Sequence[str] | None = None,
    form: CsvForm = PROGRAMS,
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write the outputs of a run into `folder`, all or none; files of other names there are left alone.

    inputs: what it was made from, never written over. facts: what the folder's manifest says of the run. kinds: which
    outputs beside the summary (`outputs.KINDS`; None: all). form: of CSV. beside: further files by name. A file of an
    earlier run that this one does not write goes, so that nothing old stands beside what is new. Raises UsageError
    where the disk says no, or a file there is not ours (`written.check`).
    """
    from forecast.report.contents import made_once  # every page, loaded where they are written

    stamp = timestamp(made)
    makers: dict[str, Callable[[Path], object]] = {
        "report.xlsx": lambda path: _workbook(made, path, stamp),
        "report.pdf": lambda path: path.write_bytes(_pdf(made, stamp)),
        SUMMARY_FILE: lambda path: path.write_bytes(json_text(sealed(plain(summary), SUMMARY)).encode()),
    }
    if outlook is not None:
        makers["draws.nc"] = lambda path: write_draws(outlook, path)
    if made.ingredients is not None:
        makers["whatif.html"] = lambda path: path.write_bytes(_whatif(made))
    for name, table in _tables(made).items():
        makers[name] = partial(write_csv, table, form=form)
    wanted = files_of(kinds)
    files = {name: makers[name] for name in RUN_FILES if name in makers and name in wanted}
    files |= {name: partial(Path.write_bytes, data=content) for name, content in beside.items()}
    with made_once():
        write(folder, files, command="run", stale=(*RUN_FILES, *BESIDE), inputs=inputs, facts=facts)


def _tables(made: Results) -> dict[str, Table | pd.DataFrame]:
    """What stands in each CSV: rows that sum up others have a file of their own."""
    forecast = made.table("forecast")
    files: dict[str, Table | pd.DataFrame] = {
        "forecast.csv": forecast.data,
        "totals.csv": forecast.sums,
        "allocation.csv": made.table("allocation"),
    }
    for name in LEVER_FILES:
        key = name.removesuffix(".csv")
        if getattr(made.levers, key, None) is not None:
            files[name] = made.table(key).data
            if (totals := f"{key}_totals.csv") in LEVER_TOTALS:
                files[totals] = made.table(key).sums
    rows = left_out_rows(made)
    return files | ({LEFT_OUT_FILE: rows} if len(rows) else {})


def _workbook(made: Results, path: Path, stamp: int) -> None:
    from forecast.report.workbook import write_workbook  # xlsxwriter, loaded where it writes

    write_workbook(made, path, created=datetime.fromtimestamp(stamp, UTC))


def _pdf(made: Results, stamp: int) -> bytes:
    from forecast.report.pdf import report_pdf  # typst and matplotlib, loaded where they write

    return report_pdf(made, timestamp=stamp)


def _whatif(made: Results) -> bytes:
    from forecast.report.whatif import whatif_page

    with made.study.speaking():
        return whatif_page(made)


def left_out_rows(made: Results) -> pd.DataFrame:
    """The rows that were not used, one each: file, row (as a spreadsheet counts), reason; never what stands in them.

    Where more were left out than are known by number, a last line without a number says how many.
    """
    rows: list[tuple[str, int | None, str]] = []
    for file in () if made.read is None else made.read.files:
        for out in (out for out in file.left_out if out.rows):
            rows += [(*_place(file, row), filed(out.reason)) for row in out.rows]
            if out.n > len(out.rows):
                more = message("{n:whole} more: {reason}", n=out.n - len(out.rows), reason=out.reason)
                rows.append((file.file, None, filed(more)))
    return pd.DataFrame(rows, columns=["file", "row", "reason"]).astype({"row": "Int64"})


def _place(file: FileRead, row: int) -> tuple[str, int]:
    """The file of a row, and its number there: of several that are read as one, which it is."""
    return (file.files[row // FILE_STEP - 1], row % FILE_STEP) if row >= FILE_STEP else (file.file, row)


def timestamp(made: Results) -> int:
    """Seconds since 1970 at the end of the as-of period: the only date that outputs carry."""
    kind = made.study.period
    after = shift(parse_period(made.study.as_of, kind), 1, kind)
    return int(np.datetime64(after, "s").astype(np.int64))


def guarded(cell: Any) -> Any:
    """A text that no spreadsheet takes for a formula: a quote before a leading = + - @ or control character.

    A text that begins with a quote gets another one, so that taking one quote off always gives the text back.

    >>> guarded("=1+1"), guarded("ppc"), guarded("'quoted'"), guarded(-1.5)
    ("'=1+1", 'ppc', "''quoted'", -1.5)
    """
    dangerous = isinstance(cell, str) and (cell.startswith(FORMULA) or cell.lstrip().startswith(FORMULA))
    return f"'{cell}" if dangerous else cell


def _one_line(cell: Any) -> Any:
    """A text, or a message, in signs that steer nothing; a number as it is."""
    return clean(cell) if isinstance(cell, str) else clean(filed(cell)) if isinstance(cell, Message) else cell


def write_tables(
    folder: Path | str,
    tables: Mapping[str, Table | pd.DataFrame],
    *,
    command: str = "notebook",
    inputs: Iterable[Path] = (),
    form: CsvForm = PROGRAMS,
) -> list[Path]:
    """Tables as CSV in `folder`, all or none, each under its name; gives their paths.

    They are on the manifest of the folder as `command`'s, so that nothing of anybody else's is written over and the
    next time takes their place. form: of CSV. Raises UsageError as `write_outputs` does.
    """
    frames = {f"{name}.csv": getattr(table, "frame", table) for name, table in tables.items()}
    makers = {name: partial(write_csv, frame, form=form) for name, frame in frames.items()}
    write(Path(folder), makers, command=command, inputs=inputs)
    return [Path(folder) / name for name in frames]


def write_csv(table: Table | pd.DataFrame, path: Path, form: CsvForm = PROGRAMS) -> None:
    """A table as UTF-8 CSV: ten significant digits, empty where there is no number, text clean and guarded.

    Labels of our own ("+10 %") are as they are. form: decimal mark and delimiter; no number has marks of thousands.
    """
    safe = table.for_files() if isinstance(table, Table) else table.copy()
    ours = {c.name for c in table.shown if c.unit == LABEL} if isinstance(table, Table) else set()
    for column in safe.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in safe.dtypes]]:
        if column not in ours:
            safe[column] = safe[column].map(lambda cell: guarded(_one_line(cell)))
    safe.to_csv(
        path,
        index=False,
        float_format="%.10g",
        decimal=form.decimal,
        sep=form.delimiter,
        lineterminator="\n",
        encoding=form.encoding,
    )


def write_draws(outlook: xr.Dataset, path: Path) -> None:
    """The outlook as netCDF with its checksum; counts and spend compressed, as drawn money hardly gets smaller.

    Counts are int32, money is float32 (seven digits; no draw is known better). In pieces of many draws of a plan: each
    costs as much as its bytes.
    """
    small, packed = {}, {}
    for name, array in outlook.data_vars.items():
        counted = np.issubdtype(array.dtype, np.integer) and np.abs(array.values).max(initial=0) < 2**31
        small[name] = array.astype(np.int32 if counted else np.float32)
        if counted or name == "spend":
            packed[str(name)] = _pieces(array.shape)
    saved = xr.Dataset(small, coords=outlook.coords, attrs={**outlook.attrs, "schema": OUTLOOK})
    path.write_bytes(netcdf(saved, packed))


def _pieces(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks of an array (plan, draw, ...) of four bytes a number: one plan, and so many draws as `PIECE` holds."""
    plans, draws, *rest = shape
    each = max(PIECE // (4 * max(math.prod(rest), 1)), 1)
    return (min(plans, 1), min(draws, each), *rest)
