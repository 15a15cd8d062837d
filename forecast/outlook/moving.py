"""What the company knows, laid over the paths of the horizon: its events, and the changes that it stated.

    log traffic + column x size        log value of a deal + column x size        logit rate + column x size

A size that the history has a say in is the posterior's, and of an event each time ahead has a part of its own as those
behind had (sd SPREAD); of a rate it is a shift of the logit. What lies ahead alone is
drawn as stated, and multiplies a rate (never above 1). Columns: `history.Move`. After the horizon changes go on and
events do not. A term of one's own (`fit.Extended`) adds to log traffic, logit rate or log value what the posterior
holds of it ahead; after the horizon as in the period that follows, where it reaches so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from forecast.columns import TABLES
from forecast.errors import UsageError
from forecast.fit import Posterior
from forecast.history import SPREAD, TRAFFIC, VALUE, History, Move, moves_of, times_of
from forecast.outlook.case import Case, Future, future_paths
from forecast.periods import Periods, parse_period, period_label, shift
from forecast.study import Z80, ShiftSpec, Study

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A move and its size, (draw,): of the log, or of the logit where it is a rate that the fit knows of (`fitted`)."""

    move: Move
    size: Array
    fitted: bool

    def shift(self, starts: Periods, history: History) -> Array:
        """Of the log or logit in periods, (draw, period, channel)."""
        column = self.move.column(starts, history)
        return self.size[:, None, None] * column[:, None] * self.move.channels


def case_of(
    study: Study, history: History, posterior: Posterior, plan: Array, rng: np.random.Generator
) -> Case:
    """The question at a plan (period, channel), the walks of its horizon drawn, with what the study knows of it.

    Leads that flow back come later.
    """
    future = future_paths(posterior, history, len(plan), rng)
    return Case(study, history, posterior, with_moves(future, study, history, posterior, rng), plan)


def with_moves(
    future: Future, study: Study, history: History, posterior: Posterior, rng: np.random.Generator
) -> Future:
    """The paths with what the study knows of them; nothing is drawn or copied where it knows none."""
    drawn = _drawn(study, history, posterior, rng)
    terms = terms_of(posterior, len(future.starts))
    if not (drawn or terms):
        return future
    traffic, tail, deal, later_deal = (
        future.log_traffic,
        future.tail_traffic,
        future.value,
        future.later_value,
    )
    rates, after = dict(future.rates), dict[str, Array]()
    beyond = np.array([shift(future.starts[-1], 1, history.period)], dtype="datetime64[D]")

    def shifts() -> Iterator[tuple[str, Array, Array, bool]]:
        for one in drawn:
            ahead = one.shift(future.starts, history)
            if one.fitted and one.move.varies:
                for each in times_of(one.move.column(future.starts, history)):
                    apart = SPREAD * rng.standard_normal((posterior.draws, 1, 1))
                    ahead = ahead + apart * each[:, None] * one.move.channels
            later = np.zeros_like(ahead[:, 0]) if one.move.event else one.shift(beyond, history)[:, 0]
            yield one.move.target, ahead, later, one.fitted
        for target, (ahead, later) in terms.items():
            yield target, ahead, later, True

    for target, ahead, later, fitted in shifts():
        if not (ahead.any() or later.any()):
            continue
        if target == TRAFFIC:
            traffic, tail = traffic + ahead, tail + later
        elif target == VALUE:
            deal, later_deal = deal * np.exp(ahead), later_deal * np.exp(later)
        elif target in rates:
            path = rates[target]
            then = _moved(path[:, -1] * after.get(target, 1.0), later, fitted)
            rates[target] = _moved(path, ahead, fitted)
            after[target] = then / np.maximum(rates[target][:, -1], 1e-300)
    future = replace(future, log_traffic=traffic, tail_traffic=tail, rates=rates, after=after)
    return replace(future, value=deal, later_value=later_deal)


def terms_of(posterior: Posterior, horizon: int) -> dict[str, tuple[Array, Array]]:
    """Terms of one's own by target: in the horizon (draw, period, channel), and after it (draw, channel).

    Raises UsageError where one is not known over the whole horizon.
    """
    found = {}
    for variable in posterior.data.data_vars:
        name = str(variable)
        if "ahead" not in posterior.data[name].dims:
            continue
        target, values = name.removeprefix("term_"), posterior.array(name)
        known = values.shape[1]
        if known < horizon:
            raise UsageError(
                f"the term of {target} is known for {known} periods ahead, the plan has {horizon}: give "
                "`ahead` for at least as many (fit.Extended)"
            )
        later = values[:, horizon] if known > horizon else np.zeros_like(values[:, 0])
        found[target] = values[:, :horizon], later
    return found


def _moved(rate: Array, by: Array, fitted: bool) -> Array:
    if fitted:
        return np.asarray(np.where(by == 0.0, rate, expit(logit(rate) + by)))
    return np.minimum(rate * np.exp(by), 1.0)


def _drawn(study: Study, history: History, posterior: Posterior, rng: np.random.Generator) -> list[Drawn]:
    """Sizes of all moves: of those that the fit knows of the posterior's, of the others as stated."""
    known: dict[str, int] = {}
    found = []
    for move in moves_of(study, history):
        name = f"moved_{move.target}"
        if move.seen(history) and name in posterior.data:
            place = known[move.target] = known.get(move.target, -1) + 1
            found.append(Drawn(move, posterior.array(name)[:, place], True))
        elif not move.learnt:  # else nothing is known of it: a past before its first time
            noise = rng.standard_normal(posterior.draws) if move.sd > 0 else 0.0
            found.append(Drawn(move, np.full(posterior.draws, move.mean) + move.sd * noise, False))
    return found


# ------------------------------------------------------------------------------------------------- what is told of it

COLUMNS = [column.name for column in TABLES["known"][1]]
LEVELS = (0.1, 0.5, 0.9)


def known_table(case: Case) -> pd.DataFrame:
    """Events and changes that the forecast holds: what each moves, when in the horizon, how many times, and whence.

    Of a rate whose size the fit knows, the factor is that of the company's rate today.
    """
    moves = _drawn(case.study, case.history, case.posterior, np.random.default_rng(0))
    terms = terms_of(case.posterior, case.horizon)
    rows = [_told(case, one) for one in moves] + [_term_told(case, *each) for each in terms.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _term_told(case: Case, target: str, moved: tuple[Array, Array]) -> dict[str, Any]:
    """A row of a term: the factor of the periods and channels of the horizon that it moves, on average."""
    ahead = moved[0]
    inside = ahead.any(axis=0)
    size = ahead[:, inside].mean(axis=1) if inside.any() else np.zeros(len(ahead))
    factors = np.exp(size)
    if target not in (TRAFFIC, VALUE):
        today = float(case.posterior.array(f"logit_now_{target}").mean())
        factors = expit(today + size) / expit(today)
    what = {TRAFFIC: "traffic", VALUE: "deal value"}.get(target, f"rate into {target}")
    chosen = [name for name, yes in zip(case.channels, inside.any(axis=0), strict=True) if yes]
    when = [label for label, yes in zip(case.labels, inside.any(axis=1), strict=True) if yes]
    return {
        "name": case.posterior.provenance.get("terms", {}).get(target, "term"),
        "moves": what,
        "channels": "all" if len(chosen) in (0, len(case.channels)) else ", ".join(chosen),
        "when": ", ".join(when) or "not in the horizon",
        **dict(zip(("q10", "q50", "q90"), map(float, np.quantile(factors, LEVELS)), strict=True)),
        "source": "a term of the model",
    }


def _told(case: Case, one: Drawn) -> dict[str, Any]:
    move, history, stated = one.move, case.history, Z80 * one.move.sd
    size = np.array([move.mean - stated, move.mean, move.mean + stated])
    if one.fitted:
        apart = SPREAD * np.random.default_rng(1).standard_normal(one.size.shape) * move.varies
        size = np.quantile(one.size + apart, LEVELS)
        if move.target not in (TRAFFIC, VALUE):
            today = float(case.posterior.array(f"logit_now_{move.target}").mean())
            size = np.log(expit(today + size) / expit(today))
    what = {TRAFFIC: "traffic", VALUE: "deal value"}.get(move.target, f"rate into {move.target}")
    chosen = [name for name, yes in zip(case.channels, move.channels, strict=True) if yes]
    told = {"name": move.name, "moves": what, "channels": "all" if move.channels.all() else ", ".join(chosen)}
    q10, q50, q90 = (float(factor) for factor in np.exp(size))
    return told | {
        "when": _when(case, move),
        "q10": q10,
        "q50": q50,
        "q90": q90,
        "source": _source(history, one),
    }


def _when(case: Case, move: Move) -> str:
    """The periods of the horizon in which it moves the forecast."""
    if isinstance(move.spec, ShiftSpec):
        start = parse_period(move.spec.from_, case.history.period)
        label = period_label(start, case.history.period)
        return f"from {label} on" if start <= case.future.starts[-1] else f"from {label}, after the horizon"
    inside = move.column(case.future.starts, case.history) > 0
    return (
        ", ".join(label for label, yes in zip(case.labels, inside, strict=True) if yes)
        or "not in the horizon"
    )


def _source(history: History, one: Drawn) -> str:
    """Whether its size is stated, learnt, or both."""
    if not one.fitted:
        return "stated"
    column = one.move.column(history.periods, history)
    if not one.move.event:
        return "stated, and seen since" if one.move.sd > 0 else "stated"
    times = int((column > 0).sum())
    seen = f"{times} {history.period}{'s' if times > 1 else ''} of the history"
    if one.move.learnt:
        return f"learnt from {seen}"
    return f"stated, and {seen}" if one.move.sd > 0 else "stated"
