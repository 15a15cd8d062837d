"""Companies drawn from the model's own prior, unit by unit: the truth of simulation-based calibration.

    level_c ~ Normal(mu, tau);  logit p_tc = level_c + common walk + shock + own walk
    cell rate ~ Beta, sd `noise` x exp(s z_c) (logit)
    units of a cell move with its rate, each after a delay of its own (exact multinomial thinning by age)
    of those that never move, a share is lost with a date (leads), by the same laws
    visitors ~ NegBinomial(level x response to spend x season x walks with a trend x shock);  deals ~ Gamma about a walk

A cell is what entered a stage in one period by one channel (of cohort counts: a lead cohort); of calendar counts with a
delay, what falls due to leave it in that period. Before the window of those there are `before` times as many entries a
period as early in it. Nothing of the likelihoods is used here; the priors, and they alone, come from `fit.data`. Where
the fitted prior looks at the data, it is held to what the truth is drawn from (`FIXED`): the level of traffic and of
deal value, and what a unit of traffic is worth. The shrinkage of marginal returns at today's budget is part of the
prior: traffic is drawn by rejection, which is exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from forecast.equations import (
    EARLY_PERIODS,
    acting_spend,
    carry_periods,
    concentration,
    delay_pmf,
    fading,
    lagged,
    log_marginal,
    negative_binomial_size,
    response,
    steepness,
    thinned,
    with_past,
)
from forecast.fit import data as inputs
from forecast.fit.paths import noise_by_channel
from forecast.fit.scales import (
    BEFORE_SD,
    DEAL_CV,
    DEAL_CV_SD,
    LEVEL_SD,
    NOISE_SPREAD,
    RATE_TAU,
    SEASON_SD,
    TRAFFIC_TAU,
    VALUE_DRIFT,
    VALUE_TAU,
)
from forecast.history import History, dataset, no_deals, triangle
from forecast.periods import log_days, season_of, shift
from forecast.study import Study

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

KINDS = ("calendar", "cohort", "leads")
# Calendar counts drawn from the law that the fit takes them for, see `_Maker._by_working_law`.
WORKING = "working"
STAGES = ("visitors", "leads", "qualified", "won")
PERIODS, HORIZON = 18, 3
CHANNELS = {"ads": "ppc", "search": "seo", "word of mouth": "other"}
SPEND = np.array([12_000.0, 8_000.0, 0.0])  # median per period
LEVEL = (math.log(1500.0), LEVEL_SD)  # log visitors a period: mean and sd of the prior of the company's level
VALUE = (math.log(5000.0), 0.7)  # the same of the value of a deal
# Log of what a visitor is worth, as the shrinkage of marginal returns takes it, and its sd.
WORTH = (math.log(16.0), 0.3)


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


def fixed_arrays() -> dict[str, dict[str, Array]]:
    """What the fit reads from the data in its priors, held to what companies are drawn from; see `fit.fit`."""
    paid = (SPEND > 0).astype(float)
    return {
        "traffic": {
            "level_prior": np.array(LEVEL[0]),
            "log_worth": np.full(SPEND.shape, WORTH[0]),
            "worth_sd": np.full(SPEND.shape, WORTH[1]),
            "tuned": paid,
        },
        "value": {"level_prior": np.array(VALUE)},
    }


@dataclass(frozen=True, eq=False)
class Made:
    """A company drawn from the prior: its history, the true values by quantity, what came next.

    truth: by the posterior's names of variables; points: all parameters by part, as `sampling` names them, with the
    steps of walks, levels and season as they are (not divided by a power of their scale). later: of the horizon.
    """

    history: History
    truth: dict[str, Any]
    points: dict[str, dict[str, Any]]
    later: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Step:
    """A transition drawn from its prior: cell rates over window and horizon, the delay, the true values."""

    expected: Array  # rates (period, channel), horizon included
    cells: Array  # the same with the noise of cells
    pmf: Array
    truth: dict[str, Any]
    point: dict[str, Any]


class _Maker:
    """Draws companies of one kind."""

    def __init__(self, kind: str, rng: np.random.Generator) -> None:
        self.working = kind == WORKING
        self.kind = "calendar" if self.working else kind
        self.rng, self.study = rng, study_of(self.kind)
        self.names = list(CHANNELS)
        self.starts = shift(np.datetime64("2024-01-01", "D"), np.arange(PERIODS + HORIZON), "month")
        self.spend = np.rint(SPEND * np.exp(0.4 * rng.normal(size=(PERIODS, len(SPEND)))))
        self.empty = self._history(
            {stage: np.ones((PERIODS, len(SPEND))) for stage in STAGES} | {"spend": self.spend}, {}, {}
        )

    def make(self) -> Made:
        """Traffic, then stage by stage."""
        truth, point, visitors = self._traffic()
        points = {"traffic": point}
        entries = visitors  # units by period of entry into the stage before
        cohorts = np.zeros((len(visitors), len(visitors), len(SPEND)), dtype=np.int64)
        cohorts[np.arange(len(visitors)), np.arange(len(visitors))] = visitors  # lead cohort, period
        counted = {"visitors": visitors}
        arrived_in = {"visitors": visitors}
        triangles: dict[str, Counts] = {}
        losses: dict[str, Counts] = {}
        for before, stage in pairwise(STAGES):
            step = self._step(before, stage)
            truth |= step.truth
            points[stage] = step.point
            if self.kind == "cohort":
                cohorts = self._moved_by_cohort(cohorts, step)
                entries = arrived_in[stage] = cohorts.sum(axis=0)
                counted[stage] = cohorts[:, :PERIODS].sum(axis=1)
                continue
            if self.kind == "calendar" and step.pmf.size > 1:
                entries = counted[stage] = self._closed(entries, step)
                continue
            moved, never = self._moved(entries, step)
            if self.kind == "leads" and stage != "leads":
                triangles[stage] = moved
                losses[stage], lost, points[f"lost before {stage}"] = self._lost(never, step, stage)
                truth |= lost
            entries = counted[stage] = _by_arrival(moved)
        # Of cohorts: what arrives in later periods, whatever the cohort.
        arrivals = arrived_in if self.kind == "cohort" else counted
        later = {stage: float(values[PERIODS:].sum()) for stage, values in arrivals.items()}
        history, value, points["value"], later["revenue"] = self._deals(
            counted, triangles, losses, entries[PERIODS:]
        )
        return Made(history, truth | value, points, {} if self.working else later)

    def _history(
        self,
        cells: Mapping[str, Array | Counts],
        triangles: Mapping[str, Counts],
        losses: Mapping[str, Counts],
        deals: pd.DataFrame | None = None,
    ) -> History:
        starts = self.starts[:PERIODS]
        zeros = np.zeros((PERIODS, PERIODS, len(SPEND)), dtype=np.int64)
        if self.kind == "leads" and not triangles:
            triangles = losses = dict.fromkeys(STAGES[2:], zeros)
        return History(
            dataset({k: np.array(v, dtype=float) for k, v in cells.items()}, starts, self.names),
            self.kind,
            "month",
            STAGES,
            {stage: triangle(values, starts, self.names) for stage, values in triangles.items()},
            {stage: triangle(values, starts, self.names) for stage, values in losses.items()},
            no_deals() if deals is None else deals,
        )

    def _scale(self, rate: float) -> float:
        return float(self.rng.gamma(2.0, 1.0 / rate))

    def _path(
        self, data: Mapping[str, Array], level: Array, *, trend: bool = False
    ) -> tuple[Array, dict[str, Any]]:
        """Levels with common and own walks and shocks, centred on the window, through the horizon; scales and steps.

        trend: whether steps have a mean, the slopes, which fade after the window. The steps hold the shocks.
        """
        total = PERIODS + HORIZON
        drift, own = (self._scale(rate) for rate in data["drift_prior"])
        steps = drift * self.rng.normal(size=(total, 1))
        apart = own * self.rng.normal(size=(total, len(SPEND)))
        point: dict[str, Any] = {
            "drift": drift,
            "own_drift": own,
            "noise": self._scale(float(data["noise_prior"])),
            "shock": self._scale(float(data["shock_prior"])),
            "noise_apart": NOISE_SPREAD * self.rng.normal(size=len(SPEND)),
        }
        shock = point["shock"] * self.rng.normal(size=(total, 1))
        shock[:PERIODS] -= shock[:PERIODS].mean()
        if trend:
            left = np.concatenate([np.ones(PERIODS), np.diff(fading(HORIZON, "month"), prepend=0.0)])
            slope = steepness("month") * drift * self.rng.normal()
            own_slope = steepness("month") * own * self.rng.normal(size=len(SPEND))
            steps, apart = steps + slope * left[:, None], apart + np.outer(left, own_slope)
            point["slope"] = slope + own_slope
        path = np.cumsum(steps + apart, axis=0)
        path = level + path - path[:PERIODS].mean(axis=0)
        shaken = steps + np.diff(shock, axis=0, prepend=shock[:1])
        point |= {"steps": shaken[:PERIODS, 0], "own_steps": apart[:PERIODS], "now": path[PERIODS - 1]}
        point["shaken"] = shock[PERIODS - 1, 0]
        return path + shock, point

    def _rates(self, data: Mapping[str, Array]) -> tuple[Array, Array, dict[str, Any]]:
        """Path of the logit rate, rates of the cells, parameters, from a transition's priors."""
        mu, tau = self.rng.normal(*data["mu_prior"]), self._scale(RATE_TAU)
        level = self.rng.normal(mu, tau, len(SPEND))
        path, point = self._path(data, level)
        p = np.clip(expit(path), 1e-9, 1 - 1e-9)
        kappa = concentration(p, noise_by_channel(point))
        cells = np.clip(self.rng.beta(p * kappa, (1.0 - p) * kappa), 0.0, 1.0 - 1e-12)
        delay, cv = self._delay(data)
        point |= {"mu": mu, "tau": tau, "level": level, "delay_mean": delay, "delay_cv": cv}
        return path, cells, point

    def _delay(self, data: Mapping[str, Array]) -> tuple[float, float]:
        m, m_sd, c, c_sd = data["delay_prior"]
        return float(np.exp(self.rng.normal(m, m_sd))), float(np.exp(self.rng.normal(c, c_sd)))

    def _step(self, before: str, stage: str) -> _Step:
        data, _ = inputs.transition_data(self.study, self.empty, before, stage)
        path, cells, point = self._rates(data)
        truth: dict[str, Any] = {f"{name}_{stage}": point[name] for name in ("drift", "own_drift", "shock")}
        truth |= {f"noise_{stage}": noise_by_channel(point), f"logit_now_{stage}": point["now"]}
        point["before"] = float(np.exp(BEFORE_SD * self.rng.normal()))
        pmf = np.ones(1)
        if float(data["delayed"]):
            names = ("delay_mean", "delay_cv", *(["before"] if self.kind == "calendar" else []))
            truth |= {f"{name}_{stage}": point[name] for name in names}
            pmf = delay_pmf(point["delay_mean"], point["delay_cv"], data["age_weights"].shape[1])
        return _Step(np.clip(expit(path), 1e-9, 1 - 1e-9), cells, pmf, truth, point)

    def _moved(self, entries: Counts, step: _Step) -> tuple[Counts, Counts]:
        """Moves by period of entry, age and channel, and the units that never move, by period of entry and channel."""
        movers = self.rng.binomial(entries, step.cells[: len(entries)])
        return self._by_age(movers, step.pmf), entries - movers

    def _by_age(self, units: Counts, pmf: Array) -> Counts:
        """Units (period of entry, channel) thinned by the law of a delay: (period of entry, age, channel)."""
        made = np.zeros((len(units), *units.shape), dtype=np.int64)
        for t, c in np.ndindex(units.shape):
            ages = self.rng.multinomial(units[t, c], pmf)[: len(units) - t]
            made[t, : len(ages), c] = ages
        return made

    def _moved_by_cohort(self, cohorts: Counts, step: _Step) -> Counts:
        """Units by lead cohort and period of arrival in the next stage, the rate being that of the lead cohort."""
        total = len(cohorts)
        arrived = np.zeros_like(cohorts)
        movers = self.rng.binomial(cohorts, step.cells[:, None, :])
        for cohort, t, c in zip(*np.nonzero(movers), strict=True):
            ages = self.rng.multinomial(movers[cohort, t, c], step.pmf)[: total - t]
            arrived[cohort, t : t + len(ages), c] += ages
        return arrived

    def _closed(self, entries: Counts, step: _Step) -> Counts:
        """Arrivals in calendar periods: of a cohort the share p_t f_(t-s) moves in t, p_t the rate of period t.

        Unit by unit, of those not moved before; or, of the working law, as one beta-binomial share of effective trials.
        Before the window as many entered a period as early in it, times `before`.
        """
        before = step.point["before"] * entries[:EARLY_PERIODS].mean(axis=0)
        if self.working:
            trials, phi = (each.T for each in thinned(step.pmf, entries.T.astype(float), before))
            whole = np.floor(trials + self.rng.random(trials.shape)).astype(np.int64)
            return np.asarray(self.rng.binomial(whole, step.cells * phi))
        early = np.repeat(np.rint(before).astype(np.int64)[None], step.pmf.size - 1, axis=0)
        arrived = np.zeros_like(entries)
        for s, units in enumerate(np.concatenate([early, entries]), start=1 - step.pmf.size):
            left, gone = units.copy(), np.zeros(units.shape)
            # Before the window at the rate of its first period.
            for t in range(s, min(s + step.pmf.size, len(entries))):
                share = step.cells[max(t, 0)] * step.pmf[t - s]
                moved = self.rng.binomial(left, np.clip(share / np.maximum(1.0 - gone, 1e-12), 0.0, 1.0))
                left, gone = left - moved, gone + share
                if t >= 0:
                    arrived[t] += moved
        return arrived

    def _lost(self, never: Counts, step: _Step, stage: str) -> tuple[Counts, dict[str, Any], dict[str, Any]]:
        """Dated losses of the units that never move, by period of entry and age."""
        variables = {
            f"logit_rate_{stage}": ((), np.zeros((2, PERIODS, len(SPEND)))),
            f"delay_mean_{stage}": ((), np.ones(2)),
            f"delay_cv_{stage}": ((), np.ones(2)),
        }
        data = inputs.loss_data(self.empty, STAGES[STAGES.index(stage) - 1], stage, variables, step.pmf.size)
        path, cells, point = self._rates(data)
        pmf = delay_pmf(point["delay_mean"], point["delay_cv"], data["age_weights"].shape[1])
        lost = self._by_age(self.rng.binomial(never, cells), pmf)
        truth = {f"loss_{name}_{stage}": point[name] for name in ("delay_mean", "delay_cv")}
        return lost, {f"loss_logit_{stage}": path[PERIODS - 1]} | truth, point

    def _traffic(self) -> tuple[dict[str, Any], dict[str, Any], Counts]:
        """True values, parameters, visitors by period, horizon included."""
        data = inputs.traffic_data(self.study, self.empty, None, None) | fixed_arrays()["traffic"]
        path, point = self._tuned_traffic(data)
        beta, base, carry = inputs.response_of(data, point)
        season = inputs.season_table(self.study, self.empty) @ point["season"]
        later = np.tile(self.empty.current_spend, (HORIZON, 1))
        spend = np.concatenate([self.spend, later])
        log_nu = (
            path
            + np.log(self._response(spend, beta, base, carry))
            + season[season_of(self.starts, "month")][:, None]
            + log_days(self.starts, "month")[:, None]
        )
        size = negative_binomial_size(noise_by_channel(point))
        visitors = self.rng.poisson(np.exp(log_nu) * self.rng.gamma(size, 1.0 / size, log_nu.shape))
        truth = {f"{name}_traffic": point[name] for name in ("drift", "own_drift", "shock")}
        truth |= {"noise_traffic": noise_by_channel(point)}
        truth |= {"traffic": point["now"], "slope": point["slope"], "season": season}
        truth |= {"elasticity": beta[:2], "base": base[:2], "carry": carry[1:2]}
        return truth, point, visitors

    def _tuned_traffic(self, data: Mapping[str, Array]) -> tuple[Array, dict[str, Any]]:
        """Path of log traffic and parameters from the prior with its shrinkage of marginal returns, by rejection.

        A draw is kept with a probability in proportion to the normal density of its log marginal returns around their
        common middle; the sd of a channel is at least that of the worth of its traffic.
        """
        while True:
            mu, tau = self.rng.normal(*LEVEL), self._scale(TRAFFIC_TAU)
            level = self.rng.normal(mu, tau, len(SPEND))
            path, point = self._path(data, level, trend=True)
            season_sd = self._scale(SEASON_SD)
            season = season_sd * self.rng.normal(size=data["season_basis"].shape[1])
            point |= {"mu": mu, "tau": tau, "level": level, "season_sd": season_sd, "season": season}
            point |= {
                f"z_{name}": self.rng.normal(size=len(SPEND)) for name in ("elasticity", "base", "carry")
            }
            point["marginal_return"] = self.rng.normal()
            beta, base, _ = inputs.response_of(data, point)
            gain = log_marginal(data["log_worth"], beta, base, data["log_current"], data["log_spend"])
            marginal = path[PERIODS - 1] + gain
            point["return_spread"] = math.exp(self.rng.normal(*data["spread_prior"]))
            sd = np.hypot(point["return_spread"], data["worth_sd"])
            miss = (marginal - point["marginal_return"]) / sd
            kept = np.exp(-0.5 * miss**2) * data["worth_sd"] / sd
            if self.rng.random() < np.prod(kept[data["tuned"] > 0]):
                return path, point

    def _response(self, spend: Array, beta: Array, base: Array, carry: Array) -> Array:
        """b + (1 - b) (acting spend / reference)^beta; 1 for the channel without spend."""
        lags = carry_periods("month")
        path = np.concatenate([with_past(self.spend, lags)[:lags], spend])
        acting = acting_spend(carry, lagged(path, lags))
        reference = np.exp(np.log(np.maximum(self.spend, 1.0)).mean(axis=0))
        paid = self.spend.any(axis=0)
        relative = np.where(paid, acting / reference, 1.0)
        return np.where(paid, response(relative, beta, base), 1.0)

    def _deals(
        self,
        counted: Mapping[str, Counts],
        triangles: Mapping[str, Counts],
        losses: Mapping[str, Counts],
        later_won: Counts,
    ) -> tuple[History, dict[str, Any], dict[str, Any], float]:
        """The history with deal values; their true mean and cv; revenue of the horizon."""
        mu, tau = self.rng.normal(*VALUE), abs(self.rng.normal(0.0, VALUE_TAU))
        level = self.rng.normal(mu, tau, len(SPEND))
        drift = self._scale(2.0 / VALUE_DRIFT)
        steps = drift * self.rng.normal(size=PERIODS + HORIZON)
        walk = np.cumsum(steps)
        mean = np.exp(level + (walk - walk[:PERIODS].mean())[:, None])
        cv = float(np.exp(self.rng.normal(DEAL_CV, DEAL_CV_SD)))
        shape = 1.0 / cv**2
        won = counted["won"][:PERIODS]
        cells = {stage: values[:PERIODS] for stage, values in counted.items()} | {"spend": self.spend}
        revenue = self.rng.gamma(np.maximum(won * shape, 1e-300), mean[:PERIODS] / shape) * (won > 0)
        deals: pd.DataFrame | None = None
        if self.kind == "leads":
            t, c = (np.repeat(index, won.ravel()) for index in np.indices(won.shape).reshape(2, -1))
            amount = np.maximum(self.rng.gamma(shape, mean[t, c] / shape), 1e-9)
            deals = pd.DataFrame(
                {
                    "period": self.starts[:PERIODS].astype("datetime64[ns]")[t],
                    "channel": np.array(self.names, dtype=object)[c],
                    "amount": amount,
                }
            )
            revenue = np.zeros(won.shape)
            np.add.at(revenue, (t, c), amount)
        seen, gone = ({k: _seen(v) for k, v in made.items()} for made in (triangles, losses))
        history = self._history(cells | {"revenue": revenue}, seen, gone, deals)
        later = float((self.rng.gamma(np.maximum(later_won * shape, 1e-300), mean[PERIODS:] / shape)).sum())
        point = {
            "mu": mu,
            "tau": tau,
            "level": level,
            "cv": cv,
            "drift": drift,
            "season_sd": self._scale(SEASON_SD),
        }
        point |= {"steps": steps[:PERIODS], "season": self.rng.normal(size=1)}
        return history, {"deal_mean": mean[PERIODS - 1], "deal_cv": cv, "deal_drift": drift}, point, later


def _by_arrival(moved: Counts) -> Counts:
    """Moves by period of entry and age as moves by period of arrival."""
    arrived = np.zeros((len(moved), moved.shape[2]), dtype=np.int64)
    for t in range(len(moved)):
        arrived[t:] += moved[t, : len(moved) - t]
    return arrived


def _seen(moved: Counts) -> Counts:
    """The part of a triangle that lies inside the window."""
    known = np.add.outer(np.arange(PERIODS), np.arange(PERIODS)) < PERIODS
    return np.where(known[:, :, None], moved[:PERIODS, :PERIODS], 0)


def make_company(kind: str, rng: np.random.Generator) -> Made:
    """One company from the prior; `kind` is how it is counted: calendar, cohort or leads; or "working"."""
    return _Maker(kind, rng).make()
