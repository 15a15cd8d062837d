"""Numbers as people write them: which mark begins the decimals, and which only parts the thousands.

A cell alone may tell (`1.200,50`, `0,5`, `1 200 000`) or not: in `1.200` the point may be either. What is told by one
cell holds for the file, as one program wrote it; where no cell tells, the file is refused with the key that settles it.

    1200.50   1200,50   1 200,50   1.200,50   1,200.50   1'200.50   € 1 200,50   1 200,50 EUR   -5   (5)   1.2E+05
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from forecast.bounds import MOST
from forecast.errors import DataError
from forecast.read.ask import Ask
from forecast.read.cells import Grid, cells_problem
from forecast.read.titles import CODES
from forecast.words import Text, message

SIGNS = {
    "€": "EUR",
    "$": "USD",
    "£": "GBP",
    "¥": "JPY",
    "₹": "INR",
    "zł": "PLN",
    "US$": "USD",
}  # kr: of four countries
_CURRENCY = rf"(?:US\$|[€$£¥₹]|zł|kr\.?|(?:{'|'.join(CODES)})\b)"
_PARTS = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[-+])?\s*(?P<before>{_CURRENCY})?\s*(?P<inner>[-+])?\s*"
    rf"(?P<body>(?:\d[\d .,']*)?\d(?:[.,](?=\s|$|\)|[^\d\s.,]))?|[.,]\d+|\d)(?P<power>[eE][-+]?\d+)?"
    rf"\s*(?P<after>{_CURRENCY})?\s*(?P<percent>%)?\s*(?P<trailing>-)?\s*(?P<close>\))?",
    re.IGNORECASE,
)
_SPACES = re.compile(r"[^\S\n\r\t\v\f]+")  # line breaks and tabs part two numbers, not thousands
_EVEN = re.compile(r"[.,]-$|:-$")  # "1.200,-": nothing behind the comma
_GROUPED = re.compile(r"\d{1,3}(?:([ '])\d{3})(?:\1\d{3})*(?:[.,]\d*)?")
_WORDS = {"nan", "inf", "infinity"}
TOO_LARGE = "expected a number below 1e15; correct it, or leave the cell empty where the value is not known"
ERRORS = (
    "#REF!",
    "#N/A",
    "#VALUE!",
    "#DIV/0!",
    "#NAME?",
    "#NUM!",
    "#NULL!",
    "#SPILL!",
    "#CALC!",
    "#GETTING_DATA",
)
UNCALCULATED = "(formula without a value)"
FORMULA_CELL = (
    "holds a formula that no program has calculated; open the workbook in Excel and save it, and read it then"
)
NOT_A_NUMBER = "write plain numbers such as 1200.50 and leave a cell empty where the value is not known"
ERROR_CELL = (
    "holds an error of the spreadsheet; mend its formula, or empty the cell where the value is not known"
)
ERROR_NAME = "holds an error of the spreadsheet, and a name is needed; mend its formula, or write the name"


@dataclass(frozen=True)
class NumberForm:
    """The mark that begins the decimals, and those that may part groups of three digits before it."""

    decimal: str = "."
    thousands: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()  # thousands marks that came

    def said(self) -> Text:
        """The form in words."""
        mark = message("decimal point") if self.decimal == "." else message("decimal comma")
        if not self.seen:
            return mark
        names = {
            ".": message("point"),
            ",": message("comma"),
            " ": message("space"),
            "'": message("apostrophe"),
        }
        parts = [names[each] for each in sorted(self.seen)]
        either = parts[0] if len(parts) == 1 else message("{one} or {other}", one=parts[:-1], other=parts[-1])
        return message("{mark}, thousands by {parts}", mark=mark, parts=either)

    @property
    def plain(self) -> bool:
        """Whether it is how programs write numbers."""
        return self.decimal == "." and not self.seen


PLAIN = NumberForm()


@dataclass(frozen=True)
class Written:
    """A cell taken apart: the digits with their marks, and what stands around them."""

    body: str
    negative: bool
    power: str = ""
    percent: bool = False
    currency: str | None = None


def taken_apart(text: str) -> Written | None:
    r"""The parts of a number as it is written; None where it is none.

    >>> taken_apart("1\u00a0200,50 €")
    Written(body='1 200,50', negative=False, power='', percent=False, currency='EUR')
    """
    if not text.isascii() and any(unicodedata.category(sign) == "No" for sign in text):
        return None  # "1200¹": the mark of a footnote is no digit
    plain = unicodedata.normalize("NFKC", text).translate(_SAME).strip()
    plain = _EVEN.sub("", _SPACES.sub(" ", plain))
    found = _PARTS.fullmatch(plain)
    if found is None or bool(found["open"]) != bool(found["close"]) or (found["before"] and found["after"]):
        return None
    signs = [found["sign"], found["inner"], found["trailing"]]
    if sum(sign is not None for sign in signs) + bool(found["open"]) > 1:
        return None
    sign = (found["before"] or found["after"] or "").upper()
    currency = (
        SIGNS.get(sign) or SIGNS.get(sign.lower()) or (sign if sign in CODES else sign.rstrip(".") or None)
    )
    negative = "-" in signs or found["open"] is not None
    return Written(found["body"].strip(), negative, found["power"] or "", bool(found["percent"]), currency)


_SAME = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{PRIME}": "'",
        "`": "'",
        "´": "'",
    }
)


def value_of(text: str, form: NumberForm) -> float | None:
    """The number that a cell holds, written in a form; None where it does not fit. Percent signs are not read.

    >>> value_of("1.200,50", NumberForm(",", frozenset(".")))
    1200.5
    """
    parts = taken_apart(text)
    if parts is None or parts.percent:
        return None
    whole, mark, decimals = parts.body.partition(form.decimal)
    if mark and not decimals.isdigit() and decimals:
        return None
    groups = re.split(r"[ .,']", whole)
    marks = set(re.findall(r"[ .,']", whole))
    if len(marks) > 1 or not marks <= form.thousands:
        return None
    if marks and (not 1 <= len(groups[0]) <= 3 or any(len(group) != 3 for group in groups[1:])):
        return None
    if not whole and not decimals:
        return None
    value = float(f"{''.join(groups) or '0'}.{decimals or '0'}{parts.power}")
    return -value if parts.negative else value


@dataclass
class _Votes:
    """What the cells of a file tell of its marks."""

    decimal: Counter[str] = field(default_factory=Counter)
    thousands: Counter[str] = field(default_factory=Counter)
    unsure: Counter[str] = field(default_factory=Counter)
    first: dict[tuple[str, str], tuple[str, int, str]] = field(
        default_factory=dict
    )  # (role, mark): where, what

    def add(self, column: str, row: int, text: str, n: int = 1) -> None:
        """Count what one cell tells."""
        parts = taken_apart(text)
        if parts is None:
            return
        for role, mark in _told(parts):
            getattr(self, role)[mark] += n
            self.first.setdefault((role, mark), (column, row, text))


def _told(parts: Written) -> Iterable[tuple[str, str]]:
    """What one number tells: (decimal, thousands or unsure, mark)."""
    marks = re.findall(r"[ .,']", parts.body)
    if _GROUPED.fullmatch(parts.body):
        yield "thousands", marks[0]
    either = [mark for mark in marks if mark in ".,"]
    if not either:
        return
    last = either[-1]
    if len(set(either)) == 2:
        yield "decimal", last
        yield "thousands", either[0]
        return
    if len(either) > 1:
        yield "thousands", last
        return
    whole, _, decimals = parts.body.partition(last)
    if (
        " " in whole
        or "'" in whole
        or len(decimals) != 3
        or not 1 <= len(whole) <= 3
        or whole == "0"
        or parts.power
    ):
        yield "decimal", last
    else:
        yield "unsure", last


def form_of(columns: Mapping[str, Iterable[tuple[int, str]]], ask: Ask, file: str) -> NumberForm:
    """The form of the numbers of a file, from its text cells by column (row, text).

    Raises DataError where the cells tell nothing or opposite things, and the study does not say.
    """
    votes = _Votes()
    for column, cells in columns.items():
        for row, text in cells:
            votes.add(column, row, text)
    return _settled(votes, ask, file)


def _settled(votes: _Votes, ask: Ask, file: str) -> NumberForm:
    spec, seen = ask.spec, frozenset(votes.thousands)
    decimal: str | None = spec.decimal
    if decimal is None and spec.thousands in {".", ","}:
        decimal = "," if spec.thousands == "." else "."
    if decimal is None:
        for_mark = {mark: votes.decimal[mark] + votes.thousands["," if mark == "." else "."] for mark in ".,"}
        if all(for_mark.values()):
            raise DataError(_opposite(votes, ask, file))
        decimal = next((mark for mark, n in for_mark.items() if n), None)
        if decimal is None and votes.unsure:
            if len(votes.unsure) == 2:
                raise DataError(_opposite(votes, ask, file))
            mark = next(iter(votes.unsure))
            if spec.thousands is not None:  # none, or another one
                decimal = mark
            else:
                raise DataError(_unsettled(votes, mark, ask, file))
    elif (
        votes.decimal["," if decimal == "." else "."]
        and not votes.decimal[decimal] + votes.thousands["," if decimal == "." else "."]
    ):
        raise DataError(_against(votes, decimal, ask, file))
    decimal = decimal or "."
    known = frozenset(" .,'") - {decimal} if spec.thousands is None else frozenset(spec.thousands)
    return NumberForm(decimal, known, frozenset((set(seen) | set(votes.unsure)) & known))


def _against(votes: _Votes, decimal: str, ask: Ask, file: str) -> Text:
    """The message for numbers that are all written otherwise than the study says."""
    column, row, text = votes.first["decimal", "," if decimal == "." else "."]
    key = ask.place("thousands" if ask.spec.decimal is None else "decimal")
    said = (
        '{file}: column {column}: row {row} ("{text}"): decimals begin with a {mark} there, and {key} says otherwise; '
        "correct the key, or take it out."
    )
    mark = "comma" if decimal == "." else "point"
    return message(said, file=file, column=column, row=row, text=text, mark=mark, key=key)


def _unsettled(votes: _Votes, mark: str, ask: Ask, file: str) -> Text:
    column, row, text = votes.first["unsure", mark]
    digits = text.replace(mark, "")
    told = {"file": file, "column": column, "row": row, "text": text, "digits": digits, "mark": mark}
    return message(
        '{file}: column {column}: row {row} ("{text}"): the {name} may part thousands ({digits}) or begin decimals '
        '({point}), and no number of the file tells which; say which in the study: {thousands} = "{mark}" or '
        '{decimal} = "{mark}".',
        name="point" if mark == "." else "comma",
        point=text.replace(",", "."),
        thousands=ask.place("thousands"),
        decimal=ask.place("decimal"),
        **told,
    )


def _opposite(votes: _Votes, ask: Ask, file: str) -> Text:
    """The message for numbers that are written in two ways."""
    cells = []
    for mark in ".,":
        other = "," if mark == "." else "."
        told = next(
            votes.first[key]
            for key in (("decimal", mark), ("thousands", other), ("unsure", mark))
            if key in votes.first
        )
        column, row, text = told
        cells.append(message('column {column}, row {row} ("{text}")', column=column, row=row, text=text))
    said = (
        "{file}: numbers are written in two ways: {cells}; write them in one way, or say which holds: {key}."
    )
    return message(said, file=file, cells=cells, key=ask.place("decimal"))


# --------------------------------------------------------------------------------------------------------- columns


def number_form(grid: Grid, positions: Sequence[int], ask: Ask) -> NumberForm:
    """The form of the numbers in some columns of a grid. Raises DataError where it is not clear."""
    return form_of(grid.texts(positions), ask, grid.file)


@dataclass(frozen=True)
class Numbers:
    """A column as floats (NaN: empty), what is wrong with it, the currency that each cell or the title names, bad rows.

    currencies: codes such as "EUR", or a sign that several share ("kr", "$" as USD); "" where none is named.
    """

    values: NDArray[np.float64]
    problems: list[Text]
    currencies: NDArray[np.object_]
    bad: frozenset[int] = frozenset()  # row numbers


def to_numbers(
    grid: Grid, position: int, column: str, *, whole: bool, form: NumberForm = PLAIN, signed: bool = False
) -> Numbers:
    """A column as numbers. Wrong are: texts, errors, percentages, NaN, negatives (unless `signed`), broken counts."""
    values = np.full(len(grid.rows), np.nan)
    scale = micros(grid.header[position])
    bad: dict[str, list[tuple[int, object]]] = {
        key: [] for key in ("error", "formula", "text", "percent", "nan", "huge", "negative", "broken")
    }
    currencies = np.full(len(grid.rows), title_currency(grid.header[position]), dtype=object)
    for i, cell in enumerate(grid.column(position)):
        if cell is None:
            continue
        value = _number(cell, form)
        if value is None:
            key = wrong_kind(cell)
            bad[key].append((grid.numbers[i], cell if isinstance(cell, str) else str(cell)))
        elif not math.isfinite(value):
            bad["nan"].append((grid.numbers[i], str(cell)))
        elif abs(value) >= MOST:
            bad["huge"].append((grid.numbers[i], cell))
        elif value < 0 and not signed:
            bad["negative"].append((grid.numbers[i], cell))
        elif whole and value != round(value):
            bad["broken"].append((grid.numbers[i], cell))
        else:
            values[i] = value * scale
            if isinstance(cell, str) and (money := currency_in(cell)):
                currencies[i] = money
    rules = _rules(column, form)
    problems: list[Text] = [cells_problem(grid.file, column, bad[key], rules[key]) for key in bad if bad[key]]
    rows = frozenset(row for found in bad.values() for row, _ in found)
    return Numbers(values, problems, currencies, rows)


def wrong_kind(cell: object) -> str:
    """What a cell is that holds no number: "error", "formula", "percent" or "text"."""
    text = str(cell).strip()
    if text.upper() in ERRORS:
        return "error"
    return "formula" if text == UNCALCULATED else "percent" if text.endswith("%") else "text"


def _rules(column: str, form: NumberForm) -> dict[str, Text]:
    written = message(" (the other numbers have a {form})", form=form.said()) if not form.plain else ""
    return {
        "error": ERROR_CELL,
        "formula": FORMULA_CELL,
        "text": message("expected a number{written}; {remedy}", written=written, remedy=NOT_A_NUMBER),
        "percent": "is a percentage, and an amount is needed; write the number that it is a share of",
        "nan": "expected a number; leave a cell empty where the value is not known",
        "huge": TOO_LARGE,
        "negative": "expected 0 or more; correct it, or leave the cell empty where the value is not known",
        "broken": message(
            "expected whole numbers, because {column} are counted; round them where they were shared out",
            column=column,
        ),
    }


def micros(title: str) -> float:
    """What one unit of a column is worth: ad platforms write costs in millionths, and say so in the title."""
    return 1e-6 if "micros" in title.lower() else 1.0


def title_currency(title: str) -> str:
    """The currency that a title names: "Spend (USD)", "Umsatz in EUR", "Kulut, €"; "" where it names none.

    >>> title_currency("Mainoskulut (€)"), title_currency("spend_usd"), title_currency("Spend")
    ('EUR', 'USD', '')
    """
    words = [word for word in re.split(r"[\s()\[\]_,;:/]+", title) if word]
    found = {SIGNS.get(word, word) for word in words if word in SIGNS or word in CODES}
    if words and words[-1].upper() in CODES and words[-1] != "try":
        found.add(words[-1].upper())
    return next(iter(found)) if len(found) == 1 else ""


def currency_in(text: str) -> str | None:
    """The currency that a cell names beside its number."""
    parts = taken_apart(text) if not text.isdigit() else None
    return parts.currency if parts else None


def _number(cell: object, form: NumberForm) -> float | None:
    """The number in a cell; NaN for one that says so in a word; None for anything else."""
    if isinstance(cell, bool | date):
        return None
    if isinstance(cell, int | float):
        return float(cell)
    text = str(cell)
    if text.isdecimal() and text.isascii():
        return float(text)
    value = value_of(text, form)
    if value is not None:
        return value
    return math.nan if text.lower().lstrip("+-") in _WORDS else None
