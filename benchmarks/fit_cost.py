"""CPU of one fit, cold and warm, each in a process of its own: by weights, by NUTS, and by PyMC-Marketing's MMM.

    python benchmarks/fit_cost.py [--companies demo,demo_leads,20x104,1x36] [--sampler auto,nuts] [--times 3]
                                  [--peer PEER/bin/python] [--before PYTHONPATH]

cold: caches of numba and pytensor are empty, as on a new machine after installation; warm: the least of the others.
CPU seconds of the process with all its threads and children, imports included. Companies: the bundled ones, and
CHANNELSxPERIODS: weeks of benchmarks/large_fit.py from 60 periods on, else months of the standard family. --peer: an
interpreter with pymc-marketing, which fits the same spend and revenue with its defaults (geometric adstock of four
periods, logistic saturation, two yearly waves). --before: a checkout of an earlier version, fitted as it fits by
default.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from command import parser_of
from large_fit import STUDY, company
from world_families import FAMILIES
from worlds import read, told_delays

from forecast.history import read_history
from forecast.lab import generate
from forecast.study import load_study

BUNDLED = Path(__file__).parents[1] / "forecast" / "bundled"
WEEKS = 60  # periods from which a company is one of weeks
OURS = """
import sys
from pathlib import Path
from forecast.fit import failures, fit
from forecast.history import read_history
from forecast.progress import Silent
from forecast.study import load_study
study = load_study(Path(sys.argv[1]))
made = fit(study, read_history(study), seed=1, progress=Silent(), cores=2, {options})
print(failures(made), [p["part"] for p in made.diagnostics if "k_hat" not in p])
"""
PEER = """
import logging, sys, warnings
warnings.simplefilter("ignore"); logging.disable(logging.WARNING)
import pandas as pd
from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation
data = pd.read_csv(sys.argv[1], parse_dates=["date"])
mmm = MMM(date_column="date", channel_columns=list(data.columns[1:-1]), target_column="y",
          adstock=GeometricAdstock(l_max=4), saturation=LogisticSaturation(), yearly_seasonality=2)
fit = mmm.fit(data.drop(columns="y"), data["y"], progressbar=False, random_seed=1, cores=2)
print(int(fit["sample_stats"]["diverging"].sum()), "divergences")
"""


def study_of(name: str, folder: Path) -> Path:
    """The study file of a company; a made one is written into the folder."""
    if "x" not in name:
        return BUNDLED / f"{name}.toml"
    channels, periods = (int(number) for number in name.split("x"))
    rng = np.random.default_rng([41, channels, periods])
    if periods >= WEEKS:
        company(channels, periods, rng).to_csv(folder / "large.csv", index=False)
        (folder / "large.toml").write_text(STUDY, encoding="utf-8")
        return folder / "large.toml"
    made = generate(next(iter(FAMILIES.values()))(rng), rng)
    read(made, "calendar", told_delays(made, rng), folder)
    (study,), (file,) = folder.glob("*.toml"), folder.glob("*.csv")
    counts = pd.read_csv(file)
    names = list(counts["channel"].unique())
    counts[counts["channel"].isin(names[:channels])].to_csv(file, index=False)
    gone = tuple(f'"{name}" = ' for name in names[channels:])
    lines = study.read_text(encoding="utf-8").splitlines(keepends=True)
    study.write_text("".join(line for line in lines if not line.startswith(gone)), encoding="utf-8")
    return study


def spend_and_revenue(study: Path, path: Path) -> None:
    """The spend of each channel and the revenue of all as the peer reads them."""
    history = read_history(load_study(study))
    table = pd.DataFrame(history.spend, columns=[f"spend_{i}" for i in range(len(history.channels))])
    table.insert(0, "date", history.periods)
    table["y"] = np.nansum(history.counts["revenue"].values, axis=1)
    table.to_csv(path, index=False)


def cpu(command: Sequence[str], caches: Path, tree: str = "") -> tuple[float, str]:
    """CPU seconds of a command with all its children, and the last line that it printed."""
    env = os.environ | {"NUMBA_CACHE_DIR": str(caches / "numba"), "OMP_NUM_THREADS": "1"}
    env["PYTENSOR_FLAGS"] = f"base_compiledir={caches / 'pytensor'}"
    env["PYTHONPATH"] = tree or str(BUNDLED.parents[1])
    before = os.times()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=caches)
    after = os.times()
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent, done.stdout.strip().splitlines()[-1]


def main(argv: Sequence[str] | None = None) -> None:
    """A row for each company and road."""
    parser = parser_of(__doc__)
    parser.add_argument("--companies", default="demo,demo_leads,20x104,1x36")
    parser.add_argument("--sampler", default="auto,nuts")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--peer", default="")
    parser.add_argument("--before", default="")
    given = parser.parse_args(argv)
    rows = []
    for name in given.companies.split(","):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            study = study_of(name, folder)
            roads = {
                s: ([sys.executable, "-c", OURS.format(options=f"sampler={s!r}"), str(study)], "")
                for s in given.sampler.split(",")
            }
            if given.before:
                roads["before"] = [sys.executable, "-c", OURS.format(options=""), str(study)], given.before
            if given.peer:
                spend_and_revenue(study, folder / "peer.csv")
                roads["PyMC-Marketing"] = [given.peer, "-c", PEER, str(folder / "peer.csv")], "none"
            for road, (command, tree) in roads.items():
                with tempfile.TemporaryDirectory() as caches:
                    found = [cpu(command, Path(caches), tree) for _ in range(given.times)]
                spent = [seconds for seconds, _ in found]
                rows.append(
                    {"company": name, "road": road, "cold CPU s": spent[0], "warm CPU s": min(spent[1:])}
                )
                rows[-1]["told"] = found[-1][1]
                print(
                    pd.DataFrame(rows[-1:]).round(1).to_string(index=False, header=len(rows) == 1), flush=True
                )
    table = pd.DataFrame(rows)
    if given.peer:
        theirs = table[table["road"] == "PyMC-Marketing"].set_index("company")
        for kind in ("cold CPU s", "warm CPU s"):
            table[f"{kind.split()[0]} ratio"] = table[kind] / table["company"].map(theirs[kind])
        print(table.drop(columns="told").round(2).to_string(index=False))


if __name__ == "__main__":
    main()
