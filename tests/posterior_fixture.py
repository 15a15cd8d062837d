"""Histories, studies and posteriors with known constants, so that what comes after a fit can be tested without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from forecast.equations import delay_pmf
from forecast.fit import Posterior, to_dataset
from forecast.history import History, dataset, no_deals, triangle
from forecast.outlook import Case, case_of, simulate
from forecast.periods import shift
from forecast.study import Study

Array = NDArray[np.float64]
STAGES = ("visitors", "leads", "qualified", "won")
SEASONS = {"month": 12, "quarter": 4, "week": 54}


def study(**tables: Any) -> Study:
    """A study made in code; `tables` are those of the file."""
    given = {"name": "known", "history": {"counts": "none.csv"}} | tables
    return Study.model_validate(given)


def history(
    counts: Mapping[str, ArrayLike],
    *,
    channels: Sequence[str] = ("one", "two"),
    periods: int = 12,
    counting: str = "calendar",
    period: str = "month",
    first: str = "2025-01-01",
    triangles: Mapping[str, NDArray[np.int64]] | None = None,
    losses: Mapping[str, NDArray[np.int64]] | None = None,
    deals: pd.DataFrame | None = None,
) -> History:
    """A history of constants or arrays (period, channel) by measure; stages in the order given."""
    starts = shift(np.datetime64(first, "D"), np.arange(periods), period)
    shape = (periods, len(channels))
    cells = {name: np.array(np.broadcast_to(np.asarray(v, dtype=float), shape)) for name, v in counts.items()}
    return History(
        dataset(cells, starts, list(channels)),
        counting,
        period,
        tuple(name for name in cells if name not in ("spend", "revenue", "refunds", "recurring")),
        {stage: triangle(np.array(values), starts, channels) for stage, values in (triangles or {}).items()},
        {stage: triangle(np.array(values), starts, channels) for stage, values in (losses or {}).items()},
        no_deals() if deals is None else deals,
    )


def posterior(
    past: History,
    rates: Mapping[str, ArrayLike],
    *,
    draws: int = 500,
    delays: Mapping[str, tuple[float, float]] | None = None,
    losses: Mapping[str, tuple[float, float, float]] | None = None,
    ages: int = 40,
    traffic: ArrayLike = 1000.0,
    slope: ArrayLike = 0.0,
    traffic_noise: float = 0.0,
    elasticity: ArrayLike = 0.6,
    base: ArrayLike = 0.0,
    carry: ArrayLike = 0.0,
    noise: float = 0.0,
    shock: float = 0.0,
    drift: float = 0.0,
    deal_mean: ArrayLike | None = 5000.0,
    deal_cv: float = 0.8,
    deal_drift: float = 0.0,
) -> Posterior:
    """Draws that are all alike unless a parameter varies over draws.

    rates by destination stage, broadcast to (draw, period, channel); delays: stage -> (mean in periods, cv); losses:
    stage -> (share lost of those that never move on, mean, cv); traffic: units per mean period at reference spend,
    broadcast to (draw, channel), and the slope of its log a period;
    deal_mean None: deals have no value.
    """
    shape = (draws, len(past.channels))
    path = (draws, len(past.periods), len(past.channels))
    cells = ("draw", "channel")

    def constant(value: float) -> tuple[tuple[str, ...], Array]:
        return ("draw",), np.full(draws, value)

    def by_channel(value: ArrayLike) -> tuple[tuple[str, ...], Array]:
        return cells, np.array(np.broadcast_to(np.asarray(value, dtype=float), shape))

    def rate_path(value: ArrayLike) -> tuple[tuple[str, ...], Array]:
        rate = np.clip(np.asarray(value, dtype=float), 1e-12, 1 - 1e-9)
        return ("draw", "period", "channel"), np.array(np.broadcast_to(logit(rate), path))

    variables: dict[str, tuple[tuple[str, ...], Array]] = {}
    for stage, rate in rates.items():
        mean, cv = (delays or {}).get(stage, (0.0, 0.8))
        variables[f"logit_rate_{stage}"] = rate_path(rate)
        variables |= {f"drift_{stage}": constant(drift), f"own_drift_{stage}": constant(drift)}
        now = variables[f"logit_rate_{stage}"][1][:, -1]
        variables |= {f"logit_now_{stage}": (cells, now), f"noise_{stage}": by_channel(noise)}
        variables |= {f"shock_{stage}": constant(shock)}
        variables |= {f"delay_mean_{stage}": constant(mean), f"delay_cv_{stage}": constant(cv)}
    for stage, (share, mean, cv) in (losses or {}).items():
        variables[f"loss_logit_{stage}"] = rate_path(share)
        variables |= {f"loss_delay_mean_{stage}": constant(mean), f"loss_delay_cv_{stage}": constant(cv)}
    variables |= {
        "traffic": by_channel(np.log(np.asarray(traffic, dtype=float))),
        "slope": by_channel(slope),
        "season": (("draw", "season_of_year"), np.zeros((draws, SEASONS[past.period]))),
        "elasticity": by_channel(elasticity),
        "base": by_channel(base),
        "carry": by_channel(carry),
        "drift_traffic": constant(drift),
        "own_drift_traffic": constant(drift),
        "noise_traffic": by_channel(traffic_noise),
        "shock_traffic": constant(shock),
    }
    if deal_mean is not None:
        variables |= {
            "deal_mean": by_channel(deal_mean),
            "deal_cv": constant(deal_cv),
            "deal_drift": constant(deal_drift),
        }
        variables |= {"deal_season": (("draw", "season_of_year"), np.zeros((draws, SEASONS[past.period])))}
    provenance = {
        "ages": {stage: ages if stage in (delays or {}) else 1 for stage in rates},
        "stages": [past.stages[0], *rates],
    }
    coords = {"period": past.counts["period"].values, "channel": past.channels}
    return Posterior(to_dataset(variables, coords), (), provenance)


def mean_and_error(draws: Array) -> tuple[Array, Array]:
    """Mean over the first axis and its standard error, at least that of one unit in all draws (for counts of zero)."""
    return draws.mean(axis=0), np.maximum(draws.std(axis=0), 1.0 / np.sqrt(len(draws))) / np.sqrt(len(draws))


# A company of two channels

RATES = {"leads": 0.05, "qualified": 0.4, "won": 0.25}
DELAYS = {"qualified": (0.5, 0.8), "won": (1.5, 0.8)}
TWO = {"visitors": [1000, 400], "leads": [50, 20], "qualified": [20, 8], "won": [5, 2], "spend": [3000, 1000]}
PLAN = np.array([[3000.0, 1000.0]] * 3)


def case(
    known: Posterior, past: History, plan: Array = PLAN, asked: Study | None = None, *, seed: int = 1
) -> Case:
    """The question at a plan, on the future paths of one seed; without a study, one with a margin of 60 %."""
    asked = study(economics={"gross_margin": 0.6}) if asked is None else asked
    return case_of(asked, past, known, plan, np.random.default_rng(seed))


def run(
    known: Posterior, past: History, plans: dict[str, Array] | Array, *, seed: int = 1, replicates: int = 2
) -> tuple[xr.Dataset, Case]:
    """Outlook of plans on the paths of one seed, and the case at the first of them."""
    given = plans if isinstance(plans, dict) else {"given": plans}
    made = case(known, past, next(iter(given.values())), seed=seed)
    return simulate(made, given, rng=np.random.default_rng(seed + 1000), replicates=replicates), made


def rich() -> tuple[Posterior, History]:
    """Two channels, delays, noise, drift and carry-over: nothing switched off."""
    past = history(TWO)
    known = posterior(
        past,
        RATES,
        draws=300,
        delays=DELAYS,
        traffic=[1000.0, 400.0],
        traffic_noise=0.2,
        noise=0.2,
        shock=0.1,
        drift=0.05,
        deal_drift=0.05,
        base=0.1,
        carry=[0.3, 0.0],
    )
    return known, past


AGED_RATE, AGED_LOST, AGED_PERIODS, AGED_AGES = 0.4, 0.8, 5, 12
AGED_DELAY, AGED_LOSS_DELAY = (1.5, 0.8), (1.0, 0.6)


def aged_leads(lost: bool) -> tuple[History, np.ndarray, np.ndarray]:
    """1,000 leads a cohort, of which what is expected was won or lost with a date, (cohort, age, channel) each."""
    f, g = delay_pmf(*AGED_DELAY, AGED_AGES), delay_pmf(*AGED_LOSS_DELAY, AGED_AGES)
    reached, gone = (np.zeros((AGED_PERIODS, AGED_PERIODS, 1), dtype=np.int64) for _ in range(2))
    for cohort in range(AGED_PERIODS):
        for age in range(AGED_PERIODS - cohort):
            reached[cohort, age] = round(1000 * AGED_RATE * f[age])
            gone[cohort, age] = round(1000 * (1 - AGED_RATE) * AGED_LOST * g[age])
    past = history(
        {"leads": 1000.0, "won": 100.0},
        channels=["one"],
        periods=AGED_PERIODS,
        counting="leads",
        triangles={"won": reached},
        losses={"won": gone} if lost else None,
    )
    return past, reached, gone


def changed_after(
    now: History, known: int, rng: np.random.Generator, *, keep: tuple[str, ...] = ()
) -> History:
    """The same history, with everything after `known` periods made up, but for the measures `keep`."""
    cells = now.counts.copy(deep=True)
    for name in cells.data_vars:
        if name not in keep:
            values = cells[name].values.copy()
            values[known:] = rng.integers(0, 10_000, values[known:].shape)
            cells[name] = (cells[name].dims, values)
    return replace(now, counts=cells)
