"""Forecast the wins that come later from leads already there, on real leads, beside what came.

    python benchmarks/olist.py FOLDER [--as-of 2018-03 ...] [--draws 4000]

FOLDER holds the two files of the Olist marketing funnel (leads with their first contact and origin; closed deals with
their won date). They are joined on `mql_id` into the leads file of a study; the file is not part of this project. Leads
from January 2018 on: before, deals were not recorded. One deal is dated two days before its lead; it is set to the day
of the lead, here and not inside the product.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from command import parser_of

from forecast.fit import fit_posterior
from forecast.history import read_history
from forecast.outlook import case_of, simulate
from forecast.study import load_study

LEADS, DEALS = "olist_marketing_qualified_leads_dataset.csv", "olist_closed_deals_dataset.csv"


def study_text(through: str) -> str:
    """The study of the leads file up to a month; it ends in its table [funnel]."""
    return f"""name = "olist"
[history]
leads = "leads.csv"
period = "month"
from = "2018-01"
through = "{through}"
columns = {{ lead_id = "mql_id", channel = "origin", created = "first_contact_date", won = "won_date" }}
[funnel]
stages = ["leads", "won"]
delay.won = "30 days"
"""


def joined(source: Path) -> pd.DataFrame:
    """One row per lead, with its won date and all that the deals tell where it was won."""
    leads, deals = pd.read_csv(source / LEADS, dtype=str), pd.read_csv(source / DEALS, dtype=str)
    table = leads.merge(deals.drop(columns=["seller_id", "sdr_id", "sr_id"]), on="mql_id", how="left")
    table["won_date"] = table["won_date"].str[:10]
    early = table["won_date"] < table["first_contact_date"]
    table.loc[early, "won_date"] = table.loc[early, "first_contact_date"]
    return table


def prepare(source: Path, folder: Path) -> pd.DataFrame:
    """Write leads.csv of the study into `folder`; the leads."""
    leads = joined(source)
    leads[["mql_id", "origin", "first_contact_date", "won_date"]].to_csv(folder / "leads.csv", index=False)
    return leads


def came(leads: pd.DataFrame, as_of: str, months: int | None) -> int:
    """Wins after `as_of` (within so many months; None: ever) of leads created from 2018-01 to then."""
    created = leads["first_contact_date"].str[:7].between("2018-01", as_of)
    last = str(pd.Period(as_of) + months) if months else "9999-12"
    won = leads["won_date"].str[:7]
    return int((created & (won > as_of) & (won <= last)).sum())


def forecast(source: Path, as_of: str, draws: int) -> list[dict[str, object]]:
    """Rows of the table for one as-of month: next three months and in all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        leads = prepare(source, folder)
        (folder / "olist.toml").write_text(study_text(as_of) + "value = 1000\n", encoding="utf-8")
        study = load_study(folder / "olist.toml")
        history = read_history(study)
        started = time.perf_counter()
        posterior = fit_posterior(study, history, seed=1, draws=draws)
        seconds = time.perf_counter() - started
        plan = np.zeros((3, len(history.channels)))
        case = case_of(study, history, posterior, plan, np.random.default_rng(2))
        outlook = simulate(case, {"given": plan}, rng=np.random.default_rng(3)).sel(plan="given")
        soon = outlook["won_from_pipeline"].sum(["period", "channel"]).values
        late = outlook["won_after_from_pipeline"].sum("channel").values
        base = {
            "as_of": as_of,
            "leads": int(history.counts["leads"].sum()),
            "seen": int(history.counts["won"].sum()),
            "seconds": round(seconds, 1),
            "checks": "pass"
            if not posterior.provenance["failures"]
            else "; ".join(posterior.provenance["failures"]),
        }
        rows: list[dict[str, object]] = []
        for span, values, months in (("next 3 months", soon, 3), ("in all", soon + late, None)):
            q = dict(
                zip(
                    ("q05", "q10", "q25", "q50", "q75", "q90", "q95"),
                    np.quantile(values, (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)).round(0).astype(int),
                    strict=True,
                )
            )
            actual = came(leads, as_of, months)
            rows.append(
                {
                    **base,
                    "span": span,
                    **q,
                    "came": actual,
                    "below": round(float((values < actual).mean()), 3),
                }
            )
        return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--as-of", nargs="+", default=["2018-03", "2018-04", "2018-05"])
    parser.add_argument("--draws", type=int, default=4000)
    given = parser.parse_args(argv)
    if not (given.source / LEADS).is_file():
        sys.exit(f"{given.source}: no {LEADS} here; give the folder that holds the two Olist files")
    rows = [row for as_of in given.as_of for row in forecast(given.source, as_of, given.draws)]
    pd.set_option("display.width", 200)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
