"""Files with the name of a workbook that are none, and keys that miss the table: each says so, with a way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import xlsxwriter

from forecast.errors import DataError, StudyError
from forecast.history import History, read_history
from forecast.study import Study, load_study

TABLE = [
    ["Month", "Channel", "Leads", "Won"],
    *([f"2026-{m:02d}", "a", 10 + m, m % 3 + 1] for m in range(1, 9)),
]
TEXT = "".join(",".join(map(str, row)) + "\n" for row in TABLE)
HTML = "<html><body><table><tr><td>Month</td></tr></table></body></html>"
XML = '<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"></Workbook>'


def study(folder: Path, file: str, **read: object) -> Study:
    """A study over this file, read by these keys."""
    asked = {"counts": file, "read": read}
    return Study.model_validate(
        {"name": "x", "folder": folder, "history": asked, "funnel": {"stages": ("leads", "won")}}
    )


def told(folder: Path, file: str, **read: object) -> str:
    """What is told of such a file."""
    with pytest.raises(DataError) as caught:
        read_history(study(folder, file, **read))
    return str(caught.value)


def book(path: Path, before: int = 0) -> Path:
    """A workbook with a cover, and the table after some empty rows."""
    with xlsxwriter.Workbook(path) as made:
        made.add_worksheet("Cover").write(0, 0, "Report")
        sheet = made.add_worksheet("Data")
        for i, row in enumerate(TABLE):
            sheet.write_row(i + before, 0, row)
    return path


@pytest.mark.parametrize(
    ("name", "content", "way"),
    [
        ("c.xlsx", TEXT, "is text with the name of a workbook; name it .csv"),
        ("c.xls", TEXT, "is text with the name of a workbook; name it .csv"),
        ("c.xls", HTML, "is a web page (HTML) with the name of a workbook"),
        ("c.xls", XML, "is an XML spreadsheet with the name of a workbook"),
        ("~$c.xlsx", "\x05user", "name the workbook itself"),
    ],
)
def test_other_files_with_the_name_of_a_workbook(tmp_path: Path, name: str, content: str, way: str) -> None:
    """The file is named for what it is."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert way in told(tmp_path, name)


def test_workbooks_under_another_name_or_cut_off(tmp_path: Path) -> None:
    """The name that it should have, or that it is not whole."""
    whole = book(tmp_path / "c.xlsx").read_bytes()
    (tmp_path / "d.xls").write_bytes(whole)
    assert "d.xls: is a newer workbook than its name says; name it .xlsx" in told(tmp_path, "d.xls")
    (tmp_path / "e.xlsx").write_bytes(whole[: len(whole) // 2])
    assert "e.xlsx: is a workbook without its end" in told(tmp_path, "e.xlsx")
    (tmp_path / "f.csv").write_bytes(whole)
    assert "f.csv: is an Excel workbook, not a CSV; name it .xlsx" in told(tmp_path, "f.csv")


def test_a_sheet_that_is_not_there(tmp_path: Path) -> None:
    """The sheets are listed, and the nearest is proposed."""
    book(tmp_path / "c.xlsx")
    assert 'it has Cover, Data; did you mean "Data"?' in told(tmp_path, "c.xlsx", sheet="Dat")


def leads_in(history: History) -> int:
    """All leads."""
    return int(history.counts["leads"].sum())


def test_a_header_row_that_only_one_sheet_has(tmp_path: Path) -> None:
    """A cover that is shorter than the row is not what the key speaks of."""
    book(tmp_path / "c.xlsx", before=4)
    assert leads_in(read_history(study(tmp_path, "c.xlsx", header_row=5))) == sum(range(11, 19))
    assert "row 40, which history.read.header_row names" in told(tmp_path, "c.xlsx", header_row=40)


@pytest.mark.parametrize("name", ["c.csv", "c.xlsx"])
def test_keys_that_miss_the_header(tmp_path: Path, name: str) -> None:
    """The row that holds it is named, and without the key the file is read."""
    (tmp_path / "c.csv").write_text(TEXT, encoding="utf-8")
    book(tmp_path / "c.xlsx")
    assert "row 3, which history.read.header_row names as the header, holds no name" in told(
        tmp_path, name, header_row=3
    )
    assert "history.read.skip_rows leaves out the header in row 1" in told(tmp_path, name, skip_rows=2)
    assert leads_in(read_history(study(tmp_path, name))) == sum(range(11, 19))


def test_keys_that_the_text_contradicts(tmp_path: Path) -> None:
    """The key is named, and what the file shows."""
    (tmp_path / "c.csv").write_text(TEXT, encoding="utf-8")
    assert "its cells are parted by comma, and history.read.delimiter says semicolon" in told(
        tmp_path, "c.csv", delimiter=";"
    )
    (tmp_path / "c.csv").write_bytes(TEXT.replace(",a,", ",ä,").encode("cp1252"))
    assert "as history.read.encoding says; correct the key" in told(tmp_path, "c.csv", encoding="utf-8")
    lines = TEXT.replace(",", ";").splitlines()
    finnish = "\n".join([lines[0] + ";Revenue", *(line + ";1 200,50" for line in lines[1:])]) + "\n"
    (tmp_path / "c.csv").write_text(finnish, encoding="utf-8")
    assert "decimals begin with a comma there, and history.read.decimal says otherwise" in told(
        tmp_path, "c.csv", decimal="."
    )


def test_marks_are_listed_in_quotes(tmp_path: Path) -> None:
    """A comma among others would not be seen."""
    path = tmp_path / "s.toml"
    path.write_text('name = "x"\n[history]\ncounts = "c.csv"\nread.decimal = ";"\n', encoding="utf-8")
    with pytest.raises(StudyError, match=r'expected one of ".", ","; came ";"'):
        load_study(path)
