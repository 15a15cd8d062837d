"""Where a study is no TOML, the message says how the line would be written; what it says works."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from forecast.errors import StudyError, UsageError
from forecast.study import load_study

STUDY = 'name = "s"\n[history]\ncounts = "s.csv"\n'


def _problem(folder: Path, text: str, *overrides: str) -> str:
    path = folder / "s.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((StudyError, UsageError)) as caught:
        load_study(path, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "way_out"),
    [
        ("gross_margin = 0,6", "A number takes a point, no other mark: gross_margin = 0.6"),
        ("total = 1_000,5", "no other mark: total = 1000.5"),
        ("total = 120 000", "no other mark: total = 120000"),
        ("total = 1.200.000", "no other mark: total = 1200000"),
        ("total = 120,000", "no other mark: total = 120000 or 120.0"),
        ("gross_margin = 60 %", "A rate is a share of 1: gross_margin = 0.6"),
        ("from = 2026-03", 'A period needs quotes: from = "2026-03"'),
        ("from = 2026-W09", 'A period needs quotes: from = "2026-W09"'),
        ("locked = True", "It is written in small letters: locked = true"),
        ("name = “demo”", "Quotes must be straight, not “ ”"),
        ("name = demo plan # ours", 'Text needs quotes: name = "demo plan"'),
        ('name = "demo', "A quote is missing at its end"),
        (r'counts = "C:\data\x.csv"', "A backslash stands in single quotes"),
        ("spend = { ppc = 0,6, seo = 3 }", "no other mark: ppc = 0.6"),
        ('Sähköposti = { kind = "email" }', 'A key with such letters needs quotes: "Sähköposti" = ...'),
        ("limits.Maksettu haku = 3", 'needs quotes: limits."Maksettu haku" = ...'),
        ("[channels.Sähköposti]", 'needs quotes: [channels."Sähköposti"]'),
    ],
)
def test_the_way_out_is_the_one_that_works(tmp_path: Path, line: str, way_out: str):
    """With the line and its number."""
    said = _problem(tmp_path, f"{STUDY}{line}\n")
    assert said.startswith(f"{tmp_path / 's.toml'}:4: not valid TOML")
    assert way_out in said
    shown = way_out.rpartition(": ")[2]
    if " = " in shown and " or " not in shown and "..." not in shown:
        assert tomllib.loads(shown)


def test_a_value_that_is_right_is_not_found_at_fault(tmp_path: Path):
    """Of a line with one fault, the hint is of that one."""
    said = _problem(tmp_path, f"{STUDY}spend = {{ ppc = 8000, open = true, seo = 1,5 }}\n")
    assert said.endswith("no other mark: seo = 1.5.")


@pytest.mark.parametrize("given", ["0,6", "60%", '"0,6"'])
def test_a_number_as_text_is_shown_as_a_number(tmp_path: Path, given: str):
    """What is set on the command line with a comma, or stands in quotes."""
    said = _problem(tmp_path, STUDY, f"economics.gross_margin={given}")
    assert "expected a number; came" in said
    assert said.endswith("; write 0.6")


def test_thousands_with_a_point_are_refused(tmp_path: Path):
    """120.000 is 120 to TOML and 120 thousand to half of Europe; 0.600 and 1.125 have one reading."""
    said = _problem(
        tmp_path, f"{STUDY}[budget]\ntotal = 120.000\n[plan]\nspend = {{ ppc = 12.500, seo = 9000 }}\n"
    )
    assert ":5: budget.total: 120.000 can be read in two ways: write 120000 or 120.0" in said
    assert ":7: plan.spend.ppc: 12.500 can be read in two ways: write 12500 or 12.5" in said
    said = _problem(tmp_path, STUDY, "budget.total=120.000")
    assert "write budget.total=120000 or budget.total=120.0" in said
    (tmp_path / "s.toml").write_text(f"{STUDY}[economics]\ngross_margin = 0.600\n", encoding="utf-8")
    assert load_study(tmp_path / "s.toml", ["funnel.value=1.125"]).funnel.value == 1.125
    assert type(load_study(tmp_path / "s.toml").economics.gross_margin) is float
