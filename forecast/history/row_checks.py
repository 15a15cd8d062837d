"""What is asked of the rows of a table once they are read: totals, shares, blanks, lone dates, pairs and gaps."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.checks import PASS, REVIEW
from forecast.errors import DataError
from forecast.history.counts import ROWS_NAMED, Rows
from forecast.history.history import BESIDE, MONEY
from forecast.history.rows import LONE_YEARS, blanks_for_zeros, find_totals, lone_days, rounded
from forecast.periods import Periods, period_label, period_range
from forecast.read import LeftOut, cells_problem, means_total, row_place, rows_text
from forecast.words import Text, message


def without_totals(rows: Rows, *, known: Collection[str] = ()) -> Rows:
    """The rows without those of channels, and of segments, that are the sum of all others, which is said.

    known: names of channels that another file has too, so that they are none. Raises DataError for a name that means a
    total and is none, and for a total that nearly is the sum.
    """
    if rows.segments is not None:
        cells = [f"{start} {channel}" for start, channel in zip(rows.starts, rows.channels, strict=True)]
        keys = np.unique(np.array(cells), return_inverse=True)[1]
        totals = _totals(rows, rows.segments, keys, "segment", ())
        rows = _left_out(rows, rows.segments, totals, "segment")
    added = rows if rows.segments is None else summed(rows)
    keys = np.unique(added.starts, return_inverse=True)[1]
    return _left_out(rows, rows.channels, _totals(added, added.channels, keys, "channel", known), "channel")


def _totals(
    rows: Rows, names: NDArray[np.object_], keys: NDArray[np.int64], what: str, known: Collection[str]
) -> list[str]:
    """The totals among `names`. Raises DataError for those that are not exact."""
    found = [
        each for each in find_totals(keys, names, rows.measures, (*MONEY, *BESIDE)) if each.name not in known
    ]
    problems: list[Text] = []
    for total in found:
        if total.exact:
            continue
        told = {
            "file": rows.file,
            "what": what,
            "name": total.name,
            "agree": total.agree,
            "all": total.rows.size,
        }
        told["rows"] = rows_text([(int(rows.numbers[i]), said) for i, said in total.differ], None)
        if means_total(total.name):
            text = '{file}: {what} "{name}": the name means a total, and it is not the sum of the others: {rows}; '
            text += (
                "take its rows out (the exact sum is left out), or rename it if it is a {what} of its own."
            )
        else:
            text = '{file}: {what} "{name}": is the sum of all others in {agree} of {all} rows, but not in {rows}; '
            text += "take its rows out if they are totals (the exact sum is left out), or correct the rows."
        problems.append(message(text, **told))
    if problems:
        raise DataError(problems)
    return [total.name for total in found]


def _left_out(rows: Rows, names: NDArray[np.object_], totals: list[str], what: str) -> Rows:
    if not totals:
        return rows
    out = np.isin(names.astype(str), totals)
    numbers = np.unique(rows.numbers[out])  # with periods across as columns, many come from one row
    n = int(numbers.size)
    told = {"names": totals, "what": what, "n": n}
    reason = message("{what} {names:listed} is the sum of the others", **told)
    left = LeftOut(reason, n, tuple(int(number) for number in numbers[:ROWS_NAMED]))
    text = "{n:whole} rows of {what} {names:listed} are the sum of the others, and left out"
    text = "1 row of {what} {names:listed} is the sum of the others, and left out" if n == 1 else text
    kept = rows.where(~out).told(
        "Rows of totals",
        REVIEW,
        message(text, **told),
        "Take them out of the file, so that nobody counts twice.",
    )
    read = None if kept.read is None else replace(kept.read, left_out=(*kept.read.left_out, left))
    return replace(kept, read=read, totals=(*kept.totals, *totals))


def whole_counts(rows: Rows, stages: Iterable[str], *, cohort: bool = False) -> Rows:
    """Counts that were shared out as whole numbers, channel by channel, so that their sums hold; said.

    cohort: no stage may then exceed the one before, for its units are among them.
    """
    measures, said, before = dict(rows.measures), [], None
    groups = np.unique(rows.channels.astype(str), return_inverse=True)[1]
    for name in (name for name in stages if name in measures):
        values = measures[name]
        if (shared := np.isfinite(values) & (values != np.round(values))).any():
            measures[name] = rounded(values, groups, rows.starts, before if cohort else None)
            told = {"name": name, "n": int(shared.sum()), "was": float(np.nansum(values))}
            text = "{name}: {n} cells, {was:given} in all, now {now:given}"
            said.append(message(text, now=float(np.nansum(measures[name])), **told))
        before = measures[name]
    if not said:
        return rows
    text = 'shares of counts are rounded, channel by channel (history.fractions = "round"): {said:parts}'
    return replace(rows, measures=measures).told("Fractions rounded", PASS, message(text, said=said))


def without_leading_zeros(rows: Rows, kind: str) -> Rows:
    """Blanks for the zeros that a channel has in every column before its first count, because it was not there; said.

    A channel without spend whose counts are filled up with zeros would else seem to have risen from nothing. The
    channels with which the company itself begins keep their zeros, as does one that never has anything.
    """
    some = np.zeros(rows.numbers.size, dtype=bool)
    for values in rows.measures.values():
        some |= np.nan_to_num(values) != 0
    if not some.any():
        return rows
    opened = rows.starts[some].min()
    out = np.zeros(rows.numbers.size, dtype=bool)
    said: list[Text] = []
    for name in sorted(set(map(str, rows.channels[some]))):
        mine = rows.channels == name
        first = rows.starts[mine & some].min()
        before = mine & (rows.starts < first)
        if first > opened and before.any():
            out |= before
            told = {"name": name, "n": int(before.sum()), "first": period_label(first, kind)}
            said.append(message("{name}: {n} before {first}", **told))
    if not said:
        return rows
    measures = {name: np.where(out, np.nan, values) for name, values in rows.measures.items()}
    text = "rows of zeros in every column before the first count of a channel are read as not there yet: {said:parts}"
    return replace(rows, measures=measures).told(
        "Zeros before a channel begins", PASS, message(text, said=said)
    )


def check_blanks(rows: Rows, stages: Iterable[str]) -> None:
    """Raise DataError for counted columns whose blanks look like zeros: only the study can say what they mean.

    Blank spend needs no question: it is read as none either way; and revenue counts only beside wins.
    """
    groups = np.unique(rows.channels.astype(str), return_inverse=True)[1]
    problems: list[Text] = []
    for name in stages:
        if name in rows.measures and (n := blanks_for_zeros(rows.measures[name], groups)):
            text = "{file}: column {name}: {n} of {all} cells are empty and not one is 0, as a pivot table leaves "
            text += 'them where none was; set history.blank = "zero" if they mean 0, or "unknown" if not recorded.'
            problems.append(message(text, file=rows.file, name=name, n=n, all=rows.numbers.size))
    if problems:
        raise DataError(problems)


def check_lone(rows: Rows, kind: str) -> None:
    """Raise DataError for periods of few rows that lie years away from all others: slips of the year."""
    first, last = lone_days(rows.starts, np.ones(rows.starts.size, dtype=np.int64))
    out = np.zeros(rows.starts.size, dtype=bool)
    out |= False if first is None else rows.starts < first
    out |= False if last is None else rows.starts > last
    if out.any():
        cells = [(int(rows.numbers[i]), period_label(rows.starts[i], kind)) for i in np.flatnonzero(out)]
        rule = f"lies more than {LONE_YEARS} years from all other rows; correct the year"
        raise DataError(cells_problem(rows.file, "period", cells, rule))


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
            message(
                text,
                period=period_label(start, kind),
                channel=channel,
                first=row_place(one),
                second=row_place(two),
            )
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
    known, code = np.unique(rows.channels.astype(str), return_inverse=True)
    pieces = np.split(rows.starts[np.argsort(code, kind="stable")], np.cumsum(np.bincount(code))[:-1])
    own_rows = {str(name): np.unique(own) for name, own in zip(known, pieces, strict=True)}
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
    return replace(rows.where(np.isin(np.arange(where.size), first)), measures=measures, segments=None)
