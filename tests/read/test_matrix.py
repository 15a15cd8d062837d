"""Hundreds of files of one truth: each reads to the same history, or asks for a key and then does; none to another."""

from __future__ import annotations

import itertools
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import made_files
import numpy as np
import pytest
from made_files import NUMBERS, Made, design, plain, with_keys, write

from forecast.errors import DataError
from forecast.history import read_history
from forecast.study import Study

KEY = re.compile(r"history\.read\.(?:\w+\.)?(\w+)")
DESIGN = design()
FAST = set(DESIGN[::5])  # a fifth of the files, any form in some of them


@cache
def expected(same: Made, whole: bool) -> str:
    """The fingerprint of the plain file."""
    with TemporaryDirectory() as folder:
        return read_history(write(Path(folder), same, whole=whole)).fingerprint()


def read_as_told(study: Study, answers: dict[str, str]) -> tuple[str, list[str]]:
    """The fingerprint of what is read and the keys that were asked for: each is set as the message names it first."""
    given: dict[str, str] = {}
    for _ in range(1 + len(answers)):
        try:
            return read_history(with_keys(study, given)).fingerprint(), list(given)
        except DataError as error:
            named = [key for key in KEY.findall(str(error)) if key in answers and key not in given]
            if not named:
                raise
            given[named[0]] = answers[named[0]]
    raise AssertionError(f"the keys {given} were set and others asked for")


@pytest.mark.parametrize(
    "made",
    [pytest.param(m, id=str(m), marks=() if m in FAST else pytest.mark.slow) for m in DESIGN],
)
def test_every_file_reads_to_the_same_history(tmp_path: Path, made: Made) -> None:
    """Whatever its signs, dates, bytes and layout; only what nothing in the file settles may be asked for."""
    study = write(tmp_path, made)

    found, _ = read_as_told(study, made.open_keys)

    assert found == expected(plain(made), NUMBERS[made.numbers].whole)


def test_the_files_cover_each_pair_of_forms() -> None:
    """Any two forms that can meet do meet in a file, and every form is in the fast part."""
    rng = np.random.default_rng(1)
    covered = set().union(*map(made_files.pairs_of, DESIGN))
    forms = made_files.FACTORS.items()
    for (a, xs), (b, ys) in itertools.combinations(forms, 2):
        for x, y in itertools.product(xs, ys):
            assert (a, x, b, y) in covered or made_files.completed((a, x, b, y), rng) is None
    assert len(DESIGN) >= 200
    assert {(name, value) for made in FAST for name, value in vars(made).items()} == {
        (name, value) for name, values in forms for value in values
    }


@pytest.mark.parametrize("company", made_files.COMPANIES)
@pytest.mark.parametrize("table", made_files.ANY)
@pytest.mark.parametrize(
    ("container", "cells"), [("sheet", "typed"), ("parquet", "typed"), ("parquet", "text")]
)
def test_typed_files_are_the_plain_file(
    tmp_path: Path, company: str, table: str, container: str, cells: str
) -> None:
    """Cells with a type need no reading: they are the truth that all others are held against."""
    made = Made(company, table, "ours", "1200.50", "2026-03-01", container, cells, "-", "-", "-", "long")

    assert read_history(write(tmp_path, made)).fingerprint() == expected(plain(made), whole=False)
