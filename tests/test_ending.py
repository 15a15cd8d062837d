"""How a command ends: one line of JSON at every end, with what stands in the result and on stderr."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli_reference import command_names
from click.testing import CliRunner, Result

from forecast import cli, errors
from forecast.checking import Done
from forecast.checks import FAIL, PASS, REVIEW, Check, Verdict
from forecast.ending import Line
from forecast.results import Results, StudyFacts

CHECKS = [
    Check("max R-hat", FAIL, value="1.2", threshold="below 1.01"),
    Check("audit", REVIEW, "odd"),
    Check("rows", PASS, "fine"),
]


def call(*words: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli.app, list(words), prog_name="forecast")


def line_of(result: Result) -> dict[str, Any]:
    """What stands on stdout, which is one line."""
    assert result.stdout.count("\n") == 1
    assert result.stdout.endswith("}\n")
    assert result.stdout.isascii()
    return dict(json.loads(result.stdout))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Put a job in place of `workflow.run` that gives this verdict."""

    def put(verdict: Verdict) -> None:
        summary = {
            "name": "plän",
            "run_id": "abc",
            "verdict": verdict.told(),
            "headline": {
                "revenue_mean": 5.5,
                "gap": float("nan"),
                "rows": [1],
                "recommendation": "Move 5 EUR",
            },
            "horizon": ["2026-07"],
        }
        done = Done(summary, tmp_path / "out", Results(StudyFacts("s", "EUR"), verdict))
        monkeypatch.setattr("forecast.workflow.run", lambda *_, **__: done)

    return put


@pytest.mark.parametrize("name", command_names())
def test_every_command_ends_in_a_line_where_its_options_are_wrong(name: str) -> None:
    """Exit code 2, click's text in the line and on stderr, nothing else on stdout."""
    result = call(name, "--no-such-option", "--json-line")
    told = line_of(result)
    assert (result.exit_code, told["exit_code"], told["command"]) == (2, 2, name)
    assert told["error"] == "No such option '--no-such-option'."
    assert told["error"] in result.stderr


def test_the_line_of_a_run_holds_what_a_webhook_needs(ran: Any, tmp_path: Path) -> None:
    """Verdict, names of checks, single numbers of the headline, the place in full; files and codes are as ever."""
    ran(Verdict(REVIEW, "Usable with care.", CHECKS[1:]))
    result = call("run", "s.toml", "--json-line")
    told = line_of(result)
    assert result.exit_code == told["exit_code"] == 0
    assert (told["error"], told["name"], told["run_id"], told["verdict"]) == (None, "plän", "abc", REVIEW)
    assert (told["failed"], told["review"], told["horizon"]) == ([], ["audit"], ["2026-07"])
    assert told["headline"] == {"revenue_mean": 5.5, "gap": None, "recommendation": "Move 5 EUR"}
    assert told["place"] == str(tmp_path / "out")


def test_a_verdict_that_is_fail_gives_numbers_and_reasons(ran: Any) -> None:
    """Exit code 4, with the text of stderr; --go-on ends with 0 and no error."""
    ran(Verdict(FAIL, "Do not use.", CHECKS))
    result = call("run", "s.toml", "--json-line")
    told = line_of(result)
    assert result.exit_code == told["exit_code"] == 4
    assert told["failed"] == ["max R-hat"]
    assert "max R-hat: 1.2" in told["error"]
    assert told["error"] in result.stderr
    assert told["headline"]["revenue_mean"] == 5.5
    told = line_of(call("run", "s.toml", "--json-line", "--go-on"))
    assert (told["exit_code"], told["error"], told["verdict"]) == (0, None, FAIL)


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (errors.StudyError("a.toml:3: plan.perods: unknown key"), 2, "a.toml:3: plan.perods: unknown key"),
        (errors.DataError(["a.csv: row 2", "ä.csv: row 9"]), 3, "a.csv: row 2\nä.csv: row 9"),
        (errors.FitError("nothing to fit"), 4, "nothing to fit"),
        (errors.GateError("missed"), 5, "missed"),
        (errors.UsageError(" is no plan", argument="plan"), 2, "--plan is no plan"),
        (OSError(28, "No space left on device"), 2, "the system refused"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("secret"), 1, "reference "),
    ],
)
def test_an_error_stands_in_the_line_and_on_stderr(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, said: str
) -> None:
    """The text is that of stderr, and so is the exit code."""

    def broken(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("forecast.workflow.run", broken)
    result = call("run", "s.toml", "--json-line", "--quiet")
    told = line_of(result)
    assert result.exit_code == told["exit_code"] == code
    assert said in told["error"]
    assert told["error"] in result.stderr
    assert "secret" not in result.stdout
    assert (told["verdict"], told["place"], told["headline"]) == (None, None, {})


def test_what_verify_finds_is_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 5: each difference, as nothing stands on stderr."""
    found = {
        "run": "reports/x",
        "run_id": None,
        "differences": ["one has changed", "two is gone"],
        "notes": [],
    }
    monkeypatch.setattr("forecast.signing.verify", lambda *_, **__: found)
    result = call("verify", "reports/x", "--json-line", "--quiet")
    assert result.exit_code == 5
    assert line_of(result)["error"] == "one has changed; two is gone"


def test_help_and_json_are_as_ever(ran: Any) -> None:
    """--help prints no line; --json the whole result; without either the page for people."""
    assert "schema" not in call("run", "--json-line", "--help").stdout
    ran(Verdict(PASS, "All well."))
    assert json.loads(call("run", "s.toml", "--json").stdout)["verdict"]["status"] == PASS
    assert call("run", "s.toml").stdout.startswith("PASS. All well.")


def test_init_asks_nothing_where_a_program_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a terminal, too."""
    given: dict[str, Any] = {}

    def propose(*_: object, **options: Any) -> Any:
        given.update(options)
        return SimpleNamespace(told=lambda: {"name": "x"}, command="")

    monkeypatch.setattr("forecast.proposing.propose", propose)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert call("init", "--from", str(tmp_path / "a.csv"), "--json-line").exit_code == 0
    assert given["ask"] is None


def test_a_line_of_nothing_is_a_line() -> None:
    """Every key is there, whatever was found."""
    full = Line()
    full.found = {"name": "x", "verdict": Verdict(PASS, "").told(), "path": "y.nc", "won": 3, "flag": True}
    empty, told = json.loads(Line().text(None, 1)), json.loads(full.text("fit", 0))
    assert list(empty) == list(told)
    assert told["headline"] == {"won": 3}
    assert told["place"] == str(Path("y.nc").absolute())
