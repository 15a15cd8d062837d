"""The notebooks: percent scripts with parameters, each run from top to bottom in a planning folder."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

import forecast
from forecast import checking
from forecast.backtest import read_run
from forecast.books import parameters

ROOT = Path(forecast.__file__).parents[1]
SHARED = {"STUDY": "../models/demo.toml", "SEED": 1, "DRAWS": 4000, "SET": [], "OUT": ""}
OWN = {
    "plan": {},
    "review": {"RUN": "", "BACK": 3, "PLAN": "given"},
    "diagnose": {"STAGE": "won", "EXTEND": True},
    "decide": {"CHANNEL": "", "SWING": 0.3, "PERIODS": 2, "LIFT": None, "SE": None},
}
FIGURES = {"plan": 10, "review": 4, "diagnose": 4, "decide": 3}
FILES = {
    "plan": ("report.pdf", "summary.json", "forecast.csv", "draws.nc"),
    "review": ("run/draws.nc", "run/score.pdf", "run/score.csv", "run/score.json"),
    "diagnose": ("sampling.csv", "checks.csv", "summary.csv"),
    "decide": ("tests.csv", "results.csv", "changes.csv", "run/report.pdf", "run/draws.nc"),
}
MOST_LINES = 32  # of a cell
BOOKS = pytest.mark.parametrize("name", list(checking.BOOKS))


def text_of(name: str) -> str:
    """The script."""
    return (ROOT / "notebooks" / f"{name}.py").read_text(encoding="utf-8")


def cells_of(name: str) -> list[str]:
    """Its cells, each with its first line."""
    return ["# %%" + cell for cell in text_of(name).split("\n# %%")[1:]]


def test_every_notebook_is_told_of():
    """The scripts of the folder are those that the command knows."""
    assert {path.stem for path in (ROOT / "notebooks").glob("*.py")} == set(checking.BOOKS) == set(OWN)


@BOOKS
def test_it_is_a_percent_script_that_compiles(name: str):
    """Text and code alternate under headings, no cell is long, one holds the parameters, and the whole is Python."""
    compile(text_of(name), name, "exec")
    cells = cells_of(name)
    assert sum(cell.startswith('# %% tags=["parameters"]\n') for cell in cells) == 1
    assert sum(bool(re.search(r"^# ## \d\. ", cell, re.MULTILINE)) for cell in cells) >= 5
    texts = [cell for cell in cells if cell.startswith("# %% [markdown]\n")]
    assert len(texts) >= len(cells) / 4
    assert max(cell.count("\n") for cell in cells) <= MOST_LINES


@BOOKS
def test_its_parameters_are_the_documented_ones(name: str):
    """Those of every notebook and its own, in docs/notebooks.md too."""
    (cell,) = (cell for cell in cells_of(name) if cell.startswith('# %% tags=["parameters"]\n'))
    found = parameters(cell)
    assert found == SHARED | OWN[name]
    told = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    assert all(f"`{parameter}`" in told for parameter in found)


@BOOKS
def test_the_cells_are_read_as_they_are_written(name: str):
    """jupytext sees the same cells, with the tag that tells the parameters."""
    jupytext = pytest.importorskip("jupytext")
    book = jupytext.read(ROOT / "notebooks" / f"{name}.py")
    tagged = [cell for cell in book.cells if cell.metadata.get("tags") == ["parameters"]]
    assert [cell.cell_type for cell in tagged] == ["code"]
    assert book.cells[0].cell_type == "markdown"
    assert len(book.cells) == len(cells_of(name))


@pytest.fixture(scope="module")
def planning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planning folder, in which one notebook finds the fit of another."""
    folder = tmp_path_factory.mktemp("notebooks") / "planning"
    checking.init(folder)
    return folder


@pytest.mark.outside
@pytest.mark.filterwarnings("default")  # the kernel's own machinery is not under test
@BOOKS
def test_it_runs_clean_in_a_planning_folder(name: str, planning: Path, monkeypatch: pytest.MonkeyPatch):
    """Every cell runs, nothing is said on stderr, figures are shown, no text is a wall, and the outputs are there."""
    jupytext, nbclient = pytest.importorskip("jupytext"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = jupytext.read(planning / "notebooks" / f"{name}.py")
    tagged = next(cell for cell in book.cells if cell.metadata.get("tags") == ["parameters"])
    tagged.source = tagged.source.replace("DRAWS = 4000", "DRAWS = 1000")
    resources = {"metadata": {"path": str(planning / "notebooks")}}
    nbclient.NotebookClient(book, timeout=900, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == FIGURES[name]
    for output in outputs:
        said = output.get("text") or output.get("data", {}).get("text/plain", "")
        assert len(said) < 6000
        assert "<Axes" not in said
    written = planning / "reports" / f"demo-{name}"
    for file in FILES[name]:
        assert (written / file).stat().st_size > 0, file
    if name == "plan":
        status = json.loads((written / "summary.json").read_text(encoding="utf-8"))["verdict"]["status"]
        assert status in ("PASS", "REVIEW")
    if name == "review":
        outlook, run = read_run(written / "run")
        assert run["as_of"] == "2026-07"
        assert outlook.sizes["period"] == 3
    assert (planning / "models" / "demo.nc").is_file() or name == "review"


@pytest.mark.outside
def test_a_notebook_by_its_command(planning: Path):
    """`forecast notebook` writes one page, with every figure in it, that asks for nothing, and the run beside it."""
    pytest.importorskip("ipykernel")
    import subprocess

    command = [
        sys.executable,
        "-m",
        "forecast",
        "notebook",
        "plan",
        "models/demo.toml",
        "--draws",
        "1000",
        "--no-code",
    ]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    made = subprocess.run(
        [*command, "--out", "reports/page"],
        cwd=planning,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stdout) == (0, "Notebook: reports/page/plan.html\n"), made.stderr
    page = (planning / "reports" / "page" / "plan.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == FIGURES["plan"]
    assert not re.findall(r"<script|<link|<iframe|src=\"(?!data:)|@import|url\(", page)
    assert "load_study" not in page
    manifest = json.loads((planning / "reports" / "page" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["files"]["plan.html"]["command"] == "notebook"
    assert manifest["files"]["report.pdf"]["command"] == "run"
