"""How a command ends when a signal asks for it: at once, with one line, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, listing

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent by POSIX means")

HEARD = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
BUSY = """
import pathlib, sys, time
import atexit
from forecast import stopping, written
stopping.listen()
atexit.register(stopping.end)  # as the command does: the main thread may fail over files that vanish, and come first
home = pathlib.Path(sys.argv[1])
def ready():
    print("ready", flush=True)
"""
SCENES = {
    "a long call of compiled code": "ready(); time.sleep(60)",
    "an exception that is swallowed": """
ready()
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
""",
    "files that are being made": """
def slow(path):
    path.write_text("half")
    ready()
    while True:
        path.with_name(f"{time.monotonic()}").write_text("more")
written.write(home / "new" / "out", {"a.csv": slow}, command="run")
""",
    "a folder for the time being": """
import tempfile
tempfile.tempdir = str(home)
with stopping.scratch() as folder:
    (pathlib.Path(folder) / "a").write_text("x")
    ready()
    time.sleep(60)
""",
}


def started(code: str, *args: str | Path) -> subprocess.Popen[str]:
    """A piece of Python as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_whatever_goes_on(tmp_path: Path, scene: str, number: signal.Signals):
    """128 + its number, one line, no traceback, nothing left."""
    made = started(HEARD + BUSY + SCENES[scene], tmp_path)
    assert made.stdout is not None
    assert made.stdout.readline() == "ready\n"
    made.send_signal(number)
    _, said = made.communicate(timeout=30)
    assert (made.returncode, said) == (128 + number, "interrupted; no outputs were written\n")
    assert listing(tmp_path) == []


def test_what_was_written_before_is_told(tmp_path: Path):
    """A fit that was saved is not said to be lost; files that are just changing places get there first."""
    scene = """
import os
real = pathlib.Path.replace
def slow(path, target):
    if path.name == "b.csv":
        ready()
        time.sleep(0.3)
    return real(path, target)
pathlib.Path.replace = slow
made = {n: lambda path: path.write_text("new") for n in ("a.csv", "b.csv", "c.csv")}
written.write(home / "out", made, command="run")
time.sleep(60)
"""
    made = started(HEARD + BUSY + scene, tmp_path)
    assert made.stdout is not None
    made.stdout.readline()
    made.send_signal(signal.SIGINT)
    _, said = made.communicate(timeout=30)
    assert made.returncode == 130
    assert {"out/a.csv", "out/b.csv", "out/c.csv", "out/manifest.json"} <= set(listing(tmp_path))
    assert said.startswith("interrupted; ")


def test_a_command_is_ended_from_its_first_line_on(tmp_path: Path):
    """While it loads, while it reads: exit code 130 and one line, never a traceback."""
    code = HEARD + "import sys\nprint('ready', flush=True)\nfrom forecast.__main__ import main\nmain()\n"
    for pause in (0.0, 0.15, 0.5):
        made = started(code, "demo", "--out", tmp_path / "out")
        assert made.stdout is not None
        made.stdout.readline()
        time.sleep(0.1 + pause)
        made.send_signal(signal.SIGINT)
        _, said = made.communicate(timeout=30)
        assert made.returncode == 130, said
        assert said.splitlines()[-1] == "interrupted; no outputs were written"
        assert "Traceback" not in said
    assert listing(tmp_path) == []


@pytest.mark.slow
def test_workers_end_with_their_parent(small_study: Path):
    """Ctrl-C in a terminal reaches all of them: one line, no traceback of a worker, and none is left."""
    code = HEARD + "from forecast.__main__ import main\nif __name__ == '__main__':\n    main()\n"
    script = small_study.parent / "command.py"
    script.write_text(code, encoding="utf-8")
    args = ["backtest", small_study, "--out", small_study.parent / "out", "--workers", "2", "--draws", "400"]
    made = subprocess.Popen(
        [sys.executable, script, *args],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert made.stderr is not None
    assert "origins" in made.stderr.readline()
    time.sleep(3)  # while workers load and fit
    os.killpg(made.pid, signal.SIGINT)
    _, said = made.communicate(timeout=30)  # stderr is theirs too: it ends with the last of them
    assert made.returncode == 130
    assert said.splitlines() == ["interrupted; no outputs were written"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("args", [["--help"], ["funnel", "--help"]])
def test_an_answer_that_nobody_can_take_is_told(args: list[str]):
    """A full device as stdout: a message and exit code 2."""
    with Path("/dev/full").open("w") as full:
        made = subprocess.run(
            [sys.executable, "-m", "forecast", *args],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert made.returncode == 2
    assert made.stderr == (
        "Error: the answer cannot be written to stdout (No space left on device); files that the command wrote are "
        "whole\n"
    )


def test_what_is_started_after_a_pool_hears_ctrl_c():
    """Ctrl-C is kept from the processes of a pool alone; afterwards the mask is what it was."""
    code = (
        "import signal\nfrom forecast import stopping\nstopping.listen()\n"
        "mask = lambda: signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])\n"
        "with stopping.shelter():\n    inside = mask()\nprint(inside, mask())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", HEARD + code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]
