"""What a saved forecast missed since then, and by which part of the funnel: traffic, rates, delay, value, chance.

The expected outcome of the horizon is a plain function of a few blocks, each known twice, as forecast then and as it
came:

    spend          planned then; recorded now (what the forecast itself would have expected of that)
    traffic        expected then; counted now
    conversion, qualification, close rate (any other stage: rate into it)
                   expected then for each cohort; estimated now, from all that has come since
    delay          as estimated then; as estimated now
    value          mean deal then; revenue over wins now

The share of a block is its Shapley value: what swapping it from then to now changes, averaged over all orders of
swapping, so that no order is preferred and the shares add up. What is left to the outcome is chance: the luck of single
leads and deals, and what the estimates of now do not yet tell. With dated leads the estimates of now see delays apart
from rates; with calendar counts the two can stand in for each other.

Both estimates are the preview (`fit.preview`), so that a difference of methods is never taken for drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from forecast.equations import delay_pmf
from forecast.fit import Posterior
from forecast.history import History
from forecast.outlook import (
    Case,
    World,
    case_of,
    moves_by_slot,
    outcome,
    scheduled_before,
    shapley,
    waiting_with,
)
from forecast.periods import DAYS_PER_PERIOD
from forecast.study import Study

Array = NDArray[np.float64]

DRAWS = 1000
Moving = tuple[dict[str, Array], dict[str, Array]]  # of `moving_of`

BESIDE = {"refunds": -1.0, "recurring": 1.0}  # what stands beside deals in revenue, and with which sign
CHANCE, NEW = "chance", "new channels"
NAMES = {"leads": "conversion", "qualified": "qualification", "won": "close rate"}


@dataclass(frozen=True, eq=False)
class Known:
    """The blocks of an expected outcome, at one state of knowledge.

    traffic (period, channel): units entering over the horizon. rates: by stage (history and horizon, channel). delays:
    by stage, probability by age. value (channel,): of a deal; None where deals have none. losses: by stage where they
    are dated, share lost of those that never move on (history, channel) and its delay; alike in all states.
    """

    traffic: Array
    rates: dict[str, Array]
    delays: dict[str, Array]
    value: Array | None
    losses: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)


def rate_name(stage: str) -> str:
    """The name of the block of a rate.

    >>> rate_name("won"), rate_name("demo")
    ('close rate', 'rate into demo')
    """
    return NAMES.get(stage, f"rate into {stage}")


def expected(
    past: History,
    posterior: Posterior,
    known: Known,
    flow: Moving | None = None,
    at_once: Mapping[str, NDArray[np.bool_]] | None = None,
) -> dict[str, Array]:
    """Expected wins, and revenue where deals have a value, of each channel over the horizon: `outlook.outcome`.

    posterior: of then; what was in the funnel is the same for all states of knowledge. flow: of `moving_of`, kept by
    whoever asks for many states that differ elsewhere. at_once: channels that enter at a stage or after it, by stage,
    where more is known of them than `past` tells.
    """
    enters = {stage: past.enters_later(stage) for _, stage in past.steps} if at_once is None else at_once
    made = outcome(_world(past, known, moving_of(past, posterior, known) if flow is None else flow, enters))
    won = made.won[:, 0, :-1].sum(axis=(0, 1))
    return {"won": won} | ({} if known.value is None else {"revenue": made.horizon[0]})


def moving_of(past: History, posterior: Posterior, known: Known) -> Moving:
    """By stage when units move on, and the moves of those that are inside: of past, rates, delays and losses alone."""
    horizon, periods = len(known.traffic), len(past.periods)
    lags, pipeline = {}, dict[str, Array]()
    for before, stage in past.steps:
        f = np.concatenate([known.delays[stage], np.zeros(horizon + 1)])[None]
        lags[stage] = np.broadcast_to(f[:, :horizon, None], (1, horizon, horizon, 1))
        rate, losses = known.rates[stage][None, :periods], known.losses.get(stage)
        if past.counting == "calendar":  # whose rate is that of the period in which units fall due
            ahead = known.rates[stage][periods:].mean(axis=0)
            rate = np.broadcast_to(ahead, rate.shape)
        waiting = waiting_with(past, posterior, before, stage, rate, f, losses)
        if f[0, 0] < 1.0 and waiting is not None:
            ready = waiting.rate / waiting.still_open(waiting.rate) * waiting.units
            pipeline[stage] = moves_by_slot(ready, waiting.waited, f, horizon)
        if (planned := scheduled_before(past, stage, horizon)) is not None:
            pipeline[stage] = pipeline.get(stage, 0.0) + planned.mean(horizon + 1)
    return lags, pipeline


def _world(past: History, known: Known, flow: Moving, at_once: Mapping[str, NDArray[np.bool_]]) -> World:
    """The state of knowledge as a world of one draw."""
    horizon, channels = known.traffic.shape
    periods, steps = len(past.periods), past.steps
    lags, pipeline = flow
    value = np.ones(channels) if known.value is None else known.value
    return World(
        traffic=known.traffic[None],
        later=np.zeros((1, channels)),
        rates={stage: known.rates[stage][None, periods:] for _, stage in steps},
        lags=lags,
        pipeline=pipeline,
        value=np.broadcast_to(value, (1, horizon, channels)),
        later_value=value[None],
        at_once=dict(at_once),
        first=past.counted[0],
    )


def losses_of(posterior: Posterior) -> dict[str, tuple[Array, Array]]:
    """Mean share lost with a date and mean law of its delay, of one draw, by stage where losses are dated."""
    dated = {s: n for s, n in posterior.provenance["ages"].items() if f"loss_logit_{s}" in posterior.data}
    laws = delays_of(posterior, dated, "loss_")
    return {s: (mean_rate(posterior, f"loss_logit_{s}")[None], law[None]) for s, law in laws.items()}


def mean_rate(posterior: Posterior, name: str) -> Array:
    """Mean over draws of a rate (period, channel), from its logit."""
    return np.asarray(expit(posterior.array(name)).mean(axis=0))


def delays_of(posterior: Posterior, ages: Mapping[str, int], kind: str = "") -> dict[str, Array]:
    """Mean law of the delay into each stage, by age; of `kind` "loss_" that of losses before it."""
    found = {}
    for stage, n in ages.items():
        mean, cv = (posterior.array(f"{kind}delay_{name}_{stage}") for name in ("mean", "cv"))
        found[stage] = np.asarray(delay_pmf(mean, cv, int(n)).mean(axis=0))
    return found


def attribute(
    study: Study,
    past: History,
    now: History,
    planned: Array,
    *,
    seed: int,
    posterior: Posterior | None = None,
) -> tuple[dict[str, dict[str, Array]], list[dict[str, Any]]]:
    """Shares of the miss by measure and block (each by channel of `past`), and what each block was then and now.

    planned: spend of the plan by period of the horizon that has come, and channel. posterior: the preview of `now`,
    where it is there already.
    """
    from forecast.fit import preview

    then_posterior = preview(study, past, seed=seed, draws=DRAWS)
    now_posterior = preview(study, now, seed=seed, draws=DRAWS) if posterior is None else posterior
    known, horizon = len(past.periods), len(planned)
    place = [now.channels.index(name) for name in past.channels]
    later = slice(known, known + horizon)
    spent = now.spend[later][:, place]
    then = _as_forecast(study, past, then_posterior, planned, seed)
    given = _as_forecast(study, past, then_posterior, spent, seed).traffic
    came = _as_it_came(past, now, now_posterior, place, horizon, then)
    blocks = _blocks(past, then, planned, spent)

    def value(swapped: frozenset[str]) -> Array:
        rates = {s: (came if rate_name(s) in swapped else then).rates[s] for s in then.rates}
        traffic = _traffic(then.traffic, given, came.traffic, swapped, apart=past.attributed)
        at = replace(
            then,
            traffic=traffic,
            rates=rates,
            delays=(came if "delay" in swapped else then).delays,
            value=(came if "value" in swapped else then).value,
        )
        return np.stack(list(expected(past, then_posterior, at).values()))

    found = shapley(value, blocks)
    measures = ["won"] if then.value is None else ["won", "revenue"]
    shares = {m: {block: found[block][i] for block in blocks} for i, m in enumerate(measures)}
    return shares, _then_and_now(past, then, came, planned, spent)


def _traffic(
    planned: Array, given: Array, counted: Array, swapped: frozenset[str], *, apart: bool = True
) -> Array:
    """Units entering: two blocks, the spend and what traffic did at that spend; both swapped, what was counted.

    apart: channels are counted apart, else in total alone.
    """
    if "traffic" not in swapped:
        return given if "spend" in swapped else planned
    if "spend" in swapped:
        return counted
    if not apart:
        planned, given = (each.sum(axis=1, keepdims=True) for each in (planned, given))
    share = np.divide(planned, given, out=np.ones_like(given), where=given > 0)
    return counted * share


def _blocks(past: History, then: Known, planned: Array, spent: Array) -> list[str]:
    """The blocks that there are: spend only where it went otherwise than planned, delay and value where they exist."""
    delayed = any(f[0] < 1.0 for f in then.delays.values())
    return [
        *(["spend"] if not np.allclose(planned, spent) else []),
        "traffic",
        *(rate_name(stage) for _, stage in past.steps),
        *(["delay"] if delayed else []),
        *(["value"] if then.value is not None else []),
    ]


def _as_forecast(study: Study, past: History, posterior: Posterior, spend: Array, seed: int) -> Known:
    """The blocks as a posterior of then expects them, given this spend."""
    case = case_of(study, past, posterior, spend, np.random.default_rng([seed, 4]))
    inside, _ = case.traffic()
    rates = rates_with_horizon(case)
    value = case.future.value.mean(axis=(0, 1)) if case.valued else None
    delays = delays_of(posterior, posterior.provenance["ages"])
    return Known(inside.mean(axis=0), rates, delays, value, losses_of(posterior))


def rates_with_horizon(case: Case) -> dict[str, Array]:
    """Mean rates by stage (history and horizon, channel)."""
    return {
        stage: np.concatenate(
            [mean_rate(case.posterior, f"logit_rate_{stage}"), case.future.rates[stage].mean(axis=0)]
        )
        for stage in case.posterior.stages
    }


def entered(past: History, now: History, part: slice, place: Sequence[int]) -> Array:
    """Units counted where each channel of `past` enters the funnel, (period, channel); place: of these in `now`."""
    entry = [past.counted[i] for i in past.entry]
    return np.stack([now.filled(stage)[part, c] for stage, c in zip(entry, place, strict=True)], axis=1)


def mean_deals(now: History, part: slice, place: Sequence[int], usual: Array) -> Array:
    """Mean deal of some periods by channel, over the wins whose money is known; the usual one where there is none."""
    won, revenue = (each[part][:, place].sum(axis=0) for each in now.paid_wins)
    return np.divide(revenue, won, out=usual.copy(), where=won > 0)


def _as_it_came(
    past: History, now: History, posterior: Posterior, place: list[int], horizon: int, then: Known
) -> Known:
    """The blocks as they are known now: counted where they can be counted, else estimated from all data of now."""
    known = len(past.periods)
    later = slice(known, known + horizon)
    traffic = entered(past, now, later, place)
    rates = {s: mean_rate(posterior, f"logit_rate_{s}")[: known + horizon, place] for s in then.rates}
    delays = delays_of(posterior, {s: len(f) for s, f in then.delays.items()})
    value = then.value
    if value is not None and "revenue" in now.counts:
        value = mean_deals(now, later, place, value)
    return Known(traffic, rates, delays, value)


def _then_and_now(
    past: History, then: Known, came: Known, planned: Array, spent: Array
) -> list[dict[str, Any]]:
    """Each block as one number, then and now: sums of traffic and spend, rates and values weighted by what entered."""
    rows: list[dict[str, Any]] = []
    if not np.allclose(planned, spent):
        rows.append({"block": "spend", "unit": "currency", "then": planned.sum(), "now": spent.sum()})
    rows.append({"block": "traffic", "unit": "count", "then": then.traffic.sum(), "now": came.traffic.sum()})
    known, weights = len(past.periods), then.traffic
    for _, stage in past.steps:
        has = ~past.enters_later(stage)
        share = weights * has
        pair = [float((share * k.rates[stage][known:]).sum() / max(share.sum(), 1e-12)) for k in (then, came)]
        rows.append({"block": rate_name(stage), "unit": "share", "then": pair[0], "now": pair[1]})
        weights = np.where(has, weights * then.rates[stage][known:], weights)
    days = DAYS_PER_PERIOD[past.period]
    for stage, f in then.delays.items():
        if f[0] < 1.0:
            pair = [float(g @ np.arange(len(g))) * days for g in (f, came.delays[stage])]
            rows.append({"block": "delay", "stage": stage, "unit": "days", "then": pair[0], "now": pair[1]})
    if then.value is not None and came.value is not None:
        sold = weights.sum(axis=0)
        pair = [float(sold @ v / max(sold.sum(), 1e-12)) for v in (then.value, came.value)]
        rows.append({"block": "value", "unit": "currency", "then": pair[0], "now": pair[1]})
    return [{k: float(v) if isinstance(v, np.floating) else v for k, v in row.items()} for row in rows]
