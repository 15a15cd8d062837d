"""Hazards of moves and losses by age in days, as one period has them: what they make of units that wait.

With w and l the hazards a day at an age, a unit leaves on a day with the chance (w + l) / (1 + (w + l) / 2), to the
stage with the share w / (w + l): events over days at risk less half of those that left (`fit.exposure`), turned round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

MOST = 1.98  # of hazards a day: above, nobody would stay
FAR = 20.0  # -log S beyond which the hazard of an age is as good as constant over a period


@dataclass(frozen=True, eq=False)
class Law:
    """Hazards by age as one period has them: rate, share (draw, bin, channel); gone, moved (draw, edge, channel).

    rate: of leaving, a day, by which the share that stays falls exponentially; share: that goes to the stage; gone:
    -log S; moved: C.
    """

    edges: NDArray[np.int64]
    rate: Array
    share: Array
    gone: Array
    moved: Array

    @classmethod
    def of(cls, moves: Array, losses: Array | None, edges: NDArray[np.int64]) -> Law:
        """The law of log hazards (draw, bin, channel)."""
        w = np.exp(moves)
        total = w if losses is None else w + np.exp(losses)
        share = w / total
        total = np.minimum(total, MOST)
        rate = np.log1p(0.5 * total) - np.log1p(-0.5 * total)
        nothing = np.zeros_like(rate[:, :1])
        gone = np.concatenate([nothing, np.cumsum(rate * np.diff(edges)[:, None], axis=1)], axis=1)
        left = np.exp(-gone)
        moved = np.concatenate([nothing, np.cumsum(share * (left[:, :-1] - left[:, 1:]), axis=1)], axis=1)
        return cls(edges, rate, share, gone, moved)

    def _at(self, age: Array | Counts) -> tuple[Array, Array, NDArray[np.int64]]:
        place = np.minimum(np.searchsorted(self.edges, age, side="right") - 1, len(self.edges) - 2)
        since = np.asarray(np.minimum(age, self.edges[-1]) - self.edges[place], dtype=float)[:, None]
        gone = self.gone[:, place] + self.rate[:, place] * since
        left = np.exp(-self.gone[:, place]) - np.exp(-gone)
        return gone, self.moved[:, place] + self.share[:, place] * left, place

    def between(self, age: Array | Counts, until: Array | Counts | None) -> tuple[Array, Array]:
        """Chances to move before the age `until` (None: ever), and to be open still, if open at `age`.

        age, until (group,): days; answers (draw, group, channel).
        """
        gone, moved, place = self._at(age)
        if until is None:
            later, then = self.gone[:, -1:], self.moved[:, -1:]
        else:
            later, then, _ = self._at(until)
        stay = np.exp(gone - later)
        chance = (then - moved) * np.exp(np.minimum(gone, FAR))
        chance = np.where(gone > FAR, self.share[:, place] * (1.0 - stay), chance)
        return np.clip(chance, 0.0, 1.0 - stay), stay
