"""Fitting: posteriors with a known answer, the same draws from the same seed, and words where sampling goes wrong."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import nutpie
import pytest
from conftest import Notes
from model_fixture import log_density
from part_fixture import part_of
from posterior_fixture import Array, history, study
from scipy.special import expit, logit
from scipy.stats import beta, norm

from forecast.equations import delay_pmf
from forecast.errors import FitError, Interrupted
from forecast.fit import data as inputs
from forecast.fit import fitting as module
from forecast.fit import sampling, scales
from forecast.fit.fitting import failures, fit
from forecast.fit.gate import GATE, Gate
from forecast.fit.parts import Part
from forecast.fit.points import Draws, sizes_of
from forecast.fit.posterior import Posterior
from forecast.fit.sampling import Course, diagnose, sample_whitened
from forecast.fit.weighed import Certificate, weighed_draws
from forecast.history import History
from forecast.study import CHANNEL_PRIORS, Study

SAMPLER = {"draws": 20, "tune": 20, "target_accept": 0.9, "cores": 1}
STILL = {"drift_prior": np.array([1e4, 1e4]), "noise_prior": np.array(1e4)}  # no walks, no noise of cells


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Short warm-up and no second attempt: the draws of these tests are not for decisions."""
    patch.setattr(module, "TUNE", 200)
    patch.setattr(module, "GATE", Gate(max_rhat=9.0, min_ess=0.0))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, for one test."""
    hurry(monkeypatch)


def level(d: Draws, data: dict[str, Any]) -> Array:
    """The channels' own logit rates (chain, draw, channel), walks aside."""
    w, tau, mu = data["centred"], d["tau"][..., None], d["mu"][..., None]
    return mu + tau ** (1.0 - w) * (d["level_raw"] - w * mu) if len(w) > 1 else mu


def drawn(part: Part) -> Draws:
    """Draws of one part, as a fit makes them."""
    return weighed_draws(part, seed=3, draws=4000)[0]


# Known answers


@pytest.mark.parametrize("delayed", [False, True])
def test_the_likelihood_of_a_static_rate_is_that_of_a_beta(delayed: bool):
    """Complete cohorts at one rate: the density in r is r^W (1 - r)^(n - W), so r | data ~ Beta(1 + W, 1 + n - W).

    Calendar counts after a delay: r^W prod_t (1 - phi_t r)^(N_t - y_t), N = N* / phi, N*_t = sum f_d n_(t-d) and
    phi_t = sum f_d^2 n_(t-d) / N*_t.
    """
    leads, won = np.zeros((24, 1)), np.zeros((24, 1))
    leads[:8] = 200.0
    asked = study(funnel={"delay": {"won": "2 months" if delayed else 0}})
    f = delay_pmf(2.0, 0.8, 24) if delayed else np.eye(1, 24)[0]
    won[:, 0] = np.round(0.3 * np.convolve(leads[:, 0], f)[:24])
    data, _ = inputs.transition_data(
        asked, history({"leads": leads, "won": won}, channels=["one"], periods=24), "leads", "won"
    )
    data |= {"early": np.zeros(1), "centred": np.zeros(1)}
    part = Part("won", "won", "calendar", data | STILL)
    density, sizes = log_density(part), sizes_of(part)
    names = [name for name, shape in sizes for _ in range(int(np.prod(shape)))]
    start = {"tau": np.log(0.5), "noise": -12.0, "drift": -12.0, "own_drift": -12.0}
    start |= {"delay_mean": np.log(2.0), "delay_cv": np.log(0.8)}
    x = np.array([start.get(name, 0.0) for name in names])
    rates = np.linspace(0.26, 0.34, 9)
    found = []
    for rate in rates:
        x[0] = logit(rate)
        mean, sd = data["mu_prior"]
        found.append(density(x) - norm.logpdf(x[0], mean, np.hypot(sd, np.sqrt(scales.RATE_SPREAD))))
    expected = beta.logpdf(rates, 1 + won.sum(), 1 + leads.sum() - won.sum())
    if delayed:
        due, phi = (np.convolve(leads[:, 0], law)[:24] for law in (f, f**2))
        phi /= due
        stay = (due / phi - won[:, 0]) @ np.log1p(-np.outer(phi, rates))
        expected = won.sum() * np.log(rates) + stay
    difference = np.array(found) - expected
    # Rounded wins and the smooth maximum of trials leave a fifth of a unit in 1,600, over 0.4 of a logit.
    assert np.ptp(difference) < (0.1 if delayed else 0.01)


def test_a_static_rate_has_the_posterior_of_a_beta():
    """1,000 leads, 300 won, a flat prior give Beta(301, 701): mean within 0.1 sd, sd within 8 %."""
    asked = study(funnel={"delay": {"won": 0}})
    past = history({"leads": 100.0, "won": 30.0}, channels=["one"], periods=10)
    data, _ = inputs.transition_data(asked, past, "leads", "won")
    data |= STILL | {"mu_prior": np.array([0.0, 1.8])}  # close to uniform in the rate
    draws = expit(level(drawn(Part("won", "won", "calendar", data)), data))
    exact = beta(301, 701)
    assert draws.mean() == pytest.approx(exact.mean(), abs=0.15 * exact.std())
    assert draws.std() == pytest.approx(exact.std(), rel=0.08)


def test_channels_are_pulled_together_as_far_as_they_are_unsure():
    """Posterior means lie B of the way from the pool to the channel's own rate, B = n p q tau^2 / (1 + n p q tau^2)."""
    rng = np.random.default_rng(5)
    channels, n = 20, 60
    rate = expit(rng.normal(-0.8, 0.6, channels))
    won = rng.binomial(n, rate).astype(float)
    past = history({"leads": float(n), "won": won}, channels=[f"c{i}" for i in range(channels)], periods=1)
    data, _ = inputs.transition_data(study(funnel={"delay": {"won": 0}}), past, "leads", "won")
    data |= STILL
    d = drawn(Part("won", "won", "calendar", data))
    own, pool = logit((won + 0.5) / (n + 1)), float(d["mu"].mean())
    slope = np.polyfit(own - pool, level(d, data).mean(axis=(0, 1)) - pool, 1)[0]
    p = float(won.sum() / (n * channels))
    information = n * p * (1 - p) * float((d["tau"] ** 2).mean())
    assert slope == pytest.approx(information / (1 + information), abs=0.06)
    assert 0.3 < slope < 0.97


def test_without_data_the_posterior_is_the_benchmark():
    """All weights zero: the company's rate has the benchmark's quartiles, the delay and the elasticity their priors'.

    With 4,000 nearly independent draws a share near a quarter has a standard error of 0.01: 4 of them are 0.04.
    """
    asked = study(funnel={"market": "b2b", "delay": {"won": "45 days"}}, channels={"one": {"kind": "ppc"}})
    past = history({"visitors": 900.0, "leads": 30.0, "won": 3.0, "spend": 500.0}, periods=6)
    data, _ = inputs.transition_data(asked, past, "visitors", "leads")
    nothing = {"weight": np.zeros_like(data["weight"])}
    d = drawn(Part("leads", "leads", "calendar", data | nothing))
    rate = expit(d["mu"])
    assert float((rate < 0.02).mean()) == pytest.approx(0.25, abs=0.04)
    assert float((rate < 0.05).mean()) == pytest.approx(0.75, abs=0.04)
    data, _ = inputs.transition_data(asked, past, "leads", "won")
    d = drawn(Part("won", "won", "calendar", data | nothing))
    assert float((expit(d["mu"]) < 0.2468).mean()) == pytest.approx(0.5, abs=0.04)
    assert float((d["delay_mean"] < 45 / 30.4375).mean()) == pytest.approx(0.5, abs=0.04)
    assert np.log(d["delay_mean"]).std() == pytest.approx(0.3, rel=0.1)
    data = inputs.traffic_data(asked, past, None, None)
    d = drawn(Part("traffic", "traffic", "traffic", data | nothing))
    elasticity = expit(data["elasticity_prior"][0] + data["elasticity_prior"][1] * d["z_elasticity"])
    for i, kind in enumerate(("ppc", "other")):
        for q in (0.1, 0.5, 0.9):
            share = float((elasticity[:, :, i] < CHANNEL_PRIORS[kind].elasticity.quantile(q)).mean())
            assert share == pytest.approx(q, abs=0.04)


def test_deal_values_are_those_seen_with_the_error_of_a_mean():
    """240 deals of two channels: posterior means within one standard error of the mean deal, sds near that error."""
    rng = np.random.default_rng(2)
    won = rng.poisson(5, (24, 2)) + 1.0
    revenue = rng.gamma(won / 0.8**2, 0.8**2 * np.array([4000.0, 6000.0]))
    past = history({"visitors": 99.0, "won": won, "revenue": revenue}, periods=24)
    data = inputs.value_data(study(), past)
    assert data is not None
    d = drawn(Part("value", "value", "value", data))
    mean = np.exp(inputs.value_levels(data, d))
    observed = revenue.sum(axis=0) / won.sum(axis=0)
    error = 0.8 * observed / np.sqrt(won.sum(axis=0))
    assert (np.abs(mean.mean(axis=(0, 1)) - observed) < 1.0 * error).all()
    assert mean.std(axis=(0, 1)) == pytest.approx(error, rel=0.3)
    assert abs(d["cv"].mean() - 0.8) < 3 * d["cv"].std()
    assert d["cv"].std() < 0.15


# The whole fit


def small(periods: int = 18) -> tuple[Study, History, dict[str, float]]:
    """Two channels made from known rates, with a delay into won."""
    rng = np.random.default_rng(21)
    truth = {"leads": 0.05, "won": 0.25}
    visitors = rng.poisson([2000, 900], (periods + 12, 2))
    leads = rng.binomial(visitors, truth["leads"])
    won = np.zeros_like(leads)
    f = delay_pmf(1.5, 0.8, 12)
    for t in range(periods + 12):
        for c in range(2):
            share = rng.multinomial(rng.binomial(leads[t, c], truth["won"]), f)
            won[t : t + 12, c] += share[: len(won) - t]
    counts: dict[str, Any] = {"visitors": visitors[12:], "leads": leads[12:], "won": won[12:]}
    counts["revenue"] = rng.gamma(np.maximum(counts["won"], 1e-9) / 0.64, 0.64 * 5000.0) * (counts["won"] > 0)
    counts["spend"] = rng.lognormal(np.log(1000.0), 0.2, (periods, 2))
    asked = study(
        funnel={"stages": ("visitors", "leads", "won"), "market": "b2b", "delay": {"won": "1.5 months"}}
    )
    return asked, history(counts, periods=periods, channels=["ads", "mail"]), truth


@pytest.fixture(scope="module")
def small_fit() -> tuple[Posterior, list[str], dict[str, float]]:
    """A small history, fitted once."""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        asked, past, truth = small()
        notes = Notes()
        known = fit(asked, past, seed=4, draws=600, progress=notes, cores=2)
    return known, notes.steps, truth


def smallest_fit(past: History, **changes: Any) -> Posterior:
    """A fit for comparing bits: forty draws."""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        given: dict[str, Any] = {
            "seed": 4,
            "draws": 40,
            "progress": Notes(),
            "cores": 2,
            "sampler": "weighed",
        }
        return fit(small(periods=8)[0], past, **(given | changes))


@pytest.fixture(scope="module")
def smallest() -> tuple[History, Posterior]:
    """A history of eight periods and its fit on two cores."""
    past = small(periods=8)[1]
    return past, smallest_fit(past)


def test_a_small_history_is_recovered(small_fit):
    """Rates, delay, deal value and traffic lie within 4 posterior sds of the truth, and the data have narrowed them."""
    known, steps, truth = small_fit
    for stage, rate in truth.items():
        today = known.array(f"logit_rate_{stage}")[:, -1]
        assert (np.abs(today.mean(axis=0) - logit(rate)) < 4 * today.std(axis=0)).all()
        assert (today.std(axis=0) < 0.35).all()
    delay = known.array("delay_mean_won")
    assert abs(delay.mean() - 1.5) < 4 * delay.std()
    assert not known.array("delay_mean_leads").any()
    value = known.array("deal_mean")
    assert (np.abs(value.mean(axis=0) - 5000.0) < 4 * value.std(axis=0)).all()
    traffic = np.exp(known.array("traffic"))
    assert traffic.mean(axis=0) == pytest.approx([2000.0, 900.0], rel=0.15)
    parts = [step.removeprefix("fitting ") for step in steps if " again, " not in step]
    assert parts == ["visitors to leads", "leads to won", "deal value", "visitors"]


def test_the_same_seed_gives_the_same_draws(smallest):
    """Bit for bit, on one core as on two."""
    past, one = smallest
    two = smallest_fit(past, cores=1)
    assert set(one.data.variables) == set(two.data.variables)
    for name in one.data.data_vars:
        assert one.data[name].values.tobytes() == two.data[name].values.tobytes(), name


def test_chains_are_the_same_on_any_number_of_cores():
    """Bit for bit: each chain has a seed and a copy of the density of its own. They walk on the posterior.

    Of 60 draws no less than half count: a mean lies within 5 / sqrt(30) posterior sds of that by weights.
    """
    part, given = part_of("value"), {"seed": 4, "draws": 15, "tune": 10, "target_accept": 0.9}
    (one, moved), (two, _) = (sample_whitened(part, cores=cores, **given) for cores in (1, 2))
    assert {name: values.tobytes() for name, values in one.items()} == {
        name: values.tobytes() for name, values in two.items()
    }
    assert moved.gradients > 0
    for name, values in drawn(part).items():
        gap = one[name].mean(axis=(0, 1)) - values.mean(axis=(0, 1))
        assert (np.abs(gap) < 0.9 * values.std(axis=(0, 1))).all(), name


def test_a_posterior_has_all_that_the_simulation_takes(small_fit):
    """Draws paired over parts, ages and stages in the provenance, one diagnosis a part with a sampling time."""
    known, _, _ = small_fit
    assert known.draws == 600
    assert known.provenance["stages"] == ["visitors", "leads", "won"]
    assert known.provenance["ages"]["leads"] == 1
    assert known.provenance["seed"] == 4
    assert [d["part"] for d in known.diagnostics] == [
        "visitors to leads",
        "leads to won",
        "deal value",
        "visitors",
    ]
    for part in known.diagnostics:
        assert part["seconds"] > 0
        assert part["draws"] in (600, 1200, 2400)  # twice as many at each further attempt
    for name in known.data.data_vars:
        assert np.isfinite(known.data[name].values).all(), name


def test_a_part_does_not_know_of_the_others(smallest):
    """Seeds go by the name of a part: without the deal value the rates are drawn as with it, bit for bit."""
    past, with_value = smallest
    fewer = History(past.counts.drop_vars(["revenue"]), past.counting, past.period, past.stages)
    without = smallest_fit(fewer)
    assert "deal_mean" not in without.data
    for name in ("logit_rate_leads", "logit_rate_won", "delay_mean_won"):
        assert (with_value.data[name].values == without.data[name].values).all()
    other = smallest_fit(fewer, seed=5)
    assert not (other.data["logit_rate_won"].values == without.data["logit_rate_won"].values).any()


def test_an_assumed_value_stands_in_for_revenue(quick):
    """funnel.value without revenue: every draw holds it, without spread."""
    _, past, _ = small(periods=8)
    fewer = History(past.counts.drop_vars(["revenue"]), past.counting, past.period, past.stages)
    asked = study(funnel={"stages": ("visitors", "leads", "won"), "value": 7000.0})
    known = fit(asked, fewer, seed=1, draws=40, progress=Notes())
    assert (known.array("deal_mean") == 7000.0).all()
    assert (known.array("deal_cv") == 0.0).all()


@pytest.mark.slow
def test_dated_leads_teach_their_delay(quick):
    """A triangle brings the delay's mean to within 4 sds of the truth, far from a prior three times as long."""
    rng = np.random.default_rng(8)
    periods, f = 14, delay_pmf(1.2, 0.6, 14)
    triangle = np.zeros((periods, periods, 1), dtype=np.int64)
    lost = np.zeros_like(triangle)
    for t in range(periods):
        triangle[t, : periods - t, 0] = rng.multinomial(rng.binomial(400, 0.3), f)[: periods - t]
        never = rng.binomial(280, 0.8)
        lost[t, : periods - t, 0] = rng.multinomial(never, delay_pmf(0.8, 0.8, 14))[: periods - t]
    won = np.array([[sum(triangle[t - a, a, 0] for a in range(t + 1))] for t in range(periods)], dtype=float)
    past = history(
        {"leads": 400.0, "won": won}, channels=["one"], periods=periods, counting="leads",
        triangles={"won": triangle}, losses={"won": lost},
    )  # fmt: skip
    asked = study(funnel={"stages": ("leads", "won"), "delay": {"won": "4 months"}})
    known = fit(asked, past, seed=2, draws=240, progress=Notes(), cores=2)
    delay = known.array("delay_mean_won")
    assert abs(delay.mean() - 1.2) < 4 * delay.std()
    assert delay.std() < 0.2
    assert expit(known.array("logit_rate_won")).mean() == pytest.approx(0.3, abs=0.04)
    assert expit(known.array("loss_logit_won")).mean() == pytest.approx(0.8, abs=0.05)
    assert [d["part"] for d in known.diagnostics] == ["leads to won", "losses before won", "leads"]


def test_cohort_counts_keep_how_long_units_have_waited(quick):
    """The weights over ages go into the posterior, for the simulation."""
    past = history({"leads": 90.0, "won": 20.0}, channels=["one"], periods=8, counting="cohort")
    asked = study(
        funnel={"stages": ("leads", "won"), "delay": {"won": "1 month"}},
        history={"counts": "x", "counting": "cohort"},
    )
    known = fit(asked, past, seed=2, draws=40, progress=Notes())
    assert known.data["waited_won"].shape == (8, known.provenance["ages"]["won"])
    assert known.data["waited_won"].values.sum(axis=1) == pytest.approx(1.0)


def test_visitors_alone_are_nothing_to_fit():
    """Of one stage alone it is the wins that are forecast."""
    with pytest.raises(FitError, match="counts visitors alone, and no wins"):
        fit(study(), history({"visitors": 9.0}), seed=1, progress=Notes())


# When sampling goes wrong


def sizes(part: Part) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of what a draw of a part with noise holds."""
    return [*sizes_of(part), ("noise_apart", part.data["noise_apart"].shape)]


def part_for_sampling() -> Part:
    """A small part."""
    past = history({"leads": 90.0, "won": 20.0}, channels=["one"], periods=6)
    data, _ = inputs.transition_data(study(funnel={"delay": {"won": 0}}), past, "leads", "won")
    return Part("won", "leads to won", "calendar", data)


def test_a_posterior_that_came_back_short_is_an_interruption(monkeypatch):
    """nutpie swallows Ctrl-C and returns what it has: fewer draws than asked for are no posterior."""
    size = sum(int(np.prod(shape)) for _, shape in sizes_of(part_for_sampling()))
    short = SimpleNamespace(posterior={"point": SimpleNamespace(values=np.zeros((4, 7, size)))})
    monkeypatch.setattr(nutpie, "sample", lambda *args, **kwargs: short)
    with pytest.raises(Interrupted):
        sample_whitened(part_for_sampling(), seed=3, **SAMPLER)


def test_ctrl_c_is_an_interruption(monkeypatch):
    """Also where it arrives as KeyboardInterrupt."""

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(nutpie, "sample", interrupted)
    with pytest.raises(Interrupted):
        sample_whitened(part_for_sampling(), seed=3, **SAMPLER)


def test_a_sampler_that_cannot_run_names_the_part(monkeypatch):
    """The error says which part of the funnel it was."""

    def broken(*args, **kwargs):
        raise RuntimeError("Logp function failed")

    monkeypatch.setattr(nutpie, "sample", broken)
    with pytest.raises(FitError, match=r"leads to won: the sampler could not run \(Logp function failed\)"):
        sample_whitened(part_for_sampling(), seed=3, **SAMPLER)


@pytest.mark.parametrize(
    ("divergences", "attempts"),
    [
        ((0,), 1),
        ((50, 0), 2),
        ((50, 40, 0), 3),
        ((50, 100, 200), 3),
        ((3, 0), 2),
        ((3, 2), 2),
        ((3, 99, 1), 3),
    ],
)
def test_a_part_that_misses_the_gate_is_sampled_again(
    monkeypatch, divergences: tuple[int, ...], attempts: int
):
    """At most twice more, for a few divergences once: smaller steps, longer warm-up, twice the draws, thinned."""
    calls: list[dict[str, Any]] = []

    def stand_in(part, **given):
        calls.append(given)
        rng = np.random.default_rng(len(calls))
        draws = {n: rng.lognormal(0.0, 1.0, (4, given["draws"], *shape)) for n, shape in sizes(part)}
        return draws, Course(divergences[len(calls) - 1])

    monkeypatch.setattr(module, "sample_whitened", stand_in)
    notes = Notes()
    run = module._Run(1, 4000, 2, notes)
    run.road = "nuts"
    draws = run.sample(part_for_sampling())
    steps = [module.TARGET_ACCEPT, module.RETRY_ACCEPT, module.LAST_ACCEPT]
    assert [call["target_accept"] for call in calls] == steps[:attempts]
    assert [call["draws"] for call in calls] == [1000, 2000, 4000][:attempts]
    assert [call["tune"] for call in calls] == [module.TUNE, module.RETRY_TUNE, module.RETRY_TUNE][:attempts]
    assert len({call["seed"] for call in calls}) == attempts
    assert draws["mu"].shape == (4, 1000)
    again = "fitting leads to won again, with smaller steps"
    assert notes.steps == ["fitting leads to won", again, again][:attempts]
    assert run.diagnostics[0]["divergences"] == divergences[-1]


CERTAIN = Certificate(0.1, 0.2, 0.3, 900.0, 3000.0, 800)
ASTRAY = replace(CERTAIN, k_joint=0.71)


@pytest.mark.parametrize(
    ("road", "found", "by"),
    [
        ("auto", CERTAIN, "weights"),
        ("auto", ASTRAY, "chains"),
        ("auto", replace(CERTAIN, ess_effects=399.0), "chains"),
        ("weighed", ASTRAY, "weights"),
        ("nuts", CERTAIN, "chains"),
        ("pymc", CERTAIN, "chains of pymc"),
    ],
)
def test_chains_step_in_where_weights_miss_the_gate(monkeypatch, road: str, found: Certificate, by: str):
    """Part by part; one road alone where that is asked for. What is told of a part is told of how it was made."""
    made: list[str] = []

    def draws_of(part: Part, chains: int, draws: int) -> Draws:
        rng = np.random.default_rng(1)
        return {n: rng.lognormal(0.0, 1.0, (chains, draws, *shape)) for n, shape in sizes(part)}

    def weights(part, *, seed, draws, good):
        made.append("weights")
        assert good(found) == (found is CERTAIN)
        return draws_of(part, 1, draws), found

    def chains(name: str):
        def stand_in(part, **given):
            made.append(name)
            return draws_of(part, 4, given["draws"]), Course(0, 1.0)

        return stand_in

    monkeypatch.setattr(module, "weighed_draws", weights)
    monkeypatch.setattr(module, "sample_whitened", chains("chains"))
    monkeypatch.setattr(module, "sample_pymc", chains("chains of pymc"))
    run, notes = module._Run(1, 4000, 2, Notes()), Notes()
    run.road, run.progress = road, notes
    draws = run.sample(part_for_sampling())
    [told] = run.diagnostics
    assert made[-1] == by
    assert ("weights" in made) == (road in ("auto", "weighed"))
    assert draws["mu"].shape == ((1, 4000) if by == "weights" else (4, 1000))
    assert run.chains == draws["mu"].shape[0]
    assert ("k_hat" in told, "max_rhat" in told) == (by == "weights", by != "weights")
    again = "fitting leads to won again, by chains"
    assert notes.steps == ["fitting leads to won", again][: 1 + (len(made) > 1)]
    if by == "weights":
        assert told["k_hat"] == found.worst
        assert GATE.missed(told) == ([] if found is CERTAIN else [f"leads to won: {K_HAT}"])


K_HAT = "Pareto k-hat 0.71 (must be below 0.7)"


def test_failures_are_sentences_with_the_bar():
    """Each failed check names part, number and bar; a clean posterior has none."""
    clean = {
        "part": "leads to won", "max_rhat": 1.002, "worst": "mu", "min_ess_bulk": 900.0, "min_ess_tail": 800.0,
        "divergences": 0, "min_bfmi": 0.9, "at_depth": 0.0, "draws": 4000, "asked": 4000,
    }  # fmt: skip

    def judged(**changes: Any) -> list[str]:
        return failures(SimpleNamespace(diagnostics=(clean | changes,)))

    assert judged() == []
    assert judged(max_rhat=1.0234) == ["leads to won: R-hat 1.023 at mu (must be below 1.01)"]
    assert judged(min_ess_tail=312.4) == ["leads to won: effective sample size 312 (must be above 400)"]
    assert judged(divergences=19) == []
    few = "leads to won: 20 divergences (must be below 0.5 % of the draws)"
    assert judged(divergences=20) == [few]
    assert judged(divergences=19, max_rhat=1.0234) == ["leads to won: R-hat 1.023 at mu (must be below 1.01)"]
    assert judged(min_bfmi=0.214) == ["leads to won: E-BFMI 0.21 (must be above 0.3)"]
    assert judged(min_bfmi=0.8, at_depth=0.009, draws=4000, asked=4000) == []
    depth = "leads to won: 2.5 % of the draws cut off at the greatest tree depth (must be below 1 %)"
    assert judged(at_depth=0.025) == [depth]
    assert judged(draws=3000, asked=4000) == ["leads to won: 3 000 draws (must be at least 4 000)"]
    assert len(judged(max_rhat=1.5, min_ess_bulk=9.0, divergences=99)) == 3


def test_the_energy_tells_chains_that_hardly_move():
    """E-BFMI is 2 where the energy is drawn anew each time, and 2 (1 - r) for steps of autocorrelation r."""
    rng = np.random.default_rng(4)
    fresh = rng.normal(size=(4, 20_000))
    slow = fresh.copy()
    for i in range(1, slow.shape[1]):
        slow[1, i] = 0.95 * slow[1, i - 1] + np.sqrt(1 - 0.95**2) * fresh[1, i]
    nothing = np.zeros(fresh.shape, dtype=bool)
    assert sampling.course(nothing, fresh, nothing).bfmi == pytest.approx(2.0, abs=0.1)
    moved = sampling.course(nothing, slow, nothing)
    assert moved.bfmi == pytest.approx(0.1, abs=0.03)
    assert (moved.divergences, moved.at_depth) == (0, 0.0)
    assert sampling.course(nothing, fresh, np.arange(80_000).reshape(4, -1) < 800).at_depth == 0.01


@pytest.mark.parametrize(("at", "end"), [(0.02, "low"), (0.98, "high"), (None, "")])
def test_diagnoses_tell_where_divergences_sit(at: float | None, end: str):
    """The scale of which most of them have the smallest or the largest tenth; nothing where they are anywhere."""
    part, rng = part_for_sampling(), np.random.default_rng(8)
    draws = {n: rng.lognormal(0.0, 1.0, (4, 1000, *shape)) for n, shape in sizes_of(part)}
    there = rng.random((4, 1000)) < 0.005
    if at is not None:
        draws["noise"][there] = np.quantile(draws["noise"], at)
    found = diagnose(draws, part, Course(int(there.sum()), stats={"diverging": there}))
    assert found["divergences"] == there.sum() > 0
    if not end:
        assert "divergent_scale" not in found
        return
    assert (found["divergent_scale"], found["divergent_end"], found["divergent_share"]) == ("noise", end, 1.0)
    assert "divergent_scale" not in diagnose(draws, part, Course(0))


def test_diagnoses_see_one_chain_astray():
    """Independent draws pass; one chain that is somewhere else fails R-hat at the parameter where it is."""
    part = part_for_sampling()
    rng = np.random.default_rng(3)
    draws = {name: rng.normal(0.0, 1.0, (4, 500, *shape)) for name, shape in sizes_of(part)}
    draws |= {name: np.exp(draws[name]) for name in ("drift", "own_drift")}
    good = diagnose(draws, part, Course(0))
    assert good["max_rhat"] < 1.01
    assert good["min_ess_bulk"] > 1200
    assert good["draws"] == 2000
    draws["delay_cv"][2] += 3.0
    bad = diagnose(draws, part, Course(0))
    assert bad["worst"] == "delay_cv"
    assert bad["max_rhat"] > 1.1
    assert bad["min_ess_bulk"] < 50
