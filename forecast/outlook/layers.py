"""Units of several plans side by side, on common random numbers: each layer is what the same plans have in common.

Of one cell, plan i expects x_i units. What a set m of the plans has, and no other plan, is

    least_(i in m) x_i  -  most_(i not in m) x_i,   where that is above zero

so that the layers of a plan add up to what it expects, and two plans differ by those layers alone that one of them has.
A layer moves through the funnel by itself, with the rates that all layers share: a difference of plans then holds no
noise of its own. Units of the open pipeline are a layer that every plan has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]  # counts, or money


@dataclass(frozen=True)
class Kind:
    """Which units a layer holds: those of the horizon's cohorts (new) or of the open pipeline, and whose plans."""

    new: bool
    plans: frozenset[int]


@dataclass(frozen=True, eq=False)
class Layers:
    """Numbers by layer, (layer, draw, ...): counts or money. `plans`: how many plans there are.

    The first two kinds are the pipeline and what all plans bring; those of fewer plans follow.
    """

    kinds: tuple[Kind, ...]
    values: Numbers
    plans: int

    @property
    def pipeline(self) -> Layers:
        """The same layers with what the horizon brings taken out."""
        return self._of(new=False)

    @property
    def new(self) -> Layers:
        """The same layers with the open pipeline taken out."""
        return self._of(new=True)

    def _of(self, *, new: bool) -> Layers:
        keep = np.array([kind.new == new for kind in self.kinds])
        return self.with_values(self.values * keep.reshape(-1, *([1] * (self.values.ndim - 1))))

    def with_values(self, values: Numbers) -> Layers:
        """Other numbers in the same layers."""
        return replace(self, values=values)

    def by_plan(self) -> Numbers:
        """What each plan has in all its layers, (plan, draw, ...); what all plans share is added up once."""
        whole = [k for k, kind in enumerate(self.kinds) if len(kind.plans) == self.plans]
        shared = _sum(self.values, whole)
        own = [
            [k for k, kind in enumerate(self.kinds) if i in kind.plans and k not in whole]
            for i in range(self.plans)
        ]
        return np.stack([shared + self.values[layers].sum(axis=0) for layers in own])


def _sum(values: Numbers, layers: Sequence[int]) -> Numbers:
    total = values[layers[0]]
    for k in layers[1:]:
        total = total + values[k]
    return total


def sets_of(amounts: Numbers) -> list[frozenset[int]]:
    """The sets of plans that have something of their own in any cell of amounts (plan, ...), the largest sets first.

    Cells are sorted by amount: the sets are those of the plans above each step.
    """
    plans = len(amounts)
    order = np.argsort(amounts, axis=0, kind="stable").reshape(plans, -1)
    _, first = np.unique(plans ** np.arange(plans) @ order, return_index=True)
    found = {frozenset(map(int, column[step:])) for column in order[:, first].T for step in range(plans)}
    return ordered(found | {frozenset(range(plans))})


def ordered(sets: Iterable[frozenset[int]]) -> list[frozenset[int]]:
    """The largest sets first, then by the plans in them."""
    return sorted(sets, key=lambda plans: (-len(plans), sorted(plans)))


def own_part(amounts: Numbers, plans: frozenset[int]) -> Numbers:
    """What these plans have and no other, of amounts (plan, ...): see the module.

    >>> own_part(np.array([5, 8, 2]), frozenset({0, 1})), own_part(np.array([5, 8, 2]), frozenset({0}))
    (np.int64(3), np.int64(0))
    """
    least = amounts[sorted(plans)].min(axis=0)
    others = [i for i in range(len(amounts)) if i not in plans]
    return np.maximum(least - amounts[others].max(axis=0), 0) if others else least
