"""The solver on made curves: brute force, another solver, closed forms, prices by difference, impossible limits."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.sparse import csr_array

from forecast.budget.concave import Array, InfeasibleError, Program, Row, Solution, evaluate, solve

FEW = settings(max_examples=8, deadline=None)
MOST = 20_000.0
POINTS = 2001


def power(scale: Array, beta: Array, most: float = MOST) -> tuple[Array, Array]:
    """Knots and values of the curves k (x / 1000)^beta."""
    knots = np.tile(most * np.linspace(0.0, 1.0, POINTS) ** 2, (len(beta), 1))
    return knots, scale[:, None] * (knots / 1000.0) ** beta[:, None]


def s_shaped(scale: Array, half: Array, steep: float = 3.0, most: float = MOST) -> tuple[Array, Array]:
    """Knots and values of the Hill curves k x^s / (x^s + h^s), s > 1: flat, steep, flat."""
    knots = np.tile(most * np.linspace(0.0, 1.0, POINTS) ** 2, (len(scale), 1))
    return knots, scale[:, None] * knots**steep / (knots**steep + half[:, None] ** steep)


def program(curves: tuple[Array, Array], total: float, *rows: Row, **given: Any) -> Program:
    """A program of these curves with a total, and no other limit but what is given."""
    knots, value = curves
    n = len(knots)
    limits: dict[str, Any] = {"low": np.zeros(n), "high": np.full(n, MOST), "cost": np.ones(n)} | given
    return Program(knots, value, rows=(Row("total", np.ones(n), total), *rows), **limits)


def price(found: Solution, name: str) -> float:
    """What one unit more of a limit would bring."""
    return next(price for row, price in found.prices.items() if row.name == name)


def random_market(seed: int, n: int = 4) -> tuple[tuple[Array, Array], np.random.Generator]:
    """Power curves of a random market."""
    rng = np.random.default_rng(seed)
    return power(rng.uniform(3000, 12_000, n), rng.uniform(0.35, 0.8, n)), rng


def brute(asked: Program, steps: int, keeps: Any = lambda x: True) -> float:
    """The best of a grid of three variables; the last takes what the total leaves, or less."""
    axis = [np.linspace(a, b, steps) for a, b in zip(asked.low, asked.high, strict=True)]
    tables = [np.interp(ax, k, v) - ax for ax, k, v in zip(axis, asked.knots, asked.value, strict=True)]
    top, total = -np.inf, asked.rows[0].most
    for i, j in itertools.product(range(steps), range(steps)):
        left = total - axis[0][i] - axis[1][j]
        for k in np.flatnonzero(axis[2] <= left + 1e-9):
            x = np.array([axis[0][i], axis[1][j], axis[2][k]])
            if keeps(x):
                top = max(top, float(tables[0][i] + tables[1][j] + tables[2][k]))
    return top


# Exactness


@pytest.mark.parametrize("seed", range(3))
def test_pieces_and_equal_marginal_returns_agree(seed: int):
    """With a row that never binds the pieces solve it; the objective and the price are those of water-filling."""
    curves, rng = random_market(seed)
    low, high = rng.uniform(0, 1500, 4), rng.uniform(2500, 9000, 4)
    total = float(rng.uniform(low.sum() * 1.2, high.sum() * 0.8))
    plain = program(curves, total, low=low, high=high)
    filled, pieces = solve(plain), solve(replace(plain, rows=(*plain.rows, Row("idle", np.ones(4), 1e9))))
    assert pieces.value == pytest.approx(filled.value, rel=1e-6)
    assert 1 + price(pieces, "total") == pytest.approx(1 + price(filled, "total"), rel=5e-3)
    assert price(pieces, "idle") == 0.0
    for found in (filled, pieces):
        assert found.x.sum() == pytest.approx(total, rel=1e-9)
        assert 0.0 <= found.gap <= 2e-6 * found.value


@pytest.mark.parametrize("seed", range(3))
def test_a_group_limit_against_another_solver(seed: int):
    """SLSQP on the exact curves with a total and a share limit of a group finds nothing better."""
    rng = np.random.default_rng(seed)
    scale, beta = rng.uniform(3000, 12_000, 4), rng.uniform(0.35, 0.8, 4)
    share = Row("share", np.array([1.0, 1.0, 0.0, 0.0]) - 0.3, 0.0)
    found = solve(program(power(scale, beta), 9000.0, share))

    def loss(x: Array) -> float:
        return -float((scale * (x / 1000) ** beta).sum() - x.sum()) / 1e4

    rows = [
        {"type": "ineq", "fun": lambda x: (9000.0 - x.sum()) / 1e4},
        {"type": "ineq", "fun": lambda x: -(share.weights @ x) / 1e4},
    ]
    other = minimize(loss, np.full(4, 1500.0), bounds=[(1e-3, MOST)] * 4, constraints=rows, tol=1e-13)
    assert found.value >= -other.fun * 1e4 * (1 - 1e-6)
    assert found.x[:2].sum() <= 0.3 * found.x.sum() + 1e-6
    assert found.gap <= 1e-6 * found.value


@pytest.mark.parametrize(("total", "half"), [(6000.0, 3000.0), (9000.0, 4000.0), (14_000.0, 4000.0)])
def test_s_shaped_curves_against_brute_force(total: float, half: float):
    """Which curves are worth starting at all is a choice that no gradient sees; no grid point is better."""
    curves = s_shaped(np.array([14_000.0, 9000.0, 11_000.0]), np.array([half, 1500.0, 2500.0]))
    asked = program(curves, total)
    found = solve(asked)
    assert found.whole
    assert found.value >= brute(asked, 81) - 1e-6 * abs(found.value)
    assert found.x.sum() <= total * (1 + 1e-9)
    assert found.gap <= 1e-6 * found.value


def test_lots_against_brute_force():
    """Whole multiples, the best of all of them."""
    curves, _ = random_market(5, 3)
    asked = program(curves, 11_000.0, lots=np.array([2500.0, 0.0, 500.0]))
    found = solve(asked)
    count = found.x / np.array([2500.0, 1.0, 500.0])
    assert count[[0, 2]] == pytest.approx(np.rint(count[[0, 2]]), abs=1e-9)
    top = -np.inf
    for a, b in itertools.product(np.arange(0, 11_001, 2500.0), np.arange(0, 11_001, 500.0)):
        rest = np.linspace(0.0, max(11_000.0 - a - b, 0.0), 4001)
        if a + b <= 11_000.0:
            fixed = evaluate(asked.knots[[0, 2]], asked.value[[0, 2]], np.array([a, b])).sum() - a - b
            top = max(top, fixed + float((np.interp(rest, asked.knots[1], asked.value[1]) - rest).max()))
    assert found.value >= top - 1e-6 * abs(top)


def test_a_fixed_fee_decides_whether_a_channel_is_worth_it():
    """Above what the channel adds it is left alone; below, it is used and the fee is paid."""
    curves, _ = random_market(6, 3)
    plain = solve(program(curves, 8000.0))
    without = solve(program(curves, 8000.0, high=np.array([MOST, MOST, 0.0])))
    worth = plain.value - without.value
    for fee, used in ((0.9 * worth, True), (1.1 * worth, False)):
        found = solve(program(curves, 8000.0, fees=np.array([0.0, 0.0, fee])))
        assert (found.x[2] > 1.0) == used
        assert found.value == pytest.approx(max(plain.value - fee, without.value), rel=1e-6)


def test_a_limit_on_what_a_curve_brings():
    """A row may hold tables: spend at most 0.4 times what the first curve and half the second bring."""
    curves, _ = random_market(2, 3)
    table = -0.4 * curves[1] * np.array([1.0, 0.5, 0.0])[:, None]
    found = solve(program(curves, 30_000.0, Row("cost", np.ones(3), 0.0, table)))
    free = solve(program(curves, 30_000.0))
    brought = evaluate(*curves, found.x)
    assert found.x.sum() == pytest.approx(0.4 * (brought[0] + 0.5 * brought[1]), rel=1e-4)
    assert found.value < free.value
    assert found.gap <= 2e-6 * found.value


def test_a_limit_that_would_rather_have_the_flat_end_is_filled_in_order():
    """A row that charges for units, above their worth: the minimum still comes from the steep end."""
    knots, value = power(np.array([5000.0, 4000.0]), np.array([0.5, 0.5]))
    units = Row("units", np.zeros(2), 0.0, value * np.array([1.0, 0.0])[:, None], np.array([-1.0]))
    asked = program(
        (knots, value),
        10_000.0,
        units,
        low=np.array([3000.0, 0.0]),
        reward=np.array([-1.5]),
        ceiling=np.array([np.inf]),
    )
    found = solve(asked)
    assert found.x[0] == pytest.approx(3000.0, abs=1.0)
    assert found.extra[0] == pytest.approx(evaluate(knots, value, found.x)[0], rel=1e-6)


@pytest.mark.parametrize("carry", [0.0, 0.4])
def test_periods_that_carry_over_against_another_solver(carry: float):
    """Spend of a period acts on the next ones too: four periods, caps on two of them, against SLSQP."""
    scale, beta, rng = np.array([4000.0, 9000.0, 5000.0, 7000.0]), 0.6, np.random.default_rng(1)
    weights = (1 - carry) * carry ** np.subtract.outer(np.arange(4), np.arange(4)).clip(0) * np.tri(4)
    shift = rng.uniform(100, 300, 4) if carry else np.zeros(4)
    knots, value = power(scale, np.full(4, beta))
    caps = (Row("first", np.eye(4)[0], 900.0), Row("second", np.eye(4)[1], 2500.0))
    asked = program((knots, value), 7000.0, *caps, mix=csr_array(weights), shift=shift)
    found = solve(asked)

    def loss(x: Array) -> float:
        return -float((scale * ((weights @ x + shift) / 1000) ** beta).sum() - x.sum()) / 1e4

    rows = [{"type": "ineq", "fun": lambda x: (7000.0 - x.sum()) / 1e4}]
    bounds = [(1e-3, 900.0), (1e-3, 2500.0), (1e-3, MOST), (1e-3, MOST)]
    other = minimize(loss, np.full(4, 500.0), bounds=bounds, constraints=rows, tol=1e-13)
    assert found.value >= -other.fun * 1e4 * (1 - 1e-6)
    assert found.gap <= 1e-5 * found.value


# Prices, limits that cannot be kept, and what must hold in any market


def test_a_price_is_what_one_unit_more_would_bring():
    """The price of the total and of a group is the slope of the best against that limit."""
    curves, _ = random_market(3)

    def best(total: float, group: float) -> Any:
        return solve(program(curves, total, Row("group", np.array([1.0, 1.0, 0.0, 0.0]), group)))

    here = best(9000.0, 3000.0)
    assert price(here, "total") == pytest.approx(
        (best(9100.0, 3000.0).value - best(8900.0, 3000.0).value) / 200, rel=0.01
    )
    assert price(here, "group") == pytest.approx(
        (best(9000.0, 3050.0).value - best(9000.0, 2950.0).value) / 100, rel=0.02
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"low": np.array([5000.0, 5000.0, 0.0])},
        {"low": np.array([9.0, 0.0, 0.0]), "high": np.array([5.0, MOST, MOST])},
        {
            "low": np.array([2600.0, 0.0, 0.0]),
            "high": np.array([4900.0, 1.0, 1.0]),
            "lots": np.array([2500.0, 0, 0]),
        },
    ],
)
@pytest.mark.parametrize("rows", [(), (Row("idle", np.ones(3), 1e9),)])
def test_what_cannot_be_kept_is_said(changed: dict[str, Any], rows: tuple[Row, ...]):
    """Minima above the total, a least above the most, no multiple of a lot in between."""
    curves, _ = random_market(1, 3)
    with pytest.raises(InfeasibleError):
        solve(program(curves, 8000.0, *rows, **changed))


@FEW
@given(
    seed=st.integers(0, 10_000),
    total=st.floats(500, 40_000),
    share=st.floats(0.1, 0.9),
    lot=st.sampled_from([0.0, 700.0]),
)
@example(seed=101, total=17143.375, share=0.5, lot=0.0)
def test_limits_hold_and_more_money_never_brings_less(seed: int, total: float, share: float, lot: float):
    """In any market with dead curves among others, with a group's share and lots."""
    (knots, value), rng = random_market(seed)
    value[int(rng.integers(4))] *= rng.integers(2)  # a dead channel, or not
    group = Row("group", np.array([1.0, 1.0, 0.0, 0.0]) - share, 0.0)
    asked = program((knots, value), total, group, lots=np.array([0.0, lot, 0.0, 0.0]))
    found = solve(asked)
    assert np.isfinite(found.x).all()
    assert (found.x >= -1e-9).all()
    assert (found.x <= MOST * (1 + 1e-9)).all()
    assert found.x.sum() <= total * (1 + 1e-7)  # what HiGHS lets through, and `Limits.keeps` allows
    assert found.x[:2].sum() <= share * found.x.sum() + 1e-5 * total
    more = solve(program((knots, value), 1.1 * total, group, lots=np.array([0.0, lot, 0.0, 0.0])))
    assert more.value >= found.value - 1e-6 * abs(found.value)


@FEW
@given(seed=st.integers(0, 10_000), money=st.sampled_from([0.001, 7.5, 1e4]))
def test_order_and_currency_do_not_matter(seed: int, money: float):
    """Exchanging curves exchanges the split; money in other units scales it."""
    (knots, value), rng = random_market(seed)
    order = rng.permutation(4)
    group = np.array([1.0, 0.0, 1.0, 0.0])
    one = solve(program((knots, value), 9000.0, Row("group", group, 2000.0)))
    two = solve(program((knots[order], value[order]), 9000.0, Row("group", group[order], 2000.0)))
    assert two.value == pytest.approx(one.value, rel=1e-7)
    assert two.x == pytest.approx(one.x[order], rel=2e-3, abs=5.0)
    scaled = program(
        (money * knots, money * value),
        9000.0 * money,
        Row("group", group, 2000.0 * money),
        high=np.full(4, MOST * money),
    )
    many = solve(scaled)
    assert many.value == pytest.approx(money * one.value, rel=1e-7)
    assert many.x == pytest.approx(money * one.x, rel=2e-3, abs=5.0 * money)
