"""Hazards run through ages: chances that add up, chain, and agree with going day by day."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.fit.exposure import edges_of
from forecast.fit.law import Law

EDGES = edges_of(300)


def a_law(losses: bool = True) -> Law:
    """Hazards of 50 to 150 days, with a first day on which many move."""
    rng = np.random.default_rng(4)
    shape = (3, len(EDGES) - 1, 2)
    moves = -4.0 + rng.normal(0, 0.7, shape)
    moves[:, 0] = 0.5  # a day on which many move at once
    return Law.of(moves, -5.0 + rng.normal(0, 0.5, shape) if losses else None, EDGES)


def test_day_by_day():
    """(w + l) / (1 + (w + l) / 2) leave on a day, w / (w + l) of them to the stage."""
    rng = np.random.default_rng(4)
    shape = (3, len(EDGES) - 1, 2)
    moves = -4.0 + rng.normal(0, 0.7, shape)
    moves[:, 0] = 0.5
    losses = -5.0 + rng.normal(0, 0.5, shape)
    law = Law.of(moves, losses, EDGES)
    ages = np.array([0, 3, 40])
    chance, stay = law.between(ages, ages + 31)
    w, lost = (np.repeat(np.exp(x), np.diff(EDGES), axis=1) for x in (moves, losses))
    out = (w + lost) / (1.0 + 0.5 * (w + lost))
    for g, age in enumerate(ages):
        left, moved = np.ones((3, 2)), np.zeros((3, 2))
        for day in range(age, age + 31):
            moved += left * out[:, day] * w[:, day] / (w + lost)[:, day]
            left = left * (1.0 - out[:, day])
        assert chance[:, g] == pytest.approx(moved)
        assert stay[:, g] == pytest.approx(left)


def test_periods_chain():
    """Two periods at the same hazards are one long one."""
    law, age = a_law(), np.array([0, 7, 60])
    first, stay = law.between(age, age + 20)
    second, still = law.between(age + 20, age + 55)
    both, left = law.between(age, age + 55)
    assert both == pytest.approx(first + stay * second)
    assert left == pytest.approx(stay * still)


@pytest.mark.parametrize("losses", [True, False])
def test_what_moves_and_what_stays_are_all_where_nobody_is_lost(losses: bool):
    """And less than all where some are; ever is at least as much as until any age."""
    law, age = a_law(losses), np.array([0, 10, 290])
    chance, stay = law.between(age, age + 500)
    ever, _ = law.between(age, None)
    assert (chance <= ever + 1e-12).all()
    rest = 1.0 - chance - stay
    assert (rest > 0).all() if losses else np.abs(rest).max() < 1e-9


def test_the_far_end_of_a_sure_thing():
    """Where hardly anybody is left, chances are still chances."""
    law = Law.of(np.full((1, len(EDGES) - 1, 1), 0.0), np.full((1, len(EDGES) - 1, 1), -1.0), EDGES)
    chance, stay = law.between(np.array([200]), np.array([230]))
    assert chance[0, 0, 0] == pytest.approx(1.0 / (1.0 + np.exp(-1.0)))
    assert stay[0, 0, 0] < 1e-9
