"""Budgets by the product and by PyMC-Marketing on the same companies, in one run: time, and what the plans truly bring.

    python -m venv PEER && PEER/bin/pip install pymc-marketing
    python benchmarks/peers.py --python PEER/bin/python [--worlds 3]

The companies are the arbitrary ones of benchmarks/decisions.py. The product sees counts by stage, the peer spend and
revenue of the same months (Geometric adstock of four months, logistic saturation, two yearly waves, its default
sampler). Both keep each channel within 50 % of the current plan and today's total. Its own interpreter, because the
peer asks for an older PyMC. Re-plan: the same with another total, from what is already there.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import parser_of
from decisions import KINDS, oracle, true_values, world_of
from worlds import read

from forecast.budget import Fixed, decide, limits_of, recommended_plan
from forecast.fit import fit_posterior
from forecast.history import read_plan
from forecast.lab import counts, generate
from forecast.outlook import case_of

CHANGE = 0.5


def one_world(number: int, python: Path) -> list[dict[str, Any]]:
    """Rows of the table for a company."""
    rng = np.random.default_rng([2613, KINDS.index("arbitrary"), number])
    company = generate(world_of("arbitrary", number, rng), rng)
    guess = {k: company.truth["delay"][k]["mean_days"] for k in ("qualified", "won")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study, history = read(company, "calendar", guess, folder)
        plan = np.asarray(read_plan(study, history).values, dtype=float)
        names = list(history.channels)
        started = time.perf_counter()
        posterior = fit_posterior(study, history, seed=number)
        fitted = time.perf_counter() - started
        started = time.perf_counter()
        case = case_of(study, history, posterior, plan, np.random.default_rng(number))
        decision = decide(case)
        planned = time.perf_counter() - started
        recommended = recommended_plan(decision)
        started = time.perf_counter()
        decide(case, Fixed(1.1 * plan.sum()))
        replanned = time.perf_counter() - started
        peer = _peer(python, folder, counts(company, "calendar"), names, plan, number)
    theirs = np.array([peer["plans"][0][c] for c in names])[None].repeat(len(plan), axis=0) / len(plan)
    best = oracle(company, names, plan, limits_of(study, history, plan))
    plans = {"current plan": plan, "product": recommended, "PyMC-Marketing": theirs, "oracle": best}
    values = true_values(company, names, np.stack(list(plans.values()))).sum(axis=1)
    profit = {k: v - p.sum() for (k, p), v in zip(plans.items(), values, strict=True)}
    seconds = {
        "product": (fitted, planned, replanned),
        "PyMC-Marketing": (peer["fit"], peer["plan"], peer["replan"]),
    }
    return [
        {
            "company": number,
            "plan": k,
            "fit s": seconds.get(k, (np.nan,) * 3)[0],
            "first plan s": seconds.get(k, (np.nan,) * 3)[1],
            "re-plan s": seconds.get(k, (np.nan,) * 3)[2],
            "spend": plans[k].sum(),
            "true contribution": profit[k],
            "gain": profit[k] - profit["current plan"],
        }
        for k in plans
    ]


def _peer(
    python: Path, folder: Path, table: pd.DataFrame, names: list[str], plan: np.ndarray, seed: int
) -> dict[str, Any]:
    wide = table.pivot(index="period", columns="channel", values="spend")[names]
    wide["y"] = table.groupby("period")["revenue"].sum()
    wide.index = pd.PeriodIndex(wide.index, freq="M").to_timestamp()
    wide.rename_axis("date").reset_index().to_csv(folder / "peer.csv", index=False)
    asked = {
        "periods": len(plan),
        "current": dict(zip(names, plan.sum(axis=0), strict=True)),
        "change": CHANGE,
        "seed": seed,
    }
    (folder / "peer.json").write_text(json.dumps(asked), encoding="utf-8")
    script = Path(__file__).with_name("peer_allocation.py")
    command = [str(python), str(script), str(folder / "peer.csv"), str(folder / "peer.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table, and the sums."""
    parser = parser_of(__doc__)
    parser.add_argument("--python", type=Path, required=True, help="an interpreter with pymc-marketing")
    parser.add_argument("--worlds", type=int, default=3)
    options = parser.parse_args(argv)
    rows = [row for number in range(options.worlds) for row in one_world(number, options.python)]
    t = pd.DataFrame(rows)
    print(t.to_string(index=False, float_format="{:,.2f}".format, na_rep=""))
    print("\nin all:")
    total = t.groupby("plan", sort=False)[
        ["fit s", "first plan s", "re-plan s", "true contribution", "gain"]
    ].sum()
    print(total.to_string(float_format="{:,.2f}".format))


if __name__ == "__main__":
    main()
