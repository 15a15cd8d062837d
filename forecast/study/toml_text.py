"""Values as TOML writes them: what `tomllib` reads again as the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any


def quoted(text: str) -> str:
    r"""A text as TOML writes it.

    >>> quoted('a "b"')
    '"a \\"b\\""'
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def named(text: str) -> str:
    """A key as TOML writes it: bare where it may be."""
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else quoted(text)


def toml_of(value: Any) -> str:
    """A value of a study on one line.

    >>> toml_of({"from": "2026-01", "times": (0.5, 2), "google ads": True})
    '{from = "2026-01", times = [0.5, 2], "google ads" = true}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{named(key)} = {toml_of(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    return quoted(value) if isinstance(value, str) else repr(value)
