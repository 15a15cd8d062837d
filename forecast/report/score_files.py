"""Files of a run that is scored: score.json, report, workbook and CSV, put into the run's folder all at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from forecast.outputs import PROGRAMS, CsvForm
from forecast.periods import parse_period, shift
from forecast.report.files import write_csv
from forecast.tables import json_text
from forecast.words import speaking
from forecast.written import write

SCORE_FILES = ("score.json", "score.csv", "score_totals.csv", "score.xlsx", "score.pdf")


def write_score(
    folder: Path,
    told: Mapping[str, Any],
    *,
    inputs: Iterable[Path] = (),
    form: CsvForm = PROGRAMS,
    spoken: tuple[str, str] = ("en", ""),
) -> None:
    """Write what is told of a scored run into its folder, all or none; the run's own files stay as they are.

    score.csv holds no total, score_totals.csv every one. The end of the last period that has come is the only date in
    report and workbook. form: of CSV. spoken: language and locale. Raises UsageError where the disk says no, or a file
    there is not ours.
    """
    from forecast.report.pages.standing import score_report
    from forecast.report.pages.standing_tables import score_tables
    from forecast.report.pages.standing_words import summary_lines
    from forecast.report.pdf import document, pdf_of
    from forecast.report.workbook import write_tables

    kind = str(told["period"])
    after = shift(parse_period(told["come"][-1], kind), 1, kind)
    stamp = int(np.datetime64(after, "s").astype(np.int64))
    scores = score_tables(told)[0]

    def workbook(path: Path) -> None:
        with speaking(*spoken):
            report = score_report(told)
            tables = [table for page in report.pages for table in page.sheets if len(table)]
            created = datetime.fromtimestamp(stamp, UTC)
            lines, cur = summary_lines(told), str(told["currency"])
            write_tables(report.title, lines, tables, path, created=created, currency=cur)

    def paper() -> bytes:
        with speaking(*spoken):
            return pdf_of(document(score_report(told)), timestamp=stamp)

    write(
        folder,
        {
            "score.json": lambda path: path.write_bytes(json_text(told).encode()),
            "score.csv": lambda path: write_csv(scores.data, path, form),
            "score_totals.csv": lambda path: write_csv(scores.sums, path, form),
            "score.xlsx": workbook,
            "score.pdf": lambda path: path.write_bytes(paper()),
        },
        command="score",
        inputs=inputs,
    )
