"""Fits the parts of the funnel one by one, checks how they sampled, and pairs their draws into one posterior."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit
from threadpoolctl import threadpool_limits

from forecast.equations import (
    acting_spend,
    common_walk,
    power_law,
    slopes,
    steepness,
    surprise,
    walks,
    without_shocks,
)
from forecast.errors import UsageError
from forecast.fit.data import response_of, value_levels
from forecast.fit.dated import kept_by, told_by
from forecast.fit.extended import Extended, ahead_of
from forecast.fit.gate import GATE
from forecast.fit.hazards import Fitted, Hazards
from forecast.fit.left_out import left_out
from forecast.fit.mix import paths, responses, shares
from forecast.fit.parts import Part, assemble
from forecast.fit.paths import (
    event_path,
    logit_rates,
    move_sizes,
    noise_by_channel,
    season_weights,
    traffic_path,
    value_path,
    value_walk,
)
from forecast.fit.points import Draws
from forecast.fit.posterior import (
    CERTAIN,
    DEFAULT_SEED,
    Posterior,
    Variables,
    coordinates,
    kept_draws,
    kept_of,
    seen_by,
    to_dataset,
)
from forecast.fit.sampling import CHAINS, Course, diagnose, prior_draws, sample_pymc, sample_whitened
from forecast.fit.sensitivity import (
    Pull,
    Quantities,
    company_rate,
    hazard_sensitivities,
    part_sensitivities,
    sensitivity_of,
)
from forecast.fit.weighed import Certificate, weighed_draws
from forecast.history import History
from forecast.progress import Progress, Silent
from forecast.study import Study

Array = NDArray[np.float64]

PREVIEW = "preview"
PRIOR = "prior"
TUNE = 100  # of a chain; 400 cost a quarter more gradients and missed the gate as often: measured
PYMC_TUNE = (
    1000  # of PyMC's own sampler, which walks on the models as they are written: with 100 every part misses
)
RETRY_TUNE = 800
TARGET_ACCEPT = 0.9  # trajectories of 15 steps, and the gate passed by nine parts in ten; measured
RETRY_ACCEPT = 0.97
LAST_ACCEPT = 0.997  # of few channels with little data: one second attempt in thirty still diverges once


def fit(
    study: Study,
    history: History,
    *,
    seed: int,
    draws: int = 4000,
    progress: Progress,
    cores: int | None = None,
    fixed: Mapping[str, Mapping[str, Array]] | None = None,
    attempts: int = 3,
    tune: int = TUNE,
    accept: float = TARGET_ACCEPT,
    weigh: bool = True,
    watch: Callable[[Part, Draws], None] | None = None,
    sampler: str = "auto",
    extended: Mapping[str, Extended] | None = None,
) -> Posterior:
    """Fit every part and return the joint posterior of `draws` draws.

    Rates and delays first, then deal value, then traffic, whose prior shrinks the marginal returns at today's budget
    and so needs the worth of a unit of traffic. Diagnostics are returned, not judged: `failures` judges. `fixed`:
    arrays by name of a part, in place of those made from the history; calibration holds priors still with it. A part
    that misses its checks is sampled anew with smaller steps, up to so many `attempts`; once for a few divergences,
    which are within the gate. `tune`, `accept`: warm-up draws and target of the first attempt. `weigh`: whether to
    tell how far numbers rest on their priors. `watch` is shown every part as it was sampled, with its draws. `sampler`:
    "auto" (the weighed closed form of `fit.weighed`, and NUTS for a part whose weights miss the gate), "weighed" (the
    same without NUTS), "nuts" (nutpie on `fit.whitened`) or "pymc" (PyMC's own sampler on the models of `fit.model`:
    slow, and the same posterior). `extended`: parts by name that were sampled elsewhere, from a PyMC model of one's own
    (`fit.models`): they are taken as they are, and the others have as many draws.

    Raises UsageError for an extended part that is none, FitError where there is nothing to fit or sampling stops short,
    Interrupted on Ctrl-C.
    """
    started = time.perf_counter()
    run = _Run(seed, draws, cores or min(CHAINS, os.cpu_count() or 1), progress, tuple(history.channels))
    run.fixed, run.attempts, run.watch = fixed or {}, attempts, watch
    run.extend(extended or {})
    run.tune, run.accept, run.weighing, run.road = tune, accept, weigh, sampler
    run.labels = history.labels
    variables, ages = assemble(study, history, run)
    run.check_extended()
    terms, ahead = ahead_of(run.extended, history, run.draws)
    provenance = {
        "ages": ages,
        "stages": list(history.counted),
        "seed": seed,
        "chains": run.chains,
        "tune": tune,
        "sensitivity": run.weighed(variables, list(ages)) if weigh else [],
        "left_out": run.left_out,
        "seconds": round(time.perf_counter() - started, 3),
    }
    if terms:
        provenance["terms"] = {
            name: one.name for name, one in run.extended.items() if f"term_{name}" in terms
        }
    data = to_dataset(variables | terms, coordinates(history, run.draws) | ahead)
    beside = ({"sample_stats": run.sample_stats()} if run.stats else {}) | seen_by(history)
    beside |= {"log_prior": run.log_prior()} if weigh else {}
    return Posterior(data, tuple(run.diagnostics), provenance, run.chains, beside)


def preview(
    study: Study, history: History, *, seed: int = DEFAULT_SEED, draws: int = 4000, weigh: bool = False
) -> Posterior:
    """The posterior by the road of `fit`, with fewer points of the scales and no question how far it can be trusted.

    Same study, history, seed and draws: the same bytes. `provenance["method"]` is "preview", and there are no
    diagnostics. `weigh`: as of `fit`. Raises FitError where there is nothing to fit.
    """
    started = time.perf_counter()
    run = _Run(seed, draws, 1, Silent(), tuple(history.channels))
    run.road, run.weighing = PREVIEW, weigh
    variables, ages = assemble(study, history, run)
    provenance = {
        "ages": ages,
        "stages": list(history.counted),
        "seed": seed,
        "draws": draws,
        "method": PREVIEW,
        "fit_hash": "",
        "failures": [],
        "data_sha256": history.sources,
        "sensitivity": run.weighed(variables, list(ages)) if weigh else [],
        "seconds": round(time.perf_counter() - started, 3),
    }
    return Posterior(
        to_dataset(variables, coordinates(history, draws)), (), provenance, beside=seen_by(history)
    )


def of_prior(study: Study, history: History, *, seed: int, draws: int) -> Posterior:
    """Draws of the prior by the names of the posterior: what the models hold likely before they see the counts.

    Without the shrinkage of marginal returns at today's budget, and without refunds, deals that bring nothing and what
    recurs, which are counted and not fitted. Raises UsageError where a stage is learnt by day.
    """
    run = _Run(seed, draws, 1, Silent(), tuple(history.channels))
    run.road, run.weighing = PRIOR, False
    variables, ages = assemble(study, history, run)
    counted = ("free_", "refund_", "recurring_")
    own = {name: values for name, values in variables.items() if not name.startswith(counted)}
    if "free_share" in variables:
        dims, mean = own["deal_mean"]
        own["deal_mean"] = dims, mean / (1.0 - variables["free_share"][1])
    provenance = {
        "ages": ages,
        "stages": list(history.counted),
        "seed": seed,
        "draws": draws,
        "method": PRIOR,
    }
    return Posterior(to_dataset(own, coordinates(history, draws)), (), provenance, beside=seen_by(history))


def failures(posterior: Posterior) -> list[str]:
    """The checks of sampling that a posterior does not pass, as sentences; empty when it may be used."""
    return [said for part in posterior.diagnostics for said in GATE.missed(part)]


class _Run:
    """Seeds by the name of a part, progress, and the diagnostics gathered on the way."""

    def __init__(
        self, seed: int, draws: int, cores: int, progress: Progress, channels: Sequence[str] = ()
    ) -> None:
        self.channels = channels
        self.sensitivity: list[dict[str, Any]] = []
        self.pulls: list[Pull] = []
        self.pulled: dict[str, Pull] = {}
        self.left_out: list[dict[str, Any]] = []
        self.labels: Sequence[str] = ()
        self.seed, self.asked, self.cores, self.progress = seed, draws, cores, progress
        self.each = math.ceil(draws / CHAINS)
        self.diagnostics: list[dict[str, Any]] = []
        self.stats: dict[str, Draws] = {}
        self.fixed: Mapping[str, Mapping[str, Array]] = {}
        self.attempts, self.tune, self.accept, self.weighing = 3, TUNE, TARGET_ACCEPT, True
        self.watch: Callable[[Part, Draws], None] | None = None
        self.road = "auto"
        self.extended: Mapping[str, Extended] = {}
        self.taken: set[str] = set()
        self.models: list[str] = []

    @property
    def chains(self) -> int:
        """How many chains the draws stand in: one where no part was made by chains."""
        if self.extended:
            return next(iter(self.extended.values())).shape[0]
        return CHAINS if self.stats else 1

    @property
    def by_period(self) -> Collection[str]:
        """See `parts.Fitter`."""
        return self.extended

    def extend(self, extended: Mapping[str, Extended]) -> None:
        """Take parts that were sampled elsewhere: all others get as many draws. Raises UsageError where they differ."""
        self.extended = extended
        shapes = {name: each.shape for name, each in extended.items()}
        if not shapes:
            return
        if len(set(shapes.values())) > 1:
            raise UsageError(f"extended: expected traces with the same chains and draws, got {shapes}")
        self.each = math.prod(next(iter(shapes.values()))) // CHAINS

    def check_extended(self) -> None:
        """Raise UsageError where an extended part is none of this company."""
        if unknown := set(self.extended) - self.taken:
            parts = ", ".join(self.models)
            raise UsageError(f"extended: {', '.join(sorted(unknown))}: no such part; the parts are {parts}")

    @property
    def draws(self) -> int:
        """Draws of all chains; of a preview as many as were asked for."""
        return self.asked if self.road in (PREVIEW, PRIOR) else self.each * CHAINS

    def sample(self, part: Part) -> Draws:
        """Draws of a part: by weights, where these miss the gate by chains; see `fit`."""
        if self.road == PREVIEW:
            return weighed_draws(part, seed=self.seed, draws=self.draws, few=True)[0]
        if self.road == PRIOR:
            return prior_draws(part, seed=self.seed, draws=self.draws)
        self.progress.step(f"fitting {part.label}")
        part = replace(part, data={**part.data, **self.fixed.get(part.name, {})})
        started = time.perf_counter()
        self.models.append(part.name)
        made = self._from_trace(part) if part.name in self.extended else None
        if made is None and self.road in ("auto", "weighed"):
            made = self._by_weights(part)
        weighed = made is not None and part.name not in self.extended
        if made is not None and weighed and self.road == "auto" and GATE.missed(made[1]):
            self.progress.step(f"fitting {part.label} again, by chains")
            made = None
        if made is None:
            made = self._by_chains(part)
        drawn, found = made
        found["seconds"] = round(time.perf_counter() - started, 2)
        self.diagnostics.append(found)
        if self.weighing:
            self.left_out += left_out(drawn, part, self.labels)
        if self.watch is not None:
            self.watch(part, drawn)
        return drawn

    def _from_trace(self, part: Part) -> tuple[Draws, dict[str, Any]]:
        """Draws of a part that was sampled elsewhere, and how its chains moved."""
        self.taken.add(part.name)
        sampled, moved, beside = self.extended[part.name].draws_of(part, seed=self.seed)
        self.stats[part.label] = moved.stats
        found = diagnose(sampled | beside, part, moved) | {"asked": self.draws, "attempts": 1}
        return sampled, found

    def _by_weights(self, part: Part) -> tuple[Draws, dict[str, Any]]:
        """Draws of the weighed closed form, and what its weights tell of them."""

        def told(certificate: Certificate) -> dict[str, Any]:
            numbers = asdict(certificate) | {"k_hat": certificate.worst}
            return {"part": part.label} | numbers | {"draws": self.draws, "asked": self.draws}

        drawn, certificate = weighed_draws(
            part, seed=self.seed, draws=self.draws, good=lambda found: not GATE.missed(told(found))
        )
        return drawn, told(certificate)

    def _by_chains(self, part: Part) -> tuple[Draws, dict[str, Any]]:
        """NUTS; again with smaller steps and more draws: at most twice where the gate is missed, once for divergences.

        A few divergences are within the gate, but what smaller steps can mend is mended.
        """
        sampled, moved = self._once(part, self.accept, self.tune, self.each, attempt=0)
        found = diagnose(sampled, part, moved) | {"asked": self.draws}
        attempts, gradients = 1, moved.gradients
        for attempt, accept in enumerate((RETRY_ACCEPT, LAST_ACCEPT)[: self.attempts - 1], start=1):
            if not GATE.missed(found) and (attempt > 1 or not found["divergences"]):
                break
            self.progress.step(f"fitting {part.label} again, with smaller steps")
            more = 2**attempt
            sampled, moved = self._once(part, accept, RETRY_TUNE, more * self.each, attempt=attempt)
            found = diagnose(sampled, part, moved) | {"asked": self.draws}
            sampled, moved = _thinned(sampled, more), replace(moved, stats=_thinned(moved.stats, more))
            attempts, gradients = attempts + 1, gradients + moved.gradients
        self.stats[part.label] = moved.stats
        return sampled, found | {"attempts": attempts, "gradients": gradients}

    def _once(
        self, part: Part, accept: float, tune: int, draws: int, *, attempt: int
    ) -> tuple[Draws, Course]:
        words = [self.seed, attempt, *part.name.encode()]
        seed = int(np.random.SeedSequence(words).generate_state(1)[0])
        sampler = sample_pymc if self.road == "pymc" else sample_whitened
        return sampler(
            part,
            seed=seed,
            draws=draws,
            tune=max(tune, PYMC_TUNE) if self.road == "pymc" else tune,
            target_accept=accept,
            cores=self.cores,
            progress=self.progress,
        )

    def log_prior(self) -> xr.Dataset:
        """Log priors, up to a constant, of the parameters that a person sets, of the draws kept: <parameter>_<part>."""
        return xr.Dataset(
            {
                f"{name}_{part}": (("kept", "channel")[: values.ndim], values.astype(np.float32))
                for part, pull in self.pulled.items()
                for name, values in pull.by_parameter.items()
                if values.ndim == 1 or values.shape[1] == len(self.channels)
            }
        )

    def sample_stats(self) -> xr.Dataset:
        """Statistics of the sampler, (part, chain, draw)."""
        names = dict.fromkeys(name for stats in self.stats.values() for name in stats)
        dims = ("part", "chain", "draw")
        shape = self.chains, -1
        return xr.Dataset(
            {
                name: (dims, np.stack([stats[name].reshape(shape) for stats in self.stats.values()]))
                for name in names
            },
            coords={"part": list(self.stats)},
        )

    def rates(self, part: Part, later: NDArray[np.bool_]) -> dict[str, Array]:
        """A transition: see `parts.Fitter`."""
        d = self.sample(part)
        path = _flat(logit_rates(d, part.data))
        now = (
            path[:, -1]
            + self._without_shocks(d, part)[:, -1, None]
            - _flat(common_walk(d, part.data))[:, -1, None]
        )
        if "event_prior" in part.data or "term" in d:  # the last period may be one of an event
            now = now - np.asarray(event_path(d, part.data))[..., -1, :].reshape(-1, now.shape[1])
        path[:, :, later] = now[:, later] = CERTAIN
        self._weigh_rates(d, part, now, path)
        names = ("drift", "own_drift", "shock", "delay_mean", "delay_cv", "before")
        found = {"logit_rate": path, "logit_now": now, "noise": _flat(noise_by_channel(d))}
        found |= {name: _flat(d[name]) for name in names if name in d}
        found["delay_mean"] = found["delay_mean"] * float(part.data["delayed"])
        if "event_prior" in part.data:
            found["moved"] = _flat(move_sizes(d, part.data))
        return found

    def losses(self, part: Part) -> dict[str, Array]:
        """Losses with a date: see `parts.Fitter`."""
        d = self.sample(part)
        delay = {f"loss_{name}": _flat(d[name]) for name in ("delay_mean", "delay_cv")}
        return {"loss_logit": _flat(logit_rates(d, part.data))} | delay

    def hazards(
        self, moves: Part, losses: Part | None, later: NDArray[np.bool_], period: str
    ) -> dict[str, Array]:
        """Moves and losses of dated leads: see `parts.Fitter`."""
        made = self._by_hazards(moves)
        lost = None if losses is None else self._by_hazards(losses)
        data = moves.data
        units = data["exposure"][0].sum(axis=0)
        told = dict(told_by(made, lost, data["edges"], units, period))
        told["logit_rate"][:, :, later] = told["logit_now"][:, later] = CERTAIN
        self._weigh_hazards(made, moves, told)
        return told | kept_by(made, "") | ({} if lost is None else kept_by(lost, "loss_"))

    def _by_hazards(self, part: Part) -> Fitted:
        """Draws of one kind of event, and what is told of them."""
        if self.road == PRIOR:
            raise UsageError(f"{part.label}: learnt by day, of which no draws are made by the prior")
        if self.road != PREVIEW:
            self.progress.step(f"fitting {part.label}")
        part = replace(part, data={**part.data, **self.fixed.get(part.name, {})})
        started = time.perf_counter()
        # Shared among threads, sums would depend on how many there are.
        with threadpool_limits(1):
            hazards = Hazards(part.data)
            hazards.settle()
            rng = np.random.default_rng([self.seed, *f"hazards {part.name}".encode()])
            made = hazards.draw(self.draws, rng, near=self.road == PREVIEW)
        if self.road != PREVIEW:
            told = {"part": part.label, "draws": self.draws, "asked": self.draws, "settled": hazards.far}
            told |= {"normal_k_hat": made.k_hat, "normal_ess": made.effective}
            self.diagnostics.append(told | {"seconds": round(time.perf_counter() - started, 2)})
        return made

    def _weigh_hazards(self, made: Fitted, part: Part, told: Mapping[str, Array]) -> None:
        """How far rates and delay of dated leads rest on their priors, and how far data and prior lie apart."""
        if not self.weighing:
            return
        rates, delay = f"rate into {part.name}", f"delay into {part.name}"
        quantities = {
            rates: told["logit_rate"][:, -1],
            "company": made.theta[:, 0],
            delay: told["delay_mean"],
        }
        found, pull = hazard_sensitivities(made, part.label, quantities, self.channels)
        prior = part.data["theta_prior"]
        for record in found:
            if record["quantity"] == "company":
                record |= {"quantity": rates, "surprise": surprise(made.theta[:, 0], *prior[:, 0])}
            elif record["quantity"] == delay:
                record["surprise"] = surprise(made.theta[:, 1], *prior[:, 1])
        self.sensitivity += found
        self.pulls.append(pull)
        self.pulled[part.name] = pull

    def values(self, part: Part) -> dict[str, Array]:
        """Deal value: see `parts.Fitter`."""
        d = self.sample(part)
        walk = value_walk(d, part.data)
        mean = _flat(np.exp(value_levels(part.data, d) + walk[..., -1:]))
        self.weigh(d, part, {"deal value": (mean, ("mu", "tau", "cv", "drift"))})
        kept = kept_draws(len(mean))
        return {
            "deal_mean": mean,
            "deal_cv": _flat(d["cv"]),
            "deal_drift": _flat(d["drift"]),
            "deal_season": _flat(d["season_sd"][..., None] * d["season"]) @ part.data["seasons"].T,
            "deal_path": _flat(value_path(d, part.data))[kept] - np.log(mean[kept])[:, None],
            **({"moved_value": _flat(move_sizes(d, part.data))} if "event_prior" in part.data else {}),
        }

    def traffic(self, part: Part, seasons: Array, period: str) -> dict[str, Array]:
        """Traffic: see `parts.Fitter`."""
        d = self.sample(part)
        common = self._without_shocks(d, part)
        found = _traffic(d, part.data, seasons, common) | {"slope": self._slopes(d, part, period, common)}
        self._weigh_response(d, part, found["elasticity"])
        if "event_prior" in part.data:
            found["moved_traffic"] = _flat(move_sizes(d, part.data))
        return found

    def mix(self, part: Part, seasons: Array, period: str, media: NDArray[np.bool_]) -> dict[str, Array]:
        """Sales that no channel is credited with: see `parts.Fitter`."""
        d = self.sample(part)
        found = _mixed(d, part.data, seasons, media)
        drift, walk = _flat(d["drift"]), _flat(paths(part.data, d)[1])
        z = np.random.default_rng([self.seed, *b"slope"]).standard_normal(len(drift))
        slope = slopes(walk, drift, z, part.data["basis"], steepness(period))
        own = {"elasticity": (found["elasticity"][:, media], ("z_elasticity",))}
        names = [name for name, yes in zip(self.channels, media, strict=True) if yes]
        for record in self.weigh(d, part, own, names):
            scores = _flat(d["z_elasticity"])[:, names.index(record["channel"])]
            record["surprise"] = surprise(scores, 0.0, 1.0)
        return found | {"slope": np.tile(slope[:, None], (1, len(media)))}

    def _without_shocks(self, d: Draws, part: Part) -> Array:
        """The common walk (draw, period), drawn given what it makes together with its shocks."""
        common, drift, shock = _flat(common_walk(d, part.data)), _flat(d["drift"]), _flat(d["shock"])
        rng = np.random.default_rng([self.seed, *f"shocks {part.name}".encode()])
        z = rng.standard_normal((len(common), len(part.data["basis"])))
        return without_shocks(common, drift, shock, z, part.data["basis"])

    def _slopes(self, d: Draws, part: Part, period: str, common: Array) -> Array:
        """Slopes of traffic, common and own together, (draw, channel): drawn given the walks."""
        own = _flat(walks(d, part.data)[1])
        drift, own_drift = _flat(d["drift"]), _flat(d["own_drift"])[:, None]
        rng = np.random.default_rng([self.seed, *b"slope"])
        z, apart = rng.standard_normal(len(drift)), rng.standard_normal((len(drift), own.shape[2]))
        law = part.data["basis"], steepness(period)
        return slopes(common, drift, z, *law)[:, None] + slopes(own.swapaxes(1, 2), own_drift, apart, *law)

    def weigh(
        self, d: Draws, part: Part, quantities: Quantities, channels: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """How far quantities of a part rest on their priors; nothing where that is not asked."""
        if not self.weighing:
            return []
        found, pull = part_sensitivities(d, part, quantities, channels or self.channels)
        self.sensitivity += found
        self.pulls.append(pull)
        self.pulled[part.name] = pull
        return found

    def _weigh_rates(self, d: Draws, part: Part, now: Array, path: Array) -> None:
        """How far rates and delay of a transition rest on their priors, and how far data and prior lie apart."""
        scales = ("mu", "tau", "drift", "own_drift", "noise")
        rates = f"rate into {part.name}"
        company = company_rate(path, part.data["mu_prior"])
        quantities = {rates: (now, scales), "company": (company[0], ("mu", "tau"))}
        if part.data["delayed"]:
            quantities["delay"] = (_flat(d["delay_mean"]), ("delay_mean", "delay_cv"))
        for record in self.weigh(d, part, quantities):
            if record["quantity"] == "company":
                record |= {"quantity": rates, "surprise": surprise(*company)}
            if record["quantity"] == "delay":
                log_mean = np.log(quantities["delay"][0])
                prior = part.data["delay_prior"][:2]
                record |= {"quantity": f"delay into {part.name}", "surprise": surprise(log_mean, *prior)}

    def _weigh_response(self, d: Draws, part: Part, elasticity: Array) -> None:
        """The same for the elasticities of channels that respond to spend."""
        for record in self.weigh(d, part, {"elasticity": (elasticity, ("z_elasticity",))}):
            c = self.channels.index(record["channel"])
            if part.data["responds"][c]:
                record["surprise"] = surprise(_flat(d["z_elasticity"])[:, c], 0.0, 1.0)
            else:
                self.sensitivity.remove(record)

    def weighed(self, variables: Variables, stages: list[str]) -> list[dict[str, Any]]:
        """All records, with each channel's share of what today's traffic brings, and that sum itself as "headline"."""
        brings = np.exp(variables["traffic"][1])
        for stage in stages:
            brings = brings * expit(variables[f"logit_now_{stage}"][1])
        if "deal_mean" in variables:
            brings = brings * variables["deal_mean"][1]
        total = brings.sum(axis=1)
        share = dict(zip(self.channels, (brings / total[:, None]).mean(axis=0), strict=True))
        headline = {"quantity": "headline", "part": "", "channel": ""} | sensitivity_of(total, self.pulls)
        return [
            headline,
            *(record | {"share": float(share.get(record["channel"], 1.0))} for record in self.sensitivity),
        ]


def _flat(values: Array) -> Array:
    return values.reshape(-1, *values.shape[2:])


def _thinned(sampled: Draws, step: int) -> Draws:
    """The last of every `step` draws of each chain."""
    return {name: values[:, step - 1 :: step] for name, values in sampled.items()}


def _traffic(d: Draws, data: Mapping[str, Array], seasons: Array, common: Array) -> dict[str, Array]:
    """Traffic by the names of the posterior; `common`: the walk (draw, period) without its shocks."""
    now = _flat(d["level"] + walks(d, data)[1][:, :, -1]) + common[:, -1, None]
    beta, base, carry = response_of(data, d)
    return {
        "traffic": now,
        "log_traffic_path": traffic_path(kept_of(d), data),
        "season": _flat(season_weights(d, data)) @ seasons.T,
        "elasticity": _flat(beta),
        "base": _flat(base),
        "carry": _flat(carry),
        "noise_traffic": _flat(noise_by_channel(d)),
        **{f"{name}_traffic": _flat(d[name]) for name in ("drift", "own_drift", "shock")},
    }


def _mixed(d: Draws, data: Mapping[str, Array], seasons: Array, media: NDArray[np.bool_]) -> dict[str, Array]:
    """Draws of sales that are not attributed, by the names of the posterior: each channel has its share of them.

    A channel's sales respond as a whole (its base is the channel of that name). Noise of a cell is such that the sum
    of all has the noise that was seen: independent noise n' of channels with shares q has n'^2 sum q^2 in the sum.
    """
    level = paths(data, d)[0]
    beta, carry, w = responses(data, d)
    share = shares(w)
    order = np.argsort(np.append(np.flatnonzero(media), np.flatnonzero(~media)))
    every = _flat(share)[:, order]

    def by_channel(values: Array, base: float) -> Array:
        return np.append(values, np.full((len(values), 1), base), axis=1)[:, order]

    kept = kept_of(d)
    season = _flat(d["season_sd"])[:, None] * _flat(d["season"])
    shared = kept["season_sd"][:, None] * kept["season"] @ data["season_basis"].T + data["log_days"]
    beta_kept, carry_kept, w_kept = responses(data, kept)
    shape = power_law(acting_spend(carry_kept, data["spend_lags"]), beta_kept[:, None])
    shape = np.append(shape, np.ones((*shape.shape[:2], 1)), axis=2) * shares(w_kept)[:, None]
    path = (paths(data, kept)[0] + shared)[:, :, None] + np.log(shape[:, :, order])
    last = shape[:, -1] / shape[:, -1].sum(axis=1, keepdims=True)
    concentration = (last**2).sum(axis=1).mean()
    return {
        "traffic": _flat(level)[:, -1:] + np.log(every),
        "log_traffic_path": path,
        "season": season @ seasons.T,
        "elasticity": by_channel(_flat(beta), 0.5),
        "base": by_channel(np.zeros_like(_flat(beta)), 0.5),
        "carry": by_channel(_flat(carry), 0.0),
        "drift_traffic": _flat(d["drift"]),
        "own_drift_traffic": np.zeros(len(every)),
        "shock_traffic": np.zeros(len(every)),
        "noise_traffic": np.repeat(_flat(d["noise"])[:, None] / np.sqrt(concentration), len(media), axis=1),
    }
