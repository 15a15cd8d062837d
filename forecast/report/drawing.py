"""Figures of the report as SVG, drawn without matplotlib: a study comes again in a fraction of the time.

    Drawing   a figure: axes side by side or in rows, names of its sides, a legend below
    Place     axes, with those calls of matplotlib's that the plots make
    Look      a line or an area, as the plots made it and a legend shows it

A plot is written once and draws on either: on matplotlib's axes in a notebook, on a `Place` in the report. Lengths are
points, y counts upwards until it is written. Layout is one matter of widths: two rounds, as the first decides which
ticks are shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

from forecast.report.letters import ASCENT, DESCENT, width
from forecast.report.scales import Scale

DPI = 72.0
PAD, BETWEEN, KEY = 4.3, 3.0, 7.0  # beside axes, above and below them; letters of a legend
EDGE, TEXT, BLUE = "#888888", "#333333", "#0072B2"
NAMED, SMALL = 7.5, 1.4  # letters of names of axes; small ticks
TICK = 3.5  # between a tick and its label
GAP = 4.0  # between labels and the name of an axis
LINE = 1.2
HATCHES = {"///": 8.0, "////": 6.0}  # points between lines
Told = dict[str, Any]


@dataclass
class Look:
    """A line (with markers, perhaps) or an area."""

    kind: Literal["line", "area"]
    look: Told

    def drawn(self, x: float, y: float, wide: float, high: float) -> str:
        """As a legend shows it, in a box whose lower left corner is given."""
        middle = y + high / 2
        if self.kind == "area":
            return _rect(x, y, wide, high, self.look)
        ends = [(x, middle), (x + wide, middle)]
        return _line(ends, self.look) + _markers([(x + wide / 2, middle)], self.look)


@dataclass
class Key:
    """A legend: its entries in columns, filled one after the other."""

    entries: list[tuple[Look, str]]
    columns: int
    spacing: float = 2.0
    handle: float = 2.0

    ROW = KEY * (ASCENT + DESCENT) + 3.5

    def filled(self) -> list[list[tuple[Look, str]]]:
        """Entries by column."""
        parts = np.array_split(np.arange(len(self.entries)), max(1, min(self.columns, len(self.entries))))
        return [[self.entries[i] for i in part] for part in parts]

    def widths(self) -> list[float]:
        """Points across of every column."""
        side = KEY * (self.handle + 0.8)
        return [side + max(width(said, KEY) for _, said in part) for part in self.filled() if part]

    def across(self) -> float:
        """Points across."""
        return sum(self.widths()) + KEY * self.spacing * (len(self.widths()) - 1) + 12.6

    def height(self) -> float:
        """Points that it takes, with the room around it."""
        return self.ROW * max((len(part) for part in self.filled()), default=0) + 8.0

    def drawn(self, x: float, y: float) -> str:
        """With its lower left corner at a place."""
        made, left = list[str](), x + 6.3
        rows = max((len(part) for part in self.filled()), default=0)
        for part, wide in zip(self.filled(), self.widths(), strict=True):
            for i, (look, said) in enumerate(part):
                base = y + 6.3 + self.ROW * (rows - 1 - i) + KEY * DESCENT
                made.append(look.drawn(left, base, KEY * self.handle, 0.7 * KEY))
                made.append(_text(said, left + KEY * (self.handle + 0.8), base, KEY, "#000000"))
            left += wide + KEY * self.spacing
        return "".join(made)


class Drawing:
    """A figure of so many inches."""

    dpi = DPI

    def __init__(self, wide: float, high: float) -> None:
        self.inches = (wide, high)
        self.wide, self.high = DPI * wide, DPI * high
        self.axes: list[Place] = []
        self.key: Key | None = None
        self.below, self.beside = "", ""
        self._grid: tuple[int, list[float]] = (1, [1.0])

    def subplots(
        self,
        nrows: int = 1,
        ncols: int = 1,
        *,
        sharey: bool = False,
        width_ratios: Sequence[float] | None = None,
        squeeze: bool = False,
    ) -> np.ndarray:
        """Axes in rows and columns, as an array; with one scale up where it is shared."""
        del squeeze
        ratios = [float(r) for r in width_ratios or [1.0] * ncols]
        self._grid = nrows, ratios
        shared = Scale()
        self.axes = [
            Place(self, row, column, shared if sharey else Scale(), inner=sharey and column > 0)
            for row in range(nrows)
            for column in range(ncols)
        ]
        gap = (
            0.2 * 0.775 * self.wide / (1.2 * ncols - 0.2)
        )  # as much as there is in matplotlib before a layout
        sides = [
            (0.0 if c else 0.125 * self.wide, 0.1 * self.wide if c == ncols - 1 else gap)
            for c in range(ncols)
        ]
        self._place(sides, [(0.11 * self.high / nrows, 0.12 * self.high / nrows)] * nrows)
        return np.array(self.axes, dtype=object).reshape(nrows, ncols)

    def get_figheight(self) -> float:
        """Inches up."""
        return self.inches[1]

    def supxlabel(self, said: str, *, fontsize: float = NAMED) -> None:
        """A name below all axes."""
        del fontsize
        self.below = said

    def supylabel(self, said: str, *, fontsize: float = NAMED) -> None:
        """A name at the left of all axes."""
        del fontsize
        self.beside = said

    def legend(
        self,
        handles: Sequence[Look],
        labels: Sequence[str],
        *,
        loc: str,
        ncols: int,
        columnspacing: float = 2.0,
        handlelength: float = 2.0,
    ) -> None:
        """A legend below all axes."""
        del loc
        self.key = Key(list(zip(handles, labels, strict=True)), ncols, columnspacing, handlelength)
        while self.key.columns > 1 and self.key.across() > self.wide:
            self.key.columns -= 1

    def svg(self) -> str:
        """The figure as SVG: no date, the same bytes for the same figure."""
        for _ in range(2):
            self._lay_out()
        name = 7.5 * (ASCENT + DESCENT)
        parts = [place.drawn(f"c{i}") for i, place in enumerate(self.axes) if place.visible]
        if self.key:
            parts.append(self.key.drawn(0.0, 0.0))
        if self.below:
            parts.append(
                _text(self.below, self.wide / 2, BETWEEN + 7.5 * DESCENT, NAMED, "#000000", "middle")
            )
        if self.beside:
            parts.append(
                _text(self.beside, PAD + name - 7.5 * DESCENT, self.high / 2, NAMED, "#000000", "middle", 90)
            )
        size = f'width="{_n(self.wide)}pt" height="{_n(self.high)}pt" viewBox="0 0 {_n(self.wide)} {_n(self.high)}"'
        patterns = "".join(_pattern(f"h{len(marks)}", gap) for marks, gap in HATCHES.items())
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n'
            f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" {size}>\n'
            f"<defs>{patterns}</defs>\n"
            f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
            f'<g transform="translate(0 {_n(self.high)}) scale(1 -1)" stroke-linejoin="round">\n'
            f"{''.join(parts)}</g>\n</svg>\n"
        )

    def _lay_out(self) -> None:
        """Room for what stands around the axes."""
        rows, ratios = self._grid
        sides = [(0.0, 0.0)] * len(ratios)
        ends = [(0.0, 0.0)] * rows
        for place in self.axes:
            if not place.visible:
                continue
            left, right, bottom, top = place.around()
            c, r = place.column, place.row
            sides[c] = max(sides[c][0], left), max(sides[c][1], right)
            ends[r] = max(ends[r][0], bottom), max(ends[r][1], top)
        self._place(
            [(left + PAD, right + PAD) for left, right in sides],
            [(bottom + BETWEEN, top + BETWEEN) for bottom, top in ends],
        )

    def _place(self, sides: Sequence[tuple[float, float]], ends: Sequence[tuple[float, float]]) -> None:
        """Axes between their margins, as wide as their ratios say."""
        rows, ratios = self._grid
        name = 7.5 * (ASCENT + DESCENT) + BETWEEN
        start = name + PAD if self.beside else 0.0
        floor = (name if self.below else 0.0) + (self.key.height() if self.key else 0.0)
        wide = max(self.wide - start - sum(map(sum, sides)), 10.0)
        high = max(self.high - floor - sum(map(sum, ends)), 10.0) / rows
        lefts = []
        for (left, right), ratio in zip(sides, ratios, strict=True):
            lefts.append(start + left)
            start += left + wide * ratio / sum(ratios) + right
        top = self.high
        for row, (bottom, above) in enumerate(ends):
            top -= above + high
            for place in self.axes:
                if place.row == row:
                    share = ratios[place.column] / sum(ratios)
                    place.box = lefts[place.column], top, wide * share, high
            top -= bottom


@dataclass
class Spine:
    """A side of the axes."""

    visible: bool = True

    def set_visible(self, visible: bool) -> None:
        """Whether it is drawn."""
        self.visible = visible


@dataclass
class Place:
    """Axes of a drawing. inner: their names up the side are those of the axes at their left."""

    figure: Drawing
    row: int
    column: int
    yaxis: Scale
    inner: bool = False
    xaxis: Scale = field(default_factory=Scale)
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    visible: bool = True

    def __post_init__(self) -> None:
        self.spines = {"left": Spine(), "bottom": Spine()}
        self._items: list[tuple[float, Callable[[], str]]] = []
        self._named: list[tuple[Look, str]] = []
        self._title = self._below = self._beside = ""
        self._below_at = "center"
        self._key: Key | None = None
        self._lines: dict[str, Told] = {}

    # ------------------------------------------------------------------------------------------------ what is drawn

    def plot(self, x: Any, y: Any, marks: str = "", /, **look: Any) -> list[Look]:
        """A line through points, or nothing but `marks` on them."""
        if marks:
            look |= {"marker": marks, "linestyle": ""}
        at = _pairs(x, y)
        self._see(at)
        self._add(2.0, lambda: _line(self._points(at), look) + _markers(self._points(at), look))
        return [self._made("line", look)]

    def hlines(self, y: Any, low: Any, high: Any, **look: Any) -> Look:
        """Lines across."""
        return self._strokes([((a, v), (b, v)) for v, a, b in _together(y, low, high)], look)

    def vlines(self, x: Any, low: Any, high: Any, **look: Any) -> Look:
        """Lines up."""
        return self._strokes([((v, a), (v, b)) for v, a, b in _together(x, low, high)], look)

    def _strokes(self, ends: list[tuple[tuple[float, float], tuple[float, float]]], look: Told) -> Look:
        for pair in ends:
            self._see(pair)
        self._add(2.0, lambda: "".join(_line(self._points(pair), look, "butt") for pair in ends))
        return self._made("line", look)

    def axhline(self, y: float, **look: Any) -> Look:
        """A line across the whole of the axes."""
        self.yaxis.see([float(y)])

        def drawn() -> str:
            x, _, wide, _ = self.box
            at = self._y(float(y))
            return _line([(x, at), (x + wide, at)], look)

        self._add(2.0, drawn)
        return self._made("line", look)

    def axvline(self, x: float, **look: Any) -> Look:
        """A line up the whole of the axes."""
        self.xaxis.see([float(x)])

        def drawn() -> str:
            _, y, _, high = self.box
            at = self._x(float(x))
            return _line([(at, y), (at, y + high)], look)

        self._add(2.0, drawn)
        return self._made("line", look)

    def axvspan(self, low: float, high: float, **look: Any) -> Look:
        """An area up the whole of the axes."""
        self.xaxis.see([float(low), float(high)])

        def drawn() -> str:
            left, right = self._x(float(low)), self._x(float(high))
            return _rect(left, self.box[1], right - left, self.box[3], look)

        self._add(1.0, drawn)
        return self._made("area", look)

    def fill_between(self, x: Any, low: Any, high: Any, **look: Any) -> Look:
        """An area between two lines."""
        under, over = _pairs(x, low), _pairs(x, high)
        self._see([*under, *over])
        self._add(1.0, lambda: _area(self._points([*under, *over[::-1]]), look))
        return self._made("area", look)

    def bar(
        self, x: Any, height: Any, width: Any = 0.8, bottom: Any = 0.0, *, align: str = "center", **look: Any
    ) -> Look:
        """Bars up."""
        shift = 0.5 if align == "center" else 0.0
        bars = [
            (a - shift * w, b, w, h, c)
            for a, h, w, b, c in _coloured(_together(x, height, width, bottom), look)
        ]
        self.yaxis.see([b for _, b, *_ in bars], held=True)
        return self._bars(bars, look)

    def barh(self, y: Any, width: Any, height: Any = 0.8, left: Any = 0.0, **look: Any) -> Look:
        """Bars across."""
        bars = [
            (b, a - h / 2, w, h, c) for a, w, h, b, c in _coloured(_together(y, width, height, left), look)
        ]
        self.xaxis.see([b for b, *_ in bars], held=True)
        return self._bars(bars, look)

    def _bars(self, bars: list[tuple[float, float, float, float, str]], look: Told) -> Look:
        for x, y, w, h, _ in bars:
            self._see([(x, y), (x + w, y + h)])

        def drawn() -> str:
            made = []
            for x, y, w, h, colour in bars:
                if math.isfinite(w) and math.isfinite(h):
                    (left, low), (right, high) = self._points([(x, y), (x + w, y + h)])
                    own = look | ({"color": colour} if colour else {})
                    made.append(_rect(left, low, right - left, high - low, own))
            return "".join(made)

        self._add(1.0, drawn)
        return self._made("area", look)

    # --------------------------------------------------------------------------------------------- how it is labelled

    def set_xlim(self, left: float | None = None, right: float | None = None) -> None:
        """Ends of the scale across; one that is not given stays where it is."""
        self.xaxis.fix(left, right)

    def set_ylim(self, bottom: float | None = None, top: float | None = None) -> None:
        """Ends of the scale up; one that is not given stays where it is."""
        self.yaxis.fix(bottom, top)

    def get_xlim(self) -> tuple[float, float]:
        """Ends of the scale across."""
        return self.xaxis.limits()

    def margins(self, share: float) -> None:
        """Room beside the data, as a share of their span."""
        self.xaxis.margin = self.yaxis.margin = share

    def set_xscale(self, kind: str) -> None:
        """A logarithmic scale across, or a linear one."""
        self.xaxis.log = kind == "log"

    def set_xticks(self, at: Any, names: Sequence[str] | None = None, **told: Any) -> None:
        """Ticks across, and what stands at them: turned by `rotation`, ending there with `ha` right."""
        _ticks(self.xaxis, at, names, told)

    def set_yticks(self, at: Any, names: Sequence[str] | None = None, **told: Any) -> None:
        """Ticks up, and what stands at them."""
        _ticks(self.yaxis, at, names, told)

    def tick_params(self, axis: str, *, labelsize: float | None = None, length: float | None = None) -> None:
        """Letters of labels in points, and how long their ticks are."""
        scale = self.xaxis if axis == "x" else self.yaxis
        scale.size = scale.size if labelsize is None else labelsize
        scale.length = scale.length if length is None else length

    def minorticks_off(self) -> None:
        """No small ticks."""
        self.xaxis.minor = False

    def set_axisbelow(self, below: bool) -> None:
        """The grid is always behind."""

    def grid(self, *, axis: str, **look: Any) -> None:
        """Lines at the ticks of an axis."""
        self._lines[axis] = look

    def set_xlabel(self, said: str, *, loc: str = "center") -> None:
        """The name below."""
        self._below, self._below_at = said, loc

    def set_ylabel(self, said: str) -> None:
        """The name at the left."""
        self._beside = said

    def set_title(self, said: str) -> None:
        """What stands above, at the left."""
        self._title = said

    def set_visible(self, visible: bool) -> None:
        """Whether anything of it is drawn."""
        self.visible = visible

    def get_window_extent(self) -> SimpleNamespace:
        """Points across and up, as far as they are known."""
        return SimpleNamespace(width=self.box[2], height=self.box[3])

    def get_legend_handles_labels(self) -> tuple[list[Look], list[str]]:
        """All that was drawn with a label."""
        return [look for look, _ in self._named], [said for _, said in self._named]

    def key(
        self,
        handles: Sequence[Look],
        labels: Sequence[str],
        columns: int,
        wide: float | None,
        handle: float | None,
    ) -> None:
        """A legend above; wide, handle: between columns, and of what it shows, in letters."""
        entries = list(zip(handles, labels, strict=True))
        self._key = Key(entries, columns, 2.0 if wide is None else wide, 2.0 if handle is None else handle)

    # ------------------------------------------------------------------------------------------------ how it is written

    def around(self) -> tuple[float, float, float, float]:
        """Points that labels, names and legend take at the left, at the right, below and above."""
        x, y, wide, high = self.box
        across, up = self._ticks()
        left = right = bottom = top = 0.0
        if up and not self.inner:
            left = TICK + self.yaxis.length + max(width(said, self.yaxis.size) for _, said in up)
            top = max(0.0, max(at for at, _ in up) - y - high + 0.5 * self.yaxis.size)
        if self._beside:
            left += GAP + NAMED
        if across:
            size, turned = self.xaxis.size, math.radians(self.xaxis.rotation)
            widest = max(_wide(said, size) for _, said in across)
            lines = max(said.count("\n") + 1 for _, said in across)
            bottom = TICK + self.xaxis.length + lines * size * math.cos(turned) + widest * math.sin(turned)
            ends = [(at, _wide(said, size)) for at, said in across]
            before, behind = (math.cos(turned), 0.0) if self.xaxis.end else (0.5, 0.5)
            left = max(left, *(x - (at - before * w) for at, w in ends))
            right = max(right, *(at + behind * w - x - wide for at, w in ends))
        if self._below:
            bottom += GAP + NAMED * (ASCENT + DESCENT)
        if self._key:
            top += self._key.height()
            right = max(right, self._key.across() - wide)
        if self._title:
            top += 8.0 + 6.0
        return left, right, bottom, top

    def _ticks(self) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
        """Where ticks stand across and up, and what stands at them."""
        _, _, wide, high = self.box
        across = [(self._x(v), said) for v, said in self.xaxis.ticks(wide / (3 * self.xaxis.size))]
        return across, [(self._y(v), said) for v, said in self.yaxis.ticks(high / (2 * self.yaxis.size))]

    def drawn(self, clip: str) -> str:
        """The axes as SVG."""
        x, y, wide, high = self.box
        across, up = self._ticks()
        made = [
            f'<clipPath id="{clip}"><rect x="{_n(x)}" y="{_n(y)}" width="{_n(wide)}" height="{_n(high)}"/></clipPath>'
        ]
        for axis, look in self._lines.items():
            lines = [[(at, y), (at, y + high)] for at, _ in across]
            if axis == "y":
                lines = [[(x, at), (x + wide, at)] for at, _ in up]
            made += [_line(ends, look) for ends in lines]
        made.append(f'<g clip-path="url(#{clip})">')
        made += [draw() for _, draw in sorted(self._items, key=lambda item: item[0])]
        made.append("</g>\n")
        side: Told = {"color": EDGE, "linewidth": 0.6}
        if self.spines["left"].visible:
            made.append(_line([(x, y), (x, y + high)], side))
        made.append(_line([(x, y), (x + wide, y)], side))
        below, before = self.xaxis.length, self.yaxis.length
        made += [_line([(at, y), (at, y - below)], side) for at, _ in across if below]
        made += [_line([(x, at), (x - before, at)], side) for at, _ in up if before]
        made += [_line([(at, y), (at, y - SMALL)], side) for at in map(self._x, self.xaxis.small())]
        size = self.xaxis.size
        for at, said in across:
            made += self._below_tick(at, y - below - TICK, said, size)
        if not self.inner:
            size = self.yaxis.size
            made += [
                _text(said, x - before - TICK, at - 0.36 * size, size, TEXT, "end") for at, said in up if said
            ]
        left, _, bottom, top = self.around()
        if self._below:
            where = {"center": (x + wide / 2, "middle"), "left": (x, "start")}[self._below_at]
            made.append(_text(self._below, where[0], y - bottom + NAMED * DESCENT, NAMED, TEXT, where[1]))
        if self._beside:
            at = x - left + NAMED * ASCENT
            made.append(_text(self._beside, at, y + high / 2, NAMED, TEXT, "middle", 90))
        if self._key:
            made.append(self._key.drawn(x, y + high))
        if self._title:
            made.append(_text(self._title, x, y + high + top - 8.0, 8.0, "#000000"))
        return "".join(made)

    def _below_tick(self, at: float, top: float, said: str, size: float) -> list[str]:
        """A label below its tick, line by line; turned, it ends there."""
        if self.xaxis.end:
            turned = math.radians(self.xaxis.rotation)
            x = at - size * DESCENT * math.sin(turned)
            return [
                _text(said, x, top - size * ASCENT * math.cos(turned), size, TEXT, "end", self.xaxis.rotation)
            ]
        return [
            _text(part, at, top - size * (i + ASCENT), size, TEXT, "middle")
            for i, part in enumerate(said.split("\n"))
        ]

    def _add(self, order: float, draw: Callable[[], str]) -> None:
        self._items.append((order, draw))

    def _made(self, kind: Literal["line", "area"], look: Told) -> Look:
        made = Look(kind, look)
        if look.get("label"):
            self._named.append((made, str(look["label"])))
        return made

    def _see(self, points: Sequence[tuple[float, float]]) -> None:
        self.xaxis.see([x for x, _ in points])
        self.yaxis.see([y for _, y in points])

    def _points(self, at: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(self._x(x), self._y(y)) for x, y in at]

    def _x(self, value: float) -> float:
        return self.box[0] + self.box[2] * self.xaxis.at(value)

    def _y(self, value: float) -> float:
        return self.box[1] + self.box[3] * self.yaxis.at(value)


def _ticks(scale: Scale, at: Any, names: Sequence[str] | None, told: Told) -> None:
    scale.places = _flat(at)
    scale.names = None if names is None else [str(name) for name in names]
    scale.rotation, scale.end = float(told.get("rotation", 0.0)), told.get("ha") == "right"
    scale.size = float(told.get("fontsize", scale.size))
    scale.see(scale.places)


def _flat(values: Any) -> list[float]:
    return [float(v) for v in np.asarray(values, dtype=float).ravel()]


def _pairs(x: Any, y: Any) -> list[tuple[float, float]]:
    return [(a, b) for a, b in _together(x, y)]


def _together(*values: Any) -> list[tuple[float, ...]]:
    """Arrays and numbers side by side."""
    columns = np.broadcast_arrays(*(np.asarray(v, dtype=float).ravel() for v in values))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _coloured(
    bars: list[tuple[float, ...]], look: Told
) -> list[tuple[float, float, float, float, str]]:  # fmt: skip
    """Bars, each with its own colour where they have some."""
    own = look.get("color")
    colours = own if isinstance(own, list) else [""] * len(bars)
    return [(a, b, c, d, e) for (a, b, c, d), e in zip(bars, colours, strict=True)]


# ---------------------------------------------------------------------------------------------------------------- SVG


def _n(value: float) -> str:
    """A length, in hundredths of a point."""
    return str(round(value, 2) + 0.0).removesuffix(".0")


def _wide(said: str, size: float) -> float:
    """Points across of the longest line."""
    return max(width(part, size) for part in said.split("\n"))


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Points joined by lines; those that are unknown break them."""
    made, begun = list[str](), False
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            begun = False
            continue
        made.append(f"{'L' if begun else 'M'}{_n(x)} {_n(y)}")
        begun = True
    return "".join(made)


def _line(points: Sequence[tuple[float, float]], look: Told, cap: str = "square") -> str:
    style = look.get("linestyle", "-")
    path = _path(points) if style != "" else ""
    if not path:
        return ""
    wide = float(look.get("linewidth", LINE))
    dashes = ""
    if isinstance(style, tuple):
        cap, dashes = "butt", f' stroke-dasharray="{" ".join(_n(wide * part) for part in style[1])}"'
    cap = str(look.get("solid_capstyle", cap))
    colour = look.get("color", BLUE)
    stroke = f'stroke="{colour}" stroke-width="{_n(wide)}" stroke-linecap="{cap}"{dashes}'
    return f'<path d="{path}" fill="none" {stroke}/>\n'


def _markers(points: Sequence[tuple[float, float]], look: Told) -> str:
    kind = look.get("marker", "")
    if not kind:
        return ""
    size = float(look.get("markersize", 6.0)) / 2 * (0.5 if kind == "." else 1.0)
    colour = look.get("color", BLUE)
    fill, edge = look.get("markerfacecolor", colour), look.get("markeredgecolor", colour)
    style = f'fill="{fill}" stroke="{edge}" stroke-width="{_n(float(look.get("markeredgewidth", 1.0)))}"'
    made = []
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            continue
        if kind in "o.":
            made.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(size)}" {style}/>\n')
            continue
        shapes: dict[str, list[tuple[float, float]]] = {
            "s": [(-size, -size), (size, -size), (size, size), (-size, size)],
            "D": [(0, -size * 2**0.5), (size * 2**0.5, 0), (0, size * 2**0.5), (-size * 2**0.5, 0)],
            "|": [(0, -size), (0, size)],
        }
        shape = shapes[str(kind)]
        path = _path([(x + a, y + b) for a, b in shape])
        made.append(f'<path d="{path}{"Z" if len(shape) > 2 else ""}" {style}/>\n')
    return "".join(made)


def _filled(look: Told) -> str:
    """Fill and edge of an area."""
    fill, edge = look.get("facecolor", look.get("color", BLUE)), look.get("edgecolor", "none")
    wide = float(look.get("linewidth", 1.0))
    return f'fill="{fill}" stroke="{edge if wide else "none"}" stroke-width="{_n(wide)}"'


def _area(points: Sequence[tuple[float, float]], look: Told) -> str:
    known = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    return f'<path d="{_path(known)}Z" {_filled(look)}/>\n' if known else ""


def _rect(x: float, y: float, wide: float, high: float, look: Told) -> str:
    x, wide = min(x, x + wide), abs(wide)
    y, high = min(y, y + high), abs(high)
    place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(wide)}" height="{_n(high)}"'
    made = f"<rect {place} {_filled(look)}/>\n"
    if look.get("hatch"):
        made += f'<rect {place} fill="url(#h{len(look["hatch"])})"/>\n'
    return made


def _pattern(name: str, gap: float) -> str:
    """Lines aslant, so many points apart."""
    half = gap / 4
    path = (
        f"M{-half} {gap - half}L{half} {gap + half}M0 0L{gap} {gap}M{gap - half} {-half}L{gap + half} {half}"
    )
    return (
        f'<pattern id="{name}" patternUnits="userSpaceOnUse" width="{gap}" height="{gap}">'
        f'<path d="{path}" stroke="#aaaaaa" stroke-width="0.4" fill="none"/></pattern>'
    )


def _text(
    said: str, x: float, y: float, size: float, colour: str, anchor: str = "start", turned: float = 0.0
) -> str:
    """A line of text with its base at a height."""
    if not said:
        return ""
    place = f"translate({_n(x)} {_n(y)}) scale(1 -1)" + (f" rotate({_n(-turned)})" if turned else "")
    font = f'font-family="DejaVu Sans" font-size="{_n(size)}" text-anchor="{anchor}" xml:space="preserve"'
    return f'<text transform="{place}" {font} fill="{colour}">{escape(said, quote=False)}</text>\n'
