"""What fuzzing has found stays mended: the corpus is run again, and a little new damage of every cheap kind."""

from __future__ import annotations

from pathlib import Path
from random import Random

import fuzz
import made
import mutate
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CHEAP = [
    name
    for name, kind in made.KINDS.items()
    if kind.commands == ("check",) and kind.how in ("text", "toml", "set")
]  # fmt: skip


@pytest.mark.parametrize("path", sorted(fuzz.CORPUS.glob("*.json")), ids=lambda path: path.stem)
def test_past_findings(path: Path, tmp_path: Path):
    """Each by the command's own main: a documented exit code, one message, nothing written where it is refused."""
    outcome = fuzz.attempt(tmp_path, fuzz.unpacked(path, tmp_path))
    assert not outcome.wrong, outcome.said


def test_the_corpus_is_small():
    """It is read by every run of the tests, and by people."""
    assert sum(path.stat().st_size for path in fuzz.CORPUS.glob("*.json")) < 200_000


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound files of the cheap kinds."""
    folder = tmp_path_factory.mktemp("sound")
    made.make_inputs(folder)
    return folder


def test_sound_files_pass(sound: Path, tmp_path: Path):
    """What is damaged is sound before: each is read without a word on stderr."""
    for number, name in enumerate(CHEAP):
        folder = tmp_path / str(number)
        made.lay_out(made.KINDS[name], sound, folder)
        outcome = fuzz.attempt(folder, made.arguments(made.KINDS[name], "check"))
        assert (outcome.code, outcome.wrong) == (0, ""), (name, outcome.said)


@settings(
    max_examples=8, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(name=st.sampled_from(CHEAP), rng=st.randoms(use_true_random=False))
def test_a_little_new_damage(sound: Path, tmp_path_factory: pytest.TempPathFactory, name: str, rng: Random):
    """Whatever is wrong in a table, a study or an option: see `fuzz`."""
    kind, folder = made.KINDS[name], tmp_path_factory.mktemp("in")
    made.lay_out(kind, sound, folder)
    more: tuple[str, ...] = ()
    if kind.how == "set":
        more = mutate.override(rng)
    else:
        place = folder / kind.file
        place.write_bytes(mutate.damaged(kind.how, place.read_bytes(), rng))
    outcome = fuzz.attempt(folder, made.arguments(kind, "check", more))
    assert not outcome.wrong, outcome.said
