"""Scores of leads against the true chances: `python benchmarks/scoring.py [--sizes 1500,5000,20000] [--worlds 3]`.

With `--olist FOLDER` (the two public Olist files) the ranking of real leads instead, whose further columns mostly leak.

Makes companies whose leads have features and known chances of winning, fits the score (PyMC, nutpie) on each, and rates
it on fresh leads of the same company by the expected log score, as a share above that of the true chances.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from command import parser_of
from numpy.typing import NDArray
from olist import joined, study_text

from forecast.fit import sample_scores
from forecast.lab import LeadWorld, make_leads
from forecast.leads import LeadTable, Scorer, channel_scorer, chunks, fit_scorer
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


def above(given: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Expected log score of the chances given, as a share above that of the true ones."""

    def score(p: NDArray[np.float64]) -> float:
        return float(-(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean())

    return score(given) / score(truth) - 1


def one(size: int, seed: int, strength: float) -> dict[str, object]:
    """One company: seconds of the fit, what its sampling failed, and both scores."""
    world = make_leads(np.random.default_rng(seed), size=size, strength=strength, leaks=False)
    fresh = make_leads(np.random.default_rng(seed + 1000), size=FRESH, strength=strength, leaks=False)
    table, new, truth = lead_table(world), lead_table(fresh), fresh.truth["chance"].to_numpy()
    names = [str(name) for name in table.features.columns]
    sampler: Callable[..., object] = lambda units, groups, seed: sample_scores(units, groups, seed=seed)  # noqa: E731
    start = time.perf_counter()
    scorer = fit_scorer(table, names, sampler, seed=1)  # type: ignore[arg-type]
    seconds = time.perf_counter() - start
    base = channel_scorer(table, seed=1)
    given = chances(scorer, new)
    return {
        "leads": size,
        "strength": strength,
        "won by then": int(table.leads["won"].notna().sum()),
        "seconds": round(seconds, 1),
        "R-hat": f"{max(fit.told['max_rhat'] for fit in scorer.fits):.3f}",
        "divergences": sum(fit.told["divergences"] for fit in scorer.fits),
        "score above truth": f"{above(given, truth):.1%}",
        "channel rate above truth": f"{above(chances(base, new), truth):.1%}",
        "luck of its wins": f"{world.truth['wins'].mean() / world.truth['chance'].mean():.3f}",
        "wins expected / true": f"{given.mean() / truth.mean():.3f}",
    }


def rank_olist(source: Path) -> None:
    """Rank the Olist leads with every column that the file of closed deals has, and say what was left out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        joined(source).to_csv(folder / "leads.csv", index=False)
        (folder / "olist.toml").write_text(study_text("2018-05"), encoding="utf-8")
        made = rank(folder / "olist.toml", out=folder / "out")
        print(terminal_text(ranking_page(made.summary, made.ranking.head(0))))


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each company."""
    parser = parser_of(__doc__)
    parser.add_argument("--sizes", default="1500,5000,20000")
    parser.add_argument("--worlds", type=int, default=3)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--olist", type=Path)
    options = parser.parse_args(argv)
    if options.olist:
        rank_olist(options.olist)
        return
    one(400, 1, 1.0)  # compiles
    rows = [
        one(int(size), 100 + i, options.strength)
        for size in options.sizes.split(",")
        for i in range(options.worlds if int(size) <= 10_000 else 1)
    ]
    head = list(rows[0])
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
