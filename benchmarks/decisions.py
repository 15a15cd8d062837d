"""Recommendations to made companies beside what they truly bring: arbitrary budgets, and budgets already tuned.

    python benchmarks/decisions.py --out FOLDER [--kinds arbitrary,tuned] [--worlds 48] [--workers 2] [--method nuts]
    python benchmarks/decisions.py --out FOLDER --report

arbitrary: spend of a channel has nothing to do with what it returns; its log sd over the months is 0.28. tuned:
managers hold every channel within 20 % (log sd) of where marginal returns are equal, and move it by 0.06 a month.
Traffic answers spend by Hill and saturating-exponential curves, never by the model's power law. The product sees 36
months of calendar counts and may move each channel by 50 % within today's total; the oracle knows every parameter and
keeps the same limits.

True value of a plan: margin x visitors x today's true rates x mean deal, carry-over after the horizon included. Real
gain: that of the recommendation less the current plan's. Resumable: a second call goes on where the first one stopped.
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
from world_families import random_world
from worlds import read, told_delays

from forecast.budget import MATERIAL_SHARE, Limits, decide, limits_of, recommended_plan
from forecast.fit import Posterior, fit_posterior, preview
from forecast.history import History, read_plan
from forecast.lab import Channel, Company, Floats, World, generate, response, season
from forecast.outlook import case_of
from forecast.study import Study

KINDS = ("arbitrary", "tuned")
SPEND_SD = {"arbitrary": 0.28, "tuned": 0.06}
RETURN = 1.5  # margin that the next unit of money brings in every channel of a tuned company
OFF_TUNE = 0.2  # log sd of a tuned channel's spend around its best
MARGIN, DRAWS, AFTER = 0.6, 4000, 24  # months after the horizon in which carry-over may still act
STEPS = 2000  # of the oracle's curves
METHODS = {"nuts": fit_posterior, "preview": preview}
FAMILIES = (("hill", "ar1", "weibull"), ("exponential", "walk", "weibull"), ("hill", "walk", "lognormal"))


def world_of(kind: str, number: int, rng: np.random.Generator) -> World:
    """A company whose response is not the model's."""
    shape, rates, delay = FAMILIES[number % len(FAMILIES)]
    world = replace(random_world(rng), response=shape, rates=rates, delay=delay, deals="lognormal")
    channels = tuple(replace(c, spend_sd=SPEND_SD[kind]) for c in world.channels)
    world = replace(world, channels=channels)
    return world if kind == "arbitrary" else _tuned(world, rng)


def _tuned(world: World, rng: np.random.Generator) -> World:
    """The same company with traffic such that marginal returns are RETURN at a spend 20 % off today's."""
    best = [c.spend * float(np.exp(OFF_TUNE * rng.normal())) for c in world.channels]
    slopes = np.array([_slope(world, c, x) for c, x in zip(world.channels, best, strict=True)])
    wanted = RETURN / slopes
    channels = [replace(c, visitors=c.visitors * f) for c, f in zip(world.channels, wanted, strict=True)]
    return replace(world, channels=tuple(channels))


def _slope(world: World, c: Channel, spend: float) -> float:
    """Margin of the next unit of steady spend a month."""
    lift = response(world, c, np.array([spend * 0.999, spend * 1.001]))
    worth = MARGIN * c.visitors * c.conversion * c.qualification * c.close * c.deal_mean
    return float(worth * np.diff(lift)[0] / (0.002 * spend))


def true_values(company: Company, names: list[str], plans: Floats) -> Floats:
    """Expected eventual margin, today's state known, of plans (plan, period, channel in the order of names)."""
    world, truth = company.world, company.truth
    channels = {c.name: c for c in world.channels}
    past = company.activity.pivot(index="period", columns="channel", values="spend")
    months = (np.datetime64(truth["last"], "M").astype(int) + 1 + np.arange(plans.shape[1] + AFTER)) % 12
    traffic = np.exp(season(world)[months] + truth["traffic_walk"][-1])
    values = np.zeros((len(plans), len(names)))
    for i, name in enumerate(names):
        c, spend = channels[name], past[name].to_numpy(dtype=float)
        worth = MARGIN * c.visitors * c.deal_mean
        for stage in ("leads", "qualified", "won"):
            worth *= truth["rate"][stage][c.name]["end"]
        stock = np.full(len(plans), c.spend)
        for x in spend:
            stock = (1 - c.carry_over) * x + c.carry_over * stock
        path = np.concatenate([plans[:, :, i], np.full((len(plans), AFTER), spend[-3:].mean())], axis=1)
        for t in range(path.shape[1]):
            stock = (1 - c.carry_over) * path[:, t] + c.carry_over * stock
            values[:, i] += worth * traffic[t] * response(world, c, stock)
    return values


def oracle(company: Company, names: list[str], plan: Floats, limits: Limits) -> Floats:
    """The best split (period, channel) in the same limits for who knows the company; no money goes below one."""
    low, high = limits.low, np.minimum(limits.high, 10 * plan.sum(axis=0))
    grid = low + (high - low) * np.linspace(0.0, 1.0, STEPS + 1)[:, None]
    values = true_values(company, names, np.repeat(grid[:, None] / len(plan), len(plan), axis=1))
    slope, width = np.diff(values, axis=0) / np.maximum(np.diff(grid, axis=0), 1e-12), np.diff(grid, axis=0)
    order = np.argsort(-slope, axis=None)
    wide = width.ravel()[order] * (slope.ravel()[order] >= 1.0)
    taken = np.clip(limits.total - low.sum() - (np.cumsum(wide) - wide), 0.0, wide)
    spent = np.zeros(width.size)
    spent[order] = taken
    return np.repeat((low + spent.reshape(width.shape).sum(axis=0))[None] / len(plan), len(plan), axis=0)


def company_of(kind: str, number: int, folder: Path) -> tuple[Company, Study, History]:
    """World `number` of a kind, and what a user tells of it: counts in `folder`, delays wrong by exp(0.3 z)."""
    rng = np.random.default_rng([2613, KINDS.index(kind), number])
    company = generate(world_of(kind, number, rng), rng)
    return company, *read(company, "calendar", told_delays(company, rng), folder)


def gains(
    company: Company, study: Study, history: History, posterior: Posterior, seed: int
) -> dict[str, Any]:
    """What the recommendation from a posterior promises, what it truly brings, what could be had."""
    plan = np.asarray(read_plan(study, history).values, dtype=float)
    paths, _ = np.random.SeedSequence([seed, 1]).spawn(2)
    decision = decide(case_of(study, history, posterior, plan, np.random.default_rng(paths)))
    found, recommended = decision.allocation, recommended_plan(decision)
    names = list(history.channels)
    best = oracle(company, names, plan, limits_of(study, history, plan))
    values = true_values(company, names, np.stack([plan, recommended, best]))
    profit = values.sum(axis=1) - np.array([p.sum() for p in (plan, recommended, best)])
    low, high = np.quantile(found.gain, [0.1, 0.9])
    return {
        "contribution": float(profit[0]),
        "real": float(profit[1] - profit[0]),
        "attainable": float(profit[2] - profit[0]),
        "promised": float(found.gain.mean()),
        "q10": float(low),
        "q90": float(high),
        "p_better": found.p_better,
        "material": bool(found.material),
        "moved": float(np.abs(recommended - plan).sum() / plan.sum() / 2),
    }


def recommendation(
    company: Company, study: Study, history: History, job: tuple[str, int, str, int]
) -> dict[str, Any]:
    """The gains of a study of a company, with the family of its response and what its fit failed."""
    _, number, method, draws = job
    posterior = METHODS[method](study, history, seed=number, draws=draws)
    return {
        "response": company.world.response,
        **gains(company, study, history, posterior, number),
        "gate": posterior.provenance.get("failures", []),
    }


def one_world(job: tuple[str, int, str, int]) -> dict[str, Any]:
    """World `number` of a kind: what was promised, what it brings, what could be had."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return recommendation(*company_of(job[0], job[1], Path(folder)), job)


def _ratio(top: Floats, bottom: Floats, rng: np.random.Generator) -> str:
    """Ratio of sums with its bootstrap standard error over worlds."""
    rows = rng.integers(0, len(top), (2000, len(top)))
    error = (top[rows].sum(axis=1) / bottom[rows].sum(axis=1)).std()
    return f"{top.sum() / bottom.sum():.3f} ± {error:.3f}"


def _share(mask: Floats) -> str:
    p = float(mask.mean())
    return f"{p:.1%} ± {np.sqrt(p * (1 - p) / len(mask)):.1%} ({int(mask.sum())} of {len(mask)})"


def report(kind: str, records: list[dict[str, Any]]) -> None:
    """What the issue asks of a kind."""
    t = pd.DataFrame(records)
    rng = np.random.default_rng(1)
    real, promised, attainable = (t[k].to_numpy() for k in ("real", "promised", "attainable"))
    print(
        f"\n{kind}: {len(t)} worlds, gate missed in {int(t['gate'].map(bool).sum())}, {t['moved'].mean():.0%} moved"
    )
    print("attainable gain over contribution:", f"{attainable.sum() / t['contribution'].sum():.1%}")
    print("real over attainable gain, in total:", _ratio(real, attainable, rng))
    print("promised over real gain, in total:", _ratio(promised, real, rng))
    print("worlds really worse than the current plan:", _share(real < 0))
    print("worlds worse by more than 0.1 % of contribution:", _share(real < -1e-3 * t["contribution"]))
    print("worlds worse after a change was recommended:", _share((real < 0) & t["material"].to_numpy()))
    print("80 % band of the gain covers the true gain:", _share((t["q10"] <= real) & (real <= t["q90"])))
    print("average real gain over contribution:", f"{(real / t['contribution']).mean():+.2%}")
    calm = ~t["material"].to_numpy()
    small = attainable <= MATERIAL_SHARE * t["contribution"]
    print("'no material change' said:", _share(calm), f"; truly at most 1 % to gain: {_share(small)}")
    print("real gain over contribution where a change was called material:", _mean(real, t, ~calm))
    rows = []
    for low, high in ((0.0, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 1.01)):
        inside = ((t["p_better"] >= low) & (t["p_better"] < high)).to_numpy()
        if inside.any():
            better = real[inside] > 0
            rows.append(
                (
                    f"{low:.2f} - {min(high, 1):.2f}",
                    inside.sum(),
                    t["p_better"][inside].mean(),
                    better.mean(),
                    np.sqrt(better.mean() * (1 - better.mean()) / inside.sum()),
                )
            )
    table = pd.DataFrame(rows, columns=["P(better) said", "worlds", "said", "truly better", "s.e."])
    print(table.to_string(index=False, float_format="{:.2f}".format))


def _mean(real: Floats, t: pd.DataFrame, rows: Floats) -> str:
    return f"{(real / t['contribution'])[rows].mean():+.2%}" if rows.any() else "never"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the worlds that are not there yet, and print."""
    parser = resumable_parser(__doc__, many=48)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--method", choices=tuple(METHODS), default="nuts")
    options = parser.parse_args(argv)
    settings = {"draws": options.draws, "method": options.method}
    for kind in options.kinds.split(","):
        path = options.out / f"{kind}_{options.method}.jsonl"
        jobs = {f"{i:04d}": (kind, i, options.method, options.draws) for i in range(options.worlds)}
        records = run_or_read(options, one_world, jobs, settings, path=path)
        for key, record in records.items():
            if "error" in record:
                print(key, record["error"])
        report(kind, without_errors(records))


if __name__ == "__main__":
    main()
