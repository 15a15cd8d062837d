"""How long a budget takes once the response is known: from the tables of the grid to the split.

Made power curves, one set per size: `channels` under a total and bounds, with a group's share, with lots, with an
S-shaped curve; and channels x periods with caps on every period, where spend carries over and where it does not. Times
are medians over repeats, in milliseconds, beside the load of the machine.

    PYTHONPATH=. python benchmarks/allocate_speed.py [--repeats 7]
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence

import numpy as np
from command import parser_of
from numpy.typing import NDArray
from scipy.sparse import csr_array

from forecast.budget import Program, Row, solve

Array = NDArray[np.float64]

MOST, POINTS, MANY_POINTS = 20_000.0, 2001, 1001
AIMS = {"7 channels": 20.0, "50 channels x 12 periods": 200.0}


def market(channels: int, periods: int = 1, points: int = POINTS) -> tuple[Array, Array]:
    """Knots and values of power curves, better and worse periods of each channel."""
    rng = np.random.default_rng(channels)
    n = channels * periods
    beta = np.repeat(rng.uniform(0.35, 0.8, channels), periods)
    scale = np.repeat(rng.uniform(3000, 12_000, channels), periods) * rng.uniform(0.7, 1.3, n)
    knots = np.tile(MOST * np.linspace(0.0, 1.0, points) ** 2, (n, 1))
    return knots, scale[:, None] * (knots / 1000.0) ** beta[:, None]


def asked(curves: tuple[Array, Array], *rows: Row, **given: object) -> Program:
    """A program with a total of 2,500 a curve."""
    knots, value = curves
    n = len(knots)
    limits: dict[str, object] = {"low": np.zeros(n), "high": np.full(n, MOST), "cost": np.ones(n)} | given
    return Program(knots, value, rows=(Row("total", np.ones(n), 2500.0 * n), *rows), **limits)  # type: ignore[arg-type]


def share(n: int) -> Row:
    """The first third at most 30 % of all."""
    return Row("group", (np.arange(n) < n // 3) - 0.3, 0.0)


def problems() -> dict[str, Program]:
    """What is timed, by name."""
    seven = market(7)
    knots, value = market(7)
    value[0] = 12_000.0 * knots[0] ** 3 / (knots[0] ** 3 + 3000.0**3)
    many = market(50, 12, MANY_POINTS)
    months = [Row(f"period {t}", (np.arange(600) % 12 == t) * 1.0, 150_000.0) for t in range(12)]
    weights = 0.6 * 0.4 ** np.subtract.outer(np.arange(12), np.arange(12)).clip(0) * np.tri(12)
    return {
        "7 channels": asked(seven),
        "7 channels, a group": asked(seven, share(7)),
        "7 channels, lots": asked(seven, lots=np.array([2500.0, 0, 0, 500.0, 0, 0, 0])),
        "7 channels, one S-shaped": asked((knots, value)),
        "50 channels, a group": asked(market(50), share(50)),
        "50 channels x 12 periods": asked(many, share(600), *months),
        "the same, with carry-over": asked(
            many, share(600), *months, mix=csr_array(np.kron(np.eye(50), weights))
        ),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each problem."""
    parser = parser_of(__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args(argv)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(f"{'problem':<28}{'median ms':>10}{'least ms':>10}{'aim':>7}{'gap':>10}")
    for name, program in problems().items():
        times, found = [], solve(program)
        for _ in range(options.repeats):
            start = time.perf_counter()
            found = solve(program)
            times.append(1e3 * (time.perf_counter() - start))
        aim = f"{AIMS[name]:.0f}" if name in AIMS else ""
        gap = found.gap / abs(found.value)
        print(f"{name:<28}{statistics.median(times):>10.1f}{min(times):>10.1f}{aim:>7}{gap:>10.0e}")
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
