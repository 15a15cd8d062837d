"""Text files: how the bytes, the lines and the cells of a CSV are written, and where its table begins and ends.

The encoding is that of a byte-order mark, else UTF-8 where the bytes are valid in it, else Windows' western one where
the words that come out look like words; anything else is asked for (`history.read.encoding`). The delimiter is the one
that cuts most lines into the same number of cells, two or more. The header is the first line of that width that holds
names of columns; lines before it are a title, lines after the table a footer, and both are left out and said.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from forecast.bounds import MOST_CELL, MOST_TEXT
from forecast.errors import DataError
from forecast.read.ask import Ask
from forecast.read.cells import rows_text
from forecast.read.record import LeftOut
from forecast.read.titles import means_total
from forecast.words import Message, Text, message

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SAMPLE, CHUNK = 1 << 18, 1 << 24  # bytes that are looked at first, and that are transcoded at a time
LINES = 200  # of the sample, from which the delimiter and the header are found
WESTERN = "cp1252"
SPOKEN = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8 with a byte-order mark", WESTERN: "Windows, western (cp1252)"}
GUESSES = (
    "cp1250",
    "cp1251",
    "cp1252",
    "cp1253",
    "cp1254",
    "cp1257",
    "cp437",
    "cp850",
    "mac_roman",
    "iso8859_2",
)
ONE_BYTE = {codecs.lookup(name).name for name in (*GUESSES, "latin-1", "iso8859_15")}
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SUM_UP = "a table of periods and channels is smaller: sum its rows up to one for each, or give single leads as leads"
_WORD = re.compile(r"[^\s\d,;|\t\"'.:/()<>=+*_-]+")


@dataclass(frozen=True)
class TextForm:
    """How a text file is written: `header` is its header, on the lines `line` to `last_line`, from 1.

    `left_out`: lines before the header.
    """

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    line: int
    last_line: int
    left_out: tuple[LeftOut, ...] = ()

    def said(self) -> dict[str, Text]:
        """The form in words, by what it is a form of."""
        said: dict[str, Text] = {
            "encoding": SPOKEN.get(self.encoding, self.encoding.upper()),
            "delimiter": DELIMITERS[self.delimiter],
        }
        return said | ({"header": message("row {n}", n=self.line)} if self.line > 1 else {})


# ------------------------------------------------------------------------------------------------------------ encoding


def encoding_of(sample: bytes, file: str, ask: Ask, *, whole: bool) -> str:
    """The encoding of bytes, `whole` or only the first of them. Raises DataError where they are no text, or unclear."""
    if sample.startswith(b"PK\x03\x04"):
        raise DataError(f"{file}: is an Excel workbook, not a CSV; name it .xlsx, or save it as CSV UTF-8.")
    if sample.startswith(b"\xd0\xcf\x11\xe0"):
        raise DataError(
            f"{file}: is an old Excel workbook, not a CSV; name it .xls, or save it as CSV UTF-8."
        )
    given = ask.spec.encoding
    marked = next((name for mark, name in MARKS if sample.startswith(mark)), None)
    if given is not None:
        if marked and marked.startswith(_plain(given)):
            return marked
        if codecs.lookup(given).name in ONE_BYTE and (marked or _is_utf8(sample)):
            other = SPOKEN.get(marked or "utf-8", (marked or "").upper())
            said = (
                "{file}: is {other}, and {key} says {given}; remove the key, or say how this file is encoded."
            )
            raise DataError(message(said, file=file, other=other, key=ask.place("encoding"), given=given))
        return given
    if marked is not None:
        return marked
    if b"\0" in sample:
        return _without_mark(sample, file)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=whole)
    except UnicodeDecodeError:
        return _western(sample, file, ask)
    return "utf-8"


def _is_utf8(sample: bytes) -> bool:
    """Whether bytes beyond ASCII are there and are UTF-8: of an encoding of one byte a sign they hardly ever are."""
    try:
        return not codecs.getincrementaldecoder("utf-8")().decode(sample).isascii()
    except UnicodeDecodeError:
        return False


def _plain(encoding: str) -> str:
    return codecs.lookup(encoding).name.removesuffix("-le").removesuffix("-be")


def _without_mark(sample: bytes, file: str) -> str:
    """UTF-16 without a byte-order mark: every other byte of plain letters is 0."""
    even, odd = (sample[first : 1 << 12 : 2] for first in (0, 1))
    for zeros, others, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros.count(0) > 0.7 * len(zeros) and others.count(0) < 0.05 * len(others):
            return name
    raise DataError(f"{file}: holds binary data, not text; export it as CSV UTF-8, or as .xlsx.")


def _western(sample: bytes, file: str, ask: Ask) -> str:
    """cp1252, where the words that it gives look like words of a language that is written with it."""
    text = sample.decode(WESTERN, errors="replace")
    odd = next((word for word in _WORD.findall(text) if not _looks_western(word)), None)
    if odd is None:
        return WESTERN
    if (line := _other_line(sample)) is not None:
        said = "{file}: line {line} is not UTF-8, as other lines are; save it in one encoding, as CSV UTF-8."
        raise DataError(message(said, file=file, line=line))
    import charset_normalizer

    found = charset_normalizer.from_bytes(sample[:SAMPLE], cp_isolation=list(GUESSES))
    guesses = list(
        dict.fromkeys(name for match in found for name in match.could_be_from_charset if name != WESTERN)
    )
    line = text[: text.index(odd)].count("\n") + 1
    said = (
        '{file}: is not UTF-8, and not clearly Windows text either (line {line} would hold "{odd}"); save it as CSV '
        'UTF-8, or say how it is encoded: {key} = "{guess}"'
    )
    told = {"file": file, "line": line, "odd": odd[:40], "key": ask.place("encoding")}
    raise DataError(message(said, guess=(guesses or ["cp1250"])[0], **told))


def _other_line(sample: bytes) -> int | None:
    """The first line that is not UTF-8, where most lines beyond ASCII are; None where the bytes are of one encoding."""
    wrong: list[int] = []
    right = 0
    for number, line in enumerate(sample.splitlines(), start=1):
        if not line.isascii():
            try:
                line.decode()
                right += 1
            except UnicodeDecodeError:
                wrong.append(number)
    return wrong[0] if right > len(wrong) > 0 else None


def _looks_western(word: str) -> bool:
    """Whether a word is one: its signs are letters, small ones after small ones, and not most of them are accented."""
    strange = [sign for sign in word if ord(sign) > 127]
    if not strange:
        return True
    letters = [sign for sign in word if sign.isalpha()]
    if not letters:  # a currency sign, a dash, a quotation mark alone
        return all(sign in "€£¥§°–—…’‘“”´«»·®©™\u00a0²³½¼¾µ±×†•" for sign in strange)
    inner = word.strip("€£¥§°–—…’‘“”´«»·®©™\u00a0²³º¿¡±×%&!?#@")
    if not all(sign.isalpha() or sign in "’&%" or ord(sign) < 128 for sign in inner):
        return False
    if any(b.isupper() and ord(b) > 127 and a.islower() for a, b in pairwise(inner)):
        return False
    accented = [sign for sign in letters if ord(sign) > 127]
    return len(letters) < 4 or len(accented) <= 0.6 * len(letters)


def read_text(path: Path, file: str, ask: Ask) -> tuple[str, str]:
    """The text of a file and its encoding. Raises DataError naming line and byte where it is not in that encoding."""
    if path.stat().st_size > MOST_TEXT:
        raise DataError(
            message(
                "{file}: is larger than {n:whole} bytes; {remedy}.", file=file, n=MOST_TEXT, remedy=SUM_UP
            )
        )
    content = path.read_bytes()
    encoding = encoding_of(content, file, ask, whole=True)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(undecodable(file, encoding, content, error, ask)) from None
    return text.removeprefix("\ufeff"), encoding


def binary(file: str) -> str:
    """The message for a text that holds bytes of zero."""
    return f"{file}: holds binary data, not text; export it as CSV UTF-8."


def undecodable(
    file: str, encoding: str, content: bytes, error: UnicodeDecodeError, ask: Ask, line: int = 1
) -> Message:
    """The message for bytes that are not in the encoding."""
    said = (
        "{file}: line {line} holds byte {byte}, which is not {encoding}; save the file as CSV UTF-8 (in Excel: Save "
        "As, CSV UTF-8), or say how it is encoded: {key}"
    )
    if ask.spec.encoding is not None:
        said = (
            "{file}: line {line} holds byte {byte}, which is not {encoding}, as {key} says; correct the key, or "
            "take it out"
        )
    told = {
        "file": file,
        "byte": hex(content[error.start]),
        "encoding": SPOKEN.get(encoding, encoding.upper()),
    }
    at = content.count(b"\n", 0, error.start) + line
    return message(said, line=at, key=ask.place("encoding"), **told)


def as_utf8(path: Path, encoding: str, target: Path, file: str, ask: Ask) -> None:
    """A copy of a text file in UTF-8 with one kind of line end, written in pieces. Raises DataError for a bad byte."""
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = io.IncrementalNewlineDecoder(None, translate=True)  # CR, LF and CRLF alike, across pieces too
    line, first = 1, True
    with path.open("rb") as source, target.open("w", encoding="utf-8", newline="") as out:
        while True:
            piece = source.read(CHUNK)
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                raise DataError(undecodable(file, encoding, bytes(error.object), error, ask, line)) from None
            out.write(lines.decode(text.removeprefix("\ufeff") if first else text, final=not piece))
            line, first = line + piece.count(b"\n"), False
            if not piece:
                return


# --------------------------------------------------------------------------------------------- delimiter and header


def csv_rows(
    text: str, delimiter: str, file: str, *, strict: bool = True
) -> Iterator[tuple[int, int, list[str]]]:
    """Each row of cells with its first and last line, from 1. Raises DataError where it is not valid CSV."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    before = csv.field_size_limit(MOST_CELL)
    try:
        last = 0
        for cells in reader:
            yield last + 1, reader.line_num, cells
            last = reader.line_num
    except csv.Error as error:
        said = f"{file}: line {reader.line_num} is not valid CSV ({error}); check its quotes."
        raise DataError(said) from None
    finally:
        csv.field_size_limit(before)


def form_of(sample: str, encoding: str, file: str, ask: Ask) -> TextForm:
    """Delimiter and header of a text, from its first lines. Raises DataError where no header can be found."""
    declared = re.match(r"sep=(.)\s*(?:\r\n|\r|\n)", sample, re.IGNORECASE)
    marks = tuple(DELIMITERS)
    if ask.spec.delimiter is not None:
        marks = (ask.spec.delimiter,)
    elif declared and declared[1] in DELIMITERS:
        marks = (declared[1],)
    skipped = max(ask.spec.skip_rows or 0, 1 if declared else 0)
    found = [(_cut(sample, mark, skipped), mark) for mark in marks]
    (_, rows), delimiter = max(found, key=lambda each: (each[0][0], -marks.index(each[1])))
    if not rows:
        for _ in csv_rows(sample, delimiter, file, strict=False):
            pass  # which says what is no CSV
        raise DataError(f"{file}: has no line with text; export it again with its data.")
    _check_keys(sample, rows, skipped, file, ask)
    at = header_row([cells for _, _, cells in rows], [first for first, _, _ in rows], ask, file)
    first, last, cells = rows[at]
    before = [number for number, _, _ in rows[:at]]
    before = [*range(1, skipped + 1), *before] if skipped else before
    left_out = (LeftOut("lines before the header", len(before), tuple(before)),) if before else ()
    return TextForm(encoding, delimiter, tuple(cells), first, last, left_out)


Cut = list[tuple[int, int, list[str]]]


def _check_keys(sample: str, rows: Cut, skipped: int, file: str, ask: Ask) -> None:
    """Refuse a delimiter or a number of skipped rows that the study gives, where the header shows only without it."""
    if ask.spec.header_row is not None or any(titles_in(cells, ask) for _, _, cells in rows):
        return

    def shows(mark: str, skipped: int) -> int:
        """The line that names two columns or more; 0 where none does."""
        _, cut = _cut(sample, mark, skipped)
        return next((first for first, _, cells in cut if titles_in(cells, ask) >= 2), 0)

    if (given := ask.spec.delimiter) is not None:
        other = next((mark for mark in DELIMITERS if mark != given and shows(mark, skipped)), None)
        if other is not None:
            said = "{file}: its cells are parted by {other}, and {key} says {given}; correct the key, or take it out."
            told = {"other": DELIMITERS[other], "given": DELIMITERS[given], "key": ask.place("delimiter")}
            raise DataError(message(said, file=file, **told))
    if ask.spec.skip_rows:
        line = next((line for mark in DELIMITERS if (line := shows(mark, 0))), 0)
        if line:
            said = "{file}: {key} leaves out the header in row {line}; correct the key, or take it out."
            raise DataError(message(said, file=file, line=line, key=ask.place("skip_rows")))


def _cut(sample: str, mark: str, skipped: int) -> tuple[float, Cut]:
    """The first rows as this delimiter cuts them, without empty ones; and how well they agree on a number of cells."""
    rows: Cut = []
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=mark)
    last, before = 0, csv.field_size_limit(MOST_CELL)
    try:
        for cells in reader:
            if last >= skipped and any(cell.strip() for cell in cells):
                rows.append((last + 1, reader.line_num, cells))
            last = reader.line_num
            if len(rows) == LINES:
                break
    except csv.Error:
        return -1.0, []
    finally:
        csv.field_size_limit(before)
    if len(rows) > 2 and len(sample) >= SAMPLE // 4:
        rows = rows[:-1] if len(rows) < LINES else rows  # the last line of a sample may be cut
    widths = Counter(len(cells) for _, _, cells in rows if len(cells) > 1)
    if not widths:
        return 0.0, rows
    width, agreeing = widths.most_common(1)[0]
    return agreeing / len(rows) + min(width, 50) / 1000, rows


class NoRowError(DataError):
    """The row that the study names as the header is not there."""


def titles_in(row: Sequence[object], ask: Ask) -> int:
    """How many columns that are looked for a row names."""
    return len({name for cell in row if (name := ask.title(cell)) is not None})


def header_row(rows: Sequence[Sequence[object]], numbers: Sequence[int], ask: Ask, file: str) -> int:
    """Which of the first rows of a table holds the names of its columns: an index into `rows`.

    The row that the study names; else the first of those that hold most of the names which are looked for, two or
    more; else the first row that is as wide as most and holds no number. Raises DataError for a row that is not there.
    """
    if ask.spec.header_row is not None:
        if ask.spec.header_row not in numbers:
            said = "{file}: row {n}, which {key} names as the header, is empty or not there."
            raise NoRowError(message(said, file=file, n=ask.spec.header_row, key=ask.place("header_row")))
        at = numbers.index(ask.spec.header_row)
        named = titles_in(rows[at], ask)
        if not named and max(hits := [titles_in(row, ask) for row in rows]) >= 2:
            said = (
                "{file}: row {n}, which {key} names as the header, holds no name of a column that is looked for, and "
                "row {other} does; correct the key, or take it out."
            )
            told = {"n": ask.spec.header_row, "key": ask.place("header_row")}
            raise DataError(message(said, file=file, other=numbers[hits.index(max(hits))], **told))
        return at
    hits = [titles_in(row, ask) for row in rows]
    best = max(hits)
    if best >= 2:
        return hits.index(best)
    widths = Counter(_filled(row) for row in rows)
    width = max((w for w in widths if w > 1), key=lambda w: (widths[w], w), default=1)
    return next((i for i, row in enumerate(rows) if _filled(row) >= width), 0)


def _filled(row: Sequence[object]) -> int:
    return sum(cell is not None and str(cell).strip() != "" for cell in row)


# ----------------------------------------------------------------------------------------------------------- the table


def table_rows(
    text: str, form: TextForm, file: str
) -> tuple[list[tuple[str | None, ...]], list[int], tuple[LeftOut, ...]]:
    """Rows below the header, the line on which each starts, and the footer lines that were left out.

    A row may lack empty cells at its end, or have more empty ones than the header, or after them a word that says that
    it is a row of totals: all rows are then as wide as that one. Raises DataError for others.
    """
    n = len(form.header)
    rows: list[tuple[str | None, ...]] = []
    numbers: list[int] = []
    uneven: list[tuple[int, object]] = []
    for first, last, cells in csv_rows(text, form.delimiter, file):
        kept = tuple([cell.strip() or None for cell in cells])
        if last <= form.last_line or not any(kept):
            continue
        if last > first and any(holds_rows(cell, at, n, form.delimiter) for at, cell in enumerate(cells)):
            said = (
                "{file}: rows {first} to {last} stand in one cell: a quote opens in row {first} and closes in row "
                "{last}; take that quote out."
            )
            raise DataError(message(said, file=file, first=first, last=last))
        beyond = [cell for cell in kept[n:] if cell is not None]
        if beyond and all(means_total(cell) for cell in beyond):
            rows.append(kept)
            numbers.append(first)
            continue
        if (len(kept) != n and any(cell is not None for cell in kept[n:])) or len(kept) < n:
            uneven.append((first, len(kept)))
            numbers.append(first)
            rows.append((*kept, *[None] * n)[:n])
            continue
        rows.append(kept[:n])
        numbers.append(first)
    widest = max((len(row) for row in rows), default=n)
    rows = [(*row, *[None] * (widest - len(row))) for row in rows] if widest > n else rows
    end = footer(rows, numbers, form.header)
    wrong = [(number, width) for number, width in uneven if number not in end]
    if wrong:
        raise DataError(uneven_problem(file, n, form.delimiter, wrong))
    keep = [i for i, number in enumerate(numbers) if number not in end]
    left_out = (LeftOut("lines after the table", len(end), tuple(end)),) if end else ()
    return [rows[i] for i in keep], [numbers[i] for i in keep], left_out


def holds_rows(cell: str, at: int, n: int, delimiter: str) -> bool:
    r"""Whether a cell in column `at` (from 0) of `n` holds the end of a row, further rows, and the begin of one.

    >>> holds_rows("seo;5\n2026-02;seo", 1, 3, ";"), holds_rows("seo\nof ours", 1, 3, ";")
    (True, False)
    >>> holds_rows("\n2026-02;seo;", 2, 3, ";"), holds_rows("of ours; of theirs", 2, 3, ";")
    (True, False)
    """
    if delimiter not in cell or n < 3:
        return False
    first, *inner = re.split(r"\r\n|\r|\n", cell)  # the first and the last may be empty: parts of their rows
    if not inner:
        return False
    *inner, last = inner
    whole = all(line.count(delimiter) == n - 1 for line in inner if line)
    return first.count(delimiter) == n - 1 - at and last.count(delimiter) == at and whole


def footer(
    rows: Sequence[Sequence[object]],
    numbers: Sequence[int],
    header: Sequence[str],
) -> list[int]:
    """Numbers of the rows at the end that hold one text alone: notes of who exported the table."""
    found: list[int] = []
    if _filled(header) < 3:
        return found
    for number, row in zip(reversed(numbers), reversed(rows), strict=True):
        texts = [cell for cell in row if cell is not None]
        note = (
            len(texts) == 1 and isinstance(texts[0], str) and not any(sign.isdigit() for sign in texts[0][:1])
        )
        if not note:
            break
        found.append(number)
    return found[::-1]


def uneven_problem(file: str, n_columns: int, delimiter: str, found: Sequence[tuple[int, object]]) -> Message:
    """The message for rows that have more or fewer cells than the header."""
    text = (
        "{file}: the header has {n} columns, and there is another number of cells in {rows}; put quotes around cells "
        "that hold a {mark}, and fill every row to the same width."
    )
    mark = DELIMITERS[delimiter]
    return message(text, file=file, n=n_columns, rows=rows_text(found), mark=mark)
