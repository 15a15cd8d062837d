"""A part of the fit that was sampled elsewhere: from its PyMC model with a term of one's own.

`fit.models` gives the model, `pm.sample` the draws, and `fit.fit_posterior(..., extended={...})` the posterior: the
part is taken as it was sampled, all others are fitted as ever. The level of a part is the one without its term, as it
is without events; what the term does after the history is given beside the draws (`ahead`), and moves the paths of the
horizon as events do (`outlook.moving`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forecast.errors import UsageError
from forecast.fit.parts import Part
from forecast.fit.points import Draws, sizes_of
from forecast.fit.sampling import CHAINS, Course, course_of, with_noise_apart, with_noises
from forecast.history import History
from forecast.periods import period_range, shift

Array = NDArray[np.float64]
SAMPLED = ("chain", "draw")
MOST_BESIDE = 50  # further numbers of a model whose chains are looked at


@dataclass(frozen=True, eq=False)
class Extended:
    """Draws of a part's PyMC model, whatever was added to it.

    trace: what `pm.sample` (or nutpie) returned for `fit.models(...)[part]`: all parameters of the part, and `term`
    (chain, draw, period, channel) where the model has one. Its level and walks are then without the term.
    ahead: what the term adds in the periods after the history, draw by draw: a DataArray with the dimensions chain,
    draw and, if it differs by them, period and channel, such as `trace.posterior["beta"] * x`. It has to reach over the
    horizon. What it holds for the period after the horizon goes on from there; where it ends with the horizon, so does
    the term. None: nothing.
    name: for tables.
    """

    trace: Any
    ahead: xr.DataArray | None = None
    name: str = "own term"

    @cached_property
    def drawn(self) -> xr.Dataset:
        """The draws as they came. Raises UsageError where there are none, or their number does not fit."""
        found = _group(self.trace, "posterior")
        if found is None or not set(SAMPLED) <= set(found.sizes):
            raise UsageError(
                "extended: expected what pm.sample returned, with a group posterior by chain and draw"
            )
        total = found.sizes["chain"] * found.sizes["draw"]
        if total % CHAINS:
            raise UsageError(
                f"extended: expected a number of draws that {CHAINS} divides over all chains, got {total}"
            )
        return found

    @property
    def shape(self) -> tuple[int, int]:
        """Chains and draws."""
        return int(self.drawn.sizes["chain"]), int(self.drawn.sizes["draw"])

    def draws_of(self, part: Part, *, seed: int) -> tuple[Draws, Course, Draws]:
        """Draws of a part by parameter and its term, how chains moved, and the further numbers of the model.

        Raises UsageError where a parameter is missing or has another shape than in this part.
        """
        found: Draws = {}
        sizes = dict(sizes_of(part))
        cells = part.data["deals" if part.kind == "value" else "y"].shape
        wanted = sizes | ({"term": cells} if "term" in self.drawn else {})
        for name, shape in wanted.items():
            if name not in self.drawn:
                raise UsageError(
                    f"{part.name}: the trace lacks {name}; sample the model of fit.models with what you added to it"
                )
            values = np.asarray(self.drawn[name].transpose(*SAMPLED, ...).values, dtype=float)
            if values.shape[2:] != shape or not np.isfinite(values).all():
                raise UsageError(
                    f"{part.name}: {name}: expected finite numbers of shape {shape} a draw, got {values.shape[2:]}; "
                    "was the model made of this study and these data?"
                )
            found[name] = values
        if "term" in found and (part.kind == "mix" or part.name.startswith("lost ")):
            raise UsageError(f"{part.name}: takes no term")
        return self._with_noises(found, part, seed), self._course(part), self._beside(set(wanted))

    def _with_noises(self, found: Draws, part: Part, seed: int) -> Draws:
        """With how the noises of channels differ: as the model was given them, else found anew."""
        if "noise_apart" not in part.data:
            return found
        given = _group(self.trace, "constant_data")
        _, latent = (
            (part, None) if given is not None and "noise_apart" in given else with_noises(part, seed=seed)
        )
        if latent is not None:
            return with_noise_apart(found, latent)
        assert given is not None  # noqa: S101 - for the type checker
        apart = np.asarray(given["noise_apart"].values, dtype=float)
        return found | {"noise_apart": np.broadcast_to(apart, (*self.shape, len(apart)))}

    def _course(self, part: Part) -> Course:
        stats = _group(self.trace, "sample_stats")
        depth = next(
            (n for n in ("maxdepth_reached", "reached_max_treedepth") if stats is not None and n in stats), ""
        )
        if stats is None or not depth or not {"diverging", "energy", "n_steps"} <= set(stats):
            raise UsageError(
                f"{part.name}: the trace has no sample_stats of NUTS (diverging, energy, n_steps, depth), by which its "
                "chains are judged"
            )
        return replace(course_of(self.trace, maxdepth_reached=depth))

    def _beside(self, known: set[str]) -> Draws:
        """Further numbers of the model that vary: those of the term."""
        found: Draws = {}
        for name, values in self.drawn.data_vars.items():
            each = np.asarray(values.transpose(*SAMPLED, ...).values, dtype=float)
            wide = each[0, 0].size
            if name in known or wide > MOST_BESIDE or not np.ptp(each, axis=(0, 1)).all():
                continue
            found[str(name)] = each
        return found

    @cached_property
    def sha256(self) -> str:
        """Of all that a fit takes from it."""
        total = hashlib.sha256(self.name.encode())
        arrays = {str(name): values.values for name, values in sorted(self.drawn.data_vars.items(), key=str)}
        if self.ahead is not None:
            arrays["ahead"] = np.asarray(self.ahead.values)
        for name, values in arrays.items():
            total.update(f"{name} {values.shape} {values.dtype}".encode())
            total.update(np.ascontiguousarray(values).tobytes())
        return total.hexdigest()

    def effect(self, part: str, history: History) -> xr.DataArray | None:
        """What the term adds ahead, by (draw, period, channel). Raises UsageError where it is no such thing."""
        if self.ahead is None:
            return None
        ahead = self.ahead
        dims = set(map(str, ahead.dims)) if isinstance(ahead, xr.DataArray) else set()
        if not {*SAMPLED, "period"} <= dims or dims - {*SAMPLED, "period", "channel"}:
            raise UsageError(
                f"{part}: ahead: expected a DataArray of the dimensions chain, draw, period, and perhaps channel; "
                f"got {sorted(dims) or type(ahead).__name__}"
            )
        if (ahead.sizes["chain"], ahead.sizes["draw"]) != self.shape:
            came = ahead.sizes["chain"], ahead.sizes["draw"]
            raise UsageError(
                f"{part}: ahead: expected the draws of the trace, {self.shape[0]} chains of {self.shape[1]}, got {came}"
            )
        names = history.channels
        if "channel" not in dims:
            ahead = ahead.expand_dims(channel=len(names))
        elif "channel" in ahead.coords:
            known = [str(name) for name in ahead["channel"].values]
            if sorted(known) != sorted(names):
                raise UsageError(
                    f"{part}: ahead: expected the channels {', '.join(names)}; got {', '.join(known)}"
                )
            ahead = ahead.sel(channel=names)
        elif ahead.sizes["channel"] != len(names):
            raise UsageError(f"{part}: ahead: expected {len(names)} channels, got {ahead.sizes['channel']}")
        ahead = ahead.transpose(*SAMPLED, "period", "channel")
        due = _periods(history, ahead.sizes["period"])
        if "period" in ahead.coords:
            given = ahead["period"].values
            dated = given.dtype.kind == "M" and np.array_equal(given.astype("datetime64[D]"), due)
            if not dated:
                raise UsageError(
                    f"{part}: ahead: expected the periods after the history one by one, from {due[0]} on; got "
                    f"{given[0]} to {given[-1]}"
                )
        values = np.asarray(ahead.values, dtype=float)
        if not np.isfinite(values).all():
            raise UsageError(f"{part}: ahead: expected finite numbers")
        return xr.DataArray(values.reshape(-1, *values.shape[2:]), dims=("draw", "period", "channel"))


def _group(trace: Any, name: str) -> xr.Dataset | None:
    """A group of a trace as a dataset; None where it has none."""
    try:
        found = trace[name]
    except (KeyError, TypeError, IndexError):
        return None
    found = found.to_dataset() if isinstance(found, xr.DataTree) else found
    return found if isinstance(found, xr.Dataset) else None


def _periods(history: History, ahead: int) -> NDArray[np.datetime64]:
    first, last = (shift(history.last, n, history.period) for n in (1, ahead))
    return np.asarray(period_range(first, last, history.period), dtype="datetime64[D]")


def ahead_of(
    extended: Mapping[str, Extended], history: History, draws: int
) -> tuple[dict[str, tuple[tuple[str, ...], Array]], dict[str, Any]]:
    """Terms ahead as variables of a posterior, (draw, ahead, channel), and their coordinate.

    Raises UsageError where they are given for different periods.
    """
    effects = {
        name: effect for name, one in extended.items() if (effect := one.effect(name, history)) is not None
    }
    if not effects:
        return {}, {}
    lengths = {name: effect.sizes["period"] for name, effect in effects.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"extended: expected terms ahead for the same periods, got {lengths}")
    found: dict[str, tuple[tuple[str, ...], Array]] = {
        f"term_{name}": (("draw", "ahead", "channel"), effect.values[:draws])
        for name, effect in effects.items()
    }
    return found, {"ahead": _periods(history, next(iter(lengths.values()))).astype("datetime64[ns]")}
