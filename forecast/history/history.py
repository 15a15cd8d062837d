"""What was seen: counts by period and channel, and (from dated leads) triangles of what became of each cohort when.

Three clocks, never mixed. With leads dated, one lead that came in January and was won in March is

                  period (calendar)                          age (periods since the cohort began)
              Jan   Feb   Mar   Apr                          0     1     2     3
    leads      1     .     .     .            cohort Jan     .     .     1     ?     <- won, seen at age 2
    won        .     .     1     .            cohort Feb     .     .     ?
                                              cohort Mar     .     ?           ? = not yet known at the last period

`period` is the calendar; `cohort` is the period in which a unit entered the stage before; `age` counts periods since
then. The cell (cohort, age) of a triangle happened in period cohort + age. `horizon` (periods after the last one)
starts where a history ends.

A blank (NaN) is not a zero: zero was counted, a blank was not. The only way to make a past is `History.as_of`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forecast.checks import Check
from forecast.errors import DataError
from forecast.history.courses import Courses
from forecast.history.schedules import known_of, no_schedule
from forecast.periods import (
    PERIODS_PER_YEAR,
    Periods,
    parse_period,
    period_index,
    period_label,
    period_range,
    shift,
    start_of,
)
from forecast.read import FileRead
from forecast.showing import Card, Shows
from forecast.study import UNATTRIBUTED
from forecast.words import message

if TYPE_CHECKING:
    from forecast.history.snapshots import Snapshots

MONEY = ("spend", "revenue")
BESIDE = (
    "refunds",
    "recurring",
)  # money that no deal of its period brings: see `forecast.fit.refunds`, `.recurring`
BASE = UNATTRIBUTED  # the channel of what no channel is credited with, where units are counted in total alone
STOPPED_AFTER = 2  # periods without any record: one may be late or forgotten, two are an end
CURRENT_PERIODS = 3  # what is spent now is the mean of so many last periods
MIN_MONTHS_FOR_SEASON = 13  # a shorter history tells nothing of the season


class Deals(NamedTuple):
    """Single deals, (deal,) each: index of their period and of their channel, and amount (NaN: not recorded)."""

    period: NDArray[np.int64]
    channel: NDArray[np.int64]
    amount: NDArray[np.float64]


class Sales(NamedTuple):
    """Money beside the wins it was paid for, (sale,): channel and period by index, wins, currency, both above 0."""

    channel: NDArray[np.int64]
    period: NDArray[np.int64]
    wins: NDArray[np.float64]
    money: NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class History(Shows):
    """A validated history; its arrays are read-only.

    counts: dims (period, channel), NaN where nothing was recorded; one variable per stage with data, and `spend`,
    `revenue`, `refunds` and `recurring` (currency) where recorded: what deals brought, what was paid back of it, and
    what customers won before went on paying. Under "calendar" and "leads" a cell counts what happened in that period,
    under "cohort" what has become, by the last period, of the leads created in it.
    triangles (leads only): by destination stage, dims (cohort, age, channel): of the units that entered the stage
    before in `cohort`, how many reached this one at `age`. losses: the same for units lost while waiting for the stage.
    courses (leads only): by destination stage, when units entered the stage before and when they left it, by day.
    won_since (leads only): a triangle of the leads created in `cohort` that were won at `age`, whatever stages lie
    between; by the same rows as the triangles, and with no place in `fingerprint`.
    deals (leads only): period won, channel, amount (NaN: won, amount not recorded).
    reading: what a reader should know of how the data were read (rows left out, a partial last period); it is no part
    of the content and has no place in `fingerprint`.
    files: how each file was read, for the page that says so; found: what the reading found, as checks of the audit;
    likewise no part of the content.
    schedule (leads only): units in the stage before the last of which the date of moving is known in advance, by
    channel, period `entered`, `scheduled`, `ended` (won or lost; NaT: open), whether `won`, and how many (`n`).
    copies: how earlier days are read, of data that change after the fact (`history.snapshots`); no part of the content.
    attributed: whether units are counted by channel. If not, all stand in the channel BASE; the others have spend.

    Facts that follow from these are worked out once and kept, read-only too.
    """

    counts: xr.Dataset
    counting: str
    period: str
    stages: tuple[str, ...]
    triangles: dict[str, xr.DataArray] = field(default_factory=dict)
    losses: dict[str, xr.DataArray] = field(default_factory=dict)
    deals: pd.DataFrame = field(default_factory=lambda: no_deals())  # noqa: PLW0108 - defined below
    sources: dict[str, str] = field(default_factory=dict)
    reading: dict[str, str] = field(default_factory=dict)
    files: tuple[FileRead, ...] = ()
    found: tuple[Check, ...] = ()
    attributed: bool = True
    schedule: pd.DataFrame = field(default_factory=no_schedule)
    courses: Mapping[str, Courses] = field(default_factory=dict)
    won_since: xr.DataArray | None = None
    copies: Snapshots | None = None

    def __post_init__(self) -> None:
        since = [] if self.won_since is None else [self.won_since]
        for array in (
            *self.counts.data_vars.values(),
            *self.triangles.values(),
            *self.losses.values(),
            *since,
        ):
            array.values.flags.writeable = False

    @cached_property
    def periods(self) -> Periods:
        """First day of each period, `datetime64[D]`."""
        starts = self.counts["period"].values.astype("datetime64[D]")
        starts.flags.writeable = False
        return starts

    @cached_property
    def by_day(self) -> Mapping[str, Courses]:
        """The courses by stage, where all of them tell days; else none."""
        told = (own.tells_days(self.period) for own in self.courses.values() if own.n.size)
        return self.courses if all(told) else {}

    @cached_property
    def channels(self) -> list[str]:
        """Channels in order of first appearance."""
        return [str(name) for name in self.counts["channel"].values]

    @property
    def last(self) -> np.datetime64:
        """First day of the as-of period: the last one that is known."""
        return np.datetime64(self.periods[-1], "D")

    @property
    def end(self) -> np.datetime64:
        """Last day of the as-of period."""
        return last_day_of(self.last, self.period)

    @property
    def known_day(self) -> np.datetime64:
        """Last day that single leads are known of: the latest date of their file as it was read; of a past, its end."""
        return np.datetime64(self.reading["last_day"], "D") if "last_day" in self.reading else self.end

    @cached_property
    def labels(self) -> list[str]:
        """The periods as people write them."""
        return [period_label(start, self.period) for start in self.periods]

    def filled(self, name: str) -> NDArray[np.float64]:
        """Counts of a stage or money of `spend` or `revenue`, (period, channel), blanks as 0; a new array."""
        return np.nan_to_num(np.asarray(self.counts[name].values, dtype=float), nan=0.0)

    def total(self, name: str) -> NDArray[np.float64]:
        """A measure summed over channels, (period,), blanks as 0; NaN where no channel has a number."""
        cells = self.counts[name].values
        return np.where(np.isfinite(cells).any(axis=1), np.nansum(cells, axis=1), np.nan)

    def came(self, name: str) -> NDArray[np.float64]:
        """A measure summed over channels, (period,); NaN where it is not known whole: never a part taken for it.

        A blank is nothing only where nothing was to be counted: in a channel that never counts the measure, or that
        has no record of the period; and of revenue, beside no win. Elsewhere a blank leaves the sum unknown.
        """
        cells = self.counts[name].values
        blank = np.isnan(cells)
        beside = self.beside.sum(axis=1) if name == "revenue" else 0.0
        if name == "revenue" and "won" in self.counts:
            there = ~(self.counts["won"].values == 0) & channels_seen(self.counts)
            there &= (self.filled("won") > 0) | ~blank.all(axis=0)
        else:
            there = ~blank.all(axis=0) & channels_seen(self.counts)
        known = ~(blank & there).any(axis=1) & ~blank.all(axis=1)
        return np.where(known, np.nansum(cells, axis=1) + beside, np.nan)

    def outcome(self, name: str) -> NDArray[np.float64]:
        """What came of a measure, (period, channel), NaN where it is not known: of revenue, all that is booked.

        That is what deals brought, less refunds, plus what recurs; see `came` for the sum over channels.
        """
        cells = np.asarray(self.counts[name].values, dtype=float)
        if name != "revenue" or not set(BESIDE) & set(self.counts):
            return cells
        alone = np.isnan(cells).all(axis=0) & (self.beside != 0)  # nothing but money that recurs
        return np.where(alone, 0.0, cells) + self.beside

    @cached_property
    def beside(self) -> NDArray[np.float64]:
        """What recurs less refunds, (period, channel); NaN where what recurs is not known of a channel that has some.

        A blank refund is none.
        """
        back, again = (self.filled(n) if n in self.counts else self.spend * 0.0 for n in BESIDE)
        if "recurring" in self.counts:
            begun = np.maximum.accumulate(again > 0, axis=0)
            again = np.where(begun & ~self.present("recurring"), np.nan, again)
        return _fixed(again - back)

    def present(self, *names: str) -> NDArray[np.bool_]:
        """Cells (period, channel) in which every one of `names` was recorded; a new array."""
        return np.logical_and.reduce([np.isfinite(self.counts[name].values) for name in names])

    @cached_property
    def counted(self) -> tuple[str, ...]:
        """The stages that the history has counts for, in the order of the funnel."""
        return tuple(stage for stage in self.stages if stage in self.counts)

    @cached_property
    def steps(self) -> tuple[tuple[str, str], ...]:
        """(stage before, stage) for each step of the funnel that the history has counts for."""
        return tuple(pairwise(self.counted))

    @cached_property
    def entry(self) -> NDArray[np.int64]:
        """Where each channel enters the funnel, (channel,): index in `counted` of the first stage counted for it.

        A channel without a single count of the first stage (leads without a known visit, say) is not of unknown size:
        it enters at the first stage that is counted for it, and has no rate before. 0 where nothing is counted at all;
        a channel that is nowhere there (`there`), of recurring revenue alone, has no rates.
        """
        seen = np.array([(self.filled(stage) > 0).any(axis=0) for stage in self.counted])
        never = np.where(self.there.any(axis=0), 0, len(self.counted) - 1)
        return _fixed(np.where(seen.any(axis=0), seen.argmax(axis=0), never).astype(np.int64))

    def enters_later(self, stage: str) -> NDArray[np.bool_]:
        """Channels that enter the funnel at `stage` or after it, (channel,): they have no rate into it."""
        return self.entry >= self.counted.index(stage)

    @cached_property
    def entries(self) -> NDArray[np.float64]:
        """Units entering the funnel, (period, channel), each channel at its own first stage; blanks are NaN."""
        cells = np.stack([np.asarray(self.counts[stage].values, dtype=float) for stage in self.counted])
        return _fixed(np.take_along_axis(cells, self.entry[None, None, :], axis=0)[0])

    @cached_property
    def there(self) -> NDArray[np.bool_]:
        """Where a channel was there, (period, channel): a stage or its spend has a number.

        Among leads, it has activity or a lead: their counts are 0, and never blank, from its first period on.
        """
        own = ["spend", *self.counted] if "spend" in self.counts else list(self.counted)
        if self.counting != "leads":
            return _fixed(np.logical_or.reduce([self.present(name) for name in own]))
        before = [name for name in own if name not in self.triangles]
        leads = self.counts[before.pop()].values > 0
        return _fixed(np.logical_or.reduce([leads, *(self.present(name) for name in before)]))

    @cached_property
    def stopped(self) -> NDArray[np.bool_]:
        """Channels that are over unless money is planned, (channel,).

        Nothing is recorded of the last two periods (`there`), or a channel with spend in the past now shows neither
        spend nor units. A blank is not known, so one blank cell is no end; nor is a zero of a channel without spend.
        """
        last = self.entries[-1]
        gone = np.isnan(last) & ~self.there[-STOPPED_AFTER:].any(axis=0)
        return _fixed(gone | ((last == 0) & (self.spend[-1] == 0) & self.paid))

    @cached_property
    def spend(self) -> NDArray[np.float64]:
        """Spend (period, channel), currency, blanks as no spend; zeros where none is recorded at all."""
        none = np.zeros((self.periods.size, len(self.channels)))
        return _fixed(self.filled("spend") if "spend" in self.counts else none)

    @cached_property
    def current_spend(self) -> NDArray[np.float64]:
        """Spend a period as it is now, (channel,): the mean of the last three periods, a blank counted as 0."""
        return _fixed(self.spend[-CURRENT_PERIODS:].mean(axis=0))

    @property
    def tells_last_year(self) -> bool:
        """Whether the history is long enough for `spend_last_year`: a year, and a quarter before it."""
        return self.periods.size >= PERIODS_PER_YEAR[self.period] * 5 // 4

    def spend_last_year(self, periods: int) -> NDArray[np.float64]:
        """Spend of the same periods a year before, scaled to the recent level, (period, channel); a blank counts as 0.

        A channel's level is its spend of the last quarter of a year over that of the same periods a year earlier. A
        channel without any spend then has no such year, and goes on with `current_spend`. Beyond a year ahead the year
        is repeated.
        """
        year = PERIODS_PER_YEAR[self.period]
        recent, n = year // 4, self.periods.size
        same = self.spend[n - year + np.arange(periods) % year]
        then = self.spend[n - year - recent : n - year].sum(axis=0)
        level = self.spend[n - recent :].sum(axis=0) / np.where(then > 0, then, 1.0)
        return np.where(then > 0, same * level, self.current_spend)

    @cached_property
    def highest_spend(self) -> NDArray[np.float64]:
        """The most that was spent in one period, (channel,)."""
        return _fixed(self.spend.max(axis=0))

    @cached_property
    def spend_reference(self) -> NDArray[np.float64]:
        """Geometric mean of the positive spend of each channel, (channel,); 1 where there is none."""
        some = self.spend > 0
        logs = np.log(np.where(some, self.spend, 1.0)).sum(axis=0)
        return _fixed(np.exp(logs / np.maximum(some.sum(axis=0), 1)))

    @cached_property
    def spend_now(self) -> NDArray[np.float64]:
        """Current spend over the reference, (channel,); 1 where nothing is spent now."""
        return _fixed(np.where(self.current_spend > 0, self.current_spend / self.spend_reference, 1.0))

    @cached_property
    def paid(self) -> NDArray[np.bool_]:
        """Channels with recorded spend above 0, (channel,): what spend brings can be learnt of them alone."""
        return _fixed((self.spend > 0).any(axis=0))

    @cached_property
    def media(self) -> NDArray[np.bool_]:
        """Channels but the base of sales that are not attributed, (channel,)."""
        return _fixed(np.array([self.attributed or name != BASE for name in self.channels], dtype=bool))

    @property
    def whole(self) -> History:
        """All channels as one, of sales that are not attributed: counts of the base, spend of all; else itself."""
        if self.attributed:
            return self
        one = self.counts.isel(channel=np.flatnonzero(~self.media))
        if "spend" in one:
            one = one.assign(spend=one["spend"].copy(data=self.total("spend")[:, None]))
        return replace(self, counts=one, attributed=True)

    @property
    def spenders(self) -> list[str]:
        """Names of the channels that `paid` marks."""
        return [name for name, yes in zip(self.channels, self.paid, strict=True) if yes]

    @cached_property
    def amounts(self) -> Deals:
        """Deals of a known amount, those of 0 too, in the order of `deals`; none among counts."""
        rows, columns, amount = places_of_deals(self.deals, self.periods, self.channels, self.period)
        known = np.isfinite(amount)
        return Deals(_fixed(rows[known]), _fixed(columns[known]), _fixed(amount[known]))

    @cached_property
    def priced(self) -> Deals:
        """Deals of a known amount above 0, in the order of `deals`; none among counts."""
        some = self.amounts.amount > 0
        period, channel, amount = self.amounts
        return Deals(_fixed(period[some]), _fixed(channel[some]), _fixed(amount[some]))

    @cached_property
    def paid_wins(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Wins whose money is known, and that money, (period, channel) each: what a mean deal may be made of.

        Of leads, the deals with an amount; of counts, the cells in which both are recorded.
        """
        cells = self.periods.size, len(self.channels)
        if self.counting == "leads" and len(self.deals):
            deals, money = np.zeros(cells), np.zeros(cells)
            place = self.amounts.period, self.amounts.channel
            np.add.at(deals, place, 1.0)
            np.add.at(money, place, self.amounts.amount)
        elif {"won", "revenue"} <= set(self.counts):
            both = self.present("won", "revenue")
            deals, money = (np.where(both, self.filled(name), 0.0) for name in ("won", "revenue"))
        else:
            deals, money = np.zeros(cells), np.zeros(cells)
        return _fixed(deals), _fixed(money)

    @cached_property
    def free(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Deals that brought nothing, and deals of which it is known whether they did, (period, channel) each.

        Of leads, deals with an amount of 0; of counts, the wins of cells with a revenue of 0. Not where money may be
        booked beside its win, in another cell: in a channel that has money in cells without wins, nor in a cell from
        which refunds were taken.
        """
        known = self.paid_wins[0]
        if self.counting == "leads" and len(self.deals):
            none = np.zeros(known.shape)
            np.add.at(none, (self.amounts.period, self.amounts.channel), self.amounts.amount == 0)
            return _fixed(none), known
        if not {"won", "revenue"} <= set(self.counts):
            return _fixed(np.zeros(known.shape)), known
        won, money = (self.counts[name].values for name in ("won", "revenue"))
        beside = ((money > 0) & ~(won > 0)).any(axis=0)
        back = self.filled("refunds") > 0 if "refunds" in self.counts else np.zeros(known.shape, dtype=bool)
        return _fixed(np.where((money == 0) & ~beside & ~back, known, 0.0)), known

    @cached_property
    def sales(self) -> Sales:
        """What deal values are learnt from: single deals where their amounts are known, else cells of counts.

        Every win and all money counts, once; deals that brought nothing (`free`) are apart, as a share of all. Money
        may be booked in another period than its win: where a cell has only one of the two, it is taken together with
        those that follow in its channel until both are there (what is left at the end joins the last). A channel that
        never has both has no sales. Cells with a blank, and deals whose amount is not known, are left out.
        """
        if self.counting == "leads" and len(self.deals):
            period, channel, amount = self.priced
            return _together(channel, period, np.ones(len(amount)), amount)
        if not {"won", "revenue"} <= set(self.counts):
            return _together(*(np.empty(0, dtype=np.int64),) * 2, np.empty(0), np.empty(0))
        channel, period = np.nonzero((self.present("won", "revenue") & (self.free[0] == 0)).T)
        won, money = (self.counts[name].values[period, channel] for name in ("won", "revenue"))
        return _together(channel.astype(np.int64), period.astype(np.int64), won, money)

    @property
    def valued(self) -> bool:
        """Whether the value of a deal can be learnt: some channel has wins and money. A column of zeros has none."""
        return len(self.sales.money) > 0

    @property
    def has_season(self) -> bool:
        """Whether the history is long enough to say anything of the season."""
        return self.periods.size * 12 >= MIN_MONTHS_FOR_SEASON * PERIODS_PER_YEAR[self.period]

    def as_of(self, period: np.datetime64 | str) -> History:
        """The history as it was known at the end of `period` (a start or a label): nothing that came later is in it.

        Where copies of earlier days are kept it is read from the one of that time, so that what was edited later is not
        in it either. Without them it is what is believed today, less what happened later.

        Raises DataError for a period outside the history, for one of which no copy was made, and for cohort counts
        without copies at any period but the last: what had become of a cohort by then is not in such a table.
        """
        end = (
            parse_period(period, self.period)
            if isinstance(period, str)
            else start_of(period, self.period)[()]
        )
        n = int(period_index(end, self.periods[0], self.period)[()]) + 1
        if not 1 <= n <= self.periods.size:
            label = period_label(end, self.period)
            raise DataError(
                f"as of {label}: expected a period of the history, {self.labels[0]} to {self.labels[-1]}."
            )
        if n == self.periods.size:
            return self
        if self.copies is not None:
            day = last_day_of(self.periods[n - 1], self.period).astype(object)
            return self.copies.past(self.labels[0], self.labels[n - 1], day)
        if self.counting == "cohort":
            raise DataError(
                f"as of {self.labels[n - 1]}: counts by cohort cannot be taken back to an earlier period, because they "
                "do not say when each lead became a customer. Use calendar counts or a file of leads for that."
            )
        return self._cut(n)

    def tells(self, period: np.datetime64) -> bool:
        """Whether `as_of` can say what was known at the end of a period: copies of that time may not be kept."""
        day = last_day_of(period, self.period).astype(object)
        return self.copies is None or period == self.last or self.copies.of_period(day) is not None

    @property
    def believed(self) -> History:
        """The same without copies of earlier days: its pasts are what is believed of them today."""
        return self if self.copies is None else replace(self, copies=None)

    def first_periods(self, n: int) -> History:
        """The first `n` periods as they are counted today, with every channel and stage of today, seen by then or not.

        Of cohort counts they hold what became of each cohort until today.
        """
        return self._cut(n, every=True)

    def _cut(self, n: int, *, every: bool = False) -> History:
        counts = self.counts.isel(period=slice(0, n))
        keep = np.arange(len(self.channels)) if every else np.flatnonzero(channels_seen(counts).any(axis=0))
        counts = counts.isel(channel=keep)
        stages = self.stages if every else recorded_stages(counts, self.stages)
        deals = self.deals[self.deals["period"] <= np.datetime64(self.periods[n - 1], "ns")].reset_index(
            drop=True
        )
        singly = self.counting == "leads" and len(self.deals)  # amounts may be known as sums alone
        valued = not singly or bool(deals["amount"].notna().any())
        names = [str(name) for name in counts.data_vars]
        gone = [name for name in names if name not in stages and not any_recorded(counts, name)]
        gone += ["revenue"] if "revenue" in counts and "revenue" not in gone and not valued else []
        gone = [] if every else gone
        known, lost = (
            {stage: _cut_triangle(triangle, n, keep) for stage, triangle in triangles.items()}
            for triangles in (self.triangles, self.losses)
        )
        return History(
            counts=counts.drop_vars(gone).copy(deep=True),
            counting=self.counting,
            period=self.period,
            stages=stages,
            triangles=known,
            losses={stage: triangle for stage, triangle in lost.items() if triangle.values.any()},
            deals=deals,
            sources=self.sources,
            attributed=self.attributed,
            schedule=known_of(self.schedule, np.datetime64(self.periods[n - 1], "ns")),
            won_since=None if self.won_since is None else _cut_triangle(self.won_since, n, keep),
            courses={
                stage: own.until(last_day_of(self.periods[n - 1], self.period), keep)
                for stage, own in self.courses.items()
            },
        )

    def _card(self, *, whole: bool) -> Card:
        plural = "" if self.periods.size == 1 else "s"
        sums = {
            name: float(np.nansum(self.counts[name].values))
            for name in (*self.counted, *MONEY)
            if name in self.counts
        }
        return Card(
            f"History {self.labels[0]} to {self.labels[-1]}",
            {
                "length": f"{self.periods.size} {self.period}{plural}, {self.counting}",
                "channels": self.channels,
                **{name: message("{x:exact}", x=round(x)) for name, x in (sums.items() if whole else ())},
                "stages": list(self.counted),
                "files": [read.file for read in self.files],
            },
        )

    def fingerprint(self) -> str:
        """sha256 over the content: periods, channels, counts, triangles, deals; not file names, not row order."""
        head = {
            "counting": self.counting,
            "period": self.period,
            "stages": self.stages,
            "labels": self.labels,
            "channels": self.channels,
            **({} if self.attributed else {"attributed": False}),
        }
        digest = hashlib.sha256(json.dumps(head).encode())
        for kind, arrays in (
            ("counts", self.counts.data_vars),
            ("triangle", self.triangles),
            ("loss", self.losses),
        ):
            for name in sorted(map(str, arrays)):
                digest.update(f"\n{kind} {name} ".encode())
                digest.update(_bytes_of(arrays[name].values))
        for name in sorted(self.courses):
            digest.update(f"\ncourses {name} ".encode())
            for part in self.courses[name]:
                digest.update(_bytes_of(part))
        digest.update(b"\ndeals ")
        for values in places_of_deals(self.deals, self.periods, self.channels, self.period):
            digest.update(_bytes_of(values))
        if len(self.schedule):
            digest.update(b"\nschedule ")
            digest.update(self.schedule.to_csv(index=False).encode())
        return digest.hexdigest()


def no_deals() -> pd.DataFrame:
    """An empty table of deals."""
    columns = {"period": "datetime64[ns]", "channel": "object", "amount": "float64"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})


def places_of_deals(deals: pd.DataFrame, starts: Periods, channels: Sequence[str], kind: str) -> Deals:
    """All deals of a table, with the place of their period in `starts` and of their channel in `channels`."""
    place = {name: i for i, name in enumerate(channels)}
    rows = period_index(deals["period"].to_numpy(), starts[0], kind)
    columns = np.asarray(deals["channel"].map(place), dtype=np.int64)
    return Deals(rows, columns, deals["amount"].to_numpy(dtype=np.float64))


def _together(
    channel: NDArray[np.int64],
    period: NDArray[np.int64],
    wins: NDArray[np.float64],
    money: NDArray[np.float64],
) -> Sales:
    """Wins and money in the order of time, taken together by channel until both are above zero (`History.sales`).

    What is taken together stands in the period in which both were there.
    """
    order = np.argsort(channel, kind="stable")
    order = order[((wins > 0) | (money != 0))[order]]
    channel, period, wins, money = channel[order], period[order], wins[order], money[order]
    starts: list[int] = []
    until: list[int] = []
    whole = (wins > 0) & (money > 0)
    borders = (
        np.flatnonzero(np.diff(channel, prepend=-1, append=-1)) if len(channel) else np.empty(0, np.int64)
    )
    for first, end in pairwise(borders.tolist()):
        begun = len(starts)
        if whole[first:end].all():
            starts += range(first, end)
            until += range(first + 1, end + 1)
            continue
        at, sum_won, sum_money = first, 0.0, 0.0
        for i in range(first, end):
            sum_won, sum_money = sum_won + wins[i], sum_money + money[i]
            if sum_won > 0 and sum_money > 0:
                starts.append(at)
                until.append(i + 1)
                at, sum_won, sum_money = i + 1, 0.0, 0.0
        if at < end and len(starts) > begun:
            until[-1] = end
    at_start = np.array(starts, dtype=np.int64)
    won, paid = wins[at_start], money[at_start]
    both = period[np.array(until, dtype=np.int64) - 1]
    for k in np.flatnonzero(np.array(until, dtype=np.int64) - at_start > 1):
        won[k], paid[k] = (values[starts[k] : until[k]].sum() for values in (wins, money))
    return Sales(_fixed(channel[at_start]), _fixed(both), _fixed(won), _fixed(paid))


def _fixed[T: np.generic](values: NDArray[T]) -> NDArray[T]:
    """The same array, read-only from now on."""
    values.flags.writeable = False
    return values


def _bytes_of(values: NDArray[Any]) -> bytes:
    """The bytes of an array in one fixed form: little-endian, row by row, one NaN, one zero."""
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.nan, values + 0.0).astype("<f8")
    else:
        values = values.astype("<i8")
    return str(values.shape).encode() + np.ascontiguousarray(values).tobytes()


def _cut_triangle(triangle: xr.DataArray, n: int, channels: NDArray[np.int64]) -> xr.DataArray:
    """The triangle when only the first n periods are known: later cells are taken out."""
    cut = triangle.isel(cohort=slice(0, n), age=slice(0, n), channel=channels)
    known = np.add.outer(np.arange(n), np.arange(n)) < n
    return cut.copy(data=np.where(known[:, :, None], cut.values, 0))


def channels_seen(counts: xr.Dataset) -> NDArray[np.bool_]:
    """Cells (period, channel) of which anything is recorded."""
    return np.logical_or.reduce([np.isfinite(values.values) for values in counts.data_vars.values()])


def any_recorded(counts: xr.Dataset, name: str) -> bool:
    """Whether a measure has any number."""
    return name in counts and bool(np.isfinite(counts[name].values).any())


def recorded_stages(counts: xr.Dataset, stages: Sequence[str]) -> tuple[str, ...]:
    """The chain without the leading stages that nothing was recorded of: the funnel then starts later."""
    known = [i for i, stage in enumerate(stages) if any_recorded(counts, stage)]
    return tuple(stages[known[0] :]) if known else ()


def count_table(
    starts: Periods, channels: Sequence[str], measures: Mapping[str, NDArray[np.float64]], kind: str
) -> xr.Dataset:
    """Rows of (period, channel, measures) as a table of dims (period, channel), complete in its periods.

    Channels stand in order of first appearance in the rows sorted by period and name, so that the order of the rows
    does not matter. A pair that has no row is blank.
    """
    names, times = order_of(starts, channels), period_range(starts.min(), starts.max(), kind)
    place = {name: i for i, name in enumerate(names)}
    rows = period_index(starts, times[0], kind)
    columns = np.array([place[name] for name in channels])
    table = {}
    for measure, values in measures.items():
        cells = np.full((times.size, len(names)), np.nan)
        cells[rows, columns] = values
        table[measure] = cells
    return dataset(table, times, names)


def order_of(starts: Periods, channels: Sequence[str] | NDArray[np.object_]) -> list[str]:
    """Channels by first period, then by name."""
    first = first_of(starts, channels)
    days = np.array(list(first.values()), dtype="datetime64[D]").astype(np.int64).tolist()
    return [name for _, name in sorted(zip(days, first, strict=True))]


def first_of(starts: Periods, channels: Sequence[str] | NDArray[np.object_]) -> dict[str, np.datetime64]:
    """The first period of each channel."""
    code, known = pd.factorize(np.asarray(channels, dtype=object))
    first = np.full(len(known), np.iinfo(np.int64).max)
    np.minimum.at(first, code, starts.astype("datetime64[D]").astype(np.int64))
    return dict(zip(map(str, known), first.astype("datetime64[D]"), strict=True))


def dataset(cells: Mapping[str, NDArray[np.float64]], starts: Periods, channels: Sequence[str]) -> xr.Dataset:
    """Cells as a dataset of dims (period, channel), with units on each variable."""
    coords = {"period": starts.astype("datetime64[ns]"), "channel": np.array(channels, dtype=object)}
    units = {name: "currency" if name in (*MONEY, *BESIDE) else "count" for name in cells}
    variables = {
        name: (("period", "channel"), values, {"units": units[name]}) for name, values in cells.items()
    }
    return xr.Dataset(variables, coords=coords)


def triangle(cells: NDArray[np.int64], starts: Periods, channels: Sequence[str]) -> xr.DataArray:
    """Counts as a triangle of dims (cohort, age, channel), cohorts from the periods `starts`."""
    coords = {
        "cohort": starts.astype("datetime64[ns]"),
        "age": np.arange(starts.size),
        "channel": np.array(channels, dtype=object),
    }
    return xr.DataArray(cells, coords=coords, dims=("cohort", "age", "channel"), attrs={"units": "count"})


def last_day_of(start: np.datetime64, kind: str) -> np.datetime64:
    """Last day of the period that begins with `start`."""
    return np.datetime64(shift(start, 1, kind) - np.timedelta64(1, "D"), "D")
