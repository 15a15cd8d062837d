"""Fits the parts of the funnel one by one, checks how they sampled, and pairs their draws into one posterior.

nutpie (NUTS with Fisher-divergence adaptation) samples the kernels; `sample_pymc` runs the same part through its PyMC
definition instead, for whoever wants to see that it is the same posterior.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from forecast import inputs
from forecast.errors import FitError, Interrupted
from forecast.history import History
from forecast.posterior import Posterior, to_dataset
from forecast.study import Study

Array = NDArray[np.float64]
Draws = dict[str, Array]  # by parameter: (chain, draw, ...)

CHAINS = 4
TUNE = 600
TARGET_ACCEPT = 0.95
RETRY_ACCEPT = 0.99
MAX_RHAT = 1.01
MIN_ESS = 400.0
MIN_WARM_DRAWS = 100


class Progress(Protocol):
    """What tells a person how far it is."""

    def step(self, text: str) -> None:
        """A new piece of work begins."""

    def update(self, done: int, total: int, note: str) -> None:
        """So much of it is done."""


@dataclass(frozen=True)
class Part:
    """One piece of the funnel to be sampled: its name for people, the kind of model, its data."""

    name: str
    label: str
    kind: str  # "calendar" | "cohort" (transitions) | "traffic" | "value"
    data: Mapping[str, Array]


def fit(
    study: Study,
    history: History,
    *,
    seed: int,
    draws: int = 4000,
    progress: Progress,
    cores: int | None = None,
) -> Posterior:
    """Fit every part and return the joint posterior of `draws` draws.

    Rates and delays first, then deal value, then traffic, whose prior shrinks the marginal returns at today's budget
    and so needs the worth of a unit of traffic. Diagnostics are returned, not judged: `failures` judges.

    Raises FitError where there is nothing to fit or sampling stops short, Interrupted on Ctrl-C.
    """
    started = time.perf_counter()
    run = _Run(seed, draws, cores or min(CHAINS, os.cpu_count() or 1), progress)
    variables: dict[str, tuple[tuple[str, ...], Array]] = {}
    steps = inputs.transitions(history)
    if not steps:
        raise FitError(f"the history has counts for fewer than two of the stages {', '.join(history.stages)}")
    for before, stage in steps:
        data, calendar = inputs.transition_data(study, history, before, stage)
        part = Part(stage, f"{before} to {stage}", "calendar" if calendar else "cohort", data)
        run.ages[stage] = int(data["age_weights"].shape[1])
        if history.counting == "cohort":
            variables[f"waited_{stage}"] = (("period", f"age_{stage}"), data["age_weights"])
        variables |= _rates(run.sample(part), part, f"logit_rate_{stage}", stage)
        if stage in history.losses:
            lost = Part(
                f"lost before {stage}",
                f"losses before {stage}",
                "cohort",
                inputs.loss_data(history, before, stage),
            )
            variables |= _losses(run.sample(lost), lost, stage)
    variables |= _values(run, study, history)
    worth, worth_sd = _log_worth(variables, steps, study)
    traffic = Part("traffic", steps[0][0], "traffic", inputs.traffic_data(study, history, worth, worth_sd))
    variables |= _traffic(run.sample(traffic), traffic, history)
    coords = {
        "period": history.counts["period"].values,
        "channel": history.channels,
    }
    provenance = {
        "ages": run.ages,
        "stages": [steps[0][0], *(stage for _, stage in steps)],
        "seed": seed,
        "chains": CHAINS,
        "tune": TUNE,
        "seconds": round(time.perf_counter() - started, 3),
    }
    return Posterior(to_dataset(variables, coords), tuple(run.diagnostics), provenance)


def failures(posterior: Posterior) -> list[str]:
    """The checks of sampling that a posterior does not pass, as sentences; empty when it may be used."""
    found = []
    for part in posterior.diagnostics:
        if part["max_rhat"] >= MAX_RHAT:
            found.append(
                f"{part['part']}: R-hat {part['max_rhat']:.3f} at {part['worst']} (must be below {MAX_RHAT})"
            )
        if min(part["min_ess_bulk"], part["min_ess_tail"]) <= MIN_ESS:
            least = min(part["min_ess_bulk"], part["min_ess_tail"])
            found.append(f"{part['part']}: effective sample size {least:.0f} (must be above {MIN_ESS:.0f})")
        if part["divergences"] > 0:
            found.append(f"{part['part']}: {part['divergences']} divergences (must be 0)")
    return found


class _Run:
    """Seeds by the name of a part, progress, and the diagnostics gathered on the way."""

    def __init__(self, seed: int, draws: int, cores: int, progress: Progress) -> None:
        self.seed, self.draws, self.cores, self.progress = seed, math.ceil(draws / CHAINS), cores, progress
        self.diagnostics: list[dict[str, Any]] = []
        self.ages: dict[str, int] = {}

    def sample(self, part: Part) -> Draws:
        """Sample a part; once more with smaller steps and more draws where the gate is missed."""
        self.progress.step(f"fitting {part.label}")
        started = time.perf_counter()
        sampled, divergences = self._once(part, TARGET_ACCEPT, TUNE, self.draws, attempt=0)
        found = diagnose(sampled, part, divergences)
        if (
            divergences
            or found["max_rhat"] >= MAX_RHAT
            or min(found["min_ess_bulk"], found["min_ess_tail"]) <= MIN_ESS
        ):
            self.progress.step(f"fitting {part.label} again, with smaller steps")
            sampled, divergences = self._once(part, RETRY_ACCEPT, 2 * TUNE, 2 * self.draws, attempt=1)
            found = diagnose(sampled, part, divergences)
            sampled = {name: values[:, 1::2] for name, values in sampled.items()}
        found["seconds"] = round(time.perf_counter() - started, 2)
        self.diagnostics.append(found)
        return sampled

    def _once(self, part: Part, accept: float, tune: int, draws: int, *, attempt: int) -> tuple[Draws, int]:
        words = [self.seed, attempt, *part.name.encode()]
        seed = int(np.random.SeedSequence(words).generate_state(1)[0])
        return sample_kernel(
            part,
            seed=seed,
            draws=draws,
            tune=tune,
            target_accept=accept,
            cores=self.cores,
            progress=self.progress,
        )


def diagnose(sampled: Draws, part: Part, divergences: int) -> dict[str, Any]:
    """Worst R-hat (rank-normalised, folded), bulk and tail ESS over the parameters and today's level of each channel.

    The steps of the channels' own walks are left out: there are hundreds, each close to its prior; where they end is in.
    """
    from arviz_stats.base import array_stats

    columns: dict[str, Array] = {}
    for name, values in sampled.items():
        if name == "own_steps":
            continue
        for i in range(int(np.prod(values.shape[2:], dtype=int))):
            columns[f"{name}[{i}]" if values.ndim > 2 else name] = values.reshape(*values.shape[:2], -1)[
                :, :, i
            ]
    if "own_steps" in sampled:
        for c in range(sampled["own_steps"].shape[3]):
            columns[f"own walk, channel {c}"] = _walk(
                sampled["own_drift"], part.data["walk_centred"][1], sampled["own_steps"]
            )[:, :, -1, c]
    rhat = {name: float(array_stats.rhat(v, chain_axis=0, draw_axis=1)) for name, v in columns.items()}
    bulk = {
        name: float(array_stats.ess(v, chain_axis=0, draw_axis=1, method="bulk"))
        for name, v in columns.items()
    }
    tail = {
        name: float(array_stats.ess(v, chain_axis=0, draw_axis=1, method="tail", prob=(0.05, 0.95)))
        for name, v in columns.items()
    }
    least = min(bulk, key=lambda name: min(bulk[name], tail[name]))
    worst = max(rhat, key=lambda name: rhat[name])
    return {
        "part": part.label,
        "max_rhat": rhat[worst],
        "worst": worst,
        "min_ess_bulk": min(bulk.values()),
        "min_ess_tail": min(tail.values()),
        "least": least,
        "divergences": divergences,
        "draws": int(next(iter(columns.values())).size),
    }


def sizes_of(part: Part) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a part's parameters, in the order of the unconstrained point."""
    from forecast import kernels, traffic_kernels

    if part.kind == "value":
        return traffic_kernels.value_sizes(len(part.data["deals"]))
    periods, channels = part.data["y"].shape
    if part.kind == "traffic":
        return traffic_kernels.traffic_sizes(periods, channels, part.data["season_basis"].shape[1])
    return kernels.transition_sizes(periods, channels, part.kind == "calendar")


def log_density(part: Part) -> Callable[[Array], tuple[float, Array]]:
    """The log density of a part and its gradient, as a function of the unconstrained point."""
    from forecast import kernels, traffic_kernels

    arguments: list[Any] = [
        float(v) if v.ndim == 0 else np.ascontiguousarray(v, dtype=float) for v in part.data.values()
    ]
    kernel: Callable[..., float] = kernels.transition_kernel
    if part.kind == "traffic":
        kernel = traffic_kernels.traffic_kernel
    elif part.kind == "value":
        kernel = traffic_kernels.value_kernel
    else:
        arguments.append(part.kind == "calendar")
    size = sum(math.prod(shape) for _, shape in sizes_of(part))

    def density(x: Array) -> tuple[float, Array]:
        gradient = np.empty(size)
        return kernel(x, gradient, *arguments), gradient

    return density


def _start(part: Part) -> Array:
    """Where chains begin, before jitter: the prior's middle, with traffic at its own mean level."""
    data = part.data
    point: dict[str, Any] = {name: 0.0 for name, _ in sizes_of(part)}
    point |= {"tau": math.log(0.4), "noise": math.log(0.15), "cv": math.log(0.8), "season_sd": math.log(0.1)}
    point |= {"drift": math.log(0.05), "own_drift": math.log(0.03)}
    if part.kind == "value":
        point["mu"] = float(data["level_prior"][0])
    elif part.kind == "traffic":
        point["mu"] = float(data["level_prior"])
        totals, cells = (data["y"] * data["weight"]).sum(axis=0), data["weight"].sum(axis=0)
        point["level"] = np.log(np.maximum(totals / np.maximum(cells, 1.0), 0.1))
    else:
        point["mu"] = float(data["mu_prior"][0])
        point["level_raw"] = data["centred"] * data["mu_prior"][0]
        point["delay_mean"], point["delay_cv"] = float(data["delay_prior"][0]), float(data["delay_prior"][2])
    return np.concatenate([np.broadcast_to(point[name], shape).ravel() for name, shape in sizes_of(part)])


def sample_kernel(
    part: Part,
    *,
    seed: int,
    draws: int,
    tune: int,
    target_accept: float,
    cores: int,
    progress: Progress | None = None,
) -> tuple[Draws, int]:
    """NUTS by nutpie on the compiled kernel: (draws by parameter, constrained; number of divergences).

    Raises FitError where no chain can start, Interrupted where nutpie came back short (it swallows Ctrl-C).
    """
    import nutpie

    sizes = sizes_of(part)
    dimension = sum(math.prod(shape) for _, shape in sizes)
    density, start = log_density(part), _start(part)
    model = nutpie.compiled_pyfunc.from_pyfunc(
        dimension,
        lambda: density,
        lambda *_: lambda x: {"point": x.copy()},
        [np.dtype("float64")],
        [(dimension,)],
        ["point"],
        make_initial_point_fn=lambda s: start + np.random.default_rng(s).normal(0.0, 0.1, dimension),
    )
    total = CHAINS * (draws + tune)
    stop: dict[str, Any] = {}
    if progress is not None:
        stop["progress_callback"] = lambda chains: progress.update(
            sum(c.finished_draws for c in chains), total, ""
        )
        stop["progress_rate"] = 200
    try:
        trace = nutpie.sample(
            model,
            draws=draws,
            tune=tune,
            chains=CHAINS,
            cores=cores,
            seed=seed,
            target_accept=target_accept,
            progress_bar=False,
            **stop,
        )
    except KeyboardInterrupt as error:
        raise Interrupted from error
    except RuntimeError as error:
        raise FitError(f"{part.label}: the sampler could not run ({error})") from error
    points = trace.posterior["point"].values
    if points.shape[:2] != (CHAINS, draws):
        raise Interrupted
    return _constrained(points, sizes), int(trace.sample_stats["diverging"].values.sum())


def _constrained(points: Array, sizes: list[tuple[str, tuple[int, ...]]]) -> Draws:
    from forecast.kernels import POSITIVE

    result, at = {}, 0
    for name, shape in sizes:
        values = points[:, :, at : at + math.prod(shape)].reshape(*points.shape[:2], *shape)
        result[name] = np.exp(values) if name in POSITIVE else values
        at += math.prod(shape)
    return result


def sample_pymc(
    part: Part, *, seed: int, draws: int, tune: int, target_accept: float, cores: int
) -> tuple[Draws, int]:
    """The same as `sample_kernel`, from the PyMC definition with PyMC's own NUTS: slow, and the same posterior."""
    import pymc as pm

    from forecast.model import traffic_model, transition_model, value_model

    builders = {"traffic": traffic_model, "value": value_model}
    builder = builders.get(part.kind)
    model = builder(part.data) if builder else transition_model(part.data, calendar=part.kind == "calendar")
    with model:
        trace = pm.sample(
            draws,
            tune=tune,
            chains=CHAINS,
            cores=cores,
            random_seed=seed,
            target_accept=target_accept,
            nuts_sampler="pymc",
            progressbar=False,
            quiet=True,
            compute_convergence_checks=False,
        )
    return {name: trace.posterior[name].values for name, _ in sizes_of(part)}, int(
        trace.sample_stats["diverging"].sum()
    )


def _walk(sigma: Array, centred: float, steps: Array) -> Array:
    """Walks as `model._walk` has them, from (chain, draw) sds and (chain, draw, period, ...) steps."""
    path = np.cumsum(steps, axis=2)
    path -= path.mean(axis=2, keepdims=True)
    return (sigma ** (1.0 - centred)).reshape(*sigma.shape, *([1] * (steps.ndim - 2))) * path


def _logit_rate(d: Draws, data: Mapping[str, Array]) -> Array:
    mu, tau, w = d["mu"][..., None], d["tau"][..., None], data["centred"]
    level = mu + tau ** (1.0 - w) * (d["level_raw"] - w * mu)
    common = _walk(d["drift"], data["walk_centred"][0], d["steps"])
    return (
        level[:, :, None, :]
        + common[..., None]
        + _walk(d["own_drift"], data["walk_centred"][1], d["own_steps"])
    )


def _flat(values: Array) -> Array:
    return values.reshape(-1, *values.shape[2:])


def _rates(d: Draws, part: Part, path: str, stage: str) -> dict[str, tuple[tuple[str, ...], Array]]:
    delayed = float(part.data["delayed"])
    return {
        path: (("draw", "period", "channel"), _flat(_logit_rate(d, part.data))),
        f"drift_{stage}": (("draw",), _flat(d["drift"])),
        f"own_drift_{stage}": (("draw",), _flat(d["own_drift"])),
        f"noise_{stage}": (("draw",), _flat(d["noise"])),
        f"delay_mean_{stage}": (("draw",), _flat(d["delay_mean"]) * delayed),
        f"delay_cv_{stage}": (("draw",), _flat(d["delay_cv"])),
    }


def _losses(d: Draws, part: Part, stage: str) -> dict[str, tuple[tuple[str, ...], Array]]:
    return {
        f"loss_logit_{stage}": (("draw", "period", "channel"), _flat(_logit_rate(d, part.data))),
        f"loss_delay_mean_{stage}": (("draw",), _flat(d["delay_mean"])),
        f"loss_delay_cv_{stage}": (("draw",), _flat(d["delay_cv"])),
    }


def _values(run: _Run, study: Study, history: History) -> dict[str, tuple[tuple[str, ...], Array]]:
    data = inputs.value_data(history)
    shape = (run.draws * CHAINS, len(history.channels))
    if data is None:
        if study.funnel.value is None:
            return {}
        return {
            "deal_mean": (("draw", "channel"), np.full(shape, study.funnel.value)),
            "deal_cv": (("draw",), np.zeros(shape[0])),
        }
    d = run.sample(Part("value", "deal value", "value", data))
    mean = np.exp(d["mu"][..., None] + d["tau"][..., None] * d["z"])
    return {"deal_mean": (("draw", "channel"), _flat(mean)), "deal_cv": (("draw",), _flat(d["cv"]))}


def _log_worth(
    variables: Mapping[str, tuple[tuple[str, ...], Array]], steps: list[tuple[str, str]], study: Study
) -> tuple[Array | None, Array | None]:
    """Mean and sd over draws of log(margin that one unit of traffic brings), by channel; None without a deal value."""
    if "deal_mean" not in variables:
        return None, None
    worth = np.log(variables["deal_mean"][1] * study.economics.gross_margin)
    for _, stage in steps:
        worth = worth + np.log(expit(variables[f"logit_rate_{stage}"][1][:, -1]))
    return worth.mean(axis=0), worth.std(axis=0)


def _traffic(d: Draws, part: Part, history: History) -> dict[str, tuple[tuple[str, ...], Array]]:
    data = part.data
    now = (
        d["level"]
        + _walk(d["drift"], data["walk_centred"][0], d["steps"])[:, :, -1, None]
        + _walk(d["own_drift"], data["walk_centred"][1], d["own_steps"])[:, :, -1]
    )
    season = (
        _flat(d["season_sd"][..., None] ** (1.0 - data["season_centred"]) * d["season"])
        @ inputs.season_table(history).T
    )

    def share(name: str, z: str) -> Array:
        return expit(data[name][0] + data[name][1] * _flat(d[z]))

    return {
        "traffic": (("draw", "channel"), _flat(now)),
        "season": (("draw", "season_of_year"), season),
        "elasticity": (("draw", "channel"), share("elasticity_prior", "z_elasticity")),
        "base": (("draw", "channel"), share("base_prior", "z_base")),
        "carry": (("draw", "channel"), share("carry_prior", "z_carry") * data["carries"]),
        "drift_traffic": (("draw",), _flat(d["drift"])),
        "own_drift_traffic": (("draw",), _flat(d["own_drift"])),
        "noise_traffic": (("draw",), _flat(d["noise"])),
    }
