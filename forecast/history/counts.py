"""Tables with a row per period and channel, as counts, activity and spend plans are: read, checked, with their places.

What is wrong is reported with file, row, column and remedy, all rows of a kind together. Nothing is repaired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forecast.errors import DataError, StudyError
from forecast.history.history import MONEY, History
from forecast.periods import Periods, period_index, period_label, period_range
from forecast.read import (
    BLANK,
    Ask,
    FileRead,
    Grid,
    NumberForm,
    Wanted,
    cells_problem,
    date_form,
    file_read,
    find_columns,
    folded,
    name_text,
    number_form,
    read_grid,
    to_numbers,
    to_periods,
)
from forecast.study import ReadsSpec, Study, nearest
from forecast.words import Text, message


@dataclass(frozen=True)
class Rows:
    """The rows of a table of (period, channel): row number, period start, channel, and the measures it has."""

    file: str
    numbers: NDArray[np.int64]
    starts: Periods
    channels: NDArray[np.object_]
    measures: dict[str, NDArray[np.float64]]
    read: FileRead | None = None

    def where(self, keep: NDArray[np.bool_]) -> Rows:
        """The rows that `keep` marks."""
        measures = {name: values[keep] for name, values in self.measures.items()}
        return Rows(
            self.file, self.numbers[keep], self.starts[keep], self.channels[keep], measures, self.read
        )


@dataclass(frozen=True)
class Layout:
    """What a table should hold.

    `key` is the study's key that names the file, `role` which of its files it is; `needed` are measures that must be
    there; `columns` maps our names to those in the file, `reads` says how files are read; `spare`: the table stands
    beside leads, and no stage need be in it.
    """

    key: str
    role: str
    kind: str
    money: tuple[str, ...]
    stages: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    reads: ReadsSpec = field(default_factory=ReadsSpec)
    spare: bool = False

    @property
    def ask(self) -> Ask:
        """What is asked of the file."""
        required = {"period", "channel", *self.needed}
        names = ("period", "channel", *self.money, *self.stages)
        wanted = [_wanted(name, self, name in required) for name in names]
        return Ask(self.key, self.role, self.reads, wanted, self.kind)


def read_rows(path: Path, file: str, layout: Layout) -> Rows:
    """Read a table with a row per period and channel.

    Raises DataError with every column that is missing, or else every cell that is not what its column holds.
    """
    stages, money = layout.stages, layout.money
    ask = layout.ask
    grid = read_grid(path, file, ask)
    found = find_columns(grid.header, ask.wanted, file, role=layout.role, kind=layout.kind)
    measured = [name for name in (*money, *stages) if name in found]
    form = number_form(grid, [found[name] for name in measured], ask)
    dates = date_form(grid, [found["period"]], ask, kind=layout.kind)
    values: dict[str, NDArray[np.float64]] = {}
    problems: list[Text] = []
    for name in measured:
        numbers = to_numbers(grid, found[name], grid.title(found[name]), whole=name in stages, form=form)
        values[name] = numbers.values
        problems += numbers.problems
    periods = to_periods(grid, found["period"], layout.kind, dates, ask)
    problems += periods.problems
    channels, wrong = _read_channels(grid, found["channel"])
    problems += wrong
    problems += _missing_stages(grid, found, values, layout)
    if problems:
        raise DataError(problems)
    said = _said(grid, [found[name] for name in measured], form, dates.said() if dates.order else "")
    return Rows(
        file, np.array(grid.numbers), periods.starts, channels, values, file_read(grid, ask, found, said)
    )


def _said(grid: Grid, positions: Iterable[int], form: NumberForm, dates: Text) -> dict[str, Text]:
    """What is said of numbers and dates, where they are not as programs write them."""
    texts = any(isinstance(cell, str) for at in positions for cell in grid.column(at))
    return ({"numbers": form.said()} if texts and not form.plain else {}) | (
        {"dates": dates} if dates else {}
    )


def _wanted(name: str, layout: Layout, required: bool) -> Wanted:
    if name not in layout.columns:
        return Wanted(name, (name,), required)
    theirs = layout.columns[name]
    if layout.spare:  # the study's mapping is for the leads; the activity beside them may use our names too
        return Wanted(name, (theirs, name), required)
    return Wanted(name, (theirs,), required=True, mapped=True)


def _read_channels(grid: Grid, position: int) -> tuple[NDArray[np.object_], list[Text]]:
    title = grid.title(position)
    cells = ["" if cell is None else name_text(cell) for cell in grid.column(position)]
    empty = [(n, None) for n, cell in zip(grid.numbers, cells, strict=True) if not cell]
    problems: list[Text] = []
    if empty:
        rule = 'is empty; name the channel of each row ("unknown" where it is not known)'
        problems.append(cells_problem(grid.file, title, empty, rule))
    problems += channel_names(grid.file, title, [cell for cell in cells if cell])
    return np.array(cells, dtype=object), problems


def channel_names(file: str, title: str, channels: Iterable[str]) -> list[Text]:
    """Problems with the names themselves: two spellings of one channel, a row of totals."""
    spellings: dict[str, set[str]] = {}
    for name in set(channels):
        spellings.setdefault(folded(name), set()).add(name)
    text = "{file}: column {title}: one channel has several spellings ({names}); use one."
    problems: list[Text] = [
        message(text, file=file, title=title, names=sorted(names))
        for _, names in sorted(spellings.items())
        if len(names) > 1
    ]
    if "total" in spellings:
        text = 'a channel is called "total"; remove rows that add up others (or rename the channel)'
        problems.append(f"{file}: column {title}: {text}.")
    return problems


def _missing_stages(
    grid: Grid, found: Mapping[str, int], values: Mapping[str, NDArray[np.float64]], layout: Layout
) -> list[Text]:
    """The first stages may be missing (the funnel starts later); one after a recorded stage may not."""
    stages, spare = layout.stages, layout.spare
    if not stages:
        return []
    recorded = [name in values and bool(np.isfinite(values[name]).any()) for name in stages]
    if spare and not any(recorded):
        return []
    start = recorded.index(True) if any(recorded) else len(stages) - 1
    titles = [cell.strip() for cell in grid.header]
    problems: list[Text] = []
    for name, there in zip(stages[start:], recorded[start:], strict=True):
        if not there:
            text = "column {stage}: is empty in all rows" if name in found else 'row 1: no column "{stage}"'
            guess = "" if name in found else nearest(name, titles)
            remedy = "add it, map it by history.columns.{stage}, or take {stage} out of funnel.stages"
            if name == stages[-1]:  # the chain must end with it
                remedy = "add it or map it by history.columns.{stage}: how many were won, 0 where none was"
            told = {"file": grid.file, "stage": name, "titles": titles, "guess": guess or "."}
            problems.append(message(f"{{file}}: {text}; the file has {{titles}}; {remedy}{{guess}}", **told))
    if not problems and not spare and start == len(stages) - 1:
        text = "{file}: of the stages ({stages}) only {last} is recorded; expected two or more."
        problems.append(message(text, file=grid.file, stages=stages, last=stages[-1]))
    return problems


def check_pairs(rows: Rows, kind: str) -> None:
    """Each pair of period and channel once, and no gap between a channel's first row and its last."""
    pairs: dict[tuple[str, np.datetime64], list[int]] = {}
    for number, start, channel in zip(rows.numbers, rows.starts, rows.channels, strict=True):
        pairs.setdefault((channel, start), []).append(int(number))
    twice = [(key, numbers) for key, numbers in pairs.items() if len(numbers) > 1]
    problems: list[Text] = []
    if twice:
        text = "{period} {channel} (rows {first} and {second})"
        first = [
            message(text, period=period_label(start, kind), channel=channel, first=one, second=two)
            for (channel, start), (one, two, *_) in twice[:3]
        ]
        found = "1 pair" if len(twice) == 1 else message("{n:whole} pairs", n=len(twice))
        text = "{file}: {found} of period and channel in more than one row, first: {first}; keep one row per {kind} "
        text += "and channel (add up rows of days or campaigns)."
        problems.append(message(text, file=rows.file, found=found, first=first, kind=kind))
    problems += _gaps(rows, kind)
    if problems:
        raise DataError(problems)


def _gaps(rows: Rows, kind: str) -> list[Text]:
    remedy = "add the rows, with 0 where nothing happened and empty cells where it was not recorded"
    problems: list[Text] = []
    own_rows = {name: np.unique(rows.starts[rows.channels == name]) for name in sorted(set(rows.channels))}
    gaps = {name: _absent(own, kind) for name, own in own_rows.items()}
    nowhere = _absent(np.unique(rows.starts), kind)
    if nowhere.size and sum(np.isin(nowhere, gap).any() for gap in gaps.values()) != 1:
        none = "{file}: no channel has a row for {periods:list.3}; {remedy}."
        problems.append(message(none, file=rows.file, periods=_labels(nowhere, kind), remedy=remedy))
        gaps = {name: np.setdiff1d(gap, nowhere) for name, gap in gaps.items()}
    text = '{file}: channel "{channel}" has no row for {periods:list.3}, though it has rows from {first} to {last}; '
    text += "{remedy}."
    for channel, absent in gaps.items():
        if absent.size:
            span = dict(zip(("first", "last"), _labels(own_rows[channel][[0, -1]], kind), strict=True))
            told = {"file": rows.file, "channel": channel, "periods": _labels(absent, kind), "remedy": remedy}
            problems.append(message(text, **told, **span))
    return problems


def _absent(starts: Periods, kind: str) -> Periods:
    """The periods that are absent between the first and the last."""
    return np.setdiff1d(period_range(starts[0], starts[-1], kind), starts)


def _labels(starts: Periods, kind: str) -> list[str]:
    return [period_label(start, kind) for start in starts]


# --------------------------------------------------------------------------------------------- the counts of a study


def counts_layout(study: Study) -> Layout:
    """What the table of counts of a study should hold."""
    spec, stages = study.history, study.funnel.stages
    return Layout(
        "history.counts", "counts", spec.period, MONEY, stages, columns=spec.columns, reads=spec.read
    )


def read_counts(study: Study) -> Rows:
    """The table of counts that a study names, as it is: with a column of segments a row for each."""
    file = str(study.history.counts)
    return read_rows(study.folder / file, file, counts_layout(study))


def segment_names(study: Study) -> NDArray[np.object_]:
    """The segment of each row of the counts, a blank as such. Raises StudyError where there is no such column."""
    wanted = "" if study.segments is None else study.segments.column
    file = str(study.history.counts)
    grid = read_grid(study.folder / file, file, counts_layout(study).ask)
    titles = [str(title).strip() for title in grid.header]
    if wanted not in titles:
        raise StudyError(
            f'{study.place("segments.column")}: {file} has no column "{wanted}"; it has {", ".join(titles)}'
            f"{nearest(wanted, titles)}"
        )
    cells = grid.column(titles.index(wanted))
    return np.array([BLANK if cell is None else name_text(cell) for cell in cells], dtype=object)


def summed(rows: Rows) -> Rows:
    """Rows of segments added up to rows of (period, channel); a blank in one of them leaves the sum blank."""
    keys = list(zip(rows.starts, rows.channels, strict=True))
    place = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    where = np.array([place[key] for key in keys])
    first = np.unique(where, return_index=True)[1]
    measures = {}
    for name, values in rows.measures.items():
        total = np.zeros(len(place))
        np.add.at(total, where, values)  # NaN stays NaN
        measures[name] = total
    return Rows(rows.file, rows.numbers[first], rows.starts[first], rows.channels[first], measures)


@dataclass(frozen=True, eq=False)
class SegmentCounts:
    """Counts by segment: `counts` by measure, (period, channel, segment), blanks as NaN; `names` of the segments."""

    names: tuple[str, ...]
    counts: dict[str, NDArray[np.float64]]


def read_segment_counts(study: Study, history: History) -> SegmentCounts:
    """The counts of the history's window by segment; the file has been checked by `read_history`."""
    rows, segments = read_counts(study), segment_names(study)
    names = tuple(sorted(set(segments)))
    time = period_index(rows.starts, history.periods[0], history.period)
    keep = (time >= 0) & (time < history.periods.size)
    at = (
        time[keep],
        np.array([history.channels.index(str(name)) for name in rows.channels[keep]]),
        np.array([names.index(str(name)) for name in segments[keep]]),
    )
    counts = {}
    for name in (*history.stages, "revenue"):
        if name in rows.measures:
            cells = np.full((history.periods.size, len(history.channels), len(names)), np.nan)
            cells[at] = 0.0
            np.add.at(cells, at, rows.measures[name][keep])
            counts[name] = cells
    return SegmentCounts(names, counts)
