"""Workbooks of few bytes that would take gigabytes are refused before any program makes cells of them."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from pathlib import Path

import pytest
import xlsxwriter

from forecast.errors import DataError
from forecast.read import Ask, Grid, Wanted, read_grid
from forecast.read.extents import too_many_cells
from forecast.study import ReadsSpec

HEADER = ("period", "channel", "spend")
NAMES = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{short}:1.0"'
    for short in ("office", "table", "text")
)


def read(path: Path) -> Grid:
    """As counts would be."""
    return read_grid(
        path, path.name, Ask("history.counts", "counts", ReadsSpec(), [Wanted(n, (n,), True) for n in HEADER])
    )


def book(path: Path) -> Path:
    """A sound workbook."""
    made = xlsxwriter.Workbook(str(path))
    sheet = made.add_worksheet("data")
    for row, cells in enumerate([HEADER, *[("2026-01", "ppc", n) for n in range(20)]]):
        sheet.write_row(row, 0, cells)
    made.close()
    return path


def changed(path: Path, part: str, old: bytes, new: bytes) -> Path:
    """The workbook with something in one of its parts replaced, once."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    assert re.search(old, held[part])
    held[part] = re.sub(old, lambda _: new, held[part], count=1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    return path


def opendocument(path: Path, rows: str) -> Path:
    """A spreadsheet of LibreOffice with these rows."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr(
            "content.xml",
            f'<office:document-content {NAMES}><office:body><office:spreadsheet><table:table table:name="data">'
            f"{rows}</table:table></office:spreadsheet></office:body></office:document-content>",
        )
    return path


SHEET, SHARED = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"


@pytest.mark.parametrize(
    ("part", "old", "new", "said"),
    [
        (SHEET, rb'r="C21"', b'r="XFD1048576"', "stands far outside the table .XFD1048576"),
        (SHEET, rb'r="C21"', b"r = 'xfd1048576'", "stands far outside the table .xfd1048576"),
        (SHEET, rb'r="C21"', b'r="C' + b"9" * 400 + b'"', "stands far outside the table .row 9999999999"),
        (SHEET, rb'r="C21"', b'r="' + b"Z" * 40 + b'21"', "stands far outside the table"),
        (SHEET, rb'r="C20"', b'r="ZZ900"', ""),
        (SHEET, rb'r="C21"', b'r="C1048576"', ""),  # few columns: it may be read
        (SHARED, rb'uniqueCount="\d+"', b'uniqueCount="99999999999999"', "says that it holds 99"),
        (
            SHARED,
            rb"<si><t>ppc</t></si>",
            b"<si><t>" + b"x" * 30_000_000 + b"</t></si>",
            "characters of text",
        ),
    ],
)
def test_workbooks_that_say_more_than_they_hold(tmp_path: Path, part: str, old: bytes, new: bytes, said: str):
    """With the bound."""
    path = changed(book(tmp_path / "a.xlsx"), part, old, new)
    assert path.stat().st_size < 1_000_000
    if not said:
        read(path)
        return
    with pytest.raises(DataError, match=said):
        read(path)


def test_what_unzips_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever the parts are, and whatever they say of their size."""
    monkeypatch.setattr("forecast.read.extents.MOST_UNZIPPED", 1_000_000)
    path = changed(
        book(tmp_path / "a.xlsx"), SHEET, rb"<sheetData>", b"<!--" + b" " * 2_000_000 + b"--><sheetData>"
    )
    with pytest.raises(DataError, match=r"unzips to more than 1.000.000 bytes"):
        read(path)


CELL = '<table:table-cell office:value-type="string"{t}><text:p>{x}</text:p></table:table-cell>'


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            '<table:table-row table:number-rows-repeated="1048576">' + CELL.format(t="", x="a") * 8,
            "more than 6",
        ),
        (
            "<table:table-row>" + CELL.format(t=' table:number-columns-repeated="99999999"', x="a"),
            "more than 6",
        ),
        (
            '<table:table-row table:number-rows-repeated="20000">' + CELL.format(t="", x="a" * 20_000),
            "characters of text",
        ),
        (
            "<table:table-row>" + CELL.format(t="", x="a") + "</table:table-row>"
            '<table:table-row table:number-rows-repeated="1048570"><table:table-cell/></table:table-row>'
            '<table:table-row><table:table-cell table:number-columns-repeated="16000"/>'
            + CELL.format(t="", x="a"),
            "stands far outside",
        ),
    ],
)
def test_repeated_cells(tmp_path: Path, rows: str, said: str):
    """Of LibreOffice, which writes a cell once and how often it is meant."""
    with pytest.raises(DataError, match=said):
        read(opendocument(tmp_path / "a.ods", rows + "</table:table-row>"))


def test_blank_rows_at_the_end_are_none(tmp_path: Path):
    """LibreOffice ends a sheet with a million empty rows: they count for nothing."""
    row = "<table:table-row>{}</table:table-row>"
    cells = [HEADER, *[("2026-01", "ppc", "5")] * 3]
    rows = "".join(row.format("".join(CELL.format(t="", x=cell) for cell in each)) for each in cells)
    rows += '<table:table-row table:number-rows-repeated="1048000">'
    rows += '<table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
    assert len(read(opendocument(tmp_path / "a.ods", rows)).rows) == 3


def test_binary_sheets(tmp_path: Path):
    """A cell in the last corner of an .xlsb."""

    def record(kind: int, data: bytes) -> bytes:
        return bytes([kind, len(data)]) + data

    row = record(0, struct.pack("<I", 1_048_575) + bytes(13))
    cell = record(2, struct.pack("<II", 16_383, 0) + bytes(4))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.bin", record(0, bytes(17)) + cell + row + cell)
    (tmp_path / "a.xlsb").write_bytes(made.getvalue())
    with pytest.raises(DataError, match="1\u202f048\u202f576 rows and 16\u202f384 columns"):
        read(tmp_path / "a.xlsb")


def test_marks_are_found_in_linear_time(tmp_path: Path):
    """Cells that are never closed do not make each other's search longer: hours, if they did."""
    path = changed(
        book(tmp_path / "a.xlsx"), SHEET, rb"</sheetData>", b'<c t="e">' * 300_000 + b"</sheetData>"
    )
    with pytest.raises(DataError):
        read(path)


def test_a_wide_and_empty_sheet_is_refused_sooner():
    """Sixteen thousand columns for one stray cell cost a query each: a few rows of them may pass, hundreds may not."""
    assert too_many_cells("f", "s", 5, 16_384, 30) is None
    assert too_many_cells("f", "s", 241, 16_384, 1_900) is not None
    assert too_many_cells("f", "s", 241, 16_384, 241 * 8_000) is None
    assert too_many_cells("f", "s", 1_000_000, 3, 60) is None
