"""The plan of record: what is signed, and that whatever changes afterwards is found."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import listing

from forecast import signing, workflow
from forecast.cli import app
from forecast.errors import DataError, GateError, UsageError
from forecast.fit import load_posterior
from forecast.history import read_history
from forecast.planning import forecast
from forecast.signing import RECORD, log, sign, verify
from forecast.study import load_study

NOW = datetime(2026, 7, 14, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, fit_by_hand: Path) -> Path:
    """A planning folder with a run that is signed once; the report is a stand-in."""
    home = tmp_path_factory.mktemp("planning") / "plan"
    shutil.copytree(fit_by_hand.parent, home / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("forecast.report.pdf.report_pdf", lambda *_, **__: b"%PDF-")
        patch.setattr(
            "forecast.report.workbook.write_workbook", lambda _, path, **__: path.write_bytes(b"sheets")
        )
        workflow.run(home / "models" / "small.toml", out=home / "reports" / "small")
    sign(home / "reports" / "small", by="Ann", now=NOW)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "plan")


def run_of(home: Path) -> Path:
    """The folder of the run."""
    return home / "reports" / "small"


def test_an_entry_holds_what_the_plan_rests_on(home: Path):
    """Who, when, what, on which files; the id is that of the summary; the record lies beside the runs."""
    (entry,), wrong = log(home / "reports" / RECORD)
    assert wrong == []
    summary = json.loads((run_of(home) / "summary.json").read_text(encoding="utf-8"))
    assert (entry["n"], entry["by"], entry["signed"]) == (1, "Ann", "2026-07-14T09:30:00Z")
    assert entry["run"] == "small"
    assert entry["run_id"] == summary["run_id"]
    assert entry["made"] == summary["made"]
    assert entry["verdict"]["status"] == summary["verdict"]["status"]
    assert entry["study"]["path"] == "../../models/small.toml"
    assert [file["path"] for file in entry["data"]] == ["../../models/small.csv"]
    assert entry["posterior"]["path"] == "../../models/small.nc"
    assert set(entry["outputs"]) == set(listing(run_of(home))) - {"manifest.json"}
    assert entry["plan"]["chosen"] == "recommended"
    assert entry["override"] is None
    assert verify(run_of(home))["differences"] == []


def test_another_plan_is_recorded_with_its_reason_and_numbers(home: Path):
    """The current one, or one from a file; without a reason it is refused; nothing is taken back."""
    folder, chosen = run_of(home), home / "chosen.csv"
    chosen.write_text("channel,spend\nppc,1000\nppc,500\n", encoding="utf-8")
    with pytest.raises(UsageError, match="--override: the plan is not the recommended one"):
        sign(folder, by="Bo", chosen=str(chosen))
    kept = sign(folder, by="Bo", chosen=str(chosen), override="the fair is booked")
    assert kept["override"] == "the fair is booked"
    assert kept["plan"]["spend"] == {"ppc": 1500.0}
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert kept["plan"]["recommended"] == {"ppc": summary["allocation"][0]["recommended"]}
    assert [e["plan"]["chosen"] for e in log(home / "reports" / RECORD)[0]] == ["recommended", str(chosen)]
    for text, said in (
        ("channel,spend\nppx,1\n", 'row 2: column channel: expected one of ppc; came "ppx"'),
        ("channel,spend\nppc,many\n", "row 2: column spend"),
        ("channel,spend\n", "no row for ppc"),
    ):
        chosen.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=said):
            sign(folder, chosen=str(chosen), override="half")


def test_a_fail_is_signed_with_a_reason_only(home: Path, monkeypatch: pytest.MonkeyPatch):
    """It stands in the entry."""
    summary = signing._summary(run_of(home))
    monkeypatch.setattr(
        signing, "_summary", lambda _: summary | {"verdict": {"status": "FAIL", "sentence": "no"}}
    )
    with pytest.raises(UsageError, match="--override: the verdict is FAIL"):
        sign(run_of(home), by="Bo")
    assert sign(run_of(home), by="Bo", override="known")["verdict"]["status"] == "FAIL"


def places(home: Path) -> Iterator[Path]:
    """Every file that a signed run rests on."""
    yield from (home / "models").iterdir()
    yield from run_of(home).iterdir()
    yield home / "reports" / RECORD


def flipped(home: Path, rng: random.Random, n: int) -> Iterator[tuple[Path, int, int]]:
    """Turn one bit of one file after the other, and back: which one."""
    files = sorted(places(home))
    for _ in range(n):
        path = rng.choice(files)
        content = bytearray(path.read_bytes())
        at, bit = rng.randrange(len(content)), rng.randrange(8)
        content[at] ^= 1 << bit
        path.write_bytes(content)
        yield path, at, bit
        content[at] ^= 1 << bit
        path.write_bytes(content)


def found(folder: Path) -> bool:
    """Whether something is said to differ."""
    return bool(verify(folder)["differences"])


@pytest.mark.parametrize("n", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_flipped_bit_is_found(home: Path, n: int):
    """Of study, data, posterior, outputs, manifest and record; and none where none was flipped."""
    sign(run_of(home), by="Bo", chosen="current", override="the fair is booked")
    seen = set()
    for path, at, bit in flipped(home, random.Random(5), n):  # noqa: S311 - of bits, not of keys
        assert found(run_of(home)), (path, at, bit)
        seen.add(path.name)
    assert len(seen) > 8
    assert not found(run_of(home))


def test_each_bit_of_manifest_and_record_counts(home: Path):
    """The files that vouch for the others: a bit of every byte."""
    record = home / "reports" / RECORD
    sign(run_of(home), by="Bo", chosen="current", override="the fair is booked")
    whole = record.read_bytes()
    for at in range(0, len(whole), 7):
        record.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        assert list(signing._chain(record)), at
    record.write_bytes(whole[:-1] + b" ")
    assert list(signing._chain(record))


def test_an_entry_that_is_taken_out_or_moved_breaks_the_chain(home: Path):
    """Each entry holds the hash of the one before; `sign` goes on no broken record; a broken chain ends with 5."""
    record = home / "reports" / RECORD
    for _ in range(2):
        sign(run_of(home), by="Bo")
    one, two, three = record.read_bytes().splitlines(keepends=True)
    for broken in (one + three, two + three, one + three + two, one + two + two + three):
        record.write_bytes(broken)
        assert "does not follow the entry before it" in " ".join(log(record)[1])
        with pytest.raises(GateError, match="not signed, as something has changed"):
            sign(run_of(home), by="Bo")
        assert CliRunner().invoke(app, ["log", str(record.parent)]).exit_code == 5
    record.write_bytes(one + two + three)
    said = CliRunner().invoke(app, ["log", str(record.parent)])
    assert said.exit_code == 0
    assert "The chain is whole." in said.stdout


def test_a_change_is_told_by_the_command(home: Path):
    """A line a difference, exit code 5; nothing is signed then."""
    folder = run_of(home)
    with (home / "models" / "small.csv").open("a", encoding="utf-8") as stream:
        stream.write("\n")
    (folder / "report.pdf").unlink()
    made = CliRunner().invoke(app, ["verify", str(folder)])
    assert made.exit_code == 5
    assert [line.rpartition("/")[2] for line in made.stdout.splitlines()] == [
        "report.pdf: missing",
        "small.csv: changed",
    ]
    refused = CliRunner().invoke(app, ["sign", str(folder)])
    assert refused.exit_code == 5
    assert "small.csv: changed" in refused.stderr


def test_a_run_that_was_made_again_is_not_the_one_that_was_signed(home: Path, no_paper: None):
    """Another seed into the same folder: the record tells, until the new one is signed."""
    folder = run_of(home)
    workflow.run(home / "models" / "small.toml", out=folder, preview=True, draws=100)
    differences = verify(folder)["differences"]
    assert "run_id: not that of entry 1 of the record, which is of an earlier run" in differences
    sign(folder, by="Ann")
    again = verify(folder)
    assert again["differences"] == []
    assert any("a preview: it has no posterior" in note for note in again["notes"])


def test_what_cannot_be_verified_is_said(tmp_path: Path):
    """No folder, no manifest, no record."""
    with pytest.raises(UsageError, match="no such folder"):
        verify(tmp_path / "none")
    with pytest.raises(UsageError, match=r"no manifest\.json here"):
        verify(tmp_path)
    with pytest.raises(UsageError, match="no record here"):
        log(tmp_path / RECORD)


@pytest.mark.slow
def test_a_run_made_again_is_the_same_to_the_byte(fitted_study: Path, tmp_path: Path):
    """And where one output is not what the run makes, the remake tells, though manifest and file agree."""
    out = tmp_path / "reports" / "small"
    workflow.run(fitted_study, out=out)
    again = verify(out, remake=True)
    assert again["differences"] == []
    assert again["notes"] == ["not signed: plan-of-record.jsonl has no entry of this run"]
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    (out / "forecast.csv").write_text("period,channel\n", encoding="utf-8")
    manifest["files"]["forecast.csv"]["sha256"] = signing.written.digest(out / "forecast.csv")
    (out / "manifest.json").write_bytes(signing.written.seal(manifest))
    assert verify(out)["differences"] == []
    assert verify(out, remake=True)["differences"] == ["forecast.csv: made again, it is another"]


@pytest.mark.slow
@pytest.mark.parametrize("python", [False, True])
def test_a_run_of_many_paths_is_made_again_with_as_many(fitted_study: Path, tmp_path: Path, python: bool):
    """By the command and from Python; made again with fewer, its totals are others."""
    out, many, asked = tmp_path / "run", 6000, ("csv",)
    if python:
        study = load_study(fitted_study)
        fit = load_posterior(fitted_study.with_suffix(".nc"))
        forecast(study, read_history(study), fit, paths=many).write(out, outputs=asked)
    else:
        workflow.run(fitted_study, out=out, paths=many, outputs=asked)
    assert verify(out, remake=True)["differences"] == []
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["commands"]["run"]["asked"]["paths"] == many
    manifest["commands"]["run"]["asked"]["paths"] = 3000
    (out / "manifest.json").write_bytes(signing.written.seal(manifest))
    found = verify(out, remake=True)["differences"]
    assert "totals.csv: made again, it is another" in found
