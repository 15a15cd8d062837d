"""Traces in the rates: levels that jump, qualification against the close rate, blanks that convert otherwise.

Rates are compared channel by channel, so that another mix of channels is not taken for another rate:

    change of a channel   D = logit(y2 / n2) - logit(y1 / n1),  V = 1/y1 + 1/(n1 - y1) + 1/y2 + 1/(n2 - y2)
    change of all         sum (D / V) / sum (1 / V); its variance 1 / sum (1 / V), or that of the periods' own noise
                          where it is larger, + s^2 2 w / 3 for a walk of s a period and w periods each side

With dated leads y counts those of a cohort that moved on within the first `WITHIN` periods, so that young cohorts
compare with old ones; in counts by cohort the last half year is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from forecast.checks import PASS, REVIEW, Check
from forecast.history.history import History
from forecast.periods import PERIODS_PER_YEAR
from forecast.words import message

Array = NDArray[np.float64]

STEP = 0.05  # of a rate's walk, a month, on the logit scale
WITHIN = 2  # periods after the cohort's own
LEAST = 4  # periods on each side of a change
SURE, LARGE = 3.5, 0.25  # standard errors, and on the logit scale: about a quarter of the odds
MOVED, AGAINST = 3.0, 2.0  # standard errors of the two rates that move in opposite directions
BLANKS = {name for word in ("blank", "unknown", "not set", "none") for name in (word, f"({word})")} | {
    "n/a",
    "na",
    "?",
}
RARE, FEW_UNITS = 0.01, 20

JUMP, OPPOSITE = "Rates that jump", "Qualification against close rate"


@dataclass(frozen=True, eq=False)
class Steps:
    """Units that moved on (`moved`) of those that could (`above`), by period and channel; `labels` of the periods."""

    stage: str
    above: Array
    moved: Array
    labels: list[str]


@dataclass(frozen=True)
class Change:
    """A change of level: on the logit scale, its standard error, and the pooled rate before and after."""

    size: float
    error: float
    before: float
    after: float

    @property
    def z(self) -> float:
        """The change over its standard error."""
        return self.size / self.error


def steps_of(history: History) -> list[Steps]:
    """Every transition with both stages counted, in the periods that can be compared with each other."""
    found = []
    for before, stage in history.steps:
        above = np.asarray(history.counts[before].values, dtype=float)
        moved = np.asarray(history.counts[stage].values, dtype=float)
        until = len(above)
        if stage in history.triangles:
            moved = np.asarray(history.triangles[stage].values[:, : WITHIN + 1].sum(axis=1), dtype=float)
            until -= WITHIN
        elif history.counting == "cohort":
            until -= PERIODS_PER_YEAR[history.period] // 2
        there = np.isfinite(above) & np.isfinite(moved)
        fits = there & (moved <= above)
        if until >= 2 * LEAST:
            kept = [np.where(fits, values, 0.0)[:until] for values in (above, moved)]
            found.append(Steps(stage, kept[0], kept[1], history.labels[:until]))
    return found


def change(steps: Steps, at: int, width: int, noise: tuple[float, float] = (0.0, 0.0)) -> Change | None:
    """The change of level at period `at`, of the `width` periods from there against the `width` before; None if unseen.

    noise: variances of a period's observation and of a step of the walk, on the logit scale.
    """
    early, late = slice(max(at - width, 0), at), slice(at, at + width)
    n1, y1, n2, y2 = (
        values[part].sum(axis=0) for part in (early, late) for values in (steps.above, steps.moved)
    )
    seen = (n1 > 0) & (n2 > 0) & (y1 + y2 > 0) & (y1 + y2 < n1 + n2)
    if not seen.any():
        return None
    n1, y1, n2, y2 = (values[seen] for values in (n1, y1, n2, y2))
    size = np.log((y2 + 0.5) / (n2 - y2 + 0.5)) - np.log((y1 + 0.5) / (n1 - y1 + 0.5))
    variance = 1 / (y1 + 0.5) + 1 / (n1 - y1 + 0.5) + 1 / (y2 + 0.5) + 1 / (n2 - y2 + 0.5)
    weight = 1 / variance
    w1, w2 = min(at, width), min(len(steps.above) - at, width)
    observed, walk = noise
    error = max(1 / weight.sum(), observed * (1 / w1 + 1 / w2)) + walk * (w1 + w2) / 3
    rates = (float(y1.sum() / n1.sum()), float(y2.sum() / n2.sum()))
    return Change(float((weight * size).sum() / weight.sum()), float(np.sqrt(error)), *rates)


def noise_of(steps: Steps, at: int, period: str) -> tuple[float, float]:
    """Variances of a period's observation and of a step of the walk, from a rate's own steps but the one at `at`.

    Of a level that walks and is seen with noise, steps have the variance walk + 2 noise and the covariance with the
    next one -noise (Muth 1960). The walk is at least `STEP` a month.
    """
    least = STEP**2 * 12 / PERIODS_PER_YEAR[period]
    n, y = steps.above.sum(axis=1), steps.moved.sum(axis=1)
    rate = np.where(n > 0, np.log((y + 0.5) / (np.maximum(n - y, 0) + 0.5)), np.nan)
    step = np.diff(rate)
    step[at - 1] = np.nan
    if not np.isfinite(step).any():
        return 0.0, least
    variance, pairs = np.nanmean(step**2), step[1:] * step[:-1]
    together = float(np.nanmean(pairs)) if np.isfinite(pairs).any() else 0.0
    return max(-together, 0.0), max(float(variance) + 2 * together, least)


class Jump(NamedTuple):
    """A change of level of the rate into a stage, at the period of this index."""

    stage: str
    at: int
    label: str
    change: Change


def found_jumps(history: History) -> list[Jump]:
    """The sharpest change of level of each rate, where it is beyond what its walk and the chance of counts explain."""
    width, found = max(PERIODS_PER_YEAR[history.period] // 2, LEAST), []
    for steps in steps_of(history):
        places = range(LEAST, len(steps.above) - LEAST + 1)
        changes = ((change(steps, at, width, noise_of(steps, at, history.period)), at) for at in places)
        made = [(seen, at) for seen, at in changes if seen is not None]
        if not made:
            continue
        sharpest, at = max(made, key=lambda pair: abs(pair[0].z))
        if abs(sharpest.z) > SURE and abs(sharpest.size) > LARGE:
            found.append(Jump(steps.stage, at, steps.labels[at], sharpest))
    return found


def jumps(history: History) -> Check | None:
    """Transitions whose rate changes its level at once."""
    if not steps_of(history):
        return None
    text = "into {stage} {before:.1%} before {period}, {after:.1%} from then on"
    found = [
        message(text, stage=jump.stage, period=jump.label, before=jump.change.before, after=jump.change.after)
        for jump in found_jumps(history)
    ]
    if not found:
        return Check(JUMP, PASS, "no rate changes its level beyond its walk and chance")
    advice = "Without a cause in the market this is mostly a new definition: agree on criteria, note when they change."
    return Check(JUMP, REVIEW, message("{found:parts}", found=found), advice)


def opposite(history: History) -> Check | None:
    """Whether the qualification rate and the one after it moved against each other, from one year to the next."""
    stages = {steps.stage: steps for steps in steps_of(history)}
    if "qualified" not in stages or history.stages[-1] == "qualified":
        return None
    after = history.stages[history.stages.index("qualified") + 1]
    if after not in stages:
        return None
    year, made = PERIODS_PER_YEAR[history.period], []
    for steps in (stages["qualified"], stages[after]):
        width = min(max(year, LEAST), len(steps.above) // 2)
        made.append(change(steps, len(steps.above) - width, width, (0.0, STEP**2 * 12 / year)))
    if made[0] is None or made[1] is None:
        return None
    first, second = made[0], made[1]
    told = [
        message("into {stage} {before:.1%} to {after:.1%}", stage=stage, before=c.before, after=c.after)
        for stage, c in (("qualified", first), (after, second))
    ]
    text = message("{rates:list}", rates=told)
    moved = (abs(first.z), abs(second.z))
    if first.z * second.z < 0 and max(moved) > MOVED and min(moved) > AGAINST:
        advice = "Marketing and sales may not mean the same by qualified: agree on the criteria."
        return Check(OPPOSITE, REVIEW, text, advice)
    return Check(OPPOSITE, PASS, text)


def blanks(history: History) -> Check | None:
    """Whether leads without a channel convert like the others of their periods (Mantel & Haenszel 1959)."""
    stage = "leads" if "leads" in history.stages else history.stages[0]
    units = np.nansum(history.counts[stage].values, axis=0)
    blank = [name.strip().casefold() in BLANKS for name in history.channels]
    names = [i for i in range(len(blank)) if blank[i] and units[i] >= FEW_UNITS]
    if not names:
        return None
    text = "{channel}: {rate:.1%} of {n:whole} into {stage}, {others:.1%} elsewhere (a difference by chance: {chance})"
    found = []
    for before, after in history.steps[history.counted.index(stage) :]:
        above, moved = history.filled(before), history.filled(after)
        if after in history.triangles:
            moved = np.asarray(history.triangles[after].values.sum(axis=1), dtype=float)
        for i in names:
            if (seen := _against_others(above, moved, i)) is None:
                continue
            rate, others, p = seen
            told = {"channel": history.channels[i], "rate": rate, "n": above[:, i].sum(), "others": others}
            chance = message("below {p:.1%}" if p < 0.001 else "{p:.1%}", p=max(p, 0.001))
            found.append((message(text, stage=after, chance=chance, **told), p < RARE))
    if not found:
        return None
    name, odd = "Attribution blanks convert alike", [said for said, rare in found if rare]
    if not odd:
        return Check(name, PASS, message("{found:parts}", found=[said for said, _ in found]))
    advice = "What converts is credited to no channel: have the source of every lead recorded."
    return Check(name, REVIEW, message("{found:parts}", found=odd), advice)


def _against_others(above: Array, moved: Array, i: int) -> tuple[float, float, float] | None:
    """Rate of channel i, of the others, and the chance of so large a difference if they were alike."""
    n1, y1 = above[:, i], moved[:, i]
    n2, y2 = above.sum(axis=1) - n1, moved.sum(axis=1) - y1
    use = (n1 > 0) & (n2 > 0) & (y1 <= n1) & (y2 <= n2)
    n1, y1, n2, y2 = (values[use] for values in (n1, y1, n2, y2))
    n, y = n1 + n2, y1 + y2
    variance = (n1 * n2 * y * (n - y) / (n**2 * np.maximum(n - 1, 1))).sum()
    if variance <= 0:
        return None
    z = (y1 - n1 * y / n).sum() / np.sqrt(variance)
    return float(y1.sum() / n1.sum()), float(y2.sum() / n2.sum()), float(2 * ndtr(-abs(z)))
