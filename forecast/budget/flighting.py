"""Spend that may differ by period: each channel and period a variable, with what earlier spend still does.

What acts in a period is a weighted sum of what was spent then and before (carry-over, posterior-mean weights w), so the
plan's value is a sum of concave curves of acting spend:

    sum_ct f_ct(y_ct) + sum_ck g_ck(y_ck)      y_ct = sum_l w_cl x_c,t-l + what the past still does
    f_ct(y) = mean_s worth_sct traffic_sct [b + (1 - b) g(y / x0)],   g_ck: the same, k periods after the horizon

It is solved as one program; the plan is then valued exactly, draw by draw.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.budget.concave import Kind, Program, Row
from forecast.budget.limits import Ceiling, Limits, most_seen
from forecast.budget.objectives import Objective
from forecast.budget.response import Response, between
from forecast.equations import carry_periods, carry_weights, with_past

Array = NDArray[np.float64]

POINTS = 25  # levels of acting spend at which the posterior is evaluated
TABLE = 1001  # points of the curves between them
LEAST_WEIGHT = 1e-4  # of the horizon's spend in a later period, below which it is left out


def free_program(
    made: Response, limits: Limits, objective: Objective, ceiling: Ceiling | None = None
) -> Program:
    """The program over spend by (period, channel), flattened in this order, of an objective that is a sum of curves."""
    from scipy.sparse import csr_array

    paid, periods = made.case.paid, len(made.case.plan)
    count = periods * len(paid)
    each, lasting = made.per_unit(objective.measure)
    arguments, shift, cells = _arguments(made, _weights(made), later=lasting)
    high = _most(made, limits)
    mix = csr_array(arguments)
    top = np.asarray(mix @ high.ravel()) + shift
    knots = np.maximum(top, 1e-9)[:, None] * np.linspace(0.0, 1.0, TABLE) ** 2
    value = _curves(made, cells, top, each)
    rows = [Row(rule.name, rule.weights.ravel(), rule.most) for rule in limits.rules]
    if np.isfinite(limits.total):
        rows.append(Row("budget.total", np.ones(count), limits.total, kind=Kind.TOTAL))
    for i in range(len(paid)):
        own = np.zeros((periods, len(paid)))
        own[:, i] = 1.0
        if limits.low[i] > 0:
            rows.append(Row("least", -own.ravel(), -float(limits.low[i]), kind=Kind.BOUND))
        if np.isfinite(limits.high[i]):
            rows.append(Row("most", own.ravel(), float(limits.high[i]), kind=Kind.BOUND))
    if ceiling is not None:
        bought = _curves(made, cells, top, made.per_unit(ceiling.measure)[0])
        rows.append(Row(ceiling.field, np.ones(count), 0.0, -ceiling.cost * bought, kind=Kind.CEILING))
    plain = arguments.shape == (count, count) and np.allclose(arguments, np.eye(count), atol=1e-9)
    extra = {} if plain else {"mix": mix, "shift": shift}
    cost = np.full(count, objective.cost)
    return Program(knots, value, np.zeros(count), high.ravel(), cost, tuple(rows), **extra)


def _most(made: Response, limits: Limits) -> Array:
    """Most spend of a channel in a period, (period, channel): 1.3 times the highest seen unless more is asked for."""
    paid = made.case.paid
    usual = np.maximum(most_seen(made.case.history)[paid], made.case.plan.max(axis=0)[paid])
    usual = np.maximum(usual, limits.high / len(made.case.plan) * np.isfinite(limits.high))
    return np.broadcast_to(np.minimum(usual, limits.high), (len(made.case.plan), len(paid))).copy()


def _weights(made: Response) -> Array:
    """Mean weight of spend by age, (lag, channel)."""
    lags = carry_periods(made.case.history.period)
    return carry_weights(made.case.posterior.array("carry")[:, made.case.paid], lags).mean(axis=1)


def _arguments(made: Response, weights: Array, *, later: bool) -> tuple[Array, Array, list[tuple[int, int]]]:
    """Acting spend as a function of spend: matrix, shift, and (period, channel) of each curve; later periods go on."""
    periods, n, lags = len(made.case.plan), len(made.case.paid), len(weights) - 1
    past = made.case.future.past_spend[:, made.case.paid]
    before = with_past(past, lags)[-lags:]
    after = made.case.history.current_spend[made.case.paid]
    rows, shift, cells = [], [], []
    for t in range(periods + (lags if later else 0)):
        for c in range(n):
            row, known = np.zeros((periods, n)), 0.0
            for lag, w in enumerate(weights[:, c]):
                at = t - lag
                if at < 0:
                    known += w * before[at, c]
                elif at < periods:
                    row[at, c] += w
                else:
                    known += w * after[c]
            if t < periods or row.sum() > LEAST_WEIGHT:
                rows.append(row.ravel())
                shift.append(known)
                cells.append((t, c))
    return np.array(rows), np.array(shift), cells


def _curves(made: Response, cells: list[tuple[int, int]], top: Array, each: Array) -> Array:
    """Mean value of each curve at its knots, even in the root of acting spend, (curve, point)."""
    paid, periods, n = made.case.paid, len(made.case.plan), len(made.case.paid)
    most = np.zeros(n)
    np.maximum.at(most, [c for _, c in cells], top)
    roots = np.linspace(0.0, 1.0, POINTS)
    worth = each[:, :, paid]
    inside = worth[:, :-1] * np.exp(made.case.future.log_traffic[:, :, paid])
    tail = worth[:, -1] * np.exp(made.case.future.tail_traffic[:, paid])
    values = np.zeros((len(cells), POINTS))
    for g, root in enumerate(roots):
        level = np.zeros(made.case.plan.shape[1])
        level[paid] = most * root**2
        always = np.broadcast_to(level, made.case.future.past_spend.shape)
        steady = replace(made.case, future=replace(made.case.future, past_spend=always))
        multiple = steady.response(level[None, :])[:, 0, paid]
        here, beyond = np.einsum("stc,sc->tc", inside, multiple), np.einsum("sc,sc->c", tail, multiple)
        values[:, g] = [(here[t, c] if t < periods else beyond[c]) / len(multiple) for t, c in cells]
    at = np.sqrt(np.maximum(top, 1e-9) / np.maximum(most[[c for _, c in cells]], 1e-9))
    table = np.linspace(0.0, 1.0, TABLE)
    return np.stack([between(roots, row, share * table) for share, row in zip(at, values, strict=True)])
