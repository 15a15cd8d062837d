"""A forecast from its parts: judge a posterior, plan on it, and make every table.

The Python API of notebooks; `forecast.workflow` adds files and folders for the command line. Loads no sampler.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forecast import results
from forecast.backtest import calibration_of
from forecast.budget import (
    BEYOND_SEEN,
    Decision,
    check_goals,
    decide,
    decision_tables,
    goal_tables,
    recommended_plan,
)
from forecast.fit import DEFAULT_SEED, Posterior, package_versions
from forecast.history import History, audit_history, common_mistakes, read_plan
from forecast.leads import segment_tables
from forecast.outlook import (
    REPLICATES,
    Case,
    base_of,
    bottleneck,
    case_of,
    check_scenarios,
    compare,
    customer_measures,
    flow_of,
    gap_table,
    sensitivity,
    simulate,
    table_hash,
    variance_parts,
    with_recycling,
)
from forecast.outlook import told as lifetime_told
from forecast.periods import period_label, period_range, shift
from forecast.progress import Clock, Silent
from forecast.report import recommendation
from forecast.results import Firmness, FlowBack, Levers, Past, Results, Segments, StudyFacts
from forecast.study import Study
from forecast.verdict import deal_law, verdict
from forecast.words import Message, Text, Verdict, message, together


@dataclass(frozen=True, eq=False)
class Forecast:
    """A finished forecast: tables for people, draws (dims plan, draw, period, channel), the plan and its split."""

    tables: Results
    outlook: xr.Dataset
    plans: dict[str, NDArray[np.float64]]


def judge(
    study: Study, history: History, posterior: Posterior, allocation: pd.DataFrame | None = None
) -> Verdict:
    """The verdict on a posterior by itself: sampling, model against history, priors, delays, deals; not the audit."""
    return verdict(
        posterior,
        list(posterior.provenance.get("failures", [])),
        pd.DataFrame(columns=["check", "status", "evidence", "advice"]),
        results.delay_table(study, history, posterior),
        results.allocation_table(study, [], None) if allocation is None else allocation,
        deals=deal_law(history),
    )


def forecast_plan(
    study: Study,
    history: History,
    posterior: Posterior,
    *,
    seed: int = DEFAULT_SEED,
    clock: Clock | None = None,
    command: str = "",
    backtest: Mapping[str, Any] | None = None,
) -> Forecast:
    """Simulate the plan, recommend a split, simulate that too, and make every table. Imports no sampler.

    `backtest`: the summary of one that belongs to these data (`workflow.saved_backtest`), for verdict and report.
    """
    clock = clock or Clock(Silent())
    clock.step("allocate", "dividing the budget")
    plan = np.asarray(read_plan(study, history).values, dtype=float)
    case, recycled = pose(study, history, posterior, plan, seed=seed)
    plans = {"given": plan}
    decision = None
    if len(case.paid) and case.valued:
        decision = decide(case, seed=seed)
        plans["recommended"] = recommended_plan(decision)
    clock.step("simulate", "simulating the funnel")
    outlook = simulate(case, plans, rng=np.random.default_rng(_streams(seed)[1]))
    clock.step("tables", "making the tables")
    tables = _tables(case, plans, outlook, decision, seed, command, backtest or {})
    split = segment_tables(study, history, np.random.default_rng([seed, 6]))
    tables = replace(
        tables,
        headline={**tables.headline, "recommendation": recommendation(tables)},
        levers=Levers(**lever_tables(case, outlook, seed=seed)),
        recycling=FlowBack.of(recycled) if recycled else None,
        segments=Segments.of(split) if split else None,
    )
    clock.stop()
    return Forecast(tables, outlook, plans)


def _streams(seed: int) -> list[np.random.SeedSequence]:
    """Seeds of the horizon's paths, and of chance."""
    return np.random.SeedSequence([seed, 1]).spawn(2)


def pose(
    study: Study, history: History, posterior: Posterior, plan: NDArray[np.float64], *, seed: int
) -> tuple[Case, dict[str, Any]]:
    """The question at a plan, with the leads that flow back, and the tables about those."""
    case = case_of(study, history, posterior, plan, np.random.default_rng(_streams(seed)[0]))
    return with_recycling(case, seed=seed)


def _tables(
    case: Case,
    plans: dict[str, NDArray[np.float64]],
    outlook: xr.Dataset,
    decision: Decision | None,
    seed: int,
    command: str,
    backtest: Mapping[str, Any],
) -> Results:
    study, history, posterior, plan = case.study, case.history, case.posterior, case.plan
    names, labels, stages = case.paid_names, case.labels, case.stages
    flow = flow_of(case)
    customers = customer_measures(case, flow, seed=seed)
    audit = audit_history(history, study)
    delays = results.delay_table(study, history, posterior)
    allocation = None if decision is None else decision.allocation
    told = {} if decision is None else decision_tables(decision, names, study.currency)
    table = results.allocation_table(study, names, allocation, told)
    marginal = (
        {} if allocation is None else dict(zip(names, map(float, allocation.marginal_current), strict=True))
    )
    response = pd.DataFrame(
        columns=["channel", "spend", "mean", "q10", "q90", "observed_max", "current", "recommended"]
    )
    if decision is not None and allocation is not None:
        seen = history.highest_spend[case.paid] * len(plan)
        response = results.response_table(names, allocation, decision.curves, seen)
    unit = results.economics_table(history, flow, study.economics.gross_margin, marginal, customers)
    funnel = results.funnel_table(study, history, flow)
    moved = "recommended" if "recommended" in plans else "given"
    target = study.plan.target
    return Results(
        study=StudyFacts(
            name=study.name,
            currency=study.currency,
            period=history.period,
            stages=stages,
            as_of=period_label(history.last, history.period),
            horizon=labels,
            target=None if target is None else target.amount,
            target_measure=None if target is None else target.measure,
            gross_margin=study.economics.gross_margin,
            counting=history.counting,
            draws=int(outlook.sizes["draw"]),
            limits=_limits(study, plan),
            lifetime=lifetime_told(study),
        ),
        verdict=verdict(
            posterior,
            list(posterior.provenance.get("failures", [])),
            audit,
            delays,
            table,
            deals=deal_law(history),
            calibration=calibration_of(backtest),
        ),
        headline=results.headline(study, outlook, allocation, REPLICATES),
        history=results.history_table(history),
        forecast=results.forecast_table(outlook, "given", labels, stages),
        forecast_recommended=results.forecast_table(outlook, moved, labels, stages),
        bridge=results.bridge_table(outlook, "given"),
        funnel=funnel,
        delays=delays,
        economics=unit,
        allocation=table,
        response=response,
        evidence=results.evidence_table(study, history, posterior, names),
        audit=audit,
        sampling=pd.DataFrame(posterior.diagnostics),
        provenance={
            "versions": posterior.provenance.get("versions", package_versions()),
            "seed": seed,
            "data_sha256": history.sources | table_hash(study),
            "study_sha256": _study_hash(study),
            "fit_hash": posterior.provenance.get("fit_hash", ""),
            "method": posterior.provenance.get("method", "nuts"),
            "failures": "; ".join(posterior.provenance.get("failures", [])),
            "command": command,
            "fitted": "",
        },
        backtest=Past.of(backtest) if backtest else None,
        decision=Firmness.of(told) if told else None,
        benchmarks=gap_table(case, flow),
        mistakes=common_mistakes(history, study, audit, economics=unit, funnel=funnel, allocation=table),
    )


def _study_hash(study: Study) -> str:
    newer = ("scoring", "segments", "nurturing", "scenarios", "goals")
    absent = {key for key in newer if not getattr(study, key)}
    text = study.model_dump_json(exclude={"folder", "path", *absent})
    return hashlib.sha256(text.encode()).hexdigest()


def _limits(study: Study, plan: NDArray[np.float64]) -> Message:
    """The limits of the budget in one sentence."""
    rules = study.budget
    total = float(plan.sum()) if rules.total == "current" else float(rules.total)
    seen = "no channel above {times} times the highest spend seen in a period"
    parts: list[Text] = [
        message("at most {total:whole}~{cur} over the horizon", total=total, cur=study.currency),
        message("each channel within {change:.0%} of the current plan", change=rules.change)
        if rules.change is not None
        else "",
        message(seen, times=str(BEYOND_SEEN)),
        message("own limits for {names:list}", names=sorted(rules.limits)) if rules.limits else "",
    ]
    locked = sorted(name for name, spec in study.channels.items() if spec.locked)
    parts += [message("locked: {names:list}", names=locked)] if locked else []
    return message("{rules}.", rules=together(*parts, between="; "))


def check_levers(study: Study, history: History, periods: int) -> None:
    """Scenarios and goals against the history, before a fit. Raises StudyError."""
    first, last = (shift(history.last, n, history.period) for n in (1, periods))
    horizon = period_range(first, last, history.period)
    check_scenarios(study, history, horizon)
    check_goals(study, history, horizon)


def lever_tables(case: Case, outlook: xr.Dataset, *, seed: int) -> dict[str, Any]:
    """Tables sensitivity, variance, bottleneck (a row), and scenarios, goals, ways where the study has them.

    `outlook`: of the given plan, named "given", with its replicates.
    """
    study, base = case.study, base_of(case)
    found = sensitivity(base)
    told: dict[str, Any] = {
        "sensitivity": found,
        "bottleneck": bottleneck(found),
        "variance": variance_parts(base, outlook, "given", seed=seed),
    }
    if study.scenarios:
        told["scenarios"] = compare(base, seed=seed).table
        told["scenario_notes"] = {scenario.name: scenario.note for scenario in study.scenarios}
    if study.goals:
        told |= goal_tables(base, outlook, "given", seed=seed)
    return told
