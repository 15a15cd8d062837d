"""Every rate against the market's published range: how likely it lies below, and what closing the gap would bring.

For a rate r of a draw, and an aim a (the low end of the range, or its middle):

    factor = max(a / r, 1)            a rate above the aim stays as it is
    gain   = (factor - 1) x wins      of the channel's cohorts of the horizon: those that land inside it, and in the end

because wins are proportional to each rate. Cohorts of the horizon alone: what is in the pipeline already stays as it
is. The gain in total lifts every channel that lies below the aim. A benchmark is a comparison, never a target:
published ranges are averages over companies of other kinds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.budget import inside_share
from forecast.fit import Posterior
from forecast.history import History
from forecast.outlook.simulation import Future
from forecast.outlook.unit_economics import Flow, in_total, ratio
from forecast.study import Range, Study, channel_range, rate_range

Array = NDArray[np.float64]
CLEARLY = 0.8
MEASURES = ("won", "won_eventual", "revenue", "revenue_eventual")
BANDS = {"": None, "_q10": 0.1, "_q90": 0.9}
COLUMNS = [
    *(
        "channel",
        "stage",
        "mean",
        "q10",
        "q50",
        "q90",
        "benchmark_low",
        "benchmark_high",
        "p_below",
        "p_above",
    ),
    *("position", "aim", "aim_rate"),
    *(f"{measure}{end}" for measure in MEASURES for end in BANDS),
    "source",
]


def aims(published: Range) -> dict[str, float]:
    """What a rate is lifted to, by name: the low end of the range, and its middle.

    >>> aims(Range(0.2, 0.3, "somewhere"))
    {'low end': 0.2, 'middle': 0.25}
    """
    return {"low end": published.low, "middle": (published.low + published.high) / 2}


def position(p_below: float, p_above: float) -> str:
    """Where a rate stands: "below" or "above" where that is at least 80 % likely, "inside" likewise, else "unclear"."""
    if p_below >= CLEARLY:
        return "below"
    if p_above >= CLEARLY:
        return "above"
    return "inside" if 1.0 - p_below - p_above >= CLEARLY else "unclear"


def gap_table(
    study: Study, history: History, posterior: Posterior, future: Future, inside: Array, flow: Flow
) -> pd.DataFrame:
    """One row per channel (and in total), stage with a published range, and aim; empty where nothing is published.

    inside: expected traffic (draw, period, channel) at the given plan; flow: what becomes of it. Wins and revenue are
    gains over the horizon, `_eventual` with all delays run out; bands are 80 %.
    """
    market, steps = study.funnel.market, history.steps
    whole = {stage: found for _, stage in steps if (found := rate_range(market, stage)) is not None}
    if not whole:
        return pd.DataFrame(columns=COLUMNS)
    wins = {"won": (inside * inside_share(posterior, history, future)).sum(axis=1)}
    wins["won_eventual"] = flow.units["won"]
    channels, rows = [*history.channels, "total"], []
    for before, stage in steps:
        if stage not in whole:
            continue
        has = ~history.enters_later(stage)
        rates = ratio(in_total(flow.units[stage] * has), in_total(flow.units[before] * has))
        own = [channel_range(market, stage, study.kind_of(name)) or whole[stage] for name in history.channels]
        own.append(whole[stage])
        gains = {
            aim: _gains(rates[:, :-1], has, np.array([aims(r)[aim] for r in own[:-1]]), wins, flow.deal_value)
            for aim in aims(whole[stage])
        }
        for i, channel in enumerate(channels):
            if (channel != "total" and not has[i]) or not np.isfinite(rates[:, i]).all():
                continue
            told = {"channel": channel, "stage": stage, **_rate(rates[:, i], own[i])}
            for aim, rate in aims(own[i]).items():
                bands = {
                    name: value for m, g in gains[aim].items() for name, value in _band(m, g[:, i]).items()
                }
                rows.append(told | {"aim": aim, "aim_rate": rate} | bands | {"source": own[i].source})
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values("channel", key=lambda c: c.map(channels.index), kind="stable", ignore_index=True)


def _gains(
    rates: Array, has: NDArray[np.bool_], aim: Array, wins: dict[str, Array], value: Array | None
) -> dict[str, Array]:
    """Gain of lifting rates (draw, channel) to each channel's aim, by measure, (draw, channel + 1)."""
    lift = np.where(has & (rates > 0), np.maximum(ratio(aim * np.ones_like(rates), rates), 1.0) - 1.0, 0.0)
    found = {name: in_total(lift * won) for name, won in wins.items()}
    if value is not None:
        found |= {name.replace("won", "revenue"): in_total(lift * won * value) for name, won in wins.items()}
    return found


def _rate(draws: Array, published: Range) -> dict[str, Any]:
    """A rate with its band beside its range."""
    below, above = float((draws < published.low).mean()), float((draws > published.high).mean())
    q10, q50, q90 = (float(q) for q in np.quantile(draws, (0.1, 0.5, 0.9)))
    told: dict[str, Any] = {"mean": float(draws.mean()), "q10": q10, "q50": q50, "q90": q90}
    told |= {"benchmark_low": published.low, "benchmark_high": published.high}
    return told | {"p_below": below, "p_above": above, "position": position(below, above)}


def _band(measure: str, draws: Array) -> dict[str, float]:
    """Mean and the ends of the 80 % band of a gain."""
    return {
        f"{measure}{end}": float(draws.mean() if level is None else np.quantile(draws, level))
        for end, level in BANDS.items()
    }


def largest(table: pd.DataFrame, aim: str = "middle") -> dict[str, Any]:
    """The row in total with the largest eventual gain to an aim; empty where there is none."""
    rows = table[(table["channel"] == "total") & (table["aim"] == aim)]
    measure = "revenue_eventual" if rows["revenue_eventual"].notna().any() else "won_eventual"
    best = rows.sort_values(measure, ascending=False, kind="stable").head(1).to_dict("records")
    return {str(k): v for k, v in best[0].items()} if best and not math.isnan(best[0][measure]) else {}
