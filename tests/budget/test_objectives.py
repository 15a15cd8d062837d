"""Every objective on made curves against brute force; risk limits, targets, ceilings and the smallest budget."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from posterior_fixture import Array, study

from forecast.budget.limits import CostCeiling, Limits, Rule
from forecast.budget.objectives import (
    OBJECTIVES,
    Asked,
    Floored,
    Objective,
    Profit,
    Revenue,
    Search,
    TargetChance,
    WorstDraws,
    gamma_tail,
)
from forecast.budget.response import POINTS, Background, Curves, tabulated
from forecast.errors import UsageError
from forecast.study import FloorSpec

MOST, TOTAL = 20_000.0, 9_000.0
STEADY, BOLD = 0, 1


def market(draws: int = 240, seed: int = 3) -> tuple[Curves, Background]:
    """Two channels alike on average: the first is the same in every draw, the second is not. Both have chance."""
    rng = np.random.default_rng(seed)
    spend = np.tile(MOST * np.linspace(0.0, 1.0, POINTS) ** 2, (2, 1))
    scale = np.stack([np.full(draws, 8000.0), 8300.0 * rng.lognormal(-0.32, 0.8, draws)], axis=1)
    value = scale[:, :, None] * (spend / 1000.0) ** 0.5
    more = {"inside": 1.2 * value, "wins": value / 500.0}
    more |= {"value_variance": 900.0 * value, "inside_variance": 1500.0 * value}
    made = replace(tabulated(spend, value), more=more)
    return made, Background(rng.gamma(4.0, 2500.0, 4 * draws), np.zeros((4 * draws, 1)))


def free(total: float = TOTAL) -> Limits:
    """No limit but the total."""
    return Limits(np.zeros(2), np.full(2, MOST), total, pattern=np.ones((1, 2)))


def grid(look: Callable[[Array], float], total: float = TOTAL, steps: int = 31) -> tuple[float, Array]:
    """The best of all splits of at most the total, on a grid."""
    axis = np.linspace(0.0, total, steps)
    found = (
        (look(np.array(x)), np.array(x))
        for x in itertools.product(axis, axis)
        if sum(x) <= total * (1 + 1e-9)
    )
    return max(found, key=lambda pair: pair[0])


CURRENT = np.array([4000.0, 5000.0])


def within(curves: Curves, limits: Limits, ceiling: CostCeiling | None = None) -> Search:
    """Where a split is looked for, from the current one."""
    return Search(curves, limits, CURRENT, ceiling)


def test_risk_is_avoided_where_cvar_is_asked_for():
    """No split of the grid has a better cvar; the uncertain channel gets less than for profit, and pays for it."""
    curves, _ = market()
    risk = WorstDraws(curves, 0.2)
    found, plain = (each.best(within(curves, free())) for each in (risk, Profit(curves)))
    top, _ = grid(risk.cvar)
    assert found.value == pytest.approx(risk.cvar(found.x), rel=1e-9)
    assert found.value >= top - 1e-4 * abs(top)
    assert found.gap <= 0.01 * abs(found.value)
    assert found.x[BOLD] < plain.x[BOLD] - 100.0
    assert risk.cvar(plain.x) < found.value


def test_cvar_is_the_mean_of_the_worst():
    """Two roads: sorted outcomes, and the outcomes' own mean below their quantile; all of them is the mean."""
    curves, _ = market()
    x = np.array([3000.0, 4000.0])
    outcomes = WorstDraws(curves, 0.25).outcomes(x)
    assert WorstDraws(curves, 0.25).cvar(x) == pytest.approx(
        outcomes[outcomes <= np.quantile(outcomes, 0.25)].mean()
    )
    everything = WorstDraws(curves, 0.999)
    assert everything.cvar(x) == pytest.approx(everything.outcomes(x).mean(), rel=1e-3)


def test_the_target_is_made_likely():
    """No split of the grid makes it likelier, and the probability is that of simulated gammas."""
    curves, anyway = market()
    chance = TargetChance(curves, 55_000.0, anyway)
    found = chance.best(within(curves, free()))
    top, _ = grid(lambda x: chance.look(x)[0])
    assert found.value >= top - 1e-4
    assert np.isnan(found.gap)
    mean, variance = chance.at(found.x)
    rng = np.random.default_rng(1)
    drawn = rng.gamma(mean**2 / variance, variance / mean, (500, len(mean)))
    share = (drawn >= chance.need).mean()
    assert found.value == pytest.approx(share, abs=4 * 0.5 / np.sqrt(drawn.size))


def test_the_slopes_of_the_target_are_its_differences():
    """The weighted curves have the slope of P(target) at the split they were made at."""
    curves, anyway = market()
    chance = TargetChance(curves, 50_000.0, anyway)
    knots = chance.knots[0]
    x = np.array(
        [(knots[70] + knots[71]) / 2, (knots[90] + knots[91]) / 2]
    )  # between knots, where curves are straight
    _, tables = chance.look(x)
    for c in range(2):
        step = np.eye(2)[c] * 2.0
        slope = (chance.look(x + step)[0] - chance.look(x - step)[0]) / 4.0
        lean = np.interp(x[c] + 2.0, knots, tables[c]) - np.interp(x[c] - 2.0, knots, tables[c])
        assert lean / 4.0 == pytest.approx(slope, rel=2e-3)


def test_a_target_that_is_reached_anyway_is_certain():
    """Nothing is needed where the rest brings it all; a gamma tail falls with what is needed."""
    assert gamma_tail(np.array([-1.0, 0.0]), np.full(2, 10.0), np.full(2, 4.0)).tolist() == [1.0, 1.0]
    falling = gamma_tail(np.linspace(1, 30, 20), np.full(20, 10.0), np.full(20, 4.0))
    assert (np.diff(falling) < 0).all()


def test_revenue_inside_the_horizon_spends_all_there_is():
    """Money is not a cost there: the split is that of equal marginal revenue, the budget is spent."""
    curves, _ = market()
    found = Revenue(curves).best(within(curves, free(60_000.0)))
    assert found.x == pytest.approx([MOST, MOST])
    small = Revenue(curves).best(within(curves, free()))
    profit = Profit(curves).best(within(curves, free()))
    assert small.x == pytest.approx(profit.x, abs=20.0)  # 1.2 times the value everywhere: the same split


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_floor_of_risk_is_kept_and_costs_as_little_as_it_can(share: float):
    """Between the cvar of the profit split and the best there is; no grid point that keeps it earns more."""
    curves, _ = market()
    risk = WorstDraws(curves, 0.1)
    plain = Profit(curves).best(within(curves, free()))
    safest = risk.best(within(curves, free()))
    asked = (1 - share) * risk.cvar(plain.x) + share * risk.cvar(safest.x)
    found = Floored(curves, FloorSpec(cvar=asked), 0.1).best(within(curves, free()))
    assert risk.cvar(found.x) >= asked
    profit = curves.mean_value(found.x) - found.x.sum()
    top, _ = grid(lambda x: curves.mean_value(x) - x.sum() if risk.cvar(x) >= asked else -np.inf)
    assert profit >= top - 2e-3 * abs(top)
    assert profit < plain.value


def test_a_limit_on_losses_is_kept():
    """P(loss) at most what is asked; what nobody can keep is said with what the safest plan has."""
    curves, _ = market()
    narrow = replace(free(30_000.0), low=np.array([0.0, 9000.0]))
    risk = WorstDraws(curves, 0.1)
    plain = Profit(curves).best(within(curves, narrow))
    asked = 0.8 * risk.p_loss(plain.x)
    found = Floored(curves, FloorSpec(loss=asked), 0.1).best(within(curves, narrow))
    assert risk.p_loss(found.x) <= asked < risk.p_loss(plain.x)
    with pytest.raises(
        UsageError, match=r"budget\.floor: no split within the limits keeps loss = 1e.06; the safest has"
    ):
        Floored(curves, FloorSpec(loss=1e-6), 0.1).best(within(curves, narrow))
    with pytest.raises(UsageError, match=r"keeps cvar = 9\s000\s000; the safest has a cvar of"):
        Floored(curves, FloorSpec(cvar=9e6), 0.1).best(within(curves, narrow))


@pytest.mark.parametrize("hurdle", [1.0, 1.5, 3.0])
def test_money_is_spent_until_its_return_falls_to_the_hurdle(hurdle: float):
    """Closed form: k / (2 sqrt(1000 x)) = hurdle."""
    curves, _ = market()
    found = Profit(curves, hurdle).best(within(curves, free(np.inf)))
    scale = curves.value[:, :, -1].mean(axis=0) / np.sqrt(MOST / 1000.0)
    exact = np.minimum((scale / (2 * hurdle)) ** 2 / 1000.0, MOST)
    assert found.x == pytest.approx(exact, rel=0.02)
    assert curves.marginal(found.x)[found.x < MOST] == pytest.approx(hurdle, rel=1e-3)


def test_customers_may_cost_so_much_and_no_more():
    """The ceiling binds with equality where it binds; what cannot be reached is refused with today's cost."""
    curves, _ = market()
    wins = curves.mean_table("wins")

    def cost(x: Array) -> float:
        return float(
            x.sum() / sum(np.interp(a, k, w) for a, k, w in zip(x, curves.table_spend, wins, strict=True))
        )

    free_of_it = Profit(curves).best(within(curves, free(np.inf)))
    asked = 0.7 * cost(free_of_it.x)
    found = Profit(curves).best(within(curves, free(np.inf), CostCeiling(asked)))
    assert cost(found.x) == pytest.approx(asked, rel=1e-4)
    assert found.value < free_of_it.value
    fixed = replace(free(np.inf), low=CURRENT)
    with pytest.raises(
        UsageError, match=r"^cac 10: no split .* the current plan's is [\d\s]+; raise the ceiling"
    ):
        Profit(curves).best(within(curves, fixed, CostCeiling(10.0)))


def test_the_smallest_budget_for_a_chance():
    """It reaches the chance, a little less does not; one that no budget reaches is refused with what is possible."""
    curves, anyway = market()
    aim = TargetChance(curves, 45_000.0, anyway)
    found = aim.smallest(within(curves, free(np.inf)), 0.7)
    assert found.value >= 0.7
    assert found.value == pytest.approx(aim.value(found.x))
    less = aim.best(within(curves, free(0.97 * found.x.sum())))
    assert less.value < 0.7
    with pytest.raises(UsageError, match=r"^chance 99\s%: no budget within the limits reaches it; .* likely"):
        TargetChance(curves, 300_000.0, anyway).smallest(within(curves, free(np.inf)), 0.99)
    with pytest.raises(UsageError, match="needs a target"):
        TargetChance.asked(Asked(study(), curves, anyway=anyway))


def every(curves: Curves, anyway: Background) -> list[Objective]:
    """One of each class."""
    asked = study(plan={"periods": 3, "target": {"revenue": 50_000}})
    return [kind.asked(Asked(asked, curves, anyway=anyway)) for kind in OBJECTIVES.values()]


@pytest.mark.parametrize("key", OBJECTIVES)
def test_every_objective_keeps_groups_and_lots(key: str):
    """At most 40 % in the second channel, the first in lots of 2,000; never worse than a plan that keeps them."""
    curves, anyway = market(80)
    group = Rule("share", "", np.array([[0.0, 1.0]]) - 0.4, 0.0)
    limits = replace(free(), rules=(group,), lots=np.array([2000.0, 0.0]))
    start = np.array([4000.0, 2000.0])
    aim = next(each for each in every(curves, anyway) if each.key == key)
    found = aim.best(Search(curves, limits, start))
    assert limits.keeps(found.x)
    assert found.x[STEADY] == pytest.approx(2000.0 * np.rint(found.x[STEADY] / 2000.0))
    assert found.value >= aim.value(start) - 1e-9


@pytest.mark.parametrize("key", OBJECTIVES)
def test_every_objective_has_its_gradient_and_its_bound(key: str):
    """The gradient is the slope of the value; no split of a grid exceeds the bound; holding a split keeps its value."""
    curves, anyway = market()
    aim = next(each for each in every(curves, anyway) if each.key == key)
    x = np.array([2150.0, 5230.0])
    for c in range(2):
        step = 40.0 * np.eye(2)[c]
        slope = (aim.value(x + step) - aim.value(x - step)) / 80.0
        assert aim.gradient(x)[c] == pytest.approx(slope, rel=0.05, abs=1e-7)
    top, _ = grid(aim.value)
    assert aim.bound(within(curves, free()), x) >= top * (1 - 1e-9)
    assert np.isfinite(aim.bound(within(curves, free()), x)) == aim.concave
    held = aim.held(within(curves, free()), x)
    assert held.value == pytest.approx(aim.value(x))
    assert held.gap >= top - held.value or not aim.concave
    assert aim.words
