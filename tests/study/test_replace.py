"""A study changed from Python: the same checks and words as the file, and a record from which it is read again."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_study import FULL

from forecast.errors import StudyError
from forecast.study import Study, load_study, of_the_horizon
from forecast.study.toml_text import toml_of


@pytest.fixture
def full(tmp_path: Path) -> Study:
    """The study of the user guide."""
    (tmp_path / "s.toml").write_text(FULL, encoding="utf-8")
    return load_study(tmp_path / "s.toml", ["plan.periods=2"])


CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"plan.periods": 6, "channels.ppc.kind": "seo"}, {}),
    ({}, {"currency": "USD", "plan": {"periods": 4, "spend": {"ppc": 1.0, "paid search": 0.5}}}),
    ({'channels."paid search".locked': False, "economics.gross_margin": np.float64(0.25)}, {}),
    ({"plan.periods": np.int64(5), "funnel.rate": {"won": np.array([0.2, 0.3])}}, {}),
    ({}, {"goal": [{"by": date(2026, 12, 31), "revenue": 1e6}], "scenario": ()}),
    ({"history.counts": Path("other.csv"), "funnel.delay.won": "6 weeks"}, {}),
    ({"name": 'a "b"'.replace('"', "-")}, {"lift_tests": []}),
]


@pytest.mark.parametrize(("changes", "tables"), CHANGES)
def test_what_was_replaced_is_read_again_from_file_and_record(
    full: Study, changes: dict[str, Any], tables: dict[str, Any]
):
    """`load_study` with the overrides of a study gives that study; the old one is as it was."""
    before = full.model_dump()
    other = full.replace(changes, **tables)
    assert full.model_dump() == before != other.model_dump()
    assert full.path is not None
    assert full.overrides == ("plan.periods=2",)
    again = load_study(full.path, other.overrides)
    assert again.model_dump() == other.model_dump()
    assert again == load_study(full.path, other.overrides)


def test_the_last_change_of_a_key_counts(full: Study):
    """Of several, one after the other."""
    other = full.replace({"plan.periods": 6}).replace({"plan.periods": 9})
    assert other.plan.periods == 9
    assert load_study(full.path or "", other.overrides).plan.periods == 9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan.period": 6}, 'replace: plan.period: unknown key; did you mean "periods"?'),
        ({"plan.periods": 0}, "replace: plan.periods: expected a number of at least 1; came 0"),
        ({"plan.periods": 2.5}, "replace: plan.periods: expected a whole number"),
        ({"plan.periods.x": 1}, 'replace: plan.periods.x: "periods" is a value in the study, not a table'),
        ({"plan.target": None}, "replace: plan.target: expected a value, as TOML has them; came None"),
        ({"plan.spend": {"ppc": object()}}, "replace: plan.spend.ppc: expected a value, as TOML has them"),
        ({"economics.gross_margin": 1e16}, "replace: economics.gross_margin: expected a number below 1e15"),
        (
            {"economics.gross_margin": float("nan")},
            "replace: economics.gross_margin: expected a finite number",
        ),
        ({"channels.ppc.kind": "pcc"}, 'replace: channels.ppc.kind: expected one of .* did you mean "ppc"'),
        ({"folder": "x"}, "folder: unknown key"),
        ({"lift_test": [{"channel": "ppc"}]}, "replace: lift_test.1.from: this key is needed"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(full: Study, changes: dict[str, Any], said: str):
    """All at once, as of the file."""
    with pytest.raises(
        StudyError, match=said.replace(".", r"\.").replace(r"of \.*", "of .*").replace("?", r"\?")
    ):
        full.replace(changes)
    with pytest.raises(StudyError) as caught:
        full.replace(changes | {"funnel.market": "b3b"})
    assert caught.value.problems


def test_a_study_made_in_code_can_be_changed_too():
    """It keeps what it was given, and has no file to be read from again."""
    made = Study.model_validate(
        {"name": "k", "history": {"counts": "n.csv"}, "funnel": {"delay": {"won": "14 days"}}}
    )
    other = made.replace(plan={"periods": 4})
    assert (other.plan.periods, other.funnel.delay, other.path) == (4, {"won": 14.0}, None)
    with pytest.raises(StudyError, match=r'plan\.priods: unknown key; did you mean "periods"'):
        other.replace({"plan.priods": 1})


def test_lift_tests_are_added_one_by_one(full: Study):
    """As [[lift_test]] of the file has them, with its checks; the second is the second."""
    asked = {"from_": "2026-01", "without": 4000, "with_": 6000, "lift": 50}
    one = full.with_lift_test("ppc", **asked, se=20)
    two = one.with_lift_test("paid search", **asked, to="2026-02", se=30, note="north")
    assert [(test.channel, test.se, test.to) for test in two.lift_tests] == [
        ("ppc", 20.0, None),
        ("paid search", 30.0, "2026-02"),
    ]
    assert load_study(full.path or "", two.overrides).model_dump() == two.model_dump()
    with pytest.raises(StudyError, match=r"replace: lift_test\.2\.se: expected a number above 0; came -1"):
        one.with_lift_test("ppc", **asked, se=-1)
    with pytest.raises(StudyError, match=r"replace: lift_test\.1\.to: expected a period not before"):
        full.with_lift_test("ppc", **asked, se=1, to="2025-12")


def test_values_are_written_as_toml_reads_them():
    """Texts with quotes, dates, lists of tables."""
    import tomllib

    value = {
        "a b": [{"x": 'q"\\\n', "y": True}, {}],
        "d": date(2026, 1, 2),
        "n": 1e22,
        "i": 3,
        "t": ["a", 1.5],
    }
    assert tomllib.loads(f"v = {toml_of(value)}")["v"] == value


def test_a_study_taken_back_leaves_out_what_its_horizon_has_not(tmp_path: Path):
    """Scenarios that start outside of it and goals after it: a mistake in the file alone."""
    more = (
        '\n[[scenario]]\nname = "page"\nrate.leads = { times = 1.2 }\nstart = "2026-12"\n'
        '\n[[scenario]]\nname = "training"\nrate.won = { times = 1.2 }\n'
        '\n[[goal]]\nname = "winter"\nby = "2027-01"\nwon = 30\n\n[[goal]]\nby = "2026-06"\nwon = 30\n'
    )
    (tmp_path / "s.toml").write_text(FULL + more, encoding="utf-8")
    written = load_study(tmp_path / "s.toml")
    horizon = np.array(["2026-04-01", "2026-05-01", "2026-06-01"], dtype="datetime64[D]")
    assert of_the_horizon(written, horizon) == (written, ())
    path = written.path or ""
    for back in (
        written.replace({"history.through": "2026-03"}),
        load_study(path, ["history.through='2026-03'"]),
    ):
        kept, left_out = of_the_horizon(back, horizon)
        assert left_out == ["page", "winter"]
        assert [each.name for each in kept.scenarios] == ["training"]
        assert [each.by for each in kept.goals] == ["2026-06"]
        assert [each.name for each in back.scenarios] == ["page", "training"]
