"""A budget by PyMC-Marketing's MMM and optimizer, timed. Run by benchmarks/peers.py with an interpreter that has it.

    PYTHON benchmarks/peer_allocation.py DATA.csv PLAN.json

DATA.csv: date, a column of spend per channel, y (revenue). PLAN.json: periods, current {channel: spend over the
horizon}, change, seed. Prints one line of JSON: seconds of each step and the splits.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import xarray as xr


def main(argv: Sequence[str] | None = None) -> None:
    """Fit, plan, plan again with a tenth more."""
    # Its interpreter has no `forecast`: nothing that the other benchmarks share may be imported here.
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("plan", type=Path)
    given = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from pymc_marketing.mmm import (  # type: ignore[import-not-found]
        MMM,
        BudgetOptimizerWrapper,
        GeometricAdstock,
        LogisticSaturation,
    )

    data = pd.read_csv(given.data, parse_dates=["date"])
    asked = json.loads(given.plan.read_text(encoding="utf-8"))
    current: dict[str, float] = asked["current"]
    channels, change = list(current), asked["change"]
    started = time.perf_counter()
    mmm = MMM(
        date_column="date",
        channel_columns=channels,
        target_column="y",
        adstock=GeometricAdstock(l_max=4),
        saturation=LogisticSaturation(),
        yearly_seasonality=2,
    )
    fit = mmm.fit(data.drop(columns="y"), data["y"], progressbar=False, random_seed=asked["seed"], cores=2)
    fitted = time.perf_counter() - started
    start = data["date"].max() + pd.DateOffset(months=1)
    end = start + pd.DateOffset(months=asked["periods"] - 1)
    bounds = xr.DataArray(
        [[v * (1 - change), v * (1 + change)] for v in current.values()],
        dims=["channel", "bound"],
        coords={"channel": channels, "bound": ["lower", "upper"]},
    )
    wrapper = BudgetOptimizerWrapper(model=mmm, start_date=str(start.date()), end_date=str(end.date()))
    plans, seconds = [], []
    for factor in (1.0, 1.1):
        started = time.perf_counter()
        result = wrapper.optimize_budget(
            budget=factor * sum(current.values()), budget_bounds=bounds, callback=False
        )
        seconds.append(time.perf_counter() - started)
        plans.append({c: float(result.budgets.sel(channel=c)) for c in channels})
    divergences = int(fit["sample_stats"]["diverging"].sum())
    told = {
        "fit": fitted,
        "plan": seconds[0],
        "replan": seconds[1],
        "plans": plans,
        "divergences": divergences,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
