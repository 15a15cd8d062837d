"""The open pipeline: units inside the funnel at the as-of date that may still move on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.fit import EARLY_PERIODS, Posterior
from forecast.history import History

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


def ages_of(posterior: Posterior, stage: str) -> int:
    """Ages that the delay into a stage is kept for."""
    return int(posterior.provenance["ages"][stage])


def open_units(history: History, posterior: Posterior, before: str, stage: str) -> tuple[Counts, Array, bool]:
    """Units that may still move into `stage`: (counts by period of entry and channel, weights over ages waited, known).

    known: whether the counts are of units known to be open (dated leads, cohorts), or of all that entered (calendar).
    Calendar counts have rows for entries before the window, at its early mean, where the delay reaches back so far.
    """
    ages, periods = ages_of(posterior, stage), len(history.periods)
    entered = history.filled(before).astype(np.int64)
    lived = np.eye(ages)[np.minimum(periods - 1 - np.arange(periods), ages - 1)]
    if stage in history.triangles:
        gone = history.triangles[stage].values.sum(axis=1)
        if stage in history.losses:
            gone = gone + history.losses[stage].values.sum(axis=1)
        return np.maximum(entered - gone, 0), lived, True
    if history.counting == "cohort":
        moved = history.filled(stage).astype(np.int64)
        waited = np.asarray(posterior.data[f"waited_{stage}"].values, dtype=float)
        return np.maximum(entered - moved, 0), waited, True
    missing = max(ages - periods, 0)
    early = np.rint(entered[:EARLY_PERIODS].mean(axis=0)).astype(np.int64)
    units = np.concatenate([np.repeat(early[None, :], missing, axis=0), entered])
    return units[-ages:], np.eye(ages)[::-1], False


def on_its_way(rate: Array, lived: Array, lost: Array) -> Array:
    """p / (1 - p F - (1 - p) L): chance that a unit still open moves on, over the share of the delay still to come.

    rate: p of all that entered. lived: F, the share of the delay that the unit has lived through. lost: L, the share
    lost with a date by now of those that never move on.
    """
    return np.asarray(rate / np.maximum(1.0 - rate * lived - (1.0 - rate) * lost, 1e-12))


def moves_by_slot(ready: Array, waited: Array, f: Array, horizon: int) -> Array:
    """Expected moves of open units, (draw, slot, channel): `ready` times the chance of every age to come.

    ready (draw, row, channel): units times the chance of `on_its_way`; of all that entered, who may have moved on
    already, times p. waited (row, age): weights over the ages reached. f (draw, age): law of the delay, at least
    `horizon` + 1 ages longer than `waited`. The last slot holds what lands after the horizon.
    """
    ages, weights, cdf = waited.shape[1], waited.T, np.cumsum(f, axis=1)
    result = np.zeros((len(f), horizon + 1, ready.shape[2]))
    for h in range(horizon):
        result[:, h] = np.einsum("sr,src->sc", f[:, 1 + h : 1 + h + ages] @ weights, ready)
    beyond = (1.0 - np.minimum(cdf[:, horizon : horizon + ages], 1.0)) @ weights
    result[:, horizon] = np.einsum("sr,src->sc", beyond, ready)
    return result
