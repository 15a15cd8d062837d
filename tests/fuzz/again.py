"""Run one kept case again, in this process: `python tests/fuzz/again.py build/fuzz/NAME.json`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import fuzz

if __name__ == "__main__":
    os.environ.setdefault("FORECAST_TRACEBACK", "1")
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as place:
            args = fuzz.unpacked(Path(name), Path(place))
            outcome = fuzz.attempt(Path(place), args)
            print(name, args, outcome.code, f"{outcome.seconds:.2f} s", outcome.wrong or "nothing wrong")
            print(outcome.said[-3000:])
