"""The forecast beside what came before: by how much it differs from an earlier window, and by which part of the funnel.

A window is as long as the horizon: the periods just before it, and the same periods of the year before. What came in it
and what is forecast are each taken for the expected outcome of a few blocks (`attribution.expected`):

    season         effect of the time of year on traffic and deal value
    traffic        units entering, season aside
    rates          into every stage, of the cohorts of the window
    value          of a deal, season aside
    open pipeline  units that were in the funnel at its start, and how long they had waited

The share of a block is its Shapley value, so the shares add up to the difference of the two expected outcomes. Refunds
and recurring revenue are counted beside. What is left is named chance: what came in the window against what its blocks
made likely, and what the plain means leave out of the simulation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.backtest.attribution import (
    BESIDE,
    CHANCE,
    Known,
    Moving,
    delays_of,
    entered,
    expected,
    losses_of,
    mean_deals,
    moving_of,
    rates_with_horizon,
)
from forecast.history import History
from forecast.outlook import Case, shapley
from forecast.periods import PERIODS_PER_YEAR, season_of

Array = NDArray[np.float64]

BEFORE, YEAR_BEFORE = "before", "year before"
SEASON, TRAFFIC, RATES, VALUE, PIPELINE = "season", "traffic", "rates", "value", "open pipeline"
CAME, FORECAST = "came", "forecast"
LEAST_KNOWN = 3  # periods at the start of a window: less shows no pipeline


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks of one window: `known` as `attribution` has it, season aside; the history at its start.

    season: factors of traffic (period,) and of deal value.
    """

    past: History
    known: Known
    season: tuple[Array, float]


def windows(history: History, horizon: int) -> dict[str, int]:
    """Periods known at the start of each window to compare with, those that the history holds whole.

    Where both begin at the same period there is one, the year before.
    """
    n, year = history.periods.size, PERIODS_PER_YEAR[history.period]
    starts = {BEFORE: n - horizon} | ({YEAR_BEFORE: n - year} if horizon <= year else {})
    if starts.get(YEAR_BEFORE) == starts[BEFORE]:
        del starts[BEFORE]
    return {name: start for name, start in starts.items() if start >= LEAST_KNOWN}


def compared_with(case: Case, mean: Mapping[str, float]) -> list[dict[str, Any]]:
    """Rows (against, first, last, measure, item, amount) of each window: what came, the shares, their sum the forecast.

    Windows of which it is not known what came, or what entered the funnel, are left out.

    mean: expected total over horizon and channels of "revenue" (or "won" where deals have no value), and of what stands
    beside it (refunds, recurring), as the simulation has them.
    """
    measure = "revenue" if "revenue" in mean else "won"
    rows: list[dict[str, Any]] = []
    now = _ahead(case)
    for name, start in windows(case.history, case.horizon).items():
        part = slice(start, start + case.horizon)
        came = float(case.history.came(measure)[part].sum()) if measure in case.history.counts else np.nan
        uncounted = np.isnan(case.history.entries[part]).all(axis=0) & case.history.there[part].any(axis=0)
        if not np.isfinite(came) or uncounted.any():
            continue
        then = _as_it_was(case, start, now)
        shares = {block: float(np.sum(x)) for block, x in _shares(case, then, now, measure).items()}
        shares |= dict(_beside(case.history, part, mean))
        shares[CHANCE] = mean[measure] - came - sum(shares.values())
        ends = {"first": case.history.labels[start], "last": case.history.labels[part.stop - 1]}
        told = [(CAME, came), *shares.items(), (FORECAST, mean[measure])]
        rows += [{"against": name, **ends, "measure": measure, "item": i, "amount": x} for i, x in told]
    return rows


def _shares(case: Case, then: Blocks, now: Blocks, measure: str) -> dict[str, Array]:
    """Each block's share of the difference of the two expected outcomes, by channel."""
    blocks = [SEASON, TRAFFIC, RATES, *([VALUE] if case.valued else []), PIPELINE]
    flows: dict[frozenset[str], Moving] = {}
    at_once = {stage: case.history.enters_later(stage) for stage in case.stages[1:]}

    def outcome(swapped: frozenset[str]) -> Array:
        def of(block: str) -> Blocks:
            return now if block in swapped else then

        seasonal, worth = of(SEASON).season
        past, rates = of(PIPELINE).past, of(RATES).known.rates
        n, value = past.periods.size, of(VALUE).known.value
        mixed = Known(
            traffic=of(TRAFFIC).known.traffic * seasonal[:, None],
            rates={
                s: np.concatenate([now.known.rates[s][:n], rates[s][-case.horizon :]])
                for s in case.stages[1:]
            },
            delays=now.known.delays,
            value=None if value is None else value * worth,
            losses=now.known.losses,
        )
        told = swapped & {RATES, PIPELINE}  # what moves on depends on these alone
        if told not in flows:
            flows[told] = moving_of(past, case.posterior, mixed)
        return expected(past, case.posterior, mixed, flows[told], at_once)[measure]

    return shapley(outcome, blocks)


def _season(case: Case, starts: NDArray[np.datetime64]) -> tuple[Array, float]:
    """Mean factors of the season on traffic by period, and on deal value over all of them."""
    place, posterior = season_of(starts, case.history.period), case.posterior
    traffic = np.exp(posterior.array("season")[:, place]).mean(axis=0)
    worth = np.exp(posterior.array("deal_season")[:, place]).mean() if case.valued else 1.0
    return traffic, float(worth)


def _ahead(case: Case) -> Blocks:
    """The blocks of the horizon."""
    season = _season(case, case.future.starts)
    inside, _ = case.traffic()
    rates = rates_with_horizon(case)
    value = case.future.value.mean(axis=(0, 1)) / season[1] if case.valued else None
    traffic = inside.mean(axis=0) / season[0][:, None]
    delays = delays_of(case.posterior, case.posterior.provenance["ages"])
    return Blocks(case.history, Known(traffic, rates, delays, value, losses_of(case.posterior)), season)


def _as_it_was(case: Case, start: int, now: Blocks) -> Blocks:
    """The blocks of the window that begins after `start` periods: counted where counted, rates as fitted."""
    history, part = case.history, slice(start, start + case.horizon)
    season = _season(case, history.periods[part])
    place = range(len(history.channels))
    counted = entered(history, history, part, place)
    rates = {s: rate[: part.stop] for s, rate in now.known.rates.items()}
    value = None
    if case.valued:
        usual = case.posterior.array("deal_mean").mean(axis=0)
        value = mean_deals(history, part, place, usual) / season[1]
    known = Known(counted / season[0][:, None], rates, {}, value)
    past = history.first_periods(start)  # what is counted is today's, so is what came before it
    return Blocks(past, known, season)


def _beside(history: History, part: slice, mean: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """What refunds and recurring revenue add to the difference."""
    for name, sign in BESIDE.items():
        if name in mean and name in history.counts:
            yield name, sign * (mean[name] - float(history.filled(name)[part].sum()))
