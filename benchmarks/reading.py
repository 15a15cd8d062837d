"""What reading a file of leads costs, beside plain DuckDB and pandas, in one run.

A CSV of --leads made leads (id, channel, three dates, date of loss, amount; about 40 bytes a row) is read by each in a
process of its own, in turn, --times times; told are medians of wall and CPU seconds, the ratios to plain DuckDB in the
same turn, and the peak memory of the process. `ours` checks every rule and every id, and keeps days. "DuckDB" and
pandas only group by channel and months; "checks" is plain DuckDB that checks as well: ids there and unique, dates and
amounts that cannot be read, the order of dates, won and lost both, dates and amounts out of range. Dates repeat from
lead to lead, as they do where delays are few; with --random they are drawn, so that most leads take a course of their
own. With --parquet the same leads are read from Parquet too. With --with FOLDER a second checkout of this package is
read beside (`before`): what a change costs. With --postgres the same leads are read from a PostgreSQL server of its own
(tests/postgres_fixture.py), as a study does that says no more, by `periods` alone, and with `days` and single amounts,
and the bytes are told that its answers had.

    python benchmarks/reading.py                       # 2 million leads
    python benchmarks/reading.py --leads 10000000 --times 3 --parquet
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
# the peak of this process: that of getrusage has the parent's in it
PEAK = "print(int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]) / 1024)"
CLOCK = "import time; start = time.perf_counter(); cpu = time.process_time()"
DONE = "print(time.perf_counter() - start, time.process_time() - cpu)"

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

RANDOM = """
COPY (
    SELECT lead_id, channel, created, CASE WHEN u < 0.4 THEN created + q END AS qualified,
        CASE WHEN u < 0.1 THEN created + q + w END AS won,
        CASE WHEN u BETWEEN 0.1 AND 0.75 THEN created + q + l END AS lost, CASE WHEN u < 0.1 THEN amount END AS amount
    FROM (
        SELECT 'L' || i AS lead_id, 'channel ' || CAST(floor(12 * random()) AS INTEGER) AS channel,
            DATE '2023-01-01' + CAST(floor(1000 * random()) AS INTEGER) AS created,
            CAST(floor(-30 * ln(1 - random())) AS INTEGER) AS q, CAST(floor(-60 * ln(1 - random())) AS INTEGER) AS w,
            CAST(floor(-60 * ln(1 - random())) AS INTEGER) AS l, 100 + floor(9000 * random()) AS amount, random() AS u
        FROM range({n}) t(i)
    )
) TO '{path}' (HEADER)
"""

OURS = """
from pathlib import Path
from forecast.history import read_history; from forecast.study import Study
{clock}
history = read_history(Study.model_validate({{"name": "x", "history": {{"leads": "leads.SUFFIX"}},
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

TYPED = (
    "{'lead_id': 'VARCHAR', 'channel': 'VARCHAR', 'created': 'DATE', 'qualified': 'DATE', 'won': 'DATE', "
    "'lost': 'DATE', 'amount': 'DOUBLE'}"
)
CHECKS = """
import duckdb
{clock}
connection = duckdb.connect(config={{"memory_limit": "200MB", "temp_directory": {folder!r}}})
connection.execute("SET enable_progress_bar = false")
rows = "read_csv('{path}', header = true, columns = {typed}, store_rejects = true)"
found = connection.execute('''
    SELECT channel, date_trunc('month', created) a, date_trunc('month', qualified) b, date_trunc('month', won) c,
        date_trunc('month', lost) d, count(*) n, sum(amount) total, count(*) FILTER (created IS NULL) no_day,
        count(*) FILTER (qualified < created OR won < qualified OR lost < created OR lost < qualified) disorder,
        count(*) FILTER (won IS NOT NULL AND qualified IS NULL) skipped,
        count(*) FILTER (won IS NOT NULL AND lost IS NOT NULL) both_ends,
        count(*) FILTER (amount < 0 OR amount >= 1e15) odd, min(created), max(created), max(qualified), max(won),
        max(lost), count(*) FILTER (least(created, qualified, won, lost) < '1990-01-01') early,
        count(*) FILTER (greatest(created, qualified, won, lost) > current_date) late
    FROM ''' + rows + " GROUP BY ALL").df()
unread = connection.execute("SELECT count(*) FROM reject_errors").fetchone()
ids = connection.execute("SELECT count(*), count(lead_id), count(DISTINCT lead_id) FROM " + rows).fetchone()
{done}
assert ids[0] == ids[1] == ids[2] == found.n.sum() and unread == (0,)
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

READERS = {"ours": OURS.replace("SUFFIX", "csv"), "DuckDB": PLAIN, "checks": CHECKS, "pandas": PANDAS}


def run(code: str, folder: Path, root: Path) -> tuple[float, float, float, float]:
    """Seconds, peak megabytes, CPU seconds and bytes from a server (0 without one) of one reader, a process its own."""
    names = {
        "clock": CLOCK,
        "done": DONE,
        "peak": PEAK,
        "folder": str(folder),
        "path": str(folder / "leads.csv"),
        "typed": TYPED,
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
    told = 4 if code.startswith(SERVER[:40]) and "BENCHMARK_DSN" in code else 3
    found = [float(each) for each in done.stdout.split()[-told:]]  # what came before is a progress bar
    return found[0], found[2], found[1], found[3] if told == 4 else 0.0


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
    parser.add_argument("--random", action="store_true", help="draw dates and amounts at random")
    skipped = ["ours", "DuckDB", "checks", "pandas"]
    parser.add_argument("--skip", action="append", default=[], choices=skipped, help="leave one out")
    parser.add_argument("--parquet", action="store_true", help="read the same from Parquet too")
    parser.add_argument(
        "--with", dest="other", type=Path, metavar="FOLDER", help="a second checkout, read beside"
    )
    parser.add_argument("--postgres", action="store_true", help="read the same from a PostgreSQL server too")
    options: argparse.Namespace = parser.parse_args(argv)
    import duckdb

    readers = {name: (code, ROOT) for name, code in READERS.items() if name not in options.skip}
    if options.other:
        readers["before"] = (READERS["ours"], options.other)
    if options.parquet:
        readers["Parquet"] = (OURS.replace("SUFFIX", "parquet"), ROOT)
    if options.postgres:
        details = {"PostgreSQL": "None", "periods": "'periods'", "days": "'days'"}
        readers |= {name: (SERVER.replace("DETAIL", detail), ROOT) for name, detail in details.items()}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        path = folder / "leads.csv"
        with duckdb.connect(config={"threads": 1} if options.random else {}) as connection:
            connection.execute("SET enable_progress_bar = false; SELECT setseed(0.4)")
            connection.execute((RANDOM if options.random else MADE).format(n=options.leads, path=path))
            if options.parquet:
                rows = f"read_csv('{path}', header = true, columns = {TYPED})"
                connection.execute(f"COPY (SELECT * FROM {rows}) TO '{path.with_suffix('.parquet')}'")  # noqa: S608
        if options.postgres:
            serve(stack, path)
        size = path.stat().st_size / 2**20
        turns = [
            {reader: run(code, folder, root) for reader, (code, root) in readers.items()}
            for _ in range(options.times)
        ]
    print(f"{options.leads} leads, {size:.0f} MB, {options.times} turns")
    told(turns)


def told(turns: list[dict[str, tuple[float, float, float, float]]]) -> None:
    """Print the table of the turns."""
    peers = [name for name in ("DuckDB", "checks") if name in turns[0]]
    wide = max(map(len, turns[0]))
    heads = [f"of {name}" for name in peers]
    titles = ["seconds", *heads, "CPU s", *heads, "peak MB", "bytes sent"]
    print("  ".join([f"{'reader':>{wide}}", *(f"{title:>9}" for title in titles)]))
    for reader in turns[0]:
        cells = []
        for at in (0, 2):
            cells.append(f"{statistics.median(turn[reader][at] for turn in turns):.2f}")
            cells += [
                f"{statistics.median(turn[reader][at] / turn[peer][at] for turn in turns):.2f}"
                for peer in peers
            ]
        sent = int(turns[-1][reader][3])
        cells += [f"{max(turn[reader][1] for turn in turns):.0f}", str(sent or "")]
        print("  ".join([f"{reader:>{wide}}", *(f"{cell:>9}" for cell in cells)]))
    for reader, base in (("ours", "before"), ("Parquet", "ours")):
        if reader in turns[0] and base in turns[0]:
            ratios = (statistics.median(turn[reader][at] / turn[base][at] for turn in turns) for at in (0, 2))
            print(f"{reader} is {next(ratios):.2f} of {base}, in CPU {next(ratios):.2f}")


if __name__ == "__main__":
    main()
