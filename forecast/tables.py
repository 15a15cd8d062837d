"""The bundle of tidy tables that report, export and figures take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from forecast.words import Check, text


@dataclass(frozen=True, eq=False)
class Tables:
    """Everything a reader is told, as raw numbers (floats, currency units, rates in [0, 1]); nothing is formatted.

    decision: tables and summary of `budget.sureness`, where a budget is recommended; else empty.
    backtest: the content of backtest.json where one belongs to these data; else empty.
    benchmarks: of `outlook.benchmark_gap`; mistakes: of `history.mistakes`.
    levers: of `forecast.lever_tables`.
    segments, recycling: of `leads.segments` and `outlook.recycling`, where the study asks for them; else empty.
    """

    study: dict[str, Any]
    verdict: dict[str, Any]
    headline: dict[str, Any]
    history: pd.DataFrame
    forecast: pd.DataFrame
    forecast_recommended: pd.DataFrame
    bridge: pd.DataFrame
    funnel: pd.DataFrame
    delays: pd.DataFrame
    economics: pd.DataFrame
    allocation: pd.DataFrame
    response: pd.DataFrame
    evidence: pd.DataFrame
    audit: pd.DataFrame
    sampling: pd.DataFrame
    provenance: dict[str, Any]
    backtest: dict[str, Any] = field(default_factory=dict)
    decision: dict[str, Any] = field(default_factory=dict)
    levers: dict[str, Any] = field(default_factory=dict)
    segments: dict[str, Any] = field(default_factory=dict)
    recycling: dict[str, Any] = field(default_factory=dict)
    benchmarks: pd.DataFrame = field(default_factory=pd.DataFrame)
    mistakes: pd.DataFrame = field(default_factory=pd.DataFrame)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dicts with text keys."""
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def check_table(checks: Sequence[Check], asked: str = "check") -> pd.DataFrame:
    """A row for each check, as text: what was asked (under the name `asked`), status, evidence, advice."""
    rows = [(text(c.name), c.status, text(c.value), text(c.advice)) for c in checks]
    return pd.DataFrame(rows, columns=[asked, "status", "evidence", "advice"])
