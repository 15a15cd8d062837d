"""Dated leads over the horizon: units that age by the day, under hazards that each period makes faster or slower.

Over any days of a period f, with the hazards of moves and losses as it has them (`fit.law`),

    P(move | open at age a) = [C(a + D) - C(a)] / S(a),    S: open until an age, C: moved by it, at the hazards of f

and periods are chained through S. Units that enter in a period do so on days uniform in it. After the horizon the
hazards go on as the last walk has them, with the mean of the noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.fit import Law, Posterior, months_of
from forecast.history import Courses, History
from forecast.outlook.scheduled import open_by_entry
from forecast.periods import Periods, period_days, period_index

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

EXACT, WIDTH = (
    14,
    0.08,
)  # days up to which ages are told apart; of log age, in which later ones are taken together
POINTS = 8  # of the days of entry of a period, at which its units are looked at
CHUNK = 400  # draws at a time


@dataclass(frozen=True, eq=False)
class Pace:
    """Log factors on the hazards of moves and of losses, (draw, period + 1, channel); the last: after the horizon."""

    moves: Array
    losses: Array | None


def ages_by_day(posterior: Posterior, stage: str) -> bool:
    """Whether units before a stage move by hazards."""
    return f"hazard_{stage}" in posterior.data


def law_of(posterior: Posterior, stage: str, pace: Pace, period: int, rows: Counts | slice) -> Law:
    """The law of one period for some draws."""
    edges = posterior.data[f"hazard_edges_{stage}"].values.astype(np.int64)
    moves = posterior.data[f"hazard_{stage}"].values[rows].astype(float) + pace.moves[rows, period, None]
    if pace.losses is None:
        return Law.of(moves, None, edges)
    losses = posterior.data[f"loss_hazard_{stage}"].values[rows].astype(float)
    return Law.of(moves, losses + pace.losses[rows, period, None], edges)


def drawn_pace(
    posterior: Posterior, stage: str, starts: Periods, channels: int, rng: np.random.Generator
) -> Pace:
    """The walks of the hazards go on over the horizon, seasons return, and each period has its noise."""
    horizon = len(starts)

    def pace(kind: str) -> Array:
        walk, shock, own = (
            posterior.array(f"{kind}_{name}_{stage}") for name in ("walk", "shock", "own_shock")
        )
        shape = (len(walk), horizon, 1)
        level = np.cumsum(rng.standard_normal(shape) * walk[:, None, None], axis=1)
        noise = rng.standard_normal(shape) * shock[:, None, None]
        noise = noise + rng.standard_normal((len(walk), horizon, channels)) * own[:, None, None]
        season = posterior.array(f"{kind}_season_{stage}")
        after = level[:, -1:] + 0.5 * (shock**2 + own**2)[:, None, None]
        after = after + np.log(np.exp(season).mean(axis=1))[:, None, None]
        noise = noise + season[:, months_of(starts), None]
        return np.concatenate([level + noise, np.broadcast_to(after, (len(walk), 1, channels))], axis=1)

    losses = pace("loss_hazard") if f"loss_hazard_{stage}" in posterior.data else None
    return Pace(pace("hazard"), losses)


def entering(posterior: Posterior, stage: str, pace: Pace, starts: Periods, kind: str) -> tuple[Array, Array]:
    """Units that enter the stage before in each period of the horizon: chance to move at all, and when, of these.

    (draw, period of entry, channel); (draw, period of entry, age in periods, channel), ages inside the horizon.
    """
    days, horizon = period_days(starts, kind), len(starts)
    draws, _, channels = pace.moves.shape
    ever = np.zeros((draws, horizon, channels))
    lags: NDArray[Any] = np.zeros((draws, horizon, horizon, channels), dtype=np.float32)  # bounds memory
    for first in range(0, draws, CHUNK):
        rows = np.arange(first, min(first + CHUNK, draws))
        laws = [law_of(posterior, stage, pace, f, rows) for f in range(horizon + 1)]
        for h in range(horizon):
            age, weight = _days_of_entry(int(days[h]))
            chance, left = laws[h].between(np.zeros_like(age), age)
            slots = [np.einsum("sgc,g->sc", chance, weight)]
            for f in range(h + 1, horizon):
                chance, stay = laws[f].between(age, age + days[f])
                slots.append(np.einsum("sgc,sgc,g->sc", chance, left, weight))
                left, age = left * stay, age + days[f]
            chance, _ = laws[horizon].between(age, None)
            later = np.einsum("sgc,sgc,g->sc", chance, left, weight)
            inside = np.stack(slots, axis=1)
            whole = np.clip(inside.sum(axis=1) + later, 1e-12, 1.0)
            ever[rows, h] = whole
            lags[rows, h, : horizon - h] = inside / whole[:, None]
    return ever, lags


def _days_of_entry(days: int) -> tuple[Array, Array]:
    """Days that units have lived through by the end of their period of entry, at some points, and their weights."""
    edges = np.unique(np.rint(np.geomspace(1.0, days + 1.0, POINTS + 1))).astype(np.float64)
    return 0.5 * (edges[:-1] + edges[1:] - 1.0), np.diff(edges) / days


def waiting_by_age(history: History, stage: str) -> tuple[Counts, Counts]:
    """Units open at the as-of date by the age that they begin the next day with: ages (group,), units (group, channel).

    Old ages are taken together, to within `WIDTH`. Units that wait for a date known in advance are left out.
    """
    open_ = _unplanned(history, stage)
    age = (history.end - open_.entered).astype(np.int64) + 1
    rounded = np.rint(np.exp(np.rint(np.log(age) / WIDTH) * WIDTH)).astype(np.int64)
    ages, place = np.unique(np.where(age <= EXACT, age, np.maximum(rounded, EXACT)), return_inverse=True)
    units = np.zeros((ages.size, len(history.channels)), dtype=np.int64)
    np.add.at(units, (place, open_.channel), open_.n)
    return ages, units


def _unplanned(history: History, stage: str) -> Courses:
    """The open units before a stage but those with a schedule (`outlook.scheduled`).

    Of these the period of entry is told: they are taken from all its days alike.
    """
    open_ = history.by_day[stage].open
    if stage != history.counted[-1] or not len(history.schedule):
        return open_
    entered = period_index(open_.entered, history.periods[0], history.period)
    cell = entered * len(history.channels) + open_.channel
    planned = open_by_entry(history).ravel()
    n = np.zeros_like(open_.n)
    for each in np.unique(cell):
        rows = np.flatnonzero(cell == each)
        all_of = np.cumsum(open_.n[rows])
        left = max(int(all_of[-1]) - int(planned[each]), 0)
        n[rows] = np.diff(all_of * left // all_of[-1], prepend=0)
    return Courses._make(values[n > 0] for values in open_._replace(n=n))


def moving(
    posterior: Posterior, stage: str, pace: Pace, ages: Counts, days: Counts, rows: Counts
) -> Iterator[tuple[Array, Array]]:
    """For each period of the horizon, and for ever after: chances to move and to stay open, if open at its begin.

    ages (group,): of `waiting_by_age`; days: of the periods; answers (draw, group, channel), for some draws.
    """
    age = ages
    for f, length in enumerate(days):
        yield law_of(posterior, stage, pace, f, rows).between(age, age + length)
        age = age + length
    yield law_of(posterior, stage, pace, len(days), rows).between(age, None)
