"""Bad input through the command line: one clear message, the right exit code, no traceback, nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from click.testing import CliRunner
from conftest import ROOT, STUDY, counts, save_by_hand

from forecast import making, workflow
from forecast.cli import app
from forecast.report import files as export

USAGE, DATA = 2, 3
PLAN = STUDY.replace("periods = 3", 'periods = 3\nspend = "plan.csv"')
LEADS = STUDY.replace('counts = "small.csv"', 'leads = "leads.csv"').replace('through = "2026-06"\n', "")
COHORT = STUDY.replace("[history]", '[history]\ncounting = "cohort"')


@pytest.fixture(autouse=True)
def no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may come as far as a fit, too few draws aside."""
    fit = workflow.fit_posterior

    def caught(*args: Any, draws: int, **options: Any) -> Any:
        assert draws < 400, "bad input came as far as the fit"
        return fit(*args, draws=draws, **options)

    for jobs in (workflow, making):
        monkeypatch.setattr(jobs, "fit_posterior", caught)


def state(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its content, every folder with none."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def refused(folder: Path, code: int, *args: str) -> str:
    """What a person is told by a command that must end with `code`; the folder must be as it was."""
    before = state(folder)
    made = CliRunner().invoke(app, [*args], prog_name="forecast")
    assert made.exit_code == code, (made.exit_code, made.stderr)
    _is_one_message(made)
    assert state(folder) == before
    return made.stderr


def _is_one_message(made: Any) -> None:
    """Said on stderr, once, with no traceback and no word of the inside."""
    assert made.stdout == ""
    assert made.stderr.count("Error:") == 1
    for inside in ("Traceback", "Unexpected", "Errno", "<class", "site-packages"):
        assert inside not in made.stderr


def row_edited(number: int, old: str, new: str) -> str:
    """The small company's counts with a text replaced in one row (the header is row 1)."""
    lines = counts().splitlines(keepends=True)
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    return "".join(lines)


@dataclass(frozen=True)
class Bad:
    """A study and its data with one thing wrong, the exit code, and what the message must say."""

    words: tuple[str, ...]
    code: int = DATA
    study: str | bytes = STUDY
    data: str | bytes | None = counts()
    others: dict[str, str | bytes] = field(default_factory=dict)

    def put(self, folder: Path) -> Path:
        """The files in a folder; gives the study."""
        files = {"small.toml": self.study, **self.others}
        if self.data is not None:
            files["small.csv"] = self.data
        for name, content in files.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / "small.toml"


COUNTS = {
    "missing column": Bad(
        ('small.csv: row 1: no column "leads"', "the file has period, channel", "history.columns.leads"),
        data=counts().replace("leads", "prospects", 1),
    ),
    "text in a number": Bad(
        ('small.csv: column leads: row 5 ("n/a"): expected a number',), data=row_edited(5, ",28,", ",n/a,")
    ),
    "a mark of two meanings": Bad(
        (
            'small.csv: column visitors: row 4 ("1,075"): the comma may part thousands',
            "history.read.thousands",
        ),
        data=row_edited(4, ",1075,", ',"1,075",'),
    ),
    "negative count": Bad(
        ('small.csv: column visitors: row 3 ("-900"): expected 0 or more',),
        data=row_edited(3, ",900,", ",-900,"),
    ),
    "half a lead": Bad(
        ('small.csv: column leads: row 3 ("27.5"): expected whole numbers',),
        data=row_edited(3, ",27,", ",27.5,"),
    ),
    "duplicate": Bad(
        (
            "1 pair of period and channel in more than one row",
            "2026-06 seo (rows 37 and 38)",
            "one row per month",
        ),
        data=counts() + counts().splitlines()[-1],
    ),
    "gap of a channel": Bad(
        ('small.csv: channel "ppc" has no row for 2025-05', "with 0 where nothing happened"),
        data="".join(line for line in counts().splitlines(True) if not line.startswith("2025-05,ppc")),
    ),
    "gap of all": Bad(
        ("Error: small.csv: no channel has a row for 2025-05, 2025-06;",),
        data="".join(
            line for line in counts().splitlines(True) if not line.startswith(("2025-05", "2025-06"))
        ),
    ),
    "unreadable date": Bad(
        ('small.csv: column period: row 2 ("Jan"): expected a month; write it as 2026-03',),
        data=row_edited(2, "2025-01", "Jan"),
    ),
    "empty file": Bad(("small.csv: is empty (0 bytes)",), data=""),
    "header only": Bad(("small.csv: has a header and no rows",), data=counts().splitlines()[0]),
    "wrong encoding": Bad(
        ("small.csv: is not UTF-8", "CSV UTF-8", "history.read.encoding"),
        data=counts().replace("seo", "référencement").encode("cp850"),
    ),
    "half a UTF-16": Bad(("which is not UTF-16",), data=counts().encode("utf-16") + b"1"),
    "XLSX of 0 bytes": Bad(
        ("small.xlsx: is empty (0 bytes)",),
        study=STUDY.replace("small.csv", "small.xlsx"),
        others={"small.xlsx": b""},
    ),
    "broken XLSX": Bad(
        ("small.xlsx: is a workbook without its end", "export it again"),
        study=STUDY.replace("small.csv", "small.xlsx"),
        others={"small.xlsx": b"PK\x03\x04 and no more"},
    ),
    "another kind of file": Bad(
        ("small.pdf: expected a file ending in .csv, .parquet or .xlsx",),
        study=STUDY.replace("small.csv", "small.pdf"),
        others={"small.pdf": b"%PDF"},
    ),
    "data file not there": Bad(
        ("small.csv: no such file (looked in ", "history.counts names it", 'did you mean "smalls.csv"?'),
        data=None,
        others={"smalls.csv": counts()},
    ),
    "more qualified than leads, of the same leads": Bad(
        (
            'small.csv: column qualified: row 3 ("99 of 27"): more qualified than leads',
            'counting = "calendar"',
        ),
        study=COHORT,
        data=counts(cohort=True).replace(",27,10,", ",27,99,", 1),
    ),
    "leads in place of counts": Bad(
        ('small.csv: row 1: no column "period"', "the file has lead_id"),
        data="lead_id,channel,created,qualified,won\na,ppc,2026-01-02,,\n",
    ),
}
PLANS = {
    "unknown channel in the plan's file": Bad(
        ('plan.csv: column channel: row 3: the data have no channel "pcc"', 'did you mean "ppc"?'),
        study=PLAN,
        others={"plan.csv": "period,channel,spend\n2026-07,ppc,1\n2026-07,pcc,1\n"},
    ),
    "a paid channel without a plan": Bad(
        ('plan.csv: channel "ppc" has no row for 2026-08, 2026-09; add them, 0 to stop it',),
        study=PLAN,
        others={"plan.csv": "period,channel,spend\n2026-07,ppc,1\n"},
    ),
    "text in the plan": Bad(
        ('plan.csv: column spend: row 2 ("lots"): expected a number',),
        study=PLAN,
        others={"plan.csv": "period,channel,spend\n2026-07,ppc,lots\n"},
    ),
    "the plan's file not there": Bad(("plan.csv: no such file", "plan.spend names it"), study=PLAN),
    "unknown channel in the study's plan": Bad(
        ('small.toml:15: plan.spend: the data have no channel "pcc"', 'did you mean "ppc"?'),
        USAGE,
        study=STUDY.replace("periods = 3", "periods = 3\nspend = { ppc = 1, pcc = 2 }"),
    ),
}
STUDIES = {
    "unknown key": Bad(
        ('small.toml:15: plan.tarket: unknown key; did you mean "target"?',),
        USAGE,
        study=STUDY.replace("target", "tarket"),
    ),
    "several at once": Bad(
        (
            "Error:\n",
            'small.toml:8: funnel.market: expected one of b2b, b2c, none; came "b2x"',
            "small.toml:14: plan.periods: expected a number of at least 1; came 0",
        ),
        USAGE,
        study=STUDY.replace('"b2b"', '"b2x"').replace("periods = 3", "periods = 0"),
    ),
    "no TOML": Bad(
        ("small.toml:1: not valid TOML at column 8", 'Text needs quotes: name = "small"'),
        USAGE,
        study=STUDY.replace('"small"', "small", 1),
    ),
    "no UTF-8": Bad(
        ("small.toml:1: byte 0xe9 is not UTF-8",),
        USAGE,
        study=STUDY.replace("small", "sm\xe9ll", 1).encode("latin-1"),
    ),
    "channel that the data do not have": Bad(
        ('the data have no channel "pcc"', 'did you mean "ppc"?'),
        USAGE,
        study=STUDY.replace("channels.ppc", "channels.pcc"),
    ),
    "limits that cannot be met": Bad(
        (
            "budget.total: at most 5 000 in total (at least 9 000 would do)",
            "budget.limits.ppc.min: ppc at least 9 000",
        ),
        USAGE,
        study=STUDY + "\n[budget]\ntotal = 5000\nlimits.ppc = { min = 9000 }\n",
    ),
    "limits that contradict each other": Bad(
        ("small.toml:18: budget.limits.ppc: expected min <= max; came min = 9, max = 3",),
        USAGE,
        study=STUDY + "\n[budget]\nlimits.ppc = { min = 9, max = 3 }\n",
    ),
    "revenue to reach, and none recorded": Bad(
        ("small.toml:15: plan.target: asks for revenue, and the data have none", "won = 45"),
        USAGE,
        data="\n".join(line.rpartition(",")[0] for line in counts().splitlines()),
    ),
    "a name that leads out of the folder": Bad(
        ("small.toml:1: name: expected letters, digits", 'came "../small"'),
        USAGE,
        study=STUDY.replace('"small"', '"../small"', 1),
    ),
}
DATED = "lead_id,channel,created,qualified,won,lost,amount\n"
LEAD_FILES = {
    "wrong columns": Bad(
        ('leads.csv: row 1: no column "lead_id"', 'leads.csv: row 1: no column "created"', "history.columns"),
        study=LEADS,
        others={"leads.csv": counts()},
    ),
    "columns swapped": Bad(
        (
            'leads.csv: column created: row 2 ("ppc"): expected a date',
            'column won: row 2 ("x")',
        ),
        study=LEADS,
        others={"leads.csv": "lead_id,channel,created,qualified,won\na,x,ppc,2026-01-02,x\n"},
    ),
    "won before created": Bad(
        ("leads.csv: column qualified: row 2", "comes before created", "2026-01-01"),
        study=LEADS,
        others={"leads.csv": DATED + "a,ppc,2026-01-02,2026-01-01,2026-02-01,,100\n"},
    ),
    "won and lost": Bad(
        ("leads.csv: column lost: row 2", "won and lost both"),
        study=LEADS,
        others={"leads.csv": DATED + "a,ppc,2026-01-02,2026-01-03,2026-02-01,2026-02-02,100\n"},
    ),
    "one lead twice": Bad(
        ('leads.csv: column lead_id: 1 id stands in more than one row: "a" (rows 2 and 3)',),
        study=LEADS,
        others={"leads.csv": DATED + 2 * "a,ppc,2026-01-02,,,,\n"},
    ),
}
ALL = COUNTS | PLANS | STUDIES | LEAD_FILES


@pytest.mark.parametrize("case", ALL)
def test_bad_input_is_told_and_nothing_is_written(tmp_path: Path, case: str):
    """`run` names the file, the row, the column or the key, what came and what to do; the folder stays as it was."""
    bad = ALL[case]
    study = bad.put(tmp_path)
    said = refused(tmp_path, bad.code, "run", str(study), "--out", str(tmp_path / "out"), "--quiet")
    for words in bad.words:
        assert words in said


@pytest.mark.parametrize("command", ["check", "fit", "run"])
@pytest.mark.parametrize("case", ["missing column", "unknown key", "unknown channel in the plan's file"])
def test_every_command_says_the_same(
    tmp_path: Path, case: str, command: str, monkeypatch: pytest.MonkeyPatch
):
    """check, fit and run read alike."""
    bad = ALL[case]
    study = bad.put(tmp_path)
    monkeypatch.chdir(tmp_path)
    said = refused(tmp_path, bad.code, command, study.name)
    assert all(words in said for words in bad.words)


# What the command itself is given


@pytest.mark.parametrize("command", ["check", "fit", "run", "allocate"])
def test_a_study_that_is_not_there(small_study: Path, command: str):
    """Names the file, and the one that was probably meant."""
    said = refused(small_study.parent, USAGE, command, str(small_study.with_name("smal.toml")))
    assert 'smal.toml: there is no such file; did you mean "small.toml"?' in said


def test_a_folder_in_place_of_a_study(small_study: Path):
    """Says what was expected."""
    assert "is a folder; expected a study file" in refused(
        small_study.parent, USAGE, "run", str(small_study.parent)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--draws", "100"], "--draws: expected at least 400"),
        (["--draws", "many"], "--draws"),
        (["--seed", "-1"], "--seed"),
        (["--set", "plan.periods"], "--set plan.periods: expected key=value"),
        (["--set", "plan.perods=3"], '--set: plan.perods: unknown key; did you mean "periods"?'),
        (["--set", "plan.periods=three"], '--set: plan.periods: expected a whole number; came "three"'),
        (
            ["--set", "history.through=2027-01"],
            "--set: history.through: expected a period that the data hold",
        ),
        (["--set", "name.first=x"], '"name" is a value in the study, not a table'),
    ],
)
def test_bad_options(small_study: Path, options: list[str], words: str):
    """The option is named with what it takes."""
    said = refused(small_study.parent, USAGE, "run", str(small_study), *options)
    assert words in said


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("taken", "taken: the output folder cannot be written (it is a file); give another one with --out"),
        ("taken/below/it", "taken is a file"),
        ("foreign", "holds report.pdf, and no manifest.json that would show a command to have written it"),
    ],
)
def test_output_folders_that_cannot_be_used(fitted_study: Path, out: str, words: str):
    """A file in the way, or a folder with a report of somebody else: said before the fit, and left alone."""
    home = fitted_study.parent
    (home / "taken").write_text("a file", encoding="utf-8")
    (home / "foreign").mkdir()
    (home / "foreign" / "report.pdf").write_text("signed", encoding="utf-8")
    assert words in refused(home, USAGE, "run", str(fitted_study), "--out", str(home / out))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write wherever it likes"
)
def test_a_folder_without_permission(fitted_study: Path):
    """Said with the reason that the system gives."""
    locked = fitted_study.parent / "locked"
    locked.mkdir(mode=0o500)
    said = refused(fitted_study.parent, USAGE, "run", str(fitted_study), "--out", str(locked / "out"))
    assert "cannot be written (Permission denied)" in said


def test_a_place_for_the_fit_that_is_taken(small_study: Path):
    """A folder where the fit would be saved: said before time is spent on it."""
    small_study.with_suffix(".nc").mkdir()
    for command in ("fit", "run"):
        said = refused(small_study.parent, USAGE, command, str(small_study))
        assert "small.nc: the fitted posterior could not be written (it is a folder)" in said


# A saved fit that is no good


def _foreign(path: Path) -> None:
    xr.Dataset({"a": ("x", [1.0, 2.0])}).to_netcdf(path, engine="h5netcdf")


BROKEN: dict[str, Callable[[Path], object]] = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("period,channel\n", encoding="utf-8"),
    "another netCDF": _foreign,
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("command", ["run", "allocate"])
def test_a_saved_fit_that_cannot_be_read(fitted_study: Path, case: str, command: str):
    """Said with how to mend it; it is not deleted behind anyone's back."""
    BROKEN[case](fitted_study.with_suffix(".nc"))
    said = refused(fitted_study.parent, DATA, command, str(fitted_study))
    assert "small.nc: not a fitted posterior (" in said
    assert "delete it and run `forecast fit` again" in said


def test_allocate_without_a_fit(small_study: Path):
    """Says which command makes one."""
    said = refused(small_study.parent, DATA, "allocate", str(small_study))
    assert "small.nc: no fitted posterior here; run `forecast fit` first" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--total", "10"], "budget.total: at most 10 in total (at least 3 225 would do)"),
        (["--change", "30"], "did you mean 30%?"),
        (["--set", "budget.limits.pcc.max=9"], 'budget.limits.pcc: the data have no channel "pcc"'),
        (["--set", "funnel.market=b2c"], "fitted on other data, funnel or priors than the study has now"),
    ],
)
def test_budgets_that_cannot_be_divided(fitted_study: Path, options: list[str], words: str):
    """Limits, shares and channels are checked; a fit of something else is not used."""
    assert words in refused(fitted_study.parent, USAGE, "allocate", str(fitted_study), *options)


# A disk that fills up, a hand on the keyboard


@pytest.mark.parametrize(
    ("place", "old"),
    [
        ("files.write_csv", False),
        ("workbook.write_workbook", True),
        ("pdf.report_pdf", False),
        ("files.write_draws", False),
        ("files.write_draws", True),
    ],
)
def test_a_full_disk_in_the_middle_of_the_outputs(
    fitted_study: Path, no_paper: None, monkeypatch: pytest.MonkeyPatch, place: str, old: bool
):
    """Whichever file it hits: the outputs of the earlier run stay whole, or there are none."""
    home = fitted_study.parent
    if old:
        export.write_outputs(home / "out", *_outputs())

    def full(*args: Any, **_: Any) -> None:
        if isinstance(args[-1], Path):
            args[-1].write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"forecast.report.{place}", full)
    said = refused(home, USAGE, "run", str(fitted_study), "--out", str(home / "out"))
    assert "out: the outputs could not be written (No space left on device)" in said


def _outputs() -> tuple[Any, Any, dict[str, Any]]:
    from tables_fixture import plausible_outlook, plausible_tables

    tables = plausible_tables(channels=("ppc",), stages=("leads", "won"), past=12)
    return tables, plausible_outlook(tables), {"run": 1}


LIMITED = """\
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from forecast.__main__ import main
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="sizes of files are limited by POSIX means")
def test_a_file_that_may_not_grow(fitted_study: Path):
    """The operating system really refuses in the middle of a file: a message, no crash, nothing left."""
    home = fitted_study.parent
    before = state(home)
    made = _process(home, LIMITED, "run", "small.toml", "--out", "out", "--quiet")
    _, said = made.communicate(timeout=120)
    assert made.returncode == USAGE, said
    assert said == "Error: out: the outputs could not be written (File too large)\n"
    assert state(home) == before


INTERRUPTIBLE = """\
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from forecast.__main__ import main
main()
"""


def _process(home: Path, code: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="SIGINT is sent by POSIX means")
@pytest.mark.parametrize("command", [pytest.param("run", marks=pytest.mark.slow), "fit"])
def test_ctrl_c_during_the_fit(small_study: Path, command: str):
    """A real SIGINT while it fits: exit code 130, one line, no posterior, no outputs, no temporary file."""
    home = small_study.parent
    before = state(home)
    made = _process(home, INTERRUPTIBLE, command, "small.toml", "--draws", "400000")
    assert made.stderr is not None
    for line in made.stderr:
        if line.startswith("fitting"):
            break
    time.sleep(2.0 if command == "run" else 0.0)  # while it samples, and while it still gets ready to
    made.send_signal(signal.SIGINT)
    said, talk = made.communicate(timeout=60)
    assert made.returncode == 130, talk
    assert said == ""
    assert talk.splitlines()[-1].removeprefix("Error: ").startswith("interrupted; no")
    assert "Traceback" not in talk
    assert state(home) == before


def test_a_fit_by_hand_is_a_fit(fitted_study: Path):
    """What these tests take for a sound study is one: nothing above fails for another reason."""
    made = CliRunner().invoke(app, ["check", str(fitted_study)])
    assert made.exit_code == 0, made.stderr
    assert save_by_hand(fitted_study).is_file()
