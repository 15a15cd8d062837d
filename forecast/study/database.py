"""Where the rows lie, where they are in no file: a database, and copies of them from earlier days.

A study names the environment variable or the service that holds a connection, never the connection itself; what stands
in its place is not shown again, as it may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from forecast.study.file import Positive, Problem, Table, not_one, refuse

POSTGRES, SQLITE, DUCKDB = "postgres", "sqlite", "duckdb"
HELD = ("counts", "leads", "activity")  # what a database may hold, by the role that a file would have
SECRET = "what came is not shown, as it may hold a password"  # noqa: S105 - a text for people
TIMEOUT = 600.0  # seconds that one question to a server may take
_VERBS = re.compile(r"\s*(select|with|values|table|from)\b", re.IGNORECASE)
_PART = re.compile(r'"(?:[^"]|"")+"|[^\s".]+')
# what is no code in SQL: texts and names in quotes, comments, texts in dollars
_APART = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|(?P<tag>\$\w*\$).*?(?P=tag)", re.DOTALL
)


def is_query(text: str) -> bool:
    """Whether a text is a query and no name of a table."""
    return _VERBS.match(_APART.sub(_blank, text)) is not None


def _blank(found: re.Match[str]) -> str:
    return " " if found[0].startswith(("--", "/*")) else '"x"'


def name_parts(name: str) -> list[str]:
    """The parts of a name of a table, without their quotes; in small letters where it has none, as SQL reads it.

    >>> name_parts('CRM."Leads of 2026"')
    ['crm', 'Leads of 2026']
    """
    return [
        part[1:-1].replace('""', '"') if part.startswith('"') else part.lower()
        for part in _PART.findall(name)
    ]


def selection_problem(text: str) -> str:
    """What is wrong with the name of a table or a query; empty where nothing is."""
    if not is_query(text):
        parts = _PART.findall(text)
        if not parts or ".".join(parts) != text.strip() or len(parts) > 3:
            return 'expected the name of a table, such as "crm.leads" (quotes around a part with blanks), or a SELECT'
        return ""
    bare = _APART.sub(_blank, text).strip().removesuffix(";")
    if ";" in bare:
        return "expected one SELECT, and a semicolon ends it early: take out what follows"
    depth = 0
    for sign in bare:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return "expected one SELECT, and it has a closing parenthesis too many"
    if depth:
        return "expected one SELECT, and a parenthesis is not closed"
    return ""


def _selection(value: str) -> str:
    if wrong := selection_problem(value):
        raise ValueError(wrong)
    return value.strip().removesuffix(";")


def _no_secret(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError(f'expected {{ env = "NAME" }} or {{ service = "name" }}; {SECRET}')
    return value


Selection = Annotated[str, Field(min_length=1)]


class ConnectionSpec(Table):
    """Where a connection stands: in the environment variable `env`, or as a `service` of libpq's service file."""

    env: str | None = None
    service: str | None = None

    @field_validator("env", "service", mode="before")
    @classmethod
    def _name_alone(cls, value: object) -> object:
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][\w\-]*", value):
            raise ValueError(
                f"expected the name of an environment variable or of a service, never the connection itself; {SECRET}"
            )
        return value

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        """Nothing but the two keys: a password that is given all the same is never shown."""
        if isinstance(value, dict) and (more := sorted(set(value) - {"env", "service"})):
            text = 'expected { env = "NAME" } or { service = "name" } alone: a study holds no secret; remove the key'
            refuse(Problem(str(name), text) for name in more)
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        keys = ("env", "service")
        if wrong := not_one(keys, self.given(keys)):
            raise ValueError(wrong)
        return self


class TlsSpec(Table):
    """How the connection is secured, as libpq calls it; paths are relative to the study."""

    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    sslcrl: str | None = None

    def options(self, folder: Path) -> dict[str, str]:
        """What libpq is given."""
        given = {key: str(getattr(self, key)) for key in self.given(type(self).model_fields)}
        return {
            key: value if key == "sslmode" or value == "system" else str(folder / value)
            for key, value in given.items()
        }


class DatabaseSpec(Table):
    """`[history.database]`: which database, and the table or SELECT that holds counts, or leads and activity.

    `kind`: "postgres" has a `connection` (and `tls`, `timeout` in seconds), "sqlite" and "duckdb" a `file`. `detail`:
    of leads in PostgreSQL, whether days and single amounts leave it, or counts by period alone (None: days where they
    take little).
    """

    kind: Literal["postgres", "sqlite", "duckdb"]
    connection: Annotated[ConnectionSpec | None, BeforeValidator(_no_secret)] = None
    tls: TlsSpec = TlsSpec()
    timeout: Positive = TIMEOUT
    detail: Literal["days", "periods"] | None = None
    file: str | None = None
    counts: Selection | None = None
    leads: Selection | None = None
    activity: Selection | None = None

    @field_validator(*HELD)
    @classmethod
    def _one_selection(cls, value: str | None) -> str | None:
        return None if value is None else _selection(value)

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        found, server = [], self.kind == POSTGRES
        needed, absent = ("connection", "file") if server else ("file", "connection")
        if getattr(self, needed) is None:
            what = '{ env = "NAME" } or { service = "name" }' if server else "the file of the database"
            found.append(Problem(needed, f'this key is needed where kind = "{self.kind}": {what}'))
        alone = [absent] if server else [absent, "tls", "timeout", "detail"]
        text = f'belongs to kind = "{SQLITE if server else POSTGRES}": remove it'
        found += [Problem(key, text) for key in alone if key in self.model_fields_set]
        if self.detail is not None and self.leads is None:
            found.append(Problem("detail", "belongs to leads: remove it"))
        if not self.given(HELD):
            found.append(Problem("", f"expected a table or a SELECT for {', '.join(HELD)}; came none"))
        refuse(found)
        return self

    def name_of(self, role: str) -> str:
        """How messages call what stands in the place of a file."""
        selected = str(getattr(self, role))
        return f"query of {role}" if is_query(selected) else selected


class SnapshotsSpec(Table):
    """`[history.snapshots]`: the history as it was known on earlier days, from copies of it or from a log of changes.

    `by`: "name", each file that history.leads (or counts) matches is the whole export of the day in its name;
    "column", one table holds all exports, with the day of each in a column `exported`; "log", the leads are a log of
    changes: lead_id, field, changed_at, value. `within`: days after a period ended in which its export was made.
    """

    by: Literal["name", "column", "log"]
    within: Annotated[int, Field(ge=1, le=31)] = 1


def place_problems(history: Any) -> Iterator[Problem]:
    """What is wrong with where a history lies; what a database holds is given its name among the files."""
    database: DatabaseSpec | None = history.database
    snapshots: SnapshotsSpec | None = history.snapshots
    for role in [] if database is None else database.given(HELD):
        name = database.name_of(role) if database else ""
        if getattr(history, role) not in (None, name):
            yield Problem(role, f"history.database.{role} stands in its place: remove one of the two")
        object.__setattr__(history, role, name)
    if history.deals is not None and history.stored("leads"):
        text = "belongs to leads in a file; in a database let the SELECT of history.database.leads join the deals"
        yield Problem("deals", text)
    if history.changes is not None and history.stored("leads"):
        text = "belongs to leads in a file; in a database let the SELECT of history.database.leads tell the dates"
        yield Problem("changes", text)
    if snapshots is not None and history.deals is not None:
        yield Problem("deals", "has no snapshots: join it to the leads, or remove history.snapshots")
    if snapshots is not None and snapshots.by == "log" and history.leads is None:
        yield Problem("snapshots.by", "a log of changes is of leads: give it as history.leads")
    if (
        snapshots is not None
        and snapshots.by == "name"
        and history.stored("leads" if history.leads else "counts")
    ):
        yield Problem("snapshots.by", 'a table has no day in its name: by = "column", with a column exported')


def on_server(study: Any, role: str) -> bool:
    """Whether what a role of a study reads lies on a server."""
    history = study.history
    return history.stored(role) and history.database.kind == POSTGRES
