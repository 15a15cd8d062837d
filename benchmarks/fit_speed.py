"""One transition sampled by three roads: nutpie on the compiled PyMC graph, on a Python callable, on C functions.

    python benchmarks/fit_speed.py [--stage qualified] [--draws 1000] [--tune 600]

The bundled company, leads -> qualified, the same density in all three (tests/test_kernels.py), in one process, one
after the other. Ratios inside one run are what counts: machines differ and are shared.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from arviz_stats.base import array_stats

from forecast import inputs, sampling
from forecast.model import transition_model
from forecast.sources import read_history
from forecast.study import load_study

BUNDLED = Path(__file__).parents[1] / "forecast" / "bundled"


def the_part(stage: str) -> sampling.Part:
    """The transition into `stage` of the bundled company."""
    study = load_study(BUNDLED / "demo.toml")
    history = read_history(study)
    before = next(b for b, s in inputs.transitions(history) if s == stage)
    data, calendar = inputs.transition_data(study, history, before, stage)
    return sampling.Part(stage, f"{before} to {stage}", "calendar" if calendar else "cohort", data)


def models(part: sampling.Part) -> dict[str, Any]:
    """Name -> function that makes a model nutpie can sample."""
    import nutpie

    size = sum(math.prod(shape) for _, shape in sampling.sizes_of(part))

    def from_pymc() -> Any:
        import pytensor

        pytensor.config.numba__fastmath = False
        return nutpie.compile_pymc_model(transition_model(part.data, calendar=part.kind == "calendar"))

    def from_python() -> Any:
        density, middle = sampling.log_density(part), sampling._start(part)
        density(middle)
        return nutpie.compiled_pyfunc.from_pyfunc(
            size,
            lambda: density,
            lambda *_: lambda x: {"point": x.copy()},
            [np.dtype("float64")],
            [(size,)],
            ["point"],
            make_initial_point_fn=lambda seed: middle + np.random.default_rng(seed).normal(0.0, 0.1, size),
        )

    return {
        "PyMC graph": from_pymc,
        "Python callable": from_python,
        "C functions": lambda: sampling._nutpie_model(part, size),
    }


def main() -> None:
    """Print the table."""
    import nutpie

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", default="qualified")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--tune", type=int, default=600)
    given = parser.parse_args()
    part = the_part(given.stage)
    rows = []
    for name, make in models(part).items():
        started = time.perf_counter()
        model = make()
        ready = time.perf_counter()
        trace = nutpie.sample(
            model,
            draws=given.draws,
            tune=given.tune,
            chains=4,
            cores=2,
            seed=1,
            target_accept=0.95,
            progress_bar=False,
        )
        seconds = time.perf_counter() - ready
        steps = trace.sample_stats["n_steps"].values.sum() * (1 + given.tune / given.draws)
        levels = (
            trace.posterior["point"].values[:, :, 0]
            if "point" in trace.posterior
            else trace.posterior["mu"].values
        )
        ess = float(array_stats.ess(levels, chain_axis=0, draw_axis=1, method="bulk"))
        rows.append(
            {"road": name, "compile s": ready - started, "sample s": seconds, "us per gradient": 2e6 * seconds / steps,
             "steps per draw": float(trace.sample_stats["n_steps"].values.mean()),
             "divergences": int(trace.sample_stats["diverging"].values.sum()),
             "ESS of mu": ess, "ESS per second": ess / seconds}
        )  # fmt: skip
    pd.set_option("display.width", 200)
    print(pd.DataFrame(rows).round(1).to_string(index=False))


if __name__ == "__main__":
    main()
