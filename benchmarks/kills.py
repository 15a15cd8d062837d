"""Commands killed at random moments, disks that fill up, two runs at once: what is there afterwards.

    python benchmarks/kills.py [--kills 200] [--full 20] [--flips 1000] [--pairs 3] [--seed 1]

Each command writes over files of an earlier one, or where none were. It is a fork of a process that has loaded the
package (every eighth a new process, so that loading is killed too), ended by SIGKILL, SIGTERM or SIGINT after a random
part of its time, or just before one of its renames, flushes and writes. Then each file must be the old or the new one;
the same command again must end well, with all files new and none beside them. POSIX only.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from command import parser_of

from forecast import signing, written
from forecast.__main__ import at_once
from forecast.__main__ import main as forecast
from forecast.fit import content_hash, load_posterior
from forecast.lab import make_leads

HERE = Path(__file__).parents[1]
ENDS = {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}  # exit codes; below 0 as Python has them
HEARD = (signal.SIGTERM, signal.SIGINT)
STUDY = """\
name = "small"
[history]
counts = "small.csv"
[funnel]
market = "b2b"
[channels.ppc]
kind = "ppc"
[plan]
periods = 3
"""
LEADS = """\
name = "leads"
[history]
leads = "leads.csv"
[funnel]
stages = ["leads", "qualified", "won"]
"""
QUICK = ["--preview", "--draws", "100", "--out", "out", "--quiet"]
COMMANDS: dict[str, list[str]] = {
    "run": ["run", "small.toml", *QUICK],
    "backtest": ["backtest", "small.toml", *QUICK, "--origins", "2", "--horizon", "2", "--baseline", "spreadsheet"],
    "rank": ["rank", "leads.toml", "--out", "out", "--quiet"],
    "sign": ["sign", "signed", "--by", "Ann"],
    "fit": ["fit", "small.toml", "--draws", "400", "--quiet", "--go-on"],
}  # fmt: skip
SHARES = {"run": 8, "backtest": 4, "rank": 4, "sign": 4, "fit": 1}
OTHERWISE = {
    "run": ["--seed", "2"],
    "backtest": ["--seed", "2"],
    "rank": ["--seed", "2"],
    "fit": ["--seed", "2"],
}


def planning(home: Path) -> None:
    """A folder with two studies, and a run that can be signed."""
    home.mkdir()
    lines = ["period,channel,spend,visitors,leads,qualified,won,revenue"]
    for month in range(18):
        label, spend, won = (
            f"{2025 + month // 12}-{month % 12 + 1:02d}",
            2000 + 150 * (month % 5),
            2 + month % 3,
        )
        lines.append(f"{label},ppc,{spend},{spend // 2},{spend // 40},{spend // 100},{won},{won * 4100}")
        lines.append(f"{label},seo,0,900,{27 + month % 4},{10 + month % 3},2,9000")
    (home / "small.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (home / "small.toml").write_text(STUDY, encoding="utf-8")
    (home / "leads.toml").write_text(LEADS, encoding="utf-8")
    leads = make_leads(np.random.default_rng(13), size=600).leads
    leads.to_csv(home / "leads.csv", index=False, date_format="%Y-%m-%d")


def start(
    home: Path, args: Sequence[str], *, cold: bool = False, before: Callable[[], None] | None = None
) -> int:
    """A command in `home`; its process id. before: what is done first, in it."""
    if cold:
        env = os.environ | {"PYTHONPATH": str(HERE)}
        said = (home / "said").open("w")
        return subprocess.Popen(
            [sys.executable, "-m", "forecast", *args], cwd=home, env=env, stdout=said, stderr=said
        ).pid
    # Held back until the process is where a command begins: before its first line nothing of ours can answer.
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # threads of the linear algebra, which are at rest
        child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        return child
    os.chdir(home)
    said = os.open("said", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = ["forecast", *args]
    code = 1
    try:
        for number in HEARD:
            signal.signal(number, at_once)  # which is what its first line does
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        if before is not None:
            before()
        forecast()
        code = 0
    except SystemExit as left:
        code = int(left.code or 0)
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """The exit code of a process, below 0 the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def whole(home: Path, args: Sequence[str]) -> float:
    """A command that nothing disturbs; its seconds."""
    since = time.monotonic()
    if code := ended(start(home, args)):
        raise SystemExit(f"{' '.join(args)} ended with {code}:\n{(home / 'said').read_text()}")
    return time.monotonic() - since


def told(path: Path) -> str:
    """A file as two commands that make the same make it: no dates, no seconds."""
    if path.suffix == ".nc" and path.name != "draws.nc":
        return content_hash(load_posterior(path).data)
    if path.name == "summary.json":
        found = json.loads(path.read_text(encoding="utf-8"))
        return json.dumps({key: value for key, value in found.items() if key not in signing.APART})
    if path.name == written.MANIFEST:
        names = written.sealed(path.read_bytes(), path)["files"]
        return json.dumps({n: e["sha256"] for n, e in names.items() if n != "summary.json"}, sort_keys=True)
    if path.name == signing.RECORD:
        return str(len(signing.log(path)[0])) + "".join(signing.log(path)[1])
    return hashlib.sha256(path.read_bytes()).hexdigest()


def state(home: Path, command: str) -> dict[str, str]:
    """What each file of a command says; records of a backtest, which grow by themselves, aside."""
    places = {"sign": [home / signing.RECORD], "fit": [home / "small.nc"]}.get(command) or sorted(
        path for path in (home / "out").glob("*") if path.is_file() and path.suffix != ".jsonl"
    )
    return {path.name: told(path) for path in places if path.exists()}


def beside(home: Path) -> set[str]:
    """Everything that lies in the folder and is no output."""
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if written.STAGING in path.parts}


def kill_after(child: int, seconds: float, number: signal.Signals) -> tuple[int, float]:
    """Exit code, and seconds from the signal to the end."""
    threading.Event().wait(seconds)
    with suppress(ProcessLookupError):
        os.kill(child, number)
    since = time.monotonic()
    return ended(child), time.monotonic() - since


def kill(number: signal.Signals) -> None:
    """End this process."""
    os.kill(os.getpid(), number)


def at_a_call(at: int, act: Callable[[], None]) -> Callable[[], None]:
    """Have a process act just before its `at`-th rename, flush, removal or write of bytes."""
    return lambda: _count(at, act)


def _count(at: int, act: Callable[[], None]) -> None:
    left = [at]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                act()
            return real(*args, **options)

        return call

    for owner, name in (
        (Path, "replace"),
        (os, "fsync"),
        (Path, "unlink"),
        (Path, "write_bytes"),
        (Path, "mkdir"),
    ):
        setattr(owner, name, counted(getattr(owner, name)))


def prepared(homes: Path, command: str, *, old: bool) -> tuple[Path, dict[str, str]]:
    """A new folder with the files of an earlier command, or none, and what they say."""
    home = homes / "home"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(homes / (f"{command} before" if old else "planning"), home)
    return home, state(home, command)


def judged(home: Path, command: str, before: dict[str, str], new: dict[str, str], case: str) -> list[str]:
    """What is wrong after a command was stopped, and after the same command again."""
    wrong = []
    unfinished = any(written.unfinished(place) for place in (home, home / "out"))
    now = state(home, command)
    mixed = any(now.get(name) not in (before.get(name), new.get(name)) for name in {*now, *before, *new})
    if mixed and not (command == "sign" and now and "cut off" in next(iter(now.values()))):
        wrong.append(f"{case}: a file is neither old nor new")
    if now not in (before, new) and not unfinished and command != "sign":
        wrong.append(f"{case}: some files are old and some new, and nothing says so")
    if code := ended(start(home, COMMANDS[command])):
        wrong.append(f"{case}: the next command ends with {code}: {(home / 'said').read_text()}")
    elif command != "sign" and state(home, command) != new:
        wrong.append(f"{case}: after the next command not all files are new")
    elif command == "sign" and state(home, command).get(signing.RECORD) not in ("1", "2", "3"):
        wrong.append(f"{case}: the record is broken")
    if left := beside(home):
        wrong.append(f"{case}: left behind: {sorted(left)}")
    return wrong


def kills(
    homes: Path, n: int, rng: random.Random, news: dict[str, Any], seconds: dict[str, float]
) -> list[str]:
    """Commands killed; prints counts by kind, gives what was wrong."""
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    slowest = 0.0
    names = [name for name, share in SHARES.items() for _ in range(share)]
    rng.shuffle(names)
    for i in range(n):
        command, number = names[i % len(names)], getattr(signal, list(ENDS)[i % 3])
        old, at_call, cold = rng.random() < 0.5, rng.random() < 0.4, i % 8 == 7
        home, before = prepared(homes, command, old=old)
        args = COMMANDS[command]
        if at_call and not cold:
            step = rng.randrange(1, 45 if command == "run" else 14)
            how = f"before step {step}"
            code = ended(start(home, args, before=at_a_call(step, partial(kill, number))))
        else:
            moment = rng.random() * (1.1 * seconds[command] + 2.0 * cold)
            how = "after some seconds"
            code, took = kill_after(start(home, args, cold=cold), moment, number)
            if code == ENDS[number.name]:
                slowest = max(slowest, took)
        case = (
            f"{command}, {'old files' if old else 'no files'}, {number.name} {how}{', cold' if cold else ''}"
        )
        if code not in (ENDS[number.name], 0) and not (cold and code == -number):
            wrong.append(f"{case}: ended with {code}: {(home / 'said').read_text()}")
        if "Traceback" in (home / "said").read_text():
            wrong.append(f"{case}: a traceback: {(home / 'said').read_text()}")
        new = news[command][old]
        now = state(home, command)
        end = "old" if now == before else "new" if now == new else "between, to be finished"
        counts[f"{command}: {'done before the signal' if code == 0 else end}"] += 1
        counts[
            f"{number.name} {'before a step' if at_call and not cold else how}{', cold' if cold else ''}"
        ] += 1
        wrong += judged(home, command, before, new, case)
    print(f"\n{n} kills, {len(wrong)} wrong; slowest end after a signal: {slowest:.2f} s")
    for name, count in sorted(counts.items()):
        print(f"  {name}: {count}")
    return wrong


def full_disks(homes: Path, n: int, rng: random.Random, news: dict[str, Any]) -> list[str]:
    """No space left from the k-th write on, for a while or to the end."""
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    for i in range(n):
        command = ("run", "backtest", "rank", "sign")[i % 4]
        old = bool(i // 4 % 2)
        home, before = prepared(homes, command, old=old)
        step = rng.randrange(1, 30 if command == "run" else 2 if command == "sign" else 14)

        def full() -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        code = ended(start(home, COMMANDS[command], before=at_a_call(step, full)))
        said, now = (home / "said").read_text(), state(home, command)
        case = f"{command}, disk full at step {step}, {'old files' if old else 'no files'}"
        if code not in (2, 0) or (code == 2 and "No space left on device" not in said):
            wrong.append(f"{case}: ended with {code}: {said}")
        new = news[command][old]
        counts[
            f"exit {code}, "
            + ("old" if now == before else "new" if now == new else "between, to be finished")
        ] += 1
        wrong += judged(home, command, before, new, case)
    print(f"\n{n} disks that fill up, {len(wrong)} wrong")
    for name, count in sorted(counts.items()):
        print(f"  {name}: {count}")
    return wrong


def pairs(homes: Path, n: int) -> list[str]:
    """Two runs at once into one folder, of two seeds."""
    wrong = []
    last: Counter[str] = Counter()
    for i in range(n):
        home, _ = prepared(homes, "run", old=bool(i % 2))
        both = [start(home, [*COMMANDS["run"], "--seed", str(seed)]) for seed in (3, 4)]
        if any(codes := [ended(child) for child in both]):
            wrong.append(f"two at once: ended with {codes}: {(home / 'said').read_text()}")
            continue
        seed = json.loads((home / "out" / "summary.json").read_text())["provenance"]["seed"]
        last[f"seed {seed}"] += 1
        found = state(home, "run")
        alone, _ = prepared(homes, "run", old=bool(i % 2))
        whole(alone, [*COMMANDS["run"], "--seed", str(seed)])
        if found != state(alone, "run"):
            wrong.append("two at once: the folder is not wholly of one of them")
    print(f"\n{n} pairs of runs at once, {len(wrong)} wrong; the folder was of: {dict(last)}")
    return wrong


def flips(homes: Path, n: int, rng: random.Random) -> list[str]:
    """Single bits turned in inputs, posterior, outputs, manifest and record of a signed run: is each found?"""
    home, _ = prepared(homes, "fit", old=True)
    whole(home, ["run", "small.toml", "--draws", "400", "--seed", "2", "--go-on", "--out", "out", "--quiet"])
    whole(home, ["sign", "out", "--by", "Ann", "--override", "known"])
    files = [home / name for name in ("small.toml", "small.csv", "small.nc", signing.RECORD)]
    files += sorted(path for path in (home / "out").iterdir())
    missed = []
    kinds: Counter[str] = Counter()
    for _ in range(n):
        path = rng.choice(files)
        content = path.read_bytes()
        at = rng.randrange(len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :])
        found = signing.verify(home / "out")["differences"]
        kinds[f"{path.name}: {'found' if found else 'missed'}"] += 1
        missed += [] if found else [f"{path.name}: byte {at} of {len(content)} changed, and not found"]
        path.write_bytes(content)
    if after := signing.verify(home / "out")["differences"]:
        missed.append(f"nothing changed, and found: {after}")
    print(f"\n{n} bits turned, {n - len(missed)} found")
    for name, count in sorted(kinds.items()):
        print(f"  {name}: {count}")
    return missed


def main(argv: Sequence[str] | None = None) -> None:
    """Print counts by kind; end with 1 where anything was wrong."""
    parser = parser_of(__doc__)
    for name, many in (("kills", 200), ("full", 20), ("flips", 1000), ("pairs", 3), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=many)
    options = parser.parse_args(argv)
    rng = random.Random(options.seed)  # noqa: S311 - which moments, not whose secrets
    with tempfile.TemporaryDirectory() as folder:
        homes = Path(folder)
        planning(homes / "planning")
        whole(
            homes / "planning",
            ["run", "small.toml", "--preview", "--draws", "100", "--out", "signed", "--quiet"],
        )
        news: dict[str, Any] = {}
        seconds = {}
        for command, args in COMMANDS.items():
            home, _ = prepared(homes, command, old=False)
            seconds[command] = whole(home, args)
            news[command] = {False: state(home, command)}
            shutil.copytree(homes / "planning", homes / f"{command} before")
            whole(homes / f"{command} before", [*args, *OTHERWISE.get(command, [])])
            home, _ = prepared(homes, command, old=True)
            whole(home, args)
            news[command][True] = state(home, command)
        print("seconds of a command:", {name: round(value, 2) for name, value in seconds.items()})
        wrong = kills(homes, options.kills, rng, news, seconds) if options.kills else []
        wrong += full_disks(homes, options.full, rng, news) if options.full else []
        wrong += pairs(homes, options.pairs) if options.pairs else []
        wrong += flips(homes, options.flips, rng) if options.flips else []
    if wrong:
        print("\nwrong:\n" + "\n".join(wrong))
        raise SystemExit(1)
    print("\nnothing wrong")


if __name__ == "__main__":
    main()
