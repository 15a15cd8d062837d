"""A column of segments in a table of counts: rows of (period, channel, segment), and their sums for the forecast.

    moved into a stage in period t ~ rate x sum over ages a of entered_(t - a) f_a       (calendar counts)
    become of the cohort of period t ~ rate x entered_t F(age)                           (cohort counts)

with the delay f that the study names, or the usual one: counts do not tell the delay of each segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecast.equations import ages_needed, delay_pmf
from forecast.errors import StudyError
from forecast.history.counts import Layout, Rows, read_rows
from forecast.history.files import day_text, read_grid
from forecast.history.history import History
from forecast.history.leads import BLANK_CHANNEL
from forecast.periods import DAYS_PER_PERIOD, period_index
from forecast.study import DEFAULT_DELAY_DAYS, OTHER_DELAY_DAYS, Study, nearest

Array = NDArray[np.float64]

CV = 0.8
EARLY = 3  # periods whose mean stands for what came before the window


@dataclass(frozen=True, eq=False)
class SegmentCounts:
    """Counts by segment: `counts` by measure, (period, channel, segment), blanks as NaN; `names` of the segments."""

    names: tuple[str, ...]
    counts: dict[str, Array]

    def settled(self, study: Study, history: History) -> dict[str, tuple[Array, Array, Array]]:
        """By stage after the first: entered, moved, and entries that have had time to move, (channel, segment) each."""
        made = {}
        for before, stage in pairwise(history.stages):
            entered, moved = self.counts[before], self.counts[stage]
            known = np.isfinite(moved) & np.isfinite(entered)
            trials = np.where(known, _with_time(np.nan_to_num(entered), stage, study, history), 0.0)
            sums = (np.where(known, np.nan_to_num(part), 0.0).sum(axis=0) for part in (entered, moved))
            one, two = sums
            made[stage] = (one, two, np.maximum(trials.sum(axis=0), two))
        return made


def _with_time(entered: Array, stage: str, study: Study, history: History) -> Array:
    """Entries weighted by the share of the delay that has passed, by the period in which they would move."""
    days = study.funnel.delay.get(stage, DEFAULT_DELAY_DAYS.get(stage, OTHER_DELAY_DAYS))
    mean = float(days) / DAYS_PER_PERIOD[history.period]
    if mean <= 0:
        return entered
    ages = ages_needed(mean, CV)
    f = delay_pmf(mean, CV, ages)
    n = len(entered)
    if history.counting == "cohort":
        lived = np.cumsum(f)[np.minimum(n - 1 - np.arange(n), ages - 1)]
        return np.asarray(entered * lived[:, None, None])
    before = np.repeat(entered[:EARLY].mean(axis=0, keepdims=True), ages, axis=0)
    path = np.concatenate([before, entered])
    return np.asarray(sum(f[a] * path[ages - a : ages - a + n] for a in range(ages)))


def segment_names(study: Study, file: str) -> NDArray[np.object_]:
    """The segment of each row of the counts, a blank as such. Raises StudyError where there is no such column."""
    wanted = "" if study.segments is None else study.segments.column
    grid = read_grid(study.folder / file, file, "history.counts")
    titles = [str(title).strip() for title in grid.header]
    if wanted not in titles:
        raise StudyError(
            f'{study.place("segments.column")}: {file} has no column "{wanted}"; it has {", ".join(titles)}'
            f"{nearest(wanted, titles)}"
        )
    cells = grid.column(titles.index(wanted))
    return np.array([BLANK_CHANNEL if cell is None else day_text(cell) for cell in cells], dtype=object)


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


def read_segment_counts(study: Study, history: History) -> SegmentCounts:
    """The counts of the history's window by segment; the file has been checked by `read_history`."""
    file = str(study.history.counts)
    money = ("spend", "revenue")
    layout = Layout(
        "history.counts", history.period, money, study.funnel.stages, columns=study.history.columns
    )
    rows, segments = read_rows(study.folder / file, file, layout), segment_names(study, file)
    names = tuple(sorted(set(segments)))
    time = period_index(rows.starts, history.periods[0], history.period)
    keep = (time >= 0) & (time < history.periods.size)
    shape = (history.periods.size, len(history.channels), len(names))
    at = tuple(
        np.array(part)
        for part in (
            time[keep],
            [history.channels.index(str(name)) for name in rows.channels[keep]],
            [names.index(str(name)) for name in segments[keep]],
        )
    )
    counts = {}
    for name in (*history.stages, "revenue"):
        if name in rows.measures:
            cells = np.full(shape, np.nan)
            cells[at] = 0.0
            np.add.at(cells, at, rows.measures[name][keep])
            counts[name] = cells
    return SegmentCounts(names, counts)
