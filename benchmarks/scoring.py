"""Scores of leads against the true chances: `python benchmarks/scoring.py [--sizes 1500,5000,20000] [--worlds 3]`.

With `--olist FOLDER` (the two public Olist files) the ranking of real leads instead, whose further columns mostly leak.

Makes companies whose leads have features and known chances of winning, fits the score on each, and rates it on fresh
leads of the same company by the expected log score, as a share above that of the true chances. With `--nuts` the same
density is drawn by PyMC and nutpie too, and the scores of both stand beside each other, lead by lead.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from command import parser_of
from numpy.typing import NDArray
from olist import joined, study_text

from forecast.lab import LeadWorld, make_leads
from forecast.leads import LEVEL_SD, SPREAD_PRIOR, LeadTable, Scorer, Shares, chunks, fit_scorer, level_prior
from forecast.report import ranking_page, terminal_text
from forecast.workflow import rank

OURS = ["lead_id", "channel", "created", "qualified", "won", "lost", "amount"]
FRESH = 20_000


def lead_table(world: LeadWorld) -> LeadTable:
    """The leads as the package reads them from a CSV."""
    cells = (
        world.leads.drop(columns=OURS).astype(object).map(lambda cell: None if pd.isna(cell) else str(cell))
    )
    leads = world.leads[OURS].rename(columns={"created": "leads"})
    return LeadTable(leads, cells, ("leads", "qualified", "won"), np.datetime64(world.last_day, "D"))


def chances(scorer: Scorer, table: LeadTable) -> NDArray[np.float64]:
    """P(win) of new leads."""
    return np.concatenate([scorer.at_creation(part).mean(axis=0) for part in chunks(table)])


def by_nuts(
    units: Shares, groups: NDArray[np.int64], rng: np.random.Generator, draws: int
) -> NDArray[np.float64]:
    """The density of `leads.pooling` as PyMC has it, drawn by nutpie: (draw, 1 + columns)."""
    import nutpie
    import pymc as pm
    import pytensor.tensor as pt

    x, n = np.column_stack([np.ones(len(units.weight)), units.design]), groups.size
    with pm.Model() as model:
        spread = pm.LogNormal("spread", *SPREAD_PRIOR, shape=int(groups.max()) + 1)
        mu = pm.Normal("mu", level_prior(units), LEVEL_SD)
        b = pm.Normal("z", 0.0, 1.0, shape=n) * spread[groups]
        eta = pm.Deterministic("b", pt.concatenate([mu[None], b]))
        seen = pt.log(units.moved * pt.exp(pt.dot(x, eta)) + units.stayed) - pt.softplus(pt.dot(x, eta))
        pm.Potential("seen", (units.weight * seen).sum())
    trace = nutpie.sample(
        nutpie.compile_pymc_model(model),
        draws=draws // 4,
        chains=4,
        cores=2,
        seed=int(rng.integers(2**31)),
        target_accept=0.9,
        progress_bar=False,
    )
    return np.asarray(trace.posterior["b"].values.reshape(-1, n + 1))


def losses(given: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected log score of each lead."""
    return np.asarray(-(truth * np.log(given) + (1 - truth) * np.log(1 - given)))


def above(given: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Expected log score of the chances given, as a share above that of the true ones."""
    return float(losses(given, truth).mean() / losses(truth, truth).mean() - 1)


def one(size: int, seed: int, strength: float, *, nuts: bool = False) -> dict[str, object]:
    """One company: seconds of the fit and its score; with NUTS, the same of it, and the difference with its error."""
    world = make_leads(np.random.default_rng(seed), size=size, strength=strength, leaks=False)
    fresh = make_leads(np.random.default_rng(seed + 1000), size=FRESH, strength=strength, leaks=False)
    table, new, truth = lead_table(world), lead_table(fresh), fresh.truth["chance"].to_numpy()
    names = [str(name) for name in table.features.columns]
    start = time.perf_counter()
    scorer = fit_scorer(table, names, seed=1)
    seconds = time.perf_counter() - start
    base = fit_scorer(table, [], seed=1)
    given = chances(scorer, new)
    beside: dict[str, object] = {}
    if nuts:
        start = time.perf_counter()
        drawn = chances(fit_scorer(table, names, seed=1, draw=by_nuts), new)
        beside["seconds, NUTS"] = round(time.perf_counter() - start, 1)
        off = (losses(given, truth) - losses(drawn, truth)) / losses(truth, truth).mean()
        beside["score above NUTS"] = f"{off.mean():+.3%} ± {off.std() / np.sqrt(off.size):.3%}"
    return {
        "leads": size,
        "strength": strength,
        "won by then": int(table.leads["won"].notna().sum()),
        "seconds": round(seconds, 1),
        "score above truth": f"{above(given, truth):.1%}",
        "channel rate above truth": f"{above(chances(base, new), truth):.1%}",
        "luck of its wins": f"{world.truth['wins'].mean() / world.truth['chance'].mean():.3f}",
        "wins expected / true": f"{given.mean() / truth.mean():.3f}",
    } | beside


def rank_olist(source: Path) -> None:
    """Rank the Olist leads with every column that the file of closed deals has, and say what was left out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        joined(source).to_csv(folder / "leads.csv", index=False)
        (folder / "olist.toml").write_text(study_text("2018-05"), encoding="utf-8")
        made = rank(folder / "olist.toml", out=folder / "out")
        print(terminal_text(ranking_page(made.summary, made.made.table.head(0))))


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each company."""
    parser = parser_of(__doc__)
    parser.add_argument("--sizes", default="1500,5000,20000")
    parser.add_argument("--worlds", type=int, default=3)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--nuts", action="store_true")
    parser.add_argument("--olist", type=Path)
    options = parser.parse_args(argv)
    if options.olist:
        rank_olist(options.olist)
        return
    rows = [
        one(int(size), 100 + i, options.strength, nuts=options.nuts)
        for size in options.sizes.split(",")
        for i in range(options.worlds if int(size) <= 10_000 else 1)
    ]
    head = list(rows[0])
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
