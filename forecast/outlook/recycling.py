"""Leads that did not qualify and flow back later: their rate and delay, and what they bring to the funnel.

    unqualified units --(rate r, delay F)--> come back --(own rate or that of new leads, delay)--> the next stage

Of units that have been out for a days, the expected number back within (a + s, a + e] days is

    n r [F(a + e) - F(a + s)] / (1 - r F(a))     where it is known which have come back by now
    n r [F(a + e) - F(a + s)]                    where it is not: those that have are counted with new leads

(`leads.timing.expected_moves`; a lever that wins back a share of the unqualified uses the same). They are learnt
where the leads have a column `returned`, with those still out counted as such (`leads.timing`); else they are the
study's. Those who come back are not counted as leads again: the ones that qualify enter the stage after leads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from forecast.errors import DataError, StudyError
from forecast.history import History
from forecast.leads import (
    MOVED,
    OPEN,
    LeadTable,
    Timing,
    codes_of,
    dates_of,
    expected_moves,
    fit_timing,
    read_lead_table,
    returned_column,
)
from forecast.outlook.case import Case
from forecast.outlook.unit_economics import in_total
from forecast.periods import DAYS_PER_PERIOD
from forecast.study import Z80, Study
from forecast.words import message

Array = NDArray[np.float64]

FACTOR_OF_TWO = 0.54  # sd on the logit scale of a rate known to within a factor of two (80 %)
DELAY_SD = 0.5  # log sd of the mean delay that the study names
AGAIN_SD = 0.7  # logit sd of the second qualification around the first, where the study names none
SECOND_DELAY = 30.0  # days, prior mean of the second qualification where the study names no delay
LEADS = "leads"
WEEK = 7.0
EARLIER = 12  # periods


@dataclass(frozen=True, eq=False)
class Nurtured:
    """What is known of the flow back.

    first: rate and delay of coming back; second: of then reaching the next stage, None: as new leads do. learnt: from
    the data. out, back: units out and not back, and back but not on, each (cohort, channel) with days since (cohort,).
    """

    stage: str
    first: Timing
    second: Timing | None
    learnt: bool
    n_out: int
    n_back: int
    out: tuple[Array, Array]
    back: tuple[Array, Array]


def nurtured(study: Study, history: History) -> Nurtured:
    """Read what the data show of leads that come back, on top of what the study says.

    Raises StudyError where the funnel has no leads, DataError for dates of return that cannot be.
    """
    spec = study.nurturing
    stages = history.stages
    if spec is None or LEADS not in stages[:-1]:
        raise StudyError(
            f"{study.place('nurturing')}: expected the stage leads and one after it; it has {', '.join(stages)}"
        )
    stage = stages[stages.index(LEADS) + 1]
    delay = study.funnel.delay.get(stage, SECOND_DELAY) or SECOND_DELAY

    def first_of(kind: NDArray[np.int64], days: Array) -> Timing:
        return fit_timing(kind, days, rate=_prior(spec.rate), delay=(spec.delay, DELAY_SD))

    def second_of(kind: NDArray[np.int64], days: Array, middle: float) -> Timing:
        prior = (float(logit(middle)), AGAIN_SD) if spec.qualification is None else _prior(spec.qualification)
        return fit_timing(kind, days, rate=prior, delay=(delay, DELAY_SD))

    none = np.zeros(0, dtype=np.int64), np.zeros(0)
    empty = np.zeros((0, len(history.channels))), np.zeros(0)
    dated = _table(study, history)
    if dated is None:
        second = None if spec.qualification is None else second_of(*none, 0.5)
        return Nurtured(stage, first_of(*none), second, False, 0, 0, empty, empty)
    table, column = dated
    returned, again = _dates(study, table, column, stage)
    lost = table.day("lost")
    at_risk = ~np.isnat(lost) & (np.isnat(table.day(stage)) | ~np.isnat(again))
    end = table.last_day
    kind = np.where(np.isnat(returned), OPEN, MOVED)
    days = (np.where(kind == MOVED, returned, end) - lost).astype(float)
    first = first_of(kind[at_risk], days[at_risk])
    came = at_risk & (kind == MOVED)
    on = np.where(np.isnat(again), OPEN, MOVED)
    later = (np.where(on == MOVED, again, end) - returned).astype(float)
    usual = float(np.clip((~np.isnat(table.day(stage)) & np.isnat(again)).mean(), 0.01, 0.99))
    second = second_of(on[came], later[came], usual) if came.any() else None
    return Nurtured(
        stage,
        first,
        second,
        True,
        int(at_risk.sum()),
        int(came.sum()),
        _by_day(table, history, at_risk & (kind == OPEN), lost, end),
        _by_day(table, history, came & (on == OPEN), returned, end),
    )


def _prior(rate: tuple[float, float]) -> tuple[float, float]:
    """Mean and sd on the logit scale of the central 80 % [low, high]; of a rate alone, a factor of two."""
    low, high = (float(logit(value)) for value in rate)
    return (low + high) / 2, FACTOR_OF_TWO if low == high else (high - low) / (2 * Z80)


def _table(study: Study, history: History) -> tuple[LeadTable, str] | None:
    """The leads as known at the end of the history, and the title of the column of returns; None where absent."""
    if study.history.leads is None:
        return None
    table = read_lead_table(study).as_of(history.end)
    column = returned_column(study, table)
    return None if column is None else (table, column)


def _dates(
    study: Study, table: LeadTable, column: str, stage: str
) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
    """Days of coming back, and of reaching the next stage after that; not-a-time where it has not happened."""
    cells = table.features[column]
    returned = dates_of(cells)
    wrong = np.flatnonzero(cells.notna().to_numpy() & np.isnat(returned))
    file = study.history.leads
    if wrong.size:
        raise DataError(
            message(
                '{file}: column {column}: {n:whole} cells are no dates, first: row {row} ("{shown}"); write dates as '
                "2026-03-17",
                file=file, column=column, n=wrong.size, row=int(wrong[0]) + 2, shown=str(cells.iloc[wrong[0]]),
            )
        )  # fmt: skip
    returned = np.where(returned <= table.last_day, returned, np.datetime64("NaT", "D"))
    early = np.flatnonzero(~np.isnat(returned) & ~(table.day("lost") <= returned))
    if early.size:
        raise DataError(
            message(
                "{file}: column {column}: {n:whole} leads come back without having been lost before, first: row {row}; "
                "fill lost in with the day on which they did not qualify",
                file=file, column=column, n=early.size, row=int(early[0]) + 2,
            )
        )  # fmt: skip
    reached = table.day(stage)
    again = np.where(reached >= returned, reached, np.datetime64("NaT", "D"))
    own = np.isnat(reached) | (reached >= returned)
    return np.where(own, returned, np.datetime64("NaT", "D")), again


def _by_day(
    table: LeadTable,
    history: History,
    rows: NDArray[np.bool_],
    since: NDArray[np.datetime64],
    end: np.datetime64,
) -> tuple[Array, Array]:
    """Units by week and channel of the history, with the days since; channels that the history lacks are left out."""
    place = codes_of(table.leads["channel"], history.channels)
    rows = rows & (place >= 0)
    weeks = np.floor((end - since[rows]).astype(float) / WEEK) * WEEK + WEEK / 2
    days, where = np.unique(weeks, return_inverse=True)
    units = np.zeros((days.size, len(history.channels)))
    np.add.at(units, (where, place[rows]), 1.0)
    return units, days


def with_recycling(case: Case, *, seed: int) -> tuple[Case, dict[str, Any]]:
    """The case with the leads that flow back, and the tables about them; unchanged where the study has no nurturing.

    The horizon's own unqualified leads are those of its plan, for every plan that is compared.
    """
    if case.study.nurturing is None:
        return case, {}
    history, future = case.history, case.future
    found, rng = nurtured(case.study, history), np.random.default_rng([seed, 7])
    draws, horizon = case.posterior.draws, case.horizon
    period = DAYS_PER_PERIOD[history.period]
    past = 0 if found.learnt else EARLIER  # where no data tell who came back lately, they are worked out too
    edges: Array = period * np.arange(-past, horizon + 1, dtype=np.float64)
    rate, mean, cv = found.first.draws(rng, draws)
    back = _fresh(case, (rate, mean, cv), edges, found)
    if found.learnt:
        back = back + expected_moves(*found.out, rate, (mean, cv), edges, known=True)
    on = _moving_on(case, found, back, edges, rng)
    inflow = {**future.inflow, found.stage: future.inflow.get(found.stage, 0.0) + on}
    made = replace(case, future=replace(future, inflow=inflow))
    return made, _tables(history, found, (rate, mean), back[:, past:], on)


def _fresh(case: Case, timing: tuple[Array, Array, Array], edges: Array, found: Nurtured) -> Array:
    """Returns of the leads of the horizon and, where no data tell who is out, of the past: by what does not qualify.

    A lead counts as not qualified as long after it came as leads take on average to qualify, or to be lost.
    """
    history, posterior, future = case.history, case.posterior, case.future
    rate, mean, cv = timing
    period, stages = DAYS_PER_PERIOD[history.period], case.stages
    entering, _ = case.traffic()
    for stage in stages[1 : stages.index(LEADS) + 1]:
        entering = np.asarray(entering * future.rates[stage])
    lost = entering * (1.0 - future.rates[found.stage])
    name = f"loss_logit_{found.stage}"
    if found.learnt and name in posterior.data:  # the rate is that of dated losses
        lost = np.asarray(lost * expit(posterior.data[name].values[:, -1:].astype(float)))
        wait = float(posterior.array(f"loss_delay_mean_{found.stage}").mean()) * period
    else:
        wait = float(posterior.array(f"delay_mean_{found.stage}").mean()) * period
    middles: Array = -period * (np.arange(case.horizon, dtype=np.float64) + 0.5) - wait
    result = expected_moves(lost, middles, rate, (mean, cv), edges, known=False)
    if not found.learnt:
        path = expit(posterior.data[f"logit_rate_{found.stage}"].values.astype(float))
        entered = history.filled(LEADS)
        n = len(history.periods)
        waited: Array = period * (n - 0.5 - np.arange(n, dtype=np.float64)) - wait
        for t in range(n):  # a period at a time bounds memory
            units = entered[t] * (1.0 - path[:, t : t + 1])
            result = result + expected_moves(units, waited[t : t + 1], rate, (mean, cv), edges, known=False)
    return result


def _moving_on(case: Case, found: Nurtured, back: Array, edges: Array, rng: np.random.Generator) -> Array:
    """Of those that come back, how many are expected to reach the next stage by period, (draw, period, channel)."""
    posterior, future = case.posterior, case.future
    draws, period = len(back), DAYS_PER_PERIOD[case.history.period]
    now = edges[edges >= 0]
    if found.second is not None:
        rate, mean, cv = found.second.draws(rng, draws)
        share: Array = rate[:, None]
    else:
        mean = posterior.array(f"delay_mean_{found.stage}") * period
        cv = posterior.array(f"delay_cv_{found.stage}")
        share = future.rates[found.stage].mean(axis=1)
    if not mean.any():
        return np.asarray(back[:, -len(now) + 1 :] * share[:, None])
    result = np.zeros((draws, now.size - 1, back.shape[2]))
    safe = np.maximum(mean, 1e-3), np.maximum(cv, 1e-2)
    full = np.broadcast_to(share, (draws, back.shape[2]))
    for g in range(back.shape[1]):
        waited = np.array([-(edges[g] + edges[g + 1]) / 2])
        result += expected_moves(back[:, g : g + 1], waited, full, safe, now, known=False)
    if found.learnt and found.back[1].size:
        result += expected_moves(*found.back, full, safe, now, known=True)
    return result


def _tables(
    history: History, found: Nurtured, timing: tuple[Array, Array], back: Array, on: Array
) -> dict[str, Any]:
    """Table `flow` by channel over the horizon, and `told`: rate, delay, where they come from."""

    def banded(name: str, mean: str, draws: Array) -> dict[str, Any]:
        low, high = np.quantile(draws, [0.1, 0.9])
        return {mean: float(draws.mean()), f"{name}_q10": float(low), f"{name}_q90": float(high)}

    coming, moving = in_total(back.sum(axis=1)), in_total(on.sum(axis=1))
    rows = [
        {"channel": name}
        | banded("coming_back", "coming_back_mean", coming[:, i])
        | banded("moving_on", "moving_on_mean", moving[:, i])
        for i, name in enumerate([*history.channels, "total"])
    ]
    told = {"stage": found.stage, "learnt": found.learnt, "out": found.n_out, "back": found.n_back}
    told |= banded("rate", "rate", timing[0]) | banded("delay_days", "delay_days", timing[1])
    told |= {"own_rate": None if found.second is None else found.second.rate}
    return {"flow": pd.DataFrame(rows), "told": told}
