"""What has moved within the history: traffic, the value of a deal, spend, and the pace at which units move on.

Each is set against what chance and a slow walk would make, so that a company that stands still hears nothing:

    traffic   m = mean of log e_t - log e_(t-L) over the last year, e all entries, L one or two whole years; of a walk
              with s^2 a period and noise o^2, both learnt from the steps of that difference (Muth 1960)
    value     revenue over what the same deals bring at their channel's mean; that of n deals has variance n (cv mean)^2
    spend     log of current spend over its geometric mean, against its steps from one period to the next
    pace      moves of the youngest cohorts at the ages that they have reached, against the hazards of the older ones
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from forecast.checks import PASS, REVIEW, Check
from forecast.history.history import CURRENT_PERIODS, History
from forecast.periods import PERIODS_PER_YEAR
from forecast.words import Text, message, together

Array = NDArray[np.float64]

LEAST_PERIODS = 3
NORMAL = 0.6745  # the median of |z|
LEAST_WALK = 0.02  # of traffic, a month, on the log scale
GROWN, SURE_GROWN = 0.2, 2.0  # a year, on the log scale; standard errors
FEW_DEALS, MOVED_VALUE, LEAST_CV = 20, 0.1, 0.01  # deals; on the log scale; of a price list
SURE_STEP, SURE_DRIFT = 2.8, 2.5  # standard errors
FAR, SHARE, SURE_MOVED = 1.5, 0.05, 3.0  # times the usual amount; of all spend; standard errors
FEW_DUE, SLOWER, SURE_SLOWER = 8.0, 0.7, 2.4  # moves that older cohorts had; share of them; standard errors

TRAFFIC = "Traffic that grows or shrinks"
VALUE = "Value of a deal over time"
SPEND = "Spend as it was"
PACE = "Pace of the newest cohorts"


def changes(history: History) -> list[Check]:
    """A check for each kind of change that the history is long enough to show."""
    asked = [traffic_trend(history), value_of_a_deal(history), spend_moved(history), pace(history)]
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
        "Ask whether this goes on: the forecast carries the trend on and lets it fade by a tenth a month. Tell it what "
        "you know: a change that holds from a period on (change.traffic), or a scenario (scenario.traffic) beside it."
    )
    return Check(TRAFFIC, REVIEW, value, advice)


def value_of_a_deal(history: History) -> Check | None:
    """Whether deals of a channel came to bring more or less money, at once or steadily, beyond the chance of deals."""
    deals, money = history.paid_wins
    some = (deals.sum(axis=0) > 0) & (money.sum(axis=0) > 0)
    deals, money = deals[:, some], money[:, some]
    mean = money.sum(axis=0) / np.maximum(deals.sum(axis=0), 1.0)
    used, n = deals > 0, len(deals)
    width = max(PERIODS_PER_YEAR[history.period] // 4, LEAST_PERIODS)
    free = int(used.sum()) - int(some.sum())
    if n < 2 * width or deals.sum() < FEW_DEALS or free < width:
        return None
    usual = deals * mean
    cv2 = max(float(((money - usual)[used] ** 2 / (usual * mean)[used]).sum()) / free, LEAST_CV**2)
    usual, seen, variance = usual.sum(axis=1), money.sum(axis=1), (usual * mean).sum(axis=1) * cv2
    sharpest, at = 0.0, n
    for start in range(max(n // 3, width), n - width + 1):
        parts = slice(start), slice(start, None)
        least = min(float(usual[p].sum()) for p in parts)
        if least <= 0 or min(float(seen[p].sum()) for p in parts) <= 0:
            continue
        early, late = (float(seen[p].sum() / usual[p].sum()) for p in parts)
        z = (late - early) / math.sqrt(sum(variance[p].sum() / usual[p].sum() ** 2 for p in parts))
        if at == n or abs(z) > abs(sharpest):
            sharpest, at = float(z), start
    time = np.arange(n) - np.average(np.arange(n), weights=usual)
    along = float((time * (seen - usual)).sum() / math.sqrt(max((time**2 * variance).sum(), 1e-300)))
    if at == n:
        return None
    each = float(seen.sum() / deals.sum())
    before, after = (float(each * seen[p].sum() / usual[p].sum()) for p in (slice(at), slice(at, None)))
    told = {"before": before, "after": after, "from": history.labels[at]}
    if (
        max(abs(sharpest) - SURE_STEP, abs(along) - SURE_DRIFT) < 0
        or abs(math.log(after / before)) < MOVED_VALUE
    ):
        value = message("{each:number} a deal, without a step or drift beyond the chance of {n:whole} deals",
                        each=each, n=float(deals.sum()))  # fmt: skip
        return Check(VALUE, PASS, value)
    text = "{after:number} a deal from {from} on, {before:number} before, at the same mix of channels"
    if abs(along) - SURE_DRIFT > abs(sharpest) - SURE_STEP:
        text = (
            "{after:number} a deal from {from} on, {before:number} before, at the same mix of channels; it moves "
            "steadily"
        )
    advice = (
        "Ask whether prices, products or customers changed. The forecast follows with today's value of a deal; a "
        "change of price that you know, its period and its size belong in the study (change.price)."
    )
    return Check(VALUE, REVIEW, message(text, **told), advice)


def spend_moved(history: History) -> Check | None:
    """Channels whose current spend lies far from their usual one, beyond its scatter, and did not a year ago either."""
    if not history.paid.any() or history.periods.size < 2 * LEAST_PERIODS:
        return None
    year, n = PERIODS_PER_YEAR[history.period], history.periods.size
    spend, usual, now = history.spend, history.spend_reference, history.current_spend
    share = np.maximum(now / max(now.sum(), 1e-9), spend.sum(axis=0) / spend.sum())
    found = []
    for c in np.flatnonzero(history.paid & (now > 0) & (share > SHARE)):
        path = spend[spend[:, c] > 0, c]
        if len(path) < 2 * LEAST_PERIODS:
            continue
        scatter = float(np.median(np.abs(np.diff(np.log(path))))) / NORMAL / math.sqrt(2.0)
        moved = math.log(now[c] / usual[c])
        then = spend[max(n - year - CURRENT_PERIODS, 0) : max(n - year, 0), c].mean() if n > year else 0.0
        seasonal = (
            then > 0
            and abs(math.log(then / usual[c])) > math.log(FAR)
            and math.log(then / usual[c]) * moved > 0
        )
        sure = abs(moved) > SURE_MOVED * scatter / math.sqrt(CURRENT_PERIODS)
        if abs(moved) > math.log(FAR) and sure and not seasonal:
            text = "{channel} {times:number.2} times its usual amount"
            found.append(message(text, channel=history.channels[c], times=now[c] / usual[c]))
    if not found:
        text = "no channel spends beyond {far:exact} times, or below {low:exact} of, its usual amount"
        return Check(SPEND, PASS, message(text, far=FAR, low=round(1.0 / FAR, 2)))
    advice = (
        "What spend brings was learnt around the usual amounts; what today's brings is partly a curve drawn on. Read "
        "the gain of moving these channels with care, and test it (a [[lift_test]], or a change on purpose)."
    )
    return Check(SPEND, REVIEW, message("{found:list.4}", found=found), advice)


def pace(history: History) -> Check | None:
    """Whether the youngest cohorts of dated units move on less than older ones did at the same ages, by stage."""
    told = [_pace(history, before, stage) for before, stage in history.steps if stage in history.triangles]
    asked = [said for said in told if said is not None]
    if not asked:
        return None
    slow = [said for said in asked if said]
    if not slow:
        return Check(PACE, PASS, "the youngest cohorts move on as older ones did at their age")
    advice = (
        "Either the delay has lengthened or the rate has fallen; young cohorts cannot tell yet which. Ask sales what "
        "changed, and look at the forecast with the longer delay or the lower rate (scenario.delay, scenario.rate)."
    )
    return Check(PACE, REVIEW, together(*slow, between="; "), advice)


def _pace(history: History, before: str, stage: str) -> Text | None:
    """What is said where the youngest cohorts are slow; empty where they are not, None where too few are due."""
    moved = history.triangles[stage].values.sum(axis=2).astype(float)
    gone = moved + (history.losses[stage].values.sum(axis=2) if stage in history.losses else 0.0)
    entered, n = history.filled(before).sum(axis=1), len(moved)
    ages = gone.shape[1]
    seen = np.arange(n)[:, None] + np.arange(ages) < n
    left = np.where(seen, np.maximum(entered[:, None] - np.cumsum(gone, axis=1) + gone, 0.0), 0.0)
    moved = np.where(seen, moved, 0.0)
    slowest: tuple[float, int, float, float] = (math.inf, 0, 0.0, 0.0)
    for young in range(LEAST_PERIODS, n // 3 + 1):
        old = slice(0, n - young)
        hazard = moved[old].sum(axis=0) / np.maximum(left[old].sum(axis=0), 1.0)
        usual = left * hazard
        early = usual[old, :young].sum(axis=1), moved[old, :young].sum(axis=1)
        scatter = max(1.0, float(np.mean((early[1] - early[0]) ** 2 / np.maximum(early[0], 0.5))))
        came, due = float(moved[n - young :].sum()), float(usual[n - young :].sum())
        if due < FEW_DUE:
            continue
        z = (came - due) / math.sqrt(due * scatter * n / (n - young))
        slowest = min(slowest, (z, young, came, due))
    z, young, came, due = slowest
    if young == 0:
        return None
    if z > -SURE_SLOWER or came > SLOWER * due:
        return ""
    text = (
        "{came:whole} {stage} of the {before} since {from}, where older ones had {due:whole} at the same age"
    )
    told = {"came": came, "due": due, "stage": stage, "before": before, "from": history.labels[n - young]}
    return message(text, **told)
