"""Wins of leads that are already there, over the next three periods, beside what came.

    python benchmarks/open_pipeline.py [DATA] [--only hotel,bpi20,olist] [--made 0] [--fit] [--draws 4000]

DATA holds the public sets (olist/, hotel/, bpi20/: benchmarks/olist.py and weighed.py say how they are read); sets that
are not there are left out. Origins: Olist every month from 2018-02 to 2018-08, hotel every month from 2016-07 to
2017-02, bpi20 every month from 2017-10 to 2018-09. Told for each set: CRPS over what came (sums over the origins), in
how many origins that lay inside the 80 % band, bias, and CPU seconds an origin; for each origin the mean, the band and
what came; then all wins and leads of the horizon beside simple methods (--baselines). By the preview, or with
--fit by the fit; with --lognormal by the delay that counts by period have.

--made N: N made companies whose delays are lognormal and whose rates stand still, about three wins a month, once as
dated leads are learnt (`hazards`) and once by the lognormal delay of counts (`lognormal`), on the same histories.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import parser_of
from olist import prepare, study_text
from weighed import PUBLIC

from forecast.backtest import BASELINES, scores
from forecast.errors import UsageError
from forecast.fit import fit, preview
from forecast.history import History, read_history
from forecast.outlook import case_of, simulate
from forecast.progress import Silent
from forecast.study import Study, load_study

HORIZON = 3
ORIGINS = {
    "olist": [f"2018-{m:02d}" for m in range(2, 9)],
    "hotel": [str(month) for month in np.arange("2016-07", "2017-03", dtype="datetime64[M]")],
    "bpi20": [str(month) for month in np.arange("2017-10", "2018-10", dtype="datetime64[M]")],
}
STUDIES = {"olist": study_text("2018-11"), **PUBLIC}
MADE = """name = "made"
[history]
leads = "leads.csv"
period = "month"
through = "2026-08"
columns = { lead_id = "lead_id", channel = "channel", created = "created", won = "won" }
[funnel]
stages = ["leads", "won"]
delay.won = "45 days"
"""


def wins_of(
    study: Study, history: History, *, seed: int, draws: int, fitted: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws over the horizon: wins of leads that are there at the end of the history, all wins, and new leads."""
    if fitted:
        posterior = fit(study, history, seed=seed, draws=draws, progress=Silent(), cores=1, weigh=False)
    else:
        posterior = preview(study, history, seed=seed, draws=draws)
    plan = np.zeros((HORIZON, len(history.channels)))
    case = case_of(study, history, posterior, plan, np.random.default_rng([seed, 1]))
    made = simulate(case, {"given": plan}, rng=np.random.default_rng([seed, 2]))
    totals = made.sel(plan="given").sum(["period", "channel"])
    known, won, leads = (totals[name].values.astype(float) for name in ("won_from_pipeline", "won", "leads"))
    return known, won, leads


def came(leads: pd.DataFrame, created: str, first: str, origin: str) -> int:
    """Wins in the periods after the origin of leads created from the history's first period to the origin."""
    known = leads[created].str[:7].between(first, origin)
    last = str(np.datetime64(origin) + np.timedelta64(HORIZON, "M"))
    won = leads["won"].str[:7]
    return int((known & (won > origin) & (won <= last)).sum())


def public(data: Path, name: str) -> tuple[Study, History, pd.DataFrame, str]:
    """Study, whole history, rows and the name of the column of creation."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if name == "olist":
            rows = prepare(data / "olist", place).rename(columns={"won_date": "won"})
        else:
            (place / name).symlink_to(data / name)
            rows = pd.read_parquet(data / name / "leads.parquet")
        (place / "study.toml").write_text(STUDIES[name], encoding="utf-8")
        study = load_study(place / "study.toml")
        return study, read_history(study), rows, "first_contact_date" if name == "olist" else "created"


def beside(
    history: History, origin: str, known: History, draws: dict[str, np.ndarray], names: Sequence[str]
) -> dict[str, Any]:
    """CRPS of all wins and of leads over the horizon, of the forecast and of simple methods, and what came."""
    first, found = known.periods.size, dict[str, Any]()
    for measure, made in draws.items():
        seen = float(history.total(measure)[first : first + HORIZON].sum())
        found[f"{measure} came"] = seen
        found[f"{measure} forecast"] = float(scores.crps(made, seen))
        for name in names:
            rng = np.random.default_rng([*f"{origin} {name}".encode()])
            try:
                base = BASELINES[name](known, HORIZON, rng, 4000, measure)
            except UsageError:  # too short a history
                found[f"{measure} {name}"] = np.nan
                continue
            found[f"{measure} {name}"] = float(scores.crps(base, seen))
    return found


def row_of(name: str, draws: np.ndarray, seen: float) -> dict[str, Any]:
    """One outcome."""
    low, high = np.quantile(draws, (0.1, 0.9))
    crps = float(scores.crps(draws, seen))
    return {
        "origin": name,
        "mean": draws.mean(),
        "q10": low,
        "q90": high,
        "came": seen,
        "crps": crps,
        "inside": low <= seen <= high,
    }


def told(name: str, rows: pd.DataFrame) -> str:
    """The line of a set."""
    seen = rows["came"].sum()
    return (
        f"{name:22s} CRPS/came {rows['crps'].sum() / seen:.3f}  inside 80 % {int(rows['inside'].sum())} of {len(rows)}"
        f"  bias {rows['mean'].sum() / seen - 1:+.1%}  CPU {rows['seconds'].mean():.1f} s an origin"
    )


def run(
    data: Path, name: str, names: Sequence[str], *, draws: int, fitted: bool, lognormal: bool
) -> pd.DataFrame:
    """All origins of a set."""
    study, history, leads, created = public(data, name)
    history = replace(history, courses={}) if lognormal else history
    found = []
    for origin in ORIGINS[name]:
        started = time.process_time()
        known = history.as_of(origin)
        made, won, new = wins_of(study, known, seed=1, draws=draws, fitted=fitted)
        row = row_of(origin, made, came(leads, created, history.labels[0], origin))
        row |= {"seconds": time.process_time() - started}
        found.append(row | beside(history, origin, known, {"won": won, "leads": new}, names))
    return pd.DataFrame(found)


def made_leads(rng: np.random.Generator) -> pd.DataFrame:
    """Two years of leads in two channels: 60 a month, a twentieth won, lognormal delays of 45 days (median 30)."""
    start, days, months = np.datetime64("2024-09-01"), 820, 27
    size = rng.poisson(60 * months)
    created = np.sort(rng.integers(0, days, size))
    channel = rng.choice(["a", "b"], size, p=[0.6, 0.4])
    chance = np.where(channel == "a", 0.04, 0.065)
    won = created + np.floor(rng.random(size) + rng.lognormal(np.log(30), 0.9, size))
    dated = (rng.random(size) < chance) & (won < days)
    dates = start + won.astype("timedelta64[D]")
    return pd.DataFrame(
        {
            "lead_id": [f"L{i}" for i in range(size)],
            "channel": channel,
            "created": (start + created.astype("timedelta64[D]")).astype(str),
            "won": np.where(dated, dates.astype(str), ""),
        }
    )


def made(numbers: range, *, draws: int) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Made companies, each by both roads."""
    for number in numbers:
        leads = made_leads(np.random.default_rng([8128, number]))
        with tempfile.TemporaryDirectory() as folder:
            leads.to_csv(Path(folder) / "leads.csv", index=False)
            (Path(folder) / "study.toml").write_text(MADE, encoding="utf-8")
            study = load_study(Path(folder) / "study.toml")
            history = read_history(study)
        seen = came(leads, "created", history.labels[0], history.labels[-1])
        for road, known in (("hazards", history), ("lognormal", replace(history, courses={}))):
            started = time.process_time()
            wins, _, _ = wins_of(study, known, seed=1, draws=draws, fitted=False)
            row = row_of(str(number), wins, seen)
            row |= {"seconds": time.process_time() - started}
            print(f"{number} {road}: mean {row['mean']:.1f}, came {seen}, CRPS {row['crps']:.2f}", flush=True)
            yield number, road, row


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = parser_of(__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--only", default=",".join(ORIGINS))
    parser.add_argument("--baselines", default="spreadsheet,drift")
    parser.add_argument("--made", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first made company")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--lognormal", action="store_true", help="the public sets by the delay of counts")
    parser.add_argument("--draws", type=int, default=4000)
    given = parser.parse_args(argv)
    pd.set_option("display.width", 160)
    for name in given.only.split(","):
        if not (given.data / name).is_dir():
            print(f"{name}: no folder of this name in {given.data}")
            continue
        options = {"draws": given.draws, "fitted": given.fit, "lognormal": given.lognormal}
        rows = run(given.data, name, given.baselines.split(","), **options)
        shown = ["origin", "mean", "q10", "q90", "came", "crps", "inside"]
        print(rows[shown].round(2).to_string(index=False), flush=True)
        print(told(name, rows), flush=True)
        for measure in ("won", "leads"):
            sums = rows.filter(like=f"{measure} ").sum(skipna=False)
            relative = sums.drop(f"{measure} came") / sums[f"{measure} came"]
            said = ", ".join(f"{k.removeprefix(measure + ' ')} {v:.3f}" for k, v in relative.items())
            print(f"  all {measure}, CRPS/came: {said}", flush=True)
    numbers = range(given.first, given.first + given.made)
    found = [{"road": road, **row} for _, road, row in made(numbers, draws=given.draws)]
    if found:
        table = pd.DataFrame(found)
        print("\nmade companies, lognormal delays")
        by_road = {road: rows.set_index("origin") for road, rows in table.groupby("road")}
        for road, rows in by_road.items():
            print(told(str(road), rows))
        apart = by_road["hazards"]["crps"] - by_road["lognormal"]["crps"]
        mean = by_road["lognormal"]["crps"].mean()
        error = apart.std() / np.sqrt(len(apart)) / mean
        print(f"CRPS of hazards over that of the lognormal: {apart.mean() / mean:+.1%} ± {error:.1%}")


if __name__ == "__main__":
    main()
