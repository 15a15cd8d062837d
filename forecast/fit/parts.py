"""The parts that a posterior is made of, and the order in which they are fitted, by sampling and in closed form alike.

Each transition with its delay, and the losses before it where they are dated (leads that are dated one by one: their
hazards by age, `fit.dated`); then the deal value; then traffic, whose
prior shrinks the marginal returns at today's budget and so needs the worth of a unit of traffic.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from forecast.equations import ages_needed
from forecast.errors import FitError
from forecast.fit import data as inputs
from forecast.fit.contents import DIMS
from forecast.fit.dated import hazard_data
from forecast.fit.free_deals import free_deals
from forecast.fit.mix import mix_data
from forecast.fit.posterior import Variables, log_worth
from forecast.fit.recurring import recurring
from forecast.fit.refunds import refunds
from forecast.history import History, seen_moves
from forecast.study import Study
from forecast.words import message

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One piece of the funnel to be fitted: its name, its name for people, the kind of model, its data.

    coords: names of its periods and channels.
    """

    name: str
    label: str
    kind: (
        str  # "calendar" | "cohort" (transitions) | "hazard" | "traffic" | "value" | "mix" (of all channels)
    )
    data: Mapping[str, Any]
    coords: Mapping[str, Any] = field(default_factory=dict)


class Fitter(Protocol):
    """Fits one part after the other; each answer holds draws by name, draw axis first."""

    @property
    def draws(self) -> int:
        """Number of draws of every answer."""

    @property
    def seed(self) -> int:
        """Seed of all that is drawn."""

    @property
    def by_period(self) -> Collection[str]:
        """Stages that are learnt by period though their leads are dated by day: of a model of one's own."""

    def rates(self, part: Part, later: NDArray[np.bool_]) -> dict[str, Array]:
        """A transition: logit_rate (draw, period, channel), CERTAIN for channels that enter the funnel `later`.

        Further logit_now, noise (draw, channel), drift, own_drift, shock, delay_mean, delay_cv (draw), before
        where it is sampled, and moved (draw, move) where the study knows of events or changes.
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
        """Deal value: deal_mean (draw, channel), deal_cv, deal_drift (draw), deal_season, deal_path."""

    def traffic(self, part: Part, seasons: Array, period: str) -> dict[str, Array]:
        """Traffic, by the names of the posterior.

        seasons (season of the year, column): the season's basis; period: kind of the periods.
        """

    def mix(self, part: Part, seasons: Array, period: str, media: NDArray[np.bool_]) -> dict[str, Array]:
        """The same of sales that no channel is credited with; the channel that `media` does not mark is their base."""


def assemble(study: Study, history: History, fitter: Fitter) -> tuple[Variables, dict[str, int]]:
    """Fit every part in its order: variables of the posterior, and ages kept of the delay into each stage.

    Raises FitError where there is nothing to fit.
    """
    steps = history.steps
    if not steps and "won" not in history.counted:
        raise FitError(message("the history counts {counted} alone, and no wins", counted=history.counted))
    variables, ages = Variables(), dict[str, int]()
    coords = {"period": history.counts["period"].values, "channel": list(history.channels)}
    for before, stage in steps:
        if by_day(study, history, stage) and stage not in fitter.by_period:
            found, ages[stage] = _by_day(study, history, fitter, before, stage)
            variables |= found
            continue
        data, calendar = inputs.transition_data(study, history, before, stage)
        ages[stage] = int(data["age_weights"].shape[1])
        if history.counting == "cohort":
            variables[f"waited_{stage}"] = (("period", f"age_{stage}"), data["age_weights"])
        part = Part(stage, f"{before} to {stage}", "calendar" if calendar else "cohort", data, coords)
        variables |= _named(fitter.rates(part, history.enters_later(stage)), f"_{stage}")
        if stage in history.losses:
            data = inputs.loss_data(history, before, stage, variables, ages[stage])
            lost = Part(f"lost before {stage}", f"losses before {stage}", "cohort", data, coords)
            variables |= _named(fitter.losses(lost), f"_{stage}")
    variables |= _money(study, history, fitter)
    if not history.attributed:
        media = [name for name, yes in zip(history.channels, history.media, strict=True) if yes]
        data, label = mix_data(study, history), f"{history.counted[0]} of all channels"
        mix = Part("mix", label, "mix", data, coords | {"channel": media})
        seasons = inputs.season_table(study, history)
        return variables | _named(fitter.mix(mix, seasons, history.period, history.media)), ages
    worth, worth_sd = log_worth(variables, steps, study.economics.gross_margin)
    data = inputs.traffic_data(study, history, worth, worth_sd)
    traffic = Part("traffic", history.counted[0], "traffic", data, coords)
    seasons = inputs.season_table(study, history)
    return variables | _named(fitter.traffic(traffic, seasons, history.period)), ages


def by_day(study: Study, history: History, stage: str) -> bool:
    """Whether moves into a stage are learnt by hazards of days: the days are known, and nothing that the study states
    has moved its rate within the history, which the part by period has a place for.
    """
    return stage in history.by_day and not seen_moves(study, history, stage)


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
    dims = DIMS | {"moved": ("draw", f"move{end}")}
    return {f"{name}{end}": (dims.get(name, ("draw",)), values) for name, values in found.items()}


def _money(study: Study, history: History, fitter: Fitter) -> Variables:
    """Deal values, of all deals: those that bring nothing (`free_deals`) too. Refunds, and what recurs."""
    values, draws = _values(study, history, fitter), fitter.draws
    streams = {
        name: np.random.default_rng([fitter.seed, *name.encode()])
        for name in ("free", "refunds", "recurring")
    }
    if not values:
        return {}
    channels = len(history.channels)
    free = _of_all_channels(free_deals(history.whole, draws, streams["free"]), channels)
    if free:
        dims, mean = values["deal_mean"]
        values["deal_mean"] = dims, mean * (1.0 - free["free_share"])
    beside = _of_all_channels(refunds(history.whole, draws, streams["refunds"]), channels)
    return values | _named(free | beside | recurring(study, history, draws, streams["recurring"]))


def _values(study: Study, history: History, fitter: Fitter) -> Variables:
    """Deal values: as known, fitted, or none where nothing is recorded."""
    value, data = inputs.known_value(study, history.whole), inputs.value_data(study, history.whole)
    shape = (fitter.draws, len(history.channels))
    if value is not None:
        nothing = np.zeros(fitter.draws)
        return _named(
            {
                "deal_mean": np.broadcast_to(value, shape).copy(),
                "deal_cv": nothing,
                "deal_drift": nothing,
                "deal_season": np.zeros((fitter.draws, len(inputs.season_table(study, history)))),
            }
        )
    if data is None:
        return {}
    whole = history.whole
    coords = {"period": whole.counts["period"].values, "channel": list(whole.channels)}
    found = fitter.values(Part("value", "deal value", "value", data, coords))
    return _named(_of_all_channels(found, len(history.channels)))


def _of_all_channels(found: Mapping[str, Array], channels: int) -> dict[str, Array]:
    """The same for every channel, of what was learnt of all as one: sales that are not attributed."""
    one = {name for name, values in found.items() if DIMS.get(name, ("",))[-1] == "channel"}
    return {
        name: np.broadcast_to(values, (*values.shape[:-1], channels)).copy() if name in one else values
        for name, values in found.items()
    }
