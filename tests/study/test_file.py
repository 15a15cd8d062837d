"""A study that holds more than anyone writes is refused with the bound, before anything computes with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast.errors import ForecastError, StudyError, UsageError
from forecast.study import load_study

STUDY = 'name = "x"\n[history]\ncounts = "x.csv"\n'


def told(folder: Path, text: str, *overrides: str) -> str:
    """What is said of such a study."""
    (folder / "x.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ForecastError) as caught:
        load_study(folder / "x.toml", overrides)
    assert isinstance(caught.value, StudyError | UsageError)
    return str(caught.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("a = " + "[" * 500 + "]" * 500, "inside each other, more than 20 deep"),
        ("a = " + "[" * 21 + "]" * 21, "inside each other, more than 20 deep"),
        (".".join("a" * 5000) + " = 1", "inside each other, more than 20 deep"),
        ("[budget]\nchange = " + "9" * 400, "budget.change: expected a number below 1e15"),
        ("[budget]\nchange = " + "9" * 5000, "a whole number of thousands of digits"),
        ("[plan]\nspend = -1e300", "plan.spend: expected a number below 1e15"),
        ("[channels.ppc]\nelasticity = [0.1, 1e15]", "channels.ppc.elasticity: expected a number below 1e15"),
        ("# " + "x" * 1_000_000, "is longer than 1\u202f000\u202f000 bytes"),
        ('from = "1025-01"', "outside the years 1900 to 2200"),
    ],
)
def test_bounds_of_the_file(tmp_path: Path, more: str, said: str):
    """Depth, digits, size, years."""
    assert said in told(tmp_path, STUDY + more)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("budget.change=" + "[" * 900 + "]" * 900, "more than 20 deep"),
        ("budget.change=" + "9" * 400, "budget.change: expected a number below 1e15"),
        ("budget.change=" + "9" * 5000, "a whole number of thousands of digits"),
        (".".join("a" * 100) + "=1", "more than 20 deep"),
        ("#=1", "unknown key"),
        ("plan.periods=3\nq=5", "expected one key=value, and this has a line break in it"),
        ("history.through='2500-01'", "outside the years 1900 to 2200"),
    ],
)
def test_bounds_of_an_override(tmp_path: Path, override: str, said: str):
    """The same from the command line."""
    assert said in told(tmp_path, STUDY, override)


def test_a_text_over_several_lines_holds_no_keys(tmp_path: Path):
    """Whatever its lines look like; keys below it keep their lines."""
    note = 'title = """\n[# see wiki]\n[plan]\nperiods = "9"\n"""\n'
    said = told(tmp_path, f"{note}{STUDY}[plan]\nperiods = 'x'\n")
    assert "x.toml:10: plan.periods" in said


def test_paths_that_no_file_has(tmp_path: Path):
    """Too long a name, a sign of zero."""
    for name, why in (("x" * 5000, "too long"), ("a\0b", "sign of zero")):
        with pytest.raises(StudyError, match=why):
            load_study(tmp_path / name)
