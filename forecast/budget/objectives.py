"""What a budget should bring: one class an objective, with value, gradient, bound and words; and its best split.

    profit    max mean_s sum_c V_sc(x_c) - hurdle sum x         spend goes on while the next unit returns the hurdle
    revenue   max mean_s sum_c R_sc(x_c)                        inside the horizon; the budget is there to be spent
    target    max mean_s P(b_s + A_s(x) >= target)              b_s: what comes anyway, simulated; A_s: gamma of the
                                                                draw's mean and variance of chance
    cvar      max mean of the worst share of P_s(x) + z_s sd_s(x), P_s the contribution, z_s one normal score a draw
    floor     max profit with cvar, or P(loss), not worse than asked: the multiplier between mean and cvar is bisected

At a split every objective is, to first order, a sum of curves by channel less a cost of money (`look`). For the first
two these curves are the objective, and one program finds its best. The others are climbed: the program is solved within
a box around the split, which grows where that helped and shrinks where it did not. Where an objective is concave its
curves are nowhere below it, and their best without the box is a bound. cvar is concave, up to the chance in it.
P(target) is not: it is climbed from several splits, and the best is taken.

Another objective is another class, named in OBJECTIVES as the study names it (`study.budget.objective`).
Source: Rockafellar & Uryasev 2000, J. Risk (cvar).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, ndtr, ndtri

from forecast.budget.concave import (
    InfeasibleError,
    Program,
    Solution,
    evaluate,
    hull,
    piece_at,
    slopes,
    solve,
)
from forecast.budget.limits import Ceiling, Limits, Queue
from forecast.budget.response import Background, Curves
from forecast.errors import UsageError
from forecast.study import FloorSpec, Study
from forecast.words import Message, message

Array = NDArray[np.float64]

NEAR = 0.01  # near-optimal: within 1 % of the eventual margin, or of the objective
MATERIAL_SHARE = 0.01  # rise of an objective that is worth a move
STARTS = 4  # random ones, beside profit, revenue and the current plan
STEPS, SHRINK, GROW, SMALLEST = 40, 0.35, 1.6, 1e-4
MIXES = 12  # halvings between mean and cvar
TOTALS = 14  # halvings for the smallest budget
TARGET_FORMS = "[plan] target = { revenue = 240_000 }, or { won = 45 }"
NEARLY = 5e-3  # of the range of a curve: how far it may be below a concave one
WORTH = 1e-9  # rise of the objective, relative, that is a rise


@dataclass(frozen=True, eq=False)
class Search:
    """Where a split is looked for: curves, limits, the current split (channel,); what money must bring; sales."""

    curves: Curves
    limits: Limits
    current: Array
    ceiling: Ceiling | None = None
    queue: Queue | None = None

    @property
    def most(self) -> Array:
        """Most that each channel may spend and the curves reach, (channel,)."""
        return np.minimum(self.limits.high, self.curves.spend[:, -1])

    def within(self, total: float) -> Search:
        """The same with another total."""
        return replace(self, limits=replace(self.limits, total=total))

    def program(self, knots: Array, value: Array, *, cost: float) -> Program:
        """The program of a split by channel: tables of what it brings, limits as rows, the queue of sales."""
        limits, rows, extras = self.limits, self.limits.rows(), {}
        if self.ceiling is not None:
            rows += (self.ceiling.row(self.curves, knots),)
        if self.queue is not None:
            rows += self.queue.rows
            extras = {"reward": self.queue.reward, "ceiling": self.queue.ceiling}
        high, costs = np.minimum(limits.high, knots[:, -1]), np.full(len(knots), cost)
        return Program(knots, value, limits.low, high, costs, rows, limits.lots, limits.fees, **extras)

    def solved(self, program: Program) -> Solution:
        """Its best. Raises UsageError where money cannot bring what it must, InfeasibleError for any other limit."""
        try:
            return solve(program)
        except InfeasibleError:
            if self.ceiling is None:
                raise
            raise self.ceiling.refused(self.curves, self.current) from None

    def inside(self, x: Array) -> Array:
        """The split within the limits that is nearest to one, in the sum of absolute changes."""
        if self.limits.keeps(x):
            return x
        knots = np.stack(
            [np.zeros(len(x)), np.maximum(x, 1e-9), np.maximum(self.curves.spend[:, -1], 2 * x + 1e-9)],
            axis=1,
        )
        value = np.stack([-x, np.zeros(len(x)), x - knots[:, 2]], axis=1)
        return solve(self.program(knots, value, cost=0.0)).x


@dataclass(frozen=True, eq=False)
class Asked:
    """What objectives are made from. hurdle: least return of the last unit of money; anyway: what comes without any."""

    study: Study
    curves: Curves
    hurdle: float = 1.0
    anyway: Background | None = None


class Objective(ABC):
    """What a budget should make as large as can be.

    key: as studies name it; words: what it is; unit: behind a number of it, a template with the currency `cur`;
    spent: why money is left; told: its methods that are evidence. measure: of the response, on which it rests. scale:
    what a per cent of it is taken of, None for money. cost: what a unit of money takes off; knots (channel, point): of
    its curves.

    simulated: whether it needs what comes whatever is spent. queues: whether it counts who waits for sales. concave.
    by_draws: told by the exact road, and draws of the gain say whether a move is worth it; exact: by that road the
    current plan is kept where it is better, and marginal returns are the prices of limits.
    """

    key: ClassVar[str]
    words: ClassVar[str]
    unit: ClassVar[str] = " of the objective"
    spent: ClassVar[str] = "more spend would not serve the objective"
    told: ClassVar[tuple[str, ...]] = ()
    measure: ClassVar[str] = "value"
    scale: ClassVar[float | None] = None
    simulated: ClassVar[bool] = False
    queues: ClassVar[bool] = False
    concave: ClassVar[bool] = True
    by_draws: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    curves: Curves
    knots: Array
    cost: float

    @classmethod
    @abstractmethod
    def asked(cls, given: Asked) -> Objective:
        """As a study asks for it. Raises UsageError."""

    @abstractmethod
    def look(self, x: Array) -> tuple[float, Array]:
        """The objective at a split (channel,), and the curves (channel, point) that it is there, to first order."""

    @abstractmethod
    def best(self, search: Search) -> Solution:
        """The best split. Raises UsageError where it cannot be reached within the limits."""

    def value(self, x: Array) -> float:
        """The objective at a split."""
        return self.look(x)[0]

    def summed(self, tables: Array, x: Array) -> float:
        """Curves (channel, point) added up at a split, less what its money costs."""
        return float(evaluate(self.knots, tables, x).sum()) - self.cost * float(x.sum())

    def gradient(self, x: Array) -> Array:
        """What the next unit of money adds to it, by channel."""
        return evaluate(self.knots, slopes(self.knots, self.look(x)[1]), x) - self.cost

    def bound(self, search: Search, x: Array) -> float:
        """What no split within the limits exceeds, seen from one; infinite where nothing is proven."""
        return self.value(x) + self.touching(search, x)[1] if self.concave else np.inf

    def touching(self, search: Search, x: Array) -> tuple[Solution, float]:
        """The best of the curves that touch a concave objective at a split, and what it has above them there."""
        tables = self.look(x)[1]
        found = solve(search.program(self.knots, hull(self.knots, tables), cost=self.cost))
        return found, max(found.value + found.gap - self.summed(tables, x), 0.0)

    def held(self, search: Search, x: Array) -> Solution:
        """A split as it is; the gap is what it lacks of the best."""
        reached, most = self.value(x), self.bound(search, x)
        return Solution(x, reached, gap=most - reached if np.isfinite(most) else np.nan)

    def allowance(self, x: Array) -> float:
        """By how much it may be lower for a split to be nearly as good."""
        return NEAR * (self.scale or abs(self.curves.mean_value(x)))

    def stated(self, x: Array, value: Array) -> float:
        """The objective of a split as it is told; `value` (draw, channel): what it brings by the exact road."""
        return float(value.sum(axis=1).mean() - x.sum()) if self.by_draws else self.value(x)

    def risen(self, value: float, value_current: float) -> bool | None:
        """Whether it rose enough to be worth a move; None where the draws of the gain decide."""
        rise = MATERIAL_SHARE * (self.scale or abs(value_current))
        return None if self.by_draws else value - value_current > rise

    def evidence(self, x: Array) -> dict[str, float]:
        """What who asks for it wants to know of a split."""
        return {name: getattr(self, name)(x) for name in self.told}


# ---------------------------------------------------------------------------------------------- solved by one program


class _Tabulated(Objective):
    """An objective that is a sum of curves, whatever the split."""

    queues = True

    def __init__(self, curves: Curves, table: Array, cost: float) -> None:
        self.curves, self.knots, self.table, self.cost = curves, curves.table_spend, table, cost

    def look(self, x: Array) -> tuple[float, Array]:
        """The sum of the curves, which stay."""
        return self.summed(self.table, x), self.table

    def best(self, search: Search) -> Solution:
        """One program."""
        return search.solved(search.program(self.knots, self.table, cost=self.cost))

    def held(self, search: Search, x: Array) -> Solution:
        """With who waits for sales then."""
        fixed = replace(search, ceiling=None, limits=Limits(x, x, np.inf, pattern=search.limits.pattern))
        found = _Tabulated.best(self, fixed)
        return replace(found, x=x, prices={}, gap=self.bound(search, x) - found.value)


class Profit(_Tabulated):
    """Expected contribution; money that returns less than the hurdle stays unspent."""

    key, words, unit = "profit", "expected contribution", "~{cur} of contribution"
    spent = "the next unit of money would bring back less than itself in every channel that may take more"
    by_draws = exact = True

    def __init__(self, curves: Curves, hurdle: float = 1.0) -> None:
        super().__init__(curves, curves.table_value, hurdle)

    @classmethod
    def asked(cls, given: Asked) -> Objective:
        """With a limit on risk beside it, where the study has one."""
        asked = given.study.budget
        if asked.floor is None:
            return cls(given.curves, given.hurdle)
        return Floored(given.curves, asked.floor, asked.risk, given.hurdle)


class Revenue(_Tabulated):
    """Expected revenue inside the horizon; money costs nothing, the budget is there to be spent."""

    key, words, unit = "revenue", "expected revenue inside the horizon", "~{cur} of revenue"
    measure = "inside"

    def __init__(self, curves: Curves) -> None:
        super().__init__(curves, curves.mean_table("inside"), 0.0)

    @classmethod
    def asked(cls, given: Asked) -> Objective:
        """The curves are enough."""
        return cls(given.curves)

    def allowance(self, x: Array) -> float:
        """Of the revenue itself."""
        return NEAR * self.value(x)


# -------------------------------------------------------------------------------------------------- climbed, by draws


class Draws:
    """Every draw's measure and its variance of chance, on fine tables."""

    def __init__(self, curves: Curves, name: str) -> None:
        self.curves = curves
        self.knots, self.mean = curves.fine(name)
        _, variance = curves.fine(f"{name}_variance")
        self.variance = np.maximum(variance, 0.0)

    def at(self, x: Array) -> tuple[Array, Array]:
        """Mean and variance of chance of a split, (draw,), channels added up."""
        lanes, right = np.arange(len(x)), piece_at(self.knots, x)
        left = self.knots[lanes, right - 1]
        share = np.clip((x - left) / np.maximum(self.knots[lanes, right] - left, 1e-300), 0.0, 1.0)

        def pick(table: Array) -> Array:
            both = table[:, lanes, right - 1] * (1 - share) + table[:, lanes, right] * share
            return np.asarray(both.sum(axis=1))

        return pick(self.mean), pick(self.variance)


class WorstDraws(Draws, Objective):
    """Contribution by draw, with chance as one fixed normal score a draw: the mean of its worst, cvar.

    risk: the share of draws that are the worst; mix: weight of cvar against the mean.
    """

    key, words = "cvar", "the mean of the worst draws"
    told = ("cvar", "p_loss")
    cost = 1.0

    def __init__(self, curves: Curves, risk: float, mix: float = 1.0, hurdle: float = 1.0) -> None:
        super().__init__(curves, "value")
        count = len(self.mean)
        order = np.random.default_rng(0).permutation(count)
        self.score, self.mix = ndtri((order + 0.5) / count), mix
        self.worst = max(round(risk * count), 1)
        self.average = self.mean.mean(axis=0)
        self.profit = Profit(curves, hurdle)

    @classmethod
    def asked(cls, given: Asked) -> Objective:
        """Of the share of draws that the study names."""
        return cls(given.curves, given.study.budget.risk, hurdle=given.hurdle)

    def mixed(self, mix: float) -> WorstDraws:
        """The same with another weight."""
        other = copy(self)
        other.mix = mix
        return other

    def outcomes(self, x: Array) -> Array:
        """Contribution of a split with chance, (draw,)."""
        mean, variance = self.at(x)
        return mean - x.sum() + self.score * np.sqrt(variance)

    def cvar(self, x: Array) -> float:
        """Mean of the worst outcomes."""
        return float(np.sort(self.outcomes(x))[: self.worst].mean())

    def p_loss(self, x: Array) -> float:
        """P(contribution < 0)."""
        mean, variance = self.at(x)
        return float(ndtr(-(mean - x.sum()) / np.sqrt(np.maximum(variance, 1e-300))).mean())

    def look(self, x: Array) -> tuple[float, Array]:
        """The mix of mean and cvar, and the weighted curves that it is there."""
        mean, variance = self.at(x)
        sd = np.sqrt(np.maximum(variance, 1e-300))
        outcome = mean - x.sum() + self.score * sd
        tail = np.argpartition(outcome, self.worst - 1)[: self.worst]
        reached = (1.0 - self.mix) * float(mean.mean() - x.sum()) + self.mix * float(outcome[tail].mean())
        # All draws count alike but for the worst, so only these are added up anew.
        share = self.mix / self.worst
        on_variance = share * self.score[tail] / (2 * sd[tail])
        bad = share * self.mean[tail].sum(axis=0) + np.tensordot(on_variance, self.variance[tail], axes=1)
        return reached, (1.0 - self.mix) * self.average + bad

    def best(self, search: Search) -> Solution:
        """Climbed from the best profit and the current plan."""
        return self.climbed(search, [self.profit.best(search).x, search.current])

    def climbed(self, search: Search, starts: Sequence[Array]) -> Solution:
        """The best of several climbs, with its bound."""
        x, reached = max((climb(self, search, search.inside(x)) for x in starts), key=lambda pair: pair[1])
        touching, gap = self.touching(search, x)
        return Solution(x, reached, touching.prices, gap, whole=touching.whole)


class Floored(Profit):
    """Expected contribution, with the worst draws or P(loss) not worse than asked."""

    spent = Objective.spent
    queues = exact = False

    def __init__(self, curves: Curves, floor: FloorSpec, risk: float, hurdle: float = 1.0) -> None:
        super().__init__(curves, hurdle)
        self.floor, self.risk = floor, WorstDraws(curves, risk)

    def short(self, x: Array) -> float:
        """By how much a split misses the floor; at most 0 where it keeps it."""
        if self.floor.cvar is not None:
            return self.floor.cvar - self.risk.cvar(x)
        return self.risk.p_loss(x) - (self.floor.loss or 0.0)

    def best(self, search: Search) -> Solution:
        """The highest mean whose risk is not worse than asked: the least weight of cvar that gets there."""
        plain = super().best(search)
        if self.short(plain.x) <= 0:
            return plain
        x = self.risk.climbed(search, [plain.x]).x
        if self.short(x) > 0:
            raise UsageError(self._refused(x))
        below, above = 0.0, 1.0
        for _ in range(MIXES):
            middle = (below + above) / 2
            tried, _ = climb(self.risk.mixed(middle), search, x)
            if self.short(tried) <= 0:
                above, x = middle, tried
            else:
                below = middle
        return Solution(x, self.curves.contribution(x), whole=plain.whole)

    def _refused(self, safest: Array) -> Message:
        if self.floor.cvar is not None:
            risk, asked, most = self.risk.cvar(safest), "cvar = {floor:given}", "a cvar of {risk:whole}"
        else:
            risk, asked, most = self.risk.p_loss(safest), "loss = {floor:given}", "P(loss) {risk:.1%}"
        return message(
            f"budget.floor: no split within the limits keeps {asked}; the safest has {most}; ease the floor, or allow "
            "a smaller budget",
            floor=self.floor.loss if self.floor.cvar is None else self.floor.cvar,
            risk=risk,
        )

    def evidence(self, x: Array) -> dict[str, float]:
        """What the floor is about."""
        return self.risk.evidence(x)


class TargetChance(Draws, Objective):
    """P(what lands inside the horizon >= target), chance of what paid channels bring worked out and not drawn."""

    key, words = "target", "the probability of the target"
    measure, scale = "inside", 1.0
    told, simulated, concave = ("p_target",), True, False
    cost = 0.0

    def __init__(self, curves: Curves, target: float, background: Background, hurdle: float = 1.0) -> None:
        """`background`: what comes whatever is spent, by posterior draw."""
        super().__init__(curves, "inside")
        keep = np.linspace(0, len(background.inside) - 1, len(self.mean)).astype(int)
        self.need = target - background.inside[keep]
        self.profit = Profit(curves, hurdle)

    @classmethod
    def asked(cls, given: Asked) -> Objective:
        """The target of the study's plan."""
        target = given.study.plan.target
        if target is None or given.anyway is None:
            raise UsageError(f'budget.objective = "target" needs a target: {TARGET_FORMS}')
        return cls(given.curves, target.amount, given.anyway, given.hurdle)

    def look(self, x: Array) -> tuple[float, Array]:
        """P(target), and the weighted curves that have its slope there; money costs nothing."""
        mean, variance = self.at(x)
        reached = gamma_tail(self.need, mean, variance)
        step = 1e-4
        on_mean = gamma_tail(self.need, mean * (1 + step), variance) - reached
        on_variance = gamma_tail(self.need, mean, variance * (1 + step)) - reached
        weights = [
            more / np.maximum(step * of, 1e-300) / len(mean)
            for more, of in ((on_mean, mean), (on_variance, variance))
        ]
        # tensordot would copy whole tables to turn their axes round
        tables = [
            weight @ table.reshape(len(weight), -1)
            for weight, table in zip(weights, (self.mean, self.variance), strict=True)
        ]
        return float(reached.mean()), (tables[0] + tables[1]).reshape(self.mean.shape[1:])

    def best(self, search: Search) -> Solution:
        """Climbed from many splits; nothing is proven."""
        x, reached = self._climbed(search, STARTS)
        return Solution(x, reached, whole=search.limits.lots is not None)

    def _climbed(self, search: Search, starts: int) -> tuple[Array, float]:
        """From the best profit, the current plan, the best revenue, and that of channels with random weights."""
        rng = np.random.default_rng(0)
        knots, table = self.curves.table_spend, self.curves.mean_table("inside")
        weights = [np.ones(len(search.current)), *rng.lognormal(0.0, 1.0, (starts, len(search.current)))]
        tries = [self.profit.best(search).x, search.inside(search.current)]
        tries += [solve(search.program(knots, weight[:, None] * table, cost=0.0)).x for weight in weights]
        return max((climb(self, search, x) for x in tries), key=lambda pair: pair[1])

    def smallest(self, search: Search, chance: float) -> Solution:
        """The smallest budget whose best P(target) is `chance`.

        Raises UsageError where no budget within the limits reaches it, with what the largest does reach.
        """
        low = float(search.limits.low.sum())
        high = min(float(search.most.sum()), search.limits.total)

        def at(total: float) -> Solution:
            try:
                return Solution(*self._climbed(search.within(total), 0))
            except InfeasibleError:
                return Solution(search.current, 0.0)

        found = at(high)
        if found.value < chance:
            raise UsageError(
                message(
                    " {chance:exact_percent}: no budget within the limits reaches it; {high:whole}, the most they "
                    "allow, makes the target {reached:chance} likely; allow a larger change, or lower the target",
                    chance=chance,
                    high=high,
                    reached=found.value,
                ),
                argument="chance",
            )
        least = at(low * (1 + 1e-9))
        if least.value >= chance:
            return least
        below, above = low, float(found.x.sum())
        for _ in range(TOTALS):
            middle = (below + above) / 2
            tried = at(middle)
            if tried.value >= chance:
                above, found = middle, tried
            else:
                below = middle
        return found

    def p_target(self, x: Array) -> float:
        """How likely it is."""
        return self.value(x)


def gamma_tail(need: Array, mean: Array, variance: Array) -> Array:
    """P(A >= need), of a gamma with this mean and variance."""
    mean, variance = np.maximum(mean, 1e-12), np.maximum(variance, 1e-24)
    return np.where(need <= 0, 1.0, gammaincc(mean**2 / variance, np.maximum(need, 0.0) * mean / variance))


OBJECTIVES: dict[str, type[Objective]] = {
    made.key: made for made in (Profit, Revenue, TargetChance, WorstDraws)
}


# ------------------------------------------------------------------------------------------------------------ climbing


def climb(objective: Objective, search: Search, start: Array) -> tuple[Array, float]:
    """Climb from a split within the limits; the objective never falls. Returns the split and the objective."""
    limits, knots = search.limits, objective.knots
    lots = np.zeros(len(start)) if limits.lots is None else limits.lots
    high = search.most
    span = np.maximum(high - limits.low, 1e-12)
    x, share = start, 0.25
    reached, tables = objective.look(x)
    for _ in range(STEPS):
        radius = np.maximum(share * span, lots * 1.001)
        near = replace(limits, low=np.maximum(limits.low, x - radius), high=np.minimum(high, x + radius))
        boxed = replace(search, limits=near)
        try:
            tried = solve(boxed.program(knots, _tamed(knots, tables, x), cost=objective.cost)).x
        except InfeasibleError:  # rounding at the edge of the box
            tried = x
        here, there = objective.look(tried)
        if here > reached + WORTH * abs(reached):
            x, reached, tables, share = tried, here, there, min(share * GROW, 1.0)
        else:
            share *= SHRINK
            if share < SMALLEST:
                break
    return x, reached


def _tamed(knots: Array, tables: Array, x: Array) -> Array:
    """The tables made concave where they nearly are, else straight lines with their slope at the split."""
    bridged = hull(knots, tables)
    bent = (bridged - tables).max(axis=1) > NEARLY * np.ptp(tables, axis=1)
    if not bent.any():
        return bridged
    lanes, right = np.arange(len(knots)), piece_at(knots, x)
    rise, width = (values[lanes, right] - values[lanes, right - 1] for values in (tables, knots))
    slope = rise / width
    return np.where(bent[:, None], slope[:, None] * knots, bridged)
