"""Questions that a careful reader asks of the numbers before trusting them, each answered PASS, REVIEW or FAIL.

Errors are raised where the data are read; here stands what may be right but should be known: a funnel that does not
fall, a channel that appears late, spend without traffic, one deal that carries a year. Several of the questions look
for the traces of common mistakes: leads counted but not qualified, stages not measured, profit not computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from forecast.checks import FAIL, PASS, REVIEW, Check
from forecast.history.audit_change import changes
from forecast.history.audit_cohorts import left_out
from forecast.history.audit_files import file_checks
from forecast.history.audit_links import links
from forecast.history.audit_numbers import money_and_wins, outliers
from forecast.history.audit_peaks import peaks_ahead
from forecast.history.audit_rates import blanks, jumps, opposite
from forecast.history.audit_rows import audit_rows
from forecast.history.audit_spend import seasonal_spend
from forecast.history.history import BESIDE, MIN_MONTHS_FOR_SEASON, History
from forecast.history.unattributed import attribution
from forecast.periods import PERIODS_PER_YEAR
from forecast.read import BLANK
from forecast.study import Study
from forecast.words import Text, message, periods, plural, together

FEW_PERIODS = 3
FEW_WINS, LOW_QUALIFICATION, JUMP, BIG_DEAL = 30, 0.10, 3.0, 0.25
IMPOSSIBLE = 2.0  # times the units of the stage before, over all channels: no chance, no delay
JUMP_FLOOR = 20  # a jump from fewer units than this is noise
MEASURED, FALLING = "Stages measured", "Counts fall along the funnel"


def audit_history(history: History, study: Study) -> list[Check]:
    """A check for each question that the history can be asked: the numbers as its value, what to do as its advice."""
    told = [] if history.attributed else [attribution(history)]
    history = history.whole
    asked = [
        *told,
        _stages(history, study),
        _falling(history),
        _last_period(history),
        _length(history, study),
        _wins(history),
        _spend(history),
        _revenue(history, study),
        _late_channels(history),
        _stopped_channels(history),
        *(
            check(history)
            for check in (_zero_spend, _spend_without_traffic, _traffic_without_spend)
            if "spend" in history.counts
        ),
        _blank_cells(history),
        _blank_channel(history),
        blanks(history),
        _qualification(history),
        _jumps(history),
        jumps(history),
        opposite(history),
        _silent_periods(history),
        money_and_wins(history, study),
        outliers(history),
        _big_deal(history, study),
        seasonal_spend(history, study),
        peaks_ahead(history, study),
        *changes(history),
        *links(history, study),
        _future(history),
        _losses(history),
        _scheduled(history),
        *left_out(history),
        *audit_rows(history, study),
        *file_checks(history, study),
    ]
    return [check for check in asked if check is not None]


def _check(name: str, found: Text, fine: Text, advice: Text, status: str = REVIEW) -> Check:
    """A check of `status` with advice when something was found, else PASS with what is fine."""
    return Check(name, status, found, advice) if found else Check(name, PASS, fine)


def _few(found: Iterable[Text]) -> Text:
    """The first of what was found, and how many more there are; empty where there is nothing."""
    listed = list(found)
    return message("{found:list.4}", found=listed) if listed else ""


def _cells(history: History, where: NDArray[np.bool_]) -> Text:
    """Cells as "ppc in 2026-03, seo in 2026-04 and 3 more"; empty when there are none."""
    return _few(
        message("{channel} in {period}", channel=history.channels[j], period=history.labels[i])
        for i, j in np.argwhere(where)
    )


def _stages(history: History, study: Study) -> Check:
    missing = [stage for stage in study.funnel.stages if stage not in history.stages]
    told = {"missing": missing, "recorded": history.stages, "first": history.stages[0]}
    return _check(
        MEASURED,
        message("not recorded: {missing}; the funnel starts at {first}", **told) if missing else "",
        message("all recorded: {recorded}", **told),
        message("Record {missing}: what is not measured cannot be improved.", **told),
    )


def _falling(history: History) -> Check:
    found, text, swapped = [], "{channel}: {n:whole} {stage} of {all:whole} {before}", False
    for before, stage in history.steps:
        both = history.present(before, stage)
        above, below = (np.where(both, history.filled(name), 0.0).sum(axis=0) for name in (before, stage))
        found += [
            message(text, channel=name, n=below[j], all=above[j], stage=stage, before=before)
            for j, name in enumerate(history.channels)
            if below[j] > above[j]
        ]
        swapped |= bool(below.sum() > IMPOSSIBLE * above.sum() and below.sum() >= JUMP_FLOOR)
    fine = "each stage is below the one before, in every channel"
    if not history.steps:
        fine = "there is one stage alone, so no rate to learn"
    advice = (
        "Check how stages are counted: over the whole history a later stage should not exceed an earlier one."
    )
    if swapped:
        advice = (
            "More than come in cannot move on: are two columns swapped? Where an earlier stage is counted in part, "
            "empty its column, or take it out of funnel.stages."
        )
    return _check(FALLING, _few(found), fine, advice, FAIL if swapped else REVIEW)


def _last_period(history: History) -> Check:
    told = {"partial": history.reading.get("partial"), "last": history.labels[-1]}
    text = "{partial} was not complete and is left out; the history ends with {last}"
    fine = message("the history ends with {last}", **told)
    advice = message('If {partial} is complete, set history.through = "{partial}".', **told)
    return _check("Last period complete", message(text, **told) if told["partial"] else "", fine, advice)


def _length(history: History, study: Study) -> Check:
    n, kind, labels = history.periods.size, history.period, history.labels
    fine = message("{n}, {first} to {last}", n=periods(n, kind), first=labels[0], last=labels[-1])
    needed = math.ceil(MIN_MONTHS_FOR_SEASON * PERIODS_PER_YEAR[history.period] / 12)
    advice = "With fewer than {needed} the season cannot be learnt; expect wide bands."
    if n < FEW_PERIODS:
        none = "So short a history teaches nothing: what is forecast are the benchmarks. Add earlier periods."
        return Check("Length of the history", FAIL, fine, none)
    found = "" if history.has_season or study.priors.season == "none" else fine
    return _check("Length of the history", found, fine, message(advice, needed=periods(needed, kind)))


def _wins(history: History) -> Check:
    won = int(history.filled("won").sum())
    fine = plural(
        "1 won in {time}",
        "{n:whole} won in {time}",
        n=won,
        time=periods(history.periods.size, history.period),
    )
    advice = (
        "With few wins the close rate rests on the benchmark; add older periods or another stage before won."
    )
    return _check("Enough wins", fine if won < FEW_WINS else "", fine, advice, REVIEW if won else FAIL)


def _spend(history: History) -> Check:
    found = "" if "spend" in history.counts else "no spend is recorded"
    advice = "Add spend by channel: without it no budget can be advised."
    return _check("Spend recorded", found, "spend is recorded", advice)


def _revenue(history: History, study: Study) -> Check:
    name = "Deal value known"
    if history.valued:
        amounts = history.deals["amount"]
        absent, (free, known) = int(amounts.isna().sum()), (int(each.sum()) for each in history.free)
        free *= bool(len(amounts))  # of counts: see `money_and_wins`
        parts = [message("{n:whole} without an amount", n=absent)] * bool(absent)
        free_of = "{n:whole} ({share:percent}) with an amount of 0"
        parts += [message(free_of, n=free, share=free / max(known, 1))] * bool(free)
        found = message("of {n:whole} deals won, {parts:listed}", n=known + absent, parts=parts)
        unknown = "Fill in the amounts that are missing: nothing is learnt of deals without one."
        nothing = (
            "Deals of 0 are free ones, and forecast to go on at such a share: leave the amount (or revenue) empty "
            "where it is not known."
        )
        remedy = together(unknown if absent else "", nothing if free else "")
        return _check(name, found if parts else "", "revenue is recorded", remedy)
    beside = "revenue" in history.counts  # a column of zeros, or money nobody won
    if study.funnel.value is not None:
        text = "{value:whole} {currency} a deal is assumed; no revenue is recorded"
        if beside:
            text = "{value:whole} {currency} a deal is assumed; no revenue is recorded beside a win"
        value = message(text, value=study.funnel.value, currency=study.currency)
        return Check(name, REVIEW, value, "Record revenue: an assumed value has no band of its own.")
    advice = "Record revenue, or give an assumed deal value: funnel.value. Until then nothing can be said in money."
    none = "no revenue is recorded and none is assumed"
    if beside:
        none = "no revenue is recorded beside a win and none is assumed"
    return Check(name, REVIEW, none, advice)


def _late_channels(history: History) -> Check:
    first = history.there.argmax(axis=0)
    found = [
        message("{channel} from {period}", channel=name, period=history.labels[i])
        for name, i in zip(history.channels, first, strict=True)
        if i > 0
    ]
    fine = "every channel is there from the first period"
    advice = "If it was there before, add the earlier rows; else it borrows from the other channels until it has data."
    return _check("Channels that appear late", _few(found), fine, advice)


def _stopped_channels(history: History) -> Check:
    """Channels that are forecast as stopped, and those of which the last period shows nothing but that go on."""
    idle = history.there[::-1].argmax(axis=0)
    leads = history.counting == "leads"
    patience = 3 if leads else 1  # a period without a lead is not the end of a channel
    ended = "{channel} after {period}"
    going_on = "{channel}: no lead after {period}" if leads else "{channel}: nothing recorded after {period}"
    found, advice = [], dict[Text, None]()
    for name, n, over in zip(history.channels, idle, history.stopped, strict=True):
        if (n >= 1 and over) or n >= patience:
            period = history.labels[-1 - n]
            found.append(message(ended if over else going_on, channel=name, period=period))
            advice[_ENDED if over else _QUIET if leads else _BLANK_END] = None
    fine = "every channel goes on to the last period"
    return _check("Channels that stop", _few(found), fine, together(*advice))


_ENDED = "It is forecast as stopped unless money is planned for it; if it goes on, add the missing rows."
_QUIET = "A zero is no end: it is forecast to go on at its low level. If it is over, expect a little less."
_BLANK_END = (
    "One period without a record is not known, and no end: it is forecast to go on. Add its row, with 0 where nothing "
    "came; nothing recorded in two periods means that it has stopped."
)


def _zero_spend(history: History) -> Check:
    found = _cells(history, (history.counts["spend"].values == 0) & history.paid)
    fine = "no paid channel has a period of zero spend"
    advice = "Fine if the channel was paused: it shows what comes without spend. Not recorded? Then empty the cells."
    return _check("Periods with zero spend", found, fine, advice)


def _spend_without_traffic(history: History) -> Check:
    first = history.stages[0]
    found = _cells(history, (history.spend > 0) & ~(history.filled(first) > 0))
    fine = message("wherever money was spent there are {first}", first=first)
    advice = "Check that {first} are recorded under the same channel name and period as the spend."
    return _check("Spend without traffic", found, fine, message(advice, first=first))


def _traffic_without_spend(history: History) -> Check:
    busy = (history.filled(history.stages[0]) > 0).any(axis=0)
    free = [name for name, yes in zip(history.channels, busy & ~history.paid, strict=True) if yes]
    found = message("no spend in any period: {free:list.4}", free=free) if free else ""
    fine = "every channel with traffic has spend"
    advice = (
        "Such a channel is forecast by its own traffic and is not in the budget; add its cost if it has one."
    )
    return _check("Traffic without spend", found, fine, advice)


def _blank_cells(history: History) -> Check:
    there = history.there
    asked = [str(name) for name in history.counts if name not in BESIDE]
    blank = {name: int((there & ~history.present(name)).sum()) for name in asked}
    blank |= {"recurring": int(np.isnan(history.beside).sum())} if np.isnan(history.beside).any() else {}
    cells = int(there.sum())
    if len(history.deals):  # a cell of revenue is blank where one of its deals has no amount
        blank.pop("revenue", None)
    found = [
        message("{name}: {n} of {all} cells", name=name, n=n, all=cells) for name, n in blank.items() if n
    ]
    if absent := int(history.deals["amount"].isna().sum()) if "revenue" in history.counts else 0:
        found.append(message("revenue: {n:whole} of {all:whole} deals", n=absent, all=len(history.deals)))
    advice = "A blank counts as not known, never as zero; write 0 where nothing happened."
    return _check("Blank cells", _few(found), "every cell is filled", advice)


def _blank_channel(history: History) -> Check | None:
    if "blank_channel" not in history.reading:
        return None
    blank = history.reading["blank_channel"]
    text = message('{blank} leads have no channel; they are kept as "{name}"', blank=blank, name=BLANK)
    found = "" if blank.startswith("0 of") else text
    advice = "Attribution is missing, seldom at random: have the source of each lead recorded."
    return _check("Leads without a channel", found, "every lead has a channel", advice)


def _qualification(history: History) -> Check | None:
    if not {"leads", "qualified"} <= set(history.stages):
        return None
    leads, qualified = (history.filled(name).sum(axis=0) for name in ("leads", "qualified"))
    text = "{channel}: {n:whole} of {all:whole} ({share:.1%})"
    found = [
        message(text, channel=name, n=n, all=total, share=n / total)
        for name, n, total in zip(history.channels, qualified, leads, strict=True)
        if total >= JUMP_FLOOR and n < LOW_QUALIFICATION * total
    ]
    fine = message("{share:.0%} of the leads qualify", share=qualified.sum() / max(leads.sum(), 1))
    advice = "Below 10 % either the target group is too loose or the criteria of marketing and sales differ."
    return _check("Leads that qualify (MQL to SQL)", _few(found), fine, advice)


def _jumps(history: History) -> Check:
    found, text = [], "{stage} {before:whole} to {after:whole} in {period}"
    for name in history.stages:
        totals = history.total(name)
        low, high = np.fmin(totals[1:], totals[:-1]), np.fmax(totals[1:], totals[:-1])
        found += [
            message(text, stage=name, before=totals[i], after=totals[i + 1], period=history.labels[i + 1])
            for i in np.flatnonzero((high >= JUMP * low) & (high >= JUMP_FLOOR))
        ]
    fine = message("no total changes {times:whole}-fold from one period to the next", times=JUMP)
    advice = (
        "Was it the market, or the way of counting? If the counting changed, start after it: history.from."
    )
    return _check("Jumps in volume", _few(found), fine, advice)


def _silent_periods(history: History) -> Check:
    found = [
        message("no {stage} in {period}", stage=name, period=history.labels[i])
        for name in history.stages[:-1]
        for i in np.flatnonzero(history.total(name) == 0)
    ]
    fine = "every stage but the last is counted in every period"
    advice = (
        "A period in which nothing at all was counted is more often a gap in the records than a true zero."
    )
    return _check("Periods without any count", _few(found), fine, advice)


def _big_deal(history: History, study: Study) -> Check | None:
    if "revenue" not in history.counts:
        return None
    year = PERIODS_PER_YEAR[history.period]
    if history.counting == "leads":
        text = "the largest deal, {amount:whole} {currency}, is {share:.0%} of the revenue of the last {n} periods"
        recent = history.priced.amount[history.priced.period >= history.periods.size - year]
        total, biggest = float(recent.sum()), float(recent.max(initial=0.0))
    else:  # the size of a deal is known only where it was the one won
        text = (
            "the largest deal that was the only one of its row, {amount:whole} {currency}, is {share:.0%} of the "
            "revenue of the last {n} periods"
        )
        revenue = history.filled("revenue")[-year:]
        total = float(revenue.sum())
        biggest = float(np.where(history.counts["won"].values[-year:] == 1, revenue, 0.0).max())
    share = biggest / total if total else 0.0
    told = {"amount": biggest, "currency": study.currency, "share": share}
    said = message(text, n=min(year, history.periods.size), **told)
    advice = "One such deal moves every average: look at the forecast with and without it."
    return _check("No single deal dominates", said if share > BIG_DEAL else "", said, advice)


def _future(history: History) -> Check | None:
    if "after_today" not in history.reading:
        return None
    found = message("the latest date is {day}, later than today", day=history.reading["after_today"])
    advice = "Correct the dates: an event that is yet to come is no history."
    return _check("Dates in the future", found, "", advice)


def _scheduled(history: History) -> Check | None:
    """Open units whose date of moving is known in advance, and those of which it is over."""
    table = history.schedule[history.schedule["ended"].isna()]
    if not len(history.schedule):
        return None
    over = table["scheduled"] <= np.datetime64(history.last, "ns")
    told = {
        "n": int(table["n"][~over].sum()),
        "over": int(table["n"][over].sum()),
        "last": history.labels[-1],
    }
    fine = message("{n:whole} open leads move at a date that is known (scheduled), after {last}", **told)
    text = "{over:whole} open leads were scheduled for {last} or before, neither won nor lost; they are taken for lost"
    advice = "Close them, or correct the date: a lead whose date is over and that is still open brings nothing here."
    found = message(text, **told) if told["over"] else ""
    return _check("Dates known in advance", found, fine, advice)


def _losses(history: History) -> Check | None:
    if history.counting != "leads":
        return None
    n = sum(int(triangle.values.sum()) for triangle in history.losses.values())
    fine = plural("1 loss is dated", "{n:whole} losses are dated", n=n)
    advice = "Without dated losses every old lead counts as still open; record when a lead is lost."
    return _check("Losses dated", "" if n else "no loss is dated", fine, advice)
