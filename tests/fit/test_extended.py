"""PyMC models from the face of fit, a term of one's own, and what becomes of it in forecast and budget."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from model_fixture import AS_WRITTEN

import forecast
from forecast import fit, lab
from forecast.errors import UsageError
from forecast.fit import fitting
from forecast.fit.known import parts_of
from forecast.fit.sampling import CHAINS
from forecast.history import History
from forecast.progress import Silent
from forecast.study import Study

EFFECT = 0.5
HOLIDAYS = (1, 13, 25)  # Decembers of a company that begins in November
STUDY = """\
name = "small"

[history]
counts = "small.csv"

[plan]
periods = 3

[priors]
season = "none"

[channels]
seo = { kind = "seo" }
ppc = { kind = "ppc" }
"""


def company(folder: Path, *, effect: float, months: int = 36) -> tuple[Study, History]:
    """Two channels of the demo's world, whose traffic is exp(effect) times as high in every December."""
    holidays = [month for month in HOLIDAYS if month + 1 < months]
    steps = [(sign * effect, month) for day in holidays for sign, month in ((1, day), (-1, day + 1))]
    changes = tuple(lab.Change("traffic", by, month) for by, month in steps) if effect else ()
    world = lab.demo_world()
    channels = tuple(each for each in world.channels if each.name in ("seo", "ppc"))
    world = replace(world, channels=channels, changes=changes, season_amplitude=0.0, months=months)
    lab.counts(lab.generate(world, np.random.default_rng(3))).to_csv(folder / "small.csv", index=False)
    (folder / "small.toml").write_text(STUDY, encoding="utf-8")
    study = forecast.load_study(folder / "small.toml")
    return study, forecast.read_history(study)


def december(history: History) -> Any:
    """1 in every December of the history."""
    return np.array([float(label.endswith("-12")) for label in history.labels])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, History]:
    """A company without holidays."""
    return company(tmp_path_factory.mktemp("small"), effect=0.0, months=24)


@pytest.fixture(scope="module")
def glance(small: tuple[Study, History]) -> fit.Posterior:
    """Its preview, from which models take what parts know of each other."""
    return fit.preview(*small, seed=1, draws=100)


@pytest.fixture(scope="module")
def sampled(small: tuple[Study, History]) -> dict[str, dict[str, Any]]:
    """Draws of every part by parameter, (chain, draw, ...), as `pm.sample` would have them."""
    kept: dict[str, dict[str, Any]] = {}
    fitting.fit(
        *small, seed=1, draws=400, progress=Silent(), weigh=False, sampler="weighed",
        watch=lambda part, drawn: kept.update({part.name: drawn}),
    )  # fmt: skip
    return {
        name: {k: v.reshape(CHAINS, -1, *v.shape[2:]) for k, v in drawn.items()}
        for name, drawn in kept.items()
    }


def trace_of(drawn: dict[str, Any], **more: Any) -> xr.DataTree:
    """Draws as a trace: groups posterior, sample_stats, constant_data."""
    both = drawn | more
    apart = both.pop("noise_apart", None)
    group = {
        name: (("chain", "draw", *(f"{name}_{i}" for i in range(values.ndim - 2))), values)
        for name, values in both.items()
    }
    shape = both["mu"].shape
    rng = np.random.default_rng(1)
    stats = {
        "diverging": np.zeros(shape, dtype=bool),
        "energy": rng.normal(size=shape),
        "maxdepth_reached": np.zeros(shape, dtype=bool),
        "n_steps": np.full(shape, 7),
    }
    tree = {
        "posterior": xr.Dataset(group),
        "sample_stats": xr.Dataset({name: (("chain", "draw"), values) for name, values in stats.items()}),
    }
    if apart is not None:
        tree["constant_data"] = xr.Dataset({"noise_apart": (("channel",), apart[0, 0])})
    return xr.DataTree.from_dict(tree)


def ahead_of(values: Any, shape: tuple[int, int]) -> xr.DataArray:
    """The same in every draw: `values` (period,) or (period, channel)."""
    wide = np.broadcast_to(values, (*shape, *np.shape(values)))
    return xr.DataArray(wide.copy(), dims=("chain", "draw", "period", "channel")[: wide.ndim])


def fitted(
    small: tuple[Study, History], sampled: dict[str, dict[str, Any]], **extended: fit.Extended
) -> fit.Posterior:
    """A fit with parts sampled elsewhere: those given, and all others as they were sampled."""
    others = {name: fit.Extended(trace_of(drawn)) for name, drawn in sampled.items()}
    return fit.fit_posterior(*small, draws=400, extended=others | extended)


def total(made: forecast.Forecast, measure: str = "visitors") -> Any:
    """Mean of a measure by period and channel, as planned."""
    return made.draws[measure].sel(plan="given").mean("draw").values


def test_models_have_the_dimensions_and_the_density_of_the_parts(small, glance):
    """Every part of a fit by counts has its model; dimensions are periods and channels by name."""
    study, history = small
    made = fit.models(study, history, glance)
    assert list(made) == list(parts_of(study, history, glance))
    assert {"leads", "qualified", "won", "value", "traffic"} <= set(made)
    for model in made.values():
        assert list(model.coords["channel"]) == list(history.channels)
        assert len(model.coords["period"]) == len(history.periods)
    assert made["traffic"].named_vars_to_dims["own_waves"] == ("wave", "channel")


def test_a_model_is_drawn(small, glance):
    """As a graph of its variables, with the term among them."""
    import pymc as pm

    study, history = small
    x = december(history)
    model = fit.models(study, history, glance, terms={"traffic": lambda: pm.Normal("holiday", 0.0, 0.5) * x})[
        "traffic"
    ]
    shown = pm.model_to_mermaid(model)
    assert "holiday --> term" in shown
    assert model.named_vars_to_dims["term"] == ("period", "channel")
    pytest.importorskip("graphviz", reason="the extra `notebook` brings it")
    assert "holiday" in model.to_graphviz().source


def test_a_term_adds_to_the_predictor_and_nothing_else(small, glance):
    """The density with a term of zero is the plain one; with another it is that of traffic told as much higher."""
    import pymc as pm
    import pytensor

    by = 0.3 * december(small[1])
    part = parts_of(*small, glance)["traffic"]
    with pytensor.config.change_flags(cxx="", mode=AS_WRITTEN):
        models = [fit.model_of(part), fit.model_of(part, lambda: pm.Data("by", by, dims="period"))]
        point = models[0].initial_point()
        densities = [model.compile_logp(mode=AS_WRITTEN) for model in models]
        plain, own = (float(density(point)) for density in densities)
        for model, told in zip(
            models, ({"log_days": part.data["log_days"] + by}, {"by": 0.0 * by}), strict=True
        ):
            with model:
                pm.set_data(told)
        moved, zero = (float(density(point)) for density in densities)
    assert zero == pytest.approx(plain, rel=1e-12)
    assert own == pytest.approx(moved, rel=1e-12)
    assert own != pytest.approx(plain, rel=1e-6)


def test_a_term_that_does_nothing_changes_nothing(small, sampled):
    """Zero in the past and ahead: the forecast of the same draws without it, to the last digit."""
    drawn = sampled["traffic"]
    shape = drawn["mu"].shape
    zero = np.zeros((*shape, len(small[1].periods), 2))
    plain = fitted(small, sampled, traffic=fit.Extended(trace_of(drawn)))
    own = fitted(
        small, sampled, traffic=fit.Extended(trace_of(drawn, term=zero), ahead_of(np.zeros(3), shape))
    )
    for name in plain.data.data_vars:
        np.testing.assert_array_equal(plain.data[name], own.data[name])
    one, other = (forecast.forecast(*small, each) for each in (plain, own))
    for measure in one.draws.data_vars:
        np.testing.assert_array_equal(one.draws[measure], other.draws[measure])
    assert plain.provenance["fit_hash"] != own.provenance["fit_hash"]


@pytest.mark.slow
def test_a_term_of_the_past_is_in_the_paths_and_not_in_the_level(small, sampled):
    """As events are: what the checks of the history see, and what the forecast starts from."""
    drawn, past = sampled["traffic"], 0.2 * december(small[1])[:, None] * np.ones(2)
    past[-1] = 0.7  # the last period too
    term = np.broadcast_to(past, (*drawn["mu"].shape, *past.shape))
    plain = fitted(small, sampled, traffic=fit.Extended(trace_of(drawn)))
    own = fitted(small, sampled, traffic=fit.Extended(trace_of(drawn, term=term)))
    np.testing.assert_array_equal(plain.array("traffic"), own.array("traffic"))
    gap = own.array("log_traffic_path") - plain.array("log_traffic_path")
    np.testing.assert_allclose(gap, np.broadcast_to(past, gap.shape), atol=1e-5)
    rates = sampled["won"]
    plain = fitted(small, sampled, won=fit.Extended(trace_of(rates)))
    own = fitted(small, sampled, won=fit.Extended(trace_of(rates, term=term)))
    np.testing.assert_allclose(plain.array("logit_now_won"), own.array("logit_now_won"), atol=1e-12)
    gap = own.array("logit_rate_won") - plain.array("logit_rate_won")
    np.testing.assert_allclose(gap, np.broadcast_to(past, gap.shape), atol=1e-5)


def test_a_term_ahead_is_the_level_moved_as_much(small, sampled):
    """Two roads to one answer: a term of log 0.3 on one channel for good, and traffic that is as much lower.

    In expectation, in the answer to spend, and in the budget, which leaves the channel.
    """
    drawn, (study, history) = sampled["traffic"], small
    shape, by = drawn["mu"].shape, np.zeros(2)
    c = history.channels.index("ppc")
    by[c] = math.log(0.3)
    plain = fitted(small, sampled, traffic=fit.Extended(trace_of(drawn)))
    own = fitted(small, sampled, traffic=fit.Extended(trace_of(drawn), ahead_of(np.tile(by, (4, 1)), shape)))
    level = plain.data["traffic"] + by
    moved = replace(plain, data=plain.data.assign(traffic=level))
    first, one, other = (forecast.forecast(study, history, each) for each in (plain, own, moved))
    for i in (0, 1):
        np.testing.assert_allclose(one.case.traffic()[i], other.case.traffic()[i], rtol=1e-5)
    np.testing.assert_allclose(
        one.split.allocation.recommended, other.split.allocation.recommended, rtol=1e-3
    )
    assert one.case.traffic()[0][..., c] == pytest.approx(0.3 * first.case.traffic()[0][..., c], rel=1e-5)
    usual, told = (each.split.allocation.recommended[c] for each in (first, one))
    assert told < 0.7 * usual
    assert list(one.known["name"]) == ["own term"]
    assert one.known["q50"][0] == pytest.approx(0.3, rel=1e-6)


@pytest.mark.slow
def test_rates_and_values_have_terms_too(small, sampled):
    """A logit of the close rate, a log of the deal value: ahead alone, in the periods that are told."""
    study, history = small
    shape = sampled["won"]["mu"].shape
    by = np.array([0.0, 0.4, 0.0])
    plain = fitted(
        small,
        sampled,
        won=fit.Extended(trace_of(sampled["won"])),
        value=fit.Extended(trace_of(sampled["value"])),
    )
    own = fitted(
        small,
        sampled,
        won=fit.Extended(trace_of(sampled["won"]), ahead_of(by, shape), name="price"),
        value=fit.Extended(trace_of(sampled["value"]), ahead_of(by, shape), name="price"),
    )
    one, other = (forecast.forecast(study, history, each).case.future for each in (plain, own))
    odds = [each.rates["won"] / (1.0 - each.rates["won"]) for each in (one, other)]
    np.testing.assert_allclose(
        odds[1] / odds[0], np.broadcast_to(np.exp(by)[:, None], odds[0].shape), rtol=1e-4
    )
    np.testing.assert_allclose(
        other.value / one.value, np.broadcast_to(np.exp(by)[:, None], one.value.shape), rtol=1e-4
    )
    np.testing.assert_allclose(other.later_value, one.later_value)
    np.testing.assert_allclose(other.rates_on("won")[:, -1], one.rates_on("won")[:, -1], rtol=1e-6)


def test_a_term_is_saved_and_read(small, sampled, tmp_path):
    """The same posterior from its file, and the same forecast."""
    drawn = sampled["traffic"]
    own = fitted(
        small,
        sampled,
        traffic=fit.Extended(trace_of(drawn), ahead_of(np.full(3, 0.3), drawn["mu"].shape), name="sale"),
    )
    fit.save_posterior(own, tmp_path / "own.nc")
    again = fit.load_posterior(tmp_path / "own.nc")
    np.testing.assert_array_equal(own.data["term_traffic"], again.data["term_traffic"])
    assert again.provenance["terms"] == {"traffic": "sale"}
    made = forecast.forecast(*small, again)
    np.testing.assert_array_equal(total(made), total(forecast.forecast(*small, own)))
    with pytest.raises(UsageError, match="known for 3 periods ahead, the plan has 5"):
        forecast.forecast(forecast.load_study(small[0].path, ["plan.periods=5"]), small[1], again)


def wrong(
    small: tuple[Study, History], drawn: dict[str, Any]
) -> dict[str, tuple[dict[str, fit.Extended], str]]:
    """What is no part of one's own, and what is said of it."""
    shape = drawn["mu"].shape
    good = trace_of(drawn)
    without = xr.DataTree.from_dict({"posterior": good["posterior"].to_dataset().drop_vars("own_waves")})
    unstated = xr.DataTree.from_dict(
        {name: good[name].to_dataset() for name in ("posterior", "constant_data")}
    )
    odd = trace_of({name: values[:, :99] for name, values in drawn.items() if name != "noise_apart"})
    later = ahead_of(np.zeros(3), shape).assign_coords(
        period=np.array(["2030-01-01", "2030-02-01", "2030-03-01"], dtype="datetime64[ns]")
    )
    return {
        "no part": ({"trafic": fit.Extended(good)}, "no such part; the parts are leads"),
        "no trace": ({"traffic": fit.Extended({"posterior": 1})}, "expected what pm.sample returned"),
        "a parameter less": ({"traffic": fit.Extended(without)}, "lacks own_waves"),
        "another part": ({"won": fit.Extended(good)}, "lacks level_raw"),
        "no statistics": ({"traffic": fit.Extended(unstated)}, "no sample_stats of NUTS"),
        "odd": (
            {"traffic": fit.Extended(odd.isel(chain=slice(0, 3)))},
            "that 4 divides over all chains, got 297",
        ),
        "an array": ({"traffic": fit.Extended(good, np.zeros(3))}, "expected a DataArray"),
        "other draws": (
            {"traffic": fit.Extended(good, ahead_of(np.zeros(3), (1, 5)))},
            "expected the draws of the",
        ),
        "other periods": ({"traffic": fit.Extended(good, later)}, "expected the periods after the history"),
    }


CASES = ("no part", "no trace", "a parameter less", "another part", "no statistics", "odd", "an array",
         "other draws", "other periods")  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_part_of_ones_own_is_refused(small, sampled, case, monkeypatch):
    """With what was expected and what came."""
    monkeypatch.setattr(
        fitting, "diagnose", lambda *_: {}
    )  # of the parts before it, which are as they should be
    extended, said = wrong(small, sampled["traffic"])[case]
    with pytest.raises(UsageError, match=said):
        fitted(small, sampled, **extended)


def test_terms_of_no_part_are_refused(small, glance):
    """By the names of the parts that there are."""
    with pytest.raises(UsageError, match="close: no such part; the parts are leads, qualified, won"):
        fit.models(*small, glance, terms={"close": lambda: 0.0})


@pytest.mark.slow
def test_a_known_holiday_is_found_and_goes_ahead(tmp_path):
    """Made traffic that is exp(0.5) as high in every December: the effect is learnt, and the next December has it."""
    import pymc as pm

    study, history = company(tmp_path, effect=EFFECT)
    x = december(history)
    model = fit.models(study, history, terms={"traffic": lambda: pm.Normal("holiday", 0.0, 0.5) * x})[
        "traffic"
    ]
    with model:
        trace = pm.sample(
            500, tune=1000, chains=2, random_seed=1, target_accept=0.95, progressbar=False, quiet=True
        )
    found = trace["posterior"]["holiday"]
    assert abs(float(found.mean()) - EFFECT) < 3.0 * float(found.std())
    assert float(found.std()) < 0.15
    ahead = found * xr.DataArray([0.0, 1.0, 0.0], dims="period")
    own = fit.fit_posterior(study, history, extended={"traffic": fit.Extended(trace, ahead, name="holiday")})
    plain = fit.fit_posterior(study, history, extended={"traffic": fit.Extended(trace)})
    ratio = total(forecast.forecast(study, history, own)) / total(forecast.forecast(study, history, plain))
    usual = float(np.exp(found).mean())
    np.testing.assert_allclose(ratio[[0, 2]], 1.0, rtol=0.01)
    np.testing.assert_allclose(ratio[1], usual, rtol=0.03)


@pytest.mark.slow
def test_pymc_and_the_closed_form_draw_one_posterior(tmp_path):
    """Means within Monte Carlo error and alike sds, of every number that both have; two channels of the demo's world.

    But for how the noises of channels differ, which the PyMC models are given and the closed form draws.
    """
    from arviz_stats.base.array import array_stats

    study, history = company(tmp_path, effect=0.0, months=24)
    weighed, sampled = (
        fitting.fit(study, history, seed=1, draws=2000, progress=Silent(), weigh=False, sampler=road)
        for road in ("weighed", "pymc")
    )
    assert not fitting.failures(sampled)
    effective = min(min(told["ess_scales"], told["ess_effects"]) for told in weighed.diagnostics)
    gaps, spreads = [], []
    for name in map(str, weighed.data.data_vars):
        if weighed.data[name].ndim > 2 or name.startswith("noise") or "draw" not in weighed.data[name].dims:
            continue
        a, b = (each.array(name).reshape(each.draws, -1) for each in (weighed, sampled))
        for x, y in zip(a.T, b.T, strict=True):
            if np.ptp(x) == 0.0:
                continue
            chains = y.reshape(sampled.chains, -1)
            error = array_stats.mcse(chains, method="mean", chain_axis=0, draw_axis=1)
            gaps.append((x.mean() - y.mean()) / math.hypot(x.std() / math.sqrt(effective), float(error)))
            spreads.append(math.log(x.std() / y.std()))
    assert len(gaps) > 30
    assert math.sqrt(np.square(gaps).mean()) < 1.6
    assert np.abs(gaps).max() < 4.5
    assert np.abs(spreads).max() < math.log(1.35)
