"""How to divide the budget: the split with the highest expected eventual contribution, over posterior draws.

Value of a channel's spend x over the horizon (spread over its periods as the current plan is), for draw s:

    V_sc(x) = margin sum_t traffic_sct(x) prod_k rate_skct dealvalue_sc  +  what carry-over brings after the horizon

The plan maximises mean_s sum_c V_sc(x_c) - sum_c x_c within total and limits, never the value at a point estimate. The
mean of concave curves is concave, so equal marginal returns (water-filling) are the optimum: marginal_c(x_c) = lambda
wherever no limit binds, and lambda >= 1, because money that returns less than itself stays unspent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from forecast import inputs
from forecast.errors import UsageError
from forecast.history import History
from forecast.posterior import Posterior
from forecast.simulate import Future, expected_traffic
from forecast.study import Study

Array = NDArray[np.float64]

POINTS = 25  # spend levels at which the posterior is evaluated
TABLE = 2001  # points of the mean curve between them
BEYOND_SEEN = 1.3  # default bound on spend per period, as a multiple of the highest ever seen
NEAR = 0.01  # near-optimal: within 1 % of the eventual margin of the best plan
MATERIAL_SHARE, MATERIAL_CHANCE = 0.01, 0.8


@dataclass(frozen=True)
class Curves:
    """Expected eventual margin of each channel's spend over the horizon: the one expensive evaluation.

    spend (channel, point); value (draw, channel, point), currency; pattern (period, channel): how spend is spread.
    table_spend, table_value, table_marginal (channel, TABLE): the mean curve, its slope made to fall monotonically.
    """

    spend: Array
    value: Array
    pattern: Array
    table_spend: Array
    table_value: Array
    table_marginal: Array

    def mean_value(self, spend: Array) -> float:
        """Expected eventual margin of a split (channel,), before spend."""
        return float(
            sum(np.interp(x, s, v) for x, s, v in zip(spend, self.table_spend, self.table_value, strict=True))
        )

    def marginal(self, spend: Array) -> Array:
        """Expected margin of one more unit of money, by channel."""
        columns = zip(spend, self.table_spend, self.table_marginal, strict=True)
        return np.array([np.interp(x, s, m) for x, s, m in columns])


@dataclass(frozen=True)
class Limits:
    """Least and most spend of each channel over the horizon, (channel,), and the most in total."""

    low: Array
    high: Array
    total: float


@dataclass(frozen=True)
class Allocation:
    """A recommended split, all arrays (channel,) over the horizon in currency unless said.

    low, high: near-optimal range; marginal, marginal_current: return of the next unit of money; gain (draw,): expected
    contribution of the recommendation less the current plan's, by posterior draw; extrapolated: share of the
    recommended spend above the highest ever seen in a period; residual: largest gap of a free channel's marginal
    return to lambda; allowed: whether the current plan itself keeps total and limits.
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

    @property
    def p_better(self) -> float:
        """P(the recommendation brings more than the current plan)."""
        return float((self.gain > 0).mean())

    @property
    def material(self) -> bool:
        """Whether a move must be made, or is worth making: P(gain > 1 % of the expected contribution) > 0.8."""
        if not self.allowed:
            return True
        bar = MATERIAL_SHARE * max(float(self.value_current.sum() - self.current.sum()), 0.0)
        return float((self.gain > bar).mean()) > MATERIAL_CHANCE


def paid_channels(history: History, plan: Array) -> NDArray[np.int64]:
    """Channels whose traffic responds to spend that was recorded, and that take part in the budget."""
    responds = (inputs.spend_of(history) > 0).any(axis=0)
    return np.flatnonzero(responds | (plan.sum(axis=0) > 0))


def worth_of_traffic(posterior: Posterior, future: Future, margin: float) -> Array:
    """Margin that one unit of traffic brings in the end, (draw, period, channel): margin x rates x deal value."""
    worth = np.repeat(posterior.array("deal_mean")[:, None, :] * margin, future.log_traffic.shape[1], axis=1)
    for rate in future.rates.values():
        worth = worth * rate
    return worth


def plan_value(posterior: Posterior, history: History, future: Future, worth: Array, spend: Array) -> Array:
    """Expected eventual margin of a plan (period, channel) before spend, (draw, channel)."""
    inside, later = expected_traffic(posterior, future, spend, inputs.current_spend(history), history.period)
    return (inside * worth).sum(axis=1) + later * worth[:, -1]


def response_curves(
    posterior: Posterior, history: History, future: Future, worth: Array, plan: Array, most: Array
) -> Curves:
    """Evaluate the posterior once on a grid of spend for the paid channels; `most` (channel,) bounds the grid."""
    paid = paid_channels(history, plan)
    totals = plan.sum(axis=0)
    flat = np.full(plan.shape, 1.0 / len(plan))
    pattern = np.where(totals > 0, plan / np.where(totals > 0, totals, 1.0), flat)
    steps = np.linspace(0.0, 1.0, POINTS) ** 2
    spend = most[:, None] * steps
    values = [plan_value(posterior, history, future, worth, pattern * spend[:, g]) for g in range(POINTS)]
    value = np.stack(values, axis=2)[:, paid].astype(np.float32).astype(float)
    return _tabulated(spend[paid], value, pattern[:, paid])


def _tabulated(spend: Array, value: Array, pattern: Array) -> Curves:
    root = np.linspace(0.0, 1.0, TABLE)
    knots = np.linspace(0.0, 1.0, spend.shape[1])
    table_spend = spend[:, -1:] * root**2
    curve = PchipInterpolator(knots, value.mean(axis=0), axis=1)
    table_value = curve(root)
    slope = np.diff(table_value, axis=1) / np.maximum(np.diff(table_spend, axis=1), 1e-12)
    middle = (slope[:, 1:] + slope[:, :-1]) / 2
    marginal = np.concatenate([slope[:, :1], middle, slope[:, -1:]], axis=1)
    return Curves(spend, value, pattern, table_spend, table_value, np.minimum.accumulate(marginal, axis=1))


def water_fill(curves: Curves, limits: Limits, floor: float = 1.0) -> tuple[Array, float]:
    """The split (channel,) of at most `limits.total` with equal marginal returns, and that return lambda >= floor.

    Bisection on log lambda; channels at a limit stay there. Monotone in the total; exact on the tabulated curves.
    """

    def split(price: float) -> Array:
        columns = zip(curves.table_spend, curves.table_marginal, strict=True)
        wanted = np.array([np.interp(-price, -m, s) for s, m in columns])
        return np.clip(wanted, limits.low, limits.high)

    best = split(floor)
    if best.sum() <= limits.total:
        return best, floor
    low, high = np.log(floor), np.log(max(float(curves.table_marginal.max()), floor)) + 1.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if split(float(np.exp(middle))).sum() > limits.total else (low, middle)
    best = split(float(np.exp(high)))
    room = np.minimum(split(float(np.exp(low))) - best, limits.high - best)
    short = limits.total - best.sum()
    if short > 0 and room.sum() > 0:  # what a flat piece of a curve leaves open
        best = best + room * min(1.0, short / room.sum())
    return best, float(np.exp(high))


def limits_of(study: Study, history: History, plan: Array, *, total: float | None = None) -> Limits:
    """Limits from the study: total, change against the current plan, own limits, locks, 1.3 x the highest spend seen.

    Raises UsageError where the least that the limits ask for is more than the total.
    """
    paid = paid_channels(history, plan)
    current = plan.sum(axis=0)[paid]
    seen = inputs.spend_of(history).max(axis=0)[paid] * len(plan)
    change = study.budget.change
    low = np.zeros(len(paid)) if change is None else current * (1 - min(change, 1.0))
    high = np.full(len(paid), np.inf) if change is None else current * (1 + change)
    high = np.minimum(high, np.maximum(BEYOND_SEEN * seen, current))
    for i, index in enumerate(paid):
        name = history.channels[index]
        own = study.budget.limits.get(name)
        if own is not None:
            low[i] = low[i] if own.min is None else own.min
            high[i] = high[i] if own.max is None else own.max
            if low[i] > high[i]:
                low[i], high[i] = (low[i], low[i]) if own.max is None else (high[i], high[i])
        if name in study.channels and study.channels[name].locked:
            low[i] = high[i] = current[i]
    budget = total if total is not None else study.budget.total
    amount = float(current.sum()) if budget == "current" else float(budget)
    if low.sum() > amount * (1 + 1e-9):
        names = [history.channels[index] for index in paid]
        least = ", ".join(f"{name} {value:,.0f}" for name, value in zip(names, low, strict=True) if value > 0)
        raise UsageError(
            f"budget.total: the limits ask for at least {low.sum():,.0f} {study.currency} over the horizon ({least}), "
            f"which is {low.sum() - amount:,.0f} more than the total of {amount:,.0f}; raise the total, lower the "
            "minimum of a channel, unlock one, or allow a larger budget.change"
        )
    return Limits(low, high, amount)


def allocate(
    posterior: Posterior,
    history: History,
    study: Study,
    plan: Array,
    future: Future,
    *,
    total: float | None = None,
) -> tuple[Allocation, Curves]:
    """Recommend a split over the paid channels; arrays of the result follow `paid_channels`.

    Raises UsageError where limits clash or no channel has spend or deals have no value.
    """
    paid = paid_channels(history, plan)
    if not len(paid) or "deal_mean" not in posterior.data:
        raise UsageError(
            "a budget needs at least one channel with recorded spend, and revenue or funnel.value"
        )
    limits = limits_of(study, history, plan, total=total)
    worth = worth_of_traffic(posterior, future, study.economics.gross_margin)
    current = plan.sum(axis=0)[paid]
    most = np.zeros(plan.shape[1])
    most[paid] = np.maximum(2.0 * current, np.where(np.isfinite(limits.high), limits.high, 0.0))
    most[paid] = np.maximum(most[paid], 2.0 * inputs.spend_reference(history)[paid])
    curves = response_curves(posterior, history, future, worth, plan, most)
    best, price = water_fill(curves, limits)
    value_current = plan_value(posterior, history, future, worth, plan)[:, paid]
    value_best = plan_value(posterior, history, future, worth, _spread(plan, curves, best, paid))[:, paid]
    gain = (value_best - value_current).sum(axis=1) - (best.sum() - current.sum())
    if gain.mean() < 0 and _fits(current, limits):  # interpolation error must never make the plan worse
        best, value_best, gain = current, value_current, np.zeros_like(gain)
    near_low, near_high = _near_optimal(curves, limits, best)
    marginal = curves.marginal(best)
    free = (best > limits.low * (1 + 1e-6)) & (best < limits.high * (1 - 1e-6))
    unspent = max(limits.total - float(best.sum()), 0.0)
    return Allocation(
        current=current,
        recommended=best,
        low=near_low,
        high=near_high,
        value_current=value_current.mean(axis=0),
        value_recommended=value_best.mean(axis=0),
        marginal=marginal,
        marginal_current=curves.marginal(current),
        gain=gain,
        extrapolated=_beyond(curves.pattern * best, inputs.spend_of(history).max(axis=0)[paid]),
        price=price,
        residual=float(np.abs(marginal[free] / price - 1.0).max()) if free.any() else 0.0,
        unspent=unspent,
        reason=_why_unspent(unspent, best, limits),
        allowed=_fits(current, limits),
    ), curves


def recommended_plan(plan: Array, curves: Curves, allocation: Allocation, history: History) -> Array:
    """The recommendation as spend by (period, channel), spread over the periods as the current plan is."""
    return _spread(plan, curves, allocation.recommended, paid_channels(history, plan))


def _fits(split: Array, limits: Limits) -> bool:
    inside = np.all((limits.low <= split) & (split <= limits.high))
    return bool(inside and split.sum() <= limits.total * (1 + 1e-9))


def _spread(plan: Array, curves: Curves, split: Array, paid: NDArray[np.int64]) -> Array:
    result = plan.copy()
    result[:, paid] = curves.pattern * split
    return result


def _beyond(spend: Array, seen: Array) -> Array:
    over = np.maximum(spend - seen, 0.0).sum(axis=0)
    return over / np.maximum(spend.sum(axis=0), 1e-12)


def _why_unspent(unspent: float, best: Array, limits: Limits) -> str:
    if unspent <= 1e-6 * max(limits.total, 1.0):
        return ""
    if np.all(best >= limits.high * (1 - 1e-6)):
        return "every channel is at its upper limit"
    return "the next unit of money would bring back less than itself in every channel that may take more"


def _near_optimal(curves: Curves, limits: Limits, best: Array, points: int = 33) -> tuple[Array, Array]:
    """Least and most spend of each channel among plans within NEAR of the best eventual margin, others re-optimised."""
    bar = curves.mean_value(best) - best.sum() - NEAR * abs(curves.mean_value(best))
    low, high = best.copy(), best.copy()
    for c in range(len(best)):
        if limits.high[c] <= limits.low[c]:
            continue
        top = min(limits.high[c], float(curves.table_spend[c, -1]))
        for x in np.linspace(limits.low[c], top, points):
            fixed_low, fixed_high = limits.low.copy(), limits.high.copy()
            fixed_low[c] = fixed_high[c] = x
            if fixed_low.sum() > limits.total:
                continue
            plan, _ = water_fill(curves, Limits(fixed_low, fixed_high, limits.total))
            if curves.mean_value(plan) - plan.sum() >= bar:
                low[c], high[c] = min(low[c], x), max(high[c], x)
    return low, high
