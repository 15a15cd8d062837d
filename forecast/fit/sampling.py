"""Samples one part of the funnel and says how well that went.

nutpie (NUTS with Fisher-divergence adaptation) samples the kernels; `sample_pymc` runs the same part through its PyMC
definition instead, for whoever wants to see that it is the same posterior.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.equations import walks
from forecast.errors import FitError, Interrupted
from forecast.fit.parts import Part
from forecast.fit.points import Draws, constrained, sizes_of
from forecast.progress import Progress

Array = NDArray[np.float64]

CHAINS = 4
TENTHS = (0.1, 0.9)
STOPPED = "interrupted; nothing was written"


@dataclass(frozen=True)
class Course:
    """How the chains moved: divergences, least E-BFMI of a chain, share of draws cut off at the greatest tree depth.

    steps: mean leapfrog steps a draw; gradients: all that were taken, warm-up included (0: not counted); stats: what
    the sampler said of each draw, (chain, draw).
    """

    divergences: int
    bfmi: float = math.inf
    at_depth: float = 0.0
    steps: float = 0.0
    gradients: int = 0
    stats: Draws = field(default_factory=dict)


def course(diverging: Array, energy: Array, at_depth: Array) -> Course:
    """The course of the chains from sampler statistics of shape (chain, draw).

    E-BFMI of a chain: mean squared step of the energy over its variance (Betancourt 2016); below 0.3 the chain hardly
    reaches the tails.
    """
    steps, variance = (np.diff(energy, axis=1) ** 2).mean(axis=1), energy.var(axis=1, ddof=1)
    return Course(int(diverging.sum()), float((steps / variance).min()), float(at_depth.mean()))


def diagnose(sampled: Draws, part: Part, moved: Course) -> dict[str, Any]:
    """Worst R-hat (rank-normalised, folded), bulk and tail ESS over the parameters and today's level of each channel.

    The waves of the channels' own walks are left out: there are hundreds, each close to its prior. Where they end is
    in.
    """
    from arviz_stats.base.array import array_stats

    columns = _columns(sampled, part)

    def of_each(statistic: Callable[..., Any], **options: Any) -> dict[str, float]:
        axes = {"chain_axis": 0, "draw_axis": 1}
        return {name: float(statistic(v, **axes, **options)) for name, v in columns.items()}

    bulk = of_each(array_stats.ess, method="bulk")
    tail = of_each(array_stats.ess, method="tail", prob=(0.05, 0.95))
    rhat = {n: math.inf if math.isnan(x) else x for n, x in of_each(array_stats.rhat).items()}
    least = min(bulk, key=lambda name: min(bulk[name], tail[name]))
    worst = max(rhat, key=lambda name: rhat[name])
    return {
        "part": part.label,
        "max_rhat": rhat[worst],
        "worst": worst,
        "min_ess_bulk": min(bulk.values()),
        "min_ess_tail": min(tail.values()),
        "least": least,
        "divergences": moved.divergences,
        **_divergent(sampled, moved),
        "min_bfmi": moved.bfmi,
        "at_depth": moved.at_depth,
        "steps": moved.steps,
        "gradients": moved.gradients,
        "draws": int(next(iter(columns.values())).size),
    }


def _divergent(sampled: Draws, moved: Course) -> dict[str, Any]:
    """Where divergences sit: the scale of which most have an end tenth of its draws, which end, and their share.

    Nothing where there are none, or less than half of them share such an end.
    """
    from forecast.fit.points import POSITIVE

    if not moved.divergences or "diverging" not in moved.stats:
        return {}
    there = moved.stats["diverging"].astype(bool)
    ends = {}
    for name in sorted(POSITIVE & sampled.keys()):
        low, high = np.quantile(sampled[name], TENTHS)
        ends[name, "low"] = float((sampled[name][there] < low).mean())
        ends[name, "high"] = float((sampled[name][there] > high).mean())
    if not ends or max(ends.values()) < 0.5:
        return {}
    scale, end = max(ends, key=lambda each: ends[each])
    return {"divergent_scale": scale, "divergent_end": end, "divergent_share": ends[scale, end]}


def _columns(sampled: Draws, part: Part) -> Draws:
    """The single numbers that `diagnose` looks at, each (chain, draw)."""
    columns: Draws = {}
    for name, values in sampled.items():
        if name == "own_waves":
            continue
        series = values.reshape(*values.shape[:2], -1)
        for i in range(series.shape[2]):
            columns[f"{name}[{i}]" if values.ndim > 2 else name] = series[:, :, i]
    if "own_waves" in sampled and part.data["y"].shape[0] > 1:  # a walk of one period stands at zero
        _, own = walks(sampled, part.data)
        for c in range(own.shape[3]):
            columns[f"own walk, channel {c}"] = own[:, :, -1, c]
    return columns


def log_density(part: Part) -> Callable[[Array], tuple[float, Array]]:
    """The log density of a part and its gradient, as a function of the unconstrained point.

    By copies of its data: an array that may not be written is another type to numba, and compiles the kernel once more.
    """
    from forecast.fit.kernels import traffic as traffic_kernels
    from forecast.fit.kernels import transition as kernels

    arguments: list[Any] = [
        float(v) if v.ndim == 0 else np.array(v, dtype=float, order="C") for v in part.data.values()
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
        return kernel(np.ascontiguousarray(x), gradient, *arguments), gradient

    return density


def _start(part: Part) -> Array:
    """Where chains begin, before jitter: the prior's middle, with levels where the counts are."""
    data = part.data
    point: dict[str, Any] = {name: 0.0 for name, _ in sizes_of(part)}
    point |= {"tau": math.log(0.4), "noise": math.log(0.15), "cv": math.log(0.8), "season_sd": math.log(0.1)}
    point |= {"drift": math.log(0.05), "own_drift": math.log(0.03)}
    if part.kind == "value":
        point["mu"] = float(data["level_prior"][0])
    elif part.kind == "traffic":
        point["mu"], point["return_spread"] = float(data["level_prior"]), float(data["spread_prior"][0])
        totals, cells = (data["y"] * data["weight"]).sum(axis=0), data["weight"].sum(axis=0)
        point["level"] = np.log(np.maximum(totals / np.maximum(cells, 1.0), 0.1))
    else:
        point["mu"] = float(data["mu_prior"][0])
        middle, w = float(data["mu_prior"][0]), data["centred"]
        entered, moved = ((data[name] * data["weight"]).sum(axis=0) for name in ("n", "y"))
        share = np.clip((moved + 1.0) / (entered + 2.0), 1e-4, 0.9)
        level = np.log(share / (1.0 - share))
        point["level_raw"] = w * middle + (level - middle) * 0.4 ** (w - 1.0)  # at the tau of the start
        point["delay_mean"], point["delay_cv"] = float(data["delay_prior"][0]), float(data["delay_prior"][2])
    return np.concatenate([np.broadcast_to(point[name], shape).ravel() for name, shape in sizes_of(part)])


def _jitter(part: Part) -> Array:
    """Sds of the jitter around the start: a tenth, and of waves a tenth of their own width at the start."""
    widths = {name: np.full(shape, 0.1) for name, shape in sizes_of(part)}
    if "waves" in widths:
        widths["waves"] = 0.1 * 0.05 ** part.data["walk_centred"]
        widths["own_waves"] = 0.1 * 0.03 ** part.data["own_centred"]
    return np.concatenate([width.ravel() for width in widths.values()])


def _nutpie_model(part: Part, dimension: int) -> Any:
    """A part as nutpie holds a compiled PyMC model: C functions, a block of data, initial points by seed."""
    from nutpie.compile_pymc import CompiledPyMCModel

    from forecast.fit.kernels import native

    middle, spread = _start(part), _jitter(part)

    return CompiledPyMCModel(
        dims={},
        _n_dim=dimension,
        _coords={},
        _shapes={"point": (dimension,)},
        compiled_logp_func=native.LOGP[part.kind],
        compiled_expand_func=native.point,
        initial_point_func=lambda seed: (
            middle + spread * np.random.default_rng(seed).normal(0.0, 1.0, dimension)
        ),
        shared_data={},
        shared_var_keys={},
        user_data=native.pack(part.kind, part.data),
        n_expanded=dimension,
        shape_info=(["point"], None, [(dimension,)]),
        logp_func=None,
        expand_func=None,
        reparameterized_names=[],
    )


def sample_kernel(
    part: Part,
    *,
    seed: int,
    draws: int,
    tune: int,
    target_accept: float,
    cores: int,
    progress: Progress | None = None,
) -> tuple[Draws, Course]:
    """NUTS by nutpie on the compiled kernel: (draws by parameter, constrained; how the chains moved).

    Raises FitError where no chain can start, Interrupted where nutpie came back short (it swallows Ctrl-C).
    """
    import nutpie

    sizes = sizes_of(part)
    dimension = sum(math.prod(shape) for _, shape in sizes)
    model = _nutpie_model(part, dimension)
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
        raise Interrupted(STOPPED) from error
    except RuntimeError as error:
        raise FitError(f"{part.label}: the sampler could not run ({error})") from error
    points = trace.posterior["point"].values
    if points.shape[:2] != (CHAINS, draws):
        raise Interrupted(STOPPED)
    moved = _course_of(trace)
    gradients = int(moved.stats["n_steps"].sum() + trace.warmup_sample_stats["n_steps"].values.sum())
    return constrained(points, sizes), replace(moved, gradients=gradients)


def _course_of(trace: Any, **theirs: str) -> Course:
    """The course that a sampler's trace tells; `theirs`: its names for our statistics, where they differ."""
    names = ("diverging", "energy", "maxdepth_reached", "n_steps")
    stats = {name: np.asarray(trace.sample_stats[theirs.get(name, name)].values) for name in names}
    moved = course(*(stats[name] for name in names[:3]))
    return replace(moved, steps=float(stats["n_steps"].mean()), stats=stats)


def sample_pymc(
    part: Part,
    *,
    seed: int,
    draws: int,
    tune: int,
    target_accept: float,
    cores: int,
    progress: Progress | None = None,
) -> tuple[Draws, Course]:
    """The same as `sample_kernel`, from the PyMC definition with PyMC's own NUTS: slow, and the same posterior."""
    import pymc as pm

    from forecast.fit.model import traffic_model, transition_model, value_model

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
    if progress is not None:
        progress.update(1, 1)
    draws_of = {name: trace.posterior[name].values for name, _ in sizes_of(part)}
    return draws_of, _course_of(trace, maxdepth_reached="reached_max_treedepth")
