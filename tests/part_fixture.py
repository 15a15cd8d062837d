"""Small parts of every kind as a fit has them: counts, dated leads, losses, traffic, lift tests, deal value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from posterior_fixture import Array, history, study

from forecast.equations import delay_pmf, walk_waves
from forecast.fit import Part, traffic_data, transition_data
from forecast.fit import data as inputs
from forecast.history import History

PERIODS = 10
KINDS = ("calendar", "cohort", "known", "losses", "traffic", "lifted", "value")
LIFT_TESTS = (
    {"channel": "ads", "from": "2025-04", "to": "2025-06", "without": 2000.0, "with": 3000.0, "lift": 200.0},
    {"channel": "ads", "from": "2025-09", "to": "2025-09", "without": 2000.0, "with": 0.0, "lift": -350.0},
)
# Data that say nothing where they are zero.
SILENCED = (
    "weight", "by_age", "by_cohort", "deals", "revenue", "deals_log_revenue", "size_cells", "lift_share", "known_rates",
)  # fmt: skip


def silenced(part: Part, **kept: Array) -> Part:
    """A part whose data say nothing but for those `kept`: its density is the prior's times their likelihood."""
    nothing = {name: np.zeros_like(part.data[name]) for name in SILENCED if name in part.data}
    return replace(part, data={**part.data, **nothing, **kept})


def counts(channels: int = 2) -> History:
    """Counts that vary by chance, those of many channels by more; spend that varies; every second channel is small."""
    rng = np.random.default_rng(3)
    means = {"visitors": [900.0, 500.0], "leads": [60.0, 20.0], "won": [12.0, 6.0], "spend": [2000.0, 1500.0]}
    wide = {name: np.tile(mean, (PERIODS, max(channels // 2, 1))) for name, mean in means.items()}
    if channels > 2:  # of two, chains find that hard
        more = np.random.default_rng(8).lognormal(0.0, 0.1, wide["visitors"].shape)
        wide["visitors"] = wide["visitors"] * more
    cells = {name: rng.poisson(mean).astype(float) for name, mean in wide.items() if name != "spend"}
    cells["spend"] = np.rint(wide["spend"] * rng.lognormal(0.0, 0.4, wide["spend"].shape))
    few = {name: values[:, :channels] for name, values in cells.items()}
    return history(few, channels=names(channels), periods=PERIODS)


def names(channels: int) -> list[str]:
    """Of two kinds in turn."""
    return ["ads", "search", *(f"c{i}" for i in range(2, channels))][:channels]


def asked_of(channels: int = 2, *, tests: tuple[dict[str, Any], ...] = (), **delay: Any) -> Any:
    """A study of paid channels, with these delays and lift tests, whose errors are 100."""
    kinds = {name: {"kind": ("ppc", "seo")[i % 2]} for i, name in enumerate(names(channels))}
    return study(
        funnel={"delay": delay}, channels=kinds, lift_test=tuple({"se": 100.0, **test} for test in tests)
    )


def dated(channels: int) -> History:
    """Leads with the dates of what they became: a third won after 0.8 periods, of the others 0.7 lost after one."""
    rng = np.random.default_rng(4)
    leads = np.array([60, 25])[:channels]
    reached, gone = (np.zeros((PERIODS, PERIODS, channels), dtype=np.int64) for _ in range(2))
    won, lost = delay_pmf(0.8, 0.8, PERIODS), delay_pmf(1.0, 0.6, PERIODS)
    for t in range(PERIODS):
        for c in range(channels):
            moves = rng.binomial(leads[c], 1 / 3)
            never = rng.binomial(leads[c] - moves, 0.7)
            reached[t, : PERIODS - t, c] = rng.multinomial(moves, won)[: PERIODS - t]
            gone[t, : PERIODS - t, c] = rng.multinomial(never, lost)[: PERIODS - t]
    arrived = np.array([sum(reached[t - a, a] for a in range(t + 1)) for t in range(PERIODS)], dtype=float)
    return history(
        {"leads": np.tile(leads, (PERIODS, 1)), "won": arrived},
        channels=names(channels),
        periods=PERIODS,
        counting="leads",
        triangles={"won": reached},
        losses={"won": gone},
    )


def value_part(channels: int) -> Part:
    """Fourteen deals and five, of one deal or two a cell; their means are known about as well as they are."""
    deals = np.zeros((PERIODS, 2))
    deals[:7, 0], deals[1:6, 1] = 2.0, 1.0
    money = deals * np.array([900.0, 1600.0]) * np.linspace(0.8, 1.2, PERIODS)[:, None]
    data = {
        "deals": deals[:, :channels],
        "revenue": money[:, :channels],
        "deals_log_revenue": (deals.sum(axis=0) * np.log([840.0, 1500.0]))[:channels],
        "drift_prior": np.array(200.0),
        "basis": walk_waves(PERIODS),
        "seasons": np.zeros((12, 1)),
        "season_basis": np.zeros((PERIODS, 1)),
        "sizes": np.array([1.0, 2.0]),
        "size_cells": np.array([9.0, 5.0]),
        "level_prior": np.array([np.log(1000.0), 0.7]),
        "known_level": np.log([900.0, 1600.0])[:channels],
        "known_precision": (channels > 1) * np.array([20.0, 7.0])[:channels],
    }
    return Part("value", "deal value", "value", data)


def part_of(kind: str, channels: int = 2) -> Part:
    """A small part of a kind, with delay, responses, a tuned budget where it has such."""
    if kind == "value":
        return value_part(channels)
    if kind in ("traffic", "lifted"):
        asked = asked_of(channels, tests=LIFT_TESTS if kind == "lifted" else ())
        worth = np.full(channels, np.log(9.0))
        data = traffic_data(asked, counts(channels), worth, np.full(channels, 0.3))
        return Part("traffic", "visitors", "traffic", data)
    asked = asked_of(channels, leads=0, won="25 days")
    if kind == "known":
        asked = asked.replace({"channels.ads.rate.won": [0.05, 0.1]})
    past = counts(channels) if kind in ("calendar", "known") else dated(channels)
    data, calendar = transition_data(asked, past, "leads", "won")
    if kind != "losses":
        return Part("won", "leads to won", "calendar" if calendar else "cohort", data)
    shape = (1, PERIODS, channels)
    known = {"logit_rate": np.full(shape, -0.7), "delay_mean": np.array([0.8]), "delay_cv": np.array([0.8])}
    data = inputs.loss_data(past, "leads", "won", {f"{k}_won": ((), v) for k, v in known.items()}, 12)
    return Part("lost before won", "losses before won", "cohort", data)
