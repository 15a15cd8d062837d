"""The quarterly notebook: a percent script that runs from top to bottom in a planning folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import forecast
from forecast import checking

ROOT = Path(forecast.__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "quarterly.py"


def test_it_is_a_percent_script_that_compiles():
    """Text and code alternate, one cell holds the parameters, and the whole is valid Python."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    compile(text, str(NOTEBOOK), "exec")
    cells = [line for line in text.splitlines() if line.startswith("# %%")]
    assert cells.count('# %% tags=["parameters"]') == 1
    assert sum(cell == "# %% [markdown]" for cell in cells) >= 5
    assert sum(cell == "# %%" for cell in cells) >= 5


def test_its_parameters_are_the_documented_ones():
    """The cell of parameters sets STUDY, SEED and DRAWS, and nothing else."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    cell = text.split('# %% tags=["parameters"]\n')[1].split("\n# %%")[0]
    found: dict[str, object] = {}
    exec(cell, {}, found)  # noqa: S102 - three assignments from our own file
    assert found == {"STUDY": "../models/demo.toml", "SEED": 1, "DRAWS": 4000}


def test_the_cells_are_read_as_they_are_written():
    """jupytext sees the same cells, with the tag that tells the parameters."""
    jupytext = pytest.importorskip("jupytext")
    book = jupytext.read(NOTEBOOK)
    tagged = [cell for cell in book.cells if cell.metadata.get("tags") == ["parameters"]]
    assert [cell.cell_type for cell in tagged] == ["code"]
    assert book.cells[0].cell_type == "markdown"


@pytest.mark.outside
@pytest.mark.filterwarnings("default")  # the kernel's own machinery is not under test
def test_it_runs_clean_in_a_planning_folder(tmp_path, monkeypatch):
    """In a fresh planning folder every cell runs, nothing is said on stderr, and the outputs are written."""
    jupytext, nbclient = pytest.importorskip("jupytext"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    folder = tmp_path / "planning"
    checking.init(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = jupytext.read(folder / "notebooks" / "quarterly.py")
    resources = {"metadata": {"path": str(folder / "notebooks")}}
    nbclient.NotebookClient(book, timeout=900, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 2
    written = folder / "reports" / "demo-notebook"
    assert json.loads((written / "summary.json").read_text(encoding="utf-8"))["verdict"]["status"] != "FAIL"
    assert (written / "report.pdf").stat().st_size > 10_000
    assert (folder / "models" / "demo.nc").is_file()
