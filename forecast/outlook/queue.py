"""What sales can take: units wait in a queue in front of the last stage, first in, first out, and some give up.

    handled_t = min(waiting_(t-1) still there + arrivals_t, capacity_t)
    waiting_t = waiting_(t-1) still there + arrivals_t - handled_t,    of which a share `decay` is lost before t + 1

All channels share the capacity: of a cohort (what arrived in one period) that sales can take only in part, every
channel has its share. With inflow L above the capacity C the queue settles at waiting = (L - C) / decay.

Units come in layers (`outlook.layers`). Plans have queues of their own, on common random numbers as far as they wait
for the same, and what all handle of a layer in a period stays shared.

After the horizon sales first take who still waits, and of what arrives later the share that a queue as crowded as the
last periods lets through. Whom the waiting keep away by then is not counted against the plan that left them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.outlook.layers import Kind, Layers, ordered, own_part, sets_of

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

LATEST = 3  # periods at the end of the horizon that tell how crowded it is afterwards
PATIENCE = 120  # periods after which what still waits is given up


@dataclass(frozen=True)
class Queued:
    """Layers of units by when sales takes them, (layer, draw, slot, channel) and (layer, draw, channel); the queue.

    handled, waiting: (plan, draw, period, channel), taken in a period and waiting at its end.
    """

    entries: Layers
    tail: Layers
    handled: Counts
    waiting: Counts


def through_sales(
    entries: Layers,
    tail: Layers,
    limited: NDArray[np.bool_],
    capacity: float,
    decay: float,
    rng: np.random.Generator,
) -> Queued:
    """Send layers of units that enter the stage before the last through sales; channels not `limited` pass by.

    Args:
        entries: (layer, draw, slot, channel), the last slot being all that enters after the horizon.
        tail: (layer, draw, channel), what carry-over brings after the horizon; the same layers.
        limited: channels that sales handles.
        capacity: units a period; decay: share of those that wait lost each period.
        rng: not used for anything else, so that a capacity that never binds changes nothing.
    """
    own = [[k for k, kind in enumerate(entries.kinds) if i in kind.plans] for i in range(entries.plans)]
    width = max(map(len, own))
    kinds, later = (_padded(layers.values, own, width) for layers in (entries, tail))
    arrivals = kinds[:, :, :, :-1] * limited
    handled, waiting = queue(arrivals, capacity, decay, rng)
    latest = arrivals[:, :, :, -LATEST:]
    share = let_through(np.maximum(latest.sum(axis=(1, 3, 4)), 1), capacity * latest.shape[3])
    share = share[:, None, :, None]
    handled[:, :, :, -1] += coupled_binomial(kinds[:, :, :, -1] * limited, share, rng)
    inside = handled[:, :, :, :-1].sum(axis=1)
    tails = np.where(limited, coupled_binomial(later, share, rng), later)
    passed = handled + kinds * ~limited
    taken, later_taken = _layered(entries.kinds, own, passed, tails)
    return Queued(taken, later_taken, inside, waiting.sum(axis=1))


def _padded(values: Counts, own: list[list[int]], width: int) -> Counts:
    """The layers of each plan side by side, (plan, layer of the plan, ...); zeros where a plan has fewer."""
    result = np.zeros((len(own), width, *values.shape[1:]), dtype=np.int64)
    for i, layers in enumerate(own):
        result[i, : len(layers)] = values[layers]
    return result


def _layered(kinds: Sequence[Kind], own: list[list[int]], *units: Counts) -> list[Layers]:
    """Units (plan, layer of the plan, ...) as layers again: of each layer what plans still share, then the rest."""
    plans = len(own)
    every = frozenset(range(plans))
    found: list[dict[Kind, Counts]] = [
        {Kind(new=n, plans=every): 0 * u[0, 0] for n in (False, True)} for u in units
    ]
    for k, kind in enumerate(kinds):
        holders = sorted(kind.plans)
        each = [np.stack([u[i, own[i].index(k)] for i in holders]) for u in units]
        sets = {chosen for amounts in each for chosen in sets_of(amounts)}
        for chosen in ordered(sets):
            target = Kind(kind.new, frozenset(holders[i] for i in chosen))
            for layers, amounts in zip(found, each, strict=True):
                layers[target] = layers.get(target, 0) + own_part(amounts, chosen)
    order = sorted({kind for layers in found for kind in layers}, key=lambda kind: _place(kind, plans))
    return [
        Layers(tuple(order), np.stack([layers.get(kind, 0 * u[0, 0]) for kind in order]), plans)
        for layers, u in zip(found, units, strict=True)
    ]


def _place(kind: Kind, plans: int) -> tuple[bool, bool, int, list[int]]:
    """What all plans have first, the pipeline ahead; then new units of fewer plans, and what they left of the old."""
    whole = len(kind.plans) == plans
    return not whole, kind.new if whole else not kind.new, -len(kind.plans), sorted(kind.plans)


def capacities(capacity: float, periods: int) -> Counts:
    """Whole units that sales can take in each period; fractions add up over the periods."""
    return np.diff(np.floor(capacity * np.arange(periods + 1) + 1e-9)).astype(np.int64)


def queue(arrivals: Counts, capacity: float, decay: float, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """Send arrivals (plan, kind, draw, period, channel) through sales.

    Returns the units handled, of the same dims with one slot more (what still waits at the end of the horizon and is
    handled later, ahead of all that comes then), and those that wait at the end of each period, before some give up.
    Units are whole and conserved: handled, lost and waiting add up to what arrived.
    """
    plans, kinds, draws, periods, channels = arrivals.shape
    handled = np.zeros((plans, kinds, draws, periods + 1, channels), dtype=np.int64)
    waiting = np.zeros(arrivals.shape, dtype=np.int64)
    inside = np.zeros_like(arrivals)  # by period of arrival: who waits
    room = capacities(capacity, periods + PATIENCE)
    oldest = 0
    for t in range(periods + PATIENCE):
        if t < periods:
            inside[:, :, :, t] = arrivals[:, :, :, t]
        until = min(t + 1, periods)
        while oldest < until and not inside[:, :, :, oldest].any():
            oldest += 1
        if oldest == until:  # nobody is there
            if until == periods:
                break
            continue
        now = inside[:, :, :, oldest:until]
        taken = _serve(now, int(room[t]), rng.random((draws,)))
        now -= taken
        handled[:, :, :, min(t, periods)] += taken.sum(axis=3)
        if t < periods:
            waiting[:, :, :, t] = now.sum(axis=3)
        now -= coupled_binomial(now, np.full((plans, 1, 1, 1, 1), decay), rng)
    return handled, waiting


def coupled_binomial(n: Counts, p: Array, rng: np.random.Generator) -> Counts:
    """Binomial(n, p) of each plan (first axis), alike between plans as far as n and p are; p broadcasts to n."""
    p = np.broadcast_to(p, n.shape)
    same, least = n.min(axis=0), p.min(axis=0)
    both = rng.binomial(same, least)
    rest = np.clip((p - least) / np.maximum(1.0 - least, 1e-12), 0.0, 1.0)
    return np.stack(
        [both + rng.binomial(same - both, rest[i]) + rng.binomial(n[i] - same, p[i]) for i in range(len(n))]
    )


def let_through(latest: Array | Counts, room: Array | float) -> Array:
    """Share of what arrives after the horizon that sales will handle: as crowded as at its end, min(1, C / L).

    In a queue that has settled, C of L arrivals are handled and the others give up. latest: L, arrivals of the LATEST
    periods; room: C, what sales takes in as many; broadcast.
    """
    return np.asarray(np.minimum(1.0, room / np.maximum(latest, 1e-12)))


def _serve(inside: Counts, room: int, u: Array) -> Counts:
    """Who of `inside` (plan, kind, draw, cohort, channel) is taken: oldest cohorts first, at most `room` units a draw.

    Of the cohort that is taken in part every n / k-th unit is, from a random start `u` (draw,): shares are kept to one
    unit, and a small difference between plans stays small.
    """
    cohort = np.moveaxis(inside, (2, 3), (1, 2))  # plan, draw, cohort, kind, channel
    line = cohort.reshape(*cohort.shape[:3], -1)
    size = line.sum(axis=3)
    ahead = np.cumsum(size, axis=2) - size
    share = np.clip(room - ahead, 0, size) / np.maximum(size, 1)
    start = np.clip(u, 1e-6, 1.0 - 1e-6)[None, :, None, None]
    until = np.floor(np.cumsum(line, axis=3) * share[..., None] + start).astype(np.int64)
    taken = np.diff(until, axis=3, prepend=0)
    return np.moveaxis(taken.reshape(cohort.shape), (1, 2), (2, 3))


def fluid_queue(arrivals: Array, room: Array, decay: float) -> Array:
    """The queue in expected units, without chance: arrivals (kind, draw, period, channel), room (draw, period).

    Returns units handled, with one slot more for those that wait at the end of the horizon and are handled after it (at
    the last period's room). First in, first out; of a cohort taken in part every kind and channel has its share. Chance
    makes real queues longer where room and arrivals are close.
    """
    kinds, draws, periods, channels = arrivals.shape
    handled = np.zeros((kinds, draws, periods + 1, channels))
    inside = np.zeros_like(arrivals)
    for t in range(periods + PATIENCE):
        if t < periods:
            inside[:, :, t] = arrivals[:, :, t]
        elif inside.sum() < 1e-6 * max(float(arrivals.sum()), 1.0):
            break
        size = inside.sum(axis=(0, 3))
        ahead = np.cumsum(size, axis=1) - size
        most = np.maximum(room[:, min(t, periods - 1), None] - ahead, 0.0)
        share = np.minimum(most, size) / np.maximum(size, 1e-12)
        taken = inside * share[None, :, :, None]
        inside -= taken
        handled[:, :, min(t, periods)] += taken.sum(axis=2)
        inside *= 1.0 - decay
    return handled
