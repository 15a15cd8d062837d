"""From draws to the tables that people read: composes outlook, allocation and economics.

Every band is a quantile of draws of the very quantity (totals are summed draw by draw before the quantile is taken).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logit

from forecast.budget import Allocation, Curves
from forecast.fit import Posterior, channel_priors, delay_prior, lift_data
from forecast.history import History
from forecast.outlook import UNITS, Flow, chances, in_total, ratio, unit_measures
from forecast.periods import DAYS_PER_PERIOD, period_label
from forecast.study import Study, rate_range

Array = NDArray[np.float64]
LEVELS = {"q05": 0.05, "q10": 0.10, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q90": 0.90, "q95": 0.95}
BAND = {name: LEVELS[name] for name in ("q10", "q50", "q90")}


def summarise(draws: Array, levels: Mapping[str, float] = LEVELS, *, sd: bool = True) -> dict[str, Array]:
    """Mean, sd and quantiles over the first axis."""
    result = {"mean": draws.mean(axis=0)}
    if sd:
        result["sd"] = np.where(np.ptp(draws, axis=0) > 0, draws.std(axis=0), 0.0)
    return result | dict(zip(levels, np.quantile(draws, list(levels.values()), axis=0), strict=True))


def forecast_table(outlook: xr.Dataset, plan: str, labels: list[str], stages: list[str]) -> pd.DataFrame:
    """forecast.csv for one plan: period, channel, measure, mean, sd and quantiles, with totals.

    `revenue_after_horizon` has no period inside the horizon and comes with period `total` only; the total of `waiting`
    over the periods is who waits at their end.
    """
    order = [*stages, "spend", "revenue", "contribution", "won_from_pipeline", "won_from_new"]
    order += ["revenue_from_pipeline", "revenue_from_new", "revenue_after_horizon", "handled", "waiting"]
    channels = [*map(str, outlook["channel"].values), "total"]
    frames = []
    for measure in (name for name in order if name in outlook):
        draws = np.asarray(outlook[measure].sel(plan=plan).values, dtype=float)
        periods = [*labels, "total"] if draws.ndim == 3 else ["total"]
        if draws.ndim == 3:
            whole = draws[:, -1:] if measure == "waiting" else draws.sum(axis=1, keepdims=True)
            draws = np.concatenate([draws, whole], axis=1)
        else:
            draws = draws[:, None, :]
        summary = {name: values.ravel() for name, values in summarise(in_total(draws)).items()}
        keys = pd.MultiIndex.from_product([periods, channels], names=["period", "channel"]).to_frame(
            index=False
        )
        frames.append(keys.assign(measure=measure, **summary))
    return pd.concat(frames, ignore_index=True)


def total_draws(outlook: xr.Dataset, plan: str, measure: str) -> Array:
    """Draws of a measure over the whole horizon and all channels, (draw,)."""
    values = outlook[measure].sel(plan=plan)
    return np.asarray(values.sum([d for d in values.dims if d != "draw"]).values, dtype=float)


def bridge_table(outlook: xr.Dataset, plan: str) -> pd.DataFrame:
    """Revenue and wins by where they come from; the first two rows add up to the third, draw by draw."""
    items = {
        "from open pipeline": ("won_from_pipeline", "revenue_from_pipeline"),
        "from new leads": ("won_from_new", "revenue_from_new"),
        "revenue inside the horizon": ("won", "revenue"),
        "lands after the horizon": ("won_after_horizon", "revenue_after_horizon"),
    }
    rows = []
    for item, (won, revenue) in items.items():
        row: dict[str, Any] = {"item": item, "won_mean": float(total_draws(outlook, plan, won).mean())}
        if revenue in outlook:
            row |= _scalars(total_draws(outlook, plan, revenue))
        else:
            row |= dict.fromkeys(("mean", *BAND), math.nan)
        rows.append(row)
    return pd.DataFrame(rows)


def _scalars(draws: Array) -> dict[str, float]:
    return {name: float(value) for name, value in summarise(draws, BAND, sd=False).items()}


def history_table(history: History) -> pd.DataFrame:
    """Totals over channels by period and measure; a blank everywhere is left out."""
    labels = [period_label(start, history.period) for start in history.periods]
    rows = []
    for measure in ("spend", *history.stages, "revenue"):
        if measure in history.counts:
            values = history.counts[measure].sum("channel", min_count=1).values
            rows += [
                {"period": label, "measure": measure, "value": float(value)}
                for label, value in zip(labels, values, strict=True)
                if np.isfinite(value)
            ]
    return pd.DataFrame(rows, columns=["period", "measure", "value"])


def funnel_table(study: Study, history: History, flow: Flow) -> pd.DataFrame:
    """Rates of the horizon's cohorts by channel and in total, beside what history shows and the market's range."""
    rows = []
    channels = [*history.channels, "total"]
    for before, stage in history.steps:
        has = ~history.enters_later(stage)
        rates = ratio(in_total(flow.units[stage] * has), in_total(flow.units[before] * has))
        both = history.present(before, stage)
        entered = in_total(np.where(both, history.counts[before].values, 0.0).sum(axis=0))
        moved = in_total(np.where(both, history.counts[stage].values, 0.0).sum(axis=0))
        published = rate_range(study.funnel.market, stage)
        for i, channel in enumerate(channels):
            if channel != "total" and not has[i]:
                continue
            low, high = (published.low, published.high) if published else (math.nan, math.nan)
            below = float((rates[:, i] < low).mean()) if published else math.nan
            rows.append(
                {"channel": channel, "stage": stage, **_scalars(rates[:, i])}
                | {
                    "history": float(ratio(moved[i], entered[i])),
                    "benchmark_low": low,
                    "benchmark_high": high,
                }
                | {"p_below": below}
            )
    return pd.DataFrame(rows).sort_values(
        "channel", key=lambda c: c.map(channels.index), kind="stable", ignore_index=True
    )


def delay_table(study: Study, history: History, posterior: Posterior) -> pd.DataFrame:
    """Mean delay into each stage in days, beside its prior, and how much of it the data taught (0 to 1)."""
    rows = []
    for _, stage in history.steps:
        mean = posterior.array(f"delay_mean_{stage}")
        prior = delay_prior(study, history, stage)
        if not mean.any():
            continue
        days = mean * DAYS_PER_PERIOD[history.period]
        learnt = 1.0 - min(float(np.log(mean).var()) / prior.mean_sd**2, 1.0)
        rows.append(
            {"stage": stage, "mean_days": float(days.mean()), "q10": float(np.quantile(days, 0.1))}
            | {
                "q90": float(np.quantile(days, 0.9)),
                "prior_days": prior.mean * DAYS_PER_PERIOD[history.period],
            }
            | {"learnt": learnt}
        )
    return pd.DataFrame(rows, columns=["stage", "mean_days", "q10", "q90", "prior_days", "learnt"])


def economics_table(
    history: History,
    flow: Flow,
    margin: float,
    marginal: Mapping[str, float],
    more: Mapping[str, Array] | None = None,
) -> pd.DataFrame:
    """Unit economics by channel and in total; the marginal return at today's spend is an expectation.

    `more`: of `customer_economics`. Where a CAC may never come back, the mean of the payback time is infinite.
    """
    channels = [*history.channels, "total"]
    measures = unit_measures(flow, margin) | dict(more or {})

    def rows_of(measure: str, band: Mapping[str, Array]) -> list[dict[str, Any]]:
        known = ~np.isnan(band["mean"])
        told = {"measure": measure, "unit": UNITS.get(measure, "currency")}
        numbers = [{name: float(values[i]) for name, values in band.items()} for i in range(len(channels))]
        return [{"channel": channels[i], **told, **numbers[i]} for i in np.flatnonzero(known)]

    rows = []
    for measure, draws in measures.items():
        rows += rows_of(measure, _band_with_never(draws))
    for measure, chance in chances(measures).items() if more is not None else ():
        rows += rows_of(measure, dict.fromkeys(("mean", *BAND), chance))
    for channel, value in marginal.items():
        told = {"channel": channel, "measure": "marginal_return", "unit": UNITS["marginal_return"]}
        rows.append(told | dict.fromkeys(("mean", *BAND), value))
    return pd.DataFrame(rows, columns=["channel", "measure", "unit", "mean", *BAND])


def _band_with_never(draws: Array) -> dict[str, Array]:
    """Mean and quantiles over draws, where some may be infinite: a quantile is then one of the draws."""
    if not np.isinf(draws).any():
        return summarise(draws, BAND, sd=False)
    steps = np.quantile(draws, list(BAND.values()), axis=0, method="inverted_cdf")
    return {"mean": draws.mean(axis=0), **dict(zip(BAND, steps, strict=True))}


def economics_totals(table: pd.DataFrame) -> dict[str, Any]:
    """Unit economics of the whole company for summary.json: by measure its mean and band, a probability alone."""
    told: dict[str, Any] = {}
    for row in table[table["channel"] == "total"].to_dict("records"):
        band = {name: row[name] for name in ("mean", *BAND)}
        told[str(row["measure"])] = row["mean"] if row["unit"] == "probability" else band
    return told


ALLOCATION_COLUMNS = [
    "channel",
    "current",
    "recommended",
    "low",
    "high",
    "change",
    "expected_contribution_current",
    "expected_contribution_recommended",
    "marginal",
    "extrapolated",
    "locked",
    "optimum_low",
    "optimum_high",
    "highest_seen",
    "gain_if_saturating",
]


def allocation_table(
    study: Study, names: list[str], allocation: Allocation | None, decision: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """allocation.csv: spend over the horizon, near-optimal range, eventual contribution (margin less spend).

    `decision`: of `budget.sureness.decision_tables`; without it the columns that need it are blank.
    """
    if allocation is None:
        return pd.DataFrame(columns=ALLOCATION_COLUMNS)
    a = allocation
    blank = pd.DataFrame(
        {name: np.full(len(names), math.nan) for name in ("q10", "q90", "highest_seen", "gain_if_saturating")}
    )
    optimum, seen = (decision["optimum"], decision["ledger"]) if decision else (blank, blank)
    return pd.DataFrame(
        {
            "channel": names,
            "current": a.current,
            "recommended": a.recommended,
            "low": a.low,
            "high": a.high,
            "change": ratio(a.recommended, a.current) - 1.0,
            "expected_contribution_current": a.value_current - a.current,
            "expected_contribution_recommended": a.value_recommended - a.recommended,
            "marginal": a.marginal,
            "extrapolated": a.extrapolated,
            "locked": [name in study.channels and study.channels[name].locked for name in names],
            "optimum_low": optimum["q10"],
            "optimum_high": optimum["q90"],
            "highest_seen": seen["highest_seen"],
            "gain_if_saturating": seen["gain_if_saturating"],
        }
    )


def response_table(names: list[str], allocation: Allocation, curves: Curves, seen: Array) -> pd.DataFrame:
    """Eventual margin before spend against spend over the horizon, with its 80 % band, by channel."""
    frames = []
    for i, name in enumerate(names):
        band = summarise(curves.value[:, i], {"q10": 0.1, "q90": 0.9}, sd=False)
        frames.append(
            pd.DataFrame(
                {"channel": name, "spend": curves.spend[i], **band}
                | {
                    "observed_max": seen[i],
                    "current": allocation.current[i],
                    "recommended": allocation.recommended[i],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def evidence_table(study: Study, history: History, posterior: Posterior, names: list[str]) -> pd.DataFrame:
    """Elasticity of each paid channel, and how much of it is data: 1 - posterior variance / prior variance (logit)."""
    prior = channel_priors(study, history)["elasticity_prior"]
    spend, measured = history.spend, lift_data(study, history)
    rows = []
    for name in names:
        i = history.channels.index(name)
        draws = posterior.array("elasticity")[:, i]
        evidence = 1.0 - min(float(logit(draws).var()) / prior[1, i] ** 2, 1.0)
        paid = spend[spend[:, i] > 0, i]
        spread = float(np.log(paid).std()) if len(paid) > 1 else 0.0
        verb = "is learnt mostly from the data" if evidence >= 0.5 else "is mostly the prior"
        tests = int((measured["lift_channel"] == i).sum())
        told = f" and {tests} lift test{'s' if tests > 1 else ''} counted" if tests else ""
        sentence = f"spend varied by about {spread:.0%} from period to period{told}: the elasticity {verb}"
        rows.append(
            {"channel": name, "elasticity_mean": float(draws.mean()), "q10": float(np.quantile(draws, 0.1))}
            | {"q90": float(np.quantile(draws, 0.9)), "evidence": evidence, "sentence": sentence}
        )
    return pd.DataFrame(rows, columns=["channel", "elasticity_mean", "q10", "q90", "evidence", "sentence"])


def headline(
    study: Study, outlook: xr.Dataset, allocation: Allocation | None, replicates: int, names: list[str]
) -> dict[str, Any]:
    """What page 1 says: totals with bands, P(target), luck against ignorance, gain of the recommendation."""
    result: dict[str, Any] = {}
    for measure, key in (("revenue", "revenue"), ("won", "won"), ("revenue_eventual", "eventual")):
        draws = total_draws(outlook, "given", measure) if measure in outlook else None
        band = _scalars(draws) if draws is not None else dict.fromkeys(("mean", *BAND), math.nan)
        result |= {f"{key}_{name}": value for name, value in band.items()}
    target = study.plan.target
    result |= {"p_target": None, "gap": None}
    if target is not None and target.measure in outlook:
        draws = total_draws(outlook, "given", target.measure)
        result |= {"p_target": float((draws >= target.amount).mean())}
        result |= {"gap": float(target.amount - np.quantile(draws, 0.5))}
        if "recommended" in outlook["plan"].values:
            moved = total_draws(outlook, "recommended", target.measure)
            result["p_target_recommended"] = float((moved >= target.amount).mean())
    main = total_draws(outlook, "given", "revenue" if "revenue" in outlook else "won").reshape(-1, replicates)
    if replicates > 1 and main.std() > 0:
        known = float(np.clip(np.corrcoef(main[:, 0], main[:, 1])[0, 1], 0.0, 1.0))
        result |= {"parameter_share": known, "process_share": 1.0 - known}
    result["material"] = False
    lacks = "No deal has a value" if names else "No channel has spend"
    result["recommendation"] = f"{lacks}: no budget is recommended."
    if allocation is not None:
        result |= gain_of(allocation, names)
    return result


def gain_of(allocation: Allocation, names: list[str]) -> dict[str, Any]:
    """The gain of a recommendation with its band, and the recommendation as a sentence."""
    gain, base = allocation.gain, float(allocation.value_current.sum() - allocation.current.sum())
    result: dict[str, Any] = {
        "gain_mean": float(gain.mean()),
        "gain_q10": float(np.quantile(gain, 0.1)),
        "gain_q90": float(np.quantile(gain, 0.9)),
        "gain_relative": float(gain.mean()) / base if base > 0 else math.nan,
        "p_better": allocation.p_better,
        "material": allocation.material,
        "current_allowed": allocation.allowed,
        "price": allocation.price,
        "unspent": allocation.unspent,
        "unspent_reason": allocation.reason,
    }
    move = allocation.recommended - allocation.current
    order = np.argsort(move)
    ups = [names[i] for i in order[::-1] if move[i] > 0.005 * allocation.current.sum()][:3]
    downs = [names[i] for i in order if move[i] < -0.005 * allocation.current.sum()][:3]
    if not allocation.material or not (ups or downs):
        text = "No material change: no other split is better than the current plan by more than 1 %."
    else:
        text = (
            f"Move money from {_listed(downs)} to {_listed(ups)}."
            if ups and downs
            else (f"Spend more on {_listed(ups)}." if ups else f"Spend less on {_listed(downs)}.")
        )
        if allocation.certificate is not None and allocation.certificate.mode:
            text = f"The {allocation.certificate.mode}: {allocation.recommended.sum():,.0f} over the horizon. {text}"
        elif not allocation.allowed:
            text = f"The current plan does not keep the limits of the budget. {text}"
    return result | {"recommendation": text}


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
