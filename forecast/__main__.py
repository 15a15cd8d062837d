"""`python -m forecast`, and the `forecast` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line; leaves through SystemExit with the exit code."""
    import io
    import logging
    import sys
    import warnings

    from forecast import threads

    threads.at_start()  # before anything loads numpy
    from forecast.cli import app

    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' notes to programmers are not for the user of a command
        logging.getLogger("matplotlib").setLevel(
            logging.ERROR
        )  # where it may keep no cache, it takes another place
    for stream in (sys.stdout, sys.stderr):  # a terminal without our signs shows their codes
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="forecast")


if __name__ == "__main__":
    main()
