"""The limits of a budget: read from study and plan, made linear, and checked before anything is solved; and sales.

A limit is a rule weights . x <= most over spend x (period, channel). What a channel may have, least and most, is a pair
of bounds over the horizon. Where rules clash, the message names the smallest set that does: rules are left out one by
one for as long as the rest still clashes (deletion filter; Chinneck & Dravnieks 1991, ORSA J. Computing). How far one
of them alone must give way is a linear program with that rule made elastic.

What a budget must bring on average (customers for a cost, revenue for a return) is a limit too, on curves (`Ceiling`).

What sales can take is a queue, in expectation: units wait, a share of those who wait gives up, money goes with them.

    waiting_t = max((1 - decay) waiting_(t-1) + arrivals_t - capacity, 0),      lost_t = decay waiting_t

After the horizon sales first take who still waits; of what arrives then, the share that a queue as crowded as the last
periods lets through (`outlook.queue`). In the program of a budget waiting is a variable of its own (`queue_of`): it
costs the worth of those it loses, and the price of the capacity is what one more unit would save.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from forecast.budget.concave import Kind, Row, evaluate
from forecast.budget.response import Background, Curves, Response, brought, pattern_of, table_of
from forecast.errors import UsageError
from forecast.history import History
from forecast.outlook import LATEST, Case, fluid_queue, horizon_of, let_through, paid_channels
from forecast.periods import parse_period, period_label
from forecast.study import Study
from forecast.words import Message, Text, message, together

Array = NDArray[np.float64]

BEYOND_SEEN = 1.3  # default bound on spend per period, as a multiple of the highest ever seen
SLACK = 1e-9  # of the largest amount: rounding
PATIENCE = 12  # periods after the horizon in which a program follows who waits for sales
DRAWS_AT_ONCE = 500


@dataclass(frozen=True, eq=False)
class Rule:
    """weights (period, channel) . spend <= most; `text` says it in words, with the amount that was asked for."""

    name: str
    text: Text
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
        whole = Row("budget.total", np.ones(n), self.total, kind=Kind.TOTAL)
        total = (whole,) if np.isfinite(self.total) else ()
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


# ------------------------------------------------------------------------------------------------- read from the study


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
    change, sources = study.budget.change, {}
    low = np.zeros(len(paid)) if change is None else current * (1 - min(change, 1.0))
    high = np.full(len(paid), np.inf) if change is None else current * (1 + change)
    beyond, fixed = np.maximum(most_seen(history, len(plan))[paid], current), locked(study, names)
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
        if fixed[i]:
            low[i] = high[i] = current[i]
            sources["low", i] = sources["high", i] = f"channels.{name}.locked"
    return low, high, sources


def most_seen(history: History, periods: int = 1) -> Array:
    """Most that a channel may spend unless more is asked for (channel,): 1.3 times the highest spend of a period."""
    return BEYOND_SEEN * (history.highest_spend * periods)


def locked(study: Study, names: Sequence[str]) -> NDArray[np.bool_]:
    """Which channels the study locks."""
    return np.array([name in study.channels and study.channels[name].locked for name in names], dtype=bool)


def held_back(case: Case, plan: Array) -> Array:
    """A plan (period, channel) within what the past allows: no channel above what was seen, locked ones as now."""
    most = np.maximum(most_seen(case.history), case.plan)
    return np.where(locked(case.study, case.channels), case.plan, np.minimum(plan, most))


def _rules(study: Study, history: History, plan: Array, names: list[str]) -> tuple[Rule, ...]:
    asked, shape = study.budget, (len(plan), len(names))
    rules = []
    for number, group in enumerate(asked.groups, start=1):
        member = np.broadcast_to([name in group.channels for name in names], shape).astype(float)
        key = f"budget.group.{number} ({group.name})"
        if group.max is not None:
            rules.append(Rule(f"{key} max", _at("most", group.name, group.max), member, group.max))
        if group.min is not None:
            rules.append(Rule(f"{key} min", _at("least", group.name, group.min), -member, -group.min))
        if group.max_share is not None:
            said = "{name} at most {share:exact_percent} of all that is spent"
            text = message(said, name=group.name, share=group.max_share)
            rules.append(Rule(f"{key} max_share", text, member - group.max_share, 0.0))
    labels = [period_label(start, history.period) for start in horizon_of(history, len(plan))]
    caps: dict[str, float] = {} if asked.per_period is None else dict.fromkeys(labels, asked.per_period)
    for label, cap in asked.period_caps.items():
        key = f"budget.period_caps.{label}"
        try:
            name = period_label(parse_period(label, history.period), history.period)
        except ValueError as error:
            raise UsageError(f"{study.place(key)}: {error}") from None
        if name not in labels:
            horizon = f"expected a period of the horizon ({', '.join(labels)})"
            raise UsageError(f"{study.place(key)}: {horizon}; came {label}")
        caps[name] = float(cap)
    for t, label in enumerate(labels):
        if label in caps:
            cap = caps[label]
            weights = np.zeros(shape)
            weights[t] = 1.0
            name = f"budget.period_caps.{label}" if label in asked.period_caps else "budget.per_period"
            rules.append(Rule(f"{name} {label}".strip(), _at("most", label, cap), weights, cap))
    return tuple(rules)


def _at(side: str, name: str, amount: float) -> Message:
    """A rule in words; side: "least" or "most"."""
    return message(f"{{name}} at {side} {{amount:whole}}", name=name, amount=amount)


# --------------------------------------------------------------------------------------------------------- conflicts


def clash(limits: Limits, names: Sequence[str], periods: int, currency: str) -> Text:
    """Why no split keeps all limits, for a person; empty where one does."""
    if _plain(limits, _shared_rules(limits, periods), periods):
        return ""
    rules = _all_rules(limits, names, periods)
    if np.isfinite(_short(limits, rules)):
        return ""
    core = list(rules)
    for rule in rules:
        rest = [other for other in core if other is not rule]
        if not np.isfinite(_short(limits, rest)):
            core = rest
    lines: list[Text] = [f"budget: these limits cannot all be kept ({currency} over the horizon):"]
    for rule in core:
        short = _short(limits, [other for other in rules if other is not rule], rule)
        would_do = _would_do(rule, short)
        lines.append(message("  {name}: {rule} ({do})", name=rule.name, rule=rule.text, do=would_do))
    if limits.lots is not None and (limits.lots > 0).any():
        each = zip(names, limits.lots, strict=True)
        lots = [message("{name} {lot:whole}", name=name, lot=lot) for name, lot in each if lot > 0]
        lines.append(message("  budget.lots: whole multiples of {lots}", lots=lots))
    return together(*lines, "Change one that is named, or leave one out.", between="\n")


def _would_do(rule: Rule, short: float) -> Text:
    if not np.isfinite(short):
        return "changing this alone is not enough"
    if rule.most == 0 and (rule.weights < 0).any() and (rule.weights > 0).any():
        return message("{short:whole} too much", short=short)
    least = rule.most < 0 or not (rule.weights > 0).any()
    amount = -(rule.most + short) if least else rule.most + short
    said = "at most {x:whole} would do" if least else "at least {x:whole} would do"
    return message(said, x=max(amount, 0.0))


def _shared_rules(limits: Limits, periods: int) -> list[Rule]:
    """The total and the rules over several channels."""
    rules = []
    if np.isfinite(limits.total):
        text = message("at most {total:whole} in total", total=limits.total)
        rules.append(Rule("budget.total", text, np.ones((periods, len(limits.low))), limits.total))
    return [*rules, *limits.rules]


def _all_rules(limits: Limits, names: Sequence[str], periods: int) -> list[Rule]:
    n, rules = len(limits.low), _shared_rules(limits, periods)
    for i, name in enumerate(names):
        own = np.zeros((periods, n))
        own[:, i] = 1.0
        for side, what, sign, bound in (
            ("low", "least", -1.0, limits.low[i]),
            ("high", "most", 1.0, limits.high[i]),
        ):
            if np.isfinite(bound) and (sign > 0 or bound > 0):
                source = limits.sources.get((side, i), "a limit")
                rules.append(Rule(source, _at(what, name, bound), sign * own, sign * float(bound)))
    return rules


def _plain(limits: Limits, rules: Sequence[Rule], periods: int) -> bool:
    """Whether the least of each channel keeps bounds and rules, or as much more of each as the total allows: most do.

    Channels are asked at once: a rule for each bound of each would be a table of channels by channels.
    """
    if limits.lots is not None:
        return False
    pattern = np.full((periods, 1), 1.0 / periods) if limits.pattern is None else limits.pattern
    room = np.minimum(limits.high, max(limits.total, 0.0)) - limits.low
    left = limits.total - limits.low.sum()
    bounds = np.concatenate([limits.low, limits.high[np.isfinite(limits.high)]])
    most = max([abs(rule.most) for rule in rules] + [float(np.abs(bounds).max(initial=0.0))])
    slack = SLACK * max(most, 1.0)
    for share in (0.0, left / room.sum() if 0 < left < room.sum() else 1.0):
        spend = (limits.low + share * room) * pattern
        each = spend.sum(axis=0)
        kept = ((each >= limits.low - slack) & (each <= limits.high + slack)).all()
        if kept and all(float((r.weights * spend).sum()) <= r.most + slack for r in rules):
            return True
    return False


def _short(limits: Limits, rules: Sequence[Rule], elastic: Rule | None = None) -> float:
    """Whether spend exists that keeps rules (0), or not (infinite); by how much `most` of an elastic one must rise."""
    pattern, every = limits.pattern, [*rules, *([] if elastic is None else [elastic])]
    if not every:
        return 0.0
    weights = np.array(
        [(r.weights if pattern is None else (r.weights * pattern).sum(axis=0)).ravel() for r in every]
    )
    most, count = np.array([r.most for r in every]), weights.shape[1]
    slack = np.zeros((len(every), 1))
    slack[-1] = 0.0 if elastic is None else -1.0
    lots = np.zeros(count) if pattern is None or limits.lots is None else limits.lots
    whole = np.flatnonzero(lots > 0)
    ties = np.zeros((len(whole), count + 1 + len(whole)))
    for k, i in enumerate(whole):
        ties[k, i], ties[k, count + 1 + k] = 1.0, -float(lots[i])
    from scipy.optimize import linprog  # a solver, loaded where rules may clash

    found = linprog(
        np.concatenate([np.zeros(count), [1.0], np.zeros(len(whole))]),
        A_ub=np.concatenate([weights, slack, np.zeros((len(every), len(whole)))], axis=1),
        b_ub=most + SLACK * max(float(np.abs(most).max()), 1.0),
        A_eq=ties if len(whole) else None,
        b_eq=np.zeros(len(whole)) if len(whole) else None,
        bounds=(0.0, None),
        integrality=np.repeat([0, 1], [count + 1, len(whole)]) if len(whole) else None,
        method="highs",
    )
    return float(found.x[count]) if found.x is not None else np.inf


# --------------------------------------------------------------------------------------------- what money must bring


@dataclass(frozen=True)
class Ceiling:
    """Spend of at most `cost` for each unit of what it brings, on average over all channels.

    asked: most spend for a unit, or its inverse (power -1); measure: of `Curves`; field: of the budget that asks
    (`budget.decision`); refusal: where no split within the limits keeps it, {now} being what the current plan has.
    """

    asked: float
    measure: ClassVar[str]
    field: ClassVar[str]
    power: ClassVar[int] = 1
    refusal: ClassVar[str]

    @property
    def cost(self) -> float:
        """Most spend for a unit."""
        return float(self.asked**self.power)

    def reached(self, curves: Curves, x: Array) -> float:
        """What a split has, to compare with what was asked."""
        brought = float(evaluate(curves.table_spend, curves.mean_table(self.measure), x).sum())
        return float(max(float(x.sum()) / max(brought, 1e-12), 1e-12) ** self.power)

    def row(self, curves: Curves, knots: Array) -> Row:
        """The limit as a row of a program with curves at these knots (channel, point)."""
        bought = evaluate(curves.table_spend, curves.mean_table(self.measure), knots)
        return Row(self.field, np.ones(len(knots)), 0.0, -self.cost * bought, kind=Kind.CEILING)

    def refused(self, curves: Curves, current: Array) -> UsageError:
        """What to say where no split keeps it."""
        now = self.reached(curves, current)
        return UsageError(message(self.refusal, asked=self.asked, now=now), argument=self.field)


class CostCeiling(Ceiling):
    """A customer costs at most so much."""

    measure, field = "wins", "cac"
    refusal = (
        " {asked:exact}: no split within the limits wins customers at so low a cost; the current plan's is "
        "{now:number}; raise the ceiling, or lower the minimum of a channel"
    )


class ReturnFloor(Ceiling):
    """Spend brings at least so many times itself in revenue."""

    measure, field, power = "revenue", "roas", -1
    refusal = (
        " {asked:exact}: no split within the limits brings so much revenue for its spend; the current plan brings "
        "{now:number} times itself; ask for less, or lower the minimum of a channel"
    )


# -------------------------------------------------------------------------------------------------- what sales can take


@dataclass(frozen=True, eq=False)
class Queue:
    """The queue of sales as part of a program: rows, and reward and ceiling of the variables they add.

    The variables are who waits, by period and PATIENCE more, and who is lost later.
    """

    rows: tuple[Row, ...]
    reward: Array
    ceiling: Array


def queue_of(made: Response, curves: Curves, anyway: Background, current: Array) -> Queue:
    """The queue of a study with a capacity.

    current (channel,): the split at which a unit's worth and the share of later arrivals are taken.
    """
    arriving, economics = curves.arriving, made.case.study.economics
    if arriving is None or economics.capacity is None:
        raise ValueError("without a capacity, or arrivals, there is no queue")
    capacity, decay, labels = economics.capacity, economics.capacity_decay, made.case.labels
    waiting_for = anyway.arriving.mean(axis=0)
    tables = [table_of(arriving[:, :, k], curves.spend) for k in range(arriving.shape[2])]
    n, periods, root = len(curves.spend), len(waiting_for), np.sqrt(current / curves.spend[:, -1])
    at = np.linspace(0.0, 1.0, tables[0].shape[1])
    now = np.array(
        [sum(np.interp(r, at, row) for r, row in zip(root, table, strict=True)) for table in tables]
    )
    worth = curves.mean_value(current) / max(float(now.sum()), 1e-12)
    count = periods + PATIENCE + 1
    rows = []
    for t in range(periods + PATIENCE):
        extra = np.zeros(count)
        extra[t] = -1.0
        if t > 0:
            extra[t - 1] = 1.0 - decay
        inside = t < periods
        room = capacity - float(waiting_for[t] if inside else 0.0)
        when = f"in {labels[t]}" if inside else f"{t - periods + 1} after"
        rows.append(_capacity_row(when, n, room, tables[t] if inside else None, extra))
    latest = float((now[:periods] + waiting_for)[-LATEST:].sum())
    through = float(now[-1]) * capacity * min(LATEST, periods) / max(latest, 1e-9)
    rows.append(_capacity_row("later", n, through, tables[-1], -np.eye(count)[-1]))
    reward = np.full(count, -worth * decay)
    reward[-1] = -worth
    return Queue(tuple(rows), reward, np.full(count, np.inf))


def _capacity_row(when: str, n: int, room: float, table: Array | None, extra: Array) -> Row:
    return Row(f"economics.capacity {when}", np.zeros(n), room, table, extra, Kind.CAPACITY)


def lost_units(arrivals: Array, later: Array, capacity: float, decay: float) -> Array:
    """Expected units that give up, (draw,), of arrivals (draw, period) and those after the horizon (draw,)."""
    handled = fluid_queue(arrivals[None, :, :, None], np.full(arrivals.shape, capacity), decay)
    latest = arrivals[:, -LATEST:]
    share = let_through(latest.sum(axis=1), capacity * latest.shape[1])
    return np.asarray(arrivals.sum(axis=1) - handled.sum(axis=(0, 2, 3)) + later * (1.0 - share))


def lost_money(made: Response, background: Background, spend: Array) -> Array:
    """Eventual margin that waiting costs a plan (period, channel), by draw; a unit is worth its plan's average."""
    economics, rows = made.case.study.economics, np.arange(made.case.posterior.draws)
    if economics.capacity is None:
        return np.zeros(len(rows))
    inside, later = made.case.traffic(spend)
    paid, result = made.case.paid, np.zeros(len(rows))
    for start in range(0, len(rows), DRAWS_AT_ONCE):
        part = rows[start : start + DRAWS_AT_ONCE]
        reach = made.reach(part)[:, :, paid]
        slots = np.einsum("stc,stck->sk", inside[part][:, :, paid], reach, optimize=True)
        slots[:, -1] += (later[part][:, paid] * reach[:, -1].sum(axis=2)).sum(axis=1)
        value = brought(inside[part], later[part], made.worth[part])
        worth = value[:, paid].sum(axis=1) / np.maximum(slots.sum(axis=1), 1e-12)
        arrivals = slots[:, :-1] + background.arriving[part]
        lost = lost_units(arrivals, slots[:, -1], economics.capacity, economics.capacity_decay)
        result[part] = worth * lost
    return result
