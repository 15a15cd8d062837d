"""The dial `priors.marginal_return_sd`: what each setting promises and brings, on budgets tuned and arbitrary.

    python benchmarks/tuned_dial.py --out FILE.jsonl [--worlds 40] [--workers 2] [--method preview|nuts]
    python benchmarks/tuned_dial.py --out FILE.jsonl --report

The worlds are those of benchmarks/decisions.py. Each is fitted once a setting; the rows say what the default costs
where it is wrong, and what it saves where managers had tuned the split.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from command import resumable_parser, run_or_read, without_errors
from decisions import DRAWS, KINDS, METHODS, company_of, recommendation

from forecast.study import TUNED, Study


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


def main(argv: Sequence[str] | None = None) -> None:
    """Run the worlds that are not there yet, and print."""
    parser = resumable_parser(__doc__, many=40)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--method", choices=tuple(METHODS), default="preview")
    options = parser.parse_args(argv)
    settings = {"draws": options.draws, "method": options.method}
    jobs = {
        f"{kind} {i:04d}": (kind, i, options.method, options.draws)
        for i in range(options.worlds)
        for kind in KINDS
    }
    report(without_errors(run_or_read(options, one_world, jobs, settings)))


if __name__ == "__main__":
    main()
