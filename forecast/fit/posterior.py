"""The posterior: draws of everything the simulation needs, with what is known of how they came about.

Variables (dim `draw` first; `period` are the history's periods; rates by destination stage):

    logit_rate_<stage>   (draw, period, channel)   path of the logit rate over the history
    logit_now_<stage>    (draw, channel)   the same at the as-of date, without the shock of that period
    drift_<stage>, own_drift_<stage>, shock_<stage> (draw)   walk sds per period (common, own), sd of a period's shock
    noise_<stage>        (draw, channel)   noise of a cell (logit sd)
    delay_mean_<stage> (periods), delay_cv_<stage>  (draw)
    loss_logit_<stage> (draw, period, channel), loss_delay_mean_<stage>, loss_delay_cv_<stage>   where losses are dated:
                         logit share lost with a date, of the units that never move on

of leads that are dated one by one, the hazards of moves by age in days (`fit.hazards`), and likewise loss_hazard_... of
losses where these are dated. Their rates, delays and shares lost above follow of them (`fit.dated.told_by`): for tables

    hazard_<stage> (draw, age_bin, channel)   log hazard a day at the as-of date; hazard_edges_<stage> (age_edge): days
    hazard_path_<stage> (draw, period), hazard_season_<stage> (draw, month_of_year)   the walk up to there; the season
    hazard_walk_<stage>, hazard_shock_<stage>, hazard_own_shock_<stage> (draw)        sds: a period's step, its noise

of all:

    traffic (draw, channel)    log of units per mean period at reference spend, at the as-of date, season aside
    slope (draw, channel)           of log traffic a period, at the as-of date; fades ahead (`equations.fading`)
    season (draw, season_of_year)   log effect by season of the year
    term_<stage>, term_traffic, term_value (draw, ahead, channel)   what a term of one's own (`fit.Extended`) adds in
                         the periods ahead; what it did before is part of the paths, and not of `traffic`
    moved_<stage> (draw, move_<stage>), moved_traffic, moved_value   sizes of events and past changes, in the
                         order of `history.seen_moves`; they are part of the paths, and not of `traffic`
    elasticity, base, carry, noise_traffic (draw, channel); drift_traffic, own_drift_traffic, shock_traffic (draw)
    deal_mean (draw, channel), deal_cv (draw)      currency, at the as-of date, season aside, mean of all deals; cv of
                         those that bring something: 0 is one price
    deal_drift (draw)                              sd of the walk of log deal value per period
    deal_season (draw, season_of_year)             log effect by season of the year
    refund_share (draw, channel), refund_delay (periods), refund_size (draw)   what is paid back (`fit.refunds`)
    recurring_level (currency), recurring_growth, recurring_drift, recurring_noise (draw, channel)   `fit.recurring`
    free_share (draw, channel), free_spread (draw) where some deals bring nothing: their share, and how it differs from
                         cell to cell (`fit.free_deals`)

and for the posterior predictive checks, from a sampled fit:

    before_<stage> (draw)                          entries before the window, calendar counts, over their early mean
    deal_path (kept, period, channel)              log deal value of each period over `deal_mean`
    log_traffic_path (kept, period, channel)       log of the expected units of each period, for the draws `kept`

Large paths are rounded to float32 on the way in, so that a posterior read from its file gives the same bytes as the one
just fitted. Draws stand in the order of their chains, one chain after the other: `Posterior.tree` is the same with
chains apart, as ArviZ has it, and is what a file holds.

    /posterior       the variables above, dims (chain, draw, ...)
    /paths           log_traffic_path, deal_path: of the draws `kept` alone, counted over all chains
    /sample_stats    diverging, energy, n_steps, maxdepth_reached (part, chain, draw), from a sampled fit
    /observed_data   counts of every stage, and revenue (period, channel)
    /log_prior       of the draws `kept`, by parameter and part, up to a constant (`fit.sensitivity`)
    /constant_data   spend (period, channel); waited_<stage> (period, age) of cohort counts
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit

from forecast import written
from forecast.errors import DataError, UsageError
from forecast.fit.contents import DIAGNOSES, PROVENANCE, difference, problem_of
from forecast.fit.hdf5 import check_heaps, netcdf, read_netcdf
from forecast.history import History
from forecast.saved import SpoiltError, amiss
from forecast.showing import Card, Shows
from forecast.study import Study
from forecast.words import message

SCHEMA = 5
VERSION = 16  # of the models: raised when the same data would fit to another posterior
DEFAULT_SEED = 1
DEFAULT_DRAWS = 4000
PACKAGES = ("growth-forecast", "numpy", "scipy", "xarray", "pymc", "nutpie", "typst")
OWN = ("posterior", "paths")  # groups that are read into `data`
MEASURED = ("spend",)  # constant data that stand in the history, and not among the variables
CERTAIN = 30.0  # logit of a rate of one, to the last digit that matters
Array = NDArray[np.float64]
Variables = dict[str, tuple[tuple[str, ...], Array]]  # name -> (dims, values)


@dataclass(frozen=True, eq=False, repr=False)
class Posterior(Shows):
    """Draws (`data`), sampling diagnostics by part, and provenance (hashes, seed, versions, seconds).

    data: see the module; the draws of all chains in one row. chains: how many there are (1: draws are independent).
    beside: further groups of `tree` by name.
    """

    data: xr.Dataset
    diagnostics: tuple[dict[str, Any], ...]
    provenance: dict[str, Any]
    chains: int = 1
    beside: Mapping[str, xr.Dataset] = field(default_factory=dict)

    @property
    def draws(self) -> int:
        """Number of draws."""
        return int(self.data.sizes["draw"])

    def array(self, name: str) -> Array:
        """One variable as float64, draw axis first."""
        return np.asarray(self.data[name].values, dtype=float)

    @property
    def stages(self) -> list[str]:
        """Destination stages with a fitted rate, in funnel order."""
        return list(self.provenance["stages"])[1:]

    def _card(self, *, whole: bool) -> Card:  # noqa: ARG002 - it is made already
        known = self.provenance
        labels = (
            [str(day)[:10] for day in self.data["period"].values[[0, -1]]] if "period" in self.data else []
        )
        chains = f" in {self.chains} chains" if self.chains > 1 else ""
        return Card(
            f"Posterior: {self.draws} draws{chains}, {known.get('method', '')}",
            {
                "stages": list(known.get("stages", [])),
                "channels": [str(name) for name in self.data["channel"].values]
                if "channel" in self.data
                else [],
                "periods": " to ".join(labels),
                "variables": sorted(map(str, self.data.data_vars)),
                "failed": list(known.get("failures", [])),
            },
        )

    @property
    def tree(self) -> xr.DataTree:
        """The posterior with its chains apart, and what it was learnt from: see the module."""
        drawn, paths, rest = (dict[Hashable, xr.DataArray]() for _ in range(3))
        for name, values in self.data.data_vars.items():
            (drawn if "draw" in values.dims else paths if "kept" in values.dims else rest)[name] = values
        whole = self.data.drop_vars([*paths, *rest, "kept"], errors="ignore")
        each = self.draws // self.chains
        by_chain = {
            name: (
                ("chain", *values.dims),
                values.values.reshape(self.chains, each, *values.shape[1:]),
                values.attrs,
            )
            for name, values in drawn.items()
        }
        indices = {"chain": np.arange(self.chains), "draw": np.arange(each)}
        coords = {name: values for name, values in whole.coords.items() if name != "draw"}
        groups = {"posterior": xr.Dataset(by_chain, coords=coords | indices)}
        groups |= {"paths": xr.Dataset(paths)} if paths else {}
        groups |= self.beside
        if rest:
            groups["constant_data"] = groups.get("constant_data", xr.Dataset()).assign(rest)
        return xr.DataTree.from_dict(groups)

    def to_arviz(
        self,
        study: Study | None = None,
        history: History | None = None,
        groups: Sequence[str] | str = (),
        *,
        seed: int = DEFAULT_SEED,
    ) -> xr.DataTree:
        """The posterior as ArviZ takes it, with groups that are made on demand: see `fit.to_arviz`."""
        from forecast.fit import to_arviz

        return to_arviz(self, study, history, groups, seed=seed)


def _flat(tree: xr.DataTree) -> xr.Dataset:
    """The draws of all chains in one row: the other way round of `Posterior.tree`.

    Raises SpoiltError where its variables have other dimensions, or do not fit together.
    """
    apart = tree["posterior"].to_dataset()
    n = apart.sizes["chain"] * apart.sizes["draw"]
    draws = {}
    for name, values in apart.data_vars.items():
        if values.dims[:2] != ("chain", "draw"):
            said = "{name} has the dimensions {came}, expected {dims}"
            told = {"came": [str(dim) for dim in values.dims], "dims": ["chain", "draw"]}
            raise SpoiltError(message(said, name=str(name), **told))
        draws[name] = (values.dims[1:], values.values.reshape(n, *values.shape[2:]), values.attrs)
    coords = {
        name: values for name, values in apart.coords.items() if not {"chain", "draw"} & {name, *values.dims}
    }
    groups = [(group, tree[group].to_dataset()) for group in ("paths", "constant_data") if group in tree]
    try:
        data = xr.Dataset(draws, coords=coords)
        for group, found in groups:
            of_it = [name for name in found.data_vars if group == "paths" or name not in MEASURED]
            data = data.assign({name: found[name] for name in of_it})
    except ValueError as error:  # sizes or places that differ between groups
        raise SpoiltError("its groups do not fit together") from error
    return data


def package_versions() -> dict[str, str]:
    """Versions of the packages that a posterior and what is made from it depend on, by name."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def kept_draws(draws: int) -> NDArray[np.int64]:
    """The draws, at most a thousand of `draws` and evenly spread, of which the whole path of traffic is kept."""
    return np.unique(np.linspace(0, draws - 1, min(draws, 1000)).astype(np.int64))


def kept_of(sampled: Mapping[str, Array]) -> dict[str, Array]:
    """The draws kept of a sampler's draws by parameter, (chain, draw, ...): (kept, ...)."""
    flat = {name: values.reshape(-1, *values.shape[2:]) for name, values in sampled.items()}
    kept = kept_draws(len(next(iter(flat.values()))))
    return {name: values[kept] for name, values in flat.items()}


def to_dataset(variables: Variables, coords: Mapping[str, Any]) -> xr.Dataset:
    """Variables by (dims, values) as a dataset; three-dimensional paths as float32."""
    arrays = {
        name: (dims, values.astype(np.float32) if values.ndim == 3 else values.astype(float))
        for name, (dims, values) in variables.items()
    }
    return xr.Dataset(arrays, coords=dict(coords))


def coordinates(history: History, draws: int) -> dict[str, Any]:
    """Coordinates of the variables of a posterior."""
    return {"period": history.counts["period"].values, "channel": history.channels, "kept": kept_draws(draws)}


def seen_by(history: History) -> dict[str, xr.Dataset]:
    """What a posterior was learnt from, as groups of its tree: observed_data and constant_data (spend)."""
    names = [str(name) for name in history.counts.data_vars]
    spend = [name for name in names if name in MEASURED]
    return {
        "observed_data": history.counts[[name for name in names if name not in spend]],
        **({"constant_data": history.counts[spend]} if spend else {}),
    }


def log_worth(
    variables: Variables, steps: Sequence[tuple[str, str]], margin: float
) -> tuple[Array | None, Array | None]:
    """Mean and sd over draws of log(margin that one unit of traffic brings), by channel; None without a deal value."""
    if "deal_mean" not in variables:
        return None, None
    worth = np.log(variables["deal_mean"][1] * margin)
    if "refund_share" in variables:
        worth = worth + np.log1p(-variables["refund_share"][1])
    for _, stage in steps:
        worth = worth + np.log(expit(variables[f"logit_rate_{stage}"][1][:, -1]))
    return worth.mean(axis=0), worth.std(axis=0)


def timeless(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a fit tells of itself, but for how long it took."""
    return {name: value for name, value in told.items() if name != "seconds"}


def check_place(path: Path) -> None:
    """Make sure that a posterior can be saved at `path` before time is spent on a fit.

    Raises UsageError where it cannot be written, or where what lies there is no posterior of ours.
    """
    reason = "it is a folder" if path.is_dir() else written.why_not(path.parent)
    if reason:
        raise _unwritable(path, reason)
    if (path.exists() or path.is_symlink()) and not _is_ours(path):
        raise UsageError(
            message(
                "{path}: is there, and is no fitted posterior (somebody else's, damaged, or a link); it is not written "
                "over: move it away, or give the study another name",
                path=path,
            )
        )


def _is_ours(path: Path) -> bool:
    """Whether a file carries the marks of a saved posterior, of whichever version."""
    import h5netcdf

    if path.is_symlink():
        return False
    try:
        check_heaps(path)
        with h5netcdf.File(path, "r") as file:
            return {"schema", "diagnostics", "provenance"} <= set(file.attrs)
    except (OSError, RuntimeError, ValueError, KeyError):
        return False


def _unwritable(path: Path, reason: str) -> UsageError:
    said = (
        "{path}: the fitted posterior could not be written ({reason}); choose a folder that you may write to, with "
        "space on its disk"
    )
    return UsageError(message(said, path=path, reason=reason))


def posterior_bytes(posterior: Posterior) -> bytes:
    """A posterior as the bytes of its file; those of the same fit are the same."""
    tree = posterior.tree
    tree.attrs = {
        "schema": SCHEMA,
        # Without the seconds that it took: the same fit is the same bytes.
        "diagnostics": json.dumps([timeless(told) for told in posterior.diagnostics]),
        "provenance": json.dumps(
            timeless(posterior.provenance)
        ),  # in its own order: tables made from it look alike
    }
    return netcdf(tree)


def save_posterior(posterior: Posterior, path: Path | str) -> None:
    """Write a posterior, old or new at any moment: no pickle, no half-written file.

    Raises UsageError where it cannot be written, or would replace what is no posterior (`check_place`).
    """
    path = Path(path)
    check_place(path)
    try:
        written.save(path, posterior_bytes(posterior))
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def load_posterior(path: Path | str) -> Posterior:
    """Read a posterior. Raises DataError where the file is missing, damaged, changed, foreign, or of another schema."""
    path = Path(path)
    if not path.is_file():
        raise DataError([f"{path}: no fitted posterior here; run `forecast fit` first"])
    try:
        tree = read_netcdf(path, SCHEMA)
        diagnostics, provenance = (_told(tree.attrs, name) for name in ("diagnostics", "provenance"))
        if wrong := amiss(diagnostics, DIAGNOSES, "diagnostics") or amiss(provenance, PROVENANCE):
            raise SpoiltError(wrong)
        beside = {name: group.to_dataset() for name, group in tree.children.items() if name not in OWN}
        if "posterior" not in tree or not {"chain", "draw"} <= set(tree["posterior"].sizes):
            raise SpoiltError("it holds no draws")
        chains = int(tree["posterior"].sizes["chain"])
        posterior = Posterior(_flat(tree), tuple(diagnostics), provenance, chains, beside)
        if wrong := problem_of(posterior.data, posterior.stages, chains):
            raise SpoiltError(wrong)
    except SpoiltError as error:
        said = "{path}: not a fitted posterior ({what}); delete it and run `forecast fit` again"
        raise DataError(message(said, path=str(path), what=error.said)) from error
    return posterior


def check_posterior(posterior: Posterior, history: History) -> None:
    """Raise DataError where a posterior is none, or is not of this history: its stages, channels, periods."""
    wrong = amiss(posterior.provenance, PROVENANCE)
    wrong = wrong or problem_of(posterior.data, posterior.stages, posterior.chains)
    if wrong := wrong or difference(posterior.data, list(posterior.provenance["stages"]), history):
        said = "the posterior does not belong to these data: {wrong}; fit anew (`forecast fit`)"
        raise DataError(message(said, wrong=wrong))


def _told(attrs: Mapping[Hashable, Any], name: str) -> Any:
    """What an attribute holds as JSON. Raises SpoiltError where it holds none."""
    try:
        return json.loads(attrs[name])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise SpoiltError(message("its {name} cannot be read", name=name)) from None
