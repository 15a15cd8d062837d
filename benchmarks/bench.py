"""What the product costs, as ratios that hold on any machine, in one table: `make bench`, `make bench-check`.

    python benchmarks/bench.py [--times 5]             # print the table
    python benchmarks/bench.py --check                 # and compare it with benchmarks/table.csv: what slowed
    python benchmarks/bench.py --write                 # and keep it there

Commands and the split of a budget are in units of one fixed numpy job (benchmarks/unit.py), reading of leads beside
plain DuckDB and pandas, which count and check nothing (benchmarks/reading.py), the fit of the demo beside
PyMC-Marketing's (benchmarks/fit_cost.py) where PEER_PYTHON names an interpreter that has it. Each is timed --times
times, in turn with what it is told in: a ratio is the median over turns, `spread` twice the median distance of the
turns from it, as a share of it. A row has slowed when its ratio is above the kept one by more than both spreads, and by
a tenth at least. Exit code 1 where one has. It takes four minutes, or ten beside other work; the peer three more.
"""

from __future__ import annotations

import csv
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
SPLITS = ("7 channels", "50 channels x 12 periods")
PEER_FITS = 2  # the first compiles


class Row(NamedTuple):
    """A ratio, how far its turns lie apart, and what it is a ratio to."""

    what: str
    ratio: float
    spread: float
    to: str


def row_of(what: str, ratios: Sequence[float], to: str) -> Row:
    """The median of the turns, and their spread."""
    middle = statistics.median(ratios)
    return Row(what, middle, 2 * statistics.median(abs(each - middle) for each in ratios) / middle, to)


def commands(times: int) -> Iterator[Row]:
    """An unchanged study to all outputs, and the commands that answer at once; CPU."""
    units, seconds = turns([HERE], list(COMMANDS), times)
    for name in COMMANDS:
        ratios = [mine / unit for mine, unit in zip(seconds[0, name], units, strict=True)]
        yield row_of(f"forecast: {name}", ratios, "unit of bare numpy")


def splits(times: int) -> Iterator[Row]:
    """From curves to the split of a budget, in thousandths of the unit; both in this process."""
    made = problems()
    for name in SPLITS:
        solve(made[name])
        ratios = []
        for _ in range(times):
            unit, mine = _seconds(lambda: exec(UNIT, {})), _seconds(lambda name=name: solve(made[name]))  # type: ignore[misc]  # noqa: S102
            ratios.append(1000 * mine / unit)
        yield row_of(f"split: {name}", ratios, "1/1000 unit of bare numpy")


def _seconds(job: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    job()
    return time.process_time() - start


def leads(times: int, many: int) -> Iterator[Row]:
    """Reading a file of leads, every rule checked, beside readers that count; wall seconds and memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        duckdb.connect().execute(MADE.format(n=many, path=folder / "leads.csv"))
        taken = [
            {reader: read_by(code, folder, ROOT) for reader, code in READERS.items()} for _ in range(times)
        ]
    for peer in ("DuckDB", "pandas"):
        ratios = [turn["ours"][0] / turn[peer][0] for turn in taken]
        yield row_of(f"reading {many:,} leads: time", ratios, peer)
    yield row_of(
        f"reading {many:,} leads: memory", [turn["ours"][1] / turn["DuckDB"][1] for turn in taken], "DuckDB"
    )


def fits(times: int, peer: str) -> Iterator[Row]:
    """A fit of the demo in units, and beside PyMC-Marketing's of the same company; CPU."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study, ratios, mine = study_of("demo", folder), [], []
        for _ in range(times):
            unit = cpu(["-c", UNIT], folder, HERE)
            command = [sys.executable, "-c", FIT.format(options="sampler='auto'"), str(study)]
            mine.append(cpu_with_caches(command, folder)[0])
            ratios.append(mine[-1] / unit)
        yield row_of("fit of the demo", ratios, "unit of bare numpy")
        if peer:
            spend_and_revenue(study, folder / "peer.csv")
            command = [peer, "-c", PEER, str(folder / "peer.csv")]
            theirs = min(cpu_with_caches(command, folder, "none")[0] for _ in range(PEER_FITS))
            yield row_of("fit of the demo", [seconds / theirs for seconds in mine], "PyMC-Marketing, warm")


def kept(path: Path) -> dict[tuple[str, str], Row]:
    """The rows of a table that was written."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [Row(r["what"], float(r["ratio"]), float(r["spread"]), r["to"]) for r in csv.DictReader(file)]
    return {(row.what, row.to): row for row in rows}


def slowed(now: Row, then: Row) -> bool:
    """Whether a row is above what was kept by more than its turns lie apart."""
    return now.ratio > then.ratio * (1.0 + max(LEAST, now.spread + then.spread))


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each measurement; exit code 1 where one has slowed."""
    parser = parser_of(__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--leads", type=int, default=500_000)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args(argv)
    before = kept(options.table) if options.check else {}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; numpy {np.__version__}")
    print(f"{'what':<32}{'ratio':>8}{'spread':>8}{'kept':>8}  to")
    rows: list[Row] = []
    for made in (
        leads(
            options.times, options.leads
        ),  # first: a process starts with the peak of the one that starts it
        commands(options.times),
        splits(options.times),
        fits(options.times, os.environ.get("PEER_PYTHON", "")),
    ):
        for row in made:
            rows.append(row)
            then = before.get((row.what, row.to))
            old = f"{then.ratio:.2f}" if then else ""
            print(f"{row.what:<32}{row.ratio:>8.2f}{row.spread:>8.0%}{old:>8}  {row.to}", flush=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    if options.write:
        with options.table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Row._fields)
            writer.writerows((row.what, f"{row.ratio:.3f}", f"{row.spread:.2f}", row.to) for row in rows)
    worse = [(row, then) for row in rows if (then := before.get((row.what, row.to))) and slowed(row, then)]
    for row, then in worse:
        print(f"slowed: {row.what}, {row.ratio:.2f} of {row.to} ({then.ratio:.2f} kept)")
    if options.check and not worse:
        print("nothing has slowed")
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()
