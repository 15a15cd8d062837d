"""What a posterior, or a split of the budget, is judged by on its own: outside of a whole forecast.

judge        the verdict on a posterior by itself
gain_check   whether the gain of a split is of the size of what the company earns
to_look_at   what a history and a preview of it do not pass now
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from forecast import results
from forecast.budget import Decision
from forecast.checks import FAIL, REVIEW, Check, Verdict
from forecast.fit import Posterior, checked
from forecast.history import History, audit_history
from forecast.outlook import Case
from forecast.study import Study
from forecast.verdict import PREVIEW, deal_law, plausible_gain, verdict


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


def to_look_at(study: Study, history: History, posterior: Posterior, seed: int) -> list[Check]:
    """The checks that a history and a preview of it do not pass now, FAIL first: the audit's, then those of the fit.

    They are those of `forecast check` and of the verdict of a run; that a preview is one is not said again.
    """
    judged = judge(study, history, checked(study, history, posterior, seed)).checks
    found = [*audit_history(history, study), *(c for c in judged if c.name != PREVIEW.name)]
    return sorted((c for c in found if c.status in (FAIL, REVIEW)), key=lambda c: c.status != FAIL)
