"""Limits of every kind, and requests that cannot be met: each is refused with a message that says what to change."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posterior_fixture import PLAN as TWO_PLAN
from posterior_fixture import RATES, TWO, case, history, posterior, study
from scipy.optimize import linprog

from forecast.budget.decision import Budget, Decision, Efficiency, Fixed, Target, decide
from forecast.budget.limits import Limits, Rule, clash, limits_of, lost_units
from forecast.errors import ForecastError, UsageError
from forecast.words import typed

NAMES, CURRENT = ("ads", "talks", "mail"), Fixed()
SPEND = np.array([4000.0, 2000.0, 1000.0])
PAST = history(
    {"visitors": [1000.0, 900.0, 300.0], "leads": 50.0, "won": 10.0, "spend": SPEND}, channels=NAMES
)
PLAN = np.tile(SPEND, (3, 1))
DOC = Path(__file__).parents[2] / "docs" / "allocation.md"


def ask(budget: dict[str, Any], asked: Budget = CURRENT, tables: dict[str, Any] | None = None) -> Decision:
    """A recommendation under a [budget], and how much money there is."""
    known = posterior(
        PAST, {"leads": 0.05, "won": 0.25}, draws=40, traffic=[1000.0, 900.0, 300.0], deal_mean=1000.0
    )
    given = {"economics": {"gross_margin": 0.6}, "budget": budget} | (tables or {})
    return decide(case(known, PAST, PLAN, study(**given)), asked)


def group(**given: Any) -> tuple[dict[str, Any], ...]:
    """One group of two channels."""
    return ({"name": "reach", "channels": ("ads", "talks"), **given},)


REQUESTS: list[tuple[str, dict[str, Any], Callable[[], Budget] | None, list[str]]] = [
    ("a total below what the channels must have", {"total": 5000.0}, None,
     ["budget.total: at most 5 000 in total (at least 10 500 would do)", "budget.change = 0.5: ads at least 6 000"]),
    ("a minimum above the total", {"limits": {"mail": {"min": 30_000.0}}}, None,
     ["budget.total: at most 21 000 in total (at least 39 000 would do)", "limits.mail.min: mail at least 30 000"]),
    ("a group smaller than its channels' minima", {"group": group(max=6000.0)}, None,
     ["budget.group.1 (reach) max: reach at most 6 000 (at least 9 000 would do)"]),
    ("a group that must have more than its channels may",
     {"change": "none", "group": group(min=60_000.0), "total": 90_000.0}, None,
     ["(reach) min: reach at least 60 000 (at most 23 400 would do)", "1.3 times the highest spend seen"]),
    ("a share that leaves nobody to take the rest", {"group": group(max_share=0.3)}, None,
     ["budget.group.1 (reach) max_share: reach at most 30 % of all that is spent"]),
    ("a period that may have less than is locked", {"per_period": 1000.0}, None,
     ["budget.per_period 2026-03: 2026-03 at most 1 000 (changing this alone is not enough)"]),
    ("lots that do not fit between minimum and maximum",
     {"lots": {"talks": 5000.0}, "limits": {"talks": {"min": 5500.0, "max": 9000.0}}}, None,
     ["budget.limits.talks.min: talks at least 5 500 (at most 5 000 would do)", "whole multiples of talks 5 000"]),
    ("a period that is not in the horizon", {"period_caps": {"2031-05": 10.0}}, None,
     ["budget.period_caps.2031-05: expected a period of the horizon (2026-01, 2026-02, 2026-03); came 2031-05"]),
    ("a customer for next to nothing", {}, lambda: Efficiency(cac=1.0),
     ["cac 1: no split within the limits wins customers at so low a cost; the current plan's is"]),
    ("certainty", {}, lambda: Target(chance=1.0),
     ["chance: expected a probability between 0 and 1, such as 80%; came 1"]),
    ("a target beyond any budget", {}, lambda: Target(revenue=9_000_000, chance=0.9),
     ["chance 90 %: no budget within the limits reaches it; 27 300, the most they allow",
      "allow, makes the target below 1 % likely"]),
    ("a chance without a target", {}, lambda: Target(chance=0.8), ["chance needs a target: [plan] target ="]),
    ("a return of nothing", {}, lambda: Efficiency(marginal=-1.0),
     ["marginal: expected a return above 0, such as 1.5; came -1"]),
    ("two questions at once", {}, lambda: Efficiency(marginal=2.0, cac=500.0),
     ["expected exactly one of roas, cac and marginal; came cac = 500 and marginal = 2"]),
    ("less risk than there is", {"floor": {"cvar": 1e9}}, None,
     ["budget.floor: no split within the limits keeps cvar"]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "budget", "asked", "words"), REQUESTS, ids=[r[0] for r in REQUESTS])
def test_requests_that_cannot_be_met(
    what: str, budget: dict[str, Any], asked: Callable[[], Budget] | None, words: list[str]
):
    """Refused, before or after the fit, with the limits by name, their amounts, and what would do."""
    with pytest.raises(ForecastError) as caught:
        ask(budget, CURRENT if asked is None else asked())
    for part in words:
        assert part in typed(caught.value.said), what


def possible(limits: Limits, periods: int = 1) -> bool:
    """Whether any split keeps bounds, total and rules, by another road."""
    rows = [np.ones(len(limits.low)), *(rule.weights.sum(axis=0) / periods for rule in limits.rules)]
    most = [limits.total, *(rule.most for rule in limits.rules)]
    bounds = np.stack([limits.low, limits.high], axis=1)
    return (
        bool((limits.low <= limits.high).all())
        and linprog(np.zeros(3), rows, most, bounds=bounds).status == 0
    )


@settings(max_examples=40, deadline=None)
@given(
    low=st.lists(st.integers(0, 10), min_size=3, max_size=3),
    room=st.lists(st.integers(0, 6), min_size=3, max_size=3),
    total=st.integers(0, 30),
    cap=st.integers(0, 20),
    least=st.integers(0, 20),
)
def test_a_clash_is_found_where_there_is_one_and_named_by_a_smallest_set(low, room, total, cap, least):
    """Two roads agree whether there is a clash; without any one of the limits that are named there is none."""
    bottom, pattern = np.array(low, float), np.ones((1, 3))
    member = np.array([[1.0, 1.0, 0.0]])
    rules = (
        Rule("most", "two at most", member, float(cap)),
        Rule("least", "two at least", -member, -float(least)),
    )
    limits = Limits(bottom, bottom + np.array(room), float(total), rules, pattern=pattern)
    said = clash(limits, ["a", "b", "c"], 1, "EUR")
    assert (said == "") == possible(limits)
    named = [line.strip() for line in typed(said).splitlines()[1:-1]]
    for line in named:
        keep = tuple(r for r in rules if not line.startswith(f"{r.name}:"))
        rest = Limits(bottom.copy(), bottom + np.array(room), float(total), keep, pattern=pattern)
        others = {other for other in named if other != line}
        # keep only what is named, without this one
        only_low = np.array(
            [
                b if any(f"{n} at least" in o for o in others) else 0.0
                for n, b in zip("abc", bottom, strict=True)
            ]
        )
        only_high = np.array(
            [
                h if any(f"{n} at most" in o for o in others) else np.inf
                for n, h in zip("abc", rest.high, strict=True)
            ]
        )
        only_rules = tuple(r for r in keep if any(o.startswith(f"{r.name}:") for o in others))
        amount = float(total) if any("in total" in o for o in others) else np.inf
        assert possible(Limits(only_low, only_high, min(amount, 1e9), only_rules, pattern=pattern))


def test_limits_are_read_from_the_study():
    """Bounds, groups, lots, fees and caps by period, each under the name that the study gives it."""
    budget = {
        "change": 0.2, "limits": {"ads": {"max": 9000.0}}, "group": group(max=15_000.0, max_share=0.9, min=1.0),
        "lots": {"mail": 100.0}, "fees": {"ads": 50.0}, "per_period": 8000.0, "period_caps": {"2026-02": 6000.0},
    }  # fmt: skip
    asked = study(budget=budget, channels={"talks": {"locked": True}})
    limits = limits_of(asked, PAST, PLAN)
    assert limits.low == pytest.approx([9000.0, 6000.0, 2400.0])
    assert limits.high == pytest.approx([9000.0, 6000.0, 3600.0])
    names = [row.name for row in limits.rows()]
    assert names == [
        "budget.total", "budget.group.1 (reach) max", "budget.group.1 (reach) min", "budget.group.1 (reach) max_share",
        "budget.per_period 2026-01", "budget.period_caps.2026-02 2026-02", "budget.per_period 2026-03",
    ]  # fmt: skip
    assert limits.lots.tolist() == [0.0, 0.0, 100.0]
    assert limits.fees.tolist() == [50.0, 0.0, 0.0]
    assert limits.keeps(np.array([9000.0, 6000.0, 2500.0]))
    for wrong in ([9001.0, 6000.0, 2500.0], [9000.0, 6000.0, 2550.0], [9000.0, 6000.0, 3700.0]):
        assert not limits.keeps(np.array(wrong))
    even = np.tile(np.array([3000.0, 2000.0, 800.0]), (3, 1))
    assert limits.allows(even)
    assert not limits.allows(even * np.array([[0.9], [1.2], [0.9]]))  # as much in all, too much in February


@pytest.mark.parametrize("total", [None, 15_000.0])
def test_a_plan_that_may_differ_by_period_is_at_least_as_good(total: float | None):
    """It keeps the cap of its month and spends the rest in others; the exact value is not below the spread of today."""
    capped = {"change": 0.5, "period_caps": {"2026-01": 4000.0}}
    fixed = ask(capped, Fixed(total)).allocation
    free = ask({**capped, "flighting": "free"}, Fixed(total)).allocation
    assert free.plan[0].sum() <= 4000.0 * (1 + 1e-6)
    assert free.plan.sum() <= (total or 21_000.0) * (1 + 1e-6)
    assert free.certificate.value >= fixed.certificate.value - 1e-6 * abs(fixed.certificate.value)
    assert free.certificate.kept
    assert free.plan.sum(axis=0) == pytest.approx(free.recommended)


def test_a_ceiling_holds_for_a_plan_that_may_differ_by_period():
    """Customers cost no more than asked there too; what cannot be reached is refused as for a plan spread as today."""
    found = ask({"flighting": "free"}, Efficiency(cac=250.0)).allocation
    assert found.certificate.evidence["cac"] == pytest.approx(250.0, rel=0.01)
    with pytest.raises(
        UsageError, match=r"^cac 1: no split within the limits wins customers at so low a cost"
    ):
        ask({"flighting": "free"}, Efficiency(cac=1.0))


def test_brute_force_over_lots_and_a_group():
    """The recommendation is the best of all splits in lots that keep the group's share, by the exact road."""
    budget = {"change": 0.5, "lots": dict.fromkeys(NAMES, 750.0), "group": group(max_share=0.8)}
    made = ask(budget)
    top = -np.inf
    for split in itertools.product(*(np.arange(0, 18_001, 750.0) for _ in NAMES)):
        x = np.array(split)
        if made.limits.keeps(x):
            top = max(top, made.curves.mean_value(x) - x.sum())
    found = made.allocation.recommended
    assert made.limits.keeps(found)
    assert made.curves.mean_value(found) - found.sum() >= top - 1e-6 * abs(top)


# What sales can take


def test_who_waits_for_sales_and_who_gives_up():
    """Below the capacity nobody; above it the queue settles where as many give up as come too many."""
    calm, crowd = np.full((1, 40), 50.0), np.full((1, 40), 70.0)
    assert lost_units(calm, np.zeros(1), 60.0, 0.25)[0] == 0.0
    lost = lost_units(crowd, np.zeros(1), 60.0, 0.25)[0]
    # ten too many a period give up sooner or later, but for those still waiting whom sales takes after the horizon
    assert 10 * 40 - 40 / 0.75 < lost < 10 * 40
    assert lost_units(crowd, np.array([30.0]), 60.0, 0.25)[0] - lost == pytest.approx(30.0 * (1 - 60 / 70))
    assert lost_units(crowd, np.zeros(1), 60.0, 0.0)[0] == 0.0


def test_a_capacity_that_binds_moves_money_away_and_has_a_price():
    """Where sales are full less is spent, waiting costs, and one unit more would bring what the price says."""
    past = history(TWO)
    known = posterior(past, RATES, draws=200, traffic=[1000.0, 400.0], delays={"won": (1.5, 0.8)})

    def plan_with(capacity: float | None) -> object:
        asked = study(economics={"gross_margin": 0.3, "capacity": capacity, "capacity_decay": 0.8})
        return decide(case(known, past, TWO_PLAN, asked))

    free, tight, wide = (plan_with(capacity).allocation for capacity in (None, 24.0, 1000.0))  # type: ignore[attr-defined]
    assert wide.recommended == pytest.approx(free.recommended, rel=1e-3)
    assert tight.recommended.sum() < free.recommended.sum() * 0.99
    assert tight.reason == "sales cannot take more (economics.capacity)"
    prices = sum(p for name, p in tight.certificate.prices.items() if name.startswith("economics.capacity"))
    more = plan_with(24.5).allocation.certificate.value - plan_with(23.5).allocation.certificate.value  # type: ignore[attr-defined]
    assert prices == pytest.approx(
        more, rel=0.25
    )  # a unit more in every period; the queue of the program is linear


@pytest.mark.parametrize("budget", [{"objective": "cvar"}, {"objective": "target"}, {"floor": {"loss": 0.5}}])
def test_objectives_that_know_no_queue_are_searched_without_the_capacity(budget: dict[str, Any]):
    """The same split as without a capacity."""
    past = history(TWO)
    known = posterior(past, RATES, draws=60, traffic=[1000.0, 400.0], delays={"won": (1.5, 0.8)})
    plan = {"periods": 3, "target": {"revenue": 70_000}}
    free, tight = (
        decide(case(known, past, TWO_PLAN, study(economics=economics, budget=budget, plan=plan))).allocation
        for economics in ({"gross_margin": 0.3}, {"gross_margin": 0.3, "capacity": 24.0})
    )
    assert tight.recommended == pytest.approx(free.recommended)


def test_the_page_shows_every_refusal():
    """docs/allocation.md has the words that are tested here."""
    page = DOC.read_text(encoding="utf-8")
    assert not [part for *_, words in REQUESTS for part in words if part not in page]


def test_thousands_of_channels_are_asked_at_once() -> None:
    """No rule is laid out for each bound of each channel where a split that keeps them all is at hand."""
    n = 20_000
    limits = Limits(np.zeros(n), np.full(n, 130.0), 100.0 * n)

    assert clash(limits, [f"c{i}" for i in range(n)], 3, "EUR") == ""
