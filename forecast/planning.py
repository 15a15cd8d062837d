"""A forecast: one question about one company, and everything a reader is told of it, each made when it is asked for.

    forecast   from study, history and posterior to a `Forecast`

The Python API of notebooks; `forecast.workflow` adds files and folders for the command line. Loads no sampler.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from forecast import results
from forecast.asking import chance, cross, spend_of
from forecast.backtest import calibration_of, compared_with
from forecast.budget import (
    BEYOND_SEEN,
    Budget,
    Decision,
    Firmness,
    Fixed,
    decide,
    firmness,
    goal_tables,
    recommended_plan,
)
from forecast.checks import PASS, Check, Verdict
from forecast.columns import TABLES
from forecast.errors import UsageError
from forecast.fit import (
    DEFAULT_SEED,
    SAMPLER,
    Posterior,
    check_posterior,
    content_hash,
    package_versions,
    timeless,
)
from forecast.history import (
    OUTLIERS,
    DataRead,
    History,
    audit_history,
    common_mistakes,
    read_plan,
    what_was_read,
)
from forecast.judging import gain_check, weighed
from forecast.making import in_python
from forecast.outlook import (
    REPLICATES,
    Base,
    Case,
    Flow,
    Ingredients,
    Paths,
    base_of,
    bottleneck,
    case_of,
    compare_scenarios,
    customer_measures,
    flow_of,
    gap_table,
    horizon_of,
    ingredients_of,
    known_table,
    lifetime_of,
    run_paths,
    sensitivity,
    simulate,
    table_hash,
    variance_parts,
)
from forecast.outlook import told as lifetime_told
from forecast.outputs import csv_form
from forecast.periods import period_label
from forecast.report import recommendation, write_outputs
from forecast.results import FlowBack, Levers, Past, Results, Segments, StudyFacts
from forecast.showing import Card, Shows, said_band, said_chance
from forecast.study import Study, of_the_horizon
from forecast.tables import Table, check_table, plain
from forecast.verdict import deal_law, plausible_total, verdict
from forecast.words import Message, Text, message, some_of_many, together

Array = NDArray[np.float64]

NO_BELIEF = (  # of a study
    *("folder", "path", "outputs", "language", "locale", "name", "plan", "budget", "scenarios", "goals"),
    *("backtest", "scoring", "segments"),
)


def forecast(
    study: Study,
    history: History,
    posterior: Posterior,
    *,
    plan: ArrayLike | None = None,
    seed: int = DEFAULT_SEED,
    backtest: Mapping[str, Any] | None = None,
    command: str = "",
    paths: int | None = None,
) -> Forecast:
    """The forecast of a study from a posterior; nothing is simulated before it is asked for. Imports no sampler.

    Args:
        plan: spend (period, channel) in currency, in place of the study's.
        seed: of the paths of the horizon and of chance.
        backtest: the summary of one that belongs to these data (`workflow.saved_backtest`), for verdict and report.
        command: by which it was asked, for the provenance.
        paths: how many futures are simulated, at least: as many of each posterior draw (default: two). Where there are
            more than two of each, tables and totals are of all of them, `draws` holds the first two.

    Raises UsageError for a plan that is none, StudyError or DataError where the study's cannot be read, DataError for a
    posterior of other data (`fit.check_posterior`).
    """
    check_posterior(posterior, history)
    read = read_plan(study, history)
    own = np.asarray(read.values, dtype=float)
    spend = own if plan is None else spend_of("plan", plan, own.shape)
    study, left_out = of_the_horizon(study, horizon_of(history, len(spend)))
    case = case_of(study, history, posterior, spend, np.random.default_rng(_streams(seed)[0]))
    case, recycled = _recycled(case, seed)
    planned = read if plan is None else None
    return Forecast(
        case,
        seed=seed,
        recycled=recycled,
        backtest=backtest,
        command=command,
        planned=planned,
        left_out=left_out,
        paths=paths,
    )


def _streams(seed: int) -> list[np.random.SeedSequence]:
    """Seeds of the horizon's paths, and of chance."""
    return np.random.SeedSequence([seed, 1]).spawn(2)


class Forecast(Shows, Results):
    """A question (`case`) and what a reader is told of it. Every table and number is made when it is first asked for.

    Two forecasts with the same case and seed say the same, in whatever order they are asked.
    """

    case: Case
    seed: int
    left_out: tuple[
        str, ...
    ]  # scenarios and goals of periods that this horizon does not reach: see `of_the_horizon`

    def __init__(
        self,
        case: Case,
        *,
        seed: int = DEFAULT_SEED,
        recycled: Mapping[str, Any] | None = None,
        backtest: Mapping[str, Any] | None = None,
        command: str = "",
        planned: xr.DataArray | None = None,
        left_out: Sequence[str] = (),
        paths: int | None = None,
    ) -> None:
        many = None if paths is None or paths <= case.posterior.draws * REPLICATES else paths
        vars(self).update(_asked_paths=many)
        told = {"_recycled": recycled, "_past": backtest or {}, "_command": command, "_planned": planned}
        vars(self).update(case=case, seed=seed, left_out=tuple(left_out), **told)

    # ------------------------------------------------------------------------------------------- what can be asked

    @cached_property
    def draws(self) -> xr.Dataset:
        """Simulated futures of the plans, dims plan, draw, period, channel: see `outlook.simulate`.

        Where more `paths` were asked for, the first of them.
        """
        return results.first_paths(self._outlook)

    @cached_property
    def _outlook(self) -> xr.Dataset | Paths:
        """What is known of all futures that were asked for."""
        if self._asked_paths is None:
            return self.simulate(self.plans)
        rng = np.random.default_rng(_streams(self.seed)[1])
        return run_paths(self.case, self.plans, rng=rng, paths=self._asked_paths)

    @property
    def _replicates(self) -> int:
        """Futures of each posterior draw."""
        draws = self.case.posterior.draws
        asked = self._asked_paths
        return REPLICATES if asked is None else REPLICATES * math.ceil(asked / (draws * REPLICATES))

    @cached_property
    def plans(self) -> dict[str, Array]:
        """Spend (period, channel): the `given` plan, and the `recommended` one where a budget can be divided."""
        given = {"given": self.case.plan}
        return given if self.split is None else given | {"recommended": recommended_plan(self.split)}

    @cached_property
    def split(self) -> Decision | None:
        """The study's own budget divided; None without channels that take part, or without a value of deals."""
        return self.allocate() if len(self.case.paid) and self.case.valued else None

    def allocate(self, budget: Budget = Fixed()) -> Decision:
        """Divide the study's budget, or another one: see `budget.decide`."""
        known = vars(self).get("split")  # what its curves say need not be asked twice
        return decide(self.case, budget, seed=self.seed, known=known)

    def scenarios(self) -> Table:
        """The study's scenarios beside its plan. Raises UsageError where it has none."""
        check_compared(self.case.study)
        return Table("scenarios", *TABLES["scenarios"], self._scenarios)

    def simulate(self, plans: Mapping[str, Array]) -> xr.Dataset:
        """Any number of plans (period, channel) on common random numbers."""
        return simulate(self.case, plans, rng=np.random.default_rng(_streams(self.seed)[1]))

    def p(
        self,
        measure: str,
        *,
        above: float | None = None,
        below: float | None = None,
        by: str | None = None,
        channel: str | None = None,
        period: str | None = None,
        plan: str = "given",
    ) -> float | pd.Series[float]:
        """The chance that a measure reaches `above` (or more), stays below `below`, or lies between the two.

        A share of draws: of the total over horizon and channels, or of one `channel` or `period`; `by` "period" or
        "channel" gives the chance of each as a Series. A measure is a variable of `draws`, a period one of the horizon
        as people write it. P(the target) is the number of the first page. Raises UsageError for what is not there.
        """
        labels = self.case.labels
        where = {"by": by, "channel": channel, "period": period}
        return chance(self._outlook, labels, measure, above=above, below=below, plan=plan, **where)

    def lift(self, channel: str, share: float = 0.3) -> Array:
        """Draws of what a test would measure that spends `share` less on a channel than is planned: a [[lift_test]].

        Units of the first stage a period that this part of the spend brings, on average over the horizon, (draw,).
        Raises UsageError for a channel that is not there, or whose spend is 0.
        """
        names = self.case.history.channels
        if channel not in names or not self.case.plan[:, names.index(channel)].any():
            paid = [name for name, spend in zip(names, self.case.plan.sum(axis=0), strict=True) if spend > 0]
            raise UsageError(f'lift: expected a channel with spend: {", ".join(paid)}; got "{channel}"')
        column = names.index(channel)
        less = self.case.plan.copy()
        less[:, column] *= 1.0 - share
        brought = self.case.traffic()[0] - self.case.traffic(less)[0]
        return np.asarray(brought[:, :, column].mean(axis=1))

    def frame(self, measure: str, *, of: str = "mean", plan: str = "given") -> pd.DataFrame:
        """A measure with the periods of the horizon as rows and channels as columns, without totals.

        of: what stands in a cell, "mean", "sd" or a quantile: "q05", "q10", "q25", "q50", "q75", "q90", "q95".
        """
        return cross(self._outlook, self.case.labels, measure, of=of, plan=plan)

    def write(
        self, folder: Path | str, *, outputs: Sequence[str] | None = None, csv_locale: str | None = None
    ) -> Path:
        """Write the files of a run into `folder`: see `report.write_outputs`, `outputs.KINDS`, `outputs.csv_form`.

        It can be scored, signed, verified and made again as a run of the command: its manifest says what it was made
        from (`forecast.making`), and the posterior is kept beside it where it lies nowhere else.
        """
        folder, study, history = Path(folder), self.case.study, self.case.history
        form = csv_form(study.outputs.csv_locale if csv_locale is None else csv_locale)
        asked = {
            "python": True,
            "seed": self.seed,
            "overrides": list(study.overrides),
            "plan": None if self._planned is not None else self.case.plan.tolist(),
            "command": self._command,
            "outputs": None if outputs is None else list(outputs),
            "csv_locale": csv_locale,
            **({} if self._asked_paths is None else {"paths": self._asked_paths}),
        }
        made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        known = self.run_id, made, dict(self._past) or None, asked
        facts, also = in_python(folder, study, history, self.case.posterior, *known)
        told = self.told() | {"made": made}
        write_outputs(folder, self, self.draws, told, facts=facts, kinds=outputs, form=form, **also)
        return folder

    def told(self, *, seconds: Mapping[str, float] | None = None, fitted: bool = False) -> dict[str, Any]:
        """summary.json. seconds: by step of a run; fitted: whether the posterior was made for it."""
        totals = self.forecast[(self.forecast["period"] == "total") & (self.forecast["channel"] == "total")]
        levers = self.levers.told()
        scenarios = {key: levers.pop(key) for key in ("scenarios",) if key in levers}
        return {
            "run_id": self.run_id,
            "name": self.study.name,
            "as_of": self.study.as_of,
            "horizon": self.study.horizon,
            "currency": self.study.currency,
            "target": _aim(self.study),
            "verdict": self.verdict.told(),
            "headline": {**self.headline, "recommendation": recommendation(self)},
            "totals": totals.drop(columns=["period", "channel"]).to_dict("records"),
            **({"known": self.known.to_dict("records")} if len(self.known) else {}),
            "allocation": self.allocation.to_dict("records"),
            "decision": {} if self.decision is None else self.decision.told(),
            "economics": results.economics_totals(self.economics),
            "levers": levers,
            **scenarios,
            **({} if self.segments is None else {"segments": self.segments.told()}),
            **({} if self.recycling is None else {"recycling": self.recycling.told()}),
            **({} if self.read is None else {"read": self.read.told()}),
            "diagnostics": [timeless(told) for told in self.case.posterior.diagnostics],
            "provenance": {
                **{key: value for key, value in self.provenance.items() if key != "run_id"},
                "fitted_now": fitted,
                "draws": self.study.draws,
            },
            **({"left_out": list(self.left_out)} if self.left_out else {}),
            "seconds": dict(seconds or {}),
        }

    def _card(self, *, whole: bool) -> Card:
        """Nothing is simulated for a prompt: what was not yet asked for is not there. A notebook asks."""
        case, there = self.case, {name for name in ("headline", "verdict") if whole or name in vars(self)}
        facts: dict[str, Any] = {"channels": case.channels, "draws": case.posterior.draws * self._replicates}
        facts["spend"] = message(
            "{x:whole} {currency}", x=float(case.plan.sum()), currency=case.study.currency
        )
        if "headline" in there:
            names = [name for name in ("revenue", "won") if f"{name}_mean" in self.headline]
            for name in names:
                facts[name] = said_band(*(self.headline[f"{name}_{end}"] for end in ("mean", "q10", "q90")))
            facts["target"] = said_chance(self.headline["p_target"])
        if "verdict" in there:
            facts["verdict"] = self.verdict.status
        facts["without"] = self.left_out
        title = f"Forecast {case.study.name}: {case.labels[0]} to {case.labels[-1]}"
        return Card(title, facts, [self.verdict, self.table("allocation")] if whole else [])

    # ------------------------------------------------------------------------------------------ what a reader is told

    @cached_property
    def study(self) -> StudyFacts:
        """What was asked."""
        study, history, target = self.case.study, self.case.history, self.case.study.plan.target
        return StudyFacts(
            name=study.name,
            currency=study.currency,
            period=history.period,
            stages=self.case.stages,
            as_of=period_label(history.last, history.period),
            horizon=self.case.labels,
            target=None if target is None else target.amount,
            target_measure=None if target is None else target.measure,
            gross_margin=study.economics.gross_margin,
            counting=history.counting,
            draws=self.case.posterior.draws * self._replicates,
            limits=_limits(study, self.case.plan),
            lifetime=lifetime_told(study),
            spend_plan=_spend_plan(study, given=self._planned is None),
            language=study.language,
            locale=study.locale,
        )

    @cached_property
    def verdict(self) -> Verdict:
        """How far the forecast can be trusted: data, fit, delays, budget, deals, backtest."""
        return verdict(
            self.case.posterior,
            self.audit,
            self.delays,
            self.allocation,
            deals=deal_law(self.case.history),
            calibration=calibration_of(self._past),
            plausible=self._plausible,
            evidence=self.evidence,
        )

    @cached_property
    def _plausible(self) -> list[Check]:
        """Whether forecast and gain are of the size of what came."""
        case = self.case
        measure = "revenue" if "revenue" in self.draws else "won"
        totals = results.total_draws(self._outlook, "given", measure)
        found = plausible_total(case.study, case.history, case.plan, totals, measure)
        return found if self.split is None else [*found, *gain_check(case, self.split)]

    @cached_property
    def headline(self) -> Mapping[str, Any]:
        """The numbers of the first page."""
        allocation = None if self.split is None else self.split.allocation
        return results.headline(self.case.study, self._outlook, allocation)

    @cached_property
    def history(self) -> pd.DataFrame:
        """Totals of the past."""
        return results.history_table(self.case.history)

    def past(self, measure: str, channel: str = "total") -> pd.DataFrame:
        """What came of a measure by period, of all channels or one: period, value (NaN where it is not known)."""
        history = self.case.history
        if channel == "total" or measure not in history.counts:
            return super().past(measure, channel)
        came = history.outcome(measure)[:, history.channels.index(channel)]
        return pd.DataFrame({"period": history.labels, "value": came})

    @cached_property
    def windows(self) -> pd.DataFrame:
        """Past periods, as many at a time as the horizon has; none of counts by cohort, whose wins came later."""
        if self.case.history.counting == "cohort":
            return results.framed("windows")
        return results.windows_table(self.case.history, self.case.horizon)

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """The forecast beside what came just before, and a year before, with the reasons for the difference."""
        if not self.case.history.attributed or self.windows.empty:
            return results.framed("comparison")
        names = ("revenue", "refunds", "recurring") if "revenue" in self.draws else ("won",)
        totals = {
            name: results.total_draws(self._outlook, "given", name) for name in names if name in self.draws
        }
        rows = compared_with(self.case, {name: float(draws.mean()) for name, draws in totals.items()})
        return results.framed("comparison", rows)

    @cached_property
    def forecast(self) -> pd.DataFrame:
        """Every measure by period and channel under the given plan."""
        return results.forecast_table(self._outlook, "given", self.case.labels, self.case.stages)

    @cached_property
    def forecast_recommended(self) -> pd.DataFrame:
        """The same under the recommended plan, where there is one."""
        return results.forecast_table(self._outlook, list(self.plans)[-1], self.case.labels, self.case.stages)

    @cached_property
    def known(self) -> pd.DataFrame:
        """Events and changes of the study, as the forecast holds them."""
        return known_table(self.case)

    @cached_property
    def bridge(self) -> pd.DataFrame:
        """Where revenue comes from."""
        return results.bridge_table(self._outlook)

    @cached_property
    def funnel(self) -> pd.DataFrame:
        """Rates of the horizon's cohorts."""
        return results.funnel_table(self.case.study, self.case.history, self._flow)

    @cached_property
    def delays(self) -> pd.DataFrame:
        """Mean delays."""
        return results.delay_table(self.case.study, self.case.history, self.case.posterior)

    @cached_property
    def economics(self) -> pd.DataFrame:
        """Unit economics."""
        margin, marginal = self.case.study.economics.gross_margin, {}
        if self.split is not None:
            at_current = map(float, self.split.allocation.marginal_current)
            marginal = dict(zip(self.case.paid_names, at_current, strict=True))
        customers = customer_measures(self.case, self._flow, seed=self.seed)
        return results.economics_table(self.case.history, self._flow, margin, marginal, customers)

    @cached_property
    def allocation(self) -> pd.DataFrame:
        """The recommended split."""
        if self.split is None or self.decision is None:
            return results.framed("allocation")
        names, found = self.case.paid_names, self.split.allocation
        return results.allocation_table(self.case.study, names, found, self.decision)

    @cached_property
    def response(self) -> pd.DataFrame:
        """Response curves."""
        if self.split is None:
            return results.framed("response")
        seen = self.case.history.highest_spend[self.case.paid] * self.case.horizon
        return results.response_table(self.case.paid_names, self.split.allocation, self.split.curves, seen)

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """Elasticities, and what they rest on."""
        return results.evidence_table(
            self.case.study, self.case.history, self.case.posterior, self.case.paid_names
        )

    @cached_property
    def audit(self) -> pd.DataFrame:
        """Checks of the data."""
        return check_table(self._audited)

    @cached_property
    def sampling(self) -> pd.DataFrame:
        """How each part of the model was sampled."""
        return pd.DataFrame(self.case.posterior.diagnostics)

    @cached_property
    def belief(self) -> str:
        """sha256 over all that futures are drawn from but the plan: forecasts with one belief differ in that alone."""
        study, history = self.case.study, self.case.history
        asked = study.model_dump_json(exclude=set(NO_BELIEF))
        known = [asked, history.fingerprint(), content_hash(self.case.posterior.data), str(self.seed)]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()

    @cached_property
    def run_id(self) -> str:
        """sha256 over what all outputs are made from: study, data, draws of the posterior, backtest, seed, versions."""
        study, history = self.case.study, self.case.history
        made_from = {
            "study": self._study_hash,
            "data": [history.fingerprint(), table_hash(study)],
            "plan": np.asarray(self.case.plan, dtype=float).tolist(),
            "posterior": content_hash(self.case.posterior.data),
            "backtest": plain(self._past),
            "seed": self.seed,
            "versions": package_versions(),
            **({} if self._asked_paths is None else {"paths": self._asked_paths}),
        }
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _study_hash(self) -> str:
        whole = self.case.study.model_dump_json(exclude={"folder", "path", "outputs", "language", "locale"})
        return hashlib.sha256(whole.encode()).hexdigest()

    @cached_property
    def provenance(self) -> Mapping[str, Any]:
        """What it was made from."""
        study, known = self.case.study, self.case.posterior.provenance
        return {
            "run_id": self.run_id,
            "versions": known.get("versions", package_versions()),
            "seed": self.seed,
            "data_sha256": self.case.history.sources | table_hash(study),
            "study_sha256": self._study_hash,
            "fit_hash": known.get("fit_hash", ""),
            "method": known.get("method", SAMPLER),
            "failures": "; ".join(known.get("failures", [])),
            "command": self._command,
            "fitted": "",
        }

    @cached_property
    def benchmarks(self) -> pd.DataFrame:
        """Rates against the market."""
        return gap_table(self.case, self._flow)

    @cached_property
    def mistakes(self) -> pd.DataFrame:
        """The seven common mistakes."""
        found = common_mistakes(
            self.case.history,
            self.case.study,
            self._audited,
            economics=self.economics,
            funnel=self.funnel,
            allocation=self.allocation,
        )
        return check_table(found, "mistake")

    @cached_property
    def decision(self) -> Firmness | None:
        """How firm the split is."""
        if self.split is None:
            return None
        return firmness(self.split, self.case.paid_names, self.case.study.currency)

    @cached_property
    def levers(self) -> Levers:
        """What would change the forecast."""
        study, found = self.case.study, sensitivity(self._base)
        goals = (
            goal_tables(self._base, self._outlook, "given", seed=self.seed, known=self.split)
            if study.goals
            else {}
        )
        return Levers(
            sensitivity=found,
            bottleneck=bottleneck(found),
            variance=variance_parts(self._base, self._outlook, "given", seed=self.seed),
            scenarios=self._scenarios if study.scenarios else None,
            scenario_notes={each.name: each.note for each in study.scenarios} if study.scenarios else None,
            **goals,
        )

    @cached_property
    def segments(self) -> Segments | None:
        """Segments of leads."""
        if self.case.study.segments is None:
            return None
        from forecast.leads import segment_tables

        rng = np.random.default_rng([self.seed, 6])
        made = segment_tables(self.case.study, self.case.history, rng)
        return Segments.of(made) if made else None

    @cached_property
    def recycling(self) -> FlowBack | None:
        """Leads that flow back."""
        return FlowBack.of(self._recycled) if self._recycled else None

    @cached_property
    def backtest(self) -> Past | None:
        """How wrong it would have been."""
        return Past.of(self._past) if self._past else None

    @cached_property
    def read(self) -> DataRead | None:
        """What was read of which files; None for a history that was not read from any."""
        if not self.case.history.files:
            return None
        lifetime = lifetime_of(self.case.study)
        others = [lifetime.read] if lifetime.read else []
        return what_was_read(self.case.history, self.case.study, plan=self._planned, others=others)

    @cached_property
    def ingredients(self) -> Ingredients:
        """What the page to try things on needs."""
        return ingredients_of(self.case, self.draws, self._flow, self.plans, seed=self.seed)

    # ------------------------------------------------------------------------------------------ what these stand on

    _recycled: Mapping[str, Any] | None
    _past: Mapping[str, Any]
    _command: str
    _planned: xr.DataArray | None
    _asked_paths: int | None

    @cached_property
    def _flow(self) -> Flow:
        return flow_of(self.case)

    @cached_property
    def _audited(self) -> list[Check]:
        found = audit_history(self.case.history, self.case.study)
        ours = self.case, self.draws
        return [
            weighed(c, *ours, self._again, self.seed) if c.name == OUTLIERS and c.status != PASS else c
            for c in found
        ]

    def _again(self, history: History, posterior: Posterior, plan: Array) -> tuple[Case, xr.Dataset]:
        """The same question of another history: its case, and its futures under a plan."""
        rng, chance = (np.random.default_rng(stream) for stream in _streams(self.seed))
        case, _ = _recycled(case_of(self.case.study, history, posterior, plan, rng), self.seed)
        return case, simulate(case, {"given": plan}, rng=chance)

    @cached_property
    def _base(self) -> Base:
        return base_of(self.case)

    @cached_property
    def _scenarios(self) -> pd.DataFrame:
        return compare_scenarios(self._base, seed=self.seed).table


def _recycled(case: Case, seed: int) -> tuple[Case, dict[str, Any]]:
    """`with_recycling`, loaded where the study has nurturing."""
    if case.study.nurturing is None:
        return case, {}
    from forecast.outlook import with_recycling

    return with_recycling(case, seed=seed)


def _spend_plan(study: Study, *, given: bool) -> Text:
    """Where the planned spend comes from."""
    if given:
        return message("given by hand")
    if isinstance(study.plan.spend, dict):
        return message("amounts of the study file")
    known = {
        "current": message("goes on as in the last three periods"),
        "last year": message("as in the same periods a year before, at the recent level"),
    }
    return known.get(study.plan.spend) or message("from {file:clean}", file=study.plan.spend)


def _aim(study: StudyFacts) -> dict[str, Any] | None:
    """The target of the horizon, which whoever scores the run asks for; None without one."""
    return None if study.target is None else {"measure": study.target_measure, "amount": study.target}


def _limits(study: Study, plan: NDArray[np.float64]) -> Message:
    """The limits of the budget in one sentence."""
    rules = study.budget
    total = float(plan.sum()) if rules.total == "current" else float(rules.total)
    seen = "no channel above {times:exact} times the highest spend seen in a period"
    parts: list[Text] = [
        message("at most {total:whole}~{cur} over the horizon", total=total, cur=study.currency),
        message("each channel within {change:.0%} of the current plan", change=rules.change)
        if rules.change is not None
        else "",
        message(seen, times=BEYOND_SEEN),
        message("own limits for {names:list}", names=some_of_many(sorted(rules.limits)))
        if rules.limits
        else "",
    ]
    locked = sorted(name for name, spec in study.channels.items() if spec.locked)
    parts += [message("locked: {names:list}", names=some_of_many(locked))] if locked else []
    return message("{rules}.", rules=together(*parts, between="; "))


def check_compared(study: Study) -> None:
    """Raises UsageError where there is no scenario to compare."""
    if not study.scenarios:
        raise UsageError(
            f"{study.path}: has no scenario to compare: add one, such as\n  [[scenario]]\n"
            '  name = "New landing page"\n  rate.leads = { times = 1.3 }\n  cost = 8000'
        )
