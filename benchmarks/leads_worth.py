"""What dated leads bring over counts of the same companies, by preview, on made companies that stand still.

    python benchmarks/leads_worth.py --out FILE.jsonl [--worlds 72] [--workers 2] [--first 1000] [--report]

The companies of benchmarks/worlds.py, by default of numbers that it does not use, once as counts by calendar period,
once as dated leads and once as the same leads by the lognormal delay of counts. Told: CRPS of the revenue of the three
months after the as-of date over the mean of the reachable forecast, bias, and how often the bands held what came.
Resumable.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from command import resumable_parser, run_or_read, without_errors
from world_families import FAMILIES
from worlds import DRAWS, HORIZON, LIMIT, outlook, read, score, table, told_delays, what_may_come

from forecast.fit import preview
from forecast.lab import generate

ROADS = ("calendar", "leads", "leads, lognormal")


def one(number: int) -> dict[str, Any]:
    """The scores of one company by road, and of the reachable forecast."""
    family = list(FAMILIES)[number % len(FAMILIES)]
    rng = np.random.default_rng([2611, number])
    company = generate(FAMILIES[family](rng), rng)
    came = float(company.truth["later"]["totals"][str(HORIZON)]["total"]["revenue"])
    guess = told_delays(company, rng)
    found = {LIMIT: score(what_may_come(company, rng.spawn(1)[0]), came)}
    for road in ROADS:
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study, history = read(company, road.partition(",")[0], guess, Path(name))
        history = replace(history, courses={}) if road.endswith("lognormal") else history
        posterior = preview(study, history, seed=number, draws=DRAWS)
        found[road] = score(outlook(study, history, posterior, number), came)
    return {"family": family, "came": came, "scores": found}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the companies that are not there yet, and print."""
    parser = resumable_parser(__doc__, many=72)
    parser.add_argument("--first", type=int, default=1000)
    options = parser.parse_args(argv)
    jobs = {f"{i:05d}": i for i in range(options.first, options.first + options.worlds)}
    records = without_errors(run_or_read(options, one, jobs, {"draws": DRAWS}))
    print(table(records).to_string(index=False, float_format="{:.3f}".format))
    relative = {
        road: np.array([r["scores"][road]["crps"] / r["scores"][LIMIT]["mean"] for r in records])
        for road in ROADS
    }
    for road in ROADS[1:]:
        apart = relative[road] - relative["calendar"]
        error = apart.std(ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else np.nan
        print(f"{road} less calendar: {apart.mean():+.4f} ± {error:.4f}")


if __name__ == "__main__":
    main()
