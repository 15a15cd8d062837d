"""Figures beside pictures of themselves, looked at once: what no reading back of lines and bars would notice.

The pictures are small, of seeded tables without a fit. `make images` draws them anew; look at each before it is
committed. Another matplotlib than the one they were drawn with (`images/matplotlib.txt`, as pinned in
constraints.txt) sets text and lines a little differently, so there the comparison is skipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from plot_fixture import rich_tables

from forecast import plot
from forecast.report.figures import house
from forecast.results import Results

IMAGES = Path(__file__).with_name("images")
MADE_WITH = IMAGES / "matplotlib.txt"
ANEW = bool(os.environ.get("FORECAST_IMAGES"))
DPI, TOLERANCE = 60, 4.0  # root mean square of 0 to 255; another build of the same version stays below 2
LONG = [f"A channel whose name takes sixty letters, number {k}, of seven".ljust(60, "x") for k in range(7)]
COMPARED = pd.DataFrame(
    {
        "plan": ["as planned", "more", "less"],
        "measure": "contribution",
        "difference": [0.0, 12e3, -8e3],
        "difference_q10": [0.0, 3e3, -17e3],
        "difference_q90": [0.0, 21e3, 1e3],
    }
)
DRAWN: dict[str, Callable[[Results], Axes]] = {
    "fan": plot.fan,
    "bridge": plot.bridge,
    "rates": plot.rates,
    "response": lambda made: plot.response(made, channel=["seo", "outbound", "email", "events", "ppc"]),
    "response_one": lambda made: plot.response(made, channel="seo"),
    "budget": plot.budget,
    "frontier": plot.frontier,
    "tornado": plot.tornado,
    "variance": plot.variance,
    "backtest": plot.backtest,
    "plans": lambda _: plot.plans(COMPARED, currency="EUR"),
    "comparison": plot.comparison,
    "budget_long": lambda _: plot.budget(rich_tables(channels=LONG)),
}

needs_the_same_matplotlib = pytest.mark.skipif(
    not ANEW and MADE_WITH.read_text(encoding="utf-8").strip() != mpl.__version__,
    reason=f"images drawn with matplotlib {MADE_WITH.read_text(encoding='utf-8').strip()}, this is {mpl.__version__}",
)


@pytest.fixture(scope="module")
def made() -> Results:
    """All that can be drawn."""
    return rich_tables()


def written(figure: Figure, path: Path) -> str:
    """A figure as a small PNG, in the house's settings also where matplotlib looks them up when it draws."""
    house(lambda: figure.savefig(path, dpi=DPI, metadata={"Software": None}))()
    return str(path)


@needs_the_same_matplotlib
@pytest.mark.parametrize("name", sorted(DRAWN))
def test_a_figure_looks_as_it_did(made: Results, name: str, tmp_path: Path) -> None:
    """The same picture, but for what another build of matplotlib may do to the edges of letters."""
    figure, kept = DRAWN[name](made).figure, IMAGES / f"{name}.png"
    if ANEW:
        written(figure, kept)
        MADE_WITH.write_text(f"{mpl.__version__}\n", encoding="utf-8")
        return
    apart = compare_images(str(kept), written(figure, tmp_path / f"{name}.png"), tol=TOLERANCE)
    assert apart is None, apart
    assert kept.stat().st_size < 25_000


@needs_the_same_matplotlib
def test_a_change_of_what_is_drawn_is_noticed(made: Results, tmp_path: Path) -> None:
    """A band half as wide, a marker elsewhere, a label gone: none passes for the same picture."""
    narrow = made.allocation.assign(high=(made.allocation["high"] + made.allocation["low"]) / 2)
    moved = made.allocation.assign(recommended=0.8 * made.allocation["recommended"])
    for k, table in enumerate((narrow, moved)):
        figure = plot.budget(replace(made, allocation=table)).figure
        assert compare_images(
            str(IMAGES / "budget.png"), written(figure, tmp_path / f"{k}.png"), tol=TOLERANCE
        )
    ax = plot.budget(made)
    ax.set_xlabel("")
    assert compare_images(
        str(IMAGES / "budget.png"), written(ax.figure, tmp_path / "bare.png"), tol=TOLERANCE
    )


def test_the_house_has_a_font_that_every_matplotlib_brings() -> None:
    """DejaVu Sans comes with matplotlib: no font of the machine stands in the pictures."""
    from matplotlib.font_manager import findfont

    family = house(lambda: list(mpl.rcParams["font.family"]))()
    assert family == ["DejaVu Sans"]
    assert Path(findfont(family[0], fallback_to_default=False)).is_relative_to(mpl.get_data_path())
