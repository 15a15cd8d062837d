"""Levels that change at once, told from walks, growth and season."""

from __future__ import annotations

import numpy as np
import pytest
from posterior_fixture import Array, history, study

from forecast.history import History
from forecast.history.breaks import Break, breaks_of
from forecast.history.moves import seen_moves

PERIODS = 30


def company(traffic: Array, rate: Array, seed: int = 3) -> History:
    """Two channels with this level of traffic and this rate into leads, by period."""
    rng = np.random.default_rng(seed)
    mean = 800.0 * traffic[:, None] * rng.gamma(50.0, 1 / 50.0, (PERIODS, 2))
    visitors = rng.poisson(mean)
    leads = rng.binomial(visitors, rate[:, None] * np.ones((1, 2)))
    counts = {"visitors": visitors, "leads": leads, "won": np.round(leads / 5)}
    return history({name: np.asarray(v, dtype=float) for name, v in counts.items()}, periods=PERIODS)


STILL, AFTER = np.ones(PERIODS), (np.arange(PERIODS) >= 24).astype(float)


@pytest.mark.parametrize(
    ("traffic", "rate", "found"),
    [
        (STILL, 0.2 * STILL, []),
        (1.05 ** np.arange(PERIODS), 0.2 * STILL, []),
        (1.0 + 0.6 * np.sin(np.arange(PERIODS) * np.pi / 6), 0.2 * STILL, []),
        (1.0 + 4.0 * AFTER, 0.2 * STILL, [Break("traffic", 24)]),
        (STILL, 0.2 - 0.075 * AFTER, [Break("leads", 24)]),
    ],
)
def test_a_step_is_found_where_it_is(traffic: Array, rate: Array, found: list[Break]):
    """Neither a company that stands still nor growth or season is one."""
    assert breaks_of(company(traffic, rate)) == found


def test_companies_that_stand_still_have_next_to_no_steps():
    """Of forty, at most one."""
    assert sum(bool(breaks_of(company(STILL, 0.2 * STILL, seed))) for seed in range(40)) <= 1


def test_what_the_study_states_is_not_found_again():
    """A change stated within two periods of a step is what it is; another one stands beside it."""
    past = company(1.0 + 4.0 * AFTER, 0.2 * STILL)
    [move] = seen_moves(study(), past, "traffic")
    assert (move.mean, move.sd, move.learnt) == (0.0, 1.0, True)
    assert move.column(past.periods, past).tolist() == [-1.0] * 24 + [0.0] * 6
    assert seen_moves(study(), past, "leads") == []
    for label, names in (
        ("2026-12", ["change from 2026-12"]),
        ("2025-06", ["change from 2025-06", "step at 2027-01"]),
    ):
        stated = study(change=({"from": label, "traffic": {"times": [1.0, 2.0]}},))
        assert [m.name for m in seen_moves(stated, past, "traffic")] == names


def test_a_short_history_has_no_steps():
    """Nor one with a period without traffic."""
    past = company(STILL, 0.2 * STILL)
    assert breaks_of(past.as_of("2025-06")) == []
