"""Made shops with a peak of two weeks in every year: forecasts of the weeks ahead with and without `[[event]]`.

    python benchmarks/peaks.py --out FILE.jsonl [--companies 12] [--spread 0.15] [--workers 2]
    python benchmarks/peaks.py --out FILE.jsonl --report

160 weeks of visitors, leads, wins and revenue end the week before W47; traffic of W47 is twice the usual and that of
W48 four times, each year times exp(spread z). Asked: total visitors and revenue of W47 to W50, of a preview. `event`
names both weeks (yearly) and leaves their size to the data. Told: CRPS over what came, bias of the mean, how often the
80 % band held it, and the learnt sizes: mean over the truth, and the root mean square of (mean - truth) / sd.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from command import resumable_parser, run_or_read, without_errors

from forecast.backtest import scores
from forecast.fit import preview
from forecast.history import History, dataset
from forecast.outlook import case_of, simulate
from forecast.periods import season_of, shift
from forecast.study import Study

WEEKS, HORIZON, DRAWS = 160, 4, 2000
SIZES = {47: 2.0, 48: 4.0}
EVENT = {"name": "Black Friday", "yearly": tuple(SIZES), "moves": "traffic"}


def made(seed: int, spread: float) -> tuple[History, dict[str, float]]:
    """A shop's history, and what came after it in total: visitors, revenue."""
    rng = np.random.default_rng([4711, seed])
    starts = shift(np.datetime64("2023-10-23", "D"), np.arange(WEEKS + HORIZON), "week")
    place, t = season_of(starts, "week") + 1, np.arange(len(starts))
    log = np.log(rng.uniform(2000, 12000)) + 0.15 * np.sin(2 * np.pi * (t / 52.18 + rng.uniform()))
    log = log + np.cumsum(0.01 * rng.standard_normal(len(t)))
    for week, size in SIZES.items():
        falls = place == week
        log[falls] += np.log(size) + spread * rng.standard_normal(falls.sum())
    visitors = rng.poisson(np.exp(log) * rng.gamma(1 / 0.05**2, 0.05**2, len(t)))
    leads = rng.binomial(visitors, 0.05)
    won = rng.binomial(leads, 0.4)
    revenue = rng.gamma(np.maximum(won, 1e-9), 80.0)
    cells = {"visitors": visitors, "leads": leads, "won": won, "revenue": revenue}
    known = {name: values[:WEEKS, None].astype(float) for name, values in cells.items()}
    past = History(
        dataset(known, starts[:WEEKS], ["shop"]), "calendar", "week", ("visitors", "leads", "won"), {}, {}
    )
    return past, {name: float(cells[name][WEEKS:].sum()) for name in ("visitors", "revenue")}


def one_shop(job: tuple[int, float]) -> dict[str, Any]:
    """Both forecasts of a shop beside what came."""
    number, spread = job
    past, came = made(number, spread)
    found: dict[str, Any] = {"came": came}
    for label, events in (("without", ()), ("event", (EVENT,))):
        study = Study.model_validate(
            {
                "name": "shop",
                "history": {"counts": "none.csv", "period": "week"},
                "funnel": {"stages": ("visitors", "leads", "won"), "market": "b2c", "delay": {"won": 0}},
                "plan": {"periods": HORIZON},
                "event": events,
            }
        )
        posterior = preview(study, past, seed=number, draws=DRAWS)
        case = case_of(study, past, posterior, np.zeros((HORIZON, 1)), np.random.default_rng([number, 1]))
        draws = simulate(case, {"plan": case.plan}, rng=np.random.default_rng([number, 2]))
        for name, value in came.items():
            total = np.asarray(draws[name].sel(plan="plan").sum(["period", "channel"]).values, dtype=float)
            low, high = np.quantile(total, (0.1, 0.9))
            found[f"{label} {name}"] = {
                "crps": float(scores.crps(total, value)) / value,
                "bias": float(total.mean()) / value - 1.0,
                "inside": bool(low <= value <= high),
            }
        if events:
            sizes, truth = posterior.array("moved_traffic"), np.log(list(SIZES.values()))
            miss = sizes.mean(axis=0) - truth
            found["times"] = np.exp(miss).tolist()
            found["z"] = (miss / sizes.std(axis=0)).tolist()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the shops and print the table."""
    parser = resumable_parser(__doc__, units="companies", many=12)
    parser.add_argument("--spread", type=float, default=0.0, help="sd of the log size from year to year")
    options = parser.parse_args(arguments)
    jobs = {str(number): (number, options.spread) for number in range(options.companies)}
    records = without_errors(run_or_read(options, one_shop, jobs, {"spread": options.spread}))
    rows = []
    for label in ("without", "event"):
        for measure in ("visitors", "revenue"):
            each = pd.DataFrame([record[f"{label} {measure}"] for record in records])
            told = {"study": label, "measure": measure, "shops": len(each), "CRPS/came": each["crps"].mean()}
            rows.append(told | {"bias": each["bias"].mean(), "80%": 100 * each["inside"].mean()})
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    times, z = (np.array([record[name] for record in records]) for name in ("times", "z"))
    for i, week in enumerate(SIZES):
        print(
            f"W{week}: learnt over true size {times[:, i].mean():.3f}, z {np.sqrt((z[:, i] ** 2).mean()):.2f}"
        )


if __name__ == "__main__":
    sys.exit(main())
