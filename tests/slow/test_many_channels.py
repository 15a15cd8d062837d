"""A company of many channels, previewed with all outputs: everyone is in the files."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from openpyxl import load_workbook

from forecast import workflow

ROOT = Path(__file__).parents[2]
CHANNELS = 40
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ROOT / "benchmarks").is_dir(), reason="benchmarks are no part of the source distribution"
    ),
]


def test_forty_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Channels add up to their totals, and every one stands in each file but the report."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    study = importlib.import_module("large_fit").write_study(tmp_path, CHANNELS, 24, 1, "month")
    workflow.run(study, preview=True, draws=400, out=tmp_path / "run")
    sys.modules.pop("large_fit", None)
    names = set(pd.read_csv(tmp_path / "large.csv")["channel"])
    assert len(names) == CHANNELS
    data, sums = (pd.read_csv(tmp_path / "run" / f"{name}.csv") for name in ("forecast", "totals"))
    for measure in ("leads", "won", "spend", "revenue"):
        mine = data[data["measure"] == measure]
        whole = sums[
            (sums["measure"] == measure) & (sums["channel"] == "total") & (sums["period"] == "total")
        ]
        assert set(mine["channel"]) == names
        assert mine["mean"].sum() == pytest.approx(whole["mean"].item(), rel=1e-6)
    split = pd.read_csv(tmp_path / "run" / "allocation.csv")
    assert set(split["channel"]) == names
    assert split["recommended"].sum() <= split["current"].sum() * (1 + 1e-9)
    assert (
        (split["low"] <= split["recommended"] + 1e-6) & (split["recommended"] <= split["high"] + 1e-6)
    ).all()
    book = load_workbook(tmp_path / "run" / "report.xlsx", read_only=True)
    assert names <= {str(row[0]) for row in book["Budget"].iter_rows(values_only=True)}
    page = (tmp_path / "run" / "whatif.html").read_text(encoding="utf-8")
    assert all(re.search(rf'"{name}"', page) for name in names)
