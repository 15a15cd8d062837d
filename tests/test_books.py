"""`forecast notebook`: parameters, what is refused, and a run from the command to the page."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import command

import forecast
from forecast import books
from forecast.checking import BOOKS
from forecast.cli import app
from forecast.errors import UsageError
from forecast.study import load_study

HEAD = '# %% tags=["parameters"]\nSTUDY = "study.toml"  # which\nSEED = 1\nSHARE = 0.5\nSET = []\nOUT = ""\n'


@pytest.fixture
def own(small_study: Path, tmp_path: Path):
    """Write a notebook beside the small study, of the cells that are given; gives its path."""

    def write(*cells: str, head: str = HEAD) -> Path:
        path = tmp_path / "own.py"
        path.write_text("\n\n".join([head, *(f"# %%\n{cell}" for cell in cells)]), encoding="utf-8")
        return path

    return write


def call(*args: object):
    """The command line in this process."""
    return CliRunner().invoke(app, ["notebook", *map(str, args)], prog_name="forecast")


# ---------------------------------------------------------------------------------------------------------- parameters


def test_parameters_are_the_names_that_a_cell_sets():
    """In their order; a computed value is none."""
    assert list(books.parameters(HEAD)) == ["STUDY", "SEED", "SHARE", "SET", "OUT"]
    assert books.parameters("PLANS = [\n    1,\n    2,\n]") == {"PLANS": [1, 2]}


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"SEED": "7"}, "SEED = 7"),
        ({"SEED": 7}, "SEED = 7"),
        ({"SHARE": "1"}, "SHARE = 1.0"),
        ({"SET": '["plan.periods=6"]'}, 'SET = ["plan.periods=6"]'),
        ({"STUDY": "models/größe.toml"}, 'STUDY = "models/größe.toml"  # which'),
        ({"STUDY": "7"}, 'STUDY = "7"  # which'),
        ({"OUT": 'a "b"'}, "OUT = 'a \"b\"'"),
    ],
)
def test_values_take_the_place_of_those_that_stand_there(given, line):
    """Of the kind that stands there, every other line and comment as it was; what comes out is Python."""
    made = books.with_values(HEAD, given)
    assert line in made.splitlines()
    changed = [new for old, new in zip(HEAD.splitlines(), made.splitlines(), strict=True) if old != new]
    assert changed == [line]
    compile(made, "cell", "exec")


def test_a_value_over_several_lines_is_replaced_whole():
    """What follows it moves up."""
    assert books.with_values("A = [\n    1,\n]\nB = 2", {"A": "[3]"}) == "A = [3]\nB = 2"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"DROWS": "1"}, "own.py: has no parameter DROWS; it has STUDY, SEED, SHARE, SET, OUT"),
        ({"SEED": "x"}, "--parameter SEED: expected a whole number, such as 1; got x"),
        ({"SEED": "1.5"}, "expected a whole number"),
        ({"SEED": "True"}, "expected a whole number"),
        ({"SHARE": "half"}, "expected a number, such as 0.5; got half"),
        ({"SET": "plan.periods=6"}, "expected a list, as in Python"),
    ],
)
def test_a_value_of_another_kind_is_refused(given, said):
    """With what was expected and what came."""
    with pytest.raises(UsageError, match=re.escape(said)):
        books.with_values(HEAD, given, of="own.py")


# ------------------------------------------------------------------------------------------------------------- refused


def test_without_a_name_the_notebooks_are_listed():
    """As text and as JSON, each with what it is for."""
    lines = call().stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(BOOKS) == ["plan", "review", "diagnose", "decide"]
    assert [row["for"] for row in json.loads(call("--json").stdout)] == list(BOOKS.values())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["plam"], "there is no notebook plam: name one of plan, review, diagnose, decide, or a file"),
        (["plan", "--parameter", "SEED"], "--parameter SEED: expected NAME=VALUE"),
        (["plan", "--parameter", "OUT=x"], "the folder is --out"),
        (["plan", "--parameter", "DROWS=1"], "plan.py: has no parameter DROWS; it has STUDY, SEED, DRAWS"),
        (["plan", "--set", "plan.period=6"], 'unknown key; did you mean "periods"?'),
    ],
)
def test_what_cannot_be_run_is_refused_before_a_kernel_starts(small_study, monkeypatch, args, said):
    """Exit code 2, one message, nothing written."""
    monkeypatch.chdir(small_study.parent)
    monkeypatch.setattr(books, "_execute", None)
    result = call(args[0], small_study, *args[1:])
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert not (small_study.parent / "reports").exists()


def test_a_missing_extra_is_named_with_the_command_that_installs_it(small_study, monkeypatch):
    """Without the packages nothing is tried."""
    monkeypatch.setattr(books, "find_spec", lambda name: None if name == "nbclient" else name)
    result = call("plan", small_study)
    assert result.exit_code == 2
    assert 'the extra "notebook", of which nbclient cannot be found here' in result.stderr
    assert "-m pip install jupytext nbclient nbconvert ipykernel" in result.stderr


def test_a_notebook_without_parameters_is_refused(own, small_study):
    """How a cell is tagged is said."""
    pytest.importorskip("nbclient")
    result = call(own(head="x = 1\n"), small_study)
    assert result.exit_code == 2
    assert 'has no cell tagged "parameters"' in result.stderr


def test_a_page_that_somebody_else_wrote_is_left_alone(own, small_study, tmp_path, monkeypatch):
    """It is named before any cell runs, and stays."""
    pytest.importorskip("nbclient")
    monkeypatch.setattr(books, "_execute", None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "own.html").write_text("mine", encoding="utf-8")
    result = call(own("1 + 1"), small_study, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "own.html" in result.stderr
    assert (tmp_path / "out" / "own.html").read_text(encoding="utf-8") == "mine"


# ---------------------------------------------------------------------------------------------------------------- page


def test_the_page_asks_for_nothing_and_runs_nothing():
    """Its policy allows neither request nor script, and it names no address; code can be left out."""
    nbformat, _ = pytest.importorskip("nbformat"), pytest.importorskip("nbconvert")
    from forecast.report import notebook_page

    cell = nbformat.v4.new_code_cell("secret = 1", id="b")
    cell.outputs = [
        nbformat.v4.new_output("execute_result", {"text/html": "<p>shown</p>"}, execution_count=1)
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A & B", id="a"), cell])
    page = notebook_page(book, title="A & <B>").decode()
    assert "default-src 'none'" in page
    assert "<title>A &amp; &lt;B&gt;</title>" in page
    assert "<p>shown</p>" in page
    assert "secret" in page
    assert not re.findall(r"<script|<link|<iframe|https?://|@import|url\(", page)
    assert "secret" not in notebook_page(book, title="", code=False).decode()
    assert notebook_page(book, title="") == notebook_page(book, title="")


# ------------------------------------------------------------------------------------------------------------ a kernel


@pytest.mark.outside
def test_a_notebook_of_ones_own_is_run_in_its_folder(own, small_study, tmp_path):
    """With its parameters set, this interpreter, and no start-up files; the page is on the manifest of its folder."""
    pytest.importorskip("ipykernel")
    show = "print('runs', SEED, SHARE, study.plan.periods, sys.executable, forecast.__file__, os.getcwd())"
    path = own("import sys, os, forecast\nstudy = forecast.load_study(STUDY, SET)", show)
    home = tmp_path / "elsewhere"
    home.mkdir()
    more = ["--seed", "5", "--set", "plan.periods=4", "--parameter", "SHARE=0.25", "--json", "--quiet"]
    result = command("notebook", str(path), str(small_study), *more, cwd=home)
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    name = load_study(small_study).name
    assert told["page"] == f"reports/{name}-own/own.html"
    page = (home / told["page"]).read_text(encoding="utf-8")
    assert f"runs 5 0.25 4 {sys.executable} {forecast.__file__} {tmp_path}\n" in page
    manifest = json.loads((home / told["folder"] / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["files"]["own.html"]["command"] == "notebook"
    again = command("notebook", str(path), str(small_study), *more, cwd=home)
    assert (again.returncode, again.stderr) == (0, "")
    assert (home / told["page"]).read_text(encoding="utf-8") == page


@pytest.mark.outside
@pytest.mark.parametrize(
    ("cell", "code", "said"),
    [
        ("x = 1\ny = x / 0\nz = 2", 1, ["y = x / 0", "ZeroDivisionError: division by zero"]),
        (
            'import forecast\nforecast.load_study("gone.toml")',
            2,
            ['forecast.load_study("gone.toml")', "gone.toml: there is no such file"],
        ),
        ("import os\nos._exit(9)", 1, ["its process ended"]),
    ],
    ids=["python", "ours", "dead"],
)
def test_a_cell_that_fails_is_told_and_no_page_is_written(own, small_study, tmp_path, cell, code, said):
    """Which cell, which line, what it says, with the exit code of its kind; nothing of a page is left."""
    pytest.importorskip("ipykernel")
    path = own("# %% [markdown]\n# ## The sum", cell)
    result = command("notebook", str(path), str(small_study), "--out", "out", "--quiet", cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stderr
    assert "own.py: cell 4 of 4 (The sum)" in result.stderr
    for text in said:
        assert text in result.stderr
    assert not (tmp_path / "out").exists()
