"""What is installed: pinned versions, the scripts that find a Python, and what a wheel holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import forecast

ROOT = Path(forecast.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_every_dependency_is_pinned_once():
    """Each dependency that `make setup` installs has one exact version, or one for each platform."""
    extras = PROJECT["optional-dependencies"]
    wanted = {_name(line) for line in [*PROJECT["dependencies"], *extras["dev"], *extras["notebook"]]}
    assert wanted <= {_name(line) for line in CONSTRAINTS}
    assert all(re.match(r"[a-z0-9._-]+==[0-9][^ ]*( ; .+)?$", line) for line in CONSTRAINTS)


def test_constraints_name_no_host():
    """The pins hold on any machine: no address, no path, no index."""
    assert not [line for line in CONSTRAINTS if "/" in line or "@" in line or line.startswith("-")]


@pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")
def test_find_python_takes_what_it_is_told():
    """PYTHON=/path names the interpreter."""
    result = _find_python(sys.executable)
    assert result.returncode == 0
    assert Path(result.stdout.strip()).exists()


@pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")
def test_find_python_says_what_to_install():
    """Without a Python that suits: exit 1, nothing on stdout, and what to install on stderr."""
    result = _find_python("/no/such/python")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "Python 3.12, 3.13 or 3.14 is needed" in result.stderr
    assert "apt install python3" in result.stderr


def _find_python(python: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(ROOT / "tools" / "find-python.sh")]
    return subprocess.run(
        command, env=os.environ | {"PYTHON": python}, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_wheel_holds_everything_the_package_needs(tmp_path):
    """Every file of the package is in the wheel, compiled files aside, with the notebook of `init`; nothing else."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    package = ROOT / "forecast"
    files = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == files | {"forecast/bundled/quarterly.py"}
