"""What is installed: pinned versions, the scripts that find a Python, and what a wheel holds."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import forecast
from forecast.checking import BOOKS

ROOT = Path(forecast.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_every_dependency_is_pinned_once():
    """Each dependency that `make setup` and `make test-outside` install has one exact version, or one a platform."""
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *extras["dev"], *extras["notebook"], *extras["browser"]]
    wanted = {_name(line) for line in lines}
    assert wanted <= {_name(line) for line in CONSTRAINTS}
    assert all(re.match(r"[a-z0-9._-]+==[0-9][^ ]*( ; .+)?$", line) for line in CONSTRAINTS)


def test_constraints_name_no_host():
    """The pins hold on any machine: no address, no path, no index."""
    assert not [line for line in CONSTRAINTS if "/" in line or "@" in line or line.startswith("-")]


def test_the_citation_is_of_this_version():
    """CITATION.cff has what its format asks for, and says what pyproject.toml says; no address or number is made up."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    allowed = {
        "cff-version",
        "message",
        "type",
        "title",
        "abstract",
        "version",
        "license",
        "authors",
        "keywords",
    }
    assert {"cff-version", "message", "title", "authors"} <= set(told) <= allowed
    assert told["cff-version"] == "1.2.0"
    assert told["type"] == "software"
    assert told["version"] == forecast.__version__ == PROJECT["version"]
    assert (told["title"], told["license"]) == (PROJECT["name"], PROJECT["license"])
    assert told["authors"] == PROJECT["authors"]
    assert told["abstract"] == PROJECT["description"]
    assert told["keywords"] == PROJECT["keywords"]
    assert len(set(told["keywords"])) == len(told["keywords"])
    assert all(isinstance(word, str) and word for word in [*told["keywords"], told["message"]])


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


@pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")
def test_find_python_finds_one_version_alone():
    """Another one than that which is asked for does not do, and the message names the one that is missing."""
    own, other = f"3.{sys.version_info[1]}", f"3.{12 + (sys.version_info[1] - 11) % 3}"
    assert _find_python(sys.executable, own).stdout.strip()
    result = _find_python(sys.executable, other)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"Python {other} is needed and none was found" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")
def test_versions_that_are_not_found_are_skipped_and_said():
    """None found is a failure: a check of nothing has shown nothing."""
    command = ["sh", str(ROOT / "tools" / "test-versions.sh")]
    env = {k: v for k, v in os.environ.items() if k != "PYTHON"} | {"VERSIONS": "3.99"}
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        "Python 3.99: not found here, skipped",
        "passed: none; failed: none; not found: 3.99",
    ]


def _find_python(python: str, *version: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(ROOT / "tools" / "find-python.sh"), *version]
    return subprocess.run(
        command, env=os.environ | {"PYTHON": python}, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_wheel_holds_everything_the_package_needs(tmp_path):
    """Every file of the package is in the wheel, compiled files aside, with the notebooks; nothing else."""
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
    assert held == files | {f"forecast/bundled/{name}.py" for name in BOOKS}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="umask is of POSIX")
def test_wheel_and_source_distribution_are_the_same_bytes_anywhere(tmp_path):
    """Two copies of the sources, other dates, modes, umask, zone and locale, caches about: bit for bit alike.

    The wheel that is made from the source distribution is the same, too.
    """
    built = []
    for name, umask, env in (
        ("one", 0o022, {"TZ": "UTC", "LC_ALL": "C.UTF-8"}),
        ("two", 0o077, {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "5"}),
    ):
        home = tmp_path / name / "some folder"
        _copy_sources(home)
        if name == "two":
            (home / "forecast" / "__pycache__").mkdir()
            (home / "forecast" / "__pycache__" / "words.cpython-313.pyc").write_bytes(b"x")
            for path in home.rglob("*"):
                path.chmod(path.stat().st_mode & 0o700)
                os.utime(path, (1e9, 1e9))
        built.append(_built(home, umask, env))
    assert built[0] == built[1]
    assert sorted(name.split("-0")[0] for name in built[0]) == ["growth_forecast", "growth_forecast"]
    (source,) = (tmp_path / "one" / "some folder" / "dist").glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "from", filter="data")
    (home,) = (tmp_path / "from").iterdir()
    (wheel,) = (name for name in built[0] if name.endswith(".whl"))
    assert _built(home, 0o022, {}, "-t", "wheel")[wheel] == built[0][wheel]


def _copy_sources(home: Path) -> None:
    """What a checkout holds that the build may look at."""
    for name in ("forecast", "tests", "docs", "models", "notebooks", "tools"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__", "*.nc"))
    for name in (
        "Makefile",
        "constraints.txt",
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "README.md",
        "LICENSE",
        "pyproject.toml",
        ".gitignore",
    ):
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, home / name)


def _built(home: Path, umask: int, env: dict[str, str], *target: str) -> dict[str, str]:
    """SHA-256 of what hatchling builds there, by name."""
    dated = {"SOURCE_DATE_EPOCH": "1580601600"}
    command = [sys.executable, "-m", "hatchling", "build", *target]
    subprocess.run(
        command, cwd=home, check=True, capture_output=True, env=os.environ | dated | env, umask=umask
    )
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (home / "dist").iterdir()}
