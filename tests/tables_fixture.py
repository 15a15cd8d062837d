"""A plausible bundle of tables for the tests of figures, report and export: seeded numbers, no model behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from forecast.checks import Check, Verdict
from forecast.periods import period_label, shift
from forecast.results import Results, StudyFacts

CHANNELS = ("seo", "outbound", "content", "email", "social", "events", "ppc")
STAGES = ("visitors", "leads", "qualified", "won")
HOSTILE = (
    '#import "x"',
    "=cmd|' /C calc'!A0",
    "_x",
    r"$\frac{$",
    "Long " + "name " * 12,
    "<b>&amp;\\",
    "@SUM(1)",
)
# Signs that act on a terminal, turn a line round, begin another, or are no character; and rich text of Excel.
STEERING = (
    "\x1b]0;PWNED\x07\x1b[2Jppc\x7f",
    "\x9b31m\u202egnp.exe\u2066\nred\ufffe",
    "<r>rich</r>",
    "_x0041_",
)
# What reads as one sign and is several code points; scripts of other directions; letters that no font composes.
CLUSTERS = (
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 family", "\u2764\ufe0f heart", "1\ufe0f\u20e3 keycap",
    "\U0001f1eb\U0001f1ee flag", "\U0001f44d\U0001f3fd tone", "\U0001f3f4\U000e0067\U000e0062\U000e007f tags",
    "\u0915\u094d\u0937\u093f", "\u0ba8\u0bbf", "\u0e17\u0e35\u0e48", "\u1112\u1161\u11ab", "\u0f66\u0f92\u0fb2",
    "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", "\u0645\u064e\u0631\u0652\u062d\u064e\u0628\u064b\u0627",
    "\u0644\u0627 \u0645\u0631\u062d\u0628\u0627 abc 12", "\u05d0\u05d1\u200f (x)", "e\u0301\u0302", "q\u0301",
    "Z\u0351\u036b\u0343", "\u25a1\u200d\u25a1", "\u0301alone", "a\u200db", "a\u200cb", "\ufeffbom", "\U000f0000 own",
    "\u0378 nothing yet", "\u180b\u1820", "\U0001d54f \U0001f973", "\u5e83\u544a", "\u1c5a\ua9c1", "\u200b\u2060x",
)  # fmt: skip
FOREIGN = ("seo", "広告 東京", "party \U0001f973\u200d")
LEVELS = {"q05": 0.05, "q10": 0.1, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q90": 0.9, "q95": 0.95}
BENCHMARKS = {"leads": (0.02, 0.05), "qualified": (0.3, 0.5), "won": (0.2, 0.3)}
RATES = {"leads": 0.034, "qualified": 0.37, "won": 0.24}
ORIGIN = {"month": "2026-10-01", "week": "2026-10-26", "quarter": "2026-07-01"}
VALUE = 6400.0


def _summary(draws: np.ndarray) -> dict[str, float]:
    """Mean, sd and house quantiles of draws."""
    quantiles = np.quantile(draws, list(LEVELS.values()))
    return {"mean": draws.mean(), "sd": draws.std(), **dict(zip(LEVELS, quantiles, strict=True))}


def _band(draws: np.ndarray) -> dict[str, float]:
    """Mean and 80 % band of draws."""
    summary = _summary(draws)
    return {key: summary[key] for key in ("mean", "q10", "q50", "q90")}


def _labels(kind: str, first: int, n: int) -> list[str]:
    """Labels of n periods, the first `first` periods after the as-of period."""
    origin = np.datetime64(ORIGIN[kind], "D")
    return [period_label(shift(origin, first + k, kind), kind) for k in range(n)]


def _spread(rng: np.random.Generator, centre: float, sd: float, n: int = 400) -> np.ndarray:
    """Lognormal draws around a centre."""
    return centre * np.exp(sd * rng.standard_normal(n))


def _history(
    rng: np.random.Generator, kind: str, n: int, stages: Sequence[str], revenue: bool
) -> pd.DataFrame:
    """Totals over channels of the past periods."""
    season = 1 + 0.18 * np.sin(np.arange(n) / 12 * 2 * np.pi)
    rows = []
    level = 4_100 * season * np.exp(0.04 * rng.standard_normal(n))
    for measure in ("spend", *stages, *(("revenue",) if revenue else ())):
        if measure in stages[1:]:
            level = level * RATES.get(measure, 0.4) * np.exp(0.08 * rng.standard_normal(n))
        values = {"spend": 18_000 * season, "revenue": level * VALUE}.get(measure, np.round(level))
        rows += [
            {"period": p, "measure": measure, "value": float(v)}
            for p, v in zip(_labels(kind, 1 - n, n), values, strict=True)
        ]
    return pd.DataFrame(rows)


def _forecast(
    rng: np.random.Generator, periods: list[str], channels: Sequence[str], measures: dict[str, float]
) -> pd.DataFrame:
    """forecast.csv: every measure by period and channel, with totals."""
    shares = rng.dirichlet(np.full(len(channels), 4.0))
    common = {p: _spread(rng, 1.0, 0.10 + 0.02 * k) for k, p in enumerate(periods)}  # channels move together
    rows = []
    for measure, level in measures.items():
        draws = np.empty((len(periods), len(channels), 400))
        for k, p in enumerate(periods):
            noise = _spread(rng, 1.0, 0.28, 400 * len(channels)).reshape(len(channels), 400)
            draws[k] = level * shares[:, None] * (1.0 if measure == "spend" else noise * common[p])
        draws = np.concatenate([draws, draws.sum(axis=0, keepdims=True)])
        draws = np.concatenate([draws, draws.sum(axis=1, keepdims=True)], axis=1)
        for k, p in enumerate((*periods, "total")):
            for c, channel in enumerate((*channels, "total")):
                rows.append({"period": p, "channel": channel, "measure": measure, **_summary(draws[k, c])})
    return pd.DataFrame(rows)


def _funnel(rng: np.random.Generator, channels: Sequence[str], stages: Sequence[str]) -> pd.DataFrame:
    """Rates by channel and destination stage beside the published ranges."""
    rows = []
    for channel in (*channels, "total"):
        for stage in stages[1:]:
            draws = np.minimum(
                _spread(rng, RATES.get(stage, 0.4) * np.exp(0.25 * rng.standard_normal()), 0.12), 0.97
            )
            low, high = BENCHMARKS.get(stage, (np.nan, np.nan))
            crude = draws.mean() * np.exp(0.08 * rng.standard_normal())
            extra = {
                "history": crude,
                "benchmark_low": low,
                "benchmark_high": high,
                "p_below": float((draws < low).mean()),
            }
            band = _band(draws)
            rows.append(
                {
                    "channel": channel,
                    "stage": stage,
                    **{k: band[k] for k in ("mean", "q10", "q50", "q90")},
                    **extra,
                }
            )
    table = pd.DataFrame(rows)
    return table.assign(p_below=table["p_below"].where(table["benchmark_low"].notna()))


def _economics(
    rng: np.random.Generator, channels: Sequence[str], stages: Sequence[str], revenue: bool, spend: bool
) -> pd.DataFrame:
    """Unit economics by channel."""
    centres: dict[str, float] = {}
    if spend:
        centres |= {"spend": 18_000, "cpl": 82, "cost_per_qualified": 230, "cac": 940, "marginal_return": 1.3}
    if revenue:
        centres |= {"worth_of_lead": 310, "worth_of_qualified": 910, "deal_value": VALUE}
    if spend and revenue:
        centres |= {"break_even_cpl": 186}
    if "qualified" not in stages:
        centres = {k: v for k, v in centres.items() if "qualified" not in k}
    rows = []
    for channel in (*channels, "total"):
        for measure, centre in centres.items():
            sd = 0.0 if measure == "spend" else 0.18
            draws = _spread(rng, centre * np.exp(0.4 * rng.standard_normal()), sd)
            unit = "ratio" if measure == "marginal_return" else "currency"
            rows.append({"channel": channel, "measure": measure, "unit": unit, **_band(draws)})
    return pd.DataFrame(rows, columns=["channel", "measure", "unit", "mean", "q10", "q50", "q90"])


def _budget(rng: np.random.Generator, channels: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Allocation and response curves; the last channel is locked, the first goes beyond what was seen."""
    current = np.round(rng.uniform(2_500, 13_500, len(channels)), -2)
    change = rng.uniform(-0.35, 0.35, len(channels)) if len(channels) > 1 else np.zeros(1)
    change[-1] = 0.0
    recommended = current * (1 + change)
    recommended[: max(len(channels) - 1, 1)] *= (
        (current.sum() - recommended[-1]) / max(recommended[:-1].sum(), 1) if len(channels) > 1 else 1
    )
    rows, curves = [], []
    for k, channel in enumerate(channels):
        beta, worth = rng.uniform(0.35, 0.8), rng.uniform(1.6, 3.4)
        grid = np.linspace(0, 2 * max(current[k], recommended[k]), 41)
        seen = current[k] * (1.05 if k == 0 else 1.5)
        curve = worth * current[k] * (grid / current[k]) ** beta
        at = {
            "current": worth * current[k],
            "recommended": worth * current[k] * (recommended[k] / current[k]) ** beta,
        }
        rows.append(
            {
                "channel": channel, "current": current[k], "recommended": recommended[k],
                "low": recommended[k] * 0.8, "high": recommended[k] * 1.22, "change": recommended[k] / current[k] - 1,
                "expected_contribution_current": at["current"], "expected_contribution_recommended": at["recommended"],
                "marginal": beta * at["recommended"] / recommended[k],
                "extrapolated": max(0.0, recommended[k] - seen) / recommended[k],
                "locked": k == len(channels) - 1 and len(channels) > 1,
                "optimum_low": recommended[k] * 0.7, "optimum_high": recommended[k] * 1.4,
                "highest_seen": seen / 3, "gain_if_saturating": 0.9 * (at["recommended"] - at["current"]),
                "best": recommended[k],
            }
        )  # fmt: skip
        curves.append(
            pd.DataFrame({"channel": channel, "spend": grid, "mean": curve, "q10": 0.75 * curve, "q90": 1.3 * curve,
                          "observed_max": seen, "current": current[k], "recommended": recommended[k]})
        )  # fmt: skip
    return pd.DataFrame(rows), pd.concat(curves, ignore_index=True)


def _small(
    rng: np.random.Generator, channels: Sequence[str], stages: Sequence[str], spend: bool
) -> dict[str, pd.DataFrame]:
    """Delays, evidence, audit and sampling diagnostics."""
    delays = [
        {
            "stage": s,
            "mean_days": 14 + 30 * k,
            "q10": 11 + 25 * k,
            "q90": 18 + 36 * k,
            "prior_days": 14 + 31 * k,
            "learnt": 0.3 + 0.4 * k,
        }
        for k, s in enumerate(stages[-2:])
    ]
    sentence = (
        "spend varied widely: the elasticity is learnt from the data",
        "spend hardly varied: the elasticity shown is the prior",
    )
    evidence = [
        {
            "channel": c,
            "elasticity_mean": b,
            "q10": b - 0.16,
            "q90": b + 0.17,
            "evidence": e,
            "assumed": e < 0.5,
            "sentence": sentence[int(e < 0.5)],
        }
        for c, b, e in zip(
            channels, rng.uniform(0.3, 0.8, len(channels)), rng.uniform(0.05, 0.9, len(channels)), strict=True
        )
    ]
    audit = [
        ("stages do not rise along the funnel", "PASS", "0 of 36 periods", ""),
        (
            "few wins",
            "REVIEW",
            "events won 9 customers in 36 periods",
            "Read the bands of this channel as mostly prior.",
        ),
        ("one deal dominates", "PASS", "largest deal is 4 % of a year's revenue", ""),
    ]
    parts = ["traffic", *(f"conversion into {s}" for s in stages[1:]), "deal value"]
    sampling = [
        {"part": p, "max_rhat": 1.002 + 0.001 * k, "min_ess_bulk": 2100.0 - 90 * k, "min_ess_tail": 1500.0 - 80 * k,
         "divergences": 0, "draws": 4000, "seconds": 3.1 + k}
        for k, p in enumerate(parts)
    ]  # fmt: skip
    columns = ["channel", "elasticity_mean", "q10", "q90", "evidence", "assumed", "sentence"]
    return {
        "delays": pd.DataFrame(delays),
        "evidence": pd.DataFrame(evidence if spend else [], columns=columns),
        "audit": pd.DataFrame(audit, columns=["check", "status", "evidence", "advice"]),
        "sampling": pd.DataFrame(sampling),
    }


def _verdict(status: str) -> Verdict:
    """A verdict with one check in each state that the status allows."""
    sentence = {
        "PASS": "All checks passed: the numbers can be used for the decision.",
        "REVIEW": "Usable with care: read the checks marked REVIEW first.",
        "FAIL": "The fit did not converge: do not use these numbers for a decision.",
    }[status]
    checks = [Check("R-hat", "PASS", "1.004", threshold="below 1.01")]
    if status != "PASS":
        advice = "Read the bands of the channel events as mostly prior; do not cut it on these numbers alone."
        checks.append(Check("wins per channel", "REVIEW", "9", advice, "at least 20"))
    if status == "FAIL":
        checks.append(Check("divergences", "FAIL", "41", "Tighten the priors and fit again.", "0"))
    return Verdict(status, sentence, checks)


def _headline(
    forecast: pd.DataFrame,
    bridge: pd.DataFrame,
    target: float | None,
    spend: bool,
    revenue: bool,
    material: bool,
) -> dict[str, object]:
    """What page 1 says, from the total rows."""
    total = forecast[(forecast["period"] == "total") & (forecast["channel"] == "total")].set_index("measure")
    keys = ("mean", "q10", "q50", "q90")
    nan = float("nan")
    head: dict[str, object] = {f"won_{k}": float(total.loc["won", k]) for k in keys}
    head |= {f"revenue_{k}": float(total.loc["revenue", k]) if revenue else nan for k in keys}
    head |= {f"eventual_{k}": float(total.loc["revenue", k]) * 1.08 if revenue else nan for k in keys}
    head |= {
        "p_target": None if target is None else 0.41,
        "gap": None if target is None else target - float(total.loc["revenue" if revenue else "won", "q50"]),
    }
    head |= {
        "process_share": 0.38,
        "parameter_share": 0.62,
        "revenue_closed_share": 0.0,
        "material": material and spend,
    }
    head |= (
        {
            "gain_mean": 8_420.0,
            "gain_q10": -1_900.0,
            "gain_q90": 19_700.0,
            "p_gain": 0.81,
            "p_better": 0.83 if material else None,
            "gain_relative": 0.041,
        }
        if spend
        else {}
    )
    return head


def plausible_tables(
    *,
    channels: Sequence[str] = CHANNELS,
    stages: Sequence[str] = STAGES,
    revenue: bool = True,
    spend: bool = True,
    target: float | None = 192_000.0,
    horizon: int = 3,
    kind: str = "month",
    status: str = "REVIEW",
    material: bool = True,
    past: int = 36,
    seed: int = 7,
) -> Results:
    """A bundle as a run would make it; every argument is one way in which studies differ."""
    rng = np.random.default_rng(seed)
    periods = _labels(kind, 1, horizon)
    history = _history(rng, kind, past, stages, revenue)
    last = history[history["period"] == history["period"].iloc[-1]].set_index("measure")["value"]
    measures = {m: float(last[m]) for m in stages} | ({"spend": 18_000.0} if spend else {})
    if revenue:
        measures |= {"revenue": float(last["revenue"]), "contribution": 0.6 * float(last["revenue"])}
    forecast = _forecast(rng, periods, channels, measures)
    bridge = _bridge(forecast, revenue)
    allocation, response = _budget(rng, channels)
    if not material:  # the best split is not the recommended one
        allocation = allocation.assign(recommended=allocation["current"], change=0.0)
        response = response.assign(recommended=response["current"])
    study = StudyFacts(
        name="demo", currency="EUR", period=kind, stages=list(stages), as_of=_labels(kind, 0, 1)[0], horizon=periods,
        target=target, target_measure=None if target is None else ("revenue" if revenue else "won"),
        gross_margin=0.6, counting="calendar", draws=4000,
    )  # fmt: skip
    provenance = {
        "versions": {"forecast": "0.1.0", "numpy": "2.5.5", "pymc": "6.4.0", "typst": "0.15.2"},
        "seed": 20261101, "data_sha256": {"demo.csv": "9f2c" * 16}, "study_sha256": "51ab" * 16, "fitted": "",
        "command": "forecast run models/demo.toml",
    }  # fmt: skip
    windows, comparison = _beside_the_past(history, forecast, horizon, "revenue" if revenue else "won")
    return Results(
        windows=windows, comparison=comparison,
        study=study, verdict=_verdict(status), headline=_headline(forecast, bridge, target, spend, revenue, material),
        history=history if spend else history[history["measure"] != "spend"], forecast=forecast,
        forecast_recommended=_forecast(rng, periods, channels, measures), bridge=bridge,
        funnel=_funnel(rng, channels, stages), economics=_economics(rng, channels, stages, revenue, spend),
        allocation=allocation if spend else allocation.iloc[:0], response=response if spend else response.iloc[:0],
        provenance=provenance, **_small(rng, channels, stages, spend),
    )  # fmt: skip


def _beside_the_past(
    history: pd.DataFrame, forecast: pd.DataFrame, horizon: int, measure: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Past windows as long as the horizon, and reasons that add up to the difference from the last of them."""
    past = history[history["measure"] == measure].reset_index(drop=True)
    rows = []
    for end in range(len(past), horizon - 1, -horizon)[:8][::-1]:
        part = past.iloc[end - horizon : end]
        ends = {"first": part["period"].iloc[0], "last": part["period"].iloc[-1]}
        rows.append(ends | {"measure": measure, "value": float(part["value"].sum())})
    windows = pd.DataFrame(rows, columns=["first", "last", "measure", "value"])
    whole = (
        (forecast["period"] == "total") & (forecast["channel"] == "total") & (forecast["measure"] == measure)
    )
    mean = float(forecast.loc[whole, "mean"].iloc[0])
    told = []
    for row in rows[-1:]:
        apart = mean - row["value"]
        shares = {"season": 0.1, "traffic": 0.5, "rates": -0.3, "open pipeline": 0.5, "chance": 0.2}
        amounts = {"came": row["value"], **{k: x * apart for k, x in shares.items()}, "forecast": mean}
        ends = {"against": "before", "first": row["first"], "last": row["last"], "measure": measure}
        told += [ends | {"item": item, "amount": x} for item, x in amounts.items()]
    return windows, pd.DataFrame(told, columns=["against", "first", "last", "measure", "item", "amount"])


def _bridge(forecast: pd.DataFrame, revenue: bool) -> pd.DataFrame:
    """Open pipeline, new leads, their sum, and what lands later, as shares of the forecast total."""
    total = forecast[(forecast["period"] == "total") & (forecast["channel"] == "total")].set_index("measure")
    shares = {
        "from open pipeline": 0.73,
        "from new leads": 0.27,
        "revenue inside the horizon": 1.0,
        "lands after the horizon": 0.62,
    }
    rows = []
    for item, share in shares.items():
        money = {
            k: share * float(total.loc["revenue", k]) if revenue else np.nan
            for k in ("mean", "q10", "q50", "q90")
        }
        rows.append({"item": item, "won_mean": share * float(total.loc["won", "mean"]), **money})
    return pd.DataFrame(rows)


def plausible_outlook(tables: Results, draws: int = 50, seed: int = 3) -> xr.Dataset:
    """Draws of both plans with the dims of the outlook: plan, draw, period, channel."""
    rng = np.random.default_rng(seed)
    channels = [c for c in tables.forecast["channel"].unique() if c != "total"]
    size = (2, draws, len(tables.study.horizon), len(channels))
    dims = ("plan", "draw", "period", "channel")
    start = np.datetime64(ORIGIN[tables.study.period], "ns")
    periods = start + np.arange(size[2]) * np.timedelta64(31, "D")
    return xr.Dataset(
        {
            "won": (dims, rng.poisson(8, size)),
            "revenue": (dims, rng.gamma(2.0, 9_000.0, size), {"units": "EUR"}),
        },
        coords={
            "plan": ["given", "recommended"],
            "draw": np.arange(draws),
            "period": periods,
            "channel": channels,
        },
        attrs={"schema": 1},
    )
