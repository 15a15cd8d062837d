"""CPU of commands that should answer at once, beside another checkout: `python benchmarks/start.py OTHER [--times 11]`.

Both run by turns with this interpreter, their bytecode made before; the medians of user and system time are told.
"""

from __future__ import annotations

import compileall
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from command import parser_of

HERE = Path(__file__).parents[1]
COMMANDS = (["--help"], ["check", "forecast/bundled/demo.toml"])


def cpu(folder: Path, command: Sequence[str]) -> float:
    """Seconds of user and system time of one start in a checkout."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "forecast", *command], cwd=folder, env=kept, check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each command."""
    parser = parser_of(__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--times", type=int, default=11)
    options = parser.parse_args(argv)
    both = (options.other, HERE)
    for folder in both:
        compileall.compile_dir(folder / "forecast", quiet=1)
    print("| command | other, ms | here, ms | ratio |\n|---|---|---|---|")
    for command in COMMANDS:
        seconds: dict[Path, list[float]] = {folder: [] for folder in both}
        for folder in both * options.times:
            seconds[folder].append(cpu(folder, command))
        other, here = (1000 * statistics.median(seconds[folder]) for folder in both)
        print(f"| forecast {' '.join(command)} | {other:.0f} | {here:.0f} | {here / other:.2f} |")


if __name__ == "__main__":
    main()
