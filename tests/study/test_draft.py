"""A study file in the making."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from forecast.errors import StudyError
from forecast.study.draft import Draft, Key
from forecast.study.toml_text import named, quoted


def draft(*keys: Key) -> Draft:
    """A study of counts with further keys."""
    own = [Key("", "name", '"x"'), Key("history", "counts", '"x.csv"')]
    return Draft(Path(), Path("x.toml"), [*own, *keys])


def test_tables_come_in_their_order_and_reasons_stand_by_their_keys():
    """A reason behind a key; above it where it is long, and where the key is a comment."""
    made = draft(
        Key("plan", "periods", "3", "months ahead"),
        Key("history", "counting", '"cohort"', "the last rows fall off", active=False),
        Key("history", "period", '"week"', "long " * 30),
    )
    lines = list(made.lines())
    assert [line for line in lines if line.startswith("[")] == ["[history]", "[plan]"]
    assert any(line.startswith("periods = 3") and line.endswith("# months ahead") for line in lines)
    at = lines.index('# counting = "cohort"')
    assert lines[at - 1] == "# the last rows fall off"
    assert all(len(line) <= 110 for line in lines)
    assert tomllib.loads("\n".join(lines))["history"] == {"counts": "x.csv", "period": "week"}


def test_what_is_assumed_is_tried_and_not_written():
    """A value to see further with, in a table that is not there."""
    made = draft()
    made.assumed["history.read.activity.dates"] = '"mdy"'
    assert made.study().history.read.of("activity").dates == "mdy"
    assert "dates" not in "\n".join(made.lines())


def test_a_value_that_no_study_takes_is_a_study_error():
    """Not a traceback."""
    made = draft()
    made.assumed["history.counting"] = '"sideways"'
    with pytest.raises(StudyError):
        made.study()


@pytest.mark.parametrize(
    "name", ["ppc", "Sähköposti", 'the "best"', "a.b", "back\\slash", "tab\there", "", "\x7f"]
)
def test_names_and_texts_survive_toml(name: str):
    """Whatever people call a channel."""
    values = tomllib.loads(f"{named(name)} = {quoted(name)}")
    assert values == {name: name}
