"""How much a workbook holds, told by its bytes before any program makes cells of them.

A workbook of a few kilobytes may unzip to gigabytes, span a billion cells between two that hold something, repeat one
cell a million times, or show one long text in every cell. Each is refused here, with the bound.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from forecast.bounds import MOST_CELLS, MOST_SHARED, MOST_UNZIPPED, SPARSE, SPARSE_CELLS, WIDE, WIDE_CELLS
from forecast.errors import DataError
from forecast.words import Message, message

PIECE = 1 << 20
DAMAGED = "{file}: is a damaged workbook ({part} says that it holds {n:whole} items); save it again as .xlsx."
PACKING = 1_032  # times at most that deflate makes anything smaller
SHARED = "xl/sharedStrings.xml"
COUNTED = ("sharedstrings.xml", "styles.xml", "workbook.xml")
_COUNT = re.compile(rb"""[cC]ount\s*=\s*["'](\d{1,30})["']""")
_ITEM_END = re.compile(rb"</(?:\w+:)?si>")
_SHARED_CELL = re.compile(rb't="s"[^<>]*>\s*<(?:\w+:)?v>(\d{1,9})<')
_COLUMNS, _ROWS = "number-columns-repeated", "number-rows-repeated"
# records of .xlsb
_ROW_HEADER, _LAST_CELL, _SHARED_INDEX, _STRING_ITEM, _STRINGS = 0, 11, 7, 19, 159
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, RuntimeError, ValueError,
)  # fmt: skip


def check_unzipped(path: Path, file: str) -> None:
    """Raise DataError where a workbook unzips to more bytes than are read, whatever it says of itself."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        total = sum(part.file_size for part in parts)
        if total > MOST_UNZIPPED or len(parts) > 10_000:
            said = "{file}: unzips to more than {n:whole} bytes; save its table as CSV or Parquet."
            raise DataError(message(said, file=file, n=MOST_UNZIPPED))
        if sum(part.compress_size for part in parts) * PACKING <= MOST_UNZIPPED:
            return
        for part in parts:  # which must hold what it says: more raises
            with archive.open(part) as stream:
                while stream.read(PIECE):
                    pass


def check_counts(path: Path, file: str) -> None:
    """Raise DataError where a part of an .xlsx says that it holds more items than it has bytes: room is made so."""
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.filename.lower().endswith(COUNTED):
                with archive.open(part) as stream:
                    counts = [int(found) for found in _COUNT.findall(stream.read(PIECE))]
                if max(counts, default=0) > part.file_size:
                    raise DataError(message(DAMAGED, file=file, part=part.filename, n=max(counts)))


def too_many_cells(
    file: str, sheet: str, rows: int, columns: int, cells: int, far: str = ""
) -> Message | None:
    """The message for a sheet that spans too much; None where it may be read. cells: that hold something."""
    span = rows * columns
    free = SPARSE_CELLS if columns <= WIDE else WIDE_CELLS
    if span <= MOST_CELLS and (span <= free or span <= SPARSE * max(cells, 1)):
        return None
    last = far if far and columns > rows // 1000 and columns > 26 else f"row {rows}"
    told = {"file": file, "sheet": sheet, "rows": rows, "columns": columns, "n": MOST_CELLS}
    if span <= SPARSE * max(cells, 1):
        said = (
            '{file}: sheet "{sheet}" spans {rows:whole} rows and {columns:whole} columns, more than {n:whole} cells; '
            "delete what is beyond the table, or save it as CSV or Parquet."
        )
        return message(said, **told)
    said = (
        '{file}: sheet "{sheet}": something stands far outside the table ({last}), so that the sheet spans '
        "{rows:whole} rows and {columns:whole} columns; delete the rows and columns beyond the table, or copy "
        "the table into a new workbook."
    )
    return message(said, last=last, **told)


def too_much_text(file: str, sheet: str) -> DataError:
    """The error for texts that are shown so often that they would fill the memory."""
    said = '{file}: sheet "{sheet}" holds more than {n:whole} characters of text; save it as CSV or Parquet.'
    return DataError(message(said, file=file, sheet=sheet, n=MOST_SHARED))


def check_texts(archive: zipfile.ZipFile, part: str, n: int, file: str, sheet: str) -> None:
    """Raise DataError where the shared texts of an .xlsx, as often as its sheet shows them (n cells), are too long."""
    if not n or SHARED not in archive.namelist():
        return
    lengths = _lengths(archive)
    if not lengths.size or n * int(lengths.max()) <= MOST_SHARED:
        return
    total, rest = 0, b""
    with archive.open(part) as stream:
        while piece := stream.read(PIECE):
            text = rest + piece
            index = np.array([int(found) for found in _SHARED_CELL.findall(text)], dtype=np.int64)
            total += int(lengths[index[index < lengths.size]].sum())
            begun = text.rfind(b"<c", max(len(text) - 200, 0))  # a cell that the piece cuts
            rest = text[begun:] if begun >= 0 and not _SHARED_CELL.search(text, begun) else b""
            if total > MOST_SHARED:
                raise too_much_text(file, sheet)


def _lengths(archive: zipfile.ZipFile) -> NDArray[np.int64]:
    """Bytes of each shared text."""
    ends: list[int] = []
    at, rest = 0, b""
    with archive.open(SHARED) as stream:
        while piece := stream.read(PIECE):
            text = rest + piece
            ends += [
                at - len(rest) + found.end() for found in _ITEM_END.finditer(text) if found.end() > len(rest)
            ]
            at += len(piece)
            rest = text[-20:]
    return np.asarray(np.diff(np.array([0, *ends])), dtype=np.int64)


# --------------------------------------------------------------------------------------------- OpenDocument


def check_opendocument(path: Path, file: str) -> None:
    """Raise DataError where a sheet of an .ods spans, repeats or shows more than is read."""
    from xml.parsers import expat

    sheet = _Repeated(file)
    parser = expat.ParserCreate(namespace_separator=":")
    parser.StartElementHandler, parser.EndElementHandler = sheet.begins, sheet.ends
    parser.CharacterDataHandler = sheet.reads
    with zipfile.ZipFile(path) as archive, archive.open("content.xml") as stream:
        try:
            while piece := stream.read(PIECE):
                parser.Parse(piece, False)
        except expat.ExpatError:
            return  # which the reader of the workbook says


class _Repeated:
    """What the elements of an OpenDocument add up to, sheet by sheet."""

    def __init__(self, file: str) -> None:
        self.file, self.sheet = file, ""
        self.rows = self.columns = self.cells = self.text = 0
        self.row_times = self.at = self.last = self.times = self.here = 0

    def begins(self, name: str, attributes: dict[str, str]) -> None:
        """A table, a row or a cell begins."""
        kind = name.rpartition(":")[2]
        given = {key.rpartition(":")[2]: value for key, value in attributes.items()}
        if kind == "table":
            self.sheet = given.get("name", "")
            self.rows = self.columns = self.cells = self.text = 0
        elif kind == "table-row":
            self.row_times, self.at, self.last, self.here = _times(given, _ROWS), 0, 0, 0
        elif kind in ("table-cell", "covered-table-cell"):
            self.times = _times(given, _COLUMNS)
            self.at += self.times
            if "value-type" in given or "formula" in given:
                self._filled()

    def reads(self, text: str) -> None:
        """Text inside of a cell."""
        if self.times:
            if text.strip():
                self._filled()
            self.text += len(text) * self.times * self.row_times
            if self.text > MOST_SHARED:
                raise too_much_text(self.file, self.sheet)

    def ends(self, name: str) -> None:
        """A row ends: what it adds."""
        kind = name.rpartition(":")[2]
        if kind in ("table-cell", "covered-table-cell"):
            self.times = 0
        elif kind == "table-row":
            self.rows += self.row_times
            if self.last:
                self.columns = max(self.columns, self.last)
                self.cells += self.here * self.row_times
                if wrong := too_many_cells(self.file, self.sheet, self.rows, self.columns, self.cells):
                    raise DataError(wrong)

    def _filled(self) -> None:
        if self.last != self.at:
            self.here += self.times
        self.last = self.at


def _times(given: dict[str, str], key: str) -> int:
    value = given.get(key, "1")
    return min(max(int(value), 1), 1 << 31) if value.isdecimal() and len(value) < 12 else 1 << 31


# --------------------------------------------------------------------------------------------------- binary sheets


def check_binary(path: Path, file: str) -> None:
    """Raise DataError where a sheet of an .xlsb spans or shows more than is read."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        shared = next((name for name in names if name.lower().endswith("sharedstrings.bin")), None)
        lengths = np.zeros(0, dtype=np.int64)
        if shared is not None:
            with archive.open(shared) as stream:
                found = list(_records(stream))
            items = [data for kind, data in found if kind == _STRING_ITEM]
            told = [
                struct.unpack_from("<I", data, 4)[0]
                for kind, data in found
                if kind == _STRINGS and len(data) >= 8
            ]
            if max(told, default=0) > archive.getinfo(shared).file_size:
                raise DataError(message(DAMAGED, file=file, part=shared, n=max(told)))
            lengths = np.array([len(data) for data in items], dtype=np.int64)
        for name in names:
            if "worksheets/" in name.lower() and name.lower().endswith(".bin") and "/_rels/" not in name:
                with archive.open(name) as stream:
                    _check_records(stream, lengths, file, Path(name).stem)


def _check_records(stream: IO[bytes], lengths: NDArray[np.int64], file: str, sheet: str) -> None:
    rows, columns, cells, text = [1 << 32, 0], [1 << 32, 0], 0, 0
    row = 0
    for kind, data in _records(stream):
        if kind == _ROW_HEADER and len(data) >= 4:
            row = struct.unpack_from("<I", data)[0]
        elif 0 < kind <= _LAST_CELL and len(data) >= 4:
            column = struct.unpack_from("<I", data)[0]
            rows, columns = (
                [min(span[0], at), max(span[1], at)] for span, at in ((rows, row), (columns, column))
            )
            cells += 1
            if kind == _SHARED_INDEX and len(data) >= 12:
                index = struct.unpack_from("<I", data, 8)[0]
                text += int(lengths[index]) if index < lengths.size else 0
            if text > MOST_SHARED:
                raise too_much_text(file, sheet)
    if cells and (wrong := too_many_cells(file, sheet, rows[1] + 1, columns[1] + 1, cells)):
        raise DataError(wrong)


def _records(stream: Any) -> Iterator[tuple[int, bytes]]:
    """Records of a part of an .xlsb: kind and content; ends where the bytes do."""
    while first := stream.read(1):
        kind = first[0]
        if kind & 0x80:
            second = stream.read(1)
            kind = (kind & 0x7F) | (second[0] & 0x7F) << 7 if second else kind
        length = shift = 0
        for _ in range(4):
            part = stream.read(1)
            if not part:
                return
            length |= (part[0] & 0x7F) << shift
            shift += 7
            if not part[0] & 0x80:
                break
        yield kind, stream.read(length)


def check_extents(path: Path, file: str, suffix: str) -> None:
    """Raise DataError where a zipped workbook holds more than is read; sheets of .xlsx are looked at one by one."""
    try:
        check_unzipped(path, file)
        check_counts(path, file)
        if suffix == ".ods":
            check_opendocument(path, file)
        elif suffix == ".xlsb":
            check_binary(path, file)
    except (*_DAMAGED, KeyError, OSError):
        return  # which the reader of the workbook says
