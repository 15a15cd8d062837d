"""The open leads of a study from the best down, the test of their score on newer leads, and the threshold for sales.

Needs nothing but the study and its leads: no fit of the forecast. Which leads sales should work: those above the
threshold that maximises expected contribution under what sales can take.

    contribution of working a lead = margin x P(win) x deal value - cost of working it

A lead that is not worked is taken to bring nothing. Leads are worked from the best down, until the next one costs more
than it brings or sales are full; so the best threshold is a number, and no other set of as many leads brings more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import DataError
from forecast.history import History
from forecast.leads.features import LeadTable, chosen, codes_of, encoder, kind_of
from forecast.leads.leakage import Sign, signs
from forecast.leads.scoring import (
    LEAST_MOVED,
    Holdout,
    Scorer,
    chunks,
    deal_values,
    fit_scorer,
    hold_out,
    is_open,
    stage_reached,
)
from forecast.periods import period_label, shift
from forecast.progress import Progress, Silent
from forecast.study import Z80, ScoringSpec, Study
from forecast.tables import records

Array = NDArray[np.float64]

SETTLED = 0.95  # share of the wins that has come by the age at which an open lead counts as not won
BINS = 10
POINTS = 41  # of the curve of contribution against leads worked
RECENT = 3  # periods whose leads stand for those to come
MOST_CELLS = 10_000_000  # leads times draws that the threshold is made on
MOST_EFFECTS = 40


@dataclass(frozen=True, eq=False)
class Threshold:
    """The threshold on expected value (or on P(win) where deals have no value), and what it does a period.

    curve: worked, contribution, q10, q90, wins by how many leads are worked a period. told: numbers for a summary.
    """

    level: float
    curve: pd.DataFrame
    told: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Ranking:
    """What a score says of the leads of a study.

    table: open leads (`ranked`). summary: the content of scoring.json. reliability: of the test, None where there was
    none. curve: what each threshold brings (`Threshold`). valued: whether deals have a value.
    """

    table: pd.DataFrame
    summary: dict[str, Any]
    reliability: pd.DataFrame | None
    curve: pd.DataFrame
    valued: bool


def rank_leads(
    study: Study,
    history: History,
    table: LeadTable,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Ranking:
    """Score the open leads of `table` and test the score on its newest leads.

    Raises StudyError or DataError for leads that cannot be scored.
    """
    told = progress or Silent()
    _enough(study, table)
    spec = study.scoring or ScoringSpec()
    names = chosen(study, table)
    delays = dict(study.funnel.delay)
    plain = fit_scorer(table, [], seed=seed, delays=delays)
    found = signs(table, names, ~is_open(table) | (plain.won_by(table.age) >= SETTLED), spec.keep)
    out_of = {sign.feature for sign in found if sign.left_out}
    used = [name for name in names if name not in out_of]
    code = encoder(table, used)
    told.step("testing the score on the newest leads")
    test = hold_out(table, used, share=spec.holdout, seed=seed, code=code, delays=delays)
    told.step("fitting the score on all leads")
    scorer = fit_scorer(table, used, seed=seed, delays=delays, code=code)
    told.step("ranking the open leads")
    values = _values(study, table, scorer, np.random.default_rng([seed, 3]))
    limit = _threshold(study, history, table, scorer, values, spec)
    return Ranking(
        ranked(table, scorer, values, limit, margin=study.economics.gross_margin, cost=spec.cost_per_lead),
        _summary(study, table, scorer, used, found, test, limit, seed),
        None if test is None else reliability(test),
        limit.curve,
        values is not None,
    )


def _enough(study: Study, table: LeadTable) -> None:
    """Raises DataError where too few leads have moved on to learn anything from."""
    for stage in table.stages[1:]:
        n = int(table.leads[stage].notna().sum())
        if n < LEAST_MOVED:
            raise DataError(
                f"{study.history.leads}: {n} leads have reached {stage}; expected at least {LEAST_MOVED} to learn a "
                "score from: add older leads with their outcomes"
            )


def _values(study: Study, table: LeadTable, scorer: Scorer, rng: np.random.Generator) -> Array | None:
    """Mean deal value by channel, (draw, channel); the assumed one where no amount is recorded, else None."""
    draws, channels = len(scorer.fits[0].draws), scorer.encoder.channels
    found = deal_values(table, channels, table.leads["channel"], rng, draws)
    if found is None and study.funnel.value is not None:
        found = np.full((draws, len(channels)), study.funnel.value)
    return found


def _threshold(
    study: Study,
    history: History,
    table: LeadTable,
    scorer: Scorer,
    values: Array | None,
    spec: ScoringSpec,
) -> Threshold:
    """The threshold for leads such as those of the last complete periods."""
    end = shift(history.last, 1, history.period)
    start = shift(history.last, 1 - RECENT, history.period)
    part = table.rows((table.created >= start) & (table.created < end))
    cells = len(part.leads) * len(scorer.fits[0].draws)
    step = -(-cells // MOST_CELLS) or 1  # of the draws, where leads are many
    pieces = [scorer.at_creation(piece)[::step] for piece in chunks(part)]
    chance = np.concatenate(pieces or [np.zeros((1, 0))], axis=1)
    worth = None if values is None else values[::step][: len(chance), _channel(part, scorer)]
    capacity = spec.capacity or study.economics.capacity
    margin, cost = study.economics.gross_margin, spec.cost_per_lead
    made = best_threshold(chance, worth, margin=margin, cost=cost, capacity=capacity, periods=RECENT)
    label = f"{period_label(start, history.period)} to {period_label(history.last, history.period)}"
    return replace(made, told=made.told | {"made_on": label})


def best_threshold(
    chance: Array, value: Array | None, *, margin: float, cost: float, capacity: float | None, periods: int
) -> Threshold:
    """The threshold for leads such as these, which came in so many periods.

    Args:
        chance: (draw, lead), P(win) when new. value: (draw, lead), deal value; None: wins are what counts.
        margin: gross margin; cost: of working one lead; capacity: leads a period; periods: that the leads came in.
    """
    brings = chance if value is None else margin * chance * value - cost
    expected = brings.mean(axis=0)
    order = np.argsort(-expected, kind="stable")
    room = expected.size if capacity is None else min(round(capacity * periods), expected.size)
    worth = int((expected > 0).sum()) if value is not None else expected.size
    worked = min(room, worth)
    ranked = expected[order] if value is None else (expected[order] + cost) / margin
    level = _between(ranked, worked)
    sums = np.cumsum(brings[:, order], axis=1) / periods
    wins = np.cumsum(chance[:, order], axis=1) / periods
    marks = np.unique(np.linspace(0, expected.size, POINTS).astype(int))
    rows = [_row(n, sums, wins, periods) for n in marks]
    best = _row(worked, sums, wins, periods)
    arrived = _row(expected.size, sums, wins, periods)
    share = worked / max(expected.size, 1)
    told = {
        "level": level,
        "unit": "P(win)" if value is None else "expected value",
        "leads_a_period": expected.size / periods,
        "capacity": capacity,
        "limited_by": "capacity" if capacity is not None and room < worth else "cost" if cost else "nothing",
        "worked_a_period": worked / periods,
        "share_of_wins": best["wins"] / arrived["wins"] if arrived["wins"] > 0 else None,
        "contribution_a_period": None if value is None else best["contribution"],
        "contribution_q10": None if value is None else best["q10"],
        "contribution_q90": None if value is None else best["q90"],
        "contribution_as_they_come": None if value is None else arrived["contribution"] * share,
        "wins_a_period": best["wins"],
        "wins_as_they_come": arrived["wins"] * share,
    }
    return Threshold(level, pd.DataFrame(rows), told)


def _between(ranked: Array, worked: int) -> float:
    """Half-way between the last that is worked and the first that is not; 0 where all are."""
    if worked >= ranked.size:
        return 0.0
    if worked == 0:
        return float(ranked[0]) * 1.0001
    return float((ranked[worked - 1] + ranked[worked]) / 2)


def _row(n: int, sums: Array, wins: Array, periods: int) -> dict[str, float]:
    total = sums[:, n - 1] if n else np.zeros(len(sums))
    q10, q90 = map(float, np.quantile(total, [0.1, 0.9]))
    won = float(wins[:, n - 1].mean()) if n else 0.0
    return {"worked": n / periods, "contribution": float(total.mean()), "q10": q10, "q90": q90, "wins": won}


def _channel(table: LeadTable, scorer: Scorer) -> NDArray[np.int64]:
    return codes_of(table.leads["channel"], scorer.encoder.channels)


def ranked(
    table: LeadTable, scorer: Scorer, values: Array | None, limit: Threshold, *, margin: float, cost: float
) -> pd.DataFrame:
    """The open leads from the best down: P(win), expected value and contribution with 80 % bands.

    expected_value: P(win) x mean deal value of the channel; contribution: gross margin of it less the cost of working
    the lead. decile 1 holds the best tenth. above_threshold: sales should work it.
    """
    opened = table.rows(is_open(table))
    pieces = []
    for part in chunks(opened):
        chance = scorer.now(part)
        made = {"p_win": chance.mean(axis=0)}
        made["p_low"], made["p_high"] = np.quantile(chance, [0.1, 0.9], axis=0)
        if values is not None:
            money = chance * values[:, _channel(part, scorer)]
            made["expected_value"] = money.mean(axis=0)
            made["low"], made["high"] = np.quantile(money, [0.1, 0.9], axis=0)
        pieces.append(pd.DataFrame(made))
    none = pd.DataFrame({"p_win": [], "p_low": [], "p_high": []})
    scores = pd.concat(pieces, ignore_index=True) if pieces else none
    if values is None:
        scores = scores.assign(expected_value=np.nan, low=np.nan, high=np.nan)
    result = pd.concat([opened.leads[["lead_id", "channel"]], scores], axis=1)
    result.insert(2, "created", np.datetime_as_string(opened.created, unit="D"))
    score = result["p_win"] if values is None else result["expected_value"]
    result["contribution"] = margin * result["expected_value"] - cost
    result["stage"] = [opened.stages[k] if k else "leads" for k in stage_reached(opened)]
    result["above_threshold"] = score >= limit.level
    result = result.assign(_score=score).sort_values(["_score", "lead_id"], ascending=[False, True])
    result = result.drop(columns="_score").reset_index(drop=True)
    result["decile"] = 1 + (10 * np.arange(len(result))) // max(len(result), 1)
    first = ["lead_id", "channel", "created", "p_win", "p_low", "p_high", "expected_value", "low", "high"]
    return result[[*first, "decile", "above_threshold", "contribution", "stage"]]


def reliability(test: Holdout) -> pd.DataFrame:
    """Leads of the test in groups of like chances: chance given, share won, and where 80 % of chance alone lies."""
    frame = test.table.sort_values("chance", kind="stable").reset_index(drop=True)
    rows = []
    for part in np.array_split(np.arange(len(frame)), min(BINS, max(len(frame), 1))):
        chance, won = frame["chance"].to_numpy()[part], frame["won"].to_numpy()[part]
        spread = Z80 * float(np.sqrt((chance * (1 - chance)).sum())) / max(len(part), 1)
        middle, came = (float(values.mean()) if len(part) else 0.0 for values in (chance, won))
        rows.append((len(part), middle, came, max(middle - spread, 0.0), min(middle + spread, 1.0)))
    return pd.DataFrame(rows, columns=["leads", "chance", "won", "low", "high"])


def _summary(
    study: Study,
    table: LeadTable,
    scorer: Scorer,
    used: Sequence[str],
    found: Sequence[Sign],
    test: Holdout | None,
    limit: Threshold,
    seed: int,
) -> dict[str, Any]:
    return {
        "name": study.name,
        "currency": study.currency,
        "as_of": str(table.last_day),
        "leads": len(table.leads),
        "open": int(is_open(table).sum()),
        "seed": seed,
        "status": "REVIEW" if test is None else "PASS",
        "features": [{"feature": name, "kind": kind_of(table.features[name])} for name in used],
        "signs_of_leakage": [vars(sign) for sign in found],
        "censoring": "open leads count by the share of the delay that they have lived through",
        "delays": [
            {"stage": fit.stage, "leads": fit.leads, "moved": fit.moved}
            | {name: getattr(fit.timing, name) for name in ("mean_days", "cv", "rate")}
            for fit in scorer.fits
        ],
        "holdout": None if test is None else test.summary(),
        "reliability": [] if test is None else records(reliability(test)),
        "threshold": limit.told,
        "effects": _effects(scorer),
    }


def _effects(scorer: Scorer) -> list[dict[str, Any]]:
    """The columns that tell most, by stage: change of the log odds by one sd of a number, or of a level to the mean."""
    rows: list[dict[str, Any]] = []
    for fit in scorer.fits:
        slopes = fit.draws[:, 1:]
        bands = np.quantile(slopes, [0.1, 0.9], axis=0).T.tolist()
        for name, slope, (low, high) in zip(scorer.encoder.columns, slopes.T, bands, strict=True):
            told = {"mean": float(slope.mean()), "low": low, "high": high}
            rows.append({"stage": fit.stage, "column": name} | told)
    return sorted(rows, key=lambda row: -abs(row["mean"]))[:MOST_EFFECTS]
