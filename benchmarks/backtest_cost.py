"""What a backtest costs: wall time of 12 origins over that of one cold fit, and memory over the origins.

    python benchmarks/backtest_cost.py [--study STUDY] [--origins 12]

Each command runs in a new process, as a user runs it: `forecast fit`, `forecast backtest`, `forecast fit` again, so
that a machine which grows busier between them shows. Memory is the resident set of the command with its workers.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def run(folder: Path, *args: str) -> tuple[float, float, list[tuple[int, int]]]:
    """Seconds of `forecast ARGS`, of all its processors too, and (origins finished, memory) every half second."""
    started, seen = time.perf_counter(), []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [sys.executable, "-m", "forecast", *args, "--quiet"],
        cwd=folder,
        env={
            "PYTHONPATH": str(ROOT),
            "PATH": "/usr/bin:/bin",
            "HOME": str(Path.home()),
            "OMP_NUM_THREADS": "1",
        },
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


def main() -> None:
    """Print seconds, ratio and memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", type=Path, default=ROOT / "forecast" / "bundled" / "demo.toml")
    parser.add_argument("--origins", type=int, default=12)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in given.study.parent.glob(f"{given.study.stem}*"):
            if path.suffix in (".toml", ".csv"):
                shutil.copyfile(path, folder / path.name)
        study = given.study.name
        first, first_busy, _ = run(folder, "fit", study, "--go-on")
        (folder / study).with_suffix(".nc").unlink()
        options = ["--origins", str(given.origins), "--every", "1", "--out", "out"]
        backtest, busy, seen = run(folder, "backtest", study, *options)
        again, again_busy, _ = run(folder, "fit", study, "--go-on")
    print(f"one cold fit: {first:.1f} s before, {again:.1f} s after")
    print(
        f"{given.origins} origins: {backtest:.1f} s, {backtest / ((first + again) / 2):.2f} times a cold fit"
    )
    fits = (first_busy + again_busy) / 2
    print(f"processor time: {fits:.1f} s a fit, {busy:.1f} s the backtest, {busy / fits:.2f} times")
    for done in sorted({lines for lines, _ in seen if lines > 0}):
        most = max(memory for lines, memory in seen if lines == done)
        print(f"  {done:3d} origins done: {most / 2**20:,.0f} MB")


if __name__ == "__main__":
    main()
