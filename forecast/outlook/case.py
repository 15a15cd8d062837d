"""One question about one company: what was asked, what was seen, what is known of it, and what is planned.

A `Future` holds the paths of the horizon's parameters, one per posterior draw; a `Case` is the noun that the house
above the fit works on. What spend brings in expectation is asked of it, because simulation, expected flow and budget
all need it:

    traffic_c(t) = exp(log_traffic_c(t)) [b_c + (1 - b_c) g_c(z_c(t))],   z = acting spend / reference
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from forecast.equations import (
    carry_periods,
    carry_weights,
    fading,
    lagged,
    response,
    weighed_spend,
    with_past,
)
from forecast.fit import Posterior
from forecast.history import History
from forecast.outlook.ageing import Pace, ages_by_day, drawn_pace, entering
from forecast.outlook.beside import recurring_path
from forecast.periods import log_days, period_label, period_range, season_of, shift
from forecast.showing import Card, Shows
from forecast.study import Study
from forecast.words import message

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Future:
    """Paths of the horizon's parameters, one per posterior draw, shared by every plan and by the allocation.

    log_traffic (draw, period, channel): log expected units at reference spend. rates: by destination stage, expected
    rate (draw, period, channel). past_spend, reference: of the history, by (period,) channel; now: current spend over
    the reference, by channel. starts: the periods.
    after: by stage, how many times the rate of the last period holds after the horizon, (draw, channel), where an event
    or a change of the study makes them differ.
    inflow: by stage, further units expected to enter it in each period (draw, period, channel), beside those that come
    from the stage before (recycled leads, say): Poisson on top, counted as new, in every plan, moving on as others do.
    recurring (draw, period, channel): what customers won before go on paying, in every plan; None where none do.
    paces, lags: by stage whose leads are dated (`outlook.ageing`), how fast each period is, and when those move on that
    enter in a period, (draw, period of entry, age in periods, channel); `rates` are then the chance to move at all.
    """

    log_traffic: Array
    tail_traffic: Array  # (draw, channel): the same for the periods after the horizon, season aside
    rates: dict[str, Array]
    value: Array  # of a deal by the period of its win, (draw, period, channel); 1 where deals have none
    later_value: Array  # the same after the horizon, season aside, (draw, channel)
    past_spend: Array
    reference: Array
    now: Array
    responds: NDArray[np.bool_]
    stopped: NDArray[np.bool_]  # over, unless money is planned
    starts: NDArray[np.datetime64]
    after: Mapping[str, Array] = field(default_factory=dict)
    inflow: Mapping[str, Array] = field(default_factory=dict)
    recurring: Array | None = None
    paces: Mapping[str, Pace] = field(default_factory=dict)
    lags: Mapping[str, Array] = field(default_factory=dict)

    def rates_on(self, stage: str, rows: NDArray[np.int64] | slice = slice(None)) -> Array:
        """Rates into a stage, (draw, period + 1, channel); the last: of what enters it from after the horizon."""
        after = self.after.get(stage)
        return with_later(self.rates[stage][rows], None if after is None else after[rows])


def with_later(rate: Array, after: Array | None) -> Array:
    """Rates (draw, period, channel) and, in a slot more, `after` times the last one; the last one where it is None."""
    last = rate[:, -1] if after is None else np.minimum(rate[:, -1] * after, 1.0)
    return np.concatenate([rate, last[:, None]], axis=1)


def future_paths(posterior: Posterior, history: History, horizon: int, rng: np.random.Generator) -> Future:
    """Draw walks and shocks of traffic, rates and deal value over `horizon` periods ahead; traffic's slope fades."""
    draws, channels = posterior.draws, len(history.channels)

    def walk(name: str) -> Array:
        common = rng.standard_normal((draws, horizon, 1)) * posterior.array(f"drift_{name}")[:, None, None]
        own = rng.standard_normal((draws, horizon, channels))
        return np.cumsum(common + own * posterior.array(f"own_drift_{name}")[:, None, None], axis=1)

    def shock(name: str) -> Array:
        sd = posterior.array(f"shock_{name}")[:, None, None]
        return np.asarray(sd * rng.standard_normal((draws, horizon, 1)))

    starts, moves = horizon_of(history, horizon), walk("traffic")
    season = posterior.array("season")[:, season_of(starts, history.period)]
    days = log_days(starts, history.period)
    trend = posterior.array("slope")[:, None, :] * fading(horizon, history.period)[:, None]
    level = posterior.array("traffic")[:, None, :] + trend + moves
    rates, paces, lags = dict[str, Array](), dict[str, Pace](), dict[str, Array]()
    for stage in posterior.stages:
        if ages_by_day(posterior, stage):
            paces[stage] = drawn_pace(posterior, stage, starts, channels, rng)
            rates[stage], lags[stage] = entering(posterior, stage, paces[stage], starts, history.period)
            continue
        now = posterior.array(f"logit_now_{stage}")[:, None] + walk(stage)
        # The shock of a stage with a delay hits what closes in a period, whenever that entered: `outlook.simulation`.
        rates[stage] = expit(now if by_closing(history, posterior, stage) else now + shock(stage))
    return Future(
        level + season[:, :, None] + days[:, None] + shock("traffic"),
        level[:, -1],
        rates,
        *_values(posterior, starts, history.period, rng),
        history.spend,
        history.spend_reference,
        history.spend_now,
        history.paid,
        history.stopped,
        starts,
        recurring=recurring_path(posterior, horizon, rng),
        paces=paces,
        lags=lags,
    )


def by_closing(history: History, posterior: Posterior, stage: str) -> bool:
    """Whether noise and shocks of a stage belong to the period in which units leave it: of counts with a delay."""
    return history.counting == "calendar" and bool(posterior.array(f"delay_mean_{stage}").any())


def _values(
    posterior: Posterior, starts: NDArray[np.datetime64], period: str, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Deal values of the horizon (draw, period, channel), and after it, season aside (draw, channel)."""
    if "deal_mean" not in posterior.data:
        shape = posterior.draws, len(starts), int(posterior.data.sizes["channel"])
        return np.ones(shape), np.ones((shape[0], shape[2]))
    steps = posterior.array("deal_drift")[:, None] * rng.standard_normal((posterior.draws, len(starts)))
    walk = np.cumsum(steps, axis=1)
    season = posterior.array("deal_season")[:, season_of(starts, period)]
    mean = posterior.array("deal_mean")
    return mean[:, None] * np.exp(walk + season)[:, :, None], mean * np.exp(walk[:, -1:])


def horizon_of(history: History, periods: int) -> NDArray[np.datetime64]:
    """The periods ahead, by their first days."""
    first, last = (shift(history.last, ahead, history.period) for ahead in (1, periods))
    return period_range(first, last, history.period)


def paid_channels(history: History, plan: Array) -> NDArray[np.int64]:
    """Channels that take part in the budget, by index: their spend was recorded, or is planned (period, channel)."""
    return np.flatnonzero(history.paid | (plan.sum(axis=0) > 0))


@dataclass(frozen=True, eq=False, repr=False)
class Case(Shows):
    """A study, its history, the posterior, the paths of the horizon, and a plan: spend (period, channel), currency."""

    study: Study
    history: History
    posterior: Posterior
    future: Future
    plan: Array

    @property
    def channels(self) -> list[str]:
        """Channels by name."""
        return list(self.history.channels)

    @property
    def horizon(self) -> int:
        """Number of periods ahead."""
        return len(self.plan)

    @cached_property
    def labels(self) -> list[str]:
        """Periods of the horizon, as people write them."""
        return [period_label(start, self.history.period) for start in self.future.starts]

    @cached_property
    def stages(self) -> list[str]:
        """Stages of the funnel, the first one included."""
        return list(self.posterior.provenance["stages"])

    @cached_property
    def steps(self) -> list[tuple[str, str]]:
        """(stage before, stage) for each step of the funnel."""
        return list(pairwise(self.stages))

    def _card(self, *, whole: bool) -> Card:  # noqa: ARG002 - it is made already
        return Card(
            f"Case {self.study.name}: {self.labels[0]} to {self.labels[-1]}",
            {
                "history": f"{self.history.labels[0]} to {self.history.labels[-1]}",
                "channels": self.channels,
                "spend": message(
                    "{x:whole} {currency}", x=float(self.plan.sum()), currency=self.study.currency
                ),
                "draws": self.posterior.draws,
            },
        )

    @property
    def valued(self) -> bool:
        """Whether deals have a value; otherwise what stands for revenue are wins."""
        return "deal_mean" in self.posterior.data

    @cached_property
    def paid(self) -> NDArray[np.int64]:
        """Channels that take part in the budget: their spend was recorded, or is planned."""
        return paid_channels(self.history, self.plan)

    @property
    def paid_names(self) -> list[str]:
        """Names of the channels that take part in the budget."""
        return [self.channels[i] for i in self.paid]

    def response(
        self, spend: Array, *, channels: NDArray[np.int64] | slice = slice(None), skip: int = 0
    ) -> Array:
        """Traffic over its reference level, (draw, period, channel), for spend (period, channel) from now on.

        b + (1 - b) g(z), z = x~ / x0, where x~ carries in what was spent before; 1 for a channel without spend.
        Histories tell level and elasticity at the spend of today, hardly ever the shape away from it: in half of the
        draws g is the power law z^beta, in the other half Michaelis-Menten with the same level and elasticity at
        today's spend (`equations.michaelis_menten`; at x0 where nothing is spent now). Only for `channels`, and without
        the first `skip` periods of `spend`.
        """
        posterior, future = self.posterior, self.future
        lags = carry_periods(self.history.period)
        past = with_past(future.past_spend, lags)[-lags:]
        path = (np.concatenate([past, spend]) / future.reference)[:, channels]
        acting = weighed_spend(self._carried[..., channels], lagged(path, lags, skip=skip))
        beta, base = (posterior.array(name)[:, None, channels] for name in ("elasticity", "base"))
        answer = response(acting, beta, base, saturates(posterior.draws), future.now[channels])
        moved = future.responds[channels]
        return answer if moved.all() else np.where(moved, answer, 1.0)

    @cached_property
    def _carried(self) -> Array:
        """Weights of spend by age, (lag, draw, channel)."""
        return carry_weights(self.posterior.array("carry"), carry_periods(self.history.period))

    def traffic(self, spend: Array | None = None) -> tuple[Array, Array]:
        """Expected units entering the funnel at the plan, or at another `spend` (period, channel).

        In the horizon (draw, period, channel), and what this spend brings later, (draw, channel): carry-over, traffic
        after the horizon with this plan less traffic with no spend in it, both with today's spend from then on.
        """
        return self._of_plan if spend is None or spend is self.plan else self._traffic(spend)

    @cached_property
    def _of_plan(self) -> tuple[Array, Array]:
        """Traffic of the plan, which nearly every table asks for; not to be written on."""
        made = self._traffic(self.plan)
        for each in made:
            each.flags.writeable = False
        return made

    def _traffic(self, spend: Array) -> tuple[Array, Array]:
        future = self.future
        inside = np.exp(future.log_traffic) * self.response(spend)
        if (idle := future.stopped & (spend == 0)).any():
            inside = np.where(idle, 0.0, inside)
        later = np.zeros_like(future.tail_traffic)
        if (lasting := self._lasting).size:
            more = self.response(self._then_as_now(spend), channels=lasting, skip=len(spend)) - self._idle
            later[:, lasting] = np.exp(future.tail_traffic[:, lasting]) * np.maximum(more, 0.0).sum(axis=1)
        return inside, later

    @cached_property
    def laws(self) -> dict[str, Array]:
        """Laws of the delay into stages for all draws, as far as they were asked for: `open_pipeline.case_law`."""
        return {}

    @cached_property
    def _lasting(self) -> NDArray[np.int64]:
        """Channels whose spend acts later too."""
        return np.flatnonzero(self.posterior.array("carry").any(axis=0) & self.future.responds)

    @cached_property
    def _idle(self) -> Array:
        """Response after the horizon, of those, where nothing is spent in it: the same for every plan."""
        path = self._then_as_now(np.zeros_like(self.plan))
        return self.response(path, channels=self._lasting, skip=self.horizon)

    def _then_as_now(self, spend: Array) -> Array:
        """Spend of the horizon, then today's for as long as the horizon's is carried."""
        after = np.repeat(self.history.current_spend[None], carry_periods(self.history.period), axis=0)
        return np.concatenate([spend, after])


def saturates(draws: int) -> NDArray[np.bool_]:
    """Which draws take the saturating form, (draw, 1, 1): every other one, however the draws are thinned."""
    return (np.arange(draws) * 0.6180339887498949 % 1.0 < 0.5)[:, None, None]
