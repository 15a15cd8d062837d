"""Unit economics by channel and in total, as distributions over posterior draws.

For the horizon at the given plan, per draw (E over chance, uncertainty in what is not known):

    CPL = spend / leads                        cost per lead
    cost per qualified = spend / qualified     of the same cohorts, in the end
    CAC = spend / won                          marketing cost of a customer, of the same cohorts, in the end
    worth of a lead = product of the rates after lead x deal value       (revenue; 500 in the guide's example)
    worth of a qualified lead = rates after qualified x deal value       (revenue; 1,250 in the guide's example)
    break-even CPL = gross margin x worth of a lead
    marginal return = margin that one more unit of money brings, at today's spend

Source: the definitions of the lead generation guide (docs/method.md). A lead that has not qualified is worth
qualification x close rate x deal value; taking the worth of a qualified lead for it overpays by 1 / qualification.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Flow:
    """Expected units per draw and channel that the horizon acquires: by stage (draw, channel), in the end.

    units["leads"] are the leads acquired in the horizon, units["qualified"] those of them that qualify sooner or later.
    spend (channel,): over the horizon. deal_value (draw, channel), or None where deals have no value.
    """

    units: dict[str, Array]
    spend: Array
    deal_value: Array | None


def expected_flow(
    traffic: Array, rates: dict[str, Array], first: str, spend: Array, deal_value: Array | None
) -> Flow:
    """Expected eventual units from expected traffic and rates, both (draw, period, channel)."""
    cohort = traffic
    units = {first: traffic.sum(axis=1)}
    for stage, rate in rates.items():
        cohort = cohort * rate
        units[stage] = cohort.sum(axis=1)
    return Flow(units, spend.sum(axis=0), deal_value)


def in_total(values: Array) -> Array:
    """A channel axis with the total appended, (draw, channel + 1)."""
    return np.concatenate([values, values.sum(axis=-1, keepdims=True)], axis=-1)


def ratio(top: Array, bottom: Array) -> Array:
    """top / bottom, NaN where the bottom is zero: an undefined cost is not a cost of zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)


def unit_economics(flow: Flow, gross_margin: float) -> dict[str, Array]:
    """Measures by name, each (draw, channel + 1), the last column in total; see the module for the formulas.

    Cost measures only exist where there is spend (NaN elsewhere), worth only where deals have a value.
    """
    spend = np.where(flow.spend > 0, flow.spend, np.nan)
    total = np.append(spend, flow.spend.sum() if flow.spend.sum() > 0 else np.nan)
    units = {stage: in_total(values) for stage, values in flow.units.items()}
    result: dict[str, Array] = {}
    draws = len(next(iter(units.values())))
    if np.isfinite(total).any():
        result["spend"] = np.broadcast_to(total, (draws, len(total))).copy()
        for stage, name in (("leads", "cpl"), ("qualified", "cost_per_qualified"), ("won", "cac")):
            if stage in units:
                result[name] = ratio(np.broadcast_to(total, units[stage].shape), units[stage])
    if flow.deal_value is not None:
        revenue = in_total(flow.units["won"] * flow.deal_value)
        result["deal_value"] = ratio(revenue, units["won"])
        for stage, name in (("leads", "worth_of_lead"), ("qualified", "worth_of_qualified")):
            if stage in units:
                result[name] = ratio(revenue, units[stage])
        if "leads" in units:
            result["break_even_cpl"] = gross_margin * result["worth_of_lead"]
    return result
