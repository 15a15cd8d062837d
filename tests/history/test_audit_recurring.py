"""Revenue that all customers pay is told from revenue of wins, and named with the column that it belongs into."""

from __future__ import annotations

import numpy as np
import posterior_fixture as fixture
import pytest

from forecast.checks import FAIL, PASS, REVIEW
from forecast.history import History, audit_history
from forecast.history.audit_recurring import steady_share
from forecast.words import text


def company(seed: int, steady: float, *, wins: float = 5.0) -> History:
    """Two years of two channels; a share of each one's revenue is the same whoever is won."""
    rng = np.random.default_rng(seed)
    won = rng.poisson(wins, (24, 2)).astype(float)
    money = rng.gamma(np.maximum(won / 0.64, 1e-9), 5000 * 0.64)
    money = (1 - steady) * money + steady * money.mean(axis=0)
    return fixture.history({"leads": 100.0, "qualified": 30.0, "won": won, "revenue": money}, periods=24)


@pytest.mark.parametrize(("steady", "least", "most"), [(0.0, 0, 0), (0.3, 0, 6), (0.8, 38, 40)])
def test_steady_revenue_is_found(steady, least, most):
    """Of 40 companies: none whose wins pay, nearly all in which four fifths come whoever is won."""
    found = [steady_share(company(seed, steady)) for seed in range(40)]
    assert least <= sum(share is not None for share in found) <= most


def test_the_finding_names_the_column():
    """Money beside no win in quantity fails; the advice is the column recurring. Wins that pay pass."""

    def told(past, **study):
        found = audit_history(past, fixture.study(**study))
        return next(check for check in found if check.name == "Revenue and wins agree")

    assert told(company(1, 0.0)).status == PASS
    some = told(company(2, 0.8))
    assert (some.status, "column recurring" in text(some.advice)) == (REVIEW, True)
    sparse = company(3, 1.0, wins=1.0)
    assert told(sparse).status == FAIL
    assert "does not move with the wins" in text(told(sparse).value)
    worth = told(company(1, 0.0), funnel={"value": 1000})
    assert "times what the wins bring" in text(worth.value)
