from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from forecast.report import figures
from forecast.report.contents import report_of
from forecast.report.pages import budget, economics
from forecast.report.pages import forecast as page
from forecast.report.pages.economics import economics_wide
from forecast.words import short_names
from tests.tables_fixture import FOREIGN, HOSTILE, plausible_tables


@pytest.fixture
def ax():
    """Axes of a figure that nobody else knows."""
    return Figure().subplots()


def labels(ax) -> list[str]:
    """Tick labels of the y axis, top to bottom."""
    return [t.get_text() for t in ax.get_yticklabels()]


def test_fan_draws_history_and_the_three_bands(ax):
    """The line is the history, the bands are the quantiles of the totals, the target is the dashed line."""
    tables = plausible_tables()
    drawn = figures.plot_fan(tables.history, tables.forecast, ax, unit="EUR", target=64_000.0)
    assert drawn is ax
    past = tables.history.query("measure == 'revenue'")["value"].to_numpy()
    np.testing.assert_allclose(ax.lines[0].get_ydata(), past / 1000)
    rows = tables.forecast.query("measure == 'revenue' and channel == 'total' and period != 'total'")
    for area, (low, high, colour) in zip(ax.collections, figures.BANDS, strict=True):
        points = area.get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose(
            [points.min(), points.max()], [rows[low].min() / 1000, rows[high].max() / 1000]
        )
        assert colour == to_hex(area.get_facecolor()[0])
    assert any(np.allclose(line.get_ydata(), 64.0) for line in ax.lines)
    assert "thousand EUR" == ax.get_ylabel()
    assert ["expected", "50 %", "80 %", "90 %", "target a period, on average"] == [
        t.get_text() for t in ax.get_legend().get_texts()
    ]
    assert 0.0 == ax.get_ylim()[0]


def test_fan_names_the_last_period_and_not_too_many(ax):
    """The end of the horizon always has its label; long histories do not crowd the axis."""
    tables = plausible_tables(horizon=24, kind="week", past=120)
    figures.plot_fan(tables.history, tables.forecast, ax)
    ticks = [t.get_text() for t in ax.get_xticklabels()]
    assert ticks[-1] == tables.study.horizon[-1]
    assert 6 <= len(ticks) <= 12


def test_total_spans_its_quantiles_and_shows_the_target(ax):
    """Three stacked bars from q05 to q95, the target inside the limits even when it is far away."""
    tables = plausible_tables()
    figures.plot_total(tables.forecast, ax, unit="EUR", target=500_000.0)
    row = tables.forecast.query("measure == 'revenue' and channel == 'total' and period == 'total'").iloc[0]
    bar = ax.patches[0]
    np.testing.assert_allclose(
        [bar.get_y(), bar.get_y() + bar.get_height()], np.array([row["q05"], row["q95"]]) / 1000
    )
    assert ax.get_ylim()[1] > 500


def test_bridge_builds_up_to_the_total(ax):
    """Parts begin where the one before ended, the total at zero, what lands later on top of the total."""
    table = plausible_tables().bridge
    page.plot_bridge(table, ax, unit="EUR")
    left, width = (np.array([getattr(p, f"get_{w}")() for p in ax.patches]) for w in ("x", "width"))
    mean = table["mean"].to_numpy() / 1000
    np.testing.assert_allclose(width, mean)
    np.testing.assert_allclose(left, [0, mean[0], 0, mean[2]])
    assert ax.patches[3].get_hatch()
    assert labels(ax) == table["item"].tolist()


def test_rates_show_mean_band_range_and_history(ax):
    """Dots at the means, lines over the 80 % band, shades over the published range, marks at the crude share."""
    table = plausible_tables().funnel.query("stage == 'leads'")
    economics.plot_rates(table, ax)
    crude, mean = ax.lines
    np.testing.assert_allclose(mean.get_xdata(), table["mean"])
    np.testing.assert_allclose(crude.get_xdata(), table["history"])
    band = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(band, table[["q10", "q90"]])
    assert {0.02} == {round(p.get_x(), 6) for p in ax.patches}
    assert labels(ax) == table["channel"].tolist()


def test_rates_without_published_range_have_no_shade(ax):
    """A stage that nobody publishes is drawn without a range."""
    table = plausible_tables(stages=("visitors", "demos", "won")).funnel.query("stage == 'demos'")
    economics.plot_rates(table, ax)
    assert not ax.patches


def test_break_even_pairs_cost_and_worth(ax):
    """Two marks a channel, the cost above the break-even; a logarithmic axis where they are far apart."""
    wide = economics_wide(plausible_tables().economics)
    economics.plot_break_even(wide, ax, currency="EUR")
    np.testing.assert_allclose(ax.lines[0].get_xdata(), wide["cpl_mean"])
    np.testing.assert_allclose(ax.lines[1].get_xdata(), wide["break_even_cpl_mean"])
    assert "linear" == ax.get_xscale()
    apart = Figure().subplots()
    economics.plot_break_even(wide.assign(break_even_cpl_q90=1e6), apart)
    assert "log" == apart.get_xscale()


def test_budget_shows_current_recommended_and_range(ax):
    """Diamonds, dots and bars stand at the table's numbers."""
    table = plausible_tables().allocation
    budget.plot_budget(table, ax, currency="EUR")
    factor, _ = figures.scale_of(table["high"], "EUR")
    np.testing.assert_allclose(ax.lines[0].get_xdata(), table["current"] / factor)
    np.testing.assert_allclose(ax.lines[1].get_xdata(), table["recommended"] / factor)
    np.testing.assert_allclose([p.get_x() for p in ax.patches], table["low"] / factor)
    assert 0.0 == ax.get_xlim()[0]


def test_response_hatches_what_was_never_spent(ax):
    """The hatched part begins at the highest spend seen; the markers lie on the curve."""
    table = plausible_tables().response.query("channel == 'seo'")
    budget.plot_response(table, ax)
    (hatched,) = [p for p in ax.patches if p.get_hatch()]
    assert hatched.get_x() == pytest.approx(table["observed_max"].iloc[0])
    for line, name in zip(ax.lines[1:], ("current", "recommended"), strict=True):
        x = table[name].iloc[0]
        assert x == pytest.approx(line.get_xdata()[0])
        assert line.get_ydata()[0] == pytest.approx(np.interp(x, table["spend"], table["mean"]))


def test_small_multiples_share_the_scale_of_contribution():
    """Every channel has a panel with its name, on one scale; empty panels are hidden."""
    tables = plausible_tables(channels=[f"c{k}" for k in range(6)])
    figure = budget.response_figure(tables.response, currency="EUR")
    shown = [a for a in figure.axes if a.get_visible()]
    assert [f"c{k}" for k in range(6)] == [a.get_title(loc="left") for a in shown]
    assert 1 == len({a.get_ylim() for a in shown})


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
        table = plausible_tables(channels=names).allocation
        svg = figures.figure_svg(figures.panels(2.5, lambda ax: budget.plot_budget(table, ax)))
    for name in ("_x", "$\\frac{$", "#import &quot;x&quot;", "&lt;b&gt;&amp;amp;\\", "広告 東京"):
        assert f">{name}</text>" in svg or f">{name.replace('&quot;', chr(34))}</text>" in svg, name
    assert short[HOSTILE[4]] in svg


def test_names_are_drawn_as_text_under_foreign_settings(ax):
    """A caller whose matplotlib reads mathematics gets the house's text, and keeps the own settings."""
    table = plausible_tables(channels=HOSTILE).allocation
    with mpl.rc_context({"text.parse_math": True, "font.size": 31}):
        budget.plot_budget(table, ax)
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
        "pages.budget.blank(1.0); sys.exit(early or 'matplotlib.pyplot' in sys.modules)"
    )
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
