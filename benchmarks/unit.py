"""Commands in units of one fixed job: `python benchmarks/unit.py [--times 5] [--with OTHER]`.

The unit is a fixed numpy job (17 million binomial draws, about one CPU second on a laptop), timed in turn with every
command, so that what else the machine does weighs on both. Told are medians of CPU seconds over the median unit, of
this checkout and of others: an unchanged study to all outputs, `allocate`, `check`, `init`, each in its own process.
"""

from __future__ import annotations

import compileall
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from command import parser_of

HERE = Path(__file__).parents[1]
UNIT = "import numpy as np; np.random.default_rng(1).binomial(40, 0.3, 17_000_000)"
COMMANDS = {
    "re-plan": ["run", "demo.toml", "--out", "out", "-q"],
    "allocate": ["allocate", "demo.toml", "--total", "120000", "-q"],
    "check": ["check", "demo.toml"],
    "init": ["init", "planning"],
}


def cpu(arguments: Sequence[str], folder: Path, checkout: Path) -> float:
    """User and system seconds of one process in `folder`, with the package of a checkout."""
    kept = {k: v for k, v in os.environ.items() if k not in {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}}
    environment = kept | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def prepared(folder: Path, checkout: Path) -> Path:
    """The demo's study with its fit, and one whole run, in a folder of its own."""
    folder.mkdir()
    for file in (checkout / "forecast" / "bundled").glob("demo*"):
        shutil.copyfile(file, folder / file.name)
    compileall.compile_dir(checkout / "forecast", quiet=1)
    cpu(["-m", "forecast", *COMMANDS["re-plan"]], folder, checkout)
    return folder


def turns(
    checkouts: Sequence[Path], names: Sequence[str], times: int
) -> tuple[list[float], dict[tuple[int, str], list[float]]]:
    """CPU seconds of the unit, turn by turn, and of each command of each checkout in the same turns."""
    seconds: dict[tuple[int, str], list[float]] = {}
    units: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        places = [prepared(Path(name) / str(i), each) for i, each in enumerate(checkouts)]
        for _ in range(times):
            units.append(cpu(["-c", UNIT], Path(name), HERE))
            for command in names:
                for i, (place, each) in enumerate(zip(places, checkouts, strict=True)):
                    shutil.rmtree(place / "planning", ignore_errors=True)
                    took = cpu(["-m", "forecast", *COMMANDS[command]], place, each)
                    seconds.setdefault((i, command), []).append(took)
    return units, seconds


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each command."""
    parser = parser_of(__doc__)
    parser.add_argument("--with", dest="others", type=Path, action="append", default=[], metavar="OTHER")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--only", choices=list(COMMANDS), action="append")
    options = parser.parse_args(argv)
    checkouts = [*(path.resolve() for path in options.others), HERE]
    names = options.only or list(COMMANDS)
    units, seconds = turns(checkouts, names, options.times)
    unit = statistics.median(units)
    print(f"load {os.getloadavg()[0]:.1f}, unit {unit:.2f} CPU s, {options.times} turns; in units (CPU s)")
    columns = [*(f"other {i + 1}" for i in range(len(options.others))), "here"]
    print("  ".join([f"{'command':<10}", *(f"{column:>15}" for column in columns)]))
    for command in names:
        medians = [statistics.median(seconds[i, command]) for i in range(len(checkouts))]
        cells = [f"{median / unit:>6.2f} ({median:>6.2f})" for median in medians]
        print("  ".join([f"{command:<10}", *cells]))


if __name__ == "__main__":
    main()
