"""Levers: changes of a world of the expected road, of the size drawn for each draw, with a start and a ramp.

A lever on a rate or a delay concerns units that enter the stage before from its start on: who is on the way already
keeps the rate and the delay of then. Weights (period,) say how much of a change holds: 0 before the start, then even
steps, 1 after the ramp. What comes after the horizon has the weight of its last period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from forecast.equations import delay_pmf
from forecast.outlook.expectation import Recovery, World
from forecast.study import Z80, ChangeSpec

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CV = 0.8  # of the delay of recovered units
AGES = 60


def weights(horizon: int, start: int, ramp: int) -> Array:
    """How much of a change holds in each period, (period,).

    >>> weights(5, 1, 2).round(2).tolist()
    [0.0, 0.33, 0.67, 1.0, 1.0]
    """
    return np.clip((np.arange(horizon) - start + 1.0) / (ramp + 1.0), 0.0, 1.0)


def drawn(low: float, high: float, family: str, z: Array) -> Array:
    """Draws with `low` to `high` as the central 80 %, from standard normals z; family log, logit or normal."""
    if low == high:
        return np.full_like(z, low)
    to, back = {"log": (np.log, np.exp), "logit": (logit, expit)}.get(family, (np.asarray, np.asarray))
    a, b = float(to(low)), float(to(high))
    return np.asarray(back((a + b) / 2 + z * (b - a) / (2 * Z80)))


def factor_of(change: ChangeSpec, size: Array, current: Array, *, most: float = np.inf) -> Array:
    """What a change makes of `current` (draw, ...), as a factor (draw, ...); `most`: the highest value allowed."""
    size = size.reshape(-1, *([1] * (current.ndim - 1)))
    if change.kind == "times":
        changed = current * size
    elif change.kind == "by":
        changed = current + size
    elif change.from_ is not None:
        changed = current * size / change.from_
    else:
        changed = np.broadcast_to(size, current.shape)
    changed = np.clip(changed, 0.0, most)
    return np.asarray(np.where(current > 0, changed / np.where(current > 0, current, 1.0), 1.0))


def family_of(change: ChangeSpec, *, rate: bool = False) -> str:
    """The family that the size of a change is drawn from."""
    if change.kind == "by" or change.size[0] <= 0:
        return "normal"
    return "logit" if rate and change.kind == "to" and change.from_ is None else "log"


def raise_rate(world: World, stage: str, factor: Array, weight: Array, channels: Mask) -> World:
    """Multiply a rate by a factor (draw, period, channel) as far as the weights say; never above 1."""
    moved = channels & ~world.at_once[stage]
    rate = world.rates[stage]
    changed = np.minimum(rate * factor, 1.0)
    raised = np.where(moved, rate + weight[:, None] * (changed - rate), rate)
    return replace(world, rates={**world.rates, stage: raised})


def raise_traffic(world: World, factor: Array, weight: Array, channels: Mask) -> World:
    """Multiply traffic by a factor (draw, period, channel); carry-over by that of the last period."""
    change = np.where(channels, 1.0 + weight[:, None] * (factor - 1.0), 1.0)
    return replace(world, traffic=world.traffic * change, later=world.later * change[:, -1])


def raise_value(world: World, factor: Array, weight: Array, channels: Mask) -> World:
    """Multiply the value of deals that are won from then on."""
    return replace(world, value=world.value * np.where(channels, 1.0 + weight[:, None] * (factor - 1.0), 1.0))


def new_delay(world: World, stage: str, pmf: Array, weight: Array) -> World:
    """Give units the delay `pmf` (draw, age) as far as the weights say; the rest keeps its own."""
    horizon = len(weight)
    at_once = np.zeros((1, 1, horizon))
    at_once[..., 0] = 1.0
    lags = world.lags.get(stage, at_once)
    mixed = lags + weight[None, :, None] * (pmf[:, None, :horizon] - lags)
    return replace(world, lags={**world.lags, stage: mixed})


def more_room(world: World, factor: Array, weight: Array) -> World:
    """Multiply what sales can take, factor (draw, period)."""
    if world.room is None:
        raise ValueError("sales without a limit cannot take more")
    return replace(world, room=world.room * (1.0 + weight * (factor - 1.0)))


def recovered(world: World, stage: str, share: Array, delay: float, weight: Array, channels: Mask) -> World:
    """Let a share (draw,) of the units that do not move into `stage` come back into it, `delay` periods later."""
    lags = np.repeat(delay_pmf(delay, CV, AGES)[None, :], len(share), axis=0)
    back = share[:, None, None] * weight[:, None] * channels
    return replace(world, recovery={**world.recovery, stage: Recovery(back, lags)})


def mask(channels: Sequence[str], chosen: Sequence[str] | None) -> Mask:
    """Which channels a lever concerns."""
    return np.array([chosen is None or name in chosen for name in channels])
