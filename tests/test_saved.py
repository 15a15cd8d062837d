"""Saved JSON is believed only where seal, schema and shape fit; anything else says what is off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forecast.errors import DataError
from forecast.saved import SpoiltError, amiss, read_saved, sealed, unsealed

SHAPE = {"name": str, "values": [(int, float)], "maybe?": bool}
VALUE = {"name": "demo", "values": [1, 2.5, 1e-17]}


def test_what_was_sealed_is_read_back():
    """The value and its schema, however the text is laid out."""
    made = sealed(VALUE, 3)
    for text in (json.dumps(made), json.dumps(made, indent=4, sort_keys=True), json.dumps(made).encode()):
        assert unsealed(text, 3, SHAPE) == {**VALUE, "schema": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("null", "no table of names and values"),
        ("3", "no table of names and values"),
        ('{"name": "demo"', "cut off or damaged"),
        ("[" * 100_000, "nested too deep"),
        ('{"a":' * 400 + "1" + "}" * 400, "no checksum"),
        (json.dumps(VALUE), "no checksum"),
        (json.dumps({**sealed(VALUE, 3), "name": "other"}), "does not fit its checksum"),
        (json.dumps(sealed(VALUE, 2)), "another version \\(schema 2, expected 3\\)"),
        (json.dumps(sealed({"name": "demo"}, 3)), "values is missing"),
        (json.dumps(sealed({"name": 1, "values": []}, 3)), "name is not what it should be \\(int\\)"),
        (json.dumps(sealed({"name": "", "values": [1, True]}, 3)), "values.2 is not what it should be \\(bool\\)"),
        (json.dumps(sealed({"name": "", "values": [float("nan")]}, 3)), "values.1 is no finite number"),
    ],
)  # fmt: skip
def test_anything_else_says_what_is_off(text: str, said: str):
    """Whatever stands in the text."""
    with pytest.raises(SpoiltError, match=said):
        unsealed(text, 3, SHAPE)


def test_every_flipped_bit_is_found():
    """Of the whole text, blanks included where they part words."""
    text = json.dumps(sealed(VALUE, 1)).encode()
    for place in range(8 * len(text)):
        flipped = bytearray(text)
        flipped[place // 8] ^= 1 << place % 8
        try:
            found = unsealed(bytes(flipped), 1, SHAPE)
        except SpoiltError:
            continue
        assert found == {**VALUE, "schema": 1}  # a blank that became another one


def test_a_file_is_named_with_what_makes_it_anew(tmp_path: Path):
    """Path, what is off, remedy."""
    path = tmp_path / "summary.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"summary\.json: it has no checksum.*; run it again\."):
        read_saved(path, 1, SHAPE, "run it again")


def test_shapes():
    """Optional keys may be there or not; tables of any keys; one of several words."""
    assert not amiss({"name": "x", "values": [], "maybe": True}, SHAPE)
    assert (
        str(amiss({"name": "x", "values": [], "maybe": 1}, SHAPE)) == "maybe is not what it should be (int)"
    )
    assert not amiss({"a": {"b": 1}}, {str: {str: int}})
    assert str(amiss({"a": {"b": "1"}}, {str: {str: int}})) == "a.b is not what it should be (str)"
    assert not amiss("PASS", {"PASS", "FAIL"})
    assert amiss("pass", {"PASS", "FAIL"})
