"""Synthetic leads with features and known chances of winning: made lead by lead, sharing no code with the model.

Each lead has a fit (employees, country, industry), an activity (pages viewed, mails opened, source page), and noise
columns that tell nothing. Its chances of qualifying and of closing are logistic in some of them, not all linear; delays
are gamma. Two columns leak on purpose: a contract number that only won leads have, and a reason that is filled in when
a lead is closed. With `returns`, leads that did not qualify come back, and some of those qualify after all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHANNELS = ("ppc", "seo", "events", "email")
CHANNEL_LIFT = (-0.4, 0.3, 0.5, 0.0)
COUNTRIES = ("FI", "SE", "DE", "NO", "EE")
INDUSTRIES = ("software", "retail", "industry", "health", "public", "other")
TEMPERATURES = ("cold", "warm", "hot")


@dataclass(frozen=True, eq=False)
class LeadWorld:
    """Leads as their file would hold them on `last_day`, and the truth: `chance`, and whether they `wins` in the end.

    truth: lead_id, qualify, close, chance (= qualify x close), wins. returns: the true share that comes back, its mean
    delay in days, and the share of those that qualify.
    """

    leads: pd.DataFrame
    truth: pd.DataFrame
    last_day: str
    returns: tuple[float, float, float]


def make_leads(
    rng: np.random.Generator,
    *,
    size: int = 6000,
    months: int = 24,
    strength: float = 1.0,
    leaks: bool = True,
    returns: tuple[float, float, float] | None = None,
) -> LeadWorld:
    """Make `size` leads created evenly over `months` from 2024-01-01.

    strength: how much features tell, 0 for nothing; returns: (share of the unqualified that come back, mean days until
    then, share of them that qualify then).
    """
    start, days = np.datetime64("2024-01-01"), int(months * 30.4375)
    end = float(days)
    created = np.sort(rng.uniform(0, days, size))
    columns, qualify_score, close_score = _features(rng, size)
    channel = columns.pop("channel")
    lift = np.array(CHANNEL_LIFT)[channel]
    qualify = 1 / (1 + np.exp(-(-0.6 + 0.6 * lift + strength * qualify_score)))
    close = 1 / (1 + np.exp(-(-1.2 + 0.4 * lift + strength * close_score)))
    qualifies, closes = rng.random(size) < qualify, rng.random(size) < close
    wins = qualifies & closes
    qualified = np.where(qualifies, created + rng.gamma(1.5, 12.0, size), np.inf)
    won = np.where(wins, qualified + rng.gamma(2.0, 25.0, size), np.inf)
    dated = ~wins & (rng.random(size) < 0.7)
    lost = np.where(dated, np.where(qualifies, qualified, created) + rng.gamma(1.5, 20.0, size), np.inf)
    amount = np.round(rng.lognormal(np.log(5000) + 0.3 * (channel == 2), 0.5, size))
    made = {
        "lead_id": [f"L{i:06d}" for i in range(1, size + 1)],
        "channel": np.array(CHANNELS, dtype=object)[channel],
        "created": _dates(start, created, end),
        "qualified": _dates(start, qualified, end),
        "won": _dates(start, won, end),
        "lost": _dates(start, lost, end),
        "amount": np.where(won < end, amount, np.nan),
    }
    leads = pd.DataFrame(made | columns)
    share = returns or (0.0, 1.0, 0.0)
    if returns is not None:
        leads = _returning(rng, leads, start, lost, end, returns)
    if leaks:
        sold, closed = leads["won"].notna(), leads["won"].notna() | leads["lost"].notna()
        number = pd.Series([f"C{i % 40}" for i in range(size)], dtype=object)
        leads["contract"] = number.where(sold, None)
        leads["reason"] = pd.Series(rng.choice(["price", "timing", "need"], size), dtype=object).where(
            closed, None
        )
    truth = pd.DataFrame(
        {
            "lead_id": made["lead_id"],
            "qualify": qualify,
            "close": close,
            "chance": qualify * close,
            "wins": wins,
        }
    )
    return LeadWorld(leads, truth, str(start + np.timedelta64(days - 1, "D")), share)


def _features(rng: np.random.Generator, size: int) -> tuple[dict[str, NDArray], Floats, Floats]:  # type: ignore[type-arg]
    channel = rng.choice(len(CHANNELS), size, p=[0.4, 0.3, 0.1, 0.2])
    employees = np.maximum(np.round(np.exp(rng.normal(4.0, 1.2, size))), 1.0)
    country, industry = rng.integers(0, len(COUNTRIES), size), rng.integers(0, len(INDUSTRIES), size)
    pages, mails = rng.poisson(np.exp(rng.normal(1.0, 0.7, size))), rng.poisson(1.5, size)
    heat = rng.choice(3, size, p=[0.55, 0.3, 0.15])
    demo = rng.random(size) < 0.2
    of_country, of_industry = (
        np.array([0.4, 0.1, -0.1, 0.0, -0.4]),
        np.array([0.5, -0.3, 0.2, 0.0, -0.5, 0.1]),
    )
    qualify = 0.35 * (np.log(employees) - 4) + of_country[country] + 0.7 * (np.log1p(pages) - 1.2)
    qualify = qualify + np.array([-0.5, 0.3, 0.9])[heat] + 0.6 * demo
    close = 0.2 * (np.log(employees) - 4) + of_industry[industry] + np.array([-0.3, 0.1, 0.6])[heat]
    close = close + 0.4 * demo + 0.08 * (mails - 1.5)
    blank = rng.random(size) < 0.15
    columns: dict[str, NDArray] = {  # type: ignore[type-arg]
        "channel": channel,
        "employees": np.where(blank, np.nan, employees),
        "country": np.array(COUNTRIES, dtype=object)[country],
        "industry": np.array(INDUSTRIES, dtype=object)[industry],
        "pages_viewed": pages,
        "mails_opened": mails,
        "temperature": np.array(TEMPERATURES, dtype=object)[heat],
        "asked_for_demo": np.where(demo, "yes", "no"),
        "weekday": rng.integers(1, 8, size).astype(str).astype(object),
        "form": rng.choice(["A", "B", "C"], size),
        "score_old": np.round(rng.normal(50, 20, size), 1),
    }
    return columns, qualify, close


def _returning(
    rng: np.random.Generator,
    leads: pd.DataFrame,
    start: np.datetime64,
    lost: Floats,
    end: float,
    returns: tuple[float, float, float],
) -> pd.DataFrame:
    """Some leads lost before they qualified come back; of those some qualify, 1.5 x 20 days later."""
    share, mean, again = returns
    size = len(leads)
    out = leads["qualified"].isna().to_numpy() & (lost < end)
    back = np.where(out & (rng.random(size) < share), lost + rng.gamma(2.0, mean / 2.0, size), np.inf)
    second = np.where(rng.random(size) < again, back + rng.gamma(1.5, 20.0, size), np.inf)
    requalified = pd.Series(_dates(start, second, end))
    leads["returned"] = _dates(start, back, end)
    leads["qualified"] = leads["qualified"].where(leads["qualified"].notna(), requalified)
    return leads


def _dates(start: np.datetime64, days: Floats, end: float) -> NDArray[np.datetime64]:
    """The dates of instants that lie before `end`; not-a-time for the others."""
    inside = days < end
    whole = np.floor(np.where(inside, days, 0.0)).astype("timedelta64[D]")
    return np.where(inside, (start + whole).astype("datetime64[s]"), np.datetime64("NaT", "s"))


def _main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m forecast.lab.leads",
        description="Write leads.csv: made leads with features, some returning.",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--size", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    world = make_leads(np.random.default_rng(options.seed), size=options.size, returns=(0.15, 80.0, 0.35))
    leads = world.leads.assign(amount=world.leads["amount"].astype("Int64"))
    leads["employees"] = leads["employees"].astype("Int64")
    text = leads.to_csv(index=False, date_format="%Y-%m-%d", lineterminator="\n")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "leads.csv").write_text(text, encoding="utf-8")
    except OSError as error:
        parser.error(f"cannot write into {options.out}: {error.strerror}")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
