"""What has moved within the history: traffic, the value of a deal, spend, and the pace at which units move on.

Each is set against what chance and a slow walk would make, so that a company that stands still hears nothing:

    traffic   m = mean of log e_t - log e_(t-L) over the last year, e all entries, L one or two whole years; of a walk
              with s^2 a period and noise o^2, both learnt from the steps of that difference (Muth 1960)
"""

from __future__ import annotations

import math

import numpy as np

from forecast.history.history import History
from forecast.periods import PERIODS_PER_YEAR
from forecast.words import PASS, REVIEW, Check, message

LEAST_WALK = 0.02  # of traffic, a month, on the log scale
GROWN, SURE_GROWN = 0.2, 2.0  # a year, on the log scale; standard errors

TRAFFIC = "Traffic that grows or shrinks"


def changes(history: History) -> list[Check]:
    """A check for each kind of change that the history is long enough to show."""
    asked = [traffic_trend(history)]
    return [check for check in asked if check is not None]


def traffic_trend(history: History) -> Check | None:
    """Whether entries into the funnel grow or shrink from year to year beyond a slow walk; from two years on."""
    year = PERIODS_PER_YEAR[history.period]
    entries = np.nansum(history.entries, axis=1)
    n = len(entries)
    years = min((n - year) // year, 2)
    if years < 1 or not (entries > 0).all():
        return None
    lag, log = years * year, np.log(entries)
    apart = log[lag:] - log[:-lag]
    steps = np.diff(log[year:] - log[:-year])
    steps = steps - steps.mean() if len(steps) > 3 else np.diff(log) - np.diff(log).mean()
    along = float(np.mean(steps[1:] * steps[:-1]))
    noise, walk = max(-along, 0.0) / 2.0, max(float(np.mean(steps**2)) + 2.0 * along, 0.0) / 2.0
    walk = max(walk, LEAST_WALK**2 * 12 / year)
    kernel = np.convolve(np.full(year, 1.0 / year), np.ones(lag))
    error = math.sqrt(walk * float((kernel**2).sum()) + 2.0 * noise / year)
    moved = float(apart[-year:].mean())
    last = float((log[year:] - log[:-year])[-year:].mean())
    told = {
        "change": math.expm1(last),
        "year": message("{first} to {last}", first=history.labels[-year], last=history.labels[-1]),
    }
    value = message("{change:change} in {year} against the year before, the same periods compared", **told)
    goes_on = last * moved > 0 and abs(last) > GROWN
    if not (goes_on and abs(moved) / years > GROWN and abs(moved) > SURE_GROWN * error):
        return Check(TRAFFIC, PASS, value)
    advice = (
        "Ask whether this goes on: the forecast starts from the last level and does not take for granted that it does. "
        "Tell it what you know as a scenario (scenario.traffic), and decide on the result of both."
    )
    return Check(TRAFFIC, REVIEW, value, advice)
