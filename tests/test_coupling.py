"""Units side by side: their own futures stay as they are, the total has the spread that the correlation asks for."""

from __future__ import annotations

import numpy as np
import pytest

from forecast import coupling
from forecast.coupling import ASSUMED, MEMORY, SPREAD, TAKEN, Correlation, coupled, learnt, residuals

N = 20_000


def totals(rng: np.random.Generator) -> list[np.ndarray]:
    """Totals of three units, not quite normal, one of whole numbers with ties."""
    return [
        rng.gamma(30.0, 1000.0, N),
        np.exp(rng.normal(10.0, 0.25, N)),
        rng.poisson(40.0, N) * 500.0,
    ]


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.7, 1.0])
def test_each_unit_keeps_its_futures_and_the_total_has_the_spread(correlation: float) -> None:
    """Every future once; the mean of the sum is the sum of means; sd^2 = sum of all rho_ij sd_i sd_j."""
    rng = np.random.default_rng(5)
    units = totals(rng)
    orders = coupled(units, correlation, rng)
    for order in orders:
        assert np.array_equal(np.sort(order), np.arange(N))
    whole = np.sum([u[o] for u, o in zip(units, orders, strict=True)], axis=0)
    assert whole.mean() == pytest.approx(sum(u.mean() for u in units), rel=1e-12)
    sds = np.array([u.std() for u in units])
    formula = np.sqrt((1 - correlation) * (sds**2).sum() + correlation * sds.sum() ** 2)
    assert whole.std() == pytest.approx(formula, rel=0.015)
    found = np.corrcoef([u[o] for u, o in zip(units, orders, strict=True)])
    assert found[np.triu_indices(3, 1)] == pytest.approx(correlation, abs=0.03)


def test_at_one_the_best_futures_go_together() -> None:
    """Comonotone: sorted by one unit, every other is sorted too."""
    rng = np.random.default_rng(6)
    units = totals(rng)
    orders = coupled(units, 1.0, rng)
    first = np.argsort(units[0][orders[0]])
    for unit, order in zip(units, orders, strict=True):
        assert (np.diff(unit[order][first]) >= 0).all()


def test_the_same_draws_twice_are_independent_at_nought() -> None:
    """Two units whose runs had the same seed share chance draw by draw: that is nobody's correlation."""
    rng = np.random.default_rng(7)
    same = rng.normal(size=N)
    one, other = coupled([same, same], 0.0, rng)
    assert abs(np.corrcoef(same[one], same[other])[0, 1]) < 0.03


def test_units_of_fewer_draws_have_each_as_often() -> None:
    """A unit of half the draws stands in the group with each of them twice."""
    rng = np.random.default_rng(8)
    orders = coupled([rng.normal(size=1000), rng.normal(size=500)], 0.4, rng)
    assert np.array_equal(np.bincount(orders[1]), np.full(500, 2))


def pasts(
    rho: float, units: int, months: int, rng: np.random.Generator, own: float = 0.0, common: float = 0.0
) -> list[np.ndarray | None]:
    """Residuals of made pasts: a trend, a season of their own, and monthly shocks of correlation rho.

    own, common: how much of itself each unit's part of a shock, and the common part, keeps to the next month.
    """
    shared = remembered(rng.normal(size=(1, months)), common)
    apart = remembered(rng.normal(size=(units, months)), own)
    seasons = np.arange(months) % 12
    made: list[np.ndarray | None] = []
    for shock in np.sqrt(rho) * shared + np.sqrt(1 - rho) * apart:
        season = rng.normal(size=12)[seasons]
        y = np.exp(10 + rng.normal() * np.arange(months) / months + 0.3 * season + 0.2 * shock)
        made.append(residuals(y, 0.5, seasons, "month"))
    return made


def remembered(white: np.ndarray, memory: float) -> np.ndarray:
    """Shocks (unit, month) as a path that keeps so much of itself from month to month."""
    path = white.copy()
    for t in range(1, path.shape[1]):
        path[:, t] += memory * path[:, t - 1]
    return path


@pytest.mark.parametrize(
    ("rho", "own", "common"),
    [
        (0.0, 0.0, 0.0),
        (0.6, 0.0, 0.0),
        (0.0, 0.7, 0.0),
        (0.0, 1.0, 0.0),
        (0.3, 0.7, 0.7),
        (0.3, 0.0, 1.0),
    ],
)
def test_the_correlation_is_recovered_within_its_standard_error(
    rho: float, own: float, common: float
) -> None:
    """Over many groups the mean is right, and the error tells how far single ones are off.

    Also where months remember each other: 60 groups tell their spread to 9 %, and too large is the safer side.
    """
    rng = np.random.default_rng(14)
    found = [learnt(pasts(rho, 5, 36, rng, own, common), "month") for _ in range(60)]
    raw = np.array([float(f.raw or 0.0) for f in found])
    told = float(np.sqrt(np.mean([float(f.error or 0.0) ** 2 for f in found])))
    assert 0.85 < told / raw.std() < 1.45
    if own == common:  # else the shares of the two in a detrended past are others
        assert raw.mean() == pytest.approx(rho, abs=0.06)


@pytest.mark.parametrize(("units", "months"), [(2, 36), (5, 60)])
def test_without_memory_the_error_is_that_of_an_intraclass_correlation(units: int, months: int) -> None:
    """sqrt(2 / (n m (m - 1))) where nothing is shared, n less what trend and season take; less the more is shared."""
    z = np.array(pasts(0.0, units, months, np.random.default_rng(15)))
    everywhere, sizes = np.isfinite(z), coupling._inverse_sizes(months, "month")
    assert sizes[0] == pytest.approx(1.0 / (months - TAKEN["month"]))
    assert (np.diff(sizes) > 0).all()
    plain = np.sqrt(2.0 / ((months - TAKEN["month"]) * units * (units - 1)))
    low, high = plain, plain * np.sqrt(sizes[-1] / sizes[0])  # of no memory, and of the longest
    for rho in (-0.1, 0.0, 0.5):
        shared = max(rho, 0.0)
        smaller = (1 - shared) * (1 + (units - 1) * shared)
        assert low <= coupling._error(z, everywhere, "month", rho) / smaller <= high


def test_the_memory_of_residuals_is_found() -> None:
    """By likelihood of what trend and season leave: long pasts of no memory, and of much, are told apart."""
    rng = np.random.default_rng(16)
    basis = coupling._any_season(120, "month")
    for memory in (0.0, 0.8):
        path = remembered(rng.normal(size=(6, 120)), memory)
        likely = coupling._likely(path, basis)
        assert likely @ np.array(MEMORY) == pytest.approx(memory, abs=0.1)
    assert coupling._likely(path[:, :14] * np.nan, basis[:14]) == pytest.approx(
        1 / len(MEMORY)
    )  # no word of it


def test_one_month_that_outweighs_all_others_is_no_certainty() -> None:
    """A crash that all had once looks like a correlation by its size alone; the error says that it is one month."""
    rng = np.random.default_rng(17)
    plain = np.array(pasts(0.0, 5, 36, rng))
    crash = plain + 6.0 * (np.arange(36) == 20)
    found = learnt(list(crash), "month")
    assert found.raw is not None
    assert found.raw > 0.3
    assert found.error is not None
    assert found.error > 0.5 * found.raw


def test_few_months_lean_on_the_assumption() -> None:
    """value = w raw + (1 - w) assumed, w = spread^2 / (spread^2 + error^2): more months, more weight."""
    rng = np.random.default_rng(10)
    short, long = (learnt(pasts(0.6, 3, n, rng), "month") for n in (24, 240))
    for found in (short, long):
        assert found.how == "learnt"
        assert found.raw is not None
        assert found.error is not None
        assert found.weight == pytest.approx(SPREAD**2 / (SPREAD**2 + found.error**2))
        assert found.value == pytest.approx(found.weight * found.raw + (1 - found.weight) * ASSUMED)
    assert long.weight > short.weight
    assert long.value == pytest.approx(0.6, abs=0.1)


def test_a_past_that_is_too_short_teaches_nothing() -> None:
    """A year cannot tell a season from a shock; one unit alone has no other."""
    rng = np.random.default_rng(11)
    seasons = np.arange(18) % 12
    assert residuals(rng.gamma(5.0, 1.0, 18), 0.5, seasons, "month") is None
    assert learnt([None, *pasts(0.5, 1, 36, rng)], "month") == Correlation(ASSUMED, "assumed")


def test_pairs_are_those_of_the_periods_that_both_know() -> None:
    """Units that began at different times are compared where both were there."""
    rng = np.random.default_rng(12)
    made = pasts(0.9, 3, 48, rng)
    assert made[2] is not None
    made[2] = np.where(np.arange(48) < 20, np.nan, made[2])
    found = learnt(made, "month")
    assert {(a, b): n for a, b, _, n in found.pairs} == {(0, 1): 48, (0, 2): 28, (1, 2): 28}
    assert all(r > 0.5 for _, _, r, _ in found.pairs)


def test_a_trend_and_a_season_that_are_shared_are_no_correlation() -> None:
    """Two units that grow alike and have the same year are no riskier together for it."""
    rng = np.random.default_rng(13)
    months = np.arange(60)
    alike = 10 + months / 60 + 0.5 * np.sin(months / 12 * 2 * np.pi)
    raw = [
        learnt(
            [
                residuals(np.exp(alike + 0.1 * rng.normal(size=60)), 0.5, months % 12, "month")
                for _ in range(4)
            ],
            "month",
        ).raw
        for _ in range(60)
    ]
    assert abs(np.mean([float(r or 0.0) for r in raw])) < 0.04
