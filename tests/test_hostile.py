"""Names that act, vanish or turn round, through every output of a run: nothing executed, lost or broken."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import openpyxl
import pytest
import xarray as xr
from click.testing import CliRunner
from conftest import ROOT, STUDY, counts

from forecast.cli import app
from forecast.words import clean, visible
from tests.tables_fixture import CLUSTERS, HOSTILE, STEERING

EVIL = "\x1b]0;PWNED\x07\x1b[2J"
# One for each word that means something to us, to pandas, xarray or a spreadsheet.
WORDS = ("plan", "draw", "channel", "period", "stage", "given", "recommended", "current", "base", "n", "nan", "TRUE",
         "1e5", "measure", "q50", "__class__")  # fmt: skip


def quoted(said: str) -> str:
    """A text as a study file has it."""
    return visible(json.dumps(said, ensure_ascii=False))


def company(folder: Path, channels: tuple[str, ...]) -> Path:
    """The small company with a channel of each name, and hostile texts wherever a study takes one."""
    head, *rows = counts().splitlines()
    made = [head.split(",")]
    for k, name in enumerate(channels):
        of = [row.split(",") for row in rows if (",ppc," in row) == (k % 2 == 0)]
        made += [[period, name, *cells] for period, _, *cells in of]
    with (folder / "small.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(made)
    study = STUDY.replace("channels.ppc", f"channels.{quoted(channels[0])}")
    study = study.replace('name = "small"', f'name = "small"\ncurrency = {quoted("=1+1€" + EVIL[:1])}')
    study += f"""
[[scenario]]
name = {quoted('=HYPERLINK("http://evil")' + EVIL + "<script>")}
note = {quoted(EVIL)}
rate.won = {{ times = 1.2 }}

[[goal]]
name = {quoted("@SUM(1)" + EVIL)}
by = "2026-08"
won = 30
"""
    (folder / "small.toml").write_text(study, encoding="utf-8")
    return folder / "small.toml"


def test_a_check_steers_no_terminal(tmp_path):
    """Nothing that acts reaches stdout or stderr, as text or as JSON; the names are there."""
    study = company(tmp_path, STEERING)
    for more in ([], ["--json"]):
        made = CliRunner().invoke(app, ["check", str(study), *more])
        assert made.exit_code == 0, made.stderr
        assert visible(made.output) == made.output
    assert set(STEERING) == set(json.loads(made.stdout)["channels"])


@pytest.mark.parametrize(
    "words", [["check", EVIL + "x.toml"], ["che" + EVIL], ["run", "--draws", EVIL], ["--" + EVIL]]
)
def test_what_was_typed_steers_no_terminal(words):
    """A path, a command, a value, an option that are quoted in a message."""
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 2
    assert "PWNED" in made.output
    assert visible(made.output) == made.output


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("ppc", "\u200b\u3164"), r'nothing is seen of a channel\'s name (\u200b\u3164)'),
        (("Café", "Cafe\u0301"), "one channel has several spellings"),
        (("a\nb", "a b"), "one channel has several spellings"),
        (("ppc", "pp\u200bc"), "one channel has several spellings"),
        (("ppc", "\uff50\uff50\uff43"), "one channel has several spellings"),
    ],
)  # fmt: skip
def test_names_that_nobody_could_tell_apart_are_refused(tmp_path, names, said):
    """Blank to the eye, or equal once they are shown."""
    made = CliRunner().invoke(app, ["check", str(company(tmp_path, names))])
    assert made.exit_code == 3
    assert said.replace(r"\'", "'") in made.stderr


def test_a_scenario_without_a_name_to_be_seen_is_refused(tmp_path):
    """The place is named."""
    study = company(tmp_path, ("ppc", "seo"))
    text = re.sub(r"name = .*HYPERLINK.*", lambda _: 'name = "\\u200b"', study.read_text(encoding="utf-8"))
    study.write_text(text, encoding="utf-8")
    made = CliRunner().invoke(app, ["check", str(study)])
    assert made.exit_code == 2
    assert "scenario.1.name: expected a name that can be read" in made.stderr


@pytest.mark.parametrize("word", ["plan", "n", "bad", "amounts", "total", "period", "spend"])
def test_stages_that_are_words_of_ours_are_refused_by_name(tmp_path, word):
    """With another name to take."""
    study = company(tmp_path, ("ppc", "seo"))
    text = study.read_text(encoding="utf-8").replace(
        "[funnel]\n", f'[funnel]\nstages = ["leads", "{word}", "won"]\n'
    )
    study.write_text(text, encoding="utf-8")
    made = CliRunner().invoke(app, ["check", str(study)])
    assert made.exit_code == 2
    assert f'"{word}" is the name of another column: call the stage otherwise ("{word}_stage")' in made.stderr


def run(study: Path, out: Path) -> str:
    """What a preview says on a terminal of its own, byte for byte."""
    import pty

    command = [
        sys.executable,
        "-m",
        "forecast",
        "run",
        str(study),
        "--preview",
        "--draws",
        "60",
        "--quiet",
        "--out",
        str(out),
    ]
    ours, theirs = pty.openpty()
    env = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            said += piece
    os.close(ours)
    assert process.returncode == 0, said.decode()
    return said.decode().replace("\r\n", "\n")


def pdf_text(folder: Path) -> str:
    """The words of the report, spaces alike."""
    made = subprocess.run(
        ["pdftotext", "-layout", str(folder / "report.pdf"), "-"],
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", made.stdout))


def not_broken(folder: Path) -> set[str]:
    """The texts of CSV and workbook, none of them a formula, a link or a sign that acts."""
    texts: set[str] = set()
    for path in folder.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [c for c in cells if c[:1] in ("=", "@") or clean(c) != c]
        texts.update(cell.removeprefix("'") for cell in cells)
    for sheet in openpyxl.load_workbook(folder / "report.xlsx"):
        for cell in (cell for row in sheet.iter_rows() for cell in row):
            assert cell.data_type != "f"
            assert not cell.hyperlink
            if isinstance(cell.value, str):
                assert clean(cell.value) == cell.value
                texts.add(cell.value)
    return texts


@pytest.mark.slow
@pytest.mark.outside
@pytest.mark.skipif(
    shutil.which("pdftotext") is None or os.name == "nt", reason="poppler-utils, a terminal of POSIX"
)
def test_hostile_names_through_every_output(tmp_path):
    """Terminal, PDF, workbook, CSV, JSON, draws: each name is there, as itself or with its signs written out."""
    names = (*STEERING, *HOSTILE, *WORDS)
    said = run(company(tmp_path, names), tmp_path / "o")
    assert visible(said) == said
    folder = tmp_path / "o"
    assert {clean(name).strip() for name in names} <= {text.strip() for text in not_broken(folder)}
    with xr.open_dataset(folder / "draws.nc", engine="h5netcdf") as draws:
        assert {name.strip() for name in names} == {str(name) for name in draws["channel"].values}
    written = (folder / "summary.json").read_text(encoding="utf-8")
    assert visible(written) == written
    json.loads(written, parse_constant=pytest.fail)
    paper = pdf_text(folder)
    for name in (
        r"\u001b]0;PWNED\u0007",
        r"\u009b31m",
        "<r>rich</r>",
        '#import "x"',
        "$\\frac{$",
        "__class__",
    ):
        assert name in paper, name
    assert "=1+1€" in paper


@pytest.mark.slow
@pytest.mark.outside
@pytest.mark.skipif(
    shutil.which("pdftotext") is None or os.name == "nt", reason="poppler-utils, a terminal of POSIX"
)
def test_sixty_channels_of_sequences_and_scripts_make_a_report(tmp_path):
    """Emoji of several persons, scripts from right to left, syllables of India; in full in all files but the paper."""
    seen = [name for name in CLUSTERS if not name.startswith(("\u200b", "\u0301", "a"))]
    names = tuple(f"{name} {k}" for k in range(3) for name in seen)[:60]
    said = run(company(tmp_path, names), tmp_path / "o")
    assert visible(said) == said
    assert {name.strip() for name in names} <= {text.strip() for text in not_broken(tmp_path / "o")}
    paper = pdf_text(tmp_path / "o")
    assert "\N{WHITE SQUARE}" in paper
    assert "family" in paper
