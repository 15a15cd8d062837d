"""Whether the plan of future spend follows a spender's year: the two rules of `plan.spend`, tried on the past."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forecast.checks import PASS, REVIEW, Check
from forecast.history.history import CURRENT_PERIODS, History
from forecast.periods import PERIODS_PER_YEAR
from forecast.study import LAST_YEAR, Study
from forecast.words import message, periods

MISSED = 0.10  # mean relative miss of the current plan below which no other is worth a word
CLEARER = 0.67  # share of that miss which last year's plan may leave
YEARS = 2  # of history that show a season of spend


def seasonal_spend(history: History, study: Study) -> Check | None:
    """Whether last year's spend would have told the coming spend far better than the current one; from two years on.

    At each period of the last year but the end, what was spent over the next periods (a quarter of a year at most) is
    set against both rules, as |log(planned / spent)|. Asked where the study plans by one of the rules.
    """
    year = PERIODS_PER_YEAR[history.period]
    n, recent = history.periods.size, year // 4
    if study.plan.spend not in ("current", LAST_YEAR) or n < YEARS * year or not history.paid.any():
        return None
    ahead = min(study.plan.periods, recent)
    missed = []
    for known in range(max(n - year, year + recent), n - ahead + 1):
        past = replace(history, counts=history.counts.isel(period=slice(0, known)))
        came = float(history.spend[known : known + ahead].sum())
        plans = ahead * past.spend[-CURRENT_PERIODS:].mean(axis=0).sum(), past.spend_last_year(ahead).sum()
        if came > 0 and min(plans) > 0:
            missed.append([abs(float(np.log(plan / came))) for plan in plans])
    if not missed:
        return None
    now, then = np.expm1(np.mean(missed, axis=0))
    told = {"n": len(missed), "ahead": periods(ahead, history.period), "now": float(now), "then": float(then)}
    tried = message(
        "the spend of the next {ahead} was missed by {now:percent} by the mean of the last three, by "
        "{then:percent} by the same ones a year before ({n} times tried)",
        **told,
    )
    seasonal = now >= MISSED and then <= CLEARER * now
    if not seasonal or study.plan.spend == LAST_YEAR:
        return Check("Spend follows the plan", PASS, tried)
    advice = (
        'Spend has a season, or a trend: set plan.spend = "last year", or give the plan (a CSV, or amounts).'
    )
    return Check("Spend follows the plan", REVIEW, tried, advice)
