"""Figures say what their tables hold: `forecast.plot`, read back from what is drawn."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from plot_fixture import rich_tables, scored_run
from tables_fixture import plausible_tables

import forecast
from forecast import plot
from forecast.errors import UsageError
from forecast.report.figures import BANDS, BLUE, INK, ORANGE, figure_svg
from forecast.report.plots.channels import economics_wide, plot_break_even
from forecast.report.plots.levers import levers_of

COMPARED = pd.DataFrame(
    [
        {"plan": plan, "measure": measure, "difference": x, "difference_q10": x - 9e3, "difference_q90": x + 9e3}
        for plan, x in (("as planned", 0.0), ("more", 12e3), ("less", -8e3))
        for measure in ("contribution", "won")
    ]
)  # fmt: skip
OF_TABLES = {
    name: getattr(plot, name)
    for name in plot.__all__
    if name not in ("plans", "rates", "response")  # of a frame; of several panels
} | {
    "scored": lambda _, ax=None: plot.scored(scored_run(), ax=ax),
    "shares": lambda _, ax=None: plot.shares(scored_run(), ax=ax),
    "earlier": lambda _, ax=None: plot.earlier(scored_run(), ax=ax),
    "plans": lambda _, ax=None: plot.plans(COMPARED, currency="EUR", ax=ax),
    "rates": lambda made, ax=None: plot.rates(made, stage="leads", ax=ax),
    "response": lambda made, ax=None: plot.response(made, channel="seo", ax=ax),
}


@pytest.fixture(scope="module")
def made():
    """All that can be drawn, of seven channels."""
    return rich_tables()


@pytest.fixture(autouse=True)
def _closed():
    """What a test leaves with pyplot, where another has loaded that."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def ax():
    """Axes of a figure that nobody else knows."""
    return Figure().subplots()


def rows(ax) -> list[str]:
    """Names down the side."""
    return [t.get_text() for t in ax.get_yticklabels()]


def keyed(ax) -> list[str]:
    """Texts of the legend."""
    return [t.get_text() for t in ax.get_legend().get_texts()]


def ends(lines) -> np.ndarray:
    """Both ends of horizontal lines, as they were drawn."""
    return np.array([segment[:, 0] for segment in lines.get_segments()])


# ----------------------------------------------------------------------------------------------------- every figure


@pytest.mark.parametrize("name", sorted(OF_TABLES))
def test_every_figure_is_labelled_and_leaves_the_settings_alone(made, name):
    """On axes that are given: those come back, every axis with numbers has a label, a title says what it is."""
    figure = Figure(figsize=(6.4, 4.8))
    ax = figure.subplots()
    with mpl.rc_context({"font.size": 31, "axes.grid": True}):
        before = dict(mpl.rcParams)
        assert OF_TABLES[name](made, ax=ax) is ax
        assert dict(mpl.rcParams) == before
    assert len(figure.axes) == 1
    assert ax.get_title()
    for axis in (ax.xaxis, ax.yaxis):
        numbers = axis.get_major_formatter().__class__.__name__ not in ("FixedFormatter", "NullFormatter")
        named = [t.get_text() for t in axis.get_ticklabels()]
        assert axis.label.get_text() or not numbers or all(named), axis
    assert ax.get_xlabel() or ax.get_ylabel()


AT_SIZES = [
    *(pytest.param(name, (3.2, 2.4), id=f"small-{name}") for name in sorted(OF_TABLES)),
    *(pytest.param(name, None, id=f"own-{name}") for name in ("fan", "tornado")),
    *(
        pytest.param(name, None, id=f"own-{name}", marks=pytest.mark.slow)
        for name in sorted(OF_TABLES.keys() - {"fan", "tornado"})
    ),
]


@pytest.mark.parametrize(("name", "size"), AT_SIZES)
def test_title_and_legend_stand_apart(made, name, size):
    """The title lies above the legend, and the legend above the axes, at every size."""
    if size is None:
        ax = OF_TABLES[name](made)
    else:
        ax = OF_TABLES[name](made, ax=Figure(figsize=size, layout="constrained").subplots())
    ax.figure.draw_without_rendering()
    title, legend = ax.title.get_window_extent(), ax.get_legend()
    assert title.y0 >= ax.get_window_extent().y1
    if legend is not None:
        assert title.y0 >= legend.get_window_extent().y1 - 0.5
        assert legend.get_window_extent().y0 >= ax.get_window_extent().y1 - 0.5
        assert legend.get_window_extent().x1 <= ax.figure.bbox.x1 + 0.5


def test_a_title_of_the_callers_own_stands_clear_too(made, ax):
    """What a caller writes above the axes takes the title's place, above the legend."""
    plot.fan(made, ax=ax)
    ax.set_title("Mine")
    ax.figure.draw_without_rendering()
    assert "Mine" == ax.get_title()
    assert ax.title.get_window_extent().y0 >= ax.get_legend().get_window_extent().y1 - 0.5


@pytest.mark.parametrize(
    ("size", "channels"),
    [
        pytest.param((6.7, 2.8), 1, id="report-1"),
        pytest.param((6.7, 2.8), 50, id="report-50"),  # the lower of the two: the tighter
        pytest.param((6.4, 4.8), 1, id="notebook-1"),
        pytest.param((6.4, 4.8), 50, id="notebook-50", marks=pytest.mark.slow),
    ],
)
def test_rows_do_not_run_into_each_other(channels, size):
    """Names of one channel and of fifty, at the size of the report and of a notebook."""
    made = rich_tables(channels=[f"channel {k:02d} {'x' * 49}" for k in range(channels)])
    for draw in (plot.budget, plot.break_even, plot.ltv_cac, lambda m, ax: plot.rates(m, stage="won", ax=ax)):
        ax = draw(made, ax=Figure(figsize=size, layout="constrained").subplots())
        ax.figure.draw_without_rendering()
        boxes = sorted((t.get_window_extent() for t in ax.get_yticklabels()), key=lambda box: box.y0)
        spare = 0.35 * boxes[0].height  # the box of a line is taller than its letters
        assert all(low.y1 - spare <= high.y0 for low, high in pairwise(boxes))


@pytest.mark.parametrize("kind", ["week", "month", "quarter"])
def test_periods_do_not_run_into_each_other(kind):
    """Ticks of a long past and a long horizon, on narrow axes too."""
    made = plausible_tables(kind=kind, past=120, horizon=24)
    for width in (6.7, 2.5):
        ax = plot.fan(made, ax=Figure(figsize=(width, 2.6), layout="constrained").subplots())
        ticks = [t.get_text() for t in ax.get_xticklabels()]
        assert ticks[-1] == made.study.horizon[-1]
        assert len(ticks) <= 12
        ax.figure.draw_without_rendering()
        at = [ax.transData.transform((x, 0))[0] for x in ax.get_xticks()]
        high = max(t.get_fontsize() for t in ax.get_xticklabels()) * ax.figure.dpi / 72
        assert min(np.diff(at)) > high


def test_without_axes_a_figure_is_made_that_pyplot_shows_where_it_is_in_use(made):
    """A figure of its own; registered with pyplot where that is loaded, and of no pyplot where it is not."""
    import matplotlib.pyplot as plt

    ax = plot.fan(made)
    assert ax.figure.number in plt.get_fignums()
    assert ax.figure.get_figwidth() == pytest.approx(6.7)
    code = (
        "import sys; sys.path.insert(0, 'tests'); from plot_fixture import rich_tables, scored_run; import forecast\n"
        "early = 'matplotlib' in sys.modules; forecast.plot; early |= 'matplotlib' in sys.modules\n"
        "ax = forecast.plot.fan(rich_tables()); ax.figure.savefig(sys.stdout.buffer, format='png')\n"
        "sys.exit(early or 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith(b"\x89PNG")


def test_a_notebook_shows_every_figure(tmp_path):
    """A notebook's backend makes pyplot interactive when the first figure loads it, and it stays so for the next."""
    (tmp_path / "inline.py").write_text(
        "import matplotlib\nfrom matplotlib.backends.backend_agg import *\nmatplotlib.interactive(True)\n",
        encoding="utf-8",
    )
    code = (
        "import sys; sys.path.insert(0, 'tests'); from plot_fixture import rich_tables; import builtins, forecast\n"
        "builtins.__IPYTHON__ = True; ax = forecast.plot.budget(rich_tables())\n"
        "import matplotlib.pyplot as plt\n"
        "sys.exit(not (plt.isinteractive() and plt.get_fignums() == [ax.figure.number]))"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    told = os.environ | {"MPLBACKEND": "module://inline", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=told)
    assert 0 == done.returncode, done.stderr


def test_a_figure_can_be_kept_and_drawn_again(made):
    """Pickled and drawn anew; drawn twice, the same bytes."""
    import pickle

    figures = [plot.budget(made, ax=Figure(layout="constrained").subplots()).figure for _ in range(2)]
    assert figure_svg(figures[0]) == figure_svg(figures[1])
    kept = pickle.loads(pickle.dumps(plot.fan(made, ax=Figure().subplots()).figure))  # noqa: S301
    kept.draw_without_rendering()


def test_texts_are_in_the_language_of_the_study(made):
    """Labels, legend and ticks, also those that are written when the figure is drawn."""
    finnish = replace(made, study=replace(made.study, language="fi"))
    ax = plot.budget(finnish, ax=Figure(layout="constrained").subplots())
    assert keyed(ax) != keyed(plot.budget(made, ax=Figure().subplots()))
    ax = plot.rates(finnish, stage="leads", ax=Figure(figsize=(6.4, 3)).subplots())
    ax.set_xticks([0.025])
    ax.figure.draw_without_rendering()
    assert "2,5\xa0%" == ax.get_xticklabels()[0].get_text()
    ax = plot.tornado(finnish, ax=Figure(figsize=(6.4, 3)).subplots())
    ax.set_xticks([2.5])
    ax.figure.draw_without_rendering()
    assert "2,5" == ax.get_xticklabels()[0].get_text()


# ------------------------------------------------------------------------------------------------- what is coming


def test_fan_draws_past_and_bands(made, ax):
    """The line is the history, the bands are the quantiles of the totals, the target's share is the dashed line."""
    plot.fan(made, ax=ax)
    past = made.history.query("measure == 'revenue'")["value"].to_numpy()
    np.testing.assert_allclose(ax.lines[0].get_ydata(), past / 1000)
    rows = made.forecast.query("measure == 'revenue' and channel == 'total' and period != 'total'")
    for area, (low, high, colour) in zip(ax.collections, BANDS, strict=True):
        points = area.get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose(
            [points.min(), points.max()], [rows[low].min() / 1000, rows[high].max() / 1000]
        )
        assert colour == to_hex(area.get_facecolor()[0])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), np.repeat(rows["mean"], 2) / 1000)
    assert any(np.allclose(line.get_ydata(), 64.0) for line in ax.lines)
    assert "thousand EUR a month" == ax.get_ylabel()
    assert keyed(ax) == ["expected", "50 %", "80 %", "90 %", "target a period, on average"]
    assert 0.0 == ax.get_ylim()[0]


def test_fan_of_another_measure_channel_and_plan(made, ax):
    """What is asked for is drawn, without the target of the whole; a target of the caller's is."""
    plot.fan(made, measure="won", channel="ppc", plan="recommended", target=30.0, ax=ax)
    rows = made.forecast_recommended.query("measure == 'won' and channel == 'ppc' and period != 'total'")
    np.testing.assert_allclose(ax.lines[1].get_ydata(), np.repeat(rows["mean"], 2))
    assert any(np.allclose(line.get_ydata(), 10.0) for line in ax.lines)
    assert "wins a month" == ax.get_ylabel()
    assert "Won, past and forecast: ppc" == ax.get_title()
    assert "target a period, on average" not in keyed(plot.fan(made, measure="won", ax=Figure().subplots()))


def test_the_fan_of_a_channel_has_its_own_past():
    """Of a forecast with its history: what came in that channel, a gap where it is not known."""
    study = forecast.load_study(files("forecast") / "bundled" / "demo.toml")
    history = forecast.read_history(study)
    past = forecast.Forecast.past(SimpleNamespace(case=SimpleNamespace(history=history)), "won", "ppc")
    np.testing.assert_array_equal(past["value"], history.counts["won"].sel(channel="ppc"))
    assert past["period"].tolist() == history.labels


def test_total_spans_its_quantiles_and_shows_the_target(made, ax):
    """Three stacked bars from q05 to q95, the target inside the limits even when it is far away."""
    plot.total(made, target=500_000.0, ax=ax)
    row = made.forecast.query("measure == 'revenue' and channel == 'total' and period == 'total'").iloc[0]
    for bar, (low, high, _) in zip(ax.patches, BANDS, strict=True):
        np.testing.assert_allclose(
            [bar.get_y(), bar.get_y() + bar.get_height()], np.array([row[low], row[high]]) / 1000
        )
    assert ax.lines[0].get_ydata()[0] == pytest.approx(row["mean"] / 1000)
    assert ax.get_ylim()[1] > 500


def test_windows_stand_beside_the_forecast(made, ax):
    """A bar a window, then the expected value with its 80 % band; the target across all."""
    plot.windows(made, ax=ax)
    whole = made.forecast.query("measure == 'revenue' and channel == 'total' and period == 'total'").iloc[0]
    np.testing.assert_allclose(
        [bar.get_height() for bar in ax.patches], [*made.windows["value"] / 1000, whole["mean"] / 1000]
    )
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [whole["q10"] / 1000, whole["q90"] / 1000])
    assert ax.lines[1].get_ydata()[0] == pytest.approx(192.0)


@pytest.mark.parametrize("revenue", [True, False])
def test_bridge_builds_up_to_the_total(ax, revenue):
    """Parts begin where the one before ended, the total at zero, what lands later on top of the total."""
    table = plausible_tables(revenue=revenue)
    plot.bridge(table, ax=ax)
    left, width = (np.array([getattr(p, f"get_{w}")() for p in ax.patches]) for w in ("x", "width"))
    mean = table.bridge["mean"].to_numpy() / 1000 if revenue else table.bridge["won_mean"].to_numpy()
    np.testing.assert_allclose(width, mean)
    np.testing.assert_allclose(left, [0, mean[0], 0, mean[2]])
    assert ax.patches[3].get_hatch()
    assert ("thousand EUR" if revenue else "wins") == ax.get_xlabel()
    assert rows(ax)[2] == ("revenue" if revenue else "wins") + " inside the horizon"
    assert (ax.get_legend() is not None) == revenue  # wins have no band in the table


def test_comparison_goes_from_what_came_to_what_is_expected(made, ax):
    """The changes begin where the one before ended, and end at the forecast."""
    plot.comparison(made, ax=ax)
    amounts = made.comparison["amount"].to_numpy() / 1000
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], amounts)
    at = [bar.get_x() for bar in ax.patches]
    np.testing.assert_allclose(at[1:-1], np.cumsum(amounts)[:-2])
    assert at[-2] + amounts[-2] == pytest.approx(amounts[-1])


# --------------------------------------------------------------------------------------------------------- channels


def test_rates_of_one_stage_name_each_channel_once(made, ax):
    """Dots at the means, lines over the 80 % band, shades over the published range, marks at the crude share."""
    plot.rates(made, stage="leads", ax=ax)
    table = made.funnel.query("stage == 'leads'")
    assert rows(ax) == table["channel"].tolist() == list(dict.fromkeys(rows(ax)))
    crude, mean = ax.lines
    np.testing.assert_allclose(mean.get_xdata(), table["mean"])
    np.testing.assert_allclose(crude.get_xdata(), table["history"])
    np.testing.assert_allclose(ends(ax.collections[0]), table[["q10", "q90"]])
    assert {0.02} == {round(p.get_x(), 6) for p in ax.patches}
    assert "share of visitors" == ax.get_xlabel()
    assert len(keyed(ax)) == 4


def test_rates_without_published_range_have_no_shade():
    """A stage that nobody publishes is drawn without a range, and the legend has none."""
    table = rich_tables(stages=("visitors", "demos", "won"))
    ax = plot.rates(table, stage="demos", channel=["ppc", "total"], ax=Figure().subplots())
    assert not ax.patches
    assert len(keyed(ax)) == 3
    assert rows(ax) == ["ppc", "total"]


def test_rates_of_every_stage_have_a_panel_each(made):
    """Each is named, each has its scale and label; on one axes they are refused."""
    first = plot.rates(made)
    panels = [a for a in first.figure.axes if a.get_visible()]
    assert first is panels[0]
    assert [a.get_title(loc="left") or a.get_title() for a in panels] == [
        "into leads", "into qualified", "into won",
    ]  # fmt: skip
    assert all(a.get_xlabel() for a in panels)
    with pytest.raises(UsageError, match="leads, qualified, won"):
        plot.rates(made, ax=Figure().subplots())


def test_break_even_pairs_cost_and_worth(made, ax):
    """Two marks a channel, the cost above the break-even; a logarithmic axis where they are far apart."""
    plot.break_even(made, ax=ax)
    wide = economics_wide(made.economics)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), wide["cpl_mean"])
    np.testing.assert_allclose(ax.lines[1].get_xdata(), wide["break_even_cpl_mean"])
    assert "linear" == ax.get_xscale()
    assert "EUR a lead" == ax.get_xlabel()
    apart = Figure().subplots()
    plot_break_even(wide.assign(break_even_cpl_q90=1e6), apart)
    assert "log" == apart.get_xscale()


def test_ltv_cac_has_average_and_next(made, ax):
    """Both of every channel with their bands, marks at 1 and 3."""
    plot.ltv_cac(made, ax=ax)
    wide = economics_wide(made.economics)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), wide["ltv_cac_mean"])
    np.testing.assert_allclose(
        ends(ax.collections[1]), wide[["marginal_ltv_cac_q10", "marginal_ltv_cac_q90"]]
    )
    assert [line.get_xdata()[0] for line in ax.lines[2:4]] == [1.0, 3.0]


# ----------------------------------------------------------------------------------------------------------- budget


def test_budget_shows_current_recommended_and_range(made, ax):
    """Diamonds, dots and bars stand at the table's numbers."""
    plot.budget(made, ax=ax)
    table = made.allocation
    np.testing.assert_allclose(ax.lines[0].get_xdata(), table["current"] / 1000)
    np.testing.assert_allclose(ax.lines[1].get_xdata(), table["recommended"] / 1000)
    np.testing.assert_allclose([p.get_x() for p in ax.patches], table["low"] / 1000)
    np.testing.assert_allclose([p.get_x() + p.get_width() for p in ax.patches], table["high"] / 1000)
    assert "thousand EUR over the horizon" == ax.get_xlabel()
    some = plot.budget(made, channel=["ppc", "seo"], ax=Figure().subplots())
    assert rows(some) == ["seo", "ppc"]


def test_response_of_a_channel_is_one_curve(made, ax):
    """The hatched part begins at the highest spend seen; the markers lie on the curve; both axes have units."""
    plot.response(made, channel="seo", ax=ax)
    table = made.response.query("channel == 'seo'")
    x, y = (1000.0 if table[name].max() >= 1e4 else 1.0 for name in ("spend", "mean"))
    curve, *marks = ax.lines
    np.testing.assert_allclose(curve.get_xdata(), table["spend"] / x)
    np.testing.assert_allclose(curve.get_ydata(), table["mean"] / y)
    (hatched,) = [p for p in ax.patches if p.get_hatch()]
    assert hatched.get_x() == pytest.approx(table["observed_max"].iloc[0] / x)
    for line, name in zip(marks, ("current", "recommended"), strict=True):
        at = table[name].iloc[0]
        assert line.get_xdata()[0] == pytest.approx(at / x)
        assert line.get_ydata()[0] == pytest.approx(np.interp(at, table["spend"], table["mean"]) / y)
    assert "spend over the horizon, thousand EUR" == ax.get_xlabel()
    assert ax.get_ylabel().startswith("contribution before spend, ")
    assert "How contribution follows spend: seo" == ax.get_title()


def test_response_of_several_channels_has_a_panel_each(made):
    """One scale of contribution, a panel a channel with one curve; never a tangle on one axes."""
    first = plot.response(made)
    panels = [a for a in first.figure.axes if a.get_visible()]
    assert [a.get_title() or a.get_title(loc="left") for a in panels] == made.response[
        "channel"
    ].unique().tolist()
    assert 1 == len({a.get_ylim() for a in panels})
    assert all(len(a.lines) == 3 for a in panels)
    with pytest.raises(UsageError, match="one axes shows one curve"):
        plot.response(made, ax=Figure().subplots())
    chosen = plot.response(made, channel=["seo", "ppc"])
    assert 2 == len(chosen.figure.axes)


def test_frontier_and_risk(made, ax):
    """The lines are the frontiers, plans lie on them, money stops paying at the dashed line."""
    plot.frontier(made, ax=ax)
    table = made.decision.budget_frontier
    np.testing.assert_allclose(ax.lines[0].get_xdata(), table["spent"] / 1000)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), table["contribution"] / 1000)
    assert ax.lines[1].get_xdata()[0] == pytest.approx(made.decision.stops_paying / 1000)
    for line, name in zip(ax.lines[2:], ("current", "recommended"), strict=True):
        assert line.get_xdata()[0] == pytest.approx(made.allocation[name].sum() / 1000)
    other = plot.risk(made, ax=Figure().subplots())
    risk = made.decision.risk_frontier
    np.testing.assert_allclose(other.lines[0].get_xdata(), risk.query("plan == 'mix'")["cvar"] / 1000)
    assert other.lines[2].get_xdata()[0] == pytest.approx(
        risk.query("plan == 'recommended'")["cvar"].iloc[0] / 1000
    )


# ----------------------------------------------------------------------------------------------------------- levers


@pytest.mark.parametrize(
    ("measure", "ahead"), [("revenue", "inside the horizon"), ("revenue_eventual", "in the end")]
)
def test_tornado_has_the_largest_on_top(made, ax, measure, ahead):
    """Bars of the 10 % of each lever, never of a point; the 80 % band on each."""
    plot.tornado(made, measure=measure, most=4, ax=ax)
    table = levers_of(made.levers.sensitivity, measure).head(4)
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths, table["mean"] / 1000)
    assert widths == sorted(widths, reverse=True)
    np.testing.assert_allclose(ends(ax.collections[0]), table[["q10", "q90"]] / 1000)
    assert f"more {ahead}, thousand EUR" == ax.get_xlabel()
    assert rows(ax)[0] == "deal value"


def test_variance_sets_chance_apart(made, ax):
    """Shares in percent, chance in its colour, without the sum."""
    plot.variance(made, ax=ax)
    table = made.levers.variance.query("source != 'total'").sort_values(
        "share", ascending=False, kind="stable"
    )
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], 100 * table["share"])
    for bar, source in zip(ax.patches, table["source"], strict=True):
        assert to_hex(bar.get_facecolor()) == (ORANGE if source.startswith("chance") else BLUE).lower()


def test_scenarios_and_plans_show_bands_of_the_difference(made, ax):
    """Dots at the means on their 80 % bands; the first plan is what others are compared with."""
    plot.scenarios(made, ax=ax)
    table = made.levers.scenarios.query("measure == 'contribution'")
    np.testing.assert_allclose(ax.lines[0].get_xdata(), table["mean"] / 1000)
    np.testing.assert_allclose(ends(ax.collections[0]), table[["q10", "q90"]] / 1000)
    other = plot.plans(COMPARED, currency="EUR", ax=Figure().subplots())
    np.testing.assert_allclose(other.lines[0].get_xdata(), [12.0, -8.0])
    np.testing.assert_allclose(ends(other.collections[0]), [[3.0, 21.0], [-17.0, 1.0]])
    assert rows(other) == ["more", "less"]
    assert 'more than with "as planned", thousand EUR' == other.get_xlabel()


def test_segments_and_mix(made, ax):
    """Worth with its band; shares that fill every period."""
    plot.segments(made, ax=ax)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), made.segments.worth["worth_mean"])
    other = plot.mix(made, ax=Figure().subplots())
    tops = {}
    for bar in other.patches:
        tops[round(bar.get_x(), 3)] = bar.get_y() + bar.get_height()
    np.testing.assert_allclose(list(tops.values()), 100.0)


# ------------------------------------------------------------------------------------------------------- the past


def test_backtest_draws_bands_and_what_came(made, ax):
    """Bars over the bands of every origin, dots at what came, orange where that is outside its 80 %."""
    plot.backtest(made, ax=ax)
    table = pd.DataFrame(made.backtest.rows)
    bars = np.array([[bar.get_y(), bar.get_y() + bar.get_height()] for bar in ax.patches]).reshape(3, -1, 2)
    for drawn, (low, high, _) in zip(bars, BANDS, strict=True):
        np.testing.assert_allclose(drawn, table[[low, high]] / 1000)
    inside, outside = ax.lines
    assert (to_hex(inside.get_color()), to_hex(outside.get_color())) == (INK.lower(), ORANGE.lower())
    np.testing.assert_allclose(outside.get_xdata(), [2.0])
    np.testing.assert_allclose(outside.get_ydata(), table["came"].to_numpy()[[2]] / 1000)
    assert "thousand EUR" == ax.get_ylabel()


def test_a_backtest_is_taken_in_every_form_it_comes_in(made):
    """The result, its summary, a pair of records and summary, or an object that has them; others are refused."""
    past = made.backtest
    summary = {
        "name": past.name, "currency": "EUR", "measure": past.measure, "period": "month", "horizon": 3,
        "origins": past.origins, "independent": 6.0, "spend": "actual", "paid": True, "method": "fit", "left_out": [],
        "sampling": {}, "rows": past.rows, "methods": past.scores, "gate": {"checks": []},
    }  # fmt: skip
    columns = [
        "period",
        "channel",
        "measure",
        "came",
        "mean",
        *(f"q{q}" for q in ("05", "10", "25", "50", "75", "90", "95")),
    ]
    cells = [
        [period, channel, "leads", 10.0 * k, *([9.0 * k] * 8)]
        for k, channel in enumerate(("seo", "total"), start=1)
        for period in ("2026-01", "2026-02", "total")
    ]  # fmt: skip
    records = [{"origin": "2025-12", "columns": columns, "cells": cells, "baselines": {}}]
    for form in (past, made, summary, (records, summary), SimpleNamespace(summary=summary, records=records)):
        ax = plot.backtest(form, ax=Figure().subplots())
        assert len(ax.patches) == 3 * len(past.rows)
        assert [bar.get_height() for bar in plot.calibration(form, ax=Figure().subplots()).patches] == [
            1,
            1,
            2,
            1,
            1,
        ]
    ax = plot.backtest((records, summary), measure="leads", channel="seo", ax=Figure().subplots())
    assert ax.lines[1].get_ydata().tolist() == [10.0]  # outside a band without width
    assert ["2026-01\nto 2026-02"] == [t.get_text() for t in ax.get_xticklabels()]
    with pytest.raises(UsageError, match="records"):
        plot.backtest(summary, measure="leads")
    with pytest.raises(UsageError, match='no channel "tv"; there are seo, total'):
        plot.backtest((records, summary), measure="leads", channel="tv")
    for wrong in ({}, 3, None, (1, 2)):
        with pytest.raises(UsageError, match="expected what"):
            plot.backtest(wrong)


# ---------------------------------------------------------------------------------------------- what cannot be drawn


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda m: plot.fan(m, measure="profit"), 'no measure "profit"; there are visitors, leads'),
        (lambda m: plot.fan(m, channel="tv"), 'no channel "tv"; there are seo, outbound'),
        (lambda m: plot.fan(m, plan="best"), 'no plan "best"; there are given, recommended'),
        (lambda m: plot.rates(m, stage="demos"), 'no stage with a rate "demos"; there are leads, qualified, won'),
        (lambda m: plot.rates(m, stage="won", channel=[]), "name at least one channel"),
        (lambda m: plot.response(m, channel="tv"), 'no channel "tv"'),
        (lambda m: plot.tornado(m, measure="cost"), 'no measure of a lever "cost"; there are revenue'),
        (lambda m: plot.scenarios(m, measure="p_payback"), 'no measure of a scenario "p_payback"'),
        (lambda m: plot.windows(m, measure="leads"), 'no measure "leads"; there are revenue'),
        (lambda m: plot.calibration(m, measure="spend"), 'no measure "spend"; there are revenue, leads'),
        (lambda m: plot.comparison(m, against="1999"), 'no window to compare with "1999"; there are before'),
        (plot.plans, "forecast.compare"),
        (lambda m: plot.plans(COMPARED[COMPARED["plan"] == "more"]), "two or more"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_named_with_what_there_is(made, ask, said):
    """A typing mistake is answered with the names that could have been meant, and leaves no figure behind."""
    with pytest.raises(UsageError, match=said):
        ask(made)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("budget", "no budget is divided"),
        ("response", "no budget is divided"),
        ("frontier", "no budget is divided"),
        ("risk", "no budget is divided"),
        ("tornado", "no levers were tried"),
        ("variance", "no levers were tried"),
        ("scenarios", "no levers were tried"),
        ("segments", "no segments"),
        ("mix", "no segments"),
        ("backtest", "no backtest stands beside"),
        ("calibration", "no backtest stands beside"),
        ("break_even", "spend, and a value of deals"),
        ("ltv_cac", "LTV / CAC is not known"),
    ],
)
def test_what_a_forecast_does_not_have_is_said(name, said):
    """No spend, no segments, no backtest: a sentence, never an empty figure."""
    with pytest.raises(UsageError, match=said):
        getattr(plot, name)(plausible_tables(spend=False, revenue=False))


def test_the_recommended_plan_is_there_only_with_a_budget():
    """Without a split there is no second plan to draw."""
    with pytest.raises(UsageError, match="no budget is divided"):
        plot.fan(plausible_tables(spend=False), plan="recommended")


def test_the_namespace_lists_what_it_has():
    """Every name is a function with an `ax`, is told of in the module, and on its page."""
    import inspect
    from pathlib import Path

    page = Path(__file__).parents[2] / "docs" / "plots.md"
    for name in plot.__all__:
        function = getattr(plot, name)
        assert inspect.signature(function).parameters["ax"].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"    {name} " in str(plot.__doc__)
        assert not page.exists() or f"`forecast.plot.{name}" in page.read_text(encoding="utf-8")
