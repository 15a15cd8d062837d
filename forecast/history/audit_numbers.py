"""Numbers that do not fit their neighbours (a slip of the decimal point), and money that does not fit its wins.

A cell x of a measure and channel is set against the median m of the `NEAR` recorded cells nearest in time:

    d = log(x / m),   suspect where |d| > log `FACTOR`   and   |d| > `CLEAR` sqrt(s^2 + 1 / x + 1 / m)

s: the series' own scatter, 1.4826 times the median |d| of its cells, so that a lumpy series has to stray much farther;
1 / x + 1 / m for counts only (Poisson). What has a reason is not suspect: the same season a year before or after is as
high or low; or a measure beside it (spend and traffic, one stage and the next, wins and revenue) moves the same way in
that cell, which a slip in one column does not do. Where every channel strays at once that is no reason: then a row, or
a whole export, was off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.checks import FAIL, PASS, REVIEW, Check
from forecast.history.audit_recurring import beyond_value, steady_share
from forecast.history.history import BESIDE, MONEY, History
from forecast.periods import PERIODS_PER_YEAR
from forecast.study import Study
from forecast.words import Message, Text, message, plural, together

Array = NDArray[np.float64]

NEAR, LEAST = 6, 4  # neighbours, and how many of them there must be
FACTOR, CLEAR, OUTER = 5.0, 5.0, 2.0
LARGE_DEAL, SMALL_DEAL = (
    0.5,
    1.0,
)  # sd of the log of one deal, upwards and downwards, where deals have a cv of about one
ALONG = 0.25  # of log x / m: a neighbour measure that moves so far goes along
BEYOND = 30.0  # above such a factor nothing that goes along is a reason
SEASON = 3.0  # the same season of another year, within this factor
ALONE = 0.25  # of all revenue without a win beside it, from which on a forecast by wins is wrong
OUTLIERS = "Numbers that fit their neighbours"


@dataclass(frozen=True)
class Stray:
    """A cell that lies a factor off: index of its period and channel, its value, and the median of its neighbours."""

    measure: str
    period: int
    channel: int
    value: float
    usual: float


def strays(history: History) -> list[Stray]:
    """Cells of money and counts that do not fit their neighbours, the farthest first."""
    names = [str(name) for name in history.counts if name not in BESIDE and not _dated(str(name), history)]
    usual = {name: _usual(history.counts[name].values) for name in names}
    away = {name: _away(history.counts[name].values, usual[name]) for name in names}
    found = []
    for name in names:
        values, d = history.counts[name].values, away[name]
        far = np.nan_to_num(np.abs(d)) > _bar(history, name, usual[name], d)
        far &= ~_as_last_year(values, d, PERIODS_PER_YEAR[history.period])
        whole = _everywhere(far, d)
        beside = [away[other] for other in _beside(name, history) if other in away]
        along = np.logical_or.reduce([_along(d, other) for other in beside]) if beside else np.zeros_like(far)
        far &= ~along | whole | (d > math.log(BEYOND))
        found += [
            Stray(name, int(t), int(c), float(values[t, c]), float(usual[name][t, c]))
            for t, c in np.argwhere(far)
        ]
    return sorted(found, key=lambda s: -abs(math.log(s.value / s.usual)))


def _dated(name: str, history: History) -> bool:
    """Whether a measure counts dated leads one by one: no slip of the pen makes ten of one."""
    return history.counting == "leads" and (name == "leads" or name in history.triangles)


def _usual(values: Array) -> Array:
    """Median of the nearest recorded cells around each cell, (period, channel); NaN where too few are recorded."""
    out = np.full(values.shape, np.nan)
    patterns, which = np.unique(np.isfinite(values), axis=1, return_inverse=True)
    for j, recorded in enumerate(
        patterns.T
    ):  # channels that are there in the same periods have the same neighbours
        there, columns = np.flatnonzero(recorded), np.flatnonzero(which.ravel() == j)
        k = min(NEAR, len(there) - 1)
        if k < max(min(LEAST, len(values)), 1):
            continue
        apart = np.abs(there[:, None] - there).astype(float)
        np.fill_diagonal(apart, np.inf)
        near = there[np.argsort(apart, axis=1, kind="stable")[:, :k]]
        out[np.ix_(there, columns)] = np.median(values[:, columns][near], axis=1)
    return out


def _away(values: Array, usual: Array) -> Array:
    """log x / m; NaN where either is absent or zero."""
    both = (values > 0) & (usual > 0)
    return np.log(np.where(both, values, np.nan) / np.where(both, usual, np.nan))


def _bar(history: History, name: str, usual: Array, d: Array) -> Array:
    """How far a cell may lie from its neighbours, on the scale of d."""
    values = history.counts[name].values
    if name == "revenue":
        deals = np.maximum(history.filled("won"), 1.0)
        chance = np.where(d > 0, LARGE_DEAL, SMALL_DEAL) ** 2 / deals
    elif name == "spend":
        chance = np.zeros(values.shape)
    else:
        chance = 1.0 / np.maximum(values, 1.0) + 1.0 / np.maximum(usual, 1.0)
    size = np.abs(d)  # the median speaks where a series is regular, its outer ones where it is not
    own = np.minimum(CLEAR * 1.4826 * _quantile(size, 0.5), OUTER * _quantile(size, 0.9))
    return np.maximum(math.log(FACTOR), np.hypot(own, CLEAR * np.sqrt(np.nan_to_num(chance, nan=1.0))))


def _quantile(values: Array, q: float) -> Array:
    """The quantile of each column of (period, channel) over what is known of it, (channel,); 0 where nothing is."""
    ordered = np.sort(values, axis=0)  # NaN last
    last = np.maximum(np.isfinite(values).sum(axis=0) - 1, 0)
    at, columns = q * last, np.arange(values.shape[1])
    low = np.floor(at).astype(int)
    below, above = ordered[low, columns], ordered[np.minimum(low + 1, last), columns]
    return np.nan_to_num(below + (at - low) * (above - below), nan=0.0)


def _as_last_year(values: Array, d: Array, year: int) -> NDArray[np.bool_]:
    """Cells as high or as low as the same season of another year, which strayed likewise."""
    out = np.zeros(values.shape, dtype=bool)
    for lag in (year, -year):
        if abs(lag) >= len(values):
            continue
        for near in (-1, 0, 1):
            other, far = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
            shift = lag + near
            target = slice(max(shift, 0), len(values) + min(shift, 0))
            source = slice(max(-shift, 0), len(values) - max(shift, 0))
            other[target], far[target] = values[source], d[source]
            with np.errstate(divide="ignore", invalid="ignore"):
                alike = np.abs(np.log(values / other)) < math.log(SEASON)
            out |= alike & (far * d > 0) & (np.abs(far) > math.log(SEASON) / 2)
    return out


def _everywhere(far: NDArray[np.bool_], d: Array) -> NDArray[np.bool_]:
    """Periods in which every channel that is there strays the same way, where there are several channels."""
    known = np.isfinite(d)
    several = known.sum(axis=1) >= 2
    up, down = (far & (d * sign > 0) for sign in (1.0, -1.0))
    every = [((each | ~known).all(axis=1) & several)[:, None] & each for each in (up, down)]
    return every[0] | every[1]


def _beside(name: str, history: History) -> Sequence[str]:
    """The measures that a slip in this one would leave where they are."""
    stages = list(history.counted)
    pairs = {frozenset(step) for step in history.steps}
    if "spend" in history.counts:
        pairs.add(frozenset(("spend", stages[0])))
    if "revenue" in history.counts:
        pairs.add(frozenset(("revenue", stages[-1])))
    return [next(iter(pair - {name})) for pair in sorted(pairs, key=sorted) if name in pair]


def _along(d: Array, other: Array) -> NDArray[np.bool_]:
    """Cells in which another measure moves the same way: by a part of d, and by more than it is used to."""
    used_to = 1.4826 * _quantile(np.abs(other), 0.5)
    with np.errstate(invalid="ignore"):
        return (other * d > 0) & (np.abs(other) > np.maximum(ALONG * np.abs(d), 2.0 * used_to))


def outliers(history: History) -> Check:
    """Whether any number lies a factor off its neighbours; REVIEW with channel, period, value, and what is usual."""
    found = strays(history)
    if not found:
        return Check(
            OUTLIERS, PASS, message("none lies {factor:whole}-fold off those around it", factor=FACTOR)
        )
    text = "{channel} in {period}: {measure} {value:exact}, around it {usual:exact}"
    said = [
        message(text, channel=history.channels[s.channel], period=history.labels[s.period], measure=s.measure,
                value=s.value, usual=s.usual)
        for s in found
    ]  # fmt: skip
    advice = (
        "Check the decimal point, the unit (thousands, cents) and the columns of these rows; correct them."
    )
    return Check(OUTLIERS, REVIEW, message("{found:parts.4}", found=said), advice)


def without_strays(history: History) -> History:
    """The history with every stray cell at the median of its neighbours; what the forecast would be without them."""
    found, counts = strays(history), history.counts.copy(deep=True)
    deals = history.deals.copy()
    for s in found:
        usual = s.usual if s.measure in MONEY else float(round(s.usual))
        values = counts[s.measure].values
        values[s.period, s.channel] = usual
        if s.measure == "revenue" and len(deals):
            mine = deals["channel"] == history.channels[s.channel]
            mine &= deals["period"] == history.counts["period"].values[s.period]
            deals.loc[mine, "amount"] *= usual / s.value
    return replace(history, counts=counts, deals=deals)


def money_and_wins(history: History, study: Study) -> Check | None:
    """Money without wins, and wins without money, with their sums; of counts, as each lead brings its own amount."""
    if "revenue" not in history.counts or "won" not in history.counts or len(history.deals):
        return None
    revenue, won = (history.counts[name].values for name in ("revenue", "won"))
    name, fine = "Revenue and wins agree", "revenue comes with wins, wins with revenue"
    kinds = {
        "revenue without a win: {money:whole} {currency} ({share:percent} of all), {cells}": (revenue > 0)
        & (won == 0),
        "revenue where won is empty: {money:whole} {currency} ({share:percent} of all), {cells}": (
            revenue > 0
        )
        & np.isnan(won),
        "wins without revenue: {wins:whole} of {all_wins:whole}, {cells}": (revenue == 0) & (won > 0),
    }
    parts: list[Text] = []
    for text, where in kinds.items():
        if where.any():
            money, wins = float(revenue[where].sum()), float(np.nansum(won[where]))
            told = {"money": money, "wins": wins, "currency": study.currency, "cells": _cells(history, where)}
            totals = {
                "share": money / max(float(np.nansum(revenue)), 1e-300),
                "all_wins": float(np.nansum(won)),
            }
            parts.append(message(text, **told, **totals))
    if never := _never_both(history, revenue, won):
        parts.append(message("{never:list.4} never both, so left out of the mean deal", never=never))
    steady, times = steady_share(history), beyond_value(history, study.funnel.value)
    if steady is not None:
        parts.append(message("{share:percent} of the revenue does not move with the wins", share=steady))
    if times is not None:
        text = "revenue is {times:number.2} times what the wins bring at {value:whole} {currency} a deal (funnel.value)"
        told = {"times": times, "value": study.funnel.value, "currency": study.currency}
        parts.append(message(text, **told))
    if not parts:
        return Check(name, PASS, fine)
    if steady is not None or times is not None:
        alone = float(np.where((won == 0) | np.isnan(won), np.nan_to_num(revenue), 0.0).sum())
        wrong = steady is not None and alone > ALONE * float(np.nansum(revenue))
        return Check(name, FAIL if wrong else REVIEW, together(*parts, between="; "), _RECURS)
    advice = (
        "Date both by the day the deal was won. Wins without revenue are free deals, and are forecast to go on at "
        "their share: leave revenue empty where it is not known."
    )
    return Check(name, REVIEW, together(*parts, between="; "), advice)


_RECURS = (
    "If customers pay again (subscriptions, renewals), write that money into a column recurring and leave in revenue "
    "what the wins of the period bring: it is then carried on by retention, where today it is forecast from wins. If "
    "it is booked later than its win, date both by the day the deal was won."
)


def _cells(history: History, where: NDArray[np.bool_]) -> Message:
    """How many cells, and the first of them: "2 cells: ppc in 2026-03, seo in 2026-04"."""
    first = [
        message("{channel} in {period}", channel=history.channels[j], period=history.labels[i])
        for i, j in np.argwhere(where)
    ]
    return plural(
        "{n:whole} cell: {first:list.3}", "{n:whole} cells: {first:list.3}", n=len(first), first=first
    )


def _never_both(history: History, revenue: Array, won: Array) -> list[str]:
    """Channels that have money, and no mean deal of their own: nowhere a win beside it."""
    both = history.present("won", "revenue")
    money, wins = ((np.where(both, values, 0.0) > 0).any(axis=0) for values in (revenue, won))
    return [name for name, odd in zip(history.channels, money & ~wins, strict=True) if odd]
