"""A large text file, read by DuckDB, says the same as a small one, read line by line: histories, refusals and rows."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from made_files import LEAD, study_of, truth

from forecast.errors import DataError
from forecast.history import read_history
from forecast.read import relation

ROWS = [
    ["" if cell is None else str(cell) for cell in row] for row in truth("en", "leads", False)["leads"][1]
]
# cells that people write, or programs, where a date, a number or a name belongs
CELLS = (
    "", " ", "\u00a0", "x  ", "-", "–", "n/a", "0,-", "1.2.3", "1e5", "1e400", "1e16", "1 234 567,8", "12.345,6",
    "٣", "½", "1,234", "1.234", "-5", "(5)", "5%", "TRUE", "2026-13", "29.2.2025", "31.4.2026", "1.1.26", "46023",
    "20260301", "202603", "2026-W09", "2026-03-01T00:30:00Z", "2026-03-29 03:30", "2026-03-01 25:00", "1 March 2026",
    "2026-03-01 BC", "\u200b2026-03-01", "x\ny", "1\n2", 'a"b', "nan", "NULL", "#N/A", "#REF!", "1_000", "0x10",
    "0001-01-01", "2300-01-01", "epoch", "today", "\\N",
)  # fmt: skip


def text_of(rows: list[list[str]], delimiter: str) -> str:
    """A CSV with quotes where they are needed."""
    quoted = [
        ['"{}"'.format(c.replace('"', '""')) if set(c) & set('"\n') else c for c in row] for row in rows
    ]
    return "".join(delimiter.join(row) + "\n" for row in quoted)


def changed(seed: int) -> tuple[bytes, dict[str, str]]:
    """A file of leads with something odd in it, and keys of its study."""
    rng = random.Random(seed)  # noqa: S311
    rows = [list(LEAD), *([*row] for row in ROWS)]
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        rows[rng.randrange(1, len(rows))][rng.randrange(len(LEAD))] = rng.choice(CELLS)
    delimiter = rng.choice(";\t|")
    lines = text_of(rows, delimiter).splitlines(keepends=True)
    at = rng.randrange(1, len(lines))
    cut = lines[at].rstrip("\n")
    layouts: list[Callable[[], list[str]]] = [
        lambda: lines,
        lambda: [*lines[:at], "\n\n", *lines[at:]],
        lambda: [*lines[:at], delimiter * 6 + "\n", *lines[at:]],
        lambda: [*lines[:at], "  \n", *lines[at:]],
        lambda: [*lines[:at], lines[0], *lines[at:]],
        lambda: [*lines[:at], lines[1], *lines[at:]],
        lambda: [*lines[:at], cut.rsplit(delimiter, 2)[0] + "\n", *lines[at + 1 :]],
        lambda: [*lines[:at], cut + delimiter + "\n", *lines[at + 1 :]],
        lambda: ["Report\n", "\n", *lines],
        lambda: [*lines, "\n", "Exported by sales\n"],
    ]
    text = "".join(rng.choice(layouts)())
    where = rng.randrange(len(text))
    sign = rng.choice([""] * 6 + ['"', "\r", "\ufeff", "\0"])
    text = text[:where] + sign + text[where:]
    text = rng.choice([text] * 4 + [text.replace("\n", "\r\n"), text.replace("\n", "\r"), text[:where]])
    keys = {"bad_rows": "leave out"} if rng.random() < 0.3 else {}
    return text.encode(rng.choice(["utf-8"] * 4 + ["utf-8-sig", "utf-16"])), keys


def told(folder: Path, content: bytes, **history: object) -> tuple[str, object]:
    """The history and what is said of the file, or why it is refused."""
    (folder / "l.csv").write_bytes(content)
    try:
        read = read_history(study_of(folder, {"leads": "l.csv", **history}))
    except DataError as error:
        return "refused", str(error)
    out = [(str(left.reason), left.n, left.rows) for left in read.files[0].left_out if left.bad]
    return read.fingerprint(), sorted(out)


@pytest.mark.parametrize(
    "seed", [pytest.param(i, marks=() if i < 5 else pytest.mark.slow) for i in range(160)]
)
def test_large_and_small_files_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Whatever is in it, a file means the same however large it is, and whoever reads it."""
    content, keys = changed(seed)
    small = told(tmp_path, content, **keys)

    monkeypatch.setattr(relation, "MODERATE", 0)

    large = told(tmp_path, content, **keys)
    torn = "header" in str(small[1])  # header and rows do not fit: what is told first may differ
    assert large == small or (torn and large[0] == small[0] == "refused")


@pytest.mark.parametrize("breaks", [1, 150])
def test_rows_are_named_by_the_line_on_which_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: int
) -> None:
    """Below empty lines and line breaks in cells, few or many, also of rows that are left out."""
    monkeypatch.setattr(relation, "MODERATE", 0)
    lines = ["lead_id,channel,created,qualified,won,note\n"]
    lines += [
        f'a{i},seo,2026-01-31,,,"x\ny"\n' if i < breaks else f"a{i},seo,2026-01-31,,,x\n" for i in range(400)
    ]
    lines[200:200] = ["\n", ",,,,,\n"]
    lines.append("z,seo,never,,,x\n")
    line = "".join(lines).count("\n")

    assert f"row {line} (" in str(told(tmp_path, "".join(lines).encode())[1])

    _, out = told(tmp_path, "".join(lines).encode(), bad_rows="leave out")
    assert [(n, rows) for _, n, rows in out] == [(1, (line,))]
