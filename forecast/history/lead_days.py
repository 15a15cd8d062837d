"""Leads in groups of the same course by day: the one pass over all rows, from which all that is counted is made.

A group is a channel and a day of each date. There are far fewer of these than of leads, so that what rules say of dates
is asked of groups, and periods, courses and single amounts are made from them without another look at the rows.
"""

# ruff: noqa: S608 - SQL over names that are made here; texts are quoted, paths bound
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, pairwise

import numpy as np
import pandas as pd

from forecast.bounds import MOST
from forecast.history.lead_rows import LeadRows, literal
from forecast.read import BLANK

FINITE = "CAST('Infinity' AS DOUBLE PRECISION)"  # which nothing is below that is no number
HUGE = f'NOT abs("v_amount") < {MOST}'  # so are infinity and what is no number
UNKNOWN = "CAST('NaN' AS DOUBLE PRECISION)"  # a NULL in a list would reach numpy as 0
_COURSE = re.compile(r"([mlo])(\d*)(?:\.(\d+))?")
UNREAD = "DATE '0001-01-01'"  # as a key of groups: something came, and it is no day
TABLE = "leads_by_day"
PROBED, FEW_COURSES = (
    100_000,
    0.4,
)  # rows that are looked at first, and the share of them that are courses of their own

# of deals whose single amounts stay on a server; decimals add up to the same in any order
_PAID = 'CAST("v_amount" AS numeric)'
DEALS = 'FILTER (WHERE "v_won" IS NOT NULL)'
MONEY_SUMS = {
    "money": f"sum(greatest({_PAID}, 0))",
    "back": f"sum(greatest(-{_PAID}, 0))",
    "priced": 'count("v_amount")',
    "won_n": "count(*)",
}


@dataclass(frozen=True)
class Terms:
    """What is asked of the rows of leads.

    today: no date may be later. window: first days of the first and last period asked for; dates far from all others
    are asked about inside it alone. net_revenue: amounts below 0 are meant. converts: amounts are converted, so that
    each needs its currency. any_order: of a stage after the first and those after it, the earliest date counts.
    """

    today: date | None = None
    window: tuple[np.datetime64 | None, np.datetime64 | None] = (None, None)
    net_revenue: bool = False
    converts: bool = False
    any_order: bool = False


def later(name: str, terms: Terms) -> str:
    """SQL of whether a date is later than today."""
    return f"\"v_{name}\" > DATE '{terms.today}'"


@dataclass(frozen=True)
class DayGroups:
    """Leads by channel and the days of their dates.

    table: SQL of them where a table is expected: `channel`, "v_<name>" of each date and "u_<name>" (something came that
    is no day), `n` leads and `amounts`, and whether any amount is `odd`, `unsure` or `proven`. single: its rows are
    leads, as nearly each takes a course of its own and groups would be as many, or as a server keeps no table for us.
    """

    relation: LeadRows
    stages: tuple[str, ...]
    dates: Sequence[str]
    terms: Terms
    table: str
    single: bool = False

    @staticmethod
    def of(relation: LeadRows, stages: tuple[str, ...], dates: Sequence[str], terms: Terms) -> DayGroups:
        """Look at all rows, once; on a server when an answer is asked for, as nothing can be kept there."""
        of_all = [*dates, *(["scheduled"] if "scheduled" in relation.cells else [])]
        named = f"coalesce(\"v_channel\", '{BLANK}') AS channel"
        amount = ['"v_amount"'] if "amount" in relation.cells else []
        marks = _marks(relation, terms)
        each = [f"coalesce({sql}, false) AS {name}" for name, sql in marks.items()]
        if relation.server:
            read = [f'"v_{name}"' for name in of_all]
            read += [f'("g_{name}" AND "v_{name}" IS NULL) AS "u_{name}"' for name in of_all]
            table = f"(SELECT {', '.join([named, *read, *amount, *each])} FROM {relation.rows}) AS by_day"
            return DayGroups(relation, stages, dates, terms, table, single=True)
        days = [
            f'"v_{name}" AS "k_{name}"'
            if name in relation.sure
            else f'coalesce("v_{name}", CASE WHEN "g_{name}" THEN {UNREAD} END) AS "k_{name}"'
            for name in of_all
        ]
        single, channel = own_courses(relation, of_all), '"v_channel"'
        if single:
            sql = f"SELECT {', '.join([channel, *days, *amount, *each])} FROM {relation.rows}"
        else:
            money = f'coalesce("v_amount", {UNKNOWN})' if amount else UNKNOWN
            measures = ["count(*) AS n", f"array_agg({money}) {DEALS} AS amounts"]
            measures += [f"{_any(sql)} AS {name}" for name, sql in marks.items()]
            places = ", ".join(str(place) for place in range(1, len(days) + 2))
            sql = f"SELECT {', '.join([channel, *days, *measures])} FROM {relation.rows} GROUP BY {places}"
        relation.ask(f"CREATE OR REPLACE TEMP TABLE {TABLE} AS {sql}")
        read = [f'CASE WHEN "k_{name}" <> {UNREAD} THEN "k_{name}" END AS "v_{name}"' for name in of_all]
        read += [f'coalesce("k_{name}" = {UNREAD}, false) AS "u_{name}"' for name in of_all]
        table = f"(SELECT *, {', '.join([named, *read])} FROM {TABLE}) AS by_day"
        return DayGroups(relation, stages, dates, terms, table, single)

    @property
    def _n(self) -> str:
        return "count(*) AS n" if self.single else "CAST(sum(n) AS BIGINT) AS n"

    def _start(self, kind: str, name: str) -> str:
        """SQL of the first day of the period of a date; PostgreSQL would take a zone into account, and long for it."""
        day = f'CAST("v_{name}" AS TIMESTAMP)' if self.relation.server else f'"v_{name}"'
        return f"CAST(date_trunc('{kind}', {day}) AS DATE)"

    def _money(self) -> list[str]:
        """SQL of the amounts of the deals of a group: a list, or of a server their sums."""
        there = "amount" in self.relation.cells
        if self.relation.server:
            return [f"{sql} {DEALS} AS {name}" for name, sql in MONEY_SUMS.items()] if there else []
        if not self.single:
            return [f"flatten(array_agg(amounts) {DEALS}) AS amounts"]
        amount = f'coalesce("v_amount", {UNKNOWN})' if there else UNKNOWN
        return [f"array_agg({amount}) {DEALS} AS amounts"]

    def _suspicion(self) -> str:
        """True for every group with a row that breaks a rule, and for few others."""
        parts = [f'"v_{self.stages[0]}" IS NULL', "odd"]
        parts += [f'"u_{name}"' for name in self.dates[1:]]
        parts += [] if self.terms.today is None else [later(name, self.terms) for name in self.dates]
        for before, name in pairwise(self.stages):
            parts += [f'"v_{name}" < "v_{before}"', f'("v_{name}" IS NOT NULL AND "v_{before}" IS NULL)']
        if "scheduled" in self.relation.cells:
            parts.append('"u_scheduled"')
        if "lost" in self.relation.cells:
            parts += ['("v_won" IS NOT NULL AND "v_lost" IS NOT NULL)']
            parts += [f'"v_lost" < "v_{name}"' for name in self.stages]
        return " OR ".join(parts)

    def grouped(self, kind: str) -> pd.DataFrame:
        """By period: channel, periods of the dates, n, amounts, last day of each date, whether any is bad."""
        cells = self.relation.cells
        dates = [*self.dates, *(["scheduled"] if "scheduled" in cells else [])]
        keys = ["channel", *(f'{self._start(kind, name)} AS "{name}"' for name in dates)]
        measures = [
            self._n,
            *self._money(),
            *(f'max("v_{name}") AS "last_{name}"' for name in self.dates),
            f"coalesce(bool_or({self._suspicion()}), false) AS bad",
            *(f"bool_or({mark}) AS {mark}" for mark in ("unsure", "proven")),
        ]
        places = ", ".join(str(place) for place in range(1, len(keys) + 1))
        sql = f"SELECT {', '.join([*keys, *measures])} FROM {self.table} GROUP BY {places}"
        return self._asked(sql)

    def _asked(self, sql: str, *, most: int | None = None) -> pd.DataFrame:
        """The answer as a table; of a server empty, and without columns, where it has more bytes."""
        if self.relation.server:
            return self.relation.table(sql, most=most)
        found: pd.DataFrame = self.relation.connection.execute(sql).df()
        return found

    def courses(self, names: Sequence[str], *, most: int | None = None) -> dict[str, pd.DataFrame] | None:
        """Courses by day before each stage but the first: see `courses.courses_of`; `names`: the channels' raw names.

        Leads created before the first period asked for are left out. Of a server a row is a channel and a day on which
        its units entered, with all that became of them in one text. None where these are more than `most` bytes.
        """
        numbered = ", ".join(f"({place}, {literal(name)})" for place, name in enumerate(names))
        channels = f"(VALUES {numbered}) AS lead_channels(channel, name)"
        lost = '"v_lost"' if "lost" in self.relation.cells else "CAST(NULL AS DATE)"
        since, left_over = self.terms.window[0], most
        inside = "" if since is None else f" AND \"v_{self.stages[0]}\" >= DATE '{since}'"
        found = {}
        for before, stage in pairwise(self.stages):
            inner = [
                "channel AS name",
                *([] if self.single else ["n"]),
                f'"v_{before}" AS entered',
                f'coalesce("v_{stage}", {lost}) AS "left"',
                f'("v_{stage}" IS NOT NULL) AS moved',
            ]
            sql = (
                f'SELECT channel, entered, "left", moved, {self._n} FROM (SELECT {", ".join(inner)} '
                f'FROM {self.table} WHERE "v_{before}" IS NOT NULL{inside}) AS courses '
                f"JOIN {channels} USING (name) GROUP BY 1, 2, 3, 4"
            )
            if not self.relation.server:
                found[stage] = self._asked(sql)
                continue
            own = self._asked(packed(sql), most=left_over)
            if not len(own.columns):
                return None
            found[stage] = unpacked(own)
            left_over = None if most is None else max(most - int(own["became"].str.len().sum()), 0)
        return found

    def amounts(self, kind: str, *, most: int | None) -> pd.DataFrame | None:
        """The single amounts of deals on a server, by channel and periods of creation and winning; n of each.

        None where they are more than `most` bytes.
        """
        first = self.stages[0]
        amount = '"v_amount"' if "amount" in self.relation.cells else "CAST(NULL AS DOUBLE PRECISION)"
        keys = ["channel", f'{self._start(kind, first)} AS "{first}"', f"{self._start(kind, 'won')} AS won"]
        deals = f'{self.table} WHERE "v_won" IS NOT NULL'
        sql = f"SELECT {', '.join(keys)}, {amount} AS amount, {self._n} FROM {deals} GROUP BY 1, 2, 3, 4"
        found = self._asked(sql, most=most)
        return found if len(found.columns) else None


def packed(courses: str) -> str:
    """SQL of courses as few bytes: of each channel and day a text such as "m5l12.3o.40".

    That is one that moved on after 5 days, three that were lost after 12, and 40 that are still there.
    """
    kind = "CASE WHEN moved THEN 'm' WHEN \"left\" IS NULL THEN 'o' ELSE 'l' END"
    age = "coalesce(CAST(\"left\" - entered AS text), '')"
    many = "CASE WHEN n > 1 THEN '.' || n ELSE '' END"
    told = f"string_agg({kind} || {age} || {many}, '') AS became"
    return f"SELECT channel, entered, {told} FROM ({courses}) AS courses GROUP BY 1, 2"


def unpacked(table: pd.DataFrame) -> pd.DataFrame:
    """The courses again: channel, entered, left, moved, n."""
    parts = [_COURSE.findall(text) for text in table["became"]]
    sizes = np.array([len(part) for part in parts], dtype=np.int64)
    flat = list(chain.from_iterable(parts))
    entered = np.repeat(table["entered"].to_numpy().astype("datetime64[D]"), sizes)
    age = np.array([int(days) if days else -1 for _, days, _ in flat], dtype=np.int64)
    left = np.where(age < 0, np.datetime64("NaT", "D"), entered + age)
    made = {
        "channel": np.repeat(table["channel"].to_numpy(dtype=np.int64), sizes),
        "entered": entered.astype("datetime64[s]"),
        "left": left.astype("datetime64[s]"),
        "moved": np.array([kind == "m" for kind, _, _ in flat], dtype=bool),
        "n": np.array([int(n or 1) for _, _, n in flat], dtype=np.int64),
    }
    return pd.DataFrame(made)


def _any(sql: str) -> str:
    """SQL of whether it holds for a row of a group; a filter spares the group each row of which it does not hold."""
    return sql if sql == "false" else f"coalesce(bool_or(true) FILTER (WHERE {sql}), false)"


def _marks(relation: LeadRows, terms: Terms) -> dict[str, str]:
    """SQL of whether an amount breaks a rule; is unsure (1.200 may be either number); proves the decimal point.

    A server is asked in the form that its texts have alone, and a column of numbers has none: nothing there is unsure,
    and "_" is in no number.
    """
    if "amount" not in relation.cells:
        return dict.fromkeys(("odd", "unsure", "proven"), "false")
    plain = relation.server or relation.cells["amount"].typed
    odd = [f'"v_amount" IS NULL OR {HUGE}']
    odd += [] if plain else ["strpos(\"t_amount\", '_') > 0"]
    odd += [] if terms.net_revenue else ['"v_amount" < 0']
    odd += ['"t_currency" IS NULL'] if terms.converts else []
    told = {"odd": f'CASE WHEN "g_amount" THEN {" OR ".join(odd)} END'}
    if plain:
        return told | dict.fromkeys(("unsure", "proven"), "false")
    either = """("t_amount" ~ '^[-+]?[0-9]{1,3}[.][0-9]{3}$')"""
    # a CASE looks at the few rows that it is about, where an AND would look at all
    pointed = """CASE WHEN strpos("t_amount", '.') > 0 THEN"""
    return told | {"unsure": f"{pointed} {either} END", "proven": f"{pointed} NOT {either} END"}


def own_courses(relation: LeadRows, dates: Sequence[str]) -> bool:
    """Whether nearly each lead takes a course of its own, as far as the first rows tell."""
    keys = ['"v_channel"', *(f'"v_{name}"' for name in dates)]
    first = f"SELECT DISTINCT {', '.join(keys)} FROM (SELECT * FROM {relation.rows} LIMIT {PROBED}) AS probed"
    ((n,),) = relation.ask(f"SELECT count(*) FROM ({first}) AS own").fetchall()
    return bool(n > FEW_COURSES * PROBED)
