"""A posterior as ArviZ has it: groups, names, units; values by another road; every plot runs on it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr
from part_fixture import asked_of, counts
from scipy.special import expit, logsumexp
from scipy.stats import nbinom

from forecast import fit
from forecast.errors import UsageError
from forecast.fit import data as inputs
from forecast.fit import fitting, predictive
from forecast.fit.kinds import latent_of
from forecast.fit.parts import Part
from forecast.fit.points import Draws
from forecast.fit.posterior import kept_of
from forecast.fit.prior import make_company, study_of
from forecast.fit.scales import LEVEL_SD
from forecast.progress import Silent

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:arviz")


class Made:
    """A study, its history, its posterior, and the draws of every part as they were sampled."""

    def __init__(self, kind: str) -> None:
        company = make_company(kind, np.random.default_rng(4))
        self.study, self.history = study_of(kind), company.history
        self.parts: dict[str, tuple[Part, Draws]] = {}
        self.posterior = fitting.fit(
            self.study, self.history, seed=1, draws=400, progress=Silent(), sampler="weighed",
            watch=lambda part, drawn: self.parts.update({part.name: (part, drawn)}),
        )  # fmt: skip
        self.tree = self.posterior.to_arviz(self.study, self.history, "all")


@pytest.fixture(scope="module", params=["calendar", "cohort"])
def made(request: Any) -> Made:
    """A company of the model's own prior, fitted."""
    return Made(request.param)


def values(tree: xr.DataTree, group: str, name: str) -> Any:
    """A variable of a group with its draws in one row."""
    found = tree[group][name].values
    return found.reshape(-1, *found.shape[2:])


def test_what_is_saved_comes_at_once_and_what_is_large_when_asked(made):
    """Groups, dimensions by name, as many draws in each as belong together."""
    plain = made.posterior.to_arviz()
    assert set(plain.children) == {"posterior", "paths", "observed_data", "constant_data"}
    assert dict(plain["posterior"].sizes)["chain"] == 4
    assert plain["posterior"].sizes["draw"] == 100
    assert "independent draws" in plain["posterior"].attrs["chains"]
    groups = {"prior", "prior_predictive", "posterior_predictive", "log_likelihood", "log_prior"}
    assert groups <= set(made.tree.children)
    for name in groups | {"posterior"}:
        assert (made.tree[name].sizes["chain"], made.tree[name].sizes["draw"]) == (4, 100)
    assert made.tree["posterior"]["rate_now"].dims == ("chain", "draw", "stage", "channel")
    assert list(made.tree["posterior"]["channel"].values) == list(made.history.channels)


def test_rates_stand_beside_their_logits_with_units(made):
    """The inverse logit of each, the draws of a row one chain after the other, and a unit for what is measured."""
    posterior = made.posterior.to_arviz(made.study, made.history)["posterior"]
    for stage in made.posterior.stages:
        logits = made.posterior.array(f"logit_rate_{stage}")
        rates = posterior[f"rate_{stage}"].values.reshape(logits.shape)
        np.testing.assert_allclose(rates, expit(logits), rtol=1e-5)
        now = posterior["rate_now"].sel(stage=stage).values.reshape(-1, len(made.history.channels))
        np.testing.assert_allclose(now, expit(made.posterior.array(f"logit_now_{stage}")))
        assert posterior[f"logit_rate_{stage}"].attrs["units"] == "logit"
        assert posterior[f"rate_{stage}"].attrs["units"] == "probability"
    assert posterior["deal_mean"].attrs["units"] == made.study.currency
    assert posterior["delay_mean_won"].attrs["units"] == "periods"
    assert all(posterior[name].attrs["units"] for name in posterior.data_vars)


def test_the_log_likelihood_is_that_of_the_draws(made):
    """Of the derived paths by cell, as much as of the sampled parameters: up to log y!, which no draw moves."""
    for name, (part, drawn) in made.parts.items():
        if name == "value":
            continue
        cells, other = latent_of(part).of_draws(kept_of(drawn))
        known = made.history.counted[0] if name == "traffic" else name
        ours = made.tree["log_likelihood"][known].values
        mine = ours.reshape(ours.shape[0] * ours.shape[1], -1).sum(axis=1)
        theirs = cells.sum(axis=(1, 2))
        assert np.ptp(mine - theirs) < 2e-3 * max(np.ptp(theirs), 1.0)
        if f"ages_{known}" in made.tree["log_likelihood"]:
            np.testing.assert_allclose(
                values(made.tree, "log_likelihood", f"ages_{known}"), other.sum(axis=1), rtol=1e-5
            )


def test_the_log_likelihood_of_traffic_is_a_negative_binomial(made):
    """By scipy, with all its constants; and that of revenue is what the model of deals makes of the same draws."""
    path = values(made.tree, "posterior", "log_traffic_path")
    noise = values(made.tree, "posterior", "noise_traffic")[:, None, :]
    size = 1.0 / (noise**2 + 1e-4)
    expected = nbinom.logpmf(made.history.entries, size, size / (size + np.exp(path)))
    np.testing.assert_allclose(
        values(made.tree, "log_likelihood", "visitors"), expected, rtol=1e-5, atol=1e-6
    )
    part, drawn = made.parts["value"]
    cells, other = latent_of(part).of_draws(kept_of(drawn))
    theirs = cells.sum(axis=(1, 2)) + other.sum(axis=1)
    found = made.tree["log_likelihood"]["revenue"].values
    mine = found.reshape(400, -1).sum(axis=1)
    assert np.ptp(mine - theirs) < 2e-3 * np.ptp(theirs)


def test_loo_is_the_log_score_of_leaving_one_out(made):
    """elpd against the pointwise log likelihood summed another way: raw importance weights, where they can be."""
    import arviz as az

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = az.loo(made.tree, var_name="won", pointwise=True)
    logs = made.tree["log_likelihood"]["won"].values.reshape(400, -1)
    raw = np.log(400) - logsumexp(-logs, axis=0)
    good = np.asarray(found.pareto_k.values).ravel() < 0.5
    assert good.mean() > 0.5
    np.testing.assert_allclose(np.asarray(found.elpd_i.values).ravel()[good], raw[good], atol=0.08)


def test_replicas_are_those_of_the_predictive_checks(made):
    """By the names of what was observed, around the same means."""
    rng = np.random.default_rng(5)
    for cells in predictive.replicas(made.study, made.history, made.posterior, rng):
        name = cells.name.rpartition(" to ")[2]
        drawn, seen = values(made.tree, "posterior_predictive", name), made.tree["observed_data"][name].values
        used = cells.used
        np.testing.assert_array_equal(seen[used], cells.seen[used])
        assert np.isnan(seen[~used]).all()
        error = np.sqrt(cells.variance.mean(axis=0) + cells.mean.var(axis=0) + 0.05) / np.sqrt(len(drawn))
        gap = (drawn.mean(axis=0) - cells.mean.mean(axis=0))[used] / error[used]
        assert np.sqrt((gap**2).mean()) < 1.6


def test_the_prior_has_the_moments_that_are_stated(made):
    """Elasticities by kind, delays, and today's company rate; predictions of it are counts."""
    prior = made.tree["prior"]
    priors = inputs.channel_priors(made.study, made.history)["elasticity_prior"]
    logits = np.log(prior["elasticity"] / (1.0 - prior["elasticity"]))
    for c in range(len(made.history.channels)):
        mean, sd = priors[0][c], priors[1][c]
        assert float(logits[..., c].mean()) == pytest.approx(mean, abs=4.0 * sd / 20.0)
        assert float(logits[..., c].std()) == pytest.approx(sd, rel=0.2)
    delay = inputs.delay_prior(made.study, made.history, "won")
    logs = np.log(prior["delay_mean_won"])
    assert float(logs.mean()) == pytest.approx(np.log(delay.mean), abs=4.0 * delay.mean_sd / 20.0)
    assert float(logs.std()) == pytest.approx(delay.mean_sd, rel=0.2)
    assert float(prior["traffic"].std()) > LEVEL_SD
    assert (
        (made.tree["prior_predictive"]["won"] >= 0)
        .where(made.tree["observed_data"]["won"].notnull(), True)
        .all()
    )


def test_psense_finds_what_the_fit_told(made):
    """The sensitivity of elasticities to their priors and data, by ArviZ and by the fit, but for chance."""
    import arviz as az

    told = {
        each["channel"]: each
        for each in made.posterior.provenance["sensitivity"]
        if each["quantity"] == "elasticity"
    }
    assert told
    for channel, record in told.items():
        where = {"channel": [channel]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = az.psense_summary(
                made.tree, var_names=["elasticity"], coords=where,
                prior_var_names=["z_elasticity_traffic"], prior_coords=where,
                likelihood_var_names=["visitors"], likelihood_coords=where, round_to=6,
            )  # fmt: skip
        for kind in ("prior", "likelihood"):
            assert float(found[kind].iloc[0]) == pytest.approx(record[kind], abs=0.05)


@pytest.mark.parametrize("groups", [["posteriors"], "prior_predictiv"])
def test_a_group_that_is_none_is_refused(made, groups):
    """With those that there are."""
    with pytest.raises(UsageError, match="no such group; there are prior, prior_predictive"):
        made.posterior.to_arviz(made.study, made.history, groups)


def test_a_group_without_what_it_needs_is_refused(made):
    """Study and history; priors that were kept when it was fitted."""
    with pytest.raises(UsageError, match="needs what the posterior was fitted on"):
        made.posterior.to_arviz(groups=["log_likelihood"])
    early = fit.preview(asked_of(), counts(), seed=1, draws=100)
    with pytest.raises(UsageError, match="log_prior: this posterior has none"):
        early.to_arviz(groups="log_prior")


@pytest.mark.slow
def test_every_plot_runs(made, tmp_path):
    """On the tree as it is, from a saved posterior; nothing but names is asked of who plots."""
    import matplotlib as mpl

    mpl.use("Agg")
    import arviz as az

    fit.save_posterior(made.posterior, tmp_path / "p.nc")
    tree = fit.load_posterior(tmp_path / "p.nc").to_arviz(made.study, made.history, "all")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown = [
            az.plot_dist(tree, var_names=["rate_now_won"], coords={"channel": ["ads"]}),
            az.plot_forest(tree, var_names=["rate_now"]),
            az.plot_rank(tree, var_names=["elasticity"]),
            az.plot_trace_dist(tree, var_names=["elasticity"]),
            az.plot_ppc_dist(tree, var_names=["won"]),
            az.plot_ppc_dist(tree, var_names=["won"], group="prior_predictive"),
            az.plot_prior_posterior(tree, var_names=["elasticity"]),
        ]
        summary = az.summary(tree, var_names=["elasticity"])
        score = az.loo(tree, var_name="leads")
    assert all(type(each).__name__ == "PlotCollection" for each in shown)
    assert np.isfinite(summary["r_hat"].astype(float)).all()
    assert np.isfinite(score.elpd)
