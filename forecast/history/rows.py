"""What rows of a table hold beside what they are read for: totals, shares of counts, blanks for zeros, odd dates.

Every question is asked of plain arrays, a value per row; `counts` knows the tables, and leads ask what they share.

A row of totals is one whose channel is the sum of all others in every measure. With S_k the sum over the rows of one
period and v the value of a row among them, v is the sum of the others where 2 v = S_k, up to what rounding of the
others may make of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.periods import Periods
from forecast.read import means_total
from forecast.words import Message, message

Array = NDArray[np.float64]

NEARLY = 0.9  # of the rows in which a total with a slip in it still is the sum
LEAST_CELLS, LEAST_UNITS = 6, 20  # that agree, before a channel of another name is taken for a total
FEW_BLANKS = 3
MISSED_ZEROS = 3.0  # expected zeros of which not one was seen
LONE_YEARS, LONE_SHARE, LONE_ROWS = 5, 0.02, 3  # a date so far from all others, of so few rows, is a slip


# ------------------------------------------------------------------------------------------------------------- totals


@dataclass(frozen=True, eq=False)
class Total:
    """A name that adds up others: its rows (places), whether exactly, in how many rows, and what does not agree."""

    name: str
    rows: NDArray[np.int64]
    exact: bool
    agree: int
    differ: list[tuple[int, Message]]  # place of a row, and which measure says otherwise


def find_totals(
    keys: NDArray[np.int64], names: NDArray[np.object_], measures: Mapping[str, Array], money: Sequence[str]
) -> list[Total]:
    """The names whose rows add up those of the others with the same key, exactly or nearly.

    keys: which rows belong together (a period), (row,), from 0. A name that means a total is told whether or not it is
    one; another is told where at least two others of some size add up to it, in enough cells that it is no accident.
    """
    if not names.size:
        return []
    known, code = np.unique(names.astype(str), return_inverse=True)
    named = np.array([means_total(str(name)) for name in known])[code]
    filled = {name: np.nan_to_num(values) for name, values in measures.items()}
    some = np.logical_or.reduce([values != 0 for values in filled.values()])
    n_keys = int(keys.max()) + 1
    others = np.bincount(keys, some & ~named, n_keys)[keys] - (some & ~named)
    size = np.asarray(np.bincount(keys, ~named, n_keys)[keys], dtype=float)
    agrees = np.ones(names.size, dtype=bool)
    asked = np.zeros(names.size, dtype=bool)
    proof, units = np.zeros(known.size), np.zeros(known.size)
    close: dict[str, NDArray[np.bool_]] = {}
    sums: dict[str, Array] = {}
    for name, values in measures.items():
        seen = np.isfinite(values)
        total = np.bincount(keys, np.where(named, 0.0, filled[name]), n_keys)[keys]
        sums[name] = np.where(named, total, total - filled[name])
        close[name] = np.abs(filled[name] - sums[name]) <= sum_tolerance(values, size, name in money)
        close[name] |= ~seen
        asked |= seen
        agrees &= close[name]
        sure = seen & close[name] & (filled[name] != 0) & (others >= 1)
        distinct = np.unique(
            np.stack([code[sure], filled[name][sure]]), axis=1
        )  # a budget that repeats proves once
        proof += np.bincount(distinct[0].astype(np.int64), minlength=known.size)
        units += np.bincount(code, np.where(sure, np.abs(filled[name]), 0.0), known.size)
    many = np.zeros(known.size)
    np.maximum.at(many, code, others)
    alike, rows = np.bincount(code, agrees & asked, known.size), np.bincount(code, asked, known.size)
    is_named = np.zeros(known.size, dtype=bool)
    is_named[code] = named
    weighty = (many >= 2) & (proof >= LEAST_CELLS) & (units >= LEAST_UNITS)
    likely = weighty & ((alike >= NEARLY * rows) | _most_measures(code, known.size, measures, close, filled))
    found = []
    for c in np.flatnonzero((is_named | likely) & (rows > 0)):
        own = np.flatnonzero(code == c)
        exact = alike[c] == rows[c] and (many[c] >= 1)
        odd = [i for i in own if asked[i] and not agrees[i]]
        differ = [(int(i), _difference(int(i), measures, sums, close)) for i in odd[:3]]
        found.append(Total(str(known[c]), own, bool(exact), int(alike[c]), differ))
    return found


def sum_tolerance(values: Array, size: Array, is_money: bool) -> Array:
    """How far a sum may be from the rounded values of `size` others: half a unit each, and half of its own."""
    finite = values[np.isfinite(values)]
    whole = bool((finite == np.round(finite)).all())
    if whole and not is_money:
        return np.full(values.shape, 1e-6)
    return np.asarray((0.5 if whole else 0.005) * (size + 1) + 1e-6)


def _most_measures(
    code: NDArray[np.int64],
    n: int,
    measures: Mapping[str, Array],
    close: Mapping[str, NDArray[np.bool_]],
    filled: Mapping[str, Array],
) -> NDArray[np.bool_]:
    """Names that are the sum in nearly every row of most measures, two at least: visitors that are counted once."""
    sums, there = np.zeros(n), np.zeros(n)
    for name, values in measures.items():
        seen = np.bincount(code, np.isfinite(values) & (filled[name] != 0), n)
        alike = np.bincount(code, np.isfinite(values) & (filled[name] != 0) & close[name], n)
        there += seen > 0
        sums += (seen >= LEAST_CELLS) & (alike >= NEARLY * seen)
    return (sums >= 2) & (2 * sums > there)


def _difference(
    i: int, measures: Mapping[str, Array], sums: Mapping[str, Array], close: Mapping[str, NDArray[np.bool_]]
) -> Message:
    name = next(name for name in measures if not close[name][i])
    told = {"measure": name, "value": float(measures[name][i]), "sum": float(sums[name][i])}
    return message("{measure} {value:given}, the others {sum:given}", **told)


# ------------------------------------------------------------------------------------------------------------- shares


def rounded(values: Array, groups: NDArray[np.int64], starts: Periods, most: Array | None = None) -> Array:
    """Values as whole numbers whose sums hold, (row,): differences of the rounded running sum of each group.

    Each is within 1 of its value, and each group's whole sum is its rounded sum. Blanks stay. most: what no row may
    exceed (the stage before, by cohort); what does not fit is carried on to the group's next rows.
    """
    order = np.lexsort((np.arange(values.size), starts, groups))
    ordered, group = np.nan_to_num(values[order]), groups[order]
    first = np.r_[True, group[1:] != group[:-1]] if group.size else np.zeros(0, dtype=bool)
    running = np.cumsum(ordered)
    before = np.maximum.accumulate(np.where(first, np.arange(group.size), 0))
    running -= (running - ordered)[before]
    running = np.floor(running + 0.5 + 1e-6)
    whole = np.where(first, running, running - np.r_[0.0, running[:-1]])
    if most is not None:
        left = 0.0
        for i, bound in enumerate(most[order]):
            left = 0.0 if first[i] else left
            wanted = whole[i] + left
            whole[i] = min(wanted, bound) if np.isfinite(bound) else wanted
            left = wanted - whole[i]
    out = np.empty(values.size)
    out[order] = whole
    return np.where(np.isnan(values), np.nan, out)


# ------------------------------------------------------------------------------------------------------------- blanks


def blanks_for_zeros(values: Array, groups: NDArray[np.int64]) -> int:
    """How many blanks of a counted column look like a pivot's way of writing 0; else 0.

    A pivot leaves a cell empty where nothing was counted. Then not one 0 is in the column, though counts as small as
    these must hold some: of counts k > 0 with the mean m of a Poisson law l / (1 - e^-l) = m there belong e^l - 1 to
    each zero, so that N cells without any want N / (e^l - 1) of them, by group (channel). A channel that has no number
    at all is not asked: it may not have the stage.
    """
    seen = np.isfinite(values)
    if not seen.any() or (values[seen] == 0).any():
        return 0
    n = int(groups.max()) + 1
    cells = np.bincount(groups, seen, n)
    blank = int(np.bincount(groups, ~seen, n)[cells > 0].sum())
    if blank < FEW_BLANKS:
        return 0
    mean = np.bincount(groups, np.where(seen, values, 0.0), n)[cells > 0] / cells[cells > 0]
    rate = np.maximum(mean - 1.0, 0.1)  # l by fixed-point steps from below
    for _ in range(30):
        rate = np.maximum(mean * -np.expm1(-rate), 0.05)
    missed = (cells[cells > 0] / np.expm1(np.minimum(rate, 50.0))).sum()
    return blank if missed >= MISSED_ZEROS else 0


# -------------------------------------------------------------------------------------------------------------- dates


def lone_days(days: Periods, n: NDArray[np.int64]) -> tuple[np.datetime64 | None, np.datetime64 | None]:
    """(first day that belongs, last day that belongs) where few dates lie more than five years from all others.

    days: distinct or not, without NaT; n: how many rows have each. None on the side on which there is nothing to say.
    """
    order = np.argsort(days, kind="stable")
    days, n = days[order], n[order]
    gaps = np.flatnonzero(np.diff(days) > np.timedelta64(int(LONE_YEARS * 365.25), "D"))
    if not gaps.size:
        return None, None
    before, few = np.cumsum(n), max(LONE_ROWS, LONE_SHARE * n.sum())
    early = [i for i in gaps if before[i] <= few and before[i] < n.sum() / 2]
    late = [i for i in gaps if n.sum() - before[i] <= few and before[i] > n.sum() / 2]
    first = days[early[-1] + 1] if early else None
    last = days[late[0]] if late else None
    return first, last
