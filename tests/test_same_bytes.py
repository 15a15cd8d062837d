"""The same study and data give the same bytes: on any number of cores, in any place, time zone and locale."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import DEMO_DRAWS, STUDY, command, counts
from threadpoolctl import threadpool_info

from forecast.cli import app
from forecast.threads import NAMES, alone

# Everything that differs between two machines of one kind, at once.
PLAIN = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "0"}
OTHER = {
    "TZ": "Pacific/Auckland", "LC_ALL": "C", "LANG": "tr_TR.UTF-8", "LANGUAGE": "fi", "PYTHONHASHSEED": "4242",
    "OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "3", "MKL_NUM_THREADS": "2", "PYTHONUTF8": "0",
}  # fmt: skip
ON_CORES = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(os.environ["CORES"])])
os.cpu_count = lambda: int(os.environ["SAID_CORES"])
from forecast.__main__ import main
try:
    main()
finally:
    if "LOADED" in os.environ:
        print(*sys.modules, file=open(os.environ["LOADED"], "w"))
"""
SAMPLER = {"pymc", "nutpie", "pytensor", "numba", "arviz"}


def written(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a run; of summary.json without when it was made and how long it took.

    Not of the manifest, which names where the inputs lie and holds the hash of summary.json.
    """
    found = {}
    for path in sorted(set(folder.iterdir()) - {folder / "manifest.json"}):
        content = path.read_bytes()
        if path.name == "summary.json":
            told = json.loads(content)
            content = json.dumps(
                {k: v for k, v in told.items() if k not in ("seconds", "made", "sha256")}
            ).encode()
        found[path.name] = hashlib.sha256(content).hexdigest()
    return found


def two_runs(
    tmp_path: Path, *args: str, out: bool = True, files: tuple[str, str] = (STUDY, counts())
) -> list[Path]:
    """A company in two places, the command run there on one core and on two; the folders of its files."""
    folders = []
    for name, cores, how in (("a", "1", PLAIN), ("muu paikka \u00e4", "2", OTHER)):
        home = tmp_path / name
        home.mkdir()
        (home / "small.toml").write_text(files[0], encoding="utf-8")
        (home / "small.csv").write_text(files[1], encoding="utf-8")
        here = cores == "1"
        study = "small.toml" if here else str(home / "small.toml")
        folder = home / ("o" if here else "another name")
        place = ("--out", folder.name if here else str(folder)) if out else ()
        more = {"CORES": cores, "SAID_CORES": str(4 * int(cores))}
        made = command(
            args[0], study, *args[1:], "--quiet", *place, cwd=home if here else tmp_path, code=ON_CORES,
            **how, **more,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        folders.append(folder if out else home)
    return folders


def test_a_preview_is_the_same_anywhere(tmp_path, monkeypatch):
    """Cores, threads, zone, locale, hash seed, folders, relative paths and absolute: no file of a run differs.

    Here, and in a process of its own: that loads no sampler, and leaves nothing beside the study that a later run would
    take. All is marked as a preview.
    """
    homes = [tmp_path / "a", tmp_path / "muu paikka \u00e4"]
    for home in homes:
        home.mkdir()
        (home / "small.toml").write_text(STUDY, encoding="utf-8")
        (home / "small.csv").write_text(counts(), encoding="utf-8")
    asked = "--preview", "--draws", "60", "--quiet", "--out"
    monkeypatch.chdir(homes[0])
    assert CliRunner().invoke(app, ["run", "small.toml", *asked, "o"]).exit_code == 0
    folder, loaded = homes[1] / "another name", tmp_path / "loaded"
    how = OTHER | {"CORES": "2", "SAID_CORES": "8", "LOADED": str(loaded)}
    made = command(
        "run", str(homes[1] / "small.toml"), *asked, str(folder), cwd=tmp_path, code=ON_CORES, **how
    )
    assert made.returncode == 0, made.stderr
    one, two = written(homes[0] / "o"), written(folder)
    assert {"report.pdf", "report.xlsx", "forecast.csv", "draws.nc", "summary.json"} <= set(one)
    assert one == two
    assert not SAMPLER & set(loaded.read_text(encoding="utf-8").split())
    assert {path.name for path in homes[1].iterdir()} == {"small.toml", "small.csv", folder.name}
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["verdict"]["status"] == "REVIEW"
    assert summary["verdict"]["sentence"].startswith("PREVIEW: closed-form approximation")
    assert summary["verdict"]["checks"][0]["name"] == "preview"
    assert summary["provenance"]["method"] == "preview"
    assert summary["provenance"]["fitted_now"] is False
    assert (folder / "report.pdf").stat().st_size > 10_000


@pytest.mark.slow
def test_a_run_with_its_report_is_the_same_anywhere(tmp_path):
    """The whole job, fit and figures included; the saved posterior too."""
    a, b = two_runs(tmp_path, "run", "--go-on")
    assert written(a) == written(b)
    assert (a.parent / "small.nc").read_bytes() == (b.parent / "small.nc").read_bytes()


@pytest.mark.slow
def test_chains_are_the_same_anywhere(tmp_path):
    """Sampled by chains, on one core and on two: a year of one channel, wins and revenue alone."""
    study = STUDY.replace("[funnel]", '[funnel]\nstages = ["won"]').replace("2026-06", "2025-12")
    lines = [line for line in counts().splitlines() if not line.startswith("2026") and ",seo," not in line]
    files = (study, "\n".join(lines) + "\n")
    a, b = two_runs(tmp_path, "fit", "--sampler", "nuts", "--draws", "400", "--go-on", out=False, files=files)
    assert (a / "small.nc").read_bytes() == (b / "small.nc").read_bytes()


@pytest.mark.slow
def test_a_backtest_is_the_same_on_any_number_of_workers(tmp_path):
    """Each origin for itself, in one process or in several."""
    a, b = two_runs(tmp_path, "backtest", "--preview", "--draws", "400", "--origins", "3")
    assert (a / "backtest.csv").read_bytes() == (b / "backtest.csv").read_bytes()


@pytest.mark.slow
def test_the_demo_is_the_same_anywhere(demo_run, tmp_path):
    """The demo, run for the other tests, and once more as on another machine."""
    env = OTHER | {"CORES": "1", "SAID_CORES": "1"}
    asked = "demo", "--out", str(tmp_path / "d"), "--json", "--draws", str(DEMO_DRAWS)
    made = command(*asked, cwd=tmp_path, code=ON_CORES, **env)
    assert made.returncode == 0, made.stderr
    assert written(demo_run.folder) == written(tmp_path / "d")


def test_a_job_takes_one_thread_and_gives_the_others_back():
    """Whatever the process has: inside a job each library of linear algebra has one thread."""

    def threads() -> list[int]:
        return [int(each["num_threads"]) for each in threadpool_info() if each["user_api"] == "blas"]

    np.linalg.inv(np.eye(3))
    alone(int)()  # loads what a job loads
    before = threads()
    assert alone(threads)() == [1] * len(before)
    assert threads() == before


def test_the_command_asks_for_one_thread_before_numpy_is_there(tmp_path):
    """Also against the environment of the user: the bytes would depend on it."""
    code = "import sys, os; from forecast.__main__ import main\nsys.argv[1:] = ['--version']\ntry: main()\nfinally:\n"
    code += f"    assert 'numpy' not in sys.modules; assert all(os.environ[n] == '1' for n in {NAMES!r})"
    made = command(cwd=tmp_path, code=code, OMP_NUM_THREADS="8")
    assert made.returncode == 0, made.stderr
