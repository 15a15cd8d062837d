"""What the rows themselves show: how they are counted, names that never meet, zeros for blanks, a month cut short.

Calendar or cohort. With above_t the units that entered and f the delay (mean d, cv 0.8) of all steps from there,

    calendar    wins of t ~ rate x sum over a of above_(t - a) f_a
    cohort      wins of t ~ rate x above_t x F(last - t), F the share of the delay that has passed by the last period

Both are laid over the last year and a half, channel by channel, with the rates that fit best, over three delays around
the usual one; the one whose likelihood is higher by `SURE` (on the log scale, negative binomial) is what the numbers
look like. A fall of all stages together is neither: then the last period is not complete.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from forecast.checks import FAIL, REVIEW, Check
from forecast.equations import delay_pmf
from forecast.history.history import History
from forecast.periods import DAYS_PER_PERIOD, PERIODS_PER_YEAR
from forecast.read import BLANK
from forecast.study import DEFAULT_DELAY_DAYS, OTHER_DELAY_DAYS, Study
from forecast.words import Text, message, period_kind, periods

Array = NDArray[np.float64]

DELAY_CV, SCALES = 0.8, (0.5, 1.0, 1.8)  # of the delay, and what is tried of its mean
NOISES = (0.003, 0.01, 0.03, 0.1)  # variance of a period's level, beyond that of counts, over its square
SURE, CERTAIN = 3.0, 8.0  # made companies counted by calendar reach 0.3, nine in ten by cohort are above 3
BEFORE = 24  # periods before the window, taken to be as its first three
LEAST_PERIODS = 6
WAITED = 10.0  # units that should have come in the periods that hold none
LOW, OWN_LOW, FAR = 0.6, 0.8, 3.0  # of the periods before; of a channel's own; standard deviations
LAST = 6  # periods that the last one is laid beside
MOST_CHANNELS = 200
FEW_ROWS = 6


def audit_rows(history: History, study: Study) -> list[Check]:
    """What reading found, and what the rows show of how they were made; nothing where there is nothing to say."""
    asked = [
        *history.found,
        counted_otherwise(history, study),
        cut_short(history),
        zeros_for_blanks(history, study),
        never_meet(history),
        many_channels(history),
    ]
    return [check for check in asked if check is not None]


# ------------------------------------------------------------------------------------------------ calendar or cohort


def counted_otherwise(history: History, study: Study) -> Check | None:
    """Whether counts look as if they were counted the other way than the study says."""
    if history.counting == "leads" or history.periods.size < LEAST_PERIODS:
        return None
    found = _evidence(history, study)
    if not found:
        return None
    name = "Calendar or cohort"
    if history.counting == "calendar":
        stage = max(found, key=lambda name: found[name])
        if found[stage] <= SURE:
            return None
        text = (
            "the last rows of {stage} fall off ({last:list}) where the ones before hold {usual:count} a {kind}, and "
            "{above} do not: so look counts by cohort"
        )
        advice = (
            'Set history.counting = "cohort" if a row counts what became of its leads; else wins are missing.'
        )
        status = FAIL if found[stage] > CERTAIN else REVIEW
    else:
        stage = (
            history.counted[-1] if history.counted[-1] in found else min(found, key=lambda name: found[name])
        )
        if found[stage] >= -SURE:
            return None
        text = (
            "the last rows of {stage} ({last:list}) do not fall off from {usual:count} a {kind}, though much of what "
            "becomes of those {above} is yet to come: so look counts by calendar"
        )
        advice, status = (
            'Set history.counting = "calendar" if a row counts what happened in its period.',
            REVIEW,
        )
    total = np.nan_to_num(history.total(stage))
    told = {"stage": stage, "last": [int(n) for n in total[-3:]], "usual": float(total[:-3].mean())}
    return Check(
        name, status, message(text, above=_entry(history), kind=period_kind(history.period), **told), advice
    )


def _entry(history: History) -> str:
    """The stage from which the delays are counted: leads, else the first."""
    return "leads" if "leads" in history.counted[:-1] else history.counted[0]


def mean_delay(history: History, study: Study, stage: str) -> float:
    """Mean delay into a stage, periods."""
    days = study.funnel.delay.get(stage, DEFAULT_DELAY_DAYS.get(stage, OTHER_DELAY_DAYS))
    return float(days) / DAYS_PER_PERIOD[history.period]


def _evidence(history: History, study: Study) -> dict[str, float]:
    """By stage: log likelihood of counts by cohort less that of counts by calendar."""
    start = history.counted.index(_entry(history))
    window = round(1.5 * PERIODS_PER_YEAR[history.period])
    above, mean, found = history.filled(history.counted[start]), 0.0, {}
    for stage in history.counted[start + 1 :]:
        mean += mean_delay(history, study, stage)
        moved = history.filled(stage)
        use = (above.sum(axis=0) > 0) & (moved[-window:].sum(axis=0) > 0)
        if mean <= 0 or not use.any():
            continue
        tried = [_expected(above[:, use], mean * scale) for scale in SCALES]
        calendar, cohort = (
            max(_likelihood(moved[-window:, use], both[which][-window:]) for both in tried)
            for which in (0, 1)
        )
        found[stage] = cohort - calendar
    return found


def _expected(above: Array, mean: float) -> tuple[Array, Array]:
    """What counts by calendar and by cohort are proportional to, (period, channel) each."""
    n = len(above)
    f = delay_pmf(mean, DELAY_CV, n + BEFORE)
    padded = np.concatenate([np.tile(above[:3].mean(axis=0), (BEFORE, 1)), above])
    calendar = np.stack([np.convolve(column, f)[BEFORE : BEFORE + n] for column in padded.T], axis=1)
    return calendar, above * np.cumsum(f)[:n][::-1, None]


def _likelihood(moved: Array, expected: Array) -> float:
    """Highest log likelihood of the totals, negative binomial, each channel at the rate that fits it."""
    rates = moved.sum(axis=0) / np.maximum(expected.sum(axis=0), 1e-9)
    mean, seen = np.maximum((expected * rates).sum(axis=1), 1e-3), moved.sum(axis=1)
    tried = []
    for noise in NOISES:
        k = 1.0 / noise
        log = gammaln(seen + k) - gammaln(k) + k * np.log(k / (k + mean)) + seen * np.log(mean / (k + mean))
        tried.append(float((log - gammaln(seen + 1)).sum()))
    return max(tried)


# ------------------------------------------------------------------------------------------------------------- edges


def cut_short(history: History) -> Check | None:
    """Whether the last period is far below the ones before in all channels alike: it was not over when exported."""
    stage = history.counted[0]
    cells, total = history.filled(stage), np.nan_to_num(history.total(stage))
    if len(total) < LEAST_PERIODS or total[-1] <= 0:
        return None
    usual = np.array([np.median(total[max(i - LAST, 0) : i]) for i in range(3, len(total))])
    ratio = np.log(np.maximum(total[3:], 0.5) / np.maximum(usual, 0.5))
    spread = float(np.std(ratio[:-1])) if len(ratio) > 2 else 0.0
    own = np.median(cells[-1 - LAST : -1], axis=0)
    big = own >= WAITED
    low = cells[-1, big] < OWN_LOW * own[big]
    if not (ratio[-1] < np.log(LOW) and ratio[-1] < -FAR * spread and big.any() and low.mean() >= OWN_LOW):
        return None
    text = (
        "{last} has {n:whole} {stage}, the periods before about {usual:count}, in nearly all channels alike"
    )
    told = {"last": history.labels[-1], "n": total[-1], "stage": stage, "usual": usual[-1]}
    advice = message(
        'If it was not over when the file was made, set history.through = "{end}".', end=history.labels[-2]
    )
    return Check("Last period like the others", REVIEW, message(text, **told), advice)


def zeros_for_blanks(history: History, study: Study) -> Check | None:
    """Stages whose counts begin with a run of zeros while the stage before was busy: they were not recorded yet."""
    found: list[Text] = []
    for before, stage in history.steps:
        if stage in history.triangles and before == "leads":
            continue  # `audit_cohorts` asks this of the first step of dated leads
        above, moved = history.filled(before), history.filled(stage)
        total = moved.sum(axis=1)
        run = int((total > 0).argmax()) if (total > 0).any() else 0
        if run == 0 or np.isnan(history.total(stage)[:run]).any():
            continue
        if stage in history.triangles:
            waited = _due(
                np.asarray(history.triangles[stage].values.sum(axis=2), dtype=float), above.sum(axis=1), run
            )
        else:  # what moves on in these periods came before them, up to twice the usual delay
            lag = round(2 * mean_delay(history, study, stage))
            waited = above[: max(run - lag, 0)].sum() * total[run:].sum() / max(above[run:].sum(), 1.0)
        if waited >= WAITED:
            text = "no {stage} in {first} to {last}, where about {n:count} should have come"
            told = {"stage": stage, "first": history.labels[0], "last": history.labels[run - 1]}
            found.append(message(text, n=float(waited), **told))
    if not found:
        return None
    advice = "Not recorded then? Leave the cells empty (counts), or start later: history.from. A 0 says that none came."
    return Check("Zeros before the first count", REVIEW, message("{found:parts}", found=found), advice)


def _due(triangle: Array, above: Array, run: int) -> float:
    """How many should have moved on in the first `run` periods, had ages moved on as later; (cohort, age)."""
    n = len(triangle)
    when = np.add.outer(np.arange(n), np.arange(n))
    later = (when >= run) & (when < n)
    units = np.where(later, above[:, None], 0.0).sum(axis=0)
    hazard = np.where(later, triangle, 0.0).sum(axis=0) / np.maximum(units, 1.0)
    return float((np.where(when < run, above[:, None], 0.0) * hazard).sum())


# ------------------------------------------------------------------------------------------------------------- names


def never_meet(history: History) -> Check | None:
    """Channels with spend or visits and not one lead, beside channels with leads and neither: one, under two names."""
    if "leads" not in history.counted:
        return None
    before = [name for name in history.counted[: history.counted.index("leads")] if name in history.counts]
    active = history.paid | np.logical_or.reduce(
        [(history.filled(name) > 0).any(axis=0) for name in before], axis=0
    )
    leads = history.filled("leads").sum(axis=0) > 0
    names = np.array(history.channels, dtype=object)
    silent = [str(name) for name in names[active & ~leads]]
    alone = [str(name) for name in names[leads & ~active] if name != BLANK]
    if not (silent and alone):
        return None
    text = "spend or visits and not one lead: {silent:list.4}; leads and neither: {alone:list.4}"
    advice = "If they are the same channels under two names, use one name in both files."
    return Check("Names that never meet", REVIEW, message(text, silent=silent, alone=alone), advice)


def many_channels(history: History) -> Check | None:
    """So many channels, or so many numbers for names, that campaigns may stand in the column of channels."""
    names = history.channels
    numeric = sum(name.isdigit() for name in names)
    rows = (
        np.isfinite(np.stack([values.values for values in history.counts.data_vars.values()]))
        .any(axis=0)
        .sum()
    )
    ids = len(names) > 20 and numeric > 0.8 * len(names) and rows < FEW_ROWS * len(names)
    if len(names) <= MOST_CHANNELS and not ids:
        return None
    text = "{n:whole} channels, {each} each, such as {names:list.3}"
    advice = "Is it a campaign or an ad in the column of channels? Add rows up by channel: so few counts teach nothing."
    each = periods(round(rows / len(names), 1), history.period)
    told = {"n": len(names), "each": each, "names": names[:3]}
    return Check("Number of channels", REVIEW, message(text, **told), advice)
