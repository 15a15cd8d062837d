"""The bundled company's known truth beside the posterior's 90 % intervals.

    python benchmarks/demo_truth.py [--study forecast/bundled/demo.toml] [--companies 1] [--seed 1]

With one company the bundled data are used; with more, that many companies of the same world are made with other seeds
and every interval is counted. Truths: the average rate of each channel and stage over the window, delay means and cvs,
deal values, elasticities; for scale also what the next three months brought.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import parser_of
from scipy.special import expit

import forecast
from forecast.fit import Posterior, fit_posterior
from forecast.history import read_history
from forecast.lab import demo_world, generate, write
from forecast.results import total_draws
from forecast.study import Study, load_study

BUNDLED = Path(__file__).parents[1] / "forecast" / "bundled"


def intervals(posterior: Posterior, channels: list[str], truth: dict[str, Any]) -> pd.DataFrame:
    """Rows: quantity, true, q05, median, q95."""
    rows: list[dict[str, Any]] = []

    def add(kind: str, name: str, true: float, draws: np.ndarray) -> None:
        low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95])
        rows.append({"kind": kind, "quantity": name, "true": true, "q05": low, "median": middle, "q95": high})

    for stage in posterior.stages:
        path = expit(posterior.data[f"logit_rate_{stage}"].values.astype(float))
        for i, channel in enumerate(channels):
            true = float(np.mean(truth["rate_path"][stage][channel]))
            add("rate", f"{channel} into {stage}", true, path[:, :, i].mean(axis=1))
    for stage, known in truth["delay"].items():
        if stage in posterior.stages:
            add(
                "delay",
                f"mean delay into {stage}, months",
                known["mean_months"],
                posterior.array(f"delay_mean_{stage}"),
            )
            add("delay", f"cv of the delay into {stage}", known["cv"], posterior.array(f"delay_cv_{stage}"))
    for i, channel in enumerate(channels):
        add(
            "deal value",
            f"{channel} deal value",
            truth["deal"]["mean"][channel],
            posterior.array("deal_mean")[:, i],
        )
    add("deal value", "cv of the deal value", truth["deal"]["cv"], posterior.array("deal_cv"))
    for i, channel in enumerate(channels):
        known = truth["channels"][channel]
        add("elasticity", f"{channel} elasticity", known["elasticity"], posterior.array("elasticity")[:, i])
    table = pd.DataFrame(rows)
    return table.assign(inside=(table["q05"] <= table["true"]) & (table["true"] <= table["q95"]))


def one(study: Study, truth: dict[str, Any], seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Intervals of one company and the outcome of its next three months."""
    history = read_history(study)
    posterior = fit_posterior(study, history, seed=seed)
    outlook = forecast.forecast(study, history, posterior, seed=seed).draws
    came = truth["later"]["totals"]["3"]["total"]
    row: dict[str, Any] = {"checks": "; ".join(posterior.provenance["failures"]) or "pass"}
    for measure in ("won", "revenue"):
        draws = total_draws(outlook, "given", measure)
        row[f"{measure} 10 %"], row[f"{measure} 90 %"] = np.quantile(draws, [0.1, 0.9]).round()
        row[f"{measure} came"] = came[measure]
    return intervals(posterior, history.channels, truth), row


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table and the share inside by kind."""
    parser = parser_of(__doc__)
    parser.add_argument("--study", type=Path, default=BUNDLED / "demo.toml")
    parser.add_argument("--companies", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    pd.set_option("display.width", 160, "display.max_rows", 400, "display.precision", 4)
    if given.companies == 1:
        truth = json.loads((given.study.parent / "demo_truth.json").read_text(encoding="utf-8"))
        table, outcome = one(load_study(given.study), truth, given.seed)
        print(table.to_string(index=False))
        outcomes = [outcome]
    else:
        tables, outcomes = [], []
        for k in range(given.companies):
            with tempfile.TemporaryDirectory() as name:
                company = generate(demo_world(), np.random.default_rng(given.seed + k))
                write(company, Path(name), seed=given.seed + k)
                text = given.study.read_text(encoding="utf-8")
                (Path(name) / given.study.name).write_text(text, encoding="utf-8")
                study = load_study(Path(name) / given.study.name)
                found, outcome = one(study, company.truth, given.seed)
                tables.append(found)
                outcomes.append(outcome)
        table = pd.concat(tables)
    counted = table.groupby("kind")["inside"].agg(["sum", "count", "mean"])
    counted.loc["all"] = [table["inside"].sum(), len(table), table["inside"].mean()]
    print("\nInside their 90 % interval:")
    print(counted.rename(columns={"sum": "inside", "count": "of", "mean": "share"}).to_string())
    print("\nNext three months, 80 % band and what came:")
    print(pd.DataFrame(outcomes).to_string(index=False))


if __name__ == "__main__":
    main()
