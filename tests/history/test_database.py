"""Leads and counts in SQLite and DuckDB: two roads to one answer, and sessions that can only read."""

# ruff: noqa: S608 - SQL of tests
from __future__ import annotations

import re
import sqlite3
import sys
from pathlib import Path

import duckdb
import pytest
from held_fixture import (
    BAD,
    history_in,
    left_out,
    rows,
    study_in,
    texts,
    write_csv,
    write_duckdb,
    write_sqlite,
)

from forecast.errors import DataError, StudyError, UsageError
from forecast.history import audit_history, read_history, read_lead_rows, what_was_read
from forecast.study import load_study

KINDS = ("sqlite", "duckdb")


def write(kind: str, folder: Path, given: list[tuple[object, ...]], *, typed: bool = True) -> dict[str, str]:
    """The rows in a file of this kind; gives the key of the study."""
    if kind == "sqlite":
        write_sqlite(folder / "held.db", given)
    else:
        write_duckdb(folder / "held.db", given, typed=typed)
    return {"kind": kind, "file": "held.db"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("selection", ["leads", "SELECT * FROM leads  -- all of them"])
def test_the_same_rows_make_the_same_history(tmp_path: Path, kind: str, selection: str) -> None:
    """Counts, triangles, losses, courses by day, deals: to the bit."""
    given = rows()
    write_csv(tmp_path / "leads.csv", given)
    database = write(kind, tmp_path, given)
    held = history_in(tmp_path, database={**database, "leads": selection})
    plain = history_in(tmp_path, leads="leads.csv")

    assert held.fingerprint() == plain.fingerprint()
    (read,), (other,) = held.files, plain.files
    assert (read.rows, read.columns) == (other.rows, other.columns)
    assert read.file == ("leads" if selection == "leads" else "query of leads")
    assert held.sources.keys() == {"held.db"}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_contradict_themselves_are_the_same_ones(tmp_path: Path, kind: str) -> None:
    """The same reasons with the same counts, and the same history of the rest; the leads are named, not the rows."""
    given = texts(rows()) + list(BAD)
    write_csv(tmp_path / "leads.csv", given)
    database = write(kind, tmp_path, given, typed=False)
    held = history_in(tmp_path, database={**database, "leads": "leads"}, bad_rows="leave out")
    plain = history_in(tmp_path, leads="leads.csv", bad_rows="leave out")

    assert held.fingerprint() == plain.fingerprint()
    (read,), (other,) = held.files, plain.files
    assert left_out(read) == left_out(other)
    assert len(left_out(read)) == len(BAD)
    assert {id_ for out in read.left_out for id_ in out.ids} >= {"B1", "B2", "B3", "B7", "L0000"}
    study = study_in(tmp_path, database={**database, "leads": "leads"}, bad_rows="leave out")
    status = {str(check.name): check.status for check in audit_history(held, study)}
    assert status["Rows left out"] == "REVIEW"


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_row_is_told_by_its_lead(tmp_path: Path, kind: str) -> None:
    """Rows of a table have no numbers; a repeated id says how often it stands there."""
    database = write(kind, tmp_path, texts(rows()) + list(BAD), typed=False)
    with pytest.raises(DataError) as caught:
        history_in(tmp_path, database={**database, "leads": "leads"})

    told = str(caught.value)
    assert 'leads: column won: lead B4 ("2024-04-01"): is set while qualified is empty' in told
    assert "leads: column lead_id: a row without an id: is empty" in told
    assert 'leads: column lead_id: 1 id stands in more than one row: "L0000" (2 rows)' in told
    assert "row 6" not in told


@pytest.mark.parametrize("kind", KINDS)
def test_counts_and_activity_are_tables_too(tmp_path: Path, kind: str) -> None:
    """A SELECT may add up what stands there by day; a file may stand beside a table."""
    made = "SELECT '2025-' || lpad(CAST(m AS VARCHAR), 2, '0') AS period, 'ads' AS channel, d AS day, 5 AS visitors"
    made += ", 2 AS leads, 1 AS won FROM (VALUES (1), (2), (3)) AS a(m), (VALUES (1), (2)) AS b(d)"
    if kind == "duckdb":
        with duckdb.connect(tmp_path / "held.db") as held:
            held.execute(f"CREATE TABLE daily AS {made}")
    else:
        with sqlite3.connect(tmp_path / "held.db") as plain:
            plain.execute("CREATE TABLE daily (period, channel, day, visitors, leads, won)")
            plain.executemany("INSERT INTO daily VALUES (?, ?, ?, ?, ?, ?)", duckdb.execute(made).fetchall())
        plain.close()
    select = (
        "SELECT period, channel, sum(visitors) AS visitors, sum(leads) AS leads, sum(won) AS won FROM daily"
    )
    database = {"kind": kind, "file": "held.db", "counts": f"{select} GROUP BY period, channel ORDER BY 1"}
    history = read_history(study_in(tmp_path, ("visitors", "leads", "won"), database=database))

    assert history.counts["visitors"].values.ravel().tolist() == [10.0, 10.0, 10.0]
    assert history.counts["won"].values.ravel().tolist() == [2.0, 2.0, 2.0]
    twice = {"kind": kind, "file": "held.db", "counts": "daily"}
    with pytest.raises(DataError, match=r"daily: 3 pairs of period and channel in more than one row"):
        read_history(study_in(tmp_path, ("visitors", "leads", "won"), database=twice))

    write_csv(tmp_path / "leads.csv", [("a", "ads", "2025-01-03", "2025-01-04", "2025-01-31", None, None)])
    activity = {
        "kind": kind,
        "file": "held.db",
        "activity": select.replace("AS leads", "AS l") + " GROUP BY 1, 2",
    }
    beside = read_history(
        study_in(tmp_path, ("visitors", "leads", "qualified", "won"), leads="leads.csv", database=activity)
    )
    assert beside.counts["visitors"].sum() == 10
    assert [read.file for read in beside.files] == ["leads.csv", "query of activity"]


@pytest.mark.parametrize("kind", KINDS)
def test_single_leads_of_a_local_database_can_be_scored(tmp_path: Path, kind: str) -> None:
    """Nothing travels: the rows are here."""
    database = write(kind, tmp_path, rows(50))
    leads, _ = read_lead_rows(study_in(tmp_path, database={**database, "leads": "leads"}))

    assert len(leads) == 50


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ("lead", r"lead: the database says: .*did you mean \"?leads"),
        ("SELECT lead_id, chanel FROM leads", "query of leads: the database says: .*chanel"),
        (
            "SELECT lead_id, channel, created, qualified FROM leads",
            'query of leads: no column "won"; it has lead_id',
        ),
        ("SELECT lead_id AS id_of, channel, created, qualified, won FROM leads", 'no column "lead_id"'),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, kind: str, selection: str, said: str) -> None:
    """A table, a column of the SELECT, a column that we look for."""
    database = write(kind, tmp_path, rows(20))
    with pytest.raises(DataError, match=said):
        history_in(tmp_path, database={**database, "leads": selection})


@pytest.mark.parametrize("kind", KINDS)
def test_no_database_there(tmp_path: Path, kind: str) -> None:
    """A file that is absent, empty, or of another kind."""
    key = {"kind": kind, "file": "held.db", "leads": "leads"}
    with pytest.raises(DataError, match=r"held.db: no such file .*history\.database\.file names it"):
        history_in(tmp_path, database=key)
    (tmp_path / "held.db").write_bytes(b"")
    with pytest.raises(DataError, match=r"held\.db: is empty"):
        history_in(tmp_path, database=key)
    (tmp_path / "held.db").write_bytes(b"period,channel,leads\n" * 400)
    with pytest.raises(DataError, match=r"held.db: cannot be opened as a database of (SQLite|DuckDB)"):
        history_in(tmp_path, database=key)


@pytest.mark.parametrize("kind", KINDS)
def test_reading_changes_nothing(tmp_path: Path, kind: str) -> None:
    """The file stays as it is, to the byte, and is an input that no output may replace."""
    database = write(kind, tmp_path, rows(40))
    before = (tmp_path / "held.db").read_bytes()
    study = study_in(tmp_path, database={**database, "leads": "leads"})
    read_history(study)

    assert (tmp_path / "held.db").read_bytes() == before
    assert study.inputs == [tmp_path / "held.db"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["held.db"]


@pytest.mark.parametrize(
    "selection",
    [
        "leads; DROP TABLE leads",
        "SELECT 1; SELECT 2",
        "SELECT * FROM leads) AS t; DELETE FROM leads; --",
        "DELETE FROM leads",
        "SELECT (1",
        "",
        "a.b.c.d",
        "leads where won",
        'the "table',
    ],
)
def test_what_is_no_single_select_is_refused(tmp_path: Path, selection: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match=r"expected|at least 1 character"):
        study_in(tmp_path, database={"kind": "sqlite", "file": "held.db", "leads": selection})


@pytest.mark.parametrize("kind", KINDS)
def test_odd_names_are_quoted(tmp_path: Path, kind: str) -> None:
    """A table called like code, and a semicolon within a text."""
    name = '"leads; DROP TABLE ""x"""'
    if kind == "sqlite":
        write_sqlite(tmp_path / "held.db", rows(30), table=name)
    else:
        write_duckdb(tmp_path / "held.db", rows(30), table=name)
    first = history_in(tmp_path, database={"kind": kind, "file": "held.db", "leads": name})
    select = f"SELECT * FROM {name} WHERE channel <> ';)('"
    second = history_in(tmp_path, database={"kind": kind, "file": "held.db", "leads": select})

    assert first.fingerprint() == second.fingerprint()


def test_the_page_says_what_was_read(tmp_path: Path) -> None:
    """The kind of database, columns, rows and totals, as of a file."""
    write_sqlite(tmp_path / "held.db", rows(40))
    study = study_in(tmp_path, database={"kind": "sqlite", "file": "held.db", "leads": "leads"})
    read = what_was_read(read_history(study), study)

    (file,) = read.files
    assert read.facts(file, "written")[0]["value"] == "SQLite"
    assert read.facts(file, "rows used")[0]["rows"] == 40
    assert (read.totals(file)["measure"] == "leads").any()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('kind = "sqlite"\nleads = "x"', "history.database.file: this key is needed"),
        ('kind = "postgres"\nleads = "x"', "history.database.connection: this key is needed"),
        ('kind = "sqlite"\nfile = "x.db"', "expected a table or a SELECT for counts, leads, activity"),
        (
            'kind = "duckdb"\nfile = "x.db"\nleads = "x"\ntimeout = 5.0',
            'timeout: belongs to kind = "postgres"',
        ),
        ('kind = "oracle"\nleads = "x"', "expected one of postgres, sqlite, duckdb"),
    ],
)
def test_a_study_that_cannot_be_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    """With the line of the key."""
    path = tmp_path / "study.toml"
    path.write_text(f'name = "x"\n[history]\n[history.database]\n{lines}\n', encoding="utf-8")
    with pytest.raises(StudyError, match=re.escape(said)):
        load_study(path)


SECRET = "hunter2"  # noqa: S105 - no password of anything


@pytest.mark.parametrize(
    "line",
    [
        f'connection = "postgresql://me:{SECRET}@host/db"',
        f'connection = {{ env = "postgresql://me:{SECRET}@host/db" }}',
        f'connection = {{ service = "host=h password={SECRET}" }}',
        f'connection = {{ env = "DSN", password = "{SECRET}" }}',
        f'connection = ["{SECRET}"]',
        f'password = "{SECRET}"\nconnection = {{ env = "DSN" }}',
        f'dsn = "host=h password={SECRET}"\nconnection = {{ env = "DSN" }}',
    ],
)
def test_a_secret_in_a_study_is_refused_and_never_shown(tmp_path: Path, line: str) -> None:
    """Neither as it stands nor in part."""
    path = tmp_path / "study.toml"
    text = f'name = "x"\n[history]\n[history.database]\nkind = "postgres"\nleads = "x"\n{line}\n'
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(path)

    assert SECRET not in str(caught.value)
    assert "history.database" in str(caught.value)


def test_an_environment_variable_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named; and what is no connection string is not shown."""
    pytest.importorskip("psycopg")
    monkeypatch.delenv("FORECAST_DSN", raising=False)
    key = {"kind": "postgres", "connection": {"env": "FORECAST_DSN"}, "leads": "leads"}
    with pytest.raises(StudyError, match="environment variable FORECAST_DSN is not set"):
        history_in(tmp_path, database=key)
    monkeypatch.setenv("FORECAST_DSN", f"postgres//me {SECRET}")
    with pytest.raises(StudyError, match="holds no connection string of PostgreSQL") as caught:
        history_in(tmp_path, database=key)
    assert SECRET not in str(caught.value)


def test_without_the_extra_it_is_said_how_to_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """psycopg comes with an extra."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    key = {"kind": "postgres", "connection": {"env": "FORECAST_DSN"}, "leads": "leads"}
    with pytest.raises(UsageError, match=r"pip install growth-forecast\[postgres\]"):
        history_in(tmp_path, database=key)


def test_a_table_and_a_file_of_one_kind_are_refused(tmp_path: Path) -> None:
    """Two sources of leads; deals beside leads of a database."""
    database = {"kind": "sqlite", "file": "held.db", "leads": "leads"}
    with pytest.raises(ValueError, match=r"history\.database\.leads stands in its place"):
        study_in(tmp_path, leads="leads.csv", database=database)
    with pytest.raises(ValueError, match=r"let the SELECT of history\.database\.leads join the deals"):
        study_in(tmp_path, deals="deals.csv", database=database)


def test_options_of_tls_are_libpqs_and_paths_are_the_studys(tmp_path: Path) -> None:
    """The system's certificates are no file."""
    database = {"kind": "postgres", "connection": {"env": "DSN"}, "leads": "leads"}
    tls = {"sslmode": "verify-full", "sslrootcert": "keys/root.crt"}
    spec = study_in(tmp_path, database={**database, "tls": tls}).history.database

    assert spec is not None
    assert spec.tls.options(tmp_path) == {
        "sslmode": "verify-full",
        "sslrootcert": str(tmp_path / "keys/root.crt"),
    }
    assert type(spec.tls)(sslrootcert="system").options(tmp_path) == {"sslrootcert": "system"}
