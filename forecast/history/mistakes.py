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

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import pdtr

from forecast.checks import PASS, REVIEW, Check
from forecast.history.audit import FALLING, MEASURED
from forecast.history.audit_rates import JUMP, OPPOSITE
from forecast.history.history import History
from forecast.periods import PERIODS_PER_YEAR
from forecast.study import Study, rate_range
from forecast.words import Message, Text, filed, message, periods, plural, together

UNKNOWN = "UNKNOWN"
Found = tuple[str, Text]  # status, evidence

LOOSE, FAR_BELOW = 0.10, 0.5  # of the leads; of the low end of the market's range
FEW_LEADS = 20
LIKELY, UNLIKELY = 0.8, 0.1
LATE = {"month": 2, "week": 9, "quarter": 1}  # periods after which a lead qualifies late
LATE_SHARE, FEW_QUALIFIED = 0.03, 30
HEALTHY = 3.0
MATERIAL = 0.02  # of all spend

ADVICE = {
    "Channel chosen before strategy": "Ask of this money what else it could do; move it in steps.",
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
    audit: Sequence[Check],
    *,
    economics: pd.DataFrame | None = None,
    funnel: pd.DataFrame | None = None,
    allocation: pd.DataFrame | None = None,
    lifetime: float = 1.0,
) -> list[Check]:
    """A check for each mistake: PASS, REVIEW or UNKNOWN, the evidence as its value, and advice (empty for PASS).

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
    found = [(name, *ask()) for name, ask in zip(ADVICE, asked, strict=True)]
    return [
        Check(name, status, value, "" if status == PASS else ADVICE[name]) for name, status, value in found
    ]


def _seen(found: Sequence[Text], fine: Text, after: Text = "") -> Found:
    """REVIEW with the first of what was found, or PASS with what is fine; `after` ends either."""
    if found:
        return REVIEW, together(message("{found:parts.4}", found=found), after, between="; ")
    return PASS, together(fine, after, between="; ")


def _best_use(allocation: pd.DataFrame | None, study: Study) -> Found:
    """Spend above what nine in ten draws' best splits give the channel."""
    if allocation is None or allocation.empty:
        if allocation is None:
            return UNKNOWN, "what else the money could do: only a fit can tell"
        return UNKNOWN, "what else the money could do: no budget is recommended"
    rows = allocation[allocation["optimum_high"].notna()]
    over = (rows["current"] - rows["optimum_high"]).clip(lower=0.0)
    text = (
        "{channel}: {current:whole} {currency} over the horizon, and in nine of ten draws the best split gives it less "
        "than {optimum_high:whole}"
    )
    odd = rows.loc[over > MATERIAL * rows["current"].sum(), ["channel", "current", "optimum_high"]]
    found = _each(text, odd, currency=study.currency)
    return _seen(found, "no channel has more than the best split gives it in nine of ten draws")


def _each(text: str, rows: pd.DataFrame, **more: Any) -> list[Message]:
    """A message for each row, from its columns and `more`."""
    return [Message(text, {**{str(k): v for k, v in row.items()}, **more}) for row in rows.to_dict("records")]


def _loose(history: History, study: Study, funnel: pd.DataFrame | None) -> Found:
    """Leads that hardly qualify: by the posterior where there is one, else as counted."""
    if not {"leads", "qualified"} <= set(history.stages):
        return UNKNOWN, "leads and qualified leads are not both recorded"
    published = rate_range(study.funnel.market, "qualified")
    least = max(LOOSE, FAR_BELOW * published.low if published else 0.0)
    leads, qualified = (history.filled(name).sum(axis=0) for name in ("leads", "qualified"))
    text = "{channel}: {rate:.1%} of the leads qualify"
    if funnel is None:
        enough = leads >= FEW_LEADS
        named = {"channel": np.array(history.channels)[enough], "rate": qualified[enough] / leads[enough]}
        rates = pd.DataFrame(named)
    else:
        rows = funnel[(funnel["stage"] == "qualified") & (funnel["channel"] != "total")]
        rates = rows[["channel", "q90"]].rename(columns={"q90": "rate"})
        text = "{channel}: {rate:.1%} of the leads qualify at most ({sure:.0%} sure)"
    market: Text = ""
    if published:
        text_of = "the market's range is {low:.0%} to {high:.0%}"
        market = message(text_of, low=published.low, high=published.high)
    average = qualified.sum() / max(leads.sum(), 1.0)
    fine = "{average:.0%} of the leads qualify, in no channel clearly below {least:.0%}"
    found = _each(text, rates[rates["rate"] < least], sure=0.9)
    return _seen(found, message(fine, average=average, least=least), market)


def _cheap_but_dear(history: History, economics: pd.DataFrame | None) -> Found:
    """Channels whose leads cost less and whose customers cost more than the company's."""
    if economics is not None:
        rows = economics[economics["measure"] == "p_cheap_but_dear"]
        if rows.empty:
            return UNKNOWN, "spend and leads are not both recorded"
        text = "{channel}: {cpl} a lead and {cac} a customer, the company {all_cpl} and {all_cac} (probability {p:.0%})"
        company = _costs(economics, "total", "all_")
        found = [
            message(
                text, channel=row["channel"], p=row["mean"], **_costs(economics, row["channel"]), **company
            )
            for row in rows[rows["mean"] > LIKELY].to_dict("records")
        ]
        return _seen(
            found, "no channel is likely to have cheaper leads and dearer customers than the company"
        )
    if "spend" not in history.counts or "leads" not in history.stages:
        return UNKNOWN, "spend and leads are not both recorded"
    spend, leads, won = (history.filled(name).sum(axis=0) for name in ("spend", "leads", "won"))
    paid = history.paid
    if not (paid.any() and leads[paid].sum() > 0 and won[paid].sum() > 0):
        return UNKNOWN, "no leads or customers of channels with spend"
    cpl, cac = spend[paid].sum() / leads[paid].sum(), spend[paid].sum() / won[paid].sum()
    text = "{channel}: {own:whole} a lead and {own_cac:whole} a customer, all paid channels {cpl:whole} and {cac:whole}"
    own, own_cac = spend / np.maximum(leads, 1), spend / np.maximum(won, 1)
    found = [
        message(text, channel=name, own=own[i], own_cac=own_cac[i], cpl=cpl, cac=cac)
        for i, name in enumerate(history.channels)
        if paid[i]
        and leads[i] >= FEW_LEADS
        and spend[i] / leads[i] < cpl
        and pdtr(won[i], spend[i] / cac) < UNLIKELY
    ]
    return _seen(found, "no paid channel has cheaper leads and clearly dearer customers than the others")


def _costs(economics: pd.DataFrame, channel: str, prefix: str = "") -> dict[str, Text]:
    """What a lead and a customer of a channel cost on average."""
    own = economics[economics["channel"] == channel].set_index("measure")["mean"]
    names = ("cpl", "cac")
    return {
        prefix + name: message("{x:whole}", x=own[name]) if name in own else message("unknown")
        for name in names
    }


def _criteria(audit: Sequence[Check]) -> Found:
    """What the audit found of the qualification rate."""
    asked = {check.name: check for check in audit if check.name in (JUMP, OPPOSITE)}
    if OPPOSITE not in asked:
        return UNKNOWN, "the history is too short, or qualified leads are not recorded"
    found = [c.value for c in asked.values() if c.status != PASS and "qualified" in filed(c.value)]
    fine = "the qualification rate neither jumps nor moves against the close rate ({rates})"
    return _seen(found, message(fine, rates=asked[OPPOSITE].value))


def _nurturing(history: History) -> Found:
    """How many of those that qualified did so late, among cohorts that had the time."""
    if "qualified" not in history.triangles and history.counting == "leads":
        return UNKNOWN, "when a lead qualified is not recorded: give that date too"
    if "qualified" not in history.triangles:
        return UNKNOWN, "counts do not tell how long a lead took; leads with dates do"
    late = LATE[history.period]
    triangle = history.triangles["qualified"].values
    grown = triangle[: max(len(triangle) - late - PERIODS_PER_YEAR[history.period] // 4, 0)].sum(axis=(0, 2))
    total = int(grown.sum())
    if total < FEW_QUALIFIED:
        return UNKNOWN, plural(
            "only 1 lead of old enough cohorts has qualified",
            "only {n} leads of old enough cohorts have qualified",
            n=total,
        )
    after = int(grown[late + 1 :].sum())
    when = periods(late, history.period)
    text = "of {total:whole} leads that qualified, {after:whole} ({share:.1%}) did so later than {when} after they came"
    said = message(text, total=total, after=after, share=after / total, when=when)
    return (REVIEW if after < LATE_SHARE * total else PASS), said


def _measured(audit: Sequence[Check]) -> Found:
    """What the audit found of the stages."""
    asked = [check for check in audit if check.name in (MEASURED, FALLING)]
    return _seen([check.value for check in asked if check.status != PASS], asked[0].value)


def _profit(history: History, study: Study, economics: pd.DataFrame | None, lifetime: float) -> Found:
    """Spend, margin and value known, and LTV/CAC at least 3: by the posterior where there is one."""
    missing: list[Text] = []
    if "spend" not in history.counts:
        missing.append("no spend is recorded")
    if not history.valued and study.funnel.value is None:
        missing.append("no deal value is known")
    if "gross_margin" not in study.economics.model_fields_set:
        missing.append(message("economics.gross_margin is not given ({all:.0%} is assumed)", all=1.0))
    if missing:
        return _seen(missing, "")
    given = study.economics.given(("retention", "retention_table"))
    once = "" if given else "without economics.retention the first deal counts as the whole lifetime"
    if economics is not None:
        total = economics[economics["channel"] == "total"].to_dict("records")
        rows = {str(row["measure"]): row for row in total}
        if "ltv_cac" not in rows:
            return REVIEW, "LTV/CAC cannot be told"
        at, p = rows["ltv_cac"], float(rows["p_ltv_cac_3"]["mean"])
        text = "LTV/CAC {x:number.2} (80~% band {ends:band.2}), at least 3 with a probability of {p:chance}"
        said = message(text, x=at["mean"], ends=(at["q10"], at["q90"]), p=p)
        return (PASS if p >= 0.5 else REVIEW), together(said, once, between="; ")
    spend, won = (float(history.filled(name).sum()) for name in ("spend", "won"))
    if not (spend > 0 and won > 0):
        return UNKNOWN, "no spend or no customers to divide it by"
    priced = history.valued
    value = float(history.filled("revenue").sum()) / won if priced else float(study.funnel.value or 0.0)
    sold = study.economics.sales_cost
    cost = spend / won + (study.economics.sales_cost_per_won or 0.0)
    cost += 0.0 if sold is None else sold * len(history.periods) / won
    worth = study.economics.gross_margin * value * lifetime / cost
    said = message("LTV/CAC about {worth:.1f}, from the history's totals", worth=worth)
    return (PASS if worth >= HEALTHY else REVIEW), together(said, once, between="; ")
