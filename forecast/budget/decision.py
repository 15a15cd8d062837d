"""How to divide the budget: the split that serves the objective best, over posterior draws, within the limits.

By default the plan maximises mean_s sum_c V_sc(x_c) - sum_c x_c, never the value at a point estimate, where V_sc(x) is
the eventual margin of a channel's spend over the horizon (`budget.response`). The mean of concave curves is concave,
so marginal returns are equal wherever no limit binds, marginal_c(x_c) = lambda, and lambda >= 1, because money that
returns less than itself stays unspent. Limits are in `budget.limits`, objectives in `budget.objectives`; what is
certain about the recommendation is said in its certificate.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.budget.certificate import (
    AT_LIMIT,
    Certificate,
    evidence,
    landscape,
    near_optimal,
    objective_values,
    residual,
)
from forecast.budget.flighting import BOUND, free_program
from forecast.budget.limits import Limits, limits_of
from forecast.budget.objectives import Aim, Queue, best, smallest_budget
from forecast.budget.program import InfeasibleError, Solution
from forecast.budget.response import (
    Background,
    Curves,
    Response,
    background,
    pattern_of,
    response_curves,
    response_of,
)
from forecast.budget.sales import lost_money, sales_rows
from forecast.budget.solver import solve
from forecast.errors import UsageError
from forecast.outlook import Case
from forecast.study import Study

Array = NDArray[np.float64]

LEAST_PRICE = 1e-6  # of a limit, below which it does not bind
MATERIAL_SHARE, MATERIAL_CHANCE = 0.01, 0.8


@dataclass(frozen=True)
class Allocation:
    """A recommended split, all arrays (channel,) over the horizon in currency unless said.

    low, high: near-optimal range; marginal, marginal_current: return of the next unit of money; gain (draw,): expected
    contribution of the recommendation less the current plan's, by posterior draw; extrapolated: share of the
    recommended spend above the highest ever seen in a period; residual: largest gap of a free channel's marginal
    return to lambda; allowed: whether the current plan itself keeps total and limits; plan (period, channel): the
    recommendation by period.
    """

    current: Array
    recommended: Array
    low: Array
    high: Array
    value_current: Array
    value_recommended: Array
    marginal: Array
    marginal_current: Array
    gain: Array
    extrapolated: Array
    price: float
    residual: float
    unspent: float
    reason: str
    allowed: bool = True
    plan: Array | None = None
    certificate: Certificate | None = None

    @property
    def p_better(self) -> float:
        """P(the recommendation brings more than the current plan)."""
        return float((self.gain > 0).mean())

    @property
    def material(self) -> bool:
        """Whether a move must be made, or is worth making: P(gain > 1 % of the expected contribution) > 0.8.

        Under another objective than profit: whether it rises by more than 1 % (P(target): by more than 0.01).
        """
        if not self.allowed:
            return True
        made = self.certificate
        if made is not None and made.mode:
            return True
        if made is not None and made.objective != "profit":
            scale = 1.0 if made.objective == "target" else abs(made.value_current)
            return made.value - made.value_current > MATERIAL_SHARE * scale
        bar = MATERIAL_SHARE * max(float(self.value_current.sum() - self.current.sum()), 0.0)
        return float((self.gain > bar).mean()) > MATERIAL_CHANCE


@dataclass(frozen=True, eq=False)
class Decision:
    """Everything a decision was made from: what else is asked of it needs no posterior."""

    allocation: Allocation
    curves: Curves
    limits: Limits
    aim: Aim
    response: Response
    background: Background | None = None
    queue: Queue | None = None


def aim_of(study: Study) -> Aim:
    """What the study asks of its budget."""
    asked, target = study.budget, study.plan.target
    return Aim(asked.objective, asked.risk, asked.floor, None if target is None else target.amount)


def decide(
    case: Case,
    *,
    total: float | None = None,
    marginal: float | None = None,
    cac: float | None = None,
    chance: float | None = None,
    seed: int = 0,
) -> Decision:
    """Recommend a split, and keep all that it was made from.

    Args:
        case: the question; its plan is the current one.
        total: budget over the horizon in place of the study's.
        marginal: no fixed budget; money is spent until its marginal return falls to this.
        cac: customers of paid channels may cost this much on average; no fixed budget.
        chance: the smallest budget that makes the target so likely.
        seed: of what comes whatever is spent, simulated where the objective or the capacity of sales needs it.
    """
    study, history, plan, paid = case.study, case.history, case.plan, case.paid
    if not len(paid) or not case.valued:
        raise UsageError(
            "a budget needs at least one channel with recorded spend, and revenue or funnel.value"
        )
    aim = replace(aim_of(study), hurdle=1.0 if marginal is None else marginal, cac=cac)
    mode = _mode(aim, marginal, cac, chance)
    open_ended = total is None and not (marginal is None and cac is None and chance is None)
    limits = limits_of(study, history, plan, total=np.inf if open_ended else total)
    made = response_of(case)
    current = plan.sum(axis=0)[paid]
    capacity = study.economics.capacity
    curves = response_curves(made, _most(made, limits, current), arriving=capacity is not None)
    anyway = None
    if capacity is not None or aim.objective == "target" or chance is not None:
        anyway = background(case, np.random.default_rng([seed, 3]))
    queue = _queue(made, curves, anyway, current) if capacity is not None and anyway is not None else None
    spread_as_now = replace(limits, pattern=pattern_of(plan)[:, paid])
    if chance is not None and anyway is not None:
        aim = replace(aim, objective="target")
        _, _, found = smallest_budget(curves, spread_as_now, aim, anyway, current, chance)
        limits = replace(spread_as_now, total=float(found.x.sum()))
    elif study.budget.flighting == "free":
        found, spread = _free(made, curves, limits, aim, current)
        limits = replace(limits, pattern=spread / np.maximum(spread.sum(axis=0), 1e-300))
        return _decision(made, curves, limits, aim, found, spread, anyway, None, mode)
    else:
        found = best(curves, limits, aim, current=current, background=anyway, queue=queue)
    spread = pattern_of(plan)[:, paid] * found.x
    return _decision(made, curves, limits, aim, found, spread, anyway, queue, mode)


def _mode(aim: Aim, marginal: float | None, cac: float | None, chance: float | None) -> str:
    """What is asked in place of a fixed budget, in words. Raises UsageError for what makes no sense."""
    if sum(value is not None for value in (marginal, cac, chance)) > 1:
        raise UsageError("--marginal, --cac and --chance are different questions: ask one at a time")
    if (chance is not None or aim.objective == "target") and aim.target is None:
        asked = "--chance" if chance is not None else 'budget.objective = "target"'
        raise UsageError(
            f"{asked} needs a target: [plan] target = {{ revenue = 240_000 }}, or {{ won = 45 }}"
        )
    if marginal is not None:
        if marginal <= 0:
            raise UsageError(f"--marginal: expected a return above 0, such as 1.5; came {marginal:g}")
        return f"budget whose last unit brings back {marginal:g} times itself"
    if cac is not None:
        if cac <= 0:
            raise UsageError(f"--cac: expected the most that a customer may cost, above 0; came {cac:g}")
        return f"best budget with customers that cost at most {cac:,.0f} each"
    if chance is not None:
        if not 0 < chance < 1:
            raise UsageError(
                f"--chance: expected a probability between 0 and 1, such as 80%; came {chance:g}"
            )
        return f"smallest budget that makes the target {chance:.0%} likely"
    return ""


def _most(made: Response, limits: Limits, current: Array) -> Array:
    """How far the grid of each channel reaches, (all channels,)."""
    most = np.zeros(made.case.plan.shape[1])
    reach = np.maximum(2.0 * current, np.where(np.isfinite(limits.high), limits.high, 0.0))
    most[made.case.paid] = np.maximum(
        reach, np.maximum(2.0 * made.case.history.spend_reference[made.case.paid], limits.low)
    )
    return most


def _queue(made: Response, curves: Curves, anyway: Background, current: Array) -> Queue:
    economics = made.case.study.economics
    limit = float(economics.capacity or 0.0)
    rows = sales_rows(
        curves, anyway.arriving.mean(axis=0), current, limit, economics.capacity_decay, made.case.labels
    )
    return Queue(*rows)


def _free(made: Response, curves: Curves, limits: Limits, aim: Aim, current: Array) -> tuple[Solution, Array]:
    """The best plan that may differ by period, or the best one spread as today where that truly brings more."""
    measure, cost = ("inside", 0.0) if aim.objective == "revenue" else ("value", aim.hurdle)
    freed = solve(free_program(made, limits, measure=measure, cost=cost))
    plan = freed.x.reshape(len(made.case.plan), -1)

    def exact(split: Array) -> float:
        whole = _whole(made, split)
        inside, _ = made.case.traffic(whole)
        brought = made.value(whole) if measure == "value" else (inside * made.inside).sum(axis=1)
        return float(brought[:, made.case.paid].sum(axis=1).mean()) - cost * float(split.sum())

    pattern = pattern_of(made.case.plan)[:, made.case.paid]
    with suppress(InfeasibleError):  # today's spread may not keep what is asked of single periods
        found = best(curves, replace(limits, pattern=pattern), aim, current=current)
        if exact(pattern * found.x) > exact(plan):
            return found, pattern * found.x
    return replace(freed, x=plan.sum(axis=0)), plan


def _whole(made: Response, spread: Array) -> Array:
    plan = made.case.plan.copy()
    plan[:, made.case.paid] = spread
    return plan


def _decision(
    made: Response,
    curves: Curves,
    limits: Limits,
    aim: Aim,
    found: Solution,
    spread: Array,
    anyway: Background | None,
    queue: Queue | None,
    mode: str,
) -> Decision:
    paid = made.case.paid
    current, split = made.case.plan.sum(axis=0)[paid], found.x
    allowed = limits.allows(made.case.plan[:, paid])
    value_current, value_best = (made.value(p)[:, paid] for p in (made.case.plan, _whole(made, spread)))
    gain = (value_best - value_current).sum(axis=1) - (split.sum() - current.sum())
    if limits.fees is not None:
        gain = gain - limits.fees @ ((split > 0).astype(float) - (current > 0))
    lost = np.zeros(2)  # by waiting: recommended, current
    if anyway is not None and queue is not None:
        each = [lost_money(made, anyway, plan) for plan in (_whole(made, spread), made.case.plan)]
        gain, lost = gain - each[0] + each[1], np.array([loss.mean() for loss in each])
    status = "optimal" if np.isfinite(found.gap) else "best found"
    if (
        gain.mean() < 0
        and allowed
        and aim.objective == "profit"
        and aim.floor is None
        and _same_question(aim)
    ):
        # interpolation error must never make the plan worse
        split, spread, value_best, gain = current, made.case.plan[:, paid], value_current, np.zeros_like(gain)
        status = "current plan kept"
    scape = landscape(curves, aim, split, anyway)
    idle = float(queue.reward @ found.extra) if queue is not None else 0.0
    low, high = near_optimal(curves, limits, scape, split, queue, idle)
    marginal = curves.marginal(split)
    price = aim.hurdle + found.prices.get("budget.total", 0.0)
    left = residual(curves, limits, aim, replace(found, x=split), queue)
    unspent = max(limits.total - float(split.sum()), 0.0) if np.isfinite(limits.total) else 0.0
    if aim.objective == "profit":  # by the exact road
        means = tuple(
            float(v.sum(axis=1).mean() - x.sum()) for v, x in ((value_best, split), (value_current, current))
        )
    else:
        means = objective_values(curves, aim, split, current, anyway)
    certificate = Certificate(
        objective=aim.objective,
        status=status,
        value=float(means[0] - lost[0]),
        value_current=float(means[1] - lost[1]),
        gap=found.gap,
        residual=left,
        prices={
            name: value
            for name, value in found.prices.items()
            if value > LEAST_PRICE and not name.startswith((BOUND, "--cac"))
        },
        evidence=evidence(curves, aim, split, current, anyway),
        kept=limits.keeps(split),
        mode=mode,
    )
    allocation = Allocation(
        current=current,
        recommended=split,
        low=low,
        high=high,
        value_current=value_current.mean(axis=0),
        value_recommended=value_best.mean(axis=0),
        marginal=marginal,
        marginal_current=curves.marginal(current),
        gain=gain,
        extrapolated=_beyond(spread, made.case.history.highest_spend[paid]),
        price=price,
        residual=left if np.isfinite(left) else 0.0,
        unspent=unspent,
        reason=_why_unspent(unspent, split, limits, aim, certificate.prices),
        allowed=allowed,
        plan=spread,
        certificate=certificate,
    )
    return Decision(allocation, curves, limits, aim, made, anyway, queue)


def _same_question(aim: Aim) -> bool:
    return aim.hurdle == 1.0 and aim.cac is None


def recommended_plan(made: Decision) -> Array:
    """The recommendation as spend (period, channel); spread as the current plan is, unless flighting is free."""
    found, case = made.allocation, made.response.case
    result = case.plan.copy()
    result[:, case.paid] = made.curves.pattern * found.recommended if found.plan is None else found.plan
    return result


def _beyond(spend: Array, seen: Array) -> Array:
    over = np.maximum(spend - seen, 0.0).sum(axis=0)
    return over / np.maximum(spend.sum(axis=0), 1e-12)


def _why_unspent(unspent: float, split: Array, limits: Limits, aim: Aim, prices: dict[str, float]) -> str:
    if unspent <= AT_LIMIT * max(limits.total, 1.0):
        return ""
    tight = [
        row.name for row in limits.rows()[1:] if row.weights @ split >= row.most - AT_LIMIT * abs(row.most)
    ]
    returns = aim.objective == "profit" and aim.floor is None
    reasons = {
        "every channel is at its upper limit": bool(np.all(split >= limits.high * (1 - AT_LIMIT))),
        "what is left is less than a lot": limits.lots is not None and unspent < limits.lots.max(),
        f"other limits hold it back: {', '.join(tight)}": bool(tight),
        "sales cannot take more (economics.capacity)": any(
            name.startswith("economics.capacity") for name in prices
        ),
        "the next unit of money would bring back less than itself in every channel that may take more": returns,
    }
    return next(
        (reason for reason, holds in reasons.items() if holds), "more spend would not serve the objective"
    )
