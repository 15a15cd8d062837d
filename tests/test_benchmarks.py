"""The benchmarks load and say what they take; runs go on where they stopped; each has a slow test that runs it."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import forecast
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


# Companies that change


@pytest.fixture
def worlds(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark of made companies."""
    return load(FOLDER / "worlds.py", monkeypatch)


def test_each_family_changes_the_company(worlds: ModuleType):
    """A valid company, of the same channels, that is not the one that stands still; only controls stand still."""
    still = worlds.random_world(np.random.default_rng(1))
    for name, family in worlds.CHANGING.items():
        changed = family.change(still, np.random.default_rng(2))
        assert (changed == still) == (name in worlds.CONTROLS.values()), name
        assert [c.name for c in changed.channels] == [c.name for c in still.channels]
    assert {family.counting for family in worlds.CHANGING.values()} == set(worlds.CONTROLS)


def test_checks_that_name_a_change_are_checks_of_the_product(worlds: ModuleType):
    """A check that was renamed would never name anything again."""
    folder = Path(forecast.__file__).parent
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (folder / "verdict.py", *folder.glob("history/audit*.py"))
    )
    names = {check for family in worlds.CHANGING.values() for check, _ in family.names}
    assert names
    assert [
        n for n in names if f'"{n}"' not in source and f'"{n.rpartition(" ")[0]} {{stage}}"' not in source
    ] == []


def changed(family: str, number: int, mean: float, *alarms: tuple[str, str]) -> dict[str, Any]:
    """A record of a company whose truth has the mean 100, and 100 came."""
    score = {"crps": 10.0, "q10": 60.0, "q25": 75.0, "q75": 125.0, "q90": 140.0}
    return {
        "family": family,
        "number": number,
        "came": 100.0,
        "truth": score | {"mean": 100.0},
        "forecast": score | {"mean": mean},
        "may": {"0.5": 0.5, "0.8": 0.8, "0.9": 0.9},
        "changed": ["ppc"],
        "alarms": [[name, "REVIEW", value] for name, value in alarms],
    }


def test_a_change_is_named_where_the_twin_is_silent(worlds: ModuleType, capsys: pytest.CaptureFixture[str]):
    """Named: by a check of the family, of the right place, which does not say so of the twin that stands still."""
    traffic = ("last periods", "visitors, seo: 900 seen, 500 expected (p 0.001)")
    rate = ("last periods", "visitors to leads, seo: 900 seen, 500 expected (p 0.001)")
    still = worlds.CONTROLS["calendar"]
    records = [changed(still, 0, 110.0, traffic), *(changed(still, i, 110.0) for i in (1, 2, 3))]
    records += [changed("growing", 0, 80.0, traffic), changed("growing", 1, 80.0, traffic)]
    records += [changed("growing", 2, 80.0, rate), changed("growing", 3, 80.0)]
    row = worlds.changing_table(records).set_index("family").loc["growing"]
    assert (row["n"], row["of truth"], row["beyond"]) == (4, "-20.0% ± 0.0%", "-30.0% ± 0.0%")
    assert (row["80%"], row["may 80%"]) == ("100%", "80%")
    assert (row["named"], row["alarm"]) == ("25%", "25%")
    worlds.changing_report(records)
    assert "growing (4): last periods 1, last periods * 1" in capsys.readouterr().out


def test_a_pattern_can_ask_for_the_channel_that_changed(worlds: ModuleType):
    """The lumpy one, and no other."""
    of = {c: [["largest period", "REVIEW", f"visitors, {c}: 900 seen"]] for c in ("ppc", "seo")}
    assert worlds.naming("lumpy channel", of["ppc"], ["ppc"]) == {"largest period"}
    assert worlds.naming("lumpy channel", of["seo"], ["ppc"]) == set()


def test_an_unknown_family_ends_with_the_list(worlds: ModuleType, tmp_path: Path):
    """Of those that there are."""
    with pytest.raises(SystemExit, match="no family lumpy; there are stands still; growing"):
        worlds.main(["--changing", "--out", str(tmp_path / "rows"), "--families", "lumpy"])
