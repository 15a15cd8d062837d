"""Rows of leads as SQL: what every step of reading them hands to the next, without a row in Python.

`LeadRows` is a SELECT that gives, for each of our columns, three: "t_<name>", what came, without outer blanks, NULL
where empty; "v_<name>", what it means, NULL where empty or not readable; "g_<name>", cheaply, whether anything came (a
cell of blanks may count). "row" is the number of the row in the file of leads, "deal_row" in that of deals.

What is asked of these rows is written in SQL that DuckDB and PostgreSQL read alike, so that a rule stands once whether
the rows lie in a file or on a server: `CAST(date_trunc(...) AS DATE)`, `strpos`, `~` with both ends marked, a name for
each table in parentheses, places in GROUP BY.
"""

# ruff: noqa: S608 - SQL over names that are made here; texts are quoted, paths bound
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

ROW, DEAL_ROW = '"row"', '"deal_row"'


@dataclass(frozen=True)
class Cell:
    """Where one of our columns stands: its title, the file, and the column of the relation with its row number.

    told: it is a column of its own; a currency may be named by the signs or the title of the amounts instead. typed:
    the file says what its cells are, so that no text of theirs could be read in two ways.
    """

    title: str
    file: str
    row: str = ROW
    told: bool = True
    typed: bool = False


@dataclass(frozen=True)
class LeadRows:
    """A SELECT with its parameters, and where its columns come from, by our name (the first stage by its stage).

    connection: of DuckDB, or a session of PostgreSQL (`server`). names: of all its columns. named: rows are called by
    the id of their lead, as those of a database have no number. sure: dates of ours of which all that came is read.
    """

    connection: Any
    sql: str
    parameters: tuple[Any, ...]
    cells: Mapping[str, Cell] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    named: bool = False
    server: bool = False
    sure: frozenset[str] = frozenset()

    @property
    def rows(self) -> str:
        """The relation where SQL expects a table. It may stand in a query once, because of its parameters."""
        return f"({self.sql}) AS leads_read"

    def ask(self, sql: str) -> Any:
        """Run a query in which `rows` stands once; the answer has `fetchall()`."""
        return self.connection.execute(sql, list(self.parameters))

    def table(self, sql: str, *, most: int | None = None) -> pd.DataFrame:
        """The answer to such a query as a table; of a server empty, and without columns, where it has more bytes."""
        if not self.server:
            return self.ask(sql).df()
        found = self.connection.table(sql, list(self.parameters), most=most)
        return pd.DataFrame() if found is None else found

    def called(self, cell: Cell) -> str:
        """SQL of what a message calls the row of a cell: its number, or the id of its lead."""
        return "coalesce(\"t_lead_id\", '')" if self.named else cell.row

    def where(self, condition: str) -> LeadRows:
        """The rows that meet a condition."""
        return replace(self, sql=f"SELECT * FROM {self.rows} WHERE {condition}")

    def without(self, table: str) -> LeadRows:
        """The rows whose number does not stand in a table with a column "row"."""
        return replace(self, sql=f"SELECT * FROM {self.rows} ANTI JOIN {table} USING ({ROW})")

    def instead(self, columns: Mapping[str, str]) -> LeadRows:
        """Columns that are there, with other values: SQL by name, over the columns as they were."""
        if not columns:
            return self
        new = {name: f"{sql} AS " for name, sql in columns.items()}
        listed = ", ".join(f'{new.get(name, "")}"{name}"' for name in self.names)
        return replace(self, sql=f"SELECT {listed} FROM {self.rows}")

    def beside(self, columns: Mapping[str, str], cells: Mapping[str, Cell]) -> LeadRows:
        """Further columns: SQL by name, over those that are there, and where they come from."""
        if not columns:
            return self
        listed = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
        sql, names = f"SELECT *, {listed} FROM {self.rows}", (*self.names, *columns)
        return replace(self, sql=sql, cells={**self.cells, **cells}, names=names)


def literal(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
