"""Leads in groups of the same course by day: the one pass over all rows, from which all that is counted is made.

A group is a channel and a day of each date. There are far fewer of these than of leads, so that what rules say of dates
is asked of groups, and periods, courses and single amounts are made from them without another look at the rows.
"""

# ruff: noqa: S608 - SQL over names that are made here; texts are quoted, paths bound
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd

from forecast.bounds import MOST
from forecast.history.lead_rows import LeadRows, literal
from forecast.read import BLANK

FINITE = "CAST('Infinity' AS DOUBLE PRECISION)"  # which nothing is below that is no number
HUGE = f'NOT abs("v_amount") < {MOST}'  # so are infinity and what is no number
UNKNOWN = "CAST('NaN' AS DOUBLE PRECISION)"  # a NULL in a list would reach numpy as 0
UNREAD = "DATE '0001-01-01'"  # as a key of groups: something came, and it is no day
TABLE = "leads_by_day"
PROBED, FEW_COURSES = 100_000, 0.4  # rows that are looked at first, and the share of them that are courses of their own

# of deals whose single amounts stay on a server; decimals add up to the same in any order
_PAID = 'CAST("v_amount" AS numeric)'
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
    is no day), `n` leads, amounts or the sums of them, and whether any amount is `odd`, `unsure` or `proven`. single: its
    rows are leads, as nearly each takes a course of its own, and groups would be as many.
    """

    relation: LeadRows
    stages: tuple[str, ...]
    dates: Sequence[str]
    terms: Terms
    table: str
    single: bool = False

    @staticmethod
    def of(relation: LeadRows, stages: tuple[str, ...], dates: Sequence[str], terms: Terms) -> DayGroups:
        """Look at all rows, once; on a server when an answer is asked for."""
        of_all = [*dates, *(["scheduled"] if "scheduled" in relation.cells else [])]
        channel = f"coalesce(\"v_channel\", '{BLANK}') AS channel"
        days = [
            f'coalesce("v_{name}", CASE WHEN "g_{name}" THEN {UNREAD} END) AS "k_{name}"' for name in of_all
        ]
        single = not relation.server and _each_its_own(relation, [channel, *days])
        read = [f'CASE WHEN "k_{name}" <> {UNREAD} THEN "k_{name}" END AS "v_{name}"' for name in of_all]
        read += [f'coalesce("k_{name}" = {UNREAD}, false) AS "u_{name}"' for name in of_all]
        marks = _marks(relation, terms)
        if single:
            amount = '"v_amount"' if "amount" in relation.cells else "NULL"
            told = [f"coalesce({sql}, false) AS {name}" for name, sql in marks.items()]
            columns = [channel, *days, f"CAST({amount} AS DOUBLE) AS amount", *told]
            sql = f"SELECT {', '.join(columns)} FROM {relation.rows}"
            read = ["1 AS n", *read]
        else:
            told = [f"coalesce(bool_or({sql}), false) AS {name}" for name, sql in marks.items()]
            columns = [channel, *days, "count(*) AS n", *_money(relation), *told]
            places = ", ".join(str(place) for place in range(1, len(days) + 2))
            sql = f"SELECT {', '.join(columns)} FROM {relation.rows} GROUP BY {places}"
        table = f"({sql}) AS {TABLE}"
        if not relation.server:
            relation.ask(f"CREATE OR REPLACE TEMP TABLE {TABLE} AS {sql}")
            table = TABLE
        whole = f"(SELECT *, {', '.join(read)} FROM {table}) AS by_day"
        return DayGroups(relation, stages, dates, terms, whole, single)

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
        """The groups by period: channel, periods of the dates, n, amounts, last day of each date, whether any is bad."""
        cells = self.relation.cells
        dates = [*self.dates, *(["scheduled"] if "scheduled" in cells else [])]
        keys = ["channel", *(f'CAST(date_trunc(\'{kind}\', "v_{name}") AS DATE) AS "{name}"' for name in dates)]
        deals = 'FILTER (WHERE "v_won" IS NOT NULL)'
        amounts = f"flatten(array_agg(amounts) {deals})"
        if self.single:
            amounts = f"array_agg(coalesce(amount, {UNKNOWN})) {deals}"
        money = [f"{amounts} AS amounts"]
        if self.relation.server:
            sums = MONEY_SUMS if "amount" in cells else {}
            money = [f"sum({name}) AS {name}" for name in sums]
        measures = [
            "CAST(sum(n) AS BIGINT) AS n",
            *money,
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

    def courses(
        self, kind: str, names: Sequence[str], *, most: int | None = None
    ) -> dict[str, pd.DataFrame] | None:
        """Courses by day before each stage but the first: see `courses.courses_of`; `names`: the channels' raw names.

        None where they are more than `most` bytes, of a server. A grouping set a step. Called after all checks.
        """
        numbered = ", ".join(f"({place}, {literal(name)})" for place, name in enumerate(names))
        channels = f"(VALUES {numbered}) AS lead_channels(channel, name)"
        lost = '"v_lost"' if "lost" in self.relation.cells else "NULL"
        found = {}
        for before, stage in pairwise(self.stages):
            inner = [
                "channel AS name",
                "n",
                f"CAST(date_trunc('{kind}', \"v_{self.stages[0]}\") AS DATE) AS created",
                f'CAST("v_{before}" AS DATE) AS entered',
                f'CAST(coalesce("v_{stage}", {lost}) AS DATE) AS "left"',
                f'("v_{stage}" IS NOT NULL) AS moved',
            ]
            sql = (
                f'SELECT channel, created, entered, "left", moved, CAST(sum(n) AS BIGINT) AS n FROM (SELECT '
                f'{", ".join(inner)} FROM {self.table} WHERE "v_{before}" IS NOT NULL) AS courses '
                f"JOIN {channels} USING (name) GROUP BY 1, 2, 3, 4, 5"
            )
            found[stage] = self._asked(sql, most=most)
        return found

    def amounts(self, kind: str, *, most: int | None) -> pd.DataFrame | None:
        """The single amounts of deals on a server, by channel and periods of creation and winning; n of each.

        None where they are more than `most` bytes.
        """
        first = self.stages[0]
        amount = '"v_amount"' if "amount" in self.relation.cells else "CAST(NULL AS DOUBLE PRECISION)"
        keys = [
            f"coalesce(\"v_channel\", '{BLANK}') AS channel",
            f'CAST(date_trunc(\'{kind}\', "v_{first}") AS DATE) AS "{first}"',
            f"CAST(date_trunc('{kind}', \"v_won\") AS DATE) AS won",
            f"{amount} AS amount",
        ]
        deals = f'{self.relation.rows} WHERE "v_won" IS NOT NULL'
        sql = f"SELECT {', '.join(keys)}, count(*) AS n FROM {deals} GROUP BY 1, 2, 3, 4"
        found = self.relation.table(sql, most=most)
        return found if len(found.columns) else None


def _money(relation: LeadRows) -> list[str]:
    """SQL of the amounts of the deals of a group: a list, or of a server their sums."""
    deals = 'FILTER (WHERE "v_won" IS NOT NULL)'
    if relation.server:
        sums = MONEY_SUMS if "amount" in relation.cells else {}
        return [f"{sql} {deals} AS {name}" for name, sql in sums.items()]
    amount = f'coalesce("v_amount", {UNKNOWN})' if "amount" in relation.cells else UNKNOWN
    return [f"array_agg({amount}) {deals} AS amounts"]


def _marks(relation: LeadRows, terms: Terms) -> dict[str, str]:
    """SQL of whether an amount breaks a rule; is unsure (1.200 may be either number); proves the decimal point."""
    if "amount" not in relation.cells:
        return dict.fromkeys(("odd", "unsure", "proven"), "false")
    odd = [f'"v_amount" IS NULL OR {HUGE}', "strpos(\"t_amount\", '_') > 0"]
    odd += [] if terms.net_revenue else ['"v_amount" < 0']
    odd += ['"t_currency" IS NULL'] if terms.converts else []
    either = """("t_amount" ~ '^[-+]?[0-9]{1,3}[.][0-9]{3}$')"""
    # a CASE looks at the few rows that it is about, where an AND would look at all
    pointed = """CASE WHEN strpos("t_amount", '.') > 0 THEN"""
    return {
        "odd": f'CASE WHEN "g_amount" THEN {" OR ".join(odd)} END',
        "unsure": f"{pointed} {either} END",
        "proven": f"{pointed} NOT {either} END",
    }


def _each_its_own(relation: LeadRows, keys: Sequence[str]) -> bool:
    """Whether nearly each lead takes a course of its own, as far as the first rows tell."""
    first = f"SELECT DISTINCT {', '.join(keys)} FROM (SELECT * FROM {relation.rows} LIMIT {PROBED}) AS probed"
    ((n,),) = relation.ask(f"SELECT count(*) FROM ({first}) AS own").fetchall()
    return bool(n > FEW_COURSES * PROBED)
