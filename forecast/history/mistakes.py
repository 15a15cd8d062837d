"""The seven common mistakes of lead generation, looked for in this company's own numbers.

    channel chosen before strategy       money where the probability of being the best use is low
    target group too loose               few leads qualify, below 10 % or far below the market
    leads by number, not by quality      a channel with cheap leads and dear customers
    no shared criteria                   qualification rate jumps, or moves against the close rate
    no systematic nurturing              nothing qualifies late
    stages not measured                  missing stages, stages that do not add up
    profitability not computed           no spend, no margin, LTV/CAC unknown or below 3

Before a fit the counts speak (`forecast check`); after one the posterior does, where its tables are given. A mistake is
PASS, REVIEW, or UNKNOWN where the data cannot tell; it is advice, and no part of the verdict. Source: the guide of
docs/method.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import pdtr

from forecast.history.audit_rates import JUMP, OPPOSITE
from forecast.history.history import History
from forecast.periods import PERIODS_PER_YEAR
from forecast.study import Study, rate_range

PASS, REVIEW, UNKNOWN = "PASS", "REVIEW", "UNKNOWN"
COLUMNS = ["mistake", "status", "evidence", "advice"]
Found = tuple[str, str]  # status, evidence

LOOSE, FAR_BELOW = 0.10, 0.5  # of the leads; of the low end of the market's range
FEW_LEADS = 20
LIKELY, UNLIKELY = 0.8, 0.1
LATE = {"month": 2, "week": 9, "quarter": 1}  # periods after which a lead qualifies late
LATE_SHARE, FEW_QUALIFIED = 0.03, 30
HEALTHY = 3.0
MATERIAL = 0.02  # of all spend

ADVICE = {
    "Channel chosen before strategy": "Ask of this money what else it could do; move it in steps, or test it first.",
    "Target group too loose": "Narrow the target group or the offer until those who come can become customers.",
    "Leads measured by number, not quality": "Judge a channel by what its customers cost, not by what its leads cost.",
    "Marketing and sales share no criteria": "Write down together what makes a lead qualified, and keep to it.",
    "No systematic nurturing": "Keep leads that are not ready warm: some come back, and cost nothing to acquire again.",
    "Stages not measured": "Record every stage of every channel: what is not measured cannot be improved.",
    "Profitability not computed": "Know the margin, what a customer is worth and costs; LTV/CAC of 3 is healthy.",
}


def common_mistakes(
    history: History,
    study: Study,
    audit: pd.DataFrame,
    *,
    economics: pd.DataFrame | None = None,
    funnel: pd.DataFrame | None = None,
    allocation: pd.DataFrame | None = None,
    lifetime: float = 1.0,
) -> pd.DataFrame:
    """One row per mistake: mistake, status, evidence, and advice (empty for PASS).

    audit: of `history.audit`. economics, funnel, allocation: tables of a run, for what a fit knows better than counts.
    lifetime: worth of a customer over the margin of its first deal, for where no such tables are.
    """
    asked: list[Callable[[], Found]] = [
        lambda: _best_use(allocation, study),
        lambda: _loose(history, study, funnel),
        lambda: _cheap_but_dear(history, economics),
        lambda: _criteria(audit),
        lambda: _nurturing(history),
        lambda: _measured(audit),
        lambda: _profit(history, study, economics, lifetime),
    ]
    rows = []
    for name, ask in zip(ADVICE, asked, strict=True):
        status, evidence = ask()
        rows.append((name, status, evidence, "" if status == PASS else ADVICE[name]))
    return pd.DataFrame(rows, columns=COLUMNS)


def _listed(texts: list[str], most: int = 4) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more


def _best_use(allocation: pd.DataFrame | None, study: Study) -> Found:
    """Spend above what nine in ten draws' best splits give the channel."""
    if allocation is None or allocation.empty:
        when = "only a fit can tell" if allocation is None else "no budget is recommended"
        return UNKNOWN, f"what else the money could do: {when}"
    rows = allocation[allocation["optimum_high"].notna()]
    over = (rows["current"] - rows["optimum_high"]).clip(lower=0.0)
    found = [
        f"{row['channel']}: {row['current']:,.0f} {study.currency} over the horizon, and in nine of ten draws the best "
        f"split gives it less than {row['optimum_high']:,.0f}"
        for row in rows[over > MATERIAL * rows["current"].sum()].to_dict("records")
    ]
    if found:
        return REVIEW, _listed(found)
    return PASS, "no channel has more than the best split gives it in nine of ten draws"


def _loose(history: History, study: Study, funnel: pd.DataFrame | None) -> Found:
    """Leads that hardly qualify: by the posterior where there is one, else as counted."""
    if not {"leads", "qualified"} <= set(history.stages):
        return UNKNOWN, "leads and qualified leads are not both recorded"
    published = rate_range(study.funnel.market, "qualified")
    least = max(LOOSE, FAR_BELOW * published.low if published else 0.0)
    leads, qualified = (np.nansum(history.counts[name].values, axis=0) for name in ("leads", "qualified"))
    rates = {
        name: float(qualified[i] / leads[i])
        for i, name in enumerate(history.channels)
        if leads[i] >= FEW_LEADS
    }
    if funnel is not None:
        rows = funnel[(funnel["stage"] == "qualified") & (funnel["channel"] != "total")]
        rates = dict(zip(rows["channel"].astype(str), rows["q90"].astype(float), strict=True))
    low = [name for name, rate in rates.items() if rate < least]
    end = " at most (90 % sure)" if funnel is not None else ""
    found = [f"{name}: {rates[name]:.1%} of the leads qualify{end}" for name in low]
    market = f"; the market's range is {published.low:.0%} to {published.high:.0%}" if published else ""
    if found:
        return REVIEW, _listed(found) + market
    whole = float(qualified.sum() / max(leads.sum(), 1.0))
    return PASS, f"{whole:.0%} of the leads qualify, in no channel clearly below {least:.0%}{market}"


def _cheap_but_dear(history: History, economics: pd.DataFrame | None) -> Found:
    """Channels whose leads cost less and whose customers cost more than the company's."""
    if economics is not None:
        rows = economics[economics["measure"] == "p_cheap_but_dear"]
        if rows.empty:
            return UNKNOWN, "no spend is recorded"
        found = [
            f"{row['channel']}: {_of(economics, row['channel'], 'cpl')} a lead and "
            f"{_of(economics, row['channel'], 'cac')} a customer, the company {_of(economics, 'total', 'cpl')} and "
            f"{_of(economics, 'total', 'cac')} (probability {row['mean']:.0%})"
            for row in rows[rows["mean"] > LIKELY].to_dict("records")
        ]
        fine = "no channel is likely to have cheaper leads and dearer customers than the company"
        return (REVIEW, _listed(found)) if found else (PASS, fine)
    if "spend" not in history.counts or "leads" not in history.stages:
        return UNKNOWN, "spend and leads are not both recorded"
    spend, leads, won = (np.nansum(history.counts[m].values, axis=0) for m in ("spend", "leads", "won"))
    paid = spend > 0
    if not (paid.any() and leads[paid].sum() > 0 and won[paid].sum() > 0):
        return UNKNOWN, "no leads or customers of channels with spend"
    cpl, cac = spend[paid].sum() / leads[paid].sum(), spend[paid].sum() / won[paid].sum()
    found = [
        f"{name}: {spend[i] / max(leads[i], 1):,.0f} a lead and {spend[i] / max(won[i], 1):,.0f} a customer, all paid "
        f"channels {cpl:,.0f} and {cac:,.0f}"
        for i, name in enumerate(history.channels)
        if paid[i]
        and leads[i] >= FEW_LEADS
        and spend[i] / leads[i] < cpl
        and pdtr(won[i], spend[i] / cac) < UNLIKELY
    ]
    fine = "no paid channel has cheaper leads and clearly dearer customers than the others"
    return (REVIEW, _listed(found)) if found else (PASS, fine)


def _of(economics: pd.DataFrame, channel: str, measure: str) -> str:
    """The mean of a measure of a channel, as text."""
    rows = economics[(economics["channel"] == channel) & (economics["measure"] == measure)]
    return f"{float(rows['mean'].iloc[0]):,.0f}" if len(rows) else "unknown"


def _criteria(audit: pd.DataFrame) -> Found:
    """What the audit found of the qualification rate."""
    asked = {name: row for name, row in _by_check(audit).items() if name in (JUMP, OPPOSITE)}
    if OPPOSITE not in asked:
        return UNKNOWN, "the history is too short, or qualified leads are not recorded"
    found = [text for status, text in asked.values() if status != PASS and "qualified" in text]
    if found:
        return REVIEW, _listed(found)
    return (
        PASS,
        f"the qualification rate neither jumps nor moves against the close rate ({asked[OPPOSITE][1]})",
    )


def _by_check(audit: pd.DataFrame) -> dict[str, Found]:
    """Status and evidence of each check of the audit."""
    return {str(row["check"]): (str(row["status"]), str(row["evidence"])) for row in audit.to_dict("records")}


def _nurturing(history: History) -> Found:
    """How many of those that qualified did so late, among cohorts that had the time."""
    if "qualified" not in history.triangles:
        return UNKNOWN, "counts do not tell how long a lead took; leads with dates do"
    late = LATE[history.period]
    triangle = history.triangles["qualified"].values
    grown = triangle[: max(len(triangle) - late - PERIODS_PER_YEAR[history.period] // 4, 0)].sum(axis=(0, 2))
    total = int(grown.sum())
    if total < FEW_QUALIFIED:
        return UNKNOWN, f"only {total} leads of old enough cohorts have qualified"
    after = int(grown[late + 1 :].sum())
    when = f"later than {late} {history.period}{'s' if late > 1 else ''}"
    text = f"of {total:,} leads that qualified, {after:,} ({after / total:.1%}) did so {when} after they came"
    return (REVIEW if after < LATE_SHARE * total else PASS), text


def _measured(audit: pd.DataFrame) -> Found:
    """What the audit found of the stages."""
    by = _by_check(audit)
    asked = [by[name] for name in ("Stages measured", "Counts fall along the funnel")]
    found = [text for status, text in asked if status != PASS]
    return (REVIEW, _listed(found)) if found else (PASS, asked[0][1])


def _profit(history: History, study: Study, economics: pd.DataFrame | None, lifetime: float) -> Found:
    """Spend, margin and value known, and LTV/CAC at least 3: by the posterior where there is one."""
    missing = []
    if "spend" not in history.counts:
        missing.append("no spend is recorded")
    if "revenue" not in history.counts and study.funnel.value is None:
        missing.append("no deal value is known")
    if "gross_margin" not in study.economics.model_fields_set:
        missing.append("economics.gross_margin is not given (100% is assumed)")
    given = study.economics.retention is not None or study.economics.retention_table is not None
    once = "" if given else "; without economics.retention the first deal counts as the whole lifetime"
    if missing:
        return REVIEW, _listed(missing)
    if economics is not None:
        total = economics[economics["channel"] == "total"].to_dict("records")
        rows = {str(row["measure"]): row for row in total}
        if "ltv_cac" not in rows:
            return REVIEW, "LTV/CAC cannot be told"
        at, p = rows["ltv_cac"], float(rows["p_ltv_cac_3"]["mean"])
        text = f"LTV/CAC {at['q50']:.1f} (80% band {at['q10']:.1f} to {at['q90']:.1f}), at least 3 with {p:.0%}{once}"
        return (PASS if p >= 0.5 else REVIEW), text
    spend, won = (float(np.nansum(history.counts[m].values)) for m in ("spend", "won"))
    if not (spend > 0 and won > 0):
        return UNKNOWN, "no spend or no customers to divide it by"
    priced = "revenue" in history.counts
    value = (
        float(np.nansum(history.counts["revenue"].values)) / won
        if priced
        else float(study.funnel.value or 0.0)
    )
    sold = study.economics.sales_cost
    cost = spend / won + (study.economics.sales_cost_per_won or 0.0)
    cost += 0.0 if sold is None else sold * len(history.periods) / won
    worth = study.economics.gross_margin * value * lifetime / cost
    text = f"LTV/CAC about {worth:.1f}, from the history's totals{once}"
    return (PASS if worth >= HEALTHY else REVIEW), text
