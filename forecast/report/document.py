"""A page as data: what every hand that holds the report renders (PDF, workbook, terminal).

    Report   title, and the pages in their order; the first is the front page
    Page     title, parts, and the tables that stand behind it in full (sheets)
    Part     any of heading, verdict, tiles, leading sentence, figure, text, listings, note, points, lines to sign
    Listing  rows of cells under heads, declared by columns over records:

        listing(rows, [named("channel", "Channel"), value("mean", "Expected", COUNT), band("Band", COUNT)])

What is said is a `words.Text` and a number in it is still a number; a figure is drawn by the hands that draw. Nothing
here is formatted, cut or laid out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from forecast.checks import Check, Verdict
from forecast.tables import CURRENCY, SHARE, Record, Table, Unit, Units, unit_in
from forecast.words import MISSING, Message, Name, Period, Text, known, message, short_names

if TYPE_CHECKING:
    from forecast.report.drawing import Drawing

# ------------------------------------------------------------------------------------------------------------ cells


@dataclass(frozen=True)
class Over:
    """A number with its band beneath, or in brackets behind it."""

    said: Text
    below: Text


@dataclass(frozen=True)
class Bar:
    """A share in [0, 1], drawn as a bar beside its number."""

    share: float
    said: Text


Cell = Text | Over | Bar

# --------------------------------------------------------------------------------------------------------- the page


@dataclass(frozen=True)
class Row:
    """The cells of a row, and whether it stands out."""

    cells: Sequence[Cell]
    strong: bool = False


@dataclass(frozen=True)
class Listing:
    """A table to be read. align: l or r a column; widths: a for as wide as its content, else a share of the room.

    checks: where the rows are checks, the same as they are, for hands without room for columns. folds: what is wider
    than a line may go on below, the first column repeated.
    """

    heads: Sequence[Text]
    rows: Sequence[Row]
    align: str
    widths: str
    checks: Sequence[Check] = ()
    folds: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure, drawn when it is asked for, and the words that stand for it where it cannot be seen."""

    draw: Callable[[], Drawing]
    alt: Text


@dataclass(frozen=True)
class Tile:
    """One number of the front page."""

    name: Text
    value: Text
    below: Text


EVIDENCE = message("{left} more in the chapter Evidence: Checks behind the verdict.")


@dataclass(frozen=True)
class Part:
    """A piece of a page; what is not given is left out. note: small print of the listings.

    beside: the share of the width that the figure takes, its listings to the right; 0 sets them below it. signing: what
    is signed, and the lines to be filled in by hand. contents: the chapters that follow with their pages stand here.
    others: where the checks beyond the first ones stand, {left} of them.
    """

    title: Text = ""
    verdict: Verdict | None = None
    others: Message = EVIDENCE
    tiles: Sequence[Tile] = ()
    lead: Text = ""
    figure: Picture | None = None
    text: Text = ""
    listings: Sequence[Listing] = ()
    note: Text = ""
    points: Sequence[Text] = ()
    beside: float = 0.0
    signing: Sequence[Text] = ()
    contents: bool = False


@dataclass(frozen=True)
class Page:
    """A page of the report, as long as its parts are. sheets: tables in full. alone: the next begins a new sheet."""

    title: Text = ""
    parts: Sequence[Part] = ()
    sheets: Sequence[Table] = ()
    alone: bool = False


@dataclass(frozen=True)
class Report:
    """The whole report. about: what it is for, in a line; as_of: the end of the data; status: of the verdict; run: its
    id.
    """

    title: Text
    about: Text
    as_of: Text
    status: str
    pages: Sequence[Page] = field(default_factory=list)
    run: str = ""


# --------------------------------------------------------------------------------------------- columns of a listing


@dataclass(frozen=True)
class Shown:
    """A column of a listing: its head, what it makes of all rows, and how it is set."""

    head: Text
    cells: Callable[[Sequence[Record]], Sequence[Cell]]
    align: str = "r"
    width: str = "1"


def said(head: Text, write: Callable[[Record], Cell], align: str = "r", width: str = "1") -> Shown:
    """A column that is written row by row."""
    return Shown(head, lambda rows: [write(row) for row in rows], align, width)


def text(key: str, head: Text, width: str = "a") -> Shown:
    """A text of ours: a label, a sentence, a message."""
    return said(head, lambda row: _text(row[key]), "l", width)


def name(key: str, head: Text, width: str = "a") -> Shown:
    """A text that someone typed, as it is in every language."""
    return said(head, lambda row: "" if row[key] is None else Name(row[key]), "l", width)


def period(key: str, head: Text, width: str = "a", *, total: Text = "total") -> Shown:
    """The label of a period; total: what stands for all of them."""
    return said(head, lambda row: total if row[key] == "total" else period_cell(row[key]), "l", width)


def period_cell(label: Any) -> Text:
    """A period by its label, as readers of the language write it."""
    return Period(label)


def named(key: str, head: Text, width: str = "a", *, total: Text = "total") -> Shown:
    """A name that fits and still differs from the others of its column; total: what stands for all of them."""

    def cells(rows: Sequence[Record]) -> Sequence[Cell]:
        short = short_names(str(row[key]) for row in rows)
        return [total if row[key] == "total" else Name(short[str(row[key])]) for row in rows]

    return Shown(head, cells, "l", width)


def value(key: str, head: Text, unit: Units = CURRENCY, width: str = "1") -> Shown:
    """A number of a unit; nothing in a row that has no such key (of sums, say)."""
    return said(head, lambda row: unit_in(unit, row).said(row[key]) if key in row else "", "r", width)


def band(
    head: Text, unit: Units = CURRENCY, width: str = "1", *, low: str = "q10", high: str = "q90"
) -> Shown:
    """A band, both ends rounded alike; nothing in a row that has no such keys."""
    return said(
        head, lambda row: unit_in(unit, row).band(row[low], row[high]) if low in row else "", "r", width
    )


def over(key: str, head: Text, unit: Unit = CURRENCY, width: str = "1", *, narrow: bool = False) -> Shown:
    """A number over its 80 % band: of `key` itself where the row has q10 and q90, else of `key`_q10 and `key`_q90."""
    return said(head, lambda row: banded(row, key, unit, narrow=narrow), "r", width)


def banded(row: Record, key: str, unit: Unit, *, narrow: bool = False) -> Cell:
    """The cell of `over`: `key` is a statistic (mean, q50) of the row, or the start of its names (worth_mean)."""
    start = "" if key in ("mean", "q50") else f"{key}_"
    middle = row.get(key, row.get(f"{start}mean"))
    if not known(middle):
        return MISSING
    if middle == row.get(f"{start}q10") == row.get(f"{start}q90"):
        return unit.said(middle)  # a band without width is none
    return Over(unit.said(middle), unit.band(row.get(f"{start}q10"), row.get(f"{start}q90"), narrow=narrow))


def bar(key: str, head: Text, width: str = "1", align: str = "r") -> Shown:
    """A share in [0, 1] as a bar with its number."""

    def cell(row: Record) -> Cell:
        share = row.get(key)
        return Bar(min(max(float(share), 0.0), 1.0), SHARE.said(share)) if known(share) else MISSING

    return said(head, cell, align, width)


def nested(rows: Iterable[Record], outer: str, inner: str) -> dict[str, dict[str, Record]]:
    """Rows by two of their names: {"ppc": {"cac": row, ...}, ...} by channel and measure."""
    by: dict[str, dict[str, Record]] = {}
    for row in rows:
        by.setdefault(str(row[outer]), {})[str(row[inner])] = row
    return by


def adding_up(column: Mapping[str, float], first: str = "came", last: str = "forecast") -> dict[str, float]:
    """A first amount, changes and a last one, rounded so that they still add up: to three digits of the largest end.

    What rounding leaves goes to the changes whose own rounding took the most away (largest remainder).

    >>> adding_up({"came": 100_400.0, "a": 300.0, "b": 300.0, "forecast": 101_000.0})
    {'came': 100000.0, 'a': 1000.0, 'b': 0.0, 'forecast': 101000.0}
    """
    largest = max(abs(column[first]), abs(column[last]), 1e-9)
    step = 10.0 ** (math.floor(math.log10(largest)) - 2)
    whole = {name: round(amount / step) for name, amount in column.items()}
    changes = [name for name in column if name not in (first, last)]
    left = whole[last] - whole[first] - sum(whole[name] for name in changes)
    sign = 1 if left > 0 else -1
    by_remainder = sorted(changes, key=lambda name: -sign * (column[name] / step - whole[name]))
    for name in by_remainder[: abs(left)]:
        whole[name] += sign
    return {name: units * step for name, units in whole.items()}


def listing(
    rows: Iterable[Record],
    columns: Sequence[Shown],
    *,
    strong: Callable[[Record], bool] = lambda _: False,
    filled: bool = False,
) -> Listing:
    """Records under declared columns; `filled` leaves out a column in which nothing stands."""
    records = list(rows)
    made = [(column, column.cells(records)) for column in columns]
    if filled:
        made = [(column, cells) for column, cells in made if any(cells)]
    return Listing(
        heads=[column.head for column, _ in made],
        rows=[Row([cells[i] for _, cells in made], strong(row)) for i, row in enumerate(records)],
        align="".join(column.align for column, _ in made),
        widths="".join(column.width for column, _ in made),
    )


def checklist(
    checks: Iterable[Check],
    *,
    head: Text = "Check",
    answer: Text = "Value",
    widths: str = "2a223",
    standing_out: str = "FAIL",
) -> Listing:
    """Checks as rows, one that stands out in bold; advice as a sentence."""
    asked = list(checks)
    columns = [
        text("name", head, widths[0]),
        text("status", "Status", widths[1]),
        text("value", answer, widths[2]),
        text("threshold", "Expected", widths[3]),
        said("Advice", lambda c: c["advice"] and message("{advice:sentence}", **c), "l", widths[4]),
    ]
    made = listing(map(vars, asked), columns, strong=lambda c: c["status"] == standing_out, filled=True)
    return replace(made, checks=asked)


def _text(item: Any) -> Text:
    return item if isinstance(item, Text) else "" if item is None else str(item)


def checks_of(rows: Iterable[Record], key: str) -> list[Check]:
    """Rows of an audit as checks: `key` names what was asked, evidence what was found."""
    return [Check(row[key], row["status"], row["evidence"], row["advice"]) for row in rows]
