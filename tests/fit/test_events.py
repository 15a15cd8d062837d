"""Events and past changes as part of a fit: the same in every writing of the model, and found where they are."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from posterior_fixture import Array, history, study

from forecast.fit import Part, Posterior, preview, traffic_data, transition_data, value_data
from forecast.fit.kinds import latent_of
from forecast.fit.latent import Latent
from forecast.fit.paths import move_sizes
from forecast.fit.points import POSITIVE, constrained, sizes_of
from forecast.history import History
from forecast.study import Study

PERIODS = 14
PEAK = {"name": "fair", "yearly": (3,), "moves": ("traffic", "rate.won"), "channels": ("one",)}
GALA = {"name": "gala", "yearly": (4, 5), "moves": "value", "channels": ("two",)}
STATED = {"name": "sale", "periods": ("2025-06", "2026-02"), "moves": "rate.won", "size": {"times": 1.2}}
TEST = {
    "channel": "one",
    "from": "2025-05",
    "to": "2025-06",
    "with": 50.0,
    "without": 0.0,
    "lift": 20.0,
    "se": 9.0,
}
SHIFT = {"from": "2025-09", "traffic": {"times": (1.2, 1.6)}, "rate": {"won": {"times": (0.7, 0.9)}}}


def asked(**tables: Any) -> Study:
    """A study with something known of it."""
    return study(funnel={"stages": ("visitors", "won"), "delay": {"won": "20 days"}}, **tables)


def small(counting: str) -> tuple[Study, History]:
    """Fourteen months of two channels, from 2025-01."""
    rng = np.random.default_rng(1)
    visitors = rng.poisson([[300.0, 120.0]] * PERIODS)
    cells = {
        "visitors": visitors,
        "won": rng.binomial(visitors, 0.2),
        "spend": 100.0 * rng.lognormal(size=(PERIODS, 2)),
    }
    cells["revenue"] = rng.gamma(np.maximum(cells["won"], 1e-9), 90.0)
    given = asked(
        history={"counts": "none.csv", "counting": counting},
        channels={"one": {"kind": "seo"}},
        lift_test=(TEST,),
        event=(PEAK, STATED, GALA),
        change=(SHIFT,),
    )
    return given, history(cells, periods=PERIODS, counting=counting)


def part_of(kind: str) -> Part:
    """A part with a free event of one channel, one known exactly and a past change."""
    known, past = small("cohort" if kind == "cohort" else "calendar")
    if kind == "traffic":
        worth = np.full(2, np.log(9.0))
        return Part(kind, kind, kind, traffic_data(known, past, worth, np.full(2, 0.3)))
    if kind == "value":
        data = value_data(known, past)
        assert data is not None
        return Part(kind, kind, kind, data)
    return Part("won", "visitors to won", kind, transition_data(known, past, "visitors", "won")[0])


def effects(latent: Latent, draws: int) -> tuple[Array, Array, Array]:
    """Scores and effects of the prior."""
    rng, (common, own) = np.random.default_rng(2), (latent.common, latent.own)
    shapes = (len(latent.scales),), (common.stop - common.start,), (len(latent.path), own.stop - own.start)
    return tuple(rng.standard_normal((draws, *shape)) for shape in shapes)  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["calendar", "cohort", "traffic", "value"])
def test_rows_are_the_slopes_of_the_likelihood(kind):
    """Score times row is the derivative of the log likelihood in every column, those of events too."""
    latent = latent_of(part_of(kind))
    v, a, b = effects(latent, 1)
    theta, ones = latent.theta(0.3 * v), np.ones(1, dtype=np.int64)
    u = latent.coordinates(latent.sds(theta), ones, 0.5 * a, 0.5 * b)[0]
    latent.moved(u - latent.path)
    u, seen = latent.path, latent.seen(theta, bent=False)
    found = (seen.rows[0] * seen.score[0, :, :, None]).sum(axis=1)
    step = 1e-5
    for c, j in np.ndindex(u.shape):
        if not latent.touched[c, j]:
            assert found[c, j] == 0.0
            continue
        aside = [u.copy(), u.copy()]
        aside[0][c, j] += step
        aside[1][c, j] -= step
        up, down = (latent.log_likelihood(theta, ones, x[None]).sum() for x in aside)
        assert found[c, j] == pytest.approx((up - down) / (2 * step), rel=2e-3, abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["calendar", "cohort", "traffic", "value"])
def test_the_pymc_model_is_the_same(kind):
    """Its potentials are the likelihood, up to a constant, at any point; sizes of events are standard normal in it."""
    from pymc.pytensorf import compile as compile_graph

    from forecast.fit.model import traffic_model, transition_model, value_model

    part = part_of(kind)
    latent = latent_of(part)
    v, a, b = effects(latent, 6)
    ones = np.ones(6, dtype=np.int64)
    theta = latent.theta(0.5 * v)
    x = latent.points(theta, a, b)
    draws = {name: values[0] for name, values in constrained(x[None], sizes_of(part)).items()}
    models = {"traffic": traffic_model, "value": value_model}
    model = (
        models[kind](part.data)
        if kind in models
        else transition_model(part.data, calendar=kind == "calendar")
    )
    total = sum(model.potentials[1:], model.potentials[0]) + model.logp(vars=model["z_event"]).sum()
    inputs = model.value_vars
    function = compile_graph(inputs, model.replace_rvs_by_values([total])[0], on_unused_input="ignore")
    theirs = []
    for i in range(6):
        given = {n: np.log(d[i]) if n in POSITIVE else d[i] for n, d in draws.items()}
        theirs.append(float(function(*(given[var.name.removesuffix("_log__")] for var in inputs))))
    own = latent.log_likelihood(theta, ones, latent.coordinates(latent.sds(theta), ones, a, b)).sum(axis=1)
    own = own + latent.told(theta) - 0.5 * (draws["z_event"] ** 2).sum(axis=1)
    assert np.ptp(own - np.array(theirs)) < 1e-5 * max(np.ptp(own), 1.0)


def test_sizes_stand_in_the_order_of_the_study():
    """What is known exactly is its mean in every draw; the others are their mean and sd times the number drawn."""
    data = part_of("calendar").data
    draws = {"mu": np.zeros(3), "z_event": np.array([[0.0, 0.0], [1.0, -1.0], [2.0, 0.5]])}
    sizes = move_sizes(draws, data)
    assert sizes.shape == (3, 3)
    assert np.ptp(sizes[:, 1]) == 0.0
    assert sizes[0, 1] > np.log(1.2)  # of the logit: more than of the log
    assert sizes[:, 0].tolist() == [0.0, 1.0, 2.0]
    assert (sizes[:, 2] < 0).all()


# ------------------------------------------------------------------------------------------------ found in made data

WEEKS = 150
FRIDAYS = {"name": "Black Friday", "yearly": (47, 48), "moves": "traffic"}


@cache
def fridays(seed: int, *, ends: int = 0) -> History:
    """Weeks from 2023-W40 on with a walk and noise; traffic is twice the usual in W47 and four times in W48, and the
    rate into leads 1.5 times in W48.
    """
    rng = np.random.default_rng(seed)
    weeks = WEEKS + ends
    blank = history({"visitors": 1.0}, channels=("one",), periods=weeks, period="week", first="2023-10-02")
    place = np.array([int(label[-2:]) for label in blank.labels])
    level = 2000.0 * np.exp(np.cumsum(0.02 * rng.standard_normal(weeks)))
    level = level * np.where(place == 47, 2.0, 1.0) * np.where(place == 48, 4.0, 1.0)
    visitors = rng.poisson(level * rng.gamma(100.0, 0.01, weeks))
    leads = rng.binomial(visitors, np.where(place == 48, 0.15, 0.1))
    cells = {"visitors": visitors[:, None], "leads": leads[:, None], "won": rng.binomial(leads, 0.2)[:, None]}
    return history(cells, channels=("one",), periods=weeks, period="week", first="2023-10-02")


def friday_study(*events: Any, changes: Any = ()) -> Study:
    """Weekly counts without a delay."""
    return study(
        history={"counts": "none.csv", "period": "week"},
        funnel={"stages": ("visitors", "leads", "won"), "delay": {"won": 0}},
        event=events,
        change=changes,
    )


def fitted(asked: Study, past: History) -> Posterior:
    """A preview of few draws."""
    return preview(asked, past, seed=1, draws=500)


@pytest.mark.slow
def test_sizes_are_found_where_they_are():
    """Peaks of a week, traffic and rate: within two posterior sds, and cells are calmer than without them."""
    past = fridays(3)
    rate = {"name": "more ask", "yearly": (48,), "moves": "rate.leads"}
    known, plain = (fitted(friday_study(*events), past) for events in ((FRIDAYS, rate), ()))
    for name, truth in (
        ("moved_traffic", np.log([2.0, 4.0])),
        ("moved_leads", np.log([(15 / 85) / (10 / 90)])),
    ):
        sizes = known.array(name)
        assert (np.abs(sizes.mean(axis=0) - truth) < 2.0 * sizes.std(axis=0)).all()
        assert (sizes.std(axis=0) < 0.2).all()
    for name in ("noise_traffic", "noise_leads"):
        assert known.array(name).mean() < 0.7 * plain.array(name).mean()


def test_a_peak_of_a_month_is_found():
    """One month of each of three years is three times the usual, in one of two channels."""
    rng, months = np.random.default_rng(4), np.arange(36)
    level = np.array([600.0, 300.0]) * np.exp(np.cumsum(0.03 * rng.standard_normal((36, 1)), axis=0))
    level[months % 12 == 4, 0] *= 3.0
    visitors = rng.poisson(level * rng.gamma(100.0, 0.01, (36, 2)))
    past = history({"visitors": visitors, "won": rng.binomial(visitors, 0.1)}, periods=36)
    fair = {"name": "fair", "yearly": (5,), "moves": "traffic", "channels": ("one",)}
    size = fitted(asked(event=(fair,), priors={"season": "none"}), past).array("moved_traffic")[:, 0]
    assert abs(size.mean() - np.log(3.0)) < 2.0 * size.std()
    assert size.std() < 0.15


def test_a_price_of_a_month_is_found_in_its_channel():
    """Deals of one month a year are worth twice as much, in one of two channels; today's value is that without."""
    rng, months = np.random.default_rng(6), np.arange(30)
    won = rng.poisson(40.0, (30, 2))
    times = np.where((months % 12 == 5)[:, None] & np.array([True, False]), 2.0, 1.0)
    cells = {"visitors": 400.0, "won": won, "revenue": rng.gamma(won / 0.5, 0.5 * 300.0 * times)}
    gala = {"name": "gala", "yearly": (6,), "moves": "value", "channels": ("one",)}
    made = fitted(asked(event=(gala,), priors={"season": "none"}), history(cells, periods=30))
    size = made.array("moved_value")[:, 0]
    assert abs(size.mean() - np.log(2.0)) < 2.0 * size.std()
    assert size.std() < 0.2
    assert np.allclose(made.array("deal_mean").mean(axis=0), 300.0, rtol=0.12)


def test_a_past_change_is_what_was_stated_and_what_was_seen():
    """Stated loosely, the data rule; stated tightly, the statement does; traffic is that of today."""
    rng = np.random.default_rng(5)
    visitors = rng.poisson(np.where(np.arange(24) < 16, 500.0, 1000.0) * rng.gamma(200.0, 1 / 200, 24))[
        :, None
    ]
    cells = {"visitors": visitors, "won": rng.binomial(visitors, 0.1)}
    past = history(cells, channels=("one",), periods=24)
    found = []
    for times in ((1.0, 4.0), (1.09, 1.11)):
        known = asked(change=({"from": "2026-05", "traffic": {"times": times}},))
        made = fitted(known, past)
        found.append(np.exp(made.array("moved_traffic")[:, 0].mean()))
        assert np.exp(made.array("traffic")).mean() == pytest.approx(1000.0, rel=0.1)
    assert found[0] == pytest.approx(2.0, rel=0.1)
    assert found[1] == pytest.approx(1.1, rel=0.01)


def test_an_event_of_size_one_known_exactly_is_no_event():
    """The same posterior, to the bit, beside the size itself."""
    _, past = small("calendar")
    nones = [
        {"name": what, "yearly": (3,), "moves": (what,), "size": {"times": 1.0}}
        for what in ("traffic", "rate.won", "value")
    ]
    first, second = (fitted(asked(event=events), past) for events in ((), tuple(nones)))
    names = ["moved_traffic", "moved_won", "moved_value"]
    assert not any(second.array(name).any() for name in names)
    assert first.data.identical(second.data.drop_vars(names))
