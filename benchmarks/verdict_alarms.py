"""How often the checks of model against history raise an alarm: on sound companies, and on harmed data.

    python benchmarks/verdict_alarms.py [--companies 40] [--harmed 10]

Sound companies are those of `lab.companies`, made lead by lead by the assumptions of the model; harms are done to
their calendar counts. Fits are those of the closed form (`forecast run --preview`), which takes a second each.
"""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from command import parser_of
from worlds import read

from forecast.fit import checked, preview
from forecast.history import read_history
from forecast.judging import judge
from forecast.lab import demo_world, generate

Harm = Callable[[pd.DataFrame, np.random.Generator], None]


def _last(table: pd.DataFrame, periods: int) -> pd.Series[bool]:
    return table["period"].isin(sorted(table["period"].unique())[-periods:])


def gaps(table: pd.DataFrame, rng: np.random.Generator) -> None:
    """Leads and all that follows not recorded, written as zero, in one cell of twelve."""
    table.loc[rng.random(len(table)) < 1 / 12, ["leads", "qualified", "won", "revenue"]] = 0


def unreported(table: pd.DataFrame, _: np.random.Generator) -> None:
    """The wins of the last two months not booked yet."""
    table.loc[_last(table, 2), ["won", "revenue"]] = 0


def stricter(table: pd.DataFrame, _: np.random.Generator) -> None:
    """From the middle on only three leads in ten are counted as leads."""
    later = _last(table, 18)
    table.loc[later, "leads"] = np.maximum(table["leads"] * 0.3, table["qualified"]).astype(int)


def tripled(table: pd.DataFrame, _: np.random.Generator) -> None:
    """One month of qualified leads counted three times."""
    month = sorted(table["period"].unique())[20]
    table.loc[table["period"] == month, "qualified"] *= 3


def bursts(table: pd.DataFrame, rng: np.random.Generator) -> None:
    """Five times the leads in one cell of twenty."""
    factor = np.where(rng.random(len(table)) < 0.05, 5, 1)
    table["leads"] = np.minimum(table["leads"] * factor, table["visitors"])


def weaker(table: pd.DataFrame, _: np.random.Generator) -> None:
    """In the last six months four in ten of the qualified leads are left."""
    table.loc[_last(table, 6), "qualified"] = (table["qualified"] * 0.4).astype(int)
    table["won"] = np.minimum(table["won"], table["qualified"])


def alarms(number: int, counting: str, harm: Harm | None) -> list[str]:
    """Checks of model against history that one company does not pass."""
    rng = np.random.default_rng([77, number])
    company = generate(demo_world(), rng)
    delays = {k: company.truth["delay"][k]["mean_days"] for k in ("qualified", "won")}
    with tempfile.TemporaryDirectory() as name:
        study, history = read(company, counting, delays, Path(name))
        if harm is not None:
            path = Path(name) / "counts.csv"
            table = pd.read_csv(path)
            harm(table, rng)
            table.to_csv(path, index=False)
            history = read_history(study)
        posterior = preview(study, history, seed=number, draws=2000)
        found = judge(study, history, checked(study, history, posterior, number)).told()["checks"]
    return [
        f"{c['name'].removeprefix('model and history: ')} {c['status']}"
        for c in found
        if c["name"].startswith("model and history") and c["status"] != "PASS"
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line a case: companies with an alarm, and by which checks."""
    parser = parser_of(__doc__)
    parser.add_argument("--companies", type=int, default=40)
    parser.add_argument("--harmed", type=int, default=10)
    asked = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    cases: list[tuple[str, str, Harm | None, int]] = [
        (f"sound, {counting}", counting, None, asked.companies)
        for counting in ("calendar", "cohort", "leads")
    ]
    cases += [
        (harm.__name__, "calendar", harm, asked.harmed)
        for harm in (gaps, unreported, stricter, tripled, bursts, weaker)
    ]
    for label, counting, harm, companies in cases:
        found = [alarms(i, counting, harm) for i in range(companies)]
        by = ", ".join(
            f"{name} {n}" for name, n in Counter(name for each in found for name in each).most_common()
        )
        print(f"{label:16} {sum(map(bool, found)):3} of {companies}  {by}", flush=True)


if __name__ == "__main__":
    main()
