"""Units whose date of moving is known in advance: arrivals, starts of a contract, renewals.

A date in `scheduled` is no event. A unit that is open before the last stage and has one moves in its period or is lost,
and waits for nothing else: it stands apart from the open pipeline of the delay. Of n_kc units that were scheduled k
periods ahead at any time of the past, and whose period has come, w_kc have moved: so do those of now, with the share

    q_kc ~ Beta(w_kc + m q_k, n_kc - w_kc + m (1 - q_k)),   q_k all channels together,   m = POOLED
    logit share of a period = logit q_kc + s_k e,           e ~ N(0, 1) common to its channels

k periods ahead more is still to be lost than one ahead. s_k: what the periods of the past scatter beyond chance,

    s_k^2 = mean over past periods of z^2 - v,   z = (w - n p) / (n p (1 - p)),   v = 1 / (n p (1 - p)),   at least 0

of n units and w moves in all channels, p what q_kc makes of them. Whose period is over and who is still open is taken
for lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from forecast.history import History
from forecast.periods import period_index

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

POOLED = 20.0  # units that the share of all channels counts for in that of one
LEAST = 50  # units that have come, for a share of their own so many periods ahead; else that of fewer periods
_NODES = np.polynomial.hermite_e.hermegauss(9)


@dataclass(frozen=True, eq=False)
class Scheduled:
    """Open units by periods ahead and channel, the last row beyond the horizon or later: (ahead, channel) each.

    units; a, b: of the Beta of their share; scatter (ahead, 1): sd of its logit from period to period. slot (ahead,):
    of the horizon, or its length. gone (channel,): whose period is over.
    """

    units: Counts
    a: Array
    b: Array
    scatter: Array
    slot: Counts
    gone: Counts

    def draw(self, draws: int, slots: int, rng: np.random.Generator) -> Counts:
        """Moves by draw, slot and channel."""
        share = rng.beta(np.broadcast_to(self.a, (draws, *self.a.shape)), self.b)
        share = np.clip(share, 1e-9, 1.0 - 1e-9)
        noise = self.scatter * rng.standard_normal((draws, len(self.slot), 1))
        moved = rng.binomial(self.units, expit(logit(share) + noise))
        made = np.zeros((draws, slots, self.units.shape[1]), dtype=np.int64)
        for i, slot in enumerate(self.slot):
            made[:, slot] += moved[:, i]
        return made

    def mean(self, slots: int) -> Array:
        """Expected moves by slot and channel."""
        nodes, weights = _NODES
        q = logit(np.clip(self.a / (self.a + self.b), 1e-9, 1.0 - 1e-9))
        share = (expit(q[..., None] + self.scatter[..., None] * nodes) * weights).sum(axis=-1) / weights.sum()
        made = np.zeros((slots, self.units.shape[1]))
        np.add.at(made, self.slot, self.units * share)
        return made


def open_by_entry(history: History) -> Counts:
    """Open units with a schedule by the period in which they entered the stage before the last: (period, channel)."""
    found = np.zeros((history.periods.size, len(history.channels)), dtype=np.int64)
    entered, _, ended, _, channel, n = _columns(history)
    still = ended < 0
    np.add.at(found, (entered[still], channel[still]), n[still])
    return found


def scheduled_of(history: History, horizon: int) -> Scheduled | None:
    """What is scheduled at the as-of date; None where nothing is."""
    entered, planned, ended, won, channel, n = _columns(history)
    now, channels = history.periods.size - 1, len(history.channels)
    still = ended < 0
    if not still.any():
        return None
    gone = np.bincount(channel[still & (planned <= now)], n[still & (planned <= now)], channels)
    ahead = np.unique(planned[still & (planned > now)]) - now
    shape = (len(ahead), channels)
    units, a, b, scatter = (
        np.zeros(shape, dtype=np.int64),
        np.ones(shape),
        np.ones(shape),
        np.zeros((shape[0], 1)),
    )
    for i, k in enumerate(ahead):
        mine = still & (planned == now + k)
        units[i] = np.bincount(channel[mine], n[mine], channels)
        then = (planned <= now) & (entered <= planned - k) & ((ended < 0) | (ended > planned - k))
        if n[then].sum() < LEAST and i:
            a[i], b[i], scatter[i] = a[i - 1], b[i - 1], scatter[i - 1]
            continue
        cells = np.zeros((2, now + 1, channels))
        for cell, rows in zip(cells, (then, then & won), strict=True):
            np.add.at(cell, (planned[rows], channel[rows]), n[rows])
        a[i], b[i], scatter[i] = _learnt(*cells)
    return Scheduled(units, a, b, scatter, np.minimum(ahead - 1, horizon), gone.astype(np.int64))


def _learnt(there: Array, moved: Array) -> tuple[Array, Array, float]:
    """(a, b) of the share of each channel, and the scatter of periods, of units and moves (period, channel)."""
    n, w = there.sum(axis=0), moved.sum(axis=0)
    q = (w.sum() + 1.0) / (n.sum() + 2.0)
    a, b = w + POOLED * q, n - w + POOLED * (1.0 - q)
    some = there.sum(axis=1) > 0
    if some.sum() < 3:
        return a, b, 0.0
    expected = (there * (a / (a + b))).sum(axis=1)[some]
    total, came = there.sum(axis=1)[some], moved.sum(axis=1)[some]
    told = np.maximum(
        expected * (1.0 - expected / total), 1e-9
    )  # n p (1 - p): what a period tells of the logit
    z = (came - expected) / told
    return a, b, float(np.sqrt(max(np.average(z**2 - 1.0 / told, weights=np.minimum(told, 25.0)), 0.0)))


def _columns(history: History) -> tuple[Counts, Counts, Counts, NDArray[np.bool_], Counts, Counts]:
    """Periods of entry, of the schedule, and of the end (-1: open), whether won, channel, and how many: by group."""
    table, first, kind = history.schedule, history.periods[0], history.period
    place = {name: i for i, name in enumerate(history.channels)}

    def index(name: str) -> Counts:
        days = table[name].to_numpy().astype("datetime64[D]")
        absent = np.isnat(days)
        return np.where(absent, -1, period_index(np.where(absent, first, days), first, kind)).astype(np.int64)

    channel = np.asarray(table["channel"].map(place), dtype=np.int64)
    won, n = table["won"].to_numpy(dtype=bool), table["n"].to_numpy(dtype=np.int64)
    return index("entered"), index("scheduled"), index("ended"), won, channel, n
