"""Widths of text in the face of report and figures, read from the file of the font: what a layout needs to know.

DejaVu Sans comes with matplotlib, which is not loaded for it. Widths are sums of advances, as all hands set the text
that figures hold: without kerning.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ASCENT, DESCENT = 0.76, 0.24  # of the size of the letters: what lines of text take above and below their base


def fonts() -> Path:
    """The folder of the bundled faces."""
    found = find_spec("matplotlib")
    places = list(found.submodule_search_locations or []) if found else []
    return Path(places[0]) / "mpl-data" / "fonts" / "ttf"


def width(said: str, size: float) -> float:
    """Points that a line takes across at a size in points."""
    return size * sum(_advance(sign) for sign in said)


@cache
def _advance(sign: str) -> float:
    """Advance of a sign as a share of the size; of the box that stands for a missing one where the face lacks it."""
    starts, groups, advances, units = _face()
    code = ord(sign)
    at = bisect_right(starts, code) - 1
    glyph = 0
    if at >= 0 and code <= groups[at][1]:
        glyph = groups[at][2] + code - groups[at][0]
    return advances[min(glyph, len(advances) - 1)] / units


@cache
def _face() -> tuple[list[int], list[tuple[int, int, int]], tuple[int, ...], int]:
    """Of DejaVu Sans: first code points of runs, runs (first, last, glyph of the first), advances, units of an em.

    Tables of OpenType: head, hhea, hmtx, and the mapping of format 12 in cmap.
    """
    data = (fonts() / "DejaVuSans.ttf").read_bytes()
    (many,) = struct.unpack_from(">H", data, 4)
    tables = {
        tag: at for tag, _, at, _ in (struct.unpack_from(">4sIII", data, 12 + 16 * i) for i in range(many))
    }
    (units,) = struct.unpack_from(">H", data, tables[b"head"] + 18)
    (metrics,) = struct.unpack_from(">H", data, tables[b"hhea"] + 34)
    advances = struct.unpack_from(f">{2 * metrics}H", data, tables[b"hmtx"])[::2]
    start = tables[b"cmap"]
    (encodings,) = struct.unpack_from(">H", data, start + 2)
    for i in range(encodings):
        (offset,) = struct.unpack_from(">I", data, start + 4 + 8 * i + 4)
        if struct.unpack_from(">H", data, start + offset) == (12,):
            (runs,) = struct.unpack_from(">I", data, start + offset + 12)
            flat = struct.unpack_from(f">{3 * runs}I", data, start + offset + 16)
            groups = list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
            return [first for first, _, _ in groups], groups, advances, units
    raise ValueError("DejaVuSans.ttf: expected a mapping of format 12 in its table cmap")
