from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import h5netcdf
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from forecast.columns import TABLES
from forecast.errors import UsageError
from forecast.outputs import FILES
from forecast.report import files as export
from forecast.results import Levers
from forecast.tables import Table
from forecast.words import clean
from tests.tables_fixture import FOREIGN, HOSTILE, STEERING, plausible_outlook, plausible_tables

SUMMARY = {
    "verdict": {"status": "REVIEW"},
    "p_target": np.float64(0.41),
    "gap": math.nan,
    "seed": np.int64(7),
    "z": 1,
    "a": 2,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with every output of hostile and foreign names."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    tables = plausible_tables(channels=HOSTILE + STEERING + FOREIGN)
    export.write_outputs(folder, tables, plausible_outlook(tables), SUMMARY)
    return folder, tables


def hashes(folder) -> dict[str, str]:
    """SHA-256 of each file."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_all_files_are_written_and_nothing_else(written):
    """The files of the contract, no temporary folder left; the page needs a forecast, which these tables are not."""
    folder, _ = written
    assert {*FILES, "manifest.json"} - {"whatif.html"} == {p.name for p in folder.iterdir()}


def test_forecast_csv_holds_the_table(written):
    """Columns in order, ten significant digits, every row; those of totals in a file of their own."""
    folder, tables = written
    parts = [pd.read_csv(folder / name) for name in ("forecast.csv", "totals.csv")]
    assert [set(part["period"].eq("total") | part["channel"].eq("total")) for part in parts] == [
        {False},
        {True},
    ]
    back, whole = pd.concat(parts), tables.table("forecast")
    columns = ["period", "channel", "measure", "mean", "sd", "q05", "q10", "q25", "q50", "q75", "q90", "q95"]
    assert columns == list(back)
    frame = pd.concat([whole.data.frame, whole.sums.frame])
    assert len(frame) == len(tables.forecast)
    np.testing.assert_allclose(back[columns[3:]], frame[columns[3:]], rtol=1e-9)
    names = [c.removeprefix("'") for c in back["channel"]]
    assert frame["channel"].map(clean).tolist() == names
    assert b"\r" not in (folder / "forecast.csv").read_bytes()


def test_allocation_csv_has_the_columns_of_the_contract(written):
    """The columns in their order, the split unrounded."""
    folder, tables = written
    back = pd.read_csv(folder / "allocation.csv")
    columns = [
        *("channel", "current", "recommended", "low", "high", "change", "expected_contribution_current"),
        *("expected_contribution_recommended", "marginal", "extrapolated", "optimum_low", "optimum_high"),
        *("highest_seen", "gain_if_saturating", "best"),
    ]
    assert columns == list(back)
    np.testing.assert_allclose(back["recommended"], tables.allocation["recommended"], rtol=1e-9)


@pytest.mark.parametrize("name", ["forecast.csv", "allocation.csv"])
def test_no_csv_text_is_a_formula(written, name):
    """No text cell begins with a sign that a spreadsheet would run; numbers are left alone."""
    folder, _ = written
    for row in csv.DictReader(io.StringIO((folder / name).read_text(encoding="utf-8"))):
        for key in ("period", "channel", "measure"):
            assert not row.get(key, "").startswith(("=", "+", "-", "@", "\t", "\r")), row
        assert not any(v.startswith("'") for k, v in row.items() if k not in ("period", "channel", "measure"))


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\r=x",
        "\n=x",
        "\0=x",
        "＝1",
        " =1",
        "'quoted",
        "ppc",
        "",
        "a=b",
    ],
)
def test_the_guard_can_be_taken_off(text):
    """One leading quote less gives the text back, and only dangerous texts get one."""
    safe = export.guarded(text)
    assert (safe.removeprefix("'")) == text
    assert (safe != text) == (text not in ("ppc", "", "a=b"))


def test_no_sign_of_a_name_steers_what_reads_the_files(written):
    """CSV has every name on one line, signs that act written out; the draws keep the names themselves."""
    folder, _ = written
    for name in ("forecast.csv", "allocation.csv"):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert {export.guarded(clean(channel)) for channel in STEERING} <= set(cells)
        assert all(clean(cell) == cell for cell in cells)
    with xr.open_dataset(folder / "draws.nc", engine="h5netcdf") as back:
        assert {*STEERING} <= {str(name) for name in back["channel"].values}


def test_labels_of_our_own_need_no_guard(tmp_path):
    """What a lever is changed by reads "+10 %"; a channel of that name is guarded."""
    frame = pd.DataFrame([["rate", "won", "+10 %", "+10 %", "won", 1.0, 1.0, 1.0, 1.0, 1.0]])
    frame.columns = [
        "lever",
        "stage",
        "change",
        "channel",
        "measure",
        "mean",
        "q10",
        "q50",
        "q90",
        "elasticity",
    ]
    sheet, columns = TABLES["sensitivity"]
    export.write_csv(Table("sensitivity", sheet, columns, frame), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[1].startswith("rate,won,+10 %,'+10 %,won,")


def test_blank_numbers_are_empty_cells(tmp_path):
    """NaN is an empty cell, not a text that stops an import."""
    export.write_csv(
        pd.DataFrame({"channel": ["a", "b"], "mean": [math.nan, -0.123456789012]}), tmp_path / "t.csv"
    )
    assert "channel,mean\na,\nb,-0.123456789\n" == (tmp_path / "t.csv").read_text()


def test_summary_is_strict_json_in_its_order(written):
    """NaN is null, numpy numbers are numbers, keys stay in the order given."""
    folder, _ = written
    text = (folder / "summary.json").read_text(encoding="utf-8")
    back = json.loads(text, parse_constant=pytest.fail)
    assert ["schema", *SUMMARY, "sha256"] == list(back)
    assert back["gap"] is None
    assert (0.41, 7) == (back["p_target"], back["seed"])
    assert text.endswith("}\n")


def test_draws_come_back_as_they_were(written):
    """Dims, coordinates, attributes and numbers survive; counts exactly, money to seven digits."""
    folder, tables = written
    outlook = plausible_outlook(tables)
    with xr.open_dataset(folder / "draws.nc", engine="h5netcdf") as back:
        back.load()
    assert ("plan", "draw", "period", "channel") == back["revenue"].dims
    assert np.int32 == back["won"].dtype
    np.testing.assert_array_equal(back["won"], outlook["won"])
    np.testing.assert_allclose(back["revenue"], outlook["revenue"], rtol=1e-6)
    assert outlook["channel"].values.tolist() == back["channel"].values.tolist()
    assert "EUR" == back["revenue"].attrs["units"]
    assert 1 == back.attrs["schema"]
    with h5netcdf.File(folder / "draws.nc") as file:
        assert file["won"].compression == "gzip"


@pytest.mark.slow
def test_same_tables_same_bytes_in_any_process(tmp_path):
    """Another process, time zone, hash seed and locale write the same files."""
    code = (
        "import sys, pathlib; from tests.tables_fixture import plausible_tables, plausible_outlook;"
        "from forecast.report.files import write_outputs; t = plausible_tables(channels=('seo', 'ppc'));"
        "write_outputs(pathlib.Path(sys.argv[1]), t, plausible_outlook(t), {'a': 1})"
    )
    for name, extra in (
        ("one", {"TZ": "UTC", "PYTHONHASHSEED": "1"}),
        ("two", {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "2"}),
    ):
        env = os.environ | extra | {"PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True, env=env)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    assert {*FILES, "manifest.json"} - {"whatif.html"} == set(hashes(tmp_path / "one"))


def small(**given):
    """The smallest bundle, for tests of folders."""
    return plausible_tables(channels=("ppc",), stages=("leads", "won"), past=12, **given)


def test_a_second_run_replaces_the_first_and_leaves_other_files(tmp_path, no_paper):
    """Own files are renewed, a user's notes in the folder stay."""
    folder = tmp_path / "reports" / "demo"
    export.write_outputs(folder, small(), None, {"run": 1})
    (folder / "notes.txt").write_text("mine")
    export.write_outputs(folder, small(seed=9), None, {"run": 2})
    assert json.loads((folder / "summary.json").read_text())["run"] == 2
    assert "mine" == (folder / "notes.txt").read_text()
    assert set(FILES) - {"draws.nc", "whatif.html"} | {"notes.txt", "manifest.json"} == {
        p.name for p in folder.iterdir()
    }


def test_a_table_that_the_study_no_longer_asks_for_goes(tmp_path, no_paper):
    """goals.csv of the run before does not stay beside outputs of a study without goals; a user's own does."""
    with_goals = small()
    goals = pd.DataFrame({"goal": ["quarter"], "p": [0.4]})
    with_goals = replace(with_goals, levers=Levers(goals=goals))
    export.write_outputs(tmp_path / "ours", with_goals, None, {"run": 1})
    assert (tmp_path / "ours" / "goals.csv").is_file()
    export.write_outputs(tmp_path / "ours", small(), None, {"run": 2})
    assert not (tmp_path / "ours" / "goals.csv").exists()
    (tmp_path / "goals.csv").write_text("mine", encoding="utf-8")
    export.write_outputs(tmp_path, small(), None, {"run": 1})
    assert (tmp_path / "goals.csv").read_text(encoding="utf-8") == "mine"
    with pytest.raises(UsageError, match=r"no command wrote goals\.csv"):
        export.write_outputs(tmp_path, with_goals, None, {"run": 1})


def test_a_folder_with_a_report_of_somebody_else_is_refused(tmp_path):
    """A report.pdf that no run has written is not overwritten."""
    (tmp_path / "report.pdf").write_text("signed original")
    with pytest.raises(UsageError, match=r"report\.pdf.*no manifest\.json"):
        export.write_outputs(tmp_path, small(), None, {})
    assert "signed original" == (tmp_path / "report.pdf").read_text()
    assert ["report.pdf"] == [p.name for p in tmp_path.iterdir()]


def test_a_run_that_fails_leaves_the_old_files(tmp_path, no_paper):
    """An error in the middle changes nothing and leaves nothing behind."""
    export.write_outputs(tmp_path, small(), None, {"run": 1})
    before = hashes(tmp_path)
    with pytest.raises(TypeError):
        export.write_outputs(tmp_path, small(seed=9), None, {"run": object()})
    assert before == hashes(tmp_path)


def test_the_only_date_is_the_end_of_the_as_of_period():
    """October 2026 ends when November begins, a week on Monday, a quarter after its third month."""
    ends = {
        kind: export.timestamp(plausible_tables(kind=kind, channels=("a",)))
        for kind in ("month", "week", "quarter")
    }
    days = {"month": "2026-11-01", "week": "2026-11-02", "quarter": "2026-10-01"}
    assert {k: int(np.datetime64(d, "s").astype(int)) for k, d in days.items()} == ends
