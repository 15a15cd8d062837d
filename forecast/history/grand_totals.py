"""Rows that add up the rows above them, and stand for no period and no channel: the sum below a table.

Such a row is known by a word that means a total where its period or channel should be, or by both cells being empty
in the last row. It is left out where its numbers are the sums, of all rows or of those since the sum before it (a
total of a year); where they are not, something is missing in the table or twice in it, and nobody but its owner knows
which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.history.rows import sum_tolerance
from forecast.read import Grid, LeftOut, cells_problem, means_total
from forecast.words import Text, message


@dataclass(frozen=True)
class Sums:
    """Rows of sums, apart from the table: `rest` is the table without them, `grid` holds them alone."""

    rest: Grid
    grid: Grid


def apart(grid: Grid, found: Mapping[str, int]) -> Sums:
    """The rows of a table that say of themselves that they add up others, and those that do not.

    found: position of our columns; one of "period" and "channel" must be empty or mean a total, and so must the other.
    """
    names = [found[name] for name in ("period", "channel") if name in found]
    measures = [at for name, at in found.items() if name not in ("period", "channel", "currency")]

    def adds_up(row: tuple[object, ...], *, last: bool) -> bool:
        texts = [cell for at in names if (cell := row[at]) is not None and str(cell).strip(" -\u2013\u2014")]
        if not all(isinstance(text, str) and means_total(text) for text in texts):
            return False
        others = [cell for at, cell in enumerate(row) if isinstance(cell, str) and at not in measures]
        said = bool(texts) or any(means_total(cell) for cell in others)
        return (said or last) and any(row[at] is not None for at in measures)

    end = len(grid.rows) - 1
    marked = [adds_up(row, last=i == end) for i, row in enumerate(grid.rows)]
    if not any(marked) or all(marked):
        return Sums(grid, replace(grid, rows=[], numbers=[]))

    def of(kept: bool) -> Grid:
        places = [i for i, mark in enumerate(marked) if mark == kept]
        return replace(grid, rows=[grid.rows[i] for i in places], numbers=[grid.numbers[i] for i in places])

    return Sums(of(kept=False), of(kept=True))


def without_sums(
    sums: Sums,
    values: Mapping[str, NDArray[np.float64]],
    own: Mapping[str, NDArray[np.float64]],
    titles: Mapping[str, str],
    money: tuple[str, ...],
    leave_out: str | None,
) -> tuple[Grid, list[Text]]:
    """The table, which says that its rows of sums are left out; and what is wrong with those that are no sums.

    values, own: the measures of the table's rows and of the rows of sums. titles: of the measures. leave_out: the key
    that leaves out bad rows, as a message names it; None where it is set: a row that is no sum is then one of those.
    """
    rest, numbers = sums.rest, np.array(sums.grid.numbers)
    above = np.array(rest.numbers)
    exact: list[int] = []
    wrong: list[tuple[int, object]] = []
    for i, number in enumerate(numbers):
        before = numbers[i - 1] if i else 0
        spans = (above < number, (above < number) & (above > before), np.ones(above.size, dtype=bool))
        differ = [_difference(i, span, values, own, titles, money) for span in spans if span.any()]
        if None in differ:
            exact.append(int(number))
        else:
            wrong.append((int(number), differ[0]))
    left_out = rest.left_out
    if exact:
        left_out = (*left_out, LeftOut("the sum of other rows", len(exact), tuple(exact)))
    if wrong and leave_out is None:
        rows = tuple(number for number, _ in wrong)
        left_out = (*left_out, LeftOut("means a total, and is not the sum", len(rows), rows, bad=True))
    problems: list[Text] = []
    if wrong and leave_out is not None:
        remedy = (
            "is a row of totals, and not the sum of the others; correct the row that is missing or twice among them, "
            "or delete the row of totals{leave_out}"
        )
        also = f", or leave it out, counted and listed: {leave_out}" if leave_out else ""
        column = sums.rest.title(0) or "A"
        problems.append(cells_problem(rest.file, column, wrong, message(remedy, leave_out=also)))
    return replace(rest, left_out=left_out), problems


def _difference(
    i: int,
    span: NDArray[np.bool_],
    values: Mapping[str, NDArray[np.float64]],
    own: Mapping[str, NDArray[np.float64]],
    titles: Mapping[str, str],
    money: tuple[str, ...],
) -> Text | None:
    """The first measure of the i-th row of sums that is not the sum of the rows of `span`; None where all are."""
    for name, column in own.items():
        value = column[i]
        total = float(np.nansum(values[name][span]))
        near = sum_tolerance(values[name], np.full(values[name].shape, float(span.sum())), name in money)
        if np.isfinite(value) and abs(value - total) > near.max():
            told = {"title": titles[name], "value": float(value), "sum": total}
            return message("{title} {value:given}, the others {sum:given}", **told)
    return None
