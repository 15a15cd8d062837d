"""The instant mode: conjugate answers, known truth, what a fit has, the same bytes, and the demo as it is fitted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, DemoRun
from posterior_fixture import TWO, history, study
from threadpoolctl import threadpool_limits

import forecast
from forecast.errors import FitError
from forecast.fit.fitting import preview
from forecast.fit.posterior import Posterior, load_posterior
from forecast.history import History, read_history
from forecast.lab import demo_world, generate, write
from forecast.outlook import case_of, simulate
from forecast.periods import log_days, period_range, season_of
from forecast.results import total_draws
from forecast.study import Study, load_study

BUNDLED = ROOT / "forecast" / "bundled"
DRAWS = 1000  # of the bundled companies: the end of a band has an error of 1.7 / sqrt(1000) = 5 % of an sd

Asked = tuple[Study, History, Posterior]


def of_bundled(name: str, *, weigh: bool) -> Asked:
    """A bundled study, its history and its preview."""
    loaded = load_study(BUNDLED / name)
    past = read_history(loaded)
    return loaded, past, preview(loaded, past, seed=1, draws=DRAWS, weigh=weigh)


@pytest.fixture(scope="module")
def demo() -> Asked:
    """The demo by counts."""
    return of_bundled("demo.toml", weigh=True)


@pytest.fixture(scope="module")
def demo_leads() -> Posterior:
    """The demo by leads."""
    return of_bundled("demo_leads.toml", weigh=False)[2]


AT_ONCE = {"stages": ("leads", "won"), "delay": {"won": "0 days"}}


def rates(**counts: object) -> np.ndarray:
    """Logit rate of today (draw, channel) of a funnel of two stages without delay."""
    past = history(counts, periods=24, channels=[f"c{i}" for i in range(6)])
    return preview(study(funnel=AT_ONCE), past, seed=1).array("logit_rate_won")[:, -1]


def test_many_units_pin_a_rate():
    """A million leads a cell, 4 % of them won, all months alike: 4 %, to the drift that cannot be ruled out."""
    now = rates(leads=1e6, won=4e4)
    assert len(now) == 4000  # where nothing else is asked
    assert (1 / (1 + np.exp(-now))).mean() == pytest.approx(0.04, rel=0.01)
    assert (now.std(axis=0) < 0.03).all()


def test_without_delay_the_moves_are_those_of_the_period():
    """f = delta_0: calendar counts and mature cohorts of the same numbers give one posterior, to rounding."""
    found = [
        preview(study(funnel=AT_ONCE), history({"leads": 900, "won": 30}, counting=counting), seed=4)
        for counting in ("calendar", "cohort")
    ]
    np.testing.assert_allclose(*(p.array("logit_rate_won") for p in found), atol=1e-4)
    assert (found[0].array("delay_mean_won") == 0).all()


def test_an_assumed_value_stands_in_for_revenue():
    """Without revenue there is no deal value, unless the study gives one; then it has no spread."""
    past = history(TWO, channels=["one", "two"])
    assert "deal_mean" not in preview(study(), past, seed=1, draws=50).data
    valued = preview(study(funnel={"value": 700.0}), past, seed=1, draws=50)
    assert (valued.array("deal_mean") == 700).all()
    assert (valued.array("deal_cv") == 0).all()


def test_deal_values_are_those_seen_with_the_error_of_a_mean():
    """Many deals: their mean with sd cv / sqrt(deals), a little more as it walks; a channel without is like others."""
    rng = np.random.default_rng(2)
    won = np.zeros((30, 3))
    won[:, :2] = 20
    revenue = np.zeros((30, 3))
    revenue[:, :2] = rng.gamma(20 / 0.64, 5000 * 0.64, (30, 2))
    past = history(
        {"visitors": 900, "leads": 60, "won": won, "revenue": revenue}, periods=30, channels=["a", "b", "c"]
    )
    posterior = preview(study(funnel={"stages": ("visitors", "leads", "won")}), past, seed=1)
    mean = posterior.array("deal_mean")
    seen = revenue.sum(axis=0)[:2] / 600
    error = 0.8 / np.sqrt(600)
    assert (np.abs(np.log(mean[:, :2]).mean(axis=0) - np.log(seen)) < error).all()
    spread = np.log(mean[:, :2]).std(axis=0)
    assert ((0.9 * error < spread) & (spread < 1.6 * error)).all()
    assert np.median(mean[:, 2]) == pytest.approx(5000, rel=0.15)
    assert np.log(mean[:, 2]).std() > 3 * error
    assert posterior.array("deal_cv").mean() == pytest.approx(0.8, rel=0.25)


def test_visitors_alone_are_nothing_to_fit():
    """The same message as a fit's."""
    with pytest.raises(FitError, match="counts visitors alone, and no wins"):
        preview(study(), history({"visitors": 100}), seed=1)


def test_it_has_all_that_a_fit_has(demo_run: DemoRun, demo: Asked):
    """Same variables, dims, kinds and coordinates as the fitted demo, and the provenance that later steps read."""
    _, _, made = demo
    fitted = load_posterior(demo_run.folder / "posterior.nc")
    forms = [{k: (v.dims, v.dtype) for k, v in p.data.items()} for p in (made, fitted)]
    assert forms[0] == forms[1]
    for name in ("period", "channel"):
        np.testing.assert_array_equal(made.data[name].values, fitted.data[name].values)
    assert made.draws == DRAWS
    assert all(np.isfinite(v).all() for v in made.data.values())
    assert made.provenance["method"] == "preview"
    assert made.provenance["fit_hash"] == ""
    assert made.diagnostics == ()
    for key in ("stages", "ages"):
        assert made.provenance[key] == fitted.provenance[key]
    told = [{(r["quantity"], r["channel"]) for r in p.provenance["sensitivity"]} for p in (made, fitted)]
    assert told[0] == told[1]


def test_dated_losses_have_their_own_rate_and_delay(demo_leads: Posterior):
    """The demo's leads: of those that never move on 85 % have a date of loss, 30 days later on average."""
    for stage in ("qualified", "won"):
        share = 1 / (1 + np.exp(-demo_leads.array(f"loss_logit_{stage}")))
        assert share.mean() == pytest.approx(0.85, abs=0.03)
        assert demo_leads.array(f"loss_delay_mean_{stage}").mean() == pytest.approx(30 / 30.44, rel=0.08)


def gaps() -> History:
    """Four channels of 18 months: one that comes late, blank cells, a month without any count."""
    rng = np.random.default_rng(7)
    visitors = rng.poisson([900.0, 500.0, 300.0, 600.0], (18, 4)).astype(float)
    leads = rng.binomial(visitors.astype(int), 0.06).astype(float)
    won = rng.binomial(leads.astype(int), 0.25).astype(float)
    for values in (visitors, leads, won):
        values[:6, 3] = np.nan
    visitors[9, 0] = leads[10, 1] = won[11, 2] = np.nan
    leads[13] = np.nan
    counted = {"visitors": visitors, "leads": leads, "won": won, "spend": 800.0}
    return history(counted, periods=18, channels=["a", "b", "c", "late"])


def test_blanks_and_a_late_channel_are_no_matter():
    """Rates and traffic of today as they are, in every channel; where a count is missing nothing is made of it."""
    plain = study(funnel={"stages": ("visitors", "leads", "won"), "delay": {"won": 0}})
    made = preview(plain, gaps(), seed=1, draws=1000)
    assert all(np.isfinite(v).all() for v in made.data.values())
    for stage, rate in (("leads", 0.06), ("won", 0.25)):
        now = made.array(f"logit_rate_{stage}")[:, -1]
        z = (now.mean(axis=0) - np.log(rate / (1 - rate))) / now.std(axis=0)
        assert np.abs(z).max() < 3.5
        assert (now.std(axis=0) < 0.4).all()
    traffic = np.exp(made.array("traffic"))
    np.testing.assert_allclose(traffic.mean(axis=0), [900, 500, 300, 600], rtol=0.15)


def test_growth_goes_on_and_fades():
    """Traffic that grows by 5 % a month is thought to go on growing by most of it; that which stands still is not.

    The slopes of the posterior are those of the forecast: three months ahead they add 0.9 + 0.81 + 0.729 of themselves.
    """
    rng, time = np.random.default_rng(8), np.arange(30)[:, None]
    asked = study(funnel={"stages": ("visitors", "won"), "delay": {"won": 0}})
    for rate in (0.05, 0.0):
        visitors = rng.poisson(np.exp(6.5 + rate * time + 0.1 * rng.standard_normal((30, 2)))).astype(float)
        past = history({"visitors": visitors, "won": np.round(0.1 * visitors)}, periods=30)
        made = preview(asked, past, seed=1, draws=1000)
        slope = made.array("slope")
        assert slope.mean() == pytest.approx(0.85 * rate, abs=0.012)
        future = case_of(asked, past, made, np.zeros((3, 2)), np.random.default_rng(2)).future
        season = made.array("season")[:, season_of(future.starts, "month")] + log_days(future.starts, "month")
        ahead = future.log_traffic - season[:, :, None] - made.array("traffic")[:, None]
        rise = slope.mean(axis=0) * np.array([0.9, 1.71, 2.439])[:, None]
        assert ahead.mean(axis=0) == pytest.approx(rise, abs=0.02)


def test_the_same_seed_gives_the_same_bytes():
    """However many threads the linear algebra may use; another seed gives other draws of the same law."""
    asked, past = study(funnel={"stages": ("visitors", "leads", "won"), "delay": {"won": "1 month"}}), gaps()
    with threadpool_limits(2):
        one = preview(asked, past, seed=1, draws=1000)
    two, other = (preview(asked, past, seed=seed, draws=1000) for seed in (1, 2))
    for name in one.data:
        assert one.data[name].values.tobytes() == two.data[name].values.tobytes(), name
    assert one.provenance["sensitivity"] == two.provenance["sensitivity"]
    a, b = one.array("traffic"), other.array("traffic")
    assert (a != b).all()
    assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) < 0.5 * a.std(axis=0)).all()


# Against truth and against the fit


def test_dated_leads_teach_the_delay(demo_leads: Posterior):
    """The demo's delays, known from how it was made, lie within three posterior sds; the dates leave them narrow."""
    truth = json.loads((BUNDLED / "demo_truth.json").read_text(encoding="utf-8"))
    for stage in ("qualified", "won"):
        draws = demo_leads.array(f"delay_mean_{stage}")
        known = truth["delay"][stage]["mean_months"]
        assert abs(draws.mean() - known) < 3 * draws.std() + 0.03 * known
        assert draws.std() < 0.1 * known


def test_the_preview_agrees_with_the_fit(demo_run: DemoRun, demo: Asked):
    """The demo: next quarter's revenue and wins, median within 4 % and width of the 80 % band within 15 % of the fit.

    Rates and traffic of today within half a posterior sd, channel by channel.
    """
    loaded, past, instant = demo
    sampled = load_posterior(demo_run.folder / "posterior.nc")
    plan = np.repeat(past.current_spend[None], 3, axis=0)
    found = {}
    for name, posterior in (("fit", sampled), ("preview", instant)):
        made = case_of(loaded, past, posterior, plan, np.random.default_rng(1))
        outlook = simulate(made, {"given": plan}, rng=np.random.default_rng(2))
        for measure in ("won", "revenue"):
            found[name, measure] = np.quantile(total_draws(outlook, "given", measure), [0.1, 0.5, 0.9])
    for measure in ("won", "revenue"):
        low, middle, high = found["preview", measure]
        assert middle == pytest.approx(found["fit", measure][1], rel=0.04)
        assert high - low == pytest.approx(found["fit", measure][2] - found["fit", measure][0], rel=0.15)
    for name in (*(f"logit_rate_{stage}" for stage in sampled.stages), "traffic", "deal_mean", "elasticity"):
        a, b = (p.array(name) for p in (sampled, instant))
        a, b = (x[:, -1] if x.ndim == 3 else x for x in (a, b))
        assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) < 0.5 * a.std(axis=0)).all(), name


@pytest.mark.slow
def test_bands_cover_what_came(tmp_path: Path):
    """Forty companies of the demo's kind: the 80 % band of the next quarter's revenue holds 65 to 95 % of outcomes.

    That is three standard errors of forty trials about 80 %.
    """
    text = (BUNDLED / "demo.toml").read_text(encoding="utf-8")
    inside = 0
    for seed in range(40):
        folder = tmp_path / str(seed)
        company = generate(demo_world(), np.random.default_rng(9000 + seed))
        write(company, folder, seed=seed)
        (folder / "demo.toml").write_text(text, encoding="utf-8")
        loaded = load_study(folder / "demo.toml")
        made = forecast.forecast(loaded, read_history(loaded), preview(loaded, read_history(loaded), seed=1))
        low, high = np.quantile(total_draws(made.draws, "given", "revenue"), [0.1, 0.9])
        inside += low <= company.truth["later"]["totals"]["3"]["total"]["revenue"] <= high
    assert 0.8 - 3 * np.sqrt(0.16 / 40) <= inside / 40 <= 0.8 + 3 * np.sqrt(0.16 / 40)


@pytest.mark.parametrize(("weeks", "channels"), [(40, 6), pytest.param(104, 20, marks=pytest.mark.slow)])
def test_a_long_history_of_many_channels_is_no_matter(weeks: int, channels: int):
    """Weeks, with a wave of the walk for each: finite, and today's rates as they are."""
    rng = np.random.default_rng(4)
    visitors = rng.poisson(800.0, (weeks, channels)).astype(float)
    leads = rng.binomial(visitors.astype(int), 0.05).astype(float)
    won = rng.binomial(leads.astype(int), 0.3).astype(float)
    past = history(
        {"visitors": visitors, "leads": leads, "won": won, "spend": 500.0},
        periods=weeks,
        channels=[f"c{i}" for i in range(channels)],
        period="week",
        first="2024-01-01",
    )
    assert len(period_range(past.periods[0], past.last, "week")) == weeks
    plain = study(funnel={"stages": ("visitors", "leads", "won"), "delay": {"won": 0}})
    posterior = preview(plain, past, seed=1, draws=500)
    assert all(np.isfinite(v).all() for v in posterior.data.values())
    for stage, rate in (("leads", 0.05), ("won", 0.3)):
        now = 1 / (1 + np.exp(-posterior.array(f"logit_rate_{stage}")[:, -1]))
        assert now.mean() == pytest.approx(rate, rel=0.1)
    assert np.exp(posterior.array("traffic")).mean() == pytest.approx(800, rel=0.1)
