"""The channel of each lead by rules over columns of its file: one question to DuckDB for the kinds of rows there are.

Only the distinct cells of the columns that rules look at come into Python, with their counts; what the rules make of
them goes back as a table to join. So a file of any size is ruled as a small one is, and by the same rules as an export
of activity (`history.rules`).
"""

# ruff: noqa: S608 - SQL over names that are made here; texts are bound
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from forecast.errors import DataError
from forecast.history.lead_rows import LeadRows
from forecast.history.rules import NONE_FITS, UNRULED, Ruled, Rules, listed
from forecast.read import LeftOut, name_text
from forecast.words import message

MOST_KINDS = 200_000  # of different rows, by the columns that rules look at
NAMED = 10  # leads of a database whose ids are told of a kind without a rule
LISTED = 10_000  # numbers of rows without a rule that are kept


@dataclass(frozen=True)
class RuledLeads:
    """Leads with the channels that the rules give them, what was left out, and what the rules made of the file."""

    rows: LeadRows
    left_out: tuple[LeftOut, ...]
    ruled: Ruled


def key_column(at: int) -> str:
    """Name in the rows of a column that rules look at, by its position in the file."""
    return f"k{at}"


def by_rules(rows: LeadRows, rules: Rules, file: str) -> RuledLeads:
    """The leads with the channel of the first rule that each fits; without those that none fits, and no default is for.

    `rows` hold the columns of the rules as `key_column` names them. A lead of which all these are empty has no channel,
    as one whose channel is empty. Raises DataError where no lead fits, or there are too many kinds of rows.
    """
    keys = [key_column(at) for at in rules.titles]
    picked = ", ".join(keys)
    money = 'sum("v_amount")' if "amount" in rows.cells else "NULL"
    places = ", ".join(str(place) for place in range(1, len(keys) + 1))
    sql = f"SELECT {picked}, count(*), {money} FROM {rows.rows} GROUP BY {places} LIMIT {MOST_KINDS + 1}"
    found = rows.ask(sql).fetchall()
    if len(found) > MOST_KINDS:
        text = (
            "{file}: columns {titles} hold more than {most:whole} different rows, and rules are for fewer; take a "
            "column out of history.map that differs in every row"
        )
        raise DataError(message(text, file=file, titles=list(rules.titles.values()), most=MOST_KINDS))
    counted: Counter[tuple[int, ...]] = Counter()
    examples: dict[tuple[int, ...], str] = {}
    kinds: dict[str, dict[str, float]] = {}
    table: list[tuple[object, ...]] = []
    whole, lost = Counter[str](), Counter[str]()
    lonely: dict[str, list[tuple[object, ...]]] = {}
    for *raw, n, amounts in found:
        cells = tuple("" if cell is None else name_text(cell) for cell in raw)
        fit = rules.fit(cells)
        blank = not any(cells) and not fit.rules
        channel = None if blank else fit.channel
        sums = {"leads": float(n)} | ({"amount": float(amounts or 0.0)} if "amount" in rows.cells else {})
        whole.update({"rows": n, **sums})
        out = channel is None and not blank
        table.append((*raw, channel, out))
        counted[fit.rules] += n
        examples.setdefault(fit.rules, rules.said(cells))
        if out:
            said = rules.said(cells)
            before = kinds.get(said, {})
            kinds[said] = {name: value + before.get(name, 0.0) for name, value in sums.items()}
            lonely.setdefault(said, []).append(tuple(raw))
            lost.update({"rows": n, **sums})
    if whole["rows"] and lost["rows"] == whole["rows"]:
        raise DataError(message(NONE_FITS, file=file, kinds=list(kinds)))
    frame = pd.DataFrame(table, columns=[*keys, "ruled_channel", "ruled_out"])
    for name in (*keys, "ruled_channel"):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
    joined = _joined(rows, keys, frame)
    left_out = tuple(_left_out(joined, keys, kinds, lonely))
    ruled = Ruled(file, counted, examples, {name: float(lost[name]) for name in whole}, dict(whole))
    return RuledLeads(_ruled(joined, rows, keys), left_out, ruled)


def _joined(rows: LeadRows, keys: list[str], frame: pd.DataFrame) -> LeadRows:
    """The rows with what the rules make of them: `ruled_channel`, `ruled_out`."""
    same = " AND ".join(f"coalesce(l.{key}, '') = coalesce(r.{key}, '')" for key in keys)
    kinds, parameters = "ruled_kinds", list(rows.parameters)
    if rows.server:
        columns = []
        for name in frame:
            parameters.append(frame[name].tolist())
            kind = "boolean" if name == "ruled_out" else "text"
            columns.append(f"unnest(${len(parameters)}::{kind}[]) AS {name}")
        kinds = f"(SELECT {', '.join(columns)})"
    else:
        rows.connection.register(kinds, frame)
    sql = f"SELECT l.*, r.ruled_channel, r.ruled_out FROM ({rows.sql}) AS l JOIN {kinds} AS r ON {same}"
    return replace(rows, sql=sql, parameters=tuple(parameters))


def _ruled(joined: LeadRows, rows: LeadRows, keys: list[str]) -> LeadRows:
    """The rows that a rule fits, with its channel in place of what they had."""
    names = tuple(name for name in rows.names if name not in keys)
    new = {
        "t_channel": "ruled_channel",
        "v_channel": "ruled_channel",
        "g_channel": "ruled_channel IS NOT NULL",
    }
    listed = ", ".join(f'{new[name]} AS "{name}"' if name in new else f'"{name}"' for name in names)
    return replace(joined, sql=f"SELECT {listed} FROM {joined.rows} WHERE NOT ruled_out", names=names)


def _left_out(
    rows: LeadRows,
    keys: list[str],
    kinds: dict[str, dict[str, float]],
    cells: dict[str, list[tuple[object, ...]]],
) -> list[LeftOut]:
    """Leads that no rule fits, a record for each kind of them, those with most money first."""
    if not kinds:
        return []
    numbers: dict[tuple[object, ...], list[Any]] = {}
    told_by = rows.called(rows.cells["lead_id"])
    sql = f"SELECT {told_by}, {', '.join(keys)} FROM {rows.rows} WHERE ruled_out ORDER BY 1 LIMIT {LISTED}"
    if rows.server:  # of few, as ids travel
        ranked = (
            f"SELECT {told_by} AS id, {', '.join(keys)}, row_number() OVER (PARTITION BY {', '.join(keys)} "
        )
        ranked += f"ORDER BY {told_by}) AS place FROM {rows.rows} WHERE ruled_out"
        few = f"SELECT id, {', '.join(keys)} FROM ({ranked}) AS ranked WHERE place <= {NAMED}"
        sql = f"{few} ORDER BY 1 LIMIT {LISTED}"
    for row, *raw in rows.ask(sql).fetchall():
        numbers.setdefault(tuple(raw), []).append(row)
    told: list[LeftOut] = []
    for names, text in listed(kinds, ("amount",)):
        own = sorted(row for name in names for raw in cells[name] for row in numbers.get(raw, ()))
        n = int(sum(kinds[name]["leads"] for name in names))
        ids = tuple(map(str, own[:NAMED])) if rows.named else ()
        told.append(LeftOut(message(UNRULED, said=text), n, () if rows.named else tuple(own), ids=ids))
    return told
