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
from forecast.fit import hdf5
from forecast.fit.hdf5 import netcdf
from forecast.fit.posterior import (
    SCHEMA,
    Posterior,
    check_place,
    check_posterior,
    load_posterior,
    save_posterior,
    seen_by,
    to_dataset,
)
from forecast.saved import SEAL

RATES = {"leads": 0.05, "won": 0.25}


@pytest.fixture
def known() -> Posterior:
    """A small posterior with diagnostics and provenance of every JSON type."""
    plain = posterior(history({"visitors": 100.0, "leads": 5.0, "won": 1.0}), RATES, draws=20)
    diagnostics = ({"part": "visitors to leads", "settled": 0.0034567890123456, "draws": 400, "asked": 400},)
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
    save_posterior(replace(known, diagnostics=()), path)
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


# A saved fit is believed only where its content is what was written, and what a fit holds


def _resaved(known: Posterior, path: Path, change) -> Path:
    """A file with a checksum that fits, of a posterior that was changed: a forgery."""
    save_posterior(replace(known, data=change(known.data)), path)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.isel(draw=[0]), "it holds 1 draws"),
        (lambda data: data.assign(traffic=data["traffic"] * 1e300), "traffic holds .*, expected .100 to 100"),
        (lambda data: data.assign(deal_mean=data["deal_mean"] * np.nan), "deal_mean holds something .* no finite"),
        (lambda data: data.assign(shock_won=-1 - data["shock_won"]), "shock_won holds .1.*, expected 0 to"),
        (lambda data: data.drop_vars("elasticity"), "elasticity is missing"),
        (lambda data: data.drop_vars("deal_season"), "deal_season is missing"),
        (lambda data: data.assign(carry=data["carry"][:, 0].drop_vars("channel")), "carry has the dimensions draw"),
        (lambda data: data.assign(noise_won=data["noise_won"].astype(int)), "noise_won holds no numbers with dec"),
        (lambda data: data.assign_coords(channel=["one", "one"]), "a channel stands in it twice"),
        (lambda data: data.isel(period=slice(None, None, -1)), "its periods do not follow"),
        (lambda data: data.drop_vars("channel"), "it has no channel"),
        (lambda data: data.isel(channel=slice(0)), "is empty"),
        (lambda data: data.isel(period=slice(0)), "is empty"),
        (lambda data: data.isel(draw=slice(0)), "it holds 0 draws"),
    ],
)  # fmt: skip
def test_forged_contents_are_named(known: Posterior, tmp_path: Path, change, said: str):
    """Of a file whose checksum was made to fit, what no fit holds is named, and what makes it anew."""
    path = _resaved(known, tmp_path / "forged.nc", change)
    with pytest.raises(DataError, match=f"{said}.*; delete it and run `forecast fit` again"):
        load_posterior(path)


@pytest.mark.parametrize(
    ("group", "change", "said"),
    [
        ("posterior", lambda data: data.transpose("channel", "draw", "chain", ...), "has the dimensions channel"),
        ("posterior", lambda data: data.assign(traffic=data["traffic"].isel(draw=0)), "traffic has the dimensions"),
        ("paths", lambda data: data.isel(channel=[0]).drop_vars("channel"), "its groups do not fit together"),
        ("constant_data", lambda data: xr.Dataset({"x": ("period", [1.0])}), "its groups do not fit together"),
    ],
)  # fmt: skip
def test_groups_that_do_not_fit_together(known: Posterior, tmp_path: Path, group: str, change, said: str):
    """Of a file whose checksum was made to fit: sizes and dimensions that differ between its parts."""
    paths = known.data["logit_rate_won"].rename(draw="kept").astype(np.float32)
    data = known.data.assign(log_traffic_path=paths).assign_coords(kept=np.arange(20))
    tree = replace(known, data=data, beside=seen_by(history({"visitors": 1.0, "spend": 2.0}))).tree
    groups = {node.path: node.to_dataset(inherit=False) for node in tree.subtree if node.path != "/"}
    groups[f"/{group}"] = change(groups[f"/{group}"])
    told = {"schema": SCHEMA, "diagnostics": "[]", "provenance": json.dumps(dict(known.provenance))}
    forged = xr.DataTree.from_dict(groups)
    forged.attrs = told
    (tmp_path / "forged.nc").write_bytes(netcdf(forged))
    with pytest.raises(DataError, match=f"{said}.*; delete it and run `forecast fit` again"):
        load_posterior(tmp_path / "forged.nc")


SAMPLED = {
    "part": "x", "draws": 400, "asked": 400, "max_rhat": float("inf"), "min_ess_bulk": 9.0, "min_ess_tail": 9.0,
    "divergences": 0, "min_bfmi": 0.9, "at_depth": 0.0,
}  # fmt: skip
WEIGHED = {
    "quantity": "rate into won",
    "part": "x",
    "channel": "one",
    "prior": 0.1,
    "likelihood": float("nan"),
}
PREDICTED = {"family": "recent", "part": "x", "channel": "one", "p": 0.5, "seen": 1.0, "expected": 2.0}


@pytest.mark.parametrize(
    ("diagnosis", "record", "said"),
    [
        ({}, {}, r"diagnostics\.1\.part is missing"),
        (SAMPLED | {"draws": 0}, {}, "holds no draws"),
        (SAMPLED | {"at_depth": "low"}, {}, r"diagnostics\.1\.at_depth is not what it should be"),
        (SAMPLED | {"divergent_end": "low"}, {}, "divergent_scale is missing"),
        ({"part": "x", "draws": 9, "asked": 9, "k_hat": 0.1}, {}, "ess_scales is missing"),
        (SAMPLED, {"failures": [3]}, r"failures\.1 is not what"),
        (SAMPLED, {"sensitivity": [WEIGHED]}, r"sensitivity\.1\.share is missing"),
        (SAMPLED, {"sensitivity": ["x"]}, r"sensitivity\.1 is not what"),
        (SAMPLED, {"predictive": [PREDICTED]}, r"predictive\.1\.overall is missing"),
        (SAMPLED, {"predictive": [PREDICTED | {"overall": 0.0, "p": None}]}, r"predictive\.1\.p is not what"),
    ],
)  # fmt: skip
def test_what_a_fit_tells_of_itself_is_looked_at(
    known: Posterior, tmp_path: Path, diagnosis, record, said: str
):
    """Records that checks and pages read: each has what they ask of it, or the file is refused by name."""
    path = tmp_path / "forged.nc"
    save_posterior(replace(known, diagnostics=(diagnosis,), provenance=known.provenance | record), path)
    with pytest.raises(DataError, match=f"{said}.*; delete it and run `forecast fit` again"):
        load_posterior(path)


def test_numbers_that_are_not_finite_may_be_told(known: Posterior, tmp_path: Path):
    """An R-hat without bound, a k-hat that is not known: a fit that failed tells them too."""
    kept = {"sensitivity": [WEIGHED | {"share": 1.0}], "predictive": [PREDICTED | {"overall": 0.1}]}
    path = tmp_path / "demo.nc"
    save_posterior(replace(known, diagnostics=(SAMPLED,), provenance=known.provenance | kept), path)
    assert load_posterior(path).diagnostics == (SAMPLED,)


def test_a_heap_of_texts_that_leads_nowhere(known: Posterior, tmp_path: Path):
    """A piece of no size, on which HDF5 would stay for ever: refused before it is asked, whoever looks at the file."""
    path = tmp_path / "demo.nc"
    save_posterior(known, path)
    whole = bytearray(path.read_bytes())
    heap = whole.index(b"GCOL\x01") + 16
    whole[heap : heap + 16] = bytes(16)
    path.write_bytes(bytes(whole))
    with pytest.raises(DataError, match=r"its texts lead nowhere.*; delete it"):
        load_posterior(path)
    with pytest.raises(UsageError, match="is no fitted posterior"):
        check_place(path)


def test_contents_that_were_changed_are_found(known: Posterior, tmp_path: Path):
    """Channels in another order, a period cut, one number: the checksum does not fit any more."""
    path = tmp_path / "demo.nc"
    save_posterior(known, path)
    for change in (
        lambda tree: tree.isel(channel=[1, 0]),
        lambda tree: tree.isel(period=slice(1, None)),
        lambda tree: tree.isel(draw=slice(0, 10)),
    ):
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            changed = change(opened.load())
        changed.to_netcdf(tmp_path / "changed.nc", engine="h5netcdf")
        with pytest.raises(DataError, match="its content does not fit its checksum"):
            load_posterior(tmp_path / "changed.nc")


def test_a_posterior_of_other_data_is_refused(known: Posterior):
    """By name: channels in another order or of other names, a period less."""
    counts = {"visitors": 100.0, "leads": 5.0, "won": 1.0}
    check_posterior(known, history(counts))
    for other, said in (
        (history(counts, channels=("two", "one")), r"its channels stand in another order \(one, two"),
        (
            history(counts, channels=("one", "three")),
            "its channels are one and two; the data have one and three",
        ),
        (history(counts, periods=13), "it knows 12 periods, .*; the data have 13"),
        (history({"visitors": 1.0, "won": 1.0}), "its stages are"),
    ):
        with pytest.raises(DataError, match=said):
            check_posterior(known, other)


def test_a_file_is_looked_at_before_it_is_taken(tmp_path: Path):
    """Values that would take gigabytes, a place in another file, packed objects: refused by what the file says."""
    import h5py

    def written(name: str, fill) -> Path:
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs.update({"schema": SCHEMA, "sha256": "0"})
            fill(file)
        return tmp_path / name

    (tmp_path / "other").write_bytes(b"\0" * 80)
    made = {
        "says that it holds more": lambda file: file.create_dataset(
            "a", (1 << 20, 1 << 20), dtype="f8", chunks=(1 << 10, 1 << 10)
        ),
        "points into another place": lambda file: file.update({"a": h5py.ExternalLink("other.nc", "/a")}),
        "it points into another": lambda file: file.create_dataset(
            "a", (10,), dtype="f8", external=[(str(tmp_path / "other"), 0, 80)]
        ),
        "other than numbers and texts": lambda file: file.create_dataset(
            "a", (3,), dtype=h5py.vlen_dtype(np.uint8)
        ),
        "texts": lambda file: file.create_dataset("a", (1 << 30,), dtype=h5py.string_dtype(), chunks=(1 << 10,)),
        "nested too deep": lambda file: file.create_group("a/b/c/d/e/f/g"),
    }  # fmt: skip
    for number, (said, fill) in enumerate(made.items()):
        with pytest.raises(DataError, match=said):
            load_posterior(written(f"{number}.nc", fill))


def test_damage_anywhere_is_an_error_of_the_data(known: Posterior, tmp_path: Path):
    """Bits and bytes of a saved fit changed anywhere: the same draws, or a DataError; nothing else is raised."""
    path, rng = tmp_path / "demo.nc", np.random.default_rng(5)
    save_posterior(known, path)
    whole = path.read_bytes()
    for _ in range(20):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bytes(damaged[: rng.integers(1, len(whole))] if rng.random() < 0.2 else damaged))
        try:
            again = load_posterior(path)
        except DataError:
            continue
        assert again.data.equals(known.data)
        assert again.provenance == {k: v for k, v in known.provenance.items() if k != "seconds"}


def test_a_year_of_other_seasons_is_not_of_these_data():
    """Effects of two seasons where the data have months: refused before a month is looked up in them."""
    past = history({"visitors": [1000, 400], "leads": [50, 20], "won": [5, 2]})
    made = posterior(past, {"leads": 0.05, "won": 0.1}, draws=50)
    check_posterior(made, past)
    cut = made.data.isel(season_of_year=slice(2))
    with pytest.raises(DataError, match="its year has 2 seasons; that of the data has 12"):
        check_posterior(replace(made, data=cut), past)


def by_h5netcdf(data: xr.Dataset | xr.DataTree) -> bytes:
    """The same file by xarray's own road."""
    sealed = data.copy(deep=False)
    sealed.attrs = {**data.attrs, SEAL: hdf5.content_hash(data)}
    return bytes(sealed.to_netcdf(engine="h5netcdf"))


def test_draws_are_laid_out_as_by_h5netcdf(tmp_path):
    """One dataset written by hand and by h5netcdf: the same to xarray, and its checksum fits."""
    rng = np.random.default_rng(1)
    data = xr.Dataset(
        {
            "won": (("plan", "draw", "period", "channel"), rng.poisson(1.0, (2, 30, 3, 2)).astype(np.int32)),
            "revenue": (("plan", "draw", "channel"), rng.random((2, 30, 2), dtype=np.float32)),
            "whole": ((), 3.0),
        },
        coords={
            "plan": ["given", "the best – ü"],
            "period": np.array(["2026-01-01", "2026-02-01", "2026-03-01"], dtype="datetime64[ns]"),
            "channel": ["seo", "ppc"],
        },
        attrs={"schema": 7, "about": "a test"},
    )
    one, other = tmp_path / "one.nc", tmp_path / "other.nc"
    one.write_bytes(netcdf(data, {"won": (1, 30, 3, 2)}))
    other.write_bytes(by_h5netcdf(data))
    assert one.read_bytes() == netcdf(data, {"won": (1, 30, 3, 2)})
    with xr.open_dataset(one, engine="h5netcdf") as ours, xr.open_dataset(other, engine="h5netcdf") as theirs:
        xr.testing.assert_identical(ours.load(), theirs.load())
        assert ours["won"].encoding["zlib"]
        assert not ours["revenue"].encoding["zlib"]
        assert all(ours[name].encoding["dtype"] == theirs[name].encoding["dtype"] for name in ours.variables)
    xr.testing.assert_identical(
        hdf5.read_netcdf(one, 7).to_dataset(), hdf5.read_netcdf(other, 7).to_dataset()
    )


def test_a_tree_is_the_file_that_xarray_writes(known: Posterior, tmp_path: Path):
    """Groups, dimensions, values, texts, dates and missing numbers as xarray lays them out, and as it reads them."""
    past = history({"visitors": [100.0, np.nan], "leads": 5.0, "won": 1.0, "spend": 10.0})
    tree = replace(known, chains=4, beside=seen_by(past)).tree
    tree.attrs = {"schema": 7, "about": "a test"}
    one, other = tmp_path / "one.nc", tmp_path / "other.nc"
    one.write_bytes(netcdf(tree))
    other.write_bytes(by_h5netcdf(tree))
    assert one.read_bytes() == netcdf(tree)
    with (
        xr.open_datatree(one, engine="h5netcdf") as ours,
        xr.open_datatree(other, engine="h5netcdf") as theirs,
    ):
        assert len(ours.children) > 1
        xr.testing.assert_identical(ours.load(), theirs.load())
        for mine, its in zip(ours.subtree, theirs.subtree, strict=True):
            for name in its.variables:
                assert mine[name].encoding["dtype"] == its[name].encoding["dtype"], name
    xr.testing.assert_identical(hdf5.read_netcdf(one, 7), hdf5.read_netcdf(other, 7))
