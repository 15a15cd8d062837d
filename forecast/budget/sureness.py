"""How sure the decision is, from the curves alone: every draw's best split, regret, frontiers, tests, extrapolation.

    regret        mean_s [max_x P_s(x) - P_s(x_chosen)]: what not knowing costs; of the best split it is the worth of
                  perfect information
    a test        n periods with spend a share d above and below, log sd ln((1 + d) / (1 - d)) / 2, tell an elasticity
                  of sd s to s_n^2 = 1 / (1 / s^2 + n (log sd)^2 / noise^2): worth EVPPI (1 - s_n^2 / s^2), and
                  costs what the swings lose on a curve that bends
    beyond seen   above the highest spend seen, the curve goes on as Michaelis-Menten of the same level and elasticity
                  there: y(u) = y_1 / (1 - e) u / (u + e / (1 - e)), u = spend over the highest seen

Sources: model of extrapolation and test power as in docs/allocation.md; Strong, Oakley & Brennan 2014 (EVPPI).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.budget.decision import Decision
from forecast.budget.information import Ground, Worth, ground, worth_of_knowing
from forecast.budget.objectives import Aim, climbed_mix, profit
from forecast.budget.outcomes import Draws, Risk
from forecast.budget.program import InfeasibleError, evaluate
from forecast.budget.response import Curves
from forecast.fit import kept_draws

Array = NDArray[np.float64]

SWING = 0.3  # of a test: spend this share above and below
LONGEST = 12  # periods of a test
WORTH_IT = 2.0  # times its cost that a test must be worth
BUDGETS, MIXES = 25, (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class Sureness:
    """How firm a recommendation is: tables by channel, and what is known of the whole.

    optimum: quantiles of each channel's spend in the best split of single draws; tests: what to learn, see `tests`;
    regret, regret_current, perfect: in currency over the horizon.
    """

    optimum: pd.DataFrame
    tests: pd.DataFrame
    regret: Worth
    regret_current: Worth
    perfect: Worth


def sureness(made: Decision, names: Sequence[str]) -> Sureness:
    """Everything about how sure a decision is."""
    known = ground(made.curves, made.limits)
    best, value = known.best, known.value
    rows = np.linspace(0, len(made.curves.value) - 1, len(best)).round().astype(int)
    spread = np.quantile(best, [0.1, 0.5, 0.9], axis=0)
    optimum = pd.DataFrame({"channel": list(names), "q10": spread[0], "q50": spread[1], "q90": spread[2]})
    draws = Draws(made.curves, "value")

    def regret(split: Array) -> Worth:
        lost = value - (draws.at(split)[0][rows] - split.sum())
        return Worth(max(float(lost.mean()), 0.0), float(lost.std() / math.sqrt(len(lost))))

    found = made.allocation
    return Sureness(
        optimum,
        tests(made, names, known),
        regret(found.recommended),
        regret(found.current),
        known.perfect,
    )


# ---------------------------------------------------------------------------------------------------- what to learn


def tests(made: Decision, names: Sequence[str], start: Ground) -> pd.DataFrame:
    """What a test of each channel's elasticity is worth over the horizon, and what it should be.

    Columns: channel, worth_of_knowing and its Monte Carlo error, periods and swing of the best test, learnt (share of
    the variance of the elasticity that it takes away), worth (most that it may cost), cost (expected margin lost by the
    swings), advised (worth at least twice its cost).
    """
    case = made.response.case
    posterior = case.posterior
    keep = kept_draws(posterior.draws)
    elasticity = posterior.array("elasticity")[:, case.paid]
    traffic, _ = case.traffic(case.plan)
    units = traffic[:, :, case.paid].mean(axis=(0, 1))
    noise = float(posterior.array("noise_traffic").mean())
    spread = math.log((1 + SWING) / (1 - SWING)) / 2
    rows = []
    for i, name in enumerate(names):
        known = worth_of_knowing(start, elasticity[keep, i])
        sd = float(elasticity[:, i].std())
        sigma = math.sqrt(noise**2 + 1.0 / max(float(units[i]), 1.0))
        swing = _cost_of_swing(made, i)
        periods = np.arange(2, LONGEST + 1)
        learnt = 1.0 - 1.0 / (1.0 + periods * (spread * sd / sigma) ** 2)
        at = int(np.argmax(known.value * learnt - swing * periods))
        worth, cost = known.value * learnt[at], swing * periods[at]
        rows.append(
            {"channel": name, "worth_of_knowing": known.value, "error": known.error}
            | {"periods": int(periods[at]), "swing": SWING, "learnt": float(learnt[at])}
            | {"worth": float(worth), "cost": float(cost)}
            | {"advised": bool(worth > WORTH_IT * cost and worth > 2 * known.error)}
        )
    return pd.DataFrame(rows)


def _cost_of_swing(made: Decision, channel: int) -> float:
    """Expected margin lost in a period by spending a share more in one half of the time and less in the other."""
    x = made.allocation.recommended[channel]
    knots, value = made.curves.table_spend[channel], made.curves.table_value[channel]
    up, middle, down = np.interp([x * (1 + SWING), x, x * (1 - SWING)], knots, value)
    return max(float(middle - (up + down) / 2), 0.0) / len(made.response.case.plan)


def advice(tests_table: pd.DataFrame, currency: str) -> str:
    """The one test that pays most, as a sentence; or that none does."""
    advised = tests_table.loc[tests_table["advised"].to_numpy(dtype=bool)]
    if advised.empty:
        return "No test of a channel is worth twice its cost: decide with what is known."
    row = max(advised.to_dict("records"), key=lambda test: float(test["worth"] - test["cost"]))
    periods = f"{row['periods']} period{'s' if row['periods'] > 1 else ''}"
    return (
        f"Test {row['channel']}: {row['swing']:.0%} more and {row['swing']:.0%} less spend, {periods} in all. It would "
        f"take away {row['learnt']:.0%} of the doubt about its response, is worth {row['worth']:,.0f} {currency} over "
        f"the horizon (the most it may cost), and loses about {row['cost']:,.0f} {currency} of margin."
    )


# -------------------------------------------------------------------------------------------------------- frontiers


def budget_frontier(made: Decision, points: int = BUDGETS) -> pd.DataFrame:
    """Best contribution against budget, within the other limits.

    Columns: budget, spent, contribution with q10 and q90 over draws, marginal (return of the next unit of money), pays
    (whether the last unit brought back more than itself).
    """
    limits, aim = made.limits, replace(made.aim, objective="profit", floor=None, hurdle=0.0, cac=None)
    current = made.allocation.current
    ceiling = float(np.minimum(limits.high, made.curves.spend[:, -1]).sum())
    budgets = np.linspace(max(float(limits.low.sum()), 0.02 * ceiling), ceiling, points)
    draws = Draws(made.curves, "value")
    rows = []
    for budget in np.unique(np.append(budgets, current.sum())):
        try:
            found = profit(made.curves, replace(limits, total=float(budget)), aim, current, made.queue)
        except InfeasibleError:
            continue
        outcome = draws.at(found.x)[0] - found.x.sum()
        low, high = np.quantile(outcome, [0.1, 0.9])
        price = found.prices.get("budget.total", 0.0)
        rows.append(
            {
                "budget": float(budget),
                "spent": float(found.x.sum()),
                "contribution": _mean(made.curves, found.x),
            }
            | {"q10": float(low), "q90": float(high), "marginal": price, "pays": price >= made.aim.hurdle}
        )
    return pd.DataFrame(rows)


def _mean(curves: Curves, x: Array) -> float:
    return curves.mean_value(x) - float(x.sum())


def where_it_stops_paying(made: Decision) -> float:
    """The budget beyond which the next unit of money returns less than the hurdle (itself), within the other limits."""
    aim = replace(made.aim, objective="profit", floor=None, cac=None)
    unlimited = replace(made.limits, total=math.inf)
    return float(profit(made.curves, unlimited, aim, made.allocation.current, made.queue).x.sum())


def risk_frontier(made: Decision) -> pd.DataFrame:
    """Mean contribution against that of its worst draws: splits between the two aims, within all limits.

    Columns: plan (mix, current, recommended), mix (weight of cvar), contribution, cvar, p_loss.
    """
    current, share = made.allocation.current, made.aim.risk
    risk = Risk(made.curves, share, 1.0)

    def row(plan: str, mix: float, x: Array) -> dict[str, object]:
        mean = _mean(made.curves, x)
        return {
            "plan": plan,
            "mix": mix,
            "contribution": mean,
            "cvar": risk.cvar(x),
            "p_loss": risk.p_loss(x),
        }

    rows, start = [], made.allocation.recommended
    for mix in MIXES:
        start = climbed_mix(made.curves, made.limits, Aim(risk=share), mix, start)
        rows.append(row("mix", mix, start))
    rows += [row("current", math.nan, current), row("recommended", math.nan, made.allocation.recommended)]
    return pd.DataFrame(rows)


# ----------------------------------------------------------------------------------------------------- beyond seen


def ledger(made: Decision, names: Sequence[str]) -> pd.DataFrame:
    """How much of the recommendation, and of its gain, lies beyond the highest spend that a period has seen.

    Columns: channel, highest_seen (a period), peak (highest recommended in a period), beyond (share of the recommended
    spend), gain (expected contribution over the current plan's), gain_beyond (of it, what the spend above the highest
    seen brings), gain_if_saturating (the gain if the response saturates from there on).
    """
    curves, found, paid = made.curves, made.allocation, made.response.case.paid
    seen = made.response.case.history.highest_spend[paid]
    plan = curves.pattern * found.recommended if found.plan is None else found.plan
    # the spend over the horizon at which the highest period is as high as any seen
    shape = plan.max(axis=0) / np.maximum(plan.sum(axis=0), 1e-12)
    edge = np.where(shape > 0, seen / np.maximum(shape, 1e-12), 0.0)
    value = evaluate(curves.table_spend, curves.table_value, found.recommended)
    inside = np.minimum(found.recommended, edge)
    at_edge = evaluate(curves.table_spend, curves.table_value, inside)
    base = curves.table_value[:, 0]
    slope = evaluate(curves.table_spend, curves.table_marginal, inside)
    level = np.maximum(at_edge - base, 1e-12)
    e = np.clip(slope * inside / level, 1e-6, 1 - 1e-6)
    u = found.recommended / np.maximum(inside, 1e-12)
    saturating = base + level / (1 - e) * u / (u + e / (1 - e))
    over = found.recommended > inside * (1 + 1e-9)
    gain = found.value_recommended - found.value_current - (found.recommended - found.current)
    return pd.DataFrame(
        {
            "channel": list(names),
            "highest_seen": seen,
            "peak": plan.max(axis=0),
            "beyond": found.extrapolated,
            "gain": gain,
            "gain_beyond": np.where(over, value - at_edge - (found.recommended - inside), 0.0),
            "gain_if_saturating": gain - np.where(over, value - saturating, 0.0),
        }
    )


# ------------------------------------------------------------------------------------------------------- in one piece


def decision_tables(made: Decision, names: Sequence[str], currency: str) -> dict[str, Any]:
    """Everything about a decision for report, summary and files: tables by name, and `summary` of plain values."""
    sure, certificate = sureness(made, names), made.allocation.certificate
    told = {} if certificate is None else asdict(certificate)
    summary = {
        "certificate": told,
        "regret": asdict(sure.regret),
        "regret_current": asdict(sure.regret_current),
        "perfect_information": asdict(sure.perfect),
        "stops_paying": where_it_stops_paying(made),
        "advice": advice(sure.tests, currency),
    }
    return {
        "summary": summary,
        "optimum": sure.optimum,
        "tests": sure.tests,
        "ledger": ledger(made, names),
        "budget_frontier": budget_frontier(made),
        "risk_frontier": risk_frontier(made),
    }
