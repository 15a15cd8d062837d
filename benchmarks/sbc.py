"""Simulation-based calibration of the whole model: companies from its own prior, fitted, the truth ranked.

    python benchmarks/sbc.py --out FOLDER [--kinds calendar,cohort,leads] [--fits 200] [--workers 2]
    python benchmarks/sbc.py --out FOLDER --report [--figures FOLDER]
    python benchmarks/sbc.py --out FOLDER --nuts 5

Writes FOLDER/<kind>.jsonl, a line a fit; a second call goes on where the first one stopped. The table tells of each
quantity whether the ECDF of its ranks stays inside a band that holds a uniform one with 95 % in all its length. A
fourth kind, `working`, draws calendar counts from the law that the fit takes them for: what is outside there too has
another cause. --nuts N: the first N companies of each kind are fitted by NUTS too, and the difference of their ranks
is told beside what 99 independent draws of each would make of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from command import resumable_parser, run_or_read
from scipy.stats import binom

mpl.use("agg")
from matplotlib import pyplot as plt

from forecast.fit import KINDS, LEVEL, PERIODS, SPEND, VALUE
from forecast.lab import DRAWS, RANKS, band, one_fit, simultaneous_level, surely_outside, uniformity

FROM, TO = "<!-- results -->", "<!-- end of results -->"
Records = dict[str, dict[str, Any]]
SETTINGS = {
    "design": 5,  # raised with every change of the companies or of what is ranked
    "periods": PERIODS,
    "channels": len(SPEND),
    "level": list(LEVEL),
    "value": list(VALUE),
    "draws": DRAWS,
    "ranks": RANKS,
}


def report(kinds: dict[str, Records], figures: Path | None, page: Path | None) -> None:
    """Print the table of each kind, and draw its ECDF differences; renew the results of a page."""
    tables, heads = [], []
    for kind, records in kinds.items():
        fitted = [record for record in records.values() if "ranks" in record]
        good = [record for record in fitted if not record["rough"]]
        if not good:
            continue
        found = uniformity([record["ranks"] for record in good], RANKS).assign(kind=kind)
        moved = sum(record["divergences"] > 0 for record in good)
        outside = int((~found["inside"]).sum())
        heads.append(
            f"{kind}: {len(fitted)} fits, {len(records) - len(fitted)} that raised, {len(fitted) - len(good)} left out "
            f"as rough; of the others {moved} with a divergence; {outside} of {len(found)} quantities outside"
        )
        print(f"\n{heads[-1]}")
        print(found.drop(columns="kind").to_string(index=False, float_format="{:.3f}".format))
        tables.append(found)
        if figures is not None:
            draw(kind, found, [record["ranks"] for record in good], figures / f"sbc-{kind}.png")
    if not tables:
        return
    found = pd.concat(tables, ignore_index=True)
    sentences = summary(found)
    print("\n" + "\n".join(sentences))
    if page is not None:
        before, _, rest = page.read_text(encoding="utf-8").partition(FROM)
        _, _, after = rest.partition(TO)
        lists = "\n".join(f"- {line}" for line in [*heads, *sentences])
        text = f"{before}{FROM}\n{lists}\n\n{in_markdown(found)}\n{TO}{after}"
        page.write_text(text, encoding="utf-8")


def in_markdown(found: pd.DataFrame) -> str:
    """Quantities by kinds: the excess over the band, in bold where outside, with mean rank and spread."""
    kinds = list(found["kind"].unique())
    lines = [f"| quantity | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for name, rows in found.groupby("quantity", sort=False):
        cells = []
        for kind in kinds:
            row = next((r for r in rows.to_dict("records") if r["kind"] == kind), None)
            if row is None:
                cells.append("")
                continue
            text = f"{row['excess']:.2f} ({row['mean rank']:.2f}, {row['spread']:.2f})"
            cells.append(text if row["inside"] else f"**{text}**")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(found: pd.DataFrame) -> list[str]:
    """What lies outside, in all: by itself, and with the number of quantities counted in (Holm)."""
    total, outside = len(found), int((~found["inside"]).sum())
    chance = binom.sf(outside - 1, total, 0.05)
    first = (
        f"{outside} of {total} quantities outside their 95 % band; of uniform ranks {0.05 * total:.1f} would be, and "
        f"as many or more with probability {chance:.3f} (taken as independent)"
    )
    sure = found[surely_outside(found)].to_dict("records")
    names = [f"{row['quantity']} ({row['kind']}, p = {row['p']:.1g})" for row in sure]
    return [
        first,
        f"outside with the number of quantities counted in (Holm, 5 %): {', '.join(names) or 'none'}",
    ]


def draw(kind: str, found: pd.DataFrame, records: list[dict[str, float]], path: Path) -> None:
    """A small panel for each quantity: ECDF of the ranks less the uniform's, in its band."""
    columns = 7
    rows = -(-len(found) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(1.75 * columns, 1.2 * rows), sharex=True, sharey=True)
    for ax in axes.flat[len(found) :]:
        ax.axis("off")
    for ax, (name, inside) in zip(axes.flat, found[["quantity", "inside"]].to_numpy(), strict=False):
        ranks = np.array([record[name] for record in records if name in record])
        at, low, high = band(ranks.size, RANKS, simultaneous_level(ranks.size, RANKS))
        counts = np.cumsum(np.bincount(np.rint(ranks * RANKS).astype(int), minlength=RANKS + 1))[:-1]
        ax.fill_between(at, low, high, color="#d9e2ec", lw=0)
        ax.plot(at, counts / ranks.size - at, color="#1f4e79" if inside else "#b3261e", lw=1)
        ax.set_title(name, fontsize=6, color="black" if inside else "#b3261e", pad=2)
        ax.tick_params(labelsize=5)
    fig.suptitle(f"{kind}: ECDF of the ranks less the uniform's, 95 % simultaneous band", fontsize=8)
    fig.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(fig)


def beside_nuts(options: argparse.Namespace, kinds: dict[str, Records]) -> None:
    """Fit the first companies of each kind by NUTS, and print how far ranks lie apart."""
    for kind, records in kinds.items():
        keys = [f"{i:04d}" for i in range(options.nuts)]
        jobs = {key: (kind, int(key), "nuts") for key in keys}
        path = options.out / f"{kind}-nuts.jsonl"
        again = run_or_read(options, one_fit, jobs, SETTINGS | {"sampler": "nuts"}, path=path)
        both = [
            (records[k]["ranks"], again[k]["ranks"])
            for k in keys
            if "ranks" in again[k] and not again[k]["rough"]
        ]
        pairs = np.array([(ours[q], theirs[q]) for ours, theirs in both for q in ours if q in theirs])
        gap = pairs[:, 0] - pairs[:, 1]
        middle = pairs.mean(axis=1)
        chance = np.sqrt(np.mean(2.0 * middle * (1.0 - middle) / RANKS))
        print(f"{kind}: {len(both)} companies by NUTS too, {len(pairs)} ranks; rms difference "
              f"{np.sqrt(np.mean(gap**2)):.3f}, by chance alone {chance:.3f}; mean {gap.mean():+.4f}")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Fit what is missing, then print."""
    parser = resumable_parser(__doc__, units="fits", many=200)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--figures", type=Path, help="a folder for sbc-<kind>.png")
    parser.add_argument("--page", type=Path, help="a page whose results, between two marks, are renewed")
    parser.add_argument("--nuts", type=int, default=0, help="companies of each kind that NUTS fits too")
    options = parser.parse_args(argv)
    kinds = {}
    for kind in options.kinds.split(","):
        jobs = {f"{i:04d}": (kind, i) for i in range(options.fits)}

        def done(key: str, record: dict[str, Any], kind: str = kind) -> None:
            print(kind, key, record.get("error", ""), flush=True)

        path = options.out / f"{kind}.jsonl"
        kinds[kind] = run_or_read(options, one_fit, jobs, SETTINGS, path=path, done=done)
    report(kinds, options.figures, options.page)
    if options.nuts:
        beside_nuts(options, kinds)


if __name__ == "__main__":
    main()
