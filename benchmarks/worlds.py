"""Forecasts of made companies beside what came: the product, its preview, the reachable limit and the baselines.

    python benchmarks/worlds.py --out FILE.jsonl [--worlds 64] [--workers 2] [--counting calendar,leads] [--first 0]
                                [--baselines NAME,...]
    python benchmarks/worlds.py --out FILE.jsonl --report
    python benchmarks/worlds.py --changing --out FILE.jsonl [--companies 64] [--families NAME;...] [--method preview]

Each world is drawn from one of the families of benchmarks/world_families.py, most of which break an assumption of the
model. Asked: total revenue of the three months after the as-of date, with spend at the current plan. Told, by family
and in all: CRPS relative to the mean of the reachable forecast, coverage of the central 50, 80 and 90 % bands with its
standard error, and the bias: what came less the mean. Resumable: a second call goes on where the first one stopped.

The study gives each delay as a user would, wrong by a factor of exp(0.3 z). All baselines together need the extra
`bench`; --baselines leaves some out.

--changing: companies that grow, shrink, change prices, move their spend, close in batches and so on, beside the same
companies standing still (twins: the same company by number, the same chance). By family:

    bias      (mean of the forecast - what came) / expected truth, with its standard error
    of truth  mean of the forecast / expected truth - 1: the same without the chance of what came
    beyond    the same less that of the twin that stands still
    80%, 50%  how often the band held what came; after "may" how often it holds what may come by the laws that made
              the company, whose draws are the truth (`forecast.lab.futures`)
    named     share of companies where a check of the verdict that is REVIEW or FAIL names the change, and does not
              name it in the twin that stands still; "alarm" is how often it names it there

--method audit asks the checks of the history alone, which previews and fits share, and forecasts nothing: seconds.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import resumable_parser, run_or_read, without_errors
from world_families import CHANGING, CONTROLS, FAMILIES, random_world

from forecast.backtest import BASELINES, scores
from forecast.checks import PASS, Check
from forecast.fit import Posterior, checked, fit_posterior, preview
from forecast.history import History, audit_history, read_history, read_plan
from forecast.lab import Company, Floats, counts, futures, generate
from forecast.outlook import case_of, simulate
from forecast.planning import forecast
from forecast.study import Study, load_study

HORIZON = 3
DRAWS = 4000
BANDS = (0.5, 0.8, 0.9)
PRODUCT, PREVIEW, LIMIT = "product", "preview", "reachable"
METHODS = ("preview", "fit", "audit")


def study_text(company: Company, counting: str, delays: dict[str, float]) -> str:
    """The study file of a company, as its user would write it."""
    files = {
        "calendar": 'counts = "counts.csv"\ncounting = "calendar"',
        "cohort": 'counts = "counts.csv"\ncounting = "cohort"',
        "leads": 'leads = "leads.csv"\nactivity = "activity.csv"',
    }
    channels = "\n".join(f'"{c.name}" = {{ kind = "{c.kind}" }}' for c in company.world.channels)
    return f"""name = "world"
[history]
{files[counting]}
[funnel]
stages = ["visitors", "leads", "qualified", "won"]
market = "b2b"
delay.qualified = "{delays["qualified"]:.0f} days"
delay.won = "{delays["won"]:.0f} days"
[channels]
{channels}
[economics]
gross_margin = 0.6
[plan]
periods = {HORIZON}
spend = "current"
"""


def read(company: Company, counting: str, delays: dict[str, float], folder: Path) -> tuple[Study, History]:
    """The company through its files, as the product reads them."""
    starts = {c.name: c.starts for c in company.world.channels}
    first = np.datetime64(company.world.first, "M")

    def running(table: pd.DataFrame) -> pd.DataFrame:
        month = (np.array(table["period"].to_numpy(), dtype="datetime64[M]") - first).astype(int)
        return table[month >= table["channel"].map(starts).to_numpy()]

    if counting == "leads":
        company.leads.to_csv(folder / "leads.csv", index=False, date_format="%Y-%m-%d")
        running(company.activity).to_csv(folder / "activity.csv", index=False)
    else:
        running(counts(company, counting)).to_csv(folder / "counts.csv", index=False)
    path = folder / "world.toml"
    path.write_text(study_text(company, counting, delays), encoding="utf-8")
    study = load_study(path)
    return study, read_history(study)


def told_delays(company: Company, rng: np.random.Generator) -> dict[str, float]:
    """Mean days of each delay as a user would tell them, wrong by a factor of exp(0.3 z)."""
    return {
        k: company.truth["delay"][k]["mean_days"] * np.exp(0.3 * rng.normal()) for k in ("qualified", "won")
    }


def outlook(study: Study, history: History, posterior: Posterior, seed: int) -> np.ndarray:
    """Draws of total revenue over the horizon at the current plan."""
    paths, chance = np.random.SeedSequence([seed, 1]).spawn(2)
    plan = np.asarray(read_plan(study, history).values, dtype=float)
    case = case_of(study, history, posterior, plan, np.random.default_rng(paths))
    data = simulate(case, {"given": plan}, rng=np.random.default_rng(chance))
    return data["revenue"].sel(plan="given").sum(["period", "channel"]).values


def score(draws: np.ndarray, came: float) -> dict[str, float]:
    """CRPS, mean, rank of what came, and the bands' edges."""
    edges = {f"q{100 * p:g}": float(np.quantile(draws, p)) for b in BANDS for p in ((1 - b) / 2, (1 + b) / 2)}
    return {
        "crps": float(scores.crps(draws, came)),
        "mean": float(draws.mean()),
        "pit": float((draws < came).mean() + 0.5 * (draws == came).mean()),
        **edges,
    }


def what_may_come(company: Company, rng: np.random.Generator) -> Floats:
    """Draws of total revenue over the horizon by the laws that made the company."""
    return futures(company, rng, months=HORIZON).revenue.sum(axis=1)


def one_world(job: tuple[int, tuple[str, ...], tuple[str, ...], int]) -> dict[str, Any]:
    """World number `i`: its family, what came, and the scores by method."""
    number, countings, names, draws = job
    family = list(FAMILIES)[number % len(FAMILIES)]
    rng = np.random.default_rng([2611, number])
    company = generate(FAMILIES[family](rng), rng)
    came = float(company.truth["later"]["totals"][str(HORIZON)]["total"]["revenue"])
    guess = told_delays(company, rng)
    scores = {LIMIT: score(what_may_come(company, rng.spawn(1)[0]), came)}
    seconds, gates = {}, {}
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for counting in countings:
            study, history = read(company, counting, guess, Path(name))
            if counting == "calendar":
                for label in names:
                    made = BASELINES[label](history, HORIZON, rng.spawn(1)[0], 4000)
                    scores[label] = score(made, came)
            quick = preview(study, history, seed=number, draws=draws)
            scores[f"{PREVIEW}, {counting}"] = score(outlook(study, history, quick, number), came)
            started = time.perf_counter()
            posterior = fit_posterior(study, history, seed=number, draws=draws)
            seconds[counting] = round(time.perf_counter() - started, 1)
            gates[counting] = posterior.provenance.get("failures", [])
            scores[f"{PRODUCT}, {counting}"] = score(outlook(study, history, posterior, number), came)
    return {"family": family, "came": came, "scores": scores, "seconds": seconds, "gates": gates}


def table(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows by method: worlds, CRPS / mean, coverage with standard errors (points), bias."""
    rows = []
    for method in records[0]["scores"]:
        found = [(r["scores"][method], r["came"], r["scores"][LIMIT]["mean"]) for r in records]
        relative = np.array([s["crps"] / mean for s, _, mean in found])
        row = {
            "method": method,
            "worlds": len(found),
            "CRPS/mean": relative.mean(),
            "s.e.": relative.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.nan,
            "bias": np.mean([(came - s["mean"]) / mean for s, came, mean in found]),
        }
        for band in BANDS:
            low, high = f"q{100 * (1 - band) / 2:g}", f"q{100 * (1 + band) / 2:g}"
            share = np.mean([s[low] <= came <= s[high] for s, came, _ in found])
            row[f"{band:.0%}"] = f"{share:.1%} ± {np.sqrt(share * (1 - share) / len(found)):.1%}"
        rows.append(row)
    return pd.DataFrame(rows)


def report(records: list[dict[str, Any]]) -> None:
    """Print the tables: all worlds, then each family."""
    families = ["all", *dict.fromkeys(r["family"] for r in records)]
    for family in families:
        mine = records if family == "all" else [r for r in records if r["family"] == family]
        print(f"\n{family}")
        print(table(mine).to_string(index=False, float_format="{:.3f}".format))
    whole = table(records).set_index("method")["CRPS/mean"]
    best = min(
        (name for name in BASELINES if name in whole.index), key=lambda name: whole[name], default=None
    )
    for method in whole.index:
        if best is not None and method.startswith((PRODUCT, PREVIEW, LIMIT)):
            gap = (whole[best] - whole[method]) / (whole[best] - whole[LIMIT])
            less = 1 - whole[method] / whole[best]
            print(f"{method}: {less:.1%} below the best baseline ({best}); {gap:.0%} of the way to the limit")
    for counting in records[0]["seconds"]:
        seconds = np.array([r["seconds"][counting] for r in records])
        missed = sum(bool(r["gates"][counting]) for r in records)
        print(
            f"{counting}: {np.median(seconds):.1f} s a fit (median), gate missed in {missed} of {len(records)}"
        )


# ------------------------------------------------------------------------------------------- companies that change


def one_changing(job: tuple[str, int, str, int]) -> dict[str, Any]:
    """A company by number, changed as its family is: what came and may come, the forecast, checks not passed."""
    family, number, method, draws = job
    chance = np.random.default_rng([1411, number])
    still = random_world(chance)
    world = CHANGING[family].change(still, np.random.default_rng([1412, number]))
    company = generate(world, chance)
    guess = told_delays(company, np.random.default_rng([1413, number]))
    moved = {c for change in world.changes for c in change.channels}
    moved |= {c.name for c, before in zip(world.channels, still.channels, strict=True) if c != before}
    record = {"family": family, "number": number, "changed": sorted(moved)}
    if method == "audit":
        with tempfile.TemporaryDirectory() as name:
            study, history = read(company, CHANGING[family].counting, guess, Path(name))
        return record | {"alarms": _alarms(c for c in audit_history(history, study) if c.status != PASS)}
    came = float(company.truth["later"]["totals"][str(HORIZON)]["total"]["revenue"])
    truth = what_may_come(company, np.random.default_rng([1414, number]))
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study, history = read(company, CHANGING[family].counting, guess, Path(name))
        if method == "preview":
            posterior = preview(study, history, seed=number, draws=draws)
            posterior = checked(study, history, posterior, number)
        else:
            posterior = fit_posterior(study, history, seed=number, draws=draws)
        made = forecast(study, history, posterior, seed=number)
        told = (
            made.simulate({"given": made.case.plan})["revenue"].sel(plan="given").sum(["period", "channel"])
        )
        found = made.verdict.failing
    return record | {
        "came": came,
        "truth": score(truth, came),
        "forecast": score(told.values, came),
        "may": {f"{b:g}": _within(told.values, truth, b) for b in BANDS},
        "alarms": _alarms(found),
        "gate": posterior.provenance.get("failures", []) != [],
    }


PREFIX = "^(model and history|data): "
ALWAYS = "preview"  # the check that says what a preview is


def _alarms(found: Iterable[Check]) -> list[list[str]]:
    return [[re.sub(PREFIX, "", c["name"]), c["status"], c["value"]] for c in (x.told() for x in found)]


def _within(draws: Floats, truth: Floats, band: float) -> float:
    """Share of what may come inside the central band of the draws."""
    low, high = np.quantile(draws, [(1 - band) / 2, (1 + band) / 2])
    return float(((truth >= low) & (truth <= high)).mean())


def naming(family: str, alarms: list[list[str]], changed: list[str]) -> set[str]:
    """Which of a company's alarms name the change of the family."""
    channels = "(?:" + "|".join(re.escape(name) for name in changed) + ")"
    return {
        name
        for name, _, value in alarms
        for check, pattern in CHANGING[family].names
        if name == check and re.search(pattern.replace("{changed}", channels), value)
    }


def _with_error(values: Floats) -> str:
    error = values.std(ddof=1) / np.sqrt(values.size) if values.size > 1 else np.nan
    return f"{values.mean():+.1%} ± {error:.1%}"


def changing_table(records: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a family: bias, CRPS, coverage, and how often the change was named."""
    by = {(r["family"], r["number"]): r for r in records}
    rows = []
    for family in [name for name in CHANGING if any(r["family"] == name for r in records)]:
        mine = [r for r in records if r["family"] == family]
        twins = [by.get((CONTROLS[CHANGING[family].counting], r["number"])) for r in mine]
        pairs = [(r, t) for r, t in zip(mine, twins, strict=True) if t is not None]
        row = {"family": family, "n": len(mine)}
        if all("forecast" in r for r in mine):
            row |= _scored(mine, pairs if family not in CONTROLS.values() else [])
        there = [naming(family, t["alarms"], r["changed"]) for r, t in pairs]
        here = [naming(family, r["alarms"], r["changed"]) for r, _ in pairs]
        if pairs and family not in CONTROLS.values():
            row["named"] = f"{np.mean([bool(h - t) for h, t in zip(here, there, strict=True)]):.0%}"
            row["alarm"] = f"{np.mean([bool(t) for t in there]):.0%}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def _scored(mine: list[dict[str, Any]], pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """Bias, CRPS and coverage of a family's forecasts; `pairs` with their twins, none of a control."""
    expected = np.array([r["truth"]["mean"] for r in mine])
    said = np.array([r["forecast"]["mean"] for r in mine])
    came = np.array([r["came"] for r in mine])
    beyond = np.array([_off(r) - _off(t) for r, t in pairs])
    row = {
        "bias": _with_error((said - came) / expected),
        "of truth": _with_error(said / expected - 1),
        "beyond": _with_error(beyond) if pairs else "",
        "CRPS/mean": np.mean([r["forecast"]["crps"] for r in mine] / expected),
        "limit": np.mean([r["truth"]["crps"] for r in mine] / expected),
    }
    for band in (0.8, 0.5):
        low, high = f"q{100 * (1 - band) / 2:g}", f"q{100 * (1 + band) / 2:g}"
        held = np.mean([r["forecast"][low] <= r["came"] <= r["forecast"][high] for r in mine])
        row[f"{band:.0%}"] = f"{held:.0%}"
        row[f"may {band:.0%}"] = f"{np.mean([r['may'][f'{band:g}'] for r in mine]):.0%}"
    return row


def _off(record: dict[str, Any]) -> float:
    return float(record["forecast"]["mean"] / record["truth"]["mean"] - 1)


def changing_report(records: list[dict[str, Any]]) -> None:
    """Print the table, then by family the checks that alarm where those of the twin do not; * where one names it."""
    print(changing_table(records).to_string(index=False, float_format="{:.3f}".format))
    print("\nChecks REVIEW or FAIL in a company and not in its twin that stands still; * names the change")
    by = {(r["family"], r["number"]): r for r in records}
    for family in [name for name in CHANGING if any(r["family"] == name for r in records)]:
        mine = [r for r in records if r["family"] == family]
        found: Counter[str] = Counter()
        for record in mine:
            twin = by.get((CONTROLS[CHANGING[family].counting], record["number"]))
            usual = set() if twin is None or twin is record else {name for name, *_ in twin["alarms"]}
            named = naming(family, record["alarms"], record["changed"])
            if twin is not None and twin is not record:
                named -= naming(family, twin["alarms"], record["changed"])
            found.update(
                name + " *" if name in named else name
                for name in {name for name, *_ in record["alarms"]} - {ALWAYS}
                if name in named or name not in usual
            )
        said = ", ".join(f"{name} {n}" for name, n in sorted(found.items(), key=lambda x: (-x[1], x[0])))
        print(f"{family} ({len(mine)}): {said or 'none'}")


def run_changing(options: argparse.Namespace) -> None:
    """Run the companies that are not there yet, and print."""
    families = list(CHANGING) if options.families is None else options.families.split(";")
    if unknown := set(families) - set(CHANGING):
        sys.exit(f"no family {', '.join(sorted(unknown))}; there are {'; '.join(CHANGING)}")
    numbers = range(options.first, options.first + options.companies)
    jobs = {
        f"{family} {i:04d}": (family, i, options.method, options.draws)
        for i in numbers
        for family in families
    }

    def done(key: str, record: dict[str, Any]) -> None:
        print(key, record.get("error", ""), flush=True)

    settings = {"changing": True, "method": options.method, "draws": options.draws}
    records = without_errors(run_or_read(options, one_changing, jobs, settings, done=done))
    print()
    changing_report(records)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the worlds that are not there yet, and print."""
    parser = resumable_parser(__doc__, many=64)
    parser.add_argument("--changing", action="store_true", help="companies that change")
    parser.add_argument("--companies", type=int, default=64, help="of each family that changes")
    parser.add_argument("--families", help="of those that change, with semicolons; default: all")
    parser.add_argument("--method", choices=METHODS, default=METHODS[0], help="of those that change")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--counting", default="calendar,leads")
    parser.add_argument("--baselines", default=",".join(BASELINES), help="made from calendar counts")
    options = parser.parse_args(argv)
    if options.changing:
        run_changing(options)
        return
    countings = tuple(options.counting.split(","))
    names = tuple(options.baselines.split(","))
    settings = {"counting": list(countings), "draws": options.draws}
    if names != tuple(BASELINES):
        settings["baselines"] = list(names)
    jobs = {
        f"{i:04d}": (i, countings, names, options.draws)
        for i in range(options.first, options.first + options.worlds)
    }

    def done(key: str, record: dict[str, Any]) -> None:
        print(key, record.get("family"), record.get("seconds"), record.get("error", ""), flush=True)

    report(without_errors(run_or_read(options, one_world, jobs, settings, done=done)))


if __name__ == "__main__":
    main()
