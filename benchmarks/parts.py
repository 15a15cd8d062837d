"""Where an unchanged study's CPU seconds go, part by part: `python benchmarks/parts.py [--times 3]`.

The demo's study with its saved fit, to all outputs, each time in a process of its own whose stack is looked at every
two milliseconds of CPU. A look counts for the first part of `PARTS` that any function of the stack belongs to.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

HERE = Path(__file__).parents[1]
EVERY = 0.002
PARTS = {  # by functions of the stack, the first that fits
    "imports": {"_find_and_load"},
    "reading the saved fit": {"load_posterior"},
    "curves and split": {"Forecast.allocate"},
    "simulated draws": {"Forecast.simulate"},
    "levers, goals, scenarios": {"Forecast.levers"},
    "how firm the budget is": {"firmness"},
    "comparison with the past": {"Forecast.comparison"},
    "tables of the forecast": {"forecast_table"},
    "what-if page": {"_whatif", "ingredients_of"},
    "draws.nc": {"write_draws"},
    "workbook": {"_workbook"},
    "typst": {"_compile"},
    "pages and figures": {"spoken_document"},
    "CSV": {"write_csv"},
}
REST = "the rest"
INSIDE = "inside"
RUN = ["run", "demo.toml", "--out", "out", "-q"]


def part_of(frame: FrameType | None) -> str:
    """The part that a stack belongs to."""
    names = set()
    while frame is not None:
        names.add(frame.f_code.co_qualname)
        frame = frame.f_back
    return next((part for part, functions in PARTS.items() if functions & names), REST)


def looked_at() -> dict[str, float]:
    """CPU seconds of a run in the current folder, by part."""
    sys.argv = ["forecast", *RUN]
    seconds = defaultdict[str, float](float)
    last = time.process_time()

    def look(_: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.process_time()
        seconds[part_of(frame)] += now - last
        last = now

    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
    from forecast.__main__ import main

    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
        main()
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    return seconds


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each part; in a process of its own (`INSIDE`) the seconds of one run as JSON."""
    if argv is None and sys.argv[1:] == [INSIDE]:
        print(json.dumps(looked_at()))
        return
    from command import (
        parser_of,  # not in the process that is looked at: what it imports would be missing there
    )

    parser = parser_of(__doc__)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args(argv)
    total: Counter[str] = Counter()
    environment = os.environ | {"PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        for file in (HERE / "forecast" / "bundled").glob("demo*"):
            shutil.copyfile(file, Path(folder) / file.name)
        subprocess.run(
            [sys.executable, "-m", "forecast", *RUN],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
        )
        for _ in range(options.times):
            command = [sys.executable, str(Path(__file__).resolve()), INSIDE]
            made = subprocess.run(
                command, cwd=folder, env=environment, check=True, capture_output=True, text=True
            )
            total.update(json.loads(made.stdout.splitlines()[-1]))
    whole = sum(total.values())
    print(f"load {os.getloadavg()[0]:.1f}, {whole / options.times:.2f} CPU s a run, {options.times} runs")
    for part, seconds in total.most_common():
        print(f"{part:<26}{seconds / options.times:>7.2f} s{100 * seconds / whole:>7.1f} %")


if __name__ == "__main__":
    main()
