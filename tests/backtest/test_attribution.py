"""Where a miss came from: shares add up, and a miss that was made in one place is found there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from posterior_fixture import DELAYS, RATES, TWO, history, posterior, run, study

from forecast.backtest.actuals import score_outlook
from forecast.backtest.attribution import Known, attribute, expected, losses_of
from forecast.equations import delay_pmf
from forecast.fit import Posterior
from forecast.history import History
from forecast.outlook import open_units

MONTHS, AHEAD = 24, 3


def company(**changes: float) -> History:
    """Two years and a quarter of a steady funnel; in the quarter, a measure is `changes` times what it was."""
    months = MONTHS + AHEAD
    after = np.arange(months)[:, None] >= MONTHS
    visitors = np.broadcast_to([4000.0, 1600.0], (months, 2)) * np.where(
        after, changes.get("traffic", 1.0), 1
    )
    leads = np.rint(visitors * 0.05 * np.where(after, changes.get("conversion", 1.0), 1))
    qualified = np.rint(leads * 0.4)
    won = np.rint(qualified * 0.25)
    revenue = won * 5000 * np.where(after, changes.get("value", 1.0), 1)
    cells = {"visitors": visitors, "leads": leads, "qualified": qualified, "won": won, "revenue": revenue}
    return history(cells, periods=months)


QUICK = study(funnel={"delay": {"qualified": 0, "won": 0}})


def moves(entries: tuple[int, int]) -> np.ndarray:
    """A triangle of twelve cohorts: a tenth of the entries at once, a tenth one period later."""
    triangle = np.zeros((12, 12, 2), dtype=np.int64)
    triangle[:, 0] = np.array(entries) // 10
    triangle[:11, 1] = np.array(entries) // 10
    return triangle


@pytest.mark.parametrize("kind", ["at once", "calendar", "leads", "leads with losses"])
def test_the_expected_funnel_is_the_mean_of_the_simulated_one(kind: str) -> None:
    """Two roads to one answer: the plain function of the blocks, and the simulation of the same constants."""
    if kind.startswith("leads"):
        triangles = {"qualified": moves((50, 20)), "won": moves((20, 8))}
        losses = {"won": moves((20, 8))} if kind.endswith("losses") else {}
        past = history(TWO, counting="leads", triangles=triangles, losses=losses)
    else:
        past = history(TWO)
    delays = {} if kind == "at once" else DELAYS
    lost = {"won": (0.5, 1.0, 0.8)} if kind.endswith("losses") else {}
    known = posterior(past, RATES, draws=1500, delays=delays, losses=lost, traffic=[1000.0, 400.0], noise=0.0)
    plan = np.array([[3000.0, 1000.0]] * AHEAD)
    outlook, made = run(known, past, plan)
    traffic = np.exp(made.future.log_traffic).mean(axis=0)
    rates = {s: np.full((len(past.periods) + AHEAD, 2), r) for s, r in RATES.items()}
    pmfs = {
        stage: delay_pmf(*delays.get(stage, (0.0, 0.8)), known.provenance["ages"][stage]) for stage in RATES
    }
    blocks = Known(traffic, rates, pmfs, np.array([5000.0, 4000.0]), losses_of(known))
    found = expected(past, known, blocks)
    won = outlook["won"].sel(plan="given").sum("period").values.astype(float)
    error = won.std(axis=0) / np.sqrt(len(won))
    assert (np.abs(found["won"] - won.mean(axis=0)) < 4.5 * error).all()
    assert found["revenue"] == pytest.approx(found["won"] * [5000.0, 4000.0])


def unit_by_unit(past: History, fitted: Posterior, known: Known) -> np.ndarray:
    """Expected wins by hand: cohort after cohort, age after age."""
    entering, periods = known.traffic, len(past.periods)
    for before, stage in past.steps:
        rate, at_once = known.rates[stage], past.enters_later(stage)
        f = np.concatenate([known.delays[stage], np.zeros(len(entering) + 1)])
        units, waited, known_open = open_units(past, fitted, before, stage)
        (rows, ages), found = waited.shape, np.zeros_like(entering)
        (share,), (g,) = known.losses.get(stage, (np.zeros((1, periods, 1)), np.zeros((1, ages))))
        for h in range(len(entering)):
            for since in range(h + 1):
                found[h] += entering[since] * rate[periods + since] * f[h - since]
            for row in range(rows if f[0] < 1 else 0):
                cohort = max(row - (rows - periods), 0)
                p = rate[cohort] if known_open else rate[periods:].mean(axis=0)
                lived = min(waited[row] @ np.cumsum(f)[:ages], 1.0)
                lost = share[cohort] * min(waited[row] @ np.cumsum(g), 1.0)
                still = 1 - p * lived - (1 - p) * lost if known_open else 1.0
                soon = waited[row] @ f[1 + h : 1 + h + ages]
                found[h] += units[row] * p * soon / np.maximum(still, 1e-12)
        found[:, at_once] = entering[:, at_once]
        entering = found
    return entering.sum(axis=0)


@pytest.mark.parametrize("kind", ["at once", "calendar", "leads", "leads with losses", "a late channel"])
def test_the_expected_funnel_is_the_sum_over_units(kind: str) -> None:
    """The road of the outlook in one draw, and the sum written out, to 1e-9; rates of every cohort differ."""
    triangles = {"qualified": moves((50, 20)), "won": moves((20, 8))}
    losses = {"won": moves((20, 8))} if kind.endswith("losses") else {}
    counts = (
        TWO | {"visitors": [1000.0, np.nan], "leads": [50.0, np.nan]} if kind == "a late channel" else TWO
    )
    dated = {"counting": "leads", "triangles": triangles, "losses": losses} if "leads" in kind else {}
    past = history(counts, **dated)
    lost = {"won": (0.5, 1.0, 0.8)} if losses else {}
    delays = {} if kind == "at once" else DELAYS
    fitted = posterior(past, RATES, draws=50, delays=delays, losses=lost, traffic=[1000.0, 400.0])
    rng, whole = np.random.default_rng(3), len(past.periods) + AHEAD
    later = {stage: past.enters_later(stage) for stage in RATES}
    rates = {s: np.where(later[s], 1.0, rng.uniform(0.02, 0.9, (whole, 2))) for s in RATES}
    ages = fitted.provenance["ages"]
    pmfs = {s: delay_pmf(*delays.get(s, (0.0, 0.8)), ages[s]) for s in RATES}
    blocks = Known(
        rng.uniform(10.0, 900.0, (AHEAD, 2)), rates, pmfs, np.array([5000.0, 4000.0]), losses_of(fitted)
    )
    found, by_hand = expected(past, fitted, blocks), unit_by_unit(past, fitted, blocks)
    assert found["won"] == pytest.approx(by_hand, rel=1e-9)
    assert found["revenue"] == pytest.approx(by_hand * [5000.0, 4000.0], rel=1e-9)
    assert any(later[s].any() for s in later) == (kind == "a late channel")


@pytest.mark.parametrize(("block", "factor"), [("traffic", 1.5), ("conversion", 0.5), ("value", 1.4)])
def test_a_miss_made_in_one_place_is_found_there(block: str, factor: float) -> None:
    """One measure changes by itself: its share has the right sign, and is most of all shares."""
    now = company(**{block: factor})
    past = now.as_of(now.periods[MONTHS - 1])
    shares, _ = attribute(QUICK, past, now, np.zeros((AHEAD, 2)), seed=1)
    total = {name: float(share.sum()) for name, share in shares["revenue"].items()}
    assert max(total, key=lambda name: abs(total[name])) == block
    assert np.sign(total[block]) == np.sign(factor - 1)
    assert abs(total[block]) > 0.6 * sum(abs(v) for v in total.values())


def outlook_of(past: History) -> xr.Dataset:
    """What a run would have written for a company, from constants."""
    rates = {"leads": 0.05, "qualified": 0.4, "won": 0.25}
    known = posterior(past, rates, draws=200, traffic=[4000.0, 1600.0], traffic_noise=0.1)
    outlook, _ = run(known, past, np.zeros((AHEAD, 2)))
    return outlook


@pytest.fixture(scope="module")
def compared() -> dict[str, object]:
    """A company whose conversion halved after the run."""
    now = company(conversion=0.5)
    past = now.as_of(now.periods[MONTHS - 1])
    return score_outlook(QUICK, now, outlook_of(past).sel(plan="given"), past.labels[-1])


def test_shares_add_up_to_the_miss(compared: dict[str, object]) -> None:
    """In every channel and in total: what came less what was expected, of wins and of revenue."""
    scored = {(r["measure"], r["channel"]): r for r in compared["scores"] if r["period"] == "total"}
    for measure in ("won", "revenue"):
        for channel in ("one", "two", "total"):
            row = scored[measure, channel]
            amounts = [
                p["amount"]
                for p in compared["attribution"]
                if (p["measure"], p["channel"]) == (measure, channel)
            ]
            assert sum(amounts) == pytest.approx(row["came"] - row["mean"], abs=1e-6 * row["mean"])


def test_the_score_says_which_stage(compared: dict[str, object]) -> None:
    """Visitors are as forecast, leads and all after them lie below."""
    inside = {
        r["measure"]: r["inside80"] for r in compared["scores"] if r["period"] == r["channel"] == "total"
    }
    assert inside == {"visitors": True, "leads": False, "qualified": False, "won": False, "revenue": False}


def test_a_funnel_of_wins_alone_is_scored() -> None:
    """There is no rate to blame: traffic, value and chance make up the miss."""
    months = MONTHS + AHEAD
    won = np.where(np.arange(months)[:, None] >= MONTHS, [60.0, 20.0], [40.0, 20.0])
    now = history({"won": won, "revenue": won * 5000.0}, periods=months)
    past = now.as_of(now.periods[MONTHS - 1])
    known = posterior(past, {}, draws=400, traffic=[40.0, 20.0], traffic_noise=0.1)
    outlook, _ = run(known, past, np.zeros((AHEAD, 2)))
    scored = score_outlook(QUICK, now, outlook.sel(plan="given"), past.labels[-1])
    shares = {
        p["block"]: p["amount"]
        for p in scored["attribution"]
        if (p["measure"], p["channel"]) == ("won", "one")
    }
    assert set(shares) == {"traffic", "value", "chance"}
    assert sum(shares.values()) == pytest.approx(60.0, abs=4.0)
    assert shares["traffic"] > 30.0


def test_sales_in_total_are_scored_in_total() -> None:
    """Spend moved otherwise than planned and sales fell: both blocks, of no channel, add up to the miss."""
    months = MONTHS + AHEAD
    after = np.arange(months)[:, None] >= MONTHS
    rng = np.random.default_rng(1)
    spend = np.column_stack([1000.0 * np.exp(rng.normal(0.0, 0.3, months)), np.full(months, np.nan)])
    spend[MONTHS:, 0] = 500.0
    won = np.column_stack([np.full(months, np.nan), rng.poisson(np.where(after[:, 0], 60.0, 100.0))])
    cells = {"won": won, "spend": spend, "revenue": won * 5000.0}
    now = replace(history(cells, channels=["ads", "base"], periods=months), attributed=False)
    past = now.as_of(now.periods[MONTHS - 1])
    known = posterior(past, {}, draws=400, traffic=[30.0, 70.0], traffic_noise=0.1)
    outlook, _ = run(known, past, np.array([[1000.0, 0.0]] * AHEAD))
    scored = score_outlook(QUICK, now, outlook.sel(plan="given"), past.labels[-1])
    assert {row["channel"] for row in scored["scores"]} == {"total"}
    shares = {p["block"]: p["amount"] for p in scored["attribution"] if p["measure"] == "won"}
    row = next(r for r in scored["scores"] if r["measure"] == "won" and r["period"] == "total")
    assert sum(shares.values()) == pytest.approx(row["came"] - row["mean"], abs=1e-6)
    assert shares["spend"] < 0 > shares["traffic"]
    assert shares["traffic"] < shares["spend"]
