"""Log likelihood by cell of a posterior, by the names of what was observed: for leaving one out.

A cell is a period of a channel, as the models have it: what enters the funnel given the path of traffic, what moves on
given what entered before, the revenue of a period given its deals. Densities are whole ones (with the constants that
no draw moves), so sums are log scores. The walks of a part have a step each period: a cell that is left out hardly
binds its own rate, which makes the weights of leaving it out heavy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from forecast.equations import log_negative_binomial, negative_binomial_size
from forecast.fit.known import parts_of
from forecast.fit.parts import Part
from forecast.fit.posterior import Posterior
from forecast.fit.rates_latent import Rates
from forecast.history import History
from forecast.study import Study

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CellLogs:
    """Log likelihood of one part: by draw, period and channel; `used`: the cells that count.

    beside (draw,): what the ages of dated moves say.
    """

    name: str
    logs: Array
    used: NDArray[np.bool_]
    beside: Array | None = None


def cell_logs(
    study: Study, history: History, posterior: Posterior, rows: NDArray[np.int64]
) -> Iterator[CellLogs]:
    """Log likelihoods of some draws; `rows` are among those of which whole paths are kept.

    Not of stages that are learnt by day, nor of lift tests and dated losses.
    """
    of_kept = np.searchsorted(posterior.data["kept"].values, rows)
    by_period = {stage for stage in posterior.stages if f"hazard_{stage}" not in posterior.data}
    for part in parts_of(study, history, posterior, by_period=by_period).values():
        if part.kind == "traffic":
            path = posterior.array("log_traffic_path")[of_kept]
            noise = posterior.array("noise_traffic")[rows, None, :]
            yield CellLogs(history.counted[0], _counted(part, path, noise), part.data["weight"] > 0)
        elif part.kind in ("calendar", "cohort") and not part.name.startswith("lost "):
            yield _moves(posterior, part, rows)
    if not history.attributed:  # deals are of one channel, as all that is counted
        base = posterior.data.isel(channel=np.flatnonzero(~history.media))
        history, posterior = history.whole, replace(posterior, data=base)
    if "deal_path" in posterior.data and posterior.array("deal_cv").any():
        yield _revenue(history, posterior, rows, of_kept)


def _counted(part: Part, path: Array, noise: Array) -> Array:
    y, size = part.data["y"], negative_binomial_size(noise)
    logs = log_negative_binomial(y, path, size) + gammaln(y + size) - gammaln(size) - gammaln(y + 1.0)
    return np.asarray(part.data["weight"] * logs)


def _moves(posterior: Posterior, part: Part, rows: NDArray[np.int64]) -> CellLogs:
    data, stage = part.data, part.name
    latent = Rates(part)
    names = [name for name in ("delay_mean", "delay_cv", "before") if f"{name}_{stage}" in posterior.data]
    delay = {name: posterior.array(f"{name}_{stage}")[rows] for name in names}
    rate = posterior.data[f"logit_rate_{stage}"].values[rows].astype(float)
    logs, ages = latent.of_paths(rate, posterior.array(f"noise_{stage}")[rows], delay)
    logs = logs.swapaxes(1, 2) - data["weight"] * gammaln(data["y"] + 1.0)
    dated = data["by_cohort"].any()
    return CellLogs(stage, logs, data["weight"] > 0, ages[:, 0] if dated else None)


def _revenue(
    history: History, posterior: Posterior, rows: NDArray[np.int64], of_kept: NDArray[np.int64]
) -> CellLogs:
    """Gamma(W a, a / m) of each sum of W deals, a = 1 / cv^2, those that bring something."""
    channel, period, wins, money = history.sales
    shape = posterior.array("deal_cv")[rows, None] ** -2.0
    log_mean = np.log(posterior.array("deal_mean")[rows])
    if "free_share" in posterior.data:
        log_mean = log_mean - np.log1p(-posterior.array("free_share")[rows])
    log_mean = log_mean[:, channel] + posterior.array("deal_path")[of_kept][:, period, channel]
    logs = wins * shape * (np.log(shape) - log_mean) - gammaln(wins * shape)
    logs = logs + (wins * shape - 1.0) * np.log(money) - shape * money * np.exp(-log_mean)
    found = np.zeros((len(rows), len(history.periods), len(history.channels)))
    for i, (t, c) in enumerate(zip(period, channel, strict=True)):
        found[:, t, c] += logs[:, i]
    used = np.zeros(found.shape[1:], dtype=bool)
    used[period, channel] = True
    return CellLogs("revenue", found, used)
