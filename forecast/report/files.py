"""Files of a run: CSV, XLSX, netCDF, JSON and the PDF, put into place all at once (`written`).

Text cells that a spreadsheet would take for a formula are guarded: in CSV by a leading quote (OWASP ASVS 5.0, 1.2.10),
in XLSX by writing them as strings. Same tables, same bytes: the only date in any file is the end of the as-of period.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forecast.fit import netcdf
from forecast.periods import parse_period, shift
from forecast.results import Results
from forecast.saved import OUTLOOK, SUMMARY, sealed
from forecast.tables import LABEL, Table, json_text, plain
from forecast.words import Message, clean, filed, message
from forecast.written import write

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
FILES = ("forecast.csv", "allocation.csv", "report.xlsx", "report.pdf", "draws.nc", "summary.json")
LEVER_FILES = (
    "sensitivity.csv",
    "variance.csv",
    "scenarios.csv",
    "goals.csv",
)  # each where its table is made
LEFT_OUT_FILE = "left_out.csv"  # where rows were left out


def write_outputs(
    folder: Path,
    made: Results,
    outlook: xr.Dataset | None,
    summary: dict[str, Any],
    *,
    inputs: Iterable[Path] = (),
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write every output of a run into `folder`, all or none; files of other names there are left alone.

    inputs: what it was made from, never written over. facts: what the folder's manifest says of the run. A table of an
    earlier run that this one does not have goes. Raises UsageError where the disk says no, or a file there is not ours
    (`written.check`).
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
    sometimes = (*LEVER_FILES, LEFT_OUT_FILE)
    files = {name: written[name] for name in (*sometimes, *FILES) if name in written}
    write(folder, files, command="run", stale=sometimes, inputs=inputs, facts=facts)


def left_out_rows(made: Results) -> pd.DataFrame:
    """The rows that were not used, one each: file, row (as a spreadsheet counts), reason; never what stands in them.

    Where more were left out than are known by number, a last line without a number says how many.
    """
    rows: list[tuple[str, int | None, str]] = []
    for file in () if made.read is None else made.read.files:
        for out in (out for out in file.left_out if out.rows):
            rows += [(file.file, row, filed(out.reason)) for row in out.rows]
            if out.n > len(out.rows):
                more = message("{n:whole} more: {reason}", n=out.n - len(out.rows), reason=out.reason)
                rows.append((file.file, None, filed(more)))
    return pd.DataFrame(rows, columns=["file", "row", "reason"]).astype({"row": "Int64"})


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


def write_csv(table: Table | pd.DataFrame, path: Path) -> None:
    """A table as UTF-8 CSV: ten significant digits, empty where there is no number, text clean and guarded.

    Labels of our own ("+10 %") are as they are.
    """
    safe = table.for_files() if isinstance(table, Table) else table.copy()
    ours = {c.name for c in table.shown if c.unit == LABEL} if isinstance(table, Table) else set()
    for column in safe.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in safe.dtypes]]:
        if column not in ours:
            safe[column] = safe[column].map(lambda cell: guarded(_one_line(cell)))
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
