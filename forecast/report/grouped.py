"""Files of a group of runs: group.json, report, workbook and CSV, put beside the folders of its runs all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from forecast.checks import FAIL
from forecast.outputs import KINDS, PROGRAMS, CsvForm
from forecast.periods import parse_period, shift
from forecast.report.files import write_csv
from forecast.saved import GROUP, sealed
from forecast.tables import json_text, plain
from forecast.words import speaking
from forecast.written import write

BY_KIND = {"pdf": ("group.pdf",), "xlsx": ("group.xlsx",), "csv": ("group.csv", "group_totals.csv")}
GROUP_FILES = ("group.json", *(name for names in BY_KIND.values() for name in names))


def group_files(kinds: Iterable[str] | None) -> set[str]:
    """The files of a group that kinds of outputs stand for; of None all."""
    asked = KINDS if kinds is None else kinds
    return {"group.json", *(name for kind in asked for name in BY_KIND.get(kind, ()))}


def write_group(
    folder: Path,
    told: Mapping[str, Any],
    *,
    inputs: Iterable[Path] = (),
    kinds: Sequence[str] | None = None,
    form: CsvForm = PROGRAMS,
    spoken: tuple[str, str] = ("en", ""),
) -> None:
    """Write what is told of a group (`grouping.grouped`), all or none; the runs' own folders stay as they are.

    group.csv has a row a unit, group_totals.csv the sums of units by period and over the horizon. The end of the last
    period of the data is the only date in report and workbook. kinds: which outputs beside group.json (None: all).
    spoken: language and locale. Raises UsageError where the disk says no, or a file there is not ours.
    """
    from forecast.report.pages.group import SHEETS, front_lines, group_report, group_tables
    from forecast.report.pdf import document, pdf_of
    from forecast.report.workbook import write_tables

    kind = str(told["period"])
    after = shift(parse_period(told["as_of"], kind), 1, kind)
    stamp = int(np.datetime64(after, "s").astype(np.int64))
    tables = {table.name: table for table in group_tables(told)}

    def workbook(path: Path) -> None:
        with speaking(*spoken):
            title, created = group_report(told).title, datetime.fromtimestamp(stamp, UTC)
            failed = told["verdict"].status == FAIL
            write_tables(
                title,
                front_lines(told),
                list(tables.values()),
                path,
                created=created,
                currency=str(told["currency"]),
                about=SHEETS,
                failed=failed,
            )

    def paper(path: Path) -> None:
        with speaking(*spoken):
            path.write_bytes(pdf_of(document(group_report(told)), timestamp=stamp))

    makers: dict[str, Callable[[Path], object]] = {
        "group.json": lambda path: path.write_bytes(json_text(sealed(plain(told), GROUP)).encode()),
        "group.csv": partial(write_csv, tables["units"].data, form=form),
        "group_totals.csv": partial(write_csv, tables["totals"], form=form),
        "group.xlsx": workbook,
        "group.pdf": paper,
    }
    wanted = group_files(kinds)
    files = {name: make for name, make in makers.items() if name in wanted}
    write(folder, files, command="group", stale=GROUP_FILES, inputs=inputs)
