"""Fixtures of more than one module: the demo run once for the whole suite, and a small company with a fit by hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest.doctest import DoctestModule

from forecast.progress import Silent

if TYPE_CHECKING:
    from forecast.results import Results

ROOT = Path(__file__).parents[1]
DEMO_DRAWS = (
    1000  # a quarter of what a user gets: `tests/test_end_to_end.py` runs it as it stands too, slowly
)
# Matrices here are small: threads of the linear algebra cost more than they bring, and each worker would start its own.
# Workers and commands take this over; a process that has loaded numpy before (by a plugin) keeps its threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Without compiled modules kept, each worker would rewrite every test anew, and each command compile the whole package.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Logs of errors that tests make on purpose are not for the home of whoever runs them.
os.environ["XDG_STATE_HOME"] = str(Path(tempfile.gettempdir()) / "growth-forecast-tests")


@dataclass(frozen=True)
class DemoRun:
    """One run of `forecast demo`: its folder, and what the command said."""

    folder: Path
    process: subprocess.CompletedProcess[str]


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Examples stand in the package; to look for them in every test takes as long as to find the tests."""
    return [each for each in (yield) if not isinstance(each, DoctestModule)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the demo come first, so that one worker has them all: no other waits while it runs."""
    items.sort(key=lambda item: "demo_run" not in getattr(item, "fixturenames", ()))


def command(*args: str, cwd: Path, code: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m forecast ARGS` (or a piece of Python with these arguments) as a process of its own."""
    start = ["-m", "forecast"] if code is None else ["-c", code]
    paths = os.environ | {"PYTHONPATH": str(ROOT)} | env
    return subprocess.run(
        [sys.executable, *start, *args], cwd=cwd, env=paths, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """The bundled demo, run as a user runs it, but for fewer draws; once, however many processes test."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo"
    said = home.with_name("demo.json")
    try:
        home.mkdir()
    except FileExistsError:  # another process runs it
        while not said.exists():
            time.sleep(0.2)
        return DemoRun(
            home / "run", subprocess.CompletedProcess(**json.loads(said.read_text(encoding="utf-8")))
        )
    process = command("demo", "--out", "run", "--json", "--draws", str(DEMO_DRAWS), cwd=home)
    said.with_suffix(".part").write_text(json.dumps(vars(process)), encoding="utf-8")
    said.with_suffix(".part").rename(said)
    return DemoRun(home / "run", process)


@pytest.fixture
def demo_study(demo_run: DemoRun, tmp_path: Path) -> Path:
    """The demo's study and data in a folder of their own, with its posterior saved beside them."""
    for name in ("demo.toml", "demo.csv"):
        shutil.copyfile(ROOT / "forecast" / "bundled" / name, tmp_path / name)
    shutil.copyfile(demo_run.folder / "posterior.nc", tmp_path / "demo.nc")
    return tmp_path / "demo.toml"


STUDY = """\
name = "small"

[history]
counts = "small.csv"
through = "2026-06"

[funnel]
market = "b2b"

[channels.ppc]
kind = "ppc"

[plan]
periods = 3
target = { revenue = 40_000 }
"""


def counts(*, cohort: bool = False) -> str:
    """Eighteen months of two channels, as CSV. In cohort counts the stages are those of the very same leads."""
    lines = ["period,channel,spend,visitors,leads,qualified,won,revenue"]
    for month in range(18):
        label = f"{2025 + month // 12}-{month % 12 + 1:02d}"
        spend, won = 2000 + 150 * (month % 5), 3 if cohort else 2 + month % 3
        lines.append(f"{label},ppc,{spend},{spend // 2},{spend // 40},{spend // 100},{won},{won * 4100}")
        lines.append(f"{label},seo,0,900,{27 + month % 4},{10 + month % 3},2,9000")
    return "\n".join(lines) + "\n"


@pytest.fixture
def no_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs without drawing: in report.pdf, report.xlsx and whatif.html stands the forecast as CSV, all other
    files are real.

    For tests of what is written when and where; what stands on paper is for tests/report and the demo.
    """

    def pdf(made: Results, *, timestamp: int) -> bytes:
        return b"%PDF-" + made.forecast.to_csv().encode()

    def workbook(made: Results, path: Path, *, created: object) -> None:
        path.write_bytes(made.forecast.to_csv().encode())

    def page(made: Results) -> bytes:
        return made.forecast.to_csv().encode()

    def plain(report: object, *, timestamp: int) -> bytes:
        return b"%PDF-"

    def tables(title: object, lines: object, made: object, path: Path, **_: object) -> None:
        path.write_bytes(b"xlsx")

    monkeypatch.setattr("forecast.report.pdf.report_pdf", pdf)
    monkeypatch.setattr("forecast.report.whatif.whatif_page", page)
    monkeypatch.setattr("forecast.report.pdf.pdf_of", plain)
    monkeypatch.setattr("forecast.report.workbook.write_tables", tables)
    monkeypatch.setattr("forecast.report.workbook.write_workbook", workbook)


class Notes(Silent):
    """Progress that remembers its steps."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        """Note it."""
        self.steps.append(text)


def listing(folder: Path) -> list[str]:
    """Everything below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def save_by_hand(study: Path, *, failures: tuple[str, ...] = (), draws: int | None = None) -> Path:
    """Save a posterior of known constants where the study's fit is looked for, as if it had been fitted.

    draws: how many it says were asked for (None: as many as where nothing is).
    """
    from posterior_fixture import posterior

    from forecast.fit import DEFAULT_DRAWS, DEFAULT_SEED, fit_hash, save_posterior
    from forecast.history import read_history
    from forecast.making import posterior_path
    from forecast.study import load_study

    loaded = load_study(study)
    history = read_history(loaded)
    rates = {"leads": 0.04, "qualified": 0.4, "won": 0.25}
    delays = {"qualified": (0.5, 0.8), "won": (1.5, 0.8)}
    known = posterior(history, rates, delays=delays, elasticity=[[0.4, 0.6]], traffic_noise=0.2)
    names = ("visitors to leads", "leads to qualified", "qualified to won", "visitors")
    sampled = {
        "max_rhat": 1.001, "worst": "mu", "min_ess_bulk": 2000.0, "min_ess_tail": 1500.0, "divergences": 0,
        "min_bfmi": 0.9, "at_depth": 0.0, "draws": 4000, "asked": 4000,
    }  # fmt: skip
    provenance = {
        "fit_hash": fit_hash(loaded, history, DEFAULT_SEED, draws or DEFAULT_DRAWS),
        "seed": DEFAULT_SEED,
        "draws": draws or DEFAULT_DRAWS,
        "failures": list(failures),
    }
    path = posterior_path(loaded)
    save_posterior(
        replace(
            known,
            diagnostics=tuple({"part": name, **sampled} for name in names),
            provenance=known.provenance | provenance,
        ),
        path,
    )
    return path


@pytest.fixture
def small_study(tmp_path: Path) -> Path:
    """A small company in a folder of its own: study and data, no fit."""
    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "small.csv").write_text(counts(), encoding="utf-8")
    return tmp_path / "small.toml"


@pytest.fixture(scope="session")
def fit_by_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small company's posterior of known constants, made once."""
    home = tmp_path_factory.mktemp("small")
    (home / "small.toml").write_text(STUDY, encoding="utf-8")
    (home / "small.csv").write_text(counts(), encoding="utf-8")
    return save_by_hand(home / "small.toml")


@pytest.fixture
def fitted_study(small_study: Path, fit_by_hand: Path) -> Path:
    """The small company with its posterior saved: every job but the fit runs in a moment."""
    shutil.copyfile(fit_by_hand, small_study.with_suffix(".nc"))
    return small_study
