"""The posterior and its file: the same draws back, and plain words where that cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from posterior_fixture import history, posterior

from forecast.errors import DataError, UsageError
from forecast.fit.posterior import SCHEMA, Posterior, load_posterior, save_posterior, seen_by, to_dataset

RATES = {"leads": 0.05, "won": 0.25}


@pytest.fixture
def known() -> Posterior:
    """A small posterior with diagnostics and provenance of every JSON type."""
    plain = posterior(history({"visitors": 100.0, "leads": 5.0, "won": 1.0}), RATES, draws=20)
    diagnostics = ({"part": "visitors to leads", "max_rhat": 1.0034567890123456, "divergences": 0},)
    return Posterior(plain.data, diagnostics, plain.provenance | {"seed": 7, "seconds": 1.5})


def test_what_was_saved_is_what_is_read(known: Posterior, tmp_path: Path):
    """Every variable to the last bit, coordinates, diagnostics and provenance, but for the seconds that a fit took.

    The same fit is the same bytes. The dataset itself is left as it was.
    """
    save_posterior(known, tmp_path / "new" / "folder" / "demo.nc")
    again = load_posterior(tmp_path / "new" / "folder" / "demo.nc")
    assert set(again.data.variables) == set(known.data.variables)
    for name in known.data.data_vars:
        assert again.data[name].dims == known.data[name].dims
        assert again.data[name].dtype == known.data[name].dtype
        assert again.data[name].values.tobytes() == known.data[name].values.tobytes()
    assert again.data["channel"].values.tolist() == known.data["channel"].values.tolist()
    assert (again.data["period"].values == known.data["period"].values).all()
    assert again.diagnostics == known.diagnostics
    assert again.provenance == {k: v for k, v in known.provenance.items() if k != "seconds"}
    assert not known.data.attrs


def test_a_second_save_replaces_the_first_and_leaves_nothing_beside(known: Posterior, tmp_path: Path):
    """One file under its own name, whatever was there before, and no temporary folder."""
    path = tmp_path / "demo.nc"
    save_posterior(known, path)
    save_posterior(Posterior(known.data, (), {"stages": ["visitors", "leads"]}), path)
    assert load_posterior(path).diagnostics == ()
    assert [p.name for p in tmp_path.iterdir()] == ["demo.nc"]


def test_the_tree_holds_the_chains_apart(known: Posterior, tmp_path: Path):
    """Draws stand chain after chain; ArviZ reads the tree, and a file gives back chains and what was seen."""
    import arviz_stats

    past = history({"visitors": 100.0, "leads": 5.0, "won": 1.0, "spend": 10.0})
    chained = replace(known, chains=4, beside=seen_by(past))
    apart = chained.tree["posterior"]
    assert (apart.sizes["chain"], apart.sizes["draw"]) == (4, 5)
    for name in ("traffic", "noise_won", "logit_rate_won"):
        joined = np.concatenate(list(apart[name].values))
        assert joined.tobytes() == known.data[name].values.tobytes()
    assert "traffic[one]" in arviz_stats.summary(chained.tree, var_names=["traffic"], kind="stats").index
    save_posterior(chained, tmp_path / "chained.nc")
    again = load_posterior(tmp_path / "chained.nc")
    assert again.chains == 4
    assert again.tree["observed_data"]["won"].equals(past.counts["won"])
    assert "spend" in again.tree["constant_data"]
    assert set(again.data.variables) == set(known.data.variables)


def test_draws_and_stages(known: Posterior):
    """`stages` are the destinations in funnel order, arrays are float64 with draws first."""
    assert known.draws == 20
    assert known.stages == ["leads", "won"]
    assert known.array("logit_rate_won").dtype == np.float64
    assert known.array("logit_rate_won").shape == (20, 12, 2)


def test_large_paths_are_rounded_on_the_way_in():
    """What is kept in memory is what the file holds: paths in single precision, the rest in double."""
    data = to_dataset(
        {"path": (("draw", "period", "channel"), np.full((2, 3, 1), 0.1)), "sd": (("draw",), np.ones(2))}, {}
    )
    assert data["path"].dtype == np.float32
    assert data["sd"].dtype == np.float64


def test_a_missing_posterior_says_what_to_run(tmp_path: Path):
    """No file: the command that makes one."""
    with pytest.raises(DataError, match=r"none\.nc: no fitted posterior here; run `forecast fit` first"):
        load_posterior(tmp_path / "none.nc")


def test_a_foreign_file_is_named_as_such(tmp_path: Path):
    """Text, an empty file, and netCDF of another origin are no posterior; the message says how to get on."""
    text, empty, foreign = (tmp_path / name for name in ("text.nc", "empty.nc", "foreign.nc"))
    text.write_text("period,channel\n", encoding="utf-8")
    empty.touch()
    xr.Dataset({"a": ("x", np.arange(3.0))}).to_netcdf(foreign, engine="h5netcdf")
    for path in (text, empty, foreign):
        with pytest.raises(
            DataError, match=r"not a fitted posterior .*; delete it and run `forecast fit` again"
        ):
            load_posterior(path)


def test_another_schema_is_not_read(known: Posterior, tmp_path: Path):
    """A posterior of an older or newer version is fitted again, not guessed at."""
    path = tmp_path / "old.nc"
    data = known.data.copy()
    data.attrs = {"schema": SCHEMA + 1, "diagnostics": json.dumps([]), "provenance": json.dumps({})}
    data.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(
        DataError, match=rf"written by another version \(schema {SCHEMA + 1}, expected {SCHEMA}\)"
    ):
        load_posterior(path)


def test_a_place_that_cannot_be_written_is_a_usage_error(known: Posterior, tmp_path: Path):
    """A file where a folder should be: named, with the reason, and what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"could not be written .*; choose a folder that you may write to"):
        save_posterior(known, tmp_path / "file" / "demo.nc")


def test_a_failed_save_leaves_the_old_file(known: Posterior, tmp_path: Path, monkeypatch):
    """A disk that fills up while writing leaves what was there, whole."""
    path = tmp_path / "demo.nc"
    save_posterior(known, path)
    before = path.read_bytes()

    def full(self, content):
        with self.open("wb") as stream:
            stream.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match="No space left on device"):
        save_posterior(known, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["demo.nc"]
