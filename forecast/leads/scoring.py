"""P(win) and worth of single leads: one regression for each stage that leads move into, censored leads counted as such.

    P(win) of a new lead = product over stages of p_k(x)
    P(move | still open after a days) = p (1 - F(a)) / [p (1 - F(a)) + (1 - p) (1 - q G(a))]

An open lead is no loss: it counts by how much of the delay it has lived through (F: moves, q G: dated losses, see
`leads.timing`; delays are the same for all leads of a stage). Money: p x mean deal value of the channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.equations import lognormal_cdf
from forecast.leads.features import Encoder, LeadTable, encoder
from forecast.leads.pooling import Shares, pooled_draws, rates, together
from forecast.leads.timing import DELAY_SD, LOST, MOVED, OPEN, Timing, fit_timing

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

DELAY_DAYS = 30.0  # prior mean of a delay that the study does not name
CHUNK = 2000  # leads worked at once: bounds memory
BETWEEN = 0.3  # log sd of mean deal values between groups, as believed before the data
DEAL_CV = 0.8  # of single deals, where they do not tell
DRAWS = 1400
LONGEST = 3650  # days over which delays of several stages are added up
LEAST_MOVED = 10  # of a stage, below which nothing can be learnt from features


@dataclass(frozen=True, eq=False)
class StageFit:
    """What is known of the move into `stage`: its delay, and draws (draw, 1 + columns) of the regression.

    leads: that reached the stage before; moved: of them, into this one.
    """

    stage: str
    timing: Timing
    draws: Array
    leads: int
    moved: int


@dataclass(frozen=True, eq=False)
class Scorer:
    """A fitted score: how features become columns, and one fit for each stage after the first."""

    encoder: Encoder
    fits: tuple[StageFit, ...]

    def rates(self, table: LeadTable) -> list[Array]:
        """Rates into each stage, (draw, lead), whatever has become of the lead."""
        design = self.encoder.design(table)
        return [rates(fit.draws, design) for fit in self.fits]

    def at_creation(self, table: LeadTable) -> Array:
        """P(win) of each lead as when it was new, (draw, lead)."""
        return np.asarray(np.prod(self.rates(table), axis=0))

    def now(self, table: LeadTable) -> Array:
        """P(win) of leads that are open on the last day of the table, given stage and age, (draw, lead)."""
        into = self.rates(table)
        reached = stage_reached(table)
        chance = np.ones_like(into[0])
        for k, (before, fit) in enumerate(zip(table.stages, self.fits, strict=False)):
            days = _days(table.day(before), table.last_day) + 0.5
            still, never = 1.0 - fit.timing.moved_by(days), 1.0 - fit.timing.lost_by(days)
            p = into[k]
            waiting = p * still / np.maximum(p * still + (1 - p) * never, 1e-300)
            chance *= np.where(reached > k, 1.0, np.where(reached == k, waiting, p))
        return chance

    def won_by(self, days: Array) -> Array:
        """Share of the wins of new leads that has come after so many days: delays of all stages added up."""
        total = np.ones(1)
        for fit in self.fits:
            edges: Array = np.arange(LONGEST + 1, dtype=np.float64) + 0.5
            step = np.diff(lognormal_cdf(edges, fit.timing.mean_days, fit.timing.cv), prepend=0.0)
            total = np.convolve(total, step)[: LONGEST + 1]
        return np.asarray(np.cumsum(total)[np.clip(days, 0, LONGEST).astype(int)])


def stage_reached(table: LeadTable) -> Rows:
    """Index of the last stage that each lead has reached."""
    reached = [k * table.leads[name].notna().to_numpy() for k, name in enumerate(table.stages)]
    return np.max(reached, axis=0).astype(np.int64)


def is_open(table: LeadTable) -> NDArray[np.bool_]:
    """Leads neither won nor lost."""
    return ~table.won & np.isnat(table.day("lost"))


def _days(since: NDArray[np.datetime64], until: NDArray[np.datetime64] | np.datetime64) -> Array:
    """Whole days between; 0 where a date is not set."""
    waited = (until - since).astype("timedelta64[D]")
    return np.where(np.isnat(waited), 0.0, np.maximum(waited.astype(float), 0.0))


def fate(table: LeadTable, before: str, stage: str) -> tuple[Rows, Rows, Array]:
    """Of the leads that reached `before`: their rows, whether OPEN, MOVED or LOST, and after how many days."""
    entered, moved, lost = table.day(before), table.day(stage), table.day("lost")
    rows = np.flatnonzero(~np.isnat(entered))
    kind = np.where(~np.isnat(moved), MOVED, np.where(~np.isnat(lost), LOST, OPEN))[rows]
    until = np.where(kind == MOVED, moved[rows], np.where(kind == LOST, lost[rows], table.last_day))
    return rows, kind, _days(entered[rows], until)


@dataclass(frozen=True, eq=False)
class Move:
    """The move into `stage` as leads have made it: of those that reached the stage before (`fate`), and its delay."""

    stage: str
    rows: Rows
    kind: Rows
    days: Array
    timing: Timing


def moves(table: LeadTable, delays: Mapping[str, float] | None) -> Iterator[Move]:
    """The moves into each stage after the first; `delays`: prior mean delay in days by stage."""
    for before, stage in pairwise(table.stages):
        rows, kind, days = fate(table, before, stage)
        timing = fit_timing(kind, days, delay=((delays or {}).get(stage, DELAY_DAYS), DELAY_SD))
        yield Move(stage, rows, kind, days, timing)


def shares(kind: Rows, days: Array, design: Array, timing: Timing) -> Shares:
    """Units for a regression: S and U of `leads.pooling` from what was seen of each."""
    still, never = 1.0 - timing.moved_by(days + 0.5), 1.0 - timing.lost_by(days + 0.5)
    moved = np.where(kind == MOVED, 1.0, np.where(kind == LOST, 0.0, np.maximum(still, 1e-12)))
    stayed = np.where(kind == LOST, 1.0, np.where(kind == MOVED, 0.0, np.maximum(never, 1e-12)))
    return Shares(design, moved, stayed, np.ones(len(kind)))


def fit_scorer(
    table: LeadTable,
    names: Sequence[str],
    *,
    seed: int,
    delays: dict[str, float] | None = None,
    code: Encoder | None = None,
    draw: Callable[..., Array] = pooled_draws,
) -> Scorer:
    """Fit the score of a table of leads on the features `names` (none: the channel alone).

    delays: prior mean delay in days by stage. code: how features become columns, where that is settled already.
    draw: the regression, called as `pooled_draws` is.
    """
    code = code or encoder(table, names)
    design = code.design(table)
    fits = []
    for number, move in enumerate(moves(table, delays)):
        units = shares(move.kind, move.days, design[move.rows], move.timing)
        draws = draw(together(units), code.groups, np.random.default_rng([seed, number]), DRAWS)
        moved = int((move.kind == MOVED).sum())
        fits.append(StageFit(move.stage, move.timing, draws, len(move.rows), moved))
    return Scorer(code, tuple(fits))


def deal_values(
    table: LeadTable, groups: Sequence[str], column: pd.Series[Any], rng: np.random.Generator, draws: int
) -> Array | None:
    """Mean deal value of each group of leads, (draw, group), see `pulled`. None where no amount is recorded."""
    if "amount" not in table.leads or table.leads["amount"].notna().sum() == 0:
        return None
    won = table.leads["amount"].notna() & (table.leads["amount"] > 0)
    amounts, of = table.leads["amount"][won].to_numpy(dtype=float), column[won].to_numpy(dtype=object)
    whole = float(amounts.mean())
    cv = float(np.clip(amounts.std() / whole, 0.1, 3.0)) if amounts.size > 1 else DEAL_CV
    own = [amounts[of == name] for name in groups]
    n = np.array([part.size for part in own])
    means = np.array([part.mean() if part.size else 1.0 for part in own])
    noise = rng.standard_normal(draws), rng.standard_normal((len(groups), draws)).T
    return pulled(means, n, whole, cv, noise)


def pulled(means: Array, n: Array | Rows, whole: float, cv: float, noise: tuple[Array, Array]) -> Array:
    """Mean deal value of groups, (draw, group): on the log scale, drawn towards that of all deals.

        log v_g ~ Normal(w_g log m_g + (1 - w_g) log v, 1 / (n_g / cv^2 + 1 / b^2))
        w_g = (n_g / cv^2) / (n_g / cv^2 + 1 / b^2),     log v ~ Normal(log m, cv^2 / n)

    Args:
        means, n: m_g and n_g, of the deals of each group, (group,); a mean of 1 where there is none.
        whole: m, of all deals.
        cv: of single deals, which gives the error of a mean.
        noise: standard normal, (draw,) for all deals and (draw, group).
    """
    middle = np.log(whole) + cv / np.sqrt(n.sum()) * noise[0][:, None]
    ours = n / cv**2
    known = ours + BETWEEN**-2
    pull = ours / known
    return np.asarray(np.exp(pull * np.log(means) + (1 - pull) * middle + noise[1] / np.sqrt(known)))


@dataclass(frozen=True, eq=False)
class Holdout:
    """How a score did on leads that came after those it was fitted on, as all was known then.

    table: chance (won by the last day), base (the same from channels alone), won. split: the last day of the training.
    """

    table: pd.DataFrame
    split: np.datetime64
    n_train: int

    def summary(self) -> dict[str, Any]:
        """Scores, their difference with its standard error, and expected against actual wins."""
        if self.table.empty:
            return {"leads": 0}
        one, two = self._losses("chance"), self._losses("base")
        gain = two - one
        return {
            "split": str(self.split),
            "trained_on": self.n_train,
            "leads": len(self.table),
            "won": int(self.table["won"].sum()),
            "won_expected": float(self.table["chance"].sum()),
            "log_score": float(one.mean()),
            "log_score_channel_rate": float(two.mean()),
            "gain": float(gain.mean()),
            "gain_error": float(gain.std(ddof=1) / np.sqrt(gain.size)) if gain.size > 1 else None,
            "skill": float(1 - one.mean() / two.mean()) if two.mean() > 0 else None,
        }

    def _losses(self, column: str) -> Array:
        """-log of the chance that was given to what came."""
        chance = np.clip(self.table[column].to_numpy(dtype=float), 1e-12, 1 - 1e-12)
        won = self.table["won"].to_numpy(dtype=bool)
        return np.asarray(-np.where(won, np.log(chance), np.log1p(-chance)))


def hold_out(
    table: LeadTable,
    names: Sequence[str],
    *,
    share: float,
    seed: int,
    code: Encoder,
    delays: dict[str, float] | None = None,
) -> Holdout | None:
    """Train on the older leads, as all was known when the last of them came, and test on the newer ones.

    What is forecast is a win by the last day of the table: P(win) x share of the wins that have come by that age. None
    where the older leads have won too little to learn from.
    """
    order = np.sort(table.created)
    split = order[min(int((1 - share) * len(order)), len(order) - 1)]
    train = table.as_of(split)
    if any(train.leads[name].notna().sum() < LEAST_MOVED for name in train.stages[1:]):
        return None
    test = table.rows(table.created > split)
    fitted = fit_scorer(train, names, seed=seed, delays=delays, code=code)
    base = fit_scorer(train, [], seed=seed, delays=delays)
    chances = {}
    for name, scorer in (("chance", fitted), ("base", base)):
        chances[name] = _mean_at_creation(scorer, test) * scorer.won_by(test.age)
    return Holdout(pd.DataFrame({**chances, "won": test.won}), split, len(train.leads))


def _mean_at_creation(scorer: Scorer, table: LeadTable) -> Array:
    pieces = [scorer.at_creation(part).mean(axis=0) for part in chunks(table)]
    return np.concatenate(pieces) if pieces else np.zeros(0)


def chunks(table: LeadTable) -> list[LeadTable]:
    """The table in pieces of at most CHUNK leads."""
    return [table.rows(slice(i, i + CHUNK)) for i in range(0, len(table.leads), CHUNK)]
