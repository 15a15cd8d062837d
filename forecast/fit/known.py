"""The parts of a fit by what is known of them already, and their PyMC models: to be drawn, read, extended, sampled.

A part's data hold what was fitted before it (traffic: what a unit of it is worth; losses: who never moves), so parts
are made with a posterior in hand, by the same road as a fit (`parts.assemble`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forecast.errors import UsageError
from forecast.fit.parts import Part, assemble
from forecast.fit.posterior import DEFAULT_SEED, Posterior
from forecast.history import History
from forecast.study import Study

if TYPE_CHECKING:
    import pymc as pm

    from forecast.fit.model import Term

Array = NDArray[np.float64]
FEW = 400  # draws of the preview that stands in for a posterior
OF_DEALS = ("deal_mean", "deal_cv", "deal_drift", "deal_season")
OF_RATES = ("logit_rate", "logit_now", "delay_mean", "delay_cv")


@dataclass
class _Known:
    """A `parts.Fitter` that fits nothing: it answers from a posterior, and keeps the parts that it was asked for."""

    posterior: Posterior
    seed: int
    by_period: Collection[str] = ()
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def draws(self) -> int:
        """Of the posterior."""
        return self.posterior.draws

    def _take(self, part: Part, names: Collection[str]) -> dict[str, Array]:
        self.parts[part.name] = part
        end = "" if part.kind in ("value", "traffic", "mix") else f"_{part.name.removeprefix('lost before ')}"
        there = [name for name in names if f"{name}{end}" in self.posterior.data]
        return {name: self.posterior.array(f"{name}{end}") for name in there}

    def rates(self, part: Part, later: NDArray[np.bool_]) -> dict[str, Array]:  # noqa: ARG002 - of a fitter
        """See `parts.Fitter`."""
        return self._take(part, OF_RATES)

    def losses(self, part: Part) -> dict[str, Array]:
        """See `parts.Fitter`."""
        return self._take(part, ())

    def hazards(
        self,
        moves: Part,
        losses: Part | None,
        later: NDArray[np.bool_],  # noqa: ARG002 - of a fitter
        period: str,  # noqa: ARG002 - of a fitter
    ) -> dict[str, Array]:
        """See `parts.Fitter`."""
        if losses is not None:
            self._take(losses, ())
        return self._take(moves, OF_RATES)

    def values(self, part: Part) -> dict[str, Array]:
        """See `parts.Fitter`: of the deals that bring something."""
        found = self._take(part, OF_DEALS)
        if "free_share" in self.posterior.data:  # `parts.assemble` takes them in
            found["deal_mean"] = found["deal_mean"] / (1.0 - self.posterior.array("free_share"))
        return found

    def traffic(self, part: Part, seasons: Array, period: str) -> dict[str, Array]:  # noqa: ARG002 - of a fitter
        """See `parts.Fitter`."""
        return self._take(part, ())

    def mix(
        self,
        part: Part,
        seasons: Array,  # noqa: ARG002 - of a fitter
        period: str,  # noqa: ARG002 - of a fitter
        media: NDArray[np.bool_],  # noqa: ARG002 - of a fitter
    ) -> dict[str, Array]:
        """See `parts.Fitter`."""
        return self._take(part, ())


def parts_of(
    study: Study, history: History, posterior: Posterior, *, by_period: Collection[str] = ()
) -> dict[str, Part]:
    """The parts that a fit is made of, by name, in their order; `by_period`: see `parts.Fitter`."""
    known = _Known(posterior, DEFAULT_SEED, by_period)
    assemble(study, history, known)
    return known.parts


def models(
    study: Study,
    history: History,
    posterior: Posterior | None = None,
    *,
    terms: Mapping[str, Term] | None = None,
    seed: int = DEFAULT_SEED,
) -> dict[str, pm.Model]:
    """The PyMC models of a company by part: each stage by its name, "lost before <stage>", "value", "traffic", "mix".

    They are what `sampler="pymc"` samples. A stage whose leads are dated by day is learnt by hazards, without a PyMC
    model, unless it has a term. Dimensions are named: period (first days), channel, wave, lag, age, season_wave, event.

    Args:
        posterior: a fit of these data; the model of traffic takes from it what a unit of traffic is worth. Without
            one, a preview tells.
        terms: by part, a function that is called inside the model and returns what is added to its predictor (log
            traffic, logit rate, log value of a deal), by (period,) or (period, channel): see docs/extending.md.
        seed: of the preview, and of the search for how the noises of channels differ.

    Raises UsageError for a term of a part that is not there or takes none, FitError where there is nothing to fit.
    """
    from forecast.fit.fitting import preview
    from forecast.fit.model import model_of
    from forecast.fit.sampling import with_noises

    terms = terms or {}
    posterior = posterior or preview(study, history, seed=seed, draws=FEW)
    parts = parts_of(study, history, posterior, by_period=set(terms))
    modelled = {name: part for name, part in parts.items() if part.kind != "hazard"}
    if unknown := set(terms) - set(modelled):
        said = f"no such part; the parts are {', '.join(modelled)}"
        raise UsageError(f"terms: {', '.join(sorted(unknown))}: {said}")
    return {
        name: model_of(with_noises(part, seed=seed)[0], terms.get(name)) for name, part in modelled.items()
    }
