"""What a reader is told: every table of a forecast, and the facts around them.

    Results   the bundle that pages, workbook and files read: frames by name, facts, what a study may ask for besides
    *_table   from draws to a tidy frame; its columns are declared in `forecast.columns`

Every band is a quantile of draws of the very quantity (totals are summed draw by draw before the quantile is taken).
Numbers are raw: currency units, rates in [0, 1]; nothing is formatted here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logit

from forecast.backtest import summary_tables
from forecast.budget import Allocation, Curves, Firmness
from forecast.checks import Check, Verdict
from forecast.columns import TABLES
from forecast.equations import quantiles, surprise
from forecast.errors import UsageError
from forecast.fit import EVIDENCE_LEARNT, Posterior, channel_priors, delay_prior, lift_data
from forecast.history import DataRead, History
from forecast.outlook import (
    REPLICATES,
    UNITS,
    Flow,
    Ingredients,
    Paths,
    chances,
    in_total,
    largest,
    ratio,
    totals_of,
    unit_measures,
    with_totals,
)
from forecast.periods import DAYS_PER_PERIOD, period_label
from forecast.speech import ENGLISH
from forecast.study import Study, rate_range
from forecast.tables import Table, records
from forecast.words import Message, Text, message, recalled, speaking

Array = NDArray[np.float64]


# --------------------------------------------------------------------------------------------------------- the bundle


class _Bundle:
    """Tables and facts that belong together, as a dict of other floors has them."""

    def told(self) -> dict[str, Any]:
        """The same for summary.json: tables as lists of rows, and nothing that is not there."""
        return {
            item.name: records(value) if isinstance(value, pd.DataFrame) else value
            for item in fields(self)  # type: ignore[arg-type]  # every bundle is a dataclass
            if (value := getattr(self, item.name)) is not None
        }


@dataclass(frozen=True)
class StudyFacts:
    """What was asked, as far as pages say it. target: of the horizon, in currency or wins."""

    name: str
    currency: str
    period: str = "month"
    stages: Sequence[str] = ()
    as_of: str = ""
    horizon: Sequence[str] = ()
    target: float | None = None
    target_measure: str | None = None
    gross_margin: float | None = None
    counting: str = ""
    draws: int | None = None
    limits: Text = ""
    lifetime: Text = ""
    spend_plan: Text = ""
    language: str = ENGLISH
    locale: str = ""

    def speaking(self) -> AbstractContextManager[None]:
        """Everything inside is rendered in the language of the study, with the marks of its locale."""
        return speaking(self.language, self.locale)


@dataclass(frozen=True, eq=False)
class Levers(_Bundle):
    """What would change the forecast; scenarios and goals where the study has them."""

    sensitivity: pd.DataFrame = field(default_factory=pd.DataFrame)
    bottleneck: Mapping[str, Any] = field(default_factory=dict)
    variance: pd.DataFrame = field(default_factory=pd.DataFrame)
    scenarios: pd.DataFrame | None = None
    scenario_notes: Mapping[str, str] | None = None
    goals: pd.DataFrame | None = None
    ways: pd.DataFrame | None = None

    @property
    def valued(self) -> bool:
        """Whether levers are told in money."""
        return bool((self.sensitivity["measure"] == "revenue").any())


@dataclass(frozen=True, eq=False)
class Segments(_Bundle):
    """Segments of leads (`leads.segments`); valued: whether a deal has a known value."""

    rates: pd.DataFrame
    mix: pd.DataFrame
    worth: pd.DataFrame
    shift: pd.DataFrame
    column: str
    valued: bool
    leads: int

    @classmethod
    def of(cls, made: Mapping[str, Any]) -> Self:
        """From what `leads.segment_tables` gives."""
        return cls(**made["told"], **{name: table for name, table in made.items() if name != "told"})

    def told(self) -> dict[str, Any]:
        """For summary.json: `told` holds what is no table."""
        every = super().told()
        facts = {name: every.pop(name) for name in ("column", "valued", "leads")}
        return every | {"told": facts}


@dataclass(frozen=True, eq=False)
class FlowBack:
    """Leads that flow back (`outlook.recycling`): the table by channel, rate and delay, and where these come from."""

    flow: pd.DataFrame
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, made: Mapping[str, Any]) -> Self:
        """From what `outlook.with_recycling` gives."""
        return cls(made["flow"], made["told"])

    def told(self) -> dict[str, Any]:
        """For summary.json."""
        return {"flow": self.flow.to_dict("records"), "told": dict(self.facts)}


@dataclass(frozen=True)
class Past:
    """A backtest (the content of backtest.json), as far as pages read it.

    rows: by origin the headline `measure` as forecast then, and what came. methods: by measure the scores of the
    forecast and of each baseline; own: those of the forecast on the headline.
    """

    name: str
    currency: str
    measure: str
    period: str
    horizon: int
    origins: Sequence[str]
    independent: float
    spend: str
    paid: bool
    method: str
    left_out: Sequence[str]
    sampling: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    scores: Sequence[Mapping[str, Any]]
    gate: Sequence[Check]

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Self:
        """From the content of backtest.json."""
        told = {item.name: summary[item.name] for item in fields(cls) if item.name in summary}
        keys = ("name", "status", "value", "advice", "threshold")
        gate = [
            Check(**{key: recalled(check.get("texts", {}).get(key, check[key])) for key in keys})
            for check in summary["gate"]["checks"]
        ]
        return cls(**told | {"scores": summary["methods"], "gate": gate})

    @property
    def own(self) -> Mapping[str, Any]:
        """The scores of the forecast on the headline."""
        return next(m for m in self.scores if m["method"] == "forecast" and m["measure"] == self.measure)

    def tables(self) -> list[Table]:
        """The headline by origin, and every method's scores."""
        return summary_tables(self.measure, self.rows, self.scores)


@dataclass(frozen=True, eq=False)
class Results:
    """Everything a reader is told: what is not made stays empty, or None.

    What is given here is all there is; `planning.Forecast` makes the same when it is asked for.

    forecast_recommended: the forecast under the recommended plan. windows: past periods, as many at a time as the
    horizon has. comparison: the forecast beside the last of them, and that of the year before, with reasons.
    evidence: of the response to spend. sampling: how each part of the model was sampled. decision: where a budget
    is recommended. levers: what would change the forecast. known: events and changes in it. segments, recycling:
    where the study asks for them. backtest: where one belongs to these data. read: what was read of which files.
    ingredients: of the what-if page.
    """

    study: StudyFacts
    verdict: Verdict = field(default_factory=Verdict)
    headline: Mapping[str, Any] = field(default_factory=dict)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    windows: pd.DataFrame = field(default_factory=pd.DataFrame)
    comparison: pd.DataFrame = field(default_factory=pd.DataFrame)
    forecast: pd.DataFrame = field(default_factory=pd.DataFrame)
    forecast_recommended: pd.DataFrame = field(default_factory=pd.DataFrame)
    known: pd.DataFrame = field(default_factory=pd.DataFrame)
    bridge: pd.DataFrame = field(default_factory=pd.DataFrame)
    funnel: pd.DataFrame = field(default_factory=pd.DataFrame)
    delays: pd.DataFrame = field(default_factory=pd.DataFrame)
    economics: pd.DataFrame = field(default_factory=pd.DataFrame)
    allocation: pd.DataFrame = field(default_factory=pd.DataFrame)
    response: pd.DataFrame = field(default_factory=pd.DataFrame)
    evidence: pd.DataFrame = field(default_factory=pd.DataFrame)
    audit: pd.DataFrame = field(default_factory=pd.DataFrame)
    sampling: pd.DataFrame = field(default_factory=pd.DataFrame)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    benchmarks: pd.DataFrame = field(default_factory=pd.DataFrame)
    mistakes: pd.DataFrame = field(default_factory=pd.DataFrame)
    decision: Firmness | None = None
    levers: Levers | None = None
    segments: Segments | None = None
    recycling: FlowBack | None = None
    backtest: Past | None = None
    read: DataRead | None = None
    ingredients: Ingredients | None = None

    @property
    def checks(self) -> pd.DataFrame:
        """The checks behind the verdict, a row each."""
        return pd.DataFrame(self.verdict.told()["checks"])

    @property
    def made_from(self) -> pd.DataFrame:
        """The provenance in two columns."""
        return pd.DataFrame(_pairs(self.provenance), columns=["what", "value"])

    @property
    def largest_gap(self) -> Mapping[str, Any]:
        """The row of `benchmarks` whose lift to the middle of the market's range brings the most; empty without any."""
        return largest(self.benchmarks) if len(self.benchmarks) else {}

    def past(self, measure: str, channel: str = "total") -> pd.DataFrame:
        """What came of a measure by period: period, value; of all channels, as far as that is known whole."""
        if channel != "total":
            return pd.DataFrame({"period": [], "value": []}, dtype=object)
        mine = self.history[self.history["measure"] == measure]
        return mine[["period", "value"]].reset_index(drop=True)

    def table(self, name: str) -> Table:
        """A table of `TABLES` by its name, or the rows of a measure of the forecast; without rows where it is not made.

        Raises UsageError for any other name.
        """
        if name in TABLES:
            holder = getattr(self, HELD[name]) if name in HELD else self
            frame = getattr(holder, name, None)
            return Table(name, *TABLES[name], pd.DataFrame() if frame is None else frame)
        rows = self.forecast[self.forecast["measure"] == name].reset_index(drop=True)
        if rows.empty:
            known = [*TABLES, *self.forecast["measure"].unique()]
            raise UsageError(
                message('there is no table "{name}"; there are {known:list}', name=name, known=known)
            )
        return Table(name, *TABLES["forecast"], rows)


# Tables that stand in a part of the bundle, by name.
HELD = {
    item.name: part
    for part, bundle in (
        ("decision", Firmness),
        ("levers", Levers),
        ("segments", Segments),
        ("recycling", FlowBack),
        ("read", DataRead),
    )
    for item in fields(bundle)
    if item.name in TABLES
}


def framed(name: str, rows: Sequence[Any] | pd.DataFrame = ()) -> pd.DataFrame:
    """Rows under the columns of a table of `TABLES`; without any where it is not made."""
    return pd.DataFrame(rows, columns=[column.name for column in TABLES[name][1]])


def _pairs(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested provenance as pairs of text; what is empty is left out."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _pairs(value, f"{prefix}{key} ")
        elif value not in (None, ""):
            rows.append((f"{prefix}{key}", str(value)))
    return rows


# ------------------------------------------------------------------------------------------- from draws to tables

LEVELS = {"q05": 0.05, "q10": 0.10, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q90": 0.90, "q95": 0.95}
BAND = {name: LEVELS[name] for name in ("q10", "q50", "q90")}


def summarise(draws: Array, levels: Mapping[str, float] = LEVELS, *, sd: bool = True) -> dict[str, Array]:
    """Mean, sd and quantiles over the first axis."""
    result = {"mean": draws.mean(axis=0)}
    if sd:
        result["sd"] = np.where(np.ptp(draws, axis=0) > 0, draws.std(axis=0), 0.0)
    return result | dict(zip(levels, quantiles(draws, levels.values()), strict=True))


def forecast_table(
    outlook: xr.Dataset | Paths, plan: str, labels: list[str], stages: list[str]
) -> pd.DataFrame:
    """forecast.csv and totals.csv for one plan: period, channel, measure, mean, sd and quantiles; `Table.data` and
    `Table.sums` tell them apart.

    `revenue_after_horizon` has no period inside the horizon and comes with period `total` only; the total of `waiting`
    over the periods is who waits at their end.
    """
    order = [*stages, "spend", "revenue", "revenue_gross", "refunds", "recurring", "contribution"]
    order += ["won_from_pipeline", "won_from_new"]
    order += ["revenue_from_pipeline", "revenue_from_new", "revenue_after_horizon", "handled", "waiting"]
    channels = [*map(str, first_paths(outlook)["channel"].values), "total"]
    keys, columns = list[tuple[str, str, str]](), list[dict[str, Array]]()
    for measure in (name for name in order if name in outlook):
        found = _cells(outlook, plan, measure)
        periods = [*labels, "total"] if len(found["mean"]) > 1 else ["total"]
        keys += [(period, channel, measure) for period in periods for channel in channels]
        columns.append(found)
    names = zip(("period", "channel", "measure"), zip(*keys, strict=True), strict=True)
    numbers = {name: np.concatenate([each[name].ravel() for each in columns]) for name in columns[0]}
    return pd.DataFrame({name: list(texts) for name, texts in names} | numbers)


def _cells(outlook: xr.Dataset | Paths, plan: str, measure: str) -> dict[str, Array]:
    """Mean, sd and quantiles by period and channel with their totals: of all paths, where there are many."""
    if isinstance(outlook, Paths):
        return outlook.summary(plan, measure, LEVELS)
    draws = np.asarray(outlook[measure].sel(plan=plan).values, dtype=float)
    return summarise(with_totals(draws, measure))


def first_paths(outlook: xr.Dataset | Paths) -> xr.Dataset:
    """The paths of which all is known."""
    return outlook.first if isinstance(outlook, Paths) else outlook


def total_draws(outlook: xr.Dataset | Paths, plan: str, measure: str) -> Array:
    """Draws of a measure over the whole horizon and all channels, (draw,)."""
    return totals_of(outlook, plan, measure)


def against_first(outlook: xr.Dataset, measure: str, plans: Sequence[str]) -> list[dict[str, Any]]:
    """Totals of a measure by plan, and the difference of each to the first plan, draw by draw."""
    base = total_draws(outlook, plans[0], measure)
    rows = []
    for plan in plans:
        draws = total_draws(outlook, plan, measure)
        apart = scalars(draws - base)
        rows.append(
            {"plan": plan, "measure": measure, **scalars(draws), "difference": apart["mean"]}
            | {f"difference_{end}": apart[end] for end in ("q10", "q90")}
            | {"p_above": float((draws > base).mean())}
        )
    return rows


def bridge_table(outlook: xr.Dataset | Paths) -> pd.DataFrame:
    """Revenue and wins of the given plan by where they come from; the rows before "inside the horizon" add up to it."""
    again = {"from earlier customers": ("", "recurring")} if "recurring" in outlook else {}
    items = {
        "from open pipeline": ("won_from_pipeline", "revenue_from_pipeline"),
        "from new leads": ("won_from_new", "revenue_from_new"),
        **again,
        "revenue inside the horizon": ("won", "revenue"),
        "lands after the horizon": ("won_after_horizon", "revenue_after_horizon"),
    }
    rows = [
        {"item": item, "won_mean": _total(outlook, won)["mean"] if won else 0.0} | _total(outlook, revenue)
        for item, (won, revenue) in items.items()
    ]
    return pd.DataFrame(rows)


def _total(outlook: xr.Dataset | Paths, measure: str) -> dict[str, float]:
    """Mean and band of a measure of the given plan over horizon and channels; NaN where there is none."""
    if measure not in outlook:
        return dict.fromkeys(("mean", *BAND), math.nan)
    return scalars(total_draws(outlook, "given", measure))


def scalars(draws: Array) -> dict[str, float]:
    """Mean and 80 % band of draws (draw,)."""
    return {name: float(value) for name, value in summarise(draws, BAND, sd=False).items()}


def history_table(history: History) -> pd.DataFrame:
    """Totals over channels by period and measure; one that is not known whole is left out."""
    labels = [period_label(start, history.period) for start in history.periods]
    every = ("spend", *history.stages, "revenue", "refunds", "recurring")
    measures = (measure for measure in every if measure in history.counts)
    rows = [
        {"period": label, "measure": measure, "value": float(value)}
        for measure in measures
        for label, value in zip(labels, history.came(measure), strict=True)
        if np.isfinite(value)
    ]
    return framed("history", rows)


WINDOWS = 8  # past windows that stand beside the forecast


def windows_table(history: History, horizon: int) -> pd.DataFrame:
    """Totals of the last windows of the history, each as long as the horizon; one that is not known whole is left out.

    A row for each window and measure (revenue, where there is any, and wins): first, last, measure, value.
    """
    rows, n = list[dict[str, Any]](), history.periods.size
    for end in range(n, 0, -horizon)[:WINDOWS][::-1]:
        start = end - horizon
        for measure in (name for name in ("revenue", "won") if start >= 0 and name in history.counts):
            value = float(history.came(measure)[start:end].sum())
            if np.isfinite(value):
                ends = {"first": history.labels[start], "last": history.labels[end - 1]}
                rows.append(ends | {"measure": measure, "value": value})
    return framed("windows", rows)


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
        low, high = (published.low, published.high) if published else (math.nan, math.nan)
        for i in np.flatnonzero(np.append(has, True)):
            below = float((rates[:, i] < low).mean()) if published else math.nan
            rows.append(
                {"channel": channels[i], "stage": stage, "history": float(ratio(moved[i], entered[i]))}
                | scalars(rates[:, i])
                | {"benchmark_low": low, "benchmark_high": high, "p_below": below}
            )
    return framed("funnel", rows).sort_values(
        "channel", key=lambda c: c.map(channels.index), kind="stable", ignore_index=True
    )


def delay_table(study: Study, history: History, posterior: Posterior) -> pd.DataFrame:
    """Mean delay into each stage in days, beside its prior, and how much of it the data taught (0 to 1).

    cv: mean of its coefficient of variation, beside its prior; cv_apart: how far the data lie from that prior (sd).
    """
    rows = []
    for _, stage in history.steps:
        mean = posterior.array(f"delay_mean_{stage}")
        prior = delay_prior(study, history, stage)
        if not mean.any():
            continue
        days = scalars(mean * DAYS_PER_PERIOD[history.period])
        learnt = 1.0 - min(float(np.log(mean).var()) / prior.mean_sd**2, 1.0)
        assumed = prior.mean * DAYS_PER_PERIOD[history.period]
        cv = posterior.array(f"delay_cv_{stage}")
        rows.append(
            days
            | {"stage": stage, "mean_days": days["mean"], "prior_days": assumed, "learnt": learnt}
            | {
                "cv": float(cv.mean()),
                "prior_cv": prior.cv,
                "cv_apart": surprise(np.log(cv), *prior.array[2:]),
            }
        )
    return framed("delays", rows)


def economics_table(
    history: History, flow: Flow, margin: float, marginal: Mapping[str, float], more: Mapping[str, Array]
) -> pd.DataFrame:
    """Unit economics by channel and in total; the marginal return at today's spend is an expectation.

    `more`: of `customer_economics`. Where a CAC may never come back, the mean of the payback time is infinite.
    """
    channels = [*history.channels, "total"]
    measures = unit_measures(flow, margin) | dict(more)

    def rows_of(measure: str, band: Mapping[str, Array]) -> list[dict[str, Any]]:
        known = ~np.isnan(band["mean"])
        told = {"measure": measure, "unit": UNITS.get(measure, "currency")}
        numbers = [{name: float(values[i]) for name, values in band.items()} for i in range(len(channels))]
        return [{"channel": channels[i], **told, **numbers[i]} for i in np.flatnonzero(known)]

    rows = []
    for measure, draws in measures.items():
        rows += rows_of(measure, _band_with_never(draws))
    for measure, chance in chances(measures).items():
        rows += rows_of(measure, dict.fromkeys(("mean", *BAND), chance))
    for channel, value in marginal.items():
        told = {"channel": channel, "measure": "marginal_return", "unit": UNITS["marginal_return"]}
        rows.append(told | dict.fromkeys(("mean", *BAND), value))
    return framed("economics", rows)


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


def allocation_table(study: Study, names: list[str], a: Allocation, firm: Firmness) -> pd.DataFrame:
    """allocation.csv: spend over the horizon, near-optimal range, eventual contribution (margin less spend).

    recommended is the current split where no change is material; best is the split that serves the objective best.
    """
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
            "optimum_low": firm.optimum["q10"],
            "optimum_high": firm.optimum["q90"],
            "highest_seen": firm.ledger["highest_seen"],
            "gain_if_saturating": firm.ledger["gain_if_saturating"],
            "best": a.best,
        }
    )


def response_table(names: list[str], allocation: Allocation, curves: Curves, seen: Array) -> pd.DataFrame:
    """Eventual margin before spend against spend over the horizon, with its 80 % band, by channel."""
    frames = []
    for i, name in enumerate(names):
        plans = {"current": allocation.current[i], "recommended": allocation.recommended[i]}
        band = summarise(curves.value[:, i], BAND, sd=False)
        frames.append(
            pd.DataFrame({"channel": name, "spend": curves.spend[i], "observed_max": seen[i]} | band | plans)
        )
    return framed("response", pd.concat(frames, ignore_index=True))


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
        tests = int((measured["lift_channel"] == i).sum())
        band = scalars(draws)
        assumed = evidence < EVIDENCE_LEARNT
        told = {
            "evidence": evidence,
            "assumed": assumed,
            "sentence": _evidence_of(spread, tests, assumed=assumed),
        }
        rows.append(band | {"channel": name, "elasticity_mean": band["mean"]} | told)
    return framed("evidence", rows)


def _evidence_of(spread: float, tests: int, *, assumed: bool) -> Message:
    """What an elasticity rests on, in words."""
    if tests:
        prior = "spend varied by about {spread:.0%} from period to period, lift tests: {n}; mostly assumed"
        data = "spend varied by about {spread:.0%} from period to period, lift tests: {n}; mostly your data"
    else:
        prior = "spend varied by about {spread:.0%} from period to period; mostly assumed"
        data = "spend varied by about {spread:.0%} from period to period; mostly your data"
    return message(prior if assumed else data, spread=spread, n=tests)


def headline(study: Study, outlook: xr.Dataset | Paths, allocation: Allocation | None) -> dict[str, Any]:
    """What page 1 says: totals with bands, P(target), luck against ignorance, gain of the recommendation."""
    result: dict[str, Any] = {}
    for measure, key in (("revenue", "revenue"), ("won", "won"), ("revenue_eventual", "eventual")):
        result |= {f"{key}_{name}": value for name, value in _total(outlook, measure).items()}
    for measure in (name for name in ("revenue_gross", "refunds", "recurring") if name in outlook):
        result |= {f"{measure}_{name}": value for name, value in _total(outlook, measure).items()}
    target = study.plan.target
    result |= {"p_target": None, "gap": None}
    if target is not None and target.measure in outlook:
        draws = total_draws(outlook, "given", target.measure)
        result |= {"p_target": float((draws >= target.amount).mean())}
        result |= {"gap": float(target.amount - draws.mean())}
        if "recommended" in first_paths(outlook)["plan"].values:
            moved = total_draws(outlook, "recommended", target.measure)
            result["p_target_recommended"] = float((moved >= target.amount).mean())
    alike = outlook.replicates if isinstance(outlook, Paths) else REPLICATES
    main = total_draws(outlook, "given", "revenue" if "revenue" in outlook else "won").reshape(-1, alike)
    if main.std() > 0:
        known = float(np.clip(np.corrcoef(main[:, 0], main[:, 1])[0, 1], 0.0, 1.0))
        result |= {"parameter_share": known, "process_share": 1.0 - known}
    result |= {"material": False}
    return result if allocation is None else result | gain_of(allocation)


def gain_of(allocation: Allocation) -> dict[str, Any]:
    """The gain of a recommendation with its band, and what it leaves unspent."""
    gain, base = allocation.gain, float(allocation.value_current.sum() - allocation.current.sum())
    return {
        "gain_mean": float(gain.mean()),
        "gain_q10": float(np.quantile(gain, 0.1)),
        "gain_q90": float(np.quantile(gain, 0.9)),
        "gain_relative": float(gain.mean()) / base if base > 0 else math.nan,
        "p_gain": allocation.p_gain,
        "p_better": allocation.p_better if allocation.material else None,
        "material": allocation.material,
        "current_allowed": allocation.allowed,
        "price": allocation.price,
        "unspent": allocation.unspent,
        "unspent_reason": allocation.reason,
    }
