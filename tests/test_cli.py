"""The command line: help, messages, exit codes, and where output goes."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
import tomllib
import types
from pathlib import Path
from typing import Any

import pytest
from cli_reference import command_names
from click.testing import CliRunner

import forecast
from forecast import cli, errors
from forecast.checking import Done
from forecast.checks import Verdict
from forecast.results import Results, StudyFacts

ROOT = Path(forecast.__file__).parents[1]
GUIDE = [
    "--visitors",
    "1000",
    "--conversion",
    "3%",
    "--qualification",
    "40%",
    "--close",
    "25%",
    "--value",
    "5000",
]
COMMANDS = [
    "demo",
    "init",
    "funnel",
    "check",
    "fit",
    "run",
    "allocate",
    "scenarios",
    "backtest",
    "rank",
    "score",
    "notebook",
    "sign",
    "verify",
    "log",
]
HEAVY = {"numpy", "pandas", "xarray", "pymc", "nutpie", "arviz", "matplotlib", "duckdb", "typst", "numba"}


@pytest.fixture
def call():
    """Run the command line in this process; gives the result with stdout, stderr and exit code."""
    return lambda *args, **options: CliRunner().invoke(cli.app, list(args), prog_name="forecast", **options)


def _stand_in(monkeypatch, name):
    module = types.ModuleType(f"forecast.{name}")
    monkeypatch.setitem(sys.modules, f"forecast.{name}", module)
    monkeypatch.setattr(forecast, name, module, raising=False)
    return module


@pytest.fixture
def workflow(monkeypatch):
    """A workflow of which each test gives the one function it needs."""
    return _stand_in(monkeypatch, "workflow")


@pytest.fixture
def checking(monkeypatch):
    """The same for what is asked before a fit."""
    return _stand_in(monkeypatch, "checking")


def _python(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    paths = os.environ | {"PYTHONPATH": str(ROOT)} | env
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, env=paths, check=False)


def test_commands_are_those_of_the_contract():
    """The commands, in the order in which a user meets them."""
    assert command_names() == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does(call, command):
    """Every command and every option of it has a help text."""
    result = call(command, "--help")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[2].strip()
    options = cli.app.commands[command].params
    assert all(option.help for option in options), [option.name for option in options if not option.help]


def test_help_imports_nothing_heavy():
    """`forecast fit --help` answers in under half a second because no numeric library is loaded for it."""
    code = (
        "import sys\nfrom forecast.cli import app\n"
        "try:\n    app(['fit', '--help'])\nexcept SystemExit:\n    pass\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    result = _python("-c", code)
    assert "STUDY" in result.stdout
    assert not HEAVY & set(result.stderr.split())


def test_help_loads_nothing_of_the_package_but_options_and_how_commands_end():
    """`forecast --help` needs the commands, their options, and how they may end."""
    code = (
        "import sys\nfrom forecast.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*sorted(m for m in sys.modules if m.startswith('forecast.')), file=sys.stderr)"
    )
    assert _python("-c", code).stderr.split() == [
        "forecast.cli",
        "forecast.ending",
        "forecast.errors",
        "forecast.options",
        "forecast.telling",
    ]


def test_importing_the_package_imports_nothing_else():
    """`import forecast` loads none of its own modules."""
    result = _python("-c", "import sys, forecast; print([m for m in sys.modules if 'forecast.' in m])")
    assert result.stdout.strip() == "[]"


def test_commands_stay_thin():
    """A command is options, one call, one output: at most 25 lines below its docstring and options."""
    tree = ast.parse(inspect.getsource(cli))
    bodies = {node.name: node.body for node in tree.body if isinstance(node, ast.FunctionDef)}
    for command in COMMANDS:
        body = bodies[command][1:]  # the docstring aside
        assert body[-1].end_lineno - body[0].lineno < 25, command


def test_funnel_by_hand_as_json(call):
    """The guide's example: 30 leads, 12 qualified, 3 won, 15,000; a lead is worth 500, qualified 1,250."""
    result = call("funnel", *GUIDE, "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert [found[name] for name in ("leads", "qualified", "won", "revenue")] == [30, 12, 3, 15_000]
    assert found["worth"] == {"visitor": 15, "lead": 500, "qualified": 1250}
    assert found["plus_one_point"]["conversion"]["revenue"] == 20_000
    assert ".0," not in result.stdout


@pytest.mark.parametrize("option", ["--visitors", "--conversion", "--qualification", "--close", "--value"])
def test_any_factor_zero_is_zero(call, option):
    """Any factor 0 gives 0 and no error, in text and as JSON."""
    args = [*GUIDE]
    args[args.index(option) + 1] = "0"
    assert json.loads(call("funnel", *args, "--json").stdout)["revenue"] == 0
    assert call("funnel", *args).exit_code == 0


def test_funnel_table(call):
    """The table shows the chain, the worth of units, the break-even, the gains and the labelled band."""
    lines = [" ".join(line.split()) for line in call("funnel", *GUIDE, "--margin", "60%").stdout.splitlines()]
    for line in (
        "leads 3 % 30 2 % to 5 %: inside",
        "revenue x 5 000 15 000",
        "a lead 500 300",
        "a qualified lead 1 250 750",
        "conversion 3 % -> 4 % 20 000 +5 000 +33.3 %",
    ):
        assert line in lines
    assert any(line.startswith("Benchmark, not your data") for line in lines)


def test_funnel_without_a_market_shows_no_benchmark(call):
    """`--market none` compares with nothing."""
    text = call("funnel", *GUIDE, "--market", "none").stdout
    assert "range" not in text
    assert "Benchmark" not in text


def test_fraction_and_percent_are_the_same(call):
    """0.03, 3%, 3 % and 3,0% are one number."""
    outputs = {
        call("funnel", *[rate if word == "3%" else word for word in GUIDE]).stdout
        for rate in ("3%", "0.03", "3 %", "3,0%")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        ("3", "did you mean 3%?"),
        ("1", "did you mean 1%?"),
        ("101%", "not between 0% and 100%"),
        ("-0.1", "not between 0% and 100%"),
        ("three", "write it as 3% or as 0.03"),
        ("nan", "not between"),
        ("", "write it as"),
    ],
)
def test_rates_nobody_can_read_are_refused(call, rate, message):
    """A bare 3, more than 100 %, text: exit code 2 and what to write instead."""
    result = call("funnel", *[rate if word == "3%" else word for word in GUIDE])
    assert result.exit_code == 2
    assert message in result.stderr
    assert "--conversion" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["allocate", "study.toml"], "--total"),
        (["allocate", "study.toml"], "--cac"),
        (["funnel", *GUIDE], "--value"),
        (["funnel", *GUIDE], "--visitors"),
    ],
)
@pytest.mark.parametrize("text", ["120.000", "120,000"])
def test_an_amount_that_can_be_read_in_two_ways_is_refused(call, command, option, text):
    """Nobody knows whether 120.000 is 120 or a thousand times as much: both are written, neither is taken."""
    result = call(*command, option, text)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"{text} can be read in two ways: write {option} 120000 or {option} 120.0." in result.stderr


@pytest.mark.parametrize(
    "text", ["120 000", "120\u00a0000", "120_000", "120'000", "120.000,00", "120,000.0", "1.2e5"]
)
def test_an_amount_with_marks_that_leave_no_doubt_is_read(call, workflow, text):
    """Spaces, apostrophes, both marks: 120 thousand in each."""
    seen = {}

    def allocate(*_, budget, **__):
        seen["total"] = budget.total
        raise errors.UsageError("enough")

    workflow.allocate = allocate
    call("allocate", "study.toml", "--total", text, "--quiet")
    assert seen["total"] == 120_000


def test_a_return_has_no_thousands(call, workflow):
    """1.125 and 1,125 are one return; an amount written so would be refused."""
    seen = []

    def allocate(*_, budget, **__):
        seen.append(budget.marginal)
        raise errors.UsageError("enough")

    workflow.allocate = allocate
    for text in ("1.125", "1,125"):
        call("allocate", "study.toml", "--marginal", text, "--quiet")
    assert seen == [1.125, 1.125]


def _empty(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text('name = "x"\n[history]\ncounts = "x.csv"\n', encoding="utf-8")


@pytest.mark.parametrize("place", ["plan.toml", "models/plan.toml"])
def test_the_only_study_need_not_be_named(call, workflow, tmp_path, monkeypatch, place):
    """Here or in models/; other TOML files are no studies; which one was taken is told on stderr."""
    _empty(tmp_path, place)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    seen = []

    def fit(study, **_):
        seen.append(study)
        raise errors.UsageError("enough")

    workflow.fit = workflow.run = fit
    for command in ("fit", "run"):
        assert f"Study: {place}" in call(command, "--quiet").stderr
    assert seen == [Path(place)] * 2
    workflow.score = lambda study, **_: fit(study)
    call("score", "reports/plan", "--quiet")
    assert seen == [Path(place)] * 3


def test_several_studies_or_none_are_told(call, tmp_path, monkeypatch):
    """Exit code 2 with the list, or with what to do where there is none."""
    monkeypatch.chdir(tmp_path)
    none = call("run")
    assert none.exit_code == 2
    assert "no study is named, and none is here or in models/" in none.stderr
    assert "forecast init" in none.stderr
    _empty(tmp_path, "a.toml", "models/b.toml")
    (tmp_path / "c.toml").write_text("[history]\nfrom = 2026-03\n", encoding="utf-8")
    several = call("check")
    assert several.exit_code == 2
    assert "There are a.toml, c.toml, models/b.toml: name one" in several.stderr
    assert several.stdout == ""


def test_an_amount_is_a_number(call):
    """nan is within no bounds: a budget of it would spoil every split."""
    result = call("allocate", "study.toml", "--total", "nan")
    assert result.exit_code == 2
    assert "--total" in result.stderr
    assert "nan is not a number" in result.stderr


@pytest.mark.parametrize(
    "args", [["funel"], ["funnel"], ["init"], ["run", "a.toml", "--sed", "1"], ["fit", "x", "y"]]
)
def test_wrong_usage_is_exit_2(call, args):
    """An unknown command or option, a missing argument: exit code 2, said on stderr, nothing on stdout."""
    result = call(*args)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--cac", "500", "--marginal", "2"],
            "--marginal, --cac and --chance are different questions: ask one at a time",
        ),
        (["--chance", "100%"], "--chance: expected a probability between 0 and 1, such as 80%; came 1"),
        (["--marginal", "-1"], "--marginal: expected a return above 0, such as 1.5; came -1"),
        (["--cac", "0"], "--cac: expected the most that a customer may cost, above 0; came 0"),
        (["--cac", "5", "--total", "0"], "--total: expected an amount above 0; came 0"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_by_its_option(call, options: list[str], said: str):
    """The library names the field, the command line its option; nothing is read before."""
    result = call("allocate", "study.toml", "--quiet", *options)
    assert (result.exit_code, result.stderr) == (2, f"Error: {said}\n")


def test_a_mistyped_command_is_guessed(call):
    """`forecast alocate` asks whether allocate was meant."""
    assert "Did you mean 'allocate'" in call("alocate").stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ForecastError("it broke"), 1),
        (errors.UsageError("it broke"), 2),
        (errors.StudyError(["it broke"]), 2),
        (errors.DataError(["it broke"]), 3),
        (errors.FitError("it broke"), 4),
        (errors.GateError("it broke"), 5),
        (errors.Interrupted("it broke"), 130),
    ],
)
def test_library_errors_become_one_message_and_their_exit_code(call, checking, error, code):
    """Each error of the tree ends in its own exit code, its message once on stderr, no traceback."""
    checking.check = lambda *_, **__: (_ for _ in ()).throw(error)
    result = call("check", "study.toml")
    assert result.exit_code == code
    assert result.stderr == "Error: it broke\n"
    assert result.stdout == ""


def test_several_problems_stand_one_a_line(call, checking):
    """All problems are told at once."""
    problems = errors.DataError(["a.csv: row 2", "a.csv: row 9"])
    checking.check = lambda *_, **__: (_ for _ in ()).throw(problems)
    assert call("check", "study.toml").stderr == "Error:\na.csv: row 2\na.csv: row 9\n"


def test_unexpected_errors_are_one_line_and_say_how_to_see_more(call, checking, tmp_path):
    """A fault of ours is one line with exit code 1 and a reference; FORECAST_TRACEBACK=1 shows the traceback too."""

    def broken(*_, **__):
        raise ZeroDivisionError("two\nlines")

    checking.check = broken
    place = {"XDG_STATE_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path), "HOME": str(tmp_path)}
    result = call("check", "study.toml", env={"FORECAST_TRACEBACK": None, **place})
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "reference " in result.stderr
    assert "two" not in result.stderr
    assert "FORECAST_TRACEBACK=1" in result.stderr
    shown = call("check", "study.toml", env={"FORECAST_TRACEBACK": "1", **place})
    assert shown.exit_code == 1
    assert "in broken" in shown.stderr


def test_ctrl_c_says_that_no_outputs_were_written(call, workflow):
    """An interrupt ends with 130 and one line."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    workflow.run = interrupted
    result = call("run", "study.toml", "--quiet")
    assert result.exit_code == 130
    assert result.stderr == "interrupted; no outputs were written\n"


def test_run_passes_options_on_and_separates_data_from_talk(call, workflow, tmp_path):
    """Options arrive as asked for; progress goes to stderr, the result to stdout; NaN is null."""
    seen = {}

    def run(study, *, progress, **options):
        seen.update(options, study=study)
        progress.step("reading the history")
        made = Results(StudyFacts("s", "EUR"))
        summary = {"p_target": float("nan"), "gain": 2.5}
        return Done(summary, tmp_path, made)

    workflow.run = run
    options = [
        "--seed",
        "0",
        "--draws",
        "500",
        "--set",
        "plan.periods=6",
        "--set",
        "name=x",
        "--out",
        str(tmp_path),
    ]
    result = call("run", "s.toml", *options, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"p_target": None, "gain": 2.5, "folder": str(tmp_path)}
    assert result.stderr == "reading the history\n"
    assert seen.pop("today").year >= 2026
    assert seen == {
        "study": Path("s.toml"),
        "out": tmp_path,
        "seed": 0,
        "draws": 500,
        "sampler": None,
        "overrides": ["plan.periods=6", "name=x"],
        "go_on": False,
        "preview": False,
        "outputs": None,
        "csv_locale": None,
        "paths": None,
    }


def test_demo_tells_where_the_report_lies(call, workflow, tmp_path):
    """The last lines name the report; with --quiet stderr stays empty."""

    def demo(*, out, progress, **_):
        progress.step("fitting")
        made = Results(StudyFacts("demo", "EUR"), Verdict("PASS", "All checks passed."))
        return Done({}, out, made)

    workflow.demo = demo
    result = call("demo", "--quiet", "--out", str(tmp_path))
    assert result.stderr == ""
    assert result.stdout.splitlines()[0] == "PASS. All checks passed."
    assert f"Report: {tmp_path / 'report.pdf'}" in result.stdout


def test_version(call):
    """`--version` prints the version, which is the one that pip installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert call("--version").stdout == f"growth-forecast {project['version']}\n"


def test_a_closed_pipe_is_quiet():
    """`forecast funnel | true` prints no traceback."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        command = [sys.executable, "-m", "forecast", "funnel", *GUIDE]
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            command, stdout=closed, stderr=subprocess.PIPE, text=True, env=env, check=False
        )
    assert result.stderr == ""
    assert result.returncode == 1


@pytest.mark.parametrize(
    "command", ["demo", "run", "fit", "allocate", "scenarios", "check", "backtest", "rank"]
)
def test_a_language_reaches_every_job(command, monkeypatch):
    """--language is an override of the study, whatever else a command takes."""
    asked: dict[str, Any] = {}

    def job(*_given: Any, **options: Any) -> Any:
        asked.update(options)
        raise errors.UsageError("far enough")

    where = "forecast.checking.check" if command == "check" else f"forecast.workflow.{command}"
    monkeypatch.setattr(where, job)
    result = CliRunner().invoke(
        cli.app, [command, *([] if command == "demo" else ["some.toml"]), "--language", "fi"]
    )
    assert "far enough" in result.stderr
    assert "language=fi" in asked["overrides"]
