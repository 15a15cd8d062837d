"""What a backtest costs: wall time of 12 origins over that of one cold fit, and memory over the origins.

    python benchmarks/backtest_cost.py [--study STUDY] [--origins 12] [--kind cold warm] [--baseline NAME ...]

Each command runs in a new process, as a user runs it: `forecast fit`, `forecast backtest`, `forecast fit` again, so
that a machine which grows busier between them shows. cold: each with an empty cache of compiled kernels, as on a new
machine; warm: with a full one. Memory is the resident set of the command with its workers.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from command import parser_of

ROOT = Path(__file__).parents[1]


def tree(process: int) -> int:
    """Resident memory of a process and its descendants, in bytes; Linux only, 0 elsewhere."""
    total, waiting = 0, [process]
    while waiting:
        place = Path("/proc") / str(waiting.pop())
        try:
            total += int((place / "statm").read_text().split()[1]) * 4096
            for task in (place / "task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, ValueError):
            continue
    return total


def run(folder: Path, cache: Path, *args: str) -> tuple[float, float, list[tuple[int, int]]]:
    """Seconds of `forecast ARGS`, of all its processors too, and (origins finished, memory) every half second."""
    started, seen = time.perf_counter(), []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [sys.executable, "-m", "forecast", *args, "--quiet"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(cache)},
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None:
        lines = sum(len(p.read_bytes().splitlines()) - 1 for p in folder.glob("out/origins-*.jsonl"))
        seen.append((lines, tree(process.pid)))
        time.sleep(0.5)
    if process.returncode:
        sys.exit(f"forecast {' '.join(args)}: exit code {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, busy, seen


def main(argv: Sequence[str] | None = None) -> None:
    """Print seconds, ratio and memory."""
    parser = parser_of(__doc__)
    parser.add_argument("--study", type=Path, default=ROOT / "forecast" / "bundled" / "demo.toml")
    parser.add_argument("--origins", type=int, default=12)
    parser.add_argument("--kind", nargs="*", choices=["cold", "warm"], default=["cold", "warm"])
    parser.add_argument("--baseline", nargs="*", default=[], help="these only; default: all")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in given.study.parent.glob(f"{given.study.stem}*"):
            if path.suffix in (".toml", ".csv"):
                shutil.copyfile(path, folder / path.name)
        for kind in given.kind:
            measure(folder, given, kind)


def measure(folder: Path, given: argparse.Namespace, kind: str) -> None:
    """Three commands, each with a cache of its own (cold) or with one that is full (warm)."""
    study, cache = given.study.name, folder / "cache"
    fit = ["fit", study, "--go-on"]
    options = ["--origins", str(given.origins), "--every", "1", "--out", "out"]
    if kind == "warm":
        run(folder, cache, *fit)
    options += [text for name in given.baseline for text in ("--baseline", name)]
    found = []
    for command in (fit, ["backtest", study, *options], fit):
        if kind == "cold":
            shutil.rmtree(cache, ignore_errors=True)
        (folder / study).with_suffix(".nc").unlink(missing_ok=True)
        shutil.rmtree(folder / "out", ignore_errors=True)
        found.append(run(folder, cache, *command))
    (first, busy_first, _), (backtest, busy, seen), (again, busy_again, _) = found
    fits, busy_fits = (first + again) / 2, (busy_first + busy_again) / 2
    print(f"{kind}: one fit {first:.1f} s before, {again:.1f} s after")
    print(f"  {given.origins} origins: {backtest:.1f} s, {backtest / fits:.2f} times a fit")
    print(
        f"  processor time: {busy_fits:.1f} s a fit, {busy:.1f} s the backtest, {busy / busy_fits:.2f} times"
    )
    for done in sorted({lines for lines, _ in seen if lines > 0}):
        most = max(memory for lines, memory in seen if lines == done)
        print(f"    {done:3d} origins done: {most / 2**20:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
