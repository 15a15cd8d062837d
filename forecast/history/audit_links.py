"""What moves together where the model has it apart: each a suspicion from steps of logarithms, period to period; and
how far the last rate could have fallen unseen.

    capacity       d log moved_t = a + b d log due_t         b = 1 where a rate holds, 0 where the same number moves on
    taking         d log v_c = a + b d log s_o + own spend + the other channels' traffic       b < 0: o takes from c
    volume         d logit rate_c = a_c + b d log n_c        b < 0: the more come, the fewer of them move on

`due` are the entries of the stage before, spread by the study's delay. Steps, because levels that walk go together by
chance (Granger & Newbold 1974). b and its standard error are of least squares; taking is asked of many pairs, so its p
is multiplied by their number (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from forecast.checks import PASS, REVIEW, Check
from forecast.equations import delay_pmf
from forecast.history.audit_rates import Steps, steps_of
from forecast.history.audit_rows import DELAY_CV, mean_delay
from forecast.history.history import History
from forecast.study import Study
from forecast.words import message, periods

Array = NDArray[np.float64]

LEAST_STEPS = 12
HALF, SURE_CAPACITY, LEAST_MOVED = 0.5, 3.0, 2  # slope; standard errors; units a period
SURE_TAKING, LARGEST = 0.01, 10  # p, over all pairs; channels by traffic, and by spend, that are asked
FALLING, SURE_VOLUME = -0.2, 3.5  # slope; standard errors

LONG, LEAST_WINS = 1.0, 20  # periods of delay; in all
POWER, MATTERS = 2.48, 0.4  # standard errors (one-sided 5 %, power 80 %); share of the rate

LATE = "A late fall of the last rate"
CAPACITY = "A stage that takes what it can"
TAKING = "Channels that take from each other"
VOLUME = "Rates that fall with volume"


def links(history: History, study: Study) -> list[Check]:
    """A check for each kind of link that the history is long enough to show."""
    asked = [capacity(history, study), late_drop(history, study), taking(history), volume(history, study)]
    return [check for check in asked if check is not None]


def late_drop(history: History, study: Study) -> Check | None:
    """How far the rate into the last stage could have fallen, during its last delay, without showing in the counts.

    Of the entries of the last d periods (d the mean delay), e wins would be there by now at the rate of the history. A
    fall by a share x takes x e from the w wins of these periods (of dated leads, from the e themselves): it is found
    four times in five, by a test that errs once in twenty, where x e > (1.64 + 0.84) sqrt(w). Nothing where even a
    fall by `MATTERS` would show. This is no fault of the data, so the check passes: it is said, and alarms nobody.
    """
    if not history.steps:
        return None
    before, stage = history.steps[-1]
    mean, n = mean_delay(history, study, stage), history.periods.size
    above, moved = np.nan_to_num(history.total(before)), np.nan_to_num(history.total(stage))
    late = math.ceil(mean)
    if history.counting == "cohort" or mean < LONG or n < 3 * late or moved.sum() < LEAST_WINS:
        return None
    law = delay_pmf(mean, DELAY_CV, n)
    due = np.convolve(np.concatenate([np.full(n, above[:3].mean()), above]), law)[n : 2 * n]
    young = float((np.cumsum(law)[:late][::-1] * above[-late:]).sum() * moved.sum() / due.sum())
    came = young if stage in history.triangles else float(moved[-late:].sum())
    share = POWER * math.sqrt(max(came, 1.0)) / max(young, 1e-9)
    if share < MATTERS:
        return None
    text = (
        "a fall by {share:percent} or less in the last {late} could not show yet in {stage}; about {young:whole} of "
        "those that entered {before} then would be there: ask sales how the others stand"
    )
    if share >= 1:
        text = (
            "no fall in the last {late} could show yet in {stage}; about {young:whole} of those that entered {before} "
            "then would be there: ask sales how the others stand"
        )
    told = {"share": share, "late": periods(late, history.period), "young": young}
    return Check(LATE, PASS, message(text, stage=stage, before=before, **told))


def _least_squares(y: Array, columns: Sequence[Array]) -> tuple[float, float, int] | None:
    """Slope of the first column beside a constant, its standard error, degrees of freedom; None where unknown."""
    x = np.column_stack([*columns, np.ones(len(y))])
    free = len(y) - x.shape[1]
    if free < LEAST_STEPS // 2 or np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    inverse = np.linalg.inv(x.T @ x)
    slopes = inverse @ (x.T @ y)
    error = math.sqrt(max(float(((y - x @ slopes) ** 2).sum()), 1e-12) / free * float(inverse[0, 0]))
    return float(slopes[0]), error, free


def capacity(history: History, study: Study) -> Check | None:
    """Stages whose total does not follow what is due to enter them: as where a team takes the same number a period.

    Of calendar counts and dated leads; a study that states its capacity is not asked.
    """
    n = history.periods.size
    if history.counting == "cohort" or study.economics.capacity is not None or n <= LEAST_STEPS:
        return None
    found, asked = [], 0
    for before, stage in history.steps:
        if mean_delay(history, study, stage) <= 0:  # nobody works on these: `volume` asks
            continue
        above, moved = history.total(before), history.total(stage)
        if not (np.isfinite(above).all() and np.isfinite(moved).all()) or moved.min() < LEAST_MOVED:
            continue
        law = delay_pmf(mean_delay(history, study, stage), DELAY_CV, n)
        due = np.convolve(np.concatenate([np.full(n, above[:3].mean()), above]), law)[n : 2 * n]
        if due.min() <= 0:
            continue
        x, y = np.diff(np.log(due)), np.diff(np.log(moved))
        fit = _least_squares(y, [x])
        if fit is None:
            continue
        asked += 1
        slope, error, _ = fit
        if slope < HALF and slope - 1.0 < -SURE_CAPACITY * error:
            text = "{stage} hardly follows {before}: 10~% more that are due went with {change:change}"
            found.append(message(text, stage=stage, before=before, change=1.1**slope - 1.0))
    if not asked:
        return None
    if not found:
        return Check(CAPACITY, PASS, "every stage follows what enters the one before")
    advice = (
        "More of them may bring no more customers: ask whether people or slots are the limit. If they are, state it "
        "(economics.capacity) before money is moved into traffic."
    )
    return Check(CAPACITY, REVIEW, message("{found:parts}", found=found), advice)


def taking(history: History) -> Check | None:
    """Channels whose traffic falls as another one's spend rises, beside their own spend and what all others do."""
    with np.errstate(divide="ignore", invalid="ignore"):
        traffic, spend = (np.diff(np.log(values), axis=0) for values in (history.entries, history.spend))
    several = range(len(history.channels))
    eaters = [c for c in _largest(history.spend) if history.paid[c]]
    pairs: list[tuple[float, float, int, int]] = []
    for eaten in _largest(np.nan_to_num(history.entries)):
        for eater in (c for c in eaters if c != eaten):
            others = [c for c in several if c not in (eaten, eater)]
            columns = [spend[:, eater]]
            columns += [traffic[:, others].mean(axis=1)] if others else []
            columns += [spend[:, eaten]] if history.paid[eaten] else []
            there = np.isfinite(np.column_stack([traffic[:, eaten], *columns])).all(axis=1)
            if there.sum() < LEAST_STEPS:
                continue
            fit = _least_squares(traffic[there, eaten], [column[there] for column in columns])
            if fit is not None:
                slope, error, free = fit
                pairs.append((float(stdtr(free, slope / error)), slope, eaten, eater))
    if not pairs:
        return None
    sure = sorted(pair for pair in pairs if pair[0] * len(pairs) < SURE_TAKING)
    if not sure:
        return Check(TAKING, PASS, "no channel's traffic falls as another one's spend rises")
    text = "{eaten} had {less:percent} less traffic for each 10~% more spend of {eater}"
    names = history.channels
    found = [
        message(text, eaten=names[eaten], eater=names[eater], less=1.0 - 1.1**slope)
        for _, slope, eaten, eater in sure
    ]
    advice = (
        "A suspicion, no proof: two channels may win the same visitors, and then more spend is worth less than it is "
        "said to be. Change the spend of the one for some periods, watch the other, and lock it until you know "
        "(channels.NAME.locked)."
    )
    return Check(TAKING, REVIEW, message("{found:list.3}", found=found), advice)


def _largest(values: Array) -> list[int]:
    return [int(c) for c in np.argsort(-values.sum(axis=0), kind="stable")[:LARGEST]]


def volume(history: History, study: Study) -> Check | None:
    """Rates that fall when more units come, at steps whose units can be told apart by period: no delay, or dated."""
    found, asked = [], 0
    for steps in steps_of(history):
        dated = steps.stage in history.triangles or history.counting == "cohort"
        if not dated and mean_delay(history, study, steps.stage) > 0:
            continue
        slopes = _by_volume(steps)
        if not len(slopes):
            continue
        asked += 1
        weight = 1.0 / slopes[:, 1] ** 2
        slope, error = float((weight * slopes[:, 0]).sum() / weight.sum()), float(weight.sum() ** -0.5)
        if slope < FALLING and slope < -SURE_VOLUME * error:
            text = "{less:percent} lower odds of moving into {stage} for each 10~% more units"
            found.append(message(text, stage=steps.stage, less=1.0 - 1.1**slope))
    if not asked:
        return None
    if not found:
        return Check(VOLUME, PASS, "no rate falls as more units come")
    advice = (
        "A suspicion, no proof: further visitors may be worth less than those that come already, or the team may not "
        "keep up. Count on less from more spend than the budget says, and raise it in steps while you watch this rate."
    )
    return Check(VOLUME, REVIEW, message("{found:parts}", found=found), advice)


def _by_volume(steps: Steps) -> Array:
    """Slope of the steps of a rate's logit on those of the log of its units, and its standard error, by channel."""
    slopes = []
    for n, y in zip(steps.above.T, steps.moved.T, strict=True):
        there = n > 0
        rate, units = np.log((y[there] + 0.5) / (n[there] - y[there] + 0.5)), np.log(n[there])
        if there.sum() <= LEAST_STEPS or np.ptp(units) == 0 or y.sum() < LEAST_MOVED * there.sum():
            continue
        fit = _least_squares(np.diff(rate), [np.diff(units)])
        if fit is not None:
            slopes.append(fit[:2])
    return np.array(slopes, dtype=float).reshape(-1, 2)
