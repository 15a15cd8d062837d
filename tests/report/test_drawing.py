"""Figures of the report beside matplotlib: the same plots on its axes have the same limits, ticks and widths."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.ticker import MaxNLocator
from plot_fixture import rich_tables

from forecast import plot
from forecast.report import figures
from forecast.report.drawing import Drawing, Place
from forecast.report.figures import figure_svg, house
from forecast.report.letters import fonts, width
from forecast.report.plots.money import response_figure
from forecast.report.scales import STEPS, Scale
from forecast.results import Results

DRAWN: dict[str, Callable[..., Any]] = {
    "fan": plot.fan,
    "total": plot.total,
    "windows": plot.windows,
    "bridge": plot.bridge,
    "comparison": plot.comparison,
    "break_even": plot.break_even,
    "ltv_cac": plot.ltv_cac,
    "budget": plot.budget,
    "frontier": plot.frontier,
    "risk": plot.risk,
    "tornado": plot.tornado,
    "variance": plot.variance,
    "scenarios": plot.scenarios,
    "segments": plot.segments,
    "mix": plot.mix,
    "backtest": plot.backtest,
    "calibration": plot.calibration,
}


@pytest.fixture(scope="module")
def made() -> Results:
    """All that can be drawn."""
    return rich_tables()


def both(made: Results, name: str) -> tuple[Axes, Place]:
    """One plot on axes of matplotlib and on those of the report."""
    theirs = house(lambda: Figure(figsize=(6.7, 3.0)).subplots())()
    [ours] = Drawing(6.7, 3.0).subplots()[0]
    DRAWN[name](made, ax=theirs)
    DRAWN[name](made, ax=ours)
    return theirs, ours


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_limits_are_those_of_matplotlib(made: Results, name: str) -> None:
    """What a plot asks for, and what data and bars ask for where it says nothing."""
    theirs, ours = both(made, name)
    assert ours.xaxis.limits() == pytest.approx(theirs.get_xlim(), rel=1e-9, abs=1e-9)
    assert ours.yaxis.limits() == pytest.approx(theirs.get_ylim(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_names_of_ticks_are_those_of_matplotlib(made: Results, name: str) -> None:
    """Where a plot names its ticks; and every text of a legend is in the file."""
    theirs, ours = both(made, name)
    for axis, scale in ((theirs.xaxis, ours.xaxis), (theirs.yaxis, ours.yaxis)):
        if scale.names is not None:
            assert scale.names == [label.get_text() for label in axis.get_ticklabels()]
            assert scale.places == pytest.approx(list(axis.get_ticklocs()))
    svg, key = figure_svg(ours.figure), theirs.get_legend()
    texts = ["".join(node.itertext()) for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]  # noqa: S314
    for said in key.get_texts() if key else []:
        assert said.get_text() in texts
    assert theirs.get_xlabel() in ("", *texts)


@given(
    start=st.integers(-(10**8), 10**8),
    span=st.floats(1e-2, 1e6),
    most=st.integers(2, 9),
    integer=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_ticks_are_those_of_matplotlib(start: int, span: float, most: int, integer: bool) -> None:
    """For any limits beside ticks, and not far from nought beside their span, where matplotlib takes an offset away."""
    low = start / 100 + 0.00123
    high = low + span
    if abs(low + high) / 2 > 50 * span or (integer and span < 3):
        return
    expected = MaxNLocator(most, steps=list(STEPS), integer=integer).tick_values(low, high)
    inside = [v for v in expected if low - 1e-9 * span <= v <= high + 1e-9 * span]
    found = [v for v, _ in Scale(low=low, high=high, most=most, integer=integer).ticks(9)]
    assert found == pytest.approx(inside, rel=1e-9, abs=1e-9 * span)


def test_widths_are_those_of_the_font() -> None:
    """Sums of advances, as FreeType has them; a sign without a shape is as wide as the box in its place."""
    font = FT2Font(str(fonts() / "DejaVuSans.ttf"))
    for said in ("spend over the horizon", "Kävijät → liidit", "80 %, 12\N{NO-BREAK SPACE}000 €"):
        advances = [font.load_char(ord(sign), LoadFlags.NO_SCALE).horiAdvance for sign in said]
        assert width(said, 10.0) == pytest.approx(10.0 * sum(advances) / font.units_per_EM)
    assert width("東", 10.0) == pytest.approx(6.0, abs=0.1)


def test_nothing_stands_outside_the_figure(made: Results) -> None:
    """Texts of a figure with long names end inside it, and axes keep a width."""
    names = [f"A channel whose name takes sixty letters, number {k}".ljust(60, "x") for k in range(12)]
    for figure in (
        figures.panels(3.0, lambda ax: plot.budget(rich_tables(channels=names), ax=ax)),
        figures.panels(
            2.1, lambda ax: plot.fan(made, ax=ax), lambda ax: plot.total(made, ax=ax), ratios=(5, 1)
        ),
        response_figure(made.response, currency="EUR"),
    ):
        figure_svg(figure)
        for place in (each for each in figure.axes if each.visible):
            left, right, bottom, top = place.around()
            x, y, wide, high = place.box
            assert wide > 40
            assert high > 15
            assert x - left > -1
            assert x + wide + right < figure.wide + 1
            assert y - bottom > -1
            assert y + high + top < figure.high + 1


def test_unknown_numbers_break_a_line_and_end_nothing() -> None:
    """A gap in the past is a gap in the line; bars and markers without a number are not there."""
    [place] = Drawing(4, 2).subplots()[0]
    place.plot([0, 1, 2, 3], [1.0, math.nan, 2.0, 3.0], color="#000000")
    place.plot([0, 1], [math.nan, 1.0], "o")
    place.bar([0, 1], [math.nan, 2.0])
    place.fill_between([0, 1, 2], [0, math.nan, 0], [1, 1, 1])
    svg = figure_svg(place.figure)
    assert "nan" not in svg
    assert svg.count("<circle") == 1
    ET.fromstring(svg)  # noqa: S314 - our own file


def test_a_figure_has_the_same_bytes_each_time(made: Results) -> None:
    """Drawn twice from the same tables, and written twice."""
    first, second = (
        figures.panels(2.5, lambda ax: plot.tornado(made, ax=cast("Axes", ax))) for _ in range(2)
    )
    assert figure_svg(first) == figure_svg(first) == figure_svg(second)


def test_data_that_are_one_number_have_room() -> None:
    """A single point, or none, still gives limits that differ, on a plain scale and on a logarithmic one."""
    for seen in ([], [0.0], [5.0], [-3.0, -3.0]):
        low, high = Scale(seen=list(seen)).limits()
        assert low < high
    assert np.diff(Scale(seen=[3.0], log=True).limits())[0] > 0
