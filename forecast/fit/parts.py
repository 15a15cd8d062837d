"""The parts that a posterior is made of, and the order in which they are fitted, by sampling and in closed form alike.

Each transition with its delay, and the losses before it where they are dated (leads that are dated one by one: their
hazards by age, `fit.dated`); then the deal value; then traffic, whose
prior shrinks the marginal returns at today's budget and so needs the worth of a unit of traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from forecast.equations import ages_needed
from forecast.errors import FitError
from forecast.fit import data as inputs
from forecast.fit.dated import hazard_data
from forecast.fit.posterior import Variables, log_worth
from forecast.history import History
from forecast.study import Study
from forecast.words import message

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One piece of the funnel to be fitted: its name, its name for people, the kind of model, its data."""

    name: str
    label: str
    kind: str  # "calendar" | "cohort" (transitions) | "hazard" | "traffic" | "value"
    data: Mapping[str, Any]


class Fitter(Protocol):
    """Fits one part after the other; each answer holds draws by name, draw axis first."""

    @property
    def draws(self) -> int:
        """Number of draws of every answer."""

    def rates(self, part: Part, later: NDArray[np.bool_]) -> dict[str, Array]:
        """A transition: logit_rate (draw, period, channel), CERTAIN for channels that enter the funnel `later`.

        Further drift, own_drift, noise, delay_mean, delay_cv (draw), and before, where it is sampled.
        """

    def losses(self, part: Part) -> dict[str, Array]:
        """Losses with a date: loss_logit (draw, period, channel), loss_delay_mean, loss_delay_cv (draw)."""

    def hazards(
        self, moves: Part, losses: Part | None, later: NDArray[np.bool_], period: str
    ) -> dict[str, Array]:
        """Moves and losses of dated leads: hazards and what follows of them, by the names of the posterior.

        See `dated.kept_by` and `dated.told_by`; logit_rate is CERTAIN for channels that enter the funnel `later`.
        """

    def values(self, part: Part) -> dict[str, Array]:
        """Deal value: deal_mean (draw, channel), deal_cv (draw)."""

    def traffic(self, part: Part, seasons: Array, period: str) -> dict[str, Array]:
        """Traffic, by the names of the posterior.

        seasons (season of the year, column): the season's basis; period: kind of the periods.
        """


DIMS = {
    **dict.fromkeys(("logit_rate", "loss_logit"), ("draw", "period", "channel")),
    **dict.fromkeys(("hazard_path", "loss_hazard_path"), ("draw", "period")),
    **dict.fromkeys(("hazard_season", "loss_hazard_season"), ("draw", "month_of_year")),
    "log_traffic_path": ("kept", "period", "channel"),
    "season": ("draw", "season_of_year"),
    **dict.fromkeys(("traffic", "slope", "elasticity", "base", "carry", "deal_mean"), ("draw", "channel")),
}


def assemble(study: Study, history: History, fitter: Fitter) -> tuple[Variables, dict[str, int]]:
    """Fit every part in its order: variables of the posterior, and ages kept of the delay into each stage.

    Raises FitError where there is nothing to fit.
    """
    steps = history.steps
    if not steps:
        raise FitError(
            message("the history has counts for fewer than two of the stages {stages}", stages=history.stages)
        )
    variables, ages = Variables(), dict[str, int]()
    for before, stage in steps:
        if stage in history.courses:
            found, ages[stage] = _by_day(study, history, fitter, before, stage)
            variables |= found
            continue
        data, calendar = inputs.transition_data(study, history, before, stage)
        ages[stage] = int(data["age_weights"].shape[1])
        if history.counting == "cohort":
            variables[f"waited_{stage}"] = (("period", f"age_{stage}"), data["age_weights"])
        part = Part(stage, f"{before} to {stage}", "calendar" if calendar else "cohort", data)
        variables |= _named(fitter.rates(part, history.enters_later(stage)), f"_{stage}")
        if stage in history.losses:
            data = inputs.loss_data(history, before, stage, variables, ages[stage])
            lost = Part(f"lost before {stage}", f"losses before {stage}", "cohort", data)
            variables |= _named(fitter.losses(lost), f"_{stage}")
    variables |= _values(study, history, fitter)
    worth, worth_sd = log_worth(variables, steps, study.economics.gross_margin)
    data = inputs.traffic_data(study, history, worth, worth_sd)
    traffic = Part("traffic", steps[0][0], "traffic", data)
    seasons = inputs.season_table(study, history)
    return variables | _named(fitter.traffic(traffic, seasons, history.period)), ages


def _by_day(study: Study, history: History, fitter: Fitter, before: str, stage: str) -> tuple[Variables, int]:
    """A stage whose leads are dated one by one, and how many ages are kept of its delay for what needs no hazards."""
    moves, losses = hazard_data(study, history, stage)
    parts = [
        None if data is None else Part(name, label, "hazard", data)
        for name, label, data in (
            (stage, f"{before} to {stage}", moves),
            (f"lost before {stage}", f"losses before {stage}", losses),
        )
    ]
    assert parts[0] is not None  # noqa: S101 - for the type checker
    found = fitter.hazards(parts[0], parts[1], history.enters_later(stage), history.period)
    by_age = dict.fromkeys(("hazard", "loss_hazard"), ("draw", f"age_bin_{stage}", "channel"))
    named = {
        f"{name}_{stage}": (by_age.get(name, DIMS.get(name, ("draw",))), values)
        for name, values in found.items()
    }
    edges = (f"age_edge_{stage}",), moves["edges"].astype(float)
    prior = inputs.delay_prior(study, history, stage)
    ages = max(ages_needed(prior.mean, prior.cv, history.period, spread=3.0), len(history.periods))
    return named | {f"hazard_edges_{stage}": edges}, ages


def _named(found: Mapping[str, Array], end: str = "") -> Variables:
    """Draws by the names that they have in a posterior, with their dims."""
    return {f"{name}{end}": (DIMS.get(name, ("draw",)), values) for name, values in found.items()}


def _values(study: Study, history: History, fitter: Fitter) -> Variables:
    """Deal values: as known, fitted, or none where nothing is recorded."""
    value, data = inputs.known_value(study, history), inputs.value_data(history)
    if value is not None:
        shape = (fitter.draws, len(history.channels))
        return _named({"deal_mean": np.broadcast_to(value, shape).copy(), "deal_cv": np.zeros(fitter.draws)})
    return {} if data is None else _named(fitter.values(Part("value", "deal value", "value", data)))
