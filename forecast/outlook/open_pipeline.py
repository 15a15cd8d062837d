"""The open pipeline: units inside the funnel at the as-of date, and the chance that their age leaves them to move on.

    P(move at age a + h | still open at age a) = p f_(a+h) / (1 - p F_a - (1 - p) L_a)

p: rate of the cohort; f, F: law of the delay; L_a: of the units that never move on, the share lost with a date by then.
Under calendar counts who is still open is unknown: all that entered count, and move on with p f_(a+h), p the rate
of today. Simulation and
expected road both ask here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from forecast.equations import EARLY_PERIODS, cohort_beta, delay_pmf
from forecast.fit import Posterior
from forecast.history import History
from forecast.outlook.ageing import moving, waiting_by_age
from forecast.outlook.case import Case
from forecast.outlook.scheduled import Scheduled, open_by_entry, scheduled_of
from forecast.periods import period_days

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


def ages_of(posterior: Posterior, stage: str) -> int:
    """Ages that the delay into a stage is kept for."""
    return int(posterior.provenance["ages"][stage])


def delay_law(posterior: Posterior, stage: str, spare: int = 0) -> Array:
    """Law of the delay into a stage, (draw, age), with so many empty ages behind it."""
    mean, cv = (posterior.array(f"delay_{name}_{stage}") for name in ("mean", "cv"))
    return np.pad(delay_pmf(mean, cv, ages_of(posterior, stage)), ((0, 0), (0, spare)))


def case_law(case: Case, stage: str, rows: Counts | slice) -> Array:
    """The same of some draws of a case, worked out once, with as many empty ages as periods ahead and one."""
    if stage not in case.laws:
        case.laws[stage] = delay_law(case.posterior, stage, spare=case.horizon + 1)
    return case.laws[stage][rows]


def lags_of(case: Case, stage: str, rows: Counts | slice) -> Array | None:
    """When units move on that enter in a period of the horizon and ever do: (draw, period of entry, age, channel).

    Ages inside the horizon; one channel stands for all where they are alike. None where there is no delay.
    """
    if stage in case.future.lags:
        return case.future.lags[stage][rows].astype(float)
    if not case.posterior.array(f"delay_mean_{stage}")[rows].any():
        return None
    f = case_law(case, stage, rows)[:, None, : case.horizon, None]
    return np.broadcast_to(f, (len(f), case.horizon, case.horizon, 1))


def open_moves(case: Case, stage: str, rows: Counts) -> Iterator[tuple[Counts, Array, Array]]:
    """Dated leads that are open, by slot: units (group, channel), chances to move and to stay (draw, group, channel).

    Groups are of one age; the chances are those of a unit that is open when the period begins. Nothing where nobody
    waits.
    """
    ages, units = waiting_by_age(case.history, stage)
    if ages.size:
        days = period_days(case.future.starts, case.history.period)
        for chance, stay in moving(case.posterior, stage, case.future.paces[stage], ages, days, rows):
            yield units, chance, stay


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
        if stage == history.counted[-1] and len(history.schedule):
            gone = gone + open_by_entry(history)  # these wait for their date: `outlook.scheduled`
        return np.maximum(entered - gone, 0), lived, True
    if history.counting == "cohort":
        moved = history.filled(stage).astype(np.int64)
        waited = np.asarray(posterior.data[f"waited_{stage}"].values, dtype=float)
        return np.maximum(entered - moved, 0), waited, True
    missing = max(ages - periods, 0)
    early = np.rint(entered[:EARLY_PERIODS].mean(axis=0)).astype(np.int64)
    units = np.concatenate([np.repeat(early[None, :], missing, axis=0), entered])
    return units[-ages:], np.eye(ages)[::-1], False


@dataclass(frozen=True, eq=False)
class Waiting:
    """The open units before one stage, by row: those cohorts that hold any.

    units (row, channel); waited (row, age): weights over the ages reached; rate (draw, row, channel): expected, of all
    that entered. lived, lost (draw, row, channel or 1): shares F and L of the module, where it is `known` who is open.
    seen: entries and moves of the cohorts so far, (row, channel).
    """

    units: Counts
    waited: Array
    rate: Array
    noise: Array | float
    known: bool
    lived: Array | float = 0.0
    lost: Array | float = 0.0
    seen: tuple[Array, Array] | None = None

    def beta(self) -> tuple[Array, Array]:
        """(a, b) of the Beta of each cohort's own rate, with what it has shown so far: `equations.cohort_beta`."""
        return cohort_beta(self.rate, self.noise, self.seen, self.lived)

    def still_open(self, p: Array) -> Array:
        """1 - p F - (1 - p) L: chance that a unit of a cohort of rate p is still open; one where nobody knows."""
        return (
            np.maximum(1.0 - p * self.lived - (1.0 - p) * self.lost, 1e-12) if self.known else np.ones_like(p)
        )


def waiting_before(case: Case, before: str, stage: str, f: Array, rows: Counts) -> Waiting | None:
    """The open units before a stage for some draws; f (draw, age): `delay_of` it. None where nobody waits."""
    posterior, losses = case.posterior, None
    if f"loss_logit_{stage}" in posterior.data:
        mean, cv = (posterior.array(f"loss_delay_{name}_{stage}")[rows] for name in ("mean", "cv"))
        lost = posterior.data[f"loss_logit_{stage}"].values[rows].astype(float)
        losses = expit(lost), delay_pmf(mean, cv, ages_of(posterior, stage))
    path = posterior.data[f"logit_rate_{stage}"].values
    if case.history.counting == "calendar":  # the rate is that of the period in which units fall due
        now = expit(posterior.array(f"logit_now_{stage}")[rows])
        rate = np.broadcast_to(now[:, None], (len(rows), *path.shape[1:]))
    else:
        rate = expit(path[rows].astype(float))
    noise = posterior.array(f"noise_{stage}")[rows][:, None, :]
    return waiting_with(case.history, posterior, before, stage, rate, f, losses, noise)


def waiting_with(
    history: History,
    posterior: Posterior,
    before: str,
    stage: str,
    rate: Array,
    f: Array,
    losses: tuple[Array, Array] | None,
    noise: Array | float = 0.0,
) -> Waiting | None:
    """The open units before a stage, should they move by these laws. None where nobody waits.

    rate (draw, period, channel), of the history; f (draw, age). losses: where dated, the share lost of the units that
    never move on (draw, period, channel), and the law of its delay (draw, age). noise: of the rate of a cohort.
    """
    units, waited, known = open_units(history, posterior, before, stage)
    filled = np.flatnonzero(units.sum(axis=1) > 0)
    if not filled.size:
        return None
    ages, waited = waited.shape[1], waited[filled]
    cohort = np.maximum(filled - (len(units) - len(history.periods)), 0)
    rate = rate[:, cohort]

    def lived_through(law: Array) -> Array:
        return np.minimum(np.cumsum(law, axis=1)[:, :ages] @ waited.T, 1.0)[:, :, None]

    if not known:
        return Waiting(units[filled], waited, rate, noise, known)
    lost = 0.0 if losses is None else losses[0][:, cohort] * lived_through(losses[1])
    dated = stage in history.triangles
    moved = history.triangles[stage].values.sum(axis=1) if dated else history.filled(stage)
    seen = history.filled(before)[filled].astype(float), moved[filled].astype(float)
    return Waiting(units[filled], waited, rate, noise, known, lived_through(f), lost, seen)


def scheduled_before(history: History, stage: str, horizon: int) -> Scheduled | None:
    """The open units before a stage that move at a date known in advance; None where there are none."""
    last = stage == history.counted[-1] and len(history.schedule)
    return scheduled_of(history, horizon) if last else None


def expected_share(waiting: Waiting) -> Array:
    """E[p / (1 - p F - (1 - p) L)] of units that are still open, p ~ Beta about the rate and what its cohort has shown.

    With A = 1 - L, B = L - F: g(p) = p / (A + B p), g'' = -2 A B / (A + B p)^3, and E g = g(m) + g''(m) v / 2. Where
    nobody knows who is open, the rate of all that entered.
    """
    if not waiting.known:
        return waiting.rate
    a, b = waiting.beta()
    mean = a / (a + b)
    variance = mean * (1.0 - mean) / (a + b + 1.0)
    left, slope = 1.0 - waiting.lost, waiting.lost - waiting.lived
    still = np.maximum(left + slope * mean, 1e-9)
    first = mean / still
    return np.asarray(np.clip(first - variance * left * slope / still**3, 0.5 * first, 2.0 * first))


def chance_by_slot(f: Array, waited: Array, horizon: int) -> tuple[list[Array], Array]:
    """Share of the delay that falls into each period of the horizon, and beyond it, (draw, row), of those that move.

    f (draw, age): law of the delay, at least `horizon` + 1 ages longer than `waited` (row, age).
    """
    ages, weights, cdf = waited.shape[1], waited.T, np.cumsum(f, axis=1)
    inside = [f[:, 1 + h : 1 + h + ages] @ weights for h in range(horizon)]
    return inside, (1.0 - np.minimum(cdf[:, horizon : horizon + ages], 1.0)) @ weights


def moves_by_slot(ready: Array, waited: Array, f: Array, horizon: int) -> Array:
    """Expected moves of open units, (draw, slot, channel): `ready` times the chance of every age to come.

    ready (draw, row, channel): units times p over the chance that they are `still_open`. waited, f: see
    `chance_by_slot`. The last slot holds what lands after the horizon.
    """
    inside, beyond = chance_by_slot(f, waited, horizon)
    return np.stack([np.einsum("sr,src->sc", share, ready) for share in (*inside, beyond)], axis=1)
