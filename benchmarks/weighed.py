"""The weighed closed form by part: k-hat, effective sizes and CPU beside NUTS, and how far both lie apart.

    python benchmarks/weighed.py [--study demo,demo_leads] [--worlds 8] [--first 0] [--counting calendar,cohort,leads]
                                 [--data FOLDER] [--nuts] [--long 4000] [--quarter 16000]

Companies: the bundled studies, made ones of the families of benchmarks/world_families.py, and with --data the public
sets of that folder (olist, toy_store, hotel, bpi20). Told for each part: the largest Pareto k-hat of scales, effects
and both; effective sizes of their weights; CPU seconds; `by`: "weights", or "chains" where the gate sent the part on to
NUTS. --nuts: CPU seconds, divergences and R-hat of the product's NUTS, its retries included. --quarter N: next
quarter's revenue by weights beside that by N draws of NUTS. --long N: a run of N draws in each of 4 chains at a target
of .95; of every single number but own waves the means, 10 and 90 % ends of both in posterior sds, root mean square and
largest, beside the Monte Carlo error of the long run's means. CPU seconds are of the process, all threads.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from arviz_stats.base.array import array_stats
from backtest_public import TOY, toy_counts
from command import parser_of
from olist import prepare, study_text
from world_families import FAMILIES
from worlds import read, told_delays

from forecast.fit import Draws, Part, fit, sample_whitened
from forecast.history import History, read_history
from forecast.lab import generate
from forecast.outlook import case_of, simulate
from forecast.progress import Silent
from forecast.study import Study, load_study

BUNDLED = Path(__file__).parents[1] / "forecast" / "bundled"
DRAWS = 4000
ENDS = (0.1, 0.9)


def companies(
    studies: Sequence[str], numbers: range, countings: Sequence[str]
) -> Iterator[tuple[str, Study, History]]:
    """Names, studies and histories of the bundled companies and of the worlds of these numbers."""
    for name in studies:
        study = load_study(BUNDLED / f"{name}.toml")
        yield name, study, read_history(study)
    for number in numbers:
        family = list(FAMILIES)[number % len(FAMILIES)]
        rng = np.random.default_rng([2611, number])
        company = generate(FAMILIES[family](rng), rng)
        guess = told_delays(company, rng)
        for counting in countings:
            with tempfile.TemporaryDirectory() as folder:
                study, history = read(company, counting, guess, Path(folder))
            yield f"{family} {number}, {counting}", study, history


PUBLIC = {
    "hotel": """name = "hotel"
[history]
leads = "hotel/leads.parquet"
period = "month"
through = "2017-05"
columns = { lead_id = "lead_id", channel = "channel", created = "created", won = "won", lost = "lost" }
[funnel]
stages = ["leads", "won"]
delay.won = "90 days"
""",
    "bpi20": """name = "bpi20"
[history]
leads = "bpi20/leads.parquet"
period = "month"
columns = { lead_id = "lead_id", channel = "channel", created = "created", qualified = "qualified", won = "won" }
[funnel]
stages = ["leads", "qualified", "won"]
delay.qualified = "14 days"
delay.won = "60 days"
""",
}


def public(data: Path) -> Iterator[tuple[str, Study, History]]:
    """Names, studies and histories of the public sets."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(data / "olist", folder)
        toy_counts(data / "toy_store", folder)
        for kind in PUBLIC:
            (folder / kind).symlink_to(data / kind)
        for kind, text in {"olist": study_text("2018-11"), "toy store": TOY, **PUBLIC}.items():
            (folder / "study.toml").write_text(text, encoding="utf-8")
            study = load_study(folder / "study.toml")
            yield kind, study, read_history(study)


def fitted(study: Study, history: History, seed: int, sampler: str) -> list[dict[str, Any]]:
    """Each part of a fit: its diagnosis, data, draws and CPU seconds."""
    found: list[dict[str, Any]] = []
    started = time.process_time()

    def keep(part: Part, draws: Draws) -> None:
        nonlocal started
        found.append({"given": part, "drawn": draws, "cpu": time.process_time() - started})
        started = time.process_time()

    made = fit(
        study,
        history,
        seed=seed,
        draws=DRAWS,
        progress=Silent(),
        cores=2,
        weigh=False,
        watch=keep,
        sampler=sampler,
    )
    weighed = [told for told in made.diagnostics if "settled" not in told]  # hazards have another certificate
    return [row | told for row, told in zip(found, weighed, strict=True)]


def numbers(draws: Draws) -> dict[str, Any]:
    """Every single number of the draws but own waves, (chain, draw)."""
    found = {}
    for name, values in draws.items():
        series = values.reshape(*values.shape[:2], -1)
        found |= {f"{name}[{i}]": series[:, :, i] for i in range(series.shape[2]) if name != "own_waves"}
    return found


def apart(drawn: Draws, part: Part, draws: int, seed: int) -> dict[str, float]:
    """How far means and ends lie from those of a long run, in posterior sds, and the Monte Carlo error of its means."""
    every = 4 if part.kind == "value" else 1
    chains, moved = sample_whitened(
        part, seed=seed, draws=every * draws, tune=1500, target_accept=0.95, cores=2
    )
    ours, gaps, errors = numbers(drawn), [], []
    for name, long in numbers(chains).items():
        sd = long.std()
        ends = [np.quantile(ours[name], p) - np.quantile(long, p) for p in ENDS]
        gaps.append(np.array([ours[name].mean() - long.mean(), *ends]) / sd)
        errors.append(float(array_stats.ess(long, chain_axis=0, draw_axis=1, method="mean")) ** -0.5)
    square, worst = np.sqrt(np.mean(np.square(gaps), axis=0)), np.abs(gaps).max(axis=0)
    names = ("mean", "10 %", "90 %")
    return (
        {name: float(x) for name, x in zip(names, square, strict=True)}
        | {f"max {name}": float(x) for name, x in zip(names, worst, strict=True)}
        | {"MC error": float(np.sqrt(np.mean(np.square(errors)))), "long div": moved.divergences}
    )


def quarters(study: Study, history: History, draws: int, seed: int) -> dict[str, float]:
    """Next quarter's revenue by weights less that by NUTS of so many draws, in posterior sds, and both their errors.

    Same chance for both: the simulations share their random numbers.
    """
    totals = {}
    for sampler, many in (("weighed", DRAWS), ("nuts", draws)):
        made = fit(
            study, history, seed=seed, draws=many, progress=Silent(), cores=2, weigh=False, sampler=sampler
        )
        plan = np.repeat(history.current_spend[None], 3, axis=0)
        rng = np.random.default_rng(seed)
        outlook = simulate(case_of(study, history, made, plan, rng), {"plan": plan}, rng=rng, replicates=4)
        totals[sampler] = outlook["revenue"].sel(plan="plan").sum(["period", "channel"]).values.astype(float)
    ours, long = totals["weighed"], totals["nuts"]
    ends = {f"{p:.0%}": np.quantile(ours, p) - np.quantile(long, p) for p in ENDS}
    gaps = {"mean": ours.mean() - long.mean()} | ends
    return {f"revenue, {k}": float(v / long.std()) for k, v in gaps.items()} | {"error": DRAWS**-0.5}


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each part, and what they add up to."""
    parser = parser_of(__doc__)
    parser.add_argument("--study", default="demo,demo_leads")
    parser.add_argument("--worlds", type=int, default=8)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--counting", default="calendar,cohort,leads")
    parser.add_argument("--data", type=Path, help="a folder with the public sets")
    parser.add_argument("--nuts", action="store_true")
    parser.add_argument("--long", type=int, default=0)
    parser.add_argument("--quarter", type=int, default=0, help="draws of NUTS beside next quarter's revenue")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    worlds = range(given.first, given.first + given.worlds)
    chosen = companies([s for s in given.study.split(",") if s], worlds, given.counting.split(","))
    if given.data is not None:
        chosen = chain(chosen, public(given.data.resolve()))
    rows, warm = [], False
    for name, study, history in chosen:
        if not warm:
            fitted(study, history, given.seed, "weighed")
            warm = True
        made = fitted(study, history, given.seed, "auto")
        long = fitted(study, history, given.seed, "nuts") if given.nuts else [{}] * len(made)
        for part, nuts in zip(made, long, strict=True):
            row = {"company": name, "part": part["part"], "by": "weights" if "k_hat" in part else "chains"}
            row |= {
                k: part.get(k, np.nan)
                for k in ("k_scales", "k_effects", "k_joint", "ess_scales", "ess_effects")
            }
            row |= {"points": part.get("points", np.nan), "CPU s": part["cpu"]}
            if nuts:
                row |= {"NUTS CPU s": nuts["cpu"], "tries": nuts["attempts"]}
                row |= {"div": nuts["divergences"], "R-hat": nuts["max_rhat"]}
            if given.long:
                row |= apart(part["drawn"], part["given"], given.long, given.seed + 6)
            rows.append(row)
            print(pd.DataFrame([row]).round(3).to_string(index=False, header=len(rows) == 1), flush=True)
        if given.quarter:
            told = {"company": name} | quarters(study, history, given.quarter, given.seed)
            print(pd.DataFrame([told]).round(3).to_string(index=False), flush=True)
    table = pd.DataFrame(rows)
    by = table["by"].value_counts().to_dict()
    print(f"\nparts by: {by}; largest k-hat {table[['k_scales', 'k_effects', 'k_joint']].max().max():.2f}; least "
          f"effective size {table[['ess_scales', 'ess_effects']].min().min():.0f}")  # fmt: skip
    print(table.groupby("company", sort=False)[[c for c in table if "CPU" in c]].sum().round(1).to_string())


if __name__ == "__main__":
    main()
