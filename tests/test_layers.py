"""The floors of the package: imports point strictly down, and heavy packages stay where they belong."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import forecast

PACKAGE = Path(forecast.__file__).parent
MAX_LINES = 450

FLOORS: list[set[str]] = [
    {"errors"},
    {"jobs", "uniform", "scores", "capacity", "cure", "pooling", "lead_worlds", "threshold"},
    {"program"},
    {"pieces", "prices"},
    {"solver"},
    {"periods", "benchmarks", "presets", "worlds", "study_file", "gaussian", "gamma_kernels", "waves"},
    {"study_lift", "study_backtest", "study_budget"},
    {"study_leads"},
    {"study_scenario"},
    {"study", "files"},
    {"lead_files"},
    {"funnel", "delay", "history", "rows", "leads", "synthetic", "lifetime"},
    {"segment_rows"},
    {"sources", "audit_rates", "inputs", "baselines", "tails", "features", "scoring_model"},
    {"traffic_inputs", "audit", "audit_mistakes", "leakage", "scoring"},
    {"model", "kernels", "posterior", "prior_draws", "segments"},
    {"traffic_kernels"},
    {"native"},
    {"sampling"},
    {"sensitivity"},
    {"fit", "instant"},
    {"pipeline"},
    {"simulate", "predictive"},
    {"recycling", "response", "economics", "attribution"},
    {"limits", "outcomes", "sales", "benchmark_gap", "customers", "expected"},
    {"levers"},
    {"flighting", "objectives", "information", "scenarios"},
    {"certificate", "tornado"},
    {"allocate"},
    {"decision", "goals"},
    {"lever_tables"},
    {"tables", "results", "verdict"},
    {"sentences", "backtest_words"},
    {"figures"},
    {
        "chapters",
        "backtest_figures",
        "budget_figures",
        "scoring_figures",
        "leads_figures",
        "economics_figures",
    },
    {"scenario_figures"},
    {"leads_chapter", "scenario_chapter", "backtest_chapter", "budget_chapter", "economics_chapter"},
    {"report", "workbook"},
    {"export"},
    {"backtest_summary"},
    {"planning"},
    {"ranking", "calibration"},
    {"backtest_origin", "actuals"},
    {"backtest"},
    {"workflow"},
    {"console"},
    {"ranking_text", "scenario_text", "cli_options", "backtest_text"},
    {"cli"},
    {"__main__", "cli_reference"},
]
RANK = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}

SAMPLER = {"pymc", "nutpie", "pytensor", "arviz", "arviz_stats"}
DRAWING = {"matplotlib", "typst"}
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def _imports(source: str) -> tuple[set[str], set[str]]:
    """The modules of this package, and the top-level names of other packages, that a source imports."""
    ours: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "forecast" + (f".{node.module}" if node.module else "") if node.level else str(node.module)
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "forecast" else [base]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == "forecast" and rest:  # the bare package holds only its version and lazy names
                ours.add(rest.partition(".")[0])
            elif top != "forecast":
                others.add(top)
    return ours, others


def _source(module: str) -> str:
    return (PACKAGE / f"{module}.py").read_text(encoding="utf-8")


def test_the_walk_sees_every_form_of_import():
    """All five spellings of an import are found, also inside functions."""
    source = (
        "import forecast.audit\nfrom forecast import fit\nfrom forecast.study import Study\n"
        "from . import posterior\n"
        "def later():\n    from .tables import Tables\n    import pymc.math\n"
    )
    assert _imports(source) == ({"audit", "fit", "study", "posterior", "tables"}, {"pymc"})


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_floor(module):
    """A new module is given its floor here, on purpose."""
    assert module in RANK, f"decide on which floor forecast/{module}.py belongs and add it to FLOORS"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    """A module imports only from floors below its own, never beside it or by lazy names."""
    ours, _ = _imports(_source(module))
    wrong = {name for name in ours if RANK.get(name, 99) >= RANK.get(module, -1)}
    assert not wrong, f"forecast/{module}.py (floor {RANK.get(module)}) imports {sorted(wrong)}"


@pytest.mark.parametrize("module", MODULES)
def test_heavy_packages_stay_where_they_belong(module):
    """Only model, sampling and sensitivity know the sampler's packages; only figures and report draw."""
    _, others = _imports(_source(module))
    if module not in {"model", "sampling", "sensitivity", "scoring_model"}:
        assert not others & SAMPLER
    if module not in {
        "figures",
        "backtest_figures",
        "budget_figures",
        "scenario_figures",
        "scoring_figures",
        "economics_figures",
        "leads_figures",
        "report",
    }:
        assert not others & DRAWING


@pytest.mark.parametrize("module", ["__init__", *MODULES])
def test_files_stay_small(module):
    """A file that grows past the limit has two subjects."""
    assert len(_source(module).splitlines()) <= MAX_LINES


def test_lazy_names_are_all_there_sorted_and_no_module_names():
    """`__all__` is sorted and complete, each name loads, and none shares its name with a module."""
    assert forecast.__all__ == sorted(forecast.__all__)
    assert set(forecast.__all__) == set(forecast._LAZY)
    assert not set(forecast.__all__) & set(MODULES)
    for name in forecast.__all__:
        assert callable(getattr(forecast, name)), name


def test_an_unknown_name_is_an_attribute_error():
    """A typing mistake does not end in an import error from somewhere else."""
    with pytest.raises(AttributeError, match="load_studdy"):
        forecast.load_studdy  # noqa: B018
