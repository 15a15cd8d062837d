"""What spend brings, evaluated once on a grid; budgets, limits and objectives are solved from it without the posterior.

Per draw s and channel c, with spend x over the horizon spread over its periods as the current plan is:

    value     margin x customer value x discount x traffic x rates x deal value, all delays run out, carry-over included
    inside    the same as revenue that lands inside the horizon (or wins), undiscounted
    wins      customers in the end
    variance  of chance in value and inside: sum_t m^2 (1 + cv^2) w_t + v_t^2 [(1 + noise^2) prod_k (1 + r_k) - 1]

with w_t, v_t the expected wins and value of period t's cohort, m the value of a deal, noise that of traffic, r_k the
relative variance of a rate between cohorts. What a cohort has landed inside the horizon comes from the draw's delays:
u_k(t) = p_k(t) sum_d f_k(d) u_(k+1)(t + d), with u = 1 for money inside the horizon.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from forecast.budget.prices import concave, falling_slopes, hull
from forecast.budget.program import evaluate
from forecast.equations import delay_pmf
from forecast.fit import Posterior, kept_draws
from forecast.history import History
from forecast.outlook import Future, customer_value, expected_traffic, simulate
from forecast.periods import periods_per_year
from forecast.study import Study

Array = NDArray[np.float64]

POINTS = 25  # spend levels at which the posterior is evaluated
TABLE = 2001  # points of the mean curve between them
FINE = 161  # points of every draw's curve between them
NO_TRAFFIC = -60.0  # log


@dataclass(frozen=True, eq=False)
class Curves:
    """What each channel's spend over the horizon brings: the one expensive evaluation.

    spend (channel, point); value (draw, channel, point), currency, at most a thousand draws; pattern (period, channel):
    how spend is spread. table_spend, table_value, table_marginal (channel, TABLE): the mean of all draws, its slope
    made to fall. `more`: other measures by name, dims of `value` (see the module); `arriving` (channel, point, period):
    expected units that enter sales inside the horizon, the last being those after it.
    """

    spend: Array
    value: Array
    pattern: Array
    table_spend: Array
    table_value: Array
    table_marginal: Array
    more: dict[str, Array] | None = None
    arriving: Array | None = None
    _fine: dict[str, tuple[Array, Array]] = field(default_factory=dict, init=False, repr=False)

    def mean_value(self, spend: Array) -> float:
        """Expected eventual margin of a split (channel,), before spend."""
        return float(evaluate(self.table_spend, self.table_value, spend).sum())

    def marginal(self, spend: Array) -> Array:
        """Expected margin of one more unit of money, by channel."""
        return evaluate(self.table_spend, self.table_marginal, spend)

    def measure(self, name: str) -> Array:
        """A measure by name, (draw, channel, point)."""
        return self.value if name == "value" else (self.more or {})[name]

    def fine(self, name: str) -> tuple[Array, Array]:
        """Every draw's curve on more points: spend (channel, FINE), measure (draw, channel, FINE)."""
        if name not in self._fine:
            root, knots = np.linspace(0.0, 1.0, FINE), np.linspace(0.0, 1.0, self.spend.shape[1])
            between = PchipInterpolator(knots, self.measure(name), axis=2)
            self._fine[name] = self.spend[:, -1:] * root**2, between(root)
        return self._fine[name]

    def mean_table(self, name: str) -> Array:
        """The mean over draws of a measure at `table_spend`, (channel, TABLE)."""
        return table_of(self.measure(name).mean(axis=0), self.spend)


def tabulated(spend: Array, value: Array, pattern: Array, mean: Array | None = None) -> Curves:
    """Curves from values on a grid even in the root of spend; `mean` (channel, point) where draws are only a part."""
    table_spend = spend[:, -1:] * np.linspace(0.0, 1.0, TABLE) ** 2
    table_value = table_of(value.mean(axis=0) if mean is None else mean, spend)
    return Curves(spend, value, pattern, table_spend, table_value, falling_slopes(table_spend, table_value))


def table_of(mean: Array, spend: Array) -> Array:
    """A mean known at points even in the root of spend, at TABLE such points (channel, TABLE).

    What is concave at the points stays so between them: what the interpolation adds near zero is bridged.
    """
    root = np.linspace(0.0, 1.0, TABLE)
    table = np.asarray(PchipInterpolator(np.linspace(0.0, 1.0, mean.shape[1]), mean, axis=1)(root))
    falls = concave(spend, mean)
    table[falls] = hull(spend[falls, -1:] * root**2, table[falls])
    return table


def paid_channels(history: History, plan: Array) -> NDArray[np.int64]:
    """Channels whose traffic responds to spend that was recorded, and that take part in the budget."""
    return np.flatnonzero(history.paid | (plan.sum(axis=0) > 0))


def pattern_of(plan: Array) -> Array:
    """How a plan spreads each channel's spend over its periods (period, channel); evenly where it has none."""
    totals = plan.sum(axis=0)
    flat = np.full(plan.shape, 1.0 / len(plan))
    return np.where(totals > 0, plan / np.where(totals > 0, totals, 1.0), flat)


# ------------------------------------------------------------------------------------------------- worth of traffic


def worth_of_traffic(posterior: Posterior, future: Future, margin: float) -> Array:
    """Margin that one unit of traffic brings in the end, (draw, period, channel): margin x rates x deal value."""
    worth = np.repeat(posterior.array("deal_mean")[:, None, :] * margin, future.log_traffic.shape[1], axis=1)
    return worth * _chance(future)


def _chance(future: Future) -> Array:
    chance = np.ones_like(future.log_traffic)
    for rate in future.rates.values():
        chance = chance * rate
    return chance


def money_factor(posterior: Posterior, history: History, study: Study) -> Array:
    """Margin of a customer per unit of first revenue, (draw, channel): margin x customer value x discount by delay."""
    economics = study.economics
    factor = np.full((posterior.draws, len(history.channels)), economics.gross_margin * customer_value(study))
    keep = (1.0 + economics.discount_rate) ** (-1.0 / periods_per_year(history.period))
    for stage in posterior.stages if keep < 1 else ():
        mean = posterior.array(f"delay_mean_{stage}")
        if mean.any():
            pmf = delay_pmf(
                mean, posterior.array(f"delay_cv_{stage}"), int(posterior.provenance["ages"][stage])
            )
            lag = pmf @ keep ** np.arange(pmf.shape[1])
            factor *= np.where(history.enters_later(stage), 1.0, lag[:, None])
    return factor


def inside_share(
    posterior: Posterior,
    history: History,
    future: Future,
    *,
    until: str | None = None,
    rows: NDArray[np.int64] | slice = slice(None),
) -> Array:
    """Chance that a unit of a period's traffic is won inside the horizon, (draw, period, channel).

    `until`: reaches that stage instead, with one axis more for the slot in which it does, the last one being later.
    `rows`: for some of the draws.
    """
    stages = posterior.stages
    stages = stages if until is None else stages[: stages.index(until) + 1]
    shape = future.log_traffic[rows].shape
    horizon = shape[1]
    if until is None:
        reach = np.ones((*shape, 1))
    else:  # one target per slot; what is beyond all of them is the last
        reach = np.broadcast_to(np.eye(horizon)[None, :, None, :], (*shape, horizon)).copy()
    for stage in reversed(stages):
        mean, rate = posterior.array(f"delay_mean_{stage}")[rows], future.rates[stage][rows]
        cv, ages = posterior.array(f"delay_cv_{stage}")[rows], int(posterior.provenance["ages"][stage])
        at_once = history.enters_later(stage)
        pmf = delay_pmf(mean, cv, ages)
        pmf = np.concatenate([pmf, np.zeros((len(pmf), horizon))], axis=1)
        before = np.empty_like(reach)
        for t in range(horizon):
            landing = np.einsum("sd,sdck->sck", pmf[:, : horizon - t], reach[:, t:], optimize=True)
            before[:, t] = rate[:, t, :, None] * landing
        before[:, :, at_once] = reach[:, :, at_once]
        reach = before
    if until is None:
        return reach[..., 0]
    chance = np.ones(shape)
    for stage in stages:
        chance = chance * np.where(history.enters_later(stage), 1.0, future.rates[stage][rows])
    return np.concatenate([reach, (chance - reach.sum(axis=3))[..., None]], axis=3)


def plan_value(posterior: Posterior, history: History, future: Future, worth: Array, spend: Array) -> Array:
    """Expected eventual margin of a plan (period, channel) before spend, (draw, channel)."""
    inside, later = expected_traffic(posterior, future, spend, history.current_spend, history.period)
    return (inside * worth).sum(axis=1) + later * worth[:, -1]


# -------------------------------------------------------------------------------------------------------- the grid


@dataclass(frozen=True, eq=False)
class Response:
    """A posterior's expected yield of plans, with what does not depend on them worked out once.

    worth, inside, wins: of a unit of traffic by (draw, period, channel), see the module; `study` and the rest as given.
    """

    posterior: Posterior
    history: History
    study: Study
    future: Future
    plan: Array
    worth: Array
    inside: Array
    wins: Array

    @property
    def paid(self) -> NDArray[np.int64]:
        """Channels that take part."""
        return paid_channels(self.history, self.plan)

    def traffic(self, spend: Array) -> tuple[Array, Array]:
        """Expected traffic of a plan, in the horizon and by carry-over after it."""
        after = self.history.current_spend
        return expected_traffic(self.posterior, self.future, spend, after, self.history.period)

    def value(self, spend: Array) -> Array:
        """Expected eventual margin of a plan (period, channel) before spend, (draw, channel)."""
        inside, later = self.traffic(spend)
        return (inside * self.worth).sum(axis=1) + later * self.worth[:, -1]

    def reach(self, rows: NDArray[np.int64]) -> Array:
        """Chance to enter sales by slot, (draw, period, channel, slot), for some draws; see `inside_share`."""
        entry = sales_entry(self.posterior)
        return inside_share(self.posterior, self.history, self.future, until=entry, rows=rows)


def response_of(
    posterior: Posterior, history: History, study: Study, future: Future, plan: Array
) -> Response:
    """Work out what a unit of traffic brings. The measure inside the horizon is wins where the target is in wins."""
    factor = money_factor(posterior, history, study)
    wins, deal = _chance(future), posterior.array("deal_mean")
    inside = inside_share(posterior, history, future)
    if not _in_wins(study):
        inside = inside * deal[:, None, :]
    worth = wins * (deal * factor)[:, None, :]
    return Response(posterior, history, study, future, plan, worth, inside, wins)


def _in_wins(study: Study) -> bool:
    return study.plan.target is not None and study.plan.target.measure == "won"


def response_curves(made: Response, most: Array, *, arriving: bool = False) -> Curves:
    """Evaluate the posterior once on a grid of spend for the paid channels; `most` (channel,) bounds the grid."""
    paid, posterior = made.paid, made.posterior
    pattern = pattern_of(made.plan)
    spend = most[:, None] * np.linspace(0.0, 1.0, POINTS) ** 2
    keep = kept_draws(posterior.draws)
    chance = _Chance(made)
    reach = made.reach(keep) if arriving else None
    means, units = [], []
    parts: dict[str, list[Array]] = {
        "value": [],
        "inside": [],
        "wins": [],
        "value_variance": [],
        "inside_variance": [],
    }
    for g in range(POINTS):
        traffic, later = made.traffic(pattern * spend[:, g])
        value = (traffic * made.worth).sum(axis=1) + later * made.worth[:, -1]
        means.append(value.mean(axis=0)[paid])
        traffic, later = traffic[keep], later[keep]
        if reach is not None:
            entering = np.einsum("stc,stck->ck", traffic, reach, optimize=True) / len(keep)
            entering[:, -1] += (later * reach[:, -1].sum(axis=2)).mean(axis=0)
            units.append(entering[paid])
        found = chance.measures(traffic, later, keep) | {"value": value[keep]}
        for name, values in found.items():
            parts[name].append(values[:, paid].astype(np.float32))
    measures = {name: np.stack(values, axis=2).astype(float) for name, values in parts.items()}
    made_curves = tabulated(spend[paid], measures.pop("value"), pattern[:, paid], np.stack(means, axis=1))
    return replace(made_curves, more=measures, arriving=np.stack(units, axis=1) if units else None)


class _Chance:
    """Means and variances of chance that go with expected traffic, for some of the draws."""

    def __init__(self, made: Response) -> None:
        self.made = made
        posterior, future = made.posterior, made.future
        spread = 1.0 + posterior.array("noise_traffic")[:, None, None] ** 2 + 1e-4
        for stage, rate in future.rates.items():
            noise = posterior.array(f"noise_{stage}")[:, None, None]
            inner = np.clip(rate, 1e-9, 1 - 1e-9)
            kappa = 1.0 / (noise**2 * inner * (1 - inner) + 1e-6)
            spread = spread * (1.0 + (1.0 - inner) / inner / (kappa + 1.0))
        self.noise = spread - 1.0
        self.deal = posterior.array("deal_mean")
        self.deals = 1.0 + posterior.array("deal_cv")[:, None] ** 2
        self.factor = money_factor(posterior, made.history, made.study)

    def measures(self, traffic: Array, later: Array, keep: NDArray[np.int64]) -> dict[str, Array]:
        made, deal, deals = self.made, self.deal[keep], self.deals[keep]
        noise, factor = self.noise[keep], self.factor[keep]
        wins = (traffic * made.wins[keep]).sum(axis=1) + later * made.wins[keep, -1]
        inside = traffic * made.inside[keep]
        value = traffic * made.worth[keep]
        each = deal * 0 + 1.0 if _in_wins(made.study) else deal
        several = np.ones_like(deals) if _in_wins(made.study) else deals
        return {
            "inside": inside.sum(axis=1),
            "wins": wins,
            "inside_variance": inside.sum(axis=1) * each * several + (inside**2 * noise).sum(axis=1),
            "value_variance": (deal * factor) ** 2 * deals * wins + (value**2 * noise).sum(axis=1),
        }


def sales_entry(posterior: Posterior) -> str:
    """The stage before won; with a single transition, won itself."""
    return posterior.stages[-2] if len(posterior.stages) > 1 else posterior.stages[-1]


# ------------------------------------------------------------------------------------------- what spend does not move


@dataclass(frozen=True, eq=False)
class Background:
    """What comes whatever is spent, simulated once: open pipeline and channels without spend.

    inside (draw,): revenue (or wins) inside the horizon, chance included. arriving (draw, period): units that enter
    sales.
    """

    inside: Array
    arriving: Array


def background(made: Response, rng: np.random.Generator) -> Background:
    """Run the funnel without the traffic of paid channels; sales without a limit."""
    posterior, future = made.posterior, made.future
    log_traffic, tail = future.log_traffic.copy(), future.tail_traffic.copy()
    log_traffic[:, :, made.paid] = tail[:, made.paid] = NO_TRAFFIC
    quiet = replace(future, log_traffic=log_traffic, tail_traffic=tail)
    unlimited = made.study.economics.model_copy(update={"capacity": None})
    study = made.study.model_copy(update={"economics": unlimited})
    outlook = simulate(posterior, made.history, study, {"none": made.plan}, quiet, rng=rng, replicates=1)
    inside = outlook["won" if _in_wins(made.study) else "revenue"].sel(plan="none").sum(("period", "channel"))
    limited = made.history.entry < len(posterior.stages)
    entry = sales_entry(posterior)
    arriving = np.asarray(outlook[entry].sel(plan="none").values, dtype=float)[:, :, limited].sum(axis=2)
    return Background(np.asarray(inside.values, dtype=float), arriving)
