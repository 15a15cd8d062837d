"""Counts by segment: the table of counts once more, with the column that tells its rows apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.history.counts import read_counts
from forecast.history.history import History
from forecast.history.row_checks import whole_counts, without_totals
from forecast.periods import period_index
from forecast.study import Study


@dataclass(frozen=True, eq=False)
class SegmentCounts:
    """Counts by segment: `counts` by measure, (period, channel, segment), blanks as NaN; `names` of the segments."""

    names: tuple[str, ...]
    counts: dict[str, NDArray[np.float64]]


def read_segment_counts(study: Study, history: History) -> SegmentCounts:
    """The counts of the history's window by segment; the file has been checked by `read_history`."""
    rows = read_counts(study)
    time = period_index(rows.starts, history.periods[0], history.period)
    rows = without_totals(rows.where((time >= 0) & (time < history.periods.size)))
    rows = whole_counts(rows, study.funnel.stages)
    segments = np.zeros(0, dtype=object) if rows.segments is None else rows.segments
    names, channel = tuple(sorted(set(segments))), {name: i for i, name in enumerate(history.channels)}
    place = {name: i for i, name in enumerate(names)}
    at = (
        period_index(rows.starts, history.periods[0], history.period),
        np.array([channel[str(name)] for name in rows.channels]),
        np.array([place[str(name)] for name in segments]),
    )
    counts = {}
    for name in (*history.stages, "revenue"):
        if name in rows.measures:
            cells = np.full((history.periods.size, len(history.channels), len(names)), np.nan)
            cells[at] = 0.0
            np.add.at(cells, at, rows.measures[name])
            counts[name] = cells
    return SegmentCounts(names, counts)
