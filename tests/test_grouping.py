"""What units add up to: means exactly, bands by the correlation, money by rates, periods that all of them have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from group_fixture import LABELS, group, record, whole

from forecast.checks import FAIL, REVIEW
from forecast.errors import DataError
from forecast.grouping import SHAPE
from forecast.report import group_page, terminal_text, write_group
from forecast.saved import GROUP, amiss, unsealed
from forecast.words import kept, message, speaking


def test_a_record_is_what_may_be_read_again() -> None:
    """Through JSON it is the same, and it has the shape that reading asks for."""
    made = json.loads(json.dumps(record("fi", 1)))
    assert made == record("fi", 1)
    assert not amiss(made, SHAPE)


@pytest.mark.parametrize("correlation", [0.0, 0.5, None])
def test_means_add_up_over_units_and_periods(correlation: float | None) -> None:
    """Whatever the correlation is: the total of the group is the sum of its units, by period and in all."""
    records = [record("fi", 1), record("se", 2), record("no", 3)]
    told = group(*records, correlation=correlation)
    for measure in ("revenue", "won"):
        rows = [r for r in told["totals"] if r["measure"] == measure]
        assert [r["period"] for r in rows] == [*LABELS, "total"]
        assert rows[-1]["mean"] == pytest.approx(sum(r["mean"] for r in rows[:-1]))
        assert rows[-1]["mean"] == pytest.approx(sum(r["headline"][f"{measure}_mean"] for r in records))
    assert told["headline"]["revenue_mean"] == whole(told)["mean"]


def test_the_band_is_that_of_the_correlation_which_is_stated() -> None:
    """More of it, a wider band; each unit's own numbers do not move; the row in use is the one of the total."""
    records = [record("fi", 1), record("se", 2)]
    low, high = group(*records, correlation=0.0), group(*records, correlation=0.9)
    assert whole(high)["sd"] > 1.2 * whole(low)["sd"]
    assert low["units"] == high["units"]
    for told in (low, high):
        used = next(r for r in told["bands"] if r["used"])
        assert used["q10"] == whole(told)["q10"]
        assert used["correlation"] == told["correlation"]["value"]
        assert told["correlation"]["how"] == "given"
    assert low["run_id"] != high["run_id"]


def test_what_the_pasts_share_is_learnt() -> None:
    """The made pasts share four fifths of their shocks."""
    told = group(record("fi", 1), record("se", 2), record("no", 3))
    found = told["correlation"]
    assert found["how"] == "learnt"
    assert found["raw"] > 0.5
    assert found["value"] == pytest.approx(
        found["weight"] * found["raw"] + (1 - found["weight"]) * found["assumed"]
    )
    assert [(p["unit"], p["other"]) for p in found["pairs"]] == [("fi", "se"), ("fi", "no"), ("se", "no")]


def test_targets_add_up_and_are_met_together() -> None:
    """P is the share of the group's futures that reach the sum; the gap is of the expected value."""
    told = group(record("fi", 1), record("se", 2))
    assert told["target"] == {"measure": "revenue", "amount": 400_000.0}
    assert 0 < told["headline"]["p_target"] < 1
    assert told["headline"]["gap"] == pytest.approx(400_000.0 - whole(told)["mean"])


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ({"target": None}, "se set none"),
        ({"target": {"measure": "won", "amount": 50.0}}, "others of wins"),
        ({"horizon": (*LABELS, "2026-10")}, "different periods"),
    ],
)
def test_a_target_that_does_not_add_up_is_none(second: dict[str, Any], why: str) -> None:
    """And it is said why."""
    told = group(record("fi", 1), record("se", 2, **second))
    assert told["target"] is None
    assert told["headline"]["p_target"] is None
    assert why in str(told["no_target"])


def test_horizons_are_taken_where_they_meet() -> None:
    """The total has the periods that all units have."""
    told = group(record("fi", 1), record("se", 2, horizon=("2026-08", "2026-09", "2026-10")))
    assert told["horizon"] == ["2026-08", "2026-09"]
    assert [r["period"] for r in told["totals"] if r["measure"] == "won"] == ["2026-08", "2026-09", "total"]


def test_horizons_that_never_meet_are_refused_by_name() -> None:
    """With what to do."""
    with pytest.raises(DataError, match=r"se 2026-10 to 2026-11.*history\.through"):
        group(record("fi", 1), record("se", 2, horizon=("2026-10", "2026-11")))


def test_money_of_another_currency_is_turned_by_its_rate() -> None:
    """Wins are wins; a rate of one tenth is the same as a tenth of the money."""
    plain = group(record("fi", 1), record("se", 2), correlation=0.3)
    turned = group(record("fi", 1), record("se", 2, currency="SEK"), correlation=0.3, rates={"SEK": 0.1})
    fi, se = (u["mean"] for u in plain["units"])
    assert turned["units"][1]["mean"] == pytest.approx(se / 10)
    assert whole(turned)["mean"] == pytest.approx(fi + se / 10)
    assert whole(turned, "won")["mean"] == pytest.approx(whole(plain, "won")["mean"])
    assert turned["target"]["amount"] == pytest.approx(220_000.0)
    assert turned["rates"] == {"SEK": 0.1}


def test_without_revenue_everywhere_the_group_is_counted_in_wins() -> None:
    """Money of some units would be taken for that of all."""
    other = record("se", 2, target={"measure": "won", "amount": 60.0})
    del other["draws"]["revenue"]
    told = group(record("fi", 1, target={"measure": "won", "amount": 60.0}), other)
    assert told["measure"] == "won"
    assert {r["measure"] for r in told["totals"]} == {"won"}
    assert told["target"]["amount"] == 120.0


def test_what_failed_is_said_loudly_and_is_in_no_number() -> None:
    """The group fails, the total is that of the rest."""
    failed = [{"name": "dk", "exit_code": 3, "error": "dk.csv: no column won"}]
    told = group(
        record("fi", 1), record("se", 2, status=REVIEW, checks=[kept(message("preview"))]), failed=failed
    )
    assert told["verdict"].status == FAIL
    assert [c.name for c in told["verdict"].failing] == ["dk", "se"]
    assert whole(told) == whole(group(record("fi", 1), record("se", 2)))
    said = terminal_text(group_page(told))
    assert said.startswith("FAIL. 1 of 3 units failed and is in no number")
    assert "exit code 3: dk.csv: no column won" in said
    assert "failed, in no number" in said
    assert "without those of units that failed" in said  # of the targets' sum


def test_pages_say_what_the_band_rests_on_in_two_languages() -> None:
    """Terminal text of a group that learnt its correlation."""
    told = group(record("fi", 1), record("se", 2))
    assert "learnt from 2 units over 36 periods" in terminal_text(group_page(told))
    with speaking("fi"):
        assert "opittu" in terminal_text(group_page(told))


@pytest.mark.slow
def test_files_of_a_group(tmp_path: Path) -> None:
    """All of them, sealed, with sums apart; the same again byte for byte."""
    told = group(record("fi", 1), record("se", 2), record("no", 3, currency="NOK"), rates={"NOK": 0.09})
    for name in ("a", "b"):
        write_group(tmp_path / name, told)
    first = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()}
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()}
    assert set(first) == {
        "group.json",
        "group.csv",
        "group_totals.csv",
        "group.xlsx",
        "group.pdf",
        "manifest.json",
    }
    found = unsealed(first["group.json"], GROUP, dict)
    assert found["headline"]["units"] == 3
    assert [line.split(",")[0] for line in first["group.csv"].decode().splitlines()] == [
        "unit",
        "fi",
        "se",
        "no",
    ]
    assert first["group.pdf"].startswith(b"%PDF")
