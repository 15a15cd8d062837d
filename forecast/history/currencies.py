"""Money in one currency: converted where the study has rates, refused where several stand in one column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.checks import REVIEW, Check
from forecast.errors import DataError
from forecast.read import Grid, cells_problem
from forecast.words import Text, message

NO_CURRENCY = ""
OTHER_WAY = 'Set currency = "{other}", or say what one unit is worth: history.exchange = {{ {other} = ... }}.'
SHARED = {
    "KR": ("SEK", "NOK", "DKK", "ISK"),
    "USD": ("USD", "CAD", "AUD", "NZD", "SGD", "HKD"),
    "JPY": ("JPY", "CNY"),
}
# a sign that several currencies have: kr, $ and ¥ stand for the study's own where it is one of them


@dataclass(frozen=True)
class Amounts:
    """The rows of a column of money that are in one currency, and their sum in it."""

    n: int
    total: float


@dataclass(frozen=True)
class Conversion:
    """What is done to a column of money.

    rates: what one unit of each currency in it is worth in the study's; empty where nothing is converted. note: what
    was done, to be said. other: the one currency of the column, where that is not the study's and is not converted.
    """

    rates: Mapping[str, float]
    note: Text = ""
    other: str = ""


def currency_of(cell: object) -> str:
    """A currency as it is compared.

    >>> currency_of(" sek ")
    'SEK'
    """
    return NO_CURRENCY if cell is None else str(cell).strip().upper()


def conversion(
    amounts: Mapping[str, Amounts],
    *,
    currency: str,
    exchange: Mapping[str, float],
    file: str,
    column: str,
    remedy: Text,
) -> Conversion:
    """How the amounts of a column come into the study's currency; `amounts` by the currency of their rows.

    Raises DataError where several currencies stand in it, or one has no rate: with counts, sums and the ways out
    (`remedy` is the one that the kind of file has).
    """
    own, there = currency_of(currency), {name: found for name, found in amounts.items() if found.n}
    named = [name for name in there if name != NO_CURRENCY]
    rates = {own: 1.0} | {currency_of(name): rate for name, rate in exchange.items()}
    told: dict[str, Any] = {
        "file": file,
        "column": column,
        "currency": currency,
        "found": _listed(there),
        "remedy": remedy,
    }
    half = (
        len(named) == 1 and named != [own] and NO_CURRENCY in there
    )  # the others are in the study's, it seems
    if len(named) > 1 or half or any(currency_of(name) in named for name in exchange):
        if absent := [name for name in named if name not in rates]:
            told |= {"absent": absent, "rates": ", ".join(f"{name} = ..." for name in absent)}
            if exchange:
                text = (
                    "{file}: column {column}: no rate for {absent}; its rows are in {found:list.8}; add to "
                    "history.exchange what one unit is worth in {currency}: {rates}."
                )
                raise DataError(message(text, **told))
            text = (
                "{file}: column {column}: its rows are in more than one currency: {found:list.8}; {remedy}, or say "
                "what one unit is worth in {currency}: history.exchange = {{ {rates} }}, or export one currency."
            )
            raise DataError(message(text, **told))
        used = {name: rates[name] for name in named}
        shown = [
            message("1~{name} = {rate:given}~{currency}", name=name, rate=rate, currency=currency)
            for name, rate in used.items()
            if name != own
        ]
        return Conversion(used, message("{column}: converted, {shown}: {found}", shown=shown, **told))
    if named and named != [own]:
        note = message("{column}: all in {other}, read as {currency}: {found}", other=named[0], **told)
        return Conversion({}, note, named[0])
    return Conversion({})


def _listed(amounts: Mapping[str, Amounts]) -> list[Text]:
    rows = "{name} ({n:whole} rows, sum {total:whole})"
    return [
        message(
            "{name} (1 row, {total:whole})" if found.n == 1 else rows,
            name=name or "no currency",
            n=found.n,
            total=found.total,
        )
        for name, found in sorted(amounts.items(), key=lambda item: -item[1].n)
    ]


def converted_titles(header: Iterable[str]) -> list[str]:
    """Columns that look as if they held money in one currency, by their titles."""
    words = ("converted", "company currency", "home currency", "base currency")
    titles = [title.strip() for title in header]
    return [
        title
        for title in titles
        if any(word in title.casefold() for word in words)
        and not title.casefold().endswith("(converted) currency")
    ]


def in_one_currency(
    grid: Grid,
    found: Mapping[str, int],
    values: dict[str, NDArray[np.float64]],
    named: Mapping[str, NDArray[np.object_]],
    currency: str,
    exchange: Mapping[str, float],
    *,
    mapped: bool = True,
) -> tuple[list[Text], list[Check], list[Text]]:
    """Bring the money of a table into the study's currency, where it is told which it is in.

    Returns what was done; what to look at: money in another currency that is read as the study's; and problems.

    A column of currencies tells it of each row; without one, what the cells or the title of a column name (`named`, by
    measure, "" where nothing is). `values` by measure are changed where they are converted. mapped: whether the study
    may name another column.
    """
    column = None
    if "currency" in found:
        column = np.array([currency_of(cell) for cell in grid.column(found["currency"])], dtype=object)
    notes: list[Text] = []
    other_money: list[Check] = []
    problems: list[Text] = []
    alone: dict[str, str] = {}
    for name in [name for name in named if name in values]:
        names = column
        if names is None:
            names = np.array([own_sign(str(each), currency) for each in named[name]], dtype=object)
            if not names.astype(bool).any():
                continue
        cells, title = values[name], grid.title(found[name])
        there = np.isfinite(cells) & (cells != 0)
        of_name = {str(each): there & (names == each) for each in sorted(set(names))}
        amounts = {
            each: Amounts(int(where.sum()), float(cells[where].sum())) for each, where in of_name.items()
        }
        said = 'map a column of one currency (history.columns.{name} = "...")'
        remedy = message(said if mapped else "call a column of one currency {name}", name=name)
        try:
            converted = conversion(
                amounts, currency=currency, exchange=exchange, file=grid.file, column=title, remedy=remedy
            )
        except DataError as error:
            problems += error.problems
            continue
        alone[grid.title(found[name])] = converted.other or currency_of(currency)
        if converted.rates and "currency" in found:
            bare = there & (names == NO_CURRENCY)
            nameless = [(int(grid.numbers[i]), None) for i in np.flatnonzero(bare)]
            rule = "is empty where there is an amount; name its currency"
            if nameless:
                problems.append(cells_problem(grid.file, grid.title(found["currency"]), nameless, rule))
        if converted.rates:
            values[name] = cells * np.array([converted.rates.get(str(each), 1.0) for each in names])
        if converted.other:
            advice = message(OTHER_WAY, other=converted.other)
            other_money.append(Check("Currency of the data", REVIEW, converted.note, advice))
        elif converted.note:
            notes.append(converted.note)
    if len(set(alone.values())) > 1 and not exchange:
        problems.append(_differing(grid.file, alone, currency))
    return notes, other_money, problems


def _differing(file: str, alone: Mapping[str, str], currency: str) -> Text:
    """The message for columns that are each in one currency, and not all in the same."""
    said = (
        "{file}: columns in different currencies ({found}); export them in one, or say what one unit is worth in "
        "{currency}: history.exchange = {{ {other} = ... }}."
    )
    told = [message("{title} in {name}", title=title, name=name) for title, name in alone.items()]
    other = next(name for name in alone.values() if name != currency_of(currency))
    return message(said, file=file, found=told, currency=currency, other=other)


def own_sign(name: str, currency: str) -> str:
    """A currency as it is compared; a sign that several share stands for the study's own where it may.

    >>> own_sign("kr", "SEK"), own_sign("USD", "CAD"), own_sign("USD", "EUR")
    ('SEK', 'CAD', 'USD')
    """
    code, own = currency_of(name), currency_of(currency)
    return own if own in SHARED.get(code, ()) else code
