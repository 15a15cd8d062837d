"""As in a container: package and home read-only at once, no caches, C locale, no folder for temporary files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, STUDY, counts

ROOTS_OWN = hasattr(os, "geteuid") and os.geteuid() == 0
# The superuser may write what is read-only: it has to give that up.
WITHOUT_POWERS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if ROOTS_OWN else []
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="modes of files are of POSIX"),
    pytest.mark.skipif(ROOTS_OWN and shutil.which("setpriv") is None, reason="root writes everywhere"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory):
    """A copy of the package that nobody may write to, without compiled files."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "forecast", folder / "forecast", ignore=shutil.ignore_patterns("__pycache__"))
    _modes(folder, 0o555, 0o444)
    yield folder
    _modes(folder, 0o755, 0o644)


def _modes(folder: Path, of_folders: int, of_files: int) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(of_folders if path.is_dir() else of_files)


@pytest.mark.parametrize("home", ["read-only", "absent"])
def test_everything_works_where_nothing_can_be_kept(package: Path, tmp_path: Path, home: str):
    """A preview, a fit and a run from it: no word on stderr, nothing written but what was asked for."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "small.toml").write_text(STUDY, encoding="utf-8")
    (work / "small.csv").write_text(counts(), encoding="utf-8")
    env = {"PATH": os.defpath, "LC_ALL": "C", "PYTHONPATH": str(package), "TMPDIR": str(tmp_path / "nothing")}
    if home == "read-only":
        (tmp_path / "home").mkdir(mode=0o555)
        env["HOME"] = str(tmp_path / "home")
    for args in (
        ["run", "small.toml", "--preview", "--draws", "60", "--out", "preview"],
        ["fit", "small.toml", "--draws", "400", "--go-on"],
        ["run", "small.toml", "--draws", "400", "--go-on", "--out", "run"],
    ):
        command = [*WITHOUT_POWERS, sys.executable, "-m", "forecast", *args, "--quiet"]
        made = subprocess.run(command, cwd=work, env=env, capture_output=True, text=True, check=False)
        assert (made.returncode, made.stderr) == (0, "")
    assert {"small.toml", "small.csv", "small.nc", "preview", "run"} == {path.name for path in work.iterdir()}
    assert (work / "run" / "report.pdf").read_bytes().startswith(b"%PDF")
    assert not list(package.rglob("__pycache__"))
