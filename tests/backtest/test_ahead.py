"""What is still to come: sums with what came, and how far a forecast moves, by hand where a hand can."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from posterior_fixture import DELAYS, PLAN, RATES, TWO, history, posterior, run, study

from forecast.backtest import region
from forecast.backtest.ahead import Ahead, band, look_ahead, revision
from forecast.fit import preview
from forecast.history import History, read_history
from forecast.lab import demo_world, generate
from forecast.lab import write as write_company
from forecast.study import load_study

FUNNEL = study(economics={"gross_margin": 0.6})


def made(past: History, periods: int = 6, **known: object) -> Ahead:
    """Futures of a posterior of constants."""
    rates = known.pop("rates", RATES)
    fitted = posterior(past, rates, **known)  # type: ignore[arg-type]
    return look_ahead(FUNNEL, past, fitted, np.zeros((0, len(past.channels))), periods, seed=1)


def test_what_is_to_come_is_what_the_run_forecast():
    """Nothing has come yet: the same posterior and plan give the run's own total, but for the luck of draws."""
    past = history(TWO)
    known = posterior(past, RATES, draws=800, delays=DELAYS, traffic=[1000.0, 400.0], traffic_noise=0.1)
    outlook, _ = run(known, past, PLAN)
    coming = look_ahead(FUNNEL, past, known, PLAN, 6, seed=1)
    assert coming.labels[:3] == ["2026-01", "2026-02", "2026-03"]
    for measure in ("won", "revenue"):
        planned = outlook[measure].sel(plan="given").values.astype(float).sum(axis=(1, 2))
        now = coming.total(measure, slice(0, 3))
        error = np.hypot(planned.std() / np.sqrt(len(planned)), now.std() / np.sqrt(len(now)))
        assert abs(planned.mean() - now.mean()) < 4 * error
    some = coming.total("won", slice(0, 3), 7.0)
    assert band(some)["mean"] == pytest.approx(7 + coming.of("won")[:, :3].sum(axis=1).mean())
    assert (coming.total("won", slice(0, 0), 7.0) == 7.0).all()  # all has come


def test_spend_is_that_of_the_plan_that_is_followed():
    """The run's own plan as far as it reaches, then the study's, or the spend of now."""
    past = history(TWO)
    kept = np.array([[500.0, 0.0], [600.0, 0.0]])
    known = posterior(past, RATES, draws=20)
    coming = look_ahead(FUNNEL, past, known, kept, 4, seed=1)
    assert coming.case.plan.tolist() == [[500, 0], [600, 0], [3000, 1000], [3000, 1000]]
    assert coming.spend == "plan"
    other = study(plan={"spend": {"one": 10.0}})  # no amount for the second channel
    coming = look_ahead(other, past, known, kept, 3, seed=1)
    assert coming.case.plan.tolist() == [[500, 0], [600, 0], [3000, 1000]]
    assert coming.spend == "current"


def test_a_forecast_of_what_is_known_does_not_move():
    """Every parameter known, nothing under way: the first quarter tells nothing of the second."""
    found = revision(made(history(TWO), draws=1000, traffic=[1000.0, 400.0]), 3, slice(3, 6), "won")
    assert found["share"] < 0.01
    assert found["sd"] < 0.1 * np.sqrt(found["mean"])


def test_a_forecast_moves_as_bayes_has_it():
    """Poisson wins of an unknown level, Gamma(a, b): E[N | Q] = 3 (a + Q) / (b + 3), in closed form."""
    a, b, months = 20.0, 2.0, 3
    rng = np.random.default_rng(3)
    level = rng.gamma(a, 1 / b, (4000, 1))
    past = history({"won": np.full((12, 1), a / b)}, channels=["one"])
    coming = made(past, rates={}, draws=4000, traffic=level, deal_mean=None)
    days = coming.of("won").mean(axis=0) / (a / b)  # months have days of their own
    found = revision(coming, months, slice(months, 2 * months), "won")
    first, later = days[:months].sum(), days[months:].sum()
    variance = first * a / b + first**2 * a / b**2
    assert found["sd"] == pytest.approx(later / (b + first) * np.sqrt(variance), rel=0.05)
    assert found["share"] == pytest.approx(
        (found["sd"] ** 2) / (later * a / b + later**2 * a / b**2), abs=0.03
    )
    assert found["q10"] < -found["sd"] < found["sd"] < found["q90"]


def test_what_is_under_way_moves_the_next_quarter():
    """Rates known, deals slow: leads of the first quarter are wins of the second, and how many come is luck."""
    slow = {"won": (4.0, 0.8)}
    past = history(TWO)
    still = revision(
        made(past, draws=1000, traffic=[1000.0, 400.0], traffic_noise=0.5), 3, slice(3, 6), "won"
    )
    moves = revision(
        made(past, draws=1000, traffic=[1000.0, 400.0], traffic_noise=0.5, delays=slow), 3, slice(3, 6), "won"
    )
    assert moves["share"] > still["share"] + 0.1


@pytest.mark.slow
def test_forecasts_of_made_companies_move_as_far_as_was_said(tmp_path: Path):
    """Five companies, three quarters each: the change of the next quarter's forecast lies in its 80 % band as said.

    Spend is told to both forecasts alike, so that the change is what came and was learnt, and no other plan.
    """
    inside, apart = [], []
    for seed in range(1, 6):
        folder = tmp_path / str(seed)
        write_company(generate(demo_world(), np.random.default_rng(seed)), folder, seed=seed)
        shutil.copy(Path(__file__).parents[2] / "forecast" / "bundled" / "demo.toml", folder)
        asked = load_study(folder / "demo.toml")
        whole = read_history(asked)
        for known in (21, 25, 29):
            past, now = (whole.as_of(whole.periods[n - 1]) for n in (known, known + 3))
            if past.channels != now.channels:
                continue
            place = [whole.channels.index(name) for name in past.channels]
            spend = whole.spend[known : known + 6][:, place]
            then = look_ahead(asked, past, preview(asked, past, seed=1, draws=1000), spend, 6, seed=1)
            later = look_ahead(asked, now, preview(asked, now, seed=1, draws=1000), spend[3:], 3, seed=1)
            found = revision(then, 3, slice(3, 6), "revenue")
            change = later.total("revenue", slice(0, 3)).mean() - found["mean"]
            inside.append(found["q10"] <= change <= found["q90"])
            apart.append(change / found["sd"])
    least, most = region(len(inside), 0.8)
    assert least <= sum(inside) <= most
    assert 0.6 < np.sqrt(np.mean(np.square(apart))) < 1.5
