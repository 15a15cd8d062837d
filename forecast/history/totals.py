"""What was read, laid out to be held beside the books: how each file is written, its rows, and exact totals.

A total is the plain sum of what the file holds in the window of the history, by year and by channel. A blank is in no
total, and is counted beside it: a sum of the cells that are there is the file's, and never said to be the company's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.history.counts import Rows
from forecast.history.history import MONEY, History
from forecast.periods import period_index, period_label
from forecast.read import FileRead
from forecast.study import Study
from forecast.words import Text, message

ALL, YEAR, CHANNEL = "all", "year", "channel"
DECIMALS = 6  # a sum of cents carries binary noise far below this
FACTS = ["file", "what", "name", "value", "rows"]
TOTALS = ["file", "by", "name", "measure", "total", "blank"]


@dataclass(frozen=True, eq=False)
class DataRead:
    """What was read of the files of a study.

    files: as they were read. first, last: labels of the periods that the history holds, of the kind `period`, `n` of
    them. data_read: a row for each fact of a file: file, what it is, name, value (text), rows. data_totals: file, by
    ("all", "year", "channel"), name of the year or channel, measure, total (NaN: nothing but blanks), and how many
    cells (or deals won) have no number.
    """

    files: tuple[FileRead, ...]
    first: str
    last: str
    period: str
    n: int
    currency: str
    data_read: pd.DataFrame
    data_totals: pd.DataFrame

    def totals(self, file: str) -> pd.DataFrame:
        """The rows of `data_totals` of one file."""
        return self.data_totals[self.data_totals["file"] == file]

    def facts(self, file: str, what: str) -> list[dict[str, Any]]:
        """The facts of a kind of one file: name, value, rows."""
        found = self.data_read[(self.data_read["file"] == file) & (self.data_read["what"] == what)]
        return [{str(k): v for k, v in row.items()} for row in found.to_dict("records")]

    def told(self) -> dict[str, Any]:
        """The same for JSON: a part for each file, totals by measure."""
        return {
            "period": self.period,
            "first": self.first,
            "last": self.last,
            "currency": self.currency,
            "files": [self._told(file) for file in self.files],
        }

    def _told(self, file: FileRead) -> dict[str, Any]:
        totals: dict[str, dict[str, Any]] = {}
        frame = self.totals(file.file)
        for by, name, measure, total, blank in zip(*(frame[key].tolist() for key in TOTALS[1:]), strict=True):
            into = totals.setdefault(str(measure), {})
            if by == ALL:
                into |= {"total": _plain(total), "blank": int(blank)}
            else:
                into.setdefault(f"by_{by}", {})[str(name)] = _plain(total)
        joined = [fact["value"] for fact in self.facts(file.file, "joined")]
        return {**vars(file), "joined": joined, "totals": totals}


def _plain(total: float) -> float | int | None:
    """A number as JSON has it: whole where it is."""
    if not math.isfinite(total):
        return None
    return int(total) if total.is_integer() else total


def what_was_read(history: History, study: Study, plan: Rows | None = None) -> DataRead:
    """How the files of a history were read, with the totals of every column that it took from them; and of a plan."""
    totals = [row for file in history.files for row in _totals(history, file)]
    facts = [
        {"file": file.file, **fact}
        for file in history.files
        for fact in _facts(history, file, study.currency)
    ]
    files = history.files
    if plan is not None and plan.read is not None:
        files = (*files, plan.read)
        totals += _plan_totals(plan, plan.read, history.period)
        planned = _plan_facts(history, plan, plan.read, study.currency)
        facts += [{"file": plan.file, **fact} for fact in planned]
    return DataRead(
        files=files,
        first=history.labels[0],
        last=history.labels[-1],
        period=history.period,
        n=history.periods.size,
        currency=study.currency,
        data_read=pd.DataFrame(facts, columns=FACTS),
        data_totals=pd.DataFrame(totals, columns=TOTALS),
    )


# ------------------------------------------------------------------------------------------------------------- facts


def _facts(history: History, file: FileRead, currency: str) -> Iterator[dict[str, Any]]:
    """What is to be said of a file, a row each."""
    yield from _how(file)
    measures = _measures(history, file)
    if measures:
        yield _fact("first period", history.labels[0])
        yield _fact("last period", history.labels[-1])
    if any(name in MONEY for name in measures):
        yield _fact("currency", currency)
    yield from (_fact("outcome", out.value, out.meaning, out.n) for out in file.outcomes)
    yield from (_fact("joined", value=said) for said in _joined(history, file))
    yield from (_fact("note", value=note) for note in file.notes)


def _how(file: FileRead) -> Iterator[dict[str, Any]]:
    yield _fact("role", value=file.role)
    yield from (_fact("written", name, value) for name, value in file.dialect.items())
    yield from (_fact("column", ours, theirs) for ours, theirs in file.columns.items())
    yield from (_fact("not read", title) for title in file.unread)
    yield _fact("rows used", rows=file.rows)
    yield from (_fact("rows left out", value=out.reason, rows=out.n) for out in file.left_out)


def _plan_facts(history: History, plan: Rows, file: FileRead, currency: str) -> Iterator[dict[str, Any]]:
    yield from _how(file)
    yield _fact("first period", period_label(plan.starts.min(), history.period))
    yield _fact("last period", period_label(plan.starts.max(), history.period))
    yield _fact("currency", currency)
    yield from (_fact("note", value=note) for note in file.notes)


def _fact(what: str, name: str = "", value: Text = "", rows: int | None = None) -> dict[str, Any]:
    return {"what": what, "name": name, "value": value, "rows": rows}


def _joined(history: History, file: FileRead) -> Iterator[Text]:
    """Which channels of leads have activity beside them, and the reverse; nothing where there is one file."""
    other = _file(history, {"leads": "activity", "activity": "leads"}.get(file.role, ""))
    if other is None:
        return
    here, there = (_channels(history, each) for each in (file, other))
    both, alone = int((here & there).sum()), np.array(history.channels)[here & ~there]
    text = "1 channel is in {other} too" if both == 1 else "{n:whole} channels are in {other} too"
    yield message(text, n=both, other=other.file)
    if alone.size:
        text = "no partner in {other}: {names:list.8}"
        yield message(text, other=other.file, names=alone.tolist())


def _file(history: History, role: str) -> FileRead | None:
    return next((file for file in history.files if file.role == role), None)


def _channels(history: History, file: FileRead) -> NDArray[np.bool_]:
    """The channels that a file has a row of, (channel,); those of leads and deals have one at least."""
    there = [
        np.isfinite(history.counts[name].values)
        & ((file.role not in ("leads", "deals")) | (history.counts[name].values > 0))
        for name in _measures(history, file)
    ]
    return np.logical_or.reduce([cells.any(axis=0) for cells in there]) if there else np.zeros(0, dtype=bool)


def _measures(history: History, file: FileRead) -> list[str]:
    """The measures of the history that come from a file."""
    every = [name for name in ("spend", *history.stages, "revenue") if name in history.counts]
    if file.role == "counts":
        return every
    own = set(history.triangles) | {"leads", "revenue"}
    deals = _file(history, "deals")
    sold = {n for n, title in (("won", "won"), ("revenue", "amount")) if deals and title in deals.columns}
    wanted = {"leads": own - sold, "deals": sold, "activity": set(every) - own}.get(file.role, set())
    return [name for name in every if name in wanted]


# ------------------------------------------------------------------------------------------------------------ totals


def _totals(history: History, file: FileRead) -> Iterator[dict[str, Any]]:
    """The totals of each measure of a file: of all, by year, by channel."""
    names = _measures(history, file)
    years = np.array([label[:4] for label in history.labels])  # of a week: the year that it is counted to
    seen = [np.isfinite(history.counts[name].values) for name in names]
    rows = np.logical_or.reduce(seen) if seen else np.zeros((0, 0), dtype=bool)
    own = _channels(history, file)
    for name in names:
        if name == "revenue" and history.counting == "leads":
            values, blank = _amounts(history)
        else:
            values = np.asarray(history.counts[name].values, dtype=float)
            blank = (rows & ~np.isfinite(values)).astype(np.int64)
        yield _total(file, ALL, "", name, values, blank)
        for year in dict.fromkeys(years.tolist()):
            yield _total(file, YEAR, year, name, values[years == year], blank[years == year])
        yield from _by_channel(file, history.channels, name, values, np.where(own, blank, 0), own)


def _plan_totals(plan: Rows, file: FileRead, kind: str) -> Iterator[dict[str, Any]]:
    """The planned spend of the horizon: of all, by year, by channel."""
    spend = plan.measures["spend"]
    blank = (~np.isfinite(spend)).astype(np.int64)
    years = np.array([period_label(start, kind)[:4] for start in plan.starts])
    yield _total(file, ALL, "", "spend", spend, blank)
    for by, names in ((YEAR, years), (CHANNEL, plan.channels.astype(str))):
        for name in sorted(set(names.tolist())):
            yield _total(file, by, name, "spend", spend[names == name], blank[names == name])


def _amounts(history: History) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Amounts of the deals won, (period, channel), NaN where no deal of the cell has one; and how many have none."""
    deals, shape = history.deals, (history.periods.size, len(history.channels))
    place = {name: i for i, name in enumerate(history.channels)}
    at = (
        period_index(deals["period"].to_numpy(), history.periods[0], history.period),
        np.asarray(deals["channel"].map(place), dtype=np.int64),
    )
    amount = deals["amount"].to_numpy(dtype=float)
    there = np.isfinite(amount)
    values, known, blank = np.zeros(shape), np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    np.add.at(values, at, np.where(there, amount, 0.0))
    np.add.at(known, at, there.astype(np.int64))
    np.add.at(blank, at, (~there).astype(np.int64))
    return np.where((known == 0) & (blank > 0), np.nan, values), blank


def _total(
    file: FileRead,
    by: str,
    name: str,
    measure: str,
    values: NDArray[np.float64],
    blank: NDArray[np.int64],
) -> dict[str, Any]:
    there = np.isfinite(values)
    total = np.round(values[there].sum(), DECIMALS) if there.any() else np.nan
    return dict(zip(TOTALS, (file.file, by, name, measure, float(total), int(blank.sum())), strict=True))


def _by_channel(
    file: FileRead,
    channels: Sequence[str],
    measure: str,
    values: NDArray[np.float64],
    blank: NDArray[np.int64],
    own: NDArray[np.bool_],
) -> Iterator[dict[str, Any]]:
    """The totals of every channel at once, of those that are the file's `own` and have a number or a blank in it."""
    there = np.isfinite(values) & own
    sums = np.round(np.where(there, values, 0.0).sum(axis=0), DECIMALS)
    columns = (channels, sums.tolist(), there.any(axis=0).tolist(), blank.sum(axis=0).tolist())
    for name, total, known, n in zip(*columns, strict=True):
        if known or n:
            kept = total if known else math.nan
            yield dict(zip(TOTALS, (file.file, CHANNEL, name, measure, kept, n), strict=True))
