"""`python -m forecast`, and the `forecast` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line; leaves through SystemExit with the exit code."""
    import sys
    import warnings

    from forecast.cli import app

    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' notes to programmers are not for the user of a command
    app(prog_name="forecast")


if __name__ == "__main__":
    main()
