"""What the product costs, as ratios that hold on any machine, in one table: `make bench`, `make bench-check`.

    python benchmarks/bench.py [--times 5]             # print the table
    python benchmarks/bench.py --check                 # and compare it with benchmarks/table.csv: what slowed
    python benchmarks/bench.py --write                 # and keep it there
    python benchmarks/bench.py --only splits           # a part: leads, commands, splits, fits

Commands and the split of a budget are in units of one fixed numpy job (benchmarks/unit.py), reading of leads beside
plain DuckDB and pandas, which count and check nothing (benchmarks/reading.py), the fit of the demo beside
PyMC-Marketing's (benchmarks/fit_cost.py) where PEER_PYTHON names an interpreter that has it. All times are CPU seconds:
what else the machine does lengthens them too, but by tenths, not by times. Each is timed --times times
(what takes a second, twice as often), in turn with what it is told in: a ratio is the median over turns, `spread` about
two standard errors of it, as a share of it. A row has slowed when its ratio is above the kept one by more than both
spreads, and by a tenth at least; --check measures a part with such a row once more, and counts the lesser of both, so
that work that came in between is no alarm. Exit code 1 where a row has slowed.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
from allocate_speed import problems
from command import parser_of
from fit_cost import OURS as FIT
from fit_cost import PEER, spend_and_revenue, study_of
from fit_cost import cpu as cpu_with_caches
from reading import MADE, READERS, ROOT
from reading import run as read_by
from unit import COMMANDS, HERE, UNIT, cpu, turns

from forecast.budget import solve

TABLE = Path(__file__).with_name("table.csv")
LEAST = 0.10  # of the kept ratio: what is never called slower
SPLITS = {
    "7 channels": 100,
    "50 channels x 12 periods": 5,
}  # solved so often in a turn, for it takes 1 ms or 80
OFTEN = 2  # times as many turns of what takes a second


class Row(NamedTuple):
    """A ratio, how far its turns lie apart, and what it is a ratio to."""

    what: str
    ratio: float
    spread: float
    to: str


def row_of(what: str, ratios: Sequence[float], to: str) -> Row:
    """The median of the turns, and two standard errors of it (1.25 x 1.48 median distances, over the root of turns)."""
    middle = statistics.median(ratios)
    apart = statistics.median(abs(each - middle) for each in ratios)
    return Row(what, middle, 2 * 1.86 * apart / math.sqrt(len(ratios)) / middle, to)


def commands(options: argparse.Namespace) -> Iterator[Row]:
    """An unchanged study to all outputs, and the commands that answer at once."""
    units, seconds = turns([HERE], list(COMMANDS), options.times)
    for name in COMMANDS:
        ratios = [mine / unit for mine, unit in zip(seconds[0, name], units, strict=True)]
        yield row_of(f"forecast: {name}", ratios, "unit of bare numpy")


def splits(options: argparse.Namespace) -> Iterator[Row]:
    """From curves to the split of a budget, in thousandths of the unit; both in this process."""
    made = problems()
    for name, often in SPLITS.items():

        def solved(name: str = name, often: int = often) -> None:
            for _ in range(often):
                solve(made[name])

        solve(made[name])
        ratios = []
        for _ in range(OFTEN * options.times):
            unit, mine = _seconds(lambda: exec(UNIT, {})), _seconds(solved)  # noqa: S102
            ratios.append(1000 * mine / often / unit)
        yield row_of(f"split: {name}", ratios, "1/1000 unit of bare numpy")


def _seconds(job: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    job()
    return time.process_time() - start


def leads(options: argparse.Namespace) -> Iterator[Row]:
    """Reading a file of leads, every rule checked, beside readers that count; CPU and memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        duckdb.connect().execute(MADE.format(n=options.leads, path=folder / "leads.csv"))
        taken = [
            {reader: read_by(code, folder, ROOT) for reader, code in READERS.items()}
            for _ in range(OFTEN * options.times)
        ]
    what = f"reading {options.leads:,} leads"
    for peer in ("DuckDB", "pandas"):
        yield row_of(f"{what}: CPU", [turn["ours"][2] / turn[peer][2] for turn in taken], peer)
    yield row_of(f"{what}: memory", [turn["ours"][1] / turn["DuckDB"][1] for turn in taken], "DuckDB")


def fits(options: argparse.Namespace) -> Iterator[Row]:
    """A fit of the demo in units, and beside PyMC-Marketing's of the same company, in turn."""
    peer = os.environ.get("PEER_PYTHON", "")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = study_of("demo", folder)
        ours = [sys.executable, "-c", FIT.format(options="sampler='auto'"), str(study)]
        theirs = [peer, "-c", PEER, str(folder / "peer.csv")]
        if peer:
            spend_and_revenue(study, folder / "peer.csv")
            cpu_with_caches(theirs, folder, "none")  # compiles
        units, mine, others = [], [], []
        for _ in range(options.times):
            units.append(cpu(["-c", UNIT], folder, HERE))
            mine.append(cpu_with_caches(ours, folder)[0])
            if peer:
                others.append(cpu_with_caches(theirs, folder, "none")[0])
    yield row_of("fit of the demo", [a / b for a, b in zip(mine, units, strict=True)], "unit of bare numpy")
    if peer:
        yield row_of(
            "fit of the demo", [a / b for a, b in zip(mine, others, strict=True)], "PyMC-Marketing, warm"
        )


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "leads": leads,  # first: a process starts with the peak of the one that starts it
    "commands": commands,
    "splits": splits,
    "fits": fits,
}


def kept(path: Path) -> dict[tuple[str, str], Row]:
    """The rows of a table that was written."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [Row(r["what"], float(r["ratio"]), float(r["spread"]), r["to"]) for r in csv.DictReader(file)]
    return {(row.what, row.to): row for row in rows}


def write(path: Path, rows: Sequence[Row]) -> None:
    """Keep rows as a table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows((row.what, f"{row.ratio:.3f}", f"{row.spread:.2f}", row.to) for row in rows)


def slowed(now: Row, then: Row | None) -> bool:
    """Whether a row is above what was kept by more than either is known to."""
    return then is not None and now.ratio > then.ratio * (1.0 + max(LEAST, now.spread + then.spread))


def measured(
    part: str, options: argparse.Namespace, before: dict[tuple[str, str], Row], note: str = ""
) -> Iterator[Row]:
    """The rows of a part, each printed as it comes."""
    for row in PARTS[part](options):
        then = before.get((row.what, row.to))
        old = f"{then.ratio:.2f}" if then else ""
        print(f"{row.what:<32}{row.ratio:>8.2f}{row.spread:>8.0%}{old:>8}  {row.to}{note}", flush=True)
        yield row


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each measurement; exit code 1 where one has slowed."""
    parser = parser_of(__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--leads", type=int, default=500_000)
    parser.add_argument("--only", choices=list(PARTS), action="append")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args(argv)
    if options.write and options.only:
        parser.error("--write keeps a whole table: leave out --only")
    if options.check and not options.table.is_file():
        parser.error(f"--check compares with {options.table}, which is not there: make it with --write")
    before = kept(options.table) if options.check else {}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; numpy {np.__version__}")
    print(f"{'what':<32}{'ratio':>8}{'spread':>8}{'kept':>8}  to")
    rows: dict[tuple[str, str], Row] = {}
    for part in options.only or PARTS:
        found = {(row.what, row.to): row for row in measured(part, options, before)}
        if any(slowed(row, before.get(key)) for key, row in found.items()):
            again = {(row.what, row.to): row for row in measured(part, options, before, ", once more")}
            found = {key: min(row, again[key], key=lambda each: each.ratio) for key, row in found.items()}
        rows |= found
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    if options.write:
        write(options.table, list(rows.values()))
    absent = [f"{what} ({to})" for what, to in before if (what, to) not in rows]
    if absent and not options.only:
        print(f"not measured: {', '.join(absent)}")
    worse = [key for key, row in rows.items() if slowed(row, before.get(key))]
    for key in worse:
        print(f"slowed: {key[0]}, {rows[key].ratio:.2f} of {key[1]} ({before[key].ratio:.2f} kept)")
    if options.check and not worse:
        print("nothing has slowed")
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()
