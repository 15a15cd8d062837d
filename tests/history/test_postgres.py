"""Leads and counts in a real PostgreSQL server: sums travel, the answer is that of a file, no secret is ever told."""

# ruff: noqa: S608 - SQL of tests
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from edited_fixture import write_crm
from held_fixture import BAD, COLUMNS, history_in, left_out, rows, study_in, texts, write_csv
from postgres_fixture import PASSWORD, USER, certificates, server

from forecast.errors import DataError, StudyError
from forecast.history import read_history, read_lead_rows
from forecast.read import server_of

pytestmark = pytest.mark.outside
KEY = {"kind": "postgres", "connection": {"env": "FORECAST_DSN"}}
ACTIVITY = [
    (f"2024-{month:02d}", name, 100.0 * month, 10 * month)
    for month in range(1, 13)
    for name in ("channel 0", "a")
]


@pytest.fixture(scope="module")
def at() -> Iterator[dict[str, str]]:
    """A server with leads as they are typed, as texts, and with rows that contradict themselves."""
    with server() as place:
        import psycopg

        kinds = ("text", "text", *["date"] * 4, "numeric(12,2)")
        with psycopg.connect(**place, autocommit=True) as held:
            held.execute("CREATE SCHEMA crm")
            held.execute(f"CREATE TABLE leads ({', '.join(map(' '.join, zip(COLUMNS, kinds, strict=True)))})")
            held.execute(f"CREATE TABLE crm.bad ({', '.join(f'{name} text' for name in COLUMNS)})")
            held.execute('CREATE TABLE crm."Odd; name" AS SELECT * FROM leads')
            held.execute("CREATE TABLE activity (period text, channel text, spend numeric, visitors integer)")
            for table, given in (
                ("leads", rows()), ("crm.bad", texts(rows()) + list(BAD)), ('crm."Odd; name"', rows(40)),
                ("activity", ACTIVITY),
            ):  # fmt: skip
                with held.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                    for row in given:
                        copy.write_row(row)
        yield place


@pytest.fixture(autouse=True)
def _environment(at: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    monkeypatch.setenv("FORECAST_DSN", psycopg.conninfo.make_conninfo(**at))


GOOD = "SELECT * FROM crm.bad WHERE lead_id LIKE 'L%' AND created < '2025-03-05'"
MORE = "SELECT l.*, created + interval '3 hours' AS c2, 1 AS x FROM leads l"


@pytest.mark.parametrize("selection", ["leads", "public.leads", "SELECT * FROM leads -- all", GOOD, MORE])
def test_the_same_rows_make_the_same_history(tmp_path: Path, selection: str) -> None:
    """To the bit, where days and amounts travel; typed columns and texts alike."""
    write_csv(tmp_path / "leads.csv", rows())
    held = history_in(tmp_path, database={**KEY, "leads": selection, "detail": "days"})
    plain = history_in(tmp_path, leads="leads.csv")

    assert held.fingerprint() == plain.fingerprint()
    assert held.files[0].rows == plain.files[0].rows
    assert list(held.sources) == [held.files[0].file]


def test_of_periods_alone_counts_and_triangles_are_the_same(tmp_path: Path) -> None:
    """Days and single amounts stay there; fewer bytes leave, and the note says how many."""
    write_csv(tmp_path / "leads.csv", rows())
    held = history_in(tmp_path, database={**KEY, "leads": "leads", "detail": "periods"})
    plain = history_in(tmp_path, leads="leads.csv")

    assert held.counts.equals(plain.counts)
    for ours, theirs in ((held.triangles, plain.triangles), (held.losses, plain.losses)):
        assert ours.keys() == theirs.keys()
        assert all(ours[stage].equals(theirs[stage]) for stage in ours)
    assert not held.by_day
    assert not len(held.deals)
    past, then = held.as_of("2024-08"), plain.as_of("2024-08")
    assert past.counts.equals(then.counts)
    assert "stayed in the database" in str(held.files[0].notes[-1])


def test_few_days_travel_unasked_and_many_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they take less than the bound, they come; else the note names the key that asks for them.

    Of many leads the first rows tell whether most take a course of their own.
    """
    whole = history_in(tmp_path, database={**KEY, "leads": "leads"})
    assert whole.by_day
    few = {"forecast.history.leads.FEW": 599}
    with monkeypatch.context() as patched:
        patched.setattr("forecast.history.leads.FEW", 599)
        assert history_in(tmp_path, database={**KEY, "leads": "leads"}).fingerprint() == whole.fingerprint()
    for bounds in (
        {"forecast.history.leads.TRAVELS": 3_000},
        {**few, "forecast.history.lead_days.PROBED": 100},
    ):
        with monkeypatch.context() as patched:
            for bound, at_most in bounds.items():
                patched.setattr(bound, at_most)
            less = history_in(tmp_path, database={**KEY, "leads": "leads"})
        assert not less.by_day
        assert 'history.database.detail = "days"' in str(less.files[0].notes[-1])


def test_rows_that_contradict_themselves_are_the_same_ones(tmp_path: Path) -> None:
    """Reasons, counts, and the history of the rest."""
    write_csv(tmp_path / "leads.csv", texts(rows()) + list(BAD))
    held = history_in(tmp_path, database={**KEY, "leads": "crm.bad", "detail": "days"}, bad_rows="leave out")
    plain = history_in(tmp_path, leads="leads.csv", bad_rows="leave out")

    assert held.fingerprint() == plain.fingerprint()
    assert left_out(held.files[0]) == left_out(plain.files[0])
    assert len(left_out(held.files[0])) == len(BAD)
    with pytest.raises(DataError) as caught:
        history_in(tmp_path, database={**KEY, "leads": "crm.bad"})
    told = str(caught.value)
    assert 'crm.bad: column won: lead B4 ("2024-04-01"): is set while qualified is empty' in told
    assert '1 id stands in more than one row: "L0000" (2 rows)' in told


@pytest.mark.parametrize("order", ["strict", "any"])
def test_other_keys_of_a_history_hold_there_too(tmp_path: Path, order: str) -> None:
    """Names of columns, outcomes in words with a closing date, pipelines, converted amounts, weeks."""
    columns = "lead_id,source,created,qualified,status,ended,amount,money,pipe"
    given = [
        ("a", "web", "2025-01-06", "2025-01-20", "Closed won", "2025-02-03", "1000", "SEK", "new"),
        ("b", "web", "2025-01-07", "2025-01-21", "Closed lost", "2025-02-04", "50", "EUR", "new"),
        ("c", "fair", "2025-01-08", None, "Open", None, None, "EUR", "new"),
        ("d", "fair", "2025-01-09", "2025-01-23", "Closed won", "2025-02-16", "-30", "EUR", "new"),
        ("e", "fair", "2025-01-09", "2025-01-23", "Closed won", "2025-02-24", "70", "EUR", "old"),
    ]
    write_csv(tmp_path / "leads.csv", given, tuple(columns.split(",")))
    cells = [", ".join("NULL" if cell is None else f"'{cell}'" for cell in row) for row in given]
    values = ", ".join(f"({each})" for each in cells)
    select = f"SELECT * FROM (VALUES {values}) AS t({columns.replace(',', ', ')})"
    names = {
        "channel": "source",
        "outcome": "status",
        "closed": "ended",
        "currency": "money",
        "pipeline": "pipe",
    }
    keys = {
        "columns": names, "exchange": {"SEK": 0.1}, "pipelines": ("new",), "net_revenue": True, "period": "week",
        "order": order,
    }  # fmt: skip
    held = history_in(tmp_path, database={**KEY, "leads": select, "detail": "days"}, **keys)
    plain = history_in(tmp_path, leads="leads.csv", **keys)

    assert held.fingerprint() == plain.fingerprint()
    assert held.counts["refunds"].sum() == 30
    (read,), (other,) = held.files, plain.files
    assert read.outcomes == other.outcomes
    assert left_out(read) == left_out(other)
    less = history_in(tmp_path, database={**KEY, "leads": select, "detail": "periods"}, **keys)
    assert less.counts.equals(plain.counts)


def test_times_with_a_zone_fall_on_the_day_of_the_study(tmp_path: Path) -> None:
    """23:30 UTC on the last of January is the first of February in Helsinki."""
    select = "SELECT 'a' AS lead_id, 'web' AS channel, timestamptz '2025-01-31 23:30+00' AS created, "
    select += "NULL::date AS qualified, NULL::date AS won UNION ALL "
    select += "SELECT 'b', 'web', timestamptz '2025-02-28 12:00+00', NULL, NULL"
    utc = history_in(tmp_path, database={**KEY, "leads": select})
    local = history_in(tmp_path, database={**KEY, "leads": select}, read={"time_zone": "Europe/Helsinki"})

    assert utc.counts["leads"].values.ravel().tolist() == [1.0, 1.0]
    assert local.counts["leads"].values.ravel().tolist() == [2.0]


@pytest.mark.parametrize("unmapped", [None, "Other"])
def test_rules_say_the_channel_there_too(tmp_path: Path, unmapped: str | None) -> None:
    """By patterns of two columns, blanks among them; leads that none fits are counted, with the ids of some."""
    columns = ("lead_id", "medium", "campaign", "created", "qualified", "won", "amount")
    kinds = [
        ("cpc", "Brand 1"),
        ("cpc", "generic"),
        ("email", ""),
        ("", ""),
        ("social", "x'y"),
        ("CPC ", "brand"),
    ]
    given = [
        (f"L{i:03d}", *kinds[i % 6], f"2025-0{1 + i % 3}-11", f"2025-04-0{1 + i % 9}", None, None)
        if i % 4
        else (
            f"L{i:03d}",
            *kinds[i % 6],
            f"2025-0{1 + i % 3}-11",
            "2025-04-02",
            "2025-04-09",
            str(10 * i + 5),
        )
        for i in range(120)
    ]
    write_csv(tmp_path / "leads.csv", given, columns)
    cells = [", ".join("NULL" if not cell else literal(cell) for cell in row) for row in given]
    select = f"SELECT * FROM (VALUES {', '.join(f'({each})' for each in cells)}) AS t({', '.join(columns)})"
    maps = (
        {"channel": "Brand", "when": {"medium": "cpc", "campaign": "brand*"}},
        {"channel": "Search", "when": {"medium": "cpc"}},
        {"channel": "Mail", "when": {"medium": "e*"}},
    )
    keys = {"map": maps} | ({} if unmapped is None else {"unmapped": unmapped})
    held = history_in(tmp_path, database={**KEY, "leads": select, "detail": "days"}, **keys)
    plain = history_in(tmp_path, leads="leads.csv", **keys)

    assert held.fingerprint() == plain.fingerprint()
    assert {"Brand", "Search", "Mail"} <= set(held.channels)
    assert left_out(held.files[0]) == left_out(plain.files[0])
    named = [out.ids for out in held.files[0].left_out if "no rule" in str(out.reason)]
    assert named == (
        [("L004", "L010", "L016", "L022", "L028", "L034", "L040", "L046", "L052", "L058")] * (not unmapped)
    )


@pytest.mark.parametrize("way", ["column", "log"])
def test_copies_of_earlier_days_lie_there_too(tmp_path: Path, way: str) -> None:
    """A table of all exports, a log of changes: each past is the export of its day."""
    import psycopg

    write_crm(tmp_path)
    file = {"column": "all.csv", "log": "log.csv"}[way]
    lines = (tmp_path / file).read_text(encoding="utf-8").splitlines()
    titles = lines[0].split(",")
    with psycopg.connect(os.environ["FORECAST_DSN"], autocommit=True) as held:
        dated = {"created", "qualified", "won", "lost", "exported"}
        kinds = [f"{title} {'date' if title in dated else 'text'}" for title in titles]
        held.execute(f"DROP TABLE IF EXISTS kept; CREATE TABLE kept ({', '.join(kinds)})")
        with held.cursor().copy("COPY kept FROM STDIN") as copy:
            for line in lines[1:]:
                copy.write_row([cell or None for cell in line.split(",")])
    keys = {"snapshots": {"by": way}, "through": "2024-12"}
    history = history_in(tmp_path, database={**KEY, "leads": "kept", "detail": "days"}, **keys)
    plain = history_in(tmp_path, leads=file, **keys)

    assert history.fingerprint() == plain.fingerprint()
    assert history.as_of("2024-07").fingerprint() == plain.as_of("2024-07").fingerprint()
    assert (
        history.as_of("2024-07").counts["won"].sum() < history.believed.as_of("2024-07").counts["won"].sum()
    )


def test_activity_beside_leads_of_a_file(tmp_path: Path) -> None:
    """Each lies where it lies."""
    write_csv(tmp_path / "leads.csv", rows())
    stages = ("visitors", "leads", "qualified", "won")
    history = read_history(
        study_in(tmp_path, stages, leads="leads.csv", database={**KEY, "activity": "activity"})
    )

    assert history.counts["spend"].sum() == 2 * 100 * sum(range(1, 13))
    assert set(history.sources) == {"leads.csv", "activity"}


def test_the_session_can_only_read(tmp_path: Path) -> None:
    """Neither the SELECT nor anything that is asked can write, whoever the user is."""
    study = study_in(tmp_path, database={**KEY, "leads": "leads"})
    for sql in (
        "DELETE FROM leads",
        "CREATE TABLE x (a int)",
        "SELECT setval('s', 1)",
        "COPY leads TO '/tmp/x'",
    ):
        with pytest.raises(DataError), server_of(study, "leads") as held:
            held.execute(sql)
    with pytest.raises(DataError, match=r"would change data|data-modifying"):
        history_in(
            tmp_path, database={**KEY, "leads": "WITH x AS (DELETE FROM leads RETURNING *) SELECT * FROM x"}
        )
    with server_of(study, "leads") as held:
        assert held.execute("SELECT count(*) FROM leads").fetchall() == [(600,)]


def test_odd_names_and_values_are_no_code(tmp_path: Path) -> None:
    """A table called like code; texts with quotes, percent signs and the signs that part cells."""
    history_in(tmp_path, database={**KEY, "leads": 'crm."Odd; name"'})
    names = ["a%s", "b'c", 'd"e', "$1", "f\x1fg\x1eh", "i\nj", "\\k"]
    values = ", ".join(
        f"('{i}', {literal(name)}, DATE '2025-01-{i + 1:02d}', NULL::date, NULL::date)"
        for i, name in enumerate(names)
    )
    one = "('x', 'web', DATE '2025-01-31', NULL, NULL)"
    columns = ", ".join(COLUMNS[:5])
    select = f"SELECT * FROM (VALUES {values}, {one}) AS t({columns})"
    history = history_in(tmp_path, database={**KEY, "leads": select})

    assert set(history.channels) == {
        *(name.replace("\x1f", " ").replace("\x1e", " ") for name in names),
        "web",
    }


def literal(text: str) -> str:
    """A text as PostgreSQL has it, control signs and all."""
    signs = "".join(f"\\x{ord(c):02x}" if ord(c) < 32 or c in "'\\" else c for c in text)
    return f"E'{signs}'"


def test_a_time_out_says_which_key_gives_more(tmp_path: Path) -> None:
    """The server itself ends the question."""
    slow = "SELECT l.*, pg_sleep(0.1) FROM leads l"
    with pytest.raises(DataError, match=r"history\.database\.timeout"):
        history_in(tmp_path, database={**KEY, "leads": slow, "timeout": 0.3})


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ("lead", r'lead: relation "lead" does not exist; did you mean "leads"\?'),
        ("crm.ba", r'crm.ba: relation "crm.ba" does not exist; did you mean "crm.bad"\?'),
        (
            "SELECT chanel FROM leads",
            r'query of leads: the database says: column "chanel" does not exist \(.*leads.channel',
        ),
        (
            "SELECT lead_id, channel, created FROM leads",
            'query of leads: no column "qualified"; it has lead_id',
        ),
        ("SELECT * FROM leads WHERE", "syntax error"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, selection: str, said: str) -> None:
    """With what was meant, perhaps."""
    with pytest.raises(DataError, match=said):
        history_in(tmp_path, database={**KEY, "leads": selection})


def test_single_leads_do_not_leave_the_server(tmp_path: Path) -> None:
    """The ranking of leads looks at each: it needs a file, and the refusal says so."""
    with pytest.raises(StudyError, match="only sums leave a PostgreSQL database"):
        read_lead_rows(study_in(tmp_path, database={**KEY, "leads": "leads"}))
    more = '[scoring]\nfeatures = ["source"]\n'
    (tmp_path / "study.toml").write_text(STUDY + more, encoding="utf-8")
    rank = command(tmp_path, "rank", "study.toml", "--out", "out")
    assert rank.returncode == 2
    assert "export the leads to a file for that (history.leads)" in rank.stderr


def test_a_run_is_scored_by_what_came(tmp_path: Path) -> None:
    """`score` asks the server as `run` does, with days and without: the same as of a file."""
    write_csv(tmp_path / "leads.csv", rows())
    told = {}
    for name, source in (("held", DATABASE), ("plain", 'leads = "leads.csv"\n')):
        study = f"{name}.toml"
        text = f'name = "held"\n[history]\n{source}[funnel]\nstages = ["leads", "qualified", "won"]\n'
        (tmp_path / study).write_text(text + "[plan]\nperiods = 3\n", encoding="utf-8")
        ends = ("--set", "history.through=2024-09")
        run = command(
            tmp_path,
            "run",
            study,
            "--preview",
            "--draws",
            "100",
            "--outputs",
            "json,draws",
            "--out",
            name,
            *ends,
        )
        assert run.returncode == 0, run.stderr
        score = command(tmp_path, "score", name, study)
        assert score.returncode == 0, score.stderr
        told[name] = [(tmp_path / name / file).read_bytes() for file in ("score.csv", "score_totals.csv")]
    assert told["held"] == told["plain"]


def test_a_service_and_its_password_file(
    tmp_path: Path, at: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq's own files; TLS options are handed on: this server has none, and says so."""
    (tmp_path / "pg_service.conf").write_text(
        f"[growth]\nhost={at['host']}\nport={at['port']}\ndbname=postgres\nuser={USER}\n", encoding="utf-8"
    )
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    (tmp_path / "pass").write_text(f"{at['host']}:{at['port']}:*:{USER}:{escaped}\n", encoding="utf-8")
    (tmp_path / "pass").chmod(0o600)
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "pg_service.conf"))
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pass"))
    key = {"kind": "postgres", "connection": {"service": "growth"}, "leads": "leads"}
    assert history_in(tmp_path, database=key).counts["leads"].sum() > 0
    with pytest.raises(DataError, match="server does not support SSL"):
        history_in(tmp_path, database={**key, "tls": {"sslmode": "require"}})


DATABASE = """\
[history.database]
kind = "postgres"
connection = { env = "FORECAST_DSN" }
leads = "leads"
"""
STUDY = f"""\
name = "held"
[history]
{DATABASE}[funnel]
stages = ["leads", "qualified", "won"]
"""


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, as a user calls it."""
    return subprocess.run(
        [sys.executable, "-m", "forecast", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def told(folder: Path, *results: subprocess.CompletedProcess[str]) -> str:
    """All that commands said and wrote."""
    files = [p.read_bytes().decode("utf-8", errors="replace") for p in folder.rglob("*") if p.is_file()]
    return "\n".join([*files, *(r.stdout + r.stderr for r in results)])


def test_a_run_is_made_signed_and_verified_and_tells_no_password(tmp_path: Path) -> None:
    """`check`, `run`, `sign`, `verify`; a change in the database is found where the run is made again."""
    import psycopg

    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    check = command(tmp_path, "check", "study.toml")
    run = command(tmp_path, "run", "study.toml", "--preview", "--out", "out", "--draws", "100")
    sign = command(tmp_path, "sign", "out", "--by", "me", "--override", "a test")
    verify = command(tmp_path, "verify", "out")
    again = command(tmp_path, "verify", "out", "--remake")

    assert check.returncode == run.returncode == sign.returncode == 0, check.stderr + run.stderr + sign.stderr
    assert "Read: leads (leads)" in check.stdout
    assert verify.returncode == again.returncode == 0, verify.stdout + again.stdout + again.stderr
    assert "in a database, which no hash of a file stands for" in verify.stdout + verify.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["provenance"]["data_sha256"]) == {"leads"}
    with psycopg.connect(os.environ["FORECAST_DSN"], autocommit=True) as held:
        held.execute("UPDATE leads SET channel = 'channel 1' WHERE lead_id = 'L0002'")
        changed = command(tmp_path, "verify", "out", "--remake")
        held.execute("UPDATE leads SET channel = 'channel 2' WHERE lead_id = 'L0002'")
    assert changed.returncode != 0
    assert "made again, it is another" in changed.stdout + changed.stderr
    assert not holds_password(told(tmp_path, check, run, sign, verify, again, changed))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Path]]:
    """A server that speaks TLS by a certificate for localhost, and the folder with its authority and another one."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not here")
    folder = tmp_path_factory.mktemp("tls")
    certificates(folder)
    with server(folder) as place:
        import psycopg

        with psycopg.connect(**place, autocommit=True) as held:
            held.execute(f"CREATE TABLE leads ({', '.join(f'{name} text' for name in COLUMNS)})")
            with held.cursor().copy("COPY leads FROM STDIN") as copy:
                for row in texts(rows()):
                    copy.write_row(row)
        yield place, folder


@pytest.mark.parametrize(
    ("root", "host", "said"),
    [
        ("root.crt", "localhost", None),
        ("other.crt", "localhost", "certificate verify failed"),
        ("root.crt", "127.0.0.1", 'does not match host name "127.0.0.1"'),
        ("absent.crt", "localhost", 'root certificate file "'),
    ],
)
def test_a_server_proves_who_it_is(
    tmp_path: Path,
    secured: tuple[dict[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    root: str,
    host: str,
    said: str | None,
) -> None:
    """verify-full: by the authority that the study names and under the name that is asked for; else nothing is read."""
    import psycopg

    place, folder = secured
    monkeypatch.setenv("FORECAST_DSN", psycopg.conninfo.make_conninfo(**(place | {"host": host})))
    for path in folder.glob("*.crt"):
        shutil.copy(path, tmp_path)
    tls = f'tls = {{ sslmode = "verify-full", sslrootcert = "{root}" }}\n'
    (tmp_path / "study.toml").write_text(
        STUDY.replace('leads = "leads"\n', f'leads = "leads"\n{tls}'), encoding="utf-8"
    )
    done = command(tmp_path, "check", "study.toml")

    assert not holds_password(told(tmp_path, done))
    assert not any(part in told(tmp_path, done) for part in ("password=", "dbname=", f"user={USER}"))
    if said is None:
        assert done.returncode == 0, done.stderr
        assert "Read: leads (leads)" in done.stdout
        return
    assert done.returncode == 3
    names = "leads: cannot connect to the database that the environment variable FORECAST_DSN names ("
    assert names in done.stderr, done.stderr
    assert said in done.stderr
    assert "TLS options are right" in done.stderr


def holds_password(text: str) -> bool:
    """The password as it is, or as an address has it."""
    return any(form in text for form in (PASSWORD, PASSWORD.replace("/", "%2F"), "p%40ss", "p@ss"))


@pytest.mark.parametrize("wrong", ["password", "port", "host", "dbname", "string"])
def test_no_failure_tells_the_password(
    tmp_path: Path, at: dict[str, str], monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """Neither on the screen nor in a file; the code is that of data, or of the study where no string is there."""
    import psycopg

    place = {"password": PASSWORD + "x", "port": "1", "host": "no.such.host.invalid", "dbname": "absent"}
    text = psycopg.conninfo.make_conninfo(**(at | ({wrong: place[wrong]} if wrong in place else {})))
    if wrong == "string":
        text = f"postgresql:/{USER}:{PASSWORD}@{at['host']}"
    monkeypatch.setenv("FORECAST_DSN", text)
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    results = [
        command(tmp_path, *words)
        for words in (("check", "study.toml"), ("run", "study.toml", "--out", "out"))
    ]

    assert [r.returncode for r in results] == [2 if wrong == "string" else 3] * 2
    assert "FORECAST_DSN" in results[0].stderr
    assert not holds_password(told(tmp_path, *results))
