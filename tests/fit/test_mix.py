"""Sales in total beside spend by channel: known shares are found as far as they can be, and the exact density holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from model_fixture import AS_WRITTEN
from posterior_fixture import Array, history, study
from scipy.special import expit, gammaln

from forecast.fit import preview
from forecast.fit.gate import GATE
from forecast.fit.kinds import latent_of
from forecast.fit.mix import mix_data, responses, shares
from forecast.fit.model import model_of
from forecast.fit.parts import Part
from forecast.fit.points import sizes_of
from forecast.fit.weighed import weighed_draws
from forecast.history import BASE, History
from forecast.study import Study

NAMES, SHARES, ELASTICITIES = ["search", "social", "tv"], np.array([0.2, 0.1, 0.1]), np.array([0.6, 0.4, 0.5])


def company(seed: int, periods: int = 36, *, sd: float = 0.35) -> tuple[Study, History, Array]:
    """Sales of about 1,000 a month, 40 % of them by media whose spend moves by itself; and their part by medium."""
    rng = np.random.default_rng(seed)
    spend = np.exp(rng.normal(0.0, sd, (periods, 3))) * [5000.0, 3000.0, 4000.0]
    part = SHARES * (spend / np.exp(np.log(spend).mean(axis=0))) ** ELASTICITIES
    season = 0.1 * np.sin(2.0 * np.pi * np.arange(periods) / 12.0)
    level = 1000.0 * np.exp(season + np.cumsum(rng.normal(0.0, 0.02, periods)))
    mean = level * (1.0 - SHARES.sum() + part.sum(axis=1))
    blank = np.full((periods, 3), np.nan)
    counts = np.column_stack([blank, rng.poisson(mean * rng.gamma(400.0, 1.0 / 400.0, periods))])
    cells = {"won": counts, "spend": np.column_stack([spend, blank[:, :1]])}
    past = replace(history(cells, channels=[*NAMES, BASE], periods=periods), attributed=False)
    kinds = {"search": {"kind": "ppc"}, "social": {"kind": "social"}}
    return study(funnel={"stages": ("won",), "value": 100.0}, channels=kinds), past, part * level[:, None]


def part_of(asked: Study, past: History) -> Part:
    """The part of the mix."""
    return Part("mix", "won of all channels", "mix", mix_data(asked, past))


def test_the_density_is_that_of_the_model_written_out() -> None:
    """Draws and their likelihood, cell by cell, by hand; the slopes of the Gaussian are those of the density."""
    asked, past, _ = company(1, 15)
    part = part_of(asked, past)
    latent, data = latent_of(part), part.data
    rng = np.random.default_rng(2)
    theta, size = rng.normal(-2.5, 0.3, (3, 3)), latent.path.shape[1]
    a, b = rng.standard_normal((3, latent.seasons)), rng.standard_normal((3, 1, size - latent.seasons))
    ones = np.ones(3, dtype=np.int64)
    u = latent.coordinates(latent.sds(theta), ones, a, b)
    point, at, draws = latent.points(theta, a, b), 0, {}
    for name, shape in sizes_of(part):
        width = int(np.prod(shape))
        draws[name] = point[:, at : at + width].reshape(3, *shape)
        at += width
    assert at == point.shape[1]
    for name in ("season_sd", "drift", "noise"):
        draws[name] = np.exp(draws[name])
    told = latent.log_likelihood(theta, ones, u)[:, 0] + latent.told(theta)
    for i in range(3):
        d = {name: values[i] for name, values in draws.items()}
        beta, carry, w = responses(data, d)
        relative, spend = np.zeros((15, 3)), past.spend[:, :3] / past.spend_reference[:3]
        for c in range(3):
            weights = (carry[c] + 1e-12) ** np.arange(len(data["spend_lags"]))
            weights /= weights.sum()
            padded = np.concatenate([data["spend_lags"][:0:-1, 0, c], spend[:, c]])
            relative[:, c] = [weights @ padded[t : t + len(weights)][::-1] for t in range(15)]
        brings = (np.exp(w) * relative**beta).sum(axis=1)
        log_mean = data["level_prior"] + np.sqrt(1.5**2 + 1.5) * d["level"] + data["log_days"]
        log_mean = log_mean + d["season_sd"] * data["season_basis"] @ d["season"]
        log_mean = log_mean + d["drift"] * data["basis"].T @ d["waves"]
        nu = np.exp(log_mean) * (1.0 + brings) / (1.0 + np.exp(w).sum())
        y, n = data["y"][:, 0], 1.0 / (d["noise"] ** 2 + 1e-4)
        by_hand = gammaln(y + n) - gammaln(n) + n * np.log(n / (n + nu)) + y * np.log(nu / (n + nu))
        assert told[i] == pytest.approx(by_hand.sum(), rel=1e-9)
    assert latent.of_draws(draws)[0].sum(axis=(1, 2)) == pytest.approx(told, rel=1e-9)

    latent.look(u[0])
    rows = latent.seen(theta[:1], bent=False)
    slope = (rows.rows[0] * rows.score[0, :, :, None]).sum(axis=1)[0]
    for k in range(0, size, 3):
        step = np.zeros_like(u[:1])
        step[0, 0, k] = 1e-5
        up, down = (latent.log_likelihood(theta[:1], ones[:1], u[:1] + s * step).item() for s in (1, -1))
        assert slope[k] == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-3)


def test_shares_are_found_and_certified() -> None:
    """Three years in which spend moves by itself: within two sds of the truth, by weights that pass the gate."""
    asked, past, _ = company(1)
    part = part_of(asked, past)
    drawn, certificate = weighed_draws(part, seed=1, draws=4000)
    found = {"part": part.label, "k_hat": certificate.worst, "draws": 4000, "asked": 4000}
    sizes = {"ess_scales": certificate.ess_scales, "ess_effects": certificate.ess_effects}
    assert not GATE.missed(found | sizes)
    beta, _, w = responses(part.data, drawn)
    share = shares(w)[0, :, :3]
    assert (np.abs(share.mean(axis=0) - SHARES) < 2.0 * share.std(axis=0)).all()
    assert (np.abs(beta[0].mean(axis=0) - ELASTICITIES) < 2.0 * beta[0].std(axis=0)).all()
    prior = expit(
        part.data["elasticity_prior"][0]
        + part.data["elasticity_prior"][1] * np.random.default_rng(0).standard_normal((4000, 3))
    )
    assert beta[0, :, 0].std() < 0.9 * prior[:, 0].std()


def test_spend_that_never_moves_teaches_nothing() -> None:
    """Shares stay where their prior has them: as the money, and as wide."""
    asked, past, _ = company(3, sd=0.001)
    part = part_of(asked, past)
    drawn, _ = weighed_draws(part, seed=1, draws=2000, few=True)
    assert drawn["z_share"].mean(axis=(0, 1)) == pytest.approx(0.0, abs=0.25)
    assert drawn["z_share"].std(axis=(0, 1)) == pytest.approx(1.0, abs=0.2)
    assert drawn["z_media"].std() == pytest.approx(1.0, abs=0.2)


def test_the_posterior_has_a_channel_for_each_medium_and_the_base() -> None:
    """Their sum is the sales that were seen, period by period, with the noise that the sum has."""
    asked, past, brings = company(1)
    known = preview(asked, past, seed=1, draws=1000)
    path = np.exp(known.array("log_traffic_path"))
    seen = past.total("won")
    assert path.sum(axis=2).mean(axis=0) == pytest.approx(seen, rel=0.12)
    assert path.sum(axis=(1, 2)).mean() == pytest.approx(seen.sum(), rel=0.01)
    own = path[:, :, :3].sum(axis=1)
    low, high = np.quantile(own, [0.02, 0.98], axis=0)
    assert ((low < brings.sum(axis=0)) & (brings.sum(axis=0) < high)).all()
    base = past.channels.index(BASE)
    assert (known.array("base")[:, :base] == 0).all()
    assert known.array("deal_mean") == pytest.approx(100.0)
    shape = path[:, -1] / path[:, -1].sum(axis=1, keepdims=True)
    of_sum = known.array("noise_traffic") * np.sqrt((shape**2).sum(axis=1).mean())
    assert 0.01 < of_sum.mean() < 0.1  # 0.05 was made


def test_both_writings_of_the_density_agree() -> None:
    """The PyMC model and the latent one differ by a constant, priors of the scales and their logs included."""
    asked, past, _ = company(1, 15)
    part = part_of(asked, past)
    latent, model = latent_of(part), model_of(part)
    rng, ones = np.random.default_rng(2), np.ones(3, dtype=np.int64)
    theta, size = rng.normal(-2.5, 0.3, (3, 3)), latent.path.shape[1]
    a, b = rng.standard_normal((3, latent.seasons)), rng.standard_normal((3, 1, size - latent.seasons))
    told = latent.log_likelihood(theta, ones, latent.coordinates(latent.sds(theta), ones, a, b))[:, 0]
    told += latent.told(theta) - 0.5 * ((a**2).sum(axis=1) + (b**2).sum(axis=(1, 2)))
    for i, rate in enumerate((20.0, part.data["drift_prior"][0], float(part.data["noise_prior"]))):
        told += 2.0 * theta[:, i] - rate * np.exp(theta[:, i])
    density, points = (
        model.compile_fn(model.logp(), inputs=model.value_vars, point_fn=False, mode=AS_WRITTEN),
        [],
    )
    for point in latent.points(theta, a, b):
        at, values = 0, {}
        for name, shape in sizes_of(part):
            values[name] = point[at : at + int(np.prod(shape))].reshape(shape)
            at += int(np.prod(shape))
        points.append(float(density(*(values[v.name.removesuffix("_log__")] for v in model.value_vars))))
    assert np.ptp(told - points) == pytest.approx(0.0, abs=1e-5)
