"""What was read: each file as it was understood, with totals that a controller lays beside the books."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.read import row_place
from forecast.report.document import Listing, Part, Row, Shown, listing, named, text, value
from forecast.tables import WHOLE, Table, records
from forecast.words import Name, Text, message, periods, short_names, together

if TYPE_CHECKING:
    import pandas as pd

    from forecast.history import DataRead
    from forecast.read import FileRead

SHEETS = ("data_read", "data_totals")
MOST_CHANNELS = 20  # shown one by one; the others are a row of their own
_MEANING = {
    "won": message("won"),
    "lost": message("lost"),
    "open": message("open"),
    "not understood": message("not understood"),
}
MOST_ROWS = 8  # row numbers of a reason
TOTALS_NOTE = "Totals are plain sums of the rows used; a blank is in none of them."


def reading_parts(read: DataRead) -> list[Part]:
    """The parts of the page: for each file what was understood of it, then its totals."""
    return [part for file in read.files for part in _file(read, file)]


def reading_evidence(read: DataRead, sheets: Sequence[Table]) -> list[Part]:
    """The same in short, for the evidence of a report: files, and totals by year; `sheets` hold the rest."""
    rows = [
        {
            "file": file.file,
            "rows": file.rows,
            "left out": sum(out.n for out in file.left_out),
            "written": _written(file),
        }
        for file in read.files
    ]
    columns: list[Shown] = [
        named("file", "File"),
        value("rows", "Rows used", WHOLE, "a"),
        value("left out", "Rows left out", WHOLE, "a"),
        text("written", "Written", "1"),
    ]
    lead = message("{first} to {last}.", first=read.first, last=read.last)
    parts = [Part("What was read", lead=lead, listings=[listing(rows, columns)])]
    for file in read.files:
        totals = _totals(read, file, channels=False)
        if totals is not None:
            title = message("Totals of {file:clean}", file=file.file)
            parts.append(Part(title, listings=[totals], note=_blanks(read, file)))
    where = message(
        "By channel, and every column: {sheets:listed} of report.xlsx.",
        sheets=[message(s.sheet) for s in sheets],
    )
    parts[-1] = replace(parts[-1], note=together(parts[-1].note, TOTALS_NOTE, where))
    return parts


def _file(read: DataRead, file: FileRead) -> Iterator[Part]:
    rows = [Row([head, said]) for head, said in _facts(read, file) if said]
    title = message("Read: {file:clean} ({role:word})", file=file.file, role=file.role)
    facts = Listing(["", ""], rows, "ll", "a1", folds=True)
    yield Part(title, listings=[facts], points=file.notes)
    totals = _totals(read, file)
    if totals is not None:
        yield Part(listings=[totals], note=_blanks(read, file))


def _facts(read: DataRead, file: FileRead) -> Iterator[tuple[Text, Text]]:
    """What was understood of a file: head and words."""
    columns = [
        ours if ours == theirs else message("{ours}~<-~{theirs:clean}", ours=ours, theirs=theirs)
        for ours, theirs in file.columns.items()
    ]
    found = {
        fact["what"]: fact
        for fact in records(read.data_read)
        if (fact["file"], fact["role"]) == (file.file, file.role)
    }
    yield "written", _written(file)
    yield "columns", message("{columns:list.40}", columns=columns) if columns else ""
    unread = [message("{title:clean}", title=title) for title in file.unread]
    yield "not read", message("{titles:list.40}", titles=unread) if unread else ""
    yield "rows used", message("{n:whole}", n=file.rows)
    for out in file.left_out:
        yield "left out", _left_out(out.n, out.reason, out.rows, out.ids)
    if "first period" in found:
        first, last, n = found["first period"]["name"], found["last period"]["name"], found["periods"]["rows"]
        span = "{first:period} to {last:period} ({n})" if n > 1 else "{first:period}"
        yield "periods", message(span, first=first, last=last, n=periods(int(n), read.period))
    if "currency" in found:
        yield "currency", read.currency
    for each in sorted(file.outcomes, key=lambda each: -each.n):
        told = {"value": each.value or message("(blank)"), "n": each.n, "meaning": _MEANING[each.meaning]}
        yield "outcome", message("{value:clean}: {n:whole}, {meaning}", **told)
    yield from (("joined", fact["value"]) for fact in read.facts(file, "joined"))


def _written(file: FileRead) -> Text:
    said = [
        message("{name:word}~{value:word}", name=name, value=value) for name, value in file.dialect.items()
    ]
    return message("{said:list}", said=said) if said else ""


def _left_out(n: int, reason: Text, rows: tuple[int, ...], ids: tuple[str, ...] = ()) -> Text:
    if ids:
        several = "{n:whole}: {reason} (leads {shown:list})"
        if n > len(ids):
            several = "{n:whole}: {reason} (leads {shown:list} and {left:whole} more)"
        shown_ids = [message("{id:clean}", id=each or "(blank)") for each in ids]
        return message(several, n=n, reason=reason, shown=shown_ids, left=n - len(ids))
    if rows:
        shown = [row_place(row) for row in rows[:MOST_ROWS]]
        left = n - len(shown)
        one, several = "{n:whole}: {reason} (row {shown:list})", "{n:whole}: {reason} (rows {shown:list})"
        if left > 0:
            several = "{n:whole}: {reason} (rows {shown:list} and {left:whole} more)"
        return message(one if n == 1 else several, n=n, reason=reason, shown=shown, left=left)
    return message("{n:whole}: {reason}", n=n, reason=reason)


# ------------------------------------------------------------------------------------------------------------ totals


def _totals(read: DataRead, file: FileRead, *, channels: bool = True) -> Listing | None:
    """Measures as columns; years, channels and all of it as rows, every number exact."""
    frame = read.totals(file)
    if frame.empty:
        return None
    measures = list(dict.fromkeys(frame["measure"]))
    rows: list[tuple[Text, dict[str, float]]] = [
        (message("in {year}", year=year), cells) for year, cells in _wide(frame, "year", measures).items()
    ]
    if channels:
        rows += _channels(_wide(frame, "channel", measures))
    total = _wide(frame, "all", measures)[""]
    if len(rows) > 1:
        rows.append(("total", total))
    cents = {
        m: any(np.isfinite(cells[m]) and abs(cells[m] - round(cells[m])) >= 0.005 for _, cells in rows)
        for m in measures
    }
    short = short_names(name for name, _ in rows if isinstance(name, Name))
    shown = [
        Row(
            [
                Name(short[name]) if isinstance(name, Name) else name,
                *(_exact(cells[m], cents=cents[m]) for m in measures),
            ],
            strong=name == "total" and i == len(rows) - 1,
        )
        for i, (name, cells) in enumerate(rows)
    ]
    heads = [message("{m:stage}", m=m) for m in measures]
    n = len(measures)
    return Listing(["Total", *heads], shown, "l" + "r" * n, "a" + "1" * n, folds=True)


def _wide(frame: pd.DataFrame, by: str, measures: list[str]) -> dict[str, dict[str, float]]:
    """The totals of a kind, {name: {measure: total}}; NaN where there is none."""
    made: dict[str, dict[str, float]] = {}
    part = frame[frame["by"] == by]
    for name, measure, total in zip(part["name"], part["measure"], part["total"], strict=True):
        made.setdefault(name, dict.fromkeys(measures, np.nan))[measure] = total
    return made


def _channels(by: dict[str, dict[str, float]]) -> list[tuple[Text, dict[str, float]]]:
    """The channels; of very many the largest, and the others in one row."""
    if len(by) <= MOST_CHANNELS:
        return [(Name(name), cells) for name, cells in by.items()]
    cells = np.array([list(row.values()) for row in by.values()])
    whole = np.nansum(np.abs(cells), axis=0)
    size = np.nansum(np.abs(cells) / np.where(whole > 0, whole, 1.0), axis=1)
    names = list(by)
    kept = sorted(np.argsort(-size, kind="stable")[:MOST_CHANNELS])
    rest = np.setdiff1d(np.arange(len(names)), kept)
    sums = np.where(np.isfinite(cells[rest]).any(axis=0), np.nansum(cells[rest], axis=0), np.nan)
    more = dict(zip(by[names[0]], np.round(sums, 6), strict=True))
    return [*((Name(names[i]), by[names[i]]) for i in kept), (message("and {n} more", n=len(rest)), more)]


def _exact(total: float, *, cents: bool) -> Text:
    """A total to the unit, or to the cent where any of its column has some."""
    return message("{x:,.2f}" if cents else "{x:whole}", x=total)


def _blanks(read: DataRead, file: FileRead) -> Text:
    """What is in no total."""
    frame: pd.DataFrame = read.totals(file)
    part: Any = frame[(frame["by"] == "all") & (frame["blank"] > 0)]
    if part.empty:
        return ""
    cells = [
        message("{n:whole} of {m:stage}", n=n, m=m)
        for m, n in zip(part["measure"], part["blank"], strict=True)
    ]
    blank = "In no total: blank cells: {cells:list}."
    unpriced = "In no total: deals won without an amount: {cells:list}."
    return message(unpriced if file.role in ("leads", "deals") else blank, cells=cells)
