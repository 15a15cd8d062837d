"""Wall time and peak memory of the main job on the bundled data: cold, warm, and with only the plan changed.

    python benchmarks/demo_cost.py [--study STUDY]

cold: no compiled kernels in the cache, as on a new machine after installation. warm: a second fit. re-plan: the same
study with another plan and the saved fit. Each in a process of its own; seconds by step from summary.json.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from command import parser_of

BUNDLED = Path(__file__).parents[1] / "forecast" / "bundled"


def cost(arguments: list[str], cache: Path) -> dict[str, float]:
    """Wall, user and system seconds and peak MB of one command in its own process."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(BUNDLED.parents[1])}
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", _MEASURE, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "wall s": time.perf_counter() - started,
        "user s": after.ru_utime - before.ru_utime,
        "system s": after.ru_stime - before.ru_stime,
        "peak MB": found["peak"] / 1024,
        "pymc loaded": found["pymc"],
        **{f"{step} s": seconds for step, seconds in found["seconds"].items()},
    }


_MEASURE = """
import json, resource, sys
from pathlib import Path
from forecast.workflow import run
study, out, *overrides = sys.argv[1:]
result = run(Path(study), out=Path(out), overrides=overrides)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": result.summary["seconds"], "peak": peak, "pymc": "pymc" in sys.modules}))
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--study", type=Path, default=BUNDLED / "demo.toml", help="its counts: NAME.csv")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy = folder / given.study.name
        for file in (given.study, given.study.with_suffix(".csv")):
            shutil.copyfile(file, folder / file.name)
        study, out, cache = str(copy), str(folder / "out"), folder / "cache"
        rows = {"cold": cost([study, out], cache)}
        copy.with_suffix(".nc").unlink()
        rows["warm"] = cost([study, out], cache)
        rows["re-plan"] = cost([study, out, "plan.periods=4"], cache)
    pd.set_option("display.width", 200)
    print(pd.DataFrame(rows).round(2).to_string())


if __name__ == "__main__":
    main()
