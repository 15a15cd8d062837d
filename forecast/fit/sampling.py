"""Samples one part of the funnel and says how well that went.

nutpie (NUTS with Fisher-divergence adaptation) samples the density of `fit.whitened`; `sample_pymc` runs the same part
through its PyMC definition instead, for whoever wants to see that it is the same posterior.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from forecast.equations import walks
from forecast.errors import FitError, Interrupted
from forecast.fit.kinds import latent_of
from forecast.fit.latent import Latent
from forecast.fit.parts import Part
from forecast.fit.points import Draws, constrained, sizes_of
from forecast.fit.scales import NOISE_SPREAD
from forecast.fit.weighed import middle_of
from forecast.fit.whitened import Whitened
from forecast.progress import Progress

Array = NDArray[np.float64]

CHAINS = 4
TENTHS = (0.1, 0.9)
START = 0.5  # of a posterior sd: how far from the middle chains start
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
        if name in ("own_waves", "noise_apart", "term"):
            continue
        series = values.reshape(*values.shape[:2], -1)
        for i in range(series.shape[2]):
            columns[f"{name}[{i}]" if values.ndim > 2 else name] = series[:, :, i]
    if "own_waves" in sampled and part.data["y"].shape[0] > 1:  # a walk of one period stands at zero
        _, own = walks(sampled, part.data)
        for c in range(own.shape[3]):
            columns[f"own walk, channel {c}"] = own[:, :, -1, c]
    return columns


def sample_whitened(
    part: Part,
    *,
    seed: int,
    draws: int,
    tune: int,
    target_accept: float,
    cores: int,
    progress: Progress | None = None,
) -> tuple[Draws, Course]:
    """NUTS by nutpie on the density of `fit.whitened`: (draws by parameter, constrained; how the chains moved).

    Raises FitError where no chain can start, Interrupted where nutpie came back short (it swallows Ctrl-C).
    """
    import nutpie

    density = Whitened(*middle_of(part, seed=seed))
    stop: dict[str, Any] = {}
    if progress is not None:
        total = CHAINS * (draws + tune)
        stop["progress_callback"] = lambda chains: progress.update(
            sum(c.finished_draws for c in chains), total, ""
        )
        stop["progress_rate"] = 200
    try:
        with threadpool_limits(1):
            trace = nutpie.sample(
                _nutpie_model(density),
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
    z = trace.posterior["point"].values
    if z.shape[:2] != (CHAINS, draws):
        raise Interrupted(STOPPED)
    moved = course_of(trace)
    gradients = int(moved.stats["n_steps"].sum() + trace.warmup_sample_stats["n_steps"].values.sum())
    points = density.points(z.reshape(-1, density.size), np.random.default_rng([seed, CHAINS]))
    found = constrained(points.reshape(*z.shape[:2], -1), sizes_of(part))
    return with_noise_apart(found, density.latent), replace(moved, gradients=gradients)


def with_noises(part: Part, *, seed: int) -> tuple[Part, Latent]:
    """A part with how the noises of its channels differ, as its PyMC model takes them, and its Gaussian model."""
    latent = middle_of(part, seed=seed)[0]
    if latent.noisy:
        part = replace(part, data={**part.data, "noise_apart": latent.apart})
    return part, latent


def with_noise_apart(draws: Draws, latent: Latent) -> Draws:
    """Draws (chain, draw, ...) with how the noises of channels differ, which is no parameter (`fit.weighed`)."""
    if not latent.noisy:
        return draws
    shape = *next(iter(draws.values())).shape[:2], len(latent.apart)
    return draws | {"noise_apart": np.broadcast_to(latent.apart, shape)}


def prior_draws(part: Part, *, seed: int, draws: int) -> Draws:
    """Draws of a part's prior, as one chain: scores and effects are N(0, 1) before data are seen (`fit.latent`).

    Without the current budget, which is a factor of its own.
    """
    rng = np.random.default_rng([seed, *f"prior {part.name}".encode()])
    latent = latent_of(part)
    theta = latent.theta(rng.standard_normal((draws, len(latent.scales))))
    common, own = latent.sds(theta)
    a = rng.standard_normal((draws, common.shape[1]))
    b = rng.standard_normal((draws, latent.channels, own.shape[-1]))
    found = constrained(latent.points_of(theta, a, b, rng)[None], sizes_of(part))
    if latent.noisy:
        found["noise_apart"] = NOISE_SPREAD * rng.standard_normal((1, draws, latent.channels))
    return found


def _nutpie_model(density: Whitened) -> Any:
    """A density as nutpie takes it; every chain has a copy of its own, which keeps where it looks."""
    from nutpie.compiled_pyfunc import from_pyfunc

    size = density.size

    def of_chain() -> Callable[[Array], tuple[float, Array]]:
        return density.copy()

    def expand(_seed: int, _other: int, _chain: int) -> Callable[[Array], dict[str, Array]]:
        return lambda z: {"point": z}

    return from_pyfunc(
        size,
        of_chain,
        expand,
        [np.dtype(np.float64)],
        [(size,)],
        ["point"],
        make_initial_point_fn=lambda seed: np.random.default_rng(seed).normal(0.0, START, size),
    )


def course_of(trace: Any, **theirs: str) -> Course:
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
    """The same as `sample_whitened`, from the PyMC definition with PyMC's own NUTS: slow, and the same posterior."""
    import pymc as pm

    from forecast.fit.model import model_of

    part, latent = with_noises(part, seed=seed)
    with model_of(part):
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
    return with_noise_apart(draws_of, latent), course_of(trace, maxdepth_reached="reached_max_treedepth")
