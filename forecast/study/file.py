"""The text side of a study: TOML with its line numbers, overrides, what values may be, and messages to act on.

`tomllib` gives values without their places and pydantic gives places without their lines. This module keeps both: it
finds the line of every key, applies overrides, and turns pydantic's errors into `key: expected, came, did you mean`.
The kinds of values (a share, a delay, a period) and the checks that several tables make stand here too, once.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from os import PathLike, fspath
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from forecast.amounts import mended, two_ways
from forecast.bounds import MOST, MOST_DEPTH, MOST_STUDY, no_path
from forecast.errors import StudyError, UsageError
from forecast.periods import DAYS_PER_PERIOD, parse_period
from forecast.study.syntax import syntax_problem
from forecast.study.toml_text import named, toml_of
from forecast.words import Text, blank, clean, message, together

Key = tuple[str, ...]
SET, REPLACED = "--set", "replace"  # how a key was set from outside

TOO_DEEP = message("holds tables or lists inside each other, more than {n} deep", n=MOST_DEPTH)
TOO_LONG = message("is longer than {n:whole} bytes, and a study is a page or two of text", n=MOST_STUDY)

# a text in any quotes, or a comment: what begins first holds what follows
_LONG_TEXT = re.compile(
    r'''"""(?:\\.|[^\\])*?"""|\'{3}.*?\'{3}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*''', re.DOTALL
)
_HEADER = re.compile(r"^\s*\[\[?\s*(?P<key>[^\[\]=]+?)\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(
    r"""^\s*(?P<key>(?:[\w\-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w\-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_EXPECTED = {
    "string_type": "text in quotes",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": "above",
    "greater_than_equal": "of at least",
    "less_than": "below",
    "less_than_equal": "of at most",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a study: the dotted key, and the text for a person."""

    key: str
    text: Text


class Problems(ValueError):  # noqa: N818 - it carries problems to pydantic, and is never shown itself
    """Several problems found by one check; their keys are relative to the table that was checked."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{problem.key}: {problem.text}" for problem in self.problems))


# ------------------------------------------------------------------------------------------------- what a value may be


class Table(BaseModel):
    """A table of the study: strict types, no unknown keys, frozen, no NaN or infinity."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )

    def given(self, keys: Iterable[str]) -> list[str]:
        """Those of `keys` that the study gives a value."""
        return [key for key in keys if getattr(self, key) is not None]


DAYS_PER_UNIT = {"day": 1.0, **DAYS_PER_PERIOD, "year": 365.25}


def as_days(value: object) -> object:
    """A delay in days from "14 days", "2 weeks", "1.5 months" or a number of days."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(day|week|month|quarter|year)s?\s*", value)
    if match is None:
        raise ValueError('expected a time such as "14 days", "2 weeks" or "1.5 months"')
    return float(match[1]) * DAYS_PER_UNIT[match[2]]


def _label(value: object) -> object:
    """A TOML date stands for its ISO text, so that `from = 2023-11-01` works without quotes."""
    return value.isoformat() if isinstance(value, date) else value


NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
SomeShare = Annotated[float, Field(gt=0, le=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Delay = Annotated[Positive, BeforeValidator(as_days)]  # in days
Label = Annotated[str, BeforeValidator(_label)]  # of a period


def _seen(name: str) -> str:
    if blank(name):
        raise ValueError("expected a name that can be read; nothing is seen of this one")
    return name


Name = Annotated[str, Field(min_length=1), AfterValidator(_seen)]


def is_number(value: object) -> bool:
    """Whether a value of the study is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def is_amount(value: object) -> bool:
    """Whether a value of the study is a finite number of 0 or more."""
    return is_number(value) and value >= 0  # type: ignore[operator]


def several(value: object) -> object:
    """A text alone as a list of one."""
    return (value,) if isinstance(value, str) else value


def one_of(known: Sequence[str]) -> AfterValidator:
    """The check that a text is one of those known."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f'expected one of {", ".join(known)}; came "{value}"{nearest(value, known)}')
        return value

    return AfterValidator(check)


def check_order(table: Table, low: str, high: str) -> None:
    """Raise ValueError where both keys have a value, and the first is above the second."""
    a, b = getattr(table, low), getattr(table, high)
    if a is not None and b is not None and a > b:
        said = "expected {low} <= {high}; came {low} = {a:given}, {high} = {b:given}"
        raise ValueError(message(said, low=low, high=high, a=a, b=b))


def not_one(keys: Sequence[str], given: Sequence[str]) -> str:
    """What is wrong where exactly one of `keys` was to be given; empty where it was."""
    came = " and ".join(given) or "none"
    return "" if len(given) == 1 else f"expected exactly one of {', '.join(keys)}; came {came}"


def repeated(names: Sequence[str]) -> list[tuple[int, str]]:
    """Names that were there before, as far as a reader can tell, with their place in the list (from 1)."""
    read = [unicodedata.normalize("NFC", clean(name)).strip() for name in names]
    return [(n, name) for n, name in enumerate(names, start=1) if read[n - 1] in read[: n - 1]]


def window_problems(kind: str, *ends: tuple[str, str | None]) -> Iterator[Problem]:
    """What is wrong with a period, or with the first and last of several: (key, text) each, None where left open."""
    starts = []
    for key, text in ends:
        if text is not None:
            try:
                starts.append(parse_period(text, kind))
            except ValueError as error:
                yield Problem(key, str(error))
    if len(starts) == 2 and starts[0] > starts[1]:
        (_, first), (key, last) = ends
        yield Problem(key, f'expected a period not before from = "{first}"; came "{last}"')


def refuse(found: Iterable[Problem]) -> None:
    """Raise Problems where there are any."""
    if problems := list(found):
        raise Problems(problems)


# -------------------------------------------------------------------------------------------- the file and its lines


@dataclass
class Source:
    """The values of a study file, where each key stands, and which keys were set from outside, and how.

    overrides: the same as `key=value` texts, in order. path: None where there is no file.
    """

    path: Path | None
    values: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict)
    overridden: dict[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()

    def line(self, key: str) -> int:
        """Line of the key, or of the nearest table around it; 1 when nothing of it is in the file."""
        parts = key.split(".") if key else []
        for n in range(len(parts), 0, -1):
            if (found := self.lines.get(".".join(parts[:n]))) is not None:
                return found
        return 1

    def place(self, key: str) -> str:
        """`study.toml:12: plan.periods`, or `--set: plan.periods` for an override."""
        for given, how in self.overridden.items():
            if key == given or key.startswith(f"{given}."):
                return f"{how}: {key}"
        if self.path is None:
            return key or "study"
        return f"{self.path}:{self.line(key)}: {key}" if key else f"{self.path}:1"

    def changed(self, changes: Mapping[str, Any]) -> Source:
        """The same with keys set from Python: dotted keys and values as TOML gives them; this one stays as it is.

        Raises StudyError for what is no value of TOML, or a key inside a value.
        """
        made = Source(self.path, _tables(self.values), self.lines, dict(self.overridden), self.overrides)
        for key, given in changes.items():
            parts = _key_of(key.strip())
            name = ".".join(parts)
            value = _value_in(f"{REPLACED}: {name}", given)
            if (table := made.put(parts, value, REPLACED)) is not None:
                raise StudyError(
                    f'{REPLACED}: {name}: "{table}" is a value in the study, not a table: give it whole'
                )
            made.overrides += (f"{'.'.join(map(named, parts))} = {toml_of(value)}",)
        if large := list(_too_large(made.values)):
            raise StudyError([f"{made.place(key)}: expected a number below 1e15" for key in large])
        return made

    def put(self, parts: Key, value: Any, how: str) -> str | None:
        """Set a key; the name of a part of it that is a value and no table, where there is one: nothing is set then."""
        *tables, last = parts
        values = self.values
        for table in tables:
            inner = values.setdefault(table, {})
            if not isinstance(inner, dict):
                return table
            values = inner
        values[last] = value
        self.overridden[".".join(parts)] = how
        return None


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` when something known is close to the word, else nothing."""
    names = list(known)
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f'; did you mean "{by_lower[close[0]]}"?' if close else ""


def files_of(folder: Path, name: str) -> list[Path]:
    """The files that a name in a study means, in order: one, or all that a pattern with * ? [ ] matches.

    A file that is called so is itself; a pattern that matches none stands for itself too.
    """
    place = folder / name
    if no_path(place) or place.exists() or not re.search(r"[*?\[]", name):
        return [place]
    base, pattern = (
        (Path(place.anchor), str(place.relative_to(place.anchor)))
        if place.is_absolute()
        else (Path(), str(place))
    )
    found = [path for path in base.glob(pattern) if path.is_file()]
    return sorted(found) or [place]


def only_study(folder: Path = Path()) -> Path:
    """The one study in a folder or its models/: a TOML file with [history]. Raises UsageError for none or several."""
    places = sorted(folder.glob("*.toml")) + sorted((folder / "models").glob("*.toml"))
    found = [path for path in places if _is_study(path)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(map(str, found))
        raise UsageError(f"which study? There are {listed}: name one, such as `forecast check {found[0]}`")
    raise UsageError(
        "no study is named, and none is here or in models/ (a TOML file with [history]): name one, or make one with "
        "`forecast init DIR`"
    )


def studies_of(named: Sequence[Path]) -> list[Path]:
    """The studies that were named; a pattern that the shell has left as it is stands for the files it fits, in order.

    Raises UsageError for a pattern that fits nothing.
    """
    found: list[Path] = []
    for path in named:
        if path.exists() or not any(sign in str(path) for sign in "*?["):
            found.append(path)
            continue
        anchor = Path(path.anchor)
        fits = sorted(anchor.glob(str(path.relative_to(anchor)) if path.anchor else str(path)))
        if not fits:
            raise UsageError(message("{path}: no file fits this pattern", path=path))
        found += fits
    return found


def _is_study(path: Path) -> bool:
    """Whether a TOML file has a history; one with a fault in it is looked at line by line."""
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    try:
        return "history" in tomllib.loads(text[:MOST_STUDY])
    except (ValueError, RecursionError):
        return re.search(r"^\s*(\[\s*history\s*[\].]|history\s*[.=])", text, re.MULTILINE) is not None


def read_source(path: Path, overrides: Sequence[str] = ()) -> Source:
    """Read a TOML file and apply overrides.

    Raises StudyError for a file that is absent, not UTF-8 or not TOML, UsageError for a malformed override.
    """
    text = _read_text(path)
    try:
        values = tomllib.loads(text, parse_float=_Float)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(syntax_problem(path, text, str(error))) from None
    except (ValueError, RecursionError) as error:
        raise StudyError(message("{path}: {what}.", path=str(path), what=_beyond(error))) from None
    if _depth(values) > MOST_DEPTH:
        raise StudyError(message("{path}: {what}.", path=str(path), what=TOO_DEEP))
    source = Source(path, _tuples(values), _lines_of(text))
    if unclear := list(_unclear(values)):
        raise StudyError([f"{source.place(key)}: {said}" for key, said in unclear])
    for override in overrides:
        _apply(source, override)
    if large := list(_too_large(source.values)):
        raise StudyError([f"{source.place(key)}: expected a number below 1e15" for key in large])
    return source


def _beyond(error: Exception) -> Text:
    """What lies beyond the bounds of the study, from what Python says of it."""
    if isinstance(error, RecursionError):
        return TOO_DEEP
    return "holds a whole number of thousands of digits; expected a number below 1e15"


def _depth(value: Any) -> int:
    """How many tables and lists stand inside each other; one more than the bound where they are more."""
    level, depth = [value], 0
    while level and depth <= MOST_DEPTH:
        parts = (v.values() if isinstance(v, dict) else v for v in level)
        level = [part for each in parts for part in each if isinstance(part, dict | list | tuple)]
        depth += 1
    return depth


def _too_large(value: Any, key: Key = ()) -> Iterator[str]:
    """Keys of numbers beyond the bound: whole ones of any length, before anything computes with them."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _too_large(part, (*key, name))
    elif isinstance(value, tuple):
        for number, part in enumerate(value, start=1):
            yield from _too_large(part, (*key, str(number)) if isinstance(part, dict) else key)
    elif isinstance(value, int | float) and MOST <= abs(value) < float("inf"):
        yield ".".join(key)


class _Float(float):
    """A number with a point, and how it was written."""

    def __new__(cls, text: str) -> _Float:
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str


def _unclear(value: Any, key: Key = ()) -> Iterator[tuple[str, str]]:
    """Numbers such as 120.000: whoever writes a last zero behind the point most likely means thousands."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _unclear(part, (*key, name))
    elif isinstance(value, list):
        for number, part in enumerate(value, start=1):
            yield from _unclear(part, (*key, str(number)) if isinstance(part, dict) else key)
    elif isinstance(value, _Float) and value.text.endswith("0") and (both := two_ways(value.text)):
        yield ".".join(key), f"{value.text} can be read in two ways: write {both[0]} or {both[1]}"


def _read_text(path: Path) -> str:
    if wrong := no_path(path):
        raise StudyError(message("{path}: cannot be read ({why}).", path=str(path)[:90], why=wrong))
    try:
        if path.is_dir():
            raise StudyError(f"{path}: is a folder; expected a study file such as {path / 'study.toml'}.")
        if path.stat().st_size > MOST_STUDY:
            raise StudyError(message("{path}: {what}.", path=str(path), what=TOO_LONG))
        content = path.read_bytes()
    except FileNotFoundError:
        there = [found.name for found in sorted(path.parent.glob("*.toml"))] if path.parent.is_dir() else []
        listed = f"; that folder holds {', '.join(there[:8])}" if there else ""
        raise StudyError(f"{path}: there is no such file{nearest(path.name, there) or listed}") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        text = f"byte {content[error.start]:#04x} is not UTF-8; save the file as UTF-8 (plain text)"
        raise StudyError(f"{path}:{line}: {text}") from None


def _tables(value: Any) -> Any:
    """The same tables anew, so that a change of one leaves the other; what else there is cannot change."""
    return {key: _tables(part) for key, part in value.items()} if isinstance(value, dict) else value


def _value_in(place: str, given: Any) -> Any:
    """A value of Python as TOML would give it. Raises StudyError where TOML has no such value."""
    if isinstance(given, BaseModel):
        given = given.model_dump(by_alias=True, exclude_unset=True)
    if isinstance(given, PathLike):
        return fspath(given)
    if hasattr(given, "tolist"):  # numpy's numbers and arrays
        given = given.tolist()
    if isinstance(given, Mapping):
        return {str(key): _value_in(f"{place}.{key}", part) for key, part in given.items()}
    if isinstance(given, list | tuple):
        return tuple(_value_in(f"{place}.{n}", part) for n, part in enumerate(given, start=1))
    if isinstance(given, str | bool | int | float | date):
        return given
    if given is None:
        text = "expected a value, as TOML has them; came None. To leave a key out, give its table without it"
        raise StudyError(f"{place}: {text}")
    raise StudyError(f"{place}: expected a value, as TOML has them; came {type(given).__name__}")


def _tuples(value: Any) -> Any:
    """TOML's lists as tuples: a study is frozen all the way down."""
    if isinstance(value, dict):
        return {key: _tuples(part) for key, part in value.items()}
    if isinstance(value, _Float):
        return float(value)
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


def _lines_of(text: str) -> dict[str, int]:
    """The line of each table header and each key, by dotted key; a key inside an inline table has its table's line.

    Tables of a list ([[lift_test]]) are counted from 1: the second one's keys are lift_test.2.channel and so on.
    """
    lines: dict[str, int] = {}
    table: Key = ()
    count: dict[Key, int] = {}
    for number, line in enumerate(_LONG_TEXT.sub(_blank, text).splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _key_of(header["key"])
            lines.setdefault(".".join(table), number)
            if line.lstrip().startswith("[["):
                count[table] = count.get(table, 0) + 1
                table = (*table, str(count[table]))
                lines[".".join(table)] = number
        elif entry := _ENTRY.match(line):
            lines.setdefault(".".join((*table, *_key_of(entry["key"]))), number)
    return lines


def _blank(found: re.Match[str]) -> str:
    """The line breaks of a text over several lines, in its place: what stands in it are no keys."""
    return "\n" * found[0].count("\n") if found[0][:3] in ('"""', "'''") else found[0]


def _key_of(text: str) -> Key:
    """The parts of a TOML key; quotes protect dots and blanks. Loose texts are cut at their dots."""
    try:
        value: Any = tomllib.loads(f"{text} = 0")
    except (ValueError, RecursionError):
        value = {}
    if not value:  # no key, or a comment
        return tuple(part.strip() for part in text.split("."))
    parts: list[str] = []
    while isinstance(value, dict):
        name = next(iter(value))
        parts.append(name)
        value = value[name]
    return tuple(parts)


def _apply(source: Source, override: str) -> None:
    """Set one `key=value` in the values; a value that is no TOML is taken as text."""
    name, equals, text = override.partition("=")
    if len(override.splitlines()) > 1:
        said = "--set {override}: expected one key=value, and this has a line break in it: give --set for each key"
        raise UsageError(message(said, override=" ".join(override.split())))
    if not equals or not name.strip():
        raise UsageError(
            f'--set {override}: expected key=value, for example --set plan.periods=6; came "{override}".'
        )
    if (both := two_ways(text)) and ("," in text or text.strip().endswith("0")):
        key = name.strip()
        raise UsageError(
            f"--set {override}: write {key}={both[0]} or {key}={both[1]}; it can be read in two ways."
        )
    value = _value_of(override, text)
    parts = _key_of(name.strip())
    if len(parts) > MOST_DEPTH + 1:
        raise UsageError(message("--set {key}: {what}.", key=name[:40], what=TOO_DEEP))
    if (table := source.put(parts, value, SET)) is not None:
        raise UsageError(f'--set {override}: "{table}" is a value in the study, not a table.')
    source.overrides += (override,)


def _value_of(override: str, text: str) -> Any:
    """The value of an override, a text where it is no TOML. Raises UsageError where it is beyond the bounds."""
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text.strip()
    except (ValueError, RecursionError) as error:
        raise UsageError(
            message("--set {given}: {what}.", given=override[:40], what=_beyond(error))
        ) from None
    if _depth(found) > MOST_DEPTH:
        raise UsageError(message("--set {given}: {what}.", given=override[:40], what=TOO_DEEP))
    return _tuples(found["value"])


# ----------------------------------------------------------------------------------------------- errors as problems


def explain(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Pydantic's errors as problems for a person."""
    found: list[Problem] = []
    for detail in error.errors(include_url=False):
        loc = tuple(str(part) for part in detail["loc"] if not isinstance(part, int))
        key = _place_of(detail["loc"], inside=isinstance(detail["input"], dict))
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, Problems):
            found += [Problem(".".join(filter(None, (*key, part.key))), part.text) for part in cause.problems]
        else:
            found.append(Problem(".".join(key), _text_of(dict(detail), loc, model)))
    return found


def _place_of(loc: tuple[int | str, ...], *, inside: bool) -> Key:
    """Pydantic's location as a key: which table of a list (from 1) is told, which value of a list is not."""
    last = len(loc) if inside else len(loc) - 1
    return tuple(
        str(part + 1) if isinstance(part, int) else part
        for i, part in enumerate(loc)
        if not isinstance(part, int) or i < last
    )


def _text_of(detail: dict[str, Any], loc: Key, model: type[BaseModel]) -> Text:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(loc, model)
    if kind == "missing":
        return (
            f"expected a table [{loc[-1]}], and there is none"
            if _model_at((*loc, ""), model)
            else "this key is needed"
        )
    came = f"; came {_shown(detail['input'])}"
    if kind == "value_error":
        said: Text = context["error"].args[0]  # as a check gave it to ValueError
        whole = "came" in str(said) or isinstance(detail["input"], dict)
        return said if whole else together(said, came, between="")
    if kind == "literal_error":
        quoted = re.findall(r"""'([^']*)'|"([^"]*)\"""", context["expected"])
        options = [one or other for one, other in quoted] or re.split(r", | or ", context["expected"])
        guess = nearest(detail["input"], options) if isinstance(detail["input"], str) else ""
        signs = not all(option[:1].isalnum() for option in options)
        shown = [f'"{option}"' if signs else option for option in options]
        return f"expected one of {', '.join(shown)}{came}{guess}"
    if kind in _BOUNDS:
        bound = next(context[key] for key in ("gt", "ge", "lt", "le") if key in context)
        percent = message(" (write 60~% as 0.6)" if kind.startswith("less") and bound == 1 else "")
        said = message("expected a number {above} {bound:given}", above=_BOUNDS[kind], bound=bound)
        return together(said, came, percent, between="")
    expected = _EXPECTED.get(kind, detail["msg"].removeprefix("Input should be ").rstrip("."))
    number = mended(detail["input"]) if isinstance(detail["input"], str) and "number" in expected else ""
    return f"expected {expected}{came}; write {number}" if number else f"expected {expected}{came}"


def drop_unknown(error: ValidationError, values: dict[str, Any]) -> bool:
    """Take the unknown keys that `error` found out of `values`; true if there were any."""
    unknown = [
        detail["loc"] for detail in error.errors(include_url=False) if detail["type"] == "extra_forbidden"
    ]
    for *tables, last in unknown:
        inner: Any = values
        for table in tables:
            inner = inner[table]
        del inner[last]
    return bool(unknown)


def _unknown_key(loc: Key, model: type[BaseModel]) -> str:
    here = _model_at(loc, model)
    known = _keys(here) if here else []
    if guess := nearest(loc[-1], known):
        return f"unknown key{guess}"
    homes = [
        name
        for name, info in model.model_fields.items()
        if (m := _model_in(info.annotation)) and loc[-1] in _keys(m)
    ]
    home = f"; it belongs in [{homes[0]}]" if homes and homes[0] != loc[0] else ""
    return f"unknown key{home}; known here: {', '.join(known)}"


def _keys(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items() if name not in {"folder", "path"}]


def _model_at(loc: Key, model: type[BaseModel]) -> type[BaseModel] | None:
    """The table that holds the last part of the location."""
    here: Any = model
    for part in loc[:-1]:
        if isinstance(here, type) and issubclass(here, BaseModel):
            named = {info.alias or name: info.annotation for name, info in here.model_fields.items()}
            here = named.get(part)
        else:  # a name inside dict[str, Table]
            here = _model_in(here)
        if here is not None and not str(here).startswith("dict"):
            here = _model_in(here)
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The table type inside an annotation such as `Table | None` or `dict[str, Table]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value if len(value) <= 60 else value[:57] + "..."}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, tuple) else str(value)
