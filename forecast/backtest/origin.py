"""One origin of a backtest: what was known then, the forecast made from it, what came, and the scores.

    origin    History.as_of: counts and leads known at its end, the study's own priors, nothing else
    forecast  the model fitted anew to that history, simulated over the horizon
    came      the same measures, counted in the history as it is known now, channels that began later included

With `spend = "actual"` the spend of the tested periods is given to the forecast: the model is tested, not the guess at
a budget; the simple methods do not know it, so the same posterior is also scored with the spend that could be planned
then (`GUESSES`). With "planned" it is the current plan of that time, with "last year" the plan of that name, and
nothing at all of what came after the origin is used.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.backtest import baselines, scores
from forecast.errors import DataError, UsageError
from forecast.fit import SAMPLER, Posterior
from forecast.history import History
from forecast.outlook import REPLICATES, case_of, in_total, simulate
from forecast.periods import period_label
from forecast.progress import Silent
from forecast.study import GUESSES, Study

Array = NDArray[np.float64]

WARM_UP = 100  # draws of each chain's warm-up, where a part is fitted by chains
# Beyond them a fit is made again: of any parameter, so totals are far better.
MOST_DIVERGENCES, MOST_RHAT = 10, 1.1
AGAIN_DRAWS = 2000
SIMULATED = 4000  # draws of each outlook, chance replicates included


@dataclass(frozen=True)
class Setup:
    """How origins are forecast: all that their records depend on besides study and data."""

    horizon: int
    spend: str
    draws: int
    seed: int
    preview: bool
    baselines: tuple[str, ...]

    @property
    def method(self) -> str:
        """ "auto" or "preview", as a posterior's provenance has it."""
        return "preview" if self.preview else SAMPLER


@dataclass(frozen=True, eq=False)
class Origin:
    """One forecast to be made: what was known, the spend that it is given, and what came.

    spend: (period, channel) over the horizon, channels of `past`. came: by measure (period, channel), the channels of
    `past` and then all channels together; NaN where it is not known whole.
    """

    study: Study
    past: History
    labels: list[str]
    spend: Array
    came: dict[str, Array]
    setup: Setup
    cores: int | None = 1

    @property
    def label(self) -> str:
        """The last period that was known."""
        return period_label(self.past.last, self.past.period)

    @property
    def key(self) -> str:
        """The label, and a hash of everything particular to this origin."""
        digest = hashlib.sha256(self.past.fingerprint().encode())
        for name in sorted(self.came):
            digest.update(name.encode() + np.ascontiguousarray(self.came[name] + 0.0).tobytes())
        digest.update(np.ascontiguousarray(self.spend + 0.0).tobytes())
        return f"{self.label} {digest.hexdigest()[:16]}"


def origins_of(history: History, *, origins: int, horizon: int, every: int, least: int) -> list[int]:
    """Numbers of periods known at each origin, the earliest first: the last origin's horizon ends with the history.

    Of data with snapshots, those periods alone that a copy tells. Raises DataError where not one fits in.
    """
    periods = len(history.periods)
    last = periods - horizon
    fit = range(last, least - 1, -every)
    found = [known for known in fit if history.tells(history.periods[known - 1])][:origins][::-1]
    if not found and fit:
        label = history.labels
        raise DataError(
            f"a backtest needs a copy of the data from the end of a period at which it may stand "
            f"({label[fit[-1] - 1]} to {label[fit[0] - 1]}), and none was kept: see history.snapshots.within."
        )
    if not found:
        raise DataError(
            f"a backtest {horizon} {history.period}s ahead needs at least {least + horizon} periods "
            f"({least} known at the first origin: backtest.least), and the history has {periods}."
        )
    return found


def origin_at(study: Study, history: History, known: int, setup: Setup) -> Origin:
    """The origin at which `known` periods of `history` were known."""
    past = replace(history.as_of(history.periods[known - 1]), copies=None)  # it travels to a worker
    later = slice(known, known + setup.horizon)
    where = {name: i for i, name in enumerate(history.channels)}
    place = [
        where.get(name, -1) for name in past.channels
    ]  # -1: called otherwise since, so that nothing came

    def came_to(cells: Array) -> Array:
        return np.where(np.array(place) >= 0, cells[:, place], 0.0)

    given = setup.spend == "actual"
    spend = came_to(history.spend[later]) if given else _guess(past, setup.spend, setup.horizon)
    came = {}
    money = ("revenue",) if past.valued or study.funnel.value is not None else ()
    for measure in (*past.stages, *money):
        if measure in history.counts and measure in past.counts:
            cells = came_to(history.outcome(measure)[later])
            cells = cells if history.attributed else np.full(cells.shape, np.nan)  # known in total alone
            came[measure] = np.column_stack([cells, history.came(measure)[later]])
    if (opened := _from_pipeline(history, known, setup.horizon)) is not None:
        came["won_from_pipeline"] = in_total(came_to(opened))
    return Origin(study, past, history.labels[later], spend, came, setup)


def _guess(past: History, plan: str, horizon: int) -> Array:
    """Spend that could be planned then, (period, channel): as `plan.spend` of the study has it.

    Raises DataError where the history is too short for it.
    """
    if plan == "planned":
        return np.tile(past.current_spend, (horizon, 1))
    if not past.tells_last_year:
        raise DataError(
            f'backtest.spend: "last year" needs a year and a quarter known at each origin (backtest.least); '
            f"{past.labels[-1]} has {past.periods.size} {past.period}s"
        )
    return past.spend_last_year(horizon)


def _from_pipeline(history: History, known: int, horizon: int) -> Array | None:
    """Wins over the horizon of leads that were there at the origin, (period, channel); for dated leads alone."""
    since = history.won_since
    if since is None and history.stages[-2:] == ("leads", "won"):
        since = history.triangles.get("won")
    if since is None or history.counting != "leads" or "won" not in history.stages:
        return None
    triangle = since.values
    found = np.zeros((horizon, triangle.shape[2]))
    for cohort in range(known):
        ages = np.arange(known, known + horizon) - cohort
        inside = ages < triangle.shape[1]
        found[inside] += triangle[cohort, ages[inside]]
    return found


def one_origin(origin: Origin) -> dict[str, Any]:
    """Fit, forecast and score one origin: a record ready for JSON (see `scored`)."""
    posterior, sampling = posterior_at(origin)
    record = scored(origin, _outlook(origin, posterior), sampling)
    past, setup = origin.past, origin.setup
    if setup.spend == "actual" and past.paid.any():
        for name, plan in GUESSES.items():
            if plan == "planned" or past.tells_last_year:
                guess = replace(origin, spend=_guess(past, plan, setup.horizon))
                for measure, found in _whole(guess, _outlook(guess, posterior)).items():
                    record["baselines"]["total"][measure][name] = found
    return record


def _whole(origin: Origin, outlook: Mapping[str, Array]) -> dict[str, dict[str, float]]:
    """Scores of the total over horizon and channels, by measure that baselines are made of."""
    found = {}
    for measure in (name for name in origin.came if name in origin.past.counts):
        draws, came = outlook[measure].sum(axis=(1, 2)), float(origin.came[measure][:, -1].sum())
        found[measure] = {k: float(v) for k, v in scores.score(draws, came).items()}
    return found


def scored(origin: Origin, outlook: Mapping[str, Array], sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Draws (draw, period, channel) of each measure that came, beside what came: the record of an origin.

    cells: one list per period (and "total"), channel (and "total") and measure, in the order of `columns`. baselines:
    by channel, measure and name, of the whole horizon. sampling: how the fit went.
    """
    channels = [*origin.past.channels, "total"]
    came, draws, keys = [], [], []
    for measure, cells in origin.came.items():
        x, seen = scores.with_totals(in_total(outlook[measure]), cells)
        draws.append(x)
        came.append(seen)
        keys += [[period, channel, measure] for period in [*origin.labels, "total"] for channel in channels]
    stacked = np.stack(came)
    values = {"came": stacked} | scores.score(np.stack(draws, axis=1), stacked)
    rows = np.stack([values[name].ravel() for name in values], axis=1).tolist()
    return {
        "origin": origin.label,
        "known": len(origin.past.periods),
        "columns": ["period", "channel", "measure", *values],
        "cells": [[*key, *row] for key, row in zip(keys, rows, strict=True)],
        "baselines": _baselines(origin, channels),
        "sampling": dict(sampling),
    }


def posterior_at(origin: Origin) -> tuple[Posterior, dict[str, Any]]:
    """The posterior at the origin, and how its fit went; one that went badly is made again with smaller steps."""
    setup = origin.setup
    if setup.preview:
        from forecast.fit import preview

        return preview(origin.study, origin.past, seed=setup.seed, draws=setup.draws), {}
    from forecast.fit import failures, fit

    def made(draws: int, attempts: int) -> tuple[Posterior, dict[str, Any]]:
        posterior = fit(
            origin.study,
            origin.past,
            seed=setup.seed,
            draws=draws,
            progress=Silent(),
            cores=origin.cores,
            attempts=attempts,
            tune=WARM_UP,
            weigh=False,
        )
        return posterior, {
            "max_rhat": max((part.get("max_rhat", 1.0) for part in posterior.diagnostics), default=1.0),
            "divergences": sum(part.get("divergences", 0) for part in posterior.diagnostics),
            "k_hat": max((part.get("k_hat", 0.0) for part in posterior.diagnostics), default=0.0),
            "by_chains": sum("k_hat" not in part for part in posterior.diagnostics),
            "again": attempts > 1,
            "failures": failures(posterior) if attempts > 1 else [],
        }

    posterior, found = made(setup.draws, 1)
    badly = found["divergences"] > MOST_DIVERGENCES or not found["max_rhat"] < MOST_RHAT
    return made(AGAIN_DRAWS, 2) if badly else (posterior, found)


def _outlook(origin: Origin, posterior: Posterior) -> dict[str, Array]:
    """Draws of each measure that came, (draw, period, channel)."""
    setup = origin.setup
    paths, chance = np.random.SeedSequence([setup.seed, 1]).spawn(2)
    case = case_of(origin.study, origin.past, posterior, origin.spend, np.random.default_rng(paths))
    outlook = simulate(
        case,
        {"given": origin.spend},
        rng=np.random.default_rng(chance),
        replicates=max(REPLICATES, math.ceil(SIMULATED / posterior.draws)),
    ).sel(plan="given")
    return {name: np.asarray(outlook[name].values, dtype=float) for name in origin.came}


def _baselines(origin: Origin, channels: Sequence[str]) -> dict[str, Any]:
    """Scores of the baselines over the whole horizon, by channel, measure and name.

    Each looks at the history of the origin alone. The slow ones are made for wins and revenue of the company only; one
    that the history is too short for is left out.
    """
    setup, found = origin.setup, dict[str, Any]()
    for place, channel in enumerate(channels):
        whole = channel == "total"
        past = origin.past
        if not (whole or past.attributed):
            continue
        part = past if whole else _alone(past, place)
        for measure in (name for name in origin.came if name in part.counts):
            came = float(origin.came[measure][:, place].sum())
            slow_too = whole and measure in (past.stages[-1], "revenue")
            made = {}
            for name in setup.baselines:
                if name in baselines.SLOW and not slow_too:
                    continue
                rng = np.random.default_rng([setup.seed, 3, *f"{name} {channel} {measure}".encode()])
                try:
                    with warnings.catch_warnings():  # statsforecast's own, about series that are short
                        warnings.simplefilter("ignore")
                        draws = baselines.BASELINES[name](part, setup.horizon, rng, SIMULATED, measure)
                except UsageError:
                    continue
                made[name] = {k: float(v) for k, v in scores.score(draws, came).items()}
            found.setdefault(channel, {})[measure] = made
    return found


def _alone(past: History, place: int) -> History:
    """One channel's counts and deals, as a history of its own."""
    deals = past.deals[past.deals["channel"] == past.channels[place]].reset_index(drop=True)
    return replace(past, counts=past.counts.isel(channel=[place]), deals=deals)
