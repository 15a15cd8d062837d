"""What figures share: the house style, colours, scales, legends.

`report/plots` holds the figures, as functions of a forecast and, below them, `plot_<what>`: one tidy table on the axes
that it is given: matplotlib's, or a `Place` of the report's own `Drawing`, which need no matplotlib. `panels` puts one
or several of them on a `Drawing` of the report's width; `figure_svg` writes either, the same bytes each time. No
pyplot, no state; matplotlib is loaded when something is drawn on its axes.

Names of channels and stages are text: no mathematics, no hidden legends. A sign that the font lacks stays in the SVG as
text, so that whoever shows the file may find another font for it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from forecast.report.drawing import Drawing, Look, Place
from forecast.report.scales import Scale
from forecast.words import (
    Message,
    Text,
    currency,
    current_voice,
    decimals,
    formatted,
    heard,
    message,
    short_names,
    spoken_marks,
    text,
    visible,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("house.mplstyle")
WIDTH = 6.7  # inches: the text width of the report
LETTERS = 7.0  # points: labels of ticks
NARROW = 2.0  # inches: axes that stand beside wider ones, whose legend they share
BLUE, ORANGE, GREEN, INK, GREY = "#0072B2", "#D55E00", "#009E73", "#222222", "#8a8a8a"
PALE, SKY = "#cfe3f1", "#a3c8e1"  # bands: areas, lines
# The current plan, and the recommended one.
NOW: dict[str, Any] = {"marker": "D", "linestyle": "", "markerfacecolor": "white", "markeredgecolor": ORANGE}
THEN: dict[str, Any] = {"marker": "o", "linestyle": "", "color": BLUE}
BANDS = (("q05", "q95", "#d3e5f1"), ("q10", "q90", "#a3c8e1"), ("q25", "q75", "#5fa0cb"))  # wide first


@cache
def _settings() -> Any:
    """The house style, read once."""
    from matplotlib import rc_params_from_file

    return rc_params_from_file(STYLE, use_default_template=False)


def house[**P, R](draw: Callable[P, R]) -> Callable[P, R]:
    """Run `draw` in the house style, whatever the caller's settings are, and leave those as they were."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context
        from matplotlib.axes import Axes

        with rc_context(_settings()):
            drawn = draw(*args, **kwargs)
        if isinstance(drawn, Axes):  # labels that the caller's axes brought along
            for axis in (drawn.xaxis, drawn.yaxis):
                for text in (axis.label, *axis.get_ticklabels()):
                    text.set_parse_math(False)
        return drawn

    return styled


def panels(
    height: float,
    *plots: Callable[[Axes], object],
    ratios: Sequence[float] | None = None,
    share: float = 1.0,
) -> Drawing:
    """A figure of the report's width, or a share of it, with a plot on each of its axes, side by side."""
    figure = Drawing(WIDTH * share, height)
    for plot, ax in zip(plots, figure.subplots(ncols=len(plots), width_ratios=ratios)[0], strict=True):
        plot(ax)
    return figure


def figure_svg(figure: Figure | Drawing) -> str:
    """The figure as SVG text: no date, no random ids, the same bytes for the same figure."""
    return visible(figure.svg()) if isinstance(figure, Drawing) else _by_matplotlib(figure)


@house
def _by_matplotlib(figure: Figure) -> str:
    buffer = io.StringIO()
    _localised(figure)
    with warnings.catch_warnings():
        # A name may hold signs that the font lacks; they stay in the file as text (see the module's first lines).
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
        layout = figure.get_layout_engine()
        if layout is not None:
            for _ in range(2):  # the first pass decides which ticks are shown, the second makes room for them
                layout.execute(figure)
            figure.set_layout_engine("none")  # laid out once: a second writing finds the same places
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return visible(buffer.getvalue())  # what is no character of XML is written out


def _localised(figure: Figure) -> None:
    """Tick labels that matplotlib writes by itself, with the marks that are spoken."""
    if spoken_marks():
        for ax in figure.axes:
            _localise(ax)


def _localise(ax: Axes) -> None:
    """The same, on one axes."""
    from matplotlib.ticker import ScalarFormatter

    class Localised(ScalarFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return decimals(super().__call__(x, pos))

    for axis in (ax.xaxis, ax.yaxis):
        if type(axis.get_major_formatter()) is ScalarFormatter:
            axis.set_major_formatter(Localised())


def _voiced(formatter: Any, voice: Any) -> Any:
    """A formatter of ticks that speaks in one voice, whenever it is asked."""
    from matplotlib.ticker import Formatter

    class Voiced(Formatter):
        def set_axis(self, axis: Any) -> None:
            formatter.set_axis(axis)

        def set_locs(self, locs: Any) -> None:
            formatter.set_locs(locs)

        def get_offset(self) -> str:
            return str(formatter.get_offset())

        def __call__(self, x: float, pos: int | None = None) -> str:
            with heard(voice):
                return str(formatter(x, pos))

    return Voiced()


def scale_of(values: Any, unit: Text) -> tuple[float, str]:
    """Divisor and axis label that keep tick labels short: (1000, "thousand EUR"). unit: a currency, or a message."""
    finite = np.abs(np.asarray(values, dtype=float).ravel())
    largest = float(finite[np.isfinite(finite)].max(initial=0.0))
    label = text(unit) if isinstance(unit, Message) else currency(unit)
    for least, factor, scaled in (
        (1e9, 1e9, message("billion {unit}", unit=label)),
        (1e6, 1e6, message("million {unit}", unit=label)),
        (1e4, 1e3, message("thousand {unit}", unit=label)),
    ):
        if largest >= least:
            return factor, text(scaled)
    return 1.0, label


def written(axis: Axis | Scale, write: Callable[[float], str] = lambda x: formatted(x, ",.6g")) -> None:
    """Tick labels as words write numbers."""
    if isinstance(axis, Scale):
        axis.write = write
        return
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda x, _: write(x)))


def few_ticks(axis: Axis | Scale, most: int, **told: Any) -> None:
    """At most so many intervals between ticks."""
    if isinstance(axis, Scale):
        axis.most, axis.integer = most, bool(told.get("integer"))
        return
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], **told))


def width_of(ax: Axes) -> float:
    """Inches across, as far as they are known before the layout."""
    return float(ax.get_window_extent().width / ax.figure.dpi)


def grid(ax: Axes, axis: Literal["x", "y"]) -> None:
    """Lines of a grid, behind what is drawn."""
    ax.set_axisbelow(True)
    ax.grid(axis=axis, color="#e2e2e2", linewidth=0.5)


def dress(ax: Axes) -> None:
    """Axes of the caller's in the house style: what was set up with other settings before."""
    style: dict[str, Any] = dict(_settings())
    for name, axis in (("xtick", ax.xaxis), ("ytick", ax.yaxis)):
        axis.set_tick_params(
            labelsize=style[f"{name}.labelsize"],
            labelcolor=style[f"{name}.labelcolor"],
            color=style[f"{name}.color"],
            width=style[f"{name}.major.width"],
            length=style[f"{name}.major.size"],
        )
        axis.label.set(size=style["axes.labelsize"], color=style["axes.labelcolor"])
    for name, spine in ax.spines.items():
        spine.set(edgecolor=style["axes.edgecolor"], linewidth=style["axes.linewidth"])
        if name in ("top", "right"):
            spine.set_visible(False)


def at_home() -> bool:
    """Whether the house style is what figures are drawn in now."""
    from matplotlib import rcParams

    return bool(rcParams["svg.hashsalt"] == _settings()["svg.hashsalt"])


def fit_rows(ax: Axes, rows: int) -> None:
    """Tick labels of rows as small as there is room for, down to what can still be read when enlarged."""
    inches = ax.get_window_extent().height / ax.figure.dpi
    most = LETTERS
    if not isinstance(ax, Place):
        from matplotlib import rcParams

        size = rcParams["ytick.labelsize"]
        most = float(size) if isinstance(size, int | float) else LETTERS
    ax.tick_params(axis="y", labelsize=min(most, max(62.0 * inches / max(rows, 1), 3.5)))


def cut_short(name: str, width: int) -> str:
    """A name within so many characters."""
    return short_names([name], width)[name]


def in_voice(ax: Axes, voice: Any) -> None:
    """Ticks that are written when the figure is drawn, with the marks that are spoken in `voice`, a context."""
    if spoken_marks():  # whoever draws the figure speaks
        return
    with voice:
        if not spoken_marks():
            return
        _localise(ax)
        kept = current_voice()
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(_voiced(axis.get_major_formatter(), kept))


def area(**look: Any) -> Look:
    """An area, as the handle of a legend."""
    return Look("area", look)


def line(**look: Any) -> Look:
    """A line, as the handle of a legend."""
    return Look("line", look)


def _artist(handle: Any) -> Any:
    """What matplotlib shows in a legend."""
    if not isinstance(handle, Look):
        return handle
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return Patch(**handle.look) if handle.kind == "area" else Line2D([], [], **handle.look)


def name_rows(ax: Axes, names: Sequence[str], width: int = 24) -> np.ndarray:
    """Put names on the y axis, the first on top, and return their heights."""
    at = np.arange(len(names))[::-1].astype(float)
    short = short_names(names, width)
    ax.set_yticks(at, [text("total") if n == "total" else short[n] for n in names])
    ax.set_ylim(-0.6, len(names) - 0.4)
    fit_rows(ax, len(names))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    grid(ax, "x")
    return at


def legend(
    ax: Axes,
    handles: Sequence[Any],
    labels: Sequence[Text],
    *,
    columns: int,
    wide: float | None = None,
    handle: float | None = None,
) -> None:
    """A legend above the axes, its texts given outright: names that begin with "_" would vanish otherwise."""
    room: dict[str, Any] = {"columnspacing": wide, "handlelength": handle}
    said = [text(label) for label in labels]
    inches = _room(ax)
    apart = 0.078 + 0.097 * ((handle or 2.0) + (wide or 2.0))  # inches a column takes beside its text
    while columns > 1 and _legend_width(said, columns, apart) > 1.12 * inches:  # axes grow in the layout
        columns = 2 if columns == 4 else columns - 1  # four in two even rows
    if isinstance(ax, Place):
        ax.key(handles, said, columns, wide, handle)
        return
    ax.legend(
        [_artist(each) for each in handles],
        said,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        **room,
    )
    over = ax.inset_axes((0, 1, 1, 0))  # titles stand above axes inside, and so above the legend
    over.set_visible(False)
    over.set_axes_locator(_OverLegend(ax))


def legend_below(
    figure: Figure | Drawing, handles: Sequence[Any], labels: Sequence[Text], **room: Any
) -> None:
    """A legend below all axes of a figure."""
    said = [text(label) for label in labels]
    shown = list(handles) if isinstance(figure, Drawing) else [_artist(each) for each in handles]
    figure.legend(shown, said, loc="outside lower left", **room)


def _room(ax: Axes) -> float:
    """Inches across, less what names down the side will take, as far as that is known before the layout."""
    if isinstance(ax, Place):
        longest = max(map(len, ax.yaxis.names or []), default=0)
    else:
        from matplotlib.ticker import FixedLocator

        named = isinstance(ax.yaxis.get_major_locator(), FixedLocator)
        longest = max((len(label.get_text()) for label in ax.get_yticklabels()), default=0) if named else 0
    return width_of(ax) - max(0.05 * longest - 0.4, 0.0)  # the usual margin holds short ones


def _legend_width(labels: Sequence[str], columns: int, apart: float) -> float:
    """Inches of a legend, about: the longest text of each column at seven points, and what stands beside it."""
    filled = np.array_split([len(label) for label in labels], columns)  # as matplotlib fills them
    return float(sum(0.056 * max(part, default=0) + apart for part in filled) - 0.1)


class _OverLegend:
    """Where a legend above its axes lies, for what must stand clear of it."""

    def __init__(self, ax: Axes) -> None:
        self.ax = ax

    def __call__(self, _: Any, renderer: Any) -> Any:
        from matplotlib.transforms import Bbox, TransformedBbox

        key, figure = self.ax.get_legend(), self.ax.figure
        found = self.ax.bbox if key is None else key.get_window_extent(renderer)
        box = TransformedBbox(Bbox(found.get_points()), figure.transSubfigure.inverted())
        return Bbox(box.get_points())
