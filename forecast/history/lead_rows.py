"""Rows of leads as SQL: what every step of reading them hands to the next, without a row in Python.

`LeadRows` is a SELECT that gives, for each of our columns, three: "t_<name>", what came, without outer blanks, NULL
where empty; "v_<name>", what it means, NULL where empty or not readable; "g_<name>", cheaply, whether anything came (a
cell of blanks may count). "row" is the number of the row in the file of leads, "deal_row" in that of deals.
"""

# ruff: noqa: S608 - SQL over names that are made here; texts are quoted, paths bound
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

ROW, DEAL_ROW = '"row"', '"deal_row"'


@dataclass(frozen=True)
class Cell:
    """Where one of our columns stands: its title, the file, and the column of the relation with its row number.

    told: it is a column of its own; a currency may be named by the signs or the title of the amounts instead.
    """

    title: str
    file: str
    row: str = ROW
    told: bool = True


@dataclass(frozen=True)
class LeadRows:
    """A SELECT with its parameters, and where its columns come from, by our name (the first stage by its stage)."""

    connection: duckdb.DuckDBPyConnection
    sql: str
    parameters: tuple[str, ...]
    cells: Mapping[str, Cell] = field(default_factory=dict)

    @property
    def rows(self) -> str:
        """The relation where SQL expects a table. It may stand in a query once, because of its parameters."""
        return f"({self.sql})"

    def ask(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Run a query in which `rows` stands once."""
        return self.connection.execute(sql, list(self.parameters))

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
        listed = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
        return replace(self, sql=f"SELECT * REPLACE ({listed}) FROM {self.rows}")

    def beside(self, columns: Mapping[str, str], cells: Mapping[str, Cell]) -> LeadRows:
        """Further columns: SQL by name, over those that are there, and where they come from."""
        if not columns:
            return self
        listed = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
        return replace(self, sql=f"SELECT *, {listed} FROM {self.rows}", cells={**self.cells, **cells})


def literal(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
