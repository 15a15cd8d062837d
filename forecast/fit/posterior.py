"""The posterior: draws of everything the simulation needs, with what is known of how they came about.

Variables (dim `draw` first; `period` are the history's periods; rates by destination stage):

    logit_rate_<stage>   (draw, period, channel)   path of the logit rate over the history
    drift_<stage>, own_drift_<stage>, noise_<stage> (draw)   walk sds per period (common, own), cell noise (logit sd)
    delay_mean_<stage> (periods), delay_cv_<stage>  (draw)
    loss_logit_<stage> (draw, period, channel), loss_delay_mean_<stage>, loss_delay_cv_<stage>   where losses are dated:
                         logit share lost with a date, of the units that never move on
    traffic (draw, channel)    log of units per mean period at reference spend, at the as-of date, season aside
    season (draw, season_of_year)   log effect by season of the year
    elasticity, base, carry (draw, channel); drift_traffic, own_drift_traffic, noise_traffic (draw)
    deal_mean (draw, channel), deal_cv (draw)      currency; cv 0 is one price, or an assumed value

and for the posterior predictive checks, from a sampled fit:

    before_<stage> (draw)                          entries before the window, calendar counts, over their early mean
    log_traffic_path (kept, period, channel)       log of the expected units of each period, for the draws `kept`

Large paths are rounded to float32 on the way in, so that a posterior read from its file gives the same bytes as the one
just fitted.
"""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit

from forecast.errors import DataError, UsageError

SCHEMA = 2
VERSION = 9  # of the models: raised when the same data would fit to another posterior
DEFAULT_SEED = 1
DEFAULT_DRAWS = 4000
PACKAGES = ("growth-forecast", "numpy", "scipy", "xarray", "pymc", "nutpie", "numba", "typst")
CERTAIN = 30.0  # logit of a rate of one, to the last digit that matters
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws (`data`), sampling diagnostics by part, and provenance (hashes, seed, versions, seconds)."""

    data: xr.Dataset
    diagnostics: tuple[dict[str, Any], ...]
    provenance: dict[str, Any]

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


def to_dataset(
    variables: Mapping[str, tuple[tuple[str, ...], Array]], coords: Mapping[str, Any]
) -> xr.Dataset:
    """Variables by (dims, values) as a dataset; three-dimensional paths as float32."""
    arrays = {
        name: (dims, values.astype(np.float32) if values.ndim == 3 else values.astype(float))
        for name, (dims, values) in variables.items()
    }
    return xr.Dataset(arrays, coords=dict(coords))


def log_worth(
    variables: Mapping[str, tuple[tuple[str, ...], Array]], steps: list[tuple[str, str]], margin: float
) -> tuple[Array | None, Array | None]:
    """Mean and sd over draws of log(margin that one unit of traffic brings), by channel; None without a deal value."""
    if "deal_mean" not in variables:
        return None, None
    worth = np.log(variables["deal_mean"][1] * margin)
    for _, stage in steps:
        worth = worth + np.log(expit(variables[f"logit_rate_{stage}"][1][:, -1]))
    return worth.mean(axis=0), worth.std(axis=0)


def netcdf(data: xr.Dataset, **options: Any) -> bytes:
    """A dataset as the bytes of a netCDF file; `options` are those of `xr.Dataset.to_netcdf`.

    Made in memory: HDF5 that runs out of disk half-way brings the process down, where plain bytes raise OSError.
    """
    return bytes(data.to_netcdf(engine="h5netcdf", **options))


def check_place(path: Path) -> None:
    """Make sure that a posterior can be saved at `path` before time is spent on a fit. Raises UsageError if not."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        with tempfile.TemporaryDirectory(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{path}: the fitted posterior could not be written ({error.strerror or error}); "
        "choose a folder that you may write to, with space on its disk"
    )


def save_posterior(posterior: Posterior, path: Path) -> None:
    """Write beside `path` and rename: no pickle, no half-written file. Raises UsageError where it cannot be written."""
    data = posterior.data.copy()
    data.attrs = {
        "schema": SCHEMA,
        "diagnostics": json.dumps(posterior.diagnostics),
        "provenance": json.dumps(posterior.provenance),  # in its own order: tables made from it look alike
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
            part = Path(folder) / path.name
            part.write_bytes(netcdf(data))
            part.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def load_posterior(path: Path | str) -> Posterior:
    """Read a posterior. Raises DataError where the file is missing, damaged, foreign, or of another schema."""
    path = Path(path)
    if not path.is_file():
        raise DataError([f"{path}: no fitted posterior here; run `forecast fit` first"])
    try:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            data = opened.load()
        attrs = dict(data.attrs)
        diagnostics, provenance = json.loads(attrs["diagnostics"]), json.loads(attrs["provenance"])
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        why = "cut off or damaged" if "truncated" in str(error) else "damaged, or made by something else"
        raise DataError(
            [f"{path}: not a fitted posterior ({why}); delete it and run `forecast fit` again"]
        ) from error
    if attrs.get("schema") != SCHEMA:
        found = f"schema {attrs.get('schema')}, expected {SCHEMA}"
        raise DataError([f"{path}: written by another version ({found}); run `forecast fit`"])
    data.attrs = {}
    return Posterior(data, tuple(diagnostics), provenance)
