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

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))  # worker processes start from elsewhere

from decisions import DRAWS, KINDS, company_of, recommendation

from forecast.jobs import finished, pool, run_jobs
from forecast.study import Study
from forecast.study_lift import TUNED


def one_world(job: tuple[str, int, str, int]) -> dict[str, Any]:
    """World `number` of a kind with every setting."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        company, study, history = company_of(job[0], job[1], Path(folder))
        for word in TUNED:
            asked = Study.model_validate(
                study.model_dump(by_alias=True) | {"priors": {"marginal_return_sd": word}}
            )
            found[word] = recommendation(company, asked, history, job)
    return {"kind": job[0], "settings": found}


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
                    "80 % band holds": f"{((t['q10'] <= t['real']) & (t['real'] <= t['q90'])).mean():.0%}",
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
