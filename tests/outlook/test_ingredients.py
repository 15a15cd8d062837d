"""A few draws that stand for all, and the page's own funnel held to the engine's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from browser_fixture import Opened, browser, needs_browser
from posterior_fixture import PLAN, TWO, case, history, rich, study

from forecast.checking import bundled, read_asked
from forecast.fit import preview
from forecast.outlook.expectation import outcome, world_of
from forecast.outlook.ingredients import LEAST, MOST, chosen_draws
from forecast.outlook.scenarios import (
    Base,
    delay_about,
    new_delay,
    raise_rate,
    raise_traffic,
    raise_value,
)
from forecast.outlook.simulation import REPLICATES, simulate
from forecast.planning import Forecast, forecast
from forecast.report import whatif_page


@pytest.fixture(scope="module")
def made() -> Forecast:
    """A company of two channels, delays, noise and carry-over."""
    known, past = rich()
    return Forecast(case(known, past, PLAN, study(economics={"gross_margin": 0.6})))


def test_few_draws_stand_for_all(made):
    """Mean and quantiles of revenue are far nearer than those of as many draws taken at random."""
    own, given = made.ingredients, made.draws.sel(plan="given")
    assert LEAST <= own.size <= MOST
    whole = given["revenue"].values.sum(axis=(1, 2))
    few = own.chance["revenue"].sum(axis=1)
    error = whole.std() / np.sqrt(own.size)
    assert abs(few.mean() - whole.mean()) < 0.25 * error
    for p in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert abs(np.quantile(few, p) - np.quantile(whole, p)) < 0.5 * error


# ------------------------------------------------------------------------------ the page's funnel, held to the engine's


@pytest.fixture(scope="module")
def demo() -> Forecast:
    """The bundled company, in closed form."""
    asked, past, _ = read_asked(bundled("demo.toml"), (), None)
    return forecast(asked, past, preview(asked, past, seed=1, draws=2000))


def company(**economics: float) -> Forecast:
    """Money beside the deals, two periods of an event, and a limit of sales where one is asked for."""
    known, _ = rich()
    past = history({**TWO, "revenue": [25_000.0, 9_000.0], "refunds": [2_000.0, 500.0]})
    rng, n = np.random.default_rng(8), known.draws
    more = {
        "refund_share": (("draw", "channel"), np.array([0.15, 0.05]) * rng.uniform(0.8, 1.2, (n, 2))),
        "refund_delay": (("draw",), np.full(n, 1.5)),
        "refund_size": (("draw",), np.full(n, 700.0)),
        "recurring_level": (("draw", "channel"), np.array([40_000.0, 0.0]) * rng.uniform(0.9, 1.1, (n, 2))),
        "recurring_growth": (("draw", "channel"), np.full((n, 2), -0.02)),
        "recurring_drift": (("draw", "channel"), np.full((n, 2), 0.01)),
        "recurring_noise": (("draw", "channel"), np.full((n, 2), 0.01)),
    }
    known = replace(known, data=known.data.assign(more))
    event = {"name": "fair", "periods": ("2026-03",), "moves": "rate.won", "size": {"times": 1.5}}
    asked = study(economics={"gross_margin": 0.6, **economics}, event=(event,))
    return Forecast(case(known, past, PLAN, asked))


def aged() -> Forecast:
    """Dated leads that move by hazards."""
    asked, past, _ = read_asked(bundled("demo_leads.toml"), (), None)
    return forecast(asked, past, preview(asked, past, seed=1, draws=1000))


def positions(made: Forecast) -> list[dict[str, Any]]:
    """A grid of lever positions: each lever by itself, then all at random."""
    plan, stages = made.case.plan, made.case.stages[1:]
    late = [f"longer_{stage}" in made.ingredients.draws for stage in stages]
    at = {"spend": plan.T.tolist(), "traffic": 1.0, "value": 1.0}
    at |= {"rates": [1.0] * len(stages), "delays": [1.0] * len(stages)}
    grid = [at, *(at | {"spend": (plan * times).T.tolist()} for times in (0.0, 0.5, 1.5, 2.0))]
    more = 1.0 + np.eye(len(made.case.channels))
    grid += [at | {"spend": (plan * times).T.tolist()} for times in more]
    for k in range(len(stages)):
        for key, sizes in (("rates", (0.5, 1.3, 2.0)), ("delays", (0.5, 0.6, 0.87, 1.2, 1.75, 2.0))):
            if key == "delays" and not late[k]:
                continue
            grid += [at | {key: [size if i == k else 1.0 for i in range(len(stages))]} for size in sizes]
    grid += [at | {"value": 1.2}, at | {"traffic": 0.7}]
    rng = np.random.default_rng(0)
    for _ in range(6):
        spend = (plan * rng.uniform(0.0, 2.0, plan.shape[1])).T.tolist()
        rates = rng.uniform(0.6, 1.7, len(stages)).tolist()
        delays = [float(rng.uniform(0.5, 2.0)) if yes else 1.0 for yes in late]
        traffic, value = rng.uniform(0.6, 1.4, 2).tolist()
        grid.append({"spend": spend, "traffic": traffic, "value": value, "rates": rates, "delays": delays})
    return grid


def engine(made: Forecast, rows: np.ndarray, at: Mapping[str, Any]) -> dict[str, float]:
    """The engine's expected totals at a position, by its own levers."""
    asked, world = made.case, world_of(made.case, rows)
    traffic, later = asked.traffic(np.array(at["spend"]).T)
    world = replace(world, traffic=traffic[rows], later=later[rows])
    all_of, every = np.ones(asked.horizon), np.ones(len(asked.channels), dtype=bool)
    world = raise_traffic(world, np.full(world.traffic.shape, at["traffic"]), all_of, every)
    world = raise_value(world, np.full(world.value.shape, at["value"]), all_of, every)
    base = Base(asked, rows, world, outcome(world))
    for stage, rate, delay in zip(asked.stages[1:], at["rates"], at["delays"], strict=True):
        world = raise_rate(world, stage, np.full(world.rates[stage].shape, rate), all_of, every)
        if delay != 1.0:
            mean = asked.posterior.array(f"delay_mean_{stage}")[rows]
            laws = (delay_about(base, stage, mean * times, 2 * asked.horizon) for times in (1.0, delay))
            world = new_delay(world, stage, *laws, all_of)
    road = outcome(world)
    return {
        "revenue": float(road.inside.sum() / len(rows)),
        "won": float(road.won[:, :, :-1].sum() / len(rows)),
        "eventual": float(road.eventual.sum() / len(rows)),
    }


PAGE = """at => {
  const told = whatIf.told(at), made = told.expected, last = (rows) => rows[rows.length - 1];
  const mean = (draws) => draws.reduce((a, b) => a + b, 0) / draws.length;
  const beside = whatIf.F.beside ? mean(whatIf.sum(whatIf.F.beside)) : 0;
  return {
    road: {
      revenue: mean(whatIf.sum(made.revenue)) + beside, won: mean(whatIf.sum(made.won)), eventual: mean(made.eventual),
    },
    told: { revenue: last(told.revenue), won: last(told.won), eventual: told.eventual[0] },
  };
}"""


@pytest.mark.outside
@needs_browser
@pytest.mark.parametrize("which", ["demo", "money", "full", "leads"])
def test_the_page_runs_the_funnel_as_the_engine_does(which, demo, tmp_path):
    """On a grid of levers, the same draws: expected totals within 0.1 % of the engine's, coded draws and all.

    With money beside deals and an event; with a queue in front of sales; of leads that move by hazards.
    """
    made = {"demo": lambda: demo, "money": company, "leads": aged}.get(
        which, lambda: company(capacity=12.0, capacity_decay=0.3)
    )()
    file = tmp_path / "whatif.html"
    file.write_bytes(whatif_page(made))
    given, size = made.draws.sel(plan="given"), made.ingredients.size
    rows = chosen_draws(made.case, given, made._flow, size) // REPLICATES
    with browser() as found, Opened(found, file) as page:
        for at in positions(made):
            mine, theirs = page.run(PAGE, at)["road"], engine(made, rows, at)
            assert mine == pytest.approx(theirs, rel=1e-3), at
        assert page.said == []


@pytest.mark.outside
@needs_browser
def test_what_the_page_says_is_within_half_a_percent_of_all_draws(demo, tmp_path):
    """Its few draws against the whole posterior: expected revenue and wins, and what the horizon brings in the end.

    The engine's own answer: what the run says at the plan, times what the expected road of all draws becomes.
    """
    file, every = tmp_path / "whatif.html", np.arange(demo.case.posterior.draws)
    file.write_bytes(whatif_page(demo))
    grid = positions(demo)
    plan, off = engine(demo, every, grid[0]), {"revenue": 0.0, "won": 0.0, "eventual": 0.0}
    with browser() as found, Opened(found, file) as page:
        run = {name: told["mean"] for name, told in page.run(PAGE, grid[0])["told"].items()}
        for at in grid:
            mine, theirs = page.run(PAGE, at)["told"], engine(demo, every, at)
            for name, most in off.items():
                right = run[name] * theirs[name] / plan[name]
                off[name] = max(most, abs(mine[name]["mean"] / right - 1.0))
    assert max(off.values()) < 0.005, off


@pytest.mark.outside
@needs_browser
def test_bands_keep_their_chance_away_from_the_plan(demo, tmp_path):
    """Ends of 80 % bands against a simulation of all draws with those levers: within 4 %."""
    file = tmp_path / "whatif.html"
    file.write_bytes(whatif_page(demo))
    asked, at = demo.case, positions(demo)[0]
    rates = {**asked.future.rates, "won": np.minimum(asked.future.rates["won"] * 1.5, 1.0)}
    raised = replace(asked, future=replace(asked.future, rates=rates))
    with browser() as found, Opened(found, file) as page:
        for other, plan, change in (
            (asked, asked.plan * 0.5, {"spend": (asked.plan * 0.5).T.tolist()}),
            (asked, asked.plan * 2.0, {"spend": (asked.plan * 2.0).T.tolist()}),
            (raised, asked.plan, {"rates": [1.0, 1.0, 1.5]}),
        ):
            drawn = simulate(other, {"a": plan}, rng=np.random.default_rng(3)).sel(plan="a")
            told = page.run(PAGE, at | change)["told"]
            for name, of in (("revenue", "revenue"), ("won", "won"), ("eventual", "revenue_eventual")):
                whole = drawn[of].sum([d for d in drawn[of].dims if d != "draw"]).values.astype(float)
                for end, p in (("q10", 0.1), ("q50", 0.5), ("q90", 0.9)):
                    assert told[name][end] == pytest.approx(np.quantile(whole, p), rel=0.04), (change, name)
