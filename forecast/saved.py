"""What was saved and is read again, as JSON: sealed when it is written, and only believed when seal and shape fit.

    sealed     a value with `schema` and the checksum of its content under `sha256`
    unsealed   the value of a text, where schema, checksum and shape are right
    amiss      where a value departs from the shape that it should have
    exact      a value as bytes with its checksum, of which no bit may change; `exactly` reads them

The checksum is over the content in one spelling (sorted keys, no blanks), so that a file may be laid out anew. It finds
what was damaged or changed by hand, not who changed it. netCDF has the same: `fit.hdf5`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from forecast.bounds import MOST_JSON
from forecast.errors import DataError
from forecast.words import Message, Text, message

SEAL, SCHEMA = "sha256", "schema"
OUTLOOK = 1  # schema of draws.nc
SUMMARY = 1  # of summary.json
GROUP = 1  # of group.json
BACKTEST = 3  # of backtest.json
ORIGINS = 2  # of the lines of its origins
NUMBER = (int, float)
OR_NONE = (int, float, type(None))
CHANGED = "its content does not fit its checksum: it was damaged, or changed by hand"
UNSEALED = "it has no checksum: written by another version, or by hand"


class Unknown:
    """In a shape beside the numbers: NaN is one of them, for what is not known."""


class Boundless:
    """In a shape beside the numbers: any of them, NaN and the infinite ones too."""


class SpoiltError(ValueError):
    """What is wrong with something that was saved, for the middle of a message."""

    def __init__(self, said: Text) -> None:
        self.said = said
        super().__init__(str(said))


def checksum(value: Any) -> str:
    """sha256 over a value of JSON in one spelling."""
    told = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


def sealed(value: Mapping[str, Any], schema: int) -> dict[str, Any]:
    """A value of JSON's own types (`tables.plain`), with its schema first and its checksum last."""
    bare = {SCHEMA: schema, **{key: item for key, item in value.items() if key not in (SEAL, SCHEMA)}}
    return {**bare, SEAL: checksum(bare)}


def unsealed(text: str | bytes, schema: int, shape: Any) -> dict[str, Any]:
    """What `sealed` wrote, without the seal. Raises SpoiltError, saying what is wrong."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise SpoiltError("it is nested too deep") from None
    except ValueError as error:
        raise SpoiltError(message("it is cut off or damaged: {error}", error=str(error))) from None
    if not isinstance(found, dict):
        raise SpoiltError("it holds no table of names and values")
    if SCHEMA in found and found[SCHEMA] != schema:
        said = "it was written by another version (schema {came}, expected {schema})"
        raise SpoiltError(message(said, came=str(found[SCHEMA])[:20], schema=schema))
    if SEAL not in found or SCHEMA not in found:
        raise SpoiltError(UNSEALED)
    seal = found.pop(SEAL)
    try:
        whole = checksum(found) == seal
    except RecursionError:
        raise SpoiltError("it is nested too deep") from None
    if not whole:
        raise SpoiltError(CHANGED)
    if wrong := amiss(found, shape):
        raise SpoiltError(wrong)
    return found


def exact(value: Mapping[str, Any], indent: int | None = None) -> bytes:
    """A value of JSON with its checksum, keys in order, laid out in one way."""
    bare = {key: item for key, item in value.items() if key != SEAL}
    laid_out = json.dumps(bare | {SEAL: checksum(bare)}, indent=indent, ensure_ascii=False, sort_keys=True)
    return laid_out.encode()


def exactly(content: bytes, indent: int | None = None) -> dict[str, Any] | None:
    """What `exact` wrote, with its checksum; None where a single bit is another."""
    try:
        found = json.loads(content)
        return found if isinstance(found, dict) and exact(found, indent) == content else None
    except (ValueError, RecursionError):
        return None


def read_saved(path: Path, schema: int, shape: Any, remedy: Text) -> dict[str, Any]:
    """What was saved in a file. Raises DataError naming what is wrong and the remedy, OSError where it is not there."""
    try:
        if path.stat().st_size > MOST_JSON:
            raise SpoiltError(message("it is larger than {n:whole} bytes", n=MOST_JSON))
        return unsealed(path.read_bytes(), schema, shape)
    except SpoiltError as error:
        raise spoilt(path, error, remedy) from None


def spoilt(path: Path, error: SpoiltError, remedy: Text) -> DataError:
    """The error of a saved file: what is wrong with it, and what makes it anew."""
    said = "{path}: {what}; {remedy}."
    return DataError(message(said, path=path.as_posix(), what=error.said, remedy=remedy))


def amiss(value: Any, shape: Any, place: str = "") -> Text:
    """Where a value departs from its shape, in words; empty where it fits.

    shape: a type or several; a dict, of which each key must be there (of one whose name ends with "?", only if it is);
    {str: shape}, whatever the keys; [shape] for a list, all of whose items have that shape; a set of texts, of which it
    is one; object, anything; a function of the value and its place, which gives what is amiss. Numbers must be finite,
    but for NaN where `Unknown` is among the types, and for any where `Boundless` is.

    >>> str(amiss({"a": [1, None]}, {"a": [int]}))
    'a.2 is not what it should be (NoneType)'
    """
    return next(_departures(value, shape, place), "")


def _departures(value: Any, shape: Any, place: str) -> Iterator[Message]:
    kinds = shape if isinstance(shape, tuple) else (shape,)
    if object in kinds or (isinstance(value, float) and Boundless in kinds):
        return
    if Unknown in kinds and isinstance(value, float) and math.isnan(value):
        return
    if isinstance(shape, FunctionType):
        yield from shape(value, place)
        return
    if isinstance(shape, dict | list | set):
        if not isinstance(value, str if isinstance(shape, set) else type(shape)) or (
            isinstance(shape, set) and value not in shape
        ):
            yield _odd(value, place)
        elif isinstance(shape, list):
            for number, item in enumerate(value, start=1):
                yield from _departures(item, shape[0], _at(place, number))
        elif isinstance(shape, dict):
            yield from _of_table(value, shape, place)
    elif isinstance(value, float) and not math.isfinite(value):
        yield message("{place} is no finite number", place=place)
    elif not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        yield _odd(value, place)


def _of_table(value: Any, shape: Mapping[Any, Any], place: str) -> Iterator[Message]:
    each = dict.fromkeys(value, shape[str]) if str in shape else shape
    for key, inner in each.items():
        name = str(key).removesuffix("?")
        if key in value or name in value:
            yield from _departures(value[key if key in value else name], inner, _at(place, name))
        elif name == key:
            yield message("{name} is missing in it", name=_at(place, name))


def _at(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)


def _odd(value: Any, place: str) -> Message:
    kind = type(value).__name__
    return message("{place} is not what it should be ({kind})", place=place or "it", kind=kind)
