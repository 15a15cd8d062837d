"""The limits of a budget: read from study and plan, made linear, and checked before anything is solved.

A limit is a rule weights . x <= most over spend x (period, channel). What a channel may have, least and most, is a pair
of bounds over the horizon. Where rules clash, the message names the smallest set that does: rules are left out one by
one for as long as the rest still clashes (deletion filter; Chinneck & Dravnieks 1991, ORSA J. Computing). How far one
of them alone must give way is a linear program with that rule made elastic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from forecast.budget.program import Row
from forecast.budget.response import pattern_of
from forecast.errors import UsageError
from forecast.history import History
from forecast.outlook import paid_channels
from forecast.periods import parse_period, period_label, period_range, shift
from forecast.study import Study

Array = NDArray[np.float64]

BEYOND_SEEN = 1.3  # default bound on spend per period, as a multiple of the highest ever seen
SLACK = 1e-9  # of the largest amount: rounding


@dataclass(frozen=True, eq=False)
class Rule:
    """weights (period, channel) . spend <= most; `text` says it in words, with the amount that was asked for."""

    name: str
    text: str
    weights: Array
    most: float


@dataclass(frozen=True, eq=False)
class Limits:
    """Least and most spend of each channel over the horizon, (channel,), and the most in total.

    rules: of groups and periods. lots, fees (channel,), zero for none. pattern (period, channel): how spend is spread,
    None where each period may have its own. sources: where each bound comes from, by (side, channel).
    """

    low: Array
    high: Array
    total: float
    rules: tuple[Rule, ...] = ()
    lots: Array | None = None
    fees: Array | None = None
    pattern: Array | None = None
    sources: dict[tuple[str, int], str] = field(default_factory=dict)

    def rows(self) -> tuple[Row, ...]:
        """The total and the rules as rows over spend by channel, spread as `pattern` says."""
        n = len(self.low)
        total = (Row("budget.total", np.ones(n), self.total),) if np.isfinite(self.total) else ()
        pattern = np.ones((1, n)) if self.pattern is None else self.pattern
        return total + tuple(
            Row(rule.name, (rule.weights * pattern).sum(axis=0), rule.most) for rule in self.rules
        )

    def keeps(self, x: Array, tolerance: float = 1e-7) -> bool:
        """Whether a split (channel,) keeps all of them, to rounding; lots included."""
        scale = tolerance * max(float(np.abs(x).sum()), 1.0)
        inside = np.all(x >= self.low - scale) and np.all(x <= self.high + scale)
        rows = all(row.weights @ x <= row.most + scale for row in self.rows())
        if self.lots is None or not (inside and rows):
            return bool(inside and rows)
        lots = np.where(self.lots > 0, self.lots, 1.0)
        return bool(np.all((self.lots == 0) | (np.abs(x - lots * np.rint(x / lots)) <= scale)))

    def allows(self, plan: Array) -> bool:
        """Whether a plan (period, channel), spread as it is, keeps all of them."""
        own = replace(self, rules=(), pattern=None)
        scale = 1e-7 * max(float(plan.sum()), 1.0)
        return own.keeps(plan.sum(axis=0)) and all(
            float((rule.weights * plan).sum()) <= rule.most + scale for rule in self.rules
        )


def limits_of(study: Study, history: History, plan: Array, *, total: float | None = None) -> Limits:
    """Limits from the study: total, change against the current plan, own limits, locks, 1.3 x the highest spend seen.

    `total`: in place of the study's; infinite for none. Raises UsageError where limits cannot all be kept, with the
    smallest set that clashes, and StudyError for a period that is not in the horizon.
    """
    paid = paid_channels(history, plan)
    names = [history.channels[index] for index in paid]
    current = plan.sum(axis=0)[paid]
    low, high, sources = _bounds(study, history, plan, names, paid)
    asked = study.budget
    budget = total if total is not None else asked.total
    amount = float(current.sum()) if budget == "current" else float(budget)
    limits = Limits(
        low,
        high,
        amount,
        _rules(study, history, plan, names),
        _by_name(asked.lots, names),
        _by_name(asked.fees, names),
        None if asked.flighting == "free" else pattern_of(plan)[:, paid],
        sources,
    )
    problem = clash(limits, names, len(plan), study.currency)
    if problem:
        raise UsageError(problem)
    return limits


def _by_name(values: dict[str, float], names: list[str]) -> Array | None:
    return np.array([values.get(name, 0.0) for name in names]) if values else None


def _bounds(
    study: Study, history: History, plan: Array, names: list[str], paid: NDArray[np.int64]
) -> tuple[Array, Array, dict[tuple[str, int], str]]:
    current = plan.sum(axis=0)[paid]
    seen = history.highest_spend[paid] * len(plan)
    change, sources = study.budget.change, {}
    low = np.zeros(len(paid)) if change is None else current * (1 - min(change, 1.0))
    high = np.full(len(paid), np.inf) if change is None else current * (1 + change)
    beyond = np.maximum(BEYOND_SEEN * seen, current)
    for i, name in enumerate(names):
        sources["low", i] = f"budget.change = {change}"
        sources["high", i] = f"budget.change = {change}"
        if beyond[i] < high[i]:
            high[i] = beyond[i]
            sources["high", i] = f"at most {BEYOND_SEEN} times the highest spend seen"
        own = study.budget.limits.get(name)
        if own is not None:
            for side, values, mine in (("low", low, own.min), ("high", high, own.max)):
                if mine is not None:
                    values[i] = mine
                    sources[side, i] = f"budget.limits.{name}.{'min' if side == 'low' else 'max'}"
            if low[i] > high[i]:
                low[i], high[i] = (low[i], low[i]) if own.max is None else (high[i], high[i])
        if name in study.channels and study.channels[name].locked:
            low[i] = high[i] = current[i]
            sources["low", i] = sources["high", i] = f"channels.{name}.locked"
    return low, high, sources


def _rules(study: Study, history: History, plan: Array, names: list[str]) -> tuple[Rule, ...]:
    asked, shape = study.budget, (len(plan), len(names))
    rules = []
    for number, group in enumerate(asked.groups, start=1):
        member = np.broadcast_to([name in group.channels for name in names], shape).astype(float)
        key = f"budget.group.{number} ({group.name})"
        if group.max is not None:
            rules.append(Rule(f"{key} max", f"{group.name} at most {group.max:,.0f}", member, group.max))
        if group.min is not None:
            rules.append(Rule(f"{key} min", f"{group.name} at least {group.min:,.0f}", -member, -group.min))
        if group.max_share is not None:
            text = f"{group.name} at most {group.max_share:.0%} of all that is spent"
            rules.append(Rule(f"{key} max_share", text, member - group.max_share, 0.0))
    starts = period_range(
        shift(history.last, 1, history.period), shift(history.last, len(plan), history.period), history.period
    )
    labels = [period_label(start, history.period) for start in starts]
    caps: dict[str, float] = {} if asked.per_period is None else dict.fromkeys(labels, asked.per_period)
    for label, cap in asked.period_caps.items():
        key = f"budget.period_caps.{label}"
        try:
            name = period_label(parse_period(label, history.period), history.period)
        except ValueError as error:
            raise UsageError(f"{study.place(key)}: {error}") from None
        if name not in labels:
            horizon = ", ".join(labels)
            raise UsageError(
                f"{study.place(key)}: expected a period of the horizon ({horizon}); came {label}"
            )
        caps[name] = float(cap)
    for t, label in enumerate(labels):
        if label in caps:
            cap = caps[label]
            weights = np.zeros(shape)
            weights[t] = 1.0
            name = f"budget.period_caps.{label}" if label in asked.period_caps else "budget.per_period"
            rules.append(Rule(f"{name} {label}".strip(), f"{label} at most {cap:,.0f}", weights, cap))
    return tuple(rules)


# --------------------------------------------------------------------------------------------------------- conflicts


def clash(limits: Limits, names: Sequence[str], periods: int, currency: str) -> str:
    """Why no split keeps all limits, for a person; empty where one does."""
    rules = _all_rules(limits, names, periods)
    solver = _Feasible(limits, periods)
    if solver.possible(rules):
        return ""
    core = list(rules)
    for rule in rules:
        rest = [other for other in core if other is not rule]
        if not solver.possible(rest):
            core = rest
    lines = [f"budget: these limits cannot all be kept ({currency} over the horizon):"]
    for rule in core:
        short = solver.shortfall(rule, [other for other in rules if other is not rule])
        lines.append(f"  {rule.name}: {rule.text}{_would_do(rule, short)}")
    if limits.lots is not None and (limits.lots > 0).any():
        lots = ", ".join(f"{n} {lot:,.0f}" for n, lot in zip(names, limits.lots, strict=True) if lot > 0)
        lines.append(f"  budget.lots: whole multiples of {lots}")
    lines.append("Change one that is named, or leave one out.")
    return "\n".join(lines)


def _would_do(rule: Rule, short: float) -> str:
    if not np.isfinite(short):
        return " (changing this alone is not enough)"
    if rule.most == 0 and (rule.weights < 0).any() and (rule.weights > 0).any():
        return f" ({short:,.0f} too much)"
    least = rule.most < 0 or not (rule.weights > 0).any()
    amount = -(rule.most + short) if least else rule.most + short
    return f" ({'at most' if least else 'at least'} {max(amount, 0.0):,.0f} would do)"


def _all_rules(limits: Limits, names: Sequence[str], periods: int) -> list[Rule]:
    n, rules = len(limits.low), []
    if np.isfinite(limits.total):
        text = f"at most {limits.total:,.0f} in total"
        rules.append(Rule("budget.total", text, np.ones((periods, n)), limits.total))
    rules += limits.rules
    for i, name in enumerate(names):
        own = np.zeros((periods, n))
        own[:, i] = 1.0
        source = limits.sources.get(("low", i), "a limit")
        if limits.low[i] > 0:
            text = f"{name} at least {limits.low[i]:,.0f}"
            rules.append(Rule(source, text, -own, -float(limits.low[i])))
        if np.isfinite(limits.high[i]):
            source = limits.sources.get(("high", i), "a limit")
            text = f"{name} at most {limits.high[i]:,.0f}"
            rules.append(Rule(source, text, own, float(limits.high[i])))
    return rules


class _Feasible:
    """Whether spend exists that keeps rules; and by how much one of them must give way."""

    def __init__(self, limits: Limits, periods: int) -> None:
        self.limits, self.periods = limits, periods

    def possible(self, rules: Sequence[Rule]) -> bool:
        return bool(np.isfinite(self._least(rules, None)))

    def shortfall(self, rule: Rule, rest: Sequence[Rule]) -> float:
        """By how much `most` of the rule must rise for all to be kept; infinite where that is not enough."""
        return self._least(rest, rule)

    def _least(self, rules: Sequence[Rule], elastic: Rule | None) -> float:
        pattern = self.limits.pattern
        every = [*rules, *([] if elastic is None else [elastic])]
        if not every:
            return 0.0
        weights = np.array(
            [(r.weights if pattern is None else (r.weights * pattern).sum(axis=0)).ravel() for r in every]
        )
        most = np.array([r.most for r in every])
        count = weights.shape[1]
        slack = np.zeros((len(every), 1))
        slack[-1] = 0.0 if elastic is None else -1.0
        lots = self.limits.lots if pattern is not None else None
        whole = np.flatnonzero(lots > 0) if lots is not None else np.zeros(0, dtype=int)
        ties = np.zeros((len(whole), count + 1 + len(whole)))
        for k, i in enumerate(whole):
            ties[k, i], ties[k, count + 1 + k] = 1.0, -float(lots[i]) if lots is not None else 0.0
        scale = max(float(np.abs(most).max()), 1.0)
        found = linprog(
            np.concatenate([np.zeros(count), [1.0], np.zeros(len(whole))]),
            A_ub=np.concatenate([weights, slack, np.zeros((len(every), len(whole)))], axis=1),
            b_ub=most + SLACK * scale,
            A_eq=ties if len(whole) else None,
            b_eq=np.zeros(len(whole)) if len(whole) else None,
            bounds=(0.0, None),
            integrality=np.repeat([0, 1], [count + 1, len(whole)]) if len(whole) else None,
            method="highs",
        )
        return float(found.x[count]) if found.x is not None else np.inf
