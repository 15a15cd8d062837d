"""Files of a run: CSV, XLSX, netCDF, JSON and the PDF, made in a temporary folder and moved into place when complete.

Text cells that a spreadsheet would take for a formula are guarded: in CSV by a leading quote (OWASP ASVS 5.0, 1.2.10),
in XLSX by writing them as strings. Same tables, same bytes: the only date in any file is the end of the as-of period.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forecast.errors import UsageError
from forecast.fit import netcdf
from forecast.periods import parse_period, shift
from forecast.results import Results
from forecast.saved import OUTLOOK, SUMMARY, sealed
from forecast.tables import Table, json_text, plain
from forecast.words import message, typed

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# summary.json comes last: where it lies, all the others do.
FILES = ("forecast.csv", "allocation.csv", "report.xlsx", "report.pdf", "draws.nc", "summary.json")
LAST = FILES[-1]
LEVER_FILES = (
    "sensitivity.csv",
    "variance.csv",
    "scenarios.csv",
    "goals.csv",
)  # each where its table is made
LEFT_OUT_FILE = "left_out.csv"  # where rows were left out


def check_folder(folder: Path) -> None:
    """Make sure that `folder` can be written, and is ours to write, before time is spent on a run.

    Nothing is made or left. Raises UsageError when the folder cannot be made or written, or when it holds files of our
    names that no run has made.
    """
    base = _existing(folder)
    try:
        with tempfile.TemporaryDirectory(dir=base):
            there = [name for name in (*FILES, LEFT_OUT_FILE) if (folder / name).exists()]
    except OSError as error:
        what = "it" if base == folder.absolute() else base
        reason = f"{what} is a file" if isinstance(error, NotADirectoryError) else error.strerror
        raise UsageError(
            f"{folder}: the output folder cannot be written ({reason}); give another one with --out"
        ) from error
    if there and LAST not in there:
        raise UsageError(
            f"{folder}: holds {there[0]}, and no {LAST} that would show a run to have written it; nothing was "
            "written: give another folder with --out, or move the file away"
        )


def _existing(folder: Path) -> Path:
    """The folder itself, or the nearest one around it that is there."""
    path = folder.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def write_outputs(folder: Path, made: Results, outlook: xr.Dataset | None, summary: dict[str, Any]) -> None:
    """Write every output of a run into `folder`; files of other names there are left alone.

    All files are made in a temporary folder inside it (beside it, where it is new) and moved one by one when the last
    is complete, so that a reader never meets half a file and a run that fails leaves everything as it was. Raises
    UsageError where the disk says no, or the folder is not ours (see `check_folder`).
    """
    from forecast.report.pdf import report_pdf  # typst, matplotlib and xlsxwriter, loaded where they write
    from forecast.report.workbook import write_workbook

    stamp = timestamp(made)
    written: dict[str, Callable[[Path], object]] = {
        "forecast.csv": lambda path: write_csv(made.table("forecast"), path),
        "allocation.csv": lambda path: write_csv(made.table("allocation"), path),
        "report.xlsx": lambda path: write_workbook(made, path, created=datetime.fromtimestamp(stamp, UTC)),
        "report.pdf": lambda path: path.write_bytes(report_pdf(made, timestamp=stamp)),
        "summary.json": lambda path: path.write_bytes(json_text(sealed(plain(summary), SUMMARY)).encode()),
    }
    for name in LEVER_FILES:
        key = name.removesuffix(".csv")
        if getattr(made.levers, key, None) is not None:
            written[name] = partial(write_csv, made.table(key))
    if outlook is not None:
        written["draws.nc"] = lambda path: write_draws(outlook, path)
    rows = left_out_rows(made)
    if len(rows):
        written[LEFT_OUT_FILE] = partial(write_csv, rows)
    check_folder(folder)
    sometimes = (*LEVER_FILES, LEFT_OUT_FILE)
    write_files(folder, {name: written[name] for name in (*sometimes, *FILES) if name in written})
    for name in sometimes:
        if name not in written:  # of an earlier run, whose study asked for it, or whose data had such rows
            (folder / name).unlink(missing_ok=True)


def left_out_rows(made: Results) -> pd.DataFrame:
    """The rows that were not used, one each: file, row (as a spreadsheet counts), reason; never what stands in them.

    Where more were left out than are known by number, a last line without a number says how many.
    """
    rows: list[tuple[str, int | None, str]] = []
    for file in () if made.read is None else made.read.files:
        for out in (out for out in file.left_out if out.rows):
            rows += [(file.file, row, typed(out.reason)) for row in out.rows]
            if out.n > len(out.rows):
                more = message("{n:whole} more: {reason}", n=out.n - len(out.rows), reason=out.reason)
                rows.append((file.file, None, typed(more)))
    return pd.DataFrame(rows, columns=["file", "row", "reason"]).astype({"row": "Int64"})


def write_files(folder: Path, made: Mapping[str, Callable[[Path], object]]) -> None:
    """Make every file in a temporary folder, then move them into `folder` in their order.

    Raises UsageError where the disk says no.
    """
    try:
        with tempfile.TemporaryDirectory(dir=_existing(folder), prefix=".writing-") as unfinished:
            for name, write in made.items():
                write(Path(unfinished) / name)
            folder.mkdir(parents=True, exist_ok=True)
            for name in made:
                (Path(unfinished) / name).replace(folder / name)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{folder}: the outputs could not be written ({reason})") from error


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


def write_csv(table: Table | pd.DataFrame, path: Path) -> None:
    """A table as UTF-8 CSV: ten significant digits, empty where there is no number, text guarded."""
    safe = table.for_files() if isinstance(table, Table) else table.copy()
    for column in safe.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in safe.dtypes]]:
        safe[column] = safe[column].map(guarded)
    safe.to_csv(path, index=False, float_format="%.10g", lineterminator="\n", encoding="utf-8")


def write_draws(outlook: xr.Dataset, path: Path) -> None:
    """The outlook as netCDF with its checksum, compressed.

    Counts are int32, money is float32 (seven digits; no draw is known better).
    """
    small = {}
    for name, array in outlook.data_vars.items():
        counted = np.issubdtype(array.dtype, np.integer) and np.abs(array.values).max(initial=0) < 2**31
        small[name] = array.astype(np.int32 if counted else np.float32)
    encoding = {name: {"zlib": True, "complevel": 1, "shuffle": True} for name in small}
    saved = xr.Dataset(small, coords=outlook.coords, attrs={**outlook.attrs, "schema": OUTLOOK})
    path.write_bytes(netcdf(saved, encoding=encoding))
