"""What sales can take, in expectation: units wait, a share of those who wait gives up, and money goes with them.

    waiting_t = max((1 - decay) waiting_(t-1) + arrivals_t - capacity, 0),      lost_t = decay waiting_t

After the horizon sales first take who still waits; of what arrives then, the share that a queue as crowded as the last
periods lets through (`outlook.queue` has the same in whole units). In the program of a budget waiting is a variable
of its own: it costs the worth of those it loses, and the price of the capacity is what one more unit would save.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.budget.program import Row
from forecast.budget.response import Background, Curves, Response, table_of
from forecast.outlook import LATEST

Array = NDArray[np.float64]

PATIENCE = 12  # periods after the horizon in which who waits is followed
DRAWS_AT_ONCE = 500


def lost_units(arrivals: Array, later: Array, capacity: float, decay: float) -> Array:
    """Expected units that give up, (draw,), of arrivals (draw, period) and those after the horizon (draw,)."""
    waiting, lost = np.zeros(len(arrivals)), np.zeros(len(arrivals))
    for t in range(arrivals.shape[1] + PATIENCE):
        coming = arrivals[:, t] if t < arrivals.shape[1] else 0.0
        waiting = np.maximum((1.0 - decay) * waiting + coming - capacity, 0.0)
        lost += decay * waiting
    latest = arrivals[:, -LATEST:]
    share = np.minimum(1.0, capacity * latest.shape[1] / np.maximum(latest.sum(axis=1), 1e-9))
    return np.asarray(lost + later * (1.0 - share))


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
        value = (inside[part] * made.worth[part]).sum(axis=1) + later[part] * made.worth[part, -1]
        worth = value[:, paid].sum(axis=1) / np.maximum(slots.sum(axis=1), 1e-12)
        arrivals = slots[:, :-1] + background.arriving[part]
        result[part] = worth * lost_units(
            arrivals, slots[:, -1], economics.capacity, economics.capacity_decay
        )
    return result


def sales_rows(
    curves: Curves, waiting_for: Array, current: Array, capacity: float, decay: float, labels: list[str]
) -> tuple[tuple[Row, ...], Array, Array]:
    """Rows of a program for the queue, and reward and ceiling of its variables: waiting by period, lost later.

    waiting_for (period,): what arrives whatever is spent. current (channel,): the split at which a unit's worth and the
    share of later arrivals are taken.
    """
    arriving = curves.arriving
    if arriving is None:
        raise ValueError("curves without arrivals know no queue")
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
        name = (
            f"economics.capacity in {labels[t]}" if inside else f"economics.capacity {t - periods + 1} after"
        )
        rows.append(Row(name, np.zeros(n), room, tables[t] if inside else None, extra))
    latest = float((now[:periods] + waiting_for)[-LATEST:].sum())
    through = float(now[-1]) * capacity * min(LATEST, periods) / max(latest, 1e-9)
    rows.append(Row("economics.capacity later", np.zeros(n), through, tables[-1], -np.eye(count)[-1]))
    reward = np.full(count, -worth * decay)
    reward[-1] = -worth
    return tuple(rows), reward, np.full(count, np.inf)
