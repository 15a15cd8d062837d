"""A posterior as ArviZ has it: a DataTree of groups with named dimensions, units, rates beside their logits.

What is saved comes at once: posterior, sample_stats, observed_data, constant_data. What is large is made when it is
asked for: prior, prior_predictive, posterior_predictive, log_likelihood, log_prior. Whole paths of traffic are kept of
a thousand draws, so a tree with those groups holds these draws alone, the same ones in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit

from forecast.errors import UsageError
from forecast.fit.cells import cell_logs
from forecast.fit.contents import parts_of_name
from forecast.fit.fitting import of_prior
from forecast.fit.posterior import DEFAULT_SEED, Posterior, kept_draws
from forecast.fit.predictive import replicas
from forecast.history import History, seen_moves
from forecast.study import Study

Array = NDArray[np.float64]
MADE = ("prior", "prior_predictive", "posterior_predictive", "log_likelihood", "log_prior")
PIECES = 4  # that independent draws are told in
SHARES = {"logit_rate": "rate", "logit_now": "rate_now", "loss_logit": "loss_share"}
INDEPENDENT = (
    "independent draws of the weighed closed form, told as {n} chains of equal length: R-hat near 1 and an effective "
    "size near the number of draws follow of that; how well the fit went is in Posterior.diagnostics"
)
UNITS = {
    **dict.fromkeys(
        ("logit_rate", "logit_now", "loss_logit", "drift", "own_drift", "shock", "noise"), "logit"
    ),
    **dict.fromkeys(("rate", "rate_now", "loss_share"), "probability"),
    **dict.fromkeys(("base", "carry", "free_share", "refund_share", "refund_size"), "share"),
    **dict.fromkeys(("delay_mean", "loss_delay_mean", "refund_delay"), "periods"),
    **dict.fromkeys(("delay_cv", "loss_delay_cv", "deal_cv", "elasticity", "free_spread", "before"), "ratio"),
    "traffic": "log units a period",
    "log_traffic_path": "log units a period",
    **dict.fromkeys(("season", "deal_season", "deal_drift", "deal_path"), "log"),
    **dict.fromkeys(("slope", "recurring_growth"), "log a period"),
    **dict.fromkeys(("recurring_drift", "recurring_noise"), "log"),
    **dict.fromkeys(("hazard", "loss_hazard"), "log hazard a day"),
    "hazard_edges": "days",
}
MONEY = ("deal_mean", "recurring_level", "revenue", "spend")


def to_arviz(
    posterior: Posterior,
    study: Study | None = None,
    history: History | None = None,
    groups: Sequence[str] | str = (),
    *,
    seed: int = DEFAULT_SEED,
) -> xr.DataTree:
    """The posterior as ArviZ takes it, dims (chain, draw, ...), coordinates channel, period, stage, part.

    Beside the variables of `fit.posterior`: rate_<stage>, rate_now_<stage>, loss_share_<stage>, the rates behind the
    logits; rate_now (chain, draw, stage, channel), today's. `attrs["units"]` says what each variable is measured in.
    Chains are those of the sampler; independent draws are told as four of equal length (`attrs["chains"]`).

    Args:
        study, history: what the posterior was fitted on; needed by all groups made on demand but log_prior. With the
            study money has its currency, with both moves have their names.
        groups: which of "prior", "prior_predictive", "posterior_predictive", "log_likelihood", "log_prior" to make, or
            "all". The tree then holds the draws of which whole paths are kept, with the paths among the posterior's
            variables. Cells that the fit leaves out are NaN in what is predicted and observed; a part that has some
            stands in log_likelihood by the cells that count, cell_<name>.
        seed: of what is drawn.

    Raises UsageError for a group that is none, or without what it needs.
    """
    asked = MADE if groups == "all" else (groups,) if isinstance(groups, str) else tuple(groups)
    if unknown := [name for name in asked if name not in MADE]:
        raise UsageError(
            f"to_arviz: {', '.join(unknown)}: no such group; there are {', '.join(MADE)}, or all"
        )
    if set(asked) - {"log_prior"} and (study is None or history is None):
        raise UsageError(
            f"to_arviz: {', '.join(asked)}: needs what the posterior was fitted on: "
            "posterior.to_arviz(study, history, groups=...)"
        )
    if asked and "kept" not in posterior.data.coords:
        raise UsageError("to_arviz: this posterior keeps no whole paths; fit anew (`forecast fit`)")
    chains = posterior.chains if posterior.chains > 1 else PIECES if posterior.draws % PIECES == 0 else 1
    rows = _rows(posterior, chains, kept=bool(asked))
    currency = "currency" if study is None else study.currency
    tree = {"posterior": _posterior(posterior, rows, currency, paths=bool(asked))}
    if study is not None and history is not None:
        tree["posterior"] = tree["posterior"].assign_coords(
            _names_of_moves(tree["posterior"], study, history)
        )
    if posterior.chains == 1:
        tree["posterior"].attrs["chains"] = INDEPENDENT.replace("{n}", str(chains))
    tree |= _beside(posterior, rows, currency, paths=not asked)
    if study is not None and history is not None:
        tree |= _made(posterior, study, history, rows, asked, currency, seed)
    if "log_prior" in asked:
        tree["log_prior"] = _log_prior(posterior, rows)
    return xr.DataTree.from_dict(tree)


def _rows(posterior: Posterior, chains: int, *, kept: bool) -> NDArray[np.int64]:
    """Draws of the tree by chain, (chain, draw): all, or as many of each chain as have their whole paths kept."""
    every = np.arange(posterior.draws).reshape(chains, -1)
    if not kept:
        return every
    known = posterior.data["kept"].values
    of_chain = [row[np.isin(row, known)] for row in every]
    least = min(len(row) for row in of_chain)
    return np.stack([row[:least] for row in of_chain])


def _drawn(
    values: NDArray[Any], dims: Sequence[str], rows: NDArray[np.int64], units: str = ""
) -> xr.Variable:
    """Values (draw, ...) by chain and draw."""
    return xr.Variable(("chain", "draw", *dims), values[rows], {"units": units} if units else {})


def _indices(rows: NDArray[np.int64]) -> dict[str, Any]:
    return {"chain": np.arange(rows.shape[0]), "draw": np.arange(rows.shape[1])}


def _posterior(posterior: Posterior, rows: NDArray[np.int64], currency: str, *, paths: bool) -> xr.Dataset:
    data, stages = posterior.data, posterior.stages
    found: dict[str, xr.Variable] = {}
    for key, values in data.data_vars.items():
        name = str(key)
        base, end = parts_of_name(name, stages)
        units = _units(base, end, currency)
        dims = [str(dim) for dim in values.dims[1:]]
        if "draw" in values.dims:
            found[name] = _drawn(values.values, dims, rows, units)
            if base in SHARES:
                share = expit(values.values)
                found[f"{SHARES[base]}{end}"] = _drawn(share, dims, rows, "probability")
        elif "kept" in values.dims and paths:
            found[name] = _drawn(values.values, dims, np.searchsorted(data["kept"].values, rows), units)
    if stages:
        now = np.stack([expit(posterior.array(f"logit_now_{stage}")) for stage in stages], axis=1)
        found["rate_now"] = _drawn(now, ("stage", "channel"), rows, "probability")
    coords = {str(name): values for name, values in data.coords.items() if name not in ("draw", "kept")}
    for dim in ("season_of_year", "month_of_year"):
        if dim in data.sizes:
            coords[dim] = xr.DataArray(np.arange(1, data.sizes[dim] + 1), dims=dim)
    return xr.Dataset(found, coords={**coords, "stage": stages, **_indices(rows)})


def _units(base: str, end: str, currency: str) -> str:
    if base in MONEY:
        return currency
    if base in ("moved", "term"):
        return "log" if end in ("_traffic", "_value") else "logit"
    if end == "_traffic" or (base.endswith("_traffic") and base != "log_traffic_path"):
        return "log"
    return UNITS.get(base, "log" if "hazard" in base else "")


def _names_of_moves(data: xr.Dataset, study: Study, history: History) -> dict[str, Any]:
    """Names of events and past changes along their dimensions."""
    found = {}
    for dim, size in data.sizes.items():
        if str(dim).startswith("move_"):
            moves = seen_moves(study, history, str(dim).removeprefix("move_"))
            if len(moves) == size:
                found[str(dim)] = [move.name for move in moves]
    return found


def _beside(
    posterior: Posterior, rows: NDArray[np.int64], currency: str, *, paths: bool
) -> dict[str, xr.Dataset]:
    """The other groups that are saved."""
    found = {}
    stats = posterior.beside.get("sample_stats")
    if stats is not None and stats.sizes["chain"] * stats.sizes["draw"] == posterior.draws:
        flat = {
            str(name): values.transpose("chain", "draw", "part").values.reshape(posterior.draws, -1)
            for name, values in stats.data_vars.items()
        }
        group = {name: _drawn(values, ("part",), rows) for name, values in flat.items()}
        if "diverging" in flat:
            group["diverging_part"] = group["diverging"]
            group["diverging"] = _drawn(flat["diverging"].any(axis=1), (), rows)
        found["sample_stats"] = xr.Dataset(group, coords={"part": stats["part"], **_indices(rows)})
    whole = {str(name): values for name, values in posterior.data.data_vars.items()}
    if paths and (kept := {name: values for name, values in whole.items() if "kept" in values.dims}):
        found["paths"] = xr.Dataset(kept)
    if "observed_data" in posterior.beside:
        found["observed_data"] = _measured(posterior.beside["observed_data"], currency)
    rest = {name: values for name, values in whole.items() if not {"draw", "kept"} & set(values.dims)}
    constant = posterior.beside.get("constant_data", xr.Dataset()).assign(rest)
    if constant.data_vars:
        found["constant_data"] = _measured(constant, currency)
    return found


def _measured(data: xr.Dataset, currency: str) -> xr.Dataset:
    units = {name: currency if name in MONEY else "units" for name in data.data_vars}
    return data.assign({name: data[name].assign_attrs(units=units[name]) for name in data.data_vars})


def _made(
    posterior: Posterior,
    study: Study,
    history: History,
    rows: NDArray[np.int64],
    asked: Sequence[str],
    currency: str,
    seed: int,
) -> dict[str, xr.Dataset]:
    """The groups that need what the posterior was fitted on."""
    found: dict[str, xr.Dataset] = {}
    known = np.searchsorted(posterior.data["kept"].values, rows) if asked else rows
    if "posterior_predictive" in asked:
        found["posterior_predictive"], seen = _predicted(study, history, posterior, known, currency, seed)
        found["observed_data"] = seen
    if {"prior", "prior_predictive"} & set(asked):
        prior = of_prior(study, history, seed=seed, draws=rows.size)
        own = np.arange(rows.size).reshape(rows.shape)
        if "prior" in asked:
            found["prior"] = _posterior(prior, own, currency, paths=rows.size == len(kept_draws(rows.size)))
        if "prior_predictive" in asked:
            found["prior_predictive"], seen = _predicted(study, history, prior, own, currency, seed)
            found.setdefault("observed_data", seen)
    if "log_likelihood" in asked:
        found["log_likelihood"] = _log_likelihood(study, history, posterior, rows)
        if "observed_data" not in found:
            _, found["observed_data"] = _predicted(study, history, posterior, known, currency, seed)
    return found


def _cell_dims(history: History, shape: Sequence[int]) -> tuple[str, ...]:
    """Of cells: what is counted of the company as a whole has no channel."""
    return ("period", "channel") if shape[-1] == len(history.channels) else ("period", "whole")


def _coords(history: History, rows: NDArray[np.int64]) -> dict[str, Any]:
    names = {"period": history.counts["period"].values, "channel": list(history.channels)}
    return names | _indices(rows)


def _predicted(
    study: Study, history: History, posterior: Posterior, rows: NDArray[np.int64], currency: str, seed: int
) -> tuple[xr.Dataset, xr.Dataset]:
    """Replicas of what was observed, and what was, by the same names; NaN where the fit leaves a cell out.

    rows: places of draws among those whose paths are kept.
    """
    drawn, observed = {}, {}
    rng = np.random.default_rng([seed, 2])
    for cells in replicas(study, history, posterior, rng):
        name = cells.name.rpartition(" to ")[2]
        units = currency if name in MONEY else "units"
        dims = _cell_dims(history, cells.seen.shape)
        drawn[name] = _drawn(np.where(cells.used, cells.replica, np.nan), dims, rows, units)
        observed[name] = xr.Variable(dims, np.where(cells.used, cells.seen, np.nan), {"units": units})
    coords = _coords(history, rows)
    places = {name: values for name, values in coords.items() if name in ("period", "channel")}
    return xr.Dataset(drawn, coords=coords), xr.Dataset(observed, coords=places)


def _log_likelihood(
    study: Study, history: History, posterior: Posterior, rows: NDArray[np.int64]
) -> xr.Dataset:
    found: dict[str, xr.Variable] = {}
    places = np.arange(rows.size).reshape(rows.shape)
    coords = _coords(history, rows)
    for one in cell_logs(study, history, posterior, rows.ravel()):
        if one.used.all():
            found[one.name] = _drawn(one.logs, _cell_dims(history, one.logs.shape), places)
        else:  # leaving out what is not there has no weights
            dim, names = f"cell_{one.name}", history.channels if history.attributed else ["whole"]
            found[one.name] = _drawn(one.logs[:, one.used], (dim,), places)
            coords[dim] = [f"{history.labels[t]} {names[c % len(names)]}" for t, c in np.argwhere(one.used)]
        if one.beside is not None:
            found[f"ages_{one.name}"] = _drawn(one.beside, (), places)
    by_day = [stage for stage in posterior.stages if stage not in found]
    attrs: Mapping[str, Any] = {"left_out": f"learnt by day: {', '.join(by_day)}"} if by_day else {}
    return xr.Dataset(found, coords=coords, attrs=attrs)


def _log_prior(posterior: Posterior, rows: NDArray[np.int64]) -> xr.Dataset:
    saved = posterior.beside.get("log_prior")
    if saved is None:
        raise UsageError("to_arviz: log_prior: this posterior has none (a preview, or fitted before); fit it")
    known = np.searchsorted(posterior.data["kept"].values, rows)
    found = {
        str(name): _drawn(values.values.astype(float), [str(dim) for dim in values.dims[1:]], known)
        for name, values in saved.data_vars.items()
    }
    return xr.Dataset(found, coords={"channel": posterior.data["channel"], **_indices(rows)})
