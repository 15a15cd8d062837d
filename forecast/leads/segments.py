"""Segments of leads beside the channel: rates of the later stages, mix over time, worth of a lead, what a shift brings.

    logit p = mu + channel + segment + channel x segment,   each set pooled with a spread of its own

for each stage that leads move into, open leads counted by the share of the delay that they have lived through (as in
`leads.scoring`). A view of its own beside the forecast: the model of the forecast has channels and no segments, its
rates move over time, and these are averages over the window. Shares of a stage by segment are weighted by the channels
that the segment's leads came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv

from forecast.equations import ages_needed, delay_pmf
from forecast.history import History, SegmentCounts, read_segment_counts
from forecast.leads.features import (
    OTHER,
    LeadTable,
    check_columns,
    codes_of,
    labels_of,
    read_lead_table,
    with_returns,
)
from forecast.leads.pooling import Shares, pooled_draws, rates, together
from forecast.leads.scoring import DEAL_CV, deal_values, moves, pulled, shares
from forecast.leads.timing import MOVED
from forecast.periods import DAYS_PER_PERIOD, period_index, period_label
from forecast.study import DEFAULT_DELAY_DAYS, OTHER_DELAY_DAYS, Study

Array = NDArray[np.float64]

DRAWS = 1000
MOST_SEGMENTS = 12
WEEK = 7.0
MOVE = 0.10  # of all leads, that a shift of the mix moves
RECENT = 3  # periods whose leads a shift is told for
TOTAL = "total"
LEADS = "leads"
EARLY = 3  # periods whose mean stands for what came before the window, among counts
DELAY_CV = 0.8  # of a delay, where counts tell nothing of it
BAND = (0.1, 0.5, 0.9)


@dataclass(frozen=True, eq=False)
class SegmentRates:
    """Draws by stage, (draw, channel, segment), and leads that entered and moved, (channel, segment)."""

    channels: tuple[str, ...]
    segments: tuple[str, ...]
    rates: dict[str, Array]
    entered: dict[str, Array]
    moved: dict[str, Array]


def segment_tables(study: Study, history: History, rng: np.random.Generator) -> dict[str, Any]:
    """Tables `rates`, `mix`, `worth` and `shift` of the study's segments, and what a sentence needs (`told`).

    All of leads as the history knows them: the segments of a past (`History.as_of`) know nothing that came later.

    Raises StudyError where the leads have no such column.
    """
    if study.segments is None:
        return {}
    found = _of_counts if study.history.leads is None else _of_leads
    made, values, mix = found(study, history, rng)
    if values is None and study.funnel.value is not None:
        values = np.full((DRAWS, len(made.segments)), study.funnel.value)
    stages = list(made.rates)
    later = (
        stages[stages.index(LEADS) + 1 :] if LEADS in stages[:-1] else stages
    )  # of a lead, where there are any
    p_win = np.prod([made.rates[stage] for stage in later], axis=0)
    entered = made.entered[later[0]]
    chance = _weighted(p_win, entered)
    worth = chance if values is None else chance * values
    valued, recent = values is not None, _recent(mix, made.segments)
    return {
        "rates": _rates_table(made, stages),
        "mix": mix,
        "worth": _worth_table(made.segments, entered.sum(axis=0), chance, values, worth),
        "shift": _shift_table(made.segments, recent, chance, worth, valued=valued),
        "told": {"column": study.segments.column, "valued": valued, "leads": int(entered.sum())},
    }


Found = tuple["SegmentRates", Array | None, pd.DataFrame]


def _of_leads(study: Study, history: History, rng: np.random.Generator) -> Found:
    """Rates, deal values and mix from a file of leads."""
    table = with_returns(study, read_lead_table(study).as_of(history.known_day))
    column = "" if study.segments is None else study.segments.column
    check_columns(study, table, {"segments.column": [column]})
    table = table.rows((table.created >= history.periods[0]) & (table.created <= history.end))
    labels = names_of(table.features[column])
    made = segment_rates(table, labels, rng, dict(study.funnel.delay))
    values = deal_values(table, made.segments, pd.Series(labels), rng, DRAWS)
    counted = np.zeros((len(history.periods), len(made.segments)))
    place = period_index(table.created, history.periods[0], history.period)
    np.add.at(counted, (place, codes_of(labels, made.segments)), 1.0)
    return made, values, _mix(counted, made.segments, history)


def _of_counts(study: Study, history: History, rng: np.random.Generator) -> Found:
    """Rates, deal values and mix from counts with a column of segments."""
    found = read_segment_counts(study, history)
    cells, groups = _cells(len(history.channels), len(found.names))
    shape = (DRAWS, len(history.channels), len(found.names))
    made: dict[str, Array] = {}
    entered: dict[str, Array] = {}
    moved: dict[str, Array] = {}
    for stage, (came, went, trials) in settled(found, study, history).items():
        gone = np.repeat([1.0, 0.0], len(cells))
        both = np.concatenate([went.ravel(), (trials - went).ravel()])
        seen = Shares(np.concatenate([cells, cells]), gone, 1.0 - gone, both)
        made[stage] = rates(pooled_draws(seen, groups, rng, DRAWS), cells).reshape(shape)
        entered[stage], moved[stage] = came, went
    whole = SegmentRates(tuple(history.channels), found.names, made, entered, moved)
    first = LEADS if LEADS in history.stages else history.stages[0]
    mix = _mix(np.nan_to_num(found.counts[first]).sum(axis=1), found.names, history)
    return whole, _values_of_counts(found, rng), mix


def settled(found: SegmentCounts, study: Study, history: History) -> dict[str, tuple[Array, Array, Array]]:
    """By stage after the first: entered, moved, and entries that have had time to move, (channel, segment) each.

        moved into a stage in period t ~ rate x sum over ages a of entered_(t - a) f_a       (calendar counts)
        become of the cohort of period t ~ rate x entered_t F(age)                           (cohort counts)

    with the delay f that the study names, or the usual one: counts do not tell the delay of each segment.
    """
    made = {}
    for before, stage in history.steps:
        entered, moved = found.counts[before], found.counts[stage]
        known = np.isfinite(moved) & np.isfinite(entered)
        timed = _with_time(np.nan_to_num(entered), stage, study, history)
        came, went, trials = (
            np.where(known, np.nan_to_num(part), 0.0).sum(axis=0) for part in (entered, moved, timed)
        )
        made[stage] = (came, went, np.maximum(trials, went))
    return made


def _with_time(entered: Array, stage: str, study: Study, history: History) -> Array:
    """Entries weighted by the share of the delay that has passed, by the period in which they would move."""
    days = study.funnel.delay.get(stage, DEFAULT_DELAY_DAYS.get(stage, OTHER_DELAY_DAYS))
    mean = float(days) / DAYS_PER_PERIOD[history.period]
    if mean <= 0:
        return entered
    ages = ages_needed(mean, DELAY_CV, history.period)
    f = delay_pmf(mean, DELAY_CV, ages)
    n = len(entered)
    if history.counting == "cohort":
        lived = np.cumsum(f)[np.minimum(n - 1 - np.arange(n), ages - 1)]
        return np.asarray(entered * lived[:, None, None])
    before = np.repeat(entered[:EARLY].mean(axis=0, keepdims=True), ages, axis=0)
    path = np.concatenate([before, entered])
    return np.asarray(sum(f[a] * path[ages - a : ages - a + n] for a in range(ages)))


def _values_of_counts(found: SegmentCounts, rng: np.random.Generator) -> Array | None:
    """Mean deal value of each segment from revenue over wins, see `scoring.pulled`; None without any."""
    if "revenue" not in found.counts or "won" not in found.counts:
        return None
    known = np.isfinite(found.counts["revenue"]) & (np.nan_to_num(found.counts["won"]) > 0)
    revenue, won = (np.where(known, found.counts[name], 0.0).sum(axis=(0, 1)) for name in ("revenue", "won"))
    if won.sum() == 0:
        return None
    means = np.where(revenue > 0, revenue, 1.0) / np.maximum(won, 1.0)
    noise = rng.standard_normal(DRAWS), rng.standard_normal((DRAWS, won.size))
    return pulled(means, won, revenue.sum() / won.sum(), DEAL_CV, noise)


def names_of(cells: pd.Series[Any]) -> NDArray[np.object_]:
    """The segment of each lead: its text, a blank as such, and what is rarer than the twelve largest as other."""
    text = labels_of(cells)
    counted = text.value_counts()
    kept = sorted(counted.index, key=lambda name: (-counted[name], name))
    if len(kept) > MOST_SEGMENTS:
        text = text.where(text.isin(kept[: MOST_SEGMENTS - 1]), OTHER)
    return np.asarray(text.to_numpy(dtype=object))


def segment_rates(
    table: LeadTable, labels: NDArray[np.object_], rng: np.random.Generator, delays: dict[str, float]
) -> SegmentRates:
    """Rates of every stage after the first by channel and segment; `delays`: prior means in days by stage."""
    channels = tuple(sorted(set(table.leads["channel"])))
    segments = tuple(sorted(set(labels)))
    of_channel, of_segment = codes_of(table.leads["channel"], channels), codes_of(labels, segments)
    cells, groups = _cells(len(channels), len(segments))
    made: dict[str, Array] = {}
    entered: dict[str, Array] = {}
    moved: dict[str, Array] = {}
    shape = (len(channels), len(segments))
    for move in moves(table, delays):
        cell = of_channel[move.rows] * len(segments) + of_segment[move.rows]
        weekly = np.floor(move.days / WEEK) * WEEK + WEEK / 2
        few = together(shares(move.kind, weekly, cell[:, None].astype(float), move.timing))
        units = replace(few, design=cells[few.design[:, 0].astype(int)])
        made[move.stage] = rates(pooled_draws(units, groups, rng, DRAWS), cells).reshape(DRAWS, *shape)
        came = cell, cell[move.kind == MOVED]
        entered[move.stage], moved[move.stage] = (
            np.bincount(part, minlength=len(cells)).reshape(shape).astype(float) for part in came
        )
    return SegmentRates(channels, segments, made, entered, moved)


def _cells(channels: int, segments: int) -> tuple[Array, NDArray[np.int64]]:
    """The design of every channel x segment (channel, segment, the pair itself), and the spread that a column has."""
    pairs = np.arange(channels * segments)
    parts = np.eye(channels)[pairs // segments], np.eye(segments)[pairs % segments], np.eye(pairs.size)
    return np.concatenate(parts, axis=1), np.repeat([0, 1, 2], [channels, segments, pairs.size])


def _weighted(values: Array, weight: Array) -> Array:
    """(draw, channel, segment) averaged over channels as the segment's leads came from them: (draw, segment)."""
    share = weight / np.maximum(weight.sum(axis=0), 1e-300)
    return np.asarray((values * share).sum(axis=1))


def _band(draws: Array) -> dict[str, float]:
    low, middle, high = np.quantile(draws, BAND)
    return {"mean": float(draws.mean()), "q10": float(low), "q50": float(middle), "q90": float(high)}


def _spread(name: str, draws: Array) -> dict[str, float]:
    """Mean and band under names of their own."""
    return {f"{name}_{key}": value for key, value in _band(draws).items() if key != "q50"}


def _rates_table(made: SegmentRates, stages: Sequence[str]) -> pd.DataFrame:
    rows = []
    for stage in stages:
        whole = _weighted(made.rates[stage], made.entered[stage])
        for j, segment in enumerate(made.segments):
            came, went = made.entered[stage][:, j], made.moved[stage][:, j]
            told = [(TOTAL, came.sum(), went.sum(), whole[:, j])]
            each = zip(made.channels, came, went, made.rates[stage][:, :, j].T, strict=True)
            told += [one for one in each if one[1]]
            rows += [
                {"segment": segment, "channel": channel, "stage": stage}
                | {"entered": float(entered), "moved": float(moved), **_band(draws)}
                for channel, entered, moved, draws in told
            ]
    return pd.DataFrame(rows)


def _mix(counted: Array, segments: Sequence[str], history: History) -> pd.DataFrame:
    """Leads by period and segment, (period, segment), with the share and its 80 % band (Beta, Jeffreys' prior)."""
    rows = []
    for start, here in zip(history.periods, counted, strict=True):
        total = float(here.sum())
        for segment, n in zip(segments, map(float, here), strict=True):
            low, high = betaincinv(n + 0.5, total - n + 0.5, [0.1, 0.9])
            named: dict[str, Any] = {"period": period_label(start, history.period), "segment": segment}
            share = n / total if total else np.nan
            rows.append(named | {"leads": n, "share": share, "q10": float(low), "q90": float(high)})
    return pd.DataFrame(rows)


def _recent(mix: pd.DataFrame, segments: Sequence[str]) -> Array:
    """Leads a period by segment over the last periods."""
    last = mix["period"].drop_duplicates().tail(RECENT)
    sums = mix[mix["period"].isin(last)].groupby("segment")["leads"].sum()
    return np.array([float(sums[name]) for name in segments]) / len(last)


def _worth_table(
    segments: Sequence[str], leads: Array, chance: Array, values: Array | None, worth: Array
) -> pd.DataFrame:
    share = leads / leads.sum()
    rows = []
    for j, segment in enumerate(segments):
        row: dict[str, Any] = {"segment": segment, "leads": float(leads[j]), "share": float(share[j])}
        row |= _spread("p_win", chance[:, j])
        row["deal_value"] = np.nan if values is None else float(values[:, j].mean())
        rows.append(row | _spread("worth", worth[:, j] if values is not None else np.full(1, np.nan)))
    return pd.DataFrame(rows)


def _shift_table(
    segments: Sequence[str], per_period: Array, chance: Array, worth: Array, *, valued: bool
) -> pd.DataFrame:
    """What it brings a period when a tenth of all leads moves into a segment, taken from the others in proportion."""
    total = per_period.sum()
    rows = []
    for j, segment in enumerate(segments):
        rest = per_period.copy()
        rest[j] = 0.0
        if rest.sum() == 0:
            continue
        moved = MOVE * total
        others = rest / rest.sum()
        row: dict[str, Any] = {"segment": segment, "leads_moved": float(moved)}
        row |= _spread("won", moved * (chance[:, j] - chance @ others))
        if valued:
            row |= _spread("revenue", moved * (worth[:, j] - worth @ others))
        rows.append(row)
    return pd.DataFrame(rows)
