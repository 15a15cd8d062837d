"""Groups of companies: whether the band of their total holds, and what many of them cost.

    python benchmarks/portfolio.py --out FILE.jsonl [--groups 40] [--workers 2] [--draws 1000]
    python benchmarks/portfolio.py --out FILE.jsonl --report
    python benchmarks/portfolio.py --errors --out FILE.jsonl [--groups 600] [--workers 2]
    python benchmarks/portfolio.py --speed [--companies 40] [--channels 3] [--executor NAME;...] [--workers 2]
                                   [--draws 4000] [--outputs KINDS] [--folder DIR]

Bands: groups of five made companies whose traffic shares a shock of each month, by family: nothing shared, independent
shocks (log sd 0.25), a walk (log sd 0.06 a month). Each company is previewed from 36 months of its own counts; three
months ahead their total is compared with what came. Told, by family and by how the units' futures are put side by side
(independent, assumed, learnt from the pasts): how often the central 80 % band held the total with its standard error,
its mean squared miss in standard deviations (1 where they are right), its width and CRPS over the mean, and the
correlation that was learnt. The misses of companies beside each other give the one that should have been: "true".

--errors: how far the standard error of what is learnt holds, without a forecast: by family the mean of what is learnt
of made pasts, its spread over groups, the root of the mean square of the error that is told, how often the mean lies
within 1.64 of them, and the jackknife's error alone. First the same companies' pasts; then residuals that are drawn: of
units and of what they share, each white, of memory 0.6 from month to month, or a walk; where they share, by 0.3.

--speed: the command itself on so many made companies, by executor: wall and CPU seconds, and whether the units' files
are the same bytes; then the first of them again, with everything finished, and what workers cost before any unit.
units: CPU seconds over those of the fixed numpy job of benchmarks/unit.py, timed before and after each: about one where
nothing else runs.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import resumable_parser, run_or_read, without_errors
from unit import UNIT
from world_families import random_world
from worlds import outlook, read, study_text, told_delays

from forecast import coupling
from forecast.backtest import scores
from forecast.coupling import ASSUMED, coupled, learnt, residuals
from forecast.fit import preview
from forecast.history import History
from forecast.jobs import cluster, pool
from forecast.lab import Company, World, counts, demo_world, generate
from forecast.periods import season_of
from forecast.portfolio import _name as unit_of
from forecast.study import Study

MONTHS, HORIZON, UNITS = 36, 3, 5
CHANNELS, WINS = 3, 150  # of a company, which are some 80 wins a month: with few, chance hides what is shared
FAMILIES = ("nothing shared", "shocks of the months", "a walk")
SHOCK, STEP = 0.25, 0.06  # log sd of a month's shock, and of a month's step
WAYS = ("independent", "assumed", "learnt")
FIXED = {"independent": 0.0, "assumed": ASSUMED}


def shared_path(family: str, rng: np.random.Generator) -> tuple[float, ...]:
    """Log shocks of a group, from the first month to a year after the last."""
    n = MONTHS + 12
    if family == FAMILIES[0]:
        return ()
    steps = rng.normal(size=n)
    return tuple(map(float, SHOCK * steps if family == FAMILIES[1] else STEP * np.cumsum(steps)))


def companies(
    rng: np.random.Generator, path: tuple[float, ...], folder: Path
) -> Iterator[tuple[Company, Study, History]]:
    """The companies of a group, with their studies and what is read of their counts."""
    for _ in range(UNITS):
        world = random_world(rng, wins_a_month=WINS)
        company = generate(replace(world, channels=world.channels[:CHANNELS], shared=path), rng)
        yield company, *read(company, "calendar", told_delays(company, rng), folder)


def left_over(history: History) -> np.ndarray | None:
    """What trend and season leave of a company's revenue."""
    y = history.came("revenue")
    half = 0.5 * float(np.nansum(y) / np.nansum(history.came("won")))
    return residuals(y, half, season_of(history.periods, history.period), history.period)


def one_group(job: tuple[int, int]) -> dict[str, Any]:
    """Group number `i`: what came, the bands by way, and what was learnt."""
    number, draws = job
    family = FAMILIES[number % len(FAMILIES)]
    rng = np.random.default_rng([2611, 18, number])
    path = shared_path(family, rng)
    totals, series, came, pits = [], [], [], []
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for company, study, history in companies(rng, path, Path(name)):
            made = outlook(study, history, preview(study, history, seed=number, draws=draws), number)
            totals.append(made)
            came.append(float(company.truth["later"]["totals"][str(HORIZON)]["total"]["revenue"]))
            pits.append(float((made < came[-1]).mean()))
            series.append(left_over(history))
    found = learnt(series, "month")
    ways = FIXED | {"learnt": found.value}
    result: dict[str, Any] = {
        "family": family, "came": sum(came), "learnt": found.value, "raw": found.raw, "se": found.error,
        "misses": [c / t.mean() - 1 for c, t in zip(came, totals, strict=True)],
        "inside": [0.1 <= p <= 0.9 for p in pits], "ways": {},
    }  # fmt: skip
    for way, correlation in ways.items():
        orders = coupled(totals, correlation, np.random.default_rng([number, 7]))
        whole = np.sum([t[o] for t, o in zip(totals, orders, strict=True)], axis=0)
        low, high = np.quantile(whole, (0.1, 0.9))
        result["ways"][way] = {
            "q10": float(low), "q90": float(high), "mean": float(whole.mean()),
            "crps": float(scores.crps(whole, sum(came))), "z": float((sum(came) - whole.mean()) / whole.std()),
        }  # fmt: skip
    return result


def true_correlation(records: list[dict[str, Any]]) -> float:
    """Of the relative misses of the units of a group, over all groups: mean product of two over their mean square."""
    misses = np.array([r["misses"] for r in records])
    misses = misses - misses.mean()
    both = (misses.sum(axis=1) ** 2 - (misses**2).sum(axis=1)).sum() / (UNITS * (UNITS - 1))
    return float(both / (misses**2).mean(axis=1).sum())


def table(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows by family and way."""
    rows = []
    for family in FAMILIES:
        own = [r for r in records if r["family"] == family]
        for way in WAYS if own else ():
            made = [(r["ways"][way], r["came"]) for r in own]
            share = float(np.mean([m["q10"] <= c <= m["q90"] for m, c in made]))
            rows.append(
                {
                    "family": family, "units are": way, "groups": len(own),
                    "80 %": f"{share:.0%} ± {np.sqrt(share * (1 - share) / len(own)):.0%}",
                    "z^2": np.mean([m["z"] ** 2 for m, _ in made]),
                    "width/mean": np.mean([(m["q90"] - m["q10"]) / m["mean"] for m, _ in made]),
                    "CRPS/mean": np.mean([m["crps"] / m["mean"] for m, _ in made]),
                    "correlation": np.mean([r["learnt"] for r in own]) if way == "learnt" else FIXED[way],
                    "raw": np.mean([r["raw"] for r in own]), "s.e.": np.mean([r["se"] for r in own]),
                    "sd of raw": np.std([r["raw"] for r in own], ddof=1) if len(own) > 1 else np.nan,
                    "true": true_correlation(own), "units' 80 %": np.mean([r["inside"] for r in own]),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


# ----------------------------------------------------------------------------------------------------- standard errors

DRAWN = {  # memory of what is each unit's own, memory of what all share (None: nothing), 1 being a walk
    "white, nothing shared": (0.0, None),
    "white, white shared": (0.0, 0.0),
    "memory, nothing shared": (0.6, None),
    "memory, memory shared": (0.6, 0.6),
    "white, a walk shared": (0.0, 1.0),
    "walks, nothing shared": (1.0, None),
    "walks, a walk shared": (1.0, 1.0),
}
SHARED, LOG_SD = 0.3, 0.1  # correlation of what is drawn, and sd of its logarithms


def drawn(own: float, shared: float | None, rng: np.random.Generator) -> list[np.ndarray | None]:
    """Residuals of a group whose logarithms are drawn."""
    e, rho = remembered(rng.normal(size=(UNITS, MONTHS)), own), 0.0
    if shared is not None:
        rho, common = SHARED, remembered(rng.normal(size=(1, MONTHS)), shared)
        e = np.sqrt(rho) * common + np.sqrt(1 - rho) * e
    return [residuals(np.exp(10 + LOG_SD * x), 0.5, np.arange(MONTHS) % 12, "month") for x in e]


def remembered(white: np.ndarray, memory: float) -> np.ndarray:
    """Shocks (unit, month) as a path that keeps so much of itself from month to month."""
    path = white.copy()
    for t in range(1, path.shape[1]):
        path[:, t] += memory * path[:, t - 1]
    return path


def one_error(job: tuple[str, int]) -> dict[str, Any]:
    """What is learnt of one group without a forecast."""
    family, number = job
    rng = np.random.default_rng([2611, 20, number])
    if family in DRAWN:
        series = drawn(*DRAWN[family], rng)
    else:
        path = shared_path(family, rng)
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            series = [left_over(history) for _, _, history in companies(rng, path, Path(name))]
    found = learnt(series, "month")
    z = np.array([each for each in series if each is not None])
    jackknife = coupling._jackknifed(z, np.isfinite(z), "month")
    return {"family": family, "raw": found.raw, "se": found.error, "jackknife": jackknife}


def table_of_errors(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows by family."""
    rows = []
    for family, own in pd.DataFrame(records).groupby("family", sort=False):
        off = (own["raw"] - own["raw"].mean()).abs()
        sd, told, jackknife = (float(x) for x in (own["raw"].std(), rms(own["se"]), rms(own["jackknife"])))
        rows.append(
            {
                "family": family, "groups": len(own), "raw": own["raw"].mean(), "sd of raw": sd, "s.e.": told,
                "s.e. / sd": told / sd, "within 1.64": f"{(off < 1.645 * own['se']).mean():.0%}",
                "jackknife / sd": jackknife / sd,
                "within 1.64 of it": f"{(off < 1.645 * own['jackknife']).mean():.0%}",
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def rms(x: pd.Series) -> float:
    """Root of the mean square."""
    return float(np.sqrt((x**2).mean()))


# --------------------------------------------------------------------------------------------------------------- speed


def many_world(channels: int, rng: np.random.Generator) -> World:
    """A company of so many channels, each like one of the demo's."""
    rows = demo_world().channels
    chosen = [
        replace(rows[i % len(rows)], name=f"{rows[i % len(rows)].name}{i // len(rows) + 1}")
        for i in range(channels)
    ]
    return replace(random_world(rng), channels=tuple(chosen))


def write_companies(folder: Path, companies: int, channels: int) -> list[str]:
    """Studies of made companies with their counts; their files."""
    files = []
    for n in range(companies):
        rng = np.random.default_rng([2611, 19, n])
        company = generate(many_world(channels, rng), rng)
        name = f"unit-{n:03d}"
        counts(company, "calendar").to_csv(folder / f"{name}.csv", index=False)
        text = study_text(company, "calendar", told_delays(company, rng))
        text = text.replace('name = "world"', f'name = "{name}"').replace('"counts.csv"', f'"{name}.csv"')
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
        files.append(f"{name}.toml")
    return files


def one_start(executor: str, workers: int) -> None:
    """Start an executor, have a word of each of its workers, which load what a unit's run is in, and end it."""
    with {"processes": lambda: pool(workers), "dask": lambda: cluster(None, workers)}[executor]() as own:
        for future in [own.submit(unit_of, f"{i} 0 unit") for i in range(workers)]:
            future.result()


def start(executor: str, workers: int) -> dict[str, Any]:
    """Wall and CPU seconds of `one_start` in a process of its own, less what that process takes without one."""
    code = "import sys; sys.path.insert(0, {here!r}); import portfolio{then}"
    found = []
    for then in ("", f"; portfolio.one_start({executor!r}, {workers})"):
        asked = [sys.executable, "-c", code.format(here=str(Path(__file__).parent), then=then)]
        found.append(cost(asked, Path.cwd())[:2])
    wall, cpu = np.subtract(found[1], found[0])
    return {"executor": f"start of {executor}", "wall s": wall, "CPU s": cpu, "load": os.getloadavg()[0]}


def cost(asked: list[str], folder: Path) -> tuple[float, float, subprocess.CompletedProcess[str]]:
    """Wall and CPU seconds of a command with its children, and how it ended."""
    before, since = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - since, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


def one_speed(folder: Path, files: list[str], executor: str, options: Any, again: str = "") -> dict[str, Any]:
    """The command with an executor: wall, CPU of it and its workers, exit code."""
    out = folder / f"out-{executor}"
    asked = [
        "--preview",
        "--draws",
        str(options.draws),
        "--outputs",
        options.outputs,
        "--quiet",
        "--out",
        str(out),
    ]
    asked += ["--executor", executor, "--workers", str(options.workers)]
    units = [cost([sys.executable, "-c", UNIT], folder)[1]]
    wall, cpu, done = cost([sys.executable, "-m", "forecast", "run", *files, *asked], folder)
    units.append(cost([sys.executable, "-c", UNIT], folder)[1])
    if done.returncode not in (0, 4):
        sys.exit(done.stderr)
    return {
        "executor": executor + again,
        "wall s": wall,
        "CPU s": cpu,
        "units": cpu / float(np.mean(units)),
        "code": done.returncode,
        "load": os.getloadavg()[0],
        "out": out,
    }


def contents(out: Path) -> dict[str, bytes]:
    """Every file of the units, summary.json without what no two runs share."""
    found = {}
    for path in sorted(out.glob("*/*")):
        if path.name != "manifest.json":
            content = path.read_bytes()
            if path.name == "summary.json":
                content = re.sub(
                    rb'("made": "[^"]*"|"seconds": \{[^}]*\}|"sha256": "[^"]*"\n\})', b"", content
                )
            found[str(path.relative_to(out))] = content
    return found


def speed(options: Any) -> None:
    """Print the table of executors."""
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        files = write_companies(folder, options.companies, options.channels)
        names = options.executor.split(";")
        rows = [one_speed(folder, files, executor, options) for executor in names]
        rows.append(one_speed(folder, files, names[0], options, again=", again"))
        first = contents(rows[0]["out"])
        for row in rows:
            row["same bytes"] = contents(row.pop("out")) == first
            row["CPU s a company"] = row["CPU s"] / options.companies
            row["units a company"] = row["units"] / options.companies
        rows += [start(executor, options.workers) for executor in names if executor != "inline"]
        print(f"{options.companies} companies, {options.channels} channels, {MONTHS} months, {options.draws} draws, "
              f"outputs {options.outputs}, {options.workers} workers, {len(first)} files")  # fmt: skip
        print(pd.DataFrame(rows).round(2).to_string(index=False, na_rep=""))


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the command line."""
    parser = resumable_parser(__doc__, units="groups", many=40 * len(FAMILIES))
    next(a for a in parser._actions if a.dest == "out").required = False
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--companies", type=int, default=40)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--executor", default="inline;processes;dask")
    parser.add_argument("--outputs", default="csv,draws")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.speed:
        speed(options)
        return 0
    if options.out is None:
        parser.error("--out: where are finished rows kept?")
    if options.errors:
        families = (*FAMILIES, *DRAWN)
        jobs = {str(i): (families[i % len(families)], i) for i in range(options.groups)}
        found = table_of_errors(without_errors(run_or_read(options, one_error, jobs, {"errors": 1})))
    else:
        jobs = {str(i): (i, options.draws) for i in range(options.groups)}
        found = table(without_errors(run_or_read(options, one_group, jobs, {"draws": options.draws})))
    print(found.round(3).to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
