"""How costs grow: CPU seconds and memory against channels, periods, leads and studies, with the exponent of each.

    python benchmarks/scaling.py --out FILE.jsonl [--what channels;periods;leads;studies] [--sizes 3,7,20]
                                 [--times 1] [--figures FOLDER]
    python benchmarks/scaling.py --out FILE.jsonl --report [--figures FOLDER]

    channels   a preview of 36 months with all outputs (companies of benchmarks/large_fit.py)
    periods    the same of seven channels by the week
    leads      reading and checking a CSV of made leads (benchmarks/reading.py)
    studies    previews of small companies in one command, with CSV files (benchmarks/portfolio.py)

Each size is a process of its own: user and system seconds, peak memory, and the load of the machine then. The exponent
is the slope of log seconds over log size by least squares, over all sizes with its standard error, and between the last
two: a command costs some seconds whatever its size, so that the first is too low for what comes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import resumable_parser, run_or_read, without_errors
from large_fit import write_study
from portfolio import write_companies
from reading import CLOCK, DONE, MADE, PEAK, READERS

ROOT = Path(__file__).parents[1]
SIZES = {
    "channels": (3, 7, 20, 60, 200),
    "periods": (24, 52, 104, 260),
    "leads": (10_000, 100_000, 1_000_000, 10_000_000),
    "studies": (1, 3, 10, 30, 100),
}
MONTHS, CHANNELS, SMALL = 36, 7, 3
PREVIEW = ("-m", "forecast", "run", "--preview", "--quiet", "--out", "out")


def arguments(what: str, size: int, folder: Path) -> list[str]:
    """The files of a job in `folder`, and how Python is called on them."""
    if what == "channels":
        write_study(folder, size, MONTHS, 1, "month")
        return [*PREVIEW, "large.toml"]
    if what == "periods":
        write_study(folder, CHANNELS, size, 1, "week")
        return [*PREVIEW, "large.toml"]
    if what == "studies":
        return [*PREVIEW, "--outputs", "csv", *write_companies(folder, size, SMALL)]
    import duckdb

    duckdb.connect().execute(MADE.format(n=size, path=folder / "leads.csv"))
    return ["-c", READERS["ours"].format(folder=str(folder), clock=CLOCK, done=DONE, peak=PEAK)]


def measured(job: tuple[str, int]) -> dict[str, Any]:
    """CPU seconds and peak memory of one size."""
    what, size = job
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, *arguments(what, size, folder)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (folder / "said").open("wb") as said:
            child = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
            _, status, used = os.wait4(child.pid, 0)  # of this child and what it started, and of no other
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in (0, 4):
            raise RuntimeError((folder / "said").read_text(encoding="utf-8")[-2000:])
    return {
        "what": what,
        "size": size,
        "CPU s": used.ru_utime + used.ru_stime,
        "peak MB": used.ru_maxrss / (1024 if sys.platform == "linux" else 2**20),
        "load": os.getloadavg()[0],
    }


def exponent(size: Sequence[float], seconds: Sequence[float]) -> tuple[float, float, float]:
    """Slope of log seconds over log size, its standard error (nan below three sizes), and the slope at the end."""
    x, y = np.log(np.asarray(size, dtype=float)), np.log(np.asarray(seconds, dtype=float))
    apart = x - x.mean()
    slope = float(apart @ y / (apart @ apart))
    left = y - y.mean() - slope * apart
    error = float(np.sqrt(left @ left / (len(x) - 2) / (apart @ apart))) if len(x) > 2 else float("nan")
    return slope, error, float((y[-1] - y[-2]) / (x[-1] - x[-2]))


def draw(frame: pd.DataFrame, path: Path) -> None:
    """A panel for each: seconds over size on logarithmic scales, and the line of the exponent."""
    import matplotlib.pyplot as plt

    kinds = list(dict.fromkeys(frame["what"]))
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(2.4 * len(kinds), 2.3), squeeze=False, layout="constrained"
    )
    for ax, kind in zip(axes[0], kinds, strict=True):
        mine = frame[frame["what"] == kind]
        x, y = mine["size"].to_numpy(float), mine["CPU s"].to_numpy(float)
        ax.loglog(x, y, "o", markersize=4)
        if len(x) > 1:
            slope, _, _ = exponent(x, y)
            ax.loglog(x, np.exp(np.log(y).mean() + slope * (np.log(x) - np.log(x).mean())), linewidth=0.8)
            ax.set_title(f"slope {slope:.2f}", fontsize=8)
        ax.set_xlabel(kind, fontsize=8)
        ax.set_xticks(
            x, [f"{size:,.0f}" for size in x]
        )  # the sizes alone: labels of powers run into each other
        ax.set_xticks([], minor=True)
        ax.tick_params(labelsize=7, which="both")
    axes[0, 0].set_ylabel("CPU seconds", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def report(records: Sequence[dict[str, Any]], figures: Path | None) -> None:
    """Print medians by size, and the exponents."""
    frame = pd.DataFrame(records).groupby(["what", "size"], sort=False, as_index=False).median()
    frame = frame.sort_values("size", kind="stable")
    frame = pd.concat([frame[frame["what"] == what] for what in SIZES], ignore_index=True)
    print(frame.round({"CPU s": 2, "peak MB": 0, "load": 1}).to_string(index=False))
    rows = []
    for what, mine in frame.groupby("what", sort=False):
        if len(mine) > 1:
            slope, error, last = exponent(mine["size"].tolist(), mine["CPU s"].tolist())
            memory, *_ = exponent(mine["size"].tolist(), mine["peak MB"].tolist())
            told = {"exponent": slope, "s.e.": error, "of the last two": last, "of memory": memory}
            rows.append({"seconds against": what} | told)
    if rows:
        print()
        print(pd.DataFrame(rows).round(2).to_string(index=False))
    if figures is not None:
        draw(frame, figures / "scaling.png")


def main(given: Iterable[str] | None = None) -> int:
    """Run the command line."""
    parser = resumable_parser(__doc__, units="times", many=1)
    parser.set_defaults(workers=1)
    parser.add_argument("--what", default=";".join(SIZES), help="some of these, with semicolons between")
    parser.add_argument("--sizes", help="in place of the usual ones, with commas between")
    parser.add_argument("--figures", type=Path, help="a folder for scaling.png")
    options = parser.parse_args(None if given is None else list(given))
    asked = options.what.split(";")
    if unknown := [what for what in asked if what not in SIZES]:
        parser.error(f"--what: expected some of {', '.join(SIZES)}; got {unknown[0]}")
    jobs = {
        f"{what} {size} {turn}": (what, size)
        for turn in range(options.times)
        for what in asked
        for size in ([int(each) for each in options.sizes.split(",")] if options.sizes else SIZES[what])
    }

    def told(_: str, record: dict[str, Any]) -> None:
        sys.stderr.write(
            f"{record.get('what', '')} {record.get('size', '')}: {record.get('CPU s', record)}\n"
        )

    records = without_errors(run_or_read(options, measured, jobs, {}, done=told))
    report(records, options.figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
