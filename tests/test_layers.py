"""The house: floors, doors used through their faces, heavy packages and formats of numbers where they belong."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import forecast

PACKAGE = Path(forecast.__file__).parent
ROOT = PACKAGE.parent
FLOORS = """
    errors amounts bounds periods progress equations saved speech \
    words checks tables columns showing outputs unforeseen threads stopping written ending jobs
    study
    read
    history funnel
    fit
    leads
    outlook
    budget backtest lab
    results verdict coupling
    report asking making judging grouping drafting
    planning checking reviewing
    proposing workflow comparing books
    signing options questions portfolio telling
    cli
    __main__
"""
RANK = {room: floor for floor, line in enumerate(FLOORS.strip().splitlines()) for room in line.split()}
ONLY = {
    "fit": {"pymc", "pytensor", "nutpie", "numba", "arviz", "arviz_stats"},
    "report": {"matplotlib", "typst"},
}
LABELS = ("words.py", "periods.py", "lab")  # may format numbers: the writers, and names that machines read
INSIDE = {("lab", "fit")}  # made companies are drawn from the priors themselves

FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
DOORS = sorted({path.parts[0] for path in FILES if len(path.parts) > 1 and path.parts[0] != "bundled"})


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All that is written in a file, read once for all tests."""
    return tuple(ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))))


def imports(path: Path) -> list[str]:
    """Dotted names of all that a file imports, at its top or inside its functions."""
    found: list[str] = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"forecast/{path}: imports are written whole"
            whole = node.module in ("forecast", *(f"forecast.{door}" for door in DOORS))
            found += [f"{node.module}.{a.name}" if whole else str(node.module) for a in node.names]
    return found


def room(path: Path) -> str:
    """The folder, or the file beside the folders."""
    return path.parts[0] if len(path.parts) > 1 else path.stem


def is_file(dotted: str) -> bool:
    """Whether a dotted name below the package is a file or folder of it."""
    place = PACKAGE.joinpath(*dotted.split("."))
    return place.with_suffix(".py").exists() or place.is_dir()


@pytest.mark.parametrize("path", [p for p in FILES if p.parts[0] != "__init__.py"], ids=str)
def test_imports_point_down_through_faces(path: Path):
    """A file imports from floors below its own room, of another folder only what its face lists; none imports lab."""
    own = room(path)
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top != "forecast":
            assert all(top not in packages or own == door for door, packages in ONLY.items()), name
            continue
        other, _, inner = rest.partition(".")
        if not other or other == own or not is_file(other):  # a name of the package itself: its version
            continue
        assert other != "lab", f"{path} imports {name}: made companies are for tests, benchmarks and docs"
        assert RANK[other] < RANK[own] or RANK[other] == 0, f"{path} imports {name}"
        assert not (inner and is_file(f"{other}.{inner}")) or (own, other) in INSIDE, (
            f"{path}: {name} is inside"
        )


@pytest.mark.parametrize("path", [p for p in FILES if p.parts[0] not in LABELS], ids=str)
def test_numbers_become_text_in_words_alone(path: Path):
    """No format spec of a number, no `format`: who says something says `words.message`, and words writes it."""
    for node in nodes(path):
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            spec = ast.unparse(node.format_spec)[2:-1]
            number = "," in spec or spec.endswith(tuple("f%ged"))
            assert not number, f"{path}:{node.lineno}: {spec}"
        elif isinstance(node, ast.Call):
            assert getattr(node.func, "attr", getattr(node.func, "id", "")) != "format", (
                f"{path}:{node.lineno}"
            )


@pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="a source distribution has no benchmarks")
def test_tests_and_benchmarks_go_through_the_faces():
    """A test looks inside its own door alone, a benchmark and a notebook inside none."""
    for top in ("tests", "benchmarks", "notebooks"):
        for path in (ROOT / top).rglob("*.py"):
            own = path.relative_to(ROOT).parts[1]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                module = str(node.module) if isinstance(node, ast.ImportFrom) else ""
                package, _, rest = module.partition(".")
                door, _, inner = rest.partition(".")
                inside = package == "forecast" and door in DOORS and inner
                assert not inside or door == own or (own, door) in INSIDE, f"{path}: {module} is inside"


def test_there_is_no_circle():
    """Also between the files of one folder."""
    by_parts = {path.with_suffix("").parts: path for path in FILES}
    graph = {}
    for path in FILES:
        names = {n.removeprefix("forecast.") for n in imports(path) if n.startswith("forecast.")}
        parts = {tuple(name.split(".")) for name in names}
        near = (by_parts.get(p[:cut]) for p in parts for cut in (len(p), len(p) - 1))
        graph[path] = {other for other in near if other is not None}
    assert sum(map(len, graph.values())) > len(FILES)
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("door", ["", *DOORS])
def test_a_face_lists_names_that_load_and_are_no_files(door: str):
    """The stub beside a face is its list; a function named as a file would be replaced by it on import."""
    import importlib

    face = importlib.import_module(f"forecast.{door}".rstrip("."))
    files = {p.stem for p in (PACKAGE / door).iterdir()}
    assert not set(face.__all__) & files
    for name in face.__all__:
        assert getattr(face, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    """A typing mistake does not end in an import error from somewhere else."""
    with pytest.raises(AttributeError, match="load_studdy"):
        forecast.load_studdy  # noqa: B018
