"""The PyMC models as plain functions of a part's unconstrained point: the second writing of the density."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor
from posterior_fixture import Array
from pytensor.compile.mode import Mode

from forecast.fit import Part, model_of, sizes_of

AS_WRITTEN = Mode(linker="py", optimizer=None)


class Definition:
    """A PyMC model compiled once, with data to be swapped: log density at an unconstrained point.

    Evaluated a few times only: no C compiler, no numba, no rewriting.
    """

    def __init__(self, part: Part) -> None:
        with pytensor.config.change_flags(cxx="", mode=AS_WRITTEN):
            self.model = model_of(part)
            self.names = [v.name for v in self.model.value_vars]
            self.density = self.model.compile_logp(mode=AS_WRITTEN)
            self.sizes = sizes_of(part)

    def at(self, data: Mapping[str, Any], x: Array) -> float:
        """Log density at a point, in the order of `fit.points`."""
        with self.model, pytensor.config.change_flags(cxx="", mode=AS_WRITTEN):
            pm.set_data(dict(data))
            point, at = {}, 0
            for name, shape in self.sizes:
                size = int(np.prod(shape))
                key = name if name in self.names else f"{name}_log__"
                point[key] = x[at : at + size].reshape(shape)
                at += size
            return float(self.density(point))


KNOWN: dict[tuple[Any, ...], Definition] = {}


def log_density(part: Part) -> Callable[[Array], float]:
    """The log density of a part by PyMC; models of the same shapes are compiled once."""
    shapes = tuple((name, np.shape(value)) for name, value in part.data.items())
    key = part.kind, shapes
    if key not in KNOWN:
        KNOWN[key] = Definition(part)
    return lambda x: KNOWN[key].at(part.data, x)
