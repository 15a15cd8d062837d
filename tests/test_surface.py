"""The public surface: the names that docs/stability.md promises, and their types as an outsider's checker sees them."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import get_overloads

import pytest
from conftest import ROOT

import forecast

LISTED = re.compile(r"^```text names\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FUNCTIONS = [name for name in forecast.__all__ if inspect.isfunction(getattr(forecast, name))]


def promised() -> list[str]:
    """The names that docs/stability.md lists."""
    (block,) = LISTED.findall((ROOT / "docs" / "stability.md").read_text(encoding="utf-8"))
    return str(block).split()


def test_the_face_is_what_is_promised() -> None:
    """A name that comes or goes changes docs/stability.md, where whoever reads the change sees it."""
    assert sorted(promised()) == sorted(forecast.__all__)
    assert forecast.__version__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_say_what_they_take_and_give(name: str) -> None:
    """Every argument and the result have a type that is not Any."""
    function = getattr(forecast, name)
    for each in get_overloads(function) or [function]:
        signature = inspect.signature(each)
        types = [signature.return_annotation, *(p.annotation for p in signature.parameters.values())]
        assert inspect.Signature.empty not in types
        assert "Any" not in types


def test_names_in_the_guide_to_python_exist() -> None:
    """Each `forecast.name` of docs/api.md is on the face, or a folder or file of the package."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    used = set(re.findall(r"`forecast\.(\w+)[(`]", page))
    assert used
    assert {name for name in used if not hasattr(forecast, name)} == set()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the layout of an environment is POSIX's")
def test_an_installed_package_is_typed_for_strict_users(tmp_path: Path) -> None:
    """A wheel in an environment of its own, without the settings of this repository: tests/outsider.py has no error.

    The second file shows that the check can fail: a mistake in it is found.
    """
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=False)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    good = (ROOT / "tests" / "outsider.py").read_text(encoding="utf-8")
    (tmp_path / "good.py").write_text(good, encoding="utf-8")
    (tmp_path / "bad.py").write_text(
        good.replace("assert_type(study.plan.periods, int)", "assert_type(study.plan.periods, str)"),
        encoding="utf-8",
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--cache-dir=cache",
        "--python-executable",
    ]
    checked = subprocess.run(
        [*command, str(tmp_path / "env" / "bin" / "python"), "good.py", "bad.py"],
        cwd=tmp_path, env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MYPYPATH")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    errors = [line for line in checked.stdout.splitlines() if ": error:" in line]
    assert [line.split(":")[0] for line in errors] == ["bad.py"], checked.stdout + checked.stderr
    assert 'Expression is of type "int", not "str"' in errors[0]
