"""Backtests of made companies: 48 months, 12 origins three months apart, the quarter after each, beside all baselines.

    python benchmarks/backtests.py --out FOLDER [--companies 8] [--first 0] [--origins 12] [--workers 2] [--preview]
    python benchmarks/backtests.py --out FOLDER --report

Company i is of family i modulo 8 of benchmarks/world_families.py, most of which break an assumption of the model. Every
origin is fitted anew to its own past (12 months at the first, 45 at the last), given the spend that came. The horizons
do not overlap: 12 outcomes a company. Told of revenue over the horizon, all companies together: CRPS relative to the
company's mean quarter, coverage with its standard error, bias, skill of the forecast over each method with its standard
error over companies. Finished origins are kept in FOLDER; a second call goes on. Needs the extra `bench`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import resumable_parser, without_errors
from world_families import FAMILIES
from worlds import read, told_delays

from forecast.backtest import run_backtest, scores
from forecast.jobs import pool
from forecast.lab import generate

MONTHS, ORIGINS, HORIZON = 48, 12, 3


def company_backtest(
    number: int, folder: Path, executor: Any, *, preview: bool, origins: int
) -> dict[str, Any]:
    """The summary of company `number`, made from its files, over its last `origins`."""
    family = list(FAMILIES)[number % len(FAMILIES)]
    rng = np.random.default_rng([2611, 48, number])
    company = generate(replace(FAMILIES[family](rng), months=MONTHS), rng)
    guess = told_delays(company, rng)
    with tempfile.TemporaryDirectory() as name:
        study, history = read(company, "calendar", guess, Path(name))
    started = time.perf_counter()
    _, summary = run_backtest(
        study,
        history,
        origins=origins,
        horizon=HORIZON,
        every=HORIZON,
        preview=preview,
        executor=executor,
        results=folder / f"company-{number:02d}",
    )
    return {"number": number, "family": family, "seconds": round(time.perf_counter() - started, 1)} | summary


def table(found: list[dict[str, Any]], measure: str) -> pd.DataFrame:
    """Rows by method, over all companies that have it."""
    rows = []
    for method in dict.fromkeys(m["method"] for s in found for m in s["methods"]):
        mine = [m for s in found for m in s["methods"] if (m["method"], m["measure"]) == (method, measure)]
        if not mine:
            continue
        relative = np.array([m["relative"] for m in mine])
        row: dict[str, Any] = {"method": method, "outcomes": sum(m["outcomes"] for m in mine)}
        row |= {"CRPS/mean": relative.mean(), "bias": np.mean([m["bias"] for m in mine])}
        for band in scores.BANDS:
            inside, n = sum(m[band]["inside"] for m in mine), row["outcomes"]
            share = inside / n
            row[f"{scores.LEVELS[band]:.0%}"] = f"{share:.1%} ± {np.sqrt(share * (1 - share) / n):.1%}"
        if method != "forecast":
            skills = np.array([m["skill"] for m in mine])
            row["skill"] = f"{skills.mean():+.2f} ± {skills.std(ddof=1) / np.sqrt(len(skills)):.2f}"
        else:
            row["skill"] = ""
        row["PIT in fifths"] = " ".join(map(str, np.sum([m["pit"] for m in mine], axis=0)))
        rows.append(row)
    return pd.DataFrame(rows)


def report(folder: Path) -> None:
    """Print what is there."""
    paths = sorted(folder.glob("company-*.json"))
    found = without_errors({path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths})
    origins = max(s["asked"] for s in found)
    pd.set_option("display.width", 220)
    pd.set_option("display.max_columns", 20)
    for measure in ("revenue", "won"):
        print(f"\n{measure} of the next {HORIZON} months, {len(found)} companies, {origins} origins each")
        print(table(found, measure).to_string(index=False, float_format="{:.3f}".format))
    rows = []
    for s in found:
        own = next(m for m in s["methods"] if (m["method"], m["measure"]) == ("forecast", "revenue"))
        others = [m for m in s["methods"] if m["measure"] == "revenue" and m["method"] != "forecast"]
        best = min((m for m in others if m["outcomes"] == own["outcomes"]), key=lambda m: m["crps"])
        rows.append(
            {
                "company": s["family"],
                "CRPS/mean": own["relative"],
                "inside 80 %": f"{own['inside80']['inside']} of {own['outcomes']}",
                "bias": own["bias"],
                "best baseline": best["method"],
                "skill over it": best["skill"],
                "gate": s["gate"]["status"],
                "refitted": len(s["sampling"].get("again", [])),
            }
        )
    print()
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3f}".format))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the companies that are not there yet, and print."""
    parser = resumable_parser(__doc__, units="companies", many=8)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--origins", type=int, default=ORIGINS, help="of each company, the latest ones")
    parser.add_argument("--preview", action="store_true")
    given = parser.parse_args(argv)
    if not given.report:
        given.out.mkdir(parents=True, exist_ok=True)
        with pool(given.workers) as executor:
            for number in range(given.first, given.first + given.companies):
                path = given.out / f"company-{number:02d}.json"
                if path.is_file():
                    continue
                summary = company_backtest(
                    number, given.out, executor, preview=given.preview, origins=given.origins
                )
                path.write_text(json.dumps(summary), encoding="utf-8")
                print(number, summary["family"], summary["seconds"], "s", flush=True)
    report(given.out)


if __name__ == "__main__":
    main()
