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
import xarray as xr
from numpy.typing import NDArray

from forecast.history.history import BESIDE, MONEY, History
from forecast.periods import period_index, period_label
from forecast.read import FileRead
from forecast.study import Study
from forecast.words import Text, message

ALL, YEAR, CHANNEL = "all", "year", "channel"
DECIMALS = 6  # a sum of cents carries binary noise far below this
FILE = ["file", "role"]  # a workbook may hold several of a study's files, each on a sheet
FACTS = [*FILE, "what", "name", "value", "rows"]
TOTALS = [*FILE, "by", "name", "measure", "total", "blank"]


@dataclass(frozen=True, eq=False)
class DataRead:
    """What was read of the files of a study.

    files: as they were read. first, last: labels of the periods that the history holds, of the kind `period`, `n` of
    them. data_read: a row for each fact of a file: file and its role, what it is, name, value (text), rows.
    data_totals: file and role, by ("all", "year", "channel"), name of the year or channel, measure, total (NaN: nothing
    but blanks), and how many cells (or deals won) have no number.
    """

    files: tuple[FileRead, ...]
    first: str
    last: str
    period: str
    n: int
    currency: str
    data_read: pd.DataFrame
    data_totals: pd.DataFrame

    def totals(self, file: FileRead) -> pd.DataFrame:
        """The rows of `data_totals` of one file."""
        return _of(self.data_totals, file)

    def facts(self, file: FileRead, what: str) -> list[dict[str, Any]]:
        """The facts of a kind of one file: name, value, rows."""
        found = _of(self.data_read, file).to_dict("records")
        return [{str(k): v for k, v in row.items()} for row in found if row["what"] == what]

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
        frame = self.totals(file)
        for by, name, measure, total, blank in zip(*(frame[key].tolist() for key in TOTALS[2:]), strict=True):
            into = totals.setdefault(str(measure), {})
            if by == ALL:
                into |= {"total": _plain(total), "blank": int(blank)}
            else:
                into.setdefault(f"by_{by}", {})[str(name)] = _plain(total)
        joined = [fact["value"] for fact in self.facts(file, "joined")]
        told = {name: value for name, value in vars(file).items() if name != "sums"}  # they are the totals
        return {**told, "joined": joined, "totals": totals}


def _plain(total: float) -> float | int | None:
    """A number as JSON has it: whole where it is."""
    if not math.isfinite(total):
        return None
    return int(total) if total.is_integer() else total


def _of(frame: pd.DataFrame, file: FileRead) -> pd.DataFrame:
    return frame[(frame["file"] == file.file) & (frame["role"] == file.role)]


def what_was_read(
    history: History, study: Study, *, plan: xr.DataArray | None = None, others: Sequence[FileRead] = ()
) -> DataRead:
    """How the files of a history were read, with the totals of every column that it took from them.

    plan: spend as `read_plan` gives it, for the file that it may come from. others: further files, without totals.
    """
    planned: FileRead | None = None if plan is None else plan.attrs.get("read")
    files = (*history.files, *([planned] if planned else []), *others)
    totals: list[dict[str, Any]] = []
    facts: list[dict[str, Any]] = []
    for file in files:
        if file is planned and plan is not None:
            totals += _planned(plan, file, history.period)
            facts += _facts(file, _labels(plan, history.period), study.currency)
            continue
        measures, joined = _measures(history, file), list(_joined(history, file))
        totals += _totals(history, file)
        currency = study.currency if any(name in (*MONEY, *BESIDE) for name in measures) else ""
        facts += _facts(file, history.labels if measures else [], currency, joined)
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


def _facts(
    file: FileRead, labels: Sequence[str], currency: str, joined: Sequence[Text] = ()
) -> Iterator[dict[str, Any]]:
    """What is to be said of a file, a row each; `labels`: of the periods that it tells of."""

    def fact(what: str, name: str = "", value: Text = "", rows: int | None = None) -> dict[str, Any]:
        return dict(zip(FACTS, (file.file, file.role, what, name, value, rows), strict=True))

    yield from (fact("written", name, value) for name, value in file.dialect.items())
    yield from (fact("column", ours, theirs) for ours, theirs in file.columns.items())
    yield from (fact("not read", title) for title in file.unread)
    yield fact("rows used", rows=file.rows)
    yield from (fact("rows left out", value=out.reason, rows=out.n) for out in file.left_out)
    if labels:
        yield fact("first period", labels[0])
        yield fact("last period", labels[-1])
        yield fact("periods", rows=len(labels))
    if currency:
        yield fact("currency", currency)
    yield from (fact("outcome", out.value, out.meaning, out.n) for out in file.outcomes)
    yield from (fact("joined", value=said) for said in joined)
    yield from (fact("note", value=note) for note in file.notes)


def _joined(history: History, file: FileRead) -> Iterator[Text]:
    """Which channels of leads have activity beside them, and the reverse; nothing where there is one file."""
    role = {"leads": "activity", "activity": "leads"}.get(file.role, "")
    others = [other for other in history.files if other.role == role]
    if not others:
        return
    here, there = (
        _channels(history, file),
        np.logical_or.reduce([_channels(history, each) for each in others]),
    )
    both, alone = int((here & there).sum()), np.array(history.channels)[here & ~there]
    names = [other.file for other in others]
    text = "1 channel is in {other} too" if both == 1 else "{n:whole} channels are in {other} too"
    yield message(text, n=both, other=names)
    if alone.size:
        text = "no partner in {other}: {names:list.8}"
        yield message(text, other=names, names=alone.tolist())


def _file(history: History, role: str) -> FileRead | None:
    return next((file for file in history.files if file.role == role), None)


def _channels(history: History, file: FileRead) -> NDArray[np.bool_]:
    """The channels that a file has a row of, (channel,); those of leads and deals have one at least."""
    if file.sums:
        return np.isin(history.channels, [name for by, name, *_ in file.sums if by == CHANNEL])
    there = [
        np.isfinite(history.counts[name].values)
        & ((file.role not in ("leads", "deals")) | (history.counts[name].values > 0))
        for name in _measures(history, file)
    ]
    return np.logical_or.reduce([cells.any(axis=0) for cells in there]) if there else np.zeros(0, dtype=bool)


def _measures(history: History, file: FileRead) -> list[str]:
    """The measures of the history that come from a file."""
    every = [name for name in ("spend", *history.stages, "revenue", *BESIDE) if name in history.counts]
    if file.sums:
        return [name for name in every if name in {measure for _, _, measure, _, _ in file.sums}]
    if "refunds" not in file.columns and "refunds" in every:  # made of revenue below 0, where it stands
        every.remove("refunds")
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
    if file.sums:
        yield from (dict(zip(TOTALS, (file.file, file.role, *sums), strict=True)) for sums in file.sums)
        return
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
            if name in BESIDE:  # few channels have such money
                blank = blank * np.isfinite(values).any(axis=0)
            blank[:, history.media == (name != "spend")] *= (
                history.attributed
            )  # of the base, or of the media alone
        if (
            name == "revenue"
            and "refunds" in history.counts
            and not any("refunds" in f.columns for f in history.files)
        ):
            values = values - history.filled("refunds")  # made of it, and so the total of the file
        yield _total(file, ALL, "", name, values, blank)
        for year in dict.fromkeys(years.tolist()):
            yield _total(file, YEAR, year, name, values[years == year], blank[years == year])
        yield from _by_channel(file, history.channels, name, values, np.where(own, blank, 0), own)


def _planned(plan: xr.DataArray, file: FileRead, kind: str) -> Iterator[dict[str, Any]]:
    """The totals of a file of planned spend."""
    values = np.asarray(plan.values, dtype=float)
    names, years = (
        [str(name) for name in plan["channel"].values],
        np.array([p[:4] for p in _labels(plan, kind)]),
    )
    blank = np.zeros(values.shape, dtype=np.int64)
    yield _total(file, ALL, "", "spend", values, blank)
    for year in dict.fromkeys(years.tolist()):
        yield _total(file, YEAR, year, "spend", values[years == year], blank[years == year])
    yield from _by_channel(file, names, "spend", values, blank, values.any(axis=0))


def _labels(plan: xr.DataArray, kind: str) -> list[str]:
    return [period_label(start, kind) for start in plan["period"].values.astype("datetime64[D]")]


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
    return dict(
        zip(TOTALS, (file.file, file.role, by, name, measure, float(total), int(blank.sum())), strict=True)
    )


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
            yield dict(zip(TOTALS, (file.file, file.role, CHANNEL, name, measure, kept, n), strict=True))
