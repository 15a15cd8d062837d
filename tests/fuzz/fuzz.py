"""Damaged files through the command's own `main`, thousands in one process: what must never happen is looked for.

Each input is a kind (`made.KINDS`) and a seed: the same two, the same damage. Of every one must hold: the exit code is
one that is documented and never 1, nothing of the inside is shown, no file is written or changed where the command
refuses, it ends within 20 seconds of processor time, and the process stays under 1 GB. A worker process takes one input
after the other; one that hangs or dies is replaced, and the input is a failure. Failures are kept as small cases in a
folder, in the form of the corpus that the fast tests replay.

    python tests/fuzz/fuzz.py                             # ten minutes, a new seed
    FUZZ_SECONDS=60 FUZZ_SEED=7 python tests/fuzz/fuzz.py
    python tests/fuzz/fuzz.py --inputs 10000 --commands 300
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

import made  # noqa: E402
import mutate  # noqa: E402

CORPUS = Path(__file__).parent / "corpus"
SECONDS, MEMORY = 20.0, 1 << 30  # of processor time, of one input; bytes of the process
AT_MOST = 300.0  # seconds by the clock, on a machine that has other things to do
CODES = {0, 2, 3, 4, 5}
WRITING = {0, 4, 5}  # a verdict of FAIL is written, and so is a gate that is missed
INSIDE = ("Traceback", "Unexpected error", "site-packages", "<class '")


@dataclass(frozen=True)
class Input:
    """What is run: files by name (all that stand in the folder), and the command line."""

    kind: str
    seed: int
    args: list[str]


@dataclass
class Outcome:
    """How it ended; `wrong`: what must not happen, empty where nothing did."""

    code: Any
    seconds: float
    wrong: str = ""
    said: str = ""


def prepared(kind: str, seed: int, home: Path, folder: Path) -> Input:
    """The folder of one input, with its file damaged."""
    rng, given = Random(f"{kind} {seed}"), made.KINDS[kind]  # noqa: S311 - not for secrets
    made.lay_out(given, home, folder)
    more: tuple[str, ...] = ()
    if given.how == "set":
        more = mutate.override(rng)
    else:
        place = folder / made.place_of(given, home)
        place.write_bytes(mutate.damaged(given.how, place.read_bytes(), rng))
    return Input(kind, seed, made.arguments(given, rng.choice(given.commands), more))


def state(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def attempt(folder: Path, args: list[str]) -> Outcome:
    """Run the command in this process, in the folder, and look at what it left."""
    from forecast.__main__ import main

    before, here, start = state(folder), Path.cwd(), time.process_time()
    out, err = io.StringIO(), io.StringIO()
    code: Any = None
    os.chdir(folder)
    try:
        with (
            mock.patch.object(sys, "argv", ["forecast", *args]),
            mock.patch.object(sys, "stdin", io.StringIO()),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as leaving:
                code = leaving.code or 0
    except BaseException as error:
        return Outcome(
            "raised", time.perf_counter() - start, f"raised {error!r}"[:300], traceback.format_exc()[-2000:]
        )
    finally:
        os.chdir(here)
    seconds = time.process_time() - start
    said = err.getvalue()
    wrong = ""
    if code not in CODES:
        wrong = f"exit code {code}"
    elif inside := next((word for word in INSIDE if word in said + out.getvalue()), None):
        wrong = f"shows {inside!r}"
    elif code not in WRITING and state(folder) != before:
        wrong = "refused, and wrote"
    elif code in (2, 3) and not said.strip():
        wrong = "refused without a word"
    elif seconds > SECONDS:
        wrong = "took too long"
    return Outcome(code, seconds, wrong, said[:2000])


# ------------------------------------------------------------------------------------------------------- the corpus


def kept(given: Input, folder: Path, outcome: Outcome, corpus: Path) -> Path:
    """An input as a file of the corpus: its files, packed where they are no text, its command line, what was wrong."""
    files = {}
    for name, content in sorted(state(folder).items()):
        try:
            files[name] = content.decode()
        except UnicodeDecodeError:
            files[name] = {"base64": base64.b64encode(content).decode()}
    corpus.mkdir(parents=True, exist_ok=True)
    path = corpus / f"{given.kind.replace(' ', '-')}-{given.seed}.json"
    told = {"args": given.args, "wrong": outcome.wrong, "said": outcome.said[-1500:], "files": files}
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return path


def unpacked(path: Path, folder: Path) -> list[str]:
    """The files of a case of the corpus in a folder; its command line."""
    told = json.loads(path.read_text(encoding="utf-8"))
    for name, content in told["files"].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = (
            content.encode("utf-8", "surrogatepass")
            if isinstance(content, str)
            else base64.b64decode(content["base64"])
        )
        (folder / name).write_bytes(data)
    return list(told["args"])


# -------------------------------------------------------------------------------------------------------- the worker


def _work(pipe: Any, home: str) -> None:
    """Take inputs (kind, seed) from the pipe, one after the other; say how each ended, and the peak of memory."""
    import warnings

    warnings.simplefilter("ignore")
    while (asked := pipe.recv()) is not None:
        kind, seed = asked
        with tempfile.TemporaryDirectory(dir=home) as name:
            folder = Path(name) / "in"
            folder.mkdir()
            with contextlib.redirect_stderr(io.StringIO()):  # what readers of damaged files say as they go
                given = prepared(kind, seed, Path(home) / "sound", folder)
            pipe.send(("begun", given.args))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            outcome = attempt(folder, given.args)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if not outcome.wrong and after > peak and after * 1024 > MEMORY:
                outcome.wrong = f"memory: {after // 1024} MB"
            pipe.send(("ended", asdict(outcome), after))


def _processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used; by the clock where the system does not tell."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return time.perf_counter()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


class Worker:
    """A process that takes inputs; replaced where it hangs, dies, or has grown."""

    def __init__(self, home: Path) -> None:
        self.home, self.peak = home, 0
        self.pipe: Any = None
        self.process: Any = None

    def ask(self, kind: str, seed: int) -> Outcome:
        """How one input ended."""
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=_work, args=(theirs, str(self.home)), daemon=True)
            self.process.start()
            theirs.close()
        self.pipe.send((kind, seed))
        try:
            if not self._answers():
                return self._gone("")  # it cannot be prepared, which is no fault of what is tested
            self.pipe.recv()
            if not self._answers():
                return self._gone("hangs")
            _, told, peak = self.pipe.recv()
        except EOFError:
            self.process.join(5)
            return self._gone(f"died ({self.process.exitcode})")
        self.peak = max(self.peak, peak)
        outcome = Outcome(**told)
        if "memory" in outcome.wrong:
            self.stop()
        return outcome

    def _answers(self) -> bool:
        """Wait for the process, as long as it has time left."""
        start, before = time.perf_counter(), _processor_time(self.process.pid)
        while not self.pipe.poll(0.5):
            used = _processor_time(self.process.pid) - before
            if used > SECONDS or time.perf_counter() - start > AT_MOST:
                return False
        return True

    def _gone(self, wrong: str) -> Outcome:
        self.stop()
        return Outcome("none", SECONDS, wrong)

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


# ------------------------------------------------------------------------------------------------------------ the run


def command(kind: str, seed: int, home: Path, room: Path) -> Outcome:
    """The same as a real command, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=room) as name:
        folder = Path(name)
        given = prepared(kind, seed, home, folder)
        before, start = state(folder), time.perf_counter()
        try:
            args = [argument.replace("\0", "") for argument in given.args]
            done = subprocess.run(
                [sys.executable, "-m", "forecast", *args],
                cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=120, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Outcome("none", 120.0, "hangs")
        said, seconds = done.stderr.decode("utf-8", "replace"), time.perf_counter() - start
        code, wrong = done.returncode, ""
        if code not in CODES:
            wrong = f"exit code {code}"
        elif any(word in said for word in INSIDE):
            wrong = "shows the inside"
        elif code not in WRITING and state(folder) != before:
            wrong = "refused, and wrote"
        return Outcome(code, seconds, wrong, said[:2000])


def main() -> int:
    """Run for the time or the number of inputs that is asked for; tell what was found. 1 where something was."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=0, help="so many inputs, whatever the time")
    parser.add_argument("--commands", type=int, default=0, help="then so many as real commands")
    parser.add_argument(
        "--kind", action="append", choices=sorted(made.KINDS), help="of this kind only; repeatable"
    )
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "fuzz", help="failures go here")
    asked = parser.parse_args()
    limit = float(os.environ.get("FUZZ_SECONDS", "600"))
    first = int(os.environ.get("FUZZ_SEED", str(int(time.time()) % 10**9)))
    names = asked.kind or list(made.KINDS)
    weights = [made.KINDS[name].weight for name in names]
    rng, start = Random(first), time.perf_counter()  # noqa: S311 - not for secrets
    kinds: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    failures: list[tuple[str, int, str]] = []
    slowest = 0.0
    with tempfile.TemporaryDirectory(prefix="forecast-fuzz-") as place:
        home = Path(place)
        (home / "sound").mkdir()
        made.make(home / "sound")
        print(f"seed {first}; sound files made in {time.perf_counter() - start:.0f} s", flush=True)
        told: list[int] = []
        signal.signal(signal.SIGINT, lambda *_: told.append(1))  # what was found so far is told
        worker, start, n = Worker(home), time.perf_counter(), 0
        while not told and (n < asked.inputs if asked.inputs else time.perf_counter() - start < limit):
            kind, seed = rng.choices(names, weights)[0], rng.randrange(10**9)
            outcome = worker.ask(kind, seed)
            n += 1
            kinds[kind] += 1
            codes[str(outcome.code)] += 1
            slowest = max(slowest, outcome.seconds)
            if n % 200 == 0:
                print(f"  {n} inputs, {time.perf_counter() - start:.0f} s", flush=True)
            if outcome.wrong:
                failures.append((kind, seed, outcome.wrong))
                _keep(kind, seed, outcome, home, asked.keep)
                print(f"  {kind} {seed}: {outcome.wrong}", flush=True)
        worker.stop()
        seconds = time.perf_counter() - start
        real: Counter[str] = Counter()
        for _ in range(asked.commands):
            kind, seed = rng.choices(names, weights)[0], rng.randrange(10**9)
            outcome = command(kind, seed, home / "sound", home)
            real[str(outcome.code)] += 1
            if outcome.wrong:
                failures.append((kind, seed, f"as a command: {outcome.wrong}"))
                _keep(kind, seed, outcome, home, asked.keep)
                print(f"  {kind} {seed}: as a command: {outcome.wrong}", flush=True)
    print(f"{n} inputs in {seconds:.0f} s, slowest {slowest:.1f} s, peak memory {worker.peak // 1024} MB")
    print("by kind: " + ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())))
    print("exit codes: " + ", ".join(f"{code}: {count}" for code, count in sorted(codes.items())))
    if asked.commands:
        print("as commands: " + ", ".join(f"{code}: {count}" for code, count in sorted(real.items())))
    print(f"{len(failures)} failures{f', kept in {asked.keep}' if failures else ''}")
    return 1 if failures else 0


def _keep(kind: str, seed: int, outcome: Outcome, home: Path, corpus: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home) as name:
        given = prepared(kind, seed, home / "sound", Path(name))
        kept(given, Path(name), outcome, corpus)


if __name__ == "__main__":
    sys.exit(main())
