"""A large company by the week, fitted as a user's would be: 20 channels x 104 weeks of calendar counts.

    python benchmarks/large_fit.py [--channels 20] [--weeks 104] [--seed 1] [--cores 2] [--keep FOLDER]

The company is made here, unit by unit, with a known truth: traffic with season, drift and spend response; each lead
qualifies and closes with its own delay in days. The fit is that of `forecast fit`: same parts, same gate, same retries.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from command import parser_of
from numpy.typing import NDArray

from forecast.fit import failures, fit
from forecast.history import read_history
from forecast.periods import period_label, shift
from forecast.progress import Silent
from forecast.study import load_study

KINDS = ("seo", "outbound", "content", "email", "social", "events", "ppc", "other")
BURN_IN = 40  # periods before the first one, so that the pipeline is full
LAST = {"week": "2026-08-24", "month": "2026-08-01"}
DAYS = {"week": 7.0, "month": 365.25 / 12}
YEAR = {"week": 52.18, "month": 12.0}
DELAYS = {"qualified": 14.0, "won": 45.0}  # mean days
CV = 0.8

STUDY = """\
name = "large"

[history]
counts = "large.csv"
period = "{kind}"

[funnel]
stages = ["visitors", "leads", "qualified", "won"]
market = "b2b"
delay.qualified = "14 days"
delay.won = "45 days"

"""


def _walk(rng: np.random.Generator, sd: float, periods: int, series: int) -> NDArray[np.float64]:
    path = np.cumsum(sd * rng.normal(size=(periods, series)), axis=0)
    return path - path[BURN_IN:].mean(axis=0)


def company(channels: int, periods: int, rng: np.random.Generator, kind: str = "week") -> pd.DataFrame:
    """Calendar counts by period and channel, columns as `forecast` reads them."""
    total, days = periods + BURN_IN, DAYS[kind]
    step = np.sqrt(days / 7.0)  # of a walk, as variances add up
    starts = shift(np.datetime64(LAST[kind]), np.arange(1 - total, 1), kind)
    names = [f"{KINDS[i % len(KINDS)]}_{i + 1}" for i in range(channels)]
    spend = np.round(
        days / 7.0 * rng.lognormal(7.0, 0.5, channels) * rng.lognormal(0.0, 0.25, (total, channels))
    )
    season = 0.15 * np.sin(2 * np.pi * np.arange(total) / YEAR[kind])[:, None]
    lift = rng.uniform(0.3, 0.7, channels) * np.log(spend / spend.mean(axis=0))
    level = np.log(rng.lognormal(6.0, 0.7, channels))
    drift = _walk(rng, 0.015 * step, total, 1) + _walk(rng, 0.008 * step, total, channels)
    traffic = np.exp(level + np.log(days / 7.0) + lift + season + drift)
    visitors = rng.poisson(traffic * rng.gamma(1 / 0.12**2, 0.12**2, traffic.shape))
    rates = {}
    for stage, (mean, spread, noise) in {
        "leads": (-3.4, 0.6, 0.1), "qualified": (-0.4, 0.3, 0.1), "won": (-1.1, 0.3, 0.05)
    }.items():  # fmt: skip
        path = mean + spread * rng.normal(size=channels) + noise * rng.normal(size=(total, channels))
        path = path + _walk(rng, 0.015 * step, total, 1) + _walk(rng, 0.008 * step, total, channels)
        rates[stage] = 1.0 / (1.0 + np.exp(-path))

    table = pd.DataFrame(
        {
            "period": np.repeat([period_label(s, kind) for s in starts[BURN_IN:]], channels),
            "channel": np.tile(names, periods),
            "spend": spend[BURN_IN:].ravel().astype(int),
            "visitors": visitors[BURN_IN:].ravel(),
        }
    )

    def counted(
        at: NDArray[np.float64], of: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        period = np.floor(at / days).astype(int) - BURN_IN
        inside = (period >= 0) & (period < periods)
        cells = period[inside] * channels + of[inside]
        return np.bincount(cells, weights[inside], minlength=periods * channels).astype(int)

    period, of = np.divmod(
        np.repeat(np.arange(total * channels), rng.binomial(visitors, rates["leads"]).ravel()), channels
    )
    at = days * (period + rng.random(period.size))
    table["leads"] = counted(at, of, np.ones(at.size))
    for stage in ("qualified", "won"):
        moves = rng.random(at.size) < rates[stage][np.minimum(at // days, total - 1).astype(int), of]
        s2 = np.log1p(CV**2)
        at = at[moves] + DELAYS[stage] * rng.lognormal(-s2 / 2, np.sqrt(s2), moves.sum())
        of = of[moves]
        table[stage] = counted(at, of, np.ones(at.size))
    amounts = np.round(rng.gamma(1 / CV**2, 5000.0 * CV**2, at.size)) + 1.0
    table["revenue"] = counted(at, of, amounts)
    return table


def write_study(folder: Path, channels: int, periods: int, seed: int, kind: str = "week") -> Path:
    """A company's counts and its study in a folder; the study."""
    table = company(channels, periods, np.random.default_rng(seed), kind)
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "large.csv", index=False)
    kinds = "".join(f'[channels.{c}]\nkind = "{c.split("_")[0]}"\n' for c in table["channel"].unique())
    (folder / "large.toml").write_text(STUDY.format(kind=kind) + kinds, encoding="utf-8")
    return folder / "large.toml"


class Talk(Silent):
    """Progress on stderr, and which parts were tried again."""

    def step(self, text: str) -> None:
        """A line a step."""
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--channels", type=int, default=20)
    parser.add_argument("--weeks", type=int, default=104)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the company's files")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        path = write_study(given.keep or Path(temporary), given.channels, given.weeks, given.seed)
        study = load_study(path)
        history = read_history(study)
    print({stage: round(float(np.mean(history.counts[stage])), 1) for stage in study.funnel.stages}, "a cell")
    started, worked = time.perf_counter(), time.process_time()
    posterior = fit(study, history, seed=1, draws=4000, cores=given.cores, progress=Talk())
    seconds, worked = time.perf_counter() - started, time.process_time() - worked
    rows = pd.DataFrame(posterior.diagnostics)
    rows["least ESS"] = rows[["min_ess_bulk", "min_ess_tail"]].min(axis=1)
    rows["us a gradient"] = 1e6 * rows["seconds"] * given.cores / rows["gradients"]
    shown = rows.rename(columns={"max_rhat": "R-hat", "steps": "steps a draw", "divergences": "div"})
    columns = [
        "part",
        "seconds",
        "attempts",
        "steps a draw",
        "us a gradient",
        "div",
        "R-hat",
        "least ESS",
        "min_bfmi",
    ]
    print(
        shown[columns]
        .round({"R-hat": 4, "min_bfmi": 2, "steps a draw": 1, "us a gradient": 0, "least ESS": 0})
        .to_string()
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{seconds:.0f} s in all on {given.cores} cores ({worked:.0f} s of CPU), peak {peak:.0f} MB")
    print("gate:", "; ".join(failures(posterior)) or "passed")


if __name__ == "__main__":
    main()
