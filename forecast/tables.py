"""A table: a tidy frame whose columns say once what they hold; and data as JSON.

    unit      what the numbers of a column are; it knows how a spreadsheet shows them and how words write them
    column    name (of the frame and of files), heading, unit; the unit may follow from the row
    table     a frame, its columns in the order in which every hand shows them, and the sheet it fills

A row that sums others up names that in one of its columns ("total"); files and sheets keep such rows apart from the
rest (`Table.data`, `Table.sums`), so that whoever adds up or filters a column counts nothing twice.

Numbers are raw (currency units, rates in [0, 1]); workbook, files and pages take headings and formats from here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.checks import Check
from forecast.showing import ROWS, Card, Shows, grid, shown
from forecast.words import Message, Text, filed, text, visible

if TYPE_CHECKING:
    import pandas as pd

Record = Mapping[str, Any]

# ------------------------------------------------------------------------------------------------------------ units


@dataclass(frozen=True)
class Unit:
    """What a number is: how a cell of a spreadsheet shows it, and which writers of `words` write one, and a band.

    money: an amount in the study's currency, which a cell says too.
    """

    name: str
    cell: str = ""
    one: str = "number"
    two: str = "band"
    narrow: str = "tight"
    money: bool = False

    def said(self, value: Any) -> Message:
        """One number of this unit."""
        return Message(f"{{x:{self.one}}}", {"x": value})

    def band(self, low: Any, high: Any, *, narrow: bool = False) -> Message:
        """A band of this unit; `narrow` is for columns with little room."""
        return Message(f"{{x:{self.narrow if narrow else self.two}}}", {"x": (low, high)})


CURRENCY = Unit("currency", "#,##0", money=True)
AMOUNT = Unit(
    "amount", "#,##0", "whole", "whole_band", "whole_band", money=True
)  # decided by someone: every unit counts
CHANGE = Unit("change", "#,##0", "signed", money=True)
GAIN = Unit("gain", "#,##0", "plus", money=True)  # a difference that is expected
PRICE = Unit("price", "#,##0.00", money=True)
COINS = Unit("coins", "#,##0.00", ",.2f", money=True)  # an amount to be paid: to the smallest coin
EXACT = Unit("exact", "#,##0.00", ",.2f")  # a sum of what files hold: every cent counts
COUNT = Unit("count", "#,##0.0", "count", "count_band", "tight_count")
WHOLE = Unit("whole", "#,##0", "whole", "whole_band", "whole_band")
SHARE = Unit("share", "0.0%", "percent", "percent_band", "tight_percent")
CHANCE = Unit("chance", '[>0.99]">99%";[<0.01]"<1%";0%', "brief", "percent_band", "tight_percent")
RATIO = Unit("ratio", "0.00", "number.2", "band.2", "tight.2")
DAYS = Unit("days", "0.0", "number.2", "band.2", "tight.2")
MONTHS = Unit("months", "0.0", "number.2", "band.2", "tight.2")
RHAT = Unit("rhat", "0.000", ".3f")
TEXT = Unit("text")
LABEL = Unit("label")  # words of our own: they need no guard against formulas
PERIOD = Unit("period")
YES_NO = Unit("yes or no")

WRITTEN = (TEXT, LABEL, PERIOD, YES_NO)  # units that are no numbers

Units = Unit | Callable[[Record], Unit]  # one for a whole column, or what finds it from a row


def unit_in(units: Units, row: Record) -> Unit:
    """The unit of a column in a row."""
    return units if isinstance(units, Unit) else units(row)


# ---------------------------------------------------------------------------------------------------------- columns


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, its unit (or what finds it from a row), its heading.

    heading: of a sheet; the name with spaces where it is not given. total: rows may be added up. in_files: CSV files
    have it too. sums: what stands in a row that sums up others over this column.
    """

    name: str
    unit: Units = TEXT
    heading: Text = ""
    total: bool = False
    in_files: bool = True
    sums: tuple[str, ...] = ()

    @property
    def title(self) -> Text:
        """What stands above the column."""
        return self.heading or self.name.replace("_", " ")


@dataclass(frozen=True, eq=False, repr=False)
class Table(Shows):
    """A frame with its columns; columns that are not declared are nobody's to show."""

    name: str
    sheet: str
    columns: tuple[Column, ...]
    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(records(self.frame))

    @property
    def shown(self) -> list[Column]:
        """The declared columns that the frame has, in the order of the declaration."""
        return [column for column in self.columns if column.name in self.frame]

    def where(self, **values: Any) -> Table:
        """The rows whose columns hold these values, `where(channel="total")`; KeyError where a column is not there."""
        rows = self.frame
        for name, value in values.items():
            rows = rows[rows[name] == value]
        return replace(self, frame=rows)

    @property
    def data(self) -> Table:
        """The rows that are no sums of others: what a CSV and the table of a sheet hold."""
        return replace(self, frame=self.frame[~self._summed])

    @property
    def sums(self) -> Table:
        """The rows that sum up others: over channels, over the horizon, or all."""
        return replace(self, frame=self.frame[self._summed])

    def parted(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The rows of `data`, and those of `sums`."""
        apart: tuple[list[dict[str, Any]], list[dict[str, Any]]] = [], []
        for row, of_sums in zip(self, self._summed.tolist(), strict=True):
            apart[of_sums].append(row)
        return apart

    @property
    def _summed(self) -> pd.Series[bool]:
        return summed(self.frame, {column.name: column.sums for column in self.shown if column.sums})

    def _card(self, *, whole: bool) -> Card:  # noqa: ARG002 - a table is made already
        names = [column.name for column in self.shown]
        return Card(f"{self.name}: {len(self)} rows", {"columns": names})

    def _repr_html_(self) -> str:
        rows = [[_cell(column, row) for column in self.shown] for row in records(self.frame.head(ROWS))]
        numbers = [column.unit not in WRITTEN for column in self.shown]
        more = f"<p>{ROWS} of {len(self)} rows</p>" if len(self) > ROWS else ""
        return grid([text(column.title) for column in self.shown], rows, numbers) + more

    def totals(self) -> dict[str, float]:
        """The sums of the columns whose rows may be added up."""
        return {c.name: float(self.frame[c.name].sum()) for c in self.shown if c.total}

    def for_files(self) -> pd.DataFrame:
        """The frame as CSV files have it."""
        return self.frame[[column.name for column in self.shown if column.in_files]]


def _cell(column: Column, row: Record) -> str:
    """A cell as words write it."""
    unit, value = unit_in(column.unit, row), row[column.name]
    return shown(value, None if unit in WRITTEN else unit.said(value))


def summed(frame: pd.DataFrame, words: Mapping[str, Sequence[str]]) -> pd.Series[bool]:
    """Which rows of a frame sum up others: `words` has by column what stands in those."""
    import numpy as np
    import pandas as pd

    found = np.zeros(len(frame), dtype=bool)
    for column, said in words.items():
        found |= frame[column].isin(list(said)).to_numpy()
    return pd.Series(found, index=frame.index, dtype=bool)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dicts with text keys; numbers are Python's own. Column by column, quicker than `to_dict`."""
    from numpy import dtype, generic
    from pandas import NA

    names = [str(name) for name in frame.columns]
    columns = [column.tolist() for _, column in frame.items()]
    for at, kind in enumerate(frame.dtypes):
        if kind.kind == "O" and isinstance(kind, dtype):
            columns[at] = [each.item() if isinstance(each, generic) else each for each in columns[at]]
        elif getattr(kind, "na_value", None) is NA:
            columns[at] = [None if each is NA else each for each in columns[at]]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def check_table(checks: Sequence[Check], asked: str = "check") -> pd.DataFrame:
    """A row for each check: what was asked (under the name `asked`), status, evidence, advice."""
    import pandas as pd

    rows = [(c.name, c.status, c.value, c.advice) for c in checks]
    return pd.DataFrame(rows, columns=[asked, "status", "evidence", "advice"])


# ------------------------------------------------------------------------------------------------------------- JSON


def plain(value: Any) -> Any:
    """The same value in types that JSON knows: numpy's numbers are numbers, frames lists of rows, messages texts.

    A message is in English, whatever is spoken.

    What JSON has no word for (NaN, infinity) is null; paths are text.
    """
    if isinstance(value, Message):
        value = filed(value)
    elif callable(told := getattr(value, "told", None)):  # what says itself how files have it
        value = told()
    elif is_dataclass(value) and not isinstance(value, type):
        value = {item.name: getattr(value, item.name) for item in fields(value)}
    elif hasattr(value, "to_dict"):  # a frame
        value = value.to_dict("records")
    elif hasattr(value, "tolist"):  # numpy's scalars and arrays
        value = value.tolist()
    elif isinstance(value, Path):
        value = value.as_posix()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(value: Any, indent: int = 2) -> str:
    """Indented JSON in the order given, with a line break at its end; signs that steer a terminal as JSON escapes."""
    return visible(json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)) + "\n"
