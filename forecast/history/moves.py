"""Events and known changes of a study, laid over the periods of a history and those ahead of it.

A `Move` shifts the log of traffic or of the value of a deal, or the logit of a rate, by a size times its column:

    an event                             1 in its periods
    a change within the history         -1 before it and 0 from then on: today's level is that after it
    a change ahead                       0 up to the as-of date, 1 from then on
    a step that the history shows        as a change within it, of unknown size

So the walks and levels that are learnt are those of an ordinary period of today. A size is Normal(mean, sd): as stated,
or UNKNOWN wide where the data are to tell it. An event is not the same every year: each time it has, beside that size,
a part of its own with sd SPREAD. A factor f on a rate is a shift logit(f p) - logit(p) at the share p of the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.errors import StudyError
from forecast.history.breaks import NEAR, breaks_of
from forecast.history.history import History
from forecast.periods import Periods, parse_period, period_label
from forecast.study import Z80, EventSpec, FactorSpec, ShiftSpec, Study, nearest
from forecast.words import Text, message

Array = NDArray[np.float64]

UNKNOWN = 1.0  # sd of the log (of a rate: the logit) of a size that only the data tell: e to 1 either way
SPREAD = 0.1  # sd of the same from one time to the next
TRAFFIC, VALUE = "traffic", "value"  # what moves, beside destination stages
HIGHEST = 0.999  # of a rate that is multiplied


@dataclass(frozen=True, eq=False)
class Move:
    """One thing that an event or a change moves.

    key: of the study, for messages; name: for people; target: "traffic", "value" or a destination stage. channels: who
    is moved, (channel,). mean, sd: of its log size as stated; learnt: whether the data alone tell it. spec: which event
    or change it comes of; place: of an event whose numbers of the year have sizes of their own.
    """

    key: str
    name: str
    target: str
    channels: NDArray[np.bool_]
    mean: float
    sd: float
    learnt: bool
    spec: EventSpec | ShiftSpec
    place: str = ""

    @property
    def event(self) -> bool:
        """Whether it comes back, and moves its own periods alone."""
        return isinstance(self.spec, EventSpec)

    def column(self, starts: Periods, history: History) -> Array:
        """What its size is multiplied by in periods, (period,): see the module."""
        if isinstance(self.spec, EventSpec):
            return self.spec.falls(starts, history.period)[self.place].astype(float)
        first = parse_period(self.spec.from_, history.period)
        return (starts >= first).astype(float) - float(history.last >= first)

    @property
    def varies(self) -> bool:
        """Whether it is not the same each time: an event whose size is not known exactly."""
        return self.event and self.sd > 0

    def seen(self, history: History) -> bool:
        """Whether it moves any period of the history: then it is part of the fit."""
        return bool(self.column(history.periods, history).any())


def moves_of(study: Study, history: History) -> list[Move]:
    """All moves of a study, events first, in its order; channels that the history does not have are left out."""
    return [*_events(study, history), *_changes(study, history)]


def seen_moves(study: Study, history: History, target: str) -> list[Move]:
    """Those of one target that are part of the fit, in the order in which the posterior has their sizes.

    After what the study states stand the steps that the history shows of itself (`breaks`), of unknown size; where a
    change is stated within a few periods of one, that is what it is.
    """
    known = [move for move in moves_of(study, history) if move.target == target and move.seen(history)]
    stated = [parse_period(m.spec.from_, history.period) for m in known if isinstance(m.spec, ShiftSpec)]
    for broken in breaks_of(history):
        near = history.periods[max(broken.at - NEAR, 0) : broken.at + NEAR + 1]
        if broken.target != target or any(near[0] <= first <= near[-1] for first in stated):
            continue
        label = period_label(history.periods[broken.at], history.period)
        every = np.ones(len(history.channels), dtype=bool)
        spec = ShiftSpec.model_construct(from_=label)
        known.append(Move("", f"step at {label}", target, every, 0.0, UNKNOWN, True, spec))
    return known


def shift_prior(move: Move, history: History) -> tuple[float, float]:
    """Prior of its size in the fit, mean and sd: on the logit scale of a rate; sd 0 where it is known."""
    if move.target in (TRAFFIC, VALUE) or move.learnt:
        return move.mean, move.sd
    before = history.counted[history.counted.index(move.target) - 1]
    entered, moved = (float(history.filled(name).sum()) for name in (before, move.target))
    share = (moved + 1.0) / (max(entered, moved) + 2.0)
    ends = [np.exp(move.mean + z * move.sd) for z in (-Z80, Z80)]
    low, high = (float(_logit(min(share * end, HIGHEST)) - _logit(share)) for end in ends)
    return (low + high) / 2.0, (high - low) / (2.0 * Z80)


def move_data(study: Study, history: History, target: str) -> dict[str, Array]:
    """Moves of one part of the fit as arrays; nothing where there are none.

    event_columns (free, period), event_channels (free, channel), event_sds (free,): of the sizes that are not known
    exactly, and after them of each time that an event fell into the history. event_offset (period, channel): what all
    of them are expected to move. event_prior (2, move): mean and sd of each size.
    """
    moves = seen_moves(study, history, target)
    if not moves:
        return {}
    columns = np.array([move.column(history.periods, history) for move in moves])
    channels = np.array([move.channels for move in moves], dtype=float)
    prior = np.array([shift_prior(move, history) for move in moves]).T
    free = np.flatnonzero(prior[1] > 0)
    times = [(i, each) for i in free if moves[i].varies for each in times_of(columns[i])]
    own = np.reshape([each for _, each in times], (-1, columns.shape[1]))
    return {
        "event_columns": np.concatenate([columns[free], own]),
        "event_channels": channels[[*free, *(i for i, _ in times)]],
        "event_sds": np.concatenate([prior[1][free], np.full(len(times), SPREAD)]),
        "event_offset": np.einsum("e,et,ec->tc", prior[0], columns, channels),
        "event_prior": prior,
    }


def times_of(column: Array) -> list[Array]:
    """The times of an event, a column each: runs of periods that follow one another.

    >>> [each.tolist() for each in times_of(np.array([1.0, 0.0, 1.0, 1.0]))]
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    """
    number = np.cumsum(np.diff(column, prepend=0.0) > 0)
    return [np.where(number == i + 1, column, 0.0) for i in range(int(number.max(initial=0)))]


def check_moves(study: Study, history: History, horizon: Periods) -> None:
    """What only the data can judge of events and changes. Raises StudyError with every problem."""
    found: list[Text] = []
    named: Sequence[tuple[str, EventSpec | ShiftSpec]] = [
        *((f"event.{n}", event) for n, event in enumerate(study.events, start=1)),
        *((f"change.{n}", change) for n, change in enumerate(study.changes, start=1)),
    ]
    for key, spec in named:
        for name in spec.channels or ():
            if name not in history.channels:
                text = '{place}: expected channels of the history ({known:list}); came "{came}"{guess}'
                told = {"known": history.channels, "came": name, "guess": nearest(name, history.channels)}
                found.append(message(text, place=study.place(f"{key}.channels"), **told))
        if isinstance(spec, ShiftSpec) and parse_period(spec.from_, history.period) <= history.periods[0]:
            text = (
                '{place}: expected a period after {first}, the first one of the history; came "{came}": what has held '
                "throughout is in the data already, remove the table"
            )
            told = {"first": history.labels[0], "came": spec.from_}
            found.append(message(text, place=study.place(f"{key}.from"), **told))
    known = {*history.counted[1:], TRAFFIC} | ({VALUE} if history.valued or study.funnel.value else set())
    for move in moves_of(study, history):
        place = study.place(move.key)
        if move.target not in known:
            what = "revenue" if move.target == VALUE else move.target
            text = "{place}: the history has no {what}, so nothing of it can be moved: remove it"
            found.append(message(text, place=place, what=what))
        elif move.learnt and not move.seen(history):
            text = (
                "{place}: {name} falls in no period of the history, so its size cannot be learnt: give it, such as "
                "size = {{ times = [1.5, 2.5] }}{more}"
            )
            some = isinstance(move.spec, EventSpec) and move.spec.periods is not None
            more = ", or name its past periods too" if some else ""
            found.append(message(text, place=place, name=move.name, more=more))
        elif move.event and not move.seen(history) and not move.column(horizon, history).any():
            first, last = (period_label(start, history.period) for start in (history.periods[0], horizon[-1]))
            text = "{place}: {name} falls in no period from {first} to {last}: mend its periods, or remove it"
            found.append(message(text, place=place, name=move.name, first=first, last=last))
        elif not (history.attributed or (move.target == VALUE and move.channels.all())) and move.seen(
            history
        ):
            text = (
                "{place}: {name} falls into the history, whose sales are in total alone (history.spend_columns), and "
                "their fit has no place for it: remove it; for periods ahead alone it may be stated"
            )
            found.append(message(text, place=place, name=move.name))
    if found:
        raise StudyError(found)


def _events(study: Study, history: History) -> Iterator[Move]:
    for number, event in enumerate(study.events, start=1):
        for what in event.moves:
            for place in event.falls(history.periods, history.period):
                name = f"{event.name} ({place})" if place else event.name
                yield _move(
                    f"event.{number}", name, what.removeprefix("rate."), history, event, event.size, place
                )


def _changes(study: Study, history: History) -> Iterator[Move]:
    for number, change in enumerate(study.changes, start=1):
        for target, factor in change.parts():
            name = change.name or f"change from {change.from_}"
            yield _move(f"change.{number}", name, target, history, change, factor)


def _move(
    key: str,
    name: str,
    target: str,
    history: History,
    spec: EventSpec | ShiftSpec,
    factor: FactorSpec | None,
    place: str = "",
) -> Move:
    chosen = np.array([spec.channels is None or channel in spec.channels for channel in history.channels])
    mean, sd = (0.0, UNKNOWN) if factor is None else factor.log
    return Move(key, name, target, chosen, mean, sd, factor is None, spec, place)


def _logit(share: float) -> float:
    return float(np.log(share / (1.0 - share)))
