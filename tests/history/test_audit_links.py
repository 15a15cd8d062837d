"""What hangs together where the model has it apart is suspected; independent channels and stages are not."""

from __future__ import annotations

import numpy as np
from posterior_fixture import history, study

from forecast.checks import Check
from forecast.equations import delay_pmf
from forecast.history.audit_links import capacity, late_drop, taking, volume
from forecast.history.history import History
from forecast.words import text

N = 36


def checked(check: Check | None, status: str) -> str:
    """The value of a check that must be there with this status, and with advice where it is no PASS."""
    assert check is not None
    assert check.status == status, text(check.value)
    assert bool(check.advice) == (status != "PASS")
    return text(check.value)


def staffed(follows: float) -> History:
    """Leads that scatter by a third from month to month; half qualify two weeks later, along a power of those due."""
    rng = np.random.default_rng(6)
    leads = np.round(400.0 * np.exp(rng.normal(0.0, 0.3, N)))
    due = np.convolve(np.concatenate([np.full(N, 400.0), leads]), delay_pmf(14 / 30.4, 0.8, N))[N : 2 * N]
    taken, won = rng.poisson(200.0 * (due / 400.0) ** follows), rng.poisson(20.0, N)
    return history(
        {"leads": leads[:, None], "qualified": taken[:, None], "won": won[:, None]},
        channels=["one"],
        periods=N,
    )


def test_a_stage_that_takes_what_it_can_is_named():
    """The same number qualifies whatever comes: said; in proportion: fine; a capacity that is stated is not asked."""
    assert checked(capacity(staffed(0.0), study()), "REVIEW").startswith("qualified hardly follows leads")
    checked(capacity(staffed(1.0), study()), "PASS")
    assert capacity(staffed(0.0), study(economics={"capacity": 200.0})) is None


def rivals(takes: float) -> History:
    """Three channels; the spend of the first takes from the traffic of the second by a power."""
    rng = np.random.default_rng(7)
    spend = np.exp(rng.normal(0.0, 0.4, (N, 3)))
    log = 0.5 * np.log(spend) + rng.normal(0.0, 0.12, (N, 3)) + rng.normal(0.0, 0.1, (N, 1))
    log[:, 1] -= takes * np.log(spend[:, 0])
    counts = {"visitors": np.round(1000.0 * np.exp(log)), "won": 9.0, "spend": 500.0 * spend}
    return history(counts, channels=["one", "two", "three"], periods=N)


def test_a_channel_that_takes_from_another_is_named():
    """The second had some 4 % less for 10 % more spend of the first; channels that only share months do not alarm."""
    said = checked(taking(rivals(0.45)), "REVIEW")
    assert said.startswith("two had ")
    assert said.endswith("more spend of one")
    checked(taking(rivals(0.0)), "PASS")
    assert taking(staffed(1.0)) is None


def diluted(by: float) -> History:
    """Visitors of two channels that scatter by half; fewer of them become leads as more come, by a power."""
    rng = np.random.default_rng(9)
    visitors = np.round(3000.0 * np.exp(rng.normal(0.0, 0.5, (N, 2))))
    leads = rng.binomial(visitors.astype(int), 0.05 * (visitors / 3000.0) ** -by)
    return history({"visitors": visitors, "leads": leads, "won": 9.0}, periods=N)


def test_a_rate_that_falls_with_volume_is_named():
    """Odds fall by some 5 % for each 10 % more visitors; a rate that holds passes; delayed stages are not asked."""
    assert " of moving into leads" in checked(volume(diluted(0.5), study()), "REVIEW")
    checked(volume(diluted(0.0), study()), "PASS")
    assert volume(staffed(1.0), study()) is None


def test_what_a_late_fall_of_the_close_rate_would_show_is_said_where_it_matters():
    """With 10 wins a month behind 90 days no fall shows; with 2,000, or within two weeks, it would: nothing."""
    slow, quick = (study(funnel={"delay": {"won": f"{days} days"}}) for days in (90, 14))
    few, many = (
        history({"leads": 900.0, "qualified": 20.0 * times, "won": 5.0 * times}, periods=N)
        for times in (1, 200)
    )
    said = checked(late_drop(few, slow), "PASS")
    assert said.startswith("no fall in the last 3\xa0months could show yet in won")
    assert late_drop(many, slow) is None
    assert late_drop(few, quick) is None
