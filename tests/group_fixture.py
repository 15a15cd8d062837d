"""Runs of units as their group has them, made without a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from forecast.checks import PASS
from forecast.grouping import _packed, grouped

LABELS = ("2026-07", "2026-08", "2026-09")
DRAWS = 4000


def record(name: str, seed: int, many: int = DRAWS, **given: Any) -> dict[str, Any]:
    """What a run of a unit tells its group: made draws, and three years of a made past."""
    rng = np.random.default_rng(seed)
    labels = given.pop("horizon", LABELS)
    won = rng.poisson(20.0, (many, len(labels)))
    revenue = np.float32(won * rng.gamma(20.0, 200.0, (many, 1))).astype(float)
    months = [f"{2023 + (6 + m) // 12}-{(6 + m) % 12 + 1:02d}" for m in range(36)]
    shared = np.random.default_rng(1).normal(size=36)
    past = np.exp(11 + 0.2 * shared + 0.1 * rng.normal(size=36))
    head = {
        f"{key}_{end}": value
        for key, draws in (("revenue", revenue), ("won", won))
        for end, value in zip(
            ("mean", "q10", "q90"),
            [float(draws.sum(axis=1).mean()), *map(float, np.quantile(draws.sum(axis=1), (0.1, 0.9)))],
            strict=True,
        )
    }
    made = {
        "name": name, "run_id": f"{seed:064d}", "currency": "EUR", "period": "month", "as_of": "2026-06",
        "horizon": list(labels), "target": {"measure": "revenue", "amount": 200_000.0}, "status": PASS, "checks": [],
        "headline": head
        | {"p_target": 0.9, "gain_mean": 1000.0, "gain_q10": 0.0, "gain_q90": 2000.0, "material": True},
        "moved": 5000.0, "draws": {"revenue": _packed(revenue), "won": _packed(won)},
        "past": {"periods": months, "revenue": list(map(float, past)), "won": [20.0] * 36}, "seconds": 1.0,
    }  # fmt: skip
    return made | given


def group(*records: dict[str, Any], failed: Any = (), **given: Any) -> dict[str, Any]:
    """What is told of them."""
    asked = {"currency": "EUR", "rates": {}, "correlation": None, "seed": 1}
    return grouped(list(records), list(failed), **(asked | given))


def whole(told: dict[str, Any], measure: str = "revenue") -> dict[str, Any]:
    """The total over the horizon."""
    return next(r for r in told["totals"] if r["measure"] == measure and r["period"] == "total")
