"""Unit economics by channel and in total, as distributions over posterior draws.

For the horizon at the given plan, per draw (E over chance, uncertainty in what is not known):

    CPL = spend / leads                        cost per lead
    cost per qualified = spend / qualified     of the same cohorts, in the end
    CAC = spend / won                          marketing cost of a customer, of the same cohorts, in the end
    worth of a lead = product of the rates after lead x deal value       (revenue; 500 in the guide's example)
    worth of a qualified lead = rates after qualified x deal value       (revenue; 1,250 in the guide's example)
    break-even CPL = gross margin x worth of a lead
    marginal return = margin that one more unit of money brings, at today's spend
    CAC with sales = (spend + cost of the sales team, by qualified leads, + cost of sales per customer) / won
    LTV = gross margin x deal value, net of refunds, x worth of a customer over its first deal (`outlook.lifetime`)
    LTV / CAC, with the sales cost where it is known; at least 3 is healthy, 1 does not sustain itself
    break-even CPL over the lifetime = LTV x won / leads - cost of sales / leads
    payback = months from the win until its margin, earned evenly over each renewal period, has paid the CAC
    marginal CPL, CAC = the money of the next `STEP` of today's spend / the leads, customers that it brings

Source: the definitions of the lead generation guide (docs/method.md). A lead that has not qualified is worth
qualification x close rate x deal value; taking the worth of a qualified lead for it overpays by 1 / qualification.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.outlook.beside import kept_share
from forecast.outlook.case import Case
from forecast.outlook.expectation import deal_value
from forecast.outlook.lifetime import lifetime_of
from forecast.outlook.open_pipeline import delay_law
from forecast.periods import periods_per_year
from forecast.study import EconomicsSpec

Array = NDArray[np.float64]
STREAM = 61  # of the seed: how long customers stay
STEP = 0.01  # of today's spend: what "the next unit of money" is measured with
HEALTHY = 3.0  # LTV / CAC
UNITS = {
    **dict.fromkeys(("ltv_cac", "marginal_ltv_cac", "marginal_return"), "ratio"),
    **dict.fromkeys(("p_ltv_cac_3", "p_cheap_but_dear", "p_payback"), "probability"),
    **dict.fromkeys(("payback_months", "marginal_payback_months"), "months"),
}  # every other measure is in currency


@dataclass(frozen=True)
class Flow:
    """Expected units per draw and channel that the horizon acquires: by stage (draw, channel), in the end.

    units["leads"] are the leads acquired in the horizon, units["qualified"] those of them that qualify sooner or later.
    spend (channel,): over the horizon. deal_value (draw, channel), or None where deals have no value; kept: share of it
    that is not paid back.
    """

    units: dict[str, Array]
    spend: Array
    deal_value: Array | None
    kept: Array | float = 1.0

    @property
    def net_value(self) -> Array | None:
        """Deal value less refunds, (draw, channel)."""
        return None if self.deal_value is None else np.asarray(self.deal_value * self.kept)


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


def unit_measures(flow: Flow, gross_margin: float) -> dict[str, Array]:
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
        revenue = in_total(flow.units["won"] * flow.deal_value * flow.kept)
        result["deal_value"] = ratio(in_total(flow.units["won"] * flow.deal_value), units["won"])
        if (np.asarray(flow.kept) != 1.0).any():
            result["deal_value_net"] = ratio(revenue, units["won"])
        for stage, name in (("leads", "worth_of_lead"), ("qualified", "worth_of_qualified")):
            if stage in units:
                result[name] = ratio(revenue, units[stage])
        if "leads" in units:
            result["break_even_cpl"] = gross_margin * result["worth_of_lead"]
    return result


def marginal_flow(
    before: tuple[Array, Array],
    after: tuple[Array, Array],
    rates: dict[str, Array],
    first: str,
    extra: Array,
    deal_value: Array | None,
) -> Flow:
    """What a little more money, `extra` (period, channel), brings in the end, carry-over after the horizon included.

    before, after: expected traffic inside the horizon (draw, period, channel) and later (draw, channel) without and
    with it; what comes later has the rates of the last period.
    """
    traffic = np.concatenate([after[0] - before[0], (after[1] - before[1])[:, None, :]], axis=1)
    on = {stage: np.concatenate([rate, rate[:, -1:]], axis=1) for stage, rate in rates.items()}
    return expected_flow(traffic, on, first, extra, deal_value)


def customer_economics(
    flow: Flow, margin: Flow, payments: Array, step: float, spec: EconomicsSpec, periods: int
) -> dict[str, Array]:
    """Measures of customers and of the next unit of money, each (draw, channel + 1), the total last; see the module.

    margin: of `marginal_flow`; payments (draw, payment): margins of a customer over that of the first deal, discounted;
    step: years between them; periods: of the horizon. Payback is infinite where the CAC never comes back.
    """
    units = {stage: in_total(values) for stage, values in flow.units.items()}
    won, spend = units["won"], in_total(flow.spend)
    result: dict[str, Array] = {}
    cost = np.where(spend > 0, spend, np.nan) * np.ones_like(won)
    selling = _sales_cost(flow, spec, periods)
    if selling is not None:
        cost = spend + selling
        result["cac_with_sales"] = ratio(cost, won)
    more, money = {stage: in_total(values) for stage, values in margin.units.items()}, in_total(margin.spend)
    per_won = spec.sales_cost_per_won or 0.0
    if spend[-1] > 0:
        money = np.where(money > 0, money, np.nan) * np.ones_like(won)
        if "leads" in more:
            result["marginal_cpl"] = ratio(money, more["leads"])
        result["marginal_cac"] = ratio(money, more["won"]) + per_won
    if flow.deal_value is None:
        return result
    first = spec.gross_margin * ratio(in_total(flow.units["won"] * flow.deal_value * flow.kept), won)
    ltv = first * payments.sum(axis=1, keepdims=True)
    result["ltv"] = ltv
    if "leads" in units and (payments.shape[1] > 1 or selling is not None):
        sold = 0.0 if selling is None else ratio(selling, units["leads"])
        result["break_even_cpl_lifetime"] = ltv * ratio(won, units["leads"]) - sold
    if np.isfinite(cost[:, -1]).all():
        result["ltv_cac"] = ratio(ltv, ratio(cost, won))
        result["payback_months"] = 12.0 * step * payback(ratio(cost, won) / first, payments)
    if "marginal_cac" in result:
        result["marginal_ltv_cac"] = ratio(ltv, result["marginal_cac"])
        result["marginal_payback_months"] = 12.0 * step * payback(result["marginal_cac"] / first, payments)
    return result


def _sales_cost(flow: Flow, spec: EconomicsSpec, periods: int) -> Array | None:
    """Cost of sales for the customers of the horizon (draw, channel + 1), or None where the study gives none.

    The team's cost is shared by the units that come to it, those of the stage before won.
    """
    if spec.sales_cost is None and spec.sales_cost_per_won is None:
        return None
    *_, before, last = flow.units
    handled = flow.units[before]
    team = (spec.sales_cost or 0.0) * periods * ratio(handled, handled.sum(axis=1, keepdims=True))
    return in_total(team + (spec.sales_cost_per_won or 0.0) * flow.units[last])


def payback(cost: Array, payments: Array) -> Array:
    """Payments until `cost` (draw, channel), in margins of the first deal, is earned; infinite where it never is.

    payments (draw, payment): earned evenly until the next one. A single payment comes at once: then it is 0 or never.
    NaN where the cost is not known.

    >>> payback(np.array([[0.5, 1.4, 9.0]]), np.array([[1.0, 0.8, 0.64]])).tolist()
    [[0.5, 1.5, inf]]
    """
    earned = np.concatenate([np.zeros((len(payments), 1)), np.cumsum(payments, axis=1)], axis=1)
    full = (earned[:, None, 1:] < cost[:, :, None]).sum(axis=2)
    never = full == payments.shape[1]
    if payments.shape[1] == 1:
        return np.where(np.isnan(cost), np.nan, np.where(never, np.inf, 0.0))
    at = np.minimum(full, payments.shape[1] - 1)
    rest = cost - np.take_along_axis(earned, at, axis=1)
    months = at + ratio(rest, np.take_along_axis(payments, at, axis=1))
    return np.where(np.isnan(cost), np.nan, np.where(never, np.inf, months))


def chances(measures: dict[str, Array]) -> dict[str, Array]:
    """Probabilities over draws, by channel and in total (channel + 1,); NaN where they cannot be told.

    p_ltv_cac_3: LTV / CAC of at least 3; p_payback: the CAC ever comes back; p_cheap_but_dear: leads that cost less,
    and customers that cost more, than those of the whole company.
    """
    found: dict[str, Array] = {}

    def share(holds: NDArray[np.bool_], of: Array) -> Array:
        return np.where(np.isnan(of).any(axis=0), np.nan, holds.mean(axis=0))

    if "ltv_cac" in measures:
        found["p_ltv_cac_3"] = share(measures["ltv_cac"] >= HEALTHY, measures["ltv_cac"])
        found["p_payback"] = share(np.isfinite(measures["payback_months"]), measures["payback_months"])
    if {"cpl", "cac"} <= set(measures):
        cpl, cac = measures["cpl"], measures["cac"]
        found["p_cheap_but_dear"] = share((cpl < cpl[:, -1:]) & (cac > cac[:, -1:]), cpl + cac)
        found["p_cheap_but_dear"][-1] = np.nan
    return found


# ------------------------------------------------------------------------------------------------- of one case


def flow_of(case: Case) -> Flow:
    """What the horizon acquires at the plan of a case, in the end."""
    inside, _ = case.traffic()
    value = deal_value(case) if case.valued else None
    flow = expected_flow(inside, case.future.rates, case.stages[0], case.plan, value)
    return replace(flow, kept=kept_share(case.posterior))


def customer_measures(case: Case, flow: Flow, *, seed: int) -> dict[str, Array]:
    """Measures of `customer_economics` by name, (draw, channel + 1); flow: of the plan.

    Draws of the posterior meet draws of how long customers stay, which the funnel says nothing of. The next unit of
    money is `STEP` more of every channel's planned spend, by the same response that the forecast has.
    """
    more = STEP * case.plan
    traffic = case.traffic(), case.traffic((1.0 + STEP) * case.plan)
    margin = marginal_flow(*traffic, case.future.rates, case.stages[0], more, flow.deal_value)
    lifetime = lifetime_of(case.study)
    payments = lifetime.draws(case.posterior.draws, np.random.default_rng([seed, STREAM]))
    return customer_economics(flow, margin, payments, lifetime.step, case.study.economics, case.horizon)


def money_factor(case: Case) -> Array:
    """Margin of a customer per unit of first revenue, (draw, channel): margin x customer value x discount by delay."""
    economics, posterior = case.study.economics, case.posterior
    factor = np.full(
        (posterior.draws, len(case.channels)), economics.gross_margin * lifetime_of(case.study).expected
    )
    keep = (1.0 + economics.discount_rate) ** (-1.0 / periods_per_year(case.history.period))
    for stage in posterior.stages if keep < 1 else ():
        if posterior.array(f"delay_mean_{stage}").any():
            pmf = delay_law(posterior, stage)
            lag = pmf @ keep ** np.arange(pmf.shape[1])
            factor *= np.where(case.history.enters_later(stage), 1.0, lag[:, None])
    return factor
