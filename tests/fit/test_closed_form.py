"""The instant mode: closed forms against dense algebra, conjugate answers, known truth, and the sampled demo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, DemoRun, command
from posterior_fixture import TWO, history, study
from scipy.stats import multivariate_normal

import forecast
from forecast.errors import FitError
from forecast.fit.closed_form import preview
from forecast.fit.gaussian import Scales, average, points_drawn, solve, walk_basis
from forecast.fit.posterior import load_posterior
from forecast.history import read_history
from forecast.lab import demo_world, generate, write
from forecast.outlook import case_of, simulate
from forecast.periods import period_range
from forecast.results import total_draws
from forecast.study import load_study

BUNDLED = ROOT / "forecast" / "bundled"
SAMPLER = {"pymc", "nutpie", "pytensor", "numba", "arviz", "arviz_stats"}

# The Gaussian model of two levels


@pytest.fixture(scope="module")
def small_model() -> tuple[np.ndarray, ...]:
    """Two grid points, three channels, four rows: z, precision (one blank), common and own loadings."""
    rng = np.random.default_rng(3)
    z, h = rng.normal(size=(2, 3, 4)), rng.uniform(0.5, 3.0, (2, 3, 4))
    h[:, 1, 2] = 0.0
    return z, h, rng.normal(size=(2, 3, 4, 2)), rng.normal(size=(2, 3, 4, 3))


def dense(model: tuple[np.ndarray, ...], point: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same model in one matrix: loadings of all effects, observed rows, noise variance."""
    z, h, common, own = (part[point] for part in model)
    rows = [
        np.concatenate([common[c, r], *(own[c, r] if d == c else np.zeros(3) for d in range(3))])
        for c in range(3)
        for r in range(4)
    ]
    seen = h.ravel() > 0
    return np.array(rows)[seen], z.ravel()[seen], 1.0 / h.ravel()[seen]


@pytest.mark.parametrize("point", [0, 1])
def test_the_evidence_is_the_normal_density_of_the_data(small_model, point: int):
    """Channel by channel or all in one matrix: the same density, blanks left out."""
    loads, z, variance = dense(small_model, point)
    cov = loads @ loads.T + np.diag(variance)
    expected = multivariate_normal.logpdf(z, np.zeros(len(z)), cov) + 0.5 * len(z) * np.log(2 * np.pi)
    assert solve(*small_model).log_evidence[point] == pytest.approx(expected, rel=1e-10)


def test_means_and_draws_are_those_of_the_dense_posterior(small_model):
    """Means exactly; draws with the dense covariance, common and own effects together, to Monte Carlo error."""
    loads, z, variance = dense(small_model, 1)
    cov = np.linalg.inv(np.eye(loads.shape[1]) + loads.T @ (loads / variance[:, None]))
    mean = cov @ loads.T @ (z / variance)
    solved = solve(*small_model)
    a, b = solved.means(1)
    np.testing.assert_allclose(np.concatenate([a, b.ravel()]), mean, rtol=1e-9)
    draws = 40_000
    a, b = solved.draw(1, draws, np.random.default_rng(1))
    joined = np.concatenate([a, b.reshape(draws, -1)], axis=1)
    sd = np.sqrt(np.diag(cov))
    assert (np.abs(joined.mean(axis=0) - mean) < 5 * sd / np.sqrt(draws)).all()
    assert (np.abs(np.cov(joined.T) - cov) < 5 * np.sqrt(2.0 / draws) * np.outer(sd, sd)).all()


@pytest.mark.parametrize("periods", [1, 2, 12, 36, 104])
def test_the_walk_is_a_walk_with_mean_zero(periods: int):
    """Columns sum to zero; between knots and over the whole window the variance of a difference is its length."""
    basis = walk_basis(periods)
    np.testing.assert_allclose(basis.mean(axis=0), 0.0, atol=1e-12)
    whole = basis[-1] - basis[0]
    assert whole @ whole == pytest.approx(periods - 1)
    assert basis.shape[1] <= 25


def test_weights_of_scales_are_a_posterior():
    """A normal likelihood on the log of one scale: mean and sd of the average are those of a fine grid."""
    scales = Scales(np.array([2.0 / 0.05]), np.array([[0.0], [0.5]]), np.array([[0.0], [0.5]]))

    def log_evidence(points: np.ndarray) -> np.ndarray:
        return np.asarray(-0.5 * ((points - [np.log(0.1), 0.6]) / [0.3, 0.2]) ** 2).sum(axis=1)

    points, weights = average(scales, log_evidence)
    grid = np.linspace(-8, 2, 4001)
    density = np.exp(-0.5 * ((grid - np.log(0.1)) / 0.3) ** 2 + 2 * grid - 40.0 * np.exp(grid))
    middle = (density * grid).sum() / density.sum()
    sd = np.sqrt((density * (grid - middle) ** 2).sum() / density.sum())
    assert weights @ points[:, 0] == pytest.approx(middle, abs=0.1 * sd)
    assert np.sqrt(weights @ (points[:, 0] - middle) ** 2) == pytest.approx(sd, rel=0.15)
    assert weights @ points[:, 1] == pytest.approx(0.6 / (1 + 0.04 / 0.25), abs=0.03)


def test_shares_sum_to_the_draws():
    """No draw is lost by rounding, and no share is off by more than one."""
    weights = np.random.default_rng(1).dirichlet(np.full(64, 0.3))
    for draws in (1, 7, 400, 4000):
        counts = points_drawn(weights, draws)
        assert counts.sum() == draws
        assert (np.abs(counts - draws * weights) <= 1).all()


# Its posterior


AT_ONCE = {"stages": ("leads", "won"), "delay": {"won": "0 days"}}


def rates(**counts: object) -> np.ndarray:
    """Logit rate of today (draw, channel) of a funnel of two stages without delay."""
    past = history(counts, periods=24, channels=[f"c{i}" for i in range(6)])
    return preview(study(funnel=AT_ONCE), past, seed=1).array("logit_rate_won")[:, -1]


def test_many_units_pin_a_rate():
    """A million leads a cell, 4 % of them won, all months alike: 4 %, to the drift that cannot be ruled out."""
    now = rates(leads=1e6, won=4e4)
    assert (1 / (1 + np.exp(-now))).mean() == pytest.approx(0.04, rel=0.01)
    assert (now.std(axis=0) < 0.03).all()


def test_channels_are_pulled_together_as_far_as_they_are_unsure():
    """Weight on a channel's own data: B = n p (1 - p) tau^2 / (1 + n p (1 - p) tau^2).

    Five channels at 10 % and one at 20 %: with few leads it lands in between, with many at its own.
    """
    few, many = (rates(leads=[*[4000] * 5, n], won=[*[400] * 5, n * 0.2]).mean(axis=0) for n in (5, 4000))
    own, pool = np.log(0.2 / 0.8), np.log(0.1 / 0.9)
    weight = [(found[5] - pool) / (own - pool) for found in (few, many)]
    tau = 0.25  # between channels that agree this well, as the posterior of the spread has it (0.15 to 0.5)
    told = [24 * n * 0.16 * tau**2 / (1 + 24 * n * 0.16 * tau**2) for n in (5, 4000)]
    assert weight[0] == pytest.approx(told[0], abs=0.25)
    assert weight[1] == pytest.approx(told[1], abs=0.05)
    assert weight[0] < weight[1] - 0.2


def test_without_delay_the_moves_are_those_of_the_period():
    """f = delta_0: calendar counts and mature cohorts of the same numbers give one and the same posterior."""
    found = [
        preview(study(funnel=AT_ONCE), history({"leads": 900, "won": 30}, counting=counting), seed=4)
        for counting in ("calendar", "cohort")
    ]
    np.testing.assert_array_equal(*(p.array("logit_rate_won") for p in found))
    assert (found[0].array("delay_mean_won") == 0).all()


def test_an_assumed_value_stands_in_for_revenue():
    """Without revenue there is no deal value, unless the study gives one; then it has no spread."""
    past = history(TWO, channels=["one", "two"])
    assert "deal_mean" not in preview(study(), past, seed=1, draws=50).data
    valued = preview(study(funnel={"value": 700.0}), past, seed=1, draws=50)
    assert (valued.array("deal_mean") == 700).all()
    assert (valued.array("deal_cv") == 0).all()


def test_deal_values_are_those_seen_with_the_error_of_a_mean():
    """Many deals: their mean with sd cv / sqrt(deals); a channel without one lies about the others'."""
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
    assert (np.abs(np.log(mean[:, :2]).mean(axis=0) - np.log(seen)) < 0.5 * error).all()
    assert np.log(mean[:, :2]).std(axis=0) == pytest.approx(error, rel=0.25)
    assert np.median(mean[:, 2]) == pytest.approx(5000, rel=0.15)
    assert np.log(mean[:, 2]).std() > 3 * error
    assert posterior.array("deal_cv").mean() == pytest.approx(0.8, rel=0.25)


def test_one_stage_is_nothing_to_fit():
    """The same message as a fit's."""
    with pytest.raises(FitError, match="fewer than two of the stages"):
        preview(study(), history({"visitors": 100}), seed=1)


def test_it_has_all_that_a_fit_has(demo_run: DemoRun):
    """Same variables, dims, kinds and coordinates as the sampled demo, and the provenance that later steps read."""
    loaded = load_study(BUNDLED / "demo.toml")
    made, sampled = (
        preview(loaded, read_history(loaded), seed=1, draws=40),
        load_posterior(demo_run.folder / "posterior.nc"),
    )
    forms = [{k: (v.dims, v.dtype) for k, v in p.data.items()} for p in (made, sampled)]
    assert forms[0] == {name: form for name, form in forms[1].items() if not name.startswith("before_")}
    for name in ("period", "channel"):
        np.testing.assert_array_equal(made.data[name].values, sampled.data[name].values)
    assert made.draws == 40
    assert all(np.isfinite(v).all() for v in made.data.values())
    assert made.provenance["method"] == "preview"
    assert made.provenance["fit_hash"] == ""
    assert made.diagnostics == ()
    for key in ("stages", "ages"):
        assert made.provenance[key] == sampled.provenance[key]


def test_dated_losses_have_their_own_rate_and_delay():
    """The demo's leads: of those that never move on 85 % have a date of loss, 30 days later on average."""
    loaded = load_study(BUNDLED / "demo_leads.toml")
    made = preview(loaded, read_history(loaded), seed=1, draws=400)
    for stage in ("qualified", "won"):
        share = 1 / (1 + np.exp(-made.array(f"loss_logit_{stage}")))
        assert share.mean() == pytest.approx(0.85, abs=0.03)
        assert made.array(f"loss_delay_mean_{stage}").mean() == pytest.approx(30 / 30.44, rel=0.08)


def test_the_same_seed_gives_the_same_bytes():
    """And another seed other draws of the same law."""
    loaded = load_study(BUNDLED / "demo.toml")
    past = read_history(loaded)
    one, two, other = (preview(loaded, past, seed=seed) for seed in (1, 1, 2))
    for name in one.data:
        np.testing.assert_array_equal(one.data[name].values, two.data[name].values)
    a, b = one.array("traffic"), other.array("traffic")
    assert (a != b).all()
    assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) < 5 * a.std(axis=0) * np.sqrt(2 / len(a))).all()


# Against truth and against the fit


def test_dated_leads_teach_the_delay():
    """The demo's delays, known from how it was made, lie within three posterior sds; the dates leave them narrow."""
    loaded = load_study(BUNDLED / "demo_leads.toml")
    posterior = preview(loaded, read_history(loaded), seed=1)
    truth = json.loads((BUNDLED / "demo_truth.json").read_text(encoding="utf-8"))
    for stage in ("qualified", "won"):
        draws = posterior.array(f"delay_mean_{stage}")
        known = truth["delay"][stage]["mean_months"]
        assert abs(draws.mean() - known) < 3 * draws.std() + 0.03 * known
        assert draws.std() < 0.1 * known


def test_the_preview_agrees_with_the_fit(demo_run: DemoRun):
    """The demo: next quarter's revenue and wins, median within 8 % and width of the 80 % band within 25 % of NUTS.

    Rates and traffic of today within one posterior sd, channel by channel.
    """
    loaded = load_study(BUNDLED / "demo.toml")
    past = read_history(loaded)
    sampled, instant = load_posterior(demo_run.folder / "posterior.nc"), preview(loaded, past, seed=1)
    plan = np.repeat(past.current_spend[None], 3, axis=0)
    found = {}
    for name, posterior in (("fit", sampled), ("preview", instant)):
        made = case_of(loaded, past, posterior, plan, np.random.default_rng(1))
        outlook = simulate(made, {"given": plan}, rng=np.random.default_rng(2))
        for measure in ("won", "revenue"):
            found[name, measure] = np.quantile(total_draws(outlook, "given", measure), [0.1, 0.5, 0.9])
    for measure in ("won", "revenue"):
        low, middle, high = found["preview", measure]
        assert middle == pytest.approx(found["fit", measure][1], rel=0.08)
        assert high - low == pytest.approx(found["fit", measure][2] - found["fit", measure][0], rel=0.25)
    for name in (*(f"logit_rate_{stage}" for stage in sampled.stages), "traffic", "deal_mean", "elasticity"):
        a, b = (p.array(name) for p in (sampled, instant))
        a, b = (x[:, -1] if x.ndim == 3 else x for x in (a, b))
        assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) < a.std(axis=0)).all(), name


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


def test_a_long_history_of_many_channels_is_no_matter():
    """Twenty channels over 104 weeks, where the walks bend at knots: finite, and today's rates as they are."""
    rng = np.random.default_rng(4)
    visitors = rng.poisson(800.0, (104, 20)).astype(float)
    leads = rng.binomial(visitors.astype(int), 0.05).astype(float)
    won = rng.binomial(leads.astype(int), 0.3).astype(float)
    past = history(
        {"visitors": visitors, "leads": leads, "won": won, "spend": 500.0},
        periods=104,
        channels=[f"c{i}" for i in range(20)],
        period="week",
        first="2024-01-01",
    )
    assert len(period_range(past.periods[0], past.last, "week")) == 104
    plain = study(funnel={"stages": ("visitors", "leads", "won"), "delay": {"won": 0}})
    posterior = preview(plain, past, seed=1, draws=500)
    for stage, rate in (("leads", 0.05), ("won", 0.3)):
        now = 1 / (1 + np.exp(-posterior.array(f"logit_rate_{stage}")[:, -1]))
        assert now.mean() == pytest.approx(rate, rel=0.1)
    assert np.exp(posterior.array("traffic")).mean() == pytest.approx(800, rel=0.1)


# The command

LOADED = """\
import sys
from pathlib import Path
from forecast import workflow
result = workflow.run(Path(sys.argv[1]), out=Path(sys.argv[2]), preview=True)
print(sorted(set(sys.argv[3].split(",")) & set(sys.modules)))
print(result.summary["verdict"]["status"])
"""


def test_a_preview_loads_no_sampler_and_saves_no_fit(small_study: Path):
    """`run --preview`: all outputs, marked as a preview, and nothing beside the study that a later run would take."""
    before = sorted(path.name for path in small_study.parent.iterdir())
    made = command(str(small_study), "out", ",".join(SAMPLER), cwd=small_study.parent, code=LOADED)
    assert made.stdout == "[]\nREVIEW\n", made.stderr
    assert sorted(path.name for path in small_study.parent.iterdir()) == sorted([*before, "out"])
    summary = json.loads((small_study.parent / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["verdict"]["sentence"].startswith("PREVIEW: closed-form approximation")
    assert summary["verdict"]["checks"][0]["name"] == "preview"
    assert summary["provenance"]["method"] == "preview"
    assert summary["provenance"]["fitted_now"] is False
    assert (small_study.parent / "out" / "report.pdf").stat().st_size > 10_000
