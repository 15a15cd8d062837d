"""The logistic regression of scores in PyMC, sampled by nutpie; compiled once for a design of given width.

    eta = mu + X b,   b_k ~ Normal(0, s_group(k)),   s_g ~ LogNormal(log 0.3, 0.5),   mu ~ Normal(m0, 1.5)
    log lik = sum log(S p + U (1 - p)),   p = logit^-1(eta)

Channels, levels of a category, and the slopes of standardised numbers are pooled, each group with its own spread; its
levels sum to zero. S and U: see `leads.pooling`. What is sampled are the coefficients in the axes of the normal
approximation at the mode: (mu, b) = mode + T z, so that the sampler meets a round posterior whatever the features are.
fastmath is off: a compiled model read back from disk then gives the same draws.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import null_space, solve_triangular

from forecast.errors import FitError, Interrupted
from forecast.leads import LEVEL_SD, SPREAD_PRIOR, Shares, level_prior, mode_of

Array = NDArray[np.float64]

CHAINS = 4
TUNE, DRAWS = 400, 350
TARGET_ACCEPT = 0.9
NUMBERS = 1  # the group of the standardised numbers: their slopes are free
TYPICAL = 0.3  # a spread at which the normal approximation is made


@lru_cache(maxsize=4)
def _compiled(columns: int, n_groups: int) -> Any:
    """The compiled model of so many columns in so many groups; its data are swapped in later."""
    import nutpie
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt

    size = columns + 1  # the level comes first
    with pytensor.config.change_flags(numba__fastmath=False), pm.Model() as model:
        x, at_mode = pm.Data("x", np.zeros((2, size))), pm.Data("at_mode", np.zeros(2))
        mode, turned = pm.Data("mode", np.zeros(size)), pm.Data("turned", np.eye(size))
        group = pm.Data("group", np.zeros(columns, dtype=np.int64))
        moved, stayed = pm.Data("moved", np.ones(2)), pm.Data("stayed", np.zeros(2))
        weight, middle = pm.Data("weight", np.ones(2)), pm.Data("middle", np.zeros(()))
        spread = pm.LogNormal("spread", *SPREAD_PRIOR, shape=n_groups)
        z = pm.Flat("z", shape=size, initval=np.zeros(size))
        point = mode + turned @ z
        own = spread[group]
        pm.Potential("level", -0.5 * ((point[0] - middle) / LEVEL_SD) ** 2)
        pm.Potential("pooled", (-0.5 * (point[1:] / own) ** 2 - pt.log(own)).sum())
        eta = at_mode + x @ z
        pm.Potential("seen", (weight * (pt.log(moved * pt.exp(eta) + stayed) - pt.softplus(eta))).sum())
        return nutpie.compile_pymc_model(model)


def _basis(groups: NDArray[np.int64], free: int) -> tuple[Array, NDArray[np.int64]]:
    """A basis (column, kept) in which the levels of a group sum to zero, but not those of `free`; and its groups."""
    blocks, kept = [], []
    for g in range(int(groups.max()) + 1):
        own = np.flatnonzero(groups == g)
        inner = np.eye(own.size) if g == free else null_space(np.ones((1, own.size)))
        block = np.zeros((groups.size, inner.shape[1]))
        block[own] = inner
        blocks.append(block)
        kept += [g] * inner.shape[1]
    return np.concatenate(blocks, axis=1), np.array(kept, dtype=np.int64)


def sample_scores(
    units: Shares, groups: NDArray[np.int64], *, seed: int, cores: int = 2, level: float | None = None
) -> tuple[Array, dict[str, Any]]:
    """Draws (draw, 1 + columns) of (mu, b), and how the sampling went.

    Raises FitError where no chain can start, Interrupted where the sampler came back short.
    """
    import nutpie

    middle = level_prior(units) if level is None else level
    basis, kept = _basis(groups, NUMBERS)
    x = np.column_stack([np.ones(len(units.weight)), units.design @ basis])
    precision = np.concatenate([[LEVEL_SD**-2], np.full(kept.size, TYPICAL**-2)])
    start = np.zeros(x.shape[1])
    start[0] = middle
    mode, factor, _ = mode_of(x, units, middle, precision, start)
    turned = np.asarray(solve_triangular(factor, np.eye(len(factor)), lower=True, trans="T"))
    model = _compiled(kept.size, int(kept.max()) + 1 if kept.size else 1).with_data(
        x=x @ turned,
        at_mode=x @ mode,
        mode=mode,
        turned=turned,
        group=kept,
        moved=units.moved,
        stayed=units.stayed,
        weight=units.weight,
        middle=middle,
    )
    try:
        trace = nutpie.sample(
            model,
            draws=DRAWS,
            tune=TUNE,
            chains=CHAINS,
            cores=cores,
            seed=seed,
            target_accept=TARGET_ACCEPT,
            progress_bar=False,
        )
    except RuntimeError as error:
        raise FitError(f"scoring: the sampler could not run ({error})") from error
    z, spread = trace.posterior["z"].values, trace.posterior["spread"].values
    if z.shape[:2] != (CHAINS, DRAWS):
        raise Interrupted("interrupted; nothing was written")
    points = mode + z @ turned.T
    told = _diagnose({"point": points, "spread": spread})
    told["divergences"] = int(trace.sample_stats["diverging"].values.sum())
    told["steps"] = float(trace.sample_stats["n_steps"].values.mean())
    levels = np.concatenate([points[..., :1], points[..., 1:] @ basis.T], axis=2)
    return levels.reshape(CHAINS * DRAWS, -1), told


def _diagnose(sampled: dict[str, Array]) -> dict[str, Any]:
    """Worst R-hat and least bulk ESS over all parameters."""
    from arviz_stats.base.array import array_stats

    values = np.concatenate(list(sampled.values()), axis=2)
    each = [values[:, :, i] for i in range(values.shape[2])]
    # arviz_stats publishes no types
    rhat = [float(array_stats.rhat(v, chain_axis=0, draw_axis=1)) for v in each]  # type: ignore[no-untyped-call]
    ess = [
        float(array_stats.ess(v, chain_axis=0, draw_axis=1, method="bulk"))  # type: ignore[no-untyped-call]
        for v in each
    ]
    return {"max_rhat": max(rhat), "min_ess_bulk": min(ess), "draws": CHAINS * DRAWS}
