"""The baselines: their centres and spreads in cases with a known answer."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from forecast.backtest.baselines import BASELINES, drift, sd_of_sum, seasonal_naive, spreadsheet, total_of
from forecast.errors import UsageError
from forecast.history import History

needs_statsforecast = pytest.mark.skipif(
    importlib.util.find_spec("statsforecast") is None, reason="statsforecast is in the extra `bench`"
)


def history_of(won: np.ndarray, revenue: np.ndarray) -> History:
    """Monthly calendar counts, dims (period, channel)."""
    months = pd.date_range("2023-01-01", periods=len(won), freq="MS").to_numpy()
    names = [f"c{i}" for i in range(won.shape[1])]
    counts = xr.Dataset(
        {
            "won": (("period", "channel"), won.astype(float)),
            "revenue": (("period", "channel"), revenue.astype(float)),
        },
        coords={"period": months, "channel": names},
    )
    return History(counts=counts, counting="calendar", period="month", stages=("won",))


def test_the_spreadsheet_looks_at_six_months_and_values_each_channel_by_itself() -> None:
    """Mean and variance of sum_c value_c Poisson(3 rate_c)."""
    won = np.full((24, 2), [2.0, 5.0])
    won[-6:] = [4.0, 1.0]
    values = np.array([1000.0, 300.0])
    draws = spreadsheet(history_of(won, won * values), 3, np.random.default_rng(1), 40_000)
    rate = 3 * np.array([4.0, 1.0])
    variance = float((rate * values**2).sum())
    assert draws.mean() == pytest.approx(rate @ values, abs=4 * np.sqrt(variance / 40_000))
    assert draws.var() == pytest.approx(variance, rel=0.05)


def test_the_spreadsheet_values_a_channel_without_a_win_like_the_rest() -> None:
    """A blank channel brings no NaN."""
    won, revenue = np.zeros((12, 2)), np.zeros((12, 2))
    won[:, 0], revenue[:, 0] = 2.0, 200.0
    draws = spreadsheet(history_of(won, revenue), 3, np.random.default_rng(1), 1000)
    assert set(draws % 100.0) == {0.0}


def test_seasonal_naive_repeats_last_year() -> None:
    """A year that repeats itself exactly has no error; one that moves has that of its seasonal differences."""
    year = np.arange(1.0, 13.0) * 100
    history = history_of(np.ones((24, 1)), np.tile(year, 2)[:, None])
    draws = seasonal_naive(history, 3, np.random.default_rng(1), 100)
    assert draws == pytest.approx(np.full(100, 600.0))
    moved = history_of(np.ones((24, 1)), np.concatenate([year, year + 50])[:, None])
    draws = seasonal_naive(moved, 3, np.random.default_rng(1), 40_000)
    assert draws.std() == pytest.approx(50 * np.sqrt(3), rel=0.02)
    with pytest.raises(UsageError, match="at least 14 periods of history, got 13"):
        seasonal_naive(history_of(np.ones((13, 1)), np.ones((13, 1))), 3, np.random.default_rng(1), 10)


def test_drift_moves_on_by_the_mean_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A straight line goes on without error; a random walk has the mean and spread of its sum over many walks."""
    line = (100.0 + 10.0 * np.arange(12))[:, None]
    draws = drift(history_of(line, line), 3, np.random.default_rng(1), 100, "won")
    assert draws == pytest.approx(np.full(100, 220.0 + 230.0 + 240.0))
    rng = np.random.default_rng(4)
    walks = 1000.0 + np.cumsum(2.0 + rng.normal(size=(600, 33)), axis=1)
    errors, spreads = [], []
    monkeypatch.setattr(
        "forecast.backtest.baselines.total_of", lambda walk, _: walk
    )  # as 600 histories take seconds
    for walk in walks:
        found = drift(walk[:30], 3, rng, 50)
        errors.append(walk[30:].sum() - found.mean())
        spreads.append(found.std())
    assert np.mean(spreads) == pytest.approx(np.std(errors), rel=0.12)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="at least 3 periods"):
        drift(history_of(line[:2], line[:2]), 3, rng, 10)


def test_the_spreadsheet_counts_a_stage_by_its_own_last_six_months() -> None:
    """Poisson of the mean of its last six periods, summed over channels."""
    won = np.full((24, 2), [2.0, 5.0])
    won[-6:] = [4.0, 1.0]
    draws = spreadsheet(history_of(won, won), 3, np.random.default_rng(1), 40_000, "won")
    assert draws.mean() == pytest.approx(15.0, abs=4 * np.sqrt(15 / 40_000))
    assert draws.var() == pytest.approx(15.0, rel=0.05)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_spread_of_a_sum_follows_from_the_spreads_of_its_steps(alpha: float) -> None:
    """Exponential smoothing: error at step h is e_h + alpha (e_1 + .. + e_(h-1))."""
    steps = np.array([np.sqrt(1 + (h - 1) * alpha**2) for h in (1, 2, 3)])
    shocks = np.random.default_rng(2).normal(size=(200_000, 3))
    errors = shocks + alpha * (np.cumsum(shocks, axis=1) - shocks)
    assert sd_of_sum(steps) == pytest.approx(errors.sum(axis=1).std(), rel=0.01)


@needs_statsforecast
@pytest.mark.parametrize("name", ["AutoETS", "AutoARIMA"])
def test_steady_revenue_is_forecast_steady(name: str) -> None:
    """White noise around 1000: three periods bring 3000, sd sqrt(3) sigma."""
    rng = np.random.default_rng(3)
    y = 1000 + 50 * rng.normal(size=(36, 1))
    draws = BASELINES[name](history_of(np.ones((36, 1)), y), 3, rng, 4000)
    assert draws.mean() == pytest.approx(3000, abs=80)
    assert 50 < draws.std() < 200


def weeks(n: int) -> History:
    """Revenue of n weeks with one wave a year."""
    y = 1000 + 200 * np.sin(2 * np.pi * np.arange(n) / (365.25 / 7))
    made = history_of(np.ones((n, 1)), y[:, None])
    starts = np.datetime64("2023-01-02") + 7 * np.arange(n)
    return replace(
        made, counts=made.counts.assign_coords(period=starts.astype("datetime64[ns]")), period="week"
    )


@pytest.mark.parametrize(("n", "waves"), [(156, True), (60, False)])
def test_weekly_arima_is_handed_the_waves_of_a_year_and_no_season(
    monkeypatch: pytest.MonkeyPatch, n: int, waves: bool
) -> None:
    """A stand-in that regresses on what it is handed goes on with the year; short series have neither."""
    asked = []

    class Model:
        def __init__(self, season_length: int) -> None:
            asked.append(season_length)

        def forecast(self, y, h, level, X=None, X_future=None):
            assert level == [80]
            columns = (np.ones((y.size, 1)), np.ones((h, 1)))
            if X is not None:
                columns = tuple(np.hstack(pair) for pair in zip(columns, (X, X_future), strict=True))
            weights = np.linalg.lstsq(columns[0], y, rcond=None)[0]
            mean = columns[1] @ weights
            asked.append(X is not None)
            return {"mean": mean, "lo-80": mean - 1.0, "hi-80": mean + 1.0}

    module = ModuleType("statsforecast")
    module.models = SimpleNamespace(AutoARIMA=Model, AutoETS=Model)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "statsforecast", module)
    draws = BASELINES["AutoARIMA"](weeks(n), 13, np.random.default_rng(1), 2000)
    assert asked == [1, waves]
    came = (1000 + 200 * np.sin(2 * np.pi * np.arange(n, n + 13) / (365.25 / 7))).sum()
    assert (abs(draws.mean() - came) < 150) == waves


@needs_statsforecast
def test_a_weekly_year_is_found() -> None:
    """The wave goes on, within a few of the noise-free sum."""
    draws = BASELINES["AutoARIMA"](weeks(156), 13, np.random.default_rng(1), 2000)
    came = (1000 + 200 * np.sin(2 * np.pi * np.arange(156, 169) / (365.25 / 7))).sum()
    assert draws.mean() == pytest.approx(came, rel=0.01)


def test_wins_without_a_known_amount_count_at_the_mean_deal() -> None:
    """A blank of revenue is no zero: the series, and the spreadsheet, are those of the history without a blank."""
    won = np.full((24, 2), [2.0, 5.0])
    revenue = won * [1000.0, 300.0]
    blank = revenue.copy()
    blank[5:20:3, 0] = np.nan
    whole, holed = history_of(won, revenue), history_of(won, blank)
    assert total_of(holed, "revenue") == pytest.approx(total_of(whole, "revenue"))
    for name in (spreadsheet, seasonal_naive, drift):
        pair = [name(h, 3, np.random.default_rng(1), 200) for h in (whole, holed)]
        assert pair[0] == pytest.approx(pair[1])
