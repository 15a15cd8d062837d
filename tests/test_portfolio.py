"""Several studies at once: each run as it is alone, wherever it runs; failing, resumed, killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT, command, counts
from conftest import STUDY as WHOLE

from forecast import portfolio
from forecast.cli import app
from forecast.errors import UsageError
from forecast.signing import verify

STUDY = WHOLE.replace(
    "[funnel]", '[funnel]\nstages = ["visitors", "won"]'
)  # one rate to fit, where there are three
OPTIONS = ("--preview", "--draws", "100", "--outputs", "csv,draws", "--quiet")
NAMES = ("fi", "se")
APART = ("manifest.json", "summary.json")  # when, and how long it took
needs_dask = pytest.mark.skipif(
    find_spec("distributed") is None, reason="Dask: pip install 'growth-forecast[cluster]'"
)


def write(folder: Path, name: str, *, text: str = STUDY, scale: int = 1) -> Path:
    """A small study of its own name and size."""
    (folder / f"{name}.csv").write_text(counts().replace(",900,", f",{900 * scale},"), encoding="utf-8")
    path = folder / f"{name}.toml"
    path.write_text(
        text.replace('"small"', f'"{name}"').replace("small.csv", f"{name}.csv"), encoding="utf-8"
    )
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies, each run alone, and both as a group in place."""
    folder = tmp_path_factory.mktemp("group")
    for scale, name in enumerate(NAMES, start=1):
        write(folder, name, scale=scale)
        assert run(folder / f"{name}.toml", out=folder / "alone" / name).exit_code == 0
    found = run(folder / "fi.toml", folder / "se.toml", out=folder / "inline")
    assert found.exit_code == 0, found.output
    return folder


def run(*studies: Path, out: Path, more: tuple[str, ...] = ()) -> Any:
    """`forecast run` on studies."""
    return CliRunner().invoke(app, ["run", *map(str, studies), *OPTIONS, "--out", str(out), *more])


def units(folder: Path) -> dict[str, bytes]:
    """Every file of the units in a folder, but what tells when and how long."""
    return {f"{p.parent.name}/{p.name}": p.read_bytes() for p in folder.glob("*/*") if p.name not in APART}


def ids(folder: Path) -> dict[str, str]:
    """The run id of each unit."""
    return {
        p.parent.name: json.loads(p.read_text(encoding="utf-8"))["run_id"]
        for p in folder.glob("*/summary.json")
    }


def group(folder: Path) -> dict[str, Any]:
    """What is told of the group."""
    return json.loads((folder / "group.json").read_text(encoding="utf-8"))


def test_each_run_is_what_it_is_alone(home: Path) -> None:
    """The same bytes and ids, and each can be verified by itself."""
    assert units(home / "inline") == units(home / "alone")
    assert ids(home / "inline") == ids(home / "alone")
    assert len(units(home / "inline")) > 8
    assert not verify(home / "inline" / "fi")["differences"]


def test_the_group_adds_up_what_the_runs_say(home: Path) -> None:
    """Means of summary.json, and the sum of the targets."""
    told = group(home / "inline")
    heads = [
        json.loads((home / "inline" / n / "summary.json").read_text(encoding="utf-8"))["headline"]
        for n in NAMES
    ]
    assert told["headline"]["revenue_mean"] == pytest.approx(sum(h["revenue_mean"] for h in heads), rel=1e-6)
    assert told["target"]["amount"] == 80_000
    assert [u["unit"] for u in told["units"]] == list(NAMES)
    assert told["correlation"]["how"] == "assumed"  # eighteen months


def test_what_is_finished_is_taken_as_it_is(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run again, nothing runs; what was changed or spoilt runs, and no more than that."""
    for name in NAMES:
        shutil.copyfile(home / f"{name}.toml", tmp_path / f"{name}.toml")
        shutil.copyfile(home / f"{name}.csv", tmp_path / f"{name}.csv")
    studies, out = [tmp_path / f"{name}.toml" for name in NAMES], tmp_path / "inline"
    shutil.copytree(home / "inline", out)
    ran: list[str] = []

    def once(unit: portfolio.Unit) -> Any:
        ran.append(unit.study.stem)
        return one_unit(unit)

    one_unit = portfolio.one_unit
    monkeypatch.setattr(portfolio, "one_unit", once)
    before = group(home / "inline")
    assert run(*studies, out=out).exit_code == 0
    assert ran == []
    assert group(out) == before
    assert run(*studies, out=out, more=("--correlation", "0.7")).exit_code == 0  # of the group alone
    assert ran == []
    assert group(out)["correlation"]["value"] == 0.7
    (out / "se" / "forecast.csv").unlink()
    assert run(*studies, out=out).exit_code == 0
    assert ran == ["se"]
    assert units(out) == units(home / "inline")
    (tmp_path / "fi.csv").write_text(
        (tmp_path / "fi.csv").read_text().replace(",900,", ",1000,"), encoding="utf-8"
    )
    assert run(*studies, out=out).exit_code == 0
    assert ran == ["se", "fi"]
    assert (
        len((out / portfolio.LINES).read_text(encoding="utf-8").splitlines()) == 3
    )  # settings, and a line a unit


def test_a_unit_that_fails_is_named_and_the_rest_goes_on(home: Path, tmp_path: Path) -> None:
    """Its code is the command's, its message is told, and the others are as they are alone; mended, it alone runs."""
    bad, good = write(tmp_path, "bad"), write(tmp_path, "fi")
    bad.with_suffix(".csv").write_text(counts().replace(",won,", ",wonn,"), encoding="utf-8")
    found = run(bad, good, out=tmp_path / "out")
    assert found.exit_code == 3
    assert "FAILED: bad (exit code 3):" in found.stderr
    assert 'no column "won"' in found.stderr
    alone = {name: content for name, content in units(home / "alone").items() if name.startswith("fi/")}
    assert units(tmp_path / "out") == alone
    told = group(tmp_path / "out")
    assert told["verdict"]["status"] == "FAIL"
    assert told["failed"][0]["name"] == "bad"
    assert told["headline"]["units"] == 1
    assert "FAIL. 1 of 2 units failed" in found.stdout


def test_a_group_of_which_all_fail_ends_with_the_worst_code(tmp_path: Path) -> None:
    """The lowest above 0; nothing is written of the group."""
    one, other = write(tmp_path, "one"), write(tmp_path, "other", text=STUDY.replace("[plan]", "[plaan]"))
    one.with_suffix(".csv").unlink()
    found = run(one, other, out=tmp_path / "out")
    assert found.exit_code == 2
    assert "one (exit code 3)" in found.stderr
    assert "plaan" in found.stderr
    assert not (tmp_path / "out" / "group.json").exists()


def test_two_of_one_name_are_refused_before_anything_runs(tmp_path: Path) -> None:
    """Also where the names differ in case alone: some disks take them for one folder."""
    one = write(tmp_path, "same")
    (tmp_path / "b").mkdir()
    other = write(tmp_path / "b", "Same")
    found = run(one, other, out=tmp_path / "out")
    assert found.exit_code == 2
    assert "would write into one folder" in found.stderr.replace("\n", " ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["total", "group.csv", "manifest.json"])
def test_a_name_that_means_something_else_in_a_group_is_refused(tmp_path: Path, name: str) -> None:
    """The row of the sum, and files beside the units' folders."""
    study = write(tmp_path, "one", text=STUDY.replace('"small"', f'"{name}"'))
    found = run(study, write(tmp_path, "fi"), out=tmp_path / "out")
    assert found.exit_code == 2
    assert f'"{name}"' in found.stderr
    assert "give it another name" in " ".join(found.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("second", "more", "said"),
    [
        ('currency = "SEK"\n', (), "--rate SEK="),
        ('currency = "SEK"\n', ("--rate", "SEK=0.1", "--rate", "EUR=1"), "every currency"),
        ("", ("--rate", "SEK=0.1"), "no study has this currency"),
        ("", ("--rate", "kronor"), "CODE=NUMBER"),
        ("", ("--correlation", "1.5"), "from 0 to 1"),
        ("", ("--scheduler", "tcp://localhost:1"), "add --executor dask"),
    ],
)
def test_what_cannot_be_added_up_is_refused_before_anything_runs(
    tmp_path: Path, second: str, more: tuple[str, ...], said: str
) -> None:
    """With what to do."""
    studies = write(tmp_path, "fi"), write(tmp_path, "se", text=second + STUDY)
    found = run(*studies, out=tmp_path / "out", more=more)
    assert found.exit_code == 2
    assert said in found.stderr
    assert not (tmp_path / "out" / "fi").exists()


def test_periods_of_two_kinds_are_refused(tmp_path: Path) -> None:
    """Months and quarters do not add up."""
    quarters = STUDY.replace("[history]", '[history]\nperiod = "quarter"').replace(
        'through = "2026-06"\n', ""
    )
    found = run(write(tmp_path, "fi"), write(tmp_path, "se", text=quarters), out=tmp_path / "out")
    assert found.exit_code == 2
    assert "periods of different kinds" in found.stderr


def test_horizons_that_never_meet_are_refused_before_anything_runs(tmp_path: Path) -> None:
    """By what the histories end with, also where no study says it; a unit that cannot be read is no part of it."""
    late = STUDY.replace('through = "2026-06"\n', "").replace("periods = 3", "periods = 1")
    early = STUDY.replace('"2026-06"', '"2026-04"').replace("periods = 3", "periods = 1")
    studies = [
        write(tmp_path, name, text=text) for name, text in (("fi", late), ("se", early), ("bad", STUDY))
    ]
    (tmp_path / "bad.csv").unlink()
    found = run(*studies, out=tmp_path / "out")
    assert found.exit_code == 3
    said = " ".join(found.stderr.split())
    assert "no period in common (se 2026-05 (1 month), fi 2026-07 (1 month))" in said
    assert "nothing has run" in said
    assert not (tmp_path / "out").exists()


def test_patterns_are_expanded_where_the_shell_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order; one that fits nothing is refused by name."""
    from forecast.study import studies_of

    for name in ("b", "a"):
        write(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    assert studies_of([Path("*.toml")]) == [Path("a.toml"), Path("b.toml")]
    assert studies_of([tmp_path / "?.toml"]) == [tmp_path / "a.toml", tmp_path / "b.toml"]
    with pytest.raises(UsageError, match=r"x\*\.toml: no file fits"):
        studies_of([Path("x*.toml")])


def test_a_missing_extra_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that brings it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    found = run(
        write(tmp_path, "fi"), write(tmp_path, "se"), out=tmp_path / "out", more=("--executor", "dask")
    )
    assert found.exit_code == 2
    assert "growth-forecast[cluster]" in found.stderr


# Elsewhere


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", pytest.param("dask", marks=needs_dask)])
def test_other_processes_give_the_same_bytes(home: Path, tmp_path: Path, executor: str) -> None:
    """Two workers, each unit as it is alone, and the same group; nothing is said of ports that others have."""
    with socket.socket() as taken:
        with suppress(OSError):  # another cluster has it
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        found = command(
            "run", "fi.toml", "se.toml", *OPTIONS, "--out", str(tmp_path / "out"), "--executor", executor,
            "--workers", "2", cwd=home,
        )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "8787" not in found.stderr
    assert units(tmp_path / "out") == units(home / "alone")
    assert ids(tmp_path / "out") == ids(home / "alone")
    for name in ("group.json", "group.csv", "group_totals.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (home / "inline" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are sent by POSIX means")
def test_a_group_that_was_killed_goes_on_where_it_was(home: Path, tmp_path: Path) -> None:
    """Killed after its first unit: the second run takes that one as it is."""
    for name in NAMES:
        write(tmp_path, name, scale=1 + NAMES.index(name))
    asked = [sys.executable, "-m", "forecast", "run", "fi.toml", "se.toml", *OPTIONS, "--out", "out"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        asked, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    lines = tmp_path / "out" / portfolio.LINES
    wait_for(lambda: lines.exists() and lines.read_bytes().count(b"\n") >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    made = (tmp_path / "out" / "fi" / "manifest.json").stat().st_mtime_ns
    found = command(*asked[3:-3], "--out", "out", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "out" / "fi" / "manifest.json").stat().st_mtime_ns == made
    assert units(tmp_path / "out") == units(home / "alone")


def wait_for(there: Any, process: subprocess.Popen[Any] | None = None, seconds: float = 240.0) -> None:
    """Until something is there; fails where a process ends before."""
    until = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < until, "it did not come about"
        assert process is None or process.poll() is None, "the command ended before"
        time.sleep(0.05)


@needs_dask
@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="workers are killed by POSIX means")
def test_a_worker_that_is_killed_loses_nothing(home: Path, tmp_path: Path) -> None:
    """A process of a LocalCluster dies in the middle of its unit: another one makes that unit, with the same bytes."""
    from distributed import LocalCluster

    from forecast.jobs import cluster

    local = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with local, cluster(local.scheduler_address, 2) as executor:
        jobs = [(killed_once, "fi", str(tmp_path / "killed")), (portfolio.one_unit, "se")]
        waiting = [
            executor.submit(
                job, portfolio.Unit(home / f"{name}.toml", tmp_path / "out" / name, asked()), *more
            )
            for job, name, *more in jobs
        ]
        records = [future.result(timeout=240) for future in waiting]
    assert [r["name"] for r in records] == list(NAMES)
    assert int((tmp_path / "killed").read_text(encoding="utf-8")) > 0  # one was
    assert units(tmp_path / "out") == units(home / "alone")


def asked() -> dict[str, Any]:
    """The options of OPTIONS, as a job has them."""
    return {"preview": True, "draws": 100, "outputs": ("csv", "draws"), "overrides": []}


def killed_once(unit: portfolio.Unit, marker: str) -> Any:
    """Kill the process that is the first to come here, while it writes; run the unit in any other."""
    try:
        with Path(marker).open("x", encoding="utf-8") as stream:
            stream.write(str(os.getpid()))
    except FileExistsError:
        return portfolio.one_unit(unit)
    from forecast import written

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    written._commit = die
    return portfolio.one_unit(unit)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """A scheduler and two workers of Dask, started by their own command lines."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    quiet = {"cwd": tmp_path, "env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [
        subprocess.Popen(
            [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], **quiet
        )
    ]
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-dashboard"]
    started += [subprocess.Popen(worker, **quiet) for _ in range(2)]
    try:
        from distributed import Client

        with Client(address, timeout=120) as client:
            client.wait_for_workers(2, timeout=120)
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=60)


@needs_dask
@pytest.mark.outside
@pytest.mark.slow
def test_a_scheduler_of_its_own_command_line(home: Path, tmp_path: Path, scheduler: str) -> None:
    """`dask scheduler` and `dask worker`, which stand in another folder: the same bytes."""
    found = command(
        "run", "fi.toml", "se.toml", *OPTIONS, "--out", os.path.relpath(tmp_path / "out", home),
        "--executor", "dask", "--scheduler", scheduler, cwd=home,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert units(tmp_path / "out") == units(home / "alone")
    assert (tmp_path / "out" / "group.json").read_bytes() == (home / "inline" / "group.json").read_bytes()


@needs_dask
@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the time that it has, by its address."""
    monkeypatch.setattr("forecast.jobs.ANSWERS", 1.0)
    found = run(
        home / "fi.toml", home / "se.toml", out=tmp_path / "out",
        more=("--executor", "dask", "--scheduler", "tcp://127.0.0.1:1"),
    )  # fmt: skip
    assert found.exit_code == 2
    assert re.search(r"--scheduler tcp://127\.0\.0\.1:1: nothing answers", found.stderr)
