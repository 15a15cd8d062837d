"""What reading a file of leads costs, beside plain DuckDB and pandas that only count, in one run.

A CSV of --leads made leads (id, channel, three dates, date of loss, amount; about 60 bytes a row) is read by each in a
process of its own, in turn, --times times; told are the median of the seconds, the ratio to DuckDB in the same turn,
and the peak memory of the process. `ours` checks every rule and every id; DuckDB and pandas only group by channel and
months. With --with FOLDER a second checkout of this package is read beside (`before`): what a change costs. With
--postgres the same leads are read from a PostgreSQL server of its own too (tests/postgres_fixture.py), as a study does
that says no more, by `periods` alone, and with `days` and single amounts, and the bytes are told that its answers had.

    python benchmarks/reading.py                       # 2 million leads
    python benchmarks/reading.py --leads 10000000 --times 3
    python benchmarks/reading.py --leads 10000000 --times 1 --postgres --skip pandas
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from command import parser_of

ROOT = Path(__file__).parents[1]
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
CLOCK = "import time; start = time.perf_counter()"
DONE = "print(time.perf_counter() - start)"

MADE = """
COPY (
    SELECT 'L' || i AS lead_id, 'channel ' || (i * 7 % 12) AS channel, created,
        CASE WHEN i % 3 = 0 THEN created + CAST(i % 17 AS INTEGER) END AS qualified,
        CASE WHEN i % 12 = 0 THEN created + CAST(i % 17 + i % 41 AS INTEGER) END AS won,
        CASE WHEN i % 3 = 1 THEN created + CAST(i % 90 AS INTEGER) END AS lost,
        CASE WHEN i % 12 = 0 THEN 100 + i % 9000 END AS amount
    FROM (SELECT i, DATE '2023-01-01' + CAST(i * 31 % 1000 AS INTEGER) AS created FROM range({n}) t(i))
) TO '{path}' (HEADER)
"""

OURS = """
from pathlib import Path
from forecast.history import read_history; from forecast.study import Study
{clock}
history = read_history(Study.model_validate({{"name": "x", "history": {{"leads": "leads.csv"}},
    "funnel": {{"stages": ("leads", "qualified", "won")}}, "folder": Path({folder!r})}}))
{done}
assert int(history.counts["leads"].sum()) > 0
{peak}
"""

PLAIN = """
import duckdb
{clock}
connection = duckdb.connect(config={{"memory_limit": "200MB", "temp_directory": {folder!r}}})
connection.execute("SET enable_progress_bar = false")
found = connection.execute('''
    SELECT channel, date_trunc('month', created) a, date_trunc('month', qualified) b, date_trunc('month', won) c,
        date_trunc('month', lost) d, count(*) n, sum(amount) total
    FROM read_csv({path!r}, header = true) GROUP BY ALL''').df()
{done}
{peak}
"""

PANDAS = """
import pandas as pd
{clock}
dates = ["created", "qualified", "won", "lost"]
found = pd.read_csv({path!r}, parse_dates=dates)
keys = [found["channel"], *(found[name].dt.to_period("M") for name in dates)]
found = found.groupby(keys, dropna=False)["amount"].agg(["size", "sum"])
{done}
{peak}
"""

SERVER = """
from pathlib import Path
from forecast.history import read_history; from forecast.read import database; from forecast.study import Study
{clock}
sessions = []
begun = database.Server.__init__
database.Server.__init__ = lambda self, *given: (begun(self, *given), sessions.append(self))[0]
history = read_history(Study.model_validate({{"name": "x", "history": {{"database": {{"kind": "postgres",
    "connection": {{"env": "BENCHMARK_DSN"}}, "leads": "leads", "detail": DETAIL}}}},
    "funnel": {{"stages": ("leads", "qualified", "won")}}, "folder": Path({folder!r})}}))
{done}
assert int(history.counts["leads"].sum()) > 0
{peak}
print(sum(session.received for session in sessions))
"""
TABLE = "lead_id text, channel text, created date, qualified date, won date, lost date, amount numeric"

READERS = {"ours": OURS, "DuckDB": PLAIN, "pandas": PANDAS}


def run(code: str, folder: Path, root: Path) -> tuple[float, float, float]:
    """Seconds, peak megabytes, and bytes from a server (0 without one), of one reader in a process of its own."""
    names = {
        "clock": CLOCK,
        "done": DONE,
        "peak": PEAK,
        "folder": str(folder),
        "path": str(folder / "leads.csv"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code.format(**names)],
        env=os.environ | {"PYTHONPATH": str(root)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    told = 3 if code.startswith(SERVER[:40]) and "BENCHMARK_DSN" in code else 2
    found = [float(each) for each in done.stdout.split()[-told:]]  # what came before is a progress bar
    return found[0], found[1], found[2] if told == 3 else 0.0


def serve(stack: ExitStack, path: Path) -> None:
    """Start a server with the leads of a CSV; its connection stands in the environment."""
    sys.path.insert(0, str(ROOT / "tests"))
    import psycopg
    from postgres_fixture import server

    at = stack.enter_context(server())
    os.environ["BENCHMARK_DSN"] = psycopg.conninfo.make_conninfo("", **at)
    with psycopg.connect(os.environ["BENCHMARK_DSN"], autocommit=True) as held:
        held.execute(f"CREATE TABLE leads ({TABLE})")
        with (
            held.cursor().copy("COPY leads FROM STDIN (FORMAT csv, HEADER)") as copy,
            path.open("rb") as rows,
        ):
            while piece := rows.read(1 << 20):
                copy.write(piece)
        held.execute("VACUUM ANALYZE leads")


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark; prints its table."""
    parser = parser_of(__doc__)
    parser.add_argument("--leads", type=int, default=2_000_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument(
        "--skip", action="append", default=[], choices=["DuckDB", "pandas"], help="leave one out"
    )
    parser.add_argument(
        "--with", dest="other", type=Path, metavar="FOLDER", help="a second checkout, read beside"
    )
    parser.add_argument("--postgres", action="store_true", help="read the same from a PostgreSQL server too")
    options: argparse.Namespace = parser.parse_args(argv)
    import duckdb

    readers = {name: (code, ROOT) for name, code in READERS.items() if name not in options.skip}
    if options.other:
        readers["before"] = (OURS, options.other)
    if options.postgres:
        details = {"PostgreSQL": "None", "periods": "'periods'", "days": "'days'"}
        readers |= {name: (SERVER.replace("DETAIL", detail), ROOT) for name, detail in details.items()}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        duckdb.connect().execute(MADE.format(n=options.leads, path=folder / "leads.csv"))
        if options.postgres:
            serve(stack, folder / "leads.csv")
        size = (folder / "leads.csv").stat().st_size / 2**20
        turns = [
            {reader: run(code, folder, root) for reader, (code, root) in readers.items()}
            for _ in range(options.times)
        ]
    print(f"{options.leads} leads, {size:.0f} MB, {options.times} turns")
    wide = max(map(len, readers))
    print(
        f"{'reader':>{wide}}  {'seconds':>8}  {'of DuckDB':>9}  {'peak MB':>8}  {'bytes from a server':>19}"
    )
    for reader in readers:
        seconds = statistics.median(turn[reader][0] for turn in turns)
        peak = max(turn[reader][1] for turn in turns)
        ratio = ""
        if "DuckDB" in readers:
            ratio = f"{statistics.median(turn[reader][0] / turn['DuckDB'][0] for turn in turns):.2f}"
        sent = int(turns[-1][reader][2])
        print(f"{reader:>{wide}}  {seconds:8.2f}  {ratio:>9}  {peak:8.0f}  {sent or '':>19}")
    if "before" in readers:
        ratio = statistics.median(turn["ours"][0] / turn["before"][0] for turn in turns)
        print(f"ours is {ratio:.2f} of before")


if __name__ == "__main__":
    main()
