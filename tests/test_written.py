"""Files that a command wrote: whose they are, and that each is old or new whenever the command ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, listing

from forecast import written
from forecast.errors import UsageError
from forecast.written import MANIFEST, STAGING, append, check, cut_off, finish, place, save, unfinished, write

POSIX = pytest.mark.skipif(os.name == "nt", reason="killed by POSIX means")


def texts(**named: str) -> dict[str, Callable[[Path], object]]:
    """Files of text: a.csv of a="..."."""
    return {
        f"{name}.csv": lambda path, text=text: path.write_text(text, encoding="utf-8")
        for name, text in named.items()
    }


def state(folder: Path) -> dict[str, str]:
    """What every file of a folder says, the manifest aside."""
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.csv") if path.is_file()}


def test_what_was_written_is_written_over_and_its_manifest_says_it(tmp_path: Path):
    """Name, hash, size and command of each file; files of another command in the folder stay in the manifest."""
    write(tmp_path / "out", texts(a="one", b="two"), command="run", facts={"seed": 1})
    write(tmp_path / "out", texts(c="three"), command="rank")
    write(tmp_path / "out", texts(a="four"), command="run")
    assert state(tmp_path / "out") == {"a.csv": "four", "b.csv": "two", "c.csv": "three"}
    known = json.loads((tmp_path / "out" / MANIFEST).read_text(encoding="utf-8"))
    assert {name: entry["command"] for name, entry in known["files"].items()} == {
        "a.csv": "run", "b.csv": "run", "c.csv": "rank",
    }  # fmt: skip
    assert known["files"]["a.csv"]["bytes"] == 4
    assert known["commands"] == {"run": {"seed": 1}}
    assert set(listing(tmp_path)) == {"out", "out/a.csv", "out/b.csv", "out/c.csv", f"out/{MANIFEST}"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda out: (out / "new.csv").write_text("mine", encoding="utf-8"), "no command wrote new.csv"),
        (lambda out: (out / "a.csv").write_text("mine", encoding="utf-8"), "a.csv changed since a command wrote it"),
        (lambda out: (out / "new.csv").mkdir(), "no command wrote new.csv"),
        (lambda out: (out / "new.csv").symlink_to(out / "nowhere"), "no command wrote new.csv"),
        (lambda out: (out / MANIFEST).unlink(), "holds a.csv, and no manifest.json"),
        (lambda out: (out / MANIFEST).write_text('{"name": "an app"}', encoding="utf-8"), "damaged, or written by"),
        (lambda out: (out / MANIFEST).write_bytes((out / MANIFEST).read_bytes() + b" "), "damaged, or written by"),
    ],
)  # fmt: skip
def test_what_is_not_ours_is_refused_before_and_after_the_work(tmp_path: Path, make: Callable, said: str):
    """A file that somebody put there or changed, a folder, a link, a manifest of something else: named, and left."""
    write(tmp_path, texts(a="one"), command="run")
    make(tmp_path)
    before = listing(tmp_path), state(tmp_path)
    for job in (
        lambda: check(tmp_path, ["a.csv", "new.csv"]),
        lambda: write(tmp_path, texts(a="two", new="x"), command="run"),
    ):
        with pytest.raises(UsageError) as error:
            job()
        assert said in str(error.value)
        assert "nothing was written: give another folder with --out, or move" in str(error.value)
    assert before == (listing(tmp_path), state(tmp_path))


@pytest.mark.parametrize("kind", ["itself", "symlink", "hardlink", "relative"])
def test_an_input_is_never_written_over(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    """Also one that a command wrote here before, and whatever the study calls it."""
    write(tmp_path, texts(a="one"), command="run")
    path = tmp_path / "a.csv" if kind == "itself" else tmp_path / "other"
    if kind == "symlink":
        path.symlink_to("a.csv")
    elif kind == "hardlink":
        path.hardlink_to(tmp_path / "a.csv")
    elif kind == "relative":
        (tmp_path / "sub").mkdir()
        monkeypatch.chdir(tmp_path / "sub")
        path = Path("../sub/../a.csv")
    with pytest.raises(UsageError, match=r"a\.csv is an input of the study; nothing was written"):
        check(tmp_path, ["a.csv"], inputs=[path])
    with pytest.raises(UsageError, match=r"a\.csv is an input of the study; nothing was written"):
        write(tmp_path, texts(a="two"), command="run", inputs=[path])
    write(tmp_path, texts(b="two"), command="run", stale=["a.csv"], inputs=[path])
    assert state(tmp_path) == {"a.csv": "one", "b.csv": "two"}


def test_a_stale_file_goes_where_it_is_as_it_was_written(tmp_path: Path):
    """One that was changed by hand stays, and is the user's from then on."""
    write(tmp_path, texts(a="one", b="two", c="three"), command="run")
    (tmp_path / "b.csv").write_text("mine", encoding="utf-8")
    write(tmp_path, texts(a="four"), command="run", stale=["b.csv", "c.csv"])
    assert state(tmp_path) == {"a.csv": "four", "b.csv": "mine"}
    with pytest.raises(UsageError, match=r"no command wrote b\.csv"):
        check(tmp_path, ["b.csv"])


@pytest.mark.parametrize("old", [False, True])
def test_a_disk_that_is_full_changes_nothing(tmp_path: Path, old: bool, monkeypatch: pytest.MonkeyPatch):
    """Whichever write or flush it hits before the commit; the folder itself goes where it is new."""
    if old:
        write(tmp_path / "out", texts(a="one", b="two"), command="run")
    before = listing(tmp_path)
    real, calls = os.fsync, [0]
    for position in range(1, 4):
        calls[0] = position

        def full(opened: int) -> None:
            calls[0] -= 1
            if not calls[0]:
                raise OSError(28, "No space left on device")
            real(opened)

        monkeypatch.setattr(written.os, "fsync", full)
        with pytest.raises(
            UsageError, match=r"out: the outputs could not be written \(No space left on device\)"
        ):
            write(tmp_path / "out", texts(a="three", b="four"), command="run")
        monkeypatch.undo()
        assert listing(tmp_path) == before
    assert state(tmp_path / "out") == ({"a.csv": "one", "b.csv": "two"} if old else {})


KILLED = """
import os, pathlib, signal, sys
from forecast import written
home, left = pathlib.Path(sys.argv[1]), 0
def counted(real):
    def call(*args, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)
    return call
for owner, name in ((pathlib.Path, "replace"), (pathlib.Path, "unlink"), (pathlib.Path, "rmdir")):
    setattr(owner, name, counted(getattr(owner, name)))
os.fsync = counted(lambda _: None)  # what it does is for a power loss
made = {f"{n}.csv": lambda path, n=n: path.write_text(f"new {n}") for n in "abc"}
for step in range(1, int(sys.argv[2]) + 1):
    if not os.fork():
        left = step
        written.write(home / str(step) / "out", made, command="run", stale=["d.csv"])
        os._exit(0)
    os.wait()
"""


STEPS = 30


@pytest.fixture
def unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many writes that need not outlive a power loss."""
    monkeypatch.setattr(written.os, "fsync", lambda _: None)


def killed(home: Path) -> None:
    """Write a, b and c into home/N/out, killed at the N-th flush, rename or removal of it, for N from 1 to STEPS."""
    code = [sys.executable, "-c", KILLED, str(home), str(STEPS)]
    subprocess.run(code, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)


@POSIX
@pytest.mark.parametrize("old", [False, True])
def test_killed_at_any_step_the_next_command_makes_it_whole(tmp_path: Path, old: bool, unflushed: None):
    """At every flush, rename and removal: readers are told, and the next command finds all files old, or all new."""
    new = {f"{n}.csv": f"new {n}" for n in "abc"}
    before = {f"{n}.csv": f"old {n}" for n in "abcd"} if old else {}
    places = [tmp_path / str(step) / "out" for step in range(1, STEPS + 1)]
    for out in places if old else ():
        write(out, texts(a="old a", b="old b", c="old c", d="old d"), command="run")
    killed(tmp_path)
    ends, mixed = [], 0
    for out in places:
        found, told = state(out), unfinished(out)
        if found not in (new, before):
            mixed += 1
            assert "some are older than others" in str(told)
        check(out, list(new))  # as the next command does
        assert unfinished(out) is None
        assert state(out) in (new, before)
        ends.append(state(out) == new)
        assert set(listing(out) if out.exists() else []) == {*state(out), *([MANIFEST] if state(out) else [])}
        write(out, texts(a="x"), command="run")
    assert mixed >= 2
    assert ends == sorted(ends)
    assert ends[0] is False
    assert ends[-1] is True


@POSIX
def test_a_file_that_was_changed_after_the_kill_is_not_lost(tmp_path: Path, unflushed: None):
    """A commit goes on only over what it found."""
    places = [tmp_path / str(step) / "out" for step in range(1, STEPS + 1)]
    for out in places:
        write(out, texts(a="old a", b="old b", c="old c"), command="run")
    killed(tmp_path)
    out = next(out for out in places if (out / STAGING / "commit.json").exists())
    (out / "c.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"c\.csv was changed since; nothing was written: move c\.csv away"):
        check(out, ["a.csv"])
    (out / "c.csv").unlink()
    check(out, ["a.csv"])
    assert state(out) == {"a.csv": "new a", "b.csv": "new b", "c.csv": "new c"}


def test_two_commands_at_once_take_turns(tmp_path: Path):
    """The folder is wholly of one of them; one that is at work is left alone by whoever only checks."""
    begun, go = threading.Event(), threading.Event()

    def slow(path: Path) -> None:
        path.write_text("one", encoding="utf-8")
        begun.set()
        assert go.wait(10)

    first = threading.Thread(target=lambda: write(tmp_path, {"a.csv": slow} | texts(b="one"), command="run"))
    first.start()
    assert begun.wait(10)
    finish(tmp_path)
    assert unfinished(tmp_path) is None
    second = threading.Thread(target=lambda: write(tmp_path, texts(a="two", b="two"), command="run"))
    second.start()
    go.set()
    first.join()
    second.join()
    assert state(tmp_path) == {"a.csv": "two", "b.csv": "two"}
    assert listing(tmp_path) == ["a.csv", "b.csv", MANIFEST]


def test_a_command_that_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """After a while the second one gives up, and says what to do."""
    monkeypatch.setattr(written, "WAIT", 0.1)

    def inside(path: Path) -> None:
        with pytest.raises(UsageError, match="another forecast command is writing there"):
            write(tmp_path, texts(b="two"), command="run")
        path.write_text("one", encoding="utf-8")

    write(tmp_path, {"a.csv": inside}, command="run")
    assert state(tmp_path) == {"a.csv": "one"}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda out: out.symlink_to("nowhere"), "it is a link to nowhere, which is not there"),
        (lambda out: out.write_text("", encoding="utf-8"), "it is a file"),
        (lambda out: None, "File name too long"),
    ],
)
def test_a_folder_that_cannot_be_is_told_before_the_work(tmp_path: Path, make: Callable, reason: str):
    """A link without an end, a file in the way, a name that is too long."""
    out = tmp_path / ("x" * 300 if "long" in reason else "out")
    make(out)
    with pytest.raises(UsageError, match="--out") as error:
        check(out, ["a.csv"])
    assert f"cannot be written ({reason})" in str(error.value)


def test_new_files_of_the_user_are_placed_and_never_written_over(tmp_path: Path):
    """With their folders, and empty ones; a file in the way of a folder leaves nothing behind."""
    made = texts(**{"models/a": "one"})
    place(tmp_path / "plan", made, empty=["reports"])
    assert listing(tmp_path / "plan") == ["models", "models/a.csv", "reports"]
    with pytest.raises(UsageError, match=r"a\.csv exists already; nothing was written"):
        place(tmp_path / "plan", made)
    (tmp_path / "models").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match="models: cannot be written"):
        place(tmp_path, made, empty=["reports"])
    assert set(listing(tmp_path)) == {
        "models",
        "plan",
        *(f"plan/{name}" for name in listing(tmp_path / "plan")),
    }


def test_one_file_is_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Saved whole, and where the disk is full the old one stays."""
    save(tmp_path / "a.nc", b"one")
    save(tmp_path / "a.nc", b"two")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(written.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path / "a.nc", b"three")
    assert (tmp_path / "a.nc").read_bytes() == b"two"
    assert listing(tmp_path) == ["a.nc"]


def test_lines_are_appended_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A line that was cut off goes, the first call is told that the file is empty, a full disk leaves it as it was."""
    path = tmp_path / "deep" / "records.jsonl"
    append(path, lambda last: ["1"] if last else ["head", "1"])
    append(path, lambda last: [f"2 after {last.decode()}"] if last else ["head", "2"])
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"torn')
    assert cut_off(path)
    append(path, lambda _: ["3"])
    assert path.read_text(encoding="utf-8") == "head\n1\n2 after 1\n3\n"
    assert not cut_off(path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(written.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        append(path, lambda _: ["4"])
    assert path.read_text(encoding="utf-8") == "head\n1\n2 after 1\n3\n"


def test_processes_that_append_at_once_take_turns(tmp_path: Path):
    """Every line is there, and whole."""
    path = tmp_path / "records.jsonl"

    def many(name: str) -> None:
        for n in range(20):
            append(path, lambda _, n=n: [f"{name} {n} {'x' * 500}"])

    threads = [threading.Thread(target=many, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 80
    assert {line[:4].strip() for line in lines} == {f"{a} {n}"[:4].strip() for a in "abcd" for n in range(20)}
    assert {len(line.split()[-1]) for line in lines} == {500}
