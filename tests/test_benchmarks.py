"""The benchmarks load and say what they take; runs go on where they stopped; each has a slow test that runs it."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from forecast.errors import DataError

FOLDER = Path(__file__).parents[1] / "benchmarks"
BENCHMARKS = sorted(FOLDER.glob("*.py"))
COMMANDS = [path for path in BENCHMARKS if "def main(" in path.read_text(encoding="utf-8")]

pytestmark = pytest.mark.skipif(not BENCHMARKS, reason="benchmarks are no part of the source distribution")


def name_of(path: Path) -> str:
    """The name of a benchmark."""
    return path.stem


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of a benchmark, its folder on the path as where it is run as a script."""
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module(path.stem)
    assert module.__file__ == str(path), "another module has the same name"
    return module


@pytest.mark.parametrize("path", BENCHMARKS, ids=name_of)
def test_a_benchmark_loads(path: Path, monkeypatch: pytest.MonkeyPatch):
    """All that it imports is there, with the names that it takes from it."""
    assert load(path, monkeypatch).__doc__


@pytest.mark.parametrize("path", COMMANDS, ids=name_of)
def test_help_is_the_docstring(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """`--help` ends well and shows the docstring as it stands."""
    module = load(path, monkeypatch)
    with pytest.raises(SystemExit) as left:
        module.main(["--help"])
    assert left.value.code == 0
    assert str(module.__doc__).strip() in capsys.readouterr().out


def test_every_command_has_a_slow_test():
    """A benchmark that no test runs can break unseen."""
    text = (Path(__file__).parent / "slow" / "test_benchmarks_run.py").read_text(encoding="utf-8")
    assert [path.stem for path in COMMANDS if f'"{path.stem}"' not in text] == []


# Runs that keep their rows


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The frame of the commands."""
    return load(FOLDER / "command.py", monkeypatch)


def options_of(command: ModuleType, *args: str) -> argparse.Namespace:
    """The options of a run in this process."""
    given: argparse.Namespace = command.resumable_parser("A run.", many=2).parse_args(
        ["--workers", "1", *args]
    )
    return given


def square(x: int) -> dict[str, Any]:
    """x squared; 13 is refused."""
    if x == 13:
        raise ValueError("unlucky")
    return {"square": x * x}


def refused(x: int) -> dict[str, Any]:
    """No job may run."""
    raise AssertionError(x)


def test_the_number_of_units_has_their_name(command: ModuleType):
    """Worlds, or what the benchmark counts."""
    assert options_of(command, "--out", "x").worlds == 2
    asked = command.resumable_parser("A run.", units="fits", many=200).parse_args(["--out", "x"])
    assert (asked.fits, asked.workers, asked.report) == (200, 2, False)


def test_a_second_run_makes_only_what_is_missing(command: ModuleType, tmp_path: Path):
    """What the file holds is not run again, and all of it is reported."""
    out = tmp_path / "folder" / "rows.jsonl"
    options, settings = options_of(command, "--out", str(out)), {"draws": 4}
    told: list[str] = []

    def done(key: str, record: dict[str, Any]) -> None:
        told.append(f"{key} {record.get('square')}")

    first = command.run_or_read(options, square, {"a": 2, "b": 3}, settings, done=done)
    assert first == {"a": {"square": 4}, "b": {"square": 9}}
    command.run_or_read(options, square, {"b": 3, "c": 4}, settings, done=done)
    assert told == ["a 4", "b 9", "c 16"]
    report = options_of(command, "--out", str(out), "--report")
    kept = command.run_or_read(report, refused, {"d": 5}, settings)
    assert [record["square"] for record in kept.values()] == [4, 9, 16]


def test_rows_of_other_settings_are_not_mixed(command: ModuleType, tmp_path: Path):
    """Another number of draws goes to another file; `path` names it in place of --out."""
    options, jobs = options_of(command, "--out", str(tmp_path / "rows.jsonl")), {"a": 2}
    command.run_or_read(options, square, jobs, {"draws": 4})
    with pytest.raises(DataError, match="other settings"):
        command.run_or_read(options, square, jobs, {"draws": 5})
    command.run_or_read(options, square, jobs, {"draws": 5}, path=tmp_path / "others.jsonl")
    assert len((tmp_path / "others.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_jobs_that_raised_are_left_out(command: ModuleType, tmp_path: Path):
    """The others are reported; where none is left the command says why and fails."""
    options = options_of(command, "--out", str(tmp_path / "rows.jsonl"))
    made = command.run_or_read(options, square, {"a": 13, "b": 3}, {})
    assert made["a"] == {"error": "ValueError: unlucky"}
    assert command.without_errors(made) == [{"square": 9}]
    with pytest.raises(SystemExit, match="no row to report: ValueError: unlucky"):
        command.without_errors({"a": made["a"]})
    with pytest.raises(SystemExit, match="no row to report: none is kept"):
        command.without_errors({})
