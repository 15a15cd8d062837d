"""Results with all that is drawn: the tables of `tables_fixture`, and levers, frontiers, segments and a backtest.

Seeded numbers, no model behind them; every argument is one way in which studies differ.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from tables_fixture import LEVELS, plausible_tables

from forecast.budget import Firmness
from forecast.results import Levers, Past, Results, Segments

BANDED = ("mean", "q10", "q50", "q90")


def rich_tables(**study: Any) -> Results:
    """`plausible_tables` with everything that a figure can be made of."""
    made = plausible_tables(**study)
    rng = np.random.default_rng(11)
    valued = bool(made.bridge["mean"].notna().any())
    return replace(
        made,
        economics=_with_lifetime(rng, made.economics) if valued and len(made.allocation) else made.economics,
        levers=_levers(rng, made, valued),
        decision=_firm(made.allocation) if len(made.allocation) else None,
        segments=_segments(rng, valued),
        backtest=past_of(rng, "revenue" if valued else "won"),
    )


def _band(mean: float, sd: float) -> dict[str, float]:
    return dict(zip(BANDED, (mean, mean - 1.28 * sd, mean, mean + 1.28 * sd), strict=True))


def _with_lifetime(rng: np.random.Generator, economics: pd.DataFrame) -> pd.DataFrame:
    """LTV / CAC of every channel, of the average and of the next customer."""
    rows = []
    for channel in dict.fromkeys(economics["channel"]):
        for measure, middle in (("ltv_cac", 2.4), ("marginal_ltv_cac", 1.1)):
            mean = middle * float(np.exp(0.5 * rng.standard_normal()))
            rows.append({"channel": channel, "measure": measure, "unit": "ratio", **_band(mean, 0.15 * mean)})
    return pd.concat([economics, pd.DataFrame(rows)], ignore_index=True)


def _levers(rng: np.random.Generator, made: Results, valued: bool) -> Levers:
    """Each lever in all channels and in one, sources of doubt, three scenarios."""
    inside, eventual = ("revenue", "revenue_eventual") if valued else ("won", "won_eventual")
    scale = 1_000.0 if valued else 0.2
    levers = [
        ("value", ""), ("traffic", ""), *(("rate", s) for s in made.study.stages[1:]),
        *(("delay", s) for s in made.study.stages[2:]),
    ]  # fmt: skip
    channels = ["total", str(made.forecast["channel"].iloc[0])]
    rows = []
    for k, (lever, stage) in enumerate(levers):
        for channel in channels:
            for measure, times in ((inside, 1.0), (eventual, 1.6)):
                mean = scale * times * (28.0 - 4.0 * k) * (1.0 if channel == "total" else 0.2)
                told = {"lever": lever, "stage": stage, "channel": channel, "measure": measure}
                elastic = {"elasticity": 1.0 - 0.1 * k}
                change = "-10 %" if lever == "delay" else "+10 %"
                rows.append(told | {"change": change} | _band(mean, 0.12 * mean) | elastic)
                if lever == "rate":
                    rows.append(told | {"change": "+1 point"} | _band(3 * mean, 0.3 * mean) | elastic)
    sources = [
        "chance: open pipeline", "chance: new units", *(f"rate: {s}" for s in made.study.stages[1:]), "delay",
        *(["deal value"] if valued else []),
    ]  # fmt: skip
    shares = rng.dirichlet(np.linspace(8.0, 1.0, len(sources)))
    variance = [
        {"source": source, "variance": 1e6 * share, "share": share, "error": 0.006}
        for source, share in zip(sources, shares, strict=True)
    ]
    variance += [{"source": "total", "variance": 1e6, "share": 1.0, "error": 0.0}]
    names = (
        "Sales training",
        "Stricter threshold",
        "A new landing page with a name that is much too long for a figure",
    )
    scenarios = [
        {"scenario": name, "measure": measure, "unit": "currency", **_band(scale * x, scale * 12)}
        for name, x in zip(names, (28.0, 3.0, -1.5), strict=True)
        for measure in (("contribution", "revenue", "cost", "p_payback") if valued else ("won", "won_eventual"))
    ]  # fmt: skip
    return Levers(
        sensitivity=pd.DataFrame(rows),
        variance=pd.DataFrame(variance),
        scenarios=pd.DataFrame(scenarios),
        scenario_notes=dict.fromkeys(names, ""),
    )


def _firm(allocation: pd.DataFrame) -> Firmness:
    """Frontiers of a budget that would pay up to 1.2 of today's."""
    current = float(allocation["current"].sum())
    spent = np.linspace(0.5, 1.5, 11) * current
    best = 1.1 * current - 0.6 * (spent - 1.2 * current) ** 2 / current
    frontier = pd.DataFrame(
        {"budget": spent, "spent": spent, "contribution": best, "q10": 0.8 * best, "q90": 1.2 * best}
    )
    worst = np.linspace(0.3, 0.4, 5) * current
    mixed = 1.1 * current - 3.0 * (worst - worst[0]) ** 2 / current
    risk = pd.DataFrame({"plan": "mix", "contribution": mixed, "cvar": worst})
    plans = pd.DataFrame(
        {
            "plan": ["current", "recommended"],
            "contribution": [1.02 * current, mixed[1]],
            "cvar": [0.25 * current, worst[1]],
        }
    )
    empty = pd.DataFrame()
    return Firmness(
        certificate={}, regret={}, regret_current={}, perfect_information={}, stops_paying=1.2 * current, advice="",
        optimum=empty, tests=empty, ledger=empty, budget_frontier=frontier,
        risk_frontier=pd.concat([risk, plans], ignore_index=True),
    )  # fmt: skip


def _segments(rng: np.random.Generator, valued: bool) -> Segments:
    """Three segments over two years."""
    names = ["cold", "warm", "hot"]
    p_win = np.array([0.02, 0.06, 0.15])
    worth = pd.DataFrame({"segment": names, "leads": 100, "share": 1 / 3})
    for name, middle in (("p_win", p_win), ("worth", 6_000.0 * p_win)):
        for end, times in (("mean", 1.0), ("q10", 0.8), ("q90", 1.25)):
            worth[f"{name}_{end}"] = times * middle
    periods = [f"{2025 + k // 12}-{1 + k % 12:02d}" for k in range(24)]
    mix = [
        {"period": period, "segment": name, "share": share}
        for period in periods
        for name, share in zip(names, rng.dirichlet([6.0, 4.0, 2.0]), strict=True)
    ]
    empty = pd.DataFrame()
    return Segments(
        rates=empty, mix=pd.DataFrame(mix), worth=worth, shift=empty, column="temperature", valued=valued, leads=300
    )  # fmt: skip


def past_of(rng: np.random.Generator, measure: str, origins: int = 6) -> Past:
    """Forecasts of the past; what came at the third origin lies above its 80 % band."""
    level, rows = (250_000.0 if measure == "revenue" else 40.0), []
    for k in range(origins):
        mean = level * float(np.exp(0.1 * rng.standard_normal()))
        spread = {name: mean * (1.0 + 1.2 * (q - 0.5)) for name, q in LEVELS.items()}
        came = spread["q95"] * 1.05 if k == 2 else mean * float(np.exp(0.1 * rng.standard_normal()))
        first, last = (f"{2025 + (3 * k + add) // 12}-{1 + (3 * k + add) % 12:02d}" for add in (0, 2))
        inside = float(spread["q10"] <= came <= spread["q90"])
        rows.append(
            {"origin": first, "mean": mean, **spread, "came": came, "inside80": inside, "first": first, "last": last}
        )  # fmt: skip
    scores = [
        {"measure": m, "method": "forecast", "pit": [1, 1, 2, 1, 1], "crps": 1.0} for m in (measure, "leads")
    ]
    return Past(
        name="demo", currency="EUR", measure=measure, period="month", horizon=3,
        origins=[row["origin"] for row in rows], independent=float(origins), spend="actual", paid=True, method="fit",
        left_out=[], sampling={}, rows=rows, scores=scores, gate=[],
    )  # fmt: skip


WIDE = {"q05": 60.0, "q10": 70.0, "q25": 85.0, "q50": 100.0, "q75": 115.0, "q90": 130.0, "q95": 140.0}
SHIFTS = {"spend": 4.0, "traffic": -10.0, "chance": -4.0}


def _scored(period: str, mean: float, came: float, channel: str = "total") -> dict[str, Any]:
    """A row of a score."""
    inside = WIDE["q10"] <= came <= WIDE["q90"]
    return {"measure": "won", "period": period, "channel": channel, "mean": mean, "came": came, **WIDE} | {
        "inside80": inside
    }


def scored_run() -> Any:
    """A run of two months, of which the second came low."""
    rows = [
        _scored("2026-01", 100, 110),
        _scored("2026-02", 100, 60),
        _scored("total", 200, 190),
        _scored("2026-01", 9, 8, "seo"),
    ]
    parts = [
        {"channel": "total", "measure": "won", "block": name, "amount": by} for name, by in SHIFTS.items()
    ]
    told = {"scores": rows, "attribution": parts, "measure": "won", "currency": "EUR", "headline": None}
    old = [
        {**_scored("x", 50, 45), "first": "2025-09", "last": "2025-10"},
        {**_scored("y", 9, 8), "first": "2025-11", "last": "2025-12"},
    ]
    study = SimpleNamespace(language="en", locale="")
    return SimpleNamespace(told=told | {"earlier": {"rows": old}}, study=study)
