"""Scales of axes: the limits that data ask for, the ticks within them, and how these are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from forecast.words import formatted

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)  # between ticks, times a power of ten
MARGIN = 0.05  # of the span of the data, beside them
MOST = 9  # intervals between ticks at most


@dataclass
class Scale:
    """One axis: what was seen on it, what was fixed, and how its ticks look. `held`: ends without a margin beside."""

    seen: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    low: float | None = None
    high: float | None = None
    log: bool = False
    margin: float = MARGIN
    most: int | None = None
    integer: bool = False
    write: Callable[[float], str] | None = None
    places: list[float] | None = None
    names: list[str] | None = None
    size: float = 7.0
    length: float = 2.5
    rotation: float = 0.0
    end: bool = False  # labels end at their tick, instead of standing around it
    minor: bool = True

    def see(self, values: Sequence[float], *, held: bool = False) -> None:
        """Data that must lie within the limits."""
        finite = [v for v in values if math.isfinite(v)]
        self.seen += finite
        self.held += finite if held else []

    def limits(self) -> tuple[float, float]:
        """Lower and upper end: as fixed, else the data with a margin that crosses no end that is held."""
        low, high = self._free() if self.low is None or self.high is None else (0.0, 1.0)
        low, high = self.low if self.low is not None else low, self.high if self.high is not None else high
        return (low, high) if low != high else _apart(low, high)

    def _free(self) -> tuple[float, float]:
        seen = [v for v in self.seen if v > 0] if self.log else self.seen
        if not seen:
            return (0.1, 10.0) if self.log else (0.0, 1.0)
        low, high = min(seen), max(seen)
        if self.log:
            room = self.margin * (math.log10(high / low) or 1.0)
            return low / 10**room, high * 10**room
        low, high = _apart(low, high)
        room = self.margin * (high - low)
        below = max((v for v in self.held if v <= low), default=-math.inf)
        above = min((v for v in self.held if v >= high), default=math.inf)
        return max(low - room, below), min(high + room, above)

    def fix(self, low: float | None, high: float | None) -> None:
        """Limits from now on; an end that is not given stays where it is now."""
        now = self.limits()
        self.low = now[0] if low is None else float(low)
        self.high = now[1] if high is None else float(high)

    def at(self, value: float) -> float:
        """Where a value lies between the limits: 0 at the lower, 1 at the upper."""
        low, high = self.limits()
        if self.log:
            return math.log(max(value, 1e-300) / low) / math.log(high / low)
        return (value - low) / (high - low)

    def ticks(self, room: float) -> list[tuple[float, str]]:
        """Ticks within the limits and what stands at them, on an axis with room for so many labels."""
        low, high = sorted(self.limits())
        edge = 1e-9 * (high - low)
        if self.places is not None:
            names = self.names or self._written(self.places)
            return [(v, n) for v, n in zip(self.places, names, strict=True) if low - edge <= v <= high + edge]
        found = _decades(low, high) if self.log else self._linear(low, high, room)
        found = [v for v in found if low - edge <= v <= high + edge]
        return list(zip(found, self._written(found), strict=True))

    def small(self) -> list[float]:
        """Ticks without names between those of a logarithmic scale."""
        if not self.log or not self.minor:
            return []
        low, high = self.limits()
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return [k * 10.0**p for p in range(first, last) for k in range(2, 10) if low <= k * 10.0**p <= high]

    def _linear(self, low: float, high: float, room: float) -> list[float]:
        """Multiples of the smallest step of the list that makes no more intervals than there is room for."""
        intervals = self.most or max(1, min(int(room), MOST))
        power = 10.0 ** math.floor(math.log10((high - low) / intervals))
        steps = [power * factor for factor in (0.1, 0.2, 0.25, 0.5, *STEPS, 20.0)]
        if self.integer:
            steps = [step for step in steps if step < 1 or abs(step - round(step)) < 1e-3]
        at = next((i for i, step in enumerate(steps) if step >= (high - low) / intervals), len(steps) - 1)
        found: list[float] = []
        for step in steps[at::-1]:
            wide = max(1.0, step) if self.integer and math.floor(high) - math.ceil(low) >= 1 else step
            first = math.ceil(low / wide - 1e-9)
            last = math.floor(high / wide + 1e-9)
            found = [k * wide for k in range(first, last + 1)]
            if len(found) >= 2:
                break
        return found

    def _written(self, values: Sequence[float]) -> list[str]:
        """As they are to be written, else with as many decimals as tell them apart."""
        if self.write is not None:
            return [self.write(v) for v in values]
        span = max((abs(v) for v in values), default=0.0) or 1.0
        digits = next(
            (d for d in range(7) if all(abs(round(v, d) - v) < 1e-8 * span for v in values)),
            6,
        )
        return [formatted(v + 0.0, f".{digits}f") for v in values]


def _apart(low: float, high: float) -> tuple[float, float]:
    """Two ends that are not one."""
    if high - low > 1e-12 * max(abs(low), abs(high), 1e-300):
        return low, high
    room = MARGIN * abs(low) or MARGIN
    return low - room, high + room


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten; with 2 and 5 between where there are hardly two."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1.0,) if last - first > 3 else (1.0, 2.0, 5.0)
    step = max(1, (last - first) // 8)
    return [k * 10.0**p for p in range(first, last + 1, step) for k in factors]
