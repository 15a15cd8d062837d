"""Simulation-based calibration: does the posterior hold the truth as often as it says, when the model is right?

A whole company is drawn from the model's own prior, unit by unit, and fitted by `forecast.fit.fit`. Then the rank of
each true value among its posterior draws is uniform (Talts et al. 2018), also of quantities that depend on the data,
like the wins and the revenue of the next three months (Modrak et al. 2023). What a company is drawn by:

    level_c ~ Normal(mu, tau);  logit p_tc = level_c + common walk + own walk;  cell rate ~ Beta, sd `noise` (logit)
    units of a cell move with its rate, each after a delay of its own (exact multinomial thinning by age)
    of those that never move, a share is lost with a date (leads), by the same laws
    visitors ~ NegBinomial(level + response to spend + season + walks);  deals ~ Gamma

Priors, and they alone, come from `forecast.inputs`. Where the fitted prior looks at the data (level of traffic, of deal
value) it is fixed to what the truth is drawn from; the shrinkage of marginal returns, whose strength hangs on other
parts' draws, is left out. Ranks are compared with the uniform by the difference of their ECDF, within bands that hold
all of it with 95 % (Saeilynoja, Buerkner & Vehtari 2022).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit

from forecast import inputs
from forecast import simulate as simulation
from forecast.delay import delay_pmf
from forecast.fit import failures, fit
from forecast.history import History, dataset
from forecast.periods import season_of, shift
from forecast.planning import Silent
from forecast.posterior import Posterior
from forecast.study import Study

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

KINDS = ("calendar", "cohort", "leads")
STAGES = ("visitors", "leads", "qualified", "won")
PERIODS, HORIZON = 18, 3
CHANNELS = {"ads": "ppc", "search": "seo", "word of mouth": "other"}
SPEND = np.array([3000.0, 2000.0, 0.0])  # mean per period
LEVEL = (math.log(1500.0), 1.5)  # of visitors: the prior's mean, fixed
VALUE = (math.log(5000.0), 0.7)
DRAWS, RANKS = 1200, 99  # posterior draws of a fit, and how many of them a rank is taken among


def study_of(kind: str) -> Study:
    """The study of every calibration company."""
    return Study.model_validate(
        {
            "name": "calibration",
            "history": {"leads": "none.csv"} if kind == "leads" else {"counts": "none.csv", "counting": kind},
            "funnel": {
                "stages": STAGES,
                "market": "b2b",
                "delay": {"qualified": "20 days", "won": "45 days"},
            },
            "channels": {name: {"kind": k} for name, k in CHANNELS.items()},
        }
    )


@dataclass(frozen=True, eq=False)
class Made:
    """A company drawn from the prior: its history, the true values by quantity, what came next."""

    history: History
    truth: dict[str, Any]
    later: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Step:
    """A transition drawn from its prior: cell rates over window and horizon, the delay, the true values."""

    cells: Array  # (period, channel), horizon included
    pmf: Array
    truth: dict[str, Any]
    before: float


class _Maker:
    """Draws companies of one kind."""

    def __init__(self, kind: str, rng: np.random.Generator) -> None:
        self.kind, self.rng, self.study = kind, rng, study_of(kind)
        self.names = list(CHANNELS)
        self.starts = shift(np.datetime64("2024-01-01", "D"), np.arange(PERIODS + HORIZON), "month")
        self.spend = np.rint(SPEND * np.exp(0.4 * rng.normal(size=(PERIODS, len(SPEND)))))
        self.empty = self._history(
            {stage: np.ones((PERIODS, len(SPEND))) for stage in STAGES} | {"spend": self.spend}, {}, {}
        )

    def make(self) -> Made:
        """Traffic, then stage by stage."""
        truth, visitors = self._traffic()
        entries = visitors  # units by period of entry into the stage before
        cohorts = np.zeros((len(visitors), len(visitors), len(SPEND)), dtype=np.int64)
        cohorts[np.arange(len(visitors)), np.arange(len(visitors))] = visitors  # lead cohort, period
        counted = {"visitors": visitors}
        triangles: dict[str, Counts] = {}
        losses: dict[str, Counts] = {}
        for before, stage in pairwise(STAGES):
            step = self._step(before, stage)
            truth |= step.truth
            if self.kind == "cohort":
                cohorts = self._moved_by_cohort(cohorts, step)
                entries = cohorts.sum(axis=0)
                counted[stage] = cohorts[:, :PERIODS].sum(axis=1)
                continue
            moved, never = self._moved(entries, step)
            if self.kind == "leads" and stage != "leads":
                triangles[stage] = moved
                losses[stage], lost = self._lost(never, step, stage)
                truth |= lost
            arrived = _by_arrival(moved)
            if self.kind == "calendar" and step.pmf.size > 1:
                arrived += self._from_before(entries, step)
            entries = counted[stage] = arrived
        later_won = entries[PERIODS : PERIODS + HORIZON].sum(axis=0)
        history, value, revenue = self._deals(counted, triangles, losses, later_won)
        return Made(history, truth | value, {"won": float(later_won.sum()), "revenue": revenue})

    def _history(
        self,
        cells: Mapping[str, Array | Counts],
        triangles: Mapping[str, Counts],
        losses: Mapping[str, Counts],
    ) -> History:
        starts = self.starts[:PERIODS]
        coords = {"cohort": starts.astype("datetime64[ns]"), "age": np.arange(PERIODS), "channel": self.names}

        def table(values: Counts) -> xr.DataArray:
            return xr.DataArray(values.copy(), coords=coords, dims=("cohort", "age", "channel"))

        zeros = np.zeros((PERIODS, PERIODS, len(SPEND)), dtype=np.int64)
        if self.kind == "leads" and not triangles:
            triangles = losses = dict.fromkeys(STAGES[2:], zeros)
        return History(
            dataset({k: np.array(v, dtype=float) for k, v in cells.items()}, starts, self.names),
            self.kind,
            "month",
            STAGES,
            {stage: table(values) for stage, values in triangles.items()},
            {stage: table(values) for stage, values in losses.items()},
        )

    def _scale(self, rate: float) -> float:
        return float(self.rng.gamma(2.0, 1.0 / rate))

    def _walks(self, drift: float, own: float) -> tuple[Array, Array]:
        """Common and own walks, centred on the window, that go on through the horizon."""
        total = PERIODS + HORIZON
        walks = []
        for sd, size in ((drift, 1), (own, len(SPEND))):
            path = np.cumsum(sd * self.rng.normal(size=(total, size)), axis=0)
            walks.append(path - path[:PERIODS].mean(axis=0))
        return walks[0], walks[1]

    def _rates(self, data: Mapping[str, Array]) -> tuple[Array, Array, dict[str, float]]:
        """Path of the logit rate, rates of the cells, scales, from a transition's priors."""
        mu = self.rng.normal(*data["mu_prior"])
        level = self.rng.normal(mu, self._scale(4.0), len(SPEND))
        drift, own = (self._scale(rate) for rate in data["drift_prior"])
        noise = self._scale(float(data["noise_prior"]))
        common, apart = self._walks(drift, own)
        path = level + common + apart
        p = np.clip(expit(path), 1e-9, 1 - 1e-9)
        kappa = 1.0 / (noise**2 * p * (1.0 - p) + 1e-6)
        cells = self.rng.beta(p * kappa, (1.0 - p) * kappa)
        return path, cells, {"drift": drift, "own_drift": own, "noise": noise}

    def _delay(self, data: Mapping[str, Array]) -> tuple[float, float]:
        m, m_sd, c, c_sd = data["delay_prior"]
        return float(np.exp(self.rng.normal(m, m_sd))), float(np.exp(self.rng.normal(c, c_sd)))

    def _step(self, before: str, stage: str) -> _Step:
        data, _ = inputs.transition_data(self.study, self.empty, before, stage)
        path, cells, scales = self._rates(data)
        truth: dict[str, Any] = {f"{name}_{stage}": value for name, value in scales.items()}
        truth[f"logit_rate_{stage}"] = path[PERIODS - 1]
        pmf = np.ones(1)
        if float(data["delayed"]):
            mean, cv = self._delay(data)
            truth |= {f"delay_mean_{stage}": mean, f"delay_cv_{stage}": cv}
            pmf = delay_pmf(mean, cv, data["age_weights"].shape[1])
        return _Step(cells, pmf, truth, float(np.exp(0.25 * self.rng.normal())))

    def _moved(self, entries: Counts, step: _Step) -> tuple[Counts, Counts]:
        """Moves by period of entry, age and channel, and the units that never move, by period of entry and channel."""
        movers = self.rng.binomial(entries, step.cells[: len(entries)])
        moved = np.zeros((len(entries), len(entries), len(SPEND)), dtype=np.int64)
        for t, c in np.ndindex(movers.shape):
            ages = self.rng.multinomial(movers[t, c], step.pmf)[: len(entries) - t]
            moved[t, : len(ages), c] = ages
        return moved, entries - movers

    def _moved_by_cohort(self, cohorts: Counts, step: _Step) -> Counts:
        """Units by lead cohort and period of arrival in the next stage, the rate being that of the lead cohort."""
        total = len(cohorts)
        arrived = np.zeros_like(cohorts)
        movers = self.rng.binomial(cohorts, step.cells[:, None, :])
        for cohort, t, c in zip(*np.nonzero(movers), strict=True):
            ages = self.rng.multinomial(movers[cohort, t, c], step.pmf)[: total - t]
            arrived[cohort, t : t + len(ages), c] += ages
        return arrived

    def _from_before(self, entries: Counts, step: _Step) -> Counts:
        """Arrivals of units that entered before the window, `before` times the early mean a period."""
        arrived = np.zeros_like(entries)
        early = step.before * entries[: inputs.EARLY_PERIODS].mean(axis=0)
        for back in range(1, step.pmf.size):
            units = self.rng.binomial(np.rint(early).astype(np.int64), step.cells[0])
            for c, n in enumerate(units):
                ages = self.rng.multinomial(n, step.pmf)[back : back + len(entries)]
                arrived[: len(ages), c] += ages
        return arrived

    def _lost(self, never: Counts, step: _Step, stage: str) -> tuple[Counts, dict[str, Any]]:
        """Dated losses of the units that never move, by period of entry and age."""
        variables = {
            f"logit_rate_{stage}": ((), np.zeros((2, PERIODS, len(SPEND)))),
            f"delay_mean_{stage}": ((), np.ones(2)),
            f"delay_cv_{stage}": ((), np.ones(2)),
        }
        data = inputs.loss_data(self.empty, STAGES[STAGES.index(stage) - 1], stage, variables, step.pmf.size)
        path, cells, _ = self._rates(data)
        mean, cv = self._delay(data)
        losers = self.rng.binomial(never, cells)
        pmf = delay_pmf(mean, cv, data["age_weights"].shape[1])
        lost = np.zeros((len(never), *never.shape), dtype=np.int64)
        for t, c in np.ndindex(losers.shape):
            ages = self.rng.multinomial(losers[t, c], pmf)[: len(never) - t]
            lost[t, : len(ages), c] = ages
        return lost, {
            f"loss_logit_{stage}": path[PERIODS - 1],
            f"loss_delay_mean_{stage}": mean,
            f"loss_delay_cv_{stage}": cv,
        }

    def _traffic(self) -> tuple[dict[str, Any], Counts]:
        data = inputs.traffic_data(self.study, self.empty, None, None)
        level = self.rng.normal(self.rng.normal(*LEVEL), self._scale(2.0), len(SPEND))
        drift, own = (self._scale(rate) for rate in data["drift_prior"])
        noise, season_sd = self._scale(float(data["noise_prior"])), self._scale(20.0)
        common, apart = self._walks(drift, own)
        beta, base, carry = (
            expit(data[f"{name}_prior"][0] + data[f"{name}_prior"][1] * self.rng.normal(size=len(SPEND)))
            for name in ("elasticity", "base", "carry")
        )
        carry = carry * data["carries"]
        table = inputs.season_table(self.empty)
        season = table @ (season_sd * self.rng.normal(size=table.shape[1]))
        current = self.spend[-3:].mean(axis=0)
        spend = np.concatenate([self.spend, np.repeat(current[None], HORIZON, axis=0)])
        log_nu = (
            level
            + np.log(self._response(spend, beta, base, carry))
            + season[season_of(self.starts, "month")][:, None]
            + inputs.log_days(self.starts, "month")[:, None]
            + common
            + apart
        )
        size = 1.0 / (noise**2 + 1e-4)
        visitors = self.rng.poisson(np.exp(log_nu) * self.rng.gamma(size, 1.0 / size, log_nu.shape))
        truth = {
            "drift_traffic": drift,
            "own_drift_traffic": own,
            "noise_traffic": noise,
            "traffic": (level + common + apart)[PERIODS - 1],
            "elasticity": beta[:2],
            "base": base[:2],
            "carry": carry[1:2],
            "season": season,
        }
        return truth, visitors

    def _response(self, spend: Array, beta: Array, base: Array, carry: Array) -> Array:
        """b + (1 - b) (acting spend / reference)^beta; 1 for the channel without spend."""
        lags = inputs.carry_periods("month")
        early = np.repeat(self.spend[: inputs.EARLY_PERIODS].mean(axis=0)[None], lags, axis=0)
        padded = np.concatenate([early, spend])
        weights = np.array([[max(a, 1e-12) ** k for a in carry] for k in range(lags + 1)])
        weights /= weights.sum(axis=0)
        acting = np.array([(weights * padded[t : t + lags + 1][::-1]).sum(axis=0) for t in range(len(spend))])
        reference = np.exp(np.log(np.maximum(self.spend, 1.0)).mean(axis=0))
        paid = self.spend.any(axis=0)
        relative = np.where(paid, acting / reference, 1.0)
        return np.where(paid, base + (1.0 - base) * relative**beta, 1.0)

    def _deals(
        self,
        counted: Mapping[str, Counts],
        triangles: Mapping[str, Counts],
        losses: Mapping[str, Counts],
        later_won: Counts,
    ) -> tuple[History, dict[str, Any], float]:
        """The history with deal values; their true mean and cv; revenue of the horizon."""
        mean = np.exp(self.rng.normal(self.rng.normal(*VALUE), abs(self.rng.normal(0.0, 0.4)), len(SPEND)))
        cv = float(np.exp(self.rng.normal(math.log(0.8), 0.4)))
        shape = 1.0 / cv**2
        won = counted["won"][:PERIODS]
        cells = {stage: values[:PERIODS] for stage, values in counted.items()} | {"spend": self.spend}
        revenue = self.rng.gamma(np.maximum(won * shape, 1e-300), mean / shape) * (won > 0)
        history = self._history(cells | {"revenue": revenue}, {}, {})
        if self.kind == "leads":
            cut = {k: _seen(v) for k, v in triangles.items()}
            gone = {k: _seen(v) for k, v in losses.items()}
            t, c = (np.repeat(index, won.ravel()) for index in np.indices(won.shape).reshape(2, -1))
            amount = np.maximum(self.rng.gamma(shape, mean[c] / shape), 1e-9)
            deals = pd.DataFrame(
                {
                    "period": self.starts[:PERIODS].astype("datetime64[ns]")[t],
                    "channel": np.array(self.names, dtype=object)[c],
                    "amount": amount,
                }
            )
            revenue = np.zeros(won.shape)
            np.add.at(revenue, (t, c), amount)
            whole = self._history(cells | {"revenue": revenue}, cut, gone)
            history = History(
                whole.counts, "leads", "month", STAGES, whole.triangles, whole.losses, deals=deals
            )
        later = float((self.rng.gamma(np.maximum(later_won * shape, 1e-300), mean / shape)).sum())
        return history, {"deal_mean": mean, "deal_cv": cv}, later


def _by_arrival(moved: Counts) -> Counts:
    """Moves by period of entry and age as moves by period of arrival."""
    arrived = np.zeros((len(moved), moved.shape[2]), dtype=np.int64)
    for t in range(len(moved)):
        arrived[t:] += moved[t, : len(moved) - t]
    return arrived


def _seen(moved: Counts) -> Counts:
    """The part of a triangle that lies inside the window."""
    seen = moved[:PERIODS, :PERIODS].copy()
    for t in range(PERIODS):
        seen[t, PERIODS - t :] = 0
    return seen


def make_company(kind: str, rng: np.random.Generator) -> Made:
    """One company from the prior; `kind` is how it is counted: calendar, cohort or leads."""
    return _Maker(kind, rng).make()


def ranks_of(posterior: Posterior, made: Made, rng: np.random.Generator) -> dict[str, float]:
    """Rank of each true value among `RANKS` posterior draws, in [0, 1]; of one channel, by lot, where there are more.

    With what comes next, `later won` and `later revenue`, ranked among draws of the simulation.
    """
    rows = np.linspace(0, posterior.draws - 1, RANKS).astype(int)
    ranks = {}
    for name, value in made.truth.items():
        draws = posterior.array(name)[rows]
        true = np.atleast_1d(np.asarray(value, dtype=float))
        if draws.ndim == 3:
            draws = draws[:, -1]
        if draws.ndim == 2:
            pick = int(rng.integers(true.size))
            at = 1 if name == "carry" else pick
            draws, true = draws[:, at], true[pick : pick + 1]
        ranks[name] = _rank(draws, float(true[0]), rng)
    plan = np.repeat(inputs.current_spend(made.history)[None], HORIZON, axis=0)
    future = simulation.future_paths(posterior, made.history, HORIZON, rng)
    outlook = simulation.simulate(
        posterior,
        made.history,
        study_of(made.history.counting),
        {"given": plan},
        future,
        rng=rng,
        replicates=1,
    )
    for name, came in made.later.items():
        total = outlook[name].sel(plan="given").sum(["period", "channel"]).values[rows]
        ranks[f"later {name}"] = _rank(total.astype(float), came, rng)
    return ranks


def _rank(draws: Array, true: float, rng: np.random.Generator) -> float:
    below, ties = int((draws < true).sum()), int((draws == true).sum())
    return (below + int(rng.integers(ties + 1))) / len(draws)


def one_fit(job: tuple[str, int]) -> dict[str, Any]:
    """Make company `number` of a kind, fit it, rank: {"ranks": {...}, "failures": how many checks the fit missed}."""
    kind, number = job
    making, fitting = np.random.default_rng([KINDS.index(kind), number]).spawn(2)
    made = make_company(kind, making)
    fixed = {
        "traffic": {"level_prior": np.array(LEVEL[0]), "tuned": np.zeros(len(SPEND))},
        "value": {"level_prior": np.array(VALUE)},
    }
    posterior = fit(
        study_of(kind),
        made.history,
        seed=number,
        draws=DRAWS,
        progress=Silent(),
        cores=1,
        fixed=fixed,
        attempts=1,
    )
    missed = failures(posterior)
    return {"ranks": ranks_of(posterior, made, fitting), "failures": len(missed)}
