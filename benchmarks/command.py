"""The frame of the benchmarks' commands: their options, and runs that keep every row and go on where they stopped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from forecast.jobs import Job, Record, finished, pool, run_jobs


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """A parser whose `--help` shows the docstring of a benchmark as it stands."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def resumable_parser(description: str | None, *, units: str = "worlds", many: int) -> argparse.ArgumentParser:
    """The same for a run that keeps its rows: --out, --worlds (or other `units`), --workers and --report."""
    made = parser_of(description)
    made.add_argument("--out", type=Path, required=True, help="where finished rows are kept")
    made.add_argument(f"--{units}", type=int, default=many)
    made.add_argument("--workers", type=int, default=2)
    made.add_argument("--report", action="store_true", help="only print what is there")
    return made


def run_or_read(
    options: argparse.Namespace,
    job: Job,
    jobs: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    path: Path | None = None,
    done: Callable[[str, Record], None] | None = None,
) -> dict[str, Record]:
    """The records of `jobs` by key, run where `path` (default: --out) does not hold them; all it holds for --report."""
    path = path or options.out
    if options.report:
        return finished(path, settings)
    with pool(options.workers) as executor:
        return run_jobs(job, jobs, executor=executor, results=path, settings=settings, done=done)


def without_errors(records: Mapping[str, Record]) -> list[Record]:
    """The records of jobs that did not raise; without any, the command ends here: there is nothing to tell."""
    found = [record for record in records.values() if "error" not in record]
    if not found:
        errors = dict.fromkeys(str(record["error"]) for record in records.values())
        sys.exit("no row to report: " + ("; ".join(errors) or "none is kept"))
    return found
