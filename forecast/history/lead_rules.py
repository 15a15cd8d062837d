"""What no row of leads may do: checked in the one pass that groups them, told or left out where a row does it.

The pass tells whether any row breaks a rule. Only then are the rows looked for, to say which they are and why.
"""

# ruff: noqa: S608 - SQL over names that are made here; texts are quoted, paths bound
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.checks import PASS, REVIEW, Check
from forecast.errors import DataError
from forecast.history.counts import LEAVE_OUT, SUGGESTED
from forecast.history.lead_days import FINITE, HUGE, DayGroups, Terms, later
from forecast.history.lead_rows import ROW, Cell, LeadRows, literal
from forecast.history.rows import LONE_YEARS, lone_days
from forecast.read import (
    DAY_REMEDY,
    ERROR_CELL,
    ERROR_NAME,
    ERRORS,
    FORMULA_CELL,
    NOT_A_NUMBER,
    TOO_LARGE,
    UNCALCULATED,
    LeftOut,
    cells_problem,
    row_place,
    rows_text,
)
from forecast.words import Text, message

NO_AMOUNT = f""" "v_amount" IS NULL OR NOT abs("v_amount") < {FINITE} OR strpos("t_amount", '_') > 0"""
ORDER = "Order of the stages"
NAMED = 10  # leads whose ids are told of a reason
NO_NAMES = (*ERRORS, UNCALCULATED.upper())


@dataclass(frozen=True)
class Rule:
    """A condition (SQL over the typed rows) that no row may meet, and how to say so."""

    broken: str
    cell: Cell
    value: str
    text: str

    @property
    def reason(self) -> Text:
        """Why a row that breaks it is left out."""
        return message("{title}: {text}", title=self.cell.title, text=self.text.partition(";")[0])


def rules_of(relation: LeadRows, stages: Sequence[str], terms: Terms) -> list[Rule]:
    """What no row may do, in the order in which a person would mend it."""
    cells, first = relation.cells, stages[0]
    absent = "is empty; each lead needs an id of its own"
    rules = [
        Rule('"t_lead_id" IS NULL', cells["lead_id"], "NULL", absent),
        Rule(f'"t_{first}" IS NULL', cells[first], "NULL", f"is empty; {DAY_REMEDY}"),
    ]
    for name in ("lead_id", "channel"):
        text = f'"t_{name}"'
        rules.append(Rule(_is_error(text), cells[name], text, ERROR_NAME))
        rules.append(Rule(f"{text} = {literal(UNCALCULATED)}", cells[name], text, FORMULA_CELL))
    dates = [*stages, *(["lost"] if "lost" in cells else [])]
    for name in dates:
        rules += _unreadable(name, cells[name], f'"v_{name}" IS NULL', f"expected a date; {DAY_REMEDY}")
    if "scheduled" in cells:  # which may lie ahead
        rules += _unreadable(
            "scheduled", cells["scheduled"], '"v_scheduled" IS NULL', f"expected a date; {DAY_REMEDY}"
        )
    if terms.today is not None:
        text = f"is later than today, {terms.today}; correct it, or end the history (history.through): "
        text += "then what lies after it is not read"
        rules += [Rule(later(name, terms), cells[name], f'"t_{name}"', text) for name in dates]
    for before, name in pairwise(stages):
        rules += _order_rules(relation, stages, before, name)
    if "lost" in cells:
        rules += _loss_rules(relation, stages)
    if "amount" in cells:
        cell = cells["amount"]
        rules += _unreadable("amount", cell, f"({NO_AMOUNT})", f"expected a number; {NOT_A_NUMBER}")
        rules.append(Rule(f"{HUGE} AND NOT ({NO_AMOUNT})", cell, '"t_amount"', TOO_LARGE))
        negative = (
            "expected 0 or more; correct it, or leave it empty where the amount is not known; where refunds "
        )
        negative += "are meant, set history.net_revenue = true"
        if not terms.net_revenue:
            rules.append(Rule('"v_amount" < 0', cell, '"t_amount"', negative))
        if terms.converts:
            nameless = "is empty where there is an amount; name its currency"
            broken = '"t_amount" IS NOT NULL AND "t_currency" IS NULL'
            rules.append(Rule(broken, cells["currency"], "NULL", nameless))
    return rules


def _is_error(text: str) -> str:
    """SQL of whether a cell holds an error of a spreadsheet."""
    return f"upper({text}) IN ({', '.join(literal(each) for each in ERRORS)})"


def _unreadable(name: str, cell: Cell, broken: str, otherwise: str) -> list[Rule]:
    """Cells that hold something which cannot be read: errors of a spreadsheet, formulas without a value, and others."""
    text = f'"t_{name}"'
    errors = _is_error(text)
    formula = f"{text} = {literal(UNCALCULATED)}"
    kinds = (
        (errors, ERROR_CELL),
        (formula, FORMULA_CELL),
        (f"NOT ({errors}) AND NOT ({formula})", otherwise),
    )
    return [Rule(f"{text} IS NOT NULL AND {broken} AND {kind}", cell, text, rule) for kind, rule in kinds]


def _order_rules(relation: LeadRows, stages: Sequence[str], before: str, name: str) -> list[Rule]:
    cell, earlier = relation.cells[name], relation.cells[before].title
    value = f'"t_{name}" || {literal(f", {earlier} ")} || "t_{before}"'
    order = (
        f"comes before {earlier}; correct the dates (set both to the same day where it went straight through)"
    )
    if before != stages[0]:
        order += '; or count both from the earlier one: history.order = "any"'
    rules = [Rule(f'"v_{name}" < "v_{before}"', cell, value, order)]
    if before != stages[0]:
        skipped = (
            f"is set while {earlier} is empty; fill {earlier} in (the same day, where it went straight through), "
            f'take {before} out of funnel.stages, or count both from {cell.title}: history.order = "any"'
        )
        rules.append(Rule(f'"v_{name}" IS NOT NULL AND "t_{before}" IS NULL', cell, f'"t_{name}"', skipped))
    return rules


def in_any_order(rows: LeadRows, stages: Sequence[str]) -> LeadRows:
    """Every stage after the first dated by the earliest of its own date and those of the stages after it.

    Who has paid before the approval was approved by then, as far as a funnel can tell. A date that cannot be read stays
    so. "o_<stage>" keeps what it was.
    """
    middle = stages[1:-1]
    columns: dict[str, str] = {}
    for i, name in enumerate(middle, start=1):
        all_of = ", ".join(f'"v_{later}"' for later in stages[i:])
        unread = f'"t_{name}" IS NOT NULL AND "v_{name}" IS NULL'
        columns[f"v_{name}"] = f"CASE WHEN NOT ({unread}) THEN least({all_of}) END"
        columns[f"t_{name}"] = f'coalesce("t_{name}", CAST(least({all_of}) AS VARCHAR))'
    return rows.beside({f"o_{name}": f'"v_{name}"' for name in middle}, {}).instead(columns)


def _loss_rules(relation: LeadRows, stages: Sequence[str]) -> list[Rule]:
    lost, won = relation.cells["lost"], relation.cells["won"]
    both = f"a lead is won and lost both; empty {won.title} or {lost.title}, whichever did not happen"
    reached = "greatest(" + ", ".join(f'"v_{name}"' for name in stages) + ")"
    value = f"\"t_lost\" || ', last stage ' || CAST({reached} AS VARCHAR)"
    before = " OR ".join(f'"v_lost" < "v_{name}"' for name in stages)  # much faster than greatest()
    early = "comes before the last stage that the lead reached; correct the dates"
    return [
        Rule('"v_won" IS NOT NULL AND "v_lost" IS NOT NULL', lost, '"t_lost"', both),
        Rule(f'"t_won" IS NULL AND ({before})', lost, value, early),
    ]


@dataclass
class Checked:
    """The questions that are asked of the rows of leads; rows that are left out are so for all that is asked after."""

    relation: LeadRows
    stages: tuple[str, ...]
    rules: Sequence[Rule]
    terms: Terms
    by_day: DayGroups = field(init=False)

    @property
    def dates(self) -> list[str]:
        """The stages, and `lost` where the file has it."""
        return [*self.stages, *(["lost"] if "lost" in self.relation.cells else [])]

    def grouped(self, kind: str) -> pd.DataFrame:
        """The groups of leads as they are now, after the one pass over the rows (see `DayGroups.grouped`)."""
        self.by_day = DayGroups.of(self.relation, self.stages, self.dates, self.terms)
        return self.by_day.grouped(kind)

    def problems(self, found: pd.DataFrame) -> list[Text]:
        """A message for every rule that is broken, given the groups of the fast pass."""
        problems = [said for rule in self.rules if (said := self._broken(rule))] if found["bad"].any() else []
        problems += [said for rule in self.lone(found) if (said := self._broken(rule)) and not problems]
        return problems + [said for said in self._repeated(int(found["n"].sum())) if said not in problems]

    def _broken(self, rule: Rule) -> Text:
        """The message for one rule; empty when no row breaks it."""
        row = self.relation.called(rule.cell)
        sql = (
            f"SELECT {row}, {rule.value}, count(*) OVER () FROM {self.relation.rows} "
            f"WHERE {rule.broken} ORDER BY {row} LIMIT 3"
        )
        found = self.relation.ask(sql).fetchall()
        if not found:
            return ""
        shown = [(row, value) for row, value, _ in found]
        return cells_problem(rule.cell.file, rule.cell.title, shown, rule.text, found[0][2])

    def lone(self, found: pd.DataFrame) -> list[Rule]:
        """Rules for dates that lie years away from all others, of few leads: they would stretch the history."""
        days, n, (low, high) = [], [], self.terms.window
        for name in self.dates:
            starts = found[name].to_numpy().astype("datetime64[D]")
            inside = ~np.isnat(starts)
            inside &= True if low is None else starts >= low
            inside &= True if high is None else starts <= high
            days.append(starts[inside])
            n.append(found["n"].to_numpy()[inside])
        first, last = lone_days(np.concatenate(days), np.concatenate(n))
        rules = []
        for end, mark, key in ((first, "<", "from"), (last, ">=", "through")):
            if end is None:
                continue
            day = (
                end if mark == "<" else end + np.timedelta64(366, "D")
            )  # `end` is the first day of its period
            text = f"lies more than {LONE_YEARS} years from all other dates; correct the year, or leave it out of the "
            text += f"history (history.{key})"
            for name in self.dates:
                broken = f"\"v_{name}\" {mark} DATE '{day}'"
                rules.append(Rule(broken, self.relation.cells[name], f'"t_{name}"', text))
        return rules

    def refunds(self) -> tuple[Check, ...]:
        """What is said of amounts below 0, where they are meant."""
        cell = self.relation.cells.get("amount")
        if not self.terms.net_revenue or cell is None:
            return ()
        row = self.relation.called(cell)
        sql = (
            f'SELECT {row}, "t_amount", count(*) OVER (), sum("v_amount") OVER () FROM {self.relation.rows} '
            f'WHERE "v_amount" < 0 AND "v_won" IS NOT NULL ORDER BY {row} LIMIT 3'
        )
        found = self.relation.ask(sql).fetchall()
        if not found:
            return ()
        rows = rows_text([(row, value) for row, value, _, _ in found], found[0][2])
        text = "{title}: {rows}: {sum:whole} in all (history.net_revenue = true)"
        said = message(text, title=cell.title, rows=rows, sum=float(found[0][3]))
        advice = (
            "Each counts as a deal that brought nothing, and as a refund of earlier ones: the forecast is net of such "
            "a share, the value of a deal is before it."
        )
        return (Check("Negative money", REVIEW, said, advice),)

    def reordered(self) -> tuple[Check, ...]:
        """What is said of stages that are counted with a later one, because that came before them."""
        if not self.terms.any_order:
            return ()
        said: list[Text] = []
        for name, after in zip(self.stages[1:-1], self.stages[2:], strict=True):
            own, counts = f'"o_{name}"', f'"v_{name}"'
            cell = self.relation.cells[name]
            sql = (
                f"SELECT count(*) FILTER (WHERE {own} > {counts}), count(*) FILTER (WHERE {own} IS NULL) "
                f"FROM {self.relation.rows} WHERE {counts} IS NOT NULL AND ({own} IS NULL OR {own} > {counts})"
            )
            later, absent = self.relation.ask(sql).fetchall()[0]
            text = "{title}: {n:whole} leads reached {after} before it, of {absent:whole} its date is empty"
            if later or absent:
                said.append(message(text, title=cell.title, n=later + absent, absent=absent, after=after))
        if not said:
            return (Check(ORDER, PASS, "every lead went through its stages in their order"),)
        advice = (
            "Such a lead is counted in both stages at the earlier date (history.order). Where these are many, the "
            "stage is no step on the way to the next: take it out of funnel.stages."
        )
        return (Check(ORDER, REVIEW, message("{said:parts}", said=said), advice),)

    def n_bad(self) -> int:
        """How many rows break a rule."""
        sql = f"SELECT count(*) FROM {self.relation.rows} WHERE {self._any_rule()}"
        return int(self.relation.ask(sql).fetchall()[0][0])

    def _any_rule(self) -> str:
        return " OR ".join(f"({rule.broken})" for rule in self.rules)

    def leave_out(self) -> list[tuple[str, LeftOut]]:
        """Leave out every row that breaks a rule, and rows whose id stood in an earlier one: by file, why and which."""
        connection = self.relation.connection
        which = " ".join(f"WHEN ({rule.broken}) THEN {i}" for i, rule in enumerate(self.rules))
        if self.relation.named:
            return self._leave_out_named(which)
        numbers = {rule.cell.row for rule in self.rules}
        rows = ", ".join(sorted(numbers | {ROW}))
        sql = (
            f"CREATE OR REPLACE TEMP TABLE bad AS SELECT {rows}, CASE {which} END AS rule FROM {self.relation.rows} "
            f"WHERE {self._any_rule()}"
        )
        self.relation.ask(sql)
        told: list[tuple[str, LeftOut]] = []
        for i, rule in enumerate(self.rules):
            sql = f"SELECT {rule.cell.row} FROM bad WHERE rule = {i} ORDER BY 1"
            if found := connection.execute(sql).fetchall():
                out = LeftOut(rule.reason, len(found), tuple(int(row) for (row,) in found), bad=True)
                told.append((rule.cell.file, out))
        self.relation = self.relation.without("bad")
        repeated = self._repeats()
        if repeated:
            cell = self.relation.cells["lead_id"]
            reason = message("{title}: stands in an earlier row already", title=cell.title)
            told.append((cell.file, LeftOut(reason, len(repeated), repeated, bad=True)))
            self.relation = self.relation.without("again")
        return told

    def _leave_out_named(self, which: str) -> list[tuple[str, LeftOut]]:
        """The same of rows that are called by the id of their lead; of an id that repeats the first one created stays.

        Nothing is written, as the session of a server may only read.
        """
        called, rows = self.relation.called(self.relation.cells["lead_id"]), self.relation.rows
        bad = f"SELECT CASE {which} END AS rule, {called} AS id FROM {rows} WHERE {self._any_rule()}"
        first = "SELECT rule, id, count(*) OVER (PARTITION BY rule), row_number() OVER (PARTITION BY rule ORDER BY id)"
        named = f"({first} FROM ({bad}) AS bad) AS told(rule, id, n, place)"
        sql = f"SELECT * FROM {named} WHERE place <= {NAMED} ORDER BY 1, 4"
        shown = self.relation.ask(sql).fetchall()
        told: list[tuple[str, LeftOut]] = []
        for i, rule in enumerate(self.rules):
            if ids := tuple(str(id_) for number, id_, _, _ in shown if number == i):
                n = next(int(n) for number, _, n, _ in shown if number == i)
                told.append((rule.cell.file, LeftOut(rule.reason, n, bad=True, ids=ids)))
        self.relation = self.relation.where(f"NOT coalesce({self._any_rule()}, false)")
        cell = self.relation.cells["lead_id"]
        again = (
            f'SELECT "v_lead_id", count(*) - 1 AS n FROM {self.relation.rows} GROUP BY 1 HAVING count(*) > 1'
        )
        sql = f'SELECT "v_lead_id", sum(n) OVER () FROM ({again}) AS again ORDER BY 1 LIMIT {NAMED}'
        if repeated := self.relation.ask(sql).fetchall():
            reason = message("{title}: stands in an earlier row already", title=cell.title)
            ids = tuple(str(id_) for id_, _ in repeated)
            told.append((cell.file, LeftOut(reason, int(repeated[0][1]), bad=True, ids=ids)))
            names = ", ".join(f'"{name}"' for name in self.relation.names)
            order = ", ".join(f'"t_{name}"' for name in self.dates if name != self.stages[0])
            ranked = (
                f'SELECT *, row_number() OVER (PARTITION BY "v_lead_id" ORDER BY "v_{self.stages[0]}", "t_channel", '
                f"{order}) AS place_of_id FROM {self.relation.rows}"
            )
            sql = f"SELECT {names} FROM ({ranked}) AS ranked WHERE place_of_id = 1"
            self.relation = replace(self.relation, sql=sql)
        return told

    def _repeats(self) -> tuple[int, ...]:
        """Rows whose id stands in an earlier row; they are put into the table "again"."""
        connection, rows = self.relation.connection, self.relation.rows
        self.relation.ask(
            f'CREATE OR REPLACE TEMP TABLE ids AS SELECT "v_lead_id", min({ROW}) AS first FROM {rows} '
            f'WHERE "v_lead_id" IS NOT NULL GROUP BY "v_lead_id" HAVING count(*) > 1'
        )
        if not connection.execute("SELECT count(*) FROM ids").fetchall()[0][0]:
            return ()
        self.relation.ask(
            f'CREATE OR REPLACE TEMP TABLE again AS SELECT {ROW} FROM {rows} JOIN ids USING ("v_lead_id") '
            f"WHERE {ROW} > ids.first"
        )
        return tuple(
            int(row) for (row,) in connection.execute(f"SELECT {ROW} FROM again ORDER BY 1").fetchall()
        )

    def _hashes(self, n_rows: int) -> NDArray[np.uint64]:
        """A hash of each lead's id, sorted; in pieces, so that no more than the hashes is held."""
        hashes, filled = np.empty(n_rows, dtype=np.uint64), 0
        found = self.relation.ask(f'SELECT hash("v_lead_id") AS h FROM {self.relation.rows}')
        while filled < n_rows:
            piece = found.fetch_df_chunk(64)["h"].to_numpy()
            hashes[filled : filled + piece.size] = piece
            filled += piece.size
        hashes.sort()
        return hashes

    def ids_are_fine(self, n_rows: int) -> bool:
        """Each row has an id, and none stands twice. Hashes: they fit in memory where the ids would not."""
        if self.relation.server:
            none = f'"v_lead_id" IS NULL OR "v_lead_id" IN ({", ".join(map(literal, NO_NAMES))})'
            counts = 'count(DISTINCT hashtextextended("v_lead_id", 0))'  # sorted as numbers, not as texts
            sql = f"SELECT {counts}, count(*) FILTER (WHERE {none}) FROM {self.relation.rows}"
            ((distinct, absent),) = self.relation.ask(sql).fetchall()
            return distinct == n_rows and not absent
        hashes = self._hashes(n_rows)
        none = ", ".join(f"({text})" for text in ("NULL", *map(literal, NO_NAMES)))
        asked = f"SELECT hash(CAST(id AS VARCHAR)) FROM (VALUES {none}) AS none(id)"
        wrong = np.array(self.relation.connection.execute(asked).fetchall(), dtype=np.uint64).ravel()
        found = hashes[np.searchsorted(hashes, wrong) % n_rows] == wrong
        return not (found.any() or (hashes[1:] == hashes[:-1]).any())

    def _repeated(self, n_rows: int) -> list[Text]:
        """A problem when ids are absent or repeat."""
        if self.ids_are_fine(n_rows):
            return []
        own = [rule for rule in self.rules if rule.cell == self.relation.cells["lead_id"]]
        return [said for said in (*map(self._broken, own), self._repeated_ids()) if said]

    def _repeated_ids(self) -> Text:
        """The message about ids that stand in several rows; empty when there is none."""
        rows = f'FROM {self.relation.rows} WHERE "v_lead_id" IS NOT NULL GROUP BY "v_lead_id" HAVING count(*) > 1'
        sql = f'SELECT min({ROW}), max({ROW}), "v_lead_id", count(*) OVER () {rows} ORDER BY 1 LIMIT 3'
        text = '"{name}" (rows {first} and {last})'
        if self.relation.named:
            sql = f'SELECT count(*), NULL, "v_lead_id", count(*) OVER () {rows} ORDER BY 3 LIMIT 3'
            text = '"{name}" ({first:whole} rows)'
        repeated = self.relation.ask(sql).fetchall()
        if not repeated:
            return ""
        ids = [
            message(
                text,
                name=name,
                first=first if last is None else row_place(first),
                last=last and row_place(last),
            )
            for first, last, name, _ in repeated
        ]
        n, cell = repeated[0][3], self.relation.cells["lead_id"]
        stand = "1 id stands" if n == 1 else message("{n:whole} ids stand", n=n)
        text = "{file}: column {title}: {stand} in more than one row: {ids}; keep one row per lead."
        return message(text, file=cell.file, title=cell.title, stand=stand, ids=ids)


def checked_groups(checked: Checked, kind: str) -> pd.DataFrame:
    """The groups of the leads as they are (see `Checked.grouped`). Raises DataError where there is no lead."""
    found = checked.grouped(kind)
    found["bad"] |= found["channel"].str.upper().isin(NO_NAMES)
    if found.empty:
        file = checked.relation.cells["lead_id"].file
        raise DataError(f"{file}: has a header and no rows; export it again with its data.")
    return found


def groups_of(
    checked: Checked, found: pd.DataFrame, kind: str, problems: Sequence[Text], *, leave_out: bool
) -> tuple[pd.DataFrame, list[tuple[str, LeftOut]]]:
    """The groups of leads that keep every rule, given those of all, and what was left out for that, by file.

    `problems` are what is known to be wrong already. Raises DataError with all rules that are broken, or, where such
    rows are left out, when none is left.
    """
    file, n_rows = checked.relation.cells["lead_id"].file, int(found["n"].sum())
    if leave_out:
        lone = checked.lone(found)
        if not found["bad"].any() and not lone and checked.ids_are_fine(n_rows):
            return found, []
        checked.rules = [*checked.rules, *lone]
        out = checked.leave_out()
        found = checked.grouped(kind)
        if found.empty:
            text = "{file}: each of its {n:whole} rows contradicts itself: {reasons:list.3}; correct them."
            raise DataError(message(text, file=file, n=n_rows, reasons=[left.reason for _, left in out]))
        return found, out
    problems = [*problems, *checked.problems(found)]
    if problems:
        few = checked.n_bad() <= SUGGESTED * n_rows
        way = f"{file}: or leave such rows out, counted and listed: {LEAVE_OUT}."
        raise DataError([*problems, way] if few else problems)
    return found, []
