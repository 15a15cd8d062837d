"""Every part of the bundled company (7 channels x 36 months) sampled by the product and by PyMC's own default sampler.

    python benchmarks/fit_speed.py [--study demo|demo_leads] [--parts qualified,won,...] [--no-pymc] [--pymc-tune N]

product: nutpie on `fit.whitened`, as in the first attempt of a fit (100 tuning steps and 1,000 draws in each of 4
chains, target .9).
PyMC: `pm.sample` without nutpie, with its defaults (1,000 tuning steps, 1,000 draws, target .8) on the PyMC definition
of the same density (tests/fit/test_latent.py holds both against each other); what a run of ten draws takes counts as
its compilation. Both on 2 cores, one after the other in one process: read ratios inside a run. ESS: the least,
bulk or tail, over what the gate looks at.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import parser_of

from forecast.fit import Draws, Part, fitting, sampling
from forecast.history import read_history
from forecast.progress import Silent
from forecast.study import load_study

BUNDLED = Path(__file__).parents[1] / "forecast" / "bundled"
CORES, SEED = 2, 1


def parts_of(study_name: str) -> dict[str, Part]:
    """The parts of a fit, by name, with the data that the fit gives them."""
    study = load_study(BUNDLED / f"{study_name}.toml")
    found: dict[str, Part] = {}

    def keep(part: Part, _: Draws) -> None:
        found[part.name] = part

    fitting.fit(
        study,
        read_history(study),
        seed=SEED,
        draws=400,
        progress=Silent(),
        cores=CORES,
        attempts=1,
        watch=keep,
    )
    return found


def product(part: Part) -> dict[str, Any]:
    """One attempt of the product's sampler."""
    started = time.perf_counter()
    draws, moved = sampling.sample_whitened(
        part, seed=SEED, draws=1000, tune=fitting.TUNE, target_accept=fitting.TARGET_ACCEPT, cores=CORES
    )
    seconds = time.perf_counter() - started
    return {
        "road": "product",
        "compile s": 0.0,
        "sample s": seconds,
        "steps a draw": moved.steps,
        "us a gradient": CORES * seconds / moved.gradients * 1e6,
        **_quality(draws, part, moved, seconds),
    }


def pymc_default(part: Part, tune: int, draws: int) -> dict[str, Any]:
    """PyMC's own NUTS, as `pm.sample` runs without nutpie; a run of ten draws tells what compiling takes."""
    ready = [time.perf_counter()]
    for _ in range(2):  # cold, then warm: the second is what every run pays before it draws
        sampling.sample_pymc(part, seed=SEED, draws=10, tune=10, target_accept=0.8, cores=CORES)
        ready.append(time.perf_counter())
    sampled, moved = sampling.sample_pymc(
        part, seed=SEED, draws=draws, tune=tune, target_accept=0.8, cores=CORES
    )
    compiling = ready[2] - ready[1]
    seconds = time.perf_counter() - ready[2] - compiling
    return {
        "road": "PyMC",
        "compile s": compiling,
        "sample s": seconds,
        "steps a draw": np.nan,
        "us a gradient": np.nan,
        **_quality(sampled, part, moved, seconds),
    }


def _quality(draws: Draws, part: Part, moved: sampling.Course, seconds: float) -> dict[str, Any]:
    found = sampling.diagnose(draws, part, replace(moved))
    least = min(found["min_ess_bulk"], found["min_ess_tail"])
    return {
        "divergences": moved.divergences,
        "R-hat": round(found["max_rhat"], 3),
        "min ESS": least,
        "ESS a second": least / seconds,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = parser_of(__doc__)
    parser.add_argument("--study", default="demo")
    parser.add_argument("--parts", default="", help="default: all")
    parser.add_argument("--no-pymc", action="store_true")
    parser.add_argument("--pymc-tune", type=int, default=1000)
    parser.add_argument("--pymc-draws", type=int, default=1000)
    given = parser.parse_args(argv)
    parts = parts_of(given.study)
    for name in [name for name in given.parts.split(",") if name] or list(parts):
        part = parts[name]
        rows = [product(part)] + (
            [] if given.no_pymc else [pymc_default(part, given.pymc_tune, given.pymc_draws)]
        )
        print(f"\n{given.study}, {part.label}")
        print(pd.DataFrame(rows).round(1).to_string(index=False), flush=True)
        if len(rows) == 2:
            ratio = rows[0]["ESS a second"] / rows[1]["ESS a second"]
            whole = [row["min ESS"] / (row["compile s"] + row["sample s"]) for row in rows]
            print(
                f"ESS a second: {ratio:.1f} times PyMC's, {whole[0] / whole[1]:.1f} times with its compilation"
            )


if __name__ == "__main__":
    main()
