"""Numbers a factor off are named, ordinary companies are left in peace, and money is set against wins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from posterior_fixture import history, study

from forecast.history.audit_numbers import OUTLIERS, money_and_wins, outliers, strays, without_strays
from forecast.history.history import History, count_table
from forecast.lab import counts, demo_world, generate
from forecast.words import percent, text, whole

Cells = dict[str, np.ndarray]
MEASURES = ("spend", "visitors", "leads", "qualified", "won", "revenue")


def company(seed: int = 4, periods: int = 20) -> Cells:
    """Three channels of few wins: spend between 500 and 3,000 a month, two to five wins."""
    rng = np.random.default_rng(seed)
    visitors = rng.integers(300, 800, (periods, 3))
    leads, won = rng.binomial(visitors, 0.05), rng.integers(2, 6, (periods, 3))
    cells = {
        "spend": rng.integers(500, 3000, (periods, 3)),
        "visitors": visitors,
        "leads": leads,
        "qualified": np.minimum(won * 3, leads),
        "won": won,
        "revenue": won * rng.integers(3000, 5500, (periods, 3)),
    }
    return {name: values.astype(float) for name, values in cells.items()}


def read(cells: Cells, **more: Any) -> History:
    """The cells as a history of three channels."""
    return history(cells, channels=("ppc", "seo", "email"), periods=len(cells["won"]), **more)


@pytest.mark.parametrize("at", [9, 19], ids=["middle", "last"])
@pytest.mark.parametrize(
    ("measure", "factor"),
    [("spend", 10), ("spend", 0.01), ("visitors", 10), ("visitors", 0.1), ("won", 100), ("revenue", 100)],
)
def test_a_slip_of_the_point_is_named_with_what_is_usual_around_it(
    measure: str, factor: float, at: int
) -> None:
    """One cell off by 10 to 1,000: that cell and no other, with channel, period, value, and its neighbours' median."""
    cells = company()
    cells[measure][at, 1] = np.ceil(cells[measure][at, 1] * factor)
    found = strays(read(cells))

    assert [(s.measure, s.period, s.channel) for s in found] == [(measure, at, 1)]
    assert found[0].value == cells[measure][at, 1]
    near = [t for t in range(at - 3, at + 4) if t != at] if at == 9 else range(at - 6, at)
    assert found[0].usual == np.median(cells[measure][list(near), 1])
    check = outliers(read(cells))
    assert check.status == "REVIEW"
    assert f"seo in {read(cells).labels[at]}: {measure} " in text(check.value)


@pytest.mark.parametrize("measures", [MEASURES[1:], ("spend",)], ids=["all counts", "spend"])
def test_a_whole_period_a_thousand_times_too_large_is_found(measures: tuple[str, ...]) -> None:
    """Every channel at once is no reason: the export was in another unit."""
    cells = company()
    for name in measures:
        cells[name][-1] *= 1000
    assert {(s.measure, s.period) for s in strays(read(cells))} == {(name, 19) for name in measures}


def test_what_has_a_reason_is_not_suspect() -> None:
    """A campaign that brought traffic, a peak that comes every year, and numbers with a scatter of their own."""
    cells = company(periods=40)
    cells["spend"][9, 0] *= 8
    cells["visitors"][9, 0] *= 4
    for december in (11, 23, 35):
        cells["revenue"][december, 1] *= 9
    cells["spend"][:, 2] = np.random.default_rng(1).lognormal(7, 1.5, 40)
    assert strays(read(cells)) == []


def test_ordinary_companies_are_seldom_suspect() -> None:
    """Of a dozen made companies at most one: measured over 120, three were (two of them with deals of heavy tails)."""
    alarms = 0
    for seed in range(12):
        table = counts(generate(demo_world(), np.random.default_rng([7, seed])))
        cells = {name: table[name].to_numpy(dtype=float) for name in MEASURES}
        starts = table["period"].to_numpy().astype("datetime64[D]")
        made = count_table(starts, list(table["channel"]), cells, "month")
        alarms += bool(strays(History(made, "calendar", "month", MEASURES[1:-1])))
    assert alarms <= 1


def test_without_them_the_history_has_what_is_usual_there() -> None:
    """Only the odd cell changes, and counts stay whole."""
    cells = company()
    cells["won"][9, 1] *= 1000
    made = read(cells)
    smooth = without_strays(made)
    assert smooth.counts["won"].values[9, 1] == round(np.median(cells["won"][[6, 7, 8, 10, 11, 12], 1]))
    others = np.ones_like(cells["won"], dtype=bool)
    others[9, 1] = False
    assert (smooth.counts["won"].values[others] == made.counts["won"].values[others]).all()
    assert outliers(smooth).status == "PASS"
    assert outliers(smooth).name == OUTLIERS


def test_money_without_wins_and_the_reverse_are_told_with_their_sums() -> None:
    """The sum, its share, the number of cells, and channels that never have both."""
    cells = company()
    cells["revenue"][:, 0] = 1000.0
    cells["won"][:4, 0] = 0.0
    cells["revenue"][5, 1] = 0.0
    cells["won"][5, 1] = 4.0
    cells["won"][:, 2] = 0.0
    check = money_and_wins(read(cells), study())
    assert check is not None
    assert check.status == "REVIEW"
    said = text(check.value)
    money = cells["revenue"][:4, 0].sum() + cells["revenue"][:, 2].sum()
    assert (
        f"revenue without a win: {whole(money)} EUR ({percent(money / cells['revenue'].sum())} of all), 24 cells"
        in said
    )
    assert f"wins without revenue: 4 of {cells['won'].sum():.0f}, 1 cell: seo in 2025-06" in said
    assert "email never both, so left out of the mean deal" in said


def test_revenue_beside_empty_wins_is_told() -> None:
    """Money whose wins are not known is learnt from as little as money without any."""
    cells = company()
    cells["won"][3, 0] = np.nan
    check = money_and_wins(read(cells), study())
    assert check is not None
    assert "revenue where won is empty" in text(check.value)
