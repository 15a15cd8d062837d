"""What a posterior, or a split of the budget, is judged by on its own: outside of a whole forecast.

judge        the verdict on a posterior by itself
gain_check   whether the gain of a split is of the size of what the company earns
weighed      whether numbers that do not fit their neighbours make the forecast
to_look_at   what a history and a preview of it do not pass now
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forecast import results
from forecast.budget import Decision
from forecast.checks import FAIL, REVIEW, Check, Verdict
from forecast.fit import Posterior, checked
from forecast.history import History, audit_history, read_plan, without_strays
from forecast.outlook import Case
from forecast.study import Study
from forecast.verdict import PREVIEW, deal_law, plausible_gain, verdict
from forecast.words import message, together

Array = NDArray[np.float64]

WEIGHED = 1000  # draws in closed form, for what the forecast would be without a few odd numbers
SPEND_MOVED = 0.25  # of the planned spend, by odd numbers in what is spent now


def gain_check(case: Case, made: Decision) -> list[Check]:
    """Whether the gain of a split is of the size of what the company earns."""
    found = made.allocation
    gain, best = float(found.gain.mean()), float(found.best.sum())
    return plausible_gain(case.study, case.history, case.plan, gain, best)


def judge(
    study: Study,
    history: History,
    posterior: Posterior,
    allocation: pd.DataFrame | None = None,
    plausible: Sequence[Check] = (),
) -> Verdict:
    """The verdict on a posterior by itself: sampling, model against history, priors, delays, deals; not the audit.

    With a budget that was divided, its `allocation`, and whether its gain is `plausible`.
    """
    divided = None if allocation is None else list(allocation["channel"])
    return verdict(
        posterior,
        results.framed("audit"),
        results.delay_table(study, history, posterior),
        results.framed("allocation") if allocation is None else allocation,
        deals=deal_law(history),
        plausible=plausible,
        evidence=None if divided is None else results.evidence_table(study, history, posterior, divided),
    )


Again = Callable[[History, Posterior, Array], tuple[Case, xr.Dataset]]


def weighed(found: Check, case: Case, draws: xr.Dataset, again: Again, seed: int) -> Check:
    """FAIL where numbers that do not fit their neighbours move the forecast beyond an 80 % band, or the plan.

    found: the check that names them; draws: futures of the case under its plan. `again` asks the same of the history
    with those numbers at what is usual around them, fitted in closed form, under a plan (period, channel).
    """
    study, history = case.study, without_strays(case.history)
    plan = np.asarray(read_plan(study, history).values, dtype=float)
    if not np.array_equal(case.plan, np.asarray(read_plan(study, case.history).values, dtype=float)):
        plan = case.plan  # given by hand
    from forecast.fit import preview  # loaded where it is asked

    other, ahead = again(history, preview(study, history, seed=seed, draws=WEIGHED), plan)
    measure = "revenue" if case.valued and other.valued else "won"
    here, there = (results.total_draws(each, "given", measure) for each in (draws, ahead))
    (low, high), usual = np.quantile(here, (0.1, 0.9)), float(there.mean())
    spend, planned = float(plan.sum()), float(case.plan.sum())
    least, most = np.quantile(there, (0.1, 0.9))
    moved = not (low <= usual <= high and least <= here.mean() <= most)  # what is odd widens its own band
    if not moved and abs(planned - spend) <= SPEND_MOVED * spend:
        return found
    told = {
        "measure": measure,
        "unit": message(" {cur}", cur=study.currency) if measure == "revenue" else "",
        "usual": usual,
    }
    text = "{value}; with them at what is usual {usual:number}{unit} of {measure} are expected, not {mean:number}"
    if not moved:
        text = "{value}; with them at what is usual the plan spends {spend:whole} {currency}, not {planned:whole}"
    value = message(text, value=found.value, mean=float(here.mean()), spend=spend, planned=planned,
                    currency=study.currency, **told)  # fmt: skip
    advice = together("These numbers make the forecast.", found.advice)
    return replace(found, status=FAIL, value=value, advice=advice)


def to_look_at(study: Study, history: History, posterior: Posterior, seed: int) -> list[Check]:
    """The checks that a history and a preview of it do not pass now, FAIL first: the audit's, then those of the fit.

    They are those of `forecast check` and of the verdict of a run; that a preview is one is not said again.
    """
    judged = judge(study, history, checked(study, history, posterior, seed)).checks
    found = [*audit_history(history, study), *(c for c in judged if c.name != PREVIEW.name)]
    return sorted((c for c in found if c.status in (FAIL, REVIEW)), key=lambda c: c.status != FAIL)
