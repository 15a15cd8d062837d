"""The monthly script of docs/scheduled.md as it stands there, with a webhook that listens; and its CI files."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, STUDY, counts

from forecast.cli import app
from forecast.options import JSON

PAGE = (ROOT / "docs" / "scheduled.md").read_text(encoding="utf-8")
SCRIPT = re.findall(r"^```sh file=monthly.sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
CI = dict(re.findall(r"^```yaml ci=(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
NEXT = "2026-07,ppc,2150,1075,53,21,3,12300\n2026-07,seo,0,900,28,11,2,9000\n"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the script is for a POSIX shell")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A planning folder with the script, and a study that reads all months that have ended."""
    (tmp_path / "monthly.sh").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "small.toml").write_text(STUDY.replace('through = "2026-06"\n', ""), encoding="utf-8")
    (tmp_path / "small.csv").write_text(counts(), encoding="utf-8")
    (tmp_path / "bin").mkdir()
    return tmp_path


def put(home: Path, script: str) -> None:
    """What answers to `forecast` on the PATH."""
    path = home / "bin" / "forecast"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def monthly(home: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the script there, as cron would."""
    paths = os.environ | {"PATH": f"{home / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["sh", "monthly.sh", "small.toml", *options],
        cwd=home, env=paths | env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def lines_of(home: Path) -> list[dict[str, Any]]:
    """The lines that were kept."""
    kept = (home / "reports" / "monthly.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in kept.splitlines()]


def earlier(home: Path, month: str) -> None:
    """A run of an earlier month, as far as the script looks."""
    (home / "reports" / month).mkdir(parents=True)
    (home / "reports" / month / "summary.json").touch()


def test_commands_come_in_order_and_the_latest_run_is_scored(home: Path) -> None:
    """Verify before the export is taken, then score, then run, each with --json-line; options go to the run."""
    put(home, 'echo "forecast $*" >>calls; echo "{}"')
    for month in ("2026-05", "2026-06", "2026-07"):
        earlier(home, month)
    result = monthly(home, "--preview", MONTH="2026-07", EXPORT="echo export >>calls")
    assert result.returncode == 0
    assert (home / "calls").read_text(encoding="utf-8").splitlines() == [
        "forecast verify reports/2026-06 --quiet --json-line",
        "export",
        "forecast score reports/2026-06 small.toml --quiet --json-line",
        "forecast run small.toml --out reports/2026-07 --preview --quiet --json-line",
    ]
    assert lines_of(home) == [{}, {}, {}]


@pytest.mark.parametrize(
    ("codes", "code"),
    [("0 0 0", 0), ("5 0 0", 5), ("0 3 0", 3), ("5 3 0", 5), ("5 3 4", 4), ("0 0 2", 2)],
)
def test_the_code_is_that_of_the_run_then_of_what_was_verified_and_scored(
    home: Path, codes: str, code: int
) -> None:
    """Codes of verify, score and run; none keeps the next command from being run."""
    verify, score, run = codes.split()
    put(home, f"case $1 in verify) exit {verify};; score) exit {score};; run) exit {run};; esac")
    earlier(home, "2026-06")
    assert monthly(home, MONTH="2026-07").returncode == code
    assert [line["exit_code"] for line in lines_of(home)] == [int(each) for each in codes.split()]


def test_a_command_that_was_killed_leaves_a_line_all_the_same(home: Path) -> None:
    """With the code that the shell gives it; an export that fails stops before the run."""
    put(home, "kill -9 $$")
    assert monthly(home, MONTH="2026-07").returncode == 137
    (line,) = lines_of(home)
    assert (line["command"], line["exit_code"], line["schema"]) == ("run", 137, 1)
    assert monthly(home, MONTH="2026-07", EXPORT="exit 9").returncode == 3
    assert len(lines_of(home)) == 1


def test_the_options_that_the_script_gives_are_there() -> None:
    """Each command that it calls knows --quiet and, as every command, --json-line."""
    called = re.findall(r"^\s*tell (\w+)", SCRIPT, re.MULTILINE)
    assert called == ["verify", "score", "run"]
    for name in called:
        given = {flag for param in app.commands[name].params for flag in param.opts}
        assert {"--quiet", "--json-line"} <= given
    assert callable(JSON)


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_a_ci_file_is_yaml_and_runs_the_script(kind: str) -> None:
    """It names the script once, with the wheel that was built."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    told = yaml.safe_load(CI[kind])
    steps = (
        [step.get("run", "") for step in told["jobs"]["forecast"]["steps"]]
        if kind == "github"
        else told["forecast"]["before_script"] + told["forecast"]["script"]
    )
    assert steps.count("sh monthly.sh models/plan.toml") == 1
    assert steps.index("pip install wheels/growth_forecast-*.whl") < steps.index(
        "sh monthly.sh models/plan.toml"
    )


class Webhook(BaseHTTPRequestHandler):
    """Keeps what is posted to it."""

    def do_POST(self) -> None:
        """Take a line."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.headers["Content-Type"], json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:  # type: ignore[override]
        """Nothing on stderr."""


@pytest.fixture
def webhook() -> Iterator[Any]:
    """A server on this machine; `taken` is what came."""
    server: Any = HTTPServer(("127.0.0.1", 0), Webhook)
    server.taken = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.outside
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_three_months_of_a_small_company(home: Path, webhook: Any) -> None:
    """A first run; a second that verifies and scores it when a month has come; a third whose export is broken."""
    put(home, f'exec "{sys.executable}" -m forecast "$@"')
    env = {"WEBHOOK": f"http://127.0.0.1:{webhook.server_port}/"}
    options = ["--preview", "--draws", "400", "--outputs", "draws,csv"]

    first = monthly(home, *options, MONTH="2026-07", **env)
    assert first.returncode == 0, (home / "reports" / "monthly.log").read_text(encoding="utf-8")
    (home / "next.csv").write_text(counts() + NEXT, encoding="utf-8")
    second = monthly(home, *options, MONTH="2026-08", EXPORT="cp next.csv small.csv", **env)
    assert second.returncode == 0, (home / "reports" / "monthly.log").read_text(encoding="utf-8")
    broken = "echo 2026-08,ppc,many,1,1,1,1,1 >>small.csv"
    third = monthly(home, *options, MONTH="2026-09", EXPORT=broken, **env)
    assert third.returncode == 3

    told = lines_of(home)
    assert [body for _, body in webhook.taken] == told
    assert {kind for kind, _ in webhook.taken} == {"application/json"}
    assert [line["command"] for line in told] == ["run", "verify", "score", "run", "verify", "score", "run"]
    assert [line["exit_code"] for line in told] == [0, 0, 0, 0, 0, 3, 3]
    runs = [told[0], told[3]]
    assert [line["as_of"] for line in runs] == ["2026-06", "2026-07"]
    assert [Path(line["place"]).name for line in runs] == ["2026-07", "2026-08"]
    for line in runs:
        saved = json.loads((Path(line["place"]) / "summary.json").read_text(encoding="utf-8"))
        assert line["run_id"] == saved["run_id"]
        assert line["headline"]["revenue_mean"] == saved["headline"]["revenue_mean"]
    assert told[1]["run_id"] == told[2]["run_id"] == told[0]["run_id"]
    assert "small.csv: column spend" in told[6]["error"]
    assert (home / "reports" / "2026-07" / "score.pdf").exists()
    assert not (home / "reports" / "2026-09").exists()
