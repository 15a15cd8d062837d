"""Hazards of dated leads: cells of known truth, small ones without bias, and what the certificate sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.fit import fit_posterior
from forecast.fit.exposure import edges_of
from forecast.fit.hazards import Hazards, cure_hazard, mode_of_variance, scale_given
from forecast.history import read_history
from forecast.study import load_study

EDGES = edges_of(400)
PRIOR = np.array([[-1.5, np.log(30.0), 0.0], [1.5, 1.2, 0.5]])
TRUTH = np.array([-0.8, np.log(20.0), 0.1])


def cells(
    rng: np.random.Generator, size: float, *, periods: int = 18, shock: float = 0.0, humps: bool = False
) -> dict[str, Any]:
    """Days at risk and events of two channels, whose hazards differ by a factor of 1.5."""
    log_h = np.repeat(cure_hazard(TRUTH, EDGES)[:, None], 2, axis=1) + np.array([0.0, np.log(1.5)])
    if humps:
        log_h[14:17] += 2.0
    risk = size * np.exp(-0.5 * np.arange(len(EDGES) - 1) / 6.0)[:, None, None] * np.ones((1, periods, 2))
    level = shock * rng.standard_normal(periods)
    y = rng.poisson(risk * np.exp(log_h[:, None] + level[:, None])).astype(float)
    return {
        "exposure": risk, "y": y, "edges": EDGES, "theta_prior": PRIOR, "months": np.array(1.0),
        "month_of_year": np.arange(periods) % 12, "seasonal": False, "begins": None, "log_h": log_h, "level": level,
    }  # fmt: skip


def fitted(data: dict[str, Any], draws: int = 1000) -> tuple[Hazards, Any]:
    """The hazards, settled, and their draws."""
    hazards = Hazards(data)
    hazards.settle()
    return hazards, hazards.draw(draws, np.random.default_rng(1))


@pytest.mark.parametrize("humps", [False, True])
def test_known_hazards_are_found(humps: bool):
    """With much data every well-seen bin lies within three posterior sds of its truth, nearly always within two."""
    data = cells(np.random.default_rng(2), 2000.0, humps=humps)
    hazards, found = fitted(data)
    assert hazards.far < 0.05
    seen = data["y"].sum(axis=1) >= 10
    apart = (found.log_hazard.mean(axis=0) - data["log_h"]) / found.log_hazard.std(axis=0)
    assert (np.abs(apart[seen]) < 3.5).all()
    assert (np.abs(apart[seen]) < 2.0).mean() > 0.85


def test_small_cells_are_not_biased():
    """A few events a period: events expected under the posterior, over those seen, are one on average."""
    ratios = []
    for seed in range(12):
        data = cells(np.random.default_rng(100 + seed), 12.0)
        _, found = fitted(data, 400)
        rate = np.exp(found.log_hazard)[:, :, None] * np.exp(found.path)[:, None, :, None]
        noise = np.exp(0.5 * (found.shock**2 + found.own_shock**2))
        expected = (np.einsum("dbtc,btc->d", rate, data["exposure"]) * noise).mean()
        truth = (data["exposure"] * np.exp(data["log_h"])[:, None]).sum()
        ratios.append(expected / truth)
    error = np.std(ratios) / np.sqrt(len(ratios))
    assert abs(np.mean(ratios) - 1.0) < 3.0 * error + 0.03


def test_noise_of_the_period_is_learnt():
    """Months that are good and bad for all: their sd is found, and not where there is none."""
    loud = fitted(cells(np.random.default_rng(3), 1500.0, shock=0.4))[1]
    still = fitted(cells(np.random.default_rng(3), 1500.0))[1]
    assert 0.2 < np.median(loud.shock) < 0.7
    assert np.median(still.shock) < 0.12


def test_without_data_the_prior_stays():
    """No day at risk: theta is its prior, and the path has its prior's width."""
    data = cells(np.random.default_rng(4), 1.0)
    data = data | {"exposure": 0.0 * data["exposure"], "y": 0.0 * data["y"]}
    _, found = fitted(data, 4000)
    assert found.theta.mean(axis=0) == pytest.approx(PRIOR[0], abs=0.1)
    assert found.theta.std(axis=0) == pytest.approx(PRIOR[1], rel=0.1)


def test_one_channel_and_one_period():
    """The smallest history has no walk and no channel to differ; draws are finite."""
    data = cells(np.random.default_rng(5), 200.0, periods=1)
    data = data | {"exposure": data["exposure"][:, :, :1], "y": data["y"][:, :, :1]}
    _, found = fitted(data, 200)
    assert np.isfinite(found.log_hazard).all()
    assert found.path.shape == (200, 1)
    assert not found.path.any()
    assert not found.own_shock.any()


def test_weights_are_used_where_they_can_be_trusted():
    """Much data on a smooth law: the normal is near the posterior, and its weights say so."""
    _, found = fitted(cells(np.random.default_rng(6), 500.0), 2000)
    assert found.k_hat < 0.7
    assert found.weighed


def test_a_season_returns():
    """Two years in which summers are twice as good: the months' effects have their order; none where it is off."""
    rng = np.random.default_rng(7)
    data = cells(rng, 500.0, periods=24) | {"seasonal": True}
    factor = np.where(np.isin(np.arange(24) % 12, [5, 6, 7]), 2.0, 1.0)
    data["y"] = rng.poisson(data["exposure"] * np.exp(data["log_h"])[:, None] * factor[:, None]).astype(float)
    _, found = fitted(data)
    season = found.season.mean(axis=0)
    assert season[[5, 6, 7]].min() > season[[0, 1, 2, 3, 4, 8, 9, 10, 11]].max()
    _, off = fitted(data | {"seasonal": False})
    assert not off.season.any()


def test_the_mode_of_a_variance():
    """It is where the log density in log q is highest, on a fine grid."""
    n, squares, prior = 7, 0.9, 0.3
    q = np.exp(np.linspace(-8, 3, 200_001))
    log_p = -0.5 * (n - 1) * np.log(q) - squares / (2 * q) - 2.5 * np.log1p(q / (4 * prior**2))
    assert mode_of_variance(n, squares, prior) == pytest.approx(q[log_p.argmax()], rel=1e-3)


def test_scales_are_drawn_around_what_effects_say():
    """With many effects the draws lie at their root mean square."""
    drawn = scale_given(400, np.full(2000, 400 * 0.2**2), 0.15, np.random.default_rng(8))
    assert drawn.mean() == pytest.approx(0.2, rel=0.02)
    assert drawn.std() == pytest.approx(0.2 / np.sqrt(800), rel=0.15)


def two_humps(folder: Path, *, size: int = 8000) -> Path:
    """A CRM of a year and a half: half of the wins within days, half after months; two in five losses have dates."""
    rng = np.random.default_rng(11)
    days = 548
    created = np.sort(rng.integers(0, days, size))
    channel = np.array(["a", "b", "c", "d"])[rng.integers(0, 4, size)]
    wins = rng.random(size) < np.where(channel == "a", 0.5, 0.35)
    late = rng.random(size) < 0.5
    won = created + np.where(late, rng.normal(95, 12, size).clip(30), rng.gamma(2.0, 4.0, size)).astype(int)
    dated = ~wins & (rng.random(size) < 0.4)
    lost = created + rng.gamma(1.5, 30.0, size).astype(int)

    def written_out(day: np.ndarray, there: np.ndarray) -> np.ndarray:
        dates = (np.datetime64("2024-01-01") + day.astype("timedelta64[D]")).astype(str)
        return np.where(there & (day < days), dates, "")

    table = {
        "lead_id": np.arange(size).astype(str),
        "channel": channel,
        "created": written_out(created, created >= 0),
        "won": written_out(won, wins),
        "lost": written_out(lost, dated),
    }
    pd.DataFrame(table).to_csv(folder / "leads.csv", index=False)
    text = 'name = "crm"\n[history]\nleads = "leads.csv"\nthrough = "2025-06"\n[funnel]\nstages = ["leads", "won"]\n'
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder / "study.toml"


@pytest.mark.slow
def test_a_crm_of_two_humps_and_many_dated_losses_passes_its_gate(tmp_path: Path):
    """No bar is missed, ages are foreseen as they came, and wins of open leads are near what the law says."""
    study = load_study(two_humps(tmp_path))
    history = read_history(study)
    known = fit_posterior(study, history, seed=1, draws=4000)
    assert known.provenance["failures"] == []
    assert [d["part"] for d in known.diagnostics[:2]] == ["leads to won", "losses before won"]
    ages = [r["p"] for r in known.provenance["predictive"] if r["family"] == "ages"]
    assert min(ages) > 0.01


def test_a_sharp_end_of_the_moves_has_an_end():
    """Thousands wait at ages at which nobody ever moves: the fit comes to rest, with hazards there near nothing."""
    data = cells(np.random.default_rng(3), 40_000.0)
    late = data["edges"][:-1] >= 10
    data["y"][late] = 0.0
    hazards, found = fitted(data, draws=200)
    assert hazards.far < 0.05
    assert (found.log_hazard[:, late].mean(axis=0) < found.log_hazard[:, ~late].mean(axis=(0, 1)) - 2.0).all()
