"""Plans on common random numbers: they differ only by what they change, whatever their order; same seed, same bytes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from posterior_fixture import DELAYS, PLAN, RATES, TWO, history, mean_and_error, posterior, rich, run, study

from forecast.outlook import case_of, simulate
from forecast.outlook import simulation as module
from forecast.outlook.layers import own_part, sets_of


def test_a_plan_against_itself_differs_in_nothing():
    """The same spend twice gives the same draws: a difference holds no noise of its own."""
    outlook, _ = run(*rich(), {"a": PLAN, "b": PLAN.copy()})
    for name in outlook.data_vars:
        assert (outlook[name].sel(plan="a").values == outlook[name].sel(plan="b").values).all()


def test_differences_of_plans_are_far_less_noisy_than_independent_runs():
    """Common random numbers: the variance of a +5 % plan's gain is below a twentieth of that of separate runs."""
    known, past = rich()
    outlook, _ = run(known, past, {"a": PLAN, "b": 1.05 * PLAN})
    revenue = outlook["revenue_eventual"].sum("channel").values
    apart = revenue[0].var() + revenue[1].var()
    assert (revenue[1] - revenue[0]).var() < apart / 20
    assert (outlook["won_from_pipeline"].values[0] == outlook["won_from_pipeline"].values[1]).all()
    assert (revenue[1] >= revenue[0]).all()


def test_plans_may_be_named_in_any_order():
    """The means of a plan do not depend on whether it is the first or the second."""
    known, past = rich()
    more = PLAN * [1.4, 0.7]
    one, _ = run(known, past, {"a": PLAN, "b": more})
    two, _ = run(known, past, {"b": more, "a": PLAN})
    for plan in ("a", "b"):
        first, second = (
            o["won_from_new"].sel(plan=plan).sum("period").values.astype(float) for o in (one, two)
        )
        error = np.hypot(mean_and_error(first)[1], mean_and_error(second)[1])
        assert (np.abs(first.mean(axis=0) - second.mean(axis=0)) < 4 * error).all()


def test_channels_may_stand_in_any_order():
    """Exchanging the channels exchanges the results: expected traffic exactly, simulated means within chance."""
    means = []
    for order in ([0, 1], [1, 0]):
        past = history(
            {k: np.array(v)[order] for k, v in TWO.items()}, channels=np.array(["one", "two"])[order]
        )
        known = posterior(
            past, RATES, draws=1000, delays=DELAYS, traffic=np.array([1000.0, 400.0])[order], carry=0.2
        )
        outlook, made = run(known, past, PLAN[:, order])
        traffic, later = made.traffic()
        back = np.argsort(order)
        wins = outlook["won"].sum("period").values[0][:, back].astype(float)
        means.append((traffic[:, :, back], later[:, back], *mean_and_error(wins)))
    (traffic, later, wins, error), (traffic2, later2, wins2, error2) = means
    assert traffic == pytest.approx(traffic2, rel=1e-12)
    assert later == pytest.approx(later2, rel=1e-9)
    assert (np.abs(wins - wins2) < 4 * np.hypot(error, error2)).all()


def test_every_pair_of_many_plans_shares_all_that_the_pair_has_in_common():
    """The same plan twice differs in no draw, more of everything brings no less; pairs are as close as two alone."""
    known, past = rich()
    plans = {"a": PLAN, "b": PLAN * [1.4, 0.7], "again": PLAN, "more": 1.5 * PLAN, "other": PLAN * [0.8, 1.3]}
    many, _ = run(known, past, plans)
    for name in ("visitors", "leads", "qualified", "won", "revenue", "revenue_eventual"):
        a, again, more = (many[name].sel(plan=plan).values for plan in ("a", "again", "more"))
        assert np.array_equal(a, again)
        assert (more >= a).all()

    def spread(outlook: xr.Dataset, one: str, two: str) -> float:
        total = outlook["revenue"].sum(("period", "channel"))
        return float((total.sel(plan=one) - total.sel(plan=two)).std())

    for one, two in (("a", "b"), ("b", "other"), ("more", "other")):
        pair, _ = run(known, past, {name: plans[name] for name in (one, two)})
        assert spread(many, one, two) == pytest.approx(spread(pair, one, two), rel=0.2)


def test_no_plan_is_refused():
    """There is nothing to simulate."""
    known, past = rich()
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match="needs a plan"):
        simulate(case_of(study(), past, known, PLAN, rng), {}, rng=rng)


@pytest.mark.parametrize("amounts", [[5, 8, 2], [3, 3, 3], [0, 7, 7, 1]])
def test_layers_add_up_to_every_plan(amounts: list[int]):
    """What sets of plans have alone adds up to what each plan has, and no set has less than nothing."""
    each = np.array(amounts)[:, None]
    parts = {chosen: own_part(each, chosen) for chosen in sets_of(each)}
    assert all((part >= 0).all() for part in parts.values())
    for i, amount in enumerate(amounts):
        assert sum(int(part[0]) for chosen, part in parts.items() if i in chosen) == amount


# Reproduction and memory


def test_the_same_seed_gives_the_same_bytes():
    """Twice the same seed: every variable equal; another seed: not."""
    known, past = rich()
    one, two, other = (run(known, past, {"a": PLAN, "b": 1.1 * PLAN}, seed=s)[0] for s in (1, 1, 2))
    for name in one.data_vars:
        assert one[name].values.tobytes() == two[name].values.tobytes()
    assert not one["won"].equals(other["won"])


def test_draws_are_simulated_in_bounded_chunks(monkeypatch):
    """At most CHUNK posterior draws at once, all of them in the end, each with its own replicates."""
    past = history(TWO)
    known = posterior(
        past, RATES, draws=250, delays=DELAYS, deal_mean=np.arange(1.0, 251.0)[:, None], deal_cv=0.0
    )
    monkeypatch.setattr(module, "CHUNK", 100)
    seen: list[int] = []

    class Counting(module._Chunk):
        def __init__(self, case, rows, rng):
            seen.append(len(rows))
            super().__init__(case, rows, rng)

    monkeypatch.setattr(module, "_Chunk", Counting)
    outlook, _ = run(known, past, PLAN, replicates=3)
    assert seen == [300, 300, 150]
    assert outlook.sizes["draw"] == 750
    won = outlook["won"].sum(("period", "channel")).values[0]
    value = outlook["revenue"].sum(("period", "channel")).values[0] / won
    assert value == pytest.approx(
        np.repeat(np.arange(1.0, 251.0), 3)
    )  # draw i gives draws i x replicates onwards
