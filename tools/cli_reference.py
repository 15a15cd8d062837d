"""Writes docs/cli.md from the commands' own help: `python tools/cli_reference.py docs/cli.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from click.testing import CliRunner

from forecast.cli import app

WIDTH = 100
HEAD = """# Command line reference

Made from the commands' own help by `make docs`; do not edit by hand.
"""


def command_names() -> list[str]:
    """The commands, in the order in which the help lists them."""
    return list(app.commands)


def help_text(*command: str) -> str:
    """What `forecast COMMAND --help` prints, at a fixed width."""
    result = CliRunner().invoke(
        app,
        [*command, "--help"],
        prog_name="forecast",
        terminal_width=WIDTH,
        env={"NO_COLOR": "1"},
        color=False,
    )
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())


def reference() -> str:
    """The whole page."""
    parts = [HEAD, f"```text\n{help_text()}\n```\n"]
    parts += [f"## forecast {name}\n\n```text\n{help_text(name)}\n```\n" for name in command_names()]
    return "\n".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
