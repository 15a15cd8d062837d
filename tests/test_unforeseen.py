"""Errors that nobody foresaw: a reference and a log without data; what the machine refuses is said plainly."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from forecast import checking, unforeseen
from forecast.cli import app
from forecast.errors import DataError, ForecastError
from forecast.words import message

PERSON = "Aino Virtanen"


def broken(row: int = 41, line: str = PERSON) -> None:
    """Fails as a library does, with a cell in its text."""
    try:
        int(line)
    except ValueError as error:
        raise KeyError(line, row) from error


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch):
    """`forecast check` with an error inside."""
    monkeypatch.delenv("FORECAST_TRACEBACK", raising=False)
    monkeypatch.setattr(checking, "check", lambda *_, **__: (_ for _ in ()).throw(error))
    return CliRunner().invoke(app, ["check", "study.toml"], prog_name="forecast")


def caught(make) -> BaseException:
    """The error of a call, with its frames."""
    try:
        make()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError


def test_the_log_says_where_and_nothing_of_the_data(monkeypatch, tmp_path):
    """Type, cause, frames, versions, options; no text of the exception, no value of an option, no home folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(
        "sys.argv", ["forecast", "run", f"/home/{PERSON}/s.toml", "--out=secret", "--set", "name=x"]
    )
    result = failing(caught(broken), monkeypatch)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    reference = re.search(r"reference ([0-9A-F]{8}); details in (.+?)\)", result.stderr)
    assert reference
    path = Path(reference[2])
    assert path == tmp_path / "state" / "growth-forecast" / f"unexpected-{reference[1]}.log"
    log = path.read_text(encoding="utf-8")
    for said in (
        "builtins.KeyError\n",
        "builtins.ValueError\n",
        "in broken",
        "command: run . --out --set .\n",
        "numpy ",
    ):
        assert said in log, said
    for said in (PERSON, "Aino", "secret", "name=x", str(Path.home())):
        assert said not in log + result.stderr, said
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_same_fault_has_the_same_reference(monkeypatch, tmp_path):
    """And one file, however often it happens."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    said = {str(unforeseen.told(caught(broken), ["check"])) for _ in range(3)}
    assert len(said) == 1
    assert len(list((tmp_path / "growth-forecast").iterdir())) == 1


def test_rows_of_our_own_frames_are_told(monkeypatch):
    """A number of a row is where the fault was, not whose it was."""
    monkeypatch.setattr(unforeseen, "PACKAGE", Path(__file__).parent)
    assert "in broken, row 41\n" in unforeseen.report_of(caught(broken), [])


def test_a_message_of_ours_is_logged_by_its_template():
    """The values of its fields stay out."""
    error = ForecastError(message("{file}: {n} rows of {name}", file="f.csv", n=2, name=PERSON))
    log = unforeseen.report_of(error, [])
    assert "{file}: {n} rows of {name}" in log
    assert PERSON not in log


def test_where_no_place_can_be_written_that_is_said(monkeypatch, tmp_path):
    """The state folder first, then the temporary one, never the folder that the command runs in."""
    taken = tmp_path / "taken"
    taken.write_text("a file", encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(taken))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    path = unforeseen.kept("log", "0123ABCD")
    assert path is not None
    assert path.parent == tmp_path
    assert path.name.startswith("forecast-0123ABCD-")
    monkeypatch.setattr(unforeseen, "_temporary_folders", lambda: iter([str(taken)]))
    assert unforeseen.kept("log", "0123ABCD") is None
    said = str(unforeseen.told(caught(broken), []))
    assert "no place for a log could be written" in said


def test_a_link_in_the_place_of_the_log_is_not_followed(monkeypatch, tmp_path):
    """What lies there is replaced, what it points to stays."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kept = unforeseen.kept("log", "0123ABCD")
    assert kept is not None
    precious = tmp_path / "precious"
    precious.write_text("mine", encoding="utf-8")
    kept.unlink()
    kept.symlink_to(precious)
    assert unforeseen.kept("log", "0123ABCD") == kept
    assert precious.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (OSError(errno.ENOSPC, "No space left", "out/\x1bx"), r"out/\u001bx: the system refused (No space left)"),
        (PermissionError(errno.EACCES, "Permission denied"), "the system refused (Permission denied)"),
    ],
)  # fmt: skip
def test_what_the_machine_refuses_is_no_fault_of_ours(error, said, monkeypatch):
    """Exit code 2 and the way out."""
    result = failing(error, monkeypatch)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


def test_errors_of_the_data_stay_what_they_are(monkeypatch):
    """Nothing is logged of them."""
    result = failing(DataError("f.csv: row 2"), monkeypatch)
    assert (result.exit_code, result.stderr) == (3, "Error: f.csv: row 2\n")
