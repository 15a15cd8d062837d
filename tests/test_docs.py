"""The documentation under test: every command is described, every shown output is what is printed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import forecast
from forecast import cli_reference
from forecast.study import load_study

ROOT = Path(forecast.__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNNABLE = re.compile(r"^```console run\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _examples() -> list[tuple[str, str, str]]:
    """(page, command, shown output) of each block that opens with ```console run."""
    found = []
    for page in PAGES:
        for block in RUNNABLE.findall(page.read_text(encoding="utf-8")):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, output = part.replace("\\\n", " ").partition("\n")
                found.append((page.name, command, output))
    return found


EXAMPLES = _examples()


@pytest.mark.parametrize("command", cli_reference.command_names())
@pytest.mark.parametrize("page", ["README.md", "docs/cli.md"])
def test_every_command_is_described(command, page):
    """A command that is not in the README and the reference does not exist for a user."""
    assert f"forecast {command}" in (ROOT / page).read_text(encoding="utf-8")


def test_the_reference_is_up_to_date():
    """docs/cli.md is what the commands' own help says now; `make docs` writes it."""
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == cli_reference.reference()


def test_there_are_examples_to_run():
    """The README shows the funnel with its output."""
    assert [command for page, command, _ in EXAMPLES if page == "README.md" and "forecast funnel" in command]


@pytest.mark.parametrize(("page", "command", "shown"), EXAMPLES)
def test_shown_output_is_real(page, command, shown, tmp_path):
    """Each example prints, from an empty folder, exactly what the page shows."""
    program, *args = shlex.split(command)
    assert program == "forecast", "only our own command is run from a page"
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from forecast.__main__ import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), *args],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == shown


def test_the_study_in_the_readme_loads(tmp_path):
    """The example is a valid study as it stands."""
    (text,) = re.findall(
        r"^```toml\n(.*?)^```$", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    assert load_study(path).name == "2027-q1"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Every relative link of a page names a file or folder that is there."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]
