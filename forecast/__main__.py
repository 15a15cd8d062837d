"""`python -m forecast`, and the `forecast` command."""

from __future__ import annotations

import os
import signal


def at_once(number: int, _: object) -> None:
    """Before anything is loaded, nothing is to be tidied up."""
    os.write(2, b"interrupted; no outputs were written\n")
    os._exit(128 + number)


def main() -> None:
    """Run the command line; leaves through SystemExit with the exit code."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) == usual:
            signal.signal(number, at_once)
    import io
    import logging
    import sys
    import warnings

    from forecast import stopping, threads

    threads.at_start()  # before anything loads numpy
    stopping.listen()
    try:
        from forecast.cli import app

        if (
            not sys.warnoptions
        ):  # libraries' notes to programmers are not for the user of a command, nor workers'
            warnings.simplefilter("ignore")
            sys.warnoptions.append("ignore")
            logging.getLogger("matplotlib").setLevel(
                logging.ERROR
            )  # without a cache of its own it takes another
        for stream in (sys.stdout, sys.stderr):  # a terminal without our signs shows their codes
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        app(prog_name="forecast")
    finally:
        stopping.end()


if __name__ == "__main__":
    main()
