"""Any number of paths in little memory: run forward in chunks, added up, and let go.

    first    the first REPLICATES paths of every posterior draw, whole: those of a run that asks for no more
    totals   of every path, over horizon and channels (float32)
    cells    of every period and channel, their totals included: mean and sd from running sums, quantiles from counts

A quantile comes from counts in bins (g^(k-1), g^k] of the magnitude, g = (1 + a) / (1 - a), told by the bin's middle
2 g^k / (1 + g): off by at most the share a of itself, and not at all where one integer alone lies in a bin. What is
smaller than LEAST counts as nought. Counts add up in any order, and sums are merged in the order of the chunks, each of
which has random numbers of its own: the same bytes from any number of threads.
Sources: Masson, Rim & Lee 2019, DDSketch (bins); Chan, Golub & LeVeque 1983 (sums of squares).
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forecast.outlook.case import Case
from forecast.outlook.simulation import REPLICATES, Runs
from forecast.outlook.unit_economics import in_total

Array = NDArray[np.float64]
Single = NDArray[np.float32]

OFF = 1e-3  # a: the largest relative error of a quantile
LEAST = 1e-6
AT_ONCE = 2  # chunks: each takes some 70 MB, and a million paths are to stay under a gigabyte
COUNT = np.uint32  # paths of a cell: four thousand million
STOCKS = ("waiting",)  # over periods it is what stands at their end, not a sum
_STEP = math.log1p(2.0 * OFF / (1.0 - OFF))  # log g
_FIRST, _FIRST_WHOLE = (math.floor(math.log(least) / _STEP) for least in (LEAST, 0.5))


def with_totals(values: Array, measure: str) -> Array:
    """Paths (path, period, channel), or (path, channel), with totals of periods and channels appended.

    Without periods, (path, 1, channel + 1).
    """
    if values.ndim == 2:
        return in_total(values[:, None, :])
    whole = values[:, -1:] if measure in STOCKS else values.sum(axis=1, keepdims=True)
    return in_total(np.concatenate([values, whole], axis=1))


class Cells:
    """Running sums and counts of some cells, fed by chunks (path, cell)."""

    def __init__(self, shape: tuple[int, ...], *, whole: bool) -> None:
        """`whole`: whether these are integers."""
        self.shape, self.whole, self.n = shape, whole, 0
        self.first = _FIRST_WHOLE if whole else _FIRST  # of the bins; no room is kept for what no integer is
        size = math.prod(shape)
        self.mean, self.squares = np.zeros(size), np.zeros(size)
        self.least, self.most = np.full(size, np.inf), np.full(size, -np.inf)
        self.low, self.counts = 0, np.zeros((size, 0), dtype=COUNT)

    def add(self, values: Array) -> None:
        """Take in a chunk."""
        values = values.reshape(len(values), -1)
        n, mean = len(values), values.mean(axis=0)
        apart, both = mean - self.mean, self.n + n
        self.squares += ((values - mean) ** 2).sum(axis=0) + apart**2 * (self.n * n / both)
        self.mean += apart * (n / both)
        self.n = both
        self.least, self.most = (
            np.minimum(self.least, values.min(axis=0)),
            np.maximum(self.most, values.max(axis=0)),
        )
        self._count(_bins(values, self.first))

    def _count(self, bins: NDArray[np.int64]) -> None:
        low, high = int(bins.min()), int(bins.max())
        size, width = self.counts.shape
        if not width:
            self.low = low
        first, last = min(low, self.low), max(high, self.low + width - 1)
        if last - first + 1 > width:
            grown = np.zeros((size, last - first + 1), dtype=COUNT)
            grown[:, self.low - first : self.low - first + width] = self.counts
            self.low, self.counts = first, grown
        at = bins - self.low + np.arange(size) * self.counts.shape[1]
        np.add.at(self.counts.reshape(-1), at.ravel(), COUNT(1))  # ten times as fast as counts of all bins

    def sd(self) -> Array:
        """Standard deviation, zero where all paths are alike."""
        found = np.where(self.most > self.least, np.sqrt(self.squares / self.n), 0.0)
        return found.reshape(self.shape)

    def quantile(self, level: float) -> Array:
        """The quantile of every cell, between the two paths beside it as numpy's."""
        at = level * (self.n - 1)
        below, above = (self._ranked(rank) for rank in (math.floor(at), math.ceil(at)))
        return (below + (at - math.floor(at)) * (above - below)).reshape(self.shape)

    def _ranked(self, rank: int) -> Array:
        """About the value of a rank, counted from nought."""
        bins = (np.cumsum(self.counts, axis=1) <= rank).sum(axis=1) + self.low
        size = np.exp((np.abs(bins) + self.first) * _STEP) * (2.0 / (1.0 + math.exp(_STEP)))
        value = np.where(bins == 0, 0.0, np.sign(bins) * size)
        alone = self.whole & (size < 0.5 / OFF)  # no bin of this size holds two integers
        return np.clip(np.where(alone, np.rint(value), value), self.least, self.most)


def _bins(values: Array, first: int) -> NDArray[np.int64]:
    """The bin of each value: 0 about nought, k above and -k below."""
    size = np.abs(values)
    seen = size > LEAST
    k = np.ceil(np.log(np.where(seen, size, 1.0)) / _STEP).astype(np.int64) - first
    return np.where(seen, np.where(values < 0, -k, k), 0)


@dataclass(frozen=True, eq=False)
class Paths:
    """What is known of many paths: see the module.

    first: as `simulate` gives it, with the number of all paths among its attributes; replicates: paths of each
    posterior draw. totals: by (plan, measure), draw i has those from i x replicates onwards; cells: likewise.
    """

    first: xr.Dataset
    replicates: int
    totals: Mapping[tuple[str, str], Single]
    cells: Mapping[tuple[str, str], Cells]

    def __contains__(self, measure: str) -> bool:
        """Whether a measure is there."""
        return measure in self.first

    def summary(self, plan: str, measure: str, levels: Mapping[str, float]) -> dict[str, Array]:
        """Mean, sd and quantiles, (period + 1, channel + 1), or (1, channel + 1) of what has no periods.

        Quantiles of the grand total are of the totals themselves, as every page tells them.
        """
        found = self.cells[plan, measure]
        told = {"mean": found.mean.reshape(found.shape), "sd": found.sd()}
        for name, level in levels.items():
            told[name] = found.quantile(level)
            told[name][-1, -1] = np.quantile(self.totals[plan, measure].astype(float), level)  # known exactly
        return told


def run_paths(
    case: Case,
    plans: Mapping[str, Array],
    *,
    rng: np.random.Generator,
    paths: int,
    threads: int | None = None,
) -> Paths:
    """At least `paths` of them under plans (name -> spend by period and channel), the same number of each draw.

    rng: as of `simulate`, whose paths are the first of these. threads: how many chunks are run at once; default: one a
    core, at most AT_ONCE.
    """
    threads = threads or min(AT_ONCE, os.cpu_count() or 1)
    draws = case.posterior.draws
    turns = max(math.ceil(paths / (draws * REPLICATES)), 1)
    runs = Runs(case, plans)
    names = list(plans)
    totals: dict[tuple[str, str], Single] = {}
    cells: dict[tuple[str, str], Cells] = {}
    whole: dict[str, tuple[tuple[Hashable, ...], NDArray[Any]]] = {}
    coords: Mapping[Any, Any] = {}
    jobs = ((turn, *job) for turn in range(turns) for job in runs.jobs(rng, REPLICATES))
    for turn, rows, made in _in_order(jobs, runs, threads):
        owners = slice(int(rows[0]), int(rows[-1]) + 1)
        if turn == 0:
            coords = made.coords
            for name, values in made.data_vars.items():
                _keep(whole, str(name), values, owners, draws)
        inside = slice(turn * REPLICATES, (turn + 1) * REPLICATES)
        for measure, values in made.data_vars.items():
            for plan, each in zip(names, values.values, strict=True):
                key = plan, str(measure)
                full = with_totals(each, str(measure))
                if key not in cells:
                    integers = bool(np.issubdtype(values.dtype, np.integer))
                    cells[key] = Cells(full.shape[1:], whole=integers)
                    totals[key] = np.empty((draws, turns * REPLICATES), dtype=np.float32)
                cells[key].add(full.astype(float))
                totals[key][owners, inside] = full[:, -1, -1].reshape(-1, REPLICATES)
    attrs = {"paths": draws * turns * REPLICATES, "kept_of_each_draw": REPLICATES}
    first = xr.Dataset(whole, coords=coords, attrs=attrs)
    return Paths(
        first, turns * REPLICATES, {key: values.reshape(-1) for key, values in totals.items()}, cells
    )


def _keep(
    whole: dict[str, tuple[tuple[Hashable, ...], NDArray[Any]]],
    name: str,
    values: xr.DataArray,
    owners: slice,
    draws: int,
) -> None:
    """Put the paths of some posterior draws at their place among those of all."""
    at = values.dims.index("draw")
    if name not in whole:
        shape = (*values.shape[:at], draws * REPLICATES, *values.shape[at + 1 :])
        whole[name] = values.dims, np.empty(shape, dtype=values.dtype)
    place = (*[slice(None)] * at, slice(owners.start * REPLICATES, owners.stop * REPLICATES))
    whole[name][1][place] = values.values


def _in_order(
    jobs: Iterable[tuple[int, Any, np.random.Generator]], runs: Runs, threads: int
) -> Iterator[tuple[int, Any, xr.Dataset]]:
    """Jobs (turn, rows, generator) run forward, so many at once, told in their order."""
    if threads == 1:
        yield from ((turn, rows, runs.made(rows, child)) for turn, rows, child in jobs)
        return
    waiting: deque[tuple[int, Any, Future[xr.Dataset]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for turn, rows, child in jobs:
            waiting.append((turn, rows, pool.submit(runs.made, rows, child)))
            if len(waiting) > threads:
                done = waiting.popleft()
                yield *done[:2], done[2].result()
        while waiting:
            done = waiting.popleft()
            yield *done[:2], done[2].result()


def totals_of(outlook: xr.Dataset | Paths, plan: str, measure: str) -> Array:
    """Draws of a measure over the whole horizon and all channels, (draw,)."""
    if isinstance(outlook, Paths):
        return outlook.totals[plan, measure].astype(float)
    values = outlook[measure].sel(plan=plan)
    return np.asarray(values.sum([d for d in values.dims if d != "draw"]).values, dtype=float)


def within(outlook: xr.Dataset | Paths, plan: str, measure: str, periods: slice) -> Array:
    """Draws of a measure over some periods and all channels, (draw,): of all paths where that is the horizon."""
    if isinstance(outlook, Paths):
        horizon = outlook.first.sizes["period"]
        if range(*periods.indices(horizon)) == range(horizon):
            return totals_of(outlook, plan, measure)
        outlook = outlook.first
    values = outlook[measure].sel(plan=plan).values[:, periods]
    return np.asarray(values.sum(axis=(1, 2)), dtype=float)
