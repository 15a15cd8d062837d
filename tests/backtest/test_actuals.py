"""A saved run is scored only where outlook and summary are what was written, and of one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from forecast.backtest import read_run
from forecast.errors import DataError
from forecast.fit import netcdf
from forecast.saved import OUTLOOK, SUMMARY, sealed

RUN = {"name": "demo", "as_of": "2026-02", "horizon": ["2026-03", "2026-04"], "currency": "EUR"}
STARTS = np.array(["2026-03-01", "2026-04-01"], dtype="datetime64[ns]")


def outlook(**changed: Any) -> xr.Dataset:
    """Five draws of two channels and months; `changed`: variables in place of its own."""
    dims, shape = ("plan", "draw", "period", "channel"), (1, 5, 2, 2)
    variables = {"won": (dims, np.ones(shape, dtype=int)), "spend": (dims, np.full(shape, 10.0)), **changed}
    return xr.Dataset(variables, {"plan": ["given"], "period": STARTS, "channel": ["ppc", "seo"]})


def written(folder: Path, made: xr.Dataset | None = None, run: dict[str, Any] | None = None) -> Path:
    """A folder with these two."""
    (folder / "draws.nc").write_bytes(
        netcdf((outlook() if made is None else made).assign_attrs(schema=OUTLOOK))
    )
    (folder / "summary.json").write_text(json.dumps(sealed(run or RUN, SUMMARY)), encoding="utf-8")
    return folder


def test_what_a_run_wrote_is_read(tmp_path: Path):
    """Values and summary."""
    found, run = read_run(written(tmp_path))
    assert found["spend"].values.sum() == 200.0
    assert run["as_of"] == "2026-02"


@pytest.mark.parametrize("text", ["null", "3", "[]", "{}", '{"as_of": "2026-02"}', "", "[" * 5000])
def test_a_summary_that_is_none(tmp_path: Path, text: str):
    """Any JSON, and none: named, with the way out."""
    (written(tmp_path) / "summary.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"summary\.json: .*; score a folder that `forecast run` wrote"):
        read_run(tmp_path)


@pytest.mark.parametrize("target", ["2026-13", {"measure": "won"}, {"measure": "won", "amount": "2026-13"}])
def test_a_target_that_is_none(tmp_path: Path, target: object):
    """A sealed summary whose target is no target is refused; one without is not."""
    for sound in (None, {"measure": "won", "amount": 5}):
        assert read_run(written(tmp_path, run=RUN | {"target": sound}))[1]["target"] == sound
    with pytest.raises(DataError, match=r"summary\.json: target"):
        read_run(written(tmp_path, run=RUN | {"target": target}))
    with pytest.raises(DataError, match=r"summary\.json: verdict"):
        read_run(written(tmp_path, run=RUN | {"verdict": 3}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: made.isel(plan=0, drop=True), "it has no plans"),
        (lambda made: made.isel(period=0, drop=True), "it has no periods"),
        (lambda made: made.isel(draw=[]), "it has no draws"),
        (lambda made: made.drop_vars("channel"), "it has no channels"),
        (lambda made: made.drop_vars("won"), "it holds no won"),
        (lambda made: made.assign_coords(channel=["ppc", "ppc"]), "its channels cannot be told apart"),
        (lambda made: made.isel(period=[1, 0]), "its periods do not follow"),
        (lambda made: made.isel(period=[0]), "not of one run"),
        (lambda made: made * np.nan, "no number below"),
        (lambda made: made * 1e20, "no number below"),
        (lambda made: -made, "numbers below 0"),
        (lambda made: made.assign(won=made["won"].sum("draw")), "won has other dimensions"),
    ],
)
def test_draws_that_no_run_has(tmp_path: Path, change, said: str):
    """With a checksum that fits: what is wrong with the draws is named."""
    with pytest.raises(DataError, match=f"draws.nc: .*{said}"):
        read_run(written(tmp_path, change(outlook())))


def test_outlook_and_summary_of_two_runs(tmp_path: Path):
    """A horizon that does not follow the as-of date; a file that was changed after it was written."""
    with pytest.raises(DataError, match="does not begin after the as-of date"):
        read_run(written(tmp_path, run={**RUN, "as_of": "2026-01"}))
    written(tmp_path)
    with xr.open_dataset(tmp_path / "draws.nc", engine="h5netcdf") as opened:
        changed = opened.load()
    changed["won"][0, 0, 0, 0] += 1
    changed.to_netcdf(tmp_path / "draws.nc", engine="h5netcdf")
    with pytest.raises(DataError, match="does not fit its checksum"):
        read_run(tmp_path)
    (tmp_path / "draws.nc").write_bytes(netcdf(outlook().assign_attrs(schema=OUTLOOK + 1)))
    with pytest.raises(DataError, match="another version"):
        read_run(tmp_path)
