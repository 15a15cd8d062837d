"""What a forecast must beat: the methods that cost nothing, as draws of the total over the horizon.

    spreadsheet      last six periods' wins per channel as a Poisson rate, times the channel's mean deal
    seasonal naive   the same periods of last year; normal error of the seasonal differences
    drift            the last period, moved on by the average step so far; normal error of a random walk with drift
    AutoETS          exponential smoothing chosen by AICc (statsforecast), on the total by period
    AutoARIMA        the same with ARIMA (statsforecast); of weeks around two waves a year, without seasonal terms,
                     as the search over those of lag 52 takes 16 times as long (Hyndman & Athanasopoulos 2021,
                     section 12.1)

Each forecasts revenue, or the count of a stage where one is named, over all channels of the history that it is given.

ETS and ARIMA tell a mean and a variance by step, not the law of a sum. Both are linear in their shocks e, so the error
h steps ahead is e_h + psi_1 e_(h-1) + ... and var_h = sigma^2 (1 + psi_1^2 + ... + psi_(h-1)^2): the variances give
|psi|, taken as positive (shocks last), and with them the variance of the sum

    Var(sum of H) = sigma^2 sum_j (1 + psi_1 + ... + psi_(H-j))^2,    j = 1 .. H
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import UsageError
from forecast.history import History
from forecast.periods import periods_per_year

Array = NDArray[np.float64]
Baseline = Callable[..., Array]  # (history, horizon, rng, draws, measure)

RECENT = 6  # periods that the spreadsheet looks back on
LONGEST = 24  # periods of a season that both search over: longer ones have waves (ARIMA), or none (ETS)
WAVES = 2  # a year
LEVEL = 80  # of the interval that the standard deviations of statsforecast are read from


def total_of(history: History, measure: str) -> Array:
    """A measure summed over channels, by period; blanks count as nothing.

    Revenue: a win whose amount is not known counts at the mean deal of its channel, or else it would be worth nothing;
    less refunds, with what recurs.
    """
    if measure != "revenue":
        return np.nan_to_num(history.total(measure))
    beside = np.nan_to_num(history.beside).sum(axis=1)
    if not history.valued:
        return np.asarray(np.nan_to_num(history.total(measure)) + beside)
    deals, money = history.paid_wins
    more = np.maximum(history.filled("won") - deals, 0.0) @ mean_deal(history)
    alone = np.where(history.present("won"), 0.0, history.filled("revenue"))  # beside wins that are not known
    return np.asarray(money.sum(axis=1) + more + alone.sum(axis=1) + beside, dtype=float)


def mean_deal(history: History) -> Array:
    """Money over the wins it was paid for, (channel,); that of all channels where a channel has none."""
    deals, money = (each.sum(axis=0) for each in history.paid_wins)
    overall = money.sum() / max(deals.sum(), 1.0)
    return np.divide(money, deals, out=np.full(deals.size, overall), where=deals > 0)


def spreadsheet(
    history: History, horizon: int, rng: np.random.Generator, draws: int, measure: str = "revenue"
) -> Array:
    """Revenue over the horizon: per channel Poisson(horizon x mean wins of the last six periods) x mean deal.

    With refunds and what recurs as in the mean of these periods.
    The count of a stage likewise, from its own last six periods.
    """
    if measure != "revenue":
        counts = history.filled(measure)[-RECENT:]
        return rng.poisson(horizon * counts.mean(axis=0), (draws, counts.shape[1])).sum(axis=1).astype(float)
    won, value = history.filled("won"), mean_deal(history)
    recent = won[-RECENT:]
    made = rng.poisson(horizon * recent.mean(axis=0), (draws, value.size)) @ value
    return np.asarray(
        made + horizon * np.nan_to_num(history.beside)[-RECENT:].sum(axis=1).mean(), dtype=float
    )


def seasonal_naive(
    history: History, horizon: int, rng: np.random.Generator, draws: int, measure: str = "revenue"
) -> Array:
    """The same periods a year ago, with the error that this rule made so far.

    Raises UsageError for a history of less than a year and two periods.
    """
    y, season = total_of(history, measure), round(periods_per_year(history.period))
    if y.size < season + 2:
        raise UsageError(f"seasonal naive: expected at least {season + 2} periods of history, got {y.size}")
    centre = sum(y[y.size - season + h % season] for h in range(horizon))
    errors = y[season:] - y[:-season]
    sd = float(np.sqrt(np.mean(errors**2) * horizon))
    return np.maximum(centre + sd * rng.standard_normal(draws), 0.0)


def drift(
    history: History, horizon: int, rng: np.random.Generator, draws: int, measure: str = "revenue"
) -> Array:
    """A random walk with drift: the sum of H steps ahead has mean H y + m H (H + 1) / 2, m the mean step so far.

    Its variance is s^2 (1^2 + .. + H^2 + (H (H + 1) / 2)^2 / n) for n steps of standard deviation s.
    Raises UsageError for a history of fewer than three periods.
    """
    y = total_of(history, measure)
    if y.size < 3:
        raise UsageError(f"drift: expected at least 3 periods of history, got {y.size}")
    steps, ahead = np.diff(y), horizon * (horizon + 1) / 2
    squares = horizon * (horizon + 1) * (2 * horizon + 1) / 6
    sd = float(steps.std(ddof=1)) * float(np.sqrt(squares + ahead**2 / steps.size))
    centre = horizon * y[-1] + float(steps.mean()) * ahead
    return np.maximum(centre + sd * rng.standard_normal(draws), 0.0)


def _statsforecast(name: str) -> Baseline:
    def forecast(
        history: History, horizon: int, rng: np.random.Generator, draws: int, measure: str = "revenue"
    ) -> Array:
        try:
            from statsforecast import models
        except ImportError as error:
            text = f"{name} needs statsforecast: pip install 'growth-forecast[bench]'"
            raise UsageError(text) from error
        a_year = periods_per_year(history.period)
        season, waves = round(a_year), dict[str, Array]()
        y = total_of(history, measure)
        if y.size < 2 * season:
            season = 1
        elif season > LONGEST:
            season = 1
            if name == "AutoARIMA":
                every = yearly(np.arange(y.size + horizon), a_year)
                waves = {"X": every[: y.size], "X_future": every[y.size :]}
        model = getattr(models, name)(season_length=season)
        try:
            found: dict[str, Any] = model.forecast(y=y, h=horizon, level=[LEVEL], **waves)
        except Exception as error:  # short series fail there in many ways
            text = f"{name}: cannot forecast these {y.size} periods of {measure} ({error})"
            raise UsageError(text) from error
        z = NormalDist().inv_cdf(0.5 + LEVEL / 200)
        sd = (found[f"hi-{LEVEL}"] - found[f"lo-{LEVEL}"]) / (2 * z)
        centre, spread = float(np.sum(found["mean"])), sd_of_sum(np.asarray(sd, dtype=float))
        return np.maximum(centre + spread * rng.standard_normal(draws), 0.0)

    forecast.__doc__ = f"The total over the horizon by statsforecast's {name}, normal, at least zero."
    return forecast


def yearly(at: NDArray[np.int64], a_year: float) -> Array:
    """Sines and cosines of the first WAVES waves of a year at periods counted from anywhere, (period, 2 WAVES)."""
    turns = 2.0 * np.pi * np.arange(1, WAVES + 1) * at[:, None] / a_year
    return np.concatenate([np.sin(turns), np.cos(turns)], axis=1)


def sd_of_sum(sd: Array) -> float:
    """Standard deviation of the sum of forecasts 1 .. H from their own: see above."""
    first = max(float(sd[0]), 1e-12)
    psi = np.sqrt(np.maximum(np.diff((sd / first) ** 2), 0.0))
    weights = np.cumsum(np.concatenate([[1.0], psi]))
    return first * float(np.sqrt((weights**2).sum()))


SLOW = ("AutoETS", "AutoARIMA")  # from statsforecast: up to a second each

BASELINES: dict[str, Baseline] = {
    "spreadsheet": spreadsheet,
    "seasonal naive": seasonal_naive,
    "drift": drift,
    **{name: _statsforecast(name) for name in SLOW},
}


def installed() -> list[str]:
    """The baselines that can be made here; those of statsforecast only where it is installed."""
    there = importlib.util.find_spec("statsforecast") is not None
    return [name for name in BASELINES if there or name not in SLOW]
