"""Deals in a file of their own, joined to the leads on `lead_id`: the joined rows are read as one file of leads.

A deal that finds no lead is left out and said; a lead with several deals is refused, as one lead can be won once.
"""

# ruff: noqa: S608 - SQL over names that are made here; texts are quoted, paths bound
from __future__ import annotations

from dataclasses import dataclass, replace

from forecast.errors import DataError
from forecast.history.lead_rows import DEAL_ROW, Cell, LeadRows
from forecast.read import LeftOut, row_place
from forecast.words import Text, message

SHOWN = 3


@dataclass(frozen=True)
class Joined:
    """Leads with what their deals tell, what is wrong with the deals and to be said of them; `rows`: deals joined."""

    relation: LeadRows
    problems: tuple[Text, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[Text, ...]
    rows: int


def join(leads: LeadRows, deals: LeadRows, *, leave_out: bool) -> Joined:
    """The leads, each with the columns of its deal.

    `deals` has "deal_row", the id of its lead, and columns that the leads do not have. leave_out: deals without an id,
    and all but the first of a lead, are left out; else they are problems (the first of a lead is joined all the same,
    so that all else that is wrong can be told as well). Raises DataError where no deal finds a lead.
    """
    connection, key, lead_key = leads.connection, deals.cells["lead_id"], leads.cells["lead_id"]
    picked = '* EXCLUDE ("t_lead_id", "v_lead_id", "g_lead_id"), "v_lead_id" AS "key"'
    deals.ask(f"CREATE OR REPLACE TEMP TABLE joined_deals AS SELECT {picked} FROM {deals.rows}")
    n_deals = connection.execute("SELECT count(*) FROM joined_deals").fetchall()[0][0]
    first = f'SELECT min({DEAL_ROW}) FROM joined_deals WHERE "key" IS NOT NULL GROUP BY "key"'
    blank = _rows(leads, f'SELECT {DEAL_ROW} FROM joined_deals WHERE "key" IS NULL ORDER BY 1')
    again = _rows(
        leads,
        f'SELECT {DEAL_ROW} FROM joined_deals WHERE "key" IS NOT NULL AND {DEAL_ROW} NOT IN ({first}) ORDER BY 1',
    )
    problems = [] if leave_out else _problems(leads, key, blank, again)
    left_out = []
    if leave_out:
        empty = message("{title}: is empty", title=key.title)
        another = message("{title}: another deal of the same lead", title=key.title)
        left_out = [
            LeftOut(why, len(rows), rows, bad=True)
            for why, rows in ((empty, blank), (another, again))
            if rows
        ]
    connection.execute(f"DELETE FROM joined_deals WHERE {DEAL_ROW} NOT IN ({first})")
    alone = leads.ask(
        f'SELECT {DEAL_ROW} FROM joined_deals ANTI JOIN (SELECT "v_lead_id" AS "key" FROM {leads.rows}) '
        f'USING ("key") ORDER BY 1'
    ).fetchall()
    lonely = tuple(int(row) for (row,) in alone)
    found = n_deals - len(blank) - len(again) - len(lonely)
    told = {"file": key.file, "title": key.title, "leads": lead_key.file, "theirs": lead_key.title}
    if n_deals and not found:
        text = (
            "{file}: no deal finds its lead: no value of column {title} stands in column {theirs} of {leads}; name the "
            'column that holds the same ids in both files: history.columns.lead_id = "its name".'
        )
        raise DataError(message(text, **told))
    if lonely:
        left_out.append(
            LeftOut(message("{title}: no lead of {leads} has this id", **told), len(lonely), lonely)
        )
    text = "{found:whole} of {all:whole} deals joined to leads of {leads} on {title}"
    note = message(text, found=found, all=n_deals, **told)
    both = f'{leads.rows} LEFT JOIN joined_deals d ON "v_lead_id" = d."key"'
    sql = f'SELECT leads_read.*, d.* EXCLUDE ("key") FROM {both}'
    theirs = tuple(name for name in deals.names if not name.endswith("_lead_id"))
    cells, names = {**deals.cells, **leads.cells}, (*leads.names, *theirs)
    relation = replace(leads, sql=sql, cells=cells, names=names, sure=leads.sure | deals.sure)
    return Joined(relation, tuple(problems), tuple(left_out), (note,), found)


def _rows(leads: LeadRows, sql: str) -> tuple[int, ...]:
    return tuple(int(row) for (row,) in leads.connection.execute(sql).fetchall())


def _problems(leads: LeadRows, key: Cell, blank: tuple[int, ...], again: tuple[int, ...]) -> list[Text]:
    problems: list[Text] = []
    told = {"file": key.file, "title": key.title}
    if blank:
        text = "{file}: column {title}: {n:whole} rows are empty (rows {rows:list.3}); a deal needs the id of its lead."
        one = "{file}: column {title}: row {row} is empty; a deal needs the id of its lead."
        problems.append(
            message(
                one if len(blank) == 1 else text,
                n=len(blank),
                rows=[row_place(row) for row in blank],
                row=row_place(blank[0]),
                **told,
            )
        )
    if again:
        sql = (
            f'SELECT "key", min({DEAL_ROW}), max({DEAL_ROW}), count(*) OVER () FROM joined_deals '
            f'WHERE "key" IS NOT NULL GROUP BY "key" HAVING count(*) > 1 ORDER BY 2 LIMIT {SHOWN}'
        )
        found = leads.connection.execute(sql).fetchall()
        text = '"{name}" (rows {first} and {last})'
        ids = [
            message(text, name=name, first=row_place(first), last=row_place(last))
            for name, first, last, _ in found
        ]
        n = found[0][3]
        have = "1 lead has" if n == 1 else message("{n:whole} leads have", n=n)
        text = "{file}: column {title}: {have} more than one deal: {ids}; keep the one that won or lost the lead."
        problems.append(message(text, have=have, ids=ids, **told))
    return problems
