"""What records add up to: a gate that fails when it should, and fits that went badly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from forecast.backtest.summary import calibration_of, summary_of
from forecast.errors import DataError, GateError
from forecast.report import backtest_page, terminal_text
from forecast.results import Past
from forecast.study import GateSpec
from forecast.workflow import check_gate


def records_of(inside: int, of: int, *, off: float = 0.0) -> list[dict[str, Any]]:
    """Records of one measure with `inside` of `of` outcomes in the band, and a spreadsheet that errs by 10."""
    rng = np.random.default_rng(5)
    found = []
    for i in range(of):
        came = 100.0 + rng.normal() * (0.1 if i < inside else 0.0) + (30.0 if i >= inside else 0.0) - off
        quantiles = {"q05": 95, "q10": 96, "q25": 98, "q50": 100, "q75": 102, "q90": 104, "q95": 105}
        own = {"mean": 100.0, **quantiles, "crps": 1.0 + abs(came - 100) / 2, "wis": 1.0, "pit": 0.5}
        theirs = own | {"crps": 5.0 + rng.normal() * 0.1}
        columns = ["period", "channel", "measure", "came", *own]
        cells = [[p, "total", "won", came, *own.values()] for p in ("p1", "total")]
        cells.append(["total", "one", "won", came, *own.values()])
        found.append(
            {
                "origin": f"o{i}",
                "columns": columns,
                "cells": cells,
                "baselines": {"total": {"won": {"spreadsheet": theirs}}},
                "sampling": {},
            }
        )
    return found


CONTEXT = {
    "name": "x",
    "currency": "EUR",
    "period": "month",
    "horizon": 1,
    "every": 1,
    "spend": "actual",
    "paid": True,
    "method": "auto",
    "measure": "won",
    "left_out": [],
}


def said_of(summary: dict[str, Any]) -> str:
    """What the command prints."""
    return terminal_text(backtest_page(Past.of(summary)))


def gate_of(records: list[dict[str, Any]], **gate: Any) -> dict[str, Any]:
    """Checks of the gate by name, and the summary."""
    summary = summary_of(records, CONTEXT, GateSpec(**gate))
    return {c["name"]: c for c in summary["gate"]["checks"]} | {"summary": summary}


@pytest.mark.parametrize(
    ("inside", "status"), [(20, "REVIEW"), (19, "PASS"), (12, "PASS"), (11, "REVIEW"), (6, "FAIL")]
)
def test_coverage_is_judged_by_the_exact_region(inside: int, status: str) -> None:
    """Of 20 outcomes 12 to 19; far out it is no chance, and a FAIL."""
    found = gate_of(records_of(inside, 20), skill=-10.0)
    check = found["coverage of the 80 % band"]
    assert (check["status"], check["missed"]) == (status, status != "PASS")
    if check["missed"]:
        with pytest.raises(GateError, match="coverage of the 80 % band"):
            check_gate(found["summary"])
    else:
        check_gate(found["summary"])


def test_thresholds_of_the_study_hold() -> None:
    """Own limits of coverage, skill and bias: missed by more than chance, or kept."""
    good = gate_of(records_of(16, 20), least=0.7, most=0.9, skill=0.1)
    assert good["coverage of the 80 % band"]["status"] == "PASS"
    assert good["skill against spreadsheet"]["status"] == "PASS"
    high = gate_of(records_of(20, 20, off=3.0), skill=0.95, bias=0.01)
    assert high["skill against spreadsheet"]["status"] == "FAIL"
    assert high["bias"]["status"] == "FAIL"
    assert high["bias"]["value"].startswith("-3")
    assert high["summary"]["gate"]["status"] == "FAIL"
    none = gate_of(records_of(16, 20), against="drift")
    assert none["skill against drift"]["value"] == "not known"


def test_few_outcomes_are_a_review() -> None:
    """Three outcomes cannot clear a forecast; they miss nothing either."""
    found = gate_of(records_of(3, 3))
    assert found["independent outcomes"]["status"] == "REVIEW"
    check_gate(found["summary"])
    assert "too few" in said_of(found["summary"])


def test_fits_that_went_badly_are_told() -> None:
    """How many origins, and how badly; nothing where all went well."""
    records = records_of(5, 5)
    good = {"max_rhat": 1.02, "divergences": 0, "again": False, "failures": []}
    bad = {
        "max_rhat": 1.04,
        "divergences": 3,
        "again": True,
        "failures": ["won: 3 divergences (must be 0)", "x: y"],
    }
    for i, record in enumerate(records):
        record["sampling"] = bad if i == 2 else good
    summary = gate_of(records)["summary"]
    assert summary["sampling"]["again"] == ["o2"]
    text = "The fits of 1 of 5 origins missed a check of a run (worst R-hat 1.04, 3 divergences in all)"
    assert text in said_of(summary)
    assert "missed a check of a run" not in said_of(gate_of(records_of(5, 5))["summary"])


def unknown(records: list[dict[str, Any]], measure: str) -> list[dict[str, Any]]:
    """The records with a measure beside won of which nothing is known."""
    for record in records:
        blank = [[*cell[:2], measure, math.nan, *cell[4:]] for cell in record["cells"]]
        record["cells"] += blank
    return records


def test_a_measure_that_never_came_whole_gives_way_to_wins() -> None:
    """One deal without an amount in every period: judged by wins, with words, and no error."""
    summary = summary_of(unknown(records_of(16, 20), "revenue"), CONTEXT | {"measure": "revenue"}, GateSpec())
    assert summary["measure"] == "won"
    check = summary["gate"]["checks"][0]
    assert (check["status"], check["value"]) == (
        "REVIEW",
        "revenue of 0 of 20 origins is known whole; judged by won",
    )
    assert "fill in the amounts" in said_of(summary)
    assert calibration_of(summary)["outcomes"] == 20


def test_nothing_known_at_any_origin_is_said() -> None:
    """Not even wins: an error with the way out."""
    records = records_of(3, 3)
    for record in records:
        record["cells"] = [[*cell[:3], math.nan, *cell[4:]] for cell in record["cells"]]
    with pytest.raises(DataError, match=r"none: fill the empty cells .* \(history\.through\)"):
        summary_of(records, CONTEXT, GateSpec())
