"""The split of the budget against closed forms, another solver and brute force; limits, and what does not matter."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posterior_fixture import Array, case, history, posterior, study
from scipy.optimize import minimize

from forecast.budget import certificate
from forecast.budget.concave import Kind, Program, Row, is_concave, solve_pieces
from forecast.budget.decision import Efficiency, Fixed, Hold, Target, decide, recommended_plan
from forecast.budget.limits import Limits, limits_of
from forecast.budget.objectives import Profit, Search
from forecast.budget.response import POINTS, Curves, Response, response_curves, response_of, tabulated
from forecast.errors import UsageError
from forecast.outlook import Case, paid_channels
from forecast.words import typed

FEW = settings(max_examples=15, deadline=None)
NAMES = ("ads", "talks", "mail")
SPEND, TRAFFIC, BETA = (
    np.array([4000.0, 2000.0, 1000.0]),
    np.array([1000.0, 900.0, 300.0]),
    np.array([0.7, 0.5, 0.6]),
)


def contribution(exact: Response, plan: Array) -> float:
    """Expected contribution of a plan, by the exact road."""
    return float((exact.value(plan).sum(axis=1) - plan.sum()).mean())


def market(
    order: tuple[int, ...] = (0, 1, 2), *, currency: float = 1.0, periods: int = 3, **changes: Any
) -> Case:
    """Three channels in a given order, money in units of 1 / currency; elasticities differ by draw."""
    pick = list(order)
    spend = currency * SPEND[pick]
    past = history(
        {"visitors": TRAFFIC[pick], "leads": 50.0, "won": 10.0, "spend": spend},
        channels=[NAMES[i] for i in pick],
    )
    wobble = np.random.default_rng(17).uniform(-0.15, 0.15, (150, 3))[:, pick]
    tables = {"economics": {"gross_margin": 0.6}} | changes
    known = posterior(
        past,
        {"leads": 0.05, "won": 0.25},
        draws=150,
        traffic=TRAFFIC[pick],
        elasticity=BETA[pick] + wobble,
        deal_mean=1000.0 * currency,
    )
    # one path for all orders: the walks have no steps
    return case(known, past, np.tile(spend, (periods, 1)), study(**tables))


def power_curves(scale: Array, beta: Array, most: float = 20_000.0) -> Curves:
    """Curves k (x / 1000)^beta, tabulated as those of a posterior are."""
    spend = np.tile(most * np.linspace(0.0, 1.0, POINTS) ** 2, (len(beta), 1))
    value = scale[:, None] * (spend / 1000.0) ** beta[:, None]
    return tabulated(spend, value[None])


def water_fill(curves: Curves, limits: Limits) -> tuple[Array, float]:
    """The split of the highest contribution, and the return of the last unit of money."""
    found = Profit(curves).best(Search(curves, limits, np.zeros(len(limits.low))))
    return found.x, 1.0 + found.price(Kind.TOTAL)


def free(channels: int, total: float, most: float = np.inf) -> Limits:
    """No limit but the total."""
    return Limits(np.zeros(channels), np.full(channels, most), total)


# Water-filling


def test_the_split_of_power_curves_is_the_closed_form():
    """x_c = x0 (k_c beta_c / (x0 lambda))^(1 / (1 - beta_c)): equal marginal returns, to what the table resolves."""
    scale, beta = np.array([9000.0, 6000.0, 4000.0]), np.array([0.7, 0.5, 0.6])
    curves = power_curves(scale, beta)
    split, price = water_fill(curves, free(3, 12_000.0))
    assert split.sum() == pytest.approx(12_000.0, rel=1e-9)
    exact = 1000.0 * (scale * beta / (1000.0 * price)) ** (1 / (1 - beta))
    assert split == pytest.approx(exact, rel=0.02)
    assert curves.marginal(split) == pytest.approx(price, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_split_is_as_good_as_that_of_another_solver(seed: int):
    """SLSQP on the exact curves within the same limits finds nothing better than one part in 100,000."""
    rng = np.random.default_rng(seed)
    scale, beta = rng.uniform(3000, 12_000, 4), rng.uniform(0.35, 0.8, 4)
    low, high = rng.uniform(0, 1500, 4), rng.uniform(2500, 9000, 4)
    total = float(rng.uniform(low.sum() * 1.2, high.sum() * 0.8))
    split, price = water_fill(power_curves(scale, beta), Limits(low, high, total))

    def contribution(x: Array) -> float:
        return float((scale * (x / 1000) ** beta).sum() - x.sum())

    other = minimize(
        lambda x: -contribution(x) / 1e4,
        np.clip(np.full(4, total / 4), low, high),
        jac=lambda x: -(scale * beta / 1000 * (x / 1000) ** (beta - 1) - 1) / 1e4,
        bounds=list(zip(np.maximum(low, 1e-6), high, strict=True)),
        constraints={
            "type": "ineq",
            "fun": lambda x: (total - x.sum()) / 1e3,
            "jac": lambda x: -np.ones(4) / 1e3,
        },
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert other.success
    assert contribution(split) >= contribution(other.x) * (1 - 1e-5)
    assert split == pytest.approx(other.x, abs=0.01 * total)
    assert (split >= low).all()
    assert (split <= high).all()
    assert price >= 1.0


@FEW
@given(
    scale=st.lists(st.floats(500, 20_000), min_size=2, max_size=5),
    beta=st.floats(0.2, 0.9),
    total=st.floats(100, 40_000),
    more=st.floats(1.0, 2.0),
)
def test_more_budget_never_means_less_for_a_channel(scale, beta, total, more):
    """The split is within the total, exact where the money pays, and grows in every channel with the total."""
    curves = power_curves(np.array(scale), np.full(len(scale), beta))
    small, price = water_fill(curves, free(len(scale), total))
    large, cheaper = water_fill(curves, free(len(scale), total * more))
    assert small.sum() <= total * (1 + 1e-9)
    if price > 1.0:
        assert small.sum() == pytest.approx(total, rel=1e-6)
    assert (large >= small - 1e-6 * total).all()
    assert cheaper <= price * (1 + 1e-9)


def test_money_that_returns_less_than_itself_stays_unspent():
    """Spend stops where the next unit brings one: x = x0 (k beta / x0)^(1 / (1 - beta)), whatever the total."""
    curves = power_curves(np.array([2000.0, 1000.0]), np.array([0.5, 0.5]))
    split, price = water_fill(curves, free(2, 1e6))
    assert price == 1.0
    assert split == pytest.approx([1000.0, 250.0], rel=0.01)


def test_the_table_of_curves_is_the_curve():
    """Between the 25 levels of spend the mean curve is exact to 0.2 % of its top, and its slope falls."""
    scale, beta = np.array([9000.0, 4000.0]), np.array([0.35, 0.8])
    curves = power_curves(scale, beta)
    for x in np.linspace(0, 20_000, 57):
        exact = float((scale * (x / 1000) ** beta).sum())
        top = float((scale * 20.0**beta).sum())
        assert curves.mean_value(np.array([x, x])) == pytest.approx(exact, abs=2e-3 * top)
    assert (np.diff(curves.table_marginal, axis=1) <= 0).all()


# Curves and values


def test_curves_are_those_of_the_simulation():
    """At its own current spend each channel's curve is its value in the plan, draw by draw, to single precision."""
    m = market()
    made = response_of(m)
    most = 4 * m.plan.sum(axis=0)  # the current spend is then the grid's middle: (1/2)^2
    curves = response_curves(made, most)
    current = made.value(m.plan)
    assert curves.value[:, :, (POINTS - 1) // 2] == pytest.approx(current, rel=1e-6)
    by_hand = (
        0.6 * 0.05 * 0.25 * 1000 * TRAFFIC * np.exp(m.future.log_traffic[0, :, 0] - np.log(TRAFFIC[0])).sum()
    )
    assert current[0] == pytest.approx(by_hand, rel=1e-5)


def test_paid_channels_are_those_with_spend():
    """Recorded or planned; a channel without either takes no part."""
    past = history({"visitors": 10.0, "won": 1.0, "spend": [[100.0, 0.0, 0.0]] * 12}, channels=NAMES)
    assert paid_channels(past, np.array([[0.0, 0.0, 0.0]])).tolist() == [0]
    assert paid_channels(past, np.array([[0.0, 0.0, 5.0]])).tolist() == [0, 2]


# The recommendation


def test_channels_alike_today_share_alike_whatever_their_spend_was():
    """Three channels alike in truth and in today's spend, which grew sixfold, stayed, shrank sixfold: no move."""
    now, months = 3000.0, np.linspace(1.0, 0.0, 24)[:, None]
    spend = now * 6.0 ** (months * [-1.0, 0.0, 1.0])
    spend[-3:] = now
    past = history(
        {"visitors": 800.0, "leads": 40.0, "won": 10.0, "spend": spend}, channels=NAMES, periods=24
    )
    at_reference = 800.0 * (past.spend_reference / now) ** BETA[1]  # so that all bring 800 today
    rates = {"leads": 0.05, "won": 0.25}
    known = posterior(past, rates, draws=100, traffic=at_reference, elasticity=BETA[1], deal_mean=2000.0)
    found = decide(case(known, past, np.full((3, 3), now), study(economics={"gross_margin": 0.6}))).allocation
    assert found.best / found.current == pytest.approx(1.0, abs=0.01)


def test_the_recommendation_is_the_best_of_a_grid():
    """No split on a grid of 41 x 41 within the limits brings more, by the exact road, than one part in 10,000."""
    m = market(budget={"change": 0.5})
    made, exact = decide(m), response_of(m)
    found, current = made.allocation, m.plan.sum(axis=0)
    best = contribution(exact, m.plan * (found.best / current))
    steps = np.linspace(0.5, 1.3, 41)  # at most 1.3 times the highest spend seen
    top = -np.inf
    for a, b in itertools.product(steps, steps):
        c = (current.sum() - a * current[0] - b * current[1]) / current[2]
        if 0.5 <= c <= 1.3:
            top = max(top, contribution(exact, m.plan * [a, b, c]))
    assert best >= top - 1e-4 * abs(top)
    assert found.best.sum() == pytest.approx(current.sum(), rel=1e-6)
    assert found.certificate.residual < 0.01
    assert found.gain.mean() > 0
    assert found.gain.mean() == pytest.approx(best - contribution(exact, m.plan), rel=1e-6)


def test_the_recommendation_is_never_worse_than_the_current_plan():
    """Where the current plan is already the best split, the recommendation does not lose to it by interpolation."""
    m = market(budget={"change": "none"})
    for _ in range(3):  # go on from each recommendation until it stays
        made = decide(m)
        found = made.allocation
        assert found.gain.mean() >= 0.0
        m = replace(m, plan=recommended_plan(made))
    assert found.recommended == pytest.approx(found.current, rel=0.02)
    assert not found.material


def test_near_optimal_ranges_hold_the_recommendation():
    """Each range holds its recommended spend, lies within the limits, and its ends cost about one per cent at most."""
    m = market(budget={"change": 0.5})
    found = decide(m).allocation
    assert (found.low <= found.recommended + 1e-9).all()
    assert (found.high >= found.recommended - 1e-9).all()
    assert (found.low >= 0.5 * found.current * (1 - 1e-9)).all()
    assert (found.high <= 1.5 * found.current * (1 + 1e-9)).all()
    assert (found.high > found.low).all()


def test_a_locked_channel_keeps_its_spend():
    """Locked is locked, the others share the rest."""
    m = market(channels={"ads": {"kind": "ppc", "locked": True}})
    made = decide(m)
    found = made.allocation
    assert found.recommended[0] == found.current[0]
    assert found.low[0] == found.high[0] == found.current[0]
    assert (recommended_plan(made)[:, 0] == m.plan[:, 0]).all()
    assert found.recommended.sum() == pytest.approx(found.current.sum(), rel=1e-6)


def test_limits_of_the_study_hold():
    """min and max over the horizon bind where they are given, the change elsewhere, the total everywhere."""
    m = market(
        budget={"change": 0.2, "limits": {"ads": {"max": 9_000.0}, "mail": {"min": 3_500.0, "max": 4_000.0}}}
    )
    limits = limits_of(m.study, m.history, m.plan)
    assert limits.low == pytest.approx([9000.0, 4800.0, 3500.0])
    assert limits.high == pytest.approx([9000.0, 7200.0, 4000.0])
    found = decide(m).allocation
    assert (found.recommended >= limits.low - 1e-6).all()
    assert (found.recommended <= limits.high + 1e-6).all()
    assert found.recommended.sum() <= limits.total + 1e-6


def test_no_channel_goes_far_beyond_what_was_seen():
    """Without a bound on change the limit is 1.3 times the highest spend ever seen in a period."""
    m = market(budget={"change": "none"})
    assert limits_of(m.study, m.history, m.plan).high == pytest.approx(1.3 * 3 * SPEND)
    found = decide(m, Fixed(1e7)).allocation
    assert found.extrapolated == pytest.approx(
        np.where(found.recommended > 3 * SPEND, 0.3 / 1.3, 0.0), abs=0.02
    )
    assert found.unspent == pytest.approx(1e7 - found.recommended.sum())
    assert found.reason == "every channel is at its upper limit"


def test_unspent_money_is_explained():
    """Where the next unit brings less than itself, the reason says so."""
    m = market(budget={"change": "none"}, economics={"gross_margin": 0.1})
    found = decide(m).allocation
    assert found.unspent > 0
    assert found.reason.startswith("the next unit of money would bring back less than itself")
    assert found.price == 1.0


def test_limits_that_ask_for_more_than_the_total_are_refused():
    """The message names the smallest set that clashes, each with its amount, and what each would have to be."""
    m = market(budget={"total": 11_000.0, "change": 0.2, "limits": {"ads": {"min": 9_000.0}}})
    with pytest.raises(UsageError) as caught:
        decide(m)
    text = typed(caught.value.said)
    for part in (
        "EUR over the horizon",
        "budget.total: at most 11 000 in total (at least 16 200 would do)",
        "budget.limits.ads.min: ads at least 9 000 (at most 3 800 would do)",
        "budget.change = 0.2: mail at least 2 400 (changing this alone is not enough)",
    ):
        assert part in text
    assert "talks" not in text  # ads and mail clash with the total by themselves


def test_a_budget_needs_spend_and_a_value():
    """Without a deal value, or without any channel with spend, there is nothing to divide."""
    m = market()
    worthless = replace(m.posterior, data=m.posterior.data.drop_vars(["deal_mean", "deal_cv"]))
    with pytest.raises(UsageError, match=r"revenue or funnel\.value"):
        decide(replace(m, posterior=worthless))
    idle = history({"visitors": 10.0, "leads": 5.0, "won": 1.0}, channels=NAMES)
    with pytest.raises(UsageError, match="at least one channel with recorded spend"):
        decide(replace(m, history=idle, plan=np.zeros((3, 3))))


def test_another_currency_leaves_the_shares_as_they_are():
    """Ten times the money everywhere: same shares, same marginal returns, ten times the gain."""
    one, many = (decide(market(currency=units)).allocation for units in (1.0, 10.0))
    share = one.recommended / one.recommended.sum()
    assert many.recommended / many.recommended.sum() == pytest.approx(share, rel=1e-4)
    assert many.recommended.sum() == pytest.approx(10 * one.recommended.sum(), rel=1e-6)
    assert many.price == pytest.approx(one.price, rel=1e-4)
    assert many.gain == pytest.approx(10 * one.gain, rel=1e-3, abs=1.0)


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 0, 2)])
def test_channels_may_stand_in_any_order(order):
    """Exchanging the channels exchanges the recommendation and nothing else."""
    one, two = (decide(m).allocation for m in (market(), market(order)))
    for name in ("current", "recommended", "low", "high", "value_current", "value_recommended", "marginal"):
        assert getattr(two, name) == pytest.approx(getattr(one, name)[list(order)], rel=1e-5)
    assert two.price == pytest.approx(one.price, rel=1e-6)
    assert two.gain == pytest.approx(one.gain, rel=1e-4, abs=0.1)


@FEW
@given(total=st.floats(11_000, 30_000), change=st.floats(0.5, 0.9))
def test_every_total_within_the_limits_is_kept(total, change):
    """Never above the total, never outside the limits, and spent in full unless the reason says why not."""
    m = market(budget={"change": change})
    found = decide(m, Fixed(total)).allocation
    limits = limits_of(m.study, m.history, m.plan, total=total)
    assert found.recommended.sum() <= total * (1 + 1e-9)
    assert (found.recommended >= limits.low * (1 - 1e-9)).all()
    assert (found.recommended <= limits.high * (1 + 1e-9)).all()
    assert bool(found.reason) == (found.unspent > 1e-6 * total)
    assert found.unspent == pytest.approx(total - found.recommended.sum(), abs=1e-6 * total)


def test_chance_and_size_decide_what_is_material():
    """A gain counts when it is above one per cent of the contribution in more than four draws out of five."""
    found = decide(market()).allocation
    bar = 0.01 * (found.value_current.sum() - found.current.sum())
    assert replace(found, gain=np.array([2 * bar] * 9 + [0.0])).material
    assert not replace(found, gain=np.array([2 * bar] * 8 + [0.0] * 2)).material
    assert not replace(found, gain=np.full(10, 0.5 * bar)).material
    assert replace(found, gain=np.array([1.0, -1.0, 2.0, 0.0])).p_better == 0.5
    assert replace(found, gain=bar * np.array([0.5, -1.0, 2.0, 0.9])).p_gain == 0.25


@pytest.mark.parametrize("flighting", ["current", "free"])
def test_what_is_not_material_is_not_recommended(flighting: str):
    """A split that is hardly better stands as the best one; recommended is the current plan, in all that is said."""
    asked = market(budget={"flighting": flighting})
    made = decide(asked)
    found = made.allocation

    assert not found.material
    assert np.abs(found.best / found.current - 1.0).max() > 0.01
    assert found.gain.mean() > 0
    assert found.recommended == pytest.approx(found.current)
    assert recommended_plan(made) == pytest.approx(asked.plan)
    assert found.value_recommended == pytest.approx(found.value_current)
    assert found.marginal == pytest.approx(found.marginal_current)
    assert found.unspent == pytest.approx(0.0)
    assert not found.reason


# How much there is


def test_a_return_on_all_spend_is_a_ceiling_on_its_cost():
    """All that is spent brings at least so many times itself in revenue, and as much is spent as does."""
    m = market(budget={"change": "none"})
    free = decide(m, Efficiency(roas=0.01)).allocation
    asked = 1.2 * free.certificate.evidence["roas"]
    found = decide(m, Efficiency(roas=asked)).allocation
    assert found.certificate.evidence["roas"] == pytest.approx(asked, rel=1e-3)
    assert found.recommended.sum() < free.recommended.sum()
    assert found.value_recommended.sum() / 0.6 / found.recommended.sum() == pytest.approx(asked, rel=1e-2)
    with pytest.raises(UsageError, match=r"^roas 1\s000: no split within the limits brings so much revenue"):
        decide(market(budget={"change": 0.1}), Efficiency(roas=1000.0))


def test_at_most_bounds_a_budget_that_is_not_fixed():
    """Not more than that, whatever else pays; and a chance that it cannot reach is refused with what it does."""
    m = market(budget={"change": "none"}, plan={"periods": 3, "target": {"revenue": 60_000}})
    open_ended = decide(m, Efficiency(marginal=1.2)).allocation
    most = 0.8 * open_ended.recommended.sum()
    assert decide(m, Efficiency(marginal=1.2, at_most=most)).allocation.recommended.sum() <= most * (1 + 1e-9)
    with pytest.raises(
        UsageError, match=r"^chance 99\s%: no budget within the limits reaches it; 9\s000, the most"
    ):
        decide(m, Target(revenue=1e6, chance=0.99, at_most=9_000.0))


def test_a_target_of_its_own_stands_for_that_of_the_study():
    """The same answer, whether the study or the budget names it."""
    m = market(budget={"change": "none"}, plan={"periods": 3, "target": {"revenue": 60_000}})
    bare = market(budget={"change": "none"})
    asked, own = (
        decide(m, Target(chance=0.5)).allocation,
        decide(bare, Target(revenue=60_000, chance=0.5)).allocation,
    )
    assert own.recommended == pytest.approx(asked.recommended)
    assert own.certificate.evidence["p_target"] >= 0.5
    assert own.recommended.sum() < m.plan.sum() * 1.3


@pytest.mark.parametrize("objective", ["profit", "revenue", "cvar", "target"])
def test_holding_the_plan_says_what_it_lacks(objective: str):
    """Nothing moves; what the best split has more of the objective is within the gap; no proof for P(target)."""
    m = market(
        budget={"change": 0.5, "objective": objective}, plan={"periods": 3, "target": {"revenue": 60_000}}
    )
    held, best = decide(m, Hold()), decide(m).allocation
    found = held.allocation
    assert (recommended_plan(held) == m.plan).all()
    assert (found.gain == 0).all()
    assert found.certificate.status == "current plan held"
    assert found.certificate.value == pytest.approx(found.certificate.value_current)
    if objective == "target":
        assert np.isnan(found.certificate.gap)
    else:
        lacks = best.certificate.value - found.certificate.value
        assert -1e-6 * abs(best.certificate.value) <= lacks
        assert lacks <= found.certificate.gap * (1 + 1e-3) + 1e-3 * abs(best.certificate.value)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Fixed(-1.0), "^total: expected an amount over the horizon, 0 or more; came \N{MINUS SIGN}1"),
        (lambda: Fixed(float("nan")), "^total: expected"),
        (Efficiency, "expected exactly one of roas, cac and marginal; came none"),
        (lambda: Efficiency(roas=2.0, cac=3.0), "came roas = 2 and cac = 3"),
        (lambda: Efficiency(cac=0.0), "^cac: expected the most that a customer may cost, above 0; came 0"),
        (lambda: Target(revenue=1.0, won=2.0), "expected revenue or won; came revenue = 1 and won = 2"),
        (lambda: Target(won=-2.0), "^won: expected customers above 0; came \N{MINUS SIGN}2"),
        (lambda: Efficiency(marginal=2.0, at_most=0.0), "^at_most: expected an amount above 0; came 0"),
    ],
)
def test_a_budget_checks_itself(made, said: str):
    """What cannot be is refused where it is asked, before any posterior is touched."""
    with pytest.raises(UsageError, match=said):
        made()


@pytest.mark.parametrize(("bent", "twice"), [(0, False), (3, False), (0, True), (2, True)])
@pytest.mark.parametrize("total", [9_000.0, 14_000.0, np.inf])
def test_ends_of_ranges_are_those_of_the_linear_programs(total, bent: int, twice):
    """Within a total alone both roads to a channel's range are one: pieces filled by steepness, and the solver's.

    Also where some curves are steepest in their middle, and where a curve begins or ends with one knot twice, as it
    does where a split lies at a channel's limit.
    """
    rng = np.random.default_rng(3)
    curves_, pieces, cost = 6, 12, 0.8
    knots = np.sort(rng.uniform(500.0, 4000.0, (curves_, pieces)), axis=1)
    if twice:
        knots[0, 1], knots[2, -2] = knots[0, 0], knots[2, -1]
    value = rng.uniform(30.0, 90.0, (curves_, 1)) * np.sqrt(knots)
    value[:bent] = 4000.0 * knots[:bent] ** 4 / (knots[:bent] ** 4 + 2000.0**4)
    assert (is_concave(knots, value) == (np.arange(curves_) >= bent)).all()
    low, high = knots[:, 0], knots[:, -1]
    row = (Row("budget.total", np.ones(curves_), total, kind=Kind.TOTAL),) if np.isfinite(total) else ()
    asked = Program(knots, value, low, high, np.full(curves_, cost), row)
    best = solve_pieces(asked, knots, np.zeros(curves_, dtype=bool))[0]
    least = best.value - 0.02 * abs(best.value)
    bar = Row("near", np.full(curves_, cost), -least, -value)
    free = replace(asked, cost=np.zeros(curves_))
    ends = certificate._ends(*certificate._steepest_first(knots, value), cost, total, least)
    for c in range(curves_):
        lp = [certificate._end(free, bar, c, sign, knots) for sign in (1.0, -1.0)]
        assert ends[:, c] == pytest.approx(lp, rel=1e-5)
    assert np.isnan(certificate._ends(knots, value, cost, total, 2.0 * abs(best.value))).all()
