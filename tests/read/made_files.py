"""Files of two made companies, one truth written in every way that people write such files.

A `Made` says how: company and table, titles, marks of numbers, form of dates, container, encoding, delimiter, line ends
and layout. `design` picks a few hundred of them so that any two choices meet in a file; `write` writes one; `plain` is
the file that each of them must read the same as.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import xlsxwriter

from forecast.study import Study

NBSP, NARROW = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"
EXCEL_ZERO = dt.date(1899, 12, 30)
Cell = str | int | Decimal | dt.date | None
Rows = list[list[Any]]

# ---------------------------------------------------------------------------------------------------------- the truth


@dataclass(frozen=True)
class Company:
    """Its channels (with letters beyond ASCII), and its currency by code and sign."""

    channels: tuple[str, str, str]
    code: str
    sign: str
    seed: int


COMPANIES = {
    "fi": Company(("hakukoneoptimointi", "maksullinen mainonta", "sähköpostimarkkinointi"), "EUR", "€", 1),
    "en": Company(("Café partners", "Organic search", "Paid search"), "GBP", "£", 2),
}
COUNTED = ("period", "channel", "spend", "visitors", "leads", "qualified", "won", "revenue")
LEAD = ("lead_id", "channel", "created", "qualified", "won", "lost", "amount")
MONEY = {"spend", "revenue", "amount"}


def _starts(table: str) -> list[dt.date]:
    """First days of 14 months or weeks, over a turn of the year."""
    if table == "week":
        return [dt.date(2025, 11, 10) + dt.timedelta(weeks=i) for i in range(14)]
    return [dt.date(2025 + i // 12, 1 + i % 12, 1) for i in range(14)]


def _amount(rng: np.random.Generator, low: int, high: int, whole: bool) -> Decimal:
    """Money with cents that are not all zero; to the unit where the file shows no cents."""
    return (
        Decimal(int(rng.integers(low, high)))
        if whole
        else Decimal(int(rng.integers(100 * low, 100 * high))) / 100
    )


@cache
def truth(company: str, table: str, whole: bool) -> dict[str, tuple[tuple[str, ...], Rows]]:
    """Columns (by our names) and rows of each file of a company.

    table: "month" or "week" (one file of counts), or "leads" (leads one by one, and activity by month). whole: money to
    the unit.
    """
    made, rng = COMPANIES[company], np.random.default_rng(COMPANIES[company].seed)
    rows: Rows = []
    for start, (k, channel) in itertools.product(_starts(table), enumerate(made.channels)):
        visitors = int(rng.integers(700 + 300 * k, 1100 + 600 * k))
        leads = int(rng.integers(20, 40))
        qualified, won = int(rng.integers(8, 18)), int(rng.integers(0, 6))
        spend, revenue = _amount(rng, 700, 1800 + 900 * k, whole), _amount(rng, 1100, 3900, whole) * won
        rows.append([start, channel, spend, visitors, leads, qualified, won, revenue])
    if table != "leads":
        return {"counts": (COUNTED, rows)}
    return {"leads": (LEAD, _leads(made, rng, whole)), "activity": (COUNTED[:4], [row[:4] for row in rows])}


def _leads(made: Company, rng: np.random.Generator, whole: bool) -> Rows:
    rows: Rows = []
    for i in range(90):
        created = dt.date(2025, 1, 2) + dt.timedelta(days=round(4.6 * i))
        row: list[Any] = [
            f"L{i:03d}",
            made.channels[rng.integers(3)],
            created,
            *(None,) * 3,
            None,
        ]
        if rng.random() < 0.6:
            row[3] = created + dt.timedelta(days=int(rng.integers(1, 25)))
            ended = row[3] + dt.timedelta(days=int(rng.integers(1, 60)))
            if ended < dt.date(2026, 3, 1) and rng.random() < 0.7:
                won = rng.random() < 0.5
                row[4 if won else 5] = ended
                row[6] = _amount(rng, 900, 9000, whole) if won else None
        rows.append(row)
    return rows


# ------------------------------------------------------------------------------------------------------- how to write


@dataclass(frozen=True)
class Marks:
    """A way to write numbers: its marks, and what stands before and after money. whole: no cents are shown."""

    decimal: str
    thousands: str = ""
    before: str = ""
    after: str = ""
    whole: bool = False
    ambiguous: bool = False


NUMBERS = {
    "1200.50": Marks("."),
    "1200,50": Marks(","),
    "1 200,50": Marks(",", " "),
    "1_200,50": Marks(",", NBSP),
    "1~200,50": Marks(",", NARROW),
    "1.200,50": Marks(",", "."),
    "1,200.50": Marks(".", ","),
    "1'200.50": Marks(".", "'"),
    "1’200.50": Marks(".", "’"),
    "1_200,50_sign": Marks(",", NBSP, after=NBSP + "{sign}"),
    "sign1,200.50": Marks(".", ",", before="{sign}"),
    "1.200,50 code": Marks(",", ".", after=" {code}"),
    "code 1200.50": Marks(".", before="{code} "),
    "1_200": Marks(",", NBSP, whole=True),
    "1.200": Marks(",", ".", whole=True, ambiguous=True),
    "1,200": Marks(".", ",", whole=True, ambiguous=True),
}

_MONTHS = {
    "en": (
        "January February March April May June July August September October November December",
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    ),
    "fi": (
        "tammikuu helmikuu maaliskuu huhtikuu toukokuu kesäkuu heinäkuu elokuu syyskuu lokakuu marraskuu joulukuu",
        "tammi helmi maalis huhti touko kesä heinä elo syys loka marras joulu",
    ),
    "sv": (
        "januari februari mars april maj juni juli augusti september oktober november december",
        "jan feb mars apr maj juni juli aug sep okt nov dec",
    ),
    "de": (
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "Jan Feb Mär Apr Mai Jun Jul Aug Sep Okt Nov Dez",
    ),
}


def _named(language: str, short: bool) -> Callable[[dt.date], str]:
    names = _MONTHS[language][short].split()
    return lambda day: f"{names[day.month - 1]} {day.year}"


@dataclass(frozen=True)
class Dates:
    """A way to write days or months: for which tables, and the order of day and month where it must be asked for."""

    write: Callable[[dt.date], str]
    tables: tuple[str, ...] = ("month",)
    order: str = ""
    header: bool = True  # may be the title of a column


ANY = ("month", "week", "leads")
DATES = {
    "2026-03-01": Dates(dt.date.isoformat, ANY),
    "1.3.2026": Dates(lambda d: f"{d.day}.{d.month}.{d.year}", ANY, "dmy"),
    "01.03.2026": Dates(lambda d: f"{d:%d.%m.%Y}", ANY, "dmy"),
    "us": Dates(lambda d: f"{d.month}/{d.day}/{d.year}", ANY, "mdy"),
    "gb": Dates(lambda d: f"{d.day}/{d.month}/{d.year}", ANY, "dmy"),
    "20260301": Dates(lambda d: f"{d:%Y%m%d}", ANY, header=False),
    "serial": Dates(lambda d: str((d - EXCEL_ZERO).days), ANY, header=False),
    "2026-03": Dates(lambda d: f"{d:%Y-%m}"),
    "3/2026": Dates(lambda d: f"{d.month}/{d.year}"),
    "03/2026": Dates(lambda d: f"{d:%m/%Y}"),
    "3.2026": Dates(lambda d: f"{d.month}.{d.year}"),
    "2026/03": Dates(lambda d: f"{d:%Y/%m}"),
    "Mar 2026": Dates(_named("en", True)),
    "March 2026": Dates(_named("en", False)),
    "maaliskuu 2026": Dates(_named("fi", False)),
    "maalis 2026": Dates(_named("fi", True)),
    "mars 2026": Dates(_named("sv", False)),
    "März 2026": Dates(_named("de", False)),
    "2026-W09": Dates(lambda d: "{}-W{:02d}".format(*d.isocalendar()), ("week",)),
}
DAY_FORMS = {
    "2026-03-01",
    "1.3.2026",
    "01.03.2026",
    "us",
    "gb",
}  # a typed cell holds a day, whatever it shows

TITLES = {  # by language: of counts and activity, then of leads
    "ours": {name: name for name in (*COUNTED, *LEAD)},
    "en": {
        "period": "Month", "channel": "Channel", "spend": "Cost", "visitors": "Sessions", "leads": "Leads",
        "qualified": "SQL", "won": "Deals", "revenue": "Revenue", "measure": "Metric",
        "lead_id": "Lead ID", "created": "Created", "lost": "Lost", "amount": "Amount",
        "leads:qualified": "Qualified", "leads:won": "Won",
    },
    "fi": {
        "period": "Kuukausi", "channel": "Kanava", "spend": "Kustannus", "visitors": "Kävijät", "leads": "Liidit",
        "qualified": "Kvalifioidut", "won": "Kaupat", "revenue": "Liikevaihto", "measure": "Mittari",
        "lead_id": "Liidin tunnus", "created": "Luotu", "lost": "Hävitty", "amount": "Summa",
        "leads:qualified": "Kvalifioitu", "leads:won": "Voitettu",
    },
    "sv": {
        "period": "Månad", "channel": "Kanal", "spend": "Kostnad", "visitors": "Besökare", "leads": "Leads",
        "qualified": "Kvalificerade", "won": "Affärer", "revenue": "Omsättning", "measure": "Mått",
        "lead_id": "Lead-id", "created": "Skapad", "lost": "Förlorad", "amount": "Belopp",
        "leads:qualified": "Kvalificerad", "leads:won": "Vunnen",
    },
    "de": {
        "period": "Monat", "channel": "Kanal", "spend": "Kosten", "visitors": "Besucher", "leads": "Leads",
        "qualified": "Qualifiziert", "won": "Abschlüsse", "revenue": "Umsatz", "measure": "Kennzahl",
        "lead_id": "Lead-ID", "created": "Erstellt", "lost": "Verloren", "amount": "Betrag",
        "leads:qualified": "Qualifiziert", "leads:won": "Gewonnen",
    },
}  # fmt: skip
TITLES["ours"]["measure"] = "measure"
WEEK = {"en": "Week", "fi": "Viikko", "sv": "Vecka", "de": "Woche"}


@dataclass(frozen=True)
class Made:
    """How a file is written. encoding, delimiter and ends are those of a CSV; "-" elsewhere."""

    company: str
    table: str
    titles: str
    numbers: str
    dates: str
    container: str
    cells: str
    encoding: str
    delimiter: str
    ends: str
    layout: str

    def __str__(self) -> str:
        return "|".join(MARK.get(value, value) for value in vars(self).values() if value != "-")

    @property
    def open_keys(self) -> dict[str, str]:
        """Keys of `[history.read]` that nothing in the file settles: the reader may ask for them; and the answers."""
        keys = {}
        marks, dates = NUMBERS[self.numbers], DATES[self.dates]
        if marks.ambiguous and self.cells == "text":
            keys |= {"decimal": marks.decimal, "thousands": marks.thousands}
        if self.dates in {"us", "gb"} and self.cells == "text" and self.table != "week":
            keys |= {"dates": dates.order}  # all months begin on the first: 3/1/2026 may be a day in January
        return keys


FACTORS: dict[str, tuple[str, ...]] = {
    "company": tuple(COMPANIES),
    "table": ("month", "week", "leads"),
    "titles": tuple(TITLES),
    "numbers": tuple(NUMBERS),
    "dates": tuple(DATES),
    "container": ("csv", "sheet", "titled sheet", "sheet inside", "hidden sheet", "1904", "parquet"),
    "cells": ("text", "typed"),
    "encoding": ("utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "cp1252", "latin-1", "-"),
    "delimiter": (",", ";", "\t", "|", "-"),
    "ends": ("LF", "CRLF", "CR", "mixed", "-"),
    "layout": ("long", "across", "framed", "broken titles"),
}
MARK = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}


def possible(made: Made) -> bool:
    """Whether there is such a file."""
    text, dates = made.container == "csv", DATES[made.dates]
    written = (made.encoding, made.delimiter, made.ends)
    return all(
        (
            "-" not in written if text else set(written) == {"-"},
            made.cells == "text" or not text,
            made.table in dates.tables,
            # a number that is no date cell counts from 1904 there: a question of its own
            made.container != "1904" or made.dates != "serial",
            made.layout != "across" or (made.table != "leads" and dates.header),
            made.layout != "framed" or made.container != "parquet",
            made.encoding not in {"cp1252", "latin-1"} or _encodable(made),
        )
    )


def _encodable(made: Made) -> bool:
    """Whether the encoding has the signs of the numbers."""
    marks, company = NUMBERS[made.numbers], COMPANIES[made.company]
    signs = marks.thousands + (marks.before + marks.after).format(sign=company.sign, code=company.code)
    try:
        signs.encode(made.encoding)
    except UnicodeEncodeError:
        return False
    return True


@cache
def design(seed: int = 0) -> tuple[Made, ...]:
    """Files in which any two choices that can meet do meet, found greedily; the same ones each time."""
    rng, names = np.random.default_rng(seed), [f.name for f in fields(Made)]
    open_pairs = {
        (a, x, b, y)
        for a, b in itertools.combinations(names, 2)
        for x, y in itertools.product(FACTORS[a], FACTORS[b])
    }
    queue, found = sorted(open_pairs), []
    for pair in queue:
        if pair not in open_pairs:
            continue
        if (first := completed(pair, rng)) is not None:
            candidates = [first, *(made for _ in range(7) if (made := completed(pair, rng)) is not None)]
            best = max(candidates, key=lambda made: len(pairs_of(made) & open_pairs))
            open_pairs -= pairs_of(best)
            found.append(best)
    return tuple(found)


def pairs_of(made: Made) -> set[tuple[str, str, str, str]]:
    """Each two choices of a file."""
    return {(a, x, b, y) for (a, x), (b, y) in itertools.combinations(vars(made).items(), 2)}


def completed(pair: tuple[str, str, str, str], rng: np.random.Generator) -> Made | None:
    """A possible file with these two choices, the others by chance; None where there seems to be none."""
    a, x, b, y = pair
    for _ in range(40):
        choice = {name: values[rng.integers(len(values))] for name, values in FACTORS.items()} | {a: x, b: y}
        csv_asked = choice["container"] == "csv" and "container" in pair[::2]
        csv_asked |= any(choice[n] != "-" and n in pair[::2] for n in ("encoding", "delimiter", "ends"))
        if csv_asked or (rng.random() < 0.5 and not {"container", "encoding", "delimiter", "ends"} & {a, b}):
            defaults = {"container": "csv", "cells": "text"}
        else:
            defaults = {"encoding": "-", "delimiter": "-", "ends": "-"}
        tables = DATES[choice["dates"]].tables
        defaults |= {"table": tables[rng.integers(len(tables))]}
        choice |= {name: value for name, value in defaults.items() if name not in (a, b)}
        made = Made(**choice)
        if possible(made):
            return made
    return None


# -------------------------------------------------------------------------------------------------------- the writing


def plain(made: Made) -> Made:
    """The file that holds the same and cannot be read wrongly."""
    numbers = "1200.50"
    return replace(
        made, titles="ours", numbers=numbers, dates="2026-03-01", container="csv", cells="text", encoding="utf-8",
        delimiter=",", ends="LF", layout="long",
    )  # fmt: skip


def write(folder: Path, made: Made, *, whole: bool | None = None) -> Study:
    """Write the files of a company and give the study that names them, without any key of `[history.read]`."""
    whole = NUMBERS[made.numbers].whole if whole is None else whole
    files, columns = {}, {}
    for role, (names, rows) in truth(made.company, made.table, whole).items():
        header = [_title(made, role, name) for name in names]
        if made.layout == "broken titles":
            money = next(i for i, name in enumerate(names) if name in MONEY)
            columns[names[money]] = f"{header[money]} (EUR)"
            header[money] += "\n(EUR)"
        if made.layout == "across":
            header, body = _across(made, header, names, rows)
        else:
            body = [[(name, cell) for name, cell in zip(names, row, strict=True)] for row in rows]
        path = folder / f"{role}{_suffix(made)}"
        _write_file(path, made, header, body)
        files[role] = path.name
    history = {**files, "period": "week" if made.table == "week" else "month", "columns": columns}
    return study_of(folder, history, COMPANIES[made.company].code)


def study_of(folder: Path, history: dict[str, Any], currency: str = "EUR") -> Study:
    """A study over files in the folder."""
    return Study.model_validate({"name": "x", "currency": currency, "history": history, "folder": folder})


def with_keys(study: Study, keys: dict[str, str]) -> Study:
    """The same study with these keys of `[history.read]`."""
    given = study.history.model_dump(by_alias=True, exclude_unset=True)
    return study_of(study.folder, given | {"read": keys}, study.currency)


def _suffix(made: Made) -> str:
    return {"csv": ".csv", "parquet": ".parquet"}.get(made.container, ".xlsx")


def _title(made: Made, role: str, name: str) -> str:
    titles = TITLES[made.titles]
    if name == "period" and made.table == "week" and made.titles in WEEK:
        return WEEK[made.titles]
    return titles.get(f"{role}:{name}", titles[name])


def _across(made: Made, header: Sequence[str], names: Sequence[str], rows: Rows) -> tuple[list[Any], Any]:
    """A row for each channel and measure, a column for each period."""
    starts = sorted({row[0] for row in rows})
    cells = {(row[0], row[1], name): row[i] for row in rows for i, name in enumerate(names) if i > 1}
    channels = list(dict.fromkeys(row[1] for row in rows))
    body = [
        [("channel", channel), ("measure", title), *((name, cells[start, channel, name]) for start in starts)]
        for channel, (name, title) in itertools.product(channels, zip(names[2:], header[2:], strict=True))
    ]
    return [header[1], TITLES[made.titles]["measure"], *starts], body


def text_of(made: Made, name: str, cell: Cell) -> str:
    """A cell as the file writes it."""
    if cell is None:
        return ""
    if isinstance(cell, dt.date):
        return DATES[made.dates].write(cell)
    if isinstance(cell, str):
        return cell
    marks, company = NUMBERS[made.numbers], COMPANIES[made.company]
    decimals = 2 if name in MONEY and not marks.whole else 0
    said = f"{cell:,.{decimals}f}".translate({ord(","): marks.thousands, ord("."): marks.decimal})
    if name not in MONEY:
        return said
    before, after = (
        edge.format(sign=company.sign, code=company.code) for edge in (marks.before, marks.after)
    )
    return before + said + after


def _write_file(
    path: Path, made: Made, header: Sequence[Any], body: Sequence[Sequence[tuple[str, Any]]]
) -> None:
    if made.container == "csv":
        _write_csv(path, made, header, body)
    elif made.container == "parquet":
        _write_parquet(path, made, header, body)
    else:
        _write_book(path, made, header, body)


BEFORE = (("# ---------",), ("Report: marketing",), ())
AFTER = ((), ("Source: own records",))


def _write_csv(path: Path, made: Made, header: Sequence[Any], body: Any) -> None:
    rows = [[text_of(made, "", title) for title in header]]
    rows += [[text_of(made, name, cell) for name, cell in row] for row in body]
    if made.layout == "framed":
        rows = [list(row) for row in BEFORE] + rows + [list(row) for row in AFTER]
    lines = []
    for row in rows:
        line = io.StringIO()
        # Python 3.12 quotes a line break only where it is among those that end its lines.
        csv.writer(line, delimiter=made.delimiter, lineterminator="\r\n").writerow(row)
        lines.append(line.getvalue().removesuffix("\r\n"))
    ends = {"LF": ["\n"], "CRLF": ["\r\n"], "CR": ["\r"], "mixed": ["\r\n", "\n"]}[made.ends]
    text = "".join(line + end for line, end in zip(lines, itertools.cycle(ends), strict=False))
    mark = "\ufeff" if made.encoding.startswith("utf-16") else ""
    path.write_bytes((mark + text).encode(made.encoding))


def _write_parquet(path: Path, made: Made, header: Sequence[Any], body: Any) -> None:
    columns = {text_of(made, "", title): [row[i] for row in body] for i, title in enumerate(header)}
    if made.cells == "text":
        cells = {
            title: [text_of(made, *cell) or None for cell in column] for title, column in columns.items()
        }
    else:
        cells = {title: [_typed(made, cell) for _, cell in column] for title, column in columns.items()}
    frame = pd.DataFrame({title: pd.Series(column, dtype=object) for title, column in cells.items()})
    with duckdb.connect() as connection:
        connection.from_df(frame).write_parquet(str(path))


def _typed(made: Made, cell: Cell) -> Any:
    """A cell of a typed file: a number, a day, or a text where the form of the date is none of a day."""
    if isinstance(cell, dt.date) and made.dates not in DAY_FORMS:
        said = DATES[made.dates].write(cell)
        return int(said) if made.dates in {"serial", "20260301"} else said
    return cell


def _write_book(path: Path, made: Made, header: Sequence[Any], body: Any) -> None:
    book = xlsxwriter.Workbook(str(path), {"date_1904": made.container == "1904"})
    day = book.add_format({"num_format": "d.m.yyyy"})
    down, right = {"titled sheet": (2, 0), "sheet inside": (4, 2)}.get(made.container, (0, 0))
    if made.container == "titled sheet":
        cover = book.add_worksheet("Cover")
        for i, line in enumerate(("Marketing report", "Prepared by: sales", "Version 2")):
            cover.write_string(3 + i, 1, line)
    if made.container == "hidden sheet":
        other = book.add_worksheet("Old")
        other.hide()
        wrong = [[(n, c if isinstance(c, str | dt.date | None) else c * 7) for n, c in row] for row in body]
        _fill(other, made, [[("", title) for title in header], *wrong], day)
    sheet = book.add_worksheet("Data")
    sheet.activate()
    sheet.set_first_sheet()
    if made.container == "titled sheet":
        sheet.merge_range(0, 0, 0, len(header) - 1, "Marketing by channel", book.add_format({"bold": True}))
    rows = [[("", title) for title in header], *body]
    if made.layout == "framed":
        rows = (
            [[("", cell) for cell in row] for row in BEFORE]
            + rows
            + [[("", c) for c in row] for row in AFTER]
        )
    _fill(sheet, made, rows, day, down, right)
    book.close()


def _fill(sheet: Any, made: Made, rows: Any, day: Any, down: int = 0, right: int = 0) -> None:
    for i, row in enumerate(rows):
        for j, (name, cell) in enumerate(row):
            value = text_of(made, name, cell) if made.cells == "text" else _typed(made, cell)
            at = (down + i, right + j)
            if value in {None, ""}:
                continue
            if isinstance(value, str):
                sheet.write_string(*at, value)
            elif isinstance(value, dt.date):
                sheet.write_datetime(*at, dt.datetime.combine(value, dt.time()), day)
            else:
                sheet.write_number(*at, float(value))
