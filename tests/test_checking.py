"""What is asked of a study before a fit, the folder to plan in, and what a start loads."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import ROOT, STUDY, listing

from forecast import checking, workflow
from forecast.cli import app
from forecast.errors import StudyError, UsageError
from forecast.outputs import FILES, LEVER_FILES, LEVER_TOTALS

HEAVY = (
    "matplotlib",
    "typst",
    "xlsxwriter",
    "scipy.stats",
    "scipy.optimize",
    "highspy",
    "pymc",
    "numba",
    "duckdb",
)


@pytest.mark.parametrize("command", ["check", "init"])
def test_a_start_loads_nothing_heavy(tmp_path: Path, command: str):
    """Neither figures, documents, sheets, distributions, a solver nor a sampler: by the list of modules."""
    place = ROOT / "forecast" / "bundled" / "demo.toml" if command == "check" else tmp_path / "plan"
    text = (
        "import sys; from forecast.cli import app\ntry: app()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", text, command, str(place)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ran.stderr.split())
    assert "forecast.checking" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_check_reads_everything_and_fits_nothing(small_study: Path):
    """Periods, channels, stages, and the worst status of the audit."""
    result = checking.check(small_study)
    assert result.summary["periods"] == ["2025-01", "2026-06"]
    assert result.summary["channels"] == ["ppc", "seo"]
    assert result.summary["stages"] == ["visitors", "leads", "qualified", "won"]
    assert result.summary["status"] == "REVIEW"
    assert len(result.summary["audit"]) == len(result.made[0])


@pytest.mark.parametrize("job", [checking.check, workflow.run])
def test_a_revenue_target_needs_revenue(small_study: Path, job: Any):
    """Said before anything is fitted, with the three ways out."""
    data = small_study.parent / "small.csv"
    pd.read_csv(data).drop(columns="revenue").to_csv(data, index=False)
    with pytest.raises(StudyError, match=r"small\.toml:15: plan\.target: .*funnel\.value.*won = 45"):
        job(small_study)
    assert checking.check(small_study, overrides=["funnel.value=4000"]).summary["status"] == "REVIEW"
    assert checking.check(small_study, overrides=["plan.target={won = 9}"]).summary["status"] == "REVIEW"


@pytest.mark.parametrize("column", ["won", "revenue"])
@pytest.mark.parametrize("job", [checking.check, workflow.fit])
def test_a_column_of_zeros_is_no_revenue(small_study: Path, job: Any, column: str):
    """A young company: nothing won yet, or nothing paid. The same words as without the column, before the fit."""
    path = small_study.with_suffix(".csv")
    table = pd.read_csv(path)
    table["revenue"] = 0
    table[column] = 0
    table.to_csv(path, index=False)
    with pytest.raises(StudyError, match="asks for revenue, and the data have none"):
        job(small_study)


@pytest.mark.parametrize("job", [checking.check, workflow.run])
def test_limits_that_cannot_be_met_are_told_before_the_fit(small_study: Path, job: Any):
    """The least that the limits ask for is more than the total: with the numbers and the ways out."""
    limits = ["budget.total=1000", "budget.limits.ppc.min=4000"]
    expected = (
        r"budget\.total: at most 1\s000 in total \(at least 4\s000 would do\)(.|\n)*ppc at least 4\s000"
    )
    with pytest.raises(UsageError, match=expected):
        job(small_study, overrides=limits)


def test_init_makes_a_folder_to_plan_in(tmp_path: Path):
    """Study, data and notebooks, an empty folder for reports; the study is sound as it stands."""
    made = checking.init(tmp_path / "plan" / "2027")
    home = tmp_path / "plan" / "2027"
    assert listing(home) == [
        "models",
        "models/demo.csv",
        "models/demo.toml",
        "notebooks",
        "notebooks/README.md",
        "notebooks/decide.py",
        "notebooks/diagnose.py",
        "notebooks/plan.py",
        "notebooks/review.py",
        "reports",
    ]
    assert set(made) == {home / name for name in listing(home) if "." in name}
    assert checking.check(home / "models" / "demo.toml").summary["status"] in ("PASS", "REVIEW")
    for name in checking.BOOKS:
        notebook = (home / "notebooks" / f"{name}.py").read_text(encoding="utf-8")
        assert 'STUDY = "../models/demo.toml"' in notebook
        assert f"| `{name}.py` | {checking.BOOKS[name]} |" in (home / "notebooks" / "README.md").read_text(
            encoding="utf-8"
        )


def test_a_quarter_can_be_planned_inside_the_new_folder(
    tmp_path: Path, no_paper: None, monkeypatch: pytest.MonkeyPatch
):
    """`forecast check`, then `forecast run --preview --set`, from within the folder."""
    checking.init(tmp_path / "plan")
    monkeypatch.chdir(tmp_path / "plan")
    assert CliRunner().invoke(app, ["check", "models/demo.toml"]).exit_code == 0
    again = ["run", "models/demo.toml", "--preview", "--draws", "100", "--set", "plan.periods=4", "--quiet"]
    made = CliRunner().invoke(app, again)
    assert made.exit_code == 0, made.stderr
    assert "Report: reports/demo/report.pdf" in made.stdout
    assert set(listing(tmp_path / "plan" / "reports" / "demo")) == {
        *FILES,
        *LEVER_FILES,
        *LEVER_TOTALS,
        "manifest.json",
    }


def test_init_overwrites_nothing(tmp_path: Path):
    """A study that is there already is named, and stays; nothing is added beside it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "demo.toml").write_text(STUDY, encoding="utf-8")
    with pytest.raises(UsageError, match=r"demo\.toml exists already; nothing was written"):
        checking.init(tmp_path)
    assert listing(tmp_path) == ["models", "models/demo.toml"]
    assert (tmp_path / "models" / "demo.toml").read_text(encoding="utf-8") == STUDY


@pytest.mark.parametrize("where", ["notebooks", "reports", "models"])
def test_init_that_fails_leaves_nothing_behind(tmp_path: Path, where: str):
    """A file where a folder should be: named, and what was made by then is taken away again."""
    (tmp_path / where).write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match=f"{where}: cannot be written"):
        checking.init(tmp_path)
    assert listing(tmp_path) == [where]


def test_init_on_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Half a copy is taken away with its folders."""

    def full(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(checking.shutil, "copyfile", full)
    with pytest.raises(UsageError, match="No space left on device"):
        checking.init(tmp_path / "new" / "plan")
    assert listing(tmp_path) == []


def test_a_date_of_the_horizon_is_asked_of_the_file_alone(tmp_path: Path):
    """The bundled company as of an earlier month: what its horizon does not reach is left out; in the file, refused."""
    for name in ("demo.toml", "demo.csv"):
        shutil.copyfile(ROOT / "forecast" / "bundled" / name, tmp_path / name)
    path = tmp_path / "demo.toml"
    study, history, _ = checking.read_asked(path, ["history.through='2026-03'"], None)
    assert (history.labels[-1], len(study.scenarios)) == ("2026-03", 3)
    with pytest.raises(StudyError, match=r"scenario\.1\.channels"):
        checking.read_asked(
            path,
            [
                "history.through='2026-03'",
                "scenario=[{name='x', start='2026-04', rate.won.times=1.1, channels=['pcp']}]",
            ],
            None,
        )
    text = path.read_text(encoding="utf-8").replace('through = "2026-10"', 'through = "2026-03"')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(
        StudyError, match=r"demo\.toml:\d+: scenario\.1\.start: expected a period of the horizon"
    ):
        checking.read_asked(path, [], None)
