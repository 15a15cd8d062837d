"""The unconstrained point of a part: which parameters it holds, in which order, and draws of it by parameter."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from forecast.fit.mix import mix_sizes
from forecast.fit.parts import Part

Array = NDArray[np.float64]
Draws = dict[str, Array]  # by parameter: (chain, draw, ...)

POSITIVE = frozenset(
    {
        "tau",
        "drift",
        "own_drift",
        "noise",
        "delay_mean",
        "delay_cv",
        "before",
        "shock",
        "season_sd",
        "cv",
        "return_spread",
    }
)


def transition_sizes(
    periods: int, channels: int, calendar: bool, events: int = 0
) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the parameters of a transition, in the order of the point."""
    waves = max(periods - 1, 1)
    shapes: list[tuple[str, tuple[int, ...]]] = [
        ("mu", ()),
        ("tau", ()),
        ("level_raw", (channels,)),
        ("drift", ()),
        ("own_drift", ()),
        ("noise", ()),
        ("shock", ()),
        ("waves", (waves,)),
        ("own_waves", (waves, channels)),
        *_events(events),
        ("delay_mean", ()),
        ("delay_cv", ()),
    ]
    return [*shapes, ("before", ())] if calendar else shapes


def traffic_sizes(
    periods: int, channels: int, seasons: int, events: int = 0
) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the parameters of traffic, in the order of the point."""
    waves = max(periods - 1, 1)
    return [
        ("mu", ()),
        ("tau", ()),
        ("level", (channels,)),
        ("z_elasticity", (channels,)),
        ("z_base", (channels,)),
        ("z_carry", (channels,)),
        ("season_sd", ()),
        ("season", (seasons,)),
        ("drift", ()),
        ("own_drift", ()),
        ("noise", ()),
        ("shock", ()),
        ("waves", (waves,)),
        ("own_waves", (waves, channels)),
        *_events(events),
        ("marginal_return", ()),
        ("return_spread", ()),
    ]


def _events(events: int) -> list[tuple[str, tuple[int, ...]]]:
    """Sizes of events and past changes, and of their times, in sds of their priors; see `history.move_data`."""
    return [("z_event", (events,))] if events else []


def value_sizes(
    periods: int, channels: int, seasons: int, events: int = 0
) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the parameters of the deal value, in the order of the point."""
    return [
        ("mu", ()),
        ("tau", ()),
        ("level_raw", (channels,)),
        ("cv", ()),
        ("drift", ()),
        ("season_sd", ()),
        ("waves", (max(periods - 1, 1),)),
        ("season", (seasons,)),
        *_events(events),
    ]


def sizes_of(part: Part) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a part's parameters, in the order of the unconstrained point."""
    events = len(part.data.get("event_columns", ()))
    if part.kind == "value":
        periods, channels = part.data["deals"].shape
        return value_sizes(periods, channels, part.data["season_basis"].shape[1], events)
    if part.kind == "mix":
        return mix_sizes(part.data)
    periods, channels = part.data["y"].shape
    if part.kind == "traffic":
        return traffic_sizes(periods, channels, part.data["season_basis"].shape[1], events)
    return transition_sizes(periods, channels, part.kind == "calendar", events)


def constrained(points: Array, sizes: list[tuple[str, tuple[int, ...]]]) -> Draws:
    """Draws by parameter (chain, draw, ...) of unconstrained points (chain, draw, dimension)."""
    result, at = {}, 0
    for name, shape in sizes:
        values = points[:, :, at : at + math.prod(shape)].reshape(*points.shape[:2], *shape)
        result[name] = np.exp(values) if name in POSITIVE else values
        at += math.prod(shape)
    return result
