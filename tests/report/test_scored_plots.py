"""Figures of a run that was scored: what they show is what the score tells."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from forecast import plot
from forecast.errors import UsageError

BAND = {"q05": 60.0, "q10": 70.0, "q25": 85.0, "q50": 100.0, "q75": 115.0, "q90": 130.0, "q95": 140.0}
BLOCKS = {"spend": 4.0, "traffic": -10.0, "chance": -4.0}


def row(period: str, mean: float, came: float, channel: str = "total") -> dict[str, Any]:
    """A row of a score."""
    inside = BAND["q10"] <= came <= BAND["q90"]
    return {"measure": "won", "period": period, "channel": channel, "mean": mean, "came": came, **BAND} | {
        "inside80": inside
    }


@pytest.fixture
def score() -> Any:
    """A run of two months, of which the second came low."""
    rows = [
        row("2026-01", 100, 110),
        row("2026-02", 100, 60),
        row("total", 200, 190),
        row("2026-01", 9, 8, "seo"),
    ]
    parts = [
        {"channel": "total", "measure": "won", "block": name, "amount": by} for name, by in BLOCKS.items()
    ]
    told = {"scores": rows, "attribution": parts, "measure": "won", "currency": "EUR", "headline": None}
    old = [
        {**row("x", 50, 45), "first": "2025-09", "last": "2025-10"},
        {**row("y", 9, 8), "first": "2025-11", "last": "2025-12"},
    ]
    study = SimpleNamespace(language="en", locale="")
    return SimpleNamespace(told=told | {"earlier": {"rows": old}}, study=study)


def dots(ax: Any) -> list[float]:
    """Heights of the dots."""
    return sorted(float(y) for c in ax.collections for _, y in c.get_offsets() if not math.isnan(float(y)))


def marks(ax: Any) -> list[float]:
    """Heights of markers drawn as lines without a line."""
    return sorted(
        float(y)
        for line in ax.lines
        if line.get_marker() == "o"
        for y in line.get_ydata()
        if not math.isnan(y)
    )


def test_what_came_stands_on_the_bands_of_its_period(score):
    """One dot a period and none for the total; the chosen channel alone; the title says which."""
    ax = plot.scored(score)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2026-01", "2026-02"]
    assert sorted({*dots(ax), *marks(ax)} & {110.0, 60.0, 190.0}) == [60.0, 110.0]
    assert ax.get_title(loc="left") or ax.get_title()
    own = plot.scored(score, channel="seo")
    assert [text.get_text() for text in own.get_xticklabels()] == ["2026-01"]
    assert "seo" in (own.get_title(loc="left") or own.get_title())


def test_the_shares_lead_from_plan_to_actual(score):
    """A bar for each block between the two wholes; the last ends at what came."""
    ax = plot.shares(score)
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["Plan", *BLOCKS, "Actual"]
    widths = [abs(bar.get_width()) for bar in ax.patches if bar.get_width()]
    for amount in BLOCKS.values():
        assert any(width == pytest.approx(abs(amount)) for width in widths)


def test_earlier_horizons_are_drawn_where_there_are_some(score):
    """In their order; none is an error that says so."""
    assert len(plot.earlier(score).get_xticklabels()) == 2
    score.told["earlier"] = {"rows": []}
    with pytest.raises(UsageError, match="no earlier horizon"):
        plot.earlier(score)


@pytest.mark.parametrize(
    ("figure", "asked", "said"),
    [
        (plot.scored, {"measure": "revenu"}, "revenu"),
        (plot.scored, {"channel": "sea"}, "sea"),
        (plot.shares, {"measure": "leads"}, "leads"),
    ],
)
def test_what_is_not_there_is_refused(score, figure, asked, said):
    """By its name."""
    with pytest.raises(UsageError, match=said):
        figure(score, **asked)


def test_a_difference_that_was_not_taken_apart_has_no_shares(score):
    """Sales that are known in total alone."""
    score.told["attribution"] = []
    with pytest.raises(UsageError, match="not taken apart"):
        plot.shares(score)
