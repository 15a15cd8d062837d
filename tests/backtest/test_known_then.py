"""Backtests of data that change after the fact: each origin knows the copy of its day, and stands where one is kept."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edited_fixture import COLUMNS, ends, export, study_of, write_crm
from held_fixture import write_csv

from forecast.backtest import run_backtest
from forecast.backtest.origin import Setup, origin_at, origins_of
from forecast.errors import DataError
from forecast.history import read_history


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CRM in each way."""
    return write_crm(tmp_path_factory.mktemp("crm"))


def won(record: dict[str, Any], column: str) -> float:
    """A number of the company's wins over the horizon."""
    at = record["columns"].index(column)
    return float(next(cell[at] for cell in record["cells"] if cell[:3] == ["total", "total", "won"]))


def test_origins_know_the_copies_of_their_days(folder: Path) -> None:
    """What came is today's in both; what was known is not, and so the forecasts are others."""
    study = study_of(folder, "name")
    study = study.model_copy(update={"backtest": study.backtest.model_copy(update={"least": 6})})
    history = read_history(study)
    asked: dict[str, Any] = {
        "preview": True,
        "names": (),
        "workers": 1,
        "origins": 2,
        "horizon": 2,
        "draws": 100,
    }
    records, _ = run_backtest(study, history, **asked)
    leaking, _ = run_backtest(study, history.believed, **asked)

    assert [r["origin"] for r in records] == [r["origin"] for r in leaking] == ["2024-08", "2024-10"]
    assert [won(r, "came") for r in records] == [won(r, "came") for r in leaking]
    assert all(won(a, "mean") != won(b, "mean") for a, b in zip(records, leaking, strict=True))


def test_what_travels_to_a_worker_is_the_past_alone(folder: Path) -> None:
    """The copies of other days stay here, and a channel that is called otherwise since brought nothing."""
    study = study_of(folder, "name")
    history = read_history(study)
    setup = Setup(2, "actual", 100, 0, True, ())
    origin = origin_at(study, history, 8, setup)
    renamed = replace(
        history, counts=history.counts.assign_coords(channel=np.array(["x", "y"], dtype=object))
    )
    other = origin_at(study, renamed, 8, setup)

    assert origin.past.copies is None
    assert pickle.dumps(origin)
    assert other.past.channels == ["ads", "fair"]
    assert not other.came["won"][:, :2].any()
    assert other.came["won"][:, -1].tolist() == origin.came["won"][:, -1].tolist()


def test_a_backtest_stands_where_a_copy_is_kept(tmp_path: Path) -> None:
    """Not in June, whose export came four days late; nowhere is refused, and says which key gives room."""
    for day in ends():
        late = day + timedelta(days=4) if day.month == 6 else day
        write_csv(tmp_path / f"crm-{late}.csv", export(late), COLUMNS)
    history = read_history(study_of(tmp_path, "name"))

    assert origins_of(history, origins=20, horizon=2, every=1, least=4) == [4, 5, 7, 8, 9, 10]
    with pytest.raises(DataError, match=r"history\.snapshots\.within"):
        origins_of(history, origins=20, horizon=6, every=1, least=6)
