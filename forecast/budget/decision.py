"""How to divide the budget: the split that serves the objective best, over posterior draws, within the limits.

By default the plan maximises mean_s sum_c V_sc(x_c) - sum_c x_c, never the value at a point estimate, where V_sc(x) is
the eventual margin of a channel's spend over the horizon (`budget.response`). The mean of concave curves is concave,
so marginal returns are equal wherever no limit binds, marginal_c(x_c) = lambda, and lambda >= 1, because money that
returns less than itself stays unspent. Limits are in `budget.limits`, objectives in `budget.objectives`; what is
certain about the recommendation is said in its certificate.

How much money there is, is a question of its own, a class each:

    Fixed        so much over the horizon, or what the study says
    Efficiency   as much as brings so much revenue, or customers for so little, or while the next unit returns so much
    Target       as little as makes a target so likely
    Hold         the current plan, as it is
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.budget.certificate import AT_LIMIT, Certificate, binding, evidence, near_optimal, residual
from forecast.budget.concave import InfeasibleError, Kind, Row, Solution
from forecast.budget.flighting import free_program
from forecast.budget.limits import (
    Ceiling,
    CostCeiling,
    Limits,
    ReturnFloor,
    limits_of,
    lost_money,
    queue_of,
)
from forecast.budget.objectives import (
    MATERIAL_SHARE,
    OBJECTIVES,
    TARGET_FORMS,
    Asked,
    Objective,
    Search,
    TargetChance,
)
from forecast.budget.response import (
    Background,
    Curves,
    Response,
    background,
    pattern_of,
    response_curves,
    response_of,
)
from forecast.columns import TABLES
from forecast.errors import UsageError
from forecast.outlook import Case
from forecast.showing import Card, Shows, said_band, said_chance
from forecast.study import TargetSpec
from forecast.tables import Table
from forecast.words import Message, Text, known, message, together

Array = NDArray[np.float64]

MATERIAL_CHANCE = 0.8


# ------------------------------------------------------------------------------------------------- how much there is


@dataclass(frozen=True)
class Terms:
    """What a budget comes to: most in total (None: the study's), least return of the last unit, what money must bring.

    words: what is asked, where it is no fixed total; objective: where it is not the study's; anew: whether spend may be
    spread anew over the periods, where the study lets it.
    """

    most: float | None = None
    hurdle: float = 1.0
    ceiling: Ceiling | None = None
    words: Text = ""
    objective: type[Objective] | None = None
    anew: bool = True


class Budget(ABC):
    """How much money there is: `Fixed`, `Efficiency`, `Target` or `Hold`."""

    held: ClassVar[bool] = False

    @abstractmethod
    def terms(self) -> Terms:
        """What it comes to."""

    def posed(self, case: Case) -> Case:
        """The question as this budget changes it."""
        return case

    def find(self, objective: Objective, search: Search) -> Solution:
        """The split."""
        return objective.best(search)


@dataclass(frozen=True)
class Fixed(Budget):
    """So much money over the horizon, divided as well as the limits allow; None: what `budget.total` of the study says.

    Raises UsageError for an amount that cannot be.
    """

    total: float | None = None

    def __post_init__(self) -> None:
        if self.total is not None and not 0 <= self.total < math.inf:
            raise _unlikely("total", "an amount over the horizon, 0 or more", self.total)

    def terms(self) -> Terms:
        """The total."""
        return Terms(self.total)


@dataclass(frozen=True)
class Efficiency(Budget):
    """As much money as is worth it, by one of three measures, and at most `at_most`.

    roas: all spend together brings this times itself in revenue, in the end. cac: customers of paid channels cost this
    on average. marginal: the next unit of money brings this times itself in margin. Raises UsageError for none or more
    than one of them, or what cannot be.
    """

    roas: float | None = None
    cac: float | None = None
    marginal: float | None = None
    at_most: float = math.inf

    def __post_init__(self) -> None:
        given = _given(self, "roas", "cac", "marginal")
        if len(given) != 1:
            said = "Efficiency: expected exactly one of roas, cac and marginal; came {came}"
            raise UsageError(message(said, came=together(*given, between=" and ") or "none"))
        _above_zero(self, roas="a return above 0, such as 4", marginal="a return above 0, such as 1.5")
        _above_zero(self, cac="the most that a customer may cost, above 0", at_most="an amount above 0")

    def terms(self) -> Terms:
        """A hurdle for the last unit, or a ceiling for all of them."""
        if self.cac is not None:
            words = message("best budget with customers that cost at most {cac:exact} each", cac=self.cac)
            return Terms(self.at_most, ceiling=CostCeiling(self.cac), words=words)
        if self.roas is not None:
            said = "best budget that brings at least {roas:exact} times itself in revenue"
            words = message(said, roas=self.roas)
            return Terms(self.at_most, ceiling=ReturnFloor(self.roas), words=words)
        words = message("budget whose last unit brings back {x:exact} times itself", x=self.marginal)
        return Terms(self.at_most, hurdle=float(self.marginal or 1.0), words=words)


@dataclass(frozen=True)
class Target(Budget):
    """As little money as makes a target of the horizon so likely, spread over the periods as the current plan is.

    revenue, or won (customers); neither: the target of the study's plan. At most `at_most`. Raises UsageError for both,
    or what cannot be.
    """

    revenue: float | None = None
    won: float | None = None
    chance: float = 0.8
    at_most: float = math.inf

    def __post_init__(self) -> None:
        if len(given := _given(self, "revenue", "won")) > 1:
            came = together(*given, between=" and ")
            raise UsageError(message("Target: expected revenue or won; came {came}", came=came))
        _above_zero(self, revenue="an amount above 0", won="customers above 0", at_most="an amount above 0")
        if not 0 < self.chance < 1:
            raise _unlikely("chance", "a probability between 0 and 1, such as 80%", self.chance)

    def terms(self) -> Terms:
        """The chance is the objective."""
        words = message("smallest budget that makes the target {p:exact_percent} likely", p=self.chance)
        return Terms(self.at_most, words=words, objective=TargetChance, anew=False)

    def posed(self, case: Case) -> Case:
        """With this target in place of the study's. Raises UsageError where there is neither."""
        plan = case.study.plan
        if self.revenue is not None or self.won is not None:
            plan = plan.model_copy(update={"target": TargetSpec(revenue=self.revenue, won=self.won)})
        if plan.target is None:
            raise UsageError(f" needs a target: {TARGET_FORMS}", argument="chance")
        return replace(case, study=case.study.model_copy(update={"plan": plan}))

    def find(self, objective: Objective, search: Search) -> Solution:
        """The smallest."""
        return cast("TargetChance", objective).smallest(search, self.chance)


@dataclass(frozen=True)
class Hold(Budget):
    """The current plan as it is: what it brings, and what it lacks of the best split of the study's budget."""

    held = True

    def terms(self) -> Terms:
        """Those of the study, but for the spread."""
        return Terms(anew=False)

    def find(self, objective: Objective, search: Search) -> Solution:
        """The current split."""
        return objective.held(search, search.current)


def _given(budget: Budget, *names: str) -> list[Message]:
    values = {name: getattr(budget, name) for name in names}
    return [message("{name} = {x:given}", name=name, x=x) for name, x in values.items() if x is not None]


def _above_zero(budget: Budget, **expected: str) -> None:
    for field, what in expected.items():
        came = getattr(budget, field)
        if came is not None and not came > 0:
            raise _unlikely(field, what, came)


def _unlikely(field: str, expected: str, came: float) -> UsageError:
    shown = message("{x:given}", x=came) if known(came) else str(came)
    return UsageError(message(": expected {what}; came {came}", what=expected, came=shown), argument=field)


# ----------------------------------------------------------------------------------------------------------- decision


@dataclass(frozen=True)
class Allocation:
    """A recommended split, all arrays (channel,) over the horizon in currency unless said.

    best: the split that serves the objective best. recommended: the same where the change is `material`, else the
    current one, and with it all that is said of the recommendation (value, marginal, extrapolated, unspent, plan).
    low, high: near-optimal range; marginal, marginal_current: return of the next unit of money; gain (draw,): expected
    contribution of the best split less the current plan's, by posterior draw; extrapolated: share of the
    recommended spend above the highest ever seen in a period; price: lambda; allowed: whether the current plan itself
    keeps total and limits; plan (period, channel): the recommendation by period; risen: whether the objective rose
    enough to be worth a move, None where the gain decides.
    """

    current: Array
    recommended: Array
    best: Array
    low: Array
    high: Array
    value_current: Array
    value_recommended: Array
    marginal: Array
    marginal_current: Array
    gain: Array
    extrapolated: Array
    price: float
    unspent: float
    reason: Text
    plan: Array
    certificate: Certificate
    allowed: bool = True
    risen: bool | None = None

    @property
    def p_better(self) -> float:
        """P(the best split brings more than the current plan): its sign alone, which small gains do not tell."""
        return float((self.gain > 0).mean())

    @property
    def p_gain(self) -> float:
        """P(the best split brings more than the current plan by over 1 % of its expected contribution)."""
        bar = MATERIAL_SHARE * max(float(self.value_current.sum() - self.current.sum()), 0.0)
        return float((self.gain > bar).mean())

    @property
    def material(self) -> bool:
        """Whether a move must be made, or is worth making: P(gain > 1 % of the expected contribution) > 0.8.

        Under another objective than profit: whether it rises by more than 1 % (P(target): by more than 0.01).
        """
        if not self.allowed or self.certificate.mode:
            return True
        if self.risen is not None:
            return self.risen
        return self.p_gain > MATERIAL_CHANCE


@dataclass(frozen=True, eq=False, repr=False)
class Decision(Shows):
    """Everything a decision was made from: what else is asked of it needs no posterior."""

    allocation: Allocation
    budget: Budget
    objective: Objective
    search: Search
    response: Response

    def _card(self, *, whole: bool) -> Card:
        found, case = self.allocation, self.response.case
        low, high = np.quantile(found.gain, (0.1, 0.9))
        names = ("current", "recommended", "low", "high")
        columns = {"channel": case.paid_names} | {name: getattr(found, name) for name in names}
        frame = pd.DataFrame(columns)
        split = Table("allocation", "", tuple(c for c in TABLES["allocation"][1] if c.name in frame), frame)
        return Card(
            f"Decision: {'a change pays' if found.material else 'no material change'} ({case.study.currency})",
            {
                "current": message("{x:whole}", x=float(found.current.sum())),
                "recommended": message("{x:whole}", x=float(found.recommended.sum())),
                "gain": said_band(float(found.gain.mean()), low, high),
                "better": said_chance(found.p_better),
            },
            [split] if whole else [],
        )

    @property
    def curves(self) -> Curves:
        """What spend brings."""
        return self.search.curves

    @property
    def limits(self) -> Limits:
        """What a split must keep."""
        return self.search.limits


def decide(case: Case, budget: Budget = Fixed(), *, seed: int = 0, known: Decision | None = None) -> Decision:
    """Recommend a split, and keep all that it was made from.

    Args:
        case: the question; its plan is the current one.
        budget: how much money there is; by default what the study says.
        seed: of what comes whatever is spent, simulated where the objective or the capacity of sales needs it.
        known: another decision about the same company and plan, whose curves serve again where they reach as far.
    """
    case, terms = budget.posed(case), budget.terms()
    study, history, plan, paid = case.study, case.history, case.plan, case.paid
    if not len(paid) or not case.valued:
        raise UsageError(
            "a budget needs at least one channel with recorded spend, and revenue or funnel.value"
        )
    kind = terms.objective or OBJECTIVES[study.budget.objective]
    limited = study.economics.capacity is not None
    limits = limits_of(study, history, plan, total=terms.most)
    current = plan.sum(axis=0)[paid]
    made, curves = _curves(case, _most(case, limits, current), known, arriving=limited)
    anyway = background(case, np.random.default_rng([seed, 3])) if limited or kind.simulated else None
    objective = kind.asked(Asked(study, curves, terms.hurdle, anyway))
    free = terms.anew and study.budget.flighting == "free"
    waits = limited and objective.queues and not free
    queue = queue_of(made, curves, anyway, current) if waits and anyway is not None else None
    pattern = pattern_of(plan)[:, paid]
    search = Search(curves, replace(limits, pattern=pattern), current, terms.ceiling, queue)
    if free:
        search, found, spread = _free(made, objective, search)
    else:
        found = budget.find(objective, search)
        spread = plan[:, paid] if budget.held else pattern * found.x
    if kind is terms.objective:  # the smallest total is the answer
        search = search.within(float(found.x.sum()))
    return _decision(made, budget, objective, search, anyway, found, spread)


def _most(case: Case, limits: Limits, current: Array) -> Array:
    """How far the grid of each channel reaches, (all channels,)."""
    most = np.zeros(case.plan.shape[1])
    usual = 2.0 * np.maximum(current, case.history.spend_reference[case.paid])
    asked = np.where(np.isfinite(limits.high), limits.high, limits.low)
    most[case.paid] = np.maximum(usual, asked)
    return most


def _curves(case: Case, most: Array, known: Decision | None, *, arriving: bool) -> tuple[Response, Curves]:
    """What spend brings, up to `most` (all channels,): of a known decision where that is the same, else evaluated."""
    if known is not None and _same(case, known.response.case):
        made = replace(known.response, case=case)
        reaches = np.array_equal(known.curves.spend[:, -1], most[case.paid])
        if reaches and arriving == (known.curves.arriving is not None):
            return made, known.curves
    else:
        made = response_of(case)
    return made, response_curves(made, most, arriving=arriving)


def _same(one: Case, other: Case) -> bool:
    """Whether what spend brings is the same in both: the question but for the amount of its target, and its budget."""
    aims = {
        case.study.plan.target is not None and case.study.plan.target.measure == "won"
        for case in (one, other)
    }
    parts = (one.posterior, one.future, one.history), (other.posterior, other.future, other.history)
    same = all(a is b for a, b in zip(*parts, strict=True)) and np.array_equal(one.plan, other.plan)
    return same and len(aims) == 1 and one.study.economics == other.study.economics


def _free(made: Response, objective: Objective, search: Search) -> tuple[Search, Solution, Array]:
    """The best plan that may differ by period, or the best one spread as today where that truly brings more."""
    limits, pattern = search.limits, pattern_of(made.case.plan)[:, made.case.paid]
    freed = search.solved(free_program(made, limits, objective, search.ceiling))
    plan = freed.x.reshape(pattern.shape)

    def exact(spread: Array) -> float:
        brought = made.value(_whole(made, spread), objective.measure)[:, made.case.paid]
        return float(brought.sum(axis=1).mean()) - objective.cost * float(spread.sum())

    with suppress(InfeasibleError):  # today's spread may not keep what is asked of single periods
        found = objective.best(search)
        if exact(pattern * found.x) > exact(plan):
            return search, found, pattern * found.x
    pattern = plan / np.maximum(plan.sum(axis=0), 1e-300)
    prices = {  # as they are for a split that is spread so
        replace(row, weights=(row.weights.reshape(plan.shape) * pattern).sum(axis=0)): price
        for row, price in freed.prices.items()
        if row.kind is not Kind.BOUND
    }
    search = replace(search, limits=replace(limits, pattern=pattern))
    return search, replace(freed, x=plan.sum(axis=0), prices=prices), plan


def _whole(made: Response, spread: Array) -> Array:
    """The current plan with another spread (period, paid channel)."""
    plan = made.case.plan.copy()
    plan[:, made.case.paid] = spread
    return plan


def _decision(
    made: Response,
    budget: Budget,
    objective: Objective,
    search: Search,
    anyway: Background | None,
    found: Solution,
    spread: Array,
) -> Decision:
    case, curves, limits, current = made.case, search.curves, search.limits, search.current
    plan, paid = case.plan, case.paid
    terms = budget.terms()
    status = "optimal" if np.isfinite(found.gap) else "best found"
    status = "current plan held" if budget.held else status
    value_current, value_best = (made.value(p)[:, paid] for p in (plan, _whole(made, spread)))
    gain = (value_best - value_current).sum(axis=1) - (found.x.sum() - current.sum())
    if limits.fees is not None:
        gain = gain - limits.fees @ ((found.x > 0).astype(float) - (current > 0))
    lost = lost_current = np.zeros(1)  # by waiting
    if anyway is not None and search.queue is not None:
        lost, lost_current = (lost_money(made, anyway, p) for p in (_whole(made, spread), plan))
        gain = gain - lost + lost_current
    allowed = limits.allows(plan[:, paid])
    if gain.mean() < 0 and allowed and objective.exact and terms.hurdle == 1.0 and search.ceiling is None:
        # interpolation error must never make the plan worse
        found, spread = replace(found, x=current), plan[:, paid]
        value_best, lost, gain = value_current, lost_current, np.zeros_like(gain)
        status = "current plan kept"
    split, holding = found.x, binding(found)
    idle = 0.0 if search.queue is None else float(search.queue.reward @ found.extra)
    low, high = near_optimal(objective, search, split, idle)
    unspent = max(limits.total - float(split.sum()), 0.0) if np.isfinite(limits.total) else 0.0
    value = float(objective.stated(split, value_best) - lost.mean())
    value_now = float(objective.stated(current, value_current) - lost_current.mean())
    witnesses = [objective]
    if anyway is not None and case.study.plan.target is not None and not isinstance(objective, TargetChance):
        witnesses.append(TargetChance.asked(Asked(case.study, curves, anyway=anyway)))
    certificate = Certificate(
        objective=objective.key,
        status=status,
        value=value,
        value_current=value_now,
        gap=found.gap,
        residual=residual(objective, search, found),
        prices={row.name: price for row, price in holding.items()},
        evidence=evidence(witnesses, search, split),
        kept=limits.keeps(split),
        mode=terms.words,
    )
    allocation = Allocation(
        current=current,
        recommended=split,
        best=split,
        low=low,
        high=high,
        value_current=value_current.mean(axis=0),
        value_recommended=value_best.mean(axis=0),
        marginal=curves.marginal(split),
        marginal_current=curves.marginal(current),
        gain=gain,
        extrapolated=_beyond(spread, case.history.highest_spend[paid]),
        price=terms.hurdle + found.price(Kind.TOTAL),
        unspent=unspent,
        reason=_why_unspent(unspent, split, objective, limits, holding),
        allowed=allowed,
        plan=spread,
        certificate=certificate,
        risen=objective.risen(value, value_now),
    )
    if not allocation.material:
        left = max(limits.total - float(current.sum()), 0.0) if np.isfinite(limits.total) else 0.0
        allocation = replace(
            allocation,
            recommended=current,
            value_recommended=allocation.value_current,
            marginal=allocation.marginal_current,
            extrapolated=_beyond(plan[:, paid], case.history.highest_spend[paid]),
            unspent=left,
            reason=_NOT_MATERIAL if left > AT_LIMIT * max(limits.total, 1.0) else "",
            plan=plan[:, paid],
        )
    return Decision(allocation, budget, objective, search, made)


_NOT_MATERIAL = "no other split is better by more than 1 %"


def recommended_plan(made: Decision) -> Array:
    """The recommendation as spend (period, channel); spread as the current plan is, unless flighting is free."""
    return _whole(made.response, made.allocation.plan)


def _beyond(spend: Array, seen: Array) -> Array:
    over = np.maximum(spend - seen, 0.0).sum(axis=0)
    return over / np.maximum(spend.sum(axis=0), 1e-12)


def _why_unspent(
    unspent: float, split: Array, objective: Objective, limits: Limits, holding: dict[Row, float]
) -> Text:
    if unspent <= AT_LIMIT * max(limits.total, 1.0):
        return ""
    tight = [
        row.name
        for row in limits.rows()
        if row.kind is Kind.RULE and row.weights @ split >= row.most - AT_LIMIT * abs(row.most)
    ]
    reasons: list[tuple[Text, bool]] = [
        ("every channel is at its upper limit", bool(np.all(split >= limits.high * (1 - AT_LIMIT)))),
        ("what is left is less than a lot", limits.lots is not None and bool(unspent < limits.lots.max())),
        (message("other limits hold it back: {tight}", tight=tight), bool(tight)),
        ("sales cannot take more (economics.capacity)", any(row.kind is Kind.CAPACITY for row in holding)),
    ]
    return next((reason for reason, holds in reasons if holds), objective.spent)
