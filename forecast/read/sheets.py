"""Workbooks: which sheet holds the table, where on it the table stands, and which cells hold no value that can be read.

Sheets that are hidden are never read unless the study names them. Of the others the one is read that has the columns
which are looked for; where several have, the study must say which. Cells that hold an error (`#REF!`) or a formula
that no program has calculated come as marks, so that whoever needs such a cell can say what is wrong with it.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from forecast.bounds import MOST_TEXT
from forecast.errors import DataError
from forecast.read.ask import Ask
from forecast.read.cells import Grid, day_text, first_line_of
from forecast.read.dates import periods_across
from forecast.read.extents import PIECE, check_extents, check_texts, too_many_cells
from forecast.read.numbers import ERRORS, UNCALCULATED
from forecast.read.record import LeftOut
from forecast.read.text import LINES, NoRowError, footer, header_row, titles_in
from forecast.read.titles import folded
from forecast.study import nearest
from forecast.words import Text, message

ZIPPED = {".xlsx", ".xlsm"}
DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip
VISIBLE = "Visible"

_CELL = re.compile(  # never past the next cell
    rb"<(?:\w+:)?c\b([^<>]*?)(?:/>|>((?:[^<]++|<(?!/?(?:\w+:)?c\b))*+)</(?:\w+:)?c>)"
)
_UNPLACED = re.compile(rb"<(?:\w+:)?c\b(?![^<>]*\br\s*=)")  # a cell that does not say where it stands
_PLACE = re.compile(rb"""\br\s*=\s*["']([A-Za-z]{1,3})(\d{1,9})["']""")
# However long what stands there is: its beginning is enough to be too far.
_LETTERS = re.compile(rb"""\br\s*=\s*["']([A-Za-z]{1,9})[A-Za-z]*\d""")
_ROW = re.compile(rb"""\br\s*=\s*["'][A-Za-z]*(\d{1,19})""")  # of a row, or of a cell in whatever row
_VALUE = re.compile(rb"<(?:\w+:)?v>([^<]*)</(?:\w+:)?v>|<(?:\w+:)?is>")
UNTOLD = "cells with an error or a formula without a value come as empty ones from this format; .xlsx tells of them"
Cells = list[tuple[Any, ...]]


@dataclass(frozen=True)
class _Sheet:
    name: str
    rows: Cells  # those that hold something
    numbers: list[int]
    at: int  # of the header, in `rows`
    hits: int  # columns that are looked for, in the header
    fits: bool  # all that must be there are
    named: bool = True  # each of them by its title, not by periods across as columns


def read_workbook(path: Path, file: str, ask: Ask) -> Grid:
    """The table of a workbook. Raises DataError where there is none, or several, or the file cannot be read."""
    workbook = _opened(path, file)
    meta = workbook.sheets_metadata
    shown = [sheet.name for sheet in meta if str(sheet.visible).endswith(VISIBLE)]
    marks = _Marks.of(path, file)
    sheets: list[_Sheet] = []
    problem: DataError | None = None
    for name in _named(shown, [m.name for m in meta], file, ask):
        try:
            sheets.append(_sheet(workbook, name, marks, file, ask))
        except NoRowError as error:  # of the header: another sheet may have it
            problem = error
    if problem is not None and not any(sheet.rows for sheet in sheets):
        raise problem
    sheet = _chosen(sheets, [m.name for m in meta], file, ask)
    header = tuple("" if cell is None else day_text(cell) for cell in sheet.rows[sheet.at])
    rows, numbers = sheet.rows[sheet.at + 1 :], sheet.numbers[sheet.at + 1 :]
    before = sheet.numbers[: sheet.at]
    left_out = [LeftOut("rows before the header", len(before), tuple(before))] if before else []
    end = footer(rows, numbers, header)
    if end:
        left_out.append(LeftOut("rows after the table", len(end), tuple(end)))
    keep = [i for i, number in enumerate(numbers) if number not in end]
    said: dict[str, Text] = {"sheet": message('"{name}"', name=sheet.name)}
    if len(meta) > 1:
        said["sheet"] = message('"{name}" of {all}', name=sheet.name, all=[m.name for m in meta])
    if sheet.numbers[sheet.at] > 1:
        said["header"] = message("row {n}", n=sheet.numbers[sheet.at])
    if marks.since_1904:
        said["days"] = "counted from 1904"
    width = max((len(header), *(len(row) for row in rows)), default=0)
    header = (*header, *[""] * (width - len(header)))
    return Grid(
        file, header, [rows[i] for i in keep], [numbers[i] for i in keep], said, tuple(left_out),
        shift=1462 if marks.since_1904 else 0, line=sheet.numbers[sheet.at],
        notes=() if path.suffix.lower() in ZIPPED else (UNTOLD,),
    )  # fmt: skip


def _opened(path: Path, file: str) -> Any:
    """The workbook. Raises DataError where it is none, or holds more than is read."""
    import python_calamine

    if wrong := _no_workbook(path):
        raise DataError(f"{file}: {wrong}.")
    if zipfile.is_zipfile(path):
        check_extents(path, file, path.suffix.lower())
    elif path.stat().st_size > MOST_TEXT:
        said = "{file}: is larger than {n:whole} bytes; save its table as CSV or Parquet."
        raise DataError(message(said, file=file, n=MOST_TEXT))
    try:
        return python_calamine.CalamineWorkbook.from_path(str(path))
    except python_calamine.PasswordError:
        raise DataError(f"{file}: is protected by a password; save it without one.") from None
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise DataError(unreadable_workbook(file, error)) from None


def _no_workbook(path: Path) -> str:
    """What a file is that has the name of a workbook, and the way out; "" where it begins as one."""
    if path.name.startswith("~$"):
        return "is the mark that Excel leaves beside an open workbook; name the workbook itself"
    with path.open("rb") as stream:
        begins = stream.read(1 << 12)
    if not begins.startswith(b"PK\x03\x04"):
        # .xls begins so; under another name it is a workbook with a password
        return "" if begins.startswith(b"\xd0\xcf\x11\xe0") else _other(begins)
    if not zipfile.is_zipfile(path):
        return "is a workbook without its end; download or export it again"
    return "is a newer workbook than its name says; name it .xlsx" if path.suffix.lower() == ".xls" else ""


def _other(begins: bytes) -> str:
    """What a file is that begins so, and is no workbook."""
    marks = begins.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if marks.startswith(b"<?xml") and b"office:spreadsheet" in marks:
        return "is an XML spreadsheet with the name of a workbook; open it in Excel or LibreOffice and save it as .xlsx"
    if (
        marks.startswith((b"<!doctype", b"<html", b"<table", b"<meta", b"<head", b"<style"))
        or b"<table" in marks
    ):
        return "is a web page (HTML) with the name of a workbook; open it in Excel or LibreOffice and save it as .xlsx"
    if b"\0" not in begins or begins.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is text with the name of a workbook; name it .csv"
    return ""


def unreadable_workbook(file: str, error: Exception) -> Text:
    """The message for a workbook that cannot be opened."""
    return f"{file}: is not a readable Excel workbook ({first_line_of(error)}); save it again as .xlsx."


def _named(shown: Sequence[str], all_names: Sequence[str], file: str, ask: Ask) -> list[str]:
    """The sheets to look at: the one that the study names, else all that are not hidden."""
    wanted = ask.spec.sheet
    if wanted is None:
        if not shown:
            said = "{file}: all its sheets are hidden ({names}); show one, or name it: {key}."
            raise DataError(message(said, file=file, names=list(all_names), key=ask.place("sheet")))
        return list(shown)
    named = [name for name in all_names if folded(name) == folded(wanted)]
    if not named:
        said = '{file}: has no sheet "{wanted}", which {key} names; it has {names}{guess}'
        told = {"wanted": wanted, "key": ask.place("sheet"), "names": list(all_names)}
        raise DataError(message(said, file=file, guess=nearest(wanted, all_names) or ".", **told))
    return named[:1]


def _sheet(workbook: Any, name: str, marks: _Marks, file: str, ask: Ask) -> _Sheet:
    import python_calamine

    try:
        found = marks.on(name, file)
        cells = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, ValueError, *DAMAGED) as error:
        raise DataError(unreadable_workbook(file, error)) from None
    filled: list[tuple[int, tuple[Any, ...]]] = []
    for number, row in enumerate(cells, start=1):
        plain = [plain_cell(cell) for cell in row]
        for column, mark in found.get(number, {}).items():
            if column >= len(plain):
                plain += [None] * (column + 1 - len(plain))
            plain[column] = mark
        if any(cell is not None for cell in plain):
            filled.append((number, tuple(plain)))
    skipped = ask.spec.skip_rows or 0
    rows = [row for number, row in filled if number > skipped]
    numbers = [number for number, _ in filled if number > skipped]
    if not rows:
        return _Sheet(name, [], [], 0, 0, fits=False)
    head = [[day_text(cell) if cell is not None else None for cell in row] for row in rows[:LINES]]
    at = header_row(head, numbers[:LINES], ask, file)
    if skipped and not titles_in(head[at], ask):
        out = next((n for n, row in filled if n <= skipped and titles_in(row, ask) > 1), None)
        if out is not None:
            said = '{file}: sheet "{name}": {key} leaves out the header in row {n}; correct the key, or take it out.'
            raise DataError(message(said, file=file, name=name, key=ask.place("skip_rows"), n=out))
    titles = {ask.title(cell) for cell in head[at]} - {None}
    needed = {column.name for column in ask.wanted if column.required}
    across = periods_across([cell or "" for cell in head[at]]) if ask.kind is not None else {}
    # periods across as columns, measures down the rows: neither has a title
    spared = (
        {column.name for column in ask.wanted} - {"channel"} if across and "period" not in titles else set()
    )
    hits = len(titles) + len(across)
    fits = bool(needed) and needed - spared <= titles
    return _Sheet(name, rows, numbers, at, hits, fits=fits, named=needed <= titles)


def _chosen(sheets: Sequence[_Sheet], names: Sequence[str], file: str, ask: Ask) -> _Sheet:
    filled = [sheet for sheet in sheets if sheet.rows]
    if not filled:
        others = [name for name in names if name not in {sheet.name for sheet in sheets}]
        said = "{file}: {its} empty."
        its = message('its sheet "{name}" is', name=sheets[0].name) if len(sheets) == 1 else "its sheets are"
        hidden = message(
            " Its hidden sheets ({others}) are not read unless {key} names one.",
            others=others,
            key=ask.place("sheet"),
        )
        raise DataError(message(said + ("{hidden}" if others else ""), file=file, its=its, hidden=hidden))
    fitting = [sheet for sheet in filled if sheet.fits]
    if ask.role != "plan":  # where what was spent would do as well as what is planned
        fitting = [sheet for sheet in fitting if sheet.named] or fitting
    if len(fitting) > 1:
        said = '{file}: several sheets hold such a table ({names}); name the one to read: {key} = "{first}".'
        told = {
            "names": [sheet.name for sheet in fitting],
            "first": fitting[0].name,
            "key": f"history.read.{ask.role}.sheet",  # another file of the study may be another sheet
        }
        raise DataError(message(said, file=file, **told))
    if fitting:
        return fitting[0]
    best = max(filled, key=lambda sheet: (sheet.hits, len(sheet.rows) > 1))
    unread = [name for name in names if name not in {sheet.name for sheet in sheets}]
    if best.hits == 0 and unread and ask.spec.sheet is None:
        said = (
            "{file}: no sheet that is shown ({shown}) has the columns that are looked for ({columns}); its hidden "
            "sheets ({others}) are not read unless {key} names one."
        )
        if not any(column.required for column in ask.wanted):
            said = (
                "{file}: no sheet that is shown ({shown}) holds a table that is known; its hidden sheets ({others}) "
                "are not looked at: show the one that is meant, or write the study yourself and name it in {key}."
            )
        columns = [column.name for column in ask.wanted if column.required]
        shown = [sheet.name for sheet in sheets]
        told = {"shown": shown, "columns": columns, "others": unread, "key": ask.place("sheet")}
        raise DataError(message(said, file=file, **told))
    return best


def plain_cell(cell: object) -> object:
    """A cell of a typed file: blanks become None, decimals floats, dates and text stay."""
    if isinstance(cell, str):
        return cell.strip() or None
    return float(cell) if isinstance(cell, Decimal) else cell


# ------------------------------------------------------------------------------- what calamine does not tell of a sheet


@dataclass(frozen=True)
class _Marks:
    """What stands in the XML of an .xlsx and is not told by its reader: errors, formulas without a value, extents."""

    path: Path | None
    parts: dict[str, str]  # XML of a sheet by its name
    since_1904: bool = False

    @classmethod
    def of(cls, path: Path, file: str) -> _Marks:
        """The marks of a workbook; of another format than .xlsx there are none."""
        if path.suffix.lower() not in ZIPPED:
            return cls(None, {})
        try:
            with zipfile.ZipFile(path) as archive:
                book = archive.read("xl/workbook.xml").decode("utf-8", errors="replace")
                links = archive.read("xl/_rels/workbook.xml.rels").decode("utf-8", errors="replace")
        except DAMAGED as error:
            raise DataError(unreadable_workbook(file, error)) from None
        targets = {}
        for link in re.findall(r"<(?:\w+:)?Relationship\b[^>]*>", links):
            ident, target = re.search(r'\bId="([^"]+)"', link), re.search(r'\bTarget="([^"]+)"', link)
            if ident and target:
                place = target[1].removeprefix("/")
                targets[ident[1]] = place if place.startswith("xl/") else f"xl/{place}"
        parts = {}
        for sheet in re.findall(r"<(?:\w+:)?sheet\b[^>]*>", book):
            name, ident = (
                re.search(r'\bname="([^"]*)"', sheet),
                re.search(r'\br?:?id="(rId[^"]*|[^"]*)"', sheet),
            )
            if name and ident:
                parts[_unescaped(name[1])] = targets.get(ident[1], "")
        return cls(path, parts, re.search(r'\bdate1904="(?:1|true)"', book) is not None)

    def on(self, sheet: str, file: str) -> dict[int, dict[int, str]]:
        """Marks of the cells of a sheet: row (from 1) -> column (from 0) -> mark. Raises DataError for a stray cell."""
        part = self.parts.get(sheet)
        if self.path is None or not part:
            return {}
        found: dict[int, dict[int, str]] = {}
        rows, columns, cells, begun, shared = 1, 1, 0, 0, 0
        far = "A1"
        with zipfile.ZipFile(self.path) as archive:
            if part not in archive.namelist():
                return {}
            with archive.open(part) as stream:
                rest = b""
                while piece := stream.read(PIECE):
                    text = rest + piece
                    end = (
                        text.rfind(b"</row>") + 6
                        if b"</row>" in text
                        else (0 if len(text) < 64 * PIECE else len(text))
                    )
                    text, rest = text[:end], text[end:]
                    if not text:
                        continue
                    if numbers := _ROW.findall(text):
                        rows = max(rows, *map(int, set(numbers)))
                    begun += text.count(b"<row") + text.count(b":row")
                    cells += text.count(b"<c ") + text.count(b":c ")
                    shared += text.count(b't="s"')
                    if _UNPLACED.search(text):
                        each = re.split(rb"<(?:\w+:)?row\b", text)
                        columns = max(columns, *(row.count(b"<c") + row.count(b":c") for row in each))
                    for letters in set(_LETTERS.findall(text)):
                        if (at := _column(letters)) > columns:
                            columns, far = at, _whole_place(text, letters)
                    if b't="e"' in text or b"<f" in text or b":f" in text:
                        _mark(text, found)
            if wrong := too_many_cells(file, sheet, max(rows, begun), columns, cells, far):
                raise DataError(wrong)
            check_texts(archive, part, shared, file, sheet)
        return found


def _mark(text: bytes, found: dict[int, dict[int, str]]) -> None:
    for cell in _CELL.finditer(text):
        attributes, inner = cell[1], cell[2] or b""
        error = b't="e"' in attributes
        if not error and b"<f" not in inner and b":f" not in inner:
            continue
        value = _VALUE.search(inner)
        place = _PLACE.search(attributes)
        if place is None or (
            not error and value is not None and value[0] and (value[1] is None or value[1].strip())
        ):
            continue
        said = (value[1] or b"").decode("ascii", errors="replace") if value is not None else ""
        mark = (said.upper() if said.upper() in ERRORS else ERRORS[0]) if error else UNCALCULATED
        if not error and b't="str"' in attributes:
            continue  # a formula that gives an empty text
        found.setdefault(int(place[2]), {})[_column(place[1]) - 1] = mark


def _whole_place(text: bytes, letters: bytes) -> str:
    """The first cell of a column, as it stands there."""
    found = re.search(rb"""["'](%s\d{1,19})["']""" % letters, text)
    return found[1].decode() if found else letters.decode()


def _column(letters: bytes) -> int:
    """The number of a column, from 1."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - 64
    return number


def _unescaped(text: str) -> str:
    from html import unescape

    return unescape(text)
