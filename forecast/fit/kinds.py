"""Every part of a fit as the Gaussian model of its kind (`fit.latent`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from forecast.fit.latent import Latent
from forecast.fit.mix_latent import Mix
from forecast.fit.parts import Part
from forecast.fit.rates_latent import Rates
from forecast.fit.traffic_latent import Traffic
from forecast.fit.values_latent import Values

Array = NDArray[np.float64]


def latent_of(part: Part) -> Latent:
    """A part as a Gaussian model given its scales."""
    kinds: dict[str, type[Latent]] = {"traffic": Traffic, "value": Values, "mix": Mix}
    return kinds.get(part.kind, Rates)(part)


def log_likelihood(part: Part, draws: Mapping[str, Array]) -> Array:
    """Log likelihood of draws as samplers give them, (draw, ...) by parameter: (draw,). Without the current budget."""
    cells, other = latent_of(part).of_draws(draws)
    return np.asarray(cells.sum(axis=(1, 2)) + other.sum(axis=1))
