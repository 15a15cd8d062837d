"""What in the bytes and quotes of a text file would lose rows or letters without a word."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import duckdb
import pytest
from made_files import study_of

from forecast.errors import DataError
from forecast.history import History, read_history
from forecast.read import relation

LINES = [
    "period;channel;spend;visitors;leads;qualified;won;revenue;note",
    *(
        f"2026-0{m};{channel};{900 + m}.50;1100;30;12;{m};{m}500.25;x"
        for m in (1, 2, 3)
        for channel in ("Käyttö", "seo")
    ),
]
LEADS = ["lead_id;channel;created;qualified;won;note", *(f"a{i};seo;2026-01-31;;;x" for i in range(9))]


def read(folder: Path, content: bytes, role: str = "counts", **history: object) -> History:
    """The history of a file."""
    (folder / "f.csv").write_bytes(content)
    return read_history(study_of(folder, {role: "f.csv", **history}))


def refusal(folder: Path, content: bytes, role: str = "counts", **history: object) -> str:
    """What a person is told."""
    with pytest.raises(DataError) as caught:
        read(folder, content, role, **history)
    return str(caught.value)


@pytest.mark.parametrize("title", ["channel", "note"])
def test_rows_that_a_quote_swallows_are_missed(tmp_path: Path, title: str) -> None:
    """A quote that opens in one row and closes in a later one makes one cell of all between: told with both rows."""
    cells = [line.split(";") for line in LINES]
    at = cells[0].index(title)
    cells[3][at] = '"' + cells[3][at]
    cells[6][at] += '"'

    said = refusal(tmp_path, "\n".join(";".join(row) for row in cells).encode())

    assert "rows 4 to 7" in said
    assert "quote" in said


def test_rows_that_a_quote_swallows_in_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a name of a channel it is seen however large the file is."""
    monkeypatch.setattr(relation, "MODERATE", 0)
    text = "\n".join(LEADS).replace("a2;seo", 'a2;"seo').replace("a6;seo", 'a6;seo"')

    assert "rows 4 to 8" in refusal(tmp_path, text.encode(), "leads")


def test_line_breaks_in_cells_are_no_rows(tmp_path: Path) -> None:
    """A note of several lines, with delimiters in it, is a note."""
    text = "\n".join(LINES)

    noted = text.replace(";x", ';"first;\nsecond; third"', 2)

    assert read(tmp_path, noted.encode()).fingerprint() == read(tmp_path, text.encode()).fingerprint()


def test_a_note_of_lines_beside_a_cell_with_a_delimiter(tmp_path: Path) -> None:
    """A row of several lines may hold delimiters in any of its cells: none of them is a row."""
    text = "\n".join(LINES).replace("Käyttö", "a")

    odd = text.replace(";a;", ';"a; b";').replace(";x", ';"first\nsecond"')

    assert read(tmp_path, odd.encode()).channels == ["a; b", "seo"]


def test_a_quote_at_the_end_of_each_row(tmp_path: Path) -> None:
    """Every second row stands in the last cell of the one before: said of the first two."""
    said = refusal(tmp_path, "\n".join(LINES).replace(";x", ';"').encode())

    assert "rows 2 to 3" in said
    assert "quote" in said


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp1250"])
@pytest.mark.parametrize("mark", ["utf-8", "utf-8-sig"])
def test_a_key_that_would_garble_utf8_is_refused(tmp_path: Path, encoding: str, mark: str) -> None:
    """A key meant for another file must not turn each letter beyond ASCII into two."""
    text = "\n".join(LINES)

    said = refusal(tmp_path, text.encode(mark), read={"encoding": encoding})

    assert "history.read.encoding" in said
    assert "UTF-8" in said
    if encoding != "cp1250":
        right = read(tmp_path, text.encode(encoding), read={"encoding": encoding})
        assert right.fingerprint() == read(tmp_path, text.encode(mark)).fingerprint()


@pytest.mark.parametrize("signs", [300_000, 2_000_000])
def test_a_cell_of_a_whole_document(tmp_path: Path, signs: int) -> None:
    """A long text in a cell beside ours is read past, or refused for its length; the file is not called empty."""
    text = "\n".join(LINES)
    long = text.replace(";x", ";" + "x" * signs, 1).encode()

    if signs < 1 << 20:
        assert read(tmp_path, long).fingerprint() == read(tmp_path, text.encode()).fingerprint()
    else:
        assert "line 2" in refusal(tmp_path, long)


@pytest.mark.parametrize("form", ["{}", "{}a", "a{}", " {}", "a{}b"])
def test_blanks_around_a_text_are_those_of_unicode(form: str) -> None:
    """Each blank that Unicode has, and signs of every other kind: the quick way says what trim says of all."""
    signs = [chr(i) for i in range(1, sys.maxunicode) if i < 0x3100 or i % 997 == 0]
    texts = [form.format(sign) for sign in signs if unicodedata.category(sign) != "Cs"]
    sql = f"SELECT {relation.trimmed('x')} FROM (SELECT unnest(?) AS x)"  # noqa: S608 - made here
    found = [text for (text,) in duckdb.execute(sql, [texts]).fetchall()]

    blank = "".join(sign for sign in signs if unicodedata.category(sign) == "Zs")
    assert len(blank) == 17
    assert found == [text.strip(blank) or None for text in texts]
