"""What to write instead where a study is not TOML: the way out for what people type most often.

TOML is strict where people are not: a number takes a point and no other mark, text and periods stand in straight
quotes, and so does a key with letters beyond a to z. Each rule looks at the line and says how it would be written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from forecast.amounts import mended

_PLACE = re.compile(
    r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$", re.DOTALL
)
_CURLY = frozenset("\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb")
_HEADER = re.compile(r"^\s*\[\[?(?P<key>[^\[\]=#]+)\]\]?")
_KEY = re.compile(r"""(?:^|[{,])\s*(?P<key>[^\s=#{}\[\],"'][^=#{}\[\],]*?)\s*=""")
_ENTRY = re.compile(
    r"""(?P<key>[\w."'-]+)\s*=\s*(?P<value>[^\s"'#{}\[\]][^"'#{}\[\]=]*?)\s*"""
    r"""(?=$|[#}]|,\s*[\w"'-]+\s*=)"""
)
_OPEN_TEXT = re.compile(r"""=\s*("[^"\\]*|'[^']*)$""")
_PERIOD = re.compile(r"\d{4}-?(\d{1,2}|[WQ]\d{1,2})", re.IGNORECASE)
_WORDS = re.compile(r"""[^\d"'\[\]{}=,.][^"'\[\]{}=,]*""")


def syntax_problem(path: Path, text: str, said: str) -> str:
    """What is wrong in a study that is no TOML, where, and what to write instead; `said` is what tomllib says."""
    found = _PLACE.match(said)
    if found is None:
        return f"{path}:1: not valid TOML: {said}."
    lines = text.splitlines()
    number = int(found["line"] or len(lines) or 1)
    column = "" if found["line"] is None else f" at column {found['column']}"
    line = lines[number - 1] if number <= len(lines) else ""
    way_out = next(_ways_out(line, found["what"]), "")
    return f"{path}:{number}: not valid TOML{column}: {found['what']}.{way_out and ' '}{way_out}"


def _ways_out(line: str, what: str) -> Iterator[str]:
    """What to write instead, the surest first; nothing where the line does not show it."""
    if "overwrite" in what or "twice" in what:
        yield "It is there before: keep one of the two."
    elif curly := sorted(set(line) & _CURLY):
        yield f'Quotes must be straight, not {" ".join(curly)}: key = "text".'
    elif _OPEN_TEXT.search(line):
        yield "A quote is missing at its end."
    elif "\\" in line and "'\\\\'" in repr(what):
        yield r"A backslash stands in single quotes: key = 'C:\data\file.csv'."
    else:
        yield from _keys(line)
        yield from _values(line)
        if what.startswith("Invalid value"):
            yield 'Text needs quotes: key = "text".'


def _keys(line: str) -> Iterator[str]:
    """Keys with letters that need quotes."""
    header = _HEADER.match(line)
    for found in [header] if header else _KEY.finditer(line):
        key = _quoted(found["key"])
        if key:
            shown = line.strip().replace(found["key"].strip(), key) if header else f"{key} = ..."
            yield f"A key with such letters needs quotes: {shown}"


def _quoted(key: str) -> str:
    """A dotted key with quotes round the parts that need them; empty where none does."""
    parts = [part.strip() for part in re.findall(r"""\"[^"]*"|'[^']*'|[^.]+""", key)]
    bare = [part for part in parts if part[:1] not in "'\"" and not re.fullmatch(r"[A-Za-z0-9_-]+", part)]
    return ".".join(f'"{part}"' if part in bare else part for part in parts) if bare else ""


def _values(line: str) -> Iterator[str]:
    """Values without quotes that are no TOML: numbers with other marks, periods, true and false, words."""
    for entry in _ENTRY.finditer(line):
        key, value = entry["key"].strip(), entry["value"].strip()
        number = mended(value)
        if number == value or value in ("true", "false"):
            continue
        if number:
            rule = (
                "A rate is a share of 1" if value.endswith("%") else "A number takes a point, no other mark"
            )
            yield f"{rule}: {key} = {number}."
        elif _PERIOD.fullmatch(value):
            yield f'A period needs quotes: {key} = "{value}".'
        elif value.lower() in ("true", "false"):
            yield f"It is written in small letters: {key} = {value.lower()}."
        elif _WORDS.fullmatch(value):
            quote = "'" if "\\" in value else '"'
            yield f"Text needs quotes: {key} = {quote}{value}{quote}."
