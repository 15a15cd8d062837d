"""Questions that a careful reader asks of the numbers before trusting them, each answered PASS, REVIEW or FAIL.

Errors are raised where the data are read; here stands what may be right but should be known: a funnel that does not
fall, a channel that appears late, spend without traffic, one deal that carries a year. Several of the questions look
for the traces of common mistakes: leads counted but not qualified, stages not measured, profit not computed.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.history.audit_rates import blanks, jumps, opposite
from forecast.history.history import MIN_MONTHS_FOR_SEASON, History
from forecast.periods import PERIODS_PER_YEAR
from forecast.study import Study

PASS, REVIEW, FAIL = "PASS", "REVIEW", "FAIL"
FEW_WINS, LOW_QUALIFICATION, JUMP, BIG_DEAL = 30, 0.10, 3.0, 0.25
JUMP_FLOOR = 20  # a jump from fewer units than this is noise

Row = tuple[str, str, str, str]  # check, status, evidence, advice


def audit_history(history: History, study: Study) -> pd.DataFrame:
    """One row per check.

    Columns: check, status (PASS, REVIEW or FAIL), evidence (the numbers), advice (what to do; empty for PASS).
    """
    rows = [
        _stages(history, study),
        _falling(history),
        _last_period(history),
        _length(history),
        _wins(history),
        _spend(history),
        _revenue(history, study),
        _late_channels(history),
        _stopped_channels(history),
        _zero_spend(history),
        _spend_without_traffic(history),
        _traffic_without_spend(history),
        _blank_cells(history),
        _blank_channel(history),
        blanks(history),
        _qualification(history),
        _jumps(history),
        jumps(history),
        opposite(history),
        _silent_periods(history),
        _wins_and_revenue(history),
        _big_deal(history, study),
        _future(history),
        _losses(history),
    ]
    asked = [row for row in rows if row is not None]
    return pd.DataFrame(asked, columns=["check", "status", "evidence", "advice"])


def _row(check: str, found: str, fine: str, advice: str, status: str = REVIEW) -> Row:
    """A row with `status` and advice when something was found, else PASS with what is fine."""
    return (check, status, found, advice) if found else (check, PASS, fine, "")


def _totals(history: History, measure: str) -> NDArray[np.float64]:
    """Totals over channels by period; NaN where no channel has a number."""
    values = history.counts[measure].values
    return np.where(np.isfinite(values).any(axis=1), np.nansum(values, axis=1), np.nan)


def _span(history: History) -> str:
    return f"{history.labels[0]} to {history.labels[-1]}"


def _listed(texts: list[str], most: int = 4) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _cells(history: History, where: NDArray[np.bool_]) -> str:
    """Cells as "ppc in 2026-03, seo in 2026-04 and 3 more"; empty when there are none."""
    return _listed([f"{history.channels[j]} in {history.labels[i]}" for i, j in np.argwhere(where)])


def _stages(history: History, study: Study) -> Row:
    missing = [stage for stage in study.funnel.stages if stage not in history.stages]
    found = f"not recorded: {', '.join(missing)}; the funnel starts at {history.stages[0]}" if missing else ""
    fine = f"all recorded: {', '.join(history.stages)}"
    return _row(
        "Stages measured",
        found,
        fine,
        f"Record {', '.join(missing)}: what is not measured cannot be improved.",
    )


def _falling(history: History) -> Row:
    found = []
    for before, stage in history.steps:
        both = history.present(before, stage)
        above, below = (
            np.where(both, history.counts[name].values, 0.0).sum(axis=0) for name in (before, stage)
        )
        found += [
            f"{channel}: {int(below[j]):,} {stage} of {int(above[j]):,} {before}"
            for j, channel in enumerate(history.channels)
            if below[j] > above[j]
        ]
    advice = (
        "Check how stages are counted: over the whole history a later stage should not exceed an earlier one."
    )
    return _row(
        "Counts fall along the funnel",
        _listed(found),
        "each stage is below the one before, in every channel",
        advice,
    )


def _last_period(history: History) -> Row:
    partial = history.reading.get("partial")
    found = (
        f"{partial} was not complete and is left out; the history ends with {history.labels[-1]}"
        if partial
        else ""
    )
    advice = f'If {partial} is complete, set history.through = "{partial}".'
    return _row("Last period complete", found, f"the history ends with {history.labels[-1]}", advice)


def _length(history: History) -> Row:
    n, needed = history.periods.size, math.ceil(MIN_MONTHS_FOR_SEASON * PERIODS_PER_YEAR[history.period] / 12)
    found = "" if history.has_season else f"{n} {history.period}s, {_span(history)}"
    advice = f"With fewer than {needed} {history.period}s the season cannot be learnt; expect wide bands."
    return _row("Length of the history", found, f"{n} {history.period}s, {_span(history)}", advice)


def _wins(history: History) -> Row:
    won = int(np.nansum(history.counts["won"].values))
    fine = f"{won:,} won in {history.periods.size} {history.period}s"
    advice = (
        "With few wins the close rate rests on the benchmark; add older periods or another stage before won."
    )
    return _row("Enough wins", fine if won < FEW_WINS else "", fine, advice, REVIEW if won else FAIL)


def _spend(history: History) -> Row:
    found = "" if "spend" in history.counts else "no spend is recorded"
    return _row(
        "Spend recorded",
        found,
        "spend is recorded",
        "Add spend by channel: without it no budget can be advised.",
    )


def _revenue(history: History, study: Study) -> Row:
    check = "Deal value known"
    if "revenue" in history.counts:
        absent = int(history.deals["amount"].isna().sum())
        zero = int((history.deals["amount"] == 0).sum())
        parts = [f"{absent} without an amount"] * bool(absent) + [f"{zero} with an amount of 0"] * bool(zero)
        found = f"of {len(history.deals):,} deals won, {' and '.join(parts)}" if parts else ""
        return _row(
            check,
            found,
            "revenue is recorded",
            "Fill the amounts in: deals without one say nothing of deal value.",
        )
    if study.funnel.value is not None:
        value = f"{study.funnel.value:,.0f} {study.currency} a deal is assumed; no revenue is recorded"
        return check, REVIEW, value, "Record revenue: an assumed value has no band of its own."
    advice = "Record revenue, or give an assumed deal value: funnel.value. Until then nothing can be said in money."
    return check, REVIEW, "no revenue is recorded and none is assumed", advice


def _presence(history: History) -> NDArray[np.bool_]:
    """Where a channel was there: it has a number; among leads, it has activity or a lead."""
    there = [np.isfinite(values.values) for values in history.counts.data_vars.values()]
    if history.counting == "leads":
        own = [name for name in history.counts if name == "spend" or name in history.stages]
        before = [name for name in own if name not in history.triangles and name != "leads"]
        there = [np.isfinite(history.counts[name].values) for name in before] + [
            history.counts["leads"].values > 0
        ]
    return np.logical_or.reduce(there)


def _late_channels(history: History) -> Row:
    first = _presence(history).argmax(axis=0)
    found = [
        f"{name} from {history.labels[i]}" for name, i in zip(history.channels, first, strict=True) if i > 0
    ]
    advice = "If it was there before, add the earlier rows; else it borrows from the other channels until it has data."
    return _row(
        "Channels that appear late", _listed(found), "every channel is there from the first period", advice
    )


def _stopped_channels(history: History) -> Row:
    idle = _presence(history)[::-1].argmax(axis=0)
    patience = 3 if history.counting == "leads" else 1  # a period without a lead is not the end of a channel
    found = [
        f"{name} after {history.labels[-1 - n]}"
        for name, n in zip(history.channels, idle, strict=True)
        if n >= patience
    ]
    advice = "It is forecast as stopped unless money is planned for it; if it goes on, add the missing rows."
    return _row("Channels that stop", _listed(found), "every channel goes on to the last period", advice)


def _zero_spend(history: History) -> Row | None:
    if "spend" not in history.counts:
        return None
    spend = history.counts["spend"].values
    found = _cells(history, (spend == 0) & history.paid)
    advice = "Fine if the channel was paused: it shows what comes without spend. Not recorded? Then empty the cells."
    return _row("Periods with zero spend", found, "no paid channel has a period of zero spend", advice)


def _spend_without_traffic(history: History) -> Row | None:
    if "spend" not in history.counts:
        return None
    first = history.stages[0]
    found = _cells(history, (history.spend > 0) & ~(history.filled(first) > 0))
    advice = f"Check that {first} are recorded under the same channel name and period as the spend."
    return _row("Spend without traffic", found, f"wherever money was spent there are {first}", advice)


def _traffic_without_spend(history: History) -> Row | None:
    if "spend" not in history.counts:
        return None
    first = history.stages[0]
    busy = (history.filled(first) > 0).any(axis=0)
    free = busy & ~history.paid
    found = _listed([name for name, yes in zip(history.channels, free, strict=True) if yes])
    found = f"no spend in any period: {found}" if found else ""
    advice = (
        "Such a channel is forecast by its own traffic and is not in the budget; add its cost if it has one."
    )
    return _row("Traffic without spend", found, "every channel with traffic has spend", advice)


def _blank_cells(history: History) -> Row:
    there = _presence(history)
    found = []
    for name, values in history.counts.data_vars.items():
        blank = there & ~np.isfinite(values.values)
        if blank.any():
            found.append(f"{name}: {int(blank.sum())} of {int(there.sum())} cells")
    advice = "A blank counts as not known, never as zero; write 0 where nothing happened."
    return _row("Blank cells", _listed(found), "every cell is filled", advice)


def _blank_channel(history: History) -> Row | None:
    if "blank_channel" not in history.reading:
        return None
    blank = history.reading["blank_channel"]
    found = "" if blank.startswith("0 of") else f'{blank} leads have no channel; they are kept as "(blank)"'
    advice = "Attribution is missing, seldom at random: have the source of each lead recorded."
    return _row("Leads without a channel", found, "every lead has a channel", advice)


def _qualification(history: History) -> Row | None:
    if not {"leads", "qualified"} <= set(history.stages):
        return None
    leads, qualified = (np.nansum(history.counts[name].values, axis=0) for name in ("leads", "qualified"))
    found = [
        f"{name}: {int(qualified[j]):,} of {int(leads[j]):,} ({qualified[j] / leads[j]:.1%})"
        for j, name in enumerate(history.channels)
        if leads[j] >= JUMP_FLOOR and qualified[j] < LOW_QUALIFICATION * leads[j]
    ]
    fine = f"{np.sum(qualified) / max(np.sum(leads), 1):.0%} of the leads qualify"
    advice = "Below 10 % either the target group is too loose or the criteria of marketing and sales differ."
    return _row("Leads that qualify (MQL to SQL)", _listed(found), fine, advice)


def _jumps(history: History) -> Row:
    found = []
    for name in history.stages:
        totals = _totals(history, name)
        low, high = np.fmin(totals[1:], totals[:-1]), np.fmax(totals[1:], totals[:-1])
        for i in np.flatnonzero((high >= JUMP * low) & (high >= JUMP_FLOOR)):
            found.append(f"{name} {totals[i]:,.0f} to {totals[i + 1]:,.0f} in {history.labels[i + 1]}")  # noqa: PERF401
    advice = (
        "Was it the market, or the way of counting? If the counting changed, start after it: history.from."
    )
    return _row(
        "Jumps in volume",
        _listed(found),
        f"no total changes {JUMP:.0f}-fold from one period to the next",
        advice,
    )


def _silent_periods(history: History) -> Row:
    found = [
        f"no {name} in {history.labels[i]}"
        for name in history.stages[:-1]
        for i in np.flatnonzero(_totals(history, name) == 0)
    ]
    advice = (
        "A period in which nothing at all was counted is more often a gap in the records than a true zero."
    )
    return _row(
        "Periods without any count",
        _listed(found),
        "every stage but the last is counted in every period",
        advice,
    )


def _wins_and_revenue(history: History) -> Row | None:
    if "revenue" not in history.counts:
        return None
    revenue, won = history.counts["revenue"].values, history.counts["won"].values
    parts = []
    for text, odd in (
        ("revenue without a win", (revenue > 0) & (won == 0)),
        ("wins without revenue", (revenue == 0) & (won > 0)),
    ):
        if odd.any():
            parts.append(f"{text}: {_cells(history, odd)}")
    advice = "Deal value is learnt from revenue over wins of the same period: date both by the day the deal was won."
    return _row(
        "Revenue and wins agree", "; ".join(parts), "revenue comes with wins, wins with revenue", advice
    )


def _big_deal(history: History, study: Study) -> Row | None:
    if "revenue" not in history.counts:
        return None
    year = PERIODS_PER_YEAR[history.period]
    shown = min(year, len(history.periods))
    if history.counting == "leads":
        recent = history.deals.loc[
            history.deals["period"] >= np.datetime64(history.periods[-year:][0], "ns"), "amount"
        ]
        total, biggest = float(recent.sum()), float(recent.fillna(0.0).max()) if len(recent) else 0.0
    else:  # the size of a deal is known only where it was the one won
        revenue = history.filled("revenue")[-year:]
        total = float(revenue.sum())
        biggest = float(np.where(history.counts["won"].values[-year:] == 1, revenue, 0.0).max())
    share = biggest / total if total else 0.0
    known = (
        "the largest deal"
        if history.counting == "leads"
        else "the largest deal that was the only one of its row"
    )
    text = (
        f"{known}, {biggest:,.0f} {study.currency}, is {share:.0%} of the revenue of the last {shown} periods"
    )
    advice = "One such deal moves every average: look at the forecast with and without it."
    return _row("No single deal dominates", text if share > BIG_DEAL else "", text, advice)


def _future(history: History) -> Row | None:
    if "after_today" not in history.reading:
        return None
    found = f"the latest date is {history.reading['after_today']}, later than today"
    return _row(
        "Dates in the future", found, "", "Correct the dates: an event that is yet to come is no history."
    )


def _losses(history: History) -> Row | None:
    if history.counting != "leads":
        return None
    n = sum(int(triangle.values.sum()) for triangle in history.losses.values())
    advice = "Without dated losses every old lead counts as still open; record when a lead is lost."
    return _row("Losses dated", "" if n else "no loss is dated", f"{n:,} losses are dated", advice)
