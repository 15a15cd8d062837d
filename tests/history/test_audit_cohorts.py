"""A file of settled cases, and one whose deals begin later than its leads, are noticed; whole files are not."""

from __future__ import annotations

import numpy as np
from posterior_fixture import history

from forecast.history.audit_cohorts import BEGINS, SETTLED, left_out
from forecast.history.history import History
from forecast.words import text

PERIODS = 18


def leads_of(*, open_too: bool = True, first_win: int = 0, seed: int = 3) -> History:
    """A hundred leads a month: a fifth is won and half is lost, over six months; the others stay open."""
    rng = np.random.default_rng(seed)
    won, lost = (
        np.zeros((PERIODS, PERIODS, 1), dtype=np.int64),
        np.zeros((PERIODS, PERIODS, 1), dtype=np.int64),
    )
    n = np.full((PERIODS, 1), 100)
    for t in range(PERIODS):
        draws = rng.multinomial(100, [0.05] * 4 + [0.125] * 4 + [0.3])
        for age in range(4):
            if t + age < PERIODS:
                won[t, age, 0] = draws[age] if t + age >= first_win else 0
                lost[t, age, 0] = draws[4 + age]
        if not open_too:
            n[t] = won[t].sum() + lost[t].sum()
    dated = np.array([sum(won[t, k - t, 0] for t in range(k + 1)) for k in range(PERIODS)])[:, None]
    return history(
        {"leads": n, "won": dated},
        channels=("one",),
        periods=PERIODS,
        counting="leads",
        triangles={"won": won},
        losses={"won": lost},
    )


def found(made: History) -> dict[str, tuple[str, str]]:
    """Status and words by check."""
    return {str(c.name): (c.status, text(c.value)) for c in left_out(made)}


def test_a_whole_file_passes() -> None:
    """Open leads at the end, wins from the first month on."""
    assert {status for status, _ in found(leads_of()).values()} == {"PASS"}


def test_settled_cases_only_are_noticed() -> None:
    """No lead is open, where the delays of the older ones say that many would be."""
    status, said = found(leads_of(open_too=False))[SETTLED]
    assert status == "REVIEW"
    assert said.startswith("0 of the ")
    assert found(leads_of(open_too=False))[BEGINS][0] == "PASS"


def test_deals_that_begin_later_than_leads_are_noticed() -> None:
    """Six months of leads without one win, where about a hundred would be."""
    status, said = found(leads_of(first_win=6))[BEGINS]
    assert status == "REVIEW"
    assert said.startswith("no won before 2025-07, where about ")
    expected = int(said.split("about ")[1].split(" ")[0])
    assert 70 < expected < 110  # 600 leads, a fifth won, those of the last three months in part


def test_counts_are_not_asked() -> None:
    """Cells do not tell which lead is open."""
    assert left_out(history({"leads": 100, "won": 20})) == []
