"""Backtests of two public data sets, beside all baselines.

    python benchmarks/backtest_public.py DATA --out FOLDER [--only olist|toy] [--preview] [--workers 2]

DATA holds the folders olist/ (leads of a marketplace and the deals won from them) and toy_store/ (sessions, orders and
revenue of a shop by month); they are no part of this project.

olist: wins of the next three months, an origin every month from 2018-02; leads from 2018-01 on (benchmarks/olist.py).
The file holds no lead after May 2018, and no forecast can know that: `won_from_pipeline` counts the wins of leads that
were there at the origin, which that does not touch.

toy store: orders and revenue of the next three months, an origin every month from 12 months of history on. "Sessions
given": the sessions of the tested months are told to the forecast, so that only the conversion is forecast. Beside it
the orders of the last six months per session, times these sessions, as a spreadsheet would have it. "Reversed": the
same months in the opposite order, a shop that shrinks.

Finished origins are kept in FOLDER; a second call goes on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import parser_of
from olist import prepare, study_text

from forecast.backtest import Origin, posterior_at, run_backtest, scored, scores, tidy
from forecast.fit import Posterior
from forecast.history import read_history
from forecast.outlook import case_of, simulate
from forecast.report import backtest_page, terminal_text
from forecast.results import Past
from forecast.study import load_study

OLIST = f"""{study_text("2018-11")}[plan]
periods = 3
[backtest]
origins = 7
every = 1
least = 2
"""
TOY = """
name = "toy store"
currency = "USD"
[history]
counts = "toy.csv"
counting = "calendar"
[funnel]
stages = ["visitors", "won"]
market = "b2c"
delay.won = 0
[plan]
periods = 3
[backtest]
origins = 21
every = 1
"""


def toy_counts(source: Path, folder: Path, *, reverse: bool = False) -> None:
    """toy.csv: sessions, orders and revenue by month; the first and last month are partial and left out.

    reverse: what was counted in the opposite order, the last month first.
    """
    table = pd.read_csv(source / "derived_monthly_funnel.csv").iloc[1:-1]
    period = [f"{y}-{m:02d}" for y, m in zip(table["Year"], table["Month"], strict=True)]
    table = table.iloc[::-1] if reverse else table
    pd.DataFrame(
        {
            "period": period,
            "channel": "shop",
            "visitors": table["Sessions_to_Product_Page"].to_numpy(),
            "won": table["Orders"].to_numpy(),
            "revenue": table["Total_Revenue"].to_numpy(),
        }
    ).to_csv(folder / "toy.csv", index=False)


def sessions_given(origin: Origin) -> dict[str, Any]:
    """The record of an origin at which the sessions to come are known; its spreadsheet knows them too."""
    posterior, sampling = posterior_at(origin)
    known = np.maximum(origin.came["visitors"][:, :-1], 1.0)
    paths, chance = np.random.SeedSequence([origin.setup.seed, 1]).spawn(2)
    case = case_of(origin.study, origin.past, posterior, origin.spend, np.random.default_rng(paths))
    future = replace(
        case.future,
        log_traffic=np.broadcast_to(np.log(known), case.future.log_traffic.shape).copy(),
        responds=np.zeros_like(case.future.responds),
        stopped=np.zeros_like(case.future.stopped),
    )
    still = posterior.data.assign(noise_traffic=posterior.data["noise_traffic"] * 0.0)
    steady = Posterior(still, posterior.diagnostics, posterior.provenance)
    outlook = simulate(
        replace(case, posterior=steady, future=future),
        {"given": origin.spend},
        rng=np.random.default_rng(chance),
        replicates=4,
    ).sel(plan="given")
    record = scored(origin, {m: np.asarray(outlook[m].values, float) for m in origin.came}, sampling)
    recent = {m: np.nansum(origin.past.counts[m].values[-6:]) for m in ("visitors", "won", "revenue")}
    rng = np.random.default_rng([origin.setup.seed, 5])
    orders = rng.poisson(recent["won"] / recent["visitors"] * known.sum(), 4000).astype(float)
    for measure, draws in (("won", orders), ("revenue", orders * recent["revenue"] / recent["won"])):
        came = float(origin.came[measure][:, -1].sum())
        made = {k: float(v) for k, v in scores.score(draws, came).items()}
        record["baselines"]["total"][measure]["spreadsheet"] = made
    return record


def show(
    study_text: str, name: str, prepare_in: Any, options: dict[str, Any], measures: tuple[str, ...]
) -> None:
    """Run one backtest and print it, headed by each of `measures` in turn."""
    with tempfile.TemporaryDirectory() as folder:
        prepare_in(Path(folder))
        path = Path(folder) / "study.toml"
        path.write_text(study_text, encoding="utf-8")
        study = load_study(path)
        history = read_history(study)
    place = options.pop("out") / name.replace(" ", "-").replace(",", "")
    records, summary = run_backtest(study, history, results=place, **options)
    print(f"\n=== {name}\n\n{terminal_text(backtest_page(Past.of(summary)))}", flush=True)
    frame = tidy(records)
    known = frame[(frame["measure"] == "won_from_pipeline") & (frame["period"] == "total")]
    known = known[known["channel"] == "total"]
    if len(known):
        print("\nwins of leads that were there at the origin")
        columns = ["origin", "mean", "q05", "q10", "q50", "q90", "q95", "came", "pit"]
        print(known[columns].to_string(index=False, float_format="{:.4g}".format))
    for measure in measures:
        rows = [m for m in summary["methods"] if m["measure"] == measure]
        print(f"\n{measure}")
        for m in rows:
            held = " ".join(f"{m[b]['inside']}/{m['outcomes']}" for b in scores.BANDS)
            skill = "" if m["method"] == "forecast" else f"  skill {m['skill']:+.2f} ± {m['skill_se']:.2f}"
            shown = f"CRPS/came {m['relative']:.3f}  bias {m['bias']:+.3f}"
            print(f"  {m['method']:15s} {shown}  in 50/80/90 %: {held}{skill}")


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = parser_of(__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="where finished origins are kept")
    parser.add_argument("--only", choices=["olist", "toy"])
    parser.add_argument("--preview", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(argv)
    options: dict[str, Any] = {"preview": given.preview, "workers": given.workers, "out": given.out}
    if given.only != "toy":
        show(OLIST, "olist", lambda f: prepare(given.data / "olist", f), dict(options), ())
    if given.only != "olist":
        make = lambda f: toy_counts(given.data / "toy_store", f)  # noqa: E731
        show(TOY, "toy store, sessions not given", make, dict(options), ("won",))
        back = lambda f: toy_counts(given.data / "toy_store", f, reverse=True)  # noqa: E731
        show(TOY, "toy store, reversed", back, dict(options), ("won",))
        show(TOY, "toy store, sessions given", make, options | {"job": sessions_given}, ("won",))


if __name__ == "__main__":
    main()
