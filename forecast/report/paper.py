"""Text as paper can show it: signs that nobody sees are gone, and what no font has a shape for becomes one box.

    on_paper     any text: one form of each letter, no selectors, no joiners left without what they join
    in_figure    the SVG of a figure: what reads as one sign must be one code point
    boxed        everything that a document holds, with a box for each cluster that has no shape

A cluster is what a reader takes for one sign: a letter with its accents, syllables of Indic scripts, an emoji of
several persons. PDF/A wants the text behind every shape; in the SVG of a figure typst can give it for single code
points alone. What is shown as a box here stands in full in CSV, JSON and the workbook.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from typing import Any

BOX = "\N{WHITE SQUARE}"
ZWJ = "\u200d"
MARKUP = '\n<>;"'  # of an SVG: no part of the text beside it
# Signs without a shape that say how others are drawn or where lines may break, joiners aside; our soft hyphen stays.
_UNSEEN = re.compile(
    "[\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2060-\u2065\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\U000e0000-\U000e0fff]"
)
# Vowel points of Hebrew and Arabic: readers do without them.
_POINTS = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed]"
)
_FLAGS = ("\U0001f1e6", "\U0001f1ff")
_TONES = ("\U0001f3fb", "\U0001f3ff")


def on_paper(said: str) -> str:
    r"""A text without the signs that only steer its drawing, in composed form.

    >>> on_paper("a\u0308\u2764\ufe0f\u200b")
    'ä❤'
    """
    if said.isascii():
        return said
    return unicodedata.normalize("NFC", _UNSEEN.sub("", said))


def in_figure(svg: str) -> str:
    """The SVG of a figure in which every cluster is one code point: a box for those that are not."""
    if svg.isascii():
        return svg
    parts = (part.rstrip(ZWJ) for part in clusters(on_paper(_POINTS.sub("", svg))))
    return "".join(part if len(part) < 2 else BOX for part in parts)


def boxed(content: Any, shapes: Collection[int]) -> Any:
    """The same content with a box for every cluster of which some sign has no shape."""
    return each_text(content, lambda said: said if said.isascii() else "".join(_boxes(said, shapes)))


def _boxes(said: str, shapes: Collection[int]) -> list[str]:
    return [part if all(ord(sign) in shapes for sign in part) else BOX for part in clusters(said)]


def clusters(said: str) -> list[str]:
    r"""A text in the pieces that read as one sign each: nearly the extended clusters of Unicode (UAX 29).

    >>> [len(part) for part in clusters("a\u0301\u0302b\U0001f469\u200d\U0001f467")]
    [3, 1, 3]
    """
    parts: list[str] = []
    for sign in said:
        if parts and _belongs(parts[-1], sign):
            parts[-1] += sign
        else:
            parts.append(sign)
    return parts


def _belongs(before: str, sign: str) -> bool:
    """Whether a sign continues the cluster that stands before it."""
    if sign.isascii():
        return False
    last = before[-1]
    if sign == ZWJ or unicodedata.category(sign) in ("Mn", "Mc", "Me") or _TONES[0] <= sign <= _TONES[1]:
        return last not in MARKUP
    if last == ZWJ:
        return True
    if unicodedata.combining(last) == 9:  # a virama joins two consonants
        return unicodedata.category(sign) == "Lo"
    if _is(_FLAGS, sign):
        return len(before) == 1 and _is(_FLAGS, last)
    return _hangul(last) and _hangul(sign)


def _is(ends: tuple[str, str], sign: str) -> bool:
    return ends[0] <= sign <= ends[1]


def _hangul(sign: str) -> bool:
    """Whether a sign is a part of a syllable that was not composed."""
    return "\u1100" <= sign <= "\u11ff"


def each_text(content: Any, change: Callable[[str], str]) -> Any:
    """The same content with every text changed."""
    if isinstance(content, str):
        return change(content)
    if isinstance(content, dict):
        return {key: each_text(value, change) for key, value in content.items()}
    return [each_text(value, change) for value in content] if isinstance(content, list) else content
