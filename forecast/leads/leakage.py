"""Features that were known only after the outcome: signs of it in the data, with evidence.

Of leads whose outcome is settled (won, lost, or older than almost all of the delay), and of those still open:

- dates that lie after the lead was created
- filled in for won leads and hardly ever for others, or the other way round
- filled in once a lead is closed, and blank while it is open
- a value that tells won from not won almost perfectly (area under the ROC curve)

A sign is no proof: `scoring.keep` keeps a column. A count that goes on (pages viewed) is told, not left out: it is only
safe where it was frozen when the lead came. Source: Kaufman et al. 2012, Leakage in data mining.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.leads.features import LeadTable, days_before, kind_of, labels_of, numbers_of, text_of
from forecast.words import Text, message

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]
Seen = tuple[str, Text]  # a sign and its evidence

LATE_DATES = 0.05  # share of the dates after creation that is more than clocks that differ
PRESENCE = 0.8  # area under the curve of being filled in
ONLY_WON = 0.8  # share won of the leads in which a cell is filled in, however few those are
TIMES = 10.0  # and as many times more often filled in than for other settled leads
AGES = 6  # groups of leads by age
CLOSED = 0.5  # difference of the shares filled in, closed less open, leads of the same age
SEPARATION = 0.95  # area under the curve of the value
LEAST_WON = 20  # settled leads of either outcome, below which nothing can be said
GROWS = 0.3  # rank correlation with the age of the lead


@dataclass(frozen=True)
class Sign:
    """A sign of leakage: the column, what was seen, and whether the column is left out for it."""

    feature: str
    sign: str
    evidence: Text
    left_out: bool


def area_under_curve(values: Array, positive: Mask) -> float:
    """P(a positive has a higher value than a negative), ties half: the area under the ROC curve."""
    n, m = int(positive.sum()), int((~positive).sum())
    from scipy.stats import rankdata  # slow to import, and most runs score no leads

    ranks = rankdata(values)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def signs(table: LeadTable, names: Sequence[str], settled: Mask, keep: Sequence[str] = ()) -> list[Sign]:
    """The signs in the columns `names`; `settled` marks leads whose outcome is known or as good as known."""
    won = table.won
    enough = min(int((won & settled).sum()), int((~won & settled).sum())) >= LEAST_WON
    found = []
    for name in names:
        cells = table.features[name]
        kind = kind_of(cells)
        if kind == "identifier":
            many = {"texts": text_of(cells).nunique(), "leads": len(cells)}
            said = message("{texts:whole} different texts in {leads:whole} leads", **many)
            found.append(Sign(name, "an identifier", said, True))
            continue
        told = _late(table, name) if kind == "date" else None
        if told is None and enough:
            told = _presence(cells, won, settled) or _separates(cells, kind, won, settled, table)
        told = told or _closed_only(table, cells, won)
        if told is not None:
            found.append(Sign(name, *told, name not in keep))
        elif kind == "number" and (grown := _grows(table, cells)):
            found.append(Sign(name, *grown, False))
    return found


def _late(table: LeadTable, name: str) -> Seen | None:
    before = days_before(table.features[name], table.created).dropna()
    late = float((before < 0).mean()) if before.size else 0.0
    if late <= LATE_DATES:
        return None
    said = message("{late:percent} of its {n:whole} dates", late=late, n=before.size)
    return "dated after the lead was created", said


def _presence(cells: pd.Series[Any], won: Mask, settled: Mask) -> Seen | None:
    filled = text_of(cells).notna().to_numpy()
    area = area_under_curve(filled[settled].astype(float), won[settled])
    there, others = filled & settled, settled & ~won
    often = float(won[there].mean()) if there.sum() >= LEAST_WON else 0.0
    rarely = ((filled & others).sum() + 0.5) / (others.sum() + 1.0)
    only = often >= ONLY_WON and filled[settled & won].mean() >= TIMES * rarely
    if max(area, 1 - area) < PRESENCE and not only:
        return None
    sign = "filled in for won leads" if area > 0.5 else "filled in for leads that were not won"
    shares = {"won": filled[settled & won].mean(), "others": filled[settled & ~won].mean()}
    said = "filled in for {won:percent} of won leads, {others:percent} of settled others"
    return sign, message(said, **shares)


def _separates(cells: pd.Series[Any], kind: str, won: Mask, settled: Mask, table: LeadTable) -> Seen | None:
    if kind == "date":
        values = days_before(cells, table.created).to_numpy(dtype=float)
    elif kind == "number":
        values = numbers_of(cells).to_numpy(dtype=float)
    else:
        values = _shares_without_own(labels_of(cells), won, settled)
    known = settled & np.isfinite(values)
    if min(int((won & known).sum()), int((~won & known).sum())) < LEAST_WON:
        return None
    area = area_under_curve(values[known], won[known])
    if max(area, 1 - area) < SEPARATION:
        return None
    said = message("area under the curve {area:.3f}", area=max(area, 1 - area))
    return "tells won from not won almost perfectly", said


def _shares_without_own(levels: pd.Series[Any], won: Mask, settled: Mask) -> Array:
    """Share won of a lead's level among the other half of the leads, so that no lead speaks for itself."""
    values = np.full(len(levels), np.nan)
    half = np.arange(len(levels)) % 2 == 0
    base = won[settled].mean()
    for own, others in ((half, ~half), (~half, half)):
        use = others & settled
        counted = pd.Series(won[use].astype(float)).groupby(levels[use].to_numpy()).agg(["sum", "count"])
        share = (counted["sum"] + base) / (counted["count"] + 1.0)
        values[own] = levels[own].map(share).fillna(base).to_numpy(dtype=float)
    return values


def _closed_only(table: LeadTable, cells: pd.Series[Any], won: Mask) -> Seen | None:
    """Filled in once closed, blank while open: compared among leads of about the same age."""
    filled = text_of(cells).notna().to_numpy()
    closed = won | ~np.isnat(table.day("lost"))
    group = np.searchsorted(np.quantile(table.age, np.arange(1, AGES) / AGES), table.age)
    gaps, weights = [], []
    for g in range(AGES):
        here = group == g
        n, k = int((here & closed).sum()), int((here & ~closed).sum())
        if min(n, k) >= LEAST_WON:
            gaps.append(filled[here & closed].mean() - filled[here & ~closed].mean())
            weights.append(min(n, k))
    if not gaps or (gap := float(np.average(gaps, weights=weights))) < CLOSED:
        return None
    said = message("{gap:change} more often than for open leads of that age", gap=gap)
    return "filled in once a lead is closed", said


def _grows(table: LeadTable, cells: pd.Series[Any]) -> Seen | None:
    """A count that is higher for older leads may still be counting."""
    values = numbers_of(cells).to_numpy(dtype=float)
    known = np.isfinite(values)
    if known.sum() < 2 * LEAST_WON or np.unique(values[known]).size < 2:
        return None
    from scipy.stats import spearmanr  # as above

    together = float(spearmanr(values[known], table.age[known]).statistic)
    if together < GROWS:
        return None
    said = message("rank correlation with age {r:.2f}: is it frozen at creation?", r=together)
    return "higher for older leads", said
