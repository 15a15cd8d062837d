"""Simulation-based calibration of the whole model: companies from its own prior, fitted, the truth ranked.

    python benchmarks/sbc.py --out FOLDER [--kinds calendar,cohort,leads] [--fits 200] [--workers 2]
    python benchmarks/sbc.py --out FOLDER --report [--figure FILE.svg]

Writes FOLDER/<kind>.jsonl, a line a fit; a second call goes on where the first one stopped. The table tells of each
quantity whether the ECDF of its ranks stays inside a band that holds a uniform one with 95 % in all its length.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("svg")
from matplotlib import pyplot as plt

from forecast.calibration import DRAWS, KINDS, PERIODS, RANKS, one_fit
from forecast.jobs import finished, pool, run_jobs
from forecast.uniform import band, simultaneous_level, table

Records = dict[str, dict[str, Any]]
SETTINGS = {"periods": PERIODS, "draws": DRAWS, "ranks": RANKS}


def run(kind: str, fits: int, workers: int, path: Path) -> Records:
    """The fits of one kind that are not there yet; all of them."""
    jobs = {f"{i:04d}": (kind, i) for i in range(fits)}

    def done(key: str, record: dict[str, Any]) -> None:
        print(kind, key, record.get("error", ""), flush=True)

    with pool(workers) as executor:
        return run_jobs(one_fit, jobs, executor=executor, results=path, settings=SETTINGS, done=done)


def report(kinds: dict[str, Records], figure: Path | None) -> None:
    """Print the table of each kind; draw all ECDF differences."""
    drawn = []
    for kind, records in kinds.items():
        good = [r["ranks"] for r in records.values() if "ranks" in r]
        errors = [r["error"] for r in records.values() if "error" in r]
        if not good:
            continue
        found = table(good, RANKS)
        outside = int((~found["inside"]).sum())
        print(
            f"\n{kind}: {len(good)} fits, {len(errors)} that raised; {outside} of {len(found)} quantities outside"
        )
        print(found.to_string(index=False, float_format="{:.3f}".format))
        drawn += [(kind, row["quantity"], row["inside"], good) for row in found.to_dict("records")]
    if figure is not None and drawn:
        draw(drawn, figure)


def draw(drawn: list[tuple[str, str, bool, list[dict[str, float]]]], path: Path) -> None:
    """A small panel for each kind and quantity: ECDF of the ranks less the uniform's, in its band."""
    columns = 6
    rows = -(-len(drawn) // columns)
    mpl.rcParams["svg.hashsalt"] = "sbc"
    fig, axes = plt.subplots(rows, columns, figsize=(2.1 * columns, 1.35 * rows), sharex=True, sharey=True)
    for ax in axes.flat[len(drawn) :]:
        ax.axis("off")
    for ax, (kind, name, inside, good) in zip(axes.flat, drawn, strict=False):
        ranks = np.array([record[name] for record in good])
        at, low, high = band(ranks.size, RANKS, simultaneous_level(ranks.size, RANKS))
        counts = np.cumsum(np.bincount(np.rint(ranks * RANKS).astype(int), minlength=RANKS + 1))[:-1]
        ax.fill_between(at, low, high, color="#d9e2ec", lw=0)
        ax.plot(at, counts / ranks.size - at, color="#1f4e79" if inside else "#b3261e", lw=1)
        ax.set_title(f"{kind}: {name}", fontsize=6, color="black" if inside else "#b3261e")
        ax.tick_params(labelsize=5)
    fig.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, metadata={"Date": None})
    plt.close(fig)


def main() -> None:
    """Fit what is missing, then print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="only print what is there")
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    kinds = {}
    for kind in options.kinds.split(","):
        path = options.out / f"{kind}.jsonl"
        kinds[kind] = (
            finished(path, SETTINGS) if options.report else run(kind, options.fits, options.workers, path)
        )
    report(kinds, options.figure)


if __name__ == "__main__":
    main()
