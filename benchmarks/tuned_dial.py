"""The dial `priors.marginal_return_sd`: what each setting promises and brings, on budgets tuned and arbitrary.

    python benchmarks/tuned_dial.py --out FILE.jsonl [--worlds 40] [--workers 2] [--method preview|nuts]
    python benchmarks/tuned_dial.py --out FILE.jsonl --report

The worlds are those of benchmarks/decisions.py. Each is fitted once a setting; the rows say what the default costs
where it is wrong, and what it saves where managers had tuned the split.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))  # worker processes start from elsewhere

from decisions import DRAWS, KINDS, oracle, true_values, world_of
from worlds import read

from forecast import allocate as budget
from forecast import simulate as simulation
from forecast.instant import instant_posterior
from forecast.jobs import finished, pool, run_jobs
from forecast.planning import fit_posterior
from forecast.sources import read_plan
from forecast.study import Study
from forecast.study_lift import TUNED
from forecast.synthetic import generate


def one_world(job: tuple[str, int, str, int]) -> dict[str, Any]:
    """World `number` of a kind with every setting."""
    kind, number, method, draws = job
    rng = np.random.default_rng([2613, KINDS.index(kind), number])
    company = generate(world_of(kind, number, rng), rng)
    guess = {
        k: company.truth["delay"][k]["mean_days"] * np.exp(0.3 * rng.normal()) for k in ("qualified", "won")
    }
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study, history = read(company, "calendar", guess, Path(folder))
        plan = np.asarray(read_plan(study, history).values, dtype=float)
    names = list(history.channels)
    for word in TUNED:
        asked = Study.model_validate(
            study.model_dump(by_alias=True) | {"priors": {"marginal_return_sd": word}}
        )
        make = instant_posterior if method == "preview" else fit_posterior
        posterior = make(asked, history, seed=number, draws=draws)
        paths, _ = np.random.SeedSequence([number, 1]).spawn(2)
        future = simulation.future_paths(posterior, history, len(plan), np.random.default_rng(paths))
        made, curves = budget.allocate(posterior, history, asked, plan, future)
        recommended = budget.recommended_plan(plan, curves, made, history)
        best = oracle(company, names, plan, budget.limits_of(asked, history, plan))
        values = true_values(company, names, np.stack([plan, recommended, best])).sum(axis=1)
        profit = values - np.array([p.sum() for p in (plan, recommended, best)])
        low, high = np.quantile(made.gain, [0.1, 0.9])
        found[word] = {
            "contribution": float(profit[0]),
            "promised": float(made.gain.mean()),
            "real": float(profit[1] - profit[0]),
            "attainable": float(profit[2] - profit[0]),
            "inside": bool(low <= profit[1] - profit[0] <= high),
            "p_better": made.p_better,
            "material": bool(made.material),
        }
    return {"kind": kind, "settings": found}


def report(records: list[dict[str, Any]]) -> None:
    """One row a kind and setting."""
    rows = []
    for kind in KINDS:
        of = [r for r in records if r["kind"] == kind]
        for word in TUNED if of else ():
            t = pd.DataFrame([r["settings"][word] for r in of])
            whole = t["contribution"].sum()
            rows.append(
                {
                    "budget": kind,
                    "worlds": len(t),
                    "setting": word,
                    "promised": f"{t['promised'].sum() / whole:.2%}",
                    "real": f"{t['real'].sum() / whole:.2%}",
                    "attainable": f"{t['attainable'].sum() / whole:.2%}",
                    "worse than today": int((t["real"] < 0).sum()),
                    "P(better) said": t["p_better"].mean(),
                    "truly better": (t["real"] > 0).mean(),
                    "80 % band holds": f"{t['inside'].mean():.0%}",
                    "called material": int(t["material"].sum()),
                }
            )
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.2f}".format))


def main() -> None:
    """Run the worlds that are not there yet, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--method", choices=("preview", "nuts"), default="preview")
    parser.add_argument("--report", action="store_true", help="only print what is there")
    options = parser.parse_args()
    settings = {"draws": options.draws, "method": options.method}
    if options.report:
        records = list(finished(options.out, settings).values())
    else:
        jobs = {
            f"{kind} {i:04d}": (kind, i, options.method, options.draws)
            for i in range(options.worlds)
            for kind in KINDS
        }
        with pool(options.workers) as executor:
            made = run_jobs(one_world, jobs, executor=executor, results=options.out, settings=settings)
        records = [r for r in made.values() if "error" not in r]
    report(records)


if __name__ == "__main__":
    main()
