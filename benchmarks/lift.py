"""What a lift test is worth: companies whose spend hardly varies, with no test, one, and one for every channel.

    python benchmarks/lift.py --out FILE.jsonl [--worlds 24] [--workers 2] [--method preview|nuts] [--error 0.05]
    python benchmarks/lift.py --out FILE.jsonl --report

The worlds are those of benchmarks/decisions.py with arbitrary budgets, but with a spend that varies by 5 % (log sd);
their response is Hill or exponential, never the model's power law. A test spends half as much again on a channel in
the last three months of the history and measures what that brings, carry-over under way included, with a standard
error of `--error` times the channel's traffic. "one": the channel with the highest spend. Told: the error of the
elasticity at today's spend (root mean square, over the channels that were tested in "one" and over all), how often its
80 % band holds the truth, and what the recommendation really gains of what could be gained.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command import resumable_parser, run_or_read, without_errors
from decisions import DRAWS, MARGIN, METHODS, gains, world_of
from worlds import read, told_delays

from forecast.fit import Posterior
from forecast.history import History, read_plan
from forecast.lab import Channel, Company, Floats, World, generate, response, season
from forecast.study import Study

SPEND_SD = 0.05
MONTHS, MORE = 3, 0.5  # length of a test, and by how much it raises the spend
CASES = ("none", "one", "all")


def test_of(
    company: Company, name: str, spend: float, error: float, rng: np.random.Generator
) -> dict[str, Any]:
    """A table [[lift_test]] of the last months of a channel, as it would have been measured."""
    world = company.world
    channel = next(c for c in world.channels if c.name == name)
    last = np.datetime64(company.truth["last"], "M")
    months = last - np.arange(MONTHS)[::-1]
    walk = np.array(company.truth["traffic_walk"])[-MONTHS:]
    level = channel.visitors * np.exp(season(world)[months.astype(int) % 12] + walk)
    stock = spend * (1 + MORE * (1 - channel.carry_over ** np.arange(1, MONTHS + 1)))
    usual = float(response(world, channel, np.array([spend]))[0])
    lift = float((level * (response(world, channel, stock) - usual)).mean())
    se = error * float(level.mean()) * usual
    return {
        "channel": name,
        "from": str(months[0]),
        "to": str(months[-1]),
        "without": round(spend, 2),
        "with": round(spend * (1 + MORE), 2),
        "lift": round(lift + se * rng.normal(), 2),
        "se": round(se, 2),
    }


def true_elasticity(world: World, channel: Channel, spend: float) -> float:
    """d log traffic / d log spend of the steady response."""
    low, high = np.log(response(world, channel, spend * np.exp(np.array([-1e-4, 1e-4]))))
    return float(high - low) / 2e-4


def elasticities(posterior: Posterior, history: History, spend: Floats) -> Floats:
    """The same of the posterior, (draw, channel)."""
    beta, base = posterior.array("elasticity"), posterior.array("base")
    power = (1 - base) * (spend / history.spend_reference) ** beta
    return np.asarray(beta * power / (base + power))


def one_world(job: tuple[int, str, float, int]) -> dict[str, Any]:
    """World `number` without a test, with one and with all."""
    number, method, error, draws = job
    rng = np.random.default_rng([2614, number])
    world = world_of("arbitrary", number, rng)
    world = replace(world, channels=tuple(replace(c, spend_sd=SPEND_SD) for c in world.channels))
    company = generate(world, rng)
    guess = told_delays(company, rng)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study, history = read(company, "calendar", guess, Path(folder))
        plan = np.asarray(read_plan(study, history).values, dtype=float)
    names, current = list(history.channels), plan.mean(axis=0)
    channels = {c.name: c for c in world.channels}
    tests = [test_of(company, name, x, error, rng) for name, x in zip(names, current, strict=True)]
    first = int(current.argmax())
    truth = np.array([true_elasticity(world, channels[n], x) for n, x in zip(names, current, strict=True)])
    for case, given in zip(CASES, ([], [tests[first]], tests), strict=True):
        asked = Study.model_validate(study.model_dump(by_alias=True) | {"lift_test": tuple(given)})
        posterior = METHODS[method](asked, history, seed=number, draws=draws)
        elasticity = elasticities(posterior, history, current)
        low, high = np.quantile(elasticity, [0.1, 0.9], axis=0)
        told = gains(company, asked, history, posterior, number)
        found[case] = {
            "miss": (elasticity.mean(axis=0) - truth).tolist(),
            "inside": ((low <= truth) & (truth <= high)).tolist(),
            "width": (high - low).tolist(),
            **{k: told[k] for k in ("contribution", "promised", "real", "attainable")},
        }
    return {"first": first, "cases": found}


def report(records: list[dict[str, Any]]) -> None:
    """One row a case."""
    rows = []
    for case in CASES:
        made = [r["cases"][case] for r in records]
        miss = np.concatenate([m["miss"] for m in made])
        tested = np.array([m["miss"][r["first"]] for m, r in zip(made, records, strict=True)])
        inside = np.concatenate([m["inside"] for m in made])
        real, attainable, promised, whole = (
            np.array([m[k] for m in made]) for k in ("real", "attainable", "promised", "contribution")
        )
        hit = float(inside.mean())
        rows.append(
            {
                "tests": case,
                "rms error, largest channel": np.sqrt((tested**2).mean()),
                "rms error, all": np.sqrt((miss**2).mean()),
                "80 % band holds": f"{hit:.0%} ± {np.sqrt(hit * (1 - hit) / inside.size):.0%}",
                "width": np.concatenate([m["width"] for m in made]).mean(),
                "real / attainable": real.sum() / attainable.sum(),
                "promised / real": promised.sum() / real.sum(),
                "worse than today": f"{int((real < 0).sum())} of {len(real)}",
                "gain": f"{real.sum() / whole.sum():.2%}",
            }
        )
    print(f"{len(records)} worlds, margin {MARGIN:.0%}, spend varied by {SPEND_SD:.0%}")
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3f}".format))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the worlds that are not there yet, and print."""
    parser = resumable_parser(__doc__, many=24)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--method", choices=tuple(METHODS), default="preview")
    parser.add_argument(
        "--error", type=float, default=0.05, help="standard error of a test, share of traffic"
    )
    options = parser.parse_args(argv)
    settings = {"draws": options.draws, "method": options.method, "error": options.error}
    jobs = {f"{i:04d}": (i, options.method, options.error, options.draws) for i in range(options.worlds)}

    def done(key: str, record: dict[str, Any]) -> None:
        print(key, record.get("error", ""), flush=True)

    report(without_errors(run_or_read(options, one_world, jobs, settings, done=done)))


if __name__ == "__main__":
    main()
