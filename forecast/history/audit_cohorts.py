"""What a file of dated leads leaves out: cases that are still open, and what happened before its beginning.

Both are seen in the first step of the funnel, set against the file's own law of the delay. Of the n_t leads of period t
a share h_a moves on (or is lost) at age a, learnt from cohorts that the selection does not touch:

    settled only     open now, against   sum over the last periods of n_t (1 - H_age),   H of the older half of cohorts
    begins later     none moved on in the first k periods, against   sum over t < k of n_t (h_0 + .. + h_(k-1-t))

Files of settled cases end with cohorts that are too small, each with too high a rate. A file whose deals begin later
than its leads (Olist: leads from June, deals from December) starts with cohorts that seem to convert hardly at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.checks import PASS, REVIEW, Check
from forecast.history.history import History
from forecast.words import Text, message, together

Array = NDArray[np.float64]

EXPECTED = 10.0  # cases that should be there, from which none is no chance
FEW = 0.1  # of those expected to be open
SETTLED, BEGINS = "Open cases in the file", "Events from the beginning"


def left_out(history: History) -> list[Check]:
    """The two questions, of dated leads; none of counts."""
    if history.counting != "leads" or not history.triangles or len(history.periods) < 4:
        return []
    return [_settled_only(history), _begins_later(history)]


def _settled_only(history: History) -> Check:
    before, stage = next(step for step in history.steps if step[1] in history.triangles)
    n = history.filled(before).sum(axis=1)
    gone = history.triangles[stage].values.sum(axis=2).astype(float)
    if stage in history.losses:
        gone = gone + history.losses[stage].values.sum(axis=2)
    half = len(n) // 2
    share = np.cumsum(gone[: len(n) - half].sum(axis=0)) / max(n[: len(n) - half].sum(), 1.0)
    ages = len(n) - 1 - np.arange(half, len(n))
    usual = float((n[half:] * (1.0 - np.minimum(share[ages], 1.0))).sum())
    still = float((n - gone.sum(axis=1))[half:].sum())
    told = {
        "open": still,
        "usual": usual,
        "n": float(n[half:].sum()),
        "from": history.labels[half],
        "before": before,
    }
    if usual < EXPECTED or still > FEW * usual:
        return Check(
            SETTLED, PASS, message("{open:whole} of the {n:whole} {before} since {from} are open", **told)
        )
    text = "{open:whole} of the {n:whole} {before} since {from} are open, where about {usual:whole} would be"
    advice: Text = (
        "The file seems to hold settled cases only, so its last periods hold too few leads: export all leads, open "
        "ones too, or end the history before they thin out (history.through)."
    )
    return Check(SETTLED, REVIEW, message(text, **told), advice)


def _begins_later(history: History) -> Check:
    found = [said for before, stage in history.steps if (said := _beginning(history, before, stage))]
    if not found:
        return Check(BEGINS, PASS, "every stage is dated from the beginning")
    advice = (
        "What happened before is not in the file: start the history where it is (history.from), or add it."
    )
    return Check(BEGINS, REVIEW, together(*found, between="; "), advice)


def _beginning(history: History, before: str, stage: str) -> Text:
    """What is said where a stage begins too late for chance; empty where it does not."""
    if stage not in history.triangles:
        return ""
    n = history.filled(before).sum(axis=1)
    moved = history.triangles[stage].values.sum(axis=2).astype(float)
    late = int((history.total(stage) > 0).argmax())
    whole = np.arange(len(n))[:, None] + np.arange(moved.shape[1]) < len(n)
    whole[:late] = False
    entered = (n[:, None] * whole).sum(axis=0)
    share = np.divide((moved * whole).sum(axis=0), entered, out=np.zeros_like(entered), where=entered > 0)
    usual = float(sum(n[t] * share[: late - t].sum() for t in range(late)))
    if usual < EXPECTED:
        return ""
    text = (
        "no {stage} before {period}, where about {usual:whole} of the {n:whole} {before} until then would be"
    )
    told = {"stage": stage, "period": history.labels[late], "usual": usual, "n": float(n[:late].sum())}
    return message(text, before=before, **told)
