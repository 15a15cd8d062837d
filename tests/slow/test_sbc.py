"""A short simulation-based calibration of each kind of input; `make sbc` does the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast.fit import KINDS
from forecast.jobs import pool, run_jobs
from forecast.lab import RANKS, one_fit, uniformity

# What the working law of calendar counts is known to miss: docs/calibration.md says why.
KNOWN = {
    "calendar": [f"{what}{stage}" for what in ("noise_", "log likelihood ") for stage in ("qualified", "won")]
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ranks_of_the_truth_are_uniform(kind: str, tmp_path: Path) -> None:
    """Sixteen fits: no quantity where chance alone would come to the same in one of ten thousand cases."""
    jobs = {str(i): (kind, i) for i in range(16)}
    with pool(2) as executor:
        records = run_jobs(one_fit, jobs, executor=executor, results=tmp_path / "sbc.jsonl")
    found = uniformity([record["ranks"] for record in records.values()], RANKS)
    assert (found["fits"] == 16).all()
    found = found[~found["quantity"].isin(KNOWN.get(kind, ()))]
    assert (found["p"] > 1e-4).all(), found[found["p"] <= 1e-4].to_string()
