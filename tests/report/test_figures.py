from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from forecast.report import figures
from forecast.report.contents import report_of
from forecast.report.plots import plot
from forecast.words import short_names
from tests.tables_fixture import FOREIGN, HOSTILE, plausible_tables


@pytest.fixture
def ax():
    """Axes of a figure that nobody else knows."""
    return Figure().subplots()


def every_figure(tables) -> list[Figure]:
    """All figures of a report, in a currency that begins mathematics."""
    tables = replace(tables, study=replace(tables.study, currency="$"))
    parts = [part for made in report_of(tables).pages for part in made.parts]
    drawn = [part.figure.draw() for part in parts if part.figure]
    assert len(drawn) == 7
    return drawn


def test_hostile_names_are_drawn_as_text():
    """Dollar signs are no mathematics, a leading underscore hides nothing, foreign signs stay in the file."""
    names = HOSTILE + FOREIGN
    short = short_names(names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = plausible_tables(channels=names)
        svg = figures.figure_svg(figures.panels(2.5, lambda ax: plot.budget(made, ax=ax)))
    for name in ("_x", "$\\frac{$", "#import &quot;x&quot;", "&lt;b&gt;&amp;amp;\\", "広告 東京"):
        assert f">{name}</text>" in svg or f">{name.replace('&quot;', chr(34))}</text>" in svg, name
    assert short[HOSTILE[4]] in svg


def test_names_are_drawn_as_text_under_foreign_settings(ax):
    """A caller whose matplotlib reads mathematics gets the house's text, and keeps the own settings."""
    made = plausible_tables(channels=HOSTILE)
    with mpl.rc_context({"text.parse_math": True, "font.size": 31}):
        plot.budget(made, ax=ax)
        assert mpl.rcParams["font.size"] == 31
        assert not any(label.get_parse_math() for label in ax.get_yticklabels())


def test_the_same_figure_is_the_same_file():
    """Drawn anew, a figure has the same bytes and no date."""
    first = [figures.figure_svg(f) for f in every_figure(plausible_tables(channels=("seo", "ppc")))]
    drawn = every_figure(plausible_tables(channels=("seo", "ppc")))
    assert first == [figures.figure_svg(f) for f in drawn]
    assert not any("<dc:date>" in svg for svg in first)


@pytest.mark.parametrize("channels", [("ppc",), tuple(f"channel {k:02d}" for k in range(20))])
def test_one_channel_and_twenty_can_be_drawn(channels):
    """Heights follow the number of channels; no warning about a crowded layout."""
    for figure in every_figure(plausible_tables(channels=channels, past=12)):
        assert figures.figure_svg(figure).startswith("<?xml")
        assert 1.0 < figure.get_figheight() < 8.0


def test_no_pyplot_and_no_global_state():
    """Importing the pages loads no matplotlib, and drawing no pyplot, which would hold figures for ever."""
    code = (
        "import sys, forecast.report.contents, forecast.report.pages as pages; early = 'matplotlib' in sys.modules;"
        "forecast.report.figures.panels(1.0, lambda ax: None); sys.exit(early or 'matplotlib.pyplot' in sys.modules)"
    )
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
