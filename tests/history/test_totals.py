"""What was read: totals that are exact, blanks that are in none of them, and channels without a partner."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from conftest import STUDY, counts

from forecast.history import DataRead, History, dataset, read_history, read_plan, what_was_read
from forecast.periods import period_range
from forecast.read import FileRead, LeftOut, Outcome
from forecast.study import load_study
from forecast.tables import json_text
from forecast.words import message

LEADS = """\
lead_id,channel,created,qualified,won,lost,amount
1,ppc,2023-11-03,2023-11-09,2023-12-20,,1000.10
2,ppc,2023-12-05,2023-12-09,2024-01-20,,
3,seo,2024-01-08,2024-01-18,2024-01-30,,500.20
4,fair,2024-01-09,,,2024-01-30,
5,seo,2024-02-11,,,,
6,ppc,2023-10-11,,,,
"""
SHORT = '[funnel]\nstages = ["leads", "won"]\n'
ACTIVITY = "period,channel,spend,visitors\n" + "".join(
    f"{period},{channel},{spend},{visitors}\n"
    for period in ("2023-11", "2023-12", "2024-01")
    for channel, spend, visitors in (("ppc", "300.55", "40"), ("radio", "10", ""))
)


def _study(folder: Path, history: str, stages: str = "", **files: str) -> Path:
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    (folder / "s.toml").write_text(f'name = "s"\n[history]\n{history}\n{stages}', encoding="utf-8")
    return folder / "s.toml"


def _read(path: Path) -> DataRead:
    study = load_study(path)
    return what_was_read(read_history(study), study)


def _file(read: DataRead, name: str) -> FileRead:
    return next(file for file in read.files if file.file == name)


def _of(read: DataRead, file: str, by: str, measure: str) -> dict[str, float]:
    frame = read.totals(_file(read, file))
    part = frame[(frame["by"] == by) & (frame["measure"] == measure)]
    return dict(zip(part["name"], part["total"], strict=True))


def test_totals_of_counts_are_those_of_the_file(tmp_path: Path):
    """By year, by channel and in all, each the plain sum of the column; what lies outside the window is left out."""
    path = tmp_path / "small.toml"
    path.write_text(STUDY.replace('"2026-06"', '"2026-05"'), encoding="utf-8")
    (tmp_path / "small.csv").write_text(counts(), encoding="utf-8")
    read = _read(path)
    rows = [line.split(",") for line in counts().splitlines()[1:]]
    inside = [row for row in rows if row[0] <= "2026-05"]
    for at, measure in ((2, "spend"), (4, "leads"), (7, "revenue")):
        assert _of(read, "small.csv", "all", measure) == {"": sum(int(row[at]) for row in inside)}
        by_year = {y: sum(int(r[at]) for r in inside if r[0][:4] == y) for y in ("2025", "2026")}
        assert _of(read, "small.csv", "year", measure) == by_year
        by_channel = {c: sum(int(r[at]) for r in inside if r[1] == c) for c in ("ppc", "seo")}
        assert _of(read, "small.csv", "channel", measure) == by_channel
    file = read.files[0]
    assert (file.role, file.rows) == ("counts", 34)
    assert [(out.n, out.rows, str(out.reason)) for out in file.left_out] == [
        (2, (36, 37), "after 2026-05, the last period")
    ]


def test_cents_add_up_without_noise(tmp_path: Path):
    """A tenth, ten times over, is one: what is laid beside the books has no binary tail."""
    study = load_study(_study(tmp_path, 'counts = "f.csv"'))
    starts = period_range(np.datetime64("2024-01-01"), np.datetime64("2024-10-01"), "month")
    cells = {"spend": np.full((10, 1), 0.1), "won": np.ones((10, 1))}
    history = History(
        dataset(cells, starts, ["a"]),
        "calendar",
        "month",
        ("won",),
        files=(FileRead("counts", "f.csv", {}, {}),),
    )
    assert _of(what_was_read(history, study), "f.csv", "all", "spend") == {"": 1.0}


def test_a_blank_is_in_no_total_and_counted(tmp_path: Path):
    """Cells without a number are told by their number; a channel with nothing but blanks has no total, not 0."""
    table = (
        "period,channel,leads,won,revenue\n2024-01,a,5,1,\n2024-01,b,4,,7\n2024-02,a,6,2,9.5\n2024-02,b,3,,\n"
    )
    read = _read(_study(tmp_path, 'counts = "c.csv"', SHORT, c=table))
    frame = read.totals(_file(read, "c.csv"))
    blank = {row.measure: row.blank for row in frame[frame["by"] == "all"].itertuples()}
    assert blank == {"leads": 0, "won": 2, "revenue": 2}
    assert np.isnan(_of(read, "c.csv", "channel", "won")["b"])
    assert _of(read, "c.csv", "all", "revenue") == {"": 16.5}


def test_leads_and_activity_each_have_their_own_totals(tmp_path: Path):
    """Stages and amounts are of the leads, money and traffic of the activity; a deal without an amount is counted."""
    history = 'leads = "l.csv"\nactivity = "a.csv"\nfrom = "2023-11"\nthrough = "2024-01"'
    read = _read(_study(tmp_path, history, l=LEADS, a=ACTIVITY))
    leads, activity = read.files
    assert (leads.role, leads.rows, activity.rows) == ("leads", 4, 6)
    assert {str(out.reason): out.n for out in leads.left_out} == {
        "before 2023-11, the first period": 1,
        "after 2024-01, the last period": 1,
    }
    assert list(dict.fromkeys(read.totals(_file(read, "l.csv"))["measure"])) == [
        "leads",
        "qualified",
        "won",
        "revenue",
    ]
    assert list(dict.fromkeys(read.totals(_file(read, "a.csv"))["measure"])) == ["spend", "visitors"]
    assert _of(read, "l.csv", "all", "revenue") == {"": 1500.3}
    assert _of(read, "l.csv", "year", "won") == {"2023": 1, "2024": 2}
    assert _of(read, "l.csv", "channel", "revenue") == {"ppc": 1000.1, "seo": 500.2, "fair": 0}
    revenue = read.totals(_file(read, "l.csv")).query("measure == 'revenue' and by == 'all'")
    assert revenue["blank"].tolist() == [1]
    assert _of(read, "a.csv", "channel", "spend") == {"ppc": 901.65, "radio": 30}
    assert "fair" not in _of(read, "a.csv", "channel", "spend")


def test_names_that_never_meet_are_said_of_both_files(tmp_path: Path):
    """Channels of leads without activity, and the reverse, by name."""
    history = 'leads = "l.csv"\nactivity = "a.csv"\nfrom = "2023-11"\nthrough = "2024-01"'
    read = _read(_study(tmp_path, history, l=LEADS, a=ACTIVITY))
    said = {
        file: [str(fact["value"]) for fact in read.facts(_file(read, file), "joined")]
        for file in ("l.csv", "a.csv")
    }
    assert said["l.csv"] == ["1 channel is in a.csv too", "no partner in a.csv: fair, seo"]
    assert said["a.csv"] == ["1 channel is in l.csv too", "no partner in l.csv: radio"]


def test_a_file_of_deals_has_the_totals_of_what_it_holds(tmp_path: Path):
    """Won and amount are of the file that has these columns."""
    study = load_study(_study(tmp_path, 'leads = "l.csv"\nthrough = "2024-01"', l=LEADS))
    history = read_history(study)
    deals = FileRead("deals", "d.csv", {}, {"lead_id": "Id", "won": "Closed", "amount": "Sum"})
    read = what_was_read(replace(history, files=(*history.files, deals)), study)
    assert set(read.totals(_file(read, "d.csv"))["measure"]) == {"won", "revenue"}
    assert set(read.totals(_file(read, "l.csv"))["measure"]) == {"leads", "qualified"}


def test_all_of_it_is_said_in_json(tmp_path: Path):
    """How each file is written, its rows, outcomes and totals, as plain JSON; whole numbers are whole."""
    study = load_study(
        _study(tmp_path, 'counts = "c.csv"', SHORT, c="period,channel,leads,won\n2024-01,a,5,1\n")
    )
    file = FileRead(
        "counts", "c.csv", {"encoding": "cp1252"}, {"period": "Kuukausi"}, ("Muuta",), 1,
        (LeftOut(message("a sum of {n:whole} rows", n=2), 1, (4,)),), ("a note",), (Outcome("Voitettu", "won", 3),),
    )  # fmt: skip
    read = what_was_read(replace(read_history(study), files=(file,)), study)
    told = json.loads(json_text(read))
    assert told["first"] == told["last"] == "2024-01"
    (said,) = told["files"]
    assert said["left_out"] == [{"reason": "a sum of 2 rows", "n": 1, "rows": [4], "bad": False, "ids": []}]
    assert said["outcomes"] == [{"value": "Voitettu", "meaning": "won", "n": 3}]
    assert (said["dialect"], said["columns"], said["unread"]) == (
        {"encoding": "cp1252"}, {"period": "Kuukausi"}, ["Muuta"]
    )  # fmt: skip
    assert said["totals"]["leads"] == {"total": 5, "blank": 0, "by_year": {"2024": 5}, "by_channel": {"a": 5}}


def test_a_plan_is_read_as_other_files_are(tmp_path: Path):
    """Its dialect, its totals by channel over the horizon; rows of totals and of other periods are left out."""
    plan = "Kuukausi;Kanava;Budjetti\n" + "".join(
        f"{month}.2024;{channel};{spend}\n"
        for month in (2, 3, 4, 6)
        for channel, spend in (("ppc", "1 000,50"), ("radio", "20"), ("Yhteensä", "1 020,50"))
    )
    (tmp_path / "p.csv").write_text(plan, encoding="cp1252")
    keys = '[plan]\nperiods = 3\nspend = "p.csv"'
    history = 'leads = "l.csv"\nactivity = "a.csv"\nfrom = "2023-11"\nthrough = "2024-01"'
    study = load_study(_study(tmp_path, history, keys, l=LEADS, a=ACTIVITY))
    seen = read_history(study)
    planned = read_plan(study, seen)
    read = what_was_read(seen, study, plan=planned)
    file = _file(read, "p.csv")
    assert planned.sel(channel="ppc").values.tolist() == [1000.5] * 3
    assert (file.role, file.rows) == ("plan", 6)
    assert [(str(out.reason), out.n) for out in file.left_out] == [
        ("after 2024-04, the last period", 3),
        ("channel Yhteensä is the sum of the others", 3),
    ]
    assert _of(read, "p.csv", "all", "spend") == {"": 3061.5}
    assert _of(read, "p.csv", "channel", "spend") == {"ppc": 3001.5, "radio": 60}
    assert [fact["name"] for fact in read.facts(file, "last period")] == ["2024-04"]


def test_files_on_sheets_of_one_workbook_are_told_apart(tmp_path: Path):
    """Leads and activity of one name: each has its own totals and facts."""
    study = load_study(
        _study(tmp_path, 'leads = "l.csv"\nactivity = "a.csv"\nthrough = "2024-01"', l=LEADS, a=ACTIVITY)
    )
    history = read_history(study)
    leads, activity = (replace(file, file="both.xlsx") for file in history.files)
    read = what_was_read(replace(history, files=(leads, activity)), study)
    assert set(read.totals(leads)["measure"]) == {"leads", "qualified", "won", "revenue"}
    assert set(read.totals(activity)["measure"]) == {"spend", "visitors"}
    assert [len(read.facts(file, "rows used")) for file in (leads, activity)] == [1, 1]
