"""Templates of HTML pages: text with {{places}}, filled in one pass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files


def template(name: str) -> str:
    """A file of `report/templates/`."""
    return (files("forecast.report") / "templates" / name).read_text(encoding="utf-8")


def filled(text: str, parts: Mapping[str, str]) -> str:
    """A template with its {{places}} filled, in one pass: what is filled in is not looked at again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], text)
